"""The command `/oncall` in Slack: who is on call, take a shift, page somebody, what is open. In Japanese or English."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger

from oncall import authorization, incidents, pages, roster
from oncall.alerts import by_hand
from oncall.alerts.by_hand import NobodyRingsError
from oncall.authorization import Action
from oncall.clock import at
from oncall.incidents import Incident, Listed
from oncall.roster import Language, Responder, Roster, overrides
from oncall.roster.overview import Rung, overview
from oncall.services import Services
from oncall.slack import buttons, messages, people
from oncall.slack.messages import escape
from oncall.slack.mrkdwn import code, moment, typed
from oncall.slack.people import Access, Reader
from oncall.table import ConditionFailedError, Table, Update

logger = Logger(child=True)

SINCE_MS = 90 * 86_400_000  # how far back open incidents are looked for
SHOWN = 15  # incidents, and policies
SHOWN_NAMES = 5
PAGES_A_MINUTE = 3  # by one person
_SUBCOMMANDS = ("who", "take", "page", "incidents", "help")
_LENGTH = re.compile(r"([0-9]{1,3})\s*(m|min|minutes?|h|hours?|d|days?|分|時間|日)間?")

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "help": (
            "`/oncall` or `/oncall who [policy or product]`: who is on call now and next\n"
            "`/oncall take [schedule] [for 2h]`: be the one on call from now, without a length until the shift ends\n"
            "`/oncall page PRODUCT what is wrong`: ring whoever is on call for a product, at once\n"
            "`/oncall incidents`: what is open\n"
            "`/oncall help`: this"
        ),
        "unknown": "There is no `/oncall {word}`.",
        "meant": "Did you mean `/oncall {word}`?",
        "policy": "*Policy {policy}*{products}",
        "for": " for {products}",
        "rings": "Rings {names}",
        "then": ", then ",
        "more": " and {count} more",
        "nobody_rung": ":warning: *Nobody is on call: no phone would ring.*",
        "turn": "• {schedule}: {who} until {until}, then {next}",
        "turn_on": "• {schedule}: {who}",
        "nobody": "nobody",
        "more_policies": "… and {count} more policies: `/oncall who NAME` shows one",
        "no_policy": "There is no policy or product {name}. The default policy rings for what the roster does not know.",
        "no_roster": "There is no roster yet: `oncall roster apply roster.yaml`",
        "none_open": ":large_green_circle: Nothing is open in your channels.",
        "unsure": "Slack has not said which channels you are in, so only incidents of your own policies are listed.",
        "open": "*{count} open*",
        "incident": "{sign} {what} ({product}, since {since}): {state}",
        "triggered": "nobody has it",
        "unanswered": "UNANSWERED, nobody has it",
        "acknowledged": "{who} has it",
        "more_incidents": "… and {count} more: `oncall incidents --open`",
        "which": "Which schedule? {choices}",
        "no_schedule": "There is no schedule {name}. {choices}",
        "no_shift": "No policy rings by a schedule, so there is no shift to take.",
        "length": "{text} is not a length of time: write it like `for 90m`, `for 2h` or `for 1d`, a week at most.",
        "page_what": "Which product, and what is wrong? `/oncall page {product} checkout is slow`",
        "page_meant": "There is no product {product}, and nobody was rung. Did you mean `/oncall page {meant} …`?",
        "page_silent": "{product} is for Slack only, so nobody was rung.",
        "page_nobody": ":warning: Nobody is on call by policy {policy}, so *nobody was rung*. Call somebody yourself.",
        "paged": ":telephone_receiver: {names} is called now. Its message comes into <#{channel}>.",
        "page_unknown": "{product} is not in the roster: the default policy counts.",
    },
    "ja": {
        "help": (
            "`/oncall` または `/oncall who [ポリシーまたはプロダクト]`：いまと次の当番\n"
            "`/oncall take [スケジュール] [for 2h]`：いまから当番を代わる。時間を書かなければ、いまの当番の終わりまで\n"
            "`/oncall page プロダクト 内容`：そのプロダクトの当番にすぐ電話する\n"
            "`/oncall incidents`：未解決のインシデント\n"
            "`/oncall help`：この説明"
        ),
        "unknown": "`/oncall {word}` というコマンドはありません。",
        "meant": "`/oncall {word}` でしょうか。",
        "policy": "*ポリシー {policy}*{products}",
        "for": " （プロダクト：{products}）",
        "rings": "電話の順番：{names}",
        "then": " → ",
        "more": " ほか{count}人",
        "nobody_rung": ":warning: *当番がいません。誰にも電話しません。*",
        "turn": "• {schedule}：{who}、{until}まで。次は{next}",
        "turn_on": "• {schedule}：{who}",
        "nobody": "なし",
        "more_policies": "… ほか{count}件のポリシー：`/oncall who 名前`で表示します",
        "no_policy": "{name} というポリシーもプロダクトもありません。名簿にないものは既定のポリシーで電話します。",
        "no_roster": "名簿がまだありません：`oncall roster apply roster.yaml`",
        "none_open": ":large_green_circle: 参加しているチャンネルに未解決のインシデントはありません。",
        "unsure": "参加しているチャンネルをSlackから確認できないため、自分のポリシーのインシデントだけを表示しています。",
        "open": "*未解決 {count}件*",
        "incident": "{sign} {what}（{product}、{since}から）：{state}",
        "triggered": "未対応",
        "unanswered": "応答なし。誰も対応していません",
        "acknowledged": "{who}さんが対応中",
        "more_incidents": "… ほか{count}件：`oncall incidents --open`",
        "which": "どのスケジュールですか。 {choices}",
        "no_schedule": "スケジュール {name} はありません。 {choices}",
        "no_shift": "スケジュールで電話するポリシーがないため、代わる当番がありません。",
        "length": "{text} は時間として読めません。`for 90m`、`for 2h`、`for 1d` のように書いてください（1週間まで）。",
        "page_what": "どのプロダクトの、何が起きていますか。 `/oncall page {product} 決済が遅い`",
        "page_meant": "プロダクト {product} はないため、電話していません。`/oncall page {meant} …` でしょうか。",
        "page_silent": "{product} は電話しないプロダクトのため、電話していません。",
        "page_nobody": ":warning: ポリシー {policy} の当番がいないため、*電話していません*。直接連絡してください。",
        "paged": ":telephone_receiver: {names}さんに電話しています。メッセージは <#{channel}> に出ます。",
        "page_unknown": "{product} は名簿にないため、既定のポリシーで電話します。",
    },
}


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody has typed, and where."""

    text: str
    user: str  # Slack's id
    name: str  # as Slack shows it
    trigger: str  # Slack's id of this very command
    gateway: str  # its address without https://, stage included


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who has typed it, and what is known of them."""

    command: Command
    reader: Reader
    language: Language

    @property
    def known(self) -> Roster:
        """The roster."""
        return self.reader.known

    @property
    def responder(self) -> Responder | None:
        """Whom the roster knows them as."""
        return self.reader.responder

    def say(self, key: str, /, **values: object) -> str:
        """The caller's language; values are written as they are."""
        return _WORDS[self.language][key].format(**values)


