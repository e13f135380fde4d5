"""What would have rung, beside what another system told people: what one had and the other had not, with seconds."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oncall.incidents import store
from oncall.shadow import PARTITION
from oncall.table import Put, Table, Update
from oncall_cli import doctor
from oncall_cli.notification_log import Told, compare
from oncall_cli.shadow_report import rings
from oncall_cli.target import Target
from tests import records
from tests.cli.conftest import Run
from tests.cli.test_doctor import patient

NIGHT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
MS = round(NIGHT.timestamp() * 1000)
MINUTE = 60_000
ROSTER = """
responders:
  alice: {name: Alice Smith, phone: "+12025550100"}
  bob: {name: Bob, phone: "+12025550101"}
schedules: {primary: {members: [alice]}}
policies: {default: {steps: [schedule: primary, responder: bob]}}
"""

type Write = Callable[..., str]


def after(seconds: int) -> str:
    return (NIGHT + timedelta(seconds=seconds)).isoformat()


def put(target: Target, number: int, *told: tuple[int, str], **more: Any) -> None:
    """An incident in shadow, of which people would have been rung so many seconds after NIGHT."""
    opened = min((second for second, _ in told), default=0)
    name = f"{NIGHT + timedelta(seconds=opened):%Y%m%d-%H%M%S}-{number:06x}"
    table = Table(target.dynamodb, target.table)
    attributes = {
        "policy": "shadow:default",
        "summary": f"shop {number} is down",
        "opened_at": MS + opened * 1000,
        **more,
    }
    events = [
        {
            "kind": "ringing",
            "who": who,
            "at": MS + second * 1000,
            "detail": {"supposed": True, "second": second - opened},
        }
        for second, who in told
    ]
    table.transact(
        [
            Put({**records.incident_item(id=name, **attributes), "pk": f"INCIDENT#{name}", "sk": "STATE"}),
            Put({"pk": store._month(NIGHT), "sk": name}),
            *(
                Put({"pk": f"INCIDENT#{name}", "sk": f"EVENT#{index:06d}", "number": index, "in_thread": True, **event})
                for index, event in enumerate(events, 1)
            ),
        ]
    )


@pytest.fixture
def shadowed(oncall: Run, target: Target, write: Write) -> Run:
    """A stack with a roster, where Alice, and a minute later Bob, would have been rung for one alert."""
    assert oncall("roster", "apply", write(ROSTER), "--yes").status == 0
    put(target, 1, (0, "Alice Smith"), (60, "Bob"), product="shop")
    return oncall


def test_a_table_of_what_would_have_rung_when_whom(shadowed: Run) -> None:
    ran = shadowed("shadow", "report", "--since", "7d")
    assert ran.status == 0
    first, header, alice, bob = (line for line in ran.out.splitlines() if line.strip())
    assert first == "within 7d: 2 would have rung, 0 rang"
    assert header.split() == ["when", "who", "after", "product", "what"]
    assert ["0 s" in alice, "Alice Smith" in alice, "would have rung" in alice, "shop 1 is down" in alice] == [True] * 4
    assert ["60 s" in bob, "Bob" in bob] == [True] * 2


PAGERDUTY = """id,type,started_at,address,user.id,user.summary
PWL7QXS,push_notification,{0},,PT23IWX,Alice Smith
PKN7NBH,phone_notification,{1},+12025550100,PT23IWX,Alice Smith
PKN7NBI,email_notification,{1},alice@example.com,PT23IWX,Alice Smith
"""
OPSGENIE = """user.username,state,method,createdAt
alice.smith@example.com,notified,Voice,{0}
"""


@pytest.mark.parametrize("log", [PAGERDUTY, OPSGENIE], ids=["pagerduty", "opsgenie"])
def test_a_week_without_differences_is_the_ticket_out(shadowed: Run, write: Write, log: str) -> None:
    """There Alice took it, so that Bob was not told: the shadow does not hear of it, and that is no difference."""
    ran = shadowed("shadow", "report", "--against", write(log.format(after(-7), after(60)), "log.csv"))
    assert ran.status == 0, ran.out
    assert "alike: 1; ours came +7 s later in the middle" in ran.out
    assert "only there: 0\nonly here: 0" in ran.out
    assert "here, after somebody had been rung who was told there, too: 1" in ran.out
    assert ran.out.rstrip().endswith("no difference")


def test_what_one_had_and_the_other_had_not_is_listed_and_fails(shadowed: Run, target: Target, write: Write) -> None:
    put(target, 2, (7200, "Bob"))
    log = write(PAGERDUTY.format(after(0), after(30)) + f"P1,sms_notification,{after(3600)},x,P2,Bob\n", "log.csv")
    ran = shadowed("shadow", "report", "--against", log, "--json")
    assert ran.status == 1
    against = ran.json["against"]
    assert [one["who"] for one in against["alike"]] == ["Alice Smith"]
    assert against["only_there"] == [{"time": after(3600), "who": "Bob", "what": ""}]
    assert against["only_here"] == [{"time": after(7200), "who": "Bob", "what": "shop 2 is down"}]


def test_our_own_log_is_compared_as_well(shadowed: Run, write: Write) -> None:
    ours = shadowed("shadow", "report", "--csv")
    assert ours.out.splitlines()[0] == "time,who,second,incident,product,what,mode"
    ran = shadowed("shadow", "report", "--against", write(ours.out, "ours.csv"), "--json")
    assert (ran.status, len(ran.json["against"]["alike"])) == (0, 2)


def test_which_columns_are_read_is_said(shadowed: Run, write: Write) -> None:
    log = write(f"id,type,started_at,address,user.summary\n1,phone,{after(0)},x,Alice Smith\n", "log.csv")
    said = shadowed("shadow", "report", "--against", log).err
    assert "read: time from 'started_at', who from 'user.summary', type from 'type'" in said
    assert "not read: id, address (--column names another column)" in said


def test_columns_people_and_zones_can_be_named(shadowed: Run, write: Write) -> None:
    log = write(f"Sent at,Whom\n{NIGHT:%Y-%m-%d %H:%M:%S},asmith\n", "log.csv")
    arguments = ["--column", "time=Sent at", "--column", "who=Whom", "--person", "asmith=alice", "--time-zone", "UTC"]
    assert shadowed("shadow", "report", "--against", log, *arguments).status == 0


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        ("", [], "which column is the time and the who?"),
        ("a,b\n1,2\n", [], "It has a, b."),
        ("time;who\n1;2\n", [], "its columns have to stand between commas"),
        ("2026-11-23T03:00:00Z,phone,+12025550100,Alice\n", [], "write one above it, like time,type,address,who"),
        ("created_at,type,user\n2026-11-23T03:00:00Z,notify_log_entry,alice\n", [], "save GET /notifications"),
        ("time,who\nyesterday,alice\n", [], "line 2: 'yesterday' is not a time"),
        ("time,who\n2026-11-23T03:00:00,alice\n", [], "does not say in which time zone"),
        ("time,who\n2026-11-23T03:00:00,alice\n", ["--time-zone", "W. Europe"], "there is no time zone"),
        ("time,who\n", ["--column", "when=time"], "what can be named is time, who, type, what"),
        ("time,who\n", ["--column", "time"], "write it as NAME=VALUE"),
        ("time,who\n", ["--column", "time=at"], "the file has time, who"),
        ("time,who\n", ["--person", "x=zoe"], "the roster has no responder 'zoe'"),
        ('time,who\n"2026', [], "it is no CSV"),
    ],
)
def test_a_file_that_is_no_log_is_told_with_what_to_do(
    shadowed: Run, write: Write, content: str, arguments: list[str], says: str
) -> None:
    ran = shadowed("shadow", "report", "--against", write(content, "log.csv"), *arguments)
    assert ran.status == 1
    assert says in ran.err
    assert "+12025550100" not in ran.err


def test_a_file_that_is_not_there_is_told(shadowed: Run, tmp_path: Path) -> None:
    assert "cannot be read" in shadowed("shadow", "report", "--against", str(tmp_path / "none.csv")).err


def test_who_the_roster_does_not_know_is_named(shadowed: Run, write: Write) -> None:
    log = write(f"time,who\n{after(0)},zoe@example.com\n{after(1)},alice\n", "log.csv")
    ran = shadowed("shadow", "report", "--against", log)
    assert ran.status == 1
    assert "--person 'zoe@example.com=ID' says who it is" in ran.out + ran.err


def test_what_follows_within_a_quarter_of_an_hour_wakes_nobody_anew() -> None:
    ours = [Told(MS + minutes * MINUTE, "Alice") for minutes in (0, 5, 12, 40)]
    theirs = [Told(MS + minutes * MINUTE, "Alice") for minutes in (1, 10)]
    compared = compare(ours, theirs, within=300)
    assert compared.seconds == [-60]
    assert [one.at for one in compared.only_here] == [MS + 40 * MINUTE]


def test_the_nearest_are_paired_and_a_person_only_with_themselves() -> None:
    ours = [Told(MS, "Alice"), Told(MS + 20 * MINUTE, "Alice"), Told(MS, "Bob")]
    theirs = [Told(MS + 19 * MINUTE, "Alice"), Told(MS + MINUTE, "Carol")]
    compared = compare(ours, theirs, within=3600)
    assert compared.seconds == [60]
    assert {one.who for one in compared.only_here} == {"Alice", "Bob"}
    assert [one.who for one in compared.only_there] == ["Carol"]


def test_after_an_unanswered_page_somebody_is_rung_first_again() -> None:
    story = [
        records.event("ringing", "A"),
        records.event("ringing", "B"),
        records.event("unanswered"),
        records.event("ringing", "A"),
    ]
    assert [ring.told.is_first for ring in rings(records.incident(), story)] == [True, False, True]


@pytest.mark.parametrize(("days", "level"), [(0, "warning"), (1, "warning"), (15, "failed")])
def test_the_doctor_tells_what_is_in_shadow_and_what_is_forgotten_there(target: Target, days: int, level: str) -> None:
    if days:
        since = round((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1000)
        Table(target.dynamodb, target.table).update(Update(PARTITION, "STATE", set={"since": since}))
    document = {"responders": {"alice": "+12025550100"}, "products": {"shop": {"shadow": True}, "blog": {}}}
    (check,) = doctor._shadow(patient(target, document))
    assert (check.level, check.says.partition(", since")[0]) == (level, "nobody is rung for shop")
    assert "take shadow: true out of the roster" in check.do


def test_the_doctor_is_content_if_everything_is_live(target: Target) -> None:
    (check,) = doctor._shadow(patient(target, {"products": {"shop": {}}}))
    assert check.level == "good"


def test_no_report_counts_what_rang_nobody(shadowed: Run) -> None:
    assert json.loads(shadowed("report", "--json").out)["calls"] == 0
    assert "in shadow" in shadowed("incidents").out
