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
