"""A telephone network: lines that ring, calls that run, and what an application hears of them.

Providers place their calls on it (`Exchange`): one phone, whoever calls it.

Each call runs in a thread of its own, and its status callbacks go out, in order, from another. Everything a call shares
is guarded by one condition, `Network.changed`, which is notified on every change.

Statuses: queued, initiated, ringing, in-progress, then one of completed, busy, no-answer, failed, canceled.
Times are in seconds; points in time are epoch seconds.
"""

import math
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from devstack.shared import twiml, webhooks
from devstack.shared.simulator import Faults

ENDED = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
BEHAVIOURS = ("ring", "answer", "no-answer", "busy", "failed", "voicemail", "invalid", "forbidden")
APPLICATION_ERROR = "<Response><Say>We are sorry. An application error has occurred. Goodbye.</Say></Response>"
_NEVER = 600.0  # seconds until a call that never rings is given up
_MOST_LOOPS = 1000  # Twilio: loop="0" repeats up to 1,000 times


class ImpossibleError(Exception):
    """What was asked of a call does not go with its status."""


@dataclass(frozen=True)
class Line:
    """What a phone does with its next calls. `after` None: the behaviour's own time.

    `press_after`: the person presses when the prompts of a Gather are over, but no later than this into it.
    """

    behaviour: str = "ring"
    after: float | None = None
    digits: str = ""
    press_after: float = 10.0


@dataclass
class Settings:
    """How the network behaves. `speech_rate` 1: people and machines speak as in life; 1000: a thousand times faster."""

    speech_rate: float = 1.0
    calls_per_second: float = 1.0  # Twilio: one new call a second per account, the rest is queued
    ring_buffer: float = 2.0  # Twilio: a Timeout may last up to 5 s longer than asked for
    network_delay: float = 0.05  # between the steps of setting a call up


@dataclass
class Call:
    """One phone call. Change it only while holding `Network.changed`."""

    sid: str
    exchange: "Exchange"
    to: str
    from_: str
    parameters: Mapping[str, Any]
    created_at: float
    dial_at: float
    rings: bool = True  # False: it is taken, and no phone ever rings
    status: str = "queued"
    answered_by: str | None = None
    detected: str | None = None  # what answering machine detection told the application
    said: list[str] = field(default_factory=list)
    digits: str = ""
    initiated_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    statuses: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    keys: deque[str] = field(default_factory=deque)  # pressed, and not yet taken by a Gather
    script: deque[str] = field(default_factory=deque)  # what the line's person is going to press
    press_at: float | None = None  # and when it presses the next of it (monotonic)
    line: Line = field(default_factory=Line)
    answer_when_ringing: bool = False
    redirect: "Source | None" = None
    status_callback: tuple[str, str] | None = None
    callbacks: "queue.SimpleQueue[Mapping[str, str] | None]" = field(default_factory=queue.SimpleQueue)
    sequence: int = 0

    @property
    def duration(self) -> int:
        """Seconds talked, rounded up; 0 if nobody answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0
        return math.ceil(self.ended_at - self.answered_at)


@dataclass(frozen=True)
class Source:
    """Where the next TwiML comes from: `document` itself, or an answer of `url`."""

    document: str | None = None
    url: str = ""
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)


class Exchange(ABC):
    """A provider's side of the network: how it speaks to the application, what goes wrong with it, what it has sent."""

    name: str

    def __init__(self) -> None:
        self.faults = Faults()
        self.errors: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.next_dial = 0.0

    @abstractmethod
    def new_sid(self) -> str:
        """An id for a new call."""

    @abstractmethod
    def about(self, call: Call) -> dict[str, str]:
        """What every request to the application says of its call."""

    @abstractmethod
    def progress(self, call: Call) -> dict[str, str]:
        """What a status callback says of a call."""

    @abstractmethod
    def parse(self, document: str | bytes) -> list[twiml.Verb]:
        """The verbs of a document. Raises twiml.TwimlError."""

    @abstractmethod
    def send(self, url: str, method: str, parameters: Mapping[str, str]) -> webhooks.Answer:
        """Sends a request to the application, signed. Raises webhooks.WebhookError."""


