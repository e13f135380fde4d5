"""Whatever fails, dies, is lost, late or doubled: no page is lost, nobody is rung twice for it, and people are told.

The faults hit whole parts of the system, so these tests have a system of their own and run one after another. Its
reconciler runs every ten seconds instead of every minute.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from devstack import webhooks
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import PARTS, night_of
from tests.e2e.story import SOON, Night, Story, most_at_once

TWO_MINUTES = 120.0


@pytest.fixture(scope="module")
def _own_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    directory = tmp_path_factory.mktemp("faults")
    with running_devstack(directory, MONITORING="0", RING_SECONDS="5", SCHEDULE_SPEED="6") as system:
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


def of_page(story: Story) -> list[str]:
    """The SIDs of the calls that the page knows, in order."""
    calls = story.page()["calls"].values()
    return [call["sid"] for call in sorted(calls, key=lambda call: call["number"]) if "sid" in call]


def nobody_was_rung_twice(story: Story, *people: str) -> None:
    """Exactly these people were called, in this order, one phone at a time, and the page knows of each call."""
    assert story.called() == list(people)
    assert of_page(story) == [call["sid"] for call in story.calls()]
    assert most_at_once(story.calls()) == 1


# ---------------------------------------------------------------- Twilio refuses, is away, or its answer is lost


@pytest.mark.parametrize("status", [503, 429])
def test_twilio_refuses_a_few_times_and_the_phone_rings_all_the_same(night: Night, status: int) -> None:
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"create": {"status": status, "code": 20000 + status, "times": 3}})
    execution = story.fire()

    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann")
    assert not story.published()


@pytest.mark.parametrize(("behaviour", "code"), [("invalid", "21211"), ("forbidden", "21215")])
def test_a_number_that_twilio_refuses_is_passed_over_at_once_and_slack_says_whose_it_is(
    night: Night, behaviour: str, code: str
) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", behaviour)
    execution = story.fire()

    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben")
    line = story.tells("Ann cannot be called")
    assert code in line
    assert story.phones["ann"] not in line
    story.finished(execution)
    assert "WaitToCall" not in story.states(execution)
    nobody_was_rung_twice(story, "ben")


def test_twilio_is_away_and_people_hear_of_it_and_the_phone_rings_when_it_is_back(night: Night) -> None:
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"all": {"status": 503, "code": 20503}})
    execution = story.fire()

    story.told("Twilio takes no calls", timeout=TWO_MINUTES)
    story.tells("Twilio takes no calls", timeout=TWO_MINUTES)
    assert story.called() == []
    night.system.faults("twilio", {})
    wait_until(lambda: story.calls("ann"), 60, "the call when Twilio is back")
    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann")
    assert len(story.published()) == 1  # told once, not with every try


@pytest.mark.parametrize(
    "fault", [{"lose_answer": True}, {"delay": 8.0}], ids=["connection lost", "answered after the time limit"]
)
def test_a_call_whose_answer_was_lost_is_not_placed_again(night: Night, fault: Mapping[str, Any]) -> None:
    story = night.story("ann", "ben")
    night.system.control("PUT", "twilio", "faults", {"create": {**fault, "times": 1}})
    execution = story.fire()

    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann")


def test_a_call_whose_answer_was_lost_and_that_nobody_took_goes_on_to_the_next(night: Night) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", "busy", after=2)
    night.system.faults("twilio", {"create": {"lose_answer": True, "times": 1}, "callbacks": {"drop": 1}})
    execution = story.fire()

    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann", "ben")


# ---------------------------------------------------------------- callbacks: dropped, repeated, late, out of order


def test_without_any_callback_the_next_phone_rings_and_a_key_still_counts(night: Night) -> None:
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"callbacks": {"drop": 1000}})
    execution = story.fire()

    wait_until(lambda: story.calls("ben"), 60, "the call to Ben")
    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann", "ben")


def test_callbacks_that_come_three_times_change_nothing(night: Night) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", "busy")
    night.system.faults("twilio", {"callbacks": {"repeat": 1000}})
    execution = story.fire()

    call = story.takes("ben")
    story.becomes("acknowledged", acknowledged_by="Ben")
    story.finished(execution)
    before = story.kinds()
    for sent in callbacks_of(story):  # each once more, the last ones long after the end
        send(night, sent)
    story.ended(call["sid"])

    assert story.kinds() == before
    assert before.count("acknowledged") == 1
    assert before.count("call_ended") == 1
    nobody_was_rung_twice(story, "ann", "ben")


def test_callbacks_that_are_late_by_20_seconds_change_when_it_happens_and_nothing_else(night: Night) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", "busy")
    night.system.faults("twilio", {"callbacks": {"delay": 20}})
    execution = story.fire()

    wait_until(lambda: story.calls("ben"), 60, "the call to Ben")
    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben", timeout=60)
    story.finished(execution)
    nobody_was_rung_twice(story, "ann", "ben")
    wait_until(lambda: len(callbacks_of(story)) >= 5, 120, "the last late callback")
    assert story.kinds().count("acknowledged") == 1


def test_callbacks_in_the_wrong_order_have_the_same_result(night: Night) -> None:
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"callbacks": {"drop": 1000}})
    execution = story.fire()
    ann = story.rings("ann")
    night.system.answer(ann["sid"])
    night.system.hang_up(ann["sid"])
    dropped = wait_until(
        lambda: found if len(found := callbacks_of(story)) == 3 else None, SOON, "Ann's three callbacks"
    )
    assert [one["parameters"]["CallStatus"] for one in dropped] == ["initiated", "in-progress", "completed"]

    for sent in reversed(dropped):
        send(night, sent)
    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann", "ben")
    assert [call["status"] for call in story.page()["calls"].values()].count("completed") == 1
    assert story.kinds().count("call_ended") == 1


def callbacks_of(story: Story) -> list[dict[str, Any]]:
    """The status callbacks of a story's calls, in the order in which Twilio sent (or dropped) them."""
    sids = {call["sid"] for call in story.calls()}
    sent = story.system.control("GET", "twilio", "callbacks")
    return [one for one in sent if one["call"] in sids and urlsplit(one["url"]).path.endswith("/calls/status")]


def send(night: Night, callback: Mapping[str, Any]) -> None:
    """Sends a callback once more, signed as Twilio signs it."""
    signature = webhooks.sign(night.system.endpoints["twilio_auth_token"], callback["url"], callback["parameters"])
    answer = requests.post(
        callback["url"], data=callback["parameters"], headers={"X-Twilio-Signature": signature}, timeout=30
    )
    assert answer.status_code == 204, answer.text
