"""What each source posts, and what becomes of it. The payloads are those of the senders' documentation or source, shortened."""

import json
from pathlib import Path
from typing import Any

import pytest

from oncall import events
from oncall.alerts import pagerduty
from oncall.alerts.event import SourceEvent, from_input, to_input
from oncall.alerts.keys import Key
from oncall.errors import WebhookError

RECORDED = Path(__file__).with_name("uptime-kuma-2.5.3")
# Uptime Kuma: server/notification-providers/webhook.js; heartbeat and monitor as server/model/*.js write them.
KUMA: dict[str, Any] = {
    "heartbeat": {
        "monitorID": 7,
        "status": 0,
        "time": "2026-11-23 03:00:00.000",
        "msg": "timeout of 48000ms exceeded",
        "important": True,
    },
    "monitor": {
        "id": 7,
        "name": "shop",
        "url": "https://shop.example.com/",
        "type": "http",
        "hostname": None,
        "tags": [{"name": "severity", "value": "warning"}],
    },
    "msg": "[shop] [🔴 Down] timeout of 48000ms exceeded",
}
# Sentry: Integration Platform, Webhooks (issue alerts, metric alerts, issues), and the plugin "WebHooks".
SENTRY_EVENT: dict[str, Any] = {
    "action": "triggered",
    "actor": {"id": "sentry", "name": "Sentry", "type": "application"},
    "data": {
        "event": {
            "culprit": "?(<anonymous>)",
            "datetime": "2019-08-19T21:06:13.000000Z",
            "event_id": "e4874d664c3540c1a32eab185f12c5ab",
            "issue_id": "1170820242",
            "level": "error",
            "title": "ReferenceError: heck is not defined",
            "web_url": "https://sentry.io/organizations/test-org/issues/1170820242/events/e4874d664c3540c1a32eab185f12c5ab/",
        },
        "triggered_rule": "Very Important Alert Rule!",
    },
}
SENTRY_METRIC: dict[str, Any] = {
    "action": "critical",
    "data": {
        "description_text": "1000 events in the last 10 minutes",
        "description_title": "Critical: Too many errors",
        "metric_alert": {"id": "4", "title": "Too many errors", "projects": ["backend"], "status": 20},
        "web_url": "https://sentry.io/organizations/test-org/alerts/rules/details/7/",
    },
}
SENTRY_ISSUE: dict[str, Any] = {
    "action": "resolved",
    "data": {
        "issue": {"id": "1170820242", "title": "ReferenceError", "level": "error", "project": {"slug": "front-end"}}
    },
}
SENTRY_PLUGIN: dict[str, Any] = {
    "id": "1170820242",
    "project": "front-end",
    "project_name": "Front End",
    "level": "error",
    "message": "heck is not defined",
    "url": "https://sentry.io/x",
    "event": {"event_id": "e48", "culprit": "render"},
}
# Datadog: Integrations, Webhooks, with the payload of docs/sources.md.
DATADOG: dict[str, Any] = {
    "summary": "[Triggered on {host:web-1}] CPU is high",
    "status": "Triggered",
    "dedup": "1234/6789",
    "description": "CPU is high",
    "link": "https://app.datadoghq.com/event/event?id=123456",
    "tags": "monitor, role:web, product:shop",
    "details": {"scope": "host:web-1", "metric": "system.cpu.user", "priority": ""},
}
# Zabbix: Supported macros, with the parameters of docs/sources.md.
ZABBIX: dict[str, Any] = {
    "summary": "Disk is full on web-1",
    "status": "1",
    "severity": "4",
    "dedup": "42",
    "product": "shop",
}
# GitHub: Webhook events and payloads, workflow_run.
GITHUB: dict[str, Any] = {
    "action": "completed",
    "workflow_run": {
        "name": "CI",
        "workflow_id": 30_433,
        "head_branch": "main",
        "conclusion": "failure",
        "display_title": "Add a test",
        "event": "push",
        "html_url": "https://github.com/example/shop/actions/runs/1",
        "run_started_at": "2026-11-23T03:00:00Z",
    },
    "repository": {"full_name": "example/shop"},
}


def read(source: str, payload: dict[str, Any], product: str = "") -> SourceEvent:
    """What a payload says."""
    said = events.read(source, payload, product, None, received_at=0)
    assert isinstance(said, SourceEvent)
    return said


