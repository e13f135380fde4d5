"""Our telephone through Twilio's own library, against the simulated network; and the fakes against what they stand for."""

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
import requests
from slack_sdk import WebClient

from devstack.twilio.api import create_app
from oncall.clock import now
from oncall.phone import twilio as telephone
from oncall.phone.provider import Callbacks, NumberRefusedError, UnavailableError, callback_url
from oncall.phone.twilio import NotTextedError, Telephone
from oncall.phone.voice import Voice
from tests.builders import SATO, SUZUKI, FakeSlack, FakeTelephone
from tests.devstack.application import Application, serving, wait_for
from tests.records import headline

CALLER = "+12025550199"
SID, TOKEN = "AC" + "0123456789abcdef" * 2, "token"
ENDED = {"completed", "busy", "no-answer", "failed", "canceled"}


@dataclass
class Network:
    """Twilio, and where it posts what happens."""

    url: str
    telephone: Telephone
    callbacks: Callbacks
    app: Application

    def call(self, number: str = SATO) -> str:
        twiml = Voice("en", self.callbacks).alert(headline(product=""))
        return self.telephone.call(number, twiml, callbacks=self.callbacks, ring_seconds=30)

    def control(self, method: str, path: str, body: object = None) -> Any:
        answer = requests.request(method, f"{self.url}/_sim{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def status(self, sid: str, *wanted: str) -> str:
        """The call's status as soon as it is one of these."""

        def there() -> str | Literal[False]:
            found = self.telephone.fetch(sid)
            return str(found.status) if found is not None and found.status in wanted else False

        return wait_for(there, f"{sid} to be {wanted}")


@pytest.fixture
def network() -> Iterator[Network]:
    app = Application()
    with serving(create_app(account_sid=SID, auth_token=TOKEN)) as url, serving(app) as base:
        app.base = base
        made = telephone.telephone(SID, TOKEN, caller_number=CALLER, api_url=url)
        yield Network(url, made, Callbacks(f"{base}/prod", "default", "0123456789abcdef", 1), app)
        for call in requests.get(f"{url}/_sim/calls", timeout=10).json():
            made.end(call["sid"], "<Response><Hangup/></Response>")


def test_a_call_rings_with_our_number_our_words_and_our_callbacks(network: Network) -> None:
    sid = network.call()
    network.status(sid, "ringing")
    (call,) = network.control("GET", "/calls")
    assert (call["to"], call["from"]) == (SATO, CALLER)
    network.control("POST", f"/calls/{sid}/decline")
    ended = wait_for(
        lambda: [r.form for r in network.app.at("/prod/calls/status") if r.form["CallStatus"] in ENDED],
        "the last callback",
    )
    assert ended[0]["CallSid"] == sid
    assert network.app.at("/prod/calls/status")[0].url == network.callbacks.status.removeprefix(network.app.base)


@pytest.mark.parametrize(("sender", "written"), [("+12025550198", "from"), ("MG" + "0" * 32, "messaging_service")])
def test_a_text_comes_from_what_the_stack_says(network: Network, sender: str, written: str) -> None:
    network.control("PUT", "/account", {"messaging_services": ["MG" + "0" * 32]})
    replace(network.telephone, text_sender=sender).text(SATO, "You have it: the shop is down")
    (kept,) = network.control("GET", "/texts")
    assert (kept["to"], kept[written], kept["body"]) == (SATO, sender, "You have it: the shop is down")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400, "code": 21606},
        {"status": 503, "code": 20503},
        {"lose_answer": True},
        {"delay": 4, "status": 500},
    ],
)
def test_a_text_that_is_not_taken_says_why_within_two_seconds_and_without_the_number(
    network: Network, fault: dict[str, Any]
) -> None:
    network.control("PUT", "/faults", {"messages": fault})
    with pytest.raises(NotTextedError, match=r"Twilio (answered|did not answer)") as refused:
        replace(network.telephone, text_sender=CALLER).text(SATO, "You have it")
    assert SATO not in str(refused.value)


