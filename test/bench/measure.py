"""measure.py -- CPU time, memory, turns, and the table that the figures go into."""

import json
import os
import pathlib
import statistics

SERVER_CPU, LOAD_CPU = 0, 1


class Failed(Exception):
    """A request failed, or a count differs: the figure is not to be had, and the run is worth nothing."""


GONE = (FileNotFoundError, ProcessLookupError)  # a process or thread that has ended meanwhile


def for_threads(pid, do):
    """What do(thread) returned, of those that are there."""
    got = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                got.append(do(int(task)))
            except GONE:
                pass
    except GONE:
        pass
    return got


def children(pid):
    """The process and all that it started."""
    def of(task):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            return [int(child) for child in file.read().split()]

    return [pid] + [one for some in for_threads(pid, of) for child in some for one in children(child)]


def pin(pid, cpu):
    for_threads(pid, lambda task: os.sched_setaffinity(task, {cpu}))


def yield_to_others(pid):
    """From now on it runs while its processor has little else to do."""
    for_threads(pid, lambda task: os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0)))
    group = pathlib.Path(f"/proc/{pid}/autogroup")  # of its session, and with a share of its own
    if group.exists():
        group.write_text("19")


def cpu_ns(pids):
    """CPU time of all living threads of the processes so far."""
    def of(pid, task):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            return int(file.read().split()[0])

    return sum(ns for pid in pids for ns in for_threads(pid, lambda task, pid=pid: of(pid, task)))


def cpu_ns_with_ended(pids):
    """The same with all their children that have ended, in steps of 10 ms."""
    ticks = 0
    for pid in reversed(pids):  # a child before its parent, who takes over its time
        try:
            with open(f"/proc/{pid}/stat") as file:
                ticks += sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:15])
        except GONE:
            pass
    return ticks * 10**9 // os.sysconf("SC_CLK_TCK")


def pss(pid):
    """Bytes: what the process alone uses, and its part of what it shares."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def anonymous(pid):
    """Bytes that the process has written: whoever else runs with the same libraries makes no difference."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Anonymous:"))


def in_turns(rounds, measures):
    """Calls each measure once a round, every other round the other way round, so that what comes
    and goes meets all of them. Name -> results, by round."""
    got = {name: [] for name in measures}
    for i in range(rounds):
        for name in list(measures)[:: -1 if i % 2 else 1]:
            got[name].append(measures[name]())
    return got


class Table:
    def __init__(self):
        self.rows, self.missed = {}, 0

    def add(self, name, value, goal, better="lower", unit="", note=""):
        self.rows[name] = {"value": round(value, 4), "goal": goal, "better": better}
        met = value <= goal if better == "lower" else value >= goal
        self.missed += not met
        print(f"{name:54} {value:>10.2f} {unit:5} {'≤' if better == 'lower' else '≥'} {goal:<6g} "
              f"{'met   ' if met else 'MISSED'}  {note}", flush=True)

    def ratio(self, name, goal, ours, theirs, unit="us", better="lower", note=""):
        """The median over the rounds of the ratio within one round."""
        self.add(name, statistics.median(a / b for a, b in zip(ours, theirs)), goal, better, "ratio",
                 f"{statistics.median(ours):.2f} against {statistics.median(theirs):.2f} {unit}{note}")

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.rows, indent=1) + "\n")
