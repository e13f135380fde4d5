"""The console as a person uses it, in a browser: with eyes, a mouse, a keyboard, a telephone's screen."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from devstack.console.watch import Sources
from devstack.shared.serve import free_port
from tests.browser_fixture import faultless
from tests.devstack.console_stage import DOWN, MILLER, NOW, RESPONDERS, SATO, Stage, eventually, incident, staged

HOSTILE = '<img src=x onerror="fetch(`//x.example`)"> <javascript:alert(1)|click> <b>"&\' `${1}` *_~'


@pytest.fixture
def stage(bare_aws: str) -> Iterator[Stage]:
    with staged(bare_aws) as stage:
        yield stage


@pytest.fixture
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    with faultless(browser, stage.console) as page:
        yield page


def phone(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=f"Phone of {name}")


def channel(page: Page) -> Locator:
    return page.get_by_role("log", name="Channel")


def set_line(stage: Stage, number: str, line: dict[str, str]) -> None:
    stage.control("twilio", f"lines/{number}", line)


# Phones.


def test_a_person_answers_hears_the_alert_and_presses_a_key(stage: Stage, page: Page) -> None:
    sato = phone(page, "佐藤 結衣")
    expect(sato).to_be_visible()
    stage.ring(SATO, "Critical alert. Press 1 to take it.")
    expect(sato).to_contain_text("ringing")
    expect(page).to_have_title("☎ 佐藤 結衣 – On-call devstack")
    expect(page.locator("[aria-live=assertive]")).to_contain_text("The phone of 佐藤 結衣 is ringing.")
    sato.get_by_role("button", name="Answer").click()
    heard = sato.get_by_role("log", name="Heard")
    expect(heard).to_contain_text("Critical alert. Press 1 to take it.")
    sato.get_by_role("button", name="1", exact=True).click()
    expect(heard).to_contain_text("You have it.")
    expect(sato).to_contain_text("pressed 1, just now")
    expect(page).to_have_title("On-call devstack")
    expect(page.locator("[aria-live=assertive]")).to_be_empty()
    expect(phone(page, "Alex Miller").locator(".screen")).to_be_hidden()


def test_the_keyboard_alone_is_enough(stage: Stage, page: Page) -> None:
    sato = phone(page, "佐藤 結衣")
    stage.ring(SATO, "Critical alert.")
    expect(sato).to_contain_text("ringing")
    page.keyboard.press("d")
    expect(sato).to_contain_text("busy, just now")
    stage.ring(SATO, "Critical alert.")
    expect(sato).to_contain_text("ringing")
    page.keyboard.press("a")
    expect(sato).to_contain_text("in a call")
    expect(sato.get_by_role("log", name="Heard")).to_contain_text("Critical alert.")
    page.keyboard.press("7")
    expect(sato).to_contain_text("pressed 7")
    stage.ring(SATO, "Critical alert.")
    expect(sato).to_contain_text("ringing")
    sato.get_by_role("button", name="Answer").focus()
    page.keyboard.press("Enter")
    expect(sato).to_contain_text("in a call")
    page.keyboard.press("h")
    expect(sato).to_contain_text("no key pressed")


def test_letters_that_are_written_press_nothing(stage: Stage, page: Page) -> None:
    stage.ring(SATO, "Critical alert.")
    expect(phone(page, "佐藤 結衣")).to_contain_text("ringing")
    field = page.get_by_role("textbox", name="Message or command")
    field.press_sequentially("add 1")
    expect(field).to_have_value("add 1")
    expect(phone(page, "佐藤 結衣")).to_contain_text("ringing")


def test_tab_reaches_everything_in_the_order_that_is_seen_and_shows_where_it_is(stage: Stage, page: Page) -> None:
    stage.ring(SATO, "Critical alert.")
    stage.start("first")
    expect(page.get_by_role("button", name="Decline").first).to_be_visible()
    expect(page.get_by_role("combobox", name="Execution")).to_be_visible()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                const it = document.activeElement, style = getComputedStyle(it.type === "radio" ? it.nextElementSibling : it);
                return [it.closest("section[id]")?.id ?? "", it.textContent.trim() || it.getAttribute("aria-label") || it.id,
                        style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
                }"""
            )
        )
        if reached[-1][0] == "faults":
            break
    sections = list(dict.fromkeys(section for section, _, _ in reached if section))
    assert sections == ["guide", "phones", "slack", "incidents", "machine", "faults"]
    assert "Answer a" in [name for section, name, _ in reached if section == "phones"]
    assert all(visible for _, _, visible in reached), [name for _, name, visible in reached if not visible]


