"""How much of the processor each function has taken, by Linux' own count of its environments' processes."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.devstack_fixture import Devstack

type Reading = Mapping[tuple[int, str], float]  # milliseconds, by process and function


def now(system: Devstack) -> Reading:
    """What the environments that live have taken so far. One that has ended is not counted any more."""
    parents = {pid: (parent, spent) for pid, parent, spent in _processes()}
    return {
        (pid, function): spent
        for pid, (_, spent) in parents.items()
        if (function := _function(pid)) and _descends(pid, system.process.pid, parents)
    }


def since(system: Devstack, before: Reading) -> Mapping[str, float]:
    """Milliseconds that each function has taken since then."""
    taken: dict[str, float] = defaultdict(float)
    for key, spent in now(system).items():
        taken[key[1]] += spent - before.get(key, 0.0)
    return taken


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


def _function(pid: int) -> str:
    """The function whose runtime a process is; empty for any other."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    if b"awslambdaric" not in words or b"-m" not in words:
        return ""
    handler = words[words.index(b"awslambdaric") + 1].decode()
    return "" if any(word.endswith(b"aws-lambda-rie-x86_64") for word in words) else handler.partition(".")[0]


def _descends(pid: int, ancestor: int, parents: Mapping[int, tuple[int, float]]) -> bool:
    while pid in parents and pid != ancestor:
        pid, _ = parents[pid]
    return pid == ancestor