def answer(services: Services, access: Access, command: Command) -> str:
    """Does what was typed; returns what the one who typed it is told (mrkdwn). Done twice, it has one effect."""
    known, _ = roster.read_items(services.table.query(roster.PARTITION))
    reader = Reader(command.user, known, access, at(services.now()))
    responder = reader.responder
    caller = _Caller(command, reader, (responder and responder.language) or services.settings.language)
    word, _, rest = typed(command.text).partition(" ")
    if word.lower() != "help" and (refused := _refusal(access, caller, "look", known.responders.values())):
        return refused
    match word.lower():
        case "" | "who":
            return _who(services, caller, rest)
        case "take":
            return _take(services, access, caller, rest)
        case "page":
            return _page(services, access, caller, rest)
        case "incidents":
            return _incidents(services, caller)
        case "help":
            return caller.say("help")
        case unknown:
            meant = _closest(unknown, _SUBCOMMANDS)
            lines = [caller.say("unknown", word=code(unknown)), caller.say("meant", word=meant) if meant else ""]
            return "\n".join([" ".join(filter(None, lines)), caller.say("help")])


def _refusal(
    access: Access, caller: _Caller, action: Action, concerned: Iterable[Responder], key: str = "page", **values: object
) -> str:
    """Why somebody may not do something, and who may; empty if they may."""
    named = tuple(concerned)
    stands = caller.reader.stands(named)
    if stands is None:
        return people.words(caller.language, "again")
    if authorization.may(action, stands, access.parameters):
        return ""
    logger.warning("not allowed", action=action, user=caller.command.user)
    access.refused(action)
    if stands in ("guest", "outsider"):
        return people.words(caller.language, stands, named)
    return people.words(caller.language, key, named, user=caller.command.user, **values)


# ---------------------------------------------------------------- who


def _who(services: Services, caller: _Caller, rest: str) -> str:
    if not caller.known.responders:
        return caller.say("no_roster")
    found = overview(caller.known, at(services.now()))
    parts = []
    name = rest.strip()
    if name and name.lower() != "now":
        named = [rung for rung in found if name.casefold() in {one.casefold() for one in (rung.policy, *rung.products)}]
        if not named:
            parts.append(caller.say("no_policy", name=_quoted(name)))
        found = named or found
    parts += [rung_words(caller.language, rung) for rung in found[:SHOWN]]
    if len(found) > SHOWN:
        parts.append(caller.say("more_policies", count=len(found) - SHOWN))
    return "\n\n".join(parts)


