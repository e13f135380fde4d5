"""Reads what a source exported: a JSON file or a folder of them, and each field of it with a note of what nobody read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from oncall.roster.attributes import kind_of
from oncall_cli.errors import CommandError
from oncall_cli.imports.model import Report
from oncall_cli.imports.time_zones import iana_name

MAX_BYTES = 200_000_000
MAX_FILES = 50_000


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the export: `name` is its path within the folder."""

    name: str
    body: Any


def read_documents(path: Path) -> list[Document]:
    """All JSON files of a folder, by name, or the one file. Raises CommandError for what cannot be read."""
    if not path.exists():
        raise CommandError(f"{path}: there is no such file or folder")
    files = sorted(file for file in path.rglob("*") if file.suffix in (".json", ".tfstate", ".ics") and file.is_file())
    files = files if path.is_dir() else [path]
    if not files:
        raise CommandError(f"{path}: has no .json file: save the exports there (docs/move-in.md)")
    if len(files) > MAX_FILES or sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise CommandError(
            f"{path}: is larger than {MAX_BYTES // 10**6} MB or {MAX_FILES} files: is it the right folder?"
        )
    return [Document(str(file.relative_to(path)) if path.is_dir() else file.name, _body(file)) for file in files]


def _body(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: is not in UTF-8: export it again") from error
    if file.suffix == ".ics":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file}: is not JSON, or was cut off: {error}: export it again") from error


@dataclass(slots=True)
class Fields:
    """An object of the export. Each field that is asked for counts as read; `done` reports those that nobody asked for."""

    kind: str
    body: Mapping[str, Any]
    report: Report
    where: str
    read: set[str] = field(default_factory=set)

    def value(self, key: str) -> Any:
        self.read.add(key)
        return self.body.get(key)

    def text(self, key: str, default: str = "") -> str:
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value).strip()
        self._wrong(key, "text", value)
        return default

    def number(self, key: str, default: int) -> int:
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._wrong(key, "a number", value)
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.value(key)
        if isinstance(value, bool) or value is None:
            return default if value is None else value
        self._wrong(key, "true or false", value)
        return default

    def items(self, key: str, kind: str) -> list["Fields"]:
        """The objects of a list; what is none is an error."""
        value = self.value(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(key, "a list", value)
            return []
        found = []
        for number, body in enumerate(value, 1):
            if isinstance(body, dict):
                found.append(Fields(kind, body, self.report, f"{self.where}, {kind} {number}"))
            else:
                self._wrong(key, "a list of objects", body)
        return found

    def texts(self, key: str) -> list[str]:
        value = self.value(key)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(part, str | int) for part in value):
            return [str(part) for part in value]
        self._wrong(key, "a list of texts", value)
        return []

    def inner(self, key: str, kind: str) -> "Fields | None":
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return Fields(kind, value, self.report, self.where)
        self._wrong(key, "an object", value)
        return None

    def moment(self, key: str) -> datetime | None:
        """A moment: RFC 3339, or epoch milliseconds. One without an offset is in UTC."""
        value = self.value(key)
        if value in (None, ""):
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value / 1000, UTC)
            moment = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError, OSError):
            self.report.add("error", self.where, f"{self.kind} {key}: {value!r} is not a moment: export it again")
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)

    def time_zone(self, key: str, given: Mapping[str, str]) -> ZoneInfo:
        """The time zone, also by Windows' name; `given` are the ones that the caller of the command translates."""
        name = self.text(key) or "UTC"
        known = iana_name(given.get(name, name))
        if known is None:
            self.report.add(
                "error",
                self.where,
                f"there is no time zone {name!r}: say which it is with --time-zone '{name}=Europe/Berlin'",
            )
        return ZoneInfo(known or "UTC")

    def ignore(self, *keys: str) -> None:
        """Fields that mean nothing for who is rung and when."""
        self.read.update(keys)

    def done(self) -> None:
        """Reports the fields that have a value and that nobody asked for."""
        for key, value in self.body.items():
            known = key in self.read
            name = f"{self.kind}.{key}"
            self.report.fields[name] = self.report.fields.get(name, True) and known
            if not known and value not in (None, "", [], {}, False):
                self.report.add(
                    "not mapped", self.kind, f"the field {key} is not known to this import: look at it by hand"
                )

    def _wrong(self, key: str, wanted: str, value: object) -> None:
        self.report.add(
            "error",
            self.where,
            f"{self.kind} {key}: expected {wanted}, found {kind_of(value)}: is it of another version?",
        )


def objects(documents: list[Document], report: Report, *keys: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The objects that the documents hold under one of these keys, as (document, key, object). A key holds one or a list."""
    for document in documents:
        if not isinstance(document.body, dict):
            continue
        for key in keys:
            value = document.body.get(key)
            for body in value if isinstance(value, list) else [value]:
                if isinstance(body, dict):
                    yield document.name, key, body
                elif body is not None:
                    report.add(
                        "error", document.name, f"{key}: expected objects, found {kind_of(body)}: export it again"
                    )
