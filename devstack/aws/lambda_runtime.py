"""Runs deployed functions as Lambda does: with AWS's own runtime interface emulator and AWS's runtime client.

Each environment serves one invocation at a time; there are as many environments as there are invocations at once.

The emulator and its exact error bodies are those of the package aws-sam-cli; the runtime is the dependency group `runtime`.
"""

import contextlib
import http.client
import io
import json
import os
import platform
import re
import socket
import subprocess
import threading
import time
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import samcli  # type: ignore[import-untyped]  # no type information is published

from devstack.shared.python import FORK_CLIENT, FORK_SERVER
from devstack.shared.serve import TETHER, free_port

MAXIMUM_PAYLOAD = 6 * 1024 * 1024  # Lambda: synchronous requests and responses, bytes each
MAXIMUM_EVENT_PAYLOAD = 1024 * 1024  # Lambda: asynchronous requests, bytes
ENVIRONMENTS_EACH = 5  # of one function: this machine has few cores; further invocations wait for one to be free
# Lambda throttles at once. Whoever waits here for longer is throttled: he might have given up, and tries again on his own.
PATIENCE_SECONDS = 8.0
IDLE_SECONDS = 300.0  # until an environment that waits for work is ended
SPARE_SECONDS = 30.0  # the same, where another of the same function waits too: each takes 45 MB
EVENT_RETRY_SECONDS = (1.0, 2.0)  # Lambda waits for one and two minutes before its two retries: sixty times as fast
# Environments that start at once. The emulator counts an environment's start in the function's time limit, which Lambda does not:
# of many that start beside each other on a busy machine none would be ready in time, and each would be tried again.
STARTING = 2
_INIT_SECONDS = 30.0  # beside the function's own time limit, for a cold start on a busy machine

_EMULATOR = (
    Path(samcli.__file__).parent / "local/rapid" / f"aws-lambda-rie-{platform.machine().replace('aarch64', 'arm64')}"
)
_INIT_REPORT = re.compile(rb"INIT REPORT\(durationMs: ([0-9.]+)\)")


class ThrottledError(Exception):
    """All environments of a function are at work, for longer than an invocation waits."""


class ConcurrencyError(Exception):
    """As many functions are at work as the account may have at once."""


@dataclass(frozen=True)
class Function:
    """A deployed function, as far as running it goes."""

    name: str
    logical_id: str
    handler: str
    timeout: int  # seconds
    memory: int  # MB
    environment: tuple[tuple[str, str], ...]
    role: str  # name
    log_group: str
    log_format: str
    code: Path = field(default=Path())  # unpacked


@dataclass(frozen=True)
class Invocation:
    """What became of one invocation, for measurements."""

    function: str  # logical id
    started_at: float  # epoch seconds
    cold: bool
    init_ms: float | None
    duration_ms: float  # init included, as the caller sees it
    error: str | None


@dataclass(frozen=True)
class Result:
    """An answer of Lambda's Invoke."""

    status: int
    payload: bytes
    function_error: str | None = None


@dataclass(frozen=True)
class Kill:
    """A fault: the environment dies within an invocation. 0 ms: before the handler gets the event.

    With an `action` (`dynamodb:UpdateItem`) it dies at its own `request`th request of that kind to AWS (from 1), before or
    after AWS has `done` what was asked; invocations that make no such request live.
    """

    after_ms: float | None = None  # None: after the handler has done its work, before Lambda can say so
    action: str = ""
    request: int = 1
    done: bool = False


@dataclass(frozen=True)
class Death:
    """An environment that dies of a request: once AWS has done what it asks for, or instead."""

    done: bool
    come: Callable[[], None]


@dataclass(frozen=True)
class _ForkServer:
    """See devstack/shared/fork_server.py."""

    name: str
    process: subprocess.Popen[bytes]


