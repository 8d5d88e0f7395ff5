"""What a browser that a program drives says of itself, by the tracker's `webdriver`.

Proves: true is a bot for a reason that the ledger knows, anything else is as good as absent, and
with bots = off it is counted like everybody.
"""

import uuid

import pytest


def body(webdriver):
    return {"content_type": "video", "content_id": str(uuid.uuid4()), "webdriver": webdriver}


def refused(agent):
    name = 'footfall_events_total{source="beacon",verdict="bot",reason="headers"}'
    return agent.metrics()[name]


@pytest.fixture(scope="module")
def agent(module_farm):
    return module_farm.agent("web-1", admit={"rate": "off"}).start()


def test_an_automated_browser_is_a_bot_and_counted_as_one(agent):
    before = refused(agent)
    assert agent.beacon(body(True)).json() == {"success": True, "tracked": False}
    assert refused(agent) == before + 1


@pytest.mark.parametrize("said", [False, None, "true", 1, {"a": [True]}])
def test_anything_but_true_is_a_person(agent, said):
    assert agent.beacon(body(said)).json() == {"success": True, "tracked": True}


def test_with_bots_off_it_is_counted(farm):
    agent = farm.agent("web-2", admit={"bots": "off"}).start()
    assert agent.beacon(body(True)).json() == {"success": True, "tracked": True}
