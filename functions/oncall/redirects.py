"""Redirects are not followed: urllib would send the token of a request along to wherever the answer points."""

from email.message import Message
from http.client import HTTPResponse
from typing import IO, cast
from urllib.request import HTTPRedirectHandler, Request, build_opener, install_opener


class _Unfollowed(HTTPRedirectHandler):
    """A redirect is an answer like another: HTTPError with its status."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None: ...


_opener = build_opener(_Unfollowed)


def open_unfollowed(request: Request, *, timeout: float) -> HTTPResponse:
    """As urllib's urlopen, but a redirect raises HTTPError."""
    return cast("HTTPResponse", _opener.open(request, timeout=timeout))


def refuse() -> None:
    """The same for a library that calls urlopen itself, such as Slack's."""
    install_opener(_opener)
