"""`oncall import`: an export becomes a roster that the command itself reads, whole or not at all, and every loss is named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import yaml

from oncall.roster import Policy, parse
from oncall.roster.schedules import responders_on_call
from oncall_cli.imports import goalert
from oncall_cli.imports.model import pieces
from oncall_cli.imports.time_zones import WINDOWS, iana_name
from oncall_cli.roster_file import parse_text
from tests.cli.conftest import Run
from tests.cli.test_import_on_call import CASES
from tests.imports import goalert_export, grafana_oncall_export, opsgenie_export, pagerduty_export

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
EXPORTS: dict[str, Callable[[datetime, int], dict[str, Any]]] = {
    "pagerduty": pagerduty_export.export,
    "opsgenie": opsgenie_export.export,
    "goalert": goalert_export.export,
    "grafana-oncall": grafana_oncall_export.export,
}


def save(folder: Path, files: dict[str, Any]) -> Path:
    for name, body in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body if isinstance(body, str) else json.dumps(body), encoding="utf-8")
    return folder


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """Writes an export and returns its folder; files that are given take the place of its own, None takes one out."""

    def write(source: str, count: int = 6, **instead: Any) -> Path:
        files = EXPORTS[source](NOW, count) | {name.replace("__", "/"): body for name, body in instead.items()}
        return save(tmp_path / source, {name: body for name, body in files.items() if body is not None})

    return write


@pytest.fixture
def phones(tmp_path: Path) -> str:
    rows = [f"user{number}@example.com,+120255501{number:02}" for number in range(8)]
    (tmp_path / "people.csv").write_text("\n".join(["email,phone", *rows]), encoding="utf-8")
    return str(tmp_path / "people.csv")


def pagerduty(folder: Path, *, layers: list[Any] | None = None, users: int = 2, **schedule: Any) -> Path:
    """A small export: one schedule, a policy whose second step comes after ten minutes, a service."""
    start = (NOW - timedelta(days=30)).isoformat()
    layer = {
        "name": "weekly", "start": start, "end": None, "rotation_virtual_start": start, "rotation_turn_length_seconds": 604800,
        "users": [{"user": {"id": key}} for key in pagerduty_export.USERS[:users]], "restrictions": [],
    }  # fmt: skip
    body = {"id": "PS1", "name": "Primary", "time_zone": "Europe/Berlin", "schedule_layers": layers or [layer]}
    rules = [
        {"escalation_delay_in_minutes": 10, "targets": [{"id": "PS1", "type": "schedule_reference"}]},
        {"escalation_delay_in_minutes": 20, "targets": [{"id": pagerduty_export.USERS[0], "type": "user_reference"}]},
    ]
    policy = {"id": "PP1", "name": "Shop", "num_loops": 2, "escalation_rules": rules}
    return save(
        folder,
        {
            "users.json": {"users": [pagerduty_export.user(number) for number in range(2)]},
            "schedule-PS1.json": {"schedule": body | schedule},
            "policies.json": {"escalation_policies": [policy]},
            "services.json": {"services": [{"id": "S", "name": "shop", "escalation_policy": {"id": "PP1"}}]},
        },
    )


def roster_of(path: Path) -> dict[str, Any]:
    return parse_text(path.read_text(encoding="utf-8")).document


@pytest.mark.parametrize("source", EXPORTS)
def test_an_export_becomes_a_roster_that_has_the_same_people_on_call(
    run: Run, tmp_path: Path, export: Callable[..., Path], phones: str, source: str
) -> None:
    out = tmp_path / "roster.yaml"
    imported = run("import", source, str(export(source, 20)), "--out", str(out), "--phones", phones, "--json")
    assert imported.status == 0, imported.err
    assert imported.json["out"] == str(out)
    assert imported.json["schedules"] >= 20
    assert imported.json["policies"] >= 20
    assert all(field["covered"] for field in imported.json["fields"])
    is_written_out = "# Written out shift by shift until" in out.read_text(encoding="utf-8")
    assert is_written_out == any("written out shift by shift" in note["message"] for note in imported.json["notes"])
    dated = [line for line in out.read_text(encoding="utf-8").splitlines() if "until:" in line]
    assert all(line.startswith("    - {") for line in dated), "a thousand of them fit in what a roster may have"
    roster, problems = parse(roster_of(out))
    assert problems == ()
    assert len(roster.responders) >= 6
    compared = run("import", "compare", "--roster", str(out), "--days", "28", "--json")
    assert (compared.status, compared.json["differences"]) == (0, 0), compared.out
    assert {schedule["hours_by_rules"] for schedule in compared.json["schedules"]} == {28 * 24}


def test_delays_rounds_and_products_come_along(run: Run, tmp_path: Path) -> None:
    """PagerDuty repeats num_loops times after the first round, and waits after its last rule as well."""
    out = tmp_path / "roster.yaml"
    assert run("import", "pagerduty", str(pagerduty(tmp_path / "export")), "--out", str(out)).status == 0
    document = roster_of(out)
    assert document["policies"] == {
        "shop": {
            "steps": [{"schedule": "primary"}, {"responder": "user0", "after_minutes": 10}],
            "rounds": 3,
            "pause_seconds": 1200,
        }
    }
    assert (document["default"], document["products"]) == ("shop", {"shop": {"policy": "shop"}})
    assert document["responders"]["user1"] == {"name": "User 1", "phone": "+12025550101"}
    assert run("roster", "check", str(out)).status == 0


def test_a_changed_roster_is_told_with_the_hours_that_differ(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "roster.yaml"
    run("import", "pagerduty", str(pagerduty(tmp_path / "export", time_zone="UTC")), "--out", str(out))
    text = out.read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    document["schedules"]["primary"]["members"] = ["user0"]
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    out.write_text(header + yaml.safe_dump(document), encoding="utf-8")
    tomorrow = (NOW + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    compared = run("import", "compare", "--roster", str(out), "--days", "14", "--from", tomorrow, "--json")
    assert compared.status == 1
    (schedule,) = compared.json["schedules"]
    assert all((d["theirs"], d["ours"], d["by"]) == (["user1"], ["user0"], "rules") for d in schedule["differences"])
    hours = sum(
        (datetime.fromisoformat(d["end"]) - datetime.fromisoformat(d["start"])).total_seconds() / 3600
        for d in schedule["differences"]
    )
    assert hours == 7 * 24  # every other week is user 1's
    assert "there user1 (by its rules), here user0" in run("import", "compare", "--roster", str(out)).out


def test_what_the_source_says_itself_is_compared_too(run: Run, tmp_path: Path) -> None:
    """Its final schedule has somebody for two hours whom its rules, as we read them, do not have."""
    hour = NOW.replace(minute=0) + timedelta(hours=3)
    entries = [
        {
            "start": (hour + timedelta(hours=n)).isoformat(),
            "end": (hour + timedelta(hours=n + 2)).isoformat(),
            "user": {"id": key},
        }
        for n, key in ((0, "PU00"), (2, "PU01"), (4, "PU00"))
    ]
    layers = [
        {
            "name": "only user 0", "start": "2026-01-01T00:00:00Z", "rotation_virtual_start": "2026-01-01T00:00:00Z",
            "rotation_turn_length_seconds": 86400, "users": [{"user": {"id": "PU00"}}],
        }
    ]  # fmt: skip
    folder = pagerduty(tmp_path / "export", layers=layers, final_schedule={"rendered_schedule_entries": entries})
    out = tmp_path / "roster.yaml"
    assert run("import", "pagerduty", str(folder), "--out", str(out)).status == 0
    compared = run("import", "compare", "pagerduty", str(folder), "--roster", str(out), "--days", "1", "--json")
    (schedule,) = compared.json["schedules"]
    assert schedule["hours_by_export"] == 6
    (difference,) = schedule["differences"]
    assert (difference["theirs"], difference["ours"], difference["by"]) == (["user1"], ["user0"], "export")
    assert difference["start"] == (hour + timedelta(hours=2)).isoformat()


type Shifts = list[tuple[datetime, datetime, str]]


def with_opsgenies_timelines(files: dict[str, Any], shifts: Callable[[str], Shifts]) -> dict[str, Any]:
    found = dict(files)
    for body in list(files.values()):
        if "schedule" in body:
            key = body["schedule"]["id"]
            periods = [
                {
                    "startDate": start.isoformat(),
                    "endDate": end.isoformat(),
                    "type": "default",
                    "recipient": {"type": "user", "id": user, "name": f"user{int(user[1:])}@example.com"},
                }
                for start, end, user in shifts(key)
            ]
            final = {"rotations": [{"id": "r", "name": "Rot", "order": 1, "periods": periods}]}
            found[f"timelines/{key}.json"] = {"data": {"_parent": {"id": key, "name": "x"}, "finalTimeline": final}}
    return found


def with_goalerts_shifts(files: dict[str, Any], shifts: Callable[[str], Shifts]) -> dict[str, Any]:
    for schedule in files["goalert.json"]["data"]["schedules"]["nodes"]:
        schedule["shifts"] = [
            {"userID": user, "start": start.isoformat(), "end": end.isoformat(), "truncated": False}
            for start, end, user in shifts(schedule["id"])
        ]
    return files


def with_grafanas_final_shifts(files: dict[str, Any], shifts: Callable[[str], Shifts]) -> dict[str, Any]:
    found = dict(files)
    for schedule in files["schedules.json"]["results"]:
        if schedule["type"] != "ical":
            results = [
                {"user_pk": user, "user_email": "", "shift_start": start.isoformat(), "shift_end": end.isoformat()}
                for start, end, user in shifts(schedule["id"])
            ]
            found[f"final_shifts-{schedule['id']}.json"] = {"next": None, "results": results}
    return found


@pytest.mark.parametrize(
    ("source", "with_final"),
    [
        ("opsgenie", with_opsgenies_timelines),
        ("goalert", with_goalerts_shifts),
        ("grafana-oncall", with_grafanas_final_shifts),
    ],
)
def test_the_final_schedule_of_each_system_is_read(
    run: Run, tmp_path: Path, phones: str, source: str, with_final: Callable[..., dict[str, Any]]
) -> None:
    """What is on call by the reference, as the system would say it, for two days; then one shift is somebody else's."""
    files = EXPORTS[source](NOW, 6)
    reference = CASES[source](NOW, files).reference
    begin = NOW.replace(minute=0)

    def shifts(key: str) -> Shifts:
        found = pieces(lambda at: frozenset(reference(key, at)), begin, begin + timedelta(days=2))
        return [(start, end, user) for start, end, people in found for user in sorted(people)]

    folder, out = save(tmp_path / "export", with_final(files, shifts)), tmp_path / "roster.yaml"
    assert run("import", source, str(folder), "--out", str(out), "--phones", phones).status == 0
    compared = run("import", "compare", "--roster", str(out), "--days", "1", "--json")
    assert compared.status == 0, compared.out
    assert sum(schedule["hours_by_export"] for schedule in compared.json["schedules"]) > 24

    def wrong(key: str) -> Shifts:
        return [(start, end, shifts(key)[0][2]) for start, end, _ in shifts(key)]

    save(folder, with_final(EXPORTS[source](NOW, 6), wrong))
    compared = run("import", "compare", "--roster", str(out), "--days", "1", "--json")
    differences = [difference for schedule in compared.json["schedules"] for difference in schedule["differences"]]
    assert {difference["by"] for difference in differences} == {"export"}


