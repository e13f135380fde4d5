"""The simulated Slack, spoken to as the application does: with Slack's own SDK."""

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import ActionsBlock, ButtonElement, ConfirmObject, HeaderBlock, SectionBlock
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient
from werkzeug.wrappers import Response

from devstack.slack import api, blocks
from devstack.slack.workspace import Bucket, User
from tests.devstack.application import Application, serving, wait_for

TOKEN = "xoxb-simulated"
SECRET = "signing-secret-of-the-simulated-app"
CHANNEL, OTHER = "C012AB3CD", "C0OTHER01"
ALICE = User("U0ALICE", "alice", "alice@example.com", "Asia/Tokyo")


def text(words: str = "Hello", kind: str = "mrkdwn") -> dict[str, Any]:
    return {"type": kind, "text": words}


def section(words: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": text(words), **more}


def button(action_id: str = "acknowledge", **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action_id, "text": text("Acknowledge", "plain_text"), "value": "7", **more}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements or [button()])}


@dataclass
class Workspace:
    """The workspace under test: the SDK's client for the API, plain HTTP for the control API."""

    url: str
    client: WebClient
    app: Application

    def control(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        response = requests.request(method, f"{self.url}/_sim{path}", json=body, timeout=10)
        assert response.status_code == status, response.text
        return response.json()

    def post(self, **more: Any) -> str:
        """A message in the channel; returns its ts."""
        return str(self.client.chat_postMessage(**{"channel": CHANNEL, "text": "Hello", **more})["ts"])

    def messages(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.control("GET", "/messages")
        return listed

    def press(self, ts: str, action_id: str = "acknowledge", status: int = 200, **more: Any) -> dict[str, Any]:
        body = {"action_id": action_id, "user": ALICE.id, **more}
        outcome: dict[str, Any] = self.control("POST", f"/messages/{ts}/press", body, status)
        return outcome

    def payload(self) -> dict[str, Any]:
        """The last interaction that the app received."""
        payload: dict[str, Any] = json.loads(self.app.at("/interactions")[-1].form["payload"])
        return payload

    def errors(self) -> list[str]:
        return [error["error"] for error in self.control("GET", "/errors")]


@pytest.fixture
def app() -> Iterator[Application]:
    application = Application()
    with serving(application) as url:
        application.base = url
        for path in ("/interactions", "/commands", "/events"):
            application.answer(path, Response())
        yield application


@pytest.fixture
def workspace(app: Application) -> Iterator[Workspace]:
    """A workspace with room for a test's haste."""
    simulated = api.create_app(
        bot_token=TOKEN,
        signing_secret=SECRET,
        channels={CHANNEL: "on-call", OTHER: "random"},
        users=[ALICE],
        interactivity_url=lambda: app.base + "/interactions",
        commands_url=app.base + "/commands",
        events_url=app.base + "/events",
    )
    with serving(simulated) as url:
        there = Workspace(url, WebClient(TOKEN, base_url=f"{url}/api/", retry_handlers=[]), app)
        there.control("PUT", "/settings", {"posts_per_second": 1000, "post_burst": 1000, "updates_per_minute": 60000})
        yield there


class Refused:
    """The refusal that a call in the block meets."""

    def __init__(self) -> None:
        self.response: Any = None

    def __enter__(self) -> "Refused":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        assert isinstance(error, SlackApiError), "nothing was refused"
        self.response = error.response
        return True

    @property
    def error(self) -> str:
        return str(self.response["error"])

    @property
    def messages(self) -> str:
        return " ".join(self.response.get("response_metadata", {}).get("messages", []))


# Calling the Web API


def test_the_app_learns_who_it_is(workspace: Workspace) -> None:
    me = workspace.client.auth_test()
    assert me["user_id"].startswith("U")
    assert me["bot_id"].startswith("B")


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
def test_a_wrong_token_is_refused(workspace: Workspace, token: str, error: str) -> None:
    with Refused() as refused:
        WebClient(token, base_url=workspace.client.base_url).auth_test()
    assert refused.error == error
    assert workspace.errors() == [error]


def test_arguments_may_come_as_json_as_a_form_or_in_the_query(workspace: Workspace) -> None:
    url, arguments = f"{workspace.url}/api/chat.postMessage", {"channel": CHANNEL, "text": "Hello"}
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    in_form = {**arguments, "token": TOKEN, "blocks": json.dumps([section()])}
    assert requests.post(url, json=arguments, headers=bearer, timeout=10).json()["ok"]
    assert requests.post(url, data=in_form, timeout=10).json()["ok"]
    assert requests.get(url, params=arguments, headers=bearer, timeout=10).json()["ok"]
    assert len(workspace.messages()) == 3


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        ("{", "application/json", "invalid_json"),
        ("[]", "application/json", "json_not_object"),
        ("<a/>", "text/xml", "invalid_post_type"),
    ],
)
def test_a_body_of_another_shape_is_refused(workspace: Workspace, body: str, content_type: str, error: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    answer = requests.post(f"{workspace.url}/api/chat.postMessage", data=body, headers=headers, timeout=10).json()
    assert (answer["ok"], answer["error"]) == (False, error)


def test_unknown_and_missing_arguments_are_named(workspace: Workspace) -> None:
    with Refused() as refused:
        workspace.client.api_call("chat.postMessage", json={"text": "Hello", "colour": "red"})
    assert refused.error == "invalid_arguments"
    assert "unknown argument: colour" in refused.messages
    assert "missing required field: channel" in refused.messages
    with Refused() as refused:
        workspace.client.api_call("chat.postMessage", json={"channel": ["C1"], "text": "Hello"})
    assert "/channel" in refused.messages
    with Refused() as refused:
        workspace.client.api_call("chat.sing")
    assert refused.error == "unknown_method"


def test_every_argument_of_the_sdk_is_known() -> None:
    """But those that are not Slack's for bots: metadata of files, and arguments for organisations."""
    elsewhere = {"self", "kwargs", "container_id", "file_ids", "team_id", "interactivity_pointer"}
    simulated = api._Slack(TOKEN, SECRET, {}, [], {}, ())
    for name, method in simulated._web_api().items():
        parameters = inspect.signature(getattr(WebClient, name.replace(".", "_"))).parameters.keys() - elsewhere
        assert parameters == method.takes, name
        assert set(method.needs) <= method.takes


# Messages


def test_a_message_is_posted_updated_and_deleted(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[section("Site down"), actions()])
    (message,) = workspace.messages()
    assert (message["ts"], message["channel"], message["thread_ts"], message["edits"]) == (ts, CHANNEL, None, 0)
    assert message["text"] == "Hello"
    assert message["blocks"][0]["text"]["text"] == "Site down"
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="Acknowledged", blocks=[section("Acknowledged")])
    (message,) = workspace.messages()
    assert (message["text"], message["edits"], len(message["blocks"])) == ("Acknowledged", 1, 1)
    workspace.client.chat_delete(channel=CHANNEL, ts=ts)
    assert workspace.messages() == []
    assert workspace.errors() == []


