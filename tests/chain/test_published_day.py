"""The day that DeepSeek published (open-infra-index, day 6, 27-28 February 2025), figures retyped from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from suanli.result.run import Result

NODES, COST_USD, REVENUE_USD, MARGIN = 226.75, 87_072.0, 562_027.0, 5.45
INPUT, HITS, OUTPUT, CONTEXT = 608e9, 342e9, 168e9, 4989.0


def test_revenue_is_within_a_thousandth(shipped: Mapping[str, Result]) -> None:
    for case in ("deepseek-day", "deepseek-day-published-nodes"):
        assert shipped[case]["economics.revenue_per_day"].value == pytest.approx(REVENUE_USD, rel=1e-3)


def test_published_fleet_gives_the_published_cost_and_margin(shipped: Mapping[str, Result]) -> None:
    result = shipped["deepseek-day-published-nodes"]
    assert result["fleet.nodes"].value == NODES
    assert result["fleet.nodes"].basis == "given"
    assert result["fleet.chips"].value == NODES * 8
    assert result["economics.cost_per_day"].value == pytest.approx(COST_USD, rel=1e-9)
    assert result["economics.margin_on_cost"].value == pytest.approx(MARGIN, abs=0.005)


def test_the_scenario_asks_for_what_was_published(shipped: Mapping[str, Result]) -> None:
    result = shipped["deepseek-day"]
    assert result["demand.input_tokens_per_day"].value == INPUT
    assert result["demand.output_tokens_per_day"].value == OUTPUT
    # 56.3 % is the published share; the published 342 B are that share, rounded to the billion.
    hits = result["demand.cache_hit_share"].value or 0.0
    assert hits * INPUT == pytest.approx(HITS, abs=0.5e9)
    assert result["demand.context_tokens"].value == pytest.approx(CONTEXT)


def test_derived_fleet_does_not_know_the_published_one(run: Callable[..., Result]) -> None:
    """The printed comparison is no input: take it away, and the same numbers come out."""
    with_it, without = run("deepseek-day.toml", {}), run("deepseek-day.toml", {"published": None})
    assert {n: v.value for n, v in with_it.values.items()} == {n: v.value for n, v in without.values.items()}
    assert with_it["fleet.nodes"].basis == "derived"


def test_published_figure_lies_in_the_band(run: Callable[..., Result]) -> None:
    result = run("deepseek-day.toml", {"uncertainty.draws": 256})
    for name, figure in (
        ("fleet.nodes", NODES),
        ("economics.cost_per_day", COST_USD),
        ("economics.margin_on_cost", MARGIN),
    ):
        value = result[name]
        assert value.low is not None and value.high is not None
        assert value.low < figure < value.high, f"{name}: {figure} is not in {value.low}..{value.high}"


def test_explanation_of_the_cost_of_output_reaches_the_chip_and_the_rent(
    shipped: Mapping[str, Result],
) -> None:
    from suanli.result.tree import walk

    steps = list(walk(shipped["deepseek-day"].values, "economics.cost_per_mtok_output"))
    names = {step.value.name: step.value for step in steps}
    assert names["economics.rent"].basis == "given"
    bandwidth = names["chip.memory_bandwidth"]
    assert bandwidth.basis == "catalogue"
    assert bandwidth.origin.startswith("chips/nvidia-h800-sxm/memory_bandwidth | ")
    assert json.dumps([step.value.as_entry() for step in steps])
