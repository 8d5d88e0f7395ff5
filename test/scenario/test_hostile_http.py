"""Requests that no honest client sends, as raw bytes: smuggling, malformed heads, odd bodies.

Proves: whatever two programs in a row could read differently is refused, never counted as a view, the
connection is closed and a counter has it; what is odd but clear gets its answer; and after all of it
an honest beacon counts, and what the agent judged is what the central holds.
"""

import json
import re

import pytest

from farm import BROWSER, Counts, connect, midday_zone, raw, request, today_in, wait_for

CONTENT = "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a12"
BODY = json.dumps({"content_type": "video", "content_id": CONTENT}).encode()
TARGET = b"/api/track-view/"
LENGTH = b"Content-Length: %d" % len(BODY)
COMMON = [b"Host: a", b"User-Agent: " + BROWSER["User-Agent"].encode(), b"Accept-Language: en"]
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
# a request that must never be seen where it stands in another one's body
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def beacon(*more, line=b"POST " + TARGET + b" HTTP/1.1", common=COMMON, payload=BODY):
    return b"\r\n".join([line, *common, *more, b"", payload])


def statuses(answer):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.fixture(scope="module")
def zone():
    return midday_zone()


@pytest.fixture(scope="module")
def central(module_farm, zone):
    return module_farm.central(time_zone=zone).start()


@pytest.fixture(scope="module")
def agent(module_farm, central):
    return module_farm.agent(
        "web-1",
        central,
        http={"connections_per_address": 0},
        admit={"rate": "off", "double_click": "0s"},
    ).start()


REFUSALS = ("http_guard_refused_total", "http_malformed_total")


def check_refused(agent, data, allowed=(400,), shut=False):
    """One refusal, counted once, no view, and the connection closed."""
    counts = Counts(agent)
    seen = statuses(agent.raw(data, shut))
    assert seen == [] or seen[0] in allowed, seen
    wait_for("the refusal to be counted", lambda: counts(*REFUSALS) >= 1)
    assert counts(*REFUSALS) == 1
    assert counts.views() == 0
    assert counts("http_not_found_total") == 0  # HIDDEN was not seen


