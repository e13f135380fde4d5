"""Who is on call: hand-overs at their local time through daylight saving, shifts that tile time, overrides that replace it."""
# ruff: noqa: DTZ001  the local times of hand-overs have no zone of their own

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oncall.roster import Layer, Override, Policy, Responder, Roster, Schedule, Step, Window
from oncall.roster.schedules import first_moment, responders_on_call, shift_at, shifts

# Both hemispheres, half-hour daylight saving, changes at midnight, a zone that skipped a day, and zones without any.
ZONES = [
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
]
PEOPLE = {
    name: Responder(name, name.title(), f"+1202555010{n}") for n, name in enumerate(("alice", "bob", "carol", "dave"))
}

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2009, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)).map(
    lambda m: m.replace(microsecond=0)
)
clocks = st.builds(time, st.integers(0, 23), st.sampled_from((0, 15, 30, 45)))
lengths = st.one_of(
    st.integers(1, 36).map(lambda n: timedelta(hours=n)),
    st.integers(1, 10).map(lambda n: timedelta(days=n)),
    st.integers(1, 4).map(lambda n: timedelta(weeks=n)),
)
starts = st.builds(datetime.combine, st.dates(date(2005, 1, 1), date(2008, 12, 31)), clocks)
members = st.lists(st.sampled_from(sorted(PEOPLE)), min_size=1, max_size=4, unique=True).map(tuple)
windows = st.builds(Window, st.frozensets(st.integers(0, 6), min_size=1), clocks, clocks)
always = st.builds(Layer, st.just("always"), members, starts, lengths)
ends = st.one_of(st.none(), st.builds(datetime.combine, st.dates(date(2009, 1, 1), date(2035, 1, 1)), clocks))
layers = st.builds(
    Layer,
    st.just("hours"),
    st.one_of(st.just(()), members),
    starts,
    lengths,
    st.lists(windows, max_size=2).map(tuple),
    ends,
    st.sampled_from((0, 0, 1, 2)),
)


def named(some: list[Layer], last: Layer) -> tuple[Layer, ...]:
    """Layers that can be told apart; the last leaves no gap."""
    return tuple(replace(layer, name=f"layer {number}") for number, layer in enumerate([*some, last]))


schedules = st.builds(Schedule, st.just("s"), zones, st.builds(named, st.lists(layers, max_size=2), always))
spans = st.integers(1, 20 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))


def roster(schedule: Schedule, *overrides: Override, policy: Policy | None = None) -> Roster:
    return Roster(
        responders=PEOPLE,
        schedules={schedule.id: schedule},
        policies={policy.id: policy} if policy else {},
        products={},
        overrides={override.id: override for override in overrides},
    )


def override(
    start: datetime, end: datetime, responder: str = "dave", schedule: str | None = "s", name: str = "o"
) -> Override:
    return Override(name, responder, schedule, start, end, created_at=start)


def rotation(zone: str, start: datetime, length: timedelta, *names: str) -> Schedule:
    return Schedule("s", zone, (Layer("", names, start, length),))


def hand_overs(schedule: Schedule, start: datetime, end: datetime) -> list[str]:
    """The local times at which another one takes over."""
    zone = ZoneInfo(schedule.time_zone)
    return [
        f"{s.start.astimezone(zone):%Y-%m-%d %H:%M%z}" for s in list(shifts(roster(schedule), schedule, start, end))[1:]
    ]


@given(schedules, moments, spans)
def test_shifts_tile_time_without_gap_or_overlap(schedule: Schedule, start: datetime, span: timedelta) -> None:
    found = list(shifts(roster(schedule), schedule, start, start + span))
    assert found[0].start == start
    assert found[-1].end == start + span
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(shift.start < shift.end for shift in found)


@given(schedules, moments, spans, st.data())
def test_the_calendar_says_what_is_so_at_each_moment(
    schedule: Schedule, start: datetime, span: timedelta, data: st.DataObject
) -> None:
    team = roster(schedule, override(start + span / 4, start + span / 2))
    at = start + timedelta(seconds=data.draw(st.integers(0, int(span.total_seconds()) - 1)))
    (listed,) = [s for s in shifts(team, schedule, start, start + span) if s.start <= at < s.end]
    assert listed.responder == shift_at(team, schedule, at).responder


