"""Reads a roster file: plain YAML, nothing that builds objects or grows when read, and the line of each part."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 300_000  # the text is kept with each version as one item of the table, and DynamoDB takes 400 KB
MAX_DEPTH = 10  # a layer's hours are 6 deep
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")

type Location = tuple[str | int, ...]


class RosterFileError(Exception):
    """The file cannot be read at all. `line` counts from 1; None if it is about the whole file."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class RosterFile:
    """A file's text, what it says, and the line (from 1) where each part of it stands."""

    text: str
    document: dict[str, Any]
    lines: dict[Location, int]

    def line(self, location: Location) -> int | None:
        """The line of a part, or of the nearest thing around it; None for the whole file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def read_file(path: Path) -> RosterFile:
    """Raises RosterFileError for a file that is missing, too large, not UTF-8, or not plain YAML with keys at its top."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RosterFileError(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise RosterFileError(
            f"is larger than {MAX_BYTES // 1000} KB, the most that a version of the roster can have: "
            "is it the right file?"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RosterFileError("is not in UTF-8: save it in that encoding", line) from error
    return parse_text(text)


def parse_text(text: str) -> RosterFile:
    """Raises RosterFileError."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"is not YAML: {error.problem or error.context}"
        raise RosterFileError(message, mark.line + 1 if mark else None) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise RosterFileError(f"is not YAML: {str(error).splitlines()[0]}") from error
    if builder.root is None:
        raise RosterFileError(
            "is empty: write at least responders:, each with an id and a number (oncall roster schema)"
        )
    if not isinstance(builder.root, dict):
        raise RosterFileError("has no keys at its top: begin with responders:, and below it each id and number", 1)
    return RosterFile(text, builder.root, builder.lines)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    value: dict[str, Any] | list[Any]
    location: Location
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Builds the document from YAML's events, without recursion."""

    root: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    documents: int = 0
    stack: list[_Open] = field(default_factory=list)

    def add(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise RosterFileError("holds a second document: remove the line ---", line)
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RosterFileError("uses an anchor or alias (& or *), which is not read: write it out", line)
        elif getattr(event, "tag", None) not in (None, "!"):
            raise RosterFileError(f"uses a tag ({event.tag}), which is not read: remove it", line)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._start({}, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._start([], line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()

    def _start(self, value: dict[str, Any] | list[Any], line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise RosterFileError(f"is nested more than {MAX_DEPTH} deep", line)
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None:
            raise RosterFileError("has a list or settings where a key should be: write key: value", line)
        self.stack.append(_Open(value, self._place(value, line)))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.value, dict) and top.key is None:
            location = (*top.location, event.value)
            if event.value in top.value:
                raise RosterFileError(f"has {event.value!r} a second time (see line {self.lines[location]})", line)
            top.key = event.value
            self.lines[location] = line
        else:
            self._place(_plain_value(event.value) if event.implicit[0] else event.value, line)

    def _place(self, value: Any, line: int) -> Location:
        """Puts a value where it belongs and returns its location."""
        if not self.stack:
            self.root = value
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            location: Location = (*top.location, len(top.value))
            self.lines[location] = line
            top.value.append(value)
        else:
            assert top.key is not None  # noqa: S101  a value comes after its key; the callers see to it
            location = (*top.location, top.key)
            top.value[top.key] = value
            top.key = None
        return location


def _plain_value(text: str) -> Any:
    """What an unquoted word means. +1202..., 18:00 and dates stay text, where YAML 1.1 would make numbers of them."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    return int(text) if _INTEGER.fullmatch(text) and len(text) < 19 else text
