"""GoAlert: the answers to GraphQL queries, saved by curl (docs/move-in.md has one) or read with `--api`.

Sources: target/goalert, graphql2/schema.graphql and graphql2/graph/*.graphqls for the fields; schedule/rotation/rotation.go,
schedule/rule/rule.go, oncall/state.go and engine/schedulemanager for the rules: everybody whose rule is active is on call;
a temporary schedule stands for everything; then overrides replace, remove and add people. A rotation has its own time zone.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from oncall.roster.attributes import parse_clock
from oncall_cli.imports.documents import Document, Fields
from oncall_cli.imports.model import (
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
    Unsayable,
    local_time,
    minute_of_week,
    wall_clock,
    within,
)
from oncall_cli.imports.model import Rotation as Turns

LISTS = {
    "users": "id name email contactMethods { id name type value disabled pending }",
    "rotations": "id name timeZone type start shiftLength activeUserIndex userIDs nextHandoffTimes(num: 1)",
    "schedules": (
        "id name timeZone targets { target { id type name } rules { start end weekdayFilter } }"
        " temporarySchedules { start end shifts { userID start end } } onCallNotificationRules { id }"
        " shifts(start: $start, end: $end) { userID start end truncated }"
    ),
    "userOverrides": "id start end addUserID removeUserID target { id type name }",
    "escalationPolicies": "id name repeat steps { id stepNumber delayMinutes actions { type args } }",
    "services": "id name escalationPolicyID maintenanceExpiresAt heartbeatMonitors { name timeoutMinutes }",
}


def query(group: str, *, newer: bool) -> str:
    """The GraphQL query for a page of one list; GoAlert gives 150 of it at most. `newer`: with what older ones refuse."""
    fields = LISTS[group]
    if newer:
        fields = fields.replace(" delayMinutes ", " delayMinutes multiAck ")
    declared = (
        "$after: String, $start: ISOTimestamp!, $end: ISOTimestamp!" if group == "schedules" else "$after: String"
    )
    lists = f"{group}(input: {{first: 150, after: $after}})"
    return f"query ({declared}) {{ {lists} {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"


_UNITS: Mapping[str, Unit] = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
_SIZES: Mapping[Unit, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Rotation:
    """`users[active]` is on call until `next_hand_over`; both local, as the rotation's own wall shows them."""

    name: str
    zone: ZoneInfo
    unit: Unit
    length: int
    start: datetime
    users: tuple[str, ...]
    active: int
    next_hand_over: datetime | None


@dataclass(frozen=True, slots=True)
class Rule:
    """`target` (a user's or a rotation's id) is on call in these hours of the week; without hours always."""

    target: str
    hours: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """`add` instead of `remove`, if that one is on call; or one of them alone."""

    start: datetime
    end: datetime
    add: str
    remove: str


@dataclass(frozen=True, slots=True)
class Temporary:
    """Instead of the whole schedule, only these shifts."""

    start: datetime
    end: datetime
    shifts: tuple[Period, ...]


def user_of(rotation: Rotation, at: datetime) -> str:
    """Whose turn it is: counted from the turn that is active now, shift by shift, as GoAlert does."""
    wall = wall_clock(at, rotation.zone)
    size = len(rotation.users)
    if rotation.next_hand_over is None:
        return rotation.users[_shifts_between(rotation, rotation.start, wall) % size]
    # The one who is active has the shift that ends at the next hand-over.
    return rotation.users[(rotation.active + 1 + _shifts_between(rotation, rotation.next_hand_over, wall)) % size]


def _shifts_between(rotation: Rotation, anchor: datetime, wall: datetime) -> int:
    """How many hand-overs after `anchor` come up to `wall`; negative before it (-1: the shift that ends at `anchor`)."""
    if rotation.unit != "month":
        return (wall - anchor) // (_SIZES[rotation.unit] * rotation.length)
    number = 0
    while _months_later(anchor, (number + 1) * rotation.length) <= wall:
        number += 1
    while _months_later(anchor, number * rotation.length) > wall:
        number -= 1
    return number


