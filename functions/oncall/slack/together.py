"""Incidents that are told below another one's message, their host: a storm of them would fill the channel.

Replies in the host's thread have a line for each, with its state, what can be done and its id; a reply is updated as they
change. In the host's partition TOLD#INCIDENT#id says that an incident is told there (written when it joined the page), and
TOLD#REPLY#001 what one reply has.

Slack: 50 blocks a message, 3,000 characters a section; an overflow menu has five options, whose value has 150 characters.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from oncall import incidents
from oncall.clock import at
from oncall.incidents import Below, Incident
from oncall.pages import TOGETHER
from oncall.roster import Language
from oncall.slack import messages, mrkdwn
from oncall.slack.words import WORDS
from oncall.table import Table, Update

NAMES = 5  # that the host's message counts
LENGTHS = (100, 50, 20)  # characters of a headline: what is too large for Slack tries the next


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with the lines of some incidents, as far as Slack has it."""

    number: int  # from 1
    members: tuple[str, ...]  # ids
    is_complete: bool = True  # whether it has a line for each of them
    root: str = ""  # the message in whose thread it is; empty before it was posted
    ts: str = ""
    look: str = ""  # the hash of what is seen
    link: str = ""  # its address
    states: Mapping[str, int] = field(default_factory=dict)  # how many are in which

    @property
    def first(self) -> int:
        """The place of its first member among all."""
        return (self.number - 1) * TOGETHER + 1


@dataclass(frozen=True, slots=True)
class Replies:
    """All replies of a host, and what each incident in them is called, by its id."""

    all: tuple[Reply, ...]
    names: Mapping[str, str]

    @property
    def below(self) -> Below:
        """What the host's message says of them."""
        told = Counter(self.names[one] for reply in self.all for one in reply.members if one in self.names)
        states = sum((Counter(reply.states) for reply in self.all), Counter[str]())
        return Below(dict(states), dict(sorted(told.items(), key=lambda named: (-named[1], named[0]))[:NAMES]))

    def wanted(self, incidents: Set[str]) -> list[Reply]:
        """Those that have a line of one of some incidents, or lack one."""
        return [one for one in self.all if not (one.is_complete and incidents.isdisjoint(one.members))]

    def with_(self, *changed: Reply) -> "Replies":
        """The same after some of them have changed."""
        by_number = {reply.number: reply for reply in changed}
        return replace(self, all=tuple(by_number.get(one.number, one) for one in self.all))


def read(table: Table, host: str) -> Replies:
    """The replies as they are to be: who has joined since the last one has a place at the end."""
    names: dict[str, str] = {}
    replies: list[Reply] = []
    for item in table.query(incidents.partition(host), prefix="TOLD#"):
        _, kind, name = item["sk"].split("#", 2)
        if kind == "INCIDENT":
            names[name] = item["name"]
        else:
            known = {key: item[key] for key in ("number", "root", "ts", "look", "link", "states")}
            replies.append(Reply(members=tuple(item["members"]), **known))
    placed = {one for reply in replies for one in reply.members}
    new = [name for name in names if name not in placed]
    if replies and new:
        last = replies[-1]
        room = TOGETHER - len(last.members)
        if room:
            replies[-1] = replace(last, members=(*last.members, *new[:room]), is_complete=False)
            new = new[room:]
    for first in range(0, len(new), TOGETHER):
        members = tuple(new[first : first + TOGETHER])
        replies.append(Reply(len(replies) + 1, members, is_complete=False))
    return Replies(tuple(replies), names)


def save(table: Table, host: Incident, reply: Reply) -> None:
    """Notes what a reply has."""
    table.update(saved(host, reply))


def saved(host: Incident, reply: Reply) -> Update:
    """The write that notes it."""
    known = {"number": reply.number, "members": list(reply.members), "root": reply.root, "ts": reply.ts}
    shown = {"look": reply.look, "link": reply.link, "states": dict(reply.states)}
    key = (incidents.partition(host.id), f"TOLD#REPLY#{reply.number:03d}")
    return Update(*key, set={**known, **shown, **incidents.expiry(host)})


def states(shown: Sequence[Incident]) -> dict[str, int]:
    """How many incidents are in which state."""
    return dict(Counter(messages.state_of(one) for one in shown))


def lines(reply: Reply, shown: Sequence[Incident], language: Language) -> tuple[str, list[dict[str, Any]]]:
    """A reply's text (for notifications) and its blocks, a line for each incident."""
    words = WORDS[language]
    title = words["below_list"].format(first=reply.first, last=reply.first + len(reply.members) - 1)
    blocks: list[dict[str, Any]] = []
    for length in LENGTHS:
        heading = {"type": "context", "elements": [{"type": "mrkdwn", "text": title, "verbatim": True}]}
        blocks = [heading, *(_line(one, language, length) for one in shown)]
        if len(json.dumps(blocks)) <= messages.LARGEST:
            break
    return title, blocks


def _line(incident: Incident, language: Language, length: int) -> dict[str, Any]:
    words = WORDS[language]
    state = messages.state_of(incident)
    status = words[state].format(who=messages.escape(incident.acknowledged_by, 60))
    product = messages.escape(incident.product, 40)
    what = " | ".join(part for part in (product, status, mrkdwn.moment(at(incident.began)), incident.id) if part)
    block: dict[str, Any] = {
        "type": "section",
        "text": {
            "type": "mrkdwn",
            "text": f"{messages.sign_of(incident)} {_headline(incident, language, length)}\n{what}",
            "verbatim": True,
        },
    }
    offered = {"resolved": [], "acknowledged": [messages.RESOLVE]}.get(state, [messages.ACKNOWLEDGE, messages.RESOLVE])
    if offered:
        options = [
            {"text": {"type": "plain_text", "text": words[action]}, "value": f"{action}/{incident.id}"}
            for action in offered
        ]
        block["accessory"] = {"type": "overflow", "action_id": messages.LISTED, "options": options}
    return block


def _headline(incident: Incident, language: Language, length: int) -> str:
    """What it is, linked to its graph."""
    what = messages.escape(messages.summary_of(incident, language), length)
    alert = incident.alerts[0]
    return messages.linked(alert.graph_url or alert.generator_url, what)
