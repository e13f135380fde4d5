"""PhoneCall: moves a page on by one step; rings the next responder, or ends it. Places test calls and texts people, too."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from oncall import aws, providers
from oncall.errors import ConfigurationError
from oncall.pages import Handed
from oncall.phone import call_test, sms, step, turn
from oncall.phone.provider import UnavailableError
from oncall.phone.twilio import Telephone, telephone
from oncall.probe import rules as probe
from oncall.roster import Responder, is_shadow
from oncall.services import Services, for_function
from oncall.settings import read_settings
from oncall.text import log_line
from oncall.warm import answers_pings

if TYPE_CHECKING:
    from oncall.phone.provider import Provider

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
    Or, from Reconcile, `check`: the name of a telephone provider that is down.
    Or, from PhoneReply, `hang_up`: the provider and id of a call that began to ring when its page was over.
    Or, from PhoneReply, `text`: the policy, page and number of the call in which somebody took it.
    """
    services = for_function(
        telephone=_telephone,
        second=_second if read_settings().telnyx_application else None,
        callback_secret=lambda: _twilio_secrets()[1],
    )
    if "check" in event:
        _check(services, str(event["check"]))
        return None
    if "hang_up" in event:
        turn.provider(services, str(event["hang_up"]["provider"])).cancel(str(event["hang_up"]["sid"]))
        return None
    if "test" in event:
        base = services.settings.public_url or str(event["test"]["gateway"])
        return call_test.ring(services, event["test"], base=base)
    if "text" in event:
        wish = event["text"]
        sms.taken(services, str(wish["policy"]), str(wish["page"]), int(wish["call"]))
        return None
    page = event["page"]
    logger.set_correlation_id(page.get("incident"))
    entry = turn.Turn(
        page=Handed.from_state(page) if page["call"] else None,
        responders=[Responder(**{"phone": "", **one}) for one in event["responders"]],  # their numbers are in the table
        execution=event["execution"],
        token=event["token"],
    )
    try:
        answer = step.advance(services, entry)
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
        says_ringing=bool(settings.telnyx_application),
    )


def _twilio_secrets() -> tuple[str, str]:
    """The account's SID and its auth token, of which there are two during a change: the first is ours."""
    account_sid, auth_tokens = aws.secrets("TWILIO_ACCOUNT_SID_PARAMETER", "TWILIO_AUTH_TOKEN_PARAMETER")
    return account_sid, auth_tokens.split()[0]


def _second() -> "Provider":
    """The second provider, with its key as it is now."""
    from oncall.phone import telnyx  # noqa: PLC0415  the first ring does not wait for it

    settings = read_settings()
    return telnyx.Telnyx(
        api_key=aws.secret("TELNYX_API_KEY_PARAMETER"),
        account_sid=settings.telnyx_account,
        application=settings.telnyx_application,
        caller_number=settings.telnyx_caller_number,
        api_url=settings.telnyx_api_url or telnyx.API_URL,
    )


def _check(services: Services, name: str) -> None:
    """Asks a provider that is down whether it answers again. One that is not set up any more is forgotten."""
    try:
        if name == providers.TWILIO or services.second:
            turn.provider(services, name).check()
    except UnavailableError as error:
        logger.warning("a telephone provider is still down", provider=name, reason=str(error))
        return
    providers.prove(services.table, name)
    logger.info("a telephone provider answers again", provider=name)
