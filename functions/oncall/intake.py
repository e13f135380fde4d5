"""The ReceiveAlerts step: from a webhook to an incident, and to what has to be done about it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aws_lambda_powertools import Logger

from oncall import incidents, pages, probe, roster
from oncall.alerts.alertmanager import Alert, AlertGroup, read_webhook
from oncall.alerts.by_hand import read_page
from oncall.alerts.monitoring import PRODUCT, read_alarm
from oncall.clock import at
from oncall.errors import WebhookError
from oncall.incidents import Event
from oncall.roster import Language, Policy, Roster, schedules
from oncall.signals import Answer
from oncall.table import ConditionFailedError, Item, Table

logger = Logger(child=True)

# page: SlackAlert beside the PhoneCall loop. alert: SlackAlert. notify: SlackNotification. none: nothing is left to do.
Action = Literal["page", "alert", "notify", "none"]

FORGOTTEN_MS = (
    6 * 3_600_000
)  # a group that fires is repeated more often than this (Alertmanager: every 4 hours by default)
NO_CALL_SECONDS = 60  # time limit of a PhoneCall step that rings nobody


@dataclass(frozen=True, slots=True)
class Desk:
    """What the step works with."""

    table: Table
    release: Callable[[str | None, Answer], None]
    now: Callable[[], int]  # epoch milliseconds
    language: Language
    ring_seconds: int
    slack_channel: str
    public_url: str
    probe_number: str


def receive(desk: Desk, request: Mapping[str, Any], *, execution: str) -> dict[str, Any]:
    """Decides what an execution does. The same execution asked again decides the same.

    `request` is the execution's input: a webhook from the gateway, the alarm that watches the monitoring, somebody's
    page by hand, or what the reconciler found due.
    Raises WebhookError if it can never be read.
    """
    match request.get("source"):
        case "alertmanager":
            gateway = desk.public_url or f"https://{request['gateway']}"
            group = read_webhook(request.get("webhook"), received_at=request["received_at"], cut=request.get("cut"))
            if group.status == "resolved":
                return _resolve(desk, group)
            return _fire(desk, group, execution=execution, base=gateway)
        case "alarm":
            language = roster.read_table(desk.table).product(PRODUCT).language or desk.language
            group = read_alarm(request, language)
            if group.status == "resolved":
                return _resolve(desk, group)
            return _fire(desk, group, execution=execution, base=desk.public_url or f"https://{request['gateway']}")
        case "command":
            group = read_page(request)
            return _fire(desk, group, execution=execution, base=desk.public_url or f"https://{request['gateway']}")
        case "reconciler" if "policy" in request:
            return _resume(desk, str(request["policy"]), execution=execution)
        case "reconciler":
            return _revisit(desk, [str(incident) for incident in request["incidents"]], execution=execution)
        case source:
            raise WebhookError(f"the execution's input has no known source, but {source!r}")


def _resolve(desk: Desk, group: AlertGroup) -> dict[str, Any]:
    incident = incidents.resolve_group(desk.table, group, now=desk.now())
    if incident is None:
        logger.info("resolved before it was known to fire", group=group.id)
        return _decision("none", group.severity, [])
    if incident["state"] == "resolved":
        _leave(desk, incident)
    return _decision("notify", incident["severity"], [incident["id"]])


def _fire(desk: Desk, group: AlertGroup, *, execution: str, base: str) -> dict[str, Any]:
    known = roster.read_table(desk.table)
    if group.product == probe.PRODUCT and probe.is_ours(desk.table, group):
        known = probe.roster(desk.probe_number)
    product = known.product(group.product)
    policy = known.policy_for(group.product)
    attributes = {
        "policy": policy.id,
        "call": product.call,
        "language": product.language or "",
        "channel": product.slack_channel or desk.slack_channel,
        "base": base,
    }
    opened = incidents.open_incident(desk.table, group, execution=execution, now=desk.now(), attributes=attributes)
    incident = opened.incident
    if opened.is_new:
        if opened.is_known:  # this is a retry: somebody may have it
            incident = _settled(desk, incident)
        if incident["state"] != "triggered":  # or its resolution was faster
            return _decision("notify", incident["severity"], [incident["id"]])
        if incident["severity"] == "warning":
            return _decision("alert", "warning", [incident["id"]])
        return _page(desk, known, incident, execution=execution, is_known=opened.is_known)
    if opened.is_late:
        return _decision("notify", incident["severity"], [incident["id"]])
    return _update(desk, known, incident, group, execution=execution, base=base)


def _update(
    desk: Desk, known: Roster, incident: Item, group: AlertGroup, *, execution: str, base: str
) -> dict[str, Any]:
    """A group that fires again: a repeat changes nothing but a line in the timeline; what is new in it may ring."""
    policy = known.policy_for(group.product)
    incident = _settled(desk, incident)
    if group.received_at < incident["received_at"]:
        return _decision("notify", incident["severity"], [incident["id"]])
    if incident["state"] == "resolved":  # in between, by a word that is older than this one: it fires anew
        return _fire(desk, group, execution=execution, base=base)
    new = [alert for alert in group.firing if _is_new(alert, incident, group)]
    worse = group.severity == "critical" and incident["severity"] == "warning"
    again = (
        incident["state"] == "acknowledged"
        and group.severity == "critical"
        and (worse or (bool(new) and policy.ring_on_new_alerts))
    )
    minute = group.received_at // 60_000
    if worse:
        event = Event("worse", key=f"worse/{group.received_at}")
    elif new:
        # The same from a second Alertmanager, but not when they went away and fire anew.
        episodes = " ".join(sorted(f"{alert.fingerprint} {alert.starts_at}" for alert in new))
        digest = hashlib.sha256(episodes.encode()).hexdigest()[:32]
        event = Event("new_alerts", key=f"new/{digest}", detail={"count": len(new)})
    else:
        event = Event("repeated", key=f"repeated/{minute}", in_thread=False)
    may_ring = policy.repeat_page or worse or bool(new) or not incident.get("unanswered")
    rings = group.severity == "critical" and (incident["state"] == "triggered" or again) and may_ring
    changed = incidents.tell(
        desk.table,
        incident["id"],
        event,
        now=desk.now(),
        unless=("resolved",),
        state="triggered" if again else None,
        set_={**incidents.summary(group), "unanswered": False} if rings else incidents.summary(group),
    )
    if changed is None:
        return _fire(desk, group, execution=execution, base=base)
    if not needs_page(changed):
        return _decision("notify", group.severity, [incident["id"]])
    return _page(desk, known, changed, execution=execution)


def _is_new(alert: Alert, incident: Item, group: AlertGroup) -> bool:
    """Whether an incident has not had this alert.

    Or had it long ago: it began after the last word of its group, and there was none for hours, so a resolution was lost.
    """
    if alert.fingerprint not in incident["fingerprints"]:
        return True
    last = incident["received_at"]
    return bool(group.received_at - last > FORGOTTEN_MS and alert.started_at > last)


def _settled(desk: Desk, incident: Item) -> Item:
    """The incident after the end of its page has reached it."""
    page = pages.read(desk.table, incident["policy"])
    if page is None or page["state"] == "open" or incident["id"] not in page.get("incidents", set()):
        return incident
    if "settled_at" not in page:  # else it may have reached it after the incident was read
        pages.carry_end(desk.table, page, incident["id"], now=desk.now())
    return incidents.read(desk.table, incident["id"]) or incident


def _page(desk: Desk, known: Roster, incident: Item, *, execution: str, is_known: bool = True) -> dict[str, Any]:
    """Puts a critical incident on its policy's page, and hands on who is on call.

    One that is not `is_known` was opened just now: nobody can have taken it meanwhile.
    """
    if not incident["call"]:
        handed = {"call": False, "timeout_seconds": NO_CALL_SECONDS}
        return _decision("page", "critical", [incident["id"]], page=handed)
    policy = known.policies.get(incident["policy"]) or Policy(incident["policy"])
    now = desk.now()
    joined = pages.join(
        desk.table,
        policy,
        incidents.about(incident),
        execution=execution,
        now=now,
        ring=pages.ring_seconds(policy, desk.ring_seconds),
        base=incident["base"],
    )
    if joined.is_new and is_known:
        current = incidents.read(desk.table, incident["id"])
        if current and not needs_page(current):  # taken or resolved in the moment before it joined
            _leave(desk, current)
            if not joined.is_ours:
                return _decision("notify", "critical", [incident["id"]])
    if joined.is_ours:
        return _own(desk, known, policy, joined.page, [incident["id"]])
    if joined.is_new:
        lead = joined.page["about"]["incident"]
        event = Event("joined", key=f"joined/{joined.page['page']}", detail={"incident": lead}, in_thread=False)
        incidents.tell(desk.table, incident["id"], event, now=now, unless=("resolved",))
        return _decision("alert", "critical", [incident["id"]])
    return _decision("notify", "critical", [incident["id"]])


def _leave(desk: Desk, incident: Item) -> None:
    """Takes an incident that is over off its policy's page; the page ends when that was its last."""
    ended = pages.leave(desk.table, incident["policy"], incident["id"])
    if ended:
        desk.release(ended.get("token"), Answer("skip", "resolved", "call"))


