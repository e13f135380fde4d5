"""A table as the stack has it, in moto, and the command run against it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
import typer.testing
from moto import mock_aws
from typer.main import get_command
from typer.testing import CliRunner

from devstack.aws.dynamodb import bear_storms
from oncall_cli.main import app
from oncall_cli.target import Target

TABLE = "on-call"
REGION = "eu-central-1"


@dataclass
class Ran:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


type Run = Callable[..., Ran]

# Commands that ask before they write; without a terminal they want --yes.
ASKING = (
    *(("roster", "apply"), ("roster", "rollback"), ("override", "add"), ("override", "remove"), ("take",)),
    *(("resolve",), ("page",), ("call-test",), ("calendar", "revoke"), ("key", "revoke")),
)


@pytest.fixture(scope="session", autouse=True)
def read_and_make_once() -> Iterator[None]:
    """A process reads AWS's API descriptions and makes its commands once; here hundreds of commands run in one process."""
    bear_storms()
    with pytest.MonkeyPatch.context() as patch:
        loader = botocore.loaders.create_loader()
        patch.setattr(botocore.session, "create_loader", lambda _: loader)
        patch.setattr(typer.testing, "_get_command", cache(get_command))
        yield


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Target(client, TABLE, "the table")


@pytest.fixture
def run() -> Run:
    """Runs `oncall` with arguments, without any table."""

    def invoke(*arguments: str) -> Ran:
        if any(arguments[: len(command)] == command for command in ASKING):
            arguments = (*arguments, "--yes")
        result = CliRunner().invoke(app, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def oncall(target: Target, run: Run) -> Run:
    """Runs `oncall` with arguments on the table."""
    return lambda *arguments: run(*arguments, "--table", target.table, "--region", REGION)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], str]:
    """Writes a roster file and returns its path."""

    def write_file(content: str | bytes, name: str = "roster.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file
