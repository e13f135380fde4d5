"""CloudWatch's alarms: metrics as points come in, the alarms of the stacks judged on them, and what follows from a change.

Points come from PutMetricData, from what functions log (in the embedded metric format, or seen by metric filters), and from
Lambda, Step Functions, DynamoDB and API Gateway themselves. Time runs as fast as the schedules do. As there, an alarm is
judged from its first minute on, so that one on silence fires before anything could be heard; alarms on DynamoDB's metrics
ignore missing data whatever they say of it; and FILL makes nothing of a window without any point. Simpler: only whole
periods count, and of metric math there is FILL of one metric.
"""

import json
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devstack.aws.resources import Resources
from devstack.aws.template import TemplateError

_KEPT = 10_800  # seconds: how long points are kept
# Periods before those that an alarm judges, in which FILL looks for a point. CloudWatch's evaluation range is longer than
# the evaluation periods; by how much, it does not say.
_RANGE = 2
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}

Metric = tuple[str, str, tuple[tuple[str, str], ...]]  # namespace, name, dimensions


def metric(namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
    """A metric by all that tells it from others."""
    return namespace, name, tuple(sorted(dimensions.items()))


@dataclass(frozen=True)
class Rule:
    """What an alarm judges."""

    metric: Metric
    statistic: str
    period: int  # seconds
    fill: float | None  # what FILL puts where the metric has no point
    comparison: str
    threshold: float
    periods: int  # that are looked at
    points: int  # of them that have to breach
    missing: str  # breaching, notBreaching, ignore, missing


def read_rule(properties: Mapping[str, Any]) -> Rule:
    """The rule of an AWS::CloudWatch::Alarm. Raises TemplateError for what is not judged here."""
    source, fill = properties, None
    if "Metrics" in properties:
        by_id = {each["Id"]: each for each in properties["Metrics"]}
        (shown,) = (each for each in by_id.values() if each.get("ReturnData", True) is True)
        found = re.fullmatch(r"FILL\((\w+), *(\d+)\)", shown.get("Expression", ""))
        if not found or found.group(1) not in by_id:
            raise TemplateError(
                f"Unsupported expression '{shown.get('Expression')}': only FILL(metric, number) is judged"
            )
        stat = by_id[found.group(1)]["MetricStat"]
        source, fill = {**stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"]}, float(found.group(2))
    if source.get("Statistic") not in _STATISTICS or properties["ComparisonOperator"] not in _COMPARISONS:
        raise TemplateError("only the plain statistics and comparisons with a threshold are judged")
    periods = int(properties["EvaluationPeriods"])
    # PutMetricAlarm, TreatMissingData: "Alarms that evaluate metrics in the AWS/DynamoDB namespace always ignore missing data"
    missing = "ignore" if source["Namespace"] == "AWS/DynamoDB" else properties.get("TreatMissingData", "missing")
    return Rule(
        metric=metric(
            source["Namespace"], source["MetricName"], {d["Name"]: d["Value"] for d in source.get("Dimensions", [])}
        ),
        statistic=source["Statistic"],
        period=int(source["Period"]),
        fill=fill,
        comparison=properties["ComparisonOperator"],
        threshold=float(properties["Threshold"]),
        periods=periods,
        points=int(properties.get("DatapointsToAlarm", periods)),
        missing=missing,
    )


def judge(rule: Rule, values: Sequence[float | None], state: str) -> str:
    """The alarm's next state; `values` are those of its periods, None where there is no point."""
    breaches = _COMPARISONS[rule.comparison]
    if all(value is None for value in values) and rule.missing in ("missing", "ignore"):
        return "INSUFFICIENT_DATA" if rule.missing == "missing" else state
    count = sum(
        rule.missing == "breaching" if value is None else breaches(value, rule.threshold)
        for value in values
        if value is not None or rule.missing in ("breaching", "notBreaching")
    )
    return "ALARM" if count >= rule.points else "OK"


_TERM = re.compile(r'\$\.(\w+) *(!?=) *"([^"]*)"')


def filtered(properties: Mapping[str, Any], logged: Mapping[str, Any]) -> Iterator[tuple[Metric, float]]:
    """What an AWS::Logs::MetricFilter makes of a line of JSON. Raises TemplateError for a pattern that is not read here."""
    pattern = properties["FilterPattern"].strip()
    several, words = (any, "||") if "||" in pattern else (all, "&&")
    terms = [_TERM.fullmatch(term.strip()) for term in pattern.removeprefix("{").removesuffix("}").split(words)]
    if not pattern.startswith("{") or None in terms:
        raise TemplateError(
            f'the pattern {pattern}: only {{ $.field = "text" && $.other != "text*" }} is read, or with ||'
        )
    if not several(_holds(term, logged) for term in terms if term):
        return
    for each in properties["MetricTransformations"]:
        dimensions = {one["Key"]: str(logged[one["Value"].removeprefix("$.")]) for one in each.get("Dimensions", [])}
        named = each["MetricValue"]
        value = logged.get(named[2:]) if named.startswith("$.") else float(named)
        if isinstance(value, int | float):  # a value that is no number makes no point
            yield metric(each["MetricNamespace"], each["MetricName"], dimensions), float(value)


def _holds(term: re.Match[str], logged: Mapping[str, Any]) -> bool:
    """Whether a line has what a term asks for. A field that is not there equals nothing, and differs from nothing."""
    value = logged.get(term[1])
    is_equal = value.startswith(term[3][:-1]) if isinstance(value, str) and term[3].endswith("*") else value == term[3]
    return value is not None and is_equal == (term[2] == "=")


@dataclass
class _Alarm:
    properties: Mapping[str, Any]
    rule: Rule | None  # None: never judged
    judged: int  # the last minute
    state: str = "INSUFFICIENT_DATA"
    changed_at: str = ""


class CloudWatch:
    """Judges the alarms in `resources` every minute; tells topics and EventBridge of changes."""

    def __init__(
        self,
        resources: Resources,
        *,
        speed: float,
        put_event: Callable[[Mapping[str, Any]], None],
        failed: Callable[[str], None],
    ):
        self._resources = resources
        self._speed = speed
        self._put_event = put_event
        self._failed = failed
        self._points: dict[Metric, deque[tuple[float, float]]] = defaultdict(deque)
        self._alarms: dict[str, _Alarm] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, which: Metric, values: Sequence[float]) -> None:
        """Points of a metric, now."""
        now = self._now()
        with self._lock:
            points = self._points[which]
            points.extend((now, value) for value in values)
            while points and points[0][0] < now - _KEPT:
                points.popleft()

    def put_metric_data(self, form: Mapping[str, str]) -> None:
        """The points of a PutMetricData request in the query protocol that moto has accepted."""
        number = 1
        while f"MetricData.member.{number}.MetricName" in form:
            prefix = f"MetricData.member.{number}."
            dimensions, each = {}, 1
            while name := form.get(f"{prefix}Dimensions.member.{each}.Name"):
                dimensions[name] = form[f"{prefix}Dimensions.member.{each}.Value"]
                each += 1
            self.put(
                metric(form["Namespace"], form[f"{prefix}MetricName"], dimensions), [float(form[f"{prefix}Value"])]
            )
            number += 1

    def read_log(self, group: str, line: bytes) -> None:
        """The points in a line of a log group: in the embedded metric format, or those that metric filters see in it."""
        if not line.startswith(b"{"):
            return
        try:
            logged = json.loads(line)
        except ValueError:  # a line of something else that begins like JSON
            return
        if not line.startswith(b'{"_aws"'):
            for properties in list(self._resources.metric_filters.values()):
                if properties["LogGroupName"] == group:
                    for which, value in filtered(properties, logged):
                        self.put(which, [value])
            return
        for directive in logged["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: str(logged[name]) for name in names}
                for each in directive["Metrics"]:
                    value = logged[each["Name"]]
                    which = metric(directive["Namespace"], each["Name"], dimensions)
                    self.put(which, value if isinstance(value, list) else [value])

    def states(self) -> list[dict[str, Any]]:
        """Every alarm with its state, for tests."""
        with self._lock:
            return [
                {"name": name, "state": alarm.state, "changed_at": alarm.changed_at}
                for name, alarm in self._alarms.items()
            ]

    def _now(self) -> float:
        return time.time() * self._speed

    def _run(self) -> None:
        while True:
            time.sleep(min(1.0, 6 / self._speed))
            self._follow_stacks()
            minute = int(self._now() // 60)
            for name, alarm in list(self._alarms.items()):
                while alarm.judged < minute:  # each of the minutes, however long this process was kept from it
                    alarm.judged += 1
                    self._judge(name, alarm)

    def _judge(self, name: str, alarm: _Alarm) -> None:
        if alarm.rule is None:
            return
        values = self._values(alarm.rule, alarm.judged)
        state = judge(alarm.rule, values, alarm.state)
        if state != alarm.state:
            try:
                self._change(name, alarm, state, values)
            except Exception as error:  # noqa: BLE001 - whatever a target does must not end the alarms; it is told
                self._failed(f"the alarm {name} could not tell of {state}: {error}")

    def _follow_stacks(self) -> None:
        declared = dict(self._resources.alarms)
        with self._lock:
            for gone in set(self._alarms) - set(declared):
                del self._alarms[gone]
            for name, properties in declared.items():
                known = self._alarms.get(name)
                if known and known.properties is properties:
                    continue
                try:
                    rule = read_rule(properties)
                except TemplateError as error:
                    rule = None
                    self._failed(f"the alarm {name} is never judged here: {error}")
                state = known.state if known else "INSUFFICIENT_DATA"
                self._alarms[name] = _Alarm(properties, rule, int(self._now() // 60), state)

    def _values(self, rule: Rule, minute: int) -> list[float | None]:
        """The statistic of each of the last whole periods, oldest first."""
        with self._lock:
            points = list(self._points.get(rule.metric, ()))
        end = minute * 60
        earliest = end - (rule.periods + _RANGE) * rule.period
        is_filled = any(earliest <= at < end for at, _ in points)
        found: list[float | None] = []
        for number in range(rule.periods, 0, -1):
            first = end - number * rule.period
            values = [value for at, value in points if first <= at < first + rule.period]
            if values:
                found.append(_STATISTICS[rule.statistic](values))
            else:
                found.append(rule.fill if is_filled else None)
        return found

    def _change(self, name: str, alarm: _Alarm, state: str, values: Sequence[float | None]) -> None:
        # To the millisecond, with an offset without a colon, as CloudWatch writes it.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
        before, alarm.state, alarm.changed_at = alarm.state, state, now
        judged = "{ComparisonOperator} {Threshold}".format_map(alarm.properties)
        reason = f"Threshold Crossed: the last periods had {list(values)} ({judged})."
        self._resources.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)
        arn = self._resources.arn("cloudwatch", f"alarm:{name}")
        description = alarm.properties.get("AlarmDescription", "")
        self._put_event(
            {
                "source": "aws.cloudwatch",
                "detail-type": "CloudWatch Alarm State Change",
                "resources": [arn],
                "detail": {
                    "alarmName": name,
                    "state": {"value": state, "reason": reason, "timestamp": now},
                    "previousState": {"value": before},
                    "configuration": {"description": description},
                },
            }
        )
        actions = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}[state]
        for topic in alarm.properties.get(actions, []):
            self._resources.client("sns").publish(
                TopicArn=topic,
                Subject=f'{state}: "{name}" in {self._resources.region}'[:100],
                Message=json.dumps(
                    {
                        "AlarmName": name,
                        "AlarmDescription": description,
                        "NewStateValue": state,
                        "OldStateValue": before,
                        "NewStateReason": reason,
                        "StateChangeTime": now,
                        "Region": self._resources.region,
                        "AlarmArn": arn,
                    }
                ),
            )
