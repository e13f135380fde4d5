"""ReceiveAlerts: reads the alert group, opens or updates the incident, finds who is on call, decides what to do."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import intake, shadow, wire
from oncall.probe import rules as probe
from oncall.roster import is_shadow
from oncall.services import for_function
from oncall.text import log_line
from oncall.warm import answers_pings

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


@answers_pings(lambda: for_function().table)
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event` has the execution's ARN and its input; returns what the state machine branches on."""
    services = for_function(peer=wire.peer)
    decision = intake.receive(services, event["input"], execution=event["execution"])
    logger.set_correlation_id(next(iter(decision.incidents), None))
    logger.info("decided", action=decision.action, severity=decision.severity, execution=event["execution"])
    policy = decision.page.policy if decision.page else ""
    if not probe.has_own_metrics(policy):
        action = "Shadowed" if is_shadow(policy) else decision.action.title()
        metrics.add_metric(name=f"Alerts{action}", unit=MetricUnit.Count, value=1)
    if is_shadow(policy):
        shadow.note_unrung(services)
    return decision.to_state()
