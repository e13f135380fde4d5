"""What is different about the probe's alert. In everything else it is an alert like any other, or it would prove nothing.

It has a roster of its own (product, policy, responder), which no file can change and no other alert gets to; its policy
tells its incidents, pages and calls from all others.
"""

from oncall.roster import Policy, Product, Responder, Roster, Step, read_table
from oncall.table import Table

PRODUCT = "oncall-probe"
POLICY = "oncall:probe"  # no policy of a roster can be called so

_NAME = "oncall-probe"
# Only what is due to the automatic number: it rings once, and again only if nobody resolves the incident meanwhile.
_POLICY = Policy(
    POLICY,
    steps=(Step("responder", _NAME),),
    rounds=2,
    pause_seconds=180,
    ring_seconds=25,
    quiet_seconds=0,
    repeat_page=False,
)


def is_probe(policy: str) -> bool:
    """Whether what has this policy is the probe's. Nobody has to look at it: lists and reports leave it out."""
    return policy == POLICY


def has_own_metrics(policy: str) -> bool:
    """Whether its alerts, pages and acknowledgements are left out of the stack's: a run writes metrics of its own."""
    return is_probe(policy)


def rings_a_machine(policy: str) -> bool:
    """Whether its calls go to the number that answers by itself.

    They wake nobody, so they are placed in shadow mode, too; nobody reads a text there; and when they cannot be placed, the
    run says so, and nobody else has to be told.
    """
    return is_probe(policy)


def roster_of(table: Table, policy: str, number: str) -> Roster:
    """The roster that a policy stands in, as it is now. `number` is the automatic one."""
    return roster(number) if is_probe(policy) else read_table(table)


def roster(number: str) -> Roster:
    """Whom the probe rings: the automatic number, and nobody else. Without a number nobody at all."""
    responders = {_NAME: Responder(_NAME, _NAME, number)} if number else {}
    policy = _POLICY if number else Policy(POLICY, steps=(), rounds=1)
    return Roster(
        responders=responders,
        schedules={},
        policies={POLICY: policy},
        products={PRODUCT: Product(PRODUCT, POLICY)},
        default=POLICY,
    )
