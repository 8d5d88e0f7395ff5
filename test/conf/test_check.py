"""Proves that `check` of both programs accepts what is right, names every fault of what is wrong
with its line, and that what `check -v` prints means the same when it is read again.

good.conf has every way of writing; in bad.conf each wrong line says what is expected of it.
"""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from farm import BIN, ROOT  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = ["footfall-agent", "footfall-central"]


def check(program, *words):
    return subprocess.run(
        [BIN / program, "check", *words], capture_output=True, text=True, timeout=60, check=False
    )


def effective(program, *words):
    done = check(program, "-v", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("path", [ROOT / "agent.conf.example", HERE / "good.conf"], ids=lambda p: p.name)
def test_what_is_right_is_accepted(program, path):
    done = check(program, "-c", path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("path", [ROOT / "agent.conf.example", HERE / "good.conf"], ids=lambda p: p.name)
def test_what_is_printed_is_read_as_the_same(program, path, tmp_path):
    first = effective(program, "-c", path)
    again = tmp_path / "again.conf"
    again.write_text(first)
    assert effective(program, "-c", again) == first


def test_the_example_is_current():
    printed = subprocess.run([BIN / "example"], capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "agent.conf.example").read_text(), "run `make example`"


def test_a_file_with_values_is_printed_with_them():
    printed = effective("footfall-agent", "-c", HERE / "good.conf")
    assert 'listen = {"127.0.0.1:0", "[::1]:0", "unix:/tmp/a,b {} \\"quoted\\" \\\\ \\$x"}' in printed
    assert "idle_timeout = 1500ms" in printed
    assert 'track_paths = {"/api/track-view/", "/t"}' in printed
    assert "max_age = 0s" in printed


def test_every_fault_is_named_with_its_line():
    path = HERE / "bad.conf"
    done = check("footfall-agent", "-c", path)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        of_line = [s for s in said if s.startswith(f"{path}:{number}: ")]
        if "# expect: " not in line:
            assert not of_line
            continue
        wanted = line.split("# expect: ")[1]
        assert len(of_line) == 1 and wanted in of_line[0], f"line {number}: {of_line}"
        said.remove(of_line[0])
    assert not said


def test_an_override_is_checked_like_a_line():
    done = check("footfall-agent", "-o", "node.name=w", "-o", "http.workers=0", "-o", "a.b=1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        '-o http.workers: "0" is not allowed; allowed is a whole number, from 1 to 64',
        "-o a.b=1: no such setting; allowed is section.key=value",
    ]


def test_a_token_that_others_may_read_is_a_fault(tmp_path):
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    words = ("-o", "node.name=w", "-o", f"forward.token_file={token}")
    done = check("footfall-agent", *words)
    assert done.returncode == 1 and "mode 0600" in done.stderr
    token.chmod(0o600)
    assert check("footfall-agent", *words).returncode == 0
