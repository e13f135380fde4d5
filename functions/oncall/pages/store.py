"""Pages: one round of waking people for one escalation policy.

A policy has one page item (partition PAGE#policy), so it rings one phone at a time however many groups fire. The page has
an owner (the execution that works on it) and a lease; it covers the incidents that have joined; it keeps each call of
its own. Whoever ends it does so by one conditional write; everything else follows from that write, now or later:
`settle` carries it to the incidents, and the item is due until that is done.

States: open; then acknowledged, resolved (every incident it covered is) or unanswered.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from random import sample

from oncall import incidents
from oncall.incidents import Change, Event, Headline, Incident
from oncall.pages.model import OVER, AtWork, Call, Handed, Page, PageKey, Skip, Via
from oncall.pages.next_step import Ring
from oncall.roster import Policy, Responder
from oncall.table import DUE, ConditionFailedError, Item, Table, Update

LISTENING_SECONDS = 30  # beyond the ringing: after this long without a word, Twilio is asked what became of the call
SUPPOSED_SECONDS = 5  # the same for a supposed call, of which nothing is ever heard; Twilio may ring as much longer
LEASE_SECONDS = 30  # beyond the time until the owner's next step
LISTED = 10  # incidents that are named where many share a page
OWN_MESSAGES = 5  # so many incidents of a page have each a message in a channel; the others are told below one of these
TOGETHER = 20  # of the others, so many in one reply
# While somebody tells the incidents of a storm: one that has joined is told with the others, and its own execution has only
# to see that.
CROWD_SECONDS = 15
_WORDS = ("repeated", "new_alerts", "worse")  # the events of what an alert group says after its first word

# What the last page may have left behind in the item, and a new one does not take over.
_LEFT_BEHIND = (
    *(
        "token",
        "settled_at",
        "reason",
        "told",
        "unavailable_since",
        "quiet_for",
        "skipped_at",
        "remedy",
        "text_remedies",
        "away_since",
    ),
    *("acknowledged_by", "acknowledged_responder", "acknowledged_at", "acknowledged_via"),
)


# The pages that this environment saw open last, by table and policy: in a storm the next incident joins with one write.
_seen_open: dict[tuple[str, str], Page] = {}


@dataclass(frozen=True, slots=True)
class Joined:
    """The page after an incident has joined it, and whether this execution has to work on it."""

    page: Page
    is_ours: bool
    is_new: bool


def partition(policy: str) -> str:
    """The partition of a policy's page."""
    return f"PAGE#{policy}"


def read(table: Table, policy: str) -> Page | None:
    """The policy's page, or None if it never had one."""
    item = table.get(partition(policy), "CURRENT")
    return Page.from_item(item) if item else None


def found(refused: ConditionFailedError) -> Page | None:
    """The page that a refused write found instead, or None if the policy has none."""
    return Page.from_item(refused.item) if refused.item else None


def _write(table: Table, update: Update) -> Page:
    """Writes a policy's page and returns it as it is then. Raises ConditionFailedError."""
    return Page.from_item(table.update(update))


def ring_seconds(policy: Policy, default: int) -> int:
    """How long one phone rings."""
    return policy.ring_seconds or default


def waits(page: Page) -> int:
    """How many seconds the step waits for a word of a call."""
    return page.ring_seconds + (SUPPOSED_SECONDS if page.is_shadow else LISTENING_SECONDS)


