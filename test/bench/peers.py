#!/usr/bin/env python3
"""peers.py -- the usual design beside ours, on this machine (`make bench-peers`).

    peers.py --bin BIN [--rounds 5] [--seconds 5] [--json FILE]

The usual design is one INSERT for each page view: Django and gunicorn (peers_site.py) before a PostgreSQL
of its own, which is made in a fresh folder, listens on a unix socket only, runs as a user of its own and
is removed in the end. It is measured as its documentation sets it up, at the best that we found, and so
without waiting for the disk. All share both processors with wrk, 32 connections, in turns. Views a
second are wrk's, CPU is that of all processes of the design. The run fails if a request failed, or if
a table has other than as many rows as requests were answered.
"""

import argparse
import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402
import senders  # noqa: E402
from farm import request, wait_for  # noqa: E402
from measure import Failed, children, cpu_ns_with_ended, in_turns  # noqa: E402
from servers import OurAgent, Server  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 32
CORES = 2


class Postgres:
    """As the package sets it up, but for where it listens."""

    def __init__(self, directory):
        bin_dir = pathlib.Path(max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4])))
        self.directory, self.user = directory, None
        if os.geteuid() == 0:  # it refuses to run as root; the package made a user for it
            self.user = "postgres"
            os.chown(directory, pwd.getpwnam(self.user).pw_uid, -1)
        self.bin_dir = bin_dir
        data, log = directory / "data", directory / "log"
        self.run("initdb", "-D", data, "-U", "views", "-A", "trust", "-E", "UTF8", "--no-locale")
        with open(log, "wb") as out:
            self.process = self.popen("postgres", "-D", data, "-k", directory, "-c", "listen_addresses=",
                                      "-c", "max_connections=200", stdout=out, stderr=out)
        wait_for("PostgreSQL", lambda: self.run("pg_isready", "-q", "-h", directory, check=False) == 0)

    def popen(self, program, *words, **more):
        return subprocess.Popen([str(self.bin_dir / program), *map(str, words)], user=self.user, cwd="/",
                                stdin=subprocess.DEVNULL, start_new_session=True, **more)

    def run(self, program, *words, check=True):
        it = self.popen(program, *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        out, _ = it.communicate(timeout=60)
        if check and it.returncode:
            raise Failed(f"{program}: {out}")
        return out if check else it.returncode

    def rows(self):
        return int(self.run("psql", "-h", self.directory, "-U", "views", "-d", "postgres", "-Atc",
                            "SELECT count(*) FROM views_view"))

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # "fast": does not wait for clients
        self.process.wait(timeout=60)


class Django(Server):
    def __init__(self, name, postgres, style, *how):
        self.name, self.postgres = name, postgres
        self.environment = {**os.environ, "PEERS_STYLE": style, "PEERS_SOCKET": str(postgres.directory)}
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(2048)
            self.port = listening.getsockname()[1]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-b", f"fd://{listening.fileno()}", "--log-level", "warning",
                 "--preload", "--pythonpath", str(HERE), *how, "peers_site:application"],
                env=self.environment, pass_fds=[listening.fileno()], start_new_session=True)

    def answers(self):
        try:
            return request(f"127.0.0.1:{self.port}", "GET", "/api/track-view/").status == 405
        except OSError:
            return False

    def counted(self):
        return self.postgres.rows()

    def cpu_ns(self):
        return cpu_ns_with_ended(children(self.process.pid) + children(self.postgres.process.pid))

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)  # waits for nobody
        self.process.wait(timeout=60)


class Ours(OurAgent):
    def __init__(self, farm):
        super().__init__(farm, "web-1", workers=CORES)

    def cpu_ns(self):
        return cpu_ns_with_ended(self.pids())


def create_table(postgres):
    subprocess.run([sys.executable, HERE / "peers_site.py", "create"], check=True,
                   env={**os.environ, "PEERS_STYLE": "best", "PEERS_SOCKET": str(postgres.directory)})


def cost(server, seconds):
    before = server.cpu_ns()
    requests, rate, _ = server.checked(
        lambda: senders.wrk(server.port, CONNECTIONS, seconds, cores=CORES), in_flight=2 * CONNECTIONS)
    return {"views_per_s": rate, "cpu_us_per_view": (server.cpu_ns() - before) / 1000 / requests}


def measure(farm, postgres, rounds, seconds):
    """Name of the design -> medians."""
    create_table(postgres)
    many = ("-k", "gthread", "-w", str(CORES), "--threads", "16")
    servers = []
    try:
        servers.append(Django("Django, gunicorn, PostgreSQL as documented", postgres, "usual", "-w", str(2 * CORES + 1)))
        servers.append(Django("the same, threads and kept connections", postgres, "best", *many))
        servers.append(Django("the same, synchronous_commit = off", postgres, "relaxed", *many))
        for server in servers:
            wait_for(server.name, server.answers)
        servers.append(Ours(farm).start())
        servers[-1].name = "footfall-agent"
        for server in servers:
            cost(server, 1)
        got = in_turns(rounds, {server.name: (lambda it=server: cost(it, seconds)) for server in servers})
    finally:
        for server in servers:
            server.stop()
    return {name: {key: round(statistics.median(one[key] for one in results), 1) for key in results[0]}
            for name, results in got.items()}


def show(got):
    print("| | views/s | CPU per view |\n| --- | ---: | ---: |")
    for name, it in got.items():
        print(f"| {name} | {it['views_per_s']:,.0f} | {it['cpu_us_per_view']:,.0f} µs |")


def options():
    it = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    it.add_argument("--bin", required=True, type=pathlib.Path)
    it.add_argument("--rounds", type=int, default=5)
    it.add_argument("--seconds", type=int, default=5, help="of each measurement")
    it.add_argument("--json", type=pathlib.Path)
    return it.parse_args()


def main():
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("peers: ended"))  # so that servers end, too
    farm_lib.BIN = chosen.bin.resolve()
    if chosen.json:
        chosen.json.unlink(missing_ok=True)
    ours, theirs = (pathlib.Path(tempfile.mkdtemp(prefix="footfall-peers-")) for _ in range(2))
    farm, postgres = farm_lib.Farm(ours), None
    try:
        postgres = Postgres(theirs)
        got = measure(farm, postgres, chosen.rounds, chosen.seconds)
    except (Failed, AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as why:
        sys.exit(f"peers: failed: {why}")
    finally:
        farm.close()
        if postgres:
            postgres.stop()
        for directory in (ours, theirs):
            shutil.rmtree(directory)
    show(got)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(got, indent=1) + "\n")


if __name__ == "__main__":
    main()
