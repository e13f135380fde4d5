"""The SlackAlert and SlackNotification steps: bring the channel up to date with an incident.

Slack is a projection of the timeline: the incident's message, then every event that the thread has not yet. Whoever
asks, however often and beside whom, the result is the same: one projector at a time holds the incident's Slack lease;
what is about to be posted is noted first, with a key that the message carries as metadata, so that a post whose answer
was lost is found in the channel and not posted again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Any, cast

from aws_lambda_powertools import Logger
from slack_sdk.errors import SlackApiError

from oncall import incidents, pages, roster, shadow
from oncall.errors import ConfigurationError
from oncall.incidents import Incident, Posting, TimelineEvent
from oncall.services import Services
from oncall.slack import messages, probe_message
from oncall.table import DUE, ConditionFailedError, Update
from oncall.text import unlinked

logger = Logger(child=True)

TIMEOUT_SECONDS = 10  # of one request to Slack
LEASE_MS = 60_000  # longer than the function's time limit allows one incident to take
SPACING_MS = 1_100  # Slack: about one message a second and channel
SHORT_WAIT_MS = 3_000  # a turn that comes so soon is waited for in the function
BEHIND_MS = 900_000  # after this long without success the execution ends, and the reconciler goes on
EVENT_TYPE = "oncall_incident"  # of the messages' metadata
_BEHIND = ("slack_wrong", "slack_behind_since")  # attributes of an incident that Slack does not show yet

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


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the channel is: done, or to be asked for again in so many seconds."""

    done: bool
    wait_seconds: int = 0


DONE = Progress(done=True)
BUSY = Progress(done=False, wait_seconds=2)  # somebody else is at it, and looks for changes before he leaves
CHANGED = Progress(done=False, wait_seconds=1)  # while we were at it


def bring_up_to_date(services: Services, incident_ids: list[str], *, me: str, until: int) -> Progress:
    """Brings the channel up to date with incidents, as many as fit until a time (epoch milliseconds).

    `me` tells this projector from others. Never raises for Slack's sake: what Slack does not take comes later.
    """
    waits = []
    for incident in incident_ids:
        if services.now() > until:
            waits.append(1)
            break
        try:
            while (progress := _project(services, incident, me=me)) == CHANGED and services.now() <= until:
                pass  # who has changed it found us at it, and may not ask again
        except NotNowError as error:
            progress = _later(services, incident, error)
        if not progress.done:
            waits.append(progress.wait_seconds)
            if len(waits) >= 3:  # Slack has enough for now
                break
    return Progress(done=not waits, wait_seconds=max(waits, default=0))


def _project(services: Services, incident_id: str, *, me: str) -> Progress:
    now = services.now()
    incident = incidents.read(services.table, incident_id)
    if incident is None or incident.slack.version >= incident.version:
        return DONE
    if incident.peer_until > now and not incident.slack.is_own:
        with suppress(ConditionFailedError):  # it changed meanwhile: still due
            incidents.note(
                services.table,
                incident_id,
                {"slack_version": incident.version},
                remove=(DUE, "due_at"),
                condition="#version = :version",
                values={"version": incident.version},
            )
        return DONE  # the other stack tells it, in the same message
    if incident.is_probe and incident.state != "resolved":
        return DONE  # told in one quiet line, when it is over
    try:
        incident = incidents.note(
            services.table,
            incident_id,
            {"slack_lease": now + LEASE_MS, "slack_owner": me},
            condition="attribute_not_exists(#slack_lease) OR #slack_lease < :now OR #slack_owner = :me",
            values={"now": now, "me": me},
        )
    except ConditionFailedError:
        return BUSY
    try:
        _write(services, incident)
    finally:
        with suppress(ConditionFailedError):  # the lease ran out, and somebody else has it
            incidents.note(
                services.table,
                incident_id,
                remove=("slack_lease", "slack_owner"),
                condition="#slack_owner = :me",
                values={"me": me},
            )
    current = incidents.read(services.table, incident_id) or incident
    return DONE if current.slack.version >= current.version else CHANGED


