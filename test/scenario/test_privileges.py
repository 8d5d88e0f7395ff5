"""Both programs started as root, as packages and containers without systemd do.

Proves: with node.user and central.user nothing is left of root in any thread once requests are
taken, while privileged ports, unix sockets, reloads, restarts and the other commands go on working;
a directory of the wrong owner is refused with what to do; without the settings there is one warning;
and capabilities that somebody else gave are given up as well.

Skipped where the tests do not run as root.
"""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import uuid

import pytest

from farm import BIN, PATIENCE, ROOT, BROWSER, midday_zone, request, today_in, wait_for

USER = "nobody"  # every system has it, and nothing belongs to it
ZONE = midday_zone()

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def owned(agent):
    """The agent's secrets are its user's, as its reloads read them."""
    token = agent.sections["forward"].get("token_file")
    if token:
        shutil.chown(token, USER)
    return agent


def privileged_port():
    """One that only root may bind, and nobody has."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no privileged port is free")


def threads(program):
    """What /proc says of each thread, by its keys."""
    for task in pathlib.Path(f"/proc/{program.process.pid}/task").iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile: one that looked up a name
            continue
        yield dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def owners(directory):
    """Of all that is in it; a program that runs removes and renames files meanwhile."""
    found = {directory.owner()}
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found.add(path.owner())
    return found


def assert_nothing_is_left_of_root(program):
    entry = pwd.getpwnam(USER)
    seen = list(threads(program))
    assert seen
    for status in seen:
        assert status["Uid"].split() == [str(entry.pw_uid)] * 4
        assert status["Gid"].split() == [str(entry.pw_gid)] * 4
        assert "0" not in status["Groups"].split()
        for set_ in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[set_], 16) == 0, (set_, status["Name"])
        assert status["NoNewPrivs"].strip() == "1"


def beacon():
    return {"content_type": "video", "content_id": str(uuid.uuid4()), "event_id": str(uuid.uuid4())}


def over_unix(path):
    """The status that a beacon gets through a unix socket, as a user without rights sends it."""
    body = json.dumps(beacon())
    head = [f"{k}: {v}" for k, v in {**BROWSER, "Content-Length": len(body)}.items()]
    lines = ["POST /api/track-view/ HTTP/1.1", "Host: x", "Connection: close", *head, "", body]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.recv(4096).split()[1])


def refused(program, *more, **started):
    """Its message, when it must not start."""
    done = subprocess.run(
        program.command("run", *more), capture_output=True, text=True, timeout=PATIENCE,
        check=False, **started,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_nothing_is_left_of_root_and_all_goes_on_working(open_farm):
    central = open_farm.central(time_zone=ZONE, user=USER).start()
    path = open_farm.directory / "http.sock"  # in a folder of root's: only root can remove it
    port = privileged_port()
    agent = owned(open_farm.agent(
        "web-1", central, node={"user": USER}, admit={"rate": "off"},
        http={"listen": [f"127.0.0.1:{port}", f"unix:{path}"], "trusted_proxies": ["unix"]},
    )).start()
    sent = 0
    for _ in range(2):
        assert_nothing_is_left_of_root(central)
        assert_nothing_is_left_of_root(agent)
        assert agent.http == f"127.0.0.1:{port}"
        assert agent.beacon(beacon()).status == 200
        assert path.stat().st_mode & 0o777 == 0o666
        assert over_unix(path) == 200
        sent += 2
        agent.flush()
        agent.stop()
        agent.start()
        central.stop()
        central.start()
    agent.kill()  # and once not cleanly
    agent.start()
    assert agent.beacon(beacon()).status == 200
    agent.flush()
    day = today_in(ZONE)
    assert central.api("summary", from_=day, to=day)["total_views"] == sent + 1
    for program, directory in ((agent, agent.state_dir), (central, central.data_dir)):
        assert "runs as root" not in program.log()
        assert owners(directory) == {USER}
        program.stop()


def test_a_reload_is_done_as_the_user(open_farm):
    agent = open_farm.agent("web-1", node={"user": USER}).start()
    origin = {"Origin": "https://shop.example"}

    def allowed():
        answer = agent.beacon(b"", method="OPTIONS", headers=origin)
        return "Access-Control-Allow-Origin" in answer.headers

    assert not allowed()
    agent.sections["http"]["allowed_origins"] = ["https://shop.example"]
    agent.write_conf()
    agent.process.send_signal(signal.SIGHUP)
    wait_for("the origin to be allowed", allowed)
    wait_for("the reload's end", lambda: 'msg="reloaded"' in agent.log())
    agent.conf.chmod(0o600)  # root's alone
    agent.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: "reload refused" in agent.log())
    assert allowed()
    agent.stop()
    assert "cannot be read again" not in agent.log()
    agent.start()
    assert "cannot be read again" in agent.log()


def test_other_commands_that_root_starts_leave_files_of_the_user(open_farm):
    central = open_farm.central(user=USER)
    assert central.add_node("web-1")  # before the first start: makes the directory
    central.start()
    central.add_node("web-2")
    assert central.api("nodes")
    central.stop()
    central.run("verify")
    central.run("rebuild")
    assert owners(central.data_dir) == {USER}
    central.start()


def test_other_commands_that_root_starts_leave_files_of_who_runs_the_program(open_farm):
    """As with systemd's User=, which the settings do not know."""
    central = open_farm.central()
    plain = central.command
    volume = central.data_dir / "lost+found"
    volume.mkdir(mode=0o700, parents=True)
    shutil.chown(central.data_dir, USER)
    shutil.chown(central.directory, USER)
    become = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"]
    central.command = lambda word, *more: [*(become if word == "run" else []), *plain(word, *more)]
    central.start()
    assert central.add_node("web-1")
    assert central.api("nodes")
    central.run("verify")
    central.run("retain")
    central.stop()
    central.run("rebuild")
    made = [p for p in [central.data_dir, *central.data_dir.rglob("*")] if p != volume]
    assert {p.owner() for p in made} == {USER}
    central.start()


