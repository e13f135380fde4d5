"""What Slack's readers see: valid whatever Alertmanager sends, and nothing that stands in a label is markup."""

import json
import re
import unicodedata
from dataclasses import replace
from string import Formatter
from typing import Any, cast, get_args
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.slack import blocks as block_kit
from oncall.pages import AtWork, Call, Page
from oncall.roster import Language
from oncall.slack import messages
from oncall.slack.words import WORDS
from tests.builders import alert, webhook
from tests.records import OPENED, event, headline, incident

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
        "\u200b",
        "\u2060",
        "a" + "\u0301" * 60,
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


signs = {"triggered": "🔴", "unanswered": "🆘", "acknowledged": "🟡", "resolved": "🟢"}

MATCHERS = '{alertname="URL Alert(critical)", product="shop"}'


def in_state(state: str, who: str) -> dict[str, Any]:
    """What an incident has when it is in a state; "unanswered" counts as one."""
    match state:
        case "unanswered":
            return {"state": "triggered", "unanswered": True}
        case "acknowledged":
            return {"state": state, "acknowledged_by": who, "acknowledged_at": OPENED + 60_000}
        case "resolved":
            return {"state": state, "acknowledged_by": who, "resolved_at": OPENED + 780_000, "firing": 0}
    return {"state": state}


def page(*calls: tuple[str, str], about: str = "20261123-030000-abcdef", **more: Any) -> Page:
    """A page with these calls: names and statuses."""
    made = Page(
        id="0123456789abcdef",
        policy="default",
        state="open",
        opened_at=OPENED,
        owner="execution",
        lease_until=OPENED + 90_000,
        ring_at=OPENED,
        ring_seconds=25,
        base="https://example.com/prod",
        incidents=frozenset({"20261123-030000-abcdef", about}),
        headline=headline(incident=about, summary="The search is down"),
        attempt=len(calls),
        calls=tuple(
            Call(number, name.lower(), name, "+12025550100", 1, status, OPENED)
            for number, (name, status) in enumerate(calls, start=1)
        ),
    )
    return replace(made, **more)


def pages_about(name: str, other: str) -> list[Page | None]:
    """Every page that there may be while an incident is open."""
    return [
        None,
        page(),
        page((name, "placing")),
        page((name, "busy"), (name, "failed")),
        page((name, "no-answer"), about="another", incidents=frozenset({"20261123-030000-abcdef"})),
        page(at_work=AtWork(name, ""), ring_at=OPENED + 90_000),
        page(at_work=AtWork("", ""), ring_at=OPENED + 90_000),
        page((name, "placing"), unavailable_since=OPENED),
        page(about="another", headline=headline(incident="another", summary=other)),
    ]


def shown(blocks: Any) -> str:
    """All that a reader sees of some blocks, or of a part of them, in order."""
    if isinstance(blocks, list):
        return "\n".join(filter(None, map(shown, blocks)))
    match blocks.get("type"):
        case "rich_text_section":
            return "".join(map(shown, blocks["elements"]))
        case "date":
            return f"[{blocks['timestamp']}]"
        case "header" | "button":
            return shown(blocks["text"])
        case _:
            return str(blocks.get("text") or shown(blocks["elements"]))


def markup(block: Any) -> list[str]:
    """The texts in which Slack reads markup."""
    if isinstance(block, dict):
        own = [block["text"]] if block.get("type") == "mrkdwn" else []
        return own + [text for value in block.values() for text in markup(value)]
    return [text for part in block for text in markup(part)] if isinstance(block, list) else []


def elements_of(block: Any, kind: str) -> list[Any]:
    """The elements of a type, wherever they are."""
    if isinstance(block, dict):
        own = [block] if block.get("type") == kind else []
        return own + [element for value in block.values() for element in elements_of(value, kind)]
    return [element for part in block for element in elements_of(part, kind)] if isinstance(block, list) else []


def written_as_markup(text: str) -> str:
    """What is left of a text when the moments that we write are taken out: all the rest has to be plain."""
    ours = r"<!date\^\d+\^(\{date_short_pretty\} )?\{time\}\|[^<>|]+>"
    return re.sub(ours, "", text)


