"""Two agents with one identity.

Proves: two agents of one name, and a state directory that was copied, are found out by the central,
which refuses instead of merging; every refused batch is set aside, logged with what to do, and counted
where an operator looks; nothing that the central took is changed by it, and nothing counted twice.
And one agent with two names: a renamed node is complete under the new one, and what it still had of the
old one is set aside, and counted once it is sent as packaging/README.md says.
"""

import shutil
import uuid

from farm import midday_zone, request, today_in, wait_for
from load import CONTENTS, Offers

ZONE = midday_zone()


def twin_of(farm, agent, central):
    """Another agent with the same name and token, in a directory of its own."""
    twin = farm.agent("copy", admit={"rate": "off"}, http={"workers": 1})
    twin.sections["node"]["name"] = agent.name
    twin.sections["forward"] = dict(agent.sections["forward"])
    twin.sections["batch"] = dict(agent.sections["batch"])
    twin.write_conf()
    return twin


def make_agent(farm, central, **batch):
    return farm.agent(
        "web-1", central, admit={"rate": "off"}, http={"workers": 1}, batch=batch
    )


def views(central):
    day = today_in(ZONE)
    return central.api("summary", from_=day, to=day)["total_views"]


def beacon():
    content = CONTENTS[0]
    return {"content_type": "video", "content_id": content, "event_id": str(uuid.uuid4())}


def assert_set_aside(agent, reason):
    """The operator finds it in the log, which has it last, in the status, and beside the batch itself."""
    wait_for("the log", lambda: "name used twice, or its state copied" in agent.log())
    assert agent.status()["spool"]["broken"] >= 1
    whys = list((agent.state_dir / "spool" / "broken").glob("*.why"))
    assert whys and all(reason in why.read_text() for why in whys)


def test_a_copied_state_directory_is_refused_at_the_first_number_given_twice(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central).start()
    for _ in range(3):
        assert agent.beacon(beacon()).status == 200
    agent.flush()
    for _ in range(2):  # in the journal of both
        assert agent.beacon(beacon()).status == 200
    agent.kill()
    twin = twin_of(farm, agent, central)
    shutil.copytree(agent.state_dir, twin.state_dir)
    agent.start()
    twin.start()
    agent.flush()
    assert views(central) == 5
    refused = twin.flush(check=False)
    assert refused.returncode != 0 and "spool/broken" in refused.stdout + refused.stderr
    assert_set_aside(twin, "two agents share one identity")
    assert views(central) == 5, "what both had in their journals counts once"
    # the first agent is not harmed by the copy
    assert agent.status()["spool"]["broken"] == 0


def test_every_acknowledged_event_of_copies_is_stored_once_or_set_aside(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central).start()
    agent.flush()
    agent.stop()
    twin = twin_of(farm, agent, central)
    shutil.copytree(agent.state_dir, twin.state_dir)
    both = [agent.start(), twin.start()]
    acknowledged = 0
    for n in range(6):
        one = both[n % 3 % 2]  # turns that are not strictly taken
        assert one.beacon(beacon()).status == 200
        acknowledged += 1
        one.flush(check=False)
    aside = sum(one.status()["spool"]["broken"] for one in both)
    assert aside > 0
    assert views(central) + aside == acknowledged, "one event a batch"


def test_the_older_of_two_agents_with_one_name_is_refused(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central, interval="1s").start()
    offers = Offers()
    offers.offer(agent, 3)
    agent.flush()
    twin = twin_of(farm, agent, central).start()
    offers.offer(twin, 3)
    twin.flush()
    # clocks may differ by seconds: not at once, but soon
    wait_for("a refusal", lambda: agent.status()["spool"]["broken"] > 0)
    assert_set_aside(agent, "two agents share one name")
    assert "another agent sends under" in agent.status()["forward"]["last_error"]
    said = request(agent.addresses["admin"], "GET", "/readyz").body
    assert b"the central refuses what is accepted here" in said
    assert request(twin.addresses["admin"], "GET", "/readyz").body == b"ready\n"
    assert "two agents use one node name" in central.log()
    offers.offer(twin, 3)
    twin.flush()
    assert twin.status()["spool"]["broken"] == 0
    offers.check(central, ZONE)


def test_a_node_that_lost_its_state_goes_on_under_its_name(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central, interval="1s").start()
    offers = Offers()
    for _ in range(2):
        offers.offer(agent, 3)
        agent.flush()
        agent.stop()
        shutil.rmtree(agent.state_dir)
        agent.start()
    offers.offer(agent, 3)
    agent.flush()
    offers.check(central, ZONE)
    assert agent.status()["spool"]["broken"] == 0


def rename(agent, central, name):
    agent.sections["node"]["name"] = name
    agent.sections["forward"]["token_file"].write_text(central.add_node(name) + "\n")
    agent.write_conf()


def test_a_node_that_got_another_name_is_complete_under_it(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central).start()
    offers = Offers()
    offers.offer(agent, 3)
    agent.flush()
    agent.stop()
    rename(agent, central, "web-2")
    agent.start()
    offers.offer(agent, 3)
    agent.flush()
    offers.check(central, ZONE)
    nodes = {node["node"]: node for node in central.api("nodes")["nodes"]}
    assert nodes["web-2"]["verdict"] == "complete", nodes


def test_what_waited_under_a_former_name_is_set_aside_and_can_be_sent_later(farm):
    central = farm.central(time_zone=ZONE).start()
    agent = make_agent(farm, central).start()
    offers = Offers()
    offers.offer(agent, 3)
    agent.flush()
    central.stop()
    offers.offer(agent, 3)
    agent.stop()  # they wait in the spool, as web-1's
    central.start()
    token_file = agent.sections["forward"]["token_file"]
    former = token_file.read_text()
    rename(agent, central, "web-2")
    present = token_file.read_text()
    agent.start()
    wait_for("what is set aside", lambda: agent.status()["spool"]["broken"] == 1)
    offers.offer(agent, 3)
    agent.flush()
    assert views(central) == 6
    assert "node=web-1" in agent.log() and "needs the token of that name" in agent.log()
    agent.stop()
    spool = agent.state_dir / "spool"
    (aside,) = (spool / "broken").glob("*.batch")
    (why,) = (spool / "broken").glob("*.why")
    assert "this token belongs to another node" in why.read_text()
    # as packaging/README.md has it
    aside.rename(spool / aside.name)
    why.unlink()
    token_file.write_text(former)
    agent.start()
    wait_for("the former name's batch", lambda: agent.status()["spool"]["batches"] == 0)
    token_file.write_text(present)
    offers.offer(agent, 3)
    agent.flush()
    assert agent.status()["spool"]["broken"] == 0
    offers.check(central, ZONE)
