"""The first minute of a newcomer, in a real browser, with the real Prometheus and Alertmanager."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from devstack.console.senders import SENDERS
from tests.browser_fixture import faultless
from tests.devstack_fixture import Devstack

HOP = 120_000  # milliseconds for one hop; Prometheus and Alertmanager have intervals of their own


@pytest.fixture
def page(monitored_devstack: Devstack, browser: Browser) -> Iterator[Page]:
    """The console of a system whose phones are answered by hand, and whose site is up again afterwards."""
    for number in range(100, 104):
        monitored_devstack.line(f"+12025550{number}", "ring")
    with faultless(browser, monitored_devstack.endpoints["console"]) as page:
        page.set_default_timeout(HOP)
        yield page
    monitored_devstack.control("PUT", "site", "site", {})


def test_break_the_site_decline_answer_press_1_mend_the_site_all_green(page: Page) -> None:
    """The site breaks, a phone rings, the second person takes it, Slack shows it, the site is fixed: all green."""
    guide = page.locator("#guide")
    phones, channel = page.get_by_role("region", name="Phones"), page.get_by_role("log", name="Channel")
    machine, monitoring = (
        page.get_by_role("region", name="State machine"),
        page.get_by_role("region", name="Monitoring"),
    )

    def phone(name: str) -> Locator:
        return phones.get_by_role("article", name=f"Phone of {name}")

    expect(monitoring).to_contain_text(re.compile(r"(\d+) of \1 targets up"), timeout=HOP)
    guide.get_by_role("button", name=re.compile("止める")).click()  # the browser is Japanese
    expect(monitoring.get_by_text("URL Alert(critical)").first).to_be_visible(timeout=HOP)

    expect(phone("佐藤 結衣")).to_contain_text("ringing", timeout=HOP)
    expect(machine.locator(".node.current tspan", has_text="PhoneCall")).to_be_visible(timeout=HOP)
    phone("佐藤 結衣").get_by_role("button", name="Decline").click()

    expect(phone("鈴木 大翔")).to_contain_text("ringing", timeout=HOP)
    page.keyboard.press("a")
    heard = phone("鈴木 大翔").get_by_role("log", name="Heard")
    expect(heard).to_contain_text("1", timeout=HOP)  # the key
    expect(guide).to_contain_text("鈴木 大翔さんの電話で 1 を押します")
    phone("鈴木 大翔").get_by_role("button", name="1", exact=True).click()

    message = channel.locator("#messages > .message").last
    expect(message).to_contain_text("鈴木 大翔さんが対応中", timeout=HOP)
    incident = page.get_by_role("region", name="Incidents").locator("details").first
    expect(incident).to_contain_text("鈴木 大翔 took it by phone", timeout=HOP)

    guide.get_by_role("button", name="サイトを直す").click()
    expect(message).to_contain_text("解決しました", timeout=HOP)
    expect(incident.locator(".pill")).to_have_text("resolved", timeout=HOP)
    expect(guide).to_contain_text("すべて正常に戻りました", timeout=HOP)
    expect(monitoring).to_contain_text("No alert is pending or firing.", timeout=HOP)
    expect(page.get_by_text("Broken on purpose")).to_be_hidden()
    # Done, and nowhere a failure on the way.
    expect(machine.locator(".node.done tspan", has_text="Done")).to_be_visible(timeout=HOP)
    expect(machine.locator(".node.failed, .node.caught")).to_have_count(0)


def test_an_alert_of_each_sender_tells_its_story_and_resolves(monitored_devstack: Devstack, page: Page) -> None:
    for number in range(100, 104):
        monitored_devstack.line(f"+12025550{number}", "answer", digits="1")
    senders = page.get_by_role("region", name="Alerts from elsewhere")
    incidents = page.get_by_role("region", name="Incidents")
    expect(senders.get_by_role("group")).to_have_count(len(SENDERS), timeout=HOP)
    for sender in SENDERS:
        senders.get_by_role("button", name=f"Fire: {sender.title}").press("Enter")  # the page grows below a mouse
    stories = [incidents.locator("details", has_text=said).first for said in SAID]
    for story in stories:
        expect(story.locator(".pill")).to_have_text(re.compile("triggered|acknowledged"), timeout=HOP)
    for said in SAID:
        expect(page.get_by_role("log", name="Channel")).to_contain_text(said, timeout=HOP)
    for sender in SENDERS:
        senders.get_by_role("button", name=f"Resolve: {sender.title}").press("Enter")
    for story in stories:
        expect(story.locator(".pill")).to_have_text("resolved", timeout=HOP)


SAID = (
    *("the processors of the shop are busy", "the queue is full", "no order for ten minutes", "web-1 answers slowly"),
    *("ReferenceError in the checkout", "Uptime Kuma: the shop is down", "the disk of db-1 is full"),
    *("Deploy failed in example/shop", "the backup did not run"),
)


def test_every_switch_is_taken_by_the_whole_system(monitored_devstack: Devstack, page: Page) -> None:
    """Those of the gateway and of the functions too, which the console's own tests have no parts for."""
    faults = page.get_by_role("region", name="Make it fail")
    for group, choice in (
        ("API Gateway", "throttled"),
        ("API Gateway", "timeouts"),
        ("PhoneCall function", "killed at once"),
        ("PhoneCall function", "killed when done"),
        ("PhoneCall function", "Lambda is away"),
    ):
        faults.get_by_role("group", name=group).get_by_role("radio", name=choice).check()
        expect(page.get_by_text("Broken on purpose")).to_contain_text(f"{group}: {choice}", timeout=HOP)
    page.get_by_role("button", name="All faults off").click()
    expect(page.get_by_text("Broken on purpose")).to_be_hidden(timeout=HOP)
    assert monitored_devstack.control("GET", "gateway", "faults") == {}
    assert monitored_devstack.control("GET", "aws", "faults") == {}
