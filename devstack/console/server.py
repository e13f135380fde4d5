"""The page on which the demo opens, for a person: phones, channel, state machine, monitoring and faults, behind one origin.

`GET /` the page (devstack/console/page/), `GET /api/events` all that it shows, as server-sent events, `GET /api/state` the same
once; `/api/{twilio,slack}/...` the simulators' controls, `PUT /api/faults/{switch}` `{"choice": "..."}` ("": it works),
`DELETE /api/faults` ends all; `POST /api/senders/{sender}` `{"choice": "firing" | "resolved"}` sends one alert, or its end;
`PUT /api/language` `{"choice": "en" | "ja"}` what phones and Slack speak.

It can press keys, so it answers to this machine's own names only (a foreign Host is DNS rebinding), and to no page but
its own (a foreign Origin is cross-site request forgery).
"""

import argparse
import json
import mimetypes
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from devstack.console.watch import Endpoints, Sources, Watch, request
from devstack.shared.serve import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_PAGE = Path(__file__).with_name("page")
_OWN_NAMES = {"127.0.0.1", "localhost", "::1"}
_LARGEST_BODY = 64 * 1024  # bytes
_CONTROL = re.compile(r"/api/(?P<part>twilio|slack|site)/(?P<rest>[\w.+:-]+(?:/[\w.+:-]+)*)", re.ASCII)
_CHOICE = re.compile(r"/api/(?P<of>faults|senders)/(?P<name>[a-z-]+)")
# Nothing from elsewhere, and no script or style within the page's text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(endpoints: Endpoints) -> "WSGIApplication":
    """The console of a devstack."""
    return Request.application(_Console(endpoints))


class _Console:
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._sources = Sources(endpoints)
        self._watch = Watch(self._sources)

    def __call__(self, request: Request) -> Response:
        response = self._respond(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def _respond(self, request: Request) -> Response:
        if refusal := _foreign(request):
            return _json({"error": refusal}, 403)
        chosen = _CHOICE.fullmatch(request.path)
        control = _CONTROL.fullmatch(request.path)
        match request.method, request.path:
            case "GET", "/api/state":
                return _json(self._watch.now())
            case "GET", "/api/events":
                return Response(self._watch.stream(), mimetype="text/event-stream")
            case "DELETE", "/api/faults":
                return self._do(self._sources.fix_all)
            case "PUT" | "POST", path if chosen or path == "/api/language":
                acts = {"faults": self._sources.choose, "senders": self._sources.send}
                act = partial(acts[chosen["of"]], chosen["name"]) if chosen else self._sources.speak
                return self._do(partial(act, _choice(request)))
            case _ if control and ".." not in control["rest"]:
                return self._pass_on(request, control["part"], control["rest"])
            case "GET" | "HEAD", _ if file := _file(request.path):
                kind = mimetypes.guess_type(file)[0]
                return Response(file.read_bytes(), mimetype=kind, headers={"Content-Security-Policy": _POLICY})
        return _json({"error": "there is no such address"}, 404)

    def _do(self, act: Callable[[], None]) -> Response:
        """Something that a person has chosen."""
        try:
            act()
        except KeyError as error:
            return _json({"error": f"there is no such switch, sender or choice: {error}"}, 404)
        except (ClientError, BotoCoreError) as error:
            return _json({"error": f"not done: {type(error).__name__}"}, 502)
        except requests.RequestException as error:  # its text has the address, which may hold a key
            answer = type(error).__name__ if error.response is None else error.response.text
            return _json({"error": f"not done: {answer}"}, 502)
        self._watch.stir()
        return _json({})

    def _pass_on(self, given: Request, part: str, rest: str) -> Response:
        if given.method not in {"GET", "POST", "PUT"}:
            return _json({"error": "GET, POST or PUT"}, 405)
        if (given.content_length or 0) > _LARGEST_BODY:
            return _json({"error": f"more than {_LARGEST_BODY} bytes"}, 413)
        url = f"{self._endpoints.control(part)}/{quote(rest, safe='/+')}"
        try:
            answer = request(given.method, url, data=given.get_data(), content_type=given.content_type)
        except requests.RequestException as error:
            return _json({"error": f"{part} does not answer: {type(error).__name__}"}, 502)
        self._watch.stir()
        return Response(answer.content, answer.status_code, content_type=answer.headers.get("Content-Type"))


def _foreign(request: Request) -> str | None:
    """Why the request is refused, or None if it comes from our own page or from no page at all (curl)."""
    host = request.headers.get("Host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in _OWN_NAMES:
        return "this console answers to 127.0.0.1 and localhost only"
    if request.headers.get("Origin", f"http://{host}") != f"http://{host}":
        return "this console takes requests from its own page only"
    return None


def _file(path: str) -> Path | None:
    """The file of the page that an address names."""
    wanted = "index.html" if path == "/" else path.removeprefix("/")
    return next((file for file in _PAGE.iterdir() if file.name == wanted), None)


def _choice(request: Request) -> str:
    body = request.get_json(force=True, silent=True)
    return str(body.get("choice", "")) if isinstance(body, dict) else ""


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, mimetype="application/json")


def main() -> None:
    """Serve the console until told to end."""
    parser = argparse.ArgumentParser(prog="python -m devstack.console.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    for name, field in Endpoints.__dataclass_fields__.items():
        required = field.default != ""
        parser.add_argument(f"--{name.replace('_', '-')}", required=required, default=None if required else "")
    arguments = vars(parser.parse_args())
    port = arguments.pop("port")
    serve(create_app(Endpoints(**arguments)), port)


if __name__ == "__main__":
    main()
