"""How every HTTP server of the devstack runs: one process, on 127.0.0.1, that ends with whoever started it."""

import atexit
import ctypes
import os
import random
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CLAIM_SECONDS = 120.0  # by then whoever asked for a port listens on it, on a busy machine too
_PR_SET_PDEATHSIG = 1
_claims: deque[tuple[float, socket.socket]] = deque()  # ports asked for, oldest first
_claiming = threading.Lock()

# Prefix of a command line: the kernel kills that program as soon as the thread that started it ends.
# setpriv is part of Debian's util-linux; the setting survives execve.
TETHER = ("setpriv", "--pdeathsig", "KILL", "--")


@atexit.register
def _give_claims_back() -> None:
    for _, claim in _claims:
        claim.close()


class QuietRequestHandler(WSGIRequestHandler):
    """Speaks HTTP/1.1, as the services do, and logs errors only: request lines hold phone numbers and signed query strings."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def die_with_parent() -> None:
    """Have the kernel end this process (SIGTERM) when the one that started it ends, SIGKILL included. Linux only."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended between the two lines above
        sys.exit(0)


def free_port(*wanted: int) -> int:
    """A TCP port of 127.0.0.1 that is free now, if possible one that is wanted. Nobody else who asks here gets it soon.

    Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes it before it is listened on. Until
    then a name stands for it that Linux gives once and takes back when its process ends (unix(7): abstract sockets).
    """
    now = time.monotonic()
    with _claiming:
        while _claims and _claims[0][0] < now - CLAIM_SECONDS:
            _claims.popleft()[1].close()
    for port in (*wanted, *random.sample(range(20000, 32000), 200)):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0on-call-devstack:{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims.append((now, claim))
        return port
    raise OSError("no free port between 20000 and 32000 on 127.0.0.1")


class _Threads:
    """As many as there are requests at once, each for one after another: to start one takes as long as many an answer."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()

    def run(self, job: Callable[[], None]) -> None:
        """Has a thread do it now, whatever the others wait for."""
        with self._lock:
            is_new = self._idle == 0
            self._idle -= not is_new
        self._jobs.put(job)
        if is_new:
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._idle += 1


class _Server(ThreadedWSGIServer):
    def __init__(self, port: int, app: "WSGIApplication") -> None:
        super().__init__("127.0.0.1", port, app, QuietRequestHandler)
        self._threads = _Threads()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._threads.run(partial(self.process_request_thread, request, client_address))


def serve(app: "WSGIApplication", port: int) -> None:
    """Serve `app` on 127.0.0.1:`port` (0: any free one) until SIGTERM, SIGINT or the parent's end.

    Each request has a thread of its own.
    Prints `listening on http://127.0.0.1:PORT` when ready. Call it from the main thread, last. It ends at once, whatever its
    threads wait for (a state's minutes, a retry): nothing is to be put in order, and what it has started is tethered to it.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    die_with_parent()
    server = _Server(port or free_port(), app)
    print(f"listening on http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()
