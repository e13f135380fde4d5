"""The real Prometheus, blackbox exporter and Alertmanager, with the bundled configuration made fast and local."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from oncall_cli.monitoring import write_configuration

_ROOT = Path(__file__).parents[2]
PROGRAMS = _ROOT / ".devstack" / "programs" / "usr"  # where `make setup` unpacks Debian's packages
_PRODUCT = "product-a"  # of roster.yaml: whose URL the site to break is

# Debian's name of a program, and upstream's.
_NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "blackbox_exporter": ("prometheus-blackbox-exporter", "blackbox_exporter"),
    "chromium": ("chromium",),
}

# Time runs this many times faster: in how long an alert waits, and in how far back it looks. At least three and ten
# seconds, since Prometheus looks once a second, and a busy machine later. Thus the webhook comes 6 seconds after an outage.
_FASTER = 100
_LEAST = {"for": 3, "range": 10}  # seconds
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# All else that differs from the configuration of a deployed stack, the targets apart: (file, what is replaced, by what).
# Everything that matches is replaced; something must. {names} are render()'s.
_REPLACEMENTS = (
    ("prometheus/prometheus.yml", r"(?<=scrape_interval: )\S+", "1s"),
    ("prometheus/prometheus.yml", r"(?<=scrape_timeout: )\S+", "1s"),
    ("prometheus/prometheus.yml", r"(?<=evaluation_interval: )\S+", "1s"),
    ("prometheus/prometheus.yml", r"localhost:9090", "{prometheus}"),
    ("prometheus/prometheus.yml", r"localhost:9093", "{alertmanager}"),
    ("prometheus/prometheus.yml", r"localhost:9115", "{blackbox_exporter}"),
    ("alertmanager/alertmanager.yml", r"(?<=group_wait: )10s", "1s"),
    ("alertmanager/alertmanager.yml", r"(?<=group_interval: )5m", "5s"),
    ("alertmanager/alertmanager.yml", r"(?<=repeat_interval: )30m", "20s"),
    ("alertmanager/alertmanager.yml", r"(?<=group_interval: )1m", "5s"),  # the heartbeat's
    ("alertmanager/alertmanager.yml", r"(?<=repeat_interval: )50s", "4s"),
    ("alertmanager/alertmanager.yml", r"(?<=topic_arn: )\S+", "{topic}\n        api_url: {aws}"),
    (
        "alertmanager/alertmanager.yml",
        r"(?<=\bregion: )\S+",
        "{region}\n          access_key: test\n          secret_key: test",
    ),
    ("alertmanager/alertmanager.yml", r"(?<=credentials_file: )/etc/alertmanager", "{secrets}"),
)

# What is scraped beside the jobs that are asked for. node_exporter does not run here, and would be told of as gone.
_NOT_HERE = ("node",)


class ProgramMissingError(Exception):
    """A program is not on this machine."""


@dataclass(frozen=True)
class Command:
    """A program to start, and the URL that answers 200 once it is ready."""

    name: str
    argv: tuple[str, ...]
    ready_url: str


def program(name: str) -> Path:
    """Where `name` (prometheus, promtool, alertmanager, amtool, blackbox_exporter, chromium) is: on PATH, or else unpacked here.

    Raises ProgramMissingError if it is in neither place.
    """
    for path in (os.environ.get("PATH", os.defpath), str(PROGRAMS / "bin")):
        for candidate in _NAMES[name]:
            if found := shutil.which(candidate, path=path):
                return Path(found)
    raise ProgramMissingError(f"{name} is neither on PATH nor in {PROGRAMS / 'bin'}: run `make setup`")


def render(
    directory: Path,
    *,
    gateway_url: str,
    bearer_tokens: tuple[str, str],
    site_url: str,
    ports: Mapping[str, int],
    aws_url: str,
    region: str,
    topic: str,
    jobs: Sequence[str] = ("url",),
) -> list[Command]:
    """Write the configuration of a deployed stack, with short durations and local addresses, below `directory`.

    `gateway_url` ends with the stage; `bearer_tokens` are those of alerts and of heartbeats;
    `ports` holds prometheus, alertmanager and blackbox_exporter, exporters for more `jobs`
    than url (devstack.exporters), and for a pair of Alertmanagers alertmanager_2, gossip and gossip_2; `topic` is the ARN of the
    fallback topic, which is published to at `aws_url`, where the job ec2 finds its instances, too. Data of an earlier
    run in `directory` goes: Alertmanager remembers what it has told, and would not tell it again at once.

    Raises ValueError if a bundled file no longer holds what is to be replaced, ProgramMissingError for a program.
    """
    directory = directory.absolute()
    prometheus, alertmanager = directory / "prometheus", directory / "alertmanager"
    token_files = (alertmanager / "on-call-token", alertmanager / "heartbeat-token")
    for folder in (prometheus, alertmanager):
        if folder.exists():
            shutil.rmtree(folder)
    stage = gateway_url.rstrip("/")
    outputs = {"AlertsUrl": f"{stage}/alerts", "HeartbeatUrl": f"{stage}/heartbeat", "FallbackTopicArn": topic}
    write_configuration(directory, outputs=outputs, region=region, jobs=jobs)
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    values = addresses | {
        "aws": json.dumps(aws_url),
        "region": region,
        "topic": json.dumps(topic),
        "secrets": str(alertmanager),
    }
    for name, pattern, replacement in _REPLACEMENTS:
        _replace(directory / name, pattern, replacement.format_map(values))
    for rules in (prometheus / "rules").iterdir():
        rules.write_text(_faster(rules.read_text()))
    bundled = prometheus / "prometheus.yml"
    configuration = yaml.safe_load(bundled.read_text())
    configuration["scrape_configs"] = [
        _here(job, values, aws_url) for job in configuration["scrape_configs"] if job["job_name"] not in _NOT_HERE
    ]
    if "alertmanager_2" in addresses:
        [told] = configuration["alerting"]["alertmanagers"]
        [scraped] = [job for job in configuration["scrape_configs"] if job["job_name"] == "alertmanager"]
        for found in (told, scraped):
            found["static_configs"][0]["targets"].append(addresses["alertmanager_2"])
    bundled.write_text(yaml.safe_dump(configuration, sort_keys=False))

    for watched, address in {"targets": site_url, "elasticsearch": addresses.get("exporters")}.items():
        shutil.rmtree(prometheus / watched)
        (prometheus / watched).mkdir()
        if address:
            targets = [{"targets": [address], "labels": {"product": _PRODUCT}}]
            (prometheus / watched / "site.yml").write_text(json.dumps(targets))  # JSON is YAML
    for file, token in zip(token_files, bearer_tokens, strict=True):
        _write_secret(file, token)
    return _commands(prometheus, alertmanager, addresses)


def _faster(rules: str) -> str:
    """Rules that wait, and look back, a hundredth as long."""

    def shorten(match: re.Match[str], what: str) -> str:
        seconds = int(match[1]) * _UNITS[match[2]] / _FASTER
        return f"{max(_LEAST[what], round(seconds))}s"

    rules = re.sub(r"(?<=\bfor: )(\d+)([smhd])$", lambda match: shorten(match, "for"), rules, flags=re.MULTILINE)
    return re.sub(r"(?<=\[)(\d+)([smhd])(?=\])", lambda match: shorten(match, "range"), rules)


def _here(job: Mapping[str, Any], values: Mapping[str, str], aws_url: str) -> dict[str, Any]:
    """A job whose targets this machine has: instances of the devstack's EC2, and exporters that the devstack serves."""
    name = job["job_name"]
    if name == "ec2":
        [found] = job["ec2_sd_configs"]
        found = {**found, "endpoint": aws_url, "access_key": "test", "secret_key": "test", "refresh_interval": "1s"}
        served = [  # an instance's address is Amazon's: what would be asked there is asked here
            {"target_label": "__address__", "replacement": values["exporters"]},
            {
                "source_labels": ["__meta_ec2_instance_id"],
                "target_label": "__metrics_path__",
                "replacement": "/ec2/$1",
            },
        ]
        return {**job, "ec2_sd_configs": [found], "relabel_configs": [*job["relabel_configs"], *served]}
    if name == "opensearch":
        return {**job, "metrics_path": "/opensearch", "static_configs": [{"targets": [values["exporters"]]}]}
    if name == "elasticsearch":
        return {**job, "metrics_path": "/elasticsearch"}
    return dict(job)


