"""drive.py -- proto/clients/python for the tests: what every drive.* here does.

    drive.py golden VECTORS                  encodes and signs what proto/vectors says, and compares
    drive.py send ADDRESS KEY EVENT_ID       an event with every key, a batch of 100, a bad one
    drive.py twin ADDRESS EVENT_ID ID        what a page's backend sends

KEY is a file of keys, or - for none. Prints a line `ok N` of vectors, or `sent N failed N`.
"""

import json
import os
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "proto/clients/python"))

import footfall  # noqa: E402

KEYS = {"event_id": "eid", "name": "ev", "value": "val", "site": "site", "ts_ms": "ts", "ip": "ip"}
KEYS.update({"ua": "ua", "session": "sess", "type": "type", "uuid": "id", "slug": "id"})


def event_of(meaning):
    event = {KEYS[k]: v for k, v in meaning.items() if k in KEYS}
    if "referrer" in meaning:
        event["ref"] = "http://" + meaning["referrer"]
    return event


def golden(folder):
    n = 0
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        vector = json.loads(path.read_text())
        raw = bytes.fromhex(path.with_suffix(".hex").read_text())
        if vector["format"] == "datagram":
            made = footfall.encode(event_of(vector["event"]))
        elif vector["format"] == "envelope":
            made = footfall.seal(
                vector["key_name"].encode(), bytes.fromhex(vector["key"]), int(vector["boot"], 16),
                vector["seq"], vector["time_ms"], bytes.fromhex(vector["payload"]),
            )
        else:
            continue
        assert made == raw, path
        n += 1
    print("ok", n)


def send(address, key, event_id):
    views = footfall.Client(address, None if key == "-" else key)
    views.event(
        type="video", id=str(uuid.uuid4()), eid=event_id, ev="play", val=2.5, site="shop", ip="192.0.2.1",
        ua="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ref="https://a.example/b?c", sess="s-é",
    )
    views.batch({"type": "pdf", "id": str(uuid.uuid4())} for _ in range(100))
    views.event(id="no type")
    print("sent", views.sent, "failed", views.failed)
    if os.fork() == 0:
        views.event(type="static", id=str(uuid.uuid4()))
        os._exit(0)
    os.wait()


def twin(address, event_id, content):
    footfall.Client(address).event(type="video", id=content, eid=event_id)


{"golden": golden, "send": send, "twin": twin}[sys.argv[1]](*sys.argv[2:])
