"""Bots by name, from the nodes to the API.

Proves: what known bots send, as beacons and as datagrams, to two nodes, one of which is killed in the
middle, is at the central under their names, exactly; what has no name is there under its reason; both
together are what the ledger says; and verify and rebuild come to the same.
"""

import collections
import json
import re

import pytest

from farm import ROOT, midday_zone, today_in

ZONE = midday_zone()
LIST = ROOT / "agent/node/bot_sources/node_modules/crawler-user-agents/crawler-user-agents.json"
CONTENT = {"content_type": "video", "content_id": "6f1c9a52-5c0e-4f0f-9d55-0d6f5a3e8f10"}
DATAGRAM = {"type": "video", "id": CONTENT["content_id"], "ip": "192.0.2.7"}

# by the names that the packaged lists give them
BOTS = {
    "Googlebot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "bingbot": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "curl": "curl/8.7.1",
    "GPTBot": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
}
NAMELESS = "FictionalBot/1.0 (+https://bots.example/)"


def named(answer):
    """{(name, reason): events}"""
    return {(row["name"], row["reason"]): row["events"] for row in answer["rows"]}


class Crowd:
    """Sends, and counts what it sent and was told of."""

    def __init__(self):
        self.sent = collections.Counter()  # (node, source, name, reason)

    def beacons(self, agent, name, ua, n):
        for _ in range(n):
            answer = agent.beacon(CONTENT, headers={"User-Agent": ua})
            assert answer.json() == {"success": True, "tracked": False}
        self.sent[agent.name, "beacon", name, "user_agent"] += n

    def datagrams(self, agent, name, ua, n):
        agent.emit([{**DATAGRAM, "ua": ua}] * n)
        self.sent[agent.name, "datagram", name, "user_agent"] += n

    def wave(self, agent, n):
        """Each bot another number of times, nameless and headers too."""
        for i, (name, ua) in enumerate(BOTS.items()):
            self.beacons(agent, name, ua, n + i)
            self.datagrams(agent, name, ua, 2 * n + i)
        self.beacons(agent, "other", NAMELESS, n)
        self.unnamed(agent, "no_user_agent", {"User-Agent": ""}, n)
        self.unnamed(agent, "prefetch", {"Sec-Purpose": "prefetch"}, n + 1)

    def unnamed(self, agent, reason, headers, n):
        for _ in range(n):
            assert agent.beacon(CONTENT, headers=headers).json()["tracked"] is False
        self.sent[agent.name, "beacon", None, reason] += n

    def of(self, node=None, source=None):
        sums = collections.Counter()
        for (at, by, name, reason), n in self.sent.items():
            if node in (None, at) and source in (None, by):
                sums[name, reason] += n
        return dict(sums)


@pytest.fixture
def nodes(farm):
    central = farm.central(time_zone=ZONE).start()
    options = {"admit": {"rate": "off"}, "http": {"workers": 2}}
    return central, farm.agent("web-1", central, **options), farm.agent("web-2", central, **options)


def ask(central, **more):
    day = today_in(ZONE)
    return central.api("bots", from_=day, to=day, **more)


def test_every_bot_is_at_the_central_under_its_name_also_after_kill_9(nodes):
    central, first, second = nodes
    crowd = Crowd()
    for agent in (first.start(), second.start()):
        crowd.wave(agent, 3)
    second.flush()
    crowd.wave(first, 5)
    first.kill()  # nothing of it was sealed
    first.start()
    crowd.wave(second, 2)
    second.kill()  # some of it was
    second.start()
    crowd.wave(first, 1)
    first.flush()
    second.flush()
    assert named(ask(central)) == crowd.of()
    for node in ("web-1", "web-2"):
        assert named(ask(central, node=node)) == crowd.of(node=node)
    for source in ("beacon", "datagram"):
        assert named(ask(central, source=source)) == crowd.of(source=source)
    totals = central.api("ledger", from_=today_in(ZONE), to=today_in(ZONE))["totals"]
    answer = ask(central)
    assert answer["bots"] == totals["bot"] == sum(crowd.sent.values())
    assert answer["received"] == totals["received"]
    reasons = {row["reason"]: row["events"] for row in answer["reasons"]}
    assert reasons["user_agent"] == totals["reasons"]["bot.user_agent"]
    assert reasons["headers"] == 0


