"""Who may do what about incidents in Slack. Pure functions of the roster and of what Slack says of a person.

RIGHTS is the one table; docs/security.md shows it to people, and the tests go through it row by row. Phones need no table:
only responders are rung. The command `oncall` needs none either: IAM says who may use it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from oncall.roster import EVERYONE, Policy, Responder, Roster, overrides, schedules

Action = Literal["look", "acknowledge", "ring_next", "resolve", "take_shift", "page"]

# in_policy: the roster names them, and they are in the policy that it is about.
# responder: the roster names them, for other policies.
# member: of the workspace, and not in the roster. guest: of the workspace, limited to some channels.
# outsider: of another organisation, in a channel shared with ours (Slack Connect).
Standing = Literal["in_policy", "responder", "member", "guest", "outsider"]
Kind = Literal["member", "guest", "outsider"]  # what Slack says of a person

RIGHTS: Mapping[Standing, frozenset[Action]] = {
    "in_policy": frozenset({"look", "acknowledge", "ring_next", "resolve", "take_shift", "page"}),
    # To wake another team is what a page by hand is for.
    "responder": frozenset({"look", "acknowledge", "page"}),
    # Whoever sees an outage may take it: a phone that rings at 3 a.m. is stopped by anybody who is awake and looks after it.
    "member": frozenset({"look", "acknowledge"}),
    "guest": frozenset(),
    "outsider": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the stack's parameters change. `members_may_all`: as if each member were in the policy, but for shifts, which need
    a telephone number. `guests_may_acknowledge`: guests and outsiders look and acknowledge as members do.
    """

    members_may_all: bool = False
    guests_may_acknowledge: bool = False


def people(known: Roster, policy: Policy, now: datetime) -> tuple[Responder, ...]:
    """Whom a policy rings at any time, and whoever stands in for one of them now; in the order of the roster."""
    named: set[str] = {on_call.responder.id for on_call in schedules.responders_on_call(known, policy, now)}
    for step in policy.steps:
        if step.kind == EVERYONE:
            named |= known.responders.keys()
        elif step.kind == "responder":
            named.add(step.id)
        else:
            named |= {one for layer in known.schedules[step.id].layers for one in layer.members}
    return tuple(responder for responder in known.responders.values() if responder.id in named)


def standing(responder: Responder | None, kind: Kind, concerned: Collection[Responder]) -> Standing:
    """How somebody stands to a policy whose people are `concerned`. The roster's word counts before Slack's.

    If Slack's users of none of them are known, the roster cannot say who they are in Slack: then each member counts as one of
    them, or nobody could resolve anything at 3 a.m. So it is with an empty roster, and in a new small team.
    """
    if responder is not None:
        return "in_policy" if responder in concerned else "responder"
    if kind == "member" and not any(one.slack_user for one in concerned):
        return "in_policy"
    return kind


def may(action: Action, stands: Standing, parameters: Parameters) -> bool:
    """Whether somebody may do it. A shift is taken by whom the roster knows alone: who has it is rung."""
    allowed = RIGHTS[stands]
    if parameters.members_may_all and stands in ("responder", "member"):
        allowed = RIGHTS["in_policy"]
    if parameters.guests_may_acknowledge and stands in ("guest", "outsider"):
        allowed = RIGHTS["member"]
    return action in allowed


def policies_of(known: Roster, schedule: str) -> tuple[Policy, ...]:
    """The policies that ring by a schedule."""
    found = {policy.id: policy for policy in (known.policy_for(""), *known.policies.values())}
    return tuple(policy for policy in found.values() if schedule in overrides.schedules_of(policy))


def holders(known: Roster, schedule: str, now: datetime) -> tuple[Responder, ...]:
    """Who may take a schedule's shifts: the people of the policies that ring by it."""
    found = {one.id for policy in policies_of(known, schedule) for one in people(known, policy, now)}
    return tuple(responder for responder in known.responders.values() if responder.id in found)
