"""The roster: responders, schedules, escalation policies, products and overrides, and how they lie in the table.

Every part is one item of the partition ROSTER, with plain attributes, so one Query reads all of it and a person can
fix it in the console.

Applied whole: the items of version 12 have `version: 12` and a sort key that ends in `#v12`; the item META, which a
Query meets first, names the version that counts. An apply writes the items of the new version beside the old ones, and
then META, on the condition that nobody else did meanwhile; the old items stay for an hour. So whoever has read META
finds every item of its version in the rest of the same Query, however many pages it takes.
Items without a version (made by hand, and overrides) always count; without META, the version is 0.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from aws_lambda_powertools import Logger

from oncall.clock import LATEST, parse_date
from oncall.roster.attributes import (
    DAYS,
    END_OF_DAY,
    Attributes,
    Problem,
    attributes_of,
    format_days,
    kind_of,
    parse_clock,
    parse_day,
    parse_days,
    unknown,
)
from oncall.roster.heartbeats import Heartbeat, heartbeat_document, read_heartbeat
from oncall.roster.sources import Source, read_source, source_document
from oncall.severities import LEVELS, Level, normal

if TYPE_CHECKING:
    from oncall.table import Table

logger = Logger(child=True)

Language = Literal["ja", "en"]
Answer = Literal["key", "connected"]
StepKind = Literal["everyone", "schedule", "responder"]

PARTITION = "ROSTER"
META = "META"
NOBODY = "nobody"  # a turn that nobody has
EVERYONE = "everyone"  # the step, and the schedule that says whose turn it is
DEFAULT_POLICY = "default"
SHADOW = "shadow:"  # begins the id of a policy's twin, whose pages ring nobody; no policy of a roster can be called so
DEFAULT_TIME_ZONE = "UTC"
DEFAULT_START = date(2024, 1, 1)  # a Monday
DEFAULT_HAND_OVER = timedelta(hours=9)

_KINDS = {
    "RESPONDER": "responders",
    "SCHEDULE": "schedules",
    "OVERRIDE": "overrides",
    "POLICY": "policies",
    "PRODUCT": "products",
    "SOURCE": "sources",
    "WATCHED": "heartbeats",  # META is read first: their kind has to sort after it
}
_SETTINGS = ("time_zone", "default", "severities")  # of the whole roster; in the table they are META's
AWAY_MS = 75_000  # more than a minute after the last run of the reconciler, which runs every minute
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PRODUCT_ID = re.compile(r"[^\x00-\x1f\x7f]{1,200}")  # a label's value; a sort key takes 1,024 bytes
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,20}")  # Slack reads a channel's messages by its ID only
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SHIFT = re.compile(r"([0-9]{1,3}) (minute|hour|day|week|month)s?")
_LONGEST = {"minute": 999, "hour": 999, "day": 366, "week": 53, "month": 12}


class RosterError(Exception):
    """The roster holds something that cannot be used."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Responder:
    """A person who can be rung. `phone` is E.164."""

    id: str
    name: str
    phone: str = field(repr=False)  # a repr may end in a log
    slack_user: str | None = None
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the week: from `start` to `end` local time on each of `days` (0 is Monday).

    An `end` at or before `start` is on the next day.
    """

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Layer:
    """A rotation: members take shifts of `length` in turn, the first from `start` (local time).

    With windows, it counts only within them, and with `until` (local time) only before it. No members, or the turn of
    "nobody": nobody is on call, and on purpose. With `months`, a shift is so many of them instead of `length`.
    """

    name: str
    members: tuple[str, ...]
    start: datetime
    length: timedelta
    windows: tuple[Window, ...] = ()
    until: datetime | None = None
    months: int = 0

    def shift_start(self, number: int) -> datetime:
        """The local time at which a shift begins, 0 being the first. A month that lacks the day has it on its last."""
        if not self.months:
            return self.start + number * self.length
        year, month = divmod(self.start.year * 12 + self.start.month - 1 + number * self.months, 12)
        return self.start.replace(year=year, month=month + 1, day=min(self.start.day, monthrange(year, month + 1)[1]))

    def shift_number(self, wall: datetime) -> int:
        """The number of the shift at a local time."""
        if not self.months:
            return (wall - self.start) // self.length
        number = ((wall.year - self.start.year) * 12 + wall.month - self.start.month) // self.months
        return number if self.shift_start(number) <= wall else number - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who is on call when: at each moment, the first layer that covers it says who."""

    id: str
    time_zone: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """`responder` is on call from `start` until `end` instead of whoever `schedule` (None: each schedule) says.

    Where overrides overlap, the latest created wins.
    """

    id: str
    responder: str
    schedule: str | None
    start: datetime
    end: datetime
    created_at: datetime
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A part of an escalation policy: `id` names a schedule or a responder; it is empty for everyone.

    Its responders are rung `after_minutes` at the earliest, counted from the beginning of the round.
    """

    kind: StepKind
    id: str = ""
    after_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy: whom to ring, in which order, and how long to go on."""

    id: str
    steps: tuple[Step, ...] = (Step("everyone"),)
    calls: int = 1  # per responder in a round; do-not-disturb lets a second call within three minutes through
    rounds: int = 3
    pause_seconds: int = 60  # between rounds
    ring_seconds: int | None = None  # None: the stack's setting
    quiet_seconds: int = 120  # after an acknowledgement new incidents go to the acknowledger in Slack before they ring
    answer: Answer = "key"  # what counts as taken: a key pressed, or a connected call
    ring_on_new_alerts: bool = True  # new critical alerts that join an acknowledged incident ring again
    remind_after_minutes: int | None = None  # acknowledged and not resolved for so long: remind in Slack, then ring
    repeat_page: bool = True  # start again at Alertmanager's next repeat after an unanswered page
    sms_before_call: bool = False  # a text message tells each responder why the phone is about to ring


