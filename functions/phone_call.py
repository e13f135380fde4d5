"""PhoneCall: moves a page on by one step; rings the next responder, or ends it. Places test calls and texts people, too."""

from importlib import import_module
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws
from oncall.errors import ConfigurationError
from oncall.pages import Handed
from oncall.phone import call_test, sms, step
from oncall.phone.twilio import Telephone, telephone
from oncall.probe import rules as probe
from oncall.roster import Responder, is_shadow
from oncall.services import for_function
from oncall.settings import read_settings
from oncall.text import log_line
from oncall.warm import answers_pings

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore", "requests"])
metrics = Metrics()


def _prepare() -> None:
    for_function().table  # noqa: B018  its client is made
    aws.client("ssm")
    import_module("twilio.rest.api")  # as its client does with the first call


@answers_pings(_prepare)
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str] | None:
    """`event` has the task token, the execution's ARN, and the page and responders that ReceiveAlerts handed on.

    Or, from the command, `test`: a responder's id, the test's id and the gateway's address.
    Or, from PhoneReply, `text`: the policy, page and number of the call in which somebody took it.
    """
    services = for_function(telephone=_telephone, callback_secret=lambda: _twilio_secrets()[1])
    if "test" in event:
        base = services.settings.public_url or str(event["test"]["gateway"])
        return call_test.ring(services, event["test"], base=base)
    if "text" in event:
        wish = event["text"]
        sms.taken(services, str(wish["policy"]), str(wish["page"]), int(wish["call"]))
        return None
    page = event["page"]
    logger.set_correlation_id(page.get("incident"))
    turn = step.Turn(
        page=Handed.from_state(page) if page["call"] else None,
        responders=[Responder(**{"phone": "", **one}) for one in event["responders"]],  # their numbers are in the table
        execution=event["execution"],
        token=event["token"],
    )
    try:
        answer = step.advance(services, turn)
    except ConfigurationError as error:
        services.fallback.tell(
            "nobody can be called",
            f"{error}. Until then nobody is rung for incident {page['incident']}: take it with oncall acknowledge "
            f"{page['incident']}, or in Slack.",
        )
        raise
    if answer is None:
        logger.info("waiting for a call")
        return None
    logger.info("moved on", result=answer.result, reason=answer.reason, next=answer.next)
    policy = page.get("policy", "")
    if answer.next == "end" and not (probe.has_own_metrics(policy) or is_shadow(policy)):
        metrics.add_metric(name=f"Page{answer.result.title()}", unit=MetricUnit.Count, value=1)
    services.release(event["token"], answer)
    return None


def _telephone() -> Telephone:
    """The telephone with the secrets as they are now; making it again costs next to nothing."""
    settings = read_settings()
    account_sid, auth_token = _twilio_secrets()
    return telephone(
        account_sid,
        auth_token,
        caller_number=settings.caller_number,
        api_url=settings.twilio_api_url,
        text_sender=settings.text_sender,
    )


def _twilio_secrets() -> tuple[str, str]:
    """The account's SID and its auth token, of which there are two during a change: the first is ours."""
    account_sid, auth_tokens = aws.secrets("TWILIO_ACCOUNT_SID_PARAMETER", "TWILIO_AUTH_TOKEN_PARAMETER")
    return account_sid, auth_tokens.split()[0]
