"""Incidents: one episode of one alert group each, with its timeline.

An incident is the partition INCIDENT#id: the item STATE, and the events EVENT#000001, EVENT#000002 ... of its timeline.
Each change writes the state (on the condition of the version that was read) and its event in one transaction, so the
timeline has no gap and no two orders. An alert group has an incident for each product that its alerts name: a pointer
in the partition GROUP#hash leads from the product to its open incident; opening is a conditional write on it, so that
there is one however many webhooks arrive.
The partitions INCIDENTS#2026-11 list the incidents of each month, and which of them are resolved; the list is written in
the same transaction.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import get_args

from botocore.exceptions import ClientError

from oncall import severities
from oncall.alerts.annotations import HEADLINE, headline, says_something
from oncall.alerts.group import KEPT_ALERTS, TEST_LABEL, Alert, AlertGroup
from oncall.clock import at
from oncall.incidents.known import hear
from oncall.incidents.model import (
    TRAITS,
    Change,
    Event,
    Headline,
    Incident,
    KeptAlert,
    Listed,
    Pointer,
    Route,
    State,
    Theirs,
    TimelineEvent,
    changed,
)
from oncall.roster import Language
from oncall.table import DUE, ConditionFailedError, ConflictError, Item, Put, Table, Update

KEPT_DAYS = 400  # how long a resolved incident and its timeline stay
GRACE_MS = 45_000  # after a change, so long may Slack take before the reconciler looks after it
PEER = "peer"  # opened an incident that came from the other stack
AT_ONCE = 25  # incidents changed in one transaction, which holds 100 writes and 4 MB of items
# What is seen of an incident where it is told below another one's message, without a line of its own.
_SEEN_BELOW = frozenset({"acknowledged", "resolved", "new_alerts", "reminded", "overdue"})
TRIES = 12  # at a write that others keep changing under our hands

_PORT = re.compile(r":[0-9]{2,5}$")  # each exporter of a host has another one


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of opening an incident for what fires: it is ours, or another one stands there.

    Or the webhook is late: the incident that it told of is over. One that a retry finds is ours, but others know it.
    """

    incident: Incident
    is_new: bool
    is_late: bool = False
    is_known: bool = True


def incident_id(execution: str, product: str, now: int) -> str:
    """A new incident's id: its time (UTC) and six digits of the execution that opens it, and of the product."""
    opener = f"{execution} {product}".strip()
    return f"{at(now):%Y%m%d-%H%M%S}-{hashlib.sha256(opener.encode()).hexdigest()[:6]}"


def partition(incident: str) -> str:
    """The partition of an incident."""
    return f"INCIDENT#{incident}"


def read(table: Table, incident: str) -> Incident | None:
    """The incident of an id, or None."""
    item = table.get(partition(incident), "STATE")
    return Incident.from_item(item) if item else None


def read_many(table: Table, ids: Sequence[str]) -> list[Incident]:
    """Of up to a hundred ids, the incidents that exist, in the order of the ids, each once."""
    found = table.get_each([(partition(one), "STATE") for one in dict.fromkeys(ids)])
    return [Incident.from_item(item) for item in found if item]


def opened_since(table: Table, since: int, *, now: int) -> list[str]:
    """The ids of the incidents that were opened since a time, the oldest first. Times are epoch milliseconds."""
    return [str(item["sk"]) for item in _listed(table, since, now=now)]


def open_since(table: Table, since: int, *, now: int) -> list[str]:
    """The same of those that are not resolved."""
    return [str(item["sk"]) for item in _listed(table, since, now=now) if not item.get("resolved")]


def listed_open(table: Table, since: int, *, now: int) -> list[Listed | Incident]:
    """The same with whom they concern; the incident itself if it is older than these notes in the list."""
    items = [item for item in _listed(table, since, now=now) if not item.get("resolved")]
    found = (
        Listed(item["sk"], item["policy"], item["product"], item["channel"])
        if "channel" in item
        else read(table, item["sk"])
        for item in items
    )
    return [one for one in found if one]


