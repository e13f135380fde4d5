"""PagerDuty's Events API v2: what is posted to /v2/enqueue.

PagerDuty/api-schema, reference/events-v2/openapiv3.json: routing_key and event_action are required; dedup_key for acknowledge
and resolve; payload with summary, source and severity for trigger. Its guide adds: 512 KB in all, a dedup_key of at most 255
characters, a summary of 1,024, of which more is cut.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from oncall.alerts.event import Said, SourceEvent
from oncall.errors import WebhookError

SOURCE = "pagerduty"
MOST_BYTES = 512 * 1024
ACTIONS: Mapping[str, Said] = {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}
SEVERITIES = ("critical", "error", "warning", "info")
DEDUP_LIMIT = 255
SUMMARY_LIMIT = 1_024


def problems(event: Mapping[str, Any]) -> list[str]:
    """What is wrong with an event, besides its key; in the form of PagerDuty's `errors`."""
    found = []
    action, dedup, payload = (event.get(name) for name in ("event_action", "dedup_key", "payload"))
    if not isinstance(action, str) or action not in ACTIONS:
        found.append(f"'event_action' is not one of {', '.join(ACTIONS)}")
    if dedup is not None and not (isinstance(dedup, str) and len(dedup) <= DEDUP_LIMIT):
        found.append(f"'dedup_key' is not a text of at most {DEDUP_LIMIT} characters")
    if action in ("acknowledge", "resolve") and not dedup:
        found.append("'dedup_key' is missing or blank")
    if action == "trigger":
        if not isinstance(payload, Mapping):
            return [*found, "'payload' is missing or not an object"]
        found += [
            f"'payload.{name}' is missing or blank"
            for name in ("summary", "source")
            if not isinstance(payload.get(name), str) or not payload[name].strip()
        ]
        if payload.get("severity") not in SEVERITIES:
            found.append(f"'payload.severity' is not one of {', '.join(SEVERITIES)}")
        if not isinstance(payload.get("custom_details", {}), Mapping | str | list | None):
            found.append("'payload.custom_details' is not an object")
    return found


def read(event: Mapping[str, Any], product: str) -> SourceEvent:
    """An event in which nothing is wrong; one without a dedup_key has a new one. Raises WebhookError for others."""
    if wrong := problems(event):
        raise WebhookError("; ".join(wrong))
    written = event.get("payload")
    payload: Mapping[str, Any] = written if isinstance(written, Mapping) else {}
    details = payload.get("custom_details")
    links = [link for link in _objects(event.get("links")) if isinstance(link.get("href"), str)]
    images = [image for image in _objects(event.get("images")) if isinstance(image.get("src"), str)]
    named = {name: payload.get(name) for name in ("source", "component", "group", "class")}
    return SourceEvent(
        key=str(event.get("dedup_key") or uuid4().hex),
        status=ACTIONS[event["event_action"]],
        summary=str(payload.get("summary") or "")[:SUMMARY_LIMIT],
        severity=str(payload.get("severity") or "critical"),
        product=product,
        description=details if isinstance(details, str) else "",
        details={
            **named,
            "client": event.get("client"),
            **(details if isinstance(details, Mapping) else {}),
        },
        link=str(event.get("client_url") or ""),
        alert_link=links[0]["href"] if links else "",
        graph_link=str(images[0].get("href") or images[0]["src"]) if images else "",
        starts_at=str(payload.get("timestamp") or ""),
    )


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
