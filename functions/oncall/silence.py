"""The silence of the monitoring, looked at every few minutes.

EventBridge tells of the heartbeat alarm's changes at once, but an event may be lost, may come before there is anybody to
ring, or start a page that nobody takes; and no Alertmanager repeats it. So the alarm itself is looked at, and what should
have been started is started.
"""

from dataclasses import dataclass
from typing import Literal

from aws_lambda_powertools import Logger

from oncall import incidents, pages, roster
from oncall.alerts.monitoring import PRODUCT, read_alarm
from oncall.clock import at
from oncall.incidents import Incident
from oncall.roster import schedules
from oncall.services import Services
from oncall.table import ConditionFailedError, Table, Update

logger = Logger(child=True)

SOON_MS = 60_000  # for so long a change is left to EventBridge
REPEAT_MS = 1_800_000  # an unanswered page starts anew so often, as by the bundled Alertmanager's repeat_interval
# A monitoring that was never heard counts as silent so long after there was somebody to ring: a first deployment has a day
# for its last step, and who is rung is rung at the hour at which the roster was applied.
NEVER_HEARD_MS = 86_400_000

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """The heartbeat alarm as CloudWatch has it. `changed_at` is when it came into its state, in epoch milliseconds."""

    name: str
    state: State
    changed_at: int


def watch(services: Services, alarm: Alarm) -> None:
    """Starts an execution if the alarm says something that its incident does not."""
    now = services.now()
    state = _wanted(services.table, alarm, now=now)
    if state is None:
        return
    logger.warning("the monitoring's alarm was not followed", alarm=alarm.name, state=state)
    services.start(
        f"monitoring-{state.lower()}-{now // 60_000}",
        {
            "source": "alarm",
            "about": alarm.name,
            "alarm": alarm.name,
            "state": state,
            "at": at(now).isoformat(),
            "since": at(alarm.changed_at).isoformat(),
            "gateway": services.settings.gateway_url.removeprefix("https://"),
        },
    )


def _wanted(table: Table, alarm: Alarm, *, now: int) -> Literal["OK", "ALARM"] | None:
    """What has to be started, if anything."""
    incident = _incident(table, alarm)
    is_left = now - alarm.changed_at >= SOON_MS
    if alarm.state == "OK":
        return "OK" if incident and incident.state != "resolved" and is_left else None
    if alarm.state == "INSUFFICIENT_DATA" and not _was_never_heard(table, now):
        return None
    if incident is None or incident.state == "resolved":
        # Of an earlier silence; or somebody resolved it by hand, and it goes on.
        ended = incident.resolved_at if incident else 0
        is_due = is_left if ended < alarm.changed_at else now - ended >= REPEAT_MS
    else:
        is_due = _is_unanswered(table, incident, now)
    return "ALARM" if is_due and _can_ring(table, now) else None


def _incident(table: Table, alarm: Alarm) -> Incident | None:
    group = read_alarm({"alarm": alarm.name, "state": "ALARM", "at": at(alarm.changed_at).isoformat()}, "en")
    known = incidents.pointer(table, group)
    return incidents.read(table, known.incident) if known and known.incident else None


def _is_unanswered(table: Table, incident: Incident, now: int) -> bool:
    """Whether nobody took its page, and it is time for another: at once if there was nobody whom it could have rung."""
    if not incident.is_unanswered:
        return False
    page = pages.read(table, incident.policy)
    rang_nobody = page and page.covers(incident.id) and not page.calls
    return bool(rang_nobody or now - incident.changed_at >= REPEAT_MS)


def _was_never_heard(table: Table, now: int) -> bool:
    """Whether there was somebody to ring for long enough, and no heartbeat."""
    if not _can_ring(table, now):
        return False
    first = Update("MONITORING", "NEVER_HEARD", set={"since": now}, condition="attribute_not_exists(pk)")
    try:
        since = table.update(first)["since"]
    except ConditionFailedError as refused:
        since = (refused.item or {}).get("since", now)
    return bool(now - since >= NEVER_HEARD_MS)


def _can_ring(table: Table, now: int) -> bool:
    """Whether the roster has somebody for it, or wants nobody called."""
    known = roster.read_table(table)
    on_call = schedules.responders_on_call(known, known.policy_for(PRODUCT), at(now))
    return bool(on_call) or (bool(known.responders) and not known.product(PRODUCT).call)
