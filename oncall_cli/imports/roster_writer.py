"""Writes what a source says as a roster.

A schedule of a source can have several people on call at once, one of ours has one. Such a schedule becomes several, and a
step that names it becomes as many steps, which ring one after another.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from oncall.roster import NOBODY
from oncall.roster.attributes import DAYS, format_days
from oncall_cli.imports.model import (
    WEEK_MINUTES,
    Deviation,
    Hours,
    Imported,
    Policy,
    Report,
    Rotation,
    Schedule,
    Unit,
    Unsayable,
    local_time,
    pieces,
)
from oncall_cli.imports.people import international, responder_ids, slug, unique

MOST_MINUTES = 240  # before a step of a policy
WRITTEN_OUT = timedelta(weeks=6)  # for how long a schedule is written out that is no rotation
_LIMITS: Mapping[Unit, int] = {"minute": 999, "hour": 999, "day": 366, "week": 53, "month": 12}
_MINUTES: Mapping[Unit, int] = {"minute": 1, "hour": 60, "day": 1440, "week": WEEK_MINUTES}


@dataclass(frozen=True, slots=True)
class Names:
    """The roster's ids: of each person, and of each schedule of the source its schedules here."""

    people: dict[str, str]
    schedules: dict[str, tuple[str, ...]]
    policies: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A layer to be: a rotation and, for each of its turns, who has it here (None: nobody)."""

    rotation: Rotation
    members: tuple[str | None, ...]


@dataclass(slots=True)
class Track:
    """One of the schedules that stand for a schedule of the source."""

    entries: list[Entry] = field(default_factory=list)
    dated: list[tuple[datetime, datetime, str | None, str]] = field(default_factory=list)


def document(imported: Imported, now: datetime) -> tuple[dict[str, Any], Names]:
    """The roster, shaped like its file, and its ids. What cannot be said is noted in the report."""
    report = imported.report
    moment = now.astimezone(UTC).replace(second=0, microsecond=0)
    tracks = {schedule.id: _tracks(schedule, moment, report) for schedule in imported.schedules}
    people = responder_ids(imported.people.values())
    names = Names(people, _schedule_ids(imported.schedules, tracks, report), _ids(imported.policies, "policy", report))
    schedules = {}
    for schedule in imported.schedules:
        for key, track in zip(names.schedules[schedule.id], tracks[schedule.id], strict=True):
            schedules[key] = _schedule(schedule, track, people, moment)
    policies = {
        names.policies[policy.id]: _policy(policy, names, report) for policy in imported.policies if policy.steps
    }
    products = _products(imported, names, report)
    used = {
        member for body in schedules.values() for layer in body.get("layers", [body]) for member in layer["members"]
    }
    used |= {step["responder"] for body in policies.values() for step in body["steps"] if "responder" in step}
    written: dict[str, Any] = {"time_zone": _common_zone(imported.schedules)}
    if len(policies) == 1:
        written["default"] = next(iter(policies))
    elif policies:
        report.add(
            "note",
            "policies",
            "products that are not listed ring everyone in turn: write default: and one of the policies",
        )
    written["responders"] = {
        people[person.id]: _responder(person.id, imported, report)
        for person in imported.people.values()
        if people[person.id] in used
    }
    unused = len(imported.people) - len(written["responders"])
    if unused:
        report.add("note", "people", f"{unused} are in no schedule and no policy, and are left out")
    for body in schedules.values():
        if body["time_zone"] == written["time_zone"]:
            del body["time_zone"]
    groups = {"schedules": schedules, "policies": policies, "products": products}
    return written | {group: bodies for group, bodies in groups.items() if bodies}, names


def _schedule_ids(
    schedules: Iterable[Schedule], tracks: Mapping[str, Sequence[Track]], report: Report
) -> dict[str, tuple[str, ...]]:
    firsts = _ids(schedules, "schedule", report)
    taken = set(firsts.values())
    found = {}
    for key, first in firsts.items():
        ids = [first]
        for _ in tracks[key][1:]:
            ids.append(unique(first, taken))
            taken.add(ids[-1])
        if len(ids) > 1:
            report.add(
                "changed",
                f"schedule {first}",
                f"has {len(ids)} people on call at once: it is {', '.join(ids)} here, rung in this order",
            )
        found[key] = tuple(ids)
    return found


def _ids(things: Iterable[Schedule | Policy], kind: str, report: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    for thing in things:
        wanted = slug(thing.name) or slug(thing.id) or kind
        found[thing.id] = unique(wanted, found.values())
        if found[thing.id] != wanted:
            report.add("changed", f"{kind} {thing.name}", f"is called {found[thing.id]} here: another has its name")
        elif not slug(thing.name):
            report.add(
                "changed",
                f"{kind} {thing.name}",
                f"is called {wanted} here: ids have letters, digits, '.', '_' and '-'",
            )
    return found


# ---------------------------------------------------------------- who is on call at once


def _tracks(schedule: Schedule, now: datetime, report: Report) -> list[Track]:
    zone = ZoneInfo(schedule.time_zone)
    where = f"schedule {schedule.name}"
    rotations = [rotation for rotation in schedule.rotations if rotation.ends is None or rotation.ends > now]
    if len(rotations) < len(schedule.rotations):
        report.add("note", where, f"{len(schedule.rotations) - len(rotations)} of its rotations are over and left out")
    spans = [(e.start, e.end, e.name) for e in schedule.deviations if e.end > now]
    unsayable = [*schedule.unsayable, *(Unsayable(why) for rotation in rotations if (why := _unsayable(rotation)))]
    spans += _spans_of(unsayable, where, now, report)
    if any(part.present is None for part in unsayable):
        rotations = []
    tracks: list[Track] = [Track()]
    levels = sorted({rotation.level for rotation in rotations}, reverse=True)
    above: list[Rotation] = []
    for level in levels:
        present = [rotation for rotation in rotations if rotation.level == level]
        begin = {number: len(track.entries) for number, track in enumerate(tracks)}
        for rotation in present:
            _place(rotation, tracks, begin, above)
        for rotation in present:
            for track in tracks:
                if not any(entry.rotation is rotation for entry in track.entries):
                    track.entries.append(_mask(rotation))
        above += present
        spans += [
            (start, rotation.begins, f"before {rotation.name} begins")
            for rotation in present
            if rotation.begins and rotation.begins > now
            if (start := _moment(_anchored(rotation, now, zone).start, zone)) < rotation.begins
        ]
    for track in tracks:
        while track.entries and _is_mask(track.entries[-1]):
            track.entries.pop()
    _write_out(schedule, tracks, spans, now)
    kept = [track for track in tracks if track.entries or any(person for *_, person, _ in track.dated)]
    return kept or [Track()]


def _spans_of(
    unsayable: Iterable[Unsayable], where: str, now: datetime, report: Report
) -> Iterator[tuple[datetime, datetime, str]]:
    """The times that are written out shift by shift, for want of a rotation."""
    end = now + WRITTEN_OUT
    for part in unsayable:
        report.add(
            "changed",
            where,
            f"{part.why}, which no rotation of a roster says: it is written out shift by shift until {end:%Y-%m-%d}. "
            "Import it again before then, or write it as a rotation",
        )
        if part.present is None:
            yield now, end, ""
        else:
            yield from ((begin, to, "") for begin, to, has_it in pieces(part.present, now, end) if has_it)


def _place(rotation: Rotation, tracks: list[Track], begin: Mapping[int, int], above: Sequence[Rotation]) -> None:
    """Puts each person of the rotation's turns in a track in which no rotation of its level counts at the same time."""
    size = max((len(turn) for turn in rotation.turns), default=1) or 1
    number = 0
    for position in range(size):
        members = tuple(turn[position] if position < len(turn) else None for turn in rotation.turns)
        while number < len(tracks) and any(
            _overlap(entry.rotation, rotation) for entry in tracks[number].entries[begin.get(number, len(above)) :]
        ):
            number += 1
        if number == len(tracks):
            tracks.append(Track([_mask(other) for other in above]))
        tracks[number].entries.append(Entry(rotation, members))
        number += 1


