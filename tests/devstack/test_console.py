"""The console, used by a person with a browser: the simulators and moto are real, the application is the test's own."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from werkzeug.serving import make_server
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from devstack import console, site, slack, twilio
from devstack.console import Endpoints
from devstack.serve import TETHER, free_port

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from mypy_boto3_stepfunctions import SFNClient

CHROMIUM = shutil.which("chromium")
ACCOUNT, TOKEN = "AC" + "0" * 32, "the-auth-token-of-the-tests"
SATO, MILLER = "+12025550100", "+12025550103"
REGION = "ap-northeast-1"
DOWN = "product-a: product-a.example.com is down"
STATE_MACHINE = {
    "StartAt": "ReceiveAlerts",
    "States": {
        "ReceiveAlerts": {"Type": "Pass", "Next": "PhoneCall"},
        "PhoneCall": {"Type": "Wait", "Seconds": 3600, "End": True},
    },
}


@contextmanager
def served(app: "WSGIApplication") -> Iterator[str]:
    """The address of `app`, served from a thread."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Stage:
    """The devstack's simulators, a table and a state machine, and the console in front of them."""

    endpoints: Endpoints
    application: str
    console: str = ""
    presses: list[dict[str, Any]] = field(default_factory=list)

    def ring(self, number: str, text: str) -> str:
        """Have the platform call a phone and say something; the sid of the call."""
        twiml = (
            f'<Response><Gather numDigits="1" timeout="60" action="{self.application}/key">'
            f"<Say>{text}</Say></Gather></Response>"
        )
        answer = requests.post(
            f"{self.endpoints.twilio}/2010-04-01/Accounts/{ACCOUNT}/Calls.json",
            data={"To": number, "From": "+12025550199", "Twiml": twiml, "Timeout": "60"},
            auth=(ACCOUNT, TOKEN),
            timeout=10,
        )
        answer.raise_for_status()
        return str(answer.json()["sid"])

    def post(self, text: str, **more: object) -> str:
        """Have the platform post to the channel; the ts of the message."""
        answer = requests.post(
            f"{self.endpoints.slack}/api/chat.postMessage",
            json={"channel": "C012AB3CD", "text": text, **more},
            headers={"Authorization": "Bearer xoxb-tests"},
            timeout=10,
        )
        assert answer.json()["ok"], answer.text
        return str(answer.json()["ts"])

    def start(self, name: str) -> str:
        """Start an execution; its ARN."""
        execution = stepfunctions(self.endpoints.aws).start_execution(
            stateMachineArn=self.endpoints.state_machine_arn, name=name, input="{}"
        )
        return execution["executionArn"]

    def stop(self, execution: str) -> None:
        """Stop an execution."""
        stepfunctions(self.endpoints.aws).stop_execution(executionArn=execution)


CREDENTIALS: Any = {"region_name": REGION, "aws_access_key_id": "devstack", "aws_secret_access_key": "devstack"}


OPENED_AT = int(time.time() * 1000)
# As the platform writes them: a roster of which version 2 counts, and an incident.
ITEMS: list[dict[str, Any]] = [
    {"pk": "ROSTER", "sk": "META", "version": 2},
    *(
        {"pk": "ROSTER", "sk": f"RESPONDER#{key}#v{version}", "version": version, "id": key, **attributes}
        for key, version, attributes in (
            ("miller", 2, {"position": 2, "name": "Alex Miller", "phone": MILLER}),
            ("sato", 2, {"position": 1, "name": "佐藤 結衣", "phone": SATO, "slack_user": "U0SATO"}),
            ("gone", 1, {"position": 1, "name": "Gone", "phone": "+12025550150"}),
        )
    ),
    {"pk": "INCIDENT#1", "sk": "STATE", "id": "1", "state": "triggered", "summary": DOWN, "opened_at": OPENED_AT},
]


def stepfunctions(aws: str) -> "SFNClient":
    return boto3.client("stepfunctions", endpoint_url=aws, **CREDENTIALS)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 seconds: {what}"
        time.sleep(0.05)


