"""What severities mean: people's words are understood, the roster decides, and what is not known wakes somebody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.roster import parse
from oncall.severities import LEVELS, Level, Meaning, loudest, meaning, normal

ROSTER: dict[str, Level] = {"info": "warning", "none": "none", "error": "warning", "warning": "critical"}


@pytest.mark.parametrize(
    "written", ["critical", "Critical", " critical ", "CRIT", "page", "P1", "error", "fatal", "s1"]
)
def test_what_rings_elsewhere_rings_here_and_needs_no_note(written: str) -> None:
    assert meaning(written, {}) == Meaning("critical")


@pytest.mark.parametrize("written", ["warning", "Warning", " WARN\n", "warn"])
def test_a_warning_is_one_however_it_is_written(written: str) -> None:
    assert meaning(written, {}) == Meaning("warning")


@pytest.mark.parametrize("written", ["none", "info", "Notice", "P4", "ticket", "low", "critical,page", "0"])
def test_what_is_not_known_to_be_less_rings_and_says_why(written: str) -> None:
    assert meaning(written, {}) == Meaning("critical", f"odd {written}")


@pytest.mark.parametrize("written", ["", " ", "\n"])
def test_without_a_severity_it_rings(written: str) -> None:
    assert meaning(written, ROSTER) == Meaning("critical", "missing")


@pytest.mark.parametrize(
    ("written", "level"),
    [("info", "warning"), (" Info ", "warning"), ("NONE", "none"), ("error", "warning"), ("warning", "critical")],
)
def test_the_roster_decides(written: str, level: Level) -> None:
    assert meaning(written, ROSTER) == Meaning(level)


@pytest.mark.parametrize(
    ("written", "unseen", "expected"),
    [
        (["warning", "critical"], False, Meaning("critical")),
        (["odd one", "critical"], True, Meaning("critical")),  # a plain word is the better reason
        (["warning", "odd one", ""], False, Meaning("critical", "missing")),
        (["warn"], True, Meaning("critical", "unseen")),
        (["none", "info"], False, Meaning("warning")),
        (["none", "none"], False, Meaning("none")),
        (["none"], True, Meaning("critical", "unseen")),
    ],
)
def test_a_group_is_as_loud_as_its_loudest(written: list[str], unseen: bool, expected: Meaning) -> None:
    assert loudest(written, {"none": "none", "info": "warning"}, unseen=unseen) == expected


@given(
    st.lists(st.text(max_size=8), min_size=1), st.dictionaries(st.text(max_size=4).map(normal), st.sampled_from(LEVELS))
)
def test_one_more_alert_never_makes_a_group_quieter(written: list[str], roster: dict[str, Level]) -> None:
    fewer, all_of_them = loudest(written[1:], roster), loudest(written, roster)
    assert LEVELS.index(all_of_them.level) <= LEVELS.index(fewer.level)
    assert loudest(reversed(written), roster) == all_of_them


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"info": "silent"}, "severities info: 'silent' is not possible: write critical or warning or none"),
        ({"info": None}, "severities info: has no meaning: write critical or warning or none"),
        ({"info": True}, "severities info: expected text, found true or false"),
        ({"info": "none", " INFO ": "none"}, "severities  INFO : is there a second time"),
        ({" Critical": "none"}, "severities  Critical: always rings"),
        ({" ": "none"}, "is no severity"),
        (["info"], "severities: expected severities with what they mean (info: none), found a list"),
    ],
)
def test_a_slip_in_the_roster_is_named_and_silences_nothing(written: object, problem: str) -> None:
    roster, problems = parse({"responders": {"alice": "+12025550100"}, "severities": written})
    assert problem in "; ".join(map(str, problems))
    assert meaning("critical", roster.severities).level == "critical"
    assert set(roster.severities) <= {"info"}
