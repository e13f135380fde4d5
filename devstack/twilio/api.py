"""A stand-in for Twilio's REST API (2010-04-01), strict where Twilio is lenient, over a simulated telephone network.

What differs from Twilio on purpose: a parameter that it does not know is refused (20001) and not ignored, loopback URLs
are accepted, and no money is asked for. Real parameters whose effect is not simulated are refused as well.

The control API: `/_sim/calls`, `/_sim/lines/{number}`, `/_sim/faults` (see shared/telephone_control.py),
and beside those
- `/_sim/settings`: telephone.Settings, such as `speech_rate`;
- `/_sim/account`: what the account is like: `status`, `type`, `balance`, `forbidden_countries` (ISO codes; to have calls
  refused as well, use the behaviour `forbidden`), `caller_ids` (verified numbers that are not its own), `voice_only` (its
  numbers that cannot text), `messaging_services` (their SIDs), `landlines` (numbers that nobody can text);
- `/_sim/errors`: what was refused or went wrong, with Twilio's codes; DELETE forgets it;
- `/_sim/callbacks`: every request to the application; `/_sim/texts`: the SMS.
The fault `all` refuses every request of the API, whatever it is for.
Callback faults: `drop` hits status callbacks alone; `delay` and `repeat` the requests for pressed keys as well.

A number of the account with a voice URL answers by itself (see `automatic`), unless `/_sim/lines` says otherwise.
"""

import hmac
import math
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime, formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from devstack.shared import twiml
from devstack.shared.simulator import (
    ControlError,
    LostAnswer,
    checked,
    control_body,
    control_error,
    http_error,
    is_text,
    json_response,
)
from devstack.shared.telephone import ENDED, Call, Exchange, ImpossibleError, Line, Network, Source
from devstack.shared.telephone_control import E164, Control
from devstack.twilio import webhooks
from devstack.twilio.automatic import AutomaticNumber

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# SIP's word for each end, as status callbacks carry it.
_SIP = {"completed": "200", "busy": "486", "no-answer": "487", "failed": "404", "canceled": "487"}
_EVENTS = ("initiated", "ringing", "answered", "completed")
_METHODS = ("GET", "POST")
# Twilio: a sender's name has at most 11 letters, digits and spaces, and not digits alone. None goes to North America.
_SENDER_NAME = re.compile(r"(?=[0-9 ]*[A-Za-z])[A-Za-z0-9 ]{1,11}")
# GSM 03.38: the characters of which 160 make a message, and those that count twice.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€\f")

# The parameters of POST Calls.json and Calls/{Sid}.json, in Twilio's OpenAPI, that have their effect here.
CALL_PARAMETERS = frozenset(
    {
        "To", "From", "Url", "Method", "Twiml", "FallbackUrl", "FallbackMethod", "StatusCallback",
        "StatusCallbackEvent", "StatusCallbackMethod", "Timeout", "MachineDetection", "AsyncAmd",
        "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod", "CallReason", "TimeLimit",
    }
)  # fmt: skip
# And those that do not: refused, so that nobody relies on them.
CALL_PARAMETERS_WITHOUT_EFFECT = frozenset(
    {
        "SendDigits", "Record", "RecordingChannels", "RecordingStatusCallback", "RecordingStatusCallbackMethod",
        "SipAuthUsername", "SipAuthPassword", "MachineDetectionTimeout", "RecordingStatusCallbackEvent", "Trim",
        "CallerId", "MachineDetectionSpeechThreshold", "MachineDetectionSpeechEndThreshold",
        "MachineDetectionSilenceTimeout", "Byoc", "CallToken", "RecordingTrack", "ClientNotificationUrl",
        "ApplicationSid", "RecordingConfigurationId", "Passports",
    }
)  # fmt: skip
UPDATE_PARAMETERS = frozenset({"Url", "Method", "Twiml", "Status", "StatusCallback", "StatusCallbackMethod"})
UPDATE_PARAMETERS_WITHOUT_EFFECT = frozenset({"FallbackUrl", "FallbackMethod", "TimeLimit"})
LIST_PARAMETERS = frozenset(
    {
        "To", "From", "Status", "ParentCallSid", "StartTime", "StartTime<", "StartTime>", "EndTime", "EndTime<",
        "EndTime>", "PageSize", "Page", "PageToken",
    }
)  # fmt: skip
MESSAGE_PARAMETERS = frozenset({"To", "From", "MessagingServiceSid", "Body"})
MESSAGE_PARAMETERS_WITHOUT_EFFECT = frozenset(
    {
        "StatusCallback", "ApplicationSid", "MaxPrice", "ProvideFeedback", "Attempt", "ValidityPeriod", "ForceDelivery",
        "ContentRetention", "AddressRetention", "SmartEncoded", "PersistentAction", "TrafficType", "ShortenUrls",
        "ScheduleType", "SendAt", "SendAsMms", "ContentVariables", "RiskCheck", "FallbackFrom",
        "MediaUrl", "ContentSid", "MessageIntent",
    }
)  # fmt: skip


