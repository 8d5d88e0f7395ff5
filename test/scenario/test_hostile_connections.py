"""Clients that hold connections: slow, silent, half-open, many, never reading.

Proves: whoever takes longer than request_timeout is cut off, whatever he does meanwhile; a full worker
serves again as soon as places are free; one address cannot take them all; and what was cut off is counted.
"""

import json
import select
import signal
import socket
import threading
import time

import pytest

from farm import BROWSER, PATIENCE, Counts, connect, request, wait_for

BODY = json.dumps(
    {"content_type": "video", "content_id": "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a13"}
).encode()
HEAD = (
    b"POST /api/track-view/ HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\nAccept-Language: en\r\n"
    b"Content-Length: %d\r\n" % (BROWSER["User-Agent"].encode(), len(BODY))
)
REQUEST = HEAD + b"\r\n" + BODY
INCOMPLETE = 'events_total{source="beacon",verdict="invalid",reason="incomplete"}'


@pytest.fixture(scope="module")
def hasty(module_farm):
    """A request has a second here, and so has the pause between two."""
    return module_farm.agent(
        "hasty",
        http={"request_timeout": "1s", "idle_timeout": "1s", "connections_per_address": 0},
        admit={"rate": "off", "double_click": "0s"},
    ).start()


def is_closed(connection, within):
    """Reads what has come; whether the end of the stream, or a reset, is among it."""
    if not select.select([connection], [], [], within)[0]:
        return False
    try:
        return not connection.recv(65536)
    except ConnectionError:
        return True


