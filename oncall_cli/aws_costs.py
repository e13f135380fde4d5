"""What AWS charged for executions, by what they counted themselves and by published prices."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Any

from oncall_cli.aws_prices import MEMORY_GB, PRICES, Prices
from oncall_cli.errors import aws_errors
from oncall_cli.target import Target

MOST = 500  # histories that are read; Step Functions hands out some 20 a second
READERS = 8
_ENDS = ("TaskSubmitted", "TaskSucceeded", "TaskFailed", "TaskSubmitFailed")  # of a function that a step runs


@dataclass(frozen=True, slots=True)
class Counts:
    """What executions took. `counted` of them have been read; the rest is taken to be like them."""

    executions: int
    counted: int
    transitions: int
    runs: int  # of functions, as steps
    seconds: float  # of those runs

    def dollars(self, prices: Prices = PRICES) -> float:
        """The price, with the request of the API that started each execution."""
        steps = self.transitions * prices.state_transition
        runs = self.runs * prices.run + self.seconds * MEMORY_GB * prices.gb_second
        return steps + runs + self.executions * prices.api_request


@dataclass(frozen=True, slots=True)
class _Execution:
    transitions: int
    runs: int
    seconds: float


def count(target: Target, machine: str, since: datetime) -> Counts:
    """The executions of a state machine that began since a moment. Raises CommandError."""
    client = target.client("stepfunctions")

    def read(arn: str) -> _Execution:
        pages = client.get_paginator("get_execution_history").paginate(executionArn=arn, includeExecutionData=False)
        return of_history([event for page in pages for event in page["events"]])

    with aws_errors(target.name), ThreadPoolExecutor(READERS) as pool:
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine)
        newest_first = (one for page in pages for one in page["executions"])
        arns = [one["executionArn"] for one in takewhile(lambda one: one["startDate"] >= since, newest_first)]
        found = list(pool.map(read, islice(arns, MOST)))
    share = len(arns) / len(found) if found else 0.0
    return Counts(
        executions=len(arns),
        counted=len(found),
        transitions=round(sum(one.transitions for one in found) * share),
        runs=round(sum(one.runs for one in found) * share),
        seconds=round(sum(one.seconds for one in found) * share, 1),
    )


def of_history(events: Iterable[Mapping[str, Any]]) -> _Execution:
    """What one execution took. Step Functions: each state that is entered is a transition, and so is each retry."""
    states = tasks = attempts = runs = 0
    seconds = 0.0
    started: dict[int, datetime] = {}
    for event in events:
        kind = str(event["type"])
        states += kind.endswith("StateEntered")
        tasks += kind == "TaskStateEntered"
        attempts += kind == "TaskScheduled"
        if kind == "TaskStarted" and event["taskStartedEventDetails"]["resourceType"] == "lambda":
            runs += 1
            started[event["id"]] = event["timestamp"]
        if kind in _ENDS and event["previousEventId"] in started:
            seconds += (event["timestamp"] - started[event["previousEventId"]]).total_seconds()
    return _Execution(states + max(0, attempts - tasks), runs, seconds)
