"""Test calls: a responder's phone rings, and 1 proves that the number works. No incident, no page, nobody else is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from aws_lambda_powertools import Logger

from oncall import pages, roster
from oncall.phone import proofs, refusals
from oncall.phone.twilio import Callbacks, NumberRefusedError, Telephone, TwilioUnavailableError
from oncall.phone.voice import Voice
from oncall.roster import Language
from oncall.table import Table

logger = Logger(child=True)

_PREFIX = "test:"  # of what stands for the policy in a test call's callbacks; no policy can be called so


@dataclass(frozen=True, slots=True)
class Desk:
    """What a test call works with."""

    table: Table
    now: Callable[[], int]  # epoch milliseconds
    language: Language


def is_test(callbacks: Callbacks) -> bool:
    """Whether these are the callbacks of a test call."""
    return callbacks.policy.startswith(_PREFIX)


def ring(
    desk: Desk, telephone: Callable[[], Telephone], request: Mapping[str, Any], *, base: str, ring_seconds: int
) -> dict[str, str]:
    """Rings a responder. `request` has the responder's id and the test's; the table tells how it goes on.

    Returns {"problem": why nobody is rung}, or nothing.
    """
    known, _ = roster.read_items(desk.table.query(roster.PARTITION))
    responder = known.responders.get(str(request["responder"]))
    if responder is None:
        return {"problem": f"the roster has no responder {request['responder']!r}"}
    test = str(request["id"])
    callbacks = Callbacks(base, f"{_PREFIX}{responder.id}", test, 1)
    proofs.begin(desk.table, responder, test, now=desk.now())
    voice = Voice(responder.language or desk.language, callbacks)
    try:
        telephone().call(responder.phone, voice.test(), callbacks=callbacks, ring_seconds=ring_seconds)
    except (NumberRefusedError, TwilioUnavailableError) as error:
        proofs.note(desk.table, responder.id, test, {"status": "failed", "reason": str(error), "ended_at": desk.now()})
        logger.warning("a test call failed", responder=responder.id, reason=str(error))
        return {"problem": f"{error}. {refusals.words(refusals.remedy(error.code, responder.phone), 'en')}".strip()}
    return {}


def key_pressed(desk: Desk, callbacks: Callbacks, digits: str) -> str:
    """What a pressed key does; returns what the call says next (TwiML)."""
    responder_id = callbacks.policy.removeprefix(_PREFIX)
    item = desk.table.get(proofs.PARTITION, responder_id) or {}
    voice = Voice(cast("Language", item.get("language") or desk.language), callbacks)
    if digits != "1":
        return voice.test()
    if not proofs.prove(desk.table, item, callbacks.page, now=desk.now()):
        return voice.goodbye("gone")
    logger.info("a number is proven", responder=responder_id)
    return voice.goodbye("proven")


def call_changed(desk: Desk, callbacks: Callbacks, status: str) -> None:
    """What Twilio says of a test call."""
    changes: dict[str, Any] = {"status": status}
    if status in pages.ENDED:
        changes["ended_at"] = desk.now()
    proofs.note(desk.table, callbacks.policy.removeprefix(_PREFIX), callbacks.page, changes)
