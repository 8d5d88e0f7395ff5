"""State directories that earlier versions left, read by this one.

Proves: the seq file, the journal's segments and the spool's batches of every format version that was
ever released (test/data/state-vN, made by make_state.py) are sealed and sent, and counted exactly;
what a later version wrote is refused by name, and not touched.
"""

import gzip
import json
import pathlib
import shutil

import pytest

from farm import ROOT, wait_for

STATES = sorted((ROOT / "test" / "data").glob("state-v*"))


def unpack(state, target):
    for path in (p for p in state.rglob("*") if p.is_file() and p.name != "counted.json"):
        to = target / path.relative_to(state)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            to.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copyfile(path, to)


def make_agent(farm, central=None):
    journal = {"segment": "64k", "segments": 4}
    return farm.agent("web-1", central, http={"workers": 1}, journal=journal)


@pytest.mark.parametrize("state", STATES, ids=lambda p: p.name)
def test_the_state_of_an_earlier_version_is_counted(farm, state):
    central = farm.central(time_zone="Etc/UTC").start()
    agent = make_agent(farm, central)
    unpack(state, agent.state_dir)
    wanted = json.loads((state / "counted.json").read_text())
    agent.start()
    agent.flush()
    day = wanted["day"]
    rows = central.api("top", from_=day, to=day, type="video")["rows"]
    assert {row["id"]: row["total_views"] for row in rows} == wanted["views"]
    assert agent.status()["spool"]["broken"] == 0, agent.status()
    bots = central.api("bots", from_=day, to=day)["rows"]
    assert {row["name"]: row["events"] for row in bots} == wanted.get("bots", {})
    assert ": no difference\n" in central.run("verify").stdout


def test_there_is_a_state_of_every_version():
    assert [p.name for p in STATES] == [f"state-v{n + 1}" for n in range(len(STATES))] != []


def test_a_segment_of_a_later_version_is_refused_and_left_as_it_is(farm):
    agent = make_agent(farm)
    unpack(STATES[-1], agent.state_dir)
    path = max((agent.state_dir / "journal").iterdir(), key=lambda p: p.read_bytes().count(b"video"))
    later = bytearray(path.read_bytes())
    later[7] += 1
    path.write_bytes(later)
    with pytest.raises(RuntimeError):
        agent.start()
    assert agent.process.returncode == 1
    assert "later version" in agent.log()
    assert path.read_bytes() == bytes(later)


def test_a_batch_that_is_damaged_is_set_aside_and_stops_nothing(farm):
    central = farm.central(time_zone="Etc/UTC").start()
    agent = make_agent(farm, central)
    unpack(STATES[-1], agent.state_dir)
    (batch,) = (agent.state_dir / "spool").glob("*.batch")
    data = bytearray(batch.read_bytes())
    data[-1] ^= 1
    batch.write_bytes(data)
    agent.start()
    wait_for("the batch to be set aside", lambda: agent.status()["spool"]["broken"] == 1)
    aside = pathlib.Path(agent.state_dir, "spool", "broken", batch.name)
    assert aside.read_bytes() == bytes(data)
    assert "checksum" in aside.with_name(aside.name + ".why").read_text()
    assert agent.beacon({"content_type": "video", "content_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12}).status == 200
    agent.flush()
    node = {n["node"]: n for n in central.api("nodes")["nodes"]}["web-1"]
    assert node["events"] == 6, "the journal's five and the new one"