def _months_later(moment: datetime, months: int) -> datetime:
    """Go's AddDate: the day stays, and the days that a shorter month lacks run on into the next."""
    index = moment.year * 12 + moment.month - 1 + months
    year, month = index // 12, index % 12 + 1
    days = monthrange(year, month)[1]
    beyond = max(moment.day - days, 0)
    return moment.replace(year=year, month=month, day=min(moment.day, days)) + timedelta(days=beyond)


def on_call(
    rules: Iterable[Rule],
    rotations: Mapping[str, Rotation],
    temporary: Iterable[Temporary],
    overrides: Iterable[Override],
    zone: ZoneInfo,
    at: datetime,
) -> frozenset[str]:
    """Who is on call by GoAlert's rules."""
    for instead in temporary:
        if instead.start <= at < instead.end:
            return frozenset(shift.person for shift in instead.shifts if shift.start <= at < shift.end)
    minute = minute_of_week(wall_clock(at, zone))
    found = set()
    for rule in rules:
        if not rule.hours or any(within(hours, minute) for hours in rule.hours):
            rotation = rotations.get(rule.target)
            if rotation is None:
                found.add(rule.target)
            elif rotation.users:
                found.add(user_of(rotation, at))
    present = frozenset(found)
    for override in overrides:
        if override.start <= at < override.end and (not override.remove or override.remove in present):
            found.discard(override.remove)
            if override.add:
                found.add(override.add)
    return frozenset(found)


def read(documents: list[Document], zones: Mapping[str, str]) -> Imported:
    """All that the documents say."""
    report = Report()
    groups: dict[str, list[Fields]] = {group: [] for group in LISTS}
    for document in documents:
        if not isinstance(document.body, dict):
            continue
        outer = Fields("answer", document.body, report, document.name)
        for wrong in outer.items("errors", "error"):
            report.add(
                "error",
                document.name,
                f"GoAlert refused a part: {wrong.text('message')}: use a key that may read everything",
            )
        data = outer.inner("data", "data") or outer
        for group in LISTS:
            found = data.inner(group, group)
            if found is None:
                continue
            groups[group] += found.items("nodes", _singular(group))
            page = found.inner("pageInfo", "pageInfo")
            if page and page.flag("hasNextPage", default=False):
                report.add(
                    "error",
                    document.name,
                    f"{group}: there are more than the answer has: use --api, which reads all pages",
                )
    people = {person.id: person for fields in groups["users"] if (person := _person(fields))}
    rotations = {
        key: rotation for fields in groups["rotations"] for key, rotation in [_rotation(fields, people, zones)]
    }
    overrides = [_override(fields, people) for fields in groups["userOverrides"]]
    schedules = tuple(_schedule(fields, people, rotations, overrides, zones) for fields in groups["schedules"])
    known = {schedule.id for schedule in schedules}
    for schedule, _ in filter(None, overrides):
        if schedule not in known:
            message = f"an override is for schedule {schedule}, which is not in the export: add it by hand"
            report.add("not mapped", "userOverrides", message)
    extra: dict[str, Schedule] = {}
    policies = tuple(_policy(fields, people, known, rotations, extra) for fields in groups["escalationPolicies"])
    keys = {policy.id for policy in policies}
    products = tuple(_product(fields, keys) for fields in groups["services"])
    return Imported(people, (*schedules, *extra.values()), policies, products, report)


def _singular(group: str) -> str:
    return {"escalationPolicies": "escalationPolicy"}.get(group, group.removesuffix("s"))


