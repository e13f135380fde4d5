"""What Slack's readers see of an incident: its message, and the lines of its thread.

An open incident is large and has buttons, one that is over is two quiet lines; each state has a sign and words, since a
colour alone is not readable by everyone. (Attachments have a coloured bar; Slack calls them legacy and advises blocks.)

Labels and annotations can hold anything. They stand where Slack reads no markup (plain_text, and the text elements of
rich_text), on one line, without characters that are unseen or turn the line around. The text for notifications and the
lines of the thread are mrkdwn: there, what would be markup is replaced.

Slack: 50 blocks a message, header 150, text objects 3,000, button value 2,000, about 13,000 characters in all.
"""

import json
import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote

from oncall.alerts.annotations import annotation, headline, ours_in, says_something
from oncall.clock import at
from oncall.incidents import Incident, KeptAlert, TimelineEvent
from oncall.pages import Page
from oncall.phone import refusals
from oncall.roster import Language
from oncall.slack import mrkdwn
from oncall.slack.words import SENDERS, WORDS
from oncall.text import seen

# The action_ids of the buttons; their value is the incident's id.
ACKNOWLEDGE = "acknowledge"
RING_NEXT = "ring_next"
RING_AGAIN = "ring_again"
RESOLVE = "resolve"
TAKE_SHIFT = "take_shift"
# That of the menu of one incident among others; the values of its options are one of these, a slash, and the incident's id.
LISTED = "listed"

# How many alerts are listed, with addresses of which length: what is too large for Slack tries the next.
DETAILS = ((5, 2_000), (2, 800), (1, 200))
LARGEST = 12_000  # characters of JSON in ASCII: more than Slack counts, whichever way it does
SAME_DAY_MS = 43_200_000  # so long an incident may last and its end need no date

_SIGNS = {"triggered": "🔴", "unanswered": "🆘", "acknowledged": "🟡", "resolved": "🟢", "warning": "🟠"}
_MENTIONING = frozenset({"ringing", "acknowledged", "reminded", "overdue"})  # the people whom an event is about
_BROADCAST = frozenset({"unanswered"})  # when nobody answers, everybody hears of it
_KEPT = 500  # characters of an annotation that an incident keeps: a longer address is cut, so it is none

# Characters that mean something in mrkdwn, with others that look like them: it has no way to escape them.
_LOOKALIKES = {"*": "∗", "~": "∼", "`": "ˋ", "_": "\uff3f", ":": "∶", ">": "\uff1e"}
# Addresses in a text: of ASCII alone, since Japanese goes on without a space; and what ends a sentence, but no address.
_ADDRESS = re.compile(r"https?://[!#-;=?-{}~]+")
_AFTER_ADDRESS = ".,;:!?'*_"
_FORMATTING = re.compile(r"[*~`]|(?<!\w)_|_(?!\w)|:(?=[a-z0-9_+'-]+:)|^>")

Json = dict[str, Any]
Words = Mapping[str, str]


def message(
    incident: Incident, language: Language, page: Page | None = None, *, is_shadow: bool = False
) -> tuple[str, list[Json]]:
    """The incident's message: its text (for notifications) and its blocks. `page` is the page of its policy.

    One that is in shadow says so first of all.
    """
    words = WORDS[language]
    state = state_of(incident)
    sign = f"{sign_of(incident)} {words['shadow']}" if is_shadow else sign_of(incident)
    told_as = f"shadow_{state}" if is_shadow and f"shadow_{state}" in words else state
    status = words[told_as].format(who=plain(incident.acknowledged_by, 80))
    if state == "acknowledged" and incident.taken_together > 1:
        status += _counted("together", incident.taken_together - 1, words)
    summary = summary_of(incident, language)
    test = f" ({words['test']})" if incident.is_test else ""
    text = f"{escape(f'{sign} {summary}', 600)} | {escape(f'{words[incident.severity]} | {status}{test}', 300)}"
    below = list(_below(incident, words))
    if below:
        text += f" | {below[0]['text']}"
    if state == "resolved":
        over = _over(incident, words, f"{sign} ", f"{status}{test}", summary)
        return text, [*over, *([_rich(_section(*below))] if below else [])]
    blocks: list[Json] = []
    for shown, longest in DETAILS:
        blocks = [
            {"type": "header", "text": _plain_text(cut(f"{sign} {summary}", 150), emoji=False)},
            _rich(_section(*_facts(incident, language, f"{words[incident.severity]} | {status}{test}", page))),
            *([_rich(_section(*below))] if below else []),
            _actions(incident, words),
            *_details(incident, language, summary, shown=shown, longest=longest),
            *_small_print(incident, words),
        ]
        if len(json.dumps(blocks)) <= LARGEST:
            break
    return text, blocks


