"""Questions between two stacks that stand for each other, and their answers: both signed, each good once.

A question is a POST to /peer/{word} with a JSON object. Its signature covers who asks (the primary or the standby, so that
nobody can send a stack its own question), when, a nonce, the word and the body. The answer's signature covers the nonce of
its question, so that an answer cannot be used for another one.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import Request
from uuid import uuid4

from oncall import aws, clock
from oncall.errors import ConfigurationError
from oncall.redirects import open_unfollowed
from oncall.settings import read_settings
from oncall.table import ConditionFailedError, Table, Update

Role = Literal["primary", "standby"]

TIME, NONCE, SIGNATURE = "x-oncall-time", "x-oncall-nonce", "x-oncall-signature"
SKEW_SECONDS = 120  # that two clocks may differ by, the way of a request included
PAUSE_SECONDS = 1.0  # between two tries


class NoAnswerError(Exception):
    """The other stack has not answered, or what came is no answer of its. The message says why."""


class RefusedError(Exception):
    """A question that the other stack has not asked, or has asked before. The message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP request was answered. `signature` is empty if there was none."""

    status: int
    body: bytes
    signature: str


def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
    """One HTTP request. Raises NoAnswerError."""
    try:
        with open_unfollowed(Request(url, body, dict(headers)), timeout=seconds) as answer:  # noqa: S310  http(s)
            return Reply(answer.status, answer.read(), str(answer.headers.get(SIGNATURE, "")))
    except HTTPError as error:
        with error:
            return Reply(error.code, error.read(), "")
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswerError(f"{type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Peer:
    """The other stack. `tokens` reads what SSM has (two during a change); `role` is ours."""

    url: str
    role: Role
    tokens: Callable[[], Sequence[str]]
    post: Callable[[str, Mapping[str, str], bytes, float], Reply] = post
    now: Callable[[], int] = clock.now
    sleep: Callable[[float], None] = time.sleep

    def ask(self, word: str, given: Mapping[str, Any], *, tries: int = 1, seconds: float = 2.0) -> Mapping[str, Any]:
        """What the other stack answers, each try waiting for so many seconds. Raises NoAnswerError."""
        body = json.dumps(given, separators=(",", ":")).encode()
        for attempt in range(tries):
            try:
                return self._ask(word, body, seconds)
            except NoAnswerError:
                if attempt + 1 == tries:
                    raise
                self.sleep(PAUSE_SECONDS)
        raise NoAnswerError("it was not asked")

    def _ask(self, word: str, body: bytes, seconds: float) -> Mapping[str, Any]:
        try:
            tokens = self.tokens()
        except ConfigurationError as error:
            raise NoAnswerError(str(error)) from error
        at, nonce = str(self.now() // 1000), uuid4().hex
        headers = {
            "Content-Type": "application/json",
            TIME: at,
            NONCE: nonce,
            SIGNATURE: _sign(tokens[0], "question", self.role, at, nonce, word, body),
        }
        reply = self.post(f"{self.url}/peer/{word}", headers, body, seconds)
        if reply.status != 200:
            raise NoAnswerError(f"it answered {reply.status}")
        if not any(_is_same(_sign(token, "answer", nonce, reply.body), reply.signature) for token in tokens):
            raise NoAnswerError("the answer is not signed with the token of both")
        answer = json.loads(reply.body)
        if not isinstance(answer, dict):
            raise NoAnswerError("the answer is no JSON object")
        return answer


def peer() -> Peer | None:
    """The other stack, as this function's settings name it; None if there is none."""
    settings = read_settings()
    if not settings.peer_url:
        return None
    return Peer(settings.peer_url, role(settings.takeover_seconds), lambda: aws.secret("PEER_TOKEN_PARAMETER").split())


def role(takeover_seconds: int) -> Role:
    """Whether a stack waits before it rings."""
    return "standby" if takeover_seconds else "primary"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that the other stack has asked, and what its answer is signed with."""

    given: Mapping[str, Any]
    nonce: str
    token: str

    def sign(self, body: bytes) -> str:
        """The signature of an answer."""
        return _sign(self.token, "answer", self.nonce, body)


def read(
    headers: Mapping[str, str], word: str, body: bytes, *, table: Table, tokens: Sequence[str], ours: Role, now: int
) -> Asked:
    """The question in a request. Raises RefusedError; `headers` have their names in small letters."""
    at, nonce, given = (headers.get(name, "") for name in (TIME, NONCE, SIGNATURE))
    theirs: Role = "primary" if ours == "standby" else "standby"
    signed_with = [
        token for token in tokens if _is_same(_sign(token, "question", theirs, at, nonce, word, body), given)
    ]
    if not signed_with:
        raise RefusedError("it is not signed with the token of both")
    if not at.isdigit() or abs(int(at) - now // 1000) > SKEW_SECONDS:
        raise RefusedError("it is too old, or a clock is wrong")
    once = Update(
        f"NONCE#{nonce}",
        "PEER",
        set={"expires_at": now // 1000 + 10 * SKEW_SECONDS},
        condition="attribute_not_exists(pk)",
    )
    try:
        table.update(once)
    except ConditionFailedError as error:
        raise RefusedError("it was asked before") from error
    question = json.loads(body)
    if not isinstance(question, dict):
        raise RefusedError("it is no JSON object")
    return Asked(question, nonce, signed_with[0])


def _sign(token: str, *parts: str | bytes) -> str:
    """HMAC-SHA256 of the parts, each with its length: no two lists of parts have the same."""
    written = [part.encode() if isinstance(part, str) else part for part in parts]
    text = b"".join(str(len(part)).encode() + b":" + part for part in written)
    return hmac.new(token.encode(), text, hashlib.sha256).hexdigest()


def _is_same(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode())
