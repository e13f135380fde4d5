"""Reading attributes written by people, in a file or in the table's console: each check notes a problem and goes on.

A problem says where, what, and what to write instead.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from oncall.clock import parse_instant
from oncall.roster import time_zones

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

END_OF_DAY = timedelta(hours=24)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_INTEGER = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at `path` (kind, id, attribute, ...) and what to do about it. Never holds a phone number."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{' '.join(str(part) for part in self.path)}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of one part of the roster, read with checks: each notes a problem and returns the default."""

    body: Mapping[str, Any]
    path: tuple[str | int, ...]
    problems: list[Problem]

    @property
    def id(self) -> str:
        return str(self.path[1])

    def problem(self, key: str | None, message: str, choices: Iterable[str] = ()) -> None:
        self.problems.append(Problem((*self.path, key) if key else self.path, message + suggestion(message, choices)))

    def text(self, key: str) -> str | None:
        value = self.body.get(key)
        if value is None:
            return None
        if isinstance(value, str) and value.strip():
            return value.strip()
        self.problem(key, f"expected text, found {kind_of(value)}: write it between quotes")
        return None

    def one_of(self, key: str, choices: tuple[str, ...]) -> Any:
        value = self.text(key)
        if value is not None and value not in choices:
            self.problem(key, f"{value!r} is not possible: write {' or '.join(choices)}")
            return None
        return value

    def integer(self, key: str, default: int | None, low: int, high: int) -> Any:
        value = self.body.get(key)
        if value is None:
            return default
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)  # the console makes text of what is typed in
        number = value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
        if number is not None and number == int(number) and low <= number <= high:
            return int(number)
        self.problem(key, f"expected a whole number from {low} to {high}")
        return default

    def boolean(self, key: str, default: bool) -> bool:
        value = self.body.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or value in ("true", "false"):
            return value in (True, "true")
        self.problem(key, "write true or false")
        return default

    def time_zone(self, key: str, default: str) -> str:
        value = self.text(key)
        if value is None:
            return default
        if value in time_zones.names():
            return value
        self.problem(key, f"there is no time zone {value!r}: {time_zones.advice(value)}")
        return default

    def clock(self, key: str) -> timedelta | None:
        """A local time HH:MM, as the time since midnight; 24:00 is the end of the day."""
        value = self.time_text(key)
        clock = parse_clock(value) if value is not None else None
        if value is not None and clock is None:
            self.problem(key, f"{value!r} is not a time: write hours and minutes, such as 09:00")
        return clock

    def time_text(self, key: str) -> str | None:
        """A text that holds a time. A number is what other readers of YAML make of 9:00 (540) or of 2026 (a year)."""
        if isinstance(self.body.get(key), int | float | Decimal) and not isinstance(self.body[key], bool):
            self.problem(key, 'expected a time, found a number: write it between quotes, such as "09:00"')
            return None
        return self.text(key)

    def instant(self, key: str) -> datetime | None:
        value = self.text(key)
        if value is None:
            return None
        moment = parse_instant(value)
        if moment is None:
            self.problem(key, f"{value!r} is not a moment: write it like 2026-11-23T09:00:00+09:00")
            return None
        if moment.tzinfo is None:
            self.problem(key, f"{value!r} does not say in which time zone: add +09:00, or Z for UTC")
            return None
        return moment.astimezone(UTC)


def attributes_of(body: object, path: tuple[str | int, ...], problems: list[Problem]) -> Attributes | None:
    """The attributes of a part; none if it has no attributes."""
    if path[0] == "responders" and isinstance(body, str):
        body = {"phone": body}  # the short form: an id and its number
    if body is None:
        body = {}
    if isinstance(body, Mapping):
        return Attributes(body, path, problems)
    problems.append(Problem(path, f"expected settings (key: value), found {kind_of(body)}"))
    return None


def parse_days(text: str) -> frozenset[int] | None:
    """Days of the week as numbers, 0 for Monday, from `mon-fri` or `sat, sun`; None if it cannot be read."""
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low, high = parse_day(first), parse_day(last if dash else first)
        if low is None or high is None:
            return None
        days.update((low + step) % 7 for step in range((high - low) % 7 + 1))
    return frozenset(days)


def format_days(days: Iterable[int]) -> str:
    """What `parse_days` reads back: `mon-fri`, or `sat, sun`."""
    numbers = sorted(days)
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{DAYS[numbers[0]][:3]}-{DAYS[numbers[-1]][:3]}"
    return ", ".join(DAYS[number][:3] for number in numbers)


def parse_day(text: str) -> int | None:
    """The number of `monday` or `mon`, 0; None if it is no day."""
    word = text.strip().lower()
    return next((number for number, day in enumerate(DAYS) if word in (day, day[:3])), None)


def parse_clock(text: str) -> timedelta | None:
    """A time HH:MM as the time since midnight, 24:00 being the end of the day; None if it is none."""
    found = _CLOCK.fullmatch(text)
    clock = timedelta(hours=int(found[1]), minutes=int(found[2])) if found and int(found[2]) < 60 else None
    return clock if clock is not None and clock <= END_OF_DAY else None


def unknown(path: tuple[str | int, ...], kind: str, target: object, known: Iterable[str]) -> Problem:
    """The problem that `target` names nothing."""
    return Problem(path, f"there is no {kind} {target!r}{suggestion(str(target), known)}")


def suggestion(wrong: str, choices: Iterable[str]) -> str:
    """`: did you mean ...?` or the possible names. difflib is only loaded when something is wrong."""
    from difflib import get_close_matches  # noqa: PLC0415  the way from webhook to ring does not need it

    names = list(choices)
    if close := get_close_matches(wrong, names, 1):
        return f": did you mean {close[0]}?"
    return f": there are {', '.join(names[:10])}{' ...' if len(names) > 10 else ''}" if names else ""


def kind_of(value: object) -> str:
    """What a value is, in words."""
    kinds = {
        bool: "true or false",
        str: "text",
        type(None): "nothing",
        list: "a list",
        tuple: "a list",
        dict: "settings",
    }
    return kinds.get(type(value), "a number")
