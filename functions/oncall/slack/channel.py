"""The SlackAlert and SlackNotification steps: bring the channel up to date with an incident.

Slack is a projection of the timeline: the incident's message, then every event that the thread has not yet. Whoever
asks, however often and beside whom, the result is the same: one projector at a time holds the incident's Slack lease;
what is about to be posted is noted first, with a key that the message carries as metadata, so that a post whose answer
was lost is found in the channel and not posted again.

Of a page of many incidents most are told below the message of another one, their host (see together). Whoever holds the
host's lease tells all of them that there are.

In a storm this is most of what the table is asked for, so what Slack has by now is written along with the next write
(see _Notes). Until then the noted post says it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aws_lambda_powertools import Logger

from oncall import incidents, pages, roster, shadow
from oncall.incidents import Below, Incident, Posting, TimelineEvent
from oncall.probe import rules
from oncall.roster import Language
from oncall.services import Services
from oncall.slack import messages, probe_message, together
from oncall.slack.delivery import GONE, UPDATES, NotNowError, Queue, call, next_turn, posts, say
from oncall.slack.together import Reply
from oncall.table import DUE, ConditionFailedError, Update
from oncall.text import unlinked

logger = Logger(child=True)

TIMEOUT_SECONDS = 10  # of one request to Slack
LEASE_MS = 60_000  # longer than the function's time limit allows one incident to take
SHORT_WAIT_MS = 3_000  # a turn that comes so soon is waited for in the function
MOST_CROWD_SECONDS = 60  # that one which others tell leaves it to them before it looks again
BATCH_SECONDS = 5  # while somebody tells the incidents of a storm: whoever wants many of them told goes on soon
READ_TOGETHER = 25  # incidents that are read in one request
BEHIND_MS = 900_000  # after this long without success the execution ends, and the reconciler goes on
EVENT_TYPE = "oncall_incident"  # of the messages' metadata
_REPLY = "reply "  # begins what is noted of a reply that tells other incidents, before its number
_LEASE = ("slack_lease", "slack_owner")  # attributes of an incident while somebody projects it
_BEHIND = ("slack_wrong", "slack_behind_since")  # attributes of an incident that Slack does not show yet


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the channel is: done, or to be asked for again in so many seconds."""

    done: bool
    wait_seconds: int = 0
    incidents: tuple[str, ...] = ()  # those to be asked for again


@dataclass(frozen=True, slots=True)
class _Below:
    """An incident that is told below another one's message."""

    incident: Incident


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
    below: dict[str, list[Incident]] = {}  # by their host
    settled: dict[str, Progress | _Below] = {}
    for number, incident in enumerate(incident_ids):
        if services.now() > until:
            waits.append(1)
            left += incident_ids[number:]
            break
        if number % READ_TOGETHER == 0:
            settled = _settled(services, incident_ids[number : number + READ_TOGETHER])
        found = settled.get(incident) or _project_to_the_end(services, incident, me=me, until=until)
        if isinstance(found, _Below):
            below.setdefault(found.incident.slack.host, []).append(found.incident)
        elif not found.done:
            waits.append(found.wait_seconds)
            left.append(incident)
            if len(waits) >= 3:  # Slack has enough for now
                left += incident_ids[number + 1 :]
                break
    for host, told in below.items():
        progress = _tell_below(services, host, told, me=me, until=until)
        if not progress.done:
            waits.append(progress.wait_seconds)
            left += progress.incidents or tuple(one.id for one in told)
    return Progress(done=not waits, wait_seconds=max(waits, default=0), incidents=tuple(dict.fromkeys(left)))


