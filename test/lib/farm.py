"""farm.py -- the real programs on loopback, in a fresh directory, for scenario tests.

Every port is the kernel's choice: a program writes its addresses to `listen` in its state or data
directory, and is ready when /readyz says so. Waiting is polling with a deadline, never a sleep of a
fixed length. A farm ends every process that it started, also when a test fails.

FOOTFALL_BIN names the folder with the programs (default build/release).
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("FOOTFALL_BIN", ROOT / "build" / "release")).resolve()
SHARED = pathlib.Path(os.environ.get("FOOTFALL_SHARED", ROOT.parent / "shared")) / "data"

# Sanitized programs are an order of magnitude slower on two shared cores.
PATIENCE = float(os.environ.get("FOOTFALL_PATIENCE", "60"))

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36",
    "Accept": "*/*",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate",
}


def wait_for(what, probe, patience=None):
    """Polls probe until it returns something true, which is returned."""
    deadline = time.monotonic() + (patience or PATIENCE)
    pause = threading.Event()
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        pause.wait(0.02)


def free_port():
    """For a server that is told its port. A connection of its own has just ended there, so that the kernel
    gives it to nobody else meanwhile; who asks for it with SO_REUSEADDR, as servers do, gets it."""
    with socket.create_server(("127.0.0.1", 0)) as door:  # with SO_REUSEADDR
        with socket.create_connection(door.getsockname()) as client:
            door.accept()[0].close()  # first, and so the state TIME_WAIT is this end's
            client.recv(1)
        return door.getsockname()[1]


def quote(value):
    """A Python value as the configuration file writes it."""
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(quote(v) for v in value) + "}"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def request(address, method, path, body=None, headers=None):
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def connect(address, source=None):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), PATIENCE, source)


def raw(address, data, shut=False):
    """Sends bytes as they are; everything that comes back until the program closes."""
    with connect(address) as connection:
        connection.sendall(data)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


class Program:
    """One of the two programs with its directory, file and process."""

    binary = None
    listen_dir = None  # where the `listen` file appears

    def __init__(self, farm, directory, sections):
        self.farm = farm
        self.directory = directory
        self.sections = sections
        self.process = None
        self.pass_fds = ()  # sockets that its starts are given (holder.py)
        self.addresses = {}
        directory.mkdir(parents=True, exist_ok=True)
        self.conf = directory / "footfall.conf"
        self.log_path = directory / "log"
        self.write_conf()

    def write_conf(self):
        lines = []
        for name, options in self.sections.items():
            lines.append(f"{name} {{")
            lines += [f"  {key} = {quote(value)}" for key, value in options.items()]
            lines.append("}")
        self.conf.write_text("\n".join(lines) + "\n")

    def command(self, subcommand, *more):
        return [str(BIN / self.binary), *subcommand.split(), *more, "-c", str(self.conf)]

    def run(self, subcommand, *more, stdin=None, check=True):
        done = subprocess.run(
            self.command(subcommand, *more),
            input=stdin,
            text=True,
            capture_output=True,
            timeout=PATIENCE * 3,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{subcommand}: {done.stdout}{done.stderr}"
        return done

    def start(self, *more):
        listen = self.listen_dir / "listen"
        listen.unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command("run", *more),
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self.pass_fds,
            )
        self.farm.started.append(self)
        self.addresses = wait_for(f"{self.binary} to listen", self._read_listen)
        wait_for(f"{self.binary} to be ready", self._is_ready)
        return self

    def _alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(
                f"{self.binary} ended with {self.process.returncode}:\n{self.log()[-4000:]}"
            )

    def _read_listen(self):
        self._alive()
        try:
            text = (self.listen_dir / "listen").read_text()
        except FileNotFoundError:
            return None
        return dict(line.split("=", 1) for line in text.splitlines())

    def _is_ready(self):
        self._alive()
        try:
            return request(self.addresses[self.ready_name], "GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):  # it died within its answer: seen in the next turn
            return False

    def log(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        """As kill -9 does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; the program must end by itself, and well."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE)
        assert code == 0, f"{self.binary} ended with {code}:\n{self.log()[-4000:]}"


