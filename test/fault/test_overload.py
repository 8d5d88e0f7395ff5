"""Ten times what the agent can take, and honest clients in the middle of it.

Proves: under a storm of beacons and datagrams at once the agent answers everybody, its operators
included, refuses by rule and not by accident, stays inside the memory that its settings allow, and
accounts for every beacon and every datagram exactly; afterwards it is as it was. While somebody floods
from one IPv6 /48, or from more IPv4 addresses than the limiter remembers, nobody else is refused.

The storm is made ten times too much by letting the agent run for a small part of the time only.
FOOTFALL_STORM=60 makes each storm that many seconds long; without it a few.
"""

import collections
import http.client
import json
import os
import pathlib
import signal
import threading
import time
import uuid

import pytest

from farm import BIN, BROWSER, PATIENCE, midday_zone, request, wait_for
from flood import HTTP_CONTENT, UDP_CONTENT, Flood
from load import CONTENTS, Offers

SECONDS = float(os.environ.get("FOOTFALL_STORM", "3"))
TIMES = 10
ZONE = midday_zone()
MIB = 1 << 20
SETTINGS = {
    "http": {"workers": 2, "connections": 128, "trusted_proxies": ["127.0.0.1/32"]},
    "udp": {"listen": ["127.0.0.1:0"], "receive_buffer": "128k"},
    "admit": {"rate_clients": "64k", "retry_entries": "256k", "double_click_entries": "64k"},
    "journal": {"segment": "1m", "segments": 8},
}
# Program, libraries, threads and the allocator's reserves: some 10 MiB when idle. The rest follows from SETTINGS.
REST = 16 * MIB
BOUND = (
    REST
    + 8 * 65536 + 7 * 262144 + 8 * 65536  # limiter, event ids, double clicks
    + 8 * MIB  # every segment of the journal, mapped
    + 2 * 8 * (16384 + 5120)  # requests that are being judged
    + 2 * 128 * (16384 + 1280 + 256)  # connections: a request's bytes, an answer's, what else there is
    + 65 * 8192  # datagrams of one call
    + 13 * MIB // 2  # one segment on its way to a batch: arena, columns, compressed; one batch being sent
)
if not BIN.name.startswith("release"):
    BOUND *= 16  # sanitizers' shadows are not the agent's


