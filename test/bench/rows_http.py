"""rows_http.py -- beacons: CPU time per request, requests per second, latency."""

import contextlib
import datetime
import struct
import threading

import senders
from farm import free_port, request, wait_for
from measure import LOAD_CPU, Failed, in_turns, pin, yield_to_others
from servers import LOGS, RETURNS, Nginx, OurAgent, Reference

SLICE_S = 1  # what a machine's other guests do to a ratio comes and goes within seconds
STEADY = 2000  # requests a second where latency is measured: a tenth of what one core can answer


def each(results, part):
    return [result[part] for result in results]


def at_rest(server):
    """Until it takes less than a fiftieth of a processor: what it still does would slow down the next."""
    pause = threading.Event()

    def rests():
        before = server.cpu_ns()
        pause.wait(0.05)
        return server.cpu_ns() - before < 10**6

    wait_for(f"{server.name} to rest", rests)


class Costs:
    """us of server CPU per request, and what else wrk says, of one server under one load."""

    def __init__(self, server, **how):
        self.server, self.how = server, how
        self.requests, self.before = 0, server.cpu_ns()

    def __call__(self):
        """What the server still did after its last turn, such as sealing, is counted to this one."""
        requests, rate, p50 = self.server.checked(
            lambda: senders.wrk(self.server.port, **self.how), in_flight=2 * self.how["connections"])
        self.requests += requests
        if self.how.get("cores", 1) > 1:
            at_rest(self.server)
        before, self.before = self.before, self.server.cpu_ns()
        return {"us": (self.before - before) / 1000 / requests, "rate": rate, "p50": p50, "requests": requests}


def in_slices(rounds, seconds, servers, **how):
    """Turns of a second, of which each round adds up as many as it has seconds: not their median, since
    the agent seals once in several seconds, and that is to be in every figure. Name -> us and rate."""
    took = {s.name: Costs(s, seconds=SLICE_S, **how) for s in servers}
    warm(*took.values())
    n = seconds // SLICE_S
    got = {}
    for name, slices in in_turns(rounds * n, took).items():
        parts = [slices[i:i + n] for i in range(0, len(slices), n)]
        got[name] = {
            "us": [sum(s["us"] * s["requests"] for s in part) / sum(s["requests"] for s in part) for part in parts],
            "rate": [sum(s["rate"] for s in part) / n for part in parts],
        }
    return got, took


def warm(*costs):
    """What first requests cost is not the question: tables and files that get their pages."""
    for cost in costs:
        cost()


def logged_all(nginx, requests, in_flight):
    """nginx has read and logged every body, or it is no reference for doing so."""
    more = nginx.logged() - requests
    if not 0 <= more <= in_flight:
        raise Failed(f"{nginx.name}: {requests} answered, its log differs by {more}")