# Who takes the lease finds an incident whose turn has come, and nobody at it;
_IS_LET_GO = (
    "attribute_exists(pk) AND (attribute_not_exists(#slack_turn) OR #slack_turn <= :soon)"
    " AND (attribute_not_exists(#slack_lease) OR #slack_lease < :now OR #slack_owner = :me)"
)
# and to project it, something to tell,
_IS_FREE = (
    f"{_IS_LET_GO} AND #slack_version < #version AND (#policy <> :probe OR #state = :resolved)"
    # and that it has a message of its own: see Incident.is_below.
    " AND (attribute_not_exists(#slack_host) OR attribute_exists(#slack_ts) OR attribute_exists(#slack_posting)"
    " OR #last_in_thread > :none)"
)


def _settled(services: Services, incident_ids: list[str]) -> dict[str, Progress | _Below]:
    """Of some incidents, read in one request: those that need no lease, and why (told, told below another, its turn is far off).

    Any other may be free, and its lease is tried. An incident that changes after this is asked for by whoever changed it.
    """
    if len(incident_ids) == 1:
        return {}  # to take its lease says as much
    now, known = services.now(), incidents.read_many(services.table, incident_ids)
    return {one.id: said for one in known if (said := _not_free(services, one, now)) != BUSY}


def _let_go(now: int, me: str) -> dict[str, object]:
    """The values of these conditions."""
    return {"soon": now + SHORT_WAIT_MS, "now": now, "me": me}


def _project_to_the_end(services: Services, incident_id: str, *, me: str, until: int) -> Progress | _Below:
    while (found := _project(services, incident_id, me=me)) == CHANGED and services.now() <= until:
        pass  # who has changed it found us at it, and may not ask again
    return found


def _project(services: Services, incident_id: str, *, me: str) -> Progress | _Below:
    now = services.now()
    try:
        incident = incidents.note(
            services.table,
            incident_id,
            {"slack_lease": now + LEASE_MS, "slack_owner": me},
            condition=_IS_FREE,
            values={"probe": rules.POLICY, "resolved": "resolved", "none": 0, **_let_go(now, me)},
        )
    except ConditionFailedError as refused:
        return _not_free(services, Incident.from_item(refused.item) if refused.item else None, now)
    notes = _Notes()
    try:
        if _is_the_peers(incident, now):
            return _note_told(services, incident, notes, incident.version, me=me)
        told = _write(services, incident, notes, me=me)
        return _note_told(services, incident, notes, told, me=me)
    except NotNowError as error:
        return _later(services, incident, notes, error, me=me)
    except Exception:
        _release(services, incident, notes, {}, me=me)
        raise


def _is_the_peers(incident: Incident, now: int) -> bool:
    """Whether the other stack tells an incident, in the same message."""
    return incident.peer_until > now and not incident.slack.is_own


def _not_free(services: Services, incident: Incident | None, now: int) -> Progress | _Below:
    """Why nobody may project an incident now."""
    if incident is None or incident.slack.version >= incident.version:
        return DONE
    if incident.is_below:
        if not _is_the_peers(incident, now):
            return _Below(incident)
        _note_told_below(services, incident, {})
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


