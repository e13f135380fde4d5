"""The PhoneCall step: moves a page on by one step. It is the only place that rings, and that hangs up.

Whoever changes a page (a key, a button, a resolution, a call's end) writes the table and releases the waiting step; the
step then looks at the page and does what follows. Entered twice, late, or after a death in the middle, it finds in the
page what was begun: a call without an answer from its provider is looked up before anybody is rung again.

Here is whom it rings next; placing.py places a call, watching.py looks after it, ending.py ends it.
"""

from aws_lambda_powertools import Logger

from oncall import incidents, pages, providers, shadow
from oncall.clock import at
from oncall.incidents import Event
from oncall.pages import GiveUp, Handed, Page, Pause, Ring
from oncall.phone import mail, sms
from oncall.phone.ending import finish, hang_up_left
from oncall.phone.placing import UNAVAILABLE_MS, first, other, place, switch
from oncall.phone.provider import UnavailableError
from oncall.phone.turn import Turn, ended, tell, wait
from oncall.phone.watching import attend, reread
from oncall.probe import rules as probe
from oncall.roster import Roster, schedules
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)

FRESH_MS = 10_000  # for so long the responders that ReceiveAlerts found need not be looked up again
HELD_MS = 86_400_000  # after a day without a call the page ends as unanswered: nobody is asked forever
AWAY_WAIT_MS = 90_000  # how long the reconciler, which runs every minute, is waited for
HELD_SECONDS = 15  # when it is looked again whether the other stack still has it
LOOKS = 5  # at a page that others keep changing under our hands


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
            return _ring(services, turn, handed, Ring(turn.responders[0], 1), handed.provider)
        except ConditionFailedError:
            pass  # not the first attempt, or not now: look at the page
    for _ in range(LOOKS):
        page = pages.read(services.table, handed.policy)
        if page is None or page.id != handed.id:
            if page:
                hang_up_left(services, page)
            return Answer("skip", "the page is over", "end")
        try:
            return _step(services, turn, page)
        except ConditionFailedError:
            continue  # somebody changed it in between
    raise ConditionFailedError(None)


def _step(services: Services, turn: Turn, page: Page) -> Answer | None:
    now = services.now()
    if not page.is_open:
        return finish(services, page)
    if page.owner != turn.execution:
        return Answer("skip", "another execution works on this page", "end")
    if page.ring_at > now:
        return wait(services, turn, page, Pause(-(-(page.ring_at - now) // 1000), "quiet window"))
    try:
        outcome = _ended_attempt(services, turn, page)
    except UnavailableError as error:
        return _unavailable(services, turn, page, error)
    if not isinstance(outcome, Page):
        return outcome
    page = outcome
    if page.current_call:
        tell(services, page, ended(page, page.current_call))
    match _lead(services, page):
        case None:
            return Answer("skip", "resolved", "call")
        case Pause() as pause:
            return wait(services, turn, page, pause)
        case lead:
            return _go_on(services, turn, lead)


def _ended_attempt(services: Services, turn: Turn, page: Page) -> Page | Answer | None:
    """The page when the current attempt has ended; until then what the step does. Raises UnavailableError."""
    if any(not call.has_ended for call in page.family):
        outcome = attend(services, turn, page)
        if not isinstance(outcome, Page):
            return outcome
        page = outcome
    call = page.current_call
    has_failed = call and call.status == "failed" and not (call.ringing_at or call.answered_at or call.reason)
    if call and has_failed and other(services, page):
        return switch(services, turn, page, call, f"{providers.LABELS[call.provider]}: the call failed before it rang")
    return page


def _go_on(services: Services, turn: Turn, page: Page) -> Answer | None:
    """Rings the next responder by the roster as it is now, or pauses, or gives up."""
    now = services.now()
    known = probe.roster_of(services.table, page.policy, services.settings.probe_number)
    if pause := _was_away(services, page, known):
        return wait(services, turn, page, pause)
    policy = known.policy(page.policy)
    if page.is_shadow and shadow.hand_over(services, known, page):
        return wait(services, turn, page, Pause(2, "what has gone live since rings by another execution"))
    on_call = schedules.responders_on_call(known, policy, at(now))
    delays = {one.responder.id: one.after_minutes for one in on_call}
    match pages.next_step(
        page.calls, [one.responder for one in on_call], policy, now=now, ring_at=page.ring_at, delays=delays
    ):
        case Ring() as ring:
            return _ring(services, turn, page, ring, providers.first(known.down))
        case Pause() as pause:
            return wait(services, turn, page, pause)
        case GiveUp(reason):
            return finish(services, pages.give_up(services.table, page, reason=reason))


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


def _ring(services: Services, turn: Turn, page: Page | Handed, ring: Ring, provider: str) -> Answer | None:
    """Rings a responder; `provider` is asked first. Raises ConditionFailedError if the page is not where it was."""
    begun = pages.begin_call(
        services.table,
        page,
        ring,
        execution=turn.execution,
        token=turn.token,
        now=services.now(),
        provider=first(services, page.policy, provider),
    )
    texted: Event | None = None
    if begun.sms_before_call:
        texted = sms.before_the_call(services, begun, begun.call(begun.attempt))
    try:
        if begun.sms_before_call:
            # The text took its time: somebody may have taken it, or a step beside this one may have gone on from there.
            call = begun.call(begun.attempt)
            begun = pages.ask_again(
                services.table, begun, call, execution=turn.execution, token=turn.token, now=services.now()
            )
        if texted and "remedy" in texted.detail:
            said = [*begun.text_remedies, texted.detail["remedy"]]
            begun = pages.note(services.table, begun, {"text_remedies": said})
        try:
            return place(services, turn, begun, begun.call(begun.attempt))
        except UnavailableError as error:
            return _unavailable(services, turn, reread(services, begun), error)
    finally:
        if texted:
            tell(services, begun, texted)


def _unavailable(services: Services, turn: Turn, page: Page, error: UnavailableError) -> Answer:
    """No provider takes calls: goes on trying, faster at first, and tells people before long."""
    now, reason = services.now(), str(error)
    is_probe = probe.rings_a_machine(page.policy)
    call = page.current_call
    names = (
        [*providers.LABELS.values()]
        if services.second and not is_probe
        else [providers.LABELS[call.provider if call else providers.TWILIO]]
    )
    who = " and ".join(names)
    since = page.unavailable_since or now
    pause = Pause(min(30, max(1, (now - since) // 2000)), reason)
    logger.error("no calls are taken", reason=reason, seconds=(now - since) // 1000)
    if not page.unavailable_since:
        page = pages.note(services.table, page, {"unavailable_since": now})
    if now - since >= UNAVAILABLE_MS and page.told != "unavailable" and not is_probe:
        remedy = error.remedy
        services.fallback.tell(
            f"{who} {'takes' if len(names) == 1 else 'take'} no calls, nobody is rung",
            mail.unavailable(services, page, reason=reason, remedy=remedy),
        )
        detail = {
            "reason": reason,
            **({"providers": who} if len(names) > 1 else {}),
            **({"remedy": remedy} if remedy and remedy != page.remedy else {}),
        }
        page = pages.note(services.table, page, {"told": "unavailable", "remedy": remedy})
        tell(services, page, Event("unavailable", key=f"{page.id}/unavailable/{since}", detail=detail))
    if now - since >= HELD_MS:
        return finish(services, pages.give_up(services.table, page, reason=f"{who} took no calls for a day: {reason}"))
    return wait(services, turn, page, pause)


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