class ApiError(Exception):
    """A refusal of the REST API."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def segments(body: str) -> int:
    """How many messages a text makes: 160 characters (153 of several) in GSM's alphabet, else 70 (67).

    What counts twice is not split between two.
    """
    if all(character in _GSM or character in _GSM_TWICE for character in body):
        widths, one, several = [1 + (character in _GSM_TWICE) for character in body], 160, 153
    else:
        widths, one, several = [1 + (character > "\uffff") for character in body], 70, 67
    if sum(widths) <= one:
        return 1
    messages, left = 1, several
    for width in widths:
        if width > left:
            messages, left = messages + 1, several
        left -= width
    return messages


def create_app(
    *, account_sid: str, auth_token: str, numbers: Iterable[str] = (), network: Network | None = None
) -> "WSGIApplication":
    """The API of one account with these numbers, each with =VOICE_URL or without, on a telephone network.

    Without any, it may call from every E.164 number.
    """
    return _Twilio(account_sid, auth_token, tuple(numbers), network or Network())


class _Exchange(Exchange):
    """Twilio's side of the telephone network."""

    name = "twilio"

    def __init__(self, account_sid: str, auth_token: str) -> None:
        super().__init__()
        self.account_sid = account_sid
        self._auth_token = auth_token

    def new_sid(self) -> str:
        return "CA" + uuid.uuid4().hex

    def progress(self, call: Call) -> dict[str, str]:
        parameters = {
            **self.about(call),
            "Timestamp": formatdate(usegmt=True).replace("GMT", "+0000"),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(call.sequence),
        }
        if call.status in ENDED:
            parameters |= {
                "CallDuration": str(call.duration),
                "Duration": str(math.ceil(call.duration / 60)),  # minutes
                "SipResponseCode": _SIP[call.status],
            }
        return parameters

    def about(self, call: Call) -> dict[str, str]:
        """What every request of Twilio says of its call. Places are sent empty where Twilio knows none."""
        places = {
            f"{who}{what}": ""
            for who in ("Caller", "Called", "From", "To")
            for what in ("City", "State", "Zip", "Country")
        }
        about = {
            **places,
            "CallSid": call.sid,
            "AccountSid": self.account_sid,
            "From": call.from_,
            "To": call.to,
            "Caller": call.from_,
            "Called": call.to,
            "CallStatus": call.status,
            "ApiVersion": "2010-04-01",
            "Direction": "outbound-api",
        }
        if call.detected is not None:
            about["AnsweredBy"] = call.detected
        return about

    def parse(self, document: str | bytes) -> list[twiml.Verb]:
        return twiml.parse(document)

    def send(self, url: str, method: str, parameters: Mapping[str, str]) -> webhooks.Answer:
        return webhooks.send(self._auth_token, url, method, parameters)


