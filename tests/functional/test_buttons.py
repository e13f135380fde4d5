"""The buttons under an incident's message: each does what it says, once, and one that is out of date says what is true."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from oncall import actions, authorization, incidents, pages, roster
from oncall.clock import at
from oncall.incidents import TimelineEvent
from oncall.slack import buttons, messages
from oncall.slack.buttons import Press
from oncall.slack.people import Access, Person
from tests.builders import CHANNEL, MINUTE, SATO, SUZUKI, TAKAHASHI, Execution, World, alert, webhook

PEOPLE: dict[str, Any] = {
    "RESPONDER#suzuki": {"name": "Suzuki", "phone": SUZUKI, "position": 2, "slack_user": "U0SUZUKI"},
    "RESPONDER#takahashi": {"name": "Takahashi", "phone": TAKAHASHI, "position": 3, "slack_user": "U0TAKA"},
}
# Sato's week from Monday 09:00, then Suzuki's.
PRIMARY: dict[str, Any] = {
    "SCHEDULE#primary": {"members": ["sato", "suzuki"], "start": "2026-11-16", "hand_over": "monday 09:00"},
    "POLICY#default": {"steps": [{"schedule": "primary"}, "everyone"], "rounds": 2},
}

ACCESS = Access(lambda *_: Person("member", frozenset({CHANNEL})))


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    world.roster(PEOPLE)


def press(world: World, action: str, value: str, user: str = "U0SUZUKI", **more: Any) -> str:
    """Somebody presses a button; returns what they are told."""
    said = buttons.press(world.services, ACCESS, Press(action, value, user, f"name of {user}", **more))
    world.settles_down()
    return said


def incident_of(run: Execution) -> str:
    incident: str = run.decision["incidents"][0]
    return incident


def events(world: World, run: Execution, kind: str) -> list[TimelineEvent]:
    return [event for event in incidents.timeline(world.table, incident_of(run)) if event.kind == kind]


def thread(world: World, run: Execution) -> list[str]:
    return [messages.line(event, "en") for event in incidents.timeline(world.table, incident_of(run))]


def overrides_of(world: World) -> dict[str, roster.Override]:
    known, problems = roster.read_items(world.table.query(roster.PARTITION))
    assert not problems
    return dict(known.overrides)


# ---------------------------------------------------------------- call the next person


def test_the_next_one_rings_at_once_and_the_phone_that_rang_stops(world: World) -> None:
    run = world.fire()
    assert world.ringing == [SATO]
    assert press(world, "ring_next", incident_of(run)) == ""
    assert world.ringing == [SUZUKI]
    assert world.telephone.calls[0].status == "canceled"
    (told,) = events(world, run, "ring_next")
    assert (told.who, told.detail) == ("Suzuki", {"via": "slack", "skipped": "Sato"})
    assert world.story(run) == ["triggered", "ringing", "ring_next", "call_ended", "ringing"]
    assert all(thread(world, run))


def test_whoever_is_skipped_has_had_their_turn_in_this_round(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 2, "calls": 2, "pause_seconds": 0}})
    run = world.fire()
    press(world, "ring_next", incident_of(run))
    for _ in range(2):
        world.twilio_says(world.last_call, "no-answer")
    assert world.rung == [SATO, SUZUKI, SUZUKI, TAKAHASHI]


def test_after_the_last_one_of_a_round_the_next_round_begins_without_a_pause(world: World) -> None:
    world.roster({"RESPONDER#suzuki": None, "RESPONDER#takahashi": None})
    run = world.fire()
    press(world, "ring_next", incident_of(run), user="U0SATO")
    assert world.rung == [SATO, SATO]
    assert len(world.ringing) == 1


def test_after_the_last_one_of_all_nobody_is_left_and_the_fallback_topic_hears_of_it(world: World) -> None:
    world.roster({"RESPONDER#suzuki": None, "RESPONDER#takahashi": None, "POLICY#default": {"rounds": 1}})
    run = world.fire()
    press(world, "ring_next", incident_of(run), user="U0SATO")
    assert world.ringing == []
    assert run.is_over
    assert world.topic.subjects == ["nobody took a page"]


def test_the_same_press_twice_skips_one(world: World) -> None:
    run = world.fire()
    pressed = Press("ring_next", incident_of(run), "U0SUZUKI", "suzuki")
    assert buttons.press(world.services, ACCESS, pressed) == ""
    assert "just asked" in buttons.press(world.services, ACCESS, pressed)  # before the state machine has had its turn
    world.settles_down()
    assert world.ringing == [SUZUKI]
    assert len(events(world, run, "ring_next")) == 1


def test_two_who_looked_at_the_same_phone_ring_skip_one(world: World) -> None:
    run = world.fire()
    seen = world.clock.now()
    world.clock.time += 10_000
    press(world, "ring_next", incident_of(run), seen_at=seen)
    world.clock.time += 900
    assert "Suzuki has just asked" in press(world, "ring_next", incident_of(run), user="U0TAKA", seen_at=seen)
    assert world.ringing == [SUZUKI]


def test_whoever_has_seen_the_next_phone_ring_may_skip_that_too(world: World) -> None:
    run = world.fire()
    world.clock.time += 10_000
    press(world, "ring_next", incident_of(run), seen_at=world.clock.now() - 9_000)
    world.clock.time += 500
    assert press(world, "ring_next", incident_of(run), seen_at=world.incident(run).changed_at) == ""
    assert world.ringing == [TAKAHASHI]


def test_whoever_has_not_seen_yet_that_the_next_phone_rings_skips_nobody(world: World) -> None:
    run = world.fire()
    seen = world.incident(run).changed_at
    world.clock.time += 25_000
    world.twilio_says(world.last_call, "no-answer")
    world.clock.time += 500
    assert "Suzuki" in press(world, "ring_next", incident_of(run), user="U0TAKA", seen_at=seen)
    assert world.ringing == [SUZUKI]
    assert not events(world, run, "ring_next")
    world.clock.time += actions.UNSEEN_MS
    assert press(world, "ring_next", incident_of(run), user="U0TAKA", seen_at=seen) == ""
    assert world.ringing == [TAKAHASHI]


def test_the_first_phone_may_be_skipped_by_whoever_saw_the_message_before_it_rang(world: World) -> None:
    run = world.receive(webhook())
    seen = world.incident(run).changed_at
    world.clock.time += 500
    world.go_on(run)
    assert press(world, "ring_next", incident_of(run), seen_at=seen) == ""
    assert world.ringing == [SUZUKI]


def test_a_press_while_the_step_asks_twilio_what_became_of_the_call_is_not_overlooked(world: World) -> None:
    run = world.fire()
    world.telephone.while_fetched = [
        lambda: world.dynamo.before("UpdateItem", lambda: press(world, "ring_next", incident_of(run)))
    ]
    world.passes(MINUTE)  # the step's time limit: no word from the call
    assert world.ringing == [SUZUKI]


def test_a_message_that_was_not_refreshed_does_not_hold_anybody_up_for_long(world: World) -> None:
    run = world.fire()
    seen = world.clock.now()
    press(world, "ring_next", incident_of(run), seen_at=seen)
    world.clock.time += actions.UNSEEN_MS
    assert press(world, "ring_next", incident_of(run), seen_at=seen) == ""
    assert world.ringing == [TAKAHASHI]


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_two_at_the_same_moment_skip_one(world: World, operation: str) -> None:
    run = world.fire()
    said: list[str] = []
    other = Press("ring_next", incident_of(run), "U0TAKA", "takahashi", seen_at=world.clock.now())
    world.dynamo.before(operation, lambda: said.append(buttons.press(world.services, ACCESS, other)))
    said.append(press(world, "ring_next", incident_of(run), seen_at=world.clock.now()))
    assert sorted(bool(one) for one in said) == [False, True]
    assert world.ringing == [SUZUKI]
    assert len(events(world, run, "ring_next")) == 1


@pytest.mark.parametrize("answered", [True, False])
def test_whoever_dies_while_asking_has_asked_or_not_and_the_page_goes_on(world: World, *, answered: bool) -> None:
    world.fire()
    before = len(world.dynamo.requests)
    run = next(iter(world.executions.values()))
    press(world, "ring_next", incident_of(run))
    for number in range(len(world.dynamo.requests) - before):
        fresh = World(world.dynamo.client)
        fresh.roster(PEOPLE)
        again = fresh.fire()
        with fresh.dynamo.dies(number, answered=answered):
            press(fresh, "ring_next", incident_of(again))
        fresh._released.clear()  # it has died before Step Functions heard of it
        fresh.passes(2 * MINUTE)
        asked = any(call.skip for call in fresh.page().calls)
        assert fresh.ringing == [SUZUKI if asked else SATO]
        assert bool(events(fresh, again, "ring_next")) == asked


def test_a_key_that_was_pressed_by_the_skipped_one_still_counts(world: World) -> None:
    run = world.fire()
    first = world.last_call
    first.status = "in-progress"
    buttons.press(world.services, ACCESS, Press("ring_next", incident_of(run), "U0SUZUKI", "suzuki"))
    world.hears(first, "1")
    assert world.rung == [SATO]
    assert world.page().acknowledged_by == "Sato"


def test_while_twilio_is_away_the_skipped_phone_is_hung_up_later(world: World) -> None:
    run = world.fire()
    world.telephone.is_away = True
    press(world, "ring_next", incident_of(run))
    assert world.ringing == [SATO]
    world.telephone.is_away = False
    world.passes(5)
    assert world.ringing == [SUZUKI]


def taken_by_phone(world: World, _: Execution) -> None:
    world.hears(world.last_call, "1")


def resolved(world: World, _: Execution) -> None:
    world.resolve()


def unanswered(world: World, run: Execution) -> None:
    while not run.is_over:
        for call in world.telephone.ringing:
            world.twilio_says(call, "busy")
        world.passes(MINUTE)


def pausing(world: World, _: Execution) -> None:
    for _number in range(3):
        world.twilio_says(world.last_call, "busy")


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (taken_by_phone, "Sato has it already"),
        (resolved, "is resolved"),
        (unanswered, "No phone rings"),
        (pausing, "No phone rings"),
    ],
)
def test_when_no_phone_rings_the_presser_is_told_why(
    world: World, happens: Callable[[World, Execution], None], words: str
) -> None:
    run = world.fire()
    happens(world, run)
    rung = len(world.rung)
    world.slack_asked.clear()
    assert words in press(world, "ring_next", incident_of(run))
    assert len(world.rung) == rung
    assert world.slack_asked == [incident_of(run)], "the message is refreshed"
    assert not events(world, run, "ring_next")


def test_a_phone_that_is_only_being_dialled_cannot_be_skipped_yet(world: World) -> None:
    said: list[str] = []
    run = world.receive(webhook())
    world.telephone.while_asked.append(lambda _: said.append(press(world, "ring_next", incident_of(run))))
    world.go_on(run)
    assert "No phone rings" in said[0]
    assert world.ringing == [SATO]


def test_a_lost_answer_of_the_table_is_no_refusal(world: World) -> None:
    run = world.fire()
    with world.dynamo.loses(0):
        page = pages.skip(world.table, world.page(), who="Suzuki", via="slack", now=world.clock.now())
    assert page == world.page()
    assert [call.skip and call.skip.who for call in page.calls] == ["Suzuki"]
    assert run.token


# ---------------------------------------------------------------- acknowledge and resolve


def test_whoever_is_not_in_the_roster_takes_it_under_their_slack_name(world: World) -> None:
    run = world.fire()
    assert press(world, "acknowledge", incident_of(run), user="U0GUEST") == ""
    assert world.incident(run).acknowledged_by == "name of U0GUEST (U0GUEST, not in the roster)"


@pytest.mark.parametrize("kind", ["member", "guest", "outsider", None])
@pytest.mark.parametrize("action", ["acknowledge", "ring_next", "resolve", "take_shift"])
def test_a_press_that_is_not_allowed_changes_nothing_and_says_why(
    world: World, kind: authorization.Kind | None, action: str
) -> None:
    if (action, kind) == ("acknowledge", "member"):
        return  # which is allowed, above
    run = world.fire()
    contents = world.dynamo.client.scan(TableName=world.table.name)["Items"]
    counted: list[str] = []
    person = Person(kind, frozenset({CHANNEL})) if kind else None
    access = Access(lambda *_: person, refused=counted.append)
    said = buttons.press(world.services, access, Press(action, incident_of(run), "U0EVIL", "Sato"))
    world.settles_down()
    assert said
    assert world.ringing == [SATO]
    assert world.dynamo.client.scan(TableName=world.table.name)["Items"] == contents
    if kind in ("guest", "outsider"):
        assert "Sato" in said
        assert len(counted) == 1
    if kind == "member" and action in ("ring_next", "resolve"):
        assert "You can acknowledge it" in said


ELSEWHERE = Person("member", frozenset({"C0ELSEWHERE"}))


@pytest.mark.parametrize("user", ["U0GUEST", "U0SUZUKI"])
@pytest.mark.parametrize(
    ("person", "channel", "counts"),
    [
        (Person("member", frozenset({CHANNEL})), CHANNEL, True),
        (Person("member", frozenset({CHANNEL})), "", True),
        (Person("member", None), CHANNEL, True),  # Slack has shown them the message
        (Person("member", None), "", False),
        (ELSEWHERE, CHANNEL, False),
        (ELSEWHERE, "C0ELSEWHERE", False),
        (ELSEWHERE, "", False),
        (Person("member", frozenset({CHANNEL, "C0ELSEWHERE"})), "C0ELSEWHERE", False),
    ],
)
def test_a_press_counts_from_the_incidents_channel_if_they_are_in_it(
    world: World, user: str, person: Person, channel: str, counts: bool
) -> None:
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}]}})
    incident = incident_of(world.fire())
    said = buttons.press(
        world.services, Access(lambda *_: person), Press("acknowledge", incident, user, "x", channel=channel)
    )
    world.settles_down()
    assert (world.ringing == []) is counts
    assert ("You are not in the channel of this incident" in said) is not counts


def test_a_responder_of_the_policy_acts_from_anywhere(world: World) -> None:
    incident = incident_of(world.fire())
    pressed = Press("acknowledge", incident, "U0SUZUKI", "x", channel="C0ELSEWHERE")
    assert buttons.press(world.services, Access(lambda *_: ELSEWHERE), pressed) == ""


def test_a_responder_of_another_policy_may_not_resolve(world: World) -> None:
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}]}})
    run = world.fire()
    assert "Only people of the escalation policy default" in press(world, "resolve", incident_of(run))
    assert world.incident(run).state == "triggered"
    assert press(world, "resolve", incident_of(run), user="U0SATO") == ""
    assert world.incident(run).state == "resolved"


def test_an_acknowledgement_that_comes_too_late_says_who_has_it(world: World) -> None:
    run = world.fire()
    press(world, "acknowledge", incident_of(run), user="U0SATO")
    said = press(world, "acknowledge", incident_of(run))
    assert "Sato has it already, since <!date^" in said
    assert press(world, "acknowledge", incident_of(run), user="U0SATO") == "", "no news to Sato"
    assert world.incident(run).acknowledged_by == "Sato"


def test_resolving_ends_it_and_says_who_did(world: World) -> None:
    run = world.fire()
    assert press(world, "resolve", incident_of(run)) == ""
    assert world.ringing == []
    assert world.incident(run).state == "resolved"
    assert events(world, run, "resolved")[0].who == "Suzuki"
    for action in ("acknowledge", "ring_next", "resolve"):
        assert "is resolved" in press(world, action, incident_of(run))
    assert len(events(world, run, "resolved")) == 1


def test_an_incident_that_is_long_forgotten_says_so(world: World) -> None:
    for action in ("acknowledge", "ring_next", "resolve", "take_shift"):
        assert "not known any more" in press(world, action, "20250101-000000-abcdef")


# ---------------------------------------------------------------- take the shift


def test_whoever_takes_the_shift_is_on_call_until_it_ends(world: World) -> None:
    world.roster(PRIMARY)
    run = world.fire()
    said = press(world, "take_shift", incident_of(run), user="U0TAKA")
    (override,) = overrides_of(world).values()
    assert (override.responder, override.schedule) == ("takahashi", "primary")
    assert override.end.isoformat() == "2026-11-23T09:00:00+00:00"
    assert said.startswith("You are on call (primary) until <!date^")
    (told,) = events(world, run, "shift_taken")
    assert told.who == "Takahashi"
    assert told.detail == {"via": "slack", "schedule": "primary", "until": round(override.end.timestamp() * 1000)}
    assert all(thread(world, run))
    world.twilio_says(world.last_call, "no-answer")
    assert world.ringing == [TAKAHASHI], "the next call goes to them"


def test_only_the_schedule_that_is_rung_first_is_taken(world: World) -> None:
    steps = [{"schedule": "primary"}, {"schedule": "secondary"}]
    world.roster({**PRIMARY, "SCHEDULE#secondary": {"members": ["suzuki"]}, "POLICY#default": {"steps": steps}})
    press(world, "take_shift", incident_of(world.fire()), user="U0SUZUKI")
    assert [override.schedule for override in overrides_of(world).values()] == ["primary"]


def test_taking_it_again_changes_nothing(world: World) -> None:
    world.roster(PRIMARY)
    run = world.fire()
    first = press(world, "take_shift", incident_of(run), user="U0TAKA")
    world.clock.time += 5_000
    assert press(world, "take_shift", incident_of(run), user="U0TAKA") == first
    assert len(overrides_of(world)) == 1
    assert len(events(world, run, "shift_taken")) == 1


def test_whoever_has_the_shift_by_rotation_is_told_so_and_nothing_is_written(world: World) -> None:
    world.roster(PRIMARY)
    run = world.fire()
    assert "You are on call (primary)" in press(world, "take_shift", incident_of(run), user="U0SATO")
    assert overrides_of(world) == {}
    assert not events(world, run, "shift_taken")


def test_of_two_who_take_it_at_the_same_moment_one_gets_it(world: World) -> None:
    world.roster(PRIMARY)
    run = world.fire()
    said: list[str] = []
    world.dynamo.before(
        "UpdateItem", lambda: said.append(press(world, "take_shift", incident_of(run), user="U0SUZUKI"))
    )
    said.append(press(world, "take_shift", incident_of(run), user="U0TAKA"))
    assert [override.responder for override in overrides_of(world).values()] == ["suzuki"]
    assert said[0].startswith("You are on call")
    assert said[1].startswith("Suzuki has just taken that shift")
    assert [event.who for event in events(world, run, "shift_taken")] == ["Suzuki"]


def test_a_shift_goes_from_hand_to_hand(world: World) -> None:
    world.roster(PRIMARY)
    run = world.fire()
    for user in ("U0TAKA", "U0SUZUKI", "U0TAKA", "U0SATO"):
        world.clock.time += 60_000
        assert press(world, "take_shift", incident_of(run), user=user).startswith("You are on call")
    assert len(overrides_of(world)) == 4
    assert [event.who for event in events(world, run, "shift_taken")] == ["Takahashi", "Suzuki", "Takahashi", "Sato"]


def test_a_shift_that_never_ends_is_taken_for_a_week(world: World) -> None:
    world.roster({"SCHEDULE#everyone": {"members": ["sato"], "shift": "52 weeks"}})
    press(world, "take_shift", incident_of(world.fire()), user="U0TAKA")
    (override,) = overrides_of(world).values()
    assert override.end == at(world.clock.now()) + timedelta(weeks=1)


def test_whoever_is_not_in_the_roster_is_told_how_to_get_in(world: World) -> None:
    run = world.fire()
    assert "`slack_user: U0GUEST`" in press(world, "take_shift", incident_of(run), user="U0GUEST")
    assert overrides_of(world) == {}


def test_without_a_schedule_there_is_no_shift(world: World) -> None:
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}]}})
    assert "no shift to take" in press(world, "take_shift", incident_of(world.fire()), user="U0SATO")


# ---------------------------------------------------------------- words


def test_everybody_is_told_in_their_language(world: World) -> None:
    world.roster({"RESPONDER#suzuki": {**PEOPLE["RESPONDER#suzuki"], "language": "ja"}})
    run = world.fire()
    world.hears(world.last_call, "1")
    assert "すでにSatoさんが対応中です" in press(world, "ring_next", incident_of(run))
    assert "Sato has it already" in press(world, "ring_next", incident_of(run), user="U0TAKA")


def test_both_languages_say_the_same_things() -> None:
    english, japanese = buttons._WORDS["en"], buttons._WORDS["ja"]
    assert english.keys() == japanese.keys()


def test_a_hostile_name_mentions_nobody(world: World) -> None:
    run = world.fire()
    buttons.press(world.services, ACCESS, Press("acknowledge", incident_of(run), "U0GUEST", "<!channel> <@U0SATO>"))
    world.settles_down()
    assert "<!channel>" not in press(world, "acknowledge", incident_of(run))
    assert "<@" not in press(world, "ring_next", incident_of(run))


# ---------------------------------------------------------------- nobody took it


def nobody_takes(world: World, *keys: str) -> list[str]:
    """Groups fire together, in one page, and nobody takes it; returns the incidents in the order in which they fired."""
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}, {"responder": "suzuki"}], "rounds": 1}})
    found = [world.fire(webhook(key=key)).decision["incidents"][0] for key in keys]
    world.project(*found)
    for _ in range(2):
        world.twilio_says(world.last_call, "no-answer")
    world.project(*found)
    return found


def broadcasts(world: World) -> list[str]:
    return [one.text for one in world.slack.messages if one.is_broadcast]


def test_a_page_of_several_that_nobody_took_tells_everybody_once_with_the_list(world: World) -> None:
    nobody_takes(world, *(f"group {number}" for number in range(12)))
    (told,) = broadcasts(world)
    first, *listed = told.split("\n")
    assert first.startswith("<!here> Nobody took these 12 incidents in 1 round, 2 calls.")
    assert "A repeat of the alert rings again" in first
    assert len(listed) == 11
    assert all("group" in line and "|group" in line for line in listed[:10]), "each is a link"
    assert listed[-1] == "… and 1 more"
    assert all("UNANSWERED" in json.dumps(post.blocks) for post in world.slack.posts)
    assert len(world.slack.posts) == 5, "the others are lines below the first"


def test_of_one_that_nobody_took_everybody_is_told_when_its_repeat_comes(world: World) -> None:
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}], "rounds": 3, "pause_seconds": 1_000}})
    run = world.fire()
    world.project(*run.decision["incidents"])
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
        world.passes(1_000)
        world.fire()
        world.project(*run.decision["incidents"])
    (told,) = broadcasts(world)
    assert told.startswith("<!here> Nobody took it in 3 rounds, 3 calls.")
    assert "expected <!date^" in told


def test_channels_are_told_of_their_own_alone(world: World) -> None:
    world.slack.channels.add("C0SALE")
    world.roster({"PRODUCT#sale": {"slack_channel": "C0SALE"}})
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}], "rounds": 1}})
    sale = webhook(alert("sale", labels={"product": "sale"}), key="sale", product="sale")
    found = [world.fire(hook).decision["incidents"][0] for hook in (webhook(key="a"), webhook(key="b"), sale)]
    world.project(*found)
    world.twilio_says(world.last_call, "no-answer")
    world.project(*found)
    told = [one for one in world.slack.messages if one.is_broadcast]
    assert sorted(one.channel for one in told) == sorted([CHANNEL, "C0SALE"])
    for one in told:
        assert ("sale" in one.text) is False
        assert ("these 2 incidents" in one.text) is (one.channel == CHANNEL)


def test_the_button_rings_again_for_all_that_the_page_covered(world: World) -> None:
    first, second = nobody_takes(world, "one", "two")
    assert "ring_again" in json.dumps(world.slack.posts[0].blocks)
    before = len(world.started)
    assert press(world, "ring_again", second) == ""
    assert press(world, "ring_again", first) == "", "the same again"
    assert len(world.started) == before + 1
    world.run_started(since=before)
    assert world.ringing == [SATO]
    assert world.page().incidents == {first, second}
    assert press(world, "ring_again", first) == "The phones ring again already."
    world.hears(world.last_call, "1")
    states = {one: incidents.read(world.table, one) for one in (first, second)}
    assert [one and one.state for one in states.values()] == ["acknowledged", "acknowledged"]
    assert press(world, "ring_again", first).startswith("Sato has it already")
    world.project(second)
    assert any(
        "Suzuki had the phones rung again in Slack." in line for line in world.slack.thread(world.slack.posts[1])
    )


def test_a_member_may_not_ring_again(world: World) -> None:
    (incident,) = nobody_takes(world, "one")
    before = len(world.started)
    assert "Only people in the roster may page: Sato, Suzuki" in press(world, "ring_again", incident, user="U0GUEST")
    assert len(world.started) == before


def test_of_incidents_that_were_taken_together_one_thread_names_the_others_and_each_message_counts_them(
    world: World,
) -> None:
    found = [world.fire(webhook(key=key)).decision["incidents"][0] for key in ("one", "two", "three")]
    world.project(*found)
    world.hears(world.last_call, "1")
    world.project(*found)
    lead, *others = (world.slack.thread(post) for post in world.slack.posts)
    (taken,) = [line for line in lead if "Acknowledged" in line]
    assert "with 2 others" in taken
    assert taken.count("\n• <https://") == 2
    assert "two alert is down" in taken
    assert others == [[], []]
    assert all("Sato has it, together with 2 others" in post.text for post in world.slack.posts)


def test_of_many_taken_together_the_messages_say_enough(world: World) -> None:
    found = [world.fire(webhook(key=f"group {number}")).decision["incidents"][0] for number in range(31)]
    for one in found:
        world.project(one)
        world.clock.time += 3_000
    world.hears(world.last_call, "1")
    told = [event for one in found for event in incidents.timeline(world.table, one) if event.kind == "acknowledged"]
    assert len(told) == 31
    assert sum(event.in_thread for event in told) == 1, "of the others their messages and lines are enough"


# ---------------------------------------------------------------- a shift that changes hands


def test_the_channel_and_whoever_was_replaced_are_told_and_it_can_be_undone(world: World) -> None:
    world.roster(PRIMARY)
    run = world.fire()
    for _ in range(2):
        press(world, "take_shift", incident_of(run), user="U0TAKA")
    (told,) = world.posts_asked
    assert told["channel"] == CHANNEL
    assert told["text"].startswith(":arrows_counterclockwise: <@U0TAKA> is on call (primary) until <!date^1795424400^")
    assert told["text"].endswith("instead of <@U0SATO>.")
    (override,) = overrides_of(world)
    assert told["undo"] == {"value": override, "label": "Undo"}
    assert "You are not in the roster yet" in press(world, "undo_shift", override, user="U0GUEST")
    assert list(overrides_of(world)) == [override]
    assert press(world, "undo_shift", override, user="U0SATO") == ""
    assert overrides_of(world) == {}
    assert world.posts_asked[1]["text"] == (
        ":leftwards_arrow_with_hook: <@U0SATO> has undone a taken shift. On call (primary) is <@U0SATO>."
    )
    assert press(world, "undo_shift", override, user="U0SATO") == "That shift is not taken any more."
    assert "You are on call (primary)" in press(world, "take_shift", incident_of(run), user="U0TAKA"), "once more"
    assert list(overrides_of(world)) == [override]


def test_the_line_of_a_taken_shift_goes_where_its_products_are_told(world: World) -> None:
    world.roster(PRIMARY | {"PRODUCT#sale": {"slack_channel": "C0SALE"}, "PRODUCT#shop": {}})
    press(world, "take_schedule", "primary", user="U0TAKA")
    assert [one["channel"] for one in world.posts_asked] == [CHANNEL, "C0SALE"]
