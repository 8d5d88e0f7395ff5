"""Reports events to a Footfall agent. One module, the standard library alone, Python 3.7 or later.

    import footfall

    views = footfall.Client("127.0.0.1:8125")
    views.event(type="video", id=video.uuid, eid=event_id, ip=request_ip, ua=user_agent)

Nothing here blocks or raises: an event that cannot be handed to the kernel at once is counted in
`failed`, and `error` says why the last one was. A client may be shared by threads, and notices fork.
"""

import hashlib
import ipaddress
import os
import re
import socket
import struct
import threading
import time
import uuid
import weakref

__all__ = ["Client", "event_id"]

DATAGRAM_MAX = 8192
REMOTE_MAX = 1400  # fits an Ethernet frame: a lost fragment would lose the whole datagram
EVENTS_MAX = 64

_KEY_LINE = re.compile(r"[ \t]*([A-Za-z0-9_.-]{1,64})[ \t]+([0-9A-Fa-f]{64})[ \t\r]*$")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.I)


def event_id():
    """A new event id, as text: for `data-event-id` in a page and `eid` here."""
    return str(uuid.uuid4())


# -- msgpack --


def _head(n, small, tags):
    if n < small[1]:
        return bytes([small[0] | n])
    for tag, width in tags:
        if n < 1 << 8 * width:
            return bytes([tag]) + n.to_bytes(width, "big")
    raise ValueError("too long")


def _pack(value):
    if isinstance(value, str):
        raw = value.encode()
        return _head(len(raw), (0xA0, 32), ((0xD9, 1), (0xDA, 2))) + raw
    return _head(len(value), (0, 0), ((0xC4, 1), (0xC5, 2))) + bytes(value)


def _text(value):
    if isinstance(value, (bytes, bytearray)):
        return _pack(value)
    return _pack(str(value))


def _uuid(value, every):
    """UUIDs as 16 bytes; as ids only those of RFC 9562, which no slug can look like."""
    if isinstance(value, str) and _UUID.match(value):
        value = uuid.UUID(value)
    if isinstance(value, uuid.UUID):
        if every or value.bytes[8] & 0xC0 == 0x80:
            return _pack(value.bytes)
    return _text(value)


_FIELDS = {
    "type": _text,
    "id": lambda v: _uuid(v, False),
    "eid": lambda v: _uuid(v, True),
    "ev": _text,
    "val": lambda v: struct.pack(">Bd", 0xCB, v),
    "site": _text,
    "ts": lambda v: struct.pack(">BQ", 0xCF, int(v)),
    "ip": _text,
    "ua": _text,
    "ref": _text,
    "sess": _text,
}


def encode(event):
    """An event's keys as a msgpack map; those that are None or unknown are left out."""
    if event.get("type") is None or event.get("id") is None:
        raise ValueError("no type or id")
    given = [_pack(k) + pack(event[k]) for k, pack in _FIELDS.items() if event.get(k) is not None]
    return bytes([0x80 | len(given)]) + b"".join(given)


def array(maps):
    """The datagram of these maps: a single one goes as it is."""
    if len(maps) == 1:
        return maps[0]
    return _head(len(maps), (0x90, 16), ((0xDC, 2),)) + b"".join(maps)


def seal(name, key, boot, seq, time_ms, payload):
    """The envelope of proto/README.md around a datagram; boot is a number of 64 bits."""
    body = b"FFSD\x01" + struct.pack("<QQQB", boot, seq, time_ms, len(name)) + name + payload
    return body + hashlib.blake2b(body, digest_size=16, key=key).digest()


def read_key(key):
    """(name, key) of a line "NAME KEY", or of the first such line of the file that is named."""
    found = _KEY_LINE.match(key)
    if not found:
        with open(key, encoding="ascii") as lines:
            found = next(filter(None, map(_KEY_LINE.match, lines.read().split("\n"))), None)
    if not found:
        raise ValueError("holds no key")
    return found.group(1).encode(), bytes.fromhex(found.group(2))


_clients = weakref.WeakSet()


def _unlock():
    """A lock that another thread holds at fork would stay locked in the child."""
    for client in list(_clients):
        client._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


class Client:
    """Sends to the agent at address, "host:port" or "[address]:port"; a host's name is looked up
    here and now. key: a file with a line "NAME KEY", or such a line itself; without one, datagrams
    are not signed, and the agent takes them from loopback only."""

    def __init__(self, address="127.0.0.1:8125", key=None):
        self.sent = 0  # events handed to the kernel
        self.failed = 0  # events that were not, or that nobody received on this host
        self.error = None  # why the last one failed
        self._lock = threading.Lock()
        self._socket = self._key = self._pid = None
        self._last = 0
        try:
            self._key = read_key(os.fspath(key)) if key is not None else None
            self._socket, self._max = self._connect(address)
        except Exception as why:  # whatever was given as address or key
            self.error = str(why)
        _clients.add(self)

    @staticmethod
    def _connect(address):
        host, port = address.rsplit(":", 1)
        family, kind, protocol, _, to = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM
        )[0]
        out = socket.socket(family, kind, protocol)
        out.setblocking(False)
        out.connect(to)
        loopback = ipaddress.ip_address(to[0].split("%")[0]).is_loopback
        return out, DATAGRAM_MAX if loopback else REMOTE_MAX

    def event(self, **event):
        """Sends one event, with the keys of a datagram (proto/README.md). Whether it was sent."""
        return self.batch([event]) == 0

    def batch(self, events):
        """Sends events (dicts) in as few datagrams as hold them. How many were not sent."""
        with self._lock:
            before = self.failed
            maps, size = [], 3
            for event in events:
                packed = self._encode(event)
                if packed is None:
                    continue
                if maps and (len(maps) == EVENTS_MAX or size + len(packed) > self._room()):
                    self._send(maps)
                    maps, size = [], 3
                maps.append(packed)
                size += len(packed)
            if maps:
                self._send(maps)
            return self.failed - before

    def close(self):
        with self._lock:
            if self._socket:
                self._socket.close()
            self._socket, self.error = None, "closed"

    def _fail(self, events, why):
        self.failed += events
        self.error = str(why)

    def _room(self):
        head = 30 + len(self._key[0]) + 16 if self._key else 0
        return (self._max if self._socket else DATAGRAM_MAX) - head

    def _encode(self, event):
        try:
            packed = encode(event)
        except Exception as why:  # whatever a caller's value does when it is made text
            return self._fail(1, why)
        if len(packed) > self._room():
            return self._fail(1, "larger than a datagram may be")
        return packed

    def _be_a_sender(self):
        """A child of fork would use its parent's sequence numbers again."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._boot = int.from_bytes(os.urandom(8), "little")
            self._seq = self._last = 0

    def _send(self, maps):
        if not self._socket:
            return self._fail(len(maps), self.error)
        self._be_a_sender()
        payload = array(maps)
        if self._key:
            self._seq += 1
            now = int(time.time() * 1000)
            payload = seal(*self._key, self._boot, self._seq, now, payload)
        try:
            self._transmit(payload)
        except OSError as why:
            return self._fail(len(maps), why)
        self.sent += len(maps)
        self._last = len(maps)

    def _transmit(self, datagram):
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError as why:
            # that is about an earlier datagram: nobody received it; this one was not sent yet
            self.sent -= self._last
            self._fail(self._last, why)
            self._last = 0
            self._socket.send(datagram)
