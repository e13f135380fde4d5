"""The simulated telephone network, spoken to as the application does: with Twilio's own SDK."""

import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import twilio.twiml.voice_response as sdk_twiml
from twilio.base.exceptions import TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response as TwilioResponse
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from werkzeug.wrappers import Response

from devstack.shared import twiml
from devstack.shared.serve import free_port
from devstack.twilio import api, webhooks
from tests.devstack.application import Application, Received, serving, wait_for
from tests.devstack.application import twiml as twiml_answer

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "token-of-the-simulated-account"
CALLER = "+12025550100"
ALICE = "+12025550101"
BOB = "+12025550102"
HELLO = "<Response><Say>Hello</Say></Response>"
ENDED = {"completed", "busy", "no-answer", "failed", "canceled"}
# Twilio's OpenAPI, api.v2010.account.call
CALL_FIELDS = {
    "account_sid", "answered_by", "api_version", "caller_name", "date_created", "date_updated", "direction", "duration",
    "end_time", "forwarded_from", "from", "from_formatted", "group_sid", "parent_call_sid", "phone_number_sid", "price",
    "price_unit", "queue_time", "sid", "start_time", "status", "subresource_uris", "to", "to_formatted", "trunk_sid",
    "uri",
}  # fmt: skip


@dataclass
class Phones:
    """The network under test: the SDK's client for the API, plain HTTP for the control API."""

    url: str
    client: Client
    app: Application

    def control(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        response = requests.request(method, f"{self.url}/_sim{path}", json=body, timeout=10)
        assert response.status_code == status, response.text
        return response.json()

    def line(self, number: str, behaviour: str, **more: object) -> None:
        self.control("PUT", f"/lines/{number}", {"behaviour": behaviour, **more})

    def create(self, **more: Any) -> str:
        """A call to Alice; returns its sid."""
        arguments = {"to": ALICE, "from_": CALLER, "twiml": HELLO, "timeout": 30, **more}
        if arguments.get("url"):
            del arguments["twiml"]
        return str(self.client.calls.create(**arguments).sid)

    def call(self, sid: str) -> dict[str, Any]:
        call: dict[str, Any] = next(call for call in self.control("GET", "/calls") if call["sid"] == sid)
        return call

    def until(self, sid: str, *statuses: str) -> dict[str, Any]:
        """The call, as soon as it has one of these statuses."""
        return wait_for(lambda: (call := self.call(sid))["status"] in statuses and call, f"a call that is {statuses}")

    def ended(self, sid: str) -> dict[str, Any]:
        return self.until(sid, *ENDED)

    def errors(self) -> list[int]:
        return [error["code"] for error in self.control("GET", "/errors")]

    def raw(self, method: str, path: str, **more: Any) -> requests.Response:
        """A request to the API that the SDK would not make."""
        url = f"{self.url}/2010-04-01/Accounts/{ACCOUNT}{path}"
        timeout = more.pop("timeout", 10)
        return requests.request(method, url, timeout=timeout, **{"auth": (ACCOUNT, TOKEN), **more})


@pytest.fixture
def app() -> Iterator[Application]:
    application = Application()
    with serving(application) as url:
        application.base = url
        yield application


@pytest.fixture
def phones(app: Application) -> Iterator[Phones]:
    """A network in which everything takes no longer than it must."""
    with serving(api.create_app(account_sid=ACCOUNT, auth_token=TOKEN, numbers=[CALLER])) as url:
        client = Client(ACCOUNT, TOKEN)
        client.api.base_url = url
        network = Phones(url, client, app)
        quick = {"speech_rate": 10000, "calls_per_second": 1000, "network_delay": 0, "ring_buffer": 0}
        network.control("PUT", "/settings", quick)
        yield network
        client.http_client.session.close()


def test_what_the_account_is_like_can_be_set(phones: Phones) -> None:
    account = phones.client.api.accounts(ACCOUNT)
    assert (account.fetch().status, account.balance.fetch().balance) == ("active", "100.00")
    changed = {"status": "suspended", "type": "Trial", "balance": "0.40", "caller_ids": [ALICE]}
    phones.control("PUT", "/account", changed)
    assert (account.fetch().status, account.balance.fetch().balance) == ("suspended", "0.40")
    assert [one.phone_number for one in phones.client.outgoing_caller_ids.list(phone_number=ALICE)] == [ALICE]
    assert phones.client.outgoing_caller_ids.list(phone_number=BOB) == []


def test_calls_to_a_country_can_be_forbidden(phones: Phones) -> None:
    phones.client.voice.base_url = phones.url
    countries = phones.client.voice.v1.dialing_permissions.countries
    assert countries("JP").fetch().low_risk_numbers_enabled
    phones.control("PUT", "/account", {"forbidden_countries": ["JP"]})
    assert not countries("JP").fetch().low_risk_numbers_enabled
    assert countries("US").fetch().low_risk_numbers_enabled
    assert phones.raw("GET", "/DialingPermissions/Countries/JP").status_code == 404


def test_answered_calls_cost_money(phones: Phones) -> None:
    phones.control("PUT", f"/lines/{ALICE}", {"behaviour": "answer"})
    phones.ended(phones.create())
    (record,) = phones.client.usage.records.list(category="calls")
    assert (record.count, record.usage, record.price, record.price_unit) == ("1", "1", Decimal("0.01"), "usd")
    assert phones.client.usage.records.list(category="calls", end_date=date(2020, 1, 1))[0].count == "0"
    assert phones.raw("GET", "/Usage/Records.json").status_code == 400


def refused(create: Callable[[], object]) -> TwilioRestException:
    with pytest.raises(TwilioRestException) as caught:
        create()
    return caught.value


# The REST API


def test_a_new_call_is_queued_and_described_with_twilios_fields(phones: Phones) -> None:
    response = phones.raw("POST", "/Calls.json", data={"To": ALICE, "From": CALLER, "Twiml": HELLO})
    assert response.status_code == 201
    assert set(response.json()) == CALL_FIELDS
    assert response.json()["status"] == "queued"
    fetched = phones.client.calls(response.json()["sid"]).fetch()
    assert (fetched.to, fetched._from, fetched.direction) == (ALICE, CALLER, "outbound-api")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": None}, 21201),
        ({"To": ""}, 21201),
        ({"From": None}, 21213),
        ({"To": "2025550101"}, 21211),
        ({"To": "+02025550101"}, 21211),
        ({"To": "+1 202 555 0101"}, 21211),
        ({"From": "12025550100"}, 21212),
        ({"From": "+12025550199"}, 21210),
        ({"Twiml": None}, 21205),
        ({"Url": "call.xml"}, 21205),
        ({"Url": "ftp://example.com/call.xml"}, 21205),
        ({"Url": "https://under_score.example.com/"}, 21205),
        ({"Url": "https://example.com/", "FallbackUrl": "example.com"}, 21205),
        ({"Twiml": f"<Response><Say>{'a' * 4000}</Say></Response>"}, 32018),
        ({"Timeout": "0"}, 21208),
        ({"Timeout": "601"}, 21208),
        ({"Timeout": "soon"}, 21208),
        ({"Method": "PUT"}, 21209),
        ({"StatusCallbackMethod": "post"}, 21209),
        ({"StatusCallback": "/status"}, 21609),
        ({"StatusCallback": "https://example.com/#rc=6"}, 21609),
        ({"StatusCallback": "https://example.com/#rp=sometimes"}, 21609),
        ({"StatusCallback": "https://example.com/#retries=1"}, 21609),
        ({"StatusCallbackEvent": "answered completed"}, 21626),
        ({"StatusCallbackEvent": "in-progress"}, 21626),
        ({"MachineDetection": "true"}, 21234),
        ({"AsyncAmd": "true"}, 21263),
        ({"Record": "true"}, 20001),
        ({"Colour": "red"}, 20001),
        ({"To": [ALICE, BOB]}, 20001),
    ],
)
def test_a_call_that_twilio_would_not_make_is_refused_with_its_code(
    phones: Phones, change: dict[str, Any], code: int
) -> None:
    wanted = {"To": ALICE, "From": CALLER, "Twiml": HELLO} | change
    response = phones.raw(
        "POST", "/Calls.json", data={name: value for name, value in wanted.items() if value is not None}
    )
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert response.json()["more_info"].endswith(str(code))
    assert phones.control("GET", "/calls") == []
    assert phones.errors() == [code]


