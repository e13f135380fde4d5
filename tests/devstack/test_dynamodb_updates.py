"""The quick way of an update has the outcome of moto's own, whatever is asked."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from moto import mock_aws
from moto.dynamodb import models
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.validators import UpdateExpressionValidator

from devstack.aws import dynamodb, dynamodb_updates

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEY = {"pk": {"S": "one"}}
ITEM: dict[str, Any] = {
    **KEY,
    "due": {"S": "now"},
    "n": {"N": "1"},
    "s": {"S": "text"},
    "set": {"SS": ["a", "b"]},
    "m": {"M": {"n": {"N": "2"}, "set": {"SS": ["c"]}, "m": {"M": {"s": {"S": "deep"}}}}},
    "l": {"L": [{"S": "first"}]},
}
LARGE = {"S": "large"}  # stands for 408 KB, which nobody wants to see in a message
NAMES = ("pk", "due", "n", "s", "set", "m", "l", "new", "name")  # `name` is reserved
VALUES: tuple[dict[str, Any], ...] = (
    *({"S": "x"}, {"S": ""}, {"N": "5"}, {"N": "0.5"}, {"SS": ["a"]}, {"SS": ["a", "b", "d"]}, {"SS": ["c"]}),
    *({"M": {"n": {"N": "7"}}}, {"L": []}, {"BOOL": True}, {"NS": ["1"]}, LARGE),
)

paths = some.lists(some.sampled_from(NAMES), min_size=1, max_size=3).map(tuple)
actions = some.tuples(
    some.sampled_from(["SET", "DEFAULT", "ADD", "DELETE", "REMOVE"]), paths, some.sampled_from(VALUES)
)


@pytest.fixture(scope="module")
def client() -> Iterator["DynamoDBClient"]:
    dynamodb.bear_storms()
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        for table in ("quick", "moto"):
            client.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "due")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                GlobalSecondaryIndexes=[
                    {
                        "IndexName": "due",
                        "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                    }
                ],
            )
        yield client


def updated(client: "DynamoDBClient", table: str, asked: list[Any], *, is_literal: bool) -> tuple[str, Any]:
    """What such an update says, and the item after it."""
    client.put_item(TableName=table, Item=ITEM)
    clauses: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for number, (action, path, value) in enumerate(asked):
        names |= {} if is_literal else {f"#{name}": name for name in path}
        written = ".".join(path if is_literal else [f"#{name}" for name in path])
        if action != "REMOVE":
            values[f":v{number}"] = {"S": "x" * 408_000} if value is LARGE else value
            value_of = {"SET": f" = :v{number}", "DEFAULT": f" = if_not_exists({written}, :v{number})"}
            written += value_of.get(action, f" :v{number}")
        clauses.setdefault(action.replace("DEFAULT", "SET"), []).append(written)
    more: Any = {}
    if names:
        more["ExpressionAttributeNames"] = names
    if values:
        more["ExpressionAttributeValues"] = values
    expression = " ".join(f"{action} {', '.join(written)}" for action, written in clauses.items())
    try:
        client.update_item(TableName=table, Key=KEY, UpdateExpression=expression, **more)
        said = ""
    except Exception as error:  # noqa: BLE001  moto breaks on some that DynamoDB refuses; so then does this
        said = repr(error)
    return said, client.get_item(TableName=table, Key=KEY)["Item"]


def both(client: "DynamoDBClient", asked: list[Any], *, is_literal: bool) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """The quick way's, and moto's."""
    quick = updated(client, "quick", asked, is_literal=is_literal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "UpdateExpressionValidator", UpdateExpressionValidator)
        patch.setattr(models, "UpdateExpressionExecutor", UpdateExpressionExecutor)
        return quick, updated(client, "moto", asked, is_literal=is_literal)


@given(asked=some.lists(actions, min_size=1, max_size=4), is_literal=some.booleans())
@example(asked=[("ADD", ("set",), {"SS": ["d", "a"]}), ("DELETE", ("m", "set"), {"SS": ["c"]})], is_literal=False)
@example(asked=[("SET", ("m", "m", "new"), {"N": "1"}), ("REMOVE", ("s",), {})], is_literal=True)
@example(asked=[("SET", ("m",), {"N": "1"}), ("SET", ("m", "n"), {"N": "1"})], is_literal=False)
@example(asked=[("DEFAULT", ("m", "n"), {"N": "1"}), ("DEFAULT", ("m", "new"), {"N": "1"})], is_literal=False)
@example(asked=[("SET", ("due",), {"S": ""})], is_literal=True)
@example(asked=[("SET", ("s",), LARGE)], is_literal=True)
def test_both_ways_have_the_same_outcome(client: "DynamoDBClient", asked: list[Any], is_literal: bool) -> None:
    (said, item), (expected_word, expected_item) = both(client, asked, is_literal=is_literal)
    assert said == expected_word
    if not said:  # moto leaves half of what it refuses for its size
        assert item == expected_item


def test_a_plain_update_takes_the_quick_way(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_updates, "UpdateExpressionValidator", None)  # moto's cannot be asked
    asked = [
        ("SET", ("new",), {"L": [{"S": "x"}]}),
        ("SET", ("m", "m", "t"), {"S": "y"}),
        ("ADD", ("n",), {"N": "2"}),
        ("DELETE", ("set",), {"SS": ["a"]}),
        ("REMOVE", ("s",), {}),
        ("DEFAULT", ("l",), {"L": []}),
    ]
    said, item = updated(client, "quick", asked, is_literal=False)
    expected = json.loads(json.dumps(ITEM))
    expected |= {"new": {"L": [{"S": "x"}]}, "n": {"N": "3"}, "set": {"SS": ["b"]}}
    expected["m"]["M"]["m"]["M"]["t"] = {"S": "y"}
    del expected["s"]
    assert (said, item) == ("", expected)
