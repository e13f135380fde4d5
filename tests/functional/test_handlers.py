"""ReceiveAlerts, PhoneCall, PhoneReply, SlackNotification and Reconcile, as AWS calls them."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from devstack.shared import twiml
from oncall import aws, signals
from oncall.clock import at
from oncall.errors import ConfigurationError, WebhookError
from oncall.phone.provider import Callbacks, callback_url
from oncall.settings import read_settings
from oncall.signals import Answer
from tests.builders import AUTOMATIC, BASE, GATEWAY, MINUTE, REGION, SATO, Call, World, webhook
from tests.functional.handlers import (
    AUTH_TOKEN,
    SECRETS,
    Stack,
    asked,
    authorize,
    button,
    changed,
    enter,
    execution_input,
    published,
    ring,
    slack_event,
    store,
    twilio_event,
)

# An invocation that has nothing to count is no fault; Powertools warns of it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


# ---------------------------------------------------------------- ReceiveAlerts and PhoneCall


def test_receive_alerts_hands_on_what_the_state_machine_branches_on(stack: Stack) -> None:
    decision = stack.call("receive_alerts", execution_input(webhook()))
    assert decision.keys() == {"action", "severity", "incidents", "page", "responders", "follow"}
    assert (decision["action"], decision["severity"]) == ("page", "critical")
    assert len(json.dumps(decision)) < 262_144


def test_what_rings_nobody_is_counted_apart(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.world.roster({"PRODUCT#shop": {"shadow": True}})
    capsys.readouterr()
    stack.call("receive_alerts", execution_input(webhook(product="shop")))
    counted = published(capsys)
    assert (counted["AlertsShadowed"], "AlertsPage" in counted) == (1, False)


def test_that_alerts_ring_nobody_is_told_within_a_minute_and_once_a_day(stack: Stack) -> None:
    stack.world.roster({"PRODUCT#shop": {"shadow": True}, "PRODUCT#blog": {}})
    told: list[int] = []
    for minutes, product in ((0, "blog"), (1, "shop"), (1, "shop"), (60, "shop"), (24 * 60, "shop"), (1, "shop")):
        stack.world.clock.time += minutes * 60_000
        stack.call("receive_alerts", execution_input(webhook(key=f"group {len(told)}", product=product)))
        stack.world.clock.time += 60_000
        stack.call("reconcile", {})
        told.append(sum("ring nobody" in each["Subject"] for each in stack.world.topic.published))
    assert told == [0, 1, 1, 1, 2, 2]


def test_a_call_in_shadow_needs_no_account_of_a_provider(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWILIO_ACCOUNT_SID_PARAMETER")
    monkeypatch.delenv("TWILIO_AUTH_TOKEN_PARAMETER")
    stack.world.roster({"PRODUCT#shop": {"shadow": True}})
    enter(stack, stack.call("receive_alerts", execution_input(webhook(product="shop"))), "token")
    (call,) = stack.world.page("shadow:default").calls
    assert call.is_supposed


def test_the_reconcilers_minute_has_slack_told_once_a_week_what_is_in_shadow(stack: Stack) -> None:
    stack.world.roster({"PRODUCT#shop": {"shadow": True}})
    for days, times in ((0, 0), (6, 0), (1, 1), (0, 1)):
        stack.world.clock.time += days * 86_400_000
        stack.call("reconcile", {})
        assert sum("shadow" in json.loads(one["Payload"]) for one in stack.functions.invoked) == times, days


def test_receive_alerts_names_what_it_cannot_read(stack: Stack) -> None:
    with pytest.raises(WebhookError, match="no groupKey"):
        stack.call("receive_alerts", execution_input({"alerts": [{}]}))


def test_phone_call_rings_and_waits_and_has_slack_told(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    assert stack.world.rung == [SATO]
    assert stack.stepfunctions.released == []
    (asked,) = stack.functions.invoked
    assert asked["InvocationType"] == "Event"
    assert json.loads(asked["Payload"]) == {"incidents": decision["incidents"]}


def test_phone_call_releases_its_own_step_when_there_is_nothing_to_wait_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.world.telephone.refuses.add(SATO)
    ring(stack, monkeypatch)
    ((token, answer),) = stack.stepfunctions.released
    assert token == "task-token"
    assert (answer["result"], answer["next"]) == ("fail", "call")
    assert answer.keys() == {"result", "reason", "next", "wait_seconds", "incidents"}


def test_phone_call_without_its_secrets_tells_the_fallback_and_fails(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_PARAMETER", "/oncall/nothing")
    decision = stack.call("receive_alerts", execution_input(webhook()))
    with pytest.raises(ConfigurationError):
        enter(stack, decision, "task-token")
    assert stack.world.topic.subjects == ["nobody can be called"]
    assert "/oncall/nothing" in stack.world.topic.published[0]["Message"]


def test_no_log_line_has_a_token_a_secret_or_a_phone_number(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    stack.world.telephone.refuses.add(SATO)
    decision = ring(stack, monkeypatch)
    enter(stack, decision, "another-task-token")
    call = stack.world.last_call
    stack.call("phone_reply", twilio_event(call, "status", {"CallStatus": "busy", "CallSid": call.sid}))
    stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}, signature="forged"))
    stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}))
    stack.call("slack_reply", slack_event(button(decision["incidents"][0])))
    authorize(stack, "Bearer wrong-bearer")
    written = "".join(capsys.readouterr()) + str([vars(record) for record in caplog.records])
    assert "acknowledged" in written
    for secret in (*SECRETS.values(), "task-token", "wrong-bearer", "+1202555", "forged"):
        assert secret not in written, secret


# ---------------------------------------------------------------- PhoneReply


def test_a_signed_key_is_written_said_and_releases_the_step(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(stack, monkeypatch)
    answer = stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"].startswith("text/xml")
    assert "You have it" in answer["body"]
    assert stack.world.page().state == "acknowledged"
    assert [token for token, _ in stack.stepfunctions.released] == ["task-token"]


def test_how_long_it_took_to_acknowledge_is_a_metric(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ring(stack, monkeypatch)
    stack.world.clock.time += 41_000
    capsys.readouterr()
    for _ in range(2):  # the same key once more is no other acknowledgement
        stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    [line] = lines
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "OnCall"
    assert directive["Dimensions"] == [["service"]]
    assert directive["Metrics"] == [{"Name": "SecondsToAcknowledge", "Unit": "Seconds"}]
    assert (line["SecondsToAcknowledge"], line["service"]) == ([41], "on-call")


def test_whoever_takes_it_is_texted_by_phone_call_after_the_step_is_released(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXT_SENDER", "OnCall")
    monkeypatch.setenv("PHONE_CALL_FUNCTION", "phone-call")
    read_settings.cache_clear()
    ring(stack, monkeypatch)
    released: list[int] = []
    invoke = stack.functions.invoke

    def invoked(**request: Any) -> None:
        released.append(len(stack.stepfunctions.released))
        invoke(**request)

    monkeypatch.setattr(stack.functions, "invoke", invoked)
    call = stack.world.last_call
    stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}))
    assert released == [1]
    asked = [one for one in stack.functions.invoked if one["FunctionName"] == "phone-call"]
    assert [one["InvocationType"] for one in asked] == ["Event"]
    assert SATO not in asked[0]["Payload"]
    for _ in range(2):  # Lambda may bring it twice
        assert stack.call("phone_call", json.loads(asked[0]["Payload"])) is None
    ((to, body),) = stack.world.telephone.texts
    assert (to, body.splitlines()[0]) == (SATO, "You have it: shop alert is down")


def test_a_text_that_cannot_be_asked_for_takes_nothing_back(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_SENDER", "OnCall")
    read_settings.cache_clear()
    ring(stack, monkeypatch)

    def refuses(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": ""}}, "Invoke")

    monkeypatch.setattr(stack.functions, "invoke", refuses)
    answer = stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    assert "You have it" in answer["body"]
    assert stack.world.page().state == "acknowledged"


def test_a_signed_status_releases_the_step(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(stack, monkeypatch)
    call = stack.world.last_call
    answer = stack.call("phone_reply", twilio_event(call, "status", {"CallStatus": "no-answer", "CallSid": call.sid}))
    assert answer["statusCode"] == 200
    assert stack.stepfunctions.released[0][1]["reason"] == "no-answer"


def called(world: World, *, signature: str | None = None, query: str = "") -> dict[str, Any]:
    """Twilio asks what the probe's number answers with."""
    call = Call("CA1", AUTOMATIC, "", Callbacks(BASE, "", "", 0), 25, at(world.clock.now()))
    form = {"From": "+12025550199", "To": AUTOMATIC, "CallStatus": "ringing", "Direction": "inbound"}
    return twilio_event(call, "probe", form, url=f"{BASE}/calls/probe{query}", signature=signature)


