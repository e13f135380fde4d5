"""A Slack workspace in memory: channels, people, messages, and what pressing a button sends to the app.

Thread-safe: everything is read and changed while holding `Workspace.lock`.
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

from devstack.slack import blocks

TEAM = "T0SIMULATED"
APP = "A0SIMULATED"
BOT_USER = "U0SIMULATED"
BOT = "B0SIMULATED"
ANSWER_WITHIN = 3.0  # seconds; Slack: interactions and commands
_RESPONSE_URL_USES = 5
_RESPONSE_URL_LIFE = 30 * 60  # seconds
TRIGGER_LIFE = 3.0  # seconds


@dataclass
class Channel:
    """A channel. `member`: the bot is in it. `members`: the people who are; None: everybody."""

    id: str
    name: str
    member: bool = True
    archived: bool = False
    members: list[str] | None = None


@dataclass
class User:
    """A person."""

    id: str
    name: str
    email: str = ""
    tz: str = "UTC"
    team_id: str = TEAM
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_bot: bool = False
    deleted: bool = False


@dataclass
class Message:
    """A message, or an ephemeral one that only `to` sees."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None = None
    metadata: dict[str, Any] | None = None
    edits: int = 0
    broadcast: bool = False
    to: str | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class ResponseUrl:
    """Where an app may answer to one interaction: 5 times in 30 minutes."""

    channel: str
    user: str
    original: Message | None
    created: float
    uses: int = 0


