"""API Gateway's mapping templates: the Velocity Template Language with $input, $util, $context and $stageVariables.

Written for strictness, where a lenient engine hides mistakes until the template meets the real gateway:

* Strings are Java's, a sequence of UTF-16 units: length(), substring() and escapeJavaScript() count and cut as there.
* What Velocity 1.7 and 2.x do differently (AWS does not say which it runs) raises TemplateError and says what to write
  instead: the truth of empty strings, collections and zero; `$a-b`; #set to null; comparing numbers with strings.
* Null is rendered as nothing and equals "", as API Gateway does it (plain Velocity renders the reference's source).
* Data is never parsed as a template.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import quote, unquote_plus

MAX_ITERATIONS = 1000  # "Number of iterations in a #foreach ... #end loop in mapping templates", API Gateway's quotas

type Value = object  # None, bool, int, float, str, list, dict, Entry, Input, Util
type Scope = dict[str, Value]
type Expression = Callable[[Scope], Value]
type Statement = Callable[[Scope, list[str]], None]


class TemplateError(Exception):
    """The template is wrong, or met data that it cannot work with. The message says where and holds no data."""


class BodyIsNotJsonError(Exception):
    """$input.json() or $input.path() met a body that is not JSON; the message is the parser's, without the body."""


class _BreakError(Exception):
    """#break: leaves the innermost #foreach."""


_UTF_16, _UTF_32 = (f"utf-{bits}-{'le' if sys.byteorder == 'little' else 'be'}" for bits in (16, 32))

# Java's strings: what Python reads as one character above U+FFFF is two units there.


def to_java(text: str) -> str:
    """The UTF-16 units of a text, each as one character."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    units = array("H", text.encode(_UTF_16, "surrogatepass"))
    return array("I", units).tobytes().decode(_UTF_32, "surrogatepass")


def _join_pairs(units: str) -> str:
    return units if units.isascii() else units.encode(_UTF_16, "surrogatepass").decode(_UTF_16, "surrogatepass")


def from_java(units: str) -> str:
    """The text of UTF-16 units; half a pair becomes "?", as when Java encodes it in UTF-8."""
    text = _join_pairs(units)
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "?", text)


def _java_values(value: Any) -> Value:
    """Parsed JSON with every string in UTF-16 units."""
    if isinstance(value, str):
        return to_java(value)
    if isinstance(value, list):
        return [_java_values(item) for item in value]
    if isinstance(value, dict):
        return {to_java(key): _java_values(item) for key, item in value.items()}
    return value


def _python_values(value: Any) -> Any:
    """The opposite."""
    if isinstance(value, str):
        return from_java(value)
    if isinstance(value, list):
        return [_python_values(item) for item in value]
    if isinstance(value, dict):
        return {from_java(key): _python_values(item) for key, item in value.items()}
    return value


def parse_json(text: str) -> Any:
    """Strictly JSON: no NaN, no Infinity. Raises ValueError, also for what is nested too deeply to be read here."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_problem(error: ValueError) -> str:
    """What parse_json() has against a text, without the text."""
    return f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _to_json(value: Value) -> str:
    """Compact JSON of a value, as $input.json() gives it; non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _string(value: Value) -> str:
    """The text that a value leaves in the output: maps as Java prints them, lists as JSON (seen on API Gateway)."""
    if isinstance(value, str):
        return value
    text = _TEXTS.get(type(value))
    if text is None:
        raise TemplateError(f"{type(value).__name__.lower()} has no text")
    return text(value)


def _double(value: float) -> str:
    """Java's Double.toString: scientific notation outside 0.001 to 10,000,000."""
    if math.isinf(value):  # what a JSON number too large for it becomes
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    number = Decimal(repr(value)).normalize().as_tuple()
    first, *rest = map(str, number.digits)
    exponent = len(rest) + int(number.exponent)
    return f"{'-' if number.sign else ''}{first}.{''.join(rest) or '0'}E{exponent}"


@dataclass(frozen=True)
class Entry:
    """A java.util.Map.Entry."""

    key: str
    value: Value


_TEXTS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _double,
    dict: lambda value: "{" + ", ".join(f"{key}={_string(item)}" for key, item in value.items()) + "}",
    list: _to_json,
    Entry: lambda value: f"{value.key}={_string(value.value)}",
}

# Methods. Each takes the object and its arguments; a wrong call is an error here, and in Velocity too.


