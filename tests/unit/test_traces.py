"""What goes to X-Ray: errors and addresses may carry telephone numbers, task tokens and keys, and must not take them along."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.aws.template import parse

ROOT = Path(__file__).parents[2]
TRACED = """
from aws_xray_sdk.core.emitters import udp_emitter
udp_emitter.UDPEmitter.send_entity = lambda _, entity: print(entity.serialize())
from aws_lambda_powertools import Tracer
"""
AN_ERROR = """
from oncall.table import ConditionFailedError

@Tracer().capture_lambda_handler(capture_response=False)
def lambda_handler(event, context):
    raise ConditionFailedError({"token": "a task token", "phone": "+12025550100"})

try:
    lambda_handler({}, None)
except ConditionFailedError:
    pass
"""


TWILIO_IS_AWAY = """
from oncall.phone.provider import UnavailableError
from oncall.phone.twilio import telephone

@Tracer().capture_lambda_handler(capture_response=False)
def lambda_handler(event, context):
    made = telephone("AC0", "an auth token", caller_number="+12025550199", api_url="http://127.0.0.1:1")
    made.find("+12025550100", since=0, besides=())

try:
    lambda_handler({}, None)
except UnavailableError:
    pass
"""
A_CALENDAR = """
import os
os.environ |= {"TABLE_NAME": "on-call", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_DEFAULT_REGION": "eu-central-1"}
os.environ |= {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x"}
import shift_calendar
from types import SimpleNamespace

asked = {"path": "/schedule.ics", "queryStringParameters": {"token": "a-calendars-token"}, "headers": {}, "requestContext": {}}
context = dict.fromkeys(["function_name", "memory_limit_in_mb", "invoked_function_arn", "aws_request_id"], "f")
try:
    shift_calendar.lambda_handler(asked, SimpleNamespace(**context))
except Exception as error:
    print(f'{{"raised": "{type(error).__name__}"}}')
"""


def traced(program: str) -> str:
    """What X-Ray is sent while a program runs."""
    variables = parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Environment"]["Variables"]
    environment = {
        **{name: value for name, value in variables.items() if isinstance(value, str)},
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_LAMBDA_FUNCTION_NAME": "phone-call",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "PYTHONPATH": str(ROOT / "functions"),
        "PATH": os.environ["PATH"],
    }
    run = subprocess.run(  # noqa: S603  # our own programs
        [sys.executable, "-c", TRACED + program], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout


@pytest.mark.parametrize(
    ("program", "named"),
    [(AN_ERROR, "ConditionFailedError"), (TWILIO_IS_AWAY, "## lambda_handler"), (A_CALENDAR, "dynamodb")],
    ids=["an error with a page", "Twilio is away", "a calendar"],
)
def test_a_trace_takes_no_number_token_or_key_along(program: str, named: str) -> None:
    sent = traced(program)
    assert named in sent
    for secret in ("2025550100", "a task token", "an auth token", "a-calendars-token"):
        assert secret not in sent
