"""Cost and revenue of tokens: what is spent is carried by the tokens, by part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.economics.capex import Capex
from suanli.economics.money import DAY_S
from suanli.economics.opex import operating_cost
from suanli.economics.revenue import TokenPrices, margin_on_cost, margin_on_revenue, token_revenue
from suanli.economics.unit_cost import unit_cost

PRICES = TokenPrices(0.14e-6, 0.55e-6, 2.19e-6)
NOTHING = Capex(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
POSITIVE = st.floats(1e-3, 1e6)


@settings(deadline=None)
@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_tokens_pay_all_cost(prefill, decode, given_tokens, made, power, asset):
    capital = Capex(asset, 0.1 * asset, 0.0, 0.2 * asset, 0.1 * asset, 0.1 * asset, 0.0)
    running = operating_cost(facility_power_w=power, electricity_usd_per_j=2e-8, rented_chips=prefill)
    cost = unit_cost(
        capital,
        running,
        prefill_chips=prefill,
        decode_chips=decode,
        input_tokens_per_s=given_tokens,
        output_tokens_per_s=made,
    )
    paid = cost.input_usd_per_token * given_tokens + cost.output_usd_per_token * made
    assert paid == pytest.approx(float(cost.total_usd_per_s), rel=1e-12)
    assert cost.total_usd_per_s == pytest.approx(float(capital.total + running.total), rel=1e-12)
    for name, part in {**capital.items(), **running.items()}.items():
        shared = cost.input_parts[name] * given_tokens + cost.output_parts[name] * made
        assert shared == pytest.approx(float(part), rel=1e-12, abs=1e-300)


@settings(deadline=None)
@given(POSITIVE, POSITIVE, st.floats(1.0, 10.0))
def test_busier_prefill_makes_input_dearer(prefill, decode, factor):
    running = operating_cost(rented_chips=1.0, rent_usd_per_chip_s=1.0)

    def cost(p):
        return unit_cost(
            NOTHING,
            running,
            prefill_chips=p,
            decode_chips=decode,
            input_tokens_per_s=1.0,
            output_tokens_per_s=1.0,
        )

    busier, same = cost(prefill * factor), cost(prefill)
    assert busier.input_usd_per_token >= same.input_usd_per_token * (1 - 1e-12)
    assert busier.output_usd_per_token <= same.output_usd_per_token * (1 + 1e-12)


def test_tokens_of_the_published_day():
    # open-infra-index day 6: 73.7k input and 14.8k output tokens/s a node of 8 chips at 2 USD/h
    rent = 16 / 3600
    cost = unit_cost(
        NOTHING,
        operating_cost(rented_chips=226.75 * 8, rent_usd_per_chip_s=2 / 3600),
        prefill_chips=8 * 608e9 / DAY_S / 73_700,
        decode_chips=8 * 168e9 / DAY_S / 14_800,
        input_tokens_per_s=608e9 / DAY_S,
        output_tokens_per_s=168e9 / DAY_S,
    )
    # busy nodes (226.9) are the fleet (226.75) within 0.1 %, so each token costs its own node-time
    assert cost.output_usd_per_token == pytest.approx(rent / 14_800, rel=2e-3)
    assert cost.input_usd_per_token == pytest.approx(rent / 73_700, rel=2e-3)
    assert cost.prefill_share == pytest.approx(0.421, abs=1e-3)


def test_no_tokens_no_unit_cost():
    running = operating_cost(rented_chips=1.0, rent_usd_per_chip_s=1.0)
    cost = unit_cost(
        NOTHING, running, prefill_chips=0.0, decode_chips=1.0, input_tokens_per_s=0.0, output_tokens_per_s=2.0
    )
    assert np.isnan(cost.input_usd_per_token)
    assert cost.output_usd_per_token == 0.5
    assert np.isnan(margin_on_cost(1.0, 0.0))
    assert np.isnan(margin_on_revenue(0.0, 1.0))


@settings(deadline=None)
@given(st.floats(0.0, 1e12), st.floats(0.0, 1.0), st.floats(0.0, 1e12), st.floats(0.0, 1.0))
def test_revenue_sums_and_falls_with_hits(given_tokens, hits, made, paid):
    revenue = token_revenue(
        PRICES, input_tokens=given_tokens, cache_hit_share=hits, output_tokens=made, paid_share=paid
    )
    assert float(revenue.total) == pytest.approx(sum(float(x) for x in revenue.items().values()), rel=1e-12)
    without = token_revenue(
        PRICES, input_tokens=given_tokens, cache_hit_share=0.0, output_tokens=made, paid_share=paid
    )
    assert revenue.total <= without.total * (1 + 1e-12)


@settings(deadline=None)
@given(st.floats(1.0, 1e9), st.floats(1.0, 1e9))
def test_both_margins_describe_one_profit(revenue, cost):
    on_cost, on_revenue = margin_on_cost(revenue, cost), margin_on_revenue(revenue, cost)
    assert on_cost * cost == pytest.approx(revenue - cost, rel=1e-9, abs=1e-6)
    assert on_revenue * revenue == pytest.approx(revenue - cost, rel=1e-9, abs=1e-6)


def test_samples_broadcast():
    prices = TokenPrices(0.14e-6, np.array([0.5e-6, 0.6e-6]), 2.19e-6)
    revenue = token_revenue(
        prices, input_tokens=1e6, cache_hit_share=np.array([[0.5], [0.6]]), output_tokens=1e5
    )
    assert revenue.total.shape == (2, 2)
