"""Whom a page rings next."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.pages import Call, GiveUp, Pause, Ring, Skip, next_step
from oncall.roster import Policy, Responder

SATO, SUZUKI, TAKAHASHI = (
    Responder(name, name.title(), f"+1202555010{n}") for n, name in enumerate(("sato", "suzuki", "takahashi"))
)
NOW = 1_795_402_800_000


def page(*calls: Call) -> list[Call]:
    """A page's calls, numbered."""
    return [replace(call, number=number) for number, call in enumerate(calls, 1)]


def call(who: Responder, *, round: int = 1, status: str = "no-answer", at: int = NOW) -> Call:  # noqa: A002
    return Call(0, who.id, who.name, who.phone, round, status, started_at=at, ended_at=at)


def test_the_first_in_the_order_is_rung_first() -> None:
    assert next_step(page(), [SATO, SUZUKI], Policy("p"), now=NOW) == Ring(SATO, 1)


def test_who_has_been_rung_in_the_round_is_passed_over_whatever_the_order_is_by_now() -> None:
    assert next_step(page(call(SATO)), [SUZUKI, SATO], Policy("p"), now=NOW) == Ring(SUZUKI, 1)
    assert next_step(page(call(SATO)), [TAKAHASHI, SATO], Policy("p"), now=NOW) == Ring(TAKAHASHI, 1)


def test_each_is_rung_as_often_in_a_row_as_the_policy_says() -> None:
    twice = Policy("p", calls=2)
    assert next_step(page(call(SATO)), [SATO, SUZUKI], twice, now=NOW) == Ring(SATO, 1)
    assert next_step(page(call(SATO), call(SATO)), [SATO, SUZUKI], twice, now=NOW) == Ring(SUZUKI, 1)


def test_who_passed_it_on_is_not_rung_again_before_the_next_round() -> None:
    twice = Policy("p", calls=2, pause_seconds=0)
    passed = call(SATO, status="passed")
    assert next_step(page(passed), [SATO, SUZUKI], twice, now=NOW) == Ring(SUZUKI, 1)
    assert next_step(page(passed), [SATO], twice, now=NOW) == Ring(SATO, 2)


def test_between_rounds_there_is_the_policys_pause() -> None:
    policy = Policy("p", pause_seconds=60)
    assert next_step(page(call(SATO)), [SATO], policy, now=NOW + 20_500) == Pause(40, "pause between two rounds")
    assert next_step(page(call(SATO)), [SATO], policy, now=NOW + 60_000) == Ring(SATO, 2)


def test_after_the_last_round_it_gives_up() -> None:
    assert next_step(page(call(SATO)), [SATO], Policy("p", rounds=1), now=NOW) == GiveUp("nobody took it in 1 round")


def test_with_nobody_on_call_it_gives_up() -> None:
    assert next_step(page(), [], Policy("p"), now=NOW) == GiveUp("nobody is on call")


def test_a_responder_who_comes_new_in_the_pause_is_rung_at_once() -> None:
    assert next_step(page(call(SATO)), [SATO, SUZUKI], Policy("p"), now=NOW) == Ring(SUZUKI, 1)


@given(
    st.lists(st.sampled_from([SATO, SUZUKI, TAKAHASHI]), min_size=1, max_size=3, unique=True),
    st.integers(1, 5),
    st.integers(1, 20),
    st.lists(st.sampled_from(["no-answer", "passed", "busy"]), min_size=300, max_size=300),
)
def test_every_page_ends_and_rings_nobody_more_often_than_it_may(
    order: list[Responder], calls: int, rounds: int, ends: list[str]
) -> None:
    policy = Policy("p", calls=calls, rounds=rounds, pause_seconds=0)
    made: list[Call] = []
    while isinstance(step := next_step(page(*made), order, policy, now=NOW), Ring):
        made.append(call(step.responder, round=step.round, status=ends[len(made)]))
        assert len(made) <= len(order) * calls * rounds
    assert isinstance(step, GiveUp)
    assert {made_call.responder for made_call in made} == {responder.id for responder in order}
    assert max(made_call.round for made_call in made) == rounds


MINUTE = 60_000
DELAYS = {"suzuki": 10, "takahashi": 25}


