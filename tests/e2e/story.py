"""The verbs of the end-to-end tests. Each test has a story: its own product, policy, people, phones and Slack channel.

A story reads what became of its alerts where a person would: in the table, the telephone network, Slack, the fallback
topic and the execution history. It sees nothing of other tests, so they may run at the same time.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import requests
from boto3.dynamodb.types import TypeSerializer
from twilio.request_validator import RequestValidator

from oncall.phone.provider import Callbacks
from oncall.table import Item, Table, Update, from_attributes, to_attributes
from tests.builders import alert, webhook
from tests.devstack_fixture import Devstack, wait_until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient

SOON = 60.0  # seconds within which what is not timed otherwise has happened, on a busy machine
# A policy that keeps no test waiting, with phones that ring for longer than a busy machine needs to look.
QUICK = {"rounds": 1, "pause_seconds": 0, "quiet_seconds": 0, "ring_seconds": 60}
RINGS = ("queued", "initiated", "ringing")
ENDED = ("completed", "busy", "no-answer", "failed", "canceled")
_stories = count(1)
_phones = count(1)


@dataclass(frozen=True)
class Night:
    """The running system that the stories share, with the clients that read it. Made once: a client takes its time."""

    system: Devstack
    dynamodb: "DynamoDBClient"
    stepfunctions: "SFNClient"

    @property
    def table(self) -> Table:
        """The on-call table."""
        return Table(self.dynamodb, self.system.endpoints["table"])

    def people_speak_fast(self) -> None:
        """Everybody speaks ten times faster until the test ends, so that nobody has to hear an alert out."""
        self.system.control("PUT", "twilio", "settings", {"speech_rate": 10.0})

    @contextmanager
    def without_roster(self) -> Iterator[None]:
        """The table has no roster meanwhile. No other story can go on beside this one."""
        name = self.table.name
        items = self.dynamodb.query(
            TableName=name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "ROSTER"}},
        )["Items"]
        for item in items:
            self.dynamodb.delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})
        try:
            yield
        finally:
            for item in items:
                self.dynamodb.put_item(TableName=name, Item=item)

    def reconciles(self) -> None:
        """The reconciler's minute has come."""
        self.system.client("lambda").invoke(FunctionName=self.function("ReconcileFunction"), Payload=b"{}")

    def refusals(self, function: str) -> int:
        """How often a function has counted RequestsRefused, by the metrics in its log (CloudWatch's embedded metric format)."""
        return len(re.findall(r'"RequestsRefused": ?\[1(?:\.0)?\]', self.system.log(f"{function}Function")))

    def function(self, logical_id: str) -> str:
        """The name of a function of the stack."""
        found = self.system.cloudformation.describe_stack_resource(StackName="on-call", LogicalResourceId=logical_id)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def story(self, *people: str, **policy: Any) -> "Story":
        """A story with these people, rung in this order. `policy` and `product` settings are the roster's.

        Unless they say otherwise: one round, no pause, no quiet window, a minute's ringing, everybody hears English.
        """
        number = f"{os.getpid()}-{next(_stories)}"
        name = f"story-{number}"
        channel = f"C0STORY{number.replace('-', 'N')}"
        self.system.control("PUT", "slack", f"channels/{channel}", {"name": name})
        story = Story(self, name, channel)
        for person in people:
            story.hires(person)
        product = {"policy": name, "slack_channel": channel, "language": "en", **policy.pop("product", {})}
        steps = policy.pop("steps", [{"responder": story.id_of(person)} for person in people])
        story.writes(f"POLICY#{name}", {"steps": steps, **QUICK, **policy})
        story.writes(f"PRODUCT#{name}", product)
        return story

    def states(self, ids: Sequence[str]) -> list[Item]:
        """The incidents' items. DynamoDB: BatchGetItem of at most 100."""
        found: list[Item] = []
        for first in range(0, len(ids), 100):
            keys: Any = [to_attributes({"pk": f"INCIDENT#{one}", "sk": "STATE"}) for one in ids[first : first + 100]]
            asked: Any = {self.table.name: {"Keys": keys, "ConsistentRead": True}}
            answer = self.dynamodb.batch_get_item(RequestItems=asked)
            found += map(from_attributes, answer["Responses"].get(self.table.name, []))
        return found

    def rests(self, timeout: float = 240) -> None:
        """Waits until no execution is at work any more: nothing rings, nothing is tried again."""
        machine = self.system.endpoints["state_machine_arn"]

        def resting() -> bool:
            listed = self.stepfunctions.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
            return not listed["executions"]

        wait_until(resting, timeout, "the end of all executions")


