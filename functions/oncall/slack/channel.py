"""The SlackAlert and SlackNotification steps: bring the channel up to date with an incident.

Slack is a projection of the timeline: the incident's message, then every event that the thread has not yet. Whoever
asks, however often and beside whom, the result is the same: one projector at a time holds the incident's Slack lease;
what is about to be posted is known from the lease or noted first, with a key that the message carries as metadata, so that
a post whose answer was lost is found in the channel and not posted again.

Of a page of many incidents most are told below the message of another one, their host (see together). Whoever holds the
host's lease tells all of them that there are.

In a storm this is most of what the table is asked for, so what Slack has by now is written along with the next write
(see _Notes). Until then the lease says that it may be so: whoever finds one that was not let go of looks (see _lease).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import batched
from typing import Any

from aws_lambda_powertools import Logger

from oncall import incidents, pages, roster, shadow
from oncall.incidents import Below, Incident, Posting, TimelineEvent
from oncall.probe import rules
from oncall.roster import Language
from oncall.services import Services
from oncall.slack import messages, probe_message, together
from oncall.slack.delivery import GONE, UPDATES, NotNowError, Queue, TurnError, call, is_far_off, next_turns, posts, say
from oncall.slack.together import Replies, Reply
from oncall.table import DUE, ConditionFailedError, Update
from oncall.text import unlinked

logger = Logger(child=True)

TIMEOUT_SECONDS = 10  # of one request to Slack
PASSED_MS = 30_000  # a turn that came so long ago is another's
MOST_TURNS = 8  # that an execution takes at once: it comes back for the last before the first has passed
SPREAD_SECONDS = (PASSED_MS - MOST_TURNS * UPDATES.spacing_ms) // 1000  # and waits no longer than so for others
ENOUGH = 3  # incidents that have to wait for Slack: then the others of an execution do, too
LEASE_MS = 60_000  # longer than the function's time limit allows one incident to take
SHORT_WAIT_MS = 3_000  # a turn that comes so soon is waited for in the function
MOST_CROWD_SECONDS = 60  # that one which others tell leaves it to them before it looks again
BATCH_SECONDS = 5  # while somebody tells the incidents of a storm: whoever wants many of them told goes on soon
READ_TOGETHER = 25  # incidents that are read in one request
BEHIND_MS = 900_000  # after this long without success the execution ends, and the reconciler goes on
EVENT_TYPE = "oncall_incident"  # of the messages' metadata
_MESSAGE = "message"
_REPLY = "reply "  # begins what is noted of a reply that tells other incidents, before its number
_EVENT = "event "  # the same of a line of the thread
_LEASE = ("slack_lease", "slack_owner", "slack_began")  # attributes of an incident while somebody projects it
_BEHIND = ("slack_wrong", "slack_behind_since")  # attributes of an incident that Slack does not show yet


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the channel is: done, or to be asked for again in so many seconds."""

    done: bool
    wait_seconds: int = 0
    incidents: tuple[str, ...] = ()  # those to be asked for again


@dataclass(frozen=True, slots=True)
class _Left(Progress):
    """Done as far as this execution goes: the reconciler goes on."""


@dataclass(frozen=True, slots=True)
class _Changed(Progress):
    """It has changed while we were at it. Equal to no other that has to be asked for again."""


@dataclass(frozen=True, slots=True)
class _Below:
    """An incident that is told below another one's message."""

    incident: Incident


DONE = Progress(done=True)
LEFT = _Left(done=True)
BUSY = Progress(done=False, wait_seconds=2)  # somebody else is at it, and looks for changes before he leaves
CHANGED = _Changed(done=False, wait_seconds=1)


@dataclass(slots=True)
class _Notes:
    """What became true of an incident in Slack, and is not written yet: attributes of its item without `slack_`."""

    known: dict[str, object] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    turns: int = 0  # in the queue of updates, that are there and were not used yet

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
    told: set[str] = set()
    more: list[str] = []
    for some in batched(incident_ids, READ_TOGETHER, strict=False):
        for names, progress in _tell_each(services, some, me=me, until=until):
            if not progress.done:
                waits.append(progress.wait_seconds)
                more += progress.incidents
            if progress.done or progress.incidents:
                told.update(names)
            if len(waits) >= ENOUGH:
                break
        if len(waits) >= ENOUGH or services.now() > until:
            break
    left = [*(one for one in incident_ids if one not in told), *more]
    wait_seconds = min(max(waits), min(waits) + SPREAD_SECONDS) if waits else 1
    return Progress(done=not left, wait_seconds=wait_seconds if left else 0, incidents=tuple(dict.fromkeys(left)))


