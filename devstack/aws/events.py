"""EventBridge: rules on schedules and on executions that end, delivered to functions, topics and state machines."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from moto.events.models import EventPattern

from devstack.aws.resources import Resources
from devstack.aws.template import TemplateError

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


def rate_seconds(expression: str) -> float:
    """Seconds between the runs of `rate(5 minutes)`. Raises TemplateError for cron(), which nothing here runs."""
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", expression)
    if not found or (int(found.group(1)) == 1) == bool(found.group(3)):
        raise TemplateError(f"Parameter ScheduleExpression is not valid, or is not a rate: {expression}")
    return int(found.group(1)) * _UNITS[found.group(2)]


def checked(event: Any) -> Mapping[str, Any]:
    """An event that somebody has written. Raises ValueError for what EventBridge would not take."""
    if not isinstance(event, dict):
        raise ValueError("it is a JSON object")  # noqa: TRY004  to the caller, JSON of a wrong shape
    for name, kind in (("source", str), ("detail-type", str), ("detail", dict)):
        if not isinstance(event.get(name), kind):
            raise ValueError(f"{name} is missing, or of another type")  # noqa: TRY004  as above
    return event


class EventBridge:
    """Delivers events to the targets of the rules in `resources`.

    `speed`: how many times faster than the clock schedules run.
    """

    def __init__(self, resources: Resources, *, speed: float, failed: Callable[[str], None]):
        self._resources = resources
        self._speed = speed
        self._failed = failed  # told of deliveries that failed
        self._due: dict[tuple[str, str], float] = {}
        self.is_away = False  # whether it delivers nothing
        threading.Thread(target=self._run_schedules, daemon=True).start()

    def put(self, event: Mapping[str, Any]) -> list[str]:
        """Deliver an event (without its envelope) to the targets of all rules that match, in a thread of its own.

        Returns the names of those rules.
        """
        whole = self._envelope(event)
        matched = []
        for name, rule in list(self._resources.rules.items()):
            pattern = rule.get("EventPattern")
            enabled = rule.get("State", "ENABLED") == "ENABLED"
            if pattern and enabled and EventPattern.load(json.dumps(pattern)).matches_event(whole):
                matched.append(name)
                threading.Thread(target=self._deliver, args=(name, rule, whole), daemon=True).start()
        return matched

    def _envelope(self, event: Mapping[str, Any]) -> Any:
        return {
            "version": "0",
            "id": str(uuid4()),
            "account": self._resources.account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._resources.region,
            "resources": [],
            **event,
        }

    def _run_schedules(self) -> None:
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            rules = {
                (name, rule["ScheduleExpression"]): rule
                for name, rule in list(self._resources.rules.items())
                if "ScheduleExpression" in rule and rule.get("State", "ENABLED") == "ENABLED"
            }
            for gone in set(self._due) - set(rules):
                del self._due[gone]
            for key, rule in rules.items():
                interval = rate_seconds(key[1]) / self._speed
                if now >= self._due.setdefault(key, now + interval):
                    self._due[key] = now + interval
                    arn = self._resources.arn("events", f"rule/{key[0]}")
                    event = {
                        "source": "aws.events",
                        "detail-type": "Scheduled Event",
                        "resources": [arn],
                        "detail": {},
                    }
                    whole = self._envelope(event)
                    threading.Thread(target=self._deliver, args=(key[0], rule, whole), daemon=True).start()

    def _deliver(self, name: str, rule: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        if self.is_away:
            return
        for target in rule.get("Targets", []):
            text = "{}" if rule.get("Scheduler") and "Input" not in target else target_input(target, event)
            arn = target["Arn"]
            try:
                self._send(arn, text)
            except Exception as error:  # noqa: BLE001 - whatever a target does must not end the schedules; it is told
                self._failed(f"the rule {name} could not reach {arn}: {error}")

    def _send(self, arn: str, text: str) -> None:
        match arn.split(":")[2]:
            case "lambda":
                function = self._resources.runtime.find(arn)
                if function is None:
                    raise LookupError("there is no such function")
                self._resources.runtime.invoke_event(function, text.encode())
            case "sns":
                self._resources.client("sns").publish(TopicArn=arn, Message=text)
            case "states":
                self._resources.client("stepfunctions").start_execution(
                    stateMachineArn=arn, name=str(uuid4()), input=text
                )
            case service:
                raise LookupError(f"targets of {service} are not delivered to")


def target_input(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """What a target gets for an event: its Input, the part that its InputPath names, its InputTransformer's text, or all."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_at(event, target["InputPath"]))
    if "InputTransformer" not in target:
        return json.dumps(event)
    transformer = target["InputTransformer"]
    values = {name: _at(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    template = transformer["InputTemplate"]

    def value(match: re.Match[str]) -> str:
        found = values.get(match.group(1), match.group(0))
        quoted = len(re.findall(r'(?<!\\)"', template[: match.start()])) % 2 == 1
        if not quoted:
            return json.dumps(found)
        return json.dumps(found)[1:-1] if isinstance(found, str) else json.dumps(found).replace('"', '\\"')

    return re.sub(r"<([A-Za-z0-9_.-]+)>", value, template)


def _at(event: Any, path: str) -> Any:
    for name in path.removeprefix("$").split("."):
        if name:
            event = event.get(name) if isinstance(event, dict) else None
    return event
