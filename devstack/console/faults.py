"""What can be made to fail, as a person chooses it: for each part of the world a few choices, one of them that it works.

Which choice holds is read from the simulators, so it is true whoever made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ALWAYS = 1_000_000  # where a simulator wants a number of times
_CALLBACKS = ("drop", "delay", "repeat")  # of Twilio: one object in the request, three names in the answer


@dataclass(frozen=True)
class Choice:
    """One way to fail: the name that `GET /_sim/faults` has for it, and what is asked for under it."""

    id: str
    label: str
    name: str
    fault: Mapping[str, Any] | float


@dataclass(frozen=True)
class Switch:
    """One thing that can fail, in the part of the devstack that has the control. `hint` says what ought to happen."""

    id: str
    part: str
    title: str
    hint: str
    choices: tuple[Choice, ...]


SWITCHES = (
    Switch(
        "site",
        "site",
        "The site",
        "Prometheus asks it every second.",
        (
            Choice("503", "503", "site", {"status": 503}),
            Choice("500", "500", "site", {"status": 500}),
            Choice("slow", "10 s slow", "site", {"status": 200, "delay": 10}),
        ),
    ),
    Switch(
        "calls",
        "twilio",
        "Twilio: calls",
        "The same phone rings through Telnyx. With both away Slack and the fallback channel tell it.",
        (
            Choice("503", "503", "create", {"status": 503, "code": 20503}),
            Choice("429", "429 too many", "create", {"status": 429, "code": 20429}),
            Choice("401", "wrong password", "create", {"status": 401, "code": 20003, "message": "Authenticate"}),
            Choice("lost", "dialled, answer lost", "create", {"lose_answer": True}),
            Choice("silent", "taken, never rings", "ring", False),
        ),
    ),
    Switch(
        "telnyx",
        "telnyx",
        "Telnyx: calls",
        "Asked when Twilio fails.",
        (
            Choice("503", "503", "create", {"status": 503, "code": 10007}),
            Choice("401", "wrong key", "all", {"status": 401, "code": 10009}),
            Choice("silent", "taken, never rings", "ring", False),
        ),
    ),
    Switch(
        "callbacks",
        "twilio",
        "Twilio: callbacks",
        "A lost one costs half a minute, never the page.",
        (
            Choice("drop", "lost", "drop", _ALWAYS),
            Choice("late", "8 s late", "delay", 8),
            Choice("repeat", "twice", "repeat", _ALWAYS),
        ),
    ),
    Switch(
        "slack",
        "slack",
        "Slack",
        "Phones ring on time; the messages come later, all of them, in order.",
        (
            Choice("500", "500", "every method", {"status": 500}),
            Choice("429", "429, wait 5 s", "every method", {"status": 429, "retry_after": 5}),
            Choice("channel", "wrong channel", "every method", {"error": "channel_not_found"}),
            Choice("lost", "posted, answer lost", "every method", {"lose_answer": True}),
        ),
    ),
    Switch(
        "gateway",
        "gateway",
        "API Gateway",
        "Alertmanager gets a 5xx and tries again.",
        (
            Choice("throttle", "throttled", "throttle", _ALWAYS),
            Choice("timeout", "timeouts", "integration", {"error": "timeout", "times": _ALWAYS}),
        ),
    ),
    Switch(
        "start",
        "aws",
        "StartExecution",
        "No 2xx for what was not accepted: Alertmanager tries again.",
        (
            Choice("throttled", "throttled", "states:StartExecution", {"status": 400, "type": "ThrottlingException"}),
            Choice("away", "503", "states:StartExecution", {"status": 503, "type": "ServiceUnavailable"}),
        ),
    ),
    Switch(
        "dynamodb",
        "aws",
        "DynamoDB",
        "Every step is tried again until the table answers.",
        (
            Choice("away", "503", "dynamodb", {"status": 503, "type": "ServiceUnavailable"}),
            Choice("throttled", "throttled", "dynamodb", {"status": 400, "type": "ThrottlingException"}),
            Choice("slow", "1 s slow", "dynamodb", {"delay": 1}),
        ),
    ),
    Switch(
        "phone-call",
        "aws",
        "PhoneCall function",
        "Killed in the middle, it finds what was begun and rings nobody twice.",
        (
            Choice("before", "killed at once", "lambda:PhoneCallFunction", {"kill": "before"}),
            Choice("after", "killed when done", "lambda:PhoneCallFunction", {"kill": "after"}),
            Choice("away", "Lambda is away", "lambda:PhoneCallFunction", {"status": 503}),
        ),
    ),
    Switch(
        "sns",
        "aws",
        "Fallback topic",
        "The last channel. It shares no fault with phones and Slack.",
        (Choice("away", "503", "sns", {"status": 503, "type": "ServiceUnavailable"}),),
    ),
)
PARTS = ("site", "twilio", "telnyx", "slack", "gateway", "aws")


def failing(part: str, answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What fails in a part by its answer to `GET /_sim/faults` (the site's: to `GET /_sim/site`), without what is used up."""
    if part == "site":
        return {} if answer == {"status": 200, "delay": 0} else {"site": answer}
    return {name: fault for name, fault in answer.items() if fault.get("left", fault.get("times")) != 0}


def chosen(switch: Switch, left: Mapping[str, Mapping[str, Any]]) -> str:
    """The choice that holds by what fails in its part: "" if it works, "other" if what fails is none of the choices."""
    for choice in switch.choices:
        if choice.name in left and _is(choice.fault, left[choice.name]):
            return choice.id
    return "other" if any(choice.name in left for choice in switch.choices) else ""


def _is(fault: Mapping[str, Any] | float, left: Mapping[str, Any]) -> bool:
    if isinstance(fault, Mapping):
        return all(left.get(name) == value for name, value in fault.items() if name != "times")
    return bool(left.get("seconds", fault) == fault)  # of a number of times, what is left is less


def request(part: str, choices: Mapping[str, str]) -> dict[str, Any]:
    """The body that makes these choices (by the switch's id) hold in a part, and nothing else fail."""
    wanted: dict[str, Any] = {}
    for switch in SWITCHES:
        for choice in switch.choices:
            if switch.part != part or choices.get(switch.id) != choice.id:
                continue
            if part in {"site", "slack"}:  # they take one fault, without a name
                return dict(choice.fault) if isinstance(choice.fault, Mapping) else {}
            if choice.name in _CALLBACKS:
                wanted["callbacks"] = {choice.name: choice.fault}
            else:
                wanted[choice.name] = choice.fault
    return wanted
