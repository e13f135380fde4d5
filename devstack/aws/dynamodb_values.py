"""Handles the values of moto's DynamoDB without asking of each what it is in ten ways.

moto spends most of a request's time here: each value of an item is compared, measured, copied and written into an answer one by
one. In an answer moto looks for each of the ten types of each value by every name that it might have in Python; a value that is
written as DynamoDB writes it already is passed on. What is rare is left to moto.
"""

from typing import Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import responses
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models import utilities
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict

_MOST_BYTES = 405_000  # of an item, as in moto; DynamoDB's 400 KB are a little more

_cast_value = DynamoType.__dict__["cast_value"].fget
_size = DynamoType.size
_to_dict = utilities.dynamo_to_dict
_structure = BaseJSONSerializer._serialize_type_structure  # noqa: SLF001 - to be replaced, here and below
_map = BaseJSONSerializer._serialize_type_map  # noqa: SLF001


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
    made.attrs = _attributes({name: _copied_value(value, memo) for name, value in self.attrs.items()})
    return made


def _attributes(values: dict[str, DynamoType]) -> LimitedSizeDict:
    """Past its check, which adds up the size of all that there is for each attribute."""
    made = LimitedSizeDict.__new__(LimitedSizeDict)
    dict.update(made, values)
    return made


def _make_item(self: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
    self.hash_key, self.range_key = hash_key, range_key
    self.attrs = _attributes({name: DynamoType(value) for name, value in attrs.items()})
    if self.size() > _MOST_BYTES:
        raise ItemSizeTooLarge


def _equals(self: DynamoType, other: DynamoType) -> bool:
    if self.type == "S" == other.type:
        return bool(self.value == other.value)
    return self.type == other.type and bool(self.cast_value == other.cast_value)


def _differs(self: DynamoType, other: DynamoType) -> bool:
    return not _equals(self, other)


def _hash(self: DynamoType) -> int:
    return hash(self.value if self.type == "S" else (self.type, self.cast_value))


def _cast(self: DynamoType) -> Any:
    return self.value if self.type == "S" else _cast_value(self)


def _measured(self: DynamoType) -> int:
    """Bytes."""
    match self.type:
        case "S" if isinstance(self.value, str):
            return _bytes(self.value)
        case "M":
            return sum(_bytes(name) + _measured(inner) for name, inner in self.value.items())
        case "L":
            return sum(map(_measured, self.value))
        case _:
            return _size(self)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _written(value: Any) -> Any:
    """What moto keeps, as it goes over the wire."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, DynamoType) and value.type not in {"B", "BS"}:
        return {value.type: _written(value.value)}
    if isinstance(value, dict):
        return {name: _written(inner) for name, inner in value.items()}
    return [_written(inner) for inner in value] if isinstance(value, list) else _to_dict(value)


def is_written(value: Any) -> bool:
    """Whether an attribute's value is as it goes over the wire. B and BS, which are changed on their way, are not."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(kind, content)] = value.items()
    if kind == "M":
        return isinstance(content, dict) and all(
            isinstance(name, str) and is_written(content[name]) for name in content
        )
    if kind == "L":
        return isinstance(content, list) and all(map(is_written, content))
    if kind in {"SS", "NS"}:
        return isinstance(content, list) and all(isinstance(each, str) for each in content)
    return isinstance(content, str) if kind in {"S", "N"} else kind in {"BOOL", "NULL"} and isinstance(content, bool)


def _serialize_structure(
    self: BaseJSONSerializer, serialized: dict[str, Any], value: Any, shape: Any, key: str
) -> None:
    if shape.name == "AttributeValue" and is_written(value):
        self._default_serialize(serialized, value, shape, key)
    else:
        _structure(self, serialized, value, shape, key)


def _serialize_map(self: BaseJSONSerializer, serialized: dict[str, Any], value: Any, shape: Any, key: str) -> None:
    if shape.value.name == "AttributeValue" and all(map(is_written, value.values())):
        self._default_serialize(serialized, value, shape, key)
    else:
        _map(self, serialized, value, shape, key)


def be_quick() -> None:
    """Put these in moto's place."""
    setattr(DynamoType, "__deepcopy__", _copied_value)  # noqa: B010  # replacing is the purpose; mypy would refuse it
    setattr(DynamoType, "__eq__", _equals)  # noqa: B010
    setattr(DynamoType, "__ne__", _differs)  # noqa: B010
    setattr(DynamoType, "__hash__", _hash)  # noqa: B010
    setattr(DynamoType, "cast_value", property(_cast))  # noqa: B010
    setattr(DynamoType, "size", _measured)  # noqa: B010
    setattr(Item, "__deepcopy__", _copied_item)  # noqa: B010
    setattr(Item, "__init__", _make_item)  # noqa: B010
    setattr(responses, "dynamo_to_dict", _written)  # noqa: B010
    setattr(BaseJSONSerializer, "_serialize_type_structure", _serialize_structure)  # noqa: B010
    setattr(BaseJSONSerializer, "_serialize_type_map", _serialize_map)  # noqa: B010
