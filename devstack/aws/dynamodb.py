"""Makes moto's DynamoDB bear a storm of alerts, and refuse what DynamoDB does.

For each write of a transaction moto copies every item of the table, so that it can take back one that fails, and before each
query it sorts every item; with two thousand items that takes longer than everything else together. Here a transaction
copies the items that it names, and a query sorts what it found (moto does that besides); only a scan needs every item in
order, since its next page begins after the last key. A copy is made without asking of each value whether it was copied
before, as `dynamodb_values` has it. An expression is taken apart once in a process's life, and an update carried out as
`dynamodb_updates` has it. And moto keeps everything that it ever made, for a reset between unit tests, each copy of an item
that was read too; in an hour that is some gigabytes.
"""

import copy
import json
from collections import defaultdict
from functools import cache, lru_cache
from typing import Any

from moto.core import responses, utils
from moto.core.common_models import BaseModel
from moto.dynamodb import models
from moto.dynamodb.comparisons import AttributeValue, ConditionExpressionParser
from moto.dynamodb.exceptions import MultipleTransactionsException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import Node  # type: ignore[attr-defined]  # moto checks neither
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]
from moto.dynamodb.responses import DynamoHandler

from devstack.aws import dynamodb_updates, dynamodb_values

_sorted_items = Table.all_items
_scan = Table.scan
_transact = DynamoDBBackend.transact_write_items
_get_together = DynamoHandler.transact_get_items
_parse = UpdateExpressionParser.make
_parse_condition = ConditionExpressionParser.parse
_make_operand = ConditionExpressionParser._make_operand  # noqa: SLF001 - to be replaced


class _Copies:
    """Stands for the module `copy` in moto's DynamoDB. Transactions are served one at a time."""

    def __init__(self) -> None:
        self._named: list[dict[str, Any]] = []
        self._made: dict[int, Table] = {}

    def begin(self, named: list[dict[str, Any]]) -> None:
        """A transaction that names these keys, as DynamoDB writes them."""
        self._named, self._made = named, {}

    def deepcopy(self, value: Any, memo: dict[int, Any] | None = None) -> Any:
        """A copy. A table is copied once for a transaction, though moto asks for it at each write."""
        if not isinstance(value, Table) or not self._named:
            return copy.deepcopy(value, memo)
        if id(value) not in self._made:
            self._made[id(value)] = self._copied_table(value)
        return self._made[id(value)]

    def _copied_table(self, value: Table) -> Table:
        """One that shares the items that the transaction does not name."""
        kept = copy.copy(value)
        kept.items = defaultdict(dict, value.items)
        for key in self._named:
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
    _copies.begin([write.get("Key") or write["Item"] for write in writes])
    try:
        _transact(self, transact_items)
    finally:
        _copies.begin([])


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


@lru_cache(maxsize=1000)
def _parsed_once(expression: str) -> Node:
    """Nobody changes it: a validator copies what it validates."""
    return _parse(expression)


class _Tree(ConditionExpressionParser):
    """What a condition says, whatever its values are."""

    def _make_op_condition(self, node: Any) -> Any:
        return node


@lru_cache(maxsize=1000)
def _tree(expression: str, names: tuple[tuple[str, str], ...], values: tuple[str, ...]) -> tuple[Any, _Tree]:
    parser = _Tree(expression, dict(names), {name: {} for name in values})
    return _parse_condition(parser), parser


def _parse_condition_once(self: ConditionExpressionParser) -> Any:
    if not self.condition_expression:
        return _parse_condition(self)
    names, values = self.expression_attribute_names or {}, self.expression_attribute_values or {}
    tree, parser = _tree(self.condition_expression, tuple(names.items()), tuple(values))
    self.expr_attr_names_found = list(parser.expr_attr_names_found)
    self.expr_attr_values_found = list(parser.expr_attr_values_found)
    return self._make_op_condition(tree)


def _operand(self: ConditionExpressionParser, node: Any) -> Any:
    if node.kind == self.Kind.EXPRESSION_ATTRIBUTE_VALUE:
        return AttributeValue((self.expression_attribute_values or {})[node.text])
    return _make_operand(self, node)


def bear_storms() -> None:
    """Put these in moto's place, before it has a table: they have other hashes."""
    setattr(models, "copy", _copies)  # noqa: B010  # replacing is the purpose; mypy would refuse the assignment
    setattr(DynamoDBBackend, "transact_write_items", _transact_write_items)  # noqa: B010
    setattr(DynamoHandler, "transact_get_items", _transact_get_items)  # noqa: B010
    setattr(Table, "all_items", _all_items)  # noqa: B010
    setattr(Table, "scan", _scan_in_order)  # noqa: B010
    setattr(BaseModel, "__new__", _made_and_not_kept)  # noqa: B010
    setattr(UpdateExpressionParser, "make", _parsed_once)  # noqa: B010
    setattr(ConditionExpressionParser, "_make_operand", _operand)  # noqa: B010
    setattr(ConditionExpressionParser, "parse", _parse_condition_once)  # noqa: B010
    dynamodb_updates.be_quick()
    dynamodb_values.be_quick()
    setattr(responses, "method_names_from_class", cache(utils.method_names_from_class))  # noqa: B010
