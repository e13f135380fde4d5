"""`oncall probe`: has the stack send an alert of its own the whole way, and shows each hop."""

import json
import secrets
import time
from datetime import UTC, datetime

from oncall import providers
from oncall.clock import at
from oncall.probe import record as probe
from oncall.table import Item, Table
from oncall_cli import other_stack
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import note, print_json, say
from oncall_cli.target import Stack, Target
from oncall_cli.when import shown

PATIENCE_SECONDS = 210  # longer than the function's time limit

_HOPS = {
    "accepted": "the gateway accepted the webhook",
    "opened": "an incident was opened",
    "ringing": "{provider} took the call",
    "answered": "the number answered",
    "acknowledged": "the key was heard: acknowledged",
    "resolved": "the incident was resolved",
    "slack": "Slack shows it",
}


def run(target: Target, *, of_standby: bool, as_json: bool) -> None:
    """Runs the probe. Exits with 1 if no key was heard."""
    stack = target.stack()
    if of_standby and other_stack.name(stack) != "primary":
        raise CommandError(f"{target.name} is no standby: name the standby with --region (and --stack-name)")
    number = stack.parameters.get("ProbeNumber", "")
    if not number:
        raise CommandError(f"the probe has no number that answers by itself: {set_up(stack)}")
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    note(f"+ an alert of the stack's own, which rings {number}: nobody is woken; one quiet line in Slack tells it")
    if of_standby:
        wait = stack.parameters["TakeoverSeconds"]
        note(f"  only the standby hears of it: it waits {wait} s, asks its primary, and rings in its place")
    function = target.physical_id("ProbeFunction")
    with aws_errors(target.name):
        target.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"run": name}))
    item = _wait(target, name, is_quiet=as_json)
    problem = item["problem"]
    if as_json:
        seconds = {hop: moment / 1000 for hop, moment in _in_order(item)}
        print_json(
            {
                "run": name,
                "good": not problem,
                "provider": _provider(item),
                "seconds": seconds,
                "problem": problem,
                "slack": item.get("slack", ""),
            }
        )
    elif not problem:
        say("an alert reaches a telephone, and its key is heard")
    if item.get("slack"):
        note(f"but {item['slack']}: phones are not touched by it")
    if problem:
        raise CommandError(f"the probe failed: {problem}" if "started_at" in item else f"nothing was tried: {problem}")


def set_up(stack: Stack) -> str:
    """What to do to have a probe."""
    return (
        f"buy a second number at Twilio, set its voice URL to {stack.gateway}/calls/probe (POST), "
        "and deploy with it as ProbeNumber"
    )


def last_run(item: Item) -> str:
    """How a run went, in words."""
    if "ended_at" not in item:
        return f"the one of {shown(at(item['started_at']))} has not ended"
    hops = item["hops"]
    when = shown(at(item["ended_at"]))
    if item["problem"]:
        return f"{when}: {item['problem']}"
    ringing, acknowledged = (f"{hops[hop] / 1000:.1f} s" for hop in ("ringing", "acknowledged"))
    return f"{when}: rang through {_provider(item)} after {ringing}, acknowledged after {acknowledged}"


def _wait(target: Target, name: str, *, is_quiet: bool) -> Item:
    """The run when it has ended; prints each hop on the way."""
    table = Table(target.dynamodb, target.table)
    until = time.monotonic() + PATIENCE_SECONDS
    told: set[str] = set()
    while True:
        with aws_errors(target.name):
            item = probe.read(table, name) or {}
        for hop, moment in _in_order(item):
            if hop not in told and not is_quiet:
                say(f"{moment / 1000:6.1f} s  {_HOPS[hop].format(provider=_provider(item))}")
            told.add(hop)
        if "ended_at" in item:
            return item
        if time.monotonic() > until:
            what = "does not end" if item else "does not begin"
            raise CommandError(f"the probe {what}: look at the log of the function Probe")
        time.sleep(0.5)


def _provider(item: Item) -> str:
    """The telephone provider that a run has tried."""
    return providers.LABELS[item.get("provider") or providers.TWILIO]


def _in_order(item: Item) -> list[tuple[str, int]]:
    return sorted(item.get("hops", {}).items(), key=lambda pair: list(_HOPS).index(pair[0]))