def test_blocks_of_the_sdk_are_accepted(workspace: Workspace) -> None:
    confirm = ConfirmObject(title="Sure?", text="It stops the calls", confirm="Yes", deny="No")
    sure = ButtonElement(text="Take it", action_id="take", value="1", style="primary", confirm=confirm)
    workspace.post(
        blocks=[HeaderBlock(text="Down"), SectionBlock(text="*Site*", accessory=sure), ActionsBlock(elements=[sure])]
    )
    assert workspace.errors() == []


def test_updating_with_text_alone_removes_the_blocks(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[section()])
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="Plain")
    assert workspace.messages()[0]["blocks"] == []


def test_updating_with_blocks_alone_keeps_the_text(workspace: Workspace) -> None:
    ts = workspace.post()
    workspace.client.api_call("chat.update", json={"channel": CHANNEL, "ts": ts, "blocks": [section("New")]})
    (message,) = workspace.messages()
    assert (message["text"], message["blocks"][0]["text"]["text"]) == ("Hello", "New")


def test_metadata_is_kept_and_returned(workspace: Workspace) -> None:
    metadata = {"event_type": "incident_opened", "event_payload": {"incident": "7"}}
    ts = workspace.post(metadata=metadata)
    assert workspace.messages()[0]["metadata"] == metadata
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New")
    history = workspace.client.conversations_history(channel=CHANNEL, include_all_metadata=True)["messages"]
    assert history[0]["metadata"] == metadata
    assert "metadata" not in workspace.client.conversations_history(channel=CHANNEL)["messages"][0]
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New", metadata={})
    assert workspace.messages()[0]["metadata"] is None


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ("incident", "invalid_metadata_format"),
        (["incident"], "invalid_metadata_format"),
        ({"event_type": "incident"}, "invalid_metadata_schema"),
        ({"event_type": "", "event_payload": {}}, "invalid_metadata_schema"),
        ({"event_type": "incident", "event_payload": "7"}, "invalid_metadata_schema"),
        ({"event_type": "incident", "event_payload": {"a": "x" * 16000}}, "metadata_too_large"),
    ],
)
def test_wrong_metadata_is_refused(workspace: Workspace, metadata: Any, error: str) -> None:
    with Refused() as refused:
        workspace.post(metadata=metadata)
    assert refused.error == error


