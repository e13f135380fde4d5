"""Heartbeats by name: whoever has to be heard of again and again, and an incident when it is not.

The item of the partition HEARTBEAT has the last words of each: `beat_at`, `started_at`, `failed_at`; `since`, when it was first
looked for, so that one that never came counts; and `told_at` while an incident says that it is missed. Times are epoch
milliseconds. The reconciler looks at all of them every minute; a beat resolves by itself, and at once.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from aws_lambda_powertools import Logger

from oncall import roster
from oncall.alerts.event import Said, SourceEvent, group_of, to_input
from oncall.alerts.group import AlertGroup
from oncall.clock import at
from oncall.roster.heartbeats import DEFAULT_GRACE, Heartbeat, length_text
from oncall.table import Item, Table, Update

logger = Logger(child=True)

PARTITION = "HEARTBEAT"
SOURCE = "heartbeat"
REPEAT_MS = (
    1_800_000  # an incident of one that is still missed is told of so often, so that an unanswered page starts anew
)

Word = Literal["beat", "start", "fail"]
State = Literal["ok", "waiting", "late", "never", "unfinished", "failed", "off"]

WORDS: tuple[Word, ...] = get_args(Word)
MISSED: Mapping[State, str] = {
    "late": "{id} was not heard of for {every} and {grace} more",
    "never": "{id} was never heard of, {every} and {grace} after it was set up",
    "unfinished": "{id} has started and did not finish within {grace}",
    "failed": "{id} says that it failed",
}
_ATTRIBUTES: Mapping[Word, str] = {"beat": "beat_at", "start": "started_at", "fail": "failed_at"}


@dataclass(frozen=True, slots=True)
class Desk:
    """What it works with."""

    table: Table
    start: Callable[[str, Mapping[str, Any]], None]  # an execution's name and input
    gateway: str  # host and stage
    now: Callable[[], int]  # epoch milliseconds


def state_of(heartbeat: Heartbeat, item: Mapping[str, Any], now: int) -> State:
    """What is known of a heartbeat. `waiting`: it was never heard of, and is not late yet."""
    beat, started, failed = (int(item.get(name, 0)) for name in _ATTRIBUTES.values())
    every, grace = (int(length.total_seconds() * 1000) for length in (heartbeat.every, heartbeat.grace))
    if not heartbeat.enabled:
        return "off"
    if failed > beat:
        return "failed"
    if started > beat and now > started + grace:
        return "unfinished"
    if now > (beat or int(item.get("since", now))) + every + grace:
        return "late" if beat else "never"
    return "ok" if beat else "waiting"


def hear(desk: Desk, name: str, word: Word) -> None:
    """Writes down what a heartbeat says. A failure rings at once, a beat resolves at once.

    Raises botocore's errors; what was written the reconciler follows within a minute.
    """
    now = desk.now()
    item = desk.table.update(Update(PARTITION, name, set={_ATTRIBUTES[word]: now}))
    if word == "beat" and "told_at" in item:
        _tell(desk, _missing(name), "resolved", "ok", now)
    elif word == "fail" and "told_at" not in item:
        known = roster.read_table(desk.table).heartbeats.get(name)
        if known and known.enabled:
            _tell(desk, known, "firing", "failed", now)


def watch(desk: Desk, *, heard_only: bool = False) -> None:
    """Follows what each heartbeat has become: those that are missed fire, again every half hour; the others resolve.

    `heard_only` leaves out those that never came here: a standby's may beat at its primary alone.
    """
    now = desk.now()
    wanted = roster.read_table(desk.table).heartbeats
    items = {str(item["sk"]): item for item in desk.table.query(PARTITION, consistent=False)}
    for name, heartbeat in wanted.items():
        item = items.get(name, {})
        if heard_only and "beat_at" not in item:
            continue
        if "since" not in item and heartbeat.enabled:
            item = desk.table.update(Update(PARTITION, name, set={"since": now}))
        state, told = state_of(heartbeat, item, now), int(item.get("told_at", 0))
        if state in MISSED and now - told >= REPEAT_MS:
            _tell(desk, heartbeat, "firing", state, now)
        elif state not in MISSED and told:
            _tell(desk, heartbeat, "resolved", state, now)
    for name in items.keys() - wanted.keys():
        if "told_at" in items[name]:
            _tell(desk, _missing(name), "resolved", "off", now)


def _missing(name: str) -> Heartbeat:
    """A heartbeat of which only the name counts: it resolves."""
    return Heartbeat(name, DEFAULT_GRACE)


def _tell(desk: Desk, heartbeat: Heartbeat, status: Said, state: State, now: int) -> None:
    """Starts an execution, and then notes that it was told. A second one in the same minute is the same."""
    group = group_about(heartbeat, status, state, now)
    digest = hashlib.sha256(f"{heartbeat.id} {status} {state}".encode()).hexdigest()[:24]
    given = {
        "source": SOURCE,
        "about": group.alerts[0].annotations["summary"],
        "by": "",
        "said": status,
        "group": to_input(group),
        "gateway": desk.gateway,
    }
    desk.start(f"heartbeat-{digest}-{now // 60_000}", given)
    logger.warning("a heartbeat is told of", heartbeat=heartbeat.id, state=state)
    change: dict[str, Any] = {"set": {"told_at": now}} if status == "firing" else {"remove": ["told_at"]}
    desk.table.update(Update(PARTITION, heartbeat.id, **change))


def group_about(heartbeat: Heartbeat, status: Said, state: State, now: int) -> AlertGroup:
    """The alert group of a heartbeat."""
    lengths = {"every": length_text(heartbeat.every), "grace": length_text(heartbeat.grace)}
    missed = MISSED.get(state, "{id} was heard of again").format(id=heartbeat.id, **lengths)
    event = SourceEvent(
        key=heartbeat.id,
        status=status,
        name=f"Heartbeat {heartbeat.id}",
        summary=missed,
        severity=heartbeat.severity,
        product=heartbeat.product,
        details=lengths,
        starts_at=at(now).isoformat(),
    )
    return group_of(SOURCE, event, received_at=now)


def last_words(item: Item) -> dict[Word, int]:
    """When each word was heard last."""
    return {word: int(item[name]) for word, name in _ATTRIBUTES.items() if name in item}
