"""Telephone numbers: what is only unknown is a warning, what is dialled within a country is shown right, one number is one."""

from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oncall_cli.phone_numbers import advise, country_of
from tests.cli.conftest import Run

type Write = Callable[[str | bytes], str]


@pytest.mark.parametrize(
    ("written", "right", "prefix", "country"),
    [
        ("+8109012345678", "+819012345678", "0", "JP"),
        ("+810312345678", "+81312345678", "0", "JP"),
        ("+4407700900123", "+447700900123", "0", "GB"),  # a reserved number, so not a known one either
        ("+4903012345678", "+493012345678", "0", "DE"),
        ("+330612345678", "+33612345678", "0", "FR"),
        ("+610491570156", "+61491570156", "0", "AU"),
        ("+8201012345678", "+821012345678", "0", "KR"),
        ("+86013812345678", "+8613812345678", "0", "CN"),
        ("+784951234567", "+74951234567", "8", "RU"),
        ("+3606201234567", "+36201234567", "06", "HU"),
        ("+112025550100", "+12025550100", "1", "US"),
    ],
)
def test_what_is_dialled_within_a_country_is_an_error_that_shows_the_right_form(
    written: str, right: str, prefix: str, country: str
) -> None:
    advice = advise(written)
    assert (advice.number, advice.level) == (right, "error")
    assert (
        advice.message == f"has {prefix} after the country code, which is dialled within {country} only: write {right}"
    )
    assert advise(right).level != "error"


@pytest.mark.parametrize(
    "written",
    [
        "+390612345678",  # Italy's 0 is part of the number
        "+3780549886377",  # San Marino's too
        "+2250712345678",  # and Ivory Coast's, since 2021
        "+24106123456",  # and Gabon's
        "+819012345678",
        "+12025550100",
        "+525512345678",
        "+5491112345678",  # Argentina's mobile 9 stays
        "+80012345678",  # of no country
    ],
)
def test_a_number_that_is_right_is_left_alone(written: str) -> None:
    assert advise(written) == advise(written).__class__(written)


@pytest.mark.parametrize("written", ["+16795550123", "+441632960123", "+88312345678901"])
def test_a_number_of_a_possible_length_that_is_not_known_is_a_warning(written: str) -> None:
    advice = advise(written)
    assert (advice.number, advice.level) == (written, "warning")
    assert "range that is newer" in advice.message


def test_a_zero_that_was_left_out_where_it_stays_is_asked_for() -> None:
    assert advise("+39612345678").message == "lacks the 0 that numbers of IT keep: did you mean +390612345678?"


def test_mexicos_old_mobile_numbers_have_words_of_their_own() -> None:
    advice = advise("+5215512345678")
    assert (advice.number, advice.level) == ("+525512345678", "error")
    assert "until 2019: write +525512345678" in advice.message


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("+81312345", "too short for JP"),
        ("+120255501001", "too long for US"),
        ("+1202555", "too short for US"),
        ("+99912345678", "no country code that exists"),
        ("09012345678", "no country code that exists"),
        ("hello", "no telephone number"),
        ("", "no telephone number"),
    ],
)
def test_what_cannot_be_a_number_is_an_error(written: str, message: str) -> None:
    advice = advise(written)
    assert (advice.number, advice.level) == ("", "error")
    assert message in advice.message


@example("+43000000")
@given(st.text(max_size=20) | st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"))
def test_any_text_has_advice_and_the_right_form_is_accepted(written: str) -> None:
    advice = advise(written)
    country_of(written)
    if advice.number:
        assert advise(advice.number).level != "error"


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_the_example_numbers_of_each_country_are_right(region: str) -> None:
    """libphonenumber has a number for each country: none of them is taken for one with a trunk prefix."""
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    example = example or phonenumbers.example_number(region)
    if example:
        written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        assert advise(written) == advise(written).__class__(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [("+8109012345678", "+819012345678"), ("+819012345678", "+8109012345678"), ("+5215512345678", "+525512345678")],
)
def test_two_spellings_of_one_number_are_one_number(run: Run, write: Write, one: str, other: str) -> None:
    checked = run("roster", "check", write(f"responders:\n  alice: '{one}'\n  bob: '{other}'\n"))
    assert checked.status == 1
    assert "roster.yaml:3: error: responders bob phone: is also the number of alice" in checked.out
