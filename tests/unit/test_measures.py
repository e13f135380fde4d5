"""What is counted, measured or dated is said as people say it, in both languages."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.phone import speech
from oncall.roster import Language

LONG = 500


@pytest.mark.parametrize(
    ("written", "english", "japanese"),
    [
        # Times: of Prometheus' template functions, Go, RFC 3339, HTTP, OpenSSL; and as people write them.
        ("2026-12-01 00:00:00 +0000 UTC", "December 1, 2026, midnight UTC", "2026年12月1日0時UTC"),
        ("2026-11-23 03:00:00.128 +0000 UTC", "November 23, 2026, 3:00 UTC", "2026年11月23日3時UTC"),
        ("2026-11-23T03:12:45Z", "November 23, 2026, 3:12 UTC", "2026年11月23日3時12分UTC"),
        ("2026-11-23T12:12:45.123+09:00", "November 23, 2026, 12:12 UTC plus 9", "日本時間2026年11月23日12時12分"),
        ("2026-11-23 12:12:45 +0900 JST", "November 23, 2026, 12:12 JST", "日本時間2026年11月23日12時12分"),
        ("2026-11-23 08:42:45 +0530", "November 23, 2026, 8:42 UTC plus 5 30", "2026年11月23日8時42分UTCプラス5 30"),
        ("Dec  1 03:04:05 2026 GMT", "December 1, 2026, 3:04 GMT", "2026年12月1日3時4分GMT"),
        ("01 Dec 2026 03:04:05 GMT", "December 1, 2026, 3:04 GMT", "2026年12月1日3時4分GMT"),
        ("Tue, 01 Dec 2026 03:04:05 GMT", "December 1, 2026, 3:04 GMT", "2026年12月1日3時4分GMT"),
        ("2026/12/01", "December 1, 2026", "2026年12月1日"),
        ("May 3", "May 3", "5月3日"),
        ("03:00-05:30 UTC", "3:00 to 5:30 UTC", "3時から5時30分UTC"),
        ("24:00", "midnight", "0時"),
        # A date at the end of a name; elsewhere eight digits are a count.
        ("logs-2026.11.23", "logs November 23, 2026", "logs 2026年11月23日"),
        ("backup-20261123", "backup November 23, 2026", "backup 2026年11月23日"),
        ("20261123T030000Z", "November 23, 2026, 3:00 UTC", "2026年11月23日3時UTC"),
        ("20261123", "20.3 million", "2026万"),
        # Fractions, ranges, rates, comparisons.
        ("3/5", "3 of 5", "5のうち3"),
        ("97.28374/65280", "97.3 of 65.3 thousand", "6.5万のうち97.3"),
        ("1.5GiB / 2GiB", "1.5 gigabytes of 2 gigabytes", "2ギガバイトのうち1.5ギガバイト"),
        ("11/23", "11 of 23", "23のうち11"),
        ("24/7", "24 7", "24 7"),
        ("200-399", "200 to 399", "200から399"),
        ("10-20%", "10 to 20 percent", "10から20パーセント"),
        ("0/s", "0 per second", "毎秒0"),
        ("12000 req/s", "12 thousand req per second", "毎秒1.2万req"),
        ("5 per minute", "5 per minute", "毎分5"),
        ("1.8247e+10/s", "18.2 billion per second", "毎秒182億"),
        ("97.28ms/sec", "97.3 milliseconds per second", "毎秒97.3ミリ秒"),
        ("> 90%", "over 90 percent", "90パーセント超"),
        (">=5", "at least 5", "5以上"),
        ("≤ 15m", "at most 15 minutes", "15分以下"),
        ("<3", "under 3", "3未満"),
        # Durations: many of a unit are said in larger ones.
        ("7385s", "2 hours 3 minutes", "2時間3分"),
        ("950400 seconds", "11 days", "11日"),
        ("1.234567891e+06s", "14 days 6 hours", "14日6時間"),
        ("5000000µs", "5 seconds", "5秒"),
        ("45000ms", "45 seconds", "45秒"),
        ("0.0015s", "1.5 milliseconds", "1.5ミリ秒"),
        ("1.5e-05s", "15 microseconds", "15マイクロ秒"),
        ("90s", "90 seconds", "90秒"),
        ("5 min", "5 minutes", "5分"),
        ("25 s", "25 seconds", "25秒"),
        ("1 minutes", "1 minute", "1分"),
        # What humanize writes: k, M, G; m, u, n.
        ("18.25G", "18.2 billion", "182億"),
        ("941.3m/s", "0.94 per second", "毎秒0.94"),
        ("15u", "nearly 0", "ほぼ0"),
        ("941.3m%", "0.94 percent", "0.94パーセント"),
        ("941.3mB/s", "0.94 bytes per second", "毎秒0.94バイト"),
        ("250m CPU", "0.25 CPU", "0.25 CPU"),
        ("1234567.89%", "1.2 million percent", "123万パーセント"),
        # How Go writes a number.
        ("1.5e-05", "nearly 0", "ほぼ0"),
        ("1.8446744073709552e+19", "a huge number", "桁外れの数"),
        ("NaN", "not a number", "数値なし"),
        ("+Inf", "plus infinite", "プラス無限大"),
        ("\u22125", "minus 5", "マイナス5"),
        ("+5", "plus 5", "プラス5"),
        ("±3", "plus or minus 3", "プラスマイナス3"),
        ("2^32", "2 to the power of 32", "2の32乗"),
        ("10x", "10 times", "10倍"),
        # Versions and numbers that are names are not rounded.
        ("v1.29.3", "version 1 dot 29 dot 3", "バージョン1ドット29ドット3"),
        ("version: 2.42", "version 2 dot 42", "バージョン2ドット42"),
        ("8.0.35-0ubuntu0.22.04.1", "8 dot 0 dot 35", "8ドット0ドット35"),
        ("v2.0.0-rc.1", "version 2 dot 0 dot 0 rc 1", "バージョン2ドット0ドット0 rc 1"),
        ("3.10", "3.10", "3.10"),
        ("3.00", "3", "3"),
        ("port 10250", "port 10250", "port 10250"),
        ("#12345", "number 12345", "番号12345"),
        ("error 100000", "error 100000", "error 100000"),
        # Units.
        ("100Mbps", "100 megabits per second", "毎秒100メガビット"),
        ("97.28B/s", "97.3 bytes per second", "毎秒97.3バイト"),
        ("140°F", "140 degrees Fahrenheit", "華氏140度"),
        ("$1200", "1200 dollars", "1200ドル"),
        ("¥12000", "12 thousand yen", "1.2万円"),
        ("11.83749V", "11.8 V", "11.8 V"),
        ("123456789.5 Hz", "123 million Hz", "1.2億Hz"),
        ("1.234567foo", "1.2foo", "1.2foo"),
    ],
)
def test_what_is_measured_is_said_as_people_say_it(written: str, english: str, japanese: str) -> None:
    assert speech.spoken(written, "en", LONG) == english
    assert speech.spoken(written, "ja", LONG) == japanese
    assert f"The value: {english} now" == speech.spoken(f"The value: {written} now", "en", LONG)


@pytest.mark.parametrize(
    "written", ["12月1日3時12分", "30分間", "3日間", "1000分の1", "値は5です", "ポート10250", "2026年12月1日"]
)
def test_what_is_written_in_japanese_as_it_is_said_stays(written: str) -> None:
    assert speech.spoken(written, "ja", LONG) == written


@pytest.mark.parametrize(
    ("written", "said"), [("7385秒", "2時間3分"), ("600分", "10時間"), ("1234567バイト", "1.2メガバイト")]
)
def test_japanese_units_are_read_as_well(written: str, said: str) -> None:
    assert speech.spoken(written, "ja", LONG) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("CPU使用率が97.28374%に達しています", "CPU使用率が97パーセントに達しています"),
        ("エラー率 > 5% (現在 7.3%)", "エラー率5パーセント超、現在7.3パーセント"),
        ("バックアップが 129600 秒以上成功していません", "バックアップが1日12時間以上成功していません"),
        ("失敗 5回/10回", "失敗10回のうち5回"),
        ("１２０分停止、温度 75.4℃", "2時間停止、温度75.4度"),
        ("11/23(月) 3:00のジョブ", "11月23日月曜日3時のジョブ"),
        ("23:30〜5:00 のメンテナンス", "23時30分から5時のメンテナンス"),
        ("12.5MB/s → 1.2MB/s", "毎秒12.5メガバイトから毎秒1.2メガバイト"),
        ("前日比 +30%、先週比 -12.5%", "前日比プラス30パーセント、先週比マイナス12パーセント"),
        ("ポート 10250 に接続できません", "ポート10250に接続できません"),
        ("ディスク / の使用率", "ディスクルートの使用率"),
    ],
)
def test_japanese_sentences_are_said_as_people_say_them(written: str, said: str) -> None:
    assert speech.spoken(written, "ja", LONG) == said


@pytest.mark.parametrize(
    "written", ["eth0", "p99 is fine", "EC2", "5xx errors", "web 2", "Market 5 and Junk 12", "tel 1090 1234 5678"]
)
def test_names_with_numbers_stay(written: str) -> None:
    assert speech.spoken(written, "en", LONG) == written


@pytest.mark.parametrize("number", ["1e999", "9" * 400, "1e308T", "-1e400", "1e-999"])
@pytest.mark.parametrize("unit", ["%", "s", "ms", " bytes", "MB/s", "Mbps", "/s", "°C", "V", "x", "/3", "-1e999%", ""])
def test_a_number_beyond_all_numbers_is_said_as_well(number: str, unit: str) -> None:
    for language in get_args(Language):
        assert 0 < len(speech.spoken(f"at {number}{unit}", language, LONG)) < 100


@given(
    st.floats(0, 1e18, allow_subnormal=False),
    st.sampled_from(["", "%", "s", "ms", " bytes", "MB/s", "/s", "°C", "V", "x"]),
    st.sampled_from(get_args(Language)),
)
def test_any_number_as_go_writes_it_is_said_in_few_digits(value: float, unit: str, language: Language) -> None:
    said = speech.spoken(f"the value is {value!r}{unit} now", language, LONG)
    assert len(re.sub("[^0-9]", "", said)) <= 8, said
    assert not re.search("e[+-]?[0-9]", said)
