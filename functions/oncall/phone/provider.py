"""A telephone provider, as the rest of the project knows it: it takes calls, ends them, looks them up, signs its callbacks.

Each is one file: twilio.py, telnyx.py.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlencode

TIMEOUT_SECONDS = 6.0  # of a request for a call; two of them fit into the function's time limit
LOOK_SECONDS = 3.0  # of a look at one, and of its end
CALL_SECONDS = 300  # a provider ends a call then, whatever keys are pressed in it
RING_SECONDS = 605  # no phone rings longer: a policy's ring_seconds may be 600, and Twilio may add five
LATE_SECONDS = 600  # for so long after a call has ended what comes of it is taken


class NumberRefusedError(Exception):
    """A provider will not call this number. The message says why, without the number.

    `code` is the provider's; `remedy` is the name of what fixes it (see phone.refusals), or empty.
    """

    def __init__(self, reason: str, *, code: int | None = None, remedy: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.remedy = remedy


class UnavailableError(Exception):
    """A provider took no call, or it is not known whether it did. The message says why.

    `is_refusal`: it has answered, so there is no call. `code` is the provider's, if it gave one; `remedy` is the name of
    what fixes it, or empty. `is_unclear`: it may be about the number after all.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_refusal: bool = False,
        code: int | None = None,
        remedy: str = "",
        is_unclear: bool = False,
    ) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal
        self.code = code
        self.remedy = remedy
        self.is_unclear = is_unclear


@dataclass(frozen=True, slots=True)
class Known:
    """A call as its provider knows it. `status` is one of Twilio's words, which Telnyx uses too."""

    sid: str
    status: str


class Provider(Protocol):
    """An account at a provider with the number that calls. Each method raises UnavailableError."""

    @property
    def is_late(self) -> bool:
        """Whether a call that was taken may not be known yet when it is looked up."""

    def call(self, number: str, document: str, *, callbacks: "Callbacks", ring_seconds: int) -> str:
        """Asks for a call that says a TwiML document; returns its id, or an empty text if its callbacks will bring that.

        Raises NumberRefusedError, too.
        """

    def find(self, number: str, *, since: int, besides: Sequence[str]) -> Known | None:
        """The call to a number that was placed since a time (epoch milliseconds): for when the answer was lost.

        `besides` are the ids of calls that are known to be others.
        """

    def fetch(self, sid: str) -> Known | None:
        """The call as the provider knows it; None if it does not."""

    def end(self, sid: str, goodbye: str) -> None:
        """Ends a call: one that rings stops ringing; a person who is listening hears `goodbye` (TwiML) first."""

    def cancel(self, sid: str) -> bool:
        """Ends a call that nobody has answered; False if somebody listens to it, which goes on."""

    def check(self) -> None:
        """Whether its API answers to us."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Where a provider posts what happens in one call. The addresses are all that a callback is known by.

    So they say when the call was placed, and are sealed by us: whoever has the provider sign a request, or sends one again
    later, presses no key with it.
    """

    base: str  # the gateway's address, stage included
    policy: str
    page: str
    number: int  # of the call in its page
    incident: str = ""  # that the call is about, and whom it rings: for a key that comes when another page is open
    responder: str = ""
    placed_at: int = 0  # epoch seconds
    secret: str = field(default="", repr=False)  # what the addresses are sealed with

    @property
    def key(self) -> str:
        """For the keys that are pressed."""
        return self._url("key")

    @property
    def last_key(self) -> str:
        """For the keys of the last wait: Telnyx asks without a key, too, and is not asked to wait for ever."""
        return self._url("key", again="1")

    @property
    def status(self) -> str:
        """For what becomes of the call."""
        return self._url("status")

    def retry(self, digits: str, tries: int) -> str:
        """For the same key again, after a moment."""
        return self._url("key", digits=digits, tries=str(tries))

    def _url(self, kind: Literal["key", "status"], **more: str) -> str:
        known = {"incident": self.incident, "responder": self.responder}
        about = {name: value for name, value in known.items() if value}
        call = {"policy": self.policy, "page": self.page, "call": str(self.number), "at": str(self.placed_at)}
        query = {**call, **about, **more}
        return callback_url(self.base, kind, sealed(kind, query, self.secret))


def callback_url(base: str, kind: str, query: dict[str, str]) -> str:
    """The address of a callback. Written in one way only, so that it can be rebuilt to check a signature."""
    return f"{base}/calls/{kind}{'?' if query else ''}{urlencode(sorted(query.items()))}"


def sealed(kind: str, query: Mapping[str, str], secret: str) -> dict[str, str]:
    """The query of a callback's address with our seal."""
    return {**query, "seal": _seal(kind, query, secret)}


def is_sealed(kind: str, query: Mapping[str, str], secret: str) -> bool:
    """Whether an address of a callback is one that we have made. Compared in constant time."""
    unsealed = {name: value for name, value in query.items() if name != "seal"}
    return hmac.compare_digest(_seal(kind, unsealed, secret).encode(), query.get("seal", "").encode())


def is_late(query: Mapping[str, str], *, now: int) -> bool:
    """Whether a callback comes too long after its call can have ended (`now` in epoch milliseconds)."""
    placed = query.get("at", "")
    longest = RING_SECONDS + CALL_SECONDS + LATE_SECONDS
    return not re.fullmatch("[0-9]{1,12}", placed) or now // 1000 - int(placed) > longest


def _seal(kind: str, query: Mapping[str, str], secret: str) -> str:
    """HMAC-SHA256 of an address, without what the gateway is called; 128 bits of it, in 22 characters."""
    written = f"callback {kind}?{urlencode(sorted(query.items()))}"
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), written.encode(), hashlib.sha256)[:16]).decode()[:22]
