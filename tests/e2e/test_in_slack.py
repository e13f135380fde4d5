"""What people do in Slack on the whole system: buttons, the command, the app's home, the user group."""

import json
from typing import Any

from tests.devstack_fixture import wait_until
from tests.e2e.story import Night, Story


def presses(story: Story, action: str, person: str) -> None:
    """A person presses a button of the message as it is now. On a busy machine the answer may be late; its effect counts."""
    story.system.press_button(story.message()["ts"], action, story.slack_user(person))


def types(story: Story, text: str, person: str) -> str:
    """A person types /oncall, again if the machine is too busy to answer within Slack's 3 s; returns what they read."""
    user = story.slack_user(person)
    body = {"command": "/oncall", "text": text, "user": user, "channel": story.channel}

    def answered() -> dict[str, Any] | None:
        outcome = story.system.control("POST", "slack", "commands", body)
        assert outcome["ok"] or outcome["error"] == "operation_timeout", outcome
        return json.loads(outcome["body"]) if outcome["ok"] else None

    said = wait_until(answered, what=f"an answer to /oncall {text}")
    assert said["response_type"] == "ephemeral"
    return str(said["text"])


def is_told(story: Story, person: str, words: str) -> None:
    """Waits until a person alone reads something."""

    def told() -> bool:
        shown = story.system.control("GET", "slack", "ephemerals")
        return any(one["to"] == story.slack_user(person) and words in one["text"] for one in shown)

    wait_until(told, what=f"{person} being told {words!r}")


def home_of(story: Story, person: str, words: str) -> dict[str, Any]:
    """Waits until a person's home has words; returns the view."""

    def shown() -> dict[str, Any] | None:
        views = story.system.control("GET", "slack", "views")
        mine = (view for view in views if view["user"] == story.slack_user(person))
        return next((view for view in mine if words in json.dumps(view["blocks"], ensure_ascii=False)), None)

    return wait_until(shown, what=f"{words!r} in the home of {person}")


def test_the_next_one_is_rung_by_a_button_and_whoever_is_late_is_told_what_is_true(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire()
    first = story.rings("alice")
    presses(story, "ring_next", "bob")
    assert story.ended(first["sid"])["status"] == "canceled"
    story.rings("bob")
    assert story.happened("ring_next")["who"] == "Bob"
    presses(story, "acknowledge", "alice")
    taken = story.becomes("acknowledged")
    assert taken["acknowledged_by"] == "Alice"
    wait_until(lambda: all(call["status"] in ("canceled", "completed") for call in story.calls()), what="silence")
    presses(story, "resolve", "bob")
    story.becomes("resolved")
    assert story.happened("resolved")["who"] == "Bob"
    story.is_told()
    assert all(block["type"] != "actions" for block in story.message()["blocks"])
    assert story.called() == ["alice", "bob"]


def test_a_shift_is_taken_by_a_button_and_the_next_call_goes_there(night: Night) -> None:
    story = night.story("alice", "bob", "carol", rounds=2)
    people = [story.id_of(person) for person in ("alice", "bob", "carol")]
    story.writes(f"SCHEDULE#{story.name}", {"members": people[:1]})
    steps = [{"schedule": story.name}, {"responder": people[1]}, {"responder": people[2]}]
    story.writes(f"POLICY#{story.name}", {"steps": steps, "ring_seconds": 60})
    story.fire()
    ringing = story.rings("alice")
    presses(story, "take_shift", "carol")
    is_told(story, "carol", f"You are on call ({story.name}) until")
    assert story.happened("shift_taken")["who"] == "Carol"
    story.system.control("POST", "twilio", f"calls/{ringing['sid']}/decline", {})
    story.takes("carol")
    assert story.becomes("acknowledged")["acknowledged_by"] == "Carol"


def test_the_command_pages_lists_and_takes(night: Night) -> None:
    story = night.story("alice", "bob")
    story.writes(f"SCHEDULE#{story.name}", {"members": [story.id_of("alice")]})
    steps = [{"schedule": story.name}, {"responder": story.id_of("bob")}]
    story.writes(f"POLICY#{story.name}", {"steps": steps, "rounds": 1, "ring_seconds": 60})
    assert "You are on call" in types(story, f"take {story.name} for 2h", "bob")
    said = types(story, f"page {story.name} checkout is <!channel> slow", "alice")
    assert said.startswith(":telephone_receiver: Bob is called now")
    story.takes("bob")
    incident, *_ = wait_until(lambda: [one for one in story.incidents() if one["state"] == "acknowledged"])
    wait_until(lambda: "slack_link" in (night.table.get(incident["pk"], "STATE") or {}), what="its message")
    listed = types(story, "incidents", "alice")
    assert "checkout is ‹!channel&gt; slow> " in listed, "with a link"
    assert "Bob has it" in listed
    assert "Rings" in types(story, "", "alice")
    assert "Did you mean `/oncall incidents`?" in types(story, "incident", "alice")


def test_the_home_shows_what_is_open_and_its_buttons_work(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire()
    story.rings("alice")
    story.is_told()
    story.system.control("POST", "slack", "home", {"user": story.slack_user("bob")})
    incident = story.incidents()[-1]["id"]
    view = home_of(story, "bob", incident)
    press = {"action_id": "acknowledge", "user": story.slack_user("bob"), "value": incident}
    story.system.control("POST", "slack", f"views/{view['id']}/press", press)
    assert story.becomes("acknowledged")["acknowledged_by"] == "Bob"

    def offers_no_more() -> bool:
        blocks = home_of(story, "bob", incident)["blocks"]
        buttons = [one for block in blocks if block["type"] == "actions" for one in block["elements"]]
        return ("acknowledge", incident) not in {(one["action_id"], one["value"]) for one in buttons}

    wait_until(offers_no_more, what="the home being shown anew")


def test_the_user_group_gets_whoever_is_rung_first(night: Night) -> None:
    story = night.story("alice", "bob")
    group = f"S0{story.name.replace('-', 'N').upper()}"
    night.system.control("PUT", "slack", f"usergroups/{group}", {})
    notification = night.function("SlackNotificationFunction")
    night.system.client("lambda").invoke(FunctionName=notification, Payload=json.dumps({"user_group": group}).encode())
    members = wait_until(lambda: night.system.control("GET", "slack", "usergroups")[group])
    assert story.slack_user("alice") in members
    assert story.slack_user("bob") not in members


def test_slack_accepts_the_address_for_events(night: Night) -> None:
    wait_until(lambda: night.system.control("POST", "slack", "verify", {})["ok"], what="the challenge coming back")
