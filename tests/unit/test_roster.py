"""The roster in the table: what a person may write there, what is said about slips, and that readers see one version whole."""
# ruff: noqa: DTZ001  the local times of hand-overs have no zone of their own

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.roster import (
    Layer,
    Override,
    Policy,
    RosterError,
    Step,
    from_items,
    override_item,
    parse,
    read_items,
    time_zones,
    to_document,
    to_items,
)
from oncall.roster.schedules import responders_on_call

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)

DOCUMENT: dict[str, Any] = {
    "time_zone": "Asia/Tokyo",
    "default": "night",
    "responders": {
        "sato": {"name": "佐藤 結衣", "phone": "+12025550100", "slack_user": "U0SATO", "language": "ja"},
        "bob": "+12025550101",
    },
    "schedules": {
        "primary": {
            "layers": [
                {
                    "name": "office hours",
                    "members": ["bob", "sato"],
                    "shift": "1 day",
                    "start": "2026-11-02",
                    "during": [{"days": "mon-fri", "from": "09:00", "to": "18:00"}],
                },
                {"members": ["bob"], "shift": "90 minutes", "until": "2026-12-24 18:00"},
                {"members": ["sato", "nobody"], "shift": "1 month", "start": "2026-01-31", "until": "2027-02-28 24:00"},
                {"members": ["sato"], "shift": "2 weeks", "hand_over": "friday 17:30"},
            ]
        },
        "berlin": {"time_zone": "Europe/Berlin", "members": ["bob"], "shift": "12 hours", "hand_over": "08:00"},
    },
    "policies": {
        "night": {
            "steps": [
                {"schedule": "primary"},
                {"responder": "bob", "after_minutes": 10},
                {"everyone": True, "after_minutes": 25},
            ],
            "calls": 2,
            "remind_after_minutes": 30,
        }
    },
    "severities": {"info": "none", "notice": "warning"},
    "products": {"product-a": {"policy": "night", "slack_channel": "C0A12345"}, "product-b": {"call": False}},
}


def by_hand(kind: str, **attributes: Any) -> dict[str, Any]:
    return {"pk": "ROSTER", "sk": kind, **attributes}


TEAM = [by_hand("RESPONDER#alice", phone="+12025550100"), by_hand("RESPONDER#bob", phone="+12025550101")]


def test_responders_alone_are_a_roster() -> None:
    """A table with nothing but numbers, typed in by hand: everyone in turn."""
    roster = from_items(TEAM)
    order = responders_on_call(roster, roster.policy_for("whatever"), AT)
    assert {on_call.responder.phone for on_call in order} == {"+12025550100", "+12025550101"}
    following_week = responders_on_call(roster, roster.policy_for(""), AT + timedelta(weeks=1))
    assert [o.responder.id for o in following_week] == [o.responder.id for o in reversed(order)]


def test_a_roster_comes_back_from_its_items() -> None:
    roster, problems = parse(DOCUMENT | {"version": 12, "applied_at": "2026-11-22T03:12:00+00:00"})
    assert problems == ()
    assert from_items(to_items(roster)) == roster
    assert from_items(reversed(to_items(roster))) == roster
    assert list(roster.responders) == ["sato", "bob"]


def test_a_roster_comes_back_from_its_document() -> None:
    roster, _ = parse(DOCUMENT)
    assert parse(to_document(roster)) == (roster, ())


def test_numbers_may_come_as_dynamodb_and_its_console_give_them() -> None:
    policy = by_hand("POLICY#p", calls=Decimal(2), rounds="4", repeat_page="false", sms_before_call="true")
    (read,) = from_items([*TEAM, policy]).policies.values()
    assert (read.calls, read.rounds, read.repeat_page, read.sms_before_call) == (2, 4, False, True)


def test_hours_and_hand_overs_are_read_as_written() -> None:
    roster, _ = parse(DOCUMENT)
    office, dated, months, rest = roster.schedules["primary"].layers
    assert office.windows[0].days == frozenset(range(5))
    assert (office.windows[0].start, office.windows[0].end) == (time(9), time(18))
    assert (office.start, office.length) == (datetime(2026, 11, 2, 9), timedelta(days=1))
    assert (rest.start.weekday(), rest.start.time(), rest.length) == (4, time(17, 30), timedelta(weeks=2))
    assert (dated.length, dated.until) == (timedelta(minutes=90), datetime(2026, 12, 24, 18))
    assert (months.months, months.start, months.until) == (1, datetime(2026, 1, 31, 9), datetime(2027, 3, 1))
    assert [(s.kind, s.id, s.after_minutes) for s in roster.policies["night"].steps] == [
        ("schedule", "primary", 0),
        ("responder", "bob", 10),
        ("everyone", "", 25),
    ]


