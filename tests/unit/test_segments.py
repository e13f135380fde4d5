"""What a text message costs, and that what we add does not raise it."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.phone import segments, sms
from oncall.roster import Language
from tests.records import headline

LINK = "https://example.slack.com/archives/C012AB3CD/p1795402800000100"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("[" * 80, 1),
        ("[" * 81, 2),
        ("a" * 152 + "[" + "a" * 152, 3),  # the two halves of [ stay together
        ("é" * 160, 1),
        ("ç" * 71, 2),  # only the large one is in the alphabet
        ("重" * 70, 1),
        ("重" * 71, 2),
        ("重" * 134, 2),
        ("🔥" * 35, 1),
        ("🔥" * 36, 2),
        ("🔥" * 67, 3),  # 33 in each part
        ("a" * 70 + "’", 2),
    ],
)
def test_parts_are_counted_as_telephone_companies_do(text: str, parts: int) -> None:
    assert segments.segments(text) == parts


@pytest.mark.parametrize(
    ("written", "texted"),
    [
        ("it’s “down” – again…", 'it\'s "down" - again...'),
        ("🔥 Disk full 🔥", "Disk full"),
        ("`up` is ≥ 60\u00a0°C → alarm", "'up' is >= 60 C -> alarm"),
        ("größe: 5 µs", "größe: 5 us"),
        ("ディスク…がいっぱい", "ディスク…がいっぱい"),
        ("Čas – 5", "Čas – 5"),
    ],
)
def test_marks_that_double_the_price_are_typed_plainly_where_that_helps(written: str, texted: str) -> None:
    assert segments.plain(written) == texted


@pytest.mark.parametrize("word", ["before", "before_many", "taken", "taken_many"])
@pytest.mark.parametrize("summary", ["word " * 60, "it’s down… " * 20, "🔥" * 5 + " Disk", "[" * 300])
def test_what_we_add_is_in_gsms_alphabet_and_an_english_text_has_two_parts_at_the_most(word: str, summary: str) -> None:
    body = sms.written(word, headline(summary=summary), "en", take=f"acknowledge here: {LINK}", link=LINK, count=12)
    assert segments.is_gsm(body)
    assert segments.segments(body) <= 2


@given(
    st.text(max_size=300),
    st.sampled_from(["before", "before_many", "taken", "taken_many"]),
    st.sampled_from(get_args(Language)),
)
def test_any_text_has_three_parts_at_the_most(summary: str, word: str, language: Language) -> None:
    body = sms.written(word, headline(summary=summary), language, take=f"acknowledge here: {LINK}", link=LINK, count=12)
    assert segments.segments(body) <= (2 if segments.is_gsm(body) else 3)
