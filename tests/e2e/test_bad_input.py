"""What nobody should send, to every door of the whole system: a clear answer, nothing changed, nothing in the logs but words.

What can never work is refused with its reason. What is only odd or too large rings all the same, cut to fit, and says so.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from twilio.request_validator import RequestValidator

from oncall.phone.provider import callback_url, sealed
from tests.builders import alert
from tests.devstack_fixture import wait_until
from tests.e2e.story import Night, Story, readable

CALLBACKS = ("calls/key", "calls/status")
FUNCTIONS = ("Authorize", "ReceiveAlerts", "PhoneCall", "PhoneReply", "SlackNotification", "SlackReply", "Reconcile")


@pytest.fixture(autouse=True)
def _nothing_breaks(night: Night) -> Iterator[None]:
    """No simulator has refused anything after a test, and no function has logged an error.

    A minute has more of these tests than Slack allows changes of messages; its limits are test_storm's subject.
    """
    began = time.time()
    night.system.control("PUT", "slack", "settings", {"updates_per_minute": 60_000})
    logged = {name: len(_log(night, name)) for name in FUNCTIONS}
    yield
    for part in ("twilio", "slack"):
        refused = [one for one in night.system.control("GET", part, "errors") if one.get("at", began) >= began]
        assert refused == [], f"{part} refused something"
    for name, known in logged.items():
        fresh = _log(night, name)[known:]
        assert not re.search(r"Traceback|\[ERROR\]|\"level\": ?\"(ERROR|CRITICAL)\"|errorType", fresh), fresh[-4000:]


def _log(night: Night, name: str) -> str:
    return night.system.log(f"{name}Function")


# ---------------------------------------------------------------- never: 4xx with a reason

SHAPES: Mapping[str, Any] = {
    "not json": b"the site is down",
    "half a json": b'{"groupKey": "x", "status": "firing", "alerts": [',
    "an empty body": b"",
    "bytes that are no text": b"\xff\xfe\x00\x01",
    "a text": '"firing"',
    "a number": "1",
    "null": "null",
    "a list": [],
    "an empty object": {},
    "no alerts at all": {"groupKey": "x", "status": "firing"},
    "an empty list of alerts": {"groupKey": "x", "status": "firing", "alerts": []},
    "alerts that are no list": {"groupKey": "x", "status": "firing", "alerts": {"status": "firing"}},
    "alerts that are no objects": {"groupKey": "x", "status": "firing", "alerts": ["down"]},
    "alerts without labels": {"groupKey": "x", "status": "firing", "alerts": [{"status": "firing"}]},
    "labels that are no object": {"groupKey": "x", "status": "firing", "alerts": [{"status": "firing", "labels": []}]},
    "no groupKey": {"status": "firing", "alerts": [{"status": "firing", "labels": {}}]},
    "an empty groupKey": {"groupKey": "", "status": "firing", "alerts": [{"status": "firing", "labels": {}}]},
    "a groupKey that is no text": {"groupKey": 1, "status": "firing", "alerts": [{"status": "firing", "labels": {}}]},
    "an unknown status": {"groupKey": "x", "status": "broken", "alerts": [{"status": "firing", "labels": {}}]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_no_webhook_is_refused_with_what_is_wrong(night: Night, shape: str) -> None:
    answer = night.system.post_alerts(SHAPES[shape])

    assert answer.status_code == 400, answer.text
    assert "webhook" in answer.json()["message"]
    _has_started_nothing(night, answer)


def test_over_10_mb_is_refused_and_says_what_to_set(night: Night) -> None:
    story = night.story()
    webhook = story.webhook(padding="x" * (10 * 1024 * 1024))

    answer = night.system.post_alerts(webhook)

    assert answer.status_code == 413, answer.text
    assert "max_alerts" in answer.json()["message"]
    _has_started_nothing(night, answer)
    assert story.incidents() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_wrong_content_type_is_refused_and_says_the_right_one(night: Night, kind: str) -> None:
    story = night.story()

    answer = _post(night, "alerts", json.dumps(story.webhook()), {"Content-Type": kind, **_bearer(night)})

    assert answer.status_code == 415, answer.text
    assert "application/json" in answer.json()["message"]
    _has_started_nothing(night, answer)
    assert story.incidents() == []


@pytest.mark.parametrize("path", ["alerts", "heartbeat"])
@pytest.mark.parametrize("header", [None, ""], ids=["no header", "an empty one"])
def test_without_a_token_nobody_gets_in(night: Night, path: str, header: str | None) -> None:
    story = night.story()
    headers = {} if header is None else {"Authorization": header.encode().decode("latin-1")}

    answer = _post(night, path, json.dumps(story.webhook()), {"Content-Type": "application/json", **headers})

    assert answer.status_code == 401, answer.text
    assert "Authorization: Bearer" in answer.json()["message"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    _has_started_nothing(night, answer)
    assert story.incidents() == []


WRONG_TOKENS = {
    "longer": "Bearer {token}x",
    "shorter": "Bearer {shorter}",
    "other case": "Bearer {swapped}",
}
NO_TOKENS = {
    "basic": "Basic {basic}",
    "no scheme": "{token}",
    "empty": "Bearer",
    "in two": "Bearer {first} {rest}",
    "no ascii": "Bearer ä☃",
}


@pytest.mark.parametrize("path", ["alerts", "heartbeat"])
@pytest.mark.parametrize("wrong", [*WRONG_TOKENS, *NO_TOKENS])
def test_a_wrong_token_is_refused(night: Night, path: str, wrong: str) -> None:
    story = night.story()
    token = night.system.endpoints["bearer_token"]
    header = (WRONG_TOKENS | NO_TOKENS)[wrong].format(
        token=token,
        shorter=token[:-1],
        swapped=token.swapcase(),
        basic=base64.b64encode(f"alertmanager:{token}".encode()).decode(),
        first=token[:20],
        rest=token[20:],
    )

    answer = _post(
        night,
        path,
        json.dumps(story.webhook()),
        {"Content-Type": "application/json", "Authorization": header.encode().decode("latin-1")},
    )

    # What cannot be a token is refused by the gateway alone; anything else by the function that knows the token.
    assert answer.status_code == (403 if wrong in WRONG_TOKENS else 401), answer.text
    assert "bearer token" in answer.json()["message"]
    _has_started_nothing(night, answer)
    assert story.incidents() == []


def test_a_refused_token_is_counted_once(night: Night) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer guess-{time.time_ns():042}"}
    counted = night.refusals("Authorize")

    answers = [_post(night, "alerts", json.dumps(night.story().webhook()), headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [403, 403]
    wait_until(lambda: night.refusals("Authorize") > counted, what="a refusal in the metric")
    assert night.refusals("Authorize") == counted + 1  # the gateway remembers its authorizer's answer


def test_an_address_that_does_not_exist_says_so(night: Night) -> None:
    answer = _post(night, "alert", "{}", {"Content-Type": "application/json", **_bearer(night)})

    assert answer.status_code == 404
    assert "/alerts" in answer.json()["message"]


# ---------------------------------------------------------------- odd: it rings all the same

TEXTS = {
    "japanese": "決済サービスが応答しません。至急！",
    "emoji and other planes": "🔥 𝕊𝕙𝕠𝕡 👩‍👩‍👧 down",
    "quotes": "it's \"down\" and `that` is 'that' \\ \\\\ \\' \\\" /",
    "velocity": "$input.json('$') ${payload} $!x #set($a = 1) #foreach #end ##",
    "intrinsics": "States.Format('{}', $.x) $$.Execution.Id {} {0} {who} %s %(x)s",
    "newlines": "first\nsecond\r\nthird\ttab \u2028 \u2029 end",
    "control characters": "bell \x07 null \x00 escape \x1b[31m delete \x7f",
    "xml": "</Say></Gather><Hangup/> & &amp; <!-- ]]>",
    "slack markup": "<!channel> <@U0NORA> <https://evil.example.com|here> *bold* :fire:",
    "half characters": "\ud83d lone \udd25",
    "right to left": "\u202edown si pohs\u202c",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_any_text_in_labels_and_annotations_rings_and_is_told(night: Night, kind: str) -> None:
    story = night.story("alice")
    night.people_speak_fast()
    text = TEXTS[kind]
    odd = alert(
        f"odd {text}", labels={"product": story.name, "instance": text, text: text}, annotations={"summary": text}
    )

    story.fire(alerts=[odd])

    call = story.listens("alice")
    assert f"On-call alert for {story.name.replace('-', ' ')}" in " ".join(call["said"])
    story.system.press(call["sid"], "1")
    story.hears(call["sid"], "You have it")
    story.becomes("acknowledged")
    markup = _markup(story.shows("Alice has it"))
    for harm in ("<!channel>", "<@U0NORA>", "<https://evil"):
        assert harm not in markup


@pytest.mark.parametrize(
    "odd",
    [
        {"labels": {"severity": "critical", "number": 7, "nothing": None, "list": [1], "object": {"a": "b"}}},
        {"labels": {"severity": "critical"}, "annotations": None, "startsAt": 5, "fingerprint": {"a": 1}},
        {"labels": {"severity": "critical"}, "annotations": ["summary"], "generatorURL": "javascript:alert(1)"},
        {"labels": {"severity": ["critical"], "": "empty"}, "annotations": {"summary": {"text": "down"}}},
        {"labels": {}},
    ],
    ids=["label values", "null annotations", "annotations in a list", "nested summary", "nothing but a status"],
)
def test_an_alert_of_an_odd_shape_rings(night: Night, odd: dict[str, Any]) -> None:
    story = night.story("alice")
    labels = {"product": story.name, **odd["labels"]}

    story.fire(alerts=[{"status": "firing", **odd, "labels": labels}])

    story.takes("alice")
    story.becomes("acknowledged")
    assert "javascript:" not in json.dumps(story.shows("Alice has it")["blocks"])


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "more",
    [
        {"notification_reason": "first", "routeLabels": {"a": ["b"]}, "version": "5", "truncatedAlerts": "many"},
        {"truncatedAlerts": 1e40},
        {"truncatedAlerts": 10**40},
        {"commonLabels": {"a": _deep(100)}, "deep": _deep(100)},
        {"commonLabels": {"\udc00": "half a character: \ud83d"}, "receiver": "\udfff"},
    ],
    ids=[
        "fields of a later version",
        "a float of any size",
        "an integer of any size",
        "a hundred levels",
        "surrogates",
    ],
)
def test_whatever_else_a_webhook_holds_it_rings(night: Night, more: dict[str, Any]) -> None:
    story = night.story("alice")

    story.fire(**more)

    story.takes("alice")
    story.becomes("acknowledged")


# ---------------------------------------------------------------- too large: cut, and the cut is named


def _many(story: Story, count: int) -> list[Any]:
    return [
        alert(
            f"disk {number} is full",
            labels={"product": story.name, "instance": f"https://node-{number}.example.com:9100/"},
            annotations={"description": f"The disk of node {number} has less than 5 % left, in all of its volumes."},
            fingerprint=f"{number:016x}",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [5_000, 10_000])
def test_a_group_of_thousands_of_alerts_rings_and_names_the_cut(night: Night, count: int) -> None:
    story = night.story("alice")

    story.fire(alerts=_many(story, count))

    _is_cut_and_says_so(story, characters=100 * count)
    message = readable(story.message())
    counted = re.search(r"at least (\d+) alerts firing", message)
    assert counted
    assert 0 < int(counted[1]) <= count
    assert re.search(r"… and at least \d+ more", message)


@pytest.mark.parametrize("size", [300_000, 1_000_000])
@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_one_alert_with_a_huge_text_rings_and_names_the_cut(night: Night, size: int, where: str) -> None:
    story = night.story("alice")
    huge = alert("shop is down", labels={"product": story.name})
    huge[where]["dump"] = "down " + "x" * size

    story.fire(alerts=[huge])

    _is_cut_and_says_so(story, characters=size)


def test_a_huge_group_key_of_multibyte_characters_rings_once_and_resolves(night: Night) -> None:
    story = night.story("alice")
    key = f"{story.name} " + "決済" * 200_000
    story.posts({**story.webhook(), "groupKey": key})
    call = story.rings("alice")
    story.posts({**story.webhook(), "groupKey": key})

    story.posts({**story.webhook(status="resolved"), "groupKey": key})

    assert story.ended(call["sid"])["status"] == "canceled"
    wait_until(lambda: [one["state"] for one in story.incidents()] == ["resolved"], what="the resolution")
    assert story.called() == ["alice"]


def _is_cut_and_says_so(story: Story, *, characters: int) -> None:
    call = story.listens("alice")
    story.system.press(call["sid"], "0")
    story.hears(call["sid"], "the alert was too long")
    story.system.press(call["sid"], "1")
    incident = story.becomes("acknowledged")
    assert incident["cut_characters"] > characters
    message = story.shows("was cut to fit")
    assert f"{incident['cut_characters']} characters" in readable(message)


# ---------------------------------------------------------------- forged, replayed, expired, signed for another address


def _form(call: Mapping[str, Any], **more: str) -> dict[str, str]:
    return {"CallSid": call["sid"], "To": call["to"], "From": call["from"], "CallStatus": "in-progress", **more}


def _url(story: Story, path: str, **more: str) -> str:
    endpoints, kind = story.system.endpoints, path.rsplit("/", 1)[-1]
    query = {"policy": story.name, "page": story.page()["page"], "call": "1", "at": str(int(time.time())), **more}
    return callback_url(endpoints["gateway"], kind, sealed(kind, query, endpoints["twilio_auth_token"]))


def _signed_by_twilio(story: Story, url: str, form: Mapping[str, str]) -> str:
    return str(RequestValidator(story.system.endpoints["twilio_auth_token"]).compute_signature(url, dict(form)))


FORGERIES = (
    *("no signature", "an empty one", "a made-up one", "no ascii", "another account's token"),
    *("signed for the other callback", "for another call", "for another host", "for other keys"),
)


def _forged(forgery: str, story: Story, url: str, form: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request that Twilio has not sent."""
    match forgery:
        case "no signature":
            return {}
        case "an empty one":
            signature = ""
        case "a made-up one":
            signature = base64.b64encode(hashlib.sha1(url.encode(), usedforsecurity=False).digest()).decode()
        case "no ascii":
            signature = "\xe4\xf6"
        case "another account's token":
            signature = str(RequestValidator("0" * 32).compute_signature(url, dict(form)))
        case "signed for the other callback":
            other = {"/calls/key": "/calls/status", "/calls/status": "/calls/key"}
            signature = _signed_by_twilio(
                story, re.sub("/calls/(key|status)", lambda found: other[found[0]], url), form
            )
        case "for another call":
            signature = _signed_by_twilio(story, url.replace("call=1", "call=2"), form)
        case "for another host":
            signature = _signed_by_twilio(story, url.replace("127.0.0.1", "on-call.example.com"), form)
        case _:
            signature = _signed_by_twilio(story, url, {**form, "Digits": "3"})
    return {"X-Twilio-Signature": signature}


