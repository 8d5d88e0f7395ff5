"""The benchmarks refuse to give a figure when a request failed or a count differs (test/bench)."""

import concurrent.futures
import json
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import farm as farm_lib  # noqa: E402
import rows_http  # noqa: E402
import rows_udp  # noqa: E402
import senders  # noqa: E402
from farm import wait_for  # noqa: E402
from measure import Failed, Table, in_turns  # noqa: E402
from servers import OurAgent  # noqa: E402

senders.TOOLS = farm_lib.BIN / "test" / "bench"
VIEW = {"content_type": "video", "content_id": "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a11"}
UNLIMITED = {"admit": {"rate": "1000000/1s", "burst": 1000000}, "journal": {"segment": "1m", "segments": 16}}
ONE_ONLY = UNLIMITED | {"admit": {"rate": "1/1h", "burst": 1}}


@pytest.fixture
def ours(farm):
    return OurAgent(farm, "web-1", **UNLIMITED).start()


@pytest.fixture
def limited(farm):
    return OurAgent(farm, "web-1", **ONE_ONLY).start()


def test_a_run_in_which_every_request_was_answered_and_counted_gives_figures(ours):
    requests, p999 = ours.checked(lambda: senders.pace(ours.port, 500, 1), 0)
    assert requests == 500 and p999 > 0
    requests, rate, p50 = ours.checked(lambda: senders.wrk(ours.port, 2, 1), 4)
    assert requests > 0 and rate > 0 and p50 > 0


