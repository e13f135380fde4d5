"""The real Alertmanager with the bundled configuration: who is silenced by whom, and what goes past the gateway."""

import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from devstack.shared.serve import TETHER, free_port
from devstack.system.monitoring import render
from tests.devstack_fixture import wait_until

TOPIC = "arn:aws:sns:us-east-1:123456789012:fallback"


class Received:
    """What the gateway and the topic get, and Alertmanager's address."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.published: list[dict[str, str]] = []
        self.alertmanager = ""

    @property
    def app(self) -> Any:
        """The gateway below /prod, SNS at /."""

        @Request.application
        def answer(request: Request) -> Response:
            if request.path == "/":
                self.published.append(request.form.to_dict())
                return Response(
                    "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
                    content_type="text/xml",
                )
            self.posted.append((request.path, request.get_json()))
            return Response(status=202)

        return answer

    def fire(self, *alerts: dict[str, str], **times: str) -> None:
        """Alerts with these labels, as Prometheus sends them; startsAt and endsAt are by its clock."""
        sent = [{"labels": labels, "annotations": {"summary": labels["alertname"]}, **times} for labels in alerts]
        requests.post(f"{self.alertmanager}/api/v2/alerts", json=sent, timeout=5).raise_for_status()

    def inhibited(self, alert: str, **labels: str) -> bool | None:
        """Whether others silence the alert; None while Alertmanager has not looked at it yet."""
        for each in requests.get(f"{self.alertmanager}/api/v2/alerts", timeout=5).json():
            if each["labels"].items() >= {"alertname": alert, **labels}.items():
                return None if each["status"]["state"] == "unprocessed" else bool(each["status"]["inhibitedBy"])
        return None


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Received]:
    """A running Alertmanager."""
    found = Received()
    server = make_server("127.0.0.1", 0, found.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    here = f"http://127.0.0.1:{server.port}"
    ports = {name: free_port() for name in ("prometheus", "alertmanager", "blackbox_exporter")}
    commands = render(
        tmp_path_factory.mktemp("alertmanager"),
        gateway_url=f"{here}/prod",
        bearer_tokens=("a-token", "another-token"),
        site_url="http://127.0.0.1:1/",
        ports=ports,
        aws_url=here,
        region="us-east-1",
        topic=TOPIC,
    )
    [command] = [each for each in commands if each.name == "alertmanager"]
    process = subprocess.Popen([*TETHER, *command.argv])  # noqa: S603 - what is under test
    try:
        wait_until(lambda: _answers(command.ready_url), what="Alertmanager is ready")
        found.alertmanager = f"http://127.0.0.1:{ports['alertmanager']}"
        yield found
    finally:
        process.terminate()
        process.wait()
        server.shutdown()
        thread.join()
        server.server_close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


DISK = {"product": "shop", "instance": "i-1", "host": "web-1", "mountpoint": "/data"}
URL = {"product": "shop", "instance": "https://shop.example.com/"}
# What fires, what it silences, and what it does not.
SILENCES: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "critical silences warning of the same thing": (
        {"alertname": "Storage critical", "severity": "critical", "about": "storage", **DISK},
        {"alertname": "Storage warning", "severity": "warning", "about": "storage", **DISK},
        {"alertname": "Storage warning", "severity": "warning", "about": "storage", **DISK, "mountpoint": "/"},
    ),
    "critical does not silence a warning of something else": (
        {"alertname": "CPU critical", "severity": "critical", "about": "cpu", **DISK, "instance": "i-2", "host": "a"},
        {"alertname": "CPU warning", "severity": "warning", "about": "cpu", **DISK, "instance": "i-2", "host": "a"},
        {
            "alertname": "Memory warning",
            "severity": "warning",
            "about": "memory",
            **DISK,
            "instance": "i-2",
            "host": "a",
        },
    ),
    "full silences full soon": (
        {"alertname": "Full", "severity": "warning", "about": "storage", **DISK, "instance": "i-3", "host": "b"},
        {"alertname": "Soon", "severity": "critical", "about": "storage-trend", **DISK, "instance": "i-3", "host": "b"},
        {"alertname": "Soon", "severity": "critical", "about": "storage-trend", **DISK, "instance": "i-4", "host": "c"},
    ),
    "down silences slow": (
        {"alertname": "Down", "severity": "critical", "about": "answer", **URL},
        {"alertname": "Slow", "severity": "warning", "about": "slow", **URL},
        {"alertname": "Certificate", "severity": "warning", "about": "certificate", **URL},
    ),
    "a dead host silences what runs on it": (
        {"alertname": "EC2 Instance Alert(critical)", "severity": "critical", "about": "instance", "host": "web-9"},
        {"alertname": "URL Alert(critical)", "severity": "critical", "about": "answer", **URL, "host": "web-9"},
        {"alertname": "URL Alert(critical)", "severity": "critical", "about": "answer", **URL, "product": "elsewhere"},
    ),
}


@pytest.mark.parametrize("case", SILENCES)
def test_who_is_silenced_by_whom(received: Received, case: str) -> None:
    source, silenced, told = SILENCES[case]
    received.fire(source, silenced, told)
    wait_until(lambda: received.inhibited(**_wanted(silenced)), what="the one is silenced")
    wait_until(lambda: received.inhibited(**_wanted(told)) is not None, what="the other one is looked at")
    assert received.inhibited(**_wanted(told)) is False


def _wanted(labels: dict[str, str]) -> dict[str, str]:
    return {"alert": labels["alertname"], **{name: value for name, value in labels.items() if name != "alertname"}}


def test_that_notifications_fail_is_told_past_the_gateway_and_to_it(received: Received) -> None:
    received.fire(
        {"alertname": "Monitoring Notifications Alert(critical)", "severity": "critical", "product": "monitoring"}
    )
    [published] = wait_until(lambda: received.published, what="the topic is told")
    assert published["TopicArn"] == TOPIC
    assert "Monitoring Notifications" in published["Subject"] + published["Message"]
    wait_until(
        lambda: [path for path, group in received.posted if "Notifications" in group["groupKey"]],
        what="and the gateway",
    )


def test_the_heartbeat_goes_its_own_way(received: Received) -> None:
    received.fire({"alertname": "Watchdog", "severity": "none"})
    wait_until(lambda: [path for path, _ in received.posted if path == "/prod/heartbeat"], what="a heartbeat")
    assert not [
        group for path, group in received.posted if path == "/prod/alerts" and "Watchdog" in str(group["alerts"])
    ]


def fire_by_a_clock_that_is_off(received: Received, product: str, minutes: int) -> None:
    """A Prometheus whose clock is so many minutes ahead sends an alert that it has just begun to fire."""
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    times = {
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=1)).isoformat(),
    }  # as the bundle's is started
    received.fire({"alertname": "Site is down", "severity": "critical", "product": product}, **times)


def test_a_prometheus_whose_clock_is_ahead_is_heard(received: Received) -> None:
    fire_by_a_clock_that_is_off(received, "ahead", 60)
    wait_until(lambda: [group for _, group in received.posted if "ahead" in group["groupKey"]], what="the webhook")


def test_a_prometheus_whose_clock_is_behind_is_not_heard_which_the_heartbeat_tells(received: Received) -> None:
    """By Alertmanager's clock its alerts are over already, the Watchdog too."""
    fire_by_a_clock_that_is_off(received, "behind", -2)
    fire_by_a_clock_that_is_off(received, "on time", 0)
    wait_until(lambda: [group for _, group in received.posted if "on time" in group["groupKey"]], what="the webhook")
    assert not [group for _, group in received.posted if "behind" in group["groupKey"]]
