"""Pages: one round of waking people for one escalation policy.

A policy has one page item (partition PAGE#policy), so it rings one phone at a time however many groups fire. The page has
an owner (the execution that works on it) and a lease; it covers the incidents that have joined; it keeps each call of
its own. Whoever ends it does so by one conditional write; everything else follows from that write, now or later:
`settle` carries it to the incidents, and the item is due until that is done.

States: open; then acknowledged, resolved (every incident it covered is) or unanswered.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import sample
from typing import Any, Literal

from oncall import incidents
from oncall.incidents import Event
from oncall.roster import Policy, Responder
from oncall.table import DUE, ConditionFailedError, Item, Table, Update

Outcome = Literal["acknowledged", "unanswered"]
Via = Literal["phone", "slack", "command"]

# Twilio: the statuses in which a call has ended.
ENDED = ("completed", "busy", "no-answer", "failed", "canceled")
# Ours: "placing" until Twilio says more, "taken" when its responder pressed 1, "passed" for 2: the call says good-bye.
OVER = (*ENDED, "taken", "passed")
LISTENING_SECONDS = 30  # beyond the ringing: after this long without a word, Twilio is asked what became of the call
LEASE_SECONDS = 30  # beyond the time until the owner's next step


@dataclass(frozen=True, slots=True)
class Joined:
    """The page after an incident has joined it, and whether this execution has to work on it."""

    page: Item
    is_ours: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring this responder next."""

    responder: Responder
    round: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Ring nobody for so many seconds."""

    seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There is nobody left to ring."""

    reason: str


def partition(policy: str) -> str:
    """The partition of a policy's page."""
    return f"PAGE#{policy}"


def read(table: Table, policy: str) -> Item | None:
    """The policy's page, or None if it never had one."""
    return table.get(partition(policy), "CURRENT")


def ring_seconds(policy: Policy, default: int) -> int:
    """How long one phone rings."""
    return policy.ring_seconds or default


def join(
    table: Table, policy: Policy, about: Mapping[str, Any], *, execution: str, now: int, ring: int, base: str
) -> Joined:
    """Puts an incident on the policy's page: opens a page, joins the open one, or takes over one whose owner is gone.

    `about` is what a call says of the incident (with its id as "incident"); `ring` is the ring time in seconds, `base`
    the gateway's address for Twilio. Within the quiet window after an acknowledgement the new page rings at its end.
    A page that nobody took and of which nobody has been told goes on in the new one.
    One round trip when the policy has no page. Raises ConditionFailedError after many tries.
    """
    incident = about["incident"]
    new = {
        "state": "open",
        "page": hashlib.sha256(f"{execution} {policy.id} {incident}".encode()).hexdigest()[:16],
        "policy": policy.id,
        "opened_at": now,
        "owner": execution,
        "attempt": 0,
        "calls": {},
        "incidents": {incident},
        "about": dict(about),
        "quiet_seconds": policy.quiet_seconds,
        "answer": policy.answer,
        "sms_before_call": policy.sms_before_call,
        "remind_after_minutes": policy.remind_after_minutes or 0,
        "ring_seconds": ring,
        "base": base,
        **lease(now, ring),
    }
    gone = (
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
        ),
        *("acknowledged_by", "acknowledged_responder", "acknowledged_at", "acknowledged_via"),
    )
    resting: Item | None = None  # the last page, when its quiet window is still open
    silent: Item | None = None  # the last page, when it has ended and nobody has been told
    refused = ConditionFailedError(None)
    for _ in range(incidents.TRIES):
        if resting:
            at_work = {"name": resting.get("acknowledged_by"), "responder": resting.get("acknowledged_responder")}
            # A page that came and went within the window was not taken, and the window is the one before it.
            quiet_for = at_work if "acknowledged_by" in resting else resting["quiet_for"]
            opening = {
                **new,
                "ring_at": resting["quiet_until"],
                "quiet_for": quiet_for,
                **lease(resting["quiet_until"], ring),
            }
            condition, values = "attribute_exists(#settled_at) AND #page = :page", {"page": resting["page"]}
        elif silent:
            opening = {**new, "ring_at": now, "incidents": silent["incidents"] | {incident}}
            condition = "#state = :unanswered AND #page = :page AND attribute_not_exists(#settled_at)"
            values = {"unanswered": "unanswered", "page": silent["page"]}
        else:
            opening = {**new, "ring_at": now}
            condition = (
                "attribute_not_exists(pk) OR (attribute_exists(#settled_at)"
                " AND (attribute_not_exists(#quiet_until) OR #quiet_until <= :now))"
            )
            values = {"now": now}
        try:
            remove = [name for name in gone if name not in opening]
            update = Update(
                partition(policy.id), "CURRENT", set=opening, remove=remove, condition=condition, values=values
            )
            return Joined(table.update(update), is_ours=True, is_new=True)
        except ConditionFailedError as error:
            refused = error
        page = refused.item or {}
        resting = silent = None
        if page.get("state") == "open":
            joined = _join_open(table, page, about, execution=execution, now=now)
            if joined:
                return joined
        elif "settled_at" in page:
            resting = page
        elif _is_silent(page):
            silent = page
        else:
            settle(table, page, now=now)
    raise refused


