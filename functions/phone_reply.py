"""PhoneReply: Twilio's callbacks; the keys that people press, what became of a call, and what the probe's number answers."""

import re
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError
from twilio.request_validator import RequestValidator

from oncall import aws
from oncall.phone import call_test, keys, probe_number
from oncall.phone.provider import Callbacks, callback_url, is_late, is_sealed
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
QUERY = NEEDED | {"incident", "responder", "digits", "tries"}


@answers_pings(lambda: (for_function(aws.HURRY).table, aws.client("ssm")))
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event with a form that Twilio has signed; answers TwiML to keys."""
    services = for_function(aws.HURRY)
    kind = str(event["path"]).rsplit("/", 1)[-1]
    gateway = event["requestContext"]
    base = services.settings.public_url or f"https://{gateway['domainName']}/{gateway['stage']}"
    query = {name: str(value) for name, value in (event.get("queryStringParameters") or {}).items()}
    form = dict(parse_qsl(event.get("body") or "", keep_blank_values=True))
    is_called = kind == "probe" and not query  # the probe's number itself, and no callback of a call
    if not (is_called or _is_complete(query)) or not _is_signed(event, base, kind, query, form):
        return _refused(kind, "Not signed by Twilio.")
    if is_called:
        return _twiml(probe_number.answer())
    if is_late(query, now=services.now()):
        return _refused(kind, "The call ended long ago.")
    callbacks = _callbacks(base, query)
    if kind == "status":
        _call_changed(services, callbacks, form)
        return {"statusCode": 204, "headers": {}, "body": ""}
    digits = form.get("Digits") or query.get("digits", "")
    try:
        return _twiml(_key_pressed(services, callbacks, digits, tries=int(query.get("tries", "0")) + 1))
    except keys.TooLateError:
        return _refused(kind, "The call ended long ago.")


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


def _is_signed(event: dict[str, Any], base: str, kind: str, query: dict[str, str], form: dict[str, str]) -> bool:
    """Twilio: HMAC-SHA1 of the full public address and the sorted form, compared in constant time.

    The address of a call's callback has to be sealed by us, too.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    signature = str(headers.get("x-twilio-signature", ""))
    if not signature or not signature.isascii():
        return False
    url = callback_url(base, kind, query)
    known: list[str] = []
    for fresh in (False, True):  # the token may just have been changed
        known += _auth_tokens(fresh=fresh)
        is_sealed_by_us = not query or any(is_sealed(kind, query, token) for token in known)
        if is_sealed_by_us and any(RequestValidator(token).validate(url, form, signature) for token in known):
            return True
    return False


def _auth_tokens(*, fresh: bool = False) -> list[str]:
    """Twilio's auth token; during a change two, separated by a space."""
    return aws.secret("TWILIO_AUTH_TOKEN_PARAMETER", fresh=fresh).split()