class _Twilio:
    def __init__(self, account_sid: str, auth_token: str, numbers: tuple[str, ...], network: Network) -> None:
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._voice_urls = {number: url for number, _, url in (each.partition("=") for each in numbers)}
        self._numbers = tuple(self._voice_urls)
        self._network = network
        self._exchange = _Exchange(account_sid, auth_token)
        self._control = Control(network, self._exchange, ("all", "create", "update", "messages"))
        for number in self._numbers:
            self._set_voice_url(number, self._voice_urls[number])
        self._messages: list[dict[str, Any]] = []
        self._account: dict[str, Any] = {
            "status": "active",
            "type": "Full",
            "balance": "100.00",
            "forbidden_countries": [],
            "caller_ids": [],
            "voice_only": [],
            "messaging_services": [],
            "landlines": [],
        }
        account = "/2010-04-01/Accounts/<account>"
        self._urls = Map(
            [
                Rule(f"{account}.json", endpoint=self._fetch_account, methods=["GET"]),
                Rule(f"{account}/Balance.json", endpoint=self._balance, methods=["GET"]),
                Rule(f"{account}/IncomingPhoneNumbers.json", endpoint=self._list_numbers, methods=["GET"]),
                Rule(f"{account}/IncomingPhoneNumbers/<sid>.json", endpoint=self._update_number, methods=["POST"]),
                Rule(f"{account}/OutgoingCallerIds.json", endpoint=self._list_caller_ids, methods=["GET"]),
                Rule(f"{account}/Usage/Records.json", endpoint=self._usage, methods=["GET"]),
                Rule("/v1/DialingPermissions/Countries/<country>", endpoint=self._country, methods=["GET"]),
                Rule(f"{account}/Calls.json", endpoint=self._create_call, methods=["POST"]),
                Rule(f"{account}/Calls.json", endpoint=self._list_calls, methods=["GET"]),
                Rule(f"{account}/Calls/<sid>.json", endpoint=self._fetch_call, methods=["GET"]),
                Rule(f"{account}/Calls/<sid>.json", endpoint=self._update_call, methods=["POST"]),
                Rule(f"{account}/Messages.json", endpoint=self._create_message, methods=["POST"]),
                *self._control.rules(),
                Rule("/_sim/account", endpoint=self._sim_account, methods=["GET", "PUT"]),
                Rule("/_sim/texts", endpoint=self._sim_texts, methods=["GET"]),
            ]
        )

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        answer = self._sim if request.path.startswith("/_sim/") else self._api
        return answer(request)(environ, start_response)

    def _match(self, request: Request) -> tuple[Callable[..., Response], Mapping[str, Any]]:
        endpoint, values = self._urls.bind_to_environ(request.environ).match()
        return endpoint, values

    # The REST API

    def _api(self, request: Request) -> Response:
        try:
            refusal = _refusal_by(self._exchange.faults.take("all"))
            if refusal is not None:
                return refusal
            self._authenticate(request)
            return self._dispatch(request)
        except ApiError as error:
            self._network.record_error(
                self._exchange, error.code, str(error), request=f"{request.method} {request.path}"
            )
            return _refusal(error)

    def _dispatch(self, request: Request) -> Response:
        missing = f"The requested resource {request.path} was not found"
        try:
            endpoint, values = self._match(request)
        except HTTPException as error:
            raise ApiError(error.code or 404, 20004 if error.code == 405 else 20404, missing) from error
        if values.get("account", self._account_sid) != self._account_sid:
            raise ApiError(404, 20404, missing)
        return endpoint(request, **{name: value for name, value in values.items() if name != "account"})

    def _authenticate(self, request: Request) -> None:
        given = request.authorization
        right = (
            given is not None
            and given.type == "basic"
            and hmac.compare_digest(f"{given.username}:{given.password}", f"{self._account_sid}:{self._auth_token}")
        )
        if not right:
            raise ApiError(401, 20003, "Authenticate")

    def _fetch_account(self, request: Request) -> Response:
        _known(request.args, frozenset())
        epoch = _rfc2822(0)
        return json_response(
            {
                "sid": self._account_sid,
                "owner_account_sid": self._account_sid,
                "friendly_name": "Simulated account",
                "auth_token": self._auth_token,
                "status": self._account["status"],
                "type": self._account["type"],
                "date_created": epoch,
                "date_updated": epoch,
                "subresource_uris": {},
                "uri": self._uri(""),
            }
        )

    def _balance(self, request: Request) -> Response:
        _known(request.args, frozenset())
        return json_response({"account_sid": self._account_sid, "balance": self._account["balance"], "currency": "USD"})

    def _list_numbers(self, request: Request) -> Response:
        _known(request.args, frozenset({"PhoneNumber", "PageSize", "Page", "PageToken"}))
        wanted = request.args.get("PhoneNumber")
        numbers = [self._number_resource(number) for number in self._numbers if wanted in {None, number}]
        return self._page(request, "IncomingPhoneNumbers", "incoming_phone_numbers", numbers)

    def _number_resource(self, number: str) -> dict[str, Any]:
        return {
            "sid": "PN" + uuid.uuid5(uuid.NAMESPACE_URL, number).hex,
            "account_sid": self._account_sid,
            "phone_number": number,
            "friendly_name": number,
            "capabilities": {
                "voice": True,
                "sms": number not in self._account["voice_only"],
                "mms": False,
                "fax": False,
            },
            "voice_url": self._voice_urls[number],
            "voice_method": "POST",
            "voice_application_sid": "",
            "trunk_sid": None,
            "status": "in-use",
            "api_version": "2010-04-01",
        }

    def _update_number(self, request: Request, sid: str) -> Response:
        """Of a number's settings, only its voice URL can be changed."""
        form = _form(request, frozenset({"VoiceUrl"}), frozenset())
        number = next((one for one in self._numbers if self._number_resource(one)["sid"] == sid), None)
        if number is None:
            raise ApiError(404, 20404, f"The requested resource {request.path} was not found")
        url = form.get("VoiceUrl", "")
        if url:
            _check_url("VoiceUrl", url, 21502)
        self._set_voice_url(number, url)
        return json_response(self._number_resource(number))

    def _set_voice_url(self, number: str, url: str) -> None:
        with self._network.changed:
            self._voice_urls[number] = url
            self._network.automatic.pop(number, None)
            if url:
                self._network.automatic[number] = AutomaticNumber(self._network, self._exchange, self._account_sid, url)

    def _list_caller_ids(self, request: Request) -> Response:
        _known(request.args, frozenset({"PhoneNumber", "FriendlyName", "PageSize", "Page", "PageToken"}))
        wanted = request.args.get("PhoneNumber")
        found = [
            {
                "sid": "PN" + uuid.uuid5(uuid.NAMESPACE_DNS, number).hex,
                "account_sid": self._account_sid,
                "phone_number": number,
                "friendly_name": number,
                "date_created": _rfc2822(0),
                "date_updated": _rfc2822(0),
                "uri": self._uri("/OutgoingCallerIds/PN" + uuid.uuid5(uuid.NAMESPACE_DNS, number).hex),
            }
            for number in self._account["caller_ids"]
            if wanted in {None, number}
        ]
        return self._page(request, "OutgoingCallerIds", "outgoing_caller_ids", found)

    def _usage(self, request: Request) -> Response:
        """The usage of the category `calls`: a cent for each call that was answered, and for each minute begun."""
        _known(request.args, frozenset({"Category", "StartDate", "EndDate", "PageSize", "Page", "PageToken"}))
        if request.args.get("Category") != "calls":
            raise ApiError(400, 20001, "Only the Category calls is simulated")
        today = datetime.now(UTC).date()
        days = [request.args.get(name, f"{today}") for name in ("StartDate", "EndDate")]
        try:
            start, end = (date.fromisoformat(day) for day in days)
        except ValueError as error:
            raise ApiError(400, 20001, f"StartDate and EndDate are dates like 2026-01-31, not {days}") from error
        with self._network.changed:
            calls = [
                call
                for call in self._network.calls.values()
                if call.exchange is self._exchange
                and start <= datetime.fromtimestamp(call.created_at, UTC).date() <= end
            ]
            minutes = sum(-(-call.duration // 60) for call in calls if call.status == "completed")
        record = {
            "category": "calls",
            "description": "Voice Minutes",
            "account_sid": self._account_sid,
            "start_date": f"{start}",
            "end_date": f"{end}",
            "as_of": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00}",
            "count": str(len(calls)),
            "count_unit": "calls",
            "usage": str(minutes),
            "usage_unit": "minutes",
            "price": f"{minutes / 100:.2f}",
            "price_unit": "usd",
            "api_version": "2010-04-01",
            "uri": self._uri("/Usage/Records"),
            "subresource_uris": {},
        }
        return self._page(request, "Usage/Records", "usage_records", [record])

    def _country(self, request: Request, country: str) -> Response:
        """Of voice.twilio.com: whether calls to a country are allowed."""
        _known(request.args, frozenset())
        if not re.fullmatch("[A-Z]{2}", country):
            raise ApiError(404, 20404, f"The requested resource {request.path} was not found")
        allowed = country not in self._account["forbidden_countries"]
        return json_response(
            {
                "iso_code": country,
                "name": country,
                "continent": "SIMULATED",
                "country_codes": [],
                "low_risk_numbers_enabled": allowed,
                "high_risk_special_numbers_enabled": False,
                "high_risk_tollfraud_numbers_enabled": False,
                "url": request.base_url,
                "links": {},
            }
        )

    def _create_call(self, request: Request) -> Response:
        fault = self._exchange.faults.take("create")
        refusal = _refusal_by(fault)
        if refusal is not None:
            return refusal
        form = _form(
            request, CALL_PARAMETERS, CALL_PARAMETERS_WITHOUT_EFFECT, several=frozenset({"StatusCallbackEvent"})
        )
        self._check_numbers(form, 21201, 21213)
        self._check_account(form["To"])
        self._check_line(form["To"])
        _check_instructions(form, needed=True)
        _check_callbacks(form)
        _check_detection(form)
        timeout = form.get("Timeout", "60")
        if not (timeout.isascii() and timeout.isdigit()) or not 1 <= int(timeout) <= 600:
            raise ApiError(400, 21208, f"Timeout must be 1 to 600 seconds, not {timeout!r}")
        limit = form.get("TimeLimit", "14400")
        if not (limit.isascii() and limit.isdigit()) or not 1 <= int(limit) <= 14_400:
            raise ApiError(400, 20001, f"TimeLimit must be 1 to 14400 seconds, not {limit!r}")
        with self._network.changed:  # nothing happens to the call before it is described
            rings = self._control.rings(fault)
            call = self._network.dial(self._exchange, form["To"], form["From"], form, rings=rings)
            answer = json_response(self._call_resource(call), 201)
        return _answer_by(fault, answer)

    def _check_numbers(self, form: Mapping[str, Any], no_to: int, no_from: int) -> None:
        if not form.get("To"):
            raise ApiError(400, no_to, "No 'To' number is specified")
        if not form.get("From"):
            raise ApiError(400, no_from, "No 'From' number is specified")
        if not E164.fullmatch(form["To"]):
            raise ApiError(400, 21211, f"The phone number you are attempting to call, {form['To']}, is not valid.")
        if not E164.fullmatch(form["From"]):
            raise ApiError(400, 21212, f"The 'From' number {form['From']} is not a valid phone number.")
        if self._numbers and form["From"] not in self._numbers:
            message = f"The source phone number provided, {form['From']}, is not yet verified for your account."
            raise ApiError(400, 21210, message)

    def _check_account(self, number: str) -> None:
        if self._account["status"] != "active":
            raise ApiError(403, 20005, "Account not active")
        if self._account["type"] == "Trial" and number not in self._account["caller_ids"]:
            message = f"The number {number} is unverified. Trial accounts may only make calls to verified numbers."
            raise ApiError(400, 21219, message)

    def _check_line(self, number: str) -> None:
        behaviour = self._network.lines.get(number, Line()).behaviour
        if behaviour == "invalid":
            raise ApiError(400, 21211, f"The phone number you are attempting to call, {number}, is not valid.")
        if behaviour == "forbidden":
            message = (
                f"Account not authorized to call {number}. Perhaps you need to enable some international permissions"
            )
            raise ApiError(400, 21215, message)

    def _find(self, sid: str, request: Request) -> Call:
        call = self._network.calls.get(sid)
        if call is None or call.exchange is not self._exchange:
            raise ApiError(404, 20404, f"The requested resource {request.path} was not found")
        return call

    def _fetch_call(self, request: Request, sid: str) -> Response:
        _known(request.args, frozenset())
        call = self._find(sid, request)
        with self._network.changed:
            return json_response(self._call_resource(call))

    def _update_call(self, request: Request, sid: str) -> Response:
        fault = self._exchange.faults.take("update")
        refusal = _refusal_by(fault)
        if refusal is not None:
            return refusal
        call = self._find(sid, request)
        form = _form(request, UPDATE_PARAMETERS, UPDATE_PARAMETERS_WITHOUT_EFFECT)
        status = form.get("Status")
        if status is not None and status not in {"completed", "canceled"}:
            raise ApiError(400, 20001, f"Status must be completed or canceled, not {status!r}")
        _check_instructions(form, needed=False)
        _check_callbacks(form)
        try:
            if "StatusCallback" in form:
                callback = (form["StatusCallback"], form.get("StatusCallbackMethod", "POST"))
                with self._network.changed:
                    call.status_callback = callback
            if status is not None:
                self._network.cancel(call, status)
            elif "Url" in form:
                self._network.redirect(call, Source(url=form["Url"], method=form.get("Method", "POST")))
            elif "Twiml" in form:
                self._network.redirect(call, Source(document=form["Twiml"]))
        except ImpossibleError as error:
            raise ApiError(400, 21220, str(error)) from error
        with self._network.changed:
            answer = json_response(self._call_resource(call))
        return _answer_by(fault, answer)

    def _list_calls(self, request: Request) -> Response:
        _known(request.args, LIST_PARAMETERS)
        with self._network.changed:
            own = [call for call in reversed(self._network.calls.values()) if call.exchange is self._exchange]
            calls = [call for call in own if _listed(call, request.args)]
            resources = [self._call_resource(call) for call in calls]
        return self._page(request, "Calls", "calls", resources)

    def _page(self, request: Request, path: str, key: str, items: list[dict[str, Any]]) -> Response:
        """Twilio's paging: pages count from 0, PageSize is 50 by default and 1,000 at most."""
        size_text, page_text = request.args.get("PageSize", "50"), request.args.get("Page", "0")
        if not size_text.isdigit() or not 1 <= int(size_text) <= 1000:
            raise ApiError(400, 20007, "PageSize must be 1 to 1000")
        if not page_text.isdigit():
            raise ApiError(400, 20001, "Page must be a number")
        size, page = int(size_text), int(page_text)
        part = items[page * size : (page + 1) * size]

        def uri(number: int) -> str:
            query = [
                (name, value) for name, value in request.args.items(multi=True) if name not in {"Page", "PageSize"}
            ]
            return self._uri(f"/{path}") + "?" + urlencode([*query, ("PageSize", size), ("Page", number)])

        return json_response(
            {
                key: part,
                "first_page_uri": uri(0),
                "next_page_uri": uri(page + 1) if (page + 1) * size < len(items) else None,
                "previous_page_uri": uri(page - 1) if page else None,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": max(page * size + len(part) - 1, 0),
                "uri": uri(page),
            }
        )

    def _create_message(self, request: Request) -> Response:
        fault = self._exchange.faults.take("messages")
        refusal = _refusal_by(fault)
        if refusal is not None:
            return refusal
        form = _form(request, MESSAGE_PARAMETERS, MESSAGE_PARAMETERS_WITHOUT_EFFECT)
        if not form.get("To"):
            raise ApiError(400, 21604, "A 'To' phone number is required.")
        if not form.get("Body"):
            raise ApiError(400, 21602, "Message body is required.")
        if len(form["Body"]) > 1600:
            raise ApiError(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        self._check_recipient(form["To"])
        self._check_sender(form)
        message = {
            "sid": "SM" + uuid.uuid4().hex,
            "to": form["To"],
            "from": form.get("From"),
            "messaging_service": form.get("MessagingServiceSid"),
            "body": form["Body"],
            "segments": segments(form["Body"]),
            "status": "accepted" if "MessagingServiceSid" in form else "queued",
            "created_at": time.time(),
        }
        with self._network.changed:
            self._messages.append(message)
        return _answer_by(fault, json_response(self._message_resource(message), 201))

    def _check_recipient(self, number: str) -> None:
        behaviour = self._network.lines.get(number, Line()).behaviour
        if not E164.fullmatch(number) or behaviour == "invalid":
            raise ApiError(400, 21211, f"The 'To' number {number} is not a valid phone number.")
        if number in self._account["landlines"]:
            raise ApiError(400, 21614, f"'To' number is not a valid mobile number: {number}")
        if behaviour == "forbidden":
            raise ApiError(
                400, 21408, f"Permission to send an SMS has not been enabled for the region indicated by {number}"
            )

    def _check_sender(self, form: Mapping[str, Any]) -> None:
        sender, service = form.get("From"), form.get("MessagingServiceSid")
        if sender and service:
            raise ApiError(
                400, 20001, "From beside MessagingServiceSid is Twilio's, but has no effect in this stand-in"
            )
        if service:
            if service not in self._account["messaging_services"]:
                raise ApiError(400, 21701, "The Messaging Service does not exist")
        elif not sender:
            raise ApiError(400, 21603, "A 'From' phone number is required.")
        elif E164.fullmatch(sender):
            if sender in self._account["voice_only"] or (self._numbers and sender not in self._numbers):
                raise ApiError(400, 21606, f"The 'From' phone number {sender} is not a valid, message-capable number")
        elif not _SENDER_NAME.fullmatch(sender):
            raise ApiError(400, 21212, f"The 'From' number {sender} is not a valid phone number or sender ID.")
        elif form["To"].startswith("+1"):
            raise ApiError(400, 21612, "Message cannot be sent with the current combination of 'To' and 'From'")

    def _uri(self, path: str) -> str:
        return f"/2010-04-01/Accounts/{self._account_sid}{path}.json"

    def _call_resource(self, call: Call) -> dict[str, Any]:
        detected = call.detected
        return {
            "sid": call.sid,
            "account_sid": self._account_sid,
            "api_version": "2010-04-01",
            "to": call.to,
            "to_formatted": call.to,
            "from": call.from_,
            "from_formatted": call.from_,
            "status": "queued" if call.status == "initiated" else call.status,
            "direction": "outbound-api",
            "answered_by": detected,
            "date_created": _rfc2822(call.created_at),
            "date_updated": _rfc2822(call.statuses[-1]["at"]),
            "start_time": None if call.initiated_at is None else _rfc2822(call.initiated_at),
            "end_time": None if call.ended_at is None else _rfc2822(call.ended_at),
            "duration": str(call.duration) if call.status == "completed" else None,
            "queue_time": str(round((call.dial_at - call.created_at) * 1000)),
            "price": None,
            "price_unit": "USD",
            "caller_name": None,
            "forwarded_from": None,
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "trunk_sid": None,
            "subresource_uris": {},
            "uri": self._uri(f"/Calls/{call.sid}"),
        }

    def _message_resource(self, message: Mapping[str, Any]) -> dict[str, Any]:
        created = _rfc2822(message["created_at"])
        return {
            "sid": message["sid"],
            "account_sid": self._account_sid,
            "api_version": "2010-04-01",
            "to": message["to"],
            "from": message["from"],
            "body": message["body"],
            "status": message["status"],
            "direction": "outbound-api",
            "date_created": created,
            "date_updated": created,
            "date_sent": None,
            "error_code": None,
            "error_message": None,
            "messaging_service_sid": message["messaging_service"],
            "num_media": "0",
            "num_segments": "0" if message["messaging_service"] else str(message["segments"]),
            "price": None,
            "price_unit": None,
            "subresource_uris": {},
            "uri": self._uri(f"/Messages/{message['sid']}"),
        }

    # The control API

    def _sim(self, request: Request) -> Response:
        try:
            endpoint, values = self._match(request)
            return endpoint(request, **values)
        except (ControlError, ImpossibleError) as error:
            return control_error(str(error))
        except HTTPException as error:
            return http_error(error)

    def _sim_account(self, request: Request) -> Response:
        checks = {
            "status": lambda value: value in {"active", "suspended", "closed"},
            "type": lambda value: value in {"Full", "Trial"},
            "balance": is_text,
            "forbidden_countries": _is_texts,
            "caller_ids": _is_texts,
            "voice_only": _is_texts,
            "messaging_services": _is_texts,
            "landlines": _is_texts,
        }
        with self._network.changed:
            if request.method == "PUT":
                self._account |= checked(control_body(request), checks, what="account")
            return json_response(self._account)

    def _sim_texts(self, request: Request) -> Response:
        del request
        with self._network.changed:
            return json_response(self._messages)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _refusal(error: ApiError) -> Response:
    return json_response(
        {
            "code": error.code,
            "message": str(error),
            "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
            "status": error.status,
        },
        error.status,
    )


def _refusal_by(fault: Mapping[str, Any] | None) -> Response | None:
    """The refusal that a fault asks for: nothing is done, after its delay."""
    if fault is None or "status" not in fault:
        return None
    time.sleep(fault.get("delay", 0))
    message = fault.get("message", "Service unavailable, as asked for by a fault")
    return _refusal(ApiError(fault["status"], fault.get("code", 20000 + fault["status"]), message))


def _answer_by(fault: Mapping[str, Any] | None, answer: Response) -> Response:
    """The answer to what was done, late or lost if a fault asks for it."""
    if fault is None:
        return answer
    time.sleep(fault.get("delay", 0))
    return LostAnswer() if fault.get("lose_answer") else answer


def _known(given: Iterable[str], known: frozenset[str], without_effect: frozenset[str] = frozenset()) -> None:
    for name in given:
        if name in without_effect:
            raise ApiError(400, 20001, f"Parameter {name} is Twilio's, but has no effect in this stand-in")
        if name not in known:
            raise ApiError(400, 20001, f"Unknown parameter {name}")


def _form(
    request: Request, known: frozenset[str], without_effect: frozenset[str], *, several: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The parameters of a POST, those of `several` as lists."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise ApiError(415, 20001, "Content-Type must be application/x-www-form-urlencoded")
    _known(request.args, frozenset())
    _known(request.form, known, without_effect)
    form: dict[str, Any] = {}
    for name, values in request.form.lists():
        if name in several:
            form[name] = values
        elif len(values) > 1:
            raise ApiError(400, 20001, f"Parameter {name} is given {len(values)} times")
        else:
            form[name] = values[0]
    return form


def _check_instructions(form: Mapping[str, str], *, needed: bool) -> None:
    if "Url" in form:
        _check_url("Url", form["Url"], 21205)
    elif "Twiml" in form:
        if len(form["Twiml"]) > twiml.LARGEST_INLINE:
            raise ApiError(400, 32018, "Twiml size exceeded maximum allowed value of 4000 characters")
    elif needed:
        raise ApiError(400, 21205, "Url parameter is required.")
    if "FallbackUrl" in form:
        _check_url("FallbackUrl", form["FallbackUrl"], 21205)
    for name in ("Method", "FallbackMethod", "StatusCallbackMethod", "AsyncAmdStatusCallbackMethod"):
        if form.get(name, "POST") not in _METHODS:
            raise ApiError(400, 21209, f"{name} must be GET or POST, not {form[name]!r}")


def _check_callbacks(form: Mapping[str, Any]) -> None:
    if "StatusCallback" in form:
        _check_url("StatusCallback", form["StatusCallback"], 21609)
    for event in form.get("StatusCallbackEvent", []):
        if event not in _EVENTS:
            raise ApiError(400, 21626, f"Invalid StatusCallbackEvent {event!r}; there are {', '.join(_EVENTS)}")


def _check_detection(form: Mapping[str, str]) -> None:
    if form.get("MachineDetection", "Enable") not in {"Enable", "DetectMessageEnd"}:
        raise ApiError(400, 21234, f"MachineDetection cannot be {form['MachineDetection']!r}")
    if form.get("AsyncAmd", "false") not in {"true", "false"}:
        raise ApiError(400, 21234, f"AsyncAmd must be true or false, not {form['AsyncAmd']!r}")
    if "AsyncAmdStatusCallback" in form:
        _check_url("AsyncAmdStatusCallback", form["AsyncAmdStatusCallback"], 21609)
    if form.get("AsyncAmd") == "true" and "MachineDetection" not in form:
        raise ApiError(400, 21263, "AsyncAmd needs MachineDetection")


def _check_url(name: str, url: str, code: int) -> None:
    try:
        webhooks.parse_url(url)
    except webhooks.WebhookError as error:
        raise ApiError(400, code, f"{name} is not a valid URL: {url} ({error})") from error


def _listed(call: Call, arguments: MultiDict[str, str]) -> bool:
    status = "queued" if call.status == "initiated" else call.status
    plain = {"To": call.to, "From": call.from_, "Status": status, "ParentCallSid": None}
    if any(name in arguments and arguments[name] != value for name, value in plain.items()):
        return False
    for field, at in (("StartTime", call.initiated_at), ("EndTime", call.ended_at)):
        for suffix in ("", "<", ">"):
            if field + suffix in arguments and not _within(field + suffix, arguments[field + suffix], suffix, at):
                return False
    return True


def _within(name: str, text: str, suffix: str, at: float | None) -> bool:
    """Whether `at` is on the day (no suffix), until (`<`) or from (`>`) the date or date and time `text`, in UTC."""
    try:
        limit = datetime.fromisoformat(text)
    except ValueError as error:
        raise ApiError(400, 20001, f"{name} must be a date like 2026-01-31, not {text!r}") from error
    if at is None:
        return False
    whole_day = len(text) == 10
    start = limit.replace(tzinfo=limit.tzinfo or UTC).timestamp()
    end = start + 86400 if whole_day else start
    if suffix == "<":
        return at < end if whole_day else at <= end
    if suffix == ">":
        return at >= start
    return start <= at < start + 86400


def _rfc2822(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))
