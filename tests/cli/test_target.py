"""Which system a command works on, and what is said when it cannot be reached."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from werkzeug.wrappers import Response

from oncall_cli.target import Target, skew_of
from tests.cli.conftest import REGION, TABLE, Run
from tests.devstack.application import serving


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.mark.usefixtures("no_aws")
def test_the_devstack_needs_no_credentials(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client(
            "dynamodb", REGION, endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x"
        ).create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".devstack").mkdir()
        endpoints = {"aws": endpoint, "region": REGION, "table": TABLE, "twilio": "http://127.0.0.1:1"}
        (tmp_path / ".devstack" / "endpoints.json").write_text(json.dumps(endpoints), encoding="utf-8")
        (tmp_path / "roster.yaml").write_text("responders: {alice: +12025550100}", encoding="utf-8")
        assert run("roster", "apply", "roster.yaml", "--devstack").out == "applied version 1: 1 responder\n"
        assert run("who", "--devstack", "--json").json["order"][0]["id"] == "alice"
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        monkeypatch.setenv("DEVSTACK_DIR", str(tmp_path / ".devstack"))
        assert run("who", "--devstack").status == 0
        given = ("--table", TABLE, "--endpoint-url", endpoint, "--region", REGION)
        assert run("who", *given).status == 0
    finally:
        server.stop()


def test_the_table_of_a_stack_is_in_its_outputs(run: Run, target: Target) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"TableName": {"Value": target.table}},
    }
    boto3.client("cloudformation", REGION).create_stack(StackName="my-stack", TemplateBody=json.dumps(template))
    shown = run("roster", "show", "--json", "--stack-name", "my-stack", "--region", REGION)
    assert (shown.status, shown.json["version"]) == (0, 0)


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--table", "nope", "--region", REGION), "table nope in eu-central-1: does not exist: deploy the stack first"),
        (
            ("--stack-name", "nope", "--region", REGION),
            "stack nope in eu-central-1: does not exist: deploy the stack first",
        ),
        (("--profile", "nope"), "The config profile (nope) could not be found: see aws configure list-profiles"),
        (("--devstack",), "endpoints.json is not there: start the devstack first (make up)"),
        (("--table", "t", "--endpoint-url", "http://127.0.0.1:1", "--region", REGION), "no answer: Could not connect"),
    ],
)
def test_what_cannot_be_reached_is_told(
    run: Run, options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run("who", *options)
    assert refused.status == 1
    assert message in refused.err
    assert refused.out == ""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ExpiredTokenException", "the AWS credentials have expired: sign in again (aws sso login)"),
        ("UnrecognizedClientException", "AWS does not know these credentials: look at --profile"),
        ("InvalidSignatureException", "look at the secret key and this machine's clock"),
        ("AccessDeniedException", "AccessDeniedException: not for you"),
    ],
)
@pytest.mark.parametrize("command", [("who",), ("incidents",), ("roster", "show"), ("override", "list")], ids=" ".join)
def test_what_aws_refuses_is_told(run: Run, command: tuple[str, ...], error: str, message: str) -> None:
    body = json.dumps({"__type": f"com.amazon.coral.service#{error}", "message": "not for you"})
    refuse = Response(body, 400, content_type="application/x-amz-json-1.0")
    with serving(refuse) as url:
        refused = run(*command, "--table", TABLE, "--endpoint-url", url, "--region", REGION)
    assert (refused.status, refused.out) == (1, "")
    assert message in refused.err
    assert refused.err.startswith("oncall: ")


@pytest.mark.parametrize(
    "command", [("incidents",), ("report",), ("incident", "x"), ("calendar", "list")], ids=" ".join
)
def test_a_table_that_does_not_exist(run: Run, command: tuple[str, ...], target: Target) -> None:
    refused = run(*command, "--table", f"no-{target.table}", "--region", REGION)
    assert (refused.status, refused.out) == (1, "")
    assert "does not exist: deploy the stack first" in refused.err


@pytest.mark.parametrize(
    "command",
    [("doctor",), ("page", "shop", "hello"), ("call-test", "alice"), ("calendar", "add", "mine"), ("acknowledge", "x")],
    ids=" ".join,
)
def test_more_than_the_table_needs_a_stack(oncall: Run, command: tuple[str, ...], write: Callable[..., str]) -> None:
    oncall("roster", "apply", write("responders: {alice: +12025550100}"))
    refused = oncall(*command)
    assert refused.status == 1
    assert "give --stack-name and not --table" in refused.err or "there is no incident 'x'" in refused.err


@pytest.mark.parametrize(
    ("behind", "skew"), [(0, 0), (1, 0), (-1, 0), (90, 90_000), (-90, -90_000), (9 * 3600, 0), (-400, 0)]
)
def test_a_wrong_clock_is_put_right_by_awss(behind: int, skew: int) -> None:
    moment = datetime(2026, 11, 23, 3, 12, tzinfo=UTC)
    now = round((moment - timedelta(seconds=behind)).timestamp() * 1000)
    assert skew_of(format_datetime(moment, usegmt=True), now) == skew
    assert skew_of("", now) == 0


@pytest.mark.usefixtures("no_aws")
def test_no_credentials_and_no_region(run: Run) -> None:
    assert "there are no AWS credentials" in run("who", "--region", REGION).err
    assert "in which region? Give --region" in run("who", "--table", TABLE).err


def test_an_unreadable_devstack(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVSTACK_DIR", str(tmp_path))
    (tmp_path / "endpoints.json").write_text("{", encoding="utf-8")
    assert "cannot be read" in run("who", "--devstack").err
