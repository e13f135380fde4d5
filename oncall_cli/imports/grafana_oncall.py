"""Grafana OnCall: the JSON of its public API v1, saved by curl or read with `--api`, and calendars (.ics).

Sources: grafana/oncall, docs/sources/oncall-api-reference (on_call_shifts, schedules, escalation_policies, routes, users,
shift_swaps). The API does not give numbers. The rules of shifts are in grafana_shifts.py.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from oncall_cli.imports import icalendar
from oncall_cli.imports.documents import Document, Fields
from oncall_cli.imports.grafana_shifts import Shift, Swap, on_call, present, rotation
from oncall_cli.imports.model import (
    Deviation,
    Imported,
    Period,
    Person,
    Policy,
    Product,
    Report,
    Schedule,
    Step,
    Target,
    Unsayable,
)
from oncall_cli.imports.time_zones import iana_name

GROUPS = (
    "on_call_shifts",
    "final_shifts",
    "shift_swaps",
    "schedules",
    "escalation_chains",
    "escalation_policies",
    "integrations",
    "routes",
    "users",
)
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NO_START = datetime(2024, 1, 1)  # noqa: DTZ001  a local time, where there is none


def read(documents: list[Document], zones: Mapping[str, str]) -> Imported:
    """All that the documents say."""
    report = Report()
    groups = _grouped(documents, report)
    people = {person.id: person for fields in groups["users"] if (person := _person(fields))}
    teams: dict[str, list[str]] = {}
    for fields in groups["users"]:
        for team in fields.texts("teams"):
            teams.setdefault(team, []).append(fields.text("id"))
    calendars = {
        document.name.rsplit("/", 1)[-1]: document.body for document in documents if isinstance(document.body, str)
    }
    bodies = {fields.text("id"): fields for fields in groups["on_call_shifts"]}
    if not bodies and any(fields.text("type") != "ical" for fields in groups["schedules"]):
        report.add("error", "schedules", "there are no shifts for them: save on_call_shifts too, all pages")
    schedules = tuple(_schedule(fields, bodies, groups, calendars, people, zones) for fields in groups["schedules"])
    used = {key for fields in groups["schedules"] for key in fields.texts("shifts")}
    for key, fields in bodies.items():
        if key not in used and not any(fields.text("schedule") == schedule.id for schedule in schedules):
            report.add("note", f"shift {fields.text('name')}", "is in no schedule, and is left out")
    known = {schedule.id for schedule in schedules}
    policies = tuple(
        _policy(fields, groups["escalation_policies"], people, teams, known) for fields in groups["escalation_chains"]
    )
    products = tuple(_products(groups, {policy.id for policy in policies}))
    return Imported(people, schedules, policies, products, report)


def _grouped(documents: list[Document], report: Report) -> dict[str, list[Fields]]:
    """The objects by the file that they are in: the API's answers do not say what they list."""
    found: dict[str, list[Fields]] = {group: [] for group in GROUPS}
    for document in documents:
        if isinstance(document.body, str):
            continue
        name = document.name.rsplit("/", 1)[-1]
        group = next((group for group in GROUPS if name.startswith(group)), None)
        if group is None:
            report.add("note", document.name, f"is not read: a file is called by what it lists ({', '.join(GROUPS)})")
            continue
        body = document.body
        if isinstance(body, dict) and "results" not in body and "detail" in body:
            report.add("error", document.name, f"the API refused: {body['detail']}: use a token that may read this")
            continue
        results = body.get("results", [body]) if isinstance(body, dict) else body
        if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
            report.add("error", document.name, "is no list of the API's: save it again")
            continue
        if isinstance(body, dict) and body.get("next") and not any(_is_page(other.name, name) for other in documents):
            report.add("error", document.name, "has a next page that is not there: save it as well, or use --api")
        kind = group.removesuffix("s") if group != "escalation_policies" else "escalation_policy"
        found[group] += [Fields(kind, one, report, document.name) for one in results]
    return found


def _is_page(name: str, of: str) -> bool:
    base = name.rsplit("/", 1)[-1]
    return base != of and base.startswith(of.removesuffix(".json").rstrip("0123456789-"))