def _own(desk: Desk, known: Roster, policy: Policy, page: Item, covered: Sequence[str]) -> dict[str, Any]:
    """What an execution that owns a page is handed: the page, and the responders in the order in which they are rung."""
    now = desk.now()
    on_call = schedules.responders_on_call(known, policy, at(now))
    if not on_call:
        logger.error("nobody is on call", policy=policy.id)
    if page["ring_at"] > now and "quiet_for" in page:
        somebody = known.responders.get(page["quiet_for"]["responder"])
        detail = {"slack_user": (somebody and somebody.slack_user) or "", "until": page["ring_at"]}
        event = Event("quiet", key=f"{page['page']}/quiet", who=page["quiet_for"]["name"], detail=detail)
        incidents.tell(desk.table, page["about"]["incident"], event, now=now, unless=("resolved", "acknowledged"))
    handed = {
        "call": True,
        "pk": page["pk"],
        "sk": page["sk"],
        "policy": page["policy"],
        "page": page["page"],
        "incident": page["about"]["incident"],
        "attempt": page["attempt"],
        "ring_seconds": page["ring_seconds"],
        "sms_before_call": page.get("sms_before_call", False),
        "decided_at": now,
        "timeout_seconds": page["ring_seconds"] + pages.LISTENING_SECONDS,
    }
    responders = [
        {
            "id": entry.responder.id,
            "name": entry.responder.name,
            "phone": entry.responder.phone,
            "language": entry.responder.language,
        }
        for entry in (
            on_call if on_call and not on_call[0].after_minutes else ()
        )  # else the step looks who is due when
    ]
    return _decision("page", "critical", covered, page=handed, responders=responders)


