"""A primary and its standby: who rings, and what each hears of the other. Both in memory, with a link that can be cut."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from oncall import roster, wire
from oncall.peer import answers, minute, rosters, takeover
from oncall.table import Update
from oncall.wire import NoAnswerError, Peer, RefusedError, Reply
from tests.builders import BASE, Execution, World, alert, webhook

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TOKEN = "a token that both stacks have, and nobody else does"
TAKEOVER = 60


@dataclass
class Pair:
    """Two worlds with one clock, one telephone network and one Slack."""

    primary: World
    standby: World
    is_cut: bool = False
    asked: int = 0

    def connect(self, asker: World, other: World, role: wire.Role) -> Peer:
        """What one of them asks the other by."""

        def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
            del seconds
            self.asked += 1
            if self.is_cut:
                raise NoAnswerError("the link is cut")
            word = url.rpartition("/")[2]
            names = {name.lower(): value for name, value in headers.items()}
            asked = wire.read(
                names,
                word,
                body,
                table=other.table,
                tokens=[TOKEN],
                ours=wire.role(other.services.settings.takeover_seconds),
                now=other.clock.now(),
            )
            answered = json.dumps(answers.answer(other.services, word, asked.given, base=BASE)).encode()
            other.settles_down()
            return Reply(200, answered, asked.sign(answered))

        return Peer(f"{BASE}/of-{role}", role, lambda: [TOKEN], post, asker.clock.now, asker.clock.sleep)

    def at_once(self, run: Execution) -> Execution:
        """What comes after a Follow state that began with those before it."""
        return self.standby.decide(run.decision["follow"]["request"], execution=run.name)

    def waits(self, run: Execution) -> Execution:
        """The standby's Follow state, and what comes after it."""
        assert run.decision["action"] == "follow"
        self.standby.clock.time += run.decision["follow"]["wait_seconds"] * 1000
        again = self.standby.decide(run.decision["follow"]["request"], execution=run.name)
        self.standby.go_on(again)
        return again

    def minute(self, world: World) -> None:
        """What the reconciler does first in a minute."""
        minute.look(world.services, base=BASE)
        world.settles_down()


@pytest.fixture
def pair(dynamodb: "DynamoDBClient") -> Pair:
    primary, standby = World(dynamodb), World(dynamodb)
    standby.clock = primary.clock
    standby.telephone, standby.slack = primary.telephone, primary.slack
    standby.settings["takeover_seconds"] = TAKEOVER
    pair = Pair(primary, standby)
    primary.peer = pair.connect(primary, standby, "primary")
    standby.peer = pair.connect(standby, primary, "standby")
    return pair


def fires(world: World, hook: Any = None) -> Execution:
    return world.fire(hook or webhook())


def test_of_two_healthy_stacks_the_standby_neither_rings_nor_posts(pair: Pair) -> None:
    fires(pair.primary)
    waiting = fires(pair.standby)
    assert waiting.decision["follow"]["wait_seconds"] == TAKEOVER
    watching = pair.waits(waiting)
    assert watching.decision["action"] == "follow", "nobody has it yet: the primary may die with it"
    pair.primary.hears(pair.primary.last_call, "1")
    assert pair.waits(watching).decision["action"] == "none"
    assert len(pair.primary.telephone.calls) == 1
    assert pair.standby.slack_asked == []


def test_the_primary_asks_nobody_on_its_way_to_the_first_ring(pair: Pair) -> None:
    alone = len(pair.primary.dynamo.requests)
    fires(pair.primary)
    with_standby = len(pair.primary.dynamo.requests) - alone
    pair.primary.peer = None
    before = len(pair.primary.dynamo.requests)
    fires(pair.primary, webhook(key="other", product="elsewhere"))
    assert pair.asked == 0
    assert with_standby == len(pair.primary.dynamo.requests) - before


def test_a_primary_that_does_not_answer_is_stood_in_for(pair: Pair) -> None:
    pair.is_cut = True
    run = pair.waits(fires(pair.standby))
    assert run.decision["action"] == "page"
    assert len(pair.standby.ringing) == 1
    assert "taken_over" in pair.standby.story(run)


def test_a_storm_asks_a_dead_primary_as_often_as_one_group_and_a_primary_that_returns_is_asked_again(
    pair: Pair,
) -> None:
    waiting = [fires(pair.standby, webhook(key=f"group {number}")) for number in range(20)]
    later = fires(pair.standby, webhook(key="later"))
    pair.is_cut = True
    taken = [pair.at_once(run) for run in waiting]
    assert all("taken_over" in pair.standby.story(run) for run in taken)
    assert pair.asked == takeover.TRIES

    pair.is_cut = False
    pair.standby.clock.time += minute.BELIEVED_MS
    fires(pair.primary, webhook(key="later"))
    assert pair.waits(later).decision["action"] == "follow"