def test_the_probes_number_answers_twilio_with_keys(stack: Stack) -> None:
    before = stack.contents
    answer = stack.call("phone_reply", called(stack.world))
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert [verb for verb in twiml.parse(answer["body"]) if isinstance(verb, twiml.Play) and "1" in verb.digits]
    assert stack.contents == before


def test_the_probes_number_answers_nobody_else(stack: Stack) -> None:
    assert stack.call("phone_reply", called(stack.world, signature="forged"))["statusCode"] == 403
    assert stack.call("phone_reply", called(stack.world, query="?policy=default"))["statusCode"] == 403


def test_a_custom_domain_is_what_twilio_has_signed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://calls.example.com/on-call")
    read_settings.cache_clear()
    ring(stack, monkeypatch)
    call = stack.world.last_call
    assert call.callbacks.key.startswith("https://calls.example.com/on-call/calls/key?")
    assert stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}))["statusCode"] == 200


def test_names_and_texts_of_any_kind_are_part_of_what_twilio_has_signed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    form = {"Digits": "3", "CallerName": "佐藤 & Söhne +1", "Empty": "", "ToCity": "NEW YORK"}
    assert stack.call("phone_reply", twilio_event(stack.world.last_call, "key", form))["statusCode"] == 200


FORGERIES: dict[str, Callable[[Call], dict[str, Any]]] = {
    "no signature": lambda c: changed(twilio_event(c, "key", {"Digits": "1"}), headers={}),
    "no headers at all": lambda c: changed(twilio_event(c, "key", {"Digits": "1"}), headers=None),
    "empty signature": lambda c: twilio_event(c, "key", {"Digits": "1"}, signature=""),
    "made-up signature": lambda c: twilio_event(c, "key", {"Digits": "1"}, signature="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "not ASCII": lambda c: twilio_event(c, "key", {"Digits": "1"}, signature="鍵" * 28),
    "another token": lambda c: twilio_event(c, "key", {"Digits": "1"}, token="another"),
    "another form": lambda c: changed(twilio_event(c, "key", {"Digits": "2"}), body="Digits=1"),
    "another call": lambda c: changed(
        twilio_event(c, "key", {"Digits": "1"}),
        queryStringParameters={"policy": "default", "page": c.callbacks.page, "call": "2"},
    ),
    "another path": lambda c: changed(twilio_event(c, "status", {"CallStatus": "busy"}), path="/calls/key"),
    "no body": lambda c: changed(twilio_event(c, "key", {"Digits": "1"}), body=None),
    "no query": lambda c: twilio_event(c, "key", {"Digits": "1"}, url=f"{BASE}/calls/key"),
    "a query of another kind": lambda c: twilio_event(
        c, "key", {"Digits": "1"}, url=f"{BASE}/calls/key?call=x&page=y&policy=z"
    ),
    "a number that is none": lambda c: twilio_event(
        c, "key", {"Digits": "1"}, url=f"{BASE}/calls/key?call=%C2%B2&page=y&policy=z"
    ),
    "tries that are none": lambda c: twilio_event(
        c, "key", {"Digits": "1"}, url=f"{BASE}/calls/key?at=1&call=1&digits=1&page=y&policy=z&seal=x&tries=x"
    ),
    # Whoever may use the account has Twilio sign any address; and Telnyx signs none.
    "an address that is not sealed": lambda c: sealed_otherwise(c, seal=None),
    "one with a seal of nothing": lambda c: sealed_otherwise(c, seal=""),
    "one with the seal of the other callback": lambda c: sealed_otherwise(
        c, seal=dict(parse_qsl(urlsplit(c.callbacks.status).query))["seal"]
    ),
    "one that is sealed with another secret": lambda c: twilio_event(
        c, "key", {"Digits": "1"}, url=replace(c.callbacks, secret="another").key
    ),
    "a call of a later time": lambda c: sealed_otherwise(c, at=str(c.callbacks.placed_at + 1)),
    "a digit more in the address": lambda c: sealed_otherwise(c, digits="1"),
    "no time": lambda c: sealed_otherwise(c, at=None),
    "another responder": lambda c: sealed_otherwise(c, responder="suzuki"),
}


def sealed_otherwise(call: Call, **changes: str | None) -> dict[str, Any]:
    """A key whose address was changed after we had sealed it, and then signed by Twilio."""
    query = dict(parse_qsl(urlsplit(call.callbacks.key).query)) | changes
    kept = {name: value for name, value in query.items() if value is not None}
    return twilio_event(call, "key", {"Digits": "1"}, url=callback_url(BASE, "key", kept))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_twilio_has_not_signed_is_refused_and_writes_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    ring(stack, monkeypatch)
    before = stack.contents
    answer = stack.call("phone_reply", FORGERIES[forgery](stack.world.last_call))
    assert answer["statusCode"] == 403
    assert stack.contents == before
    assert stack.stepfunctions.released == []


@pytest.mark.parametrize(("minutes", "status"), [(9, 200), (11, 403), (60, 403)])
def test_a_key_that_is_sent_again_counts_until_ten_minutes_after_its_call(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, minutes: int, status: int
) -> None:
    ring(stack, monkeypatch)
    call = stack.world.last_call
    stack.call("phone_reply", twilio_event(call, "status", {"CallStatus": "completed", "CallSid": call.sid}))
    stack.world.clock.time += minutes * MINUTE * 1000
    before = stack.contents
    answer = stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}))
    assert answer["statusCode"] == status
    assert (stack.contents == before) == (status == 403)


