"""What people read and hear is in one language, with dates in the reader's words: in Slack, calls, text messages and mails.

A night with everything that can happen, once for an English team and once for a Japanese one. What others wrote (names,
alerts) is of the same language here, so whatever is of another one is ours.
"""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from oncall import roster
from oncall.clock import at
from oncall.phone import mail, refusals, sms, voice
from oncall.roster import Language
from oncall.slack import buttons, command, home, people, probe_message, shadow_message
from oncall.slack.buttons import Press
from oncall.slack.command import Command
from oncall.slack.people import Access, Person, Reader
from oncall.slack.words import WORDS
from tests.builders import CHANNEL, GATEWAY, MINUTE, SATO, SUZUKI, TAKAHASHI, World, alert, webhook

NAMES = {"en": ("Sato", "Suzuki", "Takahashi"), "ja": ("佐藤", "鈴木", "高橋")}
BROKEN = {"en": "Orders fail", "ja": "注文に失敗しています"}
ACCESS = Access(lambda *_: Person("member", frozenset({CHANNEL})))

# What may stand in both languages: commands and what is to be copied, addresses, ids, names of programs and settings.
_BOTH = re.compile(
    r"`[^`]*`|<[@#!][^>]*>|https?://[^\s|>]+|[0-9]{8}-[0-9]{6}-[0-9a-f]{6}|oncall [a-z][a-z -]*|--[a-z-]+"
    r"|[a-z]+_[a-z_]+|[a-z]+: [a-z]+\b"
    # where to look in the consoles of others, which are in English
    r"|(?:Voice|Messaging) > Settings > Geo permissions|Phone Numbers > Verified Caller IDs|Trust Hub"
    r"|Mission Control|API error codes"
    r"|\b(?:Slack|Twilio|Telnyx|SMS|Alertmanager|Prometheus|Grafana|Webhook|URL|API|UTC|NAME|ID|default|primary|shop|sale)\b"
    r"|\b[A-Z]\w*(?:[A-Z]\w*)+\b|\b[a-z]+[-.][\w.-]+"
)
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\u3000-\u303f\uff01-\uff60]")
_ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,.]+[A-Za-z]{2,})+")  # two words that follow one another
_DATE = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b|\b[0-9]{2}:[0-9]{2}(?::[0-9]{2})? UTC")


def people_of(language: Language) -> dict[str, Any]:
    first, second, third = NAMES[language]
    return {
        "RESPONDER#sato": {"name": first, "phone": SATO, "position": 1, "language": language, "slack_user": "U0SATO"},
        "RESPONDER#suzuki": {"name": second, "phone": SUZUKI, "position": 2, "language": language},
        "RESPONDER#takahashi": {"name": third, "phone": TAKAHASHI, "position": 3, "language": language},
        "SCHEDULE#primary": {"members": ["sato", "suzuki"], "start": "2026-11-16", "hand_over": "monday 09:00"},
        "POLICY#default": {"steps": [{"schedule": "primary"}, "everyone"], "rounds": 1, "remind_after_minutes": 30},
        "PRODUCT#shop": {"language": language},
        "PRODUCT#sale": {"language": language, "call": False},
    }


def fires(world: World, key: str, **labels: str) -> str:
    """Something breaks in the words of the team; returns its incident."""
    about = BROKEN[world.language]
    hook = webhook(alert(about, annotations={"summary": about}, labels=labels), key=key, product="shop")
    return str(world.fire(hook).decision["incidents"][0])


