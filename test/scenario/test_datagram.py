"""Datagrams as real encoders emit them, over a real socket.

Proves: every legal form of a datagram is counted, a bad one costs only itself, and an event that
browser and backend both report counts once.
"""

import json
import socket
import time
import uuid

import pytest

from farm import midday_zone, today_in, wait_for

msgpack = pytest.importorskip("msgpack")

UA = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def event(**more):
    return {"type": "video", "id": uuid.uuid4().bytes, "ip": "192.0.2.1", "ua": UA, **more}


@pytest.fixture
def agent(farm):
    return farm.agent("web-1").start()


def send(agent, *datagrams):
    host, port = agent.addresses["udp"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for datagram in datagrams:
            raw = datagram if isinstance(datagram, bytes) else msgpack.packb(datagram)
            out.sendto(raw, (host, int(port)))


def counts(agent):
    prefix = 'footfall_events_total{source="datagram",verdict="'
    found = {k[len(prefix) :]: v for k, v in agent.metrics().items() if k.startswith(prefix) and v}
    return {k.replace('",reason="', ".").rstrip('"}'): int(v) for k, v in found.items()}


def verdicts(agent, n):
    wait_for(f"{n} verdicts", lambda: agent.judged() >= n)
    return counts(agent)


FORMS = {
    "a map": event(),
    "an array of maps": [event(id=uuid.uuid4().bytes), event()],
    "id as text": event(id=str(uuid.uuid4())),
    "keys as bin": {k.encode(): v for k, v in event().items()},
    "texts as bin": event(type=b"video", ua=UA.encode()),
    "float time": event(ts=float(int(time.time() * 1000))),
    "integer time": event(ts=int(time.time() * 1000)),
    "all keys": event(
        eid=uuid.uuid4().bytes, ev="play", val=3.5, site="x", ref="https://a.example/b", sess="s"
    ),
    "integer value": event(val=7),
    "unknown keys": event(colour="red", more=[1, 2, {"a": None}]),
    "IPv6": event(ip="2001:db8::1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_accepted(agent, form):
    send(agent, FORMS[form])
    n = len(FORMS[form]) if isinstance(FORMS[form], list) else 1
    assert verdicts(agent, n) == {"accepted.first": n}


BAD = {
    "no msgpack": (b"\xc1", "msgpack"),
    "a truncated map": (msgpack.packb(event())[:-1], "msgpack"),
    "bytes behind": (msgpack.packb(event()) + b"\x00", "msgpack"),
    "a number": (b"\x07", "msgpack"),
    "a count that lies": (b"\xdf\xff\xff\xff\xff", "msgpack"),
    "too many events": (msgpack.packb([{}] * 65), "too_large"),
    "an empty map": (b"\x80", "missing"),
    "an unknown type": (event(type="film"), "type"),
    "a bad id": (event(id=b"12"), "id"),
    "a bad address": (event(ip="300.1.1.1"), "address"),
    "a fraction as time": (event(ts=1.5), "time"),
    "an old time": (event(ts=int(time.time() * 1000) - 8 * 86400000), "time_old"),
    "a future time": (event(ts=int(time.time() * 1000) + 3600000), "time_future"),
    "infinity": (event(val=float("inf")), "value"),
    "a key twice": (
        b"\x82" + msgpack.packb("type") + msgpack.packb("pdf") + msgpack.packb("type") + b"\xa1x",
        "duplicate_key",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_datagram_is_counted_and_costs_only_itself(agent, what):
    datagram, reason = BAD[what]
    send(agent, datagram, event())
    assert verdicts(agent, 2) == {f"invalid.{reason}": 1, "accepted.first": 1}


def test_a_bad_event_costs_only_itself(agent):
    send(agent, [event(), event(type="film"), event()])
    assert verdicts(agent, 3) == {"accepted.first": 2, "invalid.type": 1}


def test_an_oversized_datagram_is_counted(agent):
    send(agent, event(sess="x" * 9000), event())
    assert verdicts(agent, 2) == {"invalid.too_large": 1, "accepted.first": 1}


def test_browser_and_backend_report_one_event(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agents = [farm.agent(n, central).start() for n in ("web-1", "web-2")]
    twins = [(uuid.uuid4(), uuid.uuid4()) for _ in range(6)]
    for n, (eid, content) in enumerate(twins):
        beacon = {"content_type": "video", "content_id": str(content), "event_id": str(eid)}
        datagram = event(eid=eid.bytes, id=content.bytes)
        # on the same node and on the other one, in either order
        there = agents[n % 2]
        if n < 3:
            assert agents[0].beacon(beacon).json()["tracked"] is True
        seen = there.judged()
        send(there, datagram)
        wait_for("the datagram's verdict", lambda t=there, s=seen: t.judged() > s)
        if n >= 3:
            assert agents[0].beacon(beacon).status == 200
    for agent in agents:
        agent.flush()
    day = today_in(zone)
    assert central.api("summary", from_=day, to=day)["total_views"] == len(twins)
    totals = central.api("ledger", from_=day, to=day)["totals"]
    assert totals["received"] == 2 * len(twins)
    assert totals["accepted"] == totals["stored"] + totals["merged"]
    assert totals["stored"] == len(twins)
    assert totals["merged"] == 3  # the pairs that met only at the central
    assert totals["duplicate"] == 3


def test_emit_says_what_it_sent_and_what_it_could_not(agent):
    good = {"type": "video", "id": str(uuid.uuid4()), "eid": str(uuid.uuid4())}
    lines = [json.dumps(good), "not json", json.dumps(good | {"eid": str(uuid.uuid4())})]
    path = agent.directory / "events"
    path.write_text("\n".join(lines) + "\n")
    done = agent.run("emit", "--to", agent.addresses["udp"], str(path), check=False)
    assert done.returncode == 1
    assert "2" in done.stdout.split()
    assert ":2:" in done.stderr or "line 2" in done.stderr
    assert verdicts(agent, 2)["accepted.first"] == 2  # nobody named: no visitor, no repeat
