"""What SlackNotification does for others, with Slack's own library on the simulated Slack: done, or noted and left."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from slack_sdk import WebClient

from devstack.slack.api import create_app as slack_app
from devstack.slack.workspace import User
from oncall.authorization import Kind
from oncall.services import Services
from oncall.slack import api, people
from oncall.slack.people import Person
from oncall.slack.user_group import RefusedError
from tests.builders import CHANNEL, World
from tests.devstack.application import Application, serving

TOKEN, SECRET, GROUP = "xoxb-1", "secret", "S0ONCALL"
SATO = User("U0SATO", "sato", "sato@example.com")


class Slack:
    """The simulated Slack, whose buttons lead to an application that only takes them."""

    def __init__(self, url: str, app: Application) -> None:
        self.url = url
        self.app = app
        self.client = WebClient(TOKEN, base_url=f"{url}/api/", retry_handlers=[])

    def control(self, method: str, path: str, body: object = None) -> Any:
        answer = requests.request(method, f"{self.url}/_sim/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def pressed(self) -> str:
        """Somebody presses a button; returns its response_url."""
        button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
        blocks = [{"type": "actions", "elements": [button]}]
        ts = self.client.chat_postMessage(channel=CHANNEL, text="Hello", blocks=blocks)["ts"]
        self.control("POST", f"messages/{ts}/press", {"action_id": "go", "user": SATO.id})
        url: str = json.loads(self.app.at("/actions")[-1].form["payload"])["response_url"]
        return url


@pytest.fixture
def there() -> Iterator[Slack]:
    app = Application()
    with serving(app) as address:
        simulated = slack_app(
            bot_token=TOKEN, signing_secret=SECRET, users=[SATO], interactivity_url=f"{address}/actions"
        )
        with serving(simulated) as url:
            yield Slack(url, app)


def test_a_word_to_whoever_pressed_is_seen_by_nobody_else_and_leaves_the_message(there: Slack) -> None:
    api.tell(there.pressed(), "Suzuki has it already.", api_url=f"{there.url}/api/")
    (shown,) = there.control("GET", "ephemerals")
    assert (shown["text"], shown["to"]) == ("Suzuki has it already.", SATO.id)
    (message,) = there.control("GET", "messages")
    assert message["edits"] == 0


@pytest.mark.parametrize("where", ["there", "nowhere"])
def test_a_word_that_does_not_arrive_is_left(there: Slack, where: str, caplog: pytest.LogCaptureFixture) -> None:
    base = there.url if where == "there" else "http://127.0.0.1:9"
    api.tell(f"{base}/hooks/unknown", "late", api_url=f"{base}/api/")
    assert "could not be told" in caplog.text
    assert "/hooks/" not in caplog.text, "whoever has the address may post"


@pytest.mark.parametrize(
    "address",
    [
        "{there}/hooks/x",
        "{there}/hooks.slack.com/x",
        "http://hooks.slack.com/actions/x",
        "https://hooks.slack.com.example.com/x",
        "https://hooks.slack.com@example.com/x",
        "https://hooks.slack.com:8443/x",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_nobody_but_slack_is_told(there: Slack, address: str, caplog: pytest.LogCaptureFixture) -> None:
    api.tell(address.format(there=there.url), "Suzuki has it already.")
    assert "the address is not Slack's" in caplog.text
    assert there.control("GET", "errors") == [], "nothing was posted there"


def on(world: World, there: Slack) -> Services:
    return replace(world.services, slack=lambda: there.client)


def test_a_home_is_shown_again_and_again(world: World, there: Slack) -> None:
    world.fire()
    for notice in ("", "Sato has it already."):
        api.publish_home(on(world, there), SATO.id, notice)
    (view,) = there.control("GET", "views")
    assert (view["type"], view["user"]) == ("home", SATO.id)
    assert "Sato has it already." in json.dumps(view["blocks"])
    assert there.control("GET", "errors") == []


def test_a_home_that_slack_does_not_take_is_left(world: World, there: Slack, caplog: pytest.LogCaptureFixture) -> None:
    api.publish_home(on(world, there), "U0NOBODY")
    there.control("PUT", "faults", {"status": 500, "times": 1})
    api.publish_home(on(world, there), SATO.id)
    assert caplog.text.count("could not be shown") == 2


def test_the_user_group_gets_its_members(there: Slack) -> None:
    there.control("PUT", f"usergroups/{GROUP}", {})
    api.set_members(there.client, GROUP, [SATO.id])
    assert there.control("GET", "usergroups") == {GROUP: [SATO.id]}


@pytest.mark.parametrize(
    ("fault", "error", "may_pass"),
    [
        ({}, "no_such_subteam", False),
        ({"error": "plan_upgrade_required", "times": 1}, "plan_upgrade_required", False),
        ({"status": 429, "times": 1}, "ratelimited", True),
        ({"status": 503, "times": 1}, "service_unavailable", True),
        ({"lose_answer": True, "times": 1}, "no answer", True),
    ],
)
def test_a_refusal_says_whether_somebody_has_to_mend_something(
    there: Slack, fault: dict[str, Any], error: str, *, may_pass: bool
) -> None:
    if "lose_answer" in fault:
        there.control("PUT", f"usergroups/{GROUP}", {})
    there.control("PUT", "faults", fault)
    with pytest.raises(RefusedError, match=error) as refused:
        api.set_members(there.client, GROUP, [SATO.id])
    assert refused.value.may_pass == may_pass


# ---------------------------------------------------------------- who somebody is


def known(world: World, there: Slack, user: str = SATO.id, *, channel: str = "") -> Person | None:
    """What is known of somebody, who is looked up when that is asked for."""
    services = on(world, there)
    return people.person_of(
        world.table, user, lambda one: api.look_up(services, one), now=world.clock.now(), channel=channel
    )


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ({}, "member"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_stranger": True}, "outsider"),
    ],
)
def test_what_slack_says_of_somebody(world: World, there: Slack, user: dict[str, bool], kind: Kind) -> None:
    there.control("PUT", f"users/{SATO.id}", user)
    there.control("PUT", "channels/C0SECRET", {"name": "secret", "members": ["U0OTHER"]})
    there.control("PUT", "channels/C0OURS", {"name": "ours", "members": [SATO.id]})
    person = known(world, there)
    assert person == Person(kind, frozenset({CHANNEL, "#on-call", "C0OURS", "#ours"}))


def test_whoever_has_joined_a_channel_counts_from_then_on(world: World, there: Slack) -> None:
    there.control("PUT", "channels/C0SECRET", {"name": "secret", "members": []})
    assert (known(world, there) or Person("guest")).channels == frozenset({CHANNEL, "#on-call"})
    there.control("PUT", "channels/C0SECRET", {"members": [SATO.id]})
    world.clock.time += people.FRESH_MS
    for channel, is_in in (("", False), ("C0SECRET", True), ("", True)):
        person = known(world, there, channel=channel)
        assert person
        assert ("C0SECRET" in (person.channels or ())) is is_in
    there.control("PUT", "channels/C0SECRET", {"members": []})
    world.clock.time += people.KNOWN_MS
    person = known(world, there)
    assert person
    assert "C0SECRET" not in (person.channels or ())


@pytest.mark.parametrize("method", ["users.info", "users.conversations"])
def test_whom_slack_does_not_know_is_a_member_for_a_minute(world: World, there: Slack, method: str) -> None:
    there.control("PUT", f"users/{SATO.id}", {"is_restricted": True})
    there.control("PUT", "faults", {"method": method, "error": "missing_scope", "times": 1})
    person = known(world, there)
    assert person
    assert (person.kind, person.channels is None) == (("member", False) if method == "users.info" else ("guest", True))
    world.clock.time += people.UNSURE_MS
    assert known(world, there) == Person("guest", frozenset({CHANNEL, "#on-call"}))


def test_whom_slack_does_not_find_is_no_member(world: World, there: Slack) -> None:
    person = known(world, there, "U0NOBODY")
    assert person
    assert person.kind == "outsider"


def test_a_line_with_a_button_that_undoes_it_is_posted(
    world: World, there: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    services = on(world, there)
    api.post(services, CHANNEL, "Taken.", {"value": "primary-1", "label": "Undo"})
    api.post(services, CHANNEL, "Undone.")
    api.post(services, "C0NOWHERE", "Lost.")
    first, second = there.control("GET", "messages")
    (button,) = first["blocks"][1]["elements"]
    assert (button["action_id"], button["value"]) == ("undo_shift", "primary-1")
    assert (second["text"], len(second["blocks"])) == ("Undone.", 1)
    assert "could not be told" in caplog.text
