"""The lists of Grafana OnCall's API, made up, with their documented fields; and who is on call by them.

OnCall makes iCalendar events of shifts: one for each group of a rolling shift, with its own start and a rule that leaves
room for the others. The reference does the same, with dateutil's recurrence rules.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule  # type: ignore[import-untyped]

from tests.imports.clocks import ZONES, moment

type Json = dict[str, Any]

USERS = [f"U{number:05}" for number in range(8)]
GONE = "UGONE"
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = {"hourly": rrule.HOURLY, "daily": rrule.DAILY, "weekly": rrule.WEEKLY, "monthly": rrule.MONTHLY}
DURATIONS = {
    "hourly": (3600,),
    "daily": (3600 * 8, 3600 * 12, 86400),
    "weekly": (3600 * 9, 86400, 604800),
    "monthly": (86400, 604800 * 2),
}


def _text(local: datetime) -> str:
    return f"{local:%Y-%m-%dT%H:%M:%S}"


def user(number: int) -> Json:
    return {
        "id": USERS[number],
        "grafana_id": number,
        "email": f"user{number}@example.com",
        "username": f"user{number}",
        "role": "admin",
        "slack": [{"user_id": f"U0SLACK{number}", "team_id": "T0"}],
        "timezone": "UTC",
        "teams": ["T1"] if number < 2 else [],
        "is_phone_number_verified": True,
    }


def shift(random: Random, key: str, now: datetime, zone: str | None) -> Json:
    kind = random.choice(
        (
            "single_event",
            "recurrent_event",
            "recurrent_event",
            "rolling_users",
            "rolling_users",
            "rolling_users",
            "override",
        )
    )
    local = (now + timedelta(days=random.randint(-60, 5))).replace(
        tzinfo=None, minute=random.choice((0, 30)), hour=random.randrange(24)
    )
    found: Json = {
        "id": key,
        "team_id": None,
        "schedule": None,
        "name": f"Shift {key}",
        "type": kind,
        "time_zone": zone,
        "level": random.randint(0, 2),
        "start": _text(local),
        "rotation_start": _text(local),
        "duration": random.choice((3600, 28800, 86400)),
    }
    people = [random.choice([*USERS, *USERS, GONE]) for _ in range(4)]
    if kind in ("single_event", "override"):
        late = (now + timedelta(days=random.randint(0, 20))).replace(tzinfo=None, minute=0)
        found |= {"start": _text(late), "rotation_start": _text(late), "users": people[: random.randint(1, 2)]}
        if kind == "override":
            del found["level"]
        return found
    frequency = random.choice(("hourly", "daily", "daily", "weekly", "weekly", "monthly"))
    days = (
        random.choice((None, sorted(random.sample(DAYS, random.randint(1, 6)), key=DAYS.index)))
        if frequency in ("daily", "weekly")
        else None
    )
    found |= {
        "frequency": frequency,
        "interval": random.choice((1, 1, 2)),
        "until": None,
        "by_day": days,
        "by_month": None,
        "by_monthday": None,
    }
    found["duration"] = random.choice(DURATIONS[frequency] if not days else (3600 * 8, 86400))
    if frequency == "weekly":
        found["week_start"] = random.choice(("SU", "MO"))
    if frequency == "weekly" and not days and random.random() < 0.5:
        found["duration"] = 604800 * found["interval"]
    if frequency == "daily" and days:
        found["interval"] = 1
    if frequency == "monthly" and random.random() < 0.6:
        found |= {"by_monthday": [1, 15, -1], "by_month": random.choice((None, [10, 11, 12, 3, 4]))}
    if random.random() < 0.3:
        found["until"] = _text((now + timedelta(days=random.randint(1, 20))).replace(tzinfo=None, minute=0))
    if kind == "recurrent_event":
        found["users"] = people[: random.randint(1, 2)]
    else:
        size = random.randint(1, 3)
        found["rolling_users"] = [people[number : number + random.randint(1, 2)] for number in range(size)]
        found["start_rotation_from_user_index"] = random.randrange(size)
        if frequency == "monthly":
            found |= {"by_monthday": None, "by_month": None}
            found["start"] = found["rotation_start"] = _text(local.replace(day=min(local.day, 28)))
    return found


CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//EN
BEGIN:VEVENT
UID:one
SUMMARY:[L1] user1, user2@example.com
DTSTART;TZID=Europe/Berlin:20260901T090000
DTEND;TZID=Europe/Berlin:20260901T170000
RRULE:FREQ=WEEKLY;BYDAY=MO,TU,
 WE;WKST=MO
EXDATE;TZID=Europe/Berlin:20261020T090000
END:VEVENT
BEGIN:VEVENT
UID:two
SUMMARY:user3
DTSTART:20260901T000000Z
DURATION:P1D
RRULE:FREQ=DAILY
END:VEVENT
BEGIN:VEVENT
UID:three
SUMMARY:Company picnic
DTSTART;VALUE=DATE:20261024
END:VEVENT
END:VCALENDAR
"""


