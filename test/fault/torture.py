"""torture.py -- kill -9 at random under load, over a bad network; then count.

    torture.py [--kills N] [--seed S] [--agents N]

Two agents and a central; senders over HTTP that repeat an event, under its event id, until somebody
acknowledges it, on whichever node; a sender over UDP that knows what it sent. All the while agents and
the central are killed and started again, and a proxy between them cuts, delays, doubles and answers
wrongly. At the end every event must be counted exactly once, per content, the ledger balance, and
`verify` find no difference.

Programs are killed while they run, while they drain, and while they start. The seed is printed; the same
seed makes the same choices (the kernel's scheduling stays its own).
"""

import argparse
import collections
import http.client
import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import farm as farm_lib  # noqa: E402
from farm import BROWSER, midday_zone, today_in  # noqa: E402
from load import CONTENTS, pin  # noqa: E402
from proxy import Proxy  # noqa: E402


LOST_ANSWERS = 0.02  # on the way to the browser, which tries again, perhaps on another node


class Sender(threading.Thread):
    """Makes events and offers each one until it is acknowledged."""

    def __init__(self, agents, seed, stop):
        super().__init__(daemon=True)
        self.agents, self.stop = agents, stop
        self.random = random.Random(seed)
        self.counted = collections.Counter()  # content -> events acknowledged
        self.retries = self.known = 0
        self.connections = {}

    def offer(self, agent, payload):
        """The answer, or None where there was none that could be believed."""
        try:
            connection = self.connections.get(agent.name)
            if connection is None:
                host, port = agent.http.split(":")
                connection = http.client.HTTPConnection(host, int(port), timeout=10)
                self.connections[agent.name] = connection
            connection.request("POST", "/api/track-view/", payload, BROWSER)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            return said if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            self.connections.pop(agent.name, None)
            return None

    def run(self):
        pause = threading.Event()
        while not self.stop.is_set():
            content = self.random.choice(CONTENTS)
            event_id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
            payload = json.dumps(
                {"content_type": "video", "content_id": content, "event_id": event_id}
            )
            said = None
            while said is None:  # also after stop: what was offered is seen through
                said = self.offer(self.random.choice(self.agents), payload)
                if self.random.random() < LOST_ANSWERS:
                    said = None
                if said is None:
                    self.retries += 1
                    pause.wait(0.01)
            if not said["tracked"]:
                self.known += 1  # an earlier try had arrived, though its answer had not
            self.counted[content] += 1


class Shouter(threading.Thread):
    """Sends datagrams and remembers each, since nobody acknowledges them."""

    def __init__(self, agents, seed, stop):
        super().__init__(daemon=True)
        self.agents, self.stop = agents, stop
        self.random = random.Random(seed)
        self.sent = []

    def run(self):
        import msgpack

        pause = threading.Event()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not self.stop.is_set():
                event = {
                    "type": "pdf",
                    "id": self.random.choice(CONTENTS),
                    "eid": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
                    "ip": f"10.0.0.{self.random.randrange(256)}",
                    "ts": int(time.time() * 1000),
                }
                self.sent.append(event)
                host, port = self.random.choice(self.agents).addresses["udp"].split(":")
                out.sendto(msgpack.packb(event), (host, int(port)))
                pause.wait(0.002)


def kill_while_starting(victim, seconds):
    """Recovery is interrupted like anything else."""
    with open(victim.log_path, "ab") as log:
        process = subprocess.Popen(victim.command("run"), stdout=log, stderr=log)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kill_at_random(programs, chance, kills, seconds):
    """Running, draining after SIGTERM, or starting: kills so many times in all."""
    pause = threading.Event()
    done = collections.Counter()
    while done.total() < kills:
        pause.wait(chance.uniform(0, seconds))
        victim = chance.choice(programs)
        if chance.random() < 0.2:
            victim.process.terminate()
            pause.wait(chance.uniform(0, seconds))
        victim.kill()
        done[victim.binary] += 1
        while chance.random() < 0.3:
            kill_while_starting(victim, chance.uniform(0, seconds))
            done[f"{victim.binary}, starting"] += 1
        if chance.random() < 0.5:
            pause.wait(chance.uniform(0, seconds))
        victim.start()
    return done