def _join_open(table: Table, page: Item, about: Mapping[str, Any], *, execution: str, now: int) -> Joined | None:
    """Joins the open page, and takes it over if its lease has run out. None if it is not open any more.

    What its calls say follows what its incident became; a call that says "only a test" does so while it rings for tests
    alone.
    """
    incident = about["incident"]
    is_new = incident not in page.get("incidents", set())
    if not is_new and page["owner"] == execution:
        return Joined(page, is_ours=True, is_new=True)
    is_about = page["about"]["incident"] == incident or (page["about"].get("test") and not about["test"])
    try:
        if is_about and page["about"] != about:
            page = note(table, page, {"about": dict(about)})
        if is_new:
            page = table.update(
                Update(
                    page["pk"],
                    page["sk"],
                    add={"incidents": {incident}},
                    condition="#state = :open AND #page = :page",
                    values={"open": "open", "page": page["page"]},
                )
            )
        if page["lease_until"] < now:
            page = take_over(table, page, execution=execution, now=now)
            return Joined(page, is_ours=True, is_new=is_new)
    except ConditionFailedError:
        return None
    return Joined(page, is_ours=False, is_new=is_new)


def take_over(table: Table, page: Item, *, execution: str, now: int) -> Item:
    """Makes this execution the owner of a page that nobody works on. Raises ConditionFailedError if somebody does."""
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={"owner": execution, **lease(now, page["ring_seconds"])},
            condition="#page = :page AND #lease_until = :lease_until AND attribute_not_exists(#settled_at)",
            values={"page": page["page"], "lease_until": page["lease_until"]},
        )
    )


def leave(table: Table, policy: str, incident: str) -> Item | None:
    """Takes a resolved incident off the policy's open page; the page ends when that was its last.

    Returns the page if it ended so and nothing has followed yet. Asked again it changes nothing.
    """
    try:
        page = table.update(
            Update(
                partition(policy),
                "CURRENT",
                delete={"incidents": {incident}},
                condition="#state = :open AND contains(#incidents, :incident)",
                values={"open": "open", "incident": incident},
            )
        )
    except ConditionFailedError as refused:
        page = refused.item or {}
    if page.get("state") == "resolved":
        return _unsettled(page)
    if page.get("state") != "open" or "incidents" in page:
        return None
    try:
        return table.update(
            Update(
                partition(policy),
                "CURRENT",
                set={"state": "resolved"},
                condition="#state = :open AND #page = :page AND attribute_not_exists(#incidents)",
                values={"open": "open", "page": page["page"]},
            )
        )
    except ConditionFailedError as refused:
        there = refused.item or {}
        # Otherwise another incident has joined meanwhile, or somebody took it.
        return _unsettled(there) if there.get("state") == "resolved" else None


def _unsettled(page: Item) -> Item | None:
    return None if "settled_at" in page else page


def acknowledge(
    table: Table, page: Item, *, who: str, responder: str, via: Via, now: int, call: int | None = None
) -> Item:
    """Ends the page: a human has it. Counts as well for a page that nobody answered in time.

    `who` is a name, `responder` an id of the roster or empty, `call` the number of the call in which it was said.
    Raises ConditionFailedError with the page as it is if it has ended otherwise, or is another one by now.
    """
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={
                "state": "acknowledged",
                "acknowledged_by": who,
                "acknowledged_responder": responder,
                "acknowledged_via": via,
                "acknowledged_at": now,
                "quiet_until": now + page["quiet_seconds"] * 1000,
                DUE: DUE,
                "due_at": now + LEASE_SECONDS * 1000,
                **({f"calls.c{call}.status": "taken"} if call else {}),
            },
            remove=("settled_at",),
            condition="#page = :page AND #state IN (:open, :unanswered)",
            values={"page": page["page"], "open": "open", "unanswered": "unanswered"},
        )
    )


