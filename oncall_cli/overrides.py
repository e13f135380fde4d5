"""`oncall override ...` and `oncall take`: someone else is on call for a while."""

import getpass
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from oncall.roster import EVERYONE, Override, Roster
from oncall.roster.attributes import suggestion
from oncall.roster.overrides import LONGEST, replaced, schedules_to_take
from oncall.roster.schedules import responders_on_call, schedule_named, shift_at
from oncall_cli import other_stack, roster_table
from oncall_cli.errors import CommandError
from oncall_cli.output import confirm, note, print_json, print_table, say
from oncall_cli.schedule_commands import read_roster
from oncall_cli.target import Target
from oncall_cli.when import parse_duration, parse_moment, shown


def add(
    target: Target,
    responder: str,
    *,
    start: str,
    end: str | None,
    duration: str | None,
    schedule: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Puts `responder` on call from `start` until `end`, or for `duration`."""
    now = datetime.now(UTC)
    roster = _roster(target, responder, schedule)
    if (end is None) == (duration is None):
        raise CommandError("until when? Give --until TIME or --for LENGTH, one of them")
    begins = parse_moment(start, now).replace(microsecond=0)
    ends = parse_moment(end, begins) if end is not None else begins + parse_duration(duration or "")
    if ends <= max(begins, now):
        raise CommandError(f"it would be over already: it ends {shown(ends)} and begins {shown(begins)}")
    _put(target, roster, responder, schedule, begins, ends, yes=yes, as_json=as_json)


def take(
    target: Target, responder: str, *, duration: str | None, schedule: str | None, yes: bool, as_json: bool
) -> None:
    """Puts `responder` on call from now for `duration`; without one until the present shift ends, as in Slack."""
    now = datetime.now(UTC).replace(microsecond=0)
    roster = _roster(target, responder, schedule)
    if duration is not None:
        ends = now + parse_duration(duration)
    else:
        schedule = schedule or _only_schedule(roster)
        present = shift_at(roster, schedule_named(roster, schedule), now)
        ends = min(present.end, now + LONGEST)
    _put(target, roster, responder, schedule, now, ends, yes=yes, as_json=as_json)


def _only_schedule(roster: Roster) -> str:
    """The schedule whose shift somebody takes who names none."""
    found = schedules_to_take(roster)
    if not found:
        raise CommandError("no policy rings by a schedule: it would change nothing")
    if len(found) > 1:
        names = " or ".join(f"--schedule {name}" for name in found)
        raise CommandError(f"whose shift? Give {names}; or --for LENGTH to be on call in each of them")
    return found[0]


def _roster(target: Target, responder: str, schedule: str | None) -> Roster:
    """The roster, in which there are this responder and this schedule."""
    roster = read_roster(target)
    if responder not in roster.responders:
        raise CommandError(f"there is no responder {responder!r}{suggestion(responder, roster.responders)}")
    if schedule is not None and schedule not in {*roster.schedules, EVERYONE}:
        raise CommandError(f"there is no schedule {schedule!r}{suggestion(schedule, roster.schedules)}")
    return roster


def _put(
    target: Target,
    roster: Roster,
    responder: str,
    schedule: str | None,
    begins: datetime,
    ends: datetime,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Writes an override after it has said whom it replaces."""
    name = f"{responder}-{begins.astimezone(UTC):%Y%m%dT%H%M}-{secrets.token_hex(2)}"
    override = Override(
        name, responder, schedule, begins, ends, created_at=datetime.now(UTC), created_by=getpass.getuser()
    )
    same = _same(roster, override)
    if same:  # asked for twice, it is one
        if as_json:
            print_json(_json(same))
        else:
            say(f"override {same.id} says so already: {responder} is on call until {shown(same.end)}")
        return
    _tell(roster, override)
    confirm(f"Put {responder} on call on {target.name}?", yes=yes)
    roster_table.put_override(target, override)
    if as_json:
        print_json(_json(override))
    else:
        say(f"override {override.id}: {responder} is on call from {shown(begins)} until {shown(ends)}")
        say(f"undo it: oncall override remove {override.id}{target.options}")


def show(target: Target, *, as_json: bool) -> None:
    """Lists the overrides that are not over."""
    roster = read_roster(target)
    now = datetime.now(UTC)
    current = sorted((o for o in roster.overrides.values() if o.end > now), key=lambda o: (o.start, o.id))
    if as_json:
        print_json([_json(override) for override in current])
    elif current:
        rows = [
            (o.id, o.responder, o.schedule or "all", shown(o.start), shown(o.end), o.created_by or "") for o in current
        ]
        print_table(["id", "responder", "schedule", "from", "until", "by"], rows)
    else:
        say("no overrides")


def remove(target: Target, override_id: str, *, yes: bool, as_json: bool) -> None:
    """Ends an override now."""
    roster = read_roster(target)
    override = roster.overrides.get(override_id)
    if override is None:
        raise CommandError(f"there is no override {override_id!r}{suggestion(override_id, roster.overrides)}")
    note(f"- override {override.id}: {override.responder} until {shown(override.end)}")
    confirm(f"Remove it from {target.name}?", yes=yes)
    roster_table.delete_override(target, override_id)
    other_stack.tell(target)
    if as_json:
        print_json(_json(override))
    else:
        say(f"removed {override.id}")


def _same(roster: Roster, override: Override) -> Override | None:
    """An override that says the same already. One that begins now need not begin in the same second."""
    return next(
        (
            one
            for one in roster.overrides.values()
            if (one.responder, one.schedule) == (override.responder, override.schedule)
            and one.start <= override.start
            and abs(one.end - override.end) < timedelta(minutes=1)
        ),
        None,
    )


def _tell(roster: Roster, override: Override) -> None:
    """Says whom it replaces when, before anything is written."""
    found = replaced(roster, override)
    if not found:
        raise CommandError(
            f"no policy rings by {f'schedule {override.schedule}' if override.schedule else 'a schedule'}: "
            "it would change nothing"
        )
    for name, shift in found:
        when = f"schedule {name}, {shown(shift.start)} to {shown(shift.end)}"
        if shift.responder == override.responder:
            note(f"  {when}: {override.responder} is on call already")
        else:
            note(f"~ {when}: {shift.responder or 'nobody'} -> {override.responder}")
    for policy in roster.policies.values():
        before = responders_on_call(roster, policy, override.start)
        after = responders_on_call(
            replace(roster, overrides={**roster.overrides, override.id: override}), policy, override.start
        )
        if len(after) == 1 < len(before):
            advice = "" if override.schedule else ". Name a --schedule"
            note(f"! policy {policy.id} rings {override.responder} alone then: nobody stays behind{advice}")


def _json(override: Override) -> dict[str, object]:
    return {name: getattr(override, name) for name in Override.__slots__}
