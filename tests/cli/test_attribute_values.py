"""Values travel to DynamoDB and back as boto3 would send and read them."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from cli.attribute_values import deserialize, serialize

plain = st.none() | st.booleans() | st.text() | st.integers(-(10**30), 10**30)
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_as_boto3_does(value: Any) -> None:
    theirs: Any = TypeSerializer().serialize(value)
    assert serialize(value) == theirs
    assert deserialize(theirs) == TypeDeserializer().deserialize(theirs) == value


def test_sets_as_the_console_makes_them() -> None:
    assert deserialize({"SS": ["a", "b"]}) == {"a", "b"}
    assert deserialize({"NS": ["1", "2.5"]}) == {Decimal(1), Decimal("2.5")}


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match="has no form in DynamoDB"):
        serialize(object())
