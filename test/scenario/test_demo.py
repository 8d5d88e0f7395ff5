"""What a newcomer sees first.

Proves: the demo starts both programs, counts a real beacon, ends by itself with status 0, and a
second run still has the numbers of the first.
"""

import os
import re
import subprocess
import sys

from farm import BIN, PATIENCE, ROOT, midday_zone

ZONE = midday_zone()  # no day ends between the runs


def run(home):
    done = subprocess.run(
        [sys.executable, ROOT / "test" / "lib" / "run-demo", BIN, home],
        env={**os.environ, "RUN_SECONDS": "1", "TZ": ZONE},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/demo" in done.stdout and "/#token=" in done.stdout
    return int(re.search(r"(\d+) views in all", done.stdout).group(1))


def test_the_demo_counts_a_beacon_and_keeps_its_numbers(tmp_path):
    assert run(tmp_path) == 1
    assert run(tmp_path) == 2
