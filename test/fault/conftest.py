"""Fixtures of the fault tests: a fresh farm, and what is built for faults alone."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402

BIN = farm_lib.BIN  # also while crash_build has put its own there


@pytest.fixture
def farm(tmp_path):
    it = farm_lib.Farm(tmp_path)
    yield it
    it.close()


@pytest.fixture
def crash_build(monkeypatch):
    """The programs built with crash points; `make test` builds them beside the others."""
    programs = farm_lib.BIN.parent / "crash"
    if not (programs / "footfall-central").exists():
        pytest.skip("needs make VARIANT=crash")
    monkeypatch.setattr(farm_lib, "BIN", programs)


@pytest.fixture
def shim():
    """The path of a library of test/fault/NAME.c, to be preloaded."""

    def path(name):
        if not farm_lib.BIN.name.startswith(("release", "crash")):
            pytest.skip("a sanitizer's own interceptors come first")
        library = BIN / "test" / "fault" / f"{name}.so"
        if not library.exists():
            pytest.skip(f"needs {name}.so, which make test builds")
        return library

    return path
