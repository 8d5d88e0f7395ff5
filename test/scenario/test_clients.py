"""Clients for backends, each with its real runtime, against a running agent.

Proves: every client of proto/clients sends single events, batches and signed datagrams that the agent
takes; a replay, another key and an unknown key are refused under their own reasons; a forked child is
a sender of its own; what the msgpack libraries of these languages emit by themselves is taken; and
the snippets of proto/clients/README.md make a view that page and backend report count once.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import uuid

import pytest

from farm import BROWSER, PATIENCE, ROOT, request, wait_for
from test_datagram import counts, send

CLIENTS = ROOT / "test" / "clients"
RUNTIMES = {
    "python": [sys.executable, str(CLIENTS / "drive.py")],
    "php": ["php", str(CLIENTS / "drive.php")],
    "ruby": ["ruby", str(CLIENTS / "drive.rb")],
    "node": ["node", str(CLIENTS / "drive.mjs")],
    "c": ["gcc"],
}
LIBRARIES = {
    "python3-msgpack": ([sys.executable, "msgpack_library.py"], [sys.executable, "-c", "import msgpack"]),
    "php-msgpack": (["php", "msgpack_library.php"], ["php", "-r", "exit((int)!extension_loaded('msgpack'));"]),
    "ruby-msgpack": (["ruby", "msgpack_library.rb"], ["ruby", "-e", "require 'msgpack'"]),
    "@msgpack/msgpack": (["node", "msgpack_library.mjs", "@msgpack/msgpack"], None),
    "msgpackr": (["node", "msgpack_library.mjs", "msgpackr"], None),
}
EVENTS = 1 + 100 + 1  # of `drive send`: one, a batch, one by a child
DATAGRAMS = 1 + 2 + 1


def run(command, *arguments, cwd=CLIENTS):
    done = subprocess.run(
        [*command, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=RUNTIMES)
def client(request, tmp_path_factory):
    """The command of a language's drive program."""
    command = RUNTIMES[request.param]
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]}")
    if request.param != "c":
        return command
    program = tmp_path_factory.mktemp("client") / "drive"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-I", str(ROOT)]
    sources = [str(CLIENTS / "drive.c"), str(ROOT / "proto/clients/c/footfall.c")]
    run(["gcc", *flags, "-o", str(program), *sources])
    return [str(program)]


def key_file(path, name="shop-1"):
    path.touch(mode=0o600)
    path.write_text(f"# a key for the tests\n\n{name} {os.urandom(32).hex()}\n")
    return path


@pytest.fixture
def key(tmp_path):
    return key_file(tmp_path / "key")


@pytest.fixture
def agent(farm, key):
    return farm.agent("web-1", udp={"listen": ["127.0.0.1:0"], "keys_file": key}).start()


