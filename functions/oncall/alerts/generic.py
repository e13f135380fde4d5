"""A JSON of our own form, for senders whose body can be written by hand.

Its fields are summary, severity, product, dedup, status, description, details and link.

Only the summary is needed, and for what is not firing what tells it from others.
"""

from collections.abc import Mapping
from typing import Any

from oncall.alerts.event import Said, SourceEvent
from oncall.errors import WebhookError

# What senders say, in normal form. Of zabbix and the like a number.
_FIRING = ("firing", "trigger", "triggered", "alert", "alerting", "alarm", "problem", "down", "open", "1", "true")
_ACKNOWLEDGED = ("acknowledged", "acknowledge", "ack")
_RESOLVED = ("resolved", "resolve", "recovered", "recovery", "ok", "up", "closed", "0", "false")
STATUSES: Mapping[str, Said] = {
    **dict.fromkeys(_FIRING, "firing"),
    **dict.fromkeys(_ACKNOWLEDGED, "acknowledged"),
    **dict.fromkeys(_RESOLVED, "resolved"),
}


def read(payload: Mapping[str, Any], product: str) -> SourceEvent:
    """The event. Raises WebhookError with what is wrong."""
    summary, dedup = said(payload, "summary"), said(payload, "dedup")
    status = status_of(said(payload, "status") or "firing")
    if not summary and status == "firing":
        raise WebhookError("summary is missing: a sentence that says what is wrong")
    if not summary and not dedup:
        raise WebhookError("dedup is missing: the one with which it fired, or its summary")
    details = payload.get("details")
    if details is not None and not isinstance(details, Mapping):
        raise WebhookError("details is not an object of names and values")
    return SourceEvent(
        key=dedup or summary,
        status=status,
        summary=summary,
        severity=said(payload, "severity"),
        product=said(payload, "product") or product,
        description=said(payload, "description"),
        details=details or {},
        link=said(payload, "link"),
    )


def status_of(written: str) -> Said:
    """What a status means. Raises WebhookError for one that is not known: it could be a firing one."""
    found = STATUSES.get(written.strip().casefold())
    if found is None:
        raise WebhookError(f"status {written[:50]!r} is not known: write firing, acknowledged or resolved")
    return found


def said(payload: Mapping[str, Any], name: str) -> str:
    """A field as a text; '' if it is missing. Raises WebhookError if it is an object or a list."""
    value = payload.get(name)
    if isinstance(value, Mapping | list):
        raise WebhookError(f"{name} is not a text")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).strip()