def test_what_root_s_command_may_not_read_is_denied_to_whom_it_became(open_farm):
    secret = open_farm.directory / "secret"  # root's alone, as the unit's token and an operator's backups
    secret.mkdir(mode=0o700)
    (secret / "token").touch(mode=0o600)
    denied = f'Permission denied to user "{USER}"'
    agent = open_farm.agent("web-1", forward={"token_file": secret / "token"})
    assert agent.run("check").returncode == 0  # nobody runs it yet
    agent.state_dir.mkdir()
    shutil.chown(agent.state_dir, USER)
    done = agent.run("check", check=False)
    assert done.returncode == 1 and denied in done.stderr
    agent.run("check", "-o", "forward.token_file=")
    central = open_farm.central()
    central.data_dir.mkdir()
    shutil.chown(central.data_dir, USER)
    for command in ("restore", "backup"):
        done = central.run(command, str(secret / "backup"), check=False)
        assert done.returncode == 1 and denied in done.stderr, (command, done.stderr)


def test_a_reload_is_checked_with_what_the_unit_starts_with(open_farm):
    """The token of the unit is a credential: what the settings say of it may be root's."""
    unit = (ROOT / "packaging" / "systemd" / "footfall-agent.service").read_text()
    assert "forward.token_file=%d/token" in re.search(r"^ExecStart=(.*)", unit, re.M)[1]
    token = open_farm.directory / "token"
    token.touch(mode=0o600)
    agent = open_farm.agent("web-1", forward={"token_file": token})
    words = re.search(r"^ExecReload=@bindir@/(.* check .*)", unit, re.M)[1].split()
    words = [str(agent.conf) if w == "/etc/footfall/agent.conf" else w for w in words]

    def check():
        return subprocess.run(
            [BIN / words[0], *words[1:]], capture_output=True, text=True, check=False,
            user=USER, group="nogroup", extra_groups=[],
        )

    done = check()
    assert done.returncode == 0, done.stderr
    agent.sections["admit"]["rate"] = "much"
    agent.write_conf()
    assert check().returncode == 1


def test_a_backup_that_only_the_central_would_see_is_refused(open_farm):
    """As with systemd's PrivateTmp=: where the central sees no such directory it copies nothing, and what it
    writes into another one of that name is called none."""
    central = open_farm.central()
    shared, own = open_farm.directory / "shared", open_farm.directory / "tmp"
    own.mkdir()
    mount = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {own} && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], check=False).returncode:
        pytest.skip("may not mount here")
    plain = central.command
    central.command = lambda word, *more: [*(mount if word == "run" else []), *plain(word, *more)]
    central.start()
    inside = pathlib.Path(f"/proc/{central.process.pid}/root{own}")
    assert "backed up" in central.run("backup", str(shared)).stdout
    before = set(inside.iterdir())
    for _ in range(2):
        done = central.run("backup", str(own / "today"), check=False)
        assert done.returncode == 1 and "does not see that directory" in done.stderr
        assert set(inside.iterdir()) == before
    done = central.run("backup", str(own), check=False)
    assert done.returncode == 1 and "has another" in done.stderr


@pytest.mark.parametrize("which", ["the directory", "something in it"])
def test_a_directory_of_somebody_else_is_refused_with_what_to_do(open_farm, which):
    agent = open_farm.agent("web-1", node={"user": USER})
    agent.state_dir.mkdir()
    if which == "something in it":
        shutil.chown(agent.state_dir, USER)
        (agent.state_dir / "spool").mkdir()
    said = refused(agent)
    assert f"chown -R {USER}: {agent.state_dir}" in said and "node.user" in said
    subprocess.run(["chown", "-R", f"{USER}:", str(agent.state_dir)], check=True)
    agent.start()


@pytest.mark.parametrize("user,says", [("no-such-user", "no user"), ("root", "is root")])
def test_who_cannot_be_become_is_named(open_farm, user, says):
    for program in (open_farm.agent("web-1", node={"user": user}), open_farm.central(user=user)):
        assert says in refused(program)


def test_as_another_user_than_the_settings_name_it_does_not_start(open_farm):
    agent = open_farm.agent("web-1", node={"user": "daemon"})
    shutil.chown(agent.directory, USER)
    assert "only root can become" in refused(agent, user=USER, group="nogroup", extra_groups=[])


def test_root_without_a_user_to_become_is_warned_once(open_farm):
    for program in (open_farm.agent("web-1").start(), open_farm.central().start()):
        assert program.log().count("runs as root") == 1
        assert all(status["NoNewPrivs"].strip() == "1" for status in threads(program))
        program.stop()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_capabilities_given_for_the_start_are_given_up(open_farm):
    """As systemd does with AmbientCapabilities=CAP_NET_BIND_SERVICE."""
    port = privileged_port()
    agent = open_farm.agent("web-1", http={"listen": [f"127.0.0.1:{port}"]})
    shutil.chown(agent.directory, USER)
    plain = agent.command
    caps = "+net_bind_service"

    def command(subcommand, *more):
        become = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups",
                  f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set=-all,{caps}"]
        return [*become, *plain(subcommand, *more)]

    agent.command = command
    agent.start()
    assert request(agent.http, "GET", "/js/analytics-tracking.js").status == 200
    for status in threads(agent):
        assert all(int(status[s], 16) == 0 for s in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    assert "runs as root" not in agent.log()
