"""The simulated Telnyx: its REST commands, its errors, its signed callbacks, on the telephone network of Twilio."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from devstack.shared.serve import free_port
from devstack.shared.telephone import Network
from devstack.telnyx import api, signature
from devstack.twilio.api import create_app as create_twilio
from tests.devstack.application import Application, serving, wait_for
from tests.devstack.application import twiml as texml_answer

ACCOUNT, APPLICATION, KEY = (
    "61bf923e-5e4d-4595-a110-56190ea18a1b",
    "1293384261075731499",
    "KEY-of-the-simulated-account",
)
SEED = base64.b64encode(bytes(range(32))).decode()
CALLER, ALICE, BOB = "+12025550197", "+12025550101", "+12025550102"
HELLO = '<Response><Say voice="Polly.Joanna-Neural">Hello</Say></Response>'
ENDED = ("completed", "busy", "no-answer", "failed", "canceled")


@dataclass
class Phones:
    """The network under test: Telnyx's API, the control APIs of both, and the application."""

    telnyx: str
    twilio: str
    app: Application

    def ask(self, method: str, path: str, *, key: str = KEY, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        url = f"{self.telnyx}/v2/texml/Accounts/{ACCOUNT}/Calls{path}"
        return requests.request(method, url, headers=headers, timeout=10, **more)

    def create(self, **more: Any) -> requests.Response:
        given = {"ApplicationSid": APPLICATION, "To": ALICE, "From": CALLER, "Texml": HELLO, "Timeout": 30, **more}
        return self.ask("POST", "", json={name: value for name, value in given.items() if value is not None})

    def control(self, method: str, path: str, body: object = None, *, status: int = 200, twilio: bool = False) -> Any:
        base = self.twilio if twilio else self.telnyx
        response = requests.request(method, f"{base}/_sim{path}", json=body, timeout=10)
        assert response.status_code == status, response.text
        return response.json()

    def call(self, *statuses: str) -> dict[str, Any]:
        """The latest call, as soon as it has one of these statuses."""

        def there() -> Any:
            call = self.control("GET", "/calls")[-1]
            return call["status"] in statuses and call

        found: dict[str, Any] = wait_for(there, f"a call that is {statuses}")
        return found


@pytest.fixture
def phones() -> Iterator[Phones]:
    network, app = Network(), Application()
    telnyx = api.create_app(
        api_key=KEY,
        account_sid=ACCOUNT,
        application=APPLICATION,
        signing_key=SEED,
        numbers=[CALLER],
        network=network,
    )
    twilio = create_twilio(account_sid="AC" + "0" * 32, auth_token="token", network=network)
    with serving(telnyx) as telnyx_url, serving(twilio) as twilio_url, serving(app) as base:
        app.base = base
        found = Phones(telnyx_url, twilio_url, app)
        quick = {"speech_rate": 10000, "calls_per_second": 1000, "network_delay": 0, "ring_buffer": 0}
        found.control("PUT", "/settings", quick)
        yield found


def test_a_call_is_queued_without_an_id_and_known_when_it_rings(phones: Phones) -> None:
    answer = phones.create()
    assert (answer.status_code, answer.json()) == (200, {"from": CALLER, "to": ALICE, "status": "queued"})
    call = phones.call("ringing")
    assert call["provider"] == "telnyx"
    fetched = phones.ask("GET", f"/{call['sid']}").json()
    assert (fetched["sid"], fetched["status"], fetched["to"]) == (call["sid"], "ringing", ALICE)
    assert [one["sid"] for one in phones.ask("GET", "", params={"To": ALICE}).json()["calls"]] == [call["sid"]]
    assert phones.ask("GET", "", params={"To": BOB}).json()["calls"] == []
    assert phones.control("GET", "/calls", twilio=True) == phones.control("GET", "/calls")


def test_a_call_that_never_rings_is_taken_and_not_known(phones: Phones) -> None:
    phones.control("PUT", "/faults", {"ring": False})
    assert phones.create().status_code == 200
    call = phones.call("initiated")
    assert phones.ask("GET", f"/{call['sid']}").status_code == 404
    assert phones.ask("GET", "").json()["calls"] == []
    assert phones.ask("POST", f"/{call['sid']}", data={"Status": "completed"}).status_code == 200
    phones.control("PUT", "/faults", {"create": {"ring": False, "times": 1}})
    phones.create(To=BOB)
    phones.create()
    phones.call("ringing")
    assert [one["status"] for one in phones.control("GET", "/calls")] == ["canceled", "initiated", "ringing"]


def test_callbacks_are_signed_over_the_time_and_the_body_and_want_a_200(phones: Phones) -> None:
    status = phones.app.answer("/status", texml_answer("", 200))
    phones.control("PUT", "/lines/" + ALICE, {"behaviour": "answer", "after": 0})
    phones.create(StatusCallback=status, StatusCallbackEvent="initiated ringing answered completed")
    phones.call("completed")
    sent = wait_for(lambda: len(found := phones.app.at("/status")) == 4 and found, "four callbacks")
    assert [one.form["CallStatus"] for one in sent] == ["initiated", "ringing", "in-progress", "completed"]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.public_key(SEED)))
    for one in sent:
        headers = {name.lower(): value for name, value in one.headers.items()}
        assert abs(int(headers["telnyx-timestamp"]) - time.time()) < 10
        signed = base64.b64decode(headers["telnyx-signature-ed25519"])
        public.verify(signed, f"{headers['telnyx-timestamp']}|{one.body}".encode())
        with pytest.raises(InvalidSignature):
            public.verify(signed, f"{headers['telnyx-timestamp']}|{one.body}&Digits=1".encode())
    phones.app.answers["/status"].clear()
    phones.app.answer("/status", texml_answer("", 204))
    phones.create(StatusCallback=status)
    wait_for(lambda: phones.control("GET", "/errors"), "an error for the 204")