def claim_text(table: Table, policy: str, page: str, number: int, *, now: int) -> Item:
    """Notes that whoever took the page in a call is texted; of several at once, one may.

    Raises ConditionFailedError if somebody does or did, or the page is another one by now.
    """
    return table.update(
        Update(
            partition(policy),
            "CURRENT",
            set={f"calls.c{number}.texted_at": now},
            condition=(
                f"#page = :page AND #state = :acknowledged AND #calls.#c{number}.#status = :taken"
                f" AND attribute_not_exists(#calls.#c{number}.#texted_at)"
            ),
            values={"page": page, "acknowledged": "acknowledged", "taken": "taken"},
        )
    )


def give_up(table: Table, page: Item, *, reason: str) -> Item:
    """Ends the page loudly: nobody took it. Raises ConditionFailedError if it has ended otherwise."""
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={"state": "unanswered", "reason": reason},
            condition="#page = :page AND #state = :open",
            values={"page": page["page"], "open": "open"},
        )
    )


def settle(table: Table, page: Item, *, now: int) -> list[str]:
    """Carries the end of a page to the incidents that it covered; returns their ids. Asked again it changes nothing.

    A phone that still rings is noted as left: whoever comes next, the page's owner or a new page, hangs it up.
    A page that nobody took has not ended before the fallback topic has been told.
    """
    covered = sorted(page.get("incidents", set()))
    if _is_silent(page):
        return covered
    for incident in sample(covered, len(covered)):  # in no order: those who do it at the same time share the work
        carry_end(table, page, incident, now=now)
    ringing = [call["sid"] for call in page["calls"].values() if "sid" in call and not has_ended(call)]
    left = [*page.get("left", ()), *ringing]
    settled = Update(
        page["pk"],
        page["sk"],
        set={"settled_at": now, **({"left": left} if left else {})},
        remove=(DUE, "due_at"),
        condition="#page = :page AND #state = :state",
        values={"page": page["page"], "state": page["state"]},
    )
    with suppress(ConditionFailedError):  # a late key took an unanswered page meanwhile: whoever took it settles it
        table.update(settled)
    return covered


