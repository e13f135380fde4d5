"""The whole system starts from template.yaml, says where it is, takes another deployment, and leaves nothing behind."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from devstack.__main__ import _about
from devstack.shared.python import FORK_SERVER_VARIABLE
from devstack.system.stack import Options, Stack
from tests.devstack_fixture import ROOT, Devstack, running_devstack, wait_until

WHOLE = {FORK_SERVER_VARIABLE: ""}  # interpreters of their own, as a user's system has


def _processes_of(directory: Path) -> list[str]:
    """Command lines of the processes that have the folder in their arguments, their environment, or as their folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            where = os.readlink(process / "cwd")  # noqa: PTH115 - a process may be gone meanwhile
        except OSError:
            continue
        if str(directory).encode() in told or where.startswith(str(directory)):
            found.append((process / "cmdline").read_bytes().decode() if process.exists() else "")
    return found


def test_everything_is_where_the_endpoints_say(devstack: Devstack) -> None:
    for name in ("gateway", "aws", "twilio", "slack", "console", "site"):
        assert requests.get(devstack.endpoints[name], timeout=10).status_code < 500, name
    assert devstack.dynamodb.describe_table(TableName=devstack.endpoints["table"])
    assert devstack.stepfunctions.describe_state_machine(stateMachineArn=devstack.endpoints["state_machine_arn"])
    assert set(devstack.endpoints) == {
        *(
            "gateway",
            "bearer_token",
            "heartbeat_token",
            "aws",
            "region",
            "table",
            "state_machine_arn",
            "twilio",
            "slack",
            "console",
            "site",
        ),
        *("twilio_auth_token", "slack_signing_secret", "telnyx", "telnyx_signing_key"),
    }
    assert (devstack.directory / "endpoints.json").stat().st_mode & 0o077 == 0  # it has secrets


def test_a_second_system_in_the_same_folder_is_refused(devstack: Devstack) -> None:
    first = (devstack.directory / "lock").read_text()
    again = subprocess.run(
        [sys.executable, "-m", "devstack", "up"],
        cwd=ROOT,
        env={**os.environ, "DEVSTACK_DIR": str(devstack.directory), "MONITORING": "0", **WHOLE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert again.returncode == 1
    assert f"already running in {devstack.directory}, as process {first}:" in again.stderr
    assert (devstack.directory / "endpoints.json").exists()


def test_a_killed_system_leaves_no_process_behind(tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    with running_devstack(directory, MONITORING="1", **WHOLE) as system:
        system.client("lambda").invoke(FunctionName=_function(system), Payload=b"{}")  # so that there is an environment
        assert len(_processes_of(directory)) >= 9
        os.kill(system.process.pid, signal.SIGKILL)
        system.process.wait()
        wait_until(lambda: not _processes_of(directory), 20, "the end of every process")
        system.process.poll = lambda: None  # type: ignore[method-assign]  # it has ended because the test killed it


@pytest.mark.parametrize("begun", ["aws", "sam-deploy", "roster"])
def test_a_start_that_is_interrupted_ends_at_once_and_leaves_nothing(tmp_path: Path, begun: str) -> None:
    directory = tmp_path / "interrupted"
    with subprocess.Popen(
        [sys.executable, "-m", "devstack", "up"],
        cwd=ROOT,
        env={**os.environ, "DEVSTACK_DIR": str(directory), "MONITORING": "0", **WHOLE},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until((directory / f"logs/{begun}.log").exists, 120, f"the start of {begun}")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == "devstack: told to end while starting\n"
    wait_until(lambda: not _processes_of(directory), 10, "the end of every process")
    assert not (directory / "endpoints.json").exists()


def test_the_port_of_a_last_run_that_was_ended_just_then_is_not_needed(tmp_path: Path) -> None:
    (tmp_path / "console-port").touch()
    Stack(Options(directory=tmp_path, monitoring=False, roster=ROOT / "devstack/system/roster.yaml"))
    assert (tmp_path / "console-port").read_text().isdecimal()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    refused = subprocess.run(  # noqa: S603 - our own
        [*powerless, sys.executable, "-m", "devstack", "up"],
        cwd=ROOT,
        env={**os.environ, "DEVSTACK_DIR": str(tmp_path / "folder"), "MONITORING": "0", **WHOLE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        f"devstack: {tmp_path / 'folder'} cannot be written (Permission denied): make it yours"
    )


def test_a_full_disk_is_called_so() -> None:
    said = _about(OSError(errno.ENOSPC, "No space left on device", "/somewhere/logs/aws.log"), Path("/somewhere"))
    assert said == "the disk with /somewhere is full: make room, and start again"


def test_a_part_that_ends_ends_the_system_and_says_why(tmp_path: Path) -> None:
    directory = tmp_path / "broken"
    with running_devstack(directory, MONITORING="0", **WHOLE) as system:
        children = Path(f"/proc/{system.process.pid}/task/{system.process.pid}/children").read_text().split()
        slack = next(pid for pid in children if b"devstack.slack.api" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(int(slack), signal.SIGKILL)

        assert system.process.wait(30) == 1
        assert "slack has ended" in directory.with_suffix(".log").read_text()
        assert not (directory / "endpoints.json").exists()
        system.process.poll = lambda: None  # type: ignore[method-assign]  # as it should


def _function(system: Devstack) -> str:
    resources = system.cloudformation.list_stack_resources(StackName="on-call")["StackResourceSummaries"]
    return next(each["PhysicalResourceId"] for each in resources if each["LogicalResourceId"] == "AuthorizeFunction")
