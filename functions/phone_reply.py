"""PhoneReply: what Twilio and Telnyx call back with: pressed keys, ends of calls, and what the probe's number answers."""

import re
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from oncall import aws
from oncall.phone import call_test, keys, probe_number, signatures
from oncall.phone.provider import Callbacks, callback_url, is_late, is_sealed
from oncall.phone.texml import texml
from oncall.phone.voice import Voice
from oncall.services import Services, for_function
from oncall.table import ConflictError
from oncall.text import log_line
from oncall.warm import answers_pings

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()

TRIES = 12  # at a key that cannot be written: more than half a minute
NEEDED = {"policy", "page", "call", "at", "seal"}
QUERY = NEEDED | {"incident", "responder", "digits", "tries", "again"}


@answers_pings(lambda: (for_function(aws.HURRY).table, aws.client("ssm")))
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event with a form that its telephone provider has signed; answers TwiML to keys, or TeXML."""
    services = for_function(aws.HURRY)
    kind = str(event["path"]).rsplit("/", 1)[-1]
    gateway = event["requestContext"]
    base = services.settings.public_url or f"https://{gateway['domainName']}/{gateway['stage']}"
    query = {name: str(value) for name, value in (event.get("queryStringParameters") or {}).items()}
    form = dict(parse_qsl(event.get("body") or "", keep_blank_values=True))
    is_called = kind == "probe" and not query  # the probe's number itself, and no callback of a call
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    is_telnyxs = bool(services.settings.telnyx_application) and "telnyx-signature-ed25519" in headers
    if not (is_called or _is_complete(query)) or not (
        _has_telnyx_signed(kind, query, headers, event.get("body") or "", services.now())
        if is_telnyxs
        else _has_twilio_signed(kind, query, headers, callback_url(base, kind, query), form)
    ):
        return _refused(kind, "Not signed by the telephone provider.")
    if is_called:
        return _twiml(probe_number.answer())
    if is_late(query, now=services.now()):
        return _refused(kind, "The call ended long ago.")
    callbacks = _callbacks(base, query)
    if kind == "status":
        _call_changed(services, callbacks, form)
        return {"statusCode": 200, "headers": {}, "body": ""}  # Telnyx takes anything else for a failure
    digits = form.get("Digits") or query.get("digits", "") or (keys.SILENCE if "again" in query else "")
    try:
        said = _key_pressed(services, callbacks, digits, tries=int(query.get("tries", "0")) + 1)
    except keys.TooLateError:
        return _refused(kind, "The call ended long ago.")
    return _twiml(texml(said) if is_telnyxs else said)


def _refused(kind: str, why: str) -> dict[str, Any]:
    logger.warning("a callback was refused", path=kind, reason=why)
    metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
    return {"statusCode": 403, "headers": {"Content-Type": "text/plain"}, "body": why}


def _callbacks(base: str, query: dict[str, str]) -> Callbacks:
    """The call that a callback is about."""
    return Callbacks(
        base,
        query["policy"],
        query["page"],
        int(query["call"]),
        incident=query.get("incident", ""),
        responder=query.get("responder", ""),
        placed_at=int(query["at"]),
        secret=_auth_tokens()[0],
    )


def _call_changed(services: Services, callbacks: Callbacks, form: dict[str, str]) -> None:
    status = form.get("CallStatus", "")
    if call_test.is_test(callbacks):
        call_test.call_changed(services, callbacks, status)
    else:
        keys.call_changed(services, callbacks, status, form.get("CallSid", ""))


def _key_pressed(services: Services, callbacks: Callbacks, digits: str, *, tries: int) -> str:
    """What the call says to a key; if that cannot be written, the key comes again in a moment."""
    pressed = call_test.key_pressed if call_test.is_test(callbacks) else keys.key_pressed
    try:
        return pressed(services, callbacks, digits)
    except (ClientError, BotoCoreError, ConflictError) as error:
        logger.exception("a key could not be written", error=type(error).__name__, tries=tries)
        voice = Voice(services.settings.language, callbacks)
        return voice.moment(digits, tries) if tries < TRIES else voice.goodbye("unwritten")


def _twiml(document: str) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"Content-Type": "text/xml; charset=utf-8"}, "body": document}


def _is_complete(query: dict[str, str]) -> bool:
    numbers = (query.get("call", ""), query.get("tries", "0"))
    return NEEDED <= query.keys() <= QUERY and all(re.fullmatch("[0-9]{1,6}", number) for number in numbers)


def _has_twilio_signed(
    kind: str, query: dict[str, str], headers: dict[str, str], url: str, form: dict[str, str]
) -> bool:
    """Twilio has signed the address and the form. The address of a call's callback has to be sealed by us, too."""
    known: list[str] = []
    for fresh in (False, True):  # the token may just have been changed
        known += _auth_tokens(fresh=fresh)
        is_sealed_by_us = not query or any(is_sealed(kind, query, token) for token in known)
        if is_sealed_by_us and any(signatures.is_twilios(headers, url, form, token) for token in known):
            return True
    return False


def _has_telnyx_signed(kind: str, query: dict[str, str], headers: dict[str, str], body: str, now: int) -> bool:
    """Telnyx has signed the body alone, just now: so the address has to be sealed by us in any case."""
    if not any(is_sealed(kind, query, token) for fresh in (False, True) for token in _auth_tokens(fresh=fresh)):
        return False
    return any(
        signatures.is_telnyxs(headers, body, aws.secret("TELNYX_PUBLIC_KEY_PARAMETER", fresh=fresh), now=now)
        for fresh in (False, True)  # the key may just have been changed
    )


def _auth_tokens(*, fresh: bool = False) -> list[str]:
    """Twilio's auth token; during a change two, separated by a space."""
    return aws.secret("TWILIO_AUTH_TOKEN_PARAMETER", fresh=fresh).split()
