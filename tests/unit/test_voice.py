"""What a call says: valid and speakable whatever stands in the alert."""

import re
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.shared.twiml import parse as check
from oncall.incidents import TRAITS
from oncall.pages import Storm
from oncall.phone import voice
from oncall.phone.provider import Callbacks
from oncall.phone.voice import Voice
from oncall.roster import Language
from tests.benchmarks import speech as length
from tests.builders import BASE
from tests.records import headline, incident

CALLBACKS = Callbacks(BASE, "default", "0123456789abcdef", 3, placed_at=1_795_402_800, secret="a secret")
# The longest that the parts may be: a custom domain with a path, a policy's id, many tries.
LONG = Callbacks(
    f"https://{'a' * 60}.{'b' * 60}.example.com/{'s' * 40}",
    "p" * 63,
    "f" * 16,
    999,
    "20261123-030000-b8e6af",
    "r" * 63,
    10**10,
)
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
headlines = st.builds(
    headline,
    summary=texts,
    product=texts,
    firing=st.integers(0, 10**6),
    at_least=st.booleans(),
    test=st.booleans(),
    summaries=st.dictionaries(languages, texts),
)
alerts = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["firing", "resolved"]),
        "title": texts,
        "labels": st.dictionaries(st.sampled_from(["alertname", "instance"]), texts),
        "annotations": st.dictionaries(st.sampled_from(["summary", "summary_ja", "description"]), texts),
        "starts_at": st.sampled_from(["", "2026-11-23T02:59:00Z", "0001-01-01T00:00:00Z", "yesterday"]),
    }
)
storms = st.builds(Storm, st.integers(2, 300), st.dictionaries(st.sampled_from(TRAITS), texts))
details = st.builds(
    incident,
    title=texts,
    alerts=st.lists(alerts, min_size=1, max_size=4),
    opened_at=st.integers(0, 2**42),
    firing=st.integers(0, 10**6),
    at_least=st.booleans(),
    cut_characters=st.integers(0, 10**6),
)

UNSPEAKABLE = re.compile(r"[^\w\s.,:;!?'、。・]|_")


def said(twiml: str) -> str:
    """All that is heard, in one line."""
    return " ".join("".join(say.itertext()) for say in ET.fromstring(twiml).iter("Say"))  # noqa: S314  our own


def is_spoken_by_twilio(twiml: str) -> None:
    """Twilio takes it, and what is heard are words."""
    assert len(twiml) <= 4_000
    assert check(twiml), twiml
    heard = said(twiml).replace("On-call", "")  # our own word
    assert not UNSPEAKABLE.search(heard), heard


@given(headlines, st.none() | storms, languages, st.sampled_from([CALLBACKS, LONG]))
def test_any_alert_is_spoken_within_twilios_limit(
    about: Any, storm: Storm | None, language: Language, callbacks: Callbacks
) -> None:
    is_spoken_by_twilio(Voice(language, callbacks).alert(about, storm))


@pytest.mark.parametrize("language", get_args(Language))
def test_whoever_presses_a_wrong_key_hears_the_keys_and_not_the_alert_again(language: Language) -> None:
    twiml = Voice(language, CALLBACKS).wrong()
    is_spoken_by_twilio(twiml)
    heard = said(twiml)
    for key in "1230":
        assert heard.count(key) == 2, heard
    assert heard.startswith(
        "That key does nothing. Press 1" if language == "en" else "その番号は使えません。 引き受けるなら1"
    )


@given(details, languages, st.integers(0, 2**42), st.sampled_from([CALLBACKS, LONG]))
def test_any_details_are_spoken_within_twilios_limit(
    incident: Any, language: Language, now: int, callbacks: Callbacks
) -> None:
    is_spoken_by_twilio(Voice(language, callbacks).details(incident, now=now))


@given(details, st.lists(details, min_size=1, max_size=voice.NAMED), storms, languages, st.integers(0, 2**42))
def test_any_details_of_a_storm_are_spoken_within_twilios_limit(
    incident: Any, others: Any, storm: Storm, language: Language, now: int
) -> None:
    is_spoken_by_twilio(Voice(language, LONG).details(incident, storm, others, now=now))


@given(texts, languages, st.integers(-5, 10**6))
def test_any_name_is_spoken_within_twilios_limit(who: str, language: Language, minutes: int) -> None:
    is_spoken_by_twilio(Voice(language, CALLBACKS).goodbye("other", who=who, minutes=minutes))


@given(texts.filter(lambda text: "\ud800" not in text), languages)  # a form has no half characters
def test_any_key_is_brought_again_to_the_same_call(digits: str, language: Language) -> None:
    redirect = ET.fromstring(Voice(language, CALLBACKS).moment(digits, 3)).find("Redirect")  # noqa: S314  our own
    assert redirect is not None
    assert redirect.text
    assert redirect.text.startswith(f"{BASE}/calls/key?at=1795402800&call=3&digits=")
    assert redirect.text.isascii()


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("word", ["taken", "taken_many", "passed", "over", "gone", "unwritten", "silence"])
def test_every_last_word_ends_the_call(language: Language, word: str) -> None:
    root = ET.fromstring(Voice(language, CALLBACKS).goodbye(word, count=30))  # noqa: S314  our own
    assert [verb.tag for verb in root] == ["Say", "Hangup"]