def _mask(rotation: Rotation) -> Entry:
    return Entry(rotation, ())


def _is_mask(entry: Entry) -> bool:
    return not entry.members


def _overlap(one: Rotation, other: Rotation) -> bool:
    if (one.ends and other.begins and one.ends <= other.begins) or (
        other.ends and one.begins and other.ends <= one.begins
    ):
        return False
    if not one.hours or not other.hours:
        return True
    return any(
        (a.start - b.start) % WEEK_MINUTES < b.minutes or (b.start - a.start) % WEEK_MINUTES < a.minutes
        for a in one.hours
        for b in other.hours
    )


def _write_out(
    schedule: Schedule, tracks: list[Track], spans: Iterable[tuple[datetime, datetime, str]], now: datetime
) -> None:
    """Writes the times at which the rotations do not say who is on call as shifts with dates, on top of them."""
    for start, end, name in _merged([Deviation(max(s, now), e, n) for s, e, n in spans]):
        for begin, finish, people in pieces(schedule.who, start, end):
            found = sorted(people)
            while len(found) > len(tracks):
                tracks.append(Track())
            for number, track in enumerate(tracks):
                person = found[number] if number < len(found) else None
                if track.dated and track.dated[-1][1:] == (begin, person, name):
                    begun, *_ = track.dated.pop()
                    track.dated.append((begun, finish, person, name))
                else:
                    track.dated.append((begin, finish, person, name))


