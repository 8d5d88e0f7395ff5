"""Restarts that nobody notices.

Proves: with listening sockets that the service manager holds, restarting the agent and the central
under load fails no request, new connection or kept one, and every acknowledged event and every
datagram counts once; what comes while nobody runs waits; each kind of connection comes to its end at a
stop as ingest_http.h says; sockets are matched by name or by address, and those meant for others left
alone; the service manager is told.

FOOTFALL_ROLLING=REQUESTS:RESTARTS runs it at another size; `make rolling` at 100000:20.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid

import pytest

import rolling
from farm import BROWSER, PATIENCE, free_port, midday_zone, request, today_in, wait_for
from holder import hold
from load import start_with

CONTENT = str(uuid.UUID(int=7, version=4))


def test_restarts_under_load_fail_no_request_and_lose_no_event(tmp_path):
    requests, restarts = os.environ.get("FOOTFALL_ROLLING", "5000:3").split(":")
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    result = rolling.rolling(tmp_path, int(requests), int(restarts), seed)
    print(result)
    assert result.done["agent"]["last"] > 0  # the drain was there to be seen


# -- one connection at a time --


def beacon_bytes(body=None):
    body = body or json.dumps({"content_type": "video", "content_id": CONTENT})
    headers = "".join(f"{k}: {v}\r\n" for k, v in BROWSER.items())
    return (
        f"POST /api/track-view/ HTTP/1.1\r\nHost: test\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), PATIENCE)


def exchange(connection, data):
    """Status line and headers in one text; the body of a beacon's answer comes with them."""
    connection.sendall(data)
    got = b""
    while b'success"' not in got:
        part = connection.recv(4096)
        assert part, got
        got += part
    return got.decode()


def terminate(program):
    """SIGTERM, and the drain has begun."""
    seen = program.log().count('msg="draining')
    program.process.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: program.log().count('msg="draining') > seen)


def await_closed_doors(agent):
    """The drain is over."""
    wait_for("the doors to close", lambda: "nothing more is accepted" in agent.log())


def held_agent(farm, central=None, **http):
    agent = farm.agent("web-1", central, http=http, admit={"rate": "off"})
    agent.held = hold(agent, http="stream", udp="datagram", admin="stream")
    return agent


def views(central, zone):
    day = today_in(zone)
    return central.api("summary", from_=day, to=day)["total_views"]


def test_what_comes_while_nobody_runs_waits_for_the_next_process(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = held_agent(farm, central).start()
    for name, held in agent.held.items():
        assert agent.addresses[name] == "{}:{}".format(*held.getsockname())
    address = agent.http
    agent.stop()
    with connect(address) as waiting:
        waiting.sendall(beacon_bytes())
        event = {"type": "video", "id": CONTENT, "ip": "10.0.0.1"}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            import msgpack

            for n in range(50):
                out.sendto(msgpack.packb({**event, "eid": str(uuid.uuid4())}),
                           agent.held["udp"].getsockname())
        agent.start()
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
    wait_for("datagrams", lambda: agent.judged() >= 51)
    agent.flush()
    assert views(central, zone) == 51


def test_what_the_kernel_dropped_meanwhile_is_counted_once(farm):
    import msgpack

    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, udp={"receive_buffer": "64k"})
    held = hold(agent, udp="datagram")["udp"]
    held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    agent.start()
    sent = 0
    for end in (agent.stop, agent.kill, agent.stop):
        end()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(1000):
                event = {"type": "video", "id": CONTENT, "eid": str(uuid.uuid4()), "ip": "10.0.0.1"}
                out.sendto(msgpack.packb(event), held.getsockname())
        sent += 1000
        agent.start()
        wait_for("drops", lambda: agent.metrics()["footfall_udp_kernel_dropped_total"] > 0)
        wait_for("all", lambda: agent.judged()
                 + agent.metrics()["footfall_udp_kernel_dropped_total"] >= 1000)
    agent.flush()
    day = today_in(zone)
    totals = central.api("ledger", from_=day, to=day)["totals"]
    assert totals["udp_dropped"] > 0
    assert totals["received"] + totals["udp_dropped"] == sent, totals
    assert views(central, zone) == totals["received"]


