"""The SlackAlert and SlackNotification steps: bring the channel up to date with an incident.

Slack is a projection of the timeline: the incident's message, then every event that the thread has not yet. Whoever
asks, however often and beside whom, the result is the same: one projector at a time holds the incident's Slack lease;
what is about to be posted is noted first, with a key that the message carries as metadata, so that a post whose answer
was lost is found in the channel and not posted again.

In a storm this is most of what the table is asked for, so what Slack has by now is written along with the next write
(see _Notes). Until then the noted post says it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from http.client import HTTPException
from typing import Any, cast

from aws_lambda_powertools import Logger
from slack_sdk.errors import SlackApiError

from oncall import incidents, pages, roster, shadow
from oncall.errors import ConfigurationError
from oncall.incidents import Incident, Posting, TimelineEvent
from oncall.probe import rules
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
_LEASE = ("slack_lease", "slack_owner")  # attributes of an incident while somebody projects it
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
    incidents: tuple[str, ...] = ()  # those to be asked for again


DONE = Progress(done=True)
BUSY = Progress(done=False, wait_seconds=2)  # somebody else is at it, and looks for changes before he leaves
CHANGED = Progress(done=False, wait_seconds=1)  # while we were at it


@dataclass(slots=True)
class _Notes:
    """What became true of an incident in Slack, and is not written yet: attributes of its item without `slack_`."""

    known: dict[str, object] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    def put(self, **known: object) -> None:
        """Notes what is so."""
        self.known |= known
        self.over -= known.keys()

    def drop(self, *names: str) -> None:
        """Notes what is not so any more."""
        self.over |= set(names)
        for name in names:
            self.known.pop(name, None)

    def written(self, set_: Mapping[str, object], remove: tuple[str, ...] = ()) -> dict[str, Any]:
        """The arguments of a write that takes the notes along."""
        known = {f"slack_{name}": value for name, value in self.known.items()} | dict(set_)
        return {"set_": known, "remove": [*(f"slack_{name}" for name in sorted(self.over)), *remove]}


def bring_up_to_date(services: Services, incident_ids: list[str], *, me: str, until: int) -> Progress:
    """Brings the channel up to date with incidents, as many as fit until a time (epoch milliseconds).

    `me` tells this projector from others. Never raises for Slack's sake: what Slack does not take comes later.
    """
    waits: list[int] = []
    left: list[str] = []
    for number, incident in enumerate(incident_ids):
        if services.now() > until:
            waits.append(1)
            left += incident_ids[number:]
            break
        while (progress := _project(services, incident, me=me)) == CHANGED and services.now() <= until:
            pass  # who has changed it found us at it, and may not ask again
        if not progress.done:
            waits.append(progress.wait_seconds)
            left.append(incident)
            if len(waits) >= 3:  # Slack has enough for now
                left += incident_ids[number + 1 :]
                break
    return Progress(done=not waits, wait_seconds=max(waits, default=0), incidents=tuple(left))


# Who takes the lease finds something to tell, whose turn has come, and nobody at it.
_IS_FREE = (
    "#slack_version < #version AND (#policy <> :probe OR #state = :resolved)"
    " AND (attribute_not_exists(#slack_turn) OR #slack_turn <= :soon)"
    " AND (attribute_not_exists(#slack_lease) OR #slack_lease < :now OR #slack_owner = :me)"
)


def _project(services: Services, incident_id: str, *, me: str) -> Progress:
    now = services.now()
    try:
        incident = incidents.note(
            services.table,
            incident_id,
            {"slack_lease": now + LEASE_MS, "slack_owner": me},
            condition=_IS_FREE,
            values={"probe": rules.POLICY, "resolved": "resolved", "soon": now + SHORT_WAIT_MS, "now": now, "me": me},
        )
    except ConditionFailedError as refused:
        return _not_free(Incident.from_item(refused.item) if refused.item else None, now)
    notes = _Notes()
    try:
        if _is_the_peers(incident, now):
            return _note_told(services, incident, notes, incident.version, me=me)
        told = _write(services, incident, notes)
        return _note_told(services, incident, notes, told, me=me)
    except NotNowError as error:
        return _later(services, incident, notes, error, me=me)
    except Exception:
        _release(services, incident, notes, {}, me=me)
        raise


def _is_the_peers(incident: Incident, now: int) -> bool:
    """Whether the other stack tells an incident, in the same message."""
    return incident.peer_until > now and not incident.slack.is_own


def _not_free(incident: Incident | None, now: int) -> Progress:
    """Why nobody may project an incident now."""
    if incident is None or incident.slack.version >= incident.version:
        return DONE
    if incident.is_probe and incident.state != "resolved":
        return DONE  # told in one quiet line, when it is over
    if incident.slack.turn > now + SHORT_WAIT_MS:
        return Progress(done=False, wait_seconds=-(-(incident.slack.turn - now) // 1000))
    return BUSY


def _release(services: Services, incident: Incident, notes: _Notes, changes: Mapping[str, object], *, me: str) -> None:
    """Writes what is known by now, and lets others project."""
    ours = notes.written(changes, _LEASE)
    try:
        incidents.note(services.table, incident.id, **ours, condition="#slack_owner = :me", values={"me": me})
    except ConditionFailedError:  # the lease ran out, and somebody else has it
        if notes.known or notes.over or changes:
            incidents.note(services.table, incident.id, **notes.written(changes))


def _write(services: Services, incident: Incident, notes: _Notes) -> int:
    """Posts or updates the message, then the thread's missing lines. Returns the version that Slack shows then.

    Raises NotNowError.
    """
    slack = incident.slack
    if not slack.ts:
        channel, ts, posted = _post(services, incident, notes, what="message", seen=lambda: _seen(services, incident))
        slack = replace(slack, channel=channel, ts=ts, thread=0, shown=posted.version, look=posted.look, turn=0)
        notes.put(channel=channel, ts=ts, thread=0, shown=slack.shown, look=slack.look)
        notes.drop("posting")
    elif slack.shown < incident.version:
        seen = _seen(services, incident)
        if slack.look != seen.look:  # else nothing that it shows has changed
            if slack.look:
                incidents.note(
                    services.table, incident.id, remove=("slack_look",)
                )  # if no answer comes, it is not known
            _update(services, incident, notes, seen)
        slack = replace(slack, shown=incident.version)
        notes.put(shown=slack.shown, look=seen.look)
    told = min(slack.shown, _tell_thread(services, replace(incident, slack=slack), notes))
    if slack.wrong:  # fixed: the next time is news again
        for name in {slack.channel, incident.channel}:
            services.table.update(Update(f"SLACK#{name}", "WRONG", remove=("wrong",)))
    if not slack.link:
        notes.put(**_link(services, incident, slack.channel, slack.ts))
    return told


def _tell_thread(services: Services, incident: Incident, notes: _Notes) -> int:
    """Posts the thread's missing lines. Returns the number of the last event that it has then. Raises NotNowError."""
    thread = incident.version
    if incident.last_in_thread > incident.slack.thread and not incident.is_probe:
        language = incident.language or services.settings.language
        events = incidents.timeline(services.table, incident.id, after=incident.slack.thread)
        people = _people(services) if any(event.in_thread for event in events) else {}
        mentions = not shadow.rings_nobody(services.settings, incident.policy)
        for event in events:
            if event.in_thread:
                beside = _beside(services, incident, event)
                words = messages.line(event, language, people, mentions=mentions, beside=beside)
                _reply(services, incident, notes, event, words)
                incident = replace(incident, slack=replace(incident.slack, turn=0))
                notes.drop("posting")
            thread = event.number
            notes.put(thread=thread)
    notes.put(thread=thread)
    return thread


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is seen of an incident's message. `look` is its hash."""

    text: str
    blocks: list[dict[str, Any]] | None
    look: str = ""


