"""Every byte that the programs left on the disk, searched for the visitors they met.

Proves: no address (IPv4, IPv6), no full User-Agent and no referrer beyond its host stands in any file
below the state and data directories, in any log or in any answer: not as text, hexadecimal, packed,
byte-swapped or decimal. Journal segments, spool files, set aside ones and Berkeley DB's files and logs
are read raw, and zstd frames in them unpacked, also from Berkeley DB's overflow pages.

What must be there (the referrer's host, the content) is searched the same way, so that a search that
finds nothing anywhere fails. Memory, and so core files, are not searched: they hold what passes.
"""

import ctypes
import ctypes.util
import ipaddress
import struct
import uuid

from farm import BROWSER, request

V4 = ["198.51.100.77", "203.0.113.213", "192.0.2.186"]
V6 = ["2001:db8:85a3:1319:8a2e:370:7344:beef", "2001:db8:dead:77::4a1"]
MARKERS = ["Zq7UnusualBrowser", "Xk9RareLibrary"]
PATH = "private-page-8841"
HOST = "referring-host.example"
CONTENT = uuid.UUID("5a8d0b7e-1f6c-4c3d-9e21-7b40c6a91d52")
PLACES = ("a raw file", "the spool", "the central")
FRAME = b"\x28\xb5\x2f\xfd"


def forms_of(address):
    """The ways in which an address might be written down."""
    ip = ipaddress.ip_address(address)
    forms = {address, ip.exploded, str(int(ip)), ip.packed.hex(), ip.packed.hex().upper()}
    forms |= {ip.packed[::-1].hex(), ":".join(f"{b:02x}" for b in ip.packed)}
    forms |= {str(int.from_bytes(ip.packed[::-1], "big"))}
    if ip.version == 6:  # its network is as telling
        return {f.encode() for f in forms} | {ip.packed, ip.packed[::-1], ip.packed[:8]}
    return {f.encode() for f in forms} | {ip.packed, ip.packed[::-1]}


def forbidden():
    needles = set().union(*(forms_of(a) for a in V4 + V6))
    for word in MARKERS + [PATH]:
        needles |= {word.encode(), word.encode().hex().encode(), word.encode("utf-16-le")}
    return needles


class Zstd:
    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
        for name in ("findFrameCompressedSize", "decompress"):
            getattr(self.lib, f"ZSTD_{name}").restype = ctypes.c_size_t
        self.lib.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
        self.lib.ZSTD_isError.argtypes = [ctypes.c_size_t]

    def frames(self, data):
        """The content of each whole frame that begins anywhere in the data."""
        at = data.find(FRAME)
        while at >= 0:
            rest = data[at:]
            n = self.lib.ZSTD_findFrameCompressedSize(rest, ctypes.c_size_t(len(rest)))
            if not self.lib.ZSTD_isError(n):
                size = self.lib.ZSTD_getFrameContentSize(rest, ctypes.c_size_t(n))
                out = ctypes.create_string_buffer(size or 1)
                done = self.lib.ZSTD_decompress(
                    out, ctypes.c_size_t(size), rest, ctypes.c_size_t(n)
                )
                if not self.lib.ZSTD_isError(done):
                    yield out.raw[:done]
            at = data.find(FRAME, at + 1)


def overflow_items(data):
    """Large values of a Berkeley DB file: chains of pages of type 7."""
    if len(data) < 512 or data[12:16] not in (b"\x62\x31\x05\x00",):  # a btree's magic
        return
    (size,) = struct.unpack_from("<I", data, 20)
    head = 32 if data[26] & 1 else 26  # with a checksum
    pages = {}
    for at in range(0, len(data) - size + 1, size):
        pgno, before, after, _, used, _, kind = struct.unpack_from("<IIIHHBB", data, at + 8)
        if kind == 7:
            pages[pgno] = (before, after, data[at + head : at + head + used])
    for pgno, (before, _, _) in pages.items():
        if before:
            continue
        whole = b""
        while pgno in pages:
            _, pgno, piece = pages[pgno]
            whole += piece
        yield whole


def everything(directory):
    """(where, bytes) of all files, and of what is packed in them."""
    zstd = Zstd()
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        data = path.read_bytes()
        yield path.name, data
        for item in (data, *overflow_items(data)):
            for frame in zstd.frames(item):
                yield f"frame in {path}", frame


def visit(agent):
    beacon = {"content_type": "video", "content_id": str(CONTENT)}
    beacon["referrer"] = f"https://{HOST}/{PATH}?q={PATH}"
    for address in V4 + V6:
        headers = {
            "X-Forwarded-For": address,
            "User-Agent": f"{BROWSER['User-Agent']} {MARKERS[0]}",
            "Referer": f"https://{HOST}/{PATH}",
        }
        assert agent.beacon(beacon, headers=headers).json()["tracked"] is True
        # refused ones must not be remembered either
        bot = {**headers, "User-Agent": f"Googlebot/2.1 {MARKERS[1]}"}
        assert agent.beacon(beacon, headers=bot).json()["tracked"] is False
        assert agent.beacon("{", headers=headers).status == 400
    told = {
        "type": "video",
        "id": str(CONTENT),
        "ua": f"{MARKERS[1]}/1.0 (X11; Linux x86_64)",
        "ref": f"https://{HOST}/{PATH}",
    }
    agent.emit([{**told, "ip": address} for address in V4 + V6])


def kind_of(where):
    if "frame" not in where:
        return "a raw file"
    return "the central" if "/data/" in where else "the spool"


def search(places):
    """What was found of the forbidden, and where the permitted was."""
    needles, found, permitted = forbidden(), [], set()
    for where, data in places:
        found += [(where, needle) for needle in needles if needle in data]
        if HOST.encode() in data:
            permitted.add(f"host in {kind_of(where)}")
        if CONTENT.bytes in data:
            permitted.add(f"content in {kind_of(where)}")
    return found, permitted


def test_no_byte_on_any_disk_and_in_any_answer_names_a_visitor(farm):
    central = farm.central().start()
    trusting = {"trusted_proxies": ["127.0.0.1/32"]}
    agent = farm.agent("web-1", central, http=trusting, admit={"rate": "off"}).start()
    visit(agent)
    agent.flush()
    visit(agent)
    answers = [request(agent.addresses["admin"], "GET", p) for p in ("/status", "/metrics")]
    answers += [central.get(p) for p in ("summary", "nodes", "ledger", "top")]
    answers += [central.get("breakdown", dim=d) for d in ("referrer", "browser", "system")]
    central.stop()
    assert agent.flush(check=False).returncode != 0  # now it stays in the spool
    visit(agent)  # and this in the journal
    agent.kill()
    found, permitted = search(everything(farm.directory))
    assert not found
    wanted = {f"{what} in {place}" for what in ("host", "content") for place in PLACES}
    assert wanted <= permitted, permitted
    found, _ = search(("an answer", answer.body) for answer in answers)
    assert not found


def test_the_search_finds_each_form_of_an_address(tmp_path):
    """The search itself, on a file that holds what must not be there."""
    for number, needle in enumerate(sorted(forbidden())):
        (tmp_path / "file").write_bytes(b"before" + needle + b"after")
        found, _ = search(everything(tmp_path))
        assert found, (number, needle)
