"""A page and its calls as the table has them. Times are epoch milliseconds; 0 or an empty text: not yet, or none.

A policy has one page item (partition PAGE#policy, sort key CURRENT), and each call stands in it under `calls.c1`, `calls.c2` ...
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast

from oncall.incidents import Headline
from oncall.roster import Language, is_shadow
from oncall.table import Item

State = Literal["open", "acknowledged", "resolved", "unanswered"]
Via = Literal["phone", "slack", "command"]

# Twilio, and Telnyx: the statuses in which a call has ended.
ENDED = ("completed", "busy", "no-answer", "failed", "canceled")
# Ours: "placing" until Twilio says more, "taken" when its responder pressed 1, "passed" for 2: the call says good-bye.
OVER = (*ENDED, "taken", "passed")


# The ids of calls that nobody placed begin so (see shadow.SupposedTelephone).
SUPPOSED = "supposed-"


@dataclass(frozen=True, slots=True)
class Skip:
    """Somebody wanted the next responder rung instead of the one whose phone rang."""

    who: str  # a name
    via: Via
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """One phone call, one attempt of a page. `phone` and `name` are the responder's as they were when it was begun.

    The first call's number may stand in its page alone (see Page.phones).
    """

    number: int  # from 1
    responder: str  # an id of the roster
    name: str
    phone: str = field(repr=False)  # a repr may end in a log
    round: int
    status: str  # Twilio's, or "placing", "taken", "passed"
    started_at: int
    asked_at: int = 0  # when its provider was last asked for it; 0: it has refused
    language: Language | None = None
    sid: str = ""  # the provider's id
    provider: str = "twilio"
    instead_of: int = 0  # the number of the other provider's call to the same responder that did not ring
    taken_at: int = 0  # when the provider took it without an id
    ringing_at: int = 0  # when the phone was heard ringing (only where there are two providers)
    answered_at: int = 0
    ended_at: int = 0
    skip: Skip | None = None
    is_refused: bool = False  # Twilio does not call this number
    reason: str = ""  # why it failed
    remedy: str = ""  # what fixes that (see phone.refusals)

    @property
    def has_ended(self) -> bool:
        """Whether it needs no more waiting for."""
        return self.status in OVER

    @property
    def is_handed_on(self) -> bool:
        """Whether it was passed on, skipped or refused: the next responder need not wait, nor this one be rung again."""
        return self.status == "passed" or self.skip is not None or self.is_refused

    @property
    def is_supposed(self) -> bool:
        """Whether no phone rang: its page is in shadow."""
        return self.sid.startswith(SUPPOSED)

    @property
    def reference(self) -> str:
        """What it can be hung up by when its page is gone: the id, after the provider's name if that is not Twilio."""
        return self.sid if self.provider == "twilio" else f"{self.provider} {self.sid}"

    @classmethod
    def from_item(cls, item: Mapping[str, Any], phones: Mapping[str, str]) -> Self:
        """A call as it stands in its page's item, which has `phones`."""
        skipped = item.get("skipped")
        return cls(
            number=item["number"],
            responder=item["responder"],
            name=item["name"],
            phone=item.get("phone") or phones[item["responder"]],
            round=item["round"],
            status=item["status"],
            started_at=item["started_at"],
            asked_at=item["asked_at"],
            language=cast("Language", item["language"]) if item.get("language") else None,
            sid=item.get("sid", ""),
            provider=item.get("provider", "twilio"),
            instead_of=item.get("instead_of", 0),
            taken_at=item.get("taken_at", 0),
            ringing_at=item.get("ringing_at", 0),
            answered_at=item.get("answered_at", 0),
            ended_at=item.get("ended_at", 0),
            skip=Skip(**skipped) if skipped else None,
            is_refused="refused" in item,
            reason=item.get("reason", ""),
            remedy=item.get("remedy", ""),
        )


@dataclass(frozen=True, slots=True)
class PageKey:
    """Which page: the one of a policy, as long as it still has this id."""

    policy: str
    id: str


@dataclass(frozen=True, slots=True)
class AtWork:
    """Who is at work on the page before this one, so that its phones ring later."""

    name: str
    responder: str  # an id of the roster, or empty