def test_timestamps_are_unique_and_ascending(workspace: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        ours = list(pool.map(lambda _: workspace.post(), range(40)))
    kept = [message["ts"] for message in workspace.messages()]
    assert sorted(set(ours)) == kept
    assert all(len(ts) == 17 and ts[10] == "." for ts in kept)


def test_replies_make_a_thread(workspace: Workspace) -> None:
    parent, apart = workspace.post(), workspace.post(text="Apart")
    replies = [workspace.post(text=f"Reply {n}", thread_ts=parent) for n in range(3)]
    client = workspace.client
    thread = client.conversations_replies(channel=CHANNEL, ts=parent)["messages"]
    assert [message["ts"] for message in thread] == [parent, *replies]
    assert (thread[0]["reply_count"], thread[1]["thread_ts"]) == (3, parent)
    history = client.conversations_history(channel=CHANNEL)["messages"]
    assert [message["ts"] for message in history] == [apart, parent]
    late = client.conversations_replies(channel=CHANNEL, ts=parent, oldest=replies[0])["messages"]
    assert [message["ts"] for message in late] == replies[1:]
    exact = client.conversations_replies(
        channel=CHANNEL, ts=parent, oldest=replies[1], latest=replies[1], inclusive=True
    )["messages"]
    assert [message["ts"] for message in exact] == [replies[1]]


def test_a_thread_has_pages(workspace: Workspace) -> None:
    parent = workspace.post()
    for _ in range(4):
        workspace.post(thread_ts=parent)
    pages = workspace.client.conversations_replies(channel=CHANNEL, ts=parent, limit=2)
    assert [(len(page["messages"]), page["has_more"]) for page in pages] == [(2, True), (2, True), (1, False)]


def test_a_broadcast_reply_is_in_the_channel_too(workspace: Workspace) -> None:
    parent = workspace.post()
    reply = workspace.post(thread_ts=parent, reply_broadcast=True)
    history = workspace.client.conversations_history(channel=CHANNEL)["messages"]
    assert [message["ts"] for message in history] == [reply, parent]


def test_threads_that_do_not_exist_cannot_be_replied_to(workspace: Workspace) -> None:
    with Refused() as refused:
        workspace.post(thread_ts="1234567890.123456")
    assert refused.error == "thread_not_found"
    reply = workspace.post(thread_ts=workspace.post())
    with Refused() as refused:
        workspace.post(thread_ts=reply)
    assert refused.error == "cannot_reply_to_message"
    with Refused() as refused:
        workspace.client.conversations_replies(channel=CHANNEL, ts="1234567890.123456")
    assert refused.error == "thread_not_found"


def test_channels_that_cannot_be_posted_to(workspace: Workspace) -> None:
    with Refused() as refused:
        workspace.post(channel="C0NOWHERE")
    assert refused.error == "channel_not_found"
    workspace.control("PUT", f"/channels/{OTHER}", {"member": False})
    with Refused() as refused:
        workspace.post(channel=OTHER)
    assert refused.error == "not_in_channel"
    assert workspace.client.conversations_info(channel=OTHER)["channel"]["is_member"] is False
    workspace.client.conversations_join(channel=OTHER)
    workspace.post(channel=OTHER)
    workspace.control("PUT", f"/channels/{OTHER}", {"archived": True})
    with Refused() as refused:
        workspace.post(channel=OTHER)
    assert refused.error == "is_archived"


def test_a_channel_may_be_named_and_a_person_written_to(workspace: Workspace) -> None:
    assert workspace.client.chat_postMessage(channel="#on-call", text="Hello")["channel"] == CHANNEL
    assert workspace.client.chat_postMessage(channel=ALICE.id, text="Hello")["channel"] == "D0ALICE"
    with Refused() as refused:
        workspace.client.chat_update(channel="#on-call", ts=workspace.post(), text="New")
    assert refused.error == "channel_not_found"


def test_channels_are_listed(workspace: Workspace) -> None:
    names = [channel["name"] for channel in workspace.client.conversations_list()["channels"]]
    assert names == ["on-call", "random"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "", "blocks": []}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"blocks": "none"}, "invalid_blocks_format"),
        ({"blocks": {"type": "section"}}, "invalid_blocks_format"),
        ({"blocks": [section("x" * 2_700) for _ in range(5)]}, "msg_blocks_too_long"),
        ({"attachments": [{"text": "old"}]}, "invalid_arguments"),
        ({"reply_broadcast": "maybe"}, "invalid_arguments"),
    ],
)
def test_content_that_slack_does_not_show_is_refused(workspace: Workspace, content: dict[str, Any], error: str) -> None:
    with Refused() as refused:
        workspace.client.api_call("chat.postMessage", json={"channel": CHANNEL, "text": "Hello", **content})
    assert refused.error == error
    assert workspace.messages() == []


def test_an_update_has_shorter_limits(workspace: Workspace) -> None:
    ts = workspace.post(text="x" * 40_000)
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="x" * 4_000)
    with Refused() as refused:
        workspace.client.chat_update(channel=CHANNEL, ts=ts, text="x" * 4_001)
    assert refused.error == "msg_too_long"


def test_only_own_messages_can_be_changed(workspace: Workspace) -> None:
    ts = workspace.control("POST", "/messages", {"channel": CHANNEL, "user": ALICE.id, "text": "I am on it"})["ts"]
    with Refused() as refused:
        workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New")
    assert refused.error == "cant_update_message"
    with Refused() as refused:
        workspace.client.chat_delete(channel=CHANNEL, ts=ts)
    assert refused.error == "cant_delete_message"
    with Refused() as refused:
        workspace.client.chat_update(channel=CHANNEL, ts="1234567890.123456", text="New")
    assert refused.error == "message_not_found"


def test_an_ephemeral_message_is_seen_by_one_person_only(workspace: Workspace) -> None:
    workspace.client.chat_postEphemeral(channel=CHANNEL, user=ALICE.id, text="Only you")
    assert workspace.messages() == []
    (shown,) = workspace.control("GET", "/ephemerals")
    assert (shown["text"], shown["to"]) == ("Only you", ALICE.id)
    with Refused() as refused:
        workspace.client.chat_postEphemeral(channel=CHANNEL, user="U0NOBODY", text="Only you")
    assert refused.error == "user_not_in_channel"


def test_people_can_be_looked_up(workspace: Workspace) -> None:
    assert workspace.client.users_info(user=ALICE.id)["user"]["tz"] == "Asia/Tokyo"
    assert workspace.client.users_lookupByEmail(email="Alice@example.com")["user"]["id"] == ALICE.id
    with Refused() as refused:
        workspace.client.users_info(user="U0NOBODY")
    assert refused.error == "user_not_found"
    with Refused() as refused:
        workspace.client.users_lookupByEmail(email="nobody@example.com")
    assert refused.error == "users_not_found"
    workspace.control("PUT", "/users/U0BOB", {"email": "bob@example.com"})
    assert workspace.client.users_lookupByEmail(email="bob@example.com")["user"]["id"] == "U0BOB"


