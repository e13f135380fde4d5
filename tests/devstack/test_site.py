"""The site to break."""

import pytest
from werkzeug.test import Client

from devstack.system.site import create_app


@pytest.fixture
def site() -> Client:
    return Client(create_app())


def test_every_path_answers_200_until_told_otherwise(site: Client) -> None:
    assert [site.get(path).status_code for path in ("/", "/cart", "/a/b?c=d")] == [200, 200, 200]


def test_every_path_answers_with_the_status_it_was_told(site: Client) -> None:
    assert site.put("/_sim/site", json={"status": 503}).json == {"status": 503, "delay": 0}
    assert [site.get(path).status_code for path in ("/", "/cart")] == [503, 503]
    assert site.get("/_sim/site").json == {"status": 503, "delay": 0}
    site.put("/_sim/site", json={"status": 200})
    assert site.get("/").status_code == 200


def test_a_delay_holds_the_answer_back_until_the_next_setting(site: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("devstack.system.site.time.sleep", waited.append)
    site.put("/_sim/site", json={"status": 200, "delay": 2.5})
    site.get("/")
    site.put("/_sim/site", json={"status": 200})
    site.get("/")
    assert waited == [2.5, 0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"503",
        b'{"status": "503"}',
        b'{"status": true}',
        b'{"status": 100}',
        b'{"status": 600}',
        b'{"state": 503}',
        b'{"delay": -1}',
        b'{"delay": 61}',
        b'{"delay": NaN}',
        b'{"delay": "1"}',
    ],
)
def test_what_is_no_setting_is_refused_with_the_reason_and_changes_nothing(site: Client, body: bytes) -> None:
    answer = site.put("/_sim/site", data=body)
    assert answer.status_code == 400
    assert answer.json
    assert answer.json["error"]
    assert site.get("/").status_code == 200


def test_the_setting_is_put_not_posted(site: Client) -> None:
    assert site.post("/_sim/site", json={"status": 503}).status_code == 405
