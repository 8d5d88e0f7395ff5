"""rows_udp.py -- datagrams: CPU time each, and whether any is lost."""

import contextlib
import socket

import senders
from farm import wait_for
from measure import Failed, in_turns
from servers import OurAgent, Reference

STEADY = 100000  # a second, for what each costs
HIGH = 200000  # a second, for whether any is lost


class Sink(Reference):
    """udp_sink; how many it had, it says at its end."""

    def __init__(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        super().__init__("sink", [str(senders.TOOLS / "udp_sink"), str(port)], port)
        self.sent = 0
        wait_for("the sink", self.socket)

    def socket(self):
        """Its line of /proc/net/udp: the fifth word ends with the bytes that wait, the last is drops."""
        with open("/proc/net/udp") as file:
            return next((line.split() for line in file if f":{self.port:04X} " in line), None)

    def cost(self, seconds):
        before = self.cpu_ns()
        sent, _ = senders.flood(self.port, STEADY, seconds)
        self.sent += sent
        wait_for("the sink to have read all", lambda: self.socket()[4].endswith(":00000000"))
        return (self.cpu_ns() - before) / 1000 / sent

    def had_all(self):
        dropped = int(self.socket()[-1])
        had = int(self.stop())
        if had + dropped != self.sent:
            raise Failed(f"sink: {self.sent} sent, {had} arrived, {dropped} dropped")


def taken(ours, rate, seconds):
    """Sends, and waits until each datagram is accounted for: judged, or dropped by the kernel.
    Sent, dropped, rate."""
    judged, dropped = ours.counted(), ours.metric("udp_kernel_dropped_total")
    sent, rate = senders.flood(ours.udp_port, rate, seconds)

    def accounted():
        return ours.counted() - judged + ours.metric("udp_kernel_dropped_total") - dropped

    with contextlib.suppress(TimeoutError):
        wait_for("all verdicts", lambda: accounted() >= sent)
    if accounted() != sent:
        raise Failed(f"{ours.name}: {sent} datagrams sent, {accounted()} accounted for")
    return sent, ours.metric("udp_kernel_dropped_total") - dropped, rate


def cost(ours, seconds):
    before = ours.cpu_ns()
    sent, dropped, _ = taken(ours, STEADY, seconds)
    return (ours.cpu_ns() - before) / 1000 / (sent - dropped)


def datagrams(table, farm, directory, rounds, seconds):
    ours = OurAgent(farm, "web-udp", udp={"receive_buffer": "16m"}).start()
    sink = Sink()
    try:
        got = in_turns(rounds, {"ours": lambda: cost(ours, seconds), "sink": lambda: sink.cost(seconds)})
        sink.had_all()
        table.ratio("datagram / recvmmsg that only counts", 1.8, got["ours"], got["sink"])
        sent, dropped, rate = taken(ours, HIGH, 6 * seconds)
        if rate < 0.95 * HIGH:
            raise Failed(f"the sender reached {rate:.0f} datagrams a second only")
        buffer = ours.metric("udp_receive_buffer_bytes") >> 20
        table.add("datagrams lost at 200,000/s", dropped, 0, note=f"of {sent}; buffer {buffer} MiB")
    finally:
        ours.stop()
        sink.process.kill()
        sink.process.wait()
