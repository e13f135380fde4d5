"""Who is on call now and next, as people look at it: by policy and schedule."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from oncall.roster.model import Policy, Responder, Roster
from oncall.roster.overrides import schedules_in_use, schedules_of
from oncall.roster.schedules import Shift, responders_on_call, schedule_named, shifts

AHEAD = timedelta(weeks=5)  # how far is looked for who comes next


@dataclass(frozen=True, slots=True)
class Turn:
    """Who is on call by a schedule (None: nobody), until when, and who comes then. No `until`: nobody else within weeks."""

    schedule: str
    now: Responder | None
    until: datetime | None = None
    next: Responder | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """Whom a policy rings now, in order, for which products; and the turns of its schedules."""

    policy: str
    products: tuple[str, ...]
    order: tuple[Responder, ...]
    turns: tuple[Turn, ...]


def overview(roster: Roster, now: datetime) -> list[Rung]:
    """Each policy that a product, or an unknown one, is rung by; the default one first."""
    default = roster.policy_for("")
    products: dict[str, list[str]] = {default.id: []}
    for product in roster.products.values():
        products.setdefault(roster.policy_for(product.id).id, []).append(product.id)
    policies = {default.id: default, **roster.policies}
    return [_rung(roster, policies[policy], tuple(named), now) for policy, named in products.items()]


def _rung(roster: Roster, policy: Policy, products: tuple[str, ...], now: datetime) -> Rung:
    order = tuple(on_call.responder for on_call in responders_on_call(roster, policy, now))
    return Rung(policy.id, products, order, tuple(turn(roster, name, now) for name in schedules_of(policy)))


def turns(roster: Roster, now: datetime) -> list[Turn]:
    """The turns of every schedule that is rung by."""
    return [turn(roster, name, now) for name in schedules_in_use(roster)]


def turn(roster: Roster, schedule: str, now: datetime) -> Turn:
    """Whose turn it is by a schedule."""
    first, *later = _by_responder(shifts(roster, schedule_named(roster, schedule), now, now + AHEAD))
    following = later[0] if later else None
    return Turn(
        schedule,
        roster.responders.get(first.responder or ""),
        following.start if following else None,
        roster.responders.get((following and following.responder) or ""),
    )


def own_shifts(roster: Roster, responder: str, now: datetime) -> list[tuple[str, Shift]]:
    """The shifts of a responder (an id) within the next weeks, with their schedules, the earliest first."""
    found = [
        (name, shift)
        for name in schedules_in_use(roster)
        for shift in _by_responder(shifts(roster, schedule_named(roster, name), now, now + AHEAD))
        if shift.responder == responder
    ]
    return sorted(found, key=lambda entry: (entry[1].start, entry[0]))


def first_rung(roster: Roster, now: datetime) -> list[Responder]:
    """Whoever is rung first by any of the policies in use, each once."""
    return list({rung.order[0].id: rung.order[0] for rung in overview(roster, now) if rung.order}.values())


def _by_responder(found: Iterable[Shift]) -> list[Shift]:
    """Neighbouring shifts of one responder as one, whatever they are by."""
    joined: list[Shift] = []
    for shift in found:
        if joined and joined[-1].responder == shift.responder:
            joined[-1] = Shift(joined[-1].start, shift.end, shift.responder)
        else:
            joined.append(Shift(shift.start, shift.end, shift.responder))
    return joined
