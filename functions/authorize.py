"""Authorize: lets Alertmanager in by its bearer tokens. API Gateway keeps the answer for five minutes.

The heartbeat has a token of its own: who may say that the monitoring lives may not resolve what it found, and a host that
lost the one has not lost the other. Each has an authorizer of its own in front, so answers are kept apart.
"""

import hmac
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws
from oncall.text import log_line
from oncall.warm import answers_pings

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


@answers_pings(lambda: aws.client("ssm"))
@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Allows or denies; an error (no such secret, SSM away) becomes 503, so that Alertmanager tries again."""
    scheme, _, token = str(event.get("authorizationToken", "")).partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else ""
    arn = str(event["methodArn"])  # arn:…:api/stage/method/path
    setting = "HEARTBEAT_TOKEN_PARAMETER" if arn.split("/")[3:4] == ["heartbeat"] else "BEARER_TOKEN_PARAMETER"
    is_known = _is_known(given, setting, fresh=False) or _is_known(given, setting, fresh=True)
    if not is_known:
        logger.warning("a bearer token was refused")
        metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
    # The answer is cached by token and used for every method, so it must not name one alone.
    stage = "/".join(arn.split("/")[:2])
    return {
        "principalId": "alertmanager" if is_known else "-",  # as the access log has it of nobody
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow" if is_known else "Deny", "Resource": f"{stage}/*"}
            ],
        },
    }


def _is_known(given: str, setting: str, *, fresh: bool) -> bool:
    """Whether it is one of the tokens in the secret, which holds two during a change. Compared in constant time."""
    known = aws.secret(setting, fresh=fresh).split()
    return any(hmac.compare_digest(token.encode(), given.encode()) for token in known)
