"""flood.py -- more than an agent can take, and an exact account of what became of it.

    flood.py http ADDRESS CONNECTIONS WHO     beacons, one under way on each connection
    flood.py udp ADDRESS                      datagrams of one new event each, as fast as they go

Sends until its standard input ends, then waits for the answers that are due and prints a JSON object:
{"sent": n} of datagrams, {"sent": n, "answers": {"200 true": n, "429": n, …}, "unanswered": n} of
beacons. WHO is whose beacons these are, as a trusted proxy would say: `few` (four IPv4 addresses),
`many` (a new IPv4 address each time), `one48` (a new address of one IPv6 /48 each time).
"""

import json
import os
import random
import re
import selectors
import socket
import subprocess
import sys
import threading
import uuid

UA = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
HTTP_CONTENT = str(uuid.UUID(int=0xF100D, version=4))
UDP_CONTENT = str(uuid.UUID(int=0xF100E, version=4))

WHO = {
    "few": lambda r: f"198.51.100.{r.randrange(4)}",
    "many": lambda r: str(socket.inet_ntoa(r.randbytes(4))),
    "one48": lambda r: socket.inet_ntop(
        socket.AF_INET6, bytes.fromhex("20010db80bad") + r.randbytes(10)
    ),
}


class Flood:
    """One of these commands as a process of its own."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, command)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def end(self, patience):
        out, _ = self.process.communicate(timeout=patience)
        return json.loads(out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Client:
    """A connection with a beacon under way."""

    def __init__(self, account, address, who):
        self.account, self.address, self.who = account, address, who
        self.open()

    def open(self):
        self.socket = socket.create_connection(self.address)
        self.rest = b""

    def send(self):
        body = json.dumps({
            "content_type": "video", "content_id": HTTP_CONTENT, "event_id": str(uuid.uuid4()),
        })
        self.socket.sendall((
            "POST /api/track-view/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"User-Agent: {UA}\r\nAccept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip\r\n"
            f"X-Forwarded-For: {self.who()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode())
        self.account["sent"] += 1

    def read(self):
        """Whether the answer is whole."""
        part = self.socket.recv(65536)
        self.rest += part
        if not part:
            self.account["unanswered"] += 1
            self.socket.close()
            self.open()
            return True
        head, end, body = self.rest.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)^content-length: *(\d+)", head, re.M)
        if not end or len(body) < int(length[1]):
            return False
        self.note(head, body)
        return True

    def note(self, head, body):
        status = head.split()[1].decode()
        if status == "200":
            status += " true" if b'"tracked":true' in body else " false"
        self.account["answers"][status] = self.account["answers"].get(status, 0) + 1
        self.rest = b""
        if re.search(rb"(?i)^connection: *close", head, re.M):
            self.socket.close()
            self.open()


def http(ending, address, connections, who):
    account = {"sent": 0, "answers": {}, "unanswered": 0}
    source = random.Random(os.getpid())
    ready = selectors.DefaultSelector()
    waiting = set()

    def go(client):
        client.send()
        waiting.add(client)
        ready.register(client.socket, selectors.EVENT_READ, client)

    for _ in range(int(connections)):
        go(Client(account, address, lambda: WHO[who](source)))
    while waiting:
        for key, _ in ready.select():
            client, before = key.data, key.fileobj
            if client.read():
                ready.unregister(before)
                waiting.discard(client)
                if not ending.is_set():
                    go(client)
    return account


def udp(ending, address):
    import msgpack

    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(address)
    mark = uuid.uuid4().bytes
    content = uuid.UUID(UDP_CONTENT).bytes
    whole = msgpack.packb({"type": "video", "id": content, "eid": mark, "ua": UA})
    before, after = whole.split(mark)
    sent = 0
    while not ending.is_set():
        out.send(before + os.urandom(16) + after)
        sent += 1
    return {"sent": sent}


def main():
    ending = threading.Event()

    def watch():
        sys.stdin.read()
        ending.set()

    threading.Thread(target=watch, daemon=True).start()
    host, port = sys.argv[2].rsplit(":", 1)
    run = {"http": http, "udp": udp}[sys.argv[1]]
    print(json.dumps(run(ending, (host, int(port)), *sys.argv[3:])))


if __name__ == "__main__":
    main()
