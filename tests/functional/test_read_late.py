"""What was accepted while the table was away is read late, and in any order: what is over rings nobody, what is not rings."""

from itertools import permutations
from typing import Any

import pytest

from oncall import actions, incidents
from oncall.alerts.event import Said, SourceEvent, group_of, to_input
from oncall.clock import at
from tests.builders import GATEWAY, SATO, START, World, alert, webhook
from tests.functional.test_two_stacks import Pair, fires, pair

__all__ = ["pair"]  # a fixture

AWAY = 3600  # seconds that the table was away
MINUTE_MS = 60_000


def event(said: Said, received_at: int) -> dict[str, Any]:
    """What a source says of one thing."""
    told = SourceEvent(key="a", status=said, summary="cpu", severity="critical", starts_at=at(received_at).isoformat())
    group = group_of("pagerduty/shop", told, received_at=received_at)
    return {
        "source": "pagerduty",
        "about": "cpu",
        "by": "shop",
        "said": said,
        "group": to_input(group),
        "gateway": GATEWAY,
    }


def reads(world: World, request: dict[str, Any]) -> Any:
    """An execution reads what it was started with, and does what that asks for."""
    run = world.decide(request)
    world.go_on(run)
    return run


def still_open(world: World, key: str) -> list[str]:
    """A group's incidents that are not over."""
    every = incidents.open_since(world.table, 0, now=world.clock.now())
    return [one for one in every if (found := incidents.read(world.table, one)) and f'"{key}"' in found.group_key]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_group_that_fired_and_ended_twice_is_over_in_whatever_order_it_is_read(
    world: World, order: tuple[int, ...]
) -> None:
    world.passes(AWAY)
    for moment in order:
        hook = webhook(alert("shop alert"), status="resolved" if moment % 2 else "firing")
        world.fire(hook, received_at=START + moment * MINUTE_MS)
    assert still_open(world, "shop") == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_group_that_fires_anew_is_open_once_and_rings(world: World, order: tuple[int, ...]) -> None:
    world.passes(AWAY)
    for moment in order:
        hook = webhook(alert("shop alert"), status="resolved" if moment % 2 else "firing")
        world.fire(hook, received_at=START + moment * MINUTE_MS)
    assert len(still_open(world, "shop")) == 1
    assert world.ringing == [SATO]


def test_an_old_resolution_does_not_put_a_newer_one_back(world: World) -> None:
    world.passes(AWAY)
    reads(world, event("resolved", START + 3 * MINUTE_MS))
    reads(world, event("resolved", START + MINUTE_MS))
    reads(world, event("firing", START + 2 * MINUTE_MS))
    assert world.rung == []


def test_an_old_acknowledgement_does_not_take_what_fires_since(world: World) -> None:
    world.passes(AWAY)
    reads(world, event("resolved", START + 2 * MINUTE_MS))
    run = reads(world, event("firing", START + 3 * MINUTE_MS))
    reads(world, event("acknowledged", START + MINUTE_MS))
    assert world.incident(run).state == "triggered"
    assert world.ringing == [SATO]


def test_an_acknowledgement_in_its_order_takes_it(world: World) -> None:
    run = reads(world, event("firing", START))
    world.passes(30)
    reads(world, event("acknowledged", START + MINUTE_MS))
    assert world.incident(run).state == "acknowledged"


def test_the_primary_does_not_ring_for_what_its_standby_had_and_alertmanager_ended(pair: Pair) -> None:
    received_at = pair.primary.clock.now()
    pair.waits(fires(pair.standby))
    pair.standby.hears(pair.standby.last_call, "1")
    pair.standby.passes(600)
    pair.standby.resolve()
    for _ in range(2):
        pair.standby.passes(60)
        pair.minute(pair.standby)
        pair.minute(pair.primary)
    rung = len(pair.primary.rung)
    pair.primary.fire(received_at=received_at)  # read at last, before its resolution
    assert len(pair.primary.rung) == rung


def test_the_primary_does_not_ring_for_what_somebody_resolved_at_its_standby(pair: Pair) -> None:
    received_at = pair.primary.clock.now()
    run = pair.waits(fires(pair.standby))
    actions.resolve_incident(pair.standby.services, pair.standby.incident(run).id, who="Sato", via="command")
    pair.standby.settles_down()
    pair.minute(pair.standby)
    rung = len(pair.primary.rung)
    pair.standby.passes(AWAY)
    pair.primary.fire(received_at=received_at)
    assert len(pair.primary.rung) == rung


def test_an_outage_between_the_last_word_and_its_late_end_at_the_standby_rings_at_the_primary(pair: Pair) -> None:
    received_at = pair.primary.clock.now()
    pair.waits(fires(pair.standby))
    pair.standby.passes(600)
    pair.standby.resolve(received_at=received_at + MINUTE_MS)  # read nine minutes late
    pair.standby.passes(60)
    pair.minute(pair.standby)
    rung = len(pair.primary.rung)
    pair.primary.passes(AWAY)
    pair.primary.fire(received_at=received_at + 5 * MINUTE_MS)
    assert len(pair.primary.rung) == rung + 1


def test_what_fires_at_the_primary_after_its_end_at_the_standby_rings(pair: Pair) -> None:
    pair.waits(fires(pair.standby))
    pair.standby.resolve()
    pair.standby.passes(60)
    pair.minute(pair.standby)
    pair.minute(pair.primary)
    rung = len(pair.primary.rung)
    pair.primary.passes(AWAY)
    pair.primary.fire(received_at=pair.primary.clock.now())
    assert len(pair.primary.rung) == rung + 1
