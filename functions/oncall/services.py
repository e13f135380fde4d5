"""What the domain works with beside its arguments: settings, the table, AWS, the clock, a telephone, Slack.

Each is made when it is first needed, so that a function loads and may do only what its own code reaches. Twilio's and
Slack's libraries are given by the functions that page and post; nobody else loads them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from aws_lambda_powertools import Metrics
from botocore.config import Config

from oncall import aws, clock, signals
from oncall.fallback import Fallback
from oncall.settings import Settings, read_settings
from oncall.signals import Answer
from oncall.table import Table

if TYPE_CHECKING:
    from slack_sdk import WebClient

    from oncall.phone.provider import Provider
    from oncall.phone.twilio import Telephone
    from oncall.wire import Peer


_metrics = Metrics()  # the one that the handlers write out

Unit = Literal["Count", "Seconds"]


def _measure_nothing(metric: str, unit: Unit, value: float) -> None:
    """Outside of functions (the command) nothing is measured: CloudWatch reads metrics from their logs."""


def _measure(metric: str, unit: Unit, value: float) -> None:
    """Adds a point to those that the function writes when it ends, in CloudWatch's embedded metric format."""
    _metrics.add_metric(name=metric, unit=unit, value=value)


def _no_telephone() -> "Telephone":
    raise NotImplementedError("this function rings nobody")


def _no_secret() -> str:
    raise NotImplementedError("this function places no calls")


def _no_slack() -> "WebClient":
    raise NotImplementedError("this function does not post: it asks SlackNotification")


def _alone() -> "Peer | None":
    """A function that speaks to no other stack, or a stack that has none."""
    return None


@dataclass(frozen=True)
class Services:
    """`client` makes AWS's clients by their service's name; `now` is in epoch milliseconds, `sleep` takes seconds."""

    settings: Settings
    client: Callable[[str], Any]  # boto3 has a type for each service, and no common one
    now: Callable[[], int] = clock.now
    sleep: Callable[[float], None] = time.sleep
    fetch: Callable[[str], bytes] = aws.fetch  # what is at an address of AWS's that takes no signature
    telephone: Callable[[], "Telephone"] = _no_telephone
    callback_secret: Callable[[], str] = _no_secret  # what the addresses of a call's callbacks are sealed with
    second: Callable[[], "Provider"] | None = (
        None  # the provider beside it, if there is one; asked for when it is needed
    )
    slack: Callable[[], "WebClient"] = _no_slack
    peer: Callable[[], "Peer | None"] = _alone
    measure: Callable[[str, Unit, float], None] = _measure_nothing  # a point of a metric of ours

    @cached_property
    def table(self) -> Table:
        """The on-call table."""
        return Table(self.client("dynamodb"), self.settings.table, self.sleep)

    @cached_property
    def fallback(self) -> Fallback:
        """The channel that tells of our own faults."""
        return Fallback(self.client("sns"), self.settings.fallback_topic)

    def release(self, token: str, answer: Answer) -> None:
        """Releases the waiting PhoneCall step, if it still waits."""
        signals.release(self.client("stepfunctions"), token, answer)

    def start(self, name: str, given: Mapping[str, object]) -> None:
        """Starts an execution with an input. One that was started already under this name is left alone."""
        signals.start(self.client("stepfunctions"), self.settings.state_machine, name, given)

    def show_in_slack(self, incidents: Iterable[str]) -> None:
        """Has Slack brought up to date beside us. If this cannot be asked for, the reconciler does it later."""
        signals.slack_later(self.client("lambda"), self.settings.slack_notification_function, incidents)

    def ask_slack(self, wish: Mapping[str, object]) -> None:
        """Asks SlackNotification for something beside us (its handler says what there is). Raises what botocore raises."""
        signals.ask_slack(self.client("lambda"), self.settings.slack_notification_function, wish)

    def text(self, policy: str, page: str, call: int) -> None:
        """Has whoever took a page in a call texted, where texts are sent. If it cannot be asked for, there is no text."""
        if self.settings.text_sender:
            wish = {"text": {"policy": policy, "page": page, "call": call}}
            signals.phone_later(self.client("lambda"), self.settings.phone_call_function, wish)

    def check(self, provider: str) -> None:
        """Has a telephone provider that is down asked whether it answers. If that cannot be asked for, it is a minute later."""
        signals.phone_later(self.client("lambda"), self.settings.phone_call_function, {"check": provider})

    def hang_up(self, provider: str, sid: str) -> None:
        """Has a call ended that begins to ring when its page is over. If it cannot be asked for, the key says who has it."""
        wish = {"hang_up": {"provider": provider, "sid": sid}}
        signals.phone_later(self.client("lambda"), self.settings.phone_call_function, wish)


def for_function(
    config: Config = aws.PATIENCE,
    *,
    telephone: Callable[[], "Telephone"] = _no_telephone,
    callback_secret: Callable[[], str] = _no_secret,
    second: "Callable[[], Provider] | None" = None,
    slack: Callable[[], "WebClient"] = _no_slack,
    peer: Callable[[], "Peer | None"] = _alone,
) -> Services:
    """The services of the function that runs; `config` says how long AWS is waited for."""
    return Services(
        read_settings(),
        lambda service: aws.client(service, config),
        clock.now,
        telephone=telephone,
        second=second,
        callback_secret=callback_secret,
        slack=slack,
        peer=peer,
        measure=_measure,
        fetch=aws.fetch,
    )
