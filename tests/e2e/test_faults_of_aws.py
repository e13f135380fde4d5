"""Functions die, executions stop, AWS is away: no page is lost, nobody is rung twice for it, and people are told."""

from collections.abc import Mapping
from typing import Any

import pytest

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
from tests.e2e.story import RINGS, SOON, Night, Story

__all__ = ["_own_night", "night"]

# ---------------------------------------------------------------- functions die


def deaths(*actions: str) -> list[Any]:
    """A death before an event is looked at, at each of these requests (undone or done), and when all is done."""
    faults: list[dict[str, Any]] = [{"kill": "before"}]
    for action in actions:
        name, _, number = action.partition(" ")
        faults += [{"kill": name, "request": int(number or 1), "done": done} for done in (False, True)]
    faults.append({"kill": "after"})
    names = [f"{fault['kill']} {fault.get('request', '')} {'done' if fault.get('done') else ''}" for fault in faults]
    return [pytest.param(fault, id=name.strip()) for fault, name in zip(faults, names, strict=True)]


def died(night: Night, function: str, since: int) -> None:
    """Waits until an invocation of a function, later than the first so many of all, has died."""
    wait_until(
        lambda: [
            one
            for one in night.system.invocations(since)
            if one["function"] == function and one["error"] == "Runtime.ExitError"
        ],
        SOON,
        f"the death of {function}",
    )


@pytest.mark.parametrize(
    "death",
    deaths(
        "dynamodb:Query",
        "dynamodb:TransactWriteItems",  # the incident is open
        "dynamodb:UpdateItem",  # it is on the policy's page
    ),
)
def test_receive_alerts_dies_and_the_phone_rings_once(night: Night, death: Mapping[str, Any]) -> None:
    story = night.story("ann", "ben")
    since = len(night.system.invocations())
    night.system.faults("aws", {"lambda:ReceiveAlertsFunction": death})
    execution = story.fire()

    story.takes("ann")

    died(night, "ReceiveAlertsFunction", since)
    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    assert len(story.incidents()) == 1
    nobody_was_rung_twice(story, "ann")


@pytest.mark.parametrize(
    "death",
    deaths(
        "dynamodb:UpdateItem 1",  # the attempt is written
        "dynamodb:UpdateItem 2",  # Twilio has answered
        "dynamodb:GetItem",
        "dynamodb:TransactWriteItems",
        "lambda:InvokeFunction",
    ),
)
def test_phone_call_dies_while_it_rings_somebody_and_nobody_is_rung_twice(
    night: Night, death: Mapping[str, Any]
) -> None:
    story = night.story("ann", "ben")
    since = len(night.system.invocations())
    night.system.faults("aws", {"lambda:PhoneCallFunction": death})
    execution = story.fire()

    died(night, "PhoneCallFunction", since)
    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann")


@pytest.mark.parametrize(
    "death",
    deaths(
        "dynamodb:GetItem",
        "dynamodb:TransactWriteItems",  # the incident is acknowledged
        "dynamodb:UpdateItem",  # the page is settled
        "states:SendTaskSuccess",
    ),
)
def test_phone_call_dies_while_it_settles_a_page_and_all_of_it_happens(night: Night, death: Mapping[str, Any]) -> None:
    story = night.story("ann", "ben")
    execution = story.fire()
    story.happened("ringing")
    ann = story.rings("ann")
    since = len(night.system.invocations())
    night.system.faults("aws", {"lambda:PhoneCallFunction": death})
    night.system.answer(ann["sid"])
    night.system.press(ann["sid"], "1")

    died(night, "PhoneCallFunction", since)
    story.becomes("acknowledged", acknowledged_by="Ann")
    story.settled(texted=False)
    story.finished(execution)
    slack_tells_the_story_once_and_in_order(story)
    assert story.kinds().count("acknowledged") == 1
    nobody_was_rung_twice(story, "ann")


def answers(story: Story, person: str) -> dict[str, Any]:
    """A person answers the ringing phone, and the page knows of it; returns the call."""
    is_rung(story, person)
    (call,) = story.calls(person)
    if call["status"] in RINGS:
        story.system.answer(call["sid"])
    wait_until(lambda: "answered_at" in story.page()["calls"][f"c{story.page()['attempt']}"], SOON, "the answer")
    return call


