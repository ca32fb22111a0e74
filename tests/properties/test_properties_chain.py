"""Laws of the whole chain over plans drawn at random: it balances, or it says why it cannot be."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suanli import chain
from suanli.catalog import Catalog
from suanli.errors import InfeasibleError
from suanli.result.run import Result
from suanli.scenario import load, parse

SCENARIOS = Path(__file__).parents[2] / "scenarios"
laws = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])

plans = st.fixed_dictionaries(
    {
        "demand.input_tokens_per_day": st.floats(2e9, 1e11),
        "demand.output_tokens_per_day": st.floats(2e9, 1e11),
        "demand.cache_hit_share": st.floats(0.0, 0.99),
        "demand.peak_to_mean": st.floats(1.0, 5.0),
        "serving.slo.tpot": st.floats(0.01, 0.5),
        "power.chain": st.sampled_from(["ups-double-conversion", "hvdc-240v", "hvdc-800v"]),
        "cooling.system": st.sampled_from(["air", "cold-plate", "immersion-single-phase"]),
        "site.id": st.sampled_from(["ulanqab", "ashburn", "shanghai"]),
        "economics.price.output": st.floats(0.0, 1e-5),
    }
)
lengths = st.floats(100.0, 30_000.0)


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    return Catalog()


@lru_cache(maxsize=4)
def base(file: str) -> dict[str, Any]:
    return load(SCENARIOS / file).model_dump(exclude_none=True)


def run(file: str, changes: dict[str, Any], length: float) -> Result | None:
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in base(file).items()}
    data["demand"] = {"mean_input_tokens": length}
    data["uncertainty"] = {"draws": 0}
    for path, value in changes.items():
        *sections, field = path.split(".")
        table = data
        for section in sections:
            table[section] = dict(table.get(section, {}))
            table = table[section]
        table[field] = value
    try:
        return chain.run(parse(data), catalog())
    except InfeasibleError as error:
        assert str(error) and "\n" not in str(error)
        return None


def number(result: Result, name: str) -> float:
    value = result[name].value
    assert value is not None, f"{name}: {result[name].reason}"
    return value


@pytest.mark.parametrize("file", ["deepseek-day.toml", "llama70b-on-hgx-h100.toml"])
@laws
@given(changes=plans, length=lengths)
def test_a_plan_balances_or_is_refused(file: str, changes: dict[str, Any], length: float) -> None:
    result = run(file, changes, length)
    if result is None:
        return
    for value in result.values.values():
        assert value.value is None or math.isfinite(value.value), value.name
    parts = [v.value or 0.0 for v in result.values.values() if v.name.startswith("power.parts.")]
    assert min(parts) >= 0.0 and sum(parts) == pytest.approx(number(result, "power.facility"), rel=1e-9)
    assert number(result, "cooling.pue") > 1.0 and 0.0 < number(result, "power.chain_efficiency") < 1.0
    paid = sum(
        number(result, f"economics.cost_per_mtok_{kind}")
        * number(result, f"demand.{kind}_tokens_per_day")
        / 1e6
        for kind in ("input", "output")
    )
    assert paid == pytest.approx(number(result, "economics.cost_per_day"), rel=1e-9)
    assert number(result, "serving.tpot") <= changes["serving.slo.tpot"] * (1 + 1e-9)
    installed, mean = number(result, "fleet.nodes_installed"), number(result, "fleet.nodes")
    assert installed >= mean * changes["demand.peak_to_mean"] * (1 - 1e-9) - 1e-9
    assert number(result, "power.it") <= number(result, "power.it_design") * (1 + 1e-9)


@laws
@given(changes=plans, length=lengths, more=st.floats(1.0, 3.0))
def test_a_larger_day_never_costs_less(changes: dict[str, Any], length: float, more: float) -> None:
    small = run("llama70b-on-hgx-h100.toml", changes, length)
    grown = {
        **changes,
        **{k: changes[k] * more for k in ("demand.input_tokens_per_day", "demand.output_tokens_per_day")},
    }
    large = run("llama70b-on-hgx-h100.toml", grown, length)
    assert (small is None) == (large is None), "whether a plan can be does not depend on its size"
    if small is None or large is None:
        return
    for name in (
        "fleet.nodes",
        "fleet.nodes_installed",
        "power.it",
        "power.facility",
        "economics.capex",
        "network.switches",
    ):
        assert number(large, name) >= number(small, name) * (1 - 1e-9), name
