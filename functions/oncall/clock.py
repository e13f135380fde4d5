"""Times: the table has epoch milliseconds, schedules have datetimes."""

import re
import time
from datetime import UTC, date, datetime, timedelta

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # what is reckoned from it stays within what a datetime can hold

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339, also with a space for the T and without seconds. `fromisoformat` alone takes weeks (2026-W48) and any separator.
_INSTANT = re.compile(
    r"([0-9-]{10})[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)


def now() -> int:
    """This moment, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def milliseconds(written: str) -> int:
    """A time as Alertmanager writes it (RFC 3339), in epoch milliseconds; 0 if that is not written as a time."""
    moment = parse_instant(written)
    if moment is None:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_date(text: str) -> date | None:
    """A date YYYY-MM-DD; None if it is written otherwise, does not exist, or is out of all reason."""
    try:
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None
    return found if found and EARLIEST.year <= found.year < LATEST.year else None


def parse_instant(text: str) -> datetime | None:
    """A date with a time, YYYY-MM-DDTHH:MM, and Z or an offset (else it is naive); None if it is written otherwise.

    24:00 is the end of the day.
    """
    found = _INSTANT.fullmatch(text)
    day = parse_date(found[1]) if found else None
    if not found or day is None:
        return None
    clock, offset = found[2], (found[3] or "").upper()
    if clock == "24:00" or re.fullmatch(r"24:00:00(\.0+)?", clock):
        day, clock = day + timedelta(days=1), "00:00"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{offset}")
    except ValueError:
        return None


def at(milliseconds: int) -> datetime:
    """Epoch milliseconds as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
