"""`oncall init`: the guided first set-up. It can be run again: what is there already is kept, unless something else is typed."""

import secrets as random
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
import yaml

from oncall.roster import time_zones
from oncall_cli import secret_store
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import confirm, note, print_json
from oncall_cli.phone_numbers import advise
from oncall_cli.providers import ProviderError, SlackApp, TelnyxAccount, TwilioAccount
from oncall_cli.secret_store import SECRETS, TELNYX_SECRETS, Secrets
from oncall_cli.slack_app import deploy_pinned
from oncall_cli.target import Stack, describe, open_session

ROSTER = Path("roster.yaml")
TRIES = 3
_WHAT = SECRETS | TELNYX_SECRETS


def guide(
    *,
    stack_name: str,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    telnyx: bool,
    as_json: bool,
) -> None:
    """Asks for the secrets, checks them with whose they are, stores them in SSM, and writes a first roster file.

    `telnyx`: for those of the second telephone provider, too.
    """
    where = f"stack {stack_name}"
    with aws_errors(where):
        session = open_session(where, region=region, profile=profile, is_local=endpoint_url is not None)
        ssm: Any = session.create_client("ssm", endpoint_url=endpoint_url)
    stack = _stack(session, stack_name, endpoint_url)
    known = secret_store.read(ssm, where, stack, telnyx=telnyx)
    note(f"Secrets are kept in SSM Parameter Store, region {session.get_config_variable('region')}, as SecureString.")
    note("Enter keeps what is there.\n")
    found = {
        **{parameter: _token(parameter, known) for parameter in ("BearerTokenParameter", "HeartbeatTokenParameter")},
        **_ask_until(lambda: _ask_twilio(known)),
        **(_ask_until(lambda: _ask_telnyx(known)) if TELNYX_SECRETS.keys() <= known.names.keys() else {}),
        **_ask_until(lambda: _ask_slack(known)),
        "SlackSigningSecretParameter": _ask("SlackSigningSecretParameter", known),
    }
    changed = {parameter: value for parameter, value in found.items() if known.values.get(parameter) != value}
    if changed:
        for parameter in changed:
            sign = "~" if parameter in known.values else "+"
            note(f"{sign} {known.names[parameter]}: {_WHAT[parameter][1]}")
        confirm("Store them in SSM?", yes=not sys.stdin.isatty())
        with aws_errors(where):
            for parameter, value in changed.items():
                ssm.put_parameter(Name=known.names[parameter], Value=value, Type="SecureString", Overwrite=True)
        note(f"stored {len(changed)} secrets")
    else:
        note("the secrets are as they were")
    if ROSTER.exists():
        note(f"{ROSTER} is there already")
    else:
        _write_roster()
    _tell_next(stack, stack_name, _pin(SlackApp(found["SlackBotTokenParameter"], known.slack_url)))
    if as_json:
        print_json({"stored": sorted(known.names[parameter] for parameter in changed), "roster": ROSTER.exists()})


def _stack(session: Any, stack_name: str, endpoint_url: str | None) -> Stack | None:
    """The stack, if it is deployed already: it knows the parameters' names."""
    from botocore.exceptions import ClientError

    with aws_errors(f"stack {stack_name}"):
        try:
            return describe(session, stack_name, endpoint_url)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":  # CloudFormation: there is no such stack
                raise
            return None


def _token(parameter: str, known: Secrets) -> str:
    """A secret of our own: made if there is none."""
    return known.values.get(parameter) or random.token_hex(32)


def _ask(parameter: str, known: Secrets) -> str:
    """A secret that is typed in unseen, or the one that is there."""
    there = known.values.get(parameter, "")
    hint = " [keep]" if there else ""
    typed = typer.prompt(
        f"{_WHAT[parameter][1]}{hint}", default=there or None, hide_input=True, show_default=False, err=True
    )
    return str(typed).strip()


