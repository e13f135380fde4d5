"""Signals: they make others look at the table sooner. Losing one changes when something happens, never whether."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger(child=True)

# The step has gone on without us: its time was up, or another key released it.
_GONE = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a PhoneCall step says to the state machine.

    `next`: "call" looks at the page again (the next responder rings, or it ends), "wait" does so after `wait_seconds`,
    "end" leaves the loop. `incidents` are those whose end has to reach Slack.
    """

    result: Literal["success", "fail", "skip"]
    reason: str
    next: Literal["call", "wait", "end"]
    wait_seconds: int = 0
    incidents: tuple[str, ...] = ()


def release(client: "SFNClient", token: str, answer: Answer) -> None:
    """Releases the waiting PhoneCall step, if it still waits."""
    if not token:
        return
    try:
        client.send_task_success(taskToken=token, output=json.dumps(asdict(answer)))
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        logger.info("the step no longer waits", reason=answer.reason)


def start(client: "SFNClient", state_machine: str, name: str, given: Mapping[str, object]) -> None:
    """Starts an execution with an input. One that was started already under this name is left alone."""
    with suppress(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(stateMachineArn=state_machine, name=name, input=json.dumps(given))


def ask_slack(client: "LambdaClient", function: str, wish: Mapping[str, object]) -> None:
    """Asks SlackNotification for something beside us (its handler says what there is). Raises what botocore raises."""
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(wish))


def slack_later(client: "LambdaClient", function: str, incidents: Iterable[str]) -> None:
    """Has Slack brought up to date beside us. If this cannot be asked for, the reconciler does it within two minutes."""
    try:
        ask_slack(client, function, {"incidents": sorted(incidents)})
    except (ClientError, BotoCoreError) as error:
        logger.warning("Slack is brought up to date by the reconciler", error=type(error).__name__)


def phone_later(client: "LambdaClient", function: str, wish: Mapping[str, object]) -> None:
    """Asks PhoneCall for something beside us (its handler says what there is). If this cannot be asked for, it is not done."""
    try:
        client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(wish))
    except (ClientError, BotoCoreError) as error:
        logger.warning("PhoneCall was not asked", wish=sorted(wish), error=type(error).__name__)