def _tell_each(
    services: Services, some: Sequence[str], *, me: str, until: int
) -> Iterator[tuple[Sequence[str], Progress]]:
    """Tells some incidents, as many as fit, one by one or several together; says of which it was, and what came of it.

    An incident that changes after it was read is asked for by whoever changed it.
    """
    found = incidents.read_many(services.table, some) if len(some) > 1 else []  # to take its lease says as much
    now, below = services.now(), dict[str, list[Incident]]()  # by their host
    settled: dict[str, Progress] = {}
    for one in found:
        said = _not_free(services, one, now)
        if isinstance(said, _Below):
            below.setdefault(one.slack.host, []).append(one)
        elif said != BUSY:
            settled[one.id] = said
    for host, those in below.items():  # first, so that their host's message is updated once for them and for its own
        if services.now() > until:
            return
        waiting = [one for one in found if one.id == host and not _may_be_leased(one, those, now)]
        progress = (
            _come_back(waiting[0], those, now) if waiting else _tell_below(services, host, those, me=me, until=until)
        )
        if progress.incidents or (progress.done and not isinstance(progress, _Left)):  # it was told with them, or waits
            settled[host] = replace(progress, incidents=())
        yield [one.id for one in those], progress
    told = {one.id for those in below.values() for one in those}
    untouched = [one for one in found if not (one.id in settled or one.id in told or one.id in below)]
    queued, seconds = _queue_up(services, untouched)
    if queued:
        yield queued, Progress(done=False, wait_seconds=seconds)
    for name in [one for one in some if one not in told and one not in queued]:
        if services.now() > until:
            return
        yield [name], settled.get(name) or _project_to_the_end(services, name, me=me, until=until)


def _may_be_leased(host: Incident, told: Sequence[Incident], now: int) -> bool:
    """Whether the turn of a host lets others tell incidents below it: see _IS_LET_GO and _MAY_POST."""
    is_update = host.slack.queue == UPDATES.name
    return host.slack.turn <= now + SHORT_WAIT_MS or (is_update and _has_new(told))


def _has_new(told: Sequence[Incident]) -> bool:
    """Whether Slack has never told one of some incidents."""
    return any(one.slack.version == 0 for one in told)


