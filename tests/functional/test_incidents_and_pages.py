"""Incidents and pages when many hands are at them: one open incident for a group, one page for a policy, no gap in a timeline."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import pytest

from oncall import incidents, pages
from oncall.alerts.alertmanager import read_webhook
from oncall.alerts.group import AlertGroup
from oncall.incidents import Event, Incident, Route
from oncall.roster import Policy, Responder
from oncall.table import ConditionFailedError
from tests.builders import BASE, SATO, START, World, webhook

HANDS = 6
POLICY = Policy("default", quiet_seconds=0)
FIRST = Responder("sato", "Sato", SATO)


def group(**more: object) -> AlertGroup:
    return read_webhook(webhook(**more), received_at=START)  # type: ignore[arg-type]  # whatever webhook takes


def opened(world: World, execution: str = "one", **more: object) -> Incident:
    route = Route("default", call=True, channel="C0", base=BASE)
    return incidents.open_incident(
        world.table, group(**more), execution=execution, now=world.clock.now(), route=route
    ).incident


def joined(world: World, incident: Incident, execution: str) -> pages.Joined:
    about = incidents.headline_of(incident)
    return pages.join(world.table, POLICY, about, FIRST, execution=execution, now=world.clock.now(), ring=25, base=BASE)


def test_however_many_open_a_group_at_once_there_is_one_incident(world: World) -> None:
    with ThreadPoolExecutor(HANDS) as hands:
        found = list(hands.map(lambda number: opened(world, f"execution {number}").id, range(HANDS)))
    assert len(set(found)) == 1


def test_however_many_tell_at_once_the_timeline_has_each_line_once_and_no_gap(world: World) -> None:
    incident = opened(world).id

    def tell(number: int) -> None:
        event = Event("repeated", key=f"repeated/{number % 3}")
        incidents.tell(world.table, incident, event, now=world.clock.now())

    with ThreadPoolExecutor(HANDS) as hands:
        list(hands.map(tell, range(HANDS)))
    numbers = [event.number for event in incidents.timeline(world.table, incident)]
    assert numbers == [1, 2, 3, 4]


def test_however_many_join_at_once_there_is_one_page_with_one_owner(world: World) -> None:
    known = [opened(world, f"execution {number}", key=f"group {number}") for number in range(HANDS)]
    with ThreadPoolExecutor(HANDS) as hands:
        came = list(hands.map(lambda pair: joined(world, pair[1], f"execution {pair[0]}"), enumerate(known)))
    assert [one.is_ours for one in came].count(True) == 1
    assert world.page().incidents == {incident.id for incident in known}


def test_an_execution_that_joins_twice_keeps_its_page(world: World) -> None:
    incident = opened(world)
    first, again = joined(world, incident, "one"), joined(world, incident, "one")
    assert first == again
    assert first.is_ours


def test_a_page_is_taken_over_only_after_its_lease(world: World) -> None:
    incident = opened(world)
    page = joined(world, incident, "one").page
    world.clock.time = page.lease_until
    assert not joined(world, incident, "two").is_ours
    world.clock.time += 1
    assert joined(world, incident, "three").is_ours
    assert not joined(world, incident, "one").is_ours


def test_of_two_that_take_over_one_does(world: World) -> None:
    page = joined(world, opened(world), "one").page
    pages.take_over(world.table, page, execution="two", now=page.lease_until + 1)
    with pytest.raises(ConditionFailedError):
        pages.take_over(world.table, page, execution="three", now=page.lease_until + 1)


def test_the_last_incident_to_leave_ends_the_page(world: World) -> None:
    one, other = opened(world, "one"), opened(world, "two", key="other")
    joined(world, one, "one")
    joined(world, other, "two")
    assert pages.leave(world.table, "default", one.id) is None
    ended = pages.leave(world.table, "default", other.id)
    assert ended is not None
    assert ended.state == "resolved"
    # Until all has followed from it, whoever asks again is told the same.
    assert pages.leave(world.table, "default", other.id) == ended
    pages.settle(world.table, ended, now=START)
    assert pages.leave(world.table, "default", other.id) is None


def test_leaving_a_page_that_never_was_changes_nothing(world: World) -> None:
    assert pages.leave(world.table, "nobody", "x") is None
    assert pages.read(world.table, "nobody") is None


def is_due(world: World) -> bool:
    """Whether the reconciler would look at the page."""
    return "due" in (world.table.get(pages.partition("default"), "CURRENT") or {})


@pytest.mark.parametrize(("first", "second"), list(product(["acknowledge", "give up", "resolve"], repeat=2)))
def test_of_two_ends_of_a_page_the_first_counts_except_that_a_human_always_may_take_an_unanswered_one(
    world: World, first: str, second: str
) -> None:
    incident = opened(world)
    page = joined(world, incident, "one").page

    def end(how: str, who: str) -> bool:
        try:
            match how:
                case "acknowledge":
                    pages.acknowledge(world.table, page, who=who, responder="", via="slack", now=world.clock.now())
                case "give up":
                    pages.give_up(world.table, page, reason=who)
                case "resolve":
                    return pages.leave(world.table, "default", incident.id) is not None
        except ConditionFailedError:
            return False
        return True

    assert end(first, "first")
    counts = (first, second) == ("give up", "acknowledge")
    assert end(second, "second") is (counts or first == second == "resolve")  # asked again, it has left
    expected = {"acknowledge": "acknowledged", "give up": "unanswered", "resolve": "resolved"}
    assert world.page().state == ("acknowledged" if counts else expected[first])


def test_settling_twice_or_from_an_old_copy_changes_nothing(world: World) -> None:
    incident = opened(world)
    joined(world, incident, "one")
    page = pages.acknowledge(world.table, world.page(), who="Sato", responder="sato", via="phone", now=START)
    pages.settle(world.table, page, now=START)
    settled, told = world.page(), incidents.read(world.table, incident.id)
    # It fires anew, and only then somebody settles with what they read long ago.
    event = Event("new_alerts", key="new/x", detail={"count": 1})
    anew = incidents.tell(world.table, incident.id, event, now=START, state="triggered")
    pages.settle(world.table, page, now=START + 5)
    assert told is not None
    assert anew is not None
    assert (told.state, anew.state) == ("acknowledged", "triggered")
    assert incidents.read(world.table, incident.id) == anew
    assert replace(world.page(), settled_at=0) == replace(settled, settled_at=0)


@pytest.mark.parametrize("at", range(8))
def test_settling_that_dies_half_way_is_finished_by_the_next(world: World, at: int) -> None:
    known = [opened(world, f"execution {number}", key=f"group {number}") for number in range(3)]
    for incident in known:
        joined(world, incident, "one")
    page = pages.acknowledge(world.table, world.page(), who="Sato", responder="sato", via="phone", now=START)
    with world.dynamo.dies(at, answered=True):
        pages.settle(world.table, page, now=START)
    assert is_due(world) or world.page().is_settled
    pages.settle(world.table, page, now=START)
    for incident in known:
        told = [event.kind for event in incidents.timeline(world.table, incident.id)]
        assert told == ["triggered", "acknowledged"]
    assert not is_due(world)


def test_a_call_that_has_ended_stays_ended(world: World) -> None:
    run = world.fire()
    page = pages.update_call(world.table, world.page(), 1, {"status": "busy"})
    with pytest.raises(ConditionFailedError):
        pages.update_call(world.table, page, 1, {"status": "in-progress"})
    with pytest.raises(ConditionFailedError):
        pages.hold(world.table, page, execution=run.name, token="x", now=START, seconds=1)
