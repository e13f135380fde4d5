"""How a run shares its tests among workers (pytest-xdist): who uses the same system is one group, and the longest begin first.

Most of the long ones wait, for a lease, a retry or Slack's second, so there are four workers more than cores: all but the last
begin with systems, and that one with all the rest, which never waits. With more at once each takes longer than they save.

Workers, and the programs of the systems that they start, are copies of one process that has imported what they need: a sixth of
a run's processor time was systems that start, and each program had the same megabytes.
"""

import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from xdist.scheduler import LoadScopeScheduling

from devstack.shared.python import FORK_SERVER, FORK_SERVER_VARIABLE, python
from devstack.shared.serve import TETHER

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

ROOT = Path(__file__).parents[1]
SERVICES = (
    "cloudwatch",
    "dynamodb",
    "events",
    "iam",
    "logs",
    "s3",
    "sns",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)  # of moto's
# What copies need not import: the programs, what these import when they run, and what most tests do. Nothing of pytest's plugins,
# whose assertions it has to see first.
MODULES = (
    "cfnlint.api",
    "devstack.__main__",
    "devstack.aws.front",
    "devstack.aws.gateway",
    "devstack.console.server",
    "devstack.slack.api",
    "devstack.system.exporters",
    "devstack.system.monitoring",
    "devstack.system.site",
    "devstack.system.telephones",
    "icalendar",
    *(f"moto.{service}.{part}" for service in SERVICES for part in ("models", "responses", "urls")),
    "moto.dynamodb.parsing.executors",
    "moto.moto_server.werkzeug_app",
    "oncall_cli.main",
    "oncall_cli.roster_commands",
    "oncall_cli.schedule_commands",
    "playwright.sync_api",
    "samcli.cli.main",
    "samcli.commands.deploy.command",
    "samcli.commands.deploy.deploy_context",
    "tests.preloaded",
    "twilio.rest",
)
SERVER_SECONDS = 120  # until that process has imported all of them, on a busy machine
MOST = 10  # workers: more would only start more systems

# In the order in which they begin: the longest, and the storm, which needs both processors, beside those that wait. What is not
# named begins after them, in the order of its name; a file is a group.
GROUPS = (
    ("e2e/test_faults_of_aws.py",),
    ("e2e/test_standby.py",),
    ("e2e/test_providers.py",),
    ("e2e/test_faults.py",),
    ("e2e/test_storm.py",),
    (
        "e2e/test_lifecycle.py",
        "e2e/test_flood.py",
        "e2e/test_reported_inputs.py",
        "e2e/test_shadow.py",
        "e2e/test_who_may_do_what.py",
    ),
    ("e2e/test_outages.py",),
    ("e2e/test_bad_input.py", "e2e/test_command.py", "e2e/test_in_slack.py", "e2e/test_probe.py"),
    ("devstack/test_stack.py", "e2e/test_sources.py"),
    ("e2e/test_alarms_fire.py",),
    ("devstack/test_console_page.py",),
    ("e2e/test_chain.py", "e2e/test_console_story.py"),
    ("devstack/test_aws.py", "devstack/test_cloudformation.py", "devstack/test_lambda_runtime.py"),
    ("soak/test_soak.py",),
    ("e2e/test_heartbeat.py",),
    ("statemachine/test_paths.py",),
    ("functional/test_storms_that_fail.py",),
    ("functional/test_storms_in_slack.py",),
    ("template/test_lint.py",),
)
_PLACES = {f"tests/{file}": place for place, files in enumerate(GROUPS) for file in files}


class LongestFirst(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives a worker that has one test left the next group, the longest first."""

    def _assign_work_unit(self, node: "WorkerController") -> None:
        for scope in [scope for scope, tests in self.workqueue.items() if all(tests.values())]:
            del self.workqueue[scope]  # a worker that crashed gave it back; who got it would wait for ever
        if not self.workqueue:
            node.shutdown()
            return
        if int(node.gateway.id.removeprefix("gw")) == self.numnodes - 1:
            rest = next((scope for scope in self.workqueue if not scope.isdigit()), None)
            if rest:
                self.workqueue.move_to_end(rest, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: "WorkerController") -> None:
        """A worker has to know what comes next before it begins its last test. xdist says it one test earlier, which may be a
        minute in which another worker becomes free.
        """
        if self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def group_of(item: pytest.Item) -> str:
    """The group of files that a test belongs to."""
    return _group(item.nodeid)


def _group(nodeid: str) -> str:
    file = nodeid.split("::", 1)[0]
    return str(_PLACES.get(file, file))


def pytest_configure(config: pytest.Config) -> None:
    """Where a run has workers, starts the process that they are copies of."""
    if not getattr(config.option, "tx", None) or hasattr(config, "workerinput"):
        return
    name = f"on-call-tests-{uuid4().hex}"
    command = [*TETHER, sys.executable, str(FORK_SERVER), "programs", name, *MODULES]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)  # noqa: S603  our own

    def end() -> None:
        server.kill()
        server.wait()

    config.add_cleanup(end)
    deadline = time.monotonic() + SERVER_SECONDS
    while not listens(name):
        if server.poll() is not None:
            raise pytest.UsageError(f"the process that workers are copies of has ended with {server.returncode}")
        if time.monotonic() > deadline:
            raise pytest.UsageError(f"the process that workers are copies of was not ready after {SERVER_SECONDS} s")
        time.sleep(0.05)
    os.environ[FORK_SERVER_VARIABLE] = name
    config.option.tx = [f"{spec}//python={shlex.join(python())}" for spec in config.option.tx]


def listens(name: str) -> bool:
    """Whether a fork server takes what is asked by this name."""
    with socket.socket(socket.AF_UNIX) as client, suppress(ConnectionRefusedError):
        client.connect(f"\0{name}")
        return True
    return False


def pytest_xdist_auto_num_workers() -> int:
    """Of `--numprocesses auto`."""
    return min(MOST, len(os.sched_getaffinity(0)) + 4)


def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> LongestFirst:
    """Whatever `--dist` says."""
    config.option.loadscopereorder = False
    return LongestFirst(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups in their order, and each test in its file's."""
    items.sort(key=lambda item: _PLACES.get(item.nodeid.split("::", 1)[0], len(GROUPS)))
