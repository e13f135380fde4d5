"""Probe: sends an alert of our own the whole way, to a number that answers by itself. Runs on a schedule, and when asked."""

import time
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws, clock, probe, signals
from oncall.fallback import Fallback
from oncall.probe import run
from oncall.settings import read_settings
from oncall.table import Table
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A schedule's event, or from the command {"run": an id of its own}. Returns how the run went."""
    settings = read_settings()
    base = settings.public_url or settings.gateway_url

    desk = run.Desk(
        table=Table(aws.client("dynamodb"), settings.table),
        release=lambda token, answer: signals.release(aws.client("stepfunctions"), token, answer),
        slack=lambda incidents: signals.slack_later(
            aws.client("lambda"), settings.slack_notification_function, incidents
        ),
        now=clock.now,
        # During a change of the token SSM has two, of which each is let in.
        post=lambda webhook: run.post(
            f"{base}/alerts", aws.secret("BEARER_TOKEN_PARAMETER", fresh=True).split()[0], webhook
        ),
        fallback=Fallback(aws.client("sns"), settings.fallback_topic),
        sleep=time.sleep,
        patience=probe.patience(settings.probe_schedule),
    )
    failed = 1
    try:
        outcome = run.run(desk, str(event.get("run") or event["id"]), owner=context.aws_request_id)
        failed = 1 if outcome and outcome.problem else 0
    finally:
        metrics.add_metric(name="ProbeFailures", unit=MetricUnit.Count, value=failed)
    if outcome is None:
        return {"tried": False}
    for hop, metric in (("ringing", "ProbeSecondsToRing"), ("acknowledged", "ProbeSecondsToAcknowledge")):
        if hop in outcome.hops:
            metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=outcome.hops[hop] / 1000)
    return {"tried": True, "problem": outcome.problem, "slack": outcome.slack, "hops": dict(outcome.hops)}
