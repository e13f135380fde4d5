"""One alert of each sender, as it posts it, and the same alert's end: for a person who wants to see what becomes of it.

The forms are those of the senders' documentation (docs/sources.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Word = Literal["firing", "resolved"]
Body = dict[str, Any]
PRODUCT = "product-a"


@dataclass(frozen=True)
class Sender:
    """What a sender posts to `path`, in which {key} stands for the key; without a path it is an event of EventBridge."""

    id: str
    title: str
    path: str
    bodies: Mapping[Word, Body]

    def says(self, word: str) -> Body:
        """What it sends now. Raises KeyError for another word."""
        if word not in self.bodies:
            raise KeyError(word)
        body = self.bodies["firing" if word == "firing" else "resolved"]
        if self.path:
            return body
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"  # as CloudWatch writes it
        return {**body, "detail": {**body["detail"], "state": {**body["detail"]["state"], "timestamp": moment}}}


def _sender(name: str, title: str, fires: Body, ends: Body, path: str = "") -> Sender:
    return Sender(name, title, path or f"events/{name}/{{key}}", {"firing": fires, "resolved": {**fires, **ends}})


def _alarm(state: str, reason: str) -> Body:
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "detail": {
            "alarmName": "shop-cpu",
            "state": {"value": state, "reason": reason},
            "configuration": {"description": "CloudWatch: the processors of the shop are busy"},
            "alarmTags": {"oncall:product": PRODUCT},
        },
    }


def _issue(action: str) -> Body:
    issue = {"id": "1170820242", "title": "Sentry: ReferenceError in the checkout", "level": "error"}
    return {"action": action, "data": {"issue": {**issue, "project": {"slug": "shop"}}}}


_GRAFANA = {
    "labels": {"alertname": "Orders", "severity": "critical"},
    "annotations": {"summary": "Grafana: no order for ten minutes"},
    "fingerprint": "b1b1b1b1b1b1b1b1",
}
_BEAT = {"msg": "timeout of 48000ms exceeded"}
_RUN = {"workflow_id": 30433, "name": "Deploy", "head_branch": "main", "event": "push"}

SENDERS = (
    Sender(
        "cloudwatch",
        "CloudWatch",
        "",
        {"firing": _alarm("ALARM", "92 % for 5 minutes"), "resolved": _alarm("OK", "12 %")},
    ),
    _sender(
        "pagerduty",
        "PagerDuty events v2",
        {
            "routing_key": "{key}",
            "event_action": "trigger",
            "dedup_key": "queue",
            "payload": {"summary": "PagerDuty: the queue is full", "source": "queue-1", "severity": "critical"},
        },
        {"event_action": "resolve"},
        path="v2/enqueue",
    ),
    _sender(
        "grafana",
        "Grafana",
        {
            "version": "1",
            "orgId": 1,
            "groupKey": "{}:{alertname=Orders}",
            "status": "firing",
            "alerts": [{**_GRAFANA, "status": "firing"}],
        },
        {"status": "resolved", "alerts": [{**_GRAFANA, "status": "resolved"}]},
    ),
    _sender(
        "datadog",
        "Datadog",
        {"summary": "Datadog: web-1 answers slowly", "status": "Triggered", "dedup": "1234/5678", "tags": "role:web"},
        {"status": "Recovered"},
    ),
    _sender("sentry", "Sentry", _issue("created"), _issue("resolved")),
    _sender(
        "uptime-kuma",
        "Uptime Kuma",
        {"heartbeat": {**_BEAT, "status": 0}, "monitor": {"id": 7, "name": "Uptime Kuma: the shop"}, "msg": "Down"},
        {"heartbeat": {"msg": "200 - OK", "status": 1}, "msg": "Up"},
    ),
    _sender(
        "zabbix",
        "Zabbix",
        {"summary": "Zabbix: the disk of db-1 is full", "status": "1", "severity": "4", "dedup": "42"},
        {"status": "0"},
    ),
    _sender(
        "github",
        "GitHub Actions",
        {
            "action": "completed",
            "workflow_run": {**_RUN, "conclusion": "failure"},
            "repository": {"full_name": "example/shop"},
        },
        {"workflow_run": {**_RUN, "conclusion": "success"}},
    ),
    _sender(
        "generic",
        "Our own form",
        {"summary": "Our own form: the backup did not run", "severity": "critical", "dedup": "backup"},
        {"status": "resolved"},
    ),
)
