"""Reads the events of an iCalendar file (RFC 5545): what Grafana OnCall takes from calendars."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from oncall_cli.imports.time_zones import iana_name

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(slots=True)
class Event:
    """An event. Local times are of `time_zone` (None: of the reader's). `rule` is RRULE's parts."""

    summary: str = ""
    start: datetime | None = None
    end: datetime | None = None
    time_zone: str | None = None
    rule: dict[str, str] = field(default_factory=dict)
    without: list[datetime] = field(default_factory=list)
    instead_of: datetime | None = None
    uid: str = ""


def events(text: str) -> Iterator[Event]:
    """The events of a calendar. Raises ValueError for what is none, or has a time that cannot be read."""
    if "BEGIN:VCALENDAR" not in text:
        raise ValueError("is no calendar: it has no BEGIN:VCALENDAR")
    properties: list[Property] | None = None
    for line in re.sub(r"\r?\n[ \t]", "", text).splitlines():
        if line == "BEGIN:VEVENT":
            properties = []
        elif line == "END:VEVENT":
            event = _event(properties or [])
            if event.start:
                yield event
            properties = None
        elif properties is not None:
            name, _, value = line.partition(":")
            name, *parameters = name.split(";")
            properties.append((name, dict(parameter.partition("=")[::2] for parameter in parameters), value))


type Property = tuple[str, dict[str, str], str]


def _event(properties: list[Property]) -> Event:
    one = {name: (given, value) for name, given, value in properties}
    event = Event(summary=re.sub(r"\\(.)", r"\1", one.get("SUMMARY", ({}, ""))[1]), uid=one.get("UID", ({}, ""))[1])
    if "DTSTART" not in one:
        return event
    given, value = one["DTSTART"]
    event.time_zone = _zone(value, given)
    event.start = _local(value, given, event.time_zone)
    if "DTEND" in one:
        event.end = _local(one["DTEND"][1], one["DTEND"][0], event.time_zone)
    elif "DURATION" in one:
        event.end = event.start + _length(one["DURATION"][1])
    else:
        event.end = event.start + timedelta(days=1)
    if "RRULE" in one:
        event.rule = dict(part.partition("=")[::2] for part in one["RRULE"][1].split(";"))
    if "RECURRENCE-ID" in one:
        event.instead_of = _local(one["RECURRENCE-ID"][1], one["RECURRENCE-ID"][0], event.time_zone)
    event.without = [
        _local(part, given, event.time_zone)
        for name, given, value in properties
        if name == "EXDATE"
        for part in value.split(",")
    ]
    return event


def _zone(value: str, given: dict[str, str]) -> str | None:
    if value.endswith("Z"):
        return "UTC"
    if "TZID" not in given:
        return None
    zone = iana_name(given["TZID"].strip('"'))
    if zone is None:
        raise ValueError(f"has an event in the time zone {given['TZID']}, which does not exist")
    return zone


def _local(value: str, given: dict[str, str], zone: str | None) -> datetime:
    """The time as the wall shows it in the event's zone."""
    form = "%Y%m%d" if len(value) == 8 else "%Y%m%dT%H%M%S"
    wall = datetime.strptime(value.removesuffix("Z"), form)  # noqa: DTZ007  a local time
    own = _zone(value, given)
    if zone and own and own != zone:
        return wall.replace(tzinfo=ZoneInfo(own)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return wall


def until(rule: dict[str, str], zone: str) -> datetime | None:
    """The moment after which no event of the rule begins."""
    value = rule.get("UNTIL")
    if value is None:
        return None
    wall = _local(value, {}, None)
    if len(value) == 8:
        wall += timedelta(days=1, seconds=-1)
    return wall.replace(tzinfo=UTC if value.endswith("Z") else ZoneInfo(zone)).astimezone(UTC)


def _length(value: str) -> timedelta:
    found = _DURATION.fullmatch(value)
    if not found:
        raise ValueError(f"has a duration that cannot be read: {value}")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
