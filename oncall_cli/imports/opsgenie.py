"""Opsgenie: the folder that its configuration backup writes, or the JSON of its API v2, saved by curl or read with `--api`.

Sources: opsgenie/opsgenie-configuration-backup (a file for each schedule, escalation, team and user, in folders of these
names), opsgenie/opsgenie-go-sdk-v2 (og/entity.go, schedule, escalation, team), docs.opsgenie.com (Schedule API,
Escalation API). All rotations of a schedule that count at a moment are on call together. The backup leaves overrides out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from oncall.roster.attributes import parse_day
from oncall_cli.imports.documents import Document, Fields
from oncall_cli.imports.model import (
    WEEK_MINUTES,
    Deviation,
    Hours,
    Imported,
    Period,
    Person,
    Policy,
    Product,
    Report,
    Schedule,
    Step,
    Target,
    Unit,
    local_time,
    minute_of_week,
    wall_clock,
    within,
)
from oncall_cli.imports.model import Rotation as Turns

_UNITS: Mapping[str, Unit] = {"hourly": "hour", "daily": "day", "weekly": "week"}
_SIZES: Mapping[Unit, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
FOLDERS = ("users", "teams", "escalations", "schedules", "overrides", "timelines", "forwardings")


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation as the API has it; `local_start` is `start` as the schedule's wall shows it."""

    id: str
    name: str
    start: datetime
    local_start: datetime
    end: datetime | None
    unit: Unit
    length: int
    turns: tuple[tuple[str, ...], ...]
    hours: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """The user takes the place of whoever is on call by these rotations; by all if it names none."""

    user: str
    start: datetime
    end: datetime
    rotations: frozenset[str]


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What would reach `user` reaches `to`."""

    user: str
    to: str
    start: datetime
    end: datetime


def on_call(
    rotations: Iterable[Rotation],
    overrides: Iterable[Override],
    forwardings: Iterable[Forwarding],
    known: Mapping[str, Person],
    zone: ZoneInfo,
    at: datetime,
) -> frozenset[str]:
    """Who is on call by Opsgenie's rules: of each rotation the participant whose turn it is, or who replaces them.

    Then the calls of those who forward them go to others.
    """
    wall = wall_clock(at, zone)
    minute = minute_of_week(wall)
    found: set[str] = set()
    for rotation in rotations:
        replaced = [
            o.user for o in overrides if o.start <= at < o.end and (not o.rotations or rotation.id in o.rotations)
        ]
        if replaced:
            found.add(replaced[-1])
        elif _counts(rotation, at, minute):
            turn = (wall - rotation.local_start) // (_SIZES[rotation.unit] * rotation.length)
            found.update(rotation.turns[turn % len(rotation.turns)])
    for forwarding in forwardings:
        if forwarding.start <= at < forwarding.end and forwarding.user in found:
            found = (found - {forwarding.user}) | {forwarding.to}
    return frozenset(found & known.keys())


def _counts(rotation: Rotation, at: datetime, minute: int) -> bool:
    if at < rotation.start or (rotation.end and at >= rotation.end):
        return False
    return not rotation.hours or any(within(hours, minute) for hours in rotation.hours)


@dataclass(slots=True)
class _Export:
    """The objects of the export by kind."""

    report: Report
    bodies: dict[str, list[tuple[str, dict[str, Any]]]]

    def fields(self, folder: str, kind: str) -> list[Fields]:
        return [Fields(kind, body, self.report, name) for name, body in self.bodies[folder]]


def read(documents: list[Document], zones: Mapping[str, str]) -> Imported:
    """All that the documents say."""
    report = Report()
    export = _Export(report, _sorted(documents, report))
    people = {person.id: person for fields in export.fields("users", "user") if (person := _person(fields))}
    teams = {fields.text("id"): fields for fields in (_unwrapped(f, "team") for f in export.fields("teams", "team"))}
    escalations = {fields.text("id"): fields for fields in export.fields("escalations", "escalation")}
    finder = _Finder(people, teams, escalations, report)
    finder.forwardings = tuple(
        found for fields in export.fields("forwardings", "forwarding") if (found := _forwarding(fields, finder))
    )
    overrides = export.fields("overrides", "override")
    timelines = export.fields("timelines", "timeline")
    schedules = tuple(
        schedule
        for fields in export.fields("schedules", "schedule")
        if (schedule := _schedule(fields, finder, overrides, timelines, zones))
    )
    finder.schedules = {schedule.id: schedule.name for schedule in schedules}
    policies = [_policy(fields, finder) for fields in escalations.values()]
    products = []
    for team in export.fields("teams", "team"):
        policy, product = _team(team, finder)
        policies += [policy] if policy else []
        products += [product] if product else []
    return Imported(people, schedules, tuple(policies), tuple(products), report)


def _sorted(documents: list[Document], report: Report) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The objects by the folder or file that they are in: `schedules/...`, or `schedules.json` with the API's `data`."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {folder: [] for folder in FOLDERS}
    for document in documents:
        parts = document.name.replace("\\", "/").split("/")
        folder = next((f for f in FOLDERS for part in parts if part == f or part.startswith((f"{f}.", f"{f}-"))), None)
        if folder is None or not isinstance(document.body, dict):
            if folder or not any(p in _OTHER for p in parts):
                report.add("note", document.name, "is not read: it is in no folder of the backup that is about on-call")
            else:
                kind = next(p for p in parts if p in _OTHER)
                report.add("not mapped", kind, _OTHER[kind])
            continue
        if "message" in document.body and "data" not in document.body:
            message = f"Opsgenie refused: {document.body['message']}: use a key that may read this, and save it again"
            report.add("error", document.name, message)
            continue
        data = document.body.get("data", document.body)
        bodies = data if isinstance(data, list) else [data]
        for body in bodies:
            if isinstance(body, dict):
                found[folder].append((document.name, body))
            else:
                report.add("error", document.name, "has no objects: export it again")
    return found


_OTHER = {
    "policies": "alert policies: Alertmanager's routes, silences and inhibitions do what they do",
    "policiesV2": "alert and notification policies: Alertmanager's routes, silences and inhibitions do what they do",
    "integrations": "integrations: point Alertmanager at this stack (docs/operations.md)",
    "orders": "the order of alert policies",
    "customUserRoles": "roles of users: who may do what is decided by AWS and Slack here",
}


def _unwrapped(fields: Fields, key: str) -> Fields:
    """The backup has an object beside what belongs to it; the API has the object alone."""
    inner = fields.inner(key, key)
    return inner or fields


def _person(fields: Fields) -> Person | None:
    outer = fields
    outer.ignore("notificationRuleList")
    fields = _unwrapped(fields, "user")
    fields.ignore(
        "role",
        "timeZone",
        "locale",
        "userAddress",
        "createdAt",
        "verified",
        "tags",
        "details",
        "skypeUsername",
        "muteDuration",
    )
    fields.ignore("invitationDisabled", "expandable", "roleId", "lastLogin")
    key, name, email = fields.text("id"), fields.text("fullName"), fields.text("username")
    phones: dict[str, str] = {}
    for contact in fields.items("userContacts", "contact"):
        contact.ignore("id", "applyOrder", "disabledReason", "statusDto", "_parent")
        status = contact.inner("status", "contact_status")
        enabled = status.flag("enabled", default=True) if status else True
        usable = contact.flag("enabled", default=True) and enabled
        method, to = (contact.text("contactMethod") or contact.text("method")).lower(), contact.text("to")
        if usable and method in ("voice", "sms"):
            phones.setdefault(method, to)
        contact.done()
    blocked = fields.flag("blocked", default=False)
    if until := fields.text("mutedUntil"):
        message = f"has muted notifications until {until} there, and is rung here: override their shifts"
        fields.report.add("changed", f"person {email or name}", message)
    fields.done()
    if outer is not fields:
        outer.done()
    if not key or blocked:
        return None
    return Person(key, name or email, email, phones.get("voice") or phones.get("sms"))


@dataclass(slots=True)
class _Finder:
    """Finds whom a participant or recipient means: by id, or by name."""

    people: Mapping[str, Person]
    teams: Mapping[str, Fields]
    escalations: Mapping[str, Fields]
    report: Report
    schedules: Mapping[str, str] = field(default_factory=dict)
    forwardings: tuple[Forwarding, ...] = ()

    def person(self, fields: Fields) -> str | None:
        key, username = fields.text("id"), fields.text("username").lower()
        if key in self.people:
            return key
        return next((p.id for p in self.people.values() if username and p.email.lower() == username), None)

    def schedule(self, fields: Fields) -> str | None:
        return _by_name(fields, self.schedules)

    def team(self, fields: Fields) -> Fields | None:
        key = _by_name(fields, {key: team.text("name") for key, team in self.teams.items()})
        return self.teams[key] if key else None

    def escalation(self, fields: Fields) -> Fields | None:
        key = _by_name(fields, {key: escalation.text("name") for key, escalation in self.escalations.items()})
        return self.escalations[key] if key else None

    def members(self, team: Fields) -> tuple[str, ...]:
        found = []
        for member in team.items("members", "member"):
            member.ignore("role")
            user = member.inner("user", "user")
            person = self.person(user) if user else None
            if person:
                found.append(person)
            member.done()
        return tuple(found)

    def participant(self, fields: Fields) -> tuple[str, ...]:
        """The people of a turn. A team stands for its members, an escalation for the users of its first rule."""
        kind = fields.text("type").lower()
        if kind == "none":
            return ()
        if kind == "user":
            person = self.person(fields)
            if person is None:
                who = fields.text("username") or fields.text("id")
                self.report.add(
                    "changed",
                    fields.where.rsplit(",", 1)[0],
                    f"{who} is in the rotation and not among the users (deleted or blocked?): their turns are nobody's; "
                    "take them out there, or put somebody in",
                )
            return (person,) if person else ()
        where, name = fields.where.rsplit(",", 1)[0], fields.text("name") or fields.text("id")
        if kind == "team" and (team := self.team(fields)):
            members = self.members(team)
            self.report.add(
                "changed", where, f"the turn of team {name} is its {len(members)} members', one after another"
            )
            return members
        if kind == "escalation" and (escalation := self.escalation(fields)):
            rules = escalation.items("rules", "rule")
            found = [self.person(r) for rule in rules[:1] if (r := rule.inner("recipient", "recipient"))]
            self.report.add(
                "changed",
                where,
                f"the turn of escalation {name} is the users' of its first rule: its other rules are left out",
            )
            return tuple(person for person in found if person)
        self.report.add("not mapped", where, f"the turn of {kind} {name}, which is not in the export: it is nobody's")
        return ()


def _by_name(fields: Fields, names: Mapping[str, str]) -> str | None:
    key, name = fields.text("id"), fields.text("name")
    return key if key in names else next((k for k, n in names.items() if name and n == name), None)


def _schedule(
    fields: Fields, finder: _Finder, overrides: list[Fields], timelines: list[Fields], zones: Mapping[str, str]
) -> Schedule | None:
    report = fields.report
    outer = fields
    fields = _unwrapped(fields, "schedule")
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"schedule {name}"
    fields.ignore("description", "ownerTeam", "expandable", "_parent")
    zone = fields.time_zone("timezone", zones)
    enabled = fields.flag("enabled", default=True)
    if fields.value("rotations") is None:
        report.add("error", fields.where, "has no rotations: save it with ?expand=rotation (docs/move-in.md)")
    rotations = [found for inner in fields.items("rotations", "rotation") if (found := _rotation(inner, zone, finder))]
    fields.done()
    own = outer.items("scheduleOverrideList", "override") if outer is not fields else []
    if outer is not fields:
        outer.done()
    replaced = [o for f in own if (o := _override(f, key, name, rotations, finder, own=True))]
    replaced += [o for f in overrides if (o := _override(f, key, name, rotations, finder, own=False))]
    if not key:
        report.add("error", fields.where, "has no id: export it again")
        return None
    if not enabled:
        report.add("changed", fields.where, "is switched off there and rings nobody: so it does here")
        rotations, replaced = [], []
    final = [period for timeline in timelines for period in _final(timeline, key, name, finder)]
    known = finder.people
    here = {o.user for o in replaced} | {user for r in rotations for turn in r.turns for user in turn}
    forwardings = [f for f in finder.forwardings if f.user in here or f.user in {g.to for g in finder.forwardings}]
    return Schedule(
        key,
        name or key,
        str(zone),
        tuple(Turns(r.name, r.turns, r.local_start, r.length, r.unit, r.hours, r.start, r.end) for r in rotations),
        lambda at: on_call(rotations, replaced, forwardings, known, zone, at),
        tuple(Deviation(o.start, o.end, "override") for o in replaced)
        + tuple(Deviation(f.start, f.end, "forwarding") for f in forwardings),
        tuple(final),
    )


def _forwarding(fields: Fields, finder: _Finder) -> Forwarding | None:
    fields.ignore("id", "alias")
    start, end = fields.moment("startDate"), fields.moment("endDate")
    of, to = fields.inner("fromUser", "user"), fields.inner("toUser", "user")
    fields.done()
    names = [(user.text("username") or user.text("id")) if user else "?" for user in (of, to)]
    persons = [finder.person(user) if user else None for user in (of, to)]
    where = f"forwarding {names[0]} to {names[1]}"
    if start is None or end is None or persons[0] is None or persons[1] is None:
        message = "has no startDate, endDate, or users of the export: write an override (oncall override add)"
        finder.report.add("not mapped", where, message)
        return None
    message = "is a layer of the schedules that they are in; a step that names them rings themselves here"
    finder.report.add("changed", where, message)
    return Forwarding(persons[0], persons[1], start, end)


def _covered(fields: Fields, rotations: Iterable[Rotation], where: str) -> frozenset[str]:
    """The ids of the rotations that an override names, by id or by name; none means all."""
    found = set()
    for named in fields.items("rotations", "override_rotation"):
        key, name = named.text("id"), named.text("name")
        ids = [r.id for r in rotations if r.id == key or (not key and r.name == name)]
        found.update(ids or [key or name])
        if not ids:
            message = f"an override is for rotation {name or key}, which is not in the export: add it by hand"
            fields.report.add("not mapped", where, message)
    return frozenset(found)


def _rotation(fields: Fields, zone: ZoneInfo, finder: _Finder) -> Rotation | None:
    fields.ignore("_parent")
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"{fields.where.split(',')[0]}, rotation {name}"
    start, end = fields.moment("startDate"), fields.moment("endDate")
    unit, length = _UNITS.get(fields.text("type").lower()), fields.number("length", 1) or 1
    turns = tuple(finder.participant(inner) for inner in fields.items("participants", "participant"))
    restriction = fields.inner("timeRestriction", "timeRestriction")
    hours = tuple(_hours(restriction)) if restriction else ()
    fields.done()
    if start is None or unit is None or not turns or length < 1:
        fields.report.add(
            "error",
            fields.where,
            "has no startDate, participants, or type hourly, daily or weekly: is it of another version?",
        )
        return None
    return Rotation(key, name, start, local_time(start, zone), end, unit, length, turns, hours)


def _hours(fields: Fields) -> Iterable[Hours]:
    kind = fields.text("type").lower().replace("_", "-")
    daily = kind == "time-of-day"
    parts = fields.items("restrictions", "restriction")
    one = fields.inner("restriction", "restriction")
    fields.done()
    for part in [*parts, *([one] if one else [])]:
        start = part.number("startHour", 0) * 60 + part.number("startMin", 0)
        end = part.number("endHour", 0) * 60 + part.number("endMin", 0)
        first, last = parse_day(part.text("startDay")), parse_day(part.text("endDay"))
        part.done()
        if not (0 <= start <= 1440 and 0 <= end <= 1440) or (not daily and (first is None or last is None)):
            part.report.add(
                "error", part.where, "its time restriction has other days or hours than Opsgenie's: export it again"
            )
        elif daily:
            for day in range(7):
                yield Hours(day * 1440 + start, (end - start - 1) % 1440 + 1)
        elif first is not None and last is not None:
            begin, finish = first * 1440 + start, last * 1440 + end
            yield Hours(begin % WEEK_MINUTES, (finish - begin - 1) % WEEK_MINUTES + 1)


def _override(
    fields: Fields, schedule: str, name: str, rotations: list[Rotation], finder: _Finder, *, own: bool
) -> Override | None:
    """The override, if it is of this schedule: in the backup it stands beside it, the API names it."""
    fields.ignore("alias")
    parent = fields.inner("_parent", "parent")
    if not own and not (parent and (parent.text("id") == schedule or parent.text("name") == name)):
        if parent is None:
            fields.report.add(
                "not mapped", fields.where, "an override that does not say of which schedule it is (_parent)"
            )
        return None
    start, end, user = fields.moment("startDate"), fields.moment("endDate"), fields.inner("user", "user")
    covered = _covered(fields, rotations, f"schedule {name}")
    fields.done()
    person = finder.person(user) if user else None
    if start is None or end is None or person is None:
        fields.report.add(
            "changed", f"schedule {name}", "an override of somebody who is not among the users is left out"
        )
        return None
    return Override(person, start, end, covered)


def _final(fields: Fields, schedule: str, name: str, finder: _Finder) -> Iterable[Period]:
    parent = fields.inner("_parent", "parent")
    timeline = fields.inner("finalTimeline", "timeline")
    of = fields.where.rsplit("/", 1)[-1]
    if timeline is None or not (
        (parent and parent.text("id") == schedule) or schedule in of or (parent and parent.text("name") == name)
    ):
        return
    for rotation in timeline.items("rotations", "timeline_rotation"):
        for period in rotation.items("periods", "period"):
            start, end, recipient = (
                period.moment("startDate"),
                period.moment("endDate"),
                period.inner("recipient", "recipient"),
            )
            flattened = period.items("flattenedRecipients", "recipient") or ([recipient] if recipient else [])
            for one in flattened:
                if start and end and one.text("type").lower() == "user" and (person := finder.person(_renamed(one))):
                    yield Period(start, end, person)


def _renamed(fields: Fields) -> Fields:
    """A recipient of a timeline has the user's address as its name."""
    return Fields(
        fields.kind,
        {"id": fields.text("id"), "username": fields.text("username") or fields.text("name")},
        fields.report,
        fields.where,
    )


