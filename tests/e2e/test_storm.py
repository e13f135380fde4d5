"""A storm: 200 alert groups within ten seconds, of one escalation policy and of twenty.

It has a system of its own. Slack takes one message a second, so the last test looks at what the first has begun.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from oncall import pages
from oncall.pages.store import OWN_MESSAGES
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import SOON, Night, Story, most_at_once

GROUPS = 200
POLICIES = 20
SECONDS = 10.0  # in which the storm breaks
RING = 600  # seconds: no phone rings out while a busy machine works (Twilio: Timeout at most 600)
PATIENCE = 400.0  # seconds within which a busy machine has worked through 200 executions
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A system for storms alone."""
    directory = tmp_path_factory.mktemp("storm")
    with running_devstack(directory, MONITORING="0", ROSTER=ROSTER) as system:
        night = night_of(system)
        # More phones can ring at once than Twilio dials in a second for a new account.
        system.control("PUT", "twilio", "settings", {"calls_per_second": POLICIES})
        yield night


@pytest.fixture(scope="module")
def one_policy(night: Night) -> Story:
    """The product whose 200 groups fire first."""
    return night.story("ann", "ben", ring_seconds=RING)


def breaks(stories: Sequence[Story], groups: int = GROUPS, seconds: float = SECONDS) -> list[str]:
    """Groups fire evenly over some seconds, in turn for each story; returns the names of their executions.

    What is not accepted is posted again after half a second, and slower and slower, as Alertmanager does.
    """
    began = time.monotonic()

    def fire(number: int) -> str:
        time.sleep(max(0.0, began + number * seconds / groups - time.monotonic()))
        webhook = stories[number % len(stories)].webhook(f"group {number}")
        pause = 0.5
        while (answer := stories[0].system.post_alerts(webhook)).status_code == 503:
            time.sleep(pause)
            pause *= 1.5
        assert answer.status_code == 202, answer.text
        return str(answer.json()["execution"])

    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(fire, range(groups)))


def states_of(stories: Sequence[Story]) -> Counter[str]:
    """How many incidents of these stories are in each state."""
    night = stories[0].night
    found = night.dynamodb.get_paginator("scan").paginate(
        TableName=night.table.name,
        FilterExpression="sk = :state",
        ExpressionAttributeValues={":state": {"S": "STATE"}},
        ProjectionExpression="product, #state",
        ExpressionAttributeNames={"#state": "state"},
        ConsistentRead=True,
    )
    products = {story.name for story in stories}
    return Counter(item["state"]["S"] for page in found for item in page["Items"] if item["product"]["S"] in products)


def on_the_page(story: Story) -> int:
    """How many incidents the page of a story covers; none while there is no page yet."""
    page = pages.read(story.night.table, story.name)
    return len(page.incidents) if page else 0


def lines_of(story: Story) -> dict[str, list[str]]:
    """Where the channel tells each incident: the messages of their own, and the lines below one of them; as they are written."""
    told: dict[str, list[str]] = {}
    for message in story.messages():
        parts = (
            [json.dumps(message["blocks"])]
            if message in story.heads()
            else [json.dumps(one) for one in message["blocks"] or []]
        )
        for part in parts:
            for incident in set(_ID.findall(part)):
                told.setdefault(incident, []).append(part)
    return told


def takes(story: Story, sid: str) -> None:
    """Somebody answers a ringing phone and takes the page."""
    story.system.answer(sid)
    story.system.press(sid, "1")
    wait_until(lambda: story.page()["state"] == "acknowledged", SOON, "the acknowledgement")


def all_are_acknowledged(stories: Sequence[Story], groups: int = GROUPS, timeout: float = PATIENCE) -> None:
    """Waits until every group has one incident, and all of them are acknowledged."""
    wait_until(lambda: states_of(stories) == {"acknowledged": groups}, timeout, f"{groups} acknowledged incidents")


def test_200_groups_of_one_policy_ring_one_phone_and_one_key_takes_them_all(one_policy: Story) -> None:
    breaks([one_policy])
    wait_until(lambda: on_the_page(one_policy) == GROUPS, PATIENCE, "all groups on one page")

    one_policy.takes("ann")

    all_are_acknowledged([one_policy])
    assert one_policy.page()["acknowledged_by"] == "Ann"
    assert one_policy.called() == ["ann"]


def test_an_acknowledgement_in_the_middle_of_a_storm_is_followed_by_one_more_call_after_the_quiet_window(
    night: Night,
) -> None:
    story = night.story("ann", quiet_seconds=15, ring_seconds=RING)
    with ThreadPoolExecutor(1) as pool:
        storm = pool.submit(breaks, [story], 40)
        story.takes("ann")
        storm.result()
    # Those that came after the key are on a page of their own, which rings when the quiet window has passed.
    first = story.calls("ann")[0]
    wait_until(lambda: states_of([story]).total() == 40, PATIENCE, "all incidents")
    wait_until(lambda: len(story.calls("ann")) == 2, PATIENCE, "the call after the quiet window")
    story.takes("ann", nth=2)

    all_are_acknowledged([story], 40)
    assert story.called() == ["ann", "ann"]
    assert most_at_once(story.calls()) == 1
    assert first["digits"] == "1"


def test_200_groups_of_20_policies_ring_20_phones_side_by_side(night: Night) -> None:
    stories = [night.story("ann", "ben", ring_seconds=RING) for _ in range(POLICIES)]
    breaks(stories)
    share = GROUPS // POLICIES
    wait_until(lambda: all(on_the_page(story) == share for story in stories), PATIENCE, "each policy's page")
    calls = [story.rings("ann", timeout=PATIENCE) for story in stories]
    assert most_at_once([call for story in stories for call in story.calls()]) == POLICIES

    for story, call in zip(stories, calls, strict=True):
        takes(story, call["sid"])

    all_are_acknowledged(stories)
    assert [story.called() for story in stories] == [["ann"]] * POLICIES
    wait_until(lambda: all(len(lines_of(story)) == share for story in stories), PATIENCE, "the lines in Slack")


def test_slack_has_all_200_once_and_says_who_has_them(one_policy: Story) -> None:
    wait_until(lambda: len(lines_of(one_policy)) >= GROUPS, PATIENCE, f"{GROUPS} incidents in Slack")
    one_policy.night.rests(PATIENCE)

    told = lines_of(one_policy)
    assert sorted(told) == sorted(incident["id"] for incident in one_policy.incidents())
    assert all(len(lines) == 1 for lines in told.values()), "each is found once"
    assert all("Ann has it" in line for lines in told.values() for line in lines)
    assert len(one_policy.heads()) == OWN_MESSAGES, "the channel can be read"
    refused = one_policy.system.control("GET", "slack", "errors")
    assert len(refused) <= 10, refused[:3]