def is_plain(text: str) -> bool:
    """Whether Slack reads no markup in it: no angle brackets, and each ampersand the start of an entity."""
    return not re.search(r"[<>]|&(?!(amp|lt|gt);)", text)


def units(text: str) -> int:
    """Characters as JavaScript and Java count them."""
    return len(text.encode("utf-16-le")) // 2


@given(groups, cuts, languages, st.sampled_from(sorted(signs)), texts, texts, st.booleans(), st.integers(0, 8))
def test_any_alert_group_gives_blocks_that_slack_takes_and_mentions_nobody(
    hook: Any, cut: Any, language: Language, state: str, who: str, other: str, call: bool, which: int
) -> None:
    known = {"call": call, **in_state(state, who)}
    text, blocks = messages.message(incident(hook, cut, **known), language, pages_about(who, other)[which])
    assert block_kit.problems(blocks) == []
    assert len(json.dumps(blocks)) <= block_kit.LARGEST_IN_ALL
    assert 0 < units(text) <= 4_000  # Slack: chat.update
    assert is_plain(text)
    for written in markup(blocks):
        assert is_plain(written_as_markup(written)), written
    for kind in ("user", "usergroup", "channel", "broadcast", "emoji"):
        assert elements_of(blocks, kind) == []
    for header in elements_of(blocks, "header"):
        assert units(header["text"]["text"]) <= 150
        assert not header["text"]["emoji"]
    for link in elements_of(blocks, "link"):
        assert re.match("https?://", link["url"])
    everything = written_as_markup(shown(blocks))
    assert not re.search(r"<[!@#]|<https?:", everything)
    assert not any(unicodedata.category(character) in ("Cc", "Cf") for character in everything if character != "\n")
    assert "20261123-030000-abcdef" in everything


@given(
    st.sampled_from(
        [
            *("acknowledged", "unanswered", "call_ended", "ringing", "unavailable", "quiet", "resumed", "resolved"),
            *("ring_next", "shift_taken", "reminded", "overdue", "of a later version"),
        ]
    ),
    texts,
    texts,
    languages,
    st.sampled_from(["busy", "no-answer", "failed", "canceled", "completed", "passed"]),
    st.sampled_from(["phone", "slack", "command", "pigeon"]),
    st.integers(1, 500),
    st.integers(0, 20),
)
def test_any_event_gives_a_line_that_mentions_nobody(
    kind: str, who: str, reason: str, language: Language, status: str, via: str, covered: int, rounds: int
) -> None:
    detail: dict[str, Any] = {
        "reason": reason,
        "status": status,
        "via": via,
        "covered": covered,
        "rounds": rounds,
        "seconds": 3,
        "until": OPENED,
    }
    line = messages.line(event(kind, who, **detail), language, {})
    assert 0 < units(line) <= 4_000
    everybody = "<!here> " if kind == "unanswered" else ""
    assert line.startswith(everybody)
    assert is_plain(written_as_markup(line.removeprefix(everybody)))


@given(texts, st.integers(1, 400))
def test_a_text_for_mrkdwn_keeps_its_limit_and_ends_in_no_half_of_an_entity(text: str, limit: int) -> None:
    escaped = messages.escape(text, limit)
    assert units(escaped) <= limit
    assert is_plain(escaped)


@given(texts, st.integers(1, 400))
def test_a_plain_text_keeps_its_limit_on_one_line(text: str, limit: int) -> None:
    plain = messages.plain(text, limit)
    assert units(plain) <= limit
    assert plain.split("\n") == [plain]
    assert plain == plain.strip()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("p99 > 2 s & p50 < 1 s", "p99 &gt; 2 s &amp; p50 &lt; 1 s"),
        ("*bold* ~gone~ `code`", "∗bold∗ ∼gone∼ ˋcodeˋ"),
        ("_italic_ but node_cpu_seconds", "＿italic＿ but node_cpu_seconds"),
        (":fire: at 03:00", "∶fire: at 03:00"),
        ("> quote", "＞ quote"),
        ("one\n\n\n  two\t", "one two"),
        ("\u202eabc\u200b\u2060\ufeff", "abc"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * 3),
    ],
)
def test_what_would_be_markup_is_replaced_by_what_looks_like_it(written: str, read: str) -> None:
    assert messages.escape(written, 300) == read


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    assert WORDS["en"].keys() == WORDS["ja"].keys()
    for key, words in WORDS["en"].items():
        places = [
            sorted(name for _, name, _, _ in Formatter().parse(text) if name) for text in (words, WORDS["ja"][key])
        ]
        assert places[0] == places[1], key