@pytest.mark.parametrize("path", CALLBACKS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_twilio_has_not_signed_is_refused_and_counted(night: Night, path: str, forgery: str) -> None:
    story = night.story("alice")
    story.fire()
    call = story.rings("alice")
    story.happened("ringing")
    url, form = _url(story, path), _form(call, Digits="1", CallStatus="completed")
    before, counted = _state(story), night.refusals("PhoneReply")

    answer = requests.post(url, data=form, headers=_forged(forgery, story, url, form), timeout=30)

    assert answer.status_code == 403
    assert answer.text == "Not signed by the telephone provider."
    assert _state(story) == before
    assert story.call(call["sid"])["status"] == "ringing"
    wait_until(lambda: night.refusals("PhoneReply") == counted + 1, what="one refusal in the metric")
    story.resolve()


def test_twilios_own_requests_change_nothing_when_they_are_replayed(night: Night) -> None:
    story = night.story("alice")
    night.people_speak_fast()
    story.fire()
    call = story.listens("alice")
    story.system.press(call["sid"], "1")
    story.ended(call["sid"])
    story.becomes("acknowledged")
    story.settled()
    sent = wait_until(lambda: _sent_by_twilio(story, call), what="all callbacks of the call")
    before = _state(story)

    for one in sent:
        assert _replayed(story, one).status_code < 300

    assert _state(story) == before


def test_a_key_that_is_replayed_does_not_take_the_next_page(night: Night) -> None:
    story = night.story("alice")
    night.people_speak_fast()
    story.fire("shop")
    call = story.listens("alice")
    story.system.press(call["sid"], "1")
    story.ended(call["sid"])
    story.becomes("acknowledged", "shop")
    story.settled()
    sent = wait_until(lambda: _sent_by_twilio(story, call), what="all callbacks of the call")
    story.fire("search")
    story.rings("alice", nth=2)
    story.happened("ringing", "search")

    said = [_replayed(story, one).text for one in sent if "Digits" in one["parameters"]]

    assert len(said) == 1
    assert "already has it" in said[0]
    assert story.becomes("triggered", "search")
    assert story.calls("alice")[1]["status"] == "ringing"
    story.resolve("search")


def _sent_by_twilio(story: Story, call: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    sent = [one for one in story.system.control("GET", "twilio", "callbacks") if one["call"] == call["sid"]]
    return sent if any(one["parameters"].get("CallStatus") == "completed" for one in sent) else None


def _replayed(story: Story, sent: Mapping[str, Any]) -> requests.Response:
    signature = _signed_by_twilio(story, sent["url"], sent["parameters"])
    return requests.post(sent["url"], data=sent["parameters"], headers={"X-Twilio-Signature": signature}, timeout=30)


@pytest.mark.parametrize(
    "missing",
    [{"page": ""}, {"call": "first"}, {"call": "-1"}, {"more": "1"}, {"at": "now"}, {"at": ""}],
    ids=["page", "word", "minus", "more", "at a word", "at nothing"],
)
def test_a_signed_address_that_is_none_of_ours_changes_nothing(night: Night, missing: dict[str, str]) -> None:
    story = night.story("alice")
    story.fire()
    call = story.rings("alice")
    story.happened("ringing")
    url, form = _url(story, "calls/key", **missing), _form(call, Digits="1")
    before = _state(story)

    answer = requests.post(
        url, data=form, headers={"X-Twilio-Signature": _signed_by_twilio(story, url, form)}, timeout=30
    )

    assert answer.status_code in (200, 403)
    assert _state(story) == before
    story.resolve()


def _slack(
    story: Story,
    body: str,
    *,
    secret: str = "",
    at: float = 0,
    timestamp: str = "",
    signed: str = "",
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """A request of Slack: of now, and signed with the app's secret, unless told otherwise."""
    timestamp = timestamp or str(int(at or time.time()))
    key = (secret or story.system.endpoints["slack_signing_secret"]).encode()
    signature = "v0=" + hmac.new(key, f"v0:{timestamp}:{signed or body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signature,
        **(headers or {}),
    }
    return requests.post(
        f"{story.system.endpoints['gateway']}/slack/actions", data=body.encode(), headers=headers, timeout=30
    )


def _pressed(story: Story) -> str:
    """The body that Slack posts when the button of the story's message is pressed."""
    incident = story.incident()
    assert incident
    payload = {
        "type": "block_actions",
        "user": {"id": story.slack_user("alice"), "name": "alice"},
        "actions": [{"action_id": "acknowledge", "value": incident["id"], "type": "button"}],
    }
    return urlencode({"payload": json.dumps(payload)})


SLACK_FORGERIES: Mapping[str, Callable[[Story, str], requests.Response]] = {
    "another secret": lambda story, body: _slack(story, body, secret="0" * 32),
    "signed for another body": lambda story, body: _slack(story, body, signed="payload=%7B%7D"),
    "expired": lambda story, body: _slack(story, body, at=time.time() - 301),
    "from the future": lambda story, body: _slack(story, body, at=time.time() + 400),
    "a timestamp that is no number": lambda story, body: _slack(story, body, timestamp="now"),
    "a timestamp without end": lambda story, body: _slack(story, body, timestamp="9" * 400),
    "no signature": lambda story, body: _slack(story, body, headers={"X-Slack-Signature": ""}),
    "another version": lambda story, body: _slack(story, body, headers={"X-Slack-Signature": "v1=00"}),
    "no headers at all": lambda story, body: requests.post(
        f"{story.system.endpoints['gateway']}/slack/actions", data=body.encode(), timeout=30
    ),
}


@pytest.mark.parametrize("forgery", SLACK_FORGERIES)
def test_what_slack_has_not_signed_is_refused_and_counted(night: Night, forgery: str) -> None:
    story = night.story("alice")
    story.fire()
    call = story.rings("alice")
    story.happened("ringing")
    before, counted = _state(story), night.refusals("SlackReply")

    answer = SLACK_FORGERIES[forgery](story, _pressed(story))

    assert answer.status_code == 403
    assert answer.text == "Not signed by Slack, or too old."
    assert _state(story) == before
    assert story.call(call["sid"])["status"] == "ringing"
    wait_until(lambda: night.refusals("SlackReply") == counted + 1, what="one refusal in the metric")
    story.resolve()


def test_a_signed_press_counts_and_its_replay_changes_nothing(night: Night) -> None:
    story = night.story("alice")
    story.fire()
    story.rings("alice")
    body = _pressed(story)
    assert _slack(story, body).status_code == 200
    story.becomes("acknowledged")
    story.settled()
    story.is_told()
    before = _state(story)

    assert _slack(story, body).status_code == 200

    story.is_told()
    assert _state(story) == before


PAYLOADS: Mapping[str, tuple[str, int]] = {
    "no form": ("", 400),
    "an empty payload": ("payload=", 400),
    "not json": ("payload=no+json", 400),
    "bytes that are no text": ("payload=%ff%fe", 400),
    "a list": ("payload=%5B%5D", 400),
    "null": ("payload=null", 400),
    "an empty object": ("payload=%7B%7D", 200),
    "no action": (urlencode({"payload": '{"type": "block_actions", "actions": []}'}), 200),
    "an action that is a text": (urlencode({"payload": '{"type": "block_actions", "actions": ["press"]}'}), 200),
    "actions that are no list": (urlencode({"payload": '{"type": "block_actions", "actions": {"a": 1}}'}), 200),
    "another type": (urlencode({"payload": '{"type": "view_submission", "user": {"id": "U0NORA"}}'}), 200),
    "no incident, no user": (
        urlencode({"payload": '{"type": "block_actions", "user": null, "actions": [{"action_id": "acknowledge"}]}'}),
        200,
    ),
    "an unknown incident": (
        urlencode(
            {
                "payload": '{"type": "block_actions", "actions": [{"action_id": "acknowledge", "value": "20260101-none"}]}'
            }
        ),
        200,
    ),
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_a_signed_request_of_another_shape_is_answered_and_harms_nothing(night: Night, kind: str) -> None:
    body, status = PAYLOADS[kind]

    answer = _slack(night.story("alice"), body)

    assert answer.status_code == status, answer.text


# ---------------------------------------------------------------- what the tests look at


def _post(night: Night, path: str, body: str, headers: Mapping[str, str]) -> requests.Response:
    return requests.post(
        f"{night.system.endpoints['gateway']}/{path}", data=body.encode(), headers=dict(headers), timeout=30
    )


def _bearer(night: Night) -> dict[str, str]:
    return {"Authorization": f"Bearer {night.system.endpoints['bearer_token']}"}


def _has_started_nothing(night: Night, answer: requests.Response) -> None:
    """The refused request's extended id, which an execution would be named for, names none."""
    arn = night.system.endpoints["state_machine_arn"].replace(":stateMachine:", ":execution:")
    name = f"webhook-{re.sub('[^0-9A-Za-z]', '-', answer.headers['x-amz-apigw-id'])}"
    with pytest.raises(night.stepfunctions.exceptions.ExecutionDoesNotExist):
        night.stepfunctions.describe_execution(executionArn=f"{arn}:{name}")


def _state(story: Story) -> Any:
    """All that the table knows of the story, but what Slack's projector notes for itself."""
    own = ("slack_", "due")
    incidents = [{name: value for name, value in one.items() if not name.startswith(own)} for one in story.incidents()]
    return incidents, story.page(), [story.night.table.query(one["pk"], prefix="EVENT#") for one in incidents]


def _markup(message: Mapping[str, Any]) -> str:
    """What of a message Slack reads as markup: all but the plain texts of its blocks."""

    def texts(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["text"]] if part.get("type") == "mrkdwn" else []
            return [*own, *(text for value in part.values() for text in texts(value))]
        return [text for one in part for text in texts(one)] if isinstance(part, list) else []

    return "\n".join([message["text"], *texts(message["blocks"])])
