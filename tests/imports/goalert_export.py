"""The answer to GoAlert's GraphQL query, made up, with its documented fields; and who is on call by it, shift by shift."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.imports.clocks import ZONES, days_around, moment, wall

type Json = dict[str, Any]

USERS = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(8)]
GONE = "00000000-0000-0000-0000-0000000000ff"
LENGTHS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def user(number: int) -> Json:
    methods = [
        {
            "id": "m1",
            "name": "mail",
            "type": "EMAIL",
            "value": f"user{number}@example.com",
            "disabled": False,
            "pending": False,
        },
        {
            "id": "m2",
            "name": "phone",
            "type": "VOICE",
            "value": f"+120255501{number:02}",
            "disabled": False,
            "pending": False,
        },
        {
            "id": "m3",
            "name": "old",
            "type": "SMS",
            "value": f"+120255502{number:02}",
            "disabled": True,
            "pending": False,
        },
    ]
    if number == 4:  # as newer versions say it
        methods[1:] = [
            {
                "id": "m4",
                "name": "sms",
                "dest": {"type": "builtin-twilio-sms", "args": {"phone_number": "+12025550104"}},
                "disabled": False,
                "pending": False,
            }
        ]
    return {
        "id": USERS[number],
        "name": f"User {number}",
        "email": f"user{number}@example.com",
        "role": "user",
        "contactMethods": methods,
    }


def rotation(random: Random, number: int, now: datetime, zone: str) -> Json:
    kind, length = random.choice((*LENGTHS, "monthly")), random.randint(1, 3)
    start = now.replace(minute=random.choice((0, 30))) + timedelta(
        days=random.randint(-400, 10), hours=random.randrange(24)
    )
    while wall(start, zone).day > 28:
        start += timedelta(days=1)
    shift = 0
    while hand_over(start, zone, kind, length, shift) > now:
        shift -= 1
    while hand_over(start, zone, kind, length, shift + 1) <= now:
        shift += 1
    users = [random.choice([*USERS, *USERS, GONE]) for _ in range(random.randint(1, 4))]
    return {
        "id": f"rot-{number}",
        "name": f"Rotation {number}",
        "description": "",
        "timeZone": zone,
        "type": kind,
        "start": _iso(start),
        "shiftLength": length,
        "activeUserIndex": random.randrange(len(users)),
        "userIDs": users,
        "nextHandoffTimes": [_iso(hand_over(start, zone, kind, length, shift + 1))],
        "isFavorite": False,
        "labels": [],
    }


def hand_over(start: datetime, zone: str, kind: str, length: int, number: int) -> datetime:
    first = wall(start, zone)
    if kind == "monthly":
        months = first.year * 12 + first.month - 1 + number * length
        return moment(first.replace(year=months // 12, month=months % 12 + 1), zone)
    return moment(first + number * length * LENGTHS[kind], zone)


def rule(random: Random) -> Json:
    clock = f"{random.randrange(24):02}:{random.choice(('00', '30'))}"
    end = random.choice((clock, f"{random.randrange(24):02}:{random.choice(('00', '30'))}"))
    return {
        "start": clock,
        "end": end,
        "weekdayFilter": random.choice(([True] * 7, [random.random() < 0.6 for _ in range(7)])),
    }


def schedule(random: Random, number: int, now: datetime, zone: str, rotations: list[str]) -> Json:
    targets = [random.choice([*rotations, *rotations, *USERS[:3], GONE]) for _ in range(random.randint(1, 3))]
    found: Json = {
        "id": f"sched-{number:03}",
        "name": f"Schedule {number}",
        "description": "",
        "timeZone": zone,
        "isFavorite": False,
        "labels": [],
        "assignedTo": [],
        "onCallNotificationRules": [{"id": "n"}] if number == 3 else [],
        "shifts": [],
        "targets": [
            {
                "target": {"id": key, "type": "rotation" if key.startswith("rot") else "user", "name": key},
                "rules": [rule(random) for _ in range(random.randint(1, 2))]
                if random.random() < 0.7
                else [{"start": "00:00", "end": "00:00", "weekdayFilter": [True] * 7}],
            }
            for key in dict.fromkeys(targets)
        ],
        "temporarySchedules": [],
    }
    if random.random() < 0.4:
        start = now + timedelta(days=random.randint(1, 20))
        start = start.replace(minute=0)
        middle, end = start + timedelta(hours=12), start + timedelta(days=2)
        found["temporarySchedules"] = [
            {
                "start": _iso(start),
                "end": _iso(end),
                "shifts": [
                    {"userID": USERS[1], "start": _iso(start), "end": _iso(middle)},
                    {
                        "userID": USERS[2],
                        "start": _iso(middle - timedelta(hours=1)),
                        "end": _iso(end - timedelta(hours=6)),
                    },
                ],
            }
        ]
    return found


def overrides(random: Random, schedule_id: str, now: datetime) -> list[Json]:
    found = []
    for number in range(random.randint(0, 2)):
        start = (now + timedelta(days=random.randint(-1, 25))).replace(minute=0)
        add, remove = random.choice(((USERS[5], ""), ("", random.choice(USERS)), (USERS[6], random.choice(USERS))))
        found.append(
            {
                "id": f"{schedule_id}-{number}",
                "start": _iso(start),
                "end": _iso(start + timedelta(hours=random.randint(1, 60))),
                "addUserID": add,
                "removeUserID": remove,
                "target": {"id": schedule_id, "type": "schedule", "name": ""},
            }
        )
    return found


def policy(random: Random, number: int, schedules: list[str], rotations: list[str]) -> Json:
    kinds = {
        "builtin-user": ("user_id", random.choice(USERS)),
        "builtin-schedule": ("schedule_id", random.choice(schedules)),
        "builtin-rotation": ("rotation_id", rotations[0]),
        "builtin-slack-channel": ("slack_channel_id", "C0123456789"),
        "builtin-webhook": ("webhook_url", "https://example.com"),
    }
    steps = [
        {
            "id": f"st{number}-{step}",
            "stepNumber": step,
            "delayMinutes": random.choice((1, 5, 15)),
            "multiAck": number == 2 and step == 0,
            "actions": [
                {"type": kind, "args": dict([kinds[kind]])}
                for kind in random.sample(sorted(kinds), random.randint(1, 3))
            ],
        }
        for step in range(random.randint(1, 3))
    ]
    if number == 5:  # as older versions say it
        steps = [
            {
                "id": "st",
                "stepNumber": 0,
                "delayMinutes": 5,
                "targets": [{"id": USERS[0], "type": "user", "name": "User 0"}],
            }
        ]
    return {
        "id": f"ep-{number}",
        "name": f"Policy {number}",
        "description": "",
        "repeat": random.randint(0, 5),
        "steps": steps,
        "isFavorite": False,
        "labels": [],
    }


def export(now: datetime, count: int = 20) -> dict[str, Json]:
    """The answer, as one file."""
    random = Random(3)
    zones = [random.choice(ZONES) for _ in range(count)]
    rotations = [rotation(random, number, now, zones[number]) for number in range(count)]
    rotations.append(rotation(random, count, now, "Asia/Kolkata"))  # of another zone than the schedule that has it
    names = [[one["id"] for one in rotations[:count] if one["timeZone"] == zone] for zone in zones]
    names[4] = [rotations[-1]["id"]]
    schedules = [schedule(random, number, now, zones[number], names[number]) for number in range(count)]
    keys = [one["id"] for one in schedules]
    policies = [policy(random, number, keys, [rotations[0]["id"]]) for number in range(count)]
    groups: dict[str, list[Json]] = {
        "users": [user(number) for number in range(len(USERS))],
        "rotations": rotations,
        "schedules": schedules,
        "userOverrides": [one for key in keys for one in overrides(random, key, now)],
        "escalationPolicies": policies,
        "services": [
            {
                "id": f"svc-{n}",
                "name": f"service-{n}",
                "description": "",
                "escalationPolicyID": policies[n]["id"],
                "maintenanceExpiresAt": "2026-01-01T00:00:00Z" if n == 1 else None,
            }
            for n in range(4)
        ],
    }
    return {
        "goalert.json": {
            "data": {name: {"nodes": nodes, "pageInfo": {"hasNextPage": False}} for name, nodes in groups.items()}
        }
    }


def on_call(data: Json, body: Json, at: datetime) -> set[str]:
    """Who is on call: rules laid out as spans, rotations stepped from hand-over to hand-over from the one that is next."""
    for one in body["temporarySchedules"]:
        if _at(one["start"]) <= at < _at(one["end"]):
            return {s["userID"] for s in one["shifts"] if _at(s["start"]) <= at < _at(s["end"])} & set(USERS)
    rotations = {one["id"]: one for one in data["rotations"]["nodes"]}
    found = {
        _user(rotations[entry["target"]["id"]], at) if entry["target"]["id"] in rotations else entry["target"]["id"]
        for entry in body["targets"]
        if any(_active(written, body["timeZone"], at) for written in entry["rules"])
    }
    before = set(found)
    for one in data["userOverrides"]["nodes"]:
        if one["target"]["id"] == body["id"] and _at(one["start"]) <= at < _at(one["end"]):
            if one["removeUserID"] and one["removeUserID"] not in before:
                continue
            found -= {one["removeUserID"]}
            found |= {one["addUserID"]} - {""}
    return found & set(USERS)


def _user(written: Json, at: datetime) -> str:
    index, number = written["activeUserIndex"], 0
    following = _at(written["nextHandoffTimes"][0])

    def at_hand_over(n: int) -> datetime:
        return hand_over(following, written["timeZone"], written["type"], written["shiftLength"], n)

    while at_hand_over(number) <= at:
        number += 1
    while at_hand_over(number - 1) > at:
        number -= 1
    found: str = written["userIDs"][(index + number) % len(written["userIDs"])]
    return found


def _active(written: Json, zone: str, at: datetime) -> bool:
    (start_hour, start_minute), (end_hour, end_minute) = (map(int, written[key].split(":")) for key in ("start", "end"))
    for day in days_around(at, zone, back=2):
        if written["weekdayFilter"][day.isoweekday() % 7]:
            begin, end = (
                day + timedelta(hours=start_hour, minutes=start_minute),
                day + timedelta(hours=end_hour, minutes=end_minute),
            )
            if end <= begin:
                end += timedelta(days=1)
            if moment(begin, zone) <= at < moment(end, zone):
                return True
    return False


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