def test_the_message_says_what_is_broken_who_has_it_for_which_product_and_since_when() -> None:
    hook = webhook(alert(annotations={"summary": "The shop is down", "value": "503"}), product="shop")
    text, blocks = messages.message(incident(hook, **in_state("acknowledged", "Sato")), "en")
    assert text == "🟡 The shop is down | Critical | Acknowledged: Sato has it"
    began = OPENED // 1000 - 60  # the alert says so; the webhook came a minute later
    assert shown(blocks).splitlines()[:4] == [
        "🟡 The shop is down",
        f"Critical | Acknowledged: Sato has it since [{OPENED // 1000 + 60}]",
        "Product: shop",
        f"Since [{began}] | 1 alert firing",
    ]
    assert "(value 503)" in shown(blocks)


@pytest.mark.parametrize(("language", "headline"), [("ja", "ショップが落ちています"), ("en", "The shop is down")])
@pytest.mark.parametrize("state", sorted(signs))
def test_the_headline_is_in_the_readers_language_if_the_rule_has_it(
    state: str, language: Language, headline: str
) -> None:
    summaries = {"summary": "The shop is down", "summary_ja": "ショップが落ちています"}
    hook = webhook(alert(annotations=summaries))
    text, blocks = messages.message(incident(hook, **in_state(state, "Sato")), language)
    assert headline in text
    assert headline in shown(blocks)


def test_the_incident_that_phones_ring_for_is_named_in_the_readers_language() -> None:
    other = headline(incident="another", summaries={"ja": "検索が落ちています"})
    there = page(("Sato", "placing"), about="another", headline=other)
    _, blocks = messages.message(incident(webhook()), "ja", there)
    assert "次の件とまとめて電話しています：検索が落ちています" in shown(blocks)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("state", sorted(signs))
def test_every_state_has_a_sign_and_words_in_the_text_and_in_the_blocks(state: str, language: Language) -> None:
    """Colour alone is not readable by everyone, and a notification has no blocks."""
    text, blocks = messages.message(incident(webhook(), **in_state(state, "Sato")), language)
    words = WORDS[language][state].format(who="Sato")
    assert text.startswith(signs[state])
    assert words in text
    assert shown(blocks).startswith(signs[state])
    assert words in shown(blocks)


def test_what_is_over_is_shorter_and_has_no_header() -> None:
    hook = webhook(alert(annotations={"summary": "The shop is down"}), product="shop")
    _, blocks = messages.message(incident(hook, **in_state("resolved", "Sato")), "en")
    assert [block["type"] for block in blocks] == ["rich_text", "context"]
    assert shown(blocks[0]) == "🟢 Resolved | The shop is down"
    seen = written_as_markup(shown(blocks[1])).splitlines()
    assert seen == ["shop", " –  (14 min)", "Sato had it", "20261123-030000-abcdef"]


@pytest.mark.parametrize(
    ("minutes", "en", "ja"),
    [(0.1, "1 min", "1分"), (59, "59 min", "59分"), (61, "1 h 1 min", "1時間1分"), (1_500, "1 d 1 h", "1日1時間")],
)
def test_how_long_it_lasted_is_said_in_words(minutes: float, en: str, ja: str) -> None:
    hook = webhook(alert(startsAt="not a time"))
    over = {"state": "resolved", "resolved_at": OPENED + int(minutes * 60_000)}
    for language, words in (("en", en), ("ja", ja)):
        _, blocks = messages.message(incident(hook, **over), cast("Language", language))
        assert words in shown(blocks)


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (page(), "The next phone rings soon"),
        (page(("Sato", "placing")), "Calling Sato (call 1)"),
        (page(("Sato", "no-answer"), ("Suzuki", "placing")), "Calling Suzuki (call 2)"),
        (page(("Sato", "no-answer")), "The next phone rings soon"),
        (page(("Sato", "placing"), unavailable_since=OPENED), "No calls can be placed"),
        (page(at_work=AtWork("Sato", "sato"), ring_at=OPENED + 90_000), "Sato is at work on the last one"),
        (page(("Sato", "placing"), about="another"), "in one call with: The search is down"),
    ],
)
def test_the_message_says_who_is_being_called(there: Page, says: str) -> None:
    _, blocks = messages.message(incident(webhook()), "en", there)
    assert says in shown(blocks)


