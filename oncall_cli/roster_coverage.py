"""Who is reached when: gaps, policies that reach nobody, members whose turn never comes, steps that ring nobody new."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from math import gcd
from zoneinfo import ZoneInfo

from oncall.roster import EVERYONE, NOBODY, Layer, Policy, Roster, Schedule
from oncall.roster.schedules import first_moment, responders_on_call, schedule_named, shifts
from oncall_cli.roster_file import Location

DAYS_AHEAD = 14
_WEEK = 7 * 24 * 60  # minutes; all below are minutes of the week, by the clock on the wall, from Monday 00:00


def gaps(roster: Roster, now: datetime) -> Iterator[tuple[Location, str]]:
    """The times within the next 14 days at which a schedule has nobody, and not on purpose."""
    for schedule in roster.schedules.values():
        zone = ZoneInfo(schedule.time_zone)
        gaps = [
            shift
            for shift in shifts(roster, schedule, now, now + timedelta(days=DAYS_AHEAD))
            if shift.responder is None and shift.layer is None
        ]
        if gaps:
            start, end = (f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M}" for moment in (gaps[0].start, gaps[0].end))
            more = f" and {len(gaps) - 1} more times within {DAYS_AHEAD} days" if len(gaps) > 1 else ""
            yield (
                ("schedules", schedule.id),
                (
                    f"has nobody from {start} to {end} {schedule.time_zone}{more}: "
                    "add a layer for then, or one with members: [] if nobody is to be rung"
                ),
            )


def unreachable(roster: Roster, now: datetime) -> Iterator[tuple[Location, str]]:
    """The policies that ring nobody within the next 14 days."""
    for policy in roster.policies.values():
        if any(step.kind != "schedule" for step in policy.steps):
            continue
        end = now + timedelta(days=DAYS_AHEAD)
        schedules = [schedule_named(roster, step.id) for step in policy.steps]
        if not any(shift.responder for schedule in schedules for shift in shifts(roster, schedule, now, end)):
            yield ("policies", policy.id), f"reaches nobody within {DAYS_AHEAD} days: add the step everyone"


def idle_steps(roster: Roster, now: datetime) -> Iterator[tuple[Location, str]]:
    """The steps that never ring anybody whom the steps before them have not rung: nobody is reached by them."""
    for policy in roster.policies.values():
        idle = set(range(1, len(policy.steps)))
        for moment in _moments(roster, policy, now):
            if not idle:
                break
            rung: set[str] = set()
            for number, step in enumerate(policy.steps):
                alone = Policy(policy.id, (step,))
                reached = {on_call.responder.id for on_call in responders_on_call(roster, alone, moment)}
                if reached - rung:
                    idle.discard(number)
                rung |= reached
        for number in sorted(idle):
            which = "last step" if number == len(policy.steps) - 1 else "step"
            yield (
                ("policies", policy.id, "steps", number),
                f"the {which} reaches nobody whom the steps before it have not rung: name somebody else, or remove it",
            )


def _moments(roster: Roster, policy: Policy, now: datetime) -> Iterator[datetime]:
    """Now, and each shift's beginning of the policy's schedules for as long as their longest shifts take to change twice."""
    yield now
    for step in policy.steps:
        if step.kind == "responder":
            continue
        schedule = schedule_named(roster, step.id or EVERYONE)
        longest = max((_longest(layer) for layer in schedule.layers), default=timedelta())
        for shift in shifts(roster, schedule, now, now + max(2 * longest, timedelta(days=DAYS_AHEAD))):
            yield shift.start


def _longest(layer: Layer) -> timedelta:
    return timedelta(days=31 * layer.months) or layer.length


def never_on_call(roster: Roster, now: datetime) -> Iterator[tuple[Location, str]]:
    """The members of a layer whose turn never falls into its hours, or always into those of the layers before it."""
    for schedule in roster.schedules.values():
        taken: set[int] = set()  # what the layers before have, of those that have begun
        for number, layer in enumerate(schedule.layers):
            if layer.until:
                continue  # for a while: not every turn has to come, and what is below it counts again afterwards
            hours = _hours(layer) - taken
            come = {member for turn, member in enumerate(layer.members) if _comes(layer, turn, hours)} | {NOBODY}
            never = [member for member in dict.fromkeys(layer.members) if member not in come]
            if never:
                yield _location(schedule, number), _never(layer, never, hours)
            if first_moment(layer.start, ZoneInfo(schedule.time_zone)) <= now.astimezone(UTC):
                taken |= hours


def _location(schedule: Schedule, number: int) -> Location:
    """Where a layer is written; the only one may be written without `layers`."""
    has_layers = len(schedule.layers) > 1 or schedule.layers[number].name
    return ("schedules", schedule.id, *(("layers", number) if has_layers else ()))


def _never(layer: Layer, never: list[str], hours: set[int]) -> str:
    name = f"layer {layer.name}: " if layer.name else ""
    if not hours:
        return f"{name}is never used: the layers before it have all of its hours"
    verb = "is" if len(never) == 1 else "are"
    return (
        f"{name}{', '.join(never)} {verb} never on call by it: "
        "their shifts always fall outside of its hours; write another shift, such as 1 week, or leave them out"
    )


def _hours(layer: Layer) -> set[int]:
    """The minutes of the week that a layer covers."""
    if not layer.windows:
        return set(range(_WEEK))
    found: set[int] = set()
    for window in layer.windows:
        start, end = _minute(window.start), _minute(window.end)
        length = (end - start) % 1440 or 1440
        found |= {(day * 1440 + start + minute) % _WEEK for day in window.days for minute in range(length)}
    return found


def _minute(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def _comes(layer: Layer, turn: int, hours: set[int]) -> bool:
    """Whether a member's shift ever falls into hours of the week.

    By the clock on the wall a shift begins `turn` shifts after the layer does, and again each round; so the minutes of the
    week at which it begins are those that differ by a multiple of what a round and a week have in common.
    """
    if layer.months:
        return bool(hours)  # months are no weeks: it falls on each of their minutes at one time or another
    length = int(layer.length.total_seconds()) // 60
    first = layer.start.weekday() * 1440 + _minute(layer.start.time()) + turn * length
    step = gcd(length * len(layer.members), _WEEK)
    if length >= step:
        return bool(hours)  # its shifts cover each minute of the week at one time or another
    return any((minute - first) % step < length for minute in hours)
