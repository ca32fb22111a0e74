"""Digits, units, the language of relations, verdicts."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suanli.errors import InputError, UnitError
from suanli.evidence.expression import FUNCTIONS, compile_expression
from suanli.evidence.number import number
from suanli.evidence.quantity import claim_unit, comparable, conversion
from suanli.evidence.verdict import Outcome, evaluate, judge


@pytest.mark.parametrize(
    ("text", "value", "half", "loose"),
    [
        ("557.6", 557.6, 0.05, 0.05),
        ("50", 50.0, 0.5, 5.0),
        ("1500", 1500.0, 0.5, 50.0),
        ("278.8e4", 2788000.0, 500.0, 500.0),
        ("3,984", 3984.0, 0.5, 0.5),
        ("0.10", 0.10, 0.005, 0.005),
        ("3000000", 3e6, 3e4, 5e5),
    ],
)
def test_digits(text: str, value: float, half: float, loose: float) -> None:
    read = number(text)
    assert read is not None
    assert (read.value, read.half, read.loose) == pytest.approx((value, half, loose))


@pytest.mark.parametrize("text", ["", "-", "about 5", "1e999", "3 kW"])
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("亿元 (1e8 CNY)", "billion CNY", 0.1),
        ("万副", "亿副", 1e-4),
        ("万美元", "USD", 1e4),
        ("Gb/s", "GB/s", 0.125),
        ("Tb/s", "Gb/s", 1000.0),
        ("EFLOPS", "PFLOPS", 1000.0),
        ("TOPS", "TFLOPS", 1.0),
        ("%", "fraction", 0.01),
        ("1e8 USD", "million USD", 100.0),
        ("元/百万token", "元/千token", 1e-3),
        ("kW/rack", "W per rack", 1000.0),
        ("百万元", "万元", 100.0),
    ],
)
def test_units_of_reports(source: str, target: str, factor: float) -> None:
    assert conversion(source, target) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("left", "right"),
    [("chips", "racks"), ("GB", "GB/s"), ("亿元", "亿美元"), ("kW", "kWh"), ("W", "TFLOPS")],
)
def test_units_that_cannot_be_compared(left: str, right: str) -> None:
    assert not comparable(claim_unit(left), claim_unit(right))
    with pytest.raises(UnitError, match="cannot be compared"):
        conversion(left, right)


def test_growth_of_the_glasses_market() -> None:
    # 350 to 9,000 in five years: (9000/350)^(1/5) - 1 = 0.9144
    program = compile_expression("cagr_percent({a}, {b}, 5)")
    assert program.references == ("a", "b")
    assert program.evaluate([9000.0, 350.0]) == pytest.approx(91.44, abs=0.01)


def test_rows_work_element_by_element() -> None:
    program = compile_expression("{t:revenue[1:]} / {t:revenue[:-1]} - 1")
    assert program.evaluate([[110.0, 121.0], [100.0, 110.0]]) == pytest.approx([0.1, 0.1])


def test_division_by_nothing_and_gaps_are_none() -> None:
    assert compile_expression("1 / {a}").evaluate([0.0]) is None
    assert compile_expression("{a} + {b}").evaluate([[1.0, None], [1.0, 1.0]]) == [2.0, None]
    assert compile_expression("9 ** 9 ** 9").evaluate([]) is None
    assert compile_expression("1e308 * 10").evaluate([]) is None


def test_ragged_years_are_named() -> None:
    with pytest.raises(InputError, match="ragged"):
        compile_expression("{a} + {b}").evaluate([[1.0, 2.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "{a}.real",
        "lambda: 1",
        "[x for x in {a}]",
        "{a} if {b} else 1",
        "{a} or {b}",
        "f(1)",
        "1 +",
    ],
)
def test_nothing_but_arithmetic(text: str) -> None:
    with pytest.raises(InputError):
        compile_expression(text)


def test_every_function_says_what_it_does() -> None:
    assert all(len(text) > 5 for _, text in FUNCTIONS.values())


def _judge(value: float, printed: str, spread: float = 0.0, **how: bool) -> str:
    read = number(printed)
    assert read is not None
    wanted = Outcome(read.value, read.half, read.loose)
    return judge(Outcome(value, spread, spread), wanted, **how)[0]


def test_verdicts_by_the_printed_digits() -> None:
    assert _judge(83.74, "83.7") == "consistent"
    assert _judge(83.80, "83.7", spread=0.06) == "rounding"
    assert _judge(91.44, "83.7", spread=0.3) == "inconsistent"
    assert _judge(1520.0, "1500") == "rounding"
    assert _judge(1520.0, "1500", exact=True) == "inconsistent"
    assert _judge(61.5, "60", about=True) == "rounding"


def test_bounds() -> None:
    wanted = Outcome(40.0, 0.5, 0.5)
    assert judge(Outcome(55.0, 0.0, 0.0), wanted, bound="at least")[0] == "consistent"
    assert judge(Outcome(39.0, 0.0, 0.0), wanted, bound="at least")[0] == "inconsistent"
    assert judge(Outcome(39.0, 0.0, 0.0), wanted, bound="at most")[0] == "consistent"
    assert judge(Outcome(2.5, 0.0, 0.0), Outcome([2.5, 6.0], 0.0, 0.0), bound="within")[0] == "consistent"
    assert judge(Outcome(7.5, 0.0, 0.0), Outcome([2.5, 6.0], 0.0, 0.0), bound="within")[0] == "inconsistent"


def test_rows_name_the_places() -> None:
    verdict, places = judge(
        Outcome([1.0, 9.0, None], [0.0] * 3, [0.0] * 3), Outcome([1.0, 2.0, None], [0.0] * 3, [0.0] * 3)
    )
    assert (verdict, places) == ("inconsistent", [1])


@settings(deadline=None)
@given(
    a=st.floats(1.0, 1e4),
    b=st.floats(1.0, 1e4),
    shift=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_tolerance_covers_what_the_digits_leave_open(a: float, b: float, shift: tuple[float, float]) -> None:
    """Move both operands anywhere inside half a unit: the ratio stays inside the tolerance, to second order."""
    x, y = number(f"{a:.1f}"), number(f"{b:.1f}")
    assert x is not None and y is not None
    found = evaluate(compile_expression("{a} / {b}"), [x, y])
    moved = (x.value + shift[0] * x.half) / (y.value + shift[1] * y.half)
    second = 1.0 + 2.0 * (x.half / x.value + y.half / y.value)
    assert abs(moved - found.value) <= found.spread * second + 1e-12


@settings(deadline=None)
@given(value=st.floats(1e-3, 1e6), digits=st.integers(1, 6))
def test_a_printed_value_is_consistent_with_what_it_was_rounded_from(value: float, digits: int) -> None:
    places = digits - 1 - math.floor(math.log10(value))
    text = f"{round(value, places):.{max(places, 0)}f}"
    assume(places >= 0)  # of round whole numbers the zeros may be no digits; that is capped
    assert _judge(value, text) == "consistent"
