"""Who notices when the monitoring itself is dead: Alertmanager's heartbeat, its alarm, and the page that it starts."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.devstack_fixture import Devstack, running_devstack, wait_until
from tests.e2e.story import SOON

SPEED = 30  # a minute of CloudWatch's takes two seconds
ALARM = "on-call-heartbeat-silent"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devstack]:
    """A system that expects heartbeats, and has no Alertmanager that would send them."""
    directory = tmp_path_factory.mktemp("heartbeat")
    environment = {"MONITORING": "0", "HEARTBEAT_EXPECTED": "true", "SCHEDULE_SPEED": str(SPEED)}
    with running_devstack(directory, **environment) as running:
        yield running


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devstack]:
    """A first deployment: nobody in the roster, no monitoring, and nothing set that is not asked for."""
    directory = tmp_path_factory.mktemp("first")
    with running_devstack(directory, MONITORING="0", SCHEDULE_SPEED=str(SPEED)) as running:
        yield running


def test_a_first_deployment_mails_nothing_and_its_silence_rings_when_the_roster_is_there(first: Devstack) -> None:
    table = first.endpoints["table"]
    found = first.dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": "ROSTER"}, ":sk": {"S": "RESPONDER#"}},
    )["Items"]
    for item in found:
        first.dynamodb.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
    time.sleep(8 * 60 / SPEED)
    assert first.published() == []
    assert first.calls() == []

    # The monitoring is heard, and dies before there is anybody to ring.
    assert beat(first).status_code == 202
    wait_until(lambda: told(first, "ALARM"), SOON, "the fallback topic is told")
    wait_until(
        lambda: [each for each in first.published() if "nobody took a page" in (each["subject"] or "")],
        SOON,
        "nobody could be rung",
    )
    for item in found:
        first.dynamodb.put_item(TableName=table, Item=item)
    wait_until(lambda: ringing(first), SOON, "a phone rings")


def beat(system: Devstack, body: bytes | str = "{}", token: str | None = None) -> requests.Response:
    """A heartbeat as Alertmanager posts it."""
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token or system.endpoints['heartbeat_token']}",
    }
    return requests.post(f"{system.endpoints['gateway']}/heartbeat", data=body, headers=headers, timeout=30)


def told(system: Devstack, state: str) -> list[dict[str, Any]]:
    """What the fallback topic was told of the heartbeat."""
    return [each for each in system.published() if (each["subject"] or "").startswith(f'{state}: "{ALARM}"')]


def ringing(system: Devstack) -> dict[str, Any] | None:
    """The call that rings."""
    return next((call for call in system.calls() if call["status"] == "ringing"), None)


def test_silence_is_told_and_paged_also_when_the_first_beat_never_came_and_resolves_with_the_beat(
    system: Devstack,
) -> None:
    # Nothing was ever heard.
    wait_until(lambda: told(system, "ALARM"), SOON, "the fallback topic is told")
    call = wait_until(lambda: ringing(system), SOON, "a phone rings")
    assert "oncall watchdog" in " ".join(wait_until(lambda: heard(system, call), SOON, "the phone says it"))

    # Heartbeats come: the phone stops, the incident is over.
    def resolved() -> bool:
        assert beat(system).status_code == 202
        slack_tells = any("解決しました" in message["text"] for message in system.messages())
        return bool(told(system, "OK")) and slack_tells and system.calls()[0]["status"] == "completed"

    wait_until(resolved, SOON, "the incident resolves")

    # They stop.
    last = time.time()
    assert beat(system).status_code == 202
    alarm = wait_until(lambda: told(system, "ALARM")[1:], SOON, "the fallback topic is told again")[0]
    again = wait_until(lambda: ringing(system), SOON, "a phone rings again")
    assert again["sid"] != call["sid"]
    assert alarm["time"] - last >= 3 * 60 / SPEED, "not before three minutes of silence: a lost heartbeat is none"


def heard(system: Devstack, call: dict[str, Any]) -> list[str]:
    """What the phone has said, once it is answered."""
    current = next(each for each in system.calls() if each["sid"] == call["sid"])
    if current["status"] == "ringing":
        system.answer(call["sid"])
    said: list[str] = current["said"]
    return said


@pytest.mark.parametrize(("body", "times"), [("", 1), ("not JSON", 1), ("[]", 1), ("x", 9_000_000)])
def test_a_heartbeat_of_any_shape_and_size_counts(system: Devstack, body: str, times: int) -> None:
    assert beat(system, body * times).status_code == 202


def test_a_heartbeat_without_the_token_does_not_count(system: Devstack) -> None:
    assert beat(system, token="wrong").status_code == 401, "it cannot be a token"
    assert beat(system, token="x" * 43).status_code == 403
    assert requests.post(f"{system.endpoints['gateway']}/heartbeat", json={}, timeout=30).status_code == 401


def test_neither_token_opens_the_others_door(system: Devstack) -> None:
    assert beat(system, token=system.endpoints["bearer_token"]).status_code == 403
    assert system.post_alerts({}, token=system.endpoints["heartbeat_token"]).status_code == 403
    assert beat(system).status_code == 202, "an answer is kept for its own door alone"
    assert system.post_alerts({}).status_code == 400, "let in, and read"


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_heartbeat_that_cloudwatch_does_not_take_is_sent_again(system: Devstack, status: int) -> None:
    system.faults("aws", {"monitoring:PutMetricData": {"status": status, "type": "Throttling"}})
    answer = beat(system)
    system.faults("aws", {})
    assert answer.status_code == 503
    assert answer.json()["request"]
