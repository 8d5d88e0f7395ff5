"""load.py -- events that are offered until somebody acknowledges them, and what must be counted then.

Whoever offers an event repeats it under its event id, so that an answer that was lost with a dying
program does no harm; the count wanted at the end is therefore exact.
"""

import collections
import http.client
import json
import os
import threading
import uuid

from farm import today_in, wait_for

CONTENTS = [str(uuid.UUID(int=0x1000 + n, version=4)) for n in range(20)]


def pin(agent):
    """A restarted agent listens where it did, as a real one would."""
    for section, name in (("http", "http"), ("udp", "udp")):
        agent.sections[section]["listen"] = [agent.addresses[name]]
    agent.sections["admin"]["listen"] = agent.addresses["admin"]
    agent.write_conf()


def start_with(program, **environment):
    """Starts it with these variables, which no other program gets."""
    os.environ.update(environment)
    try:
        program.start()
    finally:
        for name in environment:
            del os.environ[name]


class Clock:
    """What a program's wall clock is off by."""

    def __init__(self, directory, library):
        self.file = directory / "shift"
        self.environment = {"LD_PRELOAD": str(library), "SHIFT_CLOCK": str(self.file)}
        self.shift(0)

    def shift(self, ms):
        aside = self.file.with_suffix(".new")
        aside.write_text(str(ms))
        aside.rename(self.file)


class Supervisor(threading.Thread):
    """Starts again what has died, as systemd would, and remembers how it died."""

    def __init__(self, *programs):
        super().__init__(daemon=True)
        self.programs, self.stop, self.deaths = programs, threading.Event(), []

    def run(self):
        while not self.stop.wait(0.02):
            for program in self.programs:
                if program.process.poll() is not None:
                    self.deaths.append((program.binary, program.process.returncode))
                    self.start_again(program)

    def start_again(self, program):
        try:
            program.start()
        except RuntimeError:  # died again before it was ready: seen in the next turn
            pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()


class Offers:
    """What was acknowledged, per content and by event id."""

    def __init__(self):
        self.counted = collections.Counter()
        self.events = []

    def try_once(self, agent, event):
        """The answer, or None where there is none that could be believed."""
        try:
            answer = agent.beacon(event)
            return answer.json() if answer.status == 200 else None
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return None

    def offer(self, agent, n):
        """n events, each until it is acknowledged."""
        for _ in range(n):
            event = {
                "content_type": "video",
                "content_id": CONTENTS[len(self.events) % len(CONTENTS)],
                "event_id": str(uuid.uuid4()),
            }
            wait_for("an acknowledgement", lambda: self.try_once(agent, event))
            self.note(event)

    def note(self, event):
        self.counted[event["content_id"]] += 1
        self.events.append(event)

    def flush(self, agent):
        wait_for("a flush", lambda: agent.flush(check=False).returncode == 0)

    def check(self, central, zone, lost=0):
        """Counted is what was acknowledged, per content, and the books balance."""
        day = today_in(zone)
        rows = central.api("top", from_=day, to=day, type="video", limit=1000)["rows"]
        counted = {row["id"]: row["total_views"] for row in rows}
        totals = central.api("ledger", from_=day, to=day)["totals"]
        assert counted == dict(self.counted), totals
        verdicts = ("accepted", "duplicate", "bot", "limited", "invalid", "shed")
        assert totals["received"] == sum(totals[v] for v in verdicts), totals
        assert totals["accepted"] == totals["stored"] + totals["merged"], totals
        assert totals["lost"] == lost, totals
        return totals
