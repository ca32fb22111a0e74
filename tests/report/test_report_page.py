"""The report page: self-contained, well formed, showing every metric, row and warning; figures drawn to scale."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import chain
from suanli.report import page
from suanli.report.figures import Bar, bars, waterfall
from suanli.result.run import Result
from suanli.scenario import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"
_VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting and gathers text and what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        # Rows and cells may be left open in HTML; everything else must nest.
        while self.open and self.open[-1] in ("tr", "td", "th", "p") and self.open[-1] != tag:
            self.open.pop()
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data


def run(name: str, *overrides: str) -> Result:
    return chain.run(load(SCENARIOS / name, ["uncertainty.draws=16", *overrides]))


@pytest.fixture(scope="module")
def day() -> Result:
    return run("deepseek-day.toml")


@pytest.fixture(scope="module")
def text(day: Result) -> str:
    return page(day)


def test_the_page_loads_nothing(text: str) -> None:
    found = Page(text)
    assert found.loads == [] and "script" not in found.tags
    assert not re.search(r"url\(|@import", text)


def test_the_page_is_well_formed(text: str) -> None:
    assert Page(text).open == []


def test_the_page_has_the_two_plots_and_the_published_figures(day: Result, text: str) -> None:
    assert text.count("<svg") == 2
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)
    shown = Page(text).text
    for words in ("87,072 USD/day", "226.8", "open-infra-index", "Power from chip to grid", day.hash[:16]):
        assert words in shown, words


def test_every_metric_row_and_warning_is_shown(day: Result, text: str) -> None:
    shown = Page(text).text
    for name in day.metrics():
        assert name in shown
    for value in day.values.values():
        if value.basis == "catalogue":
            assert value.origin in shown, value.origin
    assert day.warnings
    for warning in day.warnings:
        assert warning in shown


def test_the_cost_figure_does_not_mix_owned_parts_with_a_rented_total(text: str) -> None:
    """The bars of the parts and the bar of their sum are one way of paying; the other stands apart."""
    svg = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", text, re.S)[0])
    widths = {
        kind: [float(r.get("width", 0)) for r in svg.iter("rect") if r.get("class") == kind]
        for kind in ("part", "sum", "other")
    }
    assert len(widths["sum"]) == len(widths["other"]) == 1
    assert sum(widths["part"]) == pytest.approx(widths["sum"][0], rel=0.02)


def test_the_power_figure_adds_up(day: Result, text: str) -> None:
    svg = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", text, re.S)[1])
    rects = [(float(r.get("x", 0)), float(r.get("width", 0)), r.get("class")) for r in svg.iter("rect")]
    *parts, total = rects
    assert total[2] == "sum"
    assert parts[0][0] == total[0], "the first part starts at zero"
    for (x, width, _), (after, _, _) in pairwise(parts):
        assert after == pytest.approx(x + width, abs=1.1), "each part starts where the one before ends"
    assert parts[-1][0] + parts[-1][1] == pytest.approx(total[0] + total[1], abs=1.1)


def test_unavailable_is_said_and_not_drawn_as_zero() -> None:
    text = page(run("qwq32b-on-one-rtx4090.toml"))
    assert "unavailable (no economics.price is given)" in Page(text).text
    unknown = page(
        run(
            "llama70b-on-hgx-h100.toml",
            "serving.chip=google-tpu-v6e",
            "serving.system=google-tpu-v6e-shelf",
            "llm.weights_dtype=int8",
        )
    )
    assert "unavailable" in Page(unknown).text and Page(unknown).open == []


def test_text_of_the_user_is_escaped() -> None:
    result = run(
        "deepseek-day.toml", 'name = "<script>alert(1)</script> & co"', 'published.source = "a <b> c"'
    )
    found = Page(page(result))
    assert "script" not in found.tags and "b" not in found.tags
    assert "<script>alert(1)</script> & co" in found.text and "a <b> c" in found.text


def test_a_published_zero_has_no_percentage() -> None:
    text = page(run("deepseek-day.toml", 'published.figures = { "network.switches" = 0 }'))
    beside = text.split("Beside what was published")[1].split("</table>")[0]
    assert beside.rstrip().endswith("<td class=n>0</td><td class=n></td></tr>")


# -- figures ------------------------------------------------------------------------------------------------------
SIZES = st.lists(st.floats(0, 1e15), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(SIZES)
def test_bars_are_to_scale_and_stay_inside(sizes: list[float]) -> None:
    svg = ElementTree.fromstring(bars("t <&>", [Bar("a & b", size, "x < y") for size in sizes]))
    _, _, right, bottom = (float(n) for n in svg.get("viewBox", "").split())
    rects = list(svg.iter("rect"))
    assert len(rects) == len(sizes)
    widths = [float(r.get("width", 0)) for r in rects]
    for rect, width in zip(rects, widths, strict=True):
        assert float(rect.get("x", 0)) >= 0 and float(rect.get("x", 0)) + width <= right
        assert float(rect.get("y", 0)) + float(rect.get("height", 0)) <= bottom
    largest = max(sizes)
    for size, width in zip(sizes, widths, strict=True):
        if largest > 0:
            assert width == pytest.approx(max(widths[sizes.index(largest)] * size / largest, 1.0), abs=0.11)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(1.0, 1e9), min_size=1, max_size=8))
def test_a_waterfall_ends_at_its_total(sizes: list[float]) -> None:
    svg = ElementTree.fromstring(waterfall("t", [("p", s, "") for s in sizes], ("sum", math.fsum(sizes), "")))
    ends = [float(r.get("x", 0)) + float(r.get("width", 0)) for r in svg.iter("rect")]
    assert ends[-2] == pytest.approx(ends[-1], abs=1.1)


def test_no_bars_is_a_figure_too() -> None:
    assert ElementTree.fromstring(bars("nothing", [])).tag == "svg"