def test_a_kept_connection_gets_one_more_answer_and_is_told_that_it_is_the_last(farm):
    agent = held_agent(farm, drain="60s").start()
    with connect(agent.http) as kept:
        assert "Connection: close" not in exchange(kept, beacon_bytes())
        terminate(agent)

        def is_told():
            with connect(agent.http) as late:  # taken still, as long as the drain lasts
                answer = exchange(late, beacon_bytes())
                assert answer.startswith("HTTP/1.1 200")
                return "Connection: close" in answer

        wait_for("last answers, which begin just after the log says so", is_told)
        assert agent.process.poll() is None
        answer = exchange(kept, beacon_bytes())
        assert answer.startswith("HTTP/1.1 200") and "Connection: close" in answer
        assert kept.recv(1) == b""
    assert agent.process.wait(PATIENCE) == 0  # long before the minute is over


@pytest.mark.parametrize("name", ["agent", "central"])
def test_who_has_been_silent_for_long_is_not_waited_for(farm, name):
    program = held_agent(farm, drain="3s") if name == "agent" else farm.central(drain="3s")
    program.start()
    address = program.http if name == "agent" else program.address
    ask = beacon_bytes() if name == "agent" else b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    def answer(connection):
        connection.sendall(ask)
        return connection.recv(4096)

    with connect(address) as silent, connect(address) as recent:
        assert answer(silent).startswith(b"HTTP/1.1 200")
        since = time.monotonic()
        # one speaks until the other has been silent for as long as the drain
        wait_for("silence", lambda: answer(recent).startswith(b"HTTP/1.1 200")
                 and time.monotonic() > since + 3)
        terminate(program)
        assert silent.recv(1) == b""
        assert b"Connection: close" in answer(recent)  # for whom the drain still lasts
    assert program.process.wait(PATIENCE) == 0


def test_a_silent_connection_is_closed_after_the_drain_and_not_reset(farm):
    agent = held_agent(farm, drain="0s").start()
    with connect(agent.http) as kept, connect(agent.http) as mute:
        exchange(kept, beacon_bytes())
        terminate(agent)
        assert kept.recv(1) == b""
        assert mute.recv(1) == b""  # never said a word
    assert agent.process.wait(PATIENCE) == 0


def test_a_request_that_has_begun_is_answered_after_the_drain(farm):
    agent = held_agent(farm, drain="0s").start()
    data = beacon_bytes()
    with connect(agent.http) as slow:
        slow.sendall(data[:-10])
        wait_for("the request", lambda: agent.metrics()["footfall_http_requests_total"] == 1)
        terminate(agent)
        await_closed_doors(agent)
        with connect(agent.http) as waiting:  # in the socket, which nobody accepts from by now
            answer = exchange(slow, data[-10:])
            assert answer.startswith("HTTP/1.1 200") and "Connection: close" in answer
            assert agent.process.wait(PATIENCE) == 0
            agent.start()
            assert exchange(waiting, data).startswith("HTTP/1.1 200")


def test_requests_that_have_arrived_are_answered_though_nobody_saw_them(farm):
    """Hundreds at once, while the process stands still: it hangs up before it has read them all."""
    agent = held_agent(farm, drain="0s", workers="1", connections_per_address="0").start()
    kept = [connect(agent.http) for _ in range(600)]
    for connection in kept:
        exchange(connection, beacon_bytes())
    agent.process.send_signal(signal.SIGSTOP)
    for connection in kept:
        connection.sendall(beacon_bytes())
    agent.process.send_signal(signal.SIGTERM)
    agent.process.send_signal(signal.SIGCONT)
    for connection in kept:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.close()
    assert agent.process.wait(PATIENCE) == 0


def test_a_new_connection_has_time_for_its_first_request(farm):
    agent = held_agent(farm, drain="0s")

    def was_in_time():
        """Within its first second; a machine that was too busy for that tries again."""
        agent.start()
        began = time.monotonic()
        with connect(agent.http) as new:
            wait_for(
                "the connection", lambda: agent.metrics()["footfall_http_connections_total"] == 1
            )
            terminate(agent)
            await_closed_doors(agent)
            new.sendall(beacon_bytes())
            in_time = time.monotonic() < began + 1
            assert not in_time or new.recv(4096).startswith(b"HTTP/1.1 200")
        assert agent.process.wait(PATIENCE) == 0
        agent.log_path.unlink()
        return in_time

    wait_for("a request in time", was_in_time)


def test_the_central_drains_as_the_agent_does(farm):
    central = farm.central(drain="60s")
    hold(central, central="stream")
    central.start()
    ask = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
    with connect(central.address) as kept:
        kept.sendall(ask)
        assert b"Connection: close" not in kept.recv(4096)
        terminate(central)
        kept.sendall(ask)
        answer = kept.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer
    assert central.process.wait(PATIENCE) == 0
    with connect(central.address) as waiting:
        waiting.sendall(ask)
        central.start()
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200")


