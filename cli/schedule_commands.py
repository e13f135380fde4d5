"""`oncall who` and the calendar."""

from datetime import UTC, datetime

import typer

from cli.errors import CommandError
from cli.output import note, print_json, print_table
from cli.target import Target
from cli.when import parse_moment, shown
from oncall.roster import Roster
from oncall.schedules import responders_on_call


def show_who(target: Target, product: str, at: str, *, as_json: bool) -> None:
    """Prints the order of calls; exits with 1 if nobody would be rung."""
    moment = parse_moment(at, datetime.now(UTC))
    roster = read_roster(target)
    policy = roster.policy_for(product)
    found = responders_on_call(roster, policy, moment)
    calls = roster.product(product).call
    if as_json:
        order = [
            {"id": o.responder.id, "name": o.responder.name, "phone": o.responder.phone, "reason": o.reason}
            for o in found
        ]
        print_json({"product": product, "policy": policy.id, "at": moment, "call": calls, "order": order})
    else:
        typer.echo(f"{product or 'products that are not in the roster'}, policy {policy.id}, {shown(moment)}")
        if not calls:
            typer.echo(f"{product} is for Slack only: no phone rings. If it had calls:")
        rows = [(str(n), o.responder.name, o.responder.phone, o.reason) for n, o in enumerate(found, 1)]
        print_table(["", "name", "phone", "why"], rows)
    if not found:
        raise CommandError("nobody would be rung: add the step everyone to the policy, or a layer to the schedule")


def read_roster(target: Target) -> Roster:
    """The roster that counts; what is wrong with it is told."""
    from cli import roster_table

    current = roster_table.read(target)
    for problem in current.problems:
        note(f"{target.name}: {problem}")
    if not current.roster.responders:
        raise CommandError(f"{target.name} has no roster yet: oncall roster apply FILE")
    return current.roster
