"""Alertmanager's webhook, version 4: from what was posted to an alert group.

Alertmanager: payload version "4" has version, groupKey, truncatedAlerts, receiver, status, alerts, groupLabels,
commonLabels, commonAnnotations, externalURL; unknown fields are tolerated, and only groupKey, status and alerts are
needed. Grafana posts the same form as version "1", with orgId, and in each alert values, valueString, silenceURL,
dashboardURL, panelURL.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from oncall import severities
from oncall.alerts.group import TEXT_LIMIT, Alert, AlertGroup, Status, severity_of
from oncall.errors import WebhookError

LABELS = 50  # of an alert, and its annotations, that are kept
MATCHERS_LIMIT = 1_000  # characters; more is no link that anybody could use
MOST_ALERTS = 999_999_999  # that a webhook may say were left out of it; the gateway's template says the same
FINGERPRINT = 64  # characters of a fingerprint: Alertmanager's have 16, and an incident keeps many


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
    severity, note = severity_of(shown, common, {}, unseen=left_out > 0)
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
