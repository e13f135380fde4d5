"""The other stack of a pair: a primary's standby, a standby's primary (docs/regions.md)."""

import json
from typing import Literal

from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import note
from oncall_cli.target import Stack, Target

Name = Literal["primary", "standby"]


def name(stack: Stack) -> Name | None:
    """Which one it is, as seen from this stack; None if there is none."""
    if stack.parameters.get("PeerUrl"):
        return "primary"
    return "standby" if stack.parameters.get("StandbyUrl") else None


def hears(target: Target) -> bool:
    """Has both stacks tell each other all that each has; False if the other one does not answer."""
    function = target.physical_id("ReconcileFunction")
    with aws_errors(target.name):
        answer = target.client("lambda").invoke(FunctionName=function, Payload=json.dumps({"exchange": True}))
        told = json.loads(answer["Payload"].read())
    if not isinstance(told, dict) or "heard" not in told:
        raise CommandError(f"the function Reconcile failed ({told.get('errorType', 'no answer')}): look at its log")
    return bool(told["heard"])


def tell(target: Target) -> None:
    """After a change of the roster: has the other stack follow it, and says whether it does."""
    if target.stack_name is None:
        return  # a table alone
    other = name(target.stack())
    if other is None:
        return
    if hears(target):
        note(f"the {other} has it too")
    else:
        note(f"the {other} does not answer: it follows within two minutes after it does")
