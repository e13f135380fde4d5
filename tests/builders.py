"""What the tests of the domain are made of: a table as the stack has it, a clock, a telephone, Slack, and a world of them.

The world plays the state machine's loop around PhoneCall in memory: releases come after the step that caused them, waits
and time limits pass when the clock is moved.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.client import HTTPException
from itertools import count
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.types import TypeSerializer
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ParamValidationError, ReadTimeoutError
from botocore.validate import ParamValidator
from moto.core.request import Request
from moto.dynamodb.responses import DynamoHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from devstack.aws import template
from devstack.aws.dynamodb_values import is_written
from devstack.slack import blocks as block_kit
from oncall import actions, incidents, intake, pages, reconciler
from oncall.alerts.alertmanager import read_webhook
from oncall.clock import at
from oncall.fallback import Fallback
from oncall.incidents import Incident
from oncall.pages import Handed, Page
from oncall.phone import keys, refusals, sms, step, turn
from oncall.phone.provider import Callbacks, NumberRefusedError, UnavailableError
from oncall.phone.twilio import NotTextedError, Telephone
from oncall.roster import Language, Responder
from oncall.services import Services
from oncall.settings import Settings
from oncall.signals import Answer
from oncall.slack import channel as slack_channel
from oncall.slack.channel import Progress
from oncall.table import Table, Update
from oncall.wire import Peer

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_dynamodb import DynamoDBClient

    from oncall.phone.provider import Provider

REGION = "eu-central-1"
BASE = "https://abc123.execute-api.eu-central-1.amazonaws.com/prod"
GATEWAY = BASE.removeprefix("https://")
CHANNEL = "C012AB3CD"
START = int(datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp() * 1000)  # a Monday night
MINUTE = 60
DATABASE = "database"  # the key of another group

SATO, SUZUKI, TAKAHASHI = "+12025550100", "+12025550101", "+12025550102"
AUTOMATIC = "+12025550198"  # the probe's
ROSTER: dict[str, Any] = {
    "RESPONDER#sato": {"name": "Sato", "phone": SATO, "slack_user": "U0SATO", "position": 1},
    "RESPONDER#suzuki": {"name": "Suzuki", "phone": SUZUKI, "position": 2},
    "RESPONDER#takahashi": {"name": "Takahashi", "phone": TAKAHASHI, "position": 3},
    "SCHEDULE#everyone": {"members": ["sato"]},  # every round begins with Sato
    "POLICY#default": {"rounds": 2},
    "POLICY#other": {"rounds": 1},
    "PRODUCT#silent": {"call": False},
    "PRODUCT#elsewhere": {"policy": "other"},
}

JSON = "application/x-amz-json-1.0"

Json = dict[str, Any]
_TABLES = count(1)


# ---------------------------------------------------------------- what Alertmanager posts


def alert(name: str = "URL Alert(critical)", *, severity: str | None = "critical", **more: Any) -> Json:
    """An alert as Alertmanager writes it; `labels` and `annotations` are added to, other fields replaced."""
    labels = {"alertname": name, "instance": "https://shop.example.com/"} | more.pop("labels", {})
    if severity is not None:
        labels["severity"] = severity
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"{name} is down"} | more.pop("annotations", {}),
        "startsAt": "2026-11-23T02:59:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph?g0.expr=probe_success&g0.tab=1",
        "fingerprint": f"fingerprint of {name}",
        **more,
    }


def webhook(*alerts: Json, key: str = "shop", status: str = "firing", product: str = "", **more: Any) -> Json:
    """A webhook as Alertmanager posts it. Without alerts it has one critical alert, named after the key."""
    written = list(alerts) or [alert(f"{key} alert")]
    if status == "resolved":
        written = [one | {"status": "resolved", "endsAt": "2026-11-23T03:10:00Z"} for one in written]
    return {
        "version": "4",
        "groupKey": f'{{}}/{{severity="critical"}}:{{alertname="{key}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "on-call",
        "groupLabels": {"alertname": key},
        "commonLabels": {"product": product} if product else {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com",
        "alerts": written,
        **more,
    }


# ---------------------------------------------------------------- the table


class DiedError(Exception):
    """The function's process is gone: it reaches nothing any more."""