def chain(random: Random, number: int, schedules: list[str]) -> list[Json]:
    kinds: list[Json] = [
        {
            "type": "notify_on_call_from_schedule",
            "notify_on_call_from_schedule": random.choice(schedules),
            "important": True,
        },
        {"type": "wait", "duration": random.choice((60, 300, 90))},
        {"type": "notify_persons", "persons_to_notify": random.sample(USERS, 2), "important": False},
        {"type": "wait", "duration": 600},
        {"type": "notify_person_next_each_time", "persons_to_notify_next_each_time": [USERS[1], USERS[2]]},
        {"type": "notify_team_members", "team_to_notify": "T1"},
        {"type": "notify_user_group", "group_to_notify": "G1"},
        {"type": "trigger_webhook", "action_to_trigger": "W1"},
        {"type": "notify_whole_channel"},
        {"type": "notify_if_time_from_to", "notify_if_time_from": "09:00:00Z", "notify_if_time_to": "18:00:00Z"},
        {"type": "resolve"},
        {"type": "declare_incident", "severity": "critical"},
        {"type": "repeat_escalation"},
    ]
    chosen = kinds if number == 0 else kinds[: random.randint(1, 5)]
    return [
        {"id": f"E{number}-{n}", "escalation_chain_id": f"F{number}", "position": n, **one}
        for n, one in enumerate(chosen)
    ]


def export(now: datetime, count: int = 20) -> dict[str, Any]:
    """The files of an export by name."""
    random = Random(4)
    shifts: list[Json] = []
    schedules: list[Json] = []
    for number in range(count):
        zone = random.choice(ZONES)
        own = [shift(random, f"O{number:03}{n}", now, random.choice((None, zone))) for n in range(random.randint(1, 3))]
        kind = random.choice(("web", "calendar"))
        if kind == "web":
            for one in own:
                one["schedule"] = f"S{number:03}"
        shifts += own
        schedules.append(
            {
                "id": f"S{number:03}",
                "name": f"Schedule {number}",
                "type": kind,
                "team_id": None,
                "time_zone": zone,
                "on_call_now": [],
                "slack": {"channel_id": "C0123456789", "user_group_id": None},
                "ical_url_overrides": None,
                "enable_web_overrides": False,
                **({"shifts": [one["id"] for one in own]} if kind == "calendar" else {}),
            }
        )
    schedules.append(
        {
            "id": "SICAL",
            "name": "From a calendar",
            "type": "ical",
            "team_id": None,
            "ical_url_primary": "https://example.com/a.ics",
            "ical_url_overrides": None,
            "on_call_now": [],
            "slack": {},
        }
    )
    keys = [one["id"] for one in schedules]

    def listed(results: list[Json]) -> Json:
        return {"count": len(results), "next": None, "previous": None, "results": results}

    start = now.replace(minute=0) + timedelta(days=3)
    swaps: list[Json] = [
        {
            "id": f"SSR{number}",
            "schedule": keys[number],
            "swap_start": start.isoformat(),
            "swap_end": (start + timedelta(days=9)).isoformat(),
            "beneficiary": USERS[number % 8],
            "benefactor": USERS[(number + 3) % 8] if number % 2 else None,
            "status": "taken" if number % 2 else "open",
            "description": "holidays",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
        }
        for number in range(count)
    ]
    routes: list[Json] = [
        {
            "id": "R0",
            "integration_id": "I0",
            "escalation_chain_id": "F1",
            "routing_regex": "us-(east|west)",
            "routing_type": "regex",
            "position": 0,
            "is_the_last_route": False,
            "slack": {},
        },
        {
            "id": "R1",
            "integration_id": "I0",
            "escalation_chain_id": "F0",
            "routing_regex": None,
            "routing_type": "regex",
            "position": 1,
            "is_the_last_route": True,
            "slack": {"channel_id": "C0123456789"},
        },
    ]
    integrations: list[Json] = [
        {
            "id": f"I{n}",
            "name": f"service-{n}",
            "type": "alertmanager",
            "team_id": None,
            "link": "https://example.com",
            "maintenance_mode": "maintenance" if n == 1 else None,
            "default_route": {
                "id": f"D{n}",
                "escalation_chain_id": f"F{n}",
                "slack": {"channel_id": "C0123456789", "enabled": True},
            },
        }
        for n in range(3)
    ]
    return {
        "users.json": listed([user(number) for number in range(8)]),
        "on_call_shifts.json": listed(shifts),
        "schedules.json": listed(schedules),
        "shift_swaps.json": listed(swaps),
        "escalation_chains.json": listed(
            [{"id": f"F{n}", "name": f"Chain {n}", "team_id": None} for n in range(count)]
        ),
        "escalation_policies.json": listed([step for n in range(count) for step in chain(random, n, keys)]),
        "integrations.json": listed(integrations),
        "routes.json": listed(routes),
        "SICAL.ics": CALENDAR,
    }