def _write(services: Services, incident: Incident) -> None:
    """Posts or updates the message, then the thread's missing lines. Raises NotNowError."""
    language = incident.language or services.settings.language
    may_ring = incident.state == "triggered" and incident.severity == "critical" and incident.call
    page = pages.read(services.table, incident.policy) if may_ring else None
    is_probe = incident.is_probe
    is_shadow = shadow.rings_nobody(services.settings, incident.policy)
    text, blocks = (
        probe_message.message(incident, language)
        if is_probe
        else messages.message(incident, language, page, is_shadow=is_shadow)
    )
    look = hashlib.sha256(json.dumps([text, blocks]).encode()).hexdigest()[:32]
    table, name = services.table, incident.id
    if not incident.slack.ts:
        channel, ts, posted = _post(services, incident, what="message", look=look, text=text, blocks=blocks)
        changes = {"slack_channel": channel, "slack_ts": ts, "slack_thread": 0}
        changes |= {"slack_shown": posted.version, "slack_look": posted.look}
        incident = incidents.note(table, name, changes, remove=("slack_posting",))
    elif incident.slack.shown < incident.version:
        if incident.slack.look != look:  # else nothing that it shows has changed
            incidents.note(table, name, remove=("slack_look",))  # if no answer comes, it is not known
            _update(services, incident, text, blocks)
        incident = incidents.note(table, name, {"slack_shown": incident.version, "slack_look": look})
    shown = incident.slack.shown
    events = incidents.timeline(table, name, after=incident.slack.thread)
    people = _people(services) if any(event.in_thread for event in events) and not is_probe else {}
    for event in events:
        if event.in_thread and not is_probe:
            beside = _beside(services, incident, event)
            words = messages.line(event, language, people, mentions=not is_shadow, beside=beside)
            _reply(services, incident, event, words)
        incident = incidents.note(table, name, {"slack_thread": event.number}, remove=("slack_posting",))
    if incident.slack.wrong:  # fixed: the next time is news again
        for channel in {incident.slack.channel, incident.channel}:
            table.update(Update(f"SLACK#{channel}", "WRONG", remove=("wrong",)))
    _note_told(services, incident, min(shown, incident.slack.thread))


def _beside(services: Services, incident: Incident, event: TimelineEvent) -> dict[str, Incident]:
    """The other incidents that an event names, by their ids: those that are told in the same channel."""
    named = [*event.detail.get("others", ()), *([event.detail["lead"]] if "lead" in event.detail else [])]
    found = (incidents.read(services.table, name) for name in named)
    return {other.id: other for other in found if other and other.channel == incident.channel}


def _note_told(services: Services, incident: Incident, told: int) -> None:
    """Notes up to which version Slack is told of an incident: nothing is due any more, except a reminder."""
    due = {DUE: DUE, "due_at": incident.remind_at} if incident.state == "acknowledged" and incident.remind_at else {}
    done: dict[str, object] = {"slack_version": told, **({} if incident.slack.link else _link(services, incident))}
    try:
        incidents.note(
            services.table,
            incident.id,
            {**done, **due},
            remove=_BEHIND if due else (*_BEHIND, DUE, "due_at"),
            condition="#version = :version",
            values={"version": told},
        )
    except ConditionFailedError:
        incidents.note(services.table, incident.id, done)  # it changed meanwhile: still due


def _link(services: Services, incident: Incident) -> dict[str, str]:
    """The message's address, for text messages, as an attribute; nothing if Slack does not say: then they do without."""
    try:
        answer = _call(services, "chat_getPermalink", channel=incident.slack.channel, message_ts=incident.slack.ts)
    except NotNowError as error:
        logger.warning("the message's address is not known", incident=incident.id, reason=str(error))
        return {}
    return {"slack_link": str(answer["permalink"])}


