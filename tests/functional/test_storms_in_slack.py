"""A page of many incidents in Slack: a few messages, the rest as lines below one of them, and nothing lost."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from slack_sdk.web import SlackResponse

from oncall import incidents, pages
from oncall.incidents import Incident
from oncall.slack import buttons, delivery
from oncall.slack.buttons import Press
from oncall.slack.people import Access, Person
from oncall.table import Table
from tests.builders import CHANNEL, MINUTE, SUZUKI, Execution, Message, World, alert, webhook

STORM = 30
OWN = 5  # messages


def name(number: int) -> str:
    return "NodeDown" if number % 3 else "DiskFull"


def hook(number: int, **more: str) -> dict[str, Any]:
    return webhook(
        alert(name(number), annotations={"summary": f"node-{number:02d} is down"}), key=f"group {number}", **more
    )


def storm(world: World, size: int = STORM) -> list[Execution]:
    """Groups of one policy: the first rings, the others join its page."""
    runs = [world.receive(hook(number)) for number in range(size)]
    world.go_on(runs[0])
    return runs


def ids(runs: Iterable[Execution]) -> list[str]:
    return [run.decision["incidents"][0] for run in runs]


def tells(world: World, runs: Iterable[Execution], *, seconds: int = 600) -> None:
    """The executions bring Slack up to date side by side, and wait as long as they are told."""
    left: dict[tuple[str, ...], int] = {(one,): world.clock.time for one in ids(runs)}
    until = world.clock.time + seconds * 1000
    while left:
        asked = min(left, key=lambda names: left[names])
        world.clock.time = max(world.clock.time, left.pop(asked))
        assert world.clock.time < until, f"{len(left)} are not told"
        progress = world.project(*asked, me=f"projector of {asked}")
        assert len(set(progress.incidents)) == len(progress.incidents), "DynamoDB refuses to read one twice"
        if not progress.done:
            left[progress.incidents] = world.clock.time + progress.wait_seconds * 1000


def read(world: World, runs: Iterable[Execution]) -> list[Incident]:
    found = [incidents.read(world.table, one) for one in ids(runs)]
    return [one for one in found if one]


def told_in(world: World, incident: str) -> list[Message]:
    """The messages and replies that tell an incident."""
    return [message for message in world.slack.messages if incident in json.dumps(message.blocks)]


def line(world: World, incident: str) -> str:
    """The line of an incident below another one's message."""
    (found,) = [
        block["text"]["text"]
        for message in world.slack.messages
        for block in message.blocks
        if block["type"] == "section" and incident in block["text"]["text"]
    ]
    return str(found)


def written(message: Message) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


def is_told(world: World, runs: Iterable[Execution]) -> bool:
    """Whether Slack shows all incidents as they are, and nothing is due for its sake."""
    return all(one.slack.version == one.version for one in read(world, runs))