def join(
    table: Table,
    policy: Policy,
    headline: Headline,
    first: Responder | None,
    *,
    execution: str,
    now: int,
    ring: int,
    base: str,
    channel: str = "",
) -> Joined:
    """Puts an incident on the policy's page: opens a page, joins the open one, or takes over one whose owner is gone.

    `headline` is what a call says of the incident; `first` is whom a new page rings first; `ring` is the ring time in
    seconds, `base` the gateway's address for Twilio; `channel` is where Slack tells it.
    Within the quiet window after an acknowledgement the new page rings
    at its end. A page that nobody took and of which nobody has been told goes on in the new one.
    One round trip when the policy has no page. Raises ConditionFailedError after many tries.
    """
    incident = headline.incident
    new = {
        "state": "open",
        "page": hashlib.sha256(f"{execution} {policy.id} {incident}".encode()).hexdigest()[:16],
        "policy": policy.id,
        "opened_at": now,
        "owner": execution,
        "attempt": 0,
        "calls": {},
        "phones": {first.id: first.phone} if first else {},
        "incidents": {incident},
        "traits": _traits(headline),
        "places": {f"{channel} {incident}"},
        "about": headline.to_item(),
        "quiet_seconds": policy.quiet_seconds,
        "answer": policy.answer,
        "sms_before_call": policy.sms_before_call,
        "remind_after_minutes": policy.remind_after_minutes or 0,
        "ring_seconds": ring,
        "base": base,
        "ring_at": now,
        **lease(now, ring),
    }
    opening = _opens(new)
    refused = ConditionFailedError(None)
    for _ in range(incidents.TRIES):
        try:
            page = _seen_open[table.name, policy.id] = Page.from_item(table.update(opening))
            return Joined(page, is_ours=True, is_new=True)
        except ConditionFailedError as error:
            refused = error
        last, opening = found(refused), _opens(new)
        if last is None:
            continue
        if last.is_open:
            joined = _join_open(table, last, headline, execution=execution, now=now, channel=channel)
            if joined:
                return joined
        elif last.is_settled:
            opening = _opens_quietly(new, last)
        elif last.is_silent:
            opening = _goes_on(new, last)
        else:
            settle(table, last, now=now)
    raise refused


def join_seen(
    table: Table, policy: Policy, headline: Headline, *, execution: str, now: int, channel: str
) -> Joined | None:
    """Puts an incident that was opened just now on the page that was seen open last: in a storm it still is, and covers others.

    None if none was, or it is not open any more.
    """
    seen = _seen_open.pop((table.name, policy.id), None)
    if seen is None or seen.owner == execution or seen.headline.test or seen.lease_until < now:
        return None
    return _join_open(table, seen, headline, execution=execution, now=now, channel=channel)


def _opens(new: Item) -> Update:
    """Opens a page if the last one is over, and its quiet window with it."""
    condition = (
        "attribute_not_exists(pk) OR (attribute_exists(#settled_at)"
        " AND (attribute_not_exists(#quiet_until) OR #quiet_until <= :now))"
    )
    return _opening(new, condition=condition, values={"now": new["opened_at"]})


def _opens_quietly(new: Item, last: Page) -> Update:
    """Opens a page that rings when the last one's quiet window ends, unless its acknowledger takes it before."""
    at_work = last.at_work  # a page that came and went within the window was not taken: the one before it counts
    if last.acknowledged_by:
        at_work = AtWork(last.acknowledged_by, last.acknowledged_responder)
    quietly = {
        "ring_at": last.quiet_until,
        "quiet_for": asdict(at_work) if at_work else None,
        **lease(last.quiet_until, new["ring_seconds"]),
    }
    condition = "attribute_exists(#settled_at) AND #page = :page"
    return _opening(new | quietly, condition=condition, values={"page": last.id})


def _goes_on(new: Item, last: Page) -> Update:
    """Opens a page that goes on with one that nobody took and of which nobody has been told."""
    condition = "#state = :unanswered AND #page = :page AND attribute_not_exists(#settled_at)"
    values = {"unanswered": "unanswered", "page": last.id}
    goes_on = {name: getattr(last, name) | new[name] for name in ("incidents", "traits", "places")}
    return _opening(new | goes_on, condition=condition, values=values)


def _opening(new: Item, *, condition: str, values: Mapping[str, object]) -> Update:
    """The write that puts a new page in the place of the last one."""
    remove = [name for name in _LEFT_BEHIND if name not in new]
    return Update(partition(new["policy"]), "CURRENT", set=new, remove=remove, condition=condition, values=values)


def _join_open(
    table: Table, page: Page, headline: Headline, *, execution: str, now: int, channel: str
) -> Joined | None:
    """Joins the open page, and takes it over if its lease has run out. None if it is not open any more.

    What its calls say follows what its incident became; a call that says "only a test" does so while it rings for tests
    alone.
    """
    incident = headline.incident
    is_new = not page.covers(incident)
    if not is_new and page.owner == execution:
        return Joined(page, is_ours=True, is_new=True)
    is_about = page.lead == incident or (page.headline.test and not headline.test)
    try:
        if is_about and page.headline != headline:
            page = note(table, page, {"about": headline.to_item()})
        told_apart = {name for name, _, _ in (trait.partition("=") for trait in page.traits)} - page.in_common.keys()
        news = {trait for trait in _traits(headline) - page.traits if trait.partition("=")[0] not in told_apart}
        if is_new or news:
            page = _write(
                table,
                Update(
                    partition(page.policy),
                    "CURRENT",
                    add={
                        "incidents": {incident},
                        "places": {f"{channel} {incident}"},
                        **({"traits": news} if news else {}),
                    },
                    condition="#state = :open AND #page = :page",
                    values={"open": "open", "page": page.id},
                ),
            )
        if page.lease_until < now:
            page = take_over(table, page, execution=execution, now=now)
            return Joined(page, is_ours=True, is_new=is_new)
    except ConditionFailedError:
        return None
    _seen_open[table.name, page.policy] = page
    return Joined(page, is_ours=False, is_new=is_new)


