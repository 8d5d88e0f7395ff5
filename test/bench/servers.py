"""servers.py -- what is measured: the agent, and what it is compared with."""

import os
import socket
import subprocess
import time

from farm import free_port, wait_for
from measure import SERVER_CPU, Failed, children, cpu_ns, pin

SO_TIMESTAMPNS = 35  # of Linux; Python has no name for it
ANSWER = '{"success":true,"tracked":true}'

NGINX = """
worker_processes {workers};
{affinity}
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  keepalive_requests 100000000;
  log_format views '$remote_addr $msec "$http_user_agent" $request_body';
  server {{
    listen 127.0.0.1:{port} backlog=4096 reuseport;
    default_type application/json;
    {location}
  }}
}}
"""
RETURNS = "location / { add_header Cache-Control no-store; return 200 '%s'; }" % ANSWER
# Reading the body before answering without a backend: the mirror module does that; its own
# request ends at once, and a static file that refuses POST becomes the answer.
LOGS = """
    access_log DIR/access.log views buffer=64k;
    location = /m { internal; access_log off; return 204; }
    location = /api/track-view/ { mirror /m; mirror_request_body on; error_page 405 404 403 =200 /ok; root DIR; }
    location = /ok { internal; add_header Cache-Control no-store; return 200 '%s'; }
""" % ANSWER


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def port_of(address):
    return int(address.rsplit(":", 1)[1])


class Server:
    """Something that answers beacons on self.port."""

    def counted(self):
        """Requests that it says it had, or None."""
        return None

    def pids(self):
        raise NotImplementedError

    def cpu_ns(self):
        return cpu_ns(self.pids())

    def checked(self, send, in_flight):
        """Calls send, whose result begins with the number of answers, and has the server's count
        agree with it; in_flight: what may have been on the way, unanswered, at the end."""
        before = self.counted()
        result = send()
        if before is not None:
            more = self.counted() - before - result[0]
            if not 0 <= more <= in_flight:
                raise Failed(f"{self.name}: {result[0]} answered, its own count differs by {more}")
        return result


class Reference(Server):
    """A server started by a command."""

    def __init__(self, name, command, port, pinned=True):
        self.name, self.port = name, port
        prefix = ["taskset", "-c", str(SERVER_CPU)] if pinned else []
        # a session of its own, as the agent has: the kernel shares processors out among sessions
        self.process = subprocess.Popen(prefix + command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def ready(self):
        wait_for(self.name, lambda: answers(self.port))
        return self

    def pids(self):
        return children(self.process.pid)

    def stop(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=30)
        return out


class Nginx(Reference):
    def __init__(self, directory, name, location, workers=1):
        home = directory / name
        home.mkdir()
        self.log = home / "access.log"
        conf = home / "nginx.conf"
        port = free_port()
        affinity = "worker_cpu_affinity auto;" if workers > 1 else ""
        conf.write_text(NGINX.format(dir=home, port=port, workers=workers, affinity=affinity,
                                     location=location.replace("DIR", str(home))))
        super().__init__(name, ["nginx", "-c", str(conf), "-e", str(home / "error.log")], port, workers == 1)
        self.ready()

    def logged(self):
        """Bodies in its log, once it has ended."""
        with open(self.log, "rb") as log:
            return sum(b"content_id" in line for line in log)


class OurAgent(Server):
    """The agent with everything on, as an operator runs it; only the limits of a single address are
    beyond what it needs. With one worker all of it is pinned to the servers' processor."""

    overrides = ()  # section.key=value, for all agents
    def __init__(self, farm, name, workers=1, central=None, **sections):
        self.name, self.workers = name, workers
        settings = {
            "http": {"workers": workers, "connections_per_address": 1000000},
            "admit": {"rate": "1000000/1s", "burst": 1000000, "retry_entries": "8m"},
            "journal": {"segment": "32m", "segments": 32},
        }
        for section, options in sections.items():
            settings.setdefault(section, {}).update(options)
        self.agent = farm.agent(name, central, **settings)

    def start(self):
        options = [word for one in self.overrides for word in ("-o", one)]
        self.agent.start(*options)
        self.port = port_of(self.agent.http)
        self.udp_port = port_of(self.agent.addresses["udp"])
        if self.workers == 1:
            pin(self.agent.process.pid, SERVER_CPU)
        return self

    def timed_start(self):
        """Seconds from the start of the program until it says that it is ready."""
        path = str(self.agent.directory / "ready")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
            said.bind(path)
            said.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            os.environ["NOTIFY_SOCKET"] = path
            began = time.time()
            try:
                self.start()
            finally:
                del os.environ["NOTIFY_SOCKET"]
                os.unlink(path)
            return self.said_at(said) - began

    @staticmethod
    def said_at(said):
        """When the kernel was given the message."""
        said.settimeout(1)
        message, ancillary, _, _ = said.recvmsg(64, socket.CMSG_SPACE(16))
        if message != b"READY=1":
            raise Failed(f"the agent said {message}, not that it is ready")
        stamp = ancillary[0][2]
        return int.from_bytes(stamp[:8], "little") + int.from_bytes(stamp[8:], "little") / 1e9

    def counted(self):
        return self.agent.judged()

    def metric(self, name):
        return int(self.agent.metrics()["footfall_" + name])

    def pids(self):
        return [self.agent.process.pid]

    def stop(self):
        self.agent.kill()
