"""The language of a relation: arithmetic and named functions over references to claims.

    cagr_percent({s000-china-ai-compute-2028}, {s000-china-ai-compute-2025}, 3)
    {acme-income:revenue[1:]} - {acme-income:cogs[1:]}

A reference is a claim id, with ".low" or ".high" for an end of its range, or ":row", ":row[2]", ":row[1:]" for cells
of its table. Rows work element by element. Nothing else is allowed: an expression is read as a syntax tree of which
every node is on a list, and is compiled to closures; no Python is evaluated.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from suanli.errors import InputError

Value = Any  # float, bool, str, None, or a list of them
Evaluate = Callable[[Sequence[Value]], Value]
_REFERENCE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression: the references it needs, in order, and the function of their values."""

    text: str
    references: tuple[str, ...]
    evaluate: Evaluate
    calls: tuple[str, ...]


@lru_cache(maxsize=8192)
def compile_expression(text: str) -> Program:
    """Compile an expression.

    Raises:
        InputError: not arithmetic, an unknown function, or a node that is not allowed.
    """
    references: list[str] = []

    def name(match: re.Match[str]) -> str:
        reference = match[1].strip()
        if reference not in references:
            references.append(reference)
        return f"_{references.index(reference)}"

    source = _REFERENCE.sub(name, text).strip()
    try:
        tree = ast.parse(source, mode="eval").body
        built = _build(tree, text)
    except SyntaxError as error:
        raise InputError(f'cannot read the expression "{text}": {error.msg}') from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise InputError(f'cannot read the expression "{text[:60]}": {error}') from None
    calls = tuple(
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    return Program(text, tuple(references), built, calls)


def _each(function: Callable[..., Value]) -> Callable[..., Value]:
    """Work element by element on rows; a missing value or a division by nothing is None."""

    def one(*values: Value) -> Value:
        if any(value is None for value in values):
            return None
        try:
            result = function(*values)
        except (ZeroDivisionError, ValueError, OverflowError):
            return None
        return None if isinstance(result, float) and not math.isfinite(result) else result

    def apply(*values: Value) -> Value:
        lists = [value for value in values if isinstance(value, list)]
        if not lists:
            return one(*values)
        size = len(lists[0])
        if any(len(row) != size for row in lists):
            lengths = ", ".join(str(len(row)) for row in lists)
            raise InputError(f"rows of different length ({lengths}); the years are ragged")
        return [one(*(v[i] if isinstance(v, list) else v for v in values)) for i in range(size)]

    return apply


def _power(base: float, exponent: float) -> float | None:
    value = base**exponent
    return value if isinstance(value, int | float) else None


def _flat(values: Sequence[Value]) -> list[Value]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _growth(new: float, old: float) -> float:
    return new / old - 1.0


def _change(new: float, old: float) -> float:
    return (new - old) / abs(old)


def _cagr(last: float, first: float, years: float) -> float:
    return float((last / first) ** (1.0 / years) - 1.0)


FUNCTIONS: dict[str, tuple[Callable[..., Value], str]] = {
    "growth": (_each(_growth), "new over old, less one"),
    "growth_percent": (_each(lambda new, old: 100.0 * _growth(new, old)), "new over old, less one [%]"),
    "change": (_each(_change), "what was added, over the size of the old; for a base that may be a loss"),
    "change_percent": (_each(lambda new, old: 100.0 * _change(new, old)), "the same [%]"),
    "cagr": (_each(_cagr), "compound growth a year: (last/first)^(1/years) - 1"),
    "cagr_percent": (_each(lambda a, b, n: 100.0 * _cagr(a, b, n)), "compound growth a year [%]"),
    "cut": (_each(lambda new, old: 1.0 - new / old), "what is saved: 1 - new/old"),
    "cut_percent": (_each(lambda new, old: 100.0 * (1.0 - new / old)), "what is saved [%]"),
    "share_percent": (_each(lambda part, whole: 100.0 * part / whole), "part of the whole [%]"),
    "price_earnings": (
        _each(lambda price, eps: price / eps if eps > 0 else None),
        "price over earnings a share; none where there are no earnings",
    ),
    "when_positive": (_each(lambda value: value), "the value where it exists"),
    "abs": (_each(abs), "absolute value"),
    "log": (_each(math.log), "natural logarithm"),
    "sqrt": (_each(math.sqrt), "square root"),
    "ceil": (_each(math.ceil), "next whole number up"),
    "total": (lambda *values: sum(_flat(values)), "sum of everything"),
    "max": (lambda *values: max(v for v in _flat(values) if v is not None), "largest"),
    "min": (lambda *values: min(v for v in _flat(values) if v is not None), "smallest"),
    "join": (lambda *values: _flat(values), "rows after one another"),
    "count_at_least": (
        lambda values, limit: sum(v >= limit for v in _flat([values])),
        "how many reach a limit",
    ),
    "starts_with": (lambda text, start: str(text).startswith(str(start)), "text starts with"),
    "one_of": (lambda text, *known: text in known, "text is one of"),
}

_BINARY: dict[type[ast.operator], Callable[..., Value]] = {
    ast.Add: _each(operator.add),
    ast.Sub: _each(operator.sub),
    ast.Mult: _each(operator.mul),
    ast.Div: _each(operator.truediv),
    ast.Pow: _each(_power),
}
_COMPARE: dict[type[ast.cmpop], Callable[..., Value]] = {
    ast.Gt: _each(operator.gt),
    ast.GtE: _each(operator.ge),
    ast.Lt: _each(operator.lt),
    ast.LtE: _each(operator.le),
    ast.Eq: _each(operator.eq),
}


def _build(node: ast.expr, text: str) -> Evaluate:
    """Turn one node into a closure over the list of reference values."""
    built = _leaf(node) or _arithmetic(node, text) or _grouped(node, text)
    if built is None:
        raise InputError(f'"{text}": only arithmetic over {{claim ids}} is read, not {ast.unparse(node)!r}')
    return built


def _leaf(node: ast.expr) -> Evaluate | None:
    match node:
        case ast.Constant(value=bool() | str() | None as value):
            return lambda values: value
        case ast.Constant(value=int() | float() as amount):
            constant = float(amount)
            return lambda values: constant
        case ast.Name(id=name) if name[:1] == "_" and name[1:].isdigit():
            index = int(name[1:])
            return lambda values: values[index]
        case ast.Name(id="true" | "false" as word):
            truth = word == "true"
            return lambda values: truth
    return None


def _arithmetic(node: ast.expr, text: str) -> Evaluate | None:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner, negate = _build(operand, text), _each(operator.neg)
            return lambda values: negate(inner(values))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            function, a, b = _BINARY[type(op)], _build(left, text), _build(right, text)
            return lambda values: function(a(values), b(values))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _COMPARE:
            test, c, d = _COMPARE[type(sign)], _build(left, text), _build(right, text)
            return lambda values: test(c(values), d(values))
    return None


def _grouped(node: ast.expr, text: str) -> Evaluate | None:
    match node:
        case ast.List(elts=elements):
            parts = [_build(element, text) for element in elements]
            return lambda values: [part(values) for part in parts]
        case ast.BoolOp(op=ast.And(), values=tests):
            built = [_build(test, text) for test in tests]
            return lambda values: all(test(values) for test in built)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                raise InputError(f'no function "{name}" in "{text}"; known: {", ".join(FUNCTIONS)}')
            called, inputs = FUNCTIONS[name][0], [_build(argument, text) for argument in arguments]
            return lambda values: called(*(argument(values) for argument in inputs))
    return None