class _JavaScriptEscapes(dict[int, str]):
    """commons-lang 2's StringEscapeUtils.escapeJavaScript: also ' and /, and all above 0x7f as upper-case \\uXXXX."""

    def __missing__(self, unit: int) -> str:
        escaped = chr(unit) if 0x20 <= unit <= 0x7F else f"\\u{unit:04X}"
        self[unit] = escaped
        return escaped


_JAVASCRIPT_ESCAPES = _JavaScriptEscapes(
    {
        ord("'"): "\\'",
        ord('"'): '\\"',
        ord("\\"): "\\\\",
        ord("/"): "\\/",
        8: "\\b",
        9: "\\t",
        10: "\\n",
        12: "\\f",
        13: "\\r",
    }
)

# Parts of a regular expression that Java and Python read alike. What is left out is refused.
_REGEX_PART = re.compile(
    r"""(?P<class>\[\^?(?:\\[\\\[\]\-^nrtdsw'"./$]|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|[^\[\]\\&])+\])
    |(?P<escape>\\(?:[\\\[\](){}.*+?|^$'"/\-#\ nrtdswDSWb]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}))
    |(?P<dot>\.)
    |(?P<quantifier>(?:[*+?]|\{\d+(?:,\d*)?\})\??(?![*+?{]))
    |(?P<group>\((?:\?:|(?!\?))|\)|\||^\^)
    |(?P<literal>[^\\\[\](){}.*+?|^$])""",
    re.VERBOSE,
)


@functools.lru_cache(maxsize=256)
def _regex(java: str) -> re.Pattern[str]:
    """A java.util.regex pattern for Python. Raises TemplateError for a construct that the two read differently."""
    parts: list[str] = []
    at = 0
    while at < len(java):
        part = _REGEX_PART.match(java, at)
        if part is None:
            raise TemplateError(
                f"the regular expression is beyond what Java and Python read alike, at character {at + 1}"
            )
        # Java's dot stops at every Unicode line end.
        parts.append("[^\n\r\u0085\u2028\u2029]" if part.lastgroup == "dot" else part[0])
        at = part.end()
    try:
        return re.compile("".join(parts), re.ASCII)
    except re.error as error:
        raise TemplateError(f"the regular expression is wrong: {error}") from error


def _replacement(java: str, pattern: re.Pattern[str]) -> str | Callable[[re.Match[str]], str]:
    """A Matcher.replaceAll replacement: a backslash quotes the next character, $n is a group."""
    if "\\" not in java and "$" not in java:
        return lambda _: java
    parts: list[str | int] = []
    at = 0
    while at < len(java):
        char = java[at]
        following = java[at + 1 : at + 2]
        if char == "\\":
            if not following:
                raise TemplateError("the replacement ends with a backslash, which Java refuses")
            parts.append(following)
            at += 2
        elif char == "$":
            if not following.isdigit() or int(following) > pattern.groups or java[at + 2 : at + 3].isdigit():
                raise TemplateError("the replacement has a $ that names no group, which Java refuses: write \\$")
            parts.append(int(following))
            at += 2
        else:
            parts.append(char)
            at += 1
    return lambda match: "".join(part if isinstance(part, str) else match[part] or "" for part in parts)


