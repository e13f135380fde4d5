"""The other stack, every minute: the standby tells its primary what it has, and each hears that the other lives.

Nobody but the standby asks while both live. A primary that was away asks at once, before it goes on with what it had.
The item PEER has when the other one was heard last, when it last gave no answer since, and since when the fallback topic
knows of that.
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from oncall import roster
from oncall.peer import merge, shared
from oncall.services import Services
from oncall.table import Item, Update
from oncall.wire import NoAnswerError

logger = Logger(child=True)

PARTITION, KEY = "PEER", "STATE"
QUIET_MS = 150_000  # when a primary that does not hear its standby asks it
SILENT_MS = 300_000  # when people are told
BELIEVED_MS = 15_000  # how long one execution's finding that the other stack is silent spares the next ones from asking


def hear(services: Services) -> Item:
    """Notes that the other stack lives, and tells people if they were told otherwise."""
    now = services.now()
    before = services.table.get(PARTITION, KEY) or {}
    after = services.table.update(Update(PARTITION, KEY, set={"heard_at": now}, remove=("told_at", "silent_at")))
    if "told_at" in before:
        services.fallback.tell(
            f"the {_other(services)} answers again",
            f"The {_other(services)} is heard again, after {(now - before['heard_at']) // 60_000} minutes.",
        )
    return after


def ask(services: Services, word: str, given: Mapping[str, Any], *, tries: int = 1) -> Mapping[str, Any]:
    """What the other stack answers to an execution's question. Raises NoAnswerError.

    In a storm two hundred executions ask within seconds. A dead stack costs each of them as long as it waits, and all of them
    the functions that wait: so the first ones wait, and the next ones believe them.
    """
    peer, now = services.peer(), services.now()
    if peer is None:
        raise NoAnswerError("there is no other stack")
    state = services.table.get(PARTITION, KEY) or {}
    if 0 <= now - int(state.get("silent_at", 0)) < BELIEVED_MS:
        raise NoAnswerError("it gave no answer a moment ago")
    try:
        return peer.ask(word, given, tries=tries)
    except NoAnswerError:
        services.table.update(Update(PARTITION, KEY, set={"silent_at": services.now()}))
        raise


def look(services: Services, *, base: str, is_asked: bool = False, is_minute: bool = True) -> bool:
    """What the reconciler does first; with `is_asked` it speaks with the other stack in any case.

    Not `is_minute`: it runs for an execution that failed, of which a storm may have hundreds. Then only a primary that was
    away asks, since it must not go on with what it had before it has.

    Returns whether that is needless, or the other stack has answered. Raises botocore's errors.
    """
    peer = services.peer()
    if peer is None:
        return True
    now = services.now()
    is_primary = peer.role == "primary"
    known = (services.table.get(roster.PARTITION, roster.META) or {}) if is_primary else {}
    alive_at = int(known.get("alive_at", 0))
    was_away = is_primary and not 0 <= now - alive_at <= roster.AWAY_MS
    state = services.table.get(PARTITION, KEY) or {}
    if "heard_at" not in state:  # it has not been heard yet: that counts from now on
        state = services.table.update(Update(PARTITION, KEY, set={"heard_at": now}))
    has_answered = True
    is_due = is_minute and (not is_primary or now - state["heard_at"] > QUIET_MS)
    if is_due or was_away or is_asked:
        try:
            _ask(services, base=base, everything=was_away)
        except NoAnswerError as error:
            logger.warning("the other stack does not answer", reason=str(error))
            _tell_of_silence(services, state, str(error))
            has_answered = False
    if is_primary:
        services.table.update(Update(roster.PARTITION, roster.META, set={"alive_at": services.now()}))
    return has_answered


def _ask(services: Services, *, base: str, everything: bool) -> Mapping[str, Any]:
    answered = merge.exchange(services, shared.items(services.table), base=base, everything=everything)
    hear(services)
    return answered


def _tell_of_silence(services: Services, state: Item, reason: str) -> None:
    now = services.now()
    if "told_at" in state or now - state["heard_at"] < SILENT_MS:
        return
    minutes = (now - state["heard_at"]) // 60_000
    is_standby = bool(services.settings.takeover_seconds)
    means = (
        "This stack, its standby, rings for what the primary does not take, and waits "
        f"{services.settings.takeover_seconds} seconds before."
        if is_standby
        else "This stack, the primary, rings as ever. If it fails now, nobody rings."
    )
    services.fallback.tell(
        f"the {_other(services)} does not answer",
        f"The {_other(services)} ({services.settings.peer_url}) has not answered for {minutes} minutes: {reason}.\n{means}\n"
        "Look at its region, at its stack, and whether both have the same token (docs/regions.md). You are told when it "
        "answers again.",
    )
    services.table.update(Update(PARTITION, KEY, set={"told_at": now}))


def _other(services: Services) -> str:
    return "primary" if services.settings.takeover_seconds else "standby"