def _person(fields: Fields) -> Person | None:
    fields.ignore("role", "timezone", "teams", "grafana_id", "is_phone_number_verified", "permissions", "name")
    key, email, username = fields.text("id"), fields.text("email"), fields.text("username")
    # The API's documentation has a list here; its answers have the one account, or null.
    linked = (
        fields.items("slack", "slack") if isinstance(fields.value("slack"), list) else [fields.inner("slack", "slack")]
    )
    slack = next((one.text("user_id") for one in linked if one), None)
    fields.done()
    return Person(key, fields.text("name") or username or email, email, None, slack, (username,)) if key else None


def _schedule(
    fields: Fields,
    bodies: Mapping[str, Fields],
    groups: Mapping[str, list[Fields]],
    calendars: Mapping[str, str],
    people: Mapping[str, Person],
    zones: Mapping[str, str],
) -> Schedule:
    report = fields.report
    key, name, kind = fields.text("id"), fields.text("name"), fields.text("type")
    fields.where = f"schedule {name}"
    fields.ignore("team_id", "on_call_now", "enable_web_overrides")
    zone = _calendars_zone(calendars.get(f"{key}.ics", "")) if kind == "ical" else None
    zone = zone or fields.time_zone("time_zone", zones)
    _tell_group(fields)
    shifts = []
    for wanted in fields.texts("shifts"):
        if wanted not in bodies:
            report.add(
                "error", fields.where, f"its shift {wanted} is not in the export: save on_call_shifts too, all pages"
            )
    for shift_id, body in bodies.items():
        if (shift_id in fields.texts("shifts") or body.text("schedule") == key) and (
            shift := _shift(body, zone, people, zones)
        ):
            shifts.append(shift)
    for field, suffix, override in (("ical_url_primary", "", False), ("ical_url_overrides", "-overrides", True)):
        if fields.text(field):
            file = f"{key}{suffix}.ics"
            if file in calendars:
                shifts += _calendar(calendars[file], file, zone, people, report, override=override)
            else:
                report.add("error", fields.where, f"has a calendar ({field}): save it as {file} beside the others")
    fields.done()
    if kind not in ("web", "calendar", "ical"):
        report.add("error", fields.where, f"is of the type {kind or 'none'}: is it of another version?")
    swaps = [swap for inner in groups["shift_swaps"] if (swap := _swap(inner, key, people, fields.where))]
    final = [
        Period(start, end, inner.text("user_pk"))
        for inner in groups["final_shifts"]
        if key in inner.where.rsplit("/", 1)[-1]
        if (start := inner.moment("shift_start")) and (end := inner.moment("shift_end"))
    ]
    return _as_schedule(key, name or key, zone, shifts, swaps, people, tuple(final))


def _as_schedule(
    key: str,
    name: str,
    zone: ZoneInfo,
    shifts: list[Shift],
    swaps: list[Swap],
    people: Mapping[str, Person],
    final: tuple[Period, ...],
) -> Schedule:
    rotations, unsayable = [], []
    deviations = [Deviation(swap.start, swap.end, "swap") for swap in swaps]
    lowest = min((shift.level for shift in shifts if not shift.override), default=0)
    for shift in shifts:
        start = shift.start.replace(tzinfo=shift.zone).astimezone(UTC)
        if shift.override and not shift.frequency:
            deviations.append(Deviation(start, start + shift.duration, "override"))
            continue
        found = rotation(shift)
        if str(shift.zone) != str(zone):
            found = f"shift {shift.name} is in {shift.zone} and the schedule in {zone}"
        elif not isinstance(found, str) and () in found.turns and shift.level > lowest:
            found = f"shift {shift.name} leaves weeks or hours to a lower level"
        if isinstance(found, str):
            unsayable.append(Unsayable(found, partial(present, shift)))
            continue
        rotations.append(replace(found, level=10**6) if shift.override else found)
        # What has begun before the shift's rotation starts does not count, and what has begun before its end goes on.
        begins = shift.rotation_start.replace(tzinfo=shift.zone).astimezone(UTC)
        deviations += [
            Deviation(b, b + shift.duration, shift.name) for b in (begins, shift.until) if b and shift.frequency
        ]
        left_out = [local.replace(tzinfo=shift.zone).astimezone(UTC) for local in shift.without]
        deviations += [Deviation(moment, moment + shift.duration, "left out") for moment in left_out]
    return Schedule(
        key,
        name,
        str(zone),
        tuple(rotations),
        lambda at: on_call(shifts, swaps, people, at),
        tuple(deviations),
        final,
        tuple(unsayable),
    )