def state_of(incident: Incident) -> str:
    """An incident's state, of which "unanswered" is one here."""
    return "unanswered" if incident.is_unanswered else incident.state


def sign_of(incident: Incident) -> str:
    """The sign of an incident's state."""
    state = state_of(incident)
    return _SIGNS["warning" if state == "triggered" and incident.severity == "warning" else state]


def summary_of(incident: Incident, language: Language) -> str:
    """An incident's headline, as its message has it."""
    return (
        plain(ours_in(language, headline(incident.alerts[0].annotations, language) or incident.summary), 1_000)
        or plain(ours_in(language, incident.title), 300)
        or WORDS[language]["nameless"]
    )


def line(
    event: TimelineEvent,
    language: Language,
    people: Mapping[str, str] | None = None,
    *,
    mentions: bool = True,
    beside: Mapping[str, Incident] | None = None,
) -> str:
    """One event of the timeline, as a line of the thread. `people` are those whom Slack knows: their users by name.

    Without `mentions` nobody is: what is in shadow disturbs nobody. `beside` are the incidents that the event names and that
    this thread's readers may read, by their ids.
    """
    words = WORDS[language]
    detail = dict(event.detail)
    kind = _told_as(event)
    values = {"after": "", "covering": ""} | {name: escape(str(value), 300) for name, value in detail.items()}
    user = detail.get("slack_user") or (people or {}).get(event.who if event.kind in _MENTIONING else "")
    is_mentioned = user and mentions and not detail.get("supposed")
    values["who"] = f"<@{user}>" if is_mentioned else escape(event.who, 100)  # once: Slack shows the mention as a name
    if "reason" in detail:
        values["reason"] = escape(refusals.reason_in(language, str(detail["reason"])), 300)
    if "until" in detail:
        values["until"] = _time(detail["until"])
    if "via" in detail:
        values["via"] = words.get(f"via_{detail['via']}", values["via"])
    if "status" in detail:
        values["status"] = words.get(f"status_{detail['status']}", values["status"])
    if kind == "acknowledged" and "seconds" in detail:
        values["after"] = words["after"].format(**values)
    if kind == "acknowledged" and detail.get("covered", 1) > 1:
        values["covering"] = _counted("together" if "lead" in detail else "covering", detail["covered"] - 1, words)
    if "rounds" in detail:
        tried = [_counted(name, detail[name], words) for name in ("rounds", "calls") if name in detail]
        again = words["again_at" if detail.get("repeats_at") else "again"].format(at=_time(detail.get("repeats_at", 0)))
        values |= {"tried": words["and"].join(tried), "again": again}
        values["these"] = words["these" if detail.get("covered", 1) > 1 else "it"].format(
            count=detail.get("covered", 1)
        )
    said = words.get(f"event_{kind}", kind).format(**values)  # an event of a later version is told by its name
    said = "\n".join([said, *_others(detail, beside or {}, language)])
    said = f"{said} {escape(refusals.words(str(detail.get('remedy', '')), language), 400)}".strip()
    return f"<!here> {said}" if mentions and is_loud(event) else said


def _counted(name: str, count: int, words: Words) -> str:
    """So many of something; one has words of its own."""
    return words[f"{name}_1" if count == 1 else name].format(count=count)


def _others(detail: Mapping[str, Any], beside: Mapping[str, Incident], language: Language) -> Iterator[str]:
    """The other incidents that an event names, a line each."""
    found = [beside[name] for name in detail.get("others", ()) if name in beside]
    yield from (f"• {named(incident, language)}" for incident in found)
    if found and (more := detail["covered"] - 1 - len(found)) > 0:
        yield WORDS[language]["more"].format(count=more)


def named(incident: Incident, language: Language) -> str:
    """An incident's headline, linked to its message if there is one."""
    what = escape(summary_of(incident, language), 120)
    return linked(incident.slack.link, what) if incident.slack.link else what


def linked(url: str, what: str) -> str:
    """Words of mrkdwn as a link, if there is an address; else in bold."""
    if not _link(url, what, longest=500):
        return f"*{what}*"
    address = url.replace("&", "&amp;")
    return f"<{address}|{what.replace('|', '¦')}>"  # must not end the link


def _told_as(event: TimelineEvent) -> str:
    """The name of the words that tell an event."""
    kind, detail = event.kind, event.detail
    if kind == "call_ended" and detail.get("reason") and not detail.get("answered"):
        kind = "refused"
    if kind == "unanswered" and not detail["rounds"]:
        kind = "nobody"
    if kind == "resolved" and event.who:
        kind = "resolved_by"
    if kind == "ringing" and detail.get("provider"):
        kind = "ringing_through"
    if kind == "unavailable" and detail.get("providers"):
        kind = "unavailable_both"
    return f"supposed_{kind}" if detail.get("supposed") else kind


