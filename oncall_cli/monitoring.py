"""Renders the bundled monitoring for a deployed stack: `oncall monitoring render`.

A folder with everything that Prometheus, Alertmanager and the exporters read, and what starts them: a compose file, units for
systemd, notes for ECS. Nothing secret is written into it; the bearer tokens are files that are put beside it.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from oncall_cli.errors import CommandError
from oncall_cli.output import counted, print_json, say
from oncall_cli.target import Target
from oncall_cli.targets_check import mistakes_in

# The bundle: of this checkout, or what the installed package took along.
_ROOT = Path(__file__).parents[1]
if not (_ROOT / "prometheus").is_dir():
    _ROOT /= "oncall_bundle"
JOBS = ("url", "ec2", "opensearch", "elasticsearch")  # what may be left out; the rules have the same names
_TARGETS = ("targets", "elasticsearch")  # folders that people write to
_FILES = {"opensearch": ("yace.yml",), "url": ("blackbox.yml",)}
_SCRAPED = {"url": ("url", "certificate", "blackbox")}  # by the job, where it is more than one


def render_for(target: Target, out: Path, jobs: str, standby: str) -> None:
    """Render the folder for the target's stack; `jobs` are separated by spaces or commas, `standby` may be empty."""
    region = str(target.client("cloudformation").meta.region_name)
    outputs, wanted = target.stack().outputs, jobs.replace(",", " ").split()
    render(out, outputs=outputs, region=region, jobs=wanted, standby=standby.rstrip("/"))
    say(f"{out}/README.md says how to start it.")


def check(out: Path, *, as_json: bool = False) -> None:
    """Check the targets files of a rendered folder. Raises CommandError with file and line of each mistake."""
    folders = [out / "prometheus" / name for name in _TARGETS]
    if not any(folder.is_dir() for folder in folders):
        raise CommandError(f"{out} has no targets: render it first (oncall monitoring render)")
    _check_targets([folder for folder in folders if folder.is_dir()])
    files = sum(1 for folder in folders if folder.is_dir() for _ in folder.glob("*.yml"))
    if as_json:
        print_json({"folder": str(out), "files": files, "mistakes": []})
    else:
        say(f"{out}: {counted(files, 'targets file')}, no mistake.")


def render(out: Path, *, outputs: Mapping[str, str], region: str, jobs: Sequence[str], standby: str = "") -> None:
    """Write the folder, or write it anew: targets that are there already are kept.

    `outputs` are the stack's, `standby` is the address of its standby's gateway with the stage. Raises CommandError for an
    unknown job, a mistake in a targets file, a stack without what is needed.
    """
    write_configuration(out, outputs=outputs, region=region, jobs=jobs, standby=standby)
    programs = {name: command for name, command in _PROGRAMS.items() if command.job in (None, *jobs)}
    (out / "compose.yml").write_text(_compose(programs))
    units = out / "systemd"
    _remove(units)
    units.mkdir()
    for name, command in programs.items():
        (units / f"{name}.service").write_text(_unit(name, command))
    (out / "prometheus/README.md").replace(out / "README.md")


def write_configuration(
    out: Path, *, outputs: Mapping[str, str], region: str, jobs: Sequence[str], standby: str = ""
) -> None:
    """What the programs read: the folders prometheus and alertmanager. Raises as `render` does."""
    _check(out, outputs, jobs)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(_ROOT / name, out / name, dirs_exist_ok=True, ignore=_kept if (out / name).exists() else None)
    for job in set(JOBS) - set(jobs):
        for name in (f"rules/{job}.yml", *_FILES.get(job, ())):
            _remove(out / "prometheus" / name)
    prometheus = out / "prometheus/prometheus.yml"
    blocks = prometheus.read_text().split("\n\n")
    left_out = [f"job_name: {name}\n" for job in set(JOBS) - set(jobs) for name in _SCRAPED.get(job, (job,))]
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
    alertmanager.write_text(_to_both(text, standby) if standby else text)


def _to_both(text: str, standby: str) -> str:
    """Each webhook once more, for the standby. Alertmanager sends and retries each for itself."""

    def twice(webhook: re.Match[str]) -> str:
        again = re.sub(r"(?m)^ *#.*\n", "", webhook[0])
        return f"{webhook[0]}      # The same to the standby.\n{again.replace(webhook[1], standby)}"

    return re.sub(r"(?m)^      - url: (\S+)/(?:alerts|heartbeat)\n(?:.+\n)+", twice, text)


def _check(out: Path, outputs: Mapping[str, str], jobs: Sequence[str]) -> None:
    if unknown := [job for job in jobs if job not in JOBS]:
        raise CommandError(f"there is no job {', '.join(unknown)}: choose from {', '.join(JOBS)}")
    if missing := [name for name in ("AlertsUrl", "HeartbeatUrl", "FallbackTopicArn") if name not in outputs]:
        raise CommandError(f"the stack has no output {', '.join(missing)}: deploy it anew first")
    # Those of an earlier run, or the bundled examples.
    there = [out / "prometheus" / name for name in _TARGETS]
    _check_targets([folder if folder.exists() else _ROOT / "prometheus" / folder.name for folder in there])


def _check_targets(folders: Sequence[Path]) -> None:
    if mistakes := [mistake for folder in folders for mistake in mistakes_in(folder)]:
        raise CommandError("\n".join(mistakes))


def _kept(folder: str, names: list[str]) -> list[str]:
    """What a second run does not write over: what people have put in."""
    del folder
    return [name for name in names if name in _TARGETS]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Program:
    """How one program is started. Paths are those within its container."""

    def __init__(self, image: str, arguments: Sequence[str], *, job: str | None = None, mounts: Sequence[str] = ()):
        self.image = image
        self.arguments = arguments
        self.job = job  # None: always
        self.mounts = mounts


_PROGRAMS = {
    "prometheus": _Program(
        "docker.io/prom/prometheus:v3.5.3",
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
        "docker.io/prom/alertmanager:v0.33.1",
        (
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/var/lib/alertmanager",
            "--web.listen-address=127.0.0.1:9093",
            "--cluster.listen-address=",  # of a pair: an address, and --cluster.peer=
        ),
        mounts=(
            "./alertmanager/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro",
            "./on-call-token:/etc/alertmanager/on-call-token:ro",
            "./heartbeat-token:/etc/alertmanager/heartbeat-token:ro",
            "alertmanager:/var/lib/alertmanager",
        ),
    ),
    "blackbox-exporter": _Program(
        "docker.io/prom/blackbox-exporter:v0.28.0",
        ("--config.file=/etc/prometheus/blackbox.yml", "--web.listen-address=127.0.0.1:9115"),
        job="url",
        mounts=("./prometheus:/etc/prometheus:ro",),
    ),
    "node-exporter": _Program(
        "docker.io/prom/node-exporter:v1.11.1",
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
