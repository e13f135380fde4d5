"""SlackNotification: brings Slack up to date. The states SlackAlert and SlackNotification, and what others ask it for.

Nothing else speaks to Slack's API, so nothing else needs the bot token.
"""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from slack_sdk import WebClient

from oncall import config, slack_channel, slack_errands, times, user_group
from oncall.fallback import Fallback
from oncall.store import Table

logger = Logger()
tracer = Tracer()
metrics = Metrics()

SPARE_MS = 35_000  # what one incident may still take: a queue's turn, a look for a lost post, two requests


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`incidents` names the incidents; returns whether the channel is up to date, or when to ask again.

    Asked for beside the state machine, `event` may have one of these instead: `tell` ("response_url", "text"), `home`
    ("user", "notice"), `user_group` (its id).
    """
    settings = config.settings()
    match event:
        case {"tell": wish}:
            slack_errands.tell(str(wish["response_url"]), str(wish["text"]), api_url=settings.slack_api_url)
            return {}
        case {"home": wish}:
            errand = slack_errands.Desk(
                Table(config.client("dynamodb"), settings.table), _slack, times.now, settings.language
            )
            slack_errands.publish_home(errand, str(wish["user"]), str(wish.get("notice", "")))
            return {}
        case {"user_group": group}:
            follower = user_group.Desk(
                table=Table(config.client("dynamodb"), settings.table),
                set_members=lambda name, users: slack_errands.set_members(_slack(), name, users),
                fallback=Fallback(config.client("sns"), settings.fallback_topic),
                now=times.now,
            )
            user_group.follow(follower, str(group))
            return {}
    incidents: list[str] = event["incidents"]
    logger.set_correlation_id(next(iter(incidents), None))
    desk = slack_channel.Desk(
        table=Table(config.client("dynamodb"), settings.table),
        slack=_slack,
        fallback=Fallback(config.client("sns"), settings.fallback_topic),
        now=times.now,
        language=settings.language,
    )
    until = times.now() + context.get_remaining_time_in_millis() - SPARE_MS
    progress = slack_channel.bring_up_to_date(desk, incidents, me=context.aws_request_id, until=until)
    logger.info("brought up to date", done=progress.done, wait_seconds=progress.wait_seconds)
    return asdict(progress)


def _slack() -> WebClient:
    settings = config.settings()
    return WebClient(
        token=config.secret("SLACK_BOT_TOKEN_PARAMETER"),
        base_url=settings.slack_api_url or WebClient.BASE_URL,
        timeout=slack_channel.TIMEOUT_SECONDS,
        retry_handlers=[],  # a repeated post would be a second message: we look for the first instead
    )
