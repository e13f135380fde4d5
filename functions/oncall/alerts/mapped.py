"""A source of one's own: the roster says, in JMESPath, where in its payloads each field of an event is."""

from collections.abc import Mapping
from typing import Any

import jmespath  # type: ignore[import-untyped]  # it has no types

from oncall.alerts import generic
from oncall.alerts.event import SourceEvent
from oncall.errors import WebhookError
from oncall.roster.sources import Source


def read(payload: Mapping[str, Any], product: str, source: Source) -> SourceEvent:
    """The event. Raises WebhookError with what is wrong."""
    found = {}
    for name, expression in source.fields.items():
        try:
            found[name] = jmespath.search(expression, payload)
        except jmespath.exceptions.JMESPathError as error:
            raise WebhookError(f"{name}, {expression}: {str(error).splitlines()[0]}") from error
    if not isinstance(found.get("details"), Mapping):
        found.pop("details", None)
    return generic.read(
        {"severity": "critical", **{name: value for name, value in found.items() if value is not None}}, product
    )