def _people(services: Services) -> dict[str, str]:
    """The Slack users of the roster's responders, by name. Who shares a name with another is not mentioned."""
    known, _ = roster.read_items(services.table.query(roster.PARTITION))
    names = Counter(responder.name for responder in known.responders.values())
    return {
        responder.name: responder.slack_user
        for responder in known.responders.values()
        if responder.slack_user and names[responder.name] == 1
    }


def _is_news(services: Services, channel: str, wrong: str) -> bool:
    """Whether nobody has been told yet what is wrong with a channel; notes that it is told now."""
    try:
        told = Update(
            f"SLACK#{channel}",
            "WRONG",
            set={"wrong": wrong, "expires_at": services.now() // 1000 + 86_400},
            condition="attribute_not_exists(#wrong) OR #wrong <> :wrong",
            values={"wrong": wrong},
        )
        services.table.update(told)
    except ConditionFailedError:
        return False
    return True


def _update(services: Services, incident: Incident, text: str, blocks: list[dict[str, Any]]) -> None:
    """Updates the message. One that somebody has deleted is posted anew. Raises NotNowError."""
    try:
        _say(services, "chat_update", blocks, channel=incident.slack.channel, ts=incident.slack.ts, text=text)
    except NotNowError as error:
        _forget_if_gone(services, incident, error)
        raise


def _reply(services: Services, incident: Incident, event: TimelineEvent, words: str) -> None:
    """Posts a line of the thread; a loud one to the channel as well. Raises NotNowError."""
    more: dict[str, Any] = {"reply_broadcast": True} if messages.is_loud(event) else {}
    try:
        _post(services, incident, what=f"event {event.number}", text=words, thread_ts=incident.slack.ts, **more)
    except NotNowError as error:
        _forget_if_gone(services, incident, error)
        raise


def _forget_if_gone(services: Services, incident: Incident, error: NotNowError) -> None:
    """A message that somebody has deleted is posted anew the next time, with its thread."""
    if error.code in GONE:
        incidents.note(services.table, incident.id, remove=("slack_ts", "slack_link"))


def _post(
    services: Services,
    incident: Incident,
    *,
    what: str,
    text: str,
    look: str = "",
    blocks: list[dict[str, Any]] | None = None,
    **more: Any,
) -> tuple[str, str, Posting]:
    """Posts a message once. Returns its channel, its ts, and what it shows. Raises NotNowError."""
    channel, key = incident.slack.channel or incident.channel, f"{incident.id} {what}"
    posting = incident.slack.posting
    if posting and posting.what == what:
        found = _find(services, channel, key, since=posting.at, thread=more.get("thread_ts"))
        if found:
            return channel, found, posting  # it may have been posted long before
    _take_turn(services, incident, channel)
    posting = Posting(what, services.now(), incident.version, look)
    incidents.note(services.table, incident.id, {"slack_posting": asdict(posting)})
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key}}
    answer = _say(
        services,
        "chat_postMessage",
        blocks,
        channel=channel,
        text=text,
        metadata=metadata,
        unfurl_links=False,
        unfurl_media=False,
        **more,
    )
    return str(answer["channel"]), str(answer["ts"]), posting


def _find(services: Services, channel: str, key: str, *, since: int, thread: str | None) -> str | None:
    """The ts of a message that was posted although its answer was lost."""
    oldest = f"{since / 1000 - 60:.6f}"
    if thread:
        answer = _call(
            services,
            "conversations_replies",
            channel=channel,
            ts=thread,
            oldest=oldest,
            include_all_metadata=True,
            limit=200,
        )
    else:
        answer = _call(
            services, "conversations_history", channel=channel, oldest=oldest, include_all_metadata=True, limit=200
        )
    for message in answer["messages"]:
        if message.get("metadata", {}).get("event_payload", {}).get("key") == key:
            return str(message["ts"])
    return None


