"""Every alert of the bundle fires when it should, not before, not for a blip, and resolves: cases.yml, judged by promtool."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.system.monitoring import program

ROOT = Path(__file__).parents[2]
RULES = {file.stem: file for file in sorted((ROOT / "prometheus/rules").glob("*.yml"))}
CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text())
BEFORE = 30  # minutes of good measurements first
CONSTANT = {"severity", "about", "product"}


def rules_of(file: Path) -> dict[str, Any]:
    return {rule["alert"]: rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]}


ALERTS = {name: (file, rule) for file in RULES.values() for name, rule in rules_of(file).items()}


def samples(case: dict[str, Any], bad: int) -> list[dict[str, str]]:
    """The measurements in promtool's notation, a minute apart, bad for so many minutes."""
    labels = ",".join(f'{name}="{value}"' for name, value in case["labels"].items())
    afterwards = 2 * bad + 400
    found = {}
    for name, (good, worse) in case.get("gauges", {}).items():
        found[name] = f"{good:f}x{BEFORE - 1} {worse:f}x{bad - 1} {good:f}x{afterwards}"
    for name, good in case.get("gone", {}).items():
        found[name] = f"{good}x{BEFORE - 1} stale{' _' * (bad - 1)} {good}x{afterwards}"
    for name, (good, worse) in case.get("flapping", {}).items():
        alternating = " ".join(f"{(good, worse)[minute % 2]}" for minute in range(bad))
        found[name] = f"{good}x{BEFORE - 1} {alternating} {good}x{afterwards}"
    for name, (good, worse) in case.get("counters", {}).items():
        first, last = good * BEFORE, good * BEFORE + worse * bad
        found[name] = f"0+{good}x{BEFORE - 1} {first}+{worse}x{bad - 1} {last}+{good}x{afterwards}"
    for name, (good, slope) in case.get("trends", {}).items():
        found[name] = f"{good:f}x{BEFORE - 1} {good:f}{slope:+f}x{bad - 1} {good:f}x{afterwards}"
    series = []
    for name, values in found.items():
        metric, _, own = name.partition("{")
        inside = ",".join(part for part in (own.removesuffix("}"), labels) if part)
        series.append({"series": f"{metric}{{{inside}}}", "values": values})
    return series


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """The alert as it fires."""
    rule = ALERTS[case["alert"]][1]
    added = {name: value for name, value in rule["labels"].items() if "{{" not in value}
    own = {name: "critical" for name, value in rule["labels"].items() if "{{" in value}  # where the target has none
    return {
        "exp_labels": {**case["labels"], **added, **own},
        "exp_annotations": {
            **{name: case[name] for name in ("summary", "summary_ja") if name in case},
            "description": case["description"],
            "runbook_url": rule["annotations"]["runbook_url"],
        },
    }


def at(case: dict[str, Any], minute: int, alerts: list[Any]) -> dict[str, Any]:
    return {"eval_time": f"{minute}m", "alertname": case["alert"], "exp_alerts": alerts}


def promtool_tests(case: dict[str, Any]) -> list[dict[str, Any]]:
    firing = [expected(case)]
    if case.get("always"):
        return [{"interval": "1m", "alert_rule_test": [at(case, minute, firing) for minute in (0, 1, 60)]}]
    lasts = case.get("lasts", 120)
    fires, ends = BEFORE + case["after"], BEFORE + lasts + case.get("resolves", 0)
    not_yet = fires - 1 - case.get("sooner", 0)
    moments = [at(case, BEFORE - 1, []), at(case, not_yet, []), at(case, fires, firing), at(case, ends, [])]
    silent = range(BEFORE, BEFORE + case["blip"] + 90)
    return [
        {"interval": "1m", "input_series": samples(case, lasts), "alert_rule_test": moments},
        {
            "interval": "1m",
            "input_series": samples(case, case["blip"]),
            "alert_rule_test": [at(case, minute, []) for minute in silent],
        },
    ]


def test_every_alert_is_tried_once() -> None:
    assert sorted(case["alert"] for case in CASES) == sorted(ALERTS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["alert"])
def test_an_alert_fires_in_time_not_for_a_blip_and_resolves(case: dict[str, Any], tmp_path: Path) -> None:
    file = ALERTS[case["alert"]][0]
    tests = {"rule_files": [str(file)], "evaluation_interval": "1m", "tests": promtool_tests(case)}
    written = tmp_path / "test.yml"
    written.write_text(yaml.safe_dump(tests, sort_keys=False))
    done = subprocess.run(  # noqa: S603 - a program and a file that are named here
        [program("promtool"), "test", "rules", written],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_is_kept_waiting_says_for_how_long(alert: str) -> None:
    """Without `for` an alert would come for every blip; the Watchdog is meant to come at once."""
    assert ("for" in ALERTS[alert][1]) == (alert != "Watchdog")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["alert"])
def test_a_summary_is_read_aloud_in_one_breath(case: dict[str, Any]) -> None:
    assert len(case["summary"].split()) <= 15
    assert len(case.get("summary_ja", "")) <= 60, "about as long, in Japanese"
