"""Applying rosters: readers see the old or the new one whole, whatever else happens; versions are kept."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import EndpointConnectionError

from oncall.roster import Roster, from_items, parse
from oncall_cli import roster_table
from oncall_cli.errors import CommandError
from oncall_cli.roster_file import parse_text
from oncall_cli.target import Target
from tests.cli.conftest import Run

type Write = Callable[..., str]

NOW = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
OLD = "responders:\n" + "".join(f"  old{n:02}: +120255501{n:02}\n" for n in range(30))
NEW = "time_zone: Asia/Tokyo\nresponders:\n" + "".join(f"  new{n:02}: +120255501{n + 30:02}\n" for n in range(40))


def roster_of(text: str) -> Roster:
    roster, problems = parse(parse_text(text).document)
    assert problems == ()
    return roster


def put(target: Target, text: str, now: datetime = NOW) -> roster_table.Version:
    return roster_table.apply(target, roster_table.read(target), roster_of(text), text=text, by="alice", now=now)


def pages(target: Target, size: int) -> Any:
    """Reads the partition as ReceiveAlerts does, but in small pages, and stops after each."""
    start: dict[str, Any] = {}
    while True:
        page = target.dynamodb.query(
            TableName=target.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "ROSTER"}},
            ConsistentRead=True,
            Limit=size,
            **start,
        )
        yield [{key: TypeDeserializer().deserialize(value) for key, value in item.items()} for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def before_each_write(target: Target, do: Callable[[], None]) -> Callable[[], None]:
    """Calls `do` before each request that changes the table; the result ends that."""
    writing = False

    def hook(model: Any, **_: Any) -> None:
        nonlocal writing
        if model.name != "Query" and not writing:
            writing = True  # what `do` writes itself does not count
            try:
                do()
            finally:
                writing = False

    events = target.dynamodb.meta.events
    events.register("before-call.dynamodb", hook)
    return lambda: events.unregister("before-call.dynamodb", hook)


def names(items: list[dict[str, Any]]) -> set[str]:
    """`old` or `new`, or both for a reader who saw half a roster."""
    return {responder[:3] for responder in from_items(items).responders}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_readers_see_the_old_or_the_new_roster_whole(target: Target, size: int) -> None:
    """At each write of an apply a reader begins; all go on page by page between the writes that follow, and end after."""
    put(target, OLD)
    readers: list[tuple[Any, list[dict[str, Any]]]] = []

    def read_on() -> None:
        readers.append((pages(target, size), []))
        for reader, seen in readers:
            seen.extend(next(reader, []))

    stop = before_each_write(target, read_on)
    put(target, NEW)
    stop()
    assert len(readers) > 5
    for reader, seen in readers:
        for page in reader:
            seen.extend(page)
        found = from_items(seen)
        assert names(seen) in ({"old"}, {"new"})
        assert len(found.responders) == (30 if found.version == 1 else 40)
        assert found.time_zone == ("UTC" if found.version == 1 else "Asia/Tokyo")
    assert names([item for page in pages(target, size) for item in page]) == {"new"}


def test_an_interrupted_apply_changes_nothing_and_the_next_works(target: Target) -> None:
    """The command is killed before its first, second, third ... write, until one apply comes through."""
    put(target, OLD)
    for writes in range(20):
        left = iter(range(writes))

        def die(left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        stop = before_each_write(target, die)
        try:
            put(target, NEW)
            stop()
            break
        except KeyboardInterrupt:
            stop()
        current = roster_table.read(target).roster
        if current.version != 1:
            assert {name[:3] for name in current.responders} == {"new"}  # only what tidies up was left to do
        else:
            assert {name[:3] for name in current.responders} == {"old"}
    else:
        pytest.fail("no apply came through")
    assert len(roster_table.read(target).roster.responders) == 40
    put(target, OLD)
    assert len(roster_table.read(target).roster.responders) == 30


def test_of_two_applies_at_once_one_is_refused(target: Target) -> None:
    put(target, OLD)
    other = NEW.replace("new", "own")
    overtaken = False

    def overtake() -> None:
        nonlocal overtaken
        if not overtaken:
            overtaken = True
            put(target, other)

    current = roster_table.read(target)
    stop = before_each_write(target, overtake)
    with pytest.raises(roster_table.RosterChangedError, match="changed meanwhile"):
        roster_table.apply(target, current, roster_of(NEW), text=NEW, by="bob", now=NOW)
    stop()
    assert {name[:3] for name in roster_table.read(target).roster.responders} == {"own"}
    items = [item for page in pages(target, 1000) for item in page]
    assert not [item for item in items if "new" in item["sk"]]
    assert [version.text for version in roster_table.history(target)] == [other, OLD]


def test_tidying_up_late_leaves_a_later_roster_alone(target: Target) -> None:
    first = put(target, OLD)
    put(target, NEW)
    roster_table.retire(target, first.number, NOW)
    live = [item for page in pages(target, 1000) for item in page if item.get("version") == 2]
    assert len(live) == 41
    assert not any("expires_at" in item for item in live)


def test_what_was_replaced_stays_for_an_hour(target: Target) -> None:
    put(target, OLD)
    put(target, NEW, NOW)
    old = [item for page in pages(target, 1000) for item in page if item.get("version") == 1]
    assert len(old) == 30
    assert {item["expires_at"] for item in old} == {int(NOW.timestamp()) + 3600}
    put(target, OLD, NOW + timedelta(hours=1))
    left = [item for page in pages(target, 1000) for item in page if item.get("version") == 1]
    assert left == []


def test_what_was_typed_in_by_hand_counts_until_a_roster_is_applied(target: Target) -> None:
    hand = {"pk": "ROSTER", "sk": "RESPONDER#eve", "phone": "+12025550199"}
    item = {key: TypeSerializer().serialize(value) for key, value in hand.items()}
    target.dynamodb.put_item(TableName=target.table, Item=item)
    assert list(roster_table.read(target).roster.responders) == ["eve"]
    put(target, OLD)
    assert "eve" not in roster_table.read(target).roster.responders
    target.dynamodb.put_item(TableName=target.table, Item=item)
    assert "eve" in roster_table.read(target).roster.responders
    put(target, NEW)
    assert "eve" not in roster_table.read(target).roster.responders


def test_an_override_survives_an_apply(target: Target) -> None:
    put(target, OLD)
    hand = {"pk": "ROSTER", "sk": "OVERRIDE#o", "responder": "old07", "end": "2099-01-01T00:00:00Z"}
    item = {key: TypeSerializer().serialize(value) for key, value in hand.items()}
    target.dynamodb.put_item(TableName=target.table, Item=item)
    put(target, OLD + "products: {x: {}}\n")
    assert [override.responder for override in roster_table.read(target).roster.overrides.values()] == ["old07"]


def test_no_answer_to_the_last_step_is_told_as_such(target: Target) -> None:
    def hook(model: Any, **_: Any) -> None:
        if model.name == "TransactWriteItems":
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    target.dynamodb.meta.events.register("before-call.dynamodb", hook)
    with pytest.raises(CommandError, match="no answer to the last step: look whether it was applied"):
        put(target, OLD)


def test_apply_show_history_rollback(oncall: Run, write: Write) -> None:
    old, new = write(OLD, "old.yaml"), write(NEW, "new.yaml")
    assert oncall("roster", "apply", old).out == "applied version 1: 30 responders\n"
    applied = oncall("roster", "apply", new)
    assert applied.out == "applied version 2: 40 responders\n"
    assert "- responder old00: " in applied.err
    assert "+ responder new39: " in applied.err
    assert "~ time_zone: UTC -> Asia/Tokyo" in applied.err
    assert "first call for other products: old" in applied.err
    assert oncall("roster", "show").out == NEW
    assert oncall("roster", "show", "--version", "1").out == OLD
    assert oncall("roster", "rollback").out == "applied version 3: 30 responders\n"
    assert oncall("roster", "show").out == OLD
    assert [(v["number"], v["replaced"], v["current"]) for v in oncall("roster", "history", "--json").json] == [
        (3, 2, True),
        (2, 1, False),
        (1, 0, False),
    ]
    assert "3 (current)" in oncall("roster", "history").out
    assert oncall("roster", "rollback", "2").status == 0
    assert oncall("roster", "show").out == NEW


def test_applying_the_same_again_changes_nothing(oncall: Run, write: Write) -> None:
    file = write(OLD)
    oncall("roster", "apply", file)
    again = oncall("roster", "apply", file, "--json")
    assert again.json == {"version": 1, "applied": False}


def test_diff_tells_what_severities_mean_from_now_on(oncall: Run, write: Write) -> None:
    oncall("roster", "apply", write(OLD + "severities: {info: none, notice: none}\n"), "--yes")
    changed = oncall("roster", "diff", write(OLD + "severities: {Info: warning, P5: none}\n"))
    assert changed.status == 1
    assert changed.out.splitlines() == [
        "~ severity info: none -> warning",
        "- severity notice: none",
        "+ severity p5: none",
    ]
    assert oncall("roster", "diff", write(OLD + "severities: {NOTICE: none, info: none}\n")).status == 0


def test_diff_says_whether_anything_would_change(oncall: Run, write: Write) -> None:
    oncall("roster", "apply", write(OLD))
    assert (oncall("roster", "diff", write(OLD)).status, oncall("roster", "diff", write(OLD)).out) == (
        0,
        "no changes\n",
    )
    moved = oncall("roster", "diff", write(OLD.replace("+12025550129", "+12025550199")))
    assert (moved.status, moved.out) == (1, "~ responder old29 phone: +12025550129 -> +12025550199\n")


def test_an_older_file_is_refused_unless_forced(oncall: Run, write: Write) -> None:
    oncall("roster", "apply", write(OLD))
    oncall("roster", "apply", write(NEW))
    refused = oncall("roster", "apply", write(OLD))
    assert refused.status == 1
    assert "is version 1, and version 2 is newer: to go back, oncall roster rollback 1, or --force" in refused.err
    assert oncall("roster", "apply", write(OLD), "--force").status == 0
    assert oncall("roster", "show").out == OLD


def test_what_was_changed_by_hand_is_not_lost_unless_forced(oncall: Run, write: Write, target: Target) -> None:
    oncall("roster", "apply", write(OLD))
    target.dynamodb.update_item(
        TableName=target.table,
        Key={"pk": {"S": "ROSTER"}, "sk": {"S": "RESPONDER#old00#v1"}},
        UpdateExpression="SET phone = :phone",
        ExpressionAttributeValues={":phone": {"S": "+12025550198"}},
    )
    refused = oncall("roster", "apply", write(NEW))
    assert refused.status == 1
    assert "changed by hand since version 1" in refused.err
    shown = oncall("roster", "show")
    assert "+12025550198" in shown.out
    assert oncall("roster", "diff", write(shown.out, "shown.yaml")).status == 0
    assert oncall("roster", "apply", write(NEW), "--force").status == 0


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    command = ["git", *author, "-C", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  fixed arguments


def test_a_checkout_without_the_latest_change_is_refused(oncall: Run, tmp_path: Path) -> None:
    """Alice applies her commit; Bob, who has not pulled it, would undo it."""
    alice, bob = tmp_path / "alice", tmp_path / "bob"
    alice.mkdir()
    git(alice, "init", "--initial-branch=main")
    (alice / "roster.yaml").write_text(OLD, encoding="utf-8")
    git(alice, "add", ".")
    git(alice, "commit", "--message=first")
    git(tmp_path, "clone", str(alice), str(bob))
    (alice / "roster.yaml").write_text(NEW, encoding="utf-8")
    git(alice, "commit", "--all", "--message=second")
    assert oncall("roster", "apply", str(alice / "roster.yaml")).status == 0
    (bob / "roster.yaml").write_text(OLD + "products: {x: {}}\n", encoding="utf-8")
    git(bob, "commit", "--all", "--message=without pulling")
    refused = oncall("roster", "apply", str(bob / "roster.yaml"))
    assert refused.status == 1
    assert "which is not in your branch: pull or merge it first" in refused.err
    git(bob, "pull", "--no-rebase", "--strategy-option=ours")
    assert oncall("roster", "apply", str(bob / "roster.yaml")).status == 0


def test_a_file_with_errors_is_not_applied(oncall: Run, write: Write) -> None:
    refused = oncall("roster", "apply", write(OLD + "  eve: 123\n"))
    assert refused.status == 1
    assert "roster.yaml:32: error: responders eve" in refused.err
    assert oncall("roster", "history", "--json").json == []


def test_who_is_rung_and_why(oncall: Run, write: Write) -> None:
    oncall("roster", "apply", write(OLD + "products: {quiet: {call: false}}\n"))
    answer = oncall("who", "--at", "2024-01-03T12:00:00Z", "--json").json
    assert [person["id"] for person in answer["order"]][:3] == ["old00", "old01", "old02"]
    assert answer["order"][0]["reason"] == "schedule everyone, shift until 2024-01-08 09:00 UTC"
    assert oncall("who", "--at", "2024-01-10T12:00:00Z", "--json").json["order"][0]["id"] == "old01"
    assert "quiet is for Slack only" in oncall("who", "--product", "quiet").out


def test_no_roster_is_a_failure(oncall: Run) -> None:
    assert oncall("who").status == 1
    assert "has no roster yet: oncall roster apply FILE" in oncall("who").err


@pytest.mark.parametrize("at", ["yesterdy", "25:00", "2026-02-30 09:00", "sun 3pm", ""])
def test_a_time_that_cannot_be_read(oncall: Run, at: str) -> None:
    refused = oncall("who", "--at", at)
    assert refused.status == 1
    assert "is not a time: write it like" in refused.err