class Bucket:
    """Slack's rate limits: `rate` a second, and `burst` at once after a pause."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = time.monotonic()

    def take(self) -> float:
        """0 if there is room, otherwise the seconds until there is."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class Workspace:
    """One workspace with one app installed."""

    def __init__(self, signing_secret: str) -> None:
        self.lock = threading.RLock()
        self.channels: dict[str, Channel] = {}
        self.users: dict[str, User] = {}
        self.usergroups: dict[str, list[str]] = {}
        self.messages: list[Message] = []
        self.ephemerals: list[Message] = []
        self.views: dict[str, dict[str, Any]] = {}
        self.interactions: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self._signing_secret = signing_secret
        self._response_urls: dict[str, ResponseUrl] = {}
        self._triggers: dict[str, tuple[str, float]] = {}
        self._last = 0

    def timestamp(self) -> str:
        """A new `ts`: unique and later than all before, like "1234567890.123456"."""
        with self.lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def find(self, channel: str, ts: str) -> Message | None:
        """The message, if the channel has it."""
        with self.lock:
            return next((message for message in self.messages if (message.channel, message.ts) == (channel, ts)), None)

    def person(self, user: str) -> User:
        """The user; whoever acts in the workspace is known from then on."""
        with self.lock:
            return self.users.setdefault(user, User(user, user.lower()))

    def trigger(self, user: str) -> str:
        """A trigger_id, good for one modal within 3 s."""
        with self.lock:
            trigger = f"{time.time_ns() // 1_000_000}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
            self._triggers[trigger] = (user, time.monotonic())
            return trigger

    def use_trigger(self, trigger: str) -> tuple[str | None, str | None]:
        """The user of a trigger_id, or the error that using it is."""
        with self.lock:
            if trigger not in self._triggers:
                return None, "invalid_trigger_id"
            user, created = self._triggers[trigger]
            if created < 0:
                return None, "exchanged_trigger_id"
            if time.monotonic() - created > TRIGGER_LIFE:
                return None, "expired_trigger_id"
            self._triggers[trigger] = (user, -1.0)
            return user, None

    def response_url(self, base: str, channel: str, user: str, original: Message | None) -> str:
        """A new response_url under `base`."""
        name = secrets.token_urlsafe(18)
        with self.lock:
            self._response_urls[name] = ResponseUrl(channel, user, original, time.monotonic())
        return f"{base}/hooks/{name}"

    def use_response_url(self, name: str) -> tuple[ResponseUrl | None, str | None]:
        """What a response_url belongs to, or the error that using it is."""
        with self.lock:
            url = self._response_urls.get(name)
            if url is None:
                return None, "no_such_url"
            if time.monotonic() - url.created > _RESPONSE_URL_LIFE:
                return None, "expired_url"
            if url.uses >= _RESPONSE_URL_USES:
                return None, "used_url"
            url.uses += 1
            return url, None

    def post(self, message: Message) -> Message:
        """Put a message into its channel, or on the screen of the one it is for."""
        with self.lock:
            identify(message.blocks)
            (self.messages if message.to is None else self.ephemerals).append(message)
            return message

    def error(self, where: str, error: str, messages: list[str], **details: object) -> None:
        """Keep a refusal, for `/_sim/errors`."""
        with self.lock:
            self.errors.append({"at": time.time(), "method": where, "error": error, "messages": messages, **details})

    # What Slack sends to the app

    def tell(self, url: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Send an event; the outcome of the last attempt. Slack tries again at once, after a minute, after five: here once."""
        with self.lock:
            stamp = self.timestamp()
        envelope = {
            "token": "deprecated",
            "team_id": TEAM,
            "api_app_id": APP,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{stamp.replace('.', '')}",
            "event_time": int(float(stamp)),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": TEAM,
                    "user_id": BOT_USER,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
        }
        body = json.dumps(envelope, ensure_ascii=False)
        outcome = self._send(url, body, "application/json", "event")
        if outcome["ok"]:
            return outcome
        reason = "http_timeout" if outcome["error"] == "operation_timeout" else "http_error"
        again = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": reason}
        return self._send(url, body, "application/json", "event", again)

    def verify(self, url: str) -> dict[str, Any]:
        """Send the challenge with which Slack checks an address for events: it has to come back, as text or as JSON."""
        challenge = secrets.token_hex(26)
        given = {"token": "deprecated", "challenge": challenge, "type": "url_verification"}
        outcome = self._send(url, json.dumps(given), "application/json", "url_verification")
        answered = outcome["body"]
        if outcome["ok"] and outcome["content_type"].startswith("application/json"):
            answered = json.loads(answered).get("challenge")
        if outcome["ok"] and answered != challenge:
            outcome |= {"ok": False, "error": "challenge_failed"}
        return outcome

    def interact(self, url: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Send an interaction; the outcome: `ok`, `status`, `seconds`, `body`, `error`."""
        return self.send(url, {"payload": json.dumps(payload, ensure_ascii=False)}, payload["type"])

    def send(self, url: str, form: Mapping[str, str], kind: str) -> dict[str, Any]:
        """POST a signed form to the app, which has 3 s to answer with 200."""
        return self._send(url, urlencode(form), "application/x-www-form-urlencoded", kind)

    def _send(
        self, url: str, body: str, content_type: str, kind: str, more: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        timestamp = str(int(time.time()))
        signed = hmac.new(self._signing_secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
        headers = {
            "Content-Type": content_type,
            **(more or {}),
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={signed.hexdigest()}",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }
        started = time.monotonic()
        status: int | None = None
        answer, error, answered_as = "", None, ""
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy between two programs of one machine
                response = session.post(
                    url, data=body.encode(), headers=headers, timeout=ANSWER_WITHIN, allow_redirects=False
                )
            status, answer, answered_as = response.status_code, response.text, response.headers.get("Content-Type", "")
        except requests.exceptions.Timeout:
            error = "operation_timeout"
        except requests.exceptions.RequestException as failure:
            error = f"operation_failed: {type(failure).__name__}"
        seconds = time.monotonic() - started
        if error is None and seconds > ANSWER_WITHIN:
            error = "operation_timeout"
        if error is None and status != 200:
            error = f"http_status_{status}"
        outcome = {
            "ok": error is None,
            "kind": kind,
            "status": status,
            "seconds": round(seconds, 3),
            "body": answer,
            "content_type": answered_as,
            "error": error,
        }
        with self.lock:
            self.interactions.append({"at": time.time(), "url": url, **outcome})
        if error is not None:
            self.error(kind, error, [f"the app answered {status} after {seconds:.2f} s"])
        return outcome

    def about(self, user: User) -> dict[str, Any]:
        """What every interaction says of the team and the person."""
        return {
            "team": {"id": TEAM, "domain": "simulated"},
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
            "api_app_id": APP,
            "token": "deprecated",
            "enterprise": None,
            "is_enterprise_install": False,
        }


def identify(message_blocks: list[dict[str, Any]]) -> None:
    """Give blocks and interactive elements the ids that Slack makes up where the app gave none."""
    for block in message_blocks:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        for element in [*block.get("elements", []), block.get("accessory"), block.get("element")]:
            if isinstance(element, dict) and element.get("type") in blocks.INTERACTIVE:
                element.setdefault("action_id", secrets.token_urlsafe(4))
