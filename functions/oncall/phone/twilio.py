"""Twilio's calls: placing, looking up, ending; and text messages. Nothing else in the project talks to Twilio."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from requests.exceptions import InvalidJSONError, RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from oncall.phone import refusals
from oncall.phone.provider import (
    CALL_SECONDS,
    LOOK_SECONDS,
    TIMEOUT_SECONDS,
    Callbacks,
    Known,
    NumberRefusedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from twilio.rest.api.v2010.account.call import CallInstance

LEAST_CODE = 10_000  # Twilio's codes are larger; where an answer has none, its library puts the status there
TEXT_TIMEOUT_SECONDS = 2.0  # a text before a call may not keep the phone from ringing


class NotTextedError(Exception):
    """A text message was not sent, or it is not known whether it was. The message says why, without the number.

    `code` is Twilio's, if it gave one.
    """

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Telephone:
    """An account at Twilio with the number that calls: a Provider that sends texts as well.

    `text_sender` is what text messages come from: a number, a name, or a messaging service. Empty: none are sent.
    """

    is_late: ClassVar[bool] = False

    client: Client
    caller_number: str
    text_sender: str = ""
    says_ringing: bool = False  # whether a callback is wanted when the phone rings

    def call(self, number: str, document: str, *, callbacks: Callbacks, ring_seconds: int) -> str:
        """Asks for a call; returns its SID. `ring_seconds` is 5 to 600 (Twilio: Timeout).

        Raises NumberRefusedError, UnavailableError.
        """
        try:
            call = self.client.calls.create(
                to=number,
                from_=self.caller_number,
                twiml=document,
                timeout=ring_seconds,
                status_callback=callbacks.status,
                status_callback_event=[
                    "initiated",
                    *(["ringing"] if self.says_ringing else []),
                    "answered",
                    "completed",
                ],
                status_callback_method="POST",
                time_limit=CALL_SECONDS,
            )
        except (TwilioException, RequestException) as error:
            status, code = _status(error), _code(error)
            if status is None:
                raise _unavailable(error) from error
            blame = refusals.about(status, code)
            if blame == "number":
                reason = f"Twilio refuses the number (error {code})"
                raise NumberRefusedError(reason, code=code, remedy=refusals.remedy(code, number)) from error
            is_refusal = status < 500 or status == 503  # 500, 502 and 504 may come after the call was taken
            raise _unavailable(error, number, is_refusal=is_refusal, is_unclear=blame == "unclear") from error
        return str(call.sid)

    def text(self, number: str, body: str) -> None:
        """Sends a text message (Twilio: at most 1,600 characters). Raises NotTextedError."""
        client = self._within(TEXT_TIMEOUT_SECONDS)
        is_service = self.text_sender.startswith("MG") and len(self.text_sender) == 34
        sender = {"messaging_service_sid" if is_service else "from_": self.text_sender}
        try:
            client.messages.create(to=number, body=body, **sender)
        except (TwilioException, RequestException) as error:
            raise NotTextedError(_reason(error), code=_code(error)) from error

    def find(self, number: str, *, since: int, besides: Sequence[str]) -> Known | None:
        """The call to a number that was placed since a time (epoch milliseconds): for when Twilio's answer was lost.

        `besides` are the SIDs of calls that are known to be others.

        Raises UnavailableError.
        """
        earliest = datetime.fromtimestamp(since // 1000 - 1, UTC)  # Twilio's times are whole seconds
        try:
            calls = self._within(LOOK_SECONDS).calls.list(to=number, from_=self.caller_number, limit=20)
        except (TwilioException, RequestException) as error:  # a list that is refused is no TwilioRestException
            raise _unavailable(error) from error
        placed = (call for call in calls if call.date_created and call.date_created >= earliest)
        return next((_known(call) for call in placed if call.sid not in besides), None)

    def fetch(self, sid: str) -> Known | None:
        """The call as Twilio knows it; None if it does not: deleted, or another account's. Raises UnavailableError."""
        try:
            return _known(self._within(LOOK_SECONDS).calls(sid).fetch())
        except (TwilioException, RequestException) as error:
            if _status(error) == 404:
                return None
            raise _unavailable(error) from error

    def end(self, sid: str, goodbye: str) -> None:
        """Ends a call: one that rings stops ringing; a person who is listening hears `goodbye` (TwiML) first.

        Raises UnavailableError.
        """
        try:
            call = self._within(LOOK_SECONDS).calls(sid)
            status = str(call.fetch().status)
            if status == "in-progress":
                call.update(twiml=goodbye)
            elif status in ("queued", "initiated", "ringing"):
                call.update(status="completed")
        except (TwilioException, RequestException) as error:
            if _code(error) == 21220 or _status(error) == 404:  # Twilio: it ended in between, or there is no such call
                return
            raise _unavailable(error) from error

    def cancel(self, sid: str) -> bool:
        """Ends a call that nobody has answered; False if somebody listens to it. Raises UnavailableError.

        Twilio: `canceled` ends a call that is queued or rings, and leaves one in progress alone.
        """
        try:
            return str(self._within(LOOK_SECONDS).calls(sid).update(status="canceled").status) != "in-progress"
        except (TwilioException, RequestException) as error:
            if _code(error) == 21220 or _status(error) == 404:  # it has ended, or there is no such call
                return True
            raise _unavailable(error) from error

    def check(self) -> None:
        """Whether its API answers to us, and the account is active. Raises UnavailableError."""
        client = self._within(LOOK_SECONDS)
        try:
            status = client.api.accounts(client.account_sid).fetch().status
        except (TwilioException, RequestException) as error:
            raise _unavailable(error) from error
        if status != "active":
            raise UnavailableError(f"Twilio's account is {status}", is_refusal=True, remedy="pay")

    def _within(self, seconds: float) -> Client:
        """The account, with this time limit for a request."""
        return _client(self.client.username, self.client.password, self.client.api.base_url, seconds)


