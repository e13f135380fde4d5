"""Reads and applies rosters in the table. How a reader never sees half of one: see oncall.roster.

The partition ROSTER#HISTORY holds each version's file, so that any can be shown, compared and applied again, and a counter:
each apply, also one that is interrupted, takes a number of its own, so its items can never be mistaken for another's.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ConnectionError, HTTPClientError  # noqa: A004  botocore's is the one that is raised

from oncall import clock
from oncall.peer import rosters
from oncall.roster import DOWN, META, PARTITION, Override, Roster, overrides, read_items, to_items
from oncall.roster.attributes import Problem
from oncall.table import Table, from_attributes, to_attributes
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.target import Target

HISTORY = "ROSTER#HISTORY"
COUNTER = "COUNTER"
KEEP_SECONDS = 3600  # replaced items stay for readers that have begun; none takes longer than a Lambda's 15 minutes
type Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """A roster as it was applied. `commit` is the file's last git commit, if it was in a repository."""

    number: int
    applied_at: datetime
    applied_by: str
    text: str
    commit: str | None = None
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Current:
    """What is in the table now."""

    items: tuple[Item, ...]
    roster: Roster
    problems: tuple[Problem, ...]


class RosterChangedError(CommandError):
    """Somebody else applied a roster meanwhile; nothing was changed."""


def read(target: Target) -> Current:
    """The roster that counts."""
    with aws_errors(target.name):
        items = tuple(_query(target, PARTITION))
    roster, problems = read_items(items)
    return Current(items, roster, problems)


def history(target: Target) -> list[Version]:
    """All versions, newest first."""
    with aws_errors(target.name):
        items = [item for item in _query(target, HISTORY) if item["sk"] != COUNTER]
    return sorted((_version(item) for item in items), key=lambda version: version.number, reverse=True)


def apply(
    target: Target, current: Current, roster: Roster, *, text: str, by: str, now: datetime, commit: str | None = None
) -> Version:
    """Makes `roster` the one that counts, whole or not at all.

    Raises RosterChangedError if `current` is not what is in the table any more, CommandError for what AWS refuses.
    """
    with aws_errors(target.name):
        before = current.roster.version
        _adopt(target, current, before)
        number = _take_number(target, before)
        version = Version(number, now.astimezone(UTC), by, text, commit, before)
        applied = replace(roster, version=number, applied_at=version.applied_at, overrides={})
        *items, meta = to_items(applied)
        _write(target, [_put(item) for item in items])
        try:
            _commit(target, meta | {"applied_by": by}, version)
        except RosterChangedError:
            _write(target, [_delete(item) for item in items])
            raise
        retire(target, number, now)
    return version


def retire(target: Target, current: int, now: datetime) -> None:
    """Lets the items of earlier versions go: TTL takes them after an hour; those whose hour is over are deleted."""
    requests: list[Any] = []
    for item in _query(target, PARTITION):
        version = item.get("version")
        if item["sk"] == META or version is None or version >= current:
            continue  # a later apply may have begun, or won, meanwhile
        if "expires_at" not in item:
            requests.append(_put(item | {"expires_at": int(now.timestamp()) + KEEP_SECONDS}))
        elif item["expires_at"] <= now.timestamp():
            requests.append(_delete(item))
    _write(target, requests)


def _adopt(target: Target, current: Current, version: int) -> None:
    """Gives what was made by hand the current version: that changes nothing for readers, and the next version replaces it."""
    for item in current.items:
        kind = item["sk"].partition("#")[0]
        if kind in (META, DOWN, "OVERRIDE", rosters.REMOVED) or "version" in item:
            continue
        update = {
            "TableName": target.table,
            "Key": to_attributes({"pk": item["pk"], "sk": item["sk"]}),
            "UpdateExpression": "SET version = :version",
            "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(version)",
            "ExpressionAttributeValues": to_attributes({":version": version}),
        }
        unchanged = {"TableName": target.table, "Key": to_attributes({"pk": PARTITION, "sk": META}), **_still(version)}
        _transact(target, [{"ConditionCheck": unchanged}, {"Update": update}])


