"""`oncall heartbeat list`: what was heard of whom, and since when nothing."""

import typer

from oncall.alerts import heartbeats
from oncall.clock import at
from oncall.roster.heartbeats import length_text
from oncall.table import Table
from oncall_cli.errors import aws_errors
from oncall_cli.output import print_json, print_table
from oncall_cli.schedule_commands import read_roster
from oncall_cli.target import Target
from oncall_cli.when import shown


def show(target: Target, *, as_json: bool) -> None:
    """Lists the roster's heartbeats with their last words."""
    moment = target.clock()()
    known = read_roster(target).heartbeats
    with aws_errors(target.name):
        items = {str(item["sk"]): item for item in Table(target.dynamodb, target.table).query(heartbeats.PARTITION)}
    found = []
    for name, heartbeat in known.items():
        item = items.get(name, {})
        heard = {word: at(time) for word, time in heartbeats.last_words(item).items()}
        found.append((heartbeat, heartbeats.state_of(heartbeat, item, moment), heard))
    if as_json:
        print_json(
            [
                {
                    "id": heartbeat.id,
                    "state": state,
                    "every": heartbeat.every,
                    "grace": heartbeat.grace,
                    "product": heartbeat.product or None,
                    "severity": heartbeat.severity,
                    **{f"last_{word}": heard.get(word) for word in heartbeats.WORDS},
                }
                for heartbeat, state, heard in found
            ]
        )
    elif found:
        rows = [
            (
                heartbeat.id,
                state,
                shown(heard["beat"]) if "beat" in heard else "never",
                f"{length_text(heartbeat.every)} + {length_text(heartbeat.grace)}",
                heartbeat.product,
            )
            for heartbeat, state, heard in found
        ]
        print_table(["heartbeat", "state", "last beat", "every + grace", "product"], rows)
    else:
        typer.echo("no heartbeats: write them into the roster, under heartbeats")
