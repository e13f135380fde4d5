"""The probe's runs in the table: which one is under way, and how each went.

An alert group is the probe's only if the probe has written beforehand that it posts this very group. Whoever else names
the product `oncall-probe` has a real alert.

The partition PROBE has the item LAST, which says which run is under way, and RUN#id for each run of the last weeks.
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from oncall.alerts.group import AlertGroup, Status
from oncall.clock import at
from oncall.probe.rules import PRODUCT
from oncall.table import DUE, ConditionFailedError, Item, Table, Update

PARTITION = "PROBE"
LONGEST_MS = 200_000  # for so long a run keeps others away; its function's time limit is shorter
KEPT_SECONDS = 100 * 86_400  # how long a run stays in the table

_KEY = re.compile(f"{PRODUCT}:([A-Za-z0-9-]{{1,64}})")
_RATE = re.compile(r"rate\(([0-9]{1,4}) (minute|hour|day)s?\)")
_UNITS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_MONTH_MS = 31 * 86_400_000


def is_ours(table: Table, group: AlertGroup) -> bool:
    """Whether the probe has posted this group. One request more, and only for groups that name its product."""
    found = _KEY.fullmatch(group.key)
    return bool(group.product == PRODUCT and found and read(table, found[1]))


def webhook(run: str, status: Status, *, now: int) -> dict[str, object]:
    """What the probe posts, shaped like Alertmanager's webhook, version 4."""
    labels = {"alertname": "On-call probe", "product": PRODUCT, "severity": "critical"}
    annotations = {"summary": "this is only the on-call probe, nobody has to do anything"}
    moment = at(now).isoformat()
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": moment,
        "endsAt": moment if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": hashlib.sha256(run.encode()).hexdigest()[:16],
    }
    return {
        "version": "4",
        "groupKey": f"{PRODUCT}:{run}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": PRODUCT,
        "groupLabels": {"alertname": labels["alertname"]},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def begin(
    table: Table, run: str, *, owner: str, now: int, patience: int = 0, provider: str = ""
) -> tuple[Literal["begun", "died", "busy", "over"], str]:
    """Writes that a run begins, and which one was before it. One run at a time: with two, neither measures anything.

    `owner` is the invocation: Lambda tries one that failed again under the same name, so its first try has died.
    `provider`: which telephone provider it proves, if there are two.
    `patience`: when no run begins for so many milliseconds, the reconciler tells; 0 for never.
    """
    last = table.get(PARTITION, "LAST") or {}
    before = str(last.get("run", ""))
    if before == run:
        ended = (read(table, run) or {}).get("ended_at")
        return ("over" if ended else "died" if last["owner"] == owner else "busy"), before
    try:
        update = Update(
            PARTITION,
            "LAST",
            set={"run": run, "owner": owner, "until": now + LONGEST_MS}
            | ({DUE: DUE, "due_at": now + patience} if patience else {}),
            remove=() if patience else (DUE, "due_at"),
            condition="attribute_not_exists(#run) OR (#run = :before AND #until <= :now)",
            values={"before": before, "now": now},
        )
        table.update(update)
    except ConditionFailedError:
        return "busy", before
    note(
        table,
        run,
        {"started_at": now, "hops": {}, "provider": provider, "expires_at": now // 1000 + KEPT_SECONDS},
    )
    return "begun", before


def refuse(table: Table, run: str, *, now: int) -> None:
    """Notes that a run was not begun, for whoever asked for it."""
    problem = "another probe is under way"
    note(table, run, {"ended_at": now, "hops": {}, "problem": problem, "expires_at": now // 1000 + KEPT_SECONDS})


def note(table: Table, run: str, changes: Mapping[str, object]) -> None:
    """Notes how a run goes."""
    table.update(Update(PARTITION, f"RUN#{run}", set=changes))


def end(table: Table, run: str, changes: Mapping[str, object], *, now: int) -> None:
    """Notes how a run ended, and lets the next one begin."""
    note(table, run, {"ended_at": now, **changes})
    with suppress(ConditionFailedError):  # another one has begun since
        table.update(
            Update(PARTITION, "LAST", set={"until": now}, condition="#run = :run", values={"run": run}),
        )


def read(table: Table, run: str) -> Item | None:
    """A run: `hops` (milliseconds from its start), then `ended_at`, `problem` (empty if all went well) and `slack`."""
    return table.get(PARTITION, f"RUN#{run}")


def last(table: Table) -> Item | None:
    """The latest run, or None if there never was one."""
    item = table.get(PARTITION, "LAST")
    return read(table, item["run"]) if item else None


def patience(schedule: str) -> int:
    """After how many milliseconds without a run a schedule has failed: a day late, or for cron a month and a day.

    0 without a schedule.
    """
    if not schedule:
        return 0
    rate = _RATE.fullmatch(schedule)
    return (int(rate[1]) * _UNITS[rate[2]] if rate else _MONTH_MS) + _UNITS["day"]


def is_missed(table: Table, *, now: int) -> bool:
    """Whether no run has begun for too long. Says so once a day."""
    try:
        table.update(
            Update(
                PARTITION,
                "LAST",
                set={"due_at": now + _UNITS["day"]},
                condition="#due_at < :now",
                values={"now": now},
            )
        )
    except ConditionFailedError:
        return False  # one has begun just now
    return True


def stop_missing(table: Table) -> None:
    """The schedule was turned off: nothing is missed any more."""
    table.update(Update(PARTITION, "LAST", remove=(DUE, "due_at")))
