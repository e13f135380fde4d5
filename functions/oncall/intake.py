"""The ReceiveAlerts step: from a webhook to an incident, and to what has to be done about it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from oncall import incidents, pages, providers, roster, shadow
from oncall.alerts.alertmanager import read_webhook
from oncall.alerts.by_hand import read_page
from oncall.alerts.cloudwatch import read_event
from oncall.alerts.event import from_input
from oncall.alerts.group import AlertGroup, Severity, by_product, unseen_share
from oncall.alerts.monitoring import PRODUCT, read_alarm
from oncall.clock import at
from oncall.errors import WebhookError
from oncall.incidents import Change, Event, Incident, Route
from oncall.incidents.known import Heard, hear
from oncall.pages import Handed, Page
from oncall.peer import takeover
from oncall.peer.takeover import Verdict
from oncall.probe import rules as probe
from oncall.probe.record import is_ours
from oncall.roster import Responder, Roster, is_shadow, schedules
from oncall.roster.schedules import OnCall
from oncall.roster.sources import CLOUDWATCH, Source
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import ConditionFailedError

logger = Logger(child=True)

# The loudest first.
# page: SlackAlert beside the PhoneCall loop. alert: SlackAlert. notify: SlackNotification. none: nothing is left to do.
# follow: a standby waits, and looks again.
Action = Literal["page", "alert", "notify", "none", "follow"]

NO_CALL_SECONDS = 60  # time limit of a PhoneCall step that rings nobody


@dataclass(frozen=True, slots=True)
class Decision:
    """What an execution does about some incidents.

    `page` is the page that it owns, when phones have to ring; `responders` are those on call, in the order in which they
    are rung, if the first one can be rung at once. A standby that follows looks again after `wait_seconds`, with `request` as
    its input; one of many of a page looks after so long whether Slack has it.
    """

    action: Action
    severity: Severity
    incidents: tuple[str, ...] = ()  # ids
    page: Handed | None = None
    responders: tuple[Responder, ...] = ()
    wait_seconds: int = 0
    request: Mapping[str, Any] | None = None  # an execution's input: each source has a form of its own

    def to_state(self) -> dict[str, object]:
        """As the state machine hands it on. Of responders no numbers: who may read executions has no business with them."""
        needs_no_call: dict[str, object] = {"call": False, "timeout_seconds": NO_CALL_SECONDS}
        page = self.page.to_state() if self.page else needs_no_call if self.action == "page" else {}
        responders = [{"id": one.id, "name": one.name, "language": one.language} for one in self.responders]
        follow: dict[str, object] = {"wait_seconds": self.wait_seconds} if self.wait_seconds else {}
        if self.action == "follow":
            follow = {"wait_seconds": self.wait_seconds, "request": self.request}
        return {
            "action": self.action,
            "severity": self.severity,
            "incidents": list(self.incidents),
            "page": page,
            "responders": responders,
            "follow": follow,
        }


def receive(services: Services, request: Mapping[str, Any], *, execution: str) -> Decision:
    """Decides what an execution does. The same execution asked again decides the same.

    `request` is the execution's input: a webhook from the gateway, the alarm that watches the monitoring, another alarm of
    CloudWatch's, a group of another source or of a heartbeat, somebody's page by hand, or what the reconciler or another
    execution found due.
    Raises WebhookError if it can never be read.
    """
    if request.get("source") == "reconciler":
        return _go_on(services, request, execution=execution)
    group = _read(services, request)
    if group is None:
        return Decision("none", "critical")
    if request.get("said") == "acknowledged":
        return _acknowledge(services, group, by=str(request.get("by") or request["source"]))
    if group.is_over and (ended := _resolve(services, group)).incidents:
        return ended
    verdict = takeover.judge(services, group, request)
    if verdict.wait_seconds:
        given = {**request, "followed": verdict.followed}
        return Decision("follow", group.severity, wait_seconds=verdict.wait_seconds, request=given)
    if group.is_over or verdict.leaves:
        return Decision("none", group.severity)
    base = services.settings.public_url or f"https://{request['gateway']}"
    return _fire(services, group, verdict, execution=execution, base=base)


def _read(services: Services, request: Mapping[str, Any]) -> AlertGroup | None:
    """The alert group that an execution's input tells of; None if it says nothing. Raises WebhookError."""
    if "group" in request:
        return from_input(request["group"])
    match request.get("source"):
        case "alertmanager":
            return read_webhook(request.get("webhook"), received_at=request["received_at"], cut=request.get("cut"))
        case "alarm":
            return read_alarm(
                request, roster.read_table(services.table).product(PRODUCT).language or services.settings.language
            )
        case "cloudwatch":
            known = roster.read_table(services.table).sources.get(CLOUDWATCH)
            return read_event(request, known or Source(CLOUDWATCH))
        case "command":
            return read_page(request)
        case source:
            raise WebhookError(f"the execution's input has no known source, but {source!r}")


