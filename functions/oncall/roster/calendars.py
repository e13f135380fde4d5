"""Calendars that people subscribe to: who is on call, as an iCalendar file behind an address with a token.

The partition CALENDAR has an item for each address. Of the token it has the hash alone, so that whoever reads the table
cannot read the calendar's address; deleting the item revokes it.
"""

import hashlib
from datetime import datetime, timedelta
from itertools import chain

from oncall.roster import ical, schedules
from oncall.roster.items import read_items
from oncall.roster.model import EVERYONE, Roster
from oncall.roster.model import PARTITION as ROSTER
from oncall.roster.schedules import Shift
from oncall.table import Item, Table

PARTITION = "CALENDAR"
PAST, AHEAD = timedelta(weeks=2), timedelta(weeks=13)


def address(gateway: str, token: str) -> str:
    """What to subscribe to; `gateway` is its address, stage included."""
    return f"{gateway}/schedule.ics?token={token}"


def item(token: str, name: str, *, responder: str | None, created_at: datetime, created_by: str) -> Item:
    """The table's item for a new address. With a responder (id), the calendar has only their shifts."""
    return {
        "pk": PARTITION,
        "sk": _digest(token),
        "name": name,
        "responder": responder or "",
        "created_at": created_at.isoformat(),
        "created_by": created_by,
    }


def render(table: Table, token: str, *, now: datetime) -> str | None:
    """The calendar of a token; None if the token is unknown, or was revoked."""
    known = table.get(PARTITION, _digest(token))
    if known is None:
        return None
    current, _ = read_items(table.query(ROSTER))
    found = chain.from_iterable(_shifts(current, schedule, now) for schedule in list(current.schedules) or [EVERYONE])
    wanted = [(name, shift) for name, shift in found if known["responder"] in ("", shift.responder)]
    return ical.calendar(current, wanted, now)


def _shifts(current: Roster, name: str, now: datetime) -> list[tuple[str, Shift]]:
    """The shifts of a schedule, from midnight to midnight, so that an event is the same whenever the calendar is read."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    schedule = schedules.schedule_named(current, name)
    return [(name, shift) for shift in schedules.shifts(current, schedule, today - PAST, today + AHEAD)]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
