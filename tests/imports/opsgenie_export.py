"""A folder of Opsgenie's configuration backup, made up, with its documented fields; and who is on call by it, span by span."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.imports.clocks import ZONES, days_around, moment, wall

type Json = dict[str, Any]

USERS = [f"u{number:07}" for number in range(8)]
GONE = {"type": "user", "id": "u-gone", "username": "gone@example.com"}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LENGTHS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user(number: int) -> Json:
    return {
        "user": {
            "id": USERS[number],
            "username": f"user{number}@example.com",
            "fullName": f"User {number}",
            "role": {"id": "Admin", "name": "Admin"},
            "timeZone": "Europe/Berlin",
            "locale": "en_US",
            "userAddress": {"country": "", "city": ""},
            "blocked": False,
            "verified": True,
            "createdAt": "2017-05-12T08:34:30.283Z",
            "tags": [],
            "details": {},
            "skypeUsername": "",
            "invitationDisabled": False,
            "userContacts": [
                {"id": "c1", "contactMethod": "email", "to": f"user{number}@example.com", "enabled": True},
                {
                    "id": "c2",
                    "contactMethod": "voice",
                    "to": f"1-20255501{number:02}",
                    "status": {"enabled": True},
                    "applyOrder": 0,
                },
                {
                    "id": "c3",
                    "contactMethod": "sms",
                    "to": f"1-20255502{number:02}",
                    "status": {"enabled": number != 3},
                },
            ],
        },
        "notificationRuleList": [{"id": "n1", "name": "New Alert", "actionType": "create-alert"}],
    }


def _participant(random: Random) -> Json:
    kind = random.choice(("user",) * 8 + ("none", "team", "escalation", "gone"))
    number = random.randrange(len(USERS))
    return {
        "user": {"type": "user", "id": USERS[number], "username": f"user{number}@example.com"},
        "none": {"type": "none"},
        "team": {"type": "team", "id": "t0", "name": "team-0"},
        "escalation": {"type": "escalation", "id": "e0", "name": "Escalation 0"},
        "gone": GONE,
    }[kind]


def time_restriction(random: Random) -> Json | None:
    kind = random.choice((None, None, "time-of-day", "weekday-and-time-of-day"))

    def hours() -> Json:
        return {
            "startHour": random.randrange(24),
            "startMin": random.choice((0, 30)),
            "endHour": random.randrange(24),
            "endMin": random.choice((0, 30)),
        }

    if kind == "time-of-day":
        return {"type": kind, "restriction": hours()}
    if kind:
        return {
            "type": kind,
            "restrictions": [
                {"startDay": random.choice(DAYS), "endDay": random.choice(DAYS), **hours()}
                for _ in range(random.randint(1, 3))
            ],
        }
    return None


def schedule(random: Random, number: int, now: datetime) -> Json:
    rotations = []
    for one in range(random.randint(1, 3)):
        start = now.replace(minute=random.choice((0, 30))) + timedelta(
            days=random.randint(-400, 14), hours=random.randrange(24)
        )
        kind = random.choice(tuple(LENGTHS))
        rotation = {
            "id": f"r{number}-{one}",
            "name": f"Rot{one}",
            "startDate": _iso(start),
            "type": kind,
            "length": random.randint(1, 12) if kind == "hourly" else random.randint(1, 3),
            "participants": [_participant(random) for _ in range(random.randint(1, 4))],
        }
        if random.random() < 0.3:
            rotation["endDate"] = _iso(max(start, now) + timedelta(days=random.randint(1, 20)))
        restriction = time_restriction(random)
        if restriction:
            rotation["timeRestriction"] = restriction
        rotations.append(rotation)
    found: Json = {
        "schedule": {
            "id": f"s{number:03}",
            "name": f"Schedule {number}",
            "description": "",
            "timezone": random.choice(ZONES),
            "enabled": number != 7,
            "ownerTeam": {"id": "t0", "name": "team-0"},
            "rotations": rotations,
        },
        "scheduleOverrideList": [],
    }
    for one in range(random.randint(0, 2)):
        begin = (now + timedelta(days=random.randint(-2, 25))).replace(minute=random.choice((0, 30)))
        chosen = random.sample(rotations, random.randint(0, len(rotations)))
        person = random.randrange(len(USERS))
        found["scheduleOverrideList"].append(
            {
                "_parent": {"id": f"s{number:03}", "name": f"Schedule {number}", "enabled": True},
                "alias": f"o{one}",
                "user": {"type": "user", "id": USERS[person], "username": f"user{person}@example.com"},
                "startDate": _iso(begin),
                "endDate": _iso(begin + timedelta(minutes=30 * random.randint(1, 100))),
                "rotations": [{"id": rotation["id"], "name": rotation["name"]} for rotation in chosen],
            }
        )
    return found


def escalation(random: Random, number: int, schedules: list[str]) -> Json:
    def recipient() -> Json:
        return random.choice(
            (
                {"type": "user", "id": random.choice(USERS)},
                {"type": "schedule", "id": random.choice(schedules)},
                {"type": "team", "id": "t0", "name": "team-0"},
                {"type": "escalation", "id": "e0"},
            )
        )

    rules = [
        {
            "condition": random.choice(("if-not-acked", "if-not-closed")),
            "notifyType": random.choice(("default", "next", "previous", "all", "users")),
            "delay": {"timeAmount": delay, "timeUnit": "minutes"},
            "recipient": {"type": "user", "id": USERS[1]} if number == 0 else recipient(),
        }
        for delay in (0, 5, 15)[: random.randint(1, 3)]
    ]
    return {
        "id": f"e{number}",
        "name": f"Escalation {number}",
        "description": "",
        "ownerTeam": {"id": "t0", "name": "team-0"},
        "rules": rules,
        "repeat": {
            "waitInterval": random.choice((0, 10, 90)),
            "count": random.randint(0, 20),
            "resetRecipientStates": True,
            "closeAlertAfterAll": number == 1,
        },
    }


def team(number: int) -> Json:
    return {
        "team": {
            "id": f"t{number}",
            "name": f"team-{number}",
            "description": "",
            "links": {"web": "https://example.opsgenie.com"},
            "members": [
                {"user": {"id": USERS[n], "username": f"user{n}@example.com"}, "role": "admin"} for n in (0, 1)
            ],
        },
        "teamRoutingRules": [
            {
                "id": "rr0",
                "name": "urgent",
                "order": 0,
                "isDefault": False,
                "timezone": "Europe/Berlin",
                "criteria": {
                    "type": "match-all-conditions",
                    "conditions": [{"field": "priority", "operation": "equals", "expectedValue": "P1"}],
                },
                "timeRestriction": {
                    "type": "time-of-day",
                    "restriction": {"startHour": 8, "startMin": 0, "endHour": 18, "endMin": 0},
                },
                "notify": {"type": "escalation", "id": "e1", "name": "Escalation 1"},
            },
            {
                "id": "rr1",
                "name": "Default",
                "order": 1,
                "isDefault": True,
                "criteria": {"type": "match-all"},
                "notify": {
                    "type": ("escalation", "schedule", "none")[number % 3],
                    "id": ("e2", "s003", "")[number % 3],
                    "name": "",
                },
            },
        ],
        "teamRoles": [],
    }


def export(now: datetime, count: int = 20) -> dict[str, Json]:
    """The files of the backup by name."""
    random = Random(2)
    keys = [f"s{number:03}" for number in range(count)]
    files = {f"users/user{number}@example.com-{USERS[number]}.json": user(number) for number in range(len(USERS))}
    files |= {
        f"schedules/Schedule {number}-{keys[number]}.json": schedule(random, number, now) for number in range(count)
    }
    files |= {
        f"escalations/Escalation {number}-e{number}.json": escalation(random, number, keys) for number in range(count)
    }
    files |= {f"teams/team-{number}-t{number}.json": team(number) for number in range(3)}
    files["forwardings/f1.json"] = {
        "id": "f1",
        "alias": "away",
        "fromUser": {"id": USERS[0], "username": "user0@example.com"},
        "toUser": {"id": USERS[1], "username": "user1@example.com"},
        "startDate": "2020-01-01T00:00:00Z",
        "endDate": "2020-01-02T00:00:00Z",
    }
    files["policiesV2/p1.json"] = {"id": "p1"}
    return files


def people_of(participant: Json) -> set[str]:
    """Team 0 has two members; the first rule of escalation 0 rings one user."""
    return {"none": set[str](), "team": {USERS[0], USERS[1]}, "escalation": {USERS[1]}}.get(
        participant["type"], {participant.get("id", "")} & set(USERS)
    )


def on_call(body: Json, at: datetime) -> set[str]:
    """Who is on call: of each rotation, by the spans of its shifts and hours."""
    zone, found = body["schedule"]["timezone"], set[str]()
    if not body["schedule"]["enabled"]:
        return found
    for rotation in body["schedule"]["rotations"]:
        instead = None
        for override in body["scheduleOverrideList"]:
            mine = not override["rotations"] or rotation["id"] in [one["id"] for one in override["rotations"]]
            if mine and _at(override["startDate"]) <= at < _at(override["endDate"]):
                instead = override["user"]["id"]
        if instead:
            found.add(instead)
        elif (
            _at(rotation["startDate"]) <= at
            and ("endDate" not in rotation or at < _at(rotation["endDate"]))
            and _open(rotation, zone, at)
        ):
            length = LENGTHS[rotation["type"]] * rotation["length"]
            first = wall(_at(rotation["startDate"]), zone)
            number = int((at - _at(rotation["startDate"])) / length) + 20
            while moment(first + number * length, zone) > at:
                number -= 1
            found |= people_of(rotation["participants"][number % len(rotation["participants"])])
    return found


def _open(rotation: Json, zone: str, at: datetime) -> bool:
    written = rotation.get("timeRestriction")
    if written is None:
        return True
    for one in written.get("restrictions") or [written["restriction"]]:
        for day in days_around(at, zone):
            if "startDay" in one and DAYS[day.weekday()] != one["startDay"]:
                continue
            begin = day + timedelta(hours=one["startHour"], minutes=one["startMin"])
            ahead = (DAYS.index(one["endDay"]) - day.weekday()) % 7 if "startDay" in one else 0
            end = day + timedelta(days=ahead, hours=one["endHour"], minutes=one["endMin"])
            if end <= begin:
                end += timedelta(days=7 if "startDay" in one else 1)
            if moment(begin, zone) <= at < moment(end, zone):
                return True
    return False


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
