"""Alertmanager's webhook, version 4: from what was posted to an alert group.

Alertmanager: payload version "4" has version, groupKey, truncatedAlerts, receiver, status, alerts, groupLabels,
commonLabels, commonAnnotations, externalURL; unknown fields are tolerated, and only groupKey, status and alerts are
needed. Grafana posts the same form as version "1", with orgId, and in each alert values, valueString, silenceURL,
dashboardURL, panelURL.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from oncall import severities
from oncall.clock import milliseconds
from oncall.errors import WebhookError
from oncall.severities import Level

Severity = Literal["critical", "warning"]
Status = Literal["firing", "resolved"]

TEXT_LIMIT = 1_000  # characters of one label or annotation that are kept
LABELS = 50  # of an alert, and its annotations, that are kept
MATCHERS_LIMIT = 1_000  # characters; more is no link that anybody could use
MOST_ALERTS = 999_999_999  # that a webhook may say were left out of it; the gateway's template says the same
FINGERPRINT = 64  # characters of a fingerprint: Alertmanager's have 16, and an incident keeps many
TEST_LABEL = "oncall_test"  # with the value true it marks an alert that is only a test
KEPT_ALERTS = 10  # alerts of a group whose texts are kept; all are counted


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Times are RFC 3339 as Alertmanager wrote them."""

    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    ends_at: str
    generator_url: str
    fingerprint: str
    # Of Grafana's alerts; empty elsewhere.
    silence_url: str = ""
    graph_url: str = ""  # of the panel, or of its dashboard
    value: str = ""  # what was measured

    @property
    def started_at(self) -> int:
        """When it began, in epoch milliseconds; 0 if that is not written as a time."""
        return milliseconds(self.starts_at)


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """One webhook: what Alertmanager says of a group at one moment. Or one product's share of it (`by_product`).

    What fires decides: neither the written status, nor what is resolved, nor what was cut off.
    """

    key: str
    severity: Severity
    severity_note: str  # why the severity is not the written one: "missing", "unseen", "odd …"; empty if it is
    product: str
    alerts: tuple[Alert, ...]
    left_out: int  # alerts that Alertmanager or the gateway cut off, and that may fire
    cut_characters: int  # size of a webhook that the gateway cut to fit, in characters; 0 if it was not
    external_url: str
    received_at: int  # when the gateway took it, epoch milliseconds
    matchers: str = (
        ""  # what selects these alerts in Alertmanager's pages and silences; empty if that cannot be written
    )
    sender: str = "alertmanager"  # whose pages the links of a group lead to
    common: Mapping[str, str] = field(default_factory=dict)  # labels that all its alerts have, those cut off as well
    # The door by which it came. Whoever may use one door opens and resolves the groups of that one alone.
    source: str = "alertmanager"

    @property
    def id(self) -> str:
        """The source and the group key as a key of the table: a group key can hold any character and be of any length.

        Alertmanager's groups have the hash alone, which no other source's can be.
        """
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:32]
        return digest if self.source == "alertmanager" else f"{self.source}-{digest}"

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire."""
        return tuple(alert for alert in self.alerts if alert.status == "firing")

    @property
    def is_over(self) -> bool:
        """Whether nothing of the group fires: each of its alerts is resolved."""
        return not self.firing and not self.left_out

    def product_of(self, alert: Alert) -> str:
        """The product that an alert of the group names."""
        return alert.labels.get("product") or self.common.get("product", "")


def by_product(group: AlertGroup, meant: Mapping[str, Level]) -> tuple[AlertGroup, ...]:
    """The shares of the products that a group's alerts name, the loudest first: each has its own people and channel.

    `meant` is the roster's `severities`. What fires and means nothing by it is left out.
    """
    of: dict[str, list[Alert]] = {}
    for alert in group.alerts:
        if alert.status == "resolved" or severities.meaning(alert.labels.get("severity", ""), meant).level != "none":
            of.setdefault(group.product_of(alert), []).append(alert)
    shares = []
    for product, alerts in of.items():
        severity, note = _severity(alerts, group.common, meant, unseen=group.left_out > 0)
        shares.append(replace(group, product=product, alerts=tuple(alerts), severity=severity, severity_note=note))
    return tuple(sorted(shares, key=lambda share: (not share.firing, share.severity != "critical")))


def unseen_share(group: AlertGroup, meant: Mapping[str, Level]) -> AlertGroup | None:
    """What may fire among the alerts that were cut off: it names no product.

    None if it can be nothing critical, if all have the same product, or if nothing fires of what was shown.
    """
    written = group.common.get("severity", "")
    is_less = bool(written) and severities.meaning(written, meant).level != "critical"
    if not group.left_out or not group.firing or group.common.get("product") or is_less:
        return None
    return replace(group, product="", severity="critical", severity_note="unseen")


def read_webhook(webhook: object, *, received_at: int, cut: Mapping[str, Any] | None = None) -> AlertGroup:
    """The alert group in a webhook. `cut` is what the gateway says of one that it cut to fit.

    It has how many "characters" and "alerts" there were, and how many "firing"; None if they were too many to be looked at.
    Raises WebhookError with what is wrong.
    """
    if not isinstance(webhook, dict):
        raise WebhookError("the webhook is not a JSON object")
    key = _text(webhook.get("groupKey"), limit=None)
    if not cut:
        key = _short(key)
    if not key:
        raise WebhookError("the webhook has no groupKey")
    written = webhook.get("alerts")
    if not isinstance(written, list) or not written:
        raise WebhookError("the webhook has no alerts")
    status: Status = "resolved" if webhook.get("status") == "resolved" else "firing"
    alerts = tuple(_alert(alert, number, status) for number, alert in enumerate(written))
    firing = tuple(alert for alert in alerts if alert.status == "firing")
    common = _texts(webhook.get("commonLabels"))
    left_out = _count(webhook.get("truncatedAlerts"))
    if cut and cut.get("firing") is not None:
        left_out += _count(cut["firing"]) - len(firing)
    elif cut:
        left_out += _count(cut.get("alerts")) - len(alerts)
        if status == "firing" and not firing:  # so one does that the gateway has not looked at
            firing = (_alert({"labels": common, "fingerprint": "cut off"}, 0, status),)
            alerts += firing
    shown = firing or alerts
    severity, note = _severity(shown, common, {}, unseen=left_out > 0)
    sender = "grafana" if "orgId" in webhook else "alertmanager"
    loudest = (
        tuple(a for a in shown if severities.meaning(a.labels.get("severity", ""), {}).level == "critical") or shown
    )
    return AlertGroup(
        key=key,
        severity=severity,
        severity_note=note,
        product=common.get("product") or next((a.labels["product"] for a in loudest if a.labels.get("product")), ""),
        alerts=alerts,
        left_out=left_out,
        cut_characters=_count(cut.get("characters")) if cut else 0,
        external_url=_text(webhook.get("externalURL")),
        received_at=received_at,
        # Alertmanager says why it notifies (notification_reason) from 0.32 on.
        matchers="" if cut or sender == "grafana" else _matchers(common, any_name="notification_reason" in webhook),
        sender=sender,
        common=common,
    )


def _alert(written: object, number: int, status: Status) -> Alert:
    """An alert. One without a status has the group's; of a fingerprint that is no fingerprint only its hash is kept."""
    if not isinstance(written, dict):
        raise WebhookError(f"alert {number} of the webhook is not a JSON object")
    labels = _texts(written.get("labels"))
    fingerprint = _text(written.get("fingerprint"))
    if not fingerprint or len(fingerprint) > FINGERPRINT:
        fingerprint = hashlib.sha256((fingerprint or repr(sorted(labels.items()))).encode()).hexdigest()[:16]
    own = written.get("status", status)
    return Alert(
        status="resolved" if own == "resolved" else "firing",
        labels=labels,
        annotations=_texts(written.get("annotations")),
        starts_at=_text(written.get("startsAt")),
        ends_at=_text(written.get("endsAt")),
        generator_url=_text(written.get("generatorURL")),
        fingerprint=fingerprint,
        silence_url=_text(written.get("silenceURL")),
        graph_url=_text(written.get("panelURL")) or _text(written.get("dashboardURL")),
        value=_measured(written),
    )


