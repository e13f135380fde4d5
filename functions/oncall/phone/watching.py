"""Looks after the calls of the current attempt: what became of them, as their callbacks and their providers say."""

from collections.abc import Mapping
from typing import Literal

from aws_lambda_powertools import Logger

from oncall import pages, providers
from oncall.pages import Call, Page, Pause
from oncall.phone import sms
from oncall.phone.ending import finish, stop
from oncall.phone.placing import failing, other, place, settle_with, switch
from oncall.phone.provider import UnavailableError
from oncall.phone.turn import Turn, available, find, is_in_flight, is_overdue, provider, tell, wait
from oncall.services import Services
from oncall.signals import Answer

logger = Logger(child=True)

TOO_LONG_MS = 300_000  # a call that somebody listens to for longer than the ringing and this is ended
NEARLY_MS = 2_000  # a step whose time limit was the wait for the ringing comes that much before its end

# Somebody listens, the phone rings, the provider has the call and it does not ring, there is no such call, it is over, or the
# provider does not answer.
Seen = Literal["listened", "rings", "quiet", "nothing", "ended", "silent"]


def attend(services: Services, turn: Turn, page: Page) -> Page | Answer | None:
    """Asks the providers what became of the calls of the current attempt.

    Returns the page if all have ended. Otherwise the step goes on waiting, places what a provider has never had, or rings the
    same responder through the other provider. Raises UnavailableError if nobody can be asked.
    """
    if stopped := _stopped(services, page):
        return stopped
    page, seen, silent = _look(services, page)
    if not page.is_open:  # answered, and the policy asks for no more
        return finish(services, page)
    page = _let_go(services, page, seen)
    lives = [call for call in page.family if not call.has_ended]
    for wanted in ("listened", "rings"):
        for call in lives:
            if seen[call.number] == wanted:
                return _let(services, turn, page, call, is_answered=wanted == "listened")
    return _try_on(services, turn, page, seen, silent) if lives else page


def _stopped(services: Services, page: Page) -> Page | None:
    """The page after its calls were hung up, if somebody has asked for the next responder. Raises UnavailableError."""
    current = page.current_call
    if current and current.skip and not current.has_ended:  # told here if whoever asked for it has died before
        tell(services, page, pages.skipped_event(page, current, current.skip))
        return stop(services, page, "canceled")
    return stop(services, page, "passed") if any(call.status == "passed" for call in page.family) else None


def _try_on(
    services: Services, turn: Turn, page: Page, seen: Mapping[int, Seen], silent: UnavailableError | None
) -> Page | Answer | None:
    """No phone rings: places what a provider has never had, waits for the ringing, or asks the other provider."""
    for call in page.family:
        if seen.get(call.number) == "nothing" and not call.has_ended:
            try:
                return _place_again(services, turn, page, call)
            except UnavailableError as error:
                silent = _both(silent, error)
                page = reread(services, page)
    for call in reversed(page.family):
        if seen.get(call.number) == "quiet":
            return _wait_for_ringing(services, turn, page, call)
    return _without_word(services, turn, page, silent) if silent else page


def reread(services: Services, page: Page) -> Page:
    """The page as the table has it, if it is still the one."""
    there = pages.read(services.table, page.policy)
    return there if there and there.id == page.id else page


def _look(services: Services, page: Page) -> tuple[Page, dict[int, Seen], UnavailableError | None]:
    """Looks up the calls of the current attempt. Returns the page, what became of each (by number), who is silent."""
    seen: dict[int, Seen] = {}
    silent: UnavailableError | None = None
    for call in page.family:
        if call.has_ended or not page.is_open:
            continue
        try:
            page, seen[call.number] = _look_up(services, page, call)
        except UnavailableError as error:
            silent = _both(silent, error)
            seen[call.number] = _without_answer(services, page, call)
    return page, seen, silent


def _look_up(services: Services, page: Page, call: Call) -> tuple[Page, Seen]:
    """Asks a provider about a call. Returns the page then. Raises UnavailableError."""
    now = services.now()
    asked = provider(services, call.provider)
    known = asked.fetch(call.sid) if call.sid else find(services, page, call)
    if known is None:
        if call.sid and not asked.is_late:
            reason = f"{providers.LABELS[call.provider]} knows nothing of the call"
            changes: dict[str, object] = {"status": "failed", "reason": reason, "ended_at": now}
            return pages.update_call(services.table, page, call.number, changes), "ended"
        is_taken = call.sid or call.taken_at or (call.asked_at and is_in_flight(call, now))
        return page, _heard(call) or ("quiet" if is_taken else "nothing")
    page = available(services, page)
    changes = {} if call.sid else {"sid": known.sid}
    if services.second and {"ringing": call.ringing_at, "in-progress": call.answered_at}.get(known.status) == 0:
        providers.prove(services.table, call.provider)
        changes["ringing_at" if known.status == "ringing" else "answered_at"] = now
    if known.status in pages.ENDED:
        changes |= {"sid": known.sid, "status": known.status, "ended_at": now}
    if page.answer == "connected" and known.status in ("in-progress", "completed"):
        page = pages.update_call(services.table, page, call.number, changes | {"sid": known.sid})
        return _connected(services, page, call), "ended"
    if changes:
        page = pages.update_call(services.table, page, call.number, changes)
    if known.status in pages.ENDED:
        return page, "ended"
    return page, "listened" if known.status == "in-progress" else "rings" if known.status == "ringing" else "quiet"


