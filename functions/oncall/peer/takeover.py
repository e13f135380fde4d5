"""When a stack rings for what the other one may have: the standby waits and asks, a primary that was away asks.

A standby accepts a group as its primary does, and does nothing for `takeover_seconds`. Then it asks the primary, and again
until somebody has it there. It rings if the primary does not answer, or does not know the group, or cannot ring. So a
human is woken twice at worst, and never not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger

from oncall import incidents, roster
from oncall.alerts.group import AlertGroup, by_product
from oncall.alerts.heartbeats import SOURCE as HEARTBEAT
from oncall.incidents import Event, Incident, Theirs
from oncall.peer import groups, merge, minute, shared
from oncall.roster import Roster
from oncall.services import Services
from oncall.wire import NoAnswerError

logger = Logger(child=True)

AGAIN_SECONDS = 15  # while a page goes on at the primary
SLOW_AGAIN_SECONDS = 60
SLOW_AFTER_MS = 600_000  # when it goes on for longer, it is asked less often
TRIES = 3
# Sources of which each stack has an alarm or a look of its own: the primary's counts while it lives.
OWN_WATCH = ("alarm", HEARTBEAT)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with a group: as ever, or by a standby: it waits (so many seconds, with `followed` in the input of its
    next look), leaves it to the primary, or takes over.

    `adopted`: by product, the incident's id and Slack message at the primary, with which a takeover goes on. `besides`:
    products that are in the primary's hands.
    """

    takes_over: bool = False
    wait_seconds: int = 0
    followed: Mapping[str, Any] = field(default_factory=dict)
    leaves: bool = False
    adopted: Mapping[str, Theirs] = field(default_factory=dict)
    besides: frozenset[str] = frozenset()


AS_EVER = Verdict()
LEAVES = Verdict(leaves=True)


def judge(services: Services, group: AlertGroup, request: Mapping[str, Any]) -> Verdict:
    """What a standby does with a group; `request` is the execution's input. A primary does as ever."""
    peer, now = services.peer(), services.now()
    if peer is None or peer.role == "primary" or request.get("source") == "command":
        return AS_EVER
    if any(pointer.open for pointer in incidents.pointers(services.table, group)):
        return AS_EVER  # it has taken over, and goes on
    followed: Mapping[str, Any] | None = request.get("followed")
    if followed is None:
        wait = services.settings.takeover_seconds
        return Verdict(wait_seconds=wait, followed={"since": now, "shares": {}})
    known = roster.read_table(services.table)
    shares = by_product(group, known.severities)
    if group.is_over:
        _tell_resolved(services, group, [share.product for share in shares] or [group.product])
        return LEAVES
    try:
        answered = minute.ask(services, "groups", groups.question(group, shares), tries=TRIES)["shares"]
    except NoAnswerError as error:
        logger.warning("the primary does not answer: this stack takes over", group=group.id, reason=str(error))
        return Verdict(takes_over=True, adopted=_theirs(followed["shares"]))
    if request.get("source") in OWN_WATCH:
        return LEAVES
    return _weigh(group, {share.product for share in shares}, answered, followed, now=now)


def _weigh(
    group: AlertGroup,
    products: set[str],
    answered: Sequence[Mapping[str, Any]],
    followed: Mapping[str, Any],
    *,
    now: int,
) -> Verdict:
    """What follows from the primary's answer."""
    seen = dict(followed["shares"]) | {
        share["product"]: {"incident": share["incident"], "message": share["message"]}
        for share in answered
        if "incident" in share
    }
    held = {share["product"] for share in answered if share["known"] and not share.get("stuck")}
    if held < products:
        logger.warning("the primary does not ring for a group: this stack takes over", group=group.id)
        return Verdict(takes_over=True, adopted=_theirs(seen), besides=frozenset(held))
    if not any(share["pending"] for share in answered):
        return LEAVES
    is_slow = now - followed["since"] > SLOW_AFTER_MS
    wait = SLOW_AGAIN_SECONDS if is_slow else AGAIN_SECONDS
    return Verdict(wait_seconds=wait, followed={**followed, "shares": seen})


def _theirs(seen: Mapping[str, Any]) -> dict[str, Theirs]:
    """What the primary was seen to have. Of its message this stack has shown nothing yet."""
    return {
        product: Theirs(
            share["incident"],
            {**share["message"], "slack_thread": 0, "slack_shown": 0} if share["message"] else {},
        )
        for product, share in seen.items()
    }


def _tell_resolved(services: Services, group: AlertGroup, products: list[str]) -> None:
    """The primary may not have heard that it is over."""
    try:
        minute.ask(services, "resolved", {"group": group.id, "received_at": group.received_at, "products": products})
    except NoAnswerError as error:
        logger.warning("the primary was not told of a resolution", group=group.id, reason=str(error))


def recall(services: Services, known: Roster, group: AlertGroup, *, base: str) -> None:
    """A primary that was away hears of the standby what it has of a group, before anybody is rung for it."""
    peer = services.peer()
    if peer is None or peer.role == "standby" or not known.was_away(services.now()):
        return
    try:
        theirs = peer.ask("incidents", {"group": group.id})["incidents"]
    except NoAnswerError as error:
        logger.warning("the standby does not say what it has", group=group.id, reason=str(error))
        return
    for incident in theirs:
        merge.merge(services, shared.read(incident), base=base)


def take(services: Services, incident: Incident, *, execution: str) -> Incident:
    """Writes that an incident is this stack's now, since the other one does not ring for it; returns it."""
    if incident.is_probe:
        return incident  # nobody else has to know of it
    shared.share(services.table, incident)
    event = Event("taken_over", key=f"taken_over/{execution}")
    told = incidents.tell(services.table, incident.id, event, now=services.now(), unless=("resolved",))
    return told or incident
