"""What changes from one roster to another."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oncall.roster import Roster, to_document
from oncall.roster.schedules import responders_on_call

_SINGULAR = {
    "responders": "responder",
    "schedules": "schedule",
    "policies": "policy",
    "products": "product",
    "sources": "source",
    "heartbeats": "heartbeat",
}


@dataclass(frozen=True, slots=True)
class Change:
    """Something added (no `before`), removed (no `after`) or changed. `where` is such as `responder alice phone`."""

    where: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.where}: {_short(self.after)}"
        if self.after is None:
            return f"- {self.where}: {_short(self.before)}"
        return f"~ {self.where}: {_short(self.before)} -> {_short(self.after)}"


def changes(before: Roster, after: Roster) -> list[Change]:
    """In the order of the file; overrides are not part of it."""
    old, new = to_document(before), to_document(after)
    found = [Change(key, old[key], new[key]) for key in ("time_zone", "default") if old[key] != new[key]]
    meant, means = old["severities"], new["severities"]
    found += [
        Change(f"severity {word}", meant.get(word), means.get(word))
        for word in meant | means
        if meant.get(word) != means.get(word)
    ]
    for group, kind in _SINGULAR.items():
        for key in old[group] | new[group]:
            was, is_now = old[group].get(key), new[group].get(key)
            if was is None or is_now is None:
                found.append(Change(f"{kind} {key}", was, is_now))
            else:
                found += [
                    Change(f"{kind} {key} {name}", was.get(name), is_now.get(name))
                    for name in was | is_now
                    if was.get(name) != is_now.get(name)
                ]
    stay = [key for key in old["responders"] if key in new["responders"]]
    order = [key for key in new["responders"] if key in old["responders"]]
    if stay != order:
        found.append(Change("order of responders", stay, order))
    return found


def first_calls(before: Roster, after: Roster, now: datetime) -> list[Change]:
    """For which products, and for the default policy (an empty name), another responder is rung first from now on."""
    found = []
    for name in ["", *dict.fromkeys([*before.products, *after.products])]:
        was, is_now = (_first(roster, name, now) for roster in (before, after))
        if was != is_now:
            found.append(Change(f"first call for {name or 'other products'}", was, is_now))
    return found


def _first(roster: Roster, product: str, now: datetime) -> str:
    on_call = responders_on_call(roster, roster.policy_for(product), now)
    return on_call[0].responder.id if on_call and roster.product(product).call else "nobody"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
