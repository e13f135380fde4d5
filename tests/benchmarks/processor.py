"""How much of the processor each function takes, by Linux' own count of its environments' processes."""

import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.devstack_fixture import Devstack

_SECONDS = 0.5  # between two looks: what an environment takes between the last one and its end is not counted
_COMM = 15  # characters of a process' name (proc(5), comm)


@contextmanager
def watched(system: Devstack) -> Iterator[Mapping[str, float]]:
    """Milliseconds (user and system) that each function takes meanwhile, by its handler's module; they are there at the end."""
    taken: dict[str, float] = defaultdict(float)
    before = _now(system)
    last = dict(before)
    over = threading.Event()

    def look() -> None:
        while not over.wait(_SECONDS):
            last.update(_now(system))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield taken
    finally:
        over.set()
        looking.join()
        last.update(_now(system))
        for key, spent in last.items():
            taken[key[1]] += spent - before.get(key, 0.0)


def _now(system: Devstack) -> dict[tuple[int, str], float]:
    """What the environments that live have taken so far, by process and function."""
    modules = [function.stem[:_COMM] for function in Path("functions").glob("*.py")]
    processes = {pid: (parent, spent) for pid, parent, spent in _processes()}
    return {
        (pid, function): spent
        for pid, (_, spent) in processes.items()
        if (function := _function(pid, modules)) and _descends(pid, system.process.pid, processes)
    }


def _processes() -> list[tuple[int, int, float]]:
    """Process, its parent, and milliseconds of user and system time (proc(5), stat)."""
    tick = 1000 / os.sysconf("SC_CLK_TCK")
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        found.append((int(path.parent.name), int(fields[1]), (int(fields[11]) + int(fields[12])) * tick))
    return found


def _function(pid: int, modules: list[str]) -> str:
    """The function whose runtime a process is; empty for any other. A copy has its handler's name, a whole start its command."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return ""
    found = next((module for module in modules if f"{module}.lambda_handler"[:_COMM] == name), "")
    if found or "awslambdaric" not in words or any(word.endswith("aws-lambda-rie-x86_64") for word in words):
        return found
    return words[words.index("awslambdaric") + 1].partition(".")[0][:_COMM]


def _descends(pid: int, ancestor: int, processes: Mapping[int, tuple[int, float]]) -> bool:
    while pid in processes and pid != ancestor:
        pid, _ = processes[pid]
    return pid == ancestor
