"""What executions cost, by their own histories."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oncall_cli.aws_costs import Counts, of_history
from oncall_cli.aws_prices import PRICES

BEGAN = datetime(2026, 11, 29, 3, tzinfo=UTC)


def history(*kinds: tuple[str, float]) -> list[dict[str, Any]]:
    """Events one after another, with the seconds since the beginning."""
    return [
        {
            "id": number,
            "previousEventId": number - 1,
            "type": kind,
            "timestamp": BEGAN + timedelta(seconds=seconds),
            "taskStartedEventDetails": {"resourceType": "lambda", "resource": "invoke"},
        }
        for number, (kind, seconds) in enumerate(kinds, 1)
    ]


def test_states_and_retries_are_transitions_and_a_call_costs_nothing_while_it_rings() -> None:
    took = of_history(
        history(
            *(("ExecutionStarted", 0), ("TaskStateEntered", 0), ("TaskScheduled", 0), ("TaskStarted", 0.1)),
            *(("TaskFailed", 0.4), ("TaskScheduled", 1.4), ("TaskStarted", 1.4), ("TaskSucceeded", 1.6)),
            *(("TaskStateExited", 1.6), ("ChoiceStateEntered", 1.6), ("ChoiceStateExited", 1.6)),
            *(("TaskStateEntered", 1.6), ("TaskScheduled", 1.6), ("TaskStarted", 1.6), ("TaskSubmitted", 1.9)),
            *(("TaskSucceeded", 30), ("TaskStateExited", 30), ("SucceedStateEntered", 30), ("ExecutionSucceeded", 30)),
        )
    )
    assert (took.transitions, took.runs) == (5, 3), "four states, one of them twice"
    assert took.seconds == pytest.approx(0.3 + 0.2 + 0.3)


def test_a_message_to_a_topic_is_no_run_of_a_function() -> None:
    events = history(("TaskStateEntered", 0), ("TaskScheduled", 0), ("TaskStarted", 0), ("TaskSucceeded", 1))
    events[2]["taskStartedEventDetails"] = {"resourceType": "sns", "resource": "publish"}
    took = of_history(events)
    assert (took.transitions, took.runs, took.seconds) == (1, 0, 0)


def test_the_price_is_that_of_what_was_counted() -> None:
    counts = Counts(executions=2, counted=2, transitions=30, runs=10, seconds=3.0)
    expected = 30 * 0.000025 + 10 * 0.0000002 + 3.0 * 0.0000133334 + 2 * 0.0000035
    assert counts.dollars(PRICES) == pytest.approx(expected)
