"""`oncall import ...`: reads an export, writes a roster, and compares the two."""

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
import yaml

from oncall.roster import parse
from oncall_cli.errors import CommandError
from oncall_cli.imports import compare as comparison
from oncall_cli.imports import goalert, grafana_oncall, opsgenie, pagerduty, terraform
from oncall_cli.imports.api import fetch
from oncall_cli.imports.documents import Document, read_documents
from oncall_cli.imports.model import Imported, Level, Report
from oncall_cli.imports.people import with_numbers
from oncall_cli.imports.roster_writer import WRITTEN_OUT, Names, document
from oncall_cli.imports.time_zones import iana_name
from oncall_cli.output import note, print_json, print_table, say
from oncall_cli.roster_check import check
from oncall_cli.roster_file import MAX_BYTES, RosterFileError, parse_text, read_file
from oncall_cli.when import parse_moment, shown

SOURCES: Mapping[str, ModuleType] = {
    "opsgenie": opsgenie,
    "pagerduty": pagerduty,
    "grafana-oncall": grafana_oncall,
    "goalert": goalert,
}
_TITLES: Mapping[Level, str] = {
    "error": "errors",
    "not mapped": "not mapped",
    "changed": "different here",
    "note": "notes",
}
_LINE = re.compile(r"^# oncall import (.+)$", re.MULTILINE)


def write(
    source: str,
    path: Path | None,
    out: Path | None,
    *,
    api: bool,
    phones: Path | None,
    time_zones: list[str],
    force: bool,
    as_json: bool,
) -> None:
    """Writes the roster to `out`, whole or not at all, and prints the report. Exits with 1 if it was not written."""
    now = datetime.now(UTC)
    if out and out.exists() and not force:
        raise CommandError(f"{out} is there already: give another name, or --force")
    if api == (path is not None):
        raise CommandError("what is to be imported? Give the folder that was exported, or --api, one of them")
    imported = _read(source, path, phones, time_zones)
    body, names = document(imported, now)
    text = _text(body, _command(source, path, out, phones, time_zones), now)
    report = imported.report
    if not report.errors:
        _examine(text, report, now)
    written = bool(out) and not report.errors
    if out and written:
        _replace(out, text)
    _print(source, imported, names, text, out if written else None, as_json=as_json)
    if report.errors:
        raise CommandError(
            f"{out or 'the roster'} was not written; nothing was changed: fix the errors above ({len(report.errors)})"
        )


def compare(
    source: str | None,
    path: Path | None,
    roster_path: Path,
    *,
    phones: Path | None,
    time_zones: list[str],
    days: int,
    start: str,
    as_json: bool,
) -> None:
    """Prints each difference between the source and the roster; exits with 1 if there is one."""
    now = datetime.now(UTC)
    try:
        file = read_file(roster_path)
    except RosterFileError as error:
        raise CommandError(f"{roster_path}: {error}") from error
    if source is None:
        source, path, phones, time_zones = _remembered(file.text, roster_path)
    elif source not in SOURCES:
        raise CommandError(f"{source!r} is no system that can be read: {', '.join(SOURCES)}")
    imported = _read(source, path, phones, time_zones)
    roster, problems = parse(file.document)
    if problems:
        raise CommandError(f"{roster_path} has errors: see oncall roster check {roster_path}")
    _, names = document(imported, now)
    begin = parse_moment(start, now)
    found = comparison.compare(imported, names, roster, begin, days)
    differences = [difference for compared in found for difference in compared.differences]
    if as_json:
        schedules = [asdict(compared) for compared in found]
        print_json(
            {"source": source, "from": begin, "days": days, "schedules": schedules, "differences": len(differences)}
        )
    else:
        _print_comparison(found, imported.report, f"for {days} days from {shown(begin)}")
    if differences:
        raise typer.Exit(1)


