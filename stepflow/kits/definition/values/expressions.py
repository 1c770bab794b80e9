"""
Expressions of definitions: `steps.score.value > 700 and input.kind in ["new", "gold"]`.

`simpleeval` walks Python's own syntax tree and calls nothing but what it was given. Here it knows
no methods, no powers and no comprehensions; an attribute is a key of the data, or null.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from simpleeval import DEFAULT_OPERATORS, SimpleEval  # type: ignore[import-untyped]

from stepflow.errors import InvalidExpression

#: characters of an expression
LONGEST = 1000


def _numbers_alone(name: str, work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(left: Any, right: Any) -> Any:
        if isinstance(left, int | float) and isinstance(right, int | float):
            return work(left, right)
        msg = f"{name} is for numbers"
        raise TypeError(msg)

    return checked


_OPERATORS = {
    kind: DEFAULT_OPERATORS[kind]
    for kind in (
        ast.Add, ast.Sub, ast.Div, ast.FloorDiv, ast.Eq, ast.NotEq, ast.Gt, ast.Lt, ast.GtE,
        ast.LtE, ast.Not, ast.USub, ast.In, ast.NotIn, ast.Is, ast.IsNot,
    )
} | {
    ast.Mult: _numbers_alone("*", operator.mul),
    ast.Mod: _numbers_alone("%", operator.mod),
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "str": str,
    "int": int,
    "float": float,
    "lower": lambda text: str(text).lower(),
    "starts_with": lambda text, start: str(text).startswith(str(start)),
    "ends_with": lambda text, end: str(text).endswith(str(end)),
}
_CONSTANTS = {"true": True, "false": False, "null": None}
_NODES = (
    ast.Name, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Subscript,
    ast.Attribute, ast.Constant,
)  # fmt: skip


class _Evaluator(SimpleEval):  # type: ignore[misc]  # it has no types
    """`simpleeval` without what definitions have no need of."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__(_OPERATORS, FUNCTIONS, {**_CONSTANTS, **names})
        known: dict[type[ast.AST], Any] = self.nodes
        self.nodes: dict[type[ast.AST], Any] = {kind: known[kind] for kind in _NODES}
        self.nodes[ast.List] = self.nodes[ast.Tuple] = self._list
        self.nodes[ast.Attribute] = self._key

    def _list(self, node: ast.List | ast.Tuple) -> list[Any]:
        return [self._eval(each) for each in node.elts]

    def _key(self, node: ast.Attribute) -> Any:
        value = self._eval(node.value)
        if value is None:
            return None
        if isinstance(value, dict) and node.attr in value:
            return value[node.attr]
        msg = f"{ast.unparse(node.value)} has no {node.attr!r}"
        raise LookupError(msg)


@lru_cache(maxsize=1000)
def parse(expression: str) -> ast.expr:
    """Read *expression*; raises InvalidExpression."""
    if len(expression) > LONGEST:
        raise InvalidExpression(expression, f"it has over {LONGEST:,} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problem = f"it cannot be read: {getattr(error, 'msg', error)}"
        raise InvalidExpression(expression, problem) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and not isinstance(node, (*_NODES, ast.List, ast.Tuple)):
            raise InvalidExpression(expression, f"{type(node).__name__} is not for expressions")
        if (
            isinstance(node, ast.operator | ast.unaryop | ast.cmpop)
            and type(node) not in _OPERATORS
        ):
            raise InvalidExpression(expression, f"{type(node).__name__} is not for expressions")
    return tree


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """Work *expression* out with *names*; raises InvalidExpression."""
    tree = parse(expression)
    try:
        return _Evaluator(names).eval(expression, tree)
    except Exception as error:  # noqa: BLE001  whatever an operator makes of the data
        raise InvalidExpression(expression, f"{type(error).__name__}: {error}") from None


def names_in(expression: str) -> Iterator[tuple[str | int, ...]]:
    """Give what *expression* refers to: `("steps", "a", "value")`; raises InvalidExpression."""
    tree = parse(expression)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)
    }
    for node in ast.walk(tree):
        if id(node) in called:
            if not isinstance(node, ast.Name) or node.id not in FUNCTIONS:
                called_so = node.id if isinstance(node, ast.Name) else "what is called"
                problem = f"{called_so} is no function; there are {', '.join(FUNCTIONS)}"
                raise InvalidExpression(expression, problem)
        elif id(node) not in inner:
            way = _way(node)
            if way and way[0] not in _CONSTANTS:
                yield way


def _way(node: ast.AST) -> tuple[str | int, ...]:
    match node:
        case ast.Name():
            return (node.id,)
        case ast.Attribute():
            before = _way(node.value)
            return (*before, node.attr) if before else ()
        case ast.Subscript(slice=ast.Constant(value=str() | int() as key)):
            before = _way(node.value)
            return (*before, key) if before else ()
        case ast.Subscript():
            return _way(node.value)
    return ()
