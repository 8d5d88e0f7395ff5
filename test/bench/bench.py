#!/usr/bin/env python3
"""bench.py -- what an event costs, as ratios to references measured in the same run (`make bench`).

    bench.py --bin BIN --tools DIR [--rounds 5] [--seconds 5] [--only NAME,...] [--json FILE]
             [--set SECTION.KEY=VALUE]...

Server and references take turns, each pinned to one processor, the load to another. A figure is the
median over the rounds, that of a ratio the median of the ratios within one round. The run fails
(status 1, no JSON) if a request failed or a count differs; a goal that is missed is only said: on a
machine that does other things, goals are not to be had. --set changes a setting of all our agents.
HACKING.md says how each row is measured.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402
import rows_http  # noqa: E402
import rows_state  # noqa: E402
import rows_udp  # noqa: E402
import senders  # noqa: E402
from measure import SERVER_CPU, Failed, Table  # noqa: E402
from servers import OurAgent  # noqa: E402


def parts(table, farm, directory, rounds, seconds):
    """Single stages, without network and without other stages: bench_parts.c says how."""
    for line in senders.run([senders.TOOLS / "bench_parts", directory / "parts", rounds], cpus=SERVER_CPU).splitlines():
        table.add(**json.loads(line))


GROUPS = {
    "costs": rows_http.costs,
    "cores": rows_http.both_cores,
    "latency": rows_http.latency,
    "udp": rows_udp.datagrams,
    "memory": rows_state.memory,
    "clients": rows_state.clients,
    "starts": rows_state.starts,
    "parts": parts,
}


def measure(name, table, chosen):
    """Seconds that it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as directory:
        farm = farm_lib.Farm(directory)
        try:
            GROUPS[name](table, farm, pathlib.Path(directory), chosen.rounds, chosen.seconds)
        finally:
            farm.close()
    return time.monotonic() - began


def options():
    it = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    it.add_argument("--bin", required=True, type=pathlib.Path)
    it.add_argument("--tools", required=True, type=pathlib.Path)
    it.add_argument("--rounds", type=int, default=5)
    it.add_argument("--seconds", type=int, default=5, help="of each measurement; the flood lasts six times that")
    it.add_argument("--only", default=",".join(GROUPS), help="of " + ", ".join(GROUPS))
    it.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    it.add_argument("--json", type=pathlib.Path)
    return it.parse_args()


def main():
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))  # so that servers end, too
    farm_lib.BIN, senders.TOOLS = chosen.bin.resolve(), chosen.tools.resolve()
    OurAgent.overrides = chosen.set
    if chosen.json:
        chosen.json.unlink(missing_ok=True)
    table, took, failed = Table(), {}, []
    for name in chosen.only.split(","):
        try:
            took[name] = measure(name, table, chosen)
        except (Failed, AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as why:
            failed.append(name)
            print(f"FAILED {name}: {why}", flush=True)
    print(f"{len(table.rows)} figures, {table.missed} goals missed; {sum(took.values()):.0f} s: "
          + ", ".join(f"{name} {seconds:.0f}" for name, seconds in took.items()))
    if failed:
        sys.exit("bench: failed: " + ", ".join(failed))
    if chosen.json:
        table.write(chosen.json)


if __name__ == "__main__":
    main()
