"""A page survives its telephone provider: whatever Twilio does in the middle of one, the same person is rung once, by Telnyx.

Its reconciler runs every ten seconds instead of every minute.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from devstack.telnyx import signature
from oncall import providers
from oncall.phone.provider import Callbacks
from oncall.roster import DOWN, PARTITION
from oncall.table import Update
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import PARTS, ROSTER, night_of
from tests.e2e.story import ENDED, SOON, Night, Story

WITHIN = 20.0  # seconds from the fault to the ring through the other provider; a busy machine may add some
SLOWLY = 15.0
_SECONDS: list[float] = []


@pytest.fixture(scope="module")
def _two_providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    directory = tmp_path_factory.mktemp("providers")
    settings = {"MONITORING": "0", "PROVIDERS": "2", "RING_SECONDS": "20", "SCHEDULE_SPEED": "6", "ROSTER": ROSTER}
    with running_devstack(directory, **settings) as system:
        system.control("PUT", "twilio", "settings", {"calls_per_second": 10})
        yield night_of(system)


@pytest.fixture
def night(_two_providers: Night, record_property: Callable[[str, object], None]) -> Iterator[Night]:
    """The system. Before and after a test nothing is broken, nothing is at work, and no provider is held for down.

    The report (--junit-xml, -o junit_family=xunit1) has the seconds from each webhook to the ringing.
    """
    _two_providers.people_speak_fast()
    _heals(_two_providers)
    _SECONDS.clear()
    yield _two_providers
    record_property("seconds_to_ring", " ".join(f"{seconds:.1f}" for seconds in _SECONDS))
    for part in PARTS:
        _two_providers.system.faults(part, {})
    _two_providers.system.control("PUT", "twilio", "settings", {"speech_rate": 1.0})
    _two_providers.rests(400)  # after a storm of 200 Slack takes a message a second


def _heals(night: Night) -> None:
    for name in providers.LABELS:
        providers.prove(night.table, name)


def _is_down(night: Night, name: str) -> bool:
    return name in providers.down(night.table)


def _rings_through(story: Story, provider: str, person: str, timeout: float = SOON) -> dict[str, Any]:
    """Waits until a person's phone rings through a provider; returns the call."""

    def ringing() -> dict[str, Any] | None:
        found = [call for call in story.calls(person) if call["provider"] == provider and call["status"] == "ringing"]
        return found[0] if found else None

    call = wait_until(ringing, timeout, f"{person}'s phone ringing through {provider}")
    _SECONDS.append(_seconds(story, call))
    return call


def _rang(story: Story) -> list[tuple[str, str]]:
    """Which phones have rung, through whom."""
    names = {number: person for person, number in story.phones.items()}
    return [
        (names[call["to"]], call["provider"])
        for call in story.calls()
        if any(one["status"] == "ringing" for one in call["statuses"])
    ]


def _seconds(story: Story, call: Mapping[str, Any]) -> float:
    """From the webhook to the ringing."""
    opened = story.incidents()[0]["opened_at"] / 1000
    return float(next(one["at"] for one in call["statuses"] if one["status"] == "ringing") - opened)


def _takes(story: Story, call: Mapping[str, Any], person: str) -> None:
    story.system.answer(call["sid"])
    story.system.press(call["sid"], "1")
    story.becomes("acknowledged", acknowledged_by=person.title())


OUTAGES = {
    "refuses with 503": {"create": {"status": 503, "code": 20503}},
    "refuses with 500": {"create": {"status": 500, "code": 20500}},
    "refuses its secrets": {"all": {"status": 401, "code": 20003}},
    "is suspended": {"create": {"status": 403, "code": 20005}},
    "does not answer": {"all": {"status": 503, "delay": 30}},
    "loses each answer": {"create": {"status": 502, "delay": 30}},
    "never rings": {"ring": False},
}


@pytest.mark.parametrize("fault", OUTAGES.values(), ids=OUTAGES.keys())
def test_the_same_person_is_rung_by_the_other_provider_once(night: Night, fault: Mapping[str, Any]) -> None:
    """Scenarios 1, 2 and 3."""
    story = night.story("ann", "ben")
    night.system.faults("twilio", fault)
    execution = story.fire()

    call = _rings_through(story, "telnyx", "ann")
    assert _seconds(story, call) < WITHIN + SLOWLY
    assert _is_down(night, "twilio")
    _takes(story, call, "ann")

    story.finished(execution)
    assert _rang(story) == [("ann", "telnyx")]
    assert all(one["status"] in ENDED for one in story.calls("ann") if one["provider"] == "telnyx")
    story.tells("through Telnyx instead")
    story.told("Twilio is down")


