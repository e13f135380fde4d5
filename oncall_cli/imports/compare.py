"""Puts who is on call in the source beside who is on call by a roster, through each quarter of an hour."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from oncall.roster import Roster
from oncall.roster.schedules import shifts
from oncall_cli.imports.model import Imported, Period, Schedule
from oncall_cli.imports.roster_writer import Names

STEP = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Difference:
    """From `start` until `end` the source has others on call (`theirs`) than the roster (`ours`); ids of the roster.

    `by`: the source says so itself (export), or it follows from its rules.
    """

    schedule: str
    start: datetime
    end: datetime
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    by: Literal["export", "rules"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A schedule of the source beside ours: how many hours by what the source said itself, and by its rules."""

    schedule: str
    ours: tuple[str, ...]
    hours_by_export: float
    hours_by_rules: float
    differences: tuple[Difference, ...]


def compare(imported: Imported, names: Names, roster: Roster, start: datetime, days: int) -> list[Compared]:
    """The comparison of each schedule from `start` on."""
    moment = start.astimezone(UTC)
    hour = moment.replace(minute=0, second=0, microsecond=0)
    begin = hour - (hour - moment) // STEP * STEP  # the next quarter: what has passed by then may have been left out
    end = begin + timedelta(days=days)
    return [_schedule(s, names.schedules[s.id], names.people, roster, begin, end) for s in imported.schedules]


def _schedule(
    schedule: Schedule, ours: tuple[str, ...], people: Mapping[str, str], roster: Roster, begin: datetime, end: datetime
) -> Compared:
    tiles = [list(shifts(roster, roster.schedules[key], begin, end)) for key in ours if key in roster.schedules]
    starts = [[shift.start for shift in tile] for tile in tiles]
    covered = _covered(schedule.final)
    found: list[Difference] = []
    hours = {"export": 0.0, "rules": 0.0}
    moment = begin
    while moment < end:
        mine = {tile[bisect_right(at, moment) - 1].responder for tile, at in zip(tiles, starts, strict=True)} - {None}
        for by, theirs in _theirs(schedule, covered, moment):
            hours[by] += STEP / timedelta(hours=1)
            there = {people.get(person, person) for person in theirs}
            if there != mine:
                _note(found, Difference(schedule.name, moment, moment + STEP, _sorted(there), _sorted(mine), by))
        moment += STEP
    return Compared(schedule.name, ours, hours["export"], hours["rules"], tuple(found))


def _theirs(
    schedule: Schedule, covered: tuple[datetime, datetime] | None, at: datetime
) -> Iterator[tuple[Literal["export", "rules"], frozenset[str]]]:
    if covered and covered[0] <= at < covered[1]:
        yield "export", frozenset(p.person for p in schedule.final if p.start <= at < p.end)
    yield "rules", schedule.who(at)


def _covered(periods: Iterable[Period]) -> tuple[datetime, datetime] | None:
    """The time of which the source says who is on call: from its first period to its last."""
    found = list(periods)
    return (min(p.start for p in found), max(p.end for p in found)) if found else None


def _note(found: list[Difference], new: Difference) -> None:
    """Adds a difference, or makes the one before it longer."""
    for number, known in enumerate(found):
        if known.end == new.start and (known.theirs, known.ours, known.by) == (new.theirs, new.ours, new.by):
            found[number] = Difference(known.schedule, known.start, new.end, known.theirs, known.ours, known.by)
            return
    found.append(new)


def _sorted(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name))
