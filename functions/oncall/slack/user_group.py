"""The user group @oncall in Slack follows the rotation: its members are those who are rung first.

The table's item says whom the group was last given, so Slack is only asked when that changes. Of two that set it at the
same moment, the one that was overtaken notices, and it is set again. Slack: usergroups.users.update needs the scope
usergroups:write and a paid plan, and takes no empty list.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger

from oncall import roster
from oncall.clock import at
from oncall.roster.overview import first_rung
from oncall.services import Services
from oncall.table import ConditionFailedError, Item, Table, Update

logger = Logger(child=True)

AGAIN_MS = 600_000  # after a refusal it is tried again so often: somebody has to fix something
SOON_MS = 60_000  # when Slack did not answer, or not now


class RefusedError(Exception):
    """Slack did not take the members; the message is its error. What `may_pass` needs nobody to fix it."""

    def __init__(self, error: str, *, may_pass: bool) -> None:
        super().__init__(error)
        self.may_pass = may_pass


def is_behind(table: Table, group: str, *, now: int) -> bool:
    """Whether the group has other members than those who are rung first, and it is time to say so."""
    state = _state(table, group)
    wanted = _wanted(table, now)
    return bool(wanted and wanted != state.get("members") and now >= state.get("again_at", 0))


def follow(services: Services, group: str, set_members: Callable[[str, list[str]], None]) -> None:
    """Gives the group the members that it has to have. Tells the fallback topic once if Slack refuses.

    `set_members` takes the group's id and its users' ids, and raises RefusedError.
    """
    now = services.now()
    state = _state(services.table, group)
    wanted = _wanted(services.table, now)
    if not wanted or wanted == state.get("members"):
        return
    try:
        turn = services.table.update(
            Update(
                _partition(group),
                "MEMBERS",
                set={"turn": state.get("turn", 0) + 1, "again_at": now + AGAIN_MS},
                remove=("members",),
                condition="attribute_not_exists(#turn) OR #turn = :turn",
                values={"turn": state.get("turn", 0)},
            )
        )
    except ConditionFailedError:
        return  # somebody else is at it
    try:
        set_members(group, wanted)
    except RefusedError as error:
        _refused(services, group, turn, error)
        return
    try:
        services.table.update(
            Update(
                _partition(group),
                "MEMBERS",
                set={"members": wanted},
                remove=("again_at", "refused"),
                condition="#turn = :turn",
                values={"turn": turn["turn"]},
            )
        )
        logger.info("the user group has changed", group=group, members=len(wanted))
    except ConditionFailedError:  # ours may have come after the newer one
        services.table.update(Update(_partition(group), "MEMBERS", remove=("members", "again_at")))


def _refused(services: Services, group: str, state: Mapping[str, Any], refusal: RefusedError) -> None:
    error = str(refusal)
    logger.warning("Slack does not take the user group's members", group=group, error=error)
    if refusal.may_pass:
        services.table.update(Update(_partition(group), "MEMBERS", set={"again_at": services.now() + SOON_MS}))
        return
    if state.get("refused") == error:
        return
    services.fallback.tell(
        "Slack's user group does not follow the rotation",
        f"Slack answered {error} for the members of the user group {group}. Paging is not touched by it.\n"
        "missing_scope: add usergroups:write to the app and install it again. permission_denied: let apps or everybody edit user "
        "groups in the workspace's settings. plan_upgrade_required: user groups need a paid plan. no_such_subteam: compare the "
        "parameter SlackUserGroup. To do without, deploy with SlackUserGroup empty.\nIt is tried again every ten minutes.",
    )
    services.table.update(Update(_partition(group), "MEMBERS", set={"refused": error}))


def _wanted(table: Table, now: int) -> list[str]:
    """The Slack users who are rung first. Empty if the roster knows no Slack user of theirs: then the group stays."""
    known, _ = roster.read_items(table.query(roster.PARTITION))
    return sorted({one.slack_user for one in first_rung(known, at(now)) if one.slack_user})


def _state(table: Table, group: str) -> Item:
    return table.get(_partition(group), "MEMBERS") or {}


def _partition(group: str) -> str:
    return f"SLACK#{group}"
