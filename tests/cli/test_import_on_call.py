"""Who is on call after an import is who was on call there: by the rules of each system, worked out a second way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.roster import Roster, parse
from oncall.roster.schedules import shift_at
from oncall_cli.imports import goalert, grafana_oncall, opsgenie, pagerduty
from oncall_cli.imports.documents import Document
from oncall_cli.imports.model import Imported, Schedule, pieces
from oncall_cli.imports.roster_writer import document
from tests.imports import goalert_export, grafana_oncall_export, opsgenie_export, pagerduty_export
from tests.imports.clocks import AUTUMN, SPRING

type Files = dict[str, Any]
type Reference = Callable[[str, datetime], set[str]]

QUARTERS = 28 * 96
SEASONS = {"autumn": AUTUMN, "spring": SPRING}
# Around the hours at which clocks are set, in quarters of an hour from the season's beginning: Berlin, New York, Lord Howe.
CLOCKS_SET = {
    "autumn": [
        *range(int((datetime(2026, 10, 24, 23, tzinfo=UTC) - AUTUMN) / timedelta(minutes=15)), 566),
        *range(int((datetime(2026, 11, 1, 4, tzinfo=UTC) - AUTUMN) / timedelta(minutes=15)), 1256),
    ],
    "spring": [
        *range(int((datetime(2027, 3, 14, 5, tzinfo=UTC) - SPRING) / timedelta(minutes=15)), 550),
        *range(int((datetime(2027, 3, 27, 23, tzinfo=UTC) - SPRING) / timedelta(minutes=15)), 1876),
        *range(int((datetime(2027, 4, 3, 13, tzinfo=UTC) - SPRING) / timedelta(minutes=15)), 2510),
    ],
}


@dataclass(frozen=True)
class Case:
    """An export, what it became, and the reference for who is on call by it."""

    imported: Imported
    roster: Roster
    schedules: dict[str, tuple[str, ...]]
    people: dict[str, str]
    reference: Reference

    def ours(self, schedule: Schedule, at: datetime) -> set[str]:
        found = {shift_at(self.roster, self.roster.schedules[key], at).responder for key in self.schedules[schedule.id]}
        return {self.people[responder] for responder in found if responder}


def case(reader: ModuleType, files: Files, now: datetime, reference: Reference) -> Case:
    imported = reader.read([Document(name, body) for name, body in files.items()], {})
    assert imported.report.errors == []
    for number, person in enumerate(list(imported.people.values())):
        imported.people[person.id] = replace(person, phone=f"+120255501{number:02}")
    written, names = document(imported, now)
    roster, problems = parse(written)
    assert problems == ()
    return Case(imported, roster, names.schedules, {ours: theirs for theirs, ours in names.people.items()}, reference)


def from_pagerduty(now: datetime, files: Files | None = None) -> Case:
    files = files or pagerduty_export.export(now)
    bodies = {body["schedule"]["id"]: body["schedule"] for body in files.values() if "schedule" in body}
    overrides = {
        name[-11:-5].removeprefix("-"): body["overrides"] for name, body in files.items() if "overrides" in body
    }
    return case(pagerduty, files, now, lambda key, at: pagerduty_export.on_call(bodies[key], overrides[key], at))


def from_opsgenie(now: datetime, files: Files | None = None) -> Case:
    files = files or opsgenie_export.export(now)
    bodies = {body["schedule"]["id"]: body for body in files.values() if "schedule" in body}
    return case(opsgenie, files, now, lambda key, at: opsgenie_export.on_call(bodies[key], at))


def from_goalert(now: datetime, files: Files | None = None) -> Case:
    files = files or goalert_export.export(now)
    data = files["goalert.json"]["data"]
    bodies = {body["id"]: body for body in data["schedules"]["nodes"]}
    return case(goalert, files, now, lambda key, at: goalert_export.on_call(data, bodies[key], at))


def from_grafana_oncall(now: datetime, files: Files | None = None) -> Case:
    files = files or grafana_oncall_export.export(now)
    return case(grafana_oncall, files, now, grafana_oncall_export.Reference(files, now).on_call)


CASES = {
    "pagerduty": from_pagerduty,
    "opsgenie": from_opsgenie,
    "goalert": from_goalert,
    "grafana-oncall": from_grafana_oncall,
}


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("source", CASES)
def test_the_same_people_are_on_call_there_and_here(source: str, season: str) -> None:
    now = SEASONS[season]
    found = CASES[source](now)
    compared = [s for s in found.imported.schedules if s.id not in ("SICAL", "rot-0")]
    assert len(compared) >= 20
    for number, schedule in enumerate(compared):
        quarters = {*Random(number).sample(range(QUARTERS), 60), *CLOCKS_SET[season][number % 3 :: 3]}
        for at in (now + timedelta(minutes=15 * quarter) for quarter in sorted(quarters)):
            expected = found.reference(schedule.id, at)
            assert (schedule.name, at, found.ours(schedule, at)) == (schedule.name, at, expected)
            assert (schedule.name, at, set(schedule.who(at))) == (schedule.name, at, expected)


# An import writes some schedules out shift by shift, which takes a while.
slowly = settings(deadline=None, max_examples=20)
moments = st.integers(0, QUARTERS - 1).map(lambda quarter: AUTUMN + timedelta(minutes=15 * quarter))


@slowly
@given(st.randoms(use_true_random=False), st.lists(moments, min_size=5, max_size=10))
def test_any_schedule_of_pagerduty(random: Random, times: list[datetime]) -> None:
    files = {
        "users.json": {"users": [pagerduty_export.user(number) for number in range(8)]},
        "schedules/schedule-PSC000.json": {"schedule": pagerduty_export.schedule(random, 0, AUTUMN)},
        "overrides/overrides-PSC000.json": {"overrides": pagerduty_export.overrides(random, AUTUMN)},
    }
    check(from_pagerduty(AUTUMN, files), times)


@slowly
@given(st.randoms(use_true_random=False), st.lists(moments, min_size=5, max_size=10))
def test_any_schedule_of_opsgenie(random: Random, times: list[datetime]) -> None:
    files = {
        name: body for name, body in opsgenie_export.export(AUTUMN, 1).items() if not name.startswith("schedules/")
    }
    check(from_opsgenie(AUTUMN, files | {"schedules/s.json": opsgenie_export.schedule(random, 0, AUTUMN)}), times)


@slowly
@given(
    st.randoms(use_true_random=False),
    st.sampled_from(("Europe/Berlin", "America/New_York")),
    st.lists(moments, min_size=5, max_size=10),
)
def test_any_schedule_of_goalert(random: Random, zone: str, times: list[datetime]) -> None:
    groups = {
        "users": [goalert_export.user(number) for number in range(8)],
        "rotations": [goalert_export.rotation(random, number, AUTUMN, zone) for number in range(2)],
        "schedules": [goalert_export.schedule(random, 0, AUTUMN, zone, ["rot-0", "rot-1"])],
        "userOverrides": goalert_export.overrides(random, "sched-000", AUTUMN),
    }
    data = {name: {"nodes": nodes, "pageInfo": {"hasNextPage": False}} for name, nodes in groups.items()}
    check(from_goalert(AUTUMN, {"goalert.json": {"data": data}}), times)


@slowly
@given(st.randoms(use_true_random=False), st.lists(moments, min_size=5, max_size=10))
def test_any_schedule_of_grafana_oncall(random: Random, times: list[datetime]) -> None:
    shifts = [grafana_oncall_export.shift(random, f"O{number}", AUTUMN, None) for number in range(random.randint(1, 3))]
    schedule = {
        "id": "S",
        "name": "S",
        "type": "calendar",
        "time_zone": "Europe/Berlin",
        "shifts": [one["id"] for one in shifts],
    }
    files = {
        "users.json": {"results": [grafana_oncall_export.user(number) for number in range(8)]},
        "on_call_shifts.json": {"results": shifts},
        "schedules.json": {"results": [schedule]},
        "shift_swaps.json": {"results": []},
    }
    check(from_grafana_oncall(AUTUMN, files), times)


def check(found: Case, times: list[datetime]) -> None:
    (schedule,) = found.imported.schedules
    for at in times:
        expected = found.reference(schedule.id, at)
        assert (at, found.ours(schedule, at), set(schedule.who(at))) == (at, expected, expected)


def test_a_calendars_events_are_shifts() -> None:
    """Mondays to Wednesdays 9 to 5 in Berlin by level 1, but not on the 20th; user 3 at all other times."""
    found = from_grafana_oncall(AUTUMN)
    (schedule,) = [s for s in found.imported.schedules if s.id == "SICAL"]
    expected = {
        datetime(2026, 10, 19, 9, tzinfo=UTC): {"U00001", "U00002"},
        datetime(2026, 10, 19, 15, tzinfo=UTC): {"U00003"},
        datetime(2026, 10, 20, 9, tzinfo=UTC): {"U00003"},
        datetime(2026, 10, 21, 9, tzinfo=UTC): {"U00001", "U00002"},
        datetime(2026, 10, 22, 9, tzinfo=UTC): {"U00003"},
        datetime(2026, 10, 27, 15, 45, tzinfo=UTC): {"U00001", "U00002"},  # winter time by now
    }
    assert {at: found.ours(schedule, at) for at in expected} == expected
    assert {at: set(schedule.who(at)) for at in expected} == expected


@pytest.mark.parametrize("source", CASES)
def test_every_field_of_the_fixtures_is_known(source: str) -> None:
    report = CASES[source](AUTUMN).imported.report
    assert [name for name, covered in report.fields.items() if not covered] == []
    assert len(report.fields) > 40


def test_pieces_are_as_long_as_their_answer_lasts() -> None:
    def who(at: datetime) -> frozenset[str]:
        return frozenset({"a"} if AUTUMN + timedelta(minutes=37) <= at < AUTUMN + timedelta(hours=3, minutes=1) else ())

    found = list(pieces(who, AUTUMN, AUTUMN + timedelta(hours=5)))
    assert [
        (int((start - AUTUMN).total_seconds() / 60), int((end - AUTUMN).total_seconds() / 60), set(p))
        for start, end, p in found
    ] == [
        (0, 37, set()),
        (37, 181, {"a"}),
        (181, 300, set()),
    ]
