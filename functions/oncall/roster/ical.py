"""Shifts as an iCalendar file (RFC 5545), for calendars that subscribe to it.

Moments are in UTC, so that no time zone has to come along.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from oncall.roster.model import Roster
from oncall.roster.schedules import Shift

# RFC 5545, 3.6: a calendar has at least one component. One without events has this.
_UTC = (
    "BEGIN:VTIMEZONE",
    "TZID:Etc/UTC",
    "BEGIN:STANDARD",
    "DTSTART:19700101T000000",
    "TZOFFSETFROM:+0000",
    "TZOFFSETTO:+0000",
    "END:STANDARD",
    "END:VTIMEZONE",
)


def calendar(roster: Roster, shifts: Iterable[tuple[str, Shift]], now: datetime) -> str:
    """A calendar of shifts, each with the id of its schedule; times without anyone on call are left out."""
    events = _events(roster, shifts, now)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//oncall//schedule//EN",
        "CALSCALE:GREGORIAN",
        "X-WR-CALNAME:On call",
        *(events or _UTC),
        "END:VCALENDAR",
    ]
    return "".join(f"{_fold(line)}\r\n" for line in lines)


def _events(roster: Roster, shifts: Iterable[tuple[str, Shift]], now: datetime) -> list[str]:
    lines: list[str] = []
    for schedule, shift in shifts:
        if shift.responder is None:
            continue
        why = "override" if shift.override else shift.layer or ""
        lines += [
            "BEGIN:VEVENT",
            f"UID:{schedule}-{_moment(shift.start)}@oncall",
            f"DTSTAMP:{_moment(now)}",
            f"DTSTART:{_moment(shift.start)}",
            f"DTEND:{_moment(shift.end)}",
            f"SUMMARY:{_text(f'{roster.responders[shift.responder].name} is on call ({schedule})')}",
            *([f"DESCRIPTION:{_text(why)}"] if why else []),
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    return lines


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """RFC 5545, 3.3.11: backslash, semicolon, comma and newline are escaped."""
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")


def _fold(line: str) -> str:
    """RFC 5545, 3.1: at most 75 octets on a line, what follows begins with a space; no character is cut in two."""
    parts, size = [""], 0
    for character in line:
        octets = len(character.encode())
        if size + octets > 75:
            parts.append(" ")
            size = 1
        parts[-1] += character
        size += octets
    return "\r\n".join(parts)
