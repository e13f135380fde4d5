"""Two stacks with one incident: what one has done becomes true in the other.

Resolved wins over acknowledged, that over triggered. An incident that the standby has taken over has the id and the Slack
message that it has at the primary, where the standby knew them.
While the standby says every minute that it has an incident (`peer_until`), the primary neither rings nor posts for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger

from oncall import incidents, pages
from oncall.incidents import Event, Incident
from oncall.peer import groups, rosters, shared
from oncall.peer.shared import Written
from oncall.services import Services
from oncall.signals import Answer
from oncall.table import DUE, ConditionFailedError, ConflictError, Item

logger = Logger(child=True)

HELD_MS = 150_000  # two of the standby's minutes, and some seconds


@dataclass(frozen=True, slots=True)
class Merged:
    """Our incident after the other stack's word: None if there is none. `is_changed`: Slack has to hear of it."""

    incident: Incident | None
    is_changed: bool = False


def merge(services: Services, theirs: Written, *, base: str | None = None) -> Merged:
    """Follows what the other stack says of an incident.

    `base` is the gateway's address for Twilio; without it, what did not come here is not ours.
    """
    said = theirs.incident
    pointer = incidents.pointer_of(services.table, said.group, said.product)
    ours = incidents.read(services.table, pointer.incident) if pointer and pointer.incident else None
    if ours is None or not (pointer and pointer.open):
        is_over = said.state == "resolved" or bool(pointer and pointer.resolved_received_at >= said.received_at)
        if said.state == "resolved":  # what it has heard of comes here too, perhaps late, and rings nobody
            heard_at = said.received_at + groups.LATE_MS
            incidents.note_end(services.table, said.group, said.product, received_at=heard_at)
        if is_over or services.settings.takeover_seconds or base is None:
            return Merged(ours if is_over else None)  # a standby has what it has heard itself
        return Merged(_adopt(services, theirs, base=base))
    if said.state == "resolved":
        if said.resolved_at < ours.received_at:
            return Merged(ours)  # it fires anew since
        return Merged(_resolve(services, ours), is_changed=True)
    if not services.settings.takeover_seconds:
        ours = _hold(services, ours, theirs)
    if said.state == "acknowledged" and ours.state == "triggered":
        return Merged(_acknowledge(services, ours, said), is_changed=True)
    shared.share(services.table, ours, told=said.state)
    return Merged(ours)


def _adopt(services: Services, theirs: Written, *, base: str) -> Incident | None:
    """The standby has it, and nothing of it came here: it is ours too, and the standby's to ring and to tell for now."""
    now = services.now()
    adopted = {
        **theirs.attributes,
        "base": base,
        "peer_until": now + HELD_MS,
        "slack_version": 1,
        "slack_thread": 1,
        "slack_shown": 1,
        DUE: DUE,
        "due_at": now + HELD_MS,
    }
    try:
        ours = incidents.adopt(services.table, adopted, now=now)
    except (ConditionFailedError, ConflictError):  # its own webhook was faster: the next minute tells it again
        return None
    shared.share(services.table, ours, told=ours.state)
    logger.info("an incident of the standby's is known here too", incident=ours.id, state=ours.state)
    return ours


def _hold(services: Services, ours: Incident, theirs: Written) -> Incident:
    """The standby rings and tells for it, until it says so no more."""
    changes: dict[str, object] = {"peer_until": services.now() + HELD_MS}
    message = {name: value for name, value in theirs.attributes.items() if name in _MESSAGE}
    if not ours.slack.ts and "slack_ts" in message:
        changes |= {**message, "slack_thread": ours.version, "slack_shown": ours.version}
    elif ours.slack.ts != theirs.incident.slack.ts:
        changes["slack_own"] = True  # two messages, each brought up to date by its own stack
    return incidents.note(services.table, ours.id, changes)


_MESSAGE = ("slack_channel", "slack_ts", "slack_link")


