"""Mapping templates mean here what they mean to Velocity, Java and API Gateway.

The expected texts of TEMPLATES were compared with those of Apache Velocity 1.7 and commons-lang 2.6, running on Java.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.aws.mapping_templates import BodyIsNotJsonError, Template, TemplateError

NASTY = "it's \"q\" back\\' sl/ash\n\t\r\x01\x7f\u2028é漢😀 $x ${x} $!x #set($y=1) #end *# ## \\\\' \\u0041"
DATA = {
    "i": 7,
    "s": NASTY,
    "emoji": "a😀b😀",
    "m": {"a": "1", "b": "2", "c": {"d": [1, 2, 3]}},
    "l": ["x", "y", "z"],
    "n": None,
    "t": True,
    "f": False,
}

TEMPLATES = [
    # references
    ("$context.i ${context.i}x $!context.i $!{context.i}x", "7 7x 7 7x"),
    ("$context.i%, $context.i; ($context.i). [$context.i]", "7%, 7; (7). [7]"),
    ("price $5, $ and #channel and # alone", "price $5, $ and #channel and # alone"),
    ('a\\"$context.i\\"', 'a\\"7\\"'),
    ("$context.m.a$context.m.b${context.m.a}text", "121text"),
    ("$context.l[0] $context.l.get(1) $context.m.c.d[2] ${context.l.get(0)}text", "x y 3 xtext"),
    ('$context.m.get("a") $context.m["b"] $context.m.c.get("d").size()', "1 2 3"),
    # literals
    ('#set($v = "v: $context.i ${context.i}x $context.m.a")$v', "v: 7 7x 1"),
    ("#set($v = 'single $context.i ''quoted''')$v", "single $context.i 'quoted'"),
    ('#set($v = "dou""ble")$v', 'dou"ble'),
    (r'#set($v = "a\n\\x")$v', r"a\n\\x"),  # backslashes mean themselves
    (r'#set($v = "x\u0041y")$v', "xAy"),  # but for this
    ('#set($v = "#if(true)in#{end}out")$v', "inout"),
    ('#set($m = {"k": "v", "n": [1, 2]})$m.k $m.n.size() $m.containsKey("k") $m.containsKey("z")', "v 2 true false"),
    ('#set($m = {\n "k" : 1\n})$m.k', "1"),
    ("#set($m = {})#set($m.k = 'v')$m.k $m.size()", "v 1"),
    ('#set($l = [])#set($d = $l.add("a"))$l.size() $l[0] $l.isEmpty()', "1 a false"),
    # arithmetic
    ("#set($v = 5 + 2 * 3 - 1)$v;#set($v = (5 + 2) * 3)$v", "10;21"),
    ("#set($v = -7 / 2)$v;#set($v = -7 % 2)$v;#set($v = 7 % -2)$v", "-3;-1;1"),
    ("#set($v = 2147483647 + 1)$v;#set($v = 1.5 + 1)$v", "2147483648;2.5"),
    ('#set($v = "a" + 1 + "b")$v', "a1b"),
    ("#set( $v = $context.l.size() - 1 )$v", "2"),
    # conditions
    ("a #if($context.t && !$context.f) yes #else no #end b", "a  yes  b"),
    ("#if(1 < 2 && 2 <= 2 || false)T#end#if(3 > 2 and 3 >= 3)U#end#if(not false)V#end#if(1 eq 1)W#end", "TUVW"),
    ('#if("a" == "a")T#end#if("a" != "b")U#end#if(!(1 == 2))V#end', "TUV"),
    ("#if($context.n)T#{else}F#end#if($context.nope.deeper.x)T#{else}F#end", "FF"),
    ("#if(false)1#elseif($context.t)2#else 3#end", "2"),
    # loops
    (
        "#foreach($x in $context.l)$foreach.count:$foreach.index:$x#if($foreach.hasNext), #end#end",
        "1:0:x, 2:1:y, 3:2:z",
    ),
    ("#foreach($x in $context.m.c.d)#if($x == 2)#break#end$x#end end", "1 end"),
    ("#foreach($k in $context.m.keySet())$k#end #foreach($e in $context.m.entrySet())$e.key#end", "abc abc"),
    ("#foreach($v in [1..5])$v,#end #foreach($v in [3..1])$v,#end", "1,2,3,4,5, 3,2,1,"),
    ("#set($a = 10)#foreach($i in [1..3])#set($a = $a + $i)#end$a", "16"),
    (
        "#foreach($i in [1..2])#foreach($j in [1..2])$i$j#if($foreach.parent.hasNext)p#end#end#end",
        "11p12p2122",
    ),
    ("#foreach($i in [1..1005])#if($foreach.count == 1000)$foreach.hasNext#end#end", "true"),
    ("#foreach($x in $context.nope)never#end", ""),
    # strings
    ("$context.emoji.length() $context.emoji.substring(1, 3) $context.emoji.substring(5).length()", "6 😀 1"),
    ("#set($v = 'abcabc')$v.replaceAll('(b)(c)', '$2$1')", "acbacb"),
    (r'#set($v = "a.b.c")$v.replaceAll("\.", "_")', "a_b_c"),
    ('$context.emoji.replaceAll(".", "x")', "xxxx"),
    ('#set($v = "abcabc")$v.indexOf("c") $v.lastIndexOf("c") $v.replace("b", "$")', "2 5 a$ca$c"),
    ('#set($v = "abc")$v.startsWith("ab") $v.endsWith("ab") $v.contains("bc") $v.isEmpty()', "true false true false"),
    ('#set($v = " abc ")$v.trim().concat("x") $context.i.toString().length()', "abcx 1"),
    # white space and comments
    ("#foreach($x in [1..2])\n  line $x\n#end\nafter\n", "  line 1\n  line 2\nafter\n"),
    ("#if(true)\n one\n#else\n two\n#end\nx", " one\nx"),
    ("  #set($q = 1)  \n$q\n", "1\n"),
    ("a\n  #set($q = 1)  \nb$q", "a\n  b1"),
    ("b #* multi\nline *# c ## rest\nd", "b  c d"),
    ("#foreach($x in [1..3])\n#if($x == 2)\n#break\n#end\n$x\n#end\nz", "1\nz"),
]


@pytest.mark.parametrize(("template", "expected"), TEMPLATES)
def test_renders_as_velocity_does(template: str, expected: str) -> None:
    assert Template(template).render(body="", context=DATA).text == expected


REFUSED = [
    ("a-b $context.i-x", "hyphen"),
    ("#set($v = null)", "expected a value"),
    ("$nobody", "is never set"),
    ("#macro(x)#end", "not supported"),
    ("#[[raw]]#", "not supported"),
    ("#if(true)", "#end is missing"),
    ("#end", "without its beginning"),
    ("#if($context.i == 7) x", "#end is missing"),
    ("\\$context.i", "backslash"),
    ("${context.i|'x'}", "not in Velocity 1.7"),
    ("#set($context = 1)", "not yours to set"),
    ("#set($x.y() = 1)", "method's result"),
    ("$context.i[", "expected"),
    ("${context.i", "expected }"),
    ("#foreach($x of $context.l)#end", "expected in"),
    ('#set($x = "abc)', "expected a value"),
]


@pytest.mark.parametrize(("template", "message"), REFUSED)
def test_refuses_what_cannot_be_read_or_differs_between_velocitys_versions(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message.replace("(", r"\(")) as caught:
        Template(template)
    assert str(caught.value).startswith("line 1: ")


FAILING = [
    ("#if($context.e)x#end", "true in Velocity 1.7 and false in 2.x"),
    ("#if($context.empty_list)x#end", "true in Velocity 1.7 and false in 2.x"),
    ("#if($context.zero || true)x#end", "true in Velocity 1.7 and false in 2.x"),
    ('#set($x = 1)#set($x = $context.m.get("z"))', "keeps the old value"),
    ('#if($context.i == "7")x#end', "compare like and like"),
    ('#if("a" > "b")x#end', "needs numbers"),
    ("#set($x = $context.n + 1)", "with null"),
    ("#set($x = 1 / 0)", "division by zero"),
    ("$context.s.substring(3, 1)", "StringIndexOutOfBounds"),
    ("$context.s.substring(1000)", "StringIndexOutOfBounds"),
    ("$context.l.get(3)", "IndexOutOfBounds"),
    ("$context.s.upper()", "no method upper"),
    ('$context.s.replaceAll("(?i)x", "")', "Java and Python read alike"),
    ('$context.s.replaceAll("a++", "")', "Java and Python read alike"),
    ('$context.s.replaceAll("x", "$9")', "names no group"),
    ("$util.parseJson('{')", "not JSON"),
    ("$util.nothing('x')", "has no nothing"),
    ("$input.path('$..x')", "only names"),
    ("a\nb#if(true)\n$context.l.get(9)#end", "line 3: get"),
]


@pytest.mark.parametrize(("template", "message"), FAILING)
def test_fails_loudly_where_java_throws_or_velocitys_versions_differ(template: str, message: str) -> None:
    compiled = Template(template)
    with pytest.raises(TemplateError, match=message.replace("$", r"\$")):
        compiled.render(body="{}", context={**DATA, "e": "", "empty_list": [], "zero": 0})


def test_null_renders_as_nothing_and_equals_the_empty_text_as_on_api_gateway() -> None:
    template = (
        "#set($result = $input.path('$.missing'))"
        '[$result][$result.nested][$!result.x.y()]#if($result == $null)N#end#if($result == "")E#end#if($result == "x")X#end'
    )
    assert Template(template).render(body='{"a": 1}').text == "[][][]NE"


def test_a_method_of_another_type_is_null_because_data_may_have_any_shape() -> None:
    template = "#foreach($k in $input.path('$.annotations').keySet())x#end done"
    assert Template(template).render(body='{"annotations": "a text"}').text == " done"


def test_maps_print_as_java_prints_them_and_lists_as_json_as_seen_on_api_gateway() -> None:
    body = json.dumps({"m": {"foo": [{"nested": "bar"}]}, "l": [{"foo": "bar"}], "big": {"a": "1", "b": 2}})
    text = Template("$input.path('$.m') $input.path('$.l') $input.path('$.big').toString()").render(body=body).text
    assert text == '{foo=[{"nested":"bar"}]} [{"foo":"bar"}] {a=1, b=2}'


@pytest.mark.parametrize(
    ("number", "java"),
    [("1.0", "1.0"), ("0.001", "0.001"), ("12345678.5", "1.23456785E7"), ("1e7", "1.0E7"), ("-2.5e-4", "-2.5E-4")],
)
def test_floating_point_numbers_print_as_in_java(number: str, java: str) -> None:
    assert Template("$input.path('$')").render(body=number).text == java


# $input


def test_input_gives_the_body_and_parts_of_it() -> None:
    body = '{"a": {"b-c": [1, {"d": "é😀"}]}, "x": null}'

    def render(template: str) -> str:
        return Template(template).render(body=body).text

    assert render("$input.body") == body
    assert json.loads(render("$input.json('$')")) == json.loads(body)
    assert render("$input.json('$.a')") == '{"b-c":[1,{"d":"é😀"}]}'
    assert render("""$input.path("$.a['b-c'][1].d")""") == "é😀"
    assert render("$input.json('$.nope')") == '""'


def test_an_empty_body_counts_as_an_empty_object() -> None:
    assert Template("$input.body $input.json('$')").render(body="").text == "{} {}"


def test_a_body_that_is_not_json_matters_only_to_a_template_that_looks_into_it() -> None:
    assert Template("$input.body").render(body="some raw data").text == "some raw data"
    with pytest.raises(BodyIsNotJsonError, match="character 1") as caught:
        Template("$input.json('$')").render(body="some raw data")
    assert "raw data" not in str(caught.value)


@pytest.mark.parametrize("body", ["NaN", "[Infinity]", "{'a': 1}", '{"a": 1,}', "[" * 100_000])
def test_what_json_does_not_know_is_not_json(body: str) -> None:
    with pytest.raises(BodyIsNotJsonError):
        Template("$input.path('$')").render(body=body)


def test_a_body_nested_too_deeply_to_be_handed_on_is_an_error_of_the_template() -> None:
    deep = '{"é": ' + "[" * 3_000 + "]" * 3_000 + "}"
    with pytest.raises(TemplateError, match="nested too deeply"):
        Template("$input.json('$')").render(body=deep)


def test_parameters_are_searched_in_path_then_query_then_headers() -> None:
    parameters = {"path": {"id": "p"}, "querystring": {"id": "q", "only": "query"}, "header": {"id": "h", "X": "head"}}
    template = Template(
        "$input.params('id') $input.params('only') $input.params('X') [$input.params('none')] "
        "$input.params().header.id $input.params().get('path').id"
    )
    assert template.render(body="", parameters=parameters).text == "p query head [] h p"


def test_stage_variables() -> None:
    template = Template("$stageVariables.name ${stageVariables['name']}")
    assert template.render(body="", stage_variables={"name": "value"}).text == "value value"


# $util

IDIOM = r"""{"input": "$util.escapeJavaScript($input.json('$')).replaceAll("\\'","'")"}"""


def test_the_escaping_idiom_hands_on_every_nasty_character() -> None:
    payload = {"text": NASTY, NASTY: [NASTY, {"deep": NASTY}]}
    rendered = Template(IDIOM).render(body=json.dumps(payload, ensure_ascii=False)).text
    assert rendered.isascii()
    assert json.loads(json.loads(rendered)["input"]) == payload


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())), st.booleans())
def test_the_escaping_idiom_hands_on_any_json(payload: dict[str, Any], ensure_ascii: bool) -> None:
    rendered = Template(IDIOM).render(body=json.dumps(payload, ensure_ascii=ensure_ascii)).text
    assert json.loads(json.loads(rendered)["input"]) == payload


def test_escape_java_script_is_commons_lang_2s() -> None:
    escaped = Template("$util.escapeJavaScript($context.s)").render(body="", context={"s": NASTY}).text
    assert escaped == (
        "it\\'s \\\"q\\\" back\\\\\\' sl\\/ash\\n\\t\\r\\u0001\x7f\\u2028\\u00E9\\u6F22\\uD83D\\uDE00"
        " $x ${x} $!x #set($y=1) #end *# ## \\\\\\\\\\' \\\\u0041"
    )


def test_half_of_a_surrogate_pair_is_escaped_as_such_and_printed_as_a_question_mark() -> None:
    template = Template("$util.escapeJavaScript($context.s.substring(0, 2)) $context.s.substring(0, 2)")
    assert template.render(body="", context={"s": "a😀"}).text == "a\\uD83D a?"


def test_data_is_never_read_as_a_template() -> None:
    evil = "$context.secret #set($context.responseOverride.status = 500) ${context.secret} #foreach($i in [1..9])x#end"
    template = Template('#set($copy = "$context.evil")$context.evil|$copy|$context.evil.concat("!")')
    rendering = template.render(body="", context={"evil": evil, "secret": "s3cret", "responseOverride": {}})
    assert rendering.text == f"{evil}|{evil}|{evil}!"
    assert rendering.context["responseOverride"] == {}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("urlEncode('a b&c=d/é*~')", "a+b%26c%3Dd%2F%C3%A9*%7E"),
        ("urlDecode('a+b%26%C3%A9')", "a b&é"),
        ("base64Encode('é😀')", "w6nwn5iA"),
        ("base64Decode('w6nwn5iA')", "é😀"),
        ('parseJson(\'{"a": [1, "\\ud83d\\ude00"]}\').a[1].length()', "2"),
    ],
)
def test_utilities(call: str, expected: str) -> None:
    assert Template(f"$util.{call}").render(body="").text == expected


def test_a_template_sets_the_response_override() -> None:
    source = '#set($context.responseOverride.status = 503)#set($context.responseOverride.header["X-A"] = "é")'
    context: dict[str, Any] = {"responseOverride": {"header": {}}}
    rendering = Template(source).render(body="", context=context)
    assert rendering.context["responseOverride"] == {"status": 503, "header": {"X-A": "é"}}
    assert context == {"responseOverride": {"header": {}}}


def test_ten_thousand_alerts_are_cut_to_the_thousand_that_a_loop_may_take() -> None:
    body = json.dumps({"alerts": [{"labels": {"n": str(n)}} for n in range(10_000)]})
    template = Template("#foreach($a in $input.path('$.alerts'))$a.labels.n #end$input.path('$.alerts').size()")
    numbers = template.render(body=body).text.split()
    assert numbers == [*map(str, range(1000)), "10000"]