def host(table: Table, page: Page, incident: Incident) -> str:
    """The incident below whose message one is told in Slack that has joined a page just now; empty: it has its own.

    A storm would fill the channel, and Slack takes one message a second: the first few of a channel have messages, and the
    lead's, or else the oldest one's, has the others. Who has a message keeps it.
    """
    beside = [one for one in page.told_in(incident.channel) if one != incident.id]
    if incident.slack.host or incident.slack.ts or len(beside) < OWN_MESSAGES:
        return ""
    found = incidents.read(table, page.lead if page.lead in beside else beside[0])
    name = (found.slack.host or found.id) if found else ""
    return "" if name == incident.id else name  # it may lead those that were told below it


def crowd_seconds(page: Page, incident: Incident) -> int:
    """How long the execution of an incident that is told below another one's message leaves it to others: whoever begins
    a reply tells at once, and with it all who join meanwhile.
    """
    below = len(page.told_in(incident.channel)) - OWN_MESSAGES
    return 0 if below % TOGETHER == 1 else CROWD_SECONDS


def _traits(headline: Headline) -> set[str]:
    """What a page keeps of the traits of an incident. They are only added to, in any order, and by several at once: of what
    has left the page something may stay, so that less is in common than could be said, and never more.
    """
    return {f"{name}={headline.traits.get(name, '')}" for name in incidents.TRAITS}


def take_over(table: Table, page: Page, *, execution: str, now: int) -> Page:
    """Makes this execution the owner of a page that nobody works on. Raises ConditionFailedError if somebody does."""
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={"owner": execution, **lease(now, page.ring_seconds)},
            condition="#page = :page AND #lease_until = :lease_until AND attribute_not_exists(#settled_at)",
            values={"page": page.id, "lease_until": page.lease_until},
        ),
    )


def leave(table: Table, policy: str, incident: str) -> Page | None:
    """Takes a resolved incident off the policy's open page; the page ends when that was its last.

    Returns the page if it ended so and nothing has followed yet. Asked again it changes nothing.
    """
    page: Page | None
    try:
        page = _write(
            table,
            Update(
                partition(policy),
                "CURRENT",
                delete={"incidents": {incident}},
                condition="#state = :open AND contains(#incidents, :incident)",
                values={"open": "open", "incident": incident},
            ),
        )
    except ConditionFailedError as refused:
        page = found(refused)
    if page and page.is_open and not page.incidents:
        try:
            page = _write(
                table,
                Update(
                    partition(policy),
                    "CURRENT",
                    set={"state": "resolved"},
                    condition="#state = :open AND #page = :page AND attribute_not_exists(#incidents)",
                    values={"open": "open", "page": page.id},
                ),
            )
        except ConditionFailedError as refused:  # another incident has joined meanwhile, or somebody ended it
            page = found(refused)
    return page if page and page.state == "resolved" and not page.is_settled else None


def acknowledge(
    table: Table, page: Page, *, who: str, responder: str, via: Via, now: int, call: int | None = None
) -> Page:
    """Ends the page: a human has it. Counts as well for a page that nobody answered in time.

    `who` is a name, `responder` an id of the roster or empty, `call` the number of the call in which it was said.
    Raises ConditionFailedError with the page as it is if it has ended otherwise, or is another one by now.
    """
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={
                "state": "acknowledged",
                "acknowledged_by": who,
                "acknowledged_responder": responder,
                "acknowledged_via": via,
                "acknowledged_at": now,
                "quiet_until": now + page.quiet_seconds * 1000,
                DUE: DUE,
                "due_at": now + LEASE_SECONDS * 1000,
                **({f"calls.c{call}.status": "taken"} if call else {}),
            },
            remove=("settled_at",),
            condition="#page = :page AND #state IN (:open, :unanswered)",
            values={"page": page.id, "open": "open", "unanswered": "unanswered"},
        ),
    )


