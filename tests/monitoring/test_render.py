"""`oncall monitoring`: the folder for a deployed stack is one that the programs accept, with nothing secret in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devstack.system.monitoring import program
from oncall_cli.errors import CommandError
from oncall_cli.monitoring import JOBS, render
from oncall_cli.targets_check import mistakes_in

ROOT = Path(__file__).parents[2]
OUTPUTS = {
    "AlertsUrl": "https://abc.execute-api.eu-central-1.amazonaws.com/live/alerts",
    "HeartbeatUrl": "https://abc.execute-api.eu-central-1.amazonaws.com/live/heartbeat",
    "FallbackTopicArn": "arn:aws:sns:eu-central-1:123456789012:on-call-FallbackTopic-X",
}


def rendered(out: Path, *jobs: str) -> Path:
    render(out, outputs=OUTPUTS, region="eu-central-1", jobs=jobs)
    return out


def accepted(*command: str | Path) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("jobs", [(), ("url",), ("url", "ec2"), JOBS], ids=" ".join)
def test_the_programs_accept_it_and_watch_what_was_asked_for(tmp_path: Path, jobs: tuple[str, ...]) -> None:
    out = rendered(tmp_path / "out", *jobs)
    accepted(program("promtool"), "check", "config", out / "prometheus/prometheus.yml")
    accepted(program("amtool"), "check-config", out / "alertmanager/alertmanager.yml")
    configuration = yaml.safe_load((out / "prometheus/prometheus.yml").read_text())
    watched = {job["job_name"] for job in configuration["scrape_configs"]}
    assert watched & set(JOBS) == set(jobs)
    assert {"prometheus", "alertmanager", "node"} <= watched
    assert {file.stem for file in (out / "prometheus/rules").iterdir()} == {"monitoring", *jobs}


def test_it_points_to_the_stack_and_to_nothing_else(tmp_path: Path) -> None:
    out = rendered(tmp_path / "out", *JOBS)
    alertmanager = (out / "alertmanager/alertmanager.yml").read_text()
    for value in OUTPUTS.values():
        assert value in alertmanager
    text = "".join(file.read_text() for file in out.rglob("*.yml"))
    assert "ap-northeast-1" not in "".join(line.partition("#")[0] for line in text.splitlines())
    assert "example.execute-api" not in text


def test_with_a_standby_all_is_posted_to_both(tmp_path: Path) -> None:
    render(tmp_path / "out", outputs=OUTPUTS, region="eu-central-1", jobs=JOBS, standby="https://def.example.com/live")
    file = tmp_path / "out/alertmanager/alertmanager.yml"
    accepted(program("amtool"), "check-config", file)
    for receiver in yaml.safe_load(file.read_text())["receivers"]:
        posted = receiver.get("webhook_configs", [])
        word = {"on-call": "alerts", "heartbeat": "heartbeat"}.get(receiver["name"])
        addresses = [
            f"{base}/{word}" for base in (OUTPUTS["AlertsUrl"].removesuffix("/alerts"), "https://def.example.com/live")
        ]
        assert [one["url"] for one in posted] == (addresses if word else [])
        assert len({str({**one, "url": ""}) for one in posted}) <= 1, "nothing but the address differs"


def test_whatever_starts_it_reads_files_that_are_there(tmp_path: Path) -> None:
    out = rendered(tmp_path / "out", *JOBS)
    compose = yaml.safe_load((out / "compose.yml").read_text())
    mounted = {volume.split(":")[0] for service in compose["services"].values() for volume in service["volumes"]}
    for path in mounted:
        if path.startswith("./") and path not in ("./on-call-token", "./heartbeat-token"):
            assert (out / path).exists(), path
    assert {file.stem for file in (out / "systemd").iterdir()} == compose["services"].keys()
    for unit in (out / "systemd").iterdir():
        assert "ExecStart=/usr/local/bin/" in unit.read_text()


def test_prometheus_and_alertmanager_know_their_arguments(tmp_path: Path) -> None:
    """Of Debian's versions, as of the newest: an unknown argument ends a program at once."""
    out = rendered(tmp_path / "out", "url")
    for name in ("prometheus", "alertmanager"):
        command = yaml.safe_load((out / "compose.yml").read_text())["services"][name]["command"]
        done = subprocess.run([program(name), *command, "--help"], capture_output=True, text=True, check=False)  # noqa: S603
        assert "unknown" not in done.stderr


