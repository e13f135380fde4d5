"""An incident and the lines of its timeline as the table has them. Times are epoch milliseconds; 0: not yet."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, cast

from oncall.alerts.annotations import ours_in
from oncall.alerts.group import Severity, Status
from oncall.clock import milliseconds
from oncall.probe import rules
from oncall.roster import Language
from oncall.table import Item, Put

State = Literal["triggered", "acknowledged", "resolved"]

# By what incidents may belong together, the most telling first after the product: where it is, then what it is.
TRAITS = (
    *("product", "instance", "node", "host", "cluster", "region", "availability_zone", "zone", "namespace", "service"),
    "alertname",
)


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert as an incident keeps it: long texts are cut. What the sender did not say is empty."""

    status: Status
    title: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str  # RFC 3339, as it was written
    generator_url: str
    silence_url: str
    graph_url: str
    value: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Posting:
    """What may have been posted to Slack: a post whose answer was lost is looked for."""

    what: str  # "message", or "event" or "reply" and its number
    at: int
    version: int = 0  # of the incident that it shows
    look: str = ""  # the hash of what is seen


@dataclass(frozen=True, slots=True)
class Below:
    """The incidents that are told below another one's message: how many are in each state, and are called what."""

    states: Mapping[str, int] = field(default_factory=dict)  # "unanswered" is one of them
    names: Mapping[str, int] = field(default_factory=dict)  # the most frequent first

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(self.states.values())

    @property
    def open(self) -> int:
        """How many of them are not resolved."""
        return self.count - self.states.get("resolved", 0)


@dataclass(frozen=True, slots=True)
class InSlack:
    """How far Slack is with an incident."""

    version: int  # the incident's, up to which Slack shows it
    channel: str = ""  # where the message is
    ts: str = ""  # the message's id; empty before it was posted
    shown: int = 0  # the version that the message shows
    look: str = ""  # the hash of what is seen; empty if that is not known
    thread: int = 0  # the number of the last event that the thread has
    link: str = ""  # the message's address
    posting: Posting | None = None
    began: int = 0  # since when somebody projects it, or has died doing so
    turn: int = 0  # when its turn in a queue to Slack comes
    queue: str = ""  # which one: a channel's, or that of all updates
    wrong: str = ""  # what a person has to fix before Slack takes it
    behind_since: int = 0
    is_own: bool = False  # whether the other stack, which has the incident too, has another message for it
    host: str = ""  # the incident below whose message it is told, from when it joined a page of many
    below: Below = Below()  # those that are told below its own message

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Of the incident that an item of the table is."""
        posting = item.get("slack_posting")
        return cls(
            version=item["slack_version"],
            channel=item.get("slack_channel", ""),
            ts=item.get("slack_ts", ""),
            shown=item.get("slack_shown", 0),
            look=item.get("slack_look", ""),
            thread=item.get("slack_thread", 0),
            link=item.get("slack_link", ""),
            posting=Posting(**posting) if posting else None,
            began=item.get("slack_began", 0),
            turn=item.get("slack_turn", 0),
            queue=item.get("slack_queue", ""),
            wrong=item.get("slack_wrong", ""),
            behind_since=item.get("slack_behind_since", 0),
            is_own=item.get("slack_own", False),
            host="" if item.get("slack_host") == item["id"] else item.get("slack_host", ""),  # once it could be its own
            below=Below(**item.get("slack_below", {})),
        )


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How the probe's run went: milliseconds from its start until the phone rang and the key was heard."""

    problem: str  # empty if all went well
    ringing: int = 0
    acknowledged: int = 0


@dataclass(frozen=True, slots=True)
class Headline:
    """What a call and a text message say of an incident."""

    incident: str  # its id
    product: str
    title: str
    summary: str
    summaries: Mapping[Language, str]  # in which languages it is written beside that
    firing: int
    at_least: bool  # more may fire than are known
    test: bool
    language: Language | None = None  # the product's
    traits: Mapping[str, str] = field(default_factory=dict)  # labels that all its alerts have: those of TRAITS

    def summary_in(self, language: Language) -> str:
        """The summary for a reader of a language."""
        return self.summaries.get(language) or ours_in(language, self.summary)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """As it stands in its page's item."""
        return cls(**{**item, "language": item.get("language") or None})

    def to_item(self) -> dict[str, object]:
        """As it stands in its page's item."""
        return {**asdict(self), "language": self.language or ""}


