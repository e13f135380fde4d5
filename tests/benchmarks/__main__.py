"""Measures the chain on this machine: `python -m tests.benchmarks ring [--times 60]`, `... storm`, `... slack [--times 60]`.

ring: seconds from the webhook's post until Twilio has the call, and DynamoDB's round trips on the way.
storm: 200 groups of one policy in ten seconds, and of twenty policies: calls, phones ringing at once, seconds, round trips,
state transitions.
slack: seconds until Slack has its answer to a pressed button, and to /oncall; from a cold start and warm.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.devstack_fixture import running_devstack
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import Night, Story, most_at_once
from tests.e2e.test_storm import GROUPS, POLICIES, all_are_acknowledged, breaks, on_the_page, patiently, takes


def dynamodb_requests(night: Night, since: float, until: float, *functions: str) -> int:
    """How many requests functions (or all) sent to DynamoDB between two moments (epoch seconds)."""
    return sum(
        since <= one["time"] <= until
        and one["action"].startswith("dynamodb:")
        and (not functions or any(function in one["principal"] for function in functions))
        for one in night.system.requests_to_aws()
    )


def ring(night: Night, times: int) -> None:
    """Fires a group again and again, each time when all is quiet, and prints how long it took."""
    story = night.story("ann")
    seconds, trips = [], []
    for number in range(times + 3):  # the first ones start cold
        group = f"group {number}"
        posted = time.time()
        execution = story.fire(group)
        call = story.rings("ann", nth=number + 1)
        if number >= 3:
            seconds.append(call["created_at"] - posted)
            trips.append(dynamodb_requests(night, posted, call["created_at"], "ReceiveAlerts", "PhoneCall"))
        story.resolve(group)
        story.finished(execution)
    seconds.sort()
    at_99 = seconds[min(len(seconds) - 1, round(0.99 * len(seconds)))]
    print(f"webhook to ring, {times} times: median {statistics.median(seconds):.2f} s, 99th percentile {at_99:.2f} s")  # noqa: T201
    print(f"DynamoDB round trips before the ring: median {statistics.median(trips):.0f}, most {max(trips)}")  # noqa: T201


def storm(night: Night, stories: Sequence[Story]) -> None:
    """Lets a storm break, lets the first of each policy take it, and prints what it took."""
    began = time.time()
    executions = breaks(stories)
    patiently(lambda: sum(map(on_the_page, stories)) == GROUPS, "all groups on their pages")
    joined = time.time()
    calls = [story.rings("ann") for story in stories]
    for story, call in zip(stories, calls, strict=True):
        takes(story, call["sid"])
    all_are_acknowledged(stories)
    acknowledged = time.time()
    patiently(lambda: sum(len(story.heads()) for story in stories) >= GROUPS, "all messages in Slack", 600)
    night.rests(600)
    ended = time.time()
    placed = [call for story in stories for call in story.calls()]
    each = max(most_at_once(story.calls()) for story in stories)
    states = sum(len(stories[0].states(execution)) for execution in executions) / GROUPS
    trips = dynamodb_requests(night, began, ended) / GROUPS
    print(  # noqa: T201
        f"storm of {GROUPS} groups, {len(stories)} policies: {len(placed)} calls, at once at the most {most_at_once(placed)} "
        f"({each} of one policy), all joined after {joined - began:.0f} s, "
        f"all acknowledged after {acknowledged - began:.0f} s, "
        f"in Slack after {ended - began:.0f} s; for each incident {trips:.1f} DynamoDB round trips, {states:.1f} states"
    )


def slack(night: Night, times: int) -> None:
    """Presses a button and types a command, again and again, and prints how long Slack waited."""
    story = night.story("ann", "ben", rounds=20)
    story.fire()
    story.rings("ann")
    ts = story.message()["ts"]
    user = story.slack_user("ann")
    asks = {
        "button (take_shift)": (f"messages/{ts}/press", {"action_id": "take_shift", "user": user}),
        "/oncall who": ("commands", {"command": "/oncall", "text": "who", "user": user}),
        "/oncall incidents": ("commands", {"command": "/oncall", "text": "incidents", "user": user}),
    }
    for name, (path, body) in asks.items():
        for is_cold in (True, False):
            seconds = []
            for _ in range(max(3, times // 6) if is_cold else times):
                if is_cold:
                    night.system.faults("aws", {"lambda:SlackReplyFunction": {"kill": "idle"}})
                seconds.append(float(night.system.control("POST", "slack", path, body)["seconds"]))
            started = "cold" if is_cold else "warm"
            print(f"{name}, {started}: median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s")  # noqa: T201


def main() -> None:
    """Measures what is asked for on a system of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ring", "storm", "slack"))
    parser.add_argument("--times", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "bench"
        with running_devstack(directory, MONITORING="0", ROSTER=ROSTER) as system:
            night = night_of(system)
            system.control("PUT", "twilio", "settings", {"calls_per_second": 20})
            if options.what == "ring":
                ring(night, options.times)
            elif options.what == "slack":
                slack(night, options.times)
            else:
                storm(night, [night.story("ann", "ben", ring_seconds=120)])
                storm(night, [night.story("ann", "ben", ring_seconds=120) for _ in range(POLICIES)])


if __name__ == "__main__":
    main()