def test_a_key_goes_to_the_action_and_so_does_silence(phones: Phones) -> None:
    phones.control("PUT", "/lines/" + ALICE, {"behaviour": "answer", "after": 0, "digits": "1"})
    action = phones.app.answer("/keys", texml_answer("<Response><Hangup/></Response>"))
    gather = f'<Response><Gather action="{action}" numDigits="1" timeout="1"><Say>Press 1</Say></Gather></Response>'
    phones.create(Texml=gather)
    phones.call("completed")
    phones.control("PUT", "/lines/" + ALICE, {"behaviour": "answer", "after": 0})
    phones.create(Texml=gather)
    phones.call("completed")
    assert [one.form["Digits"] for one in phones.app.at("/keys")] == ["1", ""]
    assert all("telnyx-signature-ed25519" in {name.lower() for name in one.headers} for one in phones.app.at("/keys"))


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"To": None}, 422, "10004"),
        ({"From": ""}, 422, "10004"),
        ({"To": "12025550101"}, 422, "10016"),
        ({"ApplicationSid": "another"}, 422, "10017"),
        ({"From": "+12025550111"}, 403, "10010"),
        ({"Timeout": 4}, 422, "10015"),
        ({"Timeout": "30"}, 422, "10015"),
        ({"TimeLimit": 14_401}, 422, "10015"),
        ({"StatusCallbackEvent": "started"}, 422, "10015"),
        ({"StatusCallback": "no address"}, 422, "10003"),
        ({"Texml": None}, 422, "10004"),
        ({"Twiml": HELLO}, 422, "10015"),
        ({"SendDigits": "1"}, 422, "10015"),
    ],
)
def test_what_is_wrong_with_a_call_is_refused_in_its_error_form(
    phones: Phones, more: dict[str, Any], status: int, code: str
) -> None:
    answer = phones.create(**more)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert error["title"]
    assert error["detail"]
    assert phones.control("GET", "/calls") == []


def test_a_wrong_key_another_account_and_another_form_are_refused(phones: Phones) -> None:
    assert phones.ask("GET", "", key="another").json()["errors"][0]["code"] == "10009"
    assert phones.ask("POST", "", data={"To": ALICE}).status_code == 415
    assert phones.ask("POST", "", data="{", headers={"Content-Type": "application/json"}).status_code == 400
    assert phones.ask("GET", "/v3:nothing").status_code == 404
    other = requests.get(
        f"{phones.telnyx}/v2/texml/Accounts/other/Calls", headers={"Authorization": f"Bearer {KEY}"}, timeout=10
    )
    assert other.status_code == 404


def test_texml_that_telnyx_does_not_know_ends_the_call(phones: Phones) -> None:
    phones.control("PUT", "/lines/" + ALICE, {"behaviour": "answer", "after": 0})
    phones.create(Texml='<Response><Gather actionOnEmptyResult="false"/></Response>')
    assert phones.call(*ENDED)["errors"][0]["code"] == 12200


def test_a_call_is_ended_and_given_other_words(phones: Phones) -> None:
    phones.create(Texml="<Response><Pause length='100'/></Response>")
    ringing = phones.call("ringing")
    assert phones.ask("POST", f"/{ringing['sid']}", data={"Status": "completed"}).json()["status"] == "canceled"
    again = phones.ask("POST", f"/{ringing['sid']}", data={"Status": "completed"})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "90018")
    phones.create(Texml="<Response><Pause length='100'/></Response>")
    heard = phones.call("ringing")
    phones.control("POST", f"/calls/{heard['sid']}/answer", {}, twilio=True)
    assert phones.ask("POST", f"/{heard['sid']}", data={"Texml": HELLO}).status_code == 200
    assert phones.call("completed")["said"] == ["Hello"]


def test_faults_hit_one_provider_and_not_the_other(phones: Phones) -> None:
    phones.control("PUT", "/faults", {"create": {"status": 503, "code": 10007, "times": 1}})
    refused = phones.create()
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "10007")
    assert phones.control("GET", "/faults", twilio=True) == {}
    assert phones.create().status_code == 200
    phones.control("PUT", "/faults", {"create": {"body": "<html>Bad gateway</html>"}})
    assert phones.create().text == "<html>Bad gateway</html>"
    phones.control("PUT", "/faults", {"weather": {}}, status=400)


def test_the_program_serves_both_providers() -> None:
    environment = os.environ | {
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "token",
        "TELNYX_API_KEY": KEY,
        "TELNYX_ACCOUNT_SID": ACCOUNT,
        "TELNYX_APPLICATION": APPLICATION,
        "TELNYX_SIGNING_KEY": SEED,
    }
    port = free_port()
    command = [sys.executable, "-m", "devstack.system.telephones", "--telnyx-port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603 -- our own
        assert program.stdout is not None
        url = program.stdout.readline().removeprefix("listening on ").strip()
        assert requests.get(f"{url}/_sim/calls", timeout=10).json() == []
        assert requests.get(f"http://127.0.0.1:{port}/_sim/calls", timeout=10).json() == []
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
