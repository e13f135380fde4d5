"""Makes moto's DynamoDB bear a storm of alerts.

Before each transaction moto copies every item of the table, so that it can take back one that fails, and before each
query it sorts every item; with two thousand items that takes longer than everything else together. Here a transaction
copies the items that it names, and a query sorts what it found (moto does that besides); only a scan needs every item in
order, since its next page begins after the last key. In an answer moto looks for each of the ten types of each attribute
by every name that it might have in Python; here by the one that it has. And moto keeps everything that it ever made, for
a reset between unit tests, each copy of an item that was read too; in an hour that is some gigabytes.
"""

import copy
from collections import defaultdict
from typing import Any

from moto.core.common_models import BaseModel
from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

_TYPES = frozenset({"S", "N", "SS", "NS", "M", "L", "BOOL", "NULL"})  # without B and BS, which are changed on their way

_sorted_items = Table.all_items
_scan = Table.scan
_transact = DynamoDBBackend.transact_write_items
_picked = AttributePicker.__call__


class _Copies:
    """Stands for the module `copy` in moto's DynamoDB. Transactions are served one at a time."""

    named: tuple[dict[str, Any], ...] = ()  # the keys that the transaction names, as DynamoDB writes them

    def deepcopy(self, value: Any, memo: dict[int, Any] | None = None) -> Any:
        """A copy; of a table, one that shares the items that the transaction does not name."""
        if not isinstance(value, Table):
            return copy.deepcopy(value, memo)
        kept = copy.copy(value)
        kept.items = defaultdict(dict, value.items)
        for key in self.named:
            hash_key = DynamoType(key[value.hash_key_attr])
            if hash_key not in kept.items:
                continue
            if value.range_key_attr is None:
                kept.items[hash_key] = copy.deepcopy(kept.items[hash_key])
                continue
            kept.items[hash_key] = copy.copy(kept.items[hash_key])
            range_key = DynamoType(key[value.range_key_attr])
            if range_key in kept.items[hash_key]:
                kept.items[hash_key][range_key] = copy.deepcopy(kept.items[hash_key][range_key])
        return kept


_copies = _Copies()


def _transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    writes = [next(iter(item.values())) for item in transact_items]
    _copies.named = tuple(write.get("Key") or write["Item"] for write in writes)
    _transact(self, transact_items)


def _all_items(self: Table) -> list[Any]:
    if self.range_key_attr is None:
        return list(self.items.values())
    return [item for items in self.items.values() for item in items.values()]


def _scan_in_order(self: Table, *args: Any, **kwargs: Any) -> Any:
    self.all_items = lambda: _sorted_items(self)  # type: ignore[method-assign]  # of this table, for this scan
    try:
        return _scan(self, *args, **kwargs)
    finally:
        del self.all_items


def _made_and_not_kept(cls: type[BaseModel], *_: Any, **__: Any) -> Any:
    return super(BaseModel, cls).__new__(cls)


def _pick(self: AttributePicker, context: AttributePickerContext) -> Any:
    if context.key in _TYPES and isinstance(context.obj, dict):
        return context.obj.get(context.key)
    return _picked(self, context)


def bear_storms() -> None:
    """Put these in moto's place."""
    setattr(models, "copy", _copies)  # noqa: B010  # replacing is the purpose; mypy would refuse the assignment
    setattr(DynamoDBBackend, "transact_write_items", _transact_write_items)  # noqa: B010
    setattr(Table, "all_items", _all_items)  # noqa: B010
    setattr(Table, "scan", _scan_in_order)  # noqa: B010
    setattr(BaseModel, "__new__", _made_and_not_kept)  # noqa: B010
    setattr(AttributePicker, "__call__", _pick)  # noqa: B010
