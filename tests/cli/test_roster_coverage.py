"""Whose turn never comes, and whom no step reaches: found by arithmetic, and compared with the shifts themselves."""
# ruff: noqa: DTZ001  the local times of hand-overs have no zone of their own

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.roster import Layer, Policy, Responder, Roster, Schedule, Step, Window
from oncall.roster.schedules import shifts
from oncall_cli.roster_coverage import idle_steps, never_on_call
from tests.cli.conftest import Run

type Write = Callable[[str | bytes], str]

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TEAM = "time_zone: UTC\nresponders:\n" + "".join(f"  p{n}: '+1202555010{n}'\n" for n in range(1, 8))
OFFICE = (
    "\n      - {{name: day, members: {members}, shift: {shift}, hand_over: {at},"
    " during: [{{days: {days}, from: 9:00, to: {to}}}]}}"
)


def schedule(*layers: str) -> str:
    return f"{TEAM}schedules:\n  s:\n    layers:{''.join(layers)}\npolicies:\n  default: {{steps: [schedule: s]}}\n"


@pytest.mark.parametrize(
    ("members", "shift", "at", "days", "never"),
    [
        ("[p1, p2, p3, p4, p5, p6, p7]", "1 day", "9:00", "mon-fri", "p6, p7 are"),
        ("[p1, p2, p3, p4, p5, p6, p7]", "1 day", "9:00", "mon-sat", "p7 is"),
        ("[p1, p2]", "12 hours", "21:00", "mon-sun", "p1 is"),
        ("[p1, p2, p3, p4, p5, p6, p7]", "8 days", "9:00", "mon-fri", None),
        ("[p1, p2, p3, p4, p5, p6]", "1 day", "9:00", "mon-fri", None),
        ("[p1, p2, p3, p4, p5, p6, p7, p1]", "1 day", "9:00", "mon-fri", None),
        ("[p1, p2, p3, p4, p5, p6, p7]", "1 week", "'monday 9:00'", "mon-fri", None),
        ("[p6, p2, p3, p4, p5, p6, p7]", "1 day", "9:00", "mon-fri", "p7 is"),  # p6 comes on Mondays
    ],
)
def test_somebody_whose_turn_never_comes_is_found(
    run: Run, write: Write, members: str, shift: str, at: str, days: str, never: str | None
) -> None:
    layer = OFFICE.format(members=members, shift=shift, at=at, days=days, to="19:00" if shift == "1 day" else "21:00")
    checked = run("roster", "check", write(schedule(layer, "\n      - {name: nobody, members: []}")))
    assert checked.status == 0
    if never:
        assert f"roster.yaml:13: warning: schedules s layers 0: layer day: {never} never on call by it" in checked.out
    else:
        assert "never on call" not in checked.out


def test_layers_behind_one_that_covers_all_are_never_used(run: Run, write: Write) -> None:
    always = "\n      - {name: always, members: [p1]}"
    later = "\n      - {name: later, members: [p1], start: 2999-01-01}"
    behind = "\n      - {name: behind, members: [p2]}"
    message = "schedules s layers 1: layer behind: is never used: the layers before it have all of its hours"
    assert message in run("roster", "check", write(schedule(always, behind))).out
    assert "never used" not in run("roster", "check", write(schedule(later, behind))).out


CLOCKS = st.builds(time, st.sampled_from((0, 6, 9, 12, 18, 21)))
WINDOWS = st.builds(Window, st.frozensets(st.integers(0, 6), min_size=1, max_size=4), CLOCKS, CLOCKS)
LAYERS = st.builds(
    Layer,
    st.sampled_from(("one", "two")),
    st.lists(st.sampled_from(("a", "b", "c", "d")), max_size=5).map(tuple),
    st.builds(datetime.combine, st.dates(date(2024, 1, 1), date(2024, 2, 1)), CLOCKS),
    st.sampled_from([timedelta(hours=n) for n in (6, 8, 12, 24, 36, 48, 96, 168, 336)]),
    st.lists(WINDOWS, max_size=2).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=2))
def test_it_agrees_with_what_happens(layers: list[Layer]) -> None:
    """Two layers' members against the shifts of 21 weeks: by then each round of these lengths has met each day it can."""
    one = Schedule("s", "UTC", tuple(Layer(f"{n}", *_settings(layer)) for n, layer in enumerate(layers)))
    people = {name: Responder(name, name, "+12025550100") for name in "abcd"}
    roster = Roster(responders=people, schedules={"s": one}, policies={}, products={})
    seen = {(s.layer, s.responder) for s in shifts(roster, one, NOW, NOW + timedelta(weeks=21))}
    expected = {(layer.name, member) for layer in one.layers for member in layer.members} - seen
    told = [message for _, message in never_on_call(roster, NOW)]
    assert len(told) == len({name for name, _ in expected})
    for name, member in expected:
        (message,) = [one for one in told if one.startswith(f"layer {name}: ")]
        assert "never used" in message or member in message.partition(" never ")[0]


def _settings(layer: Layer) -> tuple[tuple[str, ...], datetime, timedelta, tuple[Window, ...]]:
    return layer.members, layer.start, layer.length, layer.windows


def weekly(*members: str, weeks: int = 1) -> Schedule:
    return Schedule("", "UTC", (Layer("", members, datetime(2024, 1, 1, 9), timedelta(weeks=weeks)),))


@pytest.mark.parametrize(
    ("steps", "idle"),
    [
        ([Step("everyone"), Step("responder", "a")], [1]),
        ([Step("responder", "a"), Step("responder", "a"), Step("everyone")], [1]),
        ([Step("schedule", "primary"), Step("schedule", "primary")], [1]),
        ([Step("schedule", "primary"), Step("schedule", "same")], [1]),
        ([Step("schedule", "primary"), Step("schedule", "nobody")], [1]),
        ([Step("schedule", "primary"), Step("schedule", "other")], []),
        ([Step("schedule", "primary"), Step("responder", "a")], []),
        ([Step("schedule", "long"), Step("responder", "a")], []),  # b's shift begins in months
        ([Step("schedule", "primary"), Step("everyone")], []),
        ([Step("everyone")], []),
    ],
)
def test_a_step_that_reaches_nobody_new_is_found(steps: list[Step], idle: list[int]) -> None:
    schedules = {
        "primary": weekly("a", "b"),
        "same": weekly("a", "b"),
        "other": weekly("b", "a"),
        "long": weekly("a", "b", weeks=52),
        "nobody": weekly(),
    }
    roster = Roster(
        responders={name: Responder(name, name, "+12025550100") for name in "abc"},
        schedules={name: Schedule(name, one.time_zone, one.layers) for name, one in schedules.items()},
        policies={"p": Policy("p", tuple(steps))},
        products={},
    )
    found = list(idle_steps(roster, NOW))
    assert [location for location, _ in found] == [("policies", "p", "steps", number) for number in idle]
    assert all(
        ("the last step" in message) == (number == len(steps) - 1)
        for number, (_, message) in zip(idle, found, strict=True)
    )


def test_a_policys_last_step_that_nobody_reaches_is_told_with_its_line(run: Run, write: Write) -> None:
    checked = run(
        "roster", "check", write(TEAM + "policies:\n  default:\n    steps:\n      - everyone\n      - responder: p1\n")
    )
    assert checked.status == 0
    assert "roster.yaml:14: warning: policies default steps 1: the last step reaches nobody whom" in checked.out
