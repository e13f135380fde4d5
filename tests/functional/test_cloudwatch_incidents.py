"""Alarms of CloudWatch, which EventBridge delivers at least once and in no order, as incidents."""

from typing import Any

from tests.builders import GATEWAY, World


def changed(state: str, seconds: int = 0, *, name: str = "shop-cpu", **more: Any) -> dict[str, Any]:
    """The execution's input as the rule's InputTransformer makes it."""
    at = f"2026-11-23T03:00:{seconds:02d}.985+0000"
    detail = {"alarmName": name, "state": {"value": state, "timestamp": at, "reason": "it is so"}, **more}
    return {
        "source": "cloudwatch",
        "about": name,
        "account": "123456789012",
        "region": "eu-central-1",
        "detail": detail,
        "gateway": GATEWAY,
    }


def test_an_alarm_rings_and_its_ok_resolves(world: World) -> None:
    fired = world.decide(changed("ALARM"))
    assert fired.decision["action"] == "page"
    assert world.incident(fired).summary == "shop-cpu"
    world.decide(changed("OK", 30))
    assert world.incident(fired).state == "resolved"


def test_a_warning_is_for_slack_alone_and_none_for_nobody(world: World) -> None:
    rules = [{"name": "shop-*", "severity": "warning"}, {"name": "scaling-*", "severity": "none"}]
    world.roster({"META": {"severities": {"none": "none"}}, "SOURCE#cloudwatch": {"rules": rules}})
    assert world.decide(changed("ALARM")).decision["action"] == "alert"
    assert world.decide(changed("ALARM", name="scaling-up")).decision["action"] == "none"
    assert world.decide(changed("ALARM", name="other")).decision["action"] == "page"


def test_a_doubled_event_is_one_incident(world: World) -> None:
    first, second = (world.decide(changed("ALARM")) for _ in range(2))
    assert second.decision["incidents"] == first.decision["incidents"]
    assert second.decision["action"] == "notify" or second.decision["page"] == first.decision["page"]


def test_an_older_event_that_comes_late_changes_nothing(world: World) -> None:
    fired = world.decide(changed("ALARM", 30))
    world.decide(changed("OK", 10))
    assert world.incident(fired).state == "triggered"
    world.decide(changed("OK", 50))
    assert world.decide(changed("ALARM", 40)).decision["action"] in ("notify", "none")
    assert world.incident(fired).state == "resolved"


def test_no_data_says_nothing(world: World) -> None:
    assert world.decide(changed("INSUFFICIENT_DATA")).decision["action"] == "none"
    fired = world.decide(changed("ALARM", 1))
    world.decide(changed("INSUFFICIENT_DATA", 2))
    assert world.incident(fired).state == "triggered"


def test_alertmanagers_token_reaches_no_alarm(world: World) -> None:
    """Whatever group key a webhook has, it is none of an alarm's, of the monitoring's, or of a page by hand."""
    fired = world.decide(changed("ALARM"))
    incident = world.incident(fired)
    for key in (
        incident.group,
        incident.group_key,
        f"cloudwatch:{incident.group_key}",
        incident.group[11:],
    ):
        world.receive(
            {
                "groupKey": key,
                "status": "resolved",
                "alerts": [{"status": "resolved", "labels": {"alertname": "x"}}],
            },
            received_at=world.clock.now() + 60_000,
        )
    assert world.incident(fired).state == "triggered"
