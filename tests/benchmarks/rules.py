"""Says the alerts of published rules and prints what may sound odd.

`PYTHONPATH=functions python -m tests.benchmarks.rules FOLDER`
FOLDER holds rule files of Prometheus, such as those that kube-prometheus, awesome-prometheus-alerts or mixins publish.
Each text is filled in with plausible values, is said in both languages and written as Slack's message and as a text message.
What is printed are the texts that hold a sign of an oddity, those with the most signs first: a person has to read them.
`--all` prints every text, `--kind NAME` those with one sign; `--turn WORD` takes other values.
"""

import argparse
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from devstack.slack.blocks import problems
from oncall import incidents
from oncall.alerts.alertmanager import read_webhook
from oncall.phone import sms, speech
from oncall.phone.provider import Callbacks
from oncall.phone.segments import segments
from oncall.phone.voice import Voice
from oncall.roster import Language
from oncall.slack import messages
from tests import records

NAMES = ("summary", "message", "description")
# What stands in labels, by their names; others get one of the values at "".
LABELS = {
    "instance": ["10.0.3.17:9100", "web-01.example.com:9100", "db-1", "https://shop.example.com/cart", "[fd00::3:17]:9100"],
    "pod": ["checkout-7d9f8b6c5-x2k4p", "kafka-0", "node-exporter-x7d2q"],
    "node": ["ip-10-0-3-17.ap-northeast-1.compute.internal", "worker-2"],
    "device": ["/dev/sda1", "eth0", "nvme0n1", "sdb"],
    "mountpoint": ["/", "/var/lib/docker", "/mnt/data-1"],
    "namespace": ["kube-system", "shop"],
    "cluster": ["prod-eu-1", "prod"],
    "job": ["node-exporter", "kubernetes-pods", "integrations/kafka"],
    "version": ["v1.29.3", "8.0.35-0ubuntu0.22.04.1"],
    "": ["cart", "orders_v2", "web-2", "3", "GET /api/v1/users", "us-east-1a", "0.99"],
}  # fmt: skip
VALUES = (0.9412837465, 97.28374, 1234567.891, 3.0, 1.5e-05, 0.0, 1.8247e10, -3.0, 12.0, 481.73)
DURATIONS = (7385.0, 0.2347, 950400.0)

# What may sound odd, by a sign of it in what is said.
SIGNS = {
    "many digits": r"[0-9]{6,}",
    "many places": r"[0-9]\.[0-9]{3,}",
    "digit by digit": r"(?:\b[0-9]\b\W+){4,}",
    "time for eyes": r"UTC|[0-9] 0000|[0-9]{4} [0-9]{2} [0-9]{2}|\dT\d",
    "exponent": r"[0-9]e ?[0-9]",
    "long word": r"[A-Za-z0-9]{22,}",
    "short pieces": r"(?:\b[A-Za-z]\b ){3,}",
    "empty place": r"[,.、] ?[,.、:]|\b(?:is|of|on|to|for|at|than) ?[,.、:]",
    "template": r"no value|labels|%!|NaN|Inf\b",
    "zero said twice": r"zero zero|ゼロゼロ",
    "a unit alone": r"[0-9] ?(?:ms|GB|MB|KB|GiB|MiB|[smhd])\b",
    "code": r"\b(?:kubectl|curl|http|https|sudo)\b",
    "map": r"LABELS|\bmap\b",
}  # fmt: skip


