"""What sources that tell of one thing at a time have in common: an event becomes a group with one alert.

And how a group is handed to an execution, whose input holds 262,144 bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from oncall import severities
from oncall.alerts.group import KEPT_ALERTS, TEST_LABEL, TEXT_LIMIT, Alert, AlertGroup

TITLE = 200  # characters of an alert's name
DETAILS = 20  # an incident keeps so many labels
DETAIL = 200  # and so many characters of each
MOST_ALERTS = 300  # of a group that are handed to an execution; the rest is counted
MOST_CHARACTERS = 12_000  # of labels, annotations and links; in JSON one takes up to twelve bytes
MOST_BYTES = 170_000  # of the alerts in JSON; whatever else an input has takes fewer than 90,000
MOMENT = 60  # characters of a time
KEY = 4_000  # characters of a key; of a longer one its hash tells it from others
_DECIDES = ("product", "severity", TEST_LABEL)  # the labels that say who is rung
_LINKS = ("generator_url", "silence_url", "graph_url", "value")

Said = Literal["firing", "acknowledged", "resolved"]  # acknowledged: somebody has it, at the source


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """What a source says of one thing. `key` tells that thing from all others of the source.

    `summary` is what is said, in a sentence; `name` what the alert is called, by default the same. `severity` and `product`
    are as the source writes them. `link` leads to the source's page about it. `starts_at` is RFC 3339.
    """

    key: str
    status: Said
    summary: str
    severity: str
    name: str = ""
    product: str = ""
    summary_ja: str = ""  # the same in Japanese, of what we say ourselves
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
    key = text(event.key, None)
    if len(key) > KEY:
        key = f"{key[:TITLE]}… {hashlib.sha256(key.encode()).hexdigest()}"
    headline = text(event.summary) or text(event.description) or "an alert without a name"
    labels = {"alertname": text(event.name, TITLE) or text(headline, TITLE), "severity": text(event.severity, DETAIL)}
    if event.product:
        labels["product"] = text(event.product, DETAIL)
    for name, detail in event.details.items():
        if len(labels) < DETAILS and name not in labels and detail not in (None, "", [], {}):
            labels[text(name, DETAIL)] = text(detail, DETAIL)
    annotations = {
        "summary": headline,
        "summary_ja": event.summary_ja,
        "description": text(event.description, 500),
        "runbook_url": text(event.runbook_link, 500),
    }
    meaning = severities.meaning(labels["severity"], {})
    alert = Alert(
        status="resolved" if event.status == "resolved" else "firing",
        labels=labels,
        annotations={name: written for name, written in annotations.items() if written},
        starts_at=text(event.starts_at, MOMENT),
        generator_url=text(event.alert_link or event.link),
        fingerprint=hashlib.sha256(f"{source} {key}".encode()).hexdigest()[:16],
        graph_url=text(event.graph_link),
        value=text(event.value, 60),
    )
    return AlertGroup(
        key=key,
        source=source,
        severity="critical" if meaning.level == "critical" else "warning",
        severity_note=meaning.why,
        product=text(event.product, DETAIL),
        alerts=(alert,),
        external_url=text(event.link),
        received_at=received_at,
        sender=source,
    )


def to_input(group: AlertGroup) -> dict[str, Any]:
    """A group as an execution's input has it: what fires first, and texts as long as there is room; the rest is counted."""
    ordered = sorted(group.alerts, key=lambda alert: alert.status != "firing")
    characters, size = MOST_CHARACTERS, MOST_BYTES
    alerts: list[dict[str, Any]] = []
    for number, alert in enumerate(ordered[:MOST_ALERTS]):
        kept = asdict(alert)
        kept |= {"starts_at": alert.starts_at[:MOMENT], "ends_at": alert.ends_at[:MOMENT]}
        for part in ("labels", "annotations"):
            texts, kept[part] = kept[part], {}
            for name, value in texts.items():
                if part == "labels" and name in _DECIDES:
                    kept[part][name] = value[:DETAIL]
                elif number < KEPT_ALERTS and characters > len(name) + len(value):
                    characters -= len(name) + len(value)
                    kept[part][name] = value
        for name in _LINKS:
            if number < KEPT_ALERTS and characters > len(kept[name]):
                characters -= len(kept[name])
            else:
                kept[name] = ""
        size -= len(json.dumps(kept))
        if size < 0 and alerts:
            break
        alerts.append(kept)
    common = {name: value[:DETAIL] for name, value in group.common.items() if name in _DECIDES}
    left_out = group.left_out + len(ordered) - len(alerts)
    return {**asdict(replace(group, alerts=(), left_out=left_out, common=common)), "alerts": alerts}


def from_input(given: Mapping[str, Any]) -> AlertGroup:
    """The group that `to_input` has written."""
    return AlertGroup(**{**given, "alerts": tuple(Alert(**alert) for alert in given["alerts"])})


def text(value: Any, limit: int | None = TEXT_LIMIT) -> str:
    """A value as a text that can be stored: half characters (lone surrogates) replaced, and cut."""
    if value is None:
        return ""
    written = value if isinstance(value, str) else str(value)
    written = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
    return written if limit is None or len(written) <= limit else written[: limit - 1] + "…"
