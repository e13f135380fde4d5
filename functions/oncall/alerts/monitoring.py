"""The alarm that watches the monitoring: from a CloudWatch alarm's change of state to an alert group of ours.

CloudWatch counts Alertmanager's heartbeats; EventBridge starts an execution when they stop and when they return. So the
silence of the monitoring is an incident like any other, and resolves like any other.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from oncall.alerts.group import Alert, AlertGroup, Status
from oncall.errors import WebhookError
from oncall.roster import Language

PRODUCT = "oncall-watchdog"  # a roster may have a policy for it; without one the default policy's people are called

_SUMMARY: Mapping[Language, str] = {
    "ja": "監視が沈黙しています。アラートマネージャーから3分間、連絡がありません",
    "en": "the monitoring is silent: nothing was heard of Alertmanager for three minutes",
}
_DESCRIPTION: Mapping[Language, str] = {
    "ja": "障害が誰にも伝わりません。Prometheus、Alertmanager、そのネットワークを見てください (docs/runbooks/monitoring.md)。",
    "en": "Nobody would hear of an outage. Look at Prometheus, Alertmanager and their network (docs/runbooks/monitoring.md).",
}


def read_alarm(given: Mapping[str, Any], language: Language) -> AlertGroup:
    """The alert group of {"alarm": name, "state": "ALARM" or "OK", "at": ISO 8601 with an offset}.

    "since" is when it began, where that is not when it was told. Raises WebhookError with what is wrong.
    """
    try:
        name, state, at = str(given["alarm"]), str(given["state"]), datetime.fromisoformat(str(given["at"]))
        since = datetime.fromisoformat(str(given.get("since", given["at"])))
    except (KeyError, ValueError) as error:
        raise WebhookError(f"the change of an alarm cannot be read: {error!r}") from error
    if state not in ("ALARM", "OK") or at.tzinfo is None:
        raise WebhookError(f"the change of an alarm cannot be read: state {state!r} at {at}")
    status: Status = "firing" if state == "ALARM" else "resolved"
    alert = Alert(
        status=status,
        labels={"alertname": "Monitoring is silent", "product": PRODUCT, "severity": "critical"},
        annotations={"summary": _SUMMARY[language], "description": _DESCRIPTION[language]},
        starts_at=since.isoformat(),
        ends_at=at.isoformat() if status == "resolved" else "",
        fingerprint=name,
    )
    return AlertGroup(
        key=f"alarm:{name}",
        severity="critical",
        product=PRODUCT,
        alerts=(alert,),
        source="alarm",
        received_at=int(at.timestamp() * 1000),
    )
