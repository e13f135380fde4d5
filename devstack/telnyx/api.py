"""A stand-in for Telnyx's TeXML REST commands (API v2), strict where Telnyx is lenient, over a simulated telephone network.

What Telnyx's documentation leaves open is played by the harder of two ways: the answer to a new call has no id, a call can be
looked up and listed only when it rings ("eventually consistent"), and a Gather without a key asks its action all the same.
A parameter that it does not know, or whose effect is not simulated, is refused (10015) and not ignored.

The control API (`/_sim/...`): see shared/telephone_control.py. The lines and calls are those of the whole network. Beside it,
`PUT /_sim/account`: `application` (fields of the TeXML application), `forbidden` (numbers to which the outbound voice profile
may not call).
"""

import base64
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from devstack.shared import twiml, webhooks
from devstack.shared.simulator import (
    ControlError,
    LostAnswer,
    checked,
    control_body,
    control_error,
    http_error,
    json_response,
)
from devstack.shared.telephone import ENDED, Call, Exchange, ImpossibleError, Line, Network, Source
from devstack.shared.telephone_control import E164, Control
from devstack.telnyx import texml
from devstack.telnyx.signature import sign

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_EVENTS = ("initiated", "ringing", "answered", "completed")
_METHODS = ("GET", "POST")
_TITLES = {
    10002: "Invalid phone number",
    10004: "Missing required parameter",
    10005: "Resource not found",
    10007: "Unexpected error",
    10009: "Authentication failed",
    10010: "Authorization failed",
    10011: "Too many requests",
    10014: "Unsupported Media Type",
    10015: "Bad Request",
    10016: "Phone number must be in +E.164 format",
    10017: "Associated resource does not exist",
    90018: "Call has already ended",
}

# The parameters of "Initiate an outbound call" that have their effect here, with what they have to be.
CALL_PARAMETERS: Mapping[str, type] = {
    "ApplicationSid": str,
    "To": str,
    "From": str,
    "Url": str,
    "UrlMethod": str,
    "Texml": str,
    "StatusCallback": str,
    "StatusCallbackEvent": str,
    "StatusCallbackMethod": str,
    "Timeout": int,
    "TimeLimit": int,
}
UPDATE_PARAMETERS = frozenset({"Status", "Texml"})
LIST_PARAMETERS = frozenset(
    {
        "To", "From", "Status", "StartTime", "StartTime_gt", "StartTime_lt", "EndTime", "EndTime_gt", "EndTime_lt", "Page",
        "PageSize", "PageToken",
    }
)  # fmt: skip


