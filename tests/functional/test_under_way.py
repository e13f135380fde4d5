"""Calls of which it is not known yet whether Twilio has them: nobody is rung twice for one, and none rings unheard of."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from oncall import pages
from tests.builders import MINUTE, SATO, SUZUKI, Call, World, webhook


@pytest.fixture
def behind(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Twilio's list of calls is three seconds behind its calls."""
    find = world.telephone.find

    def finds(number: str, *, since: int, besides: Sequence[str]) -> Call | None:
        found = find(number, since=since, besides=besides)
        new = found and datetime.fromtimestamp(world.clock.now() / 1000, UTC) - found.date_created
        return found if new and new.total_seconds() > 3 else None

    monkeypatch.setattr(world.telephone, "find", finds)
    return world


def test_a_step_that_died_after_twilio_was_asked_rings_nobody_twice_though_the_list_is_behind(behind: World) -> None:
    run = behind.receive(webhook())
    with behind.dynamo.dies(1, answered=False):
        behind.phone_call(run)
    behind.go_on(run)
    behind.passes(20)
    assert behind.rung == [SATO]
    behind.twilio_says(behind.last_call, "busy")
    assert behind.rung == [SATO, SUZUKI]


def test_a_step_that_runs_twice_at_once_rings_one_phone(behind: World) -> None:
    run = behind.receive(webhook())
    behind.telephone.while_asked.append(lambda _: behind.phone_call(run))  # again, before Twilio has answered
    behind.phone_call(run)
    behind.passes(20)
    assert behind.rung == [SATO]


def test_two_steps_that_find_a_call_lost_ask_for_it_once(world: World) -> None:
    run = world.receive(webhook())
    with world.dynamo.dies(0, answered=True):
        world.phone_call(run)
    world.clock.sleep(10)
    world.dynamo.before("UpdateItem", lambda: world.phone_call(run))
    world.phone_call(run)
    world.passes(20)
    assert world.rung == [SATO]


def test_what_twilio_has_refused_is_asked_for_again_at_once(world: World) -> None:
    world.telephone.is_away = True
    world.fire()
    world.telephone.is_away = False
    world.passes(2)
    assert world.rung == [SATO]


def test_a_call_that_comes_after_its_page_was_taken_is_hung_up_though_the_list_is_behind(behind: World) -> None:
    behind.telephone.loses_answers = 1
    run = behind.receive(webhook())
    behind.telephone.while_asked.append(lambda _: behind.takes_in_slack(run.decision["incidents"][0]))
    behind.go_on(run)
    behind.passes(20)
    assert behind.ringing == []
    assert behind.incident(run).state == "acknowledged"
    assert run.outcome[0] == "success"


def test_a_page_that_ends_while_the_step_goes_to_wait_is_not_waited_for(world: World) -> None:
    world.roster({"RESPONDER#suzuki": None, "RESPONDER#takahashi": None})
    run = world.fire()
    incident = run.decision["incidents"][0]

    def presses() -> None:
        world.takes_in_slack(incident)

    # The end of the call is the first update, that the step pauses between two rounds the second.
    world.dynamo.before("UpdateItem", lambda: world.dynamo.before("UpdateItem", presses))
    world.twilio_says(world.last_call, "busy")
    assert world.page().is_settled
    assert "due" not in (world.table.get(pages.partition("default"), "CURRENT") or {})


def test_a_call_that_twilio_has_forgotten_does_not_stop_the_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fire()

    def forgotten(sid: str) -> None:
        del sid

    monkeypatch.setattr(world.telephone, "fetch", forgotten)
    world.passes(MINUTE)
    assert world.rung == [SATO, SUZUKI]


def test_a_connected_call_of_which_no_callback_came_counts_at_the_time_limit(world: World) -> None:
    world.roster({"POLICY#default": {"answer": "connected"}})
    run = world.fire()
    world.last_call.status = "completed"
    world.passes(MINUTE)
    assert world.rung == [SATO]
    assert world.incident(run).acknowledged_by == "Sato"
