"""The central's own safety, with the real programs: verify, rebuild, backup, restore and retain.

Proves: what was counted verifies, beside the running central and without it; what was damaged is named
and rebuilt; a rebuild or restore that is killed at any step leaves a store that is whole; a backup taken
under load comes back, verifies, and counting goes on exactly once.
"""

import datetime
import errno
import fcntl
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid

import pytest

from farm import midday_zone, request, today_in, wait_for
from load import Clock, start_with


def body(**more):
    return {"content_type": "video", "content_id": str(uuid.uuid4()), **more}


def views(central, zone):
    day = today_in(zone)
    return central.api("summary", from_=day, to=day)["total_views"]


def node_of(central):
    return central.api("nodes")["nodes"][0]


def fill(farm, events=50):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}).start()
    for _ in range(events):
        assert agent.beacon(body(event_id=str(uuid.uuid4()))).status == 200
    agent.flush()
    return zone, central, agent


def test_verify_beside_a_running_central_and_without_it(farm):
    zone, central, _ = fill(farm)
    for _ in range(2):
        said = central.run("verify").stdout
        assert re.search(r"with 50 events, \d\d+ records compared in .*: no difference\n", said), said
        assert views(central, zone) == 50
    assert not (central.data_dir / "tmp" / "verify").exists()
    central.stop()
    assert ": no difference\n" in central.run("verify").stdout
    refused = central.run("verify", "more", check=False)
    assert refused.returncode == 2


def test_damage_on_the_disk_is_named_and_rebuilt(farm):
    zone, central, agent = fill(farm)
    central.stop()
    # the roll-ups of another, emptier store in the place of ours
    saved = central.directory / "saved"
    central.run("backup", str(saved))
    central.start()
    for _ in range(7):
        assert agent.beacon(body()).status == 200
    agent.flush()
    central.stop()
    db = central.data_dir / "db"
    (db / "ledger.db").unlink()
    damaged = central.run("verify", check=False)
    assert damaged.returncode == 1
    hours = re.findall(
        r"^ledger hour \S+ node=web-1 stored: stored 0, recomputed (\d+)$", damaged.stdout, re.M
    )
    assert sum(map(int, hours)) == 57, damaged.stdout
    assert "differences; footfall-central rebuild" in damaged.stdout
    assert "57 events" in central.run("rebuild").stdout
    assert ": no difference\n" in central.run("verify").stdout
    central.start()
    assert views(central, zone) == 57
    day = today_in(zone)
    assert central.api("ledger", from_=day, to=day)["totals"]["stored"] == 57
    refused = central.run("rebuild", check=False)
    assert refused.returncode == 1 and "stop it first" in refused.stderr