def test_what_a_phone_does_with_its_next_calls_is_chosen_on_the_page_and_seen_there(stage: Stage, page: Page) -> None:
    behaviour = page.get_by_role("combobox", name="Next calls to Alex Miller")
    behaviour.select_option("busy")
    expect(page.get_by_role("combobox", name="Next calls to 佐藤 結衣")).to_have_value("by hand")
    eventually(
        lambda: stage.control("twilio", "lines").get(MILLER, {}).get("behaviour") == "busy", "the choice arriving"
    )
    stage.ring(MILLER, "Critical alert.")
    expect(phone(page, "Alex Miller")).to_contain_text("busy, just now")
    set_line(stage, MILLER, {"behaviour": "answer", "digits": "1"})
    behaviour.blur()
    expect(behaviour).to_have_value("answers, presses 1")


def test_a_called_number_that_the_roster_does_not_have_gets_a_phone_too(stage: Stage, page: Page) -> None:
    expect(phone(page, "Alex Miller")).to_be_visible()
    expect(page.get_by_text("Gone")).to_have_count(0)  # of an older version of the roster
    stage.ring("+12025550177", "Critical alert.")
    expect(phone(page, "Not in the roster")).to_contain_text("+12025550177")


def test_the_phone_that_rings_is_the_first_of_many(stage: Stage, page: Page) -> None:
    stage.put(
        [
            {
                "pk": "ROSTER",
                "sk": f"RESPONDER#p{i}#v2",
                "version": 2,
                "id": f"p{i}",
                "name": f"Person {i} with a long family name",
                "position": 10 + i,
                "phone": f"+120255501{i:02d}",
            }
            for i in range(10, 20)
        ]
    )
    phones = page.get_by_role("article", name="Phone of")
    expect(phones).to_have_count(len([r for r in RESPONDERS if r[1] == 2]) + 10)
    stage.ring("+12025550119", "Critical alert.")
    expect(phones.first).to_contain_text("Person 19")
    expect(phones.first.get_by_role("button", name="Answer")).to_be_in_viewport()


def test_sound_is_off_until_a_person_turns_it_on_and_then_the_voice_speaks(stage: Stage, page: Page) -> None:
    page.evaluate(  # this browser has no voices: note what it would have said
        """() => {
        window.told = [];
        speechSynthesis.speak = (utterance) => window.told.push([utterance.lang, utterance.text]);
        }"""
    )
    set_line(stage, SATO, {"behaviour": "answer"})
    set_line(stage, MILLER, {"behaviour": "answer"})
    stage.ring(MILLER, "Nobody listens.")
    expect(phone(page, "Alex Miller")).to_contain_text("Nobody listens.")
    sound = page.get_by_role("button", name="Sound")
    expect(sound).to_have_attribute("aria-pressed", "false")
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "true")
    stage.ring(SATO, "オンコールのアラートです。")
    eventually(lambda: page.evaluate("window.told") == [["ja-JP", "オンコールのアラートです。"]], "it is read out")


# Slack.

BUTTON: dict[str, Any] = {
    "type": "button",
    "action_id": "acknowledge",
    "text": {"type": "plain_text", "text": "Acknowledge"},
    "value": "20261122",
}
RESOLVE: dict[str, Any] = {
    "type": "button",
    "action_id": "resolve",
    "style": "danger",
    "text": {"type": "plain_text", "text": "Resolve"},
    "confirm": {
        "title": {"type": "plain_text", "text": "Resolve it?"},
        "text": {"type": "mrkdwn", "text": "Phones *stop*."},
        "confirm": {"type": "plain_text", "text": "Yes, resolve"},
        "deny": {"type": "plain_text", "text": "No"},
    },
}


