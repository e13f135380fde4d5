"""Overrides, the calendar and the simulation: they all say what `who` says."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import icalendar
import pytest

from oncall.roster import Responder, Roster
from oncall.roster.ical import calendar
from oncall.roster.schedules import Shift
from oncall_cli.errors import CommandError
from oncall_cli.when import parse_duration, parse_moment
from tests.cli.conftest import TABLE, Run

type Write = Callable[..., str]

ROSTER = """
time_zone: Asia/Tokyo
responders: {alice: +12025550100, bob: +12025550101, carol: {phone: +12025550102, name: "佐藤; 結衣, \\"C\\" \\\\"}}
schedules:
  primary:
    layers:
      - name: office hours
        members: [bob, carol]
        shift: 1 day
        start: 2026-11-02
        during: [{days: mon-fri, from: 09:00, to: 18:00}]
      - {name: nights, members: [alice, bob], start: 2026-11-02}
policies:
  default: {steps: [schedule: primary, everyone], calls: 2, rounds: 2, pause_seconds: 60, ring_seconds: 20}
products: {quiet: {call: false}}
"""


@pytest.fixture(autouse=True)
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def applied(oncall: Run, write: Write) -> Run:
    assert oncall("roster", "apply", write(ROSTER)).status == 0
    return oncall


def order(run: Run, at: str) -> list[str]:
    return [person["id"] for person in run("who", "--at", at, "--json").json["order"]]


def test_an_override_is_added_listed_and_removed(applied: Run) -> None:
    added = applied("override", "add", "carol", "--from", "2030-01-05T00:00Z", "--until", "2030-01-06T00:00Z")
    assert added.status == 0
    assert "~ schedule primary, Fri 2030-01-04 19:00 EST to " in added.err
    assert "-> carol" in added.err
    assert [order(applied, at)[0] == "carol" for at in ("2030-01-05T00:00Z", "2030-01-05T23:59Z")] == [True, True]
    assert order(applied, "2030-01-06T00:00Z")[0] != "carol"
    (listed,) = applied("override", "list", "--json").json
    assert (listed["responder"], listed["end"]) == ("carol", "2030-01-06T00:00:00+00:00")
    assert listed["id"] in applied("override", "list").out
    assert applied("override", "remove", listed["id"]).status == 0
    assert order(applied, "2030-01-05T00:00Z")[0] != "carol"
    assert applied("override", "list").out == "no overrides\n"


def test_take_is_from_now_until_the_shift_ends(applied: Run) -> None:
    now = datetime.now(UTC).isoformat()
    ends = next(shift["end"] for shift in applied("schedule", "primary", "--json").json if shift["end"] > now)
    taken = applied("take", "carol", "--json").json
    assert (taken["schedule"], taken["end"]) == ("primary", ends), "of what is rung first, as in Slack"
    assert order(applied, "now")[0] == "carol"


def test_the_undoing_command_names_the_same_system(applied: Run) -> None:
    taken = applied("take", "carol", "--for", "2h")
    undo = taken.out.partition("undo it: oncall ")[2].split()
    assert undo[-4:-2] == ["--table", TABLE]
    assert applied(*undo[:-4]).status == 0
    assert applied("override", "list").out == "no overrides\n"


def test_who_has_the_shift_already_is_said(applied: Run) -> None:
    applied("take", "carol", "--schedule", "primary", "--for", "1h")
    assert ": carol is on call already\n" in applied("take", "carol", "--for", "2h", "--schedule", "primary").err


def test_whoever_takes_every_schedule_is_told_that_nobody_stays_behind(oncall: Run, write: Write) -> None:
    first, second = (f"{{layers: [{{name: all, members: [{who}], start: 2026-11-02}}]}}" for who in ("alice", "bob"))
    people = "responders: {alice: +12025550100, bob: +12025550101, carol: +12025550102}\n"
    schedules = f"schedules: {{first: {first}, second: {second}}}\n"
    policies = "policies: {default: {steps: [schedule: first, schedule: second]}}"
    assert oncall("roster", "apply", write(people + schedules + policies)).status == 0
    assert "nobody stays behind" not in oncall("take", "carol", "--schedule", "first", "--for", "2h").err
    alone = "! policy default rings carol alone then: nobody stays behind. Name a --schedule\n"
    assert alone in oncall("take", "carol", "--for", "3h").err


def test_whoever_takes_the_shift_behind_the_own_one_is_not_told_to_name_it(oncall: Run, write: Write) -> None:
    one = "{layers: [{name: all, members: [alice], start: 2026-11-02}]}"
    people = "responders: {alice: +12025550100, bob: +12025550101}\n"
    schedules = f"schedules: {{first: {one}, second: {one.replace('alice', 'bob')}}}\n"
    policies = "policies: {default: {steps: [schedule: first, schedule: second]}}"
    assert oncall("roster", "apply", write(people + schedules + policies)).status == 0
    told = oncall("take", "bob", "--schedule", "first", "--for", "2h").err
    assert "! policy default rings bob alone then: nobody stays behind\n" in told


def test_a_night_that_is_over_is_answered_from_the_present_roster_and_says_so(applied: Run) -> None:
    told = applied("who", "--at", "2026-11-23 03:12")
    assert "Mon 2026-11-23 03:12 EST is over: this is what the roster of now says of it" in told.err
    assert "is over" not in applied("who", "--at", "now").err


def test_an_override_lasts_as_long_as_it_says_whatever_shift_ends_below_it(applied: Run) -> None:
    applied(
        "override",
        "add",
        "carol",
        "--from",
        "2030-01-05T00:00Z",
        "--until",
        "2030-01-09T00:00Z",
        "--schedule",
        "primary",
    )
    asked = applied("who", "--at", "2030-01-05T03:00Z", "--json").json
    assert asked["order"][0]["reason"] == "override of schedule primary until 2030-01-09 09:00 Asia/Tokyo"


def test_a_length_says_for_how_long(applied: Run) -> None:
    taken = applied("take", "carol", "--for", "2h", "--json").json
    assert datetime.fromisoformat(taken["end"]) - datetime.fromisoformat(taken["start"]) == timedelta(hours=2)
    assert taken["schedule"] is None
    assert order(applied, "now")[0] == "carol"
    assert order(applied, "+2h")[0] in ("alice", "bob", "carol")
    reason = applied("who", "--json").json["order"][0]["reason"]
    assert reason.startswith("override of schedule primary until ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("override", "add", "carl", "--for", "2h"), "there is no responder 'carl': did you mean carol?"),
        (
            ("override", "add", "bob", "--for", "2h", "--schedule", "primry"),
            "there is no schedule 'primry': did you mean primary?",
        ),
        (("override", "add", "bob", "--for", "2h", "--schedule", "everyone", "--until", "09:00"), "one of them"),
        (("override", "add", "bob"), "until when? Give --until TIME or --for LENGTH"),
        (("override", "add", "bob", "--until", "2020-01-01 09:00"), "it would be over already"),
        (("override", "add", "bob", "--for", "0h"), "'0h' is not a length of time"),
        (("override", "remove", "nope"), "there is no override 'nope'"),
        (("take", "nobody"), "there is no responder 'nobody'"),
        (("schedule", "primry"), "there is no schedule 'primry': did you mean primary?"),
        (("simulate", "--silent", "alise"), "there is no responder 'alise': did you mean alice?"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    applied: Run, arguments: tuple[str, ...], message: str
) -> None:
    refused = applied(*arguments)
    assert refused.status == 1
    assert message in refused.err
    assert applied("override", "list", "--json").json == []


def test_who_takes_one_of_several_shifts_says_which(oncall: Run, write: Write) -> None:
    other = "  other: {steps: [everyone]}\nproducts:"
    assert oncall("roster", "apply", write(ROSTER.replace("products:", other))).status == 0
    asked = oncall("take", "carol")
    assert asked.status == 1
    assert "whose shift? Give --schedule primary or --schedule everyone; or --for LENGTH" in asked.err
    assert oncall("override", "list", "--json").json == []
    assert "undo it: oncall override remove carol-" in oncall("take", "carol", "--schedule", "primary").out


def test_an_override_that_would_change_nothing_is_refused(oncall: Run, write: Write) -> None:
    oncall("roster", "apply", write("responders: {a: +12025550100}\npolicies: {default: {steps: [responder: a]}}\n"))
    assert "no policy rings by a schedule: it would change nothing" in oncall("take", "a").err


def test_the_calendar_agrees_with_who(applied: Run) -> None:
    shifts = applied("schedule", "primary", "--weeks", "3", "--json").json
    assert all(before["end"] == after["start"] for before, after in pairwise(shifts))
    for shift in shifts:
        assert order(applied, shift["start"])[0] == shift["responder"]
    text = applied("schedule", "--weeks", "2").out
    assert "primary" in text.splitlines()[0]
    assert all(name in text for name in ("Mon", "Sun", "alice", "bob", "carol"))


def test_the_ical_file_is_what_another_program_reads(applied: Run, tmp_path: Path) -> None:
    applied("take", "carol")
    file = tmp_path / "on-call.ics"
    assert applied("schedule", "--ical", str(file)).err == f"wrote {file}\n"
    shifts = applied("schedule", "--json").json
    events = icalendar.Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    found = [(event.decoded("dtstart"), event.decoded("dtend")) for event in events]
    assert found == [
        (
            datetime.fromisoformat(s["start"]).replace(microsecond=0),
            datetime.fromisoformat(s["end"]).replace(microsecond=0),
        )
        for s in shifts
    ]
    assert len({event["uid"] for event in events}) == len(events)
    carol = next(event for event, shift in zip(events, shifts, strict=True) if shift["responder"] == "carol")
    assert carol["summary"] == '佐藤; 結衣, "C" \\ is on call (primary)'


def test_long_and_strange_names_come_back_from_the_ical_file() -> None:
    name = "結" * 60 + "; a, b\\n\nc"
    start = datetime(2026, 11, 22, tzinfo=UTC)
    roster = Roster({"a": Responder("a", name, "+12025550100")}, {}, {}, {})
    text = calendar(roster, [("s", Shift(start, start + timedelta(hours=1), "a", layer="x"))], start)
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    (event,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
    assert event["summary"] == f"{name} is on call (s)"


def test_a_simulation_rings_who_is_on_call_until_someone_answers(applied: Run) -> None:
    at = "2026-11-22T03:12:00+09:00"
    everyone = order(applied, at)
    events = applied("simulate", "--at", at, "--silent", ",".join(everyone[:2]), "--json").json["events"]
    rung = [(event["second"], event["responder"]) for event in events if event["responder"]]
    first, second, third = everyone
    assert rung == [(0, first), (20, first), (40, second), (60, second), (80, third)]
    assert events[-1]["what"] == f"acknowledged by {third}"


def test_a_simulation_in_which_nobody_answers_ends_unanswered(applied: Run) -> None:
    events = applied("simulate", "--at", "2026-11-22T03:12:00+09:00", "--silent", "all", "--json").json["events"]
    calls = [event for event in events if event["responder"]]
    assert len(calls) == 3 * 2 * 2
    assert calls[6]["second"] == 120 + 60
    assert events[-1]["what"] == "unanswered: nobody took it in 2 rounds"


def test_a_simulation_follows_a_hand_over_in_its_middle(applied: Run) -> None:
    """Between two calls the shift ends: the next round begins with the next one on call."""
    events = applied("simulate", "--at", "2026-11-23T08:59:30+09:00", "--silent", "all", "--json").json["events"]
    by_round = {number: [e["responder"] for e in events if e["round"] == number] for number in (1, 2)}
    assert by_round[1][0] == order(applied, "2026-11-23T08:59:30+09:00")[0]
    assert by_round[2][0] == order(applied, "2026-11-23T09:02:30+09:00")[0]
    assert by_round[1][0] != by_round[2][0]


def test_a_simulation_shows_the_wait_for_a_step(oncall: Run, write: Callable[[str], str]) -> None:
    steps = "[{responder: alice}, {responder: bob, after_minutes: 10}]"
    text = f"responders: {{alice: +12025550100, bob: +12025550101}}\npolicies: {{default: {{steps: {steps}, rounds: 1}}}}\n"
    assert oncall("roster", "apply", write(text), "--yes").status == 0
    events = oncall("simulate", "--silent", "all", "--ring-seconds", "25", "--json").json["events"]
    assert [(e["second"], e["responder"], e["what"]) for e in events] == [
        (0, "alice", "does not answer for 25 s"),
        (25, None, "waits 575 s: the next step comes after 10 minutes"),
        (600, "bob", "does not answer for 25 s"),
        (625, None, "unanswered: nobody took it in 1 round"),
    ]
    assert [o["after_minutes"] for o in oncall("who", "--json").json["order"]] == [0, 10]
    assert "named by policy default, after 10 minutes" in oncall("who").out


def test_a_product_for_slack_only_rings_nobody(applied: Run) -> None:
    assert "no phone rings" in applied("simulate", "--product", "quiet").out
    assert applied("simulate", "--product", "quiet", "--json").json["events"] == []


NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)  # a Sunday, 03:00 in New York


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-22T08:00+00:00"),
        ("+90m", "2026-11-22T09:30+00:00"),
        ("03:12", "2026-11-22T08:12+00:00"),
        ("02:59", "2026-11-23T07:59+00:00"),
        ("sun 03:12", "2026-11-22T08:12+00:00"),
        ("Sunday 02:00", "2026-11-29T07:00+00:00"),
        ("sat 09:00", "2026-11-28T14:00+00:00"),
        ("today 01:00", "2026-11-22T06:00+00:00"),
        ("tomorrow 09:00", "2026-11-23T14:00+00:00"),
        ("2027-07-01 09:00", "2027-07-01T13:00+00:00"),
        ("2026-11-23T09:00+09:00", "2026-11-23T00:00+00:00"),
        ("24:00", "2026-11-23T05:00+00:00"),
        ("sun 24:00", "2026-11-23T05:00+00:00"),
        ("sat 24:00", "2026-11-29T05:00+00:00"),
        ("today 24:00", "2026-11-23T05:00+00:00"),
        ("tomorrow 24:00", "2026-11-24T05:00+00:00"),
        ("2026-12-31 24:00", "2027-01-01T05:00+00:00"),
        ("+2 weeks", "2026-12-06T08:00+00:00"),
    ],
)
def test_times_are_read_in_the_zone_of_who_writes_them(text: str, expected: str) -> None:
    assert parse_moment(text, NOW) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2026-W48-1",
            "2026-11-23",
            "20261123",
            "2026-11-23x09:00",
            "9:5",
            "24:01",
            "٠٩:٠٠",
            "540",
            "1795402740",
            "+2 months",
        ),
        *(
            "tomorrow sharp 09:00",
            "yesterday 09:00",
            "9999-12-31 09:00",
            "0001-01-01T00:00+14:00",
            "+2 months",
            "2026-11-31 09:00",
        ),
    ],
)
def test_what_is_no_time_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(CommandError, match="is not a"):
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("7d", 604_800), ("2 weeks", 1_209_600), ("45 min", 2700)]
)
def test_lengths(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-2h", "2y", "99999h", "0m", "2 months", "1mo", "2 hundred", "٢h", "3 weekends"]
)
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(CommandError, match="is not a length of time"):
        parse_duration(text)


def test_answers_are_json_throughout(applied: Run) -> None:
    answers: list[Any] = [
        applied(*command, "--json").json
        for command in (("who",), ("schedule",), ("simulate",), ("override", "list"), ("roster", "show"))
    ]
    assert len(answers) == 5
