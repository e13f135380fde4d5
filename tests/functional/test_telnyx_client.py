"""Our calls through Telnyx, against the simulated one; what its refusals mean; and what the command asks it."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests

from devstack.shared.telephone import Network
from devstack.telnyx.api import create_app
from oncall.clock import now
from oncall.phone.provider import Callbacks, NumberRefusedError, UnavailableError
from oncall.phone.telnyx import Telnyx, meaning
from oncall.phone.voice import Voice
from oncall_cli.providers import ProviderError, TelnyxAccount
from tests.builders import SATO
from tests.devstack.application import serving, wait_for

KEY, ACCOUNT, APPLICATION, CALLER = "KEY-of-a-test", "account", "1293384261075731499", "+12025550197"
CALLBACKS = Callbacks("http://127.0.0.1:9/prod", "default", "0123456789abcdef", 1, secret="secret")


@dataclass
class Stage:
    url: str
    telnyx: Telnyx

    def call(self, number: str = SATO) -> str:
        words = Voice("en", CALLBACKS).goodbye("taken")
        return self.telnyx.call(number, words, callbacks=CALLBACKS, ring_seconds=30)

    def control(self, method: str, path: str, body: object = None) -> Any:
        answer = requests.request(method, f"{self.url}/_sim{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def status(self, wanted: str) -> dict[str, Any]:
        found: dict[str, Any] = wait_for(
            lambda: (call := self.control("GET", "/calls")[-1])["status"] == wanted and call, wanted
        )
        return found


@pytest.fixture
def stage() -> Iterator[Stage]:
    network = Network()
    seed = base64.b64encode(bytes(32)).decode()
    app = create_app(
        api_key=KEY,
        account_sid=ACCOUNT,
        application=APPLICATION,
        signing_key=seed,
        numbers=[CALLER],
        network=network,
    )
    with serving(app) as url:
        yield Stage(url, Telnyx(KEY, ACCOUNT, APPLICATION, CALLER, url))


def test_a_call_is_taken_without_an_id_found_when_it_rings_and_ended(stage: Stage) -> None:
    since = now()
    assert stage.call() == ""
    sid = stage.status("ringing")["sid"]
    found = stage.telnyx.find(SATO, since=since, besides=())
    assert found is not None
    assert (found.sid, found.status) == (sid, "ringing")
    assert stage.telnyx.find(SATO, since=since, besides=[sid]) is None
    assert stage.telnyx.find(SATO, since=since + 60_000, besides=()) is None
    assert stage.telnyx.cancel(sid)
    stage.status("canceled")
    stage.telnyx.end(sid, Voice("en", CALLBACKS).goodbye("gone"))  # once more: it has ended
    assert stage.telnyx.fetch("v3:nothing") is None


def test_a_call_that_somebody_listens_to_is_not_cancelled_and_ends_with_a_word(stage: Stage) -> None:
    stage.control("PUT", "/settings", {"speech_rate": 0.2})
    stage.call()
    sid = stage.status("ringing")["sid"]
    stage.control("POST", f"/calls/{sid}/answer", {})
    assert not stage.telnyx.cancel(sid)
    stage.control("PUT", "/settings", {"speech_rate": 1000})
    stage.telnyx.end(sid, Voice("en", CALLBACKS).goodbye("gone"))
    assert "no longer open" in stage.status("completed")["said"][-1]


@pytest.mark.parametrize("behaviour", ["invalid", "forbidden"])
def test_a_number_that_is_refused_is_not_named(stage: Stage, behaviour: str) -> None:
    stage.control("PUT", f"/lines/{SATO}", {"behaviour": behaviour})
    with pytest.raises(NumberRefusedError) as refused:
        stage.call()
    assert SATO not in str(refused.value)
    assert refused.value.remedy == {"invalid": "correct", "forbidden": "telnyx_geo"}[behaviour]


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"api_key": "another"}, "telnyx_secrets"),
        ({"application": "1"}, "telnyx_application"),
        ({"account_sid": "other"}, "telnyx_application"),
        ({"caller_number": "+12025550111"}, "telnyx_caller"),
    ],
)
def test_wrong_settings_are_no_fault_of_the_number(stage: Stage, changed: dict[str, str], remedy: str) -> None:
    wrong = replace(stage, telnyx=replace(stage.telnyx, **changed))
    with pytest.raises(UnavailableError) as refused:
        wrong.call()
    assert (refused.value.is_refusal, refused.value.remedy) == (True, remedy)


@pytest.mark.parametrize(
    ("fault", "is_refusal"),
    [
        ({"status": 503, "code": 10007}, True),
        ({"status": 500, "code": 10007}, False),
        ({"status": 429, "code": 10011}, True),
        ({"body": "<html></html>"}, False),
        ({"body": "[]"}, False),
        ({"body": "<html></html>", "status": 502}, False),
        ({"body": '{"errors": "none"}', "status": 422}, True),
        ({"body": '{"errors": []}', "status": 403}, True),
        ({"body": '{"errors": [{"code": "no number", "detail": 7}]}', "status": 400}, True),
        ({"status": 415, "code": 10014}, True),
        ({"status": 422, "code": 10015}, True),
        ({"status": 404, "code": 10005}, True),
        ({"status": 403, "code": 10010, "message": "Unverified origination number D51"}, True),
        ({"lose_answer": True}, False),
    ],
)
def test_an_answer_that_is_none_is_not_taken_for_a_call(
    stage: Stage, fault: dict[str, Any], *, is_refusal: bool
) -> None:
    stage.control("PUT", "/faults", {"create": fault})
    with pytest.raises(UnavailableError) as refused:
        stage.call()
    assert refused.value.is_refusal == is_refusal


def test_silence_ends_in_time(stage: Stage) -> None:
    stage.control("PUT", "/faults", {"all": {"status": 503, "delay": 30}})
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        stage.telnyx.check()
    assert time.monotonic() - began < 10


def test_an_unknown_refusal_is_unclear() -> None:
    assert meaning(422, 99_999, "", "") == "unclear"
    assert meaning(403, 10010, "D13", "") == "telnyx_geo"
    assert meaning(500, 10010, "D13", "") == ""


def test_what_the_command_asks(stage: Stage) -> None:
    account = TelnyxAccount(KEY, ACCOUNT, stage.url)
    account.calls()
    assert account.application(APPLICATION)["active"]
    assert account.has(CALLER)
    assert not account.has(SATO)
    with pytest.raises(ProviderError, match="API key"):
        TelnyxAccount("another", ACCOUNT, stage.url).calls()