def _shift(
    fields: Fields, schedule_zone: ZoneInfo, people: Mapping[str, Person], zones: Mapping[str, str]
) -> Shift | None:
    name, kind = fields.text("name") or fields.text("id"), fields.text("type")
    fields.where = f"shift {name}"
    fields.ignore("id", "team_id", "schedule", "source", "organization")
    zone = fields.time_zone("time_zone", zones) if fields.value("time_zone") else schedule_zone
    start, rotation_start = _wall(fields, "start"), _wall(fields, "rotation_start")
    seconds, frequency = fields.number("duration", 0), fields.text("frequency")
    until = _wall(fields, "until")
    rolling = kind == "rolling_users"
    groups = [tuple(map(str, group)) for group in fields.value("rolling_users") or [] if isinstance(group, list)]
    users = tuple(fields.texts("users"))
    index = fields.number("start_rotation_from_user_index", 0)
    days = frozenset(_DAYS.index(day) for day in fields.texts("by_day") if day in _DAYS)
    unknown = set(fields.texts("by_day")) - set(_DAYS)
    found = Shift(
        name,
        start or _NO_START,
        rotation_start or start or _NO_START,
        timedelta(seconds=seconds),
        zone,
        tuple(groups[index:] + groups[:index]) if rolling else (users,),
        fields.number("level", 0),
        kind == "override",
        rolling,
        frequency,
        fields.number("interval", 1) or 1,
        until.replace(tzinfo=UTC) if until else None,
        _DAYS.index(fields.text("week_start", "SU")) if fields.text("week_start", "SU") in _DAYS else 6,
        days,
        frozenset(map(int, fields.texts("by_month"))),
        frozenset(map(int, fields.texts("by_monthday"))),
    )
    fields.done()
    wrong = kind not in ("single_event", "recurrent_event", "rolling_users", "override")
    if (
        wrong
        or start is None
        or seconds < 1
        or unknown
        or frequency not in ("", "hourly", "daily", "weekly", "monthly")
    ):
        fields.report.add(
            "error",
            fields.where,
            "has no start or duration, or a type, frequency or day that OnCall does not have: is it of another version?",
        )
        return None
    for user in {user for group in found.groups for user in group if user not in people}:
        fields.report.add(
            "changed",
            fields.where,
            f"user {user} is in it and not among the users (deleted?): their turns are nobody's",
        )
    if not found.groups or not any(found.groups):
        fields.report.add("changed", fields.where, "has no users and is left out, as OnCall does")
        return None
    return replace(found, groups=tuple(tuple(user for user in group if user in people) for group in found.groups))


def _wall(fields: Fields, key: str) -> datetime | None:
    """A local time, without seconds."""
    moment = fields.moment(key)
    return moment.replace(tzinfo=None) if moment else None


def _tell_group(fields: Fields) -> None:
    slack = fields.inner("slack", "slack")
    if slack and slack.text("user_group_id"):
        message = "keeps a Slack user group up to date: the stack can (SlackUserGroup, docs/slack.md)"
        fields.report.add("not mapped", fields.where, message)


def _calendars_zone(text: str) -> ZoneInfo | None:
    """The time zone of most events: a schedule of a calendar has none of its own."""
    zones = Counter(re.findall(r"^DTSTART;(?:[^:\n]*;)?TZID=([^;:\r\n]+)", text, re.MULTILINE))
    name = iana_name(zones.most_common(1)[0][0].strip('"')) if zones else None
    return ZoneInfo(name) if name else None


