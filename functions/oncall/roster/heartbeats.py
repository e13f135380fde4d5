"""What the roster says of heartbeats: crons, backups and other machines that have to be heard of again and again."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oncall.roster.attributes import Attributes

if TYPE_CHECKING:
    from oncall.roster.model import Language

_LENGTH = re.compile(r"([0-9]{1,4}) (minute|hour|day|week)s?")
_LONGEST = timedelta(days=366)
DEFAULT_GRACE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A beat is due within `every` of the last one; `grace` later it is missed."""

    id: str
    every: timedelta
    grace: timedelta = DEFAULT_GRACE
    product: str = ""
    severity: str = "critical"
    enabled: bool = True


def read_heartbeat(part: Attributes) -> Heartbeat | None:
    """A heartbeat, with what is wrong noted; None if nobody could say when it is due."""
    every = _length(part, "every")
    if every is None:
        if part.body.get("every") is None:
            part.problem(None, "has no every: add every: 1 day, how long after one beat the next one comes")
        return None
    return Heartbeat(
        id=part.id,
        every=every,
        grace=_length(part, "grace") or DEFAULT_GRACE,
        product=part.text("product") or "",
        severity=part.text("severity") or "critical",
        enabled=part.boolean("enabled", default=True),
    )


def heartbeat_document(heartbeat: Heartbeat) -> dict[str, Any]:
    """A heartbeat shaped like the file; `read_heartbeat` reads it back."""
    return {
        "every": length_text(heartbeat.every),
        "grace": length_text(heartbeat.grace),
        **({"product": heartbeat.product} if heartbeat.product else {}),
        "severity": heartbeat.severity,
        "enabled": heartbeat.enabled,
    }


_JAPANESE = {"week": "週間", "day": "日", "hour": "時間", "minute": "分"}


def length_text(length: timedelta, language: "Language" = "en") -> str:
    """A length as it is written: 90 minutes, 1 day."""
    minutes = int(length.total_seconds()) // 60
    units = ((10080, "week"), (1440, "day"), (60, "hour"), (1, "minute"))
    count, unit = next((minutes // size, unit) for size, unit in units if minutes % size == 0)
    if language == "ja":
        return f"{count}{_JAPANESE[unit]}"
    return f"{count} {unit}{'s' if count > 1 else ''}"


def _length(part: Attributes, key: str) -> timedelta | None:
    value = part.text(key)
    if value is None:
        return None
    found = _LENGTH.fullmatch(value)
    length = timedelta(**{f"{found[2]}s": int(found[1])}) if found else timedelta()
    if not timedelta() < length <= _LONGEST:
        part.problem(key, f"{value!r} is not a length: write it like 5 minutes, 1 hour, 1 day or 2 weeks")
        return None
    return length
