"""Reconcile: resumes what is due and nobody works on. Runs every minute.

It has Slack's user group follow the rotation, too, and looks after the alarm that watches the monitoring.
"""

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws, clock, reconciler, signals, silence
from oncall.fallback import Fallback
from oncall.settings import read_settings
from oncall.slack import user_group
from oncall.table import Table
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """A schedule's event, or one of Step Functions that an execution failed, timed out or was stopped."""
    settings = read_settings()
    desk = reconciler.Desk(
        table=Table(aws.client("dynamodb"), settings.table),
        start=signals.starter(aws.client("stepfunctions"), settings.state_machine),
        fallback=Fallback(aws.client("sns"), settings.fallback_topic),
        now=clock.now,
        probe_schedule=settings.probe_schedule,
    )
    detail = event.get("detail", {})
    if detail.get("status") in ("ABORTED", "TIMED_OUT"):
        reconciler.bury(desk, str(detail["executionArn"]))
    # What an execution that failed has left comes back with its lease: at once it would only fail again.
    resumed = reconciler.reconcile(desk)
    if settings.slack_user_group and user_group.is_behind(desk.table, settings.slack_user_group, now=clock.now()):
        signals.ask_slack(
            aws.client("lambda"), settings.slack_notification_function, {"user_group": settings.slack_user_group}
        )
    metrics.add_metric(name="Resumed", unit=MetricUnit.Count, value=resumed)
    _watch_monitoring(desk)
    return {"resumed": resumed}


def _watch_monitoring(desk: reconciler.Desk) -> None:
    settings = read_settings()
    client = aws.client("cloudwatch")
    found = client.describe_alarms(AlarmNames=[settings.heartbeat_alarm])["MetricAlarms"]
    if not found:  # the first minutes of a deployment, or somebody has deleted it
        logger.warning("there is no heartbeat alarm", alarm=settings.heartbeat_alarm)
        return
    changed_at = int(found[0]["StateUpdatedTimestamp"].timestamp() * 1000)
    gateway = settings.gateway_url.removeprefix("https://")
    watched = silence.Alarm(settings.heartbeat_alarm, found[0]["StateValue"], changed_at)
    silence.watch(silence.Desk(desk.table, desk.start, gateway, desk.now), watched)