def claim_text(table: Table, policy: str, page: str, number: int, *, now: int) -> Page:
    """Notes that whoever took the page in a call is texted; of several at once, one may.

    Raises ConditionFailedError if somebody does or did, or the page is another one by now.
    """
    return _write(
        table,
        Update(
            partition(policy),
            "CURRENT",
            set={f"calls.c{number}.texted_at": now},
            condition=(
                f"#page = :page AND #state = :acknowledged AND #calls.#c{number}.#status = :taken"
                f" AND attribute_not_exists(#calls.#c{number}.#texted_at)"
            ),
            values={"page": page, "acknowledged": "acknowledged", "taken": "taken"},
        ),
    )


def give_up(table: Table, page: Page, *, reason: str) -> Page:
    """Ends the page loudly: nobody took it. Raises ConditionFailedError if it has ended otherwise."""
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={"state": "unanswered", "reason": reason},
            condition="#page = :page AND #state = :open",
            values={"page": page.id, "open": "open"},
        ),
    )


def settle(table: Table, page: Page, *, now: int) -> list[str]:
    """Carries the end of a page to the incidents that it covered; returns their ids. Asked again it changes nothing.

    A phone that still rings is noted as left: whoever comes next, the page's owner or a new page, hangs it up.
    A page that nobody took has not ended before the fallback topic has been told.
    """
    covered = sorted(page.incidents)
    if page.is_silent:
        return covered
    some = sample(covered, len(covered))  # in no order: those who do it at the same time share the work
    if page.state == "acknowledged":
        first = _first_in_channels(page)
        taken = {incident: _taken(page, incident, first) for incident in some}
        incidents.tell_many(table, taken, now=now, unless=("resolved", "acknowledged"))
    else:
        tellers = _tellers(table, page) if page.state == "unanswered" else None
        for incident in some:
            carry_end(table, page, incident, now=now, tellers=tellers)
    left = [*page.left, *(call.reference for call in page.calls if call.sid and not call.has_ended)]
    settled = Update(
        partition(page.policy),
        "CURRENT",
        set={"settled_at": now, **({"left": left} if left else {})},
        remove=(DUE, "due_at"),
        condition="#page = :page AND #state = :state",
        values={"page": page.id, "state": page.state},
    )
    with suppress(ConditionFailedError):  # a late key took an unanswered page meanwhile: whoever took it settles it
        table.update(settled)
    return covered


