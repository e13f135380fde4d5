"""The page on which the demo opens: phones, channel, state machine and site, for a person, behind one origin.

It can press keys, so it answers to this machine's own names only (a foreign Host is DNS rebinding), and to no page but
its own (a foreign Origin is cross-site request forgery).
"""

import argparse
import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from devstack.serve import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef, HistoryEventTypeDef

_PAGE = Path(__file__).with_suffix(".html")
_OWN_NAMES = {"127.0.0.1", "localhost", "::1"}
_TIMEOUT = 20  # seconds; the simulators answer most requests at once, but pressing a key waits for the application
_LARGEST_BODY = 64 * 1024  # bytes
_SHOWN = 8  # executions and incidents, the newest
_CONTROL = re.compile(r"/api/(?P<part>twilio|slack|site)/(?P<rest>[\w.+-]+(?:/[\w.+-]+)*)", re.ASCII)


@dataclass(frozen=True)
class Endpoints:
    """Where the parts of the devstack are, as in endpoints.json; no monitoring: empty."""

    twilio: str
    slack: str
    site: str
    aws: str
    region: str
    table: str
    state_machine_arn: str
    prometheus: str = ""
    alertmanager: str = ""


def create_app(endpoints: Endpoints) -> "WSGIApplication":
    """The console: `GET /` the page, `GET /api/state` what it shows, `/api/{twilio,slack,site}/...` the controls."""
    page = _PAGE.read_bytes()
    policy = _content_security_policy(page.decode())
    state = _State(endpoints)
    simulators = {"twilio": endpoints.twilio, "slack": endpoints.slack, "site": endpoints.site}

    @Request.application
    def app(request: Request) -> Response:
        response = respond(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def respond(request: Request) -> Response:
        if refusal := _foreign(request):
            return _json({"error": refusal}, 403)
        if request.path == "/" and request.method in {"GET", "HEAD"}:
            return Response(page, mimetype="text/html", headers={"Content-Security-Policy": policy})
        if request.path == "/api/state" and request.method == "GET":
            return _json(state.now())
        control = _CONTROL.fullmatch(request.path)
        if control is None or ".." in control["rest"]:
            return _json({"error": "there is no such address"}, 404)
        return _pass_on(request, f"{simulators[control['part']]}/_sim/{quote(control['rest'], safe='/+')}")

    return app


def _foreign(request: Request) -> str | None:
    """Why the request is refused, or None if it comes from our own page or from no page at all (curl)."""
    host = request.headers.get("Host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in _OWN_NAMES:
        return "this console answers to 127.0.0.1 and localhost only"
    if request.headers.get("Origin", f"http://{host}") != f"http://{host}":
        return "this console takes requests from its own page only"
    return None


def _content_security_policy(page: str) -> str:
    """Nothing from elsewhere, and no script or style but those that are in the file."""
    hashes = {
        tag: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        )
        for tag in ("script", "style")
    }
    return (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _pass_on(request: Request, url: str) -> Response:
    if request.method not in {"GET", "POST", "PUT"}:
        return _json({"error": "GET, POST or PUT"}, 405)
    if (request.content_length or 0) > _LARGEST_BODY:
        return _json({"error": f"more than {_LARGEST_BODY} bytes"}, 413)
    try:
        answer = _request(request.method, url, data=request.get_data(), content_type=request.content_type)
    except requests.RequestException as error:
        return _json({"error": f"{url} does not answer: {type(error).__name__}"}, 502)
    return Response(answer.content, answer.status_code, content_type=answer.headers.get("Content-Type"))


def _request(method: str, url: str, *, data: bytes = b"", content_type: str | None = None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # no proxy between two programs of one machine
        headers = {"Content-Type": content_type} if content_type else {}
        return session.request(method, url, data=data, headers=headers, timeout=_TIMEOUT, allow_redirects=False)


def _fetch(url: str) -> Any:
    answer = _request("GET", url)
    answer.raise_for_status()
    return answer.json()


class _State:
    """Everything the page shows, gathered anew at each call."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        session = boto3.Session("devstack", "devstack", region_name=endpoints.region)  # any credentials do here
        config = Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, retries={"total_max_attempts": 1})
        self._stepfunctions: SFNClient = session.client("stepfunctions", endpoint_url=endpoints.aws, config=config)
        # The resource's client gives plain values; typed as the client, it would be said to give wire types.
        self._dynamodb: Any = session.resource("dynamodb", endpoint_url=endpoints.aws, config=config).meta.client
        self._ended: dict[str, dict[str, Any]] = {}  # executions that change no more

    def now(self) -> dict[str, Any]:
        """Each part, or None and its entry in `errors`."""
        where = self._endpoints
        parts: dict[str, Callable[[], Any]] = {
            "calls": lambda: _fetch(f"{where.twilio}/_sim/calls"),
            "lines": lambda: _fetch(f"{where.twilio}/_sim/lines"),
            "messages": lambda: _fetch(f"{where.slack}/_sim/messages"),
            "site": lambda: _fetch(f"{where.site}/_sim/site"),
            "alerts": lambda: _alerts(where.prometheus) if where.prometheus else [],
            "responders": self._responders,
            "incidents": self._incidents,
            "executions": self._executions,
        }
        state: dict[str, Any] = {"now": time.time(), "errors": {}}
        for name, gather in parts.items():
            try:
                state[name] = gather()
            except (requests.RequestException, BotoCoreError, ClientError) as error:
                state[name] = None
                state["errors"][name] = f"{type(error).__name__}: {error}"
        state["links"] = {"site": where.site, "prometheus": where.prometheus, "alertmanager": where.alertmanager}
        return state

    def _responders(self) -> list[dict[str, str]]:
        """Whose phones there are: the roster as it lies in the table, read as a stranger would."""
        items = self._items("query", "KeyConditionExpression", "pk = :value", "ROSTER")
        version = next((item.get("version") for item in items if item["sk"] == "META"), None)
        return [
            {
                "id": str(item.get("id", item["sk"])),
                "name": str(item.get("name") or item.get("id", "")),
                "phone": str(item.get("phone", "")),
                "slack_user": str(item.get("slack_user") or ""),
            }
            for item in sorted(items, key=lambda item: (item.get("position", 1_000_000), item["sk"]))
            if str(item["sk"]).startswith("RESPONDER#") and item.get("version", version) == version
        ]

    def _items(self, operation: str, parameter: str, expression: str, value: str) -> list[dict[str, Any]]:
        pages = self._dynamodb.get_paginator(operation).paginate(
            TableName=self._endpoints.table,
            ExpressionAttributeValues={":value": value},
            **{parameter: expression},
        )
        return [item for page in pages for item in page["Items"]]

    def _incidents(self) -> list[dict[str, Any]]:
        states = self._items("scan", "FilterExpression", "sk = :value", "STATE")
        items = [item for item in states if item["pk"].startswith("INCIDENT#")]
        newest = sorted(items, key=lambda item: item.get("opened_at", 0), reverse=True)[:_SHOWN]
        return [
            {
                "id": str(item["id"]),
                "state": str(item["state"]),
                "summary": str(item.get("summary", item["id"])),
                "opened_at": float(item["opened_at"]) / 1000,
            }
            for item in newest
        ]

    def _executions(self) -> list[dict[str, Any]]:
        listed = self._stepfunctions.list_executions(stateMachineArn=self._endpoints.state_machine_arn)["executions"]
        newest = sorted(listed, key=lambda execution: execution["startDate"], reverse=True)[:_SHOWN]
        return [self._execution(execution) for execution in newest]

    def _execution(self, listed: "ExecutionListItemTypeDef") -> dict[str, Any]:
        arn = listed["executionArn"]
        if arn in self._ended:
            return self._ended[arn]
        pages = self._stepfunctions.get_paginator("get_execution_history").paginate(executionArn=arn)
        stopped = listed.get("stopDate")
        execution = {
            "name": listed["name"],
            "status": listed["status"],
            "started_at": listed["startDate"].timestamp(),
            "stopped_at": stopped.timestamp() if stopped else None,
            **_story(event for page in pages for event in page["events"]),
        }
        if listed["status"] != "RUNNING":
            self._ended[arn] = execution
        return execution


def _story(events: "Iterable[HistoryEventTypeDef]") -> dict[str, Any]:
    """The states entered, in order, those not left yet, and why the execution failed if it did."""
    entered: list[dict[str, Any]] = []
    failure = None
    for event in events:
        at = event["timestamp"].timestamp()
        if "stateEnteredEventDetails" in event:
            entered.append({"state": event["stateEnteredEventDetails"]["name"], "entered_at": at, "left_at": None})
        elif "stateExitedEventDetails" in event:
            name = event["stateExitedEventDetails"]["name"]
            next(s for s in entered if s["state"] == name and s["left_at"] is None)["left_at"] = at
        elif "executionFailedEventDetails" in event:
            failure = event["executionFailedEventDetails"].get("error", "failed")
    return {"states": entered, "failure": failure}


def _alerts(prometheus: str) -> list[dict[str, str]]:
    """Prometheus' alerts, pending ones included."""
    alerts = _fetch(f"{prometheus}/api/v1/alerts")["data"]["alerts"]
    return [
        {
            "state": alert["state"],
            "name": alert["labels"]["alertname"],
            "instance": alert["labels"].get("instance", ""),
            "summary": alert["annotations"].get("summary", ""),
        }
        for alert in alerts
    ]


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, mimetype="application/json")


def main() -> None:
    """Serve the console until told to end."""
    parser = argparse.ArgumentParser(prog="python -m devstack.console", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    for name, field in Endpoints.__dataclass_fields__.items():
        required = field.default != ""
        parser.add_argument(f"--{name.replace('_', '-')}", required=required, default=None if required else "")
    arguments = vars(parser.parse_args())
    port = arguments.pop("port")
    serve(create_app(Endpoints(**arguments)), port)


if __name__ == "__main__":
    main()
