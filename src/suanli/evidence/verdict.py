"""Judge a printed figure against the recomputed one by the digits that were printed.

Tolerance: every operand is moved by half a unit of its last place, one after another, and the moves of the result are
added up. Within the printed figure's own half unit: consistent. Within that plus the operands' tolerance: rounding.
Trailing zeros of large round numbers may be no digits at all ("1500" for 1520); that is allowed as rounding up to 2.5 %
(5 % where the report says "about", 0.25 % where it names a limit). Where a figure from outside the report is needed,
8 % may be another convention. Beyond: inconsistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from suanli.evidence.expression import Program
from suanli.evidence.number import Number

VERDICTS = ("consistent", "rounding", "inconsistent", "unjudged")
_EPSILON = 1e-9
_ROUND_CAP = 0.025
_ABOUT_CAP = 0.05
_BOUND_CAP = 0.0025  # a stated limit is kept or not; its trailing zeros are digits but for the last rounding
OUTSIDE = 0.08  # a figure from outside the report may rest on another convention


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an expression gives: the value (a number, truth, or a row) and how far the printed digits leave it open."""

    value: Any
    spread: Any
    loose: Any


def plain(operand: Any) -> Any:
    """Strip the digits' tolerance: Number -> float, rows element by element."""
    if isinstance(operand, list):
        return [plain(item) for item in operand]
    return operand.value if isinstance(operand, Number) else operand


def evaluate(program: Program, operands: Sequence[Any]) -> Outcome:
    """Compute an expression and how far half a unit of every operand's last place moves it."""
    values = [plain(operand) for operand in operands]
    result = program.evaluate(values)
    spread = loose = [0.0] * len(result) if isinstance(result, list) else 0.0
    for index, operand in enumerate(operands):
        cells = operand if isinstance(operand, list) else [operand]
        for at, cell in enumerate(cells):
            if isinstance(cell, Number) and cell.loose > 0:
                place = at if isinstance(operand, list) else None
                move = _move(program, values, (index, place), cell.half, result)
                wide = (
                    move
                    if cell.loose == cell.half
                    else _move(program, values, (index, place), cell.loose, result)
                )
                spread, loose = _add(spread, move), _add(loose, wide)
    return Outcome(result, spread, loose)


def _move(
    program: Program, values: list[Any], place: tuple[int, int | None], half: float, result: Any
) -> Any:
    index, at = place
    moved: list[Any] = []
    for step in (half, -half):
        changed = list(values)
        if at is None:
            changed[index] += step
        else:
            row = list(changed[index])
            row[at] += step
            changed[index] = row
        moved.append(program.evaluate(changed))
    if isinstance(result, list):
        return [max(_far(m[i], r) for m in moved) for i, r in enumerate(result)]
    return max(_far(m, result) for m in moved)


def _far(moved: Any, result: Any) -> float:
    if moved is None or result is None or isinstance(result, str):
        return 0.0
    return abs(float(moved) - float(result))


def _add(total: Any, more: Any) -> Any:
    return [a + b for a, b in zip(total, more, strict=True)] if isinstance(total, list) else total + more


def judge(
    computed: Outcome,
    printed: Outcome,
    *,
    bound: str = "",
    exact: bool = False,
    about: bool = False,
    same: bool = False,
    outside: bool = False,
) -> tuple[str, list[int]]:
    """Compare; return the verdict, and for rows the places that are inconsistent.

    Args:
        computed: the recomputed figure.
        printed: the printed figure, with its digits' tolerance.
        bound: "at least", "at most", "within" (printed is [low, high]) or "".
        exact: an identity: trailing zeros count as digits.
        about: the report says "about".
        outside: the other side rests on figures from outside the report.
        same: both are printed figures of one quantity: they must agree to the digits of the coarser one.
    """
    if outside and isinstance(computed.value, float) and isinstance(printed.value, float):
        extra = max(OUTSIDE * abs(printed.value) - printed.spread, 0.0)
        computed = Outcome(computed.value, computed.spread + extra, computed.loose + extra)
    if same and not isinstance(computed.value, list | str | bool):
        half = max(computed.spread, printed.spread)
        computed, printed = Outcome(computed.value, 0.0, 0.0), Outcome(printed.value, half, half)
    if bound == "within":
        low, high = printed.value
        if low - _EPSILON <= computed.value <= high + _EPSILON:
            return "consistent", []
        near = low if computed.value < low else high
        return _one(computed.value, near, (computed.spread, 0.0), (0.0, 0.0), ""), []
    if not isinstance(computed.value, list):
        cap = 0.0 if exact else _BOUND_CAP if bound else _ABOUT_CAP if about else _ROUND_CAP
        return _scalar(computed, printed, bound, cap), []
    wanted = printed.value if isinstance(printed.value, list) else [printed.value] * len(computed.value)
    if len(wanted) != len(computed.value):
        return "unjudged", []
    verdicts = []
    for index, value in enumerate(computed.value):
        one = Outcome(value, computed.spread[index], computed.loose[index])
        other = (
            Outcome(wanted[index], printed.spread[index], printed.loose[index])
            if isinstance(printed.value, list)
            else printed
        )
        verdicts.append(_scalar(one, other, bound, 0.0 if exact else _ROUND_CAP))
    worst = max(verdicts, key=("unjudged", *VERDICTS[:3]).index, default="unjudged")
    return worst, [index for index, verdict in enumerate(verdicts) if verdict == "inconsistent"]


def _scalar(computed: Outcome, printed: Outcome, bound: str, cap: float) -> str:
    value, wanted = computed.value, printed.value
    if value is None or wanted is None:
        return "consistent" if value is None and wanted is None else "unjudged"
    if isinstance(wanted, bool) or isinstance(value, bool):
        if bool(value) is bool(wanted):
            return "consistent"
        return "rounding" if computed.spread > 0 else "inconsistent"
    if isinstance(wanted, str) or isinstance(value, str):
        return "consistent" if value == wanted else "inconsistent"
    limit = cap * abs(wanted)
    ours = min(cap, _ROUND_CAP) * abs(wanted)
    tolerance = (computed.spread, min(computed.loose, max(ours, computed.spread)))
    halves = (printed.spread, min(printed.loose, max(limit, printed.spread)))
    return _one(value, wanted, tolerance, halves, bound)


def _one(
    value: float, wanted: float, tolerance: tuple[float, float], halves: tuple[float, float], bound: str
) -> str:
    gap = abs(value - wanted)
    if (bound == "at least" and value >= wanted) or (bound == "at most" and value <= wanted):
        return "consistent"
    slack = _EPSILON * max(abs(wanted), abs(value), 1.0)
    if gap <= halves[0] + slack:
        return "consistent"
    if gap <= halves[0] + tolerance[0] + slack or gap <= halves[1] + tolerance[1] + slack:
        return "rounding"
    return "inconsistent"
