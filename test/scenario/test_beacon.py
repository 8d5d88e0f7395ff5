"""Every row of the beacon table, over a real socket.

Proves: status, body and headers of each case, and that the ledger knows each of them.
"""

import concurrent.futures
import http.client
import json
import uuid

import pytest

from farm import BROWSER, midday_zone, request, today_in

VIDEO = "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a11"
TRACKED = {"success": True, "tracked": True}
UNTRACKED = {"success": True, "tracked": False}
ORIGIN = "https://library.example.org"


def body(**more):
    return {"content_type": "video", "content_id": VIDEO, **more}


@pytest.fixture(scope="module")
def agent(module_farm):
    """One agent without a central: what it answers does not depend on one."""
    return module_farm.agent(
        "web-1",
        http={"allowed_origins": [ORIGIN]},
        admit={"rate": "off", "slug_types": ["static"]},
    ).start()


def events(agent, verdict, reason):
    name = f'footfall_events_total{{source="beacon",verdict="{verdict}",reason="{reason}"}}'
    return agent.metrics()[name]


def refused(agent, answer, status):
    assert answer.status == status
    said = answer.json()
    assert said["success"] is False
    assert answer.headers["Cache-Control"] == "no-store"
    return said["error"]


def test_a_view_is_tracked(agent):
    answer = agent.beacon(body())
    assert (answer.status, answer.json()) == (200, TRACKED)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_answer_is_the_documented_one_to_the_byte(agent):
    assert agent.beacon(body()).body == b'{"success":true,"tracked":true}'


def test_a_repeat_is_tracked(agent, one_salt):
    one = body(content_id=str(uuid.uuid4()))
    before = events(agent, "accepted", "repeat")
    assert agent.beacon(one).json() == TRACKED
    assert agent.beacon(one).json() == TRACKED
    assert events(agent, "accepted", "repeat") == before + 1


def test_the_same_event_id_is_recorded_once(agent):
    one = body(event_id=str(uuid.uuid4()), content_id=str(uuid.uuid4()))
    before = events(agent, "duplicate", "event_id")
    assert agent.beacon(one).json() == TRACKED
    for _ in range(4):
        answer = agent.beacon(one)
        assert (answer.status, answer.json()) == (200, UNTRACKED)
    assert events(agent, "duplicate", "event_id") == before + 4


def test_all_optional_fields_together(agent):
    full = body(
        event_id=str(uuid.uuid4()),
        event="play",
        value=12.5,
        session="s-1",
        referrer="https://www.example.com/page?q=1",
        site="library",
    )
    assert agent.beacon(full).json() == TRACKED


def test_unknown_fields_are_ignored(agent):
    assert agent.beacon(body(colour="red", nested={"a": [1, 2]})).json() == TRACKED


def test_text_plain_needs_no_preflight(agent):
    answer = agent.beacon(body(), headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert (answer.status, answer.json()) == (200, TRACKED)


@pytest.mark.parametrize("prefix", ["en", "fr", "DE"])
def test_a_language_prefix_is_the_same_path(agent, prefix):
    assert agent.beacon(body(), path=f"/{prefix}/api/track-view/").json() == TRACKED


@pytest.mark.parametrize("path", ["/eng/api/track-view/", "/api/track", "/e1/api/track-view/", "/"])
def test_other_paths_are_not_found(agent, path):
    assert agent.beacon(body(), path=path).status == 404


def test_a_query_string_does_not_matter(agent):
    assert agent.beacon(body(), path="/api/track-view/?x=1").json() == TRACKED


BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.1.2",
    "python-requests/2.31.0",
]


@pytest.mark.parametrize("ua", BOTS)
def test_bots_are_answered_and_not_tracked(agent, ua):
    before = events(agent, "bot", "user_agent")
    answer = agent.beacon(body(), headers={"User-Agent": ua})
    assert (answer.status, answer.json()) == (200, UNTRACKED)
    assert events(agent, "bot", "user_agent") == before + 1


def test_bots_are_counted_by_name(agent):
    before = agent.metrics().get('footfall_bots_total{name="Googlebot"}', 0)
    agent.beacon(body(), headers={"User-Agent": BOTS[0]})
    assert agent.metrics()['footfall_bots_total{name="Googlebot"}'] == before + 1


def test_prefetch_is_not_tracked(agent):
    answer = agent.beacon(body(), headers={"Sec-Purpose": "prefetch;prerender"})
    assert (answer.status, answer.json()) == (200, UNTRACKED)
    assert events(agent, "bot", "prefetch") == 1


