"""SlackReply: what Slack tells us; pressed buttons, the command /oncall, an opened home. Slack waits for three seconds.

Slack's library is not loaded here: what has to be said to Slack is said by SlackNotification, beside us.
"""

import base64
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from oncall import aws
from oncall.authorization import Parameters
from oncall.services import for_function
from oncall.settings import read_settings
from oncall.slack import buttons, messages, people, signature
from oncall.slack import command as slash_command
from oncall.slack.buttons import Press
from oncall.slack.command import Command
from oncall.slack.people import Access, Person
from oncall.text import log_line
from oncall.warm import answers_pings

logger = Logger(json_serializer=log_line)
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


@answers_pings(lambda: (for_function(aws.HURRY).table, aws.client("ssm")))
@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics(raise_on_empty_metrics=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event with what Slack has signed."""
    body = str(event.get("body") or "")
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode(errors="replace")  # and then its signature does not fit
    if not _is_signed(event, body):
        logger.warning("a request that Slack has not signed was refused")
        metrics.add_metric(name="RequestsRefused", unit=MetricUnit.Count, value=1)
        return _answer(403, "Not signed by Slack, or too old.")
    match str(event["path"]).rsplit("/", 1)[-1]:
        case "commands":
            return _commanded(event, body)
        case "events":
            return _happened(body)
        case _:
            return _pressed(body)


def _pressed(body: str) -> dict[str, Any]:
    """A button was pressed, in a message or in the app's home."""
    payload = _object(_form(body).get("payload", ""))
    if payload is None:
        logger.warning("a request of Slack that is no interaction")
        return _answer(400, "Not an interaction: the form's field payload has no JSON object.")
    action = _first(payload.get("actions"))
    if payload.get("type") != "block_actions":
        logger.info("an interaction that means nothing here", type=str(payload.get("type")))
        return _answer(200, "")
    if strange := _strange(payload):
        if payload.get("response_url"):
            _ask_slack({"tell": {"response_url": str(payload["response_url"]), "text": strange}})
        return _answer(200, "")
    user = _first([payload.get("user")])
    name, value = str(action.get("action_id", "")).partition("/")[0], str(action.get("value", ""))
    if name == messages.LISTED:  # an option of a menu says both
        name, _, value = str(_first([action.get("selected_option")]).get("value", "")).partition("/")
    pressed = Press(
        action=name,
        value=value,
        user=str(user.get("id", "")),
        name=str(user.get("name") or user.get("username") or user.get("id", "")),
        seen_at=_seen_at(str(action.get("block_id", ""))),
        channel=str(_first([payload.get("channel")]).get("id", "")),
    )
    logger.set_correlation_id(pressed.value)
    said = buttons.press(for_function(aws.HURRY), _access(), pressed)
    if _first([payload.get("view")]).get("type") == "home":
        _ask_slack({"home": {"user": pressed.user, "notice": said}})
    elif said and payload.get("response_url"):
        _ask_slack({"tell": {"response_url": str(payload["response_url"]), "text": said}})
    return _answer(200, "")


def _seen_at(block_id: str) -> int | None:
    """When an incident was as its message shows it: the message writes that behind the last slash of its block's id."""
    found = re.fullmatch(r".*/([0-9]{13})", block_id)
    return int(found[1]) if found else None


def _commanded(event: dict[str, Any], body: str) -> dict[str, Any]:
    """Somebody has typed /oncall."""
    form = _form(body)
    if form.get("ssl_check") == "1":
        return _answer(200, "")  # Slack looks at our certificate
    gateway = event["requestContext"]
    command = Command(
        text=form.get("text", ""),
        user=form.get("user_id", ""),
        name=form.get("user_name") or form.get("user_id", ""),
        trigger=form.get("trigger_id", ""),
        gateway=f"{gateway['domainName']}/{gateway['stage']}",
    )
    if not (command.user and command.trigger):
        return _answer(400, "Not a command: the form has no user_id or no trigger_id.")
    text = _strange(form) or slash_command.answer(for_function(aws.HURRY), _access(), command)
    said = {"response_type": "ephemeral", "text": text}
    return _answer(200, json.dumps(said, ensure_ascii=False), kind="application/json; charset=utf-8")


def _happened(body: str) -> dict[str, Any]:
    """Something has happened in the workspace. Slack sends it again when it gets no 2xx, so nothing may be lost or doubled."""
    given = _object(body)
    if given is None:
        return _answer(400, "Not an event: the body is no JSON object.")
    if given.get("type") == "url_verification":
        return _answer(200, str(given.get("challenge", "")))
    happened = _first([given.get("event")])
    if _strange(given):
        return _answer(200, "")
    if happened.get("type") == "app_home_opened" and happened.get("tab") == "home":
        _ask_slack({"home": {"user": str(happened.get("user", ""))}}, must=True)
    return _answer(200, "")


def _strange(payload: dict[str, Any]) -> str:
    """What whoever sends a request is told if it is not of our workspace and app; empty if it is."""
    settings = read_settings()
    why = people.read_pinned(settings.slack_workspace).strange(payload)
    if not why or (why == "outsider" and settings.guests_may_acknowledge):
        return ""
    logger.warning("a request of another workspace or app was refused", why=why)
    _count_refused(why)
    return people.words(settings.language, why)


def _access() -> Access:
    settings = read_settings()
    parameters = Parameters(settings.members_may_all, settings.guests_may_acknowledge)
    return Access(_person, parameters, _count_refused)


def _count_refused(_: str) -> None:
    metrics.add_metric(name="SlackActionsRefused", unit=MetricUnit.Count, value=1)


def _person(user: str, channel: str) -> Person | None:
    """What Slack says of a user, by SlackNotification: nothing else has the bot's token."""
    services = for_function(aws.HURRY)

    def ask(name: str) -> None:
        try:
            wish = json.dumps({"person": name})
            function = services.settings.slack_notification_function
            aws.client("lambda", aws.GLANCE).invoke(FunctionName=function, Payload=wish)
        except (ClientError, BotoCoreError) as error:
            logger.warning("who somebody is was not said in time", error=type(error).__name__)

    return people.person_of(services.table, user, ask, now=services.now(), channel=channel)


def _ask_slack(wish: dict[str, Any], *, must: bool = False) -> None:
    """Asks SlackNotification for something. Raises what botocore raises if it must be asked."""
    try:
        for_function(aws.HURRY).ask_slack(wish)
    except (ClientError, BotoCoreError) as error:
        if must:
            raise
        logger.warning("whoever pressed is not told", error=type(error).__name__)


def _form(body: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}


def _object(text: str) -> dict[str, Any] | None:
    """A JSON object, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _first(values: object) -> dict[str, Any]:
    """The first of a list, if it is an object; else an empty one."""
    return values[0] if isinstance(values, list) and values and isinstance(values[0], dict) else {}


def _is_signed(event: dict[str, Any], body: str) -> bool:
    """Whether Slack has signed the request with the secret that SSM has, or has had until just now."""
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    return any(
        signature.is_valid(
            aws.secret("SLACK_SIGNING_SECRET_PARAMETER", fresh=fresh),
            timestamp=headers.get("x-slack-request-timestamp", ""),
            body=body,
            signature=headers.get("x-slack-signature", ""),
            now=time.time(),
        )
        for fresh in (False, True)
    )


def _answer(status: int, body: str, kind: str = "text/plain") -> dict[str, Any]:
    return {"statusCode": status, "headers": {"Content-Type": kind}, "body": body}
