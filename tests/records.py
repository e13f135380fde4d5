"""Records for tests that need no table: an incident, its headline, a line of its timeline."""

from typing import Any

from oncall import incidents
from oncall.alerts.alertmanager import read_webhook
from oncall.incidents import Headline, Incident, TimelineEvent

INCIDENT = "20261123-030000-abcdef"
OPENED = 1_795_402_800_000  # 2026-11-23 03:00 UTC

_WEBHOOK = {"groupKey": "shop", "status": "firing", "alerts": [{"status": "firing", "labels": {"product": "shop"}}]}
_ALERT = {
    "status": "firing",
    "title": "",
    "labels": {},
    "annotations": {},
    "starts_at": "",
    "fingerprint": "",
    "generator_url": "",
    "silence_url": "",
    "graph_url": "",
    "value": "",
}


def incident(hook: Any = None, cut: Any = None, **attributes: Any) -> Incident:
    """An incident that a webhook has opened, with these attributes of its item. Alerts need not be whole."""
    return Incident.from_item(incident_item(hook, cut, **attributes))


def incident_item(hook: Any = None, cut: Any = None, **attributes: Any) -> dict[str, Any]:
    """The same as the table has it."""
    group = read_webhook(hook or _WEBHOOK, received_at=0, cut=cut)
    item = {
        "id": INCIDENT,
        "state": "triggered",
        "opened_at": OPENED,
        "changed_at": OPENED,
        "call": True,
        "group": group.id,
        "opened_by": "execution",
        "version": 1,
        "slack_version": 0,
        "policy": "default",
        "channel": "C0ALERTS",
        "base": "https://example.com/prod",
        "known": {},
        "unseen": False,
        **incidents.summary(group),
        **attributes,
    }
    return item | {"alerts": [_ALERT | dict(alert) for alert in item["alerts"]]}


def headline(**attributes: Any) -> Headline:
    """What a call says of an incident."""
    return Headline.from_item(
        {
            "incident": INCIDENT,
            "product": "shop",
            "title": "",
            "summary": "The shop is down",
            "summaries": {},
            "firing": 1,
            "at_least": False,
            "test": False,
            "language": "",
            **attributes,
        }
    )


def event(kind: str, who: str = "", *, at: int = OPENED, **detail: Any) -> TimelineEvent:
    """A line of a timeline."""
    return TimelineEvent(number=1, at=at, kind=kind, who=who, detail=detail)
