"""Starts Lambda's Python runtimes as copies of one process that has imported what the functions import of others.

Lambda starts each interpreter anew, on a processor of its own. On two cores, beside everything else, many such starts at once
take longer than a function's time limit; a copy takes a third of the time. The functions' own modules each copy imports itself.

Run by Lambda's interpreter, so with the standard library alone: `fork_server.py serve NAME CODE` is the process that is copied,
`fork_server.py start NAME HANDLER` stands for one copy. It gives it its variables and its output, and ends when and as it ends;
if it is killed, so is the copy. Whoever connects to the socket that is named like the copy's session token ends it too, and is
let go when it has ended. NAME is of a socket as well; neither needs a file (unix(7): abstract sockets).
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time

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
_OUTPUTS = (0, 1, 2)


def serve(name: str, code: str) -> str:
    """Listens for ever; returns in the copies, the handler that each is to run."""
    sys.path[0] = code  # as `python -m awslambdaric` has it
    os.chdir(code)
    for package in PACKAGES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(package)
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


def _keep(client: socket.socket) -> str:
    """Makes a copy for whoever asks, and waits for the end of either. Returns in the copy."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with client:
        request, outputs, _, _ = socket.recv_fds(client, 1, len(_OUTPUTS))
        while not request.endswith(b"\n"):
            received = client.recv(65536)
            if not received:
                os._exit(0)  # it was killed before it had asked
            request += received
        asked = json.loads(request)
        copy = os.fork()
        if copy == 0:
            for output, place in zip(outputs, _OUTPUTS, strict=True):
                os.dup2(output, place)
                os.close(output)
            os.environ.clear()
            os.environ.update(asked["environment"])
            time.tzset()
            # Who looks at the processes sees whose this one is (proc(5): 15 characters).
            with open("/proc/self/comm", "w") as name:  # noqa: PTH123  # pathlib is not loaded here
                name.write(asked["handler"])
            return str(asked["handler"])
        for output in outputs:
            os.close(output)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(f"\0{asked['environment'].get('AWS_SESSION_TOKEN') or os.getpid()}")
            end.listen()
            select.select([client.fileno(), end.fileno(), os.pidfd_open(copy)], [], [])
            os.kill(copy, signal.SIGKILL)  # whoever has ended feels nothing
            _, status = os.waitpid(copy, 0)
            with contextlib.suppress(OSError):
                client.sendall(_STATUS.pack(status))
    os._exit(0)


def start(name: str, handler: str) -> None:
    """Has a copy run a handler with this process' variables and output, and ends as it does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"\0{name}")
        request = json.dumps({"handler": handler, "environment": dict(os.environ)}).encode() + b"\n"
        socket.send_fds(server, [request[:1]], _OUTPUTS)
        server.sendall(request[1:])
        answer = server.recv(_STATUS.size, socket.MSG_WAITALL)
    code = os.waitstatus_to_exitcode(*_STATUS.unpack(answer)) if answer else 1
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def main() -> None:
    """See the module."""
    what, name, rest = sys.argv[1:]
    if what == "start":
        start(name, rest)
    else:
        handler = serve(name, rest)
        runtime = importlib.import_module("awslambdaric.__main__")
        runtime.main(["awslambdaric", handler])


if __name__ == "__main__":
    main()