def test_a_store_that_gave_up_is_said_by_readyz_until_a_restart_recovers_it(farm):
    zone, central, agent = fill(farm)
    agent.stop()
    central.stop()
    central.start()  # so that pages are read from the disk
    file = central.data_dir / "db" / "ledger.db"
    whole = file.read_bytes()
    with open(file, "r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * (len(whole) - 4096))
    day = today_in(zone)
    assert central.get("ledger", from_=day, to=day).status == 503
    said = request(central.address, "GET", "/readyz")
    assert said.status == 503 and b"store broken" in said.body
    assert request(central.address, "GET", "/healthz").status == 200  # it lives
    metrics = request(central.address, "GET", "/metrics").body.decode()
    assert "footfall_central_ready 0\n" in metrics
    central.process.terminate()
    central.process.wait()
    file.write_bytes(whole)
    central.start()  # waits for /readyz
    assert views(central, zone) == 50


def test_what_was_rebuilt_verifies_beside_the_running_central_and_comes_back_from_a_backup(farm):
    zone, central, agent = fill(farm)
    backup = str(central.directory / "backup")
    for n in range(1, 3):
        central.stop()
        central.run("rebuild")
        central.start()
        assert ": no difference\n" in central.run("verify").stdout
        for _ in range(10):
            assert agent.beacon(body()).status == 200
        agent.flush()
        assert ": no difference\n" in central.run("verify").stdout
        assert views(central, zone) == 50 + 10 * n
    central.run("backup", backup)
    central.stop()
    shutil.rmtree(central.data_dir)
    assert ": no difference\n" in central.run("restore", backup).stdout
    central.start()
    assert views(central, zone) == 70
    assert agent.beacon(body()).status == 200
    agent.flush()
    assert views(central, zone) == 71
    central.stop()
    assert ": no difference\n" in central.run("verify").stdout


@pytest.mark.parametrize(
    "step",
    ["rebuild_replayed", "rebuild_before_mark", "rebuild_marked", "rebuild_renamed:2"]
    + ["rebuild_exchanged"],
)
def test_a_rebuild_killed_at_any_step_leaves_a_whole_store(farm, crash_build, step):
    zone, central, agent = fill(farm, 20)
    central.stop()
    killed = subprocess.run(
        central.command("rebuild"),
        env={**os.environ, "FOOTFALL_CRASH": step},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert ": no difference\n" in central.run("verify").stdout
    assert not list((central.data_dir / "db").glob("shadow-*"))
    central.start()
    assert agent.beacon(body()).status == 200
    agent.flush()
    assert views(central, zone) == 21
    central.stop()
    assert ": no difference\n" in central.run("verify").stdout


@pytest.mark.parametrize("step", ["restore_copied", "restore_recovered"])
def test_a_restore_killed_at_any_step_is_no_store_until_it_is_done_again(farm, crash_build, step):
    zone, central, _ = fill(farm, 20)
    backup = str(central.directory / "backup")
    assert "backed up to" in central.run("backup", backup).stdout
    central.stop()
    shutil.rmtree(central.data_dir)
    killed = subprocess.run(
        central.command("restore", backup),
        env={**os.environ, "FOOTFALL_CRASH": step},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    refused = subprocess.run(
        central.command("run"), capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 1 and "restore did not end" in refused.stderr
    assert ": no difference\n" in central.run("restore", backup).stdout
    central.start()
    assert views(central, zone) == 20


def test_a_backup_under_load_comes_back_and_counting_goes_on_exactly_once(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}, batch={"interval": "1s"}).start()
    stop, sent = threading.Event(), []

    def load():
        while not stop.is_set():
            sent.append(agent.beacon(body(event_id=str(uuid.uuid4()))).status)
            if len(sent) % 50 == 0:
                agent.flush()

    thread = threading.Thread(target=load)
    thread.start()
    try:
        wait_for("some batches", lambda: len(sent) > 120)
        backup = str(central.directory / "backup")
        central.run("backup", backup)
        ahead = len(sent)
        wait_for("more", lambda: len(sent) > ahead + 100)
    finally:
        stop.set()
        thread.join()
    agent.flush()
    assert set(sent) == {200} and views(central, zone) == len(sent)
    agent.stop()
    stored = node_of(central)["batches"]
    central.stop()
    shutil.rmtree(central.data_dir)
    assert ": no difference\n" in central.run("restore", backup).stdout
    again = central.run("restore", backup, check=False)
    assert again.returncode == 1 and "holds a store already" in again.stderr
    central.start()
    came_back = views(central, zone)
    # gone for good: what came between the backup and the end, since agents let go of it
    assert 100 <= came_back <= len(sent) - 100
    lost = stored - node_of(central)["batches"]
    agent.start()
    for _ in range(30):
        assert agent.beacon(body(event_id=str(uuid.uuid4()))).status == 200
    agent.flush()
    assert views(central, zone) == came_back + 30
    # each batch of those is counted, and waited for no longer; the day is never called complete
    node = node_of(central)
    assert node["lost_batches"] == lost > 0 and node["verdict"] == "lost"
    summary = central.api("summary", from_=today_in(zone), to=today_in(zone))
    assert not summary["complete"] and summary["lost_batches"] == lost
    assert [m["verdict"] for m in summary["missing"]] == ["lost"]
    assert ": no difference\n" in central.run("verify").stdout


def test_retain_beside_a_running_central(farm):
    zone, central, agent = fill(farm)
    assert "removed 0 months with 0 batches, 0 rows" in central.run("retain").stdout
    assert views(central, zone) == 50
    central.stop()
    # everything of before today's midnight is older than a millisecond: nothing is
    said = central.run("retain", "-o", "central.retain_hours=1ms").stdout
    assert "removed 0 months with 0 batches, 0 rows" in said
    assert ": no difference\n" in central.run("verify").stdout


HOUR = 3600 * 1000
DAY = 24 * HOUR


def days_ago(day, days):
    return str(datetime.date.fromisoformat(day) - datetime.timedelta(days))


def to_half_past():
    """From now, in ms: no hour ends meanwhile, which would make a batch and rows of its own."""
    return HOUR // 2 - int(time.time() * 1000) % HOUR


def fill_months(farm, shim):
    """Events of 100, of 60 and of no days ago."""
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}, batch={"interval": "1h"})
    central.stop()
    for days in (100, 60, 0):
        clocks = [Clock(program.directory, shim("shift_clock")) for program in (central, agent)]
        for clock, program in zip(clocks, (central, agent)):
            clock.shift(-days * DAY + to_half_past())
            start_with(program, **clock.environment)
        for _ in range(10):
            assert agent.beacon(body(event_id=str(uuid.uuid4()))).status == 200
        agent.flush()
        agent.stop()
        central.stop()
    return central


@pytest.mark.parametrize(
    "step,killed_before",
    [
        ("retain_written", "2 months with 4 batches, 40 rows"),
        ("retain_month:1", "1 months with 2 batches, 40 rows"),
        ("retain_month:2", "0 months with 0 batches, 40 rows"),
        ("retain_stretch:1", "0 months with 0 batches, 0 rows"),
        ("retain_stretch:2", "0 months with 0 batches, 0 rows"),
    ],
)
def test_a_retain_killed_at_any_step_is_ended_by_the_next(
    farm, crash_build, shim, step, killed_before
):
    central = fill_months(farm, shim)
    older = ("-o", "central.retain_batches=20d", "-o", "central.retain_hours=20d")
    killed = subprocess.run(
        central.command("retain", *older),
        env={**os.environ, "FOOTFALL_CRASH": step},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert ": no difference\n" in central.run("verify").stdout
    assert f"removed {killed_before}" in central.run("retain", *older).stdout
    assert re.search(r"with 10 events, .*: no difference\n", central.run("verify").stdout)
    again = central.run("retain", *older).stdout
    assert "removed 0 months with 0 batches, 0 rows" in again
    assert "10 events" in central.run("rebuild").stdout
    central.start()
    day = today_in(central.sections["central"]["time_zone"])
    assert central.api("summary", from_=day, to=day)["total_views"] == 10
    year = central.api("series", grain="month", from_=days_ago(day, 120), to=day)["points"]
    assert sum(point["total_views"] or 0 for point in year) == 30
    hours = central.api("series", grain="hour", from_=days_ago(day, 120), to=day)["points"]
    assert hours[0]["views"] is None
    assert sum(point["total_views"] or 0 for point in hours) == 10


class Denied(http.server.BaseHTTPRequestHandler):
    """What a central answers whose job was denied something, which takes a broken machine."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"running": False, "result": -errno.EACCES}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("job", ["backup", "retain"])
def test_only_a_backup_that_failed_speaks_of_where_the_central_may_write(farm, job):
    central = farm.central()
    data = central.data_dir
    data.mkdir()
    with http.server.HTTPServer(("127.0.0.1", 0), Denied) as server, open(data / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (data / "listen").write_text(f"central=127.0.0.1:{server.server_port}\n")
        (data / "local.token").touch(mode=0o600)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        arguments = [str(farm.directory / "copy")] if job == "backup" else []
        done = central.run(job, *arguments, check=False)
        server.shutdown()
    assert done.returncode == 1 and f"{job} failed: Permission denied" in done.stderr
    assert ("let it write" in done.stderr) == (job == "backup")


def test_only_the_command_line_may_ask_for_maintenance(farm):
    from farm import request

    _, central, _ = fill(farm, 1)
    for method, data in (("GET", None), ("POST", b'{"job":"backup","dir":"/tmp/x"}')):
        path = "/api/v1/maintain" + ("/start" if data else "")
        for token in (central.token, "wrong"):
            answer = request(
                central.address,
                method,
                path,
                data,
                {"Authorization": f"Bearer {token}"},
            )
            assert answer.status == 403, answer.body
    refused = central.run("backup", str(central.data_dir), check=False)
    assert refused.returncode == 1 and "File exists" in refused.stderr
