"""Heartbeats by name: whoever has to be heard of again and again, and an incident when it is not.

The item of the partition HEARTBEAT has the last words of each: `beat_at`, `started_at`, `failed_at`; `since`, when it was first
looked for, so that one that never came counts; and `told_at` while an incident says that it is missed. Times are epoch
milliseconds.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from oncall.alerts.event import Said, SourceEvent, group_of
from oncall.alerts.group import AlertGroup
from oncall.clock import at
from oncall.roster.heartbeats import Heartbeat, length_text
from oncall.table import Item

PARTITION = "HEARTBEAT"
SOURCE = "heartbeat"

Word = Literal["beat", "start", "fail"]
State = Literal["ok", "waiting", "late", "never", "unfinished", "failed", "off"]

WORDS: tuple[Word, ...] = get_args(Word)
MISSED: Mapping[State, str] = {
    "late": "{id} was not heard of for {every} and {grace} more",
    "never": "{id} was never heard of, {every} and {grace} after it was set up",
    "unfinished": "{id} has started and did not finish within {grace}",
    "failed": "{id} says that it failed",
}
_MISSED_JA: Mapping[State, str] = {
    "late": "{id}から{every}、さらに{grace}待っても連絡がありません",
    "never": "{id}から一度も連絡がありません（登録から{every}、さらに{grace}）",
    "unfinished": "{id}が始まったまま、{grace}たっても終わりません",
    "failed": "{id}が失敗を知らせました",
}
ATTRIBUTES: Mapping[Word, str] = {"beat": "beat_at", "start": "started_at", "fail": "failed_at"}


def state_of(heartbeat: Heartbeat, item: Mapping[str, Any], now: int) -> State:
    """What is known of a heartbeat. `waiting`: it was never heard of, and is not late yet."""
    beat, started, failed = (int(item.get(name, 0)) for name in ATTRIBUTES.values())
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


def group_about(heartbeat: Heartbeat, status: Said, state: State, now: int) -> AlertGroup:
    """The alert group of a heartbeat."""
    lengths = {"every": length_text(heartbeat.every), "grace": length_text(heartbeat.grace)}
    japanese = {"every": length_text(heartbeat.every, "ja"), "grace": length_text(heartbeat.grace, "ja")}
    missed = MISSED.get(state, "{id} was heard of again").format(id=heartbeat.id, **lengths)
    event = SourceEvent(
        key=heartbeat.id,
        status=status,
        name=f"Heartbeat {heartbeat.id}",
        summary=missed,
        summary_ja=_MISSED_JA.get(state, "{id}からまた連絡がありました").format(id=heartbeat.id, **japanese),
        severity=heartbeat.severity,
        product=heartbeat.product,
        details=lengths,
        starts_at=at(now).isoformat(),
    )
    return group_of(SOURCE, event, received_at=now)


def last_words(item: Item) -> dict[Word, int]:
    """When each word was heard last."""
    return {word: int(item[name]) for word, name in ATTRIBUTES.items() if name in item}
