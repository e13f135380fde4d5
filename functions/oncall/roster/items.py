"""How the roster lies in the table.

Every part is one item of the partition ROSTER, with plain attributes, so one Query reads all of it and a person can
fix it in the console.

Applied whole: the items of version 12 have `version: 12` and a sort key that ends in `#v12`; the item META, which a
Query meets first, names the version that counts. An apply writes the items of the new version beside the old ones, and
then META, on the condition that nobody else did meanwhile; the old items stay for an hour. So whoever has read META
finds every item of its version in the rest of the same Query, however many pages it takes.
Items without a version (made by hand, and overrides) always count; without META, the version is 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from oncall.roster.attributes import (
    DAYS,
    Problem,
    format_days,
)
from oncall.roster.heartbeats import heartbeat_document
from oncall.roster.model import DOWN, EVERYONE, META, PARTITION, Layer, Override, Policy, Roster, RosterError, Step
from oncall.roster.reader import parse
from oncall.roster.sources import source_document

if TYPE_CHECKING:
    from oncall.table import Table

logger = Logger(child=True)

_KINDS = {
    "RESPONDER": "responders",
    "SCHEDULE": "schedules",
    "OVERRIDE": "overrides",
    "POLICY": "policies",
    "PRODUCT": "products",
    "SOURCE": "sources",
    "WATCHED": "heartbeats",  # META is read first: their kind has to sort after it
}
_SETTINGS = ("time_zone", "default", "severities")  # of the whole roster; in the table they are META's


def from_items(items: Iterable[Mapping[str, Any]]) -> Roster:
    """The roster from all items of the partition ROSTER.

    Raises RosterError, which names each bad item, what is wrong and what to do.
    """
    roster, problems = read_items(items)
    if problems:
        raise RosterError(problems)
    return roster


def read_table(table: "Table") -> Roster:
    """The roster as it is now. What is wrong in it is left out and told in the log: the rest may still wake somebody."""
    known, problems = read_items(table.query(PARTITION))
    for problem in problems:
        logger.warning("the roster has a mistake", problem=str(problem))
    return known


def read_items(items: Iterable[Mapping[str, Any]]) -> tuple[Roster, tuple[Problem, ...]]:
    """The roster from what is good in the items, and the problems with the rest.

    A slip made by hand in the console then does not leave everyone unrung.
    """
    ordered = sorted(items, key=lambda item: str(item["sk"]))
    meta = next((item for item in ordered if item["sk"] == META), {})
    version = str(meta.get("version", 0))
    document: dict[str, Any] = {key: meta[key] for key in (*_SETTINGS, "applied_at") if key in meta}
    document["version"] = meta.get("version")
    groups: dict[str, dict[str, Mapping[str, Any]]] = {group: {} for group in _KINDS.values()}
    for item in ordered:
        kind, _, rest = str(item["sk"]).partition("#")
        if kind in _KINDS and str(item.get("version", version)) == version:
            # A sort key without a version sorts first: what was made by hand wins.
            groups[_KINDS[kind]].setdefault(str(item.get("id", rest)), item)
    groups["responders"] = dict(sorted(groups["responders"].items(), key=lambda pair: (_position(pair[1]), pair[0])))
    roster, problems = parse(document | groups)
    down = {str(item["sk"]).removeprefix(f"{DOWN}#") for item in ordered if "failure" in item}
    roster = replace(roster, alive_at=int(meta.get("alive_at", 0)), down=frozenset(down))
    rows = {group: kind for kind, group in _KINDS.items()}
    return roster, tuple(
        Problem((f"{rows[str(p.path[0])]}#{p.path[1]}", *p.path[2:]), p.message)
        if len(p.path) > 1 and p.path[0] in rows
        else Problem((META, *p.path), p.message)
        for p in problems
    )


def _position(item: Mapping[str, Any]) -> int:
    """Where a responder stands in the file; one added by hand comes last."""
    position = str(item.get("position"))
    return int(position) if position.isdecimal() else 10**9


def to_items(roster: Roster) -> list[dict[str, Any]]:
    """The items of the roster for the table, META last: written in this order, a reader never sees half of it."""
    version = {"version": roster.version} if roster.version else {}
    suffix = f"#v{roster.version}" if roster.version else ""
    items = []
    for kind, group in _KINDS.items():
        if kind == "OVERRIDE":
            items += [override_item(override) for override in roster.overrides.values()]
            continue
        for number, (key, attributes) in enumerate(to_document(roster)[group].items(), 1):
            position = {"position": number} if kind == "RESPONDER" else {}
            items.append(
                {"pk": PARTITION, "sk": f"{kind}#{key}{suffix}", "id": key, **version, **position, **attributes}
            )
    document = to_document(roster)
    settings = {name: document[name] for name in _SETTINGS}
    if roster.applied_at:
        settings["applied_at"] = roster.applied_at.isoformat()
    return [*items, {"pk": PARTITION, "sk": META, **version, **settings}]


def override_item(override: Override) -> dict[str, Any]:
    """The item of one override; `expires_at` (epoch seconds) is what the table's TTL goes by."""
    return _without_none(
        {
            "pk": PARTITION,
            "sk": f"OVERRIDE#{override.id}",
            "id": override.id,
            "responder": override.responder,
            "schedule": override.schedule,
            "start": override.start.isoformat(),
            "end": override.end.isoformat(),
            "expires_at": int(override.end.timestamp()),
            "created_at": override.created_at.isoformat(),
            "created_by": override.created_by,
        }
    )