def _calendar(
    text: str, file: str, zone: ZoneInfo, people: Mapping[str, Person], report: Report, *, override: bool
) -> Iterator[Shift]:
    """The events of a calendar as shifts: OnCall finds the users by the names or addresses in an event's summary."""
    try:
        found = list(icalendar.events(text))
    except ValueError as error:
        report.add("error", file, f"{error}: export it again")
        return
    names = {name.lower(): person.id for person in people.values() for name in (person.email, *person.names) if name}
    moved: dict[str, set[datetime]] = {}
    for event in found:
        if event.instead_of:
            moved.setdefault(event.uid, set()).add(event.instead_of)
    for event in found:
        words = re.sub(r"\[L\d\]", " ", event.summary)
        level = re.search(r"\[L(\d)\]", event.summary)
        users = tuple(
            dict.fromkeys(names[word.lower()] for word in re.split(r"[,\s]+", words) if word.lower() in names)
        )
        if not users:
            report.add(
                "changed",
                file,
                f"the event {event.summary!r} names nobody of the users and is left out, as OnCall does",
            )
            continue
        unknown = set(event.rule) - {"FREQ", "INTERVAL", "BYDAY", "BYMONTH", "BYMONTHDAY", "UNTIL", "WKST"}
        days = [day for day in event.rule.get("BYDAY", "").split(",") if day]
        if (
            unknown
            or set(days) - set(_DAYS)
            or event.rule.get("FREQ", "DAILY") not in ("HOURLY", "DAILY", "WEEKLY", "MONTHLY")
        ):
            report.add(
                "error",
                file,
                f"the event {event.summary!r} has a rule that is not read: write its shifts one by one in the calendar",
            )
            continue
        if event.start is None or event.end is None:
            continue
        own = ZoneInfo(event.time_zone) if event.time_zone else zone
        yield Shift(
            event.summary,
            event.start,
            event.start,
            event.end - event.start,
            own,
            (users,),
            int(level[1]) if level else 0,
            override,
            frequency=event.rule["FREQ"].lower() if event.rule else "",
            interval=int(event.rule.get("INTERVAL", "1")),
            until=icalendar.until(event.rule, str(own)),
            week_start=_DAYS.index(event.rule.get("WKST", "MO")),
            days=frozenset(map(_DAYS.index, days)),
            months=_numbers(event.rule.get("BYMONTH")),
            month_days=_numbers(event.rule.get("BYMONTHDAY")),
            without=frozenset({*event.without, *(moved.get(event.uid, ()) if not event.instead_of else ())}),
        )


def _numbers(text: str | None) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(",")) if text else frozenset()


def _swap(fields: Fields, schedule: str, people: Mapping[str, Person], where: str) -> Swap | None:
    fields.ignore("id", "description", "created_at", "updated_at")
    start, end = fields.moment("swap_start"), fields.moment("swap_end")
    of, to = fields.text("beneficiary"), fields.text("benefactor")
    mine, status = fields.text("schedule") == schedule, fields.text("status")
    fields.done()
    if not (mine and start and end and to and status in ("taken", "")):
        return None
    if to not in people:
        message = f"a swap puts {to} on call, who is not among the users (deleted?): it is left out"
        fields.report.add("changed", where, message)
        return None
    return Swap(start, end, of, to)