def night(world: World) -> list[str]:
    """All that can happen; returns what was said on the phones and to those who pressed something."""
    said = [world.last_call.twiml] if world.telephone.calls else []
    world.telephone.text_sender = "+12025550180"
    first = fires(world, "one")
    said.append(world.last_call.twiml)
    said.append(world.hears(world.last_call, "9"))
    said.append(world.hears(world.last_call, "0"))
    for number in range(8):
        fires(world, f"storm {number}", severity="unheard" if number == 7 else "critical")
    world.project(first)
    world.telephone.refuses.add(SUZUKI)
    said.append(world.hears(world.last_call, "2"))
    said.extend(press(world, "ring_next", first))
    world.twilio_says(world.last_call, "no-answer")
    world.passes(10 * MINUTE)
    said.extend(press(world, "ring_again", first))
    world.run_started()
    said.extend(press(world, "take_shift", first))
    said.extend(press(world, "undo_shift", next(iter(world_roster(world).overrides), "")))
    said.append(world.hears(world.last_call, "1"))
    for asked in world.texts:
        sms.taken(world.services, str(asked["policy"]), str(asked["page"]), int(asked["call"]))
    fires(world, "later")
    world.telephone.is_away = True
    world.passes(5 * MINUTE)
    world.telephone.is_away = False
    world.passes(30 * MINUTE)
    for text in (
        "",
        "who",
        "incidents",
        "take",
        "take nothing",
        "take primary for 2h",
        "page",
        "page sale x",
        "page shpo x",
        "nonsense",
    ):
        answered = command.answer(world.services, ACCESS, Command(text, "U0SATO", "sato", text or "0", GATEWAY))
        said.append(answered)
    stranger = Command("page shop x", "U0GUEST", NAMES[world.language][0], "7", GATEWAY)
    said.append(command.answer(world.services, ACCESS, stranger))
    reader = Reader("U0SATO", world_roster(world), ACCESS, at(world.clock.now()))
    found, count = command.open_incidents(world.table, world.clock.now(), 10, reader.sees)
    said += texts(home.view(reader, found, count=count, language=world.language))
    for one in found:
        said.extend(press(world, "resolve", one.id))
    return said


def press(world: World, action: str, value: str) -> Iterator[str]:
    for user, name in (("U0SATO", "sato"), ("U0GUEST", NAMES[world.language][0])):
        yield buttons.press(world.services, ACCESS, Press(action, value, user, name, channel=CHANNEL))
        world.settles_down()


def world_roster(world: World) -> roster.Roster:
    return roster.read_table(world.table)


def texts(part: Any) -> list[str]:
    """The texts of blocks, each block's together."""
    if isinstance(part, list):
        return [text for one in part for text in texts(one)]
    if not isinstance(part, dict):
        return []
    inner = [text for value in part.values() for text in texts(value)]
    own = part.get("text")
    return [own, *inner] if isinstance(own, str) else inner


def all_said(world: World, said: list[str]) -> list[str]:
    """What was said in the night, line by line."""
    slack = [text for one in world.slack.messages for text in (one.text, *texts(one.blocks))]
    posts = [wish["text"] for wish in world.posts_asked]
    mails = [str(one["Message"]) for one in world.topic.published]
    spoken = [re.sub(r"<[^>]*>", "\n", one) if one.startswith("<") else one for one in said]
    sms = [body for _, body in world.telephone.texts]
    return [line for text in (*slack, *posts, *mails, *spoken, *sms) for line in text.split("\n") if line.strip()]


def wrong(language: Language, line: str) -> bool:
    """Whether a line has words of the other language, or a date that is written for machines."""
    plain = _BOTH.sub(" ", line)
    if _DATE.search(plain):
        return True
    return (
        bool(_JAPANESE.search(plain)) if language == "en" else bool(_ENGLISH.search(plain) and _JAPANESE.search(line))
    )


@pytest.mark.parametrize("language", get_args(Language))
def test_each_line_is_in_one_language_with_dates_in_words(world: World, language: Language) -> None:
    world.language = language
    world.roster(people_of(language))
    said = night(world)
    for one in range(40):
        waiting = set(world.slack_asked)
        world.project(*sorted(waiting), me=f"projector {one}")
        world.clock.time += 5_000
    lines = all_said(world, said)
    assert len(lines) > 100
    assert [line for line in dict.fromkeys(lines) if wrong(language, line)] == []


TABLES = (buttons, command, home, mail, people, probe_message, refusals, shadow_message, sms, voice)


@pytest.mark.parametrize("language", get_args(Language))
def test_what_the_night_does_not_say_is_in_one_language_too(language: Language) -> None:
    written = [text for module in TABLES for text in vars(module)["_WORDS"][language].values()]
    told = [re.sub(r"\{[^}]*\}", " x ", text) for text in (*written, *WORDS[language].values())]
    assert [line for text in told for line in text.split("\n") if wrong(language, line)] == []
