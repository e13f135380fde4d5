"""The buttons that people press in Slack, on an incident's message and in the app's home. In Japanese or English.

A press does something, or finds that what was pressed is out of date; then whoever pressed is told what is true by now.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from oncall import actions, authorization, incidents, roster
from oncall.authorization import Action
from oncall.clock import at
from oncall.roster import EVERYONE, Language, Responder, Roster, overrides, schedules
from oncall.services import Services
from oncall.slack import messages, people
from oncall.slack.messages import escape
from oncall.slack.mrkdwn import code, moment
from oncall.slack.people import Access, Reader

logger = Logger(child=True)

# The action_id, before its slash and number, of buttons in the app's home; their value is a schedule's id.
TAKE_SCHEDULE = "take_schedule"
# That of the button under the line that tells of a taken shift; its value is an override's id.
UNDO_SHIFT = "undo_shift"
MOST_CHANNELS = 5  # that are told of a taken shift

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "taken": "{who} has it already, since {at}.",
        "over": "It is over already: this incident is resolved.",
        "unknown": "This incident is not known any more.",
        "quiet": "No phone rings for it at the moment, so there is nobody to skip.",
        "again": "{who} has just asked for the next person, who is called now.",
        "next": "{who} is called now, since a moment ago.",
        "rings": "The phones ring again already.",
        "on_call": "You are on call ({schedule}) until {until}.",
        "undo_by": "To undo it: *Undo* below the channel's line about it, or `oncall override remove {override}`.",
        "lost": "{who} has just taken that shift ({schedule}), until {until}.",
        "shift": ":arrows_counterclockwise: {who} is on call ({schedule}) until {until}, instead of {instead}.",
        "handed_back": ":leftwards_arrow_with_hook: {who} has undone a taken shift. On call ({schedule}) is {now}.",
        "undo": "Undo",
        "not_taken": "That shift is not taken any more.",
        "nobody": "nobody",
        "no_shift": "Nobody is called by a schedule for this, so there is no shift to take.",
        "no_schedule": "There is no schedule {schedule} any more.",
        "stranger": (
            "You are not in the roster yet. Put `slack_user: {user}` with your name and phone into roster.yaml (or ask whoever "
            "keeps it), then `oncall roster apply roster.yaml`."
        ),
        "everyone": "everyone in turn",
    },
    "ja": {
        "taken": "すでに{who}さんが対応中です（{at}から）。",
        "over": "このインシデントはすでに解決しています。",
        "unknown": "このインシデントの記録はもうありません。",
        "quiet": "いまは誰にも電話していないため、飛ばす相手がいません。",
        "again": "{who}さんが次の人への電話を求めたばかりです。いま次の人に電話しています。",
        "next": "ちょうど{who}さんへの電話が始まったところです。",
        "rings": "すでにもう一度電話しています。",
        "on_call": "{until}まで、あなたが当番です({schedule})。",
        "undo_by": "取り消すには、チャンネルのお知らせの「取り消す」か `oncall override remove {override}` を使います。",
        "lost": "たったいま{who}さんがこの当番({schedule})を引き受けました。{until}までです。",
        "shift": ":arrows_counterclockwise: {until}まで{who}が当番です（{schedule}）。{instead}と交代しました。",
        "handed_back": ":leftwards_arrow_with_hook: {who}が当番の交代を取り消しました。いまの当番は{now}です（{schedule}）。",
        "undo": "取り消す",
        "not_taken": "この交代はすでに終わっているか、取り消されています。",
        "nobody": "当番なし",
        "no_shift": "この件はスケジュールによる当番がないため、代われません。",
        "no_schedule": "スケジュール {schedule} はもうありません。",
        "stranger": (
            "名簿にまだ登録されていません。名簿 (roster.yaml) の自分の欄に、名前・電話番号と `slack_user: {user}` を書いて"
            "（または管理者に頼んで） `oncall roster apply roster.yaml` を実行してください。"
        ),
        "everyone": "全員の持ち回り",
    },
}


@dataclass(frozen=True, slots=True)
class Press:
    """A pressed button. `seen_at` (epoch milliseconds) is how old what they saw is, if that is known."""

    action: str
    value: str  # an incident's id, or a schedule's
    user: str  # Slack's id
    name: str  # as Slack shows it
    seen_at: int | None = None
    channel: str = ""  # the id of the channel whose message has the button; empty in the app's home


def press(services: Services, access: Access, pressed: Press) -> str:
    """Does what a pressed button says. Returns what whoever pressed it has to be told, if anything (mrkdwn)."""
    known, _ = roster.read_items(services.table.query(roster.PARTITION))
    reader = Reader(pressed.user, known, access, at(services.now()))
    responder = reader.responder
    language = (responder and responder.language) or services.settings.language
    words = _WORDS[language]
    asked = _ACTIONS.get(pressed.action)
    if asked and (refused := _refusal(services, reader, pressed, asked, language)):
        logger.warning("not allowed", action=asked, user=pressed.user)
        access.refused(asked)
        return refused
    if responder is None:
        incident = (
            None if pressed.action in (TAKE_SCHEDULE, UNDO_SHIFT) else incidents.read(services.table, pressed.value)
        )
        told_in = (incident and incident.language) or services.settings.language
        pressed = replace(pressed, name=people.stranger(told_in, pressed.name, pressed.user))
    if pressed.action == TAKE_SCHEDULE:
        return _take_schedule(services, pressed, known, responder, words)
    if pressed.action == UNDO_SHIFT:
        return _undo_shift(services, pressed, known, words)
    said = _about_incident(services, pressed, known, responder, words)
    if said:
        services.show_in_slack([pressed.value])  # the message may be out of date, too
    return said


def _about_incident(
    services: Services, pressed: Press, known: Roster, responder: Responder | None, words: Mapping[str, str]
) -> str:
    match pressed.action:
        case messages.ACKNOWLEDGE:
            return _acknowledge(services, pressed, responder, words)
        case messages.RING_NEXT:
            return _ring_next(services, pressed, responder, words)
        case messages.RING_AGAIN:
            return _ring_again(services, pressed, responder, words)
        case messages.RESOLVE:
            return _resolve(services, pressed, responder, words)
        case messages.TAKE_SHIFT:
            return _take_shift(services, pressed, known, responder, words)
        case other:
            logger.info("an action that means nothing here", action=other)
            return ""


_ACTIONS: Mapping[str, Action] = {
    messages.ACKNOWLEDGE: "acknowledge",
    messages.RING_NEXT: "ring_next",
    messages.RING_AGAIN: "page",
    messages.RESOLVE: "resolve",
    messages.TAKE_SHIFT: "take_shift",
    TAKE_SCHEDULE: "take_shift",
    UNDO_SHIFT: "take_shift",
}


def _refusal(services: Services, reader: Reader, pressed: Press, action: Action, language: Language) -> str:
    """Why somebody may not press a button, who may, and what to do instead; empty if they may."""
    incident = None
    schedule = pressed.value
    if pressed.action == UNDO_SHIFT:
        schedule = getattr(reader.known.overrides.get(pressed.value), "schedule", None) or ""
    if pressed.action in (TAKE_SCHEDULE, UNDO_SHIFT):
        is_known = schedule in overrides.schedules_in_use(reader.known)
        concerned = authorization.holders(reader.known, schedule, reader.now)
    else:
        incident = incidents.read(services.table, pressed.value)
        is_known = incident is not None
        concerned = reader.concerned(incident) if incident else ()
    if not is_known:
        return ""  # which is said
    stands = reader.stands(concerned)
    if stands is None:
        return people.words(language, "again")
    if action == "take_shift" and reader.responder is None and stands not in ("guest", "outsider"):
        return stranger_words(language, pressed.user)
    if not authorization.may(action, stands, reader.access.parameters):
        if stands in ("guest", "outsider"):
            return people.words(language, stands, concerned)
        if incident is None:
            return people.words(language, "schedule", concerned, schedule=schedule_words(language, schedule))
        policy = escape(reader.policy(incident).id, 100)
        key = "page" if action == "page" else "policy"
        return people.words(language, key, concerned, instead="acknowledge", policy=policy, user=pressed.user)
    is_there = incident is None or reader.acts_from(incident, pressed.channel)
    return "" if is_there else people.words(language, "channel", concerned)


def shift_words(language: Language, taken: overrides.TakenShift, known: Roster, responder: Responder, name: str) -> str:
    """What came of taking a schedule's shift, in words."""
    words = _WORDS[language]
    values = {"until": moment(taken.end), "schedule": schedule_words(language, name)}
    if taken.responder == responder.id:
        undo = words["undo_by"].format(override=code(taken.override)) if taken.override else ""
        return f"{words['on_call'].format(**values)} {undo}".strip()
    other = known.responders.get(taken.responder)
    return words["lost"].format(who=escape(other.name if other else taken.responder, 100), **values)


