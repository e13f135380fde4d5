"""Time zones are the package's, in the command and in the functions, on a machine whose own are older or other ones too."""

import os
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from devstack.aws.template import parse
from oncall_cli import roster_check, when
from oncall_cli.when import parse_moment, shown
from tests.cli.conftest import Run

type Write = Callable[[str | bytes], str]

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
AT = "2026-12-01T16:30Z"  # 09:30 in Vancouver since 2026b: it has stayed at UTC-7; 08:30 by what came before
VANCOUVER = """
time_zone: America/Vancouver
responders: {day: "+16045550100", night: "+16045550101"}
schedules:
  primary:
    layers:
      - { name: day, members: [day], during: [{ from: "09:00", to: "17:00" }] }
      - { name: night, members: [night] }
policies: { default: { steps: [schedule: primary] } }
"""


@pytest.fixture
def old_machine(tmp_path: Path) -> Iterator[Path]:
    """A machine whose folder has Vancouver at UTC-8 in winter, and a zone that the package does not have."""
    folder = tmp_path / "zoneinfo"
    (folder / "America").mkdir(parents=True)
    winter = resources.files("tzdata").joinpath("zoneinfo", "Etc", "GMT+8").read_bytes()
    (folder / "America/Vancouver").write_bytes(winter)
    (folder / "localtime").write_bytes(winter)
    zoneinfo.reset_tzpath((str(folder),))
    zoneinfo.ZoneInfo.clear_cache()
    assert datetime.fromisoformat(AT).astimezone(zoneinfo.ZoneInfo.no_cache("America/Vancouver")).hour == 8
    yield folder
    zoneinfo.reset_tzpath(())
    zoneinfo.ZoneInfo.clear_cache()


def test_the_command_reads_the_packages_zones(oncall: Run, write: Write, old_machine: Path) -> None:
    assert oncall("roster", "apply", write(VANCOUVER), "--yes").status == 0
    (first, *_) = oncall("who", "--at", AT, "--json").json["order"]
    assert first["id"] == "day"
    assert old_machine.exists()


def test_a_zone_that_only_the_machine_has_is_refused(run: Run, write: Write, old_machine: Path) -> None:
    checked = run("roster", "check", write("time_zone: localtime\nresponders: {a: +12025550100}\n"))
    assert "roster.yaml:1: error: time_zone: there is no time zone 'localtime'" in checked.out
    assert old_machine.exists()


def test_a_function_reads_the_packages_zones() -> None:
    """With the environment that the template gives to each."""
    template: Any = parse((ROOT / "template.yaml").read_text())
    given = template["Globals"]["Function"]["Environment"]["Variables"]["PYTHONTZPATH"]
    code = f"""
import zoneinfo
from datetime import datetime
from oncall.roster import parse
from oncall.roster.schedules import responders_on_call
layers = [{{"members": ["day"], "during": [{{"from": "09:00", "to": "17:00"}}]}}, {{"members": ["night"]}}]
roster, problems = parse({{
    "time_zone": "America/Vancouver",
    "responders": {{"day": "+16045550100", "night": "+16045550101"}},
    "schedules": {{"s": {{"layers": layers}}}},
    "policies": {{"p": {{"steps": [{{"schedule": "s"}}]}}}},
}})
(first,) = responders_on_call(roster, roster.policies["p"], datetime.fromisoformat("{AT}"))
print(zoneinfo.TZPATH, problems, first.responder.id)
"""
    environment = os.environ | {"PYTHONTZPATH": given, "PYTHONPATH": str(ROOT / "functions")}
    done = subprocess.run(  # noqa: S603  this project's own code
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("() () day\n", "")


@pytest.mark.usefixtures("old_machine")
@pytest.mark.parametrize("how", ["TZ", ":TZ", "link"])
def test_the_zone_of_who_runs_the_command_is_the_packages_too(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    zoneinfo.reset_tzpath(())  # as the command does
    zoneinfo.ZoneInfo.clear_cache()
    monkeypatch.delenv("TZ", raising=False)
    if how == "link":
        link = tmp_path / "localtime"
        link.symlink_to("/usr/share/zoneinfo/America/Vancouver")
        monkeypatch.setattr(when, "_LOCALTIME", link)
    else:
        monkeypatch.setenv("TZ", how.replace("TZ", "America/Vancouver"))
    moment = datetime.fromisoformat(AT)
    assert parse_moment("2026-12-01 09:30", datetime(2026, 11, 29, tzinfo=UTC)) == moment
    assert shown(moment).startswith("Tue 2026-12-01 09:30 ")


@pytest.mark.parametrize(("rule", "hour"), [("JST-9", 9), ("<-03>3", 21)])
def test_a_zone_without_a_name_is_left_to_the_machine(rule: str, hour: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", rule)
        time.tzset()
        assert when.local(NOW).hour == hour
        assert parse_moment(f"2026-11-29 {hour:02}:00", NOW).hour == 0
    time.tzset()


@pytest.mark.parametrize("zone", ["GMT+9", "gmt-5", "GMT9", "Etc/GMT+09", "Etc/UTC+9", "UTC+9", "GMT+09:00", "GMT+14"])
def test_hours_are_no_zone_and_none_of_the_other_sign_is_proposed(run: Run, write: Write, zone: str) -> None:
    """GMT+9 is Tokyo's time to people, and Etc/GMT+9 Alaska's: 18 hours apart."""
    checked = run("roster", "check", write(f"time_zone: {zone}\nresponders: {{a: +12025550100}}\n"))
    assert f"there is no time zone '{zone}': write a name such as Asia/Tokyo" in checked.out


def test_a_zone_whose_sign_is_turned_round_says_what_it_is(run: Run, write: Write) -> None:
    text = "time_zone: Etc/GMT+9\nresponders: {a: +12025550100}\nschedules:\n  everyone: {members: [a], time_zone: Etc/GMT-5}\n"
    checked = run("roster", "check", write(text))
    assert checked.status == 0
    assert "roster.yaml:1: warning: time_zone: Etc/GMT+9 is 9 hours behind UTC" in checked.out
    assert "roster.yaml:4: warning: schedules everyone time_zone: Etc/GMT-5 is 5 hours ahead of UTC" in checked.out
    plain = run("roster", "check", write("time_zone: Etc/GMT\nresponders: {a: +12025550100}\n"))
    assert "UTC: its sign" not in plain.out


@pytest.mark.parametrize(
    ("release", "zone", "is_told"),
    [("2025.2", "Asia/Tokyo", True), ("2025.2", "UTC", False), ("2026.6", "Asia/Tokyo", False)],
)
def test_old_data_are_told(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, release: str, zone: str, is_told: bool
) -> None:
    monkeypatch.setattr(roster_check, "version", lambda _: release)
    monkeypatch.setattr("oncall_cli.roster_commands.datetime", Clock)
    checked = run("roster", "check", write(f"time_zone: {zone}\nresponders: {{a: +12025550100}}\n"))
    assert checked.status == 0
    assert (f"warning: the time zone data here are of {release}: the hours of Asia/Tokyo" in checked.out) == is_told


class Clock(datetime):
    """It is the end of November 2026."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # datetime's own returns Self
        return NOW.astimezone(tz)
