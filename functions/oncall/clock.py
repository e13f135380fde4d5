"""Times: the table has epoch milliseconds, schedules have datetimes."""

import time
from datetime import UTC, datetime


def now() -> int:
    """This moment, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def milliseconds(written: str) -> int:
    """A time as Alertmanager writes it (RFC 3339), in epoch milliseconds; 0 if that is not written as a time."""
    try:
        return int(datetime.fromisoformat(written).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def at(milliseconds: int) -> datetime:
    """Epoch milliseconds as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
