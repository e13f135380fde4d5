"""Reconcile: resumes what is due and nobody works on. Runs every minute.

Before that it speaks with the other stack, if there is one. It has Slack's user group follow the rotation, too, says once
a week what is in shadow, looks after the alarm that watches the monitoring, and after heartbeats, and keeps the functions
on the way of a page warm.
"""

from itertools import count
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import heartbeats, reconciler, shadow, silence, warm, wire
from oncall.fallback import Fallback
from oncall.peer import minute
from oncall.services import Services, for_function
from oncall.slack import user_group
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()

# CloudWatch takes a cent for a thousand looks at the heartbeat alarm, and EventBridge tells of its changes at once.
LOOK_EVERY = 5  # runs
PING_EVERY = 2  # runs; Lambda keeps what waits for at least some minutes
runs = count()  # of this environment


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """A schedule's event, or one of Step Functions that an execution failed, timed out or was stopped.

    Or, from the command, `exchange`: only speaks with the other stack, and says whether that was `heard`.
    """
    services = for_function(peer=wire.peer)
    settings = services.settings
    detail = event.get("detail", {})
    if detail.get("status") in ("ABORTED", "TIMED_OUT"):
        reconciler.bury(services, str(detail["executionArn"]))
    failed: Exception | None = None
    try:
        is_heard = minute.look(
            services,
            base=settings.public_url or settings.gateway_url,
            is_asked=bool(event.get("exchange")),
            is_minute="status" not in detail,
        )
        if event.get("exchange"):
            return {"heard": is_heard}
    except Exception as error:  # whatever is wrong between the stacks: this one has to go on
        logger.exception("the other stack could not be followed", error=type(error).__name__)
        failed = error
    # What an execution that failed has left comes back with its lease: at once it would only fail again.
    resumed = reconciler.reconcile(services)
    if settings.slack_user_group and user_group.is_behind(
        services.table, settings.slack_user_group, now=services.now()
    ):
        services.ask_slack({"user_group": settings.slack_user_group})
    if shadow.is_to_be_told(services):
        services.ask_slack({"shadow": {}})
    if resumed:  # a metric is paid for by the hours that it has points in
        metrics.add_metric(name="Resumed", unit=MetricUnit.Count, value=resumed)
    gateway = settings.gateway_url.removeprefix("https://")
    heartbeats.watch(services, gateway, heard_only=bool(settings.takeover_seconds))
    _do_now_and_then(services, next(runs))
    if detail.get("status") in ("FAILED", "TIMED_OUT", "ABORTED"):  # last: whatever SNS does, the rest is done
        _tell_of_end(services.fallback, str(detail["executionArn"]), detail["status"])
    if failed:
        raise failed
    return {"resumed": resumed}


def _do_now_and_then(services: Services, run: int) -> None:
    """What costs something for each time, and need not be done every minute."""
    if run % PING_EVERY == 0:
        warm.keep(services.client("lambda"), services.settings.kept_warm)
    if services.settings.heartbeat_alarm and run % LOOK_EVERY == 0:
        _watch_monitoring(services)


def _tell_of_end(fallback: Fallback, execution: str, status: str) -> None:
    """The alarm tells that something failed, this tells which execution."""
    name = execution.rpartition(":")[2]
    resumed = "Its page, if it had one, is resumed within two minutes."
    fallback.tell(
        f"the execution {name} ended as {status}",
        f"The execution {name} ended as {status}. {resumed}\nLook at {execution}",
    )


def _watch_monitoring(services: Services) -> None:
    name = services.settings.heartbeat_alarm
    client = services.client("cloudwatch")
    found = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not found:  # the first minutes of a deployment, or somebody has deleted it
        logger.warning("there is no heartbeat alarm", alarm=name)
        return
    changed_at = int(found[0]["StateUpdatedTimestamp"].timestamp() * 1000)
    silence.watch(services, silence.Alarm(name, found[0]["StateValue"], changed_at))
