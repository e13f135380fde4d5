"""What an exported on-call system says, whichever it is, and the report of what became of each part of it.

People, schedules and policies have the ids of the source. Local times are of the schedule's time zone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["minute", "hour", "day", "week", "month"]
Level = Literal["error", "not mapped", "changed", "note"]
type Who = Callable[[datetime], frozenset[str]]

WEEK_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be rung. `names` are what else the source, or a file of numbers, may call them by."""

    id: str
    name: str
    email: str = ""
    phone: str | None = field(default=None, repr=False)
    slack_user: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of each week: from `start` (minutes since Monday 00:00) for `minutes`."""

    start: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """Turns of `count` units each, the first from `start` (local time), over and over.

    A turn is the people who have it together; an empty one is nobody's. With hours, it counts only within them, and only
    from `begins` until `ends`. Of the rotations that count at a moment, those of the highest level say who is on call.
    """

    name: str
    turns: tuple[tuple[str, ...], ...]
    start: datetime
    count: int
    unit: Unit
    hours: tuple[Hours, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Deviation:
    """From `start` until `end` the schedule is not what its rotations say: an override, a swap, a holiday."""

    start: datetime
    end: datetime
    name: str


@dataclass(frozen=True, slots=True)
class Period:
    """Somebody is on call from `start` until `end`, as the source has worked it out itself."""

    start: datetime
    end: datetime
    person: str


@dataclass(frozen=True, slots=True)
class Unsayable:
    """A part of a schedule that no rotation of a roster says, and why; `present`: who has it when (None: it is all of it)."""

    why: str
    present: Who | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule of the source. `who` is who is on call at a moment by the source's rules, worked out from its data.

    `final` is what the source says itself, for the time that its export covers. What is `unsayable` is not among the
    rotations, unless it is all of them.
    """

    id: str
    name: str
    time_zone: str
    rotations: tuple[Rotation, ...]
    who: Who
    deviations: tuple[Deviation, ...] = ()
    final: tuple[Period, ...] = ()
    unsayable: tuple[Unsayable, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a step of a policy rings: a person, or whoever a schedule says."""

    kind: Literal["person", "schedule"]
    id: str


@dataclass(frozen=True, slots=True)
class Step:
    """Targets that are rung `after_minutes`, counted from the beginning of the round."""

    targets: tuple[Target, ...]
    after_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy of the source. `pause_minutes` is between two rounds."""

    id: str
    name: str
    steps: tuple[Step, ...]
    rounds: int = 1
    pause_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Product:
    """What alerts are for in the source (a service, a team, an integration), and its policy."""

    name: str
    policy: str | None
    slack_channel: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What became of a part of the source, and what to do about it. Errors keep the roster from being written."""

    level: Level
    where: str
    message: str


@dataclass(slots=True)
class Report:
    """Notes, and how often each field of the source was there (`covered`: it is mapped or means nothing for a roster)."""

    notes: list[Note] = field(default_factory=list)
    fields: dict[str, bool] = field(default_factory=dict)

    def add(self, level: Level, where: str, message: str) -> None:
        note = Note(level, where, message)
        if note not in self.notes:
            self.notes.append(note)

    @property
    def errors(self) -> list[Note]:
        return [note for note in self.notes if note.level == "error"]


@dataclass(frozen=True, slots=True)
class Imported:
    """All that a source says, with the report on it so far."""

    people: dict[str, Person]
    schedules: tuple[Schedule, ...]
    policies: tuple[Policy, ...]
    products: tuple[Product, ...]
    report: Report


@lru_cache(maxsize=1024)
def wall_clock(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall has shown at the latest: in an hour that comes twice, what it showed when it was set back.

    So nothing happens a second time in that hour.
    """
    local = at.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    if not local.fold:
        return wall
    probe = wall.replace(second=0, microsecond=0)
    while _comes_twice(probe + timedelta(minutes=1), zone):
        probe += timedelta(minutes=1)
    return probe + timedelta(seconds=59)


def _comes_twice(wall: datetime, zone: ZoneInfo) -> bool:
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second


def local_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """A moment as the wall shows it there."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def minute_of_week(wall: datetime) -> int:
    """Minutes since Monday 00:00."""
    return wall.weekday() * 1440 + wall.hour * 60 + wall.minute


def within(hours: Hours, minute: int) -> bool:
    """Whether a minute of the week is in the hours."""
    return (minute - hours.start) % WEEK_MINUTES < hours.minutes


def pieces(who: Who, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, frozenset[str]]]:
    """The times from `start` until `end` with one answer each, to the minute. What lasts less than 15 minutes can be missed."""
    step = timedelta(minutes=15)
    begin, moment = start.astimezone(UTC), start.astimezone(UTC)
    end = end.astimezone(UTC)
    present = who(moment)
    while moment < end:
        following = min(moment + step, end)
        if following == end and end - moment < timedelta(minutes=1):
            break
        found = who(following)
        if found != present and following < end:
            low, high = moment, following
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=1) // 2)
                low, high = (middle, high) if who(middle) == present else (low, middle)
            yield begin, high, present
            begin, present, moment = high, who(high), high
        else:
            moment = following
    if begin < end:
        yield begin, end, present
