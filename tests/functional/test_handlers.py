"""The functions as AWS calls them: events as the gateway and the state machine send them, signed as Twilio and Slack sign."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from devstack.shared import twiml
from oncall import aws, signals, warm
from oncall.clock import at
from oncall.errors import ConfigurationError, WebhookError
from oncall.phone.provider import Callbacks, callback_url
from oncall.probe import record as probe
from oncall.services import for_function
from oncall.settings import read_settings
from oncall.signals import Answer
from oncall.slack import people
from oncall.slack.messages import ACKNOWLEDGE
from oncall.slack.people import Person
from tests.builders import AUTOMATIC, BASE, CHANNEL, GATEWAY, MINUTE, REGION, SATO, START, Call, World, webhook

# An invocation that has nothing to count is no fault; Powertools warns of it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

AUTH_TOKEN, SIGNING_SECRET = "twilio-auth-token", "slack signing secret"
BEARER, HEARTBEAT = "bearer-token", "token-of-heartbeats"
SECRETS = {
    "BEARER_TOKEN_PARAMETER": BEARER,
    "HEARTBEAT_TOKEN_PARAMETER": HEARTBEAT,
    "TWILIO_ACCOUNT_SID_PARAMETER": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN_PARAMETER": AUTH_TOKEN,
    "SLACK_BOT_TOKEN_PARAMETER": "xoxb-1",
    "SLACK_SIGNING_SECRET_PARAMETER": SIGNING_SECRET,
}
ARN = "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/POST/alerts"
Handler = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True)
class Context:
    """Lambda's context, as far as Powertools and we use it."""

    function_name: str = "on-call"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:on-call"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass
class StepFunctions:
    """Step Functions: keeps what it is told."""

    released: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    refuses: str = ""

    class exceptions:  # noqa: N801  as boto3 has it
        class ExecutionAlreadyExists(Exception):  # noqa: N818
            pass

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803  as boto3 has it
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": ""}}, "SendTaskSuccess")
        self.released.append((taskToken, json.loads(output)))

    def start_execution(self, **request: Any) -> None:
        self.started.append(request)


@dataclass
class Lambda:
    """Lambda: keeps what is invoked."""

    invoked: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, **request: Any) -> None:
        self.invoked.append(request)


@dataclass
class Stack:
    """The functions with their environment, on the world's table."""

    world: World
    stepfunctions: StepFunctions
    functions: Lambda

    def call(self, function: str, event: Mapping[str, Any]) -> Any:
        handler: Handler = import_module(function).lambda_handler
        return handler(json.loads(json.dumps(event)), Context())

    @property
    def contents(self) -> list[Any]:
        """All that is in the table."""
        items = self.world.dynamo.client.scan(TableName=self.world.table.name)["Items"]
        return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


@pytest.fixture
def stack(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    ssm = boto3.client("ssm", region_name=REGION)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, f"/oncall/{name}")
        ssm.put_parameter(Name=f"/oncall/{name}", Value=value, Type="SecureString", Overwrite=True)
    for name, value in {
        "TABLE_NAME": world.table.name,
        "FALLBACK_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:fallback",
        "STATE_MACHINE_ARN": "arn:aws:states:eu-central-1:123456789012:stateMachine:on-call",
        "SLACK_NOTIFICATION_FUNCTION": "slack-notification",
        "SLACK_CHANNEL": CHANNEL,
        "CALLER_NUMBER": "+12025550199",
        "LANGUAGE": "en",
        "HEARTBEAT_ALARM": "on-call-heartbeat-silent",
        "GATEWAY_URL": BASE,
        "POWERTOOLS_SERVICE_NAME": "on-call",
        "POWERTOOLS_METRICS_NAMESPACE": "OnCall",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    made = Stack(world, StepFunctions(), Lambda())
    clients: dict[str, Any] = {
        "dynamodb": world.dynamo.client,
        "ssm": ssm,
        "stepfunctions": made.stepfunctions,
        "lambda": made.functions,
        "sns": world.topic,
        "cloudwatch": boto3.client("cloudwatch", region_name=REGION),
    }
    monkeypatch.setattr(aws, "client", lambda service, *_: clients[service])
    monkeypatch.setattr(aws, "_secrets", {})
    monkeypatch.setattr("oncall.clock.now", world.clock.now)
    read_settings.cache_clear()
    yield made
    read_settings.cache_clear()


def store(name: str, value: str) -> None:
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=f"/oncall/{name}", Value=value, Type="SecureString", Overwrite=True
    )


