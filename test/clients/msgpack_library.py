"""msgpack_library.py -- what the msgpack library of this language emits for one event.

A line NAME HEX for each form; the array holds two events. The other msgpack_library.* do the same.
"""

import sys
import time
import uuid

import msgpack

UA = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def event():
    now = time.time() * 1000
    return {
        "type": "video", "id": str(uuid.uuid4()), "eid": uuid.uuid4().bytes, "ts": float(int(now)),
        "val": 3, "ip": "192.0.2.1", "ua": UA, "ref": None, "unknown": {"a": [1, -2, True]},
    }


FORMS = {
    "map": msgpack.packb(event()),
    "array": msgpack.packb([event(), event()]),
    "keys-as-bin": msgpack.packb({k.encode(): v for k, v in event().items()}),
    "old-raw": msgpack.packb(event(), use_bin_type=False),
    "float32-value": msgpack.packb(event() | {"ts": int(time.time() * 1000)}, use_single_float=True),
}
for name, raw in FORMS.items():
    sys.stdout.write(f"{name} {raw.hex()}\n")
