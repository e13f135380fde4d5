"""The real Prometheus scrapes what node_exporter, YACE and the Elasticsearch exporter say of a bad night, and its alerts fire.

From an exporter's text through the bundled relabelling to the alert, with everything bad at once (cases.yml) and no waiting.
"""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from devstack.shared.serve import TETHER, free_port
from devstack.system.monitoring import render
from tests.devstack_fixture import wait_until
from tests.monitoring.test_alerts import CASES

ROOT = Path(__file__).parents[2]
NOTHING = "arn:aws:sns:us-east-1:123456789012:nobody"
# What the exporters call it; what is not named comes from the target, or is said as it is.
OWN: dict[str, dict[str, str | None]] = {
    "ec2": {"job": None, "instance": None, "host": None, "product": None},
    "opensearch": {"job": None, "instance": "dimension_DomainName", "product": "tag_product"},
    "elasticsearch": {"job": None, "instance": "cluster", "product": None},
}
EC2_TAGS = {"__meta_ec2_instance_id": "i-0abc", "__meta_ec2_tag_Name": "web-1", "__meta_ec2_tag_product": "shop"}
SHOWN = [
    case for case in CASES if case["labels"].get("job") in OWN and not {"counters", "trends", "gone"} & case.keys()
]


def exposition(job: str) -> str:
    """What the job's exporter says: the worst of all values of its cases."""
    lines = {}
    for case in SHOWN:
        if case["labels"]["job"] != job:
            continue
        labels = {OWN[job].get(name, name): value for name, value in case["labels"].items()}
        inside = ",".join(f'{name}="{value}"' for name, value in labels.items() if name)
        for name, (_, worst) in case["gauges"].items():
            if name != "up":
                lines[f"{name}{{{inside}}}"] = worst
    return "".join(f"{series} {value}\n" for series, value in lines.items())


@Request.application
def exporters(request: Request) -> Response:
    """One exporter for each job."""
    return Response(exposition(request.path.strip("/")), content_type="text/plain; version=0.0.4")


def configuration(here: str, dead: str) -> list[dict[str, Any]]:
    """The bundled jobs, with targets of this machine in place of what finds them."""
    jobs = []
    for job in yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text())["scrape_configs"]:
        name = job["job_name"]
        if name in OWN:
            labels = {"ec2": EC2_TAGS, "elasticsearch": {"product": "shop"}}.get(name, {})
            kept = {
                key: value for key, value in job.items() if not key.endswith("_sd_configs") and key != "static_configs"
            }
            targets = [{"targets": [here], "labels": {**labels, "__metrics_path__": f"/{name}"}}]
            if name == "ec2":
                gone = {"__meta_ec2_instance_id": "i-0dead", "__meta_ec2_tag_product": "shop"}
                targets.append({"targets": [dead], "labels": gone})
            jobs.append({**kept, "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": targets})
    return jobs


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that scrapes them."""
    server = make_server("127.0.0.1", 0, exporters, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    directory = tmp_path_factory.mktemp("prometheus")
    ports = {name: free_port() for name in ("prometheus", "alertmanager", "blackbox_exporter", "exporters")}
    commands = render(
        directory,
        gateway_url="http://127.0.0.1:1/prod",
        bearer_tokens=("a-token", "another-token"),
        site_url="http://127.0.0.1:1/",
        ports=ports,
        aws_url="http://127.0.0.1:1",
        region="us-east-1",
        topic=NOTHING,
        jobs=("url", *OWN),
    )
    file = directory / "prometheus/prometheus.yml"
    rendered = yaml.safe_load(file.read_text())
    rendered["scrape_configs"] = configuration(f"127.0.0.1:{server.port}", f"127.0.0.1:{free_port()}")
    file.write_text(yaml.safe_dump(rendered))
    for rules in (directory / "prometheus/rules").iterdir():
        lines = rules.read_text().splitlines(keepends=True)
        rules.write_text("".join(line for line in lines if not line.startswith("        for: ")))
    [command] = [each for each in commands if each.name == "prometheus"]
    process = subprocess.Popen([*TETHER, *command.argv])  # noqa: S603 - what is under test
    try:
        yield f"http://127.0.0.1:{ports['prometheus']}"
    finally:
        process.terminate()
        process.wait()
        server.shutdown()
        thread.join()
        server.server_close()


def firing(address: str) -> list[dict[str, str]]:
    """The labels of what fires; nothing while Prometheus starts."""
    try:
        answer = requests.get(f"{address}/api/v1/alerts", timeout=5)
    except requests.ConnectionError:
        return []
    return [each["labels"] for each in answer.json()["data"]["alerts"]] if answer.ok else []


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: case["alert"])
def test_an_alert_fires_from_what_its_exporter_says(prometheus: str, case: dict[str, Any]) -> None:
    found = wait_until(
        lambda: [labels for labels in firing(prometheus) if labels["alertname"] == case["alert"]], what=case["alert"]
    )
    assert {labels["product"] for labels in found} == {"shop"}
    if case["alert"] == "EC2 Instance Alert(critical)":  # it has no name, so its id is what people hear
        assert [(labels["instance"], labels["host"]) for labels in found] == [("i-0dead", "i-0dead")]
    elif case["labels"]["job"] == "ec2":
        assert {(labels["instance"], labels["host"]) for labels in found} == {("i-0abc", "web-1")}
    elif "example.com" not in case["labels"]["instance"]:  # what the exporter says of the whole cluster has its address
        assert {labels["instance"] for labels in found} <= {"logs"} or "Snapshot" in case["alert"]