@pytest.mark.parametrize("product", ["unknown", ""])
def test_an_unknown_product_has_the_default_policy(product: str) -> None:
    roster, _ = parse(DOCUMENT)
    assert roster.policy_for(product).id == "night"
    assert roster.product(product).call is True


def test_without_policies_the_default_is_everyone_in_turn() -> None:
    assert from_items(TEAM).policy_for("x") == Policy("default", (Step("everyone"),))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (by_hand("RESPONDER#eve"), "RESPONDER#eve: has no phone"),
        (by_hand("RESPONDER#eve", phone="090-1234-5678"), "RESPONDER#eve phone: is not in E.164"),
        (by_hand("RESPONDER#eve", phone=Decimal(9012345678)), "RESPONDER#eve phone: expected text"),
        (by_hand("RESPONDER#eve", phone="+12025550104", language="fr"), "RESPONDER#eve language: 'fr' is not possible"),
        (by_hand("RESPONDER#e ve", phone="+12025550104"), "is no usable id"),
        (by_hand("SCHEDULE#s"), "SCHEDULE#s: has no members"),
        (
            by_hand("SCHEDULE#s", members=["alicia"]),
            "SCHEDULE#s members 0: there is no responder 'alicia': did you mean alice?",
        ),
        (by_hand("SCHEDULE#s", members=["alice"], shift="a week"), "SCHEDULE#s shift: 'a week' is not a length"),
        (by_hand("SCHEDULE#s", members=["alice"], shift="0 days"), "SCHEDULE#s shift: '0 days' is not a length"),
        (by_hand("SCHEDULE#s", members=["alice"], hand_over="9h"), "SCHEDULE#s hand_over: '9h' is not a hand-over"),
        (
            by_hand("SCHEDULE#s", members=["alice"], hand_over="25:00"),
            "SCHEDULE#s hand_over: '25:00' is not a hand-over",
        ),
        (by_hand("SCHEDULE#s", members=["alice"], start="2026-02-29"), "'2026-02-29' is not a date that exists"),
        (
            by_hand("SCHEDULE#s", members=["alice"], start="2026-11-03", hand_over="monday 09:00"),
            "2026-11-02 or 2026-11-09",
        ),
        (by_hand("SCHEDULE#s", members=["alice"], shift="1 day", hand_over="monday 09:00"), "leave monday out"),
        (
            by_hand("SCHEDULE#s", members=["alice"], time_zone="Asia/Tokio"),
            "SCHEDULE#s time_zone: there is no time zone",
        ),
        (
            by_hand("SCHEDULE#s", members=["alice"], time_zone="../etc/passwd"),
            "SCHEDULE#s time_zone: there is no time zone",
        ),
        (
            by_hand("SCHEDULE#s", members=["alice"], during=[{"days": "mo-fr"}]),
            "SCHEDULE#s during 0 days: 'mo-fr' are not days",
        ),
        (by_hand("SCHEDULE#s", layers=[]), "SCHEDULE#s layers: expected a list"),
        (by_hand("SCHEDULE#s", layers=["alice"]), "SCHEDULE#s layers 0: expected settings"),
        (by_hand("POLICY#p", steps=[]), "POLICY#p steps: expected a list"),
        (
            by_hand("POLICY#p", steps=[{"schedule": "nights"}]),
            "POLICY#p steps 0 schedule: there is no schedule 'nights'",
        ),
        (by_hand("POLICY#p", steps=["alice"]), "POLICY#p steps 0: is no step"),
        (by_hand("POLICY#p", rounds=Decimal("2.5")), "POLICY#p rounds: expected a whole number from 1 to 20"),
        (by_hand("POLICY#p", answer="any"), "POLICY#p answer: 'any' is not possible: write key or connected"),
        (by_hand("PRODUCT#x", policy="nigth"), "PRODUCT#x policy: there is no policy 'nigth'"),
        (by_hand("PRODUCT#x", call="maybe"), "PRODUCT#x call: write true or false"),
        (by_hand("OVERRIDE#o", responder="alice"), "OVERRIDE#o: needs responder and end"),
        (by_hand("OVERRIDE#o", responder="alice", end="2026-11-23T09:00:00"), "does not say in which time zone"),
        (by_hand("META", default="nights"), "META default: there is no policy 'nights'"),
        (by_hand("META", severities={"info": "quiet"}), "META severities info: 'quiet' is not possible"),
        (by_hand("META", time_zone="localtime"), "META time_zone: there is no time zone 'localtime'"),
        (by_hand("SCHEDULE#s", members=["alice"], during=[]), "SCHEDULE#s during: expected a list, such as"),
        (
            by_hand("SCHEDULE#s", members=["alice"], during=[{"from": "24:00", "to": "06:00"}]),
            "SCHEDULE#s during 0 from: 24:00 ends the days that are written: write from: 00:00",
        ),
        (by_hand("POLICY#p", rounds="٣"), "POLICY#p rounds: expected a whole number"),
        (by_hand("POLICY#p", rounds="010"), "POLICY#p rounds: expected a whole number"),
        (by_hand("PRODUCT#x", call=Decimal(1)), "PRODUCT#x call: write true or false"),
        (by_hand("PRODUCT#x", call="off"), "PRODUCT#x call: write true or false"),
    ],
)
def test_a_slip_is_named_and_does_not_leave_everyone_unrung(item: dict[str, Any], expected: str) -> None:
    with pytest.raises(RosterError) as refused:
        from_items([*TEAM, item])
    assert expected in str(refused.value)
    roster, problems = read_items([*TEAM, item])
    assert problems == refused.value.problems
    order = responders_on_call(roster, roster.policy_for("x"), AT)
    assert {on_call.responder.id for on_call in order} >= {"alice", "bob"}


