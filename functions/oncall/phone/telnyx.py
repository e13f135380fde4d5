"""Telnyx's calls (TeXML): placing, looking up, ending (signatures.py: its callbacks). Nothing else talks to Telnyx.

Its documentation: developers.telnyx.com, "TeXML REST Commands", "TeXML verbs", "Callbacks". Where that leaves something open,
docs/providers.md says what is taken for granted here. Its own library has 24 MB: these are five requests.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote

import requests
from requests.exceptions import RequestException

from oncall.phone.provider import (
    CALL_SECONDS,
    LOOK_SECONDS,
    TIMEOUT_SECONDS,
    Callbacks,
    Known,
    NumberRefusedError,
    UnavailableError,
)
from oncall.phone.texml import texml

API_URL = "https://api.telnyx.com"

_ENDED = ("completed", "busy", "no-answer", "failed", "canceled")
_ALREADY_ENDED = 90018
# Telnyx: "SIP Response Codes" (D13 ...), which its errors name in their detail.
_D_CODE = re.compile(r"\bD[0-9]{1,2}\b")


@dataclass(frozen=True, slots=True)
class Telnyx:
    """An account at Telnyx with the number that calls: a Provider. `application` is the id of its TeXML application."""

    is_late: ClassVar[bool] = True  # Telnyx: "eventually consistent"

    api_key: str = field(repr=False)
    account_sid: str
    application: str
    caller_number: str
    api_url: str = API_URL

    def call(self, number: str, document: str, *, callbacks: Callbacks, ring_seconds: int) -> str:
        """Asks for a call; returns its id if the answer has one. `ring_seconds` is 5 to 120 (Telnyx: Timeout).

        Raises NumberRefusedError, UnavailableError.
        """
        wish = {
            "ApplicationSid": self.application,
            "To": number,
            "From": self.caller_number,
            "Texml": texml(document),
            "Timeout": ring_seconds,
            "TimeLimit": CALL_SECONDS,
            "StatusCallback": callbacks.status,
            "StatusCallbackEvent": "initiated ringing answered completed",
            "StatusCallbackMethod": "POST",
        }
        answer = self._ask("POST", "", seconds=TIMEOUT_SECONDS, number=number, json=wish)
        return next((str(answer[name]) for name in ("sid", "call_sid") if answer.get(name)), "")

    def find(self, number: str, *, since: int, besides: Sequence[str]) -> Known | None:
        """The call to a number that was placed since a time (epoch milliseconds), if Telnyx lists it already.

        Raises UnavailableError.
        """
        earliest = datetime.fromtimestamp(since // 1000 - 1, UTC)
        day_before = f"{earliest - timedelta(days=1):%Y-%m-%d}"
        wanted = {"To": number, "From": self.caller_number, "StartTime_gt": day_before, "PageSize": "20"}
        calls = self._ask("GET", "", seconds=LOOK_SECONDS, params=wanted).get("calls")
        for call in calls if isinstance(calls, list) else ():
            if _created(call) >= earliest and call.get("sid") and call["sid"] not in besides:
                return _known(call)
        return None

    def fetch(self, sid: str) -> Known | None:
        """The call as Telnyx knows it; None if it does not, or not yet. Raises UnavailableError."""
        try:
            return _known(self._ask("GET", f"/{quote(sid, safe='')}", seconds=LOOK_SECONDS))
        except _MissingError:
            return None

    def end(self, sid: str, goodbye: str) -> None:
        """Ends a call: one that rings stops ringing; a person who is listening hears `goodbye` (TwiML) first.

        Raises UnavailableError.
        """
        known = self.fetch(sid)
        if known is None or known.status not in _ENDED:
            is_heard = known is not None and known.status == "in-progress"
            self._update(sid, {"Texml": texml(goodbye)} if is_heard else {"Status": "completed"})

    def cancel(self, sid: str) -> bool:
        """Ends a call that nobody has answered; False if somebody listens to it. Raises UnavailableError."""
        known = self.fetch(sid)
        if known and known.status == "in-progress":
            return False
        if known is None or known.status not in _ENDED:
            self._update(sid, {"Status": "completed"})
        return True

    def check(self) -> None:
        """Whether its API answers to us. Raises UnavailableError."""
        self._ask("GET", "", seconds=LOOK_SECONDS, params={"PageSize": "1"})

    def _update(self, sid: str, form: Mapping[str, str]) -> None:
        try:
            self._ask("POST", f"/{quote(sid, safe='')}", seconds=LOOK_SECONDS, data=form)
        except _MissingError:
            pass  # there is no such call
        except UnavailableError as error:
            if error.code != _ALREADY_ENDED:
                raise

    def _ask(self, method: str, path: str, *, seconds: float, number: str = "", **more: Any) -> dict[str, Any]:
        """Telnyx's answer to a request about calls. Raises NumberRefusedError, UnavailableError."""
        url = f"{self.api_url}/v2/texml/Accounts/{quote(self.account_sid, safe='')}/Calls{path}"
        headers = {"Authorization": f"Bearer {self.api_key}", "Accept": "application/json"}
        try:
            answer = requests.request(method, url, headers=headers, timeout=seconds, allow_redirects=False, **more)
            given = answer.json()
        except requests.exceptions.JSONDecodeError as error:
            raise _unavailable(answer.status_code, "Telnyx answered what is not of its API") from error
        except RequestException as error:
            raise UnavailableError(f"Telnyx did not answer ({type(error).__name__})") from error
        if not isinstance(given, dict):
            raise _unavailable(answer.status_code, "Telnyx answered what is not of its API")
        if not 200 <= answer.status_code < 300:
            raise _refusal(answer.status_code, given, number)
        return given


