"""Units: what each symbol is worth, which quantities are read, which are refused, how values are printed."""

from __future__ import annotations

import math

import pytest

from suanli import units
from suanli.errors import InputError, UnitError
from suanli.units import convert, parse, show, to_si, unit

# Worth in coherent units, by definition (SI brochure, 9th ed., tables 4 to 8; IEC 80000-13 for binary prefixes).
WORTH = [
    ("35 kW", "W", 35e3),
    ("1 MWh", "J", 3.6e9),
    ("1 kWh", "J", 3.6e6),
    ("2 h", "s", 7200.0),
    ("1 day", "s", 86400.0),
    ("1 year", "s", 31557600.0),
    ("50 ms", "s", 0.05),
    ("2 us", "s", 2e-6),
    ("3.35 TB/s", "byte/s", 3.35e12),
    ("400 Gb/s", "byte/s", 50e9),
    ("400 Gbit/s", "byte/s", 50e9),
    ("80 GiB", "byte", 80 * 2**30),
    ("80 GB", "byte", 80e9),
    ("989 TFLOPS", "FLOP/s", 989e12),
    ("989 TFLOP/s", "FLOP/s", 989e12),
    ("0.14 USD/Mtok", "USD/tok", 0.14e-6),
    ("2 USD/h", "USD/s", 2 / 3600),
    ("0.06 USD/kWh", "USD/J", 0.06 / 3.6e6),
    ("120 USD/kW/month", "USD/W/s", 120 / 1e3 / (365.25 * 86400 / 12)),
    ("1.8 L/kWh", "m3/J", 1.8e-3 / 3.6e6),
    ("4 pJ/bit", "J/byte", 32e-12),
    ("42 RU", "m", 42 * 1.75 * 0.0254),
    ("2 bar", "Pa", 2e5),
    ("54 V", "V", 54.0),
    ("25 %", "1", 0.25),
    ("27 degC", "C", 27.0),
    ("1000 FIT", "1/s", 1000 / (1e9 * 3600)),
    ("608 Gtok", "tok", 608e9),
    ("0.4 kg/kWh", "kg/J", 0.4 / 3.6e6),
    ("480 V*A", "W", 480.0),
    ("30 m2", "m2", 30.0),
]


@pytest.mark.parametrize(("text", "target", "worth"), WORTH, ids=[row[0] for row in WORTH])
def test_what_a_quantity_is_worth(text: str, target: str, worth: float) -> None:
    assert parse(text, target) == pytest.approx(worth, rel=1e-12)


def test_bits_and_bytes_are_not_confused() -> None:
    assert parse("8 b", "B") == 1.0
    assert parse("1 GB", "B") == 8 * parse("1 Gb", "B")
    assert parse("1 GiB", "B") / parse("1 GB", "B") == 2**30 / 1e9


def test_volt_times_ampere_and_joule_per_second_are_watts() -> None:
    assert unit("V*A").dimension == unit("J/s").dimension == unit("W").dimension
    assert unit("Ohm").dimension == unit("V/A").dimension
    assert unit("F").dimension == unit("A*s/V").dimension
    assert unit("Pa").dimension == unit("J/m3").dimension


def test_a_bare_number_is_in_the_unit_of_its_place() -> None:
    assert parse(5, "kW") == 5e3
    assert parse(2.5, "USD/Mtok") == pytest.approx(2.5e-6)
    assert parse("7", "ms") == pytest.approx(7e-3)


@pytest.mark.parametrize(
    "text", ["1,234,567 W", "1_234_567 W", "1234567", "1.234567e6 W", "+1234.567 kW", " 1.234567MW "]
)
def test_ways_to_write_a_number(text: str) -> None:
    assert parse(text, "W") == pytest.approx(1234567.0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "W", "watt", "1,5 W", "1,50 W", "1,5000 W", "12,34 W", "1,234,56 W", "1.2.3 W"),
        *("5 kB", "5 W/s", "5 Wh", "5 w", "nan W", "nan", "inf", "1e999 W", "0x10 W", "five W", "1e W"),
        *("5 W/", "5 /W", "5 W//s", "5 *W"),
    ],
)
def test_what_is_not_a_power(text: str) -> None:
    with pytest.raises(UnitError):
        parse(text, "W")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_numbers_that_are_not_finite(value: float) -> None:
    with pytest.raises(UnitError, match="not a finite number"):
        parse(value, "W")


def test_truth_is_no_number() -> None:
    with pytest.raises(UnitError, match="expected a quantity"):
        parse(True, "W")


def test_messages_name_the_unit_and_the_close_ones() -> None:
    with pytest.raises(UnitError, match='unknown unit "kWatt" in "kWatt"'):
        parse("5 kWatt", "W")
    with pytest.raises(UnitError, match='"GB" does not fit here; expected a unit like "W"'):
        parse("5 GB", "W")
    with pytest.raises(UnitError, match=r'unknown unit "Mtoks".*close: .*Mtok'):
        parse("5 USD/Mtoks", "USD/Mtok")
    assert issubclass(UnitError, InputError)


def test_dollars_and_yuan_do_not_mix() -> None:
    with pytest.raises(UnitError):
        convert(7.0, "CNY", "USD")
    with pytest.raises(UnitError):
        convert(1.0, "C", "K")


def test_conversion_keeps_the_dimension() -> None:
    assert convert(1.0, "USD/h", "USD/day") == pytest.approx(24.0)
    assert convert(1.0, "TB/s", "Tb/s") == pytest.approx(8.0)
    with pytest.raises(UnitError, match='"W" is not a unit like "J"'):
        convert(1.0, "W", "J")
    assert to_si(2.0, "kW/m2") == 2e3


@pytest.mark.parametrize(
    ("value", "symbol", "text"),
    [
        (4.8e12, "byte/s", "4.8 TB/s"),
        (989e12, "FLOP/s", "989 TFLOP/s"),
        (1.838e6, "W", "1.838 MW"),
        (999.0, "W", "999 W"),
        (1e3, "W", "1 kW"),
        (3.6e12 * 16.11, "J", "16.11 GWh"),
        (0.05, "s", "50 ms"),
        (90.0, "s", "90 s"),
        (86400.0 * 30, "s", "30 days"),
        (0.0, "W", "0 W"),
        (-2.5e6, "W", "-2.5 MW"),
        (87279.4, "USD", "87,279 USD"),
        (1.0112e8, "USD", "101.1 M USD"),
        (671.03e9, "1", "671 bn"),
        (0.345, "1", "0.345"),
        (168e9, "tok", "168 bn tok"),
        (5.0, "m", "5 m"),
        (None, "W", "unavailable"),
        (math.nan, "USD", "unavailable"),
    ],
)
def test_printing(value: float | None, symbol: str, text: str) -> None:
    assert show(value, symbol) == text


def test_unknown_never_prints_as_zero() -> None:
    assert "0" not in show(None, "USD")
    assert "0" not in show(math.nan, "1")


def test_printed_precision_is_four_digits() -> None:
    assert units.digits(1234.5678) == "1,235"
    assert units.digits(12.345678) == "12.35"
    assert units.digits(0.00012345678) == "0.0001235"
    assert units.digits(1.23456e-7) == "1.23e-07"
    assert units.digits(100.0) == "100"
