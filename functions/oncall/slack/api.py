"""What SlackNotification does for others beside incidents: a word to one person, somebody's home, the user group.

And who somebody is, which nobody else may ask Slack.
"""

from collections.abc import Mapping
from http.client import HTTPException
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from oncall import roster
from oncall.authorization import Kind, Parameters
from oncall.clock import at
from oncall.services import Services
from oncall.slack import buttons, command, home, people
from oncall.slack.people import Access, Person, Reader
from oncall.slack.user_group import RefusedError

logger = Logger(child=True)

TIMEOUT_SECONDS = 10  # of one request to Slack
MOST_CHANNELS = 999  # of one answer (Slack: limit)
# Slack's errors that pass by themselves.
PASSING = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"})


def tell(response_url: str, text: str, *, api_url: str = "") -> None:
    """Says something to the one who pressed a button, and to nobody else. Slack: within 30 minutes of the press.

    Only to Slack: the address came with a request, and whoever knew the signing secret could name any other. `api_url` is
    that of Slack's API if it stands elsewhere.
    """
    if not _is_slacks(response_url, api_url):
        logger.warning("whoever pressed could not be told: the address is not Slack's")
        return
    client = WebhookClient(response_url, timeout=TIMEOUT_SECONDS, retry_handlers=[])
    try:
        answer = client.send(text=text, response_type="ephemeral", replace_original=False)
    except (OSError, HTTPException) as error:
        logger.warning("whoever pressed could not be told", error=type(error).__name__)
        return
    if answer.status_code != 200:
        logger.warning("whoever pressed could not be told", status=answer.status_code, error=answer.body[:100])


def _is_slacks(url: str, api_url: str) -> bool:
    """Slack: a response_url begins with https://hooks.slack.com; it stands beside the API, or with it, if that is elsewhere."""
    known = {("https", "hooks.slack.com")}
    if api_url:
        api = urlsplit(api_url)
        known |= {(api.scheme, api.netloc), (api.scheme, f"hooks.{api.netloc}")}
    try:
        return urlsplit(url)[:2] in known
    except ValueError:  # no address at all
        return False


def post(services: Services, channel: str, text: str, undo: Mapping[str, str] | None = None) -> None:
    """Posts a line of mrkdwn in a channel, with a button that undoes what it tells of (`value`, `label`)."""
    blocks: list[dict[str, object]] = [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]
    if undo:
        label = {"type": "plain_text", "text": undo["label"]}
        button = {"type": "button", "text": label, "action_id": buttons.UNDO_SHIFT, "value": undo["value"]}
        blocks.append({"type": "actions", "elements": [button]})
    try:
        services.slack().chat_postMessage(channel=channel, text=text, blocks=blocks)
    except SlackApiError as error:
        logger.warning("a channel could not be told", channel=channel, error=_code(error))
    except (OSError, HTTPException) as error:
        logger.warning("a channel could not be told", channel=channel, error=type(error).__name__)


def publish_home(services: Services, user: str, notice: str = "") -> None:
    """Shows a user the app's home as it is now. Done again, it is the same."""
    known, _ = roster.read_items(services.table.query(roster.PARTITION))
    reader = Reader(user, known, _access(services), at(services.now()))
    found, count = command.open_incidents(services.table, services.now(), home.MOST_INCIDENTS, reader.sees)
    try:
        shown = home.view(reader, found, count=count, language=services.settings.language, notice=notice)
        services.slack().views_publish(user_id=user, view=shown)
    except SlackApiError as error:
        logger.warning("a home could not be shown", error=_code(error))
    except (OSError, HTTPException) as error:
        logger.warning("a home could not be shown", error=type(error).__name__)


def _access(services: Services) -> Access:
    """As SlackReply has it, but that Slack is asked here."""

    def person(user: str, channel: str) -> Person | None:
        now = services.now()
        return people.person_of(services.table, user, lambda one: look_up(services, one), now=now, channel=channel)

    settings = services.settings
    return Access(person, Parameters(settings.members_may_all, settings.guests_may_acknowledge))


def look_up(services: Services, user: str) -> None:
    """Keeps what Slack says of a user. Slack: `is_restricted` a guest, `is_ultra_restricted` one of a single channel,
    `is_stranger` of another organisation. If Slack cannot say it (a scope is missing, it is ill), they count as a member for a
    minute: nobody who is awake is locked out, and members may only acknowledge.
    """
    channels = _channels_of(services, user)
    kind: Kind = "member"
    is_sure = True
    try:
        found = services.slack().users_info(user=user)["user"]
    except SlackApiError as error:
        if _code(error) in ("user_not_found", "user_not_visible"):
            kind = "outsider"
        else:
            logger.warning("Slack does not say who somebody is", error=_code(error))
            is_sure = False
    except (OSError, HTTPException) as error:
        logger.warning("Slack does not say who somebody is", error=type(error).__name__)
        is_sure = False
    else:
        if found.get("is_stranger"):
            kind = "outsider"
        elif found.get("is_restricted") or found.get("is_ultra_restricted"):
            kind = "guest"
    is_sure = is_sure and channels is not None
    people.keep(services.table, user, Person(kind, channels), is_sure=is_sure, now=services.now())


def _channels_of(services: Services, user: str) -> frozenset[str] | None:
    """The channels that a user shares with the app, by their ids and by their names after #; None if Slack does not say.

    Slack: with a bot's token users.conversations lists those that the bot is in, too; so no others are lost that matter.
    """
    try:
        found = services.slack().users_conversations(
            user=user, types="public_channel,private_channel", exclude_archived=True, limit=MOST_CHANNELS
        )["channels"]
    except SlackApiError as error:
        logger.warning("Slack does not say which channels somebody is in", error=_code(error))
        return None
    except (OSError, HTTPException) as error:
        logger.warning("Slack does not say which channels somebody is in", error=type(error).__name__)
        return None
    return frozenset(name for one in found for name in (str(one["id"]), f"#{one.get('name', '')}"))


def set_members(slack: WebClient, group: str, users: list[str]) -> None:
    """Gives a user group its members. Raises RefusedError."""
    try:
        slack.usergroups_users_update(usergroup=group, users=users)
    except SlackApiError as error:
        code = _code(error)
        may_pass = code in PASSING or error.response.status_code >= 429
        raise RefusedError(code, may_pass=may_pass) from error
    except (OSError, HTTPException) as error:
        raise RefusedError(f"no answer ({type(error).__name__})", may_pass=True) from error


def _code(error: SlackApiError) -> str:
    return str(error.response.get("error", error.response.status_code))[:100]
