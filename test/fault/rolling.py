"""rolling.py -- restart both programs again and again under load; nobody may notice, everything counts.

    rolling.py [--requests N] [--restarts N] [--seed S]

The listening sockets are held by somebody else (holder.py), as systemd would. Four kinds of clients
send beacons to the agent and questions to the central:

    busy   one request after the other on a connection that is kept open
    new    a connection for each request
    slow   kept open, with pauses shorter than the drain
    idle   kept open, with pauses longer than the drain

A client behaves as browsers do: before it uses a connection again it looks whether that has been
closed (`stale`, no request is involved), and when a connection that it uses again ends before a byte
of the answer came, it repeats the request once on a new one (`retried`). Everything else that is not
the right answer is a failure, above all on a new connection.
"""

import argparse
import collections
import json
import pathlib
import random
import select
import socket
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402
from farm import BROWSER, midday_zone, today_in, wait_for  # noqa: E402
from holder import hold  # noqa: E402
from load import CONTENTS  # noqa: E402

DRAIN = 1  # second, of both programs
PAUSE = {
    "busy": (0.0, 0.0),
    "new": (0.0, 0.002),
    "slow": (0.0, DRAIN / 3),
    "idle": (DRAIN * 1.5, DRAIN * 3),
}


class Closed(Exception):
    """The connection ended before a byte of the answer."""


class Client(threading.Thread):
    """Makes requests until it is told to stop; what became of them stands in `done`."""

    def __init__(self, address, kind, seed, stop):
        super().__init__(daemon=True)
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.kind, self.stop = kind, stop
        self.random = random.Random(seed)
        self.connection = None
        self.done = collections.Counter()
        self.failures = []
        self.slowest = 0.0

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def is_stale(self):
        return bool(self.connection and select.select([self.connection], [], [], 0)[0])

    def read_answer(self):
        got = b""
        while b"\r\n\r\n" not in got:
            try:
                part = self.connection.recv(65536)
            except ConnectionError:
                part = b""
            if not part and not got:
                raise Closed
            if not part:
                raise OSError("cut off within the headers")
            got += part
        head, _, body = got.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        while len(body) < int(headers["content-length"]):
            part = self.connection.recv(65536)
            if not part:
                raise OSError("cut off within the body")
            body += part
        return int(lines[0].split()[1]), headers, body

    def attempt(self, request):
        if not self.connection:
            self.connection = socket.create_connection(self.address, timeout=farm_lib.PATIENCE)
        try:
            self.connection.sendall(request)
        except ConnectionError:
            raise Closed from None
        status, headers, body = self.read_answer()
        if headers.get("connection") == "close":
            self.done["last"] += 1
            self.hang_up()
        if self.kind == "new":
            self.hang_up()
        return status, body

    def exchange(self, request):
        if self.is_stale():
            self.done["stale"] += 1
            self.hang_up()
        reused = self.connection is not None
        try:
            return self.attempt(request)
        except Closed:
            self.hang_up()
            if not reused:
                raise OSError("closed without an answer") from None
            self.done["retried"] += 1
        try:
            return self.attempt(request)
        except Closed:
            raise OSError("closed without an answer, twice") from None

    def ask(self):
        """One request and what it means."""
        request, accept = self.next()
        began = time.monotonic()
        self.done["requests"] += 1
        try:
            status, body = self.exchange(request)
            accept(status, body)
        except (OSError, ValueError, AssertionError) as e:
            self.failures.append(f"{self.kind} {type(self).__name__}: {e!r}")
            self.hang_up()
        self.slowest = max(self.slowest, time.monotonic() - began)

    def run(self):
        low, high = PAUSE[self.kind]
        while not self.stop.is_set():
            self.ask()
            if high:
                self.stop.wait(self.random.uniform(low, high))
        self.hang_up()


