"""The silence of the monitoring rings a phone whatever became of the event that told of it, and until somebody has it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from oncall import incidents, silence
from oncall.silence import Alarm, State
from tests.builders import GATEWAY, MINUTE, ROSTER, SATO, START, Execution, World

NAME = "on-call-heartbeat-silent"
HOUR = 60 * MINUTE
NOBODY = {key: None for key in ROSTER if key.startswith("RESPONDER#")}
PEOPLE = {key: part for key, part in ROSTER.items() if key.startswith("RESPONDER#")}


def told(world: World, state: str) -> Execution:
    """What EventBridge's rule starts when the alarm changes."""
    at = datetime.fromtimestamp(world.clock.now() / 1000, UTC).isoformat()
    run = world.decide({"source": "alarm", "alarm": NAME, "state": state, "at": at, "gateway": GATEWAY})
    world.go_on(run)
    return run


def minute(world: World, state: State, changed_at: int = START) -> list[Execution]:
    """A minute of the reconciler, with the alarm as CloudWatch has it; the executions that it starts."""
    before = len(world.started)
    silence.watch(world.services, Alarm(NAME, state, changed_at))
    runs = world.run_started(since=before)
    world.passes(MINUTE)
    return runs


def unanswered(world: World) -> None:
    """Nobody takes the calls that ring, until the page has given up."""
    for _ in range(6):
        world.twilio_says(world.last_call, "no-answer")
        world.passes(MINUTE)
    assert world.ringing == []


def story(world: World, run: Execution) -> list[str]:
    return [event.kind for event in incidents.timeline(world.table, run.decision["incidents"][0])]


def test_a_silence_that_was_told_and_is_rung_for_needs_nothing_more(world: World) -> None:
    run = told(world, "ALARM")
    assert world.ringing == [SATO]
    world.clock.time += MINUTE * 1000
    assert minute(world, "ALARM") == []
    world.hears(world.last_call, "1")
    world.passes(10 * HOUR)
    assert minute(world, "ALARM") == [], "somebody has it"
    assert story(world, run).count("repeated") == 0


def test_a_change_is_left_to_eventbridge_for_a_minute_and_then_followed(world: World) -> None:
    assert minute(world, "ALARM") == []
    (run,) = minute(world, "ALARM")
    assert world.ringing == [SATO]
    assert world.incident(run).alerts[0].starts_at == datetime.fromtimestamp(START / 1000, UTC).isoformat()
    assert minute(world, "ALARM") == [], "once"


def test_a_silence_that_began_before_the_roster_was_there_rings_as_soon_as_it_is(world: World) -> None:
    world.roster(NOBODY)
    run = told(world, "ALARM")
    assert world.incident(run).unanswered
    assert world.topic.subjects == ["nobody took a page"]
    for _ in range(3):
        assert minute(world, "ALARM") == []
    world.roster(PEOPLE)
    assert len(minute(world, "ALARM")) == 1
    assert world.ringing == [SATO]
    assert world.topic.subjects == ["nobody took a page"]


def test_a_silence_of_which_nobody_was_told_waits_for_the_roster(world: World) -> None:
    world.roster(NOBODY)
    for _ in range(5):
        assert minute(world, "ALARM") == []
    world.roster(PEOPLE)
    assert len(minute(world, "ALARM")) == 1
    assert world.ringing == [SATO]


def test_an_unanswered_page_starts_anew_until_somebody_takes_it(world: World) -> None:
    run = told(world, "ALARM")
    for calls in (6, 12):
        unanswered(world)
        assert world.incident(run).unanswered
        assert minute(world, "ALARM") == [], "not at once"
        world.passes(30 * MINUTE)
        assert len(minute(world, "ALARM")) == 1
        assert len(world.rung) == calls + 1
    world.hears(world.last_call, "1")
    world.passes(2 * HOUR)
    assert minute(world, "ALARM") == []
    assert world.incident(run).state == "acknowledged"


def test_a_policy_that_does_not_repeat_pages_is_not_overruled(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 2, "repeat_page": False}})
    told(world, "ALARM")
    unanswered(world)
    world.passes(HOUR)
    minute(world, "ALARM")
    assert len(world.rung) == 6


def test_a_lost_ok_resolves_it_all_the_same(world: World) -> None:
    run = told(world, "ALARM")
    world.hears(world.last_call, "1")
    world.passes(5 * MINUTE)
    back = world.clock.now()
    assert minute(world, "OK", back) == []
    (resolved,) = minute(world, "OK", back)
    assert resolved.decision["incidents"] == run.decision["incidents"]
    assert world.incident(run).state == "resolved"
    assert minute(world, "OK", back) == []


def test_a_silence_that_somebody_resolved_by_hand_comes_again_after_a_while(world: World) -> None:
    run = told(world, "ALARM")
    incidents.resolve(world.table, run.decision["incidents"][0], who="Sato", via="slack", now=world.clock.now() + 1)
    world.passes(10 * MINUTE)
    assert minute(world, "ALARM") == []
    world.passes(20 * MINUTE)
    (again,) = minute(world, "ALARM")
    assert again.decision["incidents"] != run.decision["incidents"]
    assert again.decision["action"] == "page"


def test_a_second_silence_of_which_the_event_was_lost_rings(world: World) -> None:
    first = told(world, "ALARM")
    world.hears(world.last_call, "1")
    world.passes(MINUTE)
    told(world, "OK")
    assert world.incident(first).state == "resolved"
    world.passes(10 * MINUTE)
    began = world.clock.now()
    world.passes(MINUTE)
    (second,) = minute(world, "ALARM", began)
    assert second.decision["incidents"] != first.decision["incidents"]


def test_a_first_deployment_wakes_nobody_for_a_day(world: World) -> None:
    world.roster(NOBODY)
    world.passes(30 * HOUR)
    assert minute(world, "INSUFFICIENT_DATA") == [], "a stack without a roster"
    world.roster(PEOPLE)
    for _ in range(3):
        assert minute(world, "INSUFFICIENT_DATA") == []
        world.passes(7 * HOUR)
    assert world.topic.published == []
    assert world.rung == []


def test_a_monitoring_that_is_never_heard_rings_a_day_after_there_is_somebody_to_ring(world: World) -> None:
    minute(world, "INSUFFICIENT_DATA")
    world.passes(24 * HOUR)
    (run,) = minute(world, "INSUFFICIENT_DATA")
    assert world.ringing == [SATO]
    assert minute(world, "INSUFFICIENT_DATA") == []
    back = world.clock.now()
    world.passes(2 * MINUTE)
    assert len(minute(world, "OK", back)) == 1
    assert world.incident(run).state == "resolved"
    assert world.ringing == []


def test_where_nobody_is_to_be_called_slack_is_told(world: World) -> None:
    world.roster({"PRODUCT#oncall-watchdog": {"call": False}})
    world.passes(2 * MINUTE)
    (run,) = minute(world, "ALARM")
    assert world.rung == []
    assert world.incident(run).state == "triggered"
    assert minute(world, "ALARM") == []


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_a_quiet_night_starts_nothing(world: World, state: Any) -> None:
    for _ in range(5):
        assert minute(world, state) == []
