"""packaging/recipes in the real web servers, in front of an agent.

Proves, for each server that is installed: beacons are taken under every language prefix, the agent
limits each client by the address that the server saw, whatever the client says of itself, the
tracker comes through with its cache headers and is not sent twice to who has it, and every view of
a page is counted, also when the page itself came from a cache. And that Django's template tag and
the browser's beacon of one page view count once.

A recipe is used as it stands but for its addresses and paths. `make test-recipes` installs the servers.
"""

import gzip
import http.client
import http.server
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid

import pytest

import farm as farm_lib
from farm import BROWSER, ROOT, free_port, wait_for

RECIPES = ROOT / "packaging" / "recipes"
PAGE = """<!doctype html><title>t</title>
<p data-analytics-track data-content-type="video" data-content-id="%s"></p>
<script src="/js/analytics-tracking.js"></script>"""


class Pages(http.server.ThreadingHTTPServer):
    """The site's application: one page, and how often it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.id = str(uuid.uuid4())
        self.hits = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.hits += 1
        body = (PAGE % self.server.id).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "public, max-age=600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def place():
    """A directory into which a server that gives up root may look."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="footfall-recipe-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def pages():
    it = Pages()
    yield it
    it.shutdown()
    it.server_close()


class Front:
    """A web server with its recipe."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, client, body=None, headers=None):
        """From an address of loopback's own, as one of many clients."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=30, source_address=(client, 0)
        )
        try:
            connection.request(method, path, body, {**BROWSER, **(headers or {})})
            return farm_lib.Answer(connection.getresponse())
        finally:
            connection.close()

    def view(self, client, content=None, path="/api/track-view/", headers=None):
        body = '{"content_type":"video","content_id":"%s"}' % (content or uuid.uuid4())
        return self.ask("POST", path, client, body, {"Content-Type": "text/plain", **(headers or {})})

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0


def recipe(name, place, agent, pages, port):
    """The recipe's text with this test's addresses; each must stand in it."""
    text = (RECIPES / name).read_text()
    agent_port = agent.http.rsplit(":", 1)[1]
    for pattern, value in (
        (r"/run/footfall/http\.sock", str(place / "http.sock")),
        (r"127\.0\.0\.1:8080", f"127.0.0.1:{agent_port}"),
        (r"\"8080\"", f'"{agent_port}"'),
        (r"127\.0\.0\.1:8000", f"127.0.0.1:{pages.server_port}"),
        (r"\"8000\"", f'"{pages.server_port}"'),
        (r"/var/cache/nginx/pages", str(place / "cache")),
        (r"listen 80;", f"listen 127.0.0.1:{port};"),
        (r"bind :80\b", f"bind 127.0.0.1:{port}"),
        (r"(?m)^:80 \{", f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1"),
    ):
        text = re.sub(pattern, value, text)
    return text


def nginx(place, text, _):
    conf = place / "main.conf"
    (place / "site.conf").write_text(text)
    conf.write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log;\n"
        f"{'user root;' if os.geteuid() == 0 else ''} events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n"
        f"fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n"
        f"include {place}/site.conf; }}\n"
    )
    return ["nginx", "-e", f"{place}/error.log", "-c", str(conf)]


def apache2(place, text, port):
    conf = place / "apache2.conf"
    modules = "/usr/lib/apache2/modules"
    load = "".join(
        f"LoadModule {m}_module {modules}/mod_{m}.so\n"
        for m in ("mpm_event", "authz_core", "proxy", "proxy_http", "headers")
    )
    user = "User nobody\nGroup nogroup\n" if os.geteuid() == 0 else ""
    conf.write_text(
        f"{load}{user}ServerRoot {place}\nServerName localhost\nPidFile {place}/pid\n"
        f"DefaultRuntimeDir {place}\nErrorLog {place}/error.log\nListen 127.0.0.1:{port}\n"
        f"<VirtualHost *:{port}>\n{text}\n</VirtualHost>\n"
    )
    return ["apache2", "-X", "-f", str(conf)]


def haproxy(place, text, _):
    (place / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(place / "haproxy.cfg")]


def caddy(place, text, _):
    (place / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]


def varnishd(place, text, port):
    (place / "site.vcl").write_text(text)
    return ["varnishd", "-F", "-a", f"127.0.0.1:{port}", "-f", str(place / "site.vcl"),
            "-n", str(place / "varnish"), "-s", "malloc,16m", "-j", "none"]


SERVERS = {
    "nginx.conf": nginx,
    "apache2.conf": apache2,
    "haproxy.cfg": haproxy,
    "Caddyfile": caddy,
    "varnish.vcl": varnishd,
}
CACHES = ("nginx.conf", "varnish.vcl")


