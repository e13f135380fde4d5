"""`oncall import --api`: what the API answers is what its export would say, page by page, with the token on each request."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oncall_cli.imports import api
from oncall_cli.roster_file import parse_text
from tests.cli.conftest import Run
from tests.cli.test_import import save
from tests.imports import goalert_export, grafana_oncall_export, opsgenie_export, pagerduty_export

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
TOKEN = "read-only-token"
TIMES = {"busy": 0}


def pagerduty(path: str, query: dict[str, str], _: Any) -> Any:
    files = pagerduty_export.export(NOW, 6)
    parts = path.strip("/").split("/")
    if parts[0] == "schedules" and len(parts) == 1:
        return {"schedules": [{"id": f"PSC00{n}"} for n in range(6)], "more": False}
    if parts[0] == "schedules":
        name = f"overrides/overrides-{parts[1]}.json" if len(parts) == 3 else f"schedules/schedule-{parts[1]}.json"
        return files[name]
    if parts[0] == "users":  # in two pages
        users = files["users.json"]["users"]
        return {"users": users[:5] if query["offset"] == "0" else users[5:], "more": query["offset"] == "0"}
    return files[f"{parts[0]}.json"]


def opsgenie(path: str, _query: dict[str, str], _: Any) -> Any:
    files = opsgenie_export.export(NOW, 6)
    by = {body["user"]["id"]: body["user"] for body in files.values() if "user" in body}
    schedules = {body["schedule"]["id"]: body for body in files.values() if "schedule" in body}
    teams = {body["team"]["id"]: body for body in files.values() if "team" in body}
    parts = path.removeprefix("/v2/").split("/")
    answers: dict[tuple[str, int], Any] = {
        ("users", 1): lambda: [{"id": key} for key in by],
        ("users", 2): lambda: by[parts[1]],
        ("escalations", 1): lambda: [body for name, body in files.items() if name.startswith("escalations")],
        ("forwarding-rules", 1): list,
        ("teams", 1): lambda: [{"id": key} for key in teams],
        ("teams", 2): lambda: teams[parts[1]]["team"],
        ("teams", 3): lambda: teams[parts[1]]["teamRoutingRules"],
        ("schedules", 1): lambda: [body["schedule"] for body in schedules.values()],
    }
    if parts[0] == "schedules" and len(parts) > 1:
        overrides = schedules[parts[1]]["scheduleOverrideList"]
        if parts[2] == "timeline":
            return {"data": {"_parent": {"id": parts[1]}, "finalTimeline": {"rotations": []}}}
        return {"data": overrides if len(parts) == 3 else next(o for o in overrides if o["alias"] == parts[3])}
    return {"data": answers[parts[0], len(parts)]()}


def grafana_oncall(path: str, query: dict[str, str], _: Any) -> Any:
    files = grafana_oncall_export.export(NOW, 6)
    if "final_shifts" in path:
        return {"results": [], "next": None}
    if path == "/a.ics":
        return files["SICAL.ics"]
    listed = files[f"{path.removeprefix('/api/v1/').strip('/')}.json"]
    if path == "/api/v1/schedules/":
        listed["results"][-1]["ical_url_primary"] = f"{SERVER['url']}/a.ics"
    if path == "/api/v1/users/":  # in two pages
        first = "page" not in query
        following = "http://elsewhere.example.com/api/v1/users/?page=2" if first else None
        return {"results": listed["results"][:5] if first else listed["results"][5:], "next": following}
    return listed


def goalert(path: str, query: dict[str, str], body: Any) -> Any:
    assert (path, query) == ("/api/graphql", {})
    data = goalert_export.export(NOW, 6)["goalert.json"]["data"]
    group = next(name for name in data if f"{name}(input" in body["query"])
    nodes = data[group]["nodes"]
    first = not body["variables"]["after"]
    page = {"hasNextPage": first, "endCursor": "second" if first else ""}
    return {"data": {group: {"nodes": nodes[:2] if first else nodes[2:], "pageInfo": page}}}


SERVER = {"url": ""}
SYSTEMS = {
    "pagerduty": (pagerduty, f"Token token={TOKEN}", "PAGERDUTY_TOKEN", "PAGERDUTY_API_URL", pagerduty_export),
    "opsgenie": (opsgenie, f"GenieKey {TOKEN}", "OPSGENIE_API_KEY", "OPSGENIE_API_URL", opsgenie_export),
    "grafana-oncall": (grafana_oncall, TOKEN, "GRAFANA_ONCALL_TOKEN", "GRAFANA_ONCALL_URL", grafana_oncall_export),
    "goalert": (goalert, f"Bearer {TOKEN}", "GOALERT_TOKEN", "GOALERT_URL", goalert_export),
}


@contextmanager
def serving(answer: Any, wanted: str, status: int = 200) -> Iterator[str]:
    """An API; whoever comes without the token is refused, except for a calendar, which must not see it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body: Any) -> None:
            parts = urlsplit(self.path)
            given = self.headers.get("Authorization")
            allowed = given == wanted if not parts.path.endswith(".ics") else given is None
            code = status if allowed else 401
            if TIMES["busy"] > 0:
                TIMES["busy"] -= 1
                code = 429
            found = answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, body) if code == 200 else {}
            self.send_response(code)
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write((found if isinstance(found, str) else json.dumps(found)).encode())

        def log_message(self, *_: object) -> None:
            """Nothing: the test reads what the command says."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    SERVER["url"] = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield SERVER["url"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("source", SYSTEMS)
def test_the_api_gives_what_the_export_has(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    answer, wanted, token_name, url_name, export = SYSTEMS[source]
    phones = tmp_path / "people.csv"
    phones.write_text(
        "email,phone\n" + "".join(f"user{n}@example.com,+120255501{n:02}\n" for n in range(8)), encoding="utf-8"
    )
    by_file, by_api = tmp_path / "file.yaml", tmp_path / "api.yaml"
    folder = save(tmp_path / "export", export.export(NOW, 6))
    assert run("import", source, str(folder), "--out", str(by_file), "--phones", str(phones)).status == 0
    with serving(answer, wanted) as url:
        monkeypatch.setenv(token_name, TOKEN)
        monkeypatch.setenv(url_name, url)
        TIMES["busy"] = 2
        ran = run("import", source, "--api", "--out", str(by_api), "--phones", str(phones))
        assert ran.status == 0, ran.err
        assert TOKEN not in ran.out + ran.err + by_api.read_text(encoding="utf-8")
        assert f"# oncall import {source} --api" in by_api.read_text(encoding="utf-8")
        assert run("import", "compare", "--roster", str(by_api), "--days", "1").status == 0
    both = [parse_text(path.read_text(encoding="utf-8")).document for path in (by_file, by_api)]
    assert without_dates(both[0]) == without_dates(both[1])


def without_dates(document: dict[str, Any]) -> dict[str, Any]:
    """The roster without shifts that have dates: they begin with the minute of the import."""
    schedules = {
        key: [layer for layer in schedule.get("layers", [schedule]) if "until" not in layer]
        for key, schedule in document["schedules"].items()
    }
    return document | {"schedules": schedules}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "--api needs PAGERDUTY_TOKEN in the environment"),
        ({"PAGERDUTY_TOKEN": TOKEN, "PAGERDUTY_API_URL": "http://pagerduty.example.com"}, "has to begin with https://"),
        ({"PAGERDUTY_TOKEN": TOKEN, "PAGERDUTY_API_URL": "http://127.0.0.1:1"}, "/users: no answer"),
        ({"PAGERDUTY_TOKEN": "another"}, "/users: answered 401: the token may not read this; nothing was written"),
    ],
)
def test_an_api_that_cannot_be_read_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    out = tmp_path / "roster.yaml"
    with serving(pagerduty, f"Token token={TOKEN}") as url:
        monkeypatch.setenv("PAGERDUTY_API_URL", url)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        ran = run("import", "pagerduty", "--api", "--out", str(out))
    assert (ran.status, out.exists()) == (1, False)
    assert message in ran.err
    assert TOKEN not in ran.err


@pytest.mark.parametrize("is_newer", [True, False])
def test_goalert_is_asked_for_what_its_version_has(monkeypatch: pytest.MonkeyPatch, is_newer: bool) -> None:
    """An older one refuses the whole query for a field that it does not know."""
    asked = []

    def answer(path: str, query: dict[str, str], body: Any) -> Any:
        asked.append(body["query"])
        if "multiAck" in body["query"] and not is_newer:
            return {"errors": [{"message": 'Cannot query field "multiAck" on type "EscalationPolicyStep".'}]}
        return goalert(path, query, body)

    with serving(answer, f"Bearer {TOKEN}") as url:
        monkeypatch.setenv("GOALERT_TOKEN", TOKEN)
        monkeypatch.setenv("GOALERT_URL", url)
        documents = {document.name: document.body for document in api.fetch("goalert", NOW)}
    found = documents["escalationPolicies.json"]["data"]["escalationPolicies"]["nodes"]
    assert len(found) == len(goalert_export.export(NOW, 6)["goalert.json"]["data"]["escalationPolicies"]["nodes"])
    policies = [query for query in asked if "escalationPolicies(" in query]
    assert ["multiAck" in query for query in policies] == ([True, True] if is_newer else [True, False, False])


def test_an_api_that_is_always_busy_is_left_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGERDUTY_TOKEN", TOKEN)
    with serving(pagerduty, f"Token token={TOKEN}") as url:
        monkeypatch.setenv("PAGERDUTY_API_URL", url)
        TIMES["busy"] = 100
        ran = run("import", "pagerduty", "--api")
    assert TIMES["busy"] == 100 - api.TRIES
    TIMES["busy"] = 0
    assert (ran.status, "answers 429 again and again: try it later" in ran.err) == (1, True)


def test_a_folder_or_the_api_has_to_be_given(run: Run, tmp_path: Path) -> None:
    for arguments in ((), (str(tmp_path), "--api")):
        ran = run("import", "goalert", *arguments)
        assert ran.status == 1
        assert "Give the folder that was exported, or --api, one of them" in ran.err
