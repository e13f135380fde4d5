"""A copy of the fork server's process is a program like any other to whoever starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from devstack.shared.python import FORK_SERVER, FORK_SERVER_VARIABLE, python
from tests.devstack_fixture import ROOT, wait_until
from tests.workers import listens


@pytest.fixture(scope="module")
def command() -> Iterator[list[str]]:
    """An interpreter's, of a server that has imported `decimal`."""
    name = f"on-call-test-{uuid4().hex}"
    with subprocess.Popen([sys.executable, FORK_SERVER, "programs", name, "decimal"], cwd=ROOT) as server:  # noqa: S603  our own
        try:
            wait_until(lambda: listens(name), what="the fork server")
            yield python({FORK_SERVER_VARIABLE: name})
        finally:
            server.kill()


def start(command: list[str], *arguments: str, **more: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen([*command, *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)  # noqa: S603  our own


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists()


def test_it_has_its_own_arguments_folder_variables_and_streams(command: list[str], tmp_path: Path) -> None:
    code = "import os, sys; print(sys.argv, os.getcwd(), os.environ['WHO'], sys.stdin.read(), 'decimal' in sys.modules)"
    program = start(command, "-c", code, "one", "two", cwd=tmp_path, env={"WHO": "Ann"})
    said, _ = program.communicate("input")
    assert said == f"['-c', 'one', 'two'] {tmp_path} Ann input True\n"
    assert program.returncode == 0


def test_a_module_is_run_as_the_main_one(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys; print(__name__, sys.argv[1:]); sys.exit(3)")
    program = start(command, "-m", "mine", "now", cwd=tmp_path)
    said, _ = program.communicate()
    assert (said, program.returncode) == ("__main__ ['now']\n", 3)


def test_an_exception_ends_it_as_any_program(command: list[str]) -> None:
    program = start(command, "-c", "raise ValueError('wrong')", stderr=subprocess.PIPE)
    _, said = program.communicate()
    assert said.endswith("ValueError: wrong\n")
    assert program.returncode == 1


def test_a_signal_reaches_it(command: list[str]) -> None:
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('ready', flush=True); signal.pause()"
    program = start(command, "-c", code)
    assert program.stdout
    assert program.stdout.readline() == "ready\n"
    program.terminate()
    program.communicate()
    assert program.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_what_ends_the_copy_ends_whoever_stands_for_it(command: list[str], number: signal.Signals) -> None:
    program = start(command, "-c", f"import os; os.kill(os.getpid(), {number:d})", stderr=subprocess.DEVNULL)
    program.communicate()
    assert program.returncode == -number


def test_a_copy_does_not_outlive_whoever_asked_for_it(command: list[str]) -> None:
    program = start(command, "-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()")
    assert program.stdout
    copy = int(program.stdout.readline())
    assert is_running(copy)
    program.kill()
    program.communicate()
    wait_until(lambda: not is_running(copy), what="the end of the copy")


def test_a_session_of_its_own_is_the_copys_too(command: list[str]) -> None:
    program = start(command, "-c", "import os; print(os.getsid(0) == os.getpid())", start_new_session=True)
    said, _ = program.communicate()
    assert said == "True\n"
    assert os.getsid(0) != program.pid