def _seen(services: Services, incident: Incident) -> _Seen:
    """The incident's message as it is now."""
    language = incident.language or services.settings.language
    may_ring = incident.state == "triggered" and incident.severity == "critical" and incident.call
    page = pages.read(services.table, incident.policy) if may_ring else None
    if incident.is_probe:
        text, blocks = probe_message.message(incident, language)
    else:
        is_shadow = shadow.rings_nobody(services.settings, incident.policy)
        text, blocks = messages.message(incident, language, page, is_shadow=is_shadow)
    return _Seen(text, blocks, hashlib.sha256(json.dumps([text, blocks]).encode()).hexdigest()[:32])


def _beside(services: Services, incident: Incident, event: TimelineEvent) -> dict[str, Incident]:
    """The other incidents that an event names, by their ids: those that are told in the same channel."""
    named = [*event.detail.get("others", ()), *([event.detail["lead"]] if "lead" in event.detail else [])]
    found = (incidents.read(services.table, name) for name in named)
    return {other.id: other for other in found if other and other.channel == incident.channel}


def _note_told(services: Services, incident: Incident, notes: _Notes, told: int, *, me: str) -> Progress:
    """Notes up to which version Slack is told of an incident: nothing is due any more, except a reminder."""
    notes.put(version=told)
    reminds = incident.state == "acknowledged" and incident.remind_at and not _is_the_peers(incident, services.now())
    due = {DUE: DUE, "due_at": incident.remind_at} if reminds else {}
    try:
        incidents.note(
            services.table,
            incident.id,
            **notes.written(due, (*_LEASE, *_BEHIND, *(() if due else (DUE, "due_at")))),
            condition="#version = :version AND #slack_owner = :me",
            values={"version": told, "me": me},
        )
    except ConditionFailedError:  # it changed meanwhile: still due
        _release(services, incident, notes, {}, me=me)
        return CHANGED
    return DONE


