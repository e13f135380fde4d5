"""Rosters that other systems read wrongly (tests/rosters/reported), through `oncall roster check`, `apply` and `who`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

REPORTED = Path(__file__).parents[1] / "rosters" / "reported"


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("mixed-products", 0, ()),
        ("24h-hand-over", 0, ()),
        ("vancouver", 0, ()),
        ("new-area-code", 0, (":4: warning: responders alice phone: is not known to exist in US",)),
        (
            "trunk-zero",
            1,
            (
                ":4: error: responders alice phone: has 0 after the country code",
                ":5: error: responders bob phone: is also the number of alice",
            ),
        ),
        (
            "weekday-rotation",
            0,
            (":14: warning: schedules office layers 0: layer day: p6, p7 are never on call by it",),
        ),
    ],
)
def test_what_the_check_finds(run: Run, name: str, status: int, said: tuple[str, ...]) -> None:
    checked = run("roster", "check", str(REPORTED / f"{name}.yaml"))
    assert checked.status == status
    assert all(one in checked.out for one in said)
    assert checked.out.count("warning: ") + checked.out.count("error: ") == len(said)


@pytest.mark.parametrize(
    ("name", "at", "who"),
    [
        ("24h-hand-over", "2026-11-24T00:00+09:00", "alice"),
        ("24h-hand-over", "2026-11-30T23:59+09:00", "alice"),
        ("24h-hand-over", "2026-12-01T00:00+09:00", "bob"),
        ("vancouver", "2026-12-01T15:59Z", "night"),
        ("vancouver", "2026-12-01T16:30Z", "day"),
        ("weekday-rotation", "2026-12-04T12:00Z", "p5"),
        ("weekday-rotation", "2026-12-07T12:00Z", "p1"),
    ],
)
def test_who_is_on_call_then(oncall: Run, name: str, at: str, who: str) -> None:
    assert oncall("roster", "apply", str(REPORTED / f"{name}.yaml"), "--yes").status == 0
    first, *_ = oncall("who", "--at", at, "--json").json["order"]
    assert first["id"] == who
