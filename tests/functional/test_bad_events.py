"""What each sender is answered when something is wrong with what it sends: in words, and nothing is lost or opened by it.

Every source goes through the same table, as the function is called by the gateway.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from devstack.console import senders as console
from oncall import aws
from oncall.alerts import keys
from oncall.alerts.keys import Key
from oncall.clock import at
from oncall.events import BUILT_IN
from oncall.table import Put, Update
from tests.builders import GATEWAY, webhook
from tests.builders import alert as alert_of_alertmanager
from tests.functional.handlers import Stack, stack
from tests.functional.test_alarms_by_topic import TOPIC, Sns, sns
from tests.unit.test_payloads import DATADOG, GITHUB, KUMA, SENTRY_EVENT, SENTRY_ISSUE, SENTRY_METRIC, ZABBIX

__all__ = ["sns", "stack"]  # the fixtures
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

SECRET, REVOKED, ANOTHERS = "a" * 32, "b" * 32, "c" * 32
MINE = "my-tool"
Body = dict[str, Any]


@dataclass(frozen=True)
class Sender:
    """A sender's alert, its end, and what is wrong in its own way: each with a word of the answer."""

    source: str
    fires: Body
    ends: Body
    lacks: tuple[Body, str]  # a field is missing
    other_type: tuple[Body, str]
    unknown: tuple[Body, str]  # a status that it never had
    old: tuple[Body, str]  # of an older version of it


def _run(conclusion: str) -> Body:
    return {"workflow_run": {**GITHUB["workflow_run"], "conclusion": conclusion}}


