"""Random requests at every door: nobody is let in, nothing falls over.

`make fuzz` sends 10,000 to each door (FUZZ); FUZZ_SEED repeats a run, and a failure names it.
"""

import json
import logging
import os
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from oncall.alerts import keys
from oncall.alerts.keys import Key
from oncall.clock import at
from oncall.events import BUILT_IN
from oncall.phone.provider import Callbacks, callback_url
from oncall.table import Put
from tests.builders import BASE, Call, webhook
from tests.functional.handlers import (
    ARN,
    AUTH_TOKEN,
    BEARER,
    HEARTBEAT,
    SIGNING_SECRET,
    Stack,
    button,
    slack_event,
    stack,
    twilio_event,
)

__all__ = ["stack"]  # the fixture
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

TIMES = int(os.environ.get("FUZZ", "200"))
SEED = os.environ.get("FUZZ_SEED") or secrets.token_hex(4)
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}
ROUTING = "R" * 32
TEXTS = (
    *("", " ", "0", "1", "-1", "1e9", "²", "null", "[]", "{}", '{"a":', "../../etc/passwd", "%00", "%ff%fe", "a=b&c=d"),
    *(
        "\x00",
        "\x1b]52;c;eA==\x07",
        "\u202e",
        "é☃🔥",
        "x" * 5_000,
        "9" * 400,
        "default",
        "R" * 32,
        "Bearer",
        "' OR 1=1 --",
    ),
)
Event = dict[str, Any]


def text(random: Random) -> str:
    if random.random() < 0.5:
        return random.choice(TEXTS)
    return "".join(
        chr(random.choice((random.randrange(32, 127), random.randrange(0xD7FF)))) for _ in range(random.randrange(40))
    )


def value(random: Random, depth: int = 3) -> Any:
    """A value of JSON."""
    kind = random.randrange(8 if depth else 5)
    match kind:
        case 0:
            return None
        case 1:
            return random.choice((True, False))
        case 2:
            return random.choice((0, -1, 1, 2**53, 10**30, 1.5, -0.0))
        case 3 | 4:
            return text(random)
        case 5 | 6:
            return {text(random): value(random, depth - 1) for _ in range(random.randrange(4))}
        case _:
            return [value(random, depth - 1) for _ in range(random.randrange(4))]


def mutated(random: Random, given: Any) -> Any:
    """The same with a part that is gone, or something else."""
    if not given or not isinstance(given, dict | list) or random.random() < 0.2:
        return value(random)
    if isinstance(given, list):
        place = random.randrange(len(given))
        return [*given[:place], mutated(random, given[place]), *given[place + 1 :]]
    name = random.choice(list(given))
    rest = {other: one for other, one in given.items() if other != name}
    return rest if random.random() < 0.3 else {**rest, name: mutated(random, given[name])}


def bent(random: Random, event: Event) -> Event:
    """An event of another shape, as far as API Gateway can make it."""
    for _ in range(random.randrange(3)):
        match random.randrange(5):
            case 0:
                event = {**event, "body": random.choice((None, "", text(random))), "isBase64Encoded": False}
            case 1:
                event = {**event, "body": b64encode(text(random).encode()).decode(), "isBase64Encoded": True}
            case 2:
                query = event.get("queryStringParameters") or {}
                event = {**event, "queryStringParameters": {**query, text(random): text(random)}}
            case 3:
                headers = event["headers"] or {}
                event = {**event, "headers": {**headers, text(random) or "X": text(random)}}
            case _:
                event = {**event, "headers": random.choice((None, {}))}
    return event


# ---------------------------------------------------------------- what is not signed, or has no key


def twilio_forged(random: Random, call: Call, kind: str) -> Event:
    """What Twilio has not signed, or what it has signed and we have not sealed."""
    form = {"Digits": random.choice("0123"), "CallStatus": random.choice(("completed", "in-progress", text(random)))}
    if kind == "probe":
        return bent(random, twilio_event(call, kind, form, url=f"{BASE}/calls/probe", signature=text(random)))
    address = getattr(call.callbacks, kind)
    match random.randrange(4):
        case 0:
            return bent(random, twilio_event(call, kind, form, signature=text(random)))
        case 1:
            return bent(random, twilio_event(call, kind, form, token=text(random)))
        case 2:
            return bent(
                random, twilio_event(call, kind, form, url=getattr(replace(call.callbacks, secret=text(random)), kind))
            )
        case _:
            query = dict(parse_qsl(urlsplit(address).query))
            query[random.choice([*query, text(random)])] = text(random)
            if query == dict(parse_qsl(urlsplit(address).query)):
                query["call"] += "1"
            return twilio_event(call, kind, form, url=callback_url(BASE, kind, query))


