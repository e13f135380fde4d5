"""What commands print: JSON for programs, tables for people, questions to people at a terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import typer

from oncall.text import all_seen, seen
from oncall_cli.errors import CommandError


def print_json(value: Any) -> None:
    """Moments are ISO 8601 in UTC."""
    typer.echo(json.dumps(all_seen(value), ensure_ascii=False, indent=2, default=_plain))


def say(message: str, *, err: bool = False) -> None:
    """Prints a line, or several: what others wrote in it moves no cursor and turns no line around."""
    typer.echo(seen(message), err=err)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return int(value)
    raise TypeError(f"{type(value)} has no form in JSON")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table; colours only on a terminal, and whole lines where the output goes to a file."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(seen(cell)) for cell in row))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    console.print(table)


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person at a terminal; a program has decided already. Raises CommandError for a no."""
    if not yes and sys.stdin.isatty() and not typer.confirm(seen(question), err=True):
        raise CommandError("nothing was changed")


def note(message: str) -> None:
    """Tells a person something beside the result."""
    say(message, err=True)
