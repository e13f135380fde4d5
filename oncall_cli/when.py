"""Times as people write and read them, in the zone of the one who runs the command."""

import re
from datetime import UTC, datetime, timedelta

from oncall.roster.attributes import parse_clock, parse_day
from oncall_cli.errors import CommandError

_DURATION = re.compile(r"([0-9]{1,4})\s*(m|min|h|d|w)[a-z]*")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: datetime) -> datetime:
    """A moment (UTC) from `03:12`, `sun 03:12`, `tomorrow 09:00`, `2026-11-23 09:00`, `now` or `+2h`.

    A time of day, or a day of the week, means the next one. Raises CommandError.
    """
    words = text.strip().lower().split()
    if words == ["now"]:
        return now.astimezone(UTC)
    if text.strip().startswith("+"):
        return now.astimezone(UTC) + parse_duration(text.strip()[1:])
    clock = parse_clock(words[-1]) if words else None
    today = now.astimezone()
    day = parse_day(words[0]) if len(words) == 2 else None
    if clock is not None and (len(words) == 1 or day is not None):
        for ahead in range(9):
            moment = datetime.combine(today.date() + timedelta(days=ahead), clock).astimezone(UTC)
            if moment >= now and day in (None, (today.weekday() + ahead) % 7):
                return moment
    if clock is not None and words[0] in ("today", "tomorrow"):
        ahead = words.index(words[0]) + (words[0] == "tomorrow")
        return datetime.combine(today.date() + timedelta(days=ahead), clock).astimezone(UTC)
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except ValueError as error:
        raise CommandError(
            f"{text!r} is not a time: write it like 03:12, 'sun 03:12', 'tomorrow 09:00', '2026-11-23 09:00' or +2h"
        ) from error


def parse_duration(text: str) -> timedelta:
    """A length of time from `90m`, `2h`, `7d` or `2 weeks`. Raises CommandError."""
    found = _DURATION.fullmatch(text.strip().lower())
    if not found or int(found[1]) == 0:
        raise CommandError(f"{text!r} is not a length of time: write it like 90m, 2h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def shown(moment: datetime, *, seconds: bool = False) -> str:
    """A moment in the zone of the one who reads it."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M{':%S' if seconds else ''} %Z}"
