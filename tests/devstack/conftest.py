"""A small stack of its own, deployed by SAM to the devstack's AWS, for the tests of the devstack itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent / "sample"
_KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def wait_until[T](condition: Callable[[], T | None], seconds: float = 20) -> T:
    """The condition's first true result."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return result


@dataclass
class Invoked:
    """A function's answer."""

    payload: Any
    error: str | None


@dataclass
class Sample:
    """The endpoint, and the sample stack on it."""

    endpoint: str
    directory: Path
    process: "subprocess.Popen[bytes]"
    template: Path

    def client(self, service: str, key: str = "test") -> Any:
        """A boto3 client, by default of somebody whom faults and policies leave alone."""
        session: Any = boto3.Session(key, "secret", region_name="us-east-1")
        return session.client(service, endpoint_url=self.endpoint)

    def deploy(self, *options: str, stack: str = "sample") -> "subprocess.CompletedProcess[str]":
        """Run `sam deploy`."""
        command = [str(Path(sys.executable).with_name("sam")), "deploy", "--template-file", str(self.template)]
        command += ["--stack-name", stack, "--resolve-s3", "--no-progressbar", "--no-confirm-changeset"]
        environment = {
            **os.environ,
            **_KEY,
            "AWS_ENDPOINT_URL": self.endpoint,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",
        }
        return subprocess.run(  # noqa: S603 - the project's own commands, here and below
            [*command, *options],
            cwd=SAMPLE,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        stack = self.client("cloudformation").describe_stacks(StackName="sample")["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    @property
    def role(self) -> str:
        """The name of the function's role, which is also its access key."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName="sample", LogicalResourceId="WorkerFunctionRole"
        )
        name: str = found["StackResourceDetail"]["PhysicalResourceId"]
        return name

    def invoke(self, event: Any = None, **options: Any) -> Invoked:
        """Invoke the function."""
        payload = json.dumps(event or {}).encode()
        answer = self.client("lambda").invoke(FunctionName=self.outputs["FunctionName"], Payload=payload, **options)
        content = answer["Payload"].read()
        return Invoked(json.loads(content) if content else None, answer.get("FunctionError"))

    def item(self, key: str) -> Mapping[str, Any]:
        """An item of the table, or an empty one."""
        table: Any = boto3.Session("test", "test", region_name="us-east-1").resource(
            "dynamodb", endpoint_url=self.endpoint
        )
        found: Mapping[str, Any] = table.Table(self.outputs["TableName"]).get_item(Key={"pk": key}).get("Item", {})
        return found

    def sim(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the endpoint's own control API."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.endpoint}/_sim/{path}", data, method=method)) as answer:  # noqa: S310 - http, to this machine
            return json.loads(answer.read())


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The interpreter of the Lambda runtime."""
    subprocess.run(["/usr/bin/make", "-s", ".devstack/runtime/.complete"], cwd=ROOT, check=True)
    return ROOT / ".devstack/runtime/bin/python"


def start_aws(directory: Path, runtime: Path, *options: str) -> tuple["subprocess.Popen[bytes]", str]:
    """Start the endpoint; its process and its URL."""
    log = directory / "aws.log"
    command = [
        sys.executable,
        "-m",
        "devstack.aws.front",
        "--directory",
        str(directory),
        "--runtime",
        str(runtime),
        *options,
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )

    def listening() -> str | None:
        assert process.poll() is None, log.read_text()
        lines = [line for line in log.read_text().splitlines() if line.startswith("listening on ")]
        return lines[0].removeprefix("listening on ") if lines else None

    return process, wait_until(listening, 60)


@pytest.fixture(scope="session")
def bare_aws(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Iterator[str]:
    """The address of an AWS of its own without any stack. Its state machines go on after a test, and end with it."""
    process, url = start_aws(tmp_path_factory.mktemp("bare"), runtime)
    yield url
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's template as `sam build` leaves it."""
    folder = tmp_path_factory.mktemp("built")
    command = [str(Path(sys.executable).with_name("sam")), "build", "--build-dir", str(folder / "build")]
    environment = {**os.environ, **_KEY, "SAM_CLI_TELEMETRY": "0"}
    subprocess.run(  # noqa: S603
        command, cwd=SAMPLE, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return folder / "build/template.yaml"


@pytest.fixture(scope="session")
def _sample(tmp_path_factory: pytest.TempPathFactory, runtime: Path, built: Path) -> Iterator[Sample]:
    directory = tmp_path_factory.mktemp("aws")
    process, endpoint = start_aws(directory, runtime, "--schedule-speed", "0.001")  # no run in between
    sample = Sample(endpoint, directory, process, built)
    deployed = sample.deploy("--capabilities", "CAPABILITY_IAM")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    yield sample
    process.send_signal(signal.SIGTERM)
    process.wait(10)


@pytest.fixture
def sample(_sample: Sample) -> Iterator[Sample]:
    """The deployed sample stack, without faults."""
    yield _sample
    _sample.sim("PUT", "faults", {})
