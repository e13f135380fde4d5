"""docs/security.md's table of Slack, row by row on the whole system: what is allowed happens, what is refused changes nothing.

Alice and Bob are in the policy, Nora is in the roster for another one; Mel is a member whom the roster does not know, Gus a
guest, Olga of a connected organisation, Eve of another workspace.
"""

import json
from typing import Any

import pytest

from tests.devstack_fixture import wait_until
from tests.e2e.story import Night, Story

IN_POLICY, RESPONDER, MEMBER, GUEST, OUTSIDER, FOREIGN = "alice", "nora", "mel", "gus", "olga", "eve"
EVERYBODY = (IN_POLICY, RESPONDER, MEMBER, GUEST, OUTSIDER, FOREIGN)
BUTTONS = ("acknowledge", "ring_next", "resolve", "take_shift")
ALLOWED = {
    IN_POLICY: {*BUTTONS, "page", "look"},
    RESPONDER: {"acknowledge", "page", "look"},
    MEMBER: {"acknowledge", "look"},
    GUEST: set[str](),
    OUTSIDER: set[str](),
    FOREIGN: set[str](),
}
# Whom the roster does not know is answered in the stack's language.
SAID = {GUEST: "ゲストはここでは何も変更できません", OUTSIDER: "ほかの組織の方は", FOREIGN: "ほかの組織の方は"}
OF_SLACK: dict[str, dict[str, Any]] = {
    GUEST: {"is_restricted": True},
    OUTSIDER: {"is_stranger": True},
    FOREIGN: {"team_id": "T0FOREIGN"},
}


def begins(night: Night, *, fires: bool = True) -> Story:
    """Bob's shift; his phone rings, and after his Alice's would."""
    story = night.story("bob", "alice")
    story.writes(f"SCHEDULE#{story.name}", {"members": [story.id_of("bob"), story.id_of("alice")]})
    steps = [{"schedule": story.name}, *({"responder": story.id_of(one)} for one in ("bob", "alice"))]
    story.writes(f"POLICY#{story.name}", {"steps": steps, "rounds": 1, "ring_seconds": 60})
    for person, what in OF_SLACK.items():
        night.system.control("PUT", "slack", f"users/{story.slack_user(person)}", {"name": person, **what})
    if fires:
        story.fire()
        story.rings(rung_first(story))
        story.is_told()
    return story


def rung_first(story: Story) -> str:
    """Whose week it is."""
    wait_until(story.calls, what="a call")
    return story.called()[0]


def user_of(story: Story, person: str) -> str:
    return "U0NORA" if person == RESPONDER else story.slack_user(person)


def state(story: Story) -> tuple[list[Any], list[Any]]:
    """All that the table says of the story, but for who somebody in Slack is, and its calls. Other stories may go on."""
    night = story.night
    pages = night.dynamodb.get_paginator("scan").paginate(TableName=night.table.name)
    names = [story.name, *(one["id"] for one in story.incidents())]
    items = [item for page in pages for item in page["Items"] if item["pk"] != {"S": "SLACK#PEOPLE"}]
    found = [item for item in items if any(name in str(item) for name in names)]
    calls = [(call["sid"], call["status"]) for call in story.calls()]
    return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"])), calls


def looks_for_the_first_time(story: Story, person: str) -> str:
    """Nothing is kept of what Slack said of somebody; returns their user."""
    user = user_of(story, person)
    key = {"pk": {"S": "SLACK#PEOPLE"}, "sk": {"S": user}}
    story.night.dynamodb.delete_item(TableName=story.night.table.name, Key=key)
    return user


def told(story: Story, user: str) -> list[str]:
    shown = story.system.control("GET", "slack", "ephemerals")
    return [one["text"] for one in shown if one["to"] == user]


def types(story: Story, text: str, user: str) -> str:
    """What somebody who types /oncall reads."""
    body = {"command": "/oncall", "text": text, "user": user, "channel": story.channel}

    def answered() -> str | None:
        outcome = story.system.control("POST", "slack", "commands", body)
        return str(json.loads(outcome["body"])["text"]) if outcome["ok"] else None

    return wait_until(answered, what=f"an answer to {text}")


def presses(story: Story, action: str, user: str) -> None:
    story.system.press_button(story.message()["ts"], action, user)


def is_told(story: Story, user: str, words: str) -> str:
    """Waits until somebody alone reads words; returns all of it."""

    def read() -> str | None:
        return next((text for text in told(story, user) if words in text), None)

    return wait_until(read, what=f"{user} being told {words!r}")