def schedule_words(language: Language, name: str) -> str:
    """What a schedule is called."""
    return _WORDS[language]["everyone"] if name == EVERYONE else escape(name, 100)


def stranger_words(language: Language, user: str) -> str:
    """What somebody is told whom the roster does not know."""
    return _WORDS[language]["stranger"].format(user=code(user))


def _acknowledge(services: Services, pressed: Press, responder: Responder | None, words: Mapping[str, str]) -> str:
    taken = actions.acknowledge_incident(services, pressed.value, slack_user=pressed.user, name=pressed.name)
    if taken.ours:
        return ""
    if taken.by == (responder.name if responder else pressed.name):
        services.show_in_slack([pressed.value])
        return ""  # that they have it already is no news to them
    if taken.by:
        return _taken(words, taken.by, taken.at)
    return _over(services, pressed.value, words)


def _ring_next(services: Services, pressed: Press, responder: Responder | None, words: Mapping[str, str]) -> str:
    who = responder.name if responder else pressed.name
    skipped = actions.ring_next(services, pressed.value, who=who, via="slack", seen_at=pressed.seen_at)
    return _asked_to_ring(services, pressed, skipped, words)


def _ring_again(services: Services, pressed: Press, responder: Responder | None, words: Mapping[str, str]) -> str:
    who = responder.name if responder else pressed.name
    asked = actions.ring_again(services, pressed.value, who=who, via="slack")
    return _asked_to_ring(services, pressed, asked, {**words, "again": words["rings"]})