def telephone(
    account_sid: str,
    auth_token: str,
    *,
    caller_number: str,
    api_url: str,
    text_sender: str = "",
    says_ringing: bool = False,
) -> Telephone:
    """The telephone of an account. `api_url` replaces https://api.twilio.com unless it is empty."""
    client = _client(account_sid, auth_token, api_url, TIMEOUT_SECONDS)
    return Telephone(client, caller_number, text_sender, says_ringing)


def _client(account_sid: str, auth_token: str, api_url: str, timeout: float) -> Client:
    # No pooled connections: a function sleeps between two calls, and a connection that died meanwhile costs an answer.
    http = _Http(pool_connections=False, timeout=timeout)
    client = Client(account_sid, auth_token, http_client=http)
    if api_url:
        client.api.base_url = api_url
    return client


class _Http(TwilioHttpClient):  # type: ignore[misc]  # the library has no types
    """Twilio's own, for which an answer without an error that is not of its API (a proxy's page, a redirect) is none."""

    def request(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().request(*args, **kwargs)
        if answer.status_code < 400:
            try:
                json.loads(answer.text)
            except ValueError as error:
                raise InvalidJSONError from error
        return answer


def _known(call: "CallInstance") -> Known:
    return Known(str(call.sid), str(call.status))


def _unavailable(
    error: TwilioException | RequestException, number: str = "", *, is_refusal: bool = False, is_unclear: bool = False
) -> UnavailableError:
    code = _code(error)
    remedy = refusals.remedy(code, number)
    return UnavailableError(_reason(error), is_refusal=is_refusal, code=code, remedy=remedy, is_unclear=is_unclear)


def _status(error: TwilioException | RequestException) -> int | None:
    """The status of an answer, in whichever of its two forms Twilio's API wrote the error (RFC 9457, or its own)."""
    if isinstance(error, TwilioRestException | TwilioServiceException):
        return error.status if isinstance(error.status, int) else 500
    return None


def _code(error: TwilioException | RequestException) -> int | None:
    """Twilio's code; None where the answer has none, as that of a proxy or another server has not."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) and code > LEAST_CODE else None


def _reason(error: TwilioException | RequestException) -> str:
    status, code = _status(error), _code(error)
    if status is not None:
        return f"Twilio answered {status}" + (f" (error {code})" if code else "")
    if isinstance(error, TwilioException):
        return "Twilio answered with an error"
    return f"Twilio did not answer ({type(error).__name__})"
