"""What the roster says of those that send alerts: how CloudWatch's alarms are read, and fields of a source of one's own."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from oncall.roster.attributes import Attributes, attributes_of, kind_of, suggestion

NoData = Literal["ignore", "alarm", "ok"]

CLOUDWATCH = "cloudwatch"
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")
FIELDS = ("summary", "severity", "product", "dedup", "status", "description", "link", "details")  # of an event


@dataclass(frozen=True, slots=True)
class Rule:
    """What alarms are whose name matches `name`, in which * stands for anything and ? for one character."""

    name: str
    product: str | None = None
    severity: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What is set of one source.

    Of CloudWatch: `rules` for alarms without tags, what INSUFFICIENT_DATA means, and the ARNs of `topics` of SNS that are
    believed. Of a source of one's own: `fields`, JMESPath expressions that say where in a payload each field is.
    """

    id: str
    rules: tuple[Rule, ...] = ()
    insufficient_data: NoData = "ignore"
    topics: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)

    def rule_for(self, name: str) -> Rule:
        """The first rule that matches an alarm's name, or one that says nothing."""
        return next((rule for rule in self.rules if fnmatchcase(name, rule.name)), Rule(name))


def read_source(part: Attributes) -> Source | None:
    """A source, with what is wrong noted; None if nothing usable is left of it."""
    if part.id == CLOUDWATCH:
        no_data: NoData = part.one_of("insufficient_data", get_args(NoData)) or "ignore"
        return Source(part.id, rules=tuple(_rules(part)), insufficient_data=no_data, topics=tuple(_topics(part)))
    fields = _fields(part)
    return Source(part.id, fields=fields) if fields else None


def source_document(source: Source) -> dict[str, Any]:
    """A source shaped like the file; `read_source` reads it back."""
    if source.id != CLOUDWATCH:
        return {"fields": dict(source.fields)}
    rules = [
        {key: value for key in Rule.__slots__ if (value := getattr(rule, key)) is not None} for rule in source.rules
    ]
    return {"insufficient_data": source.insufficient_data, "rules": rules, "topics": list(source.topics)}


def _rules(part: Attributes) -> Iterable[Rule]:
    written = part.body.get("rules", [])
    if not isinstance(written, list | tuple):
        part.problem("rules", "expected a list, such as [{name: 'shop-*', product: shop}]")
        return
    for number, body in enumerate(written):
        inner = attributes_of(body, (*part.path, "rules", number), part.problems)
        if inner is None:
            continue
        name, product, severity = inner.text("name"), inner.text("product"), inner.text("severity")
        if name is None or (product is None and severity is None):
            inner.problem(None, "needs a name ('shop-*') and what such alarms are: product, severity, or both")
            continue
        yield Rule(name, product, severity)


def _topics(part: Attributes) -> Iterable[str]:
    written = part.body.get("topics", [])
    if not isinstance(written, list | tuple):
        part.problem("topics", f"expected a list of ARNs, found {kind_of(written)}")
        return
    for topic in written:
        if isinstance(topic, str) and _TOPIC.fullmatch(topic):
            yield topic
        else:
            told = f"{str(topic)[:100]!r} is no topic's ARN, such as arn:aws:sns:eu-central-1:111122223333:alarms"
            part.problem("topics", told)


def _fields(part: Attributes) -> dict[str, str]:
    import jmespath  # type: ignore[import-untyped]  # noqa: PLC0415  only rosters with such sources need it

    written = part.body.get("fields")
    if not isinstance(written, Mapping) or "summary" not in written:
        found = "" if written is None or isinstance(written, Mapping) else f", found {kind_of(written)}"
        part.problem(None, f"needs fields, of them at least summary (fields: {{summary: title}}){found}")
        return {}
    inner = Attributes(written, (*part.path, "fields"), part.problems)
    fields = {}
    for name in written:
        expression = inner.text(name)
        if name not in FIELDS:
            inner.problem(name, f"is no field of an event{suggestion(str(name), FIELDS)}")
        elif expression is not None:
            try:
                jmespath.compile(expression)
            except jmespath.exceptions.JMESPathError as error:
                inner.problem(name, f"is no JMESPath expression: {str(error).splitlines()[0]}")
            else:
                fields[name] = expression
    return fields if "summary" in fields else {}
