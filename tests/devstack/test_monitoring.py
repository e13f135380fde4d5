"""The bundled monitoring on the devstack, with the real programs."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from devstack.shared.serve import TETHER, free_port
from devstack.system import monitoring
from devstack.system.monitoring import Command, ProgramMissingError, program, render
from devstack.system.site import create_app as create_site
from oncall_cli import monitoring as bundle

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

TOKEN, BEAT_TOKEN = "a-bearer-token-of-the-tests", "another-one-of-heartbeats"
PORTS = {"prometheus": 1, "alertmanager": 2, "blackbox_exporter": 3}
AWS = {"aws_url": "http://127.0.0.1:6", "region": "us-east-1", "topic": "arn:aws:sns:us-east-1:123456789012:fallback"}


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.05)


@contextmanager
def served(app: "WSGIApplication") -> Iterator[str]:
    """The address of `app`, served from a thread."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(command: Command) -> Iterator[int]:
    """The process id of a started command."""
    process = subprocess.Popen([*TETHER, *command.argv])  # noqa: S603 - what the module under test gave
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def health_of_rules(ready_url: str) -> set[str]:
    """What Prometheus says of its rules: ok, err, or unknown before the first evaluation."""
    groups = requests.get(ready_url.replace("/-/ready", "/api/v1/rules"), timeout=5).json()["data"]["groups"]
    return {rule["health"] for group in groups for rule in group["rules"]}


def listening_addresses(pid: int) -> set[str]:
    """Local addresses, as /proc/net/tcp and tcp6 write them, of the sockets that a process listens on."""
    inodes = {fd.readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    sockets = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {s[1].partition(":")[0] for s in sockets if s[3] == "0A" and f"socket:[{s[9]}]" in inodes}


def test_an_outage_of_the_site_reaches_the_gateway_with_the_token_and_so_does_its_end(tmp_path: Path) -> None:
    received: list[tuple[str, str | None, dict[str, Any]]] = []
    beats: list[tuple[str, str | None, dict[str, Any]]] = []

    @Request.application
    def gateway(request: Request) -> Response:
        kept = beats if request.path.endswith("/heartbeat") else received
        kept.append((request.path, request.headers.get("Authorization"), json.loads(request.data)))
        return Response(status=202)

    def received_as(status: str) -> list[tuple[str, str | None, dict[str, Any]]]:
        return [request for request in received if request[2]["status"] == status]

    with ExitStack() as stack:
        site = stack.enter_context(served(create_site()))
        gateway_url = stack.enter_context(served(gateway)) + "/prod"
        commands = render(
            tmp_path,
            gateway_url=gateway_url,
            bearer_tokens=(TOKEN, BEAT_TOKEN),
            site_url=f"{site}/",
            ports={name: free_port() for name in PORTS},
            **AWS,
        )
        pids = [stack.enter_context(running(command)) for command in commands]
        for command in commands:
            eventually(lambda url=command.ready_url: answers(url), f"{command.name} is ready")  # type: ignore[misc]
        assert {address for pid in pids for address in listening_addresses(pid)} == {"0100007F"}, "not only 127.0.0.1"

        requests.put(f"{site}/_sim/site", json={"status": 503}, timeout=5)
        eventually(lambda: bool(received_as("firing")), "the outage reaches the gateway")
        requests.put(f"{site}/_sim/site", json={"status": 200}, timeout=5)
        eventually(lambda: bool(received_as("resolved")), "its end reaches the gateway")
        eventually(lambda: bool(beats), "a heartbeat reaches the gateway")
        prometheus = next(command.ready_url for command in commands if command.name == "prometheus")
        eventually(lambda: health_of_rules(prometheus) == {"ok"}, "no rule fails on what is really measured")

    path, authorization, beat = beats[0]
    assert (path, authorization, beat["status"]) == ("/prod/heartbeat", f"Bearer {BEAT_TOKEN}", "firing")
    path, authorization, group = received_as("firing")[0]
    assert path == "/prod/alerts"
    assert authorization == f"Bearer {TOKEN}"
    assert group["version"] == "4"
    assert group["groupLabels"] == {
        "alertname": "URL Alert(critical)",
        "product": "product-a",
        "severity": "critical",
    }
    [alert] = group["alerts"]
    assert alert["labels"]["instance"] == f"{site}/"
    assert alert["annotations"]["summary"] == f"product-a: {site.removeprefix('http://')} is down"
    assert "the last status was 503" in alert["annotations"]["description"]
    assert received_as("resolved")[0][2]["groupKey"] == group["groupKey"]


def rendered(directory: Path) -> list[Command]:
    return render(
        directory,
        gateway_url="http://127.0.0.1:4/prod/",
        bearer_tokens=(TOKEN, BEAT_TOKEN),
        site_url="http://127.0.0.1:5/",
        ports=PORTS,
        **AWS,
    )


def test_each_token_is_in_one_file_that_nobody_else_can_read(tmp_path: Path) -> None:
    rendered(tmp_path)
    receivers = yaml.safe_load((tmp_path / "alertmanager/alertmanager.yml").read_text())["receivers"]
    for receiver, token in zip(receivers[:2], (TOKEN, BEAT_TOKEN), strict=True):
        [holder] = [file for file in tmp_path.rglob("*") if file.is_file() and token in file.read_text()]
        assert holder.read_text() == token
        assert holder.stat().st_mode & 0o777 == 0o600
        [webhook] = receiver["webhook_configs"]
        assert webhook["http_config"]["authorization"]["credentials_file"] == str(holder)


def test_nothing_but_the_site_is_watched(tmp_path: Path) -> None:
    rendered(tmp_path)
    [targets] = (tmp_path / "prometheus/targets").iterdir()
    assert yaml.safe_load(targets.read_text()) == [
        {"targets": ["http://127.0.0.1:5/"], "labels": {"product": "product-a"}}
    ]
    assert "example.com" not in (tmp_path / "prometheus/prometheus.yml").read_text()


def test_what_an_earlier_run_remembered_is_forgotten(tmp_path: Path) -> None:
    rendered(tmp_path)
    remembered = tmp_path / "alertmanager/data/nflog"
    remembered.parent.mkdir()
    remembered.touch()
    rendered(tmp_path)
    assert not remembered.exists()


@pytest.mark.parametrize(("file", "pattern"), [row[:2] for row in monitoring._REPLACEMENTS])
def test_a_bundled_file_that_lost_what_is_replaced_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, pattern: str
) -> None:
    root = tmp_path / "root"
    for folder in ("prometheus", "alertmanager"):
        shutil.copytree(bundle._ROOT / folder, root / folder)
    lines = (root / file).read_text().splitlines(keepends=True)
    setting = pattern.removeprefix("(?<=").removeprefix(r"\b").partition(")")[0]
    (root / file).write_text("".join(line for line in lines if setting not in line))
    monkeypatch.setattr(bundle, "_ROOT", root)
    with pytest.raises(ValueError, match=Path(file).name):
        rendered(tmp_path / "out")


def test_a_program_is_found_on_path_or_where_it_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = tmp_path / "unpacked/bin/prometheus-alertmanager"
    unpacked.parent.mkdir(parents=True)
    unpacked.touch(mode=0o755)
    monkeypatch.setattr(monitoring, "PROGRAMS", tmp_path / "unpacked")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert program("alertmanager") == unpacked
    with pytest.raises(ProgramMissingError, match="make setup"):
        program("amtool")
    installed = tmp_path / "installed/alertmanager"
    installed.parent.mkdir()
    installed.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert program("alertmanager") == installed
