"""Conditional writes: one that met itself, and one whose item is in somebody's transaction."""

from dataclasses import replace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from oncall.table import CONFLICT_TRIES, ConditionFailedError, ConflictError, Table, Update, to_attributes
from tests.builders import SATO, World, webhook

FIRST = Update("A", "B", set={"owner": "me", "calls": {}}, condition="attribute_not_exists(pk)")
TAKEN = Update(
    "A",
    "B",
    set={"state": "taken", "calls.c1": {"status": "placing"}},
    add={"covered": {"one", "two"}},
    remove=("owner",),
    condition="#owner = :me",
    values={"me": "me"},
)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def table(world: World, slept: list[float]) -> Table:
    return replace(world.table, sleep=slept.append)


def test_an_item_is_not_read_twice_in_one_request(table: Table) -> None:
    with pytest.raises(ClientError, match="multiple operations on one item"):
        table.get_many([("A", "B"), ("A", "C"), ("A", "B")])


def test_a_write_that_met_itself_is_ours(world: World, table: Table) -> None:
    table.update(FIRST)
    with world.dynamo.loses(0):
        item = table.update(TAKEN)
    assert item == {
        "pk": "A",
        "sk": "B",
        "state": "taken",
        "calls": {"c1": {"status": "placing"}},
        "covered": {"one", "two"},
    }
    leaving = Update("A", "B", delete={"covered": {"one"}}, condition="contains(#covered, :one)", values={"one": "one"})
    with world.dynamo.loses(0):
        assert table.update(leaving)["covered"] == {"two"}


@pytest.mark.parametrize(
    "other",
    [
        Update("A", "B", set={"state": "lost"}),
        Update("A", "B", set={"calls.c1.status": "busy"}),
        Update("A", "B", set={"owner": "somebody"}),
        Update("A", "B", delete={"covered": {"one"}}),
    ],
)
def test_a_write_that_somebody_overtook_before_it_was_sent_again_is_refused(
    world: World, table: Table, other: Update
) -> None:
    """It was written once; what it says does not hold any more, and the item says what does."""
    table.update(FIRST)
    with world.dynamo.loses(0, meanwhile=lambda: world.table.update(other)), pytest.raises(ConditionFailedError):
        table.update(TAKEN)


def test_the_same_write_of_somebody_else_is_not_ours(table: Table) -> None:
    """Only a request that was sent again can have met itself."""
    table.update(FIRST)
    table.update(TAKEN)
    with pytest.raises(ConditionFailedError):
        table.update(TAKEN)


def test_an_item_in_somebodys_transaction_is_written_after_it(world: World, table: Table, slept: list[float]) -> None:
    world.dynamo.conflicts(times=CONFLICT_TRIES - 1)
    assert table.update(FIRST)["owner"] == "me"
    assert len(set(slept)) == CONFLICT_TRIES - 1, "never in step with others"
    assert all(0.005 <= pause <= 0.025 * number for number, pause in enumerate(slept, start=1))


def test_an_item_that_stays_in_transactions_is_given_up(world: World, table: Table, slept: list[float]) -> None:
    world.dynamo.conflicts(times=CONFLICT_TRIES)
    with pytest.raises(ConflictError):
        table.update(FIRST)
    assert sum(slept) < 1.4, "somebody waits on the phone"
    assert table.get("A", "B") is None


def test_a_write_that_met_a_transaction_on_its_second_way_is_ours(slept: list[float]) -> None:
    """Its answer was lost, and the item is in a transaction when botocore sends it again."""
    conflict = {"Error": {"Code": "TransactionConflictException"}, "ResponseMetadata": {"RetryAttempts": 1}}
    ours = {"pk": "A", "sk": "B", "owner": "me", "calls": {}}
    refused = {
        "Error": {"Code": "ConditionalCheckFailedException"},
        "ResponseMetadata": {"RetryAttempts": 0},
        "Item": to_attributes(ours),
    }
    client = Mock(
        update_item=Mock(side_effect=[ClientError(cast("Any", one), "UpdateItem") for one in (conflict, refused)])
    )
    assert Table(client, "on-call", slept.append).update(FIRST) == ours


@pytest.mark.parametrize("number", range(12))
def test_a_page_goes_its_way_whatever_update_meets_a_transaction(world: World, number: int) -> None:
    world.dynamo.conflicts(number)
    run = world.fire(webhook())
    assert world.rung == [SATO]
    assert "You have it" in world.hears(world.last_call, "1")
    assert world.incident(run).state == "acknowledged"


def test_what_is_written_where_there_is_nothing_stays_what_it_was_first(table: Table) -> None:
    began = [table.update(Update("A", "B", default={"began": number}))["began"] for number in (1, 2)]
    assert began == [1, 1]


def test_writes_that_cannot_be_made_together_are_made_one_by_one(world: World, table: Table) -> None:
    """One of them finds something else: it stays, and keeps no other from being written."""
    table.update(FIRST)
    other = Update("A", "C", set={"owner": "me"})
    table.update_each([FIRST, other])
    assert table.get("A", "C") == {"pk": "A", "sk": "C", "owner": "me"}
    world.dynamo.requests.clear()
    table.update_each([replace(FIRST, set={"owner": "you"}, condition=""), replace(other, set={"owner": "you"})])
    assert world.dynamo.requests == ["TransactWriteItems"]
    assert [item and item["owner"] for item in table.get_each([("A", "B"), ("A", "C")])] == ["you", "you"]
