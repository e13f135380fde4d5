"""Webhooks as telephone providers send them: signed, with time limits, and retried. The rules are Twilio's.

Twilio: "Webhooks (HTTP callbacks): Connection Overrides" and "Security". A URL's fragment overrides the connection:
`ct` connect and `rt` read timeout, `tt` total time (milliseconds), `rc` retries (0 to 5), `rp` what to retry on.
By default: 5 s, 15 s, 15 s, one retry, and only when no connection could be made. The fragment is not sent, nor signed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from urllib3.exceptions import NewConnectionError

LARGEST_ANSWER = 64 * 1024  # bytes; Twilio: 11750 "TwiML response body too large"
_POLICIES = {"4xx", "5xx", "ct", "rt", "all"}


class WebhookError(Exception):
    """A webhook that did not succeed, with the code of Twilio's error dictionary."""

    def __init__(self, code: int, message: str, *, kind: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.status = status
        self.attempts = 1


@dataclass(frozen=True)
class Answer:
    """What the application answered."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Connection:
    """How to reach one URL; times in seconds."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    policies: frozenset[str] = frozenset({"ct"})


def parse_url(url: str) -> tuple[str, Connection]:
    """`url` without its fragment, and what the fragment asks for.

    Raises WebhookError 11100 for what is no absolute http(s) URL (Twilio: underscores are no part of a hostname), and
    11243 and the like for overrides out of their limits.
    """
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise WebhookError(11100, f"Invalid URL format: {error}", kind="url") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or "_" in parts.hostname or " " in url:
        raise WebhookError(11100, "Invalid URL format: an absolute http or https URL is needed", kind="url")
    overrides = dict(parse_qsl(parts.fragment, keep_blank_values=True))
    values: dict[str, float] = {}
    limits = {"ct": (100, 10000), "rt": (100, 15000), "tt": (100, 15000), "rc": (0, 5)}
    for name, (low, high) in limits.items():
        text = overrides.pop(name, None)
        if text is not None:
            if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
                raise WebhookError(11100, f"Connection override {name} must be {low} to {high}", kind="url")
            values[name] = int(text)
    policies = frozenset(overrides.pop("rp", "ct").split(","))
    if not policies <= _POLICIES:
        raise WebhookError(11243, f"HTTP retry policy is invalid: {','.join(sorted(policies))}", kind="url")
    for edge in ("e", "sni"):
        overrides.pop(edge, None)
    if overrides:
        raise WebhookError(11100, f"Unknown connection override: {', '.join(overrides)}", kind="url")
    connection = Connection(
        connect=values.get("ct", 5000) / 1000,
        read=values.get("rt", 15000) / 1000,
        total=values.get("tt", 15000) / 1000,
        retries=int(values.get("rc", 1)),
        policies=policies,
    )
    return urlunsplit(parts._replace(fragment="")), connection


# What signs a request: the headers for an address, a form, and the form as it is sent.
Signer = Callable[[str, Mapping[str, str], str], Mapping[str, str]]


def send(signer: Signer, url: str, method: str, parameters: Mapping[str, str]) -> Answer:
    """Send one webhook and return the 2xx answer.

    Raises WebhookError when the last attempt failed: no connection (11205), no answer in time (11205), another
    status than 2xx (11200), or an answer over 64 kB (11750).
    """
    target, connection = parse_url(url)
    form = parameters if method == "POST" else {}
    if method == "GET":
        target += ("&" if urlsplit(target).query else "?") + urlencode(parameters)
    body = urlencode(form)
    headers = {"Accept": "*/*", **signer(target, form, body)}
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    give_up = time.monotonic() + connection.total
    for attempt in range(connection.retries + 1):
        try:
            request = requests.Request(method, target, data=body or None, headers=headers).prepare()
            request.url = target  # requests rewrites some characters; what is signed is what is asked for
            return _attempt(request, connection, give_up - time.monotonic())
        except WebhookError as error:
            wanted = connection.policies & {error.kind, "all"}
            if not wanted or attempt == connection.retries or time.monotonic() >= give_up:
                error.attempts = attempt + 1
                raise
    raise AssertionError("the loop above returns or raises")


def _attempt(request: requests.PreparedRequest, connection: Connection, left: float) -> Answer:
    timeouts = (min(connection.connect, left), min(connection.read, left))
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy between two programs of one machine
            response = session.send(request, timeout=timeouts, allow_redirects=False)
    except requests.exceptions.ConnectTimeout as error:
        raise WebhookError(11205, "HTTP connection failure: no connection in time", kind="ct") from error
    except requests.exceptions.ReadTimeout as error:
        raise WebhookError(11205, f"HTTP connection failure: no answer in {timeouts[1]:g} s", kind="rt") from error
    except requests.exceptions.RequestException as error:
        refused = isinstance(error, requests.exceptions.ConnectionError) and _refused(error)
        message = "no connection" if refused else "the connection was cut before the answer was whole"
        raise WebhookError(11205, f"HTTP connection failure: {message}", kind="ct" if refused else "rt") from error
    if not 200 <= response.status_code < 300:
        kind = f"{response.status_code // 100}xx"
        raise WebhookError(
            11200, f"HTTP retrieval failure: status {response.status_code}", kind=kind, status=response.status_code
        )
    if len(response.content) > LARGEST_ANSWER:
        raise WebhookError(11750, "TwiML response body too large", kind="body", status=response.status_code)
    return Answer(response.status_code, response.headers.get("Content-Type", ""), response.content)


def _refused(error: requests.exceptions.ConnectionError) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)
