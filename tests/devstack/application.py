"""A fake application for the simulators to call: it keeps what it receives, and answers what the test wants."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    method: str
    url: str  # path and query exactly as sent
    form: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass
class Application:
    """Answers each path with what `answers` has for it, the last one again and again; an empty TwiML document otherwise."""

    base: str = ""
    received: list[Received] = field(default_factory=list)
    answers: dict[str, deque[Response | Callable[[], Response]]] = field(default_factory=lambda: defaultdict(deque))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """Keep the request, answer it."""
        request = Request(environ)
        body = request.get_data(as_text=True, parse_form_data=False)
        with self.lock:
            self.received.append(
                Received(
                    request.method, environ["REQUEST_URI"], request.form.to_dict(), dict(request.headers.items()), body
                )
            )
            waiting = self.answers[request.path]
            answer = (waiting.popleft() if len(waiting) > 1 else waiting[0]) if waiting else twiml("<Response/>")
        response = answer() if not isinstance(answer, Response) else answer
        return list(response(environ, start_response))

    def answer(self, path: str, *answers: Response | Callable[[], Response]) -> str:
        """Have `path` answer with these, in turn. Returns its URL."""
        with self.lock:
            self.answers[path].extend(answers)
        return self.base + path

    def at(self, path: str) -> list[Received]:
        """What came to `path` so far."""
        with self.lock:
            return [each for each in self.received if each.url.partition("?")[0] == path]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


@contextmanager
def serving(app: "WSGIApplication") -> Iterator[str]:
    """Serve `app` on 127.0.0.1 while in the block; yields its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def twiml(document: str, status: int = 200, content_type: str = "text/xml") -> Response:
    """A TwiML answer."""
    return Response(document, status, content_type=content_type)


def wait_for[Value](probe: Callable[[], Value | Literal[False]], what: str, seconds: float = 20) -> Value:
    """What `probe` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)
    return value
