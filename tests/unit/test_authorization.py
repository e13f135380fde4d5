"""Who may do what, row by row; docs/security.md has the same table."""

from datetime import UTC, datetime

import pytest

from oncall import roster
from oncall.authorization import Action, Parameters, Standing, holders, may, people, standing

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
ACTIONS: tuple[Action, ...] = ("look", "acknowledge", "ring_next", "resolve", "take_shift", "page")
ALL, SOME, NONE = set(ACTIONS), {"look", "acknowledge"}, set[str]()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("stands", "default", "members", "guests"),
    [
        ("in_policy", ALL, ALL, ALL),
        ("responder", SOME | {"page"}, ALL, SOME | {"page"}),
        ("member", SOME, ALL, SOME),
        ("guest", NONE, NONE, SOME),
        ("outsider", NONE, NONE, SOME),
    ],
)
def test_each_row(action: Action, stands: Standing, default: set[str], members: set[str], guests: set[str]) -> None:
    assert may(action, stands, Parameters()) is (action in default)
    assert may(action, stands, Parameters(members_may_all=True)) is (action in members)
    assert may(action, stands, Parameters(guests_may_acknowledge=True)) is (action in guests)


def test_who_is_in_a_policy_and_how_others_stand_to_it() -> None:
    known, problems = roster.parse(
        {
            "responders": {
                "sato": {"phone": "+12025550100", "slack_user": "U0SATO"},
                "suzuki": {"phone": "+12025550101"},
                "takahashi": {"phone": "+12025550102"},
            },
            "schedules": {"primary": {"members": ["sato"]}},
            "policies": {
                "one": {"steps": [{"schedule": "primary"}]},
                "two": {"steps": [{"responder": "suzuki"}]},
                "all": {"steps": ["everyone"]},
            },
            "default": "all",
        }
    )
    assert not problems
    sato, suzuki, takahashi = known.responders.values()
    one, two, everyone = (people(known, known.policies[name], NOW) for name in ("one", "two", "all"))
    assert (one, two, everyone) == ((sato,), (suzuki,), (sato, suzuki, takahashi))
    assert holders(known, "primary", NOW) == (sato,)
    assert standing(sato, "guest", one) == "in_policy"
    assert standing(takahashi, "member", one) == "responder"
    assert standing(None, "member", one) == "member"
    assert standing(None, "member", two) == "in_policy", "the roster cannot say who Suzuki is in Slack"
    assert standing(None, "member", ()) == "in_policy", "an empty roster locks nobody out"
    assert standing(None, "guest", ()) == "guest"
