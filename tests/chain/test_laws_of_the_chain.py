"""Laws that hold whatever the coefficients are: sums, conservation, scale, monotony, determinism."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from chain_cases import CORNERS, DAY, LLAMA, SCENARIOS, with_changes

from suanli import chain
from suanli.catalog import Catalog
from suanli.result.run import Result
from suanli.runs import write_run
from suanli.scenario import load, parse

Run = Callable[..., Result]


def number(result: Result, name: str) -> float:
    value = result[name].value
    assert value is not None, f"{name}: {result[name].reason}"
    return value


def parts(result: Result, prefix: str) -> list[float]:
    return [v.value for v in result.values.values() if v.name.startswith(prefix) and v.value is not None]


def never_more(results: list[Result], name: str) -> None:
    values = [number(result, name) for result in results]
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(values)), f"{name}: {values}"


# -- sums ---------------------------------------------------------------------------------------------------------
def test_power_parts_make_the_facility(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        found = parts(result, "power.parts.")
        assert len(found) == 6 and min(found) >= 0.0, f"{case}: {found}"
        assert sum(found) == pytest.approx(number(result, "power.facility"), rel=1e-9), case


def test_it_power_and_losses_respect_the_grid(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        it, facility = number(result, "power.it"), number(result, "power.facility")
        assert 0.0 < it < facility, case
        assert number(result, "cooling.pue") == pytest.approx(facility / it, rel=1e-9)
        assert 0.0 < number(result, "power.chain_efficiency") < 1.0
        # The chain's loss is one part of the facility: PUE cannot be below its inverse efficiency.
        assert number(result, "cooling.pue") >= 1.0 / number(result, "power.chain_efficiency")
        assert it <= number(result, "power.it_design") * (1 + 1e-9)


def test_capital_parts_make_the_capital(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        if result["economics.capex"].value is not None:
            found = parts(result, "economics.capex_parts.")
            assert sum(found) == pytest.approx(number(result, "economics.capex"), rel=1e-9), case


def test_parts_of_a_token_make_its_cost(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        if result["economics.owned_cost_per_mtok_output"].value is not None:
            found = parts(result, "economics.mtok_output_parts.")
            total = number(result, "economics.owned_cost_per_mtok_output")
            assert sum(found) == pytest.approx(total, rel=1e-9), case


def test_all_tokens_together_pay_all_cost(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        if result["economics.cost_per_day"].value is None:
            continue
        paid = sum(
            number(result, f"economics.cost_per_mtok_{kind}")
            * number(result, f"demand.{kind}_tokens_per_day")
            / 1e6
            for kind in ("input", "output")
        )
        assert paid == pytest.approx(number(result, "economics.cost_per_day"), rel=1e-9), case


def test_tokens_are_conserved(every: Mapping[str, Result]) -> None:
    """Requests times their lengths give back the day; what is not cached is computed."""
    for case, result in every.items():
        requests = number(result, "demand.requests_per_day")
        day = number(result, "demand.input_tokens_per_day")
        assert requests * number(result, "demand.input_tokens") == pytest.approx(day, rel=1e-9), case
        out = number(result, "demand.output_tokens_per_day")
        assert requests * number(result, "demand.output_tokens") == pytest.approx(out, rel=0.01), case
        computed = number(result, "demand.prefill_tokens_per_s") * 86400.0
        assert computed == pytest.approx(day * (1 - number(result, "demand.cache_hit_share")), rel=1e-9), case


def test_fleet_can_carry_the_traffic(every: Mapping[str, Result]) -> None:
    """Rate x chips x use of each phase is the demand of that phase, where the fleet is derived."""
    for case, result in every.items():
        if result["fleet.nodes"].basis != "derived":
            continue
        for phase in ("prefill", "decode"):
            chips = number(result, f"fleet.{phase}_nodes") * number(result, "system.chips")
            busy = chips * number(result, f"serving.{phase}_load_factor")
            carried = busy * number(result, f"serving.{phase}_tokens_per_s_per_chip")
            assert carried == pytest.approx(number(result, f"demand.{phase}_tokens_per_s"), rel=1e-9), case


def test_objectives_are_met(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        objective = (result.scenario["serving"].get("slo") or {}).get("tpot")
        if objective:
            limit = float(objective.removesuffix(" s"))
            assert number(result, "serving.tpot") <= limit * (1 + 1e-9), case


def test_weights_and_cache_fit_in_memory(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        used = number(result, "serving.weights_bytes_per_chip") + number(
            result, "serving.batch_per_chip"
        ) * number(result, "serving.kv_bytes_per_sequence")
        capacity = result["chip.memory_capacity"]
        from suanli.units import to_si

        assert used <= to_si(capacity.value or 0.0, capacity.unit), case


# -- scale --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("file", [DAY, LLAMA])
def test_twice_the_demand_is_twice_the_fleet(run: Run, file: str) -> None:
    base = run(file)
    totals = ("demand.input_tokens_per_day", "demand.output_tokens_per_day")
    twice = run(file, {name: 2 * number(base, name) for name in totals})
    for name in (
        "fleet.nodes",
        "fleet.prefill_nodes",
        "fleet.decode_nodes",
        "fleet.chips",
        "demand.requests_per_day",
    ):
        assert number(twice, name) == pytest.approx(2 * number(base, name), rel=1e-9), name
    for name in (
        "serving.tpot",
        "serving.ttft",
        "serving.batch_per_chip",
        "llm.parameters_total",
        "power.node",
    ):
        assert number(twice, name) == pytest.approx(number(base, name), rel=1e-9), name


def test_twice_the_demand_is_twice_the_money_where_rented(run: Run) -> None:
    base = run(DAY)
    twice = run(DAY, {"demand.input_tokens_per_day": 1216e9, "demand.output_tokens_per_day": 336e9})
    for name in ("cost_per_day", "revenue_per_day", "profit_per_day"):
        assert number(twice, f"economics.{name}") == pytest.approx(
            2 * number(base, f"economics.{name}"), rel=1e-9
        )
    for name in ("cost_per_mtok_output", "margin_on_cost"):
        assert number(twice, f"economics.{name}") == pytest.approx(
            number(base, f"economics.{name}"), rel=1e-9
        )


def test_owning_grows_by_whole_systems(run: Run) -> None:
    """A large owned fleet costs nearly in proportion: what does not scale is the last, partly used system."""
    base = run(DAY, {"economics.rent": None})
    big = {
        "demand.input_tokens_per_day": 6080e9,
        "demand.output_tokens_per_day": 1680e9,
        "economics.rent": None,
    }
    large = run(DAY, big)
    ratio = number(large, "economics.capex_parts.systems") / number(base, "economics.capex_parts.systems")
    assert ratio == pytest.approx(10.0, rel=0.01)


def test_twice_the_rent_is_twice_the_cost(run: Run) -> None:
    base, dear = run(DAY), run(DAY, {"economics.rent": "4 USD/h"})
    assert number(dear, "economics.cost_per_day") == pytest.approx(2 * number(base, "economics.cost_per_day"))
    assert number(dear, "economics.capex") == number(base, "economics.capex")


# -- monotony -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("file", [DAY, LLAMA])
def test_more_cache_hits_never_need_more_prefill(run: Run, file: str) -> None:
    results = [run(file, {"demand.cache_hit_share": share}) for share in (0.0, 0.2, 0.5, 0.8, 0.95)]
    never_more(results, "fleet.prefill_nodes")
    never_more(results, "fleet.nodes")
    never_more(results, "serving.ttft")


@pytest.mark.parametrize("kind", ["input_hit", "input_miss", "output"])
def test_higher_prices_never_lower_the_margin(run: Run, kind: str) -> None:
    prices = [{f"economics.price.{kind}": f"{usd} USD/Mtok"} for usd in (8, 4, 2, 1, 0.1, 0)]
    results = [run(LLAMA, price) for price in prices]
    for name in ("economics.margin_on_cost", "economics.revenue_per_day", "economics.npv"):
        never_more(results, name)
    assert number(results[0], "economics.margin_on_cost") > number(results[-1], "economics.margin_on_cost")


@pytest.mark.parametrize("file", [DAY, LLAMA])
def test_a_tighter_objective_never_needs_fewer_decode_nodes(run: Run, file: str) -> None:
    results = [run(file, {"serving.slo.tpot": f"{ms} ms"}) for ms in (30, 40, 60, 120)]
    never_more(results, "fleet.decode_nodes")


def test_longer_contexts_never_decode_faster(run: Run) -> None:
    results = [run(DAY, {"demand.mean_context_tokens": tokens}) for tokens in (1000, 4000, 16000, 64000)]
    never_more(results, "serving.decode_tokens_per_s_per_chip")
    never_more(results, "serving.sequences_in_memory")


def test_a_narrower_cache_never_needs_more_decode_nodes(run: Run) -> None:
    results = [run(LLAMA, {"llm.kv_dtype": dtype}) for dtype in ("bf16", "fp8", "fp4")]
    never_more(results, "llm.kv_bytes_per_token")
    never_more(results, "fleet.decode_nodes")


def test_dearer_electricity_costs_money_and_nothing_else(run: Run) -> None:
    cheap, dear = (run(LLAMA, {"site.electricity_price": f"{usd} USD/kWh"}) for usd in (0.05, 0.15))
    assert number(dear, "power.facility") == number(cheap, "power.facility")
    assert number(dear, "site.energy_cost_per_year") == pytest.approx(
        3 * number(cheap, "site.energy_cost_per_year")
    )
    extra = number(dear, "site.energy_cost_per_year") - number(cheap, "site.energy_cost_per_year")
    difference = number(dear, "economics.owned_cost_per_day") - number(cheap, "economics.owned_cost_per_day")
    assert difference * 365.25 == pytest.approx(extra, rel=1e-9)


def test_a_higher_peak_installs_more_and_occupies_the_same(run: Run) -> None:
    flat, peaky = run(DAY, {"demand.peak_to_mean": 1.0}), run(DAY, {"demand.peak_to_mean": 2.0})
    for name in ("fleet.nodes", "economics.cost_per_day", "serving.tpot"):
        assert number(flat, name) == number(peaky, name)
    for name in (
        "fleet.nodes_installed",
        "fleet.racks",
        "economics.capex",
        "network.endpoints",
        "power.it_design",
    ):
        assert number(flat, name) < number(peaky, name), name


def test_a_fixed_fleet_keeps_the_split_between_phases(run: Run) -> None:
    free, fixed = run(DAY), run(DAY, {"fleet.nodes": 1000})
    assert number(fixed, "fleet.prefill_nodes") + number(fixed, "fleet.decode_nodes") == pytest.approx(1000.0)
    share = number(free, "fleet.prefill_nodes") / number(free, "fleet.nodes")
    assert number(fixed, "fleet.prefill_nodes") == pytest.approx(1000.0 * share)


def test_a_price_that_is_the_irr_is_worth_nothing(run: Run) -> None:
    """Discounted at its own rate of return a project is worth 0: IRR and NPV agree."""
    base = run(LLAMA)
    again = run(LLAMA, {"economics.discount_rate": number(base, "economics.irr")})
    assert abs(number(again, "economics.npv")) < 1e-6 * number(base, "economics.capex")


# -- determinism --------------------------------------------------------------------------------------------------
def drawn(file: str, **uncertainty: int) -> Result:
    changes: dict[str, Any] = {f"uncertainty.{key}": value for key, value in uncertainty.items()}
    return chain.run(parse(with_changes(file, changes)), Catalog())


def test_same_seed_same_bytes() -> None:
    texts = [json.dumps(drawn(DAY, draws=64, seed=7).archive()) for _ in range(2)]
    assert texts[0] == texts[1]


def test_another_seed_moves_bands_and_not_values() -> None:
    first, second = drawn(DAY, draws=64, seed=7), drawn(DAY, draws=64, seed=8)
    assert [v.value for v in first.values.values()] == [v.value for v in second.values.values()]
    assert first["fleet.nodes"].low != second["fleet.nodes"].low
    assert first.hash != second.hash


@pytest.mark.parametrize("file", [DAY, "r1-671b-on-domestic.toml"])
def test_draws_do_not_move_the_nominal_values(run: Run, file: str) -> None:
    exact, sampled = run(file), drawn(file, draws=32)
    assert list(exact.values) == list(sampled.values)
    for name, value in exact.values.items():
        other = sampled[name]
        assert value.basis == other.basis, name
        if value.value is not None:
            assert other.value is not None and math.isclose(value.value, other.value, rel_tol=1e-9), name


def test_bands_hold_the_nominal_value_and_are_no_points() -> None:
    result = drawn(DAY, draws=256)
    for value in result.values.values():
        if value.value is not None:
            assert value.low is not None and value.high is not None
            assert value.low <= value.value <= value.high, value.name
    for name in ("fleet.nodes", "power.facility", "economics.capex", "serving.ttft"):
        value = result[name]
        assert (value.low or 0.0) < (value.value or 0.0) < (value.high or 0.0), name
    # What the scenario gives and arithmetic on it has no band.
    for name in ("demand.input_tokens_per_day", "economics.revenue_per_day", "llm.parameters_total"):
        assert result[name].low == result[name].high == result[name].value


@pytest.mark.parametrize("file", [DAY, LLAMA])
def test_order_of_sections_and_keys_changes_nothing(run: Run, catalog: Catalog, file: str) -> None:
    def turned(table: Mapping[str, Any]) -> dict[str, Any]:
        items = reversed(list(table.items()))
        return {key: turned(value) if isinstance(value, Mapping) else value for key, value in items}

    data = with_changes(file, {})
    result, expected = chain.run(parse(turned(data)), catalog), run(file)
    assert result.hash == expected.hash
    assert result.archive()["ledger"] == expected.archive()["ledger"]


def test_names_are_aliases_of_ids_and_not_more(run: Run) -> None:
    """An alias stands for the same chip and model: the same ledger comes out."""
    by_alias = run(DAY, {"serving.chip": "H800", "llm.id": "deepseek-ai/DeepSeek-R1"})
    assert by_alias.archive()["ledger"] == run(DAY).archive()["ledger"]


@pytest.mark.parametrize("file", sorted(path.name for path in SCENARIOS.glob("*.toml")))
def test_a_saved_scenario_runs_to_the_same_result(tmp_path: Any, catalog: Catalog, file: str) -> None:
    first = chain.run(load(SCENARIOS / file, ["uncertainty.draws=8"], catalog), catalog)
    folder = write_run(first, tmp_path)
    again = chain.run(load(folder / "scenario.toml", (), catalog), catalog)
    assert again.hash == first.hash
    assert again.archive() == first.archive()
    assert tomllib.loads((folder / "scenario.toml").read_text(encoding="utf-8"))["name"] == first.name


@pytest.mark.parametrize("corner", sorted(CORNERS))
def test_saved_corners_run_to_the_same_hash(
    tmp_path: Any, corners: Mapping[str, Result], catalog: Catalog, corner: str
) -> None:
    folder = write_run(corners[corner], tmp_path)
    assert chain.run(load(folder / "scenario.toml"), catalog).hash == corners[corner].hash