def test_a_refused_parameter_is_named(phones: Phones) -> None:
    response = phones.raw("POST", "/Calls.json", data={"To": ALICE, "From": CALLER, "Twiml": HELLO, "Colour": "red"})
    assert response.json()["message"] == "Unknown parameter Colour"


def test_twiml_of_exactly_4000_characters_is_accepted(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    frame = len("<Response><Say></Say></Response>")
    phones.ended(phones.create(twiml=f"<Response><Say>{'a' * (4000 - frame)}</Say></Response>"))


def test_a_form_is_needed(phones: Phones) -> None:
    response = phones.raw("POST", "/Calls.json", json={"To": ALICE, "From": CALLER, "Twiml": HELLO})
    assert response.status_code == 415


@pytest.mark.parametrize("auth", [None, (ACCOUNT, "wrong"), ("AC" + "f" * 32, TOKEN), ("", "")])
def test_wrong_credentials_are_refused(phones: Phones, auth: tuple[str, str] | None) -> None:
    response = phones.raw("GET", ".json", auth=auth)
    assert (response.status_code, response.json()["code"]) == (401, 20003)


def test_another_account_and_unknown_resources_are_not_found(phones: Phones) -> None:
    url = f"{phones.url}/2010-04-01/Accounts/AC{'f' * 32}/Balance.json"
    other = requests.get(url, auth=(ACCOUNT, TOKEN), timeout=10)
    assert (other.status_code, other.json()["code"]) == (404, 20404)
    assert refused(lambda: phones.client.calls("CA" + "0" * 32).fetch()).code == 20404
    assert phones.raw("GET", "/Conferences.json").status_code == 404
    assert phones.raw("DELETE", "/Balance.json").json()["code"] == 20004


def test_the_account_its_balance_and_its_numbers_can_be_read(phones: Phones) -> None:
    assert phones.client.api.accounts(ACCOUNT).fetch().status == "active"
    assert phones.client.balance.fetch().currency == "USD"
    assert [number.phone_number for number in phones.client.incoming_phone_numbers.list()] == [CALLER]
    assert phones.client.incoming_phone_numbers.list(phone_number=ALICE) == []
    assert phones.errors() == []


class _Recorder(HttpClient):  # type: ignore[misc]  # the SDK has no types
    """Keeps what the SDK would send."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def request(self, *_: Any, **kwargs: Any) -> TwilioResponse:
        self.names = set(kwargs["data"])
        return TwilioResponse(201, "{}")


def _sent_by_sdk(resource: Callable[[Client], Any], method: str) -> set[str]:
    recorder = _Recorder()
    call = getattr(resource(Client(ACCOUNT, TOKEN, http_client=recorder)), method)
    call(**dict.fromkeys(inspect.signature(call).parameters, "x"))
    return recorder.names


def test_every_parameter_that_the_sdk_can_send_is_known() -> None:
    create = _sent_by_sdk(lambda client: client.calls, "create")
    assert create == api.CALL_PARAMETERS | api.CALL_PARAMETERS_WITHOUT_EFFECT
    update = _sent_by_sdk(lambda client: client.calls("CA" + "0" * 32), "update")
    assert update == api.UPDATE_PARAMETERS | api.UPDATE_PARAMETERS_WITHOUT_EFFECT
    message = _sent_by_sdk(lambda client: client.messages, "create")
    assert message == api.MESSAGE_PARAMETERS | api.MESSAGE_PARAMETERS_WITHOUT_EFFECT


def test_calls_are_listed_newest_first_and_filtered(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    phones.line(BOB, "busy")
    first = phones.ended(phones.create())["sid"]
    second = phones.ended(phones.create(to=BOB))["sid"]
    calls = phones.client.calls
    today, day = datetime.now(UTC), timedelta(days=1)

    def sids(**filters: Any) -> list[str | None]:
        return [call.sid for call in calls.list(**filters)]

    assert sids() == [second, first]
    assert sids(to=ALICE) == [first]
    assert sids(from_=ALICE) == []
    assert sids(status="busy") == [second]
    assert sids(start_time_after=today - day) == [second, first]
    assert sids(start_time_before=today - day) == []
    assert sids(end_time_after=today + day) == []
    assert phones.raw("GET", "/Calls.json", params={"StartTime": "yesterday"}).status_code == 400
    assert phones.raw("GET", "/Calls.json", params={"Colour": "red"}).status_code == 400


def test_the_list_of_calls_has_pages(phones: Phones) -> None:
    sids = [phones.create(to=BOB) for _ in range(5)]
    assert [call.sid for call in phones.client.calls.list(page_size=2)] == sids[::-1]
    page = phones.raw("GET", "/Calls.json", params={"PageSize": 2, "Page": 1}).json()
    assert (page["page"], page["start"], page["end"], page["page_size"]) == (1, 2, 3, 2)
    assert "Page=2" in page["next_page_uri"]
    assert "Page=0" in page["previous_page_uri"]
    assert phones.raw("GET", "/Calls.json", params={"PageSize": 1001}).json()["code"] == 20007


def test_a_short_message_can_be_sent(phones: Phones) -> None:
    message = phones.client.messages.create(to=ALICE, from_=CALLER, body="Nobody answered")
    (kept,) = phones.control("GET", "/texts")
    assert (kept["sid"], kept["to"], kept["body"]) == (message.sid, ALICE, "Nobody answered")
    create = phones.client.messages.create
    assert refused(lambda: create(to=ALICE, body="x")).code == 21603
    assert refused(lambda: create(to=ALICE, from_=CALLER)).code == 21602
    assert refused(lambda: create(to=ALICE, from_=CALLER, body="x" * 1601)).code == 21617
    assert refused(lambda: create(to="alice", from_=CALLER, body="x")).code == 21211


def test_a_message_comes_from_a_number_a_name_or_a_service_that_may_send_it(phones: Phones) -> None:
    create = phones.client.messages.create
    service = "MG" + "0" * 32
    assert refused(lambda: create(to=ALICE, messaging_service_sid=service, body="x")).code == 21701
    phones.control("PUT", "/account", {"messaging_services": [service], "voice_only": [CALLER], "landlines": [BOB]})
    assert create(to=ALICE, messaging_service_sid=service, body="x").status == "accepted"
    assert refused(lambda: create(to=ALICE, from_=CALLER, body="x")).code == 21606
    assert refused(lambda: create(to=BOB, messaging_service_sid=service, body="x")).code == 21614
    assert refused(lambda: create(to=ALICE, from_="On-Call!", body="x")).code == 21212
    assert refused(lambda: create(to=ALICE, from_="OnCall", body="x")).code == 21612  # North America takes no names
    assert create(to="+819012345678", from_="OnCall", body="x").from_ == "OnCall"
    phones.line(ALICE, "forbidden")
    assert refused(lambda: create(to=ALICE, messaging_service_sid=service, body="x")).code == 21408


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("あ" * 70, 1),
        ("あ" * 71, 2),
        ("🔥" * 36, 2),
    ],
)
def test_a_long_message_is_sent_in_parts(phones: Phones, body: str, count: int) -> None:
    assert phones.client.messages.create(to=ALICE, from_=CALLER, body=body).num_segments == str(count)


# Calls


def test_a_call_ends_at_its_time_limit_whatever_is_going_on_in_it(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    phones.control("PUT", "/settings", {"speech_rate": 1})
    call = phones.ended(phones.create(twiml="<Response><Say loop='0'>Listen.</Say></Response>", time_limit=1))
    assert call["status"] == "completed"
    assert refused(lambda: phones.create(time_limit=0)).code == 20001


def test_an_answered_call_goes_through_its_statuses_in_order(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    call = phones.ended(phones.create())
    statuses = [each["status"] for each in call["statuses"]]
    assert statuses == ["queued", "initiated", "ringing", "in-progress", "completed"]
    assert call["said"] == ["Hello"]
    assert (call["to"], call["from"], call["answered_by"], call["digits"]) == (ALICE, CALLER, "human", "")
    assert call["created_at"] <= call["answered_at"] <= call["ended_at"]
    assert phones.client.calls(call["sid"]).fetch().duration == "1"
    assert phones.errors() == []


@pytest.mark.parametrize(
    ("behaviour", "more", "status"),
    [
        ("no-answer", {"after": 0.01}, "no-answer"),
        ("no-answer", {}, "no-answer"),
        ("ring", {}, "no-answer"),
        ("answer", {"after": 60}, "no-answer"),
        ("busy", {}, "busy"),
        ("busy", {"after": 0.01}, "busy"),
        ("failed", {}, "failed"),
    ],
)
def test_a_line_that_nobody_answers(phones: Phones, behaviour: str, more: dict[str, Any], status: str) -> None:
    phones.line(ALICE, behaviour, **more)
    call = phones.ended(phones.create(timeout=1))
    assert call["status"] == status
    assert call["answered_at"] is None
    assert call["said"] == []
    assert phones.client.calls(call["sid"]).fetch().duration is None


def test_twilio_lets_a_phone_ring_a_little_longer_than_asked(phones: Phones) -> None:
    phones.control("PUT", "/settings", {"ring_buffer": 0.5})
    call = phones.ended(phones.create(timeout=1))
    rang = {each["status"]: each["at"] for each in call["statuses"]}
    assert rang["no-answer"] - rang["ringing"] >= 1.5


def test_a_person_answers_and_hangs_up(phones: Phones) -> None:
    sid = phones.create(twiml="<Response><Pause length='60'/></Response>")
    phones.until(sid, "ringing")
    assert phones.control("POST", f"/calls/{sid}/answer")["status"] == "in-progress"
    assert phones.control("POST", f"/calls/{sid}/hang-up")["status"] == "completed"


def test_a_phone_answered_before_it_rings_is_answered_at_the_first_ring(phones: Phones) -> None:
    phones.control("PUT", "/settings", {"network_delay": 0.2})
    sid = phones.create()
    phones.control("POST", f"/calls/{sid}/answer")
    assert phones.ended(sid)["said"] == ["Hello"]


def test_a_person_declines(phones: Phones) -> None:
    sid = phones.create()
    phones.until(sid, "ringing")
    assert phones.control("POST", f"/calls/{sid}/decline")["status"] == "busy"


def test_numbers_that_cannot_be_called(phones: Phones) -> None:
    phones.line(ALICE, "invalid")
    assert refused(phones.create).code == 21211
    phones.line(ALICE, "forbidden")
    assert refused(phones.create).code == 21215


def test_a_number_that_becomes_impossible_while_its_call_is_queued_fails(phones: Phones) -> None:
    phones.control("PUT", "/settings", {"network_delay": 0, "calls_per_second": 2})
    phones.create(to=BOB)
    sid = phones.create()
    phones.line(ALICE, "invalid")
    assert phones.ended(sid)["status"] == "failed"


def test_a_line_keeps_its_behaviour_for_the_calls_that_follow(phones: Phones) -> None:
    sid = phones.create()
    phones.until(sid, "ringing")
    phones.line(ALICE, "busy")
    assert phones.ended(phones.create())["status"] == "busy"
    assert phones.call(sid)["status"] == "ringing"


def test_one_call_a_second_is_dialled_and_the_rest_is_queued(phones: Phones) -> None:
    phones.control("PUT", "/settings", {"calls_per_second": 1})
    first, second = phones.create(), phones.create(to=BOB)
    phones.until(first, "ringing")
    assert phones.call(second)["status"] == "queued"
    assert int(phones.client.calls(second).fetch().queue_time or "") >= 500
    phones.until(second, "ringing")

    def dialled(sid: str) -> float:
        return next(float(each["at"]) for each in phones.call(sid)["statuses"] if each["status"] == "initiated")

    assert dialled(second) - dialled(first) >= 0.9


def test_a_call_that_is_not_answered_can_be_canceled(phones: Phones) -> None:
    sid = phones.create()
    phones.until(sid, "ringing")
    assert phones.client.calls(sid).update(status="canceled").status == "canceled"
    assert phones.ended(sid)["status"] == "canceled"


def test_a_queued_call_can_be_canceled(phones: Phones) -> None:
    phones.control("PUT", "/settings", {"calls_per_second": 0.01})
    phones.create(to=BOB)
    sid = phones.create()
    phones.client.calls(sid).update(status="canceled")
    assert [each["status"] for each in phones.ended(sid)["statuses"]] == ["queued", "canceled"]


def test_completed_ends_a_call_at_any_time_canceled_does_not(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    sid = phones.create(twiml="<Response><Pause length='60'/></Response>")
    phones.until(sid, "in-progress")
    assert phones.client.calls(sid).update(status="canceled").status == "in-progress"
    assert phones.client.calls(sid).update(status="completed").status == "completed"
    error = refused(lambda: phones.client.calls(sid).update(status="completed"))
    assert (error.status, error.code) == (400, 21220)


def test_a_call_in_progress_can_be_given_another_document(phones: Phones) -> None:
    sid = phones.create(twiml="<Response><Pause length='60'/></Response>")
    phones.until(sid, "ringing")
    assert refused(lambda: phones.client.calls(sid).update(twiml=HELLO)).code == 21220
    phones.control("POST", f"/calls/{sid}/answer")
    phones.client.calls(sid).update(twiml="<Response><Say>Somebody else took it</Say></Response>")
    assert phones.ended(sid)["said"] == ["Somebody else took it"]


def test_a_call_can_be_given_the_document_of_a_url(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    sid = phones.create(twiml="<Response><Pause length='60'/></Response>")
    phones.until(sid, "in-progress")
    phones.client.calls(sid).update(url=app.answer("/taken", twiml_answer(HELLO)))
    assert phones.ended(sid)["said"] == ["Hello"]


@pytest.mark.parametrize(
    ("change", "code"), [({"Status": "busy"}, 20001), ({"Twiml": "a" * 4001}, 32018), ({"X": "1"}, 20001)]
)
def test_a_wrong_update_is_refused(phones: Phones, change: dict[str, str], code: int) -> None:
    sid = phones.create()
    assert phones.raw("POST", f"/Calls/{sid}.json", data=change).json()["code"] == code


# What is heard and pressed


def menu(action: str, prompts: str = "<Say>Press 1</Say>", **attributes: object) -> str:
    listed = "".join(f" {name}='{value}'" for name, value in {"numDigits": 1, **attributes}.items())
    return f"<Response><Gather action='{action}'{listed}>{prompts}</Gather><Say>Goodbye</Say></Response>"


def test_a_pressed_key_is_posted_to_the_action_and_its_answer_is_performed(phones: Phones, app: Application) -> None:
    action = app.answer("/keys", twiml_answer("<Response><Say>Thank you</Say><Hangup/><Say>Never</Say></Response>"))
    sid = phones.create(twiml=menu(action, timeout=60))
    phones.until(sid, "ringing")
    phones.control("POST", f"/calls/{sid}/answer")
    wait_for(lambda: phones.call(sid)["said"], "the prompt")
    phones.control("POST", f"/calls/{sid}/press", {"digits": "1"})
    call = phones.ended(sid)
    assert (call["said"], call["digits"], call["status"]) == (["Press 1", "Thank you"], "1", "completed")
    (posted,) = app.at("/keys")
    assert posted.form["Digits"] == "1"
    assert posted.form["CallStatus"] == "in-progress"
    assert (posted.form["CallSid"], posted.form["To"], posted.form["From"]) == (sid, ALICE, CALLER)


def test_a_line_with_digits_presses_one_at_each_menu(phones: Phones, app: Application) -> None:
    again = menu(app.base + "/keys", "<Say>And again</Say>", timeout=1)
    app.answer("/keys", twiml_answer(again), twiml_answer(again), twiml_answer("<Response/>"))
    phones.line(ALICE, "answer", after=0, digits="31#")
    call = phones.ended(phones.create(twiml=menu(app.base + "/keys", finishOnKey="")))
    assert [posted.form["Digits"] for posted in app.at("/keys")] == ["3", "1"]
    assert call["said"] == ["Press 1", "And again", "And again", "Goodbye"]


def test_a_line_presses_when_it_has_heard_the_prompt(phones: Phones, app: Application) -> None:
    phones.control("PUT", "/settings", {"speech_rate": 30})
    phones.line(ALICE, "answer", after=0, digits="1")
    prompts = "<Say>One</Say><Say>Two</Say><Say>Three</Say>"
    assert phones.ended(phones.create(twiml=menu(app.base + "/keys", prompts)))["said"] == ["One", "Two", "Three"]


def test_an_impatient_line_presses_before_the_prompt_is_over(phones: Phones, app: Application) -> None:
    phones.control("PUT", "/settings", {"speech_rate": 1})
    phones.line(ALICE, "answer", after=0, digits="1", press_after=0.05)
    call = phones.ended(phones.create(twiml=menu(app.base + "/keys", f"<Say>{'blah ' * 500}</Say><Say>Two</Say>")))
    assert (len(call["said"]), call["digits"]) == (1, "1")


def test_a_key_interrupts_the_prompt(phones: Phones, app: Application) -> None:
    phones.control("PUT", "/settings", {"speech_rate": 1})
    phones.line(ALICE, "answer", after=0)
    sid = phones.create(twiml=menu(app.base + "/keys", f"<Say>{'a long story ' * 200}</Say>"))
    wait_for(lambda: phones.call(sid)["said"], "the prompt")
    phones.control("POST", f"/calls/{sid}/press", {"digits": "2"})
    phones.ended(sid)
    assert [posted.form["Digits"] for posted in app.at("/keys")] == ["2"]


def test_keys_pressed_before_the_menu_are_kept_for_it(phones: Phones, app: Application) -> None:
    phones.control("PUT", "/settings", {"speech_rate": 1})
    phones.line(ALICE, "answer", after=0)
    document = menu(app.base + "/keys", f"<Say>{'never heard ' * 200}</Say>")
    sid = phones.create(twiml=document.replace("<Gather", "<Say>Wait a moment</Say><Gather"))
    wait_for(lambda: phones.call(sid)["said"], "the first words")
    phones.control("POST", f"/calls/{sid}/press", {"digits": "1"})
    call = phones.ended(sid)
    assert call["said"] == ["Wait a moment"]
    assert [posted.form["Digits"] for posted in app.at("/keys")] == ["1"]


def test_a_person_who_presses_nothing_hears_what_follows_the_menu(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    call = phones.ended(phones.create(twiml=menu(app.base + "/keys", timeout=1)))
    assert call["said"] == ["Press 1", "Goodbye"]
    assert (call["digits"], app.at("/keys")) == ("", [])


def test_an_empty_result_is_posted_if_asked_for(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    phones.ended(phones.create(twiml=menu(app.base + "/keys", timeout=1, actionOnEmptyResult="true")))
    assert [posted.form["Digits"] for posted in app.at("/keys")] == [""]


@pytest.mark.parametrize(
    ("attributes", "digits", "collected"),
    [
        ({"numDigits": 4}, "12345", "1234"),
        ({"numDigits": 9}, "12#", "12"),
        ({"numDigits": 9, "finishOnKey": "*"}, "1#*", "1#"),
        ({"numDigits": 9, "finishOnKey": "", "timeout": 1}, "1#", "1#"),
        ({"numDigits": 2}, "#12", "12"),
    ],
)
def test_keys_are_collected_until_there_are_enough(
    phones: Phones, app: Application, attributes: dict[str, Any], digits: str, collected: str
) -> None:
    phones.line(ALICE, "answer", after=0, digits=digits)
    phones.ended(phones.create(twiml=menu(app.base + "/keys", **attributes)))
    assert [posted.form["Digits"] for posted in app.at("/keys")] == [collected]


def test_a_get_action_has_everything_in_its_query(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0, digits="1")
    phones.ended(phones.create(twiml=menu(app.base + "/keys?incident=7", method="GET")))
    (asked,) = app.at("/keys")
    assert asked.method == "GET"
    query = parse_qs(urlsplit(asked.url).query)
    assert (query["incident"], query["Digits"]) == (["7"], ["1"])
    assert RequestValidator(TOKEN).validate(app.base + asked.url, {}, asked.headers["X-Twilio-Signature"])


def test_voicemail_answers_presses_nothing_and_hangs_up_when_it_hears_nothing(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "voicemail", after=0, digits="1")
    call = phones.ended(phones.create(twiml=menu(app.base + "/keys", timeout=600)))
    assert (call["answered_by"], call["status"], call["digits"]) == ("machine", "completed", "")
    assert call["said"] == ["Press 1"]
    assert app.at("/keys") == []


def test_a_document_is_fetched_redirected_and_repeated(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    start = app.answer("/voice/start", twiml_answer("<Response><Redirect method='GET'>next?n=1</Redirect></Response>"))
    app.answer(
        "/voice/next",
        twiml_answer("<Response><Say loop='2'>Alarm</Say><Play>https://example.com/a.mp3</Play></Response>"),
    )
    assert phones.ended(phones.create(url=start))["said"] == ["Alarm", "Alarm"]
    assert [asked.method for asked in app.received] == ["POST", "GET"]
    assert "n=1" in app.received[1].url


def test_speech_markup_is_not_heard(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    words = (
        "<prosody rate='slow'>Site  <emphasis>down</emphasis></prosody><break time='10ms'/> "
        "<sub alias='H T T P'>HTTP</sub> <say-as interpret-as='digits'>503</say-as>"
    )
    call = phones.ended(phones.create(twiml=f"<Response><Say voice='Polly.Joanna'>{words}</Say></Response>"))
    assert call["said"] == ["Site down H T T P 503"]


def test_speech_takes_the_time_of_its_characters(phones: Phones) -> None:
    phones.control("PUT", "/settings", {"speech_rate": 10})
    phones.line(ALICE, "answer", after=0)

    def seconds(text: str, **attributes: str) -> float:
        listed = "".join(f" {name}='{value}'" for name, value in attributes.items())
        call = phones.ended(phones.create(twiml=f"<Response><Say{listed}>{text}</Say></Response>"))
        return float(call["ended_at"] - call["answered_at"])

    assert seconds("a" * 75) >= 0.5
    assert seconds("サイトが停止しています。至急確認。" * 2, language="ja-JP", voice="Polly.Mizuki") >= 0.45


# Failures of the application


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response("no", 500), 11200),
        (Response("no", 404), 11200),
        (Response("", 302, {"Location": "/elsewhere"}), 11200),
        (Response('{"message": "hello"}', content_type="application/json"), 12300),
        (Response("Hello", content_type="text/plain"), 12300),
        (twiml_answer(""), 12100),
        (twiml_answer("<Response><Say>Hello</Response>"), 12100),
        (twiml_answer("<Answer/>"), 12102),
        (twiml_answer("<Response><Shout>Hello</Shout></Response>"), 12200),
        (twiml_answer(f"<Response><!-- {'x' * 65536} --></Response>"), 11750),
    ],
)
def test_an_application_error_is_said_and_recorded(
    phones: Phones, app: Application, answer: Response, code: int
) -> None:
    app.answer("/keys", answer)
    phones.line(ALICE, "answer", after=0, digits="1")
    call = phones.ended(phones.create(twiml=menu(app.base + "/keys")))
    assert call["said"] == ["Press 1", "We are sorry. An application error has occurred. Goodbye."]
    assert call["status"] == "completed"
    assert [error["code"] for error in call["errors"]] == [code]
    assert phones.errors() == [code]


def test_bad_inline_twiml_is_found_when_the_phone_is_answered(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0)
    call = phones.ended(phones.create(twiml="<Response><Say>Hello</Response>"))
    assert [error["code"] for error in call["errors"]] == [12100]
    assert "application error" in call["said"][0]


def test_inline_twiml_has_no_address_that_a_relative_action_could_build_on(phones: Phones) -> None:
    phones.line(ALICE, "answer", after=0, digits="1")
    call = phones.ended(phones.create(twiml=menu("/keys")))
    assert [error["code"] for error in call["errors"]] == [11100]


def test_an_application_that_answers_too_late_has_failed(phones: Phones, app: Application) -> None:
    def late() -> Response:
        phones.until(sid, "completed")
        return twiml_answer(HELLO)

    action = app.answer("/keys", late)
    sid = phones.create(twiml=menu(f"{action}#rt=200"))
    phones.control("POST", f"/calls/{sid}/answer")
    phones.until(sid, "in-progress")
    phones.control("POST", f"/calls/{sid}/press", {"digits": "1"})
    call = phones.ended(sid)
    assert [error["code"] for error in call["errors"]] == [11205]
    assert "application error" in call["said"][-1]


def test_the_fallback_url_is_asked_when_the_first_one_fails(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    url = app.answer("/first", Response("no", 500))
    fallback = app.answer("/second", twiml_answer(HELLO))
    assert phones.ended(phones.create(url=url, fallback_url=fallback))["said"] == ["Hello"]
    (asked,) = app.at("/second")
    assert (asked.form["ErrorCode"], asked.form["ErrorUrl"]) == ("11200", url)


@pytest.mark.parametrize(
    ("verbs", "code"),
    [
        ("Hello", 12200),
        ("<say>Hello</say>", 12200),
        ("<Dial>+12025550101</Dial>", 12200),
        ("<Say pitch='high'>Hello</Say>", 12200),
        ("<Say></Say>", 13520),
        ("<Say>  </Say>", 13520),
        ("<Say><break/>Hello</Say>", 13520),
        ("<Say voice='Polly.Joanna'><blink>Hello</blink></Say>", 12200),
        ("<Say voice='Polly.Joanna'><break length='1'/>Hello</Say>", 12200),
        ("<Say voice='Polly.Joanna'><break time='1'/>Hello</Say>", 12200),
        ("<Say voice='Polly.Joanna'><break time='11s'/>Hello</Say>", 12200),
        ("<Say voice='Joanna'>Hello</Say>", 13511),
        ("<Say language='Japanese'>Hello</Say>", 13512),
        ("<Say loop='-1'>Hello</Say>", 13510),
        (f"<Say voice='Polly.Joanna'>{'a' * 3001}</Say>", 13521),
        ("<Say voice='Polly.Joanna-Neural'><emphasis level='strong'>Hello</emphasis></Say>", 13520),
        ("<Say voice='Polly.Joanna-Neural'><prosody pitch='high'>Hello</prosody></Say>", 13520),
        ("<Say voice='Polly.Joanna-Neural'><say-as interpret-as='characters'>Hello</say-as></Say>", 13520),
        ("<Say voice='Polly.Joanna-Neural' language='ja-JP'>Hello</Say>", 13512),
        ("<Say voice='Polly.Mizuki-Neural' language='ja-JP'>Hello</Say>", 13512),
        (f"<Say>{'a' * 4097}</Say>", 13521),
        ("<Pause length='long'/>", 12200),
        ("<Pause>2</Pause>", 12200),
        ("<Play/>", 12200),
        ("<Redirect/>", 12200),
        ("<Hangup><Say>Hello</Say></Hangup>", 12200),
        ("<Gather numDigits='0'/>", 13314),
        ("<Gather timeout='0'/>", 13313),
        ("<Gather finishOnKey='12'/>", 13310),
        ("<Gather method='PUT'/>", 13312),
        ("<Gather input='keys'/>", 13326),
        ("<Gather digits='1'/>", 12200),
        ("<Gather><Gather/></Gather>", 13320),
        ("<Gather><Redirect>https://example.com/</Redirect></Gather>", 13320),
        ("<Gather><Say voice='x'>Hello</Say></Gather>", 13511),
        ("<Gather>Press 1</Gather>", 12200),
    ],
)
def test_twiml_that_twilio_does_not_know_is_an_error(verbs: str, code: int) -> None:
    with pytest.raises(twiml.TwimlError) as caught:
        twiml.parse(f"<Response>{verbs}</Response>")
    assert caught.value.code == code


def test_what_the_sdk_writes_is_read(app: Application) -> None:
    response = sdk_twiml.VoiceResponse()
    gather = response.gather(
        action=app.base, num_digits=1, timeout=8, action_on_empty_result=True, input="dtmf", finish_on_key=""
    )
    speech = gather.say(voice="Polly.Takumi-Neural", language="ja-JP")
    speech.prosody("重大な障害です", rate="90%")
    speech.break_(time="500ms")
    speech.lang("checkout", xml_lang="en-US")
    gather.pause(length=2)
    response.redirect(app.base, method="POST")
    response.hangup()
    read, redirect, hangup = twiml.parse(str(response))
    assert isinstance(read, twiml.Gather)
    assert read.prompts == (twiml.Say("重大な障害です checkout", True, 1, 0.5), twiml.Pause(2))
    assert (read.num_digits, read.timeout, read.finish_on_key, read.action_on_empty_result) == (1, 8.0, "", True)
    assert (redirect, hangup) == (twiml.Redirect(app.base, "POST"), twiml.Hangup())


def test_attributes_are_those_of_the_sdk() -> None:
    def camel(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(part.title() for part in rest)

    content = {"self", "kwargs", "message", "url"}
    for verb in ("Say", "Pause", "Play", "Gather", "Redirect", "Hangup"):
        parameters = inspect.signature(getattr(sdk_twiml.VoiceResponse, verb.lower())).parameters
        assert set(twiml.ATTRIBUTES[verb]) == {camel(name) for name in parameters.keys() - content}, verb


def test_speech_markup_is_that_of_the_sdk() -> None:
    special = {"xml_lang": "xml:lang", "interpret_as": "interpret-as"}
    methods = {tag: tag.replace("-", "_") + ("_" if tag == "break" else "") for tag in twiml.SSML}
    for tag, method in methods.items():
        parameters = inspect.signature(getattr(sdk_twiml.Say, method)).parameters
        names = {special.get(name, name) for name in parameters.keys() - {"self", "kwargs", "words"}}
        assert set(twiml.SSML[tag]) == names, tag


# Status callbacks


def _is_signed(app: Application, received: Received) -> bool:
    return bool(
        RequestValidator(TOKEN).validate(app.base + received.url, received.form, received.headers["X-Twilio-Signature"])
    )


def test_status_callbacks_are_signed_numbered_and_in_order(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    events = ["initiated", "ringing", "answered", "completed"]
    sid = phones.create(status_callback=app.base + "/status?page=1&x=%20y", status_callback_event=events)
    phones.ended(sid)
    posted = wait_for(lambda: len(all_of := app.at("/status")) == 4 and all_of, "4 callbacks")
    assert all(_is_signed(app, each) for each in posted)
    forms = [each.form for each in posted]
    assert [form["CallStatus"] for form in forms] == ["initiated", "ringing", "in-progress", "completed"]
    assert [form["SequenceNumber"] for form in forms] == ["0", "1", "2", "3"]
    assert {form["CallSid"] for form in forms} == {sid}
    last = forms[-1]
    assert (last["CallDuration"], last["Duration"], last["SipResponseCode"]) == ("1", "1", "200")
    assert last["CallbackSource"] == "call-progress-events"
    assert last["Timestamp"].endswith("+0000")
    assert (last["ToCity"], last["Caller"], last["Called"]) == ("", CALLER, ALICE)
    assert "CallDuration" not in forms[0]


def test_by_default_only_the_end_is_told(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "busy")
    phones.ended(phones.create(status_callback=app.base + "/status"))
    (posted,) = wait_for(lambda: app.at("/status"), "the callback")
    assert (posted.form["CallStatus"], posted.form["CallDuration"], posted.form["SipResponseCode"]) == (
        "busy",
        "0",
        "486",
    )


def test_only_the_events_asked_for_are_told(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    phones.ended(phones.create(status_callback=app.base + "/status", status_callback_event=["answered"]))
    phones.ended(phones.create(status_callback=app.base + "/last"))
    wait_for(lambda: app.at("/last"), "a later callback")
    assert [posted.form["CallStatus"] for posted in app.at("/status")] == ["in-progress"]


def test_callbacks_can_be_got(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "busy")
    phones.create(status_callback=app.base + "/status?a=b", status_callback_method="GET")
    (asked,) = wait_for(lambda: app.at("/status"), "the callback")
    assert asked.method == "GET"
    assert _is_signed(app, asked)
    assert parse_qs(urlsplit(asked.url).query)["CallStatus"] == ["busy"]


def test_a_fragment_sets_the_retries_and_is_neither_sent_nor_signed(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "busy")
    app.answer("/status", Response("", 503), Response("", 503), Response("", 204))
    phones.create(status_callback=app.base + "/status#rc=3&rp=5xx")
    wait_for(lambda: phones.control("GET", "/callbacks"), "the callback")
    posted = app.at("/status")
    assert [each.url for each in posted] == ["/status"] * 3
    assert all(_is_signed(app, each) for each in posted)
    assert len({each.headers["I-Twilio-Idempotency-Token"] for each in posted}) == 1
    assert phones.errors() == []


def test_an_error_of_the_application_is_not_retried(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "busy")
    app.answer("/status", Response("", 500))
    phones.create(status_callback=app.base + "/status")
    wait_for(phones.errors, "the error")
    assert len(app.at("/status")) == 1
    assert phones.errors() == [11200]


def test_a_failed_connection_is_retried_once() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(webhooks.WebhookError) as caught:
        webhooks.send(TOKEN, nowhere, "POST", {})
    assert (caught.value.code, caught.value.kind, caught.value.attempts) == (11205, "ct", 2)
    with pytest.raises(webhooks.WebhookError) as caught:
        webhooks.send(TOKEN, nowhere + "#rc=0", "POST", {})
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/dev/calls?a=1&b=%2B1",
        "https://example.com/dev/calls",
        "https://example.com:8443/dev/calls",
        "https://example.com/?q=a+b",
    ],
)
def test_signatures_are_twilios(url: str) -> None:
    form = {"CallSid": "CA1", "To": ALICE, "ToCity": "", "Body": "重大 & <b>"}
    assert RequestValidator(TOKEN).validate(url, form, webhooks.sign(TOKEN, url, form))
    assert not RequestValidator(TOKEN).validate(url, form | {"To": BOB}, webhooks.sign(TOKEN, url, form))


def test_a_port_is_signed_for_http_and_not_for_https() -> None:
    assert webhooks.signed_url("http://me:secret@example.com:8080/a") == "http://example.com:8080/a"
    assert webhooks.signed_url("https://me:secret@example.com:8443/a") == "https://example.com/a"


# Answering machine detection


def test_detection_makes_the_call_wait_and_tells_the_application(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "voicemail", after=0)
    url = app.answer("/voice", twiml_answer(HELLO))
    sid = phones.create(url=url, machine_detection="Enable")
    phones.ended(sid)
    assert app.at("/voice")[0].form["AnsweredBy"] == "machine_start"
    assert phones.client.calls(sid).fetch().answered_by == "machine_start"


def test_asynchronous_detection_lets_the_call_go_on(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    url = app.answer("/voice", twiml_answer("<Response><Pause length='2'/></Response>"))
    more = {"async_amd": "true", "async_amd_status_callback": app.base + "/amd"}
    phones.create(url=url, machine_detection="Enable", **more)
    (told,) = wait_for(lambda: app.at("/amd"), "the detection")
    assert told.form["AnsweredBy"] == "human"
    assert "AnsweredBy" not in app.at("/voice")[0].form


def test_without_detection_the_api_does_not_know_who_answered(phones: Phones) -> None:
    phones.line(ALICE, "voicemail", after=0)
    sid = phones.create()
    assert phones.ended(sid)["answered_by"] == "machine"
    assert phones.client.calls(sid).fetch().answered_by is None


# Faults


def test_creating_fails_as_often_as_asked_for(phones: Phones) -> None:
    phones.control("PUT", "/faults", {"create": {"status": 503, "code": 20503, "times": 2}})
    for _ in range(2):
        error = refused(phones.create)
        assert (error.status, error.code) == (503, 20503)
    phones.create()
    assert phones.errors() == []


def test_an_empty_object_clears_all_faults(phones: Phones) -> None:
    phones.control("PUT", "/faults", {"create": {"status": 429, "code": 20429, "times": 5}, "callbacks": {"drop": 5}})
    phones.control("PUT", "/faults", {})
    assert phones.control("GET", "/faults") == {}
    phones.create()


def test_twilio_can_be_away_altogether(phones: Phones) -> None:
    phones.line(ALICE, "ring")
    phones.create()
    (call,) = phones.control("GET", "/calls")
    phones.control("PUT", "/faults", {"all": {"status": 503}})
    with pytest.raises(TwilioRestException, match="503"):
        phones.create()
    with pytest.raises(TwilioRestException, match="503"):
        phones.client.calls(call["sid"]).fetch()
    assert len(phones.control("GET", "/calls")) == 1


def test_a_lost_answer_leaves_a_call_that_nobody_knows_of(phones: Phones) -> None:
    phones.control("PUT", "/faults", {"create": {"lose_answer": True, "times": 1}})
    with pytest.raises(requests.exceptions.ConnectionError):
        phones.create()
    (call,) = phones.control("GET", "/calls")
    assert call["to"] == ALICE


def test_a_late_answer_leaves_a_call_too(phones: Phones) -> None:
    phones.control("PUT", "/faults", {"create": {"delay": 1, "times": 1}})
    with pytest.raises(requests.exceptions.Timeout):
        phones.raw("POST", "/Calls.json", data={"To": ALICE, "From": CALLER, "Twiml": HELLO}, timeout=0.2)
    (call,) = phones.control("GET", "/calls")
    phones.until(call["sid"], "ringing")


def test_hanging_up_can_fail(phones: Phones) -> None:
    sid = phones.create()
    phones.control("PUT", "/faults", {"update": {"status": 500, "times": 1}})
    assert refused(lambda: phones.client.calls(sid).update(status="completed")).status == 500
    phones.client.calls(sid).update(status="completed")


def test_callbacks_can_be_dropped_and_repeated(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0)
    phones.control("PUT", "/faults", {"callbacks": {"drop": 1, "repeat": 1}})
    events = ["ringing", "answered", "completed"]
    phones.create(status_callback=app.base + "/status", status_callback_event=events)
    posted = wait_for(lambda: len(all_of := app.at("/status")) == 3 and all_of, "3 callbacks")
    assert [each.form["CallStatus"] for each in posted] == ["in-progress", "in-progress", "completed"]
    # What became of the last one is noted after the application has answered it.
    sent = wait_for(lambda: len(all_of := phones.control("GET", "/callbacks")) == 4 and all_of, "4 outcomes")
    assert [each["outcome"] for each in sent] == ["dropped", "sent", "sent", "sent"]


def test_callbacks_can_be_late(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "busy")
    phones.control("PUT", "/faults", {"callbacks": {"delay": 0.3}})
    call = phones.ended(phones.create(status_callback=app.base + "/status"))
    (sent,) = wait_for(lambda: phones.control("GET", "/callbacks"), "the callback")
    assert sent["at"] - call["ended_at"] >= 0.3


def test_a_key_still_counts_when_its_request_is_late(phones: Phones, app: Application) -> None:
    sid = phones.create(twiml=menu(app.base + "/keys", timeout=60))
    phones.control("POST", f"/calls/{sid}/answer")
    phones.until(sid, "in-progress")
    phones.control("PUT", "/faults", {"callbacks": {"delay": 0.3}})
    phones.control("POST", f"/calls/{sid}/press", {"digits": "1"})
    wait_for(lambda: phones.control("GET", "/faults"), "the fault")
    phones.control("POST", f"/calls/{sid}/hang-up")
    (posted,) = wait_for(lambda: app.at("/keys"), "the key")
    assert (posted.form["Digits"], phones.call(sid)["status"]) == ("1", "completed")


# The control API


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("PUT", f"/lines/{ALICE}", {"behaviour": "shout"}, "behaviour"),
        ("PUT", f"/lines/{ALICE}", {}, "behaviour is missing"),
        ("PUT", f"/lines/{ALICE}", {"behaviour": "answer", "after": -1}, "after"),
        ("PUT", f"/lines/{ALICE}", {"behaviour": "answer", "digits": "a"}, "digits"),
        ("PUT", f"/lines/{ALICE}", {"behaviour": "answer", "colour": 1}, "colour"),
        ("PUT", f"/lines/{ALICE}", [], "JSON object"),
        ("PUT", "/lines/alice", {"behaviour": "answer"}, "E.164"),
        ("PUT", "/faults", {"create": {"status": 200}}, "status"),
        ("PUT", "/faults", {"calls": {}}, "calls"),
        ("PUT", "/faults", {"callbacks": {"drop": -1}}, "drop"),
        ("PUT", "/settings", {"speech_rate": 0}, "speech_rate"),
    ],
)
def test_a_wrong_control_request_is_refused_and_explained(
    phones: Phones, method: str, path: str, body: object, says: str
) -> None:
    assert says in phones.control(method, path, body, status=400)["error"]


def test_only_a_ringing_phone_can_be_answered_and_only_an_answered_one_pressed(phones: Phones) -> None:
    sid = phones.create(twiml="<Response><Pause length='60'/></Response>")
    phones.until(sid, "ringing")
    for action, body in (("hang-up", None), ("press", {"digits": "1"})):
        assert "ringing" in phones.control("POST", f"/calls/{sid}/{action}", body, status=400)["error"]
    phones.control("POST", f"/calls/{sid}/answer")
    for action in ("answer", "decline"):
        assert "in-progress" in phones.control("POST", f"/calls/{sid}/{action}", status=400)["error"]
    phones.control("POST", f"/calls/{sid}/press", {"digits": ""}, status=400)
    phones.control("POST", f"/calls/{sid}/sing", status=404)
    phones.control("POST", "/calls/CA0/answer", status=404)
    phones.control("GET", "/weather", status=404)


def test_errors_can_be_forgotten(phones: Phones) -> None:
    phones.raw("GET", "/Weather.json")
    assert len(phones.control("DELETE", "/errors")) == 1
    assert phones.errors() == []


def test_many_calls_at_once(phones: Phones, app: Application) -> None:
    phones.line(ALICE, "answer", after=0.05, digits="1")
    sids = [phones.create(twiml=menu(app.base + "/keys"), status_callback=app.base + "/status") for _ in range(40)]
    for sid in sids:
        assert phones.ended(sid)["status"] == "completed"
    wait_for(lambda: len(app.at("/status")) == 40, "all callbacks")
    assert {posted.form["CallSid"] for posted in app.at("/keys")} == set(sids)
    assert phones.errors() == []


def test_it_runs_as_a_program_and_ends_when_told() -> None:
    environment = os.environ | {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
    command = [sys.executable, "-m", "devstack.system.telephones", "--number", CALLER, "--speech-rate", "50"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603 -- our own
        assert program.stdout is not None
        url = program.stdout.readline().removeprefix("listening on ").strip()
        assert requests.get(url + "/_sim/settings", timeout=10).json()["speech_rate"] == 50
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