def _replace(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, lambda _: replacement, file.read_text())
    if not count:
        raise ValueError(f"{file} has nothing that matches {pattern!r}: adapt the replacements in {__file__}")
    file.write_text(text)


def _write_secret(file: Path, secret: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123 - of a descriptor
        out.write(secret)


def _commands(prometheus: Path, alertmanager: Path, addresses: Mapping[str, str]) -> list[Command]:
    at_prometheus, at_blackbox = addresses["prometheus"], addresses["blackbox_exporter"]
    pair = "alertmanager_2" in addresses
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
        _alertmanager(alertmanager, addresses, "", "_2" if pair else None),
        *([_alertmanager(alertmanager, addresses, "_2", "")] if pair else []),
        Command(
            "prometheus",
            (
                str(program("prometheus")),
                f"--config.file={prometheus / 'prometheus.yml'}",
                f"--storage.tsdb.path={prometheus / 'data'}",
                f"--web.listen-address={at_prometheus}",
                f"--web.external-url=http://{at_prometheus}",
                "--rules.alert.resend-delay=15s",  # as in a deployed stack
                "--log.level=warn",
            ),
            f"http://{at_prometheus}/-/ready",
        ),
    ]


def _alertmanager(folder: Path, addresses: Mapping[str, str], which: str, peer: str | None) -> Command:
    """One Alertmanager, alone or one of a pair: `which` and `peer` are the ends of their names."""
    address = addresses[f"alertmanager{which}"]
    alone = ("--cluster.listen-address=",)  # one process: no gossip port
    paired = (
        f"--cluster.listen-address={addresses.get(f'gossip{which}')}",
        f"--cluster.peer={addresses.get(f'gossip{peer}')}",
    )
    return Command(
        f"alertmanager{which}",
        (
            str(program("alertmanager")),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / f'data{which}'}",
            f"--web.listen-address={address}",
            f"--web.external-url=http://{address}",
            *(alone if peer is None else paired),
            "--log.level=warn",
        ),
        f"http://{address}/-/ready",
    )