def published(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The metrics that were written to the log."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    return {
        metric["Name"]: line[metric["Name"]][0]
        for line in lines
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


# ---------------------------------------------------------------- the bearer token


def authorize(stack: Stack, header: str) -> str:
    answer = stack.call("authorize", {"type": "TOKEN", "authorizationToken": header, "methodArn": ARN})
    (statement,) = answer["policyDocument"]["Statement"]
    # The gateway keeps the answer for the token, whatever is asked for next.
    assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/*"
    assert statement["Action"] == "execute-api:Invoke"
    return str(statement["Effect"])


@pytest.mark.parametrize("header", [f"Bearer {BEARER}", f"bearer {BEARER}", f"Bearer  {BEARER} "])
def test_the_right_token_is_let_in(stack: Stack, header: str) -> None:
    assert authorize(stack, header) == "Allow"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {BEARER}",
        BEARER,
        "Bearer bearer-toke",
        "Bearer bearer-token-",
        "Bearer 鍵",
        "Bearer \x00",
    ],
)
def test_any_other_token_is_refused(stack: Stack, header: str) -> None:
    assert authorize(stack, header) == "Deny"


def test_heartbeats_have_a_token_of_their_own(stack: Stack) -> None:
    doors = {ARN: f"Bearer {BEARER}", f"{ARN.rpartition('/')[0]}/heartbeat": f"Bearer {HEARTBEAT}"}
    for door in doors:
        for own, header in doors.items():
            event = {"type": "TOKEN", "authorizationToken": header, "methodArn": door}
            answer = stack.call("authorize", event)
            (statement,) = answer["policyDocument"]["Statement"]
            allowed = door == own
            assert statement["Effect"] == ("Allow" if allowed else "Deny"), (door, header)
            assert answer["principalId"] == ("alertmanager" if allowed else "-"), "nobody, as the access log has it"


def test_a_missing_token_of_heartbeats_keeps_no_alert_out(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_TOKEN_PARAMETER", "/oncall/nothing")
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    assert authorize(stack, "Bearer another") == "Deny"


def test_during_a_change_both_tokens_are_let_in(stack: Stack) -> None:
    store("BEARER_TOKEN_PARAMETER", "old-token new-token")
    assert [authorize(stack, f"Bearer {token}") for token in ("old-token", "new-token", "old-token new-token")] == [
        *("Allow", "Allow", "Deny")
    ]


def test_a_token_that_was_just_changed_is_let_in_at_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    store("BEARER_TOKEN_PARAMETER", "changed")
    later = time.monotonic() + 11
    monkeypatch.setattr("oncall.aws.time.monotonic", lambda: later)
    assert authorize(stack, "Bearer changed") == "Allow"
    assert authorize(stack, f"Bearer {BEARER}") == "Deny"


class SsmAway:
    def get_parameters(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParameters")


def test_a_known_token_is_let_in_while_ssm_is_away_and_another_one_is_asked_to_come_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    monkeypatch.setattr(aws, "client", lambda *_: SsmAway())
    later = time.monotonic() + aws.SECRET_SECONDS + 1
    monkeypatch.setattr("oncall.aws.time.monotonic", lambda: later)
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    with pytest.raises(ClientError):  # it may be the new one: a refusal would lose a page
        authorize(stack, "Bearer changed")


def test_a_secret_that_cannot_be_read_is_an_error_and_no_refusal(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "client", lambda *_: SsmAway())
    with pytest.raises(ClientError):
        authorize(stack, f"Bearer {BEARER}")


@pytest.mark.parametrize("missing", ["the parameter", "its value"])
def test_a_missing_secret_says_what_to_store(stack: Stack, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    if missing == "the parameter":
        monkeypatch.setenv("BEARER_TOKEN_PARAMETER", "/oncall/nothing")
    else:
        store("BEARER_TOKEN_PARAMETER", " ")
    with pytest.raises(ConfigurationError, match="/oncall/"):
        authorize(stack, f"Bearer {BEARER}")


# ---------------------------------------------------------------- ReceiveAlerts and PhoneCall


def execution_input(hook: Any, **more: Any) -> dict[str, Any]:
    given = {"source": "alertmanager", "received_at": START, "gateway": GATEWAY, "cut": None, "webhook": hook, **more}
    return {"execution": "arn:execution:1", "input": given}


def test_receive_alerts_hands_on_what_the_state_machine_branches_on(stack: Stack) -> None:
    decision = stack.call("receive_alerts", execution_input(webhook()))
    assert decision.keys() == {"action", "severity", "incidents", "page", "responders"}
    assert (decision["action"], decision["severity"]) == ("page", "critical")
    assert len(json.dumps(decision)) < 262_144


def test_receive_alerts_names_what_it_cannot_read(stack: Stack) -> None:
    with pytest.raises(WebhookError, match="no groupKey"):
        stack.call("receive_alerts", execution_input({"alerts": [{}]}))


def ring(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A webhook, and the first entry of PhoneCall."""
    monkeypatch.setattr("phone_call.telephone", lambda *_, **__: stack.world.telephone)
    decision: dict[str, Any] = stack.call("receive_alerts", execution_input(webhook()))
    enter(stack, decision, "task-token")
    return decision


def enter(stack: Stack, decision: Mapping[str, Any], token: str) -> None:
    event = {
        "token": token,
        "execution": "arn:execution:1",
        "page": decision["page"],
        "responders": decision["responders"],
    }
    stack.call("phone_call", event)


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


def twilio_event(
    call: Call,
    kind: str,
    form: Mapping[str, str],
    *,
    url: str = "",
    signature: str | None = None,
    token: str = AUTH_TOKEN,
) -> dict[str, Any]:
    """A callback as Twilio signs it and the gateway hands it on."""
    address = url or getattr(call.callbacks, kind)
    written = {"AccountSid": "AC0", "CallSid": call.sid, **form}
    signed = RequestValidator(token).compute_signature(address, written) if signature is None else signature
    return {
        "path": f"/calls/{kind}",
        "httpMethod": "POST",
        "headers": {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"},
        "queryStringParameters": dict(parse_qsl(urlsplit(address).query)) or None,
        "requestContext": {"domainName": urlsplit(BASE).netloc, "stage": "prod", "path": f"/prod/calls/{kind}"},
        "body": urlencode(written),
        "isBase64Encoded": False,
    }


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
    assert answer["statusCode"] == 204
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


def changed(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return event | more


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


# ---------------------------------------------------------------- SlackReply


def button(incident: str, action: str = ACKNOWLEDGE) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": "U0SATO", "name": "sato.yui"},
        "actions": [{"action_id": action, "value": incident, "type": "button"}],
    }


def slack_event(
    payload: Mapping[str, Any] | None,
    *,
    body: str = "",
    timestamp: str | None = None,
    signature: str | None = None,
    secret: str = SIGNING_SECRET,
    path: str = "actions",
) -> dict[str, Any]:
    """A request as Slack signs it and the gateway hands it on."""
    written = body or urlencode({"payload": json.dumps(payload)})
    moment = str(int(time.time())) if timestamp is None else timestamp
    signed = (
        SignatureVerifier(secret).generate_signature(timestamp=moment, body=written) if signature is None else signature
    )
    return {
        "path": f"/slack/{path}",
        "httpMethod": "POST",
        "headers": {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": signed},
        "queryStringParameters": None,
        "requestContext": {"domainName": urlsplit(BASE).netloc, "stage": "prod"},
        "body": written,
        "isBase64Encoded": False,
    }


def test_the_signed_button_takes_the_incident(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    answer = stack.call("slack_reply", slack_event(button(decision["incidents"][0])))
    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert stack.world.page().acknowledged_by == "Sato"
    assert [token for token, _ in stack.stepfunctions.released] == ["task-token"]


def test_the_button_that_comes_too_late_has_slack_shown_what_is_true(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ring(stack, monkeypatch)
    stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    stack.functions.invoked.clear()
    assert stack.call("slack_reply", slack_event(button(decision["incidents"][0])))["statusCode"] == 200
    asked = [json.loads(asked["Payload"]) for asked in stack.functions.invoked]
    assert asked
    assert all(each == {"incidents": decision["incidents"]} for each in asked)


OURS = {"team": {"id": "T0OURS"}, "user": {"id": "U0SATO", "team_id": "T0OURS"}, "api_app_id": "A0OURS"}


@pytest.mark.parametrize(
    "foreign",
    [
        {"api_app_id": "A0EVIL"},
        {"team": {"id": "T0EVIL"}},
        {"user": {"id": "U0SATO", "team_id": "T0EVIL"}},
    ],
)
def test_a_signed_press_of_another_organisation_or_app_changes_nothing_and_is_told_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, foreign: dict[str, Any]
) -> None:
    monkeypatch.setenv("SLACK_WORKSPACE", "T0OURS A0OURS")
    read_settings.cache_clear()
    decision = ring(stack, monkeypatch)
    before = stack.contents
    stack.functions.invoked.clear()
    url = {"response_url": "https://hooks.slack.com/actions/T0/1/x"}
    pressed = {**button(decision["incidents"][0], "resolve"), **OURS, **foreign, **url}
    assert stack.call("slack_reply", slack_event(pressed))["statusCode"] == 200
    assert stack.contents == before
    assert [name for wish in asked(stack) for name in wish] == ["tell"]
    stack.call("slack_reply", slack_event({**button(decision["incidents"][0]), **OURS}))
    assert stack.world.page().acknowledged_by == "Sato"


def test_headers_in_lower_case_are_as_good(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    event = slack_event(button(decision["incidents"][0]))
    event["headers"] = {name.lower(): value for name, value in event["headers"].items()}
    assert stack.call("slack_reply", event)["statusCode"] == 200


@pytest.mark.parametrize(
    "payload",
    [
        button("x", action="open"),
        {"type": "view_submission"},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": []},
        {},
    ],
)
def test_an_action_that_means_nothing_is_taken_and_changes_nothing(stack: Stack, payload: dict[str, Any]) -> None:
    before = stack.contents
    assert stack.call("slack_reply", slack_event(payload))["statusCode"] == 200
    assert stack.contents == before


def old(seconds: int) -> str:
    return str(int(time.time()) - seconds)


SLACK_FORGERIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no headers": lambda p: changed(slack_event(p), headers={}),
    "no headers at all": lambda p: changed(slack_event(p), headers=None),
    "made-up signature": lambda p: slack_event(p, signature="v0=" + "0" * 64),
    "empty signature": lambda p: slack_event(p, signature=""),
    "not ASCII": lambda p: slack_event(p, signature="v0=" + "鍵" * 64),
    "another secret": lambda p: slack_event(p, secret="another"),
    "another body": lambda p: changed(slack_event(p), body=urlencode({"payload": "{}"})),
    "stale": lambda p: slack_event(p, timestamp=old(301)),
    "from the future": lambda p: slack_event(p, timestamp=old(-302)),
    "a timestamp that is no number": lambda p: slack_event(p, timestamp="yesterday", signature="v0=00"),
    "a timestamp in other digits": lambda p: slack_event(p, timestamp="١٧٦٤٠٠٠٠٠٠", signature="v0=00"),
    "a superscript": lambda p: slack_event(p, timestamp="²", signature="v0=00"),
    "a negative timestamp": lambda p: slack_event(p, timestamp="-5", signature="v0=00"),
    "no timestamp": lambda p: slack_event(p, timestamp="", signature="v0=00"),
    "an endless timestamp": lambda p: slack_event(p, timestamp="1" * 5000, signature="v0=00"),
    "no body": lambda p: changed(slack_event(p), body=None),
}


@pytest.mark.parametrize("forgery", SLACK_FORGERIES)
def test_what_slack_has_not_signed_is_refused_and_writes_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    decision = ring(stack, monkeypatch)
    before = stack.contents
    stack.functions.invoked.clear()
    for path in ("actions", "commands", "events"):
        event = SLACK_FORGERIES[forgery](button(decision["incidents"][0]))
        assert stack.call("slack_reply", {**event, "path": f"/slack/{path}"})["statusCode"] == 403
    assert stack.contents == before
    assert not stack.functions.invoked
    assert not stack.stepfunctions.started


def test_a_secret_that_was_just_changed_counts_at_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    stack.call("slack_reply", slack_event(button("x")))
    store("SLACK_SIGNING_SECRET_PARAMETER", "changed")
    later = time.monotonic() + 11
    monkeypatch.setattr("oncall.aws.time.monotonic", lambda: later)
    assert (
        stack.call("slack_reply", slack_event(button(decision["incidents"][0]), secret="changed"))["statusCode"] == 200
    )
    assert stack.world.page().state == "acknowledged"


def asked(stack: Stack) -> list[Any]:
    """What the functions were asked for beside."""
    return [json.loads(request["Payload"]) for request in stack.functions.invoked]


def test_whoever_presses_a_button_that_is_out_of_date_is_told_beside_us(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ring(stack, monkeypatch)
    stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    stack.functions.invoked.clear()
    url = "https://hooks.slack.com/actions/T0/1/x"
    people.keep(
        stack.world.table, "U0GUEST", Person("member", frozenset({CHANNEL})), is_sure=True, now=stack.world.clock.now()
    )
    late = {**button(decision["incidents"][0]), "user": {"id": "U0GUEST", "name": "guest"}, "response_url": url}
    assert stack.call("slack_reply", slack_event(late)) == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain"},
        "body": "",
    }
    *refreshed, told = asked(stack)
    assert {"incidents": decision["incidents"]} in refreshed
    assert told["tell"]["response_url"] == url
    assert told["tell"]["text"].startswith("Sato has it already")


def test_a_press_of_a_message_that_is_older_than_the_last_skip_skips_nobody(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ring(stack, monkeypatch)
    seen = stack.world.clock.now()
    monkeypatch.setattr("oncall.clock.now", stack.world.clock.now)
    pressed = button(decision["incidents"][0], "ring_next")
    pressed["actions"][0]["block_id"] = f"{decision['incidents'][0]}/{seen}"
    stack.world.clock.time += 5000
    stack.call("slack_reply", slack_event(pressed))
    page = stack.world.page()
    assert [call.skip and call.skip.who for call in page.calls] == ["Sato"]
    assert [answer["reason"] for _, answer in stack.stepfunctions.released] == ["Sato asked for the next person"]
    stack.call("slack_reply", slack_event({**pressed, "response_url": "https://hooks.slack.com/actions/T0/1/x"}))
    assert stack.world.page() == page
    assert "just asked" in asked(stack)[-1]["tell"]["text"]


def test_a_press_in_the_home_shows_the_home_anew(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    stack.functions.invoked.clear()
    pressed = {**button(decision["incidents"][0]), "view": {"type": "home"}, "container": {"type": "view"}}
    stack.call("slack_reply", slack_event(pressed))
    assert asked(stack)[-1] == {"home": {"user": "U0SATO", "notice": ""}}
    pressed["actions"] = [{"action_id": "take_schedule/2", "value": "gone", "type": "button"}]
    stack.call("slack_reply", slack_event(pressed))
    assert "no schedule `gone`" in asked(stack)[-1]["home"]["notice"]


# The command and the home.


def command(text: str, trigger: str = "13345224609.738474920.8088930838d88f008e0", **more: str) -> dict[str, Any]:
    form = {
        "command": "/oncall",
        "text": text,
        "user_id": "U0SATO",
        "user_name": "sato.yui",
        "team_domain": "example",
        "trigger_id": trigger,
        "response_url": "https://hooks.slack.com/commands/T0/1/x",
        **more,
    }
    return slack_event(None, body=urlencode(form), path="commands")


def test_the_command_is_answered_to_the_one_who_typed_it(stack: Stack) -> None:
    answer = stack.call("slack_reply", command("who"))
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"].startswith("application/json")
    said = json.loads(answer["body"])
    assert said["response_type"] == "ephemeral"
    assert "Rings Sato" in said["text"]


def test_the_command_that_pages_starts_one_execution_however_often_it_comes(stack: Stack) -> None:
    for _ in range(2):
        said = json.loads(stack.call("slack_reply", command("page shop is down"))["body"])["text"]
        assert said.startswith(":telephone_receiver: Sato")
    names = {started["name"] for started in stack.stepfunctions.started}
    assert len(names) == 1, "and Step Functions takes a name once"
    assert re.fullmatch("[0-9A-Za-z_-]{1,80}", names.pop())
    given = json.loads(stack.stepfunctions.started[0]["input"])
    assert (given["source"], given["text"], given["gateway"]) == ("command", "is down", GATEWAY)


def test_what_is_no_command_is_refused_and_a_look_at_the_certificate_is_not(stack: Stack) -> None:
    assert stack.call("slack_reply", command("page shop down", trigger=""))["statusCode"] == 400
    check = slack_event(None, body=urlencode({"ssl_check": "1", "token": "x"}), path="commands")
    assert stack.call("slack_reply", check)["statusCode"] == 200
    assert not stack.stepfunctions.started


def slack_happening(body: Any) -> dict[str, Any]:
    written = body if isinstance(body, str) else json.dumps(body)
    return slack_event(None, body=written, path="events")


def test_slack_gets_its_challenge_back(stack: Stack) -> None:
    answer = stack.call("slack_reply", slack_happening({"type": "url_verification", "challenge": "3eZbrw1a"}))
    assert (answer["statusCode"], answer["body"]) == (200, "3eZbrw1a")


def test_an_opened_home_is_shown_beside_us_each_time_that_slack_tells_of_it(stack: Stack) -> None:
    opened = {"type": "app_home_opened", "user": "U0SATO", "tab": "home"}
    event = slack_happening({"type": "event_callback", "event_id": "Ev1", "event": opened})
    for retry in ({}, {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"}):
        event["headers"] |= retry
        assert stack.call("slack_reply", event)["statusCode"] == 200
    assert asked(stack) == [{"home": {"user": "U0SATO"}}] * 2


def test_when_the_home_cannot_be_asked_for_slack_is_to_tell_again(stack: Stack) -> None:
    def invoke(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": ""}}, "Invoke")

    stack.functions.invoke = invoke  # type: ignore[method-assign]  # Lambda has no room
    opened = {"type": "app_home_opened", "user": "U0SATO", "tab": "home"}
    with pytest.raises(ClientError):
        stack.call("slack_reply", slack_happening({"type": "event_callback", "event": opened}))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "event_callback", "event": {"type": "app_home_opened", "user": "U1", "tab": "messages"}}, 200),
        ({"type": "event_callback", "event": {"type": "message"}}, 200),
        ({"type": "event_callback"}, 200),
        ({}, 200),
        ("[]", 400),
        ("no json", 400),
    ],
)
def test_other_events_do_nothing(stack: Stack, body: Any, status: int) -> None:
    assert stack.call("slack_reply", slack_happening(body))["statusCode"] == status
    assert asked(stack) == []


def test_the_way_of_a_button_and_of_the_command_loads_no_slack_library() -> None:
    """A cold start has three seconds for everything."""
    code = "import sys, slack_reply; print([name for name in sys.modules if name.startswith(('slack_sdk', 'twilio'))])"
    functions = Path(__file__).parents[2] / "functions"
    ran = subprocess.run(  # noqa: S603  this very Python
        [sys.executable, "-c", code],
        cwd=functions,
        env={**os.environ, "POWERTOOLS_TRACE_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


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


def test_the_reconcilers_minute_follows_the_heartbeat_alarm(stack: Stack) -> None:
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
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


# ---------------------------------------------------------------- Probe


def test_the_probe_publishes_how_long_an_alert_takes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = stack.world
    sent: list[tuple[str, str]] = []

    def post(url: str, token: str, hook: Any) -> str:
        sent.append((url, token))
        return world.fire(hook).name

    def sleep(seconds: float) -> None:
        world.passes(seconds)
        for call in world.telephone.ringing:
            world.hears(call, "1")
            world.twilio_says(call, "completed")

    monkeypatch.setenv("GATEWAY_URL", BASE)
    monkeypatch.setattr("oncall.probe.run.post", post)
    monkeypatch.setattr("probe.for_function", lambda: replace(for_function(), sleep=sleep))
    answer = stack.call("probe", {"id": "event-1", "source": "aws.events"})
    assert (answer["tried"], answer["problem"], world.rung) == (True, "", [AUTOMATIC])
    assert sent == [(f"{BASE}/alerts", BEARER)]
    assert stack.functions.invoked, "Slack is asked to show it"
    counted = published(capsys)
    assert counted.keys() == {"ProbeFailures", "ProbeSecondsToRing", "ProbeSecondsToAcknowledge"}
    assert counted["ProbeFailures"] == 0
    assert counted["ProbeSecondsToAcknowledge"] == answer["hops"]["acknowledged"] / 1000
    assert stack.call("probe", {"id": "event-1", "source": "aws.events"}) == {"tried": False}


def test_a_probe_that_fails_is_counted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store("BEARER_TOKEN_PARAMETER", " ")
    assert "is empty" in stack.call("probe", {"run": "run-1"})["problem"]
    assert published(capsys) == {"ProbeFailures": 1}
    monkeypatch.setattr(stack.world.dynamo.client, "get_item", SsmAway().get_parameters)
    with pytest.raises(ClientError):
        stack.call("probe", {"run": "run-2"})
    assert published(capsys) == {"ProbeFailures": 1}


def test_what_the_probe_does_counts_as_no_page_and_no_alert(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("PROBE_NUMBER", AUTOMATIC)
    read_settings.cache_clear()
    monkeypatch.setattr("phone_call.telephone", lambda *_, **__: stack.world.telephone)
    probe.begin(stack.world.table, "run-1", owner="request", now=START)
    decision = stack.call("receive_alerts", execution_input(probe.webhook("run-1", "firing", now=START)))
    enter(stack, decision, "task-token")
    stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    enter(stack, decision, "another-token")
    assert (stack.world.rung, stack.stepfunctions.released[-1][1]["result"]) == ([AUTOMATIC], "success")
    assert published(capsys) == {}
    assert "acknowledged" not in caplog.messages


# ---------------------------------------------------------------- pings


class Untouched:
    """A client that may be made, and asked for nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a ping has used {name}")


@pytest.mark.parametrize(
    ("function", "clients"),
    [
        ("authorize", {"ssm"}),
        ("receive_alerts", {"dynamodb"}),
        ("phone_call", {"dynamodb", "ssm"}),
        ("phone_reply", {"dynamodb", "ssm"}),
        ("slack_notification", {"dynamodb", "ssm"}),
        ("slack_reply", {"dynamodb", "ssm"}),
    ],
)
def test_a_ping_makes_the_clients_and_asks_nobody(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, function: str, clients: set[str]
) -> None:
    made: set[str] = set()

    def client(service: str, *_: Any) -> Untouched:
        made.add(service)
        return Untouched()

    monkeypatch.setattr(aws, "client", client)
    assert stack.call(function, warm.PING) is None
    assert made == clients


def test_the_reconcilers_minute_pings_what_is_kept_warm(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT_WARM", "authorize receive-alerts")
    stack.call("reconcile", {})
    assert [(one["FunctionName"], json.loads(one["Payload"])) for one in stack.functions.invoked] == [
        *(("authorize", warm.PING), ("receive-alerts", warm.PING))
    ]
