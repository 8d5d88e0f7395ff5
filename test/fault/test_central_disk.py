"""The central on a full file system: a small tmpfs as its data directory.

Proves: without room batches are answered 503 and stay with their agents, while pages and API go on; with
room again they are stored without a restart; a central that was killed starts on the full disk; in the
end every event is counted exactly once and verify finds no difference.

Skipped where mounting is not allowed.
"""

import uuid

from farm import midday_zone, request, today_in, wait_for
from test_full import fill, small  # noqa: F401 -- a fixture

ZONE = midday_zone()


def send(agent, events):
    for _ in range(events):
        body = {"content_type": "video", "content_id": str(uuid.uuid4())}
        assert agent.beacon(body).status == 200


def views(central):
    day = today_in(ZONE)
    return central.api("summary", from_=day, to=day)["total_views"]


def make(farm, small, size="192m"):  # noqa: F811
    central = farm.central(time_zone=ZONE, cache="4m")
    small(central.data_dir, size)
    central.start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}, batch={"interval": "1s"}).start()
    send(agent, 20)
    agent.flush()
    assert views(central) == 20
    return central, agent


def refused(central):
    metrics = request(central.address, "GET", "/metrics").body.decode()
    return [
        line
        for line in metrics.splitlines()
        if "503" in line and "batches" in line and not line.endswith(" 0")
    ]


def test_a_full_disk_refuses_batches_and_goes_on_without_a_restart(farm, small):  # noqa: F811
    central, agent = make(farm, small)
    ballast = fill(central.data_dir)
    send(agent, 30)
    wait_for("a batch to be refused", lambda: refused(central))
    assert views(central) == 20
    assert request(central.address, "GET", "/").status in (200, 302, 303)
    assert request(central.address, "GET", "/readyz").status == 200
    assert "disk nearly full; batches are refused" in central.log()
    ballast.unlink()
    agent.flush()
    assert views(central) == 50
    assert "there is room again" in central.log()
    central.stop()
    assert ": no difference\n" in central.run("verify").stdout


def test_kill_9_on_a_full_disk_and_a_start_there_lose_nothing(farm, small):  # noqa: F811
    central, agent = make(farm, small)
    ballast = fill(central.data_dir)
    for events in (30, 40):
        send(agent, events)
        wait_for("a batch to be refused", lambda: refused(central))
        central.kill()
        central.start()  # the reserve makes room where there is none
        assert views(central) == 20
    assert "tried again with the reserve given up" in central.log()
    assert not (central.data_dir / "reserve").exists()
    ballast.unlink()
    agent.flush()
    assert views(central) == 90
    central.stop()
    assert ": no difference\n" in central.run("verify").stdout
    central.start()
    assert (central.data_dir / "reserve").stat().st_size == 32 << 20
    assert views(central) == 90