def test_a_user_group_follows_who_is_on_call(workspace: Workspace) -> None:
    update = workspace.client.usergroups_users_update
    with Refused() as refused:
        update(usergroup="S0ONCALL", users=ALICE.id)
    assert refused.error == "no_such_subteam"
    workspace.control("PUT", "/usergroups/S0ONCALL", {})
    update(usergroup="S0ONCALL", users=[ALICE.id])
    assert workspace.control("GET", "/usergroups") == {"S0ONCALL": [ALICE.id]}
    with Refused() as refused:
        update(usergroup="S0ONCALL", users="U0NOBODY")
    assert refused.error == "invalid_users"


def test_a_reaction_is_added_once(workspace: Workspace) -> None:
    ts = workspace.post()
    react = workspace.client.reactions_add
    react(channel=CHANNEL, timestamp=ts, name="eyes")
    assert workspace.messages()[0]["reactions"] == {"eyes": ["U0SIMULATED"]}
    with Refused() as refused:
        react(channel=CHANNEL, timestamp=ts, name="eyes")
    assert refused.error == "already_reacted"
    with Refused() as refused:
        react(channel=CHANNEL, timestamp=ts, name=":eyes:")
    assert refused.error == "invalid_name"


def test_a_message_has_a_permalink(workspace: Workspace) -> None:
    ts = workspace.post(thread_ts=workspace.post())
    link = workspace.client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"]
    assert f"/archives/{CHANNEL}/p{ts.replace('.', '')}?thread_ts=" in link


# Block Kit


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ([section("x" * 3001)], "/blocks/0/text/text"),
        ([section("")], "/blocks/0/text/text"),
        ([{"type": "section"}], "/blocks/0"),
        ([{"type": "section", "text": "Hello"}], "/blocks/0/text"),
        ([{"type": "section", "text": text(kind="markdown")}], "/blocks/0/text/type"),
        ([{"type": "section", "text": {**text(), "emoji": True}}], "/blocks/0/text"),
        ([{"type": "section", "fields": [text() for _ in range(11)]}], "/blocks/0/fields"),
        ([{"type": "section", "fields": []}], "/blocks/0/fields"),
        ([{"type": "section", "fields": [text("x" * 2001)]}], "/blocks/0/fields/0/text"),
        ([section(colour="red")], "/blocks/0"),
        ([section(block_id="x" * 256)], "/blocks/0/block_id"),
        ([section(block_id="a"), section(block_id="a")], "/blocks/1"),
        ([section(accessory=text())], "/blocks/0/accessory"),
        ([{"type": "header", "text": text(kind="mrkdwn")}], "/blocks/0/text/type"),
        ([{"type": "header", "text": text("x" * 151, "plain_text")}], "/blocks/0/text/text"),
        ([{"type": "context", "elements": [text() for _ in range(11)]}], "/blocks/0/elements"),
        ([{"type": "context", "elements": [button()]}], "/blocks/0/elements/0/type"),
        ([actions(*[button(str(n)) for n in range(26)])], "/blocks/0/elements"),
        ([actions(button("a"), button("a"))], "/blocks/0"),
        ([actions(button("x" * 256))], "/blocks/0/elements/0/action_id"),
        ([actions(button(value="x" * 2001))], "/blocks/0/elements/0/value"),
        ([actions(button(text=text("x" * 76, "plain_text")))], "/blocks/0/elements/0/text/text"),
        ([actions(button(text=text("x")))], "/blocks/0/elements/0/text/type"),
        ([actions(button(style="green"))], "/blocks/0/elements/0/style"),
        ([actions(button(confirm={"title": text("Sure?", "plain_text")}))], "/blocks/0/elements/0/confirm"),
        ([actions({"type": "lever", "action_id": "a"})], "/blocks/0/elements/0"),
        ([actions({"type": "overflow", "action_id": "a", "options": []})], "/blocks/0/elements/0/options"),
        ([{"type": "image", "image_url": "https://example.com/a.png"}], "/blocks/0"),
        ([{"type": "markdown", "text": "x" * 12001}], "/blocks/0"),
        (
            [{"type": "input", "label": text("Name", "plain_text"), "element": {"type": "plain_text_input"}}],
            "/blocks/0",
        ),
        ([{"type": "carpet"}], "/blocks/0"),
        (["Hello"], "/blocks/0"),
        ([section() for _ in range(51)], "/blocks"),
    ],
)
def test_wrong_blocks_are_refused_with_their_place(workspace: Workspace, wrong: list[Any], at: str) -> None:
    with Refused() as refused:
        workspace.client.api_call("chat.postMessage", json={"channel": CHANNEL, "text": "Hello", "blocks": wrong})
    assert refused.error == "invalid_blocks"
    assert f"[json-pointer:{at}]" in refused.messages


@pytest.mark.parametrize(("field", "most"), [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)])
def test_a_confirmation_has_its_limits(field: str, most: int) -> None:
    def dialog(length: int) -> list[dict[str, Any]]:
        confirm = {name: text("x", "plain_text") for name in ("title", "text", "confirm", "deny")}
        confirm[field] = text("x" * length, "plain_text")
        return [actions(button(confirm=confirm))]

    assert blocks.problems(dialog(most)) == []
    assert f"/confirm/{field}/text" in blocks.problems(dialog(most + 1))[0]