def test_a_primary_that_has_not_accepted_the_group_is_stood_in_for(pair: Pair) -> None:
    fires(pair.primary, webhook(key="another group"))
    run = pair.waits(fires(pair.standby))
    assert run.decision["action"] == "page"


def test_alerts_that_the_primary_has_not_heard_of_ring_at_the_standby(pair: Pair) -> None:
    fires(pair.primary, webhook(alert("one")))
    run = pair.waits(fires(pair.standby, webhook(alert("one"), alert("two"))))
    assert run.decision["action"] == "page"


def test_a_page_that_the_primary_dies_with_goes_on_under_its_id_and_in_its_message(pair: Pair) -> None:
    run = fires(pair.primary)
    incident = pair.primary.incident(run)
    pair.primary.project(incident.id)
    watching = pair.waits(fires(pair.standby))
    pair.is_cut = True
    taken = pair.waits(watching)
    assert taken.decision["incidents"] == [incident.id]
    pair.standby.project(incident.id)
    assert len(pair.primary.slack.posts) == 1
    assert any("standby takes over" in line for line in pair.primary.slack.thread())


def test_what_somebody_has_at_the_standby_rings_nobody_at_the_primary_that_returns(pair: Pair) -> None:
    """It never had the group: Alertmanager's repeat comes before its reconciler's first minute."""
    pair.minute(pair.primary)
    pair.is_cut = True
    run = pair.waits(fires(pair.standby))
    pair.standby.hears(pair.standby.last_call, "1")
    pair.is_cut = False
    pair.primary.clock.time += 60_000
    repeat = fires(pair.primary)
    assert repeat.decision["action"] == "notify"
    assert pair.primary.incident(repeat).id == pair.standby.incident(run).id
    assert pair.primary.incident(repeat).acknowledged_by == "Sato"
    assert len(pair.primary.telephone.calls) == 1


def test_a_stack_that_is_no_primary_any_more_rings_at_once(pair: Pair) -> None:
    pair.minute(pair.primary)
    pair.primary.peer = None
    pair.primary.clock.time += 3_600_000
    fires(pair.primary)
    pair.primary.twilio_says(pair.primary.last_call, "no-answer")
    assert [call.status for call in pair.primary.telephone.calls] == ["no-answer", "queued"]


def test_what_rings_at_the_standby_does_not_ring_at_the_primary_that_returns(pair: Pair) -> None:
    pair.minute(pair.primary)
    pair.is_cut = True
    pair.waits(fires(pair.standby))
    pair.is_cut = False
    pair.primary.clock.time += 30_000
    fires(pair.primary)
    assert len(pair.primary.telephone.calls) == 1, "the standby's"
    pair.is_cut = True
    for _ in range(4):
        pair.minute(pair.primary)
        pair.primary.passes(60)
    assert len(pair.primary.telephone.calls) == 2, "the standby is not heard of any more"


def test_a_key_at_the_standby_stops_the_old_page_of_the_primary_that_returns(pair: Pair) -> None:
    fires(pair.primary)
    watching = pair.waits(fires(pair.standby))
    pair.is_cut = True
    pair.waits(watching)
    pair.standby.hears(pair.standby.last_call, "1")
    pair.is_cut = False
    pair.minute(pair.standby)
    assert pair.primary.page().state == "resolved", "its last incident has left it"
    assert [call.status for call in pair.primary.telephone.calls] == ["canceled", "in-progress"]
    pair.primary.passes(600)
    assert len(pair.primary.telephone.calls) == 2


def test_resolved_at_one_side_is_resolved_at_the_other(pair: Pair) -> None:
    run = fires(pair.primary)
    watching = pair.waits(fires(pair.standby))
    pair.is_cut = True
    taken = pair.waits(watching)
    pair.standby.hears(pair.standby.last_call, "1")
    pair.is_cut = False
    pair.minute(pair.standby)
    pair.primary.clock.time += 1_000
    pair.primary.resolve()
    pair.minute(pair.standby)
    assert pair.standby.incident(taken).state == "resolved"
    assert pair.primary.incident(run).state == "resolved"


def test_a_resolution_that_only_the_standby_hears_stops_the_primarys_phones(pair: Pair) -> None:
    run = fires(pair.primary)
    waiting = pair.standby.resolve()
    assert pair.waits(waiting).decision["action"] == "none"
    assert pair.primary.incident(run).state == "resolved"
    assert pair.primary.ringing == []


