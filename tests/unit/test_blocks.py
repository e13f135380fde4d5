"""Rich text as the simulated Slack takes it."""

from typing import Any

import pytest

from devstack.slack import blocks

WORDS = {"type": "text", "text": "words", "style": {"bold": True}}


def section(*elements: Any) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def rich(*parts: Any, **more: Any) -> list[Any]:
    return [{"type": "rich_text", "elements": list(parts), **more}]


@pytest.mark.parametrize(
    "element",
    [
        WORDS,
        {"type": "link", "url": "https://example.com/", "text": "here"},
        {"type": "link", "url": "https://example.com/"},
        {"type": "date", "timestamp": 1_795_402_800, "format": "{time}", "fallback": "3 o'clock"},
        {"type": "user", "user_id": "U0SATO"},
        {"type": "usergroup", "usergroup_id": "S0ONCALL"},
        {"type": "channel", "channel_id": "C0X"},
        {"type": "broadcast", "range": "here"},
        {"type": "emoji", "name": "fire"},
        {"type": "color", "value": "#ff0000"},
    ],
    ids=lambda element: element["type"],
)
def test_an_element_of_rich_text_is_taken_in_each_of_its_parts(element: dict[str, Any]) -> None:
    bullets = {"type": "rich_text_list", "style": "bullet", "elements": [section(element)]}
    quote = {"type": "rich_text_quote", "elements": [element]}
    assert blocks.problems(rich(section(element), bullets, quote)) == []


@pytest.mark.parametrize(
    ("block", "at"),
    [
        (rich(), "/blocks/0/elements"),
        (rich(section()), "/blocks/0/elements/0/elements"),
        (rich(WORDS), "/blocks/0/elements/0"),
        (rich(section(section(WORDS))), "/blocks/0/elements/0/elements/0"),
        (rich(section({"type": "text", "text": ""})), "/blocks/0/elements/0/elements/0/text"),
        (rich(section({"type": "text", "text": "x", "style": "bold"})), "/blocks/0/elements/0/elements/0/style"),
        (
            rich(section({"type": "text", "text": "x", "style": {"loud": True}})),
            "/blocks/0/elements/0/elements/0/style",
        ),
        (rich(section({"type": "link", "text": "here"})), "/blocks/0/elements/0/elements/0"),
        (rich(section({"type": "date", "timestamp": "now", "format": "{time}"})), "/blocks/0/elements/0/elements/0/"),
        (rich(section({"type": "broadcast", "range": "all"})), "/blocks/0/elements/0/elements/0/range"),
        (rich({"type": "rich_text_list", "elements": [section(WORDS)]}), "/blocks/0/elements/0"),
        (rich({"type": "rich_text_list", "style": "bullet", "elements": [WORDS]}), "/blocks/0/elements/0/elements/0"),
        (rich(section(WORDS), text="x"), "/blocks/0"),
    ],
    ids=[
        *("no part", "an empty part", "an element without a part", "a part in a part", "no text", "style a word"),
        *("unknown style", "no url", "no time", "unknown range", "no style of a list", "no sections", "unknown field"),
    ],
)
def test_what_slack_does_not_take_is_refused_with_its_place(block: Any, at: str) -> None:
    problems = blocks.problems(block)
    assert problems
    assert all(at in problem for problem in problems), problems