class Visitor(Client):
    """Beacons, each an event of its own."""

    def __init__(self, *args):
        super().__init__(*args)
        self.counted = collections.Counter()
        self.headers = "".join(f"{k}: {v}\r\n" for k, v in BROWSER.items())

    def next(self):
        content = self.random.choice(CONTENTS)
        event_id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        body = json.dumps({"content_type": "video", "content_id": content, "event_id": event_id})
        request = (
            f"POST /api/track-view/ HTTP/1.1\r\nHost: test\r\n{self.headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )

        def accept(status, answer):
            assert status == 200 and json.loads(answer)["success"], (status, answer)
            self.counted[content] += 1

        return request.encode(), accept


class Reader(Client):
    """Questions to the central."""

    token = None

    def next(self):
        def accept(status, answer):
            assert status == 200 and len(json.loads(answer)["nodes"]) == 1, (status, answer)

        request = (
            "GET /api/v1/nodes HTTP/1.1\r\nHost: test\r\n"
            f"Authorization: Bearer {self.token}\r\n\r\n"
        )
        return request.encode(), accept


class Shouter(threading.Thread):
    """Datagrams, which nobody acknowledges: all of them must count."""

    def __init__(self, address, seed, stop):
        super().__init__(daemon=True)
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.stop = stop
        self.random = random.Random(seed)
        self.counted = collections.Counter()

    def run(self):
        import msgpack

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not self.stop.wait(0.005):
                content = self.random.choice(CONTENTS)
                event = {
                    "type": "pdf",
                    "id": content,
                    "eid": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
                    "ip": f"10.0.0.{self.random.randrange(256)}",
                }
                out.sendto(msgpack.packb(event), self.address)
                self.counted[content] += 1


class Result:
    def __init__(self):
        self.restarts = collections.Counter()
        self.done = {"agent": collections.Counter(), "central": collections.Counter()}
        self.failures = []
        self.slowest = {"agent": 0.0, "central": 0.0}
        self.datagrams = 0
        self.stops = []

    def take(self, name, client):
        self.done[name].update(client.done)
        self.failures += client.failures
        self.slowest[name] = max(self.slowest[name], client.slowest)

    def __str__(self):
        lines = [
            f"restarts {dict(self.restarts)}, the longest stop {max(self.stops):.2f} s",
            f"failures {len(self.failures)}, datagrams {self.datagrams}, all counted",
        ]
        for name in ("agent", "central"):
            lines.append(f"{name}: {dict(self.done[name])}, slowest {self.slowest[name]:.2f} s")
        return "\n".join(lines)


def clients_of(kind, address, chance, stop, count):
    return [kind(address, name, chance.random(), stop) for name in PAUSE for _ in range(count)]


def restart(program, result):
    began = time.monotonic()
    program.stop()
    result.stops.append(time.monotonic() - began)
    program.start()
    result.restarts[program.binary] += 1


def await_load(clients, requests):
    wait_for(
        f"{requests:.0f} requests",
        lambda: sum(c.done["requests"] for c in clients) >= requests,
        20 * farm_lib.PATIENCE,
    )


def counted(central, zone, kind):
    day = today_in(zone)
    rows = central.api("top", from_=day, to=day, type=kind, limit=1000)["rows"]
    return {row["id"]: row["total_views"] for row in rows}


def pdfs(agent, central, zone):
    agent.flush()
    return sum(counted(central, zone, "pdf").values())


def check(central, zone, visitors, shouter):
    """Counted is what was acknowledged or told, per content; nothing is lost by the books."""
    wanted = collections.Counter()
    for visitor in visitors:
        wanted.update(visitor.counted)
    day = today_in(zone)
    totals = central.api("ledger", from_=day, to=day)["totals"]
    assert counted(central, zone, "video") == dict(wanted), totals
    assert counted(central, zone, "pdf") == dict(shouter.counted), totals
    assert not totals["lost"] and not totals["shed"], totals
    assert totals["accepted"] == totals["stored"] + totals["merged"], totals


def start_programs(farm, zone):
    """Both with held sockets, a node that is known and an event that is counted."""
    central = farm.central(time_zone=zone, drain="1s")
    hold(central, central="stream")
    central.start()
    agent = farm.agent(
        "web-1",
        central,
        http={"drain": "1s"},
        admit={"rate": "off"},
        batch={"interval": "1s"},
        journal={"segment": "256k", "segments": 256},
    )
    hold(agent, http="stream", udp="datagram")
    return central, agent.start()


def rolling(directory, requests, restarts, seed):
    chance = random.Random(seed)
    zone = midday_zone()
    farm = farm_lib.Farm(directory)
    stop = threading.Event()
    result = Result()
    try:
        central, agent = start_programs(farm, zone)
        Reader.token = central.token
        visitors = clients_of(Visitor, agent.http, chance, stop, 2)
        readers = clients_of(Reader, central.address, chance, stop, 1)
        shouter = Shouter(agent.addresses["udp"], chance.random(), stop)
        for thread in (*visitors, *readers, shouter):
            thread.start()
        share = requests / (restarts + 1)
        for n in range(1, restarts + 1):
            await_load((*visitors, *readers), n * share)
            for program in (agent, central):
                stop.wait(chance.uniform(0, 0.3))
                restart(program, result)
        await_load((*visitors, *readers), requests)
        stop.set()
        for thread in (*visitors, *readers, shouter):
            thread.join(timeout=farm_lib.PATIENCE)
            assert not thread.is_alive()
        for name, clients in (("agent", visitors), ("central", readers)):
            for client in clients:
                result.take(name, client)
        assert not result.failures, result.failures[:10]
        heard = sum(shouter.counted.values())
        wait_for("all datagrams", lambda: pdfs(agent, central, zone) >= heard)
        check(central, zone, visitors, shouter)
        result.datagrams = heard
        for program in (agent, central):
            program.stop()
        return result
    finally:
        stop.set()
        farm.close()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--requests", type=int, default=100000)
    options.add_argument("--restarts", type=int, default=20, help="of each program")
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    chosen = options.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        print(rolling(directory, chosen.requests, chosen.restarts, chosen.seed))


if __name__ == "__main__":
    main()
