"""senders.py -- the load: wrk, http_pace and udp_flood, each on the processor that is not the server's.

Every one of them ends the run (Failed) when a request failed.
"""

import os
import pathlib
import subprocess

from measure import LOAD_CPU, Failed

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = None  # folder of the programs built from this one's C files; set by who uses them


def run(command, cpus=LOAD_CPU, **environment):
    done = subprocess.run(["taskset", "-c", str(cpus), *map(str, command)], capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise Failed(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    return done.stdout


def wrk(port, connections, seconds, fresh=False, cores=1):
    """Beacons as fast as they are answered. Requests, requests a second, median latency in us."""
    out = run(["wrk", "-t", cores, "-c", connections, "-d", f"{seconds}s", "--timeout", "30s",
               "-s", HERE / "beacon.lua", f"http://127.0.0.1:{port}"],
              cpus=LOAD_CPU if cores == 1 else f"0-{cores - 1}", FRESH="1" if fresh else "0")
    line = next(line for line in out.splitlines() if line.startswith("RESULT"))
    requests, took_us, errors, bad, p50 = (float(word) for word in line.split()[1:])
    if errors or bad or not requests:
        raise Failed(f"wrk: {requests:.0f} requests, {errors:.0f} errors, {bad:.0f} of another status than 2xx")
    return int(requests), requests / took_us * 1e6, p50


def pace(port, rate, seconds, connections=32, clients=0):
    """Beacons at fixed moments, latency from those. Requests, p99.9 in us."""
    line = run([TOOLS / "http_pace", port, rate, seconds, connections, clients])
    requests, _, p999, _ = (float(word) for word in line.split()[1:])
    return int(requests), p999


def flood(port, rate, seconds):
    """Datagrams of one event each. How many were sent, and how many a second it came to."""
    sent, took_s = run([TOOLS / "udp_flood", port, rate, seconds]).split()
    return int(sent), int(sent) / float(took_s)
