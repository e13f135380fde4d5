"""What the console shows, gathered from the parts of the devstack and followed: whoever looks is told what has changed.

It reads as a stranger would: HTTP, Step Functions, DynamoDB. Nothing is asked while nobody looks.
"""

import hashlib
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from devstack.console import faults, graph, senders
from devstack.shared.python import python

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef, HistoryEventTypeDef

TIMEOUT = 20  # seconds; the parts answer most requests at once, but pressing a key waits for the application
_SIGN_OF_LIFE = 5  # seconds between two words to a browser, so that one that is gone is noticed
_EXECUTIONS = 12  # shown, the newest; likewise:
_INCIDENTS = 30
_CALLS = 200
_ORDER_SECONDS = 30  # between two looks at who is rung, if the roster stays the same
_MESSAGES = 60  # of a channel, replies apart
_ROOT = Path(__file__).parents[2]
_FAILED = ("Failed", "TimedOut", "Aborted")  # how the types of bad events end


class UnavailableError(Exception):
    """A part of the devstack gave no usable answer."""


@dataclass(frozen=True)
class Endpoints:
    """Where the parts of the devstack are, as in endpoints.json; no monitoring: empty."""

    twilio: str
    slack: str
    site: str
    aws: str
    region: str
    table: str
    state_machine_arn: str
    gateway: str = ""  # with the stage
    telnyx: str = ""
    prometheus: str = ""
    alertmanager: str = ""

    def control(self, part: str) -> str:
        """The address of a part's controls, `/_sim`."""
        if part == "gateway":
            address = urlsplit(self.gateway)
            return f"{address.scheme}://{address.netloc}/_sim"
        return f"{getattr(self, part)}/_sim"