def _resolve(services: Services, group: AlertGroup) -> Decision:
    """Nothing of a group fires any more."""
    found = incidents.resolve_group(services.table, group, now=services.now())
    if not found:
        logger.info("resolved before it was known to fire", group=group.id)
        return Decision("none", group.severity)
    _leave_resolved(services, found)
    return Decision("notify", found[0].severity, tuple(incident.id for incident in found))


def _acknowledge(services: Services, group: AlertGroup, *, by: str) -> Decision:
    """Somebody has taken it at its source: its phones stop, those of the others on its page ring on."""
    now = services.now()
    known = incidents.pointers(services.table, group)
    event = Event(
        "acknowledged", key=f"acknowledged/{by}/{group.received_at}", who=by, detail={"via": "source", "covered": 1}
    )
    changes = {"acknowledged_by": by, "acknowledged_at": now, "taken_together": 1, "unanswered": False}

    def word(current: Incident) -> Change | None:
        is_overtaken = group.received_at < current.received_at  # it fires anew since, and nobody has that
        if is_overtaken or current.state in ("resolved", "acknowledged"):
            return None
        return Change(event, state="acknowledged", set=changes)

    taken = []
    for incident in [one.incident for one in known if one.open]:
        changed = incidents.revise(services.table, incident, word, now=now)
        changed = changed or incidents.read(services.table, incident)  # this is a retry, or somebody was faster
        if changed and changed.state == "acknowledged":
            _leave(services, changed)
            taken.append(changed)
    if not taken:
        return Decision("none", group.severity)
    return Decision("notify", taken[0].severity, tuple(incident.id for incident in taken))


