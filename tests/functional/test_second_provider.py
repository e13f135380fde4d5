"""The functions with a second telephone provider: what they ask it, and what they take from it."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from devstack.telnyx import signature
from devstack.telnyx.api import create_app
from oncall import providers
from oncall.phone.provider import Callbacks, UnavailableError
from oncall.settings import read_settings
from tests.builders import BASE, SATO
from tests.devstack.application import serving, wait_for
from tests.functional.handlers import AUTH_TOKEN, Stack, asked, ring, store

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

KEY = base64.b64encode(bytes(range(32))).decode()
ACCOUNT, APPLICATION, CALLER = "account", "1293384261075731499", "+12025550197"


@dataclass(frozen=True)
class Telnyx:
    url: str

    @property
    def calls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/_sim/calls", timeout=10).json()
        return found


@pytest.fixture
def telnyx(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telnyx]:
    """Telnyx is near and set up; Twilio has been found down."""
    app = create_app(api_key="KEY1", account_sid=ACCOUNT, application=APPLICATION, signing_key=KEY, numbers=[CALLER])
    with serving(app) as url:
        for name, value in {
            "TELNYX_ACCOUNT": ACCOUNT,
            "TELNYX_APPLICATION": APPLICATION,
            "TELNYX_CALLER_NUMBER": CALLER,
            "TELNYX_API_URL": url,
            "TELNYX_API_KEY_PARAMETER": "/oncall/telnyx-api-key",
            "TELNYX_PUBLIC_KEY_PARAMETER": "/oncall/telnyx-public-key",
            "PHONE_CALL_FUNCTION": "phone-call",
        }.items():
            monkeypatch.setenv(name, value)
        store("telnyx-api-key", "KEY1")
        store("telnyx-public-key", signature.public_key(KEY))
        read_settings.cache_clear()
        providers.trip(stack.world.table, "twilio", failure="api", reason="", now=stack.world.clock.now())
        yield Telnyx(url)


def callback(stack: Stack, status: str, sid: str = "v3:one", **changed: str) -> Any:
    """A status callback of the page's latest call, as Telnyx signs it and the gateway hands it on."""
    page = stack.world.page()
    call = page.calls[-1]
    made = Callbacks(
        BASE,
        page.policy,
        page.id,
        call.number,
        incident=page.lead,
        responder=call.responder,
        placed_at=stack.world.clock.now() // 1000,
        secret=AUTH_TOKEN,
    )
    body = urlencode({"CallSid": sid, "CallStatus": status})
    timestamp = changed.pop("timestamp", str(stack.world.clock.now() // 1000))
    return stack.call(
        "phone_reply",
        {
            "path": "/calls/status",
            "httpMethod": "POST",
            "headers": {
                "telnyx-timestamp": timestamp,
                "telnyx-signature-ed25519": signature.sign(changed.pop("key", KEY), timestamp, body),
            },
            "queryStringParameters": dict(parse_qsl(urlsplit(made.status).query)) | changed,
            "requestContext": {"domainName": urlsplit(made.base).netloc, "stage": "prod", "path": "/prod/calls/status"},
            "body": body,
            "isBase64Encoded": False,
        },
    )


def test_while_the_first_is_down_the_second_is_asked_and_says_that_it_rings(
    stack: Stack, telnyx: Telnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    (call,) = telnyx.calls
    assert (call["to"], call["from"], call["provider"]) == (SATO, CALLER, "telnyx")
    assert stack.world.telephone.calls == []
    assert callback(stack, "ringing")["statusCode"] == 200
    latest = stack.world.page().calls[0]
    assert (latest.sid, latest.provider, latest.ringing_at > 0) == ("v3:one", "telnyx", True)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": base64.b64encode(bytes(32)).decode()},
        {"timestamp": "1"},
        {"call": "2"},
        {"seal": "forged"},
        {"more": "1"},
    ],
    ids=str,
)
def test_what_telnyx_has_not_signed_just_now_for_this_call_changes_nothing(
    stack: Stack, telnyx: Telnyx, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    ring(stack, monkeypatch)
    assert len(telnyx.calls) == 1
    before = stack.contents
    assert callback(stack, "no-answer", **changed)["statusCode"] == 403
    assert stack.contents == before


def test_without_its_parameters_nothing_is_taken_from_telnyx(
    stack: Stack, telnyx: Telnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    assert len(telnyx.calls) == 1
    monkeypatch.setenv("TELNYX_APPLICATION", "")
    read_settings.cache_clear()
    before = stack.contents
    assert callback(stack, "no-answer")["statusCode"] == 403
    assert stack.contents == before


def test_a_key_of_telnyx_that_has_just_changed_counts_at_once(
    stack: Stack, telnyx: Telnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    assert len(telnyx.calls) == 1
    new = base64.b64encode(bytes(32)).decode()
    store("telnyx-public-key", f"{signature.public_key(new)} {signature.public_key(KEY)}")
    assert callback(stack, "ringing", key=new)["statusCode"] == 200
    assert callback(stack, "ringing")["statusCode"] == 200


def test_a_call_that_begins_to_ring_when_its_page_is_over_is_ended(
    stack: Stack, telnyx: Telnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(stack, monkeypatch)
    call = wait_for(lambda: (found := telnyx.calls[0])["status"] == "ringing" and found, "the ringing")
    page = stack.world.page()
    stack.world.takes_in_slack(page.lead)
    assert callback(stack, "ringing", call["sid"])["statusCode"] == 200
    (wish,) = [one for one in asked(stack) if "hang_up" in one]
    assert wish == {"hang_up": {"provider": "telnyx", "sid": call["sid"]}}
    assert stack.call("phone_call", wish) is None
    assert telnyx.calls[0]["status"] == "canceled"


def test_a_provider_that_is_asked_whether_it_answers_is_proven_if_it_does(
    stack: Stack, telnyx: Telnyx, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones = stack.world.telephone
    monkeypatch.setattr("phone_call.telephone", lambda *_, **__: phones)
    providers.trip(stack.world.table, "telnyx", failure="api", reason="", now=stack.world.clock.now())
    phones.is_away = True
    requests.put(f"{telnyx.url}/_sim/faults", json={"all": {"status": 401, "code": 10009}}, timeout=10)
    for name in providers.LABELS:
        stack.call("phone_call", {"check": name})
    assert set(providers.down(stack.world.table)) == {"twilio", "telnyx"}
    phones.is_away = False
    requests.put(f"{telnyx.url}/_sim/faults", json={}, timeout=10)
    for name in providers.LABELS:
        stack.call("phone_call", {"check": name})
    assert providers.down(stack.world.table) == {}


def test_a_second_provider_that_is_not_set_up_any_more_is_forgotten(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phone_call.telephone", lambda *_, **__: stack.world.telephone)
    providers.trip(stack.world.table, "telnyx", failure="api", reason="", now=stack.world.clock.now())
    stack.call("phone_call", {"check": "telnyx"})
    assert providers.down(stack.world.table) == {}
    with pytest.raises(UnavailableError, match="Telnyx is not set up any more"):  # Lambda tries it again, twice
        stack.call("phone_call", {"hang_up": {"provider": "telnyx", "sid": "v3:one"}})