class _Environment:
    """One emulator process with its runtime: serves one invocation at a time, keeps what the handler leaves in memory."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, log: Path, session: str, on_line: Callable[[bytes], None]
    ):
        self.process = process
        self._on_line = on_line
        self.session = session  # what it signs its requests to AWS with
        self.requests: Counter[str] = Counter()  # of this invocation, by action
        self.killed = False
        self.retired = False  # it ends when it has nothing more to do
        self.port = port
        self.cold = True
        self.idle_since = time.monotonic()
        self._init_ms: float | None = None
        self._init_told = threading.Event()
        if process.stdout is None:
            raise ValueError("the process was started without a pipe")
        self._reader = threading.Thread(target=self._copy_log, args=(process.stdout, log), daemon=True)
        self._reader.start()

    def _copy_log(self, output: IO[bytes], log: Path) -> None:
        with output, log.open("ab", buffering=0) as file:
            for line in output:
                file.write(line)
                self._on_line(line)
                if found := _INIT_REPORT.search(line):
                    self._init_ms = float(found.group(1))
                    self._init_told.set()
        self._init_told.set()  # it has ended

    def await_init(self, seconds: float) -> None:
        """Waits until it is ready for its first invocation, or has ended."""
        self._init_told.wait(seconds)

    def init_ms(self) -> float | None:
        """How long its start took, as the emulator's log tells, which may come a little after its answer."""
        self._init_told.wait(5)
        return self._init_ms

    def invoke(self, event: bytes, request_id: str, timeout: float) -> tuple[int, bytes]:
        """Status and body of the emulator's answer. Raises OSError or http.client.HTTPException when the process dies."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(
                "POST", "/2015-03-31/functions/function/invocations", event, {"X-Amzn-RequestId": request_id}
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def end(self) -> None:
        """End it and everything that it started; returns when all of it has ended."""
        with socket.socket(socket.AF_UNIX) as keeper:  # the runtime first: it would log that the emulator is gone
            keeper.settimeout(_INIT_SECONDS)
            if keeper.connect_ex(f"\0{self.session}") == 0:
                with contextlib.suppress(OSError):  # nothing is ever sent: it is gone, or the emulator's end has to do
                    keeper.recv(1)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(_INIT_SECONDS)  # the output's last holder is the runtime


class LambdaRuntime:
    """The functions of a stack and their environments."""

    def __init__(
        self,
        directory: Path,
        python: Path,
        *,
        endpoint: str,
        region: str,
        account: str,
        idle_seconds: float = IDLE_SECONDS,
        copies: bool = True,
        concurrency: int = 1000,
    ):
        """`directory` holds code and logs; `python` is the runtime's interpreter, with awslambdaric and boto3 only.

        Without `copies` each environment starts an interpreter of its own, as Lambda does: to measure how long that takes.
        `concurrency`: of all functions together (Lambda: 1,000 in a region, 10 in many new accounts).
        """
        self._idle_seconds = idle_seconds
        self._copies = copies
        self._servers: dict[Path, _ForkServer] = {}  # by the code that they run
        self._directory = directory
        self._python = python
        self._endpoint = endpoint
        self._region = region
        self._account = account
        self._functions: dict[str, Function] = {}
        self._environments: dict[Function, list[_Environment]] = {}
        self._idle: dict[Function, list[_Environment]] = {}
        self._lock = threading.Lock()
        self._freed: dict[
            Function, threading.Condition
        ] = {}  # one each: a notice to another function's waiter would be lost
        self._kills: dict[str, deque[Kill]] = {}
        self._kills_at_requests: dict[str, deque[Kill]] = {}
        self._busy: dict[str, tuple[Function, _Environment]] = {}  # by session
        self.invocations: deque[Invocation] = deque(maxlen=100_000)
        self.on_line: Callable[[Function, bytes], None] = lambda *_: None  # told of each line that a function logs
        self.on_invocation: Callable[[str, bool], None] = lambda *_: None  # and of each invocation's end
        # A process started by a thread is told of that thread's end, so one thread that never ends starts them all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="environments")
        self._starting = threading.Semaphore(STARTING)
        self._at_work = 0
        self._concurrency = concurrency
        self._leaving = threading.Condition()
        self._events = ThreadPoolExecutor(max_workers=64, thread_name_prefix="events")
        threading.Thread(target=self._end_idle, daemon=True).start()

    # Deploying.

    def deploy(self, function: Function, code: bytes, sha256: str) -> Function:
        """Unpack `code` (a zip) and run it from now on; environments of an earlier deployment end when they are free."""
        folder = self._directory / "code" / sha256[:32]
        if not folder.exists():
            fresh = folder.with_name(f"{folder.name}.{uuid4().hex}")
            with zipfile.ZipFile(io.BytesIO(code)) as archive:
                archive.extractall(fresh)
            for path in [*fresh.rglob("*"), fresh]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            try:
                fresh.rename(folder)
            except OSError:  # another function with the same code was faster
                if not folder.exists():
                    raise
        function = replace(function, code=folder)
        with self._lock:
            earlier = self._functions.get(function.name)
            self._functions[function.name] = function
        if earlier and earlier != function:
            self._retire(earlier)
        return function

    def remove(self, name: str) -> None:
        """Forget a function."""
        with self._lock:
            function = self._functions.pop(name)
        self._retire(function)

    def _retire(self, function: Function) -> None:
        with self._lock:
            idle = self._idle.pop(function, [])
            for environment in idle:
                self._environments[function].remove(environment)
        for environment in idle:
            environment.end()

    def find(self, name: str) -> Function | None:
        """A function by its name, ARN, or either with a qualifier."""
        parts = name.split(":")
        short = parts[6] if len(parts) > 6 else parts[0]
        return self._functions.get(short)

    @property
    def functions(self) -> list[Function]:
        """All functions."""
        return list(self._functions.values())

    # Running.

    def fail_next(self, logical_id: str, kill: Kill, times: int) -> None:
        """Let the next invocations of a function die."""
        kills = self._kills_at_requests if kill.action else self._kills
        kills.setdefault(logical_id, deque()).extend([kill] * times)

    def deaths_to_come(self, logical_id: str) -> int:
        """How many invocations of a function are still to die."""
        return sum(len(kills.get(logical_id, ())) for kills in (self._kills, self._kills_at_requests))

    def end_idle(self, logical_id: str) -> None:
        """End a function's environments, as Lambda may: the next invocations start cold. One at work ends after it."""
        for function in self.functions:
            if function.logical_id == logical_id:
                self._retire(function)
                with self._lock:
                    for environment in self._environments.get(function, []):
                        environment.retired = True

    def clear_faults(self) -> None:
        """No invocation dies of a fault any more."""
        self._kills.clear()
        self._kills_at_requests.clear()

    def death_at(self, session: str, action: str) -> Death | None:
        """Asked once for each request of an environment to AWS: whether it dies of it."""
        with self._lock:
            found = self._busy.get(session)
            if found is None:
                return None
            function, environment = found
            environment.requests[action] += 1
            kills = self._kills_at_requests.get(function.logical_id)
            kill = kills[0] if kills else None
            if not kills or not kill or (kill.action, kill.request) != (action, environment.requests[action]):
                return None
            kills.popleft()
            environment.killed = True
            return Death(kill.done, environment.end)

    def invoke_event(self, function: Function, event: bytes) -> None:
        """Invoke asynchronously: twice more after a failure, as Lambda does."""

        def attempts() -> None:
            for pause in (*EVENT_RETRY_SECONDS, None):
                if self.invoke(function, event, is_event=True).function_error is None or pause is None:
                    return
                time.sleep(pause)

        self._events.submit(attempts)

    def invoke(
        self,
        function: Function,
        event: bytes,
        request_id: str | None = None,
        *,
        is_event: bool = False,
    ) -> Result:
        """Invoke and wait. Raises ThrottledError and ConcurrencyError, and nothing for what the function does.

        Errors of the function are in the result. An event waits for as long as it takes (Lambda keeps it for six hours).
        """
        with self._place(waits=is_event):
            return self._invoke(function, event, request_id or str(uuid4()), None if is_event else PATIENCE_SECONDS)

    @contextlib.contextmanager
    def _place(self, *, waits: bool) -> Iterator[None]:
        """One of those that may be at work at once. Raises ConcurrencyError."""
        with self._leaving:
            while self._at_work >= self._concurrency:
                if not waits:
                    raise ConcurrencyError
                self._leaving.wait()
            self._at_work += 1
        try:
            yield
        finally:
            with self._leaving:
                self._at_work -= 1
                self._leaving.notify()

    def _invoke(self, function: Function, event: bytes, request_id: str, patience: float | None) -> Result:
        environment = self._take(function, patience)
        cold = environment.cold
        if cold:
            self._starting.acquire()
            threading.Thread(target=self._await_init, args=(environment,), daemon=True).start()
        started, began = time.time(), time.monotonic()
        kills = self._kills.get(function.logical_id)
        kill = kills.popleft() if kills else None
        with self._lock:
            environment.requests.clear()
            self._busy[environment.session] = (function, environment)
        if kill and kill.after_ms == 0:
            environment.end()
        timer = None
        if kill and kill.after_ms:
            timer = threading.Timer(kill.after_ms / 1000, environment.end)
            timer.start()
        healthy = True
        try:
            status, body = environment.invoke(event, request_id, function.timeout + _INIT_SECONDS)
        except (OSError, http.client.HTTPException):
            status, body, healthy = 502, b"", False
        if timer:
            timer.cancel()
        with self._lock:
            del self._busy[environment.session]
        killed = bool(kill) or environment.killed
        if killed:
            healthy, status, body = False, 502, b""
        if not body and status == 502:
            reason = "signal: killed" if killed else "exit status 1"
            body = _error(request_id, "Runtime.ExitError", f"Runtime exited with error: {reason}")
        elif body == f"Task timed out after {function.timeout}.00 seconds".encode():
            status, body = 502, _error(request_id, "Sandbox.Timedout", body.decode())
        error = _error_type(status, body)
        if error and error.startswith(("Runtime.", "Sandbox.")):
            healthy = False  # Lambda starts a new environment after these
        duration = (time.monotonic() - began) * 1000
        self.invocations.append(
            Invocation(function.logical_id, started, cold, environment.init_ms() if cold else None, duration, error)
        )
        self.on_invocation(function.name, bool(error))
        self._give_back(function, environment, healthy=healthy)
        return Result(200, body, "Unhandled" if error else None)

    def _await_init(self, environment: _Environment) -> None:
        environment.await_init(_INIT_SECONDS)
        self._starting.release()

    def _take(self, function: Function, patience: float | None) -> _Environment:
        deadline = None if patience is None else time.monotonic() + patience
        with self._lock:
            while True:
                if idle := self._idle.get(function):
                    return idle.pop()
                environments = self._environments.setdefault(function, [])
                if len(environments) < ENVIRONMENTS_EACH:
                    break
                left = None if deadline is None else deadline - time.monotonic()
                freed = self._freed.setdefault(function, threading.Condition(self._lock))
                if not freed.wait(left):
                    raise ThrottledError(function.name)
            environment = self._starter.submit(self._start, function).result()
            environments.append(environment)
        _await_socket(socket.AF_INET, ("127.0.0.1", environment.port), environment.process)
        return environment

    def _give_back(self, function: Function, environment: _Environment, *, healthy: bool) -> None:
        current = self._functions.get(function.name) == function and not environment.retired
        with self._lock:
            if healthy and current:
                environment.cold = False
                environment.idle_since = time.monotonic()
                self._idle.setdefault(function, []).append(environment)
            else:
                self._environments[function].remove(environment)
            if freed := self._freed.get(function):
                freed.notify()
        if not (healthy and current):
            environment.end()

    def _start(self, function: Function) -> _Environment:
        port = free_port()
        session = uuid4().hex
        if self._copies:
            runtime = ["-IS", str(FORK_CLIENT), self._fork_server(function.code), function.handler]
        else:
            runtime = ["-m", "awslambdaric", function.handler]
        logs = self._directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        command = [
            *TETHER,
            str(_EMULATOR),
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{port}",
            "--runtime-api-address",
            f"127.0.0.1:{free_port()}",
            *TETHER,
            str(self._python),
            *runtime,
        ]
        process = subprocess.Popen(
            command,
            cwd=function.code,
            env=self._environment_of(function, session),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return _Environment(
            process, port, logs / f"{function.logical_id}.log", session, partial(self.on_line, function)
        )

    def _fork_server(self, code: Path) -> str:
        """The name of the one that runs this code; it is started if there is none."""
        if code not in self._servers:
            name = f"on-call-lambda-{uuid4().hex}"
            command = [*TETHER, str(self._python), str(FORK_SERVER), "lambda", name, str(code)]
            process = subprocess.Popen(command, env=_variables(code), stdin=subprocess.DEVNULL)
            _await_socket(socket.AF_UNIX, f"\0{name}", process)
            self._servers[code] = _ForkServer(name, process)
        return self._servers[code].name

    def _environment_of(self, function: Function, session: str) -> dict[str, str]:
        """The function's variables and those that Lambda sets, and nothing of this process."""
        return {
            **_variables(function.code),
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            # Lambda gives it the role's credentials; here the key is the role's name, so that the endpoint knows it.
            "AWS_ACCESS_KEY_ID": function.role,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": session,
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid4().hex}",
            "AWS_LAMBDA_LOG_FORMAT": function.log_format,
            **dict(function.environment),
        }

    def _end_idle(self) -> None:
        while True:
            time.sleep(min(SPARE_SECONDS, self._idle_seconds) / 3)
            now = time.monotonic()
            with self._lock:
                old = [
                    (function, environment)
                    for function, idle in self._idle.items()
                    for spare, environment in enumerate(reversed(idle))  # the last one is the next to work
                    if environment.idle_since < now - (SPARE_SECONDS if spare else self._idle_seconds)
                ]
                for function, environment in old:
                    self._idle[function].remove(environment)
                    self._environments[function].remove(environment)
            for _, environment in old:
                environment.end()

    def measurements(self, after: int = 0) -> list[dict[str, Any]]:
        """The invocations so far, oldest first, without the first so many."""
        return [asdict(invocation) for invocation in tuple(self.invocations)[after:]]  # it grows meanwhile


