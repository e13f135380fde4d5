"""Times as people write and read them, in the zone of the one who runs the command."""

import os
import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from oncall.clock import parse_instant
from oncall.roster import time_zones
from oncall.roster.attributes import parse_clock, parse_day
from oncall_cli.errors import CommandError

_PART = re.compile(r"\s*([0-9]{1,4})\s*(?:(m|mins?|minutes?)|(h|hours?)|(d|days?)|(w|weeks?))(?![a-z])")
_UNITS = ("minutes", "hours", "days", "weeks")
_LOCALTIME = Path("/etc/localtime")


def parse_moment(text: str, now: datetime) -> datetime:
    """A moment (UTC) from `03:12`, `sun 03:12`, `tomorrow 09:00`, `2026-11-23 09:00`, `now` or `+2h`.

    A time of day, or a day of the week, means the next one; 24:00 is the end of its day. Raises CommandError.
    """
    words = text.strip().lower().split()
    if words == ["now"]:
        return now.astimezone(UTC)
    if text.strip().startswith("+"):
        return now.astimezone(UTC) + parse_duration(text.strip()[1:])
    clock = parse_clock(words[-1]) if len(words) in (1, 2) else None
    today = local(now)
    midnight = datetime.combine(today.date(), time())
    day = parse_day(words[0]) if len(words) == 2 else None
    if clock is not None and (len(words) == 1 or day is not None):
        for ahead in range(-1, 9):
            moment = from_local(midnight + timedelta(days=ahead) + clock)
            if moment >= now and day in (None, (today.weekday() + ahead) % 7):
                return moment
    if clock is not None and words[0] in ("today", "tomorrow"):
        return from_local(midnight + timedelta(days=words[0] == "tomorrow") + clock)
    moment_written = parse_instant(text.strip())
    if moment_written is None:
        raise CommandError(
            f"{text!r} is not a time: write it like 03:12, 'sun 03:12', 'tomorrow 09:00', '2026-11-23 09:00' or +2h"
        )
    return moment_written.astimezone(UTC) if moment_written.tzinfo else from_local(moment_written)


def parse_duration(text: str) -> timedelta:
    """A length of time from `90m`, `2h30m`, `1d 12h`, `7d` or `2 weeks`. Raises CommandError."""
    written, at, length = text.strip().lower(), 0, timedelta()
    while found := _PART.match(written, at):
        unit = next(unit for unit, word in zip(_UNITS, found.groups()[1:], strict=True) if word)
        length, at = length + timedelta(**{unit: int(found[1])}), found.end()
    if at < len(written) or not length:
        raise CommandError(f"{text!r} is not a length of time: write it like 90m, 2h30m, 7d or 1w")
    return length


def shown(moment: datetime, *, seconds: bool = False) -> str:
    """A moment in the zone of the one who reads it."""
    return f"{local(moment):%a %Y-%m-%d %H:%M{':%S' if seconds else ''} %Z}"


def local(moment: datetime) -> datetime:
    """A moment as the clock of the one who runs the command shows it."""
    return moment.astimezone(_zone())


def from_local(wall: datetime) -> datetime:
    """The moment (UTC) at which that clock shows a time (which has no zone of its own)."""
    return wall.replace(tzinfo=_zone()).astimezone(UTC)


def _zone() -> ZoneInfo | None:
    """The zone of the one who runs the command, by its name, so that its rules are the package's and not the machine's.

    None, the machine's own idea of it, where it has no name: TZ holds a rule, or /etc/localtime is no link.
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name and _LOCALTIME.is_symlink():
        name = str(_LOCALTIME.readlink()).rpartition("zoneinfo/")[2]
    return ZoneInfo(name) if name in time_zones.names() else None