def is_loud(event: TimelineEvent) -> bool:
    """Whether an event is told to everybody in the channel, not in the thread alone."""
    return event.kind in _BROADCAST and not event.detail.get("supposed")


def plain(text: str, limit: int) -> str:
    """A text for where Slack reads no markup: on one line, of characters that are seen, at most `limit` of them.

    What would begin a mention or a link elsewhere does not, should somebody copy or forward it.
    """
    return cut(re.sub(r"<(?=[!@#]|https?:|mailto:)", "\u2039", " ".join(seen(text).split())), limit)


def escape(text: str, limit: int) -> str:
    """A text for mrkdwn in which nothing is markup, at most `limit` characters. Slack: & < > are written as entities."""
    harmless = _FORMATTING.sub(lambda match: _LOOKALIKES[match[0]], " ".join(seen(text).split()))
    escaped = harmless.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    short = cut(escaped, limit)
    return short if short == escaped else re.sub("&[a-z]{0,3}…$", "…", short)  # no half of an entity


def cut(text: str, limit: int) -> str:
    """A text of at most `limit` characters, counted as UTF-16 does: Slack does not say how it counts."""
    units = text.encode("utf-16-le")
    return text if len(units) <= 2 * limit else units[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "…"


# ---------------------------------------------------------------- parts of the message


def _facts(incident: Incident, language: Language, status: str, page: Page | None) -> Iterator[Json]:
    """How bad it is, who has it, who is called, for which product, since when, how many alerts: a line each."""
    words = WORDS[language]
    yield _text(status, bold=True)
    if incident.state == "acknowledged":
        yield from _filled(words["taken_since"], since=_date(incident.acknowledged_at))
    calls = list(_calls(incident, language, page))
    if calls:
        yield _text("\n📞 ")
        yield from calls
    product = plain(incident.product, 100)
    yield _text("\n")
    yield from _filled(words["product"], product=_text(product, bold=True)) if product else [_text(words["no_product"])]
    yield _text("\n")
    yield from _filled(words["since"], since=_date(incident.began))
    count = incident.firing
    firing = "firing_at_least" if incident.at_least else "firing"
    firing = "firing_unseen" if incident.at_least and not count else f"{firing}_1" if count == 1 else firing
    yield _text(f" | {words[firing].format(count=count)}")


def _below(incident: Incident, words: Words) -> Iterator[Json]:
    """How many others are told in its thread, how they are, and what they are called. The worst has its sign."""
    below = incident.slack.below
    if not below.count:
        return
    worst = next(state for state in ("unanswered", "triggered", "acknowledged", "resolved") if below.states.get(state))
    states = words["and"].join(
        words[f"count_{state}"].format(count=below.states[state])
        for state in ("unanswered", "triggered", "acknowledged", "resolved")
        if below.states.get(state)
    )
    yield _text(f"{_SIGNS[worst]} {words['below'].format(count=below.count, states=states)}", bold=True)
    named = sorted(below.names.items(), key=lambda name: (-name[1], name[0]))
    told = [words["below_name"].format(name=plain(name, 60), count=count) for name, count in named]
    more = below.count - sum(below.names.values())
    said = words["and"].join([*told, *([words["more"].format(count=more)] if more > 0 else [])])
    yield _text(f"\n{said}")


def _calls(incident: Incident, language: Language, page: Page | None) -> Iterator[Json]:
    """Who is being called, as the page says. Nothing that changes without a new version of the incident."""
    words = WORDS[language]
    if incident.state != "triggered" or incident.severity != "critical" or incident.unanswered:
        return
    if not incident.call:
        yield _text(words["no_call"])
        return
    if page is None or not page.is_open or not page.covers(incident.id):
        return
    call = page.current_call
    if page.lead != incident.id:
        other = plain(page.headline.summary_in(language), 80)
        yield from _filled(words["calling_together"], summary=_text(other or "-"))
    elif page.unavailable_since:
        yield _text(words["calling_unavailable"])
    elif call and not call.has_ended:
        name = _text(plain(call.name, 80) or "-", bold=True)
        said = words["calling_supposed" if call.is_supposed else "calling"]
        yield from _filled(said, who=name, number=_text(str(len(page.attempts))))
    elif call is None and page.at_work:
        name = _text(plain(page.at_work.name, 80) or "-", bold=True)
        yield from _filled(words["calling_later"], who=name, until=_date(page.ring_at))
    else:
        yield _text(words["calling_soon"])


def _details(incident: Incident, language: Language, summary: str, *, shown: int, longest: int) -> Iterator[Json]:
    """Where to look, and the most telling alerts of those that fire."""
    words = WORDS[language]
    links = _links(incident, words, longest=longest)
    if links:
        yield _rich(_section(*_joined(links, "  |  ")))
    listed = [alert for alert in incident.alerts if alert.status == "firing"][:shown]
    if listed:
        bullets = [_section(*_alert(alert, language, longest=longest)) for alert in listed]
        # Of the others the names are enough.
        bullets[0]["elements"] += _about(listed[0], language, summary, longest=longest)
        more = incident.firing - len(listed)
        said = words["more_at_least" if incident.at_least else "more"].format(count=more)
        rest = [_section(_text(said))] if more > 0 else []
        yield _rich({"type": "rich_text_list", "style": "bullet", "elements": bullets}, *rest)


def _alert(alert: KeptAlert, language: Language, *, longest: int) -> Iterator[Json]:
    """What an alert is about, linked to its graph, and its value."""
    words = WORDS[language]
    title = plain(ours_in(language, alert.title), 150) or words["nameless"]
    yield _link(alert.generator_url, title, longest=longest) or _text(title, bold=True)
    value = plain(alert.value or alert.annotations.get("value", ""), 60)
    if says_something(value):
        yield _text(f" ({words['value'].format(value=value)})")


def _about(alert: KeptAlert, language: Language, summary: str, *, longest: int) -> list[Json]:
    """What an alert's annotations add to the headline."""
    written = annotation(alert.annotations, language, "description", "message", "summary")
    about = plain(written, 1_000)
    if not about or about == summary:
        return []
    return list(_with_links(f"\n{about}", 301, is_whole=len(written) < _KEPT, longest=longest))


def _with_links(text: str, limit: int, *, is_whole: bool, longest: int) -> Iterator[Json]:
    """A text of at most `limit` characters in which addresses are links. One that may have been cut is none."""
    shown = 0
    for found in _ADDRESS.finditer(text):
        url = found[0].rstrip(_AFTER_ADDRESS if "(" in found[0] else f"{_AFTER_ADDRESS})")
        words = cut(url, 80)
        before = text[shown : found.start()]
        link = _link(url, words, longest=longest) if is_whole or found.end() < len(text) else None
        if link is None:
            continue
        limit -= len(before) + len(words)
        if limit < 1:
            limit += len(before) + len(words)
            break
        if before:
            yield _text(before)
        yield link
        shown = found.start() + len(url)
    if text[shown:]:
        yield _text(cut(text[shown:], limit))


def _links(incident: Incident, words: Words, *, longest: int) -> list[Json]:
    """What one opens first: the runbook, dashboard, graph, a silence ready to be confirmed, and Alertmanager or Grafana.

    Grafana's silence is of the first alert that has one: it silences no more than that.
    """
    alerts = incident.alerts
    annotated = {
        name: next((url for alert in alerts if 0 < len(url := alert.annotations.get(name, "")) < _KEPT), "")
        for name in ("runbook_url", "dashboard_url")
    }
    graphs = [url for alert in alerts if (url := alert.graph_url or alert.generator_url)]
    silences = [url for alert in alerts if (url := alert.silence_url)]
    base, matchers = incident.external_url.rstrip("/"), quote(incident.matchers, safe="")
    sender = incident.sender
    found = [
        _link(annotated["runbook_url"], words["runbook"], longest=longest),
        _link(annotated["dashboard_url"], words["dashboard"], longest=longest),
        _link(next(iter(graphs), ""), words["graph"], longest=longest),
        # Alertmanager 0.25 and later: ui/app/src/Views/SilenceForm/Parsing.elm, AlertList/Parsing.elm
        _link(
            f"{base}/#/silences/new?filter={matchers}" if matchers else next(iter(silences), ""),
            words["silence"],
            longest=longest,
        ),
        _link(
            f"{base}/#/alerts?filter={matchers}" if matchers else base,
            SENDERS.get(sender, sender),
            longest=longest,
        ),
    ]
    return [link for link in found if link]


def _actions(incident: Incident, words: Words) -> Json:
    """What can be done about an incident that is open, the most urgent first."""
    rings = incident.severity == "critical" and incident.call
    buttons = []
    if incident.state == "triggered":
        buttons.append(_button(incident, words, ACKNOWLEDGE, style="primary"))
        if rings:
            buttons.append(_button(incident, words, RING_AGAIN if incident.unanswered else RING_NEXT))
    confirm = {
        "title": _plain_text(words["resolve_title"]),
        "text": _plain_text(words["resolve_text"]),
        "confirm": _plain_text(words["resolve"]),
        "deny": _plain_text(words["resolve_deny"]),
        "style": "danger",
    }
    buttons.append(_button(incident, words, RESOLVE, style="danger", confirm=confirm))
    if rings:
        take = {
            "title": _plain_text(words["take_title"]),
            "text": _plain_text(words["take_text"]),
            "confirm": _plain_text(words["take_shift"]),
            "deny": _plain_text(words["take_deny"]),
        }
        buttons.append(_button(incident, words, TAKE_SHIFT, confirm=take))
    block: Json = {"type": "actions", "elements": buttons}
    if any(button["action_id"] == RING_NEXT for button in buttons):
        # What is behind the last slash tells a press how old is what was seen: which phone rang then.
        block["block_id"] = f"{incident.id}/{incident.changed_at}"
    return block


def _small_print(incident: Incident, words: Words) -> Iterator[Json]:
    notes = [incident.id]
    if incident.cut_characters:
        notes.append(words["cut"].format(count=incident.cut_characters))
    if incident.left_out:
        notes.append(words["left_out"].format(count=incident.left_out))
    reason, _, odd = incident.severity_note.partition(" ")
    if f"severity_{reason}" in words:
        notes.append(words[f"severity_{reason}"].format(severity=plain(odd, 60)))
    yield {"type": "context", "elements": [_plain_text(note, emoji=False) for note in notes]}


def _over(incident: Incident, words: Words, sign: str, status: str, summary: str) -> list[Json]:
    """What is over needs nobody: one line, and the rest in small print."""
    since, until = incident.began, incident.resolved_at
    time = _time(until, "{time}") if until - since < SAME_DAY_MS else _time(until)
    lasted = words["lasted"].format(since=_time(since), until=time, duration=_duration(until - since, words))
    notes = [_plain_text(plain(incident.product, 100) or words["no_product"], emoji=False), _mrkdwn(lasted)]
    if incident.acknowledged_by:
        notes.append(_plain_text(words["had"].format(who=plain(incident.acknowledged_by, 80)), emoji=False))
    notes.append(_plain_text(incident.id, emoji=False))
    return [
        _rich(_section(_text(sign), _text(status, bold=True), _text(f" | {cut(summary, 300)}"))),
        {"type": "context", "elements": notes},
    ]


def _duration(length: int, words: Words) -> str:
    minutes = max(1, round(length / 60_000))
    hours, days = minutes // 60, minutes // 1_440
    if days:
        return words["days"].format(days=days, hours=hours % 24)
    return words["hours" if hours else "minutes"].format(hours=hours, minutes=minutes % 60)


# ---------------------------------------------------------------- Block Kit


def _button(incident: Incident, words: Words, action: str, **more: object) -> Json:
    return {"type": "button", "text": _plain_text(words[action]), "action_id": action, "value": incident.id, **more}


def _plain_text(text: str, *, emoji: bool = True) -> Json:
    """A text of which nothing is markup. Without `emoji` not even :words: are."""
    return {"type": "plain_text", "text": text, "emoji": emoji}


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _rich(*elements: Json) -> Json:
    return {"type": "rich_text", "elements": list(elements)}


def _section(*elements: Json) -> Json:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, *, bold: bool = False) -> Json:
    return {"type": "text", "text": text, **({"style": {"bold": True}} if bold else {})}


def _link(url: str, words: str, *, longest: int) -> Json | None:
    """A link, if it is one: `longest` is how many characters its address may have."""
    if len(url) > longest or not re.fullmatch(r"https?://[^\s<>|\"…]+", url) or not url.isprintable():
        return None
    return {"type": "link", "url": url, "text": words}


def _date(moment: int) -> Json:
    """A moment in the reader's own time zone."""
    form = "{date_short_pretty} {time}"
    return {"type": "date", "timestamp": moment // 1000, "format": form, "fallback": mrkdwn.utc(at(moment))}


def _time(moment: int, form: str = "{date_short_pretty} {time}") -> str:
    """The same for mrkdwn."""
    return mrkdwn.moment(at(moment), form)


def _filled(words: str, **elements: Json) -> Iterator[Json]:
    """A sentence with rich text elements at its {places}."""
    for before, name, _, _ in Formatter().parse(words):
        if before:
            yield _text(before)
        if name:
            yield elements[name]


def _joined(elements: list[Json], by: str) -> Iterator[Json]:
    for number, element in enumerate(elements):
        if number:
            yield _text(by)
        yield element