def test_blocks_at_their_limits_are_accepted() -> None:
    right = [
        section("x" * 3000),
        {"type": "header", "text": text("x" * 150, "plain_text")},
        {"type": "section", "fields": [text("x" * 2000) for _ in range(10)]},
        actions(*[button(f"{n}", text=text("x" * 75, "plain_text"), value="x" * 2000) for n in range(25)]),
        {"type": "context", "elements": [text() for _ in range(10)]},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}]},
        *({"type": "divider"} for _ in range(44)),
    ]
    assert blocks.problems(right) == []


# Rate limits


def test_a_channel_takes_a_short_burst_and_then_one_message_a_second(workspace: Workspace) -> None:
    workspace.control("PUT", "/settings", {"posts_per_second": 0.1, "post_burst": 3})
    for _ in range(3):
        workspace.post()
    with Refused() as refused:
        workspace.post()
    assert (refused.error, refused.response.status_code) == ("ratelimited", 429)
    assert 1 <= int(refused.response.headers["Retry-After"]) <= 10
    workspace.post(channel=OTHER)
    assert len(workspace.messages()) == 4


def test_messages_are_updated_at_a_limited_rate(workspace: Workspace) -> None:
    ts = workspace.post()
    workspace.control("PUT", "/settings", {"updates_per_minute": 2})
    for _ in range(2):
        workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New")
    with Refused() as refused:
        workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New")
    assert (refused.error, refused.response.headers["Retry-After"]) == ("ratelimited", "30")


def test_by_default_the_limits_are_slacks() -> None:
    settings = api.Settings()
    assert (settings.posts_per_second, settings.updates_per_minute) == (1, 50)
    bucket = Bucket(rate=1000, burst=1)
    assert bucket.take() == 0
    wait_for(lambda: bucket.take() == 0, "the bucket to fill again")


# Buttons and commands


def _is_signed(received: Any) -> bool:
    return SignatureVerifier(SECRET).is_valid_request(received.body, received.headers)


def test_a_pressed_button_reaches_the_app_signed(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[section(), actions()])
    outcome = workspace.press(ts)
    assert (outcome["ok"], outcome["status"], outcome["error"]) == (True, 200, None)
    assert outcome["seconds"] < 3
    (received,) = workspace.app.at("/interactions")
    assert _is_signed(received)
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert list(parse_qs(received.body)) == ["payload"]
    payload = workspace.payload()
    assert payload["type"] == "block_actions"
    assert (payload["user"]["id"], payload["user"]["username"]) == (ALICE.id, "alice")
    assert (payload["channel"], payload["container"]["message_ts"]) == ({"id": CHANNEL, "name": "on-call"}, ts)
    assert (payload["message"]["ts"], payload["message"]["text"]) == (ts, "Hello")
    (action,) = payload["actions"]
    assert (action["action_id"], action["value"], action["type"]) == ("acknowledge", "7", "button")
    assert action["block_id"] == payload["message"]["blocks"][1]["block_id"]


def test_a_menu_sends_what_was_chosen(workspace: Workspace) -> None:
    options = [{"text": text(name, "plain_text"), "value": name} for name in ("alice", "bob")]
    menu = {"type": "static_select", "action_id": "assign", "options": options}
    people = {"type": "users_select", "action_id": "people"}
    ts = workspace.post(blocks=[actions(menu), section(accessory=people)])
    workspace.press(ts, "assign", value="bob")
    assert workspace.payload()["actions"][0]["selected_option"]["value"] == "bob"
    workspace.press(ts, "people", value="U0BOB")
    assert workspace.payload()["actions"][0]["selected_user"] == "U0BOB"
    assert "alice, bob" in workspace.press(ts, "assign", value="carol", status=400)["error"]


def test_a_button_that_is_not_there_cannot_be_pressed(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[actions(button("take"), button("pass"))])
    assert "take, pass" in workspace.press(ts, status=404)["error"]
    assert "no message" in workspace.press("1234567890.123456", status=404)["error"]
    assert "user" in workspace.press(ts, "take", user="alice", status=400)["error"]
    assert workspace.app.received == []


def test_a_button_of_the_message_before_its_update_is_gone(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[actions()])
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="Acknowledged")
    assert "none" in workspace.press(ts, status=404)["error"]


def test_an_app_that_refuses_is_recorded(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[actions()])
    workspace.app.answers["/interactions"].clear()
    workspace.app.answer("/interactions", Response("no", 500))
    outcome = workspace.press(ts)
    assert (outcome["ok"], outcome["status"], outcome["body"]) == (False, 500, "no")
    assert workspace.errors() == ["http_status_500"]
    assert workspace.control("GET", "/interactions")[0]["error"] == "http_status_500"


def test_an_app_that_does_not_answer_within_3_seconds_has_failed(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[actions()])
    workspace.app.answers["/interactions"].clear()

    def late() -> Response:
        wait_for(workspace.errors, "the simulator to give up")
        return Response()

    workspace.app.answer("/interactions", late)
    outcome = workspace.press(ts)
    assert (outcome["ok"], outcome["status"], outcome["error"]) == (False, None, "operation_timeout")
    assert outcome["seconds"] >= 3


