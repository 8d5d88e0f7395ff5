#!/usr/bin/env python3
"""bench.py -- what an event costs, as ratios to references measured in the same run.

    bench.py --bin BIN --tools DIR [--rounds 5] [--seconds 5] [--only NAME,...] [--json FILE]

Server and reference take turns (A B A B …), each pinned to one core, the load to another. Figures are
the server's CPU time per event, from /proc (all its threads), never requests per second: the load
generator saturates first. A figure is the median over the rounds of the ratio within one round. The run
fails if a request failed or the agent's ledger disagrees with what was sent.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402
from farm import wait_for  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SERVER_CPU, LOAD_CPU = "0", "1"
ANSWER = r'{"success":true,"tracked":true}'

NGINX = """
worker_processes {workers};
{affinity}
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  keepalive_requests 100000000;
  log_format views '$remote_addr $msec "$http_user_agent" $request_body';
  server {{
    listen 127.0.0.1:{port} backlog=4096 reuseport;
    default_type application/json;
    {location}
  }}
}}
"""
RETURN = "location / {{ add_header Cache-Control no-store; return 200 '{a}'; }}".format(a=ANSWER)
# Reading the body before answering without a backend: the mirror module does that; its own
# request ends at once, and a static file that refuses POST becomes the answer.
LOGS = """
    access_log {{dir}}/access.log views buffer=64k;
    location = /m {{{{ internal; access_log off; return 204; }}}}
    location = /api/track-view/ {{{{ mirror /m; mirror_request_body on; error_page 405 404 403 =200 /ok; root {{dir}}; }}}}
    location = /ok {{{{ internal; add_header Cache-Control no-store; return 200 '{a}'; }}}}
""".format(a=ANSWER)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_ns(pids):
    """CPU time of all threads of the processes so far."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
            except FileNotFoundError:
                pass
    return total


def children(pid):
    out = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in open(f"/proc/{pid}/task/{task}/children").read().split():
            out += children(int(child))
    return out


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Reference:
    """A server started by a command, listening on a port of its own."""

    def __init__(self, name, command, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CPU, *command], stdout=subprocess.PIPE, text=True
        )
        self.judged = None

    def ready(self):
        wait_for(self.name, lambda: answers(self.port))
        return self

    def pids(self):
        return children(self.process.pid)

    def stop(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=30)
        return out


def nginx(directory, name, location, workers=1):
    home = directory / name
    home.mkdir()
    port = free_port()
    affinity = "worker_cpu_affinity auto;" if workers > 1 else ""
    text = NGINX.format(dir=home, port=port, workers=workers, affinity=affinity,
                        location=location.replace("{dir}", str(home)).replace("{{", "{").replace("}}", "}"))
    (home / "nginx.conf").write_text(text)
    it = Reference(name, ["nginx", "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")], port)
    return it.ready()


class OurAgent:
    """The agent with everything on, as an operator runs it; only the rate is beyond what one address
    of a load generator needs."""

    def __init__(self, farm, name, workers=1, **more):
        self.name = name
        self.agent = farm.agent(
            name,
            http={"workers": workers, "connections_per_address": 0, **more.pop("http", {})},
            admit={"rate": "1000000/1s", "burst": 1000000, "retry_entries": "8m"},
            journal={"segment": "32m", "segments": 32},
            **more,
        ).start()
        self.port = int(self.agent.http.rsplit(":", 1)[1])
        if workers == 1:
            os.system(f"taskset -a -cp {SERVER_CPU} {self.agent.process.pid} >/dev/null")

    def judged(self):
        return self.agent.judged()

    def pids(self):
        return [self.agent.process.pid]

    def stop(self):
        self.agent.kill()


def wrk(server, connections, seconds, fresh=False, threads=1, cpus=LOAD_CPU):
    """(requests, median us, p99.9 us); raises when one failed."""
    done = subprocess.run(
        ["taskset", "-c", cpus, "wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s",
         "--timeout", "30s", "-s", str(HERE / "beacon.lua"), f"http://127.0.0.1:{server.port}"],
        env={**os.environ, "FRESH": "1" if fresh else "0"},
        capture_output=True, text=True, check=True)
    line = next(l for l in done.stdout.splitlines() if l.startswith("RESULT"))
    _, requests, errors, status, p50, p999 = line.split()
    if int(errors) or int(status):
        raise SystemExit(f"{server.name}: {errors} errors, {status} bad statuses\n{done.stdout}")
    return int(requests), float(p50), float(p999)


def cost(server, **how):
    """us of server CPU per request."""
    counted = server.judged() if server.judged else 0
    before = cpu_ns(server.pids())
    requests, p50, p999 = wrk(server, **how)
    spent = cpu_ns(server.pids()) - before
    if server.judged:
        # wrk leaves requests in flight at its end uncounted
        more = server.judged() - counted - requests
        if not 0 <= more <= how["connections"] * 2:
            raise SystemExit(f"{server.name}: {requests} answered, ledger differs by {more}")
    return {"us": spent / 1000 / requests, "p50": p50, "p999": p999, "requests": requests}


class Table:
    def __init__(self):
        self.rows = {}

    def add(self, name, value, goal, better="lower", unit="", note=""):
        self.rows[name] = {"value": round(value, 3), "goal": goal, "better": better, "unit": unit, "note": note}
        good = value <= goal if better == "lower" else value >= goal
        print(f"{name:52} {value:>10.2f} {unit:6} goal {'≤' if better == 'lower' else '≥'} {goal:<10g} "
              f"{'met' if good else 'MISSED'}  {note}", flush=True)