def against_logs(table, ours, directory, rounds, seconds):
    logs = Nginx(directory, "nginx-log", LOGS)
    try:
        got, took = in_slices(rounds, seconds, (ours, logs), connections=64)
        table.ratio("beacon, 64 connections / nginx reads and logs", 0.90, got[ours.name]["us"], got[logs.name]["us"])
    finally:
        logs.stop()
    logged_all(logs, took[logs.name].requests, in_flight=(rounds * seconds // SLICE_S + 1) * 2 * 64)


def costs(table, farm, directory, rounds, seconds):
    """The nginx that logs comes last and against ours alone: what it leaves to be written to the disk
    would still be on its way there while the others are measured, and ours writes as well."""
    ours = OurAgent(farm, "web-1").start()
    plain = Nginx(directory, "nginx-return", RETURNS)
    port = free_port()
    bare = Reference("epoll", [str(senders.TOOLS / "epoll_server"), str(port)], port).ready()
    try:
        # twice as many: the second of these goals lies nearer to what is reached than rounds to each other
        got, _ = in_slices(2 * rounds, seconds, (ours, plain, bare), connections=64)
        us = {name: figures["us"] for name, figures in got.items()}
        table.ratio("beacon, 64 connections / nginx return 200", 1.10, us["web-1"], us["nginx-return"])
        table.ratio("beacon, 64 connections / bare epoll server", 1.20, us["web-1"], us["epoll"])
        for name, goal, part, how in (
            ("beacon, 1000 connections / nginx return 200", 1.10, "us", {"connections": 1000}),
            ("beacon, a connection each / nginx return 200", 1.0, "us", {"connections": 32, "fresh": True}),
            ("latency p50, one connection / nginx", 1.10, "p50", {"connections": 1}),
        ):
            both = in_turns(rounds, {s.name: Costs(s, seconds=seconds, **how) for s in (ours, plain)})
            table.ratio(name, goal, each(both["web-1"], part), each(both["nginx-return"], part))
        against_logs(table, ours, directory, rounds, seconds)
    finally:
        for server in (ours, plain, bare):
            server.stop()


def both_cores(table, farm, directory, rounds, seconds):
    ours = OurAgent(farm, "web-2", workers=2).start()
    plain = Nginx(directory, "nginx-2", RETURNS, workers=2)
    try:
        got, _ = in_slices(rounds, seconds, (ours, plain), connections=64, cores=2)
        table.ratio("requests a second on both cores / nginx", 0.95, got["web-2"]["rate"], got["nginx-2"]["rate"],
                    "a second", "higher")
    finally:
        ours.stop()
        plain.stop()


class BatchSink(Reference):
    """Stands for a central on another machine while latency is measured: it has what the load leaves
    of its processor, and only keeps batches. A real central works 3 ms on each, and holds up the
    load with that even at the lowest priority. deliver() brings it what was kept."""

    def __init__(self, farm):
        self.central, self.tokens = farm.central(time_zone="UTC"), {}
        self.kept, port = farm.directory / "batches", free_port()
        super().__init__("batch sink", [str(senders.TOOLS / "batch_sink"), str(port), str(self.kept)], port, False)
        farm.started.append(self)  # which ends it
        self.address = f"127.0.0.1:{port}"
        pin(self.process.pid, LOAD_CPU)
        yield_to_others(self.process.pid)
        self.ready()

    def add_node(self, name):
        self.tokens[name] = self.central.add_node(name)
        return self.tokens[name]

    def batches(self):
        data, at = self.kept.read_bytes(), 0
        while at + 4 <= len(data):
            (size,) = struct.unpack_from("=I", data, at)
            at += 4 + size
            if at <= len(data):  # else it is being written
                yield data[at - size:at]

    def deliver(self, name, batches):
        """Sends kept batches to the central, as the agent would."""
        self.central.start()
        headers = {"Authorization": f"Bearer {self.tokens[name]}", "Content-Type": "application/zstd"}
        for n, batch in enumerate(batches, 1):
            answer = request(self.central.address, "POST", "/v1/batches", batch, headers)
            if answer.status != 200 or answer.json() != {"result": "stored"}:
                raise Failed(f"{name}: batch {n}: the central answers {answer.status} {answer.body}")


class Rotating(OurAgent):
    """An agent whose segments fill, seal and travel several times a second."""

    def __init__(self, farm, name, interval="1s"):
        self.sink = BatchSink(farm)
        self.requests = 0
        super().__init__(farm, name, central=self.sink, journal={"segment": "64k", "segments": 64},
                         batch={"interval": interval})

    def travelled(self):
        """Batches sealed, and forwarded, so far."""
        said = self.agent.metrics()
        return int(said["footfall_batches_sealed_total"]), int(said["footfall_forwarded_batches_total"])

    def paced(self, seconds):
        before = self.travelled()
        requests, p999 = senders.pace(self.port, STEADY, seconds)
        self.requests += requests
        for what, then, now in zip(("sealed", "forwarded"), before, self.travelled()):
            if now == then:
                raise Failed(f"{self.name}: nothing was {what} while latency was measured")
        return requests, p999

    def kept(self):
        """What the sink has, and how many batches the agent calls forwarded, of one moment: intervals go on
        ending, and the sink has a batch before the agent counts it. As they are if they never agree."""
        both = []

        def agree():
            both[:] = list(self.sink.batches()), self.metric("forwarded_batches_total")
            return len(both[0]) == both[1]

        with contextlib.suppress(TimeoutError):
            wait_for("the sink and the agent to agree", agree, 2)
        return both

    def arrived(self):
        """Batches sealed and forwarded while latency was measured. By now everything answered has left
        the agent, and is in a central's numbers, once."""
        measured = self.travelled()
        self.agent.flush()
        kept, forwarded = self.kept()
        self.sink.deliver(self.name, kept)
        if len(kept) != forwarded:
            raise Failed(f"{self.name}: {forwarded} batches forwarded, {len(kept)} kept")
        today = datetime.datetime.now(datetime.timezone.utc).date()
        day = datetime.timedelta(days=1)
        stored = self.sink.central.api("summary", from_=today - day, to=today + day)["total_views"]
        if stored != self.requests:
            raise Failed(f"{self.name}: {self.requests} answered, {stored} at the central")
        return measured


def latency(table, farm, directory, rounds, seconds):
    ours = OurAgent(farm, "web-3").start()
    plain = Nginx(directory, "nginx-3", RETURNS)
    rotating = Rotating(farm, "web-4").start()
    try:
        senders.pace(ours.port, STEADY, 1)
        senders.pace(plain.port, STEADY, 1)
        rotating.paced(1)
        got = in_turns(rounds, {
            "ours": lambda: ours.checked(lambda: senders.pace(ours.port, STEADY, seconds), 0),
            "nginx": lambda: senders.pace(plain.port, STEADY, seconds),
            "rotating": lambda: rotating.checked(lambda: rotating.paced(seconds), 0),
        })
        nginx = each(got["nginx"], 1)
        table.ratio("latency p99.9 at 2,000/s / nginx", 1.25, each(got["ours"], 1), nginx)
        table.ratio("latency p99.9, segments rotate and travel / nginx", 1.25, each(got["rotating"], 1), nginx,
                    note="; %d batches sealed, %d forwarded" % rotating.arrived())
    finally:
        for server in (ours, plain, rotating):
            server.stop()
