"""proxy.py -- a bad network between agents and the central.

Takes connections on a loopback port, reads one HTTP request each, and by chance (a seeded
generator) passes it on, cuts it, delays it, sends it twice, loses the answer, or answers wrongly.
"""

import random
import socket
import threading

FAULTS = ("pass", "refuse", "cut request", "lose answer", "send twice", "answer wrongly", "delay")
WRONG = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
    b"not http at all\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{\"result\":",
)


def read_request(connection):
    """Head and body of one request, as sent; shorter when the sender went away."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
        if name.strip().lower() == b"expect":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            break
        body += part
    lines = [
        line
        for line in head.split(b"\r\n")
        if not line.lower().startswith((b"expect:", b"connection:"))
    ]
    return b"\r\n".join(lines) + b"\r\nConnection: close\r\n\r\n" + body


class Proxy:
    """Threads end with close(); `faulty` False makes it a plain wire."""

    def __init__(self, target, seed):
        self.target = target
        self.random = random.Random(seed)
        self.guard = threading.Lock()
        self.faulty = True
        self.done = {}
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while not self.closing.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _choose(self):
        with self.guard:
            fault = self.random.choice(FAULTS) if self.faulty else "pass"
            self.done[fault] = self.done.get(fault, 0) + 1
            return fault, self.random.random()

    def _ask(self, request):
        host, port = self.target().rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=30) as out:
            out.sendall(request)
            parts = []
            while part := out.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def _serve(self, connection):
        with connection:
            try:
                connection.settimeout(30)
                fault, chance = self._choose()
                if fault == "refuse":
                    return
                request = read_request(connection)
                if fault == "cut request":
                    host, port = self.target().rsplit(":", 1)
                    with socket.create_connection((host, int(port)), timeout=30) as out:
                        out.sendall(request[: int(len(request) * chance)])
                    return
                if fault == "answer wrongly":
                    connection.sendall(WRONG[int(chance * len(WRONG))])
                    return
                if fault == "delay":
                    self.closing.wait(chance / 2)
                if fault == "send twice":
                    self._ask(request)
                answer = self._ask(request)
                if fault != "lose answer":
                    connection.sendall(answer)
            except OSError:
                return

    def close(self):
        self.closing.set()
        self.listener.close()
