"""Wall clocks that are wrong, or step by an hour while events come in.

Proves: a node's clock that steps forth and back loses no event, counts none twice and keeps sealing
by the clock as it now is; a retry is recognised across the step; rates and connections go by the
monotonic clock; what waits for a slow disk is counted in the hour of its verdict; the central shows
how far a node's clock is off. (That datagrams with a time too far
ahead or behind are invalid is test_datagram.py's.)
"""

import datetime
import http.client
import json
import signal
import socket
import time
import uuid

import pytest

from farm import BROWSER, connect, midday_zone, today_in, wait_for
from load import CONTENTS, Clock, Offers, start_with

msgpack = pytest.importorskip("msgpack")

HOUR = 3600 * 1000


def shifted_agent(farm, central, shim, ms=0, **sections):
    agent = farm.agent("web-1", central, **sections)
    clock = Clock(agent.directory, shim("shift_clock"))
    clock.shift(ms)
    start_with(agent, **clock.environment)
    return agent, clock


def node(central):
    return central.api("nodes")["nodes"][0]


def complete_to(central):
    """Up to when the node's numbers are complete, in ms ahead of now."""
    text = node(central)["complete_to"]
    if not text:
        return -HOUR * 24
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (at.timestamp() - time.time()) * 1000


def test_steps_of_an_hour_lose_and_double_nothing_and_sealing_goes_on(farm, shim):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent, clock = shifted_agent(
        farm, central, shim, admit={"rate": "off"}, batch={"interval": "1s"}
    )
    offers = Offers()
    for ms in (0, HOUR, 0, -HOUR, HOUR, 0):
        clock.shift(ms)
        offers.offer(agent, 40)
        # nobody flushes: the clock as it is now must end the interval
        wait_for("sealing", lambda: node(central)["events"] >= len(offers.events))
        wait_for("what is complete", lambda ms=ms: abs(complete_to(central) - ms) < HOUR / 12)
    for event in offers.events:
        assert agent.beacon(event).json()["tracked"] is False
    offers.flush(agent)
    offers.check(central, zone)
    agent.stop()
    start_with(agent, **clock.environment)
    for event in offers.events[-40:]:
        assert agent.beacon(event).json()["tracked"] is False
    offers.flush(agent)
    offers.check(central, zone)
    agent.stop()


def test_a_clock_that_steps_during_each_request_changes_no_count(farm, shim):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent, clock = shifted_agent(
        farm, central, shim, admit={"rate": "off"}, batch={"interval": "1s"},
        journal={"segments": 64},
    )
    offers = Offers()
    for n in range(60):
        clock.shift((0, HOUR, -HOUR)[n % 3])
        offers.offer(agent, 1)
    clock.shift(0)
    offers.flush(agent)
    offers.check(central, zone)
    agent.stop()


def test_rates_and_connections_go_by_the_monotonic_clock(farm, shim):
    agent, clock = shifted_agent(farm, None, shim, admit={"rate": "1/1h", "burst": "3"})
    host, port = agent.http.rsplit(":", 1)
    kept = http.client.HTTPConnection(host, int(port), timeout=60)
    body = json.dumps({"content_type": "video", "content_id": str(uuid.UUID(int=7, version=4))})

    def status():
        kept.request("POST", "/api/track-view/", body,
                     {**BROWSER, "Content-Type": "application/json"})
        answer = kept.getresponse()
        answer.read()
        return answer.status

    assert [status() for _ in range(4)] == [200, 200, 200, 429]
    connections = agent.metrics()["footfall_http_connections_total"]
    for ms in (10 * HOUR, -10 * HOUR, 0):
        clock.shift(ms)
        assert status() == 429
    assert agent.metrics()["footfall_http_connections_total"] == connections
    agent.stop()


def send_beacons(agent, events):
    """One on a connection each; the connections."""
    host = agent.http
    head = "".join(f"{k}: {v}\r\n" for k, v in {**BROWSER, "Host": host}.items())
    links = []
    for event in events:
        body = json.dumps(event)
        links.append(connect(host))
        links[-1].sendall(
            f"POST /api/track-view/ HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    return links


def send_datagrams(agent, datagrams):
    host, port = agent.addresses["udp"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for datagram in datagrams:
            out.sendto(msgpack.packb(datagram), (host, int(port)))


SENDERS = {
    "beacons": lambda agent, ids: send_beacons(
        agent, [{"content_type": "video", "content_id": i} for i in ids]
    ),
    "datagrams": lambda agent, ids: send_datagrams(agent, [{"type": "video", "id": i} for i in ids]),
    "a datagram": lambda agent, ids: send_datagrams(agent, [[{"type": "video", "id": i} for i in ids]]),
}


@pytest.mark.parametrize("sender", SENDERS)
def test_who_waits_for_the_disk_is_counted_in_the_hour_of_the_verdict(farm, shim, sender):
    """They arrive in one wake-up, and a worker's first reading of the clock is not good for all."""
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, journal={"sync": "always"}, admit={"rate": "off"})
    clock = Clock(agent.directory, shim("shift_clock"))
    clock.shift(-6 * HOUR)
    start_with(agent, SHIFT_CLOCK_MSYNC=str(HOUR // 5), **clock.environment)
    contents = CONTENTS[:8]
    agent.process.send_signal(signal.SIGSTOP)
    kept = SENDERS[sender](agent, contents)
    agent.process.send_signal(signal.SIGCONT)
    wait_for("the verdicts", lambda: agent.judged() == len(contents))
    agent.flush()
    day = today_in(zone)
    hours = [row["accepted"] for row in central.api("ledger", from_=day, to=day)["rows"]]
    assert sum(hours) == len(contents)
    assert max(hours) <= 5  # twelve minutes each at least
    for link in kept or []:
        link.close()
    agent.stop()


def test_the_central_shows_how_far_a_nodes_clock_is_off(farm, shim):
    central = farm.central(time_zone=midday_zone()).start()
    agent, clock = shifted_agent(farm, central, shim, HOUR, batch={"interval": "1s"})

    def shows(ms):
        return lambda: node(central).get("skew_ms") is not None and abs(
            node(central)["skew_ms"] - ms) < HOUR / 12

    for ms in (HOUR, -HOUR // 2, 0):
        clock.shift(ms)
        wait_for(f"a skew of {ms} ms", shows(ms))
    agent.stop()


def test_a_batch_that_had_to_wait_is_no_sign_of_a_wrong_clock(farm, shim):
    """Its sealing time alone would say that the clock is an hour behind."""
    central = farm.central(time_zone=midday_zone()).start()
    agent, clock = shifted_agent(
        farm, central, shim, -HOUR, batch={"interval": "1h"}, forward={"retry_max": "100ms"}
    )
    central.stop()
    Offers().offer(agent, 3)
    assert agent.flush(check=False).returncode == 1  # sealed, and not sent
    clock.shift(0)
    central.start()
    wait_for("the batch", lambda: node(central)["events"] == 3)
    assert abs(node(central)["skew_ms"]) < HOUR / 12
    agent.stop()