def _minutes(fields: Fields, key: str) -> int:
    inner = fields.value(key)
    if isinstance(inner, dict):
        delay = Fields("delay", inner, fields.report, fields.where)
        unit = {"minutes": 1, "hours": 60, "days": 1440}.get(delay.text("timeUnit", "minutes").lower(), 1)
        return delay.number("timeAmount", 0) * unit
    return fields.number(key, 0)


def _policy(fields: Fields, finder: _Finder) -> Policy:
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"policy {name}"
    fields.ignore("description", "ownerTeam")
    steps = tuple(_steps(fields, finder, 0, (key,)))
    repeat = fields.inner("repeat", "repeat")
    count, wait = 0, 0
    if repeat:
        count, wait = repeat.number("count", 0), repeat.number("waitInterval", 0)
        repeat.ignore("resetRecipientStates")
        if repeat.flag("closeAlertAfterAll", default=False):
            fields.report.add(
                "not mapped",
                fields.where,
                "closes the alert after the last round: here it counts as unanswered, and people are told",
            )
        repeat.done()
    fields.done()
    return Policy(key, name or key, steps, count + 1, wait)


def _steps(fields: Fields, finder: _Finder, offset: int, above: tuple[str, ...]) -> Iterable[Step]:
    for rule in fields.items("rules", "rule"):
        rule.ignore("_id", "id")
        after = offset + _minutes(rule, "delay")
        if rule.text("condition", "if-not-acked").lower() != "if-not-acked":
            finder.report.add(
                "changed",
                fields.where,
                "a rule that goes on after somebody acknowledged (if-not-closed): here it stops; see remind_after_minutes",
            )
        notify = rule.text("notifyType", "default").lower()
        if notify in ("next", "previous", "random", "admins"):
            finder.report.add(
                "changed",
                fields.where,
                f"rings {notify} of the schedule or team: here whoever is on call, or all members",
            )
        recipient = rule.inner("recipient", "recipient")
        rule.done()
        if recipient:
            yield from _recipient(recipient, finder, after, above, fields.where)


