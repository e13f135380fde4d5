"""`oncall simulate`: a page as it would run, decided by the same functions as in production."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta

from oncall.pages import Call, GiveUp, Pause, next_step, ring_seconds
from oncall.roster import Policy, Responder, Roster
from oncall.roster.schedules import responders_on_call

ANSWER_SECONDS = 10  # until someone who is not silent has answered and pressed 1


@dataclass(frozen=True, slots=True)
class Event:
    """What happens at a moment: a call with its end, or (no responder) the end of the page."""

    at: datetime
    second: int
    what: str
    responder: Responder | None = None
    reason: str = ""
    round: int = 0


def simulate(roster: Roster, policy: Policy, at: datetime, *, silent: Container[str], ring_default: int) -> list[Event]:
    """The calls of a page that begins at a moment. Silent responders let it ring; the first other one takes it."""
    events: list[Event] = []
    calls: list[Call] = []
    now = at
    ring = ring_seconds(policy, ring_default)
    while True:
        second = round((now - at).total_seconds())
        on_call = responders_on_call(roster, policy, now)
        step = next_step(
            calls,
            [o.responder for o in on_call],
            policy,
            now=_milliseconds(now),
            ring_at=_milliseconds(at),
            delays={o.responder.id: o.after_minutes for o in on_call},
        )
        if isinstance(step, GiveUp):
            return [*events, Event(now, second, f"unanswered: {step.reason}")]
        if isinstance(step, Pause):
            events.append(Event(now, second, f"waits {step.seconds} s: {step.reason}"))
            now += timedelta(seconds=step.seconds)
            continue
        answers = step.responder.id not in silent
        reason = next(o.reason for o in on_call if o.responder == step.responder)
        what = "answers and presses 1" if answers else f"does not answer for {ring} s"
        events.append(Event(now, second, what, step.responder, reason, step.round))
        started = _milliseconds(now)
        now += timedelta(seconds=ANSWER_SECONDS if answers else ring)
        if answers:
            return [*events, Event(now, second + ANSWER_SECONDS, f"acknowledged by {step.responder.id}")]
        calls.append(
            Call(
                number=len(calls) + 1,
                responder=step.responder.id,
                name=step.responder.name,
                phone=step.responder.phone,
                round=step.round,
                status="no-answer",
                started_at=started,
                ended_at=_milliseconds(now),
            )
        )


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
