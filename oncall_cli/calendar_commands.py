"""`oncall calendar ...`: addresses that calendar programs subscribe to, each with a token that can be revoked."""

import getpass
import secrets
from datetime import UTC, datetime

from oncall.roster import calendars
from oncall.roster.attributes import suggestion
from oncall.table import Item, Table, to_attributes
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import confirm, note, print_json, print_table, say
from oncall_cli.schedule_commands import read_roster
from oncall_cli.target import Target
from oncall_cli.when import shown


def add(target: Target, name: str, *, responder: str | None, as_json: bool) -> None:
    """Makes an address. It is shown this once."""
    if responder is not None and responder not in (known := read_roster(target).responders):
        raise CommandError(f"there is no responder {responder!r}{suggestion(responder, known)}")
    if any(item["name"] == name for item in _all(target)):
        raise CommandError(f"there is a calendar {name!r} already: revoke it first, or choose another name")
    gateway = target.stack().gateway
    token = secrets.token_urlsafe(24)
    note(
        f"+ calendar {name}: {f'the shifts of {responder}' if responder else 'all schedules'}, for whoever has its address"
    )
    item = calendars.item(token, name, responder=responder, created_at=datetime.now(UTC), created_by=getpass.getuser())
    with aws_errors(target.name):
        target.dynamodb.put_item(TableName=target.table, Item=to_attributes(item))
    address = calendars.address(gateway, token)
    if as_json:
        print_json({"name": name, "address": address, "responder": responder})
    else:
        say(address)
        note("Subscribe to this address in your calendar. It is not shown again; oncall calendar revoke ends it.")


def show(target: Target, *, as_json: bool) -> None:
    """Lists the addresses, without their tokens."""
    found = sorted(_all(target), key=lambda item: str(item["name"]))
    if as_json:
        names = ("name", "responder", "created_at", "created_by")
        print_json([{name: item[name] or None for name in names} for item in found])
    elif found:
        rows = [
            (
                item["name"],
                item["responder"] or "all",
                shown(datetime.fromisoformat(item["created_at"])),
                item["created_by"],
            )
            for item in found
        ]
        print_table(["name", "shifts of", "created", "by"], rows)
    else:
        say("no calendars")


def revoke(target: Target, name: str, *, yes: bool, as_json: bool) -> None:
    """Ends an address at once."""
    found = {str(item["name"]): item for item in _all(target)}
    if name not in found:
        raise CommandError(f"there is no calendar {name!r}{suggestion(name, found)}")
    note(f"- calendar {name}: its address stops working")
    confirm("Revoke it?", yes=yes)
    with aws_errors(target.name):
        key = to_attributes({"pk": calendars.PARTITION, "sk": found[name]["sk"]})
        target.dynamodb.delete_item(TableName=target.table, Key=key)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        say(f"revoked {name}")


def _all(target: Target) -> list[Item]:
    with aws_errors(target.name):
        return Table(target.dynamodb, target.table).query(calendars.PARTITION)
