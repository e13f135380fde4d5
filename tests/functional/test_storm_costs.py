"""What a storm asks the table for: a fixed number of requests for each incident, however many there are."""

import heapq
import json
import math
from collections import Counter
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from oncall import incidents, pages
from oncall.table import ConditionFailedError, ConflictError, Table
from tests.builders import SATO, Execution, World, alert, webhook

# Requests to DynamoDB, from the webhook to the acknowledged message in Slack; a smaller storm has a little more for each.
MOST_EACH = 9
# Over many policies each has five messages of its own, and a message waits for its second in the channel.
MOST_EACH_OVER_MANY = 14.2

Waiting = tuple[int, str, list[str]]  # when it asks next (epoch milliseconds), an execution, and its incidents


def at_once(world: World, ids: list[str]) -> None:
    """Each execution's own state SlackAlert, all at the same time: those with messages find a queue in the channel."""
    began = world.clock.time
    for one in ids:
        world.clock.time = began
        world.project(one)


def tell(world: World, waiting: list[Waiting], asked: Counter[str], until: float = math.inf) -> None:
    """Executions in SlackAlert or SlackNotification: each asks, and comes back when it was told to, beside the others."""
    heapq.heapify(waiting)
    while waiting and waiting[0][0] <= until:
        moment, name, ids = heapq.heappop(waiting)
        world.clock.time = moment
        progress = world.project(*ids, me=name)
        asked[name] += 1
        if not progress.done:
            again = max(moment, world.clock.time) + progress.wait_seconds * 1000
            heapq.heappush(waiting, (again, name, list(progress.incidents)))


def storm(world: World, size: int) -> tuple[int, list[str]]:
    """Groups of one policy: one rings, the others join, one key takes all, Slack tells. Requests, and the incidents."""
    world.dynamo.requests.clear()
    runs = [world.receive(webhook(key=f"group {number}")) for number in range(size)]
    world.go_on(runs[0])
    ids = [run.decision["incidents"][0] for run in runs]
    at_once(world, ids)
    world.hears(world.last_call, "1")
    owner = tuple(ids)
    for _ in range(size):
        progress = world.project(*owner)  # the owner's state SlackNotification
        if progress.done:
            break
        owner = progress.incidents
        world.clock.time += progress.wait_seconds * 1000
    return len(world.dynamo.requests), ids


def test_a_storm_takes_a_fixed_number_of_requests_for_each_incident(world: World) -> None:
    each = {}
    for size in (40, 80):
        count, ids = storm(World(world.dynamo.client), size)
        each[size] = count / len(ids)
    assert max(each.values()) <= MOST_EACH, each
    assert each[80] <= each[40] * 1.05, f"it grows with the square of the storm: {each}"


def test_an_incident_that_joins_a_storm_takes_at_most_twelve_transitions(world: World) -> None:
    """Each execution asks for its own place in the channel, and comes back when it was told to.

    Its states: ReceiveAlerts, WhatToDo, Done; SlackAlert and IsSlackAlerted each time; and a wait between two times, and before
    the first one if others tell it.
    """
    runs = [world.receive(webhook(key=f"group {number}")) for number in range(60)]
    world.go_on(runs[0])
    first = [run.decision["follow"].get("wait_seconds", 0) for run in runs]
    assert [number for number, seconds in enumerate(first) if not seconds] == [0, 1, 2, 3, 4, 5, 25, 45]
    began = world.clock.time
    asked: Counter[str] = Counter()
    waiting = [
        (began + seconds * 1000, run.name, run.decision["incidents"]) for run, seconds in zip(runs, first, strict=True)
    ]
    tell(world, waiting, asked)
    waits = [bool(seconds) + asked[run.name] - 1 for run, seconds in zip(runs, first, strict=True)]
    transitions = [3 + 2 * asked[run.name] + times for run, times in zip(runs, waits, strict=True)]
    assert max(transitions) <= 12, sorted(transitions)
    assert Counter(transitions)[6] >= 50, "most look once, and were told"