def _person(fields: Fields) -> Person | None:
    fields.ignore("role", "notificationRules", "statusUpdateContactMethodID", "authSubjects", "isFavorite", "sessions")
    fields.ignore("calendarSubscriptions", "onCallSteps", "onCallOverview", "assignedSchedules")
    key, name, email = fields.text("id"), fields.text("name"), fields.text("email")
    phones: dict[str, str] = {}
    for method in fields.items("contactMethods", "contactMethod"):
        method.ignore("id", "name", "formattedValue", "lastTestVerifyAt", "statusUpdates")
        method.ignore("lastTestMessageState", "lastVerifyMessageState")
        destination = method.inner("dest", "dest")
        kind, value = method.text("type").lower(), method.text("value")
        if destination:
            arguments = destination.inner("args", "args")
            kind = {"builtin-twilio-voice": "voice", "builtin-twilio-sms": "sms"}.get(destination.text("type"), "")
            value = arguments.text("phone_number") if arguments else ""
        disabled, pending = method.flag("disabled", default=False), method.flag("pending", default=False)
        if not disabled and not pending and kind in ("voice", "sms") and value:
            phones.setdefault(kind, value)
        method.done()
    fields.done()
    return Person(key, name or email, email, phones.get("voice") or phones.get("sms")) if key else None


def _rotation(fields: Fields, people: Mapping[str, Person], zones: Mapping[str, str]) -> tuple[str, Rotation]:
    fields.ignore("description", "isFavorite", "labels", "users")
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"rotation {name}"
    zone, start = fields.time_zone("timeZone", zones), fields.moment("start")
    unit = _UNITS.get(fields.text("type").lower())
    length, active = fields.number("shiftLength", 1), fields.number("activeUserIndex", 0)
    users = tuple(fields.texts("userIDs"))
    following = fields.value("nextHandoffTimes")
    moment = (
        Fields("rotation", {"nextHandoffTimes": following[0]}, fields.report, fields.where)
        if isinstance(following, list) and following
        else None
    )
    next_hand_over = moment.moment("nextHandoffTimes") if moment else None
    fields.done()
    if start is None or unit is None or length < 1:
        fields.report.add(
            "error",
            fields.where,
            "has no start, or another type than hourly, daily, weekly or monthly: is it of another version?",
        )
    if next_hand_over is None and len(users) > 1:
        fields.report.add(
            "error",
            fields.where,
            "has no nextHandoffTimes, so nobody knows whose turn it is: export it with the query of docs/move-in.md",
        )
    for user in users:
        if user not in people:
            fields.report.add(
                "changed",
                fields.where,
                f"user {user} is in it and not among the users (deleted?): their turns are nobody's",
            )
    begin = local_time(start, zone) if start else datetime(2024, 1, 1, 9)  # noqa: DTZ001  a local time
    return key, Rotation(
        name,
        zone,
        unit or "week",
        max(length, 1),
        begin.replace(second=0, microsecond=0),
        users,
        active,
        local_time(next_hand_over, zone) if next_hand_over else None,
    )


def _override(fields: Fields, people: Mapping[str, Person]) -> tuple[str, Override] | None:
    fields.ignore("id", "addUser", "removeUser")
    start, end, target = fields.moment("start"), fields.moment("end"), fields.inner("target", "target")
    add, remove = fields.text("addUserID"), fields.text("removeUserID")
    fields.done()
    if start is None or end is None or target is None:
        fields.report.add("error", fields.where, "has no start, end or target: export it again")
        return None
    if add and add not in people:
        fields.report.add(
            "changed", fields.where, f"an override puts {add} on call, who is not among the users: nobody is, then"
        )
    return target.text("id"), Override(start, end, add, remove)