def deployed(aws: str) -> str:
    """A table with a roster and an incident in it, and a state machine; its ARN."""
    requests.post(f"{aws}/moto-api/reset", timeout=10).raise_for_status()
    dynamodb = boto3.resource("dynamodb", endpoint_url=aws, **CREDENTIALS)
    table = dynamodb.create_table(
        TableName="on-call",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    for item in ITEMS:
        table.put_item(Item=item)
    requests.post(f"{aws}/moto-api/config", json={"stepfunctions": {"execute_state_machine": True}}, timeout=10)
    return stepfunctions(aws).create_state_machine(
        name="on-call", definition=json.dumps(STATE_MACHINE), roleArn="arn:aws:iam::123456789012:role/on-call"
    )["stateMachineArn"]


@contextmanager
def moto() -> Iterator[str]:
    """The address of moto, in a process of its own: its state machines go on after a test, and end with it."""
    port = free_port()
    command = [*TETHER, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - named above
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/moto-api/config"), "moto is ready")
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False


@contextmanager
def staged(aws: str) -> Iterator[Stage]:
    """Everything, running."""
    presses: list[dict[str, Any]] = []

    @Request.application
    def application(request: Request) -> Response:
        if request.path == "/key":
            return Response("<Response><Say>You have it.</Say><Hangup/></Response>", mimetype="text/xml")
        presses.append(json.loads(request.form["payload"]))
        return Response()

    with ExitStack() as stack:
        application_url = stack.enter_context(served(application))
        slack_app = slack.create_app(
            bot_token="xoxb-tests", signing_secret="s" * 32, interactivity_url=f"{application_url}/slack"
        )
        endpoints = Endpoints(
            twilio=stack.enter_context(served(twilio.create_app(account_sid=ACCOUNT, auth_token=TOKEN))),
            slack=stack.enter_context(served(slack_app)),
            site=stack.enter_context(served(site.create_app())),
            aws=aws,
            region=REGION,
            table="on-call",
            state_machine_arn=deployed(aws),
        )
        requests.put(f"{endpoints.twilio}/_sim/settings", json={"speech_rate": 100, "calls_per_second": 100}, timeout=5)
        stage = Stage(endpoints, application_url, presses=presses)
        stage.console = stack.enter_context(served(console.create_app(endpoints)))
        yield stage


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def stage(aws: str) -> Iterator[Stage]:
    with staged(aws) as stage:
        yield stage


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    """The console in a browser; an error of its script, and any request to elsewhere, fail the test."""
    complaints: list[str] = []

    def note(url: str) -> None:
        if not url.startswith((f"{stage.console}/", "data:")):
            complaints.append(f"a request to {url}")

    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: note(request.url))
    page.goto(stage.console)
    yield page
    page.close()
    assert not complaints


def phone(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=f"Phone of {name}")


def test_a_person_answers_hears_the_alert_and_presses_a_key(stage: Stage, page: Page) -> None:
    sato = phone(page, "佐藤 結衣")
    expect(sato).to_contain_text("idle")
    stage.ring(SATO, "Critical alert. Press 1 to take it.")
    expect(sato).to_contain_text("ringing")
    expect(page).to_have_title("☎ 佐藤 結衣 – On-call devstack")
    sato.get_by_role("button", name="Answer").click()
    expect(sato.get_by_role("log")).to_contain_text("Critical alert. Press 1 to take it.")
    sato.get_by_role("button", name="1", exact=True).click()
    expect(sato.get_by_role("log")).to_contain_text("You have it.")
    expect(sato.get_by_role("log")).to_contain_text("Pressed 1")
    expect(sato.get_by_role("log")).to_contain_text("Ended")
    expect(sato).to_contain_text("1 call")
    expect(phone(page, "Alex Miller")).to_contain_text("idle")


def test_the_keyboard_alone_is_enough(stage: Stage, page: Page) -> None:
    sato = phone(page, "佐藤 結衣")
    stage.ring(SATO, "Critical alert.")
    expect(sato).to_contain_text("ringing")
    page.keyboard.press("d")
    expect(sato.get_by_role("log")).to_contain_text("Busy")
    stage.ring(SATO, "Critical alert.")
    expect(sato).to_contain_text("ringing")
    page.keyboard.press("a")
    expect(sato).to_contain_text("in a call")
    sato.get_by_role("button", name="1", exact=True).focus()
    expect(sato.get_by_role("log")).to_contain_text("Critical alert.")
    page.keyboard.press("7")
    expect(sato.get_by_role("log")).to_contain_text("Pressed 7")
    stage.ring(SATO, "Critical alert.")
    expect(sato).to_contain_text("ringing")
    sato.get_by_role("button", name="Answer").focus()
    page.keyboard.press("Enter")
    expect(sato).to_contain_text("in a call")
    page.keyboard.press("h")
    expect(sato).to_contain_text("idle")


def test_what_a_phone_does_with_its_next_calls_is_chosen_on_the_page_and_seen_there(stage: Stage, page: Page) -> None:
    behaviour = phone(page, "Alex Miller").get_by_role("combobox", name="Next calls")
    behaviour.select_option("busy")
    expect(phone(page, "佐藤 結衣").get_by_role("combobox", name="Next calls")).to_have_value("by hand")
    stage.ring(MILLER, "Critical alert.")
    expect(phone(page, "Alex Miller").get_by_role("log")).to_contain_text("Busy")
    set_line(stage, MILLER, {"behaviour": "answer", "digits": "1"})
    behaviour.blur()
    expect(behaviour).to_have_value("answer, press 1")


def set_line(stage: Stage, number: str, line: dict[str, str]) -> None:
    requests.put(f"{stage.endpoints.twilio}/_sim/lines/{number}", json=line, timeout=10).raise_for_status()


def test_a_called_number_that_the_roster_does_not_have_gets_a_phone_too(stage: Stage, page: Page) -> None:
    expect(phone(page, "Alex Miller")).to_be_visible()
    expect(page.get_by_text("Gone")).to_have_count(0)  # of an older version of the roster
    stage.ring("+12025550177", "Critical alert.")
    expect(phone(page, "Unknown")).to_contain_text("+12025550177")


def test_the_channel_shows_messages_with_threads_and_its_buttons_press(stage: Stage, page: Page) -> None:
    ts = stage.post(
        "in short",
        blocks=[
            {"type": "header", "text": {"type": "plain_text", "text": "product-a is down"}},
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "*Ringing* <@U0SATO>, see <https://example.com/a?b=1&amp;c=2|the page>",
                },
            },
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "since `08:00`"}]},
            {
                "type": "actions",
                "elements": [
                    {
                        "type": "button",
                        "action_id": "acknowledge",
                        "text": {"type": "plain_text", "text": "Acknowledge"},
                        "value": "20261122",
                    }
                ],
            },
        ],
    )
    channel = page.get_by_role("log", name="Channel")
    expect(channel.get_by_role("heading")).to_have_text("product-a is down")
    expect(channel.locator("b", has_text="Ringing")).to_be_visible()
    expect(channel).to_contain_text("@佐藤 結衣")
    expect(channel.get_by_role("link", name="the page")).to_have_attribute("href", "https://example.com/a?b=1&c=2")
    expect(channel.locator("code")).to_have_text("08:00")
    button = channel.get_by_role("button", name="Acknowledge")
    button.focus()
    page.keyboard.press("Enter")
    eventually(lambda: bool(stage.presses), "the press reaches the application")
    [press] = stage.presses
    assert press["user"]["id"] == "U0SATO"
    assert press["actions"][0]["action_id"] == "acknowledge"
    assert press["actions"][0]["value"] == "20261122"

    stage.post("Taken by *Alex*.", thread_ts=ts)
    expect(channel.locator(".thread .message")).to_contain_text("Taken by Alex.")
    expect(button).to_be_focused()  # what changes elsewhere does not take the keyboard away


