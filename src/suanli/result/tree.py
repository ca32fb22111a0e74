"""Walk from a value down to what it was made of: formulas, inputs, catalogue rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from suanli import units
from suanli.result.metrics import metrics
from suanli.result.value import Value


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an explanation: a value, how deep it stands, and whether it was shown before."""

    value: Value
    depth: int
    repeated: bool


def walk(values: Mapping[str, Value], name: str, max_depth: int = 12) -> Iterator[Step]:
    """Yield the value and, below it, its inputs down to given and catalogue ones; each is opened once.

    Args:
        values: every value of a run by name.
        name: where to start; must be in `values`.
        max_depth: how deep to go.
    """
    opened: set[str] = set()

    def visit(key: str, depth: int) -> Iterator[Step]:
        value = values[key]
        again = key in opened
        yield Step(value, depth, again)
        if again or depth >= max_depth:
            return
        opened.add(key)
        for below in value.inputs:
            if below in values:
                yield from visit(below, depth + 1)

    yield from visit(name, 0)


# Coherent units of what a user gives, in the units that people write them in.
_WRITTEN = {"USD/s": "USD/h", "USD/tok": "USD/Mtok", "USD/J": "USD/kWh", "kg/J": "kg/kWh"}
# From here on a band counts in thousands, so that it stays short beside its value.
_LONG = 1e5


def shown(value: Value) -> str:
    """Print a value with its unit and what it is counted per: "87,072 USD/day"."""
    if value.text:
        return value.text
    if value.value is None:
        return f"unavailable ({value.reason})"
    if value.basis == "catalogue":
        text = units.digits(value.value) if abs(value.value) < 1e15 else f"{value.value:g}"
        return text if value.unit == "1" else f"{text} {value.unit}"
    per = metrics()[value.name].per if value.name in metrics() else ""
    written = _written(value)
    if written:
        return f"{units.digits(units.convert(value.value, value.unit, written))} {written}"
    return units.show(value.value, value.unit) + per


def shown_band(value: Value) -> str:
    """Print the 90 % band of a value in the unit that the value is printed in; empty where there is none."""
    if value.value is None or value.low is None or value.high is None or value.low == value.high:
        return ""
    factor = 1.0 if value.basis == "catalogue" else _size(value)
    low, high = value.low / factor, value.high / factor
    if value.basis != "catalogue" and _LONG <= max(abs(low), abs(high)) < _LONG * 1e4:
        size, suffix = (1e6, "M") if max(abs(low), abs(high)) >= _LONG * 10 else (1e3, "k")
        return f"{units.digits(low / size)}{suffix}..{units.digits(high / size)}{suffix}"
    return f"{units.digits(low)}..{units.digits(high)}"


def shown_published(value: Value, published: float) -> str:
    """Print a published figure in the unit that our value is printed in, with a digit more: "5,655", "226.75"."""
    number = published / _size(value)
    size = abs(number)
    if size >= 1e4 or size < 1e-4:
        return units.digits(number, 5)
    places = 4 - math.floor(math.log10(size))
    text = f"{number:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def shown_off(value: float, published: float) -> str:
    """Print how far a value is off a published one, "+0.2%" or "+347%"; empty where the published one is 0."""
    if not published:
        return ""
    off = value / published - 1
    return f"{off:+,.0%}" if abs(off) >= 1.0 else f"{off:+.1%}"


def _size(value: Value) -> float:
    """Size of the unit that a value is printed in, in the value's own unit."""
    written = _written(value)
    if written:
        return units.convert(1.0, written, value.unit)
    return units.scale_for(value.value or 0.0, value.unit)[1]


def _written(value: Value) -> str:
    return _WRITTEN.get(value.unit, "") if value.basis == "given" else ""
