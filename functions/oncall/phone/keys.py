"""What people answer on the phone: the keys that they press, and what Twilio says of a call.

The table is written first and the word said second. A reply that is late, doubled or out of order finds in the page what
is true by then, and is told so.
"""

from aws_lambda_powertools import Logger

from oncall import actions, incidents, pages, providers
from oncall.actions import Taken
from oncall.pages import Call, Page, PageKey
from oncall.phone.provider import LATE_SECONDS, Callbacks
from oncall.phone.voice import NAMED, Voice
from oncall.probe import rules as probe
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)

SILENCE = "silence"  # instead of a key, when none was pressed in the last wait; empty: in the first


class TooLateError(Exception):
    """A key comes too long after its call has ended to be one that was pressed in it."""


def key_pressed(services: Services, callbacks: Callbacks, digits: str) -> str:
    """What a pressed key does; returns what the call says next (TwiML). Telnyx asks without a key, too. Raises TooLateError."""
    page = pages.read(services.table, callbacks.policy)
    call = _call(page, callbacks)
    language = (call and call.language) or (page and page.headline.language) or services.settings.language
    voice = Voice(language, callbacks)
    if page is None or call is None:
        return _late(services, voice, digits)
    if call.ended_at and services.now() - call.ended_at > LATE_SECONDS * 1000:
        raise TooLateError
    match digits:
        case "1":
            taken = actions.acknowledge_page(
                services, page, who=call.name, responder=call.responder, via="phone", call=call.number
            )
            if taken.gone:
                return _late(services, voice, digits)
            if taken.ours:
                _text(services, callbacks)
            return _answer(services, voice, taken)
        case _ if page.state in ("acknowledged", "resolved"):
            return _answer(services, voice, actions.taken_by(page))
        case "2":
            return _pass_on(services, page, call, voice)
        case _:
            return _again(services, page, voice, digits)


def _again(services: Services, page: Page, voice: Voice, digits: str) -> str:
    """What the call says while nobody has decided yet."""
    match digits:
        case "0":
            return _details(services, page, voice)
        case "" | "3":
            return voice.alert(page.headline, page.storm, once=not digits)
        case _:
            return voice.goodbye("silence") if digits == SILENCE else voice.wrong()


def call_changed(services: Services, callbacks: Callbacks, status: str, sid: str) -> None:
    """What a provider says of a call. Its end releases the waiting step; an answered phone is no acknowledgement.

    Unless the policy says so (`answer: connected`). An answer releases the step, too, if the other provider's call to the same
    phone has to stop.
    """
    changes = _changes(status, sid, services.now())
    if not changes:
        return  # a form that says nothing of a call
    try:
        page = pages.update_call(services.table, PageKey(callbacks.policy, callbacks.page), callbacks.number, changes)
    except ConditionFailedError as refused:
        logger.info("the call has ended already, or its page is over", status=status)
        there = pages.found(refused)
        _prove(services, _call(there, callbacks), status)  # a key may be faster than the word that the phone rings
        _release_again(services, callbacks, there, status)
        return
    call = page.call(callbacks.number)
    if status in ("initiated", "ringing") and not page.is_open and call.sid:
        services.hang_up(call.provider, call.sid)  # it was asked for, and could not be found before
    _prove(services, call, status)
    if (
        status in ("in-progress", "completed") and page.answer == "connected"
    ):  # a call that was not answered is not completed
        taken = actions.acknowledge_page(
            services, page, who=call.name, responder=call.responder, via="phone", call=callbacks.number
        )
        if taken.ours:
            _text(services, callbacks)
    elif status in pages.ENDED and page.is_current(callbacks.number):
        services.release(page.token, Answer("fail", status, "call"))
    elif status == "in-progress" and any(not other.has_ended for other in page.family if other.number != call.number):
        services.release(page.token, Answer("fail", "answered, and the other call has to stop", "call"))


def _prove(services: Services, call: Call | None, status: str) -> None:
    """A phone that rings proves its provider, where there are two."""
    if call and status in ("ringing", "in-progress") and services.settings.telnyx_application:
        providers.prove(services.table, call.provider)


def _changes(status: str, sid: str, now: int) -> dict[str, object]:
    """What a callback writes into its call."""
    changes: dict[str, object] = {"sid": sid} if sid else {}
    if status in pages.ENDED:
        changes |= {"status": status, "ended_at": now}
    elif status in ("ringing", "in-progress"):
        changes["answered_at" if status == "in-progress" else "ringing_at"] = now
    return changes


def _details(services: Services, page: Page, voice: Voice) -> str:
    lead = incidents.read(services.table, page.lead)
    if lead is None:
        return voice.alert(page.headline, page.storm)
    others = [incidents.read(services.table, one) for one in sorted(page.incidents - {page.lead})[:NAMED]]
    return voice.details(lead, page.storm, [one for one in others if one], now=services.now())


def _text(services: Services, callbacks: Callbacks) -> None:
    """Has whoever took a page texted; but nobody reads what the probe's number gets."""
    if not probe.rings_a_machine(callbacks.policy):
        services.text(callbacks.policy, callbacks.page, callbacks.number)


def _late(services: Services, voice: Voice, digits: str) -> str:
    """A key when another page has followed the one of its call: 1 counts for the incident that the call was about."""
    about = voice.callbacks
    if digits != "1" or not about.incident:
        return voice.goodbye("gone")
    incident = incidents.read(services.table, about.incident)
    if incident and incident.state == "acknowledged":
        return _answer(services, voice, Taken(False, incident.acknowledged_by, incident.acknowledged_at))
    taken = actions.acknowledge_incident(
        services, about.incident, name=about.responder, responder_id=about.responder, via="phone"
    )
    return _answer(services, voice, taken)


def _pass_on(services: Services, page: Page, call: Call, voice: Voice) -> str:
    try:
        page = pages.update_call(services.table, page, call.number, {"status": "passed", "ended_at": services.now()})
    except ConditionFailedError as refused:
        if page.state == "acknowledged":
            return _answer(services, voice, actions.taken_by(page))
        _release_again(services, voice.callbacks, pages.found(refused), "passed on")
        return voice.goodbye("passed")  # the same key once more, or the next phone rings already
    if page.state in ("acknowledged", "resolved"):
        return _answer(services, voice, actions.taken_by(page))
    if page.is_current(call.number):
        services.release(page.token, Answer("fail", "passed on", "call"))
    return voice.goodbye("passed")


def _release_again(services: Services, callbacks: Callbacks, page: Page | None, reason: str) -> None:
    """Releases the step for a call that has ended, or a page that is over, unless all has followed from that.

    Whoever wrote it may have died before.
    """
    if page is None or page.id != callbacks.page or page.is_settled:
        return
    if not page.is_open or page.is_current(callbacks.number):
        services.release(page.token, Answer("fail", reason, "call"))


def _answer(services: Services, voice: Voice, taken: Taken) -> str:
    if taken.ours:
        return voice.goodbye("taken_many" if taken.covered > 1 else "taken", count=taken.covered)
    if taken.over or taken.gone:
        return voice.goodbye("over" if taken.over else "gone")
    return voice.goodbye("other", who=taken.by, minutes=(services.now() - taken.at) // 60_000)


def _call(page: Page | None, callbacks: Callbacks) -> Call | None:
    """The call in the page, if the page is still the one of the call."""
    if page is None or page.id != callbacks.page:
        return None
    return next((call for call in page.calls if call.number == callbacks.number), None)
