"""The rules of the Amazon States Language that can be told from a definition, and our own.

Sources: https://states-language.net/spec.html, awslabs/statelint, and for limits
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

type State = Mapping[str, Any]

PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
PATH = re.compile(r"\$\$?(\.[A-Za-z_]\w*|\[\d+\])*")
_TRANSITIONS = {"Task", "Parallel", "Pass", "Wait", "Map"}
_COMPARISONS = re.compile(
    r"(String|Numeric|Timestamp)(Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals)(Path)?"
    r"|Boolean(Equals)(Path)?|StringMatches|Is(Null|Present|Numeric|String|Boolean|Timestamp)"
)
_INTRINSICS = {"Format", "StringToJson", "JsonToString", "Array", "ArrayLength", "ArrayGetItem", "Hash", "UUID"}
_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<path>\$[^\s,()]*)|(?P<name>States\.\w+)|(?P<sign>[(),]))")


def faults(definition: Mapping[str, Any], substitutions: set[str]) -> list[str]:
    """What is wrong with a definition. Empty if nothing is."""
    found = list(_placeholders(definition, substitutions))
    machines = list(_machines(definition, "the machine"))
    names = Counter(name for _, machine in machines for name in machine["States"])
    found += [f"{name}: {count} states have this name" for name, count in names.items() if count > 1]
    found += [f"{name}: longer than 80 characters" for name in names if len(name) > 80]
    for where, machine in machines:
        found += _machine(where, machine)
        for name, state in machine["States"].items():
            found += [f"{name}: {fault}" for fault in _state(state)]
    if not isinstance(definition.get("TimeoutSeconds"), int):
        found.append("the machine: no time limit")
    return found


def _machines(machine: Mapping[str, Any], where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield where, machine
    for name, state in machine["States"].items():
        for number, branch in enumerate(state.get("Branches", [])):
            yield from _machines(branch, f"branch {number} of {name}")


def _placeholders(definition: Mapping[str, Any], substitutions: set[str]) -> Iterator[str]:
    used = {name for text in _texts(definition) for name in PLACEHOLDER.findall(text)}
    yield from (f"{name}: a placeholder that nothing is substituted for" for name in sorted(used - substitutions))
    yield from (f"{name}: a substitution that nothing uses" for name in sorted(substitutions - used))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _targets(state: State) -> Iterator[str]:
    for holder in (state, *state.get("Choices", []), *state.get("Catch", [])):
        yield from (holder[name] for name in ("Next", "Default") if name in holder)


def _machine(where: str, machine: Mapping[str, Any]) -> Iterator[str]:
    states = machine["States"]
    reached: set[str] = set()
    waiting = [machine["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        if name not in states:
            yield f"{where}: leads to {name}, which it does not have"
            continue
        reached.add(name)
        waiting += _targets(states[name])
    yield from (f"{name}: cannot be reached" for name in states if name not in reached)
    if not any(state.get("End") or state["Type"] in {"Succeed", "Fail"} for state in states.values()):
        yield f"{where}: never ends"


def _state(state: State) -> Iterator[str]:
    kind = state["Type"]
    if (("Next" in state) + ("End" in state)) != (kind in _TRANSITIONS):
        yield "needs one of Next and End, or neither"
    if kind == "Choice":
        if "Default" not in state:
            yield "no Default"
        for rule in state["Choices"]:
            yield from _rule(rule, is_inner=False)
    if kind == "Wait" and len({"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} & state.keys()) != 1:
        yield "waits for one thing"
    if kind == "Task":
        yield from _task(state)
    for handler in ("Retry", "Catch"):
        yield from _handlers(handler, state.get(handler, []))
    for retrier in state.get("Retry", []):
        yield from _retrier(retrier)
    yield from _data(state)


def _data(state: State) -> Iterator[str]:
    for name in ("InputPath", "OutputPath", "ResultPath", "SecondsPath", "TimeoutSecondsPath"):
        if not PATH.fullmatch(state.get(name) or "$"):
            yield f"{name} is no reference path"
    if {"QueryLanguage", "Arguments", "Output", "Assign"} & state.keys() or any("{%" in text for text in _texts(state)):
        yield "JSONata"
    for template in ("Parameters", "ResultSelector"):
        yield from _template(state.get(template, {}))


def _task(state: State) -> Iterator[str]:
    for needed in ("Retry", "Catch"):
        if not any(handler["ErrorEquals"] == ["States.ALL"] for handler in state.get(needed, [])):
            yield f"no {needed} for States.ALL"
    if len({"TimeoutSeconds", "TimeoutSecondsPath"} & state.keys()) != 1:
        yield "no time limit"
    if state["Resource"].endswith(".waitForTaskToken") and "$$.Task.Token" not in _texts(state["Parameters"]):
        yield "waits for a token that nobody is given"


def _handlers(name: str, handlers: list[Mapping[str, Any]]) -> Iterator[str]:
    for number, handler in enumerate(handlers, 1):
        errors = handler["ErrorEquals"]
        if not errors:
            yield f"{name} for no error"
        if "States.ALL" in errors and (len(errors) > 1 or number < len(handlers)):
            yield f"States.ALL is not alone and last in {name}"
        if name == "Catch" and "ResultPath" not in handler:
            yield "a Catch throws the state's input away"
    seen = Counter(error for handler in handlers for error in handler["ErrorEquals"])
    yield from (f"{error} is named twice in {name}" for error, count in seen.items() if count > 1)


def _retrier(retrier: Mapping[str, Any]) -> Iterator[str]:
    interval, longest = retrier.get("IntervalSeconds", 1), retrier.get("MaxDelaySeconds", 31_622_400)
    if not (isinstance(interval, int) and 1 <= interval < longest <= 31_622_400):
        yield "a Retry's seconds"
    if not (isinstance(retrier.get("MaxAttempts", 3), int) and retrier.get("MaxAttempts", 3) >= 0):
        yield "a Retry's MaxAttempts"
    if retrier.get("BackoffRate", 2) < 1 or retrier.get("JitterStrategy", "NONE") not in {"NONE", "FULL"}:
        yield "a Retry's rate"


def _rule(rule: Mapping[str, Any], *, is_inner: bool) -> Iterator[str]:
    if is_inner == ("Next" in rule):
        yield "a choice's Next belongs to its outermost rule"
    combined = [name for name in ("And", "Or", "Not") if name in rule]
    compared = [name for name in rule if _COMPARISONS.fullmatch(name)]
    if len(combined) + len(compared) != 1 or rule.keys() - {"Next", "Variable", "Comment", *combined, *compared}:
        yield "a choice compares one thing"
    if compared and not PATH.fullmatch(rule.get("Variable", "")):
        yield "a choice's Variable is no path"
    for name in combined:
        for inner in rule[name] if name != "Not" else [rule[name]]:
            yield from _rule(inner, is_inner=True)


def _template(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _template(each)
    if not isinstance(value, Mapping):
        return
    for name, each in value.items():
        if not name.endswith(".$"):
            yield from _template(each)
            if isinstance(each, str) and each.startswith(("$.", "$$.", "States.")):
                yield f"{name} looks like a path, but is a text: its name has to end with .$"
        elif not isinstance(each, str):
            yield f"{name} is neither a path nor an intrinsic function"
        elif each.startswith("States."):
            yield from (f"{name}: {fault}" for fault in _intrinsic(each))
        elif not PATH.fullmatch(each):
            yield f"{name} is no path"


def _intrinsic(text: str) -> Iterator[str]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            yield f"is no intrinsic function from {text[at : at + 20]!r}"
            return
        tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
        at = found.end()
    try:
        rest = _call(tokens)
    except ValueError as error:
        yield str(error)
        return
    if rest:
        yield f"has something after its end: {rest[0][1]}"


def _call(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Reads a function's call; returns what follows it. Raises ValueError with what is wrong."""
    (_, name), *rest = tokens
    if name.removeprefix("States.") not in _INTRINSICS:
        raise ValueError(f"there is no {name} here")
    if rest[:1] != [("sign", "(")]:
        raise ValueError(f"{name} has no arguments")
    rest = rest[1:]
    arguments: list[str] = []
    while rest and rest[0] != ("sign", ")"):
        if arguments:
            if rest[0] != ("sign", ","):
                raise ValueError("a comma is missing")
            rest = rest[1:]
        kind, text = rest[0] if rest else ("", "")
        if kind not in {"text", "path", "name"} or (kind == "path" and not PATH.fullmatch(text)):
            raise ValueError(f"{text!r} is no argument")
        arguments.append(text)
        rest = _call(rest) if kind == "name" else rest[1:]
    if not rest:
        raise ValueError("a parenthesis is not closed")
    if name == "States.Format":
        places = len(re.findall(r"(?<!\\)\{\}", arguments[0])) if arguments else -1
        if places != len(arguments) - 1:
            raise ValueError(f"States.Format has {places} places for {len(arguments) - 1} arguments")
    return rest[1:]