@dataclass(frozen=True, slots=True)
class Product:
    """What an alert's `product` label names."""

    id: str
    policy: str
    slack_channel: str | None = None
    call: bool = True
    language: Language | None = None
    shadow: bool = False  # nobody is rung, texted or mentioned, and who would have been is told


@dataclass(frozen=True, slots=True)
class Roster:
    """One version of the roster. Responders are in the order of the file."""

    responders: Mapping[str, Responder]
    schedules: Mapping[str, Schedule]
    policies: Mapping[str, Policy]
    products: Mapping[str, Product]
    overrides: Mapping[str, Override] = field(default_factory=dict)
    time_zone: str = DEFAULT_TIME_ZONE
    default: str = DEFAULT_POLICY
    severities: Mapping[str, Level] = field(default_factory=dict)  # what a severity means, where it is not its word
    sources: Mapping[str, Source] = field(default_factory=dict)  # what is set of those that send alerts
    heartbeats: Mapping[str, Heartbeat] = field(default_factory=dict)
    version: int = 0
    applied_at: datetime | None = None
    alive_at: int = 0  # when the reconciler of a stack with a standby last ran, epoch milliseconds; 0: not known

    def was_away(self, now: int) -> bool:
        """Whether the stack, by the last run of its reconciler, has just come back and knows little of what happened."""
        return 0 < self.alive_at < now - AWAY_MS

    def product(self, name: str) -> Product:
        """The product, or for an unknown or empty name one with the default policy."""
        return self.products.get(name) or Product(id=name, policy=self.default)

    def policy_for(self, name: str) -> Policy:
        """The escalation policy of a product; without any in the roster, everyone in turn."""
        return self.policies.get(self.product(name).policy) or self.policies.get(self.default) or Policy(self.default)

    def policy(self, policy_id: str) -> Policy:
        """The policy of a page. One that has left the roster rings everyone in turn; a twin in shadow takes its other's place."""
        if not is_shadow(policy_id):
            return self.policies.get(policy_id) or Policy(policy_id)
        return replace(self.policy(policy_id.removeprefix(SHADOW)), id=policy_id, answer="key", sms_before_call=False)

    def turn(self) -> Schedule:
        """The schedule that says with whom `everyone` begins: the one called so, or a week each from Monday 09:00."""
        start = datetime.combine(DEFAULT_START, time()) + DEFAULT_HAND_OVER
        layer = Layer("", tuple(self.responders), start, timedelta(weeks=1))
        return self.schedules.get(EVERYONE) or Schedule(EVERYONE, self.time_zone, (layer,))


