"""The bundled configuration, as it is deployed, judged by the programs that read it."""

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from devstack.monitoring import program

ROOT = Path(__file__).parents[2]
ALERTMANAGER = ROOT / "alertmanager/alertmanager.yml"
PROMETHEUS = ROOT / "prometheus/prometheus.yml"
RULES = sorted((ROOT / "prometheus/rules").glob("*.yml"))
TARGETS = sorted((ROOT / "prometheus/targets").glob("*.yml"))


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def run(name: str, *arguments: str | Path) -> str:
    """Output of a program; the test fails with all that it said if it does."""
    done = subprocess.run(  # noqa: S603 - a program and files that are named here
        [program(name), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_prometheus_accepts_its_configuration_and_finds_every_rule_file() -> None:
    assert f"SUCCESS: {len(RULES)} rule files found" in run("promtool", "check", "config", PROMETHEUS)


@pytest.mark.parametrize("rules", RULES, ids=lambda file: file.name)
def test_promtool_accepts_the_rules(rules: Path) -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", rules)


@pytest.mark.parametrize("rules", RULES, ids=lambda file: file.name)
def test_the_alerts_fire_and_resolve_when_they_should(rules: Path) -> None:
    run("promtool", "test", "rules", Path(__file__).parent / f"{rules.stem}_test.yml")


def test_the_blackbox_exporter_accepts_its_configuration() -> None:
    run("blackbox_exporter", "--config.check", f"--config.file={ROOT / 'prometheus/blackbox.yml'}")


def test_alertmanager_accepts_its_configuration() -> None:
    run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize("severity", ["critical", "warning"])
@pytest.mark.parametrize("product", ["product-a", "a product that no file knows"])
def test_alerts_of_either_severity_and_any_product_go_to_the_platform(severity: str, product: str) -> None:
    labels = ["alertname=URL Alert(critical)", f"severity={severity}", f"product={product}"]
    run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", "--verify.receivers=on-call", *labels)


def test_alertmanager_keeps_the_timings_tells_of_resolved_alerts_and_bounds_what_it_sends() -> None:
    configuration = read(ALERTMANAGER)
    route = configuration["route"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("10s", "5m", "30m")
    [receiver] = configuration["receivers"]
    [webhook] = receiver["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert 0 < webhook["max_alerts"] <= 60
    assert webhook["url"].startswith("https://")
    assert webhook["url"].endswith("/alerts")


def test_the_bearer_token_is_referred_to_and_never_written_down() -> None:
    [receiver] = read(ALERTMANAGER)["receivers"]
    [webhook] = receiver["webhook_configs"]
    assert webhook["http_config"]["authorization"].keys() == {"type", "credentials_file"}


@pytest.mark.parametrize("targets", TARGETS, ids=lambda file: file.name)
def test_every_target_is_a_url_with_a_product(targets: Path) -> None:
    """Prometheus itself takes any target; one without a product would ring the default policy's people."""
    groups = read(targets)
    assert groups
    for group in groups:
        assert group["labels"]["product"]
        for url in group["targets"]:
            assert urlsplit(url).scheme in {"http", "https"}
            assert urlsplit(url).hostname


def test_no_url_is_watched_twice() -> None:
    urls = [url for file in TARGETS for group in read(file) for url in group["targets"]]
    assert len(urls) == len(set(urls))


@pytest.mark.parametrize("rules", RULES, ids=lambda file: file.name)
def test_every_alert_says_what_a_woken_person_needs(rules: Path) -> None:
    for group in read(rules)["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert {"summary", "description", "runbook_url"} <= rule["annotations"].keys()
            assert "$value" in rule["annotations"]["description"]
            page = urlsplit(rule["annotations"]["runbook_url"]).path.partition("/main/")[2]
            assert (ROOT / page).is_file()