def test_problems_and_representations_hold_no_phone_number() -> None:
    _, problems = read_items([by_hand("RESPONDER#eve", phone="09012345678")])
    assert "09012345678" not in str(problems)
    assert "+12025550100" not in repr(from_items(TEAM))


def test_unknown_attributes_and_items_are_left_alone() -> None:
    assert from_items([by_hand("RESPONDER#alice", phone="+12025550100", note="on leave"), by_hand("NOTE#1")]).responders


def test_an_override_of_someone_who_has_left_is_forgotten() -> None:
    gone = by_hand("OVERRIDE#o", responder="eve", end="2026-12-01T00:00:00Z")
    assert from_items([*TEAM, gone]).overrides == {}


def test_an_override_ends_with_its_time_to_live() -> None:
    override = by_hand("OVERRIDE#o", responder="bob", expires_at=Decimal(int(AT.timestamp()) + 60))
    roster = from_items([*TEAM, override])
    policy = roster.policy_for("")
    assert responders_on_call(roster, policy, AT)[0].reason.startswith(
        "override of schedule everyone until 2026-11-22 03:13"
    )
    assert not responders_on_call(roster, policy, AT + timedelta(minutes=1))[0].reason.startswith("override")


def test_an_override_comes_back_from_its_item() -> None:
    roster, _ = parse(DOCUMENT)
    override = Override("o", "bob", "primary", AT, AT + timedelta(hours=2), created_at=AT, created_by="bob")
    assert from_items([*to_items(roster), override_item(override)]).overrides == {"o": override}


def test_only_the_version_that_meta_names_counts() -> None:
    old, _ = parse({"responders": {"alice": "+12025550100", "left": "+12025550102"}, "version": 1})
    new, _ = parse({"responders": {"alice": "+12025550101"}, "version": 2})
    *old_items, old_meta = to_items(old)
    *new_items, new_meta = to_items(new)
    both = [*old_items, *new_items]
    assert from_items([*both, old_meta]) == old
    assert from_items([*both, new_meta]) == new


def test_what_was_added_by_hand_counts_beside_and_before_what_was_applied() -> None:
    applied, _ = parse({"responders": {"alice": "+12025550100"}, "version": 3})
    roster = from_items([*to_items(applied), by_hand("RESPONDER#alice", phone="+12025550109"), TEAM[1]])
    assert {r.id: r.phone for r in roster.responders.values()} == {"alice": "+12025550109", "bob": "+12025550101"}


OLD = parse(DOCUMENT | {"version": 1})[0]
NEW = parse(
    {"responders": {"alice": "+12025550102", "bob": "+12025550103"}, "policies": {"p": {"calls": 3}}, "version": 2}
)[0]


