"""The quick way with values and conditions has the outcome of moto's own, and of botocore's check."""

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import example, given
from hypothesis import strategies as some
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from devstack.aws import dynamodb, dynamodb_values
from tests.builders import Validator

PUT: Any = botocore.session.get_session().get_service_model("dynamodb").operation_model("PutItem").input_shape
ITEM: dict[str, Any] = {
    "pk": {"S": "one"},
    "n": {"N": "1.0"},
    "m": {"M": {"s": {"S": "deep"}, "l": {"L": [{"N": "7"}]}}},
    "set": {"SS": ["a", "b"]},
    "nil": {"NULL": True},
    "yes": {"BOOL": True},
}

texts = some.text(max_size=4)
numbers = some.integers(-3, 3).map(str) | some.sampled_from(["1.0", "-0.5"])
plain = (
    texts.map(lambda text: {"S": text})
    | numbers.map(lambda number: {"N": number})
    | some.booleans().map(lambda is_so: {"BOOL": is_so})
    | some.just({"NULL": True})
    | some.lists(texts, min_size=1, unique=True, max_size=3).map(lambda members: {"SS": members})
    | some.lists(numbers, min_size=1, unique=True, max_size=3).map(lambda members: {"NS": members})
)
values = some.recursive(
    plain,
    lambda inner: (
        some.lists(inner, max_size=3).map(lambda parts: {"L": parts})
        | some.dictionaries(texts, inner, max_size=3).map(lambda parts: {"M": parts})
    ),
    max_leaves=6,
)
anything = some.recursive(
    plain | some.none() | some.integers() | some.booleans() | texts | some.binary(max_size=2),
    lambda inner: (
        some.lists(inner, max_size=2)
        | some.dictionaries(
            some.sampled_from(["S", "N", "B", "SS", "NS", "M", "L", "BOOL", "NULL", "X", 1]), inner, max_size=2
        )
    ),
    max_leaves=6,
)


@pytest.fixture(autouse=True, scope="module")
def _quick() -> None:
    dynamodb.bear_storms()


@given(anything)
@example({"M": {1: {"S": "x"}}})
@example({"L": ({"S": "x"},)})
@example({"S": "x", "N": "1"})
@example({})
def test_what_the_tests_ask_is_refused_where_botocore_refuses_it(value: Any) -> None:
    asked = {"TableName": "table", "Item": {"pk": {"S": "one"}, "value": value}}
    botocores = ParamValidator().validate(asked, PUT).generate_report()
    assert Validator().validate(asked, PUT).generate_report() == botocores


@given(values)
@example({"S": "é漢🔥"})
def test_a_value_has_the_size_and_the_answer_of_motos(value: Any) -> None:
    kept = DynamoType(value)
    assert kept.size() == dynamodb_values._size(kept)
    assert dynamodb_values._written(kept) == dynamodb_values._to_dict(kept) == value


@given(values, values)
@example({"N": "1"}, {"N": "1.0"})
@example({"S": "1"}, {"N": "1"})
@example({"BOOL": True}, {"N": "1"})
@example({"NULL": True}, {"S": ""})
def test_values_are_equal_where_motos_are(one: Any, other: Any) -> None:
    kinds = [DynamoType(one), DynamoType(other)]
    plain_kinds = [(kind.type, dynamodb_values._cast_value(kind)) for kind in kinds]
    assert (kinds[0] == kinds[1]) == (plain_kinds[0] == plain_kinds[1])
    assert (kinds[0] != kinds[1]) == (plain_kinds[0] != plain_kinds[1])
    if kinds[0] == kinds[1] and kinds[0].type in {"S", "N", "BOOL", "NULL"}:
        assert hash(kinds[0]) == hash(kinds[1])


@pytest.mark.parametrize(("size", "is_taken"), [(404_994, True), (404_995, False)])
def test_an_item_may_be_as_large_as_motos(size: int, *, is_taken: bool) -> None:
    attributes = {"pk": {"S": "one"}, "x": {"S": "x" * size}}
    if is_taken:
        assert Item(DynamoType({"S": "one"}), None, attributes).size() == size + 6
        return
    with pytest.raises(ItemSizeTooLarge):
        Item(DynamoType({"S": "one"}), None, attributes)


@pytest.mark.parametrize(
    "expression",
    [
        "pk = :one",
        "pk <> :one AND n = :number",
        "#n BETWEEN :zero AND :number OR attribute_exists(nil)",
        "NOT (attribute_not_exists(m.s) OR contains(#set, :a))",
        "m.#l[0] > :zero AND size(#set) > :zero",
        "pk IN (:a, :one)",
        "begins_with(m.s, :a) OR yes = :yes OR attribute_type(nil, :kind)",
        "absent = :null",
    ],
)
@pytest.mark.parametrize(
    "given_values",
    [
        {":one": {"S": "one"}, ":number": {"N": "1"}, ":zero": {"N": "0"}, ":a": {"S": "a"}, ":yes": {"BOOL": True}},
        {":one": {"S": "two"}, ":number": {"N": "-1"}, ":zero": {"N": "9"}, ":a": {"S": "d"}, ":yes": {"BOOL": False}},
    ],
    ids=["one", "two"],
)
def test_a_condition_that_was_taken_apart_before_holds_where_motos_does(
    expression: str, given_values: dict[str, Any]
) -> None:
    item = Item(DynamoType({"S": "one"}), None, ITEM)
    names = {"#n": "n", "#set": "set", "#l": "l"}
    given_values = {**given_values, ":kind": {"S": "NULL"}, ":null": {"NULL": True}}
    motos = ConditionExpressionParser(expression, names, given_values)
    expected = dynamodb._parse_condition(motos)
    for _ in range(2):
        ours = ConditionExpressionParser(expression, names, given_values)
        condition = ours.parse()
        for tried in (item, None):
            assert condition.expr(tried) == expected.expr(tried)
        assert ours.expr_attr_names_found == motos.expr_attr_names_found
        assert ours.expr_attr_values_found == motos.expr_attr_values_found


@pytest.mark.parametrize("expression", ["pk = :undefined", "#undefined = :one", "pk ==", "name = :one"])
def test_a_condition_that_moto_refuses_is_refused(expression: str) -> None:
    asked: tuple[str, dict[str, str], Any] = (expression, {}, {":one": {"S": "one"}})
    with pytest.raises(Exception) as motos:  # noqa: PT011  whichever it is
        dynamodb._parse_condition(ConditionExpressionParser(*asked))
    with pytest.raises(motos.type):
        ConditionExpressionParser(*asked).parse()
