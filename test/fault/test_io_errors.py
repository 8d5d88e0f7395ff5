"""Every call of the agent to the disk fails once; then all calls of a kind fail for a while.

Proves: no failed write, fsync, rename, open, unlink, truncate, fallocate, mmap or msync crashes the
agent; nothing is acknowledged that is not counted in the end, and nothing counted twice; the agent
goes on, or ends with a message, and after a failure that lasted it recovers without a restart.

fail_io.c, preloaded, fails the nth call of a kind, for n = 1, 2, ... until a run has made fewer.
FOOTFALL_FAULTS=all tries every n; without it at most MOST of each kind, spread evenly.
"""

import os
import subprocess
import uuid

import pytest

import farm as farm_lib
from farm import midday_zone, today_in, wait_for
from load import Offers, start_with

MOST = 6
EVENTS = 12
CALLS = ["write", "fsync", "rename", "open", "unlink", "truncate", "fallocate", "mmap", "msync"]
ZONE = midday_zone()


@pytest.fixture(scope="module")
def central(tmp_path_factory):
    farm = farm_lib.Farm(tmp_path_factory.mktemp("farm"))
    yield farm.central(time_zone=ZONE).start()
    farm.close()


def make_agent(central, **sections):
    name = f"n-{uuid.uuid4().hex[:12]}"
    return central.farm.agent(
        name,
        central,
        admit={"rate": "off"},
        http={"workers": 1},
        udp={"listen": []},
        **{"journal": {"segment": "64k", "segments": 4, **sections}},
    )


def faults(shim, agent, call, **more):
    return {
        "LD_PRELOAD": str(shim("fail_io")),
        "FAIL_IO_CALL": call,
        "FAIL_IO_BELOW": str(agent.state_dir),
        "FAIL_IO_REPORT": str(agent.directory / "calls"),
        **{f"FAIL_IO_{k}": str(v) for k, v in more.items()},
    }


def made(agent):
    """Calls that counted, and how many of them failed."""
    report = agent.directory / "calls"
    numbers = report.read_text().split() if report.exists() else []
    return [int(n) for n in numbers] or [0, 0]  # it is empty for a moment whenever it is written


def start_again(agent):
    """Without faults, where it has ended; only by itself, and with a message."""
    assert agent.process.returncode in (0, 1), agent.log()[-3000:]
    if agent.process.returncode == 1:
        assert "error" in agent.log()
    agent.start()


def offer(agent, offers, content):
    event = {
        "content_type": "video",
        "content_id": content,
        "event_id": str(uuid.uuid4()),
    }

    def acknowledged():
        if agent.process.poll() is not None:
            start_again(agent)
        return offers.try_once(agent, event)

    wait_for("an acknowledgement", acknowledged)
    offers.note(event)


def flush(agent):
    def flushed():
        if agent.process.poll() is not None:
            start_again(agent)
        return agent.flush(check=False).returncode == 0

    wait_for("a flush", flushed)


def life(agent, content, environment):
    """Starts, works, stops and starts again; what it acknowledged, all told."""
    offers = Offers()
    try:
        start_with(agent, **environment)
    except RuntimeError:
        start_again(agent)
    for _ in range(3):
        for _ in range(EVENTS // 3):
            offer(agent, offers, content)
        flush(agent)
    agent.process.terminate()
    agent.process.wait(farm_lib.PATIENCE)
    assert agent.process.returncode in (0, 1), agent.log()[-3000:]
    calls = made(agent)
    agent.start()
    flush(agent)
    agent.stop()
    return calls


def views(central, content):
    day = today_in(ZONE)
    answer = central.get(f"content/video/{content}", from_=day, to=day)
    return answer.json()["total_views"] if answer.status == 200 else 0


def books(central, node):
    day = today_in(ZONE)
    return central.api("ledger", from_=day, to=day, node=node)["totals"]


def which(calls, most=MOST):
    if os.environ.get("FOOTFALL_FAULTS") == "all" or calls <= most:
        return range(1, calls + 1)
    return sorted({1 + i * (calls - 1) // (most - 1) for i in range(most)})


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_once_costs_nothing_that_was_acknowledged(central, shim, call):
    journal = {"sync": "always"} if call == "msync" else {}
    whole = make_agent(central, **journal)
    calls, _ = life(whole, str(uuid.uuid4()), faults(shim, whole, call))
    assert calls > 0, f"the agent never called {call}"
    done = []
    for n in which(calls):
        agent, content = make_agent(central, **journal), str(uuid.uuid4())
        errno = "ENOSPC" if n % 2 and call not in ("msync", "unlink") else "EIO"
        _, failed = life(agent, content, faults(shim, agent, call, FROM=n, ERRNO=errno))
        assert views(central, content) == EVENTS, f"{call} {n} {errno}: {agent.log()[-2000:]}"
        totals = books(central, agent.name)
        assert totals["accepted"] == totals["stored"] + totals["merged"], (call, n, totals)
        assert totals["lost"] == 0, (call, n, totals)
        done.append(failed)
    assert any(done), "no call failed: the shim is not there"
    print(f"{call}: {calls} calls in a life, {sum(done)} of them failed, one a life")


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open", "msync"])
def test_a_disk_that_fails_for_a_while_is_used_again_without_a_restart(central, shim, call):
    agent, content, offers = make_agent(central), str(uuid.uuid4()), Offers()
    bad = agent.directory / "bad"
    start_with(agent, **faults(shim, agent, call, WHILE=bad))
    process = agent.process
    for _ in range(4):
        offer(agent, offers, content)
    bad.touch()
    for _ in range(4):  # the journal is memory: it takes events although the disk fails
        event = {"content_type": "video", "content_id": content, "event_id": str(uuid.uuid4())}
        if (said := offers.try_once(agent, event)) and said["tracked"]:
            offers.note(event)
    with subprocess.Popen(agent.command("flush"), stdout=subprocess.DEVNULL) as flushing:
        wait_for("a failure", lambda: made(agent)[1] > 1)
        bad.unlink()
        flushing.wait(farm_lib.PATIENCE)
    for _ in range(4):
        offer(agent, offers, content)
    flush(agent)
    assert agent.process is process and process.poll() is None
    assert views(central, content) == len(offers.events)
    agent.stop()
