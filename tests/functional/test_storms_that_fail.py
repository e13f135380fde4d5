"""A storm in Slack while Slack refuses, people delete, and functions die: what is said in the end is true, and said once."""

from typing import Any

import pytest

from oncall import incidents, pages
from oncall.table import Update
from tests.builders import CHANNEL, MINUTE, Execution, Message, World
from tests.functional.test_storms_in_slack import (
    OWN,
    hook,
    ids,
    is_told,
    line,
    owner_tells,
    read,
    tells,
    told_in,
    updates,
    written,
)


def storm(world: World, size: int) -> list[Execution]:
    """Groups of one policy, a second apart, so that the first is the host of those that have no messages."""
    runs = []
    for number in range(size):
        runs.append(world.receive(hook(number)))
        if not number:
            world.go_on(runs[0])
        world.clock.time += 1_000
    return runs


def said_in(host: Message) -> str:
    """What a host's message says of those below it."""
    return next(part for part in written(host).split('"') if "more incidents are told" in part)


def reconciles(world: World) -> None:
    """Minutes of the reconciler alone, and of the executions that it starts."""
    for _ in range(6):
        world.clock.time += 61_000
        before = len(world.started)
        world.reconcile()
        for me, given in world.started[before:]:
            asked = given.get("incidents", [])
            while asked:
                progress = world.project(*asked, me=me)
                asked = list(progress.incidents)
                world.clock.time += progress.wait_seconds * 1000


def shift_is_taken(world: World, run: Execution) -> None:
    """A line of an incident's thread that its message does not show."""
    (incident,) = ids([run])
    detail = {"via": "slack", "schedule": "s", "until": 1795402801100}
    event = incidents.Event("shift_taken", key="x", who="Ito", detail=detail)
    incidents.tell(world.table, incident, event, now=world.clock.now())


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(22))
def test_wherever_it_dies_the_host_counts_those_below_it(world: World, at: int, *, answered: bool) -> None:
    runs = storm(world, 30)
    tells(world, runs)
    world.hears(world.last_call, "1")
    with world.dynamo.dies(at, answered=answered):
        world.project(*ids(runs), me="dead")
    reconciles(world)
    assert is_told(world, runs)
    assert "25 that somebody has" in said_in(told_in(world, ids(runs)[0])[0])


