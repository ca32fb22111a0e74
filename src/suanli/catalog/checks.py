"""Check the rows that a user lays over the catalogue: what the shipped rows are tested for, said with file and line."""

from __future__ import annotations

import math

from suanli import units
from suanli.catalog.fact import GRADES, Fact
from suanli.catalog.schema import Parameter, schema, stem
from suanli.errors import UnitError, close_matches

_STATUSES = ("adopted", "alternative", "rejected")


def row_problems(fact: Fact) -> list[str]:
    """Return what is wrong with a row, one line each: parameter, number, unit, bounds, band, grade, status.

    Args:
        fact: a row as it was read.
    """
    known = schema()[fact.table]
    rule = known.get(stem(fact.parameter))
    if rule is None:
        near = close_matches(stem(fact.parameter), known, 1)
        return [f"{fact.parameter}: no such parameter." + (f' Did you mean "{near[0]}"?' if near else "")]
    problems = [
        f"{fact.parameter}: {line}" for line in (_number(fact, rule) if rule.type == "number" else [])
    ]
    for name, given, allowed in (("grade", fact.grade, tuple(GRADES)), ("status", fact.status, _STATUSES)):
        if given not in allowed:
            problems.append(f'{fact.parameter}: {name} "{given}" is not one of {", ".join(allowed)}')
    return problems


def _number(fact: Fact, rule: Parameter) -> list[str]:
    try:
        ends = [float(text) for text in (fact.value, fact.low or fact.value, fact.high or fact.value)]
    except ValueError:
        given = next(text for text in (fact.value, fact.low, fact.high) if not _is_number(text))
        return [f'"{given}" is not a number']
    if not all(math.isfinite(end) for end in ends):
        return ["not a finite number"]
    try:
        value, low, high = (units.convert(end, fact.unit, rule.unit) for end in ends)
    except UnitError as error:
        return [str(error)]
    if not low <= value <= high:
        return [f"{fact.value} does not lie between low {fact.low} and high {fact.high}"]
    return _bounds(low, high, rule)


def _bounds(low: float, high: float, rule: Parameter) -> list[str]:
    symbol = "" if rule.unit in ("", "1") else f" {rule.unit}"
    if rule.min is not None and low < rule.min:
        return [f"{low:g}{symbol} is below {rule.min:g}{symbol}"]
    if rule.max is not None and high > rule.max:
        return [f"{high:g}{symbol} is above {rule.max:g}{symbol}"]
    return []


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True
