"""ReceiveEvent: takes what other senders than Alertmanager post, and answers in their form; heartbeats by name, too."""

import base64
import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from oncall import events
from oncall.events import Reply
from oncall.services import for_function
from oncall.table import ConflictError
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event. What may pass is a 503, so that the sender tries again."""
    try:
        reply = _answer(event)
    except (ClientError, BotoCoreError, ConflictError):
        logger.exception("not accepted this time")
        reply = Reply(503, {"status": "error", "message": "Not accepted this time, send it again."})
    if reply.is_unknown:
        logger.warning("a key was refused")
        metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
    if reply.is_refused:
        logger.warning("an event was refused", status=reply.status, answer=reply.body)
        metrics.add_metric(name="AlertsRefused", unit=MetricUnit.Count, value=1)
    body = {**reply.body, "request": event["requestContext"]["requestId"]}
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if reply.status in (429, 503) else {})
    return {"statusCode": reply.status, "headers": headers, "body": json.dumps(body)}


def _answer(event: dict[str, Any]) -> Reply:
    services, about = for_function(), event["requestContext"]
    gateway = f"{about['domainName']}/{about['stage']}"
    given = event.get("pathParameters") or {}
    text = event.get("body") or ""
    body = base64.b64decode(text).decode("utf-8", "replace") if event.get("isBase64Encoded") else text
    match event["resource"].removeprefix("/").split("/"):
        case ["v2", "enqueue"]:
            return events.enqueue(services, gateway, body)
        case ["events", "{source}", *_]:
            return events.receive(services, gateway, str(given["source"]), given.get("key"), body)
        case ["heartbeats", "{key}"]:
            return events.beat(services, gateway, str(given["key"]), "beat")
        case ["heartbeats", "{key}", "start" | "fail" as word]:
            return events.beat(services, gateway, str(given["key"]), word)
    raise ValueError(f"there is no answer for {event['resource']}")
