"""Who is on call: pure functions of the roster and a moment.

A hand-over written as a local time happens at the first moment at which the clock on the wall there shows that time or
a later one. So it stays at its local time through daylight saving, an hour that comes twice hands over once, and a time
that a spring night leaves out hands over when the clock jumps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from oncall.roster.model import EVERYONE, NOBODY, Layer, Override, Policy, Responder, Roster, Schedule, Step, Window


@dataclass(frozen=True, slots=True)
class OnCall:
    """A responder to ring, and why; `after_minutes` at the earliest, counted from the beginning of the round."""

    responder: Responder
    reason: str
    after_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Shift:
    """From `start` until `end` (UTC) `responder` (an id; None: nobody) is on call by a layer (its name) or override."""

    start: datetime
    end: datetime
    responder: str | None
    layer: str | None = None
    override: Override | None = None


def responders_on_call(roster: Roster, policy: Policy, at: datetime) -> tuple[OnCall, ...]:
    """Whom the escalation policy rings at a moment, in order, each responder once; empty if nobody is on call."""
    found: dict[str, OnCall] = {}
    for step in policy.steps:
        for on_call in _step(roster, policy, step, at):
            found.setdefault(on_call.responder.id, replace(on_call, after_minutes=step.after_minutes))
    return tuple(found.values())


def _step(roster: Roster, policy: Policy, step: Step, at: datetime) -> Iterator[OnCall]:
    if step.kind == "responder":
        yield OnCall(roster.responders[step.id], f"named by policy {policy.id}")
        return
    schedule = schedule_named(roster, step.id or EVERYONE)
    shift = shift_at(roster, schedule, at)
    first = shift.responder
    if first is not None:
        yield OnCall(roster.responders[first], _reason(schedule, shift))
    if step.kind == "everyone":
        order = list(roster.responders)
        turn = order.index(first) if first is not None else 0
        for responder in order[turn:] + order[:turn]:
            yield OnCall(roster.responders[responder], f"everyone, after {first}" if first else "everyone")


def _reason(schedule: Schedule, shift: Shift) -> str:
    zone = ZoneInfo(schedule.time_zone)
    end = shift.override.end if shift.override else shift.end
    until = f"until {end.astimezone(zone):%Y-%m-%d %H:%M} {schedule.time_zone}"
    if shift.override:
        return f"override of schedule {schedule.id} {until}"
    layer = f", {shift.layer}" if shift.layer else ""
    return f"schedule {schedule.id}{layer}, shift {until}"


def schedule_named(roster: Roster, schedule_id: str) -> Schedule:
    """The schedule; `everyone` always exists."""
    return roster.turn() if schedule_id == EVERYONE else roster.schedules[schedule_id]


def shift_at(roster: Roster, schedule: Schedule, at: datetime) -> Shift:
    """The shift at a moment. It ends where any layer or override has an edge, even if the same responder goes on."""
    instant = at.astimezone(UTC)
    override = _override_at(roster, schedule, instant)
    start, end = _edges_around(roster, schedule, instant)
    if override:
        return Shift(start, end, override.responder, override=override)
    for layer in schedule.layers:
        if covers(layer, schedule.time_zone, instant):
            member = member_at(layer, schedule.time_zone, instant)
            return Shift(start, end, member, layer=layer.name)
    return Shift(start, end, None)


def shifts(roster: Roster, schedule: Schedule, start: datetime, end: datetime) -> Iterator[Shift]:
    """The shifts that tile the time from `start` until `end`; neighbours with one responder and reason are joined."""
    last: Shift | None = None
    instant = start.astimezone(UTC)
    while instant < end:
        found = shift_at(roster, schedule, instant)
        piece = Shift(instant, min(found.end, end.astimezone(UTC)), found.responder, found.layer, found.override)
        if last and (last.responder, last.layer, last.override) == (piece.responder, piece.layer, piece.override):
            last = Shift(last.start, piece.end, piece.responder, piece.layer, piece.override)
        else:
            if last:
                yield last
            last = piece
        instant = piece.end
    if last:
        yield last


def covers(layer: Layer, time_zone: str, at: datetime) -> bool:
    """Whether the layer says who is on call at a moment: it has begun, has not ended and, with windows, one is open."""
    zone = ZoneInfo(time_zone)
    if at < first_moment(layer.start, zone) or (layer.until and at >= first_moment(layer.until, zone)):
        return False
    return not layer.windows or any(
        start <= at < end for window in layer.windows for start, end in _openings(window, time_zone, at, days=0)
    )


def member_at(layer: Layer, time_zone: str, at: datetime) -> str | None:
    """The member whose turn it is at a moment; None if nobody has it."""
    member = layer.members[turn_at(layer, time_zone, at) % len(layer.members)] if layer.members else NOBODY
    return None if member == NOBODY else member


def turn_at(layer: Layer, time_zone: str, at: datetime) -> int:
    """The number of the rotation's shift at a moment, 0 for the first."""
    zone = ZoneInfo(time_zone)
    number = layer.shift_number(at.astimezone(zone).replace(tzinfo=None))
    while first_moment(layer.shift_start(number + 1), zone) <= at:
        number += 1
    while first_moment(layer.shift_start(number), zone) > at:
        number -= 1
    return number