def _listed(table: Table, since: int, *, now: int) -> list[Item]:
    """The items of the months' lists."""
    first, last = at(max(since, now - 2 * KEPT_DAYS * 86_400_000)), at(now)
    found: list[Item] = []
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        partition_key = _month(first.replace(year=month // 12, month=month % 12 + 1, day=1))
        found += table.query(partition_key, after=f"{first:%Y%m%d-%H%M%S}")
    return found


def pointer(table: Table, group: AlertGroup) -> Pointer | None:
    """What the table knows of a product's share of a group."""
    return pointer_of(table, group.id, group.product)


def pointers(table: Table, group: AlertGroup) -> list[Pointer]:
    """The same of all products of a group."""
    return pointers_of(table, group.id)


def pointer_of(table: Table, group: str, product: str) -> Pointer | None:
    """The same of a product's share of a group, by the group's id."""
    item = table.get(*_pointer(group, product))
    return Pointer.from_item(item) if item else None


def pointers_of(table: Table, group: str) -> list[Pointer]:
    """The same of all products of a group, by its id."""
    return [Pointer.from_item(item) for item in table.query(f"GROUP#{group}")]


def _pointer(group: str, product: str) -> tuple[str, str]:
    """The key of a pointer. A product can be any text of any length."""
    return f"GROUP#{group}", f"PRODUCT#{hashlib.sha256(product.encode()).hexdigest()[:16]}"


def open_incident(
    table: Table, group: AlertGroup, *, execution: str, now: int, route: Route, theirs: Theirs | None = None
) -> Opened:
    """Opens an incident for a share of a group that fires, or finds the open one, or the one that this execution opened.

    One that was resolved after this webhook was received gets an incident that is resolved from the start: it ends
    in Slack and rings nobody. Unless that resolution ended an incident: then this is a late repeat, and finds that one.
    One round trip when it is new. `theirs` is what the other stack has of it, which this one goes on with.
    """
    ended = 0
    for attempt in range(TRIES):
        try:
            return _open(
                table, group, execution=execution, now=now, route=route, ended_received_at=ended, theirs=theirs
            )
        except ConditionFailedError as refused:
            known = Pointer.from_item(refused.item) if refused.item else Pointer(group.product)
            is_late = known.ended_received_at > group.received_at
            if known.open or known.opened_by == execution or is_late:
                incident = read(table, known.incident)
                if incident is not None:
                    return Opened(incident, is_new=incident.opened_by == execution, is_late=is_late)
            elif known.resolved_received_at > group.received_at:
                ended = known.resolved_received_at
                continue
        except ConflictError:
            pass
        table.pause(attempt)
    raise ConflictError


def _open(
    table: Table,
    group: AlertGroup,
    *,
    execution: str,
    now: int,
    route: Route,
    ended_received_at: int,
    theirs: Theirs | None,
) -> Opened:
    """Writes the pointer, the state and the first event. Raises ConditionFailedError with the pointer, ConflictError.

    `ended_received_at` is when the gateway took its resolution, if that was faster; else 0.
    """
    new = theirs.incident if theirs else incident_id(execution, group.product, now)
    state: State = "resolved" if ended_received_at else "triggered"
    item: Item = {
        "pk": partition(new),
        "sk": "STATE",
        "id": new,
        "state": state,
        "group": group.id,
        "opened_by": execution,
        "opened_at": now,
        "changed_at": now,
        "version": 1,
        "slack_version": 0,
        "last_in_thread": 0,
        DUE: DUE,
        "due_at": now + GRACE_MS,
        **summary(group),
        **hear(None, group).changes,
        **asdict(route),
        "language": route.language or "",
        **(theirs.message if theirs else {}),
    }
    pointer_set: dict[str, object] = {"incident": new, "opened_by": execution, "product": group.product}
    if state == "triggered":
        pointer_set["open"] = True
        condition = (
            "(attribute_not_exists(#open) OR #open = :no) AND (attribute_not_exists(#opened_by) OR #opened_by <> :me)"
            " AND (attribute_not_exists(#resolved_received_at) OR #resolved_received_at <= :received)"
        )
        values = {"no": False, "me": execution, "received": group.received_at}
    else:
        pointer_set["ended_received_at"] = ended_received_at
        item |= {"resolved_at": now, "expires_at": now // 1000 + KEPT_DAYS * 86400}
        condition = "#open = :no AND (attribute_not_exists(#ended_received_at) OR #ended_received_at < :ended)"
        values = {"no": False, "ended": ended_received_at}
    incident = Incident.from_item(item)
    opening = Event(state, key=f"{state}/{execution}", in_thread=False)
    table.transact(
        [
            Update(*_pointer(group.id, group.product), set=pointer_set, condition=condition, values=values),
            Put(item, condition="attribute_not_exists(pk)"),
            Put(_event_item(incident, opening, number=1, now=now)),
            Put(
                {
                    "pk": _month(at(now)),
                    "sk": new,
                    "resolved": state == "resolved",
                    "policy": incident.policy,
                    "product": incident.product,
                    "channel": incident.channel,
                    **expiry(incident),
                }
            ),
        ]
    )
    return Opened(incident, is_new=True, is_known=False)


def adopt(table: Table, adopted: Mapping[str, object], *, now: int) -> Incident:
    """Writes an open incident that the other stack has, under its id.

    Raises ConditionFailedError if another one is open, or this one was once; ConflictError.
    """
    item: Item = {**adopted, "sk": "STATE", "opened_by": PEER, "changed_at": now, "version": 1}
    item["pk"] = partition(item["id"])
    incident = Incident.from_item(item)
    opening = Event("adopted", key="adopted", in_thread=False)
    opened = {"incident": incident.id, "opened_by": PEER, "product": incident.product, "open": True}
    table.transact(
        [
            Update(
                *_pointer(incident.group, incident.product),
                set=opened,
                condition="attribute_not_exists(#open) OR #open = :no",
                values={"no": False},
            ),
            Put(item, condition="attribute_not_exists(pk)"),
            Put(_event_item(incident, opening, number=1, now=now)),
            Put({"pk": _month(at(incident.opened_at)), "sk": incident.id, "resolved": False, **expiry(incident)}),
        ]
    )
    return incident


def resolve_group(table: Table, group: AlertGroup, *, now: int) -> list[Incident]:
    """Resolves the open incidents of a group that is over, whichever products they are of, and returns them.

    Also those that it finds resolved. One that a newer firing has overtaken is left open.
    """
    products = {group.product_of(alert) for alert in group.alerts}
    for known in pointers(table, group):
        if known.open or known.resolved_received_at == group.received_at:  # perhaps by us, before a retry
            products.add(known.product)
    found = [resolve_share(table, replace(group, product=product), now=now) for product in sorted(products)]
    return [incident for incident in found if incident is not None]


def resolve_forgotten(table: Table, group: AlertGroup, *, besides: Collection[str], now: int) -> list[Incident]:
    """Resolves the incidents of which every alert was said to be resolved, but in a list that was cut: this one is whole.

    `besides` are the products that it names. Returns the incidents.
    """
    found: list[Incident] = []
    for known in pointers(table, group):
        is_ours = known.resolved_received_at == group.received_at  # perhaps by us, before a retry
        if known.product in besides or not known.incident or not (known.open or is_ours):
            continue
        incident = read(table, known.incident)
        if incident is not None and (is_ours or not incident.known):
            resolved = resolve_share(table, replace(group, product=known.product), now=now)
            found += [resolved] if resolved else []
    return found


def resolve_share(table: Table, group: AlertGroup, *, now: int) -> Incident | None:
    """Resolves the open incident of a product's share of a group, and returns it.

    None if there is none: then the resolution waits for its firing. Asked again it returns the same incident. A resolution
    that a newer firing has overtaken leaves it open.
    """
    for attempt in range(TRIES):
        known = pointer(table, group)
        if known is None or not known.incident:
            if note_end(table, group.id, group.product, received_at=group.received_at):
                return None
            continue  # its firing was faster
        incident = read(table, known.incident)
        if incident is None:
            return None
        if incident.state == "resolved":
            if not known.open:
                note_end(table, group.id, group.product, received_at=group.received_at)
            return incident
        if group.received_at < incident.received_at:
            return incident
        event = Event("resolved", key="resolved", detail={"by": "alertmanager"})
        try:
            return _resolve(table, incident, event, now=now, received_at=group.received_at)
        except (ConditionFailedError, ConflictError):
            table.pause(attempt)
    raise ConflictError


def note_end(table: Table, group: str, product: str, *, received_at: int) -> bool:
    """Notes that a product's share of a group was over at a moment, for words of it that are read later and were said earlier.

    False if an incident is open: then it is to be resolved. `received_at`: epoch milliseconds; the latest end counts.
    Raises ConflictError.
    """
    try:
        table.update(
            Update(
                *_pointer(group, product),
                set={"open": False, "resolved_received_at": received_at, "product": product},
                condition="(attribute_not_exists(#open) OR #open = :no) AND "
                "(attribute_not_exists(#resolved_received_at) OR #resolved_received_at < :received)",
                values={"no": False, "received": received_at},
            )
        )
    except ConditionFailedError as error:
        return not (error.item and error.item.get("open"))
    return True


def resolve(table: Table, incident_id: str, *, who: str, via: str, now: int) -> Incident | None:
    """Somebody resolves an incident, whatever its alerts do: those that fire on open another one at their next repeat.

    None if there is no such incident, or it is resolved already. Raises ConflictError after many tries.
    """
    for attempt in range(TRIES):
        incident = read(table, incident_id)
        if incident is None or incident.state == "resolved":
            return None
        event = Event("resolved", key="resolved", who=who, detail={"via": via})
        try:
            return _resolve(table, incident, event, now=now, received_at=max(now, incident.received_at))
        except (ConditionFailedError, ConflictError):
            table.pause(attempt)
    raise ConflictError


def _resolve(table: Table, incident: Incident, event: Event, *, now: int, received_at: int) -> Incident:
    """Resolves an incident and lets go of its group. Raises as `change` does."""
    release = Update(
        *_pointer(incident.group, incident.product),
        set={"open": False, "resolved_received_at": received_at, "ended_received_at": received_at},
        condition="#incident = :incident",
        values={"incident": incident.id},
    )
    listed = Update(_month(at(incident.opened_at)), incident.id, set={"resolved": True, **expiry(incident)})
    changes = {
        "resolved_at": now,
        "firing": 0,
        "at_least": False,
        "alerts": [asdict(replace(alert, status="resolved")) for alert in incident.alerts],
        "expires_at": now // 1000 + KEPT_DAYS * 86400,
    }
    return change(table, incident, event, now=now, state="resolved", set_=changes, also=[release, listed])


def change(
    table: Table,
    incident: Incident,
    event: Event,
    *,
    now: int,
    state: State | None = None,
    set_: Mapping[str, object] | None = None,
    also: Sequence[Update | Put] = (),
) -> Incident:
    """Changes an incident and tells it in its timeline, or neither. Returns the state after it.

    An event whose key the timeline has already changes nothing. Raises ConditionFailedError if `incident` is out of
    date, ConflictError.
    """
    changes, writes = _change(incident, event, now=now, state=state, set_=set_)
    try:
        table.transact([*writes, *also])
    except ConditionFailedError as refused:
        if refused.index == 0:
            return read(table, incident.id) or incident
        raise
    return changed(incident, changes)


def tell_many(table: Table, changes: Mapping[str, Change], *, now: int, unless: tuple[State, ...] = ()) -> None:
    """Changes many incidents, by their ids, as `tell` does each: in a request for every AT_ONCE, unless others are at them.

    Raises ConflictError after many tries.
    """
    ids = list(changes)
    for some in (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE)):
        if len(some) == 1 or not _tell_together(table, {one: changes[one] for one in some}, now=now, unless=unless):
            for one in some:
                told = changes[one]
                tell(table, one, told.event, now=now, state=told.state, unless=unless, set_=told.set)


def _tell_together(table: Table, changes: Mapping[str, Change], *, now: int, unless: tuple[State, ...]) -> bool:
    """Whether some incidents could be changed in one transaction. If not, none is."""
    for attempt in range(3):
        try:
            items = table.get_many([(partition(incident), "STATE") for incident in changes])
            found = [Incident.from_item(item) for item in items if item]
            writes: list[Update | Put] = []
            for incident in found:
                if incident.state not in unless:
                    told = changes[incident.id]
                    writes += _change(incident, told.event, now=now, state=told.state, set_=told.set)[1]
            if writes:
                table.transact(writes)
        except (ConditionFailedError, ConflictError):  # somebody changes one of them, or one has the event already
            table.pause(attempt)
        except ClientError:
            return False  # together they are too large; what else it may be, each of them says
        else:
            return True
    return False


def _change(
    incident: Incident, event: Event, *, now: int, state: State | None, set_: Mapping[str, object] | None
) -> tuple[dict[str, object], list[Update | Put]]:
    """What becomes of an incident with an event, and the writes of it; the first is refused if it has the event already."""
    number, pk = incident.version + 1, partition(incident.id)
    if incident.is_below and event.kind in _SEEN_BELOW:
        event = replace(event, in_thread=False)
    elif event.kind == "acknowledged" and incident.unanswered:
        event = replace(event, in_thread=True)  # the thread may say that nobody took it
    changes: dict[str, object] = {
        "version": number,
        "changed_at": now,
        DUE: DUE,
        "due_at": now + GRACE_MS,
        **(set_ or {}),
    }
    if event.in_thread:
        changes["last_in_thread"] = number
    if state:
        changes["state"] = state
    writes: list[Update | Put] = [
        Put(
            {"pk": pk, "sk": f"ONCE#{event.key}", "version": number, **expiry(incident)},
            condition="attribute_not_exists(pk)",
        ),
        Update(
            pk,
            "STATE",
            set=changes,
            condition="#version = :version",
            values={"version": incident.version},
        ),
        Put(_event_item(incident, event, number=number, now=now)),
    ]
    return changes, writes


def tell(
    table: Table,
    incident: str,
    event: Event,
    *,
    now: int,
    state: State | None = None,
    unless: tuple[State, ...] = (),
    set_: Mapping[str, object] | None = None,
    also: Sequence[Put] = (),
    known: Incident | None = None,
) -> Incident | None:
    """Tells an event of an incident, and what it changes. None if the incident is in a state of `unless`.

    Raises ConflictError after many tries. With the incident as it is `known` it is read only if that was out of date.
    """
    told = Change(event, state, set_ or {}, also)
    return revise(table, incident, lambda current: None if current.state in unless else told, now=now, known=known)


def revise(
    table: Table,
    incident: str,
    decide: Callable[[Incident], Change | None],
    *,
    now: int,
    known: Incident | None = None,
) -> Incident | None:
    """Reads an incident and changes it as `decide` says, again and again until nobody is in between.

    None if it says nothing. Raises ConflictError after many tries.
    """
    for attempt in range(TRIES):
        current = known if known and not attempt else read(table, incident)
        decided = decide(current) if current is not None else None
        if current is None or decided is None:
            return None
        try:
            return change(
                table, current, decided.event, now=now, state=decided.state, set_=decided.set, also=decided.also
            )
        except (ConditionFailedError, ConflictError):
            table.pause(attempt)
    raise ConflictError


def note(
    table: Table,
    incident: str,
    set_: Mapping[str, object] | None = None,
    *,
    default: Mapping[str, object] | None = None,
    remove: Sequence[str] = (),
    condition: str = "",
    values: Mapping[str, object] | None = None,
) -> Incident:
    """Writes what is no part of the story: how far Slack is. Returns the incident then. Raises ConditionFailedError.

    `default` is set where there is nothing yet.
    """
    update = noting(incident, set_, default=default, remove=remove, condition=condition, values=values)
    return Incident.from_item(table.update(update))


def noting(
    incident: str,
    set_: Mapping[str, object] | None = None,
    *,
    default: Mapping[str, object] | None = None,
    remove: Sequence[str] = (),
    condition: str = "attribute_exists(pk)",
    values: Mapping[str, object] | None = None,
) -> Update:
    """The same as a write to come."""
    return Update(
        partition(incident),
        "STATE",
        set=set_ or {},
        default=default or {},
        remove=remove,
        condition=condition,
        values=values or {},
    )


def when_told(incident: Incident, now: int) -> tuple[dict[str, object], tuple[str, ...]]:
    """What is written of an incident that Slack shows, and what is removed: nothing is due any more, except a reminder."""
    if incident.state == "acknowledged" and incident.remind_at and not incident.is_told_by_peer(now):
        return {DUE: DUE, "due_at": incident.remind_at}, ()
    return {}, (DUE, "due_at")


def registration(host: str, incident: Incident) -> Put:
    """Says in the partition of an incident that another one is told below its message; with what it is called."""
    name = incident.alerts[0].labels.get("alertname", "") or incident.title
    item = {"pk": partition(host), "sk": f"TOLD#INCIDENT#{incident.id}", "name": name[:100], **expiry(incident)}
    return Put(item)


def timeline(table: Table, incident: str, *, after: int = 0) -> list[TimelineEvent]:
    """The events after the one of that number, in order."""
    items = table.query(partition(incident), after=f"EVENT#{after:06d}")
    return [TimelineEvent.from_item(item) for item in items if item["sk"].startswith("EVENT#")]


def summary(group: AlertGroup) -> dict[str, object]:
    """What an incident keeps of the last word of its alert group, or of its product's share of it."""
    # The most telling first: what fires, and of that what is critical.
    ordered = sorted(group.alerts, key=lambda a: (a.status != "firing", _is_less(a.labels.get("severity", ""))))
    are_tests = {alert.labels.get(TEST_LABEL) == "true" for alert in group.firing or group.alerts}
    # What was cut off is no test unless all of the group is one.
    is_test = are_tests == {True} and (not group.left_out or group.common.get(TEST_LABEL) == "true")
    shown = ordered[:KEPT_ALERTS]
    return {
        "group_key": group.key[:500],
        "severity": group.severity,
        "severity_note": group.severity_note,
        "product": group.product,
        "title": title(shown[0]),
        "summary": headline(shown[0].annotations) or title(shown[0]),
        "test": is_test,
        "firing": len(group.firing),
        "at_least": group.left_out > 0,  # more may fire than are shown
        "alerts": [asdict(_kept(alert)) for alert in shown],
        "left_out": group.left_out,  # alerts that were not shown, in the whole group
        "cut_characters": group.cut_characters,
        "external_url": group.external_url,
        "matchers": group.matchers,
        "sender": group.sender,
        "received_at": group.received_at,
    }


def headline_of(incident: Incident) -> Headline:
    """What a call says of an incident."""
    annotations = incident.alerts[0].annotations
    return Headline(
        incident=incident.id,
        product=incident.product,
        title=incident.title,
        summary=incident.summary,
        summaries={
            language: written
            for language in get_args(Language)
            if (written := headline(annotations, language)) and written != headline(annotations)
        },
        firing=incident.firing,
        at_least=incident.at_least,
        test=incident.is_test,
        language=incident.language,
        traits=_traits(incident),
    )


def _traits(incident: Incident) -> dict[str, str]:
    """What an incident may have in common with others: labels that each of its alerts that fire has with one value."""
    fires = [alert for alert in incident.alerts if alert.status == "firing"] or incident.alerts
    found = {"product": incident.product}
    for name in TRAITS[1:]:
        values = {_PORT.sub("", alert.labels.get(name, "")) for alert in fires}
        found[name] = next(iter(values)) if len(values) == 1 else ""
    return {name: value[:60] for name, value in found.items() if says_something(value)}


def _is_less(severity: str) -> bool:
    return severities.meaning(severity, {}).level != "critical"


def title(alert: Alert) -> str:
    """What an alert is called: its name and what it is about."""
    name, instance = (alert.labels.get(label, "") for label in ("alertname", "instance"))
    name = name if says_something(name) else "an alert without a name"
    return f"{name}: {instance}" if says_something(instance) else name


def _kept(alert: Alert) -> KeptAlert:
    """An alert as an incident keeps it: an item of the table holds 400 KB, so long texts are cut."""
    return KeptAlert(
        status=alert.status,
        title=title(alert)[:300],
        labels={name: value[:200] for name, value in list(alert.labels.items())[:20]},
        annotations={name: value[:500] for name, value in sorted(alert.annotations.items(), key=_is_extra)[:10]},
        starts_at=alert.starts_at,
        generator_url=alert.generator_url,
        silence_url=alert.silence_url,
        graph_url=alert.graph_url,
        value=alert.annotations.get("value", "") or alert.value,
        fingerprint=alert.fingerprint,
    )


def _is_extra(annotation: tuple[str, str]) -> bool:
    """Whether an annotation is none of those that are told: of many the told ones are kept."""
    return re.sub(r"_[a-z]{2}$", "", annotation[0]) not in (*HEADLINE, "runbook_url", "dashboard_url", "value")


def _month(moment: datetime) -> str:
    """The partition that lists the incidents of a month."""
    return f"INCIDENTS#{moment:%Y-%m}"


def _event_item(incident: Incident, event: Event, *, number: int, now: int) -> Item:
    return {
        "pk": partition(incident.id),
        "sk": f"EVENT#{number:06d}",
        "number": number,
        "at": event.at or now,
        "kind": event.kind,
        "who": event.who,
        "detail": dict(event.detail),
        "in_thread": event.in_thread,
        **expiry(incident),
    }


def expiry(incident: Incident) -> dict[str, int]:
    """Events end after the incident: a long one is told to the end."""
    return {"expires_at": incident.opened_at // 1000 + 2 * KEPT_DAYS * 86400}
