"""The calendar behind an address: who is on call, for those who have its token, as long as it is not revoked."""

from datetime import timedelta

from icalendar import Calendar

from oncall.clock import at
from oncall.roster import calendars
from oncall.table import Put
from tests.builders import World

TOKEN = "a-token"


def subscribe(world: World, *, responder: str | None = None) -> None:
    created = at(world.clock.now())
    world.table.transact([Put(calendars.item(TOKEN, "all", responder=responder, created_at=created, created_by="me"))])


def test_it_shows_who_is_on_call(world: World) -> None:
    world.roster({"SCHEDULE#everyone": {"members": ["sato", "suzuki"], "shift": "1 week"}})
    subscribe(world)
    now = at(world.clock.now())
    text = calendars.render(world.table, TOKEN, now=now)
    assert text is not None
    events = Calendar.from_ical(text).events
    assert {str(event["SUMMARY"]) for event in events} == {
        "Sato is on call (everyone)",
        "Suzuki is on call (everyone)",
    }
    assert min(event.start for event in events) < now - timedelta(days=13)
    assert max(event.end for event in events) > now + timedelta(weeks=12)
    later = calendars.render(world.table, TOKEN, now=now + timedelta(hours=3))
    assert later is not None
    uids = [[str(event["UID"]) for event in Calendar.from_ical(one).events] for one in (text, later)]
    assert uids[0] == uids[1]


def test_one_persons_calendar_has_only_their_shifts(world: World) -> None:
    world.roster({"SCHEDULE#everyone": {"members": ["sato", "suzuki"], "shift": "1 week"}})
    subscribe(world, responder="suzuki")
    text = calendars.render(world.table, TOKEN, now=at(world.clock.now()))
    assert text is not None
    assert "Suzuki" in text
    assert "Sato" not in text


def test_no_other_token_reads_it(world: World) -> None:
    subscribe(world)
    for token in ("", "another", TOKEN.upper(), "x" * 10_000, "é\x00"):
        assert calendars.render(world.table, token, now=at(world.clock.now())) is None
    assert TOKEN not in str(world.table.query(calendars.PARTITION))


def test_a_calendar_without_events_is_a_valid_file(world: World) -> None:
    """RFC 5545, 3.6: a calendar has at least one component. Without shifts it has no events, and a time zone all the same."""
    world.roster({"SCHEDULE#everyone": {"members": []}})
    subscribe(world)
    text = calendars.render(world.table, TOKEN, now=at(world.clock.now()))
    assert text is not None
    calendar = Calendar.from_ical(text)
    assert calendar.events == []
    assert [component.name for component in calendar.subcomponents] == ["VTIMEZONE"]
    (zone,) = calendar.timezones
    assert zone.to_tz().utcoffset(at(world.clock.now()).replace(tzinfo=None)) == timedelta(0)
