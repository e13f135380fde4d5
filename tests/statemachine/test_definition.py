"""The state machine's definition keeps the language's rules, and ours: time limits, retries, a way out of every failure."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from devstack.aws.template import parse
from tests.statemachine.conftest import DEFINITION
from tests.statemachine.rules import faults

TEMPLATE = DEFINITION.parents[1] / "template.yaml"
MACHINE = parse(TEMPLATE.read_text())["Resources"]["StateMachine"]["Properties"]
SUBSTITUTIONS = set(MACHINE["DefinitionSubstitutions"])


def read() -> Any:
    """The definition with its placeholders."""
    return json.loads(DEFINITION.read_text())


def test_the_definition_keeps_every_rule() -> None:
    assert faults(read(), SUBSTITUTIONS) == []


def phone(definition: Any) -> Any:
    """The states of the branch that calls."""
    return definition["States"]["AlertAndCall"]["Branches"][1]["States"]


def message(definition: Any, text: str) -> None:
    """Another message for the fallback topic."""
    definition["States"]["ReportFailure"]["Parameters"]["Message.$"] = text


def retriers(state: Any) -> Any:
    """The Retry of a state, and of those in it."""
    yield from [state["Retry"]] if "Retry" in state else []
    for branch in state.get("Branches", []):
        for inner in branch["States"].values():
            yield from retriers(inner)


def slack_loop(states: Any, task: str) -> list[Any]:
    """The three states that bring Slack up to date, as they are but for their names, words, and where they lead."""
    question = states[task]["Next"]
    wait = states[question]["Choices"][0]["Next"]
    loop = [copy.deepcopy(states[name]) for name in (task, question, wait)]
    assert loop[2]["Next"] == task
    for state in loop:
        for name in ("Comment", "Next", "Default"):
            state.pop(name, None)
        for exit_ in (*state.get("Catch", []), *state.get("Choices", [])):
            exit_.pop("Next")
    return loop


def test_slack_is_asked_the_same_way_wherever_it_is_asked() -> None:
    """The language has no functions, so a loop that is needed three times stands there three times."""
    states = read()["States"]
    beside = states["AlertAndCall"]["Branches"][0]
    loops = [slack_loop(states, "SlackAlert"), slack_loop(states, "SlackNotification")]
    assert [slack_loop(beside["States"], beside["StartAt"]), loops[0]] == [loops[1], loops[1]]


def test_what_may_pass_is_tried_again_the_same_way_wherever_it_is_tried() -> None:
    """What never passes is named before. What waits for a table or a function is tried every minute."""
    states = {name: state for name, state in read()["States"].items() if name != "ReadAgain"}
    found = [retrier[-1] for state in states.values() for retrier in retriers(state)]
    assert len(found) > 1
    assert all(each == found[0] for each in found)


BROKEN: list[tuple[str, Callable[[Any], Any]]] = [
    ("leads to Nowhere", lambda d: d["States"]["ReceiveAlerts"].update(Next="Nowhere")),
    ("leads to Nowhere", lambda d: d["States"]["WhatToDo"].update(Default="Nowhere")),
    ("leads to Nowhere", lambda d: d["States"]["WhatToDo"]["Choices"][0].update(Next="Nowhere")),
    ("leads to Nowhere", lambda d: d["States"]["ReceiveAlerts"]["Catch"][0].update(Next="Nowhere")),
    ("leads to Done", lambda d: phone(d)["IsItTaken"].update(Default="Done")),
    ("leads to Nowhere", lambda d: d.update(StartAt="Nowhere")),
    ("Lonely: cannot be reached", lambda d: d["States"].update(Lonely={"Type": "Pass", "End": True})),
    ("Done: 2 states", lambda d: phone(d).update(Done={"Type": "Pass", "End": True})),
    ("longer than 80", lambda d: d["States"].update({"x" * 81: {"Type": "Pass", "End": True}})),
    ("ReceiveAlerts: no Retry", lambda d: d["States"]["ReceiveAlerts"].pop("Retry")),
    ("PhoneCall: no Catch", lambda d: phone(d)["PhoneCall"].pop("Catch")),
    ("PhoneCall: no time limit", lambda d: phone(d)["PhoneCall"].pop("TimeoutSecondsPath")),
    ("ReportFailure: no time limit", lambda d: d["States"]["ReportFailure"].pop("TimeoutSeconds")),
    ("the machine: no time limit", lambda d: d.pop("TimeoutSeconds")),
    ("a token that nobody", lambda d: phone(d)["PhoneCall"]["Parameters"]["Payload"].pop("token.$")),
    ("WhatToDo: no Default", lambda d: d["States"]["WhatToDo"].pop("Default")),
    ("not alone and last in Retry", lambda d: d["States"]["ReceiveAlerts"]["Retry"].reverse()),
    ("not alone and last in Catch", lambda d: phone(d)["PhoneCall"]["Catch"].reverse()),
    ("not alone", lambda d: d["States"]["ReceiveAlerts"]["Catch"][1]["ErrorEquals"].append("Other")),
    ("input away", lambda d: d["States"]["ReceiveAlerts"]["Catch"][0].pop("ResultPath")),
    ("JSONata", lambda d: d["States"]["Done"].update(Output="{% $states.input %}")),
    ("one of Next and End", lambda d: d["States"]["ReceiveAlerts"].update(End=True)),
    ("one of Next and End", lambda d: phone(d)["CallsEnded"].pop("End")),
    ("that nothing is substituted for", lambda d: d["States"]["Done"].update(Comment="${Nobody}")),
    ("compares one thing", lambda d: d["States"]["WhatToDo"]["Choices"][2].update(StringEqual="x")),
    ("Variable is no path", lambda d: d["States"]["WhatToDo"]["Choices"][2].update(Variable="action")),
    ("is no reference path", lambda d: phone(d)["PhoneCall"].update(TimeoutSecondsPath="$..page")),
    ("a Retry's seconds", lambda d: d["States"]["ReceiveAlerts"]["Retry"][1].update(IntervalSeconds=0)),
    ("its name has to end", lambda d: d["States"]["SlackAlert"]["Parameters"]["Payload"].update(x="$.incidents")),
    ("2 places for 1 arguments", lambda d: message(d, "States.Format('{} {}', $.x)")),
    ("not closed", lambda d: message(d, "States.Format('{}', $.x")),
    ("no intrinsic function", lambda d: message(d, "States.Format('it's', $.x)")),
    ("something after", lambda d: message(d, "States.Format('{}', $.x))")),
    ("there is no States.Fromat", lambda d: message(d, "States.Fromat('{}', $.x)")),
]


@pytest.mark.parametrize(("fault", "break_it"), BROKEN, ids=[f"{n} {fault}" for n, (fault, _) in enumerate(BROKEN)])
def test_a_definition_that_breaks_a_rule_is_found_out(fault: str, break_it: Callable[[Any], Any]) -> None:
    definition = copy.deepcopy(read())
    break_it(definition)
    assert any(fault in each for each in faults(definition, SUBSTITUTIONS)), faults(definition, SUBSTITUTIONS)


def test_an_unused_substitution_is_found_out() -> None:
    assert faults(read(), SUBSTITUTIONS | {"Unused"}) == ["Unused: a substitution that nothing uses"]


def check(definition: Any) -> list[str]:
    """What cfn-lint's own schema of state machines says of it."""
    properties = {
        "RoleArn": "arn:aws:iam::123456789012:role/on-call",
        "DefinitionString": json.dumps(definition).replace("${Partition}", "aws"),
        "DefinitionSubstitutions": dict.fromkeys(SUBSTITUTIONS, "x"),
    }
    template = {"Resources": {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    return [
        f"{found.rule.id} {found.message}"
        for found in lint(json.dumps(template), config=ManualArgs(regions=["us-east-1"]))
    ]


def test_cfn_lint_knows_no_fault_of_the_definition() -> None:
    assert check(read()) == []


@pytest.mark.parametrize(
    "break_it",
    [
        lambda d: d["States"]["ReceiveAlerts"].update(TimeoutSecond=3),
        lambda d: d["States"]["ReceiveAlerts"].pop("Resource"),
        lambda d: d.update(StartAt="Nowhere"),
    ],
)
def test_cfn_lint_finds_a_broken_definition_out(break_it: Callable[[Any], Any]) -> None:
    definition = read()
    break_it(definition)
    assert any(found.startswith("E3601") for found in check(definition))


def test_what_the_topic_is_told_fits_its_limits() -> None:
    """SNS: a subject is less than 100 characters of printable ASCII."""
    for name in (name for name in read()["States"] if name.startswith("Report")):
        subject = read()["States"][name]["Parameters"]["Subject"]
        assert len(subject) < 100
        assert subject.isascii()
        assert subject.isprintable()


def test_no_task_outlives_what_it_waits_for() -> None:
    """A Lambda step's time limit is longer than its function's, so that the function's own error is what is caught."""
    resources = parse(TEMPLATE.read_text())["Resources"]
    states = read()["States"]
    branches = states["AlertAndCall"]["Branches"]
    every = {**states, **branches[0]["States"], **branches[1]["States"]}
    compared = 0
    for name, state in every.items():
        function = state.get("Parameters", {}).get("FunctionName", "").removeprefix("${").removesuffix("Arn}")
        if function and "TimeoutSeconds" in state:
            assert state["TimeoutSeconds"] > resources[function]["Properties"]["Timeout"], name
            compared += 1
    assert compared == 5