def test_without_an_address_nothing_can_be_pressed() -> None:
    with serving(api.create_app(bot_token=TOKEN, signing_secret=SECRET)) as url:
        body = {"command": "/oncall", "text": "", "user": ALICE.id}
        answer = requests.post(f"{url}/_sim/commands", json=body, timeout=10)
        assert answer.status_code == 400
        assert "commands_url" in answer.json()["error"]


def test_the_response_url_changes_and_removes_the_message(workspace: Workspace) -> None:
    ts = workspace.post(blocks=[actions()])
    workspace.press(ts)
    answer = WebhookClient(workspace.payload()["response_url"])
    assert answer.send(text="Acknowledged by alice", replace_original=True).body == "ok"
    (message,) = workspace.messages()
    assert (message["text"], message["blocks"], message["edits"]) == ("Acknowledged by alice", [], 1)
    answer.send(text="Only you")
    assert workspace.control("GET", "/ephemerals")[0]["to"] == ALICE.id
    answer.send(text="Everybody", response_type="in_channel")
    assert [message["text"] for message in workspace.messages()] == ["Acknowledged by alice", "Everybody"]
    answer.send(delete_original=True)
    assert [message["text"] for message in workspace.messages()] == ["Everybody"]
    assert answer.send(text="", response_type="in_channel").status_code == 200
    assert "no_text" in workspace.errors()
    used = answer.send(text="Again")
    assert (used.status_code, "used_url" in used.body) == (404, True)
    assert WebhookClient(f"{workspace.url}/hooks/unknown").send(text="Hello").status_code == 404


def test_an_ephemeral_button_can_be_pressed_and_replaced(workspace: Workspace) -> None:
    workspace.client.chat_postEphemeral(channel=CHANNEL, user=ALICE.id, text="Sure?", blocks=[actions()])
    ts = workspace.control("GET", "/ephemerals")[0]["ts"]
    workspace.press(ts)
    payload = workspace.payload()
    assert payload["container"]["is_ephemeral"] is True
    assert "message" not in payload
    WebhookClient(payload["response_url"]).send(delete_original=True)
    assert workspace.control("GET", "/ephemerals") == []


def test_a_command_reaches_the_app_signed_and_its_answer_is_shown(workspace: Workspace) -> None:
    workspace.app.answers["/commands"].clear()
    in_channel = json.dumps({"response_type": "in_channel", "text": "Bob is on call"})
    workspace.app.answer("/commands", Response("Alice is on call"), Response(in_channel, mimetype="application/json"))
    body = {"command": "/oncall", "text": "who is it?", "user": ALICE.id}
    assert workspace.control("POST", "/commands", body)["ok"]
    assert workspace.control("POST", "/commands", body)["ok"]
    received = workspace.app.at("/commands")[0]
    assert _is_signed(received)
    form = received.form
    assert (form["command"], form["text"], form["user_id"]) == ("/oncall", "who is it?", ALICE.id)
    assert (form["channel_id"], form["is_enterprise_install"]) == (CHANNEL, "false")
    assert [shown["text"] for shown in workspace.control("GET", "/ephemerals")] == ["Alice is on call"]
    assert [message["text"] for message in workspace.messages()] == ["Bob is on call"]
    WebhookClient(form["response_url"]).send(text="And later", response_type="in_channel")
    assert workspace.messages()[-1]["text"] == "And later"


def test_where_interactions_go_can_be_set_later(workspace: Workspace) -> None:
    workspace.control("PUT", "/settings", {"interactivity_url": workspace.app.base + "/elsewhere"})
    workspace.press(workspace.post(blocks=[actions()]))
    assert len(workspace.app.at("/elsewhere")) == 1


# Modals


def modal(**more: Any) -> dict[str, Any]:
    return {
        "type": "modal",
        "title": text("Override", "plain_text"),
        "submit": text("Save", "plain_text"),
        "callback_id": "override",
        "private_metadata": "primary",
        "blocks": [
            {
                "type": "input",
                "block_id": "who",
                "label": text("Who", "plain_text"),
                "element": {"type": "users_select", "action_id": "user"},
            }
        ],
        **more,
    }


def test_a_modal_is_opened_with_a_trigger_and_submitted(workspace: Workspace) -> None:
    workspace.press(workspace.post(blocks=[actions()]))
    trigger = workspace.payload()["trigger_id"]
    view = workspace.client.views_open(trigger_id=trigger, view=modal())["view"]
    with Refused() as refused:
        workspace.client.views_open(trigger_id=trigger, view=modal())
    assert refused.error == "exchanged_trigger_id"
    with Refused() as refused:
        workspace.client.views_open(trigger_id="1.2.3", view=modal())
    assert refused.error == "invalid_trigger_id"
    submit = f"/views/{view['id']}/submit"
    assert "colour" in workspace.control("POST", submit, {"user": ALICE.id, "values": {"colour": 1}}, 404)["error"]
    assert workspace.control("POST", submit, {"user": ALICE.id, "values": {"user": "U0BOB"}})["ok"]
    payload = workspace.payload()
    assert payload["type"] == "view_submission"
    assert payload["view"]["state"]["values"]["who"]["user"]["selected_user"] == "U0BOB"
    assert (payload["view"]["callback_id"], payload["view"]["private_metadata"]) == ("override", "primary")
    workspace.control("POST", submit, {"user": ALICE.id}, 404)


