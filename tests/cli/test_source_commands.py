"""`oncall source try`, `oncall key` and `oncall heartbeat`, as far as they need no stack."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oncall.alerts import heartbeats, keys
from oncall.alerts.keys import Key
from oncall.table import to_attributes
from oncall_cli.target import Target
from tests.cli.conftest import Run

Write = Callable[..., str]
ROSTER = """
time_zone: UTC
responders: { alice: "+12025550100" }
heartbeats:
  backup: { every: 1 day, grace: 1 hour, product: shop }
  old: { every: 1 week, enabled: false }
sources:
  cloudwatch:
    insufficient_data: alarm
    rules: [{ name: "shop-*", product: shop }]
  my-tool:
    fields: { summary: "join(': ', [host, check])", severity: level }
"""


def test_a_payload_is_shown_as_what_it_becomes(run: Run, write: Write) -> None:
    roster = write(ROSTER)
    payload = write(json.dumps({"host": "web-1", "check": "disk", "level": "warning"}), "payload.json")
    ran = run("source", "try", payload, "--source", "my-tool", "--roster", roster, "--product", "shop", "--json")
    assert ran.status == 0, ran.err
    assert (ran.json["summary"], ran.json["severity"], ran.json["product"]) == ("web-1: disk", "warning", "shop")
    told = run("source", "try", payload, "--source", "my-tool", "--roster", roster)
    assert "warning: Slack only" in told.out


def test_a_built_in_source_needs_no_roster(run: Run, write: Write) -> None:
    payload = write(json.dumps({"summary": "x", "details": {"host": "web-1"}}), "payload.json")
    assert "host: web-1" in run("source", "try", payload, "--roster", "nowhere.yaml").out
    nothing = write(json.dumps({"heartbeat": None, "monitor": None, "msg": "x Testing"}), "payload.json")
    assert run("source", "try", nothing, "--source", "uptime-kuma", "--json").json["status"] == "ignored"


@pytest.mark.parametrize(
    ("payload", "source", "why"),
    [
        ("{", "generic", "cannot be read"),
        ("[]", "generic", "not a JSON object"),
        ('{"status": "x"}', "generic", "status"),
        ("{}", "my-tol", "did you mean my-tool"),
        ('{"host": 7}', "my-tool", "summary"),
    ],
)
def test_what_is_wrong_with_a_payload_is_said(run: Run, write: Write, payload: str, source: str, why: str) -> None:
    ran = run("source", "try", write(payload, "payload.json"), "--source", source, "--roster", write(ROSTER))
    assert ran.status == 1
    assert why in ran.err


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("heartbeats: { b: {} }", "every"),
        ("heartbeats: { b: { every: often } }", "not a length"),
        ("heartbeats: { b: { every: 0 minutes } }", "not a length"),
        ("heartbeats: { b: { every: 1 day, grase: 1 hour } }", "did you mean grace"),
        ("sources: { t: {} }", "summary"),
        ("sources: { t: { fields: { severity: x } } }", "summary"),
        ("sources: { t: { fields: { summary: '[' } } }", "JMESPath"),
        ("sources: { t: { fields: { summary: x, sumary: y } } }", "is no field"),
        ("sources: { cloudwatch: { insufficient_data: perhaps } }", "ignore or alarm or ok"),
        ("sources: { cloudwatch: { rules: [{ name: x }] } }", "product, severity"),
        ("sources: { cloudwatch: { rules: [{ name: x, produkt: y }] } }", "did you mean product"),
        ("sources: { cloudwatch: { rules: x } }", "expected a list"),
    ],
)
def test_the_check_names_what_is_wrong_with_a_roster(run: Run, write: Write, written: str, why: str) -> None:
    ran = run("roster", "check", write(f'time_zone: UTC\nresponders: {{ alice: "+12025550100" }}\n{written}\n'))
    assert ran.status == 1
    assert why in ran.out + ran.err


def test_a_roster_with_both_is_right_and_comes_back_as_it_was(oncall: Run, write: Write, tmp_path: Path) -> None:
    assert oncall("roster", "apply", write(ROSTER), "--yes").status == 0
    shown = oncall("roster", "show").out
    (tmp_path / "again.yaml").write_text(shown)
    assert oncall("roster", "diff", str(tmp_path / "again.yaml")).status == 0


def test_heartbeats_are_listed_with_their_last_words(oncall: Run, target: Target, write: Write) -> None:
    assert oncall("roster", "apply", write(ROSTER), "--yes").status == 0
    now = int(datetime.now(UTC).timestamp() * 1000)
    item = {"pk": heartbeats.PARTITION, "sk": "backup", "beat_at": now - 1000, "failed_at": now}
    target.dynamodb.put_item(TableName=target.table, Item=to_attributes(item))
    listed = {one["id"]: one for one in oncall("heartbeat", "list", "--json").json}
    assert (listed["backup"]["state"], listed["old"]["state"]) == ("failed", "off")
    assert listed["backup"]["last_beat"]
    assert listed["old"]["last_beat"] is None


def test_at_80_columns_a_heartbeats_name_can_be_copied_and_nothing_is_cut(
    oncall: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oncall_cli.output.terminal_columns", lambda: 80)
    names = ("backup-of-the-database-of-the-shop", "x" * 40)
    written = "".join(f"  {name}: {{ every: 30 minutes, grace: 5 minutes, product: shop-1 }}\n" for name in names)
    roster = f'time_zone: UTC\nresponders: {{ alice: "+12025550100" }}\nheartbeats:\n{written}'
    assert oncall("roster", "apply", write(roster), "--yes").status == 0
    lines = oncall("heartbeat", "list").out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in "".join(lines)
    for name in names:
        assert any(line.startswith(f"{name} ") for line in lines)


def test_keys_are_listed_without_themselves_and_revoked(oncall: Run, target: Target) -> None:
    item = keys.item("a-key", Key("kuma", product="shop"), created_at=datetime.now(UTC), created_by="me")
    target.dynamodb.put_item(TableName=target.table, Item=to_attributes(item))
    listed = oncall("key", "list", "--json")
    assert "a-key" not in listed.out
    assert [(one["name"], one["product"]) for one in listed.json] == [("kuma", "shop")]
    assert oncall("key", "revoke", "cuma", "--yes").status == 1
    assert oncall("key", "revoke", "kuma", "--yes").status == 0
    assert oncall("key", "list", "--json").json == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--heartbeat", "bakup"), "did you mean backup"),
        (("--source", "grafna"), "did you mean grafana"),
        (("--heartbeat", "backup", "--product", "shop"), "neither"),
    ],
)
def test_a_key_for_what_there_is_not_is_not_made(oncall: Run, write: Write, options: tuple[str, ...], why: str) -> None:
    assert oncall("roster", "apply", write(ROSTER), "--yes").status == 0
    ran = oncall("key", "add", "x", *options)
    assert ran.status == 1
    assert why in ran.err