def compare(table, name, goal, ours, theirs, rounds, of="us", **how):
    ratios, a, b = [], [], []
    for _ in range(rounds):
        x, y = cost(ours, **how)[of], cost(theirs, **how)[of]
        ratios.append(x / y)
        a.append(x)
        b.append(y)
    table.add(name, statistics.median(ratios), goal, unit="ratio",
              note=f"{statistics.median(a):.2f} against {statistics.median(b):.2f} us")


def http(table, farm, directory, tools, rounds, seconds):
    ours = OurAgent(farm, "web-1")
    plain = nginx(directory, "nginx-return", RETURN)
    logs = nginx(directory, "nginx-log", LOGS)
    port = free_port()
    bare = Reference("epoll", [str(tools / "epoll_server"), str(port)], port).ready()
    keep = dict(connections=64, seconds=seconds)
    try:
        compare(table, "beacon, 64 connections / nginx return 200", 1.10, ours, plain, rounds, **keep)
        compare(table, "beacon, 64 connections / nginx reads and logs", 0.90, ours, logs, rounds, **keep)
        compare(table, "beacon, 64 connections / bare epoll server", 1.20, ours, bare, rounds, **keep)
        compare(table, "beacon, 1000 connections / nginx return 200", 1.10, ours, plain, rounds,
                connections=1000, seconds=seconds)
        compare(table, "beacon, a connection each / nginx return 200", 1.0, ours, plain, rounds,
                connections=32, seconds=seconds, fresh=True)
        compare(table, "latency p50, one connection / nginx", 1.10, ours, plain, rounds, of="p50",
                connections=1, seconds=seconds)
    finally:
        for server in (ours, plain, logs, bare):
            server.stop()


def flood(tools, port, rate, seconds):
    done = subprocess.run(["taskset", "-c", LOAD_CPU, str(tools / "udp_flood"), str(port), str(rate), str(seconds)],
                          capture_output=True, text=True, check=True)
    return int(done.stdout)


def udp(table, farm, directory, tools, rounds, seconds):
    ours = OurAgent(farm, "web-udp")
    port = int(ours.agent.addresses["udp"].rsplit(":", 1)[1])
    sink_port = free_port(socket.SOCK_DGRAM)
    sink = Reference("sink", [str(tools / "udp_sink"), str(sink_port)], sink_port)
    wait_for("the sink", lambda: f":{sink_port:04X} " in open("/proc/net/udp").read())
    ratios, a, b = [], [], []
    try:
        for _ in range(rounds):
            cost_of = []
            for server, at in ((ours, port), (sink, sink_port)):
                counted = ours.judged()
                before = cpu_ns(server.pids())
                sent = flood(tools, at, 100000, seconds)
                if server is ours:
                    wait_for("all verdicts", lambda c=counted, n=sent: ours.judged() >= c + n)
                cost_of.append((cpu_ns(server.pids()) - before) / 1000 / sent)
            ratios.append(cost_of[0] / cost_of[1])
            a.append(cost_of[0])
            b.append(cost_of[1])
        table.add("datagram / recvmmsg that only counts", statistics.median(ratios), 1.8, unit="ratio",
                  note=f"{statistics.median(a):.2f} against {statistics.median(b):.2f} us")
        counted = ours.judged()
        sent = flood(tools, port, 200000, 30 if seconds >= 5 else seconds)
        patience = threading.Event()
        lost = sent
        for _ in range(100):
            lost = sent - (ours.judged() - counted)
            if lost <= 0:
                break
            patience.wait(0.1)
        table.add("datagrams lost at 200,000/s", lost, 0, note=f"of {sent}")
    finally:
        ours.stop()
        sink.stop()


def pss(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def memory(table, farm, directory, tools, rounds, seconds):
    agent = farm.agent("web-idle").start()
    idle = pss(agent.process.pid)
    table.add("memory of an idle agent", idle / 2**20, 8, unit="MiB", note="PSS")
    connections = []
    host, port = agent.http.rsplit(":", 1)
    for _ in range(1000):
        one = socket.create_connection((host, int(port)))
        one.sendall(b"GET /js/analytics-tracking.js HTTP/1.1\r\nHost: a\r\n\r\n")
        connections.append(one)
    for one in connections:
        one.recv(65536)
    table.add("memory per connection", (pss(agent.process.pid) - idle) / 1000 / 1024, 17, unit="KiB",
              note="PSS, 1,000 kept open")
    for one in connections:
        one.close()
    agent.stop()


def parts(table, farm, directory, tools, rounds, seconds):
    done = subprocess.run(["taskset", "-c", SERVER_CPU, str(tools / "bench_parts"), str(directory / "parts"), str(rounds)],
                          capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        row = json.loads(line)
        table.add(row.pop("name"), row.pop("value"), row.pop("goal"), **row)


ALL = {"http": http, "udp": udp, "memory": memory, "parts": parts}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--bin", required=True)
    options.add_argument("--tools", required=True, type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--only", default=",".join(ALL))
    options.add_argument("--json")
    chosen = options.parse_args()
    farm_lib.BIN = pathlib.Path(chosen.bin).resolve()
    table = Table()
    for name in chosen.only.split(","):
        with tempfile.TemporaryDirectory() as directory:
            farm = farm_lib.Farm(directory)
            try:
                ALL[name](table, farm, pathlib.Path(directory), chosen.tools.resolve(), chosen.rounds, chosen.seconds)
            finally:
                farm.close()
    if chosen.json:
        pathlib.Path(chosen.json).write_text(json.dumps(table.rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
