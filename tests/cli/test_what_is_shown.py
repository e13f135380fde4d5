"""Whatever an alert says, no line of the command writes to the terminal's clipboard or turns around."""

import json
import unicodedata
from pathlib import Path

import pytest

from oncall.alerts.alertmanager import read_webhook
from oncall.incidents import Route, open_incident
from oncall.table import Table
from oncall_cli.target import Target
from tests.builders import START, alert, webhook
from tests.cli.conftest import Run

HARM = "disk \x1b]52;c;cm0gLXJmIH4=\x07\x9b2J\u202efull\u2066 \u200bdb"


@pytest.fixture
def incident(target: Target) -> str:
    hook = webhook(alert(f"name {HARM}", labels={"instance": HARM}, annotations={"summary": HARM}), product=HARM)
    group = read_webhook(hook, received_at=START)
    route = Route("default", call=True, channel="C0", base="")
    opened = open_incident(Table(target.dynamodb, target.table), group, execution="one", now=START, route=route)
    return opened.incident.id


@pytest.mark.parametrize("command", ["incident", "incidents"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_unseen_reaches_the_terminal(
    oncall: Run, incident: str, command: str, form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oncall_cli.incident_commands.now", lambda: START + 60_000)
    ran = oncall(command, *([incident] if command == "incident" else []), *form)
    assert ran.status == 0
    assert "]52;c;cm0gLXJmIH4=2Jfull db" in ran.out
    shown = ran.out if not form else json.dumps(json.loads(ran.out), ensure_ascii=False)
    unseen = {c for c in ran.out + ran.err if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")}
    assert not unseen, shown
    if form:
        assert "\\u001b" not in ran.out, "nor as an escape that jq -r would write out"


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("summary", ["summary", HARM])
def test_nor_from_a_payload_that_is_tried(run: Run, tmp_path: Path, form: list[str], summary: str) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({summary: HARM, "summary": HARM, "product": HARM, "details": {HARM: HARM}}))
    ran = run("source", "try", str(payload), "--source", "generic", *form)
    assert ran.status == 0
    assert "]52;c;cm0gLXJmIH4=2Jfull db" in ran.out
    assert not [c for c in ran.out + ran.err if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")]
    assert "\\u001b" not in ran.out
