"""The roster: responders, schedules, escalation policies, products and overrides, and what follows from them alone."""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Literal

from oncall.roster.attributes import (
    Problem,
)
from oncall.roster.heartbeats import Heartbeat
from oncall.roster.sources import Source
from oncall.severities import Level

Language = Literal["ja", "en"]
Answer = Literal["key", "connected"]
StepKind = Literal["everyone", "schedule", "responder"]

PARTITION = "ROSTER"
META = "META"
DOWN = "DOWN"  # the kind of an item that says that a telephone provider is down (see oncall.providers)
NOBODY = "nobody"  # a turn that nobody has
EVERYONE = "everyone"  # the step, and the schedule that says whose turn it is
DEFAULT_POLICY = "default"
SHADOW = "shadow:"  # begins the id of a policy's twin, whose pages ring nobody; no policy of a roster can be called so
DEFAULT_TIME_ZONE = "UTC"
DEFAULT_START = date(2024, 1, 1)  # a Monday
DEFAULT_HAND_OVER = timedelta(hours=9)

AWAY_MS = 75_000  # more than a minute after the last run of the reconciler, which runs every minute


class RosterError(Exception):
    """The roster holds something that cannot be used."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Responder:
    """A person who can be rung. `phone` is E.164."""

    id: str
    name: str
    phone: str = field(repr=False)  # a repr may end in a log
    slack_user: str | None = None
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the week: from `start` to `end` local time on each of `days` (0 is Monday).

    An `end` at or before `start` is on the next day.
    """

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Layer:
    """A rotation: members take shifts of `length` in turn, the first from `start` (local time).

    With windows, it counts only within them, and with `until` (local time) only before it. No members, or the turn of
    "nobody": nobody is on call, and on purpose. With `months`, a shift is so many of them instead of `length`.
    """

    name: str
    members: tuple[str, ...]
    start: datetime
    length: timedelta
    windows: tuple[Window, ...] = ()
    until: datetime | None = None
    months: int = 0

    def shift_start(self, number: int) -> datetime:
        """The local time at which a shift begins, 0 being the first. A month that lacks the day has it on its last."""
        if not self.months:
            return self.start + number * self.length
        year, month = divmod(self.start.year * 12 + self.start.month - 1 + number * self.months, 12)
        return self.start.replace(year=year, month=month + 1, day=min(self.start.day, monthrange(year, month + 1)[1]))

    def shift_number(self, wall: datetime) -> int:
        """The number of the shift at a local time."""
        if not self.months:
            return (wall - self.start) // self.length
        number = ((wall.year - self.start.year) * 12 + wall.month - self.start.month) // self.months
        return number if self.shift_start(number) <= wall else number - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who is on call when: at each moment, the first layer that covers it says who."""

    id: str
    time_zone: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """`responder` is on call from `start` until `end` instead of whoever `schedule` (None: each schedule) says.

    Where overrides overlap, the latest created wins.
    """

    id: str
    responder: str
    schedule: str | None
    start: datetime
    end: datetime
    created_at: datetime
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A part of an escalation policy: `id` names a schedule or a responder; it is empty for everyone.

    Its responders are rung `after_minutes` at the earliest, counted from the beginning of the round.
    """

    kind: StepKind
    id: str = ""
    after_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy: whom to ring, in which order, and how long to go on."""

    id: str
    steps: tuple[Step, ...] = (Step("everyone"),)
    calls: int = 1  # per responder in a round; do-not-disturb lets a second call within three minutes through
    rounds: int = 3
    pause_seconds: int = 60  # between rounds
    ring_seconds: int | None = None  # None: the stack's setting
    quiet_seconds: int = 120  # after an acknowledgement new incidents go to the acknowledger in Slack before they ring
    answer: Answer = "key"  # what counts as taken: a key pressed, or a connected call
    ring_on_new_alerts: bool = True  # new critical alerts that join an acknowledged incident ring again
    remind_after_minutes: int | None = None  # acknowledged and not resolved for so long: remind in Slack, then ring
    repeat_page: bool = True  # start again at Alertmanager's next repeat after an unanswered page
    sms_before_call: bool = False  # a text message tells each responder why the phone is about to ring


@dataclass(frozen=True, slots=True)
class Product:
    """What an alert's `product` label names."""

    id: str
    policy: str
    slack_channel: str | None = None
    call: bool = True
    language: Language | None = None
    shadow: bool = False  # nobody is rung, texted or mentioned, and who would have been is told


@dataclass(frozen=True, slots=True)
class Roster:
    """One version of the roster. Responders are in the order of the file."""

    responders: Mapping[str, Responder]
    schedules: Mapping[str, Schedule]
    policies: Mapping[str, Policy]
    products: Mapping[str, Product]
    overrides: Mapping[str, Override] = field(default_factory=dict)
    time_zone: str = DEFAULT_TIME_ZONE
    default: str = DEFAULT_POLICY
    severities: Mapping[str, Level] = field(default_factory=dict)  # what a severity means, where it is not its word
    sources: Mapping[str, Source] = field(default_factory=dict)  # what is set of those that send alerts
    heartbeats: Mapping[str, Heartbeat] = field(default_factory=dict)
    version: int = 0
    applied_at: datetime | None = None
    down: frozenset[str] = frozenset()  # telephone providers that are down
    alive_at: int = 0  # when the reconciler of a stack with a standby last ran, epoch milliseconds; 0: not known

    def was_away(self, now: int) -> bool:
        """Whether the stack, by the last run of its reconciler, has just come back and knows little of what happened."""
        return 0 < self.alive_at < now - AWAY_MS

    def product(self, name: str) -> Product:
        """The product, or for an unknown or empty name one with the default policy."""
        return self.products.get(name) or Product(id=name, policy=self.default)

    def policy_for(self, name: str) -> Policy:
        """The escalation policy of a product; without any in the roster, everyone in turn."""
        return self.policies.get(self.product(name).policy) or self.policies.get(self.default) or Policy(self.default)

    def policy(self, policy_id: str) -> Policy:
        """The policy of a page. One that has left the roster rings everyone in turn; a twin in shadow takes its other's place."""
        if not is_shadow(policy_id):
            return self.policies.get(policy_id) or Policy(policy_id)
        return replace(self.policy(policy_id.removeprefix(SHADOW)), id=policy_id, answer="key", sms_before_call=False)

    def turn(self) -> Schedule:
        """The schedule that says with whom `everyone` begins: the one called so, or a week each from Monday 09:00."""
        start = datetime.combine(DEFAULT_START, time()) + DEFAULT_HAND_OVER
        layer = Layer("", tuple(self.responders), start, timedelta(weeks=1))
        return self.schedules.get(EVERYONE) or Schedule(EVERYONE, self.time_zone, (layer,))


def is_shadow(policy_id: str) -> bool:
    """Whether a policy is the twin of another, in shadow."""
    return policy_id.startswith(SHADOW)
