"""Checks a roster file: names, numbers, gaps, policies that reach nobody. Every finding says what to write instead."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from oncall.roster import EVERYONE, Roster, parse, time_zones
from oncall.roster.attributes import suggestion
from oncall_cli.phone_numbers import advise
from oncall_cli.roster_coverage import gaps, idle_steps, never_on_call, unreachable
from oncall_cli.roster_file import Location, RosterFile

SCHEMA = Path(__file__).parent / "roster.schema.json"
# After the year of a release of the time zone database. It has several releases a year, so there are newer ones by then.
RELEASE_GROWS_OLD = timedelta(days=180)

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` error keeps a roster from being applied. `line` counts from 1; None for the whole file."""

    level: Level
    line: int | None
    where: str
    message: str


def check(file: RosterFile, now: datetime) -> tuple[Roster, list[Finding]]:
    """The roster of a file and what is wrong with it, in the order of the lines."""
    roster, problems = parse(file.document)
    found: list[tuple[Level, Location, str]] = [("error", p.path, p.message) for p in problems]
    found += [("error", *finding) for finding in _misspelt(file.document)]
    found += numbers(roster)
    found += slack_users(roster)
    if not roster.responders and not problems:
        found.append(("error", (), "has no responders: write responders:, and below it each id and number"))
    if all(level == "warning" for level, _, _ in found):  # what follows would repeat what is wrong already
        unreached = list(unreachable(roster, now))
        found += [("error", *finding) for finding in gaps(roster, now)]
        found += [("error", *finding) for finding in unreached]
        found += [("warning", *finding) for finding in never_on_call(roster, now)]
        if not unreached:
            found += [("warning", *finding) for finding in idle_steps(roster, now)]
        found += [("warning", *finding) for finding in _unused(roster, file.document)]
    found += [("warning", *finding) for finding in _time_zones(roster, now)]
    findings = [Finding(level, file.line(path), " ".join(map(str, path)), message) for level, path, message in found]
    return roster, sorted(findings, key=lambda finding: finding.line or 0)


def old_time_zones(now: datetime) -> str:
    """That the time zone data of this installation are old; empty if they are not."""
    release = version("tzdata")  # 2026.2 is the release 2026b
    end_of_year = datetime(int(release.partition(".")[0]) + 1, 1, 1, tzinfo=UTC)
    return f"the time zone data here are of {release}" if now > end_of_year + RELEASE_GROWS_OLD else ""


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
        ("heartbeats", properties["heartbeats"]["additionalProperties"]["properties"]),
    ):
        for location, body in _children(document.get(group), (group,)):
            yield from _unknown_keys(body, location, keys)
    yield from _misspelt_sources(document.get("sources"), properties["sources"])
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


def _misspelt_sources(sources: object, schema: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    cloudwatch = schema["properties"]["cloudwatch"]["properties"]
    for location, body in _children(sources, ("sources",)):
        is_cloudwatch = location[-1] == "cloudwatch"
        yield from _unknown_keys(body, location, cloudwatch if is_cloudwatch else {"fields": {}})
        rules = body.get("rules") if is_cloudwatch and isinstance(body, Mapping) else None
        for rule, settings in _children(rules, (*location, "rules")):
            yield from _unknown_keys(settings, rule, cloudwatch["rules"]["items"]["properties"])


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


def numbers(roster: Roster) -> Iterator[tuple[Level, Location, str]]:
    """What is wrong with the responders' numbers. Two spellings of one number are one number."""
    owners: dict[str, str] = {}
    for responder in roster.responders.values():
        location = ("responders", responder.id, "phone")
        advice = advise(responder.phone)
        if advice.level:
            yield advice.level, location, advice.message
        owner = owners.setdefault(advice.number or responder.phone, responder.id)
        if owner != responder.id:
            yield "error", location, f"is also the number of {owner}: one call would ring both as one"


def slack_users(roster: Roster) -> Iterator[tuple[Level, Location, str]]:
    """Slack users that several responders have."""
    owners: dict[str, str] = {}
    for responder in roster.responders.values():
        owner = owners.setdefault(responder.slack_user or responder.id, responder.id)
        if owner != responder.id:
            message = f"is also the Slack user of {owner}: what they press in Slack would count as {owner}'s"
            yield "error", ("responders", responder.id, "slack_user"), message


def _time_zones(roster: Roster, now: datetime) -> Iterator[tuple[Location, str]]:
    written: dict[Location, str] = {("time_zone",): roster.time_zone}
    written |= {("schedules", one.id, "time_zone"): one.time_zone for one in roster.schedules.values()}
    for location, zone in written.items():
        if (told := time_zones.signed(zone)) and (len(location) == 1 or zone != roster.time_zone):
            yield location, f"{told}. Write the name of a place instead, such as Asia/Tokyo"
    zones = {roster.time_zone, *(schedule.time_zone for schedule in roster.schedules.values())} - {"UTC", "Etc/UTC"}
    if zones and (age := old_time_zones(now)):
        yield (), f"{age}: the hours of {', '.join(sorted(zones))} may have changed since; pip install --upgrade tzdata"


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
