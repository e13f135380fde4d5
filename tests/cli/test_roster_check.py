"""`oncall roster check`: clear words for each mistake, and nothing that a hostile file could do."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from oncall_cli.roster_check import SCHEMA
from oncall_cli.roster_file import parse_text
from tests.cli.conftest import Run

type Write = Callable[[str | bytes], str]

ROOT = Path(__file__).parents[2]
TEAM = "time_zone: Asia/Tokyo\nresponders:\n  alice: +12025550100\n  bob: +12025550101\n"


def test_the_shortest_roster_is_a_list_of_numbers(run: Run, write: Write) -> None:
    checked = run("roster", "check", write(TEAM))
    assert (checked.status, checked.err) == (0, "")
    assert checked.out.endswith("roster.yaml: good: 2 responders\n")


@pytest.mark.parametrize("name", ["roster.example.yaml", "devstack/system/roster.yaml"])
def test_the_shipped_rosters_are_good_and_follow_the_schema(run: Run, name: str) -> None:
    checked = run("roster", "check", str(ROOT / name), "--json")
    assert checked.json["findings"] == []
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(parse_text((ROOT / name).read_text(encoding="utf-8")).document, schema)


def test_other_readers_of_yaml_see_the_example_as_we_do() -> None:
    """An editor's language server reads it by YAML's rules: numbers, times and dates must be between quotes there."""
    text = (ROOT / "roster.example.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == parse_text(text).document


@pytest.mark.parametrize(
    ("added", "line", "message"),
    [
        ("  bob: +12025550102\n", 5, "has 'bob' a second time (see line 4)"),
        ("  eve: +12025550100\n", 5, "responders eve phone: is also the number of alice"),
        ("  eve: 090-1234-5678\n", 5, "responders eve phone: is not in E.164"),
        ("  eve: 12025550104\n", 5, "responders eve: expected settings"),
        ("  eve: +81312345\n", 5, "responders eve phone: is too short for JP"),
        (
            "  eve: {phone: +12025550104, langage: ja}\n",
            5,
            "responders eve langage: is not a setting: did you mean language?",
        ),
        ("schedule: {}\n", 5, "schedule: is not a setting: did you mean schedules?"),
        ("schedules:\n  s:\n    members: [alice, bbo]\n", 7, "there is no responder 'bbo': did you mean bob?"),
        ("schedules:\n  s:\n    members: [alice]\n    shift: 1 wek\n", 8, "shift: '1 wek' is not a length"),
        (
            "schedules:\n  s:\n    members: [alice]\n    start: 2026-02-30\n",
            8,
            "'2026-02-30' is not a date that exists",
        ),
        ("schedules:\n  s: {time_zone: Asia/Tokio, members: [alice]}\n", 6, "there is no time zone 'Asia/Tokio'"),
        (
            "schedules:\n  s:\n    layers:\n      - members: [alice]\n        durring: []\n",
            9,
            "durring: is not a setting",
        ),
        ("policies:\n  p:\n    steps:\n      - schedule: nights\n", 8, "there is no schedule 'nights'"),
        ("policies:\n  p: {rounds: many}\n", 6, "rounds: expected a whole number from 1 to 20"),
        ("products:\n  x: {policy: p}\n", 6, "there is no policy 'p'"),
        (
            "  erin: {phone: +12025550104, slack_user: '@erin'}\n",
            5,
            "slack_user: is not a member ID such as U0123456789",
        ),
        ("severities: {info: quiet}\n", 5, "severities info: 'quiet' is not possible"),
        ("severities:\n  Critical: none\n", 6, "severities Critical: always rings"),
        ("default: p\n", 5, "there is no policy 'p'"),
        ("products: [\n", 6, "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line(run: Run, write: Write, added: str, line: int, message: str) -> None:
    checked = run("roster", "check", write(TEAM + added))
    assert checked.status == 1
    assert any(f"roster.yaml:{line}: error: " in text and message in text for text in checked.out.splitlines()), (
        checked.out
    )


def test_all_mistakes_are_told_at_once(run: Run, write: Write) -> None:
    checked = run("roster", "check", write("responders: {a: x, b: y}\nproducts: {c: {call: perhaps}}\nnonsense: 1\n"))
    assert checked.out.count("error: ") == 4


def test_a_gap_within_two_weeks_is_an_error_unless_it_is_written(run: Run, write: Write) -> None:
    office = (
        "schedules:\n  s:\n    layers:\n      - {members: [alice], during: [{days: mon-fri, from: 09:00, to: 18:00}]}\n"
    )
    policy = "policies:\n  p: {steps: [schedule: s, everyone]}\n"
    checked = run("roster", "check", write(TEAM + office + policy))
    assert checked.status == 1
    assert "roster.yaml:6: error: schedules s: has nobody from " in checked.out
    assert "more times within 14 days: add a layer for then, or one with members: []" in checked.out
    assert run("roster", "check", write(TEAM + office + "      - {members: []}\n" + policy)).status == 0


def test_a_policy_that_reaches_nobody_is_an_error(run: Run, write: Write) -> None:
    checked = run(
        "roster", "check", write(TEAM + "schedules:\n  s: {members: []}\npolicies:\n  p: {steps: [schedule: s]}\n")
    )
    assert "roster.yaml:8: error: policies p: reaches nobody within 14 days" in checked.out
    assert checked.status == 1


def test_who_is_never_rung_is_a_warning(run: Run, write: Write) -> None:
    checked = run("roster", "check", write(TEAM + "policies:\n  default: {steps: [responder: alice]}\n"))
    assert "roster.yaml:4: warning: responders bob: is in no policy" in checked.out
    assert checked.status == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing yet\n", "is empty"),
        (b"- alice\n", "has no keys at its top"),
        (b"just words\n", "has no keys at its top"),
        (b"responders: {}\n", "has no responders"),
        (b"\xff\xfer\x00", "is not in UTF-8"),
        ("responders: {佐藤: x}".encode("shift_jis"), "is not in UTF-8"),
        (b"a: &a [x]\nb: *a\n", "uses an anchor"),
        (b"a: !!python/object/apply:os.system ['touch /tmp/x']\n", "uses a tag"),
        (b"a: !!binary aGk=\n", "uses a tag"),
        (b"a: 1\n---\nb: 2\n", "second document"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "is nested more than 10 deep"),
        (b"? [a]\n: b\n", "where a key should be"),
        (b"a: \x07\n", "is not YAML"),
        (b"x: y\n" * 100_000, "is larger than 300 KB"),
        (b"responders: [alice, bob]\n", "responders: expected ids with their settings"),
        (b"responders: {alice: [1]}\n", "responders alice: expected settings"),
        (b"time_zone: {a: b}\nresponders: {a: +12025550100}\n", "time_zone: expected text"),
        (b"responders: {a: +12025550100}\nschedules: {s: {members: {a: b}}}\n", "schedules s: has no members"),
        (b"responders: {a: +12025550100}\nschedules: {s: {members: [[a]]}}\n", "there is no responder"),
        (b"responders: {a: +12025550100}\npolicies: {p: {steps: [{schedule: [s]}]}}\n", "there is no schedule"),
    ],
)
def test_other_files_are_refused_in_words(run: Run, write: Write, content: bytes, message: str) -> None:
    checked = run("roster", "check", write(content))
    assert checked.status == 1
    assert message in checked.out


def test_a_billion_laughs_are_not_told(run: Run, write: Write) -> None:
    laughs = 'a0: &a0 "lol"\n' + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 10))
    assert "roster.yaml:1: error: uses an anchor or alias" in run("roster", "check", write(laughs)).out


def test_ten_thousand_responders_are_too_many(run: Run, write: Write) -> None:
    checked = run(
        "roster", "check", write("responders:\n" + "".join(f"  r{n}: '+1202555{n:04}'\n" for n in range(20_000)))
    )
    assert "is larger than 300 KB" in checked.out


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read(run: Run, tmp_path: Path, name: str) -> None:
    checked = run("roster", "check", str(tmp_path / name))
    assert checked.status == 1
    assert "cannot be read" in checked.out


def test_findings_as_json(run: Run, write: Write) -> None:
    checked = run("roster", "check", write(TEAM + "x: 1\n"), "--json")
    assert checked.status == 1
    (finding,) = checked.json["findings"]
    assert checked.json["ok"] is False
    assert (finding["level"], finding["line"], finding["where"]) == ("error", 5, "x")


def test_the_schema_is_printed(run: Run) -> None:
    assert json.loads(run("roster", "schema").out) == json.loads(SCHEMA.read_text(encoding="utf-8"))


def test_a_number_that_is_not_known_is_a_warning_and_hides_nothing_else(run: Run, write: Write) -> None:
    """A new area code is no reason to keep a roster from being applied, nor to pass over a gap in it."""
    new = "time_zone: UTC\nresponders:\n  alice: +16795550123\n"
    checked = run("roster", "check", write(new))
    assert (checked.status, checked.out.count("warning: ")) == (0, 1)
    assert "roster.yaml:3: warning: responders alice phone: is not known to exist in US" in checked.out
    gap = "schedules: {s: {members: [alice], during: [{days: mon}]}}\npolicies: {p: {steps: [schedule: s]}}\n"
    assert "schedules s: has nobody from " in run("roster", "check", write(new + gap)).out


@pytest.mark.parametrize(
    "written", ["hand_over: 24:00", "hand_over: sunday 24:00", 'during: [{from: "22:00", to: "24:00"}]']
)
def test_an_editor_takes_24_00_too(written: str) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document = parse_text(f"responders: {{a: +12025550100}}\nschedules: {{s: {{members: [a], {written}}}}}\n").document
    jsonschema.validate(document, schema)


@pytest.mark.parametrize("severities", [{"info": "quiet"}, {" Critical ": "none"}, {"": "none"}, ["info"]])
def test_an_editor_refuses_the_severities_that_the_check_refuses(severities: object) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"responders": {"a": "+12025550100"}, "severities": severities}, schema)
