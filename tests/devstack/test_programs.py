"""The programs that `make setup` unpacks run from wherever they lie."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from devstack.shared.serve import TETHER, free_port
from devstack.system.monitoring import program

_ROOT = Path(__file__).parents[2]
_COMPILED_IN = {b"/proc/self/fd/8//////": b"/usr/share/prometheus", b"/proc/self/fd/9": b"/etc/prometheus"}


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not within 20 seconds: {what}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Where an earlier `make setup` unpacked Alertmanager as Debian has it; of all else, something that is called so."""
    target = tmp_path / "a folder" / "programs"
    for folder in ("usr/bin", "usr/share/prometheus", "etc/prometheus"):
        (target / folder).mkdir(parents=True)
    for name in ("prometheus", "promtool", "amtool", "prometheus-blackbox-exporter", "chromium"):
        (target / "usr/bin" / name).write_text("#!/bin/sh\n")
        (target / "usr/bin" / name).chmod(0o755)
    found = program("alertmanager")
    usr = found.parents[1]
    real = usr / "lib/prometheus" / found.name
    text = (real if real.exists() else found).read_bytes()
    for ours, theirs in _COMPILED_IN.items():
        text = text.replace(ours, theirs)
    (target / "usr/bin/prometheus-alertmanager").write_bytes(text)
    (target / "usr/bin/prometheus-alertmanager").chmod(0o755)
    shutil.copytree(usr / "share/prometheus/alertmanager", target / "usr/share/prometheus/alertmanager")
    return target


def test_alertmanager_of_an_earlier_copy_is_mended_and_finds_its_templates_and_pages(
    earlier: Path, tmp_path: Path
) -> None:
    subprocess.run([_ROOT / ".ci/programs", "monitoring", earlier], check=True, cwd="/")  # noqa: S603 - our own script
    configuration = tmp_path / "alertmanager.yml"
    configuration.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    argv = [
        str(earlier / "usr/bin/prometheus-alertmanager"),
        f"--config.file={configuration}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with subprocess.Popen([*TETHER, *argv], cwd="/") as process:  # noqa: S603 - our own program
        try:
            eventually(lambda: process.poll() is None and answers(f"{url}/-/ready"), "Alertmanager is ready")
            opened = {each.resolve() for each in Path(f"/proc/{process.pid}/fd").iterdir()}
            assert earlier / "usr/share/prometheus" in opened
            assert "<title>Alertmanager</title>" in requests.get(f"{url}/", timeout=5).text
        finally:
            process.terminate()

    (earlier / "usr/share/prometheus/alertmanager/default.tmpl").unlink()  # it reads this one, not that of the machine
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)  # noqa: S603
    assert ended.returncode == 1
    assert "default.tmpl: no such file" in ended.stderr


def test_what_is_whole_is_left_as_it_is(earlier: Path) -> None:
    subprocess.run([_ROOT / ".ci/programs", "monitoring", earlier], check=True)  # noqa: S603 - our own script
    before = {file: file.stat().st_mtime_ns for file in earlier.rglob("*") if file.is_file()}
    subprocess.run([_ROOT / ".ci/programs", "monitoring", earlier], check=True)  # noqa: S603
    assert {file: file.stat().st_mtime_ns for file in earlier.rglob("*") if file.is_file()} == before
