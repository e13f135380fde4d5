"""Whom a page rings next, told from its calls and the roster alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oncall.pages.model import Call
from oncall.roster import Policy, Responder


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring this responder next."""

    responder: Responder
    round: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Ring nobody for so many seconds."""

    seconds: int
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There is nobody left to ring."""

    reason: str


def next_step(
    calls: Sequence[Call],
    order: Sequence[Responder],
    policy: Policy,
    *,
    now: int,
    ring_at: int = 0,
    delays: Mapping[str, int] | None = None,
) -> Ring | Pause | GiveUp:
    """Whom to ring next: each responder `calls` times in a row, round after round, by the order as it is now.

    Responders who have had their calls in this round, or have passed it on, were skipped or cannot be called, are passed
    over, so that a roster that changes in the middle counts at once and rings nobody twice. After a skipped call there is
    no pause.
    `calls` are the page's, in order; it may ring from `ring_at` on. `delays` (minutes, by responder) are how long after the
    beginning of the round somebody may be rung; a call that is passed on, skipped or refused ends the wait. Calls of one
    attempt through two providers count once, as the last of them went.
    """
    if not order:
        return GiveUp("nobody is on call")
    replaced = {call.instead_of for call in calls}
    calls = [call for call in calls if call.number not in replaced]
    current = max((call.round for call in calls), default=1)
    of_round = [call for call in calls if call.round == current]
    had = Counter(call.responder for call in of_round)
    passed = {call.responder for call in of_round if call.is_handed_on}
    delays = delays or {}
    latest = calls[-1] if calls else None
    for responder in order:
        if had[responder.id] < policy.calls and responder.id not in passed:
            began = 0 if latest and latest.is_handed_on else _round_began(of_round, ring_at, delays)
            return _when_due(Ring(responder, current), began, delays, now)
    if current >= policy.rounds:
        return GiveUp(f"nobody took it in {policy.rounds} round{'s' if policy.rounds > 1 else ''}")
    if latest and latest.skip:
        return Ring(order[0], current + 1)
    rested = max(call.ended_at or call.started_at for call in calls) + policy.pause_seconds * 1000
    if rested > now:
        return Pause(-(-(rested - now) // 1000), "pause between two rounds")
    return _when_due(Ring(order[0], current + 1), rested, delays, now)


def _round_began(of_round: Sequence[Call], ring_at: int, delays: Mapping[str, int]) -> int:
    """When a round began: with its first call, less what that had to wait; the first one when the page could ring."""
    if not of_round:
        return ring_at
    return of_round[0].started_at - delays.get(of_round[0].responder, 0) * 60_000


def _when_due(ring: Ring, began: int, delays: Mapping[str, int], now: int) -> Ring | Pause:
    minutes = delays.get(ring.responder.id, 0)
    due = began + minutes * 60_000
    return ring if due <= now else Pause(-(-(due - now) // 1000), f"the next step comes after {minutes} minutes")
