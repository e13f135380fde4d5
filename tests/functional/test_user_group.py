"""The user group @oncall follows the rotation; whatever Slack says to that, paging is not touched."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from oncall import roster
from oncall.clock import at
from oncall.roster import overrides
from oncall.slack import user_group
from oncall.slack.user_group import RefusedError
from tests.builders import MINUTE, SATO, SUZUKI, World

GROUP = "S0ONCALL"
PEOPLE: dict[str, Any] = {
    "RESPONDER#suzuki": {"name": "Suzuki", "phone": SUZUKI, "position": 2, "slack_user": "U0SUZUKI"},
    "SCHEDULE#primary": {"members": ["sato", "suzuki"], "start": "2026-11-16", "hand_over": "monday 09:00"},
    "POLICY#default": {"steps": [{"schedule": "primary"}, "everyone"], "rounds": 2},
    "PRODUCT#elsewhere": None,
}


@dataclass
class Group:
    """Slack's user group, and who sets it."""

    world: World
    members: list[str] = field(default_factory=list)
    requests: int = 0
    refuses: RefusedError | None = None

    def set(self, group: str, users: list[str]) -> None:
        assert group == GROUP
        assert users, "Slack: no_users_provided"
        self.requests += 1
        if self.refuses:
            raise self.refuses
        self.members = users

    def minute(self) -> bool:
        """The reconciler's minute; whether anything was asked of Slack's function."""
        world = self.world
        behind = user_group.is_behind(world.table, GROUP, now=world.clock.now())
        if behind:
            user_group.follow(world.services, GROUP, self.set)
        world.clock.time += MINUTE * 1000
        return behind


@pytest.fixture
def group(world: World) -> Group:
    world.roster(PEOPLE)
    return Group(world)


def test_the_group_is_whoever_is_rung_first_and_changes_with_the_shift(group: Group) -> None:
    assert group.minute()
    assert group.members == ["U0SATO"]
    assert not group.minute(), "nothing has changed"
    group.world.clock.time += 6 * 3_600_000  # Monday 09:00
    group.minute()
    assert group.members == ["U0SUZUKI"]
    assert group.requests == 2


def test_it_follows_an_override_and_the_policies_that_are_in_use(group: Group) -> None:
    group.minute()
    known, _ = roster.read_items(group.world.table.query(roster.PARTITION))
    now = at(group.world.clock.now())
    overrides.take_shift(
        group.world.table, known, known.responders["suzuki"], "primary", now=now, end=now + timedelta(minutes=5)
    )
    group.minute()
    assert group.members == ["U0SUZUKI"]
    group.world.roster({"POLICY#other": {"steps": [{"responder": "sato"}]}, "PRODUCT#elsewhere": {"policy": "other"}})
    group.minute()
    assert group.members == ["U0SATO", "U0SUZUKI"]
    group.world.clock.time += 5 * MINUTE * 1000
    group.minute()
    assert group.members == ["U0SATO"]


def test_without_anybody_whom_slack_knows_it_stays_as_it_is(group: Group) -> None:
    group.minute()
    group.world.roster({"RESPONDER#sato": {"name": "Sato", "phone": SATO, "position": 1}})
    assert not group.minute()
    assert group.members == ["U0SATO"]


def test_a_refusal_is_told_once_and_tried_again_every_ten_minutes(group: Group) -> None:
    group.refuses = RefusedError("plan_upgrade_required", may_pass=False)
    for _ in range(25):
        group.minute()
    assert group.requests == 3
    assert group.world.topic.subjects == ["Slack's user group does not follow the rotation"]
    assert "plan_upgrade_required" in group.world.topic.published[0]["Message"]
    group.refuses = RefusedError("missing_scope", may_pass=False)
    for _ in range(10):
        group.minute()
    assert len(group.world.topic.subjects) == 2, "another reason is news"
    group.refuses = None
    for _ in range(10):
        group.minute()
    assert group.members == ["U0SATO"]
    assert len(group.world.topic.subjects) == 2


def test_what_passes_is_tried_again_in_a_minute_and_told_to_nobody(group: Group) -> None:
    group.refuses = RefusedError("ratelimited", may_pass=True)
    group.minute()
    group.refuses = None
    group.minute()
    group.minute()
    assert group.members == ["U0SATO"]
    assert group.world.topic.subjects == []


def test_two_at_the_same_moment_ask_slack_once(group: Group) -> None:
    world = group.world
    world.dynamo.before("UpdateItem", lambda: user_group.follow(world.services, GROUP, group.set))
    user_group.follow(world.services, GROUP, group.set)
    assert group.requests == 1


def test_one_that_was_overtaken_has_it_set_again(group: Group) -> None:
    """The older list reaches Slack last."""
    world = group.world

    def overtaken(name: str, users: list[str]) -> None:
        world.clock.time += 6 * 3_600_000 + user_group.AGAIN_MS
        assert group.minute()
        assert group.members == ["U0SUZUKI"]
        group.set(name, users)

    user_group.follow(world.services, GROUP, overtaken)
    assert group.members == ["U0SATO"]
    group.minute()
    assert group.members == ["U0SUZUKI"]
    assert not group.minute()


def test_whoever_dies_in_the_middle_is_followed_by_another(group: Group) -> None:
    world = group.world

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        user_group.follow(world.services, GROUP, dies)
    for _ in range(11):
        group.minute()
    assert group.members == ["U0SATO"]