@pytest.mark.parametrize("state", ["unanswered", "acknowledged", "resolved"])
def test_of_what_is_no_longer_called_for_no_call_is_shown(state: str) -> None:
    _, blocks = messages.message(incident(webhook(), **in_state(state, "Suzuki")), "en", page(("Sato", "placing")))
    assert "Sato" not in shown(blocks)


def test_a_page_of_others_is_not_shown() -> None:
    others = page(("Sato", "placing"), incidents=frozenset({"another"}))
    _, blocks = messages.message(incident(webhook()), "en", others)
    assert "Sato" not in shown(blocks)


@pytest.mark.parametrize(
    ("known", "there"),
    [
        ({"state": "triggered"}, ["acknowledge", "ring_next", "resolve", "take_shift"]),
        ({"state": "triggered", "unanswered": True}, ["acknowledge", "ring_again", "resolve", "take_shift"]),
        ({"state": "triggered", "call": False}, ["acknowledge", "resolve"]),
        (in_state("acknowledged", "Sato"), ["resolve", "take_shift"]),
        (in_state("resolved", "Sato"), []),
    ],
)
def test_there_is_a_button_for_all_that_can_be_done(known: dict[str, Any], there: list[str]) -> None:
    _, blocks = messages.message(incident(webhook(), **known), "en")
    buttons = [element for _, element in block_kit.elements(blocks)]
    assert [button["action_id"] for button in buttons] == there
    assert all(button["value"] == "20261123-030000-abcdef" for button in buttons)


def test_a_warning_is_taken_and_resolved_but_rings_nobody() -> None:
    _, blocks = messages.message(incident(webhook(alert(severity="warning"))), "en")
    assert [element["action_id"] for _, element in block_kit.elements(blocks)] == ["acknowledge", "resolve"]


def test_a_press_tells_how_old_is_what_was_seen() -> None:
    _, blocks = messages.message(incident(webhook(), changed_at=OPENED + 7), "en")
    assert [block["block_id"] for block in blocks if block["type"] == "actions"] == [
        f"20261123-030000-abcdef/{OPENED + 7}"
    ]


def test_resolve_and_take_the_shift_ask_first() -> None:
    _, blocks = messages.message(incident(webhook()), "en")
    asking = [element["action_id"] for _, element in block_kit.elements(blocks) if "confirm" in element]
    assert asking == ["resolve", "take_shift"]


def test_a_group_that_was_cut_says_so() -> None:
    _, blocks = messages.message(incident(webhook(), {"alerts": 10_000, "characters": 4_000_000}), "en")
    assert "at least 1 alert firing" in shown(blocks)
    assert "left out 9999 alerts" in shown(blocks)
    assert "4000000 characters" in shown(blocks)


@pytest.mark.parametrize(
    ("severity", "says"), [(None, "severity: warning"), ("info", "under severities, info: warning")]
)
def test_a_severity_that_was_guessed_says_so(severity: str | None, says: str) -> None:
    _, blocks = messages.message(incident(webhook(alert(severity=severity))), "en")
    assert says in shown(blocks)


def test_a_test_says_that_it_is_one() -> None:
    text, blocks = messages.message(incident(webhook(alert(labels={"oncall_test": "true"}))), "en")
    assert "only a test" in text
    assert "only a test" in shown(blocks)


