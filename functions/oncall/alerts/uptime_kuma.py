"""Uptime Kuma's notification "Webhook" with its body "application/json": {heartbeat, monitor, msg}.

Uptime Kuma, server/notification-providers/webhook.js and server/model/heartbeat.js: status 0 is down, 1 up, 2 pending, 3
maintenance. Its test, and its word of a certificate that expires, have neither heartbeat nor monitor.
"""

from collections.abc import Mapping
from typing import Any

from oncall.alerts.event import Said, SourceEvent
from oncall.errors import WebhookError

_STATUSES: Mapping[int, Said] = {0: "firing", 1: "resolved"}
_SILENT = (2, 3)


def read(payload: Mapping[str, Any], product: str) -> SourceEvent | None:
    """The event; None for a test, and for a state that says nothing. Raises WebhookError with what is wrong."""
    heartbeat, monitor, message = payload.get("heartbeat"), payload.get("monitor"), payload.get("msg")
    if not isinstance(heartbeat, Mapping) and isinstance(message, str) and message:
        if message.rstrip().endswith("Testing"):
            return None
        return SourceEvent(key=message, status="firing", summary=message, severity="warning", product=product)
    if not isinstance(heartbeat, Mapping) or not isinstance(monitor, Mapping):
        raise WebhookError("the body has neither heartbeat and monitor nor msg: choose application/json as its form")
    status = heartbeat.get("status")
    if status in _SILENT:
        return None
    if not isinstance(status, int) or status not in _STATUSES:
        raise WebhookError(f"heartbeat.status {str(status)[:50]!r} is none of Uptime Kuma's")
    name = str(monitor.get("name") or monitor.get("id") or "a monitor without a name")
    url = monitor.get("url")
    tags = {str(tag.get("name")): str(tag.get("value")) for tag in _objects(monitor.get("tags"))}
    is_page = isinstance(url, str) and url.startswith(("http://", "https://")) and url not in ("http://", "https://")
    return SourceEvent(
        key=str(monitor.get("id") or name),
        status=_STATUSES[status],
        summary=f"{name} is down" if status == 0 else name,
        severity=tags.get("severity") or "critical",
        product=tags.get("product") or product,
        description=str(heartbeat.get("msg") or message or ""),
        details={"monitor": name, "hostname": monitor.get("hostname"), "type": monitor.get("type"), **tags},
        alert_link=str(url) if is_page else "",
    )


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
