"""Functions that are kept warm: a ping starts what a page would wait for, and does nothing else."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from devstack.aws.template import parse
from oncall import warm

ROOT = Path(__file__).parents[2]


@dataclass
class Lambda:
    """Lambda: keeps what is invoked, and refuses one function."""

    refused: str
    pinged: list[str] = field(default_factory=list)

    def invoke(self, **request: Any) -> None:
        assert request["InvocationType"] == "Event"
        assert json.loads(request["Payload"]) == warm.PING
        if request["FunctionName"] == self.refused:
            raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": ""}}, "Invoke")
        self.pinged.append(request["FunctionName"])


def test_what_only_looks_like_a_ping_is_none() -> None:
    """Else a body with this word in it would be answered, and not read."""
    read: list[dict[str, Any]] = []
    answer = warm.answers_pings(lambda: None)(lambda event, _: read.append(event))
    for event in ({"ping": False}, {"ping": True, "body": ""}, {"body": json.dumps(warm.PING)}):
        answer(event, None)
        assert read.pop() == event


def test_a_function_that_cannot_be_pinged_keeps_no_other_from_it() -> None:
    client = Lambda(refused="b")
    warm.keep(client, ["a", "b", "c"])  # type: ignore[arg-type]  # as far as it is used
    assert client.pinged == ["a", "c"]


def test_the_template_keeps_every_function_warm_that_answers_pings() -> None:
    resources = parse((ROOT / "template.yaml").read_text())["Resources"]
    variables = resources["ReconcileFunction"]["Properties"]["Environment"]["Variables"]
    kept = {path.stem for path in (ROOT / "functions").glob("*.py") if "@answers_pings" in path.read_text()}
    condition, names, off = variables["KEPT_WARM"]["Fn::If"]
    handlers = {
        resources[name]["Properties"]["Handler"].partition(".")[0]
        for name in re.findall(r"\$\{(\w+)\}", names["Fn::Sub"])
    }
    assert (condition, off) == ("KeepsWarm", "")
    assert handlers == kept
    assert {path.stem for path in (ROOT / "functions").glob("*.py") if "@answers_pings" in path.read_text()} == kept
