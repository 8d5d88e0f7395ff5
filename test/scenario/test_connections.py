"""What an honest but awkward client does with a connection, and what a stop, a reload or a full machine does to it.

Proves: pipelined requests are answered whole and in order, also to who reads late and with a reload in
between; who pauses or does not read holds up nobody else; half-closed clients get their answers; each
kind of listening socket is served by every worker; an agent without places or descriptors waits
without working and goes on by itself; and who waits in the backlog at a stop is answered.
"""

import contextlib
import glob
import json
import os
import re
import resource
import signal
import socket
import threading
import time
import uuid

import pytest

from farm import BIN, BROWSER, PATIENCE, Counts, connect, request, wait_for

TRACK = "/api/track-view/"
SCRIPT = "/js/analytics-tracking.js"
BODY = json.dumps(
    {"content_type": "video", "content_id": "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a14"}
).encode()
ORIGIN = "https://pages.example"
EPOLL = "anon_inode:[eventpoll]"
TICK = os.sysconf("SC_CLK_TCK")


def ask(method, path, *more, body=b"", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: a", f"User-Agent: {BROWSER['User-Agent']}"]
    lines += ["Accept-Language: en", *more]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


BEACON = ask("POST", TRACK, body=BODY)


class Reader:
    """Answers, one after the other, as a strict client takes them apart."""

    def __init__(self, connection):
        self.file = connection.makefile("rb")

    def next(self, method="GET"):
        """(status, headers, body), or None at the end of the stream."""
        line = self.file.readline()
        if not line:
            return None
        found = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [A-Za-z ]*\r\n", line)
        assert found, line
        status, headers = int(found[1]), {}
        while (line := self.file.readline()) != b"\r\n":
            name, value = re.fullmatch(rb"([A-Za-z-]+): ([ -~]*)\r\n", line).groups()
            assert name not in headers, line
            headers[name.decode()] = value.decode()
        bare = method == "HEAD" or status in (100, 204, 304)
        body = b"" if bare else self.file.read(int(headers["Content-Length"]))
        assert bare or len(body) == int(headers["Content-Length"])
        return status, headers, body


def agent_of(farm, **http):
    return farm.agent(
        "awkward",
        http={"workers": 1, "connections_per_address": 0, "demo": "on", **http},
        admit={"rate": "off", "double_click": "0s"},
    ).start()


@pytest.fixture(scope="module")
def agent(module_farm):
    return agent_of(module_farm, connection_memory="4k")


def reload(agent, **http):
    agent.sections["http"].update(http)
    agent.write_conf()
    seen = agent.log().count("reloaded")
    agent.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: agent.log().count("reloaded") > seen)


# -- many requests --


def test_more_requests_than_memory_are_answered_in_order(agent):
    kinds = [(BEACON, 200), (ask("GET", "/nothing"), 404), (ask("GET", TRACK), 405)]
    kinds += [(ask("POST", "/nothing", body=b"x" * 700), 404), (ask("OPTIONS", TRACK), 204)]
    counts = Counts(agent)
    with connect(agent.http) as client:
        client.sendall(b"".join(data for data, _ in kinds) * 40)
        read = Reader(client)
        for at in range(40 * len(kinds)):
            assert read.next()[0] == kinds[at % len(kinds)][1], at
    assert counts.views() == 40
    assert counts("http_requests_total") == 40 * len(kinds)


class Late:
    """A client that sends everything at once, and reads nothing until it is told to."""

    def __init__(self, agent, data):
        self.agent, self.counts = agent, Counts(agent)
        self.client = socket.socket()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.client.settimeout(PATIENCE)
        host, port = agent.http.rsplit(":", 1)
        self.client.connect((host, int(port)))
        self.sender = threading.Thread(target=self.client.sendall, args=(data,))
        self.sender.start()

    def await_standstill(self):
        """Answers fill the sockets, and the agent reads no further; how many it has answered."""
        last = [-1]

        def stands():
            now = self.counts("http_requests_total")
            last.append(now)
            return now > 0 and last[-5:] == [now] * 5

        wait_for("a standstill", stands)
        return last[-1]

    def close(self):
        self.client.close()
        self.sender.join()