def _ask_until(ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Asks again when what was typed is refused. Raises the last ProviderError."""
    for attempt in range(TRIES):
        try:
            return ask()
        except ProviderError as error:
            if attempt + 1 == TRIES:
                raise
            note(f"{error}. Once more:")
    raise AssertionError


def _ask_twilio(known: Secrets) -> dict[str, str]:
    sid, token = (_ask(name, known) for name in ("TwilioAccountSidParameter", "TwilioAuthTokenParameter"))
    twilio = TwilioAccount(sid, token, known.twilio_url)
    account = twilio.account()
    amount, currency = twilio.balance()
    note(f"  Twilio: {account['friendly_name']}, {account['status']}, {amount:.2f} {currency}")
    return {"TwilioAccountSidParameter": sid, "TwilioAuthTokenParameter": token}


def _ask_telnyx(known: Secrets) -> dict[str, str]:
    key, public = (_ask(name, known) for name in TELNYX_SECRETS)
    amount, currency = TelnyxAccount(key, "", known.telnyx_url).balance()
    note(f"  Telnyx: {amount:.2f} {currency}")
    if not all(_is_public_key(one) for one in public.split()):
        raise ProviderError("Telnyx's public key is Base64 of 32 bytes (Mission Control, Keys & Credentials)", "400")
    return dict(zip(TELNYX_SECRETS, (key, public), strict=True))


def _is_public_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def _ask_slack(known: Secrets) -> dict[str, str]:
    token = _ask("SlackBotTokenParameter", known)
    identity, _ = SlackApp(token, known.slack_url).identity()
    note(f"  Slack: {identity.get('user', 'the app')} in {identity.get('team', 'the workspace')}")
    return {"SlackBotTokenParameter": token}


def _pin(slack: SlackApp) -> str:
    """The workspace and the app that buttons have to come from; empty if Slack does not say."""
    identity, _ = slack.identity()
    try:
        return slack.pin(identity)
    except ProviderError as error:
        note(f"SlackWorkspace is not known yet: {error}. oncall doctor says what to do.")
        return ""


def _write_roster() -> None:
    note(
        f"\nA first roster, {ROSTER}: everybody is on duty, and called in this order. Enter without a name ends the list."
    )
    responders: dict[str, dict[str, str]] = {}
    while name := _prompt("Name"):
        key = _prompt(
            "Short id", default=name.split()[0].lower() if name.isascii() else f"responder{len(responders) + 1}"
        )
        responders[key] = {"name": name, "phone": _phone()}
    if not responders:
        note(f"Nobody yet: copy roster.example.yaml to {ROSTER} when you are ready.")
        return
    document = {"time_zone": _time_zone(), "responders": responders}
    ROSTER.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    note(f"wrote {ROSTER}; keep it in git")


def _prompt(question: str, default: str = "") -> str:
    return str(typer.prompt(question, default=default, show_default=bool(default), err=True)).strip()


def _phone() -> str:
    for _ in range(TRIES):
        advice = advise(_prompt("Telephone, with + and the country code"))
        if advice.level:
            note(f"It {advice.message}.")
        if advice.number:
            return advice.number
    raise CommandError("nothing was written to the roster")


def _time_zone() -> str:
    for _ in range(TRIES):
        typed = _prompt("Time zone", default="UTC")
        if typed in time_zones.names():
            return typed
        note(f"There is no time zone {typed}: {time_zones.advice(typed)}")
    raise CommandError("nothing was written to the roster")


def _tell_next(stack: Stack | None, stack_name: str, pin: str) -> None:
    note("\nNext:")
    if stack is None:
        note(f"  make build && sam deploy --guided{f'; at SlackWorkspace type: {pin}' if pin else ''}")
    elif pin and stack.parameters.get("SlackWorkspace", "") != pin:
        note(f"  make build && {deploy_pinned(pin)}")
    note(f"  oncall roster check {ROSTER} && oncall roster apply {ROSTER} --stack-name {stack_name}")
    note(
        f"  oncall monitoring render monitoring --stack-name {stack_name}; its README.md says where Alertmanager's two tokens go"
    )
    note("  oncall call-test with each responder, then oncall doctor")
