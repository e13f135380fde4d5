"""Places a call of a page, through the one telephone provider or the other: the same responder is rung once.

Who does not take a call, or takes one that does not ring, fails; the other is asked then, if there is one. Both calls of an
attempt stand in the page, so that a late key or callback of either finds its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aws_lambda_powertools import Logger

from oncall import pages, providers
from oncall.incidents import Event
from oncall.pages import Call, Page, Ring
from oncall.phone import refusals
from oncall.phone.ending import finish, hang_up_left
from oncall.phone.provider import NumberRefusedError, UnavailableError
from oncall.phone.turn import Turn, available, callbacks, ended, find, key, provider, tell, voice
from oncall.probe import rules as probe
from oncall.roster import Responder
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)

UNAVAILABLE_MS = 30_000  # when no call has been taken for so long, people are told


def first(services: Services, policy: str, wanted: str) -> str:
    """The name of the provider that is asked first: the one that is `wanted`; for the probe, the one that has its turn."""
    if services.second is None:
        return providers.TWILIO
    return providers.on_trial(services.table) if probe.rings_a_machine(policy) else wanted


def other(services: Services, page: Page) -> str:
    """The name of the provider that has not been asked in the current attempt; empty if there is none.

    There is none for the probe, which proves one of them.
    """
    family = page.family
    if services.second is None or len(family) != 1 or probe.rings_a_machine(page.policy):
        return ""
    return providers.other(family[0].provider)


def place(services: Services, turn: Turn, page: Page, call: Call) -> Answer | None:
    """Asks a provider for a call of the page, which the table already knows; if it does not take it, the other provider.

    Raises UnavailableError if no provider takes it, and each has been asked now.
    """
    try:
        page = hang_up_left(services, page)
        sid = provider(services, call.provider).call(
            call.phone,
            voice(services, page, call).alert(page.headline, page.storm),
            callbacks=callbacks(services, page, call),
            ring_seconds=page.ring_seconds,
        )
    except NumberRefusedError as refused:
        return _refused(services, turn, page, call, refused)
    except UnavailableError as error:
        if error.is_unclear and page.unavailable_since and services.now() - page.unavailable_since >= UNAVAILABLE_MS:
            return _refused(services, turn, page, call, error)  # held for long enough: another phone may ring
        return _not_taken(services, turn, page, call, error)
    return _taken(services, page, call, sid)


def switch(services: Services, turn: Turn, page: Page, call: Call, reason: str) -> Answer | None:
    """Rings the same responder through the other provider.

    Raises ConditionFailedError if the phone rings by now, and UnavailableError if that one does not take the call either.
    """
    name = providers.other(call.provider)
    same = Ring(Responder(call.responder, call.name, call.phone, language=call.language), call.round)
    begun = pages.begin_call(
        services.table,
        page,
        same,
        execution=turn.execution,
        token=turn.token,
        now=services.now(),
        provider=name,
        instead_of=call.number,
    )
    logger.warning("a call goes through the other provider", provider=name, reason=reason, call=call.number)
    detail = {"provider": providers.LABELS[name], "reason": reason}
    tell(services, begun, Event("switched", key=key(page, call, "switched"), who=call.name, detail=detail))
    return place(services, turn, begun, begun.call(begun.attempt))


@contextmanager
def failing(
    services: Services, page: Page, call: Call, failure: providers.Failure, error: UnavailableError
) -> Iterator[None]:
    """A call's provider fails: pages begin with the other one. People are told of it once, after what is done about it."""
    is_news = services.second is not None and providers.trip(
        services.table, call.provider, failure=failure, reason=str(error), now=services.now()
    )
    try:
        yield
    finally:
        if is_news:
            label, instead = providers.LABELS[call.provider], providers.LABELS[providers.other(call.provider)]
            logger.error("a telephone provider is down", provider=call.provider, reason=str(error))
            services.fallback.tell(
                f"{label} is down",
                f"{error}. {refusals.words(error.remedy, 'en')}\nIt was noticed with incident {page.lead}. "
                f"Pages begin with {instead} until {label} is proven again (docs/providers.md).",
            )