def _replace_all(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    compiled = _regex(pattern)
    return to_java(compiled.sub(_replacement(replacement, compiled), _join_pairs(text), count=count))


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise TemplateError(f"substring({start}, {end}) of a string of {len(text)}: StringIndexOutOfBoundsException")
    return text[start:end]


def _index_of(text: str, part: str, start: int = 0) -> int:
    return text.find(part, max(start, 0))


def _trim(text: str) -> str:
    return text.strip("".join(map(chr, range(0x21))))


def _item(items: list[Value], index: int) -> Value:
    if not 0 <= index < len(items):
        raise TemplateError(f"get({index}) of a list of {len(items)}: IndexOutOfBoundsException")
    return items[index]


def _put(mapping: dict[str, Value], key: str, value: Value) -> Value:
    before = mapping.get(key)
    mapping[key] = value
    return before


def _add(items: list[Value], value: Value) -> bool:
    items.append(value)
    return True


def _equals(value: Value, other: Value) -> bool:
    return type(value) is type(other) and value == other


_METHODS: dict[type, dict[str, Callable[..., Value]]] = {
    str: {
        "length": len,
        "isEmpty": lambda text: not text,
        "substring": _substring,
        "replaceAll": _replace_all,
        "replaceFirst": lambda text, pattern, replacement: _replace_all(text, pattern, replacement, 1),
        "replace": lambda text, old, new: text.replace(old, new),
        "indexOf": _index_of,
        "lastIndexOf": lambda text, part: text.rfind(part),
        "startsWith": lambda text, prefix: text.startswith(prefix),
        "endsWith": lambda text, suffix: text.endswith(suffix),
        "contains": lambda text, part: part in text,
        "matches": lambda text, pattern: _regex(pattern).fullmatch(_join_pairs(text)) is not None,
        "concat": lambda text, other: text + other,
        "trim": _trim,
        "toString": lambda text: text,
        "equals": _equals,
    },
    bool: {"toString": _string, "equals": _equals},
    int: {"toString": _string, "intValue": lambda number: number, "equals": _equals},
    float: {"toString": _string, "intValue": int, "equals": _equals},
    list: {
        "size": len,
        "isEmpty": lambda items: not items,
        "get": _item,
        "contains": lambda items, value: any(_equals(item, value) for item in items),
        "add": _add,
        "toString": _string,
    },
    dict: {
        "size": len,
        "isEmpty": lambda mapping: not mapping,
        "get": lambda mapping, key: mapping.get(key),
        "containsKey": lambda mapping, key: key in mapping,
        "keySet": list,
        "values": lambda mapping: list(mapping.values()),
        "entrySet": lambda mapping: [Entry(key, value) for key, value in mapping.items()],
        "put": _put,
        "toString": _string,
    },
    Entry: {
        "getKey": lambda entry: entry.key,
        "getValue": lambda entry: entry.value,
        "toString": _string,
    },
}

# The types of each method's arguments, where Java would find no such method for another type.
_ARGUMENTS: dict[tuple[type, str], tuple[type, ...]] = {
    (str, "substring"): (int, int),
    (str, "indexOf"): (str, int),
    (list, "get"): (int,),
    (dict, "get"): (str,),
    (dict, "containsKey"): (str,),
    (dict, "put"): (str, object),
}
_ANY_ARGUMENT = {"equals", "contains", "add"}


def _call(target: Value, name: str, arguments: list[Value]) -> Value:
    """Call a Java method. Null where the object has none of that name; raises TemplateError where Java throws."""
    if target is None:
        return None
    if isinstance(target, Input | Util):
        return target.call(name, arguments)
    kind = type(target)
    method = _METHODS.get(kind, {}).get(name)
    if method is None and any(name in methods for methods in _METHODS.values()):
        return None  # a method of another type: the data is not what the template takes it for
    if method is None:
        raise TemplateError(f"there is no method {name}() here")
    expected = _ARGUMENTS.get((kind, name))
    if expected is None and kind is str and name != "equals":
        expected = (str,) * len(arguments)
    for argument, wanted in zip(arguments, expected or (), strict=False):
        if not isinstance(argument, wanted) or (wanted is int and isinstance(argument, bool)):
            raise TemplateError(f"{name}() takes {wanted.__name__}, got {type(argument).__name__}")
    try:
        return method(target, *arguments)
    except TypeError as error:
        raise TemplateError(f"{name}() does not take {len(arguments)} arguments") from error


def _property(target: Value, name: str) -> Value:
    """`$target.name`: a map's value, an entry's key or value; null where there is none."""
    match target:
        case None:
            return None
        case dict():
            if name in {"class", "empty"}:
                raise TemplateError(f".{name} of a map is a Java method's name: use get()")
            return target.get(name)
        case Entry():
            if name in {"key", "value"}:
                return target.key if name == "key" else target.value
        case Input():
            if name == "body":
                return target.body
        case str():
            # $input.body.x and the like: strings have no such getters, so the reference is null.
            if name not in {"empty", "bytes", "class", "blank"}:
                return None
    raise TemplateError(f"{type(target).__name__.lower()} has no property {name}")


def _index(target: Value, index: Value) -> Value:
    match target, index:
        case None, _:
            return None
        case dict(), str():
            return target.get(index)
        case list(), int():
            return _item(target, index)
    raise TemplateError(f"cannot index {type(target).__name__} with {type(index).__name__}")


# API Gateway's own variables.

_PATH_PART = re.compile(
    r"""\.(?P<name>[A-Za-z_][\w-]*)|\[(?P<quote>['"])(?P<key>[^'"]*)(?P=quote)\]|\[(?P<index>\d+)\]"""
)


@functools.lru_cache(maxsize=256)
def _json_path(path: str) -> tuple[str | int, ...]:
    if not path.startswith("$"):
        raise TemplateError("a JSONPath starts with $")
    parts: list[str | int] = []
    at = 1
    while at < len(path):
        part = _PATH_PART.match(path, at)
        if part is None:
            raise TemplateError("only names, keys and indexes are supported in a JSONPath here")
        parts.append(int(part["index"]) if part["index"] else part["name"] or part["key"])
        at = part.end()
    return tuple(parts)


class Input:
    """$input: the payload and the request's parameters.

    An empty body counts as {} (seen on API Gateway).
    """

    def __init__(self, body: str, parameters: Mapping[str, Mapping[str, str]]) -> None:
        self._text = body or "{}"
        self.body = to_java(self._text)
        self._parameters: dict[str, Value] = {
            kind: {to_java(k): to_java(v) for k, v in parameters.get(kind, {}).items()}
            for kind in ("path", "querystring", "header")
        }

    @functools.cached_property
    def _payload(self) -> Value:
        try:
            payload = parse_json(self._text)
        except ValueError as error:
            raise BodyIsNotJsonError(json_problem(error)) from error
        return payload if self._text.isascii() and "\\u" not in self._text else _java_values(payload)

    def _find(self, path: Value) -> tuple[bool, Value]:
        if not isinstance(path, str):
            raise TemplateError("a JSONPath is a string")
        value = self._payload
        for part in _json_path(path):
            if isinstance(value, dict) and part in value:
                value = value[str(part)]
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return False, None
        return True, value

    def call(self, name: str, arguments: list[Value]) -> Value:
        match name, arguments:
            case "path", [path]:
                return self._find(path)[1]
            case "json", [path]:
                found, value = self._find(path)
                return _to_json(value) if found else '""'
            case "params", []:
                return self._parameters
            case "params", [str(key)]:
                for kind in self._parameters.values():
                    if isinstance(kind, dict) and key in kind:
                        return kind[key]
                return ""
        raise TemplateError(f"$input has no {name}() with {len(arguments)} arguments")


def _parse_json_text(text: str) -> Value:
    try:
        return _java_values(parse_json(_join_pairs(text)))
    except ValueError as error:
        raise TemplateError("$util.parseJson() met what is not JSON") from error


def _decode_base64(text: str) -> str:
    try:
        return to_java(base64.b64decode(text, validate=True).decode())
    except (binascii.Error, ValueError) as error:
        raise TemplateError("$util.base64Decode() met what is not base64") from error


class Util:
    """$util."""

    _FUNCTIONS: Mapping[str, Callable[[str], Value]] = {
        "escapeJavaScript": lambda text: text.translate(_JAVASCRIPT_ESCAPES),
        "parseJson": _parse_json_text,
        # java.net.URLEncoder leaves * and encodes ~
        "urlEncode": lambda text: quote(from_java(text), safe=" *").replace("~", "%7E").replace(" ", "+"),
        "urlDecode": lambda text: to_java(unquote_plus(from_java(text))),
        "base64Encode": lambda text: base64.b64encode(from_java(text).encode()).decode(),
        "base64Decode": _decode_base64,
    }

    def call(self, name: str, arguments: list[Value]) -> Value:
        function = self._FUNCTIONS.get(name)
        if function is None or len(arguments) != 1:
            raise TemplateError(f"$util has no {name}() with {len(arguments)} arguments")
        (argument,) = arguments
        if argument is None:
            return None
        if not isinstance(argument, str):
            raise TemplateError(f"$util.{name}() takes a string, got {type(argument).__name__}")
        return function(argument)


# Expressions.


def _truth(value: Value) -> bool:
    if value is None or isinstance(value, bool):
        return value is True
    if value in ("", 0, [], {}):
        raise TemplateError(
            "an empty string, list or map, or zero, is true in Velocity 1.7 and false in 2.x: "
            'compare it (== "", == 0) or ask isEmpty()'
        )
    return True


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(left: Value, right: Value) -> bool:
    if left is None or right is None:
        return (left if right is None else right) in (None, "")
    if _is_number(left) and _is_number(right):
        return left == right
    if type(left) is not type(right):
        raise TemplateError(
            f"{type(left).__name__} == {type(right).__name__} differs between Velocity's versions: compare like and like"
        )
    return left == right


def _number(value: Value, operator: str) -> Any:
    if not _is_number(value):
        raise TemplateError(f"{operator} needs numbers, got {type(value).__name__}")
    return value


def _add_values(left: Value, right: Value) -> Value:
    if left is None or right is None:
        raise TemplateError("+ with null")
    if isinstance(left, str) or isinstance(right, str):
        return _string(left) + _string(right)
    return _number(left, "+") + _number(right, "+")


def _divide(left: Any, right: Any) -> Any:
    if right == 0:
        raise TemplateError("division by zero")
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": lambda left, right: left - right * _divide(left, right),
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _binary(operator: str, left: Expression, right: Expression, where: str) -> Expression:
    if operator == "&&":
        return lambda scope: _truth(left(scope)) and _truth(right(scope))
    if operator == "||":
        return lambda scope: _truth(left(scope)) or _truth(right(scope))
    if operator == "==":
        return _located(lambda scope: _same(left(scope), right(scope)), where)
    if operator == "!=":
        return _located(lambda scope: not _same(left(scope), right(scope)), where)
    if operator == "+":
        return _located(lambda scope: _add_values(left(scope), right(scope)), where)
    apply = _ARITHMETIC[operator]
    return _located(lambda scope: apply(_number(left(scope), operator), _number(right(scope), operator)), where)


def _located(evaluate: Expression, where: str) -> Expression:
    """Say where in the template an error happened; the innermost place wins."""

    def located(scope: Scope) -> Value:
        try:
            return evaluate(scope)
        except TemplateError as error:
            if not error.args[0].startswith("line "):
                error.args = (f"{where}: {error.args[0]}",)
            raise

    return located


# The parser: from a template's text to nested closures.

_TEXT = re.compile(r"[^$#\\]+")
_BLANKS_BEFORE_SET = re.compile(r"[ \t]+(?=#\{?set\b)")  # part of the directive, unless text comes before them
_REFERENCE = re.compile(r"\$(!?)(\{?)([A-Za-z_][A-Za-z0-9_]*)")
_DIRECTIVE = re.compile(
    r"#(?:\{(set|if|elseif|else|end|foreach|break)\}|(set|if|elseif|else|end|foreach|break)(?![A-Za-z0-9_]))"
)
_REFUSED_DIRECTIVE = re.compile(r"#(?:\{?(?:macro|define|parse|include|evaluate|stop|literal)\b|\[\[|@|\*)")
_ESCAPED = re.compile(r"\\+(?:\$!?\{?[A-Za-z_]|#\{?[A-Za-z_#*\[])")
_COMMENT = re.compile(r"##[^\r\n]*(?:\r\n|\r|\n|$)|#\*.*?\*#", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_LINE_END = re.compile(r"[ \t]*(?:\r\n|\r|\n)")
_NUMBER = re.compile(r"-?(?:\d+\.\d+|\d+(?!\d*\.\d))(?![A-Za-z_])")
_BOOLEAN = re.compile(r"(true|false)\b")
_NOT = re.compile(r"!|not\b")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"]|"")*)"', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
_LEVELS: tuple[dict[str, str], ...] = (
    {"||": "||", "or": "||"},
    {"&&": "&&", "and": "&&"},
    {"==": "==", "eq": "==", "!=": "!=", "ne": "!="},
    {"<=": "<=", "le": "<=", ">=": ">=", "ge": ">=", "<": "<", "lt": "<", ">": ">", "gt": ">"},
    {"+": "+", "-": "-"},
    {"*": "*", "/": "/", "%": "%"},
)
_OPERATOR = re.compile(r"\|\||&&|==|!=|<=|>=|[<>+\-*/%]|(?:or|and|eq|ne|le|ge|lt|gt)\b")
_BUILT_IN = {"input", "util", "context", "stageVariables", "foreach"}
_NULL_BY_CUSTOM = "null"  # `$x == $null`: $null is nothing but a variable that nobody sets


class _Parser:
    def __init__(self, text: str, *, line: int = 1) -> None:
        self.text = text
        self.at = 0
        self.first_line = line
        self.assigned: set[str] = set()
        self.used: dict[str, str] = {}

    def where(self, at: int | None = None) -> str:
        return f"line {self.first_line + self.text.count('\n', 0, self.at if at is None else at)}"

    def fail(self, message: str) -> NoReturn:
        raise TemplateError(f"{self.where()}: {message}")

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def space(self) -> None:
        self.take(_SPACE)

    def expect(self, token: str) -> None:
        self.space()
        if not self.text.startswith(token, self.at):
            self.fail(f"expected {token}")
        self.at += len(token)

    def block(self, *ends: str) -> tuple[list[Statement], str]:
        """Statements up to one of the directives named, which is consumed; "" is the end of the text."""
        statements: list[Statement] = []
        while self.at < len(self.text):
            if self.take(_BLANKS_BEFORE_SET) or self.take(_COMMENT):
                continue
            directive = self.take(_DIRECTIVE)
            if directive is None:
                statements.append(self.text_or_reference())
                continue
            name = directive[1] or directive[2]
            if name not in {"end", "else", "elseif"}:
                statements.append(self.directive(name))
                continue
            if name not in ends:
                self.fail(f"#{name} without its beginning")
            if name != "elseif":
                self.take(_LINE_END)
            return statements, name
        if "" not in ends:
            self.fail("#end is missing")
        return statements, ""

    def text_or_reference(self) -> Statement:
        if text := self.take(_TEXT):
            return _text(text[0])
        if _ESCAPED.match(self.text, self.at):
            self.fail("what a backslash before a reference or directive does depends on what is defined: avoid it")
        if _REFUSED_DIRECTIVE.match(self.text, self.at):
            self.fail("this directive is not supported here")
        if self.text[self.at] == "$":
            return self.output()
        self.at += 1
        return _text(self.text[self.at - 1])

    def directive(self, name: str) -> Statement:
        match name:
            case "set":
                return self.set()
            case "if":
                return self.if_()
            case "foreach":
                return self.foreach()
        self.take(_LINE_END)
        return _break

    def condition(self) -> Expression:
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        self.take(_LINE_END)
        where = self.where()
        return _located(lambda scope: _truth(condition(scope)), where)

    def if_(self) -> Statement:
        branches: list[tuple[Expression, list[Statement]]] = []
        otherwise: list[Statement] = []
        end = "elseif"
        while end == "elseif":
            condition = self.condition()
            body, end = self.block("elseif", "else", "end")
            branches.append((condition, body))
        if end == "else":
            otherwise, _ = self.block("end")

        def if_statement(scope: Scope, out: list[str]) -> None:
            for condition, body in branches:
                if condition(scope):
                    _run(body, scope, out)
                    return
            _run(otherwise, scope, out)

        return if_statement

    def foreach(self) -> Statement:
        where = self.where()
        self.expect("(")
        self.space()
        variable = self.take(_REFERENCE)
        if variable is None or variable[1] or variable[2]:
            self.fail("expected #foreach($name in ...)")
        name = variable[3]
        self.assigned.add(name)
        self.space()
        if not self.take(re.compile(r"in\b")):
            self.fail("expected in")
        items = self.expression()
        self.expect(")")
        self.take(_LINE_END)
        body, _ = self.block("end")

        def foreach_statement(scope: Scope, out: list[str]) -> None:
            values = _iterable(items(scope), where)
            outer = {key: scope[key] for key in (name, "foreach") if key in scope}
            try:
                # More than the quota are left out, as Velocity's directive.foreach.maxloops does.
                for index, value in enumerate(values[:MAX_ITERATIONS]):
                    scope[name] = value
                    scope["foreach"] = {
                        "index": index,
                        "count": index + 1,
                        "hasNext": index + 1 < len(values),
                        "first": index == 0,
                        "last": index + 1 == len(values),
                        "parent": outer.get("foreach"),
                    }
                    _run(body, scope, out)
            except _BreakError:
                pass
            for key in (name, "foreach"):
                scope.pop(key, None)
            scope.update(outer)

        return foreach_statement

    def set(self) -> Statement:
        where = self.where()
        self.expect("(")
        self.space()
        target = self.take(_REFERENCE)
        if target is None or target[1]:
            self.fail("expected #set($name = ...)")
        name = target[3]
        path = self.path()
        if target[2]:
            self.expect("}")
        self.expect("=")
        value = self.expression()
        self.expect(")")
        self.take(_LINE_END)
        if not path:
            self.assigned.add(name)
            if name in _BUILT_IN or name == _NULL_BY_CUSTOM:
                self.fail(f"${name} is not yours to set")

            def set_variable(scope: Scope, _out: list[str]) -> None:
                new = value(scope)
                if new is None and scope.get(name) is not None:
                    raise TemplateError(
                        f"{where}: #set(${name}) to null keeps the old value in Velocity 1.7 and forgets it in 2.x: "
                        "ask containsKey() first, or use another name"
                    )
                scope[name] = new

            return set_variable
        if path[-1][0] == "call":
            self.fail("cannot set a method's result")
        self.used.setdefault(name, where)
        parent = self.chain(name, path[:-1], where)
        kind, last_name, last_arguments = path[-1]

        def set_property(scope: Scope, _out: list[str]) -> None:
            container = parent(scope)
            key = last_name if kind == "property" else last_arguments[0](scope)
            if not isinstance(container, dict) or not isinstance(key, str):
                raise TemplateError(f"{where}: there is no map to set this in")
            container[key] = value(scope)

        return set_property

    # References.

    def path(self) -> list[tuple[str, str, list[Expression]]]:
        """What follows a reference's name: properties, calls and indexes."""
        parts: list[tuple[str, str, list[Expression]]] = []
        while self.at < len(self.text):
            if self.text[self.at] == "." and (name := _NAME.match(self.text, self.at + 1)):
                self.at = name.end()
                if self.text.startswith("(", self.at):
                    parts.append(("call", name[0], self.arguments("(", ")")))
                else:
                    parts.append(("property", name[0], []))
            elif self.text[self.at] == "[":
                arguments = self.arguments("[", "]")
                if len(arguments) != 1:
                    self.fail("an index is one value; put the reference in ${...} if the bracket is text")
                parts.append(("index", "", arguments))
            else:
                break
        if self.text.startswith("-", self.at) and self.text[self.at - 1] not in ")]":
            self.fail(
                "a hyphen after a name is part of it in Velocity 1.7 and not in 2.x: write ${name}-text or $a - $b"
            )
        return parts

    def arguments(self, opening: str, closing: str) -> list[Expression]:
        self.expect(opening)
        found: list[Expression] = []
        self.space()
        if not self.text.startswith(closing, self.at):
            found.append(self.expression())
            self.space()
            while self.text.startswith(",", self.at):
                self.at += 1
                found.append(self.expression())
                self.space()
        self.expect(closing)
        return found

    def chain(self, name: str, path: list[tuple[str, str, list[Expression]]], where: str) -> Expression:
        def root(scope: Scope) -> Value:
            return scope.get(name)

        value: Expression = root
        for kind, part, arguments in path:
            value = _step(value, kind, part, arguments)
        return _located(value, where) if path else value

    def reference(self) -> Expression | None:
        where = self.where()
        start = self.take(_REFERENCE)
        if start is None:
            return None
        self.used.setdefault(start[3], where)
        path = self.path()
        if start[2]:
            if self.text.startswith("|", self.at):
                self.fail("${name|default} is not in Velocity 1.7")
            self.expect("}")
        return self.chain(start[3], path, where)

    def output(self) -> Statement:
        value = self.reference()
        if value is None:
            if re.compile(r"\$!?\{").match(self.text, self.at):
                self.fail("${ without a name")
            self.at += 1
            return _text("$")
        return lambda scope, out: out.append(_string(value(scope)))

    # Expressions.

    def expression(self, level: int = 0) -> Expression:
        if level == len(_LEVELS):
            return self.operand()
        left = self.expression(level + 1)
        while True:
            self.space()
            operator = _OPERATOR.match(self.text, self.at)
            if operator is None or operator[0] not in _LEVELS[level]:
                return left
            where = self.where()
            self.at = operator.end()
            left = _binary(_LEVELS[level][operator[0]], left, self.expression(level + 1), where)

    def operand(self) -> Expression:
        self.space()
        where = self.where()
        if self.text.startswith("$", self.at):
            value = self.reference()
            if value is None:
                self.fail("expected a name after $")
            return value
        if self.take(_NOT):
            negated = self.operand()
            return _located(lambda scope: not _truth(negated(scope)), where)
        if literal := self.take(_DOUBLE_QUOTED):
            return self.interpolated(literal[1], where)
        match self.text[self.at : self.at + 1]:
            case "(":
                self.at += 1
                value = self.expression()
                self.expect(")")
            case "[":
                value = self.list_or_range()
            case "{":
                value = self.map_literal()
            case _:
                value = self.constant()
        return value

    def constant(self) -> Expression:
        constant: Value
        if literal := self.take(_SINGLE_QUOTED):
            constant = to_java(literal[1].replace("''", "'"))
        elif literal := self.take(_NUMBER):
            constant = float(literal[0]) if "." in literal[0] else int(literal[0])
        elif literal := self.take(_BOOLEAN):
            constant = literal[1] == "true"
        else:
            self.fail("expected a value (Velocity has no null literal: use a variable that nobody sets, $null)")
        return lambda _: constant

    def interpolated(self, raw: str, where: str) -> Expression:
        """A double-quoted literal: references and directives in it count, and no backslash escapes but \\uXXXX."""
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), raw.replace('""', '"'))
        if "$" not in text and "#" not in text:
            constant = to_java(text)
            return lambda _: constant
        inner = _Parser(text, line=self.first_line + self.text.count("\n", 0, self.at) - raw.count("\n"))
        statements, _ = inner.block("")
        self.assigned |= inner.assigned
        for name, place in inner.used.items():
            self.used.setdefault(name, place)

        def evaluate(scope: Scope) -> Value:
            out: list[str] = []
            _run(statements, scope, out)
            return "".join(out)

        return _located(evaluate, where)

    def list_or_range(self) -> Expression:
        where = self.where()
        self.expect("[")
        self.space()
        if self.text.startswith("]", self.at):
            self.at += 1
            return lambda _: []
        items = [self.expression()]
        self.space()
        if self.text.startswith("..", self.at):
            self.at += 2
            first, last = items[0], self.expression()
            self.expect("]")
            return _located(lambda scope: _range(first(scope), last(scope)), where)
        while self.text.startswith(",", self.at):
            self.at += 1
            items.append(self.expression())
            self.space()
        self.expect("]")
        return lambda scope: [item(scope) for item in items]

    def map_literal(self) -> Expression:
        self.expect("{")
        pairs: list[tuple[Expression, Expression]] = []
        self.space()
        while not self.text.startswith("}", self.at):
            key = self.expression()
            self.expect(":")
            pairs.append((key, self.expression()))
            self.space()
            if not self.text.startswith(",", self.at):
                break
            self.at += 1
        self.expect("}")

        def evaluate(scope: Scope) -> Value:
            found: dict[str, Value] = {}
            for key, value in pairs:
                name = key(scope)
                if not isinstance(name, str):
                    raise TemplateError("a map's key is a string")
                found[name] = value(scope)
            return found

        return _located(evaluate, self.where())


