"""Carries out the updates that the on-call table has, in place of moto's general way, which takes several times as long.

moto copies an update's parsed expression and walks through the copy for each of ten checks; each attribute that it sets adds up
the size of the whole item. The clauses of this table's updates are plain: a path of names, and a value that comes with the
request. They are checked and carried out in two steps here. Whatever is not plain, or would be refused, is left to moto: it
knows what DynamoDB says then.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords
from moto.dynamodb.parsing.validators import UpdateExpressionValidator

ast: Any = importlib.import_module("moto.dynamodb.parsing.ast_nodes")  # its file forbids that its types are looked at

_ROOM = 400_000  # bytes: moto refuses an item that has a little more
_ACTIONS = {
    ast.UpdateExpressionSetAction: "SET",
    ast.UpdateExpressionRemoveAction: "REMOVE",
    ast.UpdateExpressionAddAction: "ADD",
    ast.UpdateExpressionDeleteAction: "DELETE",
}
_CLAUSES = (
    ast.UpdateExpressionSetClause,
    ast.UpdateExpressionRemoveClause,
    ast.UpdateExpressionAddClause,
    ast.UpdateExpressionDeleteClause,
)


@dataclass(frozen=True, slots=True)
class _Clause:
    """One action of an expression: what it does, to which path, with which of the request's values."""

    action: str  # SET, REMOVE, ADD, DELETE, or DEFAULT: SET where there is nothing
    path: tuple[str, ...]  # names, or placeholders for them
    value: str


def _clauses(expression: Any) -> tuple[_Clause, ...] | None:
    """The expression's actions, taken apart once; None if one of them is not plain."""
    if not hasattr(expression, "plain_clauses"):
        expression.plain_clauses = _taken_apart(expression)
    found: tuple[_Clause, ...] | None = expression.plain_clauses
    return found


def _taken_apart(expression: Any) -> tuple[_Clause, ...] | None:
    if any(len(expression.find_clauses([kind])) > 1 for kind in _CLAUSES):
        return None
    clauses = []
    for action in expression.find_clauses(list(_ACTIONS)):
        path, *values = action.children
        names = [part for part in path.children if not isinstance(part, ast.ExpressionPathDescender)]
        kind, value = _ACTIONS[type(action)], _alone(values[0]) if values else None
        if isinstance(value, ast.UpdateExpressionFunction) and _is_default(value, path):
            kind, value = "DEFAULT", _alone(value.get_nth_argument(2))
        if not all(map(_is_plain, names)) or not isinstance(value, ast.ExpressionAttributeValue | None):
            return None
        clauses.append(_Clause(kind, tuple(name.children[0] for name in names), value.children[0] if value else ""))
    return tuple(clauses)


def _alone(value: Any) -> Any:
    return value.children[0] if isinstance(value, ast.UpdateExpressionValue) and len(value.children) == 1 else value


def _is_default(function: Any, path: Any) -> bool:
    """Whether it is `path = if_not_exists(path, :value)`."""
    given = function.get_nth_argument(1)
    is_same = isinstance(given, ast.UpdateExpressionPath) and given.to_str() == path.to_str()
    return is_same and function.get_function_name() == "if_not_exists"


def _is_plain(part: Any) -> bool:
    """Whether it is a placeholder, or a name that needs none."""
    if isinstance(part, ast.ExpressionAttributeName):
        return True
    is_name = isinstance(part, ast.ExpressionAttribute)
    return is_name and part.children[0].upper() not in ReservedKeywords.get_reserved_keywords()


class _Plan:
    """What an update does to an item. Stands for moto's validated expression and for what carries it out."""

    def __init__(self, steps: list[Callable[[], object]]):
        self._steps = steps

    def normalize(self) -> None:
        """moto brings its actions in order; no two of these touch the same."""

    def execute(self) -> None:
        """Changes the item."""
        for step in self._steps:
            step()