def _variables(code: Path) -> dict[str, str]:
    """Those that are the same for all functions of this code."""
    return {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(code),
        # The emulator hands no trace on, and the SDK would log of every segment that it belongs to none.
        "AWS_XRAY_SDK_ENABLED": "false",
        # Lambda's code folder is read-only; for root a folder's permissions are not, so bytecode is not written by this.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _await_socket(family: int, address: tuple[str, int] | str, process: subprocess.Popen[bytes]) -> None:
    """Until a process listens, or has ended."""
    deadline = time.monotonic() + _INIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(family) as knock:
            if knock.connect_ex(address) == 0:
                return
        time.sleep(0.005)


def _error(request_id: str, kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}).encode()


def _error_type(status: int, body: bytes) -> str | None:
    """The type of a function's error; the emulator answers with 200 for what a handler raises."""
    if status == 200 and b'"errorType"' not in body:
        return None
    try:
        parsed = json.loads(body)
    except ValueError:
        return None if status == 200 else "Unhandled"
    names = set(parsed) if isinstance(parsed, dict) else set()
    if status == 200 and not {"errorType", "errorMessage"} <= names <= {
        "errorType",
        "errorMessage",
        "requestId",
        "stackTrace",
    }:
        return None
    return str(parsed.get("errorType"))
