"""What the programs are linked with.

Proves: the agent, which stands on every web node, needs its six libraries and none of the central's.
"""

import re
import subprocess

import pytest

from farm import BIN

BOTH = {"microhttpd", "msgpackc", "msgpack-c", "curl-gnutls", "zstd", "sodium", "confuse"}
C = {"c", "m", "gcc_s", "asan", "ubsan", "tsan"}  # the compiler's own


@pytest.mark.parametrize(
    "program,own", [("footfall-agent", set()), ("footfall-central", {"db-5.3", "jansson"})]
)
def test_a_program_needs_its_libraries_and_no_others(program, own):
    dynamic = subprocess.run(
        ["readelf", "--dynamic", "--wide", BIN / program], capture_output=True, text=True, check=True
    ).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[lib([^]]+)\.so", dynamic)) - C
    assert own < needed <= BOTH | own
