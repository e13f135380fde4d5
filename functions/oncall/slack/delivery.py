"""Requests to Slack, each in its turn: a queue for the messages of each channel, and one for all updates.

Slack takes about one message a second and channel, and refuses what is too much with how long to wait. Turns are handed out
by the table, so that hardly a request is refused however many are at work at the same time; after one that is, all wait.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast

from aws_lambda_powertools import Logger
from slack_sdk.errors import SlackApiError

from oncall.errors import ConfigurationError
from oncall.services import Services
from oncall.table import ConditionFailedError, Update

logger = Logger(child=True)

# Slack's errors that last until a person does something.
WRONG = frozenset(
    {
        *("channel_not_found", "not_in_channel", "is_archived", "restricted_action", "ekm_access_denied"),
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"),
        *("no_permission", "team_access_not_granted", "access_denied"),
    }
)
# Slack's errors about the blocks of a message. Its words alone are better than no message.
BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "blocks_mismatch"})
# Slack's errors when somebody has deleted the message, or it is too old to be changed.
GONE = frozenset({"message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed"})


class NotNowError(Exception):
    """Slack did not take it this time.

    `seconds` is how long to wait, `code` Slack's error, `wrong` the same if a person has to fix something.
    """

    def __init__(self, reason: str, *, seconds: int, code: str = "", wrong: str = "") -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.code = code
        self.wrong = wrong


class TurnError(NotNowError):
    """Its turn in a queue comes later: nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What has to wait for one another, so many milliseconds apart: always, or for as long as Slack has refused one."""

    name: str
    spacing_ms: int
    is_always: bool = True


def posts(channel: str) -> Queue:
    """The messages of a channel. Slack: about one a second."""
    return Queue(channel, 1_100)


# Of all messages. Slack: chat.update about 50 a minute, and many at once if there were few before.
UPDATES = Queue("UPDATES", 1_250, is_always=False)


def say(services: Services, method: str, blocks: list[dict[str, Any]] | None, **arguments: Any) -> Mapping[str, Any]:
    """Posts or updates a message. Its words alone, should Slack refuse its blocks. Raises NotNowError."""
    if not blocks:
        return call(services, method, **arguments)
    try:
        return call(services, method, blocks=blocks, **arguments)
    except NotNowError as error:
        if error.code not in BLOCKS_REFUSED:
            raise
        logger.exception("Slack refuses the blocks of a message, so it goes without", code=error.code)
        return call(services, method, **arguments)


def call(services: Services, method: str, **arguments: Any) -> Mapping[str, Any]:
    """One request to Slack. Raises NotNowError."""
    try:
        answer = getattr(services.slack(), method)(**arguments)
    except SlackApiError as error:
        code = str(error.response.get("error", ""))[:100]
        if error.response.status_code == 429:
            seconds = _retry_after(error.response.headers)
            _rest(services, method, str(arguments.get("channel", "")), seconds)
            raise NotNowError("Slack asks for patience", seconds=seconds) from error
        wrong = code if code in WRONG else ""
        reason = f"Slack answered {code or error.response.status_code}"
        raise NotNowError(reason, seconds=60 if wrong else 10, code=code, wrong=wrong) from error
    except ConfigurationError as error:
        raise NotNowError(str(error), seconds=60, wrong=str(error)) from error
    except (OSError, HTTPException) as error:
        raise NotNowError(f"Slack did not answer ({type(error).__name__})", seconds=10) from error
    return cast("Mapping[str, Any]", answer)


def _retry_after(headers: Mapping[str, Any]) -> int:
    """Slack's Retry-After in seconds; slack_sdk gives each header as a list or a text."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "1")
    first = value[0] if isinstance(value, list) else value
    return int(first) if str(first).isdigit() else 1


def _rest(services: Services, method: str, channel: str, seconds: int) -> None:
    """Lets all who want the same of Slack wait as long as it said."""
    queue = {"chat_update": UPDATES, "chat_postMessage": posts(channel)}.get(method)
    if queue is None:
        return
    now = services.now()
    until = now + seconds * 1000
    with suppress(ConditionFailedError):  # they wait longer
        services.table.update(
            Update(
                _partition(queue),
                "TURN",
                set={"next": until, "expires_at": now // 1000 + 86_400},
                condition="attribute_not_exists(#next) OR #next < :until",
                values={"until": until},
            )
        )


def _partition(queue: Queue) -> str:
    return f"SLACK#{queue.name}"


# Until when each queue of a table was one when this environment looked last. It only grows.
_queued_until: dict[tuple[str, str], int] = {}


def is_far_off(services: Services, queue: Queue, moment: int) -> bool:
    """Whether a queue's next turn is after a moment, as far as this environment knows."""
    return _queued_until.get((services.table.name, queue.name), 0) > moment


def next_turns(services: Services, queue: Queue, count: int = 1) -> list[int]:
    """Takes a queue's next free turns (epoch milliseconds)."""
    now, pk, length = services.now(), _partition(queue), count * queue.spacing_ms
    is_queued = is_far_off(services, queue, now)
    if not queue.is_always and not is_queued:
        there = services.table.get(pk, "TURN")
        if there is None or there["next"] <= now:
            return [now] * count
    free = Update(
        pk,
        "TURN",
        set={"next": now + length, "expires_at": now // 1000 + 86_400},
        condition="attribute_not_exists(#next) OR #next <= :now",
        values={"now": now},
    )
    queued = Update(pk, "TURN", add={"next": length}, condition="#next > :now", values={"now": now})
    tries = [queued, free] if is_queued else [free, queued]
    while True:
        for way in tries:
            try:
                following = int(services.table.update(way)["next"])
            except ConditionFailedError:
                continue
            _queued_until[services.table.name, queue.name] = following
            return list(range(following - length, following, queue.spacing_ms))
