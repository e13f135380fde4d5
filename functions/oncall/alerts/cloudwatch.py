"""CloudWatch's alarms, of this and of other accounts and regions, as EventBridge delivers them: at least once.

CloudWatch, "Alarm events and EventBridge": detail has alarmName, state {value, reason, timestamp, actionsSuppressedBy},
previousState, configuration {description, metrics or alarmRule}, alarmTags where the alarm propagates them, and muteDetail
while a mute rule holds. What an alarm publishes to a topic has other names for the same, and no tags; an alarm over several
time series publishes for each of them (AlarmContributorId) as well.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from oncall.alerts.event import SourceEvent, group_of
from oncall.alerts.group import AlertGroup, Status
from oncall.errors import WebhookError
from oncall.roster.sources import CLOUDWATCH, Source

PRODUCT_TAG, SEVERITY_TAG, RUNBOOK_TAG = "oncall:product", "oncall:severity", "oncall:runbook"
DEFAULT_SEVERITY = "critical"  # of an alarm of which neither a tag nor a rule of the roster says it


def read_event(given: Mapping[str, Any], known: Source, product: str = "") -> AlertGroup | None:
    """The alert group of {"account", "region", "detail"}; None if it says nothing: no data, or a suppressed composite.

    CloudWatch tells again of a composite alarm whose suppression ends. What a mute rule mutes is for Slack alone. `product` is
    that of alarms of which neither a tag nor a rule says it. Raises WebhookError with what is wrong.
    """
    detail = given.get("detail")
    if not isinstance(detail, Mapping) or not isinstance(detail.get("state"), Mapping):
        raise WebhookError("the event of CloudWatch has no detail with a state")
    name, state, configuration = detail.get("alarmName"), detail["state"], _mapping(detail.get("configuration"))
    if not isinstance(name, str) or not name:
        raise WebhookError("the event of CloudWatch has no alarmName")
    try:
        at = datetime.fromisoformat(str(state.get("timestamp")))  # its offset is written +0000
    except ValueError as error:
        raise WebhookError(f"the event of CloudWatch has no time: {state.get('timestamp')!r}") from error
    if at.tzinfo is None:
        raise WebhookError(f"the event of CloudWatch has a time without an offset: {state['timestamp']!r}")
    status = _status(state.get("value"), known)
    if status is None or (status == "firing" and state.get("actionsSuppressedBy")):
        return None
    tags, rule = _mapping(detail.get("alarmTags")), known.rule_for(name)
    severity = tags.get(SEVERITY_TAG) or rule.severity or DEFAULT_SEVERITY
    account, region = str(given.get("account", "")), str(given.get("region", ""))
    description, reason = str(configuration.get("description") or ""), str(state.get("reason") or "")
    event = SourceEvent(
        key="/".join(str(part) for part in (account, region, name, detail.get("contributor")) if part is not None),
        status=status,
        name=name,
        summary=description or name,
        description=reason,
        severity="warning" if detail.get("muteDetail") else str(severity),
        product=str(tags.get(PRODUCT_TAG) or rule.product or product),
        details={**_dimensions(configuration), "account": account, "region": region},
        link=_console(region, name),
        runbook_link=str(tags.get(RUNBOOK_TAG) or ""),
        starts_at=at.isoformat(),
    )
    return group_of(CLOUDWATCH, event, received_at=int(at.timestamp() * 1000))


def event_of_message(text: str) -> Mapping[str, Any]:
    """What an alarm has published to a topic of SNS, as the event that EventBridge has of it. Raises WebhookError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    arn = str(given.get("AlarmArn")).split(":", 6) if isinstance(given, Mapping) else []
    if not isinstance(given, Mapping) or len(arn) != 7 or arn[2] != "cloudwatch":
        raise WebhookError("what the topic says is no alarm of CloudWatch's: AlarmName and AlarmArn are missing")
    trigger = _mapping(given.get("Trigger"))
    metrics = [trigger, *(_mapping(_mapping(one).get("MetricStat")).get("Metric") for one in _list(trigger, "Metrics"))]
    pairs = [_mapping(pair) for metric in metrics for pair in _list(_mapping(metric), "Dimensions")]
    dimensions = {str(pair.get("name")): pair.get("value") for pair in pairs}
    dimensions |= _mapping(given.get("AlarmContributorAttributes"))
    detail = {
        "alarmName": given.get("AlarmName"),
        "contributor": given.get("AlarmContributorId"),
        "state": {
            "value": given.get("NewStateValue"),
            "reason": given.get("NewStateReason"),
            "timestamp": given.get("StateChangeTime"),
        },
        "configuration": {
            "description": given.get("AlarmDescription"),
            "metrics": [{"metricStat": {"metric": {"dimensions": dimensions}}}],
        },
    }
    return {"account": arn[4], "region": arn[3], "detail": detail}


def subscription(topic: str, *, is_over: bool, product: str, received_at: int) -> AlertGroup:
    """The group about a subscription to a topic (its ARN): it fires when that has ended, and resolves when it is confirmed."""
    event = SourceEvent(
        key=topic,
        status="firing" if is_over else "resolved",
        name="Alarms come no more",
        summary=f"the subscription to {topic} has ended: no alarm comes by it any more",
        severity="warning",
        product=product,
        description="Subscribe the topic again, or, if this was meant, take it out of the roster and resolve this here.",
    )
    return group_of(CLOUDWATCH, event, received_at=received_at)


def is_left_out(event: Mapping[str, Any], stack: str) -> bool:
    """Whether an alarm is this stack's own, which tells the fallback topic, or one of target tracking's, which scales."""
    return str(_mapping(event.get("detail")).get("alarmName")).startswith((f"{stack}-", "TargetTracking-"))


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _status(value: object, known: Source) -> Status | None:
    match value:
        case "ALARM":
            return "firing"
        case "OK":
            return "resolved"
        case "INSUFFICIENT_DATA":
            meant: Mapping[str, Status | None] = {"alarm": "firing", "ok": "resolved", "ignore": None}
            return meant[known.insufficient_data]
    raise WebhookError(f"the event of CloudWatch has the state {value!r}, which is none of CloudWatch's")


def _dimensions(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What the alarm's metrics are about: the dimensions of all of them."""
    found: dict[str, Any] = {}
    metrics = configuration.get("metrics")
    for metric in metrics if isinstance(metrics, list) else []:
        stat = _mapping(_mapping(metric).get("metricStat"))
        found |= _mapping(_mapping(stat.get("metric")).get("dimensions"))
    return found


def _console(region: str, name: str) -> str:
    """The alarm's page in the console of its partition."""
    host = "amazonaws.cn" if region.startswith("cn-") else "amazonaws-us-gov.com" if "-gov-" in region else ""
    base = f"https://console.{host}" if host else f"https://{region}.console.aws.amazon.com"
    return f"{base}/cloudwatch/home?region={region}#alarmsV2:alarm/{quote(name, safe='', errors='replace')}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