def test_the_alerts_that_fire_are_listed_the_others_are_not() -> None:
    some = [alert("disk 1"), alert("disk 2", status="resolved"), *[alert(f"disk {n}") for n in range(3, 9)]]
    _, blocks = messages.message(incident(webhook(*some)), "en")
    titles = [text["text"].partition(":")[0] for text in elements_of(blocks, "link") if text["text"].startswith("disk")]
    assert titles == ["disk 1", "disk 3", "disk 4", "disk 5", "disk 6"]
    assert "… and 2 more" in shown(blocks)


def test_the_most_telling_alert_is_told_in_full() -> None:
    some = [alert(f"disk {n}", annotations={"description": f"Disk {n} is full"}) for n in (1, 2)]
    _, blocks = messages.message(incident(webhook(*some)), "en")
    assert "Disk 1 is full" in shown(blocks)
    assert "Disk 2 is full" not in shown(blocks)


def test_what_is_too_large_for_slack_is_told_with_fewer_details() -> None:
    long, url = '\u91cd\u5927"' * 100, "https://wiki.example.com/" + "x" * 900
    some = [alert(f"alert {n} {long}", annotations={"description": f"{n} {long}"}, generatorURL=url) for n in range(10)]
    _, blocks = messages.message(incident(webhook(*some, product=long, externalURL=url)), "ja")
    assert block_kit.problems(blocks) == []
    assert len(json.dumps(blocks)) <= messages.LARGEST
    listed = shown(blocks).count("alert ") - 1  # and in the header
    assert 1 <= listed < 5
    assert f"… ほか{10 - listed}件" in shown(blocks)


@pytest.mark.parametrize(
    ("remedy", "english", "japanese"),
    [
        ("correct", "Correct the number in the roster", "名簿の電話番号を直してください"),
        ("geo 81", "Twilio: allow calls to Japan under Voice, Settings, Geo permissions", "日本への発信を許可して"),
        ("geo 999", "numbers that begin with +999", "+999で始まる番号"),
        ("unknown 99999", "twilio.com/docs/api/errors/99999", "twilio.com/docs/api/errors/99999"),
    ],
)
def test_a_refused_number_says_what_mends_it(remedy: str, english: str, japanese: str) -> None:
    detail: dict[str, Any] = {
        "status": "failed",
        "seconds": 0,
        "reason": "Twilio refuses the number (error 1)",
        "remedy": remedy,
    }
    told = event("call_ended", "Sato", **detail)
    assert english in messages.line(told, "en")
    assert japanese in messages.line(told, "ja")


@pytest.mark.parametrize(
    ("reason", "japanese"),
    [
        ("Twilio refuses the number (error 21211)", "（Twilioがこの番号を拒否しました。エラー21211）"),
        ("Twilio answered 503 (error 20503)", "（Twilioの応答は503、エラー20503）"),
        ("Telnyx answered 422", "（Telnyxの応答は422）"),
        ("Twilio did not answer (ReadTimeout)", "（Twilioから応答がありません。ReadTimeout）"),
        ("something new", "（something new）"),
    ],
)
def test_a_reason_is_in_the_threads_language(reason: str, japanese: str) -> None:
    told = event("call_ended", "Sato", status="failed", seconds=0, reason=reason)
    assert japanese in messages.line(told, "ja")
    assert f": {reason}." in messages.line(told, "en")


def test_a_refusal_that_nobody_can_mend_has_no_remedy() -> None:
    told = event("call_ended", "Sato", status="failed", seconds=0, reason="error 1")
    assert messages.line(told, "en") == "Sato cannot be called: error 1."


def test_links_lead_to_the_graph_the_runbook_and_alertmanager() -> None:
    hook = webhook(
        alert(annotations={"runbook_url": "https://wiki.example.com/shop?a=1&b=2"}),
        commonLabels={"alertname": "URL Alert(critical)", "product": "shop"},
        externalURL="https://alertmanager.example.com/am/",
    )
    _, blocks = messages.message(incident(hook), "en")
    links = {link["text"]: link["url"] for link in elements_of(blocks, "link")}
    assert links["Runbook"] == "https://wiki.example.com/shop?a=1&b=2"
    assert links["Graph"] == "http://prometheus.example.com/graph?g0.expr=probe_success&g0.tab=1"
    base = "https://alertmanager.example.com/am/#"
    for words, begins in (
        ("Silence", f"{base}/silences/new?filter="),
        ("Alertmanager", f"{base}/alerts?filter="),
    ):
        assert links[words].startswith(begins)
        assert unquote(links[words].removeprefix(begins)) == MATCHERS