def test_rendered_again_it_keeps_the_targets_and_renews_the_rest(tmp_path: Path) -> None:
    out = rendered(tmp_path / "out", "url")
    shutil.rmtree(out / "prometheus/targets")
    (out / "prometheus/targets").mkdir()
    own = out / "prometheus/targets/shop.yml"
    own.write_text("- targets: [https://shop.example.com/]\n  labels: {product: shop}\n")
    (out / "prometheus/rules/url.yml").write_text("broken")
    rendered(out, "ec2")
    rendered(out, "url", "ec2")
    assert [own] == list((out / "prometheus/targets").iterdir())
    accepted(program("promtool"), "check", "config", out / "prometheus/prometheus.yml")
    assert (out / "prometheus/rules/ec2.yml").exists()


MISTAKES = {
    "- targets: [https://a.example.com/\n": "2: this is not YAML",
    "targets: [https://a.example.com/]\n": "1: a list of groups",
    "- targets: [https://a.example.com/]\n": "1: the label product is missing",
    "- targets:\n    - https://a.example.com/\n    - a.example.com\n  labels: {product: a}\n": "3: a.example.com is no URL",
    "- labels: {product: a}\n": "1: there are no targets",
    "- target: [https://a.example.com/]\n  labels: {product: a}\n": "1: a group has targets and labels, not target",
    "- targets: [https://a.example.com/]\n  labels: {product: a, severity: high}\n": "2: severity is critical or warning",
    "- targets: [https://a.example.com/]\n  labels: {product: [a]}\n": "2: the label product is one word",
    "- targets: ['https://a.example.com:80a/']\n  labels: {product: a}\n": "1: https://a.example.com:80a/ is no URL",
    "- targets:\n    - https://a.example.com/\n    - https://a.example.com/\n  labels: {product: a}\n": "3: https://a",
}


@pytest.mark.parametrize("written", MISTAKES)
def test_a_mistake_in_a_targets_file_is_named_with_file_and_line(tmp_path: Path, written: str) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "a.yml").write_text(written)
    [*mistakes] = mistakes_in(folder)
    assert mistakes[0].startswith(f"{folder / 'a.yml'}:{MISTAKES[written]}")


def test_a_file_that_prometheus_would_not_read_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("- targets: [https://a.example.com/]\n  labels: {product: a}\n")
    (tmp_path / "README.md").write_text("Ours.")
    assert [*mistakes_in(tmp_path)] == [f"{tmp_path / 'shop.yaml'}:1: Prometheus reads *.yml here: rename it"]


def test_the_command_checks_a_folder_by_itself(tmp_path: Path) -> None:
    def checks() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - this project's own command
            [sys.executable, "-m", "oncall_cli", "monitoring", "check", tmp_path / "out"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert (checks().returncode, checks().stdout) == (1, "")
    rendered(tmp_path / "out", "url")
    assert (checks().returncode, checks().stdout) == (0, f"{tmp_path / 'out'}: 3 targets files, no mistake.\n")
    broken = tmp_path / "out/prometheus/targets/b.yml"
    broken.write_text("- targets: [https://b.example.com/]\n  labels: {product: b, severity: urgent}\n")
    done = checks()
    assert (done.returncode, done.stderr) == (1, f"oncall: {broken}:2: severity is critical or warning, not urgent\n")


def test_a_mistake_ends_it_before_anything_is_written(tmp_path: Path) -> None:
    out = rendered(tmp_path / "out", "url")
    (out / "prometheus/targets/b.yml").write_text("- targets: [b]\n")
    (out / "README.md").unlink()
    with pytest.raises(CommandError, match=r"b\.yml:1"):
        rendered(out, "url")
    assert not (out / "README.md").exists()


def test_an_unknown_job_and_an_old_stack_are_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="choose from url, ec2"):
        render(tmp_path / "out", outputs=OUTPUTS, region="eu-central-1", jobs=["urls"])
    with pytest.raises(CommandError, match="HeartbeatUrl"):
        render(tmp_path / "out", outputs={"AlertsUrl": "x"}, region="eu-central-1", jobs=[])
