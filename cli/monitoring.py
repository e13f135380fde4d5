"""Renders the bundled monitoring for a deployed stack: `make monitoring`, or `python -m cli.monitoring --help`.

A folder with everything that Prometheus, Alertmanager and the exporters read, and what starts them: a compose file, units for
systemd, notes for ECS. Nothing secret is written into it; the bearer token is a file that is put beside it.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from cli.errors import CommandError
from cli.target import DEFAULT_STACK, find

ROOT = Path(__file__).parents[1]
JOBS = ("url", "ec2", "opensearch", "elasticsearch")  # what may be left out; the rules have the same names
_FILES = {"opensearch": ("yace.yml",), "url": ("blackbox.yml",)}


def render(out: Path, *, outputs: Mapping[str, str], region: str, jobs: Sequence[str]) -> None:
    """Write the folder, or write it anew: targets that are there already are kept.

    `outputs` are the stack's. Raises CommandError for an unknown job, a mistake in a targets file, a stack without what is
    needed.
    """
    _check(out, outputs, jobs)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(ROOT / name, out / name, dirs_exist_ok=True, ignore=_kept if (out / name).exists() else None)
    for job in set(JOBS) - set(jobs):
        for name in (f"rules/{job}.yml", *_FILES.get(job, ())):
            _remove(out / "prometheus" / name)
    prometheus = out / "prometheus/prometheus.yml"
    blocks = prometheus.read_text().split("\n\n")
    left_out = tuple(f"job_name: {job}\n" for job in set(JOBS) - set(jobs))
    prometheus.write_text("\n\n".join(block for block in blocks if not any(job in f"{block}\n" for job in left_out)))
    for file in (prometheus, out / "prometheus/yace.yml"):
        if file.exists():
            file.write_text(file.read_text().replace("ap-northeast-1", region))
    alertmanager = out / "alertmanager/alertmanager.yml"
    text = alertmanager.read_text()
    for pattern, value in {
        r"(?<=- url: )\S+/alerts": outputs["AlertsUrl"],
        r"(?<=- url: )\S+/heartbeat": outputs["HeartbeatUrl"],
        r"(?<=topic_arn: )\S+": outputs["FallbackTopicArn"],
        r"(?<=region: )\S+": region,
    }.items():
        text = re.sub(pattern, lambda _, value=value: value, text)  # type: ignore[misc]  # mypy infers no default
    alertmanager.write_text(text)
    programs = {name: command for name, command in _PROGRAMS.items() if command.job in (None, *jobs)}
    (out / "compose.yml").write_text(_compose(programs))
    units = out / "systemd"
    _remove(units)
    units.mkdir()
    for name, command in programs.items():
        (units / f"{name}.service").write_text(_unit(name, command))
    (out / "prometheus/README.md").replace(out / "README.md")


def _check(out: Path, outputs: Mapping[str, str], jobs: Sequence[str]) -> None:
    if unknown := [job for job in jobs if job not in JOBS]:
        raise CommandError(f"there is no job {', '.join(unknown)}: choose from {', '.join(JOBS)}")
    if missing := [name for name in ("AlertsUrl", "HeartbeatUrl", "FallbackTopicArn") if name not in outputs]:
        raise CommandError(f"the stack has no output {', '.join(missing)}: deploy it anew first")
    if mistakes := [mistake for folder in _targets(out) for mistake in mistakes_in(folder)]:
        raise CommandError("\n".join(mistakes))


def _targets(out: Path) -> list[Path]:
    """The folders that say what is watched: those of an earlier run, or the bundled examples."""
    there = [out / "prometheus" / name for name in ("targets", "elasticsearch")]
    return [folder if folder.exists() else ROOT / "prometheus" / folder.name for folder in there]


def _kept(folder: str, names: list[str]) -> list[str]:
    """What a second run does not write over: what people have put in."""
    del folder
    return [name for name in names if name in ("targets", "elasticsearch")]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def mistakes_in(folder: Path) -> Iterator[str]:
    """What is wrong in the targets files of a folder, with file and line."""
    seen: dict[str, str] = {}
    for file in sorted(folder.glob("*.yml")):
        try:
            groups = yaml.compose(file.read_text())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            yield f"{file}:{line}: this is not YAML: {error.problem}"
            continue
        if not isinstance(groups, yaml.SequenceNode):
            yield f"{file}:1: a list of groups of targets is expected"
            continue
        for group in groups.value:
            yield from _mistakes_in_group(file, group, seen, urls=folder.name == "targets")


def _mistakes_in_group(file: Path, group: yaml.Node, seen: dict[str, str], *, urls: bool) -> Iterator[str]:
    where = f"{file}:{group.start_mark.line + 1}"
    if not isinstance(group, yaml.MappingNode):
        yield f"{where}: a group has targets and labels"
        return
    parts = {key.value: value for key, value in group.value}
    if unknown := sorted(set(parts) - {"targets", "labels"}):
        yield f"{where}: a group has targets and labels, not {', '.join(unknown)}"
    labels = parts.get("labels")
    named = {key.value: value.value for key, value in labels.value} if isinstance(labels, yaml.MappingNode) else {}
    if not named.get("product"):
        yield f"{where}: the label product is missing, which decides who is called"
    if named.get("severity", "critical") not in ("critical", "warning"):
        yield f"{where}: severity is critical or warning, not {named['severity']}"
    targets = parts.get("targets")
    if not isinstance(targets, yaml.SequenceNode) or not targets.value:
        yield f"{where}: there are no targets"
        return
    for target in targets.value:
        at, value = f"{file}:{target.start_mark.line + 1}", str(target.value)
        if urls and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            yield f"{at}: {value} is no URL (https://…)"
        if value in seen:
            yield f"{at}: {value} is watched already, by {seen[value]}"
        seen[value] = at


class _Program:
    """How one program is started. Paths are those within its container."""

    def __init__(self, image: str, arguments: Sequence[str], *, job: str | None = None, mounts: Sequence[str] = ()):
        self.image = image
        self.arguments = arguments
        self.job = job  # None: always
        self.mounts = mounts


_PROGRAMS = {
    "prometheus": _Program(
        "docker.io/prom/prometheus:v3.5.0",
        (
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/var/lib/prometheus",
            "--storage.tsdb.retention.time=30d",
            # Alertmanager keeps an alert for four times this after Prometheus died, the Watchdog too.
            "--rules.alert.resend-delay=15s",
            "--web.listen-address=127.0.0.1:9090",
        ),
        mounts=("./prometheus:/etc/prometheus:ro", "prometheus:/var/lib/prometheus"),
    ),
    "alertmanager": _Program(
        "docker.io/prom/alertmanager:v0.28.1",
        (
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/var/lib/alertmanager",
            "--web.listen-address=127.0.0.1:9093",
            "--cluster.listen-address=",  # of a pair: an address, and --cluster.peer=
        ),
        mounts=(
            "./alertmanager/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro",
            "./on-call-token:/etc/alertmanager/on-call-token:ro",
            "alertmanager:/var/lib/alertmanager",
        ),
    ),
    "blackbox-exporter": _Program(
        "docker.io/prom/blackbox-exporter:v0.27.0",
        ("--config.file=/etc/prometheus/blackbox.yml", "--web.listen-address=127.0.0.1:9115"),
        job="url",
        mounts=("./prometheus:/etc/prometheus:ro",),
    ),
    "node-exporter": _Program(
        "docker.io/prom/node-exporter:v1.9.1",
        ("--path.rootfs=/host", "--web.listen-address=127.0.0.1:9100"),
        mounts=("/:/host:ro,rslave",),
    ),
    "yace": _Program(
        "quay.io/prometheuscommunity/yet-another-cloudwatch-exporter:v0.62.1",
        ("--config.file=/etc/prometheus/yace.yml", "--scraping-interval=300", "--listen-address=127.0.0.1:5000"),
        job="opensearch",
        mounts=("./prometheus:/etc/prometheus:ro",),
    ),
}


def _compose(programs: Mapping[str, _Program]) -> str:
    services = {
        name: {
            "image": program.image,
            "command": list(program.arguments),
            "network_mode": "host",  # they find each other, and EC2's role, as they would without containers
            "restart": "always",
            "volumes": list(program.mounts),
        }
        for name, program in programs.items()
    }
    volumes: dict[str, None] = {"prometheus": None, "alertmanager": None}
    return "# docker compose up -d\n" + yaml.safe_dump(
        {"services": services, "volumes": volumes}, sort_keys=False, width=200
    )


def _unit(name: str, program: _Program) -> str:
    arguments = [argument for argument in program.arguments if argument != "--path.rootfs=/host"]
    command = " \\\n  ".join([f"/usr/local/bin/{name.replace('-', '_')}", *arguments])
    return f"""[Unit]
