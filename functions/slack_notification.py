"""SlackNotification: brings Slack up to date. The states SlackAlert and SlackNotification, and what others ask it for.

Nothing else speaks to Slack's API, so nothing else needs the bot token.
"""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from slack_sdk import WebClient

from oncall import aws, redirects, wire
from oncall.peer import shared
from oncall.services import for_function
from oncall.settings import read_settings
from oncall.slack import api, channel, shadow_message, user_group
from oncall.text import log_line
from oncall.warm import answers_pings
from oncall.wire import NoAnswerError

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore", "httplib"])
metrics = Metrics()
redirects.refuse()

SPARE_MS = 35_000  # what one incident may still take: a queue's turn, a look for a lost post, two requests


@answers_pings(lambda: (for_function().table, aws.client("ssm")))
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`incidents` names the incidents; returns whether the channel is up to date, or when to ask again.

    The other stack, if there is one, hears first of what it may ring for too.
    Asked for beside the state machine, `event` may have one of these instead: `tell` ("response_url", "text"), `home`
    ("user", "notice"), `user_group` (its id), `person` (a user's id), `post` ("channel", "text", "undo"),
    `shadow` (to say that something is).
    """
    services = for_function(slack=_slack, peer=wire.peer)
    match event:
        case {"tell": wish}:
            api.tell(str(wish["response_url"]), str(wish["text"]), api_url=services.settings.slack_api_url)
            return {}
        case {"post": wish}:
            api.post(services, str(wish["channel"]), str(wish["text"]), wish.get("undo"))
            return {}
        case {"person": user}:
            api.look_up(services, str(user))
            return {}
        case {"home": wish}:
            api.publish_home(services, str(wish["user"]), str(wish.get("notice", "")))
            return {}
        case {"shadow": _}:
            shadow_message.remind(services)
            return {}
        case {"user_group": group}:
            user_group.follow(services, str(group), lambda name, users: api.set_members(_slack(), name, users))
            return {}
    incidents: list[str] = event["incidents"]
    logger.set_correlation_id(next(iter(incidents), None))
    try:
        shared.tell(services, incidents)
    except NoAnswerError as error:
        logger.warning("the other stack hears of it by the reconciler", reason=str(error))
    until = services.now() + context.get_remaining_time_in_millis() - SPARE_MS
    progress = channel.bring_up_to_date(services, incidents, me=context.aws_request_id, until=until)
    logger.info("brought up to date", done=progress.done, wait_seconds=progress.wait_seconds)
    return asdict(progress)


def _slack() -> WebClient:
    settings = read_settings()
    return WebClient(
        token=aws.secret("SLACK_BOT_TOKEN_PARAMETER"),
        base_url=settings.slack_api_url or WebClient.BASE_URL,
        timeout=channel.TIMEOUT_SECONDS,
        retry_handlers=[],  # a repeated post would be a second message: we look for the first instead
    )
