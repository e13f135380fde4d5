"""What Slack's readers see: valid whatever Alertmanager sends, and nothing that stands in a label is markup."""

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack import blocks as block_kit
from oncall import incidents, slack_messages
from oncall.alertmanager import read_webhook
from oncall.roster import Language
from oncall.store import Item
from tests.builders import alert, webhook

# Text that means something to Slack, besides any other.
MARKUP = [
    *("<!channel>", "<!here|x>", "<@U0SATO>", "<#C0X>", "<https://evil.example.com|click>", "<mailto:a@example.com>"),
    *("&", "&amp;", "&lt;", "<", ">", "|", "*", "_", "~", "`", "```", ":fire:", "@channel", "\n", "\r\n", "\t", "\x00"),
    *(
        "https://x.example.com/?a=1&b=2",
        "http://" + "&" * 700,
        "{",
        "}",
        "{who}",
        "%s",
        "\u202e",
        "\ud800",
        "🔥",
        "重大",
    ),
]
pieces = st.one_of(st.sampled_from(MARKUP), st.sampled_from(MARKUP).map(lambda piece: piece * 200), st.text(max_size=9))
texts = st.lists(pieces, max_size=4).map("".join)
names = st.one_of(st.sampled_from(["summary", "description", "runbook_url", "instance", "product", "severity"]), texts)
labels = st.dictionaries(names, texts, max_size=4)
alerts = st.builds(
    lambda labels, annotations, url, name: alert(name, labels=labels, annotations=annotations, generatorURL=url),
    labels,
    labels,
    texts,
    texts,
)
groups = st.builds(
    lambda some, key, product, url, **more: webhook(*some, key=key, product=product, externalURL=url, **more),
    st.lists(alerts, min_size=1, max_size=8),
    texts,
    texts,
    texts,
    truncatedAlerts=st.integers(0, 10**9),
)
cuts = st.one_of(
    st.none(), st.fixed_dictionaries({"alerts": st.integers(12, 10**6), "characters": st.integers(1, 10**7)})
)
languages = st.sampled_from(get_args(Language))


def incident(hook: Any, cut: Any = None, **state: Any) -> Item:
    """An incident as the table has it."""
    group = read_webhook(hook, received_at=0, cut=cut)
    return {
        "id": "20261123-030000-abcdef",
        "state": "triggered",
        "changed_at": 1_795_402_800_000,
        "opened_at": 1_795_402_800_000,
        "call": True,
        **incidents.summary(group),
        **state,
    }


def written_as_markup(text: str) -> str:
    """What is left of a text when the links and moments that we write are taken out: all the rest has to be plain."""
    ours = r"<https?://[^<>|\s]+\|[^<>|]+>|<!date\^\d+\^\{date_short_pretty\} \{time\}\|[^<>|]+>"
    return re.sub(ours, "", text)


def is_plain(text: str) -> bool:
    """Whether Slack reads no markup in it: no angle brackets, and each ampersand the start of an entity."""
    return not re.search(r"[<>]|&(?!(amp|lt|gt);)", text)


@given(
    groups,
    cuts,
    languages,
    st.sampled_from(["triggered", "acknowledged", "resolved", "unanswered"]),
    texts,
    st.booleans(),
)
def test_any_alert_group_gives_blocks_that_slack_takes_and_mentions_nobody(
    hook: Any, cut: Any, language: Language, state: str, who: str, call: bool
) -> None:
    known = {"state": "triggered", "unanswered": True} if state == "unanswered" else {"state": state}
    text, blocks = slack_messages.message(incident(hook, cut, acknowledged_by=who, call=call, **known), language)
    assert block_kit.problems(blocks) == []
    assert block_kit.size(blocks) <= 13_000
    assert 0 < len(text) <= 4_000  # Slack: chat.update
    assert is_plain(text)
    for block in blocks:
        for part in (block.get("text"), *block.get("elements", ())):
            if part and part["type"] == "mrkdwn":
                assert is_plain(written_as_markup(part["text"])), part["text"]


