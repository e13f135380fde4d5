"""From a roster's document, the file or the table's items put together, to the roster: what is good in it, and each mistake."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, get_args

from oncall.clock import LATEST, parse_date
from oncall.roster.attributes import (
    DAYS,
    END_OF_DAY,
    Attributes,
    Problem,
    attributes_of,
    kind_of,
    parse_clock,
    parse_day,
    parse_days,
    unknown,
)
from oncall.roster.heartbeats import read_heartbeat
from oncall.roster.model import (
    DEFAULT_HAND_OVER,
    DEFAULT_POLICY,
    DEFAULT_START,
    DEFAULT_TIME_ZONE,
    EVERYONE,
    NOBODY,
    Answer,
    Language,
    Layer,
    Override,
    Policy,
    Product,
    Responder,
    Roster,
    Schedule,
    Step,
    Window,
)
from oncall.roster.sources import read_source
from oncall.severities import LEVELS, Level, normal

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PRODUCT_ID = re.compile(r"[^\x00-\x1f\x7f]{1,200}")  # a label's value; a sort key takes 1,024 bytes
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,20}")  # Slack reads a channel's messages by its ID only
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SHIFT = re.compile(r"([0-9]{1,3}) (minute|hour|day|week|month)s?")
_LONGEST = {"minute": 999, "hour": 999, "day": 366, "week": 53, "month": 12}


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
    name, slack_user = part.text("name") or part.id, part.text("slack_user")
    if slack_user and not _SLACK_USER.fullmatch(slack_user):
        part.problem("slack_user", "is not a member ID such as U0123456789: in Slack, profile, ⋮, Copy member ID")
        slack_user = None
    return Responder(part.id, name, phone, slack_user, part.one_of("language", get_args(Language)))


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
