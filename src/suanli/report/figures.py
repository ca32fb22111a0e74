"""Figures as SVG text: horizontal bars and a waterfall, readable in print and in dark mode, no script needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_ROW, _BAR, _LABEL, _WIDTH, _VALUE = 30, 18, 190, 760, 130


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is, its length, the text at its end, and where it starts (0, or the sum before it)."""

    label: str
    size: float
    text: str
    start: float = 0.0
    kind: str = "part"


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Draw horizontal bars to one scale.

    Args:
        title: read out by screen readers and shown above the bars.
        rows: the bars, top to bottom; sizes and starts in one unit, not negative.

    Returns:
        An <svg> element.
    """
    largest = max((row.start + row.size for row in rows), default=0.0) or 1.0
    room = _WIDTH - _LABEL - _VALUE
    height = 34 + _ROW * len(rows)
    lines = [
        f'<svg class="figure" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="0" y="16">{escape(title)}</text>',
    ]
    for index, row in enumerate(rows):
        top = 30 + _ROW * index
        x = _LABEL + room * row.start / largest
        width = max(room * row.size / largest, 1.0)
        middle = top + _BAR / 2 + 4
        lines += [
            f'<text class="label" x="{_LABEL - 10}" y="{middle:.1f}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect class="{row.kind}" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
            f'<text class="value" x="{x + width + 6:.1f}" y="{middle:.1f}">{escape(row.text)}</text>',
        ]
    return "\n".join([*lines, "</svg>"])


def waterfall(title: str, steps: Sequence[tuple[str, float, str]], total: tuple[str, float, str]) -> str:
    """Draw parts that add up to a total, each starting where the one before ends.

    Args:
        title: shown above.
        steps: (label, size, text) in order.
        total: (label, size, text) of the sum, drawn from zero.

    Returns:
        An <svg> element.
    """
    rows, start = [], 0.0
    for label, size, text in steps:
        rows.append(Bar(label, size, text, start))
        start += size
    rows.append(Bar(*total, kind="sum"))
    return bars(title, rows)


_ALONE = """<style>text{font:13px system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif;fill:#1c2330}
.title{font-weight:600}.label{fill:#5b6675}.part{fill:#3b6ea5}.sum{fill:#1d9a7b}.other{fill:#b0762c}</style>
<rect width="100%" height="100%" fill="#ffffff"/>"""


def alone(svg: str) -> str:
    """Return the figure as a file of its own, with its colours in it (a page brings its own).

    Args:
        svg: what `bars` or `waterfall` drew.
    """
    head, rest = svg.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{_ALONE}{rest}\n'
