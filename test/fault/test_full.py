"""File systems that are really full: a small tmpfs below the state directory.

Proves: on a full disk the agent crashes neither at start nor while it runs, answers 503 and counts
it as shed once its journal is full, acknowledges nothing that is not counted in the end, and works
again without a restart as soon as there is room.

Skipped where mounting is not allowed.
"""

import subprocess
import uuid

import pytest

from farm import midday_zone, wait_for
from load import CONTENTS, Offers

ZONE = midday_zone()


@pytest.fixture
def small(tmp_path):
    """Makes a directory a file system of so many bytes."""
    mounted = []

    def mount(directory, size):
        directory.mkdir(parents=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(directory)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"cannot mount: {done.stderr.strip()}")
        mounted.append(directory)

    yield mount
    for directory in mounted:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory):
    """Takes every byte that is left."""
    ballast = directory / "ballast"
    with open(ballast, "ab", buffering=0) as out:
        for size in (65536, 4096, 512, 1):
            try:
                while out.write(b"\xaa" * size):
                    pass
            except OSError:
                pass
    return ballast


def make_agent(farm, central):
    return farm.agent(
        "web-1",
        central,
        admit={"rate": "off"},
        http={"workers": 1},
        journal={"segment": "64k", "segments": 4},
    )


def shed(agent):
    return sum(v for k, v in agent.metrics().items() if 'verdict="shed"' in k)


def offer_until_refused(agent, offers):
    """Events until one is answered 503, which happens when the journal is full."""
    for n in range(10000):
        event = {
            "content_type": "video",
            "content_id": CONTENTS[n % len(CONTENTS)],
            "event_id": str(uuid.uuid4()),
            "session": "s" * 64,
        }
        answer = agent.beacon(event)
        if answer.status == 503:
            assert answer.headers["Retry-After"]
            return
        assert answer.status == 200
        offers.note(event)
    raise AssertionError("a full disk was never noticed")


def test_a_full_disk_sheds_and_room_ends_it_without_a_restart(farm, small):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central)
    small(agent.state_dir, "1m")
    agent.start()
    process, offers = agent.process, Offers()
    offers.offer(agent, 5)
    ballast = fill(agent.state_dir)
    offer_until_refused(agent, offers)
    assert shed(agent) == 1
    ballast.unlink()
    offers.offer(agent, 5)
    offers.flush(agent)
    assert agent.process is process and process.poll() is None
    totals = offers.check(central, ZONE)
    assert totals["shed"] >= 1
    agent.stop()


def test_kill_9_on_a_full_disk_and_a_start_there_lose_nothing(farm, small):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central)
    small(agent.state_dir, "1m")
    agent.start()
    offers = Offers()
    ballast = fill(agent.state_dir)
    offer_until_refused(agent, offers)
    agent.kill()
    fill(agent.state_dir)
    try:
        agent.start()
    except RuntimeError:  # it may say that it cannot work here, but not crash
        assert agent.process.returncode == 1 and "No space" in agent.log()
    ballast.unlink()
    if agent.process.poll() is not None:
        agent.start()
    offers.offer(agent, 5)
    offers.flush(agent)
    offers.check(central, ZONE)
    agent.stop()


@pytest.mark.parametrize("size", ["4k", "64k", "100k", "200k", "300k", "400k"])
def test_a_disk_too_small_to_begin_with_gives_a_message_or_an_agent_that_works(farm, small, size):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central)
    small(agent.state_dir, size)
    offers = Offers()
    try:
        agent.start()
    except RuntimeError:
        assert agent.process.returncode == 1, agent.log()
        assert "No space left" in agent.log()
        return
    for _ in range(200):  # 200 KiB, at most
        event = {"content_type": "video", "content_id": CONTENTS[0], "event_id": str(uuid.uuid4())}
        answer = agent.beacon(event)
        assert answer.status in (200, 503)
        if answer.status == 200:
            offers.note(event)
    assert agent.process.poll() is None, agent.log()
    offers.flush(agent)
    offers.check(central, ZONE)


def test_a_spool_that_reached_spool_max_sheds_and_sends_everything_later(farm):
    """Not the disk but batch.spool_max is full: the central was away for long."""
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central)
    agent.sections["batch"] = {"spool_max": "1m", "interval": "1s"}
    agent.sections["journal"]["segments"] = 8
    agent.write_conf()
    agent.start()
    offers = Offers()
    central.stop()
    padding = agent.state_dir / "spool" / "broken" / "padding"
    padding.write_bytes(b"\0" * (1 << 20))
    agent.stop()
    agent.start()
    assert agent.beacon({"content_type": "video", "content_id": CONTENTS[0]}).status == 503
    wait_for("what was shed to be counted", lambda: shed(agent) >= 1)
    central.start()
    padding.unlink()
    agent.stop()
    agent.start()
    offers.offer(agent, 5)
    offers.flush(agent)
    offers.check(central, ZONE)
