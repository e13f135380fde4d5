"""The functions' settings: read once from the environment."""

import os
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from oncall.roster import Language

Mode = Literal["live", "shadow"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment that template.yaml gives the functions; each function has only what it needs."""

    stack: str = ""  # its name
    table: str = ""
    fallback_topic: str = ""
    state_machine: str = ""
    slack_notification_function: str = ""
    slack_channel: str = ""
    slack_user_group: str = ""
    phone_call_function: str = ""
    caller_number: str = ""
    text_sender: str = ""
    ring_seconds: int = 25
    language: Language = "ja"
    twilio_api_url: str = ""
    telnyx_account: str = ""
    telnyx_application: str = ""  # without it there is no second provider
    telnyx_caller_number: str = ""
    telnyx_api_url: str = ""
    no_ring_seconds: int = 15  # how long a call may be without ringing before the other provider is asked
    slack_api_url: str = ""
    public_url: str = ""
    gateway_url: str = ""
    probe_number: str = ""
    probe_schedule: str = ""
    heartbeat_alarm: str = ""
    kept_warm: tuple[str, ...] = ()  # functions
    mode: Mode = "live"
    shadow_channel: str = ""
    shadow_ring_seconds: int = 0  # how long a supposed call rings; 0: as long as a phone would
    peer_url: str = ""  # the other stack's gateway: a primary's standby, a standby's primary
    takeover_seconds: int = 0  # how long a standby waits; 0 for a primary
    slack_workspace: str = ""  # its id and the app's; see people.Pinned
    members_may_all: bool = False
    guests_may_acknowledge: bool = False


@cache
def read_settings() -> Settings:
    """The settings of this function."""
    env = os.environ.get
    return Settings(
        stack=env("POWERTOOLS_SERVICE_NAME", ""),
        table=env("TABLE_NAME", ""),
        fallback_topic=env("FALLBACK_TOPIC_ARN", ""),
        state_machine=env("STATE_MACHINE_ARN", ""),
        slack_notification_function=env("SLACK_NOTIFICATION_FUNCTION", ""),
        slack_channel=env("SLACK_CHANNEL", ""),
        slack_user_group=env("SLACK_USER_GROUP", ""),
        phone_call_function=env("PHONE_CALL_FUNCTION", ""),
        caller_number=env("CALLER_NUMBER", ""),
        text_sender=env("TEXT_SENDER", ""),
        ring_seconds=int(env("RING_SECONDS", "25")),
        language=cast("Language", env("LANGUAGE", "ja")),
        twilio_api_url=env("TWILIO_API_URL", ""),
        telnyx_account=env("TELNYX_ACCOUNT", ""),
        telnyx_application=env("TELNYX_APPLICATION", ""),
        telnyx_caller_number=env("TELNYX_CALLER_NUMBER", ""),
        telnyx_api_url=env("TELNYX_API_URL", ""),
        no_ring_seconds=int(env("NO_RING_SECONDS", "15")),
        slack_api_url=env("SLACK_API_URL", ""),
        public_url=env("PUBLIC_URL", ""),
        gateway_url=env("GATEWAY_URL", ""),
        probe_number=env("PROBE_NUMBER", ""),
        probe_schedule=env("PROBE_SCHEDULE", ""),
        heartbeat_alarm=env("HEARTBEAT_ALARM", ""),
        kept_warm=tuple(env("KEPT_WARM", "").split()),
        mode=cast("Mode", env("MODE", "live")),
        shadow_channel=env("SHADOW_CHANNEL", ""),
        shadow_ring_seconds=int(env("SHADOW_RING_SECONDS", "0")),
        peer_url=env("PEER_URL", ""),
        takeover_seconds=int(env("TAKEOVER_SECONDS", "0")),
        slack_workspace=env("SLACK_WORKSPACE", ""),
        members_may_all=env("SLACK_MEMBERS_MAY") == "everything",
        guests_may_acknowledge=env("SLACK_GUESTS_MAY") == "acknowledge",
    )