def slack_forged(random: Random, incident: str, path: str) -> Event:
    body = urlencode({"payload": json.dumps(button(incident))}) if path == "actions" else urlencode({"text": "page x"})
    match random.randrange(4):
        case 0:
            event = slack_event(
                None, body=body, path=path, signature=random.choice((text(random), f"v0={text(random)}"))
            )
        case 1:
            event = slack_event(None, body=body, path=path, secret=f"another {text(random)}")
        case 2:
            signed = slack_event(None, body=body, path=path)
            event = {**signed, "body": f"{body}&{urlencode({'more': text(random)})}"}
        case _:
            event = slack_event(
                None, body=body, path=path, timestamp=str(random.choice((0, 1_700_000_000, 99_999_999_999)))
            )
    return bent(random, event)


def keyed(random: Random, resource: str, **given: str) -> Event:
    """A request to ReceiveEvent."""
    event = proxied(resource, json.dumps(mutated(random, webhook())))
    return bent(random, {**event, "pathParameters": given or None})


def proxied(resource: str, body: str) -> Event:
    return {
        "resource": resource,
        "path": resource,
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "queryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"domainName": urlsplit(BASE).netloc, "stage": "prod", "requestId": "r", "identity": {}},
        "body": body,
        "isBase64Encoded": False,
    }


def calendar_forged(random: Random) -> Event:
    return {**proxied("/schedule.ics", ""), "queryStringParameters": random.choice((None, {}, {"token": text(random)}))}


def token_forged(random: Random, known: str) -> Event:
    header = random.choice(
        (f"Bearer {text(random)}", text(random), known, f"Bearer {known[:-1]}", f"Bearer {known}x", f"Basic {known}")
    )
    path = random.choice(("POST/alerts", "POST/heartbeat", text(random))) if known == "" else "POST/alerts"
    return {"type": "TOKEN", "authorizationToken": header, "methodArn": ARN.replace("POST/alerts", path)}


def enqueue_forged(random: Random) -> Event:
    body: Event = {
        "routing_key": random.choice((text(random)[:31], value(random))),
        "event_action": "trigger",
        "payload": {},
    }
    return bent(random, proxied("/v2/enqueue", json.dumps(body)))


Door = Callable[[Random, Call], tuple[str, Event]]
FORGED: Mapping[str, Door] = {
    "calls/key": lambda r, c: ("phone_reply", twilio_forged(r, c, "key")),
    "calls/status": lambda r, c: ("phone_reply", twilio_forged(r, c, "status")),
    "calls/probe": lambda r, c: ("phone_reply", twilio_forged(r, c, "probe")),
    "slack/actions": lambda r, c: ("slack_reply", slack_forged(r, c.callbacks.incident, "actions")),
    "slack/commands": lambda r, c: ("slack_reply", slack_forged(r, c.callbacks.incident, "commands")),
    "slack/events": lambda r, c: ("slack_reply", slack_forged(r, c.callbacks.incident, "events")),
    "schedule.ics": lambda r, _: ("shift_calendar", calendar_forged(r)),
    "v2/enqueue": lambda r, _: ("receive_event", enqueue_forged(r)),
    "events": lambda r, _: (
        "receive_event",
        keyed(r, "/events/{source}/{key}", source=r.choice(("generic", "grafana", text(r))), key=text(r)[:31]),
    ),
    "heartbeats": lambda r, _: (
        "receive_event",
        keyed(
            r, r.choice(("/heartbeats/{key}", "/heartbeats/{key}/start", "/heartbeats/{key}/fail")), key=text(r)[:31]
        ),
    ),
    "alerts": lambda r, _: ("authorize", token_forged(r, BEARER)),
    "heartbeat": lambda r, _: (
        "authorize",
        {**token_forged(r, HEARTBEAT), "methodArn": ARN.replace("alerts", "heartbeat")},
    ),
    "peer": lambda r, _: (
        "peer",
        {**keyed(r, "/peer/{word}", word=r.choice(("rings", text(r)))), "path": "/peer/rings"},
    ),
}


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    yield
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == [], [record.getMessage() for record in errors[:3]]


@pytest.fixture
def rung(stack: Stack) -> Call:
    """A phone that rings, and a key for senders."""
    stack.world.fire()
    made_at = at(stack.world.clock.now())
    stack.world.table.transact([Put(keys.item(ROUTING, Key("shop"), created_at=made_at, created_by="me"))])
    return stack.world.last_call


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("door", FORGED)
def test_nobody_is_let_in(stack: Stack, rung: Call, door: str) -> None:
    random = Random(f"{SEED} {door}")
    before, written = stack.contents, len(stack.world.dynamo.requests)
    for number in range(TIMES):
        function, event = FORGED[door](random, rung)
        told = f"FUZZ_SEED={SEED} {door} {number}: {json.dumps(event)[:2000]}"
        answer = answered(stack, function, event, told)
        if function == "authorize":
            assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny", told
        else:
            assert 400 <= answer["statusCode"] < 500, (answer, told)
    assert not WRITES & set(stack.world.dynamo.requests[written:])
    assert stack.contents == before
    assert (stack.stepfunctions.released, stack.stepfunctions.started, stack.functions.invoked) == ([], [], [])


