"""The whole system for a test: `devstack` (without Prometheus and Alertmanager) and `monitored_devstack` (with them).

One system serves the tests of several files, so a test uses groups, products and phones of its own, and waits for what it caused.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import pytest
import requests
from botocore.config import Config

from devstack.shared.python import FORK_SERVER_VARIABLE, python

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

ROOT = Path(__file__).parents[1]
CODE = ROOT / ".devstack/code"  # the unpacked functions, by the hash of their zip: two thousand files


def wait_until[T](condition: Callable[[], T | None], timeout: float = 30, what: str = "it") -> T:
    """The first true result of the condition, asked for again and again. Fails after `timeout` seconds.

    The longer it takes the less often it is asked, and a dear question is asked for a fifth of the time: it costs the system
    that is asked some of its two cores.
    """
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        result = condition()
        if result:
            return result
        now = time.monotonic()
        waited, took = now - began, now - asked
        assert waited < timeout, f"{what} did not happen within {timeout} s"
        time.sleep(max(min(0.5, 0.1 + waited / 5), min(2.0, 4 * took)))


_sessions = threading.local()


def session() -> requests.Session:
    """This thread's: to make one takes longer than to ask."""
    if not hasattr(_sessions, "session"):
        _sessions.session = requests.Session()
        _sessions.session.trust_env = False
    mine: requests.Session = _sessions.session
    return mine


@cache
def _client(service: str, endpoint: str, region: str) -> Any:
    """Threads may share it, and to make one takes as long as twenty of its requests."""
    ours: Any = boto3.Session("test", "test", region_name=region)
    return ours.client(service, endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))


