"""Text messages: a word before a call, and the way to the story for whoever took it by phone.

They go beside everything else: what does not go out is a line in the timeline, and no phone waits for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_lambda_powertools import Logger

from oncall import incidents, pages
from oncall.incidents import Event
from oncall.phone import refusals
from oncall.phone.twilio import NotTextedError, Telephone
from oncall.roster import Language
from oncall.table import ConditionFailedError, Item, Table

logger = Logger(child=True)

# Of the summary. With the link it makes two parts in English and three in Japanese (SMS: 153 and 67 characters each).
SUMMARY_LIMIT = 90

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "before": "On-call alert: {what}\nYour phone rings now. Incident {incident}",
        "taken": "You have it: {what}\n{link}",
        "taken_many": "You have it, with {count} incidents in all: {what}\n{link}",
        "incident": "Incident {incident}",
    },
    "ja": {
        "before": "オンコール: {what}\nこれから電話します。インシデント {incident}",
        "taken": "対応を引き受けました: {what}\n{link}",
        "taken_many": "全{count}件の対応を引き受けました: {what}\n{link}",
        "incident": "インシデント {incident}",
    },
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What a text message takes."""

    table: Table
    telephone: Callable[[], Telephone]
    slack: Callable[[Sequence[str]], None]
    now: Callable[[], int]  # epoch milliseconds
    language: Language


def taken(desk: Desk, policy: str, page_id: str, number: int) -> None:
    """Sends whoever took a page in its call of that number the link to the story, once for each acknowledgement."""
    try:
        page = pages.claim_text(desk.table, policy, page_id, number, now=desk.now())
    except ConditionFailedError:
        logger.info("it has been texted already, or the page is over", call=number)
        return
    call, about = page["calls"][f"c{number}"], page["about"]
    incident = incidents.read(desk.table, about["incident"])
    words = _WORDS[_language(desk.language, call, about)]
    link = (incident or {}).get("slack_link") or words["incident"].format(incident=about["incident"])
    count = len(page.get("incidents", ()))
    body = words["taken_many" if count > 1 else "taken"].format(
        what=_what(about, _language(desk.language, call, about)), link=link, count=count
    )
    event = _send(desk.telephone(), page, call, body, "taken")
    incidents.tell(desk.table, about["incident"], event, now=desk.now())
    desk.slack([about["incident"]])


def before_the_call(telephone: Telephone, page: Item, call: Item, language: Language) -> Event | None:
    """Tells a responder why the phone is about to ring; returns what the timeline says of it. Takes two seconds at most."""
    if not telephone.text_sender:
        logger.warning("the policy asks for a text before a call, but TextSender is empty", policy=page["policy"])
        return None
    own = _language(language, call, page["about"])
    about = page["about"]
    body = _WORDS[own]["before"].format(what=_what(about, own), incident=about["incident"])
    return _send(telephone, page, call, body, "before")


def _send(telephone: Telephone, page: Item, call: Item, body: str, why: str) -> Event:
    key = f"{page['page']}/{call['number']}/text/{why}"
    try:
        telephone.text(call["phone"], body)
    except NotTextedError as error:
        logger.warning("a text message was not sent", responder=call["responder"], reason=str(error))
        remedy = refusals.remedy(error.code, call["phone"])
        is_news = remedy and remedy not in page.get("text_remedies", ())
        detail = {"reason": str(error), **({"remedy": remedy} if is_news else {})}
        return Event("text_failed", key=key, who=call["name"], detail=detail)
    return Event("texted", key=key, who=call["name"], in_thread=False)


def _language(default: Language, call: Item, about: Mapping[str, Any]) -> Language:
    return cast("Language", call["language"] or about.get("language") or default)


def _what(about: Mapping[str, Any], language: Language) -> str:
    text = " ".join(str(about.get("summaries", {}).get(language) or about["summary"]).split())
    return text if len(text) <= SUMMARY_LIMIT else text[: SUMMARY_LIMIT - 1] + "…"