def test_lost_callbacks_of_a_phone_that_rings_ring_nobody_a_second_time(night: Night) -> None:
    """Scenario 4: the provider's API says that the phone rings."""
    story = night.story("ann", "ben", ring_seconds=40)
    night.system.faults("twilio", {"callbacks": {"drop": 100}})
    execution = story.fire()
    call = _rings_through(story, "twilio", "ann")

    time.sleep(WITHIN)  # longer than a call may be without ringing

    assert story.call(call["sid"])["status"] == "ringing"
    assert _rang(story) == [("ann", "twilio")]
    assert not _is_down(night, "twilio")
    _takes(story, call, "ann")
    story.finished(execution)
    assert _rang(story) == [("ann", "twilio")]


def test_a_provider_that_is_down_is_asked_last_until_its_api_answers_again(night: Night) -> None:
    """Scenario 5."""
    first = night.story("ann")
    night.system.faults("twilio", {"all": {"status": 503, "code": 20503}})
    first.fire()
    _takes(first, _rings_through(first, "telnyx", "ann"), "ann")
    second = night.story("ben")
    second.fire()
    call = _rings_through(second, "telnyx", "ben")
    assert [one["provider"] for one in second.calls()] == ["telnyx"]  # Twilio was not even asked
    _takes(second, call, "ben")

    night.system.faults("twilio", {})
    night.table.update(Update(PARTITION, f"{DOWN}#twilio", set={"due_at": 1}))
    night.reconciles()
    wait_until(lambda: not _is_down(night, "twilio"), SOON, "Twilio being proven")

    third = night.story("cat")
    third.fire()
    _takes(third, _rings_through(third, "twilio", "cat"), "cat")


def test_a_provider_that_let_nobody_hear_ringing_is_proven_by_a_phone_that_rings(night: Night) -> None:
    """Scenario 5, when its API has answered all the time: the other's failure gives it a chance, and it rings."""
    providers.trip(night.table, "twilio", failure="ring", reason="no ringing", now=int(time.time() * 1000))
    story = night.story("ann")
    night.system.faults("telnyx", {"create": {"status": 503, "code": 10007}})
    story.fire()
    _takes(story, _rings_through(story, "twilio", "ann"), "ann")
    wait_until(lambda: not _is_down(night, "twilio"), SOON, "Twilio being proven")
    assert _is_down(night, "telnyx")


def test_with_both_down_people_are_told_and_both_are_tried_on(night: Night) -> None:
    """Scenario 6."""
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"all": {"status": 503, "code": 20503}})
    night.system.faults("telnyx", {"all": {"status": 503, "code": 10007}})
    execution = story.fire()
    story.told("take no calls", timeout=120)
    story.tells("Twilio and Telnyx take no calls", timeout=120)
    assert story.called() == []

    night.system.faults("telnyx", {})
    _takes(story, _rings_through(story, "telnyx", "ann", 120), "ann")
    story.finished(execution)
    assert _rang(story) == [("ann", "telnyx")]


def test_with_both_down_whichever_comes_back_rings(night: Night) -> None:
    """Scenario 6, the other way round."""
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"create": {"status": 500, "code": 20500}})
    night.system.faults("telnyx", {"all": {"status": 401, "code": 10009}})
    story.fire()
    wait_until(lambda: _is_down(night, "telnyx"), SOON, "both being down")
    night.system.faults("twilio", {})
    _takes(story, _rings_through(story, "twilio", "ann", 120), "ann")


def _both_ring(night: Night) -> tuple[Story, dict[str, Any], dict[str, Any]]:
    """Twilio's call rings, but its callbacks are lost and its API does not tell, so Telnyx's rings as well."""
    story = night.story("ann", "ben", ring_seconds=60)
    lost = {"callbacks": {"drop": 100}}
    night.system.faults("twilio", lost)
    story.fire()
    slow = _rings_through(story, "twilio", "ann")
    wait_until(lambda: story.page()["calls"]["c1"].get("sid"), SOON, "the page knowing of the call")
    night.system.faults("twilio", {"all": {"status": 503, "code": 20503}, **lost})
    quick = _rings_through(story, "telnyx", "ann")
    return story, slow, quick


def test_a_late_key_on_the_first_call_counts_and_the_second_stops(night: Night) -> None:
    """Scenario 7."""
    story, slow, quick = _both_ring(night)
    night.system.answer(slow["sid"])
    night.system.press(slow["sid"], "1")
    story.becomes("acknowledged", acknowledged_by="Ann")
    assert story.ended(quick["sid"])["said"] == []
    assert {one["provider"] for one in story.calls()} == {"twilio", "telnyx"}