def _step(target: Expression, kind: str, name: str, arguments: list[Expression]) -> Expression:
    if kind == "property":
        return lambda scope: _property(target(scope), name)
    if kind == "index":
        (index,) = arguments
        return lambda scope: _index(target(scope), index(scope))
    return lambda scope: _call(target(scope), name, [argument(scope) for argument in arguments])


def _text(text: str) -> Statement:
    units = to_java(text)
    return lambda _, out: out.append(units)


def _run(statements: list[Statement], scope: Scope, out: list[str]) -> None:
    for statement in statements:
        statement(scope, out)


def _break(_scope: Scope, _out: list[str]) -> None:
    raise _BreakError


def _range(first: Value, last: Value) -> list[Value]:
    if not isinstance(first, int) or not isinstance(last, int):
        raise TemplateError("a range goes from one integer to another")
    return list(range(first, last + 1) if first <= last else range(first, last - 1, -1))


def _iterable(value: Value, where: str) -> list[Value]:
    match value:
        case None:
            return []
        case list():
            return value
        case dict():
            return list(value.values())
    raise TemplateError(f"{where}: #foreach over {type(value).__name__}")


@dataclass(frozen=True)
class Rendering:
    """What a template made: its text, and $context with what the template set in it (responseOverride)."""

    text: str
    context: dict[str, Any]


