"""A number of the simulated account that answers by itself: it asks its voice URL, as a real number does."""

from collections.abc import Iterator

import pytest
from twilio.rest import Client
from werkzeug.wrappers import Response

from devstack.twilio import api
from tests.devstack.application import Application, serving, twiml
from tests.devstack.test_twilio import ACCOUNT, CALLER, TOKEN, Phones

ROBOT = "+12025550110"
ASK = "<Response><Gather numDigits='1' action='{}'><Say>Press a key</Say></Gather><Say>Nothing</Say></Response>"


@pytest.fixture
def app() -> Iterator[Application]:
    application = Application()
    with serving(application) as url:
        application.base = url
        yield application


@pytest.fixture
def phones(app: Application) -> Iterator[Phones]:
    """An account with a number whose voice URL is the application's `/voice`."""
    numbers = [CALLER, f"{ROBOT}={app.base}/voice"]
    with serving(api.create_app(account_sid=ACCOUNT, auth_token=TOKEN, numbers=numbers)) as url:
        client = Client(ACCOUNT, TOKEN)
        client.api.base_url = url
        network = Phones(url, client, app)
        network.control("PUT", "/settings", {"speech_rate": 20, "calls_per_second": 1000, "network_delay": 0})
        yield network


def call(phones: Phones) -> str:
    app = phones.app
    app.answer("/key", twiml("<Response><Say>Thank you</Say></Response>"))
    return phones.create(to=ROBOT, twiml=ASK.format(f"{app.base}/key"))


def test_it_plays_its_keys_to_the_other_end(phones: Phones) -> None:
    phones.app.answer("/voice", twiml("<Response><Play digits='wwww1'/><Play digits='ww2'/><Hangup/></Response>"))
    ended = phones.ended(call(phones))
    assert (ended["status"], ended["answered_by"]) == ("completed", "human")
    (asked,) = phones.app.at("/voice")
    assert asked.form["Direction"] == "inbound"
    assert (asked.form["From"], asked.form["To"]) == (CALLER, ROBOT)
    assert "X-Twilio-Signature" in asked.headers
    (key,) = phones.app.at("/key")
    assert key.form["Digits"] == "1"


def test_a_call_that_ends_first_is_no_fault(phones: Phones) -> None:
    phones.app.answer("/voice", twiml(f"<Response><Play digits='{'w' * 600}1'/></Response>"))
    sid = call(phones)
    phones.until(sid, "in-progress")
    phones.client.calls(sid).update(status="completed")
    assert phones.ended(sid)["digits"] == ""
    assert phones.errors() == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(status=500), 11200),
        (Response("hello", content_type="text/plain"), 12300),
        (twiml("<Response><Play digits='x'/></Response>"), 12200),
        (twiml("<Response><Gather/></Response>"), 12200),
    ],
)
def test_a_voice_url_that_fails_presses_nothing_and_is_recorded(phones: Phones, answer: Response, code: int) -> None:
    phones.app.answer("/voice", answer)
    ended = phones.ended(call(phones))
    assert (ended["status"], ended["digits"]) == ("completed", "")
    assert code in phones.errors()


def test_a_line_that_is_set_counts_instead(phones: Phones) -> None:
    phones.line(ROBOT, "busy")
    assert phones.ended(call(phones))["status"] == "busy"
    assert phones.app.at("/voice") == []


def test_its_voice_url_can_be_read_and_changed(phones: Phones) -> None:
    (number,) = phones.client.incoming_phone_numbers.list(phone_number=ROBOT)
    assert (number.voice_url, number.voice_method) == (f"{phones.app.base}/voice", "POST")
    assert number.update(voice_url=f"{phones.app.base}/other").voice_url == f"{phones.app.base}/other"
    phones.app.answer("/other", twiml("<Response><Play digits='1'/><Pause length='5'/></Response>"))
    assert phones.ended(call(phones))["digits"] == "1"
    assert phones.app.at("/voice") == []
    number.update(voice_url="")
    assert phones.client.incoming_phone_numbers.list(phone_number=ROBOT)[0].voice_url == ""
