"""The reconciler: what is due and nobody works on goes on; what somebody works on is left alone."""

from typing import Any

import pytest

from oncall import pages, reconciler, signals
from tests.builders import DATABASE, MINUTE, SATO, SUZUKI, DiedError, Execution, World, webhook

DEAD = 10 * MINUTE  # longer than any lease


def test_it_leaves_alone_a_page_that_rings_and_an_incident_that_is_new(world: World) -> None:
    world.fire()
    assert world.reconcile() == []


def test_a_page_whose_execution_died_goes_on_with_the_next_responder(world: World) -> None:
    dead = world.fire()
    world.project(*dead.decision["incidents"])
    dies(world, dead)
    world.last_call.status = "no-answer"
    world.clock.time += DEAD * 1000
    (run,) = world.reconcile()
    assert world.page().owner == run.name
    assert world.rung == [SATO, SUZUKI]
    assert world.topic.subjects == ["a page had stopped and goes on"]
    assert "resumed" in world.story(dead)
    world.hears(world.last_call, "1")
    assert world.incident(dead).acknowledged_by == "Suzuki"


def test_a_page_whose_phone_still_rings_is_taken_over_without_a_second_ring(world: World) -> None:
    dies(world, world.fire())
    world.clock.time += 90_000
    world.reconcile()
    assert world.rung == [SATO]


def test_a_page_that_died_before_the_first_ring_rings(world: World) -> None:
    world.receive(webhook())
    world.clock.time += DEAD * 1000
    world.reconcile()
    assert world.rung == [SATO]


def test_an_incident_that_never_got_a_page_gets_one(world: World) -> None:
    for at in range(5):  # the step dies before, between and after its writes
        with world.dynamo.dies(at, answered=True):
            world.receive(webhook(key=f"group {at}"), execution=f"dead {at}")
    world.clock.time += DEAD * 1000
    world.reconcile()
    world.clock.time += 3000
    opened = [f"INCIDENT#{incident}" for incident in world.page().incidents]
    assert len(opened) >= 3
    assert world.ringing == [SATO]


def test_the_end_of_a_page_that_never_reached_its_incidents_is_carried_there(world: World) -> None:
    run = world.fire()
    with world.dynamo.dies(2, answered=False), pytest.raises(DiedError):
        world.hears(world.last_call, "1")  # written, and then silence
    assert world.page().state == "acknowledged"
    assert world.incident(run).state == "triggered"
    dies(world, run)
    world.clock.time += MINUTE * 1000
    world.reconcile()
    assert world.incident(run).state == "acknowledged"
    assert world.topic.published == []


def test_a_page_that_gave_up_and_died_is_told_to_the_fallback(world: World) -> None:
    run = world.fire()
    world.project(*run.decision["incidents"])
    pages.give_up(world.table, world.page(), reason="nobody took it in 2 rounds")
    dies(world, run)
    world.last_call.status = "no-answer"
    world.clock.time += DEAD * 1000
    world.reconcile()
    assert world.topic.subjects == ["nobody took a page"]
    assert world.incident(run).unanswered
    assert "resumed" not in world.story(run)  # no call goes on


def test_it_runs_twice_at_once_and_one_execution_goes_on(world: World) -> None:
    dies(world, world.fire())
    world.clock.time += DEAD * 1000
    reconciler.reconcile(world.services)
    world.clock.time += 1
    reconciler.reconcile(world.services)
    names = [name for name, given in world.started if given.get("policy")]
    assert len(names) == 1


def test_two_executions_that_resume_one_page_leave_it_one_owner(world: World) -> None:
    dies(world, world.fire())
    world.last_call.status = "no-answer"
    world.clock.time += DEAD * 1000
    request = {"source": "reconciler", "policy": "default"}
    world.dynamo.before("UpdateItem", lambda: world.go_on(world.decide(request, execution="first")))
    second = world.decide(request, execution="second")
    assert second.decision["action"] == "none"
    assert world.page().owner == "first"
    assert world.rung == [SATO, SUZUKI]


def test_a_resumption_that_dies_is_resumed_again(world: World) -> None:
    dies(world, world.fire())
    for _ in range(2):
        world.clock.time += DEAD * 1000
        reconciler.reconcile(world.services)  # and nobody runs what it starts
    world.last_call.status = "no-answer"
    world.run_started()
    assert world.rung == [SATO, SUZUKI]


def test_a_resumption_that_is_asked_twice_decides_the_same(world: World) -> None:
    dies(world, world.fire())
    world.clock.time += DEAD * 1000
    request = {"source": "reconciler", "policy": "default"}
    first = world.decide(request, execution="one").decision
    again = world.decide(request, execution="one").decision
    assert first == again
    assert first["action"] == "page"


def test_a_policy_without_a_page_is_nothing_to_resume(world: World) -> None:
    run = world.decide({"source": "reconciler", "policy": "never"})
    assert run.decision["action"] == "none"


