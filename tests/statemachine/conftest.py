"""The state machine as it is deployed; only its retries come faster."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from tests.devstack.application import serving
from tests.statemachine.stand_in import CALL, RECEIVE, ROLE, SLACK, TOPIC, Machine, StandIn

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

DEFINITION = Path(__file__).parents[2] / "statemachine/on_call.asl.json"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
SUBSTITUTIONS = {
    "ReceiveAlertsFunctionArn": ARN + RECEIVE,
    "PhoneCallFunctionArn": ARN + CALL,
    "SlackNotificationFunctionArn": ARN + SLACK,
    "FallbackTopicArn": TOPIC,
    "Partition": "aws",
}


@pytest.fixture
def definition() -> dict[str, Any]:
    """The definition with its placeholders filled."""
    text = re.sub(r"\$\{(\w+)\}", lambda found: SUBSTITUTIONS[found[1]], DEFINITION.read_text())
    filled: dict[str, Any] = json.loads(text)
    return filled


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[tuple[StandIn, "SFNClient"]]:
    # Only here: they set up Step Functions for the whole process.
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl  # noqa: PLC0415

    from devstack.aws import step_functions  # noqa: PLC0415 - makes moto's Step Functions close to AWS's

    stand_in = StandIn(DomainDispatcherApplication(create_backend_app), step_functions.refusal)
    with serving(stand_in) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_PORT", address.rsplit(":", 1)[-1])
        # Retries come a hundred times as fast. Nothing in the definition changes.
        patch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 100)))
        client: SFNClient = boto3.client(
            "stepfunctions",
            region_name="us-east-1",
            endpoint_url=address,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            # Step Functions puts sync- before the host's name for some actions.
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )
        yield stand_in, client
        client.close()


@pytest.fixture
def make_machine(_stand_in: tuple[StandIn, "SFNClient"]) -> Iterator[Callable[[dict[str, Any]], Machine]]:
    """Makes state machines of definitions."""
    stand_in, client = _stand_in
    stand_in.forget()
    made = []

    def make(definition: dict[str, Any]) -> Machine:
        name = f"on-call-{uuid4()}"
        created = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
        made.append(created["stateMachineArn"])
        return Machine(client, made[-1], stand_in)

    yield make
    for machine in made:
        for execution in client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
            client.stop_execution(executionArn=execution["executionArn"])


@pytest.fixture
def machine(make_machine: Callable[[dict[str, Any]], Machine], definition: dict[str, Any]) -> Machine:
    """The state machine, ready to run."""
    return make_machine(definition)