@pytest.mark.parametrize("answered", ["the first", "the second"])
def test_of_two_calls_that_ring_the_one_that_is_answered_counts_and_the_other_stops(
    night: Night, answered: str
) -> None:
    """Scenario 8."""
    story, slow, quick = _both_ring(night)
    night.system.faults("twilio", {})
    picked, other = (slow, quick) if answered == "the first" else (quick, slow)
    night.system.answer(picked["sid"])
    story.hears(picked["sid"], "On-call alert")
    assert story.ended(other["sid"])["said"] == []
    night.system.press(picked["sid"], "1")
    story.becomes("acknowledged", acknowledged_by="Ann")
    assert story.called() == ["ann", "ann"]


def test_a_number_that_one_refuses_is_rung_by_the_other(night: Night) -> None:
    """Scenario 9."""
    story = night.story("ann", "ben")
    night.system.faults("twilio", {"create": {"status": 400, "code": 21215}})
    execution = story.fire()
    _takes(story, _rings_through(story, "telnyx", "ann"), "ann")
    story.finished(execution)
    assert _rang(story) == [("ann", "telnyx")]
    assert not _is_down(night, "twilio")  # it is about the number


def test_a_number_that_both_refuse_is_passed_over(night: Night) -> None:
    story = night.story("ann", "ben")
    story.phone("ann", "forbidden")
    execution = story.fire()
    _takes(story, _rings_through(story, "twilio", "ben"), "ben")
    story.finished(execution)
    assert _rang(story) == [("ben", "twilio")]


def test_wrong_credentials_of_the_second_are_told_at_their_first_use_and_the_first_goes_on_alone(night: Night) -> None:
    """Scenario 10."""
    night.system.faults("telnyx", {"all": {"status": 401, "code": 10009}})
    story = night.story("ann", "ben")
    story.fire()
    _takes(story, _rings_through(story, "twilio", "ann"), "ann")  # it is not asked while the first is well
    again = night.story("cat")
    night.system.faults("twilio", {"create": {"status": 503, "code": 20503, "times": 1}})
    again.fire()
    again.told("Telnyx is down")
    assert any("API key" in one["message"] for one in again.published())
    _takes(again, _rings_through(again, "twilio", "cat", 120), "cat")


def test_a_storm_while_the_first_is_down_rings_one_phone_once(night: Night) -> None:
    """Scenario 11."""
    story = night.story("ann", "ben", ring_seconds=120)
    night.system.faults("twilio", {"all": {"status": 503, "code": 20503}})
    for number in range(200):
        story.fire(f"group {number}")
    call = _rings_through(story, "telnyx", "ann", 120)
    # What comes after the key is a page of its own.
    wait_until(lambda: len(story.page()["incidents"]) == 200, 100, "200 incidents on the page")
    night.system.answer(call["sid"])
    night.system.press(call["sid"], "1")
    wait_until(
        lambda: [one["state"] for one in story.incidents()] == ["acknowledged"] * 200,
        240,
        "200 acknowledged incidents",
    )
    assert _rang(story) == [("ann", "telnyx")]


# ---------------------------------------------------------------- bad input


def _post(story: Story, call: Mapping[str, Any], kind: str, form: Mapping[str, str], **how: Any) -> requests.Response:
    """A callback as Telnyx sends it; `how`: another key, time, body or signature, another moment at which the call was placed,
    another address.
    """
    system = story.system
    callbacks = Callbacks(
        system.endpoints["gateway"],
        story.name,
        story.page()["page"],
        1,
        placed_at=how.pop("placed_at", int(time.time())),
        secret=system.endpoints["twilio_auth_token"],
    )
    url = callbacks.key if kind == "key" else callbacks.status
    body = urlencode({"CallSid": call["sid"], "AccountSid": "a", "From": call["from"], "To": call["to"], **form})
    timestamp = how.pop("timestamp", str(int(time.time())))
    signed = signature.sign(how.pop("key", system.endpoints["telnyx_signing_key"]), timestamp, body)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "telnyx-timestamp": timestamp,
        "telnyx-signature-ed25519": how.pop("signature", signed),
    }
    return requests.post(
        how.pop("address", lambda url: url)(url), data=how.pop("body", body), headers=headers, timeout=30
    )


def _rung_by_telnyx(night: Night) -> tuple[Story, dict[str, Any]]:
    providers.trip(night.table, "twilio", failure="ring", reason="no ringing", now=int(time.time() * 1000))
    story = night.story("ann", "ben", ring_seconds=60)
    story.fire()
    return story, _rings_through(story, "telnyx", "ann")


