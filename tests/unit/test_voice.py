"""What a call says: valid and speakable whatever stands in the alert."""

import re
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall import voice
from oncall.roster import Language
from oncall.telephone import Callbacks
from oncall.voice import Voice
from tests.builders import BASE

CALLBACKS = Callbacks(BASE, "default", "0123456789abcdef", 3)
# The longest that the parts may be: a custom domain with a path, a policy's id, many tries.
LONG = Callbacks(f"https://{'a' * 60}.{'b' * 60}.example.com/{'s' * 40}", "p" * 63, "f" * 16, 999)
pieces = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "https://x.example.com/?a={b}",
            "100%",
            "{}",
            "<Say>",
            "&amp;",
            "]]>",
            "\x00\x1b",
            "\ud800",
            "\ufffe",
            "\u202e",
            "𠮷" * 30,
            "重大" * 30,
            "🔥",
        ]
    ),
)
texts = st.lists(pieces, max_size=30).map("".join)
languages = st.sampled_from(get_args(Language))
abouts = st.fixed_dictionaries(
    {"summary": texts, "product": texts, "firing": st.integers(0, 10**6), "cut": st.booleans()}
)

UNSPEAKABLE = re.compile(r"[^\w\s.,:;!?()'+/\-、。]|https?:")


def said(twiml: str) -> str:
    """All that is heard, in one line."""
    return " ".join("".join(say.itertext()) for say in ET.fromstring(twiml).iter("Say"))  # noqa: S314  our own


def about(**more: Any) -> dict[str, Any]:
    return {"summary": "The shop is down", "product": "shop", "firing": 1, "cut": False, **more}


@given(abouts, languages, st.sampled_from(["", "wrong"]), st.sampled_from([CALLBACKS, LONG]))
def test_any_alert_is_spoken_within_twilios_limit(
    about: Any, language: Language, first: str, callbacks: Callbacks
) -> None:
    twiml = Voice(language, callbacks).alert(about, first=first)
    assert len(twiml) <= 4_000
    assert not UNSPEAKABLE.search(said(twiml)), said(twiml)


@given(texts, languages, st.integers(-5, 10**6))
def test_any_name_is_spoken_within_twilios_limit(who: str, language: Language, minutes: int) -> None:
    twiml = Voice(language, CALLBACKS).goodbye("other", who=who, minutes=minutes)
    assert len(twiml) <= 4_000
    assert not UNSPEAKABLE.search(said(twiml)), said(twiml)


@given(texts.filter(lambda text: "\ud800" not in text), languages)  # a form has no half characters
def test_any_key_is_brought_again_to_the_same_call(digits: str, language: Language) -> None:
    redirect = ET.fromstring(Voice(language, CALLBACKS).moment(digits, 3)).find("Redirect")  # noqa: S314  our own
    assert redirect is not None
    assert redirect.text
    assert redirect.text.startswith(f"{BASE}/calls/key?call=3&digits=")
    assert redirect.text.isascii()


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("word", ["taken", "passed", "over", "gone", "unwritten", "silence"])
def test_every_last_word_ends_the_call(language: Language, word: str) -> None:
    root = ET.fromstring(Voice(language, CALLBACKS).goodbye(word))  # noqa: S314  our own
    assert [verb.tag for verb in root] == ["Say", "Hangup"]


def test_both_languages_have_the_same_words() -> None:
    assert voice._WORDS["en"].keys() == voice._WORDS["ja"].keys()


def test_the_alert_is_said_twice_and_each_time_waits_for_a_key() -> None:
    root = ET.fromstring(Voice("en", CALLBACKS).alert(about()))  # noqa: S314  our own
    assert [verb.tag for verb in root] == ["Gather", "Gather", "Say", "Hangup"]
    for gather in root.iter("Gather"):
        assert gather.get("action") == CALLBACKS.key
        assert gather.get("numDigits") == "1"


def test_the_alert_names_product_and_summary_and_how_many_more() -> None:
    heard = said(Voice("en", CALLBACKS).alert(about(firing=3)))
    assert "Product shop: The shop is down, and 2 more alerts." in heard


def test_an_address_is_spoken_without_its_scheme() -> None:
    heard = said(Voice("en", CALLBACKS).alert(about(summary="https://shop.example.com is down")))
    assert "shop.example.com is down" in heard
    assert "https" not in heard


def test_a_long_summary_is_cut_at_a_word() -> None:
    heard = said(Voice("en", CALLBACKS).alert(about(summary="word " * 100)))
    assert "word wo," not in heard
    assert "word." in heard


def test_an_alert_that_was_cut_says_so() -> None:
    assert "too long and was cut" in said(Voice("en", CALLBACKS).alert(about(cut=True)))


def test_japanese_marks_written_as_characters_of_their_own_are_spoken_whole() -> None:
    heard = said(Voice("ja", CALLBACKS).alert(about(summary="サーハ\u3099ー停止")))
    assert "サーバー停止" in heard


@pytest.mark.parametrize(("minutes", "words"), [(0, "just now"), (1, "one minute ago"), (7, "7 minutes ago")])
def test_since_when_somebody_has_it_is_said_as_people_do(minutes: int, words: str) -> None:
    assert f"Sato already has it, taken {words}" in said(
        Voice("en", CALLBACKS).goodbye("other", who="Sato", minutes=minutes)
    )