def test_opting_out_counts_only_where_it_is_honoured(agent, farm):
    signals = [{"Sec-GPC": "1"}, {"DNT": "1"}]
    for signal in signals:
        assert agent.beacon(body(), headers=signal).json() == TRACKED
    honours = farm.agent("web-2", http={"respect_privacy": "on"}).start()
    for signal in signals:
        answer = honours.beacon(body(), headers=signal)
        assert (answer.status, answer.json()) == (200, UNTRACKED)
    assert events(honours, "bot", "opted_out") == 2
    assert honours.beacon(body(), headers={"Sec-GPC": "0"}).json() == TRACKED


BAD = [
    ("not json", "json", None),
    ("", "json", None),
    ("[]", "json", None),
    ('{"content_type":"video"', "json", None),
    ('{"content_type":"video","content_id":"%s"} x' % VIDEO, "json", None),
    ('\ufeff{"content_type":"video","content_id":"%s"}' % VIDEO, "json", None),
    ('{"content_type":"video","content_type":"pdf","content_id":"%s"}' % VIDEO, "duplicate_key", None),
    ('{"content_id":"%s"}' % VIDEO, "missing", "content_type"),
    ('{"content_type":"video"}', "missing", "content_id"),
    ("{}", "missing", "content_type"),
    (json.dumps(body(content_type="film")), "type", "content_type"),
    (json.dumps(body(content_type=7)), "type", "content_type"),
    (json.dumps(body(content_id="no-uuid")), "id", "content_id"),
    (json.dumps(body(content_id=VIDEO[:-1])), "id", "content_id"),
    (json.dumps(body(content_id=VIDEO + "0")), "id", "content_id"),
    (json.dumps(body(event_id="7")), "event_id", "event_id"),
    (json.dumps(body(event="")), "event", "event"),
    (json.dumps(body(event="x" * 65)), "event", "event"),
    (json.dumps(body(value="12")), "value", "value"),
    (json.dumps(body(session="x" * 65)), "session", "session"),
    (json.dumps(body(session=1)), "session", "session"),
    (json.dumps(body(referrer=5)), "referrer", "referrer"),
    (json.dumps(body(site="a b")), "site", "site"),
]


@pytest.mark.parametrize("text,reason,names", BAD)
def test_bad_input_is_refused_with_a_reason(agent, text, reason, names):
    before = events(agent, "invalid", reason)
    error = refused(agent, agent.beacon(text), 400)
    assert error
    if names:
        assert names in error
    assert events(agent, "invalid", reason) == before + 1


def test_bad_utf8_is_refused(agent):
    raw = b'{"content_type":"video","content_id":"%s","session":"\xff"}' % VIDEO.encode()
    refused(agent, agent.beacon(raw), 400)