class ApiError(Exception):
    """A refusal of the REST API."""

    def __init__(self, status: int, code: int, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.pointer = pointer


def create_app(
    *,
    api_key: str,
    account_sid: str,
    application: str,
    signing_key: str,
    numbers: Iterable[str] = (),
    network: Network | None = None,
) -> "WSGIApplication":
    """The API of one account with these numbers (without any: every number) and one TeXML application, by its id.

    `signing_key` is Base64 of an Ed25519 private key's 32 bytes.
    """
    exchange = _Exchange(account_sid, application, signing_key)
    return _Telnyx(api_key, exchange, tuple(numbers), network or Network())


class _Exchange(Exchange):
    """Telnyx's side of the telephone network."""

    name = "telnyx"

    def __init__(self, account_sid: str, application: str, key: str) -> None:
        super().__init__()
        self.account_sid = account_sid
        self.application = application
        self._key = key

    def new_sid(self) -> str:
        return "v3:" + base64.urlsafe_b64encode(uuid4().bytes + uuid4().bytes).decode().rstrip("=")

    def progress(self, call: Call) -> dict[str, str]:
        parameters = {
            **self.about(call),
            "CallStatus": call.status,
            "CallInitiatedAt": _iso(call.initiated_at or call.created_at),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(call.sequence),
            "Timestamp": _iso(time.time()),
        }
        if call.status in ENDED:
            parameters |= {"CallDuration": str(call.duration), "HangupSource": "callee"}
        return parameters

    def about(self, call: Call) -> dict[str, str]:
        return {
            "AccountSid": self.account_sid,
            "CallSid": call.sid,
            "CallSidLegacy": call.sid,
            "ConnectionId": self.application,
            "From": call.from_,
            "To": call.to,
        }

    def parse(self, document: str | bytes) -> list[twiml.Verb]:
        return texml.parse(document)

    def send(self, url: str, method: str, parameters: Mapping[str, str]) -> webhooks.Answer:
        answer = webhooks.send(self._headers, url, method, parameters)
        if answer.status != 200:  # Telnyx: anything else is a failure, and goes to the failover address
            raise webhooks.WebhookError(
                11200, f"HTTP retrieval failure: status {answer.status}, not 200", kind="status", status=answer.status
            )
        return answer

    def _headers(self, target: str, form: Mapping[str, str], body: str) -> Mapping[str, str]:
        del target, form
        timestamp = str(int(time.time()))
        return {
            "telnyx-timestamp": timestamp,
            "telnyx-signature-ed25519": sign(self._key, timestamp, body),
            "User-Agent": "telnyx-webhooks",
        }


class _Telnyx:
    def __init__(self, api_key: str, exchange: _Exchange, numbers: tuple[str, ...], network: Network) -> None:
        self._api_key = api_key
        self._exchange = exchange
        self._numbers = numbers
        self._network = network
        self._control = Control(network, exchange, ("all", "create", "update"))
        self._account: dict[str, Any] = {
            "application": {
                "id": exchange.application,
                "record_type": "texml_application",
                "friendly_name": "On-call",
                "active": True,
                "voice_method": "post",
                "voice_url": "https://unused.example.com",
                "status_callback_method": "post",
                "outbound": {"channel_limit": None, "outbound_voice_profile_id": "1293384261075731499"},
            },
            "forbidden": [],
            "balance": "100.00",
        }
        calls = "/v2/texml/Accounts/<account>/Calls"
        self._urls = Map(
            [
                Rule(calls, endpoint=self._create_call, methods=["POST"]),
                Rule(calls, endpoint=self._list_calls, methods=["GET"]),
                Rule(f"{calls}/<sid>", endpoint=self._fetch_call, methods=["GET"]),
                Rule(f"{calls}/<sid>", endpoint=self._update_call, methods=["POST"]),
                Rule("/v2/texml_applications/<application>", endpoint=self._fetch_application, methods=["GET"]),
                Rule("/v2/phone_numbers", endpoint=self._list_numbers, methods=["GET"]),
                Rule("/v2/balance", endpoint=self._balance, methods=["GET"]),
                *self._control.rules(),
                Rule("/_sim/account", endpoint=self._sim_account, methods=["GET", "PUT"]),
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
            told = f"{request.method} {request.path}"
            self._network.record_error(self._exchange, error.code, str(error), request=told)
            return _refusal(error)

    def _authenticate(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get("Authorization", ""), f"Bearer {self._api_key}"):
            detail = "The required authentication headers were either invalid or not included in the request."
            raise ApiError(401, 10009, detail)

    def _dispatch(self, request: Request) -> Response:
        try:
            endpoint, values = self._match(request)
        except HTTPException as error:
            raise _missing() from error
        if values.get("account", self._exchange.account_sid) != self._exchange.account_sid:
            raise _missing()
        return endpoint(request, **{name: value for name, value in values.items() if name != "account"})

    def _create_call(self, request: Request) -> Response:
        fault = self._exchange.faults.take("create")
        refusal = _refusal_by(fault)
        if refusal is not None:
            return refusal
        given = _json(request)
        self._check_call(given)
        parameters: dict[str, Any] = {
            name: given[name] for name in ("Url", "StatusCallback", "StatusCallbackMethod") if name in given
        }
        parameters |= {
            "Timeout": given.get("Timeout", 30),
            "TimeLimit": given.get("TimeLimit", 14_400),
            "StatusCallbackEvent": given.get("StatusCallbackEvent", "completed").split(),
        }
        if "Texml" in given:
            parameters["Twiml"] = given["Texml"]
        with self._network.changed:  # nothing happens to the call before it is described
            rings = self._control.rings(fault)
            self._network.dial(self._exchange, given["To"], given["From"], parameters, rings=rings)
            answer = json_response({"from": given["From"], "to": given["To"], "status": "queued"})
        return _answer_by(fault, answer)

    def _check_call(self, given: Mapping[str, Any]) -> None:
        for name in ("To", "From", "ApplicationSid"):
            if not given.get(name):
                raise ApiError(422, 10004, "A required parameter was missing.", f"/{name}")
        if given["ApplicationSid"] != self._exchange.application:
            detail = "The requested parameter is invalid as the associated resource does not exist."
            raise ApiError(422, 10017, detail, "/ApplicationSid")
        for name in ("To", "From"):
            if not E164.fullmatch(given[name]):
                detail = "The specified phone number parameter must be in +E.164 format."
                raise ApiError(422, 10016, detail, f"/{name}")
        behaviour = self._network.lines.get(given["To"], Line()).behaviour
        if behaviour == "invalid":
            raise ApiError(422, 10002, "The phone number is invalid.", "/To")
        if behaviour == "forbidden" or given["To"] in self._account["forbidden"]:
            raise ApiError(403, 10010, "Dialed number is not included in whitelisted countries D13")
        if self._numbers and given["From"] not in self._numbers:
            raise ApiError(403, 10010, "Unverified origination number D51")
        if not self._account["application"]["active"]:
            raise ApiError(403, 10010, "Connection inactive D18")
        _check_parameters(given)

    def _find(self, sid: str) -> Call:
        call = self._network.calls.get(sid)
        if call is None or call.exchange is not self._exchange:
            raise _missing()
        return call

    def _fetch_call(self, request: Request, sid: str) -> Response:
        _known(request.args, frozenset())
        call = self._find(sid)
        with self._network.changed:
            if not _is_shown(call):
                raise _missing()
            return json_response(self._resource(call))

    def _update_call(self, request: Request, sid: str) -> Response:
        fault = self._exchange.faults.take("update")
        refusal = _refusal_by(fault)
        if refusal is not None:
            return refusal
        call = self._find(sid)
        if request.mimetype != "application/x-www-form-urlencoded":
            detail = "The request failed because the server does not support the media type."
            raise ApiError(415, 10014, detail)
        _known(request.form, UPDATE_PARAMETERS)
        form = request.form
        if form.get("Status", "completed") != "completed" or not form:
            raise ApiError(422, 10015, "Status can only be completed.", "/Status")
        try:
            if "Status" in form:
                self._network.cancel(call, "completed")
            else:
                self._network.redirect(call, Source(document=form["Texml"]))
        except ImpossibleError as error:
            raise ApiError(422, 90018, "This call is no longer active and can't receive commands.") from error
        with self._network.changed:
            answer = json_response(self._resource(call))
        return _answer_by(fault, answer)

    def _list_calls(self, request: Request) -> Response:
        _known(request.args, LIST_PARAMETERS)
        arguments = request.args
        with self._network.changed:
            calls = [
                self._resource(call)
                for call in reversed(self._network.calls.values())
                if call.exchange is self._exchange and _is_shown(call) and _is_listed(call, arguments)
            ]
        size, page = int(arguments.get("PageSize", 50)), int(arguments.get("Page", 0))
        part = calls[page * size : (page + 1) * size]
        return json_response(
            {
                "calls": part,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": max(page * size + len(part) - 1, 0),
                "first_page_uri": f"{request.path}?Page=0&PageSize={size}",
                "uri": f"{request.path}?Page={page}&PageSize={size}",
            }
        )

    def _resource(self, call: Call) -> dict[str, Any]:
        return {
            "account_sid": self._exchange.account_sid,
            "sid": call.sid,
            "direction": "outbound",
            "from": call.from_,
            "to": call.to,
            "status": call.status,
            "date_created": _rfc2822(call.created_at),
            "date_updated": _rfc2822(call.statuses[-1]["at"]),
            "start_time": _rfc2822(call.initiated_at or call.created_at),
            "end_time": _rfc2822(call.ended_at) if call.ended_at else None,
            "duration": str(call.duration) if call.status == "completed" else None,
            "uri": f"/v2/texml/Accounts/{self._exchange.account_sid}/Calls/{call.sid}.json",
        }

    def _fetch_application(self, request: Request, application: str) -> Response:
        _known(request.args, frozenset())
        if application != self._exchange.application:
            raise _missing()
        return json_response({"data": self._account["application"]})

    def _list_numbers(self, request: Request) -> Response:
        _known(request.args, frozenset({"filter[phone_number]"}))
        wanted = request.args.get("filter[phone_number]", "").lstrip("+")
        found = [
            {
                "id": str(index),
                "record_type": "phone_number",
                "phone_number": number,
                "status": "active",
                "connection_id": self._exchange.application,
            }
            for index, number in enumerate(self._numbers)
            if wanted in number
        ]
        meta = {"page_number": 1, "page_size": 20, "total_pages": 1, "total_results": len(found)}
        return json_response({"data": found, "meta": meta})

    def _balance(self, request: Request) -> Response:
        _known(request.args, frozenset())
        balance = self._account["balance"]
        return json_response(
            {
                "data": {
                    "record_type": "balance",
                    "balance": balance,
                    "available_credit": balance,
                    "credit_limit": "0.00",
                    "currency": "USD",
                }
            }
        )

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
            "application": lambda value: isinstance(value, dict),
            "forbidden": lambda value: isinstance(value, list),
            "balance": lambda value: isinstance(value, str),
        }
        with self._network.changed:
            if request.method == "PUT":
                body = checked(control_body(request), checks, what="account")
                body["application"] = self._account["application"] | body.get("application", {})
                self._account |= body
            return json_response(self._account)


def _json(request: Request) -> dict[str, Any]:
    """The body of a request for a call, with known parameters of the right kinds."""
    if request.mimetype != "application/json":
        detail = "The request failed because the server does not support the media type."
        raise ApiError(415, 10014, detail)
    try:
        given = request.get_json()
    except BadRequest as error:
        raise ApiError(400, 10015, "The request failed because it was not well-formed.") from error
    if not isinstance(given, dict):
        raise ApiError(400, 10015, "The request failed because it was not well-formed.")
    _known(given, frozenset(CALL_PARAMETERS))
    for name, value in given.items():
        if not isinstance(value, CALL_PARAMETERS[name]) or isinstance(value, bool):
            raise ApiError(422, 10015, f"{name} cannot be {value!r}", f"/{name}")
    return given


def _known(given: Iterable[str], known: frozenset[str]) -> None:
    for name in given:
        if name not in known:
            raise ApiError(422, 10015, f"Unknown parameter {name}, or it has no effect in this stand-in", f"/{name}")


def _check_parameters(given: Mapping[str, Any]) -> None:
    for name, low, high in (("Timeout", 5, 120), ("TimeLimit", 30, 14_400)):
        if not low <= given.get(name, low) <= high:
            raise ApiError(422, 10015, f"{name} must be {low} to {high} seconds", f"/{name}")
    for event in given.get("StatusCallbackEvent", "completed").split():
        if event not in _EVENTS:
            raise ApiError(422, 10015, f"Unknown event {event}", "/StatusCallbackEvent")
    if given.get("StatusCallbackMethod", "POST") not in _METHODS or "UrlMethod" in given:
        raise ApiError(422, 10015, "Invalid method", "/StatusCallbackMethod")
    for name in ("Url", "StatusCallback"):
        try:
            if name in given:
                webhooks.parse_url(given[name])
        except webhooks.WebhookError as error:
            raise ApiError(422, 10003, "The URL provided was invalid, malformed, or too long.", f"/{name}") from error
    if ("Url" in given) == ("Texml" in given):
        raise ApiError(422, 10004, "Either Url or Texml is needed.", "/Texml")


def _is_shown(call: Call) -> bool:
    """Whether the API knows the call already."""
    return call.status not in {"queued", "initiated"}


def _is_listed(call: Call, arguments: Mapping[str, str]) -> bool:
    plain = {"To": call.to, "From": call.from_, "Status": call.status}
    if any(name in arguments and arguments[name] != value for name, value in plain.items()):
        return False
    day = f"{datetime.fromtimestamp(call.created_at, UTC):%Y-%m-%d}"
    return (
        arguments.get("StartTime", day) == day
        and day > arguments.get("StartTime_gt", "")
        and day < arguments.get("StartTime_lt", "9")
    )


def _missing() -> ApiError:
    return ApiError(404, 10005, "The requested resource or URL could not be found.")


def _refusal(error: ApiError) -> Response:
    entry: dict[str, Any] = {
        "code": str(error.code),
        "title": _TITLES.get(error.code, "Error"),
        "detail": str(error),
        "meta": {"url": f"https://developers.telnyx.com/docs/overview/errors/{error.code}"},
    }
    if error.pointer:
        entry["source"] = {"pointer": error.pointer}
    return json_response({"errors": [entry]}, error.status)


def _refusal_by(fault: Mapping[str, Any] | None) -> Response | None:
    """The refusal that a fault asks for: nothing is done, after its delay. `body` is answered as it is."""
    if fault is None or not {"status", "body"} & fault.keys():
        return None
    time.sleep(fault.get("delay", 0))
    if "body" in fault:
        return Response(fault["body"], fault.get("status", 200), mimetype="text/html")
    message = fault.get("message", "An unexpected error occured, as asked for by a fault")
    return _refusal(ApiError(fault["status"], fault.get("code", 10007), message))


def _answer_by(fault: Mapping[str, Any] | None, answer: Response) -> Response:
    """The answer to what was done, late or lost if a fault asks for it."""
    if fault is None:
        return answer
    time.sleep(fault.get("delay", 0))
    return LostAnswer() if fault.get("lose_answer") else answer


def _rfc2822(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
