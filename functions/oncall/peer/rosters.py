"""One roster in two stacks: what was applied last, every override, every proof.

Each stack numbers the versions of a roster for itself; which is the later one is told by when it was applied. An override
that somebody has removed leaves an item REMOVED#id behind, so that the other stack does not bring it back. What was made by
hand, without a version, stays where it was made.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger

from oncall.roster import META, PARTITION
from oncall.services import Services
from oncall.table import ConditionFailedError, Item, Put, Table, Update

logger = Logger(child=True)

HISTORY, COUNTER = "ROSTER#HISTORY", "COUNTER"
REMOVED = "REMOVED"
PROOFS = "PROOF"  # of telephones: see phone.proofs
KEEP_SECONDS = 3_600  # replaced items stay for readers that have begun
AT_ONCE = 25  # items in one transaction


def write(table: Table, *, whole: bool = False) -> dict[str, Any]:
    """What the other stack is told: when the roster was applied (or all of it), the overrides, the proofs."""
    items = table.query(PARTITION)
    meta = next((item for item in items if item["sk"] == META), {})
    said: dict[str, Any] = {
        "applied_at": str(meta.get("applied_at", "")),
        "overrides": [item for item in items if _kind(item) == "OVERRIDE"],
        "removed": [item for item in items if _kind(item) == REMOVED],
        "proofs": [item for item in table.query(PROOFS) if "proven_at" in item],
    }
    if whole and "version" in meta:
        version = meta["version"]
        said["meta"] = meta
        said["items"] = [item for item in items if item.get("version") == version and item["sk"] != META]
        said["history"] = table.get(HISTORY, f"v{version:08}") or {}
    return said


def follow(services: Services, theirs: Mapping[str, Any]) -> str:
    """Takes over what is newer there. Returns when the roster here was applied."""
    table, now = services.table, services.now()
    ours = write(table)
    known = {item["sk"] for item in ours["overrides"]}
    removed = {item["id"] for item in [*ours["removed"], *theirs["removed"]]}
    for item in theirs["removed"]:
        table.update(Update(PARTITION, item["sk"], set=_attributes(item)))
    for item in theirs["overrides"]:
        if item["sk"] not in known and item["id"] not in removed:
            with suppress(ConditionFailedError):  # it was made here at this moment
                table.update(Update(PARTITION, item["sk"], set=_attributes(item), condition="attribute_not_exists(pk)"))
    for name in known & {f"OVERRIDE#{one}" for one in removed}:
        table.delete(PARTITION, name)
    for item in theirs["proofs"]:
        with suppress(ConditionFailedError):  # proven here, or later
            table.update(
                Update(
                    PROOFS,
                    item["sk"],
                    set=_attributes(item),
                    condition="attribute_not_exists(#proven_at) OR #proven_at < :theirs",
                    values={"theirs": item["proven_at"]},
                )
            )
    if "items" in theirs and is_later(theirs["applied_at"], ours["applied_at"]):
        _apply(table, theirs, now=now)
        return str(theirs["applied_at"])
    return str(ours["applied_at"])


def is_later(one: str, other: str) -> bool:
    """Whether a roster was applied after another one; an empty text is a roster that never was."""
    return bool(one) and (not other or datetime.fromisoformat(one) > datetime.fromisoformat(other))


def _apply(table: Table, theirs: Mapping[str, Any], *, now: int) -> None:
    """Makes the other stack's roster the one that counts here, whole or not at all, under a number of ours."""
    before = table.get(PARTITION, META) or {}
    number = 0
    while number <= before.get("version", 0):
        number = int(table.update(Update(HISTORY, COUNTER, add={"taken": 1}))["taken"])
    for some in _chunks(theirs["items"]):
        table.transact(Put({**item, "sk": f"{_name(item)}#v{number}", "version": number}) for item in some)
    known = "#version = :before" if "version" in before else "attribute_not_exists(#version)"
    meta = {name: value for name, value in _attributes(theirs["meta"]).items() if name != "alive_at"}
    applied = Update(
        PARTITION,
        META,
        set={**meta, "version": number},
        condition=known,
        values={"before": before["version"]} if "version" in before else {},
    )
    history = {**theirs["history"], "pk": HISTORY, "sk": f"v{number:08}", "version": number}
    try:
        table.transact([applied, Put({**history, "replaced": before.get("version", 0)})])
    except ConditionFailedError:  # somebody applies another one at this moment: the next minute looks again
        logger.warning("the roster was changed while the other stack's was taken over")
        return
    logger.info("the other stack's roster counts here too", version=number)
    for item in table.query(PARTITION):
        if item.get("version", number) != number and item["sk"] != META and "expires_at" not in item:
            table.update(Update(PARTITION, item["sk"], set={"expires_at": now // 1000 + KEEP_SECONDS}))


def _chunks(items: list[Item]) -> Iterator[list[Item]]:
    for first in range(0, len(items), AT_ONCE):
        yield items[first : first + AT_ONCE]


def _kind(item: Mapping[str, Any]) -> str:
    return str(item["sk"]).partition("#")[0]


def _name(item: Mapping[str, Any]) -> str:
    """The sort key without the version."""
    return str(item["sk"]).removesuffix(f"#v{item['version']}")


def _attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("pk", "sk")}


def removed_item(override: Mapping[str, Any], *, now: int) -> Item:
    """What a removed override leaves behind until it would have ended."""
    expires_at = max(int(override.get("expires_at", 0)), now // 1000 + KEEP_SECONDS)
    return {"pk": PARTITION, "sk": f"{REMOVED}#{override['id']}", "id": override["id"], "expires_at": expires_at}
