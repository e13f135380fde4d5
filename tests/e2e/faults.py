"""A system for faults, and what has to hold after each. Faults hit whole parts of it, so its tests run one after another.

Its reconciler runs every ten seconds instead of every minute.
"""

import re
from collections.abc import Iterator

import pytest

from oncall.incidents import TimelineEvent
from oncall.slack import messages
from oncall.table import Update
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import PARTS, ROSTER, night_of
from tests.e2e.story import SOON, Night, Story, most_at_once

TWO_MINUTES = 120.0


@pytest.fixture(scope="module")
def _own_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    directory = tmp_path_factory.mktemp("faults")
    with running_devstack(directory, MONITORING="0", RING_SECONDS="20", SCHEDULE_SPEED="6", ROSTER=ROSTER) as system:
        night = night_of(system)
        system.control("PUT", "twilio", "settings", {"calls_per_second": 10})
        yield night


@pytest.fixture
def night(_own_night: Night) -> Iterator[Night]:
    """The system. After a test nothing is broken, and nothing is at work any more."""
    yield _own_night
    for part in PARTS:
        _own_night.system.faults(part, {})
    _own_night.rests()


def nobody_was_rung_twice(story: Story, *people: str) -> None:
    """Exactly these people were called, in this order, one phone at a time."""
    assert story.called() == list(people)
    assert most_at_once(story.calls()) == 1


def slack_tells_the_story_once_and_in_order(story: Story, timeout: float = SOON) -> None:
    """The channel has one message for the incident, and under it the lines of the timeline."""
    lines = [messages.line(TimelineEvent.from_item(event), "en") for event in story.timeline() if event["in_thread"]]

    def told() -> bool:
        told = [message["text"] for message in story.messages() if message["thread_ts"]]
        told = [re.sub(r" <@\w+>$", "", line) for line in told]  # without the mention of whom it is about
        # Who has a name that nobody else has is mentioned by it.
        return [re.sub(r"<@U0STORY\d+(\w+)>", lambda user: user[1].capitalize(), line) for line in told] == lines

    wait_until(told, timeout, f"the lines {lines} in Slack")
    assert len(story.heads()) == 1


def is_rung(story: Story, person: str, nth: int = 1) -> None:
    """Waits, as long as a recovery may take, until a person is rung for the nth time."""
    wait_until(lambda: len(story.calls(person)) == nth, 180, f"call {nth} to {person}")


def time_passes_for(story: Story) -> None:
    """As if a page's lease had run out: its owner has been silent for too long."""
    page = story.page()
    past = page["opened_at"] - 1
    story.night.table.update(Update(page["pk"], page["sk"], set={"lease_until": past, "due_at": past}))
