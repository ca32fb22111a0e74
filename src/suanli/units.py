"""Units: read "35 kW", convert between units of one dimension, print "4.8 TB/s".

The engine computes in SI floats (s, W, J, byte, FLOP, m, K), USD, CNY and tokens; text with units exists only at
the boundary. The registry is closed: a unit that is not listed here is an error, never a guess. Temperatures in
degrees Celsius are a dimension of their own, because they are never multiplied.

Decimal prefixes are decimal (GB = 1e9 byte), binary ones binary (GiB = 2**30 byte); "b" is a bit, "B" a byte.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

from suanli.errors import UnitError, close_matches

_DIMENSIONS = ("m", "kg", "s", "A", "K", "celsius", "byte", "FLOP", "token", "USD", "CNY")
_ZERO = (0,) * len(_DIMENSIONS)


def _dim(**powers: int) -> tuple[int, ...]:
    return tuple(powers.get(name, 0) for name in _DIMENSIONS)


class Unit(NamedTuple):
    """A unit: its size in the coherent unit of its dimension, and the dimension's exponents."""

    factor: float
    dimension: tuple[int, ...]


_POWER = _dim(kg=1, m=2, s=-3)
_ENERGY = _dim(kg=1, m=2, s=-2)
_PREFIXES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}


def _registry() -> dict[str, Unit]:
    units: dict[str, Unit] = {}

    def add(symbols: str, factor: float, dimension: tuple[int, ...], prefixes: str = "") -> None:
        for symbol in symbols.split():
            units[symbol] = Unit(factor, dimension)
            for prefix in prefixes:
                units[prefix + symbol] = Unit(factor * _PREFIXES[prefix], dimension)

    add("1 count", 1.0, _ZERO)
    add("%", 0.01, _ZERO)
    add("pp", 0.01, _ZERO)
    add("dB", 1.0, _ZERO)
    add("deg", math.pi / 180.0, _ZERO)
    add("MT", 1e6, _ZERO)
    add("s", 1.0, _dim(s=1), "num")
    add("min", 60.0, _dim(s=1))
    add("h", 3600.0, _dim(s=1))
    add("day days d", 86400.0, _dim(s=1))
    add("week", 7.0 * 86400.0, _dim(s=1))
    add("month", 365.25 * 86400.0 / 12.0, _dim(s=1))
    add("quarter", 365.25 * 86400.0 / 4.0, _dim(s=1))
    add("year years yr a", 365.25 * 86400.0, _dim(s=1))
    add("Hz", 1.0, _dim(s=-1), "kMGT")
    add("FIT", 1e-9 / 3600.0, _dim(s=-1))
    add("m", 1.0, _dim(m=1), "num")
    add("km", 1e3, _dim(m=1))
    add("cm", 1e-2, _dim(m=1))
    add("RU", 0.04445, _dim(m=1))
    add("L l", 1e-3, _dim(m=3))
    add("g", 1e-3, _dim(kg=1), "mk")
    add("t", 1e3, _dim(kg=1), "kMG")
    add("K", 1.0, _dim(K=1), "m")
    add("C degC", 1.0, _dim(celsius=1))
    add("Pa", 1.0, _dim(kg=1, m=-1, s=-2), "kM")
    add("bar", 1e5, _dim(kg=1, m=-1, s=-2))
    add("A", 1.0, _dim(A=1), "mk")
    add("V", 1.0, _dim(kg=1, m=2, s=-3, A=-1), "mk")
    add("Ohm", 1.0, _dim(kg=1, m=2, s=-3, A=-2), "um")
    add("F", 1.0, _dim(kg=-1, m=-2, s=4, A=2), "um")
    add("W VA", 1.0, _POWER, "mkMGT")
    add("J", 1.0, _ENERGY, "numkMGTPE")
    units["pJ"] = Unit(1e-12, _ENERGY)
    add("Wh VAh", 3600.0, _ENERGY, "kMGT")
    add("B byte bytes", 1.0, _dim(byte=1), "kMGTPE")
    add("b bit bits", 0.125, _dim(byte=1), "kMGTPE")
    for prefix, size in _BINARY.items():
        units[prefix + "B"] = Unit(size, _dim(byte=1))
    add("FLOP FLOPs OP", 1.0, _dim(FLOP=1), "kMGTPE")
    add("FLOPS OPS", 1.0, _dim(FLOP=1, s=-1), "kMGTPE")
    add("tok token tokens", 1.0, _dim(token=1), "kMGT")
    add("USD", 1.0, _dim(USD=1), "kMGT")
    add("CNY", 1.0, _dim(CNY=1), "kMGT")
    return units


_UNITS = _registry()
_TERM = re.compile(r"^(%|1|[A-Za-z]+?)(\d)?$")


