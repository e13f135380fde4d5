"""Block Kit as Slack takes it: what is wrong with some blocks, in Slack's own words.

Limits: Slack, "Block Kit reference". Afterwards slack_sdk's own classes validate the blocks a second time; the types
that are not listed here are left to them alone.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

MOST_IN_MESSAGE = 50
MOST_IN_VIEW = 100
LARGEST_IN_ALL = 13_000  # characters of JSON; undocumented by Slack, observed at about 13,200

Problems = Iterator[str]


@dataclass(frozen=True)
class _Text:
    """A text object: of which types, how long."""

    most: int
    types: frozenset[str] = frozenset({"plain_text", "mrkdwn"})

    def problems(self, value: object, at: str) -> Problems:
        if not isinstance(value, dict):
            yield _problem("must be an object", at)
            return
        if value.get("type") not in self.types:
            yield _problem(f"must be one of {', '.join(sorted(self.types))}", f"{at}/type")
            return
        extra = "emoji" if value["type"] == "plain_text" else "verbatim"
        yield from _unknown(value, {"type", "text", extra}, at)
        if extra in value and not isinstance(value[extra], bool):
            yield _problem("must be a boolean", f"{at}/{extra}")
        yield from _String(self.most).problems(value.get("text"), f"{at}/text")


@dataclass(frozen=True)
class _String:
    most: int
    least: int = 1

    def problems(self, value: object, at: str) -> Problems:
        if not isinstance(value, str):
            yield _problem("must be a string", at)
        elif len(value) < self.least:
            yield _problem(f"must be more than {self.least - 1} characters", at)
        elif len(value) > self.most:
            yield _problem(f"must be less than {self.most + 1} characters", at)


_PLAIN = frozenset({"plain_text"})
Check = Callable[[object, str], Problems]


def _one_of(*values: object) -> Check:
    def check(value: object, at: str) -> Problems:
        if value not in values:
            yield _problem(f"must be one of {', '.join(map(str, values))}", at)

    return check


def _anything(value: object, at: str) -> Problems:
    del value, at
    return iter(())


def _boolean(value: object, at: str) -> Problems:
    if not isinstance(value, bool):
        yield _problem("must be a boolean", at)


def _list(item: Check, most: int, least: int = 1) -> Check:
    def check(value: object, at: str) -> Problems:
        if not isinstance(value, list):
            yield _problem("must be an array", at)
            return
        if len(value) < least:
            yield _problem(f"no fewer than {least} items allowed", at)
        if len(value) > most:
            yield _problem(f"no more than {most} items allowed", at)
        for index, element in enumerate(value):
            yield from item(element, f"{at}/{index}")

    return check


def _object(fields: Mapping[str, Check], *required: str) -> Check:
    def check(value: object, at: str) -> Problems:
        if not isinstance(value, dict):
            yield _problem("must be an object", at)
            return
        for name in required:
            if name not in value:
                yield _problem(f"missing required field: {name}", at)
        yield from _unknown(value, {*fields, "type"}, at)
        for name, field in fields.items():
            if name in value:
                yield from field(value[name], f"{at}/{name}")

    return check


_CONFIRM = _object(
    {
        "title": _Text(100, _PLAIN).problems,
        "text": _Text(300).problems,
        "confirm": _Text(30, _PLAIN).problems,
        "deny": _Text(30, _PLAIN).problems,
        "style": _one_of("primary", "danger"),
    },
    "title",
    "text",
    "confirm",
    "deny",
)
_ACTION = {"action_id": _String(255).problems, "confirm": _CONFIRM}
_OPTION = _object(
    {
        "text": _Text(75).problems,
        "value": _String(150).problems,
        "description": _Text(75, _PLAIN).problems,
        "url": _String(3000).problems,
    },
    "text",
    "value",
)
_PLACEHOLDER = {"placeholder": _Text(150, _PLAIN).problems, "focus_on_load": _boolean}

_ELEMENTS: Mapping[str, Check] = {
    "button": _object(
        {
            **_ACTION,
            "text": _Text(75, _PLAIN).problems,
            "url": _String(3000).problems,
            "value": _String(2000).problems,
            "style": _one_of("primary", "danger"),
            "accessibility_label": _String(75).problems,
        },
        "text",
    ),
    "overflow": _object({**_ACTION, "options": _list(_OPTION, 5)}, "options"),
    "static_select": _object(
        {**_ACTION, **_PLACEHOLDER, "options": _list(_OPTION, 100), "initial_option": _OPTION}, "options"
    ),
    "users_select": _object({**_ACTION, **_PLACEHOLDER, "initial_user": _String(20).problems}),
    "datepicker": _object({**_ACTION, **_PLACEHOLDER, "initial_date": _String(10).problems}),
    "timepicker": _object(
        {**_ACTION, **_PLACEHOLDER, "initial_time": _String(5).problems, "timezone": _String(100).problems}
    ),
    "datetimepicker": _object({**_ACTION, "initial_date_time": _anything, "focus_on_load": _boolean}),
    "plain_text_input": _object(
        {
            **_ACTION,
            **_PLACEHOLDER,
            "initial_value": _String(3000, 0).problems,
            "multiline": _boolean,
            "min_length": _anything,
            "max_length": _anything,
            "dispatch_action_config": _anything,
        }
    ),
    "image": _object(
        {"image_url": _String(3000).problems, "alt_text": _String(2000).problems}, "image_url", "alt_text"
    ),
}
INTERACTIVE = frozenset(_ELEMENTS) - {"image"}
_IN_ACTIONS = INTERACTIVE - {"plain_text_input"}


def _of_type(checks: Mapping[str, Check]) -> Check:
    def check(value: object, at: str) -> Problems:
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind in checks:
            yield from checks[kind](value, at)
        else:
            yield _problem(f"unsupported type: {kind}", at)

    return check


def _element(types: frozenset[str]) -> Check:
    return _of_type({kind: _ELEMENTS[kind] for kind in types})


def _in_context(value: object, at: str) -> Problems:
    if isinstance(value, dict) and value.get("type") == "image":
        yield from _ELEMENTS["image"](value, at)
    else:
        yield from _Text(3000).problems(value, at)


def _integer(least: int, most: int) -> Check:
    def check(value: object, at: str) -> Problems:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            yield _problem(f"must be an integer from {least} to {most}", at)

    return check


# Slack, "Rich text block": its texts are shown as they are, nothing in them is markup. No limits but that of the whole.
_WRITTEN = _String(LARGEST_IN_ALL).problems
_STYLES = ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink")
_STYLE = {"style": _object(dict.fromkeys(_STYLES, _boolean))}
_RICH_ELEMENTS: Mapping[str, Check] = {
    "text": _object({**_STYLE, "text": _WRITTEN}, "text"),
    "link": _object({**_STYLE, "url": _String(3000).problems, "text": _WRITTEN, "unsafe": _boolean}, "url"),
    "user": _object({**_STYLE, "user_id": _WRITTEN}, "user_id"),
    "usergroup": _object({**_STYLE, "usergroup_id": _WRITTEN}, "usergroup_id"),
    "channel": _object({**_STYLE, "channel_id": _WRITTEN}, "channel_id"),
    "broadcast": _object({**_STYLE, "range": _one_of("here", "channel", "everyone")}, "range"),
    "date": _object(
        {
            **_STYLE,
            "timestamp": _integer(0, 10**11),
            "format": _WRITTEN,
            "url": _String(3000).problems,
            "fallback": _WRITTEN,
        },
        "timestamp",
        "format",
    ),
    "emoji": _object(
        {**_STYLE, "name": _WRITTEN, "unicode": _WRITTEN, "skin_tone": _integer(2, 6)},
        "name",
    ),
    "color": _object({**_STYLE, "value": _WRITTEN}, "value"),
}


_MANY = 10_000  # Slack names no limit
_RICH = _list(_of_type(_RICH_ELEMENTS), _MANY)
_RICH_SECTION = _object({"elements": _RICH}, "elements")
_BORDER = {"border": _integer(0, 1)}
_RICH_PARTS: Mapping[str, Check] = {
    "rich_text_section": _RICH_SECTION,
    "rich_text_list": _object(
        {
            **_BORDER,
            "style": _one_of("bullet", "ordered"),
            "elements": _list(_of_type({"rich_text_section": _RICH_SECTION}), _MANY),
            "indent": _integer(0, 8),
            "offset": _integer(0, _MANY),
        },
        "style",
        "elements",
    ),
    "rich_text_quote": _object({**_BORDER, "elements": _RICH}, "elements"),
    "rich_text_preformatted": _object({**_BORDER, "elements": _RICH, "language": _WRITTEN}, "elements"),
}

_BLOCK_ID = {"block_id": _String(255).problems}
_BLOCKS: Mapping[str, Check] = {
    "divider": _object(_BLOCK_ID),
    "header": _object({**_BLOCK_ID, "text": _Text(150, _PLAIN).problems}, "text"),
    "section": _object(
        {
            **_BLOCK_ID,
            "text": _Text(3000).problems,
            "fields": _list(_Text(2000).problems, 10),
            "accessory": _element(_IN_ACTIONS | {"image"}),
            "expand": _boolean,
        }
    ),
    "context": _object({**_BLOCK_ID, "elements": _list(_in_context, 10)}, "elements"),
    "actions": _object({**_BLOCK_ID, "elements": _list(_element(_IN_ACTIONS), 25)}, "elements"),
    "rich_text": _object({**_BLOCK_ID, "elements": _list(_of_type(_RICH_PARTS), _MANY)}, "elements"),
    "image": _object(
        {
            **_BLOCK_ID,
            "image_url": _String(3000).problems,
            "alt_text": _String(2000).problems,
            "title": _Text(2000, _PLAIN).problems,
        },
        "image_url",
        "alt_text",
    ),
    "input": _object(
        {
            **_BLOCK_ID,
            "label": _Text(2000, _PLAIN).problems,
            "element": _element(INTERACTIVE - {"button", "overflow"}),
            "hint": _Text(2000, _PLAIN).problems,
            "optional": _boolean,
            "dispatch_action": _boolean,
        },
        "label",
        "element",
    ),
}
_KNOWN_TO_SLACK_SDK = frozenset({"markdown", "video", "table"})


def problems(blocks: object, *, view: bool = False) -> list[str]:
    """Everything that Slack would refuse about `blocks` (of a message, or of a view), each with its place."""
    if not isinstance(blocks, list):
        return [_problem("must be an array", "/blocks")]
    found = list(_checked(blocks, view=view))
    return found or list(_by_slack_sdk(blocks))


def size(blocks: object) -> int:
    """Characters of the blocks as compact JSON."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))


