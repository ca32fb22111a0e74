"""Walk from a value down to what it was made of: formulas, inputs, catalogue rows."""

from __future__ import annotations

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
    return units.show(value.value, value.unit) + per


def shown_band(value: Value) -> str:
    """Print the 90 % band of a value in the unit that the value is printed in; empty where there is none."""
    if value.value is None or value.low is None or value.high is None or value.low == value.high:
        return ""
    if value.basis == "catalogue":
        return f"{units.digits(value.low)}..{units.digits(value.high)}"
    _, factor = units.scale_for(value.value, value.unit)
    return f"{units.digits(value.low / factor)}..{units.digits(value.high / factor)}"


def shown_off(value: float, published: float) -> str:
    """Print how far a value is off a published one, "+0.2%"; empty where the published one is 0."""
    return f"{value / published - 1:+.1%}" if published else ""
