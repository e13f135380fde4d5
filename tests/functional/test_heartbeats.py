"""Heartbeats by name: silence opens an incident, a beat resolves it, and one that never came counts."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from oncall import events, heartbeats
from oncall.alerts import keys
from oncall.alerts.heartbeats import Word
from oncall.alerts.keys import Key
from oncall.clock import at
from oncall.table import Put
from tests.builders import GATEWAY, World

KEY = "k" * 32
MINUTE = 60


class Night:
    """A backup that has to be heard of once an hour, and the reconciler's minutes."""

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.runs: list[Any] = []
        world.roster({"WATCHED#backup": {"every": "1 hour", "grace": "5 minutes", **settings}})
        item = keys.item(KEY, Key("backup", heartbeat="backup"), created_at=at(world.clock.now()), created_by="me")
        world.table.transact([Put(item)])

    def _run_what_was_started(self) -> None:
        for name, given in self.world.started[len(self.runs) :]:
            self.runs.append(self.world.decide(given, execution=name))

    def beat(self, word: Word = "beat") -> int:
        """The backup says something."""
        status = events.beat(self.world.services, GATEWAY, KEY, word).status
        self._run_what_was_started()
        return status

    def pass_(self, minutes: int) -> None:
        """Minutes go by, and in each the reconciler looks."""
        for _ in range(minutes):
            self.world.clock.sleep(MINUTE)
            self.look()

    def look(self) -> None:
        heartbeats.watch(self.world.services, GATEWAY)
        self._run_what_was_started()

    @property
    def incident(self) -> Any:
        """The last incident."""
        return self.world.incident(self.runs[-1])


@pytest.fixture
def night(world: World) -> Night:
    return Night(world)


def test_silence_opens_an_incident_within_a_minute_after_the_grace_and_a_beat_resolves_it(night: Night) -> None:
    assert night.beat() == 200
    night.pass_(65)
    assert night.runs == []
    night.pass_(1)
    assert night.runs[-1].decision["action"] == "page"
    assert night.incident.summary == "backup was not heard of for 1 hour and 5 minutes more"
    night.beat()
    assert night.incident.state == "resolved"
    night.pass_(10)
    assert len(night.runs) == 2


def test_one_that_never_came_counts(night: Night) -> None:
    night.look()
    night.pass_(66)
    assert "never heard of" in night.incident.summary


def test_a_failure_rings_at_once_and_a_beat_resolves_it(night: Night) -> None:
    night.beat()
    night.world.clock.sleep(1)
    night.beat("fail")
    assert night.incident.summary == "backup says that it failed"
    night.pass_(5)
    assert len(night.runs) == 1
    night.beat()
    assert night.incident.state == "resolved"


def test_what_starts_and_does_not_finish_within_the_grace_is_missed(night: Night) -> None:
    night.beat()
    night.world.clock.sleep(MINUTE)
    night.beat("start")
    night.pass_(5)
    assert night.runs == []
    night.pass_(1)
    assert "did not finish within 5 minutes" in night.incident.summary


def test_a_beat_after_a_start_is_its_end(night: Night) -> None:
    night.beat("start")
    night.world.clock.sleep(MINUTE)
    night.beat()
    night.pass_(60)
    assert night.runs == []


def test_it_is_told_again_every_half_hour_so_that_an_unanswered_page_starts_anew(night: Night) -> None:
    night.look()
    night.pass_(66 + 61)
    assert len(night.runs) == 3
    assert len({run.decision["incidents"][0] for run in night.runs}) == 1


def test_the_resolution_that_could_not_be_started_comes_with_the_next_minute(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.look()
    night.pass_(66)

    def refuse(name: str, given: Mapping[str, Any]) -> None:
        raise ConnectionError(name, given)

    with monkeypatch.context() as steps:
        steps.setattr(night.world, "start", refuse)
        with pytest.raises(ConnectionError):
            night.beat()
    assert night.incident.state == "triggered"
    night.pass_(1)
    assert night.incident.state == "resolved"


@pytest.mark.parametrize("end", [{"enabled": False}, None])
def test_one_that_is_switched_off_or_leaves_the_roster_is_over(night: Night, end: dict[str, Any] | None) -> None:
    night.look()
    night.pass_(66)
    night.world.roster({"WATCHED#backup": end and {"every": "1 hour", **end}})
    night.pass_(1)
    assert night.incident.state == "resolved"
    night.pass_(200)
    assert len(night.runs) == 2
    assert night.beat() == 200


def test_its_severity_and_product_are_the_rosters(world: World) -> None:
    night = Night(world, severity="warning", product="elsewhere")
    night.look()
    night.pass_(66)
    assert night.runs[-1].decision["action"] == "alert"
    assert night.incident.product == "elsewhere"


def test_no_other_sender_resolves_it(night: Night) -> None:
    night.look()
    night.pass_(66)
    item = keys.item("o" * 32, Key("backup"), created_at=at(night.world.clock.now()), created_by="me")
    night.world.table.transact([Put(item)])
    said = json.dumps({"dedup": "backup", "status": "resolved"})
    assert events.receive(night.world.services, GATEWAY, "generic", "o" * 32, said).status == 202
    night.look()
    missed = night.world.incident(night.runs[0])
    assert missed.state == "triggered"


def test_a_thousand_cost_two_queries_a_minute(world: World) -> None:
    for number in range(100):
        world.roster({f"WATCHED#job-{number}": {"every": "1 day"}})
    night = Night(world)
    night.look()
    world.dynamo.requests.clear()
    night.look()
    assert set(world.dynamo.requests) == {"Query"}
    assert len(world.dynamo.requests) == 2
