"""What the fallback topic says of a page that reaches nobody: what it is about, what to do now, and whom the phones reached.

Whoever reads it has neither heard the call nor, perhaps, Slack: each line can be acted upon. In the language of the page.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from shlex import quote
from zoneinfo import ZoneInfo

from oncall import incidents, roster
from oncall.clock import at
from oncall.incidents import Incident
from oncall.pages import Call, Page
from oncall.phone import refusals
from oncall.roster import Language
from oncall.services import Services
from oncall.text import unlinked

LISTED = 5  # incidents that are named

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "nobody": "Nobody was called, because nobody is on call.",
        "nobody_took": "Nobody has taken this page: {calls} in {rounds}.",
        "1_call": "1 call",
        "calls": "{count} calls",
        "1_round": "1 round",
        "rounds": "{count} rounds",
        "day": "No calls were taken for a day, and now nobody tries any more.",
        "unavailable": "No calls are taken, so no phone rings: {reason}. They are tried again until one is.",
        "what": "What: {what}",
        "product": "Product: {product}",
        "no_product": "Product: not named",
        "since": "Since: {since:%a} {since.day} {since:%b %Y, %H:%M} ({zone})",
        "policy": "Escalation policy: {policy}",
        "incidents": "Incidents: {count}",
        "more": "- and {count} more: oncall incidents --open",
        "do": "Now:",
        "slack": "- Take it in Slack: {link}",
        "slack_unlinked": "- Take it in Slack (Acknowledge).",
        "take": "- Or with the command: oncall acknowledge {incident}",
        "all": "  Either takes all {count}.",
        "by_hand": "- Call somebody yourself: oncall who{product}",
        "mend_roster": "- Put somebody on call: oncall take NAME, where NAME is an id of the roster.",
        "again": "- Left alone, the next repeat of the alert calls everybody again, unless the policy has repeat_page: false.",
        "called": "Called:",
        "line": "- {who}: {what}",
        "then": ", then ",
        "times": "{what} ({count} times)",
        "busy": "busy",
        "no-answer": "no answer",
        "failed": "could not be called ({reason})",
        "canceled": "the call was stopped",
        "skipped": "skipped by {who}",
        "completed": "answered, no key pressed",
        "passed": "passed it on",
        "placing": "Twilio took no call",
    },
    "ja": {
        "nobody": "当番がいないため、誰にも電話していません。",
        "nobody_took": "誰も引き受けませんでした（{rounds}、{calls}）。",
        "1_call": "電話1回",
        "calls": "電話{count}回",
        "1_round": "1巡",
        "rounds": "{count}巡",
        "day": "1日にわたり電話を発信できなかったため、呼び出しを終えました。",
        "unavailable": "電話を発信できないため、誰も呼び出せません（{reason}）。つながるまで続けます。",
        "what": "内容：{what}",
        "product": "プロダクト：{product}",
        "no_product": "プロダクト：指定なし",
        "since": "発生：{since.year}年{since.month}月{since.day}日（{day}）{since:%H:%M}（{zone}）",
        "policy": "エスカレーションポリシー：{policy}",
        "incidents": "インシデント：{count}件",
        "more": "- ほか{count}件：oncall incidents --open",
        "do": "今すること：",
        "slack": "- Slackで「対応する」を押す：{link}",
        "slack_unlinked": "- Slackで「対応する」を押す。",
        "take": "- またはコマンドで引き受ける：oncall acknowledge {incident}",
        "all": "  どちらでも{count}件すべてを引き受けます。",
        "by_hand": "- 担当者に自分で電話する：oncall who{product}",
        "mend_roster": "- 当番を決める：oncall take NAME（NAMEは名簿のID）",
        "again": "- 何もしなければ、次の再通知でまた全員に電話します（ポリシーがrepeat_page: falseの場合を除く）。",
        "called": "電話した人：",
        "line": "- {who}さん：{what}",
        "then": "、その後 ",
        "times": "{what}（{count}回）",
        "busy": "話し中",
        "no-answer": "応答なし",
        "failed": "つながらず（{reason}）",
        "canceled": "呼び出しを取りやめ",
        "skipped": "{who}さんが次の人を指名",
        "completed": "電話に出たが番号は押されず",
        "passed": "次の人に回した",
        "placing": "Twilioが受け付けず",
    },
}


def unanswered(services: Services, page: Page) -> str:
    """Of a page that nobody took, and that has given up."""
    words = _words(services, page)
    rounds = max((call.round for call in page.calls), default=0)
    if page.unavailable_since:
        first = words["day"]
    elif not page.calls:
        first = words["nobody"]
    else:
        calls = _counted(words, "call", len(page.attempts))
        first = words["nobody_took"].format(calls=calls, rounds=_counted(words, "round", rounds))
    lead = incidents.read(services.table, page.lead)
    do = [*_take(words, page, lead), *(() if page.calls else [words["mend_roster"]]), words["again"]]
    return _mail(services, page, lead, first, do)


def unavailable(services: Services, page: Page, *, reason: str, remedy: str) -> str:
    """Of a page for which no phone rings, since no calls are taken. `remedy` is the name of what fixes that."""
    words, language = _words(services, page), _language(services, page)
    first = words["unavailable"].format(reason=refusals.reason_in(language, reason))
    lead = incidents.read(services.table, page.lead)
    product = f" --product {quote(unlinked(page.headline.product))}" if page.headline.product else ""  # it is copied
    fix = [f"- {said}"] if (said := refusals.words(remedy, language)) else []
    do = [*_take(words, page, lead), words["by_hand"].format(product=product), *fix]
    return _mail(services, page, lead, first, do)


def _mail(services: Services, page: Page, lead: Incident | None, first: str, do: list[str]) -> str:
    """The first line, what it is about, what to do, and who was called."""
    words, language, headline = _words(services, page), _language(services, page), page.headline
    lines = [first, "", words["what"].format(what=unlinked(headline.summary_in(language)))]
    lines.append(words["product" if headline.product else "no_product"].format(product=unlinked(headline.product)))
    if lead:
        lines.append(_since(services, words, lead))
    covered = _covered(services, words, page, language)
    lines += [words["policy"].format(policy=page.policy), *covered, "", words["do"], *do]
    called = list(_called(words, page, language))
    if called:
        lines += ["", words["called"], *called]
    return "\n".join(lines)


def _since(services: Services, words: Mapping[str, str], lead: Incident) -> str:
    """When it began, by the clocks of the roster's time zone: a mail cannot know its reader's."""
    zone = roster.read_table(services.table).time_zone
    since = at(lead.began).astimezone(ZoneInfo(zone))
    return words["since"].format(since=since, day="月火水木金土日"[since.weekday()], zone=zone)


def _covered(services: Services, words: Mapping[str, str], page: Page, language: Language) -> Iterator[str]:
    """The incidents, the one that it is about first."""
    ids = sorted(page.incidents, key=lambda one: (one != page.lead, one))
    yield words["incidents"].format(count=len(ids))
    for one in ids[:LISTED]:
        incident = incidents.read(services.table, one)
        what = incidents.headline_of(incident).summary_in(language) if incident else ""
        yield f"- {one} {unlinked(what)}".rstrip()
    if len(ids) > LISTED:
        yield words["more"].format(count=len(ids) - LISTED)


def _take(words: Mapping[str, str], page: Page, lead: Incident | None) -> Iterator[str]:
    link = lead.slack.link if lead else ""
    yield words["slack" if link else "slack_unlinked"].format(link=link)
    yield words["take"].format(incident=page.lead)
    if len(page.incidents) > 1:
        yield words["all"].format(count=len(page.incidents))


def _called(words: Mapping[str, str], page: Page, language: Language) -> Iterator[str]:
    """Each person once, with what became of their calls, in the order in which they were called first."""
    for responder in dict.fromkeys(call.responder for call in page.calls):
        calls = [call for call in page.calls if call.responder == responder]
        remedy = next((call.remedy for call in calls if call.remedy), "")  # of several refusals one has it
        ends = []
        for said, same in groupby(_became(language, call, refusals.words(remedy, language)) for call in calls):
            count = len(list(same))
            ends.append(words["times"].format(what=said, count=count) if count > 1 else said)
        yield words["line"].format(who=unlinked(calls[0].name), what=words["then"].join(ends))


def _became(language: Language, call: Call, remedy: str) -> str:
    words = _WORDS[language]
    if call.skip:
        return words["skipped"].format(who=unlinked(call.skip.who))
    if call.status == "failed":
        reason = remedy.rstrip(".。") or refusals.reason_in(language, call.reason) or "-"
        return words["failed"].format(reason=reason)
    return words.get(call.status, call.status)


def _counted(words: Mapping[str, str], what: str, count: int) -> str:
    return words[f"1_{what}" if count == 1 else f"{what}s"].format(count=count)


def _language(services: Services, page: Page) -> Language:
    return page.headline.language or services.settings.language


def _words(services: Services, page: Page) -> Mapping[str, str]:
    return _WORDS[_language(services, page)]
