"""What both stacks may have: the partition SHARED lists the incidents, and the state that the other one knows of each.

An item goes some days after its incident is resolved in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from oncall import incidents
from oncall.incidents import Incident, State
from oncall.services import Services
from oncall.table import DUE, Item, Table, Update

PARTITION = "SHARED"
KEPT_MS = 7 * 86_400_000
AT_ONCE = 25  # DynamoDB: a TransactGetItems reads 100 items, and 4 MB at most

# What an item has for the stack that it is in alone.
_OWN = frozenset(
    {
        *("pk", "sk", "version", "opened_by", "base", "peer_until", "slack_own", DUE, "due_at", "expires_at"),
        *("slack_version", "slack_thread", "slack_shown", "slack_look", "slack_lease", "slack_owner", "slack_posting"),
        *(
            "last_in_thread",
            "slack_began",
            "slack_turn",
            "slack_queue",
            "slack_host",
            "slack_below",
            "slack_wrong",
            "slack_behind_since",
            "remind_at",
            "reminded",
            "remind_after_minutes",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Written:
    """An incident of the other stack: what is read of it, and the attributes that its item has there."""

    incident: Incident
    attributes: Mapping[str, Any]


def share(table: Table, incident: Incident, *, told: State | None = None) -> None:
    """Notes that both stacks may have an incident, and the state of it that the other one knows."""
    changes: dict[str, object] = {"told": told or ""}
    if told == "resolved":
        changes["expires_at"] = (incident.resolved_at + KEPT_MS) // 1000
    table.update(Update(PARTITION, incident.id, set=changes))


def told(table: Table) -> dict[str, str]:
    """The state that the other stack knows of each incident that both may have, by id; empty if it knows none."""
    return {str(item["sk"]): str(item["told"]) for item in table.query(PARTITION)}


def items(table: Table) -> list[Item]:
    """The incidents that both may have, as they are written: those that the other one does not know to be resolved."""
    known = [(incidents.partition(incident), "STATE") for incident, state in told(table).items() if state != "resolved"]
    found: list[Item | None] = []
    for some in batched(known, AT_ONCE, strict=False):
        found += table.get_each(some)
    return [item for item in found if item is not None]


def write(item: Mapping[str, Any]) -> dict[str, Any]:
    """An incident, from its item, as the other stack is told of it."""
    return {name: value for name, value in item.items() if name not in _OWN}


def read(given: Mapping[str, Any]) -> Written:
    """What `write` has written in the other stack. Raises KeyError if something is missing."""
    attributes = write(given)  # it says nothing of what is ours
    return Written(
        Incident.from_item({**attributes, "base": "", "opened_by": "", "version": 0, "slack_version": 0}), attributes
    )


def tell(services: Services, changed: Sequence[str]) -> None:
    """Tells the other stack at once what became of incidents that both may have; else the reconciler does.

    Raises NoAnswerError.
    """
    peer = services.peer()
    if peer is None:
        return
    given: list[Item] = []
    for incident in changed:
        known = services.table.get(PARTITION, incident)
        item = services.table.get(incidents.partition(incident), "STATE") if known else None
        if known and item and item["state"] not in ("triggered", known["told"]):
            given.append(item)
    if given:
        peer.ask("exchange", {"incidents": [write(item) for item in given]})
        for item in given:
            share(services.table, Incident.from_item(item), told=item["state"])
