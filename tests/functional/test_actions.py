"""What people do about incidents from the command line: take them, resolve them, page somebody, look at what there was."""

from datetime import UTC, datetime
from typing import Any

import pytest

from oncall import actions, incidents
from oncall.errors import WebhookError
from oncall.probe import record as probes
from oncall.slack import messages
from tests.builders import GATEWAY, MINUTE, SATO, START, SUZUKI, World, alert, webhook


def page_by_hand(world: World, **more: Any) -> dict[str, Any]:
    return {
        "source": "command",
        "id": "page-1",
        "product": "shop",
        "text": "the shop is strange",
        "by": "Takahashi",
        "at": world.clock.now(),
        "gateway": GATEWAY,
        **more,
    }


def test_a_responder_takes_an_incident_by_command(world: World) -> None:
    run = world.fire()
    (incident,) = run.decision["incidents"]
    taken = actions.acknowledge_incident(world.services, incident, responder_id="suzuki", name="root", via="command")
    world.settles_down()
    assert (taken.ours, taken.by) == (True, "Suzuki")
    assert world.ringing == []
    assert world.incident(run).acknowledged_by == "Suzuki"
    again = actions.acknowledge_incident(world.services, incident, name="somebody", via="command")
    assert (again.ours, again.by) == (False, "Suzuki")


def test_resolving_stops_the_phone_and_ends_the_page(world: World) -> None:
    run = world.fire()
    (incident,) = run.decision["incidents"]
    assert actions.resolve_incident(world.services, incident, who="Suzuki", via="command")
    world.settles_down()
    assert world.ringing == []
    assert world.page().state == "resolved"
    assert run.is_over
    assert world.incident(run).state == "resolved"
    told = incidents.timeline(world.table, incident)[-1]
    assert (told.kind, told.who, told.detail) == ("resolved", "Suzuki", {"via": "command"})
    assert messages.line(told, "en") == "Resolved: Suzuki ended it by command."
    assert actions.resolve_incident(world.services, incident, who="Suzuki", via="command") is None
    assert actions.resolve_incident(world.services, "20261123-030000-nobody", who="Suzuki", via="command") is None


def test_resolving_one_of_two_rings_on_for_the_other(world: World) -> None:
    run = world.fire()
    other = world.fire(webhook(key="database"))
    (incident,) = run.decision["incidents"]
    actions.resolve_incident(world.services, incident, who="Suzuki", via="command")
    world.settles_down()
    world.twilio_says(world.last_call, "no-answer")
    assert world.ringing == [SUZUKI]
    assert world.incident(other).state == "triggered"


def test_an_alert_that_fires_on_opens_another_incident_at_its_next_repeat(world: World) -> None:
    run = world.fire()
    (incident,) = run.decision["incidents"]
    before = world.clock.now()
    world.clock.time += MINUTE * 1000
    actions.resolve_incident(world.services, incident, who="Suzuki", via="command")
    world.settles_down()
    world.clock.time += 1000
    late = world.receive(webhook(), received_at=before + 1)  # it was under way already
    assert world.incident(late).state == "resolved"
    world.clock.time += MINUTE * 1000
    repeat = world.fire()
    assert repeat.decision["incidents"] != [incident]
    assert world.incident(repeat).state == "triggered"
    world.resolve()
    assert world.incident(repeat).state == "resolved"


def test_a_page_by_hand_rings_whoever_is_on_call(world: World) -> None:
    run = world.decide(page_by_hand(world))
    world.go_on(run)
    assert world.ringing == [SATO]
    assert "the shop is strange" in world.last_call.twiml
    incident = world.incident(run)
    assert (incident.title, incident.product, incident.severity) == ("Paged by Takahashi", "shop", "critical")
    assert not incident.is_test


def test_the_same_page_by_hand_rings_once_and_another_is_another_incident(world: World) -> None:
    first = world.decide(page_by_hand(world), execution="page-1")
    again = world.decide(page_by_hand(world), execution="page-1")
    other = world.decide(page_by_hand(world, id="page-2"), execution="page-2")
    assert first.decision["incidents"] == again.decision["incidents"]
    assert other.decision["incidents"] != first.decision["incidents"]


@pytest.mark.parametrize("wrong", [{"text": " "}, {"by": ""}, {"at": "soon"}, {"at": None}])
def test_a_page_that_says_nothing_is_refused(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(WebhookError, match="the page"):
        world.decide(page_by_hand(world, **wrong))


def test_tests_and_the_probe_are_told_from_the_rest(world: World) -> None:
    by_hand = world.incident(world.decide(page_by_hand(world, test=True)))
    labelled = world.incident(world.receive(webhook(alert(labels={"oncall_test": "true"}))))
    probes.begin(world.table, "run-1", owner="request-1", now=START)
    probe = world.incident(world.receive(probes.webhook("run-1", "firing", now=START)))
    real = world.incident(world.receive(webhook(key="real")))
    assert [one.is_test for one in (by_hand, labelled, probe, real)] == [True, True, True, False]


def test_incidents_are_listed_across_months_in_order(world: World) -> None:
    found = []
    for number, day in enumerate([(2026, 10, 31), (2026, 11, 1), (2026, 12, 31), (2027, 1, 1)]):
        world.clock.time = int(datetime(*day, 12, tzinfo=UTC).timestamp() * 1000)
        found += world.receive(webhook(key=f"group {number}")).decision["incidents"]
    now = world.clock.now() + 1000
    november = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
    assert incidents.opened_since(world.table, 0, now=now)[:1] == found[:1]
    assert incidents.opened_since(world.table, november, now=now) == found[1:]
    assert incidents.opened_since(world.table, now, now=now) == []


def test_only_what_is_not_resolved_is_listed_as_open(world: World) -> None:
    still, ended = world.fire(), world.fire(webhook(key="ended"))
    world.resolve(webhook(key="ended", status="resolved"))
    late = world.receive(webhook(key="late", status="resolved"))
    assert late.decision["action"] == "none"
    from_the_start = world.receive(webhook(key="late"), received_at=world.clock.now() - 1)  # its resolution was faster
    assert world.incident(from_the_start).state == "resolved"
    now = world.clock.now() + 1000
    assert incidents.open_since(world.table, 0, now=now) == still.decision["incidents"]
    everything = {*still.decision["incidents"], *ended.decision["incidents"], *from_the_start.decision["incidents"]}
    assert set(incidents.opened_since(world.table, 0, now=now)) == everything
