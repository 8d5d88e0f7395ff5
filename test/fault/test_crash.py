"""The programs die at each named step between an event's arrival and its place in the roll-ups.

Proves: whichever step a program dies at, after its restart every acknowledged event is counted once,
per content, none twice, nothing is called lost, and a retry under a known event id is recognised.
The points are CRASH_POINT in the sources (base/crash_point.h), compiled into VARIANT=crash only.
"""

import pytest

from farm import midday_zone
from load import Offers, Supervisor, pin, start_with

AGENT = [
    "journal_after_put:7",
    "journal_after_append:7",
    "number_before_seq",
    "replace_before_rename@seq",
    "replace_after_rename@seq",
    "number_after_seq",
    "replace_before_rename@.batch",
    "replace_after_rename@.batch",
    "seal_after_put",
    "sealed_before_mark",
    "sealed_after_mark",
    "recycle_before_prepare",
    "recycle_after_prepare",
    "recycle_after_prepare:3",
    "forward_before_send",
    "forward_after_answer",
    "spool_before_remove",
    "spool_after_remove",
]
CENTRAL = [
    "store_before_commit",
    "store_after_commit",
    "store_after_checkpoint",
    "receive_before_answer",
    "http_after_answer@/v1/batches",
    "store_before_commit:2",
    "store_after_commit:2",
]


STEPS = [("agent", step) for step in AGENT] + [("central", step) for step in CENTRAL]


@pytest.mark.parametrize("program,step", STEPS)
def test_a_death_at_this_step_loses_and_doubles_nothing(farm, crash_build, program, step):
    zone = midday_zone()
    central = farm.central(time_zone=zone).start()
    # so few segments that history is recycled within the test
    agent = farm.agent(
        "web-1",
        central,
        admit={"rate": "off"},
        http={"workers": 1},
        journal={"segment": "64k", "segments": 4},
    ).start()
    pin(agent)
    offers = Offers()
    offers.offer(agent, 10)
    dying = agent if program == "agent" else central
    dying.stop()
    try:
        start_with(dying, FOOTFALL_CRASH=step)
    except RuntimeError:  # a step on the way to readiness
        pass
    with Supervisor(agent, central) as supervisor:
        for _ in range(4):
            offers.offer(agent, 10)
            offers.flush(agent)
        # a death after the last answer is noticed
        offers.offer(agent, 1)
        offers.flush(agent)
        assert supervisor.deaths == [(dying.binary, -9)]
    known = [offers.try_once(agent, event) for event in offers.events[-21:]]
    assert all(answer == {"success": True, "tracked": False} for answer in known)
    offers.flush(agent)
    totals = offers.check(central, zone)
    assert totals["merged"] == 0, "an agent knows its own events again"
    agent.stop()
    central.stop()