def elements(blocks: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every interactive element with the block that holds it."""
    for block in blocks:
        candidates = [*block.get("elements", []), block.get("accessory"), block.get("element")]
        for element in candidates:
            if isinstance(element, dict) and "action_id" in element:
                yield block, element


def _checked(blocks: list[Any], *, view: bool) -> Problems:
    most = MOST_IN_VIEW if view else MOST_IN_MESSAGE
    if len(blocks) > most:
        yield _problem(f"no more than {most} items allowed", "/blocks")
    ids: set[str] = set()
    for index, block in enumerate(blocks):
        at = f"/blocks/{index}"
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(kind, str):
            yield _problem("must be an object with a type", at)
            continue
        if kind in _KNOWN_TO_SLACK_SDK:
            continue
        if kind not in _BLOCKS or (kind == "input" and not view):
            yield _problem(f"unsupported type: {kind}", at)
            continue
        yield from _BLOCKS[kind](block, at)
        if kind == "section" and not block.keys() & {"text", "fields"}:
            yield _problem("missing required field: text or fields", at)
        if block.get("block_id") in ids:
            yield _problem(f"block_id {block['block_id']} already exists", at)
        ids.add(block.get("block_id", f"\0{index}"))
        yield from _twice(block, at)


def _twice(block: dict[str, Any], at: str) -> Problems:
    """Slack: an action_id is unique within its block."""
    seen: set[str] = set()
    for element in block.get("elements", []):
        name = element.get("action_id") if isinstance(element, dict) else None
        if name in seen:
            yield _problem(f"action_id {name} already exists in this block", at)
        if name is not None:
            seen.add(name)


def _by_slack_sdk(blocks: list[Any]) -> Problems:
    for index, block in enumerate(copy.deepcopy(blocks)):
        try:
            parsed = Block.parse(block)
            if parsed is not None:
                parsed.to_dict()
        except (SlackObjectFormationError, TypeError) as error:
            yield _problem(str(error), f"/blocks/{index}")


def _unknown(value: dict[str, Any], known: set[str], at: str) -> Problems:
    for name in value:
        if name not in known:
            yield _problem(f"invalid additional property: {name}", at)


def _problem(message: str, at: str) -> str:
    return f"{message} [json-pointer:{at}]"