def test_batches_that_come_again_and_again_count_no_bot_twice(nodes):
    central, agent, _ = nodes
    crowd = Crowd()
    agent.start()
    crowd.wave(agent, 4)
    spool = agent.state_dir / "spool"
    central.kill()  # batches wait
    agent.stop()
    waiting = {path: path.read_bytes() for path in spool.glob("*.batch")}
    assert waiting
    central.start()
    agent.start()
    agent.flush()
    assert named(ask(central)) == crowd.of()
    agent.stop()
    for path, data in waiting.items():
        path.write_bytes(data)
    agent.start()
    agent.flush()
    assert named(ask(central)) == crowd.of()


def test_rebuild_comes_to_the_same_and_verify_finds_nothing(nodes):
    central, agent, _ = nodes
    crowd = Crowd()
    agent.start()
    crowd.wave(agent, 4)
    agent.flush()
    central.stop()
    central.run("verify")
    central.run("rebuild")
    central.start()
    assert named(ask(central)) == crowd.of()
    crowd.wave(agent, 1)
    agent.flush()
    central.stop()
    central.run("verify")
    central.start()
    assert named(ask(central)) == crowd.of()


def test_what_the_operators_patterns_find_has_their_name_everywhere(farm):
    """Also where it has quotes, is longer than a name, or is the packaged list's own word."""
    long = "A device in the hall of the third floor, left side, 9"
    patterns = ["Our Kiosk", 'say "hi"', long, "Googlebot"]
    central = farm.central(time_zone=ZONE).start()
    agent = farm.agent("web-1", central, admit={"rate": "off", "bot_patterns": patterns}).start()
    crowd = Crowd()
    for n, pattern in enumerate(patterns, 2):
        ua = f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1) AppleWebKit/605 {pattern.upper()}/1.0"
        crowd.beacons(agent, pattern[:47], ua, n)
        crowd.datagrams(agent, pattern[:47], ua, 3 * n)
    crowd.beacons(agent, "other", NAMELESS, 2)
    metrics = agent.metrics()
    for pattern in patterns:
        label = pattern[:47].replace('"', '\\"')
        assert metrics[f'footfall_bots_total{{name="{label}"}}'] == 4 * (patterns.index(pattern) + 2)
    agent.kill()  # nothing of it was sealed
    agent.start()
    agent.flush()
    assert named(ask(central)) == crowd.of()
    central.stop()
    central.run("verify")
    central.run("rebuild")
    central.start()
    assert named(ask(central)) == crowd.of()


def test_the_command_line_asks_the_same(nodes):
    central, agent, _ = nodes
    agent.start()
    Crowd().beacons(agent, "curl", BOTS["curl"], 3)
    agent.flush()
    shown = central.run("query", "bots", "--reason", "user_agent", "--node", "web-1").stdout
    (row,) = [line.split() for line in shown.splitlines() if line.startswith("curl")]
    assert row == ["curl", "user_agent", "3"]


def test_more_names_than_a_segment_has_places_for_are_counted_all_the_same(farm):
    """The packaged lists have 1,500 names; a segment keeps some 200 apart, who came first."""
    if not LIST.exists():
        pytest.skip("needs the packaged list that the build installs")
    agents = [ua for entry in json.loads(LIST.read_text()) for ua in entry["instances"][:1]]
    central = farm.central(time_zone=ZONE).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}, http={"workers": 1}).start()
    agent.emit([{**DATAGRAM, "ua": ua} for ua in agents if ua])
    metric = re.compile(r'footfall_bots_total{name="(.*)"}')
    met = {m[1]: n for k, n in agent.metrics().items() if (m := metric.fullmatch(k)) and n}
    agent.flush()
    rows = {name: n for (name, reason), n in named(ask(central)).items() if reason == "user_agent"}
    assert sum(rows.values()) == sum(met.values())
    assert len(met) > 250 and len(rows) > 200
    rows.pop("other")
    assert rows == {name: met[name] for name in rows}
