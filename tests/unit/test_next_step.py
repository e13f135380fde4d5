"""Whom a page rings next."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oncall.pages import GiveUp, Pause, Ring, next_step
from oncall.roster import Policy, Responder

SATO, SUZUKI, TAKAHASHI = (
    Responder(name, name.title(), f"+1202555010{n}") for n, name in enumerate(("sato", "suzuki", "takahashi"))
)
NOW = 1_795_402_800_000


def page(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"calls": {f"c{number}": {"number": number, **call} for number, call in enumerate(calls, 1)}}


def call(who: Responder, *, round: int = 1, status: str = "no-answer", at: int = NOW) -> dict[str, Any]:  # noqa: A002
    return {"responder": who.id, "round": round, "status": status, "started_at": at, "ended_at": at}


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
    made: list[dict[str, Any]] = []
    while isinstance(step := next_step(page(*made), order, policy, now=NOW), Ring):
        made.append(call(step.responder, round=step.round, status=ends[len(made)]))
        assert len(made) <= len(order) * calls * rounds
    assert isinstance(step, GiveUp)
    assert {made_call["responder"] for made_call in made} == {responder.id for responder in order}
    assert max(made_call["round"] for made_call in made) == rounds