def test_the_standby_does_not_ring_for_what_is_over_when_the_primary_dies(pair: Pair) -> None:
    fires(pair.primary)
    waiting = fires(pair.standby)
    pair.standby.clock.time += 10_000
    pair.standby.resolve()
    pair.is_cut = True
    pair.waits(waiting)
    assert len(pair.primary.telephone.calls) == 1


def test_a_group_that_fires_again_after_its_end_is_not_known(pair: Pair) -> None:
    fires(pair.primary)
    pair.primary.clock.time += 60_000
    pair.primary.resolve()
    pair.primary.clock.time += 60_000
    assert pair.waits(fires(pair.standby)).decision["action"] == "page"


def test_a_page_that_no_call_can_be_placed_for_is_in_nobodys_hands(pair: Pair) -> None:
    pair.primary.telephone.is_away = True
    fires(pair.primary)
    watching = pair.waits(fires(pair.standby))
    pair.primary.passes(65)
    taken = pair.waits(watching)
    assert taken.decision["action"] == "page"


def test_an_execution_that_failed_has_the_other_stack_asked_by_a_primary_that_was_away_alone(pair: Pair) -> None:
    for world in (pair.primary, pair.standby):
        pair.minute(world)
    before = pair.asked
    for world in (pair.primary, pair.standby):
        minute.look(world.services, base=BASE, is_minute=False)
    assert pair.asked == before

    pair.primary.clock.time += roster.AWAY_MS + 1
    minute.look(pair.primary.services, base=BASE, is_minute=False)
    assert pair.asked == before + 1


def test_the_silence_of_either_is_told_once_and_its_end_too(pair: Pair) -> None:
    pair.minute(pair.standby)
    pair.is_cut = True
    for _ in range(8):
        pair.standby.clock.time += 60_000
        pair.minute(pair.standby)
        pair.minute(pair.primary)
    assert pair.standby.topic.subjects == ["the primary does not answer"]
    assert pair.primary.topic.subjects == ["the standby does not answer"]
    pair.is_cut = False
    pair.minute(pair.standby)
    assert pair.standby.topic.subjects[1:] == ["the primary answers again"]
    assert pair.primary.topic.subjects[1:] == ["the standby answers again"]


# The questions themselves.

FORGERIES: Mapping[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "no signature": lambda headers: headers | {wire.SIGNATURE: ""},
    "another's signature": lambda headers: headers | {wire.SIGNATURE: "0" * 64},
    "another nonce": lambda headers: headers | {wire.NONCE: "f" * 32},
    "another time": lambda headers: headers | {wire.TIME: str(int(headers[wire.TIME]) + 1)},
    "no headers": lambda _: {},
}


def question(world: World, role: wire.Role = "standby", token: str = TOKEN) -> tuple[dict[str, str], bytes]:
    """A question as it goes over the wire."""
    sent: list[tuple[dict[str, str], bytes]] = []

    def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
        del url, seconds
        sent.append(({name.lower(): value for name, value in headers.items()}, body))
        raise NoAnswerError("kept")

    with pytest.raises(NoAnswerError):
        Peer(BASE, role, lambda: [token], post, world.clock.now).ask("groups", {"group": "1"})
    return sent[0]


def arrives(world: World, headers: Mapping[str, str], body: bytes, word: str = "groups") -> wire.Asked:
    return wire.read(headers, word, body, table=world.table, tokens=[TOKEN], ours="primary", now=world.clock.now())


def test_a_question_is_answered_once(world: World) -> None:
    headers, body = question(world)
    assert arrives(world, headers, body).given == {"group": "1"}
    with pytest.raises(RefusedError, match="asked before"):
        arrives(world, headers, body)


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_question_is_refused(world: World, forgery: Callable[[dict[str, str]], dict[str, str]]) -> None:
    headers, body = question(world)
    with pytest.raises(RefusedError, match="not signed"):
        arrives(world, forgery(headers), body)


def test_a_question_is_good_for_its_own_word_and_body_alone(world: World) -> None:
    headers, body = question(world)
    with pytest.raises(RefusedError, match="not signed"):
        arrives(world, headers, body, word="exchange")
    with pytest.raises(RefusedError, match="not signed"):
        arrives(world, headers, b'{"group":"2"}')


def test_a_stacks_own_question_sent_back_to_it_is_refused(world: World) -> None:
    headers, body = question(world, role="primary")
    with pytest.raises(RefusedError, match="not signed"):
        arrives(world, headers, body)


def test_an_old_question_is_refused(world: World) -> None:
    headers, body = question(world)
    world.clock.time += (wire.SKEW_SECONDS + 1) * 1000
    with pytest.raises(RefusedError, match="too old"):
        arrives(world, headers, body)


