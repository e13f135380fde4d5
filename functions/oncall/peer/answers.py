"""What the other stack may ask, by the last part of the path."""

from collections.abc import Mapping
from typing import Any

from oncall.peer import groups, merge, minute
from oncall.services import Services


def answer(services: Services, word: str, asked: Mapping[str, Any], *, base: str) -> dict[str, Any]:
    """The answer to a question of the other stack; `base` is the gateway's address for Twilio."""
    match word:
        case "groups":
            return groups.answer(services, asked)
        case "incidents":
            return merge.of_group(services, asked)
        case "resolved":
            merge.resolve_group(services, asked)
            return {}
        case "exchange":
            minute.hear(services)
            return merge.follow(services, asked, base=base)
    raise ValueError(f"there is no answer to {word[:20]!r}")