@dataclass(frozen=True)
class Story:
    """One product with its policy (both have the story's name), its people and its channel."""

    night: Night
    name: str
    channel: str
    phones: dict[str, str] = field(default_factory=dict)
    products: dict[str, str] = field(default_factory=dict)  # of the incidents that were looked at, by their ids
    began: float = field(default_factory=time.time)

    @property
    def system(self) -> Devstack:
        """The running system."""
        return self.night.system

    # The roster.

    def id_of(self, person: str) -> str:
        """A person's id in the roster."""
        return f"{self.name}-{person}"

    def slack_user(self, person: str) -> str:
        """A person's user in Slack."""
        return f"U0{self.name}{person}".replace("-", "").upper()

    def hires(self, person: str) -> None:
        """Adds a person with a phone that rings (line behaviour `ring`) and a user in Slack."""
        self.phones[person] = f"+12025550{101 + next(_phones) % 97}"  # not the probe's number, nor ours
        self.system.line(self.phones[person], "ring")
        self.system.control("PUT", "slack", f"users/{self.slack_user(person)}", {"name": person.title()})
        self.writes(
            f"RESPONDER#{self.id_of(person)}",
            {
                "name": person.title(),
                "phone": self.phones[person],
                "slack_user": self.slack_user(person),
                "language": "en",
            },
        )

    def writes(self, sk: str, attributes: Mapping[str, Any]) -> None:
        """Writes an item of the roster, as a person would in the console."""
        item = {"pk": "ROSTER", "sk": sk, **attributes}
        self.night.dynamodb.put_item(
            TableName=self.night.table.name,
            Item={name: TypeSerializer().serialize(value) for name, value in item.items()},
        )

    def erases(self, sk: str) -> None:
        """Deletes an item of the roster."""
        self.night.table.client.delete_item(
            TableName=self.night.table.name, Key={"pk": {"S": "ROSTER"}, "sk": {"S": sk}}
        )

    def phone(self, person: str, behaviour: str, **options: Any) -> None:
        """What a person's phone does with its next calls."""
        self.system.line(self.phones[person], behaviour, **options)

    # What Alertmanager does.

    def webhook(self, group: str = "shop", status: str = "firing", alerts: Sequence[Any] = (), **more: Any) -> Any:
        """A webhook of one of the story's groups; a group of another story is another group."""
        labels = more.pop("labels", {})
        product = more.pop("product", self.name)
        written = alerts or [
            alert(group, severity=more.pop("severity", "critical"), labels={"product": product, **labels})
        ]
        return webhook(*written, key=f"{self.name} {group}", status=status, product=product, **more)

    def fire(self, group: str = "shop", **more: Any) -> str:
        """Posts a firing group; returns the name of the execution that was started. `more` as in `webhook`."""
        return self.posts(self.webhook(group, **more))

    def resolve(self, group: str = "shop", **more: Any) -> str:
        """Posts that a group is resolved; returns the execution's name."""
        return self.posts(self.webhook(group, "resolved", **more))

    def posts(self, webhook: Any) -> str:
        """Posts a webhook again and again until it is accepted, as Alertmanager does; returns the execution's name."""

        def accepted() -> str | None:
            answer = self.system.post_alerts(webhook)
            assert answer.status_code in (202, 503), (answer.status_code, answer.text)
            return str(answer.json()["execution"]) if answer.status_code == 202 else None

        return wait_until(accepted, 120, "the webhook being accepted")

    # The telephone network.

    def calls(self, person: str | None = None) -> list[dict[str, Any]]:
        """The calls to the story's people, or to one of them, oldest first."""
        numbers = {self.phones[person]} if person else {*self.phones.values()}
        return [call for call in self.system.calls(self.began) if call["to"] in numbers]

    def called(self) -> list[str]:
        """Who was called, in order."""
        names = {number: person for person, number in self.phones.items()}
        return [names[call["to"]] for call in self.calls()]

    def call(self, sid: str) -> dict[str, Any]:
        """A call as it is now."""
        return next(call for call in self.system.calls(self.began) if call["sid"] == sid)

    def rings(self, person: str, nth: int = 1, timeout: float = SOON) -> dict[str, Any]:
        """Waits until a person's phone rings for the nth time; returns the call."""

        def ringing() -> dict[str, Any] | None:
            found = self.calls(person)
            return found[nth - 1] if len(found) >= nth and found[nth - 1]["status"] == "ringing" else None

        return wait_until(ringing, timeout, f"{person}'s phone ringing (call {nth})")

    def ended(self, sid: str, timeout: float = SOON) -> dict[str, Any]:
        """Waits until a call has ended; returns it."""

        def over() -> dict[str, Any] | None:
            call = self.call(sid)
            return call if call["status"] in ENDED else None

        return wait_until(over, timeout, f"the end of {sid}")

    def listens(self, person: str, nth: int = 1) -> dict[str, Any]:
        """A person answers the ringing phone and has heard the alert; returns the call."""
        call = self.rings(person, nth)
        self.system.answer(call["sid"])
        self.hears(call["sid"], "On-call alert")
        return self.call(call["sid"])

    def hears(self, sid: str, words: str, timeout: float = SOON) -> str:
        """Waits until words are heard in a call; returns all that was heard."""

        def heard() -> str | None:
            said = " ".join(self.call(sid)["said"])
            return said if words in said else None

        return wait_until(heard, timeout, f"{words!r} in {sid}")

    def takes(self, person: str, nth: int = 1) -> dict[str, Any]:
        """A person answers the ringing phone and presses 1 at once; returns the call."""
        call = self.rings(person, nth)
        self.system.answer(call["sid"])
        self.system.press(call["sid"], "1")
        return call

    def twilio_says(self, call: Mapping[str, Any], status: str) -> None:
        """Posts a status of a call as Twilio does, signed, whatever the call does in truth."""
        written = wait_until(  # it rings before that is written
            lambda: next((one for one in self.page()["calls"].values() if one.get("sid") == call["sid"]), None),
            SOON,
            f"the page knowing of {call['sid']}",
        )
        gateway, token = self.system.endpoints["gateway"], self.system.endpoints["twilio_auth_token"]
        known = (self.name, self.page()["page"], written["number"])
        url = Callbacks(gateway, *known, placed_at=int(time.time()), secret=token).status
        form = {"CallSid": call["sid"], "CallStatus": status, "To": call["to"]}
        signature = RequestValidator(token).compute_signature(url, form)
        answer = requests.post(url, data=form, headers={"X-Twilio-Signature": signature}, timeout=30)
        assert answer.status_code == 200, (answer.status_code, answer.text)

    # The table.

    def incidents(self, *, product: str | None = None) -> list[Item]:
        """The story's incidents, oldest first."""
        table, wanted = self.night.table, product or self.name
        since = datetime.fromtimestamp(self.began - 60, UTC)
        months = {f"INCIDENTS#{moment:%Y-%m}" for moment in (since, datetime.now(UTC))}
        listed = [row["sk"] for month in months for row in table.query(month, after=f"{since:%Y%m%d-%H%M%S}")]
        found = self.night.states([one for one in listed if self.products.get(one, wanted) == wanted])
        self.products.update({state["id"]: state["product"] for state in found})
        of_it = [state for state in found if state["product"] == wanted]
        return sorted(of_it, key=lambda state: (state["opened_at"], state["pk"]))

    def incident(self, group: str = "shop", *, product: str | None = None) -> Item | None:
        """The latest incident of a group."""
        key = self.webhook(group)["groupKey"]
        return next((one for one in reversed(self.incidents(product=product)) if one["group_key"] == key), None)

    def becomes(self, state: str, group: str = "shop", timeout: float = SOON, **also: Any) -> Item:
        """Waits until a group's latest incident is in a state, with `also` among its attributes; returns it."""

        def there() -> Item | None:
            found = self.incident(group)
            is_it = found and found["state"] == state and all(found.get(key) == value for key, value in also.items())
            return found if is_it else None

        return wait_until(there, timeout, f"{group} being {state}")

    def page(self) -> Item:
        """The policy's page."""
        page = self.night.table.get(f"PAGE#{self.name}", "CURRENT")
        assert page, f"{self.name} has no page"
        return page

    def settled(self, timeout: float = SOON, *, texted: bool = True) -> Item:
        """Waits until all that follows from the page's end has followed, a text to who took it too; returns the page.

        Not `texted`: the text may have died with a function. It is sent at most once, so it is not sent again.
        """

        def over() -> Item | None:
            page = self.page()
            if "settled_at" not in page:
                return None
            taken = [
                f"{page['page']}/{c['number']}/text/taken"
                for c in page["calls"].values()
                if texted and c["status"] == "taken"
            ]
            pk = f"INCIDENT#{page['about']['incident']}"
            return page if all(self.night.table.get(pk, f"ONCE#{text}") for text in taken) else None

        return wait_until(over, timeout, "the page settled")

    def texts(self, person: str) -> list[str]:
        """The text messages that somebody got, oldest first."""
        number = self.phones[person]
        texts = self.system.control("GET", "twilio", "texts")
        return [one["body"] for one in texts if one["to"] == number and one["created_at"] >= self.began]

    def timeline(self, group: str = "shop") -> list[Item]:
        """The events of a group's latest incident, in order."""
        found = self.incident(group)
        return self.night.table.query(found["pk"], prefix="EVENT#") if found else []

    def kinds(self, group: str = "shop") -> list[str]:
        """What happened in a group's latest incident, in order."""
        return [event["kind"] for event in self.timeline(group)]

    def happened(self, kind: str, group: str = "shop", timeout: float = SOON) -> Item:
        """Waits until the timeline has an event of a kind; returns the first."""
        return wait_until(
            lambda: next((event for event in self.timeline(group) if event["kind"] == kind), None),
            timeout,
            f"{kind} in the timeline of {group}",
        )

    def is_told(self, group: str = "shop", timeout: float = SOON) -> Item:
        """Waits until Slack is up to date with a group's latest incident; returns the incident."""

        def told() -> Item | None:
            found = self.incident(group)
            return found if found and found["slack_version"] >= found["version"] else None

        return wait_until(told, timeout, f"Slack being up to date with {group}")

    def minutes_pass(self, group: str = "shop") -> None:
        """What a group's incident was to be reminded of later is due now."""
        found = self.is_told(group)
        past = int(time.time() * 1000) - 1
        self.night.table.update(Update(found["pk"], "STATE", set={"due_at": past, "remind_at": past}))

    # Slack.

    def messages(self) -> list[dict[str, Any]]:
        """What the story's channel has, oldest first."""
        return self.system.messages(self.channel)

    def heads(self) -> list[dict[str, Any]]:
        """The messages of the channel itself, without those of threads."""
        return [one for one in self.messages() if not one.get("thread_ts") or one["thread_ts"] == one["ts"]]

    def message(self, group: str = "shop", timeout: float = SOON) -> dict[str, Any]:
        """Waits for the message of a group's latest incident; returns it."""

        def there() -> dict[str, Any] | None:
            found = self.incident(group)
            return next((one for one in self.heads() if found and found["id"] in json.dumps(one["blocks"])), None)

        return wait_until(there, timeout, f"the message of {group}")

    def thread(self, group: str = "shop") -> list[str]:
        """The lines under a group's message, oldest first."""
        ts = self.message(group)["ts"]
        return [one["text"] for one in self.messages() if one.get("thread_ts") == ts and one["ts"] != ts]

    def shows(self, words: str, group: str = "shop", timeout: float = SOON) -> dict[str, Any]:
        """Waits until a group's message has words; returns it."""

        def there() -> dict[str, Any] | None:
            message = self.message(group)
            return message if words in readable(message) else None

        return wait_until(there, timeout, f"{words!r} in the message of {group}")

    def tells(self, words: str, group: str = "shop", timeout: float = SOON) -> str:
        """Waits until a line of a group's thread has words; returns it."""
        return wait_until(
            lambda: next((line for line in self.thread(group) if words in line), None),
            timeout,
            f"{words!r} in the thread of {group}",
        )

    def presses_acknowledge(self, person: str, group: str = "shop") -> None:
        """A person presses the button of a group's message."""
        self.system.press_button(self.message(group)["ts"], "acknowledge", self.slack_user(person))

    # The fallback topic, and the state machine.

    def published(self) -> list[dict[str, Any]]:
        """What the fallback topic was told of the story."""
        known = [self.name, *(one["id"] for one in self.incidents())]
        return [
            one
            for one in self.system.published()
            if any(name in f"{one['subject']} {one['message']}".split() or name in one["message"] for name in known)
        ]

    def told(self, words: str, timeout: float = SOON) -> dict[str, Any]:
        """Waits until the fallback topic was told words about the story; returns the message."""
        return wait_until(
            lambda: next((one for one in self.published() if words in f"{one['subject']} {one['message']}"), None),
            timeout,
            f"{words!r} on the fallback topic",
        )

    def finished(self, execution: str, status: str = "SUCCEEDED", timeout: float = SOON) -> Mapping[str, Any]:
        """Waits until an execution has ended, as it should; returns its description. It rings nobody any more then."""
        arn = self.arn(execution)

        def over() -> Mapping[str, Any] | None:
            found = self.night.stepfunctions.describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        found = wait_until(over, timeout, f"the end of {execution}")
        assert found["status"] == status, found
        return found

    def starts(self, given: Mapping[str, Any]) -> str:
        """Starts an execution with an input of its own; returns its name."""
        name = f"{self.name}-{time.time_ns()}"
        self.night.stepfunctions.start_execution(
            stateMachineArn=self.system.endpoints["state_machine_arn"], name=name, input=json.dumps(given)
        )
        return name

    def states(self, execution: str) -> list[str]:
        """The states that an execution has entered, in order."""
        pages = self.night.stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=self.arn(execution)
        )
        return [
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        ]

    def outcome(self, execution: str) -> dict[str, Any]:
        """What the PhoneCall loop of an ended execution came to: result, reason ..."""
        branches = json.loads(self.finished(execution)["output"])["done"]["branches"]
        call: dict[str, Any] = branches[1]["call"]
        return call

    def arn(self, execution: str) -> str:
        """An execution's ARN."""
        machine = self.system.endpoints["state_machine_arn"]
        return machine.replace(":stateMachine:", ":execution:") + f":{execution}"


def readable(message: Mapping[str, Any]) -> str:
    """All that is written in a Slack message."""

    def texts(part: Any) -> list[str]:
        if isinstance(part, Mapping):
            return [
                text
                for name, value in part.items()
                for text in ([value] if name == "text" and isinstance(value, str) else texts(value))
            ]
        return [text for one in part for text in texts(one)] if isinstance(part, list) else []

    return "\n".join([str(message["text"]), *texts(message.get("blocks") or [])])


def at_once[T](actions: Sequence[Callable[[], T]]) -> list[T]:
    """Does things at the same time; returns their results in order."""
    with ThreadPoolExecutor(len(actions)) as pool:
        return [one.result() for one in [pool.submit(action) for action in actions]]


def most_at_once(calls: Sequence[Mapping[str, Any]]) -> int:
    """How many phones rang at the same time at the most. A phone rings until it is answered or the call ends."""
    changes: list[tuple[float, int]] = []
    for call in calls:
        until = call["answered_at"] or call["ended_at"] or time.time()
        changes += [(call["created_at"], 1), (until, -1)]
    ringing = most = 0
    for _, change in sorted(changes):  # at the same moment an end comes before a beginning
        ringing += change
        most = max(most, ringing)
    return most
