"""The programs as their operator drives them.

Proves: check and its messages, -o, listen files, readiness, stopping, restarting and killing lose
nothing that was acknowledged, flush says when it could not, accounts work while the central runs.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
import uuid

import pytest

from farm import BIN, BROWSER, ROOT, midday_zone, request, today_in, wait_for


def body(**more):
    return {"content_type": "video", "content_id": str(uuid.uuid4()), **more}


def views(central, zone):
    day = today_in(zone)
    return central.api("summary", from_=day, to=day)["total_views"]


@pytest.mark.parametrize("name", ["agent", "central"])
def test_check_prints_a_configuration_that_parses_again(farm, name):
    program = farm.agent("web-1") if name == "agent" else farm.central()
    whole = program.run("check", "-v").stdout
    program.conf.write_text(whole)
    assert program.run("check", "-v").stdout == whole


@pytest.mark.parametrize(
    "line,says",
    [
        ('admit { rate = "many" }', "rate"),
        ("admit { double_clack = 30s }", "double_clack"),
        ("batch { interval = 7m }", "interval"),
        ("batch { spool_max = 1x }", "spool_max"),
        ("http { workers = 0 }", "workers"),
        ('http { trusted_proxies = {"300.0.0.0/8"} }', "trusted_proxies"),
    ],
)
def test_check_names_file_line_and_fault(farm, line, says):
    agent = farm.agent("web-1")
    good = agent.conf.read_text()
    agent.conf.write_text(good + line + "\n")
    done = agent.run("check", check=False)
    assert done.returncode == 1
    at = good.count("\n") + 1
    faults = done.stdout + done.stderr
    assert re.search(rf"^{re.escape(str(agent.conf))}:{at}: .*{says}", faults, re.M), faults


def test_sealing_and_sending_give_way_to_answering(farm):
    """The sealer and the forwarder alone; from the start, also of an agent that is to be nice itself."""
    agent = farm.agent("web-1")
    command = agent.command
    agent.command = lambda *words: ["nice", "-n", "3", *command(*words)]
    agent.start()
    main = agent.process.pid

    def how():
        """Niceness of each thread, and whether it is a batch to the scheduler: they see to it as they begin,
        and the forwarder has one more for the time of a name's look-up."""
        seen = []
        for task in map(int, os.listdir(f"/proc/{main}/task")):
            with contextlib.suppress(ProcessLookupError):
                seen.append((os.getpriority(os.PRIO_PROCESS, task), os.sched_getscheduler(task) == os.SCHED_BATCH))
        return seen

    base = os.getpriority(os.PRIO_PROCESS, main)
    assert base == os.getpriority(os.PRIO_PROCESS, 0) + 3
    wait_for("two threads to give way", lambda: how().count((base + 5, True)) >= 2)
    assert set(how()) == {(base, False), (base + 5, True)}
    assert how().count((base, False)) >= 4  # main, two for HTTP, one for datagrams


def test_an_override_wins_over_the_file(farm):
    agent = farm.agent("web-1")
    shown = agent.run("check", "-v", "-o", "node.name=web-9").stdout
    assert '"web-9"' in shown and '"web-1"' not in shown
    wrong = agent.run("check", "-o", "node.colour=red", check=False)
    assert wrong.returncode == 1 and "node.colour" in wrong.stdout + wrong.stderr