def home_of(story: Story, user: str) -> str:
    """What the home of somebody shows who has opened it."""
    story.system.control("POST", "slack", "home", {"user": user})

    def shown() -> str | None:
        views = story.system.control("GET", "slack", "views")
        return next((json.dumps(one["blocks"]) for one in views if one["user"] == user), None)

    return wait_until(shown, what="a home")


def happens(night: Night, story: Story, action: str, first: str) -> None:
    """Waits until what a button is for has happened."""
    match action:
        case "acknowledge":
            story.becomes("acknowledged")
        case "resolve":
            story.becomes("resolved")
        case "ring_next":
            story.rings("alice" if first == "bob" else "bob")
        case "take_shift":
            wait_until(
                lambda: any(one["sk"].startswith(f"OVERRIDE#{story.name}") for one in night.table.query("ROSTER")),
                what="an override",
            )


@pytest.mark.parametrize("action", BUTTONS)
def test_a_button_does_it_for_whom_it_is_and_nothing_for_all_others(night: Night, action: str) -> None:
    story = begins(night)
    first = rung_first(story)
    for person in EVERYBODY:
        if action in ALLOWED[person]:
            continue
        before, user = state(story), user_of(story, person)
        presses(story, action, user)
        said = is_told(story, user, SAID.get(person, ""))
        assert person in SAID or "Alice" in said or "Bob" in said or "slack_user" in said, said
        assert state(story) == before, f"{person}: {action}"
    if action == "take_shift" and first == IN_POLICY:
        presses(story, action, user_of(story, "bob"))  # it is Alice's already
    else:
        presses(story, action, user_of(story, IN_POLICY))
    happens(night, story, action, first)


@pytest.mark.parametrize("person", [RESPONDER, MEMBER])
def test_others_who_see_it_acknowledge_it(night: Night, person: str) -> None:
    story = begins(night)
    presses(story, "acknowledge", user_of(story, person))
    taken = story.becomes("acknowledged")["acknowledged_by"]
    # In the incident's language, whatever the one who presses reads; a stranger is shown as one, by the id.
    assert taken == "Nora" if person == RESPONDER else f"({user_of(story, person)}, not in the roster)" in taken


def test_the_command_pages_for_responders_three_times_a_minute_and_for_nobody_else(night: Night) -> None:
    story = begins(night, fires=False)
    for person in (MEMBER, GUEST, OUTSIDER):
        before = state(story)
        said = types(story, f"page {story.name} it is down", user_of(story, person))
        assert SAID.get(person, "電話で呼び出せるのは、名簿にある人だけです") in said
        assert state(story) == before
    said = types(story, f"page {story.name} it is down", user_of(story, RESPONDER))
    assert said.startswith(":telephone_receiver:")
    wait_until(story.calls, what="a call")
    replies = [types(story, f"page {story.name} again {n}", user_of(story, IN_POLICY)) for n in range(8)]
    assert sum(one.startswith(":telephone_receiver:") for one in replies) <= 6, "a minute may end in between"
    assert any("within a minute" in one for one in replies)


def test_the_command_takes_a_shift_for_the_schedules_people_alone(night: Night) -> None:
    story = begins(night, fires=False)
    for person in (RESPONDER, MEMBER, GUEST, OUTSIDER):
        before = state(story)
        said = types(story, f"take {story.name} for 2h", user_of(story, person))
        assert "You are on call" not in said
        assert "あなたが当番です" not in said
        assert state(story) == before, person
    assert "You are on call" in types(story, f"take {story.name} for 2h", user_of(story, IN_POLICY))


def test_whoever_may_not_look_reads_nothing(night: Night) -> None:
    story = begins(night)
    for person in EVERYBODY[:-1]:
        listed = types(story, "incidents", looks_for_the_first_time(story, person))
        assert (story.name in listed) is ("look" in ALLOWED[person]), listed
        named = types(story, f"who {story.name}", user_of(story, person))
        assert (f"{story.name}*" in named) is ("look" in ALLOWED[person])


def test_an_incident_of_a_private_channel_is_for_whoever_is_in_it(night: Night) -> None:
    story = begins(night)
    incident = story.incidents()[-1]["id"]
    members = {"members": [user_of(story, "bob")]}
    night.system.control("PUT", "slack", f"channels/{story.channel}", members)
    for person in (RESPONDER, MEMBER):
        user = looks_for_the_first_time(story, person)
        before = state(story)
        assert story.name not in types(story, "incidents", user)
        assert incident not in home_of(story, user)
        presses(story, "acknowledge", user)
        is_told(story, user, "参加していない" if person == MEMBER else "not in the channel")
        assert state(story) == before
    assert story.name in types(story, "incidents", user_of(story, IN_POLICY)), "the roster has her in the policy"
    presses(story, "acknowledge", user_of(story, IN_POLICY))
    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
