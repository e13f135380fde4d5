"""Times: the table has epoch milliseconds, schedules have datetimes."""

import time
from datetime import UTC, datetime


def now() -> int:
    """This moment, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def at(milliseconds: int) -> datetime:
    """Epoch milliseconds as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