def rules(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The alerting rules below a folder, each with its file's name. Files that are no YAML are passed over."""
    for path in sorted(folder.rglob("*.y*ml")):
        try:
            documents = list(yaml.safe_load_all(path.read_text()))
        except yaml.YAMLError:
            continue
        for document in documents:
            body = document.get("spec", document) if isinstance(document, dict) else {}
            for group in body.get("groups") or () if isinstance(body, dict) else ():
                for rule in group.get("rules") or ():
                    if "alert" in rule:
                        yield path.name, rule


def filled(template: str, seed: str) -> str:
    """A template of Prometheus with plausible values: of conditions the first branch is taken, of queries one result."""
    number = zlib.crc32(seed.encode())
    template = re.sub(r"\{\{-?\s*else\b.*?\}\}.*?(\{\{-?\s*end)", r"\1", template, flags=re.DOTALL)
    return re.sub(r"\{\{(.*?)\}\}", lambda found: _action(found[1].strip("- "), number), template, flags=re.DOTALL)


def _action(action: str, number: int) -> str:
    """What stands for one action of a template. `number` chooses among what is possible."""
    value = VALUES[number % len(VALUES)]
    if re.match(r"(?:if|with|range|end|define|\$\w+ :?=)", action):
        return ""
    if names := re.findall(r"abels\.(\w+)", action):
        possible = LABELS.get(names[0], LABELS[""])
        return possible[number % len(possible)]
    for name, said in FIXED.items():
        if name in action:
            return said
    if form := re.search(r'printf "?\\?"?(%[^"\\ ]*)', action):
        return str(re.sub("%[vs]", "%g", form[1]).replace("%d", "%.0f") % value).replace("%%", "%")
    for name, humanize in HUMANIZERS.items():
        if name in action:
            return humanize(value)
    return go_float(value)


def go_float(value: float) -> str:
    """As Go's %v writes the values above."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:.12g}"
    digits, _, exponent = f"{value:.9e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


def humanized(value: float, base: int = 1000) -> str:
    """As Prometheus' humanize does, and humanize1024 with that base."""
    if value == 0 or abs(value) >= 1:
        power = min(int(math.log(abs(value), base)), 4) if value else 0
        unit = ("", "k", "M", "G", "T")[power]
        return f"{value / base**power:.4g}{unit}{'i' if unit and base == 1024 else ''}"
    power = math.ceil(-math.log10(abs(value)) / 3)
    return f"{value * 1000**power:.4g}{'munp'[power - 1]}"


def duration(seconds: float) -> str:
    """As Prometheus' humanizeDuration does."""
    if seconds < 1:
        return f"{seconds * 1000:.4g}ms"
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    return (f"{days}d " if days else "") + (f"{hours}h " if days or hours else "") + f"{minutes}m {whole % 60}s"


# Of a template's actions: what always stands there, and which function writes the value. The longer names come first.
FIXED = {
    "humanizeTimestamp": "2026-11-23 03:00:00.128 +0000 UTC",
    "toTime": "2026-11-23 03:00:00.128 +0000 UTC",
    "$externalURL": "https://prometheus.example.com",
    "$labels": "map[instance:db-1 job:mysql]",
}
HUMANIZERS: Mapping[str, Callable[[float], str]] = {
    "humanizeDuration": lambda value: duration(DURATIONS[int(abs(value)) % len(DURATIONS)]),
    "humanizePercentage": lambda value: f"{min(abs(value), 0.9973) * 100:.4g}%",
    "humanize1024": lambda value: humanized(value, 1024),
    "humanize": humanized,
}


def webhook(rule: dict[str, Any], seed: str) -> dict[str, Any]:
    """What Alertmanager posts when a rule fires."""
    labels = {"alertname": str(rule["alert"]), "severity": "critical", "product": "shop", "instance": "db-1"}
    annotations = {name: filled(str(text), seed) for name, text in (rule.get("annotations") or {}).items()}
    alert = {"status": "firing", "labels": labels, "annotations": annotations, "startsAt": "2026-11-23T02:59:00Z"}
    return {"groupKey": seed, "status": "firing", "alerts": [alert], "commonLabels": labels}


def told(rule: dict[str, Any], seed: str) -> tuple[dict[str, str], list[str]]:
    """All that is said and written of a rule's alert, by what it is; and the signs of oddities in it."""
    group = read_webhook(webhook(rule, seed), received_at=0)
    incident = records.incident(webhook(rule, seed), opened_at=0)
    about, out, signs = incidents.headline_of(incident), {}, []
    for name in NAMES:
        if written := group.alerts[0].annotations.get(name):
            out[name] = " ".join(written.split())
            for language in get_args(Language):
                out[f"{name} {language}"] = said = speech.spoken(written, language, 500)
                signs += [sign for sign, pattern in SIGNS.items() if re.search(pattern, said)]
                if re.search(r"[A-Za-z0-9]", written) and not said:
                    signs.append("silent")
    for language in get_args(Language):
        voice = Voice(language, Callbacks("https://gateway.example.com/prod", "default", "0123456789abcdef", 1))
        out[f"call {language}"] = " ".join(text for _, text in voice.message(about))
        voice.details(incident, now=120_000)
        text, blocks = messages.message(incident, language)
        out[f"slack {language}"] = text
        signs += ["slack refuses"] * bool(problems(blocks) or len(json.dumps(blocks)) > messages.LARGEST)
    out["text"] = body = sms.written("before", about, "en", incident=incident.id)
    signs += ["dear text"] * (segments(body) > 2)
    return out, sorted(set(signs))


def main() -> None:
    """Prints the texts with signs of oddities, and how many there are of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--kind")
    parser.add_argument("--turn", default="", help="any word: other values than without it")
    options = parser.parse_args()
    seen, counted, printed = set(), Counter[str](), []
    for file, rule in rules(options.folder):
        written = json.dumps([rule["alert"], rule.get("annotations")])
        if written in seen:
            continue
        seen.add(written)
        out, signs = told(rule, f"{options.turn}{file} {rule['alert']}")
        counted.update(signs)
        if options.all or (options.kind in signs if options.kind else signs):
            printed.append((signs, f"{file} {rule['alert']}", out))
    for signs, name, out in sorted(printed, key=lambda one: -len(one[0])):
        print(f"== {name}: {', '.join(signs)}")  # noqa: T201
        for what, text in out.items():
            print(f"  {what:15} {text[:600]}")  # noqa: T201
    print(f"{len(seen)} rules; {len(printed)} printed; signs: {dict(counted.most_common())}")  # noqa: T201


if __name__ == "__main__":
    main()
