"""What people answer: keys on the phone, buttons in Slack, and what Twilio says of a call.

The table is written first and the word said second. A reply that is late, doubled or out of order finds in the page what
is true by then, and is told so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_lambda_powertools import Logger

from oncall import incidents, pages, roster
from oncall.incidents import Event
from oncall.pages import Via
from oncall.roster import Language
from oncall.signals import Answer
from oncall.store import ConditionFailedError, Item, Table
from oncall.telephone import Callbacks
from oncall.voice import Voice

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Desk:
    """What a reply works with."""

    table: Table
    release: Callable[[str | None, Answer], None]
    slack: Callable[[Sequence[str]], None]
    now: Callable[[], int]  # epoch milliseconds
    language: Language


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an acknowledgement: whether it is ours, or who has it (since when), or that it is over."""

    ours: bool
    by: str = ""
    at: int = 0
    over: bool = False


def key_pressed(desk: Desk, callbacks: Callbacks, digits: str) -> str:
    """What a pressed key does; returns what the call says next (TwiML)."""
    page = pages.read(desk.table, callbacks.policy)
    call = _call(page, callbacks)
    if page is None or call is None:
        return Voice(desk.language, callbacks).goodbye("gone")
    voice = Voice(cast("Language", call["language"] or page["about"].get("language") or desk.language), callbacks)
    match digits:
        case "1":
            taken = _acknowledge_page(
                desk, page, who=call["name"], responder=call["responder"], via="phone", call=call["number"]
            )
            return _answer(desk, voice, taken)
        case _ if page["state"] in ("acknowledged", "resolved"):
            return _answer(desk, voice, _taken_by(page))
        case "2":
            return _pass_on(desk, page, call, voice)
        case "3":
            return voice.alert(page["about"])
        case _:
            return voice.alert(page["about"], first="wrong")


def call_changed(desk: Desk, callbacks: Callbacks, status: str, sid: str) -> None:
    """What Twilio says of a call. Its end releases the waiting step; an answered phone is no acknowledgement.

    Unless the policy says so (`answer: connected`).
    """
    changes: dict[str, Any] = {"sid": sid}
    if status in pages.ENDED:
        changes |= {"status": status, "ended_at": desk.now()}
    elif status == "in-progress":
        changes |= {"answered_at": desk.now()}
    page: Item = {"pk": pages.partition(callbacks.policy), "sk": "CURRENT", "page": callbacks.page}
    try:
        page = pages.update_call(desk.table, page, callbacks.number, changes)
    except ConditionFailedError:
        logger.info("the call has ended already, or its page is over", status=status)
        return
    call = page["calls"][f"c{callbacks.number}"]
    if status == "in-progress" and page["answer"] == "connected":
        _acknowledge_page(desk, page, who=call["name"], responder=call["responder"], via="phone", call=callbacks.number)
    elif status in pages.ENDED and page["attempt"] == callbacks.number:
        desk.release(page.get("token"), Answer("fail", status, "call"))


def acknowledge_incident(desk: Desk, incident_id: str, *, slack_user: str, name: str, via: Via = "slack") -> Taken:
    """Somebody takes an incident, and with it all that its page covers. `name` is used if the roster does not know them."""
    incident = incidents.read(desk.table, incident_id)
    if incident is None or incident["state"] == "resolved":
        return Taken(ours=False, over=True)
    known, _ = roster.read_items(desk.table.query(roster.PARTITION))
    responder = next((r for r in known.responders.values() if r.slack_user == slack_user), None)
    who = responder.name if responder else name
    page = _page_of(desk, incident)
    if page:
        taken = _acknowledge_page(desk, page, who=who, responder=responder.id if responder else "", via=via)
        if taken.ours or taken.by:
            return taken
    if incident["state"] == "acknowledged":
        return Taken(ours=False, by=incident["acknowledged_by"], at=incident["acknowledged_at"])
    event = Event("acknowledged", key=f"acknowledged/{who}/{desk.now()}", who=who, detail={"via": via, "covered": 1})
    changed = incidents.tell(
        desk.table,
        incident_id,
        event,
        now=desk.now(),
        state="acknowledged",
        unless=("resolved", "acknowledged"),
        set_={"acknowledged_by": who, "acknowledged_at": desk.now(), "unanswered": False},
    )
    desk.slack([incident_id])
    if changed is None:
        return acknowledge_incident(desk, incident_id, slack_user=slack_user, name=name, via=via)
    page = _page_of(desk, incident)
    if page and page["state"] == "open":  # it has joined one meanwhile
        _acknowledge_page(desk, page, who=who, responder=responder.id if responder else "", via=via)
    return Taken(ours=True, by=who)


def _page_of(desk: Desk, incident: Item) -> Item | None:
    """The page that covers the incident, unless somebody took it and all has followed from that: then it rings anew."""
    page = pages.read(desk.table, incident["policy"])
    if page is None or incident["id"] not in page.get("incidents", set()):
        return None
    return None if page["state"] == "acknowledged" and "settled_at" in page else page


def _acknowledge_page(desk: Desk, page: Item, *, who: str, responder: str, via: Via, call: int | None = None) -> Taken:
    """Writes the acknowledgement, then lets everybody know of it."""
    was_open = page["state"] == "open"
    try:
        page = pages.acknowledge(desk.table, page, who=who, responder=responder, via=via, now=desk.now(), call=call)
    except ConditionFailedError as refused:
        there = refused.item
        if there is None or there["page"] != page["page"]:
            return Taken(ours=False, over=True)
        return _taken_by(there, call=call)
    logger.info("acknowledged", incident=page["about"]["incident"], who=who, via=via)
    ringing = pages.current_call(page)
    waiting = was_open and ringing is not None and (ringing["number"] == call or not pages.has_ended(ringing))
    if waiting:  # the step that is released hangs up, and carries this to the incidents and to Slack
        desk.release(page.get("token"), Answer("success", f"acknowledged by {who}", "call"))
    else:
        desk.slack(pages.settle(desk.table, page, now=desk.now()))
    return Taken(ours=True, by=who, at=page["acknowledged_at"])


def _taken_by(page: Item, call: int | None = None) -> Taken:
    if page["state"] != "acknowledged":
        return Taken(ours=False, over=True)
    own = call is not None and page["calls"][f"c{call}"]["status"] == "taken"  # the same key once more
    return Taken(ours=own, by=page["acknowledged_by"], at=page["acknowledged_at"])


def _pass_on(desk: Desk, page: Item, call: Item, voice: Voice) -> str:
    try:
        page = pages.update_call(desk.table, page, call["number"], {"status": "passed", "ended_at": desk.now()})
    except ConditionFailedError:
        if page["state"] == "acknowledged":
            return _answer(desk, voice, _taken_by(page))
        return voice.goodbye("passed")  # the same key once more, or the next phone rings already
    if page["state"] in ("acknowledged", "resolved"):
        return _answer(desk, voice, _taken_by(page))
    if page["attempt"] == call["number"]:
        desk.release(page.get("token"), Answer("fail", "passed on", "call"))
    return voice.goodbye("passed")


def _answer(desk: Desk, voice: Voice, taken: Taken) -> str:
    if taken.ours:
        return voice.goodbye("taken")
    if taken.over:
        return voice.goodbye("over")
    return voice.goodbye("other", who=taken.by, minutes=(desk.now() - taken.at) // 60_000)


def _call(page: Item | None, callbacks: Callbacks) -> Item | None:
    """The call in the page, if the page is still the one of the call."""
    if page is None or page["page"] != callbacks.page:
        return None
    call: Item | None = page["calls"].get(f"c{callbacks.number}")
    return call
