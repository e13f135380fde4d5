"""Twilio's refusals: which hold a page and which let the next phone ring, and what fixes them."""

from typing import get_args

import pytest

from oncall.phone import refusals
from oncall.roster import Language

ACCOUNT = [
    *[(401, 20003), (401, 20005), (401, 20008), (403, 20403), (403, 20005), (429, 20429), (404, 20404), (403, 70051)],
    *[(500, 20500), (503, 20503), (502, None), (504, None), (599, 99999)],
    *[(400, 10001), (400, 10002), (400, 10004), (429, 10004), (400, 10005), (400, 13214), (400, 90010)],
    *[(400, 21210), (400, 21212), (400, 21213)],
    *[(401, 99999), (429, 99999), (400, None), (404, None), (403, None), (400, 0)],
]
NUMBER = [
    *[(400, code) for code in (13223, 13224, 13225, 13226, 13227, 21201, 21211, 21214, 21215, 21216, 21217, 21219)],
    *[(status, code) for code in (573005, 573002, 32224, 21215) for status in (400, 401, 403, 500)],
    *[(400, 99999), (404, 88888), (409, 20001), (400, 20400), (422, 21205), (402, 123456)],
]


@pytest.mark.parametrize(("status", "code"), ACCOUNT)
def test_what_is_about_the_account_the_caller_or_twilio_holds_the_page(status: int, code: int | None) -> None:
    assert refusals.about(status, code) == "account"


@pytest.mark.parametrize(("status", "code"), NUMBER)
def test_any_other_refusal_is_about_the_number_also_with_a_code_that_nobody_has_heard_of(
    status: int, code: int
) -> None:
    assert refusals.about(status, code) == "number"


def test_a_403_with_a_code_that_nobody_has_heard_of_may_be_either() -> None:
    assert refusals.about(403, 99999) == "unclear"


@pytest.mark.parametrize("language", get_args(Language))
def test_each_code_has_words_in_each_language(language: Language) -> None:
    codes = sorted({code for _, code in (*ACCOUNT, *NUMBER) if code} | set(refusals._REMEDY_OF))
    for code in codes:
        remedy = refusals.remedy(code, "+819012345678")
        assert bool(refusals.words(remedy, language)) == bool(remedy), code
        assert "{" not in refusals.words(remedy, language)
        assert "9012345678" not in refusals.words(remedy, language)
    assert refusals.words("", language) == ""


@pytest.mark.parametrize("code", [None, 20429, 20500, 20503])
def test_what_passes_by_itself_asks_nobody_for_anything(code: int | None) -> None:
    assert refusals.remedy(code, "+819012345678") == ""


@pytest.mark.parametrize(
    ("number", "place"),
    [
        ("+819012345678", "Japan"),
        ("+12025550100", "the USA and Canada"),
        ("+85291234567", "Hong Kong"),
        ("+886912345678", "Taiwan"),
        ("+8613912345678", "China"),
        ("+353851234567", "Ireland"),
        ("+354123456789", "numbers that begin with +354"),
    ],
)
def test_the_country_is_named_and_the_number_is_not(number: str, place: str) -> None:
    remedy = refusals.remedy(21215, number)
    assert refusals.words(remedy, "en") == f"Twilio: allow calls to {place} under Voice, Settings, Geo permissions."
    assert number[4:] not in remedy


def test_a_blocked_number_asks_for_a_profile_in_north_america_only() -> None:
    assert "Trust Hub" in refusals.words(refusals.remedy(21216, "+12025550100"), "en")
    assert "ask its support" in refusals.words(refusals.remedy(21216, "+819012345678"), "en")
