"""Stands for a copy of a fork server's process: `fork_client.py NAME HANDLER`, or with Python's own arguments of a program.

See fork_server.py. It gives the copy its variables, folder, input and output, passes on signals, and ends when and as it ends; if
it is killed, so is the copy. There is one for each copy, a hundred at once in a run of tests, so it imports little.
"""

import _socket  # all of `socket` that is used here, at a third of its megabytes
import marshal
import os
import signal
import sys

_STATUS_BYTES = 4  # as fork_server.py packs it
_LENGTH_BYTES = 4
_STREAMS = (0, 1, 2)
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main() -> None:
    """See the module."""
    _, name, *run = sys.argv
    server = _socket.socket(_socket.AF_UNIX)
    server.connect(f"\0{name}")

    def pass_on(number: int, frame: object) -> None:
        del frame
        try:  # noqa: SIM105  # contextlib is not loaded here
            server.sendall(bytes([number]))
        except OSError:
            pass  # it has ended

    asked = {
        "run": run,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109  # pathlib is not loaded here
        "leads": os.getsid(0) == os.getpid(),
    }
    request = marshal.dumps(asked)
    streams = b"".join(stream.to_bytes(4, sys.byteorder) for stream in _STREAMS)
    length = len(request).to_bytes(_LENGTH_BYTES)
    server.sendmsg([length[:1]], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    server.sendall(length[1:] + request)
    if len(run) > 1:  # a program; a function is ended by its emulator, and asks no questions
        for number in _PASSED_ON:
            signal.signal(number, pass_on)
    answer = server.recv(_STATUS_BYTES, _socket.MSG_WAITALL)
    code = os.waitstatus_to_exitcode(int.from_bytes(answer, signed=True)) if answer else 1
    if code < 0:
        if code != -signal.SIGKILL:  # which has no other
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