FORGERIES: dict[str, dict[str, Any]] = {
    "no signature": {"signature": ""},
    "not Base64": {"signature": "no Base64"},
    "a signature of nobody": {"signature": "A" * 88},
    "another's key": {"key": "A" * 43 + "="},
    "from long ago": {"timestamp": "1"},
    "six minutes old": {"timestamp": str(int(time.time()) - 360)},
    "no time": {"timestamp": "in a moment"},
    "from the future": {"timestamp": "99999999999"},
    "another body": {"body": "Digits=1&CallSid=forged"},
    "another call": {"address": lambda url: url.replace("call=1", "call=2")},
    "no call's number": {"address": lambda url: url.replace("call=1", "call=one")},
    "one parameter more": {"address": lambda url: f"{url}&more=1"},
    "no seal": {"address": lambda url: re.sub("&seal=[^&]*", "", url)},
    "no query": {"address": lambda url: url.partition("?")[0]},
    "a call of yesterday": {"placed_at": int(time.time()) - 86_400},
}


def test_forged_and_stale_callbacks_are_refused_counted_and_change_nothing(night: Night) -> None:
    story, call = _rung_by_telnyx(night)
    before, counted = story.page(), night.refusals("PhoneReply")
    for name, how in FORGERIES.items():
        answer = _post(story, call, "key", {"Digits": "1"}, **how)
        assert answer.status_code == 403, (name, answer.text)
    assert story.page()["state"] == before["state"] == "open"
    assert story.call(call["sid"])["status"] == "ringing"
    wait_until(lambda: night.refusals("PhoneReply") == counted + len(FORGERIES), what="each refusal in the metric")
    _takes(story, call, "ann")


def test_a_signed_body_that_is_not_telnyxs_form_changes_nothing(night: Night) -> None:
    story, call = _rung_by_telnyx(night)
    wait_until(lambda: story.page()["calls"]["c1"].get("ringing_at"), SOON, "the word that it rings")
    before = story.page()
    for body in ("", "{}", '{"data": {"event_type": "call.initiated"}}', "CallStatus", "\u2028=%ff"):
        timestamp = str(int(time.time()))
        signed = signature.sign(night.system.endpoints["telnyx_signing_key"], timestamp, body)
        answer = _post(story, call, "status", {}, body=body.encode(), signature=signed, timestamp=timestamp)
        assert answer.status_code == 200, (body, answer.text)
    assert story.page()["calls"] == before["calls"]
    _takes(story, call, "ann")


def test_callbacks_that_are_repeated_late_and_out_of_order_change_nothing(night: Night) -> None:
    story, call = _rung_by_telnyx(night)
    for status in ("in-progress", "ringing", "initiated", "ringing", "ringing", "unheard of", ""):
        assert _post(story, call, "status", {"CallStatus": status}).status_code == 200
    assert story.call(call["sid"])["status"] == "ringing"
    _takes(story, call, "ann")
    story.settled()
    before = story.page()
    for status in ("completed", "in-progress", "ringing", "initiated", "failed"):
        assert _post(story, call, "status", {"CallStatus": status}).status_code == 200
    after = story.page()
    assert {name: after[name] for name in ("state", "acknowledged_by", "attempt")} == {
        name: before[name] for name in ("state", "acknowledged_by", "attempt")
    }
    assert story.called() == ["ann"]


@pytest.mark.parametrize(
    "fault",
    [
        {"create": {"body": "<html>Bad gateway</html>"}},
        {"create": {"body": '{"errors": []}', "status": 403}},
        {"create": {"status": 422, "code": 99999}},
        {"create": {"status": 429, "code": 10011}},
    ],
    ids=str,
)
def test_whatever_the_second_answers_the_first_rings_when_it_can(night: Night, fault: Mapping[str, Any]) -> None:
    story = night.story("ann")
    night.system.faults("telnyx", fault)
    night.system.faults("twilio", {"create": {"status": 503, "code": 20503, "times": 1}})
    story.fire()
    _takes(story, _rings_through(story, "twilio", "ann", 120), "ann")


def test_while_telnyx_changes_its_key_both_count(night: Night) -> None:
    """A callback whose signature does not fit has SSM asked again, so a key that is stored counts at once."""
    story, call = _rung_by_telnyx(night)
    new, old = "B" * 43 + "=", night.system.endpoints["telnyx_signing_key"]
    assert _post(story, call, "status", {"CallStatus": "ringing"}, key=new).status_code == 403
    stored = f"{signature.public_key(new)} {signature.public_key(old)}"
    night.system.ssm.put_parameter(Name="/oncall/telnyx-public-key", Value=stored, Overwrite=True)
    try:
        wait_until(
            lambda: _post(story, call, "status", {"CallStatus": "ringing"}, key=new).status_code == 200,
            SOON,
            "the new key",
        )
        assert _post(story, call, "status", {"CallStatus": "ringing"}, key=old).status_code == 200
    finally:
        night.system.ssm.put_parameter(
            Name="/oncall/telnyx-public-key", Value=signature.public_key(old), Overwrite=True
        )
    _takes(story, call, "ann")
