"""The app's home in Slack: who is on call, what is open, when my next shifts are; with buttons. In Japanese or English.

Slack: a view has at most 100 blocks, a section's text 3,000 characters, a button's value 2,000.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from oncall import authorization
from oncall.incidents import Incident
from oncall.roster import Language, Responder, Roster, overview
from oncall.roster.schedules import Shift
from oncall.slack import buttons, messages, people
from oncall.slack.command import incident_words, rung_words
from oncall.slack.mrkdwn import moment
from oncall.slack.people import Reader

MOST_POLICIES = 15
MOST_INCIDENTS = 10
MOST_SHIFTS = 5
LONGEST_ID = 2_000  # characters of a button's value

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "on_call": "Who is on call",
        "take": "Take {schedule}",
        "take_title": "Take the shift?",
        "take_text": "You are called first from now until the shift ends: {schedule}.",
        "take_deny": "No",
        "open": "Open incidents",
        "none_open": ":large_green_circle: Nothing is open in your channels.",
        "unsure": "Slack has not said which channels you are in, so only incidents of your own policies are listed.",
        "more_incidents": "… and {count} more: `/oncall incidents`",
        "acknowledge": "Acknowledge",
        "resolve": "Resolve",
        "resolve_title": "Resolve this incident?",
        "resolve_text": "No phone rings for it any more. If its alerts still fire, their next repeat opens a new incident.",
        "resolve_deny": "Keep it open",
        "shifts": "My next shifts",
        "shift": "• {schedule}: {start} to {end}",
        "shift_now": "• {schedule}: now, until {end}",
        "shift_always": "• {schedule}: now, and for weeks to come",
        "no_shifts": "None within five weeks.",
        "no_roster": "There is no roster yet: `oncall roster apply roster.yaml`",
        "commands": "`/oncall help` says what else there is.",
        "more_policies": "… and {count} more: `/oncall who`",
    },
    "ja": {
        "on_call": "当番",
        "take": "{schedule} を代わる",
        "take_title": "当番を代わりますか？",
        "take_text": "いまから当番の終わりまで、最初に電話がかかります：{schedule}",
        "take_deny": "やめる",
        "open": "未解決のインシデント",
        "none_open": ":large_green_circle: 参加しているチャンネルに未解決のインシデントはありません。",
        "unsure": "参加しているチャンネルをSlackから確認できないため、自分のポリシーのインシデントだけを表示しています。",
        "more_incidents": "… ほか{count}件：`/oncall incidents`",
        "acknowledge": "対応する",
        "resolve": "解決済みにする",
        "resolve_title": "解決済みにしますか？",
        "resolve_text": "このインシデントの電話は止まります。アラートが続いていれば、次の再通知で新しいインシデントになります。",
        "resolve_deny": "やめる",
        "shifts": "自分の次の当番",
        "shift": "• {schedule}：{start}から{end}まで",
        "shift_now": "• {schedule}：いま当番です。{end}まで",
        "shift_always": "• {schedule}：いま当番です。当面続きます",
        "no_shifts": "今後5週間はありません。",
        "no_roster": "名簿がまだありません：`oncall roster apply roster.yaml`",
        "commands": "ほかの使い方：`/oncall help`",
        "more_policies": "… ほか{count}件：`/oncall who`",
    },
}


def view(
    reader: Reader, found: Sequence[Incident], *, count: int, language: Language, notice: str = ""
) -> dict[str, Any]:
    """The home of a reader. `found` are the open incidents to show, of `count` in all; `notice` is told on top.

    It has the buttons that the reader may use.
    """
    responder, known, of_stack = reader.responder, reader.known, language
    language = (responder and responder.language) or language
    words = _WORDS[language]
    blocks: list[dict[str, Any]] = []
    if notice:
        blocks += [_section(f":information_source: {notice}"), {"type": "divider"}]
    everybody = tuple(known.responders.values())
    if not reader.may("look", everybody):
        why = reader.stands(everybody) or "again"
        return {"type": "home", "blocks": [*blocks, _section(people.words(language, why, everybody))]}
    blocks += _on_call(reader, language)
    blocks.append(_header(words["open"]))
    blocks += _incidents(reader, found, count, language, of_stack)
    if responder:
        blocks += [_header(words["shifts"]), _section(_shifts(known, responder, reader.now, language))]
    elif known.responders:
        blocks += [{"type": "divider"}, _section(buttons.stranger_words(language, reader.user))]
    blocks.append({"type": "context", "elements": [_text(words["commands"])]})
    return {"type": "home", "blocks": blocks}


def _on_call(reader: Reader, language: Language) -> list[dict[str, Any]]:
    words, responder, known = _WORDS[language], reader.responder, reader.known
    blocks = [_header(words["on_call"])]
    if not known.responders:
        return [*blocks, _section(words["no_roster"])]
    rungs = overview.overview(known, reader.now)
    offered: set[str] = set()
    for rung in rungs[:MOST_POLICIES]:
        blocks.append(_section(rung_words(language, rung)))
        mine = [
            _take(turn.schedule, number, words, language)
            for number, turn in enumerate(rung.turns)
            if responder and turn.now != responder and turn.schedule not in offered and len(turn.schedule) < LONGEST_ID
            if reader.may("take_shift", authorization.holders(known, turn.schedule, reader.now))
        ]
        offered |= {turn.schedule for turn in rung.turns}
        if mine:
            blocks.append({"type": "actions", "elements": mine[:5]})
    if len(rungs) > MOST_POLICIES:
        blocks.append(_section(words["more_policies"].format(count=len(rungs) - MOST_POLICIES)))
    return blocks


def _take(schedule: str, number: int, words: Mapping[str, str], language: Language) -> dict[str, Any]:
    named = buttons.schedule_words(language, schedule)
    return {
        "type": "button",
        "text": _plain(words["take"].format(schedule=named)),
        "action_id": f"{buttons.TAKE_SCHEDULE}/{number}",  # Slack: different from all others of its block
        "value": schedule,
        "confirm": {
            "title": _plain(words["take_title"]),
            "text": _plain(words["take_text"].format(schedule=named)),
            "confirm": _plain(words["take"].format(schedule=named), 30),
            "deny": _plain(words["take_deny"]),
        },
    }


def _incidents(
    reader: Reader, found: Sequence[Incident], count: int, language: Language, of_stack: Language
) -> list[dict[str, Any]]:
    words = _WORDS[language]
    blocks = [] if found else [_section(words["none_open"])]
    for incident in found[:MOST_INCIDENTS]:
        blocks.append(_section(incident_words(language, incident, of_stack)))
        if offered := _incident_buttons(reader, incident, words):
            blocks.append({"type": "actions", "elements": offered})
    if count > len(found):
        blocks.append(_section(words["more_incidents"].format(count=count - len(found))))
    if reader.is_unsure:
        blocks.append(_section(words["unsure"]))
    return blocks


def _incident_buttons(reader: Reader, incident: Incident, words: Mapping[str, str]) -> list[dict[str, Any]]:
    concerned = reader.concerned(incident)
    resolve = {
        "type": "button",
        "text": _plain(words["resolve"]),
        "action_id": messages.RESOLVE,
        "value": incident.id,
        "confirm": {
            "title": _plain(words["resolve_title"]),
            "text": _plain(words["resolve_text"]),
            "confirm": _plain(words["resolve"]),
            "deny": _plain(words["resolve_deny"]),
            "style": "danger",
        },
    }
    acknowledge = {
        "type": "button",
        "text": _plain(words["acknowledge"]),
        "style": "primary",
        "action_id": messages.ACKNOWLEDGE,
        "value": incident.id,
    }
    offered = [acknowledge] if incident.state != "acknowledged" and reader.may("acknowledge", concerned) else []
    return [*offered, resolve] if reader.may("resolve", concerned) else offered


def _shifts(known: Roster, responder: Responder, now: datetime, language: Language) -> str:
    words = _WORDS[language]
    own: list[tuple[str, Shift]] = overview.own_shifts(known, responder.id, now)
    lines = []
    for name, shift in own[:MOST_SHIFTS]:
        is_endless = shift.end >= now + overview.AHEAD
        word = "shift" if shift.start > now else "shift_always" if is_endless else "shift_now"
        values = {"start": moment(shift.start), "end": moment(shift.end)}
        lines.append(words[word].format(schedule=buttons.schedule_words(language, name), **values))
    return "\n".join(lines) or words["no_shifts"]


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(text, 150)}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text)}


def _text(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _plain(text: str, limit: int = 75) -> dict[str, Any]:
    return {"type": "plain_text", "text": text if len(text) <= limit else f"{text[: limit - 1]}…", "emoji": True}
