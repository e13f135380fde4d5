"""What people answer on the phone: the keys that they press, and what Twilio says of a call.

The table is written first and the word said second. A reply that is late, doubled or out of order finds in the page what
is true by then, and is told so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aws_lambda_powertools import Logger

from oncall import actions, incidents, pages
from oncall.actions import Taken
from oncall.pages import Call, Page, PageKey
from oncall.phone.twilio import Callbacks
from oncall.phone.voice import Voice
from oncall.roster import Language
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Desk(actions.Desk):
    """What a reply works with: it speaks, and has whoever takes a page texted."""

    language: Language
    text: Callable[[Callbacks], None]


def key_pressed(desk: Desk, callbacks: Callbacks, digits: str) -> str:
    """What a pressed key does; returns what the call says next (TwiML)."""
    page = pages.read(desk.table, callbacks.policy)
    call = _call(page, callbacks)
    language = (call and call.language) or (page and page.about.get("language")) or desk.language
    voice = Voice(cast("Language", language), callbacks)
    if page is None or call is None:
        return _late(desk, voice, digits)
    match digits:
        case "1":
            taken = actions.acknowledge_page(
                desk, page, who=call.name, responder=call.responder, via="phone", call=call.number
            )
            if taken.gone:
                return _late(desk, voice, digits)
            if taken.ours:
                desk.text(callbacks)
            return _answer(desk, voice, taken)
        case _ if page.state in ("acknowledged", "resolved"):
            return _answer(desk, voice, actions.taken_by(page))
        case "2":
            return _pass_on(desk, page, call, voice)
        case "3":
            return voice.alert(page.about)
        case "0":
            incident = incidents.read(desk.table, page.lead)
            return voice.details(incident, now=desk.now()) if incident else voice.alert(page.about)
        case _:
            return voice.alert(page.about, first="wrong")


def call_changed(desk: Desk, callbacks: Callbacks, status: str, sid: str) -> None:
    """What Twilio says of a call. Its end releases the waiting step; an answered phone is no acknowledgement.

    Unless the policy says so (`answer: connected`).
    """
    changes: dict[str, Any] = {"sid": sid}
    if status in pages.ENDED:
        changes |= {"status": status, "ended_at": desk.now()}
    elif status == "in-progress":
        changes |= {"answered_at": desk.now()}
    try:
        page = pages.update_call(desk.table, PageKey(callbacks.policy, callbacks.page), callbacks.number, changes)
    except ConditionFailedError as refused:
        logger.info("the call has ended already, or its page is over", status=status)
        _release_again(desk, callbacks, pages.found(refused), status)
        return
    call = page.call(callbacks.number)
    if (
        call and status in ("in-progress", "completed") and page.answer == "connected"
    ):  # a call that was not answered is not completed
        taken = actions.acknowledge_page(
            desk, page, who=call.name, responder=call.responder, via="phone", call=callbacks.number
        )
        if taken.ours:
            desk.text(callbacks)
    elif status in pages.ENDED and page.attempt == callbacks.number:
        desk.release(page.token, Answer("fail", status, "call"))


def _late(desk: Desk, voice: Voice, digits: str) -> str:
    """A key when another page has followed the one of its call: 1 counts for the incident that the call was about."""
    about = voice.callbacks
    if digits != "1" or not about.incident:
        return voice.goodbye("gone")
    incident = incidents.read(desk.table, about.incident)
    if incident and incident["state"] == "acknowledged":
        return _answer(desk, voice, Taken(False, incident["acknowledged_by"], incident["acknowledged_at"]))
    taken = actions.acknowledge_incident(
        desk, about.incident, name=about.responder, responder_id=about.responder, via="phone"
    )
    return _answer(desk, voice, taken)


def _pass_on(desk: Desk, page: Page, call: Call, voice: Voice) -> str:
    try:
        page = pages.update_call(desk.table, page, call.number, {"status": "passed", "ended_at": desk.now()})
    except ConditionFailedError as refused:
        if page.state == "acknowledged":
            return _answer(desk, voice, actions.taken_by(page))
        _release_again(desk, voice.callbacks, pages.found(refused), "passed on")
        return voice.goodbye("passed")  # the same key once more, or the next phone rings already
    if page.state in ("acknowledged", "resolved"):
        return _answer(desk, voice, actions.taken_by(page))
    if page.attempt == call.number:
        desk.release(page.token, Answer("fail", "passed on", "call"))
    return voice.goodbye("passed")


def _release_again(desk: Desk, callbacks: Callbacks, page: Page | None, reason: str) -> None:
    """Releases the step for a call that has ended, or a page that is over, unless all has followed from that.

    Whoever wrote it may have died before.
    """
    if page is None or page.id != callbacks.page or page.is_settled:
        return
    if not page.is_open or page.attempt == callbacks.number:
        desk.release(page.token, Answer("fail", reason, "call"))


def _answer(desk: Desk, voice: Voice, taken: Taken) -> str:
    if taken.ours:
        return voice.goodbye("taken")
    if taken.over or taken.gone:
        return voice.goodbye("over" if taken.over else "gone")
    return voice.goodbye("other", who=taken.by, minutes=(desk.now() - taken.at) // 60_000)


def _call(page: Page | None, callbacks: Callbacks) -> Call | None:
    """The call in the page, if the page is still the one of the call."""
    if page is None or page.id != callbacks.page:
        return None
    return next((call for call in page.calls if call.number == callbacks.number), None)
