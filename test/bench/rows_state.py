"""rows_state.py -- memory, and what a start has to do."""

import socket
import statistics

import senders
from measure import Failed, anonymous, pss
from rows_udp import STEADY, taken
from servers import OurAgent

MIB = 2**20
CONNECTIONS = 1000
CLIENTS = 10**6
OTHER_MIB = 8  # the agent without clients
# As the example file has it, but for the connections of a single address.
DEFAULTS = {"http": {"workers": 2, "connections_per_address": 1000000}, "journal": {"segment": "8m", "segments": 16}}


def memory(table, farm, directory, rounds, seconds):
    agent = farm.agent("web-idle", **DEFAULTS).start()
    idle = pss(agent.process.pid)
    table.add("memory of an idle agent", idle / MIB, 8, unit="MiB", note="PSS, all settings at their defaults")
    before = anonymous(agent.process.pid)
    host, port = agent.http.rsplit(":", 1)
    connections = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)]
    for one in connections:
        one.sendall(b"GET /js/analytics-tracking.js HTTP/1.1\r\nHost: a\r\n\r\n")
    for one in connections:
        if not one.recv(65536).startswith(b"HTTP/1.1 200"):
            raise Failed("the agent did not serve the tracker")
    each = (anonymous(agent.process.pid) - before) / CONNECTIONS
    table.add("memory per connection", each / 1024, 17, unit="KiB", note=f"anonymous, {CONNECTIONS} kept open")
    for one in connections:
        one.close()
    agent.stop()


def seal(ours):
    said = ours.agent.flush(check=False).stderr
    if "forward.central is empty" not in said:  # all that is missing then
        raise Failed(f"{ours.name}: flush said {said}")


def clients(table, farm, directory, rounds, seconds):
    """One event of each of a million addresses. The tables are as large as by default; the rate is one
    an hour, so that no address is idle and an early loss of each is counted."""
    ours = OurAgent(farm, "web-many", **DEFAULTS | {
        "http": {"workers": 1, "trusted_proxies": ["127.0.0.1/32"]},
        "admit": {"rate": "1/1h", "burst": 1, "retry_entries": "1m"}}).start()
    idle = pss(ours.agent.process.pid)
    ours.checked(lambda: senders.pace(ours.port, CLIENTS, 1, connections=64, clients=CLIENTS), 0)
    seal(ours)
    used = pss(ours.agent.process.pid)
    forgotten = max(ours.metric(f"{what}_evicted_total") for what in (
        "rate_clients", "retry_entries", "double_click_entries"))
    known = CLIENTS - forgotten
    table.add("memory per tracked client", (used - idle) / known, 42, unit="bytes",
              note=f"address, event id and double click; {known} of {CLIENTS} known at the end")
    table.add("memory with 1M known clients", used / MIB, OTHER_MIB + 42 * CLIENTS // MIB, unit="MiB", note="PSS")
    ours.stop()


def fill(ours, rotations):
    while ours.metric("journal_rotations_total") < rotations:
        taken(ours, STEADY, 2)


def starts(table, farm, directory, rounds, seconds):
    """From the start of the program until it says that it is ready: with an empty folder, and with a
    journal of default size that is full, all of it within the retry window."""
    took = {"empty": [], "stopped": [], "killed": []}
    for i in range(rounds):
        new = OurAgent(farm, f"web-new-{i}", **DEFAULTS)
        took["empty"].append(new.timed_start())
        new.stop()
    ours = OurAgent(farm, "web-full", **DEFAULTS).start()
    fill(ours, DEFAULTS["journal"]["segments"])
    for _ in range(rounds):
        taken(ours, STEADY, 1)
        ours.stop()
        took["killed"].append(ours.timed_start())
        ours.agent.stop()
        took["stopped"].append(ours.timed_start())
    events = ours.metric("replayed_events_total")
    ours.stop()
    empty, stopped, killed = (statistics.median(took[name]) for name in ("empty", "stopped", "killed"))
    table.add("start-up, nothing on the disk", empty, 0.1, unit="s")
    table.add("start-up, full history", stopped, 1, unit="s", note="after a clean stop")
    table.add("start-up, full journal", killed, 1, unit="s", note="after kill -9")
    table.add("replay of a full journal", stopped - empty, 1, unit="s",
              note=f"{events} events, {(stopped - empty) * 1e9 / events:.0f} ns each")
