"""PhoneCall: moves a page on by one step; rings the next responder, or ends it. Places test calls and texts people, too."""

from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws, clock, signals
from oncall.errors import ConfigurationError
from oncall.fallback import Fallback
from oncall.incidents import PROBE_POLICY
from oncall.pages import Handed
from oncall.phone import call_test, sms, step
from oncall.phone.twilio import Telephone, telephone
from oncall.roster import Responder
from oncall.settings import read_settings
from oncall.table import Table
from oncall.text import log_line

logger = Logger(json_serializer=log_line)
tracer = Tracer()
metrics = Metrics()


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str] | None:
    """`event` has the task token, the execution's ARN, and the page and responders that ReceiveAlerts handed on.

    Or, from the command, `test`: a responder's id, the test's id and the gateway's address.
    Or, from PhoneReply, `text`: the policy, page and number of the call in which somebody took it.
    """
    settings = read_settings()
    if "test" in event:
        return _test(event["test"])
    if "text" in event:
        _text(event["text"])
        return None
    page = event["page"]
    logger.set_correlation_id(page.get("incident"))
    desk = step.Desk(
        table=Table(aws.client("dynamodb"), settings.table),
        telephone=_telephone,
        fallback=Fallback(aws.client("sns"), settings.fallback_topic),
        slack=_slack,
        now=clock.now,
        language=settings.language,
        ring_seconds=settings.ring_seconds,
        probe_number=settings.probe_number,
    )
    turn = step.Turn(
        page=Handed.from_state(page) if page["call"] else None,
        responders=[Responder(**responder) for responder in event["responders"]],
        execution=event["execution"],
        token=event["token"],
    )
    try:
        answer = step.advance(desk, turn)
    except ConfigurationError as error:
        desk.fallback.tell(
            "nobody can be called", f"{error}. Until then nobody is rung for incident {page['incident']}."
        )
        raise
    if answer is None:
        logger.info("waiting for a call")
        return None
    logger.info("moved on", result=answer.result, reason=answer.reason, next=answer.next)
    if answer.next == "end" and page.get("policy") != PROBE_POLICY:  # it has metrics of its own
        metrics.add_metric(name=f"Page{answer.result.title()}", unit=MetricUnit.Count, value=1)
    signals.release(aws.client("stepfunctions"), event["token"], answer)
    return None


def _test(request: dict[str, Any]) -> dict[str, str]:
    settings = read_settings()
    desk = call_test.Desk(Table(aws.client("dynamodb"), settings.table), clock.now, settings.language)
    base = settings.public_url or str(request["gateway"])
    return call_test.ring(desk, _telephone, request, base=base, ring_seconds=settings.ring_seconds)


def _text(request: dict[str, Any]) -> None:
    settings = read_settings()
    desk = sms.Desk(Table(aws.client("dynamodb"), settings.table), _telephone, _slack, clock.now, settings.language)
    sms.taken(desk, str(request["policy"]), str(request["page"]), int(request["call"]))


def _slack(incidents: Sequence[str]) -> None:
    settings = read_settings()
    signals.slack_later(aws.client("lambda"), settings.slack_notification_function, incidents)


def _telephone() -> Telephone:
    """The telephone with the secrets as they are now; making it again costs next to nothing."""
    settings = read_settings()
    account_sid, auth_token = aws.secrets("TWILIO_ACCOUNT_SID_PARAMETER", "TWILIO_AUTH_TOKEN_PARAMETER")
    return telephone(
        account_sid,
        auth_token,
        caller_number=settings.caller_number,
        api_url=settings.twilio_api_url,
        text_sender=settings.text_sender,
    )
