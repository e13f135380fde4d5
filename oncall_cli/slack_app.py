"""`oncall slack manifest`: what the Slack app is, to be pasted at api.slack.com/apps."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import typer
import yaml

from oncall_cli.errors import CommandError
from oncall_cli.output import note, print_json
from oncall_cli.target import Stack

APPS = "https://api.slack.com/apps"
# The names that stand for addresses, what the gateway calls them, and which part of the manifest has one.
_ADDRESSES = {
    "SlackCommandsUrl": ("commands", "slash_commands"),
    "SlackActionsUrl": ("actions", "interactivity"),
    "SlackEventsUrl": ("events", "event_subscriptions"),
}


@cache
def scopes() -> frozenset[str]:
    """The bot's scopes."""
    return frozenset(_document()["oauth_config"]["scopes"]["bot"])


def deploy_pinned(pin: str) -> str:
    """The command after which buttons and /oncall count from this workspace and app alone. SAM wants the inner quotes."""
    return f"sam deploy --parameter-overrides 'SlackWorkspace=\"{pin}\"'"


def show(stack: Stack | None, *, as_json: bool) -> None:
    """Prints the manifest: with the stack's addresses, or without a stack without what needs them."""
    text = manifest(stack)
    if as_json:
        print_json(yaml.safe_load(text))
    else:
        typer.echo(text, nl=False)
    if stack is None:
        note(f"\nPaste it at {APPS}: Create New App, From a manifest. The addresses follow after the deployment.")
    else:
        note(f"\nPaste it over the app's old one at {APPS}: your app, App Manifest.")


def manifest(stack: Stack | None) -> str:
    """The manifest as YAML, with its comments."""
    text = _text().partition("\n")[2]  # without the first line, which is for whoever edits the file
    if stack is None:
        return _without(text, [part for _, part in _ADDRESSES.values()])
    for name, (path, _) in _ADDRESSES.items():
        if name not in stack.outputs:
            raise CommandError(f"stack {stack.name} has no output {name}: make build && sam deploy, then again")
        text = text.replace(f": {name}\n", f": {stack.gateway}/slack/{path}\n")
    return text


def _without(text: str, parts: list[str]) -> str:
    """The YAML without some keys of the second level and all that is under them."""
    kept, leaves_out = [], False
    for line in text.splitlines(keepends=True):
        key = re.match(r"( {0,2})(\w+):", line)
        if key:
            leaves_out = key[1] == "  " and key[2] in parts
        if not leaves_out:
            kept.append(line)
    return "".join(kept)


def _text() -> str:
    return (files("oncall_cli") / "slack_manifest.yaml").read_text(encoding="utf-8")


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(_text())
    return document
