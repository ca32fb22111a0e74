"""Published figures: cash-flow examples, DeepSeek's day, Bernstein's gigawatt."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from suanli.economics.capex import FacilityPrices, capital_cost
from suanli.economics.cashflow import npv_usd
from suanli.economics.irr import irr
from suanli.economics.money import DAY_S
from suanli.economics.opex import operating_cost
from suanli.economics.revenue import TokenPrices, margin_on_cost, token_revenue
from suanli.units import to_si

TABLES = Path(__file__).parents[1] / "validation"


def rows(name):
    with (TABLES / f"economics_{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def inputs(row):
    return {key: float(value) for key, value in (part.split("=") for part in row["inputs"].split(";"))}


def flows(row):
    return [float(flow) for flow in row["cash_flows"].split()]


@pytest.mark.parametrize("row", rows("irr"), ids=lambda row: row["id"])
def test_internal_rates(row):
    tolerance = 0.5000001 * 10.0 ** -int(row["decimals"])
    assert irr(flows(row)).rate == pytest.approx(float(row["published"]), abs=tolerance)


@pytest.mark.parametrize("row", rows("npv"), ids=lambda row: row["id"])
def test_present_values(row):
    tolerance = 0.5000001 * 10.0 ** -int(row["decimals"])
    assert npv_usd(float(row["rate"]), flows(row)) == pytest.approx(float(row["published"]), abs=tolerance)


def _day(row):
    given = inputs(row)
    if row["quantity"] == "revenue_usd_per_day":
        return token_revenue(
            TokenPrices(given["hit"], given["miss"], given["out"]),
            input_tokens=given["input"],
            cache_hit_share=given["hit_tokens"] / given["input"],
            output_tokens=given["output"],
        ).total
    if row["quantity"] == "cost_usd_per_day":
        cost = operating_cost(
            rented_chips=given["nodes"] * given["chips"], rent_usd_per_chip_s=to_si(given["rent"], "USD/h")
        )
        return cost.times(given["hours"] * 3600.0).total
    if row["quantity"] == "margin_on_cost":
        return margin_on_cost(given["revenue"], given["cost"])
    return (given["input"] / given["prefill"] + given["output"] / given["decode"]) / DAY_S


@pytest.mark.parametrize("row", rows("deepseek_day"), ids=lambda row: row["id"])
def test_published_day(row):
    tolerance = max(float(row["tolerance"]), 1e-12)
    assert float(_day(row)) == pytest.approx(float(row["published"]), rel=tolerance)


def _gigawatt(row):
    given = inputs(row)
    if "racks" in given or "facility_power_w" not in given:
        racks = given.get("racks", 1.0)
        it_power = racks
        facility = FacilityPrices(0.0, 0.0, given["rack_facility_usd"])
    else:
        it_power = given["facility_power_w"] / given["pue"]
        racks = it_power * (1.0 - given["other_it_share"]) / given["rack_power_w"]
        facility = FacilityPrices(0.0, 0.0, given["facility_usd_per_w"])
    capex = capital_cost(
        systems=racks,
        system_price_usd=given["rack_price_usd"],
        network_usd=0.0,
        it_power_w=it_power,
        facility=facility,
    )
    if row["quantity"] == "capex_per_rack":
        return capex.total / racks
    if row["quantity"] == "systems_share":
        return capex.shares()["systems"]
    return capex.total / given["facility_power_w"]


@pytest.mark.parametrize("row", rows("capex"), ids=lambda row: row["id"])
def test_bernstein_gigawatt(row):
    assert float(_gigawatt(row)) == pytest.approx(float(row["published"]), rel=float(row["tolerance"]))