# ---------------------------------------------------------------- what cannot be imported as it is


def refused(run: Run, source: str, folder: Path | str, *options: str) -> str:
    """What the command says when it writes nothing."""
    out = Path(folder).parent / "roster.yaml"
    ran = run("import", source, str(folder), "--out", str(out), *options)
    assert ran.status == 1
    assert not out.exists()
    assert list(out.parent.glob(".roster-*")) == []
    return ran.err


def test_people_without_a_number_are_named_and_a_file_gives_it(
    run: Run, export: Callable[..., Path], phones: str
) -> None:
    folder = export("grafana-oncall")
    said = refused(run, "grafana-oncall", folder)
    assert "person user0@example.com" in said
    assert "has no number: put it in a file with the line email,phone and give --phones FILE" in said
    printed = run("import", "grafana-oncall", str(folder), "--phones", phones)
    assert printed.status == 0
    responders = parse_text(printed.out).document["responders"]
    assert responders["user3"] == {"name": "user3", "phone": "+12025550103", "slack_user": "U0SLACK3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("email,number\na@example.com,1", "has no column phone: begin it with the line: email,phone"),
        ("email,phone\nuser0@example.com,0905", "people.csv:2: the number of user0@example.com is none"),
        ("email,phone\na@x.com,+12025550100\nA@x.com,+12025550101", "people.csv:3: a@x.com is there a second time"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_of_numbers_that_is_none_is_told(
    run: Run, tmp_path: Path, export: Callable[..., Path], text: str | bytes, message: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(run, "grafana-oncall", export("grafana-oncall"), "--phones", str(file))
    assert message in said
    assert "0905" not in said


@pytest.mark.parametrize(
    ("source", "file", "body", "message"),
    [
        ("pagerduty", "users.json", '{"users": [{"id": "PU', "is not JSON, or was cut off"),
        ("pagerduty", "users.json", {"error": {"message": "Access Denied", "code": 2010}}, "PagerDuty refused: Access Denied"),
        ("pagerduty", "schedules__schedule-PSC000.json", {"schedule": {"id": "PSC000", "name": "S"}}, "has no schedule_layers"),
        ("pagerduty", "schedules__schedule-PSC000.json", {"schedule": {"id": "PSC000", "rotations": []}}, "is a shift-based"),
        ("pagerduty", "users.json", {"users": [], "more": True}, "users: there is a next page"),
        ("pagerduty", "escalation_policies.json", None, "its escalation policy PEP000 is not in the export"),
        ("pagerduty", "users.json", None, "people: the export has none: save the users too"),
        ("opsgenie", "users__all.json", {"message": "You are not authorized", "took": 0.1}, "Opsgenie refused"),
        ("opsgenie", "schedules__x.json", {"schedule": {"id": "x"}}, "has no rotations: save it with ?expand=rotation"),
        ("grafana-oncall", "users.json", {"detail": "Invalid token."}, "the API refused: Invalid token."),
        ("grafana-oncall", "on_call_shifts.json", None, "save on_call_shifts too, all pages"),
        ("grafana-oncall", "routes.json", {"next": "https://x/?page=2", "results": []}, "has a next page that is not"),
        ("grafana-oncall", "SICAL.ics", None, "has a calendar (ical_url_primary): save it as SICAL.ics"),
        ("grafana-oncall", "SICAL.ics", "<html>", "is no calendar"),
        ("goalert", "goalert.json", {"errors": [{"message": "admin only"}], "data": {}}, "GoAlert refused a part: admin only"),
    ],
)  # fmt: skip
def test_half_an_export_is_not_imported(
    run: Run, export: Callable[..., Path], phones: str, source: str, file: str, body: Any, message: str
) -> None:
    assert message in refused(run, source, export(source, **{file: body}), "--phones", phones)


def test_a_cut_list_of_goalert_is_not_taken_for_the_whole(run: Run, tmp_path: Path) -> None:
    files = goalert_export.export(NOW, 6)
    files["goalert.json"]["data"]["users"]["pageInfo"]["hasNextPage"] = True
    said = refused(run, "goalert", save(tmp_path / "goalert", files))
    assert "users: there are more than the answer has" in said


def test_the_query_in_the_manual_asks_for_what_is_read() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "move-in.md").read_text(encoding="utf-8")
    query = json.loads(manual.partition("<<QUERY\n")[2].partition("\nQUERY")[0])["query"]
    for group, fields in goalert.LISTS.items():
        asked = fields.replace("$start", '"$(date -u +%FT%TZ)"').replace("$end", "\"$(date -u -d '+35 days' +%FT%TZ)\"")
        assert f"{group}(input: {{first: 150}}) {{ nodes {{ {asked} }} pageInfo {{ hasNextPage }} }}" in query


@pytest.mark.parametrize("source", EXPORTS)
def test_the_export_of_another_system_is_named(run: Run, tmp_path: Path, source: str) -> None:
    other = next(name for name in EXPORTS if name != source)
    folder = save(tmp_path / "export", EXPORTS[other](NOW, 6))
    assert f"looks like an export of {other}: oncall import {other}" in refused(run, source, folder)


@pytest.mark.parametrize(
    ("path", "message"),
    [("missing", "there is no such file or folder"), ("empty", "has no .json file: save the exports there")],
)
def test_a_place_without_an_export_is_told(run: Run, tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    assert message in refused(run, "pagerduty", tmp_path / path)


def test_something_else_than_an_export_is_told(run: Run, tmp_path: Path) -> None:
    folder = save(tmp_path / "export", {"package.json": {"name": "x"}})
    assert "has neither schedules nor policies of pagerduty" in refused(run, "pagerduty", folder)


def test_an_unknown_time_zone_is_asked_for_and_windows_names_are_known(run: Run, tmp_path: Path) -> None:
    folder = pagerduty(tmp_path / "export", time_zone="HQ")
    assert "there is no time zone 'HQ': say which it is with --time-zone 'HQ=Europe/Berlin'" in refused(
        run, "pagerduty", folder
    )
    assert "write the name there, =, and a time zone" in refused(run, "pagerduty", folder, "--time-zone", "HQ=Nowhere")
    out = tmp_path / "roster.yaml"
    assert run("import", "pagerduty", str(folder), "--out", str(out), "--time-zone", "HQ=Asia/Tokyo").status == 0
    assert roster_of(out)["time_zone"] == "Asia/Tokyo"
    assert run("import", "compare", "--roster", str(out), "--days", "1").status == 0
    folder = pagerduty(tmp_path / "windows", time_zone="W. Europe Standard Time")
    assert run("import", "pagerduty", str(folder), "--out", str(out), "--force").status == 0
    assert roster_of(out)["time_zone"] == "Europe/Berlin"


def test_each_windows_name_is_of_a_zone_that_exists() -> None:
    assert len(WINDOWS) > 130
    assert [name for name in WINDOWS if iana_name(name) is None] == []


def test_two_schedules_of_one_name_are_two_here(run: Run, tmp_path: Path) -> None:
    folder = pagerduty(tmp_path / "export")
    second = json.loads((folder / "schedule-PS1.json").read_text(encoding="utf-8"))
    second["schedule"]["id"] = "PS2"
    third = {"schedule": second["schedule"] | {"id": "PS3", "name": "夜間"}}
    save(folder, {"schedule-PS2.json": second, "schedule-PS3.json": third})
    out = tmp_path / "roster.yaml"
    ran = run("import", "pagerduty", str(folder), "--out", str(out))
    assert ran.status == 0
    assert list(roster_of(out)["schedules"]) == ["primary", "primary-2", "ps3"]
    assert "schedule Primary: is called primary-2 here: another has its name" in ran.err
    assert "schedule 夜間: is called ps3 here" in ran.err


def test_the_turn_of_somebody_who_is_gone_is_nobodys_and_told(run: Run, tmp_path: Path) -> None:
    """The rhythm of the others stays: whose week it is does not change because somebody left."""
    folder = pagerduty(tmp_path / "export", users=3)
    out = tmp_path / "roster.yaml"
    ran = run("import", "pagerduty", str(folder), "--out", str(out))
    assert ran.status == 0
    assert roster_of(out)["schedules"]["primary"]["members"] == ["user0", "user1", "nobody"]
    assert "user PU02 is in a rotation and not among the users (deleted?): their turns are nobody's" in ran.err


def test_a_file_that_is_there_is_not_written_over(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "roster.yaml"
    out.write_text("mine", encoding="utf-8")
    folder = pagerduty(tmp_path / "export")
    ran = run("import", "pagerduty", str(folder), "--out", str(out))
    assert (ran.status, out.read_text(encoding="utf-8")) == (1, "mine")
    assert "is there already: give another name, or --force" in ran.err
    assert run("import", "pagerduty", str(folder), "--out", str(out), "--force").status == 0


def test_what_cannot_be_written_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.mkdir()
    ran = run("import", "pagerduty", str(pagerduty(tmp_path / "export")), "--out", str(out), "--force")
    assert ran.status == 1
    assert "there: cannot be written: Is a directory: give a file, in a folder that is there, to --out" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "there"]


def test_a_folder_that_is_missing_is_told(run: Run, tmp_path: Path) -> None:
    ran = run("import", "pagerduty", str(pagerduty(tmp_path / "export")), "--out", str(tmp_path / "no" / "roster.yaml"))
    assert ran.status == 1
    assert "cannot be written: No such file or directory" in ran.err


def test_a_roster_that_does_not_say_where_it_is_from_has_to_be_told(run: Run, write: Callable[[str], str]) -> None:
    ran = run("import", "compare", "--roster", write("responders: {alice: +12025550100}\n"))
    assert ran.status == 1
    assert "does not say what it was imported from" in ran.err


def test_ten_thousand_users_of_whom_two_are_on_call(run: Run, tmp_path: Path) -> None:
    folder = pagerduty(tmp_path / "export")
    many = [
        pagerduty_export.user(number % 8) | {"id": f"PX{number}", "email": f"x{number}@example.com"}
        for number in range(10_000)
    ]
    save(folder, {"more.json": {"users": many}})
    out = tmp_path / "roster.yaml"
    began = monotonic()
    ran = run("import", "pagerduty", str(folder), "--out", str(out))
    assert monotonic() - began < 30
    assert ran.status == 0
    assert list(roster_of(out)["responders"]) == ["user0", "user1"]
    assert "people: 10000 are in no schedule and no policy, and are left out" in ran.err


def test_no_number_is_in_the_report(run: Run, tmp_path: Path) -> None:
    folder = pagerduty(tmp_path / "export")
    users = json.loads((folder / "users.json").read_text(encoding="utf-8"))
    users["users"][0]["contact_methods"][1]["address"] = "12"
    save(folder, {"users.json": users})
    said = refused(run, "pagerduty", folder)
    assert "person user0@example.com: has a number that is none" in said
    assert "202555" not in said


def test_a_policy_that_rings_nobody_is_for_slack_only(run: Run, tmp_path: Path) -> None:
    folder = pagerduty(tmp_path / "export")
    quiet = {"id": "PP2", "name": "Quiet", "num_loops": 0, "escalation_rules": []}
    service = {"id": "S2", "name": "wiki", "escalation_policy": {"id": "PP2"}}
    save(folder, {"quiet.json": {"escalation_policies": [quiet], "services": [service]}})
    out = tmp_path / "roster.yaml"
    assert run("import", "pagerduty", str(folder), "--out", str(out)).status == 0
    document = roster_of(out)
    assert list(document["policies"]) == ["shop"]
    assert document["products"]["wiki"] == {"call": False}


def test_several_people_at_once_are_rung_one_after_another(run: Run, tmp_path: Path) -> None:
    """Two rotations of one Opsgenie schedule count at the same time: two schedules here, and two steps."""
    begin = (NOW - timedelta(days=8)).isoformat()
    rotations = [
        {
            "id": f"r{number}", "name": f"Rot{number}", "startDate": begin, "type": "weekly", "length": 1,
            "participants": [{"type": "user", "id": opsgenie_export.USERS[number]}],
        }
        for number in range(2)
    ]  # fmt: skip
    rules = [
        {
            "condition": "if-not-acked",
            "notifyType": "default",
            "delay": {"timeAmount": 0},
            "recipient": {"type": "schedule", "id": "s1"},
        }
    ]
    folder = save(
        tmp_path / "export",
        {
            **{f"users/{number}.json": opsgenie_export.user(number) for number in range(2)},
            "schedules/s.json": {
                "schedule": {"id": "s1", "name": "Ops", "timezone": "UTC", "enabled": True, "rotations": rotations}
            },
            "escalations/e.json": {"id": "e1", "name": "Ops", "rules": rules},
        },
    )
    out = tmp_path / "roster.yaml"
    ran = run("import", "opsgenie", str(folder), "--out", str(out))
    assert ran.status == 0, ran.err
    assert "has 2 people on call at once: it is ops, ops-2 here, rung in this order" in ran.err
    roster, _ = parse(roster_of(out))
    policy: Policy = roster.policies["ops"]
    assert [o.responder.id for o in responders_on_call(roster, policy, NOW)] == ["user0", "user1"]