def _asked_to_ring(services: Services, pressed: Press, came: actions.Skipped, words: Mapping[str, str]) -> str:
    match came.outcome:
        case "ours":
            return ""
        case "taken":
            return _taken(words, came.who, came.at)
        case "over":
            return _over(services, pressed.value, words)
        case outcome:
            return words[outcome].format(who=escape(came.who, 100))


def _resolve(services: Services, pressed: Press, responder: Responder | None, words: Mapping[str, str]) -> str:
    who = responder.name if responder else pressed.name
    resolved = actions.resolve_incident(services, pressed.value, who=who, via="slack")
    return "" if resolved else _over(services, pressed.value, words)


def _take_schedule(
    services: Services, pressed: Press, known: Roster, responder: Responder | None, words: Mapping[str, str]
) -> str:
    if responder is None:
        return stranger_words(services.settings.language, pressed.user)
    if pressed.value not in overrides.schedules_in_use(known):
        return words["no_schedule"].format(schedule=f"`{code(pressed.value)}`")
    taken = overrides.take_shift(services.table, known, responder, pressed.value, now=at(services.now()))
    tell_of_shift(services, known, taken, pressed.value)
    return shift_words(responder.language or services.settings.language, taken, known, responder, pressed.value)


def _take_shift(
    services: Services, pressed: Press, known: Roster, responder: Responder | None, words: Mapping[str, str]
) -> str:
    if responder is None:
        return stranger_words(services.settings.language, pressed.user)
    incident = incidents.read(services.table, pressed.value)
    if incident is None:
        return words["unknown"]
    policy = known.policies.get(incident.policy) or known.policy_for(incident.product)
    # The schedule that is rung by first: those after it stay as they are, so that there is still somebody to escalate to.
    schedule = next(iter(overrides.schedules_of(policy)), None)
    if schedule is None:
        return words["no_shift"]
    taken = actions.take_shift(services, known, incident.id, responder, schedule=schedule, via="slack")
    tell_of_shift(services, known, taken, schedule)
    return shift_words(responder.language or services.settings.language, taken, known, responder, schedule)


