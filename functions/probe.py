"""Probe: sends an alert of our own the whole way, to a number that answers by itself. Runs on a schedule, and when asked."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws
from oncall.probe import run
from oncall.services import for_function
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore", "httplib"])
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A schedule's event, or from the command {"run": an id of its own}. Returns how the run went."""
    services = for_function()
    base = services.settings.public_url or services.settings.gateway_url

    def post(webhook: Mapping[str, Any]) -> str:
        token = aws.secret("BEARER_TOKEN_PARAMETER", fresh=True).split()[0]  # two during a change: each is let in
        return run.post(f"{base}/alerts", token, webhook)

    failed = 1
    try:
        outcome = run.run(services, str(event.get("run") or event["id"]), owner=context.aws_request_id, post=post)
        failed = 1 if outcome and outcome.problem else 0
    finally:
        metrics.add_metric(name="ProbeFailures", unit=MetricUnit.Count, value=failed)
    if outcome is None:
        return {"tried": False}
    waited = services.settings.takeover_seconds  # a standby leaves the alert to its primary for so long
    for hop, metric in (("ringing", "ProbeSecondsToRing"), ("acknowledged", "ProbeSecondsToAcknowledge")):
        if hop in outcome.hops:
            metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=outcome.hops[hop] / 1000 - waited)
    return {"tried": True, "problem": outcome.problem, "slack": outcome.slack, "hops": dict(outcome.hops)}
