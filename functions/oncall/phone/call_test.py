"""Test calls: a responder's phone rings, and 1 proves that the number works. No incident, no page, nobody else is told."""

from collections.abc import Mapping
from typing import Any, cast

from aws_lambda_powertools import Logger

from oncall import pages, roster
from oncall.phone import keys, proofs, refusals
from oncall.phone.provider import Callbacks, NumberRefusedError, UnavailableError
from oncall.phone.voice import Voice
from oncall.roster import Language
from oncall.services import Services

logger = Logger(child=True)

_PREFIX = "test:"  # of what stands for the policy in a test call's callbacks; no policy can be called so


def is_test(callbacks: Callbacks) -> bool:
    """Whether these are the callbacks of a test call."""
    return callbacks.policy.startswith(_PREFIX)


def ring(services: Services, request: Mapping[str, Any], *, base: str) -> dict[str, str]:
    """Rings a responder. `request` has the responder's id and the test's; the table tells how it goes on.

    Returns {"problem": why nobody is rung}, or nothing.
    """
    known, _ = roster.read_items(services.table.query(roster.PARTITION))
    responder = known.responders.get(str(request["responder"]))
    if responder is None:
        return {"problem": f"the roster has no responder {request['responder']!r}"}
    test = str(request["id"])
    policy, placed_at = f"{_PREFIX}{responder.id}", services.now() // 1000
    callbacks = Callbacks(base, policy, test, 1, placed_at=placed_at, secret=services.callback_secret())
    proofs.begin(services.table, responder, test, now=services.now())
    voice = Voice(responder.language or services.settings.language, callbacks)
    try:
        services.telephone().call(
            responder.phone, voice.test(), callbacks=callbacks, ring_seconds=services.settings.ring_seconds
        )
    except (NumberRefusedError, UnavailableError) as error:
        proofs.note(
            services.table, responder.id, test, {"status": "failed", "reason": str(error), "ended_at": services.now()}
        )
        logger.warning("a test call failed", responder=responder.id, reason=str(error))
        return {"problem": f"{error}. {refusals.words(error.remedy, 'en')}".strip()}
    return {}


def key_pressed(services: Services, callbacks: Callbacks, digits: str) -> str:
    """What a pressed key does; returns what the call says next (TwiML)."""
    responder_id = callbacks.policy.removeprefix(_PREFIX)
    item = services.table.get(proofs.PARTITION, responder_id) or {}
    voice = Voice(cast("Language", item.get("language") or services.settings.language), callbacks)
    if digits == keys.SILENCE:
        return voice.goodbye("untested")
    if digits != "1":
        return voice.test(once=not digits)
    if not proofs.prove(services.table, item, callbacks.page, now=services.now()):
        return voice.goodbye("gone")
    logger.info("a number is proven", responder=responder_id)
    return voice.goodbye("proven")


def call_changed(services: Services, callbacks: Callbacks, status: str) -> None:
    """What Twilio says of a test call."""
    changes: dict[str, object] = {"status": status}
    if status in pages.ENDED:
        changes["ended_at"] = services.now()
    proofs.note(services.table, callbacks.policy.removeprefix(_PREFIX), callbacks.page, changes)