def test_the_channel_shows_messages_with_threads_and_its_buttons_press(stage: Stage, page: Page) -> None:
    section = "*Ringing* <@U0SATO>, see <https://example.com/a?b=1&amp;c=2|the page>"
    ts = stage.post(
        "in short",
        blocks=[
            {"type": "header", "text": {"type": "plain_text", "text": "product-a is down"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": section}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "since `08:00`"}]},
            {"type": "actions", "elements": [BUTTON]},
        ],
    )
    expect(channel(page).get_by_role("heading")).to_have_text("product-a is down")
    expect(channel(page).locator("b", has_text="Ringing")).to_be_visible()
    expect(channel(page)).to_contain_text("@佐藤 結衣")
    expect(channel(page).get_by_role("link", name="the page")).to_have_attribute(
        "href", "https://example.com/a?b=1&c=2"
    )
    expect(channel(page).locator("code")).to_have_text("08:00")
    button = channel(page).get_by_role("button", name="Acknowledge")
    button.focus()
    page.keyboard.press("Enter")
    eventually(lambda: bool(stage.presses), "the press reaches the application")
    [press] = stage.presses
    assert press["user"]["id"] == "U0SATO"
    assert press["actions"][0]["action_id"] == "acknowledge"
    assert press["actions"][0]["value"] == "20261122"

    stage.post("Taken by *Alex*.", thread_ts=ts)
    expect(channel(page).locator(".replies .message")).to_contain_text("Taken by Alex.")
    expect(button).to_be_focused()  # what changes elsewhere does not take the keyboard away


def test_a_button_that_asks_first_is_pressed_only_after_a_yes(stage: Stage, page: Page) -> None:
    stage.post("text", blocks=[{"type": "actions", "elements": [RESOLVE, BUTTON]}])
    resolve = channel(page).get_by_role("button", name="Resolve")
    dialog = page.get_by_role("dialog", name="Resolve it?")
    resolve.click()
    expect(dialog).to_contain_text("Phones stop.")
    dialog.get_by_role("button", name="No").click()
    expect(dialog).to_be_hidden()
    resolve.click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    resolve.click()
    dialog.get_by_role("button", name="Yes, resolve").click()
    eventually(lambda: bool(stage.presses), "the press reaches the application")
    assert [press["actions"][0]["action_id"] for press in stage.presses] == ["resolve"]


def test_who_presses_is_chosen(stage: Stage, page: Page) -> None:
    stage.post("text", blocks=[{"type": "actions", "elements": [BUTTON]}])
    page.get_by_role("combobox", name="You are").select_option("a visitor")
    channel(page).get_by_role("button", name="Acknowledge").click()
    eventually(lambda: bool(stage.presses), "the press reaches the application")
    assert stage.presses[0]["user"]["id"] == "U0VISITOR"


def test_dates_are_in_the_zone_of_who_reads(stage: Stage, page: Page) -> None:
    stage.post("since <!date^1767225600^{date_num} {time}|2026-01-01 00:00 UTC>")
    expect(channel(page).get_by_text("since")).to_contain_text("9:00")  # Tokyo


def test_rich_text_is_shown_as_it_is_and_its_dates_in_the_zone_of_who_reads(stage: Stage, page: Page) -> None:
    date = {"type": "date", "timestamp": 1_767_225_600, "format": "{date_num} {time}", "fallback": "2026-01-01"}
    words = {"type": "text", "text": "*not bold* :fire: <!here> since "}
    stage.post(
        "rich text",
        blocks=[{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [words, date]}]}],
    )
    shown = channel(page).get_by_text("since")
    expect(shown).to_contain_text("*not bold* :fire: <!here> since ")
    expect(channel(page).get_by_role("article").last).to_contain_text("9:00")  # Tokyo


def test_a_command_is_sent_and_its_answer_seen_by_who_asked_alone(page: Page) -> None:
    field = page.get_by_role("textbox", name="Message or command")
    field.fill("/oncall who is it")
    field.press("Enter")
    expect(channel(page)).to_contain_text("Only visible to you")
    expect(channel(page)).to_contain_text("You asked: who is it")
    page.get_by_role("combobox", name="You are").select_option("a visitor")
    expect(channel(page)).not_to_contain_text("You asked")