def _merged(spans: list[Deviation]) -> list[tuple[datetime, datetime, str]]:
    found: list[tuple[datetime, datetime, str]] = []
    for span in sorted(spans, key=lambda s: s.start):
        if found and span.start < found[-1][1]:
            start, end, name = found.pop()
            found.append((start, max(end, span.end), name))
        else:
            found.append((span.start, span.end, span.name))
    return found


# ---------------------------------------------------------------- layers


def _schedule(schedule: Schedule, track: Track, people: Mapping[str, str], now: datetime) -> dict[str, Any]:
    zone = ZoneInfo(schedule.time_zone)
    layers = [_dated(*piece, zone, people) for piece in track.dated]
    layers += [_layer(entry, people, now, zone) for entry in track.entries]
    if not (track.entries and _goes_on(track.entries[-1].rotation, now, zone)):
        layers.append({"name": NOBODY, "members": []})
    if len(layers) == 1:
        return {"time_zone": schedule.time_zone} | {key: value for key, value in layers[0].items() if key != "name"}
    return {"time_zone": schedule.time_zone, "layers": layers}


def _goes_on(rotation: Rotation, now: datetime, zone: ZoneInfo) -> bool:
    """Whether the rotation counts from now on, always."""
    return not rotation.hours and not rotation.ends and _moment(_anchored(rotation, now, zone).start, zone) <= now


def _dated(
    start: datetime, end: datetime, person: str | None, name: str, zone: ZoneInfo, people: Mapping[str, str]
) -> dict[str, Any]:
    begin, finish = local_time(start, zone), local_time(end, zone)
    return {
        **({"name": name} if name else {}),
        "members": [people[person]] if person else [],
        "shift": "1 day",
        "hand_over": f"{begin:%H:%M}",
        "start": f"{begin:%Y-%m-%d}",
        "until": f"{finish:%Y-%m-%d %H:%M}",
    }