def _fire(services: Services, group: AlertGroup, verdict: Verdict, *, execution: str, base: str) -> Decision:
    """Something of a group fires, or may: each product that its alerts name has an incident, and its people."""
    known = roster.read_table(services.table)
    takeover.recall(services, known, group, base=base)
    shares = tuple(one for one in by_product(group, known.severities) if one.product not in verdict.besides)
    rings = [share for share in shares if share.firing and share.severity == "critical"]
    unseen = unseen_share(group, known.severities)
    if unseen and not any(known.product(share.product).call for share in rings):
        shares += (unseen,)  # none of what was shown rings, and perhaps something of what was cut off has to
    outcomes = [_hear(services, known, share, verdict, execution=execution, base=base) for share in shares]
    heard = [outcome for outcome in outcomes if outcome]
    if not group.left_out and not (len(shares) == 1 and heard and heard[0].is_new):  # no request more before it rings
        besides = {share.product for share in shares}
        over = incidents.resolve_forgotten(services.table, group, besides=besides, now=services.now())
        _leave_resolved(services, over)
        heard += [Outcome("notify", incident) for incident in over]
    return _together(services, known, heard, group.severity, execution=execution)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has to be done about one incident. `is_known`: others may have it already."""

    action: Action
    incident: Incident
    is_new: bool = False
    is_known: bool = True


def _together(
    services: Services, known: Roster, heard: Sequence[Outcome], severity: Severity, *, execution: str
) -> Decision:
    """One decision for all incidents of a group, or of a page. An execution owns one page: those of other policies have
    executions of their own, and so do they have after a minute if they cannot be started.
    """
    owned: Decision | None = None
    others: list[Decision] = []
    for outcome in heard:
        incident = outcome.incident
        if outcome.action != "page":
            others.append(Decision(outcome.action, incident.severity, (incident.id,)))
            continue
        if owned and owned.page and incident.call and owned.page.policy != incident.policy:
            _start(services, incident, execution=execution)
            others.append(Decision("alert", "critical", (incident.id,)))
            continue
        people = probe.roster(services.settings.probe_number) if incident.is_probe else known
        paged = _page(services, people, incident, execution=execution, is_known=outcome.is_known)
        if paged.page and not owned:  # a retry owns the page of each
            owned = paged
        else:
            others.append(paged)
    decisions = [owned, *others] if owned else others
    loudest = min(decisions, key=lambda one: get_args(Action).index(one.action), default=None)
    if loudest is None:
        return Decision("none", severity)
    covered = dict.fromkeys(incident for one in decisions for incident in one.incidents)
    return replace(loudest, incidents=tuple(covered), wait_seconds=min(one.wait_seconds for one in decisions))


def _start(services: Services, incident: Incident, *, execution: str) -> None:
    """Has another execution page an incident, now and not when the reconciler comes by."""
    digest = hashlib.sha256(f"{execution} {incident.id}".encode()).hexdigest()[:32]
    try:
        services.start(f"policy-{digest}", {"source": "reconciler", "incidents": [incident.id]})
    except (ClientError, BotoCoreError) as error:
        logger.warning("the reconciler pages it", incident=incident.id, error=type(error).__name__)


def _hear(
    services: Services, known: Roster, group: AlertGroup, verdict: Verdict, *, execution: str, base: str
) -> Outcome | None:
    """What a group says of one product. None if that is nothing."""
    if not group.firing:
        return _fall_silent(services, group)
    if group.product == probe.PRODUCT and is_ours(services.table, group):
        known = probe.roster(services.settings.probe_number)
    product = known.product(group.product)
    policy = known.policy_for(group.product)
    policy_id = shadow.policy_id(services.settings, product, policy)
    route = Route(
        policy=policy_id,
        call=product.call,
        channel=shadow.channel(services.settings, product, policy_id),
        base=base,
        language=product.language,
    )
    theirs = verdict.adopted.get(group.product)
    opened = incidents.open_incident(
        services.table, group, execution=execution, now=services.now(), route=route, theirs=theirs
    )
    incident = opened.incident
    if opened.is_new:
        if verdict.takes_over:
            incident = takeover.take(services, incident, execution=execution)
        if opened.is_known:  # this is a retry: somebody may have it
            incident = _settled(services, incident)
        if incident.state != "triggered":  # or its resolution was faster
            return Outcome("notify", incident)
        if incident.severity == "warning":
            return Outcome("alert", incident, is_new=True)
        return Outcome("page", incident, is_new=True, is_known=opened.is_known)
    if opened.is_late:
        return Outcome("notify", incident)
    return _update(services, known, incident, group, verdict, execution=execution, base=base)


def _fall_silent(services: Services, group: AlertGroup) -> Outcome | None:
    """What is shown of a product is resolved. It is over if nothing was cut off, and all that was known is resolved."""
    pointer = incidents.pointer(services.table, group)
    incident = incidents.read(services.table, pointer.incident) if pointer and pointer.open else None
    if not group.left_out and not (incident and hear(incident, group).known):
        resolved = incidents.resolve_share(services.table, group, now=services.now())
        if resolved is None:
            return None
        _leave_resolved(services, [resolved])
        return Outcome("notify", resolved)
    if incident is None:
        return None

    def word(current: Incident) -> Change | None:
        if current.state == "resolved" or group.received_at < current.received_at:
            return None
        heard = hear(current, group)
        over = {alert.fingerprint for alert in group.alerts}
        shown = [
            asdict(replace(alert, status="resolved") if alert.fingerprint in over else alert)
            for alert in current.alerts
        ]
        firing = sum(not since for since in heard.known.values())
        event = _repeated(current, heard, group)
        if not heard.known and current.known:
            event = Event("unsure", key=f"unsure/{group.received_at}", detail={"count": group.left_out})
        changes = {"alerts": shown, "firing": firing, "received_at": group.received_at, **heard.changes}
        return Change(event, set=changes)

    changed = incidents.revise(services.table, incident.id, word, now=services.now())
    return Outcome("notify", changed or incident)


def _update(
    services: Services,
    known: Roster,
    incident: Incident,
    group: AlertGroup,
    verdict: Verdict,
    *,
    execution: str,
    base: str,
) -> Outcome | None:
    """What fires again: a repeat changes nothing but a line in the timeline; what is new in it may ring."""
    product, policy = known.product(group.product), known.policy_for(group.product)
    incident = shadow.go_live(services, known, _settled(services, incident))

    def word(current: Incident) -> Change | None:
        if current.state == "resolved" or group.received_at < current.received_at:
            return None
        heard = hear(current, group)
        new, changes = len(heard.new), {**incidents.summary(group), **heard.changes}
        if heard.at_least and current.severity == "critical":  # what is critical may be what is not shown
            changes |= {"severity": "critical", "severity_note": current.severity_note}
        critical = changes["severity"] == "critical"
        worse = critical and current.severity == "warning"
        # An incident of which all was resolved that was shown waits for its end: what is new in it is another outage.
        may_ring_anew = worse or (new and (policy.ring_on_new_alerts or not current.known))
        again = bool(current.state == "acknowledged" and critical and may_ring_anew)
        for_phones_now = product.call and not current.call  # the roster has changed its mind
        if for_phones_now:
            changes |= {"call": True, "policy": shadow.policy_id(services.settings, product, policy)}
        may_ring = policy.repeat_page or worse or new or for_phones_now or not current.unanswered
        if critical and (current.state == "triggered" or again) and may_ring:
            changes["unanswered"] = False
        if worse:
            event = Event("worse", key=f"worse/{group.received_at}")
        elif new:
            # For a second Alertmanager's word the same alerts are known.
            event = Event("new_alerts", key=f"new/{_said(heard, group)}", detail={"count": new})
        else:
            event = _repeated(current, heard, group)
        return Change(event, state="triggered" if again else None, set=changes)

    changed = incidents.revise(services.table, incident.id, word, now=services.now())
    if changed is None:
        incident = incidents.read(services.table, incident.id) or incident
        if incident.state != "resolved":
            return Outcome("notify", incident)  # another word was newer
        # Resolved in between, by a word that is older than this one: it fires anew.
        return _hear(services, known, group, verdict, execution=execution, base=base)
    return Outcome("page" if needs_page(changed) else "notify", changed)


def _repeated(incident: Incident, heard: Heard, group: AlertGroup) -> Event:
    """The line of a word in which nothing is new: once a minute if it says the same as the last one."""
    is_same = heard.known == incident.known
    key = f"repeated/{group.received_at // 60_000 if is_same else _said(heard, group)}"
    return Event("repeated", key=key, in_thread=False)


def _said(heard: Heard, group: AlertGroup) -> str:
    """A word of a group, told apart from all others: two can come in one millisecond."""
    said = " ".join(f"{fingerprint} {since}" for fingerprint, since in sorted(heard.known.items()))
    return f"{group.received_at}/{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _settled(services: Services, incident: Incident) -> Incident:
    """The incident after the end of its page has reached it."""
    page = pages.read(services.table, incident.policy)
    if page is None or page.is_open or not page.covers(incident.id):
        return incident
    if not page.is_settled:  # else it may have reached it after the incident was read
        pages.carry_end(services.table, page, incident.id, now=services.now())
    return incidents.read(services.table, incident.id) or incident


def _page(services: Services, known: Roster, incident: Incident, *, execution: str, is_known: bool = True) -> Decision:
    """Puts a critical incident on its policy's page, and hands on who is on call.

    One that is not `is_known` was opened just now: nobody can have taken it meanwhile.
    """
    if not incident.call:
        return Decision("page", "critical", (incident.id,))
    policy = known.policy(incident.policy)
    ring = pages.ring_seconds(policy, services.settings.ring_seconds)
    if is_shadow(policy.id):
        ring = services.settings.shadow_ring_seconds or ring
    now = services.now()
    on_call = schedules.responders_on_call(known, policy, at(now))
    headline, channel = incidents.headline_of(incident), incident.channel
    joined = None
    if not is_known:
        joined = pages.join_seen(services.table, policy, headline, execution=execution, now=now, channel=channel)
    joined = joined or pages.join(
        services.table,
        policy,
        headline,
        on_call[0].responder if on_call else None,
        execution=execution,
        now=now,
        ring=ring,
        base=incident.base,
        channel=channel,
    )
    if joined.is_new and is_known:
        current = incidents.read(services.table, incident.id)
        if current and not needs_page(current):  # taken or resolved in the moment before it joined
            _leave(services, current)
            if not joined.is_ours:
                return Decision("notify", "critical", (incident.id,))
    if joined.is_ours:
        is_held = incident.peer_until > now
        return _own(services, known, on_call, joined.page, [incident.id], is_held=is_held)
    if joined.is_new:
        lead = joined.page.lead
        event = Event("joined", key=f"joined/{joined.page.id}", detail={"incident": lead}, in_thread=False)
        host = pages.host(services.table, joined.page, incident)
        incidents.tell(
            services.table,
            incident.id,
            event,
            now=now,
            unless=("resolved",),
            set_={"slack_host": host} if host else {},
            also=[incidents.registration(host, incident)] if host else (),
            known=None if is_known else incident,
        )
        wait_seconds = pages.crowd_seconds(joined.page, incident) if host else 0
        return Decision("alert", "critical", (incident.id,), wait_seconds=wait_seconds)
    return Decision("notify", "critical", (incident.id,))


def _leave_resolved(services: Services, found: Iterable[Incident]) -> None:
    """Takes those of some incidents that are over off their pages."""
    for incident in found:
        if incident.state == "resolved":
            _leave(services, incident)


def _leave(services: Services, incident: Incident) -> None:
    """Takes an incident that is over off its policy's page; the page ends when that was its last."""
    ended = pages.leave(services.table, incident.policy, incident.id)
    if ended:
        services.release(ended.token, Answer("skip", "resolved", "call"))