def settle_with(services: Services, page: Page, call: Call) -> None:
    """Ends the other call of the attempt, if that can be: nobody has answered it. Who cannot be reached is asked again later."""
    for rival in page.family:
        if rival.number == call.number or rival.has_ended:
            continue
        changes: dict[str, Any] = {"status": "canceled", "ended_at": services.now()}
        if rival.asked_at:
            try:
                sid = rival.sid or (known.sid if (known := find(services, page, rival)) else "")
                if not sid or not provider(services, rival.provider).cancel(sid):
                    continue  # somebody listens to it: the step that its answer releases stops this one
            except UnavailableError as error:
                logger.info("a call that does not ring cannot be ended", reason=str(error), call=rival.number)
                continue
            changes["sid"] = sid
        with suppress(ConditionFailedError):  # its callback was faster
            pages.update_call(services.table, page, rival.number, changes)


def _taken(services: Services, page: Page, call: Call, sid: str) -> Answer | None:
    """A provider has a call. An empty `sid`: its callbacks will bring that."""
    try:
        taken = {"sid": sid} if sid else {"taken_at": services.now()}
        page = pages.update_call(services.table, page, call.number, taken)
    except ConditionFailedError as refused:
        there = pages.found(refused)
        if there is None or there.id != page.id:
            if sid:
                provider(services, call.provider).end(sid, voice(services, page, call).goodbye("gone"))
            return Answer("skip", "the page is over", "end")
        logger.info("the call ended before the provider's answer was written", call=call.number)
        return None  # and its callback has released this step
    if not page.is_open:  # taken or resolved while the provider was being asked
        return finish(services, page)
    page = available(services, page)
    call = page.call(call.number)
    supposed = {"supposed": True, "second": (call.started_at - page.opened_at) // 1000} if call.is_supposed else {}
    detail: dict[str, Any] = {"round": call.round, **supposed}
    if services.second:
        detail["provider"] = providers.LABELS[call.provider]
        services.measure(f"CallsThrough{providers.LABELS[call.provider]}", "Count", 1)
    incident = tell(services, page, Event("ringing", key=key(page, call, "ringing"), who=call.name, detail=detail))
    if incident and incident.state != "triggered":  # taken or resolved in the moment before it joined this page
        left = pages.leave(services.table, page.policy, incident.id)
        return finish(services, left) if left else None
    settle_with(services, page, call)
    return None


def _not_taken(services: Services, turn: Turn, page: Page, call: Call, error: UnavailableError) -> Answer | None:
    """A provider took no call, or it is not known whether it did: the other is asked. Raises the error if there is none."""
    if error.is_refusal:  # so it need not be waited for
        page = pages.update_call(services.table, page, call.number, {"asked_at": 0})
    elif other(services, page):
        try:
            known = find(services, page, call)
        except UnavailableError as silent:
            logger.info("it is not known whether a call was taken", reason=str(silent), call=call.number)
        else:
            if known:
                return _taken(services, page, call, known.sid)
    with failing(services, page, call, "api", error):
        if other(services, page):
            try:
                return switch(services, turn, page, call, str(error))
            except UnavailableError as second:
                raise UnavailableError(f"{error}; {second}", remedy=error.remedy or second.remedy) from second
    raise error


def _refused(
    services: Services, turn: Turn, page: Page, call: Call, error: NumberRefusedError | UnavailableError
) -> Answer | None:
    """A provider does not call this responder: the other may; else the next one is rung at once. What fixes it is said once.

    Raises UnavailableError.
    """
    changes: dict[str, Any] = {"status": "failed", "refused": True, "reason": str(error), "ended_at": services.now()}
    remedy = error.remedy
    if remedy and remedy not in {one.remedy for one in page.calls}:
        changes["remedy"] = remedy
    page = pages.update_call(services.table, page, call.number, changes)
    logger.warning("a responder cannot be called", responder=call.responder, reason=str(error))
    tell(services, page, ended(page, page.call(call.number)))
    if other(services, page):
        return switch(services, turn, page, call, str(error))
    for rival in page.family:  # what the other provider has refused for reasons of its own
        if not rival.has_ended and not rival.asked_at:
            over = {"status": "failed", "ended_at": services.now()}
            page = pages.update_call(services.table, page, rival.number, over)
    return Answer("fail", str(error), "call")