def test_slack_that_is_behind_is_brought_up_to_date_for_many_incidents_at_once(world: World) -> None:
    runs = [world.fire(webhook(key=f"group {number}", product="silent")) for number in range(5)]
    world.clock.time += MINUTE * 1000
    started = world.reconcile()
    assert [sorted(run.decision["incidents"]) for run in started] == [sorted(r.decision["incidents"][0] for r in runs)]
    assert started[0].decision["action"] == "notify"
    assert world.measured == [("SlackBehind", 5)]


def test_that_slack_is_behind_for_ten_minutes_is_told_once(world: World) -> None:
    run = world.fire(webhook(product="silent"))
    told = []
    for minutes in (5, 6, 10, 20):
        world.clock.time += minutes * MINUTE * 1000
        world.reconcile()
        told.append(len(world.topic.published))
    assert told == [0, 1, 1, 1]
    assert "Slack has not heard" in world.topic.published[0]["Subject"]
    assert world.project(*run.decision["incidents"]).done
    world.clock.time += 40 * MINUTE * 1000
    assert world.reconcile() == []
    world.fire(webhook(key="another", product="silent"))
    for minutes in (5, 6):
        world.clock.time += minutes * MINUTE * 1000
        world.reconcile()
    assert len(world.topic.published) == 2, "it is another time"


def test_an_incident_that_slack_shows_is_not_due_any_more(world: World) -> None:
    run = world.fire(webhook(product="silent"))
    assert world.project(*run.decision["incidents"]).done
    world.clock.time += DEAD * 1000
    assert world.reconcile() == []


def test_an_execution_that_was_stopped_loses_its_page_at_once_and_people_hear_of_it_once(world: World) -> None:
    run = world.fire()
    other = world.fire(webhook(key=DATABASE, product="elsewhere"))
    dies(world, run)
    world.telephone.calls[0].status = "no-answer"
    # As the handler does it.
    reconciler.bury(world.services, run.name)
    reconciler.reconcile(world.services)
    world.run_started()
    assert world.page().owner != run.name
    assert world.page("other").owner == other.name
    assert world.rung == [SATO, SATO, SUZUKI]
    assert world.topic.subjects == ["a page had stopped and goes on"]


def test_an_execution_that_ended_without_a_page_leaves_nothing_to_bury(world: World) -> None:
    world.fire()
    reconciler.bury(world.services, "another")
    assert world.started == []


def test_an_acknowledgement_that_takes_too_long_is_reminded_of_and_then_rings(world: World) -> None:
    world.roster({"POLICY#default": {"remind_after_minutes": 30}})
    run = world.fire()
    world.hears(world.last_call, "1")
    world.project(*run.decision["incidents"])
    world.passes(29 * MINUTE)
    assert world.reconcile() == []
    world.passes(2 * MINUTE)
    world.reconcile()
    assert world.story(run)[-1] == "reminded"
    assert world.rung == [SATO]
    world.project(*run.decision["incidents"])
    world.passes(31 * MINUTE)
    world.reconcile()
    assert world.rung == [SATO, SATO]
    assert "overdue" in world.story(run)
    world.hears(world.last_call, "1")
    assert world.incident(run).state == "acknowledged"


def test_an_acknowledgement_that_was_resolved_in_time_is_not_reminded_of(world: World) -> None:
    world.roster({"POLICY#default": {"remind_after_minutes": 30}})
    run = world.fire()
    world.hears(world.last_call, "1")
    world.resolve()
    world.project(*run.decision["incidents"])
    world.passes(2 * 3600)
    assert world.reconcile() == []


def test_an_execution_that_was_started_already_is_no_fault() -> None:
    class Started(Exception):  # noqa: N818  the name of Step Functions' error is not ours
        pass

    class StepFunctions:
        exceptions = type("exceptions", (), {"ExecutionAlreadyExists": Started})
        asked: list[dict[str, Any]] = []  # noqa: RUF012

        def start_execution(self, **request: Any) -> None:
            self.asked.append(request)
            raise Started

    signals.start(StepFunctions(), "arn:machine", "reconcile-x", {"source": "reconciler"})  # type: ignore[arg-type]
    assert StepFunctions.asked[0]["name"] == "reconcile-x"


def test_what_becomes_due_is_found_the_longest_due_first(world: World) -> None:
    for number in range(3):
        world.fire(webhook(key=f"group {number}", product="silent"))
        world.clock.time += 1000
    found = world.table.due(before=world.clock.now() + DEAD * 1000)
    items = [world.table.get(key["pk"], key["sk"]) for key in found]
    assert [item and item["due_at"] for item in items] == sorted(item["due_at"] for item in items if item)
    assert len(found) == 3


def dies(world: World, run: Execution) -> None:
    """The execution is gone: it neither waits nor answers."""
    run.token = run.wake_at = None
    world.settles_down()
