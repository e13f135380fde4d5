"""Probe: what a run measures and counts; and the pings that keep functions warm."""

import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from oncall import aws, warm
from oncall.probe import record as probe
from oncall.services import for_function
from oncall.settings import read_settings
from tests.builders import AUTOMATIC, BASE, START
from tests.functional.handlers import (
    BEARER,
    SsmAway,
    Stack,
    enter,
    execution_input,
    published,
    store,
    twilio_event,
)

# An invocation that has nothing to count is no fault; Powertools warns of it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


def test_the_probe_publishes_how_long_an_alert_takes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = stack.world
    sent: list[tuple[str, str]] = []

    def post(url: str, token: str, hook: Any) -> str:
        sent.append((url, token))
        return world.fire(hook).name

    def sleep(seconds: float) -> None:
        world.passes(seconds)
        for call in world.telephone.ringing:
            world.hears(call, "1")
            world.twilio_says(call, "completed")

    monkeypatch.setenv("GATEWAY_URL", BASE)
    monkeypatch.setattr("oncall.probe.run.post", post)
    monkeypatch.setattr("probe.for_function", lambda: replace(for_function(), sleep=sleep))
    answer = stack.call("probe", {"id": "event-1", "source": "aws.events"})
    assert (answer["tried"], answer["problem"], world.rung) == (True, "", [AUTOMATIC])
    assert sent == [(f"{BASE}/alerts", BEARER)]
    assert stack.functions.invoked, "Slack is asked to show it"
    counted = published(capsys)
    assert counted.keys() == {"ProbeFailures", "ProbeSecondsToRing", "ProbeSecondsToAcknowledge"}
    assert counted["ProbeFailures"] == 0
    assert counted["ProbeSecondsToAcknowledge"] == answer["hops"]["acknowledged"] / 1000
    assert stack.call("probe", {"id": "event-1", "source": "aws.events"}) == {"tried": False}


def test_a_probe_that_fails_is_counted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store("BEARER_TOKEN_PARAMETER", " ")
    assert "is empty" in stack.call("probe", {"run": "run-1"})["problem"]
    assert published(capsys) == {"ProbeFailures": 1}
    monkeypatch.setattr(stack.world.dynamo.client, "get_item", SsmAway().get_parameters)
    with pytest.raises(ClientError):
        stack.call("probe", {"run": "run-2"})
    assert published(capsys) == {"ProbeFailures": 1}


def test_what_the_probe_does_counts_as_no_page_and_no_alert(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("PROBE_NUMBER", AUTOMATIC)
    read_settings.cache_clear()
    monkeypatch.setattr("phone_call.telephone", lambda *_, **__: stack.world.telephone)
    probe.begin(stack.world.table, "run-1", owner="request", now=START)
    decision = stack.call("receive_alerts", execution_input(probe.webhook("run-1", "firing", now=START)))
    enter(stack, decision, "task-token")
    stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    enter(stack, decision, "another-token")
    assert (stack.world.rung, stack.stepfunctions.released[-1][1]["result"]) == ([AUTOMATIC], "success")
    assert published(capsys) == {}
    assert "acknowledged" not in caplog.messages


# ---------------------------------------------------------------- pings


class Untouched:
    """A client that may be made, and asked for nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a ping has used {name}")


@pytest.mark.parametrize(
    ("function", "clients"),
    [
        ("authorize", {"ssm"}),
        ("receive_alerts", {"dynamodb"}),
        ("phone_call", {"dynamodb", "ssm"}),
        ("phone_reply", {"dynamodb", "ssm"}),
        ("slack_notification", {"dynamodb", "ssm"}),
        ("slack_reply", {"dynamodb", "ssm"}),
    ],
)
def test_a_ping_makes_the_clients_and_asks_nobody(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, function: str, clients: set[str]
) -> None:
    made: set[str] = set()

    def client(service: str, *_: Any) -> Untouched:
        made.add(service)
        return Untouched()

    monkeypatch.setattr(aws, "client", client)
    assert stack.call(function, warm.PING) is None
    assert made == clients


def test_every_other_minute_of_the_reconcilers_pings_what_is_kept_warm(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT_WARM", "authorize receive-alerts")
    monkeypatch.setattr("reconcile.runs", count())
    stack.call("reconcile", {})
    stack.call("reconcile", {})
    assert [(one["FunctionName"], json.loads(one["Payload"])) for one in stack.functions.invoked] == [
        *(("authorize", warm.PING), ("receive-alerts", warm.PING))
    ]