@lru_cache(maxsize=8192)
def first_moment(local: datetime, zone: ZoneInfo) -> datetime:
    """The first moment (UTC) at which a clock in the zone shows `local` or later."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    # The clock jumps over `local`: the offset after the jump puts it before the jump, the other behind it (PEP 495).
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    low, high = 0, int((moment - before).total_seconds())
    while low < high:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).replace(tzinfo=None) >= local:
            high = middle
        else:
            low = middle + 1
    return before + timedelta(seconds=low)


def _override_at(roster: Roster, schedule: Schedule, at: datetime) -> Override | None:
    current = [o for o in roster.overrides.values() if o.schedule in (None, schedule.id) and o.start <= at < o.end]
    return max(current, key=lambda override: (override.created_at, override.id), default=None)


def _edges_around(roster: Roster, schedule: Schedule, at: datetime) -> tuple[datetime, datetime]:
    """The last moment up to `at`, and the first after it, at which a layer or an override begins or ends."""
    zone = ZoneInfo(schedule.time_zone)
    edges: set[datetime] = set()
    for override in roster.overrides.values():
        if override.schedule in (None, schedule.id):
            edges |= {override.start, override.end}
    for layer in schedule.layers:
        begin = first_moment(layer.start, zone)
        edges.add(begin)
        if layer.until:
            edges.add(first_moment(layer.until, zone))
            if at < begin or at >= first_moment(layer.until, zone):
                continue
        if at >= begin and layer.members:
            number = turn_at(layer, schedule.time_zone, at)
            edges |= {first_moment(layer.shift_start(step), zone) for step in (number, number + 1)}
        for window in layer.windows:
            for opening in _openings(window, schedule.time_zone, at, days=8):
                edges |= set(opening)
    before = max((edge for edge in edges if edge <= at), default=datetime.min.replace(tzinfo=UTC))
    after = min((edge for edge in edges if edge > at), default=datetime.max.replace(tzinfo=UTC))
    return before, after


def _openings(window: Window, time_zone: str, at: datetime, days: int) -> tuple[tuple[datetime, datetime], ...]:
    """The times (UTC) at which the window is open, of those that begin about `days` before or after `at`."""
    zone = ZoneInfo(time_zone)
    return _openings_around(window, zone, at.astimezone(zone).date(), days)


@lru_cache(maxsize=8192)
def _openings_around(window: Window, zone: ZoneInfo, today: date, days: int) -> tuple[tuple[datetime, datetime], ...]:
    found = []
    for offset in range(-days - 2, days + 2):
        day: date = today + timedelta(days=offset)
        if day.weekday() in window.days:
            last = day if window.end > window.start else day + timedelta(days=1)
            start, end = (
                first_moment(datetime.combine(day, window.start), zone),
                first_moment(datetime.combine(last, window.end), zone),
            )
            if start < end:
                found.append((start, end))
    return tuple(found)