def test_a_step_is_not_rung_before_its_minutes_and_at_once_after_them() -> None:
    order, policy = [SATO, SUZUKI, TAKAHASHI], Policy("p")
    first = page(call(SATO, at=NOW))
    waits = "the next step comes after 10 minutes"
    assert next_step(first, order, policy, now=NOW + 30_000, delays=DELAYS) == Pause(570, waits)
    assert next_step(first, order, policy, now=NOW + 10 * MINUTE - 1, delays=DELAYS) == Pause(1, waits)
    assert next_step(first, order, policy, now=NOW + 10 * MINUTE, delays=DELAYS) == Ring(SUZUKI, 1)
    second = page(call(SATO, at=NOW), call(SUZUKI, at=NOW + 10 * MINUTE))
    assert next_step(second, order, policy, now=NOW + 11 * MINUTE, delays=DELAYS) == Pause(
        14 * 60, "the next step comes after 25 minutes"
    )


def test_a_first_step_with_minutes_waits_from_the_beginning_of_the_page() -> None:
    new = page()
    delays = {"sato": 5, "suzuki": 10}
    assert next_step(new, [SATO], Policy("p"), now=NOW + MINUTE, ring_at=NOW, delays=delays) == Pause(
        240, "the next step comes after 5 minutes"
    )
    assert next_step(new, [SATO], Policy("p"), now=NOW + 5 * MINUTE, ring_at=NOW, delays=delays) == Ring(SATO, 1)
    rung = page(call(SATO, at=NOW + 5 * MINUTE))
    assert next_step(rung, [SATO, SUZUKI], Policy("p"), now=NOW + 6 * MINUTE, ring_at=NOW, delays=delays) == Pause(
        240, "the next step comes after 10 minutes"
    )


def test_the_minutes_count_in_each_round() -> None:
    policy = Policy("p", pause_seconds=60)
    made = page(call(SATO, at=NOW), call(SUZUKI, at=NOW + 10 * MINUTE), call(SATO, round=2, at=NOW + 11 * MINUTE))
    assert next_step(made, [SATO, SUZUKI], policy, now=NOW + 12 * MINUTE, delays=DELAYS) == Pause(
        540, "the next step comes after 10 minutes"
    )
    assert next_step(made, [SATO, SUZUKI], policy, now=NOW + 21 * MINUTE, delays=DELAYS) == Ring(SUZUKI, 2)


@pytest.mark.parametrize("how", [{"status": "passed"}, {"skip": Skip("Ada", "slack", NOW)}, {"is_refused": True}])
def test_whoever_hands_it_on_or_cannot_be_called_ends_the_wait(how: dict[str, Any]) -> None:
    """Somebody said that they cannot take it, or no phone rang at all: nobody is at it meanwhile."""
    handed_on = page(replace(call(SATO), **how))
    assert next_step(handed_on, [SATO, SUZUKI], Policy("p"), now=NOW + 1000, delays=DELAYS) == Ring(SUZUKI, 1)


def test_a_voicemail_does_not_end_the_wait() -> None:
    made = page(call(SATO, status="completed"))
    step = next_step(made, [SATO, SUZUKI], Policy("p"), now=NOW + 1000, delays=DELAYS)
    assert step == Pause(599, "the next step comes after 10 minutes")


@given(
    st.lists(st.integers(0, 30), min_size=3, max_size=3).map(sorted),
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.sampled_from(["no-answer", "busy", "failed"]), min_size=30, max_size=30),
)
def test_with_delays_every_page_ends_and_nobody_is_rung_too_early(
    minutes: list[int], calls: int, rounds: int, ends: list[str]
) -> None:
    order = [SATO, SUZUKI, TAKAHASHI]
    delays = {who.id: after for who, after in zip(order, minutes, strict=True)}
    policy = Policy("p", calls=calls, rounds=rounds, pause_seconds=30)
    now, made, began = NOW, list[Call](), {1: NOW}
    for _ in range(200):
        step = next_step(page(*made), order, policy, now=now, ring_at=NOW, delays=delays)
        if isinstance(step, GiveUp):
            break
        if isinstance(step, Pause):
            assert 0 < step.seconds <= 30 * 60
            now += step.seconds * 1000
            continue
        if step.round not in began:
            began[step.round] = now - delays[step.responder.id] * MINUTE
        assert now >= began[step.round] + delays[step.responder.id] * MINUTE
        made.append(call(step.responder, round=step.round, status=ends[len(made)], at=now))
        now += 25_000
    assert isinstance(step, GiveUp)
    assert len(made) == 3 * calls * rounds