class Dynamo:
    """A client of moto's DynamoDB that counts its requests, and lets something happen between two of them.

    One request at a time: moto's tables are no safer than any other object when threads share them. botocore checks what is
    asked; moto answers it without the HTTP between the two, which takes longer than both.
    """

    def __init__(self, client: "DynamoDBClient") -> None:
        self.client = client
        self.requests: list[str] = []
        self._lock = RLock()
        self._send_whole = BaseClient._make_api_call.__get__(client)  # type: ignore[attr-defined]  # every operation goes through it
        self._is_whole = False
        self._meanwhile: list[tuple[str, Callable[[], object]]] = []
        self._dies_at: tuple[int, bool] | None = None
        self._dead = False
        self._conflicts: list[bool] = []  # of the next updates
        self.client._make_api_call = self._request  # type: ignore[attr-defined]

    def before(self, operation: str, happens: Callable[[], object]) -> None:
        """Has something happen right before the next request of that kind (`UpdateItem`, ...)."""
        self._meanwhile.append((operation, happens))

    @contextmanager
    def dies(self, at: int, *, answered: bool) -> Iterator[None]:
        """The process dies at its request number `at` (from 0): before it is sent, or before it is answered."""
        self._dies_at = (len(self.requests) + at, answered)
        try:
            with suppress(DiedError):
                yield
        finally:
            self._dies_at, self._dead = None, False

    @contextmanager
    def loses(self, at: int, *, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
        """The answer to the update number `at` (from 0) is lost: it is written, and botocore sends it again."""
        updates = count()

        def lose(request: "AWSPreparedRequest", event_name: str, **_: Any) -> None:
            if event_name.endswith(".UpdateItem") and next(updates) == at:
                meanwhile()
                raise ReadTimeoutError(endpoint_url=request.url)

        events = self.client.meta.events
        events.register_last("before-send", lose)  # moto has answered by then
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False
            events.unregister("before-send", lose)

    def conflicts(self, at: int = 0, *, times: int = 1) -> None:
        """From the update number `at` (from 0) on, so many meet an item that is in somebody's transaction."""
        self._conflicts = [False] * at + [True] * times

    def _request(self, operation: str, arguments: Json) -> Any:
        with self._lock:
            if self._dead:
                raise DiedError
            if operation == "UpdateItem" and self._conflicts and self._conflicts.pop(0):
                self.requests.append(operation)
                raise ClientError({"Error": {"Code": "TransactionConflictException"}}, operation)
            for number, (awaited, happens) in enumerate(self._meanwhile):
                if awaited == operation:
                    del self._meanwhile[number]
                    happens()
                    break
            dies = self._dies_at is not None and len(self.requests) == self._dies_at[0]
            self.requests.append(operation)
            if dies and not (self._dies_at and self._dies_at[1]):
                self._dead = True
                raise DiedError
            answer = (self._send_whole if self._is_whole else self._send)(operation, arguments)
            if dies:
                self._dead = True
                raise DiedError
            return answer

    def _send(self, operation: str, arguments: Json) -> Any:
        shape: Any = self.client.meta.service_model.operation_model(operation).input_shape
        report = Validator().validate(arguments, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        handler: Any = copy.copy(_handler())
        handler.headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": JSON}
        handler.params, handler.response_headers = json.loads(json.dumps(arguments)), {}
        status, _, text = handler.call_action()
        said = json.loads(text) | {"ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0}}
        if status == 200:
            return said
        code = said["__type"].rpartition("#")[2]
        error = {"Code": code, "Message": said.get("message") or said.get("Message", "")}
        kind: Any = self.client.exceptions.from_code(code)
        raise kind({"Error": error, **said}, operation)


class Validator(ParamValidator):
    """botocore's, but passes at once over values that are plainly right: most of its time goes there."""

    def _validate_structure(self, params: Any, shape: Any, errors: Any, name: str) -> None:
        if shape.name != "AttributeValue" or not is_written(params):
            super()._validate_structure(params, shape, errors, name)  # type: ignore[misc]  # its types leave that out


@cache
def _handler() -> DynamoHandler:
    """Of moto, and ready for any request: to make it so takes a fifth of one."""
    url = f"https://dynamodb.{REGION}.amazonaws.com/"
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": JSON}
    handler = DynamoHandler()
    handler.setup_class(Request.from_primitives("POST", url, headers, b"{}"))
    handler.querystring = {}
    return handler


def create_table(client: "DynamoDBClient", name: str) -> None:
    """The table as template.yaml declares it."""
    wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    client.create_table(TableName=name, **{key: _declared()[key] for key in wanted})


@cache
def _declared() -> Json:
    text = (Path(__file__).parents[1] / "template.yaml").read_text()
    properties: Json = template.parse(text)["Resources"]["Table"]["Properties"]
    return properties


def write_roster(client: "DynamoDBClient", name: str, parts: Mapping[str, Any]) -> None:
    """Writes the parts of a roster (sort key: attributes); a part that is None is taken out."""
    serialize = TypeSerializer().serialize
    for key, part in parts.items():
        if part is None:
            client.delete_item(TableName=name, Key={"pk": {"S": "ROSTER"}, "sk": {"S": key}})
            continue
        item = {"pk": "ROSTER", "sk": key, "id": key.partition("#")[2], **part}
        client.put_item(TableName=name, Item={attribute: serialize(value) for attribute, value in item.items()})


# ---------------------------------------------------------------- the people and their machines


@dataclass
class Clock:
    """Epoch milliseconds, moved by hand. Whoever sleeps moves it too."""

    time: int = START

    def now(self) -> int:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += int(seconds * 1000)


@dataclass
class Call:
    """A call as Twilio knows it."""

    sid: str
    to: str
    twiml: str
    callbacks: Callbacks
    ring_seconds: int
    date_created: datetime
    status: str = "queued"
    goodbye: str = ""  # what was said to somebody who was listening when the call was ended


@dataclass
class FakeTelephone:
    """Twilio: takes calls and lets them ring until the test says more. Has the shape of `Telephone`."""

    clock: Clock
    label: str = "Twilio"
    is_late: bool = False  # takes calls without telling their ids, and knows none before it rings
    calls: list[Call] = field(default_factory=list)
    is_away: bool = False  # takes no request
    loses_answers: int = 0  # takes so many calls and does not say so
    refuses: set[str] = field(default_factory=set)
    refusal: tuple[int, int] | None = None  # answers each call with this status and code
    while_refused: Callable[[], object] = lambda: None  # happens when a call is refused so
    while_asked: list[Callable[[Call], object]] = field(default_factory=list)  # happen while a call is asked for
    text_sender: str = ""
    texts: list[tuple[str, str]] = field(default_factory=list)  # to whom, and what
    refuses_texts: bool = False
    while_fetched: list[Callable[[], object]] = field(default_factory=list)  # happen while a call is looked up
    while_texted: list[Callable[[], object]] = field(default_factory=list)  # happen while a text is sent

    def call(self, number: str, document: str, *, callbacks: Callbacks, ring_seconds: int) -> str:
        self._reach()
        if number in self.refuses:
            raise NumberRefusedError(f"{self.label} refuses the number (error 21211)", code=21211, remedy="correct")
        if self.refusal:
            status, code = self.refusal
            self.while_refused()
            remedy = refusals.remedy(code, number)
            if (blame := refusals.about(status, code)) == "number":
                raise NumberRefusedError(f"{self.label} refuses the number (error {code})", code=code, remedy=remedy)
            said = f"{self.label} answered {status} (error {code})"
            raise UnavailableError(said, is_refusal=True, code=code, remedy=remedy, is_unclear=blame == "unclear")
        assert len(document) <= 4000
        sid = f"{'v3:' if self.is_late else 'CA'}{len(self.calls):032x}"
        created = at(self.clock.now()).replace(microsecond=0)
        call = Call(sid, number, document, callbacks, ring_seconds, created)
        self.calls.append(call)
        while self.while_asked:
            self.while_asked.pop(0)(call)
        if self.loses_answers:
            self.loses_answers -= 1
            raise UnavailableError(f"{self.label} did not answer (ReadTimeout)")
        return "" if self.is_late else sid

    def text(self, number: str, body: str) -> None:
        assert len(body) <= 1600
        while self.while_texted:
            self.while_texted.pop(0)()
        if self.is_away or self.refuses_texts:
            raise NotTextedError("Twilio answered 400 (error 21606)", code=21606)
        self.texts.append((number, body))

    def find(self, number: str, *, since: int, besides: Sequence[str]) -> Call | None:
        self._reach()
        earliest = at(since // 1000 * 1000) - timedelta(seconds=1)
        found = (
            c
            for c in reversed(self.calls)
            if c.to == number and self._knows(c) and c.date_created >= earliest and c.sid not in besides
        )
        return next(found, None)

    def fetch(self, sid: str) -> Call:
        self._reach()
        while self.while_fetched:
            self.while_fetched.pop(0)()
        return next(call for call in self.calls if call.sid == sid)

    def end(self, sid: str, goodbye: str) -> None:
        self._reach()
        call = self.fetch(sid)
        if call.status == "in-progress":
            call.goodbye, call.status = goodbye, "completed"
        elif call.status in ("queued", "initiated", "ringing"):
            call.status = "canceled"

    def cancel(self, sid: str) -> bool:
        self._reach()
        call = self.fetch(sid)
        if call.status in ("queued", "initiated", "ringing"):
            call.status = "canceled"
        return call.status != "in-progress"

    def check(self) -> None:
        self._reach()

    def _knows(self, call: Call) -> bool:
        return not self.is_late or call.status not in ("queued", "initiated")

    def _reach(self) -> None:
        if self.is_away:
            raise UnavailableError(f"{self.label} answered 503 (error 20503)", is_refusal=True, code=20503)

    @property
    def ringing(self) -> list[Call]:
        """The calls that ring or are listened to."""
        return [call for call in self.calls if call.status in ("queued", "initiated", "ringing", "in-progress")]


@dataclass
class Topic:
    """SNS: keeps what is published."""

    published: list[Json] = field(default_factory=list)
    is_away: bool = False

    def publish(self, **message: Any) -> Json:
        assert 0 < len(message["Subject"]) <= 100
        assert message["Subject"].isascii()
        if self.is_away:
            raise ConnectionError("SNS does not answer")
        self.published.append(message)
        return {"MessageId": str(len(self.published))}

    @property
    def subjects(self) -> list[str]:
        return [str(message["Subject"]).removeprefix("On-call: ") for message in self.published]


@dataclass
class Message:
    """A message in Slack."""

    ts: str
    channel: str
    text: str
    blocks: list[Json]
    thread_ts: str | None
    metadata: Json | None
    edits: int = 0
    is_broadcast: bool = False


@dataclass
class FakeSlack:
    """Slack: keeps messages, refuses what Slack refuses. Has the shape of `WebClient`, as far as it is used.

    `faults` happen to the next requests: "lost" takes it and does not answer, "refused connection" does not even take it,
    a number is a status (429 asks for seven seconds), other words are Slack's errors.
    """

    clock: Clock
    channels: set[str] = field(default_factory=lambda: {CHANNEL})
    messages: list[Message] = field(default_factory=list)
    faults: list[str | int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    posted_at: dict[str, list[int]] = field(default_factory=dict)

    def chat_postMessage(  # noqa: N802  Slack's name
        self,
        *,
        channel: str,
        text: str,
        blocks: list[Json] | None = None,
        thread_ts: str | None = None,
        metadata: Json | None = None,
        unfurl_links: bool | None = None,
        unfurl_media: bool | None = None,
        reply_broadcast: bool = False,
    ) -> SlackResponse:
        del unfurl_links, unfurl_media
        lost = self._take("chat.postMessage", channel)
        self._check(text, blocks, longest=40_000)
        if thread_ts and not any(m.ts == thread_ts for m in self.messages):
            raise self._error("thread_not_found")
        ts = f"{self.clock.now() // 1000}.{len(self.requests):06d}"
        self.messages.append(
            Message(ts, channel, text, blocks or [], thread_ts, metadata, is_broadcast=reply_broadcast)
        )
        self.posted_at.setdefault(channel, []).append(self.clock.now())
        if lost:
            raise TimeoutError("timed out")
        return self._answer({"ok": True, "channel": channel, "ts": ts})

    def chat_update(self, *, channel: str, ts: str, text: str, blocks: list[Json] | None = None) -> SlackResponse:
        lost = self._take("chat.update", channel)
        self._check(text, blocks, longest=4_000)
        message = next((m for m in self.messages if (m.channel, m.ts) == (channel, ts)), None)
        if message is None:
            raise self._error("message_not_found")
        message.text, message.blocks, message.edits = text, blocks or [], message.edits + 1
        if lost:
            raise TimeoutError("timed out")
        return self._answer({"ok": True, "channel": channel, "ts": ts})

    def chat_getPermalink(self, *, channel: str, message_ts: str) -> SlackResponse:  # noqa: N802  Slack's name
        self._take("chat.getPermalink", channel)
        if not any((m.channel, m.ts) == (channel, message_ts) for m in self.messages):
            raise self._error("message_not_found")
        link = f"https://example.slack.com/archives/{channel}/p{message_ts.replace('.', '')}"
        return self._answer({"ok": True, "channel": channel, "permalink": link})

    def conversations_history(
        self, *, channel: str, oldest: str, include_all_metadata: bool, limit: int
    ) -> SlackResponse:
        self._take("conversations.history", channel)
        return self._found(
            [m for m in self.messages if m.channel == channel and not m.thread_ts], oldest, include_all_metadata, limit
        )

    def conversations_replies(
        self, *, channel: str, ts: str, oldest: str, include_all_metadata: bool, limit: int
    ) -> SlackResponse:
        self._take("conversations.replies", channel)
        if not any(m.ts == ts for m in self.messages):
            raise self._error("thread_not_found")
        return self._found([m for m in self.messages if ts in (m.ts, m.thread_ts)], oldest, include_all_metadata, limit)

    def delete(self, message: Message) -> None:
        """Somebody deletes a message, and with it its thread."""
        self.messages = [m for m in self.messages if message.ts not in (m.ts, m.thread_ts)]

    @property
    def posts(self) -> list[Message]:
        """The messages that are in no thread."""
        return [m for m in self.messages if m.thread_ts is None]

    def thread(self, message: Message | None = None) -> list[str]:
        """The lines under a message; under the only one by default."""
        parent = message or self.posts[0]
        return [m.text for m in self.messages if m.thread_ts == parent.ts]

    def _take(self, method: str, channel: str) -> bool:
        self.requests.append(method)
        fault = self.faults.pop(0) if self.faults else None
        if fault == "refused connection":
            raise ConnectionRefusedError(111, "Connection refused")
        if fault == "broken answer":
            raise HTTPException("IncompleteRead")
        if isinstance(fault, int):
            raise self._error("ratelimited" if fault == 429 else "internal_error", status=fault)
        if fault and fault != "lost":
            raise self._error(fault)
        if channel not in self.channels:
            raise self._error("channel_not_found")
        return fault == "lost"

    def _check(self, text: str, blocks: list[Json] | None, *, longest: int) -> None:
        if len(text) > longest:
            raise self._error("msg_too_long")
        if not text and not blocks:
            raise self._error("no_text")
        if blocks:
            assert block_kit.problems(blocks) == []

    def _found(self, messages: list[Message], oldest: str, metadata: bool, limit: int) -> SlackResponse:
        newest_first = [m for m in reversed(messages) if float(m.ts) > float(oldest)][:limit]
        answer = [{"ts": m.ts, "text": m.text} | ({"metadata": m.metadata} if metadata else {}) for m in newest_first]
        return self._answer({"ok": True, "messages": answer})

    def _error(self, error: str, status: int = 200) -> SlackApiError:
        headers = {"Retry-After": "7"} if status == 429 else {}
        response = self._answer({"ok": False, "error": error}, status, headers)
        return SlackApiError(f"The request to the Slack API failed. ({error})", response)  # type: ignore[no-untyped-call]

    def _answer(self, data: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> SlackResponse:
        return SlackResponse(
            client=self,
            http_verb="POST",
            api_url="https://slack.com/api/",
            req_args={},
            data=data,
            headers=dict(headers or {}),
            status_code=status,
        )


# ---------------------------------------------------------------- the world


@dataclass
class Execution:
    """An execution of the state machine, as far as the PhoneCall loop is concerned."""

    name: str
    decision: Json
    token: str | None = None  # it waits with this one
    entered_at: int = 0
    wake_at: int | None = None
    answers: list[Answer] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.token is None and self.wake_at is None

    @property
    def outcome(self) -> tuple[str, str]:
        """The last result and its reason."""
        return self.answers[-1].result, self.answers[-1].reason


class _StepFunctions:
    """Step Functions: what is released goes on when whoever released it has finished."""

    class exceptions:  # noqa: N801  as boto3 has it
        class ExecutionAlreadyExists(Exception):  # noqa: N818
            pass

    def __init__(self, world: "World") -> None:
        self.world = world

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803  as boto3 has it
        answer = json.loads(output)
        self.world.release(taskToken, Answer(**answer | {"incidents": tuple(answer["incidents"])}))

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: A002, N803  as boto3 has it
        del stateMachineArn
        assert len(input) < 262_144, "Step Functions: the input of an execution"
        if name in [started for started, _ in self.world.started]:
            raise self.exceptions.ExecutionAlreadyExists
        self.world.start(name, json.loads(input))


class _Functions:
    """Lambda: what is asked of SlackNotification is kept, and texts go out when whoever asked for them has finished."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: str) -> None:  # noqa: N803  as boto3 has it
        del FunctionName
        assert InvocationType == "Event"
        asked = json.loads(Payload)
        self.world.slack_asked.extend(asked.get("incidents", []))
        self.world.posts_asked.extend([asked["post"]] if "post" in asked else [])
        self.world.texts.extend([asked["text"]] if "text" in asked else [])
        if "hang_up" in asked:
            turn.provider(self.world.services, asked["hang_up"]["provider"]).cancel(asked["hang_up"]["sid"])


class World:
    """The stack in memory. Everything that happens in it is started by the test."""

    def __init__(self, client: "DynamoDBClient", *, language: Language = "en") -> None:
        self.clock = Clock()
        self.dynamo = Dynamo(client)
        self.table = Table(client, f"on-call-{next(_TABLES)}")
        self.telephone = FakeTelephone(self.clock)
        self.second: FakeTelephone | None = None  # the other provider, if there is one
        self.second_is: Callable[[], FakeTelephone | None] = lambda: self.second  # a test may have its key missing
        self.topic = Topic()
        self.slack = FakeSlack(self.clock)
        self.slack_asked: list[str] = []  # incidents for which Slack was asked to be brought up to date
        self.posts_asked: list[Json] = []  # lines for channels
        self.executions: dict[str, Execution] = {}
        self.measured: list[tuple[str, float]] = []  # metrics and their values
        self.started: list[tuple[str, Json]] = []  # by the reconciler, or for the other policies of a group
        self.language = language
        self.settings: dict[str, Any] = {}  # where the stack differs from what is usual here
        self.probe_schedule = "rate(7 days)"
        self.peer: Peer | None = None  # the other stack
        self._released: list[tuple[str, Answer]] = []
        self.texts: list[Json] = []  # asked for: of calls in which somebody took a page
        self._numbers = count(1)
        create_table(client, self.table.name)
        write_roster(client, self.table.name, ROSTER)

    # ---- what the domain works with

    @property
    def fallback(self) -> Fallback:
        return self.services.fallback

    @property
    def services(self) -> Services:
        """As the functions have them, on the world's own AWS, telephone and Slack."""
        settings = Settings(
            table=self.table.name,
            fallback_topic="arn:aws:sns:eu-central-1:123456789012:fallback",
            state_machine="arn:aws:states:eu-central-1:123456789012:stateMachine:on-call",
            slack_channel=CHANNEL,
            text_sender=self.telephone.text_sender,
            language=self.language,
            gateway_url=BASE,
            probe_number=AUTOMATIC,
            probe_schedule=self.probe_schedule,
            peer_url=self.peer.url if self.peer else "",
            telnyx_application="application" if self.second else "",
            **self.settings,
        )
        clients = {
            "dynamodb": self.dynamo.client,
            "sns": self.topic,
            "stepfunctions": _StepFunctions(self),
            "lambda": _Functions(self),
        }
        return Services(
            settings,
            clients.__getitem__,
            now=self.clock.now,
            sleep=self.clock.sleep,
            telephone=lambda: cast("Telephone", self.telephone),
            second=(lambda: cast("Provider", self.second_is())) if self.second else None,
            callback_secret=lambda: "twilio-auth-token",
            slack=lambda: cast("WebClient", self.slack),
            peer=lambda: self.peer,
            measure=lambda metric, _unit, value: self.measured.append((metric, value)),
        )

    # ---- what happens

    def roster(self, parts: Mapping[str, Any]) -> None:
        """Somebody fixes the roster: sort keys and attributes; None takes a part out."""
        write_roster(self.dynamo.client, self.table.name, parts)

    def receive(
        self, hook: Json, *, execution: str | None = None, received_at: int | None = None, **more: Any
    ) -> Execution:
        """The ReceiveAlerts step alone, for a webhook that the gateway has taken."""
        request = {
            "source": "alertmanager",
            "received_at": self.clock.now() if received_at is None else received_at,
            "gateway": GATEWAY,
            "cut": None,
            "webhook": hook,
            **more,
        }
        return self.decide(request, execution=execution)

    def decide(self, request: Json, *, execution: str | None = None) -> Execution:
        """The ReceiveAlerts step alone, for any input of the state machine."""
        name = execution or f"execution-{next(self._numbers)}"
        decision = intake.receive(self.services, json.loads(json.dumps(request)), execution=name)
        run = self.executions.setdefault(name, Execution(name, {}))
        run.decision = json.loads(json.dumps(decision.to_state()))  # as it goes through the state machine
        return run

    def fire(self, hook: Json | None = None, **more: Any) -> Execution:
        """A webhook, and all that the state machine does with it until a phone rings or it has to wait."""
        before = len(self.started)
        run = self.receive(hook or webhook(), **more)
        self.go_on(run)
        self.run_started(since=before)
        return run

    def resolve(self, hook: Json | None = None, **more: Any) -> Execution:
        """The same for a webhook that says that the group is resolved."""
        return self.fire(hook or webhook(status="resolved"), **more)

    def go_on(self, run: Execution) -> None:
        """What follows ReceiveAlerts: the PhoneCall loop, if the decision asks for it."""
        if run.decision["action"] == "page":
            self._enter(run)
        self.settles_down()

    def phone_call(self, run: Execution) -> Answer | None:
        """One entry of the PhoneCall step, with a new task token."""
        run.token, run.wake_at, run.entered_at = f"token-{next(self._numbers)}", None, self.clock.now()
        page, responders = run.decision["page"], [Responder(phone="", **one) for one in run.decision["responders"]]
        handed = Handed.from_state(page) if page["call"] else None
        entry = turn.Turn(handed, responders, execution=run.name, token=run.token)
        return step.advance(self.services, entry)

    def hears(self, call: Call, digits: str) -> str:
        """Somebody answers (if they have not yet) and presses a key; returns what the call says then."""
        if call.status in ("queued", "initiated", "ringing"):
            call.status = "in-progress"
        said = keys.key_pressed(self.services, call.callbacks, digits)
        self.settles_down()
        return said

    def twilio_says(self, call: Call, status: str) -> None:
        """Twilio's status callback."""
        call.status = status
        keys.call_changed(self.services, call.callbacks, status, call.sid)
        self.settles_down()

    def resolves_half(self, run: Execution) -> None:
        """The incident resolves, but its resolver dies before the page that covers nothing any more has ended."""
        incident, page = self.incident(run), self.page(run.decision["page"]["policy"])
        group = read_webhook(webhook(status="resolved"), received_at=self.clock.now())
        incidents.resolve_group(self.table, group, now=self.clock.now())
        self.table.update(Update(pages.partition(page.policy), "CURRENT", delete={"incidents": {incident.id}}))

    def takes_in_slack(self, incident: str, *, user: str = "U0SATO", name: str = "sato.yui") -> actions.Taken:
        """Somebody presses the button in Slack."""
        taken = actions.acknowledge_incident(self.services, incident, slack_user=user, name=name)
        self.settles_down()
        return taken

    def reconcile(self) -> list[Execution]:
        """A minute of the reconciler, and all that the executions do that it starts."""
        before = len(self.started)
        reconciler.reconcile(self.services)
        return self.run_started(since=before)

    def run_started(self, since: int = 0) -> list[Execution]:
        """Runs the executions that have been started since."""
        runs = []
        for name, given in self.started[since:]:
            run = self.decide(given, execution=name)
            self.go_on(run)
            runs.append(run)
        return runs

    def project(self, *incident_ids: str, me: str = "projector") -> Progress:
        """The SlackNotification step, until the channel is up to date or has to be waited for."""
        return slack_channel.bring_up_to_date(self.services, list(incident_ids), me=me, until=self.clock.now() + 25_000)

    def passes(self, seconds: float) -> None:
        """Time passes: waits end, and steps of which nothing was heard reach their time limit."""
        until = self.clock.now() + int(seconds * 1000)
        while True:
            moments = {run.name: self._next_moment(run) for run in self.executions.values()}
            due = {name: moment for name, moment in moments.items() if moment is not None and moment <= until}
            if not due:
                break
            name = min(due, key=lambda one: due[one])
            self.clock.time = max(self.clock.time, due[name])
            self._enter(self.executions[name])
            self.settles_down()
        self.clock.time = max(self.clock.time, until)

    def release(self, token: str, answer: Answer) -> None:
        """Step Functions' SendTaskSuccess; the step goes on when whoever released it has finished."""
        self._released.append((token, answer))

    def start(self, name: str, given: Json) -> None:
        """Step Functions' StartExecution, for a name that is new."""
        self.started.append((name, given))

    # ---- what is there

    def page(self, policy: str = "default") -> Page:
        found = pages.read(self.table, policy)
        assert found is not None
        return found

    def incident(self, run: Execution) -> Incident:
        """The incident that an execution works on."""
        found = incidents.read(self.table, run.decision["incidents"][0])
        assert found is not None
        return found

    def story(self, run: Execution) -> list[str]:
        """The kinds of the events of the incident's timeline, checked for gaps."""
        events = incidents.timeline(self.table, run.decision["incidents"][0])
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        return [event.kind for event in events]

    @property
    def ringing(self) -> list[str]:
        """The numbers that ring now."""
        return [call.to for call in self.telephone.ringing]

    @property
    def rung(self) -> list[str]:
        """The numbers that have been rung, in order."""
        return [call.to for call in self.telephone.calls]

    @property
    def last_call(self) -> Call:
        return self.telephone.calls[-1]

    # ---- the state machine

    def _enter(self, run: Execution) -> None:
        for _ in range(50):
            answer = self.phone_call(run)
            if answer is None or not self._answered(run, answer):
                return
        raise AssertionError(f"{run.name} turns in a circle: {run.answers[-1]}")

    def _answered(self, run: Execution, answer: Answer) -> bool:
        """Whether the step is entered again at once."""
        run.answers.append(answer)
        run.token = None
        run.wake_at = self.clock.now() + answer.wait_seconds * 1000 if answer.next == "wait" else None
        return answer.next == "call"

    def settles_down(self) -> None:
        """The steps that have been released go on, and who took a page is texted beside them."""
        while self._released:
            token, answer = self._released.pop(0)
            run = next((run for run in self.executions.values() if run.token == token), None)
            if run and self._answered(run, answer):
                self._enter(run)
        while self.texts:
            taken = self.texts.pop(0)
            sms.taken(self.services, taken["policy"], taken["page"], taken["call"])

    def _next_moment(self, run: Execution) -> int | None:
        if run.wake_at is not None:
            return run.wake_at
        if run.token is not None:
            limit: int = run.decision["page"]["timeout_seconds"]
            return run.entered_at + limit * 1000
        return None
