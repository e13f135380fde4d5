"""Who somebody in Slack is: by their id alone, since names anybody may choose; and whether a request is of our workspace.

What Slack says of somebody is kept in the table for a while: a button has three seconds.
"""

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oncall import authorization
from oncall.authorization import Action, Kind, Parameters, Standing
from oncall.incidents import Incident, Listed
from oncall.roster import Language, Policy, Responder, Roster
from oncall.slack.messages import escape
from oncall.slack.mrkdwn import code
from oncall.table import Table, Update
from oncall.text import seen

PARTITION = "SLACK#PEOPLE"
KNOWN_MS = 300_000  # so long what Slack said counts
UNSURE_MS = 60_000  # the same if Slack could not say it
FRESH_MS = 10_000  # whoever has just joined a channel waits for no more than this
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
        "channel": "You are not in the channel of this incident, so nothing was changed. Ask one of these: {names}.",
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
        "channel": "このインシデントのチャンネルに参加していないため、何も変更していません。次の人に頼んでください：{names}",
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
class Person:
    """What Slack says of a user. `channels` are those that they share with the app: ids, and names after #; None: not known."""

    kind: Kind
    channels: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How it is decided who may do what.

    `person` is what Slack says of a user, asked anew if they seem not to be in a channel (its id, or empty); None: nothing yet.
    """

    person: Callable[[str, str], Person | None]
    parameters: Parameters = field(default_factory=Parameters)
    refused: Callable[[Action], None] = lambda _: None  # counts it


@dataclass
class Reader:
    """Somebody in Slack who looks at incidents, or acts on one, at a moment. The roster's word counts before Slack's."""

    user: str  # Slack's id
    known: Roster
    access: Access
    now: datetime
    responder: Responder | None = field(init=False)
    _person: Person | None = field(init=False, default=None)
    _is_asked: bool = field(init=False, default=False)
    _is_sure: bool = field(init=False, default=False)  # asked with a channel that they seemed not to be in

    def __post_init__(self) -> None:
        """Finds them in the roster."""
        self.responder = by_slack_user(self.known, self.user)

    def person(self, channels: Set[str] = frozenset()) -> Person | None:
        """What Slack says of them; of a channel (by any of its names) that they seem not to be in it is asked again, once."""
        is_missing = bool(channels and self._person and not channels & (self._person.channels or set()))
        if not self._is_asked or (is_missing and not self._is_sure):
            self._person = self.access.person(self.user, max(channels, default=""))
            self._is_asked, self._is_sure = True, bool(channels)
        return self._person

    def concerned(self, incident: Incident | Listed) -> tuple[Responder, ...]:
        """The people of an incident's policy."""
        return authorization.people(self.known, self.policy(incident), self.now)

    def policy(self, incident: Incident | Listed) -> Policy:
        """An incident's policy; the one that would ring today if it is gone."""
        return self.known.policies.get(incident.policy) or self.known.policy_for(incident.product)

    def stands(self, concerned: Collection[Responder]) -> Standing | None:
        """How they stand to a policy whose people are `concerned`; None if Slack has not said yet who they are."""
        if self.responder:
            return authorization.standing(self.responder, "member", concerned)
        person = self.person()
        return authorization.standing(None, person.kind, concerned) if person else None

    def may(self, action: Action, concerned: Collection[Responder]) -> bool:
        """Whether they may do something to what the `concerned` are rung for."""
        stands = self.stands(concerned)
        return stands is not None and authorization.may(action, stands, self.access.parameters)

    def sees(self, incident: Incident | Listed) -> bool:
        """Whether they may read an incident: it is of a policy that the roster has them in, or they are in its channel."""
        concerned = self.concerned(incident)
        if self.responder in concerned:
            return True
        person = self.person(incident.channels)
        theirs = (person and person.channels) or frozenset()
        return self.may("look", concerned) and bool(incident.channels & theirs)

    @property
    def is_unsure(self) -> bool:
        """Whether it was of matter which channels they are in, and Slack did not say."""
        return self._is_asked and (self._person is None or self._person.channels is None)

    def acts_from(self, incident: Incident | Listed, channel: str) -> bool:
        """Whether they act on an incident where they may read it. `channel`: of the message that was used; empty: another place.

        A channel in which Slack has shown them the message counts as theirs if Slack does not say more.
        """
        if self.responder in self.concerned(incident):
            return True
        if channel and channel not in incident.channels:
            return False
        person = self.person(incident.channels)
        if person is None or person.channels is None:
            return bool(channel)
        return bool(incident.channels & person.channels)


def by_slack_user(known: Roster, user: str) -> Responder | None:
    """Whom the roster knows by a Slack user's id."""
    return next((one for one in known.responders.values() if user and one.slack_user == user), None)


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


def person_of(table: Table, user: str, ask: Callable[[str], None], *, now: int, channel: str = "") -> Person | None:
    """What Slack says of a user; `ask` has it looked up and kept. None if there is no answer in time.

    If they seem not to be in `channel`, it is looked up again: they may have joined it a moment ago.
    """
    kept = table.get(PARTITION, user)
    is_old = kept is None or kept["until"] <= now
    if kept and channel and kept.get("channels") is not None and channel not in kept["channels"]:
        is_old = is_old or kept["kept_at"] + FRESH_MS <= now
    if is_old:
        ask(user)
        kept = table.get(PARTITION, user) or kept
    if kept is None:
        return None
    channels = kept.get("channels")
    return Person(kept["kind"], None if channels is None else frozenset(channels))


def keep(table: Table, user: str, person: Person, *, is_sure: bool, now: int) -> None:
    """Keeps what Slack says of a user."""
    until = now + (KNOWN_MS if is_sure else UNSURE_MS)
    channels = None if person.channels is None else sorted(person.channels)
    kept = {"kind": person.kind, "channels": channels, "kept_at": now, "until": until}
    table.update(Update(PARTITION, user, set={**kept, "expires_at": (now + KEPT_MS) // 1000}))


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
