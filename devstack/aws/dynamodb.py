"""Makes moto's DynamoDB bear a storm of alerts, and refuse what DynamoDB does.

Before each transaction moto copies every item of the table, so that it can take back one that fails, and before each
query it sorts every item; with two thousand items that takes longer than everything else together. Here a transaction
copies the items that it names, and a query sorts what it found (moto does that besides); only a scan needs every item in
order, since its next page begins after the last key. A copy is made without asking of each value whether it was copied
before. In an answer moto looks for each of the ten types of each attribute by every name that it might have in Python; here
an attribute, which is written as DynamoDB writes it already, is passed on. An expression is taken apart once in a process's
life, and an update carried out as `dynamodb_updates` has it. And moto keeps everything that it ever made, for a reset between
unit tests, each copy of an item that was read too; in an hour that is some gigabytes.
"""

import copy
import json
from collections import defaultdict, deque
from functools import cache, lru_cache
from typing import Any

from moto.core import responses, utils
from moto.core.common_models import BaseModel
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.exceptions import MultipleTransactionsException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import Node  # type: ignore[attr-defined]  # moto checks neither
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]
from moto.dynamodb.responses import DynamoHandler

from devstack.aws import dynamodb_updates

_sorted_items = Table.all_items
_scan = Table.scan
_transact = DynamoDBBackend.transact_write_items
_get_together = DynamoHandler.transact_get_items
_structure = BaseJSONSerializer._serialize_type_structure  # noqa: SLF001 - to be replaced, here and below
_parse = UpdateExpressionParser.make
_parse_condition = ConditionExpressionParser.parse
_lex = ConditionExpressionParser._lex_condition_expression  # noqa: SLF001


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


def _copied_value(self: DynamoType, memo: dict[int, Any]) -> DynamoType:
    made = object.__new__(DynamoType)
    made.type, value = self.type, self.value
    match self.type:
        case "M":
            made.value = {name: _copied_value(inner, memo) for name, inner in value.items()}
        case "L":
            made.value = [_copied_value(inner, memo) for inner in value]
        case "SS" | "NS" | "BS":
            made.value = list(value)
        case _:
            made.value = value
    return made


def _copied_item(self: Item, memo: dict[int, Any]) -> Item:
    made = object.__new__(Item)
    made.hash_key, made.range_key = self.hash_key, self.range_key  # nobody changes a key
    made.attrs = LimitedSizeDict.__new__(LimitedSizeDict)
    values = {name: _copied_value(value, memo) for name, value in self.attrs.items()}
    dict.update(made.attrs, values)  # past its check of the size
    return made


def _transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    writes = [next(iter(item.values())) for item in transact_items]
    _copies.named = tuple(write.get("Key") or write["Item"] for write in writes)
    _transact(self, transact_items)


def _transact_get_items(self: DynamoHandler) -> Any:
    """As DynamoDB, refuses to read an item twice."""
    reads = [json.dumps(item["Get"], sort_keys=True) for item in self.body["TransactItems"]]
    if len(set(reads)) < len(reads):
        raise MultipleTransactionsException
    return _get_together(self)


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


def _is_written(value: Any) -> bool:
    """Whether an attribute's value is as it goes over the wire. B and BS, which are changed on their way, are not."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(kind, content)] = value.items()
    if kind == "M":
        return all(map(_is_written, content.values()))
    if kind == "L":
        return all(map(_is_written, content))
    if kind in {"SS", "NS"}:
        return all(isinstance(each, str) for each in content)
    return isinstance(content, str) if kind in {"S", "N"} else kind in {"BOOL", "NULL"} and isinstance(content, bool)


def _serialize_structure(
    self: BaseJSONSerializer, serialized: dict[str, Any], value: Any, shape: Any, key: str
) -> None:
    if shape.name == "AttributeValue" and _is_written(value):
        self._default_serialize(serialized, value, shape, key)
    else:
        _structure(self, serialized, value, shape, key)


@lru_cache(maxsize=1000)
def _parsed_once(expression: str) -> Node:
    """Nobody changes it: a validator copies what it validates."""
    return _parse(expression)


@lru_cache(maxsize=1000)
def _lexed(expression: str) -> tuple[Any, ...]:
    return tuple(_lex(ConditionExpressionParser(expression, None, None)))


def _lex_once(self: ConditionExpressionParser) -> deque[Any]:
    return deque(_lexed(self.condition_expression or ""))


class _Conditions:
    """The condition that was parsed last. Each is parsed for what it uses first, and then to be tried."""

    latest: tuple[Any, ...] = (None, None, None)


def _parse_condition_once(self: ConditionExpressionParser) -> Any:
    expression, names, values, *parsed = _Conditions.latest
    if (
        parsed
        and expression == self.condition_expression
        and names is self.expression_attribute_names
        and values is self.expression_attribute_values
    ):
        operation, self.expr_attr_names_found, self.expr_attr_values_found = parsed
        return operation
    operation = _parse_condition(self)
    asked = (self.condition_expression, self.expression_attribute_names, self.expression_attribute_values)
    _Conditions.latest = (*asked, operation, self.expr_attr_names_found, self.expr_attr_values_found)
    return operation


def bear_storms() -> None:
    """Put these in moto's place."""
    setattr(models, "copy", _copies)  # noqa: B010  # replacing is the purpose; mypy would refuse the assignment
    setattr(DynamoType, "__deepcopy__", _copied_value)  # noqa: B010
    setattr(Item, "__deepcopy__", _copied_item)  # noqa: B010
    setattr(DynamoDBBackend, "transact_write_items", _transact_write_items)  # noqa: B010
    setattr(DynamoHandler, "transact_get_items", _transact_get_items)  # noqa: B010
    setattr(Table, "all_items", _all_items)  # noqa: B010
    setattr(Table, "scan", _scan_in_order)  # noqa: B010
    setattr(BaseModel, "__new__", _made_and_not_kept)  # noqa: B010
    setattr(BaseJSONSerializer, "_serialize_type_structure", _serialize_structure)  # noqa: B010
    setattr(UpdateExpressionParser, "make", _parsed_once)  # noqa: B010
    setattr(ConditionExpressionParser, "_lex_condition_expression", _lex_once)  # noqa: B010
    setattr(ConditionExpressionParser, "parse", _parse_condition_once)  # noqa: B010
    dynamodb_updates.be_quick()
    setattr(responses, "method_names_from_class", cache(utils.method_names_from_class))  # noqa: B010
