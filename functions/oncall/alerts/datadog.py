"""Datadog's webhook. Its body is a template of ours (docs/sources.md), since Datadog has no form of its own to rely on.

Datadog, "Webhooks": $ALERT_TRANSITION is Triggered, Re-Triggered, Warn, Re-Warn, No Data, Re-No Data, Renotify, Recovered;
$ALERT_CYCLE_KEY is the same from a trigger to its recovery; a tag of the monitor names the product ($TAGS: a,b:c).
"""

from collections.abc import Mapping
from typing import Any

from oncall.alerts import generic
from oncall.alerts.event import Said, SourceEvent
from oncall.errors import WebhookError

_TRANSITIONS: Mapping[str, tuple[Said, str]] = {  # what it means, and how bad it is
    "triggered": ("firing", "critical"),
    "re-triggered": ("firing", "critical"),
    "renotify": ("firing", "critical"),
    "no data": ("firing", "critical"),
    "re-no data": ("firing", "critical"),
    "warn": ("firing", "warning"),
    "re-warn": ("firing", "warning"),
    "recovered": ("resolved", "critical"),
}


def read(payload: Mapping[str, Any], product: str) -> SourceEvent:
    """The event. Raises WebhookError with what is wrong."""
    transition = generic.said(payload, "status")
    found = _TRANSITIONS.get(transition.casefold())
    if found is None:
        raise WebhookError(
            f"status {transition[:50]!r} is no transition of Datadog's: paste the template of docs/sources.md"
        )
    status, severity = found
    pairs = [tag.strip().partition(":") for tag in generic.said(payload, "tags").split(",")]
    tags = {name: value for name, _, value in pairs if name and value}
    event = generic.read({**payload, "status": status}, tags.get("product") or product)
    return SourceEvent(
        key=event.key,
        status=status,
        summary=event.summary,
        severity=event.severity or tags.get("severity") or severity,
        product=event.product,
        description=event.description.removeprefix("%%%").removesuffix("%%%").strip(),
        details={**event.details, **tags},
        link=event.link,
    )