EVENT: Body = {
    "routing_key": SECRET,
    "event_action": "trigger",
    "dedup_key": "disk",
    "payload": {"summary": "full", "source": "web-1", "severity": "critical"},
}
GROUP = webhook(alert_of_alertmanager())
OVER = webhook(alert_of_alertmanager(status="resolved"), status="resolved")
# Grafana's webhook of legacy alerting, up to version 10.
LEGACY = {
    "dashboardId": 1,
    "evalMatches": [],
    "ruleId": 1,
    "ruleName": "CPU",
    "state": "alerting",
    "title": "[Alerting]",
}
SENDERS = (
    Sender(
        "pagerduty",
        EVENT,
        EVENT | {"event_action": "resolve"},
        lacks=({name: value for name, value in EVENT.items() if name != "payload"}, "payload"),
        other_type=(EVENT | {"payload": {**EVENT["payload"], "summary": ["full"]}}, "payload.summary"),
        unknown=(EVENT | {"event_action": "escalate"}, "event_action"),
        old=({"service_key": SECRET, "event_type": "trigger", "description": "full"}, "routing_key"),  # Events API v1
    ),
    Sender(
        "alertmanager",
        GROUP,
        OVER,
        lacks=({name: value for name, value in GROUP.items() if name != "groupKey"}, "groupKey"),
        other_type=(GROUP | {"alerts": "many"}, "alerts"),
        unknown=(GROUP | {"status": "perhaps"}, "status"),
        old=({"version": "3", "status": "firing", "alert": [{"summary": "x"}]}, "groupKey"),
    ),
    Sender(
        "grafana",
        GROUP | {"version": "1", "orgId": 1},
        OVER | {"version": "1", "orgId": 1},
        lacks=({"orgId": 1, "groupKey": "g", "status": "firing"}, "alerts"),
        other_type=(GROUP | {"orgId": 1, "alerts": ["x"]}, "alert 0"),
        unknown=(GROUP | {"orgId": 1, "status": "perhaps"}, "status"),
        old=(LEGACY, "groupKey"),
    ),
    Sender(
        "datadog",
        DATADOG,
        DATADOG | {"status": "Recovered"},
        lacks=(DATADOG | {"summary": None}, "summary"),
        other_type=(DATADOG | {"details": "many"}, "details"),
        unknown=(DATADOG | {"status": "Muted"}, "transition"),
        # Its form if no payload is pasted.
        old=({"body": "x", "last_updated": "1", "event_type": "metric_alert_monitor", "title": "CPU"}, "template"),
    ),
    Sender(
        "sentry",
        SENTRY_EVENT,
        SENTRY_ISSUE,
        lacks=({"action": "triggered", "data": {"event": {"title": "x"}}}, "issue_id"),
        other_type=({"action": "triggered", "data": {"event": ["x"]}}, "data.event"),
        unknown=(SENTRY_ISSUE | {"action": "merged"}, "action"),
        old=({"project": "shop", "message": "x", "level": "error"}, "data.event"),  # the plugin, without its event
    ),
    Sender(
        "sentry",
        SENTRY_METRIC,
        SENTRY_METRIC | {"action": "resolved"},
        lacks=({"action": "critical", "data": {}}, "data.event"),
        other_type=({"action": "critical", "data": {"metric_alert": "x"}}, "data.event"),
        unknown=(SENTRY_METRIC | {"action": "opened"}, "action"),
        old=({"action": "critical"}, "data.event"),
    ),
    Sender(
        "uptime-kuma",
        KUMA,
        KUMA | {"heartbeat": {**KUMA["heartbeat"], "status": 1}},
        lacks=({"heartbeat": KUMA["heartbeat"]}, "monitor"),
        other_type=(KUMA | {"heartbeat": {**KUMA["heartbeat"], "status": "down"}}, "heartbeat.status"),
        unknown=(KUMA | {"heartbeat": {**KUMA["heartbeat"], "status": 4}}, "heartbeat.status"),
        old=({"heartbeat": None, "monitor": None}, "msg"),
    ),
    Sender(
        "zabbix",
        ZABBIX,
        ZABBIX | {"status": "0"},
        lacks=({"status": "1", "dedup": "42"}, "summary"),
        other_type=(ZABBIX | {"dedup": {"id": 42}}, "dedup"),
        unknown=(ZABBIX | {"status": "{EVENT.VALUE}"}, "status"),
        old=({"To": "x", "Subject": "Problem", "Message": "x"}, "summary"),  # the fields of its older scripts
    ),
    Sender(
        "github",
        GITHUB,
        GITHUB | _run("success"),
        lacks=({"action": "completed", "workflow_run": GITHUB["workflow_run"]}, "repository"),
        other_type=(GITHUB | {"workflow_run": "CI"}, "workflow_run"),
        unknown=(GITHUB | _run("exploded"), "conclusion"),
        old=({"state": "failure", "context": "ci", "repository": {"full_name": "example/shop"}}, "workflow_run"),
    ),
    Sender(
        "generic",
        {"summary": "full", "dedup": "d", "severity": "critical"},
        {"dedup": "d", "status": "ok"},
        lacks=({"severity": "critical"}, "summary"),
        other_type=({"summary": {"text": "full"}}, "summary"),
        unknown=({"summary": "full", "status": "perhaps"}, "status"),
        old=({"title": "full", "message": "x"}, "summary"),
    ),
    Sender(
        MINE,
        {"title": "full", "id": 7, "state": "bad"},
        {"title": "full", "id": 7, "state": "ok"},
        lacks=({"id": 7, "state": "bad"}, "summary"),
        other_type=({"title": ["full"], "id": 7, "state": "bad"}, "summary"),
        unknown=({"title": "full", "id": 7, "state": "perhaps"}, "status"),
        old=({"name": "full"}, "summary"),
    ),
)
FIELDS = {
    "summary": "title",
    "dedup": "id",
    "status": "state == 'bad' && 'firing' || state",
}


