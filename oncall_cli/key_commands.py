"""`oncall key ...`: keys of those that send events and heartbeats. Each opens what it was made for, and can be revoked."""

import getpass
import secrets
from datetime import UTC, datetime

import typer

from oncall import events
from oncall.alerts import keys
from oncall.alerts.keys import Key
from oncall.roster.attributes import suggestion
from oncall.table import Item, Table, to_attributes
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import confirm, note, print_json, print_table
from oncall_cli.schedule_commands import read_roster
from oncall_cli.target import Target
from oncall_cli.when import shown


def add(target: Target, name: str, *, product: str, source: str, heartbeat: str, as_json: bool) -> None:
    """Makes a key. It is shown this once."""
    known = read_roster(target)
    if heartbeat and (product or source):
        raise CommandError("a heartbeat's key has neither product nor source: its product stands in the roster")
    if heartbeat and heartbeat not in known.heartbeats:
        raise CommandError(
            f"there is no heartbeat {heartbeat!r} in the roster{suggestion(heartbeat, known.heartbeats)}: "
            "apply a roster that has it first"
        )
    sources = {*events.BUILT_IN, "pagerduty", *known.sources}
    if source and source not in sources:
        raise CommandError(f"there is no source {source!r}{suggestion(source, sorted(sources))}")
    if any(item["name"] == name for item in _all(target)):
        raise CommandError(f"there is a key {name!r} already: revoke it first, or choose another name")
    if product and product not in known.products:
        note(f"The roster does not list the product {product}: its alerts go by the default policy.")
    gateway = target.stack().gateway
    key = secrets.token_hex(16)  # 32 characters, as PagerDuty's: senders check that
    meant = Key(name, product, source, heartbeat)
    note(f"+ key {name}: {_purpose(meant)}")
    item = keys.item(key, meant, created_at=datetime.now(UTC), created_by=getpass.getuser())
    with aws_errors(target.name):
        target.dynamodb.put_item(TableName=target.table, Item=to_attributes(item))
    addresses = _addresses(gateway, key, meant)
    if as_json:
        print_json(
            {
                "name": name,
                "key": key,
                "product": product or None,
                "source": source or None,
                "heartbeat": heartbeat or None,
                "addresses": addresses,
            }
        )
        return
    typer.echo(key)
    for use, address in addresses.items():
        typer.echo(f"{use}: {address}")
    note(
        "The key is not shown again; oncall key revoke ends it. Whoever has it can send such events, and nothing else."
    )


def show(target: Target, *, as_json: bool) -> None:
    """Lists the keys, without themselves."""
    found = sorted(_all(target), key=lambda item: str(item["name"]))
    if as_json:
        names = ("name", "product", "source", "heartbeat", "created_at", "created_by")
        print_json([{name: item[name] or None for name in names} for item in found])
    elif found:
        rows = [
            (
                item["name"],
                _purpose(keys.from_item(item)),
                shown(datetime.fromisoformat(item["created_at"])),
                item["created_by"],
            )
            for item in found
        ]
        print_table(["name", "opens", "created", "by"], rows)
    else:
        typer.echo("no keys")


def revoke(target: Target, name: str, *, yes: bool, as_json: bool) -> None:
    """Ends a key at once."""
    found = {str(item["name"]): item for item in _all(target)}
    if name not in found:
        raise CommandError(f"there is no key {name!r}{suggestion(name, found)}")
    note(f"- key {name}: whoever has it is refused")
    confirm("Revoke it?", yes=yes)
    with aws_errors(target.name):
        key = to_attributes({"pk": keys.PARTITION, "sk": found[name]["sk"]})
        target.dynamodb.delete_item(TableName=target.table, Key=key)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        typer.echo(f"revoked {name}")


def _purpose(key: Key) -> str:
    if key.heartbeat:
        return f"the heartbeat {key.heartbeat}"
    return f"events of {key.source or 'any source'}{f' for {key.product}' if key.product else ''}"


def _addresses(gateway: str, key: str, meant: Key) -> dict[str, str]:
    """Where it is used; PagerDuty's protocol has it in the body, as routing_key."""
    if meant.heartbeat:
        return {"heartbeat": f"{gateway}/heartbeats/{key}"}
    enqueue = {"pagerduty": f"{gateway}/v2/enqueue"}
    if meant.source == "pagerduty":
        return enqueue
    if meant.source:
        return {meant.source: f"{gateway}/events/{meant.source}/{key}"}
    return {**enqueue, "events": f"{gateway}/events/generic/{key}"}


def _all(target: Target) -> list[Item]:
    with aws_errors(target.name):
        return Table(target.dynamodb, target.table).query(keys.PARTITION)
