"""Starts Python programs as copies of one process that has imported what they import of others.

A program that imports much takes seconds to start, and as many megabytes again each time. On two cores, beside everything else,
many such starts at once take longer than a function's time limit; a copy imports nothing again, and shares what it does not
change. Lambda's runtimes are started so (what is their own each imports itself), and in a run of tests all the rest.

Run by any interpreter, so with the standard library alone:
- `fork_server.py lambda NAME CODE` is the process that is copied for the functions with that code, and
- `fork_server.py programs NAME MODULE...` the one for programs, with what these modules import.
- `fork_client.py NAME ...` asks for one and stands for it.
Whoever connects to the socket that is named like a copy's session token ends it, and is let go when it has ended. NAME is of a
socket as well; neither needs a file (unix(7): abstract sockets).
"""

import contextlib
import gc
import importlib
import marshal
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
from types import ModuleType
from typing import Any

# As far as a function's code has them. None may read a function's variables when it is imported: Lambda's own client does.
PACKAGES = (
    "aws_lambda_powertools.metrics",
    "aws_xray_sdk.core",
    "botocore.config",
    "botocore.session",
    "requests",
    "simplejson",
    "slack_sdk.web.client",
    "twilio.rest",
)
_STATUS = struct.Struct("!i")  # as waitpid(2) has it
_LENGTH_BYTES = 4  # of a request
_STREAMS = (0, 1, 2)


def _serve(name: str) -> list[str]:
    """Listens for ever; returns in the copies, what each is to run."""
    if threading.active_count() > 1:
        raise RuntimeError(f"a copy has none of these threads: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # a collection would write to pages that the copies share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                return _keep(client)
            client.close()


def _keep(client: socket.socket) -> list[str]:
    """Makes a copy for whoever asks, and waits for the end of either. Returns in the copy."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with client:
        first, streams, _, _ = socket.recv_fds(client, 1, len(_STREAMS))
        length = int.from_bytes(first + client.recv(_LENGTH_BYTES - 1, socket.MSG_WAITALL))
        request = client.recv(length, socket.MSG_WAITALL)
        if not request or len(request) < length:
            os._exit(0)  # it was killed before it had asked
        asked = marshal.loads(request)  # noqa: S302  what fork_client.py has written
        copy = os.fork()
        if copy == 0:
            return _become(asked, streams)
        for stream in streams:
            os.close(stream)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(f"\0{asked['environment'].get('AWS_SESSION_TOKEN') or os.getpid()}")
            end.listen()
            _wait(client, end, os.pidfd_open(copy), copy)
            os.kill(copy, signal.SIGKILL)  # whoever has ended feels nothing
            _, status = os.waitpid(copy, 0)
            with contextlib.suppress(OSError):
                client.sendall(_STATUS.pack(status))
    os._exit(0)


def _become(asked: dict[str, Any], streams: list[int]) -> list[str]:
    """In the copy: takes over the place of whoever has asked."""
    if asked["leads"]:
        os.setsid()
    for stream, place in zip(streams, _STREAMS, strict=True):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    run: list[str] = [argument for argument in asked["run"] if argument != "-u"]
    # Who looks at the processes sees whose this one is (proc(5): 15 characters).
    with open("/proc/self/comm", "w") as name:  # noqa: PTH123  # pathlib is not loaded here
        name.write(run[0] if len(run) == 1 else "python" if run[0] == "-c" else run[1].rpartition(".")[2])
    return run


def _wait(client: socket.socket, end: socket.socket, ended: int, copy: int) -> None:
    """Until the copy has ended, or who asked for it has, or somebody ends it. Signals are passed on."""
    while True:
        readable, _, _ = select.select([client.fileno(), end.fileno(), ended], [], [])
        if readable != [client.fileno()]:
            return
        try:
            signals = client.recv(16)
        except OSError:
            return
        if not signals:
            return
        for number in signals:
            os.kill(copy, number)


def _serve_functions(name: str, code: str) -> None:
    sys.path[0] = code  # as `python -m awslambdaric` has it
    os.chdir(code)
    for package in PACKAGES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(package)
    handler = _serve(name)
    runtime = importlib.import_module("awslambdaric.__main__")
    runtime.main(["awslambdaric", *handler])


def _serve_programs(name: str, modules: list[str]) -> None:
    sys.path[0] = os.getcwd()  # noqa: PTH109
    for module in modules:
        importlib.import_module(module)
    kind, program, *arguments = _serve(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.modules["__main__"] = ModuleType("__main__")
    if kind == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *arguments]
        exec(program, sys.modules["__main__"].__dict__)  # noqa: S102  # what an interpreter is for
    else:
        sys.path[0] = os.getcwd()  # noqa: PTH109
        sys.argv = [program, *arguments]
        sys.modules.pop(program, None)  # as `__main__` it is another
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def main() -> None:
    """See the module."""
    what, name, *rest = sys.argv[1:]
    match what:
        case "lambda":
            _serve_functions(name, *rest)
        case "programs":
            _serve_programs(name, rest)


if __name__ == "__main__":
    main()