Description={name} of the on-call monitoring
After=network-online.target
Wants=network-online.target

[Service]
User={"prometheus" if name != "alertmanager" else "alertmanager"}
StateDirectory={name if name in ("prometheus", "alertmanager") else "prometheus"}
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes

[Install]
WantedBy=multi-user.target
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Ends with 1 and a message when it cannot be rendered."""
    parser = argparse.ArgumentParser(prog="python -m cli.monitoring", description=__doc__)
    parser.add_argument("--stack-name", default=DEFAULT_STACK)
    parser.add_argument("--region")
    parser.add_argument("--profile")
    parser.add_argument("--endpoint-url")
    parser.add_argument("--out", type=Path, default=Path("monitoring"))
    parser.add_argument("--jobs", nargs="*", default=["url"], help=f"what is watched: {', '.join(JOBS)}")
    options = parser.parse_args(arguments)
    try:
        target = find(
            stack_name=options.stack_name,
            region=options.region,
            profile=options.profile,
            endpoint_url=options.endpoint_url,
        )
        region = str(target.client("cloudformation").meta.region_name)
        render(options.out, outputs=target.stack().outputs, region=region, jobs=options.jobs)
    except CommandError as error:
        print(f"monitoring: {error}", file=sys.stderr)  # noqa: T201 - a command's message
        raise SystemExit(1) from None
    print(f"{options.out}/README.md says how to start it.")  # noqa: T201


if __name__ == "__main__":
    main()
