"""Sentry's webhooks: of an internal integration (issue alerts, metric alerts, issues), and of the older plugin.

Sentry, "Webhooks": {action, data: {event, triggered_rule}} for an issue alert, {action: critical, warning or resolved, data:
{metric_alert, description_title, description_text, web_url}} for a metric alert, {action: created, resolved ..., data: {issue}}
for an issue. The plugin posts {project, message, level, url, event}.
"""

from collections.abc import Mapping
from typing import Any

from oncall.alerts.event import Said, SourceEvent
from oncall.errors import WebhookError

_ISSUE: Mapping[str, Said | None] = {
    **dict.fromkeys(("created", "unresolved", "triggered"), "firing"),
    "resolved": "resolved",
    **dict.fromkeys(("assigned", "archived", "ignored"), None),
}


def read(payload: Mapping[str, Any], product: str) -> SourceEvent | None:
    """The event; None for what changes nothing (an issue is assigned). Raises WebhookError with what is wrong."""
    data = _object(payload.get("data"))
    if alert := _object(data.get("metric_alert")):
        return _metric(payload, data, alert, product)
    if issue := _object(data.get("issue")):
        return _issue(str(payload.get("action")), issue, product)
    if event := _object(data.get("event")):
        return _event(event, str(data.get("triggered_rule") or ""), product)
    if event := _object(payload.get("event")):
        named = {"web_url": payload.get("url"), "level": payload.get("level"), "title": payload.get("message")}
        merged = {**event, "issue_id": payload.get("id"), **{name: value for name, value in named.items() if value}}
        return _event(merged, str(payload.get("project_name") or payload.get("project") or ""), product)
    raise WebhookError(
        "the body is none of Sentry's alerts: data.event, data.issue, data.metric_alert or event is missing"
    )


def _metric(payload: Mapping[str, Any], data: Mapping[str, Any], alert: Mapping[str, Any], product: str) -> SourceEvent:
    action = payload.get("action")
    if action not in ("critical", "warning", "resolved"):
        raise WebhookError(f"action {str(action)[:50]!r} is none of a metric alert's")
    return SourceEvent(
        key=f"metric/{alert.get('id')}",
        status="resolved" if action == "resolved" else "firing",
        summary=str(data.get("description_title") or alert.get("title") or "a metric alert of Sentry"),
        severity="warning" if action == "warning" else "critical",
        product=product,
        description=str(data.get("description_text") or ""),
        details={"projects": ", ".join(map(str, _list(alert.get("projects"))))},
        link=str(data.get("web_url") or ""),
    )


def _issue(action: str, issue: Mapping[str, Any], product: str) -> SourceEvent | None:
    if action not in _ISSUE:
        raise WebhookError(f"action {action[:50]!r} is none of an issue's")
    status = _ISSUE[action]
    if status is None:
        return None
    return SourceEvent(
        key=f"issue/{issue.get('id')}",
        status=status,
        summary=str(issue.get("title") or "an issue of Sentry"),
        severity=str(issue.get("level") or "error"),
        product=product,
        description=str(issue.get("culprit") or ""),
        details={"project": _object(issue.get("project")).get("slug"), "issue": issue.get("shortId")},
        link=str(issue.get("web_url") or issue.get("permalink") or ""),
        starts_at=str(issue.get("firstSeen") or ""),
    )


def _event(event: Mapping[str, Any], rule: str, product: str) -> SourceEvent:
    issue = event.get("issue_id") or event.get("groupID") or event.get("event_id") or event.get("id")
    if not issue:
        raise WebhookError("the event has no issue_id, so its end could not be told")
    return SourceEvent(
        key=f"issue/{issue}",
        status="firing",
        summary=str(event.get("title") or event.get("message") or "an event of Sentry"),
        severity=str(event.get("level") or "error"),
        product=product,
        description=str(event.get("culprit") or ""),
        details={"rule": rule, "environment": event.get("environment"), "release": event.get("release")},
        link=str(event.get("web_url") or ""),
        starts_at=str(event.get("datetime") or ""),
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