@dataclass(frozen=True, slots=True)
class Storm:
    """Several incidents that one page covers."""

    count: int
    in_common: Mapping[str, str]  # see Page.in_common


@dataclass(frozen=True, slots=True)
class Page:
    """One round of waking people for one escalation policy."""

    id: str
    policy: str
    state: State
    opened_at: int
    owner: str  # the execution that works on it
    lease_until: int  # when another execution takes over
    ring_at: int  # not before
    ring_seconds: int  # how long one phone rings
    base: str  # the gateway's address for telephone providers
    headline: Headline  # what a call says
    calls: tuple[Call, ...] = ()  # in the order of their numbers
    # The number of who is rung first, by the responder's id: executions carry ids alone, and the write that begins the call
    # answers with it, so that no look at the roster stands between the webhook and the ring.
    phones: Mapping[str, str] = field(default_factory=dict, repr=False)
    incidents: frozenset[str] = frozenset()  # the ids of those that it covers
    traits: frozenset[str] = (
        frozenset()
    )  # what is true of one of them at least: "name=value" of each of incidents.TRAITS
    places: frozenset[str] = frozenset()  # "channel id" of each that has joined it
    attempt: int = 0  # the number of the latest call
    token: str = field(default="", repr=False)  # the task token of the waiting step
    quiet_seconds: int = 0
    answer: str = "key"
    sms_before_call: bool = False
    remind_after_minutes: int = 0
    at_work: AtWork | None = None
    quiet_until: int = 0
    skipped_at: int = 0
    unavailable_since: int = 0  # no calls are taken
    remedy: str = ""  # what was said to fix that
    text_remedies: tuple[str, ...] = ()  # what was said to fix texts that were not sent
    told: str = ""  # what the fallback topic has been told of last: "unavailable" or "unanswered"
    reason: str = ""  # why it is unanswered
    acknowledged_by: str = ""
    acknowledged_responder: str = ""  # an id of the roster, or empty
    acknowledged_at: int = 0
    acknowledged_via: str = ""
    settled_at: int = 0  # when all had followed from its end
    away_since: int = 0  # since when its step waits, because its stack was away
    left: tuple[str, ...] = ()  # calls that may still ring (`Call.reference`), to be hung up by whoever comes next

    @property
    def in_common(self) -> Mapping[str, str]:
        """What is true of all incidents that have joined it, by the names of incidents.TRAITS; empty what none has."""
        values: dict[str, list[str]] = {}
        for name, _, value in (trait.partition("=") for trait in self.traits):
            values.setdefault(name, []).append(value)
        return {name: found[0] for name, found in values.items() if len(found) == 1}

    @property
    def storm(self) -> Storm | None:
        """The incidents that it covers, if they are several."""
        return Storm(len(self.incidents), self.in_common) if len(self.incidents) > 1 else None

    @property
    def lead(self) -> str:
        """The id of the incident that it is about."""
        return self.headline.incident

    @property
    def current_call(self) -> Call | None:
        """The latest call, or None before the first."""
        return self.call(self.attempt) if self.attempt else None

    @property
    def family(self) -> tuple[Call, ...]:
        """The calls of the current attempt, in order: one, or one through each provider."""
        current = self.current_call
        if current is None:
            return ()
        return tuple(call for call in self.calls if call.number in (current.number, current.instead_of))

    @property
    def attempts(self) -> tuple[Call, ...]:
        """The calls, of an attempt through two providers the last one alone."""
        replaced = {call.instead_of for call in self.calls}
        return tuple(call for call in self.calls if call.number not in replaced)

    def is_current(self, number: int) -> bool:
        """Whether a call belongs to the current attempt."""
        return any(call.number == number for call in self.family)

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it yet."""
        return self.state == "open"

    @property
    def is_silent(self) -> bool:
        """Whether nobody took it, and nobody has been told. In shadow nobody has to be."""
        return self.state == "unanswered" and self.told != "unanswered" and not self.is_shadow

    @property
    def is_shadow(self) -> bool:
        """Whether it rings nobody."""
        return is_shadow(self.policy)

    @property
    def is_settled(self) -> bool:
        """Whether it has ended, and all has followed from that."""
        return self.settled_at > 0

    def call(self, number: int) -> Call:
        """The call of a number. Raises LookupError if there is none."""
        for call in self.calls:
            if call.number == number:
                return call
        raise LookupError(f"page {self.id} has no call {number}")

    def told_in(self, channel: str) -> list[str]:
        """The ids of those that it covers and are told in a channel, the oldest first."""
        placed = (place.rpartition(" ") for place in self.places)
        return sorted(incident for where, _, incident in placed if where == channel and incident in self.incidents)

    @property
    def by_channel(self) -> dict[str, list[str]]:
        """The ids of those that it covers by the channel in which they are told: the lead, then the oldest first."""
        channels = {place.rpartition(" ")[0] for place in self.places}
        return {
            channel: sorted(found, key=lambda one: (one != self.lead, one))
            for channel in sorted(channels)
            if (found := self.told_in(channel))
        }

    def covers(self, incident: str) -> bool:
        """Whether an incident, by its id, has joined it."""
        return incident in self.incidents

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """The page that an item of the table is."""
        phones = item.get("phones", {})
        calls = sorted((Call.from_item(call, phones) for call in item["calls"].values()), key=lambda call: call.number)
        at_work = item.get("quiet_for")
        return cls(
            id=item["page"],
            policy=item["policy"],
            state=item["state"],
            opened_at=item["opened_at"],
            owner=item["owner"],
            lease_until=item["lease_until"],
            ring_at=item["ring_at"],
            ring_seconds=item["ring_seconds"],
            base=item["base"],
            headline=Headline.from_item(item["about"]),
            calls=tuple(calls),
            phones=phones,
            incidents=frozenset(item.get("incidents", ())),
            traits=frozenset(item.get("traits", ())),
            places=frozenset(item.get("places", ())),
            attempt=item["attempt"],
            token=item.get("token", ""),
            quiet_seconds=item["quiet_seconds"],
            answer=item["answer"],
            sms_before_call=item.get("sms_before_call", False),
            remind_after_minutes=item["remind_after_minutes"],
            at_work=AtWork(at_work["name"] or "", at_work["responder"] or "") if at_work else None,
            quiet_until=item.get("quiet_until", 0),
            skipped_at=item.get("skipped_at", 0),
            unavailable_since=item.get("unavailable_since", 0),
            remedy=item.get("remedy") or "",
            text_remedies=tuple(item.get("text_remedies", ())),
            told=item.get("told", ""),
            reason=item.get("reason", ""),
            acknowledged_by=item.get("acknowledged_by", ""),
            acknowledged_responder=item.get("acknowledged_responder", ""),
            acknowledged_at=item.get("acknowledged_at", 0),
            acknowledged_via=item.get("acknowledged_via", ""),
            settled_at=item.get("settled_at", 0),
            away_since=item.get("away_since", 0),
            left=tuple(item.get("left", ())),
        )


@dataclass(frozen=True, slots=True)
class Handed:
    """What ReceiveAlerts hands on of a page to PhoneCall: enough for a first call without a look at the table."""

    id: str
    policy: str
    incident: str
    attempt: int
    ring_seconds: int
    sms_before_call: bool
    decided_at: int
    timeout_seconds: int  # of the step
    provider: str = "twilio"  # that is asked first

    def to_state(self) -> dict[str, object]:
        """As the state machine hands it on."""
        return {
            "call": True,
            "page": self.id,
            "policy": self.policy,
            "incident": self.incident,
            "attempt": self.attempt,
            "ring_seconds": self.ring_seconds,
            "sms_before_call": self.sms_before_call,
            "decided_at": self.decided_at,
            "timeout_seconds": self.timeout_seconds,
            "provider": self.provider,
        }

    @classmethod
    def from_state(cls, given: Mapping[str, Any]) -> Self:
        """What `to_state` has written."""
        return cls(
            id=given["page"],
            policy=given["policy"],
            incident=given["incident"],
            attempt=given["attempt"],
            ring_seconds=given["ring_seconds"],
            sms_before_call=given["sms_before_call"],
            decided_at=given["decided_at"],
            timeout_seconds=given["timeout_seconds"],
            provider=given.get("provider", "twilio"),  # an execution may be older than this
        )