def test_a_key_of_an_hour_ago_does_not_silence_the_next_page(stack: Stack) -> None:
    run = stack.world.fire()
    first = stack.world.last_call
    while stack.world.page().is_open:
        stack.world.twilio_says(stack.world.last_call, "no-answer")
        stack.world.passes(5 * MINUTE)
    stack.world.passes(60 * MINUTE)
    stack.world.fire()  # nobody took it, so the repeat rings anew
    before = stack.contents
    assert stack.call("phone_reply", twilio_event(first, "key", {"Digits": "1"}))["statusCode"] == 403
    assert stack.contents == before
    assert stack.world.page().state == "open"
    assert stack.world.incident(run).state == "triggered"


def test_during_a_change_of_twilios_token_no_key_is_lost(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(stack, monkeypatch)
    call = stack.world.last_call
    store("TWILIO_AUTH_TOKEN_PARAMETER", f"new {AUTH_TOKEN}")
    monkeypatch.setattr(aws, "_secrets", {})  # a function that has just started
    for token in (AUTH_TOKEN, "new"):
        event = twilio_event(call, "key", {"Digits": "3"}, token=token)
        assert stack.call("phone_reply", event)["statusCode"] == 200


def test_a_key_that_cannot_be_written_is_brought_again_after_a_moment(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    call = stack.world.last_call
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "UpdateItem")

    def fails() -> None:
        raise throttled

    stack.world.dynamo.before("UpdateItem", fails)
    answer = stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}))
    assert "One moment" in answer["body"]
    assert stack.world.page().state == "open"
    again = answer["body"].partition("<Redirect")[2].partition(">")[2].partition("<")[0].replace("&amp;", "&")
    answer = stack.call("phone_reply", twilio_event(call, "key", {}, url=again))
    assert "You have it" in answer["body"]
    assert stack.world.page().state == "acknowledged"


