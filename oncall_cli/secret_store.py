"""The secrets of a stack, in SSM."""

from dataclasses import dataclass
from typing import Any

from oncall_cli.errors import aws_errors
from oncall_cli.providers import SLACK, TELNYX, TWILIO, SlackApp, TelnyxAccount, TwilioAccount
from oncall_cli.target import Stack

# The stack's parameter that names the SSM parameter, its default, and what the secret is.
SECRETS = {
    "BearerTokenParameter": ("/oncall/bearer-token", "bearer token of Alertmanager's alerts"),
    "HeartbeatTokenParameter": ("/oncall/heartbeat-token", "bearer token of Alertmanager's heartbeats"),
    "TwilioAccountSidParameter": ("/oncall/twilio-account-sid", "Twilio's account SID (AC...)"),
    "TwilioAuthTokenParameter": ("/oncall/twilio-auth-token", "Twilio's auth token"),
    "SlackBotTokenParameter": ("/oncall/slack-bot-token", "Slack app's bot token (xoxb-...)"),
    "SlackSigningSecretParameter": ("/oncall/slack-signing-secret", "Slack app's signing secret"),
}
# Those of the second telephone provider, if there is to be one.
TELNYX_SECRETS = {
    "TelnyxApiKeyParameter": ("/oncall/telnyx-api-key", "Telnyx's API key (KEY...)"),
    "TelnyxPublicKeyParameter": ("/oncall/telnyx-public-key", "Telnyx's public key, with which it signs webhooks"),
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that SSM has, by the stack's parameter that names them; the rest are missing."""

    names: dict[str, str]
    values: dict[str, str]
    twilio_url: str
    slack_url: str
    telnyx_account: str = ""
    telnyx_url: str = TELNYX

    @property
    def twilio(self) -> TwilioAccount:
        """The account. Only if both its secrets are there."""
        values = self.values
        return TwilioAccount(
            values["TwilioAccountSidParameter"], values["TwilioAuthTokenParameter"].split()[0], self.twilio_url
        )

    @property
    def telnyx(self) -> TelnyxAccount:
        """The account at Telnyx. Only if its key is there."""
        return TelnyxAccount(self.values["TelnyxApiKeyParameter"], self.telnyx_account, self.telnyx_url)

    @property
    def slack(self) -> SlackApp:
        """The app. Only if its token is there."""
        return SlackApp(self.values["SlackBotTokenParameter"], self.slack_url)


def read(ssm: Any, where: str, stack: Stack | None, *, telnyx: bool = False) -> Secrets:
    """The secrets of a stack, or of one that is yet to be deployed with the default names.

    Telnyx's are among them if they are asked for, or the stack calls through it.
    """
    parameters = stack.parameters if stack else {}
    wanted = SECRETS | (TELNYX_SECRETS if telnyx or parameters.get("TelnyxApplicationId") else {})
    names = {parameter: parameters.get(parameter) or default for parameter, (default, _) in wanted.items()}
    with aws_errors(where):
        found = ssm.get_parameters(Names=sorted(set(names.values())), WithDecryption=True)["Parameters"]
    stored = {one["Name"]: one["Value"].strip() for one in found}
    return Secrets(
        names=names,
        values={parameter: stored[name] for parameter, name in names.items() if stored.get(name)},
        twilio_url=parameters.get("TwilioApiUrl") or TWILIO,
        slack_url=parameters.get("SlackApiUrl") or SLACK,
        telnyx_account=parameters.get("TelnyxAccountSid", ""),
        telnyx_url=parameters.get("TelnyxApiUrl") or TELNYX,
    )
