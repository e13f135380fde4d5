"""What another on-call system says that it has told people, as CSV, and wherein ours differs from it.

PagerDuty (REST API, GET /notifications): id, type, started_at, address, user. Opsgenie (Alert API, GET
/v2/alerts/{id}/recipients): user.username, state, method, createdAt. What columns the files have that their web pages
export is published by neither: so columns are known by several names, and one that is called otherwise can be named.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from oncall.clock import parse_instant
from oncall.roster import Roster
from oncall_cli.errors import CommandError

QUIET_MS = 900_000  # what follows sooner upon what a person was told last wakes nobody who is not awake
LISTED = 10  # names in a message

# Letters and digits of the names under which a column is known, the most telling first.
COLUMNS: Mapping[str, Sequence[str]] = {
    "time": ("startedat", "createdat", "time", "notificationtime", "sentat", "senttime", "timestamp", "date"),
    "who": (
        "who",
        "usersummary",
        "userusername",
        "username",
        "responder",
        "recipient",
        "user",
        "owner",
        "useremail",
        "email",
        "name",
    ),
    "type": ("type", "method", "notificationtype", "contactmethod", "channel"),
    "what": ("what", "incident", "incidentsummary", "alert", "alertmessage", "message", "title", "summary"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """A person was rung, texted or pushed, or would have been. `at` is in epoch milliseconds.

    `is_first`: nobody was rung before them for the same, as far as that is known.
    """

    at: int
    who: str
    what: str = ""
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class Waking:
    """What a person was told in a row, with less than a quarter of an hour between two: it wakes them once."""

    who: str
    told: tuple[Told, ...]

    @property
    def at(self) -> int:
        """When it began."""
        return self.told[0].at


@dataclass(frozen=True, slots=True)
class Comparison:
    """`alike`: those of both, ours first. `further`: ours of people who were not the first to be rung, of whom the other
    system knows nothing: there somebody had taken it by then, which a shadow does not hear of.
    """

    alike: tuple[tuple[Waking, Waking], ...]
    only_here: tuple[Waking, ...]
    only_there: tuple[Waking, ...]
    further: tuple[Waking, ...]

    @property
    def seconds(self) -> list[int]:
        """How much later than the other system we were, for each that is alike."""
        return [round((ours.at - theirs.at) / 1000) for ours, theirs in self.alike]

    @property
    def median(self) -> float | None:
        """Of those seconds."""
        return median(self.seconds) if self.alike else None


@dataclass(frozen=True, slots=True)
class Log:
    """What a file says. `mails` were left out: they wake nobody. `strangers` are people whom the roster does not know.

    `columns` are those that were read, by their meaning, and `unread` the others.
    """

    told: tuple[Told, ...]
    columns: Mapping[str, str]
    unread: tuple[str, ...]
    mails: int
    strangers: tuple[str, ...]


def read(path: Path, known: Roster, *, columns: Mapping[str, str], people: Mapping[str, str], zone: str | None) -> Log:
    """Reads a file. `columns` names columns by their meaning, `people` responders by their name there.

    `zone` is that of times that name none. Raises CommandError, which says what to do.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    rows = csv.DictReader(text.splitlines(), strict=True)
    try:
        header = list(rows.fieldnames or [])
        found = {meaning: _column(header, meaning, columns.get(meaning)) for meaning in COLUMNS}
        if missing := [meaning for meaning in ("time", "who") if not found[meaning]]:
            raise CommandError(_without(path, missing, header))
        names = _Names(known, people)
        told, mails = [], 0
        for row in rows:
            values = {meaning: (row.get(name) or "").strip() for meaning, name in found.items() if name}
            kind = values.get("type", "").lower()
            if kind.endswith("_log_entry"):
                raise CommandError(
                    f"{path}: is PagerDuty's list of log entries, which are more than notifications: "
                    "save GET /notifications (docs/move-in.md)"
                )
            if "mail" in kind:
                mails += 1
            elif values["who"]:
                at = _moment(values["time"], zone, f"{path}, line {rows.line_num}")
                told.append(Told(at, names.of(values["who"]), values.get("what", "")))
    except csv.Error as error:
        raise CommandError(f"{path}, line {rows.line_num}: it is no CSV: {error}") from error
    named = {meaning: name for meaning, name in found.items() if name}
    unread = tuple(name for name in header if name not in named.values())
    ordered = tuple(sorted(told, key=lambda one: one.at))
    return Log(ordered, named, unread, mails, tuple(sorted(names.strangers)))