def test_both_languages_have_the_same_words() -> None:
    assert voice._WORDS["en"].keys() == voice._WORDS["ja"].keys()


def test_the_alert_is_said_twice_and_each_time_waits_for_a_key() -> None:
    root = ET.fromstring(Voice("en", CALLBACKS).alert(headline()))  # noqa: S314  our own
    assert [verb.tag for verb in root] == ["Gather", "Gather", "Say", "Hangup"]
    for gather in root.iter("Gather"):
        assert gather.get("action") in (CALLBACKS.key, CALLBACKS.last_key)
        assert gather.get("numDigits") == "1"


def test_the_alert_names_product_and_summary_and_how_many_more() -> None:
    heard = said(Voice("en", CALLBACKS).alert(headline(product="checkout", firing=3)))
    assert "On-call alert for checkout. The shop is down. And 2 more alerts." in heard


@pytest.mark.parametrize("summary", ["shop: web-01 does not answer", "The shop: web-01 does not answer"])
def test_a_product_that_the_summary_names_is_said_once(summary: str) -> None:
    heard = said(Voice("en", CALLBACKS).alert(headline(summary=summary)))
    assert "On-call alert for shop. web zero 1 does not answer. Press" in " ".join(heard.split())


def test_a_test_alert_says_that_it_is_one() -> None:
    assert said(Voice("en", CALLBACKS).alert(headline(test=True))).startswith("This is only a test. On-call alert")
    assert said(Voice("ja", CALLBACKS).alert(headline(test=True))).startswith("これはテストです。オンコールのアラート")


def test_the_summary_in_the_voices_language_is_preferred() -> None:
    both = headline(summary="shop: web-1 is short of memory", summaries={"ja": "shop: web-1のメモリーが足りません"})
    assert "web 1のメモリーが足りません" in said(Voice("ja", CALLBACKS).alert(both))
    assert "web 1 is short of memory" in said(Voice("en", CALLBACKS).alert(both))


@pytest.mark.parametrize(
    ("language", "summary", "voices"),
    [
        ("ja", "web-1 is short of memory", ["ja-JP", "en-US", "ja-JP"]),
        ("en", "web-1が応答しません", ["en-US", "ja-JP", "en-US"]),
        ("ja", "web-1 down", ["ja-JP", "ja-JP"]),
    ],
)
def test_each_text_is_said_by_the_voice_of_its_language(language: Language, summary: str, voices: list[str]) -> None:
    first = ET.fromstring(Voice(language, CALLBACKS).alert(headline(product="", summary=summary)))[0]  # noqa: S314  our own
    assert [say.get("language") for say in first.iter("Say")] == voices


def test_a_name_in_japanese_is_said_by_the_japanese_voice() -> None:
    twiml = Voice("en", CALLBACKS).goodbye("other", who="田中", minutes=1)
    says = ET.fromstring(twiml).findall("Say")  # noqa: S314  our own
    assert (says[0].get("language"), says[0].text) == ("ja-JP", "田中")
    assert "already has it, taken one minute ago" in str(says[1].text)


@pytest.mark.parametrize("summary", ["Диск заполнен", "디스크가 가득 찼습니다", "القرص ممتلئ", "ดิสก์เต็ม", "磁盘已满"])
def test_of_a_text_that_no_voice_reads_the_name_is_said_and_that_the_rest_is_in_slack(summary: str) -> None:
    unread = headline(summary=summary, title="DiskFull: db-1")
    english, japanese = (said(Voice(language, CALLBACKS).alert(unread)) for language in ("en", "ja"))
    for heard in (english, japanese):
        assert summary not in heard
    assert (
        "On-call alert for shop. Disk Full: db 1. What it says is in another language. Please read it in Slack."
        in english.replace("  ", " ")
    )
    assert "shop、Disk Full: db 1。内容はほかの言語で書かれています。スラックをご覧ください。" in japanese


def test_a_text_that_a_voice_reads_comes_before_one_that_none_does() -> None:
    heard = said(Voice("ja", CALLBACKS).alert(headline(summary="Диск заполнен", summaries={"en": "The disk is full"})))
    assert "The disk is full." in heard
    assert "ほかの言語" not in heard


@pytest.mark.parametrize(
    ("labels", "title", "name"),
    [
        ({"alertname": "DiskFull"}, "DiskFull: db-1", "called Disk Full."),
        ({"alertname": " "}, "an alert without a name: db-1", "called an alert without a name: db 1."),
        ({"alertname": "Диск"}, "Диск: db-1", ""),
    ],
)
def test_the_details_name_the_alert_if_it_has_a_name_that_is_read(
    labels: dict[str, str], title: str, name: str
) -> None:
    one = {"status": "firing", "title": title, "labels": labels, "annotations": {}}
    told = said(Voice("en", CALLBACKS).details(incident(alerts=[one], opened_at=0), now=0))
    assert told.startswith(f"The alert is {name} It began" if name else "It began")