def test_a_number_that_twilio_does_not_know_is_refused_without_being_named(network: Network) -> None:
    with pytest.raises(NumberRefusedError, match=r"error 21211") as refused:
        network.call("+1202")
    assert "+1202" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, 20503), (500, 20500), (429, 20429), (401, 20003), (403, 20005), (400, 10004), (400, 21210), (403, 99999)],
)
def test_what_is_not_about_the_number_is_twilio_being_away(network: Network, status: int, code: int) -> None:
    network.control("PUT", "/faults", {"create": {"status": status, "code": code, "times": 1}})
    with pytest.raises(UnavailableError, match=f"Twilio answered {status}") as refused:
        network.call()
    assert (refused.value.code, refused.value.is_unclear) == (code, code == 99999)


@pytest.mark.parametrize(("status", "code"), [(400, 573005), (403, 573002), (400, 32224), (400, 21215), (400, 99999)])
def test_any_other_refusal_is_about_the_number(network: Network, status: int, code: int) -> None:
    network.control("PUT", "/faults", {"create": {"status": status, "code": code, "times": 1}})
    with pytest.raises(NumberRefusedError, match=f"error {code}") as refused:
        network.call()
    assert refused.value.code == code


PAGE = "<html><body>Forbidden</body></html>"  # of whatever stands between
PROBLEM = {
    "type": "https://www.twilio.com/docs/api/errors/",
    "title": "Refused",
    "status": 400,
    "code": 21211,
}  # RFC 9457


@contextmanager
def answering(status: int, body: object) -> Iterator[Telephone]:
    """A telephone whose every request is answered so."""

    def app(_: object, start: Any) -> list[bytes]:
        start(f"{status} As said", [("Content-Type", "application/json")])
        return [(body if isinstance(body, str) else json.dumps(body)).encode()]

    with serving(app) as url:
        yield telephone.telephone(SID, TOKEN, caller_number=CALLER, api_url=url, text_sender=CALLER)


@pytest.mark.parametrize("body", [PAGE, {}, [], {"message": "no"}, {"code": None}, {"code": "x"}, "", "null"])
@pytest.mark.parametrize("status", [302, 400, 403, 404, 407, 413])
def test_an_answer_without_a_code_of_twilios_is_about_no_number(status: int, body: object) -> None:
    """A proxy's, a firewall's, another server's: no other phone would ring either."""
    with answering(status, body) as made, pytest.raises(UnavailableError) as refused:
        made.call(
            SATO, "<Response/>", callbacks=Callbacks("https://x.example.com/prod", "default", "0", 1), ring_seconds=30
        )
    assert (refused.value.code, refused.value.is_unclear) == (None, False)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (PROBLEM, NumberRefusedError),
        (PROBLEM | {"status": 401, "code": 20003}, UnavailableError),
        (PROBLEM | {"status": "x", "code": "y"}, UnavailableError),
    ],
)
def test_an_error_in_the_form_of_rfc_9457_means_the_same(body: dict[str, Any], error: type[Exception]) -> None:
    with answering(400, body) as made:
        with pytest.raises(error):
            made.call(
                SATO, "<Response/>", callbacks=Callbacks("https://x.example.com", "default", "0", 1), ring_seconds=30
            )
        for ask in (made.fetch, made.cancel, lambda sid: made.end(sid, "<Response/>")):
            with pytest.raises(UnavailableError):
                ask("CA0")
        with pytest.raises(NotTextedError):
            made.text(SATO, "You have it")
    with answering(404, PROBLEM | {"status": 404, "code": 20404}) as made:
        assert made.fetch("CA0") is None
        assert made.cancel("CA0")


@pytest.mark.parametrize(
    ("account", "error", "code"),
    [
        ({"type": "Trial", "caller_ids": [SUZUKI]}, NumberRefusedError, 21219),
        ({"status": "suspended"}, UnavailableError, 20005),
    ],
)
def test_a_trial_refuses_the_number_and_a_suspended_account_everybody(
    network: Network, account: dict[str, Any], error: type[Exception], code: int
) -> None:
    network.control("PUT", "/account", account)
    with pytest.raises(error, match=f"error {code}"):
        network.call(SATO)
    if "type" in account:
        assert network.call(SUZUKI)


