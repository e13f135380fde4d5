"""`oncall shadow report`: what would have rung, when, whom; and beside what another system has told people."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from oncall import incidents
from oncall.clock import at
from oncall.incidents import Incident, TimelineEvent
from oncall.roster import time_zones
from oncall.table import Table
from oncall_cli import notification_log
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.incident_commands import READERS, recent
from oncall_cli.notification_log import Comparison, Told, Waking, iso
from oncall_cli.output import note, print_json, print_table, say
from oncall_cli.roster_table import read as read_table
from oncall_cli.target import Target
from oncall_cli.when import parse_duration, shown

# After these, whoever is rung next is the first to be rung.
_AGAIN = frozenset({"unanswered", "acknowledged", "went_live"})


@dataclass(frozen=True, slots=True)
class Ring:
    """A phone that rang, or would have. `second`: after its page was opened, where that was written."""

    told: Told
    incident: Incident
    is_supposed: bool
    second: int | None


@dataclass(frozen=True, slots=True)
class Against:
    """What to compare with: a file, how to read it, and how many seconds may lie between what is alike."""

    file: Path
    columns: Mapping[str, str]
    people: Mapping[str, str]
    zone: str | None
    within: int


def rings(incident: Incident, story: Iterable[TimelineEvent]) -> Iterable[Ring]:
    """Those of an incident, in order."""
    is_first = True
    for event in story:
        if event.kind in _AGAIN:
            is_first = True
        elif event.kind == "ringing":
            told = Told(event.at, event.who, incident.summary, is_first)
            yield Ring(told, incident, bool(event.detail.get("supposed")), event.detail.get("second"))
            is_first = False


def show(target: Target, since: str, against: Against | None, *, as_csv: bool, as_json: bool) -> None:
    """Prints what would have rung within a length of time. Exits with 1 if the other system differs."""
    if against and against.zone and against.zone not in time_zones.names():
        raise CommandError(f"there is no time zone {against.zone!r}: {time_zones.advice(against.zone)}")
    first = datetime.now(UTC) - parse_duration(since)
    log = _read(target, against)
    found = list(_found(target, since))
    if as_csv:
        _write(found)
        return
    theirs = [one for one in log.told if one.at >= first.timestamp() * 1000] if log else []
    compared = notification_log.compare([one.told for one in found], theirs, within=against.within) if against else None
    if as_json:
        result: dict[str, Any] = {"since": first, "rings": [_row(one) for one in found]}
        print_json({**result, **({"against": _summary(compared)} if compared else {})})
    else:
        _print(found, since)
        if compared and log and against:
            _print_comparison(compared, log, against)
    if compared and (compared.only_here or compared.only_there):
        raise typer.Exit(1)


def pairs(option: str, written: Sequence[str]) -> dict[str, str]:
    """What `--option NAME=VALUE` was given as. Raises CommandError."""
    if wrong := [one for one in written if "=" not in one]:
        raise CommandError(f"{option} {wrong[0]!r}: write it as NAME=VALUE")
    return {name.strip(): value.strip() for name, _, value in (one.partition("=") for one in written)}


def columns(written: Sequence[str]) -> dict[str, str]:
    """The same for columns, by their meaning. Raises CommandError."""
    named = pairs("--column", written)
    if wrong := named.keys() - notification_log.COLUMNS.keys():
        known = ", ".join(notification_log.COLUMNS)
        raise CommandError(f"--column {min(wrong)}=...: what can be named is {known}")
    return named


def _read(target: Target, against: Against | None) -> notification_log.Log | None:
    if against is None:
        return None
    known = read_table(target).roster
    return notification_log.read(against.file, known, columns=against.columns, people=against.people, zone=against.zone)


def _found(target: Target, since: str) -> Iterable[Ring]:
    table = Table(target.dynamodb, target.table)
    real = [one for one in recent(target, since) if not one.is_test]
    with aws_errors(target.name), ThreadPoolExecutor(READERS) as pool:
        stories = list(pool.map(lambda one: incidents.timeline(table, one.id), real))
    found = [ring for one, story in zip(real, stories, strict=True) for ring in rings(one, story)]
    return sorted(found, key=lambda ring: ring.told.at)


def _row(ring: Ring) -> dict[str, Any]:
    return {
        "time": iso(ring.told.at),
        "who": ring.told.who,
        "second": "" if ring.second is None else ring.second,
        "incident": ring.incident.id,
        "product": ring.incident.product,
        "what": ring.told.what,
        "mode": "shadow" if ring.is_supposed else "live",
    }


def _write(found: Sequence[Ring]) -> None:
    writer = csv.DictWriter(
        sys.stdout, ["time", "who", "second", "incident", "product", "what", "mode"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(map(_row, found))


def _print(found: Sequence[Ring], since: str) -> None:
    supposed = sum(ring.is_supposed for ring in found)
    say(f"within {since}: {supposed} would have rung, {len(found) - supposed} rang")
    rows = [
        (
            shown(at(ring.told.at), seconds=True),
            ring.told.who,
            "-" if ring.second is None else f"{ring.second} s",
            "would have rung" if ring.is_supposed else "rang",
            ring.incident.product or "-",
            ring.told.what[:60],
        )
        for ring in found
    ]
    if rows:
        print_table(["when", "who", "after", "", "product", "what"], rows)


def _print_comparison(compared: Comparison, log: notification_log.Log, against: Against) -> None:
    say(f"\nagainst {against.file}:")
    note("read: " + ", ".join(f"{meaning} from {name!r}" for meaning, name in log.columns.items()))
    if log.unread:
        note(f"not read: {', '.join(log.unread)[:500]} (--column names another column)")
    if log.mails:
        note(f"{log.mails} mails are left out: they wake nobody")
    for stranger in log.strangers[: notification_log.LISTED]:
        note(f"{stranger!r} is nobody of the roster: --person '{stranger}=ID' says who it is")
    spread = ""
    if compared.alike:
        earliest, latest = min(compared.seconds), max(compared.seconds)
        spread = f"; ours came {compared.median:+.0f} s later in the middle, {earliest:+} to {latest:+} s"
    say(f"alike: {len(compared.alike)}{spread}")
    for title, found in (("only there", compared.only_there), ("only here", compared.only_here)):
        say(f"{title}: {len(found)}")
        _print_wakings(found)
    if compared.further:
        say(
            f"here, after somebody had been rung who was told there, too: {len(compared.further)} (there it was taken by then)"
        )
        _print_wakings(compared.further)
    if not (compared.only_there or compared.only_here):
        say("no difference")


def _print_wakings(found: Sequence[Waking]) -> None:
    if found:
        rows = [(shown(at(one.at), seconds=True), one.who, one.told[0].what[:60]) for one in found]
        print_table(["when", "who", "what"], rows)


def _summary(compared: Comparison) -> dict[str, Any]:
    def plain(found: Sequence[Waking]) -> list[dict[str, Any]]:
        return [{"time": iso(one.at), "who": one.who, "what": one.told[0].what} for one in found]

    return {
        "alike": [
            {"who": ours.who, "here": iso(ours.at), "there": iso(theirs.at), "seconds": seconds}
            for (ours, theirs), seconds in zip(compared.alike, compared.seconds, strict=True)
        ],
        "only_here": plain(compared.only_here),
        "only_there": plain(compared.only_there),
        "further": plain(compared.further),
    }
