"""Which system a command works on: a deployed stack, the devstack, or a table named by hand."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CommandError, aws_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

DEFAULT_STACK = "on-call"


@dataclass(frozen=True, slots=True)
class Target:
    """The table of a system, and a client for it."""

    dynamodb: "DynamoDBClient"
    table: str
    name: str


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
    import boto3
    from botocore.config import Config

    local = devstack or endpoint_url is not None
    if devstack:
        endpoints = _devstack()
        endpoint_url, region, table = endpoints["aws"], endpoints["region"], endpoints["table"]
    name = f"table {table} of the devstack" if devstack else f"table {table}" if table else f"stack {stack_name}"
    with aws_errors(name):
        session = boto3.Session(profile_name=profile, region_name=region)
        if local and session.get_credentials() is None:
            session = boto3.Session(
                "devstack", "devstack", region_name=region
            )  # a local endpoint asks for no real ones
        if session.region_name is None:
            raise CommandError(f"{name}: in which region? Give --region, or set AWS_REGION")
        if table is None:
            table = _table_of(session, stack_name or DEFAULT_STACK, endpoint_url)
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
        return Target(
            session.client("dynamodb", endpoint_url=endpoint_url, config=config),
            table,
            f"{name} in {session.region_name}",
        )


def _devstack() -> dict[str, str]:
    path = Path(os.environ.get("DEVSTACK_DIR", ".devstack")) / "endpoints.json"
    try:
        endpoints = json.loads(path.read_text(encoding="utf-8"))
        return {key: endpoints[key] for key in ("aws", "region", "table")}
    except FileNotFoundError as error:
        raise CommandError(f"{path} is not there: start the devstack first (make up)") from error
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"{path} cannot be read ({error}): start the devstack again (make up)") from error


def _table_of(session: object, stack_name: str, endpoint_url: str | None) -> str:
    from boto3 import Session

    assert isinstance(session, Session)  # noqa: S101  boto3 is only imported once a command needs it
    stacks = session.client("cloudformation", endpoint_url=endpoint_url).describe_stacks(StackName=stack_name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
    if "TableName" not in outputs:
        raise CommandError(f"stack {stack_name} has no output TableName: is it an on-call stack?")
    return outputs["TableName"]