def _print_comparison(found: list[comparison.Compared], report: Report, when: str) -> None:
    rows = [
        (c.schedule, ", ".join(c.ours), f"{c.hours_by_export:g}", f"{c.hours_by_rules:g}", str(len(c.differences)))
        for c in found
    ]
    print_table(["schedule there", "here", "hours by the export", "hours by its rules", "differences"], rows)
    differences = [difference for compared in found for difference in compared.differences]
    for d in differences:
        say(
            f"{d.schedule}: {shown(d.start)} to {shown(d.end)}: there {', '.join(d.theirs) or 'nobody'} "
            f"(by {'the export' if d.by == 'export' else 'its rules'}), here {', '.join(d.ours) or 'nobody'}"
        )
    if not differences:
        say(f"the same people are on call there and here, {when}")
    for line in report.notes:
        if line.level == "changed" and line.where.startswith("schedule"):
            note(f"{line.where}: {line.message}")


def _read(source: str, path: Path | None, phones: Path | None, time_zones: list[str]) -> Imported:
    """Reads the export, or without one the API."""
    documents = terraform.documents(source, read_documents(path)) if path else fetch(source, datetime.now(UTC))
    if path:
        _refuse_another(source, path, documents)
    zones = _zones(time_zones)
    read: Callable[[list[Document], Mapping[str, str]], Imported] = SOURCES[source].read
    imported = read(documents, zones)
    if not imported.schedules and not imported.policies and not imported.report.errors:
        raise CommandError(
            f"{path or 'the API'}: has neither schedules nor policies of {source}: see docs/move-in.md for what to save"
        )
    if not imported.people:
        imported.report.add("error", "people", "the export has none: save the users too (docs/move-in.md)")
    people = with_numbers(imported.people, phones, imported.report)
    return Imported(people, imported.schedules, imported.policies, imported.products, imported.report)


_MARKS: Mapping[str, str] = {
    "opsgenie": r'"(userContacts|teamRoutingRules|timeRestriction|closeAlertAfterAll|notifyType)"',
    "pagerduty": r'"(schedule_layers|escalation_rules|rotation_virtual_start|contact_methods)"',
    "grafana-oncall": r'"(rolling_users|escalation_chain_id|rotation_start|grafana_id)"',
    "goalert": r'"(weekdayFilter|userIDs|activeUserIndex|escalationPolicyID)"',
}


def _refuse_another(source: str, path: Path, documents: list[Document]) -> None:
    """Raises CommandError for the export of another system."""
    keys = {f'"{key}"' for document in documents for key in _keys(document.body)}
    found = [name for name, marks in _MARKS.items() if any(re.fullmatch(marks, key) for key in keys)]
    if found and source not in found:
        raise CommandError(f"{path}: looks like an export of {found[0]}: oncall import {found[0]} {path}")


def _keys(body: Any) -> set[str]:
    found: set[str] = set()
    left = [body]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found |= one.keys()
            left += one.values()
        elif isinstance(one, list):
            left += one[:50]
    return found


def _zones(written: list[str]) -> dict[str, str]:
    found = {}
    for one in written:
        name, equals, zone = one.partition("=")
        if not equals or iana_name(zone) is None:
            raise CommandError(
                f"--time-zone {one}: write the name there, =, and a time zone: --time-zone 'CET+1=Europe/Berlin'"
            )
        found[name] = zone
    return found


def _command(source: str, path: Path | None, out: Path | None, phones: Path | None, time_zones: list[str]) -> str:
    """The command that made the roster, with paths as seen from its folder: `compare` reads it there."""
    folder = (out or Path("roster.yaml")).resolve().parent
    words = [source, os.path.relpath(path.resolve(), folder) if path else "--api"]
    words += ["--phones", os.path.relpath(phones.resolve(), folder)] if phones else []
    words += [word for zone in time_zones for word in ("--time-zone", zone)]
    return shlex.join(words)