@dataclass(frozen=True, slots=True)
class Incident:
    """One episode of what an alert group says of a product. An empty text: none, or not known."""

    id: str
    state: State
    group: str  # the alert group's id
    group_key: str  # as its sender wrote it, cut
    opened_by: str  # the execution
    opened_at: int
    changed_at: int
    version: int  # the number of its latest event
    policy: str  # the escalation policy's id
    call: bool  # whether its product wants phones to ring
    channel: str  # the Slack channel in which it is told
    base: str  # the gateway's address for Twilio
    # What its alert group said last.
    severity: Severity
    severity_note: str  # see AlertGroup
    product: str
    title: str
    summary: str
    test: bool  # marked as only a test
    firing: int
    alerts: tuple[KeptAlert, ...]  # the most telling first; never empty
    left_out: int  # alerts of the whole group that were not shown
    cut_characters: int  # see AlertGroup
    external_url: str
    matchers: str
    sender: str
    received_at: int
    # What it knows of all words of its group (see incidents.known).
    known: Mapping[str, int]
    unseen: bool
    at_least: bool  # more may fire than are shown
    # What became of it.
    slack: InSlack
    last_in_thread: int  # the number of the latest event that Slack's thread tells
    language: Language | None = None  # the product's
    unanswered: bool = False
    acknowledged_by: str = ""
    acknowledged_at: int = 0
    taken_together: int = 1  # how many incidents whoever has it took with it
    resolved_at: int = 0
    remind_after_minutes: int = 0
    remind_at: int = 0
    reminded: bool = False
    probe: ProbeResult | None = None
    peer_until: int = 0  # until when the other stack rings and tells for it, if it does not say so again

    @property
    def channels(self) -> frozenset[str]:
        """Its channel: as it is configured, which may be by name, and as Slack calls it once it was told there."""
        return frozenset({self.channel, self.slack.channel or self.channel})

    @property
    def began(self) -> int:
        """When the first of its alerts that fire began, as far as they say."""
        fires = [alert for alert in self.alerts if alert.status == "firing"] or self.alerts
        moments = [milliseconds(alert.starts_at) for alert in fires]
        return min([self.opened_at, *(moment for moment in moments if moment > 0)])

    @property
    def is_probe(self) -> bool:
        """Whether it is the probe's: nobody has to look at it."""
        return rules.is_probe(self.policy)

    @property
    def is_test(self) -> bool:
        """Whether it is the probe's or somebody's test: such never count in reports."""
        return self.is_probe or self.test

    @property
    def is_below(self) -> bool:
        """Whether Slack tells it below another one's message alone. One with news of its own has a message as well."""
        slack = self.slack
        return bool(slack.host) and not (slack.ts or slack.posting or slack.began or self.last_in_thread)

    def is_told_by_peer(self, now: int) -> bool:
        """Whether the other stack tells it, in the same message."""
        return self.peer_until > now and not self.slack.is_own

    @property
    def is_unanswered(self) -> bool:
        """Whether nobody has it, and its page gave up."""
        return self.state == "triggered" and self.unanswered

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """The incident that an item of the table is."""
        probe = item.get("probe")
        return cls(
            id=item["id"],
            state=item["state"],
            group=item["group"],
            group_key=item["group_key"],
            opened_by=item["opened_by"],
            opened_at=item["opened_at"],
            changed_at=item["changed_at"],
            version=item["version"],
            policy=item["policy"],
            call=item["call"],
            channel=item["channel"],
            base=item["base"],
            severity=item["severity"],
            severity_note=item["severity_note"],
            product=item["product"],
            title=item["title"],
            summary=item["summary"],
            test=item["test"],
            firing=item["firing"],
            alerts=tuple(KeptAlert(**alert) for alert in item["alerts"]),
            left_out=item["left_out"],
            cut_characters=item["cut_characters"],
            external_url=item["external_url"],
            matchers=item["matchers"],
            sender=item["sender"],
            received_at=item["received_at"],
            known=item["known"],
            unseen=item["unseen"],
            at_least=item["at_least"],
            slack=InSlack.from_item(item),
            last_in_thread=item["last_in_thread"] if "last_in_thread" in item else item["version"],  # an older one
            language=cast("Language", item["language"]) if item.get("language") else None,
            unanswered=item.get("unanswered", False),
            acknowledged_by=item.get("acknowledged_by", ""),
            acknowledged_at=item.get("acknowledged_at", 0),
            taken_together=item.get("taken_together", 1),
            resolved_at=item.get("resolved_at", 0),
            remind_after_minutes=item.get("remind_after_minutes", 0),
            remind_at=item.get("remind_at", 0),
            reminded=item.get("reminded", False),
            probe=ProbeResult(**probe) if probe else None,
            peer_until=item.get("peer_until", 0),
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """An open incident as the month's list has it: as much as says who sees it."""

    id: str
    policy: str
    product: str
    channel: str

    @property
    def channels(self) -> frozenset[str]:
        """Its channel, as it is configured."""
        return frozenset({self.channel})


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of a timeline as it was written. What `detail` holds depends on the kind."""

    number: int  # from 1, without a gap
    at: int
    kind: str
    who: str = ""  # a name
    detail: Mapping[str, Any] = field(default_factory=dict)  # each kind has its own: words are filled with it
    in_thread: bool = True

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """The event that an item of the table is."""
        return cls(
            number=item["number"],
            at=item["at"],
            kind=item["kind"],
            who=item["who"],
            detail=item["detail"],
            in_thread=item["in_thread"],
        )


@dataclass(frozen=True, slots=True)
class Pointer:
    """What the table knows of a product's share of an alert group: its incident, and when it was last resolved."""

    product: str
    incident: str = ""  # an id; empty if its resolution was faster than its firing
    open: bool = False
    opened_by: str = ""  # the execution
    resolved_received_at: int = 0  # when the gateway took the last resolution
    ended_received_at: int = 0  # and the last one that ended an incident

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """The pointer that an item of the table is."""
        return cls(
            product=item["product"],
            incident=item.get("incident", ""),
            open=item.get("open", False),
            opened_by=item.get("opened_by", ""),
            resolved_received_at=item.get("resolved_received_at", 0),
            ended_received_at=item.get("ended_received_at", 0),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline: what happened, and who did it. `key` is unique in the incident: said twice, it stays once."""

    kind: str
    key: str
    who: str = ""  # a responder's or Slack user's name
    detail: Mapping[str, object] = field(default_factory=dict)
    in_thread: bool = True  # whether Slack's thread tells it; the message itself shows the rest
    at: int = 0  # when it was done, if that is not now


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an incident, and the line in its timeline that tells it."""

    event: Event
    state: State | None = None  # None: as it was
    set: Mapping[str, object] = field(default_factory=dict)
    also: Sequence[Put] = ()  # items that are written with it


@dataclass(frozen=True, slots=True)
class Route:
    """Whom an incident concerns by the roster: see Incident."""

    policy: str
    call: bool
    channel: str
    base: str
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the other stack has of an incident that this one goes on with: its id, and its message as an item has it."""

    incident: str
    message: Mapping[str, str | int] = field(default_factory=dict)


def changed(incident: Incident, changes: Mapping[str, Any]) -> Incident:
    """An incident after its item was given these attributes; those that it does not know are left out."""
    known = {name: value for name, value in changes.items() if name in Incident.__dataclass_fields__}
    if "alerts" in known:
        known["alerts"] = tuple(KeptAlert(**alert) for alert in known["alerts"])
    if "probe" in known:
        known["probe"] = ProbeResult(**known["probe"])
    return replace(incident, **known)
