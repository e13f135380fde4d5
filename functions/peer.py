"""Peer: answers the other stack, the primary or its standby. Whatever it has not signed itself, or asks twice, is refused."""

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws, wire
from oncall.peer import answers
from oncall.services import Services, for_function
from oncall.text import log_line
from oncall.wire import Asked, RefusedError

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event; what is asked is the last part of its path."""
    services = for_function()
    word = str((event.get("pathParameters") or {}).get("word", ""))
    try:
        asked = _read(services, event, word)
    except RefusedError as refused:
        logger.warning("a question of no other stack was refused", word=word[:20], reason=str(refused))
        metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
        return {"statusCode": 403, "headers": {"Content-Type": "text/plain"}, "body": "Not asked by the other stack."}
    about = event["requestContext"]
    base = services.settings.public_url or f"https://{about['domainName']}/{about['stage']}"
    body = json.dumps(answers.answer(services, word, asked.given, base=base))
    headers = {"Content-Type": "application/json", wire.SIGNATURE: asked.sign(body.encode())}
    return {"statusCode": 200, "headers": headers, "body": body}


def _read(services: Services, event: dict[str, Any], word: str) -> Asked:
    """Raises RefusedError."""
    settings = services.settings
    if not settings.peer_url:
        raise RefusedError("this stack has no other one")
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    # The token may just have been changed, so SSM is asked again before a question is refused.
    tokens = [token for fresh in (False, True) for token in aws.secret("PEER_TOKEN_PARAMETER", fresh=fresh).split()]
    return wire.read(
        headers,
        word,
        str(event.get("body") or "").encode(),
        table=services.table,
        tokens=tokens,
        ours=wire.role(settings.takeover_seconds),
        now=services.now(),
    )