def test_a_stall_is_charged_for_every_request_that_was_due_meanwhile(ours):
    """The agent stands still while all of a second's requests are due, and for longer: all are late,
    though no more than one for each of the 4 connections was under way."""
    over = threading.Event()

    def has_begun():
        with open("/proc/net/tcp") as file:  # local address, other's, 01: established, bytes to be sent:read
            lines = [line.split() for line in file]
        return any(line[1] == f"0100007F:{ours.port:04X}" and line[3] == "01"
                   and not line[4].endswith(":00000000") for line in lines)

    ours.agent.process.send_signal(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        run = beside.submit(senders.run, [senders.TOOLS / "http_pace", ours.port, 1000, 1, 4, 0])
        wait_for("the first request to lie there", has_begun)
        over.wait(2)
        ours.agent.process.send_signal(signal.SIGCONT)
        answered, p50, p999, longest = (float(word) for word in run.result().split()[1:])
    assert answered == 1000
    assert longest >= p999 >= p50 > 500000


def test_a_refused_beacon_fails_a_paced_run(limited):
    with pytest.raises(Failed, match="429"):
        senders.pace(limited.port, 500, 1)


def test_a_refused_beacon_fails_a_run_of_wrk(limited):
    with pytest.raises(Failed, match="of another status"):
        senders.wrk(limited.port, 2, 1)


def test_a_server_that_goes_away_fails_the_run(ours):
    ours.stop()
    with pytest.raises(Failed):
        senders.pace(ours.port, 500, 1)
    with pytest.raises(Failed):
        senders.wrk(ours.port, 2, 1)


def test_an_event_too_many_in_the_ledger_fails_the_run(ours):
    def send():
        assert ours.agent.beacon(VIEW).status == 200  # one that the sender does not know of
        return senders.pace(ours.port, 500, 1)

    with pytest.raises(Failed, match="differs by 1"):
        ours.checked(send, 0)


def test_an_event_too_few_in_the_ledger_fails_the_run(ours):
    with pytest.raises(Failed, match="differs by -1"):
        ours.checked(lambda: (senders.pace(ours.port, 500, 1)[0] + 1, 0), 64)


def test_a_datagram_too_many_fails_the_run(ours, monkeypatch):
    flood = senders.flood

    def one_more(port, rate, seconds):
        ours.agent.emit([{"type": "video", "id": VIEW["content_id"], "ip": "192.0.2.7"}])
        return flood(port, rate, seconds)

    monkeypatch.setattr(senders, "flood", one_more)
    with pytest.raises(Failed, match="accounted for"):
        rows_udp.taken(ours, 1000, 1)


def test_datagrams_that_the_kernel_drops_are_the_figure_and_no_failure(farm, monkeypatch):
    ours = OurAgent(farm, "web-1", **UNLIMITED, udp={"receive_buffer": "64k"}).start()
    flood = senders.flood

    def while_it_sleeps(port, rate, seconds):
        ours.agent.process.send_signal(signal.SIGSTOP)
        try:
            return flood(port, rate, seconds)
        finally:
            ours.agent.process.send_signal(signal.SIGCONT)

    monkeypatch.setattr(senders, "flood", while_it_sleeps)
    sent, dropped, _ = rows_udp.taken(ours, 3200, 1)
    assert sent == 3200 and 0 < dropped < sent


@pytest.fixture
def rotating(farm):
    """Batches of its have travelled, and no interval ends that would send one more."""
    it = rows_http.Rotating(farm, "web-1", interval="1h").start()
    it.checked(lambda: it.paced(1), 0)
    return it


def test_views_whose_batches_travelled_are_at_a_central_afterwards(rotating):
    sealed, forwarded = rotating.arrived()
    assert sealed > 0 and forwarded > 0


@pytest.mark.parametrize("spoil, why", [
    (lambda first, others: others, "forwarded, .* kept"),
    (lambda first, others: first[:-1] + bytes([first[-1] ^ 1]) + others, "batch 1: the central answers 4"),
    (lambda first, others: first + first + others, "batch 2: .*already"),
])
def test_a_batch_that_is_lost_changed_or_kept_twice_fails_the_run(rotating, spoil, why):
    whole = rotating.sink.kept.read_bytes()
    first = 4 + len(next(rotating.sink.batches()))
    rotating.sink.kept.write_bytes(spoil(whole[:first], whole[first:]))
    with pytest.raises(Failed, match=why):
        rotating.arrived()


def test_a_view_that_no_batch_holds_fails_the_run(rotating):
    rotating.requests += 1
    with pytest.raises(Failed, match="2001 answered, 2000 at the central"):
        rotating.arrived()


def run_bench(tmp_path, *how):
    out = tmp_path / "bench.json"
    out.write_text("{}")
    done = subprocess.run(
        [sys.executable, BENCH / "bench.py", "--bin", farm_lib.BIN, "--tools", senders.TOOLS,
         "--rounds", "1", "--seconds", "1", "--json", out, *how],
        capture_output=True, text=True, check=False)
    return done, json.loads(out.read_text()) if out.exists() else None


def test_the_suite_ends_with_1_and_writes_no_figures_when_requests_are_refused(tmp_path):
    done, written = run_bench(tmp_path, "--only", "clients,memory", "--set", "http.trusted_proxies=")
    assert done.returncode == 1
    assert "FAILED clients" in done.stdout and "429" in done.stdout
    assert "memory of an idle agent" in done.stdout  # the others are still measured
    assert written is None  # nor are those of an earlier run left


def test_the_suite_ends_with_0_and_writes_figures_with_their_goals(tmp_path):
    done, written = run_bench(tmp_path, "--only", "memory")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(written) == {"memory of an idle agent", "memory per connection"}
    for row in written.values():
        assert set(row) == {"value", "goal", "better"}
        assert row["value"] > 0 and row["better"] in ("higher", "lower")


def test_a_figure_is_the_median_of_the_ratios_within_a_round(capsys):
    table = Table()
    table.ratio("x", 1, [1, 4, 9], [1, 2, 3])
    assert table.rows["x"] == {"value": 2, "goal": 1, "better": "lower"}
    assert table.missed == 1 and "MISSED" in capsys.readouterr().out


def test_measures_take_turns_and_every_other_round_the_other_way_round():
    order = []
    got = in_turns(3, {name: lambda n=name: order.append(n) or len(order) for name in "ab"})
    assert "".join(order) == "abbaab"
    assert got == {"a": [1, 4, 5], "b": [2, 3, 6]}