def test_a_caller_that_is_not_the_accounts_is_no_fault_of_the_number() -> None:
    with serving(create_app(account_sid=SID, auth_token=TOKEN, numbers=["+12025550111"])) as url:
        made = telephone.telephone(SID, TOKEN, caller_number=CALLER, api_url=url)
        callbacks = Callbacks("https://x.example.com/prod", "default", "0123456789abcdef", 1)
        with pytest.raises(UnavailableError, match="error 21210"):
            made.call(SATO, "<Response/>", callbacks=callbacks, ring_seconds=30)


def test_nobody_at_the_address_is_twilio_being_away(network: Network) -> None:
    nowhere = telephone.telephone(SID, TOKEN, caller_number=CALLER, api_url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        nowhere.call(SATO, "<Response/>", callbacks=network.callbacks, ring_seconds=30)
    with pytest.raises(UnavailableError):
        nowhere.fetch("CA0")
    with pytest.raises(UnavailableError):
        nowhere.find(SATO, since=now(), besides=())
    with pytest.raises(UnavailableError):
        nowhere.end("CA0", "<Response/>")


def test_a_call_whose_answer_was_lost_is_found_by_its_number_and_time(network: Network) -> None:
    since = now()
    sid = network.call()
    other = network.call(SUZUKI)
    found = network.telephone.find(SATO, since=since, besides=())
    assert found is not None
    assert found.sid == sid
    assert network.telephone.find(SATO, since=since, besides=[sid, other]) is None
    assert network.telephone.find(SATO, since=since + 60_000, besides=()) is None
    assert network.telephone.find("+12025550177", since=since, besides=()) is None


def test_a_phone_that_rings_stops_ringing(network: Network) -> None:
    sid = network.call()
    network.status(sid, "ringing")
    network.telephone.end(sid, "<Response><Say>Good bye</Say><Hangup/></Response>")
    assert network.status(sid, *ENDED) in ENDED


def test_who_is_listening_hears_the_good_bye(network: Network) -> None:
    sid = network.call()
    network.status(sid, "ringing")
    network.control("POST", f"/calls/{sid}/answer")
    network.status(sid, "in-progress")
    network.telephone.end(sid, "<Response><Say>Somebody has it</Say><Hangup/></Response>")
    network.status(sid, "completed")
    (call,) = network.control("GET", "/calls")
    assert "Somebody has it" in call["said"]


def test_a_call_that_has_ended_is_no_fault_to_end(network: Network) -> None:
    sid = network.call()
    network.status(sid, "ringing")
    network.control("POST", f"/calls/{sid}/decline")
    network.status(sid, *ENDED)
    network.telephone.end(sid, "<Response><Hangup/></Response>")


def test_an_address_is_written_in_one_way_whatever_the_order() -> None:
    one = callback_url("https://x.example.com/prod", "key", {"policy": "a&b=c", "page": "é", "call": "1"})
    other = callback_url("https://x.example.com/prod", "key", {"call": "1", "page": "é", "policy": "a&b=c"})
    assert one == other == "https://x.example.com/prod/calls/key?call=1&page=%C3%A9&policy=a%26b%3Dc"


@pytest.mark.parametrize("method", ["call", "text", "find", "fetch", "end"])
def test_the_fake_telephone_is_asked_as_the_real_one_is(method: str) -> None:
    real, fake = (inspect.signature(getattr(kind, method)).parameters for kind in (Telephone, FakeTelephone))
    assert [(p.name, p.kind, p.default) for p in real.values()] == [(p.name, p.kind, p.default) for p in fake.values()]


@pytest.mark.parametrize(
    "method", ["chat_postMessage", "chat_update", "chat_getPermalink", "conversations_history", "conversations_replies"]
)
def test_the_fake_slack_takes_nothing_that_the_real_one_does_not(method: str) -> None:
    real = inspect.signature(getattr(WebClient, method)).parameters
    assert set(inspect.signature(getattr(FakeSlack, method)).parameters) <= set(real)