def _schedule(
    fields: Fields,
    people: Mapping[str, Person],
    rotations: Mapping[str, Rotation],
    overrides: Iterable[tuple[str, Override] | None],
    zones: Mapping[str, str],
) -> Schedule:
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"schedule {name}"
    fields.ignore("description", "isFavorite", "labels", "assignedTo", "target")
    if fields.value("onCallNotificationRules"):
        fields.report.add(
            "not mapped",
            fields.where,
            "who is on call is not told in a channel at a set time here: see docs/slack.md (user group, Home)",
        )
    zone = fields.time_zone("timeZone", zones)
    rules, turns = [], []
    unsayable: list[Unsayable] = []
    for assigned in fields.items("targets", "target"):
        assigned.ignore("scheduleID")
        target = assigned.inner("target", "target")
        parts = [tuple(_hours(rule)) for rule in assigned.items("rules", "rule")]
        assigned.done()
        if target is None or not any(parts):
            continue
        of = target.text("id")
        always = any(len(part) == 7 and part[0].minutes == 1440 for part in parts)
        rules.append(Rule(of, () if always else tuple(hours for part in parts for hours in part)))
        if of not in rotations and of not in people:
            fields.report.add(
                "changed",
                fields.where,
                f"its rule for {target.text('name') or of}, who is not in the export, is nobody's",
            )
        rotation = rotations.get(of)
        turns.append(_turns(rotation, of, people, zone, rules[-1].hours))
        if rotation and len(rotation.users) > 1 and str(rotation.zone) != str(zone):
            unsayable.append(Unsayable(f"rotation {rotation.name} is in {rotation.zone} and the schedule in {zone}"))
    own = [override for found in overrides if found and found[0] == key for override in [found[1]]]
    temporary = [
        found for inner in fields.items("temporarySchedules", "temporarySchedule") if (found := _temporary(inner))
    ]
    final = [
        Period(s, e, inner.text("userID"))
        for inner in fields.items("shifts", "shift")
        if (s := inner.moment("start")) and (e := inner.moment("end"))
    ]
    fields.done()
    deviations = [Deviation(o.start, o.end, "override") for o in own] + [
        Deviation(t.start, t.end, "temporary schedule") for t in temporary
    ]
    return Schedule(
        key,
        name or key,
        str(zone),
        tuple(turns),
        lambda at: on_call(rules, rotations, temporary, own, zone, at) & people.keys(),
        tuple(deviations),
        tuple(final),
        tuple(unsayable),
    )


def _turns(
    rotation: Rotation | None, target: str, people: Mapping[str, Person], zone: ZoneInfo, hours: tuple[Hours, ...]
) -> Turns:
    def turn(user: str) -> tuple[str, ...]:
        return (user,) if user in people else ()

    if rotation is None:
        name = people[target].name if target in people else target
        return Turns(name, (turn(target),), datetime(2024, 1, 1, 9), 1, "week", hours)  # noqa: DTZ001  a local time
    users = rotation.users or ("",)
    anchor, first = rotation.start, 0
    if rotation.next_hand_over is not None:
        anchor, first = rotation.next_hand_over, (rotation.active + 1) % len(users)
    # Hand-overs are written in the schedule's time zone.
    start = local_time(anchor.replace(tzinfo=rotation.zone), zone)
    turns = tuple(turn(user) for user in users[first:] + users[:first])
    return Turns(rotation.name, turns, start, rotation.length, rotation.unit, hours)


def _hours(fields: Fields) -> Iterable[Hours]:
    fields.ignore("id", "scheduleID", "target")
    start, end = parse_clock(fields.text("start")), parse_clock(fields.text("end"))
    days = fields.value("weekdayFilter")
    fields.done()
    if start is None or end is None or not isinstance(days, list) or len(days) != 7:
        fields.report.add("error", fields.where, "a rule has no start, end or 7 days: is it of another version?")
        return
    begin, finish = start // timedelta(minutes=1), end // timedelta(minutes=1)
    for number in range(7):  # GoAlert's week begins on Sunday
        if days[(number + 1) % 7]:
            yield Hours(number * 1440 + begin, (finish - begin - 1) % 1440 + 1)


def _temporary(fields: Fields) -> Temporary | None:
    start, end = fields.moment("start"), fields.moment("end")
    shifts = [
        Period(s, e, inner.text("userID"))
        for inner in fields.items("shifts", "shift")
        if (s := inner.moment("start")) and (e := inner.moment("end"))
    ]
    fields.done()
    return Temporary(start, end, tuple(shifts)) if start and end else None