def _layer(entry: Entry, people: Mapping[str, str], now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    rotation = _anchored(entry.rotation, now, zone)
    turned = _turned(entry.rotation, rotation, entry.members)
    members = [people[member] if member else NOBODY for member in turned]
    if len(set(members)) == 1:
        members = members[:1]
    count, unit = _length(rotation)
    day = f"{DAYS[rotation.start.weekday()]} " if unit == "week" else ""
    layer: dict[str, Any] = {
        "name": rotation.name,
        "members": [] if set(members) <= {NOBODY} else members,
        "shift": f"{count} {unit}{'s' if count > 1 else ''}",
        "hand_over": f"{day}{rotation.start:%H:%M}",
        "start": f"{rotation.start:%Y-%m-%d}",
    }
    if rotation.ends:
        layer["until"] = f"{local_time(rotation.ends, zone):%Y-%m-%d %H:%M}"
    during = _during(rotation.hours)
    if during:
        layer["during"] = during
    return layer


def _anchored(rotation: Rotation, now: datetime, zone: ZoneInfo) -> Rotation:
    """The rotation with a start at which one of its turns begins, and from which on it counts."""
    wall = local_time(max(rotation.begins or now, now), zone)
    if rotation.start <= wall and not (rotation.begins and rotation.begins > now):
        return rotation
    start = turn_start(rotation, turn_number(rotation, wall))
    return replace(rotation, start=start)


def _turned(before: Rotation, after: Rotation, members: tuple[str | None, ...]) -> tuple[str | None, ...]:
    if not members or before.start == after.start:
        return members
    shift = turn_number(before, after.start) % len(members)
    return members[shift:] + members[:shift]


def turn_number(rotation: Rotation, wall: datetime) -> int:
    """The number of the turn at a local time, 0 for the first; before that it is negative."""
    if rotation.unit != "month":
        return (wall - rotation.start) // timedelta(minutes=rotation.count * _MINUTES[rotation.unit])
    months = (wall.year - rotation.start.year) * 12 + wall.month - rotation.start.month
    number = months // rotation.count + 1
    while turn_start(rotation, number) > wall:
        number -= 1
    return number


def turn_start(rotation: Rotation, number: int) -> datetime:
    """The local time at which a turn begins."""
    if rotation.unit != "month":
        return rotation.start + number * timedelta(minutes=rotation.count * _MINUTES[rotation.unit])
    months = rotation.start.year * 12 + rotation.start.month - 1 + number * rotation.count
    return rotation.start.replace(year=months // 12, month=months % 12 + 1)


def _length(rotation: Rotation) -> tuple[int, Unit]:
    """The length of a turn in the largest unit that says it."""
    count, unit = rotation.count, rotation.unit
    bigger: Mapping[Unit, tuple[int, Unit]] = {"minute": (60, "hour"), "hour": (24, "day"), "day": (7, "week")}
    while unit in bigger and count % bigger[unit][0] == 0:
        count, unit = count // bigger[unit][0], bigger[unit][1]
    return count, unit


def _unsayable(rotation: Rotation) -> str:
    count, unit = _length(rotation)
    if count > _LIMITS[unit]:
        return f"rotation {rotation.name} hands over every {count} {unit}s"
    if unit == "month" and rotation.start.day > 28:
        return f"rotation {rotation.name} hands over on day {rotation.start.day} of the month"
    return ""


def _during(hours: Iterable[Hours]) -> list[dict[str, str]]:
    days: dict[tuple[str, str], set[int]] = {}
    for part in hours:
        if part.minutes >= WEEK_MINUTES:
            return []
        start, left = part.start, part.minutes
        while left > 0:
            length = min(left, 1440)
            begin = start % 1440
            end = (begin + length) % 1440
            key = (f"{begin // 60:02}:{begin % 60:02}", f"{end // 60:02}:{end % 60:02}" if end else "24:00")
            days.setdefault(key, set()).add(start // 1440 % 7)
            start, left = start + 1440, left - length
    return [{"days": format_days(found), "from": begin, "to": end} for (begin, end), found in days.items()]


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)


# ---------------------------------------------------------------- policies, products, responders


def _policy(policy: Policy, names: Names, report: Report) -> dict[str, Any]:
    where = f"policy {policy.name}"
    steps: list[dict[str, Any]] = []
    for step in policy.steps:
        minutes = min(step.after_minutes, MOST_MINUTES)
        if minutes < step.after_minutes:
            report.add(
                "changed",
                where,
                f"has a step after {step.after_minutes} minutes: here after {minutes}, the most a roster has",
            )
        after = {"after_minutes": minutes} if minutes else {}
        if len(step.targets) > 1:
            report.add(
                "changed", where, "rings the targets of a step at the same time: here they are rung one after another"
            )
        for target in step.targets:
            if target.kind == "person":
                steps.append({"responder": names.people[target.id], **after})
            else:
                steps += [{"schedule": key, **after} for key in names.schedules[target.id]]
    seen = [{key: value for key, value in step.items() if key != "after_minutes"} for step in steps]
    if any(step in seen[:number] for number, step in enumerate(seen)):
        report.add("changed", where, "rings somebody in two steps: here each person is rung once a round")
    body: dict[str, Any] = {"steps": steps, "rounds": min(max(policy.rounds, 1), 20)}
    if policy.rounds > 20:
        report.add("changed", where, f"goes round {policy.rounds} times: here 20 times, the most a roster has")
    if policy.pause_minutes > 60:
        report.add(
            "changed", where, f"waits {policy.pause_minutes} minutes between rounds: here 60, the most a roster has"
        )
    body["pause_seconds"] = min(policy.pause_minutes, 60) * 60
    return body


def _products(imported: Imported, names: Names, report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {}
    callable_ = {policy.id for policy in imported.policies if policy.steps}
    for product in imported.products:
        body: dict[str, Any] = (
            {"policy": names.policies[product.policy]} if product.policy in callable_ else {"call": False}
        )
        if product.policy not in callable_:
            report.add(
                "changed", f"product {product.name}", "its policy rings nobody: it is for Slack only here (call: false)"
            )
        if product.slack_channel and re.fullmatch(r"[CG][A-Z0-9]{2,20}", product.slack_channel):
            body["slack_channel"] = product.slack_channel
        if found.setdefault(product.name, body) != body:
            report.add(
                "not mapped",
                f"product {product.name}",
                "there are two of this name with different policies: the first counts",
            )
    return found


def _responder(key: str, imported: Imported, report: Report) -> dict[str, Any]:
    person = imported.people[key]
    who = person.email or person.name
    phone = international(person.phone) if person.phone else None
    if person.phone is None:
        report.add(
            "error", f"person {who}", "has no number: put it in a file with the line email,phone and give --phones FILE"
        )
    elif phone is None:
        report.add("error", f"person {who}", "has a number that is none: put the right one in a file for --phones")
    body: dict[str, Any] = {"name": person.name, "phone": phone or "", "slack_user": person.slack_user}
    return {name: value for name, value in body.items() if value is not None}


def _common_zone(schedules: Iterable[Schedule]) -> str:
    zones = [schedule.time_zone for schedule in schedules] or ["UTC"]
    return max(dict.fromkeys(zones), key=zones.count)