def _link(services: Services, incident: Incident, channel: str, ts: str) -> dict[str, str]:
    """The message's address, for text messages; nothing if Slack does not say: then they do without."""
    try:
        answer = _call(services, "chat_getPermalink", channel=channel, message_ts=ts)
    except NotNowError as error:
        logger.warning("the message's address is not known", incident=incident.id, reason=str(error))
        return {}
    return {"link": str(answer["permalink"])}


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


def _update(services: Services, incident: Incident, notes: _Notes, seen: _Seen) -> None:
    """Updates the message. One that somebody has deleted is posted anew. Raises NotNowError."""
    slack = incident.slack
    try:
        _say(services, "chat_update", seen.blocks, channel=slack.channel, ts=slack.ts, text=seen.text)
    except NotNowError as error:
        _forget_if_gone(notes, error)
        raise


def _reply(services: Services, incident: Incident, notes: _Notes, event: TimelineEvent, words: str) -> None:
    """Posts a line of the thread; a loud one to the channel as well. Raises NotNowError."""
    more: dict[str, Any] = {"reply_broadcast": True} if messages.is_loud(event) else {}
    what, seen = f"event {event.number}", _Seen(words, None)
    try:
        _post(services, incident, notes, what=what, seen=lambda: seen, thread_ts=incident.slack.ts, **more)
    except NotNowError as error:
        _forget_if_gone(notes, error)
        raise


def _forget_if_gone(notes: _Notes, error: NotNowError) -> None:
    """A message that somebody has deleted is posted anew the next time, with its thread."""
    if error.code in GONE:
        notes.drop("ts", "link")


