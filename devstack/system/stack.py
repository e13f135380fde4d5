"""Starts the whole system on this machine from template.yaml, watches over it, and ends it."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import urlopen

import boto3
import yaml

from devstack.shared.python import python
from devstack.shared.serve import TETHER, free_port
from devstack.telnyx.signature import public_key

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
STANDBY_REGION = "us-west-2"
STACK_NAME = "on-call"
CALLER = "+12025550199"
PROBE = "+12025550198"
STANDBY_PROBE = "+13125550198"
TELNYX_CALLER = "+12025550197"
TELNYX_ACCOUNT = "61bf923e-5e4d-4595-a110-56190ea18a1b"
TELNYX_APPLICATION = "1293384261075731499"
CHANNEL = "C0ONCALL"
_BUCKET = "devstack-artifacts"
_MODULES = {  # what runs as a part of its own
    "aws": "devstack.aws.front",
    "gateway": "devstack.aws.gateway",
    "twilio": "devstack.system.telephones",
    "slack": "devstack.slack.api",
    "console": "devstack.console.server",
    "site": "devstack.system.site",
    "exporters": "devstack.system.exporters",
}
_KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # of who deploys, and of tests
_PARTS = ("aws", "gateway", "twilio", "telnyx", "slack", "site", "console")
_OF_EACH = ("aws", "gateway")  # what a standby has of its own; the rest is its primary's
_MONITORING = ("prometheus", "alertmanager", "blackbox_exporter", "exporters")


class StackError(Exception):
    """The system can not start, or a part of it has ended."""


@dataclass(frozen=True)
class Options:
    """What is started, and where its files go."""

    directory: Path
    monitoring: bool
    roster: Path
    jobs: tuple[str, ...] = ("url",)  # what Prometheus watches: url, ec2, opensearch, elasticsearch
    schedule_speed: float = 1.0  # times faster than the clock
    standby: bool = False  # whether a second stack stands in for the first one
    providers: int = 2  # of telephone calls: Twilio, or Telnyx beside it
    idle_seconds: float = 300.0  # until a function's environment that waits for work is ended
    whole_starts: bool = False  # an interpreter is started for each, as on Lambda, and not a ready one copied
    concurrency: int = 1000  # functions that may be at work at once


@dataclass(frozen=True)
class _Secrets:
    bearer_token: str
    heartbeat_token: str
    twilio_account_sid: str
    twilio_auth_token: str
    telnyx_api_key: str
    telnyx_signing_key: str
    slack_bot_token: str
    slack_signing_secret: str
    peer_token: str

    @classmethod
    def fresh(cls) -> "_Secrets":
        return cls(
            bearer_token=secrets.token_urlsafe(32),
            heartbeat_token=secrets.token_urlsafe(32),
            twilio_account_sid="AC" + secrets.token_hex(16),
            twilio_auth_token=secrets.token_hex(16),
            telnyx_api_key="KEY" + secrets.token_hex(24),
            telnyx_signing_key=b64encode(secrets.token_bytes(32)).decode(),
            slack_bot_token=f"xoxb-{secrets.randbelow(10**12)}-{secrets.token_hex(12)}",
            slack_signing_secret=secrets.token_hex(16),
            peer_token=secrets.token_urlsafe(32),
        )


class _Process:
    """One part of the system: a process that ends with this one, and its log."""

    def __init__(self, name: str, command: list[str], log: Path, environment: Mapping[str, str]):
        self.name = name
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*TETHER, *command],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the supervisor, which then ends its parts
            )

    def failure(self) -> str | None:
        """Why it has ended, with the tail of its log; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        tail = self._log.read_text(errors="replace").strip().splitlines()[-25:]
        return f"{self.name} has ended with {code}. The end of {self._log}:\n" + "\n".join(tail)

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; None if it still runs then."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """Wait a little for its end, then kill it."""
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Stack:
    """The running system: one stack with all that is around it, and perhaps its standby.

    A standby stands in another region, with the telephone network, the Slack and the secrets of its `primary`.
    """

    def __init__(self, options: Options, *, primary: "Stack | None" = None):
        self._options = options
        self._primary = primary
        self._region = STANDBY_REGION if primary else REGION
        self._directory = options.directory.absolute()
        self._logs = self._directory / "logs"
        self._stage = ""
        self._processes: dict[str, _Process] = {}
        self.endpoints: dict[str, str] = {}
        self.secrets: _Secrets = primary.secrets if primary else _Secrets.fresh()
        self.ending: threading.Event = primary.ending if primary else threading.Event()
        own = _OF_EACH if primary else (*_PARTS, *(_MONITORING if options.monitoring else ()))
        self.ports: dict[str, int] = {**(primary.ports if primary else {}), **{name: free_port() for name in own}}
        if not primary:
            self.ports["console"] = self._console_port()
        beside = replace(options, directory=self._directory / "standby", monitoring=False, standby=False)
        self._standby = Stack(beside, primary=self) if options.standby else None

    def start(self) -> None:
        """Start everything. Raises StackError."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._endpoints_file.unlink(missing_ok=True)
        self._start_python("site", [])
        outputs = self._start_aws()
        self._start_simulators(outputs)
        self._start_gateway()
        self._start_python("console", self._console_arguments())
        for name in ("twilio", "slack", "site", "gateway"):
            self._await(name)
        if self._standby:
            self._standby.start_beside()
        self._load_roster(outputs["TableName"])
        if self._options.monitoring:
            self._start_monitoring(outputs["FallbackTopicArn"])
        self._await("console")
        if self._standby:
            self._standby.announce()
        self.announce()

    def start_beside(self) -> None:
        """Start what a standby has of its own. Raises StackError."""
        outputs = self._start_aws()
        self._start_gateway()
        self._await("gateway")
        self._load_roster(outputs["TableName"])

    def _start_aws(self) -> dict[str, str]:
        """AWS with the deployed stack; returns its outputs. Raises StackError."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._endpoints_file.unlink(missing_ok=True)
        self._start_python(
            "aws",
            [
                "--directory",
                str(self._directory),
                "--runtime",
                str(ROOT / ".devstack/runtime/bin/python"),
                "--region",
                self._region,
                "--schedule-speed",
                str(self._options.schedule_speed),
                "--idle-seconds",
                str(self._options.idle_seconds),
                "--concurrency",
                str(self._options.concurrency),
                *(["--whole-starts"] if self._options.whole_starts else []),
            ],
        )
        self._await("aws", "/_sim/sns")
        with (ROOT / ".aws-sam/lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)  # nobody builds meanwhile
            template = self._template()
            self._put_secrets(template)
            self._stage = os.environ.get("STAGE") or template["Parameters"]["StageName"]["Default"]
            self._deploy(self._stage)
        outputs = self._outputs()
        self.endpoints = self._collect_endpoints(self._stage, outputs)
        return outputs

    def announce(self) -> None:
        """Say where everything is: the file appears when all works."""
        fresh = self._endpoints_file.with_suffix(".new")
        fresh.write_text(json.dumps(self.endpoints, indent=1) + "\n")
        fresh.chmod(0o600)
        fresh.replace(self._endpoints_file)

    def watch(self) -> None:
        """Return when stop() is called. Raises StackError when a part ends. A new deployment restarts the gateway."""
        stacks = [self, *([self._standby] if self._standby else [])]
        deployed = {stack: stack.deployed_at() for stack in stacks}
        while not self.ending.wait(0.2):
            for stack in stacks:
                stack.look()
                if stack.deployed_at() != deployed[stack]:
                    deployed[stack] = stack.deployed_at()
                    stack.restart_gateway()

    def deployed_at(self) -> int:
        """When it was deployed last, in nanoseconds of the file's time."""
        return (self._directory / "gateway.json").stat().st_mtime_ns

    def look(self) -> None:
        """Raises StackError if a part has ended."""
        for process in self._processes.values():
            if failure := process.failure():
                raise StackError(failure)

    def restart_gateway(self) -> None:
        """Have the gateway serve what is deployed now."""
        gateway = self._processes.pop("gateway")
        gateway.ask_to_end()
        gateway.end()
        self._start_gateway()
        self._await("gateway")

    def stop(self) -> None:
        """Let watch() return."""
        self.ending.set()

    def end(self) -> None:
        """End every part."""
        if self._standby:
            self._standby.end()
        self._endpoints_file.unlink(missing_ok=True)
        for process in self._processes.values():
            process.ask_to_end()
        for process in self._processes.values():
            process.end()
        self._processes.clear()
        # The X-Ray SDK of a function says there that it is loaded. What another user's stack has written may stay.
        shutil.rmtree(Path("/tmp/.aws-xray"), ignore_errors=True)  # noqa: S108 - the SDK's

    # Steps of starting.

    def _console_port(self) -> int:
        """That of the last run if it is free: an open page then finds this one."""
        last = self._directory / "console-port"
        text = last.read_text() if last.exists() else ""  # empty if the last run was ended just then
        port = free_port(int(text)) if text.isdecimal() else free_port()
        self._directory.mkdir(parents=True, exist_ok=True)
        last.write_text(str(port))
        return port

    @property
    def _endpoints_file(self) -> Path:
        return self._directory / "endpoints.json"

    def url(self, name: str) -> str:
        """The address of a part."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def _start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._processes[name] = _Process(name, command, self._logs / f"{name}.log", environment or {})

    def _start_python(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
        command = [*python(), "-m", _MODULES[name], "--port", str(self.ports[name]), *arguments]
        self._start(name, command, {"PYTHONUNBUFFERED": "1", **(environment or {})})

    def _await(self, name: str, path: str = "/", seconds: float = 60) -> None:
        """Wait until a part answers anything. Raises StackError."""
        self._await_url(name, self.url(name) + path, seconds)

    def _await_url(self, name: str, url: str, seconds: float, *, status: int | None = None) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if failure := self._processes[name].failure():
                raise StackError(failure)
            try:
                with urlopen(url, timeout=5) as answer:  # noqa: S310 - http, to this machine
                    if status in {None, answer.status}:
                        return
            except HTTPError as error:
                error.close()
                if status in {None, error.code}:
                    return
            except (URLError, OSError):
                pass  # not yet
            if self.ending.wait(0.03):
                raise StackError("told to end while starting")
        raise StackError(f"{name} did not answer within {seconds:.0f} s at {url}; see {self._logs / name}.log")

    def _run_to_end(self, process: _Process, seconds: float) -> None:
        """Raises StackError if it fails, does not end in time, or somebody ends the start."""
        deadline = time.monotonic() + seconds
        try:
            while (code := process.wait(0.05)) is None:
                if self.ending.is_set():
                    raise StackError("told to end while starting")
                if time.monotonic() > deadline:
                    raise StackError(f"{process.name} did not end within {seconds:.0f} s")
        finally:
            process.ask_to_end()
            process.end()
        if code != 0:
            raise StackError(process.failure() or "")

    def _template(self) -> dict[str, Any]:
        from devstack.aws.template import parse  # noqa: PLC0415 - slow to import, and wanted once the parts are starting

        return parse((ROOT / ".aws-sam/build/template.yaml").read_text())

    def _client(self, service: str) -> Any:
        session: Any = boto3.Session("test", "test", region_name=self._region)
        return session.client(service, endpoint_url=self.url("aws"))

    def _put_secrets(self, template: Mapping[str, Any]) -> None:
        """Into the SSM parameters that the template's parameters name."""
        ssm = self._client("ssm")
        for parameter, value in {
            "BearerTokenParameter": self.secrets.bearer_token,
            "HeartbeatTokenParameter": self.secrets.heartbeat_token,
            "TwilioAccountSidParameter": self.secrets.twilio_account_sid,
            "TwilioAuthTokenParameter": self.secrets.twilio_auth_token,
            "TelnyxApiKeyParameter": self.secrets.telnyx_api_key,
            "TelnyxPublicKeyParameter": public_key(self.secrets.telnyx_signing_key),
            "SlackBotTokenParameter": self.secrets.slack_bot_token,
            "SlackSigningSecretParameter": self.secrets.slack_signing_secret,
            "PeerTokenParameter": self.secrets.peer_token,
        }.items():
            name = template["Parameters"][parameter]["Default"]
            ssm.put_parameter(Name=name, Value=value, Type="SecureString")
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self._region}} if self._primary else {}
        self._client("s3").create_bucket(Bucket=_BUCKET, **elsewhere)

    def _deploy(self, stage: str) -> None:
        """Run `sam deploy` as anybody would. Raises StackError with the end of what it said."""
        parameters = {
            "StageName": stage,
            "SlackChannel": CHANNEL,
            "SlackWorkspace": "T0SIMULATED A0SIMULATED",
            "CallerNumber": CALLER,
            "TextSender": CALLER,
            "ProbeNumber": STANDBY_PROBE if self._primary else PROBE,
            "TwilioApiUrl": self.url("twilio"),
            "TelnyxApiUrl": self.url("telnyx"),
            "SlackApiUrl": self.url("slack") + "/api/",
            "PublicUrl": f"{self.url('gateway')}/{stage}",
            "LogLevel": os.environ.get("LOG_LEVEL", "INFO"),
            "DeletionProtection": "false",
            "CloudWatchAlarms": "true",
            "KeepWarm": os.environ.get("KEEP_WARM") or "true",
            "HeartbeatExpected": os.environ.get("HEARTBEAT_EXPECTED") or "false",
        }
        if self._primary:
            parameters["PeerUrl"] = self._primary.endpoints["gateway"]
            parameters["TakeoverSeconds"] = os.environ.get("TAKEOVER_SECONDS") or "60"
        if self._standby:
            parameters["StandbyUrl"] = f"{self._standby.url('gateway')}/{stage}"
        if self._options.providers > 1:
            parameters |= {
                "TelnyxApplicationId": TELNYX_APPLICATION,
                "TelnyxAccountSid": TELNYX_ACCOUNT,
                "TelnyxCallerNumber": TELNYX_CALLER,
            }
        if schedule := os.environ.get("PROBE_SCHEDULE"):
            parameters["ProbeSchedule"] = schedule
        if ring := os.environ.get("RING_SECONDS"):
            parameters["RingSeconds"] = ring
        if os.environ.get("MODE") == "shadow":
            parameters |= {"Mode": "shadow", "ShadowChannel": os.environ.get("SHADOW_CHANNEL", CHANNEL)}
        command = [
            *python(),
            "-m",
            "samcli",
            "deploy",
            "--template-file",
            str(ROOT / ".aws-sam/build/template.yaml"),
            "--stack-name",
            STACK_NAME,
            "--s3-bucket",
            _BUCKET,
            "--region",
            self._region,
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
            "--no-progressbar",
            "--parameter-overrides",
            *(f'{name}="{value}"' for name, value in parameters.items()),
        ]
        environment = {
            **_KEY,
            "AWS_ENDPOINT_URL": self.url("aws"),
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",
        }
        self._run_to_end(_Process("sam deploy", command, self._logs / "sam-deploy.log", environment), 180)

    def _outputs(self) -> dict[str, str]:
        stack = self._client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _collect_endpoints(self, stage: str, outputs: Mapping[str, str]) -> dict[str, str]:
        return {
            "gateway": f"{self.url('gateway')}/{stage}",
            "bearer_token": self.secrets.bearer_token,
            "heartbeat_token": self.secrets.heartbeat_token,
            "aws": self.url("aws"),
            "region": self._region,
            "table": outputs["TableName"],
            "state_machine_arn": outputs["StateMachineArn"],
            **{name: self.url(name) for name in ("twilio", "telnyx", "slack", "console", "site")},
            **{name: self.url(name) for name in ("prometheus", "alertmanager", "exporters") if name in self.ports},
            "twilio_auth_token": self.secrets.twilio_auth_token,
            "telnyx_signing_key": self.secrets.telnyx_signing_key,
            "slack_signing_secret": self.secrets.slack_signing_secret,
        }

    def _start_simulators(self, outputs: Mapping[str, str]) -> None:
        self._start_python(
            "twilio",
            [
                *("--number", CALLER, "--number", f"{PROBE}={self.endpoints['gateway']}/calls/probe"),
                *self._standby_number(),
                *("--telnyx-port", str(self.ports["telnyx"]), "--telnyx-number", TELNYX_CALLER),
            ],
            {
                "TWILIO_ACCOUNT_SID": self.secrets.twilio_account_sid,
                "TWILIO_AUTH_TOKEN": self.secrets.twilio_auth_token,
                "TELNYX_API_KEY": self.secrets.telnyx_api_key,
                "TELNYX_ACCOUNT_SID": TELNYX_ACCOUNT,
                "TELNYX_APPLICATION": TELNYX_APPLICATION,
                "TELNYX_SIGNING_KEY": self.secrets.telnyx_signing_key,
            },
        )
        roster = yaml.safe_load(self._options.roster.read_text())
        arguments = ["--channel", f"{CHANNEL}:on-call"]
        products = roster.get("products") or {}
        for name, product in products.items():
            if isinstance(product, dict) and product.get("slack_channel"):
                arguments += ["--channel", f"{product['slack_channel']}:{name}"]
        for key, responder in (roster.get("responders") or {}).items():
            if isinstance(responder, dict) and responder.get("slack_user"):
                arguments += ["--user", f"{responder['slack_user']}:{responder.get('name', key)}:{key}@example.com"]
        manifest = yaml.safe_load((ROOT / "oncall_cli/slack_manifest.yaml").read_text())
        for scope in manifest["oauth_config"]["scopes"]["bot"]:
            arguments += ["--scope", scope]
        options = {"Actions": "--interactivity-url", "Commands": "--commands-url", "Events": "--events-url"}
        for name, option in options.items():
            arguments += [option, self.url("gateway") + urlparse(outputs[f"Slack{name}Url"]).path]
        self._start_python(
            "slack",
            arguments,
            {
                "SLACK_BOT_TOKEN": self.secrets.slack_bot_token,
                "SLACK_SIGNING_SECRET": self.secrets.slack_signing_secret,
            },
        )

    def _standby_number(self) -> list[str]:
        """A number that answers the standby's probe, so that it does not need the primary's gateway."""
        if self._standby is None:
            return []
        return ["--number", f"{STANDBY_PROBE}={self._standby.url('gateway')}/{self._stage}/calls/probe"]

    def _start_gateway(self) -> None:
        arguments = ["--definition", str(self._directory / "gateway.json"), "--aws-endpoint", self.url("aws")]
        self._start_python("gateway", [*arguments, "--region", self._region])

    def _console_arguments(self) -> list[str]:
        names = ["twilio", "slack", "site", "aws", "region", "table", "state_machine_arn"]
        names += ["gateway", "telnyx", "prometheus", "alertmanager"]
        return [
            argument
            for name in names
            if name in self.endpoints
            for argument in (f"--{name.replace('_', '-')}", self.endpoints[name])
        ]

    def _load_roster(self, table: str) -> None:
        command = [*python(), "-m", "oncall_cli", "roster", "apply", "--yes", str(self._options.roster)]
        command += ["--table", table, "--endpoint-url", self.url("aws"), "--region", self._region]
        self._run_to_end(_Process("oncall roster apply", command, self._logs / "roster.log", _KEY), 60)

    def _start_monitoring(self, topic: str) -> None:
        from devstack.system.monitoring import ProgramMissingError, render  # noqa: PLC0415 - not without monitoring

        self._start_python("exporters", [])
        if "ec2" in self._options.jobs:
            self._start_instances()
        try:
            commands = render(
                self._directory,
                gateway_url=self.endpoints["gateway"],
                bearer_tokens=(self.secrets.bearer_token, self.secrets.heartbeat_token),
                site_url=self.endpoints["site"],
                ports={name: self.ports[name] for name in _MONITORING},
                aws_url=self.url("aws"),
                region=self._region,
                topic=topic,
                jobs=self._options.jobs,
            )
        except ProgramMissingError as error:
            raise StackError(str(error)) from error
        for command in commands:
            self._start(command.name, list(command.argv))
        for command in commands:
            self._await_url(command.name, command.ready_url, 60, status=200)

    def _start_instances(self) -> None:
        """Two EC2 instances, for the job ec2 to find."""
        for name in ("web-1", "web-2"):
            tags = {"Name": name, "product": "product-a", "monitoring": "prometheus"}
            self._client("ec2").run_instances(
                ImageId="ami-12c6146b",  # moto has it
                InstanceType="t4g.small",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[
                    {
                        "ResourceType": "instance",
                        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                    }
                ],
            )


@contextmanager
def _alone(directory: Path) -> Iterator[TextIO]:
    """Only one system in a directory. Raises StackError."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise StackError(
                f"it is already running in {directory}, as process {lock.read()}: end that one, "
                "or start this one with a folder of its own, DEVSTACK_DIR=…"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


@contextmanager
def running(options: Options) -> Iterator[Stack]:
    """A started system, ended on leaving. SIGINT and SIGTERM let its watch() return. Raises StackError."""
    with _alone(options.directory):
        stack = Stack(options)

        def stop(signum: int, frame: Any) -> None:
            del signum, frame
            stack.stop()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        try:
            stack.start()
            yield stack
        finally:
            stack.end()