class Door:
    """The function behind the gateway, with a key for any source, one that was revoked, and one for something else."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.world = stack.world
        for key, meant in ((SECRET, Key("any", product="elsewhere")), (ANOTHERS, Key("beats", heartbeat="backup"))):
            item = keys.item(key, meant, created_at=at(self.world.clock.now()), created_by="me")
            self.world.table.transact([Put(item)])
        self.world.roster({f"SOURCE#{MINE}": {"fields": FIELDS}})

    def post(self, source: str, body: Body | str, *, key: str = SECRET) -> tuple[int, str]:
        """What a sender is answered: the status, and all that the body says."""
        if source == "pagerduty":
            resource, given = "/v2/enqueue", {}
            body = body | {"routing_key": key} if isinstance(body, dict) and "routing_key" in body else body
        else:
            resource, given = "/events/{source}/{key}", {"source": source, "key": key}
        host, stage = GATEWAY.split("/")
        answer = self.stack.call(
            "receive_event",
            {
                "resource": resource,
                "pathParameters": given or None,
                "requestContext": {"domainName": host, "stage": stage, "requestId": "r"},
                "body": body if isinstance(body, str) else json.dumps(body),
                "isBase64Encoded": False,
            },
        )
        assert isinstance(json.loads(answer["body"]), dict)
        assert ("Retry-After" in answer["headers"]) == (answer["statusCode"] in (429, 503))
        assert key not in answer["body"]
        return answer["statusCode"], answer["body"]

    @property
    def started(self) -> list[Body]:
        """The inputs of the executions that were started."""
        return [json.loads(request["input"]) for request in self.stack.stepfunctions.started]

    def decide(self) -> Any:
        """The newest execution decides."""
        self.world.clock.sleep(1)
        return self.world.decide(self.started[-1])


@pytest.fixture
def door(stack: Stack) -> Door:
    return Door(stack)


each = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.source)


def test_every_source_is_here() -> None:
    tried = {sender.source for sender in SENDERS}
    assert tried - {"pagerduty", MINE} == set(BUILT_IN) - {"cloudwatch"}  # whose table is test_alarms_by_topic.py


@each
def test_it_fires_and_ends(door: Door, sender: Sender) -> None:
    assert door.post(sender.source, sender.fires)[0] == 202
    fired = door.decide()
    assert fired.decision["action"] in ("page", "alert")
    assert door.post(sender.source, sender.ends)[0] == 202
    door.decide()
    assert door.world.incident(fired).state == "resolved"


@each
def test_what_is_wrong_is_named_and_opens_nothing(door: Door, sender: Sender) -> None:
    for body, word in (sender.lacks, sender.other_type, sender.unknown, sender.old):
        status, told = door.post(sender.source, body)
        assert (status, word in told, door.started) == (400, True, []), told


NO_OBJECTS = ("", " ", "{", "null", "7", '"x"', "[]", '[{"summary": "x"}]', "<xml/>", urlencode({"payload": "{}"}))


@each
def test_what_is_no_json_object_is_refused(door: Door, sender: Sender) -> None:
    for body in NO_OBJECTS:
        status, told = door.post(sender.source, body)
        assert (status, "JSON" in told, door.started) == (400, True, []), told


@each
def test_a_wrong_key_a_revoked_one_and_one_for_something_else_open_nothing(door: Door, sender: Sender) -> None:
    item = keys.item(REVOKED, Key("gone"), created_at=at(door.world.clock.now()), created_by="me")
    door.world.table.transact([Put(item)])
    assert door.post(sender.source, sender.fires, key=REVOKED)[0] == 202
    door.stack.stepfunctions.started.clear()
    door.world.dynamo.client.delete_item(
        TableName=door.world.table.name, Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
    )
    wanted = 400 if sender.source == "pagerduty" else 403
    for key in (REVOKED, ANOTHERS, "0" * 32, SECRET[:-1]):
        assert door.post(sender.source, sender.fires, key=key)[0] == wanted
    assert door.started == []


@each
def test_after_a_thousand_in_a_minute_it_has_to_send_again_and_then_is_taken(door: Door, sender: Sender) -> None:
    assert door.post(sender.source, sender.fires)[0] == 202
    for item in door.world.table.query(_counters()):
        door.world.table.update(Update(item["pk"], item["sk"], add={"events": keys.LIMIT - 2}))
    assert door.post(sender.source, sender.fires)[0] == 202, "the thousandth"
    status, told = door.post(sender.source, sender.fires)
    assert (status, len(door.started)) == (429, 2), told
    door.world.clock.sleep(60)
    assert door.post(sender.source, sender.fires)[0] == 202


def _counters() -> str:
    return f"{keys.PARTITION}#{hashlib.sha256(SECRET.encode()).hexdigest()}"


@each
def test_twice_is_once_and_what_was_overtaken_changes_nothing(door: Door, sender: Sender) -> None:
    door.post(sender.source, sender.fires)
    first = door.decide()
    door.post(sender.source, sender.fires)
    assert door.decide().decision["incidents"] == first.decision["incidents"]
    older = door.started[-1]
    door.world.clock.sleep(1)
    door.post(sender.source, sender.ends)
    door.decide()
    assert door.world.incident(first).state == "resolved"
    door.world.decide(older, execution="late")
    assert door.world.incident(first).state == "resolved"
    assert len(door.world.telephone.ringing) == 0


@each
def test_the_end_that_is_read_first_leaves_nothing_open(door: Door, sender: Sender) -> None:
    door.post(sender.source, sender.fires)
    fired = door.started[-1]
    door.world.clock.sleep(1)
    door.post(sender.source, sender.ends)
    door.decide()
    late = door.world.decide(fired, execution="late")
    assert late.decision["action"] != "page"


@each
def test_a_body_over_the_limit_is_refused_or_cut_and_never_too_large_for_an_execution(
    door: Door, sender: Sender
) -> None:
    large = json.loads(json.dumps(sender.fires))
    _grow(large)
    body = json.dumps(large, ensure_ascii=False)
    status, told = door.post(sender.source, body)
    if sender.source == "pagerduty":
        assert (status, "512 KB" in told, door.started) == (413, True, []), told
    else:
        assert status == 202, told
        assert len(door.stack.stepfunctions.started[-1]["input"].encode()) < 262_144
        assert door.decide().decision["action"] in ("page", "alert")


def _grow(body: Body) -> None:
    """Every text of a body becomes long, but for those that say what it is; a million characters in all."""
    for name, value in body.items():
        if isinstance(value, dict):
            _grow(value)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    _grow(one)
        elif isinstance(value, str) and name in ("summary", "title", "msg", "description", "display_title", "details"):
            body[name] = value + "😀" * 500_000


@pytest.mark.parametrize("sender", console.SENDERS, ids=lambda sender: sender.id)
def test_what_the_console_sends_of_each_opens_an_incident_and_ends_it(door: Door, sender: console.Sender) -> None:
    def send(word: str) -> Any:
        body = sender.says(word)
        if sender.path:
            assert door.post(sender.id, body)[0] == 202
            return door.decide()
        given = {"source": sender.id, "account": "1", "region": "eu-central-1", "gateway": GATEWAY}
        at_ = at(door.world.clock.now()).isoformat()
        detail = {**body["detail"], "state": {**body["detail"]["state"], "timestamp": at_}}
        door.world.clock.sleep(1)
        return door.world.decide({**given, "detail": detail})

    fired = send("firing")
    assert fired.decision["action"] == ("alert" if sender.id == "github" else "page")
    send("resolved")
    assert door.world.incident(fired).state == "resolved"


def test_while_step_functions_or_the_table_is_away_every_source_has_to_send_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> Mapping[str, Any]:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "StartExecution")

    def gone(**_: Any) -> Mapping[str, Any]:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    with monkeypatch.context() as patch:
        patch.setattr(door.stack.stepfunctions, "start_execution", away)
        for sender in SENDERS:
            assert door.post(sender.source, sender.fires)[0] == 503
    with monkeypatch.context() as patch:
        patch.setattr(door.world.dynamo.client, "get_item", gone)
        for sender in SENDERS:
            assert door.post(sender.source, sender.fires)[0] == 503
    assert door.started == []


def test_a_topics_message_goes_the_same_way(stack: Stack, sns: Sns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "fetch", sns.fetch)
    door = Door(stack)
    door.world.roster({"SOURCE#cloudwatch": {"topics": [TOPIC]}})
    assert door.post("cloudwatch", sns.alarm("ALARM"))[0] == 202
    assert door.decide().decision["action"] == "page"
    status, told = door.post("cloudwatch", sns.alarm("ALARM", name="on-call-unanswered"))
    assert (status, "ignored" in told, len(door.started)) == (202, True, 1)
    assert door.post("cloudwatch", {**sns.alarm("OK"), "Message": "x"})[0] == 403
    assert door.post("cloudwatch", sns.alarm("ALARM"), key="0" * 32)[0] == 403