@given(st.data())
def test_a_reader_sees_the_old_or_the_new_roster_however_its_pages_fall(data: st.DataObject) -> None:
    """The writer writes new items in any order, then META; old items go only after the reader has ended (an hour)."""
    table = {item["sk"]: item for item in to_items(OLD)}
    *items, meta = to_items(NEW)
    writes = [*data.draw(st.permutations(items)), meta]
    seen: list[dict[str, Any]] = []
    last = ""
    while page := sorted(sk for sk in table if sk > last)[: data.draw(st.integers(1, 4), label="page")]:
        seen += [table[sk] for sk in page]
        last = page[-1]
        for _ in range(data.draw(st.integers(0, len(writes)), label="writes")):
            item = writes.pop(0)
            table[item["sk"]] = item
    assert from_items(seen) in (OLD, NEW)


def test_meta_is_what_a_query_meets_first() -> None:
    """The rule that makes the above right: DynamoDB returns the items of a partition in the order of their sort keys."""
    assert min(item["sk"] for item in to_items(OLD)) == "META"


def layer_of(**settings: Any) -> tuple[Layer, str]:
    """The only layer of a schedule with these settings, and the problems."""
    document = {"responders": {"alice": "+12025550100"}, "schedules": {"s": {"members": ["alice"], **settings}}}
    roster, problems = parse(document)
    return roster.schedules["s"].layers[0], "; ".join(map(str, problems))


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"hand_over": "monday 24:00", "start": "2026-11-23"}, datetime(2026, 11, 24)),
        ({"hand_over": "sunday 24:00", "start": "2026-11-29"}, datetime(2026, 11, 30)),
        ({"hand_over": "24:00", "start": "2026-12-31", "shift": "1 day"}, datetime(2027, 1, 1)),
        ({"hand_over": "24:00", "start": "2028-02-28", "shift": "12 hours"}, datetime(2028, 2, 29)),
        ({"hand_over": "23:59", "start": "2026-11-23"}, datetime(2026, 11, 23, 23, 59)),
        ({"hand_over": "00:00", "start": "2026-11-23"}, datetime(2026, 11, 23)),
    ],
)
def test_a_hand_over_at_24_00_is_at_the_end_of_its_day(settings: dict[str, str], first: datetime) -> None:
    layer, problems = layer_of(**settings)
    assert (layer.start, problems) == (first, "")
    roster, _ = parse({"responders": {"alice": "+12025550100"}, "schedules": {"s": {"members": ["alice"], **settings}}})
    assert parse(to_document(roster)) == (roster, ())


def test_hours_that_end_at_24_00_end_with_the_day() -> None:
    for start in ("00:00", "09:00", "22:30"):
        layer, problems = layer_of(during=[{"days": "mon", "from": start, "to": "24:00"}])
        (window,) = layer.windows
        assert (window.days, f"{window.start:%H:%M}", window.end, problems) == (frozenset({0}), start, time(0), "")


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        # What other readers of YAML, and `fromisoformat`, make times and dates of.
        *(
            ("start", text)
            for text in ("2026-W48-1", "2026-W48", "20261123", "2026-11-3", "2026-11-23T09:00", "23.11.2026")
        ),
        *(("start", text) for text in ("0001-01-01", "9999-12-31", "２０２６-11-23", "2026-13-01", "2026-11-31")),
        ("start", Decimal(20261123)),
        *(
            ("hand_over", text)
            for text in ("9:5", "09.00", "9am", "٠٩:٠٠", "24:01", "12:60", "09:00:00", "monday", "0900")
        ),
        *(("hand_over", number) for number in (540, Decimal(540), 9)),  # YAML 1.1: 9:00 is 540
        ("hand_over", True),
    ],
)
def test_a_time_that_is_written_otherwise_is_refused_and_not_guessed(setting: str, written: object) -> None:
    layer, problems = layer_of(**{setting: written})
    assert f"schedules s {setting}: " in problems
    assert layer.start == datetime(2024, 1, 1, 9)


@pytest.mark.parametrize("written", [540, Decimal(540), 540.0])
def test_what_yaml_makes_a_number_of_is_asked_for_between_quotes(written: object) -> None:
    layer, problems = layer_of(during=[{"from": written, "to": "18:00"}])
    assert 'during 0 from: expected a time, found a number: write it between quotes, such as "09:00"' in problems
    assert layer.windows


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-23T09:00:00+09:00", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23 00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23t00:00:00.123456789z", datetime(2026, 11, 23, microsecond=123456, tzinfo=UTC)),
        ("2026-11-23T24:00:00Z", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-12-31T24:00-03:30", datetime(2027, 1, 1, 3, 30, tzinfo=UTC)),
    ],
)
def test_moments_of_overrides(written: str, moment: datetime) -> None:
    override = by_hand("OVERRIDE#o", responder="alice", end=written)
    assert from_items([*TEAM, override]).overrides["o"].end == moment


