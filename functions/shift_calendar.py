"""Calendar: serves who is on call as an iCalendar file to those who have an address with a token."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws, clock
from oncall.roster import calendars
from oncall.settings import read_settings
from oncall.table import Table
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event; the token is in the query."""
    settings = read_settings()
    token = str((event.get("queryStringParameters") or {}).get("token", ""))
    table = Table(aws.client("dynamodb"), settings.table)
    text = calendars.render(table, token, now=clock.at(clock.now()))
    if text is None:
        logger.warning("a calendar was asked for with an unknown token")
        metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
        return _answer(404, "text/plain; charset=utf-8", "There is no such calendar, or its address was revoked.")
    return _answer(200, "text/calendar; charset=utf-8", text)


def _answer(status: int, kind: str, body: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": kind, "Cache-Control": "private, no-cache"}, "body": body}
