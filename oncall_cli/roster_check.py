"""Checks a roster file: names, numbers, gaps, policies that reach nobody. Every finding says what to write instead."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import phonenumbers

from oncall.roster import EVERYONE, Roster, parse
from oncall.roster.attributes import suggestion
from oncall.roster.schedules import schedule_named, shifts
from oncall_cli.roster_file import Location, RosterFile

SCHEMA = Path(__file__).parent / "roster.schema.json"
DAYS_AHEAD = 14


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` error keeps a roster from being applied. `line` counts from 1; None for the whole file."""

    level: Literal["error", "warning"]
    line: int | None
    where: str
    message: str


def check(file: RosterFile, now: datetime) -> tuple[Roster, list[Finding]]:
    """The roster of a file and what is wrong with it, in the order of the lines."""
    roster, problems = parse(file.document)
    found = [("error", p.path, p.message) for p in problems]
    found += [("error", *finding) for finding in _misspelt(file.document)]
    found += [("error", *finding) for finding in _numbers(roster)]
    if not roster.responders and not problems:
        found.append(("error", (), "has no responders: write responders:, and below it each id and number"))
    if not found:  # what follows would repeat what is wrong already
        found += [("error", *finding) for finding in gaps(roster, now)]
        found += [("error", *finding) for finding in unreachable(roster, now)]
        found += [("warning", *finding) for finding in _unused(roster, file.document)]
    findings = [
        Finding("error" if level == "error" else "warning", file.line(path), " ".join(map(str, path)), message)
        for level, path, message in found
    ]
    return roster, sorted(findings, key=lambda finding: finding.line or 0)


def _misspelt(document: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    properties, layer = schema["properties"], schema["$defs"]["layer"]["properties"]
    one_layer, layered = (option["properties"] for option in properties["schedules"]["additionalProperties"]["oneOf"])
    yield from _unknown_keys(document, (), properties)
    responder = properties["responders"]["additionalProperties"]["oneOf"][1]["properties"]
    for group, keys in (
        ("responders", responder),
        ("policies", properties["policies"]["additionalProperties"]["properties"]),
        ("products", properties["products"]["additionalProperties"]["properties"]),
    ):
        for location, body in _children(document.get(group), (group,)):
            yield from _unknown_keys(body, location, keys)
    for location, body in _children(document.get("schedules"), ("schedules",)):
        has_layers = isinstance(body, Mapping) and "layers" in body
        yield from _unknown_keys(body, location, one_layer if has_layers else layered | one_layer)
        layers = [(location, body)]
        if has_layers:
            layers = list(_children(body["layers"], (*location, "layers")))
            for inner, settings in layers:
                yield from _unknown_keys(settings, inner, layer)
        for inner, settings in layers:
            during = settings.get("during") if isinstance(settings, Mapping) else None
            for window, hours in _children(during, (*inner, "during")):
                yield from _unknown_keys(hours, window, layer["during"]["items"]["properties"])


def _children(value: object, location: Location) -> Iterator[tuple[Location, Any]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield (*location, key), child
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield (*location, number), child


def _unknown_keys(value: object, location: Location, known: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for key in value if isinstance(value, Mapping) else ():
        if key not in known:
            yield (*location, key), f"is not a setting{suggestion(key, known)}"


def _numbers(roster: Roster) -> Iterator[tuple[Location, str]]:
    owners: dict[str, str] = {}
    for responder in roster.responders.values():
        location = ("responders", responder.id, "phone")
        number = phonenumbers.parse(responder.phone)
        if not phonenumbers.is_valid_number(number):
            region = phonenumbers.region_code_for_country_code(number.country_code or 0)
            yield location, f"is not a number that exists in {region}: compare each digit, and leave out the first 0"
        elif responder.phone in owners:
            yield location, f"is also the number of {owners[responder.phone]}: one call would ring both as one"
        owners.setdefault(responder.phone, responder.id)


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


def _unused(roster: Roster, document: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    steps = [step for name in ({*roster.policies} or {""}) for step in _steps(roster, name)]
    everyone = any(step.kind == EVERYONE for step in steps)
    named = {step.id for step in steps}
    for schedule in roster.schedules.values():
        if schedule.id not in named and not (everyone and schedule.id == EVERYONE):
            yield ("schedules", schedule.id), "is in no policy: nobody is rung by it"
    on_schedules = {
        member
        for schedule in roster.schedules.values()
        if schedule.id in named
        for layer in schedule.layers
        for member in layer.members
    }
    for responder in roster.responders:
        if not everyone and responder not in named | on_schedules:
            yield ("responders", responder), "is in no policy: is never rung"
    if "time_zone" not in document and any("time_zone" not in body for body in _schedule_bodies(document)):
        yield (), "has no time_zone: hand-overs are in UTC; write time_zone: Asia/Tokyo, or UTC"


def _steps(roster: Roster, policy: str) -> tuple[Any, ...]:
    return (roster.policies.get(policy) or roster.policy_for("")).steps


def _schedule_bodies(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((document.get("schedules") or {"": {}}).values())