@pytest.mark.parametrize("stopped", [False, True], ids=["its owner waits", "its owner was stopped"])
def test_an_acknowledgement_whose_writer_died_reaches_the_incident(night: Night, stopped: bool) -> None:
    story = night.story("ann", "ben", ring_seconds=5)
    story.phone("ann", "answer", after=1)
    execution = story.fire()
    ann = answers(story, "ann")
    since = len(night.system.invocations())
    night.system.faults("aws", {"lambda:PhoneReplyFunction": {"kill": "dynamodb:UpdateItem", "done": True}})
    night.system.press(ann["sid"], "1")
    died(night, "PhoneReplyFunction", since)
    assert story.page()["state"] == "acknowledged"

    if stopped:
        night.stepfunctions.stop_execution(executionArn=story.arn(execution))
    else:
        time_passes_for(story)

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.settled(texted=False)
    slack_tells_the_story_once_and_in_order(story)
    night.rests()
    nobody_was_rung_twice(story, "ann")


def test_slack_notification_dies_after_a_post_and_the_message_is_there_once(night: Night) -> None:
    story = night.story("ann", "ben")
    since = len(night.system.invocations())
    # The writes of a projection: its lease, the channel's turn, what Slack has answered.
    death = {"kill": "dynamodb:UpdateItem", "request": 3, "done": False}
    night.system.faults("aws", {"lambda:SlackNotificationFunction": death})
    execution = story.fire()
    died(night, "SlackNotificationFunction", since)
    assert len(story.heads()) == 1
    assert "slack_ts" not in story.incidents()[0]

    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.finished(execution, timeout=TWO_MINUTES)
    slack_tells_the_story_once_and_in_order(story)


def test_a_function_that_hits_its_time_limit_has_rung_once(night: Night) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", "answer", after=4)
    since = len(night.system.invocations())
    night.system.faults("twilio", {"create": {"delay": 5.5, "times": 1}})
    night.system.faults("aws", {"lambda:PhoneCallFunction": {"kill": "idle"}})  # so that it asks for its secrets
    # Not so slow that a busy machine makes the clients give up (5 s), but together slower than the function may be (25 s).
    night.system.faults("aws", {name: {"delay": 4.4, "seconds": 120} for name in ("dynamodb", "ssm")})
    execution = story.fire()

    wait_until(
        lambda: [one for one in night.system.invocations(since) if one["error"] == "Sandbox.Timedout"],
        TWO_MINUTES,
        "an invocation that hits its time limit",
    )
    night.system.faults("aws", {})
    story.takes("ben")

    story.becomes("acknowledged", acknowledged_by="Ben")
    story.finished(execution)
    nobody_was_rung_twice(story, "ann", "ben")


# ---------------------------------------------------------------- executions are stopped, AWS refuses or is away


def test_somebody_stops_the_execution_while_a_phone_rings(night: Night) -> None:
    story = night.story("ann", "ben")
    execution = story.fire()
    story.happened("ringing")

    night.stepfunctions.stop_execution(executionArn=story.arn(execution))
    story.happened("resumed", timeout=TWO_MINUTES)
    story.takes("ann")

    story.becomes("acknowledged", acknowledged_by="Ann")
    assert "goes on" in story.told("a page had stopped")["subject"]
    story.finished(execution, "ABORTED")
    night.rests()
    nobody_was_rung_twice(story, "ann")
    slack_tells_the_story_once_and_in_order(story)


