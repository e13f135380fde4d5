"""The control API (`/_sim/...`) of a telephone provider's stand-in: what the people on the network do, and what goes wrong.

Faults: `create`, `update` and the like hit requests of the API; `all` every request; `callbacks` what is sent to the
application. `"ring": false`, alone or in `create`, has calls taken whose phones never ring.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from devstack.shared.simulator import (
    ControlError,
    Fault,
    checked,
    control_body,
    control_error,
    is_count,
    is_flag,
    is_text,
    json_response,
    number_from,
)
from devstack.shared.telephone import BEHAVIOURS, Call, Exchange, Line, Network

E164 = re.compile(r"\+[1-9]\d{6,14}")
_KEYS = re.compile(r"[0-9*#]*")
_FAULT = {
    "status": number_from(400, 599),
    "code": is_count,
    "times": is_count,
    "lose_answer": is_flag,
    "delay": number_from(0),
    "message": is_text,
    "ring": is_flag,
    "body": is_text,
}
_CALLBACK_FAULT = {"drop": is_count, "delay": number_from(0), "repeat": is_count, "times": is_count}


class Control:
    """The control API of one provider on the network. `faulty` are the requests of its API that faults can hit."""

    def __init__(self, network: Network, exchange: Exchange, faulty: tuple[str, ...]) -> None:
        self._network = network
        self._exchange = exchange
        self._faulty = faulty

    def rules(self) -> list[Rule]:
        """The paths."""
        return [
            Rule("/_sim/calls", endpoint=self._sim_calls, methods=["GET"]),
            Rule("/_sim/calls/<sid>/<action>", endpoint=self._sim_call, methods=["POST"]),
            Rule("/_sim/lines", endpoint=self._sim_lines, methods=["GET"]),
            Rule("/_sim/lines/<number>", endpoint=self._sim_line, methods=["PUT"]),
            Rule("/_sim/faults", endpoint=self._sim_faults, methods=["GET", "PUT"]),
            Rule("/_sim/settings", endpoint=self._sim_settings, methods=["GET", "PUT"]),
            Rule("/_sim/errors", endpoint=self._sim_errors, methods=["GET", "DELETE"]),
            Rule("/_sim/callbacks", endpoint=self._sim_callbacks, methods=["GET"]),
        ]

    def rings(self, fault: Mapping[str, Any] | None) -> bool:
        """Whether a call that is taken now will ring, by the fault of its creation or the one of all calls."""
        return not ((fault and fault.get("ring") is False) or self._exchange.faults.take("ring"))

    def _sim_calls(self, request: Request) -> Response:
        after = request.args.get("after", 0.0, type=float)  # epoch seconds
        with self._network.changed:
            return json_response([_describe(call) for call in self._network.calls.values() if call.created_at >= after])

    def _sim_call(self, request: Request, sid: str, action: str) -> Response:
        call = self._network.calls.get(sid)
        if call is None:
            return control_error(f"there is no call {sid}", 404)
        actions = {"answer": self._network.answer, "decline": self._network.decline, "hang-up": self._network.hang_up}
        if action == "press":
            body = checked(control_body(request), {"digits": _is_keys}, required=["digits"], what="press")
            if not body["digits"]:
                raise ControlError("press: digits cannot be empty")
            self._network.press(call, body["digits"])
        elif action in actions:
            checked(control_body(request), {}, what=action)
            actions[action](call)
        else:
            return control_error(f"a call can be answered, declined, hung up (hang-up) and pressed, not {action}", 404)
        with self._network.changed:
            return json_response(_describe(call))

    def _sim_lines(self, request: Request) -> Response:
        del request
        with self._network.changed:
            return json_response({number: asdict(line) for number, line in self._network.lines.items()})

    def _sim_line(self, request: Request, number: str) -> Response:
        if not E164.fullmatch(number):
            raise ControlError(f"lines: {number!r} is no E.164 number")
        checks = {
            "behaviour": lambda value: value in BEHAVIOURS,
            "after": number_from(0),
            "digits": _is_keys,
            "press_after": number_from(0),
        }
        body = checked(control_body(request), checks, required=["behaviour"], what="lines")
        line = Line(**body)
        with self._network.changed:
            self._network.lines[number] = line
        return json_response({"number": number, **asdict(line)})

    def _sim_faults(self, request: Request) -> Response:
        faults = self._exchange.faults
        if request.method == "PUT":
            groups = {name: (lambda value: isinstance(value, dict)) for name in (*self._faulty, "callbacks")}
            body = checked(control_body(request), {**groups, "ring": is_flag}, what="faults")
            new: dict[str, Fault] = {}
            for name in self._faulty:
                if name in body:
                    new[name] = Fault.of(checked(body[name], _FAULT, what=name))
            if body.get("ring") is False:
                new["ring"] = Fault({"ring": False}, None)
            callbacks = checked(body.get("callbacks", {}), _CALLBACK_FAULT, what="callbacks")
            for name in ("drop", "repeat"):
                if name in callbacks:
                    new[name] = Fault({}, callbacks[name])
            if "delay" in callbacks:
                new["delay"] = Fault({"seconds": callbacks["delay"]}, callbacks.get("times"))
            faults.replace(new)
        return json_response(faults.describe())

    def _sim_settings(self, request: Request) -> Response:
        checks = {
            "speech_rate": number_from(0.01),
            "calls_per_second": number_from(0.01),
            "ring_buffer": number_from(0),
            "network_delay": number_from(0),
        }
        with self._network.changed:
            if request.method == "PUT":
                body = checked(control_body(request), checks, what="settings")
                self._network.settings = replace(self._network.settings, **body)
            return json_response(asdict(self._network.settings))

    def _sim_errors(self, request: Request) -> Response:
        with self._network.changed:
            errors = list(self._exchange.errors)
            if request.method == "DELETE":
                self._exchange.errors.clear()
        return json_response(errors)

    def _sim_callbacks(self, request: Request) -> Response:
        del request
        with self._network.changed:
            return json_response(self._exchange.sent)


def _is_keys(value: object) -> bool:
    return isinstance(value, str) and _KEYS.fullmatch(value) is not None


def _describe(call: Call) -> dict[str, Any]:
    return {
        "sid": call.sid,
        "provider": call.exchange.name,
        "to": call.to,
        "from": call.from_,
        "status": call.status,
        "answered_by": call.answered_by,
        "said": list(call.said),
        "digits": call.digits,
        "created_at": call.created_at,
        "answered_at": call.answered_at,
        "ended_at": call.ended_at,
        "statuses": list(call.statuses),
        "errors": list(call.errors),
    }
