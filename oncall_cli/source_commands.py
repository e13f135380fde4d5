"""`oncall source try`: what a source's payload becomes, without sending it."""

import json
from pathlib import Path
from typing import Any

from oncall import events
from oncall.alerts.event import SourceEvent
from oncall.alerts.group import AlertGroup
from oncall.alerts.keys import Key
from oncall.clock import now
from oncall.errors import WebhookError
from oncall.roster import parse
from oncall.roster.attributes import suggestion
from oncall.roster.sources import CLOUDWATCH
from oncall_cli.errors import CommandError
from oncall_cli.output import print_json, say
from oncall_cli.roster_file import RosterFileError, read_file


def attempt(file: Path, *, source: str, roster_file: Path, product: str, as_json: bool) -> None:
    """Shows what a payload becomes."""
    payload = _payload(file)
    is_built_in = source in events.BUILT_IN
    # The roster may say of CloudWatch's alarms what they are; the other built-in sources need none.
    sources = _sources(roster_file) if not is_built_in or (source == CLOUDWATCH and roster_file.exists()) else {}
    known = sources.get(source)
    if known is None and not is_built_in:
        choices = [*events.BUILT_IN, *sources]
        raise CommandError(
            f"there is no source {source!r} in {roster_file}, under sources{suggestion(source, choices)}"
        )
    moment = now()
    try:
        said = events.read(source, payload, product, known, received_at=moment)
    except WebhookError as error:
        raise CommandError(f"this is no event of {source}: {error}") from error
    shown = _shown(source, said, moment) if said else {"source": source, "status": "ignored"}
    if as_json:
        print_json(shown)
    elif said is None:
        say("It says nothing of an alert: a test, or a state between. It would be accepted and open nothing.")
    else:
        _print(shown)


def _shown(source: str, said: SourceEvent | AlertGroup, moment: int) -> dict[str, Any]:
    group = events.as_group(source, Key("try"), said, received_at=moment)
    alert = group.alerts[0]
    return {
        "source": source,
        "status": said.status if isinstance(said, SourceEvent) else "resolved" if group.is_over else "firing",
        "severity": group.severity,
        "severity_note": group.severity_note,
        "product": group.product,
        "dedup": group.key,
        "alerts": len(group.alerts),
        "summary": alert.annotations.get("summary", ""),
        "description": alert.annotations.get("description", ""),
        "link": group.external_url or alert.generator_url,
        "labels": dict(alert.labels),
    }


def _print(shown: dict[str, Any]) -> None:
    rings = "phones ring" if shown["severity"] == "critical" else "Slack only"
    note = f" ({shown['severity_note']})" if shown["severity_note"] else ""
    told = {**shown, "severity": f"{shown['severity']}: {rings}{note}"}
    for name, value in told.items():
        if value and name not in ("labels", "severity_note"):
            say(f"{name}: {value}")
    for name, value in shown["labels"].items():
        say(f"  {name}: {value}")


def _payload(file: Path) -> dict[str, Any]:
    try:
        payload = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error
    if not isinstance(payload, dict):
        raise CommandError(f"{file} is not a JSON object, which is what sources post")
    return payload


def _sources(roster_file: Path) -> Any:
    try:
        roster, problems = parse(read_file(roster_file).document)
    except RosterFileError as error:
        raise CommandError(
            f"{roster_file} {error}: a source that is not built in stands there (--roster FILE)"
        ) from error
    for problem in problems:
        if problem.path[:1] == ("sources",):
            raise CommandError(f"{roster_file}: {problem}")
    return roster.sources
