"""A scatter of predicted against measured on logarithmic axes, as an SVG of a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

SIZE, LEFT, BOTTOM, TOP, RIGHT = 420, 62, 46, 30, 12
# Colour-blind safe (Okabe and Ito 2008); one a series, then again from the start.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one colour: label, and (measured, predicted) pairs above 0."""

    label: str
    points: Sequence[tuple[float, float]]


def scatter(title: str, unit: str, series: Sequence[Series]) -> str:
    """Return an SVG that plots predicted over measured with the lines y = x and y = x 1.25 and x / 1.25.

    Args:
        title: what is shown.
        unit: of both axes.
        series: points by colour; at least one point in all.
    """
    values = [value for one in series for point in one.points for value in point]
    low, high = min(values) / 1.3, max(values) * 1.3
    axis = _Axis(math.log10(low), math.log10(max(high, low * 1.01)))
    body = [*_frame(title, unit, axis), *_lines(axis)]
    for at, one in enumerate(series):
        colour = COLOURS[at % len(COLOURS)]
        body += [
            f'<circle cx="{axis.x(measured):.1f}" cy="{axis.y(predicted):.1f}" r="2.4" fill="{colour}" opacity="0.55"/>'
            for measured, predicted in one.points
        ]
        body.append(_text(LEFT + 10, TOP + 16 + 14 * at, f"{one.label} ({len(one.points)})", colour, "start"))
    inner = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}" '
        f'role="img" font-family="sans-serif" font-size="11">\n<title>{escape(title)}</title>\n'
        f'<rect width="{SIZE}" height="{SIZE}" fill="white"/>\n{inner}\n</svg>\n'
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """Both axes: the decades shown."""

    low: float
    high: float

    def _share(self, value: float) -> float:
        return (math.log10(value) - self.low) / (self.high - self.low)

    def x(self, value: float) -> float:
        return LEFT + self._share(value) * (SIZE - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return SIZE - BOTTOM - self._share(value) * (SIZE - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        steps = (1, 2, 5) if self.high - self.low < 2.5 else (1,)
        found = [step * 10.0**decade for decade in decades for step in steps]
        return [value for value in found if self.low <= math.log10(value) <= self.high]


def _frame(title: str, unit: str, axis: _Axis) -> list[str]:
    right, floor = SIZE - RIGHT, SIZE - BOTTOM
    made = [_text((LEFT + right) / 2, 18, title, "black", "middle", bold=True)]
    made.append(f'<path d="M{LEFT},{TOP}V{floor}H{right}" fill="none" stroke="#888"/>')
    for value in axis.ticks():
        made.append(f'<path d="M{axis.x(value):.1f},{TOP}V{floor}" stroke="#eee"/>')
        made.append(f'<path d="M{LEFT},{axis.y(value):.1f}H{right}" stroke="#eee"/>')
        made.append(_text(axis.x(value), floor + 15, f"{value:g}", "#444", "middle"))
        made.append(_text(LEFT - 6, axis.y(value) + 4, f"{value:g}", "#444", "end"))
    made.append(_text((LEFT + right) / 2, SIZE - 10, f"measured [{unit}]", "black", "middle"))
    middle = (TOP + floor) / 2
    made.append(
        f'<text x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">'
        f"predicted [{escape(unit)}]</text>"
    )
    return made


def _lines(axis: _Axis) -> list[str]:
    made = []
    low, high = 10.0**axis.low, 10.0**axis.high
    for factor, dash in ((1.0, ""), (1.25, ' stroke-dasharray="4 3"'), (0.8, ' stroke-dasharray="4 3"')):
        start, end = max(low, low / factor), min(high, high / factor)
        made.append(
            f'<path d="M{axis.x(start):.1f},{axis.y(start * factor):.1f}L{axis.x(end):.1f},{axis.y(end * factor):.1f}" '
            f'stroke="#555"{dash}/>'
        )
    return made


def _text(x: float, y: float, text: str, colour: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )
