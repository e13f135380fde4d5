"""Local times as moments, for the references that imports are compared with: found by looking at the clock each minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

AUTUMN = datetime(2026, 10, 19, 7, 30, tzinfo=UTC)  # clocks go back in Europe on the 25th, in America on 1 November
SPRING = datetime(
    2027, 3, 8, 16, 0, tzinfo=UTC
)  # forward in America on the 14th, in Europe on the 28th; Sydney back on 4 April
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "Australia/Lord_Howe", "UTC")


@cache
def moment(wall: datetime, zone: str) -> datetime:
    """The first moment at which the clock shows this time or a later one."""
    there = ZoneInfo(zone)
    guess = wall.replace(tzinfo=there).astimezone(UTC)
    if guess.astimezone(there).replace(tzinfo=None, fold=0) == wall:
        return guess
    at = guess - timedelta(hours=3)
    while at.astimezone(there).replace(tzinfo=None, fold=0) < wall:
        at += timedelta(minutes=1)
    return at


def wall(at: datetime, zone: str) -> datetime:
    """What the clock shows."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def days_around(at: datetime, zone: str, back: int = 9) -> Iterator[datetime]:
    """The midnights of the days up to `at`."""
    today = wall(at, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(-back, 2):
        yield today + timedelta(days=number)
