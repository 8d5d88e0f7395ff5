"""Fixtures of the scenario tests: a fresh farm per test or per module."""

import os
import pathlib
import shutil
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402


@pytest.fixture
def farm(tmp_path):
    it = farm_lib.Farm(tmp_path)
    yield it
    it.close()


@pytest.fixture(scope="module")
def module_farm(tmp_path_factory):
    it = farm_lib.Farm(tmp_path_factory.mktemp("farm"))
    yield it
    it.close()


@pytest.fixture
def one_salt():
    """Salts change at midnight UTC: whoever comes before it and after it is two visitors, as he should be."""
    if time.time() % 86400 > 86400 - 600:
        pytest.skip("midnight UTC, when salts change, is less than ten minutes away")


@pytest.fixture
def open_farm(monkeypatch):
    """A farm in a folder that other users may enter."""
    options = os.environ.get("ASAN_OPTIONS", "")  # the leak checker traces, which is refused then
    monkeypatch.setenv("ASAN_OPTIONS", options + ":detect_leaks=0")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="footfall-privileges-"))
    directory.chmod(0o755)
    it = farm_lib.Farm(directory)
    yield it
    it.close()
    shutil.rmtree(directory)


@pytest.fixture
def replay():
    """Rows of the replayable access log, or a skip where it is absent."""
    import replay as replay_lib

    if not replay_lib.LOG.exists():
        pytest.skip("needs ../shared/data/replay-elastic.tsv.gz")
    return replay_lib.load()
