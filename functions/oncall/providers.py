"""Which telephone provider is down, as the table remembers it: a page begins with one that is not (phone.placing).

An item for each that has failed stands beside the roster, so that whoever reads whom to ring knows it without another
request. It only decides who is asked first: both are tried in any case. A provider is well again when a phone was heard
ringing through it; if its API was what failed, also when that answers again. One whose calls did not ring is given another
chance an hour later.
"""

from collections.abc import Container
from typing import Literal

from oncall.roster import DOWN, PARTITION
from oncall.table import DUE, ConditionFailedError, Item, Table, Update

TWILIO, TELNYX = "twilio", "telnyx"  # the one that there always is, and the one that there may be
LABELS = {TWILIO: "Twilio", TELNYX: "Telnyx"}  # as people read them

TRIAL = "PROVIDER ON TRIAL"  # the partition that says which of them the probe's latest run proves
CHECK_MS = 60_000  # when the reconciler asks its API again
CHANCE_MS = 3_600_000  # when one whose calls did not ring may be asked first again

Failure = Literal["api", "ring"]  # it refuses or does not answer; or it takes calls that never ring


def down(table: Table) -> dict[str, Item]:
    """The providers that are down, by their names: `since` (epoch milliseconds), `reason`, `failure`."""
    items = table.query(PARTITION, prefix=f"{DOWN}#")
    return {item["sk"].removeprefix(f"{DOWN}#"): item for item in items if "since" in item}


def first(down: Container[str]) -> str:
    """The provider that is asked first when these are down."""
    return TELNYX if TWILIO in down and TELNYX not in down else TWILIO


def other(provider: str) -> str:
    """The provider beside this one."""
    return TELNYX if provider == TWILIO else TWILIO


def trip(table: Table, provider: str, *, failure: Failure, reason: str, now: int) -> bool:
    """Writes that a provider is down. True if it was not before."""
    update = Update(
        PARTITION,
        f"{DOWN}#{provider}",
        set={"since": now, "failure": failure, "reason": reason, DUE: DUE, "due_at": now + CHECK_MS},
        condition="attribute_not_exists(#since)",
    )
    try:
        table.update(update)
    except ConditionFailedError:
        return False
    return True


def prove(table: Table, provider: str) -> bool:
    """Writes that a provider works. True if it was down."""
    update = Update(
        PARTITION,
        f"{DOWN}#{provider}",
        remove=("since", "failure", "reason", DUE, "due_at"),
        condition="attribute_exists(#since)",
    )
    try:
        table.update(update)
    except ConditionFailedError:
        return False
    return True


def on_trial(table: Table) -> str:
    """The name of the provider that the probe's run proves."""
    return str((table.get(TRIAL, TRIAL) or {}).get("provider", TWILIO))


def put_on_trial(table: Table, provider: str) -> None:
    """Writes which provider the probe's next run proves."""
    table.update(Update(TRIAL, TRIAL, set={"provider": provider}))


def is_to_check(table: Table, item: Item, *, now: int) -> bool:
    """Whether a provider's API is to be asked now, by one of several who could; the next time a minute later."""
    if item["failure"] == "ring" and now - item["since"] < CHANCE_MS:
        return False
    update = Update(
        PARTITION, item["sk"], set={"due_at": now + CHECK_MS}, condition="#due_at <= :now", values={"now": now}
    )
    try:
        table.update(update)
    except ConditionFailedError:
        return False
    return True
