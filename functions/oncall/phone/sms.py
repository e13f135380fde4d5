"""Text messages: a word before a call, and the way to the story for whoever took it by phone.

They go beside everything else: what does not go out is a line in the timeline, and no phone waits for it.
"""

from collections.abc import Mapping

from aws_lambda_powertools import Logger

from oncall import incidents, pages
from oncall.incidents import Event, Headline
from oncall.pages import Call, Page
from oncall.phone import refusals
from oncall.phone.segments import is_gsm, plain, segments
from oncall.phone.twilio import NotTextedError, Telephone
from oncall.roster import Language
from oncall.services import Services
from oncall.table import ConditionFailedError
from oncall.text import unlinked

logger = Logger(child=True)

# Characters of the summary: fewer where the text would have more than two parts in GSM's alphabet, three in another.
SUMMARY_LIMIT = 90
SUMMARY_LEAST = 20

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "before": "On-call alert: {what}\nYour phone rings now: press 1 to take it, or {take}",
        "before_many": "On-call alert, {count} incidents: {what}\nYour phone rings now: press 1 to take them all, or {take}",
        "in_slack": "acknowledge here: {link}",
        "taken": "You have it: {what}\n{link}",
        "taken_many": "You have it, with {count} incidents in all: {what}\n{link}",
    },
    "ja": {
        "before": "オンコール: {what}\nこれから電話します。電話で1、または {take}",
        "before_many": "オンコール（{count}件）: {what}\nこれから電話します。電話で1、または {take}",
        "in_slack": "Slackで対応: {link}",
        "taken": "対応を引き受けました: {what}\n{link}",
        "taken_many": "全{count}件の対応を引き受けました: {what}\n{link}",
    },
}


def taken(services: Services, policy: str, page_id: str, number: int) -> None:
    """Sends whoever took a page in its call of that number the link to the story, once for each acknowledgement."""
    try:
        page = pages.claim_text(services.table, policy, page_id, number, now=services.now())
    except ConditionFailedError:
        logger.info("it has been texted already, or the page is over", call=number)
        return
    call, headline = page.call(number), page.headline
    incident = incidents.read(services.table, headline.incident)
    language = _language(services.settings.language, call, headline)
    link = (incident.slack.link if incident else "") or f"oncall incident {headline.incident}"
    count = len(page.incidents)
    body = written("taken_many" if count > 1 else "taken", headline, language, link=link, count=count)
    event = _send(services.telephone(), page, call, body, "taken")
    incidents.tell(services.table, headline.incident, event, now=services.now())
    services.show_in_slack([headline.incident])


def before_the_call(services: Services, page: Page, call: Call) -> Event | None:
    """Tells a responder why the phone is about to ring, and how else to take it; returns what the timeline says of it.

    Twilio has two seconds at most.
    """
    telephone = services.telephone()
    if not telephone.text_sender:
        logger.warning("the policy asks for a text before a call, but TextSender is empty", policy=page.policy)
        return None
    language = _language(services.settings.language, call, page.headline)
    lead = incidents.read(services.table, page.lead)
    link = lead.slack.link if lead else ""
    take = _WORDS[language]["in_slack"].format(link=link) if link else f"oncall acknowledge {page.lead}"
    count = len(page.incidents)
    body = written("before_many" if count > 1 else "before", page.headline, language, take=take, count=count)
    return _send(telephone, page, call, body, "before")


def _send(telephone: Telephone, page: Page, call: Call, body: str, why: str) -> Event:
    key = f"{page.id}/{call.number}/text/{why}"
    try:
        telephone.text(call.phone, body)
    except NotTextedError as error:
        logger.warning("a text message was not sent", responder=call.responder, reason=str(error))
        remedy = refusals.remedy(error.code, call.phone)
        is_news = remedy and remedy not in page.text_remedies
        detail = {"reason": str(error), **({"remedy": remedy} if is_news else {})}
        return Event("text_failed", key=key, who=call.name, detail=detail)
    return Event("texted", key=key, who=call.name, in_thread=False)


def _language(default: Language, call: Call, headline: Headline) -> Language:
    return call.language or headline.language or default


def written(word: str, headline: Headline, language: Language, **values: object) -> str:
    """A text message. What is added to a summary is in GSM's alphabet; the summary is cut until the parts are few."""
    summary = plain(unlinked(headline.summary_in(language)))
    cut = "..." if is_gsm(summary) else "…"
    for limit in range(SUMMARY_LIMIT, SUMMARY_LEAST, -1):
        what = summary if len(summary) <= limit else summary[: limit - len(cut)].rstrip() + cut
        body = _WORDS[language][word].format(what=what, **values)
        if segments(body) <= (2 if is_gsm(body) else 3):
            break
    return body