def test_somebody_stops_the_execution_between_two_rounds(night: Night) -> None:
    story = night.story("ann", rounds=2, pause_seconds=6)
    story.phone("ann", "busy")
    execution = story.fire()
    wait_until(lambda: "WaitToCall" in story.states(execution), SOON, "the pause")
    story.phone("ann", "ring")

    night.stepfunctions.stop_execution(executionArn=story.arn(execution))
    story.happened("resumed", timeout=TWO_MINUTES)
    story.takes("ann", nth=2)

    story.becomes("acknowledged", acknowledged_by="Ann")
    story.told("a page had stopped")
    night.rests()
    nobody_was_rung_twice(story, "ann", "ann")


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("aws", {"states:StartExecution": {"status": 400, "type": "ThrottlingException", "times": 3}}),
        ("aws", {"states:StartExecution": {"status": 503, "type": "ServiceUnavailable", "times": 3}}),
        ("gateway", {"throttle": 3}),
    ],
    ids=["Step Functions throttles", "Step Functions is away", "the gateway throttles"],
)
def test_what_cannot_be_accepted_now_is_a_503_and_the_next_try_gets_it_in(
    night: Night, part: str, fault: Mapping[str, Any]
) -> None:
    story = night.story("ann", "ben")
    night.system.faults(part, fault)
    statuses: list[int] = []
    while not statuses or statuses[-1] // 100 == 5:  # Alertmanager tries again after 5xx, and after nothing else
        statuses.append(night.system.post_alerts(story.webhook()).status_code)

    story.takes("ann")

    assert statuses == [503, 503, 503, 202]
    story.becomes("acknowledged", acknowledged_by="Ann")
    night.rests()
    assert len(story.incidents()) == 1
    nobody_was_rung_twice(story, "ann")


@pytest.mark.parametrize(
    "fault",
    [{"status": 503, "type": "ServiceUnavailable"}, {"status": 503, "type": "ServiceUnavailable", "delay": 6}],
    ids=["refuses", "does not answer"],
)
def test_dynamodb_is_away_for_30_seconds_at_each_step(night: Night, fault: Mapping[str, Any]) -> None:
    receives, calls, key, status, settles = (
        night.story("ann", "ben"),
        night.story("ann", rounds=2, pause_seconds=10),
        night.story("ann", "ben"),
        night.story("ann", "ben", ring_seconds=10),
        night.story("ann", "ben"),
    )
    calls.phone("ann", "busy")
    for story in (key, settles):
        story.fire()
    sids = {story.name: answers(story, "ann")["sid"] for story in (key, settles)}
    waiting, _ = calls.fire(), status.fire()
    wait_until(lambda: "WaitToCall" in calls.states(waiting), SOON, "the pause")
    calls.phone("ann", "ring")
    status.phone("ben", "answer", digits="1")  # his phone does not ring for as long as the others take here
    status.happened("ringing")
    declined = status.rings("ann")["sid"]

    # Settling begins when DynamoDB is away already: the step that the key releases is held up until then.
    night.system.faults("aws", {"lambda:PhoneCallFunction": {"delay": 2, "times": 1}})
    night.system.press(sids[settles.name], "1")
    wait_until(lambda: settles.page()["state"] == "acknowledged", SOON, "the acknowledgement")
    night.system.faults("aws", {"dynamodb": {**fault, "seconds": 30}})
    receives.fire()
    night.system.press(sids[key.name], "1")
    night.system.control("POST", "twilio", f"calls/{declined}/decline", {})

    key.hears(sids[key.name], "少々お待ちください")  # the stack's language: who is called, the table would have to say
    key.becomes("acknowledged", timeout=90, acknowledged_by="Ann")
    key.hears(sids[key.name], "Thank you. You have it.")
    assert key.call(sids[key.name])["digits"] == "1"  # pressed once and kept
    settles.becomes("acknowledged", timeout=90, acknowledged_by="Ann")
    for story, nth in ((receives, 1), (calls, 2)):
        is_rung(story, "ann", nth)
        story.takes("ann", nth)
        story.becomes("acknowledged")
    status.becomes("acknowledged", timeout=180, acknowledged_by="Ben")

    night.rests()
    for story in (key, settles, receives):
        nobody_was_rung_twice(story, "ann")
    nobody_was_rung_twice(calls, "ann", "ann")
    nobody_was_rung_twice(status, "ann", "ben")
    for story in (receives, calls, key, status, settles):
        assert len(story.incidents()) == 1
        slack_tells_the_story_once_and_in_order(story, timeout=TWO_MINUTES)
