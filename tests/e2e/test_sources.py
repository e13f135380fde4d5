"""What other senders than Alertmanager send, on the whole system: it rings, it resolves, and it says why not."""

import json
import os
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pagerduty import EventsApiV2Client
from pagerduty.errors import Error as PagerDutyError

from devstack.shared.serve import free_port
from tests.devstack_fixture import ROOT, Devstack, wait_until

SOON = 60.0


class Client(EventsApiV2Client):
    """PagerDuty's client, which takes no address but of https: on one machine there is none."""

    url = ""  # shadows the property that looks at it


@pytest.fixture
def key(devstack: Devstack) -> str:
    """A key of its own for a test."""
    made: str = oncall(devstack, "key", "add", f"key-{secrets.token_hex(4)}", "--product", "shop")["key"]
    return made


def oncall(system: Devstack, *arguments: str) -> Any:
    """What the command answers."""
    command = [sys.executable, "-m", "oncall_cli", *arguments, "--devstack", "--json"]
    environment = {**os.environ, "DEVSTACK_DIR": str(system.directory)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def put_event(system: Devstack, name: str, state: str, **detail: Any) -> None:
    """CloudWatch changes an alarm's state: EventBridge has the event."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    event = {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "account": "111122223333",
        "region": "ap-northeast-1",
        "detail": {"alarmName": name, "state": {"value": state, "timestamp": at, "reason": "it is so"}, **detail},
    }
    system.control("PUT", "aws", "events", event)


def ring(system: Devstack, before: int, started: float, who: str) -> dict[str, Any]:
    """The first call after so many. How long it took is shown with pytest's option -rP."""
    call = wait_until(lambda: next(iter(system.calls()[before:]), None), SOON, "a phone rings")
    sys.stdout.write(f"{who}: {call['created_at'] - started:.2f} s from the event to the call\n")
    return call


def stops(system: Devstack, before: int, text: str) -> None:
    """The phone stops, and Slack shows the incident as resolved."""
    wait_until(lambda: system.calls()[before]["status"] in ("canceled", "completed"), SOON, "the phone stops")

    def shown() -> bool:
        return any(text in message["text"] and "解決" in message["text"] for message in system.messages())

    wait_until(shown, SOON, "Slack shows the end")


def test_an_alarm_of_cloudwatch_of_another_account_rings_and_its_ok_stops_it(devstack: Devstack) -> None:
    before, started = len(devstack.calls()), time.time()
    put_event(devstack, "shop-cpu", "ALARM", configuration={"description": "The shop is slow"})
    ring(devstack, before, started, "CloudWatch")
    put_event(devstack, "shop-cpu", "OK")
    stops(devstack, before, "The shop is slow")


def test_an_alarm_by_a_topic_of_sns_rings_and_its_ok_stops_it(devstack: Devstack) -> None:
    """The topic's subscription is confirmed, and its messages are signed."""
    topic = devstack.sns.create_topic(Name=f"alarms-{secrets.token_hex(4)}")["TopicArn"]
    item: dict[str, Any] = {"pk": {"S": "ROSTER"}, "sk": {"S": "SOURCE#cloudwatch"}, "topics": {"L": [{"S": topic}]}}
    devstack.dynamodb.put_item(TableName=devstack.endpoints["table"], Item=item)
    made = oncall(devstack, "key", "add", f"sns-{secrets.token_hex(4)}", "--source", "cloudwatch", "--product", "shop")
    devstack.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=made["addresses"]["cloudwatch"])
    wait_until(
        lambda: devstack.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"], SOON, "it is confirmed"
    )
    before, started = len(devstack.calls()), time.time()
    publish_alarm(devstack, topic, "ALARM")
    ring(devstack, before, started, "CloudWatch, by SNS")
    publish_alarm(devstack, topic, "OK")
    stops(devstack, before, "The queue of the shop is long")
    assert made["key"] not in devstack.log("ReceiveEventFunction")


