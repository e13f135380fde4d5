"""No phone rings for what is over: hangs up the calls of a page, and tells what follows from its end."""

from aws_lambda_powertools import Logger

from oncall import pages
from oncall.pages import Call, Page
from oncall.phone import mail
from oncall.phone.provider import Callbacks, UnavailableError
from oncall.phone.turn import find, is_in_flight, provider, voice
from oncall.phone.voice import Voice
from oncall.providers import TWILIO
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)


def finish(services: Services, page: Page) -> Answer:
    """The page has ended: no phone rings any more, everybody hears of it, the incidents follow.

    Raises UnavailableError if a phone that has to stop could not be hung up.
    """
    failed: UnavailableError | None = None
    for call in page.calls:
        if call.has_ended:
            continue
        try:
            page = _hang_up(services, page, call)
        except UnavailableError as error:
            failed = error
    if page.is_silent:
        services.fallback.tell("nobody took a page", mail.unanswered(services, page))
        page = pages.note(services.table, page, {"told": "unanswered"})
    if not failed and any(
        not call.sid and not call.has_ended and is_in_flight(call, services.now()) for call in page.calls
    ):
        return Answer("fail", "a call may be under way and has to be hung up", "wait", wait_seconds=2)
    covered = pages.settle(services.table, page, now=services.now())
    if failed:
        raise failed
    match page.state:
        case "acknowledged":
            return Answer("success", f"acknowledged by {page.acknowledged_by}", "end", incidents=tuple(covered))
        case "resolved":
            return Answer("skip", "resolved", "end")
        case _:
            return Answer("fail", page.reason or "unanswered", "end", incidents=tuple(covered))


def stop(services: Services, page: Page, status: str, *, goodbye: str = "passed") -> Page:
    """Hangs up the calls of the current attempt, which are noted with a status. Raises UnavailableError."""
    for call in page.family:
        if not call.has_ended:
            sid = call.sid or (found.sid if (found := find(services, page, call)) else "")
            if sid:
                provider(services, call.provider).end(sid, voice(services, page, call).goodbye(goodbye))
            page = pages.update_call(services.table, page, call.number, {"status": status, "ended_at": services.now()})
    return page


def hang_up_left(services: Services, page: Page) -> Page:
    """Hangs up what the page before this one has left ringing. Raises UnavailableError, if there is no other provider."""
    if not page.left:
        return page
    nowhere = Callbacks(page.base, page.policy, page.id, 0)
    for reference in page.left:
        name, _, sid = reference.rpartition(" ")
        try:
            provider(services, name or TWILIO).end(sid, Voice(services.settings.language, nowhere).goodbye("gone"))
        except UnavailableError as error:
            if services.second is None:
                raise
            logger.warning("a phone may ring on", reason=str(error))
            return page  # nobody waits for that; the next call tries it again
    return pages.note(services.table, page, {}, remove=("left",))


def _hang_up(services: Services, page: Page, call: Call) -> Page:
    """Ends a call of a page that is over; returns the page then. Raises UnavailableError if it rings on."""
    sid = call.sid
    if not sid:
        try:
            found = find(services, page, call)
        except UnavailableError as error:
            logger.warning("it is not known whether a phone rings", reason=str(error), call=call.number)
            return page
        if found is None:
            return page
        sid = found.sid
    provider(services, call.provider).end(sid, _goodbye(services, page, call))
    changes = {"sid": sid, "status": "canceled", "ended_at": services.now()}
    try:
        return pages.update_call(services.table, page, call.number, changes)
    except ConditionFailedError as refused:  # its callback was faster
        there = pages.found(refused)
        return there if there and there.id == page.id else page


def _goodbye(services: Services, page: Page, call: Call) -> str:
    said = voice(services, page, call)
    if page.state == "acknowledged":
        minutes = (services.now() - page.acknowledged_at) // 60_000
        return said.goodbye("other", who=page.acknowledged_by, minutes=minutes)
    return said.goodbye("over" if page.state == "resolved" else "gone")