def test_a_modal_with_errors_stays_open(workspace: Workspace) -> None:
    workspace.press(workspace.post(blocks=[actions()]))
    view = workspace.client.views_open(trigger_id=workspace.payload()["trigger_id"], view=modal())["view"]
    workspace.app.answers["/interactions"].clear()
    errors = json.dumps({"response_action": "errors", "errors": {"who": "Nobody"}})
    workspace.app.answer("/interactions", Response(errors, mimetype="application/json"), Response())
    for _ in range(2):
        workspace.control("POST", f"/views/{view['id']}/submit", {"user": ALICE.id})


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "home"},
        {"title": text("x" * 25, "plain_text")},
        {"title": text("Override")},
        {"submit": None},
        {"private_metadata": "x" * 3001},
        {"colour": "red"},
        {"blocks": None},
    ],
)
def test_a_wrong_modal_is_refused(workspace: Workspace, wrong: dict[str, Any]) -> None:
    workspace.press(workspace.post(blocks=[actions()]))
    view = {name: value for name, value in modal(**wrong).items() if value is not None}
    with Refused() as refused:
        workspace.client.views_open(trigger_id=workspace.payload()["trigger_id"], view=view)
    assert refused.error == "invalid_arguments"


def test_a_home_tab_is_published(workspace: Workspace) -> None:
    workspace.client.views_publish(user_id=ALICE.id, view={"type": "home", "blocks": [section()]})
    (view,) = workspace.control("GET", "/views")
    assert (view["type"], view["user"]) == ("home", ALICE.id)


# Faults


def test_slack_is_down_as_often_as_asked_for(workspace: Workspace) -> None:
    workspace.control("PUT", "/faults", {"status": 500, "times": 2})
    for _ in range(2):
        with Refused() as refused:
            workspace.post()
        assert (refused.response.status_code, refused.error) == (500, "internal_error")
    workspace.post()
    assert workspace.errors() == []


def test_a_fault_may_limit_the_rate(workspace: Workspace) -> None:
    workspace.control("PUT", "/faults", {"status": 429, "times": 1, "retry_after": 7})
    with Refused() as refused:
        workspace.post()
    assert (refused.error, refused.response.headers["Retry-After"]) == ("ratelimited", "7")


def test_a_fault_may_be_any_error_of_one_method(workspace: Workspace) -> None:
    workspace.control("PUT", "/faults", {"error": "fatal_error", "method": "chat.update"})
    ts = workspace.post()
    with Refused() as refused:
        workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New")
    assert (refused.error, refused.response.status_code) == ("fatal_error", 200)
    workspace.control("PUT", "/faults", {})
    workspace.client.chat_update(channel=CHANNEL, ts=ts, text="New")


def test_a_lost_or_late_answer_leaves_a_message_that_nobody_knows_of(workspace: Workspace) -> None:
    workspace.control("PUT", "/faults", {"lose_answer": True, "times": 1})
    with pytest.raises(ConnectionError):
        workspace.post(text="Lost")
    workspace.control("PUT", "/faults", {"timeout": 1, "times": 1})
    hasty = WebClient(TOKEN, base_url=workspace.client.base_url, timeout=0.2, retry_handlers=[])  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        hasty.chat_postMessage(channel=CHANNEL, text="Late")
    assert [message["text"] for message in workspace.messages()] == ["Lost", "Late"]


# The control API


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("PUT", "/faults", {"status": 200}, "status"),
        ("PUT", "/faults", {"method": "chat.sing"}, "method"),
        ("PUT", "/faults", {"times": -1}, "times"),
        ("PUT", "/settings", {"post_burst": 0}, "post_burst"),
        ("PUT", "/settings", [], "JSON object"),
        ("PUT", "/channels/on-call", {}, "no id"),
        ("PUT", "/users/alice", {}, "no id"),
        ("PUT", "/usergroups/oncall", {}, "no id"),
        ("POST", "/commands", {"command": "oncall", "user": ALICE.id}, "command"),
        ("POST", "/commands", {"command": "/oncall"}, "user is missing"),
        ("POST", "/messages", {"channel": "C0NOWHERE", "user": ALICE.id, "text": "Hello"}, "channel"),
    ],
)
def test_a_wrong_control_request_is_refused_and_explained(
    workspace: Workspace, method: str, path: str, body: object, says: str
) -> None:
    assert says in workspace.control(method, path, body, status=400)["error"]


def test_errors_can_be_forgotten(workspace: Workspace) -> None:
    with Refused():
        workspace.post(channel="C0NOWHERE")
    assert len(workspace.control("DELETE", "/errors")) == 1
    assert workspace.errors() == []


