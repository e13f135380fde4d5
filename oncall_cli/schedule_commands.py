"""`oncall who`, `oncall schedule` and `oncall simulate`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oncall.roster import EVERYONE, Roster
from oncall.roster.attributes import suggestion
from oncall.roster.schedules import Shift, responders_on_call, schedule_named, shifts
from oncall_cli.errors import CommandError
from oncall_cli.output import note, print_json, print_table, say
from oncall_cli.target import Target
from oncall_cli.when import from_local, local, parse_moment, shown

RING_SECONDS = 25  # template.yaml's default, where there is a table and no stack


def show_who(target: Target, product: str, at: str, *, as_json: bool) -> None:
    """Prints the order of calls; exits with 1 if nobody would be rung."""
    now = datetime.now(UTC)
    moment = parse_moment(at, now)
    roster = read_roster(target)
    if moment < now - timedelta(minutes=1):
        note(
            f"{shown(moment)} is over: this is what the roster of now says of it; oncall roster history has the old ones"
        )
    if not product and not as_json and len(roster.policies) > 1:
        _show_policies(roster, moment)
        return
    policy = roster.policy_for(product)
    found = responders_on_call(roster, policy, moment)
    calls = roster.product(product).call
    if product and product not in roster.products:
        note(
            f"the roster has no product {product!r}, so the policy {policy.id} counts{suggestion(product, roster.products)}"
        )
    if as_json:
        order = [
            {"id": o.responder.id, "name": o.responder.name, "phone": o.responder.phone, "reason": o.reason}
            | {"after_minutes": o.after_minutes}
            for o in found
        ]
        print_json({"product": product, "policy": policy.id, "at": moment, "call": calls, "order": order})
    else:
        say(f"{product or 'products that are not in the roster'}, policy {policy.id}, {shown(moment)}")
        if not calls:
            say(f"{product} is for Slack only: no phone rings. If it had calls:")
        rows = [
            (str(n), o.responder.name, o.responder.phone, o.reason + _after(o.after_minutes))
            for n, o in enumerate(found, 1)
        ]
        print_table(["", "name", "phone", "why"], rows)
    if not found:
        raise CommandError("nobody would be rung: add the step everyone to the policy, or a layer to the schedule")


def _show_policies(roster: Roster, moment: datetime) -> None:
    """Whom each policy would ring, and for which products; exits with 1 if one would ring nobody."""
    idle = []
    for policy in roster.policies.values():
        products = [
            name
            for name, product in roster.products.items()
            if roster.policy_for(name).id == policy.id and product.call
        ]
        default = roster.policy_for("").id == policy.id
        say(f"policy {policy.id}, {shown(moment)}")
        say(f"for {', '.join([*products, *(['every other product'] if default else [])]) or 'no product'}")
        found = responders_on_call(roster, policy, moment)
        rows = [
            (str(n), o.responder.name, o.responder.phone, o.reason + _after(o.after_minutes))
            for n, o in enumerate(found, 1)
        ]
        print_table(["", "name", "phone", "why"], rows)
        if not found:
            idle.append(policy.id)
        say("")
    if idle:
        raise CommandError(
            f"nobody would be rung by {', '.join(idle)}: add the step everyone to the policy, or a layer to the schedule"
        )


def _after(minutes: int) -> str:
    return f", after {minutes} minutes" if minutes else ""


def read_roster(target: Target) -> Roster:
    """The roster that counts; what is wrong with it is told."""
    from oncall_cli import roster_table

    current = roster_table.read(target)
    for problem in current.problems:
        note(f"{target.name}: {problem}")
    if not current.roster.responders:
        raise CommandError(f"{target.name} has no roster yet: oncall roster apply FILE")
    return current.roster


def show_schedule(target: Target, name: str | None, weeks: int, ical: Path | None, *, as_json: bool) -> None:
    """Prints who is on call in the coming weeks, or writes it as an iCalendar file."""
    from oncall.roster.ical import calendar

    now = datetime.now(UTC)
    roster = read_roster(target)
    if name is not None and name not in {*roster.schedules, EVERYONE}:
        raise CommandError(f"there is no schedule {name!r}{suggestion(name, roster.schedules)}")
    names = [name] if name else list(roster.schedules) or [EVERYONE]
    today = local(now).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    monday = today - timedelta(days=today.weekday())
    first, last = from_local(monday), from_local(monday + timedelta(weeks=weeks))
    found = [(key, shift) for key in names for shift in shifts(roster, schedule_named(roster, key), first, last)]
    if ical:
        ical.write_text(calendar(roster, found, now), encoding="utf-8", newline="")
        note(f"wrote {ical}")
    if as_json:
        print_json([{"schedule": key, **_shift_json(shift)} for key, shift in found])
    elif not ical:
        for key in names:
            print_calendar(key, [shift for schedule, shift in found if schedule == key], monday, weeks)


def _shift_json(shift: Shift) -> dict[str, Any]:
    why = {"layer": shift.layer or None, "override": shift.override.id if shift.override else None}
    return {"start": shift.start, "end": shift.end, "responder": shift.responder, **why}


def print_calendar(schedule: str, found: list[Shift], day: datetime, weeks: int) -> None:
    """A row for each week from `day` (local) on and a column for each day, in the zone of the one who reads it."""
    rows = []
    for _ in range(weeks):
        row = []
        for _ in range(7):
            begin, end = from_local(day), from_local(day + timedelta(days=1))
            pieces = [shift for shift in found if shift.start < end and shift.end > begin]
            lines = [
                (f"{local(shift.start):%H:%M} " if shift.start > begin else "")
                + (shift.responder or "nobody")
                + (" *" if shift.override else "")
                for shift in pieces
            ]
            row.append("\n".join([f"{day:%d %b}", *lines, ""]))
            day += timedelta(days=1)
        rows.append(row)
    print_table(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], rows, title=f"{schedule} (* override)")


def show_simulation(target: Target, product: str, at: str, silent: str, ring: int | None, *, as_json: bool) -> None:
    """Prints the calls of a page that would begin at a moment."""
    from oncall_cli.simulation import simulate

    moment = parse_moment(at, datetime.now(UTC))
    roster = read_roster(target)
    names = {name.strip() for name in silent.split(",") if name.strip()}
    for name in names - {*roster.responders, "all"}:
        raise CommandError(f"there is no responder {name!r}{suggestion(name, [*roster.responders, 'all'])}")
    silenced = roster.responders.keys() if "all" in names else names
    policy = roster.policy_for(product)
    if ring is None:
        ring = int(target.stack().parameters["RingSeconds"]) if target.stack_name else RING_SECONDS
    events = (
        simulate(roster, policy, moment, silent=silenced, ring_default=ring) if roster.product(product).call else []
    )
    if as_json:
        calls = [
            {
                "at": e.at,
                "second": e.second,
                "responder": e.responder.id if e.responder else None,
                "round": e.round or None,
            }
            | {"what": e.what, "reason": e.reason or None}
            for e in events
        ]
        print_json({"product": product, "policy": policy.id, "at": moment, "events": calls})
        return
    say(f"{product or 'products that are not in the roster'}, policy {policy.id}, {shown(moment)}")
    if not events:
        say("for Slack only: no phone rings")
        return
    rows = [
        (
            f"{local(e.at):%H:%M:%S}",
            f"+{e.second} s",
            f"round {e.round}" if e.round else "",
            e.responder.name if e.responder else "",
            e.what,
            e.reason,
        )
        for e in events
    ]
    print_table(["time", "after", "", "rings", "", "why"], rows)
    note("Twilio may let each phone ring for up to five seconds longer")
