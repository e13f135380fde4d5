"""What a written severity means here: phones (critical), Slack alone (warning), or nothing (none).

The roster's `severities` decides first. Without it a word counts as what it says; whatever is not known to be less is
critical, because it is better to be woken than not. The words are those of people's rules and tools: Prometheus' mixins
(critical, warning), PagerDuty's events (critical, error, warning), syslog, and priorities (P1, S1) as GitLab reads them.
Words that mean "no page" elsewhere (info, none, P4 ...) ring too, until the roster says otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["critical", "warning", "none"]

LEVELS: tuple[Level, ...] = ("critical", "warning", "none")  # the loudest first
_KNOWN: Mapping[str, Level] = {
    **dict.fromkeys(("critical", "crit", "page", "error", "err", "fatal", "emergency", "emerg", "alert"), "critical"),
    **dict.fromkeys(("high", "major", "p1", "p2", "s1", "s2"), "critical"),
    **dict.fromkeys(("warning", "warn"), "warning"),
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What severities mean together. `why`, where nothing plain is written: `missing`, `unseen`, or `odd WORD`."""

    level: Level
    why: str = ""


def normal(written: str) -> str:
    """A severity in the form in which it is compared: ` Critical ` is critical."""
    return written.strip().casefold()


def meaning(written: str, roster: Mapping[str, Level]) -> Meaning:
    """What one severity means. `roster` is the roster's `severities`, its keys in normal form."""
    word = normal(written)
    if not word:
        return Meaning("critical", "missing")
    if level := roster.get(word) or _KNOWN.get(word):
        return Meaning(level)
    return Meaning("critical", f"odd {written.strip()[:50]}")


def loudest(written: Iterable[str], roster: Mapping[str, Level], *, unseen: bool = False) -> Meaning:
    """What several alerts' severities mean together: the loudest of them, plainly written rather than not.

    `unseen`: there are more alerts, whose severities are not known.
    """
    found = {meaning(one, roster) for one in written}
    if unseen:
        found.add(Meaning("critical", "unseen"))
    order = ("", "missing", "odd", "unseen")
    return min(
        found,
        key=lambda m: (LEVELS.index(m.level), order.index(m.why.partition(" ")[0]), m.why),
        default=Meaning("none"),
    )
