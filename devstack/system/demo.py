"""The demonstration: one incident from the site that breaks to the message that says it is over."""

import json
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import boto3
from rich.console import Console

OUTAGE = "URL Alert(critical)"  # the alert of the site, beside those that always fire
_LIMIT = 150.0  # seconds for all of it


class DemoError(Exception):
    """A hop did not happen."""


def show(url: str) -> None:
    """Open the console in a browser, if there is a screen; a browser for the terminal would only be in the way."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


def _http(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - http, to this machine
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        content = answer.read()
    return json.loads(content) if content else None


class _Play:
    def __init__(self, endpoints: Mapping[str, str], console: Console):
        self._endpoints = endpoints
        self._console = console
        self._began = self._last = time.monotonic()

    def hop[T](self, what: str, happened: Callable[[], T | None]) -> T:
        """Wait until it happened and print it with its seconds. Raises DemoError."""
        while True:
            result = happened()
            now = time.monotonic()
            if result:
                self._console.print(f"{now - self._began:6.1f} s  (+{now - self._last:4.1f})  {what}")
                self._last = now
                return result
            if now - self._began > _LIMIT:
                raise DemoError(f"not within {_LIMIT:.0f} s: {what}")
            time.sleep(0.05)

    def break_site(self) -> bool:
        _http("PUT", f"{self._endpoints['site']}/_sim/site", {"status": 503})
        return True

    def mend_site(self) -> bool:
        _http("PUT", f"{self._endpoints['site']}/_sim/site", {"status": 200})
        return True

    def prometheus_fires(self) -> bool:
        alerts = _http("GET", f"{self._endpoints['prometheus']}/api/v1/alerts")["data"]["alerts"]
        return any(alert["state"] == "firing" and alert["labels"]["alertname"] == OUTAGE for alert in alerts)

    def alertmanager_has_it(self) -> bool:
        alerts = _http("GET", f"{self._endpoints['alertmanager']}/api/v2/alerts?active=true")
        return any(alert["labels"]["alertname"] == OUTAGE for alert in alerts)

    def execution(self) -> bool:
        client = boto3.Session("test", "test", region_name=self._endpoints["region"]).client(
            "stepfunctions", endpoint_url=self._endpoints["aws"]
        )
        return bool(client.list_executions(stateMachineArn=self._endpoints["state_machine_arn"])["executions"])

    def calls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _http("GET", f"{self._endpoints['twilio']}/_sim/calls")
        return found

    def ringing(self, index: int) -> dict[str, Any] | None:
        calls = self.calls()
        return calls[index] if len(calls) > index and calls[index]["status"] == "ringing" else None

    def ended(self, sid: str) -> bool:
        return any(call["sid"] == sid and call["status"] == "no-answer" for call in self.calls())

    def control(self, sid: str, action: str, body: Any = None) -> bool:
        try:
            _http("POST", f"{self._endpoints['twilio']}/_sim/calls/{sid}/{action}", body or {})
        except HTTPError as error:
            raise DemoError(f"the call can not {action}: {error.read().decode(errors='replace')}") from error
        return True

    def heard(self, sid: str) -> bool:
        return any(call["sid"] == sid and call["said"] for call in self.calls())

    def slack_shows(self, sign: str) -> bool:
        messages = _http("GET", f"{self._endpoints['slack']}/_sim/messages")
        heads = [
            message for message in messages if not message.get("thread_ts") or message["thread_ts"] == message["ts"]
        ]
        site = self._endpoints["site"].removeprefix("http://")
        return any(message["text"].startswith(sign) and site in message["text"] for message in heads)

    def no_answer(self, number: str) -> None:
        _http("PUT", f"{self._endpoints['twilio']}/_sim/lines/{quote(number)}", {"behaviour": "no-answer", "after": 5})


def play(endpoints: Mapping[str, str], console: Console, first_number: str = "+12025550100") -> None:
    """Play one incident and print each hop with its seconds. Raises DemoError for the first hop that does not happen."""
    scene = _Play(endpoints, console)
    scene.no_answer(first_number)
    console.print("Playing one incident:")
    scene.hop("the site breaks", scene.break_site)
    scene.hop("Prometheus fires the alert", scene.prometheus_fires)
    scene.hop("Alertmanager has it", scene.alertmanager_has_it)
    scene.hop("the state machine runs", scene.execution)
    first = scene.hop("the first responder's phone rings", lambda: scene.ringing(0))
    scene.hop("nobody answers it", lambda: scene.ended(first["sid"]))
    second = scene.hop("the second responder's phone rings", lambda: scene.ringing(1))
    if second["to"] == first["to"]:
        raise DemoError("the same phone rang twice")
    scene.hop("the second responder answers", lambda: scene.control(second["sid"], "answer"))
    scene.hop("hears what it is about", lambda: scene.heard(second["sid"]))
    scene.hop("presses 1", lambda: scene.control(second["sid"], "press", {"digits": "1"}))
    scene.hop("Slack shows who has it", lambda: scene.slack_shows("🟡"))
    scene.hop("the site is fixed", scene.mend_site)
    scene.hop("Slack shows that it is over", lambda: scene.slack_shows("🟢"))
    console.print("All of it happened.")