HOSTILE = '<img src=x onerror="fetch(`//x.example`)"> <javascript:alert(1)|click> <b>"&\' `${1}` *_~'


def test_what_others_wrote_is_text_and_nothing_else(stage: Stage, page: Page) -> None:
    stage.post(HOSTILE)
    stage.post("text", blocks=[{"type": "header", "text": {"type": "plain_text", "text": HOSTILE}}])
    set_line(stage, MILLER, {"behaviour": "answer"})
    stage.ring(MILLER, "&lt;img src=x onerror=alert(1)&gt;")
    channel = page.get_by_role("log", name="Channel")
    expect(channel.get_by_role("heading")).to_have_text(HOSTILE)
    expect(channel).to_contain_text("<javascript:alert(1)|click>")
    expect(phone(page, "Alex Miller").get_by_role("log")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img").count() == 0
    assert channel.get_by_role("link").count() == 0


def test_the_site_breaks_and_mends_with_its_switch(stage: Stage, page: Page) -> None:
    site_card = page.get_by_role("region", name="Site")
    expect(site_card.get_by_role("status")).to_have_text("answers 200")
    site_card.get_by_role("button", name="Break it").click()
    expect(site_card.get_by_role("status")).to_have_text("answers 503")
    assert requests.get(stage.endpoints.site, timeout=10).status_code == 503
    site_card.get_by_role("button", name="Mend it").click()
    expect(site_card.get_by_role("status")).to_have_text("answers 200")
    assert requests.get(stage.endpoints.site, timeout=10).status_code == 200


def test_the_running_execution_shows_its_current_state_even_after_later_ones_have_ended(
    stage: Stage, page: Page
) -> None:
    machine = page.get_by_role("region", name="State machine")
    expect(machine).to_contain_text("Nothing has run yet.")
    stage.start("first")
    current = machine.locator("[aria-current=step]")
    expect(current).to_have_text("PhoneCall")
    expect(machine.get_by_role("list", name="States of this execution")).to_contain_text("ReceiveAlerts")
    later = stage.start("later")
    stage.stop(later)
    expect(machine.get_by_role("list", name="Earlier executions")).to_contain_text("aborted")
    expect(machine).to_contain_text("first")
    expect(current).to_have_text("PhoneCall")


def test_incidents_are_listed_with_their_state(page: Page) -> None:
    incidents = page.get_by_role("list", name="Incidents")
    expect(incidents).to_contain_text("triggered")
    expect(incidents).to_contain_text(DOWN)


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
def test_nothing_is_cut_off_at_any_width(stage: Stage, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    stage.post("x" * 300 + " " + "https://example.com/" + "y" * 300)
    set_line(stage, SATO, {"behaviour": "answer"})
    stage.ring(SATO, "z" * 200)
    expect(phone(page, "佐藤 結衣").get_by_role("log")).to_contain_text("zzz")
    expect(page.get_by_role("log", name="Channel")).to_contain_text("yyy")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_part_that_is_down_is_named_and_the_rest_still_shown(stage: Stage) -> None:
    with served(console.create_app(replace(stage.endpoints, slack="http://127.0.0.1:1"))) as lame:
        answer = requests.get(f"{lame}/api/state", timeout=30).json()
        assert answer["messages"] is None
        assert "messages" in answer["errors"]
        assert [r["id"] for r in answer["responders"]] == ["sato", "miller"]
        assert requests.post(f"{lame}/api/slack/messages/1.2/press", json={}, timeout=30).status_code == 502


def test_a_refusal_of_a_simulator_is_shown(page: Page) -> None:
    page.evaluate("send('POST', 'twilio/calls/CA0/answer')")
    expect(page.get_by_role("alert")).to_contain_text("there is no call CA0")


# Without a browser: who may talk to it.


@pytest.fixture
def client(stage: Stage) -> Client:
    return Client(console.create_app(stage.endpoints))


def status_of_site(stage: Stage) -> int:
    return requests.get(stage.endpoints.site, timeout=10).status_code


BREAK: Any = {"path": "/api/site/site", "method": "PUT", "json": {"status": 503}}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "127.0.0.2", "[::1", "", "localhost@evil"]
)
@pytest.mark.parametrize("path", ["/", "/api/state"])
def test_a_foreign_host_is_refused(client: Client, stage: Stage, host: str, path: str) -> None:
    """A name that an attacker made point here: DNS rebinding."""
    assert client.get(path, headers={"Host": host}).status_code == 403
    assert client.open(**BREAK, headers={"Host": host}).status_code == 403
    assert status_of_site(stage) == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:1", "http://localhost.evil.example", "https://localhost"],
)
def test_a_foreign_origin_is_refused(client: Client, stage: Stage, origin: str) -> None:
    """Another page, on this machine or not, in the same browser: cross-site request forgery."""
    headers = {"Host": "localhost", "Origin": origin}
    assert client.open(**BREAK, headers=headers).status_code == 403
    assert client.get("/api/state", headers=headers).status_code == 403
    assert status_of_site(stage) == 200


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:8080"}])
def test_its_own_page_and_programs_of_this_machine_may(client: Client, stage: Stage, headers: dict[str, str]) -> None:
    assert client.open(**BREAK, headers={"Host": "localhost:8080", **headers}).status_code == 200
    assert status_of_site(stage) == 503


