"""Grafana OnCall's shifts: who has them when, by its rules, and as rotations of a roster.

Source: grafana/oncall, engine/apps/schedules/models (custom_on_call_shift.py, on_call_schedule.py). A shift is an event
with a recurrence rule, and the groups of `rolling_users` take it in turn; overrides come first, then the highest level that
has anybody, and all of it are on call.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import gcd
from zoneinfo import ZoneInfo

from oncall_cli.imports.model import WEEK_MINUTES, Hours, Person, Rotation, Unit, wall_clock

_MOST_TURNS = 400


@dataclass(frozen=True, slots=True)
class Shift:
    """An on-call shift. `start` and `rotation_start` are local, `until` is a moment, `days` are 0 for Monday.

    `groups` take it in turn from the first on; a shift that is not `rolling` has one. Without `frequency` it comes once.
    """

    name: str
    start: datetime
    rotation_start: datetime
    duration: timedelta
    zone: ZoneInfo
    groups: tuple[tuple[str, ...], ...]
    level: int = 0
    override: bool = False
    rolling: bool = False
    frequency: str = ""
    interval: int = 1
    until: datetime | None = None
    week_start: int = 6
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    without: frozenset[datetime] = frozenset()


@dataclass(frozen=True, slots=True)
class Swap:
    """`benefactor` is on call for `beneficiary`."""

    start: datetime
    end: datetime
    beneficiary: str
    benefactor: str


def on_call(
    shifts: Iterable[Shift], swaps: Iterable[Swap], known: Mapping[str, Person], at: datetime
) -> frozenset[str]:
    """Who is on call by OnCall's rules."""
    best: tuple[bool, int] | None = None
    found: set[str] = set()
    for shift in shifts:
        people = {user for user in present(shift, at) if user in known}
        rank = (shift.override, shift.level)
        if people and (best is None or rank > best):
            best, found = rank, people
        elif people and rank == best:
            found |= people
    for swap in swaps:
        if swap.start <= at < swap.end and swap.beneficiary in found:
            found = (found - {swap.beneficiary}) | {swap.benefactor}
    return frozenset(found)


def present(shift: Shift, at: datetime) -> frozenset[str]:
    """Who has the shift at a moment."""
    wall = wall_clock(at, shift.zone)
    found: set[str] = set()
    for start in _candidates(shift, wall):
        if start <= wall < start + shift.duration and start not in shift.without:
            group = _group(shift, start)
            if group is not None:
                found.update(shift.groups[group % len(shift.groups)])
    return frozenset(found)