def holding_central(farm, shim, call):
    """A central, one of whose threads is held as hold_call.c says once the file is there."""
    central = farm.central(drain="0s")
    due = central.directory / "hold"
    hold(central, central="stream")
    start_with(central, LD_PRELOAD=str(shim("hold_call")), HOLD_CALL=call, HOLD_FILE=str(due))
    return central, due, due.with_suffix(".held")


def test_what_the_central_has_accepted_and_not_looked_at_yet_is_answered(farm, shim):
    """A thread that is slow between the two is waited for, however slow."""
    central, due, held = holding_central(farm, shim, "accept")
    due.touch()
    with connect(central.address) as late:
        late.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        wait_for("a thread that has accepted", held.exists)
        central.process.send_signal(signal.SIGTERM)
        assert late.recv(4096).startswith(b"HTTP/1.1 200")
    assert central.process.wait(PATIENCE) == 0


def test_the_central_stops_listening_in_nobodys_way(farm, shim):
    """libmicrohttpd ends the process if two threads take a socket out of epoll's set at once."""
    central, due, held = holding_central(farm, shim, "forget")
    due.touch()
    central.process.send_signal(signal.SIGTERM)
    wait_for("one of both", lambda: held.exists() or central.process.poll() is not None)
    with connect(central.address):  # wakes who still listens
        assert central.process.wait(PATIENCE) == 0


# -- the protocol --


def test_sockets_without_a_name_are_known_by_their_address(farm):
    agent = farm.agent("web-1")
    held = hold(agent, one="stream", two="datagram", three="stream")
    address = {name: "{}:{}".format(*s.getsockname()) for name, s in held.items()}
    agent.sections["http"]["listen"] = [address["one"], "127.0.0.1:0"]
    agent.sections["udp"]["listen"] = [address["two"]]
    agent.sections["admin"]["listen"] = address["three"]
    agent.write_conf()
    agent.start()
    assert agent.addresses["http"] == address["one"] and agent.addresses["http2"]
    assert agent.addresses["udp"] == address["two"]
    assert agent.beacon({"content_type": "video", "content_id": CONTENT}).status == 200
    agent.stop()


def test_a_socket_that_serves_nothing_is_named_and_closed(farm):
    agent = farm.agent("web-1")
    hold(agent, http="stream", httpd="stream", udp="stream")
    agent.start()
    for name in ("httpd", "udp"):
        assert f'name="{name}"' in agent.log()
    agent.stop()


def test_sockets_meant_for_another_process_are_left_alone(farm, monkeypatch):
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "3")
    agent = farm.agent("web-1").start()
    assert "passed" not in agent.log()
    agent.stop()


def test_the_service_manager_is_told(farm, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for program in (farm.central(), farm.agent("web-1")):
            program.start()
            assert told.recv(100) == b"READY=1"
            program.process.send_signal(signal.SIGHUP)
            reloading, since = told.recv(100).decode().split("\n")
            assert reloading == "RELOADING=1" and int(since.split("=")[1]) > 0
            assert told.recv(100) == b"READY=1"
            program.process.send_signal(signal.SIGTERM)
            assert told.recv(100) == b"STOPPING=1"
            assert program.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("name", ["agent", "central"])
def test_systemds_own_activation_works(farm, name):
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        pytest.skip("needs systemd-socket-activate, of Debian's package systemd")
    program = farm.agent("web-1") if name == "agent" else farm.central()
    kind = "http" if name == "agent" else "central"
    address = f"127.0.0.1:{free_port()}"
    plain = program.command("run")
    # it passes on no variables but those that it is told to
    options = [f"-E{name}" for name in os.environ if name.endswith("SAN_OPTIONS")]
    with open(program.log_path, "ab") as log:
        program.process = subprocess.Popen(
            [activate, "-l", address, f"--fdname={kind}", *options, *plain], stdout=log, stderr=log
        )
    farm.started.append(program)
    wait_for("the socket", lambda: "Listening" in program.log())
    path = "/healthz" if name == "central" else "/api/track-view/"
    method = "GET" if name == "central" else "OPTIONS"
    assert request(address, method, path).status in (200, 204)  # starts it, and waits for it
    assert wait_for("its addresses", program._read_listen)[kind] == address
    program.stop()
