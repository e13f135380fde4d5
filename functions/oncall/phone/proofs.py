"""Proofs that telephones work: for each responder the latest test call, and when which number was last proven.

The partition PROOF has an item for each responder, so one Query tells all.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from oncall.roster import Responder
from oncall.table import ConditionFailedError, Item, Table, Update

PARTITION = "PROOF"
PROVEN = "proven"  # the last status of a test call that was heard and answered with 1
DAYS = 30  # how long a proof is good


def begin(table: Table, responder: Responder, test: str, *, now: int) -> Item:
    """Writes that a test call is asked for; what was proven before stays."""
    return table.update(
        Update(
            PARTITION,
            responder.id,
            set={
                "test": test,
                "tested_phone": responder.phone,
                "language": responder.language or "",
                "status": "placing",
                "started_at": now,
            },
            remove=("ended_at", "reason"),
        )
    )


def note(table: Table, responder: str, test: str, changes: Mapping[str, object]) -> None:
    """Notes what became of a test call, unless it has proven the number already or there is a later one."""
    with suppress(ConditionFailedError):
        table.update(
            Update(
                PARTITION,
                responder,
                set=changes,
                condition="#test = :test AND #status <> :proven",
                values={"test": test, "proven": PROVEN},
            )
        )


def prove(table: Table, item: Mapping[str, Any], test: str, *, now: int) -> bool:
    """Writes that a person pressed 1. False if there is a later test call, or never was this one."""
    if item.get("test") != test:
        return False
    changes = {"status": PROVEN, "proven_at": now, "proven_phone": item["tested_phone"]}
    note(table, item["sk"], test, changes)
    return True


def is_proven(item: Mapping[str, Any] | None, phone: str, *, now: int) -> bool:
    """Whether this very number was proven in the last 30 days."""
    return bool(item and item.get("proven_phone") == phone and item["proven_at"] > now - DAYS * 86_400_000)