def test_who_reads_late_gets_every_answer_whole_and_holds_up_nobody(agent):
    script = request(agent.http, "GET", SCRIPT).body
    page = request(agent.http, "GET", "/demo").body
    kinds = [("GET", SCRIPT, script), ("GET", "/demo", page), ("HEAD", "/demo", b"")]
    rounds = 1500
    late = Late(agent, b"".join(ask(method, path) for method, path, _ in kinds) * rounds)
    assert late.await_standstill() < rounds * len(kinds)
    assert request(agent.http, "GET", "/nothing").status == 404
    read = Reader(late.client)
    for at in range(rounds * len(kinds)):
        method, _, body = kinds[at % len(kinds)]
        status, headers, got = read.next(method)
        assert (status, got) == (200, body), at
    assert late.counts("http_requests_total") == rounds * len(kinds) + 1
    late.close()


def test_a_reload_while_answers_wait_changes_those_that_follow(farm):
    agent = agent_of(farm)
    number = 40000
    late = Late(agent, ask("GET", "/nothing", f"Origin: {ORIGIN}") * number)
    done = late.await_standstill()
    assert done < number
    reload(agent, allowed_origins=[ORIGIN])
    most = late.counts("http_requests_total")  # as many, unless it went on in spite of all
    answer = request(agent.http, "GET", "/nothing", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    read = Reader(late.client)
    allowed = []
    for _ in range(number):
        status, headers, _ = read.next()
        assert status == 404
        allowed.append(headers.get("Access-Control-Allow-Origin"))
    former = allowed.count(None)
    assert done <= former <= most
    assert allowed == [None] * former + [ORIGIN] * (number - former)
    late.close()


# -- a pause, or half an end --


def test_a_pause_before_the_body_holds_up_nobody(agent):
    with connect(agent.http) as slow:
        slow.sendall(BEACON[: -len(BODY)])
        for _ in range(3):
            assert agent.beacon(BODY).status == 200
        slow.sendall(BODY[:10])
        assert agent.beacon(BODY).status == 200
        slow.sendall(BODY[10:])
        assert Reader(slow).next()[0] == 200


def test_who_closes_his_half_gets_his_answers(agent):
    with connect(agent.http) as client:
        client.sendall(BEACON * 30 + ask("GET", SCRIPT))
        client.shutdown(socket.SHUT_WR)
        read = Reader(client)
        assert [read.next()[0] for _ in range(31)] == [200] * 31
        assert read.next() is None
    late = Late(agent, ask("GET", SCRIPT) * 3000)
    late.await_standstill()
    read = Reader(late.client)
    assert read.next()[0] == 200
    late.sender.join()
    late.client.shutdown(socket.SHUT_WR)
    for at in range(1, 3000):
        assert read.next()[0] == 200, at
    assert read.next() is None
    late.close()


def test_requests_that_arrive_together_are_each_judged_and_answered(agent):
    """In one wake-up: a verdict begins while that of another connection is awaited."""

    def beacon(event, version="1.1"):
        body = json.dumps({**json.loads(BODY), "event_id": str(uuid.UUID(int=event))}).encode()
        return ask("POST", TRACK, version=version, body=body)

    tracked = b'{"success":true,"tracked":true}'
    wrong = ask("POST", TRACK, body=b'{"content_type":"video"}')
    room = 4096 - len(ask("POST", TRACK, "X-Pad: ", body=BODY))
    filled = ask("POST", TRACK, "X-Pad: " + "x" * room, body=BODY)
    assert len(filled) == 4096
    first = uuid.uuid4().int
    # what each sends, what it gets, whether it closes its half at once
    clients = []
    for i in range(8):
        event = first + 3 * i
        clients += [
            (beacon(event), [(200, None)], False),
            (beacon(event), [(200, None)], False),  # one of the two is a duplicate
            (beacon(event + 1), [(200, tracked)], True),
            (beacon(event + 2, version="1.0"), [(200, tracked)], None),
            (ask("GET", "/nothing"), [(404, None)], True),
            (wrong, [(400, None)], False),
            (filled + BEACON, [(200, tracked)] * 2, False),
            (BEACON + wrong + BEACON, [(200, tracked), (400, None), (200, tracked)], True),
            (BEACON[:-1], [], True),
        ]
    counts = Counts(agent)
    agent.process.send_signal(signal.SIGSTOP)
    links = [connect(agent.http) for _ in clients]
    for link, (data, _, closes) in zip(links, clients, strict=True):
        link.sendall(data)
        if closes:
            link.shutdown(socket.SHUT_WR)
    agent.process.send_signal(signal.SIGCONT)
    for at, (link, (_, answers, closes)) in enumerate(zip(links, clients, strict=True)):
        read = Reader(link)
        for status, body in answers:
            got = read.next()
            assert got[0] == status and body in (None, got[2]), (at, got)
        if closes is not False:
            assert read.next() is None, at
        else:
            link.sendall(ask("GET", "/nothing"))
            assert read.next()[0] == 404
        link.close()
    assert counts.views() == 8 * 7
    assert counts('events_total{source="beacon",verdict="duplicate",reason="event_id"}') == 8
    assert counts('events_total{source="beacon",verdict="invalid",reason="incomplete"}') == 8


def test_an_unwanted_body_a_byte_at_a_time_is_cut_off(farm):
    agent = agent_of(farm, request_timeout="1s", idle_timeout="1s")
    counts = Counts(agent)
    with connect(agent.http) as slow:
        slow.sendall(ask("POST", "/nothing", "Content-Length: 60000"))
        assert Reader(slow).next()[0] == 404
        with pytest.raises(ConnectionError):
            while True:
                slow.sendall(b"x")
                os.sched_yield()
                assert counts("http_connections_total") == 1  # a request to somebody else
    assert counts("http_request_timeouts_total") == 1


# -- one request --

PATHS = (SCRIPT, "/demo", TRACK, "/nothing", "/")


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_like_get_but_for_the_body(agent, path):
    with connect(agent.http) as client:
        read = Reader(client)
        for more in ([], ["Accept-Encoding: gzip"], ["If-None-Match: *"]):
            client.sendall(ask("GET", path, *more) + ask("HEAD", path, *more) + BEACON)
            whole, bare = read.next("GET"), read.next("HEAD")
            for answer in (whole, bare):
                answer[1].pop("Date")
            assert whole[:2] == bare[:2]
            assert read.next()[0] == 200  # nothing lies between


def test_http_1_0_closes(agent):
    data = ask("GET", SCRIPT, "Connection: keep-alive", version="1.0")
    with connect(agent.http) as client:
        client.sendall(data)
        read = Reader(client)
        status, headers, _ = read.next()
        assert (status, headers["Connection"]) == (200, "close")
        assert read.next() is None


@pytest.mark.parametrize("there", [0, 10, len(BODY)])
def test_a_client_is_asked_for_the_rest_of_the_body_only(agent, there):
    data = ask("POST", TRACK, "Expect: 100-continue", body=BODY)
    with connect(agent.http) as client:
        read = Reader(client)
        client.sendall(data[: len(data) - len(BODY) + there])
        if there < len(BODY):
            assert read.next()[:2] == (100, {})
            client.sendall(BODY[there:])
        assert read.next()[0] == 200
        client.sendall(BEACON)
        assert read.next()[0] == 200


def test_a_reload_counts_from_a_connections_next_request(farm):
    agent = agent_of(farm)
    with connect(agent.http) as client:
        read = Reader(client)
        for origins in ([], [ORIGIN], ["*"], []):
            reload(agent, allowed_origins=origins)
            client.sendall(ask("POST", TRACK, f"Origin: {ORIGIN}", body=BODY))
            status, headers, _ = read.next()
            assert status == 200
            expected = origins[0] if origins else None
            assert headers.get("Access-Control-Allow-Origin") == expected


# -- doors --


def tasks(agent):
    """The agent's threads; some end meanwhile: each request to the admin address has one, each look-up of a name."""
    return glob.glob(f"/proc/{agent.process.pid}/task/*")


def links(task):
    """What each descriptor of a thread is; nothing when it has ended, and perhaps not all when it ends meanwhile."""
    found = {}
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"{task}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                found[int(fd)] = os.readlink(f"{task}/fd/{fd}")
    return found


def watched(agent):
    """For each epoll, which only HTTP workers have: what it watches. Its number tells it from the others, also
    where tables of descriptors differ: the main thread made all of them."""
    seen = {}
    for task in tasks(agent):
        for fd, link in links(task).items():
            if link != EPOLL:
                continue
            with contextlib.suppress(OSError), open(f"{task}/fdinfo/{fd}") as info:
                seen[fd] = {int(n) for n in re.findall(r"^tfd:\s*(\d+)", info.read(), re.M)}
    return list(seen.values())


def test_every_kind_of_door_is_served_and_a_proxys_connections_are_dealt_out(farm, tmp_path):
    sock = tmp_path / "agent.sock"
    agent = agent_of(farm, workers=3, listen=["127.0.0.1:0", "127.0.0.1:0", f"unix:{sock}"])
    counts = Counts(agent)
    empty = sorted(len(w) for w in watched(agent))
    assert len(empty) == 3
    held = []
    for _ in range(30):
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(PATIENCE)
        local.connect(str(sock))
        local.sendall(BEACON)
        assert Reader(local).next()[0] == 200
        held.append(local)
    assert sum(len(w) for w in watched(agent)) == sum(empty) + 30
    # each worker has the doors, its box, and ten connections; who looks whether another one waits holds a
    # place of the emptiest worker for that moment, and so the last one may have gone to the next
    assert all(9 <= len(w) - n <= 11 for w, n in zip(sorted(watched(agent), key=len), empty, strict=True))
    for name in ("http", "http2"):
        for _ in range(10):
            assert request(agent.addresses[name], "POST", TRACK, BODY, BROWSER).status == 200
    for local in held:
        local.sendall(BEACON)
        assert Reader(local).next()[0] == 200
        local.close()
    assert counts.views() == 80
    wait_for("places", lambda: sum(len(w) for w in watched(agent)) == sum(empty))


@pytest.mark.skipif(BIN.name.startswith("tsan"), reason="it takes a number for one file in all threads")
def test_a_workers_descriptors_are_its_own(farm, tmp_path):
    """So it is closed, whatever the worker has closed; and no call of it pays for the others' threads."""
    agent = agent_of(farm, workers=2, listen=["127.0.0.1:0", f"unix:{tmp_path / 'agent.sock'}"])
    client = connect(agent.http)
    client.sendall(BEACON)
    assert Reader(client).next()[0] == 200
    held = [{link for fd, link in links(task).items() if fd > 2} for task in tasks(agent)]
    own = [links for links in held if EPOLL in links]
    assert len(own) == 2
    assert all(link == EPOLL or link.startswith("socket:") for links in own for link in links)
    # one epoll, two listening sockets, its own box and the way to both
    assert sorted(len(held) for held in own) == [6, 7]
    process = set(links(f"/proc/{agent.process.pid}").values())
    assert all(len(held & process) == 3 for held in own)  # the shared socket and the boxes


def cpu_seconds(agent):
    with open(f"/proc/{agent.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def waits_without_working(agent, waiting, began):
    """Whoever waits is served once a silent connection has ended; until then the agent does nothing."""
    before = cpu_seconds(agent)
    for client in waiting:
        client.sendall(BEACON)
    for client in waiting:
        assert Reader(client).next()[0] == 200
    assert time.monotonic() - began > 1.5  # it did have to wait
    assert cpu_seconds(agent) - before < 0.5


def test_a_full_agent_does_not_run_in_circles(farm):
    agent = agent_of(farm, connections=8, request_timeout="2s")
    began = time.monotonic()
    held = [connect(agent.http) for _ in range(8)]
    waits_without_working(agent, [connect(agent.http) for _ in range(4)], began)
    assert len(held) == 8


def test_neither_does_one_without_descriptors(farm):
    agent = agent_of(farm, request_timeout="2s")
    counts = Counts(agent)
    limit = 8 + max(fd for task in tasks(agent) for fd in links(task))
    was = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (limit, was[1]))
    began = time.monotonic()
    held = [connect(agent.http) for _ in range(16)]
    waits_without_working(agent, [connect(agent.http) for _ in range(4)], began)
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, was)
    assert agent.beacon(BODY).status == 200
    assert counts("http_connections_total") >= len(held)


@pytest.mark.parametrize("drain", ["200ms", "0s"])
def test_who_waits_in_the_backlog_at_a_stop_is_answered(farm, tmp_path, drain):
    sock = tmp_path / "agent.sock"
    agent = agent_of(farm, workers=3, listen=["127.0.0.1:0", f"unix:{sock}"], drain=drain)
    agent.process.send_signal(signal.SIGSTOP)
    clients = [connect(agent.http) for _ in range(200)]
    for _ in range(200):
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(PATIENCE)
        local.connect(str(sock))
        clients.append(local)
    for client in clients:
        client.sendall(BEACON)
    agent.process.send_signal(signal.SIGTERM)
    agent.process.send_signal(signal.SIGCONT)
    for client in clients:
        read = Reader(client)
        assert read.next()[0] == 200
        assert read.next() is None
    assert agent.process.wait(PATIENCE) == 0
    assert not sock.exists()
