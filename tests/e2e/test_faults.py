"""Twilio, Slack or a secret fails us: no page is lost, nobody is rung twice for it, and people are told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from devstack.twilio import webhooks
from tests.devstack_fixture import wait_until
from tests.e2e.faults import (
    TWO_MINUTES,
    _own_night,
    is_rung,
    night,
    nobody_was_rung_twice,
    slack_tells_the_story_once_and_in_order,
    time_passes_for,
)
from tests.e2e.story import SOON, Night, Story

__all__ = ["_own_night", "night"]

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


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, 573005, "Verified Caller IDs"),
        (403, 573002, "Upgrade the account"),
        (400, 32224, "does not connect this number"),
        (400, 999_999, "twilio.com/docs/api/errors/999999"),
    ],
)
def test_a_refusal_that_nobody_has_heard_of_lets_the_next_phone_ring_and_says_what_mends_it(
    night: Night, status: int, code: int, remedy: str
) -> None:
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"create": {"status": status, "code": code, "times": 1}})
    execution = story.fire()

    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben")
    line = story.tells("Ann cannot be called")
    assert str(code) in line
    assert remedy in line
    assert "WaitToCall" not in story.states(execution)
    assert not story.published()


def test_twilio_is_away_and_people_hear_of_it_and_the_phone_rings_when_it_is_back(night: Night) -> None:
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"all": {"status": 503, "code": 20503}})
    execution = story.fire()

    story.told("Twilio takes no calls", timeout=TWO_MINUTES)
    story.tells("Twilio takes no calls", timeout=TWO_MINUTES)
    assert story.called() == []
    night.system.faults("twilio", {})
    is_rung(story, "ann")
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
    story = night.story("ann", "ben", ring_seconds=5)
    story.phone("ben", "answer", digits="1")
    night.system.faults("twilio", {"callbacks": {"drop": 1000}})
    execution = story.fire()

    story.becomes("acknowledged", timeout=180, acknowledged_by="Ben")
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
    story.settled()
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
    night.system.faults("twilio", {"callbacks": {"delay": 20, "drop": 1}})  # the word that Ann's call is dialled
    execution = story.fire()

    is_rung(story, "ben")
    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben", timeout=60)
    story.finished(execution)
    story.settled()
    before = story.kinds()
    night.system.faults("twilio", {})
    wait_until(lambda: len(callbacks_of(story)) == 5, 60, "the last late callback")
    nobody_was_rung_twice(story, "ann", "ben")
    assert story.kinds() == before
    assert before.count("acknowledged") == 1


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
    assert answer.status_code == 200, answer.text


# ---------------------------------------------------------------- Slack fails


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 429, "retry_after": 7}, {"timeout": 11.0}],
    ids=["500", "429", "no answer in time"],
)
def test_phones_ring_while_slack_fails_and_slack_is_told_later(night: Night, fault: Mapping[str, Any]) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", "busy")
    night.system.faults("slack", fault)
    execution = story.fire()

    story.takes("ben")
    story.becomes("acknowledged", acknowledged_by="Ben")
    night.system.faults("slack", {})

    story.finished(execution, timeout=60)
    slack_tells_the_story_once_and_in_order(story)
    story.shows("Ben has it")
    nobody_was_rung_twice(story, "ann", "ben")


def test_a_message_whose_answer_was_lost_is_not_posted_again(night: Night) -> None:
    story = night.story("ann", "ben")
    night.system.faults("slack", {"lose_answer": True, "times": 3})
    execution = story.fire()

    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution, timeout=60)
    slack_tells_the_story_once_and_in_order(story)


def test_a_channel_that_does_not_exist_is_told_on_the_fallback_topic_and_the_phone_rings(night: Night) -> None:
    nowhere = f"C0NOWHERE{uuid4().hex[:6].upper()}"
    story = night.story("ann", product={"slack_channel": nowhere})
    execution = story.fire()

    ann = story.rings("ann")
    told = story.told("channel_not_found")
    assert nowhere in told["message"]
    night.system.control("PUT", "slack", f"channels/{nowhere}", {"name": "here-now"})
    night.system.answer(ann["sid"])
    night.system.press(ann["sid"], "1")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    posted = wait_until(
        lambda: [one for one in night.system.messages() if one["channel"] == nowhere and not one["thread_ts"]],
        SOON,
        "the message when the channel is there",
    )
    assert len(posted) == 1
    assert len(story.published()) == 1


# ---------------------------------------------------------------- a secret is missing


@contextmanager
def without(night: Night, secret: str, function: str) -> Iterator[None]:
    """SSM has lost a secret, and a function that has kept it is started afresh."""
    value = night.system.ssm.get_parameter(Name=secret, WithDecryption=True)["Parameter"]["Value"]
    night.system.ssm.delete_parameter(Name=secret)
    try:
        night.system.faults("aws", {f"lambda:{function}": {"kill": "idle"}})
        yield
    finally:
        night.system.ssm.put_parameter(Name=secret, Value=value, Type="SecureString")


def test_without_twilios_secret_the_fallback_topic_says_which_and_the_page_goes_on_when_it_is_there(
    night: Night,
) -> None:
    story = night.story("ann", "ben")
    with without(night, "/oncall/twilio-auth-token", "PhoneCallFunction"):
        execution = story.fire()
        story.told("/oncall/twilio-auth-token")
        story.finished(execution, "FAILED")
    time_passes_for(story)

    is_rung(story, "ann")
    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    night.rests()
    nobody_was_rung_twice(story, "ann")


def test_without_slacks_token_the_fallback_topic_says_so_and_the_phone_rings(night: Night) -> None:
    story = night.story("ann", "ben")
    with without(night, "/oncall/slack-bot-token", "SlackNotificationFunction"):
        execution = story.fire()
        story.told("/oncall/slack-bot-token")
        ann = story.rings("ann")
    night.system.answer(ann["sid"])
    night.system.press(ann["sid"], "1")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    slack_tells_the_story_once_and_in_order(story)
    nobody_was_rung_twice(story, "ann")


def test_without_the_bearer_token_nothing_is_accepted_and_alertmanager_tries_again(night: Night) -> None:
    story = night.story("ann", "ben")
    with without(night, "/oncall/bearer-token", "AuthorizeFunction"):
        refused = night.system.post_alerts(
            story.webhook(), token="not-asked-for-before-" * 2
        )  # not in the gateway's cache
        assert refused.status_code == 503
    assert not story.incidents()
