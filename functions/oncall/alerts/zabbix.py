"""Zabbix's webhook. Its body is what the media type's script posts, a template of ours (docs/sources.md).

Zabbix, "Supported macros": {EVENT.VALUE} is 1 for a problem and 0 for its recovery, {EVENT.NSEVERITY} from 0 (not classified)
to 5 (disaster), {EVENT.UPDATE.STATUS} 1 if the problem was updated.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oncall.alerts import generic
from oncall.alerts.event import SourceEvent

# Zabbix's default names, in normal form. Average and worse ring, and what nobody has classified.
_SEVERITIES = {
    **dict.fromkeys(("0", "not classified", "3", "average", "4", "high", "5", "disaster"), "critical"),
    **dict.fromkeys(("1", "information", "2", "warning"), "warning"),
}


def read(payload: Mapping[str, Any], product: str) -> SourceEvent:
    """The event. Raises WebhookError with what is wrong."""
    event = generic.read(payload, product)
    return replace(event, severity=_SEVERITIES.get(event.severity.casefold(), event.severity))