def _take_turn(services: Services, incident: Incident, channel: str) -> None:
    """Waits for this post's turn in the channel, so that a storm of incidents does not run into Slack's limit.

    Raises NotNowError when the turn is far off; it is kept for the incident until then.
    """
    now = services.now()
    turn = incident.slack.turn
    if not turn or turn < now - 30_000:
        turn = _next_turn(services, channel, now)
    if turn - now > SHORT_WAIT_MS:
        incidents.note(services.table, incident.id, {"slack_turn": turn})
        raise NotNowError("the channel has a queue", seconds=-(-(turn - now) // 1000))
    if turn > now:
        services.sleep((turn - now) / 1000)
    if incident.slack.turn:
        incidents.note(services.table, incident.id, remove=("slack_turn",))


def _next_turn(services: Services, channel: str, now: int) -> int:
    """Takes the channel's next free turn (epoch milliseconds)."""
    pk = f"SLACK#{channel}"
    while True:
        try:
            free = Update(
                pk,
                "TURN",
                set={"next": now + SPACING_MS, "expires_at": now // 1000 + 86_400},
                condition="attribute_not_exists(#next) OR #next <= :now",
                values={"now": now},
            )
            services.table.update(free)
        except ConditionFailedError:
            try:
                queued = Update(pk, "TURN", add={"next": SPACING_MS}, condition="#next > :now", values={"now": now})
                return int(services.table.update(queued)["next"]) - SPACING_MS
            except ConditionFailedError:
                continue
        return now


def _say(services: Services, method: str, blocks: list[dict[str, Any]] | None, **arguments: Any) -> Mapping[str, Any]:
    """Posts or updates a message. Its words alone, should Slack refuse its blocks. Raises NotNowError."""
    if not blocks:
        return _call(services, method, **arguments)
    try:
        return _call(services, method, blocks=blocks, **arguments)
    except NotNowError as error:
        if error.code not in BLOCKS_REFUSED:
            raise
        logger.exception("Slack refuses the blocks of a message, so it goes without", code=error.code)
        return _call(services, method, **arguments)


def _call(services: Services, method: str, **arguments: Any) -> Mapping[str, Any]:
    """One request to Slack. Raises NotNowError."""
    try:
        answer = getattr(services.slack(), method)(**arguments)
    except SlackApiError as error:
        code = str(error.response.get("error", ""))[:100]
        if error.response.status_code == 429:
            raise NotNowError("Slack asks for patience", seconds=_retry_after(error.response.headers)) from error
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


def _later(services: Services, incident_id: str, error: NotNowError) -> Progress:
    """Notes that an incident is behind, and when it is tried again; tells people what they have to fix."""
    now = services.now()
    incident = incidents.read(services.table, incident_id)
    if incident is None:
        return DONE
    logger.warning("Slack is behind", incident=incident_id, reason=str(error), wait_seconds=error.seconds)
    since = incident.slack.behind_since or now
    changes = {
        "slack_behind_since": since,
        DUE: DUE,
        "due_at": now + error.seconds * 1000 + incidents.GRACE_MS,
    }
    channel = incident.slack.channel or incident.channel
    if error.wrong and _is_news(services, channel, error.wrong):
        services.fallback.tell(
            "Slack refuses messages",
            f"Slack answered {error.wrong} for the channel {channel}. Phones ring all the same; Slack's readers see "
            f"nothing of incident {incident_id}: {unlinked(incident.summary)}\n"
            "channel_not_found, not_in_channel: check the parameter SlackChannel or the product's slack_channel, and invite "
            "the app to the channel. invalid_auth, token_…: store a valid bot token in SSM. missing_scope: reinstall the app.\n"
            "It is tried again every minute.",
        )
    if error.wrong:
        changes["slack_wrong"] = error.wrong
    incidents.note(services.table, incident_id, changes)
    if error.wrong or now - since > BEHIND_MS:
        return DONE  # as far as this execution goes: the reconciler goes on
    return Progress(done=False, wait_seconds=max(1, error.seconds))