class Few(threading.Thread):
    """Lets a process run for a small part of the time."""

    def __init__(self, process, run_s=0.002, rest_s=0.08):
        super().__init__(daemon=True)
        self.process, self.run_s, self.rest_s = process, run_s, rest_s
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(self.run_s):
            self.process.send_signal(signal.SIGSTOP)
            self.over.wait(self.rest_s)
            self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Watch(threading.Thread):
    """The most memory that a process had, and whether its operators were answered, again and again."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.over = agent, threading.Event()
        self.rollup = pathlib.Path(f"/proc/{agent.process.pid}/smaps_rollup")
        self.most, self.asked, self.healthy = 0, 0, 0

    def run(self):
        while not self.over.wait(0.05):
            lines = self.rollup.read_text().splitlines()
            self.most = max(self.most, *(int(x.split()[1]) * 1024 for x in lines if x[:4] == "Pss:"))
            self.asked += 1
            answer = request(self.agent.addresses["admin"], "GET", "/healthz")
            self.healthy += answer.status == 200

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


class Honest(threading.Thread):
    """Visitors of other addresses, one after the other, each with one beacon, which must be answered."""

    def __init__(self, agent, offers, addresses):
        super().__init__(daemon=True)
        self.agent, self.offers, self.addresses = agent, offers, addresses
        self.over, self.answers = threading.Event(), collections.Counter()
        self.failure = None

    def run(self):
        try:
            while not self.over.is_set():
                self.ask()
        except Exception as e:  # the test's to raise
            self.failure = e

    def ask(self):
        n = sum(self.answers.values())
        event = beacon(CONTENTS[n % len(CONTENTS)])
        address = self.addresses[n % len(self.addresses)]
        answer = self.agent.beacon(event, headers={"X-Forwarded-For": address})
        what = str(answer.status)
        if answer.status == 200:
            what += " true" if answer.json()["tracked"] else " false"
            self.offers.note(event)
        elif answer.status == 503:
            assert answer.headers["Retry-After"]
        self.answers[what] += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure


# so many that asked in turn, as fast as one connection goes, none is beyond a rate of 1/1s
PEOPLE = [f"198.18.{n // 250}.{n % 250}" for n in range(5000)] + [f"2001:db8:{n:x}::7" for n in range(5000)]


def beacon(content):
    return {"content_type": "video", "content_id": content, "event_id": str(uuid.uuid4())}


def by_verdict(agent, source):
    """Verdict -> events, of one source."""
    found = collections.Counter()
    for name, value in agent.metrics().items():
        if name.startswith("footfall_events_total") and f'source="{source}"' in name:
            found[name.split('verdict="')[1].split('"')[0]] += int(value)
    return found


def metric(agent, name):
    return int(agent.metrics()["footfall_" + name])


def assert_http_accounts(agent, *accounts):
    """Every answer that somebody got is a verdict, and the other way round."""
    verdicts = by_verdict(agent, "beacon")
    answers = sum((collections.Counter(a) for a in accounts), collections.Counter())
    for answer, verdict in (("200 true", "accepted"), ("429", "limited"), ("503", "shed")):
        assert answers.pop(answer, 0) == verdicts.pop(verdict), (answer, answers, verdicts)
    assert not answers and not any(verdicts.values())


def assert_udp_accounts(agent, sent):
    """What was sent was judged, or the kernel dropped it and that is known."""

    def known():
        judged = sum(by_verdict(agent, "datagram").values())
        return judged + metric(agent, "udp_kernel_dropped_total")

    wait_for("every datagram to be accounted for", lambda: known() >= sent)
    assert known() == sent


def ended(http, udp=None):
    """What they sent and were answered."""
    accounts = [flood.end(PATIENCE) for flood in (http, udp) if flood]
    assert accounts[0]["unanswered"] == 0
    assert accounts[0]["sent"] == sum(accounts[0]["answers"].values())
    return accounts


def assert_books(farm_agent, central, offers, accounts):
    """The central has what was acknowledged, and the ledger says what became of the rest."""
    offers.flush(farm_agent)
    offers.counted[HTTP_CONTENT] = accounts[0]["answers"].get("200 true", 0)
    offers.counted[UDP_CONTENT] = by_verdict(farm_agent, "datagram")["accepted"]
    totals = offers.check(central, ZONE)
    assert totals["udp_dropped"] == metric(farm_agent, "udp_kernel_dropped_total")
    beacons = sum(by_verdict(farm_agent, "beacon").values())
    assert totals["received"] + totals["udp_dropped"] == accounts[1]["sent"] + beacons
    return totals


def test_ten_times_too_much_is_refused_by_rule_and_accounted_for(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = farm.agent("web-1", central, **SETTINGS)
    agent.sections["admit"].update(rate="1/1s", burst=10)
    agent.write_conf()
    agent.start()
    offers, begin = Offers(), time.monotonic()

    def was_too_much():
        taken, beacons = by_verdict(agent, "datagram").total(), by_verdict(agent, "beacon")
        by_flood = beacons["accepted"] - honest.answers["200 true"]
        return (
            time.monotonic() - begin >= SECONDS
            and metric(agent, "udp_kernel_dropped_total") >= (TIMES - 1) * taken > 0
            and beacons["limited"] >= (TIMES - 1) * by_flood > 0
        )

    with (
        Flood("udp", agent.addresses["udp"]) as udp,
        Flood("http", agent.http, 64, "few") as beacons_in,
        Watch(agent) as watch,
        Honest(agent, offers, PEOPLE) as honest,
    ):
        with Few(agent.process):
            wait_for("ten times too much", was_too_much, PATIENCE + 4 * SECONDS)
        accounts = ended(beacons_in, udp)
    assert honest.answers["200 true"] > 0 and set(honest.answers) <= {"200 true", "503"}
    assert watch.asked == watch.healthy > 0
    assert watch.most <= BOUND, f"{watch.most / MIB:.1f} MiB, allowed are {BOUND / MIB:.1f}"
    assert_udp_accounts(agent, accounts[1]["sent"])
    assert_http_accounts(agent, accounts[0]["answers"], honest.answers)
    assert_books(agent, central, offers, accounts)
    for n in range(200):  # and it is as it was before
        headers = {"X-Forwarded-For": PEOPLE[n]}
        assert agent.beacon(beacon(CONTENTS[0]), headers=headers).json()["tracked"] is True


def test_a_full_spool_sheds_both_ways_and_delivers_all_it_took(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = farm.agent("web-1", central, **SETTINGS)
    agent.sections["journal"] = {"segment": "256k", "segments": 8}
    agent.sections["batch"] = {"spool_max": "1m"}
    agent.write_conf()
    agent.start()
    central.stop()

    def is_shedding():
        return all(by_verdict(agent, s)["shed"] >= 100 for s in ("beacon", "datagram"))

    with (
        Flood("udp", agent.addresses["udp"]) as udp,
        Flood("http", agent.http, 8, "many") as beacons_in,
        Watch(agent) as watch,
    ):
        wait_for("both ways to be shed", is_shedding)
        accounts = ended(beacons_in, udp)
    assert accounts[0]["answers"].get("503", 0) >= 100
    assert watch.asked == watch.healthy and watch.most <= BOUND
    assert_udp_accounts(agent, accounts[1]["sent"])
    assert_http_accounts(agent, accounts[0]["answers"])
    central.start()
    totals = assert_books(agent, central, Offers(), accounts)
    assert totals["shed"] >= 200
    assert agent.beacon(beacon(CONTENTS[0])).json()["tracked"] is True


def refusals(agent):
    names = ("limited", "shed")
    return sum(v for k, v in agent.metrics().items() if any(f'verdict="{n}"' in k for n in names))


@pytest.mark.parametrize("who", ["one48", "many"])
def test_during_a_flood_of_addresses_no_honest_client_is_refused(farm, who):
    """From one IPv6 /48, or from many more IPv4 addresses than are remembered; through one proxy. Both workers close
    a segment a second: a disk that stalls for some is to refuse nobody either, so that there are more of them."""
    agent = farm.agent("web-1", farm.central().start(), **SETTINGS)
    agent.sections["journal"] = {"segment": "1m", "segments": 64}
    agent.sections["admit"] = {"rate": "1/1s", "burst": 10, "rate_clients": 1024}
    agent.sections["batch"] = {"interval": "1s"}
    agent.write_conf()
    agent.start()
    begin = time.monotonic()

    def is_flooded():
        beacons = by_verdict(agent, "beacon")
        if who == "one48":
            done = beacons["limited"] >= TIMES * (beacons["accepted"] - honest.answers["200 true"])
        else:
            done = metric(agent, "rate_clients_evicted_total") >= TIMES * 1024
        return done and honest.answers["200 true"] >= 500 and time.monotonic() - begin >= SECONDS

    with (
        Flood("http", agent.http, 32, who) as beacons_in,
        Watch(agent) as watch,
        Honest(agent, Offers(), PEOPLE) as honest,
    ):
        wait_for("the flood to be high", is_flooded, PATIENCE + 4 * SECONDS)
        account = ended(beacons_in)[0]
    assert set(honest.answers) == {"200 true"}
    assert set(account["answers"]) == ({"200 true", "429"} if who == "one48" else {"200 true"})
    assert watch.most <= BOUND + (64 - SETTINGS["journal"]["segments"]) * MIB
    assert_http_accounts(agent, account["answers"], honest.answers)


def test_a_neighbour_behind_the_same_proxy_pays_for_nobody_else(farm):
    """All on one connection of the proxy; the address that counts is the one that the proxy wrote last."""
    agent = farm.agent("web-1", **SETTINGS)
    agent.sections["admit"] = {"rate": "1/1h", "burst": 3}
    agent.write_conf()
    agent.start()
    host, port = agent.http.rsplit(":", 1)
    proxy = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)

    def status(forwarded):
        body = json.dumps(beacon(CONTENTS[0]))
        proxy.request("POST", "/api/track-view/", body, {**BROWSER, "X-Forwarded-For": forwarded})
        answer = proxy.getresponse()
        answer.read()
        return answer.status

    flooder = "198.51.100.66"
    assert [status(flooder) for _ in range(3)] == [200] * 3
    for neighbour in PEOPLE[::20]:
        assert status(neighbour) == 200
        assert status(f"{neighbour}, {flooder}") == 429  # what a client writes itself helps nobody
        assert status(f"{flooder}, {neighbour}") == 200
    proxy.close()
