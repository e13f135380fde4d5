"""The console without a browser: what it gathers, what it passes on, and who may talk to it."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from devstack.console import faults, server, watch
from oncall import events
from oncall.alerts import keys, pagerduty
from oncall.alerts.keys import Key
from oncall.events import BUILT_IN
from tests.devstack.console_stage import CREDENTIALS, DOWN, Stage, served, staged

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGE = Path(server.__file__).with_name("page")


@pytest.fixture(scope="module")
def stage(bare_aws: str) -> Iterator[Stage]:
    with staged(bare_aws) as stage:
        yield stage


def test_a_part_that_is_down_is_named_and_the_rest_still_shown(stage: Stage) -> None:
    with served(server.create_app(replace(stage.endpoints, slack="http://127.0.0.1:1"))) as lame:
        answer = requests.get(f"{lame}/api/state", timeout=60).json()
        assert answer["slack"] is None
        assert "slack" in answer["errors"]
        assert [r["id"] for r in answer["responders"]] == ["sato", "miller"]
        assert requests.post(f"{lame}/api/slack/messages/1.2/press", json={}, timeout=30).status_code == 502


def test_without_monitoring_it_says_so(stage: Stage) -> None:
    answer = requests.get(f"{stage.console}/api/state", timeout=60).json()
    assert answer["prometheus"] is None
    assert answer["alertmanager"] is None
    assert not {"prometheus", "alertmanager"} & answer["errors"].keys()


def parts(console_url: str, wanted: Callable[[dict[str, Any]], bool], act: Callable[[], object]) -> dict[str, Any]:
    """Follow the events until one of them is wanted; `act` is called once the first has come."""
    has_acted = False
    with requests.get(f"{console_url}/api/events", stream=True, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if not line.startswith(b"data: "):
                continue
            event: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            if has_acted and wanted(event):
                return event
            if not has_acted:
                act()
                has_acted = True
    raise AssertionError("the stream has ended")


def test_whoever_looks_is_told_what_has_changed(stage: Stage) -> None:
    def is_broken(event: dict[str, Any]) -> bool:
        return bool(event["part"] == "site" and event["value"]["status"] == 503)

    found = parts(stage.console, is_broken, lambda: stage.control("site", "site", {"status": 503}))
    assert found["error"] is None
    stage.control("site", "site", {})


def test_the_story_of_an_execution_is_what_its_history_says() -> None:
    """Two branches, a retry, an error that is caught, and one state that was not left."""
    at = datetime.now(UTC)

    def event(number: int, before: int, kind: str, **details: object) -> Any:
        return {"id": number, "previousEventId": before, "type": kind, "timestamp": at, **details}

    def entered(number: int, before: int, name: str) -> Any:
        return event(number, before, "TaskStateEntered", stateEnteredEventDetails={"name": name})

    def left(number: int, before: int, name: str, output: str = "{}") -> Any:
        return event(number, before, "TaskStateExited", stateExitedEventDetails={"name": name, "output": output})

    given = json.dumps({"webhook": {"status": "firing", "groupLabels": {"alertname": "Down", "product": "a"}}})
    decided = json.dumps({"action": "page", "incidents": ["1"], "page": {"token": "secret"}})
    story = watch.story(
        [
            event(1, 0, "ExecutionStarted", executionStartedEventDetails={"input": given}),
            entered(2, 0, "Read"),
            event(3, 2, "TaskFailed", taskFailedEventDetails={"error": "Throttled"}),
            event(4, 3, "TaskScheduled"),
            event(5, 4, "TaskSucceeded"),
            left(6, 5, "Read", decided),
            entered(7, 6, "Call"),
            event(8, 7, "TaskTimedOut", taskTimedOutEventDetails={"error": "States.Timeout"}),
            left(9, 8, "Call"),
            entered(10, 9, "Report"),
        ]
    )
    assert [(v["state"], v["look"], v["errors"]) for v in story["visits"]] == [
        ("Read", "done", ["Throttled"]),
        ("Call", "caught", ["States.Timeout"]),
        ("Report", "current", []),
    ]
    assert story["taken"] == [("Read", "Call"), ("Call", "Report")]
    assert (story["title"], story["action"], story["incidents"]) == ("firing: Down, a", "page", ["1"])
    assert "secret" not in json.dumps(story)


def test_an_execution_that_failed_says_where_and_why() -> None:
    at = datetime.now(UTC)
    events: list[Any] = [
        {"id": 1, "previousEventId": 0, "type": "ExecutionStarted", "timestamp": at},
        {
            "id": 2,
            "previousEventId": 0,
            "type": "FailStateEntered",
            "timestamp": at,
            "stateEnteredEventDetails": {"name": "Failed"},
        },
        {
            "id": 3,
            "previousEventId": 2,
            "type": "ExecutionFailed",
            "timestamp": at,
            "executionFailedEventDetails": {"error": "OnCallStepFailed"},
        },
    ]
    story = watch.story(events)
    assert story["failure"] == "OnCallStepFailed"
    assert [(v["state"], v["look"]) for v in story["visits"]] == [("Failed", "failed")]


def switches(stage: Stage) -> dict[str, str]:
    return {switch["id"]: switch["chosen"] for switch in watch.Sources(stage.endpoints).faults()["switches"]}


def choose(stage: Stage, switch: str, choice: str) -> None:
    answer = requests.put(f"{stage.console}/api/faults/{switch}", json={"choice": choice}, timeout=30)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def fixed(stage: Stage) -> Iterator[Stage]:
    yield stage
    assert requests.delete(f"{stage.console}/api/faults", timeout=30).status_code == 200


def test_every_choice_of_every_switch_is_taken_and_seen_by_its_part(fixed: Stage) -> None:
    for switch in faults.SWITCHES:
        if switch.part == "gateway" or switch.id == "phone-call":  # not on this stage; tried on the whole devstack
            continue
        for choice in switch.choices:
            choose(fixed, switch.id, choice.id)
            assert switches(fixed)[switch.id] == choice.id
        choose(fixed, switch.id, "")
        assert switches(fixed)[switch.id] == ""


def test_switches_of_one_part_hold_beside_each_other_and_all_end_at_once(fixed: Stage) -> None:
    choose(fixed, "calls", "503")
    choose(fixed, "callbacks", "late")
    choose(fixed, "dynamodb", "away")
    choose(fixed, "sns", "away")
    assert {k: v for k, v in switches(fixed).items() if v} == {
        "calls": "503",
        "callbacks": "late",
        "dynamodb": "away",
        "sns": "away",
    }
    requests.delete(f"{fixed.console}/api/faults", timeout=30).raise_for_status()
    assert not any(switches(fixed).values())


def test_a_fault_that_others_have_set_is_shown(fixed: Stage) -> None:
    fixed.control("twilio", "faults", {"create": {"status": 418}, "update": {"status": 503}})
    assert switches(fixed)["calls"] == "other"
    assert watch.Sources(fixed.endpoints).faults()["others"] == ["twilio: update"]


def test_the_console_sees_the_table_while_the_stack_does_not(fixed: Stage) -> None:
    choose(fixed, "dynamodb", "away")
    state = requests.get(f"{fixed.console}/api/state", timeout=60).json()
    assert [incident["summary"] for incident in state["incidents"]] == [DOWN]


@pytest.mark.parametrize(("switch", "choice"), [("nothing", "503"), ("site", "nothing")])
def test_an_unknown_switch_or_choice_is_refused(stage: Stage, switch: str, choice: str) -> None:
    answer = requests.put(f"{stage.console}/api/faults/{switch}", json={"choice": choice}, timeout=30)
    assert answer.status_code == 404


# Alerts from elsewhere.


class Gateway:
    """A gateway that keeps what is posted to it."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.status = 202

    def app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._respond(Request(environ))(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.path.startswith("/_sim/"):
            return Response("{}")
        self.posted.append((request.path, request.get_json()))
        return Response('{"message": "so it is"}', self.status)


def test_one_alert_of_each_sender_and_its_end_are_posted_in_its_form_with_a_key_that_the_table_knows(
    stage: Stage,
) -> None:
    gateway = Gateway()
    with (
        served(gateway.app) as address,
        served(server.create_app(replace(stage.endpoints, gateway=f"{address}/prod"))) as console,
    ):
        shown = requests.get(f"{console}/api/state", timeout=60).json()["senders"]
        assert {one["id"] for one in shown} == {"cloudwatch", "pagerduty", *BUILT_IN} - {"alertmanager"}
        for sender in shown:
            for word in ("firing", "resolved"):
                requests.post(
                    f"{console}/api/senders/{sender['id']}", json={"choice": word}, timeout=30
                ).raise_for_status()
        gateway.status = 400
        refused = requests.post(f"{console}/api/senders/generic", json={"choice": "firing"}, timeout=30)
    assert (refused.status_code, "so it is" in refused.json()["error"]) == (502, True)
    (key,) = {path.split("/")[4] for path, _ in gateway.posted if path.startswith("/prod/events/")}
    assert key not in refused.text
    assert [body["routing_key"] for path, body in gateway.posted if path == "/prod/v2/enqueue"] == [key, key]
    table = boto3.resource("dynamodb", endpoint_url=stage.endpoints.aws, **CREDENTIALS).Table(stage.endpoints.table)
    item = table.get_item(Key={"pk": keys.PARTITION, "sk": hashlib.sha256(key.encode()).hexdigest()})["Item"]
    assert keys.from_item(item) == Key("console", product="product-a")
    for path, body in gateway.posted:
        source = "pagerduty" if path.endswith("enqueue") else path.split("/")[3]
        said = pagerduty.read(body, "") if source == "pagerduty" else events.read(source, body, "", None, received_at=0)
        assert said, path


def test_an_unknown_sender_or_word_is_refused(stage: Stage) -> None:
    for sender, word in (("nobody", "firing"), ("generic", "perhaps"), ("generic", "")):
        answer = requests.post(f"{stage.console}/api/senders/{sender}", json={"choice": word}, timeout=30)
        assert answer.status_code == 404
    assert requests.get(f"{stage.console}/api/state", timeout=60).json()["senders"] == [], "without a gateway"


# Who may talk to it.


@pytest.fixture
def client(stage: Stage) -> Client:
    return Client(server.create_app(stage.endpoints))


def status_of_site(stage: Stage) -> int:
    return requests.get(stage.endpoints.site, timeout=10).status_code


BREAK: Any = {"path": "/api/site/site", "method": "PUT", "json": {"status": 503}}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "127.0.0.2", "[::1", "", "localhost@evil"]
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/api/events", "/main.js"])
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
    stage.control("site", "site", {})


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


def test_the_page_may_run_its_own_files_and_reach_its_own_origin_alone(client: Client) -> None:
    answer = client.get("/", headers={"Host": "localhost"})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for file in PAGE.iterdir():
        served_file = client.get(f"/{file.name}", headers={"Host": "localhost"})
        assert served_file.headers["Content-Security-Policy"] == policy
        assert served_file.data == file.read_bytes()


def test_the_page_takes_nothing_from_elsewhere_and_reads_no_text_as_html() -> None:
    for file in PAGE.iterdir():
        text = file.read_text()
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), file.name


@pytest.mark.parametrize(
    "path", ["/../console.py", "/console.py", "/page/main.js", "/%2e%2e/console.py", "//etc/passwd"]
)
def test_no_other_file_is_served(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "localhost"}).status_code == 404