def _recipient(fields: Fields, finder: _Finder, after: int, above: tuple[str, ...], where: str) -> Iterable[Step]:
    """The steps of a recipient: another escalation, or a team's, is put in its place."""
    kind, name = fields.text("type").lower(), fields.text("name") or fields.text("username") or fields.text("id")
    if kind == "none":
        return
    if kind == "user" and (person := finder.person(fields)):
        yield Step((Target("person", person),), after)
    elif kind == "schedule" and (schedule := finder.schedule(fields)):
        yield Step((Target("schedule", schedule),), after)
    elif kind == "escalation" and (escalation := finder.escalation(fields)) and escalation.text("id") not in above:
        yield from _steps(escalation, finder, after, (*above, escalation.text("id")))
    elif kind == "team" and (team := finder.team(fields)):
        members = finder.members(team)
        if members:
            finder.report.add("changed", where, f"rings team {name}: here its members, one after another")
            yield Step(tuple(Target("person", member) for member in members), after)
    else:
        finder.report.add(
            "not mapped", where, f"rings {kind} {name}, which is not in the export, or itself: add it by hand"
        )


def _team(fields: Fields, finder: _Finder) -> tuple[Policy | None, Product | None]:
    """A team is a product here: its default routing rule says whom its alerts ring."""
    outer = fields
    outer.ignore("teamRoles")
    rules = outer.items("teamRoutingRules", "routing_rule")
    fields = _unwrapped(outer, "team")
    fields.ignore("description", "members", "links", "id")
    name = fields.text("name") or fields.text("id")
    where = f"team {name}"
    fields.done()
    if outer is not fields:
        outer.done()
    if not rules:
        finder.report.add(
            "not mapped", where, "has no routing rules in the export, so it is no product: write one with its policy"
        )
    routed: tuple[Policy | None, Product | None] = (None, None)
    for rule in sorted(rules, key=lambda rule: (rule.flag("isDefault", default=False), rule.number("order", 0))):
        rule.ignore("id", "name", "timezone")
        default = rule.flag("isDefault", default=False)
        criteria, notify = rule.inner("criteria", "criteria"), rule.inner("notify", "notify")
        restricted = rule.value("timeRestriction")
        kind = criteria.text("type") if criteria else "match-all"
        if criteria:
            criteria.ignore("conditions", "conditionMatchType")
            criteria.done()
        rule.done()
        if default or (kind == "match-all" and not restricted):
            routed = routed if routed[1] else _routed(notify, name, f"team-{outer.text('id') or name}", finder, where)
        else:
            finder.report.add(
                "not mapped",
                where,
                f"routing rule {rule.text('name') or rule.text('id')} with conditions: set the label product by alerting rules",
            )
    return routed


def _routed(notify: Fields | None, name: str, key: str, finder: _Finder, where: str) -> tuple[Policy | None, Product]:
    """The product of a team whose alerts go there: with an escalation, or with a policy of its own (`key`)."""
    kind = notify.text("type").lower() if notify else "none"
    if notify is None or kind == "none":
        return None, Product(name, None)
    if kind == "escalation" and (escalation := finder.escalation(notify)):
        return None, Product(name, escalation.text("id"))
    steps = tuple(_recipient(notify, finder, 0, (), where))
    return Policy(key, f"{name} routing", steps), Product(name, key)
