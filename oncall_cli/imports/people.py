"""People of the source as responders of a roster: their ids, and numbers from the export or a file."""

import csv
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from oncall_cli.errors import CommandError
from oncall_cli.imports.model import Person, Report
from oncall_cli.phone_numbers import advise

RESERVED = ("everyone", "nobody")


def slug(text: str) -> str:
    """Letters, digits, '.', '_' and '-' of a name, as an id of the roster; empty if it has none of them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:50]


def unique(wanted: str, taken: Container[str]) -> str:
    """The id, or with a number behind it if it is taken or means something else in a roster."""
    names = chain([wanted], (f"{wanted}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken and name not in RESERVED)


def responder_ids(people: Iterable[Person]) -> dict[str, str]:
    """An id for each person, from the first part of their address, or their name; in the order of the people."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for person in people:
        wanted = slug(person.email.partition("@")[0]) or slug(person.name) or slug(person.id) or "person"
        found[person.id] = unique(wanted, taken)
        taken.add(found[person.id])
    return found


def with_numbers(people: Mapping[str, Person], file: Path | None, report: Report) -> dict[str, Person]:
    """The people with the numbers of the file, which come before the export's own. Numbers are E.164 afterwards."""
    numbers = _read_numbers(file) if file else {}
    found = {}
    for person in people.values():
        names = (person.email, person.id, person.name, *person.names)
        row = next((numbers[name.strip().lower()] for name in names if name.strip().lower() in numbers), {})
        phone, slack = row.get("phone") or person.phone, row.get("slack_user") or person.slack_user
        found[person.id] = replace(person, phone=phone, slack_user=slack)
    known = {name.strip().lower() for p in people.values() for name in (p.email, p.id, p.name, *p.names)}
    for name in numbers:
        if name not in known:
            report.add("note", str(file), f"{name} is nobody in the export")
    return found


def international(phone: str) -> str | None:
    """A number in E.164; None if it is none. What is written between its digits is left out."""
    return advise(phone if phone.startswith("+") else f"+{phone}").number or None


def _read_numbers(file: Path) -> dict[str, dict[str, str]]:
    """Rows by whoever their first column names (address, id or name), with `phone` and maybe `slack_user`."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not rows or "phone" not in rows[0]:
        raise CommandError(f"{file}: has no column phone: begin it with the line: email,phone (with a comma)")
    first = next(iter(rows[0]))
    found: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, 2):
        name = (row.get(first) or "").strip().lower()
        phone = (row.get("phone") or "").strip()
        if not name or not phone:
            continue
        if international(phone) is None:
            raise CommandError(f"{file}:{number}: the number of {name} is none: write it like +12025550100")
        if name in found:
            raise CommandError(f"{file}:{number}: {name} is there a second time")
        found[name] = {"phone": phone, "slack_user": (row.get("slack_user") or "").strip()}
    return found
