"""PagerDuty: the JSON of its REST API v2, saved by curl or read with `--api`.

Sources: PagerDuty/api-schema, reference/REST/openapiv3.json (Schedule, ScheduleLayer, Restriction, Override,
EscalationPolicy, EscalationRule, PhoneContactMethod). The layers of a schedule come newest first, and a newer one covers
an older. Restrictions and turns keep their local time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from oncall.roster.attributes import parse_clock
from oncall_cli.imports.documents import Document, Fields, objects
from oncall_cli.imports.model import (
    Deviation,
    Hours,
    Imported,
    Period,
    Person,
    Policy,
    Product,
    Report,
    Rotation,
    Schedule,
    Step,
    Target,
    Unit,
    Unsayable,
    local_time,
    minute_of_week,
    wall_clock,
    within,
)

KEYS = ("users", "user", "schedules", "schedule", "escalation_policies", "escalation_policy", "services", "service")
# PagerDuty: /v3/schedules, early access; rotations of events with RFC 5545 rules, which no layer has.
_SHIFT_BASED = (
    "is a shift-based schedule (API v3), which this import does not read: write it into the roster by hand, or take it out of "
    "the export and of the policies that name it (docs/move-in.md)"
)
_LINKS = ("type", "summary", "self", "html_url")
_SECONDS: tuple[tuple[int, Unit], ...] = ((604800, "week"), (86400, "day"), (3600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class Layer:
    """A schedule layer as the API has it; `virtual_start` is local, `turn` in seconds."""

    name: str
    users: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    virtual_start: datetime
    turn: int
    hours: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """Of overrides that overlap, the one that the API lists later counts."""

    user: str
    start: datetime
    end: datetime


def on_call(
    layers: Iterable[Layer], overrides: Iterable[Override], known: Mapping[str, Person], zone: ZoneInfo, at: datetime
) -> frozenset[str]:
    """Who is on call by PagerDuty's rules: the latest override, else the newest layer that covers the moment."""
    user = None
    for override in overrides:
        if override.start <= at < override.end:
            user = override.user
    if user is None:
        wall = wall_clock(at, zone)
        for layer in layers:
            if (layer.start and at < layer.start) or (layer.end and at >= layer.end):
                continue
            if layer.hours and not any(within(hours, minute_of_week(wall)) for hours in layer.hours):
                continue
            turn = int((wall - layer.virtual_start).total_seconds() // layer.turn)
            user = layer.users[turn % len(layer.users)]
            break
    return frozenset([user] if user and user in known else [])


def read(documents: list[Document], zones: Mapping[str, str]) -> Imported:
    """All that the documents say."""
    report = Report()
    for name, _, body in objects(documents, report, "error"):
        message = f"PagerDuty refused: {body.get('message')}: use a token that may read this, and save it again"
        report.add("error", name, message)
    for group in ("users", "escalation_policies", "services"):
        listed = [one for one in documents if isinstance(one.body, dict) and group in one.body]
        if listed and all(one.body.get("more") is True for one in listed):  # the last page says that there are no more
            message = (
                f"{group}: there is a next page that is not in the export: save it with -d offset=100, or use --api"
            )
            report.add("error", listed[-1].name, message)
    people: dict[str, Person] = {}
    for name, _, body in objects(documents, report, "users", "user"):
        person = _person(Fields("user", body, report, name))
        if person:
            people[person.id] = person
    bodies = _newest(objects(documents, report, "schedules", "schedule"), "schedule_layers")
    overrides = _overrides(documents, report)
    schedules = tuple(
        schedule
        for body in bodies
        if (schedule := _schedule(Fields("schedule", body, report, ""), overrides, people, zones))
    )
    known = {schedule.id for schedule in schedules}
    policies = tuple(
        _policy(Fields("escalation_policy", body, report, ""), people, known)
        for body in _newest(objects(documents, report, "escalation_policies", "escalation_policy"), "escalation_rules")
    )
    names = {policy.id for policy in policies}
    products = tuple(
        _product(Fields("service", body, report, ""), names)
        for body in _newest(objects(documents, report, "services", "service"), "escalation_policy")
    )
    return Imported(people, schedules, policies, products, report)


def _newest(found: Iterable[tuple[str, str, dict[str, Any]]], wanted: str) -> list[dict[str, Any]]:
    """One object for each id: a list of the API's has parts of it only, and asking for one by its id gives all."""
    best: dict[str, dict[str, Any]] = {}
    for _, _, body in found:
        known = best.get(str(body.get("id")))
        if known is None or len(str(body.get(wanted) or "")) >= len(str(known.get(wanted) or "")):
            best[str(body.get("id"))] = (known or {}) | body
    return list(best.values())


def _person(fields: Fields) -> Person | None:
    fields.ignore(*_LINKS, "avatar_url", "color", "role", "description", "invitation_sent", "job_title", "teams")
    fields.ignore(
        "coordinated_incidents",
        "notification_rules",
        "time_zone",
        "locale",
        "license",
        "status_update_notification_rules",
        "billed",
        "created_via_sso",
        "http_cal_url",
        "web_cal_url",
    )
    key, name, email = fields.text("id"), fields.text("name"), fields.text("email")
    phone, sms = None, None
    for method in fields.items("contact_methods", "contact_method"):
        method.ignore(
            *_LINKS, "id", "label", "send_short_email", "send_html_email", "device_type", "sounds", "created_at"
        )
        kind = str(method.body.get("type", ""))
        code, address = method.text("country_code"), method.text("address")
        enabled, refused = method.flag("enabled", default=True), method.flag("blacklisted", default=False)
        usable = enabled and not refused
        if kind.startswith("phone_contact_method") and usable and address:
            phone = phone or f"+{code or 1}{address}"
        elif kind.startswith("sms_contact_method") and usable and address:
            sms = sms or f"+{code or 1}{address}"
        method.done()
    deleted = fields.value("deleted_at")
    fields.done()
    if not key or deleted:
        return None
    return Person(key, name or email or key, email, phone or sms)


def _overrides(documents: list[Document], report: Report) -> dict[str, list[Override]]:
    """Overrides by schedule: the answer of /schedules/{id}/overrides does not name it, so the file's name has to."""
    found: dict[str, list[Override]] = {}
    for name, _, body in objects(documents, report, "overrides"):
        fields = Fields("override", body, report, name)
        fields.ignore("id", "type", "summary", "self", "html_url")
        start, end, user = fields.moment("start"), fields.moment("end"), fields.inner("user", "user")
        schedule = fields.text("schedule") or name.rsplit("/", 1)[-1].removesuffix(".json").rsplit("-", 1)[-1]
        if start and end and user:
            found.setdefault(schedule, []).append(Override(user.text("id"), start, end))
        fields.done()
    return found


def _schedule(
    fields: Fields, overrides: dict[str, list[Override]], people: Mapping[str, Person], zones: Mapping[str, str]
) -> Schedule | None:
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"schedule {name}"
    fields.ignore(*_LINKS, "description", "escalation_policies", "users", "teams", "next_oncall_for_user")
    fields.ignore(
        "web_cal_url", "http_cal_url", "personal_web_cal_url", "personal_http_cal_url", "created_at", "private_id"
    )
    zone = fields.time_zone("time_zone", zones)
    if fields.value("rotations") is not None:
        fields.report.add("error", fields.where, _SHIFT_BASED)
    elif fields.value("schedule_layers") is None:
        fields.report.add(
            "error",
            fields.where,
            "has no schedule_layers: the list of schedules leaves them out; save GET /schedules/{id} for each (docs/move-in.md)",
        )
    layers = [layer for inner in fields.items("schedule_layers", "schedule_layer") if (layer := _layer(inner, zone))]
    final = _entries(fields, "final_schedule")
    replaced = list(overrides.get(key, ()))
    if not replaced:
        replaced = [Override(p.person, p.start, p.end) for p in _entries(fields, "overrides_subschedule")]
    fields.ignore("overrides_subschedule")
    fields.done()
    for user in {user for layer in layers for user in layer.users} | {o.user for o in replaced}:
        if user not in people:
            fields.report.add(
                "changed",
                fields.where,
                f"user {user} is in a rotation and not among the users (deleted?): their turns are nobody's; "
                "take them out of the rotation there, or put somebody in",
            )
    if not key:
        return None
    rotations = [_rotation(layer, len(layers) - position, people) for position, layer in enumerate(layers)]
    unsayable = [
        Unsayable(f"layer {layer.name} hands over every {layer.turn} seconds") for layer in layers if layer.turn % 60
    ]
    return Schedule(
        key,
        name or key,
        str(zone),
        tuple(rotations),
        lambda at: on_call(layers, replaced, people, zone, at),
        tuple(Deviation(o.start, o.end, "override") for o in replaced),
        tuple(final),
        tuple(unsayable),
    )


def _entries(fields: Fields, key: str) -> list[Period]:
    """The rendered entries of a subschedule; `user` of an entry is a reference."""
    inner = fields.inner(key, "subschedule")
    found = []
    for entry in inner.items("rendered_schedule_entries", "entry") if inner else ():
        start, end, user = entry.moment("start"), entry.moment("end"), entry.inner("user", "user")
        if start and end and user:
            found.append(Period(start, end, user.text("id")))
    return found


def _layer(fields: Fields, zone: ZoneInfo) -> Layer | None:
    fields.ignore("id", "rendered_schedule_entries", "rendered_coverage_percentage")
    fields.ignore(*_LINKS)
    name = fields.text("name")
    fields.where = f"{fields.where.split(',')[0]}, layer {name}"
    start, end, virtual = fields.moment("start"), fields.moment("end"), fields.moment("rotation_virtual_start")
    turn = fields.number("rotation_turn_length_seconds", 0)
    users = []
    for entry in fields.items("users", "layer_user"):
        user = entry.inner("user", "user")
        users.append(user.text("id") if user else entry.text("id"))
    hours = [found for inner in fields.items("restrictions", "restriction") for found in _hours(inner)]
    fields.done()
    virtual = virtual or start
    if not users:
        fields.report.add("changed", fields.where, "has no users and is left out, as PagerDuty does")
        return None
    if virtual is None or turn < 1:
        fields.report.add(
            "error", fields.where, "has no rotation_virtual_start or rotation_turn_length_seconds: export it again"
        )
        return None
    return Layer(name, tuple(users), start, end, local_time(virtual, zone), turn, tuple(hours))


def _hours(fields: Fields) -> Iterable[Hours]:
    kind = fields.text("type")
    seconds, day = fields.number("duration_seconds", 0), fields.number("start_day_of_week", 1)
    written = fields.text("start_time_of_day")
    clock = parse_clock(written[:5])
    fields.done()
    if clock is None or kind not in ("daily_restriction", "weekly_restriction") or not 1 <= day <= 7 or seconds < 1:
        fields.report.add("error", fields.where, "is not a restriction of PagerDuty's: export it again")
        return
    if seconds % 60 or written[6:] not in ("", "00"):
        fields.report.add(
            "changed", fields.where, "restriction: its seconds are left out; hours of a roster have minutes"
        )
    start = clock // timedelta(minutes=1)
    days = range(7) if kind == "daily_restriction" else (day - 1,)
    for number in days:
        yield Hours(number * 1440 + start, max(seconds // 60, 1))


def _rotation(layer: Layer, level: int, people: Mapping[str, Person]) -> Rotation:
    size, unit = next(((s, u) for s, u in _SECONDS if layer.turn % s == 0), (1, "minute"))
    turns = tuple((user,) if user in people else () for user in layer.users)
    return Rotation(
        layer.name, turns, layer.virtual_start, layer.turn // size, unit, layer.hours, layer.start, layer.end, level
    )


def _policy(fields: Fields, people: Mapping[str, Person], schedules: set[str]) -> Policy:
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"policy {name}"
    fields.ignore(*_LINKS, "description", "services", "teams", "on_call_handoff_notifications", "privilege")
    after, steps, delay = 0, [], 0
    for rule in fields.items("escalation_rules", "escalation_rule"):
        rule.ignore("id")
        targets = []
        for target in rule.items("targets", "target"):
            target.ignore(*_LINKS)
            kind, to = target.text("type"), target.text("id")
            if kind.startswith("schedule") and to in schedules:
                targets.append(Target("schedule", to))
            elif kind.startswith("user") and to in people:
                targets.append(Target("person", to))
            else:
                fields.report.add(
                    "not mapped", fields.where, f"rings {kind} {to}, which is not in the export: add it by hand"
                )
            target.done()
        if _strategy(rule) == "round_robin":
            fields.report.add(
                "changed",
                fields.where,
                "takes turns among the targets of a step (round robin): here they are rung one after another",
            )
        steps.append(Step(tuple(targets), after))
        delay = rule.number("escalation_delay_in_minutes", 30)
        after += delay
        rule.done()
    loops = fields.number("num_loops", 0)
    fields.done()
    return Policy(key, name or key, tuple(step for step in steps if step.targets), loops + 1, delay)


def _strategy(rule: Fields) -> str:
    """Whom of its targets a rule rings. The published schema has a text here, the API's answers an object with a type."""
    value = rule.value("escalation_rule_assignment_strategy")
    if isinstance(value, str):
        return value
    inner = rule.inner("escalation_rule_assignment_strategy", "strategy")
    return inner.text("type") if inner else ""


_RINGS_NOBODY = {
    "disabled": "is disabled and rings nobody there; its alerts ring here: take the product out, or write call: false",
    "maintenance": "is in maintenance and rings nobody there for now; its alerts ring here: make a silence in Alertmanager",
}


def _product(fields: Fields, policies: set[str]) -> Product:
    name = fields.text("name") or fields.text("id")
    fields.where = f"service {name}"
    fields.ignore(
        *_LINKS,
        "id",
        "description",
        "created_at",
        "last_incident_timestamp",
        "teams",
        "integrations",
        "addons",
        "alert_creation",
        "updated_at",
    )
    if quiet := _RINGS_NOBODY.get(fields.text("status")):
        fields.report.add("changed", fields.where, quiet)
    if seconds := fields.number("acknowledgement_timeout", 0):
        again = f"rings again {seconds // 60} minutes after an acknowledgement: here with remind_after_minutes of the policy"
        fields.report.add("not mapped", fields.where, again)
    if seconds := fields.number("auto_resolve_timeout", 0):
        message = f"resolves by itself after {seconds // 60} minutes: here its alert or a person resolves an incident"
        fields.report.add("changed", fields.where, message)
    if fields.value("response_play"):
        fields.report.add("not mapped", fields.where, "runs a response play: put the people into a step of its policy")
    policy = fields.inner("escalation_policy", "escalation_policy")
    key = policy.text("id") if policy else ""
    if key not in policies:
        fields.report.add(
            "error", fields.where, f"its escalation policy {key} is not in the export: save the escalation policies too"
        )
    urgency = fields.inner("incident_urgency_rule", "incident_urgency_rule")
    if urgency and (urgency.text("type") != "constant" or urgency.text("urgency") != "high"):
        fields.report.add(
            "not mapped",
            fields.where,
            "its urgency: here the alert's label severity says it (critical rings, warning is told in Slack)",
        )
    for key_, what in (
        ("support_hours", "support hours: let alerting rules set the label severity by the hour"),
        ("scheduled_actions", "scheduled actions: let alerting rules set the label severity by the hour"),
        ("alert_grouping_parameters", "alert grouping: Alertmanager's group_by does it"),
        ("alert_grouping", "alert grouping: Alertmanager's group_by does it"),
        ("auto_pause_notifications_parameters", "pausing of notifications: for: of an alerting rule does it"),
    ):
        value = fields.value(key_)
        is_off = isinstance(value, Mapping) and not (value.get("type") or value.get("enabled"))
        if value and not is_off:
            fields.report.add("not mapped", fields.where, what)
    fields.ignore("alert_grouping_timeout")
    fields.done()
    return Product(name, key if key in policies else None)
