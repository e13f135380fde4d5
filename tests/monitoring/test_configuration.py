"""The bundled configuration, as it is deployed, judged by the programs that read it."""

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from devstack.system.monitoring import program

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


def test_alerts_on_urls_do_what_the_table_of_cases_cannot_say() -> None:
    run("promtool", "test", "rules", Path(__file__).parent / "url_test.yml")


def test_the_blackbox_exporter_accepts_its_configuration() -> None:
    run("blackbox_exporter", "--config.check", f"--config.file={ROOT / 'prometheus/blackbox.yml'}")


def test_alertmanager_accepts_its_configuration() -> None:
    run("amtool", "check-config", ALERTMANAGER)


ALERTS = {rule["alert"]: rule for file in RULES for group in read(file)["groups"] for rule in group["rules"]}
RECEIVERS = {"Watchdog": "heartbeat", "Monitoring Notifications Alert(critical)": "fallback,on-call"}


def receivers(**labels: str) -> str:
    """Who gets an alert with these labels."""
    given = [f"{name}={value}" for name, value in labels.items()]
    return run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *given).splitlines()[-1]


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_goes_where_it_belongs(alert: str) -> None:
    labels = {name: value for name, value in ALERTS[alert]["labels"].items() if "{{" not in value}
    assert receivers(alertname=alert, **{"product": "shop", **labels}) == RECEIVERS.get(alert, "on-call")


@pytest.mark.parametrize("severity", ["critical", "warning"])
@pytest.mark.parametrize("product", ["product-a", "a product that no file knows"])
def test_alerts_of_either_severity_and_any_product_go_to_the_platform(severity: str, product: str) -> None:
    assert receivers(alertname="An alert of one's own", severity=severity, product=product) == "on-call"


def webhooks() -> dict[str, Any]:
    """The receivers' webhooks, by the receivers' names."""
    return {
        each["name"]: each["webhook_configs"][0]
        for each in read(ALERTMANAGER)["receivers"]
        if "webhook_configs" in each
    }


def test_alertmanager_keeps_the_timings_tells_of_resolved_alerts_and_bounds_what_it_sends() -> None:
    route = read(ALERTMANAGER)["route"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("10s", "5m", "30m")
    webhook = webhooks()["on-call"]
    assert webhook["send_resolved"] is True
    assert 0 < webhook["max_alerts"] <= 60
    assert webhook["url"].startswith("https://")
    assert webhook["url"].endswith("/alerts")


def test_the_heartbeat_comes_every_minute_and_not_from_a_prometheus_that_is_dead() -> None:
    [route] = [each for each in read(ALERTMANAGER)["route"]["routes"] if each["receiver"] == "heartbeat"]
    # What was sent a second after the tick would not be sent again a minute after it.
    assert (route["group_interval"], route["repeat_interval"]) == ("1m", "50s")
    webhook = webhooks()["heartbeat"]
    assert webhook["send_resolved"] is False
    assert webhook["url"].endswith("/heartbeat")


def test_what_cannot_be_told_through_the_platform_goes_past_it() -> None:
    [fallback] = [each for each in read(ALERTMANAGER)["receivers"] if each["name"] == "fallback"]
    assert fallback.keys() == {"name", "sns_configs"}, "no webhook, no gateway"


def test_only_what_is_planned_is_muted_and_never_the_heartbeat() -> None:
    configuration = read(ALERTMANAGER)
    muted = [each for each in configuration["route"]["routes"] if "mute_time_intervals" in each]
    assert [(each["receiver"], each["matchers"]) for each in muted] == [("on-call", ['alertname!="Watchdog"'])]
    [interval] = configuration["time_intervals"]
    assert interval["time_intervals"] == [{"years": ["2020"]}], "never, until somebody plans something"


def test_the_bearer_token_is_referred_to_and_never_written_down() -> None:
    for webhook in webhooks().values():
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


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_a_woken_person_needs(alert: str) -> None:
    rule = ALERTS[alert]
    severity = rule["labels"]["severity"]
    if alert == "Watchdog":
        assert severity == "none"
    elif "{{" in severity:
        assert "critical" in severity, "what it is without a label in the targets file"
    else:
        assert severity in {"critical", "warning"}
        assert rule["labels"]["about"], "inhibition goes by it"
    annotations = rule["annotations"]
    spoken = {"summary"} if alert == "Watchdog" else {"summary", "summary_ja"}
    assert {*spoken, "description", "runbook_url"} == annotations.keys()
    assert "$value" in annotations["description"]
    assert not any("$value" in annotations[name] for name in spoken), "it is read aloud"


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_page_that_says_what_it_means_what_to_look_at_and_what_to_do(alert: str) -> None:
    address = urlsplit(ALERTS[alert]["annotations"]["runbook_url"])
    page = (ROOT / address.path.partition("/main/")[2]).read_text()
    sections = {anchor(text.partition("\n")[0]): text for text in page.split("\n## ")[1:]}
    section = sections[address.fragment]
    assert "**What it means.**" in section
    assert "**What to look at" in section
    assert "what to do.**" in section.lower()


def anchor(heading: str) -> str:
    """A heading's anchor, as git hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_no_page_is_about_an_alert_that_is_gone() -> None:
    headings = [
        line.removeprefix("## ")
        for page in (ROOT / "docs/runbooks").glob("*.md")
        for line in page.read_text().splitlines()
        if line.startswith("## ")
    ]
    assert sorted(headings) == sorted(ALERTS)
