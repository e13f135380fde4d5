"""What people do about incidents, wherever they are: they take them, pass them on, resolve them, and take a shift.

The table is written first and everybody told second. Whoever comes late finds what is true by then.
"""

from dataclasses import dataclass
from typing import Literal

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from oncall import incidents, pages, roster
from oncall.clock import at
from oncall.incidents import Event, Incident
from oncall.pages import Call, Page, Skip, Via
from oncall.probe import rules as probe
from oncall.roster import Responder, Roster, overrides
from oncall.roster.overrides import TakenShift
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)

LOOKS = 3  # at a page that others keep changing under our hands
# So long after the next phone began to ring, or was asked for, somebody who cannot have seen that asks for nothing more.
UNSEEN_MS = 3_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an acknowledgement: whether it is ours, with how many incidents, or who has it (since when).

    Or that it is over, since it was resolved; or that its page is gone: there is another by now.
    """

    ours: bool
    by: str = ""
    at: int = 0
    over: bool = False
    gone: bool = False
    covered: int = 1


@dataclass(frozen=True, slots=True)
class Skipped:
    """What came of asking for the next responder.

    ours: `who` is skipped. again: `who` has just asked for it. next: `who` is the next one, whose phone has just begun to
    ring. quiet: no phone rings. taken: `who` has it (since when). over: it is resolved, or not known any more.
    """

    outcome: Literal["ours", "again", "next", "quiet", "taken", "over"]
    who: str = ""
    at: int = 0


def acknowledge_incident(
    services: Services, incident_id: str, *, name: str, slack_user: str = "", responder_id: str = "", via: Via = "slack"
) -> Taken:
    """Somebody takes an incident, and with it all that its page covers.

    The roster knows them by their Slack user or their id; `name` is used if it does not.
    """
    incident = incidents.read(services.table, incident_id)
    if incident is None or incident.state == "resolved":
        return Taken(ours=False, over=True)
    known, _ = roster.read_items(services.table.query(roster.PARTITION))
    responder = next(
        (r for r in known.responders.values() if r.id == responder_id or (slack_user and r.slack_user == slack_user)),
        None,
    )
    who = responder.name if responder else name
    page = _page_of(services, incident)
    if page:
        taken = acknowledge_page(services, page, who=who, responder=responder.id if responder else "", via=via)
        if taken.ours or taken.by:
            return taken
    if incident.state == "acknowledged":
        return Taken(ours=False, by=incident.acknowledged_by, at=incident.acknowledged_at)
    event = Event(
        "acknowledged", key=f"acknowledged/{who}/{services.now()}", who=who, detail={"via": via, "covered": 1}
    )
    changed = incidents.tell(
        services.table,
        incident_id,
        event,
        now=services.now(),
        state="acknowledged",
        unless=("resolved", "acknowledged"),
        set_={"acknowledged_by": who, "acknowledged_at": services.now(), "taken_together": 1, "unanswered": False},
    )
    services.show_in_slack([incident_id])
    if changed is None:
        return acknowledge_incident(
            services, incident_id, name=name, slack_user=slack_user, responder_id=responder_id, via=via
        )
    page = _page_of(services, incident)
    if page and page.is_open:  # it has joined one meanwhile
        acknowledge_page(services, page, who=who, responder=responder.id if responder else "", via=via)
    return Taken(ours=True, by=who)


def _page_of(services: Services, incident: Incident) -> Page | None:
    """The page that covers the incident, unless somebody took it and all has followed from that: then it rings anew."""
    page = pages.read(services.table, incident.policy)
    if page is None or not page.covers(incident.id):
        return None
    return None if page.state == "acknowledged" and page.is_settled else page


def resolve_incident(services: Services, incident_id: str, *, who: str, via: Via) -> Incident | None:
    """Somebody resolves an incident: no phone rings for it any more. None if it was resolved already, or never was."""
    resolved = incidents.resolve(services.table, incident_id, who=who, via=via, now=services.now())
    incident = resolved or incidents.read(services.table, incident_id)
    if incident is None:
        return None
    if resolved:
        logger.info("resolved", incident=incident_id, who=who, via=via)
    # Whoever resolved it before may have died before its page heard of it.
    ended = pages.leave(services.table, incident.policy, incident_id)
    if ended:  # the step that is released hangs up
        services.release(ended.token, Answer("skip", "resolved", "call"))
    services.show_in_slack([incident_id])
    return resolved


def ring_next(services: Services, incident_id: str, *, who: str, via: Via, seen_at: int | None = None) -> Skipped:
    """Somebody wants the next responder rung instead of the one whose phone rings for an incident.

    `seen_at` (epoch milliseconds) is how old what they saw is: of several who look at the same phone ring, one skips it.
    """
    for _ in range(LOOKS):
        incident = incidents.read(services.table, incident_id)
        if incident is None or incident.state == "resolved":
            return Skipped("over")
        page = _page_of(services, incident)
        if incident.state == "acknowledged":
            return Skipped("taken", incident.acknowledged_by, incident.acknowledged_at)
        if page and page.state == "acknowledged":
            return Skipped("taken", page.acknowledged_by, page.acknowledged_at)
        call = page.current_call if page and page.is_open else None
        if page is None or call is None:
            break
        now = services.now()
        if call.skip:
            _releases(services, page, Answer("fail", "skipped", "call"))  # whoever asked for it may have died before
            return Skipped("again", call.skip.who)
        if seen_at is not None and (unseen := _unseen(page, call, seen_at=seen_at, now=now)):
            return unseen
        if call.has_ended or not call.sid:
            break
        try:
            page = pages.skip(services.table, page, who=who, via=via, now=now)
        except ConditionFailedError:
            continue
        logger.info("skipped", incident=incident_id, responder=call.responder, who=who, via=via)
        _releases(services, page, Answer("fail", f"{who} asked for the next person", "call"))
        lead = page.lead
        incidents.tell(services.table, lead, pages.skipped_event(page, call, Skip(who, via, now)), now=now)
        services.show_in_slack({lead, incident_id})
        return Skipped("ours", call.name)
    return Skipped("quiet")


def ring_again(services: Services, incident_id: str, *, who: str, via: Via) -> Skipped:
    """Somebody wants the phones rung again for an incident that nobody took, and for all that its page covered.

    ours: they ring. again: they do so already, or are about to. taken, over: as for `ring_next`.
    """
    incident = incidents.read(services.table, incident_id)
    if incident is None or incident.state == "resolved":
        return Skipped("over")
    if incident.state == "acknowledged":
        return Skipped("taken", incident.acknowledged_by, incident.acknowledged_at)
    if not incident.is_unanswered:
        return Skipped("again")
    page = pages.read(services.table, incident.policy)
    covered = page.incidents if page and page.state == "unanswered" and page.covers(incident_id) else frozenset()
    name = f"again-{page.id}" if page and covered else f"again-{incident_id}-{incident.version}"
    # Two who press at the same moment start one.
    asked = [incident_id, *sorted(covered - {incident_id})]
    services.start(name, {"source": "reconciler", "incidents": asked, "again": {"who": who, "via": via}})
    logger.info("rung again", incident=incident_id, who=who, via=via)
    return Skipped("ours")


def _unseen(page: Page, call: Call, *, seen_at: int, now: int) -> Skipped | None:
    """What happened so lately that whoever saw the incident as it was at `seen_at` cannot know of it."""
    if seen_at < page.skipped_at and now - page.skipped_at < UNSEEN_MS:
        asked = [one.skip for one in page.calls if one.skip]
        return Skipped("again", max(asked, key=lambda skip: skip.at).who)
    is_next = call.number > 1 and not call.instead_of and not call.has_ended
    if is_next and seen_at < call.started_at and now - call.started_at < UNSEEN_MS:
        return Skipped("next", call.name)  # the phone that they saw ring has stopped by itself
    return None


def take_shift(
    services: Services, known: Roster, incident_id: str, responder: Responder, *, schedule: str, via: Via
) -> TakenShift:
    """A responder takes a shift because of an incident, and its timeline tells so. See overrides.take_shift."""
    now = services.now()
    taken = overrides.take_shift(services.table, known, responder, schedule, now=at(now))
    if taken.override and taken.responder == responder.id:
        detail = {"via": via, "schedule": schedule, "until": round(taken.end.timestamp() * 1000)}
        event = Event("shift_taken", key=f"shift_taken/{taken.override}", who=responder.name, detail=detail)
        incidents.tell(services.table, incident_id, event, now=now)
        services.show_in_slack([incident_id])
    return taken


def acknowledge_page(
    services: Services, page: Page, *, who: str, responder: str, via: Via, call: int | None = None
) -> Taken:
    """Writes the acknowledgement, then lets everybody know of it."""
    was_open = page.is_open
    now = services.now()
    taken: Taken | None = None
    try:
        page = pages.acknowledge(services.table, page, who=who, responder=responder, via=via, now=now, call=call)
    except ConditionFailedError as refused:
        there = pages.found(refused)
        if there is None or there.id != page.id:
            return Taken(ours=False, gone=True)
        taken = taken_by(there, call=call)
        if there.state != "acknowledged" or there.is_settled:
            return taken
        page, was_open = there, True  # whoever wrote it may have died before anybody heard of it
    else:
        if not (probe.has_own_metrics(page.policy) or page.is_shadow):  # in shadow it is no answer
            seconds = (now - page.opened_at) // 1000
            logger.info("acknowledged", incident=page.lead, who=who, via=via, seconds=seconds)
            services.measure("SecondsToAcknowledge", "Seconds", seconds)
    waiting = was_open and any(one.number == call or not one.has_ended for one in page.family)
    # The step that is released hangs up, and carries this to the incidents and to Slack. While Twilio takes no calls it
    # mostly sleeps, for up to half a minute, and hears of nothing.
    released = waiting and _releases(services, page, Answer("success", f"acknowledged by {who}", "call"))
    if not released or page.unavailable_since:
        services.show_in_slack(pages.settle(services.table, page, now=services.now()))
    return taken or taken_by(page, call=call, ours=True)


def _releases(services: Services, page: Page, answer: Answer) -> bool:
    """Releases the waiting step. If that cannot be asked for, it is written all the same: nobody is told otherwise."""
    try:
        services.release(page.token, answer)
    except (ClientError, BotoCoreError) as error:
        logger.warning("the waiting step hears of it at its time limit", error=type(error).__name__)
        return False
    return True


def taken_by(page: Page, call: int | None = None, *, ours: bool = False) -> Taken:
    """What came of an acknowledgement of a page that has ended; `call` is the call in which it was said."""
    if page.state != "acknowledged":
        return Taken(ours=False, over=True)
    own = call is not None and page.call(call).status == "taken"  # the same key once more
    return Taken(ours or own, page.acknowledged_by, page.acknowledged_at, covered=len(page.incidents))
