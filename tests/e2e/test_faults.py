"""Whatever fails, dies, is lost, late or doubled: no page is lost, nobody is rung twice for it, and people are told.

The faults hit whole parts of the system, so these tests have a system of their own and run one after another. Its
reconciler runs every ten seconds instead of every minute.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from devstack.twilio import webhooks
from oncall.slack import messages
from oncall.table import Update
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import PARTS, ROSTER, night_of
from tests.e2e.story import RINGS, SOON, Night, Story, most_at_once

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
    night.system.faults("twilio", {"callbacks": {"drop": 1000}})
    execution = story.fire()

    is_rung(story, "ben")
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
    assert answer.status_code == 204, answer.text


# ---------------------------------------------------------------- Slack fails


def slack_tells_the_story_once_and_in_order(story: Story, timeout: float = SOON) -> None:
    """The channel has one message for the incident, and under it the lines of the timeline."""
    lines = [messages.line(event, "en") for event in story.timeline() if event["in_thread"]]

    def told() -> bool:
        told = [message["text"] for message in story.messages() if message["thread_ts"]]
        return [re.sub(r" <@\w+>$", "", line) for line in told] == lines  # without the mention of whom it is about

    wait_until(told, timeout, f"the lines {lines} in Slack")
    assert len(story.heads()) == 1


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


def time_passes_for(story: Story) -> None:
    """As if a page's lease had run out: its owner has been silent for too long."""
    page = story.page()
    past = page["opened_at"] - 1
    story.night.table.update(Update(page["pk"], page["sk"], set={"lease_until": past, "due_at": past}))


def test_slack_notification_dies_after_a_post_and_the_message_is_there_once(night: Night) -> None:
    story = night.story("ann", "ben")
    since = len(night.system.invocations())
    # The writes of a projection: its lease, the channel's turn, what is about to be posted, what Slack has answered.
    death = {"kill": "dynamodb:UpdateItem", "request": 4, "done": False}
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
    for story, person, nth in ((receives, "ann", 1), (calls, "ann", 2), (status, "ben", 1)):
        is_rung(story, person, nth)
        story.takes(person, nth)
        story.becomes("acknowledged")

    night.rests()
    for story in (key, settles, receives):
        nobody_was_rung_twice(story, "ann")
    nobody_was_rung_twice(calls, "ann", "ann")
    nobody_was_rung_twice(status, "ann", "ben")
    for story in (receives, calls, key, status, settles):
        assert len(story.incidents()) == 1
        slack_tells_the_story_once_and_in_order(story, timeout=TWO_MINUTES)


# ---------------------------------------------------------------- a secret is missing


def is_rung(story: Story, person: str, nth: int = 1) -> None:
    """Waits, as long as a recovery may take, until a person is rung for the nth time."""
    wait_until(lambda: len(story.calls(person)) == nth, 90, f"call {nth} to {person}")


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
        refused = night.system.post_alerts(story.webhook(), token="not asked for before")  # not in the gateway's cache
        assert refused.status_code == 503
    assert not story.incidents()