@pytest.mark.parametrize(
    ("source", "payload", "status", "severity", "product", "key"),
    [
        ("uptime-kuma", KUMA, "firing", "warning", "key's", "7"),
        ("sentry", SENTRY_EVENT, "firing", "error", "key's", "issue/1170820242"),
        ("sentry", SENTRY_METRIC, "firing", "critical", "key's", "metric/4"),
        ("sentry", SENTRY_ISSUE, "resolved", "error", "key's", "issue/1170820242"),
        ("sentry", SENTRY_PLUGIN, "firing", "error", "key's", "issue/1170820242"),
        ("datadog", DATADOG, "firing", "critical", "shop", "1234/6789"),
        ("zabbix", ZABBIX, "firing", "critical", "shop", "42"),
        ("github", GITHUB, "firing", "warning", "key's", "example/shop/30433/main"),
        ("generic", {"summary": "x"}, "firing", "", "key's", "x"),
    ],
)
def test_each_sources_payload_is_read(
    source: str, payload: dict[str, Any], status: str, severity: str, product: str, key: str
) -> None:
    said = read(source, payload, "key's")
    assert (said.status, said.severity, said.product, said.key) == (status, severity, product, key)
    assert said.summary


@pytest.mark.parametrize(
    ("source", "fires", "ends"),
    [
        ("uptime-kuma", KUMA, KUMA | {"heartbeat": {**KUMA["heartbeat"], "status": 1, "msg": "200 - OK"}}),
        ("sentry", SENTRY_EVENT, SENTRY_ISSUE),
        ("sentry", SENTRY_METRIC, SENTRY_METRIC | {"action": "resolved"}),
        ("datadog", DATADOG, DATADOG | {"status": "Recovered"}),
        ("zabbix", ZABBIX, ZABBIX | {"status": "0"}),
        ("github", GITHUB, GITHUB | {"workflow_run": {**GITHUB["workflow_run"], "conclusion": "success"}}),
        ("generic", {"summary": "x", "dedup": "d"}, {"dedup": "d", "status": "resolved"}),
    ],
)
def test_its_end_is_of_the_same_alert(source: str, fires: dict[str, Any], ends: dict[str, Any]) -> None:
    fired, over = read(source, fires), read(source, ends)
    assert (fired.status, over.status) == ("firing", "resolved")
    assert fired.key == over.key


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("uptime-kuma", {"heartbeat": None, "monitor": None, "msg": "My Webhook Testing"}),
        ("uptime-kuma", KUMA | {"heartbeat": {"status": 2}}),
        ("uptime-kuma", KUMA | {"heartbeat": {"status": 3}}),
        ("sentry", SENTRY_ISSUE | {"action": "assigned"}),
        ("github", {"zen": "Design for failure.", "hook_id": 1, "hook": {}}),
        ("github", GITHUB | {"action": "requested"}),
        ("github", GITHUB | {"workflow_run": {**GITHUB["workflow_run"], "conclusion": "cancelled"}}),
    ],
)
def test_what_says_nothing_opens_nothing(source: str, payload: dict[str, Any]) -> None:
    assert events.read(source, payload, "", None, received_at=0) is None


def recorded(name: str) -> dict[str, Any]:
    """What Uptime Kuma 2.5.3 itself has posted, by its webhook and by its provider of PagerDuty."""
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def test_what_uptime_kuma_itself_posts_fires_resolves_and_tests() -> None:
    down, up = read("uptime-kuma", recorded("down")), read("uptime-kuma", recorded("up"))
    assert (down.status, down.severity, down.summary, up.status) == ("firing", "critical", "shop is down", "resolved")
    assert down.key == up.key
    assert events.read("uptime-kuma", recorded("test"), "", None, received_at=0) is None
    down, up = (pagerduty.read(recorded(f"pagerduty-{word}"), "") for word in ("down", "up"))
    assert (down.status, down.severity, up.status) == ("firing", "critical", "resolved")
    assert down.key == up.key == "Uptime Kuma/7"


def test_uptime_kumas_word_of_a_certificate_is_a_warning() -> None:
    said = read("uptime-kuma", {"heartbeat": None, "monitor": None, "msg": "[shop] certificate expires in 7 days"})
    assert (said.status, said.severity) == ("firing", "warning")