def _queue_up(services: Services, found: Sequence[Incident]) -> tuple[list[str], int]:
    """Takes turns for messages that are behind, several at once, while there is a queue of updates.

    Returns the incidents that wait, and in how many seconds the last turn comes: those without one take theirs then.
    """
    now = services.now()
    behind = [one for one in found if _waits_for_update(one, now)]
    if len(behind) < 2 or not is_far_off(services, UPDATES, now + SHORT_WAIT_MS):
        return [], 0
    first = behind[:MOST_TURNS]
    turns = next_turns(services, UPDATES, len(first))
    services.table.update_each(
        [
            incidents.noting(
                one.id,
                {"slack_turn": turn, "slack_queue": UPDATES.name, DUE: DUE, "due_at": turn + incidents.GRACE_MS},
                condition=(
                    "#version = :version AND #slack_version < :version"
                    " AND (attribute_not_exists(#slack_lease) OR #slack_lease < :now)"
                    " AND (attribute_not_exists(#slack_turn) OR #slack_turn < :passed)"
                ),
                values={"version": one.version, "now": now, "passed": now - PASSED_MS},
            )
            for one, turn in zip(first, turns, strict=True)
        ]
    )
    return [one.id for one in behind], max(1, -(-(turns[-1] - now) // 1000))


def _waits_for_update(incident: Incident, now: int) -> bool:
    """Whether an incident's message has to be updated, and nothing else is to be done before."""
    slack = incident.slack
    has_turn = slack.turn >= now - PASSED_MS
    has_lines = incident.last_in_thread > slack.thread
    is_other = slack.posting or has_turn or has_lines or incident.is_told_by_peer(now)
    return bool(slack.ts) and not is_other and slack.shown < incident.version


def _turn(incident: Incident, queue: Queue, now: int) -> int:
    """When an incident's turn in a queue comes; 0 if it has none, or has let it pass."""
    slack = incident.slack
    return slack.turn if slack.queue == queue.name and slack.turn >= now - PASSED_MS else 0


# Who takes the lease finds an incident whose turn has come, and nobody at it;
_NOBODY_IS_AT_IT = (
    "attribute_exists(pk) AND (attribute_not_exists(#slack_lease) OR #slack_lease < :now OR #slack_owner = :me)"
)
_IS_LET_GO = f"{_NOBODY_IS_AT_IT} AND (attribute_not_exists(#slack_turn) OR #slack_turn <= :soon)"
# or whose turn is an update's, if there is something to post as well;
_MAY_POST = (
    f"{_NOBODY_IS_AT_IT} AND (attribute_not_exists(#slack_turn) OR #slack_turn <= :soon OR #slack_queue = :updates)"
)
# and to project it, something to tell,
_IS_FREE = (
    f"{_IS_LET_GO} AND #slack_version < #version AND (#policy <> :probe OR #state = :resolved)"
    # and that it has a message of its own: see Incident.is_below.
    " AND (attribute_not_exists(#slack_host) OR attribute_exists(#slack_ts) OR attribute_exists(#slack_posting)"
    " OR attribute_exists(#slack_began) OR #last_in_thread > :none)"
)


def _lease(
    services: Services, incident_id: str, condition: str = _IS_LET_GO, *, me: str, **values: object
) -> tuple[Incident, _Notes]:
    """Takes an incident's lease. Raises ConditionFailedError.

    Whoever had it and did not let go of it has died, or takes long: nobody knows what Slack has taken of him.
    """
    now = services.now()
    incident = incidents.note(
        services.table,
        incident_id,
        {"slack_lease": now + LEASE_MS, "slack_owner": me},
        default={"slack_began": now},
        condition=condition,
        values={"soon": now + SHORT_WAIT_MS, "now": now, "me": me, **values},
    )
    slack, notes = incident.slack, _Notes()
    if slack.began != now:
        notes.drop("look")
        slack = replace(slack, look="")
        if not slack.ts and not (slack.posting and slack.posting.what == _MESSAGE):
            slack = replace(slack, posting=Posting(_MESSAGE, slack.began))
            notes.put(posting={"what": _MESSAGE, "at": slack.began})
    return replace(incident, slack=slack), notes


def _project_to_the_end(services: Services, incident_id: str, *, me: str, until: int) -> Progress:
    while (found := _project(services, incident_id, me=me)) == CHANGED and services.now() <= until:
        pass  # who has changed it found us at it, and may not ask again
    if isinstance(found, _Below):
        return _tell_below(services, found.incident.slack.host, [found.incident], me=me, until=until)
    return found


def _project(services: Services, incident_id: str, *, me: str) -> Progress | _Below:
    try:
        incident, notes = _lease(
            services, incident_id, _IS_FREE, me=me, probe=rules.POLICY, resolved="resolved", none=0
        )
    except ConditionFailedError as refused:
        return _not_free(services, Incident.from_item(refused.item) if refused.item else None, services.now())
    return _tell(services, incident, notes, me=me)


def _tell(services: Services, incident: Incident, notes: _Notes, *, me: str) -> Progress:
    """Projects an incident whose lease we have, and lets go of it."""
    try:
        is_theirs = incident.is_told_by_peer(services.now())
        told = incident.version if is_theirs else _write(services, incident, notes, me=me)
        return _note_told(services, incident, notes, told, me=me)
    except NotNowError as error:
        return _later(services, incident, notes, error, me=me)
    except Exception:
        _release(services, incident, notes, {}, me=me)
        raise


def _not_free(services: Services, incident: Incident | None, now: int) -> Progress | _Below:
    """Why nobody may project an incident now."""
    if incident is None or incident.slack.version >= incident.version:
        return DONE
    if incident.is_below:
        if not incident.is_told_by_peer(now):
            return _Below(incident)
        services.table.update_each([_told_below(services, incident, {})])
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
        if not (progress.done or progress.incidents):  # its line, that is: the host's own message waits for itself
            raise NotNowError("its host is at work", seconds=progress.wait_seconds)
    if not slack.ts:
        channel, ts, posted = _post(services, incident, notes, what=_MESSAGE, seen=lambda: _seen(services, incident))
        slack = replace(
            slack, channel=channel, ts=ts, thread=0, shown=posted.version, look=posted.look, turn=0, link=""
        )
        notes.put(channel=channel, ts=ts, thread=0, shown=slack.shown, look=slack.look)
        notes.drop("posting")
    elif slack.shown < incident.version:
        if slack.below.count:
            incident, _, _ = _count(services, incident, notes, together.read(services.table, incident.id))
        slack = _refresh(services, incident, notes).slack
    told = min(slack.shown, _tell_thread(services, replace(incident, slack=slack), notes))
    if slack.wrong:  # fixed: the next time is news again
        for name in {slack.channel, incident.channel}:
            services.table.update(Update(f"SLACK#{name}", "WRONG", remove=("wrong",)))
    if not slack.link:
        notes.put(**_link(services, incident, slack.channel, slack.ts))
    return told


def _refresh(services: Services, incident: Incident, notes: _Notes, *, followed_by: int = 0) -> Incident:
    """Updates the message if it would look different. Returns the incident then. Raises NotNowError.

    If so many updates follow this one, it waits for their turns as well.
    """
    seen = _seen(services, incident)
    slack = incident.slack
    if slack.look != seen.look:
        _take_turn(services, incident, notes, UPDATES, 1 + followed_by)
        _update(services, incident, notes, seen)
        slack = replace(slack, turn=0)
    notes.put(shown=incident.version, look=seen.look)
    return replace(incident, slack=replace(slack, shown=incident.version, look=seen.look))


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
    found = incidents.read_many(services.table, event.detail.get("others", ()))
    return {other.id: other for other in found if other.channel == incident.channel}


def _note_told(services: Services, incident: Incident, notes: _Notes, told: int, *, me: str) -> Progress:
    """Notes up to which version Slack is told of an incident: nothing is due any more, except a reminder."""
    notes.put(version=told)
    due, over = incidents.when_told(incident, services.now())
    try:
        incidents.note(
            services.table,
            incident.id,
            **notes.written(due, (*_LEASE, *over, *_BEHIND)),
            condition="#version = :version AND #slack_owner = :me",
            values={"version": told, "me": me},
        )
    except ConditionFailedError:  # it changed meanwhile: still due
        _release(services, incident, notes, {}, me=me)
        return CHANGED
    return DONE


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
    """Updates the message, whose turn it is. One that somebody has deleted is posted anew. Raises NotNowError."""
    slack = incident.slack
    notes.drop("look")  # if no answer comes, it is not known
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
    what, seen = f"{_EVENT}{event.number}", _Seen(words, None)
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
    if what != _MESSAGE:  # of that the lease says enough: see _lease
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


def _take_turn(services: Services, incident: Incident, notes: _Notes, queue: Queue, count: int = 1) -> None:
    """Waits for this request's turn in its queue, so that a storm of incidents does not run into Slack's limit.

    Of several updates that are to follow one another (`count`), for the last one's turn. Raises TurnError when it is far
    off; it is kept for the incident until then.
    """
    if queue == UPDATES and notes.turns:
        notes.turns -= 1
        return
    now = services.now()
    turn = _turn(incident, queue, now) or next_turns(services, queue, count)[-1]
    if turn - now > SHORT_WAIT_MS:
        notes.put(turn=turn, queue=queue.name)
        raise TurnError("Slack has a queue", seconds=-(-(turn - now) // 1000))
    if turn > now:
        services.sleep((turn - now) / 1000)
    if incident.slack.turn:
        notes.drop("turn", "queue")
    if queue == UPDATES:
        notes.turns = count - 1


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
        return LEFT
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

    `told` are those of which somebody wants it; they are as they were read a moment ago. The host's own message is
    updated first if it has news: their lines may take long, and be refused.
    """
    try:
        if _has_new(told):
            host, notes = _lease(services, host_id, _MAY_POST, me=me, updates=UPDATES.name)
        else:
            host, notes = _lease(services, host_id, me=me)
    except ConditionFailedError as refused:
        if refused.item is None:
            return _stand_alone(services, told)
        return _come_back(Incident.from_item(refused.item), told, services.now())
    if not host.slack.ts:
        _release(services, host, notes, {}, me=me)
        posted = _post_host(services, host_id, told, me=me)
        return posted or _tell_below(services, host_id, told, me=me, until=until)
    try:
        host = _tell_lines(services, host, notes, {one.id for one in told}, until)
    except NotNowError as error:
        _forget_if_gone(notes, error)
        gone: dict[str, object] = {}
        if error.code in GONE:  # the host's message: it is posted anew, with what is below it
            notes.put(version=0)
            gone = _due(services)
        _release(services, host, notes, gone, me=me)
        return _not_told(services, told[0], error)
    except Exception:
        _release(services, host, notes, {}, me=me)
        raise
    if host.slack.version >= host.version:
        _release(services, host, notes, {}, me=me)
        return DONE
    shown = _tell(services, host, notes, me=me)
    if shown == CHANGED:
        shown = _project_to_the_end(services, host_id, me=me, until=until)
    return shown if shown.done else replace(shown, incidents=(host_id,))


def _tell_lines(services: Services, host: Incident, notes: _Notes, wanted: Set[str], until: int) -> Incident:
    """Brings a host's message and the replies to it up to date; if the message has no news, the replies alone.

    New replies do not wait for an update's turn. Returns the host, behind if its message has to say something else of them.
    Raises NotNowError.
    """
    if host.slack.posting and host.slack.posting.what.startswith(_EVENT):
        host = _find_line(services, host, notes, host.slack.posting)
    replies, read = together.read(services.table, host.id), dict[int, list[Incident]]()
    late: NotNowError | None = _later_turn(services, host)
    if late and all(one.root == host.slack.ts for one in replies.all):
        raise late
    is_stale = all(one.is_complete for one in replies.all) and replies.below != host.slack.below
    is_behind = is_stale or host.slack.shown < host.version
    if is_behind and not late and not host.is_told_by_peer(services.now()):
        before = host.slack.below
        host, replies, read = _count(services, host, notes, replies)
        wanted |= {one.id for some in read.values() for one in some if one.slack.version < one.version}
        updated = [one for one in replies.wanted(wanted) if one.root == host.slack.ts]
        try:
            host = _refresh(services, host, notes, followed_by=min(len(updated), MOST_TURNS - 1))
        except NotNowError as error:
            notes.known.pop("below")  # it says something else
            host = replace(host, slack=replace(host.slack, below=before))
            is_refused = error.code and not error.wrong and error.code not in GONE  # this message: lines may be told
            if not (is_refused or isinstance(error, TurnError)):
                raise
            late = error
    waits = isinstance(late, TurnError)
    turn = notes.known.get("turn", host.slack.turn)
    try:
        host = _tell_replies(services, host, notes, replies, read, wanted, until, may_update=not waits)
    except NotNowError as error:
        if waits and not isinstance(error, TurnError):  # of a new reply, which comes first
            notes.put(turn=turn, queue=UPDATES.name)
        raise
    if waits:
        notes.put(turn=turn, queue=UPDATES.name)  # whatever a new reply has taken since
    if late:
        raise late
    return host


def _later_turn(services: Services, host: Incident) -> TurnError | None:
    """That a host has a turn for its update, and it is far off."""
    seconds = -(-(_turn(host, UPDATES, services.now()) - services.now()) // 1000)
    return TurnError("Slack has a queue", seconds=seconds) if seconds * 1000 > SHORT_WAIT_MS else None


def _count(
    services: Services, host: Incident, notes: _Notes, replies: Replies
) -> tuple[Incident, Replies, dict[int, list[Incident]]]:
    """Counts those below a host as they are now: the host, the replies, and their incidents by the reply's number."""
    read = {one.number: incidents.read_many(services.table, one.members) for one in replies.all}
    replies = replies.with_(*(replace(one, states=together.states(read[one.number])) for one in replies.all))
    notes.put(below=asdict(replies.below))
    return replace(host, slack=replace(host.slack, below=replies.below)), replies, read


def _post_host(services: Services, host_id: str, told: list[Incident], *, me: str) -> Progress | None:
    """Posts the message of a host that has none yet. None if it is there."""
    if (posted := _project(services, host_id, me=me)) not in (DONE, CHANGED):
        return posted if isinstance(posted, Progress) else _stand_alone(services, told)
    known = incidents.read(services.table, host_id)
    return None if known and known.slack.ts else _stand_alone(services, told)  # it gets none


def _due(services: Services) -> dict[str, object]:
    """Has the reconciler look after an incident, should nobody else."""
    return {DUE: DUE, "due_at": services.now() + incidents.GRACE_MS}


def _come_back(host: Incident, told: list[Incident], now: int) -> Progress:
    """How long to wait while somebody else has the host's lease: who asks for many comes back first."""
    turn = 0 if _may_be_leased(host, told, now) else -(-(host.slack.turn - now) // 1000)
    if len(told) > 1:
        return Progress(done=False, wait_seconds=max(BATCH_SECONDS, turn))
    behind = (now - told[0].changed_at) // 1000  # the longer it has waited, the less often it looks
    return Progress(done=False, wait_seconds=turn + min(max(pages.CROWD_SECONDS, behind // 2), MOST_CROWD_SECONDS))


def _tell_replies(
    services: Services,
    host: Incident,
    notes: _Notes,
    replies: Replies,
    read: dict[int, list[Incident]],
    wanted: Set[str],
    until: int,
    *,
    may_update: bool,
) -> Incident:
    """Brings the replies that have something new up to date. Returns the host, behind if its message has to say so.

    `read` are the incidents of replies, by the reply's number, that were read just now. Those who join meanwhile are told
    as well. Without `may_update` new replies alone are posted: updates wait for their turn. Raises NotNowError.
    """
    language = host.language or services.settings.language

    def those(found: Sequence[Reply]) -> list[Reply]:
        """New ones first: they wait for no update's turn."""
        new = [one for one in found if one.root != host.slack.ts]
        return new + [one for one in found if may_update and one not in new]

    left = those(replies.wanted(wanted))
    while left:
        planned = left.pop(0)
        if services.now() > until:
            raise NotNowError("there is no time left", seconds=1)
        shown = read.pop(planned.number, []) or incidents.read_many(services.table, planned.members)
        host, reply = _tell_reply(services, host, notes, planned, shown, language)
        replies = replies.with_(reply)
        host = _note_reply(services, host, notes, reply, shown, replies.below)
        if not left:
            replies = together.read(services.table, host.id)
            left = those(replies.wanted(frozenset()))
    return host


def _note_reply(
    services: Services, host: Incident, notes: _Notes, reply: Reply, shown: list[Incident], below: Below
) -> Incident:
    """Notes what a reply has, that its incidents are told, and that their host's message has to say so. Returns the host.

    All of it or, where somebody else is writing one of them, each for itself: the incidents at last.
    """
    writes = [together.saved(host, reply)]
    if below != host.slack.below:
        host = replace(host, slack=replace(host.slack, below=below, shown=0, version=0))
        notes.put(below=asdict(below), shown=0, version=0)
    if notes.known or notes.over:
        writes.append(incidents.noting(host.id, **notes.written(_due(services))))
    where = {"slack_channel": host.slack.channel, "slack_link": reply.link}
    writes += [_told_below(services, one, where) for one in shown if one.is_below and one.slack.version < one.version]
    services.table.update_each(writes)
    return host


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
        if posted.look != seen.look:  # it was posted before, and will be updated
            together.save(services.table, host, reply)
    if reply.look != seen.look:
        _take_turn(services, host, notes, UPDATES)  # without a turn it has to wait, although it is new: it was found
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


def _find_line(services: Services, host: Incident, notes: _Notes, posting: Posting) -> Incident:
    """A line of the thread that was posted although its answer was lost counts as told. Raises NotNowError.

    To be asked before a reply is noted in its place.
    """
    number = int(posting.what.removeprefix(_EVENT))
    thread = host.slack.thread
    if _find(services, host.slack.channel, f"{host.id} {posting.what}", since=posting.at, thread=host.slack.ts):
        thread = number
        notes.put(thread=thread)
    notes.drop("posting")
    return replace(host, slack=replace(host.slack, posting=None, thread=thread))


def _stand_alone(services: Services, told: list[Incident]) -> Progress:
    """Gives incidents messages of their own: there is none to tell them below."""
    for one in told:
        incidents.note(services.table, one.id, remove=("slack_host",))
    return Progress(done=False, wait_seconds=1)


def _told_below(services: Services, incident: Incident, where: Mapping[str, object]) -> Update:
    """Notes that Slack shows an incident as it was read, unless it has changed since: then whoever did that asks again."""
    changes, removed = incidents.when_told(incident, services.now())
    return incidents.noting(
        incident.id,
        {"slack_version": incident.version, **where, **changes},
        remove=(*removed, *_BEHIND),
        condition="#version = :version",
        values={"version": incident.version},
    )


def _not_told(services: Services, incident: Incident, error: NotNowError) -> Progress:
    """Notes that an incident is behind which is told below another one, and tells people what they have to fix."""
    now = services.now()
    logger.warning("Slack is behind", incident=incident.id, reason=str(error), wait_seconds=error.seconds)
    since = incident.slack.behind_since or now
    if not isinstance(error, TurnError):
        with suppress(ConditionFailedError):  # somebody has told it meanwhile
            incidents.note(
                services.table, incident.id, {"slack_behind_since": since}, condition="#slack_version < #version"
            )
    _tell_wrong(services, incident, error)
    return _again(error, now - since)
