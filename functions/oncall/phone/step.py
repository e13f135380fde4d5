"""The PhoneCall step: moves a page on by one step. It is the only place that rings, and that hangs up.

Whoever changes a page (a key, a button, a resolution, a call's end) writes the table and releases the waiting step; the
step then looks at the page and does what follows. Entered twice, late, or after a death in the middle, it finds in the
page what was begun: a call without an answer from Twilio is looked up before anybody is rung again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from oncall import incidents, pages, shadow
from oncall.clock import at
from oncall.incidents import Event, Incident
from oncall.pages import Call, GiveUp, Handed, Page, Pause, Ring, Skip
from oncall.phone import mail, sms
from oncall.phone.provider import Callbacks, Known, NumberRefusedError, UnavailableError
from oncall.phone.voice import Voice
from oncall.probe import rules as probe
from oncall.roster import Language, Responder, Roster, schedules
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)

FRESH_MS = 10_000  # for so long the responders that ReceiveAlerts found need not be looked up again
TOO_LONG_MS = 300_000  # a call that somebody listens to for longer than the ringing and this is ended
UNAVAILABLE_MS = 30_000  # when Twilio has taken no call for so long, people are told
HELD_MS = 86_400_000  # after a day without a call the page ends as unanswered: nobody is asked forever
# So long after it was asked for, a call that Twilio does not list may still come: the request may be under way (its time
# limit is 6 s), from a step that runs beside this one, or the list may be behind.
IN_FLIGHT_MS = 8_000
AWAY_WAIT_MS = 90_000  # how long the reconciler, which runs every minute, is waited for
HELD_SECONDS = 15  # when it is looked again whether the other stack still has it
LOOKS = 5  # at a page that others keep changing under our hands


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of the step: what ReceiveAlerts handed on, who enters, and the token it would wait with.

    Without a page the product needs no call. `responders` are those that were on call then, in order.
    """

    page: Handed | None
    responders: Sequence[Responder]
    execution: str
    token: str


def advance(services: Services, turn: Turn) -> Answer | None:
    """Moves the page on. None: a phone rings (or is listened to) and the step waits to be released.

    Raises UnavailableError if a phone that has to stop could not be hung up, and whatever DynamoDB raises.
    """
    handed = turn.page
    if handed is None:
        return Answer("skip", "this product needs no call", "end")
    services = shadow.supposing(services, handed.policy)
    if handed.attempt == 0 and turn.responders and services.now() - handed.decided_at < FRESH_MS:
        try:
            return _ring(services, turn, handed, Ring(turn.responders[0], 1))
        except ConditionFailedError:
            pass  # not the first attempt, or not now: look at the page
    for _ in range(LOOKS):
        page = pages.read(services.table, handed.policy)
        if page is None or page.id != handed.id:
            if page:
                _hang_up_left(services, page)
            return Answer("skip", "the page is over", "end")
        try:
            return _step(services, turn, page)
        except ConditionFailedError:
            continue  # somebody changed it in between
    raise ConditionFailedError(None)