def to_document(roster: Roster) -> dict[str, Any]:
    """The roster shaped like the file, every setting written out; `parse` reads it back."""
    return {
        "time_zone": roster.time_zone,
        "default": roster.default,
        "severities": dict(roster.severities),
        "responders": {r.id: _plain(r, "name", "phone", "slack_user", "language") for r in roster.responders.values()},
        "schedules": {
            s.id: {"time_zone": s.time_zone, "layers": [_layer_document(layer) for layer in s.layers]}
            for s in roster.schedules.values()
        },
        "policies": {
            p.id: {
                "steps": [_step_document(step) for step in p.steps],
                **_plain(p, *(name for name in Policy.__slots__ if name not in ("id", "steps"))),
            }
            for p in roster.policies.values()
        },
        "products": {
            p.id: _plain(p, "policy", "slack_channel", "call", "language", "shadow") for p in roster.products.values()
        },
        "sources": {source.id: source_document(source) for source in roster.sources.values()},
        "heartbeats": {one.id: heartbeat_document(one) for one in roster.heartbeats.values()},
    }


def _step_document(step: Step) -> str | dict[str, Any]:
    if step.kind == EVERYONE and not step.after_minutes:
        return EVERYONE
    after = {"after_minutes": step.after_minutes} if step.after_minutes else {}
    return {step.kind: step.id or True, **after}


def _layer_document(layer: Layer) -> dict[str, Any]:
    minutes = int(layer.length.total_seconds()) // 60
    units = ((10080, "week"), (1440, "day"), (60, "hour"), (1, "minute"))
    count, unit = next((minutes // size, unit) for size, unit in units if minutes % size == 0)
    if layer.months:
        count, unit = layer.months, "month"
    day = f"{DAYS[layer.start.weekday()]} " if unit == "week" else ""
    document: dict[str, Any] = {
        "name": layer.name or None,
        "members": list(layer.members),
        "shift": f"{count} {unit}{'s' if count > 1 else ''}",
        "hand_over": f"{day}{layer.start:%H:%M}",
        "start": f"{layer.start:%Y-%m-%d}",
        "until": f"{layer.until:%Y-%m-%d %H:%M}" if layer.until else None,
        "during": [
            {"days": format_days(w.days), "from": f"{w.start:%H:%M}", "to": f"{w.end:%H:%M}"} for w in layer.windows
        ]
        or None,
    }
    return _without_none(document)


def _plain(value: object, *names: str) -> dict[str, Any]:
    return _without_none({name: getattr(value, name) for name in names})


def _without_none(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
