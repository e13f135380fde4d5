"""A stage for the console: the simulators and moto are real, the application behind them is the test's own."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import requests
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from devstack.console import server as console
from devstack.console.watch import Endpoints
from devstack.shared.serve import TETHER, QuietRequestHandler
from devstack.slack.api import create_app as slack_app
from devstack.system import site
from devstack.telnyx.api import create_app as telnyx_app
from devstack.twilio.api import create_app as twilio_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from mypy_boto3_stepfunctions import SFNClient

ACCOUNT, TOKEN = "AC" + "0" * 32, "the-auth-token-of-the-tests"
SATO, MILLER = "+12025550100", "+12025550103"
REGION = "us-east-1"
DOWN = "product-a: product-a.example.com is down"
STATE_MACHINE = {
    "StartAt": "ReceiveAlerts",
    "States": {
        "ReceiveAlerts": {"Type": "Pass", "Next": "PhoneCall"},
        "PhoneCall": {"Type": "Wait", "Seconds": 3600, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    },
}


@contextmanager
def served(app: "WSGIApplication", port: int = 0) -> Iterator[str]:
    """The address of `app`, served from a thread."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=QuietRequestHandler)
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
    opened: list[str] = field(default_factory=list)  # homes, by who looked

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

    def put(self, items: list[dict[str, Any]]) -> None:
        """Write items into the table."""
        table = boto3.resource("dynamodb", endpoint_url=self.endpoints.aws, **CREDENTIALS).Table(self.endpoints.table)
        with table.batch_writer() as batch:
            for item in items:
                batch.put_item(Item=item)

    def control(self, part: str, path: str, body: object = None) -> Any:
        """Read a part's control, or PUT to it."""
        method = "GET" if body is None else "PUT"
        answer = requests.request(method, f"{self.endpoints.control(part)}/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def publish(self, user: str, text: str) -> None:
        """Have the platform write somebody's home."""
        button = {"type": "button", "action_id": "acknowledge", "text": {"type": "plain_text", "text": "Acknowledge"}}
        section = {"type": "section", "text": {"type": "mrkdwn", "text": text}, "accessory": button}
        answer = requests.post(
            f"{self.endpoints.slack}/api/views.publish",
            json={"user_id": user, "view": {"type": "home", "blocks": [section]}},
            headers={"Authorization": "Bearer xoxb-tests"},
            timeout=10,
        )
        assert answer.json()["ok"], answer.text

    def text(self, number: str, body: str) -> None:
        """Have the platform send a text to a phone."""
        requests.post(
            f"{self.endpoints.twilio}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            data={"To": number, "From": "+12025550199", "Body": body},
            auth=(ACCOUNT, TOKEN),
            timeout=10,
        ).raise_for_status()

    def edit(self, ts: str, text: str) -> None:
        """Have the platform change a message."""
        answer = requests.post(
            f"{self.endpoints.slack}/api/chat.update",
            json={"channel": "C012AB3CD", "ts": ts, "text": text},
            headers={"Authorization": "Bearer xoxb-tests"},
            timeout=10,
        )
        assert answer.json()["ok"], answer.text

    @contextmanager
    def process(self, port: int) -> Iterator[None]:
        """Another console, as a process of its own."""
        given = {name: value for name, value in asdict(self.endpoints).items() if value}
        command = [*TETHER, sys.executable, "-m", "devstack.console.server", "--port", str(port)]
        command += [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - named above
        try:
            eventually(lambda: _answers(f"http://127.0.0.1:{port}"), "the console is ready")
            yield
        finally:
            process.terminate()
            process.wait(10)

    def start(self, name: str, given: object = None) -> str:
        """Start an execution; its ARN."""
        execution = stepfunctions(self.endpoints.aws).start_execution(
            stateMachineArn=self.endpoints.state_machine_arn, name=name, input=json.dumps(given or {})
        )
        return execution["executionArn"]

    def states(self, name: str) -> list[str]:
        """The states that an execution has entered."""
        execution = self.endpoints.state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"
        events = stepfunctions(self.endpoints.aws).get_execution_history(executionArn=execution)["events"]
        return [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]

    def stop(self, execution: str) -> None:
        """Stop an execution."""
        stepfunctions(self.endpoints.aws).stop_execution(executionArn=execution)


CREDENTIALS: Any = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}


NOW = int(time.time() * 1000)
RESPONDERS: list[tuple[str, int, dict[str, Any]]] = [
    ("miller", 2, {"position": 2, "name": "Alex Miller", "phone": MILLER}),
    ("sato", 2, {"position": 1, "name": "佐藤 結衣", "phone": SATO, "slack_user": "U0SATO"}),
    ("gone", 1, {"position": 1, "name": "Gone", "phone": "+12025550150"}),
]
# A roster as the platform writes it, of which version 2 counts.
ROSTER: list[dict[str, Any]] = [
    {"pk": "ROSTER", "sk": "META", "version": 2},
    *(
        {"pk": "ROSTER", "sk": f"RESPONDER#{key}#v{version}", "version": version, "id": key, **attributes}
        for key, version, attributes in RESPONDERS
    ),
]


def incident(number: int, state: str = "triggered", summary: str = DOWN) -> list[dict[str, Any]]:
    """An incident's items as the platform writes them."""
    month = f"{datetime.now(UTC):%Y-%m}"
    name, at = f"{month.replace('-', '')}01-{number:06d}-abcdef", NOW + number * 1000
    pk = f"INCIDENT#{name}"
    about = {"severity": "critical", "product": "product-a", "version": 2, "acknowledged_by": "佐藤 結衣"}
    events = [("triggered", "", {}), ("ringing", "佐藤 結衣", {"round": 1}), ("something_new", "", {"count": 3})]
    return [
        {"pk": f"INCIDENTS#{month}", "sk": name},
        {"pk": pk, "sk": "STATE", "id": name, "state": state, "summary": summary, "opened_at": at, **about},
        *(
            {"pk": pk, "sk": f"EVENT#{i:06d}", "number": i, "at": at + i, "kind": kind, "who": who, "detail": detail}
            for i, (kind, who, detail) in enumerate(events, start=1)
        ),
    ]


def stepfunctions(aws: str) -> "SFNClient":
    """A client that faults and policies do not meet."""
    return boto3.client("stepfunctions", endpoint_url=aws, **CREDENTIALS)


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 seconds: {what}"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).ok
    except requests.ConnectionError:
        return False


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
    for item in ROSTER + incident(1):
        table.put_item(Item=item)
    requests.post(f"{aws}/moto-api/config", json={"stepfunctions": {"execute_state_machine": True}}, timeout=10)
    return stepfunctions(aws).create_state_machine(
        name="on-call", definition=json.dumps(STATE_MACHINE), roleArn="arn:aws:iam::123456789012:role/on-call"
    )["stateMachineArn"]


@contextmanager
def staged(aws: str) -> Iterator[Stage]:
    """Everything, running."""
    presses: list[dict[str, Any]] = []
    opened: list[str] = []

    @Request.application
    def application(request: Request) -> Response:
        if request.path == "/key":
            return Response("<Response><Say>You have it.</Say><Hangup/></Response>", mimetype="text/xml")
        if "command" in request.form:
            return Response(f"You asked: {request.form['text']}")
        if request.is_json:
            opened.append(request.get_json()["event"]["user"])
            return Response()
        presses.append(json.loads(request.form["payload"]))
        return Response()

    with ExitStack() as stack:
        application_url = stack.enter_context(served(application))
        workspace = slack_app(
            bot_token="xoxb-tests",
            signing_secret="s" * 32,
            interactivity_url=f"{application_url}/slack",
            commands_url=f"{application_url}/slack",
            events_url=f"{application_url}/slack",
        )
        endpoints = Endpoints(
            twilio=stack.enter_context(served(twilio_app(account_sid=ACCOUNT, auth_token=TOKEN))),
            slack=stack.enter_context(served(workspace)),
            telnyx=stack.enter_context(
                served(telnyx_app(api_key="k", account_sid="a", application="1", signing_key="A" * 43 + "="))
            ),
            site=stack.enter_context(served(site.create_app())),
            aws=aws,
            region=REGION,
            table="on-call",
            state_machine_arn=deployed(aws),
        )
        requests.put(f"{endpoints.twilio}/_sim/settings", json={"speech_rate": 100, "calls_per_second": 100}, timeout=5)
        stage = Stage(endpoints, application_url, presses=presses, opened=opened)
        stage.console = stack.enter_context(served(console.create_app(endpoints)))
        yield stage