def rung_words(language: Language, rung: Rung) -> str:
    """Whom a policy rings now, and whose turn comes next."""
    words = _WORDS[language]
    products = _listed([escape(name, 60) for name in rung.products], ", ", words)
    lines = [
        words["policy"].format(
            policy=escape(rung.policy, 100), products=words["for"].format(products=products) if products else ""
        )
    ]
    if rung.order:
        names = _listed([escape(responder.name, 60) for responder in rung.order], words["then"], words)
        lines.append(words["rings"].format(names=names))
    else:
        lines.append(words["nobody_rung"])
    for turn in rung.turns:
        values = {"schedule": buttons.schedule_words(language, turn.schedule), "who": _name(turn.now, words)}
        if turn.until:
            values |= {"until": moment(turn.until), "next": _name(turn.next, words)}
        lines.append(words["turn" if turn.until else "turn_on"].format(**values))
    return "\n".join(lines)


def _listed(names: Sequence[str], between: str, words: Mapping[str, str]) -> str:
    more = words["more"].format(count=len(names) - SHOWN_NAMES) if len(names) > SHOWN_NAMES else ""
    return between.join(names[:SHOWN_NAMES]) + more


def _name(responder: Responder | None, words: Mapping[str, str]) -> str:
    return escape(responder.name, 60) if responder else words["nobody"]


# ---------------------------------------------------------------- take


def _take(services: Services, access: Access, caller: _Caller, rest: str) -> str:
    if caller.responder is None:
        return buttons.stranger_words(caller.language, caller.command.user)
    now = at(services.now())
    name, end = rest, None
    asked = re.search(r"(?:^|\s)for\s+(.*)$", rest, re.IGNORECASE) or re.search(r"(?:^|\s)([0-9]\S*)$", rest)
    if asked:
        name = rest[: asked.start()]
        end = _end(asked[1], now)
        if end is None:
            return caller.say("length", text=_quoted(asked[1]))
    name = name.strip()
    choices = overrides.schedules_in_use(caller.known)
    if not choices:
        return caller.say("no_shift")
    meant = overrides.schedules_to_take(caller.known)
    if not name and len(meant) > 1:
        return caller.say("which", choices=_take_choices(choices))
    schedule = next((one for one in choices if one.lower() == name.lower()), None) if name else meant[0]
    if schedule is None:
        return caller.say("no_schedule", name=_quoted(name), choices=_take_choices(choices))
    holders = authorization.holders(caller.known, schedule, now)
    named = buttons.schedule_words(caller.language, schedule)
    if refused := _refusal(access, caller, "take_shift", holders, "schedule", schedule=named):
        return refused
    taken = overrides.take_shift(services.table, caller.known, caller.responder, schedule, now=now, end=end)
    buttons.tell_of_shift(services, caller.known, taken, schedule)
    logger.info("a shift was taken", schedule=schedule, responder=caller.responder.id, ours=bool(taken.override))
    return buttons.shift_words(caller.language, taken, caller.known, caller.responder, schedule)


def _end(text: str, now: datetime) -> datetime | None:
    """When a length of time that begins now ends; None if it cannot be read, or is longer than a week."""
    found = _LENGTH.fullmatch(text.strip().lower())
    if not found:
        return None
    units = {"m": "minutes", "分": "minutes", "h": "hours", "時": "hours", "d": "days", "日": "days"}
    length = timedelta(**{units[found[2][0]]: int(found[1])})
    return (now + length).replace(microsecond=0) if timedelta(0) < length <= overrides.LONGEST else None


def _take_choices(choices: Sequence[str]) -> str:
    return " ".join(f"`/oncall take {code(name)}`" for name in choices[:SHOWN])


# ---------------------------------------------------------------- page