class Central(Program):
    binary = "footfall-central"
    ready_name = "central"

    def __init__(self, farm, directory, **options):
        self.data_dir = directory / "data"
        self.listen_dir = self.data_dir
        super().__init__(
            farm,
            directory,
            {
                "central": {
                    "listen": ["127.0.0.1:0"],
                    "data_dir": self.data_dir,
                    "cache": "16m",
                    "drain": "200ms",
                    **options,
                }
            },
        )
        self.token = None

    @property
    def address(self):
        return self.addresses["central"]

    def add_node(self, name):
        return self.run("node add", name).stdout.strip()

    def start(self, *more):
        super().start(*more)
        if not self.token:
            self.token = self.run("token add", "tests", "--scope", "read").stdout.strip()
        # agents keep the address they were given: a restart must listen there again
        self.sections["central"]["listen"] = [self.address]
        self.write_conf()
        return self

    def get(self, path, **params):
        query = {k.rstrip("_"): v for k, v in params.items() if v is not None}
        url = f"/api/v1/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        return request(
            self.address, "GET", url, headers={"Authorization": f"Bearer {self.token}"}
        )

    def api(self, path, **params):
        answer = self.get(path, **params)
        assert answer.status == 200, (path, params, answer.status, answer.body)
        return answer.json()


class Agent(Program):
    binary = "footfall-agent"
    ready_name = "admin"

    def __init__(self, farm, directory, name, central=None, **sections):
        self.name = name
        self.state_dir = directory / "state"
        self.listen_dir = self.state_dir
        directory.mkdir(parents=True, exist_ok=True)
        base = {
            "node": {"name": name, "state_dir": self.state_dir},
            "http": {"listen": ["127.0.0.1:0"], "drain": "200ms"},
            "udp": {"listen": ["127.0.0.1:0"]},
            "admin": {"listen": "127.0.0.1:0"},
            "admit": {},
            "journal": {"segment": "1m"},
            "batch": {},
            "forward": {},
        }
        if central:
            token = directory / "token"
            token.touch(mode=0o600)
            token.write_text(central.add_node(name) + "\n")
            base["forward"] = {
                "central": f"http://{central.address}",
                "token_file": token,
                "retry_max": "200ms",
            }
        for section, options in sections.items():
            base.setdefault(section, {}).update(options)
        super().__init__(farm, directory, base)

    @property
    def http(self):
        return self.addresses["http"]

    def flush(self, check=True):
        return self.run("flush", check=check)

    def await_salts(self):
        """Whom it meets from now on, every node takes for the same person. Its start waits only for some
        seconds for the central's salts."""
        wait_for("salts", lambda: self.metrics()["footfall_salt_of_own_making"] == 0)
        return self

    def status(self):
        answer = request(self.addresses["admin"], "GET", "/status")
        assert answer.status == 200
        return answer.json()

    def metrics(self):
        """Name with labels -> value, of /metrics."""
        text = request(self.addresses["admin"], "GET", "/metrics").body.decode()
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def judged(self):
        """Events with a verdict since the start of the process."""
        return sum(v for k, v in self.metrics().items() if k.startswith("footfall_events_total"))

    def beacon(self, body, path="/api/track-view/", method="POST", headers=None):
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        return request(
            self.http,
            method,
            path,
            body,
            {**BROWSER, "Content-Type": "application/json", **(headers or {})},
        )

    def emit(self, events):
        """Sends NDJSON lines through `footfall-agent emit`; waits until all have a verdict."""
        before = self.judged()
        lines = "".join(json.dumps(event) + "\n" for event in events)
        done = subprocess.run(
            [str(BIN / self.binary), "emit", "--to", self.addresses["udp"], "-"],
            input=lines,
            text=True,
            capture_output=True,
            timeout=PATIENCE * 3,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wait_for(f"{len(events)} verdicts", lambda: self.judged() >= before + len(events))
        return done.stdout

    def raw(self, data, shut=False):
        """Sends bytes as they are; everything that comes back until the agent closes."""
        return raw(self.http, data, shut)


class Counts:
    """What /metrics says now, less what it said before."""

    def __init__(self, agent):
        self.agent = agent
        self.before = agent.metrics()

    def __call__(self, *names):
        now = self.agent.metrics()
        return sum(now[f"footfall_{n}"] - self.before.get(f"footfall_{n}", 0) for n in names)

    def views(self):
        return self('events_total{source="beacon",verdict="accepted",reason="first"}')


class Farm:
    """A central and its agents below one directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.started = []

    def central(self, **options):
        return Central(self, self.directory / "central", **options)

    def agent(self, name, central=None, **sections):
        return Agent(self, self.directory / name, name, central, **sections)

    def close(self):
        for program in self.started:
            if program.process.poll() is None:
                program.process.send_signal(signal.SIGKILL)
                program.process.wait()


def midday_zone():
    """A fixed-offset zone where it is about noon: a test's events then lie in one day."""
    hour = time.gmtime().tm_hour
    ahead = 12 - hour
    return "Etc/GMT" + (f"-{ahead}" if ahead > 0 else f"+{-ahead}" if ahead < 0 else "")


def today_in(zone):
    sign = {"+": -1, "-": 1}
    offset = int(zone[8:]) * sign[zone[7]] if len(zone) > 7 else 0
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + 3600 * offset))