def described(text: str) -> list[dict[str, Any]]:
    """What is shown of a description, after the alert's name."""
    hook = webhook(alert(annotations={"summary": "The shop is down", "description": text}))
    _, blocks = messages.message(incident(hook), "en")
    (bullets,) = elements_of(blocks, "rich_text_list")
    return [one for one in bullets["elements"][0]["elements"][1:] if one.get("text", "").strip()]


@pytest.mark.parametrize(
    ("text", "address", "rest"),
    [
        ("See https://wiki.example.com/shop?a=1&b=2 first.", "https://wiki.example.com/shop?a=1&b=2", "See |first."),
        ("(https://wiki.example.com/shop), or ask.", "https://wiki.example.com/shop", "(|), or ask."),
        ("手順はhttps://wiki.example.com/shopを参照。", "https://wiki.example.com/shop", "手順は|を参照。"),
        ("https://wiki.example.com/Shop_(EU)", "https://wiki.example.com/Shop_(EU)", ""),
    ],
)
def test_an_address_in_a_description_is_a_link(text: str, address: str, rest: str) -> None:
    found = described(text)
    (link,) = [one for one in found if one["type"] == "link"]
    assert (link["url"], link["text"]) == (address, address)
    assert "|".join(one["text"].strip("\n") for one in found if one["type"] == "text").replace("| ", "|") == rest


@pytest.mark.parametrize(
    "text",
    ["x" * 480 + " https://wiki.example.com/cut-short", "javascript:alert(1)", "https://", "ftp://wiki.example.com"],
    ids=["cut", "script", "nothing", "another"],
)
def test_what_is_no_whole_address_in_a_description_is_text(text: str) -> None:
    assert {one["type"] for one in described(text)} == {"text"}


def test_a_long_address_is_shown_short_and_leads_there() -> None:
    address = "https://grafana.example.com/d/abc?" + "&".join(f"var-host={number}" for number in range(20))
    (link,) = [one for one in described(f"Look: {address} (all hosts)") if one["type"] == "link"]
    assert link["url"] == address
    assert link["text"].endswith("…")
    assert len(link["text"]) == 80


def test_the_dashboard_is_one_of_the_links() -> None:
    crowded = {f"a{number}": "x" for number in range(20)} | {"dashboard_url": "https://grafana.example.com/d/shop"}
    _, blocks = messages.message(incident(webhook(alert(annotations=crowded))), "en")
    links = {link["text"]: link["url"] for link in elements_of(blocks, "link")}
    assert links["Dashboard"] == "https://grafana.example.com/d/shop"


GRAFANA = {
    "silenceURL": "https://grafana.example.com/alerting/silence/new?alertmanager=grafana&matcher=alertname%3DHighLatency",
    "dashboardURL": "https://grafana.example.com/d/abc?orgId=1",
    "panelURL": "https://grafana.example.com/d/abc?orgId=1&viewPanel=2",
    "valueString": "[ var='B' labels={instance=web-1} value=6.7123456 ]",
    "generatorURL": "https://grafana.example.com/alerting/grafana/abc/view?orgId=1",
}


def grafana(**fields: Any) -> Any:
    """What Grafana posts."""
    more: dict[str, Any] = {
        "commonLabels": {"alertname": "HighLatency"},
        "externalURL": "https://grafana.example.com/",
        "orgId": 1,
    }
    return webhook(alert("HighLatency", **{**GRAFANA, **fields}), **more, version="1")


def test_links_of_grafanas_alert_lead_to_pages_that_grafana_has() -> None:
    _, blocks = messages.message(incident(grafana()), "en")
    links = {link["text"]: link["url"] for link in elements_of(blocks, "link")}
    assert links == {
        "Graph": GRAFANA["panelURL"],
        "Silence": GRAFANA["silenceURL"],
        "Grafana": "https://grafana.example.com",
        "HighLatency: https://shop.example.com/": GRAFANA["generatorURL"],
    }
    assert "(value 6.71)" in shown(blocks)


