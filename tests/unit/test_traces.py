"""What goes to X-Ray: an error may carry the page, with telephone numbers and the task token, and must not take them along."""

import os
import subprocess
import sys
from pathlib import Path

from devstack.aws.template import parse

ROOT = Path(__file__).parents[2]
PROGRAM = """
from aws_xray_sdk.core.emitters import udp_emitter
udp_emitter.UDPEmitter.send_entity = lambda _, entity: print(entity.serialize())
from aws_lambda_powertools import Tracer
from oncall.table import ConditionFailedError

@Tracer().capture_lambda_handler(capture_response=False)
def lambda_handler(event, context):
    raise ConditionFailedError({"token": "a task token", "phone": "+12025550100"})

try:
    lambda_handler({}, None)
except ConditionFailedError:
    pass
"""


def test_a_trace_names_the_error_and_takes_nothing_of_the_page_along() -> None:
    variables = parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Environment"]["Variables"]
    environment = {
        **{name: value for name, value in variables.items() if isinstance(value, str)},
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_LAMBDA_FUNCTION_NAME": "phone-call",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "PYTHONPATH": str(ROOT / "functions"),
        "PATH": os.environ["PATH"],
    }
    run = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert '"type": "ConditionFailedError"' in run.stdout
    assert "2025550100" not in run.stdout
    assert "a task token" not in run.stdout
