"""`oncall verify`: a smoke test after a deployment. Tries on the live stack what no check of ours can tell beforehand.

Nobody is woken and nothing is mailed: the webhooks that it posts say that a group is resolved that never fired.
"""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request

from oncall_cli import secret_store
from oncall_cli.doctor import Check, show
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.providers import ask
from oncall_cli.target import Target

PATIENCE_SECONDS = 60  # until an execution has ended: a cold start, and a step that is tried again

_DEEP_LEVELS = 100
_PADDING = 100_000  # characters: more than the gateway hands on, so that its template has to cut


@dataclass(frozen=True, slots=True)
class _Live:
    target: Target
    gateway: str
    machine: str
    token: str = field(repr=False)

    def post(self, path: str, body: bytes, *, token: str, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind} if token else {"Content-Type": kind}
        status, answer, _ = ask("the gateway", Request(f"{self.gateway}{path}", data=body, headers=headers))  # noqa: S310  http(s)
        return status, answer


def run(target: Target, *, as_json: bool) -> None:
    """Prints what was found; exits with 1 if something failed. Raises CommandError if there is nothing to try it with."""
    stack = target.stack()
    stored = secret_store.read(target.client("ssm"), target.name, stack)
    if "BearerTokenParameter" not in stored.values:
        raise CommandError(f"SSM has no bearer token ({stored.names['BearerTokenParameter']}): oncall init")
    token = stored.values["BearerTokenParameter"].split()[0]
    live = _Live(target, stack.gateway, stack.outputs["StateMachineArn"], token)
    checks: list[Check] = []
    for part in (_addresses, _doors, _webhooks):
        try:
            checks += part(live)
        except CommandError as error:
            checks.append(
                Check(part.__name__.strip("_"), "failed", str(error), "see what is in the way, and try again")
            )
    show(checks, "the gateway takes webhooks, and they are read", as_json=as_json)


def _addresses(live: _Live) -> Iterator[Check]:
    """A wrong path says the right one: with a bearer header API Gateway would answer with a riddle about signatures."""
    status, answer = live.post("/alert", b"{}", token="wrong")  # noqa: S106  no password of anything
    if status == 404 and "/alerts" in answer.get("message", ""):
        yield Check("wrong path", "good", "404, and says the right one")
    else:
        yield _unexpected(
            "wrong path", status, answer, "deploy again: the gateway responses are not those of the template"
        )


def _doors(live: _Live) -> Iterator[Check]:
    status, answer = live.post("/heartbeat", b"{}", token=secrets.token_hex(16))
    if status == 403:
        yield Check("wrong token", "good", "refused with 403")
    else:
        yield _unexpected("wrong token", status, answer, "look at the log of the function Authorize")
    status, answer = live.post("/calls/status", b"CallSid=CA0", token="", kind="application/x-www-form-urlencoded")
    if status == 403:
        yield Check("unsigned callback", "good", "refused with 403")
    else:
        yield _unexpected("unsigned callback", status, answer, "look at the log of the function PhoneReply")


def _webhooks(live: _Live) -> Iterator[Check]:
    for name, webhook in _samples().items():
        status, answer = live.post("/alerts", json.dumps(webhook).encode(), token=live.token)
        if status != 202:
            yield _unexpected(name, status, answer, _ADVICE.get(status, "what is wrong is in the answer"))
            continue
        ended = _ended(live, str(answer["execution"]))
        if ended == "SUCCEEDED":
            yield Check(name, "good", "accepted and read")
        else:
            do = f"look at the execution {answer['execution']} in Step Functions"
            yield Check(name, "failed", f"accepted, and then {ended}", do)


_ADVICE = {
    400: "the gateway's validation or mapping template does not take it: compare the deployed template",
    401: "the function Authorize does not get the header: deploy again",
    403: "the token was changed less than five minutes ago, or BearerTokenParameter names another one",
    503: "it may pass: try again; then the log of the function Authorize, and the role ApiRole",
}


def _samples() -> dict[str, Mapping[str, Any]]:
    """Webhooks as they come: an ordinary one, one with odd JSON, and one that has to be cut."""
    deep: Any = "bottom"
    for _ in range(_DEEP_LEVELS):
        deep = [deep]
    odd = {"note": "half a character: \ud83d", "many": 1e40, "deep": deep, "$x": "#set($x = 1) \\ ' \u2028"}
    return {
        "webhook": _webhook("webhook"),
        "odd webhook": _webhook("odd webhook", **odd),
        "long webhook": _webhook("long webhook", commonAnnotations={"padding": "x" * _PADDING}),
    }


def _webhook(name: str, **more: Any) -> Mapping[str, Any]:
    alert = {"status": "resolved", "labels": {"alertname": "oncall verify", "oncall_test": "true"}, "annotations": {}}
    return {"version": "4", "groupKey": f"oncall verify: {name}", "status": "resolved", "alerts": [alert], **more}


def _ended(live: _Live, execution: str) -> str:
    """How the execution ended, or that it did not."""
    arn = f"{live.machine.replace(':stateMachine:', ':execution:')}:{execution}"
    client = live.target.client("stepfunctions")
    until = time.monotonic() + PATIENCE_SECONDS
    status = "RUNNING"
    while status == "RUNNING" and time.monotonic() < until:
        time.sleep(0.5)
        with aws_errors(live.target.name):
            status = str(client.describe_execution(executionArn=arn)["status"])
    return status if status != "RUNNING" else f"not ended within {PATIENCE_SECONDS} s"


def _unexpected(name: str, status: int, answer: Mapping[str, Any], do: str) -> Check:
    return Check(name, "failed", f"the gateway answered {status}: {answer.get('message', 'no message')}", do)