@pytest.mark.parametrize(
    ("fields", "link", "url"),
    [
        ({"panelURL": ""}, "Graph", GRAFANA["dashboardURL"]),
        ({"panelURL": "", "dashboardURL": ""}, "Graph", GRAFANA["generatorURL"]),
        ({"silenceURL": ""}, "Silence", None),
    ],
)
def test_what_grafana_does_not_say_is_no_link(fields: dict[str, str], link: str, url: str | None) -> None:
    _, blocks = messages.message(incident(grafana(**fields)), "en")
    assert {one["text"]: one["url"] for one in elements_of(blocks, "link")}.get(link) == url


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        (
            {"valueString": "[ var='A' metric='up' labels={a=b, c=d} value=1 ], [ var='B' labels={} value=-2.5 ]"},
            "A 1, B -2.5",
        ),
        ({"valueString": "[ metric='' labels={} value=14151.331895396988 ]"}, ""),
        ({"valueString": "", "values": {"B": 6.7, "C": 1}}, "B 6.7, C 1"),
        ({"valueString": None, "values": None}, ""),
        ({"valueString": "", "values": {"B": None}}, ""),
        ({"annotations": {"value": "88%"}}, "88%"),
    ],
)
def test_what_grafana_measured_is_shown(fields: dict[str, Any], value: str) -> None:
    assert incident(grafana(**fields)).alerts[0].value == value


@pytest.mark.parametrize("more", [{"commonLabels": {}}, {"commonLabels": {"a b": "c"}}, {"externalURL": ""}])
def test_without_labels_in_common_or_an_address_there_is_no_silence(more: dict[str, Any]) -> None:
    """One that is prefilled with less than all of them would silence more than this."""
    _, blocks = messages.message(incident(webhook(**more)), "en")
    assert not any("/silences/" in link["url"] for link in elements_of(blocks, "link"))


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a.example.com/<b>", "https://a b", "x" * 500, "https://…"]
)
def test_what_is_no_address_is_no_link(url: str) -> None:
    hook = webhook(alert(annotations={"runbook_url": url}, generatorURL=url), externalURL=url)
    _, blocks = messages.message(incident(hook), "en")
    assert elements_of(blocks, "link") == []


PEOPLE = {"Sato": "U0SATO"}


@pytest.mark.parametrize(
    ("kind", "who", "mentioned"),
    [
        ("ringing", "Sato", True),
        ("acknowledged", "Sato", True),
        ("reminded", "Sato", True),
        ("ringing", "Suzuki", False),
        ("ring_next", "Sato", False),
        ("resolved", "Sato", False),
    ],
)
def test_those_whom_it_is_about_are_mentioned(kind: str, who: str, *, mentioned: bool) -> None:
    for language in ("en", "ja"):
        line = messages.line(event(kind, who, via="slack"), language, PEOPLE)
        assert line.count("<@U0SATO>") == mentioned
        assert line.count(who) == (not mentioned), "Slack shows a mention as the name: nobody is named twice"


def test_everybody_is_mentioned_when_nobody_answers() -> None:
    line = messages.line(event("unanswered", rounds=2), "en", PEOPLE)
    assert line.startswith("<!here> Nobody took it")


@pytest.mark.parametrize(
    ("detail", "en", "ja"),
    [
        (
            {"via": "phone", "seconds": 41, "covered": 3},
            "Acknowledged: Sato took it by phone after 41 s, with 2 others.",
            "Satoさんが電話で（41秒後）、ほか2件とまとめて引き受けました。",
        ),
        ({"via": "slack", "covered": 1}, "Acknowledged: Sato took it in Slack.", "SatoさんがSlackで引き受けました。"),
    ],
)
def test_an_acknowledgement_says_how_and_how_fast(detail: dict[str, Any], en: str, ja: str) -> None:
    told = event("acknowledged", "Sato", **detail)
    assert messages.line(told, "en") == en
    assert messages.line(told, "ja") == ja