def test_a_description_that_no_voice_reads_is_said_to_be_in_slack() -> None:
    one = {"status": "firing", "title": "DiskFull: db-1", "labels": {}, "annotations": {"description": "Диск заполнен"}}
    told = said(Voice("en", CALLBACKS).details(incident(alerts=[one], opened_at=0), now=0))
    assert "called Disk Full: db 1." in told
    assert "Please read it in Slack" in told


@pytest.mark.parametrize("who", ["Иван", "김", "", "🔥"])
def test_a_name_that_no_voice_reads_is_somebody(who: str) -> None:
    assert said(Voice("en", CALLBACKS).goodbye("other", who=who, minutes=1)).startswith("Somebody already has it")
    assert "別の担当者さんが対応を引き受けました" in said(
        Voice("ja", CALLBACKS).goodbye("other", who=who, minutes=1)
    ).replace(" ", "")


def test_an_address_is_spoken_without_its_scheme() -> None:
    heard = said(Voice("en", CALLBACKS).alert(headline(summary="https://shop.example.com is down")))
    assert "shop dot example dot com is down" in heard
    assert "https" not in heard


def test_a_long_summary_is_cut_at_a_word() -> None:
    heard = said(Voice("en", CALLBACKS).alert(headline(summary="word " * 100)))
    assert "word word. Press" in " ".join(heard.split())


def test_an_alert_that_was_cut_says_so_in_its_details() -> None:
    cut = incident(alerts=[{"title": "Disk"}], opened_at=0, cut_characters=1)
    told = said(Voice("en", CALLBACKS).details(cut, now=0))
    assert "too long" in told


def test_the_keys_are_told_within_words_that_a_key_may_interrupt() -> None:
    gathers = ET.fromstring(Voice("en", CALLBACKS).alert(headline())).findall("Gather")  # noqa: S314  our own
    assert all("0 for details" in "".join(gather.itertext()) for gather in gathers)


def test_japanese_marks_written_as_characters_of_their_own_are_spoken_whole() -> None:
    heard = said(Voice("ja", CALLBACKS).alert(headline(summary="サーハ\u3099ー停止")))
    assert "サーバー停止" in heard


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "just now"), (1, "one minute ago"), (7, "7 minutes ago"), (125, "2 hours ago"), (3_000, "2 days ago")],
)
def test_since_when_somebody_has_it_is_said_as_people_do(minutes: int, words: str) -> None:
    assert f"Sato already has it, taken {words}" in said(
        Voice("en", CALLBACKS).goodbye("other", who="Sato", minutes=minutes)
    )


@pytest.mark.parametrize("language", get_args(Language))
def test_every_alert_of_the_bundle_is_understood_within_ten_seconds(language: Language) -> None:
    told = {name: length.to_the_keys(one, language, length.counted) for name, one in length.abouts().items()}
    assert {name: seconds for name, seconds in told.items() if seconds > 10} == {}


@pytest.mark.parametrize("language", get_args(Language))
def test_a_voicemail_hears_no_more_than_a_minute(language: Language) -> None:
    told = {name: length.to_the_end(one, language, length.counted) for name, one in length.abouts().items()}
    assert max(told.values()) < 60


@pytest.mark.parametrize("language", get_args(Language))
def test_a_storm_reaches_the_keys_six_seconds_later_at_most(language: Language) -> None:
    storm = Storm(30, {"product": "shop", "alertname": "InstanceDown", "cluster": "eu-1"})
    one = next(iter(length.abouts().values()))
    alone, many = (length.to_the_keys(one, language, length.counted, storm=each) for each in (None, storm))
    assert alone < many < alone + 6


def test_a_storm_says_how_many_it_is_and_what_all_have_in_common() -> None:
    in_common = {"product": "shop", "cluster": "eu-1", "alertname": "InstanceDown"}
    assert "The shop is down. 30 incidents in all. They have in common: cluster eu 1. Press" in heard("en", in_common)
    assert "インシデントは全30件。共通点、クラスター、eu 1。" in heard("ja", in_common)


@pytest.mark.parametrize(
    ("in_common", "words"),
    [
        ({}, "30 incidents in all. Press"),  # a page of before traits were kept
        ({"product": ""}, "30 incidents in all. Press"),
        ({"region": ""}, "30 incidents in all, of several products. Press"),
        ({"product": "shop", "instance": "db-01"}, "30 incidents in all. They have in common: host db zero 1. Press"),
        ({"product": "shop", "instance": "Иван"}, "30 incidents in all. Press"),
    ],
)
def test_what_a_storm_has_in_common_is_said_if_there_is_anything(in_common: Any, words: str) -> None:
    assert words in heard("en", in_common)


def heard(language: Language, in_common: Any) -> str:
    one = headline(summary="The shop is down", product="shop")
    return " ".join(said(Voice(language, CALLBACKS).alert(one, Storm(30, in_common))).split())
