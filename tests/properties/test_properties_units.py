"""Laws of units: printing and reading agree, conversion is an algebra, nothing but a quantity is read."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suanli import units
from suanli.errors import UnitError
from suanli.units import convert, parse, show, to_si, unit

laws = settings(deadline=None, max_examples=200)
SYMBOLS = sorted(units._UNITS)
symbols = st.sampled_from(SYMBOLS)
plain = st.sampled_from([s for s in SYMBOLS if s != "1"])
sizes = st.floats(1e-30, 1e30)


@laws
@given(
    st.sampled_from(["W", "J", "byte", "byte/s", "FLOP", "FLOP/s", "s"]), st.floats(1e-6, 1e24), st.booleans()
)
def test_what_is_printed_reads_back_to_four_digits(symbol: str, size: float, negative: bool) -> None:
    value = -size if negative else size
    assert parse(show(value, symbol), symbol) == pytest.approx(value, rel=5.1e-3 if size < 1e-3 else 5.1e-4)


@laws
@given(st.floats(1e-9, 1e20))
def test_digits_keep_at_least_three_digits(value: float) -> None:
    assert float(units.digits(value).replace(",", "")) == pytest.approx(
        value, rel=5.1e-3 if value < 1e-4 else 5.1e-4
    )


@laws
@given(symbols, sizes)
def test_reading_a_number_with_its_unit_is_multiplication(symbol: str, size: float) -> None:
    assert parse(f"{size!r} {symbol}", symbol) == pytest.approx(size * unit(symbol).factor, rel=1e-12)
    assert parse(size, symbol) == pytest.approx(to_si(size, symbol), rel=1e-12)


@laws
@given(symbols, symbols, sizes)
def test_conversion_there_and_back(one: str, other: str, size: float) -> None:
    if unit(one).dimension != unit(other).dimension:
        with pytest.raises(UnitError):
            convert(size, one, other)
        with pytest.raises(UnitError):
            parse(f"{size!r} {one}", other)
        return
    assert convert(convert(size, one, other), other, one) == pytest.approx(size, rel=1e-12)
    assert convert(size, one, one) == pytest.approx(size, rel=1e-12)


@laws
@given(plain, plain)
def test_products_and_quotients(one: str, other: str) -> None:
    a, b = unit(one), unit(other)
    product, quotient = unit(f"{one}*{other}"), unit(f"{one}/{other}")
    assert product.factor == pytest.approx(a.factor * b.factor, rel=1e-12)
    assert quotient.factor == pytest.approx(a.factor / b.factor, rel=1e-12)
    assert product.dimension == unit(f"{other}*{one}").dimension
    assert [x + y for x, y in zip(quotient.dimension, b.dimension, strict=True)] == list(a.dimension)
    assert unit(f"{one}/{one}").dimension == unit("1").dimension


@laws
@given(st.sampled_from([s for s in SYMBOLS if s.isalpha()]), st.integers(1, 4))
def test_powers_are_repeated_products(symbol: str, power: int) -> None:
    assume(f"{symbol}{power}" not in units._UNITS)
    repeated = unit("*".join([symbol] * power))
    found = unit(f"{symbol}{power}")
    assert found.dimension == repeated.dimension
    assert found.factor == pytest.approx(repeated.factor, rel=1e-9)


@laws
@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else happens: no other exception, no number that is not finite."""
    try:
        value = parse(text, "W")
    except UnitError:
        return
    assert math.isfinite(value)


def test_decimal_prefixes_are_decimal_and_binary_ones_binary() -> None:
    ladder = ("", "k", "M", "G", "T", "P", "E")
    for step, prefix in enumerate(ladder):
        for symbol in ("B", "b", "FLOP", "FLOPS"):
            assert unit(prefix + symbol).factor == pytest.approx(unit(symbol).factor * 1000.0**step)
    for step, prefix in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1):
        assert unit(f"{prefix}B").factor == 1024.0**step