def _candidates(shift: Shift, wall: datetime) -> Iterator[datetime]:
    """The local times at which an event could have begun that lasts at `wall`."""
    if not shift.frequency:
        yield shift.start
        return
    if shift.frequency == "hourly":
        hours = (wall - shift.start) // timedelta(hours=1)
        for number in range(hours - shift.duration // timedelta(hours=1) - 1, hours + 1):
            yield shift.start + timedelta(hours=number)
        return
    day = (wall - shift.duration).date()
    while day <= wall.date():
        yield datetime.combine(day, shift.start.time())
        day += timedelta(days=1)


def _group(shift: Shift, start: datetime) -> int | None:
    """The number of the group whose event begins then, by the recurrence rule; None if there is no event."""
    first = first_event(shift)
    if (
        start < first
        or start < shift.rotation_start
        or (shift.until and start.replace(tzinfo=shift.zone) > shift.until)
    ):
        return None
    if not shift.frequency:
        return 0
    if shift.months and start.month not in shift.months:
        return None
    if shift.days and start.weekday() not in shift.days:
        return None
    if shift.month_days and not _is_month_day(start.date(), shift.month_days):
        return None
    passed = _passed(shift, first, start)
    if passed is None or passed % shift.interval:
        return None
    return passed // shift.interval


def _passed(shift: Shift, first: datetime, start: datetime) -> int | None:
    """How many hours, days, weeks or months of the rule lie between; None if no event begins then."""
    if shift.frequency == "hourly":
        return int((start - first) // timedelta(hours=1))
    if shift.frequency == "daily":
        if shift.rolling and shift.days:
            # Groups take so many of the selected days in a row: counted are those days alone.
            return _selected_days(shift, first.date(), start.date()) // shift.interval * shift.interval
        return (start.date() - first.date()).days
    if shift.frequency == "weekly":
        if not shift.days and start.weekday() != first.weekday():
            return None
        return (_week(start.date(), shift.week_start) - _week(first.date(), shift.week_start)).days // 7
    if not shift.days and not shift.month_days and start.day != first.day:
        return None
    return (start.year - first.year) * 12 + start.month - first.month


def _selected_days(shift: Shift, first: date, last: date) -> int:
    weeks, rest = divmod((last - first).days, 7)
    return weeks * len(shift.days) + sum((first.weekday() + step) % 7 in shift.days for step in range(rest))


def _week(day: date, week_start: int) -> date:
    return day - timedelta(days=(day.weekday() - week_start) % 7)


def _is_month_day(day: date, wanted: frozenset[int]) -> bool:
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day.day in wanted or day.day - (following - timedelta(days=1)).day - 1 in wanted


def first_event(shift: Shift) -> datetime:
    """The first event. A rolling shift that begins on none of its days begins on the first of them in the week."""
    if not (shift.rolling and shift.days and shift.frequency) or shift.start.weekday() in shift.days:
        return shift.start
    wanted = next(day % 7 for day in range(shift.week_start, shift.week_start + 7) if day % 7 in shift.days)
    return shift.start + timedelta(days=(wanted - shift.start.weekday()) % 7)


# ---------------------------------------------------------------- as rotations


def rotation(shift: Shift) -> Rotation | str:
    """The shift as a rotation; or why it is none."""
    if not shift.frequency:
        zone_start = shift.start.replace(tzinfo=shift.zone)
        end = (shift.start + shift.duration).replace(tzinfo=shift.zone)
        return Rotation(shift.name, shift.groups, shift.start, 1, "week", (), zone_start, end, shift.level)
    if shift.months or shift.month_days:
        return f"shift {shift.name} comes in some months or on some days of a month"
    if shift.duration < timedelta(minutes=1) or shift.duration % timedelta(minutes=1):
        return f"shift {shift.name} lasts {shift.duration}"
    found = {"hourly": _hourly, "daily": _daily, "weekly": _weekly}.get(shift.frequency, _monthly)(shift)
    if isinstance(found, str):
        return found
    turns, start, count, unit, hours = found
    if len(turns) > _MOST_TURNS:
        return f"shift {shift.name} takes {len(turns)} turns to come round"
    begins = max(first_event(shift), shift.rotation_start).replace(tzinfo=shift.zone).astimezone(UTC)
    return Rotation(shift.name, turns, start, count, unit, hours, begins, shift.until, shift.level)


type _Turns = tuple[tuple[tuple[str, ...], ...], datetime, int, Unit, tuple[Hours, ...]]


def _monthly(shift: Shift) -> str:
    return f"shift {shift.name} comes each month"


def _hourly(shift: Shift) -> _Turns | str:
    if shift.days:
        return f"shift {shift.name} is hourly on some days"
    return _back_to_back(shift, shift.interval * 60)


def _daily(shift: Shift) -> _Turns | str:
    minutes = shift.duration // timedelta(minutes=1)
    start = first_event(shift)
    if not shift.days:
        if shift.interval == 1 and minutes < 1440:
            return shift.groups, start, 1, "day", _hours(shift, frozenset(range(7)))
        return _back_to_back(shift, shift.interval * 1440)
    if minutes > 1440 or (not shift.rolling and shift.interval > 1):
        return f"shift {shift.name} comes on some days, and lasts longer or leaves some of them out"
    size, own = len(shift.groups) * shift.interval, len(shift.days)
    if not shift.rolling:
        return shift.groups, start, 1, "day", _hours(shift, shift.days)
    days = 7 * (size // gcd(size, own))
    first = start.date()
    passed = [_selected_days(shift, first, first + timedelta(days=number + 1)) - 1 for number in range(days)]
    turns = tuple(shift.groups[number // shift.interval % len(shift.groups)] for number in passed)
    return turns, start, 1, "day", _hours(shift, shift.days)


def _weekly(shift: Shift) -> _Turns | str:
    minutes = shift.duration // timedelta(minutes=1)
    start = first_event(shift)
    if not shift.days and minutes >= WEEK_MINUTES:
        return _back_to_back(shift, shift.interval * WEEK_MINUTES)
    days = shift.days or frozenset({start.weekday()})
    order = sorted(days, key=lambda day: (day - shift.week_start) % 7)
    last = (order[-1] - order[0]) % 7 * 1440
    if last + minutes > WEEK_MINUTES:
        return f"shift {shift.name} goes on when the next group's has begun"
    hand_over = _week(start.date(), shift.week_start) + timedelta(days=(order[0] - shift.week_start) % 7)
    turns = tuple(turn for group in shift.groups for turn in (group, *[()] * (shift.interval - 1)))
    hours = _hours(shift, days) if minutes * len(days) < WEEK_MINUTES else ()
    return turns, datetime.combine(hand_over, shift.start.time()), 1, "week", hours


def _back_to_back(shift: Shift, length: int) -> _Turns | str:
    """Turns of `length` minutes, of which the shift lasts the first part."""
    minutes = shift.duration // timedelta(minutes=1)
    if minutes > length:
        return f"shift {shift.name} goes on when the next group's has begun"
    size = gcd(minutes, length)
    turns = tuple(
        turn for group in shift.groups for turn in [*[group] * (minutes // size), *[()] * ((length - minutes) // size)]
    )
    return turns, first_event(shift), size, "minute", ()


def _hours(shift: Shift, days: frozenset[int]) -> tuple[Hours, ...]:
    begin = shift.start.hour * 60 + shift.start.minute
    return tuple(Hours(day * 1440 + begin, shift.duration // timedelta(minutes=1)) for day in sorted(days))