def _waits(services: Services, page: Page) -> int:
    """How many seconds the step waits for a word of a call: where there are two providers, that long without ringing at most."""
    seconds = pages.waits(page)
    if services.settings.telnyx_application and not page.is_shadow:
        return min(seconds, services.settings.no_ring_seconds)
    return seconds


def _own(
    services: Services,
    known: Roster,
    on_call: Sequence[OnCall],
    page: Page,
    covered: Sequence[str],
    *,
    is_held: bool = False,
) -> Decision:
    """What an execution that owns a page is handed: the page, and the responders in the order in which they are rung.

    None of them if the other stack may ring for it.
    """
    now = services.now()
    if not on_call:
        logger.error("nobody is on call", policy=page.policy)
    if page.ring_at > now and page.at_work:
        somebody = known.responders.get(page.at_work.responder)
        detail = {"slack_user": (somebody and somebody.slack_user) or "", "until": page.ring_at}
        event = Event("quiet", key=f"{page.id}/quiet", who=page.at_work.name, detail=detail)
        incidents.tell(services.table, page.lead, event, now=now, unless=("resolved", "acknowledged"))
    handed = Handed(
        id=page.id,
        policy=page.policy,
        incident=page.lead,
        attempt=page.attempt,
        ring_seconds=page.ring_seconds,
        sms_before_call=page.sms_before_call,
        decided_at=now,
        timeout_seconds=_waits(services, page),
        provider=providers.first(known.down),
    )
    # Else the step looks who is due when, on which number.
    at_once = on_call if on_call and _rings_at_once(page, on_call[0]) and not is_held else ()
    return Decision("page", "critical", tuple(covered), handed, tuple(entry.responder for entry in at_once))


