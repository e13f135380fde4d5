"""`oncall roster ...`: check, diff, apply, show, history, rollback."""

import getpass
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from oncall.roster import Roster, parse, to_document
from oncall_cli.errors import CommandError
from oncall_cli.output import confirm, note, print_json, print_table, say
from oncall_cli.roster_check import Finding, check
from oncall_cli.roster_diff import changes, first_calls
from oncall_cli.roster_file import RosterFile, RosterFileError, parse_text, read_file
from oncall_cli.target import Target
from oncall_cli.when import shown


def check_file(path: Path, *, as_json: bool) -> None:
    """Prints the findings; exits with 1 if one is an error."""
    try:
        roster, findings = check(read_file(path), datetime.now(UTC))
    except RosterFileError as error:
        roster, findings = None, [Finding("error", error.line, "", str(error))]
    errors = [finding for finding in findings if finding.level == "error"]
    if as_json:
        print_json({"file": str(path), "ok": not errors, "findings": [asdict(finding) for finding in findings]})
    else:
        _print_findings(path, findings)
        if not errors and roster:
            say(f"{path}: good: {_summary(roster)}")
    if errors:
        raise typer.Exit(1)


def diff_file(target: Target, path: Path, *, as_json: bool) -> None:
    """Prints what would change; exits with 1 if anything would."""
    from oncall_cli import roster_table

    _, roster = _checked(path)
    current = roster_table.read(target)
    if _print_changes(current.roster, roster, as_json=as_json):
        raise typer.Exit(1)


def apply_file(target: Target, path: Path, *, yes: bool, force: bool, as_json: bool) -> None:
    """Applies a file that has no errors."""
    from oncall_cli import roster_table

    file, roster = _checked(path)
    current = roster_table.read(target)
    versions = roster_table.history(target)
    if current.roster.version and not current.problems and not changes(current.roster, roster):
        note(f"{target.name} has this roster already: version {current.roster.version}")
        if as_json:
            print_json({"version": current.roster.version, "applied": False})
        return
    if not force:
        _refuse_older(path, file, current, versions)
    _apply(
        target,
        current,
        roster,
        file.text,
        f"Apply {path} to {target.name}?",
        yes=yes,
        as_json=as_json,
        commit=_commit(path),
    )


def rollback(target: Target, number: int | None, *, yes: bool, as_json: bool) -> None:
    """Applies the file of an earlier version again."""
    from oncall_cli import roster_table

    current = roster_table.read(target)
    version = _version(roster_table.history(target), number if number is not None else _before(target))
    roster, problems = parse(parse_text(version.text).document)
    if problems:
        raise CommandError(f"version {version.number} has problems today: {'; '.join(map(str, problems))}")
    question = f"Apply version {version.number} again to {target.name}?"
    _apply(target, current, roster, version.text, question, yes=yes, as_json=as_json, commit=version.commit)


def show(target: Target, number: int | None, *, as_json: bool) -> None:
    """Prints the current roster, or an earlier version's file."""
    from oncall_cli import roster_table

    if number is not None:
        version = _version(roster_table.history(target), number)
        if as_json:
            print_json(asdict(version))
        else:
            typer.echo(version.text, nl=False)
        return
    current = roster_table.read(target)
    for problem in current.problems:
        note(f"{target.name}: {problem}")
    if as_json:
        meta = {"version": current.roster.version, "applied_at": current.roster.applied_at}
        overrides = [asdict(override) for override in current.roster.overrides.values()]
        print_json(meta | to_document(current.roster) | {"overrides": overrides})
        return
    applied = next((v for v in roster_table.history(target) if v.number == current.roster.version), None)
    if applied and not _changed_by_hand(current.roster, applied.text):
        typer.echo(applied.text, nl=False)
    else:
        note(f"{target.name}: was made or changed by hand; this is what counts now")
        typer.echo(_as_yaml(current.roster), nl=False)


def show_history(target: Target, *, as_json: bool) -> None:
    """Lists the versions."""
    from oncall_cli import roster_table

    versions = roster_table.history(target)
    current = roster_table.read(target).roster.version
    if as_json:
        print_json([asdict(version) | {"current": version.number == current} for version in versions])
        return
    rows = [
        (
            f"{v.number}{' (current)' if v.number == current else ''}",
            shown(v.applied_at),
            v.applied_by,
            (v.commit or "")[:12],
            _summary(parse(parse_text(v.text).document)[0]),
        )
        for v in versions
    ]
    print_table(["version", "applied", "by", "commit", "roster"], rows)


