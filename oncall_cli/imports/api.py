"""Reads another system's API, as its export would be saved: documents with the names that the readers know. Reads only.

The token comes from the environment and goes to that system alone. Sources: the APIs' references (docs/move-in.md).
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request

from oncall.redirects import open_unfollowed
from oncall_cli.errors import CommandError
from oncall_cli.imports.documents import MAX_BYTES, Document
from oncall_cli.imports.goalert import LISTS, query

AHEAD = timedelta(days=35)  # of the schedules that the source works out itself
TRIES = 5
_TOKENS = {
    "opsgenie": ("OPSGENIE_API_KEY", "GenieKey ", "OPSGENIE_API_URL", "https://api.opsgenie.com"),
    "pagerduty": ("PAGERDUTY_TOKEN", "Token token=", "PAGERDUTY_API_URL", "https://api.pagerduty.com"),
    "grafana-oncall": ("GRAFANA_ONCALL_TOKEN", "", "GRAFANA_ONCALL_URL", ""),
    "goalert": ("GOALERT_TOKEN", "Bearer ", "GOALERT_URL", ""),
}
_LOCAL = ("127.0.0.1", "localhost", "::1")


def fetch(source: str, now: datetime) -> list[Document]:
    """All that an import needs. Raises CommandError without a token, or if the system refuses or does not answer."""
    token_name, scheme, url_name, usual = _TOKENS[source]
    token, url = os.environ.get(token_name, ""), os.environ.get(url_name, usual).rstrip("/")
    for name, value in ((token_name, token), (url_name, url)):
        if not value:
            raise CommandError(f"--api needs {name} in the environment (docs/move-in.md)")
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in _LOCAL:
        raise CommandError(f"{url_name} has to begin with https:// : a token goes there")
    api = _Api(url, {"Authorization": f"{scheme}{token}", "Accept": "application/json"})
    readers = {"opsgenie": _opsgenie, "pagerduty": _pagerduty, "grafana-oncall": _grafana_oncall, "goalert": _goalert}
    return list(readers[source](api, now))


_REMEDIES = {
    401: "the token may not read this",
    403: "the token may not read this",
    300: "it points elsewhere, where the token is not sent; use that address",
}


class _Api:
    """One system's API. A 429 is waited for; everything else that is no 2xx is told."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = dict(headers)

    def get(self, path: str, **asked: Any) -> Any:
        return self._json(path + (f"?{urlencode(asked)}" if asked else ""), None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._json(path, json.dumps(body).encode())

    def _json(self, path: str, data: bytes | None) -> Any:
        url = path if path.startswith(f"{self.url}/") else self.url + path
        where = url.partition("?")[0]
        for _ in range(TRIES):
            try:
                return json.loads(read(url, self.headers, data))
            except HTTPError as error:
                error.close()
                if error.code != 429:
                    what = _REMEDIES.get(error.code if error.code >= 400 else 300, "see its status page")
                    raise CommandError(f"{where}: answered {error.code}: {what}; nothing was written") from error
                seconds = error.headers.get("Retry-After", "")
                time.sleep(min(int(seconds) if seconds.isdecimal() else 10, 60))
            except (OSError, HTTPException) as error:
                raise CommandError(f"{where}: no answer: {error}") from error
            except ValueError as error:
                raise CommandError(f"{where}: answered something else than JSON: is it the right address?") from error
        raise CommandError(f"{where}: answers 429 again and again: try it later")


def read(url: str, headers: Mapping[str, str], data: bytes | None = None) -> bytes:
    """The body of an answer."""
    if data is not None:
        headers = {**headers, "Content-Type": "application/json"}
    request = Request(url, data=data, headers=dict(headers))  # noqa: S310  fetch looks at the scheme
    with open_unfollowed(request, timeout=60) as answer:
        body: bytes = answer.read(MAX_BYTES)
    return body


def _pagerduty(api: _Api, now: datetime) -> Iterator[Document]:
    span = {"since": now.isoformat(), "until": (now + AHEAD).isoformat()}

    def pages(group: str, **asked: Any) -> Iterator[dict[str, Any]]:
        offset, more = 0, True
        while more:
            body = api.get(f"/{group}", limit=100, offset=offset, **asked)
            yield body
            offset, more = offset + 100, bool(body.get("more"))

    for group, more in (("users", {"include[]": "contact_methods"}), ("escalation_policies", {}), ("services", {})):
        for number, body in enumerate(pages(group, **more)):
            yield Document(f"{group}-{number}.json", body)
    for body in pages("schedules"):
        for schedule in body["schedules"]:
            key = schedule["id"]
            yield Document(f"schedule-{key}.json", api.get(f"/schedules/{quote(key)}", **span))
            yield Document(f"overrides-{key}.json", api.get(f"/schedules/{quote(key)}/overrides", **span))


def _opsgenie(api: _Api, now: datetime) -> Iterator[Document]:
    offset, more = 0, True
    while more:
        found = api.get("/v2/users", limit=100, offset=offset)["data"]
        for user in found:
            yield Document(f"users/{user['id']}.json", api.get(f"/v2/users/{quote(user['id'])}", expand="contact"))
        offset, more = offset + 100, len(found) == 100
    yield Document("escalations.json", api.get("/v2/escalations"))
    yield Document("forwardings.json", api.get("/v2/forwarding-rules"))
    for team in api.get("/v2/teams")["data"]:
        path = f"/v2/teams/{quote(team['id'])}"
        rules = api.get(f"{path}/routing-rules")["data"]
        yield Document(f"teams/{team['id']}.json", {"team": api.get(path)["data"], "teamRoutingRules": rules})
    schedules = api.get("/v2/schedules", expand="rotation")
    yield Document("schedules.json", schedules)
    for schedule in schedules["data"]:
        path = f"/v2/schedules/{quote(schedule['id'])}"
        for override in api.get(f"{path}/overrides")["data"]:
            name = f"overrides/{schedule['id']}-{override['alias']}.json"
            whole = api.get(f"{path}/overrides/{quote(override['alias'])}")["data"]
            yield Document(name, {"data": {"_parent": {"id": schedule["id"]}} | whole})
        final = api.get(f"{path}/timeline", interval=5, intervalUnit="weeks", date=now.isoformat())
        yield Document(f"timelines/{schedule['id']}.json", final)


def _grafana_oncall(api: _Api, now: datetime) -> Iterator[Document]:
    def pages(path: str, **asked: Any) -> list[dict[str, Any]]:
        body = api.get(path, **asked)
        results = list(body["results"])
        while body.get("next"):
            following = urlsplit(body["next"])
            body = api.get(f"{urlsplit(path).path}?{following.query}")
            results += body["results"]
        return results

    for group in (
        "users",
        "on_call_shifts",
        "escalation_chains",
        "escalation_policies",
        "integrations",
        "routes",
        "shift_swaps",
    ):
        yield Document(f"{group}.json", {"results": pages(f"/api/v1/{group}/")})
    schedules = pages("/api/v1/schedules/")
    yield Document("schedules.json", {"results": schedules})
    for schedule in schedules:
        days = {"start_date": f"{now:%Y-%m-%d}", "end_date": f"{now + AHEAD:%Y-%m-%d}"}
        final = pages(f"/api/v1/schedules/{quote(schedule['id'])}/final_shifts", **days)
        yield Document(f"final_shifts-{schedule['id']}.json", {"results": final})
        for field, suffix in (("ical_url_primary", ""), ("ical_url_overrides", "-overrides")):
            url = schedule.get(field) or ""
            if urlsplit(url).scheme == "https" or urlsplit(url).hostname in _LOCAL:
                try:
                    text = read(url, {}).decode("utf-8-sig")  # somebody else's server: without the token
                except (OSError, HTTPException, UnicodeDecodeError) as error:
                    raise CommandError(
                        f"the calendar of schedule {schedule['name']}: cannot be read: {error}"
                    ) from error
                yield Document(f"{schedule['id']}{suffix}.ics", text)


def _goalert(api: _Api, now: datetime) -> Iterator[Document]:
    variables = {"start": f"{now:%Y-%m-%dT%H:%M:%SZ}", "end": f"{now + AHEAD:%Y-%m-%dT%H:%M:%SZ}"}
    newer = True
    for group in LISTS:
        nodes, after, more = [], "", True
        while more:
            given = {"after": after} | (variables if group == "schedules" else {})
            body = api.post("/api/graphql", {"query": query(group, newer=newer), "variables": given})
            if newer and any("multiAck" in str(error.get("message")) for error in body.get("errors") or ()):
                newer = False  # GoAlert has the field since August 2026
                continue
            if body.get("errors"):
                raise CommandError(
                    f"GoAlert refused {group}: {body['errors'][0].get('message')}: use a key that may read it"
                )
            found = body["data"][group]
            nodes += found["nodes"]
            after, more = found["pageInfo"]["endCursor"] or "", found["pageInfo"]["hasNextPage"]
        yield Document(f"{group}.json", {"data": {group: {"nodes": nodes}}})
