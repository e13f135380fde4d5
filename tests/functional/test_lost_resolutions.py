"""Resolutions that are late, lost, or cross the group's next firing: what fires after them is a new outage, and rings."""

import pytest

from oncall.clock import at
from tests.builders import MINUTE, SATO, START, World, alert, webhook

HOUR = 60 * MINUTE


@pytest.mark.parametrize("operation", ["GetItem", "TransactWriteItems"])
def test_a_group_that_fires_anew_rings_even_if_its_resolution_is_read_at_the_same_moment(
    world: World, operation: str
) -> None:
    first = world.fire()
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)
    moment = world.clock.now()
    resolved = webhook(alert("shop alert"), status="resolved")

    def the_resolution() -> None:
        world.resolve(resolved, received_at=moment)

    # Opening finds the open incident; then its resolution, which the gateway has had before, comes to be read.
    world.dynamo.before("TransactWriteItems", lambda: world.dynamo.before(operation, the_resolution))
    second = world.fire(webhook(alert("shop alert")), received_at=moment + 1)
    assert world.incident(first).state == "resolved"
    assert second.decision["incidents"] != first.decision["incidents"]
    assert world.incident(second).state == "triggered"
    assert world.rung == [SATO, SATO]


@pytest.mark.parametrize(("silence", "rings"), [(24 * HOUR, 2), (HOUR, 1)])
def test_a_group_whose_resolution_was_lost_rings_when_it_fires_anew(world: World, silence: int, rings: int) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    world.passes(silence)
    anew = at(world.clock.now() - 60_000).isoformat()
    world.fire(webhook(alert("shop alert", startsAt=anew)))
    assert world.rung == [SATO] * rings
    assert world.incident(run).state == ("triggered" if rings == 2 else "acknowledged")


def test_a_group_that_fires_on_rings_nobody_however_rarely_it_is_repeated(world: World) -> None:
    began = at(START - 60_000).isoformat()
    world.fire(webhook(alert("shop alert", startsAt=began)))
    world.hears(world.last_call, "1")
    world.passes(24 * HOUR)
    world.fire(webhook(alert("shop alert", startsAt=began)))
    assert world.rung == [SATO]