def carry_end(
    table: Table, page: Page, incident: str, *, now: int, tellers: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Carries the end of a page to one of its incidents. Asked again it changes nothing.

    `tellers` are those that tell everybody that nobody took it (see `_tellers`), if that is known already.
    """
    if page.state == "acknowledged":
        taken = {incident: _taken(page, incident, _first_in_channels(page))}
        incidents.tell_many(table, taken, now=now, unless=("resolved", "acknowledged"))
    elif page.state == "unanswered" and not page.is_silent:
        if tellers is None:
            tellers = _tellers(table, page)
        beside = tellers.get(incident, ())
        rounds = max((call.round for call in page.calls), default=0)
        detail = {
            "reason": page.reason,
            "rounds": rounds,
            "calls": len(page.attempts),
            "covered": len(beside) + 1,
            **({"others": list(beside[:LISTED])} if beside else {}),
            **({"repeats_at": _next_repeat(table, incident, now)} if incident in tellers else {}),
            **({"supposed": True} if page.is_shadow else {}),
        }
        event = Event("unanswered", key=f"unanswered/{page.id}", detail=detail, in_thread=incident in tellers)
        incidents.tell(table, incident, event, now=now, unless=("resolved", "acknowledged"), set_={"unanswered": True})


def _first_in_channels(page: Page) -> dict[str, list[str]]:
    """The first incident of a page in each channel, with the others that are told there."""
    # An older page has no channels.
    found = page.by_channel.values() or [sorted(page.incidents, key=lambda one: (one != page.lead, one))]
    return {some[0]: some[1:] for some in found if some}


def _taken(page: Page, incident: str, tellers: Mapping[str, Sequence[str]]) -> Change:
    """What it means for an incident that somebody took its page, of whose incidents `tellers` say so in their threads."""
    others = tellers.get(incident, ())
    taken = next((call for call in page.calls if call.status == "taken"), None)
    seconds = {"seconds": (page.acknowledged_at - taken.started_at) // 1000} if taken else {}
    event = Event(
        "acknowledged",
        key=f"acknowledged/{page.id}",
        who=page.acknowledged_by,
        detail={
            "via": page.acknowledged_via,
            "covered": len(page.incidents),
            **seconds,
            **({"others": list(others[:LISTED])} if others else {}),
            **({} if incident == page.lead else {"lead": page.lead}),
        },
        at=page.acknowledged_at,
        in_thread=incident in tellers,  # the others' messages say who took them, and how many together
    )
    changes: dict[str, object] = {
        "acknowledged_by": page.acknowledged_by,
        "acknowledged_at": page.acknowledged_at,
        "taken_together": len(page.incidents),
        "unanswered": False,
    }
    if page.remind_after_minutes:
        changes |= {
            "remind_after_minutes": page.remind_after_minutes,
            "remind_at": page.acknowledged_at + page.remind_after_minutes * 60_000,
            "reminded": False,
        }
    return Change(event, "acknowledged", changes)


def _tellers(table: Table, page: Page) -> dict[str, list[str]]:
    """Which incidents of a page that nobody took tell everybody so: one in each channel, with the others there."""
    by_channel: dict[str, list[str]] = {}
    for name in sorted(page.incidents, key=lambda one: (one != page.lead, one)):
        incident = incidents.read(table, name)
        if incident and incident.state == "triggered":
            by_channel.setdefault(incident.channel, []).append(name)
    return {first: others for first, *others in by_channel.values()}


def _next_repeat(table: Table, incident: str, now: int) -> int:
    """When an incident's alerts are probably repeated, by how far apart the last two words of them were; 0: not known.

    Two Alertmanagers say the same within a minute.
    """
    words = [event.at for event in incidents.timeline(table, incident) if event.kind in ("triggered", *_WORDS)]
    gap = words[-1] - words[-2] if len(words) > 1 else 0
    return words[-1] + gap if gap > 120_000 and words[-1] + gap > now else 0


def lease(now: int, seconds: int) -> dict[str, object]:
    """How long the owner may be silent when its next step comes after `seconds`: afterwards another execution takes over."""
    until = now + (seconds + LISTENING_SECONDS + LEASE_SECONDS) * 1000
    return {"lease_until": until, DUE: DUE, "due_at": until}


def begin_call(
    table: Table,
    page: Page | Handed,
    ring: Ring,
    *,
    execution: str,
    token: str,
    now: int,
    provider: str = "twilio",
    instead_of: int = 0,
) -> Page:
    """Writes an attempt with its task token before a provider is asked for the call, so that no callback can be early.

    A responder without a number is whom the page rings first: it has the number.
    After a text before the call, `ask_again` writes that it is asked. `instead_of` is the number of the other provider's call
    that did not ring: it is none if that has begun to.
    Raises ConditionFailedError with the page if it has ended, has gone on, or is another execution's.
    """
    number = page.attempt + 1
    call = {
        "number": number,
        "responder": ring.responder.id,
        "name": ring.responder.name,
        **({"phone": ring.responder.phone} if ring.responder.phone else {}),
        "language": ring.responder.language or "",
        "round": ring.round,
        "status": "placing",
        "started_at": now,
        "asked_at": 0 if page.sms_before_call and not instead_of else now,
        **({} if provider == "twilio" else {"provider": provider}),
        **({"instead_of": instead_of} if instead_of else {}),
    }
    silent = (
        f" AND attribute_not_exists(#calls.#c{instead_of}.#ringing_at)"
        f" AND attribute_not_exists(#calls.#c{instead_of}.#answered_at)"
        if instead_of
        else ""
    )
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={
                "attempt": number,
                f"calls.c{number}": call,
                "token": token,
                **lease(now, page.ring_seconds),
            },
            condition=(
                "#page = :page AND #state = :open AND #owner = :me AND #attempt = :attempt AND #ring_at <= :now"
                f" AND attribute_exists(#incidents){silent}"
            ),
            values={
                "page": page.id,
                "open": "open",
                "me": execution,
                "attempt": page.attempt,
                "now": now,
            },
        ),
    )


def ask_again(table: Table, page: Page, call: Call, *, execution: str, token: str, now: int) -> Page:
    """Writes that a provider is asked once more for a call that it has never had. Of two at once, one may.

    Raises ConditionFailedError with the page if the provider has it, is being asked, or the page has gone on.
    """
    number = call.number
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={f"calls.c{number}.asked_at": now, "token": token, **lease(now, page.ring_seconds)},
            condition=(
                "#page = :page AND #state = :open AND #owner = :me AND #attempt = :attempt"
                f" AND #calls.#c{number}.#status = :placing AND #calls.#c{number}.#asked_at = :asked"
                f" AND attribute_not_exists(#calls.#c{number}.#sid)"
            ),
            values={
                "page": page.id,
                "open": "open",
                "me": execution,
                "attempt": page.attempt,
                "placing": "placing",
                "asked": call.asked_at,
            },
        ),
    )


def update_call(table: Table, page: Page | PageKey, number: int, changes: Mapping[str, object]) -> Page:
    """Notes what became of a call that has not ended. Raises ConditionFailedError with the page if it has, or is gone."""
    names = {f"over{index}": status for index, status in enumerate(OVER)}
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={f"calls.c{number}.{name}": value for name, value in changes.items()},
            condition=(
                f"#page = :page AND attribute_exists(#calls.#c{number})"
                f" AND NOT #calls.#c{number}.#status IN ({', '.join(f':{name}' for name in names)})"
            ),
            values={"page": page.id, **names},
        ),
    )


def skip(table: Table, page: Page, *, who: str, via: Via, now: int) -> Page:
    """Notes that somebody wants the next responder rung instead of the one whose phone rings. The PhoneCall step does it.

    Raises ConditionFailedError with the page if that call has ended, is skipped already, or the page has gone on.
    """
    number = page.attempt
    names = {f"over{index}": status for index, status in enumerate(OVER)}
    skipped = asdict(Skip(who, via, now))
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set={f"calls.c{number}.skipped": skipped, "skipped_at": now},
            condition=(
                "#page = :page AND #state = :open AND #attempt = :attempt"
                f" AND attribute_exists(#calls.#c{number}.#sid) AND attribute_not_exists(#calls.#c{number}.#skipped)"
                f" AND NOT #calls.#c{number}.#status IN ({', '.join(f':{name}' for name in names)})"
            ),
            values={"page": page.id, "open": "open", "attempt": number, **names},
        ),
    )


def skipped_event(page: Page, call: Call, skipped: Skip) -> Event:
    """What the timeline says of a skipped call."""
    detail = {"via": skipped.via, "skipped": call.name}
    return Event("ring_next", key=f"{page.id}/{call.number}/ring_next", who=skipped.who, detail=detail)


def hold(
    table: Table, page: Page, call: Call | None = None, *, execution: str, token: str, now: int, seconds: int
) -> Page:
    """Keeps the page for its owner while a call goes on (by default the latest), with the new task token.

    Raises ConditionFailedError as above, and if somebody wants the next responder rung: that released the old token.
    """
    number = call.number if call else page.attempt
    condition = "#page = :page AND #state = :open AND #owner = :me AND #attempt = :attempt"
    values: dict[str, object] = {"page": page.id, "open": "open", "me": execution, "attempt": page.attempt}
    if number:
        condition += (
            f" AND attribute_not_exists(#calls.#c{number}.#skipped)"
            f" AND NOT #calls.#c{number}.#status IN ({', '.join(f':over{index}' for index in range(len(OVER)))})"
        )
        values |= {f"over{index}": status for index, status in enumerate(OVER)}
    changes = {"token": token, **lease(now, seconds)}
    return _write(table, Update(partition(page.policy), "CURRENT", set=changes, condition=condition, values=values))


def rest(table: Table, page: Page, *, execution: str, now: int, seconds: int) -> Page:
    """Keeps the page for its owner while nobody is rung. Raises ConditionFailedError if it has ended, or is another's."""
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set=lease(now, seconds),
            condition="#page = :page AND #state = :open AND #owner = :me",
            values={"page": page.id, "open": "open", "me": execution},
        ),
    )


def note(table: Table, page: Page, changes: Mapping[str, object], *, remove: Sequence[str] = ()) -> Page:
    """Notes something on the page that decides nothing. Raises ConditionFailedError if it is another page by now."""
    return _write(
        table,
        Update(
            partition(page.policy),
            "CURRENT",
            set=changes,
            remove=remove,
            condition="#page = :page",
            values={"page": page.id},
        ),
    )
