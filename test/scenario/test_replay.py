"""Real traffic, from three agents to one central, equals what plain sets say, exactly.

Proves: no event of a real access log is lost, doubled or put into another day, content or visitor,
whichever node it arrives on, and though an agent and the central are killed in the middle.
"""

import time

import pytest

import replay as log
from farm import midday_zone, today_in

NODES = ["web-1", "web-2", "web-3"]
OPEN = {  # what the expected figures assume: nobody is refused, nothing is a repeat
    "admit": {"bots": "off", "rate": "off", "double_click": "0s", "max_age": "0s"},
    "batch": {"interval": "1h"},
}
pytestmark = pytest.mark.usefixtures("one_salt")  # events of 2015 are hashed under the current one


def by_address(rows):
    order = {address: i for i, address in enumerate(sorted({r.address for r in rows}))}
    return [[r for r in rows if order[r.address] % 3 == n] for n in range(3)]


def in_turn(rows):
    return [rows[n::3] for n in range(3)]


def build(farm, zone="UTC"):
    central = farm.central(time_zone=zone).start()
    return central, [farm.agent(name, central, **OPEN).start().await_salts() for name in NODES]


def send(agents, shares):
    for agent, share in zip(agents, shares):
        agent.emit([log.event(row) for row in share])


def check(central, rows, expected_days):
    total = log.count(rows)
    whole = dict(from_=min(expected_days), to=max(expected_days))
    summary = central.api("summary", **whole)
    assert summary["total_views"] == summary["views"] == total.views
    assert summary["visitors"] == sum(d.visitors for d in expected_days.values())
    assert summary["unique_views"] == sum(d.unique_views for d in expected_days.values())
    assert summary["lost"] == 0

    points = central.api("series", grain="day", **whole)["points"]
    assert {p["t"]: (p["views"], p["visitors"]) for p in points} == {
        day: (d.views, d.visitors) for day, d in expected_days.items()
    }
    for day, of_day in expected_days.items():
        top = central.api("top", from_=day, to=day, limit=1000)["rows"]
        assert len(top) == of_day.contents
        one = central.api("summary", from_=day, to=day)
        assert (one["views"], one["visitors"], one["unique_views"]) == (
            of_day.views,
            of_day.visitors,
            of_day.unique_views,
        )


def check_contents(central, rows, expected_days, zone="UTC"):
    for day in expected_days:
        of_day = [r for r in rows if day in log.days_of([r], zone)]
        found = {
            (r["type"], r["id"]): (r["views"], r["visitors"])
            for r in central.api("top", from_=day, to=day, limit=1000)["rows"]
        }
        assert found == log.contents_of(of_day)


def check_ledger(central, received):
    today = time.gmtime()
    book = central.api(
        "ledger",
        from_=time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400)),
        to=time.strftime("%Y-%m-%d", today),
    )
    totals = book["totals"]
    verdicts = ("accepted", "duplicate", "bot", "limited", "invalid", "shed")
    assert totals["received"] == received == sum(totals[v] for v in verdicts)
    assert totals["accepted"] == totals["stored"] + totals["merged"] == received
    assert {row["node"] for row in book["rows"]} == set(NODES)


def test_three_nodes_by_client_address_equal_the_expected_figures(farm, replay):
    central, agents = build(farm)
    send(agents, by_address(replay))
    for agent in agents:
        agent.flush()
    expected = log.expected()
    whole = expected.pop("TOTAL")
    assert whole.views == len(replay) == 9998
    check(central, replay, expected)
    check_contents(central, replay, expected)
    check_ledger(central, 9998)


def test_visitors_that_meet_only_at_the_central_count_once(farm, replay):
    central, agents = build(farm)
    send(agents, in_turn(replay))
    for agent in agents:
        agent.flush()
    check(central, replay, log.days_of(replay))
    check_contents(central, replay, log.days_of(replay))
    check_ledger(central, 9998)


def test_days_are_those_of_the_zone(farm, replay):
    zone = "Asia/Kathmandu"  # +05:45: no day begins at a full hour of UTC
    central, agents = build(farm, zone)
    send(agents, in_turn(replay))
    for agent in agents:
        agent.flush()
    check(central, replay, log.days_of(replay, zone))


def test_killing_an_agent_and_the_central_in_the_middle_changes_no_figure(farm, replay):
    central, agents = build(farm)
    shares = in_turn(replay)
    half = [share[: len(share) // 2] for share in shares]
    send(agents, half)
    agents[0].flush()

    agents[1].kill()  # with half of its share in the journal, nothing sealed
    central.kill()
    agents[1].start()
    send(agents, [share[len(part) :] for share, part in zip(shares, half)])
    assert agents[2].flush(check=False).returncode == 1  # nobody there to store it
    central.start()
    agents[1].kill()  # sealed or not, forwarded or not
    agents[1].start()
    for agent in agents:
        agent.flush()
    check(central, replay, log.days_of(replay))
    check_contents(central, replay, log.days_of(replay))
    check_ledger(central, 9998)


def test_one_day_as_beacons_through_a_trusted_proxy(farm, replay):
    rows = [r for r in replay if r.date == "20150517"]
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    open_to_proxy = {**OPEN, "http": {"trusted_proxies": ["127.0.0.1/32"]}}
    agent = farm.agent("web-1", central, **open_to_proxy).start().await_salts()
    for row in rows:
        answer = agent.beacon(
            {"content_type": row.type, "content_id": row.id},
            headers={
                # what the client claims stands left of what the proxy saw
                "X-Forwarded-For": f"203.0.113.7, {row.address}",
                "User-Agent": row.ua,
            },
        )
        assert answer.json() == {"success": True, "tracked": True}
    agent.flush()
    day = today_in(zone)
    summary = central.api("summary", from_=day, to=day)
    expected = log.count(rows)
    assert (summary["total_views"], summary["visitors"], summary["unique_views"]) == (
        expected.views,
        expected.visitors,
        expected.unique_views,
    )
    found = central.api("top", from_=day, to=day, limit=1000)["rows"]
    assert {(r["type"], r["id"]): (r["views"], r["visitors"]) for r in found} == log.contents_of(rows)