def test_the_example_is_valid_for_both_programs():
    for program in ("footfall-agent", "footfall-central"):
        done = subprocess.run(
            [BIN / program, "check", "-c", ROOT / "agent.conf.example", "-o", "node.name=web-1"]
            + ["-o", "forward.token_file="],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_two_agents_cannot_share_a_state_directory(farm):
    agent = farm.agent("web-1").start()
    second = subprocess.run(
        agent.command("run"), capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert str(agent.state_dir) in second.stderr


def test_stopping_and_starting_counts_everything_once(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}).start()
    for n in range(3):
        for _ in range(10):
            assert agent.beacon(body()).status == 200
        agent.stop()
        agent.start()
        central.stop()
        central.start()
    agent.flush()
    assert views(central, zone) == 30


def test_kill_9_loses_nothing_that_was_acknowledged(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, admit={"rate": "off"}, batch={"interval": "1s"}).start()
    for n in range(5):
        for _ in range(20):
            assert agent.beacon(body()).status == 200
        agent.kill()
        agent.start()
        if n % 2:
            central.kill()
            central.start()
    agent.flush()
    assert views(central, zone) == 100


def test_a_retry_after_a_crash_or_a_restart_is_recognised(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central).start()
    one = body(event_id=str(uuid.uuid4()))
    assert agent.beacon(one).json()["tracked"] is True
    agent.kill()
    agent.start()
    assert agent.beacon(one).json()["tracked"] is False
    agent.flush()
    agent.stop()
    agent.start()
    assert agent.beacon(one).json()["tracked"] is False
    agent.flush()
    assert views(central, zone) == 1


def test_a_visitor_is_the_same_person_on_every_node_and_after_a_restart(farm, one_salt):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agents = [farm.agent(n, central).start() for n in ("web-1", "web-2")]
    for agent in agents:
        assert agent.await_salts().beacon(body()).status == 200
    agents[0].kill()
    agents[0].start()
    assert agents[0].beacon(body()).status == 200
    for agent in agents:
        agent.flush()
    day = today_in(zone)
    summary = central.api("summary", from_=day, to=day)
    assert (summary["views"], summary["visitors"]) == (3, 1)


def test_flush_without_a_central_fails_and_says_why(farm):
    central = farm.central().start()
    agent = farm.agent("web-1", central).start()
    assert agent.beacon(body()).status == 200
    central.stop()
    done = agent.flush(check=False)
    assert done.returncode == 1
    assert done.stderr.strip()
    central.start()
    agent.flush()


def cpu_s(program):
    fields = open(f"/proc/{program.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_batches_that_nobody_takes_cost_no_cpu_time(farm):
    alone = farm.agent("web-1", batch={"interval": "1s"}).start()
    assert alone.beacon(body()).status == 200
    wait_for("a batch in the spool", lambda: alone.status()["spool"]["batches"] > 0)
    before, began = cpu_s(alone), time.monotonic()
    wait_for("two seconds", lambda: time.monotonic() > began + 2)
    assert cpu_s(alone) - before < 1  # it spun on one core for as long as a batch waited


def test_a_wrong_token_stores_nothing_and_loses_nothing(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central)
    token = agent.directory / "token"
    good = token.read_text()
    token.write_text("wrong\n")
    agent.start()
    assert agent.beacon(body()).status == 200
    assert agent.flush(check=False).returncode == 1
    assert views(central, zone) == 0
    agent.stop()
    token.write_text(good)
    agent.start()
    agent.flush()
    assert views(central, zone) == 1


def test_a_node_cannot_send_under_another_nodes_name(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central)
    agent.sections["node"]["name"] = "web-2"
    agent.write_conf()
    agent.start()
    assert agent.beacon(body()).status == 200
    assert agent.flush(check=False).returncode == 1
    assert views(central, zone) == 0


def test_silence_and_absence_differ(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central, batch={"interval": "1s"}).start()

    def node(name):
        return {n["node"]: n for n in central.api("nodes")["nodes"]}.get(name)

    # nobody visits, and yet the node reports that nothing came
    complete = wait_for(
        "an empty batch", lambda: (n := node("web-1")) and n["verdict"] == "complete" and n
    )
    assert complete["events"] == 0
    agent.stop()
    wait_for("silence to be noticed", lambda: node("web-1")["verdict"] == "silent")
    day = today_in(zone)
    summary = central.api("summary", from_=day, to=day)
    assert summary["complete"] is False
    assert [m["node"] for m in summary["missing"]] == ["web-1"]


def test_accounts_can_be_added_while_the_central_runs(farm):
    central = farm.central().start()
    assert request(central.address, "GET", "/api/v1/summary").status == 401
    central.run("user add", "ann", stdin="a long enough password\n")
    login = request(
        central.address,
        "POST",
        "/api/v1/login",
        '{"user":"ann","password":"a long enough password"}',
        {"Content-Type": "application/json"},
    )
    assert login.status == 200
    cookie = login.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    me = request(
        central.address, "GET", "/api/v1/me", headers={"Cookie": cookie.split(";")[0]}
    )
    assert me.status == 200 and me.json()["user"] == "ann"
    wrong = request(
        central.address,
        "POST",
        "/api/v1/login",
        '{"user":"ann","password":"wrong"}',
        {"Content-Type": "application/json"},
    )
    assert wrong.status == 401


def test_files_whose_names_carry_a_hash_are_kept_and_the_page_is_asked_about(farm):
    central = farm.central().start()
    page = request(central.address, "GET", "/")
    assert page.headers["Cache-Control"] == "no-cache"
    assets = re.findall(r'(?:src|href)="/?(app-[^"]+)"', page.body.decode())
    assert len(assets) == 2
    for asset in assets:
        answer = request(central.address, "GET", f"/{asset}")
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        known = {"If-None-Match": answer.headers["ETag"]}
        assert request(central.address, "GET", f"/{asset}", headers=known).status == 304


@pytest.mark.parametrize(
    "path,params",
    [
        ("summary", {"from_": "yesterday", "to": "2026-01-01"}),
        ("summary", {"from_": "2026-02-30", "to": "2026-03-01"}),
        ("summary", {"from_": "2026-03-02", "to": "2026-03-01"}),
        ("series", {"grain": "week"}),
        ("top", {"limit": "0"}),
        ("breakdown", {"dim": "colour"}),
    ],
)
def test_the_api_names_the_parameter_that_is_wrong(module_farm, path, params):
    central = module_farm.central()
    if not module_farm.started:
        central.start()
    central = module_farm.started[0]
    answer = central.get(path, **params)
    assert answer.status == 400
    assert any(k.rstrip("_") in answer.json()["error"] for k in params)


def test_query_prints_what_the_api_says(farm):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    agent = farm.agent("web-1", central).start()
    assert agent.beacon(body()).status == 200
    agent.flush()
    day = today_in(zone)
    said = central.run("query summary", "--from", day, "--to", day, "--format", "json").stdout
    assert '"total_views": 1' in said or '"total_views":1' in said
    for what in ("nodes", "ledger"):
        assert "web-1" in central.run(f"query {what}").stdout
    assert "web-1" in central.run("status").stdout
    assert "web-1" in agent.run("status").stdout


def test_status_of_a_stopped_program_fails_and_says_so(farm):
    agent = farm.agent("web-1")
    done = agent.run("status", check=False)
    assert done.returncode == 1 and done.stderr.strip()


def test_a_reload_takes_what_is_reloadable_and_refuses_a_bad_file(farm):
    agent = farm.agent("web-1").start()
    asks = {"Origin": "https://new.example", "Access-Control-Request-Method": "POST"}

    def allowed():
        answer = agent.beacon(None, method="OPTIONS", headers=asks)
        return "Access-Control-Allow-Origin" in answer.headers

    assert not allowed()
    agent.sections["http"]["allowed_origins"] = ["https://new.example"]
    agent.write_conf()
    agent.process.send_signal(signal.SIGHUP)
    wait_for("the new origin", allowed)
    agent.conf.write_text("http { nonsense = 1 }\n")
    agent.process.send_signal(signal.SIGHUP)
    wait_for("the refusal in the log", lambda: "nonsense" in agent.log())
    assert allowed()


def test_no_program_leaves_a_core_file(farm):
    central = farm.central().start()
    agent = farm.agent("web-1", central).start()
    for program in (central, agent):
        limits = open(f"/proc/{program.process.pid}/limits").read()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.M)


def test_nothing_on_disk_or_in_answers_names_a_visitor(farm):
    central = farm.central().start()
    agent = farm.agent("web-1", central, http={"trusted_proxies": ["127.0.0.1/32"]}).start()
    address, marker = "198.51.100.77", "Zq7UnusualBrowser"
    ua = BROWSER["User-Agent"] + " " + marker
    for _ in range(3):
        answer = agent.beacon(body(), headers={"X-Forwarded-For": address, "User-Agent": ua})
        assert answer.status == 200
    agent.flush()
    agent.kill()
    central.stop()
    needles = [address.encode(), marker.encode(), bytes(int(p) for p in address.split("."))]
    for folder, _, files in os.walk(farm.directory):
        for name in files:
            content = open(os.path.join(folder, name), "rb").read()
            for needle in needles[:2]:
                assert needle not in content, (folder, name)
            if "segment" in name:
                assert needles[2] not in content, (folder, name)