def _write(services: Services, incident: Incident, notes: _Notes, *, me: str) -> int:
    """Posts or updates the message, then the thread's missing lines. Returns the version that Slack shows then.

    Raises NotNowError.
    """
    if incident.slack.posting and incident.slack.posting.what.startswith(_REPLY):
        incident = _find_reply(services, incident, notes, incident.slack.posting)
    slack = incident.slack
    if slack.host:  # it has a line below that one, too
        progress = _tell_below(services, slack.host, [incident], me=me, until=services.now() + LEASE_MS // 2)
        if not progress.done:
            raise NotNowError("its host is at work", seconds=progress.wait_seconds)
    if not slack.ts:
        channel, ts, posted = _post(services, incident, notes, what="message", seen=lambda: _seen(services, incident))
        slack = replace(
            slack, channel=channel, ts=ts, thread=0, shown=posted.version, look=posted.look, turn=0, link=""
        )
        notes.put(channel=channel, ts=ts, thread=0, shown=slack.shown, look=slack.look)
        notes.drop("posting")
    elif slack.shown < incident.version:
        _refresh(services, incident, notes)
        slack = replace(slack, shown=incident.version, turn=0)
    told = min(slack.shown, _tell_thread(services, replace(incident, slack=slack), notes))
    if slack.wrong:  # fixed: the next time is news again
        for name in {slack.channel, incident.channel}:
            services.table.update(Update(f"SLACK#{name}", "WRONG", remove=("wrong",)))
    if not slack.link:
        notes.put(**_link(services, incident, slack.channel, slack.ts))
    return told


def _refresh(services: Services, incident: Incident, notes: _Notes) -> None:
    """Updates the message if it would look different. Raises NotNowError."""
    seen = _seen(services, incident)
    if incident.slack.look != seen.look:
        if incident.slack.look:  # if no answer comes, it is not known
            incidents.note(services.table, incident.id, remove=("slack_look",))
        _update(services, incident, notes, seen)
    notes.put(shown=incident.version, look=seen.look)


def _tell_thread(services: Services, incident: Incident, notes: _Notes) -> int:
    """Posts the thread's missing lines. Returns the number of the last event that it has then. Raises NotNowError."""
    thread = incident.version
    if incident.last_in_thread > incident.slack.thread and not incident.is_probe:
        language = incident.language or services.settings.language
        has_turn = not incident.slack.posting
        if has_turn:  # taken before the timeline is read: if it is far off, that would be read in vain
            _take_turn(services, incident, notes, posts(incident.slack.channel))
        events = incidents.timeline(services.table, incident.id, after=incident.slack.thread)
        people = _people(services) if any(event.in_thread for event in events) else {}
        mentions = not shadow.rings_nobody(services.settings, incident.policy)
        for event in events:
            if event.in_thread:
                beside = _beside(services, incident, event)
                words = messages.line(event, language, people, mentions=mentions, beside=beside)
                _reply(services, incident, notes, event, words, has_turn=has_turn)
                incident, has_turn = replace(incident, slack=replace(incident.slack, turn=0)), False
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
    return _looks(text, blocks)


def _looks(text: str, blocks: list[dict[str, Any]] | None) -> _Seen:
    return _Seen(text, blocks, hashlib.sha256(json.dumps([text, blocks]).encode()).hexdigest()[:32])


def _beside(services: Services, incident: Incident, event: TimelineEvent) -> dict[str, Incident]:
    """The other incidents that an event names, by their ids: those that are told in the same channel."""
    named = [*event.detail.get("others", ()), *([event.detail["lead"]] if "lead" in event.detail else [])]
    found = incidents.read_many(services.table, named)
    return {other.id: other for other in found if other.channel == incident.channel}


def _note_told(services: Services, incident: Incident, notes: _Notes, told: int, *, me: str) -> Progress:
    """Notes up to which version Slack is told of an incident: nothing is due any more, except a reminder."""
    notes.put(version=told)
    due, over = _when_told(services, incident)
    try:
        incidents.note(
            services.table,
            incident.id,
            **notes.written(due, (*_LEASE, *over)),
            condition="#version = :version AND #slack_owner = :me",
            values={"version": told, "me": me},
        )
    except ConditionFailedError:  # it changed meanwhile: still due
        _release(services, incident, notes, {}, me=me)
        return CHANGED
    return DONE


def _when_told(services: Services, incident: Incident) -> tuple[dict[str, object], tuple[str, ...]]:
    """What is written of an incident that Slack shows, and what is removed: nothing is due any more, except a reminder."""
    reminds = incident.state == "acknowledged" and incident.remind_at and not _is_the_peers(incident, services.now())
    if reminds:
        return {DUE: DUE, "due_at": incident.remind_at}, _BEHIND
    return {}, (*_BEHIND, DUE, "due_at")


def _link(services: Services, incident: Incident, channel: str, ts: str) -> dict[str, str]:
    """A message's address, for text messages; nothing if Slack does not say: then they do without."""
    try:
        answer = call(services, "chat_getPermalink", channel=channel, message_ts=ts)
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
    _take_turn(services, incident, notes, UPDATES)
    try:
        say(services, "chat_update", seen.blocks, channel=slack.channel, ts=slack.ts, text=seen.text)
    except NotNowError as error:
        _forget_if_gone(notes, error)
        raise


def _reply(
    services: Services, incident: Incident, notes: _Notes, event: TimelineEvent, words: str, *, has_turn: bool
) -> None:
    """Posts a line of the thread; a loud one to the channel as well. Raises NotNowError."""
    more: dict[str, Any] = {"reply_broadcast": True} if messages.is_loud(event) else {}
    what, seen = f"event {event.number}", _Seen(words, None)
    try:
        thread = incident.slack.ts
        _post(services, incident, notes, what=what, seen=lambda: seen, has_turn=has_turn, thread_ts=thread, **more)
    except NotNowError as error:
        _forget_if_gone(notes, error)
        raise


def _forget_if_gone(notes: _Notes, error: NotNowError) -> None:
    """A message that somebody has deleted is posted anew the next time, with its thread."""
    if error.code in GONE:
        notes.drop("ts", "link")


def _post(
    services: Services,
    incident: Incident,
    notes: _Notes,
    *,
    what: str,
    seen: Callable[[], _Seen],
    has_turn: bool = False,
    **more: Any,
) -> tuple[str, str, Posting]:
    """Posts a message once, in its turn: it waits for that unless it has it. Returns its channel, its ts, and what it shows.

    Raises NotNowError.
    """
    channel, key = incident.slack.channel or incident.channel, f"{incident.id} {what}"
    posting = incident.slack.posting
    if posting and posting.what == what:
        found = _find(services, channel, key, since=posting.at, thread=more.get("thread_ts"))
        if found:
            return channel, found, posting  # it may have been posted long before
    if not has_turn:
        _take_turn(services, incident, notes, posts(channel))
    shown = seen()
    posting = Posting(what, services.now(), incident.version, shown.look)
    notes.put(posting=asdict(posting))
    incidents.note(services.table, incident.id, **notes.written({}))
    notes.known.clear()
    notes.over.clear()
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key}}
    answer = say(
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
        answer = call(
            services,
            "conversations_replies",
            channel=channel,
            ts=thread,
            oldest=oldest,
            include_all_metadata=True,
            limit=200,
        )
    else:
        answer = call(
            services, "conversations_history", channel=channel, oldest=oldest, include_all_metadata=True, limit=200
        )
    for message in answer["messages"]:
        if message.get("metadata", {}).get("event_payload", {}).get("key") == key:
            return str(message["ts"])
    return None


def _take_turn(services: Services, incident: Incident, notes: _Notes, queue: Queue) -> None:
    """Waits for this request's turn in its queue, so that a storm of incidents does not run into Slack's limit.

    Raises NotNowError when the turn is far off; it is kept for the incident until then.
    """
    now = services.now()
    turn = incident.slack.turn if incident.slack.queue == queue.name else 0
    if not turn or turn < now - 30_000:
        turn = next_turn(services, queue)
    if turn - now > SHORT_WAIT_MS:
        notes.put(turn=turn, queue=queue.name)
        raise NotNowError("Slack has a queue", seconds=-(-(turn - now) // 1000))
    if turn > now:
        services.sleep((turn - now) / 1000)
    if incident.slack.turn:
        notes.drop("turn", "queue")


def _later(services: Services, incident: Incident, notes: _Notes, error: NotNowError, *, me: str) -> Progress:
    """Notes that an incident is behind, and when it is tried again; tells people what they have to fix."""
    now = services.now()
    logger.warning("Slack is behind", incident=incident.id, reason=str(error), wait_seconds=error.seconds)
    since = incident.slack.behind_since or now
    notes.put(behind_since=since)
    _tell_wrong(services, incident, error)
    if error.wrong:
        notes.put(wrong=error.wrong)
    due = {DUE: DUE, "due_at": now + error.seconds * 1000 + incidents.GRACE_MS}
    _release(services, incident, notes, due, me=me)
    return _again(error, now - since)


def _again(error: NotNowError, behind: int) -> Progress:
    """When what Slack did not take is tried again, that is behind for so long (milliseconds)."""
    if error.wrong or behind > BEHIND_MS:
        return DONE  # as far as this execution goes: the reconciler goes on
    return Progress(done=False, wait_seconds=max(1, error.seconds))


def _tell_wrong(services: Services, incident: Incident, error: NotNowError) -> None:
    """Tells people what they have to fix, once for a channel."""
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


# ---------------------------------------------------------------- incidents below another one's message


def _tell_below(services: Services, host_id: str, told: list[Incident], *, me: str, until: int) -> Progress:
    """Tells incidents below the message of their host, and all others there that nobody has told yet.

    `told` are those of which somebody wants it; they are as they were read a moment ago.
    """
    now = services.now()
    try:
        host = incidents.note(
            services.table,
            host_id,
            {"slack_lease": now + LEASE_MS, "slack_owner": me},
            condition=_IS_LET_GO,
            values=_let_go(now, me),
        )
    except ConditionFailedError as refused:
        if refused.item is None:
            return _stand_alone(services, told)
        return _come_back(Incident.from_item(refused.item), told, now)
    notes = _Notes()
    if not host.slack.ts:
        _release(services, host, notes, {}, me=me)
        if (posted := _project(services, host_id, me=me)) not in (DONE, CHANGED):
            return posted if isinstance(posted, Progress) else _stand_alone(services, told)
        known = incidents.read(services.table, host_id)
        if known is None or not known.slack.ts:  # it has no message of its own, and gets none
            return _stand_alone(services, told)
        return _tell_below(services, host_id, told, me=me, until=until)
    behind = {DUE: DUE, "due_at": now + incidents.GRACE_MS}  # so far as its own message is
    try:
        below = _tell_replies(services, host, notes, {one.id for one in told}, until)
    except NotNowError as error:
        _forget_if_gone(notes, error)
        if error.code in GONE:  # the host's message: it is posted anew, with what is below it
            notes.put(version=0)
        _release(services, host, notes, behind if error.code in GONE else {}, me=me)
        return _not_told(services, told[0], error)
    except Exception:
        _release(services, host, notes, {}, me=me)
        raise
    if below == host.slack.below:
        _release(services, host, notes, {}, me=me)
        return DONE
    notes.put(below=asdict(below), shown=0, version=0)
    _release(services, host, notes, behind, me=me)
    shown = _project(services, host_id, me=me)
    return replace(shown, incidents=(host_id,)) if isinstance(shown, Progress) and not shown.done else DONE


def _come_back(host: Incident, told: list[Incident], now: int) -> Progress:
    """How long to wait while somebody else has the host's lease: who asks for many comes back first."""
    turn = max(0, -(-(host.slack.turn - now) // 1000))
    if len(told) > 1:
        return Progress(done=False, wait_seconds=max(BATCH_SECONDS, turn))
    behind = (now - told[0].changed_at) // 1000  # the longer it has waited, the less often it looks
    return Progress(done=False, wait_seconds=turn + min(max(pages.CROWD_SECONDS, behind // 2), MOST_CROWD_SECONDS))


def _tell_replies(services: Services, host: Incident, notes: _Notes, wanted: Set[str], until: int) -> Below:
    """Brings the replies that have something new up to date. Returns what the host's message has to say of all of them.

    Those who join meanwhile are told as well. Raises NotNowError.
    """
    language = host.language or services.settings.language
    replies = together.read(services.table, host.id)
    left = [one for one in replies.all if not (one.is_complete and wanted.isdisjoint(one.members))]
    while left:
        planned = left.pop(0)
        if services.now() > until:
            raise NotNowError("there is no time left", seconds=1)
        shown = incidents.read_many(services.table, planned.members)
        host, reply = _tell_reply(services, host, notes, planned, shown, language)
        together.save(services.table, host, reply)
        for one in shown:
            if one.is_below and one.slack.version < one.version:
                _note_told_below(services, one, {"slack_channel": host.slack.channel, "slack_link": reply.link})
        if not left:
            replies = together.read(services.table, host.id)
            left = [one for one in replies.all if not one.is_complete]
    return replies.below


def _tell_reply(
    services: Services, host: Incident, notes: _Notes, reply: Reply, shown: list[Incident], language: Language
) -> tuple[Incident, Reply]:
    """Posts a reply with the lines of some incidents, or updates it. Raises NotNowError."""
    text, blocks = together.lines(reply, shown, language)
    seen = _looks(text, blocks)
    what = f"{_REPLY}{reply.number}"
    reply = replace(reply, states=together.states(shown))
    if reply.root != host.slack.ts:
        _, ts, posted = _post(services, host, notes, what=what, seen=lambda: seen, thread_ts=host.slack.ts)
        notes.drop("posting")
        host = replace(host, slack=replace(host.slack, posting=None, turn=0))
        link = str(_link(services, host, host.slack.channel, ts).get("link", ""))
        reply = replace(reply, root=host.slack.ts, ts=ts, look=posted.look, link=link)
    if reply.look != seen.look:
        _take_turn(services, host, notes, UPDATES)
        host = replace(host, slack=replace(host.slack, turn=0))
        try:
            say(services, "chat_update", blocks, channel=host.slack.channel, ts=reply.ts, text=text)
        except NotNowError as error:
            if error.code in GONE:  # somebody has deleted the reply alone: it is posted anew
                together.save(services.table, host, replace(reply, root="", look=""))
                raise NotNowError("a reply is gone", seconds=1) from error
            raise
        reply = replace(reply, look=seen.look)
    return host, reply


def _find_reply(services: Services, host: Incident, notes: _Notes, posting: Posting) -> Incident:
    """A reply that was posted although its answer was lost is its reply from now on. Raises NotNowError."""
    number = int(posting.what.removeprefix(_REPLY))
    key = f"{host.id} {posting.what}"
    found = _find(services, host.slack.channel, key, since=posting.at, thread=host.slack.ts) if host.slack.ts else None
    for reply in together.read(services.table, host.id).all:
        if found and reply.number == number:
            together.save(services.table, host, replace(reply, root=host.slack.ts, ts=found, look=""))
    notes.drop("posting")
    return replace(host, slack=replace(host.slack, posting=None))


def _stand_alone(services: Services, told: list[Incident]) -> Progress:
    """Gives incidents messages of their own: there is none to tell them below."""
    for one in told:
        incidents.note(services.table, one.id, remove=("slack_host",))
    return Progress(done=False, wait_seconds=1)


def _note_told_below(services: Services, incident: Incident, where: Mapping[str, object]) -> None:
    """Notes that Slack shows an incident as it was read, unless it has changed since: then whoever did that asks again."""
    changes, removed = _when_told(services, incident)
    with suppress(ConditionFailedError):
        incidents.note(
            services.table,
            incident.id,
            {"slack_version": incident.version, **where, **changes},
            remove=removed,
            condition="#version = :version",
            values={"version": incident.version},
        )


def _not_told(services: Services, incident: Incident, error: NotNowError) -> Progress:
    """Notes that an incident is behind which is told below another one, and tells people what they have to fix."""
    now = services.now()
    logger.warning("Slack is behind", incident=incident.id, reason=str(error), wait_seconds=error.seconds)
    since = incident.slack.behind_since or now
    with suppress(ConditionFailedError):  # somebody has told it meanwhile
        incidents.note(
            services.table, incident.id, {"slack_behind_since": since}, condition="#slack_version < #version"
        )
    _tell_wrong(services, incident, error)
    return _again(error, now - since)