def answered(stack: Stack, function: str, event: Event, told: str) -> Any:
    try:
        return stack.call(function, event)
    except Exception as error:
        raise AssertionError(told) from error


# ---------------------------------------------------------------- what is signed, and means nothing


def signed_key(random: Random, call: Call, kind: str) -> Event:
    """A callback of a call that never was, sealed and signed."""
    names = ("never", text(random), text(random)[:20])
    made = Callbacks(
        BASE, *names[:2], random.randrange(1000), names[2], text(random), call.callbacks.placed_at, AUTH_TOKEN
    )
    form = {name: text(random) for name in ("Digits", "CallStatus", "CallSid", text(random) or "X")}
    return twilio_event(call, kind, form, url=getattr(made, kind))


def signed_press(random: Random) -> Event:
    given = {
        **button("20260101-000000-000000"),
        "user": {"id": "U0NOBODY"},
        "team": {"id": text(random)},
        "view": value(random),
    }
    return slack_event(None, body=urlencode({"payload": json.dumps(mutated(random, given))}))


def signed_command(random: Random) -> Event:
    words = random.choice(("who", "incidents", "help", "take", "ack", text(random)))
    form = {"command": "/oncall", "text": f"{words} {text(random)}", "user_id": "U0NOBODY", "team_id": text(random)}
    form[random.choice(list(form))] = text(random)
    return slack_event(None, body=urlencode(form), path="commands")


def signed_happening(random: Random) -> Event:
    given = {
        "type": "event_callback",
        "event_id": "Ev1",
        "event": {"type": "message", "user": "U0NOBODY", "tab": "home"},
    }
    return slack_event(None, body=json.dumps(mutated(random, given)), path="events")


SIGNED: Mapping[str, Door] = {
    "calls/key": lambda r, c: ("phone_reply", signed_key(r, c, "key")),
    "calls/status": lambda r, c: ("phone_reply", signed_key(r, c, "status")),
    "slack/actions": lambda r, _: ("slack_reply", signed_press(r)),
    "slack/commands": lambda r, _: ("slack_reply", signed_command(r)),
    "slack/events": lambda r, _: ("slack_reply", signed_happening(r)),
}


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("door", SIGNED)
def test_what_is_signed_and_means_nothing_changes_nothing(stack: Stack, rung: Call, door: str) -> None:
    random = Random(f"{SEED} signed {door}")
    before = stack.contents
    for number in range(TIMES):
        function, event = SIGNED[door](random, rung)
        told = f"FUZZ_SEED={SEED} {door} {number}: {json.dumps(event)[:2000]}"
        assert answered(stack, function, event, told)["statusCode"] < 500, told
    assert stack.contents == before
    assert (stack.stepfunctions.released, stack.stepfunctions.started) == ([], [])


@pytest.mark.usefixtures("no_errors", "rung")
def test_any_event_with_a_key_is_answered(stack: Stack) -> None:
    random = Random(f"{SEED} events")
    forms: tuple[Any, ...] = (
        webhook(),
        {
            "routing_key": ROUTING,
            "event_action": "trigger",
            "payload": {"summary": "s", "source": "s", "severity": "error"},
        },
        {"title": "The shop is down", "severity": "critical", "state": "firing", "id": "1"},
    )
    for number in range(TIMES):
        body = json.dumps(mutated(random, random.choice(forms)))
        source = random.choice(BUILT_IN)
        event = {**proxied("/events/{source}/{key}", body), "pathParameters": {"source": source, "key": ROUTING}}
        if random.random() < 0.3:
            event = proxied("/v2/enqueue", body)
        told = f"FUZZ_SEED={SEED} {source} {number}: {body[:2000]}"
        assert answered(stack, "receive_event", event, told)["statusCode"] < 500, told


def test_the_secrets_that_were_guessed_at_open_the_doors(stack: Stack, rung: Call) -> None:
    """What the tests above refuse is refused for what is wrong with it: unchanged, it is let in."""
    assert stack.call("phone_reply", twilio_event(rung, "key", {"Digits": "3"}))["statusCode"] == 200
    assert stack.call("slack_reply", slack_event(button("x"), secret=SIGNING_SECRET))["statusCode"] == 200
    allowed = {"type": "TOKEN", "authorizationToken": f"Bearer {BEARER}", "methodArn": ARN}
    assert stack.call("authorize", allowed)["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    event = {
        **proxied("/events/{source}/{key}", json.dumps(webhook())),
        "pathParameters": {"source": "generic", "key": ROUTING},
    }
    assert stack.call("receive_event", event)["statusCode"] < 403
