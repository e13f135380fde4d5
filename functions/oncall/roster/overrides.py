"""Overrides: somebody else is on call for a while. Written by `oncall take`, `oncall override`, and from Slack."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from oncall.roster.items import override_item
from oncall.roster.model import EVERYONE, Override, Policy, Responder, Roster
from oncall.roster.schedules import Shift, schedule_named, shift_at, shifts
from oncall.table import ConditionFailedError, Table, Update

LONGEST = timedelta(weeks=1)  # of a shift that is taken as it is: some shifts never end


@dataclass(frozen=True, slots=True)
class TakenShift:
    """What came of taking a shift: `responder` (an id) is on call until `end`, by our override or as before.

    `override` is empty when a shift of theirs needs none. `is_new`: it was taken just now, `instead` of whom (an id, or nobody).
    """

    responder: str
    end: datetime
    override: str = ""
    is_new: bool = False
    instead: str | None = None


def schedules_of(policy: Policy) -> tuple[str, ...]:
    """The schedules that a policy rings by, in its order."""
    return tuple(dict.fromkeys(step.id or EVERYONE for step in policy.steps if step.kind != "responder"))


def schedules_in_use(roster: Roster) -> tuple[str, ...]:
    """The schedules that any policy rings by."""
    policies = [*roster.policies.values(), roster.policy_for("")]
    return tuple(dict.fromkeys(name for policy in policies for name in schedules_of(policy)))


def schedules_to_take(roster: Roster) -> tuple[str, ...]:
    """The schedules one of which somebody means who takes a shift and names none: the one that every policy rings by first.

    If there is none, all of them: they have to say which.
    """
    policies = roster.policies.values() or [roster.policy_for("")]
    first = {next(iter(schedules_of(policy)), "") for policy in policies}
    return tuple(first) if len(first) == 1 and first != {""} else schedules_in_use(roster)


def replaced(roster: Roster, override: Override) -> list[tuple[str, Shift]]:
    """The shifts, with their schedules, that an override stands for; none if no policy rings by its schedule."""
    concerned = [name for name in schedules_in_use(roster) if override.schedule in (None, name)]
    return [
        (name, shift)
        for name in sorted(concerned)
        for shift in shifts(roster, schedule_named(roster, name), override.start, override.end)
    ]


def put(table: Table, override: Override) -> None:
    """Writes an override; it counts from the next read on. Raises ConditionFailedError if there is one of this id."""
    item = override_item(override)
    attributes = {name: value for name, value in item.items() if name not in ("pk", "sk")}
    table.update(Update(item["pk"], item["sk"], set=attributes, condition="attribute_not_exists(pk)"))


def take_shift(
    table: Table, roster: Roster, responder: Responder, schedule_id: str, *, now: datetime, end: datetime | None = None
) -> TakenShift:
    """A responder takes a schedule's shift until `end`; by default until the present shift ends.

    Of two who take it at the same moment one gets it, and the other is told who. Asked again it changes nothing.
    """
    schedule = schedule_named(roster, schedule_id)
    moment = now.astimezone(UTC).replace(microsecond=0)
    present = shift_at(roster, schedule, moment)
    ends = end or min(present.end, moment + LONGEST)
    if all(shift.responder == responder.id for shift in shifts(roster, schedule, moment, ends)):
        return TakenShift(responder.id, ends, present.override.id if present.override else "")
    # Whoever has seen the same shift would write the same id.
    seen = (schedule_id, present.start.isoformat(), present.override.id if present.override else "")
    name = f"{schedule_id}-{present.start.astimezone(UTC):%Y%m%dT%H%M}-{_digest(seen)}"
    override = Override(name, responder.id, schedule_id, moment, ends, created_at=now, created_by=responder.name)
    try:
        put(table, override)
    except ConditionFailedError as refused:
        if refused.item is None:
            raise
        return TakenShift(str(refused.item["responder"]), datetime.fromisoformat(refused.item["end"]), name)
    return TakenShift(responder.id, ends, name, is_new=True, instead=present.responder)


def remove(table: Table, override: Override) -> None:
    """Takes an override back: whoever was on call before it is so from the next read on. Done again it changes nothing."""
    item = override_item(override)
    table.delete(item["pk"], item["sk"])


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]
