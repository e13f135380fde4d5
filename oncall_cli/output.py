"""What commands print: JSON for programs, tables for people, questions to people at a terminal."""

import json
import shutil
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

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:  # what is to be copied stays in one piece, and nothing is cut
        table.add_column(column, no_wrap=column in ("id", "opened", "name", "heartbeat"), overflow="fold")
    for row in rows:
        table.add_row(*(Text(seen(cell)) for cell in row))
    console = Console(highlight=False, width=terminal_columns() or 240)
    console.print(table)


def terminal_columns() -> int | None:
    """How wide the terminal is; None where the output goes to a file or a program: lines stay whole there."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def counted(count: int, what: str) -> str:
    """A number of things: 1 call, 2 calls."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person at a terminal; a program has to say --yes. Raises CommandError for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("nothing was changed: there is no terminal to ask at. Give --yes")
    if not typer.confirm(seen(question), err=True):
        raise CommandError("nothing was changed")


def note(message: str) -> None:
    """Tells a person something beside the result."""
    say(message, err=True)