def _policy(
    chain: Fields,
    steps: list[Fields],
    people: Mapping[str, Person],
    teams: Mapping[str, list[str]],
    schedules: set[str],
) -> Policy:
    key, name = chain.text("id"), chain.text("name")
    chain.ignore("team_id")
    chain.done()
    where, report = f"policy {name}", chain.report
    own = sorted(
        (step for step in steps if step.text("escalation_chain_id") == key), key=lambda s: s.number("position", 0)
    )
    found, after, rounds, waited = [], 0, 1, 0
    for step in own:
        step.ignore("id", "important", "position", "notify_if_time_from", "notify_if_time_to", "severity")
        step.ignore("action_to_trigger", "group_to_notify", "num_alerts_in_window", "num_minutes_in_window")
        kind = step.text("type")
        users = [*step.texts("persons_to_notify"), *step.texts("persons_to_notify_next_each_time")]
        targets = [Target("person", user) for user in users if user in people]
        for user in users:
            if user not in people:
                message = (
                    f"rings user {user}, who is not in the export (deleted?): take them out there, or put somebody in"
                )
                report.add("not mapped", where, message)
        team, schedule = step.text("team_to_notify"), step.text("notify_on_call_from_schedule")
        targets += [Target("person", user) for user in teams.get(team, ()) if user in people]
        targets += [Target("schedule", schedule)] if schedule in schedules else []
        waited = step.number("duration", 0)
        step.done()
        if kind == "wait":
            after += max(round(waited / 60), 1)
            if waited % 60:
                report.add("changed", where, f"waits {waited} seconds: here whole minutes")
        elif kind == "repeat_escalation":
            rounds = 6  # OnCall repeats five times
        elif targets:
            found.append(Step(tuple(targets), after))
            if kind == "notify_person_next_each_time":
                report.add("changed", where, "rings the next person each time: here all of them, one after another")
        elif users:
            pass  # told above
        else:
            what = _STEPS.get(kind, f"a step {kind} whose target is not in the export: add it by hand")
            report.add("not mapped", where, what)
    pause = after - found[-1].after_minutes if found else 0
    return Policy(key, name or key, tuple(found), rounds, pause)


_STEPS = {
    "notify_if_time_from_to": "goes on only at some hours: write a schedule with these hours (during)",
    "notify_if_num_alerts_in_window": "goes on only after so many alerts: for: or a count in an alerting rule does it",
    "notify_user_group": "mentions a Slack user group: the stack can keep a user group up to date (docs/slack.md)",
    "notify_whole_channel": "mentions the whole channel: Slack has every incident",
    "trigger_webhook": "calls a webhook: let Alertmanager do it",
    "resolve": "resolves the alert group: an incident is resolved by its alert or a person here",
    "declare_incident": "declares an incident: each alert group is one here",
}


def _products(groups: Mapping[str, list[Fields]], policies: set[str]) -> Iterator[Product]:
    """An integration is a product here: its default route says whom its alerts ring."""
    integrations = {fields.text("id") for fields in groups["integrations"]}
    for stray in groups["routes"]:
        if stray.text("integration_id") not in integrations:
            message = (
                f"its integration {stray.text('integration_id')} is not in the export: save integrations too, all pages"
            )
            stray.report.add("not mapped", f"route {stray.text('id')}", message)
    for fields in groups["integrations"]:
        key, name = fields.text("id"), fields.text("name") or fields.text("id")
        fields.ignore(
            "type",
            "team_id",
            "link",
            "inbound_email",
            "templates",
            "heartbeat",
            "description_short",
            "labels",
            "dynamic_labels",
            "description",
        )
        if fields.value("maintenance_mode"):
            fields.report.add(
                "not mapped", f"integration {name}", "its maintenance mode: make a silence in Alertmanager"
            )
        fields.ignore("maintenance_started_at", "maintenance_end_at")
        route = fields.inner("default_route", "route")
        others = [other for other in groups["routes"] if other.text("integration_id") == key]
        for chat in ("telegram", "msteams"):
            if any(_writes(one, chat) for one in (route, *others) if one):
                message = f"writes to {chat}: here only to Slack"
                fields.report.add("not mapped", f"integration {name}", message)
        for other in others:
            other.ignore(
                "id",
                "position",
                "routing_type",
                "routing_regex",
                "slack",
                "integration_id",
                "escalation_chain_id",
            )
            if other.flag("is_the_last_route", default=False):
                route = route or other
            else:
                fields.report.add(
                    "not mapped",
                    f"integration {name}",
                    f"a route for {other.text('routing_regex')!r}: set the label product by alerting rules",
                )
            other.done()
        fields.done()
        chain = route.text("escalation_chain_id") if route else ""
        slack = route.inner("slack", "slack") if route else None
        yield Product(name, chain if chain in policies else None, slack.text("channel_id") if slack else None)


def _writes(route: Fields, chat: str) -> bool:
    settings = route.inner(chat, chat)
    return settings is not None and settings.flag("enabled", default=bool(settings.body.get("id")))
