"""Fixtures of the scenario tests: a fresh farm per test or per module."""

import pathlib
import sys

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
def replay():
    """Rows of the replayable access log, or a skip where it is absent."""
    import replay as replay_lib

    if not replay_lib.LOG.exists():
        pytest.skip("needs ../shared/data/replay-elastic.tsv.gz")
    return replay_lib.load()