def test_a_question_signed_with_another_token_is_refused(world: World) -> None:
    headers, body = question(world, token="another token, of as many characters as it takes")
    with pytest.raises(RefusedError, match="not signed"):
        arrives(world, headers, body)


def test_an_answer_to_another_question_is_no_answer(world: World) -> None:
    """So a recorded "I have it" cannot keep a standby silent."""
    kept: list[Reply] = []

    def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
        del url, seconds
        if not kept:
            asked = arrives(world, {name.lower(): value for name, value in headers.items()}, body)
            answered = b'{"shares":[]}'
            kept.append(Reply(200, answered, asked.sign(answered)))
        return kept[0]

    peer = Peer(BASE, "standby", lambda: [TOKEN], post, world.clock.now)
    assert peer.ask("groups", {}) == {"shares": []}
    with pytest.raises(NoAnswerError, match="not signed"):
        peer.ask("groups", {})


# The roster.


def applies(world: World, *people: str, at: str) -> None:
    """Somebody applies a roster, as the command does."""
    number = 1 + int((world.table.get("ROSTER", "META") or {}).get("version", 0))
    for person in people:
        item = {"id": person, "name": person.title(), "phone": "+12025550150", "version": number, "position": 1}
        world.table.update(Update("ROSTER", f"RESPONDER#{person}#v{number}", set=item))
    world.table.update(Update("ROSTER", "META", set={"version": number, "applied_at": at, "time_zone": "UTC"}))
    world.table.update(Update("ROSTER#HISTORY", "COUNTER", set={"taken": number}))
    text = {"version": number, "text": "", "applied_at": at, "applied_by": "somebody"}
    world.table.update(Update("ROSTER#HISTORY", f"v{number:08}", set=text))


def people(world: World) -> set[str]:
    return set(roster.read_table(world.table).responders) - {"sato", "suzuki", "takahashi"}  # those by hand


@pytest.mark.parametrize("where", ["primary", "standby"])
def test_a_roster_that_was_applied_to_one_counts_in_both_after_a_minute(pair: Pair, where: str) -> None:
    applies(pair.primary, "old", at="2026-11-22T10:00:00+00:00")
    pair.minute(pair.standby)
    assert people(pair.standby) == {"old"}
    applies(getattr(pair, where), "aiko", "ben", at="2026-11-22T11:00:00+00:00")
    pair.minute(pair.standby)
    assert people(pair.primary) == people(pair.standby) == {"aiko", "ben"}
    pair.minute(pair.standby)
    assert roster.read_table(pair.standby.table).applied_at == roster.read_table(pair.primary.table).applied_at


def test_the_roster_of_a_primary_that_was_away_is_the_later_one(pair: Pair) -> None:
    applies(pair.primary, "old", at="2026-11-22T10:00:00+00:00")
    pair.minute(pair.primary)
    applies(pair.standby, "aiko", at="2026-11-22T11:00:00+00:00")
    pair.primary.clock.time += 600_000
    pair.minute(pair.primary)
    assert people(pair.primary) == {"aiko"}


def test_overrides_are_the_same_in_both_and_one_that_was_removed_does_not_come_back(pair: Pair) -> None:
    made = {
        "id": "swap",
        "responder": "sato",
        "start": "2026-11-23T00:00:00+00:00",
        "end": "2026-11-24T00:00:00+00:00",
        "expires_at": 1795478400,
        "created_at": "2026-11-22T00:00:00+00:00",
    }
    pair.standby.table.update(Update("ROSTER", "OVERRIDE#swap", set=made))
    pair.minute(pair.standby)
    assert set(roster.read_table(pair.primary.table).overrides) == {"swap"}
    left = rosters.removed_item(made, now=pair.primary.clock.now())
    pair.primary.table.delete("ROSTER", "OVERRIDE#swap")
    pair.primary.table.update(Update("ROSTER", left["sk"], set={"id": "swap", "expires_at": left["expires_at"]}))
    pair.minute(pair.standby)
    pair.minute(pair.standby)
    assert not roster.read_table(pair.primary.table).overrides
    assert not roster.read_table(pair.standby.table).overrides


def test_a_proof_counts_in_both(pair: Pair) -> None:
    proof = {"proven_at": 1, "proven_phone": "+12025550100", "status": "proven"}
    pair.primary.table.update(Update("PROOF", "sato", set=proof))
    pair.minute(pair.standby)
    assert pair.standby.table.get("PROOF", "sato") == {"pk": "PROOF", "sk": "sato", **proof}