@lru_cache(maxsize=1024)
def unit(text: str) -> Unit:
    """Read a unit expression: symbols joined by "*" or "/", with a one-digit power ("m2", "USD/kW/month", "pJ/bit").

    Args:
        text: the expression; "" and "1" are dimensionless.

    Returns:
        Its size in coherent units and its dimension.

    Raises:
        UnitError: a symbol is not in the registry.
    """
    factor, powers = 1.0, list(_ZERO)
    if not text.strip():
        return Unit(1.0, _ZERO)
    sign = 1
    for piece in re.split(r"([*/])", text.replace(" per ", "/").replace(" ", "")):
        if piece in ("*", "/"):
            sign = 1 if piece == "*" else -1
            continue
        found, power = _UNITS.get(piece), 1
        if found is None:
            match = _TERM.match(piece)
            found = _UNITS.get(match[1]) if match else None
            power = int(match[2]) if match and match[2] else 1
        if found is None:
            hint = close_matches(piece, _UNITS)
            raise UnitError(
                f'unknown unit "{piece}" in "{text}"' + (f"; close: {', '.join(hint)}" if hint else "")
            )
        factor *= found.factor ** (sign * power)
        powers = [have + sign * power * more for have, more in zip(powers, found.dimension, strict=True)]
    return Unit(factor, tuple(powers))


def to_si(value: float, text: str) -> float:
    """Convert a number in the unit `text` to coherent units (SI, byte, FLOP, token, USD, CNY)."""
    return value * unit(text).factor


def convert(value: float, source: str, target: str) -> float:
    """Convert a number from one unit to another of the same dimension.

    Raises:
        UnitError: the dimensions differ.
    """
    have, want = unit(source), unit(target)
    if have.dimension != want.dimension:
        raise UnitError(f'"{source}" is not a unit like "{target}"')
    return value * have.factor / want.factor


# A comma separates thousands and nothing else: "1,5" is refused, not read as 15.
_DIGITS = r"\d{1,3}(?:,\d{3})+(?![\d,_])|\d[\d_]*(?!,)"
_QUANTITY = re.compile(
    rf"^\s*([-+]?(?:(?:{_DIGITS})(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\d.,_])\s*(.*?)\s*$"
)


def parse(text: str | float, target: str) -> float:
    """Read a quantity such as "35 kW" and return it in coherent units.

    Args:
        text: number with a unit, or a bare number taken to be in `target`.
        target: the unit the place expects; the quantity must have its dimension.

    Returns:
        The value in coherent units [SI].

    Raises:
        UnitError: not a number, not finite, an unknown unit, or another dimension.
    """
    if isinstance(text, bool):
        raise UnitError(f'expected a quantity in "{target}", got {text}')
    if isinstance(text, int | float):
        value, symbol = _finite(text), target
    else:
        match = _QUANTITY.match(text)
        if match is None:
            raise UnitError(f'cannot read "{text}" as a quantity; write a number and a unit like "{target}"')
        value, symbol = float(match[1].replace(",", "").replace("_", "")), match[2] or target
    have, want = unit(symbol), unit(target)
    if have.dimension != want.dimension:
        raise UnitError(f'"{symbol}" does not fit here; expected a unit like "{target}"')
    return _finite(value) * have.factor


def _finite(number: float) -> float:
    try:
        value = float(number)
    except OverflowError:  # an integer of more than 308 digits
        value = math.inf
    if not math.isfinite(value):
        raise UnitError(f"{value} is not a finite number")
    return value


_SCALES = {
    "W": (("GW", 1e9), ("MW", 1e6), ("kW", 1e3), ("W", 1.0)),
    "J": (("TWh", 3.6e15), ("GWh", 3.6e12), ("MWh", 3.6e9), ("kWh", 3.6e6), ("J", 1.0)),
    "byte": (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)),
    "byte/s": (("TB/s", 1e12), ("GB/s", 1e9), ("MB/s", 1e6), ("B/s", 1.0)),
    "FLOP/s": (("PFLOP/s", 1e15), ("TFLOP/s", 1e12), ("FLOP/s", 1.0)),
    "FLOP": (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9), ("FLOP", 1.0)),
    "s": (
        ("years", 365.25 * 86400.0),
        ("days", 86400.0),
        ("h", 3600.0),
        ("s", 1.0),
        ("ms", 1e-3),
        ("us", 1e-6),
    ),
    "1": (("T", 1e12), ("bn", 1e9), ("1", 1.0)),
    "USD": (("bn USD", 1e9), ("M USD", 1e6), ("USD", 1.0)),
    "tok": (("T tok", 1e12), ("bn tok", 1e9), ("M tok", 1e6), ("tok", 1.0)),
}


def scale_for(value: float, symbol: str) -> tuple[str, float]:
    """Return the readable unit for a value in coherent unit `symbol`, and its size in that unit."""
    scales = _SCALES.get(symbol)
    if scales is None:
        return symbol, 1.0
    size = abs(value)
    for name, factor in scales:
        if size >= factor:
            return name, factor
    return scales[-1]


def digits(value: float, significant: int = 4) -> str:
    """Print a number with thin precision: four significant digits, thousands separated, no exponent in daily use."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10 ** (significant - 1):
        return f"{value:,.0f}"
    if size < 1e-4:
        return f"{value:.3g}"
    places = max(0, significant - 1 - math.floor(math.log10(size)))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show(value: float | None, symbol: str) -> str:
    """Print a value held in coherent unit `symbol` for people: 4.8e12, "byte/s" -> "4.8 TB/s".

    Args:
        value: the number in `symbol`; None prints as "unavailable".
        symbol: its unit, "1" for a plain number.
    """
    if value is None or math.isnan(value):
        return "unavailable"
    name, factor = scale_for(value, symbol)
    text = digits(value / factor)
    return text if name == "1" else f"{text} {name}"
