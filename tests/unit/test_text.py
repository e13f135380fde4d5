"""What others write, as it may be shown: nothing in it moves a cursor, turns a line around, or becomes a link."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.text import all_seen, log_line, seen, unlinked

CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"  # writes to a terminal's clipboard
HARM = f"disk {CLIPBOARD}\x9b2J full\r\u202egnp.exe\u2066 \u200bof\x7f db"


def test_control_and_direction_characters_are_dropped_and_lines_stay() -> None:
    assert seen(HARM) == "disk ]52;c;cm0gLXJmIH4=2J full gnp.exe of db"
    assert seen("one\r\ntwo\x85three\u2028four\tfive") == "one \ntwo three four five"
    assert seen("サイト停止 é 👍🏽") == "サイト停止 é 👍🏽"
    assert seen("Z" + "\u0335" * 40) == "Z" + "\u0335" * 3


@given(st.text())
def test_whatever_is_written_nothing_unseen_is_left(text: str) -> None:
    shown = seen(text)
    assert not [c for c in shown if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")]
    assert seen(shown) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://on-call.example.com/login", "https[:]//on-call[.]example[.]com/login"),
        ("see www.example.com", "see www[.]example[.]com"),
        ("http://10.0.0.5:9090/x", "http[:]//10.0.0.5:9090/x"),
        ("例え.テスト", "例え[.]テスト"),
        ("evil。example。com", "evil[.]example[.]com"),
        ("load is 1.5. Look at 10.0.0.5:9100", "load is 1.5. Look at 10.0.0.5:9100"),
        ("ht\u200btps\u202e://example.com", "https[:]//example[.]com"),
        ("down\r\n\nNow:\n- Call\tme\u2028me ", "down Now: - Call me me"),  # nor is it a line of ours
    ],
)
def test_what_others_wrote_is_neither_link_nor_line(written: str, shown: str) -> None:
    assert unlinked(written) == shown


@given(st.from_regex(r"(https?://)?[a-z0-9-]{1,20}(\.[a-z]{2,10}){1,3}(/\S{0,20})?", fullmatch=True))
def test_no_address_is_left_that_a_program_would_make_a_link_of(address: str) -> None:
    assert not re.search(r"://|[a-z0-9-]\.[a-z]{2}", unlinked(address).partition("/")[0])


def test_json_and_logs_have_the_same_characters_as_everything_else() -> None:
    value = {"a\x1b": [HARM, 1, None, {"b": ("x\u202e",)}]}
    assert all_seen(value) == {"a": [seen(HARM), 1, None, {"b": ["x"]}]}
    line = log_line({"message": "refused", "name": HARM, "error": ValueError("\x9b2J")})
    assert json.loads(line) == {"message": "refused", "name": seen(HARM), "error": "2J"}
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf")]
