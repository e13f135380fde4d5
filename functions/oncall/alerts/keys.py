"""Keys of those that send events: each opens what it was made for and nothing else.

The table has their SHA-256 alone, in the partition KEY; deleting the item revokes the key. How often each is used in a minute
is counted beside it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oncall.table import Item, Table, Update

PARTITION = "KEY"
LIMIT = 1_000  # events of one key in a minute; each starts an execution


@dataclass(frozen=True, slots=True)
class Key:
    """What a key is for: events of `source` (empty: of any) for `product`, or the beats of `heartbeat`.

    The name, and not the key, is part of a group's identity: a new key of the same name resolves what the old one opened.
    """

    name: str
    product: str = ""
    source: str = ""
    heartbeat: str = ""


def item(key: str, meant: Key, *, created_at: datetime, created_by: str) -> Item:
    """The table's item for a new key."""
    return {
        "pk": PARTITION,
        "sk": _digest(key),
        "name": meant.name,
        "product": meant.product,
        "source": meant.source,
        "heartbeat": meant.heartbeat,
        "created_at": created_at.isoformat(),
        "created_by": created_by,
    }


def from_item(found: Mapping[str, Any]) -> Key:
    """What a key is for, from its item."""
    return Key(*(str(found.get(name, "")) for name in ("name", "product", "source", "heartbeat")))


def find(table: Table, key: str) -> Key | None:
    """What a key is for; None if there is none, or it was revoked."""
    found = table.get(PARTITION, _digest(key)) if key else None
    return from_item(found) if found else None


def is_within_limit(table: Table, key: str, *, now: int) -> bool:
    """Counts one more event of a key. False if there were too many in this minute. `now` is in epoch milliseconds."""
    minute = now // 60_000
    counter = Update(
        f"{PARTITION}#{_digest(key)}", f"MINUTE#{minute}", add={"events": 1}, set={"expires_at": minute * 60 + 600}
    )
    return bool(table.update(counter)["events"] <= LIMIT)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