def test_a_key_that_can_never_be_written_says_so_in_the_end(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(stack, monkeypatch)
    call = stack.world.last_call

    def fails() -> None:
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "UpdateItem")

    address, tries, answer = call.callbacks.key, 0, {"body": ""}
    while "Redirect" in answer["body"] or not tries:
        tries += 1
        assert tries < 20
        stack.world.dynamo.before("UpdateItem", fails)
        answer = stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}, url=address))
        address = answer["body"].partition("<Redirect")[2].partition(">")[2].partition("<")[0].replace("&amp;", "&")
    assert "could not write that down" in answer["body"]
    assert tries * 3 > 30  # seconds


def test_a_release_that_fails_after_the_write_still_says_the_truth(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    call = stack.world.last_call
    stack.stepfunctions.refuses = "ThrottlingException"
    for _ in range(2):
        answer = stack.call("phone_reply", twilio_event(call, "key", {"Digits": "1"}))
        assert "You have it" in answer["body"]
    assert stack.world.page().state == "acknowledged"
    assert stack.world.page().is_settled  # the incidents need not wait for the step


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_step_that_no_longer_waits_is_no_fault(stack: Stack, code: str) -> None:
    stack.stepfunctions.refuses = code
    signals.release(stack.stepfunctions, "old", Answer("fail", "busy", "call"))  # type: ignore[arg-type]
    signals.release(stack.stepfunctions, None, Answer("fail", "busy", "call"))  # type: ignore[arg-type]
    stack.stepfunctions.refuses = "ThrottlingException"
    with pytest.raises(ClientError):
        signals.release(stack.stepfunctions, "old", Answer("fail", "busy", "call"))  # type: ignore[arg-type]


# ---------------------------------------------------------------- SlackNotification and Reconcile


def test_slack_notification_posts_and_says_that_it_is_done(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slack_notification._slack", lambda: stack.world.slack)
    decision = ring(stack, monkeypatch)
    answer = stack.call("slack_notification", {"incidents": decision["incidents"]})
    assert answer == {"done": True, "wait_seconds": 0, "incidents": ()}
    assert len(stack.world.slack.posts) == 1


def test_slack_notification_says_when_to_ask_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slack_notification._slack", lambda: stack.world.slack)
    decision = ring(stack, monkeypatch)
    stack.world.slack.faults = [429]
    answer = stack.call("slack_notification", {"incidents": decision["incidents"]})
    assert answer == {"done": False, "wait_seconds": 7, "incidents": tuple(decision["incidents"])}


@pytest.mark.parametrize(
    ("status", "resumed"), [("ABORTED", True), ("TIMED_OUT", True), ("FAILED", False), ("SUCCEEDED", False)]
)
def test_reconcile_resumes_at_once_what_a_stopped_execution_has_left(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, status: str, *, resumed: bool
) -> None:
    ring(stack, monkeypatch)
    event = {"source": "aws.states", "detail": {"status": status, "executionArn": "arn:execution:1"}}
    stack.call("reconcile", event)
    assert [json.loads(one["input"]) for one in stack.stepfunctions.started] == [
        {"source": "reconciler", "policy": "default"}
    ] * resumed
    told = [each["Message"] for each in stack.world.topic.published if "ended as" in each["Message"]]
    assert [f"ended as {status}" in message and "arn:execution:1" in message for message in told] == [True] * (
        status != "SUCCEEDED"
    )


def test_reconcile_on_its_schedule_finds_nothing_while_nothing_is_wrong(stack: Stack) -> None:
    assert stack.call("reconcile", {"source": "aws.events", "detail-type": "Scheduled Event"}) == {"resumed": 0}


def test_how_many_incidents_slack_has_not_heard_of_is_a_metric(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        stack.world.fire(webhook(key=f"group {number}", product="silent"))
    stack.world.clock.time += 60_000
    capsys.readouterr()
    stack.call("reconcile", {})
    assert published(capsys)["SlackBehind"] == 3


def test_the_heartbeat_alarm_is_looked_at_every_five_minutes(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr("reconcile._watch_monitoring", looked.append)
    monkeypatch.setattr("reconcile.runs", count())
    for _ in range(10):
        stack.call("reconcile", {})
    assert len(looked) == 2
    monkeypatch.setenv("HEARTBEAT_ALARM", "")
    read_settings.cache_clear()
    for _ in range(5):
        stack.call("reconcile", {})
    assert len(looked) == 2, "a stack without alarms has none to look at"


def test_the_reconcilers_minute_follows_the_heartbeat_alarm(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
    monkeypatch.setattr("reconcile.LOOK_EVERY", 1)
    stack.call("reconcile", {})
    assert stack.stepfunctions.started == [], "there is no alarm yet"
    cloudwatch.put_metric_alarm(
        AlarmName="on-call-heartbeat-silent",
        Namespace="OnCall",
        MetricName="Heartbeats",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=3,
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName="on-call-heartbeat-silent", StateValue="ALARM", StateReason="silent")
    changed_at = int(cloudwatch.describe_alarms()["MetricAlarms"][0]["StateUpdatedTimestamp"].timestamp() * 1000)
    for seconds, started in ((30, 0), (61, 1)):
        stack.world.clock.time = changed_at + seconds * 1000
        stack.call("reconcile", {})
        assert len(stack.stepfunctions.started) == started
    given = json.loads(stack.stepfunctions.started[0]["input"])
    assert (given["source"], given["state"], given["gateway"]) == ("alarm", "ALARM", GATEWAY)
    decided = stack.call("receive_alerts", {"execution": "arn:execution:1", "input": given})
    assert decided["action"] == "page"
    cloudwatch.delete_alarms(AlarmNames=["on-call-heartbeat-silent"])


def test_the_reconcilers_minute_has_the_user_group_follow_only_when_it_has_to(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.call("reconcile", {})
    assert asked(stack) == [], "no user group is configured"
    monkeypatch.setenv("SLACK_USER_GROUP", "S0ONCALL")
    read_settings.cache_clear()
    for _ in range(2):
        stack.call("reconcile", {})
    assert asked(stack) == [{"user_group": "S0ONCALL"}] * 2
    given: list[Any] = []
    slack = SimpleNamespace(usergroups_users_update=lambda **more: given.append(more))
    monkeypatch.setattr("slack_notification._slack", lambda: slack)
    for _ in range(2):
        stack.call("slack_notification", asked(stack)[0])
    assert given == [{"usergroup": "S0ONCALL", "users": ["U0SATO"]}]
    stack.functions.invoked.clear()
    stack.call("reconcile", {})
    assert asked(stack) == []