def test_nobody_writes_before_it_is_known_who_there_is(
    bare_aws: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, read = threading.Event(), Sources.responders

    def late(sources: Sources) -> list[dict[str, str]]:
        assert known.wait(60)
        return read(sources)

    monkeypatch.setattr(Sources, "responders", late)
    with staged(bare_aws) as stage, faultless(browser, stage.console) as page:
        field = page.get_by_role("textbox", name="Message or command")
        expect(page.get_by_text(DOWN).first).to_be_visible()
        expect(field).to_be_disabled()
        known.set()
        expect(field).to_be_enabled()
        expect(page.get_by_role("combobox", name="You are")).to_have_value("U0SATO")


def test_a_message_of_a_person_and_an_edited_one_look_so(stage: Stage, page: Page) -> None:
    field = page.get_by_role("textbox", name="Message or command")
    field.fill("I look at it")
    page.get_by_role("button", name="Send").click()
    written = channel(page).get_by_role("article").filter(has_text="I look at it")
    expect(written).to_contain_text("佐藤 結衣")
    ts = stage.post("first words")
    expect(channel(page)).to_contain_text("first words")
    stage.edit(ts, "other words")
    expect(channel(page).get_by_role("article").filter(has_text="other words")).to_contain_text("(edited)")


# Others' words.


def test_what_others_wrote_is_text_and_nothing_else(stage: Stage, page: Page) -> None:
    stage.post(HOSTILE)
    stage.post("text", blocks=[{"type": "header", "text": {"type": "plain_text", "text": HOSTILE}}])
    set_line(stage, MILLER, {"behaviour": "answer"})
    stage.ring(MILLER, "&lt;img src=x onerror=alert(1)&gt;")
    stage.put(incident(5, summary=HOSTILE))
    stage.start("hostile", {"webhook": {"status": HOSTILE, "groupLabels": {"alertname": HOSTILE}}})
    expect(channel(page).get_by_role("heading")).to_have_text(HOSTILE)
    expect(channel(page)).to_contain_text("<javascript:alert(1)|click>")
    expect(phone(page, "Alex Miller").get_by_role("log", name="Heard")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.get_by_role("region", name="Incidents")).to_contain_text(HOSTILE)
    expect(page.get_by_role("region", name="State machine")).to_contain_text(HOSTILE)
    assert page.locator("main img").count() == 0
    assert channel(page).get_by_role("link").count() == 0


# The rest of the world.


def test_the_site_breaks_and_mends_by_the_guide(stage: Stage, page: Page) -> None:
    faults = page.get_by_role("region", name="Make it fail")
    site = faults.get_by_role("group", name="The site")
    expect(site.get_by_role("radio", name="works")).to_be_checked()
    site.get_by_role("radio", name="503").click()
    expect(site.get_by_role("radio", name="503")).to_be_checked()
    expect(page.get_by_text("Broken on purpose")).to_contain_text("The site: 503")
    eventually(lambda: requests.get(stage.endpoints.site, timeout=10).status_code == 503, "the site is down")
    page.get_by_role("button", name="Fix the site").click()
    expect(site.get_by_role("radio", name="works")).to_be_checked()
    assert requests.get(stage.endpoints.site, timeout=10).status_code == 200


def test_faults_of_several_parts_are_named_and_ended_at_once(stage: Stage, page: Page) -> None:
    faults = page.get_by_role("region", name="Make it fail")
    faults.get_by_role("group", name="Twilio: callbacks").get_by_role("radio", name="lost").click()
    faults.get_by_role("group", name="DynamoDB").get_by_role("radio", name="throttled").click()
    note = page.get_by_text("Broken on purpose")
    expect(note).to_contain_text("Twilio: callbacks: lost")
    expect(note).to_contain_text("DynamoDB: throttled")
    assert stage.control("twilio", "faults")["drop"]["left"] > 0
    page.get_by_role("button", name="All faults off").click()
    expect(note).to_be_hidden()
    assert stage.control("twilio", "faults") == {}


def test_the_running_execution_is_lit_even_after_later_ones_have_ended(stage: Stage, page: Page) -> None:
    machine = page.get_by_role("region", name="State machine")
    expect(machine).to_contain_text("Nothing has run yet.")
    stage.start("first")
    expect(machine.locator(".node.current tspan")).to_have_text("PhoneCall")
    expect(machine.locator(".node.done tspan")).to_have_text("ReceiveAlerts")
    expect(machine.locator(".edge.taken")).to_have_count(1)
    expect(machine.locator("[aria-current=step]")).to_have_text("PhoneCall: current")
    later = stage.start("later")
    eventually(lambda: stage.states("later") == ["ReceiveAlerts", "PhoneCall"], "the later one waits too")
    stage.stop(later)
    choice = machine.get_by_role("combobox", name="Execution")
    expect(choice).to_contain_text("was stopped")
    expect(machine.locator(".node.current tspan")).to_have_text("PhoneCall")
    choice.select_option("later")
    expect(machine.locator(".node.failed tspan")).to_have_text("PhoneCall")


def test_incidents_are_listed_with_their_timelines(stage: Stage, page: Page) -> None:
    stage.put(incident(2, "acknowledged", "a later one"))
    incidents = page.get_by_role("region", name="Incidents")
    expect(incidents).to_contain_text("2 open of 2")
    first = incidents.locator("details").first
    expect(first).to_contain_text("a later one")
    expect(first).to_contain_text("佐藤 結衣 has it")
    other = incidents.locator("details").nth(1)
    other.locator("summary").click()
    expect(other).to_contain_text("calling 佐藤 結衣")
    expect(other).to_contain_text("something new (count 3)")  # of a kind that the page does not know


def test_who_is_on_call_is_listed_in_order(page: Page) -> None:
    order = page.get_by_role("region", name="On call now").get_by_role("listitem")
    expect(order).to_have_count(2)


def test_without_monitoring_the_page_says_what_to_do_instead(page: Page) -> None:
    expect(page.get_by_role("region", name="Monitoring")).to_contain_text("Not running (MONITORING=0).")
    expect(page.get_by_role("button", name="Break the site")).to_be_hidden()


def test_a_refusal_of_a_simulator_is_shown(page: Page) -> None:
    page.evaluate("import('/store.js').then((store) => store.send('POST', 'twilio/calls/CA0/answer'))")
    expect(page.get_by_role("alert")).to_contain_text("there is no call CA0")


def test_a_page_outlives_its_devstack_and_finds_the_next_one(stage: Stage, page: Page) -> None:
    port = free_port()
    with stage.process(port):
        page.goto(f"http://127.0.0.1:{port}")
        expect(phone(page, "Alex Miller")).to_be_visible()
    expect(page.get_by_text("The devstack does not answer.")).to_be_visible(timeout=30_000)
    with stage.process(port):
        expect(page.get_by_text("The devstack does not answer.")).to_be_hidden(timeout=30_000)
        stage.ring(SATO, "Critical alert.")
        expect(phone(page, "佐藤 結衣")).to_contain_text("ringing")


# Screens.


@pytest.mark.parametrize("width", [320, 390, 820, 1280, 1920])
def test_nothing_is_cut_off_at_any_width(stage: Stage, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    stage.put([item for i in range(20) for item in incident(10 + i, summary="w" * 200)])
    stage.post("x" * 300 + " " + "https://example.com/" + "y" * 300)
    set_line(stage, SATO, {"behaviour": "answer"})
    stage.ring(SATO, "z" * 200)
    expect(phone(page, "佐藤 結衣").get_by_role("log", name="Heard")).to_contain_text("zzz")
    expect(channel(page)).to_contain_text("yyy")
    expect(page.get_by_role("region", name="Incidents")).to_contain_text("www")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (node) => { // the colours below a text, the uppermost last
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") { layers.unshift(channels(style.backgroundImage.match(/rgb[^)]*\\)/)[0])); break; }
      layers.unshift(channels(style.backgroundColor));
      if (layers[0].length < 4 || layers[0][3] === 1) break;
    }
    return layers.reduce((under, [r, g, b, a = 1]) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a)));
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || node.closest("svg, .aside, option, .skip, script")) continue;
    const [a, b] = [light(channels(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${text.data.trim().slice(0, 40)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast_in_both_schemes(stage: Stage, page: Page, scheme: Any) -> None:
    """WCAG 2 AA: 4.5 to 1."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for i, state in enumerate(["triggered", "acknowledged", "resolved"]):
        stage.put(incident(10 + i, state))
    stage.post("text <!here>", blocks=[{"type": "actions", "elements": [RESOLVE, {**BUTTON, "style": "primary"}]}])
    stage.post("text <!here> `code` <@U0SATO>")
    set_line(stage, MILLER, {"behaviour": "busy"})
    stage.ring(SATO, "Critical alert.")
    page.get_by_role("button", name="Answer").first.click()
    expect(phone(page, "佐藤 結衣").get_by_role("log", name="Heard")).to_contain_text("Critical alert.")
    stage.control("twilio", "faults", {"callbacks": {"repeat": 5}})
    expect(page.get_by_text("Broken on purpose")).to_be_visible()
    expect(channel(page)).to_contain_text("code")
    page_colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (page_colour == "rgb(14, 16, 22)") == (scheme == "dark")
    assert page.evaluate(CONTRASTS) == []


def test_who_wants_less_motion_gets_none(stage: Stage, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    stage.ring(SATO, "Critical alert.")
    expect(phone(page, "佐藤 結衣")).to_contain_text("ringing")
    assert page.evaluate("document.getAnimations().length") == 0


def test_nothing_of_the_page_is_without_a_name(stage: Stage, page: Page) -> None:
    """Every control has a name that a screen reader can say, and every id is there once."""
    stage.ring(SATO, "Critical alert.")
    stage.post("text", blocks=[{"type": "actions", "elements": [RESOLVE]}])
    expect(channel(page).get_by_role("button", name="Resolve")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, a, summary")].filter((it) => it.checkVisibility())
        .filter((it) => !it.getAttribute("aria-label") && !it.labels?.length)
        .filter((it) => it.tagName === "SELECT" || !it.textContent.trim())
        .map((it) => it.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((it) => it.id)")
    assert len(ids) == len(set(ids))


def test_the_newest_incident_is_what_the_first_glance_finds(page: Page) -> None:
    expect(page.get_by_role("region", name="Incidents")).to_contain_text(DOWN)


def test_the_home_of_the_app_is_opened_for_who_looks(stage: Stage, page: Page) -> None:
    channels = page.get_by_role("group", name="Channels")
    channels.get_by_role("button", name="Home").click()
    eventually(lambda: stage.opened == ["U0SATO"], "the application is told")
    stage.publish("U0SATO", "Your next shift is tomorrow")
    expect(channel(page)).to_contain_text("Your next shift is tomorrow")
    channel(page).get_by_role("button", name="Acknowledge").click()
    eventually(lambda: [press["container"]["type"] for press in stage.presses] == ["view"], "the press reaches it")
    channels.get_by_role("button", name="on-call").click()
    expect(channel(page).get_by_text("Your next shift")).to_be_hidden()


def test_a_text_is_shown_on_its_phone(stage: Stage, page: Page) -> None:
    stage.text(SATO, "You have it: https://example.com/thread")
    texts = phone(page, "佐藤 結衣").get_by_role("log", name="Messages")
    expect(texts).to_contain_text("SMS You have it: https://example.com/thread")


# The guide follows what people do, and not only the site.


def guide(page: Page) -> Locator:
    return page.locator("#guide")


def test_the_guide_says_the_same_in_both_languages(page: Page) -> None:
    shapes = page.evaluate(
        """async () => {
          const { WORDS } = await import("/guide_words.js");
          const shape = (word) => {
            if (Array.isArray(word)) return word.map(shape);
            return typeof word === "function" ? word.length : typeof word;
          };
          const shapes = (words) => Object.fromEntries(Object.entries(words).map(([key, word]) => [key, shape(word)]));
          return Object.values(WORDS).map(shapes);
        }"""
    )
    assert len(shapes) == 2
    assert shapes[0] == shapes[1]


def nothing_has_happened(stage: Stage) -> None:
    """Of what other tests have left in the table, nothing is listed."""
    sources = Sources(stage.endpoints)
    for item in sources._query(f"INCIDENTS#{datetime.now(UTC):%Y-%m}"):
        sources._dynamodb.delete_item(TableName=stage.endpoints.table, Key={"pk": item["pk"], "sk": item["sk"]})


def is_watched(page: Page, *, silenced: int) -> None:
    """Prometheus has seen at NOW that the site is down, and Alertmanager has silences for so many alerts."""
    page.evaluate(
        """async ([now, silenced]) => {
          const store = await import("/store.js");
          const since = new Date(now).toISOString();
          const firing = { name: "URLDown", severity: "critical", state: "firing", since, labels: {}, annotations: {} };
          store.state.prometheus = { alerts: [firing], targets: [] };
          store.state.alertmanager = { groups: [{ labels: {}, receiver: "on-call", alerts: 1, silenced }], silences: [] };
          store.changed("prometheus");
        }""",
        [NOW, silenced],
    )


def test_the_guide_says_who_ends_a_page_by_hand(stage: Stage, page: Page) -> None:
    nothing_has_happened(stage)
    state, *rest = incident(7, "acknowledged")[1:]
    stage.put([*incident(7)[:1], state | {"group_key": "page:page-1"}, *rest])
    resolve = {
        "type": "button",
        "action_id": "resolve",
        "value": state["id"],
        "text": {"type": "plain_text", "text": "Resolve"},
    }
    stage.post("text", blocks=[{"type": "actions", "elements": [resolve]}])
    expect(guide(page)).to_contain_text("佐藤 結衣 has it. Resolve it when it is over")
    expect(guide(page)).to_contain_text(f"oncall resolve {state['id']}")
    expect(guide(page)).not_to_contain_text("Prometheus")
    guide(page).get_by_role("button", name="Resolve it").click()
    eventually(lambda: [one["actions"][0]["value"] for one in stage.presses] == [state["id"]], "Resolve is pressed")


@pytest.mark.parametrize(
    ("silenced", "resolved_by", "says"),
    [
        (1, "", "The alert is muted"),
        (0, "鈴木 大翔", "鈴木 大翔 has resolved it, and the site is still down"),
        (0, "", "The alert fires"),
    ],
    ids=["muted", "resolved by hand", "neither"],
)
def test_the_guide_says_why_no_phone_rings(
    stage: Stage, page: Page, silenced: int, resolved_by: str, says: str
) -> None:
    nothing_has_happened(stage)
    listed, state, *events = incident(8, "resolved")
    end = {"pk": state["pk"], "sk": "EVENT#000009", "number": 9, "at": NOW + 20_000, "kind": "resolved", "detail": {}}
    stage.put([listed, state, *events, end | {"who": resolved_by}])
    stage.control("site", "site", {"status": 503})
    expect(page.get_by_role("region", name="Incidents")).to_contain_text("resolved")
    is_watched(page, silenced=silenced)
    expect(guide(page)).to_contain_text(says)
    expect(guide(page).get_by_role("button", name="Fix the site")).to_be_visible()


# What phones and Slack speak.


def languages(stage: Stage) -> dict[str, str]:
    found = Sources(stage.endpoints)._query("ROSTER")
    return {str(item["sk"]): str(item["language"]) for item in found if "language" in item}


@pytest.mark.parametrize(("locale", "language"), [("en-US", "en"), ("ja-JP", "ja")])
def test_calls_and_slack_speak_the_browsers_language_until_somebody_chooses(
    stage: Stage, browser: Browser, locale: str, language: str
) -> None:
    people = [("sato", "佐藤 結衣", "ja"), ("miller", "Alex Miller", "en")]
    stage.put(
        [
            *(
                {
                    "pk": "ROSTER",
                    "sk": f"RESPONDER#{key}#v2",
                    "version": 2,
                    "id": key,
                    "name": name,
                    "phone": SATO,
                    "language": spoken,
                }
                for key, name, spoken in people
            ),
            {"pk": "ROSTER", "sk": "PRODUCT#product-a#v2", "version": 2, "id": "product-a", "language": "ja"},
        ]
    )
    page = browser.new_page(locale=locale)
    page.goto(stage.console)
    expect(page.get_by_label("Calls, Slack and guide in")).to_have_value(language)
    said = {"en": "a phone is about to ring", "ja": "まもなく電話が鳴ります"}
    expect(guide(page)).to_contain_text(said[language])
    theirs = {"RESPONDER#sato#v2": language, "PRODUCT#product-a#v2": language, "RESPONDER#miller#v2": "en"}
    eventually(lambda: languages(stage) == theirs, "they speak it")
    other = "ja" if language == "en" else "en"
    page.get_by_label("Calls, Slack and guide in").select_option(other)
    eventually(lambda: languages(stage)["RESPONDER#sato#v2"] == other, "they speak the other one")
    assert languages(stage)["RESPONDER#miller#v2"] == "en"
    page.reload()
    expect(page.get_by_label("Calls, Slack and guide in")).to_have_value(other)
    page.close()
