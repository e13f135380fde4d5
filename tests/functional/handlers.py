"""The functions as AWS calls them: their environment, and events signed as Twilio and Slack sign."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from oncall import aws
from oncall.settings import read_settings
from oncall.slack.messages import ACKNOWLEDGE
from tests.builders import BASE, CHANNEL, GATEWAY, REGION, START, Call, World, webhook

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


@pytest.fixture(scope="module")
def moto_clients(dynamodb: Any) -> dict[str, Any]:  # noqa: ARG001  moto has begun
    """Clients, each of which takes longer to make than most tests."""
    return {name: boto3.client(name, region_name=REGION) for name in ("ssm", "cloudwatch")}


@pytest.fixture
def stack(world: World, moto_clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    ssm = moto_clients["ssm"]
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
        **moto_clients,
        "stepfunctions": made.stepfunctions,
        "lambda": made.functions,
        "sns": world.topic,
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


class SsmAway:
    def get_parameters(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParameters")


def execution_input(hook: Any, **more: Any) -> dict[str, Any]:
    given = {"source": "alertmanager", "received_at": START, "gateway": GATEWAY, "cut": None, "webhook": hook, **more}
    return {"execution": "arn:execution:1", "input": given}


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


def asked(stack: Stack) -> list[Any]:
    """What the functions were asked for beside."""
    return [json.loads(request["Payload"]) for request in stack.functions.invoked]


def changed(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return event | more


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


def button(incident: str, action: str = ACKNOWLEDGE) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": "U0SATO", "name": "sato.yui"},
        "actions": [{"action_id": action, "value": incident, "type": "button"}],
    }


def authorize(stack: Stack, header: str) -> str:
    answer = stack.call("authorize", {"type": "TOKEN", "authorizationToken": header, "methodArn": ARN})
    (statement,) = answer["policyDocument"]["Statement"]
    # The gateway keeps the answer for the token, whatever is asked for next.
    assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/*"
    assert statement["Action"] == "execute-api:Invoke"
    return str(statement["Effect"])
