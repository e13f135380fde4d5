"""A transaction on the devstack's DynamoDB is all or nothing, although it copies no more than it names."""

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import Item

from devstack.aws import dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    dynamodb.bear_storms()
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="table",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        for sk in ("a", "b"):
            client.put_item(TableName="table", Item={"pk": {"S": "one"}, "sk": {"S": sk}, "n": {"N": "1"}})
        yield client


def _set(sk: str, value: int) -> Any:
    update = {"TableName": "table", "Key": {"pk": {"S": "one"}, "sk": {"S": sk}}}
    return {
        "Update": {**update, "UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": str(value)}}}
    }


def _put_new(pk: str, sk: str = "a") -> Any:
    put = {"TableName": "table", "Item": {"pk": {"S": pk}, "sk": {"S": sk}}}
    return {"Put": {**put, "ConditionExpression": "attribute_not_exists(pk)"}}


def _all(client: "DynamoDBClient") -> dict[tuple[str, str], str | None]:
    items = client.scan(TableName="table")["Items"]
    return {(item["pk"]["S"], item["sk"]["S"]): item.get("n", {}).get("N") for item in items}


def test_a_transaction_writes_all(client: "DynamoDBClient") -> None:
    client.transact_write_items(TransactItems=[_set("a", 2), _put_new("two")])
    assert _all(client) == {("one", "a"): "2", ("one", "b"): "1", ("two", "a"): None}


def test_a_refused_transaction_writes_nothing_not_even_what_came_first(client: "DynamoDBClient") -> None:
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[_set("a", 2), _put_new("two"), _put_new("one", "b")])
    assert _all(client) == {("one", "a"): "1", ("one", "b"): "1"}


def test_what_others_wrote_before_stays_when_a_transaction_is_refused(client: "DynamoDBClient") -> None:
    client.transact_write_items(TransactItems=[_set("a", 7)])
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[_set("a", 2), _put_new("one", "b")])
    assert _all(client) == {("one", "a"): "7", ("one", "b"): "1"}


def test_a_query_is_in_the_order_of_sort_keys(client: "DynamoDBClient") -> None:
    for sk in ("d", "c"):
        client.put_item(TableName="table", Item={"pk": {"S": "one"}, "sk": {"S": sk}})
    found = client.query(
        TableName="table", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "one"}}
    )
    assert [item["sk"]["S"] for item in found["Items"]] == ["a", "b", "c", "d"]


def test_a_scan_of_many_pages_finds_each_item_once(client: "DynamoDBClient") -> None:
    keys = [f"{number * 7 % 40:02d}" for number in range(40)]  # in no order
    for key in keys:
        client.put_item(
            TableName="table", Item={"pk": {"S": f"scanned {key}"}, "sk": {"S": key}, "text": {"S": "x" * 100_000}}
        )
    pages = list(client.get_paginator("scan").paginate(TableName="table"))
    found = [item["pk"]["S"] for page in pages for item in page["Items"] if item["pk"]["S"].startswith("scanned")]
    assert len(pages) > 3
    assert sorted(found) == [f"scanned {key}" for key in sorted(keys)]


def test_what_was_only_read_is_forgotten(client: "DynamoDBClient") -> None:
    def kept() -> int:
        gc.collect()
        return sum(type(one) is Item for one in gc.get_objects())

    before = kept()
    for _ in range(5):
        _all(client)
    assert kept() == before


def _update(client: "DynamoDBClient", expression: str, **values: Any) -> Any:
    """Updates the first item; returns all of its attributes, but for the keys."""
    updated = client.update_item(
        TableName="table",
        Key={"pk": {"S": "one"}, "sk": {"S": "a"}},
        UpdateExpression=expression,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    return {name: value for name, value in updated.items() if name not in ("pk", "sk")}


def test_an_expression_that_was_parsed_before_is_worked_out_anew(client: "DynamoDBClient") -> None:
    expression = "SET l = list_append(if_not_exists(l, :none), :more), m = :map REMOVE gone ADD n :one"
    for number in (1, 2):
        given: Any = {
            "none": {"L": []},
            "more": {"L": [{"N": str(number)}]},
            "map": {"M": {"k": {"BOOL": number == 1}}},
        }
        updated = _update(client, expression, one={"N": "1"}, **given)
    assert updated == {"n": {"N": "3"}, "l": {"L": [{"N": "1"}, {"N": "2"}]}, "m": {"M": {"k": {"BOOL": False}}}}
    assert _update(client, "SET m.k = :new REMOVE l[0]", new={"NULL": True}) == {
        "n": {"N": "3"},
        "l": {"L": [{"N": "2"}]},
        "m": {"M": {"k": {"NULL": True}}},
    }


def test_attributes_that_were_given_one_set_have_a_set_each(client: "DynamoDBClient") -> None:
    _update(client, "ADD p :set, q :set", set={"SS": ["a", "b"]})
    _update(client, "ADD p :more DELETE q :one", more={"SS": ["c"]}, one={"SS": ["a"]})
    assert _update(client, "SET n = :one", one={"N": "1"}) == {
        "n": {"N": "1"},
        "p": {"SS": ["a", "b", "c"]},
        "q": {"SS": ["b"]},
    }


def test_an_expression_creates_the_item_that_it_names(client: "DynamoDBClient") -> None:
    for pk in ("new", "newer"):
        client.update_item(
            TableName="table",
            Key={"pk": {"S": pk}, "sk": {"S": "a"}},
            UpdateExpression="SET n = if_not_exists(n, :seven)",
            ExpressionAttributeValues={":seven": {"N": "7"}},
        )
    assert {_all(client)["new", "a"], _all(client)["newer", "a"]} == {"7"}


@pytest.mark.parametrize(
    "wrong", ["SET n = :x, n = :x", "SET n = :x SET o = :x", "SET m = :x, m.k = :x", "SET pk = :x"]
)
def test_an_expression_that_contradicts_itself_is_refused(client: "DynamoDBClient", wrong: str) -> None:
    before = _all(client)
    with pytest.raises(client.exceptions.ClientError, match="ValidationException"):
        _update(client, wrong, x={"N": "9"})
    assert _all(client) == before


def test_every_type_comes_back_as_it_was_put(client: "DynamoDBClient") -> None:
    item: Any = {
        "pk": {"S": "types"},
        "sk": {"S": "a"},
        "l": {"L": [{"S": ""}, {"N": "-1.5"}, {"M": {"b": {"B": b"\x00\xff"}}}, {"NULL": True}, {"BOOL": False}]},
        "b": {"B": b"bytes"},
        "ss": {"SS": ["x"]},
        "ns": {"NS": ["1"]},
        "bs": {"BS": [b"\x01"]},
        "empty": {"M": {}},
    }
    client.put_item(TableName="table", Item=item)
    assert client.get_item(TableName="table", Key={"pk": {"S": "types"}, "sk": {"S": "a"}})["Item"] == item
