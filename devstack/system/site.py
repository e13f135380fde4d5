"""The small site to break: it answers every path with the status that it was told."""

import argparse
import json
import math
import time
from threading import Lock
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from devstack.shared.serve import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_MAX_DELAY = 60.0  # seconds


def create_app() -> "WSGIApplication":
    """The site. `PUT /_sim/site {"status": 503, "delay": seconds}` sets what any other request gets; GET shows it.

    What is left out of the PUT goes back to its default: status 200, no delay.
    """
    state: dict[str, float] = {"status": 200, "delay": 0}
    lock = Lock()

    @Request.application
    def app(request: Request) -> Response:
        if request.path == "/_sim/site":
            return control(request)
        with lock:
            status, delay = int(state["status"]), state["delay"]
        time.sleep(delay)
        return Response("The site is up.\n" if status == 200 else f"The site answers {status}.\n", status=status)

    def control(request: Request) -> Response:
        if request.method == "PUT":
            try:
                wanted = _parse(request.get_data())
            except ValueError as error:
                return _json({"error": str(error)}, 400)
            with lock:
                state.update(wanted)
        elif request.method != "GET":
            return _json({"error": "GET or PUT"}, 405)
        with lock:
            return _json(dict(state))

    return app


def _parse(body: bytes) -> dict[str, float]:
    wanted: Any = json.loads(body or b"null")
    if not isinstance(wanted, dict) or not wanted.keys() <= {"status", "delay"}:
        raise ValueError('the body is an object with "status" and "delay", or one of them')
    status, delay = wanted.get("status", 200), wanted.get("delay", 0)
    if type(status) is not int or not 200 <= status <= 599:
        raise ValueError("status is a whole number from 200 to 599")
    if type(delay) not in (int, float) or not math.isfinite(delay) or not 0 <= delay <= _MAX_DELAY:
        raise ValueError(f"delay is a number of seconds from 0 to {_MAX_DELAY:.0f}")
    return {"status": status, "delay": delay}


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def main() -> None:
    """Serve the site until told to end."""
    parser = argparse.ArgumentParser(prog="python -m devstack.system.site", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    serve(create_app(), parser.parse_args().port)


if __name__ == "__main__":
    main()
