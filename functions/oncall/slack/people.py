"""Who somebody in Slack is: by their id alone, since names anybody may choose; and whether a request is of our workspace.

What Slack says of whom the roster does not know is kept in the table for a while: a button has three seconds.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from oncall.authorization import Action, Kind, Parameters
from oncall.roster import Language, Responder
from oncall.slack.messages import escape
from oncall.slack.mrkdwn import code
from oncall.table import Table, Update
from oncall.text import seen

PARTITION = "SLACK#PEOPLE"
KNOWN_MS = 3_600_000  # so long what Slack said counts
UNSURE_MS = 60_000  # the same if Slack could not say it
KEPT_MS = 86_400_000
SHOWN_NAMES = 5

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "policy": "Only people of the escalation policy {policy} may do that: {names}. {instead}",
        "schedule": "Only people of a policy that rings by {schedule} may take its shifts: {names}. Ask one of them.",
        "page": "Only people in the roster may page: {names}. Ask one of them. {add}",
        "guest": "Guests of this workspace can change nothing here. Ask one of these: {names}.",
        "outsider": "You belong to another organisation, so you can change nothing here. Ask one of these: {names}.",
        "app": "This does not come from the app of this workspace, so nothing was changed.",
        "again": "Slack has not said yet who you are, so nothing was changed. Once more, please.",
        "acknowledge": "You can acknowledge it: then you have it and the phones stop. Or ask one of them.",
        "ask": "Ask one of them.",
        "add": "To be one: `slack_user: {user}` in roster.yaml.",
        "limit": "You have paged {count} times within a minute, so nobody was rung this time. Who was paged before is called.",
        "stranger": "{name} ({user}, not in the roster)",
        "nobody": "nobody is in it yet",
        "more": " and {count} more",
    },
    "ja": {
        "policy": "この操作ができるのは、エスカレーションポリシー {policy} の担当者だけです：{names}。{instead}",
        "schedule": "{schedule} の当番を代われるのは、これで電話するポリシーの担当者だけです：{names}。担当者に頼んでください。",
        "page": "電話で呼び出せるのは、名簿にある人だけです：{names}。その人に頼んでください。{add}",
        "guest": "ゲストはここでは何も変更できません。次の人に頼んでください：{names}",
        "outsider": "ほかの組織の方は、ここでは何も変更できません。次の人に頼んでください：{names}",
        "app": "このワークスペースのアプリからの操作ではないため、何も変更していません。",
        "again": "Slackからあなたの情報がまだ届いていないため、何も変更していません。もう一度お願いします。",
        "acknowledge": "「対応する」は押せます。押すとあなたの担当になり、電話が止まります。または担当者に頼んでください。",
        "ask": "担当者に頼んでください。",
        "add": "名簿に載せるには、roster.yamlに `slack_user: {user}` と書きます。",
        "limit": "1分間に{count}回呼び出したため、今回は誰にも電話していません。先に呼び出した人には電話しています。",
        "stranger": "{name}（{user}、名簿外）",
        "nobody": "まだ誰もいません",
        "more": " ほか{count}人",
    },
}


@dataclass(frozen=True, slots=True)
class Access:
    """How it is decided who may do what. `kind` is what Slack says of a user whom the roster does not know; None: nothing yet."""

    kind: Callable[[str], Kind | None]
    parameters: Parameters = field(default_factory=Parameters)
    refused: Callable[[Action], None] = lambda _: None  # counts it


@dataclass(frozen=True, slots=True)
class Pinned:
    """The workspace and the app that requests have to come from; nothing is pinned by an empty one."""

    teams: frozenset[str] = frozenset()  # the workspace (T...), and its organisation (E...) if it has one
    app: str = ""

    def strange(self, payload: Mapping[str, Any]) -> str:
        """Why a request is not ours: "app", "outsider"; empty if it is. What Slack leaves out is not held against anybody.

        Slack: `user.team_id` is the user's own workspace, or its organisation (E...); a command has none, but only users of
        the workspace can type one.
        """
        if self.app and payload.get("api_app_id", self.app) != self.app:
            return "app"
        named = {_id(payload, "team_id"), _id(payload.get("team"), "id"), _id(payload.get("user"), "team_id")} - {""}
        return "outsider" if self.teams and not named <= self.teams else ""


def read_pinned(written: str) -> Pinned:
    """What the parameter SlackWorkspace has: `T0123456789 A0123456789`, and E... if the workspace is of an organisation."""
    ids = written.split()
    return Pinned(
        teams=frozenset(one for one in ids if one[:1] in ("T", "E")),
        app=next((one for one in ids if one.startswith("A")), ""),
    )


def _id(part: object, name: str) -> str:
    return str(part.get(name) or "") if isinstance(part, Mapping) else ""


def kind_of(table: Table, user: str, ask: Callable[[str], None], *, now: int) -> Kind | None:
    """What Slack says of a user; `ask` has it looked up and kept. None if there is no answer in time."""
    kept = table.get(PARTITION, user)
    if kept is None or kept["until"] <= now:
        ask(user)
        kept = table.get(PARTITION, user) or kept
    return kept["kind"] if kept else None


def keep(table: Table, user: str, kind: Kind, *, is_sure: bool, now: int) -> None:
    """Keeps what Slack says of a user."""
    until = now + (KNOWN_MS if is_sure else UNSURE_MS)
    kept = {"kind": kind, "until": until, "expires_at": (now + KEPT_MS) // 1000}
    table.update(Update(PARTITION, user, set=kept))


def stranger(language: Language, name: str, user: str) -> str:
    """How somebody is named whom the roster does not know: a name that they may have chosen is never taken for another's."""
    return _WORDS[language]["stranger"].format(name=" ".join(seen(name).split())[:60] or user, user=user)


def words(language: Language, key: str, concerned: Collection[Responder] = (), /, **values: object) -> str:
    """Why somebody may not do something, who may, and what to do instead (mrkdwn)."""
    told = _WORDS[language]
    names = [escape(one.name, 60) for one in concerned]
    more = told["more"].format(count=len(names) - SHOWN_NAMES) if len(names) > SHOWN_NAMES else ""
    listed = (", " if language == "en" else "、").join(names[:SHOWN_NAMES]) + more
    return told[key].format(
        names=listed or told["nobody"],
        instead=told[str(values.pop("instead", "ask"))],
        add=told["add"].format(user=code(str(values.pop("user", "")))),
        **values,
    )