def is_shadow(policy_id: str) -> bool:
    """Whether a policy is the twin of another, in shadow."""
    return policy_id.startswith(SHADOW)


def from_items(items: Iterable[Mapping[str, Any]]) -> Roster:
    """The roster from all items of the partition ROSTER.

    Raises RosterError, which names each bad item, what is wrong and what to do.
    """
    roster, problems = read_items(items)
    if problems:
        raise RosterError(problems)
    return roster


def read_table(table: "Table") -> Roster:
    """The roster as it is now. What is wrong in it is left out and told in the log: the rest may still wake somebody."""
    known, problems = read_items(table.query(PARTITION))
    for problem in problems:
        logger.warning("the roster has a mistake", problem=str(problem))
    return known


def read_items(items: Iterable[Mapping[str, Any]]) -> tuple[Roster, tuple[Problem, ...]]:
    """The roster from what is good in the items, and the problems with the rest.

    A slip made by hand in the console then does not leave everyone unrung.
    """
    ordered = sorted(items, key=lambda item: str(item["sk"]))
    meta = next((item for item in ordered if item["sk"] == META), {})
    version = str(meta.get("version", 0))
    document: dict[str, Any] = {key: meta[key] for key in (*_SETTINGS, "applied_at") if key in meta}
    document["version"] = meta.get("version")
    groups: dict[str, dict[str, Mapping[str, Any]]] = {group: {} for group in _KINDS.values()}
    for item in ordered:
        kind, _, rest = str(item["sk"]).partition("#")
        if kind in _KINDS and str(item.get("version", version)) == version:
            # A sort key without a version sorts first: what was made by hand wins.
            groups[_KINDS[kind]].setdefault(str(item.get("id", rest)), item)
    groups["responders"] = dict(sorted(groups["responders"].items(), key=lambda pair: (_position(pair[1]), pair[0])))
    roster, problems = parse(document | groups)
    roster = replace(roster, alive_at=int(meta.get("alive_at", 0)))
    rows = {group: kind for kind, group in _KINDS.items()}
    return roster, tuple(
        Problem((f"{rows[str(p.path[0])]}#{p.path[1]}", *p.path[2:]), p.message)
        if len(p.path) > 1 and p.path[0] in rows
        else Problem((META, *p.path), p.message)
        for p in problems
    )


def _position(item: Mapping[str, Any]) -> int:
    """Where a responder stands in the file; one added by hand comes last."""
    position = str(item.get("position"))
    return int(position) if position.isdecimal() else 10**9


def parse(document: Mapping[str, Any]) -> tuple[Roster, tuple[Problem, ...]]:
    """The roster from mappings shaped like the file, and the problems; the unusable is left out or has its default."""
    reader = _Reader(document)
    return reader.roster(), tuple(reader.problems)