def publish_alarm(system: Devstack, topic: str, state: str) -> None:
    """An alarm's action: it publishes its new state."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    said = {
        "AlarmName": "shop-queue",
        "AlarmDescription": "The queue of the shop is long",
        "AlarmArn": topic.replace(":sns:", ":cloudwatch:").rpartition(":")[0] + ":alarm:shop-queue",
        "NewStateValue": state,
        "NewStateReason": "it is so",
        "StateChangeTime": at,
        "Trigger": {"Dimensions": [{"name": "QueueName", "value": "shop"}]},
    }
    system.sns.publish(TopicArn=topic, Subject=f"{state}: shop-queue", Message=json.dumps(said))


def test_our_own_alarms_start_nothing(devstack: Devstack) -> None:
    address = f"{devstack.endpoints['aws']}/_sim/events"
    event = {"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change"}
    own = {"alarmName": "on-call-api-errors", "state": {"value": "ALARM"}}
    assert requests.put(address, json={**event, "detail": own}, timeout=30).json() == {"rules": []}
    assert requests.put(address, json={"detail": own}, timeout=30).status_code == 400
    assert requests.put(address, json=[], timeout=30).status_code == 400


def test_pagerdutys_own_client_rings_acknowledges_and_resolves(devstack: Devstack, key: str) -> None:
    client = Client(key, base_url=devstack.endpoints["gateway"])
    before, started = len(devstack.calls()), time.time()
    dedup = client.trigger("The disk of web-1 is full", "web-1", severity="critical", custom_details={"free": "1%"})
    ring(devstack, before, started, "pagerduty.EventsApiV2Client")
    assert client.acknowledge(dedup) == dedup
    wait_until(lambda: devstack.calls()[before]["status"] == "canceled", SOON, "the phone stops")
    assert client.resolve(dedup) == dedup
    stops(devstack, before, "The disk of web-1 is full")
    with pytest.raises(PagerDutyError, match="400"):
        Client("0" * 32, base_url=devstack.endpoints["gateway"]).trigger("x", "y")


def test_the_clients_events_are_accepted_when_step_functions_is_back(devstack: Devstack, key: str) -> None:
    """503 is sent again by PagerDuty's client, and nothing is accepted before."""
    before, started = len(devstack.calls()), time.time()
    devstack.faults("aws", {"states:StartExecution": {"status": 503, "type": "ServiceUnavailable", "times": 6}})
    client = Client(key, base_url=devstack.endpoints["gateway"])
    dedup = client.trigger("Sent again", "web-1", severity="critical")
    devstack.faults("aws", {})
    ring(devstack, before, started, "pagerduty.EventsApiV2Client, after 503")
    client.resolve(dedup)
    stops(devstack, before, "Sent again")


CONFIGURATION = """
route: {{ receiver: on-call, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}
receivers:
  - name: on-call
    pagerduty_configs:
      - {{ url: "{url}", routing_key: "{key}", severity: critical, send_resolved: true }}
"""


def test_alertmanagers_pagerduty_integration_rings_and_resolves(devstack: Devstack, key: str, tmp_path: Path) -> None:
    program = ROOT / ".devstack/programs/usr/bin/prometheus-alertmanager"
    (tmp_path / "alertmanager.yml").write_text(
        CONFIGURATION.format(url=f"{devstack.endpoints['gateway']}/v2/enqueue", key=key)
    )
    port = free_port()
    arguments = [
        "--config.file=alertmanager.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen([program, *arguments, "--storage.path=data"], cwd=tmp_path, stderr=log)  # noqa: S603
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_ready(address), SOON, "Alertmanager is there")
        before, started = len(devstack.calls()), time.time()
        alert = {"labels": {"alertname": "Queue full", "severity": "critical"}, "annotations": {"summary": "full"}}
        requests.post(f"{address}/api/v2/alerts", json=[alert], timeout=10).raise_for_status()
        ring(devstack, before, started, "Alertmanager's pagerduty_configs")
        over = {**alert, "endsAt": datetime.now(UTC).isoformat()}
        requests.post(f"{address}/api/v2/alerts", json=[over], timeout=10).raise_for_status()
        stops(devstack, before, "Queue full")
    finally:
        running.terminate()
        running.wait(10)