class _Ended(Exception):  # noqa: N818 -- no error: the conversation is over
    pass


class _Redirected(Exception):  # noqa: N818 -- no error: the API gave the call another document
    pass


class Network:
    """All lines, and the calls of all providers."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.settings = Settings()
        self.lines: dict[str, Line] = {}
        self.automatic: dict[
            str, Callable[[Call], None]
        ] = {}  # numbers that answer by themselves, unless they are a line
        self.calls: dict[str, Call] = {}

    # What the outside does

    def dial(
        self, exchange: Exchange, to: str, from_: str, parameters: Mapping[str, Any], *, rings: bool = True
    ) -> Call:
        """Accept a call; it is dialled as soon as the account's calls per second allow it.

        `parameters` have Twilio's names. `rings` False: it is taken, and no phone ever rings.
        """
        with self.changed:
            now = time.time()
            dial_at = max(now, exchange.next_dial)
            exchange.next_dial = dial_at + 1 / self.settings.calls_per_second
            call = Call(exchange.new_sid(), exchange, to, from_, parameters, now, dial_at, rings)
            if "StatusCallback" in parameters:
                call.status_callback = (parameters["StatusCallback"], parameters.get("StatusCallbackMethod", "POST"))
            call.statuses.append({"status": "queued", "at": now})
            self.calls[call.sid] = call
            self.changed.notify_all()
        threading.Thread(target=self._deliver, args=(call,), name=f"callbacks {call.sid}", daemon=True).start()
        threading.Thread(target=self._run, args=(call,), name=f"call {call.sid}", daemon=True).start()
        return call

    def answer(self, call: Call) -> None:
        """A person picks up. Before the phone rings: as soon as it does."""
        with self.changed:
            if call.status in {"queued", "initiated"}:
                call.answer_when_ringing = True
            elif call.status == "ringing":
                self._answered(call, "human")
            else:
                raise ImpossibleError(f"the call is {call.status}: only a ringing phone can be answered")

    def decline(self, call: Call) -> None:
        """A person rejects the ringing call."""
        with self.changed:
            if call.status != "ringing":
                raise ImpossibleError(f"the call is {call.status}: only a ringing phone can be declined")
            self._end(call, "busy")

    def hang_up(self, call: Call) -> None:
        """The person on the phone hangs up."""
        with self.changed:
            if call.status != "in-progress":
                raise ImpossibleError(f"the call is {call.status}: there is nothing to hang up")
            self._end(call, "completed")

    def press(self, call: Call, digits: str) -> None:
        """The person on the phone presses keys."""
        with self.changed:
            if call.status != "in-progress":
                raise ImpossibleError(f"the call is {call.status}: keys are heard only while it is in progress")
            self._pressed(call, digits)

    def cancel(self, call: Call, status: str) -> None:
        """The application ends the call: `canceled` before it is answered only, `completed` at any time."""
        with self.changed:
            if call.status in ENDED:
                raise ImpossibleError("Call is not in-progress. Cannot redirect.")
            if call.status != "in-progress":
                self._end(call, "canceled")
            elif status == "completed":
                self._end(call, "completed")

    def redirect(self, call: Call, source: Source) -> None:
        """The application gives a call in progress another document."""
        with self.changed:
            if call.status != "in-progress":
                raise ImpossibleError("Call is not in-progress. Cannot redirect.")
            call.redirect = source
            self.changed.notify_all()

    def record_error(
        self, exchange: Exchange, code: int, message: str, call: Call | None = None, **details: object
    ) -> None:
        """Keep what went wrong for `/_sim/errors`, as a provider's debugger does."""
        error = {"at": time.time(), "code": code, "message": message, "call": call.sid if call else None, **details}
        with self.changed:
            exchange.errors.append(error)
            if call is not None:
                call.errors.append(error)
            self.changed.notify_all()

    # Statuses; each of these is called with the lock held

    def _move(self, call: Call, status: str) -> None:
        now = time.time()
        call.status = status
        call.statuses.append({"status": status, "at": now})
        if status == "initiated":
            call.initiated_at = now
        event = {"in-progress": "answered"}.get(status, "completed" if status in ENDED else status)
        if status in ENDED:
            call.ended_at = now
        if event in call.parameters.get("StatusCallbackEvent", ["completed"]):
            call.callbacks.put(call.exchange.progress(call))
            call.sequence += 1
        if status in ENDED:
            call.callbacks.put(None)
        self.changed.notify_all()

    def _end(self, call: Call, status: str) -> None:
        if call.status not in ENDED:
            self._move(call, status)

    def _answered(self, call: Call, by: str) -> None:
        call.answered_at = time.time()
        call.answered_by = by
        self._move(call, "in-progress")

    def _pressed(self, call: Call, digits: str) -> None:
        call.digits += digits
        call.keys.extend(digits)
        self.changed.notify_all()

    # Waiting

    def _wait(self, call: Call, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait at most `seconds` for `until`, with the lock held. True if it came.

        Raises _Ended when the call ends meanwhile, _Redirected when the application gives it another document.
        """
        deadline = time.monotonic() + seconds
        while True:
            if call.status in ENDED:
                raise _Ended
            if call.redirect is not None:
                raise _Redirected
            now = time.monotonic()
            left = self._time_left(call)
            if left <= 0:
                self._end(call, "completed")
                raise _Ended
            if call.press_at is not None and call.press_at <= now:
                call.press_at = None
                self._pressed(call, call.script.popleft())
            if until():
                return True
            if deadline <= now:
                return False
            self.changed.wait(min(min(deadline, call.press_at or deadline) - now, left))

    def _time_left(self, call: Call) -> float:
        """Seconds until Twilio ends the call whatever it is at (TimeLimit, which counts from the answer)."""
        if call.answered_at is None:
            return math.inf
        return call.answered_at + int(call.parameters.get("TimeLimit", 14_400)) - time.time()

    # The life of a call, in its own thread

    def _run(self, call: Call) -> None:
        try:
            with self.changed:
                self._set_up(call)
            self._converse(call)
        except _Ended:
            pass
        finally:
            with self.changed:
                self._end(call, "completed" if call.answered_at is not None else "failed")

    def _set_up(self, call: Call) -> None:
        """From queued to answered, with the lock held. Raises _Ended if it never is."""
        self._wait(call, call.dial_at - time.time())
        line = call.line = self.lines.get(call.to, Line())
        self._move(call, "initiated")
        self._wait(call, self.settings.network_delay)
        if not call.rings:
            self._wait(call, _NEVER)
            self._end(call, "failed")
            raise _Ended
        if line.behaviour in {"failed", "invalid", "forbidden"} or (line.behaviour == "busy" and not line.after):
            self._wait(call, line.after or 0)
            self._end(call, "busy" if line.behaviour == "busy" else "failed")
            raise _Ended
        self._move(call, "ringing")
        self._ring(call, line)

    def _ring(self, call: Call, line: Line) -> None:
        timeout = int(call.parameters.get("Timeout", 60)) + self.settings.ring_buffer
        after = timeout
        if call.to in self.automatic and call.to not in self.lines:
            threading.Thread(target=self.automatic[call.to], args=(call,), daemon=True).start()
        if call.answer_when_ringing:
            self._answered(call, "human")
        elif line.behaviour in {"answer", "voicemail"}:
            after = 1.0 if line.after is None else line.after
        elif line.behaviour in {"busy", "no-answer"} and line.after is not None:
            after = line.after
        try:
            if self._wait(call, min(after, timeout), lambda: call.status == "in-progress"):
                return
        except _Redirected:  # only a call in progress is given another document: it was answered
            return
        if after > timeout or line.behaviour in {"ring", "no-answer"}:
            self._end(call, "no-answer")
        elif line.behaviour == "busy":
            self._end(call, "busy")
        else:
            call.script.extend(line.digits)
            self._answered(call, "machine" if line.behaviour == "voicemail" else "human")
        if call.status in ENDED:
            raise _Ended

    def _converse(self, call: Call) -> None:
        """Perform document after document, until the last one ends or somebody hangs up."""
        source: Source | None = _first_source(call)
        fallback = call.parameters.get("FallbackUrl")
        detecting = "MachineDetection" in call.parameters
        while source is not None:
            try:
                if detecting:
                    detecting = False
                    with self.changed:
                        self._detect_machine(call)
                source = self._perform(call, *self._obtain(call, source))
            except _Redirected:
                with self.changed:
                    source, call.redirect = call.redirect, None
            except (twiml.TwimlError, webhooks.WebhookError) as error:
                failed = source.url if source else ""
                self.record_error(call.exchange, error.code, str(error), call, url=failed)
                source = Source(document=APPLICATION_ERROR)
                if fallback is not None:
                    method = call.parameters.get("FallbackMethod", "POST")
                    source = Source(None, fallback, method, {"ErrorCode": str(error.code), "ErrorUrl": failed})
                    fallback = None

    def _detect_machine(self, call: Call) -> None:
        """Answering machine detection, with the lock held: the call waits for it, unless it is asynchronous."""
        human = call.answered_by == "human"
        machine = "machine_end_beep" if call.parameters["MachineDetection"] == "DetectMessageEnd" else "machine_start"
        seconds = 3.0 / self.settings.speech_rate
        if call.parameters.get("AsyncAmd") == "true":
            found = "human" if human else machine
            threading.Thread(target=self._detect_later, args=(call, found, seconds), daemon=True).start()
            return
        self._wait(call, seconds)
        call.detected = "human" if human else machine

    def _detect_later(self, call: Call, found: str, seconds: float) -> None:
        with self.changed:
            try:
                self._wait(call, seconds)
            except (_Ended, _Redirected):
                return
            call.detected = found
            about = call.exchange.about(call) | {"MachineDetectionDuration": str(round(seconds * 1000))}
        url = call.parameters.get("AsyncAmdStatusCallback")
        if url is not None:
            self._send(call, url, call.parameters.get("AsyncAmdStatusCallbackMethod", "POST"), about)

    def _obtain(self, call: Call, source: Source) -> tuple[str, list[twiml.Verb]]:
        """The verbs of `source`, and the URL that its relative URLs build on."""
        if source.document is not None:
            return "", call.exchange.parse(source.document)
        with self.changed:
            about = call.exchange.about(call)
        answer = self._request(call, source.url, source.method, about | dict(source.parameters))
        return source.url, call.exchange.parse(twiml.checked_body(answer))

    # Performing TwiML

    def _perform(self, call: Call, base: str, verbs: list[twiml.Verb]) -> Source | None:
        """Perform the verbs; return where to go on, None if the document ends (and with it the call)."""
        with self.changed:
            self._wait(call, 0)  # an end or another document that came while this one was fetched
        for verb in verbs:
            with self.changed:
                match verb:
                    case twiml.Gather():
                        digits = self._gather(call, verb)
                        if digits is not None:
                            finished = {"Digits": digits, "msg": "Gather End"}
                            return Source(url=_join(base, verb.action or ""), method=verb.method, parameters=finished)
                    case twiml.Redirect():
                        return Source(url=_join(base, verb.url), method=verb.method)
                    case twiml.Hangup():
                        return None
                    case _:
                        self._prompt(call, verb)
        return None

    def _prompt(
        self, call: Call, verb: twiml.Say | twiml.Pause | twiml.Play, stop: Callable[[], bool] | None = None
    ) -> None:
        """Say, pause or play, with the lock held, until it is over or `stop`."""
        stop = stop or (lambda: False)
        match verb:
            case twiml.Pause():
                self._wait(call, verb.length, stop)
            case twiml.Play():
                for _ in range(verb.loop or _MOST_LOOPS):
                    if self._wait(call, 1.0 / self.settings.speech_rate, stop):  # how long it is, nobody looks
                        return
            case twiml.Say():
                for _ in range(verb.loop or _MOST_LOOPS):
                    if self._speak(call, verb, stop):
                        return

    def _speak(self, call: Call, say: twiml.Say, stop: Callable[[], bool]) -> bool:
        """Say it as long as it takes: 15 characters a second, 7 in Japanese. True if `stop` cut it short."""
        seconds = len(say.text) / (7 if say.japanese else 15) + say.breaks
        call.said.append(say.text)
        self.changed.notify_all()
        return self._wait(call, seconds / self.settings.speech_rate, stop)

    def _gather(self, call: Call, gather: twiml.Gather) -> str | None:
        """Prompt and collect keys, with the lock held. None: nothing was pressed, go on with the next verb."""

        def key_waits() -> bool:
            return bool(call.keys) and gather.keys

        if call.script and gather.keys:
            call.press_at = time.monotonic() + call.line.press_after
        for prompt in gather.prompts:
            if not key_waits():
                self._prompt(call, prompt, key_waits)
        if call.answered_by == "machine" and call.said:
            self._end(call, "completed")  # the recording stops when it hears nothing more
        if call.press_at is not None:
            call.press_at = time.monotonic()
        collected = self._collect(call, gather, key_waits)
        call.press_at = None
        return collected if collected or gather.action_on_empty_result else None

    def _collect(self, call: Call, gather: twiml.Gather, key_waits: Callable[[], bool]) -> str:
        """Keys until there are enough, the finishing one is pressed, or none comes within the Gather's timeout."""
        collected = ""
        while self._wait(call, gather.timeout, key_waits):
            key = call.keys.popleft()
            if key != gather.finish_on_key:
                collected += key
            elif collected:
                break
            if len(collected) == gather.num_digits:
                break
            if call.script:
                call.press_at = time.monotonic()
        return collected

    # Requests to the application

    def _deliver(self, call: Call) -> None:
        """Send the status callbacks of a call, one after the other."""
        while (parameters := call.callbacks.get()) is not None:
            if call.status_callback is None:
                continue
            url, method = call.status_callback
            if call.exchange.faults.take("drop") is not None:
                self._note(call, url, parameters, "dropped")
                continue
            self._send(call, url, method, parameters)

    def _send(self, call: Call, url: str, method: str, parameters: Mapping[str, str]) -> None:
        """Send what needs no answer; a failure is recorded and changes nothing."""
        try:
            self._request(call, url, method, parameters)
        except webhooks.WebhookError as error:
            self.record_error(call.exchange, error.code, str(error), call, url=url)

    def _request(self, call: Call, url: str, method: str, parameters: Mapping[str, str]) -> webhooks.Answer:
        """One request, with the faults that are set: late, or twice (as a retry whose first answer was lost)."""
        delay = call.exchange.faults.take("delay")
        if delay is not None:
            time.sleep(delay["seconds"])
        times = 2 if call.exchange.faults.take("repeat") is not None else 1
        for attempt in range(times):
            try:
                answer = call.exchange.send(url, method, parameters)
            except webhooks.WebhookError as error:
                self._note(call, url, parameters, f"{error} (attempts: {error.attempts})", error.status)
                if attempt == times - 1:
                    raise
            else:
                self._note(call, url, parameters, "sent", answer.status)
        return answer

    def _note(
        self, call: Call, url: str, parameters: Mapping[str, str], outcome: str, status: int | None = None
    ) -> None:
        with self.changed:
            note = {"at": time.time(), "call": call.sid, "url": url, "parameters": dict(parameters)}
            call.exchange.sent.append(note | {"outcome": outcome, "status": status})
            self.changed.notify_all()


def _join(base: str, url: str) -> str:
    """`url`, made absolute. Inline TwiML has no base: only an absolute URL will do there."""
    joined = urljoin(base, url) if base else url
    webhooks.parse_url(joined)
    return joined


def _first_source(call: Call) -> Source:
    if "Url" in call.parameters:
        return Source(url=call.parameters["Url"], method=call.parameters.get("Method", "POST"))
    return Source(document=call.parameters["Twiml"])