def _rings_at_once(page: Page, first: OnCall) -> bool:
    """Whether a page's first call needs no look at the roster: nothing is waited for, and the number is the page's."""
    return not first.after_minutes and page.phones.get(first.responder.id) == first.responder.phone


def _go_on(services: Services, request: Mapping[str, Any], *, execution: str) -> Decision:
    """What was found due, or is to ring again."""
    if "policy" in request:
        return _resume(services, str(request["policy"]), execution=execution)
    due = [str(incident) for incident in request["incidents"]]
    if "again" in request:
        return _ring_again(services, due, request["again"], execution=execution)
    return _revisit(services, due, execution=execution)


def _resume(services: Services, policy_id: str, *, execution: str) -> Decision:
    """Takes over a page whose owner is gone."""
    page = pages.read(services.table, policy_id)
    if page is None or page.is_settled:
        return Decision("none", "critical")
    if page.owner != execution:
        if page.is_open and page.lease_until > services.now():
            return Decision("none", "critical")
        try:
            page = pages.take_over(services.table, page, execution=execution, now=services.now())
        except ConditionFailedError:
            return Decision("none", "critical")
    lead = page.lead
    if page.is_open:  # otherwise only its end is carried on
        event = Event("resumed", key=f"{page.id}/resumed/{execution[-36:]}")
        incidents.tell(services.table, lead, event, now=services.now())
    known = probe.roster_of(services.table, policy_id, services.settings.probe_number)
    on_call = schedules.responders_on_call(known, known.policy(policy_id), at(services.now()))
    return _own(services, known, on_call, page, [lead])


