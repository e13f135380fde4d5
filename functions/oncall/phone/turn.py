"""What the parts of the PhoneCall step share: who enters it, and the little that each of them does."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from oncall import incidents, pages, providers
from oncall.errors import ConfigurationError
from oncall.incidents import Event, Incident
from oncall.pages import Call, Handed, Page, Pause
from oncall.phone.provider import Callbacks, Known, Provider, UnavailableError
from oncall.phone.voice import Voice
from oncall.roster import Language, Responder
from oncall.services import Services
from oncall.signals import Answer

logger = Logger(child=True)

# So long after it was asked for, a call that its provider does not list may still come: the request may be under way (its
# time limit is 6 s), from a step that runs beside this one, or the list may be behind.
IN_FLIGHT_MS = 8_000


@dataclass(frozen=True, slots=True)
class Turn:
    """One entry of the step: what ReceiveAlerts handed on, who enters, and the token it would wait with.

    Without a page the product needs no call. `responders` are those that were on call then, in order.
    """

    page: Handed | None
    responders: Sequence[Responder]
    execution: str
    token: str


def wait(services: Services, turn: Turn, page: Page, pause: Pause) -> Answer:
    """Rings nobody for a while. Raises ConditionFailedError if the page is not ours any more."""
    pages.rest(services.table, page, execution=turn.execution, now=services.now(), seconds=pause.seconds)
    logger.info("nobody is rung for a while", seconds=pause.seconds, reason=pause.reason, owner=turn.execution)
    return Answer("fail", pause.reason, "wait", wait_seconds=pause.seconds)


def provider(services: Services, name: str) -> Provider:
    """The provider of that name. Raises UnavailableError if it is not set up, or not any more."""
    if name == providers.TWILIO:
        return services.telephone()
    if services.second is None:
        raise UnavailableError(f"{providers.LABELS[name]} is not set up any more", is_refusal=True)
    try:
        return services.second()
    except ConfigurationError as error:
        raise UnavailableError(
            f"{providers.LABELS[name]}: {error}", is_refusal=True, remedy="telnyx_secrets"
        ) from error
    except (ClientError, BotoCoreError) as error:
        reason = f"{providers.LABELS[name]}: its key cannot be read ({type(error).__name__})"
        raise UnavailableError(reason, is_refusal=True) from error


def find(services: Services, page: Page, call: Call) -> Known | None:
    """A call whose answer was lost, as its provider knows it. Raises UnavailableError."""
    others = [other.sid for other in page.calls if other.sid]
    return provider(services, call.provider).find(call.phone, since=call.started_at, besides=others)


def is_in_flight(call: Call, now: int) -> bool:
    """Whether a call that its provider does not know may still come."""
    return now - call.asked_at < IN_FLIGHT_MS


def is_overdue(page: Page, since: int, now: int) -> bool:
    """Whether a call's phone cannot ring any more, `since` it was asked for or begun."""
    return now - since > (page.ring_seconds + pages.LISTENING_SECONDS) * 1000


def voice(services: Services, page: Page, call: Call) -> Voice:
    """What says the words of a call."""
    language: Language = call.language or page.headline.language or services.settings.language
    return Voice(language, callbacks(services, page, call))


def callbacks(services: Services, page: Page, call: Call) -> Callbacks:
    """Where the provider posts what happens in a call."""
    return Callbacks(
        page.base,
        page.policy,
        page.id,
        call.number,
        incident=page.lead,
        responder=call.responder,
        placed_at=services.now() // 1000,
        secret=services.callback_secret(),
    )


def available(services: Services, page: Page) -> Page:
    """Calls are taken again: the next time that they are not is another one."""
    if not page.unavailable_since:
        return page
    return pages.note(services.table, page, {}, remove=("unavailable_since", "told"))


def tell(services: Services, page: Page, event: Event) -> Incident | None:
    """Tells the story of a call in the timeline of the incident that it is about, and in Slack beside us.

    Returns the incident as it is then.
    """
    incident = page.lead
    told = incidents.tell(services.table, incident, event, now=services.now())
    services.show_in_slack([incident])
    return told


def ended(page: Page, call: Call) -> Event:
    """What the timeline says of a call that has ended."""
    seconds = ((call.ended_at or call.started_at) - call.started_at) // 1000
    detail = {"status": call.status, "seconds": seconds, "reason": call.reason, "round": call.round}
    if call.answered_at:
        detail["answered"] = True
    if call.is_supposed:
        detail["supposed"] = True
    if call.remedy:
        detail["remedy"] = call.remedy
    return Event("call_ended", key=key(page, call, "ended"), who=call.name, detail=detail, at=call.ended_at)


def key(page: Page, call: Call, what: str) -> str:
    """The key of an event of a call: told again, it stands in the timeline once."""
    return f"{page.id}/{call.number}/{what}"
