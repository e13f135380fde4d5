"""A stand-in for Slack's Web API, strict where Slack is lenient, with a workspace whose buttons can be pressed.

What differs from Slack on purpose: an argument that it does not know is refused (invalid_arguments) and not ignored, a
text that Slack would cut is refused (msg_too_long), and so is an unknown thread.

The control API: `/_sim/messages` (of a `?channel=`; POST: a person writes), `/_sim/messages/{ts}/press`, `/_sim/commands`,
`/_sim/home` (a person opens the app's home), `/_sim/verify` (whoever sets up the app saves the events' address),
`/_sim/faults`, and beside those `/_sim/settings` (Settings), `/_sim/errors` (what was refused, and why; DELETE forgets it),
`/_sim/ephemerals`, `/_sim/interactions`, `/_sim/views`, `/_sim/views/{id}/press` and `/submit`, `/_sim/channels/{id}`,
`/_sim/users/{id}`, `/_sim/usergroups/{id}`, `/_sim/workspace` (channels and people).
What is sent to the app answers with the outcome: `ok`, `status`, `seconds`, `body`, `error`.

Run it: `SLACK_BOT_TOKEN=xoxb-... SLACK_SIGNING_SECRET=... python -m devstack.slack.api --port 0 --channel C012AB3CD:on-call`.
"""

import argparse
import hmac
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from devstack.shared.serve import serve
from devstack.shared.simulator import (
    ControlError,
    Fault,
    Faults,
    LostAnswer,
    checked,
    control_body,
    control_error,
    http_error,
    is_count,
    is_flag,
    is_text,
    json_response,
    number_from,
)
from devstack.slack import blocks, workspace
from devstack.slack.workspace import Bucket, Channel, Message, User, Workspace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONGEST_TEXT = 40_000  # characters; Slack: chat.postMessage
LONGEST_UPDATE = 4_000  # characters; Slack: chat.update, msg_too_long
LARGEST_METADATA = 16_000  # bytes of JSON; Slack: metadata_too_large
LARGEST_VIEW = 250_000  # bytes of JSON; Slack: view_too_large
DEFAULT_CHANNELS = {"C012AB3CD": "on-call"}
SCOPES = (  # of an app that is given no others; Slack names them in every answer
    *("chat:write", "channels:history", "groups:history", "channels:read", "users:read", "users:read.email"),
    *("usergroups:read", "usergroups:write", "reactions:write", "commands", "channels:join", "groups:read"),
)
_TS = re.compile(r"\d{10}\.\d{6}")
_CONTENT = frozenset({"text", "blocks", "attachments", "markdown_text"})
_STRUCTURED = frozenset({"blocks", "attachments", "metadata", "view"})
_COMMON_POST = frozenset({"as_user", "icon_emoji", "icon_url", "link_names", "parse", "username", "thread_ts"})
_RANGE = frozenset({"cursor", "inclusive", "include_all_metadata", "latest", "oldest", "limit"})