def _planned(
    clauses: tuple[_Clause, ...], names: Mapping[str, str], values: Mapping[str, Any], item: Item, table: Table
) -> _Plan | None:
    """None if anything is not as it should be."""
    steps: list[Callable[[], object]] = []
    touched: set[tuple[str, ...]] = set()
    size = item.size()
    for clause in clauses:
        if any(part.startswith("#") and part not in names for part in clause.path):
            return None
        path = tuple(names[part] if part.startswith("#") else part for part in clause.path)
        if path[0] in table.table_key_attrs or any(path[:length] in touched for length in range(1, len(path) + 1)):
            return None
        touched.add(path)
        holder = _holder(item, path)
        if holder is None or (clause.value and clause.value not in values):
            return None
        value = DynamoType(values[clause.value]) if clause.value else None
        step = _step(clause.action, holder, path[-1], value)
        if step is None or (len(path) == 1 and value and not _may_be_key(path[0], value, table)):
            return None
        size += len(path[-1].encode()) + (value.size() if value else 0)
        steps.append(step)
    if size > _ROOM or any(path[:length] in touched for path in touched for length in range(1, len(path))):
        return None
    return _Plan(steps)


def _holder(item: Item, path: tuple[str, ...]) -> dict[str, Any] | None:
    """The map that has the path's last name."""
    holder: dict[str, Any] = item.attrs
    for name in path[:-1]:
        inner = holder.get(name)
        if inner is None or not inner.is_map():
            return None
        holder = inner.value
    return holder


def _may_be_key(name: str, value: DynamoType, table: Table) -> bool:
    """An index' key has a type, and is not empty."""
    kinds = [attribute["AttributeType"] for attribute in table.attr if attribute["AttributeName"] == name]
    return not kinds or (kinds == [value.type] and bool(value.value))


def _step(action: str, holder: dict[str, Any], name: str, value: DynamoType | None) -> Callable[[], object] | None:
    """One change, or None if DynamoDB refuses it or moto has to look."""
    there = holder.get(name)
    match action:
        case "REMOVE":
            return lambda: holder.pop(name, None)
        case "SET":
            # Past the check of the size by each attribute: it is made once.
            return lambda: dict.__setitem__(holder, name, value)
        case "DEFAULT":
            return lambda: there is not None or dict.__setitem__(holder, name, value)
        case "ADD" if value and value.is_number() and (there is None or there.is_number()):
            return lambda: dict.__setitem__(holder, name, there + value if there else value)
        case "ADD" if value and value.is_set() and value.value and (there is None or there.type == value.type):
            return lambda: dict.__setitem__(holder, name, _united(there, value) if there else value)
        case "DELETE" if value and value.is_set() and (there is None or there.type == value.type):
            return lambda: _take_out(holder, name, value)
    return None


def _united(there: DynamoType, more: DynamoType) -> DynamoType:
    return DynamoType({there.type: [*there.value, *(one for one in more.value if one not in there.value)]})


def _take_out(holder: dict[str, Any], name: str, less: DynamoType) -> None:
    """A set that has nothing left goes, too."""
    if name in holder:
        holder[name].value = [one for one in holder[name].value if one not in less.value]
        if not holder[name].value:
            del holder[name]


class _Validator:
    """In place of moto's UpdateExpressionValidator."""

    def __init__(self, expression: Any, **given: Any):
        self._expression, self._given = expression, given

    def validate(self) -> Any:
        given = self._given
        plan = None
        if clauses := _clauses(self._expression):
            names, values = given["expression_attribute_names"] or {}, given["expression_attribute_values"] or {}
            plan = _planned(clauses, names, values, given["item"], given["table"])
        return plan or UpdateExpressionValidator(self._expression, **given).validate()


def _executor(validated: Any, item: Item, names: Any) -> Any:
    return validated if isinstance(validated, _Plan) else UpdateExpressionExecutor(validated, item, names)


def be_quick() -> None:
    """Put these in moto's place."""
    setattr(models, "UpdateExpressionValidator", _Validator)  # noqa: B010  # replacing is the purpose; mypy would refuse it
    setattr(models, "UpdateExpressionExecutor", _executor)  # noqa: B010