def carry_end(table: Table, page: Item, incident: str, *, now: int) -> None:
    """Carries the end of a page to one of its incidents. Asked again it changes nothing."""
    if page["state"] == "acknowledged":
        taken = next((call for call in page["calls"].values() if call["status"] == "taken"), None)
        seconds = {"seconds": (page["acknowledged_at"] - taken["started_at"]) // 1000} if taken else {}
        event = Event(
            "acknowledged",
            key=f"acknowledged/{page['page']}",
            who=page["acknowledged_by"],
            detail={"via": page["acknowledged_via"], "covered": len(page["incidents"]), **seconds},
            in_thread=incident == page["about"]["incident"],
        )
        changes = {name: page[name] for name in ("acknowledged_by", "acknowledged_at")} | {"unanswered": False}
        if page["remind_after_minutes"]:
            changes |= {
                "remind_after_minutes": page["remind_after_minutes"],
                "remind_at": page["acknowledged_at"] + page["remind_after_minutes"] * 60_000,
                "reminded": False,
            }
        incidents.tell(
            table, incident, event, now=now, state="acknowledged", unless=("resolved", "acknowledged"), set_=changes
        )
    elif page["state"] == "unanswered" and not _is_silent(page):
        rounds = max((call["round"] for call in page["calls"].values()), default=0)
        detail = {"reason": page.get("reason", ""), "rounds": rounds}
        event = Event("unanswered", key=f"unanswered/{page['page']}", detail=detail)
        incidents.tell(table, incident, event, now=now, unless=("resolved", "acknowledged"), set_={"unanswered": True})


def _is_silent(page: Item) -> bool:
    """Whether nobody took the page, and nobody has been told."""
    return bool(page["state"] == "unanswered" and page.get("told") != "unanswered")


def lease(now: int, seconds: int) -> dict[str, Any]:
    """How long the owner may be silent when its next step comes after `seconds`: afterwards another execution takes over."""
    until = now + (seconds + LISTENING_SECONDS + LEASE_SECONDS) * 1000
    return {"lease_until": until, DUE: DUE, "due_at": until}


def next_step(
    page: Item, order: Sequence[Responder], policy: Policy, *, now: int, delays: Mapping[str, int] | None = None
) -> Ring | Pause | GiveUp:
    """Whom to ring next: each responder `calls` times in a row, round after round, by the order as it is now.

    Responders who have had their calls in this round, or have passed it on, were skipped or cannot be called, are passed
    over, so that a roster that changes in the middle counts at once and rings nobody twice. After a skipped call there is
    no pause.
    `delays` (minutes, by responder) are how long after the beginning of the round somebody may be rung; a call that is
    passed on, skipped or refused ends the wait.
    """
    if not order:
        return GiveUp("nobody is on call")
    calls = page["calls"].values()
    current = max((call["round"] for call in calls), default=1)
    had = Counter(call["responder"] for call in calls if call["round"] == current)
    passed = {
        call["responder"]
        for call in calls
        if call["round"] == current and (call["status"] == "passed" or "skipped" in call or "refused" in call)
    }
    delays = delays or {}
    latest = max(calls, key=lambda call: int(call["number"]), default=None)
    began = _round_began(page, current, delays)
    for responder in order:
        if had[responder.id] < policy.calls and responder.id not in passed:
            handed_on = latest and (latest["status"] == "passed" or "skipped" in latest or "refused" in latest)
            return _when_due(Ring(responder, current), 0 if handed_on else began, delays, now)
    if current >= policy.rounds:
        return GiveUp(f"nobody took it in {policy.rounds} round{'s' if policy.rounds > 1 else ''}")
    last = max(call.get("ended_at") or call["started_at"] for call in calls)
    rested = last + policy.pause_seconds * 1000
    if latest and "skipped" in latest:
        return Ring(order[0], current + 1)
    if rested > now:
        return Pause(-(-(rested - now) // 1000), "pause between two rounds")
    return _when_due(Ring(order[0], current + 1), rested, delays, now)


def _round_began(page: Item, current: int, delays: Mapping[str, int]) -> int:
    """When a round began: with its first call, less what that had to wait; the first one when the page could ring."""
    calls = [call for call in page["calls"].values() if call["round"] == current]
    if not calls:
        return int(page.get("ring_at", 0))
    first = min(calls, key=lambda call: int(call["number"]))
    return int(first["started_at"]) - delays.get(first["responder"], 0) * 60_000


def _when_due(ring: Ring, began: int, delays: Mapping[str, int], now: int) -> Ring | Pause:
    minutes = delays.get(ring.responder.id, 0)
    due = began + minutes * 60_000
    return ring if due <= now else Pause(-(-(due - now) // 1000), f"the next step comes after {minutes} minutes")


def begin_call(table: Table, page: Item, ring: Ring, *, execution: str, token: str, now: int) -> Item:
    """Writes an attempt with its task token before Twilio is asked for the call, so that no callback can be early.

    `page` needs no more than its keys, page, attempt and sms_before_call: after a text, `ask_again` writes that Twilio is
    asked. Raises ConditionFailedError with the page if it has ended, has gone on, or is another execution's.
    """
    number = page["attempt"] + 1
    call = {
        "number": number,
        "responder": ring.responder.id,
        "name": ring.responder.name,
        "phone": ring.responder.phone,
        "language": ring.responder.language or "",
        "round": ring.round,
        "status": "placing",
        "started_at": now,
        "asked_at": 0 if page.get("sms_before_call") else now,
    }
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={
                "attempt": number,
                f"calls.c{number}": call,
                "token": token,
                **lease(now, page["ring_seconds"]),
            },
            condition=(
                "#page = :page AND #state = :open AND #owner = :me AND #attempt = :attempt AND #ring_at <= :now"
                " AND attribute_exists(#incidents)"
            ),
            values={
                "page": page["page"],
                "open": "open",
                "me": execution,
                "attempt": page["attempt"],
                "now": now,
            },
        )
    )


def ask_again(table: Table, page: Item, *, execution: str, token: str, now: int) -> Item:
    """Writes that Twilio is asked once more for a call that it has never had. Of two at once, one may.

    Raises ConditionFailedError with the page if Twilio has it, is being asked, or the page has gone on.
    """
    number = page["attempt"]
    call = page["calls"][f"c{number}"]
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={f"calls.c{number}.asked_at": now, "token": token, **lease(now, page["ring_seconds"])},
            condition=(
                "#page = :page AND #state = :open AND #owner = :me AND #attempt = :attempt"
                f" AND #calls.#c{number}.#status = :placing AND #calls.#c{number}.#asked_at = :asked"
                f" AND attribute_not_exists(#calls.#c{number}.#sid)"
            ),
            values={
                "page": page["page"],
                "open": "open",
                "me": execution,
                "attempt": number,
                "placing": "placing",
                "asked": call["asked_at"],
            },
        )
    )


def update_call(table: Table, page: Item, number: int, changes: Mapping[str, Any]) -> Item:
    """Notes what became of a call that has not ended. Raises ConditionFailedError with the page if it has, or is gone."""
    names = {f"over{index}": status for index, status in enumerate(OVER)}
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={f"calls.c{number}.{name}": value for name, value in changes.items()},
            condition=(
                f"#page = :page AND attribute_exists(#calls.#c{number})"
                f" AND NOT #calls.#c{number}.#status IN ({', '.join(f':{name}' for name in names)})"
            ),
            values={"page": page["page"], **names},
        )
    )


