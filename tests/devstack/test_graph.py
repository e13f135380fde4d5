"""The picture of a state machine: the real one, and small ones that each show one rule."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from devstack.console import graph
from devstack.console.graph import Node, Picture

ROOT = Path(__file__).parents[2]
REAL: dict[str, Any] = json.loads((ROOT / "statemachine/on_call.asl.json").read_text())


def state_names(machine: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, state in machine["States"].items():
        found.append(name)
        for branch in state.get("Branches", []):
            found += state_names(branch)
    return found


def chain(*names: str, **more: dict[str, Any]) -> dict[str, Any]:
    """A machine whose states follow each other; `more` adds to a state."""
    states: dict[str, dict[str, Any]] = {}
    for name, following in itertools.zip_longest(names, names[1:]):
        states[name] = {"Type": "Pass", **({"Next": following} if following else {"End": True}), **more.get(name, {})}
    return {"StartAt": names[0], "States": states}


def node(picture: Picture, name: str) -> Node:
    return next(node for node in picture.nodes if node.name == name)


def overlap(one: Node, other: Node) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def holds(box: Node, inner: Node) -> bool:
    return (
        box.x <= inner.x
        and box.y <= inner.y
        and inner.x + inner.width <= box.x + box.width
        and inner.y + inner.height <= box.y + box.height
    )


def test_every_state_of_the_real_machine_has_its_place_and_none_is_on_another() -> None:
    picture = graph.layout(REAL)
    assert sorted(node.name for node in picture.nodes) == sorted(state_names(REAL))
    for one, other in itertools.combinations(picture.nodes, 2):
        if overlap(one, other):
            assert holds(one, other) or holds(other, one), f"{one.name} and {other.name}"
    for each in picture.nodes:
        assert each.x >= 0
        assert each.y >= 0
        assert each.x + each.width <= picture.width
        assert each.y + each.height <= picture.height


def test_no_line_of_the_real_machine_runs_through_a_state() -> None:
    picture = graph.layout(REAL)
    for edge in picture.edges:
        for x, y in edge.points[1:-1]:
            hit = [
                n.name for n in picture.nodes if not n.is_box and n.x < x < n.x + n.width and n.y < y < n.y + n.height
            ]
            assert not hit, f"{edge.source} to {edge.target} through {hit}"


def test_lines_begin_and_end_at_their_states() -> None:
    picture = graph.layout(REAL)
    for edge in picture.edges:
        source, target = node(picture, edge.source), node(picture, edge.target)
        (start_x, start_y), (end_x, end_y) = edge.points[0], edge.points[-1]
        assert source.x <= start_x <= source.x + source.width
        assert target.x <= end_x <= target.x + target.width
        assert start_y == pytest.approx(source.y if edge.is_back else source.y + source.height)
        assert end_y == pytest.approx(target.y + target.height if edge.is_back else target.y)


def test_a_loop_leads_back_up() -> None:
    machine = chain("First", "Wait", "Last", Wait={"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "First"}]})
    picture = graph.layout(machine)
    assert node(picture, "First").y < node(picture, "Wait").y < node(picture, "Last").y
    back = next(edge for edge in picture.edges if edge.is_back)
    assert (back.source, back.target, back.kind) == ("Wait", "First", "catch")


def test_a_state_stands_below_the_last_that_leads_to_it() -> None:
    machine = chain("A", "B", "C", "D", A={"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}]})
    picture = graph.layout(machine)
    assert node(picture, "D").y > node(picture, "C").y
    assert {(edge.source, edge.target): edge.kind for edge in picture.edges}["A", "D"] == "catch"


def test_a_parallel_state_is_a_box_around_its_branches() -> None:
    machine = chain(
        "Before", "Both", "After", Both={"Type": "Parallel", "Branches": [chain("Left"), chain("Right", "End")]}
    )
    picture = graph.layout(machine)
    box = node(picture, "Both")
    assert box.is_box
    assert all(holds(box, node(picture, name)) for name in ("Left", "Right", "End"))
    assert node(picture, "Left").x + node(picture, "Left").width <= node(picture, "Right").x
    assert picture.starts == ("Before", "Left", "Right")


def test_a_map_state_is_a_box_too() -> None:
    picture = graph.layout(chain("Each", Each={"Type": "Map", "ItemProcessor": chain("Inner")}))
    assert holds(node(picture, "Each"), node(picture, "Inner"))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("Done", ("Done",)),
        ("IsSlackAlertedBesideCall", ("IsSlackAlerted", "BesideCall")),
        ("A state with spaces", ("A state", "with spaces")),
        ("nowheretocutthislongname", ("nowheretocutthislongname",)),
    ],
)
def test_long_names_take_two_lines(name: str, lines: tuple[str, ...]) -> None:
    assert graph.label(name) == lines
