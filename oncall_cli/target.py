"""Which system a command works on: a deployed stack, the devstack, or a table named by hand."""

import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from oncall import clock
from oncall_cli.errors import CommandError, aws_errors

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_dynamodb.client import DynamoDBClient

DEFAULT_STACK = "on-call"
_one_at_a_time = Lock()  # botocore's clients may be shared between threads, but its session may not


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack."""

    name: str
    status: str
    deployed_at: datetime
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def gateway(self) -> str:
        """The gateway's address, stage included."""
        return self.parameters.get("PublicUrl") or self.outputs["AlertsUrl"].removesuffix("/alerts")


@dataclass(frozen=True, slots=True)
class Target:
    """The table of a system, and a client for it; what else there is by way of its stack."""

    dynamodb: "DynamoDBClient"
    table: str
    name: str
    session: "Session | None" = None
    endpoint_url: str | None = None
    stack_name: str | None = None
    options: str = ""  # that name it again, each after a space, for a command that somebody is told to run

    def client(self, service: str) -> Any:
        """A client of another service, where the table is."""
        if self.session is None:
            raise CommandError(f"{self.name}: give --stack-name and not --table: this needs more than the table")
        return _client(self.session, service, self.endpoint_url)

    def clock(self) -> Callable[[], int]:
        """AWS's time, in epoch milliseconds: what is written by a machine whose clock is wrong must not count as later."""
        with aws_errors(self.name):
            key: Any = {"pk": {"S": "ROSTER"}, "sk": {"S": "META"}}
            answer = self.dynamodb.get_item(TableName=self.table, Key=key)
        skew = skew_of(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""), clock.now())
        return lambda: clock.now() + skew

    def stack(self) -> Stack:
        """The stack. Raises CommandError if the target is a table alone."""
        if self.session is None or self.stack_name is None:
            raise CommandError(f"{self.name}: give --stack-name and not --table: this needs more than the table")
        with aws_errors(self.name):
            return describe(self.session, self.stack_name, self.endpoint_url)

    def physical_id(self, logical_id: str) -> str:
        """What a resource of the stack is called, for instance a function."""
        with aws_errors(self.name):
            answer = self.client("cloudformation").describe_stack_resource(
                StackName=self.stack_name, LogicalResourceId=logical_id
            )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def skew_of(date: str, now: int) -> int:
    """By how many milliseconds `now` is behind an answer's header Date, which has whole seconds; 0 for less than two.

    AWS refuses requests of clocks that are more than five minutes off, so more than that is no clock's fault.
    """
    try:
        skew = round(parsedate_to_datetime(date).timestamp() * 1000) - now
    except ValueError:
        return 0
    return skew if 2000 <= abs(skew) <= 300_000 else 0


def find(
    *,
    devstack: bool = False,
    stack_name: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    table: str | None = None,
    endpoint_url: str | None = None,
) -> Target:
    """Raises CommandError: no such stack, no credentials, no devstack."""
    name = f"table {table}" if table else f"stack {stack_name}"
    options = " --devstack" if devstack else _options(stack_name, region, profile, table, endpoint_url)
    if devstack:
        endpoints = devstack_endpoints()
        endpoint_url, region = endpoints["aws"], endpoints["region"]
        table, stack_name, name = endpoints["table"], DEFAULT_STACK, "the devstack"
    elif table is not None:
        stack_name = None
    with aws_errors(name):
        session = open_session(name, region=region, profile=profile, is_local=endpoint_url is not None)
        region = session.get_config_variable("region")
        if table is None:
            with aws_errors(f"{name} in {region}"):
                table = describe(session, stack_name or DEFAULT_STACK, endpoint_url).outputs.get("TableName")
            if table is None:
                raise CommandError(f"stack {stack_name} has no output TableName: is it an on-call stack?")
        client = _client(session, "dynamodb", endpoint_url)
        name = name if devstack else f"{name} in {region}"
        return Target(client, table, name, session, endpoint_url, stack_name, options)


def _options(
    stack_name: str | None, region: str | None, profile: str | None, table: str | None, endpoint_url: str | None
) -> str:
    given = {
        "--table": table,
        "--stack-name": stack_name if table is None and stack_name != DEFAULT_STACK else None,
        "--region": region,
        "--profile": profile,
        "--endpoint-url": endpoint_url,
    }
    return "".join(f" {option} {shlex.quote(value)}" for option, value in given.items() if value)


def open_session(name: str, *, region: str | None, profile: str | None, is_local: bool = False) -> "Session":
    """AWS as this machine may use it. Raises CommandError without a region; botocore's errors for the rest."""
    from botocore.session import Session

    session = Session(profile=profile)
    region = region or session.get_config_variable("region")
    if region is None:
        raise CommandError(f"{name}: in which region? Give --region, or set AWS_REGION")
    session.set_config_variable("region", region)
    if is_local and profile is None and "AWS_ACCESS_KEY_ID" not in os.environ:
        session.set_credentials("devstack", "devstack")  # a local endpoint asks for no real ones
    return session


def describe(session: "Session", stack_name: str, endpoint_url: str | None) -> Stack:
    """The stack as CloudFormation knows it. Raises botocore's errors."""
    found = _client(session, "cloudformation", endpoint_url).describe_stacks(StackName=stack_name)["Stacks"][0]
    return Stack(
        name=stack_name,
        status=found["StackStatus"],
        deployed_at=found.get("LastUpdatedTime") or found["CreationTime"],
        outputs={output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])},
        parameters={one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])},
    )


def _client(session: "Session", service: str, endpoint_url: str | None) -> Any:
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    with _one_at_a_time:
        return session.create_client(service, endpoint_url=endpoint_url, config=config)


def devstack_endpoints() -> dict[str, str]:
    """Where the devstack's AWS, region and table are. Raises CommandError if it does not run."""
    path = Path(os.environ.get("DEVSTACK_DIR", ".devstack")) / "endpoints.json"
    try:
        endpoints = json.loads(path.read_text(encoding="utf-8"))
        return {key: endpoints[key] for key in ("aws", "region", "table")}
    except FileNotFoundError as error:
        raise CommandError(f"{path} is not there: start the devstack first (make up)") from error
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"{path} cannot be read ({error}): start the devstack again (make up)") from error