AMBIGUOUS = {
    "length and chunked": beacon(LENGTH, b"Transfer-Encoding: chunked", payload=CHUNKED + HIDDEN),
    "chunked and length": beacon(b"Transfer-Encoding: chunked", LENGTH, payload=CHUNKED + HIDDEN),
    "length twice": beacon(LENGTH, b"Content-Length: 0", payload=HIDDEN),
    "the same length twice": beacon(LENGTH, LENGTH),
    "a list of lengths": beacon(b"Content-Length: 5, 5"),
    "a signed length": beacon(b"Content-Length: +5"),
    "a negative length": beacon(b"Content-Length: -1"),
    "a hexadecimal length": beacon(b"Content-Length: 0x5"),
    "a length with a blank": beacon(b"Content-Length: 7 6"),
    "an empty length": beacon(b"Content-Length:"),
    "a length beyond 64 bits": beacon(b"Content-Length: 18446744073709551617"),
    "another coding": beacon(b"Transfer-Encoding: xchunked", payload=CHUNKED),
    "a quoted coding": beacon(b'Transfer-Encoding: "chunked"', payload=CHUNKED),
    "codings": beacon(b"Transfer-Encoding: gzip, chunked", payload=CHUNKED),
    "chunked not last": beacon(b"Transfer-Encoding: chunked, identity", payload=CHUNKED),
    "identity": beacon(b"Transfer-Encoding: identity", LENGTH),
    "an empty coding": beacon(b"Transfer-Encoding:", LENGTH),
    "chunked twice": beacon(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked in a folded line": beacon(b"Transfer-Encoding:", b" chunked", LENGTH),
    "a name in a folded line": beacon(b"Transfer-: chunked", b" Encoding", LENGTH),
    "a folded line": beacon(b"X: a", b" b", LENGTH),
    "a folded line first": beacon(LENGTH, common=[b" X: a", *COMMON]),
    "a tab-folded line last": beacon(LENGTH, b"X: a", b"\tb"),
    "chunked in HTTP/1.0": beacon(
        b"Transfer-Encoding: chunked", line=b"POST " + TARGET + b" HTTP/1.0", payload=CHUNKED
    ),
    "a blank before the colon": beacon(b"Content-Length : %d" % len(BODY)),
    "a tab before the colon": beacon(b"Transfer-Encoding\t: chunked", LENGTH),
    "a blank in a name": beacon(b"Content Length: 3", LENGTH),
    "a line without a colon": beacon(b"Content-Length", LENGTH),
    "an empty name": beacon(b": x", LENGTH),
    "a name beyond ASCII": beacon(b"X\xe4: x", LENGTH),
    "Host twice": beacon(LENGTH, b"Host: b"),
    "the same Host twice": beacon(LENGTH, b"Host: a"),
    "no Host": beacon(LENGTH, common=COMMON[1:]),
    "a Host with a blank": beacon(LENGTH, common=[b"Host: a b", *COMMON[1:]]),
    "a Host with a path": beacon(LENGTH, common=[b"Host: a/b", *COMMON[1:]]),
    "a Host with a user": beacon(LENGTH, common=[b"Host: x@a", *COMMON[1:]]),
    "a blank in the target": beacon(LENGTH, line=b"POST /api /x HTTP/1.1"),
    "a tab in the target": beacon(LENGTH, line=b"POST " + TARGET + b"\tx HTTP/1.1"),
    "two blanks": beacon(LENGTH, line=b"POST  " + TARGET + b" HTTP/1.1"),
    "a blank at the end": beacon(LENGTH, line=b"POST " + TARGET + b" HTTP/1.1 "),
    "an encoded NUL": beacon(LENGTH, line=b"POST " + TARGET + b"%00x HTTP/1.1"),
    "an encoded NUL in the query": beacon(LENGTH, line=b"POST " + TARGET + b"?a=%00 HTTP/1.1"),
    "an odd method": beacon(LENGTH, line=b"PO(ST " + TARGET + b" HTTP/1.1"),
    "a method of no token": beacon(LENGTH, line=b"POST\x01 " + TARGET + b" HTTP/1.1"),
    "no version": beacon(LENGTH, line=b"POST " + TARGET),
    "no target": beacon(LENGTH, line=b"POST"),
    "a version in small letters": beacon(LENGTH, line=b"POST " + TARGET + b" http/1.1"),
    "a long version": beacon(LENGTH, line=b"POST " + TARGET + b" HTTP/1.10"),
    "a bare LF behind the request line": beacon(LENGTH).replace(b"\r\n", b"\n", 1),
    "bare LFs all over": beacon(LENGTH).replace(b"\r\n", b"\n"),
    "a bare LF behind the last header": beacon(LENGTH, b"X: y").replace(b"y\r\n", b"y\n"),
    "a bare LF as the empty line": beacon(LENGTH, b"X: y").replace(b"y\r\n\r\n", b"y\r\n\n"),
    "a hidden header": beacon(LENGTH, b"X: y\nTransfer-Encoding: chunked"),
    "a CR too many": beacon(LENGTH, b"X: y\r"),
    "a NUL that ends a value": beacon(LENGTH, b"X: y\0"),
    "a NUL that hides a value": beacon(LENGTH, b"X: y\0z"),
    "a NUL that hides a line": beacon(LENGTH, b"\0X: y"),
    "a NUL as the empty line": beacon(LENGTH, b"\0"),
    "a NUL in a name": beacon(b"Content-Length\0: 3", LENGTH),
    "a DEL": beacon(LENGTH, b"X: \x7f"),
    "the end of HTTP/0.9": b"GET " + TARGET + b"\r\n\r\n",
    "garbage": b"garbage\r\n\r\n",
    "a colon": b":\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_two_programs_could_read_differently_is_refused(agent, name):
    check_refused(agent, AMBIGUOUS[name], (400, 413, 505))


OTHER_PROTOCOLS = {
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "HTTP/3": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", (400, 505)),
    "HTTP/0.8": (b"GET / HTTP/0.8\r\nHost: a\r\n\r\n", (400, 505)),
    "TLS": (b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + b"r" * 250 + b"\n", (400,)),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", (400,)),
    "SMTP": (b"EHLO example.org\r\n", (400,)),
    "memcached": (b"stats\r\n", (400,)),
    "Redis": (b"*1\r\n$4\r\nPING\r\n", (400,)),
    "PROXY": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", (400,)),
}


@pytest.mark.parametrize("name", OTHER_PROTOCOLS)
def test_other_protocols_are_refused(agent, name):
    check_refused(agent, *OTHER_PROTOCOLS[name])


TOO_LARGE = {
    "ten thousand headers": (beacon(LENGTH, *[b"a: b"] * 10000), (413, 431)),
    "an endless header": (beacon(LENGTH, b"X: " + b"x" * 100000), (413, 431)),
    "an endless name": (beacon(LENGTH, b"X" * 100000 + b": x"), (413, 431)),
    "an endless target": (beacon(line=b"GET /" + b"x" * 100000 + b" HTTP/1.1"), (400, 414)),
    "an endless method": (b"X" * 100000 + b" / HTTP/1.1\r\n\r\n", (400, 413, 414, 431, 501)),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_head_beyond_all_measure_is_refused(agent, name):
    data, allowed = TOO_LARGE[name]
    counts = Counts(agent)
    try:
        seen = statuses(agent.raw(data))
    except ConnectionError:  # it was closed while we were still sending
        seen = []
    assert seen == [] or seen[0] in allowed
    wait_for("the refusal to be counted", lambda: counts(*REFUSALS) == 1)


# -- a byte anywhere --

PLAIN = beacon(LENGTH, b"Connection: close", common=[b"Host: a", b"User-Agent: Mozilla/5.0 (X11)"])
HEAD = PLAIN[: -len(BODY)]


@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n", b"\x0b"], ids=["NUL", "CR", "LF", "VT"])
def test_a_control_character_anywhere_in_a_head_is_never_a_view(agent, byte):
    counts = Counts(agent)
    for at in range(1, len(HEAD)):
        data = PLAIN[:at] + byte + PLAIN[at:]
        assert 200 not in statuses(agent.raw(data, shut=True)), data
    assert counts('events_total{source="beacon",verdict="bot",reason="user_agent"}') == 0
    assert counts.views() == 0


# -- odd, but clear --

CLEAR = {
    "no blank behind the colon": (beacon(b"Connection:close", LENGTH), 200),
    "many blanks": (beacon(b"X:  \t y \t", b"Connection: close", LENGTH), 200),
    "empty values": (beacon(b"X:", b"Y: ", b"Connection: close", LENGTH), 200),
    "every tchar": (beacon(b"!#$%&'*+-.^_`|~09azAZ: x", b"Connection: close", LENGTH), 200),
    "bytes beyond ASCII in a value": (beacon(b"X: \xff\xfe", b"Connection: close", LENGTH), 200),
    "an empty line first": (b"\r\n" + beacon(b"Connection: close", LENGTH), 200),
    "HTTP/1.0": (beacon(LENGTH, line=b"POST " + TARGET + b" HTTP/1.0"), 200),
    "an encoded letter": (
        beacon(b"Connection: close", LENGTH, line=b"POST /api/track%2dview/ HTTP/1.1"),
        200,
    ),
    "a query": (beacon(b"Connection: close", LENGTH, line=b"POST " + TARGET + b"?%zz HTTP/1.1"), 200),
    "an encoded slash too many": (
        beacon(b"Connection: close", LENGTH, line=b"POST /api%2f%2ftrack-view/ HTTP/1.1"),
        404,
    ),
    "dots": (beacon(b"Connection: close", LENGTH, line=b"POST /x/.." + TARGET + b" HTTP/1.1"), 404),
    "encoded dots": (
        beacon(b"Connection: close", LENGTH, line=b"POST /%2e%2e/etc/passwd HTTP/1.1"),
        404,
    ),
    "absolute form": (
        beacon(b"Connection: close", LENGTH, line=b"POST http://a" + TARGET + b" HTTP/1.1"),
        200,
    ),
    "CONNECT": (beacon(b"Connection: close", line=b"CONNECT a:443 HTTP/1.1", payload=b""), 404),
    "OPTIONS *": (beacon(b"Connection: close", line=b"OPTIONS * HTTP/1.1", payload=b""), 404),
    "TRACE": (beacon(b"Connection: close", line=b"TRACE / HTTP/1.1", payload=b""), 404),
    "another method": (beacon(b"Connection: close", line=b"PUT " + TARGET + b" HTTP/1.1"), 405),
    "upgrade to HTTP/2": (
        beacon(b"Connection: Upgrade, HTTP2-Settings, close", b"Upgrade: h2c", LENGTH),
        200,
    ),
    "chunked": (beacon(b"Transfer-Encoding: chunked", payload=CHUNKED), 411),
    "no length": (beacon(b"Connection: close", payload=b""), 411),
    "a length of zero": (beacon(b"Content-Length: 0", b"Connection: close", payload=b""), 400),
    "a huge body": (beacon(b"Content-Length: 1000000000000"), 413),
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_is_odd_but_clear_is_answered(agent, name):
    data, status = CLEAR[name]
    counts = Counts(agent)
    assert statuses(agent.raw(data)) == [status]
    assert counts(*REFUSALS) == 0
    assert counts("http_requests_total") == 1
    assert counts.views() == (status == 200)


def test_a_huge_body_without_a_length_is_cut_off(agent):
    endless = b"".join(b"1000\r\n%b\r\n" % (b"x" * 4096) for _ in range(4000))
    counts = Counts(agent)
    try:
        assert statuses(agent.raw(beacon(b"Transfer-Encoding: chunked", payload=endless))) == [411]
    except ConnectionError:  # it was closed while we were still sending
        pass
    assert counts('events_total{source="beacon",verdict="invalid",reason="no_length"}') == 1


def test_who_waits_for_100_continue_gets_it_or_the_refusal(agent):
    expect = [b"Expect: 100-continue", b"Connection: close"]
    with connect(agent.http) as patient:
        patient.sendall(beacon(*expect, LENGTH, payload=b""))
        assert statuses(patient.recv(65536)) == [100]
        patient.sendall(BODY)
        assert statuses(patient.recv(65536)) == [200]
    huge = beacon(*expect, b"Content-Length: 100000", payload=b"")
    assert statuses(agent.raw(huge)) == [413]
    lost = beacon(*expect, LENGTH, line=b"POST /nowhere HTTP/1.1", payload=b"")
    assert statuses(agent.raw(lost)) == [404]


def test_behind_a_bad_request_nothing_is_read(agent):
    good, bad = beacon(LENGTH), AMBIGUOUS["length and chunked"]
    counts = Counts(agent)
    assert statuses(agent.raw(good + good + bad + good + good)) == [200, 200, 400]
    assert counts.views() == 2
    assert counts(*REFUSALS) == 1
    counts = Counts(agent)
    assert statuses(agent.raw(good + b"garbage\r\n\r\n" + good))[0] == 200
    assert counts.views() == 1
    wait_for("the garbage to be counted", lambda: counts("http_malformed_total") == 1)


def test_honest_connections_leave_no_trace_among_the_refused(agent):
    counts = Counts(agent)
    for end in (b"", b"\r\n"):
        with connect(agent.http) as kept:
            for at in range(3):
                kept.sendall(beacon(LENGTH) + (end if at == 2 else b""))
                assert statuses(kept.recv(65536)) == [200]
    wait_for("connections to end", lambda: agent.status()["http"]["connections_open"] == 0)
    assert counts.views() == 6
    others = ("http_connections_unused_total", "http_incomplete_total")
    assert counts(*REFUSALS, *others) == 0


def test_a_body_is_never_a_request(agent):
    """What looks like a request in a beacon's body is its body."""
    counts = Counts(agent)
    inner = beacon(LENGTH)
    data = beacon(b"Content-Length: %d" % len(inner), payload=inner) + beacon(
        b"Connection: close", LENGTH
    )
    assert statuses(agent.raw(data)) == [400, 200]
    assert counts("http_requests_total") == 2
    assert counts.views() == 1


# -- the same at the other surfaces --


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_the_central_refuses_them_too(central, name):
    data = AMBIGUOUS[name].replace(TARGET, b"/api/v1/login")
    seen = statuses(raw(central.address, data))
    assert seen == [] or seen[0] in (400, 411, 413, 505), seen


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_so_does_the_surface_for_operators(agent, name):
    data = AMBIGUOUS[name].replace(TARGET, b"/flush")
    seen = statuses(raw(agent.addresses["admin"], data))
    assert seen == [] or seen[0] in (400, 411, 413, 505), seen


def test_a_refusal_of_the_central_is_counted(farm):
    central = farm.central().start()  # nothing that it counts is still to be counted

    def bad():
        text = request(central.address, "GET", "/metrics").body.decode()
        line = re.search(r'^footfall_central_\w*{[^}]*class="other"[^}]*"400"[^}]*} (\d+)', text, re.M)
        return int(line[1]) if line else 0

    assert bad() == 0
    raw(central.address, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    raw(central.address, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    wait_for("both to be counted", lambda: bad() == 2)


# -- after all of it --


def test_afterwards_an_honest_beacon_counts_and_the_books_balance(agent, central, zone):
    counts = Counts(agent)
    answer = agent.beacon(BODY)
    assert answer.status == 200 and answer.json()["tracked"] is True
    assert counts.views() == 1
    status = agent.status()
    assert status["received"] == sum(status["verdicts"].values()) == agent.judged()
    agent.flush()
    day = today_in(zone)
    totals = central.api("ledger", from_=day, to=day)["totals"]
    assert totals["received"] == status["received"]
    assert totals["accepted"] == totals["stored"] == status["verdicts"]["accepted"]
    assert request(agent.addresses["admin"], "GET", "/readyz").status == 200
