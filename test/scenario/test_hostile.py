"""What nobody honest sends, over both ways, with the reason that each of it must be counted under.

Proves: bombs, absurd numbers and times, text that is none, and every wrong type in every field cost one
event with a reason of its own, never a line in the log, never an acknowledgement, and never the agent;
and what is just within a limit is still taken.
"""

import http.client
import json
import math
import socket
import struct
import time
import uuid

import pytest

from farm import BROWSER, PATIENCE, wait_for

msgpack = pytest.importorskip("msgpack")

UUID = "6f1c2a30-5d77-4be2-9a3c-0d4b8e6f7a11"
UA = BROWSER["User-Agent"]
ACCEPTED = "accepted.first"
# Not UTF-8: a lone continuation, a cut sequence, an overlong slash, a surrogate, beyond U+10FFFF, Latin-1
NO_TEXT = [b"\x80", b"\xe2\x82", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"caf\xe9"]


@pytest.fixture(scope="module")
def agent(module_farm):
    """One for all: whatever one of them breaks, the next one meets."""
    open_ = {"rate": "off", "double_click": "0s", "max_age": "7d"}
    it = module_farm.agent("web-1", admit=open_, journal={"segment": "1m"}).start()
    wait_for("the log of its start to be whole", lambda: 'msg="ready"' in it.log())
    return it


def counts(agent):
    """source.verdict.reason -> events"""
    found = {}
    for name, value in agent.metrics().items():
        if name.startswith("footfall_events_total"):
            source, verdict, reason = name.split('"')[1::2]
            found[f"{source}.{verdict}.{reason}"] = int(value)
    return found


def added(agent, before):
    return {k: n - before[k] for k, n in counts(agent).items() if n != before[k]}


# -- beacons --

GOOD = {"content_type": "video", "content_id": UUID}


def body(**more):
    """A beacon; bytes stand in its JSON as they are."""
    whole = {**GOOD, **more}
    marks = {f"<{n}>": v for n, v in enumerate(whole.values()) if isinstance(v, bytes)}
    texts = {k: f"<{n}>" if isinstance(v, bytes) else v for n, (k, v) in enumerate(whole.items())}
    raw = json.dumps(texts).encode()
    for mark, value in marks.items():
        raw = raw.replace(b'"' + mark.encode() + b'"', value)
    return raw


STRINGS = {
    "content_type": "type", "content_id": "id", "event_id": "event_id", "event": "event",
    "session": "session", "referrer": "referrer", "site": "site",
}


def beacon_table():
    yield "nothing", b"", "json"
    for text in (b"null", b"1", b'"x"', b"[]", b"true", b"{", b"}", b"{}{}", b"\x00", b" " * 2048):
        yield repr(text[:8]), text, "json"
    yield "an empty object", b"{}", "missing"
    yield "a byte order mark", b"\xef\xbb\xbf" + body(), "json"
    yield "something behind", body() + b"x", "json"
    yield "a NUL behind", body() + b"\x00", "json"
    yield "2 KiB of brackets", b"[" * 2048, "json"
    yield "objects in objects", b'{"a":' * 400, "json"
    yield "closed ones, too", b'{"a":' * 300 + b"1" + b"}" * 300, "json"
    yield "just too deep", body(x=b"[" * 16 + b"]" * 16), "json"
    yield "just not too deep", body(x=b"[" * 15 + b"]" * 15), ACCEPTED
    yield "too many keys", json.dumps({**GOOD, **{f"k{n}": n for n in range(150)}}).encode(), "json"
    yield "a key twice", body()[:-1] + b',"content_id":"x"}', "duplicate_key"
    yield "a key twice, disguised", body()[:-1] + b',"content\\u005fid":"x"}', "duplicate_key"
    yield "an unknown key twice", body()[:-1] + b',"k":1,"\\u006b":2}', "duplicate_key"
    yield "2,049 bytes", body() + b" " * (2049 - len(body())), "too_large"
    yield "a megabyte", body() + b" " * (1 << 20), "too_large"
    yield "2,048 bytes", body() + b" " * (2048 - len(body())), ACCEPTED
    yield "keys in escapes", body().replace(b"content_type", b"\\u0063ontent_typ\\u0065"), ACCEPTED
    for text in (b"NaN", b"Infinity", b"-", b"01", b"1.", b".5", b"1e", b"0x10", b"+1", b"1_0"):
        yield f"the number {text}", body(value=text), "json"
    for text in (b"1e309", b"-1e309", b"1e99999999999", b"9" * 1900, b"-" + b"9" * 1900):
        yield f"the number {text[:16]}", body(value=text), "value"
    for text in (b"1e308", b"-0", b"1e-99999999999", b"0." + b"0" * 1800 + b"1", b"9" * 300):
        yield f"the number {text[:16]}", body(value=text), ACCEPTED
    for value in (b'"1"', b"true", b"[]", b"{}"):
        yield f"the value {value}", body(value=value), "value"
    for field, reason in STRINGS.items():
        for value in (b"1", b"true", b"[]", b'{"a":1}', b"-1.5e300"):
            yield f"{field} {value}", body(**{field: value}), reason
        for bad in NO_TEXT:
            yield f"{field} {bad}", body(**{field: b'"' + bad + b'"'}), "json"
        for bad in (rb'"\ud800"', rb'"\udc00\ud800"', rb'"\u0000"', rb'"\x41"', b'"\n"', b'"\x1f"', b'"a'):
            yield f"{field} {bad}", body(**{field: bad}), "json"
        escapes = b'"' + rb"\u0041" * 300 + b'"'
        if field != "referrer":
            yield f"{field} of escapes", body(**{field: escapes}), reason
            yield f"{field} of 1,500 bytes", body(**{field: "a" * 1500}), reason
    yield "a referrer of escapes", body(referrer=b'"' + rb"\u0041" * 300 + b'"'), "referrer"
    yield "a session of 64 escapes", body(session=b'"' + rb"\u0041" * 64 + b'"'), ACCEPTED
    yield "a session of 65", body(session=b'"' + rb"\u0041" * 65 + b'"'), "session"
    yield "no text as a key", body()[:-1] + b',"\xff":1}', "json"
    yield "no text in what nobody reads", body(x=b'"\xc3\x28"'), "json"
    yield "a null", body(content_id=b"null"), "missing"
    for name in ("", "a" * 65, "a b", "<script>", "../..", "ä"):
        yield f"the name {name[:9]!r}", body(event=name), "event"
        yield f"the site {name[:9]!r}", body(site=name), "site"
    for id_ in ("", UUID + "0", UUID[:-1], UUID[:-1] + "g", UUID + "\n", "../../etc/passwd"):
        yield f"the id {id_!r}", body(content_id=id_), "id"
        yield f"the event id {id_!r}", body(event_id=id_), "event_id"