def _measured(alert: Mapping[str, Any]) -> str:
    """What Grafana measured, "B 6.7, C 1": of its valueString, [ var='B' labels={…} value=6.7 ], …, or of its values."""
    found = re.findall(r"\bvar='([^']*)'[^\[\]]*? value=(\S+) \]", _text(alert.get("valueString")))
    values = alert.get("values")
    if not found and isinstance(values, dict):
        found = [(str(name), str(value)) for name, value in values.items() if isinstance(value, int | float)]
    told = [(name, re.sub(r"^(-?[0-9]+\.[0-9]{2})[0-9]+$", r"\1", value)) for name, value in found[:5]]
    return told[0][1] if len(told) == 1 else ", ".join(f"{name} {value}" for name, value in told)


def _severity(
    alerts: Sequence[Alert], common: Mapping[str, str], meant: Mapping[str, Level], *, unseen: bool
) -> tuple[Severity, str]:
    """The highest severity of what fires; if nothing does, of all. Whatever is not known to be less is critical."""
    shown = [alert for alert in alerts if alert.status == "firing"] or alerts
    written = [alert.labels.get("severity", "") for alert in shown]
    found = severities.loudest(written, meant, unseen=unseen and not common.get("severity"))
    return "critical" if found.level == "critical" else "warning", found.why