@dataclass(frozen=True)
class Devstack:
    """A running system."""

    directory: Path
    endpoints: Mapping[str, str]
    process: "subprocess.Popen[bytes]"

    # What goes in.

    def post_alerts(self, webhook: Any, *, token: str | None = None) -> requests.Response:
        """Post a webhook as Alertmanager does. Text or bytes are sent as they are."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {token or self.endpoints['bearer_token']}",
        }
        body = webhook if isinstance(webhook, str | bytes) else json.dumps(webhook)
        return requests.post(f"{self.endpoints['gateway']}/alerts", data=body, headers=headers, timeout=30)

    def line(self, number: str, behaviour: str, **options: Any) -> None:
        """What a phone does with its next calls."""
        self.control("PUT", "twilio", f"lines/{quote(number)}", {"behaviour": behaviour, **options})

    def answer(self, sid: str) -> None:
        """Answer a ringing call."""
        self.control("POST", "twilio", f"calls/{sid}/answer", {})

    def press(self, sid: str, digits: str) -> None:
        """Press keys in a call."""
        self.control("POST", "twilio", f"calls/{sid}/press", {"digits": digits})

    def hang_up(self, sid: str) -> None:
        """End a call that was answered."""
        self.control("POST", "twilio", f"calls/{sid}/hang-up", {})

    def press_button(self, ts: str, action_id: str, user: str) -> None:
        """Press a button of a Slack message."""
        self.control("POST", "slack", f"messages/{ts}/press", {"action_id": action_id, "user": user})

    def faults(self, part: str, faults: Mapping[str, Any]) -> None:
        """Make `aws`, `twilio`, `slack` or the `gateway` fail; {} ends it."""
        self.control("PUT", part, "faults", faults)

    # What comes out.

    def calls(self, after: float = 0) -> list[dict[str, Any]]:
        """All telephone calls since a time (epoch seconds), oldest first."""
        found: list[dict[str, Any]] = self.control("GET", "twilio", f"calls?after={after}")
        return found

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """All Slack messages, or those of a channel."""
        found: list[dict[str, Any]] = self.control(
            "GET", "slack", f"messages?channel={channel}" if channel else "messages"
        )
        return found

    def published(self) -> list[dict[str, Any]]:
        """What was published to SNS topics: topic, subject, message, time."""
        found: list[dict[str, Any]] = self.control("GET", "aws", "sns")
        return found

    def invocations(self, after: int = 0) -> list[dict[str, Any]]:
        """The functions' invocations after the first so many: function, started_at, cold, init_ms, duration_ms, error."""
        found: list[dict[str, Any]] = self.control("GET", "aws", f"invocations?after={after}")
        return found

    def requests_to_aws(self) -> list[dict[str, Any]]:
        """The stack's own requests to AWS: principal, action, status, time, ms."""
        found: list[dict[str, Any]] = self.control("GET", "aws", "requests")
        return found

    def log(self, name: str) -> str:
        """What a function (by its logical id) or a part has logged so far."""
        file = self.directory / "logs" / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def control(self, method: str, part: str, path: str, body: Any = None) -> Any:
        """A request to the control API (`/_sim/...`) of a part. Fails for anything but success."""
        base = self.endpoints[part]
        if part == "gateway":
            base = base.rsplit("/", 1)[0]  # without the stage
        answer = session().request(method, f"{base}/_sim/{path}", json=body, timeout=30)
        assert answer.ok, f"{method} {part} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    # AWS. These clients meet neither faults nor policies.

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return _client(service, self.endpoints["aws"], self.endpoints["region"])

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        client: DynamoDBClient = self.client("dynamodb")
        return client

    @property
    def stepfunctions(self) -> "SFNClient":
        """Step Functions."""
        client: SFNClient = self.client("stepfunctions")
        return client

    @property
    def cloudformation(self) -> "CloudFormationClient":
        """CloudFormation."""
        client: CloudFormationClient = self.client("cloudformation")
        return client

    @property
    def sns(self) -> "SNSClient":
        """SNS."""
        client: SNSClient = self.client("sns")
        return client

    @property
    def ssm(self) -> "SSMClient":
        """SSM."""
        client: SSMClient = self.client("ssm")
        return client

    def outputs(self) -> dict[str, str]:
        """The deployed stack's outputs."""
        stack = self.cloudformation.describe_stacks(StackName="on-call")["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def execution(self, name: str) -> Mapping[str, Any]:
        """An execution, by the name that the gateway answered with."""
        arn = self.endpoints["state_machine_arn"].replace(":stateMachine:", ":execution:") + f":{name}"
        return self.stepfunctions.describe_execution(executionArn=arn)


@contextmanager
def running_devstack(directory: Path, **environment: str) -> Iterator[Devstack]:
    """Start a system of its own with these environment variables (MONITORING, ROSTER, RING_SECONDS ...), and end it.

    Nothing keeps its functions warm unless it is asked for (KEEP_WARM): a ping would die the death, or meet the fault, that
    a test means for a step of a page. What a storm has started is ended soon (IDLE_SECONDS): each environment takes 40 MB.
    """
    log = directory.with_suffix(".log")
    ours = {"DEVSTACK_DIR": str(directory), "KEEP_WARM": "false", "PROVIDERS": "1", "IDLE_SECONDS": "60"}
    variables = {**os.environ, **ours, **environment}
    if variables.get(FORK_SERVER_VARIABLE):
        _share_code(directory, directory / "standby")
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  our own
            [*python(variables), "-m", "devstack", "up"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    endpoints = directory / "endpoints.json"
    try:

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return endpoints.exists()

        wait_until(ready, 240, "the start of the devstack")
        yield Devstack(directory, json.loads(endpoints.read_text()), process)
        assert process.poll() is None, f"the devstack has ended: {log.read_text()}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _share_code(*directories: Path) -> None:
    """What the systems of a run have in common is on the disk once."""
    CODE.mkdir(parents=True, exist_ok=True)
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # started a second time
            (directory / "code").symlink_to(CODE)


def _without_faults(system: Devstack) -> None:
    for part in ("aws", "twilio", "telnyx", "slack", "gateway"):
        system.faults(part, {})


class Shared:
    """Systems that tests of several files use, one after another, by their fixtures' names. One takes a gigabyte."""

    def __init__(self) -> None:
        self._running: dict[str, Any] = {}
        self._stack = ExitStack()

    def use[T](self, name: str, start: Callable[[], AbstractContextManager[T]]) -> T:
        """The system that is running, or a new one."""
        if name not in self._running:
            self._running[name] = self._stack.enter_context(start())
        found: T = self._running[name]
        return found

    def end(self) -> None:
        """Ends all of them."""
        self._running.clear()
        self._stack.close()


SHARED = Shared()


@pytest.fixture
def _devstack(tmp_path_factory: pytest.TempPathFactory) -> Devstack:
    return SHARED.use("_devstack", lambda: running_devstack(tmp_path_factory.mktemp("devstack"), MONITORING="0"))


@pytest.fixture
def _monitored_devstack(tmp_path_factory: pytest.TempPathFactory) -> Devstack:
    folder = tmp_path_factory.mktemp
    return SHARED.use("_monitored_devstack", lambda: running_devstack(folder("monitored"), MONITORING="1"))


@pytest.fixture
def devstack(_devstack: Devstack) -> Iterator[Devstack]:
    """The system without monitoring; the test posts the webhooks. Faults end with the test."""
    yield _devstack
    _without_faults(_devstack)


@pytest.fixture
def monitored_devstack(_monitored_devstack: Devstack) -> Iterator[Devstack]:
    """The system with Prometheus, blackbox exporter and Alertmanager. Faults end with the test."""
    yield _monitored_devstack
    _without_faults(_monitored_devstack)
