"""The real Prometheus, blackbox exporter and Alertmanager, with the bundled configuration made fast and local."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_ROOT = Path(__file__).parents[1]
_PROGRAMS = _ROOT / ".devstack" / "programs" / "usr"  # where `make programs` unpacks Debian's packages
_PRODUCT = "product-a"  # of roster.yaml: whose URL the site to break is

# Debian's name of a program, and upstream's.
_NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "blackbox_exporter": ("prometheus-blackbox-exporter", "blackbox_exporter"),
}

# All that differs from the bundled files, the targets apart: (file, what is replaced, by what). Everything that matches
# is replaced; something must. {names} are render()'s. Thus the webhook comes 6 seconds after an outage, not 5 minutes.
_REPLACEMENTS = (
    ("prometheus/prometheus.yml", r"(?<=scrape_interval: )\S+", "1s"),
    ("prometheus/prometheus.yml", r"(?<=scrape_timeout: )\S+", "1s"),
    ("prometheus/prometheus.yml", r"(?<=evaluation_interval: )\S+", "1s"),
    ("prometheus/prometheus.yml", r"localhost:9090", "{prometheus}"),
    ("prometheus/prometheus.yml", r"localhost:9093", "{alertmanager}"),
    ("prometheus/prometheus.yml", r"localhost:9115", "{blackbox_exporter}"),
    ("prometheus/rules/url.yml", r"(?<=\bfor: )\S+", "3s"),
    ("alertmanager/alertmanager.yml", r"(?<=group_wait: )\S+", "1s"),
    ("alertmanager/alertmanager.yml", r"(?<=group_interval: )\S+", "5s"),
    ("alertmanager/alertmanager.yml", r"(?<=repeat_interval: )\S+", "20s"),
    ("alertmanager/alertmanager.yml", r"(?<=- url: )\S+/alerts", "{alerts}"),
    ("alertmanager/alertmanager.yml", r"(?<=- url: )\S+/heartbeat", "{heartbeat}"),
    ("alertmanager/alertmanager.yml", r"(?<=topic_arn: )\S+", "{topic}\n        api_url: {aws}"),
    (
        "alertmanager/alertmanager.yml",
        r"(?<=\bregion: )\S+",
        "{region}\n          access_key: test\n          secret_key: test",
    ),
    ("alertmanager/alertmanager.yml", r"(?<=credentials_file: )\S+", "{token_file}"),
)

# What is scraped here. The other jobs' exporters do not run, and would be told of as gone.
_JOBS = ("url", "prometheus", "alertmanager", "blackbox")


class ProgramMissingError(Exception):
    """A monitoring program is not on this machine."""


@dataclass(frozen=True)
class Command:
    """A program to start, and the URL that answers 200 once it is ready."""

    name: str
    argv: tuple[str, ...]
    ready_url: str


def program(name: str) -> Path:
    """Where `name` (prometheus, promtool, alertmanager, amtool, blackbox_exporter) is: on PATH, or else unpacked here.

    Raises ProgramMissingError if it is in neither place.
    """
    for path in (os.environ.get("PATH", os.defpath), str(_PROGRAMS / "bin")):
        for candidate in _NAMES[name]:
            if found := shutil.which(candidate, path=path):
                return Path(found)
    raise ProgramMissingError(f"{name} is neither on PATH nor in {_PROGRAMS / 'bin'}: run `make programs`")


def render(
    directory: Path,
    *,
    gateway_url: str,
    bearer_token: str,
    site_url: str,
    ports: Mapping[str, int],
    aws_url: str,
    region: str,
    topic: str,
) -> list[Command]:
    """Write the bundled configuration, with short durations and local addresses, below `directory`.

    `gateway_url` ends with the stage; `ports` holds prometheus, alertmanager and blackbox_exporter; `topic` is the ARN of
    the fallback topic, which is published to at `aws_url`. Data of an earlier
    run in `directory` goes: Alertmanager remembers what it has told, and would not tell it again at once.

    Raises ValueError if a bundled file no longer holds what is to be replaced, ProgramMissingError for a program.
    """
    prometheus, alertmanager = directory.absolute() / "prometheus", directory.absolute() / "alertmanager"
    token_file = alertmanager / "on-call-token"
    for folder in (prometheus, alertmanager):
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(_ROOT / folder.name, folder, ignore=shutil.ignore_patterns("targets"))
    values = {name: f"127.0.0.1:{port}" for name, port in ports.items()} | {
        "alerts": json.dumps(f"{gateway_url.rstrip('/')}/alerts"),
        "heartbeat": json.dumps(f"{gateway_url.rstrip('/')}/heartbeat"),
        "aws": json.dumps(aws_url),
        "region": region,
        "topic": json.dumps(topic),
        "token_file": json.dumps(str(token_file)),
    }
    for file, pattern, replacement in _REPLACEMENTS:
        _replace(directory / file, pattern, replacement.format_map(values))
    configuration = yaml.safe_load((prometheus / "prometheus.yml").read_text())
    configuration["scrape_configs"] = [job for job in configuration["scrape_configs"] if job["job_name"] in _JOBS]
    (prometheus / "prometheus.yml").write_text(yaml.safe_dump(configuration, sort_keys=False))

    (prometheus / "targets").mkdir()
    targets = [{"targets": [site_url], "labels": {"product": _PRODUCT}}]
    (prometheus / "targets" / "site.yml").write_text(json.dumps(targets))  # JSON is YAML
    _write_secret(token_file, bearer_token)
    return _commands(prometheus, alertmanager, {name: f"127.0.0.1:{port}" for name, port in ports.items()})


def _replace(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, lambda _: replacement, file.read_text())
    if not count:
        raise ValueError(f"{file} has nothing that matches {pattern!r}: adapt the replacements in {__file__}")
    file.write_text(text)


def _write_secret(file: Path, secret: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123 - of a descriptor
        out.write(secret)


def _commands(prometheus: Path, alertmanager: Path, addresses: Mapping[str, str]) -> list[Command]:
    prometheus_program, alertmanager_program = program("prometheus"), program("alertmanager")
    at_prometheus, at_alertmanager = addresses["prometheus"], addresses["alertmanager"]
    at_blackbox = addresses["blackbox_exporter"]
    return [
        Command(
            "blackbox_exporter",
            (
                str(program("blackbox_exporter")),
                f"--config.file={prometheus / 'blackbox.yml'}",
                f"--web.listen-address={at_blackbox}",
                "--timeout-offset=0.1",  # of a scrape_timeout of 1 s
                "--log.level=warn",
            ),
            f"http://{at_blackbox}/-/healthy",
        ),
        Command(
            "alertmanager",
            (
                str(alertmanager_program),
                f"--config.file={alertmanager / 'alertmanager.yml'}",
                f"--storage.path={alertmanager / 'data'}",
                f"--web.listen-address={at_alertmanager}",
                f"--web.external-url=http://{at_alertmanager}",
                "--cluster.listen-address=",  # one process: no gossip port
                "--log.level=warn",
                *_unpacked(alertmanager_program, "--web.ui-path", "prometheus/alertmanager/ui"),
            ),
            f"http://{at_alertmanager}/-/ready",
        ),
        Command(
            "prometheus",
            (
                str(prometheus_program),
                f"--config.file={prometheus / 'prometheus.yml'}",
                f"--storage.tsdb.path={prometheus / 'data'}",
                f"--web.listen-address={at_prometheus}",
                f"--web.external-url=http://{at_prometheus}",
                "--log.level=warn",
                *_unpacked(prometheus_program, "--web.local-assets", "prometheus/web"),
            ),
            f"http://{at_prometheus}/-/ready",
        ),
    ]


def _unpacked(found: Path, option: str, assets: str) -> tuple[str, ...]:
    """The option that tells one of Debian's programs, unpacked rather than installed, where its pages are."""
    return (f"{option}={_PROGRAMS / 'share' / assets}",) if found.is_relative_to(_PROGRAMS) else ()
