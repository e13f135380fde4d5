"""What is wrong in the files that say what is watched. Prometheus takes any target, and skips a file that it cannot read."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml


def mistakes_in(folder: Path) -> Iterator[str]:
    """What is wrong in the targets files of a folder, with file and line. In a folder `targets` targets are URLs."""
    seen: dict[str, str] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix in (".yaml", ".json"):
            yield f"{file}:1: Prometheus reads *.yml here: rename it"
        if file.suffix != ".yml":
            continue
        try:
            groups = yaml.compose(file.read_text(encoding="utf-8"))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            yield f"{file}:{line}: this is not YAML: {error.problem}"
            continue
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            yield f"{file}:1: this is not YAML: {error}"
            continue
        if not isinstance(groups, yaml.SequenceNode):
            yield f"{file}:1: a list of groups of targets is expected"
            continue
        for group in groups.value:
            yield from _mistakes_in_group(file, group, seen, urls=folder.name == "targets")


def _mistakes_in_group(file: Path, group: yaml.Node, seen: dict[str, str], *, urls: bool) -> Iterator[str]:
    where = _at(file, group)
    if not isinstance(group, yaml.MappingNode):
        yield f"{where}: a group has targets and labels"
        return
    parts = {key.value: value for key, value in group.value}
    for key, _ in group.value:
        if key.value not in ("targets", "labels"):
            yield f"{_at(file, key)}: a group has targets and labels, not {key.value}"
    yield from _mistakes_in_labels(file, where, parts.get("labels"))
    targets = parts.get("targets")
    if not isinstance(targets, yaml.SequenceNode) or not targets.value:
        yield f"{where}: there are no targets"
        return
    for target in targets.value:
        at, address = _at(file, target), str(target.value)
        if urls and not _is_url(address):
            yield f"{at}: {address} is no URL (https://…)"
        if address in seen:
            yield f"{at}: {address} is watched already, by {seen[address]}"
        seen[address] = at


def _mistakes_in_labels(file: Path, where: str, labels: yaml.Node | None) -> Iterator[str]:
    named = {key.value: value for key, value in labels.value} if isinstance(labels, yaml.MappingNode) else {}
    if not ("product" in named and named["product"].value):
        yield f"{where}: the label product is missing, which decides who is called"
    for name, value in named.items():
        if not isinstance(value, yaml.ScalarNode):
            yield f"{_at(file, value)}: the label {name} is one word, not a list"
        elif name == "severity" and value.value not in ("critical", "warning"):
            yield f"{_at(file, value)}: severity is critical or warning, not {value.value}"


def _at(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and len(text.split()) == 1
