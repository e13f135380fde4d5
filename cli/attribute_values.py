"""DynamoDB's attribute values to Python's and back, as boto3 has them; importing boto3 would double the time of `oncall who`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def serialize(value: object) -> dict[str, Any]:
    """Raises TypeError for what a roster does not hold."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(value)}
        case list() | tuple():
            return {"L": [serialize(part) for part in value]}
        case Mapping():
            return {"M": serialize_item(value)}
    raise TypeError(f"{type(value)} has no form in DynamoDB")


def deserialize(value: Mapping[str, Any]) -> Any:
    """Numbers are Decimal."""
    ((kind, content),) = value.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return Decimal(content)
        case "L":
            return [deserialize(part) for part in content]
        case "M":
            return deserialize_item(content)
        case "SS":
            return set(content)
        case "NS":
            return {Decimal(number) for number in content}
        case _:  # strings, booleans and bytes are what they are
            return content


def serialize_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """All attributes of an item."""
    return {key: serialize(value) for key, value in item.items()}


def deserialize_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """All attributes of an item."""
    return {key: deserialize(value) for key, value in item.items()}