class Template:
    """A parsed mapping template. Raises TemplateError for what it cannot read."""

    def __init__(self, source: str) -> None:
        parser = _Parser(source)
        self._statements, _ = parser.block("")
        for name, where in parser.used.items():
            if name not in parser.assigned and name not in _BUILT_IN and name != _NULL_BY_CUSTOM:
                raise TemplateError(f"{where}: ${name} is never set")

    def render(
        self,
        *,
        body: str,
        parameters: Mapping[str, Mapping[str, str]] | None = None,
        context: Mapping[str, Any] | None = None,
        stage_variables: Mapping[str, str] | None = None,
    ) -> Rendering:
        """Raises TemplateError, and BodyIsNotJsonError when the template looks into a body that is not JSON."""
        own_context = _java_values(dict(context or {}))
        scope: Scope = {
            "input": Input(body, parameters or {}),
            "util": Util(),
            "context": own_context,
            "stageVariables": _java_values(dict(stage_variables or {})),
        }
        out: list[str] = []
        try:
            _run(self._statements, scope, out)
        except _BreakError as error:
            raise TemplateError("#break outside of #foreach") from error
        except RecursionError as error:
            raise TemplateError("the body is nested too deeply") from error
        return Rendering(from_java("".join(out)), _python_values(own_context))