def _acknowledge(services: Services, ours: Incident, said: Incident) -> Incident:
    event = Event(
        "acknowledged",
        key=f"acknowledged/peer/{said.acknowledged_at}",
        who=said.acknowledged_by,
        detail={"via": "peer", "covered": 1},
    )
    taken = incidents.tell(
        services.table,
        ours.id,
        event,
        now=services.now(),
        state="acknowledged",
        unless=("resolved", "acknowledged"),
        set_={
            "acknowledged_by": said.acknowledged_by,
            "acknowledged_at": said.acknowledged_at,
            "taken_together": said.taken_together,
            "unanswered": False,
        },
    )
    shared.share(services.table, ours, told="acknowledged")
    _leave(services, ours)
    return taken or ours


def _resolve(services: Services, ours: Incident) -> Incident:
    resolved = incidents.resolve(services.table, ours.id, who="", via="peer", now=services.now()) or ours
    shared.share(services.table, resolved, told="resolved")
    _leave(services, ours)
    return resolved


def resolve_group(services: Services, asked: Mapping[str, Any]) -> None:
    """The other stack has heard that a group is over; this one may not have."""
    for product in asked["products"]:
        pointer = incidents.pointer_of(services.table, str(asked["group"]), str(product))
        ours = incidents.read(services.table, pointer.incident) if pointer and pointer.open else None
        if ours is not None and ours.state != "resolved" and ours.received_at <= asked["received_at"]:
            _resolve(services, ours)
            services.show_in_slack([ours.id])
        elif ours is None:
            incidents.note_end(services.table, str(asked["group"]), str(product), received_at=asked["received_at"])


def _leave(services: Services, incident: Incident) -> None:
    """Somebody has it, or it is over: its phones stop, those of the others on its page ring on."""
    ended = pages.leave(services.table, incident.policy, incident.id)
    if ended:
        services.release(ended.token, Answer("skip", "the other stack has it", "call"))


def exchange(
    services: Services, given: Sequence[Item], *, base: str | None = None, everything: bool = False
) -> Mapping[str, Any]:
    """Tells the other stack of incidents, and follows what it says of them (or of all that it shares).

    Returns its whole answer. Raises NoAnswerError.
    """
    peer = services.peer()
    if peer is None:
        return {}
    asked = {
        "incidents": [shared.write(item) for item in given],
        "everything": everything,
        "roster": rosters.write(services.table),
    }
    answered = peer.ask("exchange", asked, seconds=10.0)
    counts = rosters.follow(services, answered["roster"])
    if rosters.is_later(counts, answered["roster"]["applied_at"]):
        peer.ask("exchange", {"incidents": [], "roster": rosters.write(services.table, whole=True)}, seconds=10.0)
    told = shared.told(services.table)
    for item in given:
        incident = Incident.from_item(item)
        if told.get(incident.id) != incident.state:
            shared.share(services.table, incident, told=incident.state)
    for theirs in answered["incidents"]:
        _merge_and_show(services, theirs, base=base)
    return answered


def _merge_and_show(services: Services, theirs: Mapping[str, Any], *, base: str | None) -> Incident | None:
    merged = merge(services, shared.read(theirs), base=base)
    if merged.incident and merged.is_changed:
        services.show_in_slack([merged.incident.id])
    return merged.incident


def follow(services: Services, asked: Mapping[str, Any], *, base: str) -> dict[str, Any]:
    """The other stack's side of `exchange`: merges, and says what is true here then."""
    found = {merged.id for theirs in asked["incidents"] if (merged := _merge_and_show(services, theirs, base=base))}
    items = {item["id"]: item for item in (shared.items(services.table) if asked.get("everything") else ())}
    for incident in found - items.keys():
        if item := services.table.get(incidents.partition(incident), "STATE"):
            items[incident] = item
    answered: dict[str, Any] = {"incidents": [shared.write(item) for item in items.values()]}
    if "roster" in asked:
        counts = rosters.follow(services, asked["roster"])
        is_wanted = rosters.is_later(counts, asked["roster"]["applied_at"])
        answered["roster"] = rosters.write(services.table, whole=is_wanted)
    return answered


def of_group(services: Services, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The incidents of a group, of each product the latest."""
    known = incidents.pointers_of(services.table, str(asked["group"]))
    found = [services.table.get(incidents.partition(one.incident), "STATE") for one in known if one.incident]
    return {"incidents": [shared.write(item) for item in found if item is not None]}