def test_a_storm_is_a_few_messages_and_a_line_for_each_of_the_others(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    assert len(world.slack.posts) == OWN
    assert all(len(told_in(world, one)) == 1 for one in ids(runs))
    assert all(line(world, one).startswith("🔴 ") for one in ids(runs[OWN:]))
    assert is_told(world, runs)
    first = written(world.slack.posts[0])
    assert "🔴 25 more incidents are told in the thread: 25 that nobody has" in first
    assert "NodeDown × 17, DiskFull × 8" in first


@pytest.mark.parametrize("between", range(12))
def test_slack_flickers_while_the_owner_of_many_tells_of_them(world: World, between: int) -> None:
    """The message of the first is not updated, the reply with the others is, and then the message is not once more."""
    runs = storm(world, 12)
    tells(world, runs)
    world.hears(world.last_call, "1")
    asked = ids(runs)
    world.slack.faults = ["refused connection", *[""] * between, "refused connection", "refused connection"]
    while not (progress := world.project(*asked)).done:
        assert len(set(progress.incidents)) == len(progress.incidents)
        asked = list(progress.incidents)
        world.clock.time += progress.wait_seconds * 1000
    assert is_told(world, runs)


def test_incidents_that_together_are_too_large_are_read_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB: what one request reads together has 4 MB at most."""
    runs = storm(world, 12)
    tells(world, runs)

    def refuses(*_: object) -> None:
        raise ClientError({"Error": {"Code": "TransactionCanceledException"}}, "TransactGetItems")

    monkeypatch.setattr(Table, "get_many", refuses)
    assert [one.id for one in incidents.read_many(world.table, ids(runs))] == ids(runs)


def test_slack_has_a_storm_long_before_it_would_have_a_message_for_each(world: World) -> None:
    began = world.clock.time
    runs = storm(world, 100)
    tells(world, runs)
    assert (world.clock.time - began) / 1000 < 30
    world.slack.requests.clear()
    world.hears(world.last_call, "1")
    asked = tuple(ids(runs))
    while not (progress := world.project(*asked)).done:  # as whoever owns the page does
        world.clock.time += progress.wait_seconds * 1000
        asked = progress.incidents
    assert is_told(world, runs)
    assert len(world.slack.requests) <= 2 * OWN + 100 // pages.TOGETHER + 2, "a reply is updated once for all its lines"


def test_one_key_is_seen_in_every_line_and_so_is_each_resolution(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    world.hears(world.last_call, "1")
    tells(world, runs)
    assert all("Sato has it" in written(told_in(world, one)[0]) for one in ids(runs))
    assert all(line(world, one).startswith("🟡 ") for one in ids(runs[OWN:]))
    assert "🟡 25 more incidents are told in the thread: 25 that somebody has" in written(world.slack.posts[0])
    gone = runs[17]
    world.resolve(
        hook(17) | {"status": "resolved", "alerts": [one | {"status": "resolved"} for one in hook(17)["alerts"]]}
    )
    tells(world, [gone])
    assert line(world, ids([gone])[0]).startswith("🟢 ")
    assert "24 that somebody has, 1 resolved" in written(world.slack.posts[0])


def test_the_lead_that_is_over_shows_that_others_are_not(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    incidents.resolve(world.table, ids(runs)[0], who="Ito", via="slack", now=world.clock.now())
    tells(world, runs)
    shown = world.slack.posts[0]
    assert "Resolved" in shown.text
    assert "🔴 25 more incidents are told in the thread: 25 that nobody has" in written(shown)
    assert "25 that nobody has" in shown.text, "and so does whoever sees the notification alone"


def test_a_line_can_be_taken_and_resolved(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    target = ids(runs)[20]
    (reply,) = told_in(world, target)
    menu = next(block["accessory"] for block in reply.blocks if target in json.dumps(block))
    assert [option["value"] for option in menu["options"]] == [f"acknowledge/{target}", f"resolve/{target}"]
    access = Access(lambda *_: Person("member", frozenset({CHANNEL})))
    press = Press("acknowledge", target, "U0SATO", "sato", channel=CHANNEL)
    assert buttons.press(world.services, access, press) == ""
    world.settles_down()
    tells(world, runs)
    assert {one.state for one in read(world, runs)} == {"acknowledged"}
    assert buttons.press(world.services, access, replace(press, action="resolve")) == ""
    tells(world, runs)
    assert line(world, target).startswith("🟢 ")
    (reply,) = told_in(world, target)
    assert not [block for block in reply.blocks if target in json.dumps(block) and "accessory" in block]


def test_each_line_has_an_address_that_texts_and_lists_can_lead_to(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    for one in read(world, runs[OWN:]):
        (reply,) = told_in(world, one.id)
        assert one.slack.link.endswith(reply.ts.replace(".", ""))
        assert one.channels == {CHANNEL}


def test_every_channel_has_a_few_messages_of_its_own(world: World) -> None:
    world.slack.channels.add("C0OTHER")
    world.roster({"PRODUCT#shop": {"slack_channel": "C0OTHER"}})
    runs = [world.receive(hook(number, product="shop" if number % 2 else "")) for number in range(STORM)]
    world.go_on(runs[0])
    tells(world, runs)
    for channel in (CHANNEL, "C0OTHER"):
        assert len([post for post in world.slack.posts if post.channel == channel]) == OWN
    assert all(len(told_in(world, one)) == 1 for one in ids(runs))
    assert {told_in(world, one.id)[0].channel == one.channel for one in read(world, runs)} == {True}


def test_nobody_takes_a_storm_and_the_channel_hears_it_once(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    world.passes(60 * MINUTE)
    tells(world, runs)
    assert next(message.text for message in world.slack.messages if message.is_broadcast).startswith(
        "<!here> Nobody took"
    )
    assert len([message for message in world.slack.messages if message.is_broadcast]) == 1
    assert all(line(world, one).startswith("🆘 ") for one in ids(runs[OWN:]))
    assert "25 UNANSWERED" in written(world.slack.posts[0])
    # Its repeat rings again: whoever leads then has a message, and the lines are as they are.
    again = world.fire(hook(20))
    assert world.ringing
    tells(world, [*runs, again])
    assert len(world.slack.posts) == OWN + 1
    shown = written(world.slack.posts[-1])
    assert ids(runs)[20] in shown
    assert "Calling " in shown
    assert line(world, ids(runs)[20]).startswith("🔴 ")
    assert is_told(world, runs)


def test_who_is_behind_for_long_is_rung_anew_with_a_message(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 2, "remind_after_minutes": 30}})
    runs = storm(world, 8)
    tells(world, runs)
    world.hears(world.last_call, "1")
    tells(world, runs)
    for run in runs[:7]:
        incidents.resolve(world.table, ids([run])[0], who="Ito", via="slack", now=world.clock.now())
    tells(world, runs)
    for _ in range(2):  # reminded, and then rung for
        world.clock.time += 31 * MINUTE * 1000
        world.reconcile()
    tells(world, runs)
    assert world.ringing
    assert len(world.slack.posts) == OWN + 1, "it stands alone by now"
    assert "Calling " in written(world.slack.posts[-1])


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(0, 40, 3))
def test_wherever_it_dies_nothing_is_told_twice_or_never(world: World, at: int, *, answered: bool) -> None:
    runs = storm(world, 9)
    tells(world, runs[:2])
    with world.dynamo.dies(at, answered=answered):
        world.project(*ids(runs), me="dead")
    world.clock.time += 61_000
    tells(world, runs)
    assert all(len(told_in(world, one)) == 1 for one in ids(runs))
    assert len({line(world, one) for one in ids(runs[OWN:])}) == 4
    assert "4 more incidents are told in the thread" in written(world.slack.posts[0])
    assert is_told(world, runs)


@pytest.mark.parametrize("fault", ["lost", "refused connection", 503, 429, "thread_not_found"])
@pytest.mark.parametrize("before", range(4))
def test_what_slack_does_not_take_comes_later_and_once(world: World, fault: str | int, before: int) -> None:
    runs = storm(world, 9)
    tells(world, runs[:OWN])
    replies = len([one for one in world.slack.messages if one.thread_ts])
    world.slack.faults = [*[""] * before, fault]
    tells(world, runs)
    world.slack.faults = []
    assert all(len({message.ts for message in told_in(world, one)}) >= 1 for one in ids(runs))
    if fault != "thread_not_found":
        assert len([one for one in world.slack.messages if one.thread_ts]) == replies + 1
    assert is_told(world, runs)


def test_a_host_that_somebody_deleted_comes_again_with_all_that_is_below_it(world: World) -> None:
    runs = storm(world)
    tells(world, runs)
    world.slack.delete(world.slack.posts[0])
    world.hears(world.last_call, "1")
    tells(world, runs)
    assert len(world.slack.posts) == OWN
    assert all(len(told_in(world, one)) == 1 for one in ids(runs))
    assert all(line(world, one).startswith("🟡 ") for one in ids(runs[OWN:]))


def test_a_refused_update_makes_all_the_others_wait_their_turn(world: World) -> None:
    runs = [world.fire(webhook(key=f"group {number}", product="silent")) for number in range(12)]
    tells(world, runs)
    for run in runs:
        incidents.resolve(world.table, ids([run])[0], who="Ito", via="slack", now=world.clock.now())
    world.slack.faults = [429]
    asked: list[int] = []
    take = world.slack._take

    def taken(method: str, channel: str) -> bool:
        asked.extend([world.clock.now()] if method == "chat.update" else [])
        return take(method, channel)

    world.slack._take = taken  # type: ignore[method-assign]
    tells(world, runs)
    first, second, *others = asked
    assert second - first >= 7_000, "as long as Slack has said, whoever wants it"
    assert others[-1] - second >= 10 * 1_250 - 3_000, (
        "then one after another; a short wait is waited for in the function"
    )
    assert len(asked) == 13, "one was refused"


def owner_tells(world: World, asked: list[str], *, seconds: int = 600) -> float:
    """The execution of who owns the page tells of all of them. How many seconds that takes."""
    began = world.clock.time
    while not (progress := world.project(*asked)).done:
        world.clock.time += progress.wait_seconds * 1000
        asked = list(progress.incidents)
        assert world.clock.time < began + seconds * 1000, f"{len(asked)} are not told"
    return (world.clock.time - began) / 1000


def updates(world: World, monkeypatch: pytest.MonkeyPatch, refused: str = "") -> list[str]:
    """The messages that are updated from now on, in order; of one Slack takes none."""
    seen: list[str] = []
    update = world.slack.chat_update

    def chat_update(*, ts: str, **more: Any) -> SlackResponse:
        seen.append(ts)
        if ts == refused:
            raise world.slack._error("fatal_error")
        return update(ts=ts, **more)

    monkeypatch.setattr(world.slack, "chat_update", chat_update)
    return seen


def test_the_first_message_says_who_has_it_before_the_lines_below_it_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = storm(world, 70)
    tells(world, runs)
    world.hears(world.last_call, "1")
    seen = updates(world, monkeypatch)
    owner_tells(world, ids(runs))
    host = world.slack.posts[0]
    assert seen[0] == host.ts
    assert seen.count(host.ts) == 1, "once for its own news and for what is below it"
    assert "Sato has it" in host.text
    assert "65 more incidents are told in the thread: 65 that somebody has" in written(host)


def test_the_first_message_says_who_has_it_although_slack_refuses_a_line_below_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = storm(world, 30)
    tells(world, runs)
    world.hears(world.last_call, "1")
    host, reply = world.slack.posts[0], told_in(world, ids(runs)[5])[0]
    updates(world, monkeypatch, refused=reply.ts)
    world.project(*ids(runs))
    assert "Sato has it" in host.text
    for _ in range(40):
        progress = world.project(*ids(runs))
        world.clock.time += progress.wait_seconds * 1000
    assert "Acknowledged" in "".join(world.slack.thread(host)), "its own lines wait for none of those below it"
    assert [one.slack.version == one.version for one in read(world, runs[:OWN])] == [True] * OWN


def test_in_each_channel_one_thread_says_who_took_a_page(world: World) -> None:
    world.slack.channels.add("C0OTHER")
    world.roster({"PRODUCT#shop": {"slack_channel": "C0OTHER"}})
    runs = [world.receive(hook(number, product="shop" if number % 2 else "")) for number in range(6)]
    world.go_on(runs[0])
    tells(world, runs)
    world.hears(world.last_call, "1")
    tells(world, runs)
    taken = [
        (message.channel, message.text)
        for message in world.slack.messages
        if message.thread_ts and "Acknowledged" in message.text
    ]
    assert sorted(channel for channel, _ in taken) == sorted([CHANNEL, "C0OTHER"])
    assert all("5 others" in text for _, text in taken)
    assert [text.count("\n• ") for _, text in taken] == [2, 2], "those that are told there"


def test_a_thread_says_who_took_a_page_whose_first_incident_is_over(world: World) -> None:
    runs = storm(world, 3)
    tells(world, runs)
    world.fire(webhook(alert(name(0), status="resolved"), key="group 0", status="resolved"))
    assert world.incident(runs[0]).state == "resolved"
    tells(world, runs)
    world.hears(world.last_call, "1")
    tells(world, runs)
    threads = ["".join(world.slack.thread(post)) for post in world.slack.posts]
    assert ["Acknowledged" in thread for thread in threads] == [False, True, False]


def test_a_thread_that_said_that_nobody_took_it_says_who_did(world: World) -> None:
    world.slack.channels.add("C0OTHER")
    world.roster({"PRODUCT#shop": {"slack_channel": "C0OTHER"}})
    runs = [world.receive(hook(number, product="shop" if number % 2 else "")) for number in range(4)]
    world.go_on(runs[0])
    tells(world, runs)
    world.passes(60 * MINUTE)
    tells(world, runs)
    said = {m.thread_ts for m in world.slack.messages if m.thread_ts and "Nobody took" in m.text}
    assert len(said) == 2
    world.takes_in_slack(ids(runs)[2])
    tells(world, runs)
    assert said <= {m.thread_ts for m in world.slack.messages if m.thread_ts and "Acknowledged" in m.text}


@pytest.mark.parametrize("in_thread", [True, False])
def test_many_messages_that_wait_for_their_turn_are_updated_as_fast_as_slack_takes_them(
    world: World, monkeypatch: pytest.MonkeyPatch, *, in_thread: bool
) -> None:
    runs = [world.fire(webhook(key=f"group {number}", product="silent")) for number in range(60)]
    tells(world, runs)
    for one in ids(runs):
        taken = incidents.Event("acknowledged", key="taken", who="Ito", detail={"via": "slack"}, in_thread=in_thread)
        set_ = {"acknowledged_by": "Ito", "acknowledged_at": world.clock.now()}
        incidents.tell(world.table, one, taken, now=world.clock.now(), state="acknowledged", set_=set_)
    world.slack.faults = [429]
    seen = updates(world, monkeypatch)
    assert owner_tells(world, ids(runs)) < 60 * 1.25 + 7 + 15
    assert len(seen) == 61, "one was refused"
    assert is_told(world, runs)


def test_nobody_who_is_told_meanwhile_is_due_for_a_turn_that_was_taken_for_him(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [world.fire(webhook(key=f"group {number}", product="silent")) for number in range(5)]
    tells(world, runs)
    for run in runs:
        incidents.resolve(world.table, ids([run])[0], who="Ito", via="slack", now=world.clock.now())
    world.slack.faults = [429]
    world.project(ids(runs)[0])
    world.project(ids(runs)[1])

    def takes(*given: Any) -> list[int]:
        monkeypatch.undo()
        turns = delivery.next_turns(*given)
        told = read(world, [runs[4]])[0]
        note_told = {"slack_version": told.version, "slack_shown": told.version}
        incidents.note(world.table, told.id, note_told, remove=("due", "due_at"))
        return turns

    monkeypatch.setattr("oncall.slack.channel.next_turns", takes)
    world.project(*ids(runs)[2:])
    turns = [one.slack.turn for one in read(world, runs[2:])]
    assert turns[0]
    assert turns[1]
    assert not turns[2]
    assert ids(runs)[4] not in {key["pk"].partition("#")[2] for key in world.table.due(before=world.clock.now() * 2)}


def test_what_is_told_is_not_due_for_ever(world: World) -> None:
    (run,) = storm(world, 1)
    world.hears(world.last_call, "1")
    tells(world, [run])
    incidents.note(world.table, ids([run])[0], {"due": "due", "due_at": world.clock.now()})
    world.clock.time += 1_000
    before = len(world.started)
    world.reconcile()
    assert len(world.started) == before
    assert ids([run])[0] not in {key["pk"].partition("#")[2] for key in world.table.due(before=world.clock.now() * 2)}


def test_small_pages_are_told_as_before(world: World) -> None:
    runs = storm(world, OWN)
    tells(world, runs)
    assert len(world.slack.posts) == OWN
    assert all(not one.slack.host for one in read(world, runs))
    assert pages.read(world.table, "default").told_in(CHANNEL) == sorted(ids(runs))  # type: ignore[union-attr]  # it is there
    assert world.rung[:1] != [SUZUKI]