def policies(count: int) -> dict[str, dict[str, object]]:
    """Parts of a roster: so many products, each with a policy and a responder of its own."""
    parts: dict[str, dict[str, object]] = {}
    for number in range(count):
        name = f"team-{number}"
        parts[f"RESPONDER#{name}"] = {
            "name": f"Ito {number}",
            "phone": f"+12025550{110 + number}",
            "position": 10 + number,
        }
        parts[f"POLICY#{name}"] = {"rounds": 1, "steps": [{"responder": name}]}
        parts[f"PRODUCT#{name}"] = {"policy": name}
    return parts


def storm_over_policies(world: World) -> list[Execution]:
    """200 groups in ten seconds over twenty policies, each page taken two seconds after that, and all of it told."""
    world.dynamo.requests.clear()
    began, asked, waiting, runs = world.clock.time, Counter[str](), list[Waiting](), list[Execution]()
    for number in range(200):
        world.clock.time = began + number * 50
        run = world.receive(webhook(key=f"group {number}", product=f"team-{number % 20}"))
        world.go_on(run)
        runs.append(run)
        seconds = run.decision["follow"].get("wait_seconds", 0)
        waiting.append((world.clock.time + 200 + seconds * 1000, run.name, run.decision["incidents"]))
    tell(world, waiting, asked, until=began + 12_000)
    for run, call in zip(runs[:20], world.telephone.calls, strict=True):
        world.clock.time = began + 12_000
        world.hears(call, "1")
        waiting.append((world.clock.time, run.name, list(run.answers[-1].incidents)))
    tell(world, waiting, asked)
    assert len(world.dynamo.requests) / 200 <= MOST_EACH_OVER_MANY
    found = [world.incident(run) for run in runs]
    assert {one.state for one in found} == {"acknowledged"}
    assert all(one.slack.version == one.version for one in found)
    assert len(world.slack.posts) == 100
    shown = [json.dumps(post.blocks, ensure_ascii=False) for post in world.slack.posts]
    assert all("has it, together with 9 others" in one for one in shown)
    threads = [world.slack.thread(post) for post in world.slack.posts]
    assert Counter(len(one) for one in threads) == {0: 80, 3: 20}, "the leads': who is rung, who took it, five others"
    return runs


def test_a_storm_over_twenty_policies_costs_little_more_than_one_over_one(world: World) -> None:
    world.roster(policies(20))
    storm_over_policies(world)


def test_a_storm_over_twenty_channels_is_told_as_fast_as_slack_takes_updates(world: World) -> None:
    """Slack: some fifty updates a minute, whatever the channel."""
    parts = policies(20)
    for number in range(20):
        parts[f"PRODUCT#team-{number}"]["slack_channel"] = f"C0TEAM{number}"
        world.slack.channels.add(f"C0TEAM{number}")
    world.roster(parts)
    began, take, taken, refused = world.clock.time, world.slack._take, list[int](), list[int]()

    def takes(method: str, channel: str) -> bool:
        now = world.clock.now()
        if method == "chat.update" and sum(one > now - 60_000 for one in taken) >= 50:
            refused.append(now)
            raise world.slack._error("ratelimited", status=429)
        taken.extend([now] if method == "chat.update" else [])
        return take(method, channel)

    world.slack._take = takes  # type: ignore[method-assign]
    storm_over_policies(world)
    assert len(taken) == 100 + 20 + 20, "each message, each reply, and each host once for those who joined below it"
    assert len(refused) < 40
    assert world.clock.time - began < 220_000


def test_a_group_waits_for_others_only_if_they_tell_all_of_it(world: World) -> None:
    """One of its products has a message of its own, which nobody else posts."""
    joined(world, 7)
    below = world.receive(webhook(key="one more"))
    own = alert("a slow page", severity="warning", labels={"product": "shop"})
    both = world.receive(webhook(alert("another one"), own, key="both"))
    assert below.decision["follow"] == {"wait_seconds": pages.CROWD_SECONDS}
    assert len(both.decision["incidents"]) == 2
    assert (both.decision["action"], both.decision["follow"]) == ("alert", {})


def test_in_a_storm_everybody_is_told_once(world: World) -> None:
    _, ids = storm(world, 40)
    states = [incidents.read(world.table, one) for one in ids]
    assert Counter(one.state for one in states if one) == {"acknowledged": 40}
    assert all(one.slack.version == one.version for one in states if one)
    assert len(world.slack.posts) == 5