class SlackError(Exception):
    """A refusal of the Web API: `error`, and what Slack says in response_metadata.messages."""

    def __init__(self, error: str, *messages: str, status: int = 200, retry_after: int | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.messages = list(messages)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Method:
    """One method of the Web API: what it takes, what it cannot do without, the bot's scope for it, and what it does."""

    run: Callable[[dict[str, Any]], dict[str, Any]]
    takes: frozenset[str]
    needs: tuple[str, ...] = ()
    scope: str = ""


@dataclass
class Settings:
    """Rate limits, and where interactions, commands and events go (empty: nowhere yet).

    Slack: one message a second and channel, short bursts allowed; chat.update is tier 3, 50 a minute.
    """

    interactivity_url: str = ""
    commands_url: str = ""
    events_url: str = ""
    posts_per_second: float = 1.0
    post_burst: float = 4.0
    updates_per_minute: float = 50.0


def create_app(
    *,
    bot_token: str,
    signing_secret: str,
    channels: Mapping[str, str] | None = None,
    users: Iterable[User] = (),
    interactivity_url: str | Callable[[], str] = "",
    commands_url: str | Callable[[], str] = "",
    events_url: str | Callable[[], str] = "",
    scopes: Iterable[str] = SCOPES,
) -> "WSGIApplication":
    """A workspace with these channels (name by id; the bot is in all of them) and the app that has `bot_token`."""
    urls = {"interactivity_url": interactivity_url, "commands_url": commands_url, "events_url": events_url}
    return _Slack(bot_token, signing_secret, channels or DEFAULT_CHANNELS, users, urls, tuple(scopes))


class _Slack:
    def __init__(
        self,
        bot_token: str,
        signing_secret: str,
        channels: Mapping[str, str],
        users: Iterable[User],
        urls: Mapping[str, str | Callable[[], str]],
        scopes: tuple[str, ...],
    ) -> None:
        self._bot_token = bot_token
        self._workspace = Workspace(signing_secret)
        self._workspace.channels = {channel: Channel(channel, name) for channel, name in channels.items()}
        self._workspace.users = {user.id: user for user in users}
        self._urls = urls
        self._scopes = scopes
        self._settings = Settings()
        self._faults = Faults()
        self._buckets: dict[str, Bucket] = {}
        self._methods = self._web_api()
        self._routes = Map(
            [
                Rule("/api/<method>", endpoint=self._call, methods=["GET", "POST"]),
                Rule("/hooks/<name>", endpoint=self._hook, methods=["POST"]),
                Rule("/_sim/messages", endpoint=self._sim_messages, methods=["GET", "POST"]),
                Rule("/_sim/messages/<ts>/press", endpoint=self._sim_press, methods=["POST"]),
                Rule("/_sim/ephemerals", endpoint=self._sim_ephemerals, methods=["GET"]),
                Rule("/_sim/commands", endpoint=self._sim_command, methods=["POST"]),
                Rule("/_sim/interactions", endpoint=self._sim_interactions, methods=["GET"]),
                Rule("/_sim/views", endpoint=self._sim_views, methods=["GET"]),
                Rule("/_sim/views/<view>/submit", endpoint=self._sim_submit, methods=["POST"]),
                Rule("/_sim/workspace", endpoint=self._sim_workspace, methods=["GET"]),
                Rule("/_sim/views/<view>/press", endpoint=self._sim_press_view, methods=["POST"]),
                Rule("/_sim/home", endpoint=self._sim_home, methods=["POST"]),
                Rule("/_sim/verify", endpoint=self._sim_verify, methods=["POST"]),
                Rule("/_sim/channels/<channel>", endpoint=self._sim_channel, methods=["PUT"]),
                Rule("/_sim/users/<user>", endpoint=self._sim_user, methods=["PUT"]),
                Rule("/_sim/usergroups", endpoint=self._sim_usergroups, methods=["GET"]),
                Rule("/_sim/usergroups/<group>", endpoint=self._sim_usergroup, methods=["PUT"]),
                Rule("/_sim/faults", endpoint=self._sim_faults, methods=["GET", "PUT"]),
                Rule("/_sim/settings", endpoint=self._sim_settings, methods=["GET", "PUT"]),
                Rule("/_sim/errors", endpoint=self._sim_errors, methods=["GET", "DELETE"]),
            ]
        )

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        try:
            endpoint, values = self._routes.bind_to_environ(environ).match()
            response: Response = endpoint(request, **values)
        except ControlError as error:
            response = control_error(str(error))
        except HTTPException as error:
            response = http_error(error)
        return response(environ, start_response)

    def _web_api(self) -> dict[str, Method]:
        content = _CONTENT | {"metadata", "unfurl_links", "unfurl_media", "reply_broadcast", "mrkdwn"}
        return {
            "auth.test": Method(self._auth_test, frozenset()),
            "chat.postMessage": Method(
                self._post_message, content | _COMMON_POST | {"channel"}, ("channel",), scope="chat:write"
            ),
            "chat.postEphemeral": Method(
                self._post_ephemeral,
                _CONTENT | _COMMON_POST | {"channel", "user"},
                ("channel", "user"),
                scope="chat:write",
            ),
            "chat.update": Method(
                self._update,
                _CONTENT | {"channel", "ts", "as_user", "link_names", "parse", "metadata", "reply_broadcast"},
                ("channel", "ts"),
                scope="chat:write",
            ),
            "chat.delete": Method(
                self._delete, frozenset({"channel", "ts", "as_user"}), ("channel", "ts"), scope="chat:write"
            ),
            "chat.getPermalink": Method(
                self._permalink, frozenset({"channel", "message_ts"}), ("channel", "message_ts")
            ),
            "conversations.info": Method(
                self._conversation,
                frozenset({"channel", "include_locale", "include_num_members"}),
                ("channel",),
                scope="channels:read",
            ),
            "conversations.list": Method(
                self._conversations, frozenset({"cursor", "exclude_archived", "limit", "types"}), scope="channels:read"
            ),
            "conversations.join": Method(self._join, frozenset({"channel"}), ("channel",), scope="channels:join"),
            "conversations.history": Method(
                self._history, _RANGE | {"channel"}, ("channel",), scope="channels:history"
            ),
            "conversations.replies": Method(
                self._replies, _RANGE | {"channel", "ts"}, ("channel", "ts"), scope="channels:history"
            ),
            "users.info": Method(self._user, frozenset({"user", "include_locale"}), ("user",), scope="users:read"),
            "users.conversations": Method(
                self._conversations_of,
                frozenset({"user", "types", "cursor", "exclude_archived", "limit"}),
                scope="channels:read",
            ),
            "bots.info": Method(self._bot, frozenset({"bot"}), scope="users:read"),
            "users.lookupByEmail": Method(
                self._user_by_email, frozenset({"email"}), ("email",), scope="users:read.email"
            ),
            "usergroups.users.update": Method(
                self._usergroup,
                frozenset({"usergroup", "users", "include_count"}),
                ("usergroup", "users"),
                scope="usergroups:write",
            ),
            "reactions.add": Method(
                self._react,
                frozenset({"channel", "name", "timestamp"}),
                ("channel", "name", "timestamp"),
                scope="reactions:write",
            ),
            "views.open": Method(self._open, frozenset({"trigger_id", "view"}), ("trigger_id", "view")),
            "views.publish": Method(self._publish, frozenset({"user_id", "view", "hash"}), ("user_id", "view")),
        }

    # The Web API

    def _call(self, request: Request, method: str) -> Response:
        fault = self._faults.take(f"method {method}", "every method")
        if fault is not None and {"status", "error"} & fault.keys():
            return _refusal(_fault_error(fault))
        try:
            result = self._run(request, method)
        except SlackError as error:
            self._workspace.error(method, error.error, error.messages)
            return _refusal(error)
        if fault is not None:
            time.sleep(fault.get("timeout", 0))
            if fault.get("lose_answer"):
                return LostAnswer()
        return json_response({"ok": True, **result}, headers={"X-OAuth-Scopes": ",".join(self._scopes)})

    def _run(self, request: Request, name: str) -> dict[str, Any]:
        method = self._methods.get(name)
        if method is None:
            raise SlackError("unknown_method", f"[ERROR] {name} is not simulated")
        arguments = _arguments(request)
        self._authenticate(request, arguments.pop("token", None))
        if method.scope and method.scope not in self._scopes:
            provided = ",".join(self._scopes)
            raise SlackError("missing_scope", f"[ERROR] needed: {method.scope}; provided: {provided}")
        problems = [f"[ERROR] unknown argument: {argument}" for argument in arguments if argument not in method.takes]
        problems += [
            f"[ERROR] must be a string [json-pointer:/{argument}]"
            for argument, value in arguments.items()
            if argument not in _STRUCTURED and isinstance(value, dict | list)
        ]
        problems += [
            f"[ERROR] missing required field: {argument}" for argument in method.needs if not arguments.get(argument)
        ]
        if problems:
            raise SlackError("invalid_arguments", *problems)
        with self._workspace.lock:
            return method.run(arguments)

    def _authenticate(self, request: Request, in_form: object) -> None:
        given = request.authorization
        token = given.token if given is not None and given.type == "bearer" else in_form
        if not isinstance(token, str) or not token:
            raise SlackError("not_authed")
        if not hmac.compare_digest(token, self._bot_token):
            raise SlackError("invalid_auth")

    def _limit(self, name: str, rate: float, burst: float) -> None:
        bucket = self._buckets.setdefault(name, Bucket(rate, burst))
        wait = bucket.take()
        if wait:
            raise SlackError("ratelimited", status=429, retry_after=math.ceil(wait))

    def _channel(self, arguments: Mapping[str, Any], *, by_name: bool = False, member: bool = True) -> Channel:
        wanted = arguments["channel"]
        channel = self._workspace.channels.get(wanted)
        if channel is None and by_name:
            named = (each for each in self._workspace.channels.values() if each.name == str(wanted).removeprefix("#"))
            channel = next(named, None) or self._direct_message(str(wanted))
        if channel is None:
            raise SlackError("channel_not_found")
        if member and not channel.member:
            raise SlackError("not_in_channel")
        if member and channel.archived:
            raise SlackError("is_archived")
        return channel

    def _direct_message(self, user: str) -> Channel | None:
        """Slack: a message to a user's id goes to the direct messages between the bot and that user."""
        if user not in self._workspace.users:
            return None
        name = f"D{user[1:]}"
        return self._workspace.channels.setdefault(name, Channel(name, "directmessage"))

    def _auth_test(self, arguments: dict[str, Any]) -> dict[str, Any]:
        del arguments
        return {
            "url": "https://simulated.slack.com/",
            "team": "Simulated",
            "user": "on-call",
            "team_id": workspace.TEAM,
            "user_id": workspace.BOT_USER,
            "bot_id": workspace.BOT,
            "is_enterprise_install": False,
        }

    def _post_message(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_name=True)
        text, message_blocks = _content(arguments, LONGEST_TEXT)
        thread = self._thread(channel.id, arguments.get("thread_ts"))
        metadata = _metadata(arguments.get("metadata"))
        self._limit(f"post {channel.id}", self._settings.posts_per_second, self._settings.post_burst)
        message = self._workspace.post(
            Message(
                ts=self._workspace.timestamp(),
                channel=channel.id,
                user=workspace.BOT_USER,
                text=text or "",
                blocks=message_blocks or [],
                thread_ts=thread,
                metadata=metadata,
                broadcast=_flag(arguments, "reply_broadcast"),
            )
        )
        return {"channel": channel.id, "ts": message.ts, "message": self._resource(message)}

    def _thread(self, channel: str, thread_ts: object) -> str | None:
        if thread_ts is None:
            return None
        parent = self._workspace.find(channel, str(thread_ts))
        if parent is None:
            raise SlackError("thread_not_found", f"[ERROR] no message {thread_ts} in this channel")
        if parent.thread_ts is not None:
            raise SlackError("cannot_reply_to_message", "[ERROR] thread_ts is a reply: name the message it replies to")
        return parent.ts

    def _post_ephemeral(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_name=True)
        if arguments["user"] not in self._workspace.users:
            raise SlackError("user_not_in_channel")
        text, message_blocks = _content(arguments, LONGEST_TEXT)
        message = Message(
            ts=self._workspace.timestamp(),
            channel=channel.id,
            user=workspace.BOT_USER,
            text=text or "",
            blocks=message_blocks or [],
            thread_ts=self._thread(channel.id, arguments.get("thread_ts")),
            to=arguments["user"],
        )
        return {"message_ts": self._workspace.post(message).ts}

    def _own(self, arguments: dict[str, Any], refusal: str) -> Message:
        message = self._workspace.find(self._channel(arguments).id, arguments["ts"])
        if message is None:
            raise SlackError("message_not_found")
        if message.user != workspace.BOT_USER:
            raise SlackError(refusal)
        return message

    def _update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        message = self._own(arguments, "cant_update_message")
        text, message_blocks = _content(arguments, LONGEST_UPDATE)
        metadata = _metadata(arguments["metadata"]) if "metadata" in arguments else message.metadata
        per_minute = self._settings.updates_per_minute
        self._limit("update", per_minute / 60, per_minute)
        if text is not None or message_blocks is not None:  # Slack: text without blocks removes the blocks
            message.blocks = message_blocks or []
            workspace.identify(message.blocks)
        message.text = message.text if text is None else text
        message.metadata = metadata
        message.edits += 1
        resource = self._resource(message)
        return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": resource}

    def _delete(self, arguments: dict[str, Any]) -> dict[str, Any]:
        message = self._own(arguments, "cant_delete_message")
        self._workspace.messages.remove(message)
        return {"channel": message.channel, "ts": message.ts}

    def _permalink(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments)
        message = self._workspace.find(channel.id, arguments["message_ts"])
        if message is None:
            raise SlackError("message_not_found")
        link = f"https://simulated.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
        if message.thread_ts is not None:
            link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
        return {"channel": channel.id, "permalink": link}

    def _conversation(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"channel": _channel_resource(self._channel(arguments, member=False))}

    def _conversations(self, arguments: dict[str, Any]) -> dict[str, Any]:
        hide = _flag(arguments, "exclude_archived")
        channels = [channel for channel in self._workspace.channels.values() if not (hide and channel.archived)]
        page, cursor = _page(channels, arguments, 100)
        return {
            "channels": [_channel_resource(channel) for channel in page],
            "response_metadata": {"next_cursor": cursor},
        }

    def _conversations_of(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Slack: with a bot's token, of a user the channels that the bot shares with them."""
        user = arguments.get("user", workspace.BOT_USER)
        if user != workspace.BOT_USER and user not in self._workspace.users:
            raise SlackError("user_not_found")
        hide = _flag(arguments, "exclude_archived")
        channels = [
            channel
            for channel in self._workspace.channels.values()
            if channel.member and not (hide and channel.archived) and not channel.id.startswith("D")
            if user == workspace.BOT_USER or channel.members is None or user in channel.members
        ]
        page, cursor = _page(channels, arguments, 100)
        return {
            "channels": [_channel_resource(channel) for channel in page],
            "response_metadata": {"next_cursor": cursor},
        }

    def _bot(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("bot", workspace.BOT) != workspace.BOT:
            raise SlackError("bot_not_found")
        bot = {"id": workspace.BOT, "app_id": workspace.APP, "user_id": workspace.BOT_USER, "name": "on-call"}
        return {"bot": {**bot, "deleted": False}}

    def _join(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, member=False)
        if channel.archived:
            raise SlackError("is_archived")
        channel.member = True
        return {"channel": _channel_resource(channel)}

    def _history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments)
        messages = [
            message
            for message in reversed(self._workspace.messages)
            if message.channel == channel.id and (message.thread_ts is None or message.broadcast)
        ]
        return self._listed(messages, arguments)

    def _replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments)
        ts = arguments["ts"]
        if self._workspace.find(channel.id, ts) is None:
            raise SlackError("thread_not_found")
        messages = [
            message
            for message in self._workspace.messages
            if message.channel == channel.id and ts in {message.ts, message.thread_ts}
        ]
        return self._listed(messages, arguments)

    def _listed(self, messages: list[Message], arguments: dict[str, Any]) -> dict[str, Any]:
        oldest, latest = _time(arguments, "oldest", 0), _time(arguments, "latest", math.inf)
        if _flag(arguments, "inclusive"):
            chosen = [message for message in messages if oldest <= float(message.ts) <= latest]
        else:
            chosen = [message for message in messages if oldest < float(message.ts) < latest]
        page, cursor = _page(chosen, arguments, 100)
        whole = _flag(arguments, "include_all_metadata")
        resources = [self._resource(message, metadata=whole) for message in page]
        return {"messages": resources, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}

    def _user(self, arguments: dict[str, Any]) -> dict[str, Any]:
        user = self._workspace.users.get(arguments["user"])
        if user is None:
            raise SlackError("user_not_found")
        return {"user": _user_resource(user)}

    def _user_by_email(self, arguments: dict[str, Any]) -> dict[str, Any]:
        email = str(arguments["email"]).lower()
        user = next((user for user in self._workspace.users.values() if user.email.lower() == email), None)
        if user is None:
            raise SlackError("users_not_found")
        return {"user": _user_resource(user)}

    def _usergroup(self, arguments: dict[str, Any]) -> dict[str, Any]:
        group = arguments["usergroup"]
        if group not in self._workspace.usergroups:
            raise SlackError("no_such_subteam")
        users = [user for user in str(arguments["users"]).split(",") if user]
        if not users:
            raise SlackError("no_users_provided")
        if any(user not in self._workspace.users for user in users):
            raise SlackError("invalid_users")
        self._workspace.usergroups[group] = users
        return {"usergroup": {"id": group, "team_id": workspace.TEAM, "users": users, "user_count": len(users)}}

    def _react(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments["name"]
        if not re.fullmatch(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?", str(name)):
            raise SlackError("invalid_name")
        message = self._workspace.find(self._channel(arguments).id, arguments["timestamp"])
        if message is None:
            raise SlackError("message_not_found")
        people = message.reactions.setdefault(name, [])
        if workspace.BOT_USER in people:
            raise SlackError("already_reacted")
        people.append(workspace.BOT_USER)
        return {}

    def _open(self, arguments: dict[str, Any]) -> dict[str, Any]:
        view = _view(arguments["view"], "modal")
        user, error = self._workspace.use_trigger(str(arguments["trigger_id"]))
        if error is not None:
            raise SlackError(error)
        return {"view": self._keep_view(view, user or "")}

    def _publish(self, arguments: dict[str, Any]) -> dict[str, Any]:
        view = _view(arguments["view"], "home")
        user = arguments["user_id"]
        if user not in self._workspace.users:
            raise SlackError("invalid_arguments", "invalid `user_id`")
        before = self._home_of(user)
        if "hash" in arguments and before is not None and before["hash"] != arguments["hash"]:
            raise SlackError("hash_conflict")
        if before is not None:  # Slack: a user has one home
            del self._workspace.views[before["id"]]
        return {"view": self._keep_view(view, user)}

    def _home_of(self, user: str) -> dict[str, Any] | None:
        views = self._workspace.views.values()
        return next((view for view in views if view["type"] == "home" and view["user"] == user), None)

    def _keep_view(self, view: dict[str, Any], user: str) -> dict[str, Any]:
        workspace.identify(view["blocks"])
        name = f"V{self._workspace.timestamp().replace('.', '')}"
        kept = {
            **view,
            "id": name,
            "team_id": workspace.TEAM,
            "hash": name,
            "app_id": workspace.APP,
            "state": {"values": {}},
        }
        self._workspace.views[name] = {**kept, "user": user, "open": True}
        return kept

    def _resource(self, message: Message, *, metadata: bool = True) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "type": "message",
            "ts": message.ts,
            "user": message.user,
            "text": message.text,
            "team": workspace.TEAM,
        }
        if message.user == workspace.BOT_USER:
            resource |= {"bot_id": workspace.BOT, "app_id": workspace.APP}
        if message.blocks:
            resource["blocks"] = message.blocks
        if message.thread_ts is not None:
            resource["thread_ts"] = message.thread_ts
        replies = [reply for reply in self._workspace.messages if reply.thread_ts == message.ts]
        if replies:
            resource |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
        if metadata and message.metadata is not None:
            resource["metadata"] = message.metadata
        if message.edits:
            resource["edited"] = {"user": workspace.BOT_USER, "ts": message.ts}
        if message.reactions:
            resource["reactions"] = [
                {"name": name, "users": users, "count": len(users)} for name, users in message.reactions.items()
            ]
        return resource

    # response_url

    def _hook(self, request: Request, name: str) -> Response:
        """An answer to an interaction. Slack: JSON; a new ephemeral message unless told otherwise."""
        try:
            self._answer_interaction(request, name)
        except SlackError as error:
            self._workspace.error("response_url", error.error, error.messages)
            return _refusal(error)
        return Response("ok", mimetype="text/plain")

    def _answer_interaction(self, request: Request, name: str) -> None:
        body = request.get_json(force=True, silent=True)
        known = _CONTENT | {"response_type", "replace_original", "delete_original", "thread_ts", "metadata"}
        if not isinstance(body, dict):
            raise SlackError("invalid_payload", status=400)
        unknown = [f"[ERROR] unknown argument: {argument}" for argument in body if argument not in known]
        if unknown:
            raise SlackError("invalid_arguments", *unknown, status=400)
        with self._workspace.lock:
            url, error = self._workspace.use_response_url(name)
            if url is None:
                raise SlackError(error or "", status=404)
            if body.get("delete_original"):
                self._take_back(url.original)
                return
            text, message_blocks = _content(body, LONGEST_TEXT)
            if body.get("replace_original") and url.original is not None:
                url.original.text = text or ""
                url.original.blocks = message_blocks or []
                workspace.identify(url.original.blocks)
                url.original.edits += 1
                return
            self._answer(url.channel, url.user, body, text, message_blocks)

    def _take_back(self, original: Message | None) -> None:
        for messages in (self._workspace.messages, self._workspace.ephemerals):
            if original in messages:
                messages.remove(original)
                return
        raise SlackError("message_not_found", status=404)

    def _answer(
        self,
        channel: str,
        user: str,
        body: Mapping[str, Any],
        text: str | None,
        message_blocks: list[dict[str, Any]] | None,
    ) -> None:
        kind = body.get("response_type", "ephemeral")
        if kind not in {"ephemeral", "in_channel"}:
            raise SlackError("invalid_response_type", status=400)
        self._workspace.post(
            Message(
                ts=self._workspace.timestamp(),
                channel=channel,
                user=workspace.BOT_USER,
                text=text or "",
                blocks=message_blocks or [],
                thread_ts=body.get("thread_ts"),
                to=user if kind == "ephemeral" else None,
            )
        )

    # The control API

    def _url(self, name: str) -> str:
        """Where interactions or commands go: what was set last."""
        set_here: str = getattr(self._settings, name)
        given = self._urls[name]
        url = set_here or (given if isinstance(given, str) else given())
        if not url:
            raise ControlError(f"there is no {name} yet: PUT it to /_sim/settings")
        return url

    def _sim_messages(self, request: Request) -> Response:
        if request.method == "POST":
            return self._sim_write(request)
        channel = request.args.get("channel")
        with self._workspace.lock:
            found = [one for one in self._workspace.messages if channel in (None, one.channel)]
            return json_response([_describe(message) for message in found])

    def _sim_write(self, request: Request) -> Response:
        """A person writes into a channel."""
        checks = {"channel": self._is_channel, "user": _is_user, "text": is_text, "thread_ts": _is_ts}
        body = checked(control_body(request), checks, required=["channel", "user", "text"], what="messages")
        with self._workspace.lock:
            user = self._workspace.person(body["user"]).id
            ts = self._workspace.timestamp()
            message = Message(ts, body["channel"], user, body["text"], [], body.get("thread_ts"))
            return json_response(_describe(self._workspace.post(message)))

    def _sim_ephemerals(self, request: Request) -> Response:
        del request
        with self._workspace.lock:
            return json_response([{**_describe(message), "to": message.to} for message in self._workspace.ephemerals])

    def _sim_press(self, request: Request, ts: str) -> Response:
        checks = {"action_id": is_text, "user": _is_user, "block_id": is_text, "value": is_text}
        body = checked(control_body(request), checks, required=["action_id", "user"], what="press")
        url = self._url("interactivity_url")
        with self._workspace.lock:
            everything = self._workspace.messages + self._workspace.ephemerals
            message = next((message for message in everything if message.ts == ts), None)
            if message is None:
                return control_error(f"there is no message {ts}", 404)
            found = list(blocks.elements(message.blocks))
            block, element = next(
                (
                    (block, element)
                    for block, element in found
                    if element["action_id"] == body["action_id"] and body.get("block_id") in {None, block["block_id"]}
                ),
                ({}, {}),
            )
            if not element:
                there = ", ".join(element["action_id"] for _, element in found) or "none"
                return control_error(f"message {ts} has no action_id {body['action_id']!r}; it has: {there}", 404)
            payload = self._block_actions(request, message, block, element, body)
        return json_response(self._workspace.interact(url, payload))

    def _sim_press_view(self, request: Request, view: str) -> Response:
        """Press a button of somebody's home, or of an open modal."""
        checks = {"action_id": is_text, "user": _is_user, "block_id": is_text, "value": is_text}
        body = checked(control_body(request), checks, required=["action_id", "user"], what="press")
        url = self._url("interactivity_url")
        with self._workspace.lock:
            kept = self._workspace.views.get(view)
            if kept is None or not kept["open"]:
                return control_error(f"there is no open view {view}", 404)
            found = list(blocks.elements(kept["blocks"]))
            chosen = [
                (block, element)
                for block, element in found
                if element["action_id"] == body["action_id"]
                and body.get("block_id") in {None, block["block_id"]}
                and body.get("value") in {None, element.get("value")}
            ]
            if not chosen:
                there = ", ".join(f"{element['action_id']} {element.get('value')}" for _, element in found) or "none"
                return control_error(f"view {view} has no such element; it has: {there}", 404)
            block, element = chosen[0]
            user = self._workspace.person(body["user"])
            payload = {
                "type": "block_actions",
                **self._workspace.about(user),
                "container": {"type": "view", "view_id": view},
                "trigger_id": self._workspace.trigger(user.id),
                "view": {name: value for name, value in kept.items() if name not in {"user", "open"}},
                "actions": [_action(block, element, body.get("value"), self._workspace.timestamp())],
            }
        return json_response(self._workspace.interact(url, payload))

    def _sim_home(self, request: Request) -> Response:
        """A person opens the app's home. Slack tells of it, and once more at once if that fails."""
        body = checked(control_body(request), {"user": _is_user, "tab": is_text}, required=["user"], what="home")
        url = self._url("events_url")
        with self._workspace.lock:
            user = self._workspace.person(body["user"])
            event: dict[str, Any] = {
                "type": "app_home_opened",
                "user": user.id,
                "channel": f"D{user.id[1:]}",
                "tab": body.get("tab", "home"),
                "event_ts": self._workspace.timestamp(),
            }
            home = self._home_of(user.id)
            if home is not None:
                event["view"] = {name: value for name, value in home.items() if name not in {"user", "open"}}
        return json_response(self._workspace.tell(url, event))

    def _sim_verify(self, request: Request) -> Response:
        """Slack checks the events' address, when it is saved, with a challenge."""
        del request
        return json_response(self._workspace.verify(self._url("events_url")))

    def _block_actions(
        self,
        request: Request,
        message: Message,
        block: Mapping[str, Any],
        element: Mapping[str, Any],
        body: Mapping[str, Any],
    ) -> dict[str, Any]:
        user = self._workspace.person(body["user"])
        channel = self._workspace.channels[message.channel]
        ephemeral = message.to is not None
        container = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": ephemeral,
        }
        if message.thread_ts is not None:
            container["thread_ts"] = message.thread_ts
        payload = {
            "type": "block_actions",
            **self._workspace.about(user),
            "container": container,
            "trigger_id": self._workspace.trigger(user.id),
            "channel": {"id": channel.id, "name": channel.name},
            "state": {"values": {}},
            "response_url": self._workspace.response_url(_base(request), channel.id, user.id, message),
            "actions": [_action(block, element, body.get("value"), self._workspace.timestamp())],
        }
        if not ephemeral:  # Slack: ephemeral messages are not sent along
            payload["message"] = self._resource(message)
        return payload

    def _sim_command(self, request: Request) -> Response:
        checks = {"command": _is_command, "text": is_text, "user": _is_user, "channel": self._is_channel}
        body = checked(control_body(request), checks, required=["command", "user"], what="commands")
        url = self._url("commands_url")
        with self._workspace.lock:
            user = self._workspace.person(body["user"])
            channel = self._workspace.channels[body.get("channel", next(iter(self._workspace.channels)))]
            form = {
                "token": "deprecated",
                "team_id": workspace.TEAM,
                "team_domain": "simulated",
                "channel_id": channel.id,
                "channel_name": channel.name,
                "user_id": user.id,
                "user_name": user.name,
                "command": body["command"],
                "text": body.get("text", ""),
                "api_app_id": workspace.APP,
                "is_enterprise_install": "false",
                "response_url": self._workspace.response_url(_base(request), channel.id, user.id, None),
                "trigger_id": self._workspace.trigger(user.id),
            }
        outcome = self._workspace.send(url, form, "command")
        if outcome["ok"] and outcome["body"]:
            self._show_answer(channel.id, user.id, outcome)
        return json_response(outcome)

    def _show_answer(self, channel: str, user: str, outcome: Mapping[str, Any]) -> None:
        """Slack: what a command's 200 says is a message, plain or JSON."""
        body: Any = {"text": outcome["body"]}
        if outcome["content_type"].startswith("application/json"):
            body = json.loads(outcome["body"])
        if not body:
            return
        with self._workspace.lock:
            try:
                text, message_blocks = _content(body, LONGEST_TEXT)
                self._answer(channel, user, body, text, message_blocks)
            except SlackError as error:
                self._workspace.error("command", error.error, error.messages)

    def _sim_interactions(self, request: Request) -> Response:
        del request
        with self._workspace.lock:
            return json_response(self._workspace.interactions)

    def _sim_views(self, request: Request) -> Response:
        del request
        with self._workspace.lock:
            return json_response(list(self._workspace.views.values()))

    def _sim_submit(self, request: Request, view: str) -> Response:
        """Submit an open modal. `values`: by action_id, what was typed or chosen."""
        checks = {"user": _is_user, "values": lambda value: isinstance(value, dict)}
        body = checked(control_body(request), checks, required=["user"], what="submit")
        url = self._url("interactivity_url")
        with self._workspace.lock:
            kept = self._workspace.views.get(view)
            if kept is None or not kept["open"] or kept["type"] != "modal":
                return control_error(f"there is no open modal {view}", 404)
            values = dict(body.get("values", {}))
            state: dict[str, dict[str, Any]] = {}
            for block, element in blocks.elements(kept["blocks"]):
                given = values.pop(element["action_id"], None)
                state.setdefault(block["block_id"], {})[element["action_id"]] = _input(element, given)
            if values:
                return control_error(f"the modal has no {', '.join(values)}", 404)
            user = self._workspace.person(body["user"])
            sent = {name: value for name, value in kept.items() if name not in {"user", "open"}}
            sent["state"] = {"values": state}
            payload = {
                "type": "view_submission",
                **self._workspace.about(user),
                "trigger_id": self._workspace.trigger(user.id),
                "view": sent,
                "response_urls": [],
            }
        outcome = self._workspace.interact(url, payload)
        answer = json.loads(outcome["body"]) if outcome["ok"] and outcome["body"] else {}
        with self._workspace.lock:
            kept["open"] = not outcome["ok"] or answer.get("response_action") in {"errors", "update", "push"}
        return json_response(outcome)

    def _sim_workspace(self, request: Request) -> Response:
        del request
        with self._workspace.lock:
            users = {user.id: asdict(user) for user in self._workspace.users.values()}
            channels = {channel.id: asdict(channel) for channel in self._workspace.channels.values()}
            return json_response({"channels": channels, "users": users, "bot": workspace.BOT_USER})

    def _sim_channel(self, request: Request, channel: str) -> Response:
        checks = {"name": is_text, "member": is_flag, "archived": is_flag, "members": _are_users}
        body = checked(control_body(request), checks, what="channels")
        if not re.fullmatch(r"[CG][A-Z0-9]{2,}", channel):
            raise ControlError(f"channels: {channel!r} is no id of a channel")
        with self._workspace.lock:
            known = self._workspace.channels.get(channel, Channel(channel, channel.lower()))
            self._workspace.channels[channel] = replace(known, **body)
            return json_response(asdict(self._workspace.channels[channel]))

    def _sim_user(self, request: Request, user: str) -> Response:
        flags = dict.fromkeys(("is_restricted", "is_ultra_restricted", "is_stranger", "is_bot", "deleted"), is_flag)
        checks = {**dict.fromkeys(("name", "email", "tz", "team_id"), is_text), **flags}
        body = checked(control_body(request), checks, what="users")
        if not _is_user(user):
            raise ControlError(f"users: {user!r} is no id of a user")
        with self._workspace.lock:
            self._workspace.users[user] = replace(self._workspace.person(user), **body)
            return json_response(asdict(self._workspace.users[user]))

    def _sim_usergroups(self, request: Request) -> Response:
        del request
        with self._workspace.lock:
            return json_response(self._workspace.usergroups)

    def _sim_usergroup(self, request: Request, group: str) -> Response:
        checks = {"users": _are_users}
        body = checked(control_body(request), checks, what="usergroups")
        if not re.fullmatch(r"S[A-Z0-9]{2,}", group):
            raise ControlError(f"usergroups: {group!r} is no id of a user group")
        with self._workspace.lock:
            self._workspace.usergroups[group] = body.get("users", [])
            return json_response({group: self._workspace.usergroups[group]})

    def _sim_faults(self, request: Request) -> Response:
        if request.method == "PUT":
            checks = {
                "status": number_from(400, 599),
                "times": is_count,
                "retry_after": is_count,
                "error": is_text,
                "timeout": number_from(0),
                "lose_answer": is_flag,
                "method": lambda value: value in self._methods,
            }
            body = checked(control_body(request), checks, what="faults")
            name = f"method {body['method']}" if "method" in body else "every method"
            self._faults.replace({name: Fault.of(body)} if body else {})
        return json_response(self._faults.describe())

    def _sim_settings(self, request: Request) -> Response:
        checks = {
            "interactivity_url": is_text,
            "commands_url": is_text,
            "events_url": is_text,
            "posts_per_second": number_from(0.01),
            "post_burst": number_from(1),
            "updates_per_minute": number_from(1),
        }
        with self._workspace.lock:
            if request.method == "PUT":
                self._settings = replace(self._settings, **checked(control_body(request), checks, what="settings"))
                self._buckets.clear()
            return json_response(asdict(self._settings))

    def _sim_errors(self, request: Request) -> Response:
        with self._workspace.lock:
            errors = list(self._workspace.errors)
            if request.method == "DELETE":
                self._workspace.errors.clear()
        return json_response(errors)

    def _is_channel(self, value: object) -> bool:
        return value in self._workspace.channels


def _is_user(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[UW][A-Z0-9_]+", value) is not None


def _are_users(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_user, value))


def _is_command(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"/[a-z0-9_-]{1,32}", value) is not None


def _is_ts(value: object) -> bool:
    return isinstance(value, str) and _TS.fullmatch(value) is not None


def _base(request: Request) -> str:
    """The address of this very server, whatever Host the request named."""
    return f"http://{request.environ['SERVER_NAME']}:{request.environ['SERVER_PORT']}"


def _describe(message: Message) -> dict[str, Any]:
    return {
        "ts": message.ts,
        "channel": message.channel,
        "thread_ts": message.thread_ts,
        "text": message.text,
        "blocks": message.blocks,
        "edits": message.edits,
        "user": message.user,
        "metadata": message.metadata,
        "reactions": message.reactions,
    }


def _fault_error(fault: Mapping[str, Any]) -> SlackError:
    status = fault.get("status", 200)
    usual = {429: "ratelimited", 503: "service_unavailable"}.get(status, "internal_error")
    retry_after = fault.get("retry_after", 1 if status == 429 else None)
    return SlackError(fault.get("error", usual), status=status, retry_after=retry_after)


def _refusal(error: SlackError) -> Response:
    body: dict[str, Any] = {"ok": False, "error": error.error}
    if error.messages:
        body["response_metadata"] = {"messages": error.messages}
        body["errors"] = [message.removeprefix("[ERROR] ") for message in error.messages]
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return json_response(body, error.status, headers)


def _arguments(request: Request) -> dict[str, Any]:
    """The arguments of a call: JSON, or a form, or a query."""
    if request.mimetype == "application/json":
        try:
            body = json.loads(request.get_data() or b"{}")  # slack_sdk sends an empty body as JSON
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        return {**request.args.to_dict(), **body}
    if request.mimetype not in {"", "application/x-www-form-urlencoded"}:
        raise SlackError("invalid_post_type", f"[ERROR] unsupported Content-Type {request.mimetype}")
    return {**request.args.to_dict(), **request.form.to_dict()}


def _decoded(value: object, error: str) -> Any:
    """An argument that is JSON in a form, and may be JSON in a string in JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as failure:
        raise SlackError(error) from failure


def _content(arguments: Mapping[str, Any], longest: int) -> tuple[str | None, list[dict[str, Any]] | None]:
    """Text and blocks of a message, checked; None for what is not given."""
    for name in ("attachments", "markdown_text"):
        if name in arguments:
            raise SlackError("invalid_arguments", f"[ERROR] {name} is Slack's, but not simulated: use blocks")
    text = arguments.get("text")
    if text is not None and not isinstance(text, str):
        raise SlackError("invalid_arguments", "[ERROR] text must be a string")
    if text is not None and len(text) > longest:
        raise SlackError("msg_too_long", f"[ERROR] text has {len(text)} characters, at most {longest} are shown")
    message_blocks = None
    if "blocks" in arguments:
        message_blocks = _decoded(arguments["blocks"], "invalid_blocks_format")
        if not isinstance(message_blocks, list):
            raise SlackError("invalid_blocks_format")
        problems = blocks.problems(message_blocks)
        if problems:
            raise SlackError("invalid_blocks", *(f"[ERROR] {problem}" for problem in problems))
        if blocks.size(message_blocks) > blocks.LARGEST_IN_ALL:
            raise SlackError("msg_blocks_too_long", f"[ERROR] {blocks.size(message_blocks)} characters of blocks")
    if not text and not message_blocks:
        raise SlackError("no_text")
    return text, message_blocks


def _metadata(value: object) -> dict[str, Any] | None:
    """Message metadata, checked. An empty object is none."""
    if value is None:
        return None
    metadata = _decoded(value, "invalid_metadata_format")
    if not isinstance(metadata, dict):
        raise SlackError("invalid_metadata_format")
    if not metadata:
        return None
    right = metadata.keys() == {"event_type", "event_payload"} and isinstance(metadata["event_payload"], dict)
    if not right or not isinstance(metadata["event_type"], str) or not metadata["event_type"]:
        raise SlackError("invalid_metadata_schema", "[ERROR] event_type and event_payload are needed, nothing else")
    if len(json.dumps(metadata).encode()) > LARGEST_METADATA:
        raise SlackError("metadata_too_large")
    return metadata


def _view(value: object, kind: str) -> dict[str, Any]:
    view = _decoded(value, "invalid_arguments")
    known = {"type", "title", "submit", "close", "blocks", "private_metadata", "callback_id", "clear_on_close",
             "notify_on_close", "external_id", "submit_disabled"}  # fmt: skip
    if not isinstance(view, dict) or view.get("type") != kind:
        raise SlackError("invalid_arguments", f"[ERROR] view must be an object of type {kind}")
    problems = [f"invalid additional property: {name} [json-pointer:/view]" for name in view if name not in known]
    if kind == "modal":
        problems += _modal_problems(view)
    for name, most in (("private_metadata", 3000), ("callback_id", 255)):
        if len(view.get(name, "")) > most:
            problems.append(f"must be less than {most + 1} characters [json-pointer:/view/{name}]")
    problems += blocks.problems(view.get("blocks"), view=True)
    if problems:
        raise SlackError("invalid_arguments", *(f"[ERROR] {problem}" for problem in problems))
    if len(json.dumps(view, ensure_ascii=False).encode()) > LARGEST_VIEW:
        raise SlackError("view_too_large")
    return view


def _modal_problems(view: Mapping[str, Any]) -> list[str]:
    """Slack: title, submit and close are plain text of at most 24 characters; input blocks need a submit."""
    problems = []
    for name in ("title", "submit", "close"):
        text = view.get(name)
        if text is None and name != "title":
            continue
        words = text.get("text") if isinstance(text, dict) and text.get("type") == "plain_text" else None
        if not isinstance(words, str) or not 1 <= len(words) <= 24:
            problems.append(f"must be plain_text of 1 to 24 characters [json-pointer:/view/{name}]")
    inputs = any(isinstance(block, dict) and block.get("type") == "input" for block in view.get("blocks", []))
    if inputs and "submit" not in view:
        problems.append("missing required field: submit [json-pointer:/view]")
    return problems


def _flag(arguments: Mapping[str, Any], name: str) -> bool:
    value = arguments.get(name, False)
    if value in {True, "true", "1"}:
        return True
    if value in {False, "false", "0"}:
        return False
    raise SlackError("invalid_arguments", f"[ERROR] {name} must be a boolean")


def _time(arguments: Mapping[str, Any], name: str, default: float) -> float:
    value = arguments.get(name, default)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SlackError(f"invalid_ts_{name}") from error


def _page[Item](items: list[Item], arguments: Mapping[str, Any], default: int) -> tuple[list[Item], str]:
    """One page and the cursor of the next, empty after the last. Slack: limit is 1 to 999."""
    limit, cursor = str(arguments.get("limit", default)), str(arguments.get("cursor") or "0")
    if not limit.isdigit() or not 1 <= int(limit) <= 999:
        raise SlackError("invalid_limit")
    if not cursor.isdigit():
        raise SlackError("invalid_cursor")
    start, end = int(cursor), int(cursor) + int(limit)
    return items[start:end], str(end) if end < len(items) else ""


def _channel_resource(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": True,
        "is_private": False,
        "is_archived": channel.archived,
        "is_member": channel.member,
        "context_team_id": workspace.TEAM,
    }


def _user_resource(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "team_id": user.team_id,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_stranger": user.is_stranger,
        "name": user.name,
        "real_name": user.name,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "tz": user.tz,
        "profile": {"real_name": user.name, "display_name": user.name, "email": user.email},
    }


def _action(block: Mapping[str, Any], element: Mapping[str, Any], value: str | None, ts: str) -> dict[str, Any]:
    """What a payload says of the element that was used. Menus need the value that was chosen."""
    action = {
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "type": element["type"],
        "action_ts": ts,
    }
    if element["type"] == "button":
        return action | {name: element[name] for name in ("text", "value", "style") if name in element}
    return action | _input(element, value)


def _input(element: Mapping[str, Any], value: object) -> dict[str, Any]:
    """The state of an input or menu with `value` in it."""
    kind = element["type"]
    if kind in {"static_select", "overflow"}:
        options = {option["value"]: option for option in element["options"]}
        if value is not None and value not in options:
            raise ControlError(f"{element['action_id']} has no option {value!r}; it has: {', '.join(options)}")
        return {"type": kind, "selected_option": options.get(str(value))}
    field = {
        "users_select": "selected_user",
        "datepicker": "selected_date",
        "timepicker": "selected_time",
        "datetimepicker": "selected_date_time",
    }
    return {"type": kind, field.get(kind, "value"): value}


def main() -> None:
    """Serve until SIGTERM. The secrets come from SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET."""
    parser = argparse.ArgumentParser(description="Simulated Slack")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0: any free one")
    parser.add_argument(
        "--channel", action="append", default=[], metavar="ID:NAME", help="a channel with the bot in it"
    )
    parser.add_argument("--user", action="append", default=[], metavar="ID:NAME:EMAIL", help="a person")
    parser.add_argument("--interactivity-url", default="", help="where pressed buttons are sent")
    parser.add_argument("--commands-url", default="", help="where slash commands are sent")
    parser.add_argument("--events-url", default="", help="where events are sent")
    parser.add_argument("--scope", action="append", default=[], help="a scope of the app; without any, all it may need")
    arguments = parser.parse_args()
    app = create_app(
        bot_token=os.environ["SLACK_BOT_TOKEN"],
        signing_secret=os.environ["SLACK_SIGNING_SECRET"],
        channels=dict(channel.split(":", 1) for channel in arguments.channel),
        users=[User(*user.split(":", 2)) for user in arguments.user],
        interactivity_url=arguments.interactivity_url,
        commands_url=arguments.commands_url,
        events_url=arguments.events_url,
        scopes=arguments.scope or SCOPES,
    )
    serve(app, arguments.port)


if __name__ == "__main__":
    main()