def test_it_runs_as_a_program_and_ends_when_told() -> None:
    environment = os.environ | {"SLACK_BOT_TOKEN": TOKEN, "SLACK_SIGNING_SECRET": SECRET}
    options = ["--channel", "C0ONCALL01:on-call", "--user", "U0ALICE:alice:alice@example.com"]
    command = [sys.executable, "-m", "devstack.slack.api", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603 -- our own
        assert program.stdout is not None
        client = WebClient(TOKEN, base_url=program.stdout.readline().removeprefix("listening on ").strip() + "/api/")
        assert client.conversations_info(channel="C0ONCALL01")["channel"]["name"] == "on-call"
        assert client.users_lookupByEmail(email="alice@example.com")["user"]["id"] == "U0ALICE"
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0


# Events and the app's home


def home(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "home", "blocks": [section("Who is on call"), actions(*elements)]}


def opens_home(workspace: Workspace, **more: Any) -> dict[str, Any]:
    outcome: dict[str, Any] = workspace.control("POST", "/home", {"user": ALICE.id, **more})
    return outcome


def test_an_opened_home_is_told_signed_as_slack_signs_it(workspace: Workspace) -> None:
    assert opens_home(workspace)["ok"]
    (told,) = workspace.app.at("/events")
    assert told.headers["Content-Type"] == "application/json"
    assert "X-Slack-Retry-Num" not in told.headers
    assert SignatureVerifier(SECRET).is_valid(
        told.body, told.headers["X-Slack-Request-Timestamp"], told.headers["X-Slack-Signature"]
    )
    envelope = json.loads(told.body)
    assert (envelope["type"], envelope["event"]["type"]) == ("event_callback", "app_home_opened")
    assert (envelope["event"]["user"], envelope["event"]["tab"]) == (ALICE.id, "home")
    assert "view" not in envelope["event"]


def test_an_event_that_fails_is_told_once_more_at_once(workspace: Workspace) -> None:
    workspace.control("PUT", "/settings", {"events_url": workspace.app.base + "/moody"})
    workspace.app.answer("/moody", Response("no", 503), Response())
    assert opens_home(workspace)["ok"]
    first, again = workspace.app.at("/moody")
    assert "X-Slack-Retry-Num" not in first.headers
    assert (again.headers["X-Slack-Retry-Num"], again.headers["X-Slack-Retry-Reason"]) == ("1", "http_error")
    assert again.body == first.body, "with the same event_id"


def test_a_published_home_replaces_the_one_before_and_its_buttons_can_be_pressed(workspace: Workspace) -> None:
    publish = workspace.client.views_publish
    first = publish(user_id=ALICE.id, view=home())["view"]
    with Refused() as refused:
        publish(user_id=ALICE.id, view=home(), hash="another")
    assert refused.error == "hash_conflict"
    publish(
        user_id=ALICE.id, view=home(button("take/0", value="primary"), button("take/1", value="x")), hash=first["hash"]
    )
    (shown,) = workspace.control("GET", "/views")
    opens_home(workspace)
    assert json.loads(workspace.app.at("/events")[-1].body)["event"]["view"]["id"] == shown["id"]
    body = {"action_id": "take/1", "user": ALICE.id}
    assert workspace.control("POST", f"/views/{shown['id']}/press", body)["ok"]
    payload = workspace.payload()
    assert (payload["type"], payload["container"]) == ("block_actions", {"type": "view", "view_id": shown["id"]})
    assert payload["view"]["type"] == "home"
    assert payload["actions"][0]["value"] == "x"
    assert not {"channel", "message", "response_url"} & payload.keys(), "a home is in no channel"
    workspace.control("POST", f"/views/{shown['id']}/press", {**body, "action_id": "none"}, 404)
    workspace.control("POST", "/views/V0GONE/press", body, 404)


@pytest.mark.parametrize(
    ("user", "view", "error"),
    [
        ("U0NOBODY", home(), "invalid_arguments"),
        (ALICE.id, {"type": "modal", "blocks": []}, "invalid_arguments"),
        (ALICE.id, {"type": "home", "blocks": [section()] * 101}, "invalid_arguments"),
        (ALICE.id, home(button("same"), button("same")), "invalid_arguments"),
        (ALICE.id, {"type": "home", "blocks": [section("語" * 3000)] * 40}, "view_too_large"),
    ],
)
def test_a_home_that_slack_refuses(workspace: Workspace, user: str, view: dict[str, Any], error: str) -> None:
    with Refused() as refused:
        workspace.client.views_publish(user_id=user, view=view)
    assert refused.error == error
    assert workspace.control("GET", "/views") == []


def test_the_events_address_has_to_give_the_challenge_back(workspace: Workspace) -> None:
    assert workspace.control("POST", "/verify")["error"] == "challenge_failed"
    (asked,) = workspace.app.at("/events")
    assert json.loads(asked.body)["type"] == "url_verification"

    def challenge() -> str:
        return str(json.loads(workspace.app.at("/events")[-1].body)["challenge"])

    workspace.app.answers["/events"].clear()
    workspace.app.answer("/events", lambda: Response(challenge(), mimetype="text/plain"))
    assert workspace.control("POST", "/verify")["ok"]
    workspace.app.answers["/events"].clear()
    workspace.app.answer(
        "/events", lambda: Response(json.dumps({"challenge": challenge()}), mimetype="application/json")
    )
    assert workspace.control("POST", "/verify")["ok"]


def test_an_app_may_do_what_its_scopes_allow() -> None:
    simulated = api.create_app(bot_token=TOKEN, signing_secret=SECRET, users=[ALICE], scopes=["chat:write"])
    with serving(simulated) as url:
        client = WebClient(TOKEN, base_url=f"{url}/api/", retry_handlers=[])
        assert client.auth_test().headers["X-OAuth-Scopes"] == "chat:write"
        assert client.chat_postMessage(channel=CHANNEL, text="Hello")["ok"]
        assert client.views_publish(user_id=ALICE.id, view=home())["ok"], "needs no scope"
        for method, arguments in (
            ("usergroups_users_update", {"usergroup": "S0ONCALL", "users": ALICE.id}),
            ("conversations_history", {"channel": CHANNEL}),
        ):
            with Refused() as refused:
                getattr(client, method)(**arguments)
            assert refused.error == "missing_scope"
