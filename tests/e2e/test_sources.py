"""What other senders than Alertmanager send, on the whole system: it rings, it resolves, and it says why not."""

import time
from datetime import UTC, datetime
from typing import Any

import requests

from tests.devstack_fixture import Devstack, wait_until

SOON = 60.0


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


def rings_for(system: Devstack, before: int) -> dict[str, Any]:
    """The first call after so many."""
    return wait_until(lambda: next(iter(system.calls()[before:]), None), SOON, "a phone rings")


def over(system: Devstack, text: str) -> bool:
    """Whether Slack shows an incident as resolved."""
    return any(text in message["text"] and "解決" in message["text"] for message in system.messages())


def test_an_alarm_of_cloudwatch_of_another_account_rings_and_its_ok_stops_it(devstack: Devstack) -> None:
    before, started = len(devstack.calls()), time.time()
    put_event(devstack, "shop-cpu", "ALARM", configuration={"description": "The shop is slow"})
    call = rings_for(devstack, before)
    assert call["created_at"] - started < SOON
    put_event(devstack, "shop-cpu", "OK")
    wait_until(lambda: over(devstack, "shop-cpu"), SOON, "the incident resolves")
    wait_until(lambda: devstack.calls()[before]["status"] == "canceled", SOON, "the phone stops")


def test_our_own_alarms_start_nothing(devstack: Devstack) -> None:
    address = f"{devstack.endpoints['aws']}/_sim/events"
    event = {"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change"}
    own = {"alarmName": "on-call-api-errors", "state": {"value": "ALARM"}}
    assert requests.put(address, json={**event, "detail": own}, timeout=30).json() == {"rules": []}
    assert requests.put(address, json={"detail": own}, timeout=30).status_code == 400
    assert requests.put(address, json=[], timeout=30).status_code == 400