def _step(services: Services, turn: Turn, page: Page) -> Answer | None:
    now = services.now()
    if not page.is_open:
        return _finish(services, page)
    if page.owner != turn.execution:
        return Answer("skip", "another execution works on this page", "end")
    if page.ring_at > now:
        return _wait(services, turn, page, Pause(-(-(page.ring_at - now) // 1000), "quiet window"))
    call = page.current_call
    if call and not call.has_ended:
        try:
            ended = (
                _stop_skipped(services, page, call, call.skip) if call.skip else _look_up(services, turn, page, call)
            )
        except UnavailableError as error:
            return _unavailable(services, turn, page, error)
        if not isinstance(ended, Page):
            return ended
        page, call = ended, ended.call(call.number)
    if call:
        _tell(services, page, _ended_event(page, call))
    match _lead(services, page):
        case None:
            return Answer("skip", "resolved", "call")
        case Pause() as pause:
            return _wait(services, turn, page, pause)
        case lead:
            return _go_on(services, turn, lead)


def _go_on(services: Services, turn: Turn, page: Page) -> Answer | None:
    """Rings the next responder by the roster as it is now, or pauses, or gives up."""
    now = services.now()
    known = probe.roster_of(services.table, page.policy, services.settings.probe_number)
    if pause := _was_away(services, page, known):
        return _wait(services, turn, page, pause)
    policy = known.policy(page.policy)
    if page.is_shadow and shadow.hand_over(services, known, page):
        return _wait(services, turn, page, Pause(2, "what has gone live since rings by another execution"))
    on_call = schedules.responders_on_call(known, policy, at(now))
    delays = {one.responder.id: one.after_minutes for one in on_call}
    match pages.next_step(
        page.calls, [one.responder for one in on_call], policy, now=now, ring_at=page.ring_at, delays=delays
    ):
        case Ring() as ring:
            return _ring(services, turn, page, ring)
        case Pause() as pause:
            return _wait(services, turn, page, pause)
        case GiveUp(reason):
            return _finish(services, pages.give_up(services.table, page, reason=reason))


def _was_away(services: Services, page: Page, known: Roster) -> Pause | None:
    """After an absence the reconciler asks first what the standby did meanwhile; but it is not waited for for long."""
    now, settings = services.now(), services.settings
    is_primary = settings.peer_url and not settings.takeover_seconds  # else the mark may be of a time when it was one
    if not is_primary or not known.was_away(now):
        return None
    since = page.away_since if now - page.away_since < 2 * AWAY_WAIT_MS else 0
    if not since:
        pages.note(services.table, page, {"away_since": now})
    elif now - since > AWAY_WAIT_MS:
        return None
    return Pause(HELD_SECONDS, "this stack was away")


def _ring(services: Services, turn: Turn, page: Page | Handed, ring: Ring) -> Answer | None:
    """Rings a responder. Raises ConditionFailedError if the page is not where it was."""
    begun = pages.begin_call(services.table, page, ring, execution=turn.execution, token=turn.token, now=services.now())
    texted: Event | None = None
    if begun.sms_before_call:
        texted = sms.before_the_call(services, begun, begun.call(begun.attempt))
    try:
        if begun.sms_before_call:
            # The text took its time: somebody may have taken it, or a step beside this one may have gone on from there.
            begun = pages.ask_again(
                services.table, begun, execution=turn.execution, token=turn.token, now=services.now()
            )
        if texted and "remedy" in texted.detail:
            said = [*begun.text_remedies, texted.detail["remedy"]]
            begun = pages.note(services.table, begun, {"text_remedies": said})
        return _place(services, turn, begun)
    finally:
        if texted:
            _tell(services, begun, texted)


def _place(services: Services, turn: Turn, page: Page) -> Answer | None:
    """Asks Twilio for the page's current call, which the table already knows."""
    call = page.call(page.attempt)
    number = call.number
    callbacks = _callbacks(services, page, call)
    try:
        page = _hang_up_left(services, page)
        sid = services.telephone().call(
            call.phone,
            _voice(services, page, call).alert(page.headline, page.storm),
            callbacks=callbacks,
            ring_seconds=page.ring_seconds,
        )
    except NumberRefusedError as refused:
        return _refused(services, page, call, refused)
    except UnavailableError as error:
        if error.is_unclear and page.unavailable_since and services.now() - page.unavailable_since >= UNAVAILABLE_MS:
            return _refused(services, page, call, error)  # held for long enough: another phone may ring
        if error.is_refusal:  # so it need not be waited for
            page = pages.update_call(services.table, page, number, {"asked_at": 0})
        return _unavailable(services, turn, page, error)
    try:
        page = pages.update_call(services.table, page, number, {"sid": sid})
    except ConditionFailedError as refused:
        there = pages.found(refused)
        if there is None or there.id != page.id:
            services.telephone().end(sid, _voice(services, page, call).goodbye("gone"))
            return Answer("skip", "the page is over", "end")
        logger.info("the call ended before Twilio's answer was written", call=number)
        return None  # and its callback has released this step
    if not page.is_open:  # taken or resolved while Twilio was being asked
        return _finish(services, page)
    page = _available(services, page)
    call = page.call(number)
    supposed = {"supposed": True, "second": (call.started_at - page.opened_at) // 1000} if call.is_supposed else {}
    detail = {"round": call.round, **supposed}
    ringing = Event("ringing", key=_key(page, call, "ringing"), who=call.name, detail=detail)
    incident = _tell(services, page, ringing)
    if incident and incident.state != "triggered":  # taken or resolved in the moment before it joined this page
        ended = pages.leave(services.table, page.policy, incident.id)
        return _finish(services, ended) if ended else None
    return None


def _refused(services: Services, page: Page, call: Call, error: NumberRefusedError | UnavailableError) -> Answer:
    """Twilio does not call this responder: the next one is rung at once. What fixes it is said once a page."""
    changes = {"status": "failed", "refused": True, "reason": str(error), "ended_at": services.now()}
    remedy = error.remedy
    if remedy and remedy not in {other.remedy for other in page.calls}:
        changes["remedy"] = remedy
    page = pages.update_call(services.table, page, call.number, changes)
    logger.warning("a responder cannot be called", responder=call.responder, reason=str(error))
    _tell(services, page, _ended_event(page, page.call(call.number)))
    return Answer("fail", str(error), "call")


def _look_up(services: Services, turn: Turn, page: Page, call: Call) -> Page | Answer | None:
    """Asks Twilio about a call of which nothing was heard. Returns the page if the call has ended.

    Otherwise the step goes on waiting for it, or places it if Twilio has never had it.
    """
    now = services.now()
    telephone = services.telephone()
    known = telephone.fetch(call.sid) if call.sid else _find(services, page, call)
    if known is None and call.sid:
        changes = {"status": "failed", "reason": "Twilio knows nothing of the call", "ended_at": now}
        return pages.update_call(services.table, page, call.number, changes)
    if known is None:
        if _is_in_flight(call, now):
            return _wait(services, turn, page, Pause(2, "the call may be under way"))
        again = pages.ask_again(services.table, page, execution=turn.execution, token=turn.token, now=now)
        return _place(services, turn, again)
    page = _available(services, page)
    status = str(known.status)
    if page.answer == "connected" and status in ("in-progress", "completed"):
        who, responder = call.name, call.responder
        page = pages.update_call(services.table, page, call.number, {"sid": known.sid})
        number = call.number
        answer = _finish(
            services,
            pages.acknowledge(services.table, page, who=who, responder=responder, via="phone", now=now, call=number),
        )
        if telephone.text_sender:
            sms.taken(services, page.policy, page.id, number)
        return answer
    if status in pages.ENDED:
        return pages.update_call(
            services.table, page, call.number, {"sid": known.sid, "status": status, "ended_at": now}
        )
    if now - call.started_at > page.ring_seconds * 1000 + TOO_LONG_MS:
        telephone.end(known.sid, _voice(services, page, call).goodbye("silence"))
        return pages.update_call(
            services.table, page, call.number, {"sid": known.sid, "status": "completed", "ended_at": now}
        )
    if not call.sid:
        pages.update_call(services.table, page, call.number, {"sid": known.sid})
    pages.hold(services.table, page, execution=turn.execution, token=turn.token, now=now, seconds=page.ring_seconds)
    return None


def _stop_skipped(services: Services, page: Page, call: Call, skip: Skip) -> Page:
    """Hangs up a call because somebody wants the next responder rung; returns the page then. Raises UnavailableError."""
    _tell(services, page, pages.skipped_event(page, call, skip))  # if whoever asked for it has died before
    services.telephone().end(call.sid, _voice(services, page, call).goodbye("passed"))
    changes = {"status": "canceled", "ended_at": services.now()}
    return pages.update_call(services.table, page, call.number, changes)


def _wait(services: Services, turn: Turn, page: Page, pause: Pause) -> Answer:
    pages.rest(services.table, page, execution=turn.execution, now=services.now(), seconds=pause.seconds)
    logger.info("nobody is rung for a while", seconds=pause.seconds, reason=pause.reason, owner=turn.execution)
    return Answer("fail", pause.reason, "wait", wait_seconds=pause.seconds)


def _unavailable(services: Services, turn: Turn, page: Page, error: UnavailableError) -> Answer:
    """Twilio takes no calls: goes on trying, faster at first, and tells people before long."""
    now, reason = services.now(), str(error)
    since = page.unavailable_since or now
    wait = Pause(min(30, max(1, (now - since) // 2000)), reason)
    logger.error("Twilio takes no calls", reason=reason, seconds=(now - since) // 1000)
    if not page.unavailable_since:
        page = pages.note(services.table, page, {"unavailable_since": now})
    if now - since >= UNAVAILABLE_MS and page.told != "unavailable" and not probe.rings_a_machine(page.policy):
        remedy = error.remedy
        services.fallback.tell(
            "Twilio takes no calls, nobody is rung", mail.unavailable(services, page, reason=reason, remedy=remedy)
        )
        detail = {"reason": reason, **({"remedy": remedy} if remedy and remedy != page.remedy else {})}
        page = pages.note(services.table, page, {"told": "unavailable", "remedy": remedy})
        _tell(services, page, Event("unavailable", key=f"{page.id}/unavailable/{since}", detail=detail))
    if now - since >= HELD_MS:
        return _finish(
            services, pages.give_up(services.table, page, reason=f"Twilio took no calls for a day: {reason}")
        )
    return _wait(services, turn, page, wait)


def _available(services: Services, page: Page) -> Page:
    """Twilio takes calls again: the next time that it does not is another one."""
    if not page.unavailable_since:
        return page
    return pages.note(services.table, page, {}, remove=("unavailable_since", "told"))


def _find(services: Services, page: Page, call: Call) -> Known | None:
    """A call whose answer was lost, as Twilio knows it. Raises UnavailableError."""
    others = [other.sid for other in page.calls if other.sid]
    return services.telephone().find(call.phone, since=call.started_at, besides=others)


def _finish(services: Services, page: Page) -> Answer:
    """The page has ended: no phone rings any more, everybody hears of it, the incidents follow."""
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
        not call.sid and not call.has_ended and _is_in_flight(call, services.now()) for call in page.calls
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


def _is_in_flight(call: Call, now: int) -> bool:
    """Whether a call that Twilio does not know may still come."""
    return now - call.asked_at < IN_FLIGHT_MS


def _hang_up(services: Services, page: Page, call: Call) -> Page:
    """Ends a call of a page that is over; returns the page then. Raises UnavailableError if it rings on."""
    sid = call.sid
    if not sid:
        try:
            found = _find(services, page, call)
        except UnavailableError as error:
            logger.warning("it is not known whether a phone rings", reason=str(error), call=call.number)
            return page
        if found is None:
            return page
        sid = str(found.sid)
    services.telephone().end(sid, _goodbye(services, page, call))
    changes = {"sid": sid, "status": "canceled", "ended_at": services.now()}
    try:
        return pages.update_call(services.table, page, call.number, changes)
    except ConditionFailedError as refused:  # its callback was faster
        there = pages.found(refused)
        return there if there and there.id == page.id else page


def _hang_up_left(services: Services, page: Page) -> Page:
    """Hangs up what the page before this one has left ringing. Raises UnavailableError."""
    if not page.left:
        return page
    nowhere = Callbacks(page.base, page.policy, page.id, 0)
    for sid in page.left:
        services.telephone().end(sid, Voice(services.settings.language, nowhere).goodbye("gone"))
    return pages.note(services.table, page, {}, remove=("left",))


def _goodbye(services: Services, page: Page, call: Call) -> str:
    voice = _voice(services, page, call)
    if page.state == "acknowledged":
        minutes = (services.now() - page.acknowledged_at) // 60_000
        return voice.goodbye("other", who=page.acknowledged_by, minutes=minutes)
    return voice.goodbye("over" if page.state == "resolved" else "gone")


def _voice(services: Services, page: Page, call: Call) -> Voice:
    language: Language = call.language or page.headline.language or services.settings.language
    return Voice(language, _callbacks(services, page, call))


def _callbacks(services: Services, page: Page, call: Call) -> Callbacks:
    return Callbacks(
        page.base,
        page.policy,
        page.id,
        call.number,
        incident=page.lead,
        responder=call.responder,
        placed_at=services.now() // 1000,
        secret=services.callback_secret(),
    )


def _lead(services: Services, page: Page) -> Page | Pause | None:
    """The page with an incident that is still open as what it is about; None if there is none left.

    A pause if the other stack rings for all that are left.
    """
    candidates = sorted(page.incidents, key=lambda incident: incident != page.lead)
    is_held = False
    for candidate in candidates:
        incident = incidents.read(services.table, candidate)
        if incident and incident.state == "triggered" and incident.policy == page.policy:
            if incident.peer_until > services.now():
                is_held = True
                continue
            if candidate == page.lead:
                return page
            return pages.note(services.table, page, {"about": incidents.headline_of(incident).to_item()})
        pages.leave(services.table, page.policy, candidate)
    if not candidates:  # whoever took the last one off has died before the page could end
        pages.leave(services.table, page.policy, page.lead)
    return Pause(HELD_SECONDS, "the other stack rings") if is_held else None


def _tell(services: Services, page: Page, event: Event) -> Incident | None:
    """Tells the story of a call in the timeline of the incident that it is about, and in Slack beside us.

    Returns the incident as it is then.
    """
    incident = page.lead
    told = incidents.tell(services.table, incident, event, now=services.now())
    services.show_in_slack([incident])
    return told


def _ended_event(page: Page, call: Call) -> Event:
    seconds = ((call.ended_at or call.started_at) - call.started_at) // 1000
    detail = {"status": call.status, "seconds": seconds, "reason": call.reason, "round": call.round}
    if call.answered_at:
        detail["answered"] = True
    if call.is_supposed:
        detail["supposed"] = True
    if call.remedy:
        detail["remedy"] = call.remedy
    return Event("call_ended", key=_key(page, call, "ended"), who=call.name, detail=detail, at=call.ended_at)


def _key(page: Page, call: Call, what: str) -> str:
    return f"{page.id}/{call.number}/{what}"
