"""The probe: an alert that tries the whole way, once a week."""

from oncall.probe.record import (
    LONGEST_MS,
    PARTITION,
    PRODUCT,
    begin,
    is_missed,
    is_ours,
    last,
    patience,
    read,
    roster,
    roster_of,
    stop_missing,
    webhook,
)

__all__ = [
    "LONGEST_MS",
    "PARTITION",
    "PRODUCT",
    "begin",
    "is_missed",
    "is_ours",
    "last",
    "patience",
    "read",
    "roster",
    "roster_of",
    "stop_missing",
    "webhook",
]