class _MissingError(UnavailableError):
    """There is no such call."""


def _unavailable(status: int, reason: str, *, code: int | None = None, remedy: str = "") -> UnavailableError:
    # As with Twilio, 500, 502 and 504 may come after the call was taken; and so may what is no answer of the API.
    is_refusal = 400 <= status < 500 or status == 503
    return UnavailableError(reason, is_refusal=is_refusal, code=code, remedy=remedy)


def _refusal(status: int, given: Mapping[str, Any], number: str) -> NumberRefusedError | UnavailableError:
    """What an answer with an error means. Telnyx: `errors`, a list of code, title, detail, source.pointer."""
    errors = given.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = int(first["code"]) if str(first.get("code", "")).isdigit() else None
    source = first.get("source")
    pointer = str(source.get("pointer", "")) if isinstance(source, dict) else ""
    d_code = _D_CODE.search(str(first.get("detail", "")))
    told = " ".join(part for part in (str(code or ""), d_code[0] if d_code else "") if part)
    reason = f"Telnyx answered {status}" + (f" (error {told})" if told else "")
    what = meaning(status, code, d_code[0] if d_code else "", pointer)
    if what in ("correct", "telnyx_geo"):
        return NumberRefusedError(f"Telnyx refuses the number (error {told})", code=code, remedy=what)
    if status == 404 and not number:
        return _MissingError(reason, is_refusal=True, code=code)
    if what == "unclear":
        remedy = f"telnyx_unknown {code}" if code else ""
        return UnavailableError(reason, is_refusal=True, code=code, remedy=remedy, is_unclear=True)
    return _unavailable(status, reason, code=code, remedy=what)


def meaning(status: int, code: int | None, d_code: str, pointer: str) -> str:
    """What fixes a refusal (see phone.refusals); "unclear" for one that may be about the number; empty if it may pass.

    Telnyx: "API error codes", "SIP Response Codes".
    """
    if status in (429, 408) or status >= 500:
        return ""
    if status == 401 or code == 10009:
        return "telnyx_secrets"
    if d_code:
        return {
            "D13": "telnyx_geo",
            "D19": "telnyx_pay",
            "D35": "telnyx_caller",
            "D51": "telnyx_caller",
            **dict.fromkeys(("D1", "D2", "D3", "D22"), "telnyx_concurrency"),
        }.get(d_code, "telnyx_application")
    if pointer.endswith("/From"):
        return "telnyx_caller"
    if code in (10001, 10002, 10016) and pointer.endswith(("/To", "")):
        return "correct"
    if code in (10005, 10010, 10017) or status == 404:
        return "telnyx_application"
    return "unclear"


def _known(call: Mapping[str, Any]) -> Known:
    return Known(str(call.get("sid", "")), str(call.get("status", "")))


def _created(call: Any) -> datetime:
    """When a call of the list was created; long ago if it does not say so."""
    try:
        return parsedate_to_datetime(call["date_created"])
    except (KeyError, TypeError, ValueError):
        return datetime.fromtimestamp(0, UTC)