def _remembered(text: str, roster: Path) -> tuple[str, Path | None, Path | None, list[str]]:
    found = _LINE.search(text)
    words = shlex.split(found[1]) if found else []
    if len(words) < 2 or words[0] not in SOURCES:
        raise CommandError(
            f"{roster}: does not say what it was imported from: say it, oncall import compare pagerduty FOLDER --roster {roster}"
        )
    folder, options = roster.resolve().parent, words[2:]
    phones = next((folder / value for name, value in pairwise(options) if name == "--phones"), None)
    zones = [value for name, value in pairwise(options) if name == "--time-zone"]
    return words[0], None if words[1] == "--api" else folder / words[1], phones, zones


class _Dumper(yaml.SafeDumper):
    """Writes a layer that ends (`until`) on one line: there may be a thousand of them, and a roster may have 300 KB."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        return super().represent_mapping(tag, mapping, "until" in mapping or flow_style)


def _text(body: dict[str, Any], command: str, now: datetime) -> str:
    lines = [
        f"# oncall import {command}",
        "# Compare it with what it came from: oncall import compare --roster THIS_FILE",
    ]
    if written_out := _written_out(body):
        until = f"{now + WRITTEN_OUT:%Y-%m-%d}"
        lines.append(f"# Written out shift by shift until {until}, import again before then: {', '.join(written_out)}")
    lines.append("")
    written = yaml.dump(body, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=140, default_flow_style=None)
    return "\n".join(lines) + written


def _written_out(body: dict[str, Any]) -> list[str]:
    """The schedules that no rotation says: their shifts have no names."""
    return [
        name
        for name, schedule in body.get("schedules", {}).items()
        if any("until" in layer and "name" not in layer for layer in schedule.get("layers", ()))
    ]


def _examine(text: str, report: Report, now: datetime) -> None:
    """Reads the roster as `oncall roster check` does; what it cannot read is an error of the import."""
    if len(text.encode()) > MAX_BYTES:
        report.add(
            "error",
            "roster",
            f"would have more than {MAX_BYTES // 1000} KB: take schedules out of the export that are not used",
        )
        return
    _, findings = check(parse_text(text), now)
    for finding in findings:
        where = finding.where or "roster"
        if finding.level == "error":
            report.add(
                "error" if _unreadable(finding.message) else "note", where, f"roster check will say: {finding.message}"
            )


def _unreadable(message: str) -> bool:
    """What a person has to decide (gaps, two people with one number) is not the import's fault, and can be fixed in the file."""
    return not re.search(r"reaches nobody|has nobody from|is also the number of|is not a number that exists", message)


def _replace(out: Path, text: str) -> None:
    """Writes the file whole: in a folder beside it first, then in its place."""
    try:
        with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=".roster-") as folder:
            beside = Path(folder) / "roster.yaml"
            beside.write_text(text, encoding="utf-8")
            beside.replace(out)
    except OSError as error:
        raise CommandError(
            f"{out}: cannot be written: {error.strerror}: give a file, in a folder that is there, to --out"
        ) from error


def _print(source: str, imported: Imported, names: Names, text: str, out: Path | None, *, as_json: bool) -> None:
    report = imported.report
    counts = {
        "people": len(imported.people),
        "schedules": len(imported.schedules),
        "policies": len(imported.policies),
        "products": len(imported.products),
    }
    if as_json:
        print_json(
            {
                "source": source,
                "out": str(out) if out else None,
                **counts,
                "ids": asdict(names),
                "fields": [{"field": name, "covered": covered} for name, covered in sorted(report.fields.items())],
                "notes": [asdict(line) for line in report.notes],
            }
        )
        return
    if not out and not report.errors:
        typer.echo(text, nl=False)
    for level, title in _TITLES.items():
        messages: dict[str, list[str]] = {}
        for line in report.notes:
            if line.level == level:
                messages.setdefault(line.message, []).append(line.where)
        if messages:
            note(f"{title}:")
        for message, places in messages.items():
            more = f" and {len(places) - 5} more" if len(places) > 5 else ""
            note(f"  {', '.join(places[:5])}{more}: {message}")
    note(", ".join(f"{count} {what}" for what, count in counts.items()))
    if out:
        note(f"wrote {out}: look at it, then oncall import compare --roster {out}, then oncall roster check {out}")