def is_ready(address: str) -> bool:
    """Whether Alertmanager answers."""
    try:
        return requests.get(f"{address}/-/ready", timeout=1).ok
    except requests.RequestException:
        return False


def test_our_own_form_rings_with_a_key_in_the_address_and_with_the_bearer_token(devstack: Devstack, key: str) -> None:
    gateway, token = devstack.endpoints["gateway"], devstack.endpoints["bearer_token"]
    for address, headers in (
        (f"{gateway}/events/generic/{key}", {}),
        (f"{gateway}/events/generic", {"Authorization": f"Bearer {token}"}),
    ):
        before, started = len(devstack.calls()), time.time()
        name = f"The queue is full {secrets.token_hex(4)}"
        answer = requests.post(address, json={"summary": name, "severity": "critical"}, headers=headers, timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        ring(devstack, before, started, f"generic, {'token' if headers else 'key'}")
        requests.post(address, json={"summary": name, "status": "resolved"}, headers=headers, timeout=30)
        stops(devstack, before, name)


def test_who_has_no_key_is_told_so_and_starts_nothing(devstack: Devstack, key: str) -> None:
    gateway, before = devstack.endpoints["gateway"], len(devstack.calls())
    event = {"summary": "x", "severity": "critical"}
    assert requests.post(f"{gateway}/events/generic", json=event, timeout=30).status_code == 401
    bad = {"Authorization": f"Bearer {key}"}
    assert requests.post(f"{gateway}/events/generic", json=event, headers=bad, timeout=30).status_code == 403
    assert requests.post(f"{gateway}/events/generic/wrong", json=event, timeout=30).status_code == 403
    assert requests.get(f"{gateway}/heartbeats/{key}", timeout=30).status_code == 403
    refused = requests.post(f"{gateway}/v2/enqueue", json={"routing_key": "x", "event_action": "trigger"}, timeout=30)
    assert (refused.status_code, refused.json()["errors"]) == (400, ["Invalid routing key"])
    assert len(devstack.calls()) == before


def test_a_key_that_was_revoked_opens_nothing_and_is_in_no_log(devstack: Devstack, key: str) -> None:
    name = next(one["name"] for one in reversed(oncall(devstack, "key", "list")) if one["product"] == "shop")
    made = oncall(devstack, "key", "add", f"{name}-2")["key"]
    address = f"{devstack.endpoints['gateway']}/events/generic/{made}"
    assert requests.post(address, json={"summary": "x", "severity": "warning"}, timeout=30).status_code == 202
    oncall(devstack, "key", "revoke", f"{name}-2", "--yes")
    assert requests.post(address, json={"summary": "x", "severity": "warning"}, timeout=30).status_code == 403
    assert made not in devstack.log("ReceiveEventFunction")
    assert key not in devstack.log("ReceiveEventFunction")


def test_a_heartbeat_that_fails_rings_and_its_beat_stops_it(devstack: Devstack) -> None:
    item = {"pk": "ROSTER", "sk": "WATCHED#backup", "id": "backup", "every": "1 day", "grace": "1 hour"}
    devstack.dynamodb.put_item(
        TableName=devstack.endpoints["table"], Item={name: {"S": value} for name, value in item.items()}
    )
    made = oncall(devstack, "key", "add", "backup", "--heartbeat", "backup")
    address = made["addresses"]["heartbeat"]
    assert requests.get(address, timeout=30).json()["heartbeat"] == "backup"
    assert requests.post(f"{address}/start", timeout=30).status_code == 200
    before, started = len(devstack.calls()), time.time()
    assert requests.post(f"{address}/fail", data=b"out of space", timeout=30).status_code == 200
    ring(devstack, before, started, "heartbeat, fail")
    (listed,) = oncall(devstack, "heartbeat", "list")
    assert (listed["id"], listed["state"]) == ("backup", "failed")
    assert requests.get(address, timeout=30).status_code == 200
    stops(devstack, before, "backup")
    assert oncall(devstack, "heartbeat", "list")[0]["state"] == "ok"