def test_a_reply_that_slack_refuses_changes_nothing_in_what_its_host_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner tells 25 at a time, so others of the replies come later."""
    runs = storm(world, 70)
    tells(world, runs)
    world.hears(world.last_call, "1")
    host = told_in(world, ids(runs)[0])[0]
    reply = next(message for message in world.slack.messages if message.thread_ts and "1 to 20" in message.text)
    updates(world, monkeypatch, refused=reply.ts)
    asked = ids(runs)
    for _ in range(6):
        progress = world.project(*asked)
        assert "65 that somebody has" in said_in(host)
        asked = list(progress.incidents)
        world.clock.time += progress.wait_seconds * 1000


@pytest.mark.parametrize("at", range(10))
def test_whatever_has_to_wait_the_host_never_says_again_that_nobody_has_it(
    world: World, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    runs = storm(world, 70)
    tells(world, runs)
    world.hears(world.last_call, "1")
    host = told_in(world, ids(runs)[0])[0]
    said, update = list[str](), world.slack.chat_update

    def chat_update(**more: Any) -> object:
        answer = update(**more)
        said.extend([said_in(host)] if more["ts"] == host.ts else [])
        return answer

    monkeypatch.setattr(world.slack, "chat_update", chat_update)
    world.slack.faults = [*[""] * at, 429]
    assert owner_tells(world, ids(runs)) < 25
    assert is_told(world, runs)
    assert len(said) == 1
    assert "65 that somebody has" in said[0]


def test_lines_are_told_although_slack_refuses_their_hosts_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = storm(world, 30)
    tells(world, runs)
    world.hears(world.last_call, "1")
    updates(world, monkeypatch, refused=world.slack.posts[0].ts)
    asked = ids(runs)
    for _ in range(3):
        progress = world.project(*asked)
        asked = list(progress.incidents)
        world.clock.time += progress.wait_seconds * 1000
    assert {line(world, one)[:1] for one in ids(runs[OWN:])} == {"🟡"}


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(14))
def test_a_message_that_was_deleted_is_posted_once_more_wherever_it_dies(
    world: World, at: int, *, answered: bool
) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    assert world.project(*ids([run])).done
    world.slack.delete(world.slack.posts[0])
    shift_is_taken(world, run)
    assert not world.project(*ids([run])).done
    world.clock.time += 11_000
    with world.dynamo.dies(at, answered=answered):
        world.project(*ids([run]), me="dead")
    world.clock.time += 61_000
    tells(world, [run])
    assert len(world.slack.posts) == 1


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(0, 14, 2))
def test_a_host_that_was_deleted_is_posted_once_more_wherever_it_dies(world: World, at: int, *, answered: bool) -> None:
    runs = storm(world, 25)
    tells(world, runs)
    world.slack.delete(world.slack.posts[0])
    more = [world.receive(hook(number)) for number in range(25, 30)]  # they begin a second reply
    world.project(*ids(more))
    world.clock.time += 11_000
    with world.dynamo.dies(at, answered=answered):
        world.project(*ids(more), me="dead")
    world.clock.time += 61_000
    tells(world, [*runs, *more])
    assert len(world.slack.posts) == OWN


@pytest.mark.parametrize("down", ["channel", "connection"])
def test_the_first_of_a_page_that_joins_those_below_it_has_a_message(world: World, down: str) -> None:
    """Slack takes nothing; nobody takes the page; the repeats come, another one first; then Slack is back."""
    if down == "channel":
        world.slack.channels.clear()
    else:
        world.slack.faults = ["refused connection"] * 10_000
    runs = storm(world, 8)
    for one in ids(runs):
        world.project(one)
    world.passes(60 * MINUTE)
    for number in (6, 1, 2, 3, 4, 5, 0, 7):
        world.fire(hook(number))
    world.slack.channels.add(CHANNEL)
    world.slack.faults = []
    world.clock.time += 120_000
    world.reconcile()
    tells(world, runs)
    assert is_told(world, runs)
    assert all(told_in(world, one) for one in ids(runs))


def test_an_incident_that_an_older_version_told_below_itself_has_a_message(world: World) -> None:
    run = world.fire()
    (incident,) = ids([run])
    incidents.note(world.table, incident, {"slack_host": incident})
    tells(world, [run])
    assert len(world.slack.posts) == 1


def test_a_reply_that_was_found_is_not_posted_again(world: World) -> None:
    runs = storm(world, 6)
    tells(world, runs[:OWN])
    world.slack.faults = ["lost"]
    world.project(*ids(runs[OWN:]))
    more = [world.receive(hook(6))]  # so the reply that is found has to be updated
    world.clock.time += 11_000
    world.slack.faults = ["", "", 429]
    world.project(*ids(more))
    world.slack.faults = []
    tells(world, [*runs, *more])
    assert len([one for one in world.slack.messages if one.thread_ts and "More incidents" in one.text]) == 1


def test_a_line_whose_answer_was_lost_is_not_posted_again_after_a_reply(world: World) -> None:
    runs = storm(world, 8)
    tells(world, runs[:OWN])
    shift_is_taken(world, runs[0])
    world.slack.requests.clear()
    world.slack.faults = ["", "lost"]
    world.project(ids(runs)[0])
    assert world.slack.requests == ["chat.update", "chat.postMessage"]
    world.clock.time += 11_000
    world.project(*ids(runs[OWN:]), me="another")
    tells(world, runs)
    assert len(world.slack.thread(world.slack.posts[0])) == len(set(world.slack.thread(world.slack.posts[0])))
    assert is_told(world, runs)


def test_a_page_of_an_older_version_has_one_thread_that_says_who_took_it(world: World) -> None:
    runs = storm(world, 3)
    tells(world, runs)
    world.table.update(Update(pages.partition("default"), "CURRENT", remove=("places",)))
    world.hears(world.last_call, "1")
    tells(world, runs)
    threads = ["".join(world.slack.thread(post)) for post in world.slack.posts]
    assert ["Acknowledged" in thread for thread in threads] == [True, False, False]


def test_who_is_not_in_slack_yet_does_not_wait_for_the_turn_of_another_message(world: World) -> None:
    """Somebody takes a page while updates have a long queue, and some of its incidents have not been told of."""
    runs = storm(world, 9)
    tells(world, runs[:OWN])
    world.table.update(Update("SLACK#UPDATES", "TURN", set={"next": world.clock.now() + 90_000}))
    world.hears(world.last_call, "1")
    progress = world.project(*ids(runs))
    assert all(told_in(world, one) for one in ids(runs)), "at once"
    assert progress.wait_seconds > 30
    world.clock.time += progress.wait_seconds * 1000
    owner_tells(world, list(progress.incidents))
    assert is_told(world, runs)
    assert "4 that somebody has" in said_in(told_in(world, ids(runs)[0])[0])


@pytest.mark.parametrize("alone", [True, False])
def test_who_is_not_in_slack_yet_is_told_although_the_hosts_turn_is_far_off(world: World, *, alone: bool) -> None:
    runs = storm(world, 9)
    tells(world, runs[:OWN])
    world.table.update(Update("SLACK#UPDATES", "TURN", set={"next": world.clock.now() + 90_000}))
    world.hears(world.last_call, "1")
    host = read(world, runs[:1])[0].id
    assert not world.project(host).done
    turn = read(world, runs[:1])[0].slack.turn
    assert turn > world.clock.now() + 60_000
    for some in [[one] for one in ids(runs[OWN:])] if alone else [ids(runs[OWN:])]:
        world.project(*some, me="another")
    assert [len(told_in(world, one)) for one in ids(runs[OWN:])] == [1] * 4
    assert read(world, runs[:1])[0].slack.turn == turn, "it keeps its turn"
    world.clock.time = turn
    tells(world, runs)
    assert "4 that somebody has" in said_in(told_in(world, host)[0])


def test_a_host_that_slack_asks_for_a_seconds_patience_keeps_those_below_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = storm(world, 8)
    monkeypatch.setattr("oncall.slack.delivery._retry_after", lambda _: 1)
    world.slack.faults = [429]
    world.project(*ids(runs[OWN:]))
    assert world.slack.requests == ["chat.postMessage"], "it waits"
    tells(world, runs)
    assert [len(told_in(world, one)) for one in ids(runs)] == [1] * 8
    assert len(world.slack.posts) == OWN


def test_a_count_that_slack_did_not_take_is_tried_again(world: World) -> None:
    """All lines are told and noted, and then the host's message is refused."""
    runs = storm(world, 9)
    tells(world, runs)
    host = read(world, runs[:1])[0]
    stale = {"slack_below": {"states": {"triggered": 9}, "names": {}}}  # as after a death between two writes
    incidents.note(world.table, host.id, stale)
    world.hears(world.last_call, "1")
    tells(world, runs[:1])
    incidents.note(world.table, host.id, stale)
    world.slack.faults = ["refused connection"]
    asked = ids(runs[OWN:])
    world.project(*asked)
    world.clock.time += 11_000
    tells(world, runs)
    assert "4 that somebody has" in said_in(told_in(world, host.id)[0])
