"""The metrics that other tools may rely on: present in every run, in their unit, a number or null with a reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import pytest

from suanli.result.run import Result

# Retyped from the issue that set the contract ("1" where it gives no unit and the number counts nothing else).
CONTRACT = {
    "demand.input_tokens_per_day": "tok",
    "demand.output_tokens_per_day": "tok",
    "llm.parameters_total": "1",
    "llm.parameters_active": "1",
    "llm.kv_bytes_per_token": "byte",
    "serving.prefill_tokens_per_s_per_chip": "tok",
    "serving.decode_tokens_per_s_per_chip": "tok",
    "serving.ttft": "s",
    "serving.tpot": "s",
    "fleet.prefill_nodes": "1",
    "fleet.decode_nodes": "1",
    "fleet.nodes": "1",
    "fleet.chips": "1",
    "fleet.racks": "1",
    "network.switches": "1",
    "network.transceivers": "1",
    "network.power": "W",
    "network.capex": "USD",
    "power.it": "W",
    "power.facility": "W",
    "power.chain_efficiency": "1",
    "cooling.pue": "1",
    "site.energy_per_year": "J",
    "economics.capex": "USD",
    "economics.cost_per_day": "USD",
    "economics.revenue_per_day": "USD",
    "economics.margin_on_cost": "1",
    "economics.cost_per_mtok_output": "USD",
    "economics.irr": "1",
    "economics.payback": "s",
}
# A system that stands alone needs no fabric: these zeros are known, not unknown.
ALONE = {"network.switches", "network.transceivers", "network.power", "network.capex"}


def test_every_run_holds_the_contract(every: Mapping[str, Result]) -> None:
    wrong = []
    for case, result in every.items():
        metrics = result.document()["metrics"]
        for name, unit in CONTRACT.items():
            entry = metrics.get(name)
            if entry is None or entry["unit"] != unit:
                wrong.append(f"{case}: {name} is {entry}")
            elif entry["value"] is None and not entry.get("reason"):
                wrong.append(f"{case}: {name} is null without a reason")
    assert wrong == []


def test_nothing_unknown_is_zero(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        zero = {name for name in CONTRACT if result.values[name].value == 0.0}
        lone = result["fleet.nodes_installed"].value == 1.0
        assert zero <= (ALONE if lone else set()), f"{case}: {zero} are 0"


def test_numbers_are_finite_and_stand_in_their_bands(every: Mapping[str, Result]) -> None:
    for case, result in every.items():
        for value in result.values.values():
            if value.value is not None:
                low, high = value.low, value.high
                assert low is not None and high is not None
                assert math.isfinite(value.value) and low <= value.value <= high, f"{case}: {value}"


def test_the_document_is_json_with_the_agreed_fields(every: Mapping[str, Result]) -> None:
    for result in every.values():
        document = json.loads(json.dumps(result.document(), allow_nan=False))
        assert set(document) == {"schema", "version", "scenario", "metrics", "warnings"}
        assert document["schema"] == "suanli/result/1"
        assert document["scenario"] == {"name": result.name, "hash": result.hash[:16]}
        for entry in document["metrics"].values():
            assert set(entry) - {"reason"} == {"value", "unit", "low", "high", "basis"}
            assert entry["basis"] in {"given", "catalogue", "derived", "unavailable"}


def test_an_unknown_price_makes_money_unavailable_not_free(every: Mapping[str, Result]) -> None:
    metrics = every["price-unknown"].document()["metrics"]
    for name in ("capex", "cost_per_day", "cost_per_mtok_output", "margin_on_cost", "irr", "payback"):
        entry = metrics[f"economics.{name}"]
        assert entry["value"] is None
        assert "google-tpu-v6e-shelf has no price on record" in entry["reason"]
    assert metrics["power.facility"]["value"] > 0.0


def test_a_rented_fleet_has_a_cost_though_its_price_is_unknown(run: Callable[..., Result]) -> None:
    result = run(
        "llama70b-on-hgx-h100.toml",
        {
            "serving.chip": "google-tpu-v6e",
            "serving.system": "google-tpu-v6e-shelf",
            "llm.weights_dtype": "int8",
            "economics.rent": "1 USD/h",
        },
    )
    chips = result["fleet.chips"].value or 0.0
    assert result["economics.cost_per_day"].value == pytest.approx(chips * 24.0)
    assert result["economics.cost_per_mtok_output"].value is not None
    assert result["economics.capex"].value is None


def test_without_prices_there_is_no_revenue(shipped: Mapping[str, Result]) -> None:
    metrics = shipped["qwq32b-on-one-rtx4090"].document()["metrics"]
    for name in ("revenue_per_day", "margin_on_cost", "irr", "payback"):
        assert metrics[f"economics.{name}"]["value"] is None
        assert metrics[f"economics.{name}"]["reason"] == "no economics.price is given"


def test_payback_that_never_comes_says_so(run: Callable[..., Result]) -> None:
    price = {"input_hit": 0, "input_miss": 0, "output": "0.001 USD/Mtok"}
    result = run("llama70b-on-hgx-h100.toml", {"economics.price": price})
    assert result["economics.payback"].value is None
    assert "does not come back" in result["economics.payback"].reason