@pytest.mark.parametrize(
    ("source", "payload", "why"),
    [
        ("uptime-kuma", {}, "heartbeat"),
        ("uptime-kuma", KUMA | {"heartbeat": {"status": "down"}}, "status"),
        ("uptime-kuma", KUMA | {"monitor": []}, "monitor"),
        ("sentry", {"data": {}}, "data.event"),
        ("sentry", SENTRY_METRIC | {"action": "opened"}, "action"),
        ("sentry", SENTRY_ISSUE | {"action": "merged"}, "action"),
        ("sentry", {"data": {"event": {"title": "x"}}}, "issue_id"),
        ("datadog", DATADOG | {"status": "$ALERT_TRANSITION"}, "transition"),
        ("datadog", {}, "transition"),
        ("zabbix", ZABBIX | {"status": "{EVENT.VALUE}"}, "status"),
        ("github", {"action": "completed"}, "workflow_run"),
        ("grafana", {"orgId": 1}, "groupKey"),
        ("alertmanager", {"groupKey": "x", "alerts": []}, "alerts"),
    ],
)
def test_what_is_not_its_form_says_what_is_missing(source: str, payload: dict[str, Any], why: str) -> None:
    with pytest.raises(WebhookError, match=why):
        events.read(source, payload, "", None, received_at=0)


ODD: list[Any] = [None, 7, -1.5, True, [], [1], {}, {"x": {}}, "", "x" * 5000, "\ud800", "\x00"]


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("uptime-kuma", KUMA),
        *(("sentry", payload) for payload in (SENTRY_EVENT, SENTRY_METRIC, SENTRY_ISSUE, SENTRY_PLUGIN)),
        ("datadog", DATADOG),
        ("zabbix", ZABBIX),
        ("github", GITHUB),
        ("generic", {"summary": "x", "details": {"a": 1}, "link": "y"}),
    ],
)
def test_any_field_of_any_other_type_is_read_or_refused_in_words(source: str, payload: dict[str, Any]) -> None:
    for path in _paths(payload):
        for odd in ODD:
            try:
                said = events.read(source, _changed(payload, path, odd), "", None, received_at=0)
            except WebhookError:
                continue
            if said is not None:
                group = events.as_group(source, Key("k"), said, received_at=0)
                assert len(group.alerts[0].labels) <= 20
                assert group.id
                json.dumps(to_input(group), ensure_ascii=False).encode()


LONG = "\U0001f525" * 5_000  # in JSON a character takes twelve bytes
OF_MANY = {f"{number}{LONG[:190]}": LONG for number in range(60)}
LONG_ALERT = {
    "labels": OF_MANY | {"product": LONG, "severity": LONG},
    "annotations": OF_MANY,
    "fingerprint": LONG[:64],
    "values": {LONG: 1, "B": 2},
    **dict.fromkeys(("startsAt", "endsAt", "generatorURL", "silenceURL", "panelURL"), LONG),
}
LONG_GROUP = {
    "orgId": 1,
    "groupKey": LONG,
    "status": "firing",
    "externalURL": LONG,
    "commonLabels": OF_MANY | {"product": LONG, "severity": LONG, "oncall_test": LONG},
    "alerts": [LONG_ALERT] * 400,
}
PLAIN_ALERT = {"labels": {"product": "shop", "severity": "critical"}, "startsAt": "2026-11-23T02:59:00Z"}


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("grafana", LONG_GROUP),
        ("alertmanager", LONG_GROUP | {"commonLabels": {}}),
        ("alertmanager", LONG_GROUP | {"groupKey": "\x01" * 5_000, "alerts": [PLAIN_ALERT] * 400}),
        ("generic", {"summary": LONG * 20}),
        ("generic", {"summary": "x", "dedup": LONG * 20}),
        (
            "generic",
            {**dict.fromkeys(("summary", "product", "description", "link", "severity"), LONG), "details": OF_MANY},
        ),
    ],
)
def test_whatever_is_long_an_execution_takes_it(source: str, payload: dict[str, Any]) -> None:
    """Step Functions: an input has at most 262,144 bytes; about a tenth of it is the request's and not the group's."""
    said = events.read(source, payload, "", None, received_at=0)
    assert said
    given = to_input(events.as_group(source, Key("k"), said, received_at=0))
    assert len(json.dumps(given)) < 230_000
    group = from_input(given)
    assert group.alerts
    assert len(group.alerts) + group.left_out == len(payload.get("alerts", "1"))


def test_a_long_key_is_the_same_each_time_and_another_one_another() -> None:
    one, again, other = (
        events.as_group("generic", Key("k"), read("generic", {"summary": "x", "dedup": LONG + end}), received_at=0).id
        for end in ("1", "1", "2")
    )
    assert one == again != other


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    return [path, *(found for name, inner in value.items() for found in _paths(inner, (*path, name)))][not path :]


def _changed(value: Any, path: tuple[str, ...], new: Any) -> Any:
    return {**value, path[0]: _changed(value[path[0]], path[1:], new)} if path else new
