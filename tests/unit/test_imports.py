"""Who imports whom runs one way: what is below knows nothing of what is above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOMAIN = ROOT / "functions" / "oncall"
DEVSTACK = ROOT / "devstack"

# The packages and modules of the domain, the lowest first. Those of a line know nothing of each other.
LAYERS = (
    ("clock", "errors", "redirects", "severities", "table", "text"),
    ("aws", "fallback", "roster"),
    ("probe.rules", "providers", "settings", "signals", "warm", "alerts", "authorization"),
    ("wire", "incidents"),
    ("services",),
    ("pages",),
    ("peer",),
    ("actions", "heartbeats", "shadow"),
    ("probe",),
    ("phone",),
    ("slack",),
    ("silence", "intake", "events"),
    ("reconciler",),
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

# What the devstack's folders know beside themselves and `shared`, and why.
COMPOSED = {
    ("system", "devstack.aws.template"): "reads the same template.yaml as the stand-in for CloudFormation",
    ("system", "devstack.twilio.api"): "one telephone network, two providers: one program serves both",
    ("system", "devstack.telnyx.api"): "likewise",
    ("system", "devstack.telnyx.signature"): "stores the public key of what Telnyx signs",
    ("system", "oncall_cli.monitoring"): "renders the bundled configuration as its users do, with the command",
}
OURS = ("oncall", "oncall_cli", "devstack", "tests", *(path.stem for path in (ROOT / "functions").glob("*.py")))


def imported(path: Path, *, checked: bool = False) -> Iterator[str]:
    """The modules that a file imports, wherever in it; those for mypy alone only if they are asked for (`checked`)."""
    tree = ast.parse(path.read_text())
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing and not checked:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: names are written out"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(module: str) -> str:
    """The second name of a dotted one: a package of the domain, a folder of the devstack.

    Of a module of the domain that has a level of its own, apart from its package, the second and third.
    """
    names = module.split(".")
    apart = ".".join(names[1:3])
    return apart if names[0] == "oncall" and apart in LEVELS else names[1]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_every_module_of_the_domain_has_its_place() -> None:
    found = {path.stem for path in DOMAIN.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found - {"__init__"} == {name for name in LEVELS if "." not in name}


@pytest.mark.parametrize("path", files(DOMAIN), ids=lambda path: str(path.relative_to(DOMAIN)))
def test_the_domain_imports_downwards(path: Path) -> None:
    """For mypy alone `services` may name what it is given: it loads no telephone and no Slack."""
    own = part(".".join(path.relative_to(DOMAIN.parent).with_suffix("").parts))
    known = {name for name in imported(path, checked=own != "services") if name.split(".")[0] in OURS}
    assert all(name.startswith("oncall.") for name in known)
    upwards = {name for name in known if part(name) != own and LEVELS[part(name)] >= LEVELS[own]}
    assert upwards == set()


@pytest.mark.parametrize("path", sorted((ROOT / "functions").glob("*.py")), ids=lambda path: path.stem)
def test_a_handler_knows_the_domain_and_no_other_handler(path: Path) -> None:
    known = {name.split(".")[0] for name in imported(path, checked=True)}
    assert known & set(OURS) == {"oncall"}


@pytest.mark.parametrize("path", files(ROOT / "oncall_cli"), ids=lambda path: path.name)
def test_the_command_knows_the_domain_and_neither_functions_nor_devstack(path: Path) -> None:
    known = {name.split(".")[0] for name in imported(path, checked=True)}
    assert known & set(OURS) <= {"oncall", "oncall_cli"}


@pytest.mark.parametrize("path", files(DEVSTACK), ids=lambda path: str(path.relative_to(DEVSTACK)))
def test_a_stand_in_knows_neither_another_nor_the_product(path: Path) -> None:
    """Each could be a program of its own. Only the commands `up` and `demo` (`__main__`) start what is in `system`."""
    own = path.relative_to(DEVSTACK).parts[0]
    allowed = {own, "shared", *(["system"] if own == "__main__.py" else [])}
    for name in imported(path, checked=True):
        if name.split(".")[0] not in OURS or (name.startswith("devstack.") and part(name) in allowed):
            continue
        assert (own, name.rpartition(".")[0]) in COMPOSED