BEACONS = list(beacon_table())


def test_every_bad_beacon_has_its_reason(agent):
    host, port = agent.http.rsplit(":", 1)
    for what, raw, reason in BEACONS:
        before, lines = counts(agent), agent.log()
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        try:
            connection.request("POST", "/api/track-view/", raw, BROWSER)
        except (BrokenPipeError, ConnectionResetError):
            pass  # told before it had said all
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        expected = reason if "." in reason else f"invalid.{reason}"
        assert added(agent, before) == {f"beacon.{expected}": 1}, what
        status = {ACCEPTED: 200, "too_large": 413}.get(reason, 400)
        assert answer.status == status, (what, text)
        assert json.loads(text)["success"] is (status == 200), what
        assert agent.log() == lines, what


# -- datagrams --

DATAGRAM = {"type": "video", "id": uuid.UUID(UUID).bytes, "ua": UA, "ip": "192.0.2.1"}
FIELDS = {
    "type": "type", "id": "id", "eid": "event_id", "ev": "event", "site": "site", "ip": "address",
    "ua": "user_agent", "ref": "referrer", "sess": "session",
}


def pack(**more):
    return msgpack.packb({**DATAGRAM, **more})


def raw(field, value):
    """The datagram with a value that no encoder makes."""
    rest = {k: v for k, v in DATAGRAM.items() if k != field}
    whole = msgpack.packb(rest)
    return bytes([whole[0] + 1]) + whole[1:] + msgpack.packb(field) + value


def filled(size):
    """A good datagram of so many bytes."""
    spare = size - len(pack(x=b"")) - 1  # a longer string's length takes a byte more
    return pack(x=b"x" * spare)


def signed(start):
    return b"FFSD" + start + b"\x00" * 60