@pytest.fixture(params=list(SERVERS))
def served(request, farm, place, pages):
    """(front, agent, pages, recipe's name) with the server running."""
    start = SERVERS[request.param]
    path = os.environ["PATH"] + ":/usr/sbin"
    if not shutil.which(start.__name__, path=path):
        pytest.skip(f"no {start.__name__}; make test-recipes installs it")
    agent = farm.agent(
        "web-1",
        http={"listen": ["127.0.0.1:0", f"unix:{place}/http.sock"],
              "trusted_proxies": ["unix", "127.0.0.1/32"]},
        admit={"rate": "1/1h", "burst": 3},
    ).start()
    front = Front(free_port())
    command = start(place, recipe(request.param, place, agent, pages, front.port), front.port)
    with open(place / "out", "wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PATH": path, "HOME": str(place), "XDG_DATA_HOME": str(place)},
        )
    try:
        wait_for(start.__name__, lambda: front.listens() or process.poll() is not None)
        assert process.poll() is None, (place / "out").read_text()
        yield front, agent, pages, request.param
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def accepted(agent):
    return sum(v for k, v in agent.metrics().items()
               if k.startswith("footfall_events_total") and 'verdict="accepted"' in k)


def test_recipe(served):
    front, agent, pages, name = served

    # beacons, under every prefix
    for prefix in ("", "/en", "/de"):
        answer = front.view("127.0.1.1", path=prefix + "/api/track-view/")
        assert (answer.status, answer.json()["tracked"]) == (200, True), answer.body

    # one client's burst is used up, whatever it says of itself; another one's is not
    assert front.view("127.0.1.1").status == 429
    lies = {"X-Forwarded-For": "9.9.9.9", "Forwarded": "for=9.9.9.9", "X-Real-IP": "9.9.9.9"}
    assert front.view("127.0.1.1", headers=lies).status == 429
    assert front.view("127.0.1.2", headers=lies).status == 200
    assert accepted(agent) == 4

    # the tracker
    script = front.ask("GET", "/js/analytics-tracking.js", "127.0.1.3")
    assert script.status == 200
    text = gzip.decompress(script.body) if script.headers["Content-Encoding"] == "gzip" else script.body
    assert b"data-analytics-track" in text
    assert "max-age=" in script.headers["Cache-Control"]
    again = front.ask("GET", "/js/analytics-tracking.js", "127.0.1.3",
                      headers={"If-None-Match": script.headers["ETag"]})
    assert again.status == 304 and not again.body

    # views of one page by many, which a cache asks its origin for once
    for i in range(5):
        page = front.ask("GET", "/page", f"127.0.2.{i + 1}")
        content = re.search(rb'data-content-id="([^"]+)"', page.body).group(1).decode()
        assert content == pages.id
        assert front.view(f"127.0.2.{i + 1}", content).json()["tracked"]
    assert accepted(agent) == 9
    assert pages.hits == (1 if name in CACHES else 5)


DJANGO = '''
import sys
import django
from django.conf import settings
from django.template import engines

agent, content, page_ua = sys.argv[1:]
settings.configure(
    FOOTFALL_AGENT=agent,
    ALLOWED_HOSTS=["*"],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": ["django.template.context_processors.request"],
            "libraries": {"footfall_views": "templatetags.footfall_views"},
        },
    }],
)
django.setup()
from django.test import RequestFactory

request = RequestFactory().get("/video", REMOTE_ADDR="127.0.0.1", HTTP_USER_AGENT=page_ua)
template = engines["django"].from_string(
    '{% load footfall_views %}<p {% footfall_view "video" id %}></p>')
print(template.render({"id": content}, request))
'''


def test_django_tag_and_the_beacon_of_its_page_count_once(farm):
    paths = [str(RECIPES / "django"), str(ROOT / "proto/clients/python")]
    if subprocess.run([sys.executable, "-c", "import django"], capture_output=True, check=False).returncode:
        pytest.skip("no Django; make test-recipes installs it")
    agent = farm.agent("web-1").start()
    content = str(uuid.uuid4())
    done = subprocess.run(
        [sys.executable, "-B", "-c", DJANGO, agent.addresses["udp"], content, BROWSER["User-Agent"]],
        env={**os.environ, "PYTHONPATH": ":".join(paths)}, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    said = dict(re.findall(r'data-([a-z-]+)="([^"]*)"', done.stdout))
    assert (said["content-type"], said["content-id"]) == ("video", content)
    wait_for("the datagram", lambda: accepted(agent) == 1)
    beacon = {"content_type": "video", "content_id": content, "event_id": said["event-id"]}
    assert agent.beacon(beacon).json() == {"success": True, "tracked": False}
    assert accepted(agent) == 1
