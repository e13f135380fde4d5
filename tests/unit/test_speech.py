"""How texts are said: as people say them, whatever stands in them."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.phone import speech
from oncall.roster import Language

SPEAKABLE = re.compile(r"(?:[^\W_]|[\s.,:;!?'、。・])*")
LONG = 500


@given(st.text(max_size=300), st.sampled_from(get_args(Language)), st.integers(1, 200))
def test_any_text_comes_out_as_words_within_the_limit(text: str, language: Language, limit: int) -> None:
    said = speech.spoken(text, language, limit)
    assert SPEAKABLE.fullmatch(said), said
    assert len(said) <= limit
    assert said == said.strip()


@given(st.from_regex(r"[0-9a-zA-Z%.,:/@=<>{}\"#~°_ -]{1,80}", fullmatch=True), st.sampled_from(get_args(Language)))
def test_any_marks_and_numbers_come_out_as_words(text: str, language: Language) -> None:
    assert SPEAKABLE.fullmatch(speech.spoken(text, language, LONG))


@pytest.mark.parametrize(
    ("written", "english", "japanese"),
    [
        ("95%", "95 percent", "95パーセント"),
        ("95.26 %", "95 percent", "95パーセント"),
        ("99.95%", "99.95 percent", "99.95パーセント"),
        ("8.4%", "8.4 percent", "8.4パーセント"),
        ("0.0734", "0.073", "0.073"),
        ("12", "12", "12"),
        ("2026", "2026", "2026"),
        ("12345", "12.3 thousand", "1.2万"),
        ("1234567", "1.2 million", "123万"),
        ("1.234e+06", "1.2 million", "123万"),
        ("1,234,567", "1.2 million", "123万"),
        ("3.2k", "3200", "3200"),
        ("-5", "minus 5", "マイナス5"),
        ("1234567 bytes", "1.2 megabytes", "1.2メガバイト"),
        ("1.5GiB", "1.5 gigabytes", "1.5ギガバイト"),
        ("1.5Gi", "1.5 gigabytes", "1.5ギガバイト"),
        ("20480 MB", "20 gigabytes", "20ギガバイト"),
        ("1 GB", "1 gigabyte", "1ギガバイト"),
        ("120MB/s", "120 megabytes per second", "毎秒120メガバイト"),
        ("3m20s", "3 minutes 20 seconds", "3分20秒"),
        ("5m", "5 minutes", "5分"),
        ("1h", "1 hour", "1時間"),
        ("19d 22h 30m 0s", "19 days 22 hours", "19日22時間"),
        ("734.2ms", "734 milliseconds", "734ミリ秒"),
        ("0s", "0 seconds", "0秒"),
        ("45°C", "45 degrees", "45度"),
        ("03:12", "3:12", "3時12分"),
    ],
)
def test_numbers_are_said_as_people_say_them(written: str, english: str, japanese: str) -> None:
    assert speech.spoken(written, "en", LONG) == english
    assert speech.spoken(written, "ja", LONG) == japanese
    assert f"値は{japanese}です" == speech.spoken(f"値は{written}です", "ja", LONG)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("web-01.example.com", "web zero 1 dot example dot com"),
        ("db-1.prod.eu.example.com:9100", "db 1"),
        ("ip-10-0-3-17.ap-northeast-1.compute.internal", "ip 10 0 3 17"),
        ("search-shop-abc.eu-central-1.es.amazonaws.com", "search shop abc"),
        ("10.0.3.17:9100", "10 dot 0 dot 3 dot 17"),
        ("https://user:secret@www.example.com:8443/cart/items.php?id=7#top", "example dot com, cart items php"),
        ("https://www.example.com/.", "example dot com"),
        ("localhost:9090", "localhost"),
        ("i-0abc123def4567890", "i ending in 7 8 9 0"),
        ("checkout-7d9f8b6c5-x2k4p", "checkout"),
        ("/var/lib/docker", "var lib docker"),
        ("full at /", "full at the root directory"),
        ("full at / (root)", "full at the root directory, root"),
        ("node / web-1 is down", "node, web 1 is down"),
        ("Mountpoint / on web-1", "Mountpoint the root directory on web 1"),
        ("disk '/' is full", "disk the root directory is full"),
        ("the / filesystem", "the root directory filesystem"),
        ("10.0.0.0/16", "10 dot 0 dot 0 dot 0 slash 16"),
        ("[fd00::3:17]:9100", "IPv6 address ending in 1 7"),
        ("fe80::1%eth0", "IPv6 address ending in 1"),
        ("2001:db8:0:0:0:0:0:2a", "IPv6 address ending in 2 a"),
        ("node-exporter-x7d2q", "node exporter"),
        ("prod-db245", "prod db245"),
        ("on www.example.com/cart. Next", "on example dot com, cart. Next"),
    ],
)
def test_hosts_and_paths_are_said_as_people_say_them(written: str, said: str) -> None:
    assert speech.spoken(written, "en", LONG) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('up{job="node",instance="web-1:9100"} == 0', "up, job node, instance web 1, is 0"),
        ("ClusterIndexWritesBlocked", "Cluster Index Writes Blocked"),
        ("probe_success is 0", "probe success is 0"),
        ("URL Alert(critical)", "URL Alert, critical"),
        ("CPU > 90% & rising", "CPU over 90 percent and rising"),
        ("R&D &amp; <!channel> <@U0ALICE>", "R and D! channel U0ALICE"),
        ("load <= 5, cpu>90%", "load at most 5, cpu over 90 percent"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("shard #3, ~5 min", "shard number 3, about 5 minutes"),
        ("it's down — again!", "it's down, again!"),
        ("VALUE = 0.94\n  LABELS = map[instance:db-1 job:mysql]", "VALUE is 0.94"),
        ("High load\nVALUE = 3", "High load. VALUE is 3"),
        ("folded\n  in the middle", "folded in the middle"),
        ("1 monitor(s) blocked (hang). Next", "1 monitors blocked, hang. Next"),
        ("see [the docs](https://docs.example.com/x#y) now", "see the docs now"),
        ('alias=~".*(?i:(uplink|wan)).*" is down', "alias, uplink, wan, is down"),
        ("disk 'sda' isn't up", "disk sda isn't up"),
        ("a -> b, c != 4", "a to b, c is not 4"),
        ("**bold** `code` <b> \N{FIRE} \u202e", "bold code b"),
    ],
)
def test_signs_are_not_named(written: str, said: str) -> None:
    assert speech.spoken(written, "en", LONG) == said


@pytest.mark.parametrize(
    "text",
    [
        "Диск заполнен на web-1",
        "디스크가 가득 찼습니다",
        "القرص ممتلئ",
        "ดิสก์เต็ม",
        "הדיסק מלא",
        "डिस्क भरी हुई है",
        "Ο δίσκος είναι γεμάτος",
        "磁盘已满 web-1",
        "Ошибка",
    ],
)
@pytest.mark.parametrize("otherwise", get_args(Language))
def test_a_language_that_no_voice_reads_is_known(text: str, otherwise: Language) -> None:
    assert speech.language_of(text, otherwise) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Disk /данные is almost full", "en"),
        ("The 5 µs limit is exceeded", "en"),
        ("Café menu is größer now", "en"),
        ("障害発生", "ja"),
        ("𠮷田", "ja"),
        ("髙島 web-1", "ja"),
        ("ﾃﾞｨｽｸ", "ja"),
        ("Запись が失敗しました、確認してください", "ja"),
        ("web-1 down", "ja"),
        ("123", "ja"),
    ],
)
def test_the_voice_that_reads_a_text_is_found(text: str, language: Language) -> None:
    assert speech.language_of(text, "ja") == language


def test_a_long_text_is_cut_between_words() -> None:
    assert speech.spoken("one two three four", "en", 12) == "one two"
    assert speech.spoken("ディスクがいっぱいです、ログを消してください", "ja", 15) == "ディスクがいっぱいです"
    assert speech.spoken("あ" * 100, "ja", 40) == "あ" * 40