def skip(table: Table, page: Item, *, who: str, via: Via, now: int) -> Item:
    """Notes that somebody wants the next responder rung instead of the one whose phone rings. The PhoneCall step does it.

    Raises ConditionFailedError with the page if that call has ended, is skipped already, or the page has gone on.
    """
    number = page["attempt"]
    names = {f"over{index}": status for index, status in enumerate(OVER)}
    skipped = {"who": who, "via": via, "at": now}
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set={f"calls.c{number}.skipped": skipped, "skipped_at": now},
            condition=(
                "#page = :page AND #state = :open AND #attempt = :attempt"
                f" AND attribute_exists(#calls.#c{number}.#sid) AND attribute_not_exists(#calls.#c{number}.#skipped)"
                f" AND NOT #calls.#c{number}.#status IN ({', '.join(f':{name}' for name in names)})"
            ),
            values={"page": page["page"], "open": "open", "attempt": number, **names},
        )
    )


def skipped_event(page: Item, call: Mapping[str, Any]) -> Event:
    """What the timeline says of a skipped call."""
    skipped = call["skipped"]
    detail = {"via": skipped["via"], "skipped": call["name"]}
    return Event("ring_next", key=f"{page['page']}/{call['number']}/ring_next", who=skipped["who"], detail=detail)


def has_ended(call: Mapping[str, Any]) -> bool:
    """Whether a call needs no more waiting for."""
    return call["status"] in OVER


def current_call(page: Item) -> Item | None:
    """The latest call, or None before the first."""
    call: Item | None = page["calls"].get(f"c{page['attempt']}")
    return call


def hold(table: Table, page: Item, *, execution: str, token: str, now: int, seconds: int) -> Item:
    """Keeps the page for its owner while a call goes on, with the new task token.

    Raises ConditionFailedError as above, and if somebody wants the next responder rung: that released the old token.
    """
    number = page["attempt"]
    condition = "#page = :page AND #state = :open AND #owner = :me AND #attempt = :attempt"
    values: dict[str, Any] = {"page": page["page"], "open": "open", "me": execution, "attempt": number}
    if number:
        condition += (
            f" AND attribute_not_exists(#calls.#c{number}.#skipped)"
            f" AND NOT #calls.#c{number}.#status IN ({', '.join(f':over{index}' for index in range(len(OVER)))})"
        )
        values |= {f"over{index}": status for index, status in enumerate(OVER)}
    return table.update(
        Update(page["pk"], page["sk"], set={"token": token, **lease(now, seconds)}, condition=condition, values=values)
    )


def rest(table: Table, page: Item, *, execution: str, now: int, seconds: int) -> Item:
    """Keeps the page for its owner while nobody is rung. Raises ConditionFailedError if it has ended, or is another's."""
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set=lease(now, seconds),
            condition="#page = :page AND #state = :open AND #owner = :me",
            values={"page": page["page"], "open": "open", "me": execution},
        )
    )


def note(table: Table, page: Item, changes: Mapping[str, Any], *, remove: Sequence[str] = ()) -> Item:
    """Notes something on the page that decides nothing. Raises ConditionFailedError if it is another page by now."""
    return table.update(
        Update(
            page["pk"],
            page["sk"],
            set=changes,
            remove=remove,
            condition="#page = :page",
            values={"page": page["page"]},
        )
    )