def _post(
    services: Services, incident: Incident, notes: _Notes, *, what: str, seen: Callable[[], _Seen], **more: Any
) -> tuple[str, str, Posting]:
    """Posts a message once, in its turn. Returns its channel, its ts, and what it shows. Raises NotNowError."""
    channel, key = incident.slack.channel or incident.channel, f"{incident.id} {what}"
    posting = incident.slack.posting
    if posting and posting.what == what:
        found = _find(services, channel, key, since=posting.at, thread=more.get("thread_ts"))
        if found:
            return channel, found, posting  # it may have been posted long before
    _take_turn(services, incident, notes, channel)
    shown = seen()
    posting = Posting(what, services.now(), incident.version, shown.look)
    notes.put(posting=asdict(posting))
    incidents.note(services.table, incident.id, **notes.written({}))
    notes.known.clear()
    notes.over.clear()
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key}}
    answer = _say(
        services,
        "chat_postMessage",
        shown.blocks,
        channel=channel,
        text=shown.text,
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


def _take_turn(services: Services, incident: Incident, notes: _Notes, channel: str) -> None:
    """Waits for this post's turn in the channel, so that a storm of incidents does not run into Slack's limit.

    Raises NotNowError when the turn is far off; it is kept for the incident until then.
    """
    now = services.now()
    turn = incident.slack.turn
    if not turn or turn < now - 30_000:
        turn = _next_turn(services, channel, now)
    if turn - now > SHORT_WAIT_MS:
        notes.put(turn=turn)
        raise NotNowError("the channel has a queue", seconds=-(-(turn - now) // 1000))
    if turn > now:
        services.sleep((turn - now) / 1000)
    if incident.slack.turn:
        notes.drop("turn")


# Until when each channel had a queue when this environment looked last: there it is asked for first what is likely.
_queued_until: dict[str, int] = {}


def _next_turn(services: Services, channel: str, now: int) -> int:
    """Takes the channel's next free turn (epoch milliseconds)."""
    pk = f"SLACK#{channel}"
    free = Update(
        pk,
        "TURN",
        set={"next": now + SPACING_MS, "expires_at": now // 1000 + 86_400},
        condition="attribute_not_exists(#next) OR #next <= :now",
        values={"now": now},
    )
    queued = Update(pk, "TURN", add={"next": SPACING_MS}, condition="#next > :now", values={"now": now})
    tries = [queued, free] if _queued_until.get(channel, 0) > now else [free, queued]
    while True:
        for way in tries:
            try:
                _queued_until[channel] = following = int(services.table.update(way)["next"])
            except ConditionFailedError:
                continue
            return following - SPACING_MS


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


def _later(services: Services, incident: Incident, notes: _Notes, error: NotNowError, *, me: str) -> Progress:
    """Notes that an incident is behind, and when it is tried again; tells people what they have to fix."""
    now = services.now()
    logger.warning("Slack is behind", incident=incident.id, reason=str(error), wait_seconds=error.seconds)
    since = incident.slack.behind_since or now
    notes.put(behind_since=since)
    channel = incident.slack.channel or incident.channel
    if error.wrong and _is_news(services, channel, error.wrong):
        services.fallback.tell(
            "Slack refuses messages",
            f"Slack answered {error.wrong} for the channel {channel}. Phones ring all the same; Slack's readers see "
            f"nothing of incident {incident.id}: {unlinked(incident.summary)}\n"
            "channel_not_found, not_in_channel: check the parameter SlackChannel or the product's slack_channel, and invite "
            "the app to the channel. invalid_auth, token_…: store a valid bot token in SSM. missing_scope: reinstall the app.\n"
            "It is tried again every minute.",
        )
    if error.wrong:
        notes.put(wrong=error.wrong)
    due = {DUE: DUE, "due_at": now + error.seconds * 1000 + incidents.GRACE_MS}
    _release(services, incident, notes, due, me=me)
    if error.wrong or now - since > BEHIND_MS:
        return DONE  # as far as this execution goes: the reconciler goes on
    return Progress(done=False, wait_seconds=max(1, error.seconds))
