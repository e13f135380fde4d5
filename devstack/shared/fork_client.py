"""Stands for a copy of a fork server's process: `fork_client.py NAME HANDLER`, or with Python's own arguments of a program.

See fork_server.py. It gives the copy its variables, folder, input and output, passes on signals, and ends when and as it ends; if
it is killed, so is the copy. There is one for each copy, so it imports little.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

_STATUS_BYTES = 4  # as fork_server.py packs it
_STREAMS = (0, 1, 2)
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main() -> None:
    """See the module."""
    _, name, *run = sys.argv
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"\0{name}")

    def pass_on(number: int, frame: object) -> None:
        del frame
        with suppress(OSError):  # it has ended
            server.sendall(bytes([number]))

    asked = {
        "run": run,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109  # pathlib is not loaded here
        "leads": os.getsid(0) == os.getpid(),
    }
    request = json.dumps(asked).encode() + b"\n"
    socket.send_fds(server, [request[:1]], _STREAMS)
    server.sendall(request[1:])
    if len(run) > 1:  # a program; a function is ended by its emulator, and asks no questions
        for number in _PASSED_ON:
            signal.signal(number, pass_on)
    answer = server.recv(_STATUS_BYTES, socket.MSG_WAITALL)
    code = os.waitstatus_to_exitcode(int.from_bytes(answer, signed=True)) if answer else 1
    if code < 0:
        with suppress(OSError):  # SIGKILL has no other
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
