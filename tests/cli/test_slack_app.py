"""The Slack app's manifest: one that Slack takes, with what the code needs and nothing else."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from slack_sdk import WebClient
from typer.testing import CliRunner

from devstack.aws.template import parse
from devstack.slack import api
from oncall_cli import slack_app
from oncall_cli.errors import CommandError
from oncall_cli.main import app
from oncall_cli.target import Stack

ROOT = Path(__file__).parents[2]
GATEWAY = "https://abc123.execute-api.eu-central-1.amazonaws.com/prod"


def text(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, **more}


def only(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required or [],
        "properties": properties,
    }


FLAG = {"type": "boolean"}
SCOPES = {"type": "array", "uniqueItems": True, "maxItems": 255, "items": text(1, 50)}
URL = text(1, 3000, pattern="^https://")
# What Slack's published schema (slackapi/manifest-schema, 1.0.0) says of the parts that we use.
SCHEMA = only(
    ["display_information"],
    display_information=only(
        ["name"],
        name=text(1, 35),
        description=text(1, 140),
        background_color=text(4, 7, pattern="^#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?$"),
    ),
    features=only(
        app_home=only(home_tab_enabled=FLAG, messages_tab_enabled=FLAG, messages_tab_read_only_enabled=FLAG),
        bot_user=only(["display_name"], display_name=text(1, 80), always_online=FLAG),
        slash_commands={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": only(
                ["command", "description"],
                command=text(2, 32, pattern="^/"),
                url=URL,
                description=text(1, 2000),
                usage_hint=text(1, 1000),
                should_escape=FLAG,
            ),
        },
    ),
    oauth_config=only(scopes=only(bot=SCOPES, user=SCOPES)),
    settings=only(
        interactivity=only(["is_enabled"], is_enabled=FLAG, request_url=URL),
        event_subscriptions=only(request_url=URL, bot_events=SCOPES),
        org_deploy_enabled=FLAG,
        socket_mode_enabled=FLAG,
        token_rotation_enabled=FLAG,
    ),
)


def stack(**parameters: str) -> Stack:
    template = parse((ROOT / "template.yaml").read_text())
    outputs = dict.fromkeys(template["Outputs"], "") | {"AlertsUrl": f"{GATEWAY}/alerts"}
    return Stack("on-call", "CREATE_COMPLETE", datetime.now(UTC), outputs, parameters)


@pytest.mark.parametrize("deployed", [None, stack(), stack(PublicUrl="https://on-call.example.com/prod")])
def test_slack_takes_the_manifest(deployed: Stack | None) -> None:
    jsonschema.validate(yaml.safe_load(slack_app.manifest(deployed)), SCHEMA)


def test_the_manifest_has_the_routes_of_the_template() -> None:
    document = yaml.safe_load(slack_app.manifest(stack()))
    template = parse((ROOT / "template.yaml").read_text())
    events = template["Resources"]["SlackReplyFunction"]["Properties"]["Events"].values()
    addresses = {
        document["features"]["slash_commands"][0]["url"],
        document["settings"]["interactivity"]["request_url"],
        document["settings"]["event_subscriptions"]["request_url"],
    }
    assert addresses == {f"{GATEWAY}{event['Properties']['Path']}" for event in events}
    elsewhere = slack_app.manifest(stack(PublicUrl="https://on-call.example.com/prod"))
    assert "https://on-call.example.com/prod/slack/events" in elsewhere


def test_without_a_stack_only_what_needs_addresses_is_left_out() -> None:
    whole, first = (yaml.safe_load(slack_app.manifest(one)) for one in (stack(), None))
    assert first["oauth_config"] == whole["oauth_config"], "so it need not be installed again"
    del (
        whole["features"]["slash_commands"],
        whole["settings"]["interactivity"],
        whole["settings"]["event_subscriptions"],
    )
    assert first == whole


def called() -> Iterator[str]:
    """The methods of Slack's API that the functions call, by their names in slack_sdk."""
    methods = {name.replace(".", "_") for name in simulated()}
    for path in (ROOT / "functions").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in methods:
                yield node.attr
            if isinstance(node, ast.Constant) and node.value in methods:  # handed on by name
                yield str(node.value)


def simulated() -> dict[str, api.Method]:
    """What Slack's documentation says of its methods."""
    return api._Slack("", "", {}, [], {}, ())._web_api()


def test_each_method_that_is_called_has_its_scope_and_no_scope_is_without_one() -> None:
    names = set(called())
    assert {"chat_postMessage", "chat_update", "views_publish", "usergroups_users_update"} <= names
    assert all(hasattr(WebClient, name) for name in names)
    needed = {method.scope for name, method in simulated().items() if name.replace(".", "_") in names} - {""}
    # A slash command needs a scope and no method; groups:history is channels:history in private channels, groups:read likewise.
    assert slack_app.scopes() == needed | {"commands", "groups:history", "groups:read"}


def test_every_event_and_command_of_the_manifest_is_understood() -> None:
    document = yaml.safe_load(slack_app.manifest(stack()))
    handler = (ROOT / "functions/slack_reply.py").read_text()
    for event in document["settings"]["event_subscriptions"]["bot_events"]:
        assert f'"{event}"' in handler
    (command,) = document["features"]["slash_commands"]
    assert command["command"] == "/oncall"
    assert document["features"]["app_home"]["home_tab_enabled"]


def test_the_command_prints_what_can_be_pasted() -> None:
    ran = CliRunner().invoke(app, ["slack", "manifest", "--new"])
    assert ran.exit_code == 0
    assert ran.stdout == slack_app.manifest(None)
    assert "api.slack.com/apps" in ran.stderr


def test_a_stack_of_an_older_version_has_to_be_deployed_first() -> None:
    old = stack()
    outputs = {name: value for name, value in old.outputs.items() if name != "SlackEventsUrl"}
    with pytest.raises(CommandError, match="sam deploy"):
        slack_app.manifest(Stack(old.name, old.status, old.deployed_at, outputs, old.parameters))


def test_the_guide_has_the_same_manifest() -> None:
    assert slack_app.manifest(None) in (ROOT / "docs/slack.md").read_text()