@pytest.mark.parametrize(
    "path",
    [
        "/api/site/../twilio/calls",
        "/api/site/..",
        "/api/site/",
        "/api/site",
        "/api/aws/x",
        "/api/site/%2e%2e/x",
        "/api/site/http:%2f%2fevil.example",
        "/api/site/site%3fa",
        "/api/site/a%0d%0aHost:x",
        "/etc/passwd",
    ],
)
def test_only_the_controls_of_the_simulators_are_passed_on(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "localhost"}).status_code == 404


def test_other_methods_and_large_bodies_are_not_passed_on(client: Client) -> None:
    headers = {"Host": "localhost"}
    assert client.delete("/api/twilio/errors", headers=headers).status_code == 405
    assert client.put("/api/site/site", data=b"x" * 70_000, headers=headers).status_code == 413


def test_a_refusal_passes_through_with_its_reason(client: Client) -> None:
    answer = client.put("/api/site/site", json={"status": 1}, headers={"Host": "localhost"})
    assert answer.status_code == 400
    assert answer.json == {"error": "status is a whole number from 200 to 599"}


def test_the_page_may_run_its_own_script_and_reach_its_own_origin_alone(client: Client) -> None:
    answer = client.get("/", headers={"Host": "localhost"})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert b"innerHTML" not in answer.data