def test_a_slug_is_an_id_only_where_configured(agent):
    assert agent.beacon(body(content_type="static", content_id="about/us")).json() == TRACKED
    refused(agent, agent.beacon(body(content_id="about/us")), 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods_are_not_allowed(agent, method):
    answer = agent.beacon(None if method in ("GET", "HEAD") else body(), method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST, OPTIONS"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_large_body_is_refused(agent):
    before = events(agent, "invalid", "too_large")
    refused(agent, agent.beacon(body(session="x" * 3000)), 413)
    assert events(agent, "invalid", "too_large") == before + 1


def raw_status(agent, head, payload=b""):
    answer = agent.raw(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + payload)
    return int(answer.split(b" ", 2)[1])


def test_a_body_without_a_length_or_in_chunks_is_refused(agent):
    before = events(agent, "invalid", "no_length")
    head = "POST /api/track-view/ HTTP/1.1\nHost: a\nUser-Agent: %s\n" % BROWSER["User-Agent"]
    assert raw_status(agent, head + "Connection: close") == 411
    chunk = b"2\r\n{}\r\n0\r\n\r\n"
    assert raw_status(agent, head + "Transfer-Encoding: chunked\nConnection: close", chunk) == 411
    assert events(agent, "invalid", "no_length") == before + 2


def test_preflight_from_an_allowed_origin(agent):
    answer = agent.beacon(
        None,
        method="OPTIONS",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert "Origin" in answer.headers["Vary"]
    posted = agent.beacon(body(), headers={"Origin": ORIGIN})
    assert posted.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://evil.example", ORIGIN + ".evil.example", "null"])
def test_foreign_origins_get_no_cors_headers(agent, origin):
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for method, payload in (("OPTIONS", None), ("POST", body())):
        answer = agent.beacon(payload, method=method, headers=asks)
        assert not [h for h in answer.headers if h.lower().startswith("access-control")]


def test_over_the_rate_is_429_and_says_when_to_come_back(farm):
    agent = farm.agent("web-1", admit={"rate": "1/1h", "burst": 3}).start()
    for _ in range(3):
        assert agent.beacon(body()).status == 200
    answer = agent.beacon(body())
    refused(agent, answer, 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert events(agent, "limited", "v4") == 1


def test_neighbours_behind_a_trusted_proxy_have_their_own_rates(farm):
    agent = farm.agent(
        "web-1",
        http={"trusted_proxies": ["127.0.0.1/32"]},
        admit={"rate": "1/1h", "burst": 1},
    ).start()
    for host in range(20):
        hop = {"X-Forwarded-For": f"198.51.100.{host}"}
        assert agent.beacon(body(), headers=hop).status == 200
        assert agent.beacon(body(), headers=hop).status == 429


def test_what_the_client_claims_about_its_address_is_not_believed(farm):
    agent = farm.agent("web-1", admit={"rate": "1/1h", "burst": 1}).start()
    claims = [agent.beacon(body(), headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(5)]
    assert [a.status for a in claims] == [200, 429, 429, 429, 429]


def test_a_full_spool_is_503_and_says_when_to_come_back(farm):
    agent = farm.agent(
        "web-1",
        admit={"rate": "off"},
        batch={"spool_max": "1m", "interval": "1h"},
        journal={"segment": "64k", "segments": 8},
    ).start()
    # no central: batches stay; distinct ids do not compress, so the spool fills
    statuses = set()
    connection = http.client.HTTPConnection(*agent.http.split(":"))
    for _ in range(200000):
        payload = json.dumps(body(content_id=str(uuid.uuid4()), event_id=str(uuid.uuid4())))
        connection.request("POST", "/api/track-view/", payload, BROWSER)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        statuses.add(answer.status)
        if answer.status != 200:
            break
    assert statuses == {200, 503}
    assert said["success"] is False
    assert int(answer.headers["Retry-After"]) > 0
    shed = {k: v for k, v in agent.metrics().items() if 'verdict="shed"' in k and v}
    assert sum(shed.values()) == 1


@pytest.fixture
def counted(farm, one_salt):
    """An agent with a central, and what the central then says of today."""
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}).start().await_salts()

    def today():
        agent.flush()
        day = today_in(zone)
        return central.api("summary", from_=day, to=day)

    return agent, today


def post_at_once(agent, bodies, connections):
    """Each connection, kept open, posts its share; all answers."""

    def share(mine):
        connection = http.client.HTTPConnection(*agent.http.split(":"), timeout=60)
        said = []
        for one in mine:
            connection.request("POST", "/api/track-view/", json.dumps(one), BROWSER)
            answer = connection.getresponse()
            said.append((answer.status, json.loads(answer.read())))
        connection.close()
        return said

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        shares = [bodies[n::connections] for n in range(connections)]
        return [one for said in pool.map(share, shares) for one in said]


def test_five_concurrent_identical_posts_are_five_events_and_one_view(counted):
    agent, today = counted
    assert post_at_once(agent, [body()] * 5, 5) == [(200, TRACKED)] * 5
    summary = today()
    assert (summary["total_views"], summary["views"], summary["visitors"]) == (5, 1, 1)
    assert summary["unique_views"] == 1


def test_the_same_event_id_five_times_at_once_is_one_event(counted):
    agent, today = counted
    said = post_at_once(agent, [body(event_id=str(uuid.uuid4()))] * 5, 5)
    assert sorted(one["tracked"] for _, one in said) == [False] * 4 + [True]
    summary = today()
    assert (summary["total_views"], summary["views"], summary["visitors"]) == (1, 1, 1)


def test_many_concurrent_posts_of_distinct_events_are_all_counted(counted):
    agent, today = counted
    bodies = [
        body(content_id=str(uuid.uuid4()), event_id=str(uuid.uuid4())) for _ in range(3000)
    ]
    assert post_at_once(agent, bodies, 60) == [(200, TRACKED)] * 3000
    summary = today()
    assert (summary["total_views"], summary["views"], summary["visitors"]) == (3000, 3000, 1)
    assert summary["unique_views"] == 3000


def test_the_tracker_is_served_and_cached(agent):
    plain = request(agent.http, "GET", "/js/analytics-tracking.js")
    assert plain.status == 200
    assert "javascript" in plain.headers["Content-Type"]
    again = request(
        agent.http, "GET", "/js/analytics-tracking.js", headers={"If-None-Match": plain.headers["ETag"]}
    )
    assert (again.status, again.body) == (304, b"")
    small = request(agent.http, "GET", "/js/analytics-tracking.js", headers={"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.body) <= 1024