def counted(central, day, kind):
    rows = central.api("top", from_=day, to=day, type=kind, limit=1000)["rows"]
    return {row["id"]: row["total_views"] for row in rows}


def tell_again(agent, events):
    """What was told to a dying agent is told again, under the same event ids; what it shed, too."""

    def shed():
        return sum(v for k, v in agent.metrics().items() if 'verdict="shed"' in k)

    before = None
    while before != shed():
        before = shed()
        for at in range(0, len(events), 500):
            agent.emit(events[at : at + 500])


def check(central, zone, senders, shouter):
    day = today_in(zone)
    wanted = collections.Counter()
    for sender in senders:
        wanted.update(sender.counted)
    told = collections.Counter(event["id"] for event in shouter.sent)
    totals = central.api("ledger", from_=day, to=day)["totals"]
    for kind, those in (("video", wanted), ("pdf", told)):
        off = collections.Counter(counted(central, day, kind))
        off.subtract(those)
        off = {content: n for content, n in off.items() if n}
        assert not off, f"{kind}: counted beyond what was acknowledged or told: {off}; {totals}"
    verdicts = ("accepted", "duplicate", "bot", "limited", "invalid", "shed")
    assert totals["received"] == sum(totals[v] for v in verdicts)
    assert totals["accepted"] == totals["stored"] + totals["merged"]
    assert totals["stored"] == sum(wanted.values()) + len(shouter.sent)
    assert not totals["lost"]
    summary = central.api("summary", from_=day, to=day)
    assert summary["total_views"] == totals["stored"]
    return totals


def torture(directory, kills, seed, n_agents=2, n_senders=4):
    chance = random.Random(seed)
    zone = midday_zone()
    farm = farm_lib.Farm(directory)
    stop = threading.Event()
    proxy = None
    try:
        central = farm.central(time_zone=zone).start()
        proxy = Proxy(lambda: central.address, chance.random())
        agents = []
        for n in range(n_agents):
            agent = farm.agent(
                f"web-{n}",
                central,
                admit={"rate": "off"},
                batch={"interval": "1s"},
                journal={"segment": "64k", "segments": 64},
            )
            agent.sections["forward"]["central"] = f"http://{proxy.address}"
            agent.write_conf()
            agents.append(agent.start())
            pin(agent)
        senders = [Sender(agents, chance.random(), stop) for _ in range(n_senders)]
        shouter = Shouter(agents, chance.random(), stop)
        for thread in (*senders, shouter):
            thread.start()
        done = kill_at_random([central, *agents], chance, kills, 0.2)
        stop.set()
        for thread in (*senders, shouter):
            thread.join(timeout=farm_lib.PATIENCE)
            assert not thread.is_alive()
        proxy.faulty = False
        tell_again(agents[0], shouter.sent)
        for agent in agents:
            agent.flush()
        totals = check(central, zone, senders, shouter)
        for program in (*agents, central):
            program.stop()
        print(central.run("verify").stdout, end="")
        return done, totals, senders, proxy.done
    finally:
        stop.set()
        if proxy:
            proxy.close()
        farm.close()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--agents", type=int, default=2)
    options.add_argument("--keep", help="a new directory that stays, instead of a temporary one")
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    chosen = options.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        done, totals, senders, faults = torture(
            chosen.keep or directory, chosen.kills, chosen.seed, chosen.agents
        )
    print(f"kills {sum(done.values())} ({dict(done)}), network {faults}")
    print(f"retries {sum(s.retries for s in senders)}, known already {sum(s.known for s in senders)}")
    print(f"ledger {totals}")


if __name__ == "__main__":
    main()
