#!/usr/bin/env python3
"""make_state.py -- an agent's state directory as this version writes it, to be kept in git.

    make_state.py test/data/state-vN

To be run once for each version of a format, by the version that introduced it. An agent without a
central takes events, seals some of them into a batch, and is killed with others in its journal.
test_versions.py starts the agents of later versions on it. Segments are gzipped: mostly zeros.
"""

import gzip
import json
import pathlib
import shutil
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402

CONTENTS = [str(uuid.UUID(int=0x2000 + n, version=4)) for n in range(3)]
BOTS = {
    "Googlebot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl": "curl/8.7.1",
}


def offer(agent, n, counted):
    for i in range(n):
        content = CONTENTS[i % len(CONTENTS)]
        event = {"content_type": "video", "content_id": content, "event_id": str(uuid.uuid4())}
        event["referrer"] = "https://example.org/"
        assert agent.beacon(event).status == 200
        counted[content] = counted.get(content, 0) + 1


def meet(agent, n, bots):
    """Bots, by their names, which batches have since version 2."""
    for _ in range(n):
        for name, ua in BOTS.items():
            event = {"content_type": "video", "content_id": CONTENTS[0]}
            assert agent.beacon(event, headers={"User-Agent": ua}).status == 200
            bots[name] = bots.get(name, 0) + 1


def main():
    target = pathlib.Path(sys.argv[1])
    counted, bots = {}, {}
    with tempfile.TemporaryDirectory() as directory:
        farm = farm_lib.Farm(directory)
        agent = farm.agent(
            "web-1",
            admit={"rate": "off"},
            http={"workers": 1},
            udp={"listen": []},
            journal={"segment": "64k", "segments": 4},
        ).start()
        offer(agent, 7, counted)
        meet(agent, 2, bots)
        agent.stop()  # into the spool
        agent.start()
        offer(agent, 5, counted)
        meet(agent, 3, bots)
        agent.kill()
        copy(agent.state_dir, target)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    (target / "counted.json").write_text(json.dumps({"day": day, "views": counted, "bots": bots}) + "\n")


def copy(state, target):
    for folder in ("journal", "spool"):
        (target / folder).mkdir(parents=True)
    for name in ("epoch", "seq"):
        shutil.copyfile(state / name, target / name)
    for path in (state / "spool").glob("*.batch"):
        shutil.copyfile(path, target / "spool" / path.name)
    for path in (state / "journal").iterdir():
        packed = gzip.compress(path.read_bytes(), mtime=0)
        (target / "journal" / (path.name + ".gz")).write_bytes(packed)


if __name__ == "__main__":
    main()