@given(
    st.sampled_from(
        [
            *("acknowledged", "unanswered", "call_ended", "ringing", "unavailable", "quiet", "resumed", "resolved"),
            *("ring_next", "shift_taken"),
        ]
    ),
    texts,
    texts,
    languages,
    st.sampled_from(["busy", "no-answer", "failed", "canceled", "completed", "passed"]),
    st.sampled_from(["phone", "slack", "command"]),
    st.integers(1, 500),
    st.integers(0, 20),
)
def test_any_event_gives_a_line_that_mentions_nobody(
    kind: str, who: str, reason: str, language: Language, status: str, via: str, covered: int, rounds: int
) -> None:
    detail = {
        "reason": reason,
        "status": status,
        "via": via,
        "covered": covered,
        "rounds": rounds,
        "seconds": 3,
        "until": 1_795_402_800_000,
    }
    line = slack_messages.line({"kind": kind, "who": who, "detail": detail}, language)
    assert 0 < len(line) <= 4_000
    assert is_plain(written_as_markup(line))


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("event", sorted(key for key in slack_messages._WORDS["en"] if key.startswith("event_")))
def test_every_event_has_its_words_in_every_language(language: Language, event: str) -> None:
    assert event in slack_messages._WORDS[language]


def test_both_languages_have_the_same_words() -> None:
    assert slack_messages._WORDS["en"].keys() == slack_messages._WORDS["ja"].keys()


def test_the_message_says_what_is_broken_who_has_it_and_for_which_product() -> None:
    text, blocks = slack_messages.message(
        incident(
            webhook(alert(annotations={"summary": "The shop is down"}), product="shop"),
            state="acknowledged",
            acknowledged_by="Sato",
        ),
        "en",
    )
    assert "Sato has it" in text
    assert "The shop is down" in text
    assert "shop" in str(blocks)


@pytest.mark.parametrize(
    ("known", "there"),
    [
        ({"state": "triggered"}, ["acknowledge", "ring_next", "resolve", "take_shift"]),
        ({"state": "triggered", "unanswered": True}, ["acknowledge", "resolve", "take_shift"]),
        ({"state": "triggered", "call": False}, ["acknowledge", "resolve"]),
        ({"state": "acknowledged", "acknowledged_by": "Sato"}, ["resolve", "take_shift"]),
        ({"state": "resolved"}, []),
    ],
)
def test_there_is_a_button_for_all_that_can_be_done(known: dict[str, Any], there: list[str]) -> None:
    _, blocks = slack_messages.message(incident(webhook(), **known), "en")
    buttons = [element for _, element in block_kit.elements(blocks)]
    assert [button["action_id"] for button in buttons] == there
    assert all(button["value"] == "20261123-030000-abcdef" for button in buttons)


def test_a_warning_is_taken_and_resolved_but_rings_nobody() -> None:
    _, blocks = slack_messages.message(incident(webhook(alert(severity="warning"))), "en")
    assert [element["action_id"] for _, element in block_kit.elements(blocks)] == ["acknowledge", "resolve"]


def test_resolve_asks_first() -> None:
    _, blocks = slack_messages.message(incident(webhook()), "en")
    assert [element["action_id"] for _, element in block_kit.elements(blocks) if "confirm" in element] == ["resolve"]


def test_a_group_that_was_cut_says_so() -> None:
    _, blocks = slack_messages.message(incident(webhook(), {"alerts": 10_000, "characters": 4_000_000}), "en")
    assert "9999 more" in str(blocks)
    assert "4000000 characters" in str(blocks)


def test_many_alerts_with_long_texts_are_cut_between_and_counted() -> None:
    long, url = "<&> " * 100, "https://wiki.example.com/" + "x" * 450
    some = [
        alert(f"alert {n} {long}", annotations={"description": f"{n} {long}", "runbook_url": url}, generatorURL=url)
        for n in range(10)
    ]
    _, blocks = slack_messages.message(incident(webhook(*some)), "en")
    assert block_kit.problems(blocks) == []
    listed = blocks[3]["text"]["text"]
    shown = len(re.findall(r"^• alert", listed, re.MULTILINE))
    assert 1 <= shown < 5
    assert listed.endswith(f"{10 - shown} more")


def test_a_refused_number_asks_for_the_roster_to_be_mended() -> None:
    event = {"kind": "call_ended", "who": "Sato", "detail": {"status": "failed", "seconds": 0, "reason": "error 21211"}}
    assert "correct the number" in slack_messages.line(event, "en")


def test_links_lead_to_the_graph_and_the_runbook() -> None:
    hook = webhook(alert(annotations={"runbook_url": "https://wiki.example.com/shop?a=1&b=2"}))
    _, blocks = slack_messages.message(incident(hook), "en")
    assert "<https://wiki.example.com/shop?a=1&amp;b=2|" in blocks[3]["text"]["text"]


@given(texts, st.integers(1, 400))
def test_an_escaped_text_keeps_its_limit_and_ends_in_no_half_of_an_entity(text: str, limit: int) -> None:
    escaped = slack_messages.escape(text, limit)
    assert len(escaped) <= limit
    assert is_plain(escaped)
