"""Writes whose author died before anybody heard of them: the next one who comes by makes up for it, not the time limit."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from oncall import actions, incidents, reconciler
from oncall.alerts.alertmanager import read_webhook
from oncall.phone import keys
from oncall.table import Update
from tests.builders import MINUTE, SATO, SUZUKI, World, webhook


class KilledError(Exception):
    """The function's process is gone."""


def killed_before_the_release(world: World, does: Callable[[], object]) -> None:
    """Somebody's function writes the table, and dies when it would release the waiting step."""

    def dies(*_: Any) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as patch, suppress(KilledError):
        patch.setattr(world, "release", dies)
        does()


def test_a_key_whose_function_died_is_made_up_for_by_the_end_of_its_call(world: World) -> None:
    run = world.fire()
    killed_before_the_release(world, lambda: world.hears(world.last_call, "1"))
    assert world.incident(run).state == "triggered"
    world.twilio_says(world.last_call, "completed")
    assert world.incident(run).state == "acknowledged"
    assert run.outcome[0] == "success"


def test_a_late_key_whose_function_died_is_made_up_for_by_the_end_of_its_call(world: World) -> None:
    world.fire()
    first = world.last_call
    world.twilio_says(first, "no-answer")
    killed_before_the_release(world, lambda: keys.key_pressed(world.services, first.callbacks, "1"))
    assert world.ringing == [SUZUKI]
    world.twilio_says(first, "completed")
    assert world.ringing == []


def test_the_end_of_a_call_whose_function_died_is_made_up_for_by_twilios_retry(world: World) -> None:
    world.fire()
    first = world.last_call
    killed_before_the_release(world, lambda: world.twilio_says(first, "busy"))
    assert world.rung == [SATO]
    world.twilio_says(first, "busy")
    assert world.rung == [SATO, SUZUKI]


def test_a_button_whose_function_died_is_made_up_for_by_whoever_presses_it_next(world: World) -> None:
    run = world.fire()
    incident = run.decision["incidents"][0]
    killed_before_the_release(world, lambda: world.takes_in_slack(incident))
    assert world.ringing == [SATO]
    world.clock.sleep(1)
    assert world.takes_in_slack(incident, user="U0NEW", name="new").by == "Sato"
    assert world.ringing == []


def test_a_resolution_whose_function_died_is_made_up_for_by_its_retry(world: World) -> None:
    world.fire()
    killed_before_the_release(world, lambda: world.resolve(execution="resolution"))
    assert world.ringing == [SATO]
    world.resolve(execution="resolution")
    assert world.ringing == []


def test_a_resolution_by_hand_whose_function_died_is_made_up_for_by_the_next(world: World) -> None:
    run = world.fire()
    incident = run.decision["incidents"][0]
    incidents.resolve(world.table, incident, who="Sato", via="command", now=world.clock.now())
    assert world.ringing == [SATO]
    assert actions.resolve_incident(world.services, incident, who="Suzuki", via="command") is None
    world.settles_down()
    assert world.ringing == []


@pytest.mark.parametrize("order", [("completed",), ("completed", "in-progress")])
def test_a_connected_call_counts_even_if_that_it_was_answered_is_heard_late_or_never(
    world: World, order: tuple[str, ...]
) -> None:
    world.roster({"POLICY#default": {"answer": "connected"}})
    run = world.fire()
    for status in order:
        world.twilio_says(world.last_call, status)
    assert world.rung == [SATO]
    assert world.incident(run).acknowledged_by == "Sato"


def test_a_key_that_meets_the_next_page_counts_for_its_incident_alone(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 1, "quiet_seconds": 0}, "RESPONDER#suzuki": None})
    run = world.fire()
    first = world.last_call
    for _ in range(2):
        world.twilio_says(world.last_call, "busy")
    page = world.page()
    world.dynamo.before("UpdateItem", lambda: world.fire(webhook(key="other")))
    said = keys.key_pressed(world.services, first.callbacks, "1")
    assert world.page().id != page.id
    assert "You have it" in said
    assert world.incident(run).state == "acknowledged"
    assert world.page().state == "open"


def test_an_item_that_cannot_be_resumed_does_not_keep_the_others_from_it(world: World) -> None:
    world.table.update(
        Update("PAGE#broken", "CURRENT", set={"state": "open", "due": "due", "due_at": 1, "lease_until": 1})
    )
    world.receive(webhook())  # and its execution dies before the first ring
    world.clock.sleep(3 * MINUTE)
    with pytest.raises(KeyError):
        reconciler.reconcile(world.services)
    world.run_started()
    assert world.rung == [SATO]


def test_a_page_does_not_queue_behind_incidents_that_slack_has_not_heard_of(world: World) -> None:
    group = read_webhook(webhook(key="other"), received_at=world.clock.now())
    for number in range(reconciler.MOST):
        late = {"due": "due", "due_at": number, "group": group.id}
        world.table.update(Update(f"INCIDENT#slack is away {number}", "STATE", set=late))
    run = world.receive(webhook())  # and its execution dies before the first ring
    world.project(*run.decision["incidents"])
    world.clock.sleep(3 * MINUTE)
    with suppress(KeyError):  # the others are no whole incidents
        reconciler.reconcile(world.services)
    world.run_started()
    assert world.rung == [SATO]