def _page(services: Services, access: Access, caller: _Caller, rest: str) -> str:
    known = caller.known
    product, text = _product(known, rest)
    if not product or not text:
        return caller.say("page_what", product=code(product or next(iter(known.products), "shop")))
    notes = []
    if product not in known.products:
        meant = _closest(product, known.products)
        if meant:  # rather ask than wake the wrong ones
            return caller.say("page_meant", product=_quoted(product), meant=code(meant))
        notes.append(caller.say("page_unknown", product=_quoted(product)))
    try:
        order = by_hand.whom(known, product, services.now())
    except NobodyRingsError as error:
        if error.slack_only:
            return caller.say("page_silent", product=_quoted(product))
        return caller.say("page_nobody", policy=_quoted(error.policy))
    name = "page-slack-" + hashlib.sha256(caller.command.trigger.encode()).hexdigest()[:32]
    if refused := _refusal(access, caller, "page", known.responders.values()):
        return refused
    if not _is_within_limit(services, caller.command.user, name):
        access.refused("page")
        return people.words(caller.language, "limit", count=PAGES_A_MINUTE)
    command = caller.command
    by = (
        caller.responder.name
        if caller.responder
        else people.stranger(known.product(product).language or services.settings.language, command.name, command.user)
    )
    services.start(
        name,
        by_hand.request(name, product=product, text=text, by=by, now=services.now(), gateway=caller.command.gateway),
    )
    logger.info("paged by hand", execution=name, product=product)
    channel = known.product(product).slack_channel or services.settings.slack_channel
    said = caller.say("paged", names=escape(order[0].responder.name, 60), channel=channel)
    return "\n".join([said, *notes])


def _is_within_limit(services: Services, user: str, page: str) -> bool:
    """Whether somebody may page once more in this minute. The same page again, as Slack may send it, is one."""
    minute = services.now() // 60_000
    write = Update(
        f"PAGES_BY#{user}",
        f"MINUTE#{minute}",
        add={"pages": {page}},
        set={"expires_at": minute * 60 + 3_600},
        condition="attribute_not_exists(#pages) OR contains(#pages, :page) OR size(#pages) < :most",
        values={"page": page, "most": PAGES_A_MINUTE},
    )
    try:
        services.table.update(write)
    except ConditionFailedError:
        return False
    return True


def _product(known: Roster, rest: str) -> tuple[str, str]:
    """The product that a text begins with, and what follows; a product may have several words."""
    for product in sorted(known.products, key=len, reverse=True):
        if rest.lower() == product.lower() or rest.lower().startswith(f"{product.lower()} "):
            return product, rest[len(product) :].strip()
    product, _, text = rest.partition(" ")
    return product, text.strip()


# ---------------------------------------------------------------- incidents


def _incidents(services: Services, caller: _Caller) -> str:
    found, count = open_incidents(services.table, services.now(), SHOWN, caller.reader.sees)
    lines = [incident_words(caller.language, one, services.settings.language) for one in found]
    if count > len(found):
        lines.append(caller.say("more_incidents", count=count - len(found)))
    if caller.reader.is_unsure:
        lines.append(caller.say("unsure"))
    return "\n".join([caller.say("open", count=count) if found else caller.say("none_open"), *lines])


def open_incidents(
    table: Table, now: int, most: int, sees: Callable[[Incident | Listed], bool]
) -> tuple[list[Incident], int]:
    """The open incidents that somebody sees, the newest first and at most so many; and how many they are in all."""
    theirs = [one.id for one in incidents.listed_open(table, now - SINCE_MS, now=now) if sees(one)]
    listed = theirs[-most:]
    read = (incidents.read(table, one) for one in reversed(listed))
    are_open = (one for one in read if one and one.state != "resolved" and not one.is_probe)
    found = [_as_its_page_says(table, one) for one in are_open]
    return found, len(theirs) - len(listed) + len(found)


def _as_its_page_says(table: Table, incident: Incident) -> Incident:
    """An incident whose page somebody took a moment ago, as it will be in another moment."""
    page = pages.read(table, incident.policy) if incident.state == "triggered" else None
    if page is None or page.state != "acknowledged" or not page.covers(incident.id):
        return incident
    if page.is_settled:  # it may have reached the incident after that was read
        return incidents.read(table, incident.id) or incident
    return replace(incident, state="acknowledged", acknowledged_by=page.acknowledged_by)


def incident_words(language: Language, incident: Incident, of_stack: Language) -> str:
    """One open incident in the reader's words, with the sign, the headline and the address of its message."""
    words = _WORDS[language]
    return words["incident"].format(
        sign=messages.sign_of(incident),
        what=messages.named(incident, incident.language or of_stack),
        product=escape(incident.product or "-", 60),
        since=moment(at(incident.began)),
        state=words[messages.state_of(incident)].format(who=escape(incident.acknowledged_by, 60)),
    )


def _closest(word: str, names: Sequence[str] | Mapping[str, object]) -> str | None:
    """The name that was probably meant. difflib is only loaded when something is wrong."""
    from difflib import get_close_matches  # noqa: PLC0415

    by_small = {name.lower(): name for name in names}
    return next((by_small[close] for close in get_close_matches(word.lower(), by_small, 1)), None)


def _quoted(text: str) -> str:
    return f"`{code(text)}`"
