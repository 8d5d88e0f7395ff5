"""Every call of the central to the disk fails once.

Proves: no failed write, fsync, rename or open below data_dir crashes the central or
makes it answer "stored" for what it has not; batches stay with their agent until it has, each counts
once in the end, and `verify` finds no difference. Where Berkeley DB gives up its environment, the
central says so and a restart recovers it.

fail_io.c, preloaded, fails the nth call of a kind; FOOTFALL_FAULTS=all tries every n.
"""

import json
import uuid

import pytest

from farm import Farm, midday_zone, today_in, wait_for
from load import start_with
from test_io_errors import faults, made, which

CALLS = ["write", "fsync", "rename", "open"]  # unlink and truncate it does not call
MOST = 3
ROUNDS, EACH = 3, 5
ZONE = midday_zone()


def start_again(central):
    """Without faults; a panic of Berkeley DB or a failed start ends with a message, never a signal."""
    if central.process.poll() is None:
        central.process.terminate()
        central.process.wait()
    assert central.process.returncode in (0, 1), central.log()[-3000:]
    if central.process.returncode == 1:
        assert "error" in central.log()
    central.start()


def answers(central):
    try:
        return central.get("summary").status
    except OSError:
        return 0


def flush(agent, central):
    """Until all is stored. A central that ended or gave up its store is started again, as its
    supervisor would on /readyz; one that only refused must take the batch by itself."""

    def flushed():
        if central.process.poll() is not None or "store broken" in central.log():
            start_again(central)
            central.log_path.write_text("")
        return agent.flush(check=False).returncode == 0

    wait_for("a flush", flushed)


def life(directory, call, **more):
    farm = Farm(directory)
    try:
        central = farm.central(time_zone=ZONE)
        shim = faults(more.pop("shim"), central_as_agent(central), call, **more)
        try:
            start_with(central, **shim)
        except (RuntimeError, AssertionError):
            start_again(central)
        agent = farm.agent("web-1", central, admit={"rate": "off"}).start()
        content = str(uuid.uuid4())
        for _ in range(ROUNDS):
            for _ in range(EACH):
                event = {"content_type": "video", "content_id": content}
                assert agent.beacon(json.dumps(event)).json()["tracked"] is True
            flush(agent, central)
        calls = made(central_as_agent(central))
        if central.process.poll() is None:
            central.process.terminate()
            central.process.wait()
        central.start()
        agent.flush()
        day = today_in(ZONE)
        totals = central.api("ledger", from_=day, to=day)["totals"]
        assert totals["accepted"] == totals["stored"] == ROUNDS * EACH, central.log()[-3000:]
        counted = central.api(f"content/video/{content}", from_=day, to=day)
        assert counted["total_views"] == ROUNDS * EACH
        agent.stop()
        central.stop()
        central.run("verify")
        return calls
    finally:
        farm.close()


class central_as_agent:
    """What `faults` asks of a program: where its state is, and where a report may stand."""

    def __init__(self, central):
        self.state_dir, self.directory = central.data_dir, central.directory


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_the_central_that_fails_once_loses_and_doubles_nothing(tmp_path, shim, call):
    calls, _ = life(tmp_path / "whole", call, shim=shim)
    assert calls > 0, f"the central never called {call}"
    failed = 0
    for n in which(calls, MOST):
        errno = "ENOSPC" if n % 2 else "EIO"
        _, one = life(tmp_path / str(n), call, shim=shim, FROM=n, ERRNO=errno)
        failed += one
    assert failed, "no call failed: the shim is not there"
    print(f"{call}: {calls} calls in a life, {failed} of them failed, one a life")