class Reference:
    """The events of an export's shifts, made once."""

    def __init__(self, files: dict[str, Any], now: datetime) -> None:
        self.schedules = {one["id"]: one for one in files["schedules.json"]["results"]}
        self.swaps = files["shift_swaps.json"]["results"]
        self.end = (now + timedelta(days=40)).replace(tzinfo=None)
        self.events: dict[str, list[tuple[datetime, datetime, set[str], tuple[bool, int]]]] = {}
        for key, schedule in self.schedules.items():
            mine = [
                one
                for one in files["on_call_shifts.json"]["results"]
                if one["schedule"] == key or one["id"] in schedule.get("shifts", ())
            ]
            self.events[key] = [
                event for one in mine for event in self._events(one, one["time_zone"] or schedule["time_zone"])
            ]

    def on_call(self, key: str, at: datetime) -> set[str]:
        """Who is on call: overrides, else the highest level that has anybody; then swaps."""
        active = [(rank, people) for start, end, people, rank in self.events[key] if start <= at < end and people]
        best = max((rank for rank, _ in active), default=None)
        found = {person for rank, people in active if rank == best for person in people}
        for swap in self.swaps:
            lasts = datetime.fromisoformat(swap["swap_start"]) <= at < datetime.fromisoformat(swap["swap_end"])
            if swap["schedule"] == key and swap["status"] == "taken" and lasts and swap["beneficiary"] in found:
                found = found - {swap["beneficiary"]} | {swap["benefactor"]}
        return found

    def _events(self, one: Json, zone: str) -> Iterator[tuple[datetime, datetime, set[str], tuple[bool, int]]]:
        rank = (one["type"] == "override", one.get("level", 0))
        length = timedelta(seconds=one["duration"])
        for local, people in self._starts(one, zone):
            yield moment(local, zone), moment(local + length, zone), set(people) & set(USERS), rank

    def _starts(self, one: Json, zone: str) -> Iterator[tuple[datetime, list[str]]]:
        start = datetime.fromisoformat(one["start"])
        if one["type"] in ("single_event", "override"):
            yield start, one["users"]
            return
        if one["type"] == "recurrent_event":
            yield from ((local, one["users"]) for local in self._rule(one, start, one["interval"], zone))
            return
        index = one["start_rotation_from_user_index"]
        groups = one["rolling_users"][index:] + one["rolling_users"][:index]
        if one["by_day"] and DAYS[start.weekday()] not in one["by_day"]:
            week_start = DAYS.index(one.get("week_start", "SU"))
            first = next(day for day in (*DAYS[week_start:], *DAYS[:week_start]) if day in one["by_day"])
            while DAYS[start.weekday()] != first:
                start += timedelta(days=1)
        if one["frequency"] == "daily" and one["by_day"]:
            takes_turns = cycle([group for group in groups for _ in range(one["interval"])])
            yield from ((local, next(takes_turns)) for local in self._rule(one, start, 1, zone))
            return
        for number, group in enumerate(groups):
            begin: datetime | None = start
            for _ in range(number):
                begin = self._next_group(one, begin, zone) if begin else None
            if begin:
                yield from ((local, group) for local in self._rule(one, begin, one["interval"] * len(groups), zone))

    def _next_group(self, one: Json, start: datetime, zone: str) -> datetime | None:
        """The first event of the next group: after so many hours, days, weeks (which begin on their first day) or months."""
        if one["frequency"] == "weekly":
            week_start = DAYS.index(one.get("week_start", "SU"))
            ahead = (week_start - start.weekday()) % 7 or 7
            floor = start + timedelta(days=ahead + 7 * (one["interval"] - 1))
        elif one["frequency"] == "monthly":
            floor = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
            for _ in range(one["interval"] - 1):
                floor = (floor + timedelta(days=32)).replace(day=1)
        else:
            floor = start + timedelta(**{"hours" if one["frequency"] == "hourly" else "days": 1})
        return next((local for local in self._rule(one, start, one["interval"], zone) if local >= floor), None)

    def _rule(self, one: Json, start: datetime, interval: int, zone: str) -> Iterator[datetime]:
        rule = rrule.rrule(
            FREQUENCIES[one["frequency"]],
            dtstart=start,
            interval=interval,
            until=self.end,
            wkst=DAYS.index(one.get("week_start", "SU")),
            bymonth=one["by_month"],
            bymonthday=one["by_monthday"],
            byweekday=[DAYS.index(day) for day in one["by_day"]] if one["by_day"] else None,
        )
        until = datetime.fromisoformat(one["until"]).replace(tzinfo=ZoneInfo("UTC")) if one["until"] else None
        for local in rule:
            if until and moment(local, zone) > until:
                return
            yield local