def _take_number(target: Target, after: int) -> int:
    """A number that no other apply has had, greater than `after`."""
    while True:
        answer = target.dynamodb.update_item(
            TableName=target.table,
            Key=to_attributes({"pk": HISTORY, "sk": COUNTER}),
            UpdateExpression="SET taken = if_not_exists(taken, :after) + :one",
            ExpressionAttributeValues=to_attributes({":after": after, ":one": 1}),
            ReturnValues="UPDATED_NEW",
        )
        number = int(from_attributes(answer["Attributes"])["taken"])
        if number > after:  # it is not only if somebody changed META by hand
            return number


def _commit(target: Target, meta: Item, version: Version) -> None:
    """The one write that makes a version count. botocore gives it a token: repeated after a lost answer, it is harmless."""
    put_meta = {"TableName": target.table, "Item": to_attributes(meta), **_still(version.replaced)}
    put_version = {"TableName": target.table, "Item": to_attributes(_version_item(version))}
    try:
        _transact(target, [{"Put": put_meta}, {"Put": put_version}])
    except (HTTPClientError, ConnectionError) as error:
        raise CommandError("no answer to the last step: look whether it was applied with oncall roster show") from error


def _still(version: int) -> dict[str, Any]:
    """The condition that this version is the one that counts."""
    if version == 0:
        return {"ConditionExpression": "attribute_not_exists(version)"}
    values = to_attributes({":before": version})
    return {"ConditionExpression": "version = :before", "ExpressionAttributeValues": values}


def _transact(target: Target, actions: list[Any]) -> None:
    try:
        target.dynamodb.transact_write_items(TransactItems=actions)
    except target.dynamodb.exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
            raise RosterChangedError(
                "the roster was changed meanwhile; nothing was applied: look at oncall roster diff, then apply again"
            ) from error
        raise


def _version_item(version: Version) -> Item:
    item = {
        "pk": HISTORY,
        "sk": f"v{version.number:08}",
        "version": version.number,
        "applied_at": version.applied_at.isoformat(),
        "applied_by": version.applied_by,
        "text": version.text,
        "commit": version.commit,
        "replaced": version.replaced,
    }
    return {key: value for key, value in item.items() if value is not None}


def _version(item: Mapping[str, Any]) -> Version:
    return Version(
        number=int(item["version"]),
        applied_at=datetime.fromisoformat(item["applied_at"]),
        applied_by=item["applied_by"],
        text=item["text"],
        commit=item.get("commit"),
        replaced=int(item.get("replaced", 0)),
    )


def _query(target: Target, partition: str) -> Iterable[Item]:
    pages = target.dynamodb.get_paginator("query").paginate(
        TableName=target.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues=to_attributes({":pk": partition}),
        ConsistentRead=True,
    )
    for page in pages:
        for item in page["Items"]:
            yield from_attributes(item)


def _write(target: Target, requests: list[Any]) -> None:
    """Writes in batches of 25, DynamoDB's most, and what it did not take again."""
    left = list(requests)
    pause = 0.05
    while left:
        answer = target.dynamodb.batch_write_item(RequestItems={target.table: left[:25]})
        refused = answer.get("UnprocessedItems", {}).get(target.table, [])
        left = [*refused, *left[25:]]
        if refused:
            time.sleep(pause)
            pause = min(pause * 2, 5)


def _put(item: Item) -> Any:
    return {"PutRequest": {"Item": to_attributes(item)}}


def _delete(item: Item) -> Any:
    return {"DeleteRequest": {"Key": to_attributes({"pk": item["pk"], "sk": item["sk"]})}}


def put_override(target: Target, override: Override) -> None:
    """Writes an override; it counts from the next read on."""
    with aws_errors(target.name):
        overrides.put(Table(target.dynamodb, target.table), override)


def delete_override(target: Target, override_id: str) -> None:
    """Removes an override, and leaves word of that for the other stack."""
    table = Table(target.dynamodb, target.table)
    with aws_errors(target.name):
        override = table.get(PARTITION, f"OVERRIDE#{override_id}")
        if override is None:
            return
        left = rosters.removed_item(override, now=clock.now())
        target.dynamodb.put_item(TableName=target.table, Item=to_attributes(left))
        table.delete(PARTITION, f"OVERRIDE#{override_id}")