def joined(world: World, size: int) -> list[Execution]:
    runs = [world.fire(webhook(key=f"group {number}")) for number in range(size)]
    assert len(pages.read(world.table, "default").incidents) == size  # type: ignore[union-attr]  # it is there
    return runs


def test_an_incident_that_joins_is_told_of_without_being_read_again(world: World) -> None:
    world.fire()
    world.dynamo.requests.clear()
    world.receive(webhook(key="another group"))
    assert Counter(world.dynamo.requests) == {"Query": 1, "TransactWriteItems": 2, "UpdateItem": 1}


def test_whoever_saw_no_page_open_joins_it_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a storm many environments start, which have seen nothing yet."""
    first = world.fire()
    monkeypatch.setattr("oncall.pages.store._seen_open", {})
    second = world.receive(webhook(key="another group"))
    assert world.page().incidents == {*first.decision["incidents"], *second.decision["incidents"]}


def test_a_page_that_was_seen_open_and_is_over_is_not_joined(world: World) -> None:
    world.fire()
    world.receive(webhook(key="another group"))
    world.hears(world.last_call, "1")
    world.clock.time += 600_000
    run = world.fire(webhook(key="a third one"))
    assert run.decision["action"] == "page"
    assert world.page().incidents == set(run.decision["incidents"])
    assert len(world.rung) == 2


def test_a_page_whose_owner_is_gone_is_taken_over_although_it_was_seen_open(world: World) -> None:
    world.receive(webhook())  # and its execution dies before the first ring
    world.clock.time += 180_000
    run = world.fire(webhook(key="another group"))
    assert run.decision["action"] == "page"
    assert (len(world.page().incidents), world.page().owner) == (2, run.name)
    assert world.rung == [SATO]


def test_the_end_of_a_page_reaches_all_of_its_incidents_in_a_few_requests(world: World) -> None:
    runs = joined(world, 60)
    world.dynamo.requests.clear()
    world.hears(world.last_call, "1")
    assert {world.incident(run).state for run in runs} == {"acknowledged"}
    assert Counter(world.dynamo.requests)["TransactWriteItems"] == 3
    told = [incidents.timeline(world.table, run.decision["incidents"][0])[-1] for run in runs]
    assert {(event.kind, event.who, event.detail["covered"]) for event in told} == {("acknowledged", "Sato", 60)}
    assert [event.in_thread for event in told].count(True) == 1, "their messages will say so from the start"


def test_an_incident_that_ended_meanwhile_keeps_no_other_from_its_end(world: World) -> None:
    runs = joined(world, 5)
    gone = runs[3].decision["incidents"][0]
    incidents.resolve(world.table, gone, who="Ito", via="slack", now=world.clock.now())
    world.hears(world.last_call, "1")
    states = [world.incident(run).state for run in runs]
    assert states == [*["acknowledged"] * 3, "resolved", "acknowledged"]


TOO_LARGE = ClientError({"Error": {"Code": "ValidationException"}}, "TransactGetItems")


@pytest.mark.parametrize(
    "error", [ConflictError(), ConditionFailedError(None), TOO_LARGE], ids=["conflict", "changed", "too large"]
)
@pytest.mark.parametrize("times", [1, 9])
def test_who_meets_others_at_many_incidents_writes_each_of_them_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int
) -> None:
    """Others write single incidents of a page while its end is carried to all of them."""
    runs = joined(world, 30)
    left, get_many = [times], Table.get_many

    def meets(self: Table, keys: list[tuple[str, str]]) -> object:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return get_many(self, keys)

    monkeypatch.setattr(Table, "get_many", meets)
    world.hears(world.last_call, "1")
    assert {world.incident(run).state for run in runs} == {"acknowledged"}
    versions = [world.incident(run).version for run in runs]
    numbers = [[event.number for event in incidents.timeline(world.table, world.incident(run).id)] for run in runs]
    assert numbers == [list(range(1, version + 1)) for version in versions]


def test_whose_turn_in_the_channel_is_far_off_is_not_touched_until_then(world: World) -> None:
    runs = [world.receive(webhook(key=f"group {number}", product="silent")) for number in range(8)]
    at_once(world, [run.decision["incidents"][0] for run in runs])
    last = runs[-1].decision["incidents"][0]
    world.dynamo.requests.clear()
    progress = world.project(last, me="another")
    assert (progress.done, progress.incidents) == (False, (last,))
    assert progress.wait_seconds > 3
    assert world.dynamo.requests == ["UpdateItem"]
    world.clock.time += progress.wait_seconds * 1000
    assert world.project(last, me="another").done


def taken_together(world: World, incident: str) -> None:
    """Somebody takes it with others: its message says so, and no line of its thread."""
    event = incidents.Event("acknowledged", key="taken", who="Ito", detail={"via": "slack"}, in_thread=False)
    set_ = {"acknowledged_by": "Ito", "acknowledged_at": world.clock.now()}
    incidents.tell(world.table, incident, event, now=world.clock.now(), state="acknowledged", set_=set_)


def behind(world: World) -> list[str]:
    """Ten incidents whose messages do not say yet who has them; Slack refuses the next request."""
    runs = [world.receive(webhook(key=f"group {number}", product="silent")) for number in range(10)]
    ids = [run.decision["incidents"][0] for run in runs]
    for one in ids:
        while not world.project(one).done:
            world.clock.time += 1_000
        taken_together(world, one)
    world.slack.faults = [429]
    return ids


def test_messages_that_wait_for_their_updates_take_their_turns_together(world: World) -> None:
    """Slack has refused an update, so they have turns: each its own, and all in the time that Slack's limit gives them."""
    ids = behind(world)
    assert world.project(ids[0]).wait_seconds == 7
    assert not world.project(ids[1]).done
    world.slack.requests.clear()
    world.dynamo.requests.clear()
    progress = world.project(*ids[2:])
    assert Counter(world.dynamo.requests) == {"TransactGetItems": 1, "UpdateItem": 1, "TransactWriteItems": 1}
    turns = [one.slack.turn for one in incidents.read_many(world.table, ids[2:])]
    assert {after - before for before, after in pairwise(turns)} == {1_250}
    assert world.clock.time + progress.wait_seconds * 1_000 >= turns[-1]
    world.clock.time += progress.wait_seconds * 1_000
    assert world.project(*ids[2:]).done
    assert world.slack.requests.count("chat.update") == 8