def _policy(
    fields: Fields,
    people: Mapping[str, Person],
    schedules: set[str],
    rotations: Mapping[str, Rotation],
    extra: dict[str, Schedule],
) -> Policy:
    key, name = fields.text("id"), fields.text("name")
    fields.where = f"policy {name}"
    fields.ignore("description", "isFavorite", "labels", "assignedTo", "notices")
    repeat = fields.number("repeat", 0)
    steps, after, delay = [], 0, 0
    for step in sorted(fields.items("steps", "step"), key=lambda s: s.number("stepNumber", 0)):
        step.ignore("id", "escalationPolicy")
        if step.flag("multiAck", default=False):
            fields.report.add(
                "not mapped", fields.where, "a step that goes on after somebody acknowledged (multiAck): here it stops"
            )
        targets = []
        for kind, of in _targets(step):
            if kind == "user" and of in people:
                targets.append(Target("person", of))
            elif kind == "schedule" and of in schedules:
                targets.append(Target("schedule", of))
            elif kind == "rotation" and of in rotations:
                extra.setdefault(of, _rotation_schedule(of, rotations[of], people))
                targets.append(Target("schedule", of))
            else:
                fields.report.add(
                    "not mapped",
                    fields.where,
                    _NOT_RUNG.get(kind, f"rings {kind} {of}, which is not in the export: add it by hand"),
                )
        steps.append(Step(tuple(targets), after))
        delay = step.number("delayMinutes", 0)
        after += delay
        step.done()
    fields.done()
    return Policy(key, name or key, tuple(step for step in steps if step.targets), repeat + 1, delay)


_NOT_RUNG = {
    "slack-channel": "writes to a Slack channel: every incident is in Slack here, in the product's slack_channel",
    "slack-usergroup": "mentions a Slack user group: the stack can keep one up to date (docs/slack.md)",
    "slack-dm": "writes to somebody in Slack: they can follow the channel",
    "webhook": "calls a webhook: let Alertmanager do it",
    "smtp-email": "writes a mail: the fallback topic can",
    "alert": "makes another alert",
}


def _rotation_schedule(key: str, rotation: Rotation, people: Mapping[str, Person]) -> Schedule:
    """A rotation that a policy rings without a schedule is a schedule of its own here."""
    turns = _turns(rotation, key, people, rotation.zone, ())
    rules = [Rule(key, ())]
    return Schedule(
        key,
        rotation.name,
        str(rotation.zone),
        (turns,),
        lambda at: on_call(rules, {key: rotation}, (), (), rotation.zone, at) & people.keys(),
    )


def _targets(step: Fields) -> Iterable[tuple[str, str]]:
    """What a step rings: `actions` of today's versions, or `targets` of older ones."""
    actions = step.items("actions", "action")
    for action in actions:
        kind, arguments = action.text("type").removeprefix("builtin-"), action.inner("args", "args")
        of = str(next(iter(arguments.body.values()), "")) if arguments else ""
        yield kind, of
    if not actions:
        for target in step.items("targets", "target"):
            yield re.sub(r"[^a-z]", "", target.text("type").lower()), target.text("id")
    step.ignore("targets")


def _product(fields: Fields, policies: set[str]) -> Product:
    name, policy = fields.text("name") or fields.text("id"), fields.text("escalationPolicyID")
    fields.where = f"service {name}"
    fields.ignore(
        "id",
        "description",
        "isFavorite",
        "labels",
        "onCallUsers",
        "integrationKeys",
        "notices",
        "escalationPolicy",
        "recentEvents",
        "alertStats",
        "alertsByStatus",
    )
    for monitor in fields.items("heartbeatMonitors", "heartbeatMonitor"):
        message = f"its heartbeat monitor {monitor.text('name')}: name it in the roster (docs/sources.md, heartbeats)"
        fields.report.add("not mapped", fields.where, message)
    if fields.value("maintenanceExpiresAt"):
        fields.report.add("not mapped", fields.where, "its maintenance mode: make a silence in Alertmanager")
    fields.done()
    if policy not in policies:
        fields.report.add(
            "error", fields.where, f"its escalation policy {policy} is not in the export: export them too"
        )
    return Product(name, policy if policy in policies else None)
