"""SlackReply: Slack's interactions; the buttons that people press. Slack waits for three seconds."""

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from slack_sdk.signature import SignatureVerifier

from oncall import actions, config, signals, times
from oncall.slack_messages import ACKNOWLEDGE
from oncall.store import Table

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event with a form that Slack has signed."""
    body = str(event.get("body") or "")
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode(errors="replace")  # and then its signature does not fit
    if not _is_signed(event, body):
        logger.warning("a request that Slack has not signed was refused")
        metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
        return _answer(403, "Not signed by Slack, or too old.")
    payload = _interaction(body)
    if payload is None:
        logger.warning("a request of Slack that is no interaction")
        return _answer(400, "Not an interaction: the form's field payload has no JSON object.")
    action = _first(payload.get("actions"))
    if payload.get("type") != "block_actions" or action.get("action_id") != ACKNOWLEDGE:
        logger.info("an action that means nothing here", action=action.get("action_id", ""))
        return _answer(200, "")
    settings = config.settings()
    desk = actions.Desk(
        table=Table(config.client("dynamodb", config.HURRY), settings.table),
        release=lambda token, answer: signals.release(config.client("stepfunctions", config.HURRY), token, answer),
        slack=lambda incidents: signals.slack_later(
            config.client("lambda", config.HURRY), settings.slack_notification_function, incidents
        ),
        now=times.now,
    )
    incident = str(action.get("value", ""))
    logger.set_correlation_id(incident)
    user = _first([payload.get("user")])
    name = str(user.get("name") or user.get("username") or user.get("id", ""))
    taken = actions.acknowledge_incident(desk, incident, slack_user=str(user.get("id", "")), name=name)
    if not taken.ours:
        desk.slack([incident])  # the button was out of date: show what is true
    return _answer(200, "")


def _interaction(body: str) -> dict[str, Any] | None:
    """The interaction in a form, or None."""
    try:
        payload = json.loads(parse_qs(body).get("payload", [""])[0])
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _first(values: object) -> dict[str, Any]:
    """The first of a list, if it is an object; else an empty one."""
    return values[0] if isinstance(values, list) and values and isinstance(values[0], dict) else {}


def _is_signed(event: dict[str, Any], body: str) -> bool:
    """Slack: HMAC-SHA256 of v0:{timestamp}:{raw body}, at most 300 s old, compared in constant time."""
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    timestamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or not signature.isascii():
        return False
    return any(
        SignatureVerifier(config.secret("SLACK_SIGNING_SECRET_PARAMETER", fresh=fresh)).is_valid(
            body, timestamp, signature
        )
        for fresh in (False, True)  # the secret may just have been changed
    )


def _answer(status: int, body: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": "text/plain"}, "body": body}