def _connected(services: Services, page: Page, call: Call) -> Page:
    """The policy takes an answered call for an acknowledgement."""
    page = pages.acknowledge(
        services.table,
        page,
        who=call.name,
        responder=call.responder,
        via="phone",
        now=services.now(),
        call=call.number,
    )
    if services.telephone().text_sender:
        sms.taken(services, page.policy, page.id, call.number)
    return page


def _heard(call: Call) -> Seen | None:
    """What its callbacks have said of a call."""
    return "listened" if call.answered_at else "rings" if call.ringing_at else None


def _without_answer(services: Services, page: Page, call: Call) -> Seen:
    """What is taken for true of a call about which its provider cannot be asked."""
    longest = TOO_LONG_MS if call.answered_at else pages.LISTENING_SECONDS * 1000
    if services.second is None or services.now() - call.started_at > page.ring_seconds * 1000 + longest:
        return "silent"
    return _heard(call) or "silent"


def _let_go(services: Services, page: Page, seen: Mapping[int, Seen]) -> Page:
    """Ends what needs no more waiting for, where there are two providers: it would hold the page at somebody who was rung.

    That is a call of which nothing can be known any more, if it has rung long enough or the other one of the attempt has
    ended; and one that was never placed, if the other has rung.
    """
    if services.second is None:
        return page
    over = [call for call in page.family if call.has_ended]
    has_rung = any(call.ringing_at or call.answered_at or call.status in ("busy", "no-answer") for call in over)
    now = services.now()
    for call in page.family:
        is_silent, is_nowhere = seen.get(call.number) == "silent", seen.get(call.number) == "nothing"
        is_past = is_overdue(page, call.asked_at, now) if call.sid else not is_in_flight(call, now)
        if (is_silent and (_heard(call) or (over and is_past))) or (is_nowhere and has_rung):
            label = providers.LABELS[call.provider]
            reason = f"{label} does not answer" if is_silent else f"{label} knows nothing of the call"
            changes = {"status": "failed", "reason": reason, "ended_at": now}
            page = pages.update_call(services.table, page, call.number, changes)
    return page


def _let(services: Services, turn: Turn, page: Page, call: Call, *, is_answered: bool = False) -> Page | None:
    """A phone rings, or somebody listens: the step waits. Then the other call to the same phone stops."""
    if services.now() - call.started_at > page.ring_seconds * 1000 + TOO_LONG_MS:
        return stop(services, page, "completed", goodbye="silence")
    pages.hold(
        services.table,
        page,
        call,
        execution=turn.execution,
        token=turn.token,
        now=services.now(),
        seconds=page.ring_seconds,
    )
    if is_answered:
        settle_with(services, page, call)
    return None


def _place_again(services: Services, turn: Turn, page: Page, call: Call) -> Answer | None:
    """Asks a provider for a call that it has never had. Raises UnavailableError."""
    now = services.now()
    again = pages.ask_again(services.table, page, call, execution=turn.execution, token=turn.token, now=now)
    return place(services, turn, again, again.call(call.number))


def _wait_for_ringing(services: Services, turn: Turn, page: Page, call: Call) -> Page | Answer | None:
    """A provider has taken a call whose phone does not ring: waits, then rings through the other one, or gives it up."""
    now = services.now()
    if services.second is None:
        if not call.sid and is_in_flight(call, now):
            return wait(services, turn, page, Pause(2, "the call may be under way"))
        return _let(services, turn, page, call)
    label, patience = providers.LABELS[call.provider], services.settings.no_ring_seconds
    left = call.asked_at + patience * 1000 - now
    if left > NEARLY_MS:
        return wait(services, turn, page, Pause(min(5, -(-left // 1000)), "the phone does not ring yet"))
    error = UnavailableError(f"{label}: no ringing within {patience} s")
    with failing(services, page, call, "ring", error):
        if other(services, page):
            return switch(services, turn, page, call, str(error))
    if is_overdue(page, call.asked_at, now):
        settle_with(services, page, call)
        changes = {"status": "failed", "reason": f"{label}: it never rang", "ended_at": now}
        return pages.update_call(services.table, page, call.number, changes)
    return _let(services, turn, page, call)


def _without_word(services: Services, turn: Turn, page: Page, silent: UnavailableError) -> Answer | None:
    """Of no call it is known whether its phone rings: the other provider is asked. Raises the error if there is none."""
    if any(call.has_ended for call in page.family):
        return wait(services, turn, page, Pause(2, "it is not known whether the phone still rings"))
    if other(services, page):
        call = page.family[0]
        with failing(services, page, call, "api", silent):
            return switch(services, turn, page, call, str(silent))
    raise silent


def _both(before: UnavailableError | None, error: UnavailableError) -> UnavailableError:
    """Two reasons in one."""
    if before is None or str(before) == str(error):
        return error
    return UnavailableError(f"{before}; {error}", remedy=before.remedy or error.remedy)
