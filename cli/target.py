"""Which system a command works on: a deployed stack, the devstack, or a table named by hand."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, aws_errors

if TYPE_CHECKING:
    from botocore.session import Session
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
    from botocore.config import Config
    from botocore.session import Session

    local = devstack or endpoint_url is not None
    if devstack:
        endpoints = _devstack()
        endpoint_url, region, table = endpoints["aws"], endpoints["region"], endpoints["table"]
    name = f"table {table} of the devstack" if devstack else f"table {table}" if table else f"stack {stack_name}"
    with aws_errors(name):
        session = Session(profile=profile)
        region = region or session.get_config_variable("region")
        if region is None:
            raise CommandError(f"{name}: in which region? Give --region, or set AWS_REGION")
        session.set_config_variable("region", region)
        if local and session.get_credentials() is None:
            session.set_credentials("devstack", "devstack")  # a local endpoint asks for no real ones
        if table is None:
            table = _table_of(session, stack_name or DEFAULT_STACK, endpoint_url)
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
        client: Any = session.create_client("dynamodb", endpoint_url=endpoint_url, config=config)
        return Target(client, table, f"{name} in {region}")


def _devstack() -> dict[str, str]:
    path = Path(os.environ.get("DEVSTACK_DIR", ".devstack")) / "endpoints.json"
    try:
        endpoints = json.loads(path.read_text(encoding="utf-8"))
        return {key: endpoints[key] for key in ("aws", "region", "table")}
    except FileNotFoundError as error:
        raise CommandError(f"{path} is not there: start the devstack first (make up)") from error
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"{path} cannot be read ({error}): start the devstack again (make up)") from error


def _table_of(session: "Session", stack_name: str, endpoint_url: str | None) -> str:
    client: Any = session.create_client("cloudformation", endpoint_url=endpoint_url)
    outputs = client.describe_stacks(StackName=stack_name)["Stacks"][0].get("Outputs", [])
    found: str | None = next((output["OutputValue"] for output in outputs if output["OutputKey"] == "TableName"), None)
    if found is None:
        raise CommandError(f"stack {stack_name} has no output TableName: is it an on-call stack?")
    return found