def trickle(connection, data, pause=0.02):
    """Byte by byte, again and again, until the other end closes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for at in range(len(data)):
            if is_closed(connection, pause):
                return
            try:
                connection.sendall(data[at : at + 1])
            except ConnectionError:
                return
    raise TimeoutError("it was never cut off")


TRICKLES = {
    "a target": (b"GET /", b"a", "http_incomplete_total"),
    "empty lines": (b"", b"\r\n", "http_malformed_total"),
    "headers": (HEAD, b"X: y\r\n", "http_incomplete_total"),
    "a header": (HEAD + b"X: ", b"y", "http_incomplete_total"),
    "a body": (HEAD.replace(b": 79", b": 2000") + b"\r\n", b" ", INCOMPLETE),
}


@pytest.mark.parametrize("name", TRICKLES)
def test_who_sends_a_byte_at_a_time_is_cut_off(hasty, name):
    begin, then, counter = TRICKLES[name]
    counts = Counts(hasty)
    with connect(hasty.http) as slow:
        slow.sendall(begin)
        trickle(slow, then)
    wait_for("it to be counted", lambda: counts(counter) == 1)
    assert counts("http_request_timeouts_total") == (counter != "http_malformed_total")


def test_so_is_who_does_it_behind_a_good_request(hasty):
    counts = Counts(hasty)
    with connect(hasty.http) as slow:
        slow.sendall(REQUEST)
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        trickle(slow, b"\r\n")
    assert counts.views() == 1
    wait_for("the second line to be counted", lambda: counts("http_malformed_total") == 1)


def test_a_beacon_byte_by_byte_counts_when_it_is_in_time(farm):
    agent = farm.agent("patient", http={"request_timeout": "60s"}, admit={"rate": "off"}).start()
    with connect(agent.http) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(REQUEST)):
            slow.sendall(REQUEST[at : at + 1])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")


def test_who_never_reads_is_cut_off(hasty):
    """The answers fill the buffers, and then nothing moves any more."""
    counts = Counts(hasty)
    deaf = socket.socket()
    with deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = hasty.http.rsplit(":", 1)
        deaf.settimeout(PATIENCE)
        deaf.connect((host, int(port)))
        with pytest.raises(ConnectionError):
            while True:
                deaf.sendall(REQUEST * 100)
    wait_for("it to be counted", lambda: counts("http_request_timeouts_total") >= 1)


def test_silent_and_half_open_connections_end(hasty):
    counts = Counts(hasty)
    silent = [connect(hasty.http) for _ in range(50)]
    half = [connect(hasty.http) for _ in range(50)]
    for connection in half:
        connection.shutdown(socket.SHUT_WR)
    for connection in silent + half:
        assert connection.recv(1) == b""
        connection.close()
    wait_for("all to be counted", lambda: counts("http_connections_unused_total") == 100)


def test_a_request_that_ends_anywhere_is_counted(farm):
    agent = farm.agent("patient", http={"connections_per_address": 0}).start()
    counts = Counts(agent)
    cut = []
    for at in range(len(REQUEST)):
        connection = connect(agent.http)
        connection.sendall(REQUEST[:at])
        connection.shutdown(socket.SHUT_WR)
        cut.append(connection)
    for connection in cut:
        assert b" 200 " not in connection.recv(65536)
        connection.close()
    ends = ("http_connections_unused_total", "http_incomplete_total", INCOMPLETE)
    wait_for("all to be counted", lambda: counts(*ends) == len(REQUEST))
    assert counts("http_connections_unused_total") == 1
    assert counts(INCOMPLETE) == len(BODY)
    assert counts("http_connections_total") == len(REQUEST)


# -- limits --


@pytest.fixture
def small(farm):
    """Eight places in all."""

    def start(*listen, **more):
        return farm.agent(
            "small",
            http={
                "listen": listen or ["127.0.0.1:0"],
                "workers": 1,
                "connections": 8,
                "connections_per_address": 0,
                "request_timeout": "1s",
                "idle_timeout": "1s",
                **more,
            },
            admit={"rate": "off", "double_click": "0s"},
        ).start()

    return start


def test_a_full_worker_serves_again_when_places_are_free(small):
    agent = small()
    counts = Counts(agent)
    held = [connect(agent.http) for _ in range(8)]
    with connect(agent.http) as waiting:
        waiting.sendall(REQUEST)
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")
    for connection in held:
        assert connection.recv(1) == b""
        connection.close()
    assert counts("http_connections_total") == 9
    assert counts("http_connections_full_total") == 0


def test_a_storm_of_connections_on_two_addresses_stops_nobody(small):
    """A worker with two doors, always at its limit."""
    agent = small("127.0.0.1:0", "127.0.0.1:0")
    addresses = [agent.addresses["http"], agent.addresses["http2"]]
    left = threading.Semaphore(6000)

    def storm(address):
        while left.acquire(blocking=False):
            try:
                connect(address).close()
            except OSError:
                pass

    storms = [threading.Thread(target=storm, args=(a,)) for a in addresses * 8]
    for thread in storms:
        thread.start()
    for thread in storms:
        thread.join()

    def serves(address):
        try:
            return request(address, "GET", "/nothing").status == 404
        except OSError:  # it was full
            return False

    for address in addresses:
        wait_for(f"{address} to serve", lambda: serves(address))


def answered(connection):
    """Whether the connection was taken at all."""
    try:
        connection.sendall(REQUEST)
        return connection.recv(65536).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def test_one_address_holds_so_many_connections_and_no_more(small, tmp_path):
    sock = tmp_path / "agent.sock"
    agent = small(
        "127.0.0.1:0", "127.0.0.1:0", f"unix:{sock}", connections=64, connections_per_address=4,
        request_timeout="60s", idle_timeout="60s",
    )
    counts = Counts(agent)
    addresses = [agent.addresses["http"], agent.addresses["http2"]]
    held = [connect(a) for a in addresses for _ in range(2)]
    assert all(answered(c) for c in held)
    for address in addresses:
        with connect(address) as one_too_many:
            assert not answered(one_too_many)
        with connect(address, ("127.0.0.2", 0)) as neighbour:
            assert answered(neighbour)
    assert counts("http_connections_crowded_total") == 2
    for _ in range(8):
        with socket.socket(socket.AF_UNIX) as local:
            local.connect(str(sock))
            assert answered(local)
            held.append(local.dup())
    assert agent.status()["http"]["crowded_connections"] == 2
    assert agent.log().count("connections_per_address") == 1

    held.pop(0).close()

    def place_is_free():
        with connect(addresses[0]) as next_one:
            return answered(next_one)

    wait_for("a place", place_is_free)
    for connection in held:
        connection.close()


def test_a_trusted_proxy_may_hold_any_number(small):
    agent = small(
        connections=64, connections_per_address=4, trusted_proxies=["127.0.0.1/32"],
        request_timeout="60s", idle_timeout="60s",  # held for as long as the test takes
    )
    held = [connect(agent.http) for _ in range(20)]
    assert all(answered(c) for c in held)
    agent.sections["http"]["trusted_proxies"] = []
    agent.write_conf()
    agent.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: 'msg="reloaded"' in agent.log())

    def turned_away():
        with connect(agent.http) as further:
            return not answered(further)

    wait_for("trust to end", turned_away)
    for connection in held:
        connection.close()


def test_operators_get_in_though_somebody_holds_every_place(hasty):
    """They may be turned away, while places are held for less than half a minute, but not for long."""
    held = [connect(hasty.addresses["admin"]) for _ in range(40)]
    with connect(hasty.addresses["admin"]) as further:
        assert is_closed(further, PATIENCE)
    for connection in held:
        connection.close()
    wait_for("a place", lambda: hasty._is_ready())


def test_afterwards_beacons_count_as_ever(hasty):
    counts = Counts(hasty)
    assert hasty.beacon(BODY).json()["tracked"] is True
    assert counts.views() == 1
    status = hasty.status()
    assert status["received"] == sum(status["verdicts"].values()) == hasty.judged()
    wait_for("connections to end", lambda: hasty.status()["http"]["connections_open"] == 0)
