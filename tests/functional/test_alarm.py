"""The monitoring is silent: the heartbeat's alarm becomes an incident that pages, and resolves when heartbeats return."""

from typing import Any

import pytest

from oncall import incidents
from oncall.alerts import by_hand
from oncall.errors import WebhookError
from tests.builders import GATEWAY, ROSTER, START, World, webhook

ALARM = "on-call-heartbeat-silent"


def changed(state: str, seconds: int = 0, **fields: Any) -> dict[str, Any]:
    """The execution's input as the rule's InputTransformer makes it: CloudWatch writes offsets without a colon."""
    at = f"2026-11-23T03:00:{seconds:02d}.985+0000"
    return {"source": "alarm", "alarm": ALARM, "state": state, "at": at, "gateway": GATEWAY, **fields}


def test_the_silence_of_the_monitoring_pages_and_its_voice_resolves_it(world: World) -> None:
    fired = world.decide(changed("ALARM"))
    assert fired.decision["action"] == "page"
    assert [one["name"] for one in fired.decision["responders"]] == ["Sato", "Suzuki", "Takahashi"]
    incident = world.incident(fired)
    assert incident.product == "oncall-watchdog"
    assert incident.received_at == START + 985
    assert "monitoring is silent" in incident.summary

    world.decide(changed("OK", 30))
    assert world.incident(fired).state == "resolved"


def test_a_doubled_event_is_one_incident(world: World) -> None:
    first = world.decide(changed("ALARM"))
    second = world.decide(changed("ALARM"))
    assert second.decision["incidents"] == first.decision["incidents"]
    assert second.decision["action"] == "notify"


def test_a_second_silence_is_a_second_incident(world: World) -> None:
    runs = [world.decide(changed(state, number)) for number, state in enumerate(["ALARM", "OK", "ALARM"])]
    assert runs[0].decision["incidents"] != runs[2].decision["incidents"]
    assert runs[2].decision["action"] == "page"


def test_the_first_heartbeats_after_the_deployment_are_no_incident(world: World) -> None:
    assert world.decide(changed("OK")).decision["action"] == "none"


def test_an_older_ok_that_comes_late_resolves_nothing(world: World) -> None:
    fired = world.decide(changed("ALARM", 30))
    world.decide(changed("OK", 10))
    assert world.incident(fired).state == "triggered"


def test_it_is_said_in_the_language_of_the_product(world: World) -> None:
    world.roster({**ROSTER, "PRODUCT#oncall-watchdog": {"language": "ja"}})
    fired = world.decide(changed("ALARM"))
    assert "沈黙" in world.incident(fired).summary


@pytest.mark.parametrize(
    "wrong", [{"state": "INSUFFICIENT_DATA"}, {"at": "yesterday"}, {"at": "2026-11-23T03:00:00"}, {"at": None}]
)
def test_what_cannot_be_read_is_said(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(WebhookError, match="alarm"):
        world.decide(changed("ALARM") | wrong)
    assert incidents.read(world.table, "any") is None


@pytest.mark.parametrize("status", ["resolved", "firing"])
@pytest.mark.parametrize("source", ["alarm", "command"])
def test_a_holder_of_alertmanagers_token_reaches_no_other_sources_group(world: World, source: str, status: str) -> None:
    asked = by_hand.request("page-1", product="", text="help", by="Sato", now=START, gateway=GATEWAY)
    fired = world.decide(changed("ALARM") if source == "alarm" else asked)
    before = world.incident(fired)
    world.clock.time += 60_000
    posted = webhook(status=status, groupKey=before.group_key, product=before.product)
    run = world.receive(posted)
    assert world.incident(fired) == before
    assert incidents.read(world.table, before.id) == before
    assert before.id not in run.decision["incidents"]
    if source == "alarm":
        world.decide(changed("OK", 59))
        assert world.incident(fired).state == "resolved", "its own source still does"
