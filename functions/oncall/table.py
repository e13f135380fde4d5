"""The on-call table: reads, and conditional writes that say what stood in their way."""

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]

DUE = "due"  # the value of the sparse index's hash key; a constant, since what is due fits in one partition
INDEX = "due"
CONFLICT_TRIES = 10  # at an item that is in somebody's transaction: about 0.7 s in all

_NAME = re.compile(r"#(\w+)")


class ConditionFailedError(Exception):
    """A conditional write found something else. `item` is what stands there, if anything does."""

    def __init__(self, item: Item | None, index: int = 0) -> None:
        super().__init__("a conditional write found something else")
        self.item = item
        self.index = index  # which write of a transaction


class ConflictError(Exception):
    """Another transaction was writing the same items at the same moment; nothing was written."""


@dataclass(frozen=True, slots=True)
class Update:
    """One item's update. Paths are dotted (`calls.3.status`); conditions name attributes as #attribute."""

    pk: str
    sk: str
    set: Mapping[str, object] = field(default_factory=dict)
    default: Mapping[str, object] = field(default_factory=dict)  # set where there is nothing yet
    add: Mapping[str, AbstractSet[str] | int] = field(default_factory=dict)
    delete: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    remove: Sequence[str] = ()
    condition: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Put:
    """One item, written whole."""

    item: Item
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The on-call table."""

    client: "DynamoDBClient"
    name: str
    sleep: Callable[[float], None] = time.sleep  # seconds

    def get(self, pk: str, sk: str) -> Item | None:
        """The item as it is now, or None."""
        answer = self.client.get_item(TableName=self.name, Key=to_attributes({"pk": pk, "sk": sk}), ConsistentRead=True)
        return from_attributes(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """Up to a hundred items as they are now, in one request. Raises ConflictError if somebody is writing one of them."""
        wanted: Any = [{"Get": {"TableName": self.name, "Key": to_attributes({"pk": pk, "sk": sk})}} for pk, sk in keys]
        try:
            answer = self.client.transact_get_items(TransactItems=wanted)
        except self.client.exceptions.TransactionCanceledException as error:
            if any(reason.get("Code") == "TransactionConflict" for reason in error.response["CancellationReasons"]):
                raise ConflictError from error
            raise
        return [from_attributes(found["Item"]) if found.get("Item") else None for found in answer["Responses"]]

    def get_each(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """Up to a hundred items as they are now: in one request, or in one for each if they cannot be read together.

        They cannot while somebody writes one of them, as in any storm, or if they have over 4 MB (DynamoDB: TransactGetItems).
        """
        if len(keys) > 1:
            with suppress(ConflictError, ClientError):
                return self.get_many(keys)
        return [self.get(pk, sk) for pk, sk in keys]

    def query(self, pk: str, *, after: str = "", prefix: str = "", consistent: bool = True) -> list[Item]:
        """All items of a partition in the order of their sort keys: those after one, or those with a prefix."""
        condition, values = "pk = :pk", {":pk": pk}
        if prefix:
            condition, values = "pk = :pk AND begins_with(sk, :sk)", {":pk": pk, ":sk": prefix}
        elif after:
            condition, values = "pk = :pk AND sk > :sk", {":pk": pk, ":sk": after}
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=to_attributes(values),
            ConsistentRead=consistent,
        )
        return [from_attributes(item) for page in pages for item in page["Items"]]

    def delete(self, pk: str, sk: str) -> None:
        """Deletes an item, if it is there."""
        self.client.delete_item(TableName=self.name, Key=to_attributes({"pk": pk, "sk": sk}))

    def due(self, before: int) -> list[Item]:
        """Keys of what was due before a time (epoch milliseconds), the longest due first. Eventually consistent."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            IndexName=INDEX,
            KeyConditionExpression="due = :due AND due_at < :before",
            ExpressionAttributeValues=to_attributes({":due": DUE, ":before": before}),
        )
        return [from_attributes(item) for page in pages for item in page["Items"]]

    def update(self, update: Update) -> Item:
        """Writes one item and returns it as it is then. Raises ConditionFailedError, ConflictError.

        Idempotent when an answer is lost: botocore then sends the request again, and its condition meets its own write.
        An item that is in somebody's transaction refuses the write (TransactionConflictException, which botocore does not
        retry): it is written as soon as that is over. ConflictError if that takes too long.
        """
        is_resent = False
        for attempt in range(CONFLICT_TRIES):
            try:
                answer = self.client.update_item(
                    TableName=self.name,
                    **_update(update),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
                return from_attributes(answer["Attributes"])
            except ClientError as error:
                is_resent = is_resent or error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
                match error.response["Error"]["Code"]:
                    case "ConditionalCheckFailedException":
                        written: Any = error.response.get("Item")
                        item = from_attributes(written) if written else None
                        if item and is_resent and _is_done(item, update):
                            return item
                        raise ConditionFailedError(item) from error
                    case "TransactionConflictException":
                        self.pause(attempt)
                    case _:
                        raise
        raise ConflictError

    def update_each(self, updates: Sequence[Update]) -> None:
        """Writes up to a hundred items together, or one by one if they cannot be. Those whose condition fails stay."""
        if len(updates) > 1:
            with suppress(ConditionFailedError, ConflictError, ClientError):
                self.transact(updates)
                return
        for one in updates:
            with suppress(ConditionFailedError):
                self.update(one)

    def pause(self, attempt: int) -> None:
        """Lets whoever else writes finish: up to 25 ms, then more, and never in step with them."""
        self.sleep(random.uniform(0.005, 0.025 * (attempt + 1)))  # noqa: S311  # not a secret

    def transact(self, writes: Iterable[Update | Put]) -> None:
        """Writes all or nothing. Raises ConditionFailedError for the first write that was refused, ConflictError."""
        items: list[Any] = []
        for write in writes:
            if isinstance(write, Update):
                items.append({"Update": {"TableName": self.name, **_update(write), **_OLD}})
            else:
                put: dict[str, Any] = {"TableName": self.name, "Item": to_attributes(write.item), **_OLD}
                if write.condition:
                    put["ConditionExpression"] = write.condition
                items.append({"Put": put})
        try:
            self.client.transact_write_items(TransactItems=items)
        except self.client.exceptions.TransactionCanceledException as error:
            reasons: list[Any] = list(error.response.get("CancellationReasons", []))
            for index, reason in enumerate(reasons):
                if reason.get("Code") == "ConditionalCheckFailed":
                    item = reason.get("Item")
                    raise ConditionFailedError(from_attributes(item) if item else None, index) from error
            if any(reason.get("Code") == "TransactionConflict" for reason in reasons):
                raise ConflictError from error
            raise


_OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def _update(update: Update) -> dict[str, Any]:
    """The update as DynamoDB's expressions; every name is a placeholder, since many words are reserved."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {f":{name}": value for name, value in update.values.items()}

    def path(dotted: str) -> str:
        parts = []
        for part in dotted.split("."):
            placeholder = f"#{part}"
            names[placeholder] = part
            parts.append(placeholder)
        return ".".join(parts)

    def value(given: Any) -> str:
        placeholder = f":v{len(values)}"
        values[placeholder] = given
        return placeholder

    parts = {
        "SET": [
            *(f"{path(name)} = {value(new)}" for name, new in update.set.items()),
            *(f"{path(name)} = if_not_exists({path(name)}, {value(new)})" for name, new in update.default.items()),
        ],
        "ADD": [f"{path(name)} {value(new)}" for name, new in update.add.items()],
        "DELETE": [f"{path(name)} {value(new)}" for name, new in update.delete.items()],
        "REMOVE": [path(name) for name in update.remove],
    }
    clauses = [f"{keyword} {', '.join(some)}" for keyword, some in parts.items() if some]
    names |= {f"#{name}": name for name in _NAME.findall(update.condition)}
    request: dict[str, Any] = {
        "Key": to_attributes({"pk": update.pk, "sk": update.sk}),
        "UpdateExpression": " ".join(clauses),
    }
    if update.condition:
        request["ConditionExpression"] = update.condition
    if names:
        request["ExpressionAttributeNames"] = names
    if values:
        request["ExpressionAttributeValues"] = to_attributes(values)
    return request


def _is_done(item: Item, update: Update) -> bool:
    """Whether an item shows all that an update writes."""

    def found(dotted: str) -> Any:
        value: Any = item
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    return (
        all(found(name) == _read(_write(new)) for name, new in update.set.items())
        and all(found(name) is not None for name in update.default)
        and all(found(name) is None for name in update.remove)
        # What was added to a set is in it. Whether a number was added cannot be told.
        and all(isinstance(new, set) and new <= (found(name) or set()) for name, new in update.add.items())
        and all(not new & (found(name) or set()) for name, new in update.delete.items())
    )


def to_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python's values as DynamoDB writes them. Raises TypeError for those that it has no form for: floats, empty sets."""
    return {name: _write(value) for name, value in values.items()}


def from_attributes(item: Mapping[str, Any]) -> Item:
    """What DynamoDB wrote, as Python's values: whole numbers as int, others as Decimal."""
    return {name: _read(value) for name, value in item.items()}


def _write(value: Any) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case bool():  # before int, which it is too
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": {name: _write(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [_write(inner) for inner in value]}
        case set() | frozenset() if value and all(isinstance(inner, str) for inner in value):
            return {"SS": list(value)}
    raise TypeError(f"DynamoDB has no form for this {type(value).__name__}")


def _read(attribute: Mapping[str, Any]) -> Any:
    """One attribute's value. Sets are of texts, as we write them; a person may have written the rest in the console."""
    [(kind, value)] = attribute.items()
    match kind:
        case "N":
            return _number(value)
        case "M":
            return {name: _read(inner) for name, inner in value.items()}
        case "L":
            return [_read(inner) for inner in value]
        case "SS" | "BS":
            return set(value)
        case "NS":
            return {_number(inner) for inner in value}
        case "NULL":
            return None
    return value  # S, BOOL, B


def _number(text: str) -> int | Decimal:
    if text.lstrip("-").isdigit():
        return int(text)
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number
