"""What all sources have in common that tell of one thing at a time: an event becomes a group with one alert."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oncall import severities
from oncall.alerts.alertmanager import TEXT_LIMIT, Alert, AlertGroup, Status

TITLE = 200  # characters of a summary that name an alert; a longer one is told below it
DETAILS = 20  # an incident keeps so many labels
DETAIL = 200  # and so many characters of each


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """What a source says of one thing. `key` tells that thing from all others of the source.

    `severity` and `product` are as the source writes them. `link` leads to the source's page about it. `starts_at` is RFC 3339.
    """

    key: str
    status: Status
    summary: str
    severity: str
    product: str = ""
    description: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    link: str = ""
    alert_link: str = ""  # where that is another page
    graph_link: str = ""
    runbook_link: str = ""
    starts_at: str = ""
    value: str = ""


def group_of(source: str, event: SourceEvent, *, received_at: int) -> AlertGroup:
    """The alert group of an event: one alert. `received_at` is in epoch milliseconds."""
    headline = text(event.summary) or text(event.description) or "an alert without a name"
    labels = {"alertname": text(headline, TITLE), "severity": text(event.severity, DETAIL)}
    if event.product:
        labels["product"] = text(event.product, DETAIL)
    for name, detail in event.details.items():
        if len(labels) < DETAILS and name not in labels and detail not in (None, "", [], {}):
            labels[text(name, DETAIL)] = text(detail, DETAIL)
    annotations = {
        "summary": headline if len(headline) > TITLE else "",
        "description": text(event.description, 500),
        "runbook_url": text(event.runbook_link, 500),
    }
    meaning = severities.meaning(event.severity, {})
    alert = Alert(
        status=event.status,
        labels=labels,
        annotations={name: written for name, written in annotations.items() if written},
        starts_at=event.starts_at,
        ends_at="",
        generator_url=text(event.alert_link or event.link),
        fingerprint=hashlib.sha256(f"{source} {event.key}".encode()).hexdigest()[:16],
        graph_url=text(event.graph_link),
        value=text(event.value, 60),
    )
    return AlertGroup(
        key=event.key,
        source=source,
        severity="critical" if meaning.level == "critical" else "warning",
        severity_note=meaning.why,
        product=text(event.product, DETAIL),
        alerts=(alert,),
        left_out=0,
        cut_characters=0,
        external_url=text(event.link),
        received_at=received_at,
        sender=source,
    )


def text(value: Any, limit: int = TEXT_LIMIT) -> str:
    """A value as a text that can be stored: half characters (lone surrogates) replaced, and cut."""
    if value is None:
        return ""
    written = value if isinstance(value, str) else str(value)
    written = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
    return written if len(written) <= limit else written[: limit - 1] + "…"