class Tap:
    """An address that remembers what comes, in front of the agent's."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def take(self, n):
        return [self.socket.recv(65536) for _ in range(n)]


@pytest.fixture
def tap():
    it = Tap()
    yield it
    it.socket.close()


def settled(agent, n):
    wait_for(f"{n} verdicts, {counts(agent)}", lambda: sum(counts(agent).values()) >= n)
    return counts(agent)


def metric(agent, name):
    return agent.metrics()[f"footfall_{name}"]


@pytest.mark.parametrize("client", [r for r in RUNTIMES if r != "c"], indirect=True)  # C: test/unit
def test_each_client_makes_the_golden_bytes(client):
    vectors = ROOT / "proto" / "vectors"
    wanted = len(list(vectors.glob("datagram-*.json"))) + len(list(vectors.glob("envelope-*.json")))
    assert run(client, "golden", vectors) == f"ok {wanted}\n"


def test_each_client_sends_events_and_batches(client, agent):
    out = run(client, "send", agent.addresses["udp"], "-", uuid.uuid4())
    assert out == "sent 101 failed 1\n"
    assert settled(agent, EVENTS) == {"accepted.first": EVENTS}
    assert metric(agent, "udp_datagrams_total") == DATAGRAMS
    assert metric(agent, "udp_signed_total") == 0


def test_each_client_signs_and_a_fork_is_another_sender(client, agent, key):
    out = run(client, "send", agent.addresses["udp"], key, uuid.uuid4())
    assert out == "sent 101 failed 1\n"
    assert settled(agent, EVENTS) == {"accepted.first": EVENTS}
    assert metric(agent, "udp_signed_total") == DATAGRAMS
    assert metric(agent, "udp_sequence_gaps_total") == 0


def test_signed_datagrams_count_once_in_any_order(client, agent, key, tap):
    run(client, "send", tap.address, key, uuid.uuid4())
    one, first, second, child = tap.take(DATAGRAMS)
    send(agent, one, second, one, first, second, child, child)
    got = settled(agent, EVENTS + 3)
    assert got == {"accepted.first": EVENTS, "invalid.replayed": 3}
    assert metric(agent, "udp_sequence_gaps_total") == 1
    assert metric(agent, "udp_sequence_late_total") == 1


def test_the_status_says_of_each_key_what_got_lost(agent, key, tap):
    run(RUNTIMES["python"], "send", tap.address, key, uuid.uuid4())
    one, first, second, child = tap.take(DATAGRAMS)
    assert agent.status()["udp"]["keys"] == {
        "shop-1": {"received": 0, "lost": 0, "late": 0, "replayed": 0, "refused": 0}
    }
    send(agent, one, second, one, second[:-1] + bytes([second[-1] ^ 1]))
    wait_for("4 datagrams", lambda: metric(agent, "udp_datagrams_total") == 4)
    lost = {"received": 2, "lost": 1, "late": 0, "replayed": 1, "refused": 1}
    wait_for("a loss", lambda: agent.status()["udp"]["keys"] == {"shop-1": lost})
    send(agent, first, child)
    late = {**lost, "received": 4, "lost": 0, "late": 1}
    wait_for("its end", lambda: agent.status()["udp"]["keys"] == {"shop-1": late})
    assert metric(agent, 'udp_key_gaps_total{key="shop-1"}') == 1
    assert metric(agent, 'udp_key_late_total{key="shop-1"}') == 1
    assert "shop-1:" in agent.run("status").stdout


def test_signatures_can_be_asked_of_loopback_as_well(farm, key):
    wanted = {"listen": ["127.0.0.1:0"], "require_signed": "all"}
    refused = farm.agent("web-0", udp=wanted).run("check", check=False)
    assert refused.returncode == 1 and "keys_file" in refused.stderr
    agent = farm.agent("web-1", udp={**wanted, "keys_file": key}).start()
    assert drive(agent, "-", DATAGRAMS) == {"invalid.untrusted": DATAGRAMS}
    got = drive(agent, key, EVENTS)
    assert got == {"invalid.untrusted": DATAGRAMS, "accepted.first": EVENTS}


def test_other_keys_are_refused(client, agent, tmp_path):
    run(client, "send", agent.addresses["udp"], key_file(tmp_path / "other"), uuid.uuid4())
    assert settled(agent, DATAGRAMS) == {"invalid.tag": DATAGRAMS}
    run(client, "send", agent.addresses["udp"], key_file(tmp_path / "third", "shop-3"), uuid.uuid4())
    got = settled(agent, 2 * DATAGRAMS)
    assert got == {"invalid.tag": DATAGRAMS, "invalid.unknown_key": DATAGRAMS}


def test_a_changed_datagram_is_refused(client, agent, key, tap):
    run(client, "send", tap.address, key, uuid.uuid4())
    one = tap.take(DATAGRAMS)[0]
    send(agent, one[:40] + bytes([one[40] ^ 1]) + one[41:], one[:-1], one[:20], b"FFSD\x02" + one[5:])
    assert settled(agent, 4) == {"invalid.tag": 2, "invalid.envelope": 2}
    send(agent, one)
    assert settled(agent, 5)["accepted.first"] == 1


def test_a_missing_key_or_listener_fails_nobody(client, tap):
    address = tap.address
    tap.socket.close()
    for bad_address, bad_key in (address, "/nonexistent"), ("127.0.0.1", "-"), ("", "-"):
        out = run(client, "send", bad_address, bad_key, uuid.uuid4())
        assert out == "sent 0 failed 102\n"
    sent, failed = map(int, re.findall(r"\d+", run(client, "send", address, "-", uuid.uuid4())))
    assert (sent + failed, failed > 1) == (102, True)


def test_beacon_and_twin_count_once(client, agent):
    event_id, content = uuid.uuid4(), uuid.uuid4()
    beacon = {"content_type": "video", "content_id": str(content), "event_id": str(event_id)}
    assert agent.beacon(beacon).json()["tracked"] is True
    run(client, "twin", agent.addresses["udp"], event_id, content)
    assert settled(agent, 1) == {"duplicate.event_id": 1}
    run(client, "twin", agent.addresses["udp"], uuid.uuid4(), content)
    assert settled(agent, 2) == {"duplicate.event_id": 1, "accepted.first": 1}


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_msgpack_libraries_emit_is_taken(library, agent):
    command, probe = LIBRARIES[library]
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]}")
    if probe and subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"needs {library}")
    if not probe and not (CLIENTS / "node_modules" / library).exists():
        pytest.skip(f"needs npm ci in test/clients for {library}")
    lines = [line.split() for line in run(command).splitlines()]
    assert len(lines) >= 4
    events = 0
    for name, raw in lines:
        send(agent, bytes.fromhex(raw))
        events += 2 if name == "array" else 1
        assert settled(agent, events) == {"accepted.first": events}, name


def test_emit_signs(agent, key, tmp_path):
    events = [{"type": "video", "id": str(uuid.uuid4()), "ua": "x" * 2000} for _ in range(10)]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    emit = ["emit", "--to", agent.addresses["udp"], "-"]
    agent.run(*emit, "--key", str(key), stdin=lines)
    assert settled(agent, 10) == {"bot.user_agent": 10}
    assert metric(agent, "udp_signed_total") == 4  # three fit one
    other = key_file(tmp_path / "other")
    agent.run(*emit, "--key", str(other), stdin=lines)
    assert settled(agent, 14) == {"bot.user_agent": 10, "invalid.tag": 4}
    other.chmod(0o644)
    assert "others than its owner" in agent.run(*emit, "--key", str(other), stdin=lines, check=False).stderr


# -- keys of a running agent --


def drive(agent, key, count):
    before = sum(counts(agent).values())
    run(RUNTIMES["python"], "send", agent.addresses["udp"], key, uuid.uuid4())
    return settled(agent, before + count)


def test_keys_change_with_sighup(farm, key, tmp_path):
    agent = farm.agent("web-1", udp={"listen": ["127.0.0.1:0"], "keys_file": key}).start()
    old = key_file(tmp_path / "old")
    old.write_text(key.read_text())
    key_file(key, "shop-2")
    agent.process.send_signal(1)
    wait_for("the reload", lambda: "reloaded" in agent.log())
    assert drive(agent, old, DATAGRAMS) == {"invalid.unknown_key": DATAGRAMS}
    assert drive(agent, key, EVENTS)["accepted.first"] == EVENTS


def test_a_restart_takes_no_replay(agent, key, tap):
    run(RUNTIMES["python"], "send", tap.address, key, uuid.uuid4())
    signed = tap.take(DATAGRAMS)
    send(agent, *signed)
    assert settled(agent, EVENTS) == {"accepted.first": EVENTS}
    agent.stop()
    agent.start()
    send(agent, *signed)
    assert settled(agent, DATAGRAMS) == {"invalid.stale": DATAGRAMS}


def test_a_file_of_keys_is_checked(farm, tmp_path):
    key = key_file(tmp_path / "bad")
    agent = farm.agent("web-1", udp={"listen": ["127.0.0.1:0"], "keys_file": key})
    assert agent.run("check").returncode == 0
    key.chmod(0o644)
    assert "0600" in agent.run("check", check=False).stderr
    key.chmod(0o600)
    key.write_text("shop-1 0123\n")
    failed = agent.run("check", check=False)
    assert failed.returncode == 1 and "bad:1:" in failed.stderr and "0123" not in failed.stderr


# -- beyond loopback --

SEPARATE = ["unshare", "--map-root-user", "--net", "sh", "-ec"]
NETWORK = "ip link set lo up; ip address add 192.0.2.1/32 dev lo; "


def test_beyond_loopback_only_signed_datagrams_are_taken():
    """In a network of its own, whose only address beside loopback is 192.0.2.1."""
    probe = subprocess.run([*SEPARATE, NETWORK], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("needs unshare --net and ip")
    inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__ + "::test_inside"]
    done = subprocess.run(
        [*SEPARATE, NETWORK + 'exec "$@"', "sh", *inner], env={**os.environ, "FOOTFALL_INSIDE": "1"},
        capture_output=True, text=True, timeout=4 * PATIENCE, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def inside(farm, key):
    refused = farm.agent("web-0", udp={"listen": ["192.0.2.1:0"]}).run("check", check=False)
    assert refused.returncode == 1 and "keys_file" in refused.stderr
    agent = farm.agent("web-1", udp={"listen": ["192.0.2.1:0"], "keys_file": key}).start()
    more = DATAGRAMS + 1  # 1,400 bytes hold fewer events
    assert drive(agent, "-", more) == {"invalid.untrusted": more}
    got = drive(agent, key, EVENTS)
    assert got == {"invalid.untrusted": more, "accepted.first": EVENTS}


if "FOOTFALL_INSIDE" in os.environ:
    test_inside = inside


# -- the manual's pages --

AGENT_OF_EXAMPLES = "127.0.0.1:8125"
CONTENT = "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a11"
DJANGO = """
import django
from django.conf import settings
from django.test import RequestFactory
settings.configure(ALLOWED_HOSTS=["*"], TEMPLATES=[{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": ["."]}])
django.setup()
import views
answer = views.video(RequestFactory().get("/", HTTP_USER_AGENT=%r, HTTP_REFERER="https://a.example/"), %r)
assert "no-store" in answer["Cache-Control"]
print(answer.content.decode())
"""
PHP = "$_SERVER['REMOTE_ADDR'] = '127.0.0.1'; $_SERVER['HTTP_USER_AGENT'] = %r; require 'page.php';"


@pytest.fixture
def pages(agent, tmp_path):
    """A folder with the manual's files, and the clients beside them."""
    folder = tmp_path / "pages"
    folder.mkdir()
    manual = (ROOT / "proto/clients/README.md").read_text()
    for name, text in re.findall(r"^```\w+ (\S+)\n(.*?)^```$", manual, re.M | re.S):
        assert AGENT_OF_EXAMPLES in text or name.endswith(".html")
        (folder / name).write_text(text.replace(AGENT_OF_EXAMPLES, agent.addresses["udp"]))
    for client in (ROOT / "proto" / "clients").glob("*/footfall.*"):
        shutil.copy(client, folder)
    return folder


def page_of_django(folder):
    if subprocess.run([sys.executable, "-c", "import django"], capture_output=True, check=False).returncode:
        pytest.skip("needs python3-django")
    (folder / "serve.py").write_text(DJANGO % (BROWSER["User-Agent"], CONTENT))
    return run([sys.executable, str(folder / "serve.py")], cwd=folder)


def page_of_php(folder):
    if not shutil.which("php"):
        pytest.skip("needs php")
    return run(["php", "-r", PHP % BROWSER["User-Agent"]], cwd=folder)


def page_of_node(folder):
    page = folder / "page.cjs"
    text = page.read_text()
    assert "listen(3000, '127.0.0.1')" in text
    said = "listen(0, '127.0.0.1', function () { console.log(this.address().port); })"
    page.write_text(text.replace("listen(3000, '127.0.0.1')", said))
    with subprocess.Popen(["node", str(page)], stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip()
            return request(f"127.0.0.1:{port}", "GET", "/", headers=BROWSER).body.decode()
        finally:
            server.kill()


@pytest.mark.parametrize("page", [page_of_django, page_of_php, page_of_node], ids=["django", "php", "node"])
def test_a_page_of_the_manual_and_its_beacon_count_once(page, agent, pages, one_salt):
    html = page(pages)
    found = dict(re.findall(r'data-(content-type|content-id|event-id)="([^"]+)"', html))
    assert found["content-id"] == CONTENT
    assert settled(agent, 1) == {"accepted.first": 1}
    beacon = {"content_type": found["content-type"], "content_id": CONTENT, "event_id": found["event-id"]}
    answer = agent.beacon(beacon)
    assert (answer.status, answer.json()["tracked"]) == (200, False)
    # the same visitor, at once, under another id: a repeat, so both reports are one person's
    beacon["event_id"] = str(uuid.uuid4())
    assert agent.beacon(beacon).json()["tracked"] is True
    metrics = agent.metrics()
    assert metrics['footfall_events_total{source="beacon",verdict="duplicate",reason="event_id"}'] == 1
    assert metrics['footfall_events_total{source="beacon",verdict="accepted",reason="repeat"}'] == 1