@pytest.mark.parametrize(
    "written",
    [
        *("2026-W48-1T09:00Z", "20261123T090000Z", "2026-11-23x09:00Z", "2026-11-23Z", "2026-11-23T09Z"),
        *(
            "9999-12-31T23:59:59-12:00",
            "0001-01-01T00:00:00+14:00",
            "2026-11-23T24:01Z",
            "2026-11-23T09:00+9",
            "1795402740",
        ),
    ],
)
def test_a_moment_that_is_written_otherwise_is_refused_and_crashes_nothing(written: str) -> None:
    roster, problems = read_items([*TEAM, by_hand("OVERRIDE#o", responder="alice", end=written)])
    assert roster.overrides == {}
    assert "OVERRIDE#o end: " in str(problems[0])
    assert "is not a moment" in str(problems[0])


@given(
    st.text(st.characters(codec="utf-8"), max_size=30) | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
)
def test_no_text_that_stands_for_a_time_stops_a_reader(text: str) -> None:
    """The roster is read before each call: a slip in it may be left out, but nothing may be raised."""
    schedule = {"members": ["alice"], "start": text, "hand_over": text, "shift": text, "time_zone": text}
    hours = {"members": ["alice"], "during": [{"days": text, "from": text, "to": text}]}
    document = {
        "responders": {"alice": "+12025550100"},
        "time_zone": text,
        "schedules": {"s": schedule, "t": hours},
        "overrides": {"o": {"responder": "alice", "start": text, "end": text}},
        "policies": {"p": {"steps": [{"schedule": "s"}, {"schedule": "t"}]}},
    }
    roster, _ = parse(document)
    responders_on_call(roster, roster.policies["p"], AT)


@pytest.mark.parametrize(
    "name", ["localtime", "posixrules", "Factory", "", "zone.tab", "tzdata.zi", "asia/tokyo", "JST-9", "Asia"]
)
def test_a_zone_of_the_machine_or_of_no_place_is_refused(name: str) -> None:
    """The stack's functions read the same package and nothing else."""
    roster, problems = parse({"responders": {"alice": "+12025550100"}, "time_zone": name})
    assert roster.time_zone == "UTC"
    assert "time_zone: " in str(problems[0])


def test_a_zone_that_is_almost_right_is_guessed() -> None:
    for written, meant in (
        ("Asia/Tokio", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("new york", "America/New_York"),
    ):
        _, problems = parse({"responders": {"alice": "+12025550100"}, "time_zone": written})
        assert f"there is no time zone {written!r}: did you mean {meant}?" in str(problems[0])


def test_each_zone_that_is_offered_can_be_used() -> None:
    for name in time_zones.names():
        assert AT.astimezone(ZoneInfo(name)) == AT


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"schedule": "s", "after_minutes": 241}, " after_minutes: expected a whole number from 0 to 240"),
        ({"schedule": "s", "after_minutes": "soon"}, " after_minutes: expected a whole number from 0 to 240"),
        (
            {"schedule": "s", "after_minutes": 4},
            " after_minutes: comes before the step above it, after 5: put it above that one",
        ),
        ({"everyone": False}, ": is no step: write schedule: ID, responder: ID, or everyone"),
        ({"after_minutes": 10}, ": is no step: write schedule: ID, responder: ID, or everyone"),
    ],
)
def test_a_step_that_cannot_be_waited_for_is_told(body: Any, message: str) -> None:
    steps = [{"responder": "alice", "after_minutes": 5}, body]
    document = {
        "responders": {"alice": "+12025550100"},
        "schedules": {"s": {"members": ["alice"]}},
        "policies": {"p": {"steps": steps}},
    }
    _, problems = parse(document)
    assert [str(problem) for problem in problems] == [f"policies p steps 1{message}"]


@pytest.mark.parametrize(
    "written", ["2026-12-24", "tomorrow 09:00", "2026-02-30 09:00", "2026-12-24 25:00", "2026-12-24T09:00"]
)
def test_an_end_that_is_none_is_told(written: str) -> None:
    layer, problems = layer_of(until=written)
    assert layer.until is None
    assert "until" in problems
    assert "write date and time of the schedule's zone, like 2026-12-24 18:00" in problems


@pytest.mark.parametrize("written", ["13 months", "0 months", "1000 minutes", "1 year"])
def test_a_shift_of_no_possible_length_is_told(written: str) -> None:
    _, problems = layer_of(shift=written)
    assert "write it like 12 hours, 1 day, 2 weeks or 1 month" in problems
