"""For a contradiction: which single change would reconcile it, and how large it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from suanli.errors import SuanliError
from suanli.evidence.claims import Claim
from suanli.evidence.expression import Program, compile_expression
from suanli.evidence.number import Number
from suanli.evidence.relation import Relation
from suanli.evidence.verdict import Outcome, plain

# What a factor between printed and computed usually is. The tests of size come first: bits and bytes before decades.
SLIPS: tuple[tuple[float, str], ...] = (
    (8.0, "unit slip x8: bits against bytes"),
    (10.0, "unit slip x10"),
    (100.0, "unit slip x100: percent against fraction, or two decimals"),
    (1000.0, "unit slip x1000: one prefix"),
    (1e4, "unit slip x1e4: 万 against one"),
    (1e5, "unit slip x1e5"),
    (1e6, "unit slip x1e6: two prefixes"),
    (1e8, "unit slip x1e8: 亿 against one"),
    (1.024, "binary prefix: 1024 against 1000"),
    (1.024**2, "binary prefix: 1024^2 against 1000^2"),
)
_FACTORS = (
    (2.0, "factor 2: sparse against dense, or one of two (dies, chips, directions)"),
    (4.0, "factor 4: two steps of two (format and sparsity)"),
)
_CURRENCY = (6.7, 7.4)
_HARDWARE = (
    "chip",
    "rack",
    "server",
    "cluster",
    "optics",
    "network",
    "memory",
    "cable",
    "edge",
    "device",
    "app",
)
_CLOSE = 0.012
_DECADES = (8.0, 0.125, 10.0, 0.1, 100.0, 0.01, 1e3, 1e-3, 1e4, 1e-4)
_GROWTH = ("growth", "growth_percent", "change", "change_percent", "cagr", "cagr_percent")


@dataclass(frozen=True, slots=True)
class Case:
    """A contradiction with everything that went into it."""

    check: Relation
    claim: Claim
    program: Program
    operands: Sequence[Any]
    computed: Outcome
    printed: Outcome
    places: Sequence[int]
    labels: Sequence[str]


def cause(case: Case) -> tuple[str, str]:
    """Return (kind of slip, sentence) for a contradiction.

    The kinds: unit, binary prefix, factor, currency, years, base, multiple, swapped, shifted, sign, complement, digits,
    operand, two values, statement, wording, unexplained.
    """
    if case.check.relation == "order" or isinstance(case.printed.value, bool | str):
        return "wording", _wording(case)
    if isinstance(case.computed.value, list):
        return _row_cause(case)
    for rule in (_sign, _scale, _years, _multiple, _complement, _swapped, _digits, _operand):
        found = rule(case)
        if found:
            return found[0], f"{found[1]}; {_size(case)}"
    if case.check.relation == "same":
        return "two values", f"two values for one quantity{_pair(case)}; {_size(case)}"
    return "unexplained", f"no single change reconciles it; {_size(case)}{_on_record(case)}"


def _on_record(case: Case) -> str:
    return f"; on record: {case.claim.note}" if case.claim.note else ""


def _pair(case: Case) -> str:
    values = [plain(operand) for operand in case.operands]
    if len(values) == 1 and case.printed.value not in (0, 1):
        values.append(case.printed.value)
    numbers = [value for value in values if isinstance(value, int | float)]
    return f" ({numbers[0]:g} and {numbers[1]:g})" if len(numbers) == len(values) == 2 else ""


def _size(case: Case) -> str:
    value, wanted = float(case.computed.value), float(case.printed.value)
    if wanted == 0:
        return f"off by {value:.4g}"
    return (
        f"computed is {value / wanted - 1:+.1%} from printed"
        if abs(value / wanted) < 20
        else f"x{value / wanted:.4g}"
    )


def _wording(case: Case) -> str:
    shown = ", ".join(f"{plain(v)}" for v in case.operands if v is not None)
    about = f" ({shown})" if shown else ""
    return (
        f"the statement does not hold{about}: {case.check.why}" if case.check.why else f"does not hold{about}"
    )


def _tolerance(case: Case) -> float:
    value = abs(float(case.computed.value)) or 1.0
    return float(_CLOSE + min(0.03, (case.computed.spread + case.printed.spread) / value))


def _matches(case: Case, value: Any) -> bool:
    wanted = case.printed.value
    if value is None or isinstance(value, bool | str | list):
        return False
    return bool(abs(value - wanted) <= max(_tolerance(case) * 0.6 * abs(wanted), case.printed.spread))


def _sign(case: Case) -> tuple[str, str] | None:
    if case.printed.value and _matches(case, -case.computed.value):
        return "sign", "the sign is turned"
    return None


def _slips(case: Case) -> Iterator[tuple[float, str]]:
    yield from SLIPS
    if case.claim.subject.partition("/")[0] in _HARDWARE:
        yield from _FACTORS


def _scale(case: Case) -> tuple[str, str] | None:
    if not case.computed.value or not case.printed.value:
        return None
    ratio = case.computed.value / case.printed.value
    if ratio <= 0:
        return None
    size = max(ratio, 1.0 / ratio)
    for factor, text in _slips(case):
        width = 0.004 if factor < 1.1 else _tolerance(case)
        if abs(size / factor - 1.0) <= width and (factor > 1.1 or case.check.relation == "machine count"):
            kind = "binary prefix" if factor < 1.1 else "factor" if factor in (2.0, 4.0) else "unit"
            return kind, text
    if case.check.relation == "machine count" and abs(size / 1.024 - 1.0) < 0.03:
        return "binary prefix", "binary prefix: 1024 against 1000, with a rounded machine figure"
    if _CURRENCY[0] <= size <= _CURRENCY[1] and re.search(r"USD|CNY|元", case.claim.unit):
        return "currency", f"CNY against USD: the two differ by {size:.2f}"
    return None


def _years(case: Case) -> tuple[str, str] | None:
    match = re.search(r"(cagr(?:_percent)?\(.*, )(\d+)\)$", case.check.expression) or re.search(
        r"^(.*\*\* ?)(\d+)((?:(?!\*\*).)*)$", case.check.expression
    )
    if match is None:
        return None
    years = int(match[2])
    tail = ")" if "cagr" in match[0][:5] or match[0].startswith("cagr") else match[3]
    for other in (years - 1, years + 1, years - 2, years + 2):
        if other > 0 and _matches(case, _again(case, f"{match[1]}{other}{tail}")):
            return "years", f"holds over {other} years, not {years}: another base year"
    return None


def _again(case: Case, expression: str) -> Any:
    try:
        program = compile_expression(expression)
        known = dict(zip(case.program.references, case.operands, strict=True))
        return program.evaluate([plain(known[reference]) for reference in program.references])
    except (SuanliError, KeyError, TypeError, ZeroDivisionError, OverflowError):
        return None


def _multiple(case: Case) -> tuple[str, str] | None:
    if case.check.expression.partition("(")[0] not in _GROWTH:
        return None
    one = 100.0 if "percent" in case.check.expression.partition("(")[0] else 1.0
    if _matches(case, case.computed.value + one):
        return "multiple", "the multiple is printed as the growth"
    if _matches(case, case.computed.value - one):
        return "multiple", "the growth is printed as the multiple"
    return None


def _complement(case: Case) -> tuple[str, str] | None:
    whole = 100.0 if case.printed.value > 1 and "%" in case.claim.unit else 1.0
    parts = ("share", "cut", "difference", "ratio")
    if (
        case.check.kind == "identity"
        or case.check.relation not in parts
        or not 0 < case.computed.value < whole
    ):
        return None
    return (
        ("complement", "the rest is printed for the part")
        if _matches(case, whole - case.computed.value)
        else None
    )


def _swapped(case: Case) -> tuple[str, str] | None:
    match = re.match(r"^(\w+)\(([^,()]+), ([^,()]+)((?:, \d+)?)\)$", case.check.expression)
    if match and _matches(case, _again(case, f"{match[1]}({match[3]}, {match[2]}{match[4]})")):
        return "swapped", "the two operands are swapped"
    return None


def _digits(case: Case) -> tuple[str, str] | None:
    """Two figures with the same digits in another order: 624 and 642."""
    pairs = [(case.printed.value, case.computed.value)]
    if case.check.relation == "same" and len(case.operands) == 2:
        pairs = [(plain(case.operands[0]), plain(case.operands[1]))]
    for a, b in pairs:
        if isinstance(a, list | str) or isinstance(b, list | str) or a is None or b is None:
            continue
        one, two = f"{a:.6g}", f"{b:.6g}"
        if one != two and sorted(one) == sorted(two) and len(one.strip("0.")) > 1:
            return "digits", f"digits transposed: {one} and {two}"
    return None


def _operand(case: Case) -> tuple[str, str] | None:
    """One operand off by a unit slip."""
    if case.check.kind == "identity":
        return None
    values = [plain(operand) for operand in case.operands]
    found = []
    for index, operand in enumerate(case.operands):
        if not isinstance(operand, Number):
            continue
        for size in _DECADES:
            changed = list(values)
            changed[index] *= size
            if _matches(case, _safe(case.program.evaluate, changed)):
                found.append(f"{case.program.references[index]} were x{size:g}")
    return ("operand", f"unit slip in an operand: holds if {' or if '.join(found[:2])}") if found else None


def _safe(evaluate: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> Any:
    try:
        return evaluate(values)
    except (SuanliError, TypeError, ZeroDivisionError, OverflowError):
        return None


def _row_cause(case: Case) -> tuple[str, str]:
    value, wanted = case.computed.value, case.printed.value
    if not isinstance(wanted, list):
        wanted = [wanted] * len(value)
    labels = list(case.labels)[-len(value) :] if len(case.labels) >= len(value) else []
    names = [labels[i] if labels else str(i + 1) for i in case.places]
    gaps = ", ".join(_gap(value[i], wanted[i]) for i in case.places)
    where = f"at {', '.join(names)} ({gaps})"
    for step in (1, -1):
        inside = [(i, i + step) for i in range(len(value)) if 0 <= i + step < len(value)]
        if len(inside) > 1 and all(_near(value[a], wanted[b]) for a, b in inside):
            return "shifted", f"the columns are shifted by one; {where}"
    if all(_near(-(value[i] or 0.0), wanted[i]) for i in case.places):
        return "sign", f"the sign is turned; {where}"
    if case.check.relation in ("income statement", "cash flow", "balance sheet"):
        return "statement", f"a line is missing or misread; {where}"
    return "unexplained", f"no single change reconciles it; {where}{_on_record(case)}"


def _gap(value: float | None, wanted: float | None) -> str:
    if value is None or wanted is None:
        return "none against a value"
    return f"{value - wanted:+.4g}" if not wanted else f"{value:.4g} for {wanted:.4g}"


def _near(value: float | None, wanted: float | None) -> bool:
    return value is not None and wanted is not None and wanted != 0 and abs(value / wanted - 1.0) < _CLOSE
