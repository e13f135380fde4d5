"""Where the states of a state machine stand in its picture, computed from its definition (Amazon States Language).

Layers from top to bottom: each state stands below all that lead to it, loops apart; a Parallel or Map state is a box
around its branches. Lengths are in pixels of a picture at its natural size.
"""

import itertools
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

_LETTER, _LINE = 6.7, 14.0  # of the labels, 12 px high
_ACROSS, _DOWN = 18.0, 28.0  # between two states
_BESIDE = 10.0  # between a line and what it passes
_PADDING, _TITLE = 14.0, 30.0  # of a box
_SWEEPS = 24

Point = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """A state: `x` and `y` are its upper left corner. A box has `inside` what stands in it."""

    name: str
    type: str
    comment: str
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    is_box: bool = False


@dataclass(frozen=True)
class Edge:
    """A transition. `kind` is "next", "choice", "default" or "catch"; back: it leads up again."""

    source: str
    target: str
    kind: str
    points: tuple[Point, ...]
    is_back: bool = False


@dataclass(frozen=True)
class Picture:
    """States and transitions within `width` x `height`."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    starts: tuple[str, ...]  # where the machine and each branch begin

    def moved(self, x: float, y: float) -> "Picture":
        """The same, further to the right and down."""
        return replace(
            self,
            nodes=tuple(replace(node, x=node.x + x, y=node.y + y) for node in self.nodes),
            edges=tuple(replace(edge, points=tuple((px + x, py + y) for px, py in edge.points)) for edge in self.edges),
        )


def layout(definition: Mapping[str, Any]) -> Picture:
    """The picture of a state machine."""
    return _machine(definition)


def transitions(state: Mapping[str, Any]) -> dict[str, str]:
    """Where a state leads, and by which kind of transition (the first that does)."""
    found: dict[str, str] = {}
    if "Next" in state:
        found.setdefault(state["Next"], "next")
    for choice in state.get("Choices", []):
        found.setdefault(choice["Next"], "choice")
    if "Default" in state:
        found.setdefault(state["Default"], "default")
    for catch in state.get("Catch", []):
        found.setdefault(catch["Next"], "catch")
    return found


def label(name: str) -> tuple[str, ...]:
    """A state's name in one line, or in two if it is long; CamelCase is cut between words."""
    if len(name) <= 14:
        return (name,)
    cuts = [match.start() for match in re.finditer(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[ _-])", name)]
    if not cuts:
        return (name,)
    cut = min(cuts, key=lambda at: abs(at - len(name) / 2))
    return (name[:cut].rstrip(), name[cut:])


@dataclass
class _Place:
    """A state, or a bend of a line that passes its layer, while its place is sought; x is the middle."""

    width: float
    height: float
    is_bend: bool = False
    x: float = 0.0
    above: "list[_Place]" = field(default_factory=list)
    below: "list[_Place]" = field(default_factory=list)


def _machine(machine: Mapping[str, Any]) -> Picture:
    states: Mapping[str, Mapping[str, Any]] = machine["States"]
    boxes = {name: _box(state) for name, state in states.items() if _branches(state)}
    sizes = {name: _size(name, boxes.get(name)) for name in states}
    forward, back, order = _directions(machine["StartAt"], states)
    down = [*forward, *((target, source) for source, target in back)]  # what leads back is drawn from its end
    ranks = _ranks(order, down, boxes.keys())
    places = {name: _Place(*sizes[name]) for name in order}
    layers: list[list[_Place]] = [[] for _ in range(max(ranks.values()) + 1)]
    for name in order:
        layers[ranks[name]].append(places[name])
    bends = {(source, target): _join(places, layers, ranks, source, target) for source, target in down}
    _arrange(layers)
    tops = _stack(layers)
    everything = [place for layer in layers for place in layer]
    left = min(place.x - place.width / 2 for place in everything)
    for place in everything:
        place.x -= left

    def top(name: str) -> float:
        rank = ranks[name]
        return tops[rank] + (_height(layers[rank]) - places[name].height) / 2

    def line(upper: str, lower: str, aside: float) -> tuple[Point, ...]:
        points = [(places[upper].x + aside * places[upper].width, top(upper) + places[upper].height)]
        for rank, bend in zip(range(ranks[upper] + 1, ranks[lower]), bends[upper, lower], strict=True):
            points += [(bend.x, tops[rank]), (bend.x, tops[rank] + _height(layers[rank]))]
        return (*points, (places[lower].x + aside * places[lower].width, top(lower)))

    nodes: list[Node] = []
    edges = [Edge(*ends, kind, line(*ends, 0)) for ends, kind in forward.items()]
    edges += [
        Edge(source, target, kind, line(target, source, 0.3)[::-1], is_back=True)
        for (source, target), kind in back.items()
    ]
    starts = [machine["StartAt"]]
    for name in order:
        x, y = max(0.0, places[name].x - places[name].width / 2), top(name)
        state = states[name]
        box = boxes.get(name)
        lines = (name,) if box else label(name)
        nodes.append(Node(name, state["Type"], state.get("Comment", ""), lines, x, y, *sizes[name], is_box=bool(box)))
        if box:
            inner = box.moved(x + (sizes[name][0] - box.width) / 2, y + _TITLE)
            nodes += inner.nodes
            edges += inner.edges
            starts += inner.starts
    width = max(place.x + place.width / 2 for place in everything)
    return Picture(width, tops[-1] + _height(layers[-1]), tuple(nodes), tuple(edges), tuple(starts))


def _branches(state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if state["Type"] == "Map":
        return [state.get("ItemProcessor") or state["Iterator"]]
    branches: Sequence[Mapping[str, Any]] = state.get("Branches", ())
    return branches


def _box(state: Mapping[str, Any]) -> Picture:
    """The branches side by side."""
    pictures = [_machine(branch) for branch in _branches(state)]
    height = max(picture.height for picture in pictures)
    x, moved = 0.0, []
    for picture in pictures:
        moved.append(picture.moved(x, 0))
        x += picture.width + _ACROSS
    return Picture(
        x - _ACROSS,
        height,
        tuple(node for picture in moved for node in picture.nodes),
        tuple(edge for picture in moved for edge in picture.edges),
        tuple(start for picture in moved for start in picture.starts),
    )


def _size(name: str, box: Picture | None) -> Point:
    if box:
        return max(box.width, len(name) * _LETTER) + 2 * _PADDING, box.height + _TITLE + _PADDING
    lines = label(name)
    return max(len(line) for line in lines) * _LETTER + 22, len(lines) * _LINE + 14


def _directions(
    start: str, states: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str], list[str]]:
    """Transitions that lead on, those that lead back, and the states in an order in which all lead on (topological)."""
    forward: dict[tuple[str, str], str] = {}
    back: dict[tuple[str, str], str] = {}
    finished: list[str] = []
    under_way: set[str] = set()

    def visit(name: str) -> None:
        under_way.add(name)
        for target, kind in transitions(states[name]).items():
            if target in under_way:
                back[name, target] = kind
                continue
            forward[name, target] = kind
            if target not in finished:
                visit(target)
        under_way.remove(name)
        finished.append(name)

    visit(start)
    return forward, back, finished[::-1]


def _ranks(order: Sequence[str], down: Iterable[tuple[str, str]], boxes: Container[str]) -> dict[str, int]:
    """The layer of each state: below all that lead to it. Beside a box stands nothing: it is wide enough."""
    sources: dict[str, list[str]] = {}
    for source, target in down:
        sources.setdefault(target, []).append(source)
    least = dict.fromkeys(order, 0)
    while True:
        ranks: dict[str, int] = {}
        for name in order:
            ranks[name] = max([least[name], *(ranks[source] + 1 for source in sources.get(name, []))])
        full = {ranks[name] for name in order if name in boxes}
        beside = [name for name in order if ranks[name] in full and name not in boxes]
        if not beside:
            return ranks
        for name in beside:
            least[name] = ranks[name] + 1


def _join(
    places: Mapping[str, _Place], layers: list[list[_Place]], ranks: Mapping[str, int], upper: str, lower: str
) -> list[_Place]:
    """Tie two states together, with a bend in each layer between them."""
    bends = [_Place(2.0, 0.0, is_bend=True) for _ in range(ranks[upper] + 1, ranks[lower])]
    for rank, bend in zip(range(ranks[upper] + 1, ranks[lower]), bends, strict=True):
        layers[rank].append(bend)
    chain = [places[upper], *bends, places[lower]]
    for above, below in itertools.pairwise(chain):
        above.below.append(below)
        below.above.append(above)
    return bends


def _arrange(layers: list[list[_Place]]) -> None:
    """Give every place its x: near what it is tied to, and no two in one layer on each other."""
    for layer in layers:
        _spread(layer, [0.0] * len(layer))
    for sweep in range(2 * _SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wanted = {id(place): _middle(place, down=down, settled=sweep >= _SWEEPS) for place in layer}
            if sweep < _SWEEPS:  # first who is left of whom, then how far
                layer.sort(key=lambda place: wanted[id(place)])
            _spread(layer, [wanted[id(place)] for place in layer])


def _middle(place: _Place, *, down: bool, settled: bool) -> float:
    tied = place.above + place.below if settled else (place.above if down else place.below)
    if not tied:
        return place.x
    weights = [8 if place.is_bend and other.is_bend else 1 for other in tied]  # long lines are straight
    return sum(other.x * weight for other, weight in zip(tied, weights, strict=True)) / sum(weights)


def _spread(layer: Sequence[_Place], wanted: Sequence[float]) -> None:
    """The places as near to where they are wanted as their widths allow, in this order (least squares: pool neighbours)."""
    offsets, at = [], 0.0
    for index, place in enumerate(layer):
        if index:
            before = layer[index - 1]
            at += (before.width + place.width) / 2 + (_BESIDE if before.is_bend or place.is_bend else _ACROSS)
        offsets.append(at)
    pools: list[tuple[float, int]] = []  # mean and number of neighbours that touch each other
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] >= mean:
            other, number = pools.pop()
            mean, count = (mean * count + other * number) / (count + number), count + number
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    for place, mean, offset in zip(layer, means, offsets, strict=True):
        place.x = mean + offset


def _height(layer: Iterable[_Place]) -> float:
    return max(place.height for place in layer)


def _stack(layers: Iterable[Sequence[_Place]]) -> list[float]:
    """The y of each layer's upper edge."""
    tops, y = [], 0.0
    for layer in layers:
        tops.append(y)
        y += _height(layer) + _DOWN
    return tops