def request(method: str, url: str, *, data: bytes = b"", content_type: str | None = None) -> requests.Response:
    """An HTTP request to a part of the devstack. Raises requests.RequestException."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy between two programs of one machine
        headers = {"Content-Type": content_type} if content_type else {}
        return session.request(method, url, data=data, headers=headers, timeout=TIMEOUT, allow_redirects=False)


def fetch(url: str) -> Any:
    """The JSON at an address. Raises requests.RequestException, for a status that is no success as well."""
    answer = request("GET", url)
    answer.raise_for_status()
    return answer.json()


class Watch:
    """All parts of what is shown, each with how often it is looked at."""

    def __init__(self, sources: "Sources") -> None:
        self._parts: dict[str, tuple[float, Callable[[], Any]]] = {  # seconds between two looks
            "links": (60, sources.links),
            "machine": (60, sources.machine),
            "site": (0.4, sources.site),
            "calls": (0.25, sources.calls),
            "texts": (0.5, sources.texts),
            "lines": (1, sources.lines),
            "slack": (0.4, sources.slack),
            "incidents": (0.4, sources.incidents),
            "executions": (0.4, sources.executions),
            "prometheus": (0.7, sources.prometheus),
            "alertmanager": (0.7, sources.alertmanager),
            "alarms": (2, sources.alarms),
            "fallback": (1, sources.fallback),
            "faults": (0.7, sources.faults),
            "senders": (60, sources.senders),
            "responders": (2, sources.responders),
            "language": (1, sources.language),
            "order": (1, sources.order),
        }
        self._changed = threading.Condition()
        self._shown: dict[str, tuple[int, str]] = {}  # a part's version, and its JSON
        self._version = 0
        self._viewers = 0
        self._followed: set[str] = set()
        self._stirred = 0

    def now(self) -> dict[str, Any]:
        """Every part, looked at anew: its value, or None and its entry in `errors`."""
        state: dict[str, Any] = {"now": time.time(), "errors": {}}
        for name in self._parts:
            state[name], error = self._look(name)
            if error:
                state["errors"][name] = error
        return state

    def stir(self) -> None:
        """Somebody did something: look again at once."""
        with self._changed:
            self._stirred += 1
            self._changed.notify_all()

    def stream(self) -> Iterator[str]:
        """Server-sent events: every part as it is, then each part that changes, and a sign of life now and then."""
        with self._changed:
            self._viewers += 1
            for name in self._parts.keys() - self._followed:
                self._followed.add(name)
                threading.Thread(target=self._follow, args=(name,), name=f"watch {name}", daemon=True).start()
            self._changed.notify_all()
        seen = 0
        try:
            yield "retry: 1000\n\n"
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._version > seen, _SIGN_OF_LIFE)  # noqa: B023 - called at once
                    fresh = [text for version, text in self._shown.values() if version > seen]
                    seen = self._version
                yield "".join(f"data: {text}\n\n" for text in fresh) or "event: alive\ndata:\n\n"
        finally:
            with self._changed:
                self._viewers -= 1
                self._changed.notify_all()

    def _follow(self, name: str) -> None:
        seconds = self._parts[name][0]
        while True:
            with self._changed:
                stirred = self._stirred
            value, error = self._look(name)
            text = json.dumps({"part": name, "value": value, "error": error}, ensure_ascii=False)
            with self._changed:
                if self._shown.get(name, (0, ""))[1] != text:
                    self._version += 1
                    self._shown[name] = (self._version, text)
                    self._changed.notify_all()
                self._changed.wait_for(lambda: not self._viewers or self._stirred != stirred, seconds)  # noqa: B023
                if not self._viewers:
                    self._followed.remove(name)
                    return

    def _look(self, name: str) -> tuple[Any, str | None]:
        try:
            return self._parts[name][1](), None
        except (requests.RequestException, BotoCoreError, ClientError, UnavailableError) as error:
            return None, f"{type(error).__name__}: {error}"


class Sources:
    """Where each part comes from."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        # With a key of its own: the stack's faults and policies do not meet the console.
        session = boto3.Session("console", "console", region_name=endpoints.region)
        config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1})
        self._stepfunctions: SFNClient = session.client("stepfunctions", endpoint_url=endpoints.aws, config=config)
        # The resource's client gives plain values; typed as the client, it would be said to give wire types.
        self._dynamodb: Any = session.resource("dynamodb", endpoint_url=endpoints.aws, config=config).meta.client
        self._key = ""  # for the senders; made when it is first needed
        self._ended: dict[str, dict[str, Any]] = {}  # executions that change no more
        self._roster, self._order_until = "", 0.0
        self._is_language_chosen = False
        self._order: dict[str, Any] = {}
        self._timelines: dict[str, tuple[int, list[dict[str, Any]]]] = {}  # by incident, with its version

    def links(self) -> dict[str, str]:
        """Addresses for a person."""
        where = self._endpoints
        return {"site": where.site, "prometheus": where.prometheus, "alertmanager": where.alertmanager}

    # The simulators.

    def _sim(self, part: str, path: str) -> Any:
        return fetch(f"{self._endpoints.control(part)}/{path}")

    def site(self) -> Any:
        """How the site answers."""
        return self._sim("site", "site")

    def calls(self) -> Any:
        """The newest calls, oldest first."""
        return self._sim("twilio", "calls")[-_CALLS:]

    def texts(self) -> Any:
        """SMS, oldest first."""
        return self._sim("twilio", "texts")[-_CALLS:]

    def lines(self) -> Any:
        """What phones do with their next calls, by number."""
        return self._sim("twilio", "lines")

    def slack(self) -> dict[str, Any]:
        """Channels by id, people by id, and the newest messages: all with their replies."""
        messages = self._sim("slack", "messages")
        tops: dict[str, list[str]] = {}
        for message in messages:
            if message["thread_ts"] in {None, message["ts"]}:
                tops.setdefault(message["channel"], []).append(message["ts"])
        kept = {ts for found in tops.values() for ts in found[-_MESSAGES:]}
        return {
            "messages": [message for message in messages if (message["thread_ts"] or message["ts"]) in kept],
            "hidden": sum(len(found) for found in tops.values()) - len(kept),
            "ephemerals": self._sim("slack", "ephemerals")[-_MESSAGES:],
            "homes": {view["user"]: view for view in self._sim("slack", "views") if view["type"] == "home"},
            **self._sim("slack", "workspace"),
        }

    def faults(self) -> dict[str, Any]:
        """The switches, and which of their choices hold."""
        left = {part: faults.failing(part, self._faults_of(part)) for part in self._parts_with_faults()}
        return {
            "switches": [
                {
                    "id": switch.id,
                    "title": switch.title,
                    "hint": switch.hint,
                    "choices": [{"id": choice.id, "label": choice.label} for choice in switch.choices],
                    "chosen": faults.chosen(switch, left[switch.part]),
                }
                for switch in faults.SWITCHES
                if switch.part in left
            ],
            "others": _other_faults(left),
        }

    def _parts_with_faults(self) -> list[str]:
        return [part for part in faults.PARTS if getattr(self._endpoints, part)]

    def _faults_of(self, part: str) -> Any:
        return self._sim(part, "site" if part == "site" else "faults")

    def choose(self, switch_id: str, choice: str) -> None:
        """Make a part fail as chosen, or ("") work again. Raises KeyError, requests.RequestException."""
        switch = {switch.id: switch for switch in faults.SWITCHES}[switch_id]
        if choice and choice not in {choice.id for choice in switch.choices}:
            raise KeyError(choice)
        left = faults.failing(switch.part, self._faults_of(switch.part))
        same = [other for other in faults.SWITCHES if other.part == switch.part]
        choices = {other.id: faults.chosen(other, left) for other in same} | {switch_id: choice}
        self._put_faults(switch.part, faults.request(switch.part, choices))

    def fix_all(self) -> None:
        """No faults any more. Raises requests.RequestException."""
        for part in self._parts_with_faults():
            self._put_faults(part, {})

    def _put_faults(self, part: str, body: Mapping[str, Any]) -> None:
        path = "site" if part == "site" else "faults"
        data = json.dumps(body).encode()
        url = f"{self._endpoints.control(part)}/{path}"
        request("PUT", url, data=data, content_type="application/json").raise_for_status()

    def senders(self) -> list[dict[str, str]]:
        """Of whom one alert can be sent: none without a gateway."""
        return [{"id": one.id, "title": one.title} for one in senders.SENDERS if self._endpoints.gateway]

    def send(self, sender_id: str, word: str) -> None:
        """One alert of a sender, or its end. Raises KeyError, and requests.RequestException for what is not accepted."""
        sender = {sender.id: sender for sender in senders.SENDERS}[sender_id]
        body = json.dumps(sender.says(word))
        method, url = "PUT", f"{self._endpoints.control('aws')}/events"
        if sender.path:
            self._key = self._key or self._new_key()
            method, url = "POST", f"{self._endpoints.gateway}/{sender.path}"
        data = body.replace("{key}", self._key).encode()
        url = url.replace("{key}", self._key)
        request(method, url, data=data, content_type="application/json").raise_for_status()

    def _new_key(self) -> str:
        """A key of the console's that opens every source, as `oncall key add` writes it: the table has its hash."""
        key = secrets.token_hex(16)
        item = {"name": "console", "product": senders.PRODUCT, "source": "", "heartbeat": "", "created_by": "console"}
        item |= {"sk": hashlib.sha256(key.encode()).hexdigest(), "created_at": datetime.now(UTC).isoformat()}
        self._dynamodb.put_item(TableName=self._endpoints.table, Item={"pk": "KEY", **item})
        return key

    # Monitoring.

    def prometheus(self) -> dict[str, Any] | None:
        """Targets and alerts, pending ones included. None: it is not part of this devstack."""
        url = self._endpoints.prometheus
        if not url:
            return None
        targets = fetch(f"{url}/api/v1/targets?state=active")["data"]["activeTargets"]
        alerts = fetch(f"{url}/api/v1/alerts")["data"]["alerts"]
        return {
            "targets": [
                {
                    "job": target["labels"].get("job", ""),
                    "instance": target["labels"].get("instance", ""),
                    "health": target["health"],
                    "error": target["lastError"],
                }
                for target in targets
            ],
            "alerts": [
                {
                    "state": alert["state"],
                    "name": alert["labels"]["alertname"],
                    "severity": alert["labels"].get("severity", ""),
                    "instance": alert["labels"].get("instance", ""),
                    "summary": alert["annotations"].get("summary", ""),
                    "since": alert["activeAt"],
                }
                for alert in alerts
            ],
        }

    def alertmanager(self) -> dict[str, Any] | None:
        """Groups of alerts, and silences. None: it is not part of this devstack."""
        url = self._endpoints.alertmanager
        if not url:
            return None
        groups = fetch(f"{url}/api/v2/alerts/groups")
        silences = fetch(f"{url}/api/v2/silences")
        return {
            "groups": [
                {
                    "labels": group["labels"],
                    "receiver": group["receiver"]["name"],
                    "alerts": len(group["alerts"]),
                    "silenced": sum(alert["status"]["state"] == "suppressed" for alert in group["alerts"]),
                }
                for group in groups
            ],
            "silences": [
                {
                    "id": silence["id"],
                    "comment": silence["comment"],
                    "by": silence["createdBy"],
                    "until": silence["endsAt"],
                    "matchers": [
                        f"{matcher['name']}{_OPERATORS[matcher.get('isEqual', True), matcher['isRegex']]}{matcher['value']}"
                        for matcher in silence["matchers"]
                    ],
                }
                for silence in silences
                if silence["status"]["state"] != "expired"
            ],
        }

    def alarms(self) -> Any:
        """CloudWatch's alarms."""
        return self._sim("aws", "alarms")

    def fallback(self) -> Any:
        """What the fallback topic was told, oldest first."""
        return self._sim("aws", "sns")[-_INCIDENTS:]

    # The table.

    def _query(self, pk: str, **more: Any) -> list[dict[str, Any]]:
        values = {":pk": pk} | {f":{name}": value for name, value in more.items()}
        condition = "pk = :pk" + (" AND begins_with(sk, :prefix)" if "prefix" in more else "")
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._endpoints.table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
        )
        return [item for page in pages for item in page["Items"]]

    def responders(self) -> list[dict[str, str]]:
        """Whose phones there are: the roster as it lies in the table."""
        items = self._query("ROSTER")
        version = next((item.get("version") for item in items if item["sk"] == "META"), None)
        return [
            {
                "id": str(item.get("id", item["sk"])),
                "name": str(item.get("name") or item.get("id", "")),
                "phone": str(item.get("phone", "")),
                "slack_user": str(item.get("slack_user") or ""),
            }
            for item in sorted(items, key=lambda item: (item.get("position", 1_000_000), item["sk"]))
            if str(item["sk"]).startswith("RESPONDER#") and item.get("version", version) == version
        ]

    def language(self) -> dict[str, Any]:
        """What phones and Slack speak. `chosen`: somebody has said so, or the roster is not the demonstration's."""
        items = self._query("ROSTER")
        is_japanese = any(one.get("language") == "ja" for one in items if one["sk"].startswith("RESPONDER#"))
        is_demonstration = any(item["sk"].split("#")[:2] == ["PRODUCT", "product-a"] for item in items)
        return {"language": "ja" if is_japanese else "en", "chosen": self._is_language_chosen or not is_demonstration}

    def speak(self, language: str) -> None:
        """Lets phones and Slack speak English, or Japanese where somebody has a Japanese name. Raises KeyError."""
        if language not in ("en", "ja"):
            raise KeyError(language)
        for item in self._query("ROSTER"):
            if "language" not in item:
                continue
            is_theirs = not str(item["sk"]).startswith("RESPONDER#") or not str(item.get("name", "")).isascii()
            self._dynamodb.update_item(
                TableName=self._endpoints.table,
                Key={"pk": item["pk"], "sk": item["sk"]},
                UpdateExpression="SET #language = :language",
                ExpressionAttributeNames={"#language": "language"},
                ExpressionAttributeValues={":language": language if is_theirs else "en"},
            )
        self._is_language_chosen = True

    def order(self) -> dict[str, Any]:
        """Who is rung now, in order, and why: as the command `oncall who` has it."""
        roster = repr(self._query("ROSTER"))
        if roster != self._roster or time.monotonic() > self._order_until:
            self._order = self._ask_who()
            self._roster, self._order_until = roster, time.monotonic() + _ORDER_SECONDS
        return self._order

    def _ask_who(self) -> dict[str, Any]:
        command = [*python(), "-m", "oncall_cli", "who", "--json", "--table", self._endpoints.table]
        command += ["--endpoint-url", self._endpoints.aws, "--region", self._endpoints.region]
        environment = {"AWS_ACCESS_KEY_ID": "console", "AWS_SECRET_ACCESS_KEY": "console", "PATH": "/usr/bin:/bin"}
        try:
            done = subprocess.run(
                command, cwd=_ROOT, env=environment, capture_output=True, timeout=TIMEOUT, check=True, text=True
            )
        except subprocess.CalledProcessError as error:
            raise UnavailableError(error.stderr.strip()[-300:]) from error
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"no answer within {TIMEOUT} s") from error
        found: dict[str, Any] = json.loads(done.stdout)
        del found["at"]  # every answer has another
        return found

    def incidents(self) -> list[dict[str, Any]]:
        """The newest incidents with their timelines, the newest first."""
        # INCIDENTS#2026-11 lists those of a month; of the last two months, the newest are enough.
        now = time.gmtime()
        months = [
            f"{now.tm_year}-{now.tm_mon:02d}",
            f"{now.tm_year - (now.tm_mon == 1)}-{(now.tm_mon - 2) % 12 + 1:02d}",
        ]
        ids = [str(item["sk"]) for month in months for item in self._newest(f"INCIDENTS#{month}")][:_INCIDENTS]
        if not ids:
            return []
        keys = [{"pk": f"INCIDENT#{incident}", "sk": "STATE"} for incident in ids]
        answer = self._dynamodb.batch_get_item(RequestItems={self._endpoints.table: {"Keys": keys}})
        found = {str(item["id"]): item for item in answer["Responses"][self._endpoints.table]}
        return [self._incident(found[incident]) for incident in ids if incident in found]

    def _newest(self, pk: str) -> list[dict[str, Any]]:
        answer = self._dynamodb.query(
            TableName=self._endpoints.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": pk},
            ScanIndexForward=False,
            Limit=_INCIDENTS,
        )
        items: list[dict[str, Any]] = answer["Items"]
        return items

    def _incident(self, item: Mapping[str, Any]) -> dict[str, Any]:
        name, version = str(item["id"]), int(item["version"])
        if self._timelines.get(name, (-1, []))[0] != version:
            self._timelines[name] = (version, [_event(event) for event in self._query(item["pk"], prefix="EVENT#")])
        return {
            "id": name,
            "state": str(item["state"]),
            "unanswered": bool(item.get("unanswered")),
            "severity": str(item.get("severity", "")),
            "product": str(item.get("product") or ""),
            "summary": str(item.get("summary") or name),
            "by": str(item.get("acknowledged_by") or ""),
            "by_hand": str(item.get("group_key", "")).startswith("page:"),
            "opened_at": float(item["opened_at"]) / 1000,
            "timeline": self._timelines[name][1],
        }

    # Step Functions.

    def machine(self) -> dict[str, Any]:
        """The picture of the state machine as it is deployed."""
        arn = self._endpoints.state_machine_arn
        definition = self._stepfunctions.describe_state_machine(stateMachineArn=arn)["definition"]
        return asdict(graph.layout(json.loads(definition)))

    def executions(self) -> list[dict[str, Any]]:
        """The newest executions, the newest first."""
        listed = self._stepfunctions.list_executions(stateMachineArn=self._endpoints.state_machine_arn)["executions"]
        newest = sorted(listed, key=lambda execution: execution["startDate"], reverse=True)[:_EXECUTIONS]
        return [self._execution(execution) for execution in newest]

    def _execution(self, listed: "ExecutionListItemTypeDef") -> dict[str, Any]:
        arn = listed["executionArn"]
        if arn in self._ended:
            return self._ended[arn]
        pages = self._stepfunctions.get_paginator("get_execution_history").paginate(executionArn=arn)
        stopped = listed.get("stopDate")
        execution = {
            "name": listed["name"],
            "status": listed["status"],
            "started_at": listed["startDate"].timestamp(),
            "stopped_at": stopped.timestamp() if stopped else None,
            **story(event for page in pages for event in page["events"]),
        }
        if listed["status"] != "RUNNING":
            self._ended[arn] = execution
        return execution


_OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}


def _other_faults(left: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What fails by nobody's switch: the names of it."""
    names = {(switch.part, choice.name) for switch in faults.SWITCHES for choice in switch.choices}
    return [f"{part}: {name}" for part, found in left.items() for name in found if (part, name) not in names]


def _event(item: Mapping[str, Any]) -> dict[str, Any]:
    detail = {name: value if isinstance(value, str | bool) else str(value) for name, value in item["detail"].items()}
    return {"at": float(item["at"]) / 1000, "kind": str(item["kind"]), "who": str(item["who"]), "detail": detail}


@dataclass
class _Visit:
    """A state that was entered once."""

    state: str
    entered_at: float
    left_at: float | None = None
    errors: list[str] = field(default_factory=list)
    is_failing: bool = False  # the last that was heard of it was an error


def story(events: "Iterable[HistoryEventTypeDef]") -> dict[str, Any]:
    """What an execution did: the states entered, in order, the transitions taken, and why it failed if it did.

    A visit is `current` while its state was not left, `caught` if it was left by an error, else `done`; in an execution
    that ended badly, what was not left has `failed`.
    """
    visits: list[_Visit] = []
    taken: list[tuple[str, str]] = []
    of: dict[int, _Visit] = {}  # the visit that an event belongs to, by the event's id
    exits: dict[int, str] = {}
    failure: str | None = None
    title = ""
    about: dict[str, Any] = {}
    for event in events:
        at, before = event["timestamp"].timestamp(), event.get("previousEventId", 0)
        if "stateEnteredEventDetails" in event:
            visit = _Visit(event["stateEnteredEventDetails"]["name"], at)
            visits.append(visit)
            of[event["id"]] = visit
            if before in exits:
                taken.append((exits[before], visit.state))
        elif "stateExitedEventDetails" in event:
            name = event["stateExitedEventDetails"]["name"]
            exits[event["id"]] = name
            next(visit for visit in visits if visit.state == name and visit.left_at is None).left_at = at
            about = about or _about(event["stateExitedEventDetails"].get("output", ""))
        elif "executionStartedEventDetails" in event:
            title = _title(event["executionStartedEventDetails"].get("input", ""))
        elif event["type"].startswith("Execution"):
            if event["type"].endswith(_FAILED):
                failure = _error(event) or event["type"].removeprefix("Execution")
        elif before in of:
            visit = of[event["id"]] = of[before]
            visit.is_failing = event["type"].endswith(_FAILED)
            if visit.is_failing:
                visit.errors.append(_error(event) or event["type"])
    return {
        "visits": [
            {
                "state": visit.state,
                "entered_at": visit.entered_at,
                "left_at": visit.left_at,
                "look": _look_of(visit, failure),
                "errors": visit.errors,
            }
            for visit in visits
        ],
        "taken": taken,
        "failure": failure,
        "title": title,
        **about,
    }


def _look_of(visit: _Visit, failure: str | None) -> str:
    if visit.left_at is None:
        return "failed" if failure else "current"
    return "caught" if visit.is_failing else "done"


def _error(event: "HistoryEventTypeDef") -> str:
    """The error's name that an event carries in its details."""
    details = (value for name, value in event.items() if name.endswith("EventDetails") and isinstance(value, dict))
    return next((str(value["error"]) for value in details if value.get("error")), "")


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _title(text: str) -> str:
    """What an execution is about, by its input: the webhook's status and its group."""
    given = _json_object(text)
    webhook = given.get("webhook")
    if not isinstance(webhook, dict):
        return ": ".join(str(given[name]) for name in ("source", "about") if given.get(name))
    labels = webhook.get("groupLabels") or webhook.get("commonLabels") or {}
    names = [str(labels[name]) for name in ("alertname", "product") if labels.get(name)]
    return f"{webhook.get('status', '')}: {', '.join(names) or webhook.get('groupKey', '')}"


def _about(text: str) -> dict[str, Any]:
    """What its first state decided: the action, and the incidents."""
    output = _json_object(text)
    return {"action": output.get("action"), "incidents": output.get("incidents", [])}