def _resume(desk: Desk, policy_id: str, *, execution: str) -> dict[str, Any]:
    """Takes over a page whose owner is gone."""
    page = pages.read(desk.table, policy_id)
    if page is None or "settled_at" in page:
        return _decision("none", "critical", [])
    if page["owner"] != execution:
        if page["state"] == "open" and page["lease_until"] > desk.now():
            return _decision("none", "critical", [])
        try:
            page = pages.take_over(desk.table, page, execution=execution, now=desk.now())
        except ConditionFailedError:
            return _decision("none", "critical", [])
    lead = page["about"]["incident"]
    if page["state"] == "open":  # otherwise only its end is carried on
        event = Event("resumed", key=f"{page['page']}/resumed/{execution[-36:]}")
        incidents.tell(desk.table, lead, event, now=desk.now())
    known = probe.roster_of(desk.table, policy_id, desk.probe_number)
    return _own(desk, known, known.policies.get(policy_id) or Policy(policy_id), page, [lead])


def _revisit(desk: Desk, due: list[str], *, execution: str) -> dict[str, Any]:
    """Looks again at incidents that are due: one that no page covers is paged, for others Slack is brought up to date."""
    if len(due) == 1:
        incident = incidents.read(desk.table, due[0])
        if incident and is_overdue(incident := _settled(desk, incident), desk.now()):
            incident = _remind(desk, incident) or incident
        if incident and needs_page(incident):
            return _page(
                desk, probe.roster_of(desk.table, incident["policy"], desk.probe_number), incident, execution=execution
            )
    return _decision("notify", "critical", due)


def _remind(desk: Desk, incident: Item) -> Item | None:
    """An acknowledged incident is not resolved for too long: Slack is reminded first, the phones ring the next time."""
    now = desk.now()
    if not incident["reminded"]:
        changes = {"reminded": True, "remind_at": now + incident["remind_after_minutes"] * 60_000}
        event = Event("reminded", key=f"reminded/{incident['remind_at']}", who=incident["acknowledged_by"])
        return incidents.tell(desk.table, incident["id"], event, now=now, unless=("resolved",), set_=changes)
    event = Event("overdue", key=f"overdue/{incident['remind_at']}", who=incident["acknowledged_by"])
    return incidents.tell(
        desk.table, incident["id"], event, now=now, unless=("resolved", "triggered"), state="triggered"
    )


def is_overdue(incident: Mapping[str, Any], now: int) -> bool:
    """Whether somebody has had an incident for longer than its policy likes."""
    return bool(incident["state"] == "acknowledged" and incident.get("remind_at", now + 1) <= now)


def needs_page(incident: Mapping[str, Any]) -> bool:
    """Whether phones have to ring for an incident, unless its page does already."""
    return (
        incident["state"] == "triggered"
        and incident["severity"] == "critical"
        and bool(incident["call"])
        and not incident.get("unanswered")
    )


def _decision(
    action: Action,
    severity: str,
    covered: Sequence[str],
    *,
    page: Mapping[str, Any] | None = None,
    responders: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    return {
        "action": action,
        "severity": severity,
        "incidents": list(covered),
        "page": dict(page or {}),
        "responders": [dict(responder) for responder in responders],
    }
