"""`oncall call-test`: rings a responder and waits for the 1 that proves the number.

The call is placed by the stack, so that Twilio's secrets stay in it and the call comes from where pages come from.
"""

import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from oncall.clock import at
from oncall.phone import proofs
from oncall.roster.attributes import suggestion
from oncall.table import Item, Table
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import confirm, note, print_json, say
from oncall_cli.schedule_commands import read_roster
from oncall_cli.target import Stack, Target
from oncall_cli.when import shown

LISTENING_SECONDS = 60  # beyond the ringing: the words, twice, and the keys

_OUTCOMES = {
    "busy": "the line is busy",
    "no-answer": "nobody answered",
    "failed": "the call failed",
    "canceled": "the call was stopped",
    "completed": "somebody, or the voicemail, answered and did not press 1",
}
_ON_THE_WAY = {"ringing": "rings", "in-progress": "answered; waiting for the 1"}


def ring(target: Target, responder_id: str, *, yes: bool, as_json: bool) -> None:
    """Rings a responder. Exits with 1 if the number was not proven."""
    known = read_roster(target).responders
    if responder_id not in known:
        raise CommandError(f"there is no responder {responder_id!r}{suggestion(responder_id, known)}")
    responder = known[responder_id]
    table = Table(target.dynamodb, target.table)
    with aws_errors(target.name):
        last = table.get(proofs.PARTITION, responder_id)
    note(f"~ {responder.name} is rung on {responder.phone}: {last_proof(last, responder.phone)}")
    confirm("Ring now?", yes=yes)
    stack = target.stack()
    test = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    _place(target, stack, responder_id, test)
    item = _wait(target, table, responder_id, test, seconds=int(stack.parameters["RingSeconds"]) + LISTENING_SECONDS)
    is_proven = item["status"] == proofs.PROVEN
    if as_json:
        proven_at = at(item["proven_at"]) if "proven_at" in item else None
        print_json({"responder": responder_id, "proven": is_proven, "status": item["status"], "proven_at": proven_at})
    elif is_proven:
        say(f"{responder.name} pressed 1: the number is proven")
    if not is_proven:
        outcome = _OUTCOMES.get(item["status"], f"nothing was heard of the call (it was {item['status']})")
        raise CommandError(f"the number of {responder_id} is not proven: {outcome}")


def last_proof(item: Item | None, phone: str) -> str:
    """When a number was last proven, in words."""
    if item is None or "proven_at" not in item:
        return "never proven"
    when = shown(at(item["proven_at"]))
    return f"last proven {when}" if item["proven_phone"] == phone else f"another number was proven {when}"


def _place(target: Target, stack: Stack, responder_id: str, test: str) -> None:
    request = {"test": {"responder": responder_id, "id": test, "gateway": stack.gateway}}
    function = target.physical_id("PhoneCallFunction")
    with aws_errors(target.name):
        answer: Any = target.client("lambda").invoke(FunctionName=function, Payload=json.dumps(request))
        said = json.loads(answer["Payload"].read() or b"null") or {}
    if "FunctionError" in answer:
        raise CommandError(f"the stack could not ring: {said.get('errorMessage', answer['FunctionError'])}")
    if "problem" in said:
        raise CommandError(f"nobody is rung: {said['problem']}")


def _wait(target: Target, table: Table, responder_id: str, test: str, *, seconds: int) -> Item:
    """The test call's item when it has ended, or as it is when the time is up."""
    until = time.monotonic() + seconds
    told = ""
    while True:
        with aws_errors(target.name):
            item = table.get(proofs.PARTITION, responder_id)
        if item is None or item["test"] != test:
            raise CommandError(f"somebody else rings {responder_id} for a test at this moment")
        if item["status"] != told and item["status"] in _ON_THE_WAY:
            told = item["status"]
            note(_ON_THE_WAY[told])
        if item["status"] == proofs.PROVEN or item["status"] in _OUTCOMES or time.monotonic() > until:
            return item
        time.sleep(0.5)
