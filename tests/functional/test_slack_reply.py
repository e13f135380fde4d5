"""SlackReply: buttons, the command and the home, as Slack signs them."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from oncall.settings import read_settings
from oncall.slack import people
from oncall.slack.people import Person
from tests.builders import CHANNEL, GATEWAY
from tests.functional.handlers import Stack, asked, button, changed, ring, slack_event, store, twilio_event

# An invocation that has nothing to count is no fault; Powertools warns of it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


def test_the_signed_button_takes_the_incident(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    answer = stack.call("slack_reply", slack_event(button(decision["incidents"][0])))
    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert stack.world.page().acknowledged_by == "Sato"
    assert [token for token, _ in stack.stepfunctions.released] == ["task-token"]


def test_the_button_that_comes_too_late_has_slack_shown_what_is_true(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ring(stack, monkeypatch)
    stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    stack.functions.invoked.clear()
    assert stack.call("slack_reply", slack_event(button(decision["incidents"][0])))["statusCode"] == 200
    asked = [json.loads(asked["Payload"]) for asked in stack.functions.invoked]
    assert asked
    assert all(each == {"incidents": decision["incidents"]} for each in asked)


OURS = {"team": {"id": "T0OURS"}, "user": {"id": "U0SATO", "team_id": "T0OURS"}, "api_app_id": "A0OURS"}


@pytest.mark.parametrize(
    "foreign",
    [
        {"api_app_id": "A0EVIL"},
        {"team": {"id": "T0EVIL"}},
        {"user": {"id": "U0SATO", "team_id": "T0EVIL"}},
    ],
)
def test_a_signed_press_of_another_organisation_or_app_changes_nothing_and_is_told_so(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, foreign: dict[str, Any]
) -> None:
    monkeypatch.setenv("SLACK_WORKSPACE", "T0OURS A0OURS")
    read_settings.cache_clear()
    decision = ring(stack, monkeypatch)
    before = stack.contents
    stack.functions.invoked.clear()
    url = {"response_url": "https://hooks.slack.com/actions/T0/1/x"}
    pressed = {**button(decision["incidents"][0], "resolve"), **OURS, **foreign, **url}
    assert stack.call("slack_reply", slack_event(pressed))["statusCode"] == 200
    assert stack.contents == before
    assert [name for wish in asked(stack) for name in wish] == ["tell"]
    stack.call("slack_reply", slack_event({**button(decision["incidents"][0]), **OURS}))
    assert stack.world.page().acknowledged_by == "Sato"


def test_headers_in_lower_case_are_as_good(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    event = slack_event(button(decision["incidents"][0]))
    event["headers"] = {name.lower(): value for name, value in event["headers"].items()}
    assert stack.call("slack_reply", event)["statusCode"] == 200


@pytest.mark.parametrize(
    "payload",
    [
        button("x", action="open"),
        {"type": "view_submission"},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": []},
        {},
    ],
)
def test_an_action_that_means_nothing_is_taken_and_changes_nothing(stack: Stack, payload: dict[str, Any]) -> None:
    before = stack.contents
    assert stack.call("slack_reply", slack_event(payload))["statusCode"] == 200
    assert stack.contents == before


def old(seconds: int) -> str:
    return str(int(time.time()) - seconds)


SLACK_FORGERIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no headers": lambda p: changed(slack_event(p), headers={}),
    "no headers at all": lambda p: changed(slack_event(p), headers=None),
    "made-up signature": lambda p: slack_event(p, signature="v0=" + "0" * 64),
    "empty signature": lambda p: slack_event(p, signature=""),
    "not ASCII": lambda p: slack_event(p, signature="v0=" + "鍵" * 64),
    "another secret": lambda p: slack_event(p, secret="another"),
    "another body": lambda p: changed(slack_event(p), body=urlencode({"payload": "{}"})),
    "stale": lambda p: slack_event(p, timestamp=old(301)),
    "from the future": lambda p: slack_event(p, timestamp=old(-302)),
    "a timestamp that is no number": lambda p: slack_event(p, timestamp="yesterday", signature="v0=00"),
    "a timestamp in other digits": lambda p: slack_event(p, timestamp="١٧٦٤٠٠٠٠٠٠", signature="v0=00"),
    "a superscript": lambda p: slack_event(p, timestamp="²", signature="v0=00"),
    "a negative timestamp": lambda p: slack_event(p, timestamp="-5", signature="v0=00"),
    "no timestamp": lambda p: slack_event(p, timestamp="", signature="v0=00"),
    "an endless timestamp": lambda p: slack_event(p, timestamp="1" * 5000, signature="v0=00"),
    "no body": lambda p: changed(slack_event(p), body=None),
}


@pytest.mark.parametrize("forgery", SLACK_FORGERIES)
def test_what_slack_has_not_signed_is_refused_and_writes_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    decision = ring(stack, monkeypatch)
    before = stack.contents
    stack.functions.invoked.clear()
    for path in ("actions", "commands", "events"):
        event = SLACK_FORGERIES[forgery](button(decision["incidents"][0]))
        assert stack.call("slack_reply", {**event, "path": f"/slack/{path}"})["statusCode"] == 403
    assert stack.contents == before
    assert not stack.functions.invoked
    assert not stack.stepfunctions.started


def test_a_secret_that_was_just_changed_counts_at_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    stack.call("slack_reply", slack_event(button("x")))
    store("SLACK_SIGNING_SECRET_PARAMETER", "changed")
    later = time.monotonic() + 11
    monkeypatch.setattr("oncall.aws.time.monotonic", lambda: later)
    assert (
        stack.call("slack_reply", slack_event(button(decision["incidents"][0]), secret="changed"))["statusCode"] == 200
    )
    assert stack.world.page().state == "acknowledged"


def test_whoever_presses_a_button_that_is_out_of_date_is_told_beside_us(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ring(stack, monkeypatch)
    stack.call("phone_reply", twilio_event(stack.world.last_call, "key", {"Digits": "1"}))
    stack.functions.invoked.clear()
    url = "https://hooks.slack.com/actions/T0/1/x"
    people.keep(
        stack.world.table, "U0GUEST", Person("member", frozenset({CHANNEL})), is_sure=True, now=stack.world.clock.now()
    )
    late = {**button(decision["incidents"][0]), "user": {"id": "U0GUEST", "name": "guest"}, "response_url": url}
    assert stack.call("slack_reply", slack_event(late)) == {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain"},
        "body": "",
    }
    *refreshed, told = asked(stack)
    assert {"incidents": decision["incidents"]} in refreshed
    assert told["tell"]["response_url"] == url
    assert told["tell"]["text"].startswith("Sato has it already")


def test_a_press_of_a_message_that_is_older_than_the_last_skip_skips_nobody(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ring(stack, monkeypatch)
    seen = stack.world.clock.now()
    monkeypatch.setattr("oncall.clock.now", stack.world.clock.now)
    pressed = button(decision["incidents"][0], "ring_next")
    pressed["actions"][0]["block_id"] = f"{decision['incidents'][0]}/{seen}"
    stack.world.clock.time += 5000
    stack.call("slack_reply", slack_event(pressed))
    page = stack.world.page()
    assert [call.skip and call.skip.who for call in page.calls] == ["Sato"]
    assert [answer["reason"] for _, answer in stack.stepfunctions.released] == ["Sato asked for the next person"]
    stack.call("slack_reply", slack_event({**pressed, "response_url": "https://hooks.slack.com/actions/T0/1/x"}))
    assert stack.world.page() == page
    assert "just asked" in asked(stack)[-1]["tell"]["text"]


def test_a_press_in_the_home_shows_the_home_anew(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = ring(stack, monkeypatch)
    stack.functions.invoked.clear()
    pressed = {**button(decision["incidents"][0]), "view": {"type": "home"}, "container": {"type": "view"}}
    stack.call("slack_reply", slack_event(pressed))
    assert asked(stack)[-1] == {"home": {"user": "U0SATO", "notice": ""}}
    pressed["actions"] = [{"action_id": "take_schedule/2", "value": "gone", "type": "button"}]
    stack.call("slack_reply", slack_event(pressed))
    assert "no schedule `gone`" in asked(stack)[-1]["home"]["notice"]


# The command and the home.


def command(text: str, trigger: str = "13345224609.738474920.8088930838d88f008e0", **more: str) -> dict[str, Any]:
    form = {
        "command": "/oncall",
        "text": text,
        "user_id": "U0SATO",
        "user_name": "sato.yui",
        "team_domain": "example",
        "trigger_id": trigger,
        "response_url": "https://hooks.slack.com/commands/T0/1/x",
        **more,
    }
    return slack_event(None, body=urlencode(form), path="commands")


def test_the_command_is_answered_to_the_one_who_typed_it(stack: Stack) -> None:
    answer = stack.call("slack_reply", command("who"))
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"].startswith("application/json")
    said = json.loads(answer["body"])
    assert said["response_type"] == "ephemeral"
    assert "Rings Sato" in said["text"]


def test_the_command_that_pages_starts_one_execution_however_often_it_comes(stack: Stack) -> None:
    for _ in range(2):
        said = json.loads(stack.call("slack_reply", command("page shop is down"))["body"])["text"]
        assert said.startswith(":telephone_receiver: Sato")
    names = {started["name"] for started in stack.stepfunctions.started}
    assert len(names) == 1, "and Step Functions takes a name once"
    assert re.fullmatch("[0-9A-Za-z_-]{1,80}", names.pop())
    given = json.loads(stack.stepfunctions.started[0]["input"])
    assert (given["source"], given["text"], given["gateway"]) == ("command", "is down", GATEWAY)


def test_what_is_no_command_is_refused_and_a_look_at_the_certificate_is_not(stack: Stack) -> None:
    assert stack.call("slack_reply", command("page shop down", trigger=""))["statusCode"] == 400
    check = slack_event(None, body=urlencode({"ssl_check": "1", "token": "x"}), path="commands")
    assert stack.call("slack_reply", check)["statusCode"] == 200
    assert not stack.stepfunctions.started


def slack_happening(body: Any) -> dict[str, Any]:
    written = body if isinstance(body, str) else json.dumps(body)
    return slack_event(None, body=written, path="events")


def test_slack_gets_its_challenge_back(stack: Stack) -> None:
    answer = stack.call("slack_reply", slack_happening({"type": "url_verification", "challenge": "3eZbrw1a"}))
    assert (answer["statusCode"], answer["body"]) == (200, "3eZbrw1a")


def test_an_opened_home_is_shown_beside_us_each_time_that_slack_tells_of_it(stack: Stack) -> None:
    opened = {"type": "app_home_opened", "user": "U0SATO", "tab": "home"}
    event = slack_happening({"type": "event_callback", "event_id": "Ev1", "event": opened})
    for retry in ({}, {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"}):
        event["headers"] |= retry
        assert stack.call("slack_reply", event)["statusCode"] == 200
    assert asked(stack) == [{"home": {"user": "U0SATO"}}] * 2


def test_when_the_home_cannot_be_asked_for_slack_is_to_tell_again(stack: Stack) -> None:
    def invoke(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": ""}}, "Invoke")

    stack.functions.invoke = invoke  # type: ignore[method-assign]  # Lambda has no room
    opened = {"type": "app_home_opened", "user": "U0SATO", "tab": "home"}
    with pytest.raises(ClientError):
        stack.call("slack_reply", slack_happening({"type": "event_callback", "event": opened}))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "event_callback", "event": {"type": "app_home_opened", "user": "U1", "tab": "messages"}}, 200),
        ({"type": "event_callback", "event": {"type": "message"}}, 200),
        ({"type": "event_callback"}, 200),
        ({}, 200),
        ("[]", 400),
        ("no json", 400),
    ],
)
def test_other_events_do_nothing(stack: Stack, body: Any, status: int) -> None:
    assert stack.call("slack_reply", slack_happening(body))["statusCode"] == status
    assert asked(stack) == []


def test_the_way_of_a_button_and_of_the_command_loads_no_slack_library() -> None:
    """A cold start has three seconds for everything."""
    code = "import sys, slack_reply; print([name for name in sys.modules if name.startswith(('slack_sdk', 'twilio'))])"
    functions = Path(__file__).parents[2] / "functions"
    ran = subprocess.run(  # noqa: S603  this very Python
        [sys.executable, "-c", code],
        cwd=functions,
        env={**os.environ, "POWERTOOLS_TRACE_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