def datagram_table():
    yield "nothing", b"", "msgpack"
    yield "nil keys", b"\x82\xc0\xc0\xc0\xc0", "missing"
    yield "8,192 bytes", filled(8192), ACCEPTED
    yield "8,193 bytes", filled(8193), "too_large"
    yield "as large as they get", b"\x00" * 65507, "too_large"
    for tag in (0xDD, 0xDF, 0xDB, 0xC6):
        for count in (0xFFFFFFFF, 0x7FFFFFFF, 8193):
            bomb = bytes([tag]) + struct.pack(">I", count)
            yield f"{tag:x} that promises {count}", bomb, "msgpack"
            yield f"{tag:x} that promises {count}, within", raw("x", bomb), "msgpack"
            yield f"{tag:x} that promises {count}, as a key", b"\x81" + bomb, "msgpack"
    yield "arrays in arrays", b"\x91" * 8192, "msgpack"
    yield "arrays in arrays, closed", b"\x91" * 8191 + b"\x90", "msgpack"
    yield "maps in maps", b"\x81\xa1a" * 2000 + b"\xc0", "msgpack"
    yield "maps as keys", b"\x81" * 2000 + b"\xc0" * 2001, "msgpack"
    yield "a map of thousands", b"\xde\x0f\xf0" + b"\xc0" * (2 * 0x0FF0), "msgpack"
    yield "65 events", msgpack.packb([{}] * 65), "too_large"
    yield "an array of numbers", b"\xdc\x1f\x00" + b"\x01" * 0x1F00, "too_large"
    for bad in (b"\xc1", b"\xd4\x01\x00", b"\xc7\x01\x01\x00", b"\xc9\xff\xff\xff\xff\x01"):
        yield f"the type {bad}", raw("x", bad), "msgpack"
    yield "a key twice", b"\x82" + 2 * (msgpack.packb("type") + msgpack.packb("pdf")), "duplicate_key"
    for value in (math.nan, math.inf, -math.inf, "1", True, b"", [], {}):
        yield f"the value {value}", pack(val=value), "value"
    for value in (2**64 - 1, -(2**63), 5e-324, 1.7e308, -0.0):
        yield f"the value {value}", pack(val=value), ACCEPTED
    yield "a short infinity", raw("val", b"\xca\x7f\x80\x00\x00"), "value"
    for ts in (0, -1, 2**64 - 1, -(2**63), 1.5, 1e300, math.nan, math.inf, "1", 253402300800000, []):
        yield f"the time {ts}", pack(ts=ts), "time"
    yield "the first ms", pack(ts=1), "time_old"
    yield "the year 9999", pack(ts=253402300799999), "time_future"
    yield "8 days ago", pack(ts=int(time.time() * 1000) - 8 * 86400000), "time_old"
    for field, reason in FIELDS.items():
        for value in (1, 1.5, True, [], {"a": 1}, -(2**63)):
            yield f"{field} {value}", pack(**{field: value}), reason
        for bad in NO_TEXT:
            as_text = msgpack.packb(bad, use_bin_type=False)
            yield f"{field} {bad} as text", raw(field, as_text), reason
            yield f"{field} {bad} as bytes", pack(**{field: bad}), reason
        if field != "ref":
            yield f"{field} of 4,000 bytes", pack(**{field: "a" * 4000}), reason
    yield "a referrer of 4,000 bytes", pack(ref="a" * 4000), "referrer"
    yield "a key of no text", raw("x", b"\xc0").replace(b"\xa1x", b"\xa1\xff"), ACCEPTED
    for id_ in (b"", b"x" * 15, b"x" * 17, UUID[:-1], UUID + "0"):
        yield f"the id {id_}", pack(id=id_), "id"
        yield f"the event id {id_}", pack(eid=id_), "event_id"
    for ip in ("1.2.3.4.5", "256.1.1.1", "1.2.3", "0x7f.1", ":::", "127.0.0.1%lo", "1.2.3.4/32", " 1.2.3.4", "h"):
        yield f"the address {ip}", pack(ip=ip), "address"
    yield "a User-Agent of 2,048 bytes", pack(ua=UA + " " * (2048 - len(UA))), ACCEPTED
    yield "a User-Agent of 2,049 bytes", pack(ua=UA + " " * (2049 - len(UA))), "user_agent"
    yield "an envelope of nothing", b"FFSD", "envelope"
    yield "one of another version", signed(b"\x02"), "envelope"
    yield "one of zeros", signed(b"\x01"), "envelope"


DATAGRAMS = list(datagram_table())


@pytest.fixture
def out(agent):
    host, port = agent.addresses["udp"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.connect((host, int(port)))
        yield it


def test_every_bad_datagram_has_its_reason(agent, out):
    for what, datagram, reason in DATAGRAMS:
        before, lines = counts(agent), agent.log()
        out.send(datagram)
        wait_for(f"a verdict on {what}", lambda b=before: added(agent, b))
        expected = reason if "." in reason else f"invalid.{reason}"
        assert added(agent, before) == {f"datagram.{expected}": 1}, what
        assert agent.log() == lines, what


def test_every_datagram_of_one_byte_has_its_reason(agent, out):
    before = counts(agent)
    for byte in range(256):
        out.send(bytes([byte]))
    wait_for("256 verdicts", lambda: sum(added(agent, before).values()) >= 256)
    expected = {"datagram.invalid.msgpack": 255, "datagram.invalid.missing": 1}  # an empty map
    assert added(agent, before) == expected


def test_of_64_events_each_has_its_own_reason(agent, out):
    before = counts(agent)
    good = {"type": "video", "id": DATAGRAM["id"]}
    bad = [{}, good | {"type": "film"}, good | {"ts": -1}, good | {"ip": "x"}]
    out.send(msgpack.packb((bad + [good] * 4) * 8))
    wait_for("64 verdicts", lambda: sum(added(agent, before).values()) >= 64)
    assert added(agent, before) == {
        "datagram.invalid.missing": 8, "datagram.invalid.type": 8, "datagram.invalid.time": 8,
        "datagram.invalid.address": 8, f"datagram.{ACCEPTED}": 32,
    }


def test_after_all_that_it_is_as_before(agent, out):
    before = counts(agent)
    assert agent.beacon(body()).json() == {"success": True, "tracked": True}
    out.send(pack())
    wait_for("a verdict", lambda: len(added(agent, before)) == 2)
    assert added(agent, before) == {f"beacon.{ACCEPTED}": 1, f"datagram.{ACCEPTED}": 1}
    assert agent.process.poll() is None
