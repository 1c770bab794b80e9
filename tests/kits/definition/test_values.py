"""References and expressions of definitions: what they find, and what they never do."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import InvalidExpression, NoSuchValue
from stepflow.kits.definition.values.expressions import evaluate
from stepflow.kits.definition.values.secrets import Hiding
from stepflow.kits.definition.values.templates import close, fill

SCOPE = {
    "input": {"name": "Ada", "n": 3, "list": [1, {"x": "y"}], "trick": "{input.name}{env.TOKEN}"},
    "steps": {"a": {"items": [{"name": "first"}]}, "b": None},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{input.n}", 3),
        ("{input.list}", [1, {"x": "y"}]),
        ("{steps.a.items[0].name}", "first"),
        ("n is {input.n}, {input.list}", 'n is 3, [1,{"x":"y"}]'),
        ("{input.trick}", "{input.name}{env.TOKEN}"),
        ("<{input.trick}>", "<{input.name}{env.TOKEN}>"),
        ("{{input.name}}", "{input.name}"),
        ('{"a": 1} ${HOME} {x}', '{"a": 1} ${HOME} {x}'),
        ("{steps.b.any.thing}", None),
        ("", ""),
    ],
)
def test_a_text_that_is_one_reference_keeps_its_type(text: str, value: Any) -> None:
    """[D4] What was put in is not looked at again; a skipped step has null wherever you look."""
    assert fill({"x": text}, SCOPE, {"b"}).value == {"x": value}
    assert fill({"x": text}, SCOPE, {"b"}).holes == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{input.no}", "input has 'name, n, list, trick'"),
        ("{steps.a.items[1].name}", r"steps.a.items has 1 items"),
        ("{input.n.deep}", "input.n is a int"),
        ("{item.x}", "there is no 'item' here"),
    ],
)
def test_a_reference_that_leads_nowhere_says_how_far_it_came(text: str, problem: str) -> None:
    """[D4]"""
    with pytest.raises(NoSuchValue, match=f"leads nowhere: .*{problem}"):
        fill(text, SCOPE)


def test_the_environment_stays_out_until_the_step_runs() -> None:
    """[D5] What was filled in before looks like a reference, and is none."""
    filled = fill({"h": ["Bearer {env.TOKEN}/{input.trick}"], "n": "{input.n}"}, SCOPE)
    assert filled.value == {"h": [None], "n": 3}
    assert close(filled, {"TOKEN": "{env.TOKEN}"}) == {
        "h": ["Bearer {env.TOKEN}/{input.name}{env.TOKEN}"], "n": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("steps.a.items[0].name == 'first' and input.n > 2", True),
        ("input.name in ['Ada', \"Bob\"]", True),
        ("input.n * 2 + 1 if input.name else 0", 7),
        ("len(input.list) == 2 and not false", True),
        ("steps.b.any == null", True),
        ("input['name']", "Ada"),
        ("starts_with(lower(input.name), 'a')", True),
    ],
)
def test_an_expression_is_worked_out(expression: str, value: Any) -> None:
    """[D4]"""
    assert evaluate(expression, SCOPE) == value


@pytest.mark.parametrize(
    "expression",
    [
        "input.name.__class__", "input.name.upper()", "().__class__.__bases__",
        "open('/etc/passwd')",
        "__import__('os')", "lambda: 1", "[x for x in input.list]", "9 ** 9 ** 9", "'a' * 9999999",
        "'%099999999d' % 1", "1 << 99", "f'{input}'", "(x := 1)", "len.__self__", "input.nothing",
        "a" * 2000, "(" * 300, "int('9' * 9)", "eval('1')", "1 if", "",
    ],
)  # fmt: skip
def test_an_expression_does_nothing_else(expression: str) -> None:
    """[D4] Never `eval`, no methods, nothing that grows."""
    with pytest.raises(InvalidExpression):
        evaluate(expression, SCOPE)


def test_a_value_is_hidden_in_all_its_forms() -> None:
    """[D5] As itself, in a URL, in JSON, in base64, as a number and as a key."""
    hiding = Hiding({"A": 'p@ss "word"', "B": "4711"})
    shown = hiding.value(
        {
            "4711": ['p@ss "word"', "p%40ss%20%22word%22", "p%40ss+%22word%22", 4711, 1, True],
            "json": '{"x": "p@ss \\"word\\""}',
            "basic": "cEBzcyAid29yZCI=",
        }
    )
    assert shown == {
        "***": ["***", "***", "***", "***", 1, True], "json": '{"x": "***"}', "basic": "***",
    }  # fmt: skip
