"""What becomes of heartbeats by name: a missed one opens an incident, one that is heard of again resolves it.

The reconciler looks at all of them every minute; a beat resolves by itself, and at once. `gateway` is this stack's host and
stage.
"""

import hashlib
from typing import Any

from aws_lambda_powertools import Logger

from oncall import roster
from oncall.alerts.event import Said, to_input
from oncall.alerts.heartbeats import ATTRIBUTES, MISSED, PARTITION, SOURCE, State, Word, group_about, state_of
from oncall.roster.heartbeats import DEFAULT_GRACE, Heartbeat
from oncall.services import Services
from oncall.table import Update

logger = Logger(child=True)

# An incident of one that is still missed is told of so often, so that an unanswered page starts anew.
REPEAT_MS = 1_800_000


def hear(services: Services, gateway: str, name: str, word: Word) -> None:
    """Writes down what a heartbeat says. A failure rings at once, a beat resolves at once.

    Raises botocore's errors; what was written the reconciler follows within a minute.
    """
    now = services.now()
    item = services.table.update(Update(PARTITION, name, set={ATTRIBUTES[word]: now}))
    if word == "beat" and "told_at" in item:
        _tell(services, gateway, _missing(name), "resolved", "ok")
    elif word == "fail" and "told_at" not in item:
        known = roster.read_table(services.table).heartbeats.get(name)
        if known and known.enabled:
            _tell(services, gateway, known, "firing", "failed")


def watch(services: Services, gateway: str, *, heard_only: bool = False) -> None:
    """Follows what each heartbeat has become: those that are missed fire, again every half hour; the others resolve.

    `heard_only` leaves out those that never came here: a standby's may beat at its primary alone.
    """
    now = services.now()
    wanted = roster.read_table(services.table).heartbeats
    items = {str(item["sk"]): item for item in services.table.query(PARTITION, consistent=False)}
    for name, heartbeat in wanted.items():
        item = items.get(name, {})
        if heard_only and "beat_at" not in item:
            continue
        if "since" not in item and heartbeat.enabled:
            item = services.table.update(Update(PARTITION, name, set={"since": now}))
        state, told = state_of(heartbeat, item, now), int(item.get("told_at", 0))
        if state in MISSED and now - told >= REPEAT_MS:
            _tell(services, gateway, heartbeat, "firing", state)
        elif state not in MISSED and told:
            _tell(services, gateway, heartbeat, "resolved", state)
    for name in items.keys() - wanted.keys():
        if "told_at" in items[name]:
            _tell(services, gateway, _missing(name), "resolved", "off")


def _missing(name: str) -> Heartbeat:
    """A heartbeat of which only the name counts: it resolves."""
    return Heartbeat(name, DEFAULT_GRACE)


def _tell(services: Services, gateway: str, heartbeat: Heartbeat, status: Said, state: State) -> None:
    """Starts an execution, and then notes that it was told. A second one in the same minute is the same."""
    now = services.now()
    group = group_about(heartbeat, status, state, now)
    digest = hashlib.sha256(f"{heartbeat.id} {status} {state}".encode()).hexdigest()[:24]
    given = {
        "source": SOURCE,
        "about": group.alerts[0].annotations["summary"],
        "by": "",
        "said": status,
        "group": to_input(group),
        "gateway": gateway,
    }
    services.start(f"heartbeat-{digest}-{now // 60_000}", given)
    logger.warning("a heartbeat is told of", heartbeat=heartbeat.id, state=state)
    change: dict[str, Any] = {"set": {"told_at": now}} if status == "firing" else {"remove": ["told_at"]}
    services.table.update(Update(PARTITION, heartbeat.id, **change))
