"""The fallback topic: a channel that shares no fault with phones and Slack tells of our own faults."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oncall.text import seen

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


@dataclass(frozen=True, slots=True)
class Fallback:
    """The SNS topic."""

    client: "SNSClient"
    topic: str

    def tell(self, subject: str, message: str) -> None:
        """Publishes a message for a person; what others wrote in it is no link (text.unlinked).

        SNS: a subject has at most 100 printable ASCII characters.
        """
        plain = "".join(c if " " <= c <= "~" else "?" for c in f"On-call: {subject}")
        self.client.publish(TopicArn=self.topic, Subject=plain[:100], Message=seen(message)[:60_000])
