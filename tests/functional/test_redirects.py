"""A token goes where it was meant to go: no client of ours follows a redirect with it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib import request as urllib_request
from urllib.request import install_opener, urlopen

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient
from werkzeug.wrappers import Request, Response

from oncall import redirects, wire
from oncall.phone.provider import UnavailableError
from oncall.phone.telnyx import Telnyx
from oncall.phone.twilio import telephone
from oncall.probe.run import NotAcceptedError, post
from oncall_cli import providers
from oncall_cli.imports import api
from tests.devstack.application import serving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TOKEN = "a-token-of-ours"


@dataclass
class Elsewhere:
    """A server that keeps what it is asked, and one that points to it."""

    url: str = ""
    status: int = 302
    asked: list[str] = field(default_factory=list)

    def application(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        self.asked.append(f"{request.path} {request.headers}")
        return Response("{}")(environ, start)

    def pointing(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        return Response(status=self.status, headers={"Location": f"{self.url}{environ['PATH_INFO']}"})(environ, start)


@pytest.fixture(params=[301, 302, 303, 307, 308])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[tuple[str, Elsewhere]]:
    there = Elsewhere(status=request.param)
    with serving(there.application) as there.url, serving(there.pointing) as url:
        yield url, there
    install_opener(None)  # as it is at first


def through_slacks_client(url: str) -> None:
    redirects.refuse()
    with suppress(SlackApiError, HTTPException, OSError):
        WebClient(token=TOKEN, base_url=f"{url}/", retry_handlers=[]).chat_postMessage(
            channel="C1", text="The shop is down"
        )


def to_a_response_url(url: str) -> None:
    redirects.refuse()
    assert WebhookClient(f"{url}/{TOKEN}", retry_handlers=[]).send(text="You have it").status_code >= 300


def to_twilio(url: str) -> None:
    with suppress(UnavailableError):
        telephone("AC0", TOKEN, caller_number="+12025550199", api_url=url).fetch("CA0")


def to_telnyx(url: str) -> None:
    with suppress(UnavailableError):
        Telnyx(TOKEN, "account", "application", "+12025550199", url).fetch("CA0")


def to_the_gateway(url: str) -> None:
    with pytest.raises(NotAcceptedError):
        post(url, TOKEN, {}, pause=lambda _: None)


def to_the_other_stack(url: str) -> None:
    assert wire.post(url, {"x-oncall-signature": TOKEN}, b"{}", 5).status >= 300


def of_the_command(url: str) -> None:
    status, _, _ = providers.ask("Slack", urllib_request.Request(url, b"x", {"Authorization": TOKEN}))  # noqa: S310  http
    assert status >= 300


def of_an_import(url: str) -> None:
    with suppress(OSError):
        api.read(url, {"Authorization": TOKEN})


CLIENTS = (
    through_slacks_client,
    to_a_response_url,
    to_twilio,
    to_telnyx,
    to_the_gateway,
    to_the_other_stack,
    of_the_command,
    of_an_import,
)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_no_token_follows_a_redirect(elsewhere: tuple[str, Elsewhere], client: Callable[[str], None]) -> None:
    url, there = elsewhere
    client(url)
    assert there.asked == []


def test_urllib_alone_takes_it_along(elsewhere: tuple[str, Elsewhere]) -> None:
    """What is guarded against: else the test above could not fail."""
    url, there = elsewhere
    with suppress(OSError):
        urlopen(urllib_request.Request(url, headers={"Authorization": TOKEN}))  # noqa: S310  http
    assert TOKEN in there.asked[0]
