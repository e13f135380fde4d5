"""What the roster says of those that send alerts: how CloudWatch's alarms are read, and fields of a source of one's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from oncall.roster.attributes import Attributes, attributes_of, kind_of, suggestion

NoData = Literal["ignore", "alarm", "ok"]

CLOUDWATCH = "cloudwatch"
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

    Of CloudWatch: `rules` for alarms without tags, and what INSUFFICIENT_DATA means. Of a source of one's own: `fields`,
    JMESPath expressions that say where in a payload each field is.
    """

    id: str
    rules: tuple[Rule, ...] = ()
    insufficient_data: NoData = "ignore"
    fields: Mapping[str, str] = field(default_factory=dict)

    def rule_for(self, name: str) -> Rule:
        """The first rule that matches an alarm's name, or one that says nothing."""
        return next((rule for rule in self.rules if fnmatchcase(name, rule.name)), Rule(name))


def read_source(part: Attributes) -> Source | None:
    """A source, with what is wrong noted; None if nothing usable is left of it."""
    if part.id == CLOUDWATCH:
        no_data: NoData = part.one_of("insufficient_data", get_args(NoData)) or "ignore"
        return Source(part.id, rules=tuple(_rules(part)), insufficient_data=no_data)
    fields = _fields(part)
    return Source(part.id, fields=fields) if fields else None


def source_document(source: Source) -> dict[str, Any]:
    """A source shaped like the file; `read_source` reads it back."""
    if source.id != CLOUDWATCH:
        return {"fields": dict(source.fields)}
    rules = [
        {key: value for key in Rule.__slots__ if (value := getattr(rule, key)) is not None} for rule in source.rules
    ]
    return {"insufficient_data": source.insufficient_data, "rules": rules}


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