def _matchers(common: Mapping[str, str], *, any_name: bool) -> str:
    """The labels that all alerts have, as Alertmanager's pages read them in an address: {name="value", …}.

    Alertmanager (ui/app/src/Utils/Filter.elm): values are JSON strings. Before 0.32 its pages read names of ASCII letters,
    digits and _ alone; with `any_name` whatever holds no reserved character (a dot, as OpenTelemetry's). One matcher less
    would silence more, so it is all of them or nothing.
    """
    readable = r"""[^\s{}!=~,\\"'`]+""" if any_name else "[A-Za-z0-9_]+"
    is_cut = len(common) >= LABELS or any(len(value) >= TEXT_LIMIT for value in common.values())
    if is_cut or not all(re.fullmatch(readable, name) for name in common):
        return ""
    written = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(common.items()))
    return f"{{{written}}}" if 0 < len(written) <= MATCHERS_LIMIT else ""


def _texts(written: object) -> dict[str, str]:
    """Labels or annotations: the first LABELS, each cut to TEXT_LIMIT characters."""
    if not isinstance(written, dict):
        return {}
    return {_text(name)[:200]: _text(value) for name, value in list(written.items())[:LABELS] if name}


def _text(value: object, limit: int | None = TEXT_LIMIT) -> str:
    """A text as it can be stored: half characters (lone surrogates, which JSON can spell) replaced, and cut."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def _short(key: str) -> str:
    """A long group key as the gateway shortens it when it cuts a webhook, so that its resolution finds the same incident."""
    units = key.encode("utf-16-le")  # Java's and so the mapping template's characters
    length = len(units) // 2
    if length <= 2_000:
        return key
    start, end = units[:2_000].decode("utf-16-le", "replace"), units[-2_000:].decode("utf-16-le", "replace")
    return f"{start}...{length}...{end}"


def _count(value: object) -> int:
    """A count as the table can keep it: JSON's numbers can be of any size, DynamoDB's have 38 digits."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0
    return int(min(value, MOST_ALERTS))