def _revisit(services: Services, due: list[str], *, execution: str) -> Decision:
    """Looks again at incidents that are due: one that no page covers is paged, for others Slack is brought up to date."""
    if len(due) == 1:
        incident = incidents.read(services.table, due[0])
        if incident and is_overdue(incident := _settled(services, incident), services.now()):
            incident = _remind(services, incident) or incident
        if incident and needs_page(incident):
            known = probe.roster_of(services.table, incident.policy, services.settings.probe_number)
            incident = shadow.go_live(services, known, incident)
            return _page(services, known, incident, execution=execution)
    return Decision("notify", "critical", tuple(due))


def _ring_again(services: Services, asked: list[str], by: Mapping[str, str], *, execution: str) -> Decision:
    """Somebody wants the phones rung again for incidents that nobody took."""
    known = roster.read_table(services.table)
    outcomes = []
    for number, name in enumerate(asked):
        event = Event(
            "ring_again",
            key=f"ring_again/{execution}",
            who=by["who"],
            detail={"via": by["via"]},
            in_thread=number == 0,  # it was the button of this one
        )

        def word(current: Incident, event: Event = event) -> Change | None:
            return Change(event, set={"unanswered": False}) if current.is_unanswered else None

        changed = incidents.revise(services.table, name, word, now=services.now())
        incident = changed or incidents.read(services.table, name)
        if incident and needs_page(incident):
            outcomes.append(Outcome("page", shadow.go_live(services, known, incident)))
    rung = _together(services, known, outcomes, "critical", execution=execution)
    return rung if outcomes else Decision("notify", "critical", tuple(asked[:1]))


def _remind(services: Services, incident: Incident) -> Incident | None:
    """An acknowledged incident is not resolved for too long: Slack is reminded first, the phones ring the next time."""
    now = services.now()
    if not incident.reminded:
        changes = {"reminded": True, "remind_at": now + incident.remind_after_minutes * 60_000}
        event = Event("reminded", key=f"reminded/{incident.remind_at}", who=incident.acknowledged_by)
        return incidents.tell(services.table, incident.id, event, now=now, unless=("resolved",), set_=changes)
    event = Event("overdue", key=f"overdue/{incident.remind_at}", who=incident.acknowledged_by)
    return incidents.tell(
        services.table, incident.id, event, now=now, unless=("resolved", "triggered"), state="triggered"
    )


def is_overdue(incident: Incident, now: int) -> bool:
    """Whether somebody has had an incident for longer than its policy likes."""
    return incident.state == "acknowledged" and 0 < incident.remind_at <= now


def needs_page(incident: Incident) -> bool:
    """Whether phones have to ring for an incident, unless its page does already."""
    return (
        incident.state == "triggered" and incident.severity == "critical" and incident.call and not incident.unanswered
    )
