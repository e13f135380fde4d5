"""Twilio's calls: placing, looking up, ending; and text messages. Nothing else in the project talks to Twilio."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from oncall.phone import refusals

if TYPE_CHECKING:
    from twilio.rest.api.v2010.account.call import CallInstance

TIMEOUT_SECONDS = 6.0  # of one request to Twilio; two of them fit into the function's time limit
TEXT_TIMEOUT_SECONDS = 2.0  # a text before a call may not keep the phone from ringing
CALL_SECONDS = 300  # Twilio ends a call then, whatever keys are pressed in it


class NumberRefusedError(Exception):
    """Twilio will not call this number. The message says why, without the number; `code` is Twilio's."""

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class TwilioUnavailableError(Exception):
    """Twilio took no call, or it is not known whether it did. The message says why.

    `is_refusal`: Twilio has answered, so there is no call. `code` is Twilio's, if it gave one. `is_unclear`: it may be
    about the number after all.
    """

    def __init__(
        self, reason: str, *, is_refusal: bool = False, code: int | None = None, is_unclear: bool = False
    ) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal
        self.code = code
        self.is_unclear = is_unclear


class NotTextedError(Exception):
    """A text message was not sent, or it is not known whether it was. The message says why, without the number.

    `code` is Twilio's, if it gave one.
    """

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Telephone:
    """An account at Twilio with the number that calls.

    `text_sender` is what text messages come from: a number, a name, or a messaging service. Empty: none are sent.
    """

    client: Client
    caller_number: str
    text_sender: str = ""

    def call(self, number: str, twiml: str, *, callbacks: "Callbacks", ring_seconds: int) -> str:
        """Asks for a call; returns its SID. `ring_seconds` is 5 to 600 (Twilio: Timeout).

        Raises NumberRefusedError, TwilioUnavailableError.
        """
        try:
            call = self.client.calls.create(
                to=number,
                from_=self.caller_number,
                twiml=twiml,
                timeout=ring_seconds,
                status_callback=callbacks.status,
                status_callback_event=["initiated", "answered", "completed"],
                status_callback_method="POST",
                time_limit=CALL_SECONDS,
            )
        except TwilioRestException as error:
            blame = refusals.about(error.status, error.code)
            if blame == "number":
                raise NumberRefusedError(f"Twilio refuses the number (error {error.code})", code=error.code) from error
            is_refusal = error.status < 500 or error.status == 503  # 500, 502 and 504 may come after the call was taken
            raise TwilioUnavailableError(
                _reason(error), is_refusal=is_refusal, code=error.code, is_unclear=blame == "unclear"
            ) from error
        except RequestException as error:
            raise TwilioUnavailableError(type(error).__name__) from error
        return str(call.sid)

    def text(self, number: str, body: str) -> None:
        """Sends a text message (Twilio: at most 1,600 characters). Raises NotTextedError."""
        client = _client(self.client.username, self.client.password, self.client.api.base_url, TEXT_TIMEOUT_SECONDS)
        is_service = self.text_sender.startswith("MG") and len(self.text_sender) == 34
        sender = {"messaging_service_sid" if is_service else "from_": self.text_sender}
        try:
            client.messages.create(to=number, body=body, **sender)
        except (TwilioException, RequestException) as error:
            raise NotTextedError(_reason(error), code=_code(error)) from error

    def find(self, number: str, *, since: int, besides: Sequence[str]) -> "CallInstance | None":
        """The call to a number that was placed since a time (epoch milliseconds): for when Twilio's answer was lost.

        `besides` are the SIDs of calls that are known to be others.

        Raises TwilioUnavailableError.
        """
        earliest = datetime.fromtimestamp(since // 1000 - 1, UTC)  # Twilio's times are whole seconds
        try:
            calls = self.client.calls.list(to=number, from_=self.caller_number, limit=20)
        except (TwilioException, RequestException) as error:  # a list that is refused is no TwilioRestException
            raise TwilioUnavailableError(_reason(error), code=_code(error)) from error
        placed = (call for call in calls if call.date_created and call.date_created >= earliest)
        return next((call for call in placed if call.sid not in besides), None)

    def fetch(self, sid: str) -> "CallInstance | None":
        """The call as Twilio knows it; None if it does not: deleted, or another account's. Raises TwilioUnavailableError."""
        try:
            return self.client.calls(sid).fetch()
        except (TwilioRestException, RequestException) as error:
            if isinstance(error, TwilioRestException) and error.status == 404:
                return None
            raise TwilioUnavailableError(_reason(error), code=_code(error)) from error

    def end(self, sid: str, goodbye: str) -> None:
        """Ends a call: one that rings stops ringing; a person who is listening hears `goodbye` (TwiML) first.

        Raises TwilioUnavailableError.
        """
        try:
            call = self.client.calls(sid)
            status = str(call.fetch().status)
            if status == "in-progress":
                call.update(twiml=goodbye)
            elif status in ("queued", "initiated", "ringing"):
                call.update(status="completed")
        except TwilioRestException as error:
            if error.code == 21220 or error.status == 404:  # Twilio: it ended in between, or there is no such call
                return
            raise TwilioUnavailableError(_reason(error), code=_code(error)) from error
        except RequestException as error:
            raise TwilioUnavailableError(_reason(error), code=_code(error)) from error


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Where Twilio posts what happens in one call. The addresses are all that a callback is known by, and are signed."""

    base: str  # the gateway's address, stage included
    policy: str
    page: str
    number: int  # of the call in its page
    incident: str = ""  # that the call is about, and whom it rings: for a key that comes when another page is open
    responder: str = ""

    @property
    def key(self) -> str:
        """For the keys that are pressed."""
        return self._url("key")

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
        query = {"policy": self.policy, "page": self.page, "call": str(self.number), **about, **more}
        return callback_url(self.base, kind, query)


def callback_url(base: str, kind: str, query: dict[str, str]) -> str:
    """The address of a callback. Written in one way only, so that it can be rebuilt to check Twilio's signature."""
    return f"{base}/calls/{kind}{'?' if query else ''}{urlencode(sorted(query.items()))}"


def telephone(
    account_sid: str, auth_token: str, *, caller_number: str, api_url: str, text_sender: str = ""
) -> Telephone:
    """The telephone of an account. `api_url` replaces https://api.twilio.com unless it is empty."""
    return Telephone(_client(account_sid, auth_token, api_url, TIMEOUT_SECONDS), caller_number, text_sender)


def _client(account_sid: str, auth_token: str, api_url: str, timeout: float) -> Client:
    # No pooled connections: a function sleeps between two calls, and a connection that died meanwhile costs an answer.
    http = TwilioHttpClient(pool_connections=False, timeout=timeout)
    client = Client(account_sid, auth_token, http_client=http)
    if api_url:
        client.api.base_url = api_url
    return client


def _code(error: TwilioException | RequestException) -> int | None:
    return error.code if isinstance(error, TwilioRestException) else None


def _reason(error: TwilioException | RequestException) -> str:
    if isinstance(error, TwilioRestException):
        return f"Twilio answered {error.status}" + (f" (error {error.code})" if error.code else "")
    if isinstance(error, TwilioException):
        return "Twilio answered with an error"
    return f"Twilio did not answer ({type(error).__name__})"