class _Reader:
    """Reads a document part by part and notes each problem."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.time_zone = DEFAULT_TIME_ZONE

    def roster(self) -> Roster:
        top = Attributes(self.document, (), self.problems)
        self.time_zone = top.time_zone("time_zone", DEFAULT_TIME_ZONE)
        responders = self._group("responders", _ID, _responder)
        schedules = self._group("schedules", _ID, lambda part: _schedule(part, self.time_zone, responders))
        policies = self._group("policies", _ID, lambda part: _policy(part, responders, schedules))
        default = top.text("default") or DEFAULT_POLICY
        if default not in policies and default != DEFAULT_POLICY:
            top.problem("default", f"there is no policy {default!r}", choices=policies)
            default = DEFAULT_POLICY
        products = self._group("products", _PRODUCT_ID, lambda part: _product(part, policies, default))
        overrides = self._group("overrides", re.compile(".+"), lambda part: _override(part, responders, schedules))
        return Roster(
            responders=responders,
            schedules=schedules,
            policies=policies,
            products=products,
            overrides=overrides,
            time_zone=self.time_zone,
            default=default,
            severities=self._severities(),
            sources=self._group("sources", _ID, read_source),
            heartbeats=self._group("heartbeats", _ID, read_heartbeat),
            version=top.integer("version", 0, 0, 10**9),
            applied_at=top.instant("applied_at"),
        )

    def _severities(self) -> dict[str, Level]:
        found: dict[str, Level] = {}
        written = self.document.get("severities") or {}
        if not isinstance(written, Mapping):
            message = f"expected severities with what they mean (info: none), found {kind_of(written)}"
            self.problems.append(Problem(("severities",), message))
            return found
        part = Attributes(written, ("severities",), self.problems)
        for word in written:
            known = normal(str(word))
            if known in found:
                part.problem(word, "is there a second time: capitals and spaces around it do not count")
            elif known == "critical":
                part.problem(word, "always rings: give the alerts another severity, and map that")
            elif not known:
                part.problem(word, "is no severity: alerts without one are critical, give them the label severity")
            elif level := part.one_of(word, LEVELS):
                found[known] = level
            elif written[word] is None:
                part.problem(word, f"has no meaning: write {' or '.join(LEVELS)}")
        return found

    def _group[T](self, name: str, ids: re.Pattern[str], read: Callable[[Attributes], T | None]) -> dict[str, T]:
        found: dict[str, T] = {}
        bodies = self.document.get(name) or {}
        if not isinstance(bodies, Mapping):
            message = f"expected ids with their settings (id: ...), found {kind_of(bodies)}"
            self.problems.append(Problem((name,), message))
            return found
        for key, body in bodies.items():
            if not ids.fullmatch(key):
                message = f"{key!r} is no usable id: write letters, digits, '.', '_' and '-', at most 63 of them"
                self.problems.append(Problem((name, key), message))
                continue
            part = attributes_of(body, (name, key), self.problems)
            if part and (value := read(part)) is not None:
                found[key] = value
        return found


def _responder(part: Attributes) -> Responder | None:
    phone = part.text("phone")
    if phone is None:
        if part.body.get("phone") is None:
            part.problem(None, "has no phone: add phone: +12025550100 (the country code first)")
        return None
    if not _E164.fullmatch(phone):
        part.problem(
            "phone",
            "is not in E.164: write + and the country code, then the number without spaces and its first 0 (Italy keeps it)",
        )
        return None
    name = part.text("name") or part.id
    return Responder(part.id, name, phone, part.text("slack_user"), part.one_of("language", get_args(Language)))


def _schedule(part: Attributes, time_zone: str, responders: Mapping[str, Responder]) -> Schedule | None:
    zone = part.time_zone("time_zone", time_zone)
    written = part.body.get("layers")
    if written is None:
        layer = _layer(part, "", responders)
        return Schedule(part.id, zone, (layer,)) if layer else None
    if not isinstance(written, list | tuple) or not written:
        part.problem("layers", "expected a list of layers, each with members")
        return None
    layers = []
    for number, body in enumerate(written):
        inner = attributes_of(body, (*part.path, "layers", number), part.problems)
        if inner and (layer := _layer(inner, inner.text("name") or "", responders)):
            layers.append(layer)
    return Schedule(part.id, zone, tuple(layers)) if layers else None


def _layer(part: Attributes, name: str, responders: Mapping[str, Responder]) -> Layer | None:
    written = part.body.get("members")
    if not isinstance(written, list | tuple):
        part.problem(None, "has no members: add members: [alice, bob], or [] if nobody is to be rung then")
        return None
    members = []
    for number, member in enumerate(written):
        if isinstance(member, str) and (member in responders or member == NOBODY):
            members.append(member)
        else:
            part.problems.append(unknown((*part.path, "members", number), "responder", member, responders))
    if written and not members:
        return None
    windows = tuple(_windows(part))
    if part.body.get("during") is not None and not windows:
        return None
    start, length, months = _rotation(part)
    return Layer(name, tuple(members), start, length, windows, _until(part), months)


def _until(part: Attributes) -> datetime | None:
    """The local time at which the layer ends."""
    value = part.text("until")
    if value is None:
        return None
    written, _, clock = value.partition(" ")
    day, at = parse_date(written), parse_clock(clock)
    if day is None or at is None:
        part.problem(
            "until", f"{value!r} is not a time: write date and time of the schedule's zone, like 2026-12-24 18:00"
        )
        return None
    return datetime.combine(day, time()) + at


def _rotation(part: Attributes) -> tuple[datetime, timedelta, int]:
    """The first hand-over (local time), the length of a shift, and the months of one, which come before its length."""
    length, months, unit = timedelta(weeks=1), 0, "week"
    shift = part.text("shift")
    if shift is not None:
        found = _SHIFT.fullmatch(shift)
        if found and 0 < int(found[1]) <= _LONGEST[found[2]]:
            unit = found[2]
            if unit == "month":
                months = int(found[1])
            else:
                length = timedelta(**{f"{unit}s": int(found[1])})
        else:
            part.problem("shift", f"{shift!r} is not a length: write it like 12 hours, 1 day, 2 weeks or 1 month")
    day, at = None, DEFAULT_HAND_OVER
    hand_over = part.time_text("hand_over")
    if hand_over is not None:
        words = hand_over.split()
        clock = parse_clock(words[-1])
        day = parse_day(words[0]) if len(words) == 2 else None
        if clock is None or len(words) > 2 or (len(words) == 2 and day is None):
            part.problem("hand_over", f"{hand_over!r} is not a hand-over: write it like monday 09:00, or 09:00")
        elif day is not None and unit != "week":
            part.problem("hand_over", f"shifts of {shift} change on other days too: leave {words[0]} out")
        else:
            at = clock
    return datetime.combine(_start(part, day), time()) + at, length, months  # 24:00 is the end of that day


def _start(part: Attributes, day: int | None) -> date:
    """The date of the first hand-over: as written, else long ago, on the day of the hand-over."""
    value = part.text("start")
    fallback = DEFAULT_START + timedelta(days=day or 0)
    if value is None:
        return fallback
    start = parse_date(value)
    if start is None:
        part.problem("start", f"{value!r} is not a date that exists: write it like 2026-11-02")
        return fallback
    if day is not None and start.weekday() != day:
        before = start - timedelta(days=(start.weekday() - day) % 7)
        part.problem(
            "start",
            f"{value} is a {DAYS[start.weekday()]}, but the hand-over is on {DAYS[day]}: "
            f"write {before} or {before + timedelta(weeks=1)}",
        )
        return before
    return start


def _windows(part: Attributes) -> Iterable[Window]:
    written = part.body.get("during")
    if written is None:
        return
    if not isinstance(written, list | tuple) or not written:
        part.problem("during", "expected a list, such as [{days: mon-fri, from: 09:00, to: 18:00}]")
        return
    for number, body in enumerate(written):
        inner = attributes_of(body, (*part.path, "during", number), part.problems)
        if inner is None:
            continue
        days = parse_days(inner.text("days") or "mon-sun")
        if days is None:
            inner.problem("days", f"{inner.text('days')!r} are not days: write them like mon-fri or sat, sun")
            continue
        start, end = inner.clock("from"), inner.clock("to")
        if start == END_OF_DAY:
            inner.problem("from", "24:00 ends the days that are written: write from: 00:00, and the days after them")
            continue
        yield Window(days, _time(start or timedelta()), _time(end or END_OF_DAY))


def _time(clock: timedelta) -> time:
    """The time on the wall; the end of a day shows the next one's midnight, which is what Window means by it."""
    return time(clock.seconds // 3600, clock.seconds // 60 % 60)


def _policy(part: Attributes, responders: Mapping[str, Responder], schedules: Mapping[str, Schedule]) -> Policy | None:
    steps = tuple(_steps(part, responders, schedules))
    if not steps:
        return None
    return Policy(
        id=part.id,
        steps=steps,
        calls=part.integer("calls", 1, 1, 5),
        rounds=part.integer("rounds", 3, 1, 20),
        pause_seconds=part.integer("pause_seconds", 60, 0, 3600),
        ring_seconds=part.integer("ring_seconds", None, 5, 600),  # Twilio: Timeout at most 600
        quiet_seconds=part.integer("quiet_seconds", 120, 0, 3600),
        answer=part.one_of("answer", get_args(Answer)) or "key",
        ring_on_new_alerts=part.boolean("ring_on_new_alerts", default=True),
        remind_after_minutes=part.integer("remind_after_minutes", None, 1, 10080),
        repeat_page=part.boolean("repeat_page", default=True),
        sms_before_call=part.boolean("sms_before_call", default=False),
    )


def _steps(part: Attributes, responders: Mapping[str, Responder], schedules: Mapping[str, Schedule]) -> Iterable[Step]:
    written = part.body.get("steps", [EVERYONE])
    if not isinstance(written, list | tuple) or not written:
        part.problem("steps", "expected a list, such as [schedule: primary, responder: alice, everyone]")
        return
    before = 0
    for number, body in enumerate(written):
        path = (*part.path, "steps", number)
        step = dict(body) if isinstance(body, Mapping) else {}
        after = Attributes(step, path, part.problems).integer("after_minutes", None, 0, 240) or 0
        if step.pop("after_minutes", None) is not None and 0 < after < before:
            part.problems.append(
                Problem(
                    (*path, "after_minutes"), f"comes before the step above it, after {before}: put it above that one"
                )
            )
        before = max(before, after)
        kind, target = next(iter(step.items())) if len(step) == 1 else ("", None)
        if body == EVERYONE or (kind == EVERYONE and target is True):
            yield Step("everyone", after_minutes=after)
            continue
        known = {"schedule": {*schedules, EVERYONE}, "responder": {*responders}}.get(kind, set())
        if isinstance(target, str) and target in known:
            yield Step("schedule" if kind == "schedule" else "responder", target, after)
        elif kind in ("schedule", "responder"):
            part.problems.append(unknown((*path, kind), kind, target, schedules if kind == "schedule" else responders))
        else:
            part.problems.append(Problem(path, "is no step: write schedule: ID, responder: ID, or everyone"))


def _product(part: Attributes, policies: Mapping[str, Policy], default: str) -> Product:
    policy = part.text("policy") or default
    if policy not in policies and policy != default:
        part.problems.append(unknown((*part.path, "policy"), "policy", policy, policies))
        policy = default
    channel = part.text("slack_channel")
    if channel and not _CHANNEL.fullmatch(channel):
        part.problem(
            "slack_channel", "is not a channel's ID such as C0123456789: in Slack, channel details, at the bottom"
        )
        channel = None
    return Product(
        id=part.id,
        policy=policy,
        slack_channel=channel,
        call=part.boolean("call", default=True),
        language=part.one_of("language", get_args(Language)),
        shadow=part.boolean("shadow", default=False),
    )


def _override(
    part: Attributes, responders: Mapping[str, Responder], schedules: Mapping[str, Schedule]
) -> Override | None:
    """An override; one whose responder or schedule has left the roster since is nothing to complain about."""
    responder, schedule = part.text("responder"), part.text("schedule")
    expires_at = part.integer("expires_at", None, 0, int(LATEST.timestamp()))
    end = part.instant("end") or (datetime.fromtimestamp(expires_at, UTC) if expires_at is not None else None)
    if responder is None or end is None:
        part.problem(None, "needs responder and end: without an end nobody would notice that it is still there")
        return None
    if responder not in responders or (schedule is not None and schedule != EVERYONE and schedule not in schedules):
        return None
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    start = part.instant("start") or beginning
    created_at = part.instant("created_at") or start
    return Override(part.id, responder, schedule, start, end, created_at, part.text("created_by"))


def to_items(roster: Roster) -> list[dict[str, Any]]:
    """The items of the roster for the table, META last: written in this order, a reader never sees half of it."""
    version = {"version": roster.version} if roster.version else {}
    suffix = f"#v{roster.version}" if roster.version else ""
    items = []
    for kind, group in _KINDS.items():
        if kind == "OVERRIDE":
            items += [override_item(override) for override in roster.overrides.values()]
            continue
        for number, (key, attributes) in enumerate(to_document(roster)[group].items(), 1):
            position = {"position": number} if kind == "RESPONDER" else {}
            items.append(
                {"pk": PARTITION, "sk": f"{kind}#{key}{suffix}", "id": key, **version, **position, **attributes}
            )
    document = to_document(roster)
    settings = {name: document[name] for name in _SETTINGS}
    if roster.applied_at:
        settings["applied_at"] = roster.applied_at.isoformat()
    return [*items, {"pk": PARTITION, "sk": META, **version, **settings}]


def override_item(override: Override) -> dict[str, Any]:
    """The item of one override; `expires_at` (epoch seconds) is what the table's TTL goes by."""
    return _without_none(
        {
            "pk": PARTITION,
            "sk": f"OVERRIDE#{override.id}",
            "id": override.id,
            "responder": override.responder,
            "schedule": override.schedule,
            "start": override.start.isoformat(),
            "end": override.end.isoformat(),
            "expires_at": int(override.end.timestamp()),
            "created_at": override.created_at.isoformat(),
            "created_by": override.created_by,
        }
    )


def to_document(roster: Roster) -> dict[str, Any]:
    """The roster shaped like the file, every setting written out; `parse` reads it back."""
    return {
        "time_zone": roster.time_zone,
        "default": roster.default,
        "severities": dict(roster.severities),
        "responders": {r.id: _plain(r, "name", "phone", "slack_user", "language") for r in roster.responders.values()},
        "schedules": {
            s.id: {"time_zone": s.time_zone, "layers": [_layer_document(layer) for layer in s.layers]}
            for s in roster.schedules.values()
        },
        "policies": {
            p.id: {
                "steps": [_step_document(step) for step in p.steps],
                **_plain(p, *(name for name in Policy.__slots__ if name not in ("id", "steps"))),
            }
            for p in roster.policies.values()
        },
        "products": {
            p.id: _plain(p, "policy", "slack_channel", "call", "language", "shadow") for p in roster.products.values()
        },
        "sources": {source.id: source_document(source) for source in roster.sources.values()},
        "heartbeats": {one.id: heartbeat_document(one) for one in roster.heartbeats.values()},
    }


def _step_document(step: Step) -> str | dict[str, Any]:
    if step.kind == EVERYONE and not step.after_minutes:
        return EVERYONE
    after = {"after_minutes": step.after_minutes} if step.after_minutes else {}
    return {step.kind: step.id or True, **after}


def _layer_document(layer: Layer) -> dict[str, Any]:
    minutes = int(layer.length.total_seconds()) // 60
    units = ((10080, "week"), (1440, "day"), (60, "hour"), (1, "minute"))
    count, unit = next((minutes // size, unit) for size, unit in units if minutes % size == 0)
    if layer.months:
        count, unit = layer.months, "month"
    day = f"{DAYS[layer.start.weekday()]} " if unit == "week" else ""
    document: dict[str, Any] = {
        "name": layer.name or None,
        "members": list(layer.members),
        "shift": f"{count} {unit}{'s' if count > 1 else ''}",
        "hand_over": f"{day}{layer.start:%H:%M}",
        "start": f"{layer.start:%Y-%m-%d}",
        "until": f"{layer.until:%Y-%m-%d %H:%M}" if layer.until else None,
        "during": [
            {"days": format_days(w.days), "from": f"{w.start:%H:%M}", "to": f"{w.end:%H:%M}"} for w in layer.windows
        ]
        or None,
    }
    return _without_none(document)


def _plain(value: object, *names: str) -> dict[str, Any]:
    return _without_none({name: getattr(value, name) for name in names})


def _without_none(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
