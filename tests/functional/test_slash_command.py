"""The command /oncall: who is on call, take a shift, page somebody, what is open."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devstack.slack import blocks as block_kit
from oncall import actions, roster
from oncall.authorization import Parameters
from oncall.clock import at
from oncall.phone import keys
from oncall.slack import command, home
from oncall.slack.command import Command
from oncall.slack.people import Access, Person, Reader
from oncall.table import Update
from tests.builders import CHANNEL, DATABASE, GATEWAY, MINUTE, SATO, SUZUKI, TAKAHASHI, World, alert, webhook

PEOPLE: dict[str, Any] = {
    "RESPONDER#suzuki": {"name": "Suzuki", "phone": SUZUKI, "position": 2, "slack_user": "U0SUZUKI"},
    "RESPONDER#takahashi": {
        "name": "高橋",
        "phone": TAKAHASHI,
        "position": 3,
        "slack_user": "U0TAKA",
        "language": "ja",
    },
    "SCHEDULE#primary": {"members": ["sato", "suzuki"], "start": "2026-11-16", "hand_over": "monday 09:00"},
    "POLICY#default": {"steps": [{"schedule": "primary"}, "everyone"], "rounds": 2},
    "PRODUCT#shop": {},
    "PRODUCT#point of sale": {"slack_channel": "C0SALE"},
}

ACCESS = Access(lambda *_: Person("member", frozenset({CHANNEL, "C0SALE"})))


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    world.roster({**PEOPLE, "SCHEDULE#everyone": None})


def types(world: World, text: str, user: str = "U0SUZUKI", trigger: str = "1.2.3", name: str = "suzuki.k") -> str:
    """Somebody types /oncall; returns what they alone read."""
    return answered(world, ACCESS, text, user, trigger, name)


def answered(world: World, access: Access, text: str, user: str, trigger: str = "1.2.3", name: str = "x") -> str:
    return command.answer(world.services, access, Command(text, user, name, trigger, GATEWAY))


def reader(world: World, user: str, access: Access = ACCESS) -> Reader:
    known, _ = roster.read_items(world.table.query(roster.PARTITION))
    return Reader(user, known, access, at(world.clock.now()))


def read(part: Any) -> str:
    """The texts in which Slack looks for mentions: not those of headers and buttons."""
    if isinstance(part, list):
        return "".join(map(read, part))
    if not isinstance(part, dict):
        return ""
    return str(part["text"]) if part.get("type") == "mrkdwn" else read(list(part.values()))


def overrides_of(world: World) -> list[roster.Override]:
    known, problems = roster.read_items(world.table.query(roster.PARTITION))
    assert not problems
    return list(known.overrides.values())


# ---------------------------------------------------------------- who


@pytest.mark.parametrize("text", ["", "who", "  WHO ", "who now"])
def test_who_is_on_call_now_and_next(world: World, text: str) -> None:
    said = types(world, text)
    assert "*Policy default* for point of sale, shop, silent" in said
    assert "Rings Sato, then Suzuki, then 高橋" in said
    handover = 1795424400  # Monday, 2026-11-23 09:00 UTC
    assert f"primary: Sato until <!date^{handover}^" in said
    assert "then Suzuki" in said
    assert "*Policy other* for elsewhere" in said
    assert SATO not in said


def test_who_in_japanese(world: World) -> None:
    said = types(world, "who", user="U0TAKA")
    assert "電話の順番：Sato → Suzuki → 高橋" in said
    assert "次はSuzuki" in said


def test_who_says_when_nobody_would_be_rung(world: World) -> None:
    world.roster(
        {"SCHEDULE#nobody": {"members": []}, "POLICY#default": {"steps": [{"schedule": "nobody"}], "rounds": 1}}
    )
    assert "no phone would ring" in types(world, "")
    assert "nobody: nobody" in types(world, "")


def test_without_a_roster_it_says_what_to_do(world: World) -> None:
    for item in world.table.query(roster.PARTITION):
        world.roster({item["sk"]: None})
    assert "oncall roster apply" in types(world, "who")


def test_with_many_people_and_policies_it_stays_short(world: World) -> None:
    world.roster(
        {f"RESPONDER#r{n}": {"name": f"Responder {n}", "phone": SATO, "position": 10 + n} for n in range(60)}
        | {f"POLICY#p{n}": {"rounds": 1} for n in range(40)}
        | {f"PRODUCT#product {n}": {"policy": f"p{n}"} for n in range(40)}
    )
    said = types(world, "")
    assert "and 58 more" in said
    assert "more policies" in said
    assert len(said) < 12_000
    for name in ("p39", "Product 39"):
        assert types(world, f"who {name}").startswith("*Policy p39* for product 39")


def test_who_is_rung_for_what_the_roster_does_not_know(world: World) -> None:
    said = types(world, "who chekout")
    assert "There is no policy or product" in said
    assert "chekout" in said
    assert "*Policy default*" in said


# ---------------------------------------------------------------- take


def test_take_until_the_shift_ends(world: World) -> None:
    world.roster(
        {"POLICY#default": {"steps": [{"schedule": "primary"}]}, "POLICY#other": None, "PRODUCT#elsewhere": None}
    )
    said = types(world, "take")
    (override,) = overrides_of(world)
    assert (override.responder, override.schedule, override.end.isoformat()) == (
        "suzuki",
        "primary",
        "2026-11-23T09:00:00+00:00",
    )
    assert said.startswith("You are on call (primary) until <!date^1795424400^")
    world.fire()
    assert world.ringing == [SUZUKI]


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("primary for 2h", 2),
        ("for 90m", 1.5),
        ("PRIMARY for 1 day", 24),
        ("for 2時間", 2),
        ("primary 3h", 3),
        ("2h", 2),
    ],
)
def test_take_for_a_while(world: World, text: str, hours: float) -> None:
    world.roster(
        {"POLICY#default": {"steps": [{"schedule": "primary"}]}, "POLICY#other": None, "PRODUCT#elsewhere": None}
    )
    types(world, f"take {text}", user="U0SUZUKI")
    (override,) = overrides_of(world)
    assert (override.end - override.start).total_seconds() == hours * 3600


@pytest.mark.parametrize("text", ["for ever", "for 0h", "for -2h", "for 8d", "primary for", "for 999d", "for 2h30"])
def test_a_length_that_cannot_be_read_takes_nothing(world: World, text: str) -> None:
    assert "for 90m" in types(world, f"take {text}") or "no schedule" in types(world, f"take {text}")
    assert overrides_of(world) == []


def test_with_several_schedules_it_asks_which(world: World) -> None:
    said = types(world, "take for 2h")
    assert "`/oncall take primary`" in said
    assert "`/oncall take everyone`" in said
    assert overrides_of(world) == []
    assert "no schedule `primarx`" in types(world, "take primarx")
    types(world, "take everyone for 2h")
    assert [override.schedule for override in overrides_of(world)] == ["everyone"]


def test_without_a_schedule_it_is_the_one_that_every_policy_rings_by_first(world: World) -> None:
    world.roster({"POLICY#other": None, "PRODUCT#elsewhere": None})
    said = types(world, "take")
    (override,) = overrides_of(world)
    assert override.schedule == "primary"
    assert said.endswith(f"or `oncall override remove {override.id}`.")


def test_taking_twice_is_taking_once(world: World) -> None:
    first = types(world, "take primary")
    world.clock.time += 1000
    assert types(world, "take primary", trigger="4.5.6") == first
    assert len(overrides_of(world)) == 1


def test_whoever_has_the_shift_may_take_it_for_longer(world: World) -> None:
    said = types(world, "take primary for 12h", user="U0SATO")
    (override,) = overrides_of(world)
    assert override.responder == "sato"
    assert said.startswith("You are on call")


def test_whoever_is_not_in_the_roster_takes_nothing(world: World) -> None:
    assert "`slack_user: U0GUEST`" in types(world, "take primary", user="U0GUEST")
    assert overrides_of(world) == []


# ---------------------------------------------------------------- page


def test_page_rings_whoever_is_on_call(world: World) -> None:
    said = types(world, "page shop checkout &amp; search are <!channel> &lt;slow&gt;")
    assert said == f":telephone_receiver: Sato is called now. Its message comes into <#{CHANNEL}>."
    (run,) = world.run_started()
    assert world.ringing == [SATO]
    incident = world.incident(run)
    assert (incident.product, incident.title) == ("shop", "Paged by Suzuki")
    assert incident.summary == "checkout & search are <!channel> <slow>"
    world.project(incident.id)
    (message,) = world.slack.posts
    assert "<!channel>" not in read(message.blocks) + message.text


def test_the_same_command_twice_rings_once(world: World) -> None:
    types(world, "page shop is down")
    world.clock.time += 2000
    types(world, "page shop is down")
    assert len(world.started) == 1
    types(world, "page shop is down", trigger="4.5.6")
    assert len(world.started) == 2


def test_a_product_may_have_several_words_and_its_own_channel(world: World) -> None:
    assert "<#C0SALE>" in types(world, "page Point of Sale tills are dead")
    assert world.started[0][1]["product"] == "point of sale"
    assert world.started[0][1]["text"] == "tills are dead"


def test_a_product_that_was_misspelt_is_asked_about(world: World) -> None:
    assert "Did you mean `/oncall page shop …`?" in types(world, "page shpo is down")
    assert world.started == []


def test_a_product_that_nobody_knows_is_paged_by_the_default_policy(world: World) -> None:
    said = types(world, "page warehouse is on fire")
    assert "`warehouse` is not in the roster" in said
    world.run_started()
    assert world.ringing == [SATO]


@pytest.mark.parametrize("text", ["page", "page shop", "page   shop  "])
def test_a_page_without_words_rings_nobody(world: World, text: str) -> None:
    assert "what is wrong?" in types(world, text)
    assert world.started == []


def test_a_page_that_would_ring_nobody_says_so(world: World) -> None:
    assert "for Slack only" in types(world, "page silent hello")
    world.roster({"SCHEDULE#nobody": {"members": []}, "POLICY#default": {"steps": [{"schedule": "nobody"}]}})
    assert "nobody was rung" in types(world, "page shop hello")
    assert world.started == []


def test_a_page_of_three_thousand_characters_rings(world: World) -> None:
    types(world, "page shop " + "とても遅い" * 600)
    (run,) = world.run_started()
    assert world.ringing == [SATO]
    world.project(world.incident(run).id)
    assert len(world.slack.posts) == 1


def test_whoever_is_not_in_the_roster_may_not_page(world: World) -> None:
    said = types(world, "page shop is down", user="U0GUEST", name="Sato")
    assert "Only people in the roster may page" in said
    assert world.started == []


def test_one_person_pages_three_times_a_minute(world: World) -> None:
    for number in range(5):
        said = types(world, "page shop is down", trigger=str(number % 4))
    assert "within a minute" not in said, "the first one, sent again"
    assert "You have paged 3 times" in types(world, "page shop is down", trigger="3")
    assert len(world.started) == 3
    types(world, "page shop is down", trigger="5", user="U0SATO")
    world.clock.time += MINUTE * 1000
    types(world, "page shop is down", trigger="6")
    assert len(world.started) == 5


# ---------------------------------------------------------------- incidents


def test_nothing_is_open(world: World) -> None:
    world.fire()
    world.resolve()
    assert types(world, "incidents") == ":large_green_circle: Nothing is open in your channels."


def test_open_incidents_are_listed_with_links_the_newest_first(world: World) -> None:
    world.roster({"RESPONDER#sato": {"name": "Sato", "phone": SATO, "slack_user": "U0SATO", "position": 1}})
    first = world.fire()
    world.project(*first.decision["incidents"])
    world.takes_in_slack(first.decision["incidents"][0])
    world.clock.time += MINUTE * 1000
    world.fire(webhook(key=DATABASE))
    world.fire(webhook(key="over"))
    world.resolve(webhook(key="over", status="resolved"))
    head, newest, oldest = types(world, "incidents").split("\n")
    assert head == "*2 open*"
    assert "database alert is down" in newest
    assert "nobody has it" in newest
    ts = world.slack.posts[0].ts.replace(".", "")
    assert f"<https://example.slack.com/archives/{CHANNEL}/p{ts}|shop alert is down>" in oldest
    assert "Sato has it" in oldest


def test_an_incident_that_somebody_took_a_moment_ago_is_theirs(world: World) -> None:
    run = world.fire()
    taken = actions.acknowledge_incident(world.services, run.decision["incidents"][0], name="", slack_user="U0SATO")
    assert taken.ours
    assert world.incident(run).state == "triggered", "the state machine has not carried it on yet"
    assert "Sato has it" in types(world, "incidents")
    assert ("acknowledge", run.decision["incidents"][0]) not in buttons_of(view(world))


def test_a_page_that_was_taken_when_it_covered_nothing_any_more_is_nobodys(world: World) -> None:
    run = world.fire()
    world.resolves_half(run)
    keys.key_pressed(world.services, world.last_call.callbacks, "1")  # and the state machine has not had its turn
    with world.dynamo.dies(1, answered=True):
        world.receive(webhook(key=DATABASE))  # opened, and on no page yet
    assert "database alert is down" in types(world, "incidents")
    assert "nobody has it" in types(world, "incidents")


def test_an_incident_that_somebody_takes_while_the_list_is_read_is_listed_as_taken(world: World) -> None:
    world.fire()
    call = world.last_call

    def has_read() -> None:
        world.dynamo.before("GetItem", lambda: world.hears(call, "1"))

    world.dynamo.before("GetItem", has_read)
    (listed,), _ = command.open_incidents(world.table, world.clock.now(), 10, lambda _: True)

    assert world.page().is_settled
    assert (listed.state, listed.acknowledged_by) == ("acknowledged", "Sato")


def test_of_many_open_incidents_the_newest_are_read(world: World) -> None:
    for number in range(command.SHOWN + 4):
        world.receive(webhook(key=f"group {number}"))
        world.clock.time += 1000
    said = types(world, "incidents")
    assert "*19 open*" in said
    assert "… and 4 more" in said
    assert "group 18" in said
    assert "group 3 " not in said


OF_SALE = webhook(key="sale", product="point of sale", alerts=[alert("sale", labels={"product": "point of sale"})])
ONLY_SHOP = Access(lambda *_: Person("member", frozenset({CHANNEL})))
UNSURE = Access(lambda *_: Person("member", None))


@pytest.mark.parametrize("user", ["U0GUEST", "U0SUZUKI"])
def test_a_list_has_what_its_readers_channels_show(world: World, user: str) -> None:
    world.roster(
        {"POLICY#sale": {"steps": [{"responder": "sato"}]}, "POLICY#default": {"steps": [{"responder": "sato"}]}}
    )
    world.roster({"PRODUCT#point of sale": {"policy": "sale", "slack_channel": "C0SALE"}})
    world.fire()
    world.fire(OF_SALE)
    for access, seen in ((ACCESS, {"shop", "sale"}), (ONLY_SHOP, {"shop"}), (UNSURE, set())):
        listed = answered(world, access, "incidents", user)
        shown = json.dumps(view(world, user, access=access))
        for name in ("shop", "sale"):
            assert (f"{name} alert" in listed or f"{name} is down" in listed) is (name in seen), listed
            assert (f"{name} alert" in shown or f"{name} is down" in shown) is (name in seen)
        assert (f"*{len(seen)} open*" in listed) is bool(seen)
        assert ("which channels you are in" in listed) is ("which channels you are in" in shown) is (access is UNSURE)


def test_whoever_is_rung_for_them_sees_them_in_whichever_channels_they_are(world: World) -> None:
    world.fire(OF_SALE)
    for access in (ONLY_SHOP, UNSURE, Access(lambda *_: None)):
        assert "*1 open*" in answered(world, access, "incidents", "U0SUZUKI")
        assert "sale is down" in json.dumps(view(world, access=access))


def test_an_incident_that_was_opened_before_its_channel_was_noted_is_as_well_hidden(world: World) -> None:
    run = world.fire(OF_SALE)
    partition = f"INCIDENTS#{at(world.clock.now()):%Y-%m}"
    world.table.update(Update(partition, run.decision["incidents"][0], remove=("channel", "policy", "product")))
    assert "Nothing is open" in answered(world, ONLY_SHOP, "incidents", "U0GUEST")
    assert "*1 open*" in answered(world, ACCESS, "incidents", "U0GUEST")


# ---------------------------------------------------------------- help


def test_help_and_what_is_no_command(world: World) -> None:
    assert "`/oncall take [schedule] [for 2h]`" in types(world, "help")
    said = types(world, "incidnets")
    assert said.startswith("There is no `/oncall incidnets`. Did you mean `/oncall incidents`?")
    assert types(world, "help") in said
    assert "`/oncall x'y`" in types(world, "x`y")
    assert "というコマンドはありません" in types(world, "nanika", user="U0TAKA")


def test_both_languages_say_the_same_things() -> None:
    for words in (command._WORDS, home._WORDS):
        assert words["en"].keys() == words["ja"].keys()


@given(st.text(max_size=200), st.sampled_from(["", "take ", "page ", "take for ", "page shop "]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_typed_mentions_nobody(world: World, text: str, before: str) -> None:
    said = types(world, f"{before}{text} <!channel> &lt;@U0SATO&gt;", trigger=text)
    assert "<!channel" not in said
    assert "<@" not in said
    assert 0 < len(said) < 3000


# ---------------------------------------------------------------- the app's home


def view(world: World, user: str = "U0SUZUKI", notice: str = "", access: Access = ACCESS) -> dict[str, Any]:
    who = reader(world, user, access)
    found, count = command.open_incidents(world.table, world.clock.now(), home.MOST_INCIDENTS, who.sees)
    shown = home.view(who, found, count=count, language="en", notice=notice)
    assert shown["type"] == "home"
    assert block_kit.problems(shown["blocks"], view=True) == []
    assert len(json.dumps(shown)) < 100_000
    return shown


def buttons_of(shown: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (element["action_id"].partition("/")[0], element["value"])
        for block in shown["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def test_the_home_says_who_is_on_call_what_is_open_and_my_next_shifts(world: World) -> None:
    run = world.fire()
    world.project(*run.decision["incidents"])
    shown = view(world)
    words = json.dumps(shown, ensure_ascii=False)
    assert "Rings Sato, then Suzuki" in words
    assert "|shop alert is down>" in words
    assert "• primary: <!date^1795424400^" in words, "Suzuki's shift"
    incident = run.decision["incidents"][0]
    assert ("acknowledge", incident) in buttons_of(shown)
    assert ("resolve", incident) in buttons_of(shown)
    assert ("take_schedule", "primary") in buttons_of(shown)
    theirs = view(world, "U0SATO")
    assert ("take_schedule", "primary") not in buttons_of(theirs), "it is Sato's shift already"
    assert "• primary: now, until <!date^1795424400^" in json.dumps(theirs, ensure_ascii=False)


def test_the_home_has_only_buttons_that_its_reader_may_use(world: World) -> None:
    world.roster({"POLICY#default": {"steps": [{"schedule": "primary"}]}, "SCHEDULE#primary": {"members": ["sato"]}})
    world.roster({"POLICY#other": {"steps": [{"responder": "takahashi"}]}})
    incident = world.fire().decision["incidents"][0]
    offered = {user: buttons_of(view(world, user)) for user in ("U0SATO", "U0TAKA", "U0GUEST")}
    assert offered["U0SATO"] == [("acknowledge", incident), ("resolve", incident)], "the shift is Sato's"
    assert offered["U0TAKA"] == [("acknowledge", incident)]
    assert offered["U0GUEST"] == [("acknowledge", incident)]
    everything = Access(ACCESS.person, Parameters(members_may_all=True))
    taken = ("take_schedule", "primary")
    assert buttons_of(view(world, "U0TAKA", access=everything)) == [
        taken,
        ("acknowledge", incident),
        ("resolve", incident),
    ]
    assert buttons_of(view(world, "U0GUEST", access=everything)) == [("acknowledge", incident), ("resolve", incident)]


@pytest.mark.parametrize(
    ("person", "said"),
    [
        (Person("guest", frozenset({CHANNEL})), "Guests of this"),
        (Person("outsider"), "another org"),
        (None, "has not said"),
    ],
)
def test_the_home_of_whoever_may_not_look_shows_nothing(world: World, person: Person | None, said: str) -> None:
    world.fire()
    shown = view(world, "U0GUEST", access=Access(lambda *_: person))
    assert said in json.dumps(shown)
    assert "shop alert" not in json.dumps(shown)
    assert buttons_of(shown) == []


def test_the_home_of_somebody_unknown_says_how_to_get_in(world: World) -> None:
    words = json.dumps(view(world, "U0GUEST"))
    assert "slack_user: U0GUEST" in words
    assert "take_schedule" not in words


def test_the_home_in_japanese_and_with_something_to_tell(world: World) -> None:
    words = json.dumps(view(world, "U0TAKA", notice="こんにちは"), ensure_ascii=False)
    assert "未解決のインシデント" in words
    assert "こんにちは" in words


def test_a_full_home_is_one_that_slack_takes(world: World) -> None:
    long = "<!channel>&" * 200
    world.roster(
        {f"RESPONDER#r{n}": {"name": long, "phone": SATO, "position": 10 + n} for n in range(30)}
        | {f"SCHEDULE#{'s' * 60}{n:02}": {"members": ["sato"]} for n in range(30)}
        | {f"POLICY#p{n}": {"steps": [{"schedule": f"{'s' * 60}{n:02}"}, "everyone"]} for n in range(30)}
        | {f"PRODUCT#{'p' * 150} {n}": {"policy": f"p{n}"} for n in range(30)}
    )
    for number in range(home.MOST_INCIDENTS + 3):
        world.receive(webhook(key=f"{number} {long}"))
        world.clock.time += 1000
    shown = view(world)
    assert len(shown["blocks"]) <= 100
    assert "<!channel>" not in read(shown["blocks"])


def test_an_empty_home(world: World) -> None:
    for item in world.table.query(roster.PARTITION):
        world.roster({item["sk"]: None})
    words = json.dumps(view(world))
    assert "oncall roster apply" in words
    assert "Nothing is open" in words