@given(schedules, moments)
def test_one_responder_is_on_call_unless_a_gap_is_written(schedule: Schedule, at: datetime) -> None:
    shift = shift_at(roster(schedule), schedule, at)
    (layer,) = [layer for layer in schedule.layers if layer.name == shift.layer]
    if layer.members:
        assert shift.responder in layer.members
    else:
        assert shift.responder is None
    assert shift.start <= at < shift.end


@given(st.builds(Schedule, st.just("s"), zones, st.tuples(always)), moments)
def test_a_hand_over_is_when_the_wall_first_shows_its_time(schedule: Schedule, at: datetime) -> None:
    (layer,) = schedule.layers
    zone = ZoneInfo(schedule.time_zone)
    start = shift_at(roster(schedule), schedule, at).start
    wall = start.astimezone(zone).replace(tzinfo=None)
    just_before = (start - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
    assume(just_before < wall)  # the clock was not just set back
    written = wall - (wall - layer.start) % layer.length
    assert just_before < written <= wall
    assert wall == written or wall - just_before > timedelta(
        seconds=1
    )  # later than written only if the clock jumped over it


@given(st.builds(Schedule, st.just("s"), zones, st.tuples(always)), moments)
def test_members_follow_one_another(schedule: Schedule, at: datetime) -> None:
    (layer,) = schedule.layers
    assume(layer.length > timedelta(days=1))  # shorter ones can fall into a jump of the clock as a whole
    first = shift_at(roster(schedule), schedule, at)
    second = shift_at(roster(schedule), schedule, first.end)
    assert first.responder is not None
    position = layer.members.index(first.responder)
    assert second.responder == layer.members[(position + 1) % len(layer.members)]


@given(
    zones,
    st.datetimes(datetime(2009, 1, 1), datetime(2035, 1, 1)),
    st.datetimes(datetime(2009, 1, 1), datetime(2035, 1, 1)),
)
def test_later_local_times_never_come_earlier(zone: str, one: datetime, other: datetime) -> None:
    early, late = sorted((one.replace(microsecond=0), other.replace(microsecond=0)))
    assert first_moment(early, ZoneInfo(zone)) <= first_moment(late, ZoneInfo(zone))


@given(schedules, moments, spans, moments, st.booleans())
def test_an_override_replaces_exactly_its_time(
    schedule: Schedule, start: datetime, span: timedelta, elsewhere: datetime, each_schedule: bool
) -> None:
    end = start + span
    swapped = roster(schedule, override(start, end, schedule=None if each_schedule else "s"))
    for inside in (start, start + span / 2, end - timedelta(seconds=1)):
        assert shift_at(swapped, schedule, inside).responder == "dave"
    for at in (start - timedelta(seconds=1), end, elsewhere):
        if not start <= at < end:
            assert shift_at(swapped, schedule, at).responder == shift_at(roster(schedule), schedule, at).responder


@given(schedules, moments)
def test_an_override_of_another_schedule_changes_nothing(schedule: Schedule, at: datetime) -> None:
    other = roster(schedule, override(at - timedelta(days=1), at + timedelta(days=1), schedule="another"))
    assert shift_at(other, schedule, at) == shift_at(roster(schedule), schedule, at)


@given(schedules, moments)
def test_everyone_is_rung_once_beginning_with_whose_turn_it_is(schedule: Schedule, at: datetime) -> None:
    policy = Policy("p", (Step("schedule", "s"), Step("everyone")))
    team = roster(schedule, policy=policy)
    order = [on_call.responder.id for on_call in responders_on_call(team, policy, at)]
    assert sorted(order) == sorted(PEOPLE)
    on_duty = shift_at(team, schedule, at).responder
    assert order[0] == (on_duty or order[0])


@pytest.mark.parametrize(
    ("zone", "hand_over", "start", "end", "expected"),
    [
        # The hour from 02:00 comes twice: once is enough.
        ("Europe/Berlin", "02:30", "2026-10-24", "2026-10-27", ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]),
        # The hour from 02:00 is left out: at the jump.
        ("Europe/Berlin", "02:30", "2026-03-28", "2026-03-31", ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        ("America/New_York", "09:00", "2026-03-07", "2026-03-10", ["07 09:00-0500", "08 09:00-0400", "09 09:00-0400"]),
        # The south goes the other way.
        ("Australia/Sydney", "09:00", "2026-04-04", "2026-04-07", ["04 09:00+1100", "05 09:00+1000", "06 09:00+1000"]),
        ("Australia/Sydney", "02:15", "2026-10-03", "2026-10-06", ["03 02:15+1000", "04 03:00+1100", "05 02:15+1100"]),
        # Half an hour.
        (
            "Australia/Lord_Howe",
            "02:15",
            "2026-10-03",
            "2026-10-06",
            ["03 02:15+1030", "04 02:30+1100", "05 02:15+1100"],
        ),
        # No midnight.
        ("America/Sao_Paulo", "00:00", "2018-11-03", "2018-11-06", ["03 00:00-0300", "04 01:00-0200", "05 00:00-0200"]),
        # Leap day, and the year's end.
        ("Asia/Tokyo", "09:00", "2028-02-28", "2028-03-02", ["28 09:00+0900", "29 09:00+0900", "01 09:00+0900"]),
        ("Asia/Tokyo", "09:00", "2026-12-31", "2027-01-03", ["31 09:00+0900", "01 09:00+0900", "02 09:00+0900"]),
        # A whole day was left out: at the jump.
        ("Pacific/Apia", "09:00", "2011-12-29", "2012-01-01", ["29 09:00-1000", "31 00:00+1400", "31 09:00+1400"]),
    ],
)
def test_daily_hand_overs_fall_on_the_written_local_time(
    zone: str, hand_over: str, start: str, end: str, expected: list[str]
) -> None:
    schedule = rotation(
        zone, datetime.fromisoformat(f"2010-01-01T{hand_over}"), timedelta(days=1), "alice", "bob", "carol"
    )
    # From just before midnight, so that a hand-over at midnight shows.
    first = first_moment(datetime.fromisoformat(start), ZoneInfo(zone)) - timedelta(seconds=1)
    last = first_moment(datetime.fromisoformat(end), ZoneInfo(zone)) - timedelta(seconds=1)
    assert [text[8:] for text in hand_overs(schedule, first, last)] == expected


def test_office_hours_and_nights_meet() -> None:
    days = frozenset(range(5))
    schedule = Schedule(
        "s",
        "Europe/Berlin",
        (
            Layer(
                "office", ("alice",), datetime(2026, 1, 5, 9), timedelta(weeks=1), (Window(days, time(9), time(18)),)
            ),
            Layer("nights", ("bob",), datetime(2026, 1, 5, 9), timedelta(weeks=1)),
        ),
    )
    assert hand_overs(schedule, datetime(2026, 3, 26, 12, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC)) == [
        "2026-03-26 18:00+0100",
        "2026-03-27 09:00+0100",
        "2026-03-27 18:00+0100",
        "2026-03-30 09:00+0200",
        "2026-03-30 18:00+0200",
        "2026-03-31 09:00+0200",
    ]


def test_a_window_goes_on_after_midnight_into_a_day_that_is_not_its_own() -> None:
    friday_night = Window(frozenset({4}), time(22), time(6))
    schedule = Schedule(
        "s", "Asia/Tokyo", (Layer("", ("alice",), datetime(2026, 1, 5), timedelta(weeks=1), (friday_night,)),)
    )
    saturday = datetime(2026, 11, 21, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert shift_at(roster(schedule), schedule, saturday.replace(hour=5, minute=59)).responder == "alice"
    assert shift_at(roster(schedule), schedule, saturday.replace(hour=6)).responder is None
    assert shift_at(roster(schedule), schedule, saturday.replace(hour=22)).responder is None


def test_a_window_that_ends_when_it_begins_lasts_a_day() -> None:
    saturday = Window(frozenset({5}), time(9), time(9))
    schedule = Schedule(
        "s", "Asia/Tokyo", (Layer("", ("alice",), datetime(2026, 1, 5), timedelta(weeks=1), (saturday,)),)
    )
    begin = datetime(2026, 11, 21, 9, tzinfo=ZoneInfo("Asia/Tokyo"))
    shift = shift_at(roster(schedule), schedule, begin)
    assert (shift.responder, shift.start, shift.end) == ("alice", begin, begin + timedelta(days=1))


def test_before_its_start_a_layer_leaves_the_time_to_the_next() -> None:
    weekly = timedelta(weeks=1)
    schedule = Schedule(
        "s",
        "UTC",
        (
            Layer("from december", ("bob",), datetime(2026, 12, 1), weekly),
            Layer("", ("alice",), datetime(2026, 1, 1), weekly),
        ),
    )
    assert shift_at(roster(schedule), schedule, datetime(2026, 11, 30, 23, 59, tzinfo=UTC)).responder == "alice"
    assert shift_at(roster(schedule), schedule, datetime(2026, 12, 1, tzinfo=UTC)).responder == "bob"


def test_the_latest_override_wins() -> None:
    schedule = rotation("UTC", datetime(2026, 1, 5, 9), timedelta(weeks=1), "alice")
    at = datetime(2026, 11, 22, tzinfo=UTC)
    hour = timedelta(hours=1)
    first = Override("z", "bob", "s", at - hour, at + hour, created_at=at - hour * 3)
    second = Override("a", "carol", None, at - hour, at + hour, created_at=at - hour * 2)
    assert shift_at(roster(schedule, first, second), schedule, at).responder == "carol"
    assert shift_at(roster(schedule, second, first), schedule, at).responder == "carol"


def test_the_reason_tells_the_schedule_and_until_when() -> None:
    schedule = rotation("Asia/Tokyo", datetime(2026, 1, 5, 9), timedelta(weeks=1), "alice", "bob")
    policy = Policy("p", (Step("schedule", "s"), Step("responder", "carol"), Step("everyone")))
    at = datetime(2026, 11, 22, tzinfo=UTC)
    team = roster(schedule, policy=policy)
    reasons = {on_call.responder.id: on_call.reason for on_call in responders_on_call(team, policy, at)}
    assert reasons["bob"] == "schedule s, shift until 2026-11-23 09:00 Asia/Tokyo"
    assert reasons["carol"] == "named by policy p"
    taken = roster(schedule, override(at, at + timedelta(hours=2)), policy=policy)
    (first, *_) = responders_on_call(taken, policy, at)
    assert (first.responder.id, first.reason) == ("dave", "override of schedule s until 2026-11-22 11:00 Asia/Tokyo")


def test_a_layer_ends_when_the_wall_shows_its_end() -> None:
    """Until 02:30 on the night on which Berlin's clocks go back: the first time that they show it."""
    dated = Layer("dated", ("dave",), datetime(2026, 10, 24, 9), timedelta(days=1), (), datetime(2026, 10, 25, 2, 30))
    schedule = Schedule("s", "Europe/Berlin", (dated, Layer("", ("alice",), datetime(2026, 1, 1), timedelta(weeks=1))))
    found = list(
        shifts(roster(schedule), schedule, datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC))
    )
    assert [(s.responder, s.start) for s in found] == [
        ("alice", datetime(2026, 10, 24, tzinfo=UTC)),
        ("dave", datetime(2026, 10, 24, 7, tzinfo=UTC)),
        ("alice", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ]


def test_nobody_has_a_turn_that_is_nobodys() -> None:
    schedule = rotation("UTC", datetime(2026, 11, 2), timedelta(days=1), "alice", "nobody", "bob")
    found = list(
        shifts(roster(schedule), schedule, datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 6, tzinfo=UTC))
    )
    assert [(s.responder, s.layer) for s in found] == [("alice", ""), (None, ""), ("bob", ""), ("alice", "")]


def test_months_hand_over_on_their_day_and_a_short_month_on_its_last() -> None:
    """In local time, through both changes of the clock, and past the 29th of February."""
    layer = Layer("", ("alice", "bob"), datetime(2027, 8, 31, 9), timedelta(weeks=1), months=1)
    schedule = Schedule("s", "Europe/Berlin", (layer,))
    found = hand_overs(schedule, datetime(2027, 9, 1, tzinfo=UTC), datetime(2028, 5, 1, tzinfo=UTC))
    assert found == [
        "2027-09-30 09:00+0200",
        "2027-10-31 09:00+0100",
        "2027-11-30 09:00+0100",
        "2027-12-31 09:00+0100",
        "2028-01-31 09:00+0100",
        "2028-02-29 09:00+0100",
        "2028-03-31 09:00+0200",
        "2028-04-30 09:00+0200",
    ]


@given(st.builds(Layer, st.just(""), members, starts, lengths, months=st.integers(1, 12)), zones, moments)
def test_a_month_is_never_two_shifts(layer: Layer, zone: str, at: datetime) -> None:
    schedule = Schedule("s", zone, (layer,))
    shift = shift_at(roster(schedule), schedule, at)
    assert shift.start <= at < shift.end
    following = shift_at(roster(schedule), schedule, shift.end)
    passed = (following.start.year - shift.start.year) * 12 + following.start.month - shift.start.month
    assert abs(passed - layer.months) <= 1  # an hour around midnight can be of the month before in UTC
    assert timedelta(days=27) * layer.months < following.start - shift.start < timedelta(days=32) * layer.months