def tell_of_shift(services: Services, known: Roster, taken: overrides.TakenShift, schedule: str) -> None:
    """Tells the channels of a schedule, and in them whoever was replaced, of a shift that was taken just now."""
    if not taken.is_new:
        return

    def wish(language: Language) -> dict[str, object]:
        words = _WORDS[language]
        text = words["shift"].format(
            who=_mentioned(services, known, taken.responder, language),
            instead=_mentioned(services, known, taken.instead, language),
            schedule=schedule_words(language, schedule),
            until=moment(taken.end),
        )
        return {"text": text, "undo": {"value": taken.override, "label": words["undo"]}}

    _post(services, known, schedule, wish)


def _undo_shift(services: Services, pressed: Press, known: Roster, words: Mapping[str, str]) -> str:
    override = known.overrides.get(pressed.value)
    now = at(services.now())
    if override is None or override.schedule is None or override.end <= now:
        return words["not_taken"]
    overrides.remove(services.table, override)
    logger.info("a taken shift was undone", override=override.id, user=pressed.user)
    present, _ = roster.read_items(services.table.query(roster.PARTITION))
    on_call = schedules.shift_at(present, schedules.schedule_named(present, override.schedule), now)
    by, schedule = people.by_slack_user(known, pressed.user), override.schedule

    def wish(language: Language) -> dict[str, object]:
        text = _WORDS[language]["handed_back"].format(
            who=_mentioned(services, known, by.id, language) if by else escape(pressed.name, 100),
            now=_mentioned(services, present, on_call.responder, language),
            schedule=schedule_words(language, schedule),
        )
        return {"text": text}

    _post(services, present, schedule, wish)
    return ""


def _mentioned(services: Services, known: Roster, responder: str | None, language: Language) -> str:
    """A responder, so that they are told; what is in shadow tells nobody."""
    one = known.responders.get(responder or "")
    if one is None:
        return _WORDS[language]["nobody"]
    if one.slack_user and services.settings.mode != "shadow":
        return f"<@{one.slack_user}>"
    return escape(one.name, 100) + ("さん" if language == "ja" else "")


def _post(services: Services, known: Roster, schedule: str, wish: Callable[[Language], Mapping[str, object]]) -> None:
    """Has a line posted in the channels whose products are rung by a schedule, in the language of these."""
    own = services.settings.slack_channel
    channels: dict[str, Language] = {
        product.slack_channel or own: (product.slack_channel and product.language) or services.settings.language
        for product in known.products.values()
        if schedule in overrides.schedules_of(known.policy_for(product.id))
    }
    for channel, language in sorted((channels or {own: services.settings.language}).items())[:MOST_CHANNELS]:
        try:
            services.ask_slack({"post": {**wish(language), "channel": channel}})
        except (ClientError, BotoCoreError) as error:
            logger.warning("a channel is not told of a shift", error=type(error).__name__)


def _taken(words: Mapping[str, str], who: str, since: int) -> str:
    return words["taken"].format(who=escape(who, 100), at=moment(at(since)))


def _over(services: Services, incident: str, words: Mapping[str, str]) -> str:
    return words["over" if incidents.read(services.table, incident) else "unknown"]
