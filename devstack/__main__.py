"""The commands `up` and `demo`: the whole system on this machine, from template.yaml and statemachine/.

Settings come from the environment: MONITORING=0, ROSTER=file.yaml, AUTO=1, DEVSTACK_DIR (.devstack), RING_SECONDS, LOG_LEVEL,
STANDBY=1 (with a second stack that stands in, after TAKEOVER_SECONDS), SCHEDULE_SPEED (times faster than the clock),
PROVIDERS=1 (Twilio without Telnyx beside it), IDLE_SECONDS (until a function that waits for work has to start anew),
WHOLE_STARTS=1 (anew as Lambda does, not as a copy), KEEP_WARM=false (no pings against that),
CONCURRENCY (functions that may be at work at once: 1000; 10 in many new accounts),
JOBS (what is watched: "url", or more of "url ec2 opensearch elasticsearch").
"""

import argparse
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from devstack.shared.serve import die_with_parent
from devstack.system import demo
from devstack.system.stack import ROOT, Options, Stack, StackError, running


def _options() -> Options:
    # The same folder of this checkout from wherever it is called.
    directory = Path(os.environ.get("DEVSTACK_DIR") or ROOT / ".devstack")
    return Options(
        directory=directory.absolute(),
        monitoring=os.environ.get("MONITORING", "1") not in {"0", "no", "false"},
        roster=Path(os.environ.get("ROSTER") or ROOT / "devstack/system/roster.yaml").absolute(),
        jobs=tuple((os.environ.get("JOBS") or "url").split()),
        standby=os.environ.get("STANDBY", "0") not in {"", "0", "no", "false"},
        schedule_speed=float(os.environ.get("SCHEDULE_SPEED") or 1),
        providers=int(os.environ.get("PROVIDERS") or 2),
        idle_seconds=float(os.environ.get("IDLE_SECONDS") or 300),
        whole_starts=os.environ.get("WHOLE_STARTS", "0") not in {"", "0", "no", "false"},
        concurrency=int(os.environ.get("CONCURRENCY") or 1000),
    )


def _summary(console: Console, stack: Stack, directory: Path, seconds: float) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name in ("console", "gateway", "site", "twilio", "telnyx", "slack", "prometheus", "alertmanager", "aws"):
        if name in stack.endpoints:
            table.add_row(name, f"[bold]{stack.endpoints[name]}[/bold]" if name == "console" else stack.endpoints[name])
    console.print(f"Ready after {seconds:.0f} s. Ctrl-C ends it. All addresses: {directory / 'endpoints.json'}")
    console.print(table)


def _about(error: OSError, directory: Path) -> str:
    """What this machine refused, and what to do."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk with {directory} is full: make room, and start again"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        where = error.filename or directory
        return f"{where} cannot be written ({error.strerror}): make it yours, or name another folder, DEVSTACK_DIR=…"
    return str(error)


def _run(command: str, options: Options, console: Console) -> None:
    """Raises StackError, and DemoError for a demonstration that fails."""
    began = time.monotonic()
    auto = command == "demo" and os.environ.get("AUTO", "0") not in {"", "0", "no", "false"}
    if not options.roster.is_file():
        raise StackError(f"there is no roster {options.roster}")
    if command == "demo" and not options.monitoring:
        raise StackError("the demonstration needs Prometheus and Alertmanager: leave out MONITORING=0")
    build = subprocess.run(["make", "-C", str(ROOT), "-s", "build"], stdin=subprocess.DEVNULL, check=False)
    if build.returncode != 0:
        raise StackError("make build failed")
    with running(options) as stack:
        _summary(console, stack, options.directory, time.monotonic() - began)
        if auto:
            demo.play(stack.endpoints, console)
            return
        if command == "demo":
            demo.show(stack.endpoints["console"])
        stack.watch()


def main() -> None:
    """Run a command; ends with 1 if the system can not start, or a part of it ends."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument("command", choices=("up", "demo"))
    command = parser.parse_args().command
    console = Console(highlight=False, soft_wrap=True)
    die_with_parent()
    options = _options()
    try:
        _run(command, options, console)
    except (StackError, demo.DemoError) as error:
        print(f"devstack: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    except OSError as error:
        print(f"devstack: {_about(error, options.directory)}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # before the stack hears of it itself
        print("devstack: interrupted", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
