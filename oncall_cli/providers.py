"""Twilio's and Slack's APIs, as far as the command looks at them. Their libraries are for what pages and posts."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request

from oncall.redirects import open_unfollowed
from oncall_cli.errors import CommandError

TWILIO = "https://api.twilio.com"
TELNYX = "https://api.telnyx.com"
SLACK = "https://slack.com/api/"
TIMEOUT_SECONDS = 10


class ProviderError(CommandError):
    """Twilio or Slack refused, or did not answer. `code` is Slack's error or Twilio's status."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """An account at Twilio."""

    sid: str
    token: str = field(repr=False)
    url: str = TWILIO

    def account(self) -> dict[str, Any]:
        """The account itself: `status` active, `type` Full or Trial."""
        return self._get(self.url, f"{self._path}.json")

    def balance(self) -> tuple[float, str]:
        """The balance and its currency."""
        answer = self._get(self.url, f"{self._path}/Balance.json")
        return float(answer["balance"]), str(answer["currency"])

    def may_call_from(self, number: str) -> bool:
        """Whether a number is the account's own, or was verified as a caller id."""
        return any(
            self._get(self.url, f"{self._path}/{kind}.json", PhoneNumber=number)[key]
            for kind, key in (
                ("IncomingPhoneNumbers", "incoming_phone_numbers"),
                ("OutgoingCallerIds", "outgoing_caller_ids"),
            )
        )

    def number(self, number: str) -> dict[str, Any] | None:
        """One of the account's own numbers (`voice_url`, `voice_method` ...); None if it is not."""
        found = self._get(self.url, f"{self._path}/IncomingPhoneNumbers.json", PhoneNumber=number)
        return next(iter(found["incoming_phone_numbers"]), None)

    def may_call_to(self, country: str) -> bool:
        """Whether the account's permissions allow calls to ordinary numbers of a country (ISO 3166-1, two letters)."""
        voice = self.url.replace("://api.", "://voice.", 1)
        return bool(self._get(voice, f"/v1/DialingPermissions/Countries/{country}")["low_risk_numbers_enabled"])

    def usage(self, start: str, end: str) -> dict[str, Any]:
        """The usage of calls between two days (UTC): `count`, `price` and `price_unit` among others."""
        path = f"{self._path}/Usage/Records.json"
        records = self._get(self.url, path, Category="calls", StartDate=start, EndDate=end)["usage_records"]
        return records[0] if records else {"count": "0", "price": "0", "price_unit": "usd"}

    @property
    def _path(self) -> str:
        return f"/2010-04-01/Accounts/{quote(self.sid, safe='')}"

    def _get(self, base: str, path: str, **query: str) -> dict[str, Any]:
        basic = b64encode(f"{self.sid}:{self.token}".encode()).decode()
        url = f"{base}{path}{'?' if query else ''}{urlencode(query)}"
        status, answer, _ = ask("Twilio", Request(url, headers={"Authorization": f"Basic {basic}"}))  # noqa: S310  http(s)
        if status == 200:
            return answer
        if status == 401:
            raise ProviderError("Twilio does not know this account SID with this auth token", "401")
        raise ProviderError(f"Twilio answered {status}: {answer.get('message', 'no reason')}", str(status))


@dataclass(frozen=True, slots=True)
class TelnyxAccount:
    """An account at Telnyx, the second telephone provider."""

    key: str = field(repr=False)
    account: str
    url: str = TELNYX

    def balance(self) -> tuple[float, str]:
        """Money that is left, credit included, and its currency."""
        data = self._get("/v2/balance")["data"]
        return float(data["available_credit"]), data["currency"]

    def calls(self) -> None:
        """Looks at its calls, as a page does. Raises ProviderError if the key or the account is wrong."""
        self._get(f"/v2/texml/Accounts/{quote(self.account, safe='')}/Calls", PageSize="1")

    def application(self, application: str) -> dict[str, Any]:
        """A TeXML application: `active`, `voice_method`, `outbound` among others."""
        data = self._get(f"/v2/texml_applications/{quote(application, safe='')}").get("data")
        return data if isinstance(data, dict) else {}

    def has(self, number: str) -> bool:
        """Whether a number is the account's own."""
        found = self._get("/v2/phone_numbers", **{"filter[phone_number]": number}).get("data")
        return any(one.get("phone_number") == number for one in found or ())

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self.url}{path}{'?' if query else ''}{urlencode(query)}"
        status, answer, _ = ask("Telnyx", Request(url, headers={"Authorization": f"Bearer {self.key}"}))  # noqa: S310  http(s)
        if status == 200:
            return answer
        if status == 401:
            raise ProviderError("Telnyx refuses this API key", "401")
        raise ProviderError(f"Telnyx answered {status}", str(status))


@dataclass(frozen=True, slots=True)
class SlackApp:
    """An app in a Slack workspace."""

    token: str = field(repr=False)
    url: str = SLACK

    def identity(self) -> tuple[dict[str, Any], frozenset[str]]:
        """Who the token is (`team`, `user`), and the scopes that it has."""
        answer, headers = self._post("auth.test")
        return answer, frozenset(filter(None, headers.get("x-oauth-scopes", "").replace(" ", "").split(",")))

    def pin(self, identity: dict[str, Any]) -> str:
        """What SlackWorkspace is to have: the ids of the workspace, of its organisation if any, and of the app."""
        app = self._post("bots.info", bot=str(identity["bot_id"]))[0]["bot"]["app_id"]
        return " ".join(filter(None, (identity["team_id"], identity.get("enterprise_id"), app)))

    def read(self, channel: str) -> None:
        """Reads a channel, by its id, as the projector does. Raises ProviderError if the app is not in it."""
        self._post("conversations.history", channel=channel, limit="1")

    def user(self, user: str) -> dict[str, Any]:
        """Somebody, by their id (`real_name`, `deleted`, `is_bot`). Raises ProviderError with user_not_found."""
        found: dict[str, Any] = self._post("users.info", user=user)[0]["user"]
        return found

    def _post(self, method: str, **arguments: str) -> tuple[dict[str, Any], dict[str, str]]:
        request = Request(  # noqa: S310  http(s)
            self.url + method,
            data=urlencode(arguments).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        status, answer, headers = ask("Slack", request)
        if status == 200 and answer.get("ok"):
            return answer, headers
        code = str(answer.get("error", status))
        raise ProviderError(f"Slack answered {code}", code)


def ask(who: str, request: Request) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, JSON and headers (their names in small letters) of an answer. Raises ProviderError if there is none."""
    try:
        try:
            answer: HTTPResponse | HTTPError = open_unfollowed(request, timeout=TIMEOUT_SECONDS)
        except HTTPError as error:
            answer = error
        with answer:
            status, body, headers = answer.status or 0, answer.read(), answer.headers
    except (OSError, HTTPException, ValueError) as error:  # a secret with a line break is a ValueError, too
        raise ProviderError(f"{who} did not answer ({type(error).__name__})") from error
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        value = {}
    return status, value if isinstance(value, dict) else {}, {name.lower(): text for name, text in headers.items()}
