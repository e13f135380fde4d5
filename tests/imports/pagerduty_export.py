"""An export of PagerDuty's API, made up, with its documented fields; and who is on call by it, by enumerating its shifts."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.imports.clocks import ZONES, days_around, moment, wall

type Json = dict[str, Any]

USERS = [f"PU{number:02}" for number in range(8)]
GONE = "PUGONE"


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def user(number: int) -> Json:
    key = USERS[number]
    return {
        "id": key,
        "type": "user",
        "summary": f"User {number}",
        "self": f"https://api.pagerduty.com/users/{key}",
        "html_url": f"https://example.pagerduty.com/users/{key}",
        "name": f"User {number}",
        "email": f"user{number}@example.com",
        "time_zone": "Europe/Berlin",
        "color": "green",
        "role": "admin",
        "avatar_url": "https://example.com/a.png",
        "description": "I'm the boss",
        "invitation_sent": False,
        "job_title": "SRE",
        "teams": [],
        "contact_methods": [
            {
                "id": f"PE{number}",
                "type": "email_contact_method",
                "address": f"user{number}@example.com",
                "label": "Work",
            },
            {
                "id": f"PP{number}",
                "type": "phone_contact_method",
                "label": "Mobile",
                "country_code": 1,
                "address": f"20255501{number:02}",
                "blacklisted": False,
                "enabled": True,
            },
            {
                "id": f"PS{number}",
                "type": "sms_contact_method",
                "label": "Mobile",
                "country_code": 1,
                "address": f"20255502{number:02}",
            },
        ],
    }


def restrictions(random: Random) -> list[Json]:
    kind = random.choice(("none", "daily", "daily", "weekly", "weekly"))
    start = f"{random.randrange(24):02}:{random.choice((0, 15, 30, 45)):02}:00"
    if kind == "daily":
        return [
            {"type": "daily_restriction", "start_time_of_day": start, "duration_seconds": random.randrange(1, 96) * 900}
        ]
    if kind == "weekly":
        return [
            {
                "type": "weekly_restriction",
                "start_day_of_week": random.randint(1, 7),
                "start_time_of_day": start,
                "duration_seconds": random.randrange(1, 96 * 7) * 900,
            }
            for _ in range(random.randint(1, 3))
        ]
    return []


def schedule(random: Random, number: int, now: datetime) -> Json:
    zone = random.choice(ZONES)
    layers = []
    for layer in range(random.randint(1, 3)):
        start = now.replace(minute=0) + timedelta(days=random.randint(-400, 14), hours=random.randrange(24))
        virtual = start - random.choice((timedelta(0), timedelta(hours=random.randrange(72))))
        end = now + timedelta(days=random.randint(-3, 26)) if random.random() < 0.3 else None
        people = [random.choice([*USERS, *USERS, GONE]) for _ in range(random.randint(1, 4))]
        layers.append(
            {
                "id": f"PL{number}-{layer}",
                "name": f"Layer {layer}",
                "start": _iso(start),
                "end": _iso(end) if end else None,
                "rotation_virtual_start": _iso(virtual),
                "rotation_turn_length_seconds": random.choice((3600, 5400, 43200, 86400, 172800, 604800, 1209600)),
                "users": [{"user": {"id": key, "type": "user_reference"}} for key in people],
                "restrictions": restrictions(random),
                "rendered_schedule_entries": [],
                "rendered_coverage_percentage": None,
            }
        )
    return {
        "id": f"PSC{number:03}",
        "type": "schedule",
        "summary": f"Schedule {number}",
        "self": "https://api.pagerduty.com/schedules/x",
        "html_url": "https://example.pagerduty.com/schedules#x",
        "name": f"Schedule {number}",
        "time_zone": zone,
        "description": "On call",
        "escalation_policies": [],
        "users": [],
        "teams": [],
        "schedule_layers": layers,
        "overrides_subschedule": {
            "name": "Overrides",
            "rendered_schedule_entries": [],
            "rendered_coverage_percentage": 0.0,
        },
        "final_schedule": {
            "name": "Final Schedule",
            "rendered_schedule_entries": [],
            "rendered_coverage_percentage": 0.0,
        },
    }


def overrides(random: Random, now: datetime) -> list[Json]:
    found = []
    for number in range(random.randint(0, 3)):
        start = (now + timedelta(days=random.randint(-2, 25))).replace(minute=random.choice((0, 15, 30, 45)))
        end = start + timedelta(minutes=15 * random.randint(1, 200))
        found.append(
            {
                "id": f"O{number}",
                "start": _iso(start),
                "end": _iso(end),
                "user": {"id": random.choice(USERS), "type": "user_reference"},
            }
        )
    return found


def policy(random: Random, number: int, schedules: list[str]) -> Json:
    def target() -> Json:
        if random.random() < 0.5:
            return {"id": random.choice(schedules), "type": "schedule_reference"}
        return {"id": random.choice(USERS), "type": "user_reference"}

    return {
        "id": f"PEP{number:03}",
        "type": "escalation_policy",
        "name": f"Policy {number}",
        "description": "",
        "num_loops": random.randint(0, 9),
        "on_call_handoff_notifications": "if_has_services",
        "services": [],
        "teams": [],
        "escalation_rules": [
            {
                "id": f"R{rule}",
                "escalation_delay_in_minutes": random.choice((5, 10, 30)),
                "targets": [target() for _ in range(random.randint(1, 3))],
                "escalation_rule_assignment_strategy": {"type": random.choice(("assign_to_everyone", "round_robin"))},
            }
            for rule in range(random.randint(1, 3))
        ],
    }


def service(number: int, policy_id: str) -> Json:
    return {
        "id": f"PSV{number}",
        "type": "service",
        "name": f"service-{number}",
        "description": "",
        "status": "active",
        "auto_resolve_timeout": 14400,
        "acknowledgement_timeout": 600,
        "created_at": "2020-01-01T00:00:00Z",
        "teams": [],
        "alert_creation": "create_alerts_and_incidents",
        "escalation_policy": {"id": policy_id, "type": "escalation_policy_reference"},
        "incident_urgency_rule": {"type": "constant", "urgency": "high" if number else "severity_based"},
        "support_hours": {"type": "fixed_time_per_day"} if number == 1 else None,
        "scheduled_actions": [],
        "alert_grouping_parameters": {"type": "time" if number == 2 else None, "config": None},
    }


def export(now: datetime, count: int = 20) -> dict[str, Json]:
    """The files of an export by name."""
    random = Random(1)
    keys = [f"PSC{number:03}" for number in range(count)]
    files: dict[str, Json] = {
        "users.json": {
            "users": [user(number) for number in range(len(USERS))],
            "more": False,
            "limit": 100,
            "offset": 0,
        }
    }
    for number in range(count):
        files[f"schedules/schedule-{keys[number]}.json"] = {"schedule": schedule(random, number, now)}
        files[f"overrides/overrides-{keys[number]}.json"] = {"overrides": overrides(random, now)}
    policies = [policy(random, number, keys) for number in range(count)]
    files["escalation_policies.json"] = {"escalation_policies": policies}
    files["services.json"] = {"services": [service(number, policies[number]["id"]) for number in range(5)]}
    return files


def on_call(body: Json, replaced: list[Json], at: datetime) -> set[str]:
    """Who is on call: the shifts and hours of each layer laid out as spans of time."""
    user: str | None = None
    for one in replaced:
        if _at(one["start"]) <= at < _at(one["end"]):
            user = one["user"]["id"]
    for layer in body["schedule_layers"] if user is None else ():
        if (
            at < _at(layer["start"])
            or (layer["end"] and at >= _at(layer["end"]))
            or not _open(layer["restrictions"], body["time_zone"], at)
        ):
            continue
        user = _turn(layer, body["time_zone"], at)
        break
    return {user} & set(USERS) if user else set()


def _turn(layer: Json, zone: str, at: datetime) -> str:
    length = timedelta(seconds=layer["rotation_turn_length_seconds"])
    first = wall(_at(layer["rotation_virtual_start"]), zone)
    number = int((at - _at(layer["rotation_virtual_start"])) / length) + 100
    while moment(first + number * length, zone) > at:
        number -= 1
    found: str = layer["users"][number % len(layer["users"])]["user"]["id"]
    return found


def _open(written: list[Json], zone: str, at: datetime) -> bool:
    for one in written:
        hour, minute, _ = map(int, one["start_time_of_day"].split(":"))
        for day in days_around(at, zone):
            if one["type"] == "weekly_restriction" and day.isoweekday() != one["start_day_of_week"]:
                continue
            begin = day + timedelta(hours=hour, minutes=minute)
            if moment(begin, zone) <= at < moment(begin + timedelta(seconds=one["duration_seconds"]), zone):
                return True
    return not written


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