def test_no_turn_passes_while_an_execution_waits_for_another_one(world: World) -> None:
    ids = behind(world)
    world.project(ids[0])
    world.project(ids[1])
    incidents.note(world.table, ids[1], {"slack_turn": world.clock.now() + 90_000, "slack_queue": "C0OTHER"})
    progress = world.project(*ids[1:])
    turns = sorted(one.slack.turn for one in incidents.read_many(world.table, ids[2:]))
    assert turns[0] > world.clock.now()
    assert world.clock.now() + progress.wait_seconds * 1_000 <= turns[0] + 30_000, "by then it is another's"


def test_a_page_that_somebody_took_updates_each_of_its_messages_once(world: World) -> None:
    runs = joined(world, 12)
    ids = [run.decision["incidents"][0] for run in runs]
    asked = tuple(ids)
    while not (progress := world.project(*asked)).done:
        world.clock.time += progress.wait_seconds * 1_000
        asked = progress.incidents
    world.hears(world.last_call, "1")
    world.slack.requests.clear()
    while not (progress := world.project(*ids)).done:
        world.clock.time += progress.wait_seconds * 1_000
    assert Counter(world.slack.requests) == {"chat.update": 5 + 1, "chat.postMessage": 1}, "of them and of a reply"


def test_who_asks_again_asks_for_what_is_left(world: World) -> None:
    runs = [world.receive(webhook(key=f"group {number}", product="silent")) for number in range(12)]
    ids = [run.decision["incidents"][0] for run in runs]
    progress = world.project(*ids)
    told = {one for one in ids if world.table.get(incidents.store.partition(one), "STATE")["slack_version"]}  # type: ignore[index]
    assert told
    assert set(progress.incidents) == set(ids) - told