def compare(ours: Iterable[Told], theirs: Iterable[Told], *, within: int) -> Comparison:
    """Pairs what woke a person here and there, the nearest first, if no more than `within` seconds lie between them."""
    here, there = _wakings(ours), _wakings(theirs)
    near = sorted(
        (abs(one.at - other.at), first, second)
        for first, one in enumerate(here)
        for second, other in enumerate(there)
        if one.who == other.who and abs(one.at - other.at) <= within * 1000
    )
    paired: dict[int, int] = {}
    for _, first, second in near:
        if first not in paired and second not in paired.values():
            paired[first] = second
    alone = [one for number, one in enumerate(here) if number not in paired]
    return Comparison(
        alike=tuple((here[first], there[second]) for first, second in sorted(paired.items())),
        only_here=tuple(one for one in alone if any(ring.is_first for ring in one.told)),
        only_there=tuple(one for number, one in enumerate(there) if number not in paired.values()),
        further=tuple(one for one in alone if not any(ring.is_first for ring in one.told)),
    )


def _wakings(told: Iterable[Told]) -> list[Waking]:
    rows: dict[str, list[list[Told]]] = {}
    for one in sorted(told, key=lambda one: one.at):
        own = rows.setdefault(one.who, [])
        if own and one.at - own[-1][-1].at < QUIET_MS:
            own[-1].append(one)
        else:
            own.append([one])
    wakings = [Waking(who, tuple(row)) for who, own in rows.items() for row in own]
    return sorted(wakings, key=lambda waking: waking.at)


class _Names:
    """Knows responders by their id, their name, the first part of an address that is made of one, or as they were named."""

    def __init__(self, known: Roster, people: Mapping[str, str]) -> None:
        self.strangers: set[str] = set()
        self._known: dict[str, str] = {}
        for responder in known.responders.values():
            self._known |= {_plain(responder.id): responder.name, _plain(responder.name): responder.name}
        for theirs, ours in people.items():
            if ours not in known.responders:
                raise CommandError(f"--person {theirs}={ours}: the roster has no responder {ours!r}")
            self._known[_plain(theirs)] = self._known[_plain(theirs.partition("@")[0])] = known.responders[ours].name

    def of(self, written: str) -> str:
        """The responder's name; what was written if there is none."""
        name = self._known.get(_plain(written)) or self._known.get(_plain(written.partition("@")[0]))
        if name is None:
            self.strangers.add(written)
        return name or written


def _plain(text: str) -> str:
    return "".join(re.findall(r"\w", text.casefold())).replace("_", "")


def _column(header: Sequence[str], meaning: str, named: str | None) -> str | None:
    if named is not None:
        if named not in header:
            raise CommandError(f"--column {meaning}={named}: the file has {', '.join(header)[:500] or 'no columns'}")
        return named
    plain = {_plain(name): name for name in reversed(header)}
    return next((plain[known] for known in COLUMNS[meaning] if known in plain), None)


def _without(path: Path, missing: Sequence[str], header: Sequence[str]) -> str:
    if any(parse_instant(name) for name in header):
        return f"{path}: its first line is no line of names: write one above it, like time,type,address,who"
    options = " ".join(f"--column '{meaning}=NAME'" for meaning in missing)
    semicolons = "; its columns have to stand between commas" if len(header) == 1 and ";" in header[0] else ""
    return (
        f"{path}: which column is the {' and the '.join(missing)}? It has {', '.join(header)[:500] or 'none'}. "
        f"If it is a log of notifications, name them: {options}{semicolons}"
    )


def _moment(text: str, zone: str | None, where: str) -> int:
    if re.fullmatch(r"[0-9]{13}", text):
        return int(text)
    moment = parse_instant(text)
    if moment is None:
        raise CommandError(f"{where}: {text[:50]!r} is not a time: it has to be ISO 8601, or epoch milliseconds")
    if moment.tzinfo is None:
        if zone is None:
            raise CommandError(f"{where}: {text[:50]!r} does not say in which time zone: --time-zone Europe/Berlin")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return round(moment.astimezone(UTC).timestamp() * 1000)


def iso(at: int) -> str:
    """A time as our own log has it."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