def _checked(path: Path) -> tuple[RosterFile, Roster]:
    try:
        file = read_file(path)
    except RosterFileError as error:
        line = f":{error.line}" if error.line else ""
        raise CommandError(f"{path}{line}: {error}") from error
    roster, findings = check(file, datetime.now(UTC))
    _print_findings(path, findings, to_stderr=True)
    if any(finding.level == "error" for finding in findings):
        raise CommandError(f"{path} has errors; nothing was changed")
    return file, roster


def _print_findings(path: Path, findings: list[Finding], *, to_stderr: bool = False) -> None:
    for finding in findings:
        line = f":{finding.line}" if finding.line else ""
        where = f"{finding.where}: " if finding.where else ""
        say(f"{path}{line}: {finding.level}: {where}{finding.message}", err=to_stderr)


def _print_changes(before: Roster, after: Roster, *, as_json: bool) -> bool:
    found, calls = changes(before, after), first_calls(before, after, datetime.now(UTC))
    if as_json:
        print_json(
            {"changes": [asdict(change) for change in found], "first_calls": [asdict(change) for change in calls]}
        )
    else:
        for change in [*found, *calls]:
            say(str(change))
        if not found:
            say("no changes")
    return bool(found)


def _apply(
    target: Target,
    current: Any,
    roster: Roster,
    text: str,
    question: str,
    *,
    yes: bool,
    as_json: bool,
    commit: str | None,
) -> None:
    from oncall_cli import other_stack, roster_table

    now = datetime.now(UTC)
    for change in [*changes(current.roster, roster), *first_calls(current.roster, roster, now)]:
        note(str(change))
    confirm(question, yes=yes)
    version = roster_table.apply(target, current, roster, text=text, by=getpass.getuser(), now=now, commit=commit)
    if as_json:
        print_json({"version": version.number, "applied": True})
    else:
        say(f"applied version {version.number}: {_summary(roster)}")
    other_stack.tell(target)


def _refuse_older(path: Path, file: RosterFile, current: Any, versions: list[Any]) -> None:
    """Raises CommandError if applying the file would undo a change that is newer than it."""
    number = current.roster.version
    applied = next((v for v in versions if v.number == number), None)
    if applied and _changed_by_hand(current.roster, applied.text):
        raise CommandError(
            f"the table was changed by hand since version {number}: take over what you need (oncall roster show), "
            "then apply with --force"
        )
    older = next((v for v in versions if v.number < number and v.text == file.text), None)
    if older:
        raise CommandError(
            f"{path} is version {older.number}, and version {number} is newer: to go back, oncall roster rollback "
            f"{older.number}, or --force"
        )
    head = _git(path, "rev-parse", "HEAD")
    if head and applied and applied.commit and _git(path, "merge-base", "--is-ancestor", applied.commit, head) is None:
        raise CommandError(
            f"version {number} was applied by {applied.applied_by} from commit {applied.commit[:12]}, which is not in your "
            "branch: pull or merge it first, or --force"
        )


def _changed_by_hand(roster: Roster, text: str) -> bool:
    return bool(changes(parse(parse_text(text).document)[0], roster))


def _commit(path: Path) -> str | None:
    """The last commit of the file; None outside of a repository."""
    return _git(path, "log", "-1", "--format=%H", "--", path.name) or None


def _git(path: Path, *arguments: str) -> str | None:
    """What git says in the file's folder; None if it fails, or is not there."""
    try:
        done = subprocess.run(  # noqa: S603  fixed commands
            ["git", "-C", str(path.resolve().parent), *arguments],  # noqa: S607  the person's own git
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _before(target: Target) -> int:
    from oncall_cli import roster_table

    versions = roster_table.history(target)
    current = roster_table.read(target).roster.version
    replaced = next((version.replaced for version in versions if version.number == current), 0)
    if not replaced:
        raise CommandError("there is no version before this one: see oncall roster history")
    return replaced


def _version(versions: list[Any], number: int) -> Any:
    found = next((version for version in versions if version.number == number), None)
    if found is None:
        raise CommandError(f"there is no version {number}: see oncall roster history")
    return found


def _summary(roster: Roster) -> str:
    counts = (
        (len(roster.responders), "responder"),
        (len(roster.schedules), "schedule"),
        (len(roster.policies), "policy"),
        (len(roster.products), "product"),
    )
    plural = {"policy": "policies"}
    return ", ".join(f"{n} {word if n == 1 else plural.get(word, word + 's')}" for n, word in counts if n)


def _as_yaml(roster: Roster) -> str:
    import yaml

    document = {key: value for key, value in to_document(roster).items() if value}
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)
