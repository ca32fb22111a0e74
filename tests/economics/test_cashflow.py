"""Cash flows, net present value, internal rate of return, payback, levelised cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suanli.economics.cashflow import levelised_cost, npv_usd, payback_s, project_cash_flows
from suanli.economics.irr import irr
from suanli.economics.money import YEAR_S
from suanli.errors import InputError

INFLOW = st.floats(0.01, 1e6)
FLOWS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


@settings(deadline=None)
@given(INFLOW, st.lists(INFLOW, min_size=1, max_size=30))
def test_one_change_of_sign_has_one_rate_that_makes_npv_zero(outlay, inflows):
    flows = [-outlay, *inflows]
    found = irr(flows)
    # near -100 % a rate stored as a float has lost the digits that the test would need
    assume(float(found.rate) > -0.99)
    assert found.roots == 1
    assert found.sign_changes == 1
    scale = np.sum(np.abs(flows) * np.exp(-np.log1p(float(found.rate)) * np.arange(len(flows))))
    assert abs(float(npv_usd(found.rate, flows))) <= 1e-9 * scale


@settings(deadline=None)
@given(FLOWS)
def test_any_rate_found_makes_npv_zero(flows):
    found = irr(flows)
    if np.isnan(found.rate):
        assert found.roots == 0
        return
    assume(float(found.rate) > -0.99)
    scale = np.sum(np.abs(flows) * np.exp(-np.log1p(float(found.rate)) * np.arange(len(flows))))
    assert abs(float(npv_usd(found.rate, flows))) <= 1e-8 * scale


@settings(deadline=None)
@given(st.floats(-0.9, 5.0), st.integers(1, 25), INFLOW)
def test_known_rate_is_found_again(rate, periods, payment):
    # a level payment whose present value is paid at once earns exactly the rate
    price = float(npv_usd(rate, [0.0, *[payment] * periods]))
    assert irr([-price, *[payment] * periods]).rate == pytest.approx(rate, rel=1e-7, abs=1e-9)


@settings(deadline=None)
@given(FLOWS, st.floats(0.1, 1e6))
def test_scaling_money_does_not_change_the_rate(flows, factor):
    one, two = irr(flows), irr([factor * flow for flow in flows])
    assume(one.roots == two.roots)
    np.testing.assert_allclose(one.rate, two.rate, rtol=1e-6, atol=1e-9)


def test_none_one_or_several():
    # numpy-financial issue 6744: all of one sign has no rate
    for flows in ([1, 2, 3], [-1, -2, -3], [0, 0, 0]):
        found = irr(flows)
        assert np.isnan(found.rate)
        assert found.roots == 0
        assert found.sign_changes == 0
    # -100 + 230/(1 + r) - 132/(1 + r)^2 = 0 at 10 % and 20 % (textbook: (1 + r) = 1.1 and 1.2)
    several = irr([-100, 230, -132])
    assert several.roots == 2
    assert several.sign_changes == 2
    assert several.rate == pytest.approx(0.10)
    # two changes of sign and no real root: discriminant of -100 + 100 x - 100 x^2 is negative
    none = irr([-100, 100, -100])
    assert np.isnan(none.rate)
    assert none.sign_changes == 2


def test_many_samples_at_once_agree_with_one_at_a_time():
    rng = np.random.default_rng(7)
    flows = np.concatenate([-np.full((500, 1), 100.0), rng.normal(30.0, 15.0, (500, 6))], axis=1)
    together = irr(flows)
    alone = np.array([float(irr(row).rate) for row in flows[:50]])
    np.testing.assert_allclose(together.rate[:50], alone, rtol=1e-12)
    assert together.rate.shape == (500,)
    assert irr(flows.reshape(5, 100, 7)).rate.shape == (5, 100)


def test_irr_refuses():
    with pytest.raises(InputError):
        irr([1.0])
    with pytest.raises(InputError):
        irr([1.0, np.nan])


@settings(deadline=None)
@given(st.floats(-0.5, 1.0), st.floats(0.0, 0.5), st.lists(INFLOW, min_size=1, max_size=20))
def test_npv_of_inflows_falls_with_the_rate(rate, more, inflows):
    flows = [-1.0, *inflows]
    assert npv_usd(rate + more, flows) <= npv_usd(rate, flows) + 1e-9
    assert npv_usd(0.0, flows) == pytest.approx(sum(flows))


def test_npv_broadcasts_over_rates_and_flows():
    values = npv_usd(np.array([[0.0], [0.05], [0.1]]), [[-100.0, 60.0, 60.0], [-100.0, 0.0, 121.0]])
    assert values.shape == (3, 2)
    assert values[0].tolist() == [20.0, 21.0]
    assert values[2, 1] == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(InputError):
        npv_usd(-1.0, [1.0, 2.0])


@pytest.mark.parametrize(
    ("flows", "rate", "years"),
    [
        # Brealey/Myers style textbook cases, worked by hand
        ([-100, 50, 50, 50], 0.0, 2.0),
        ([-100, 40, 40, 40], 0.0, 2.5),
        ([-100, 30, 30], 0.0, np.nan),
        ([100, -10], 0.0, 0.0),
        ([-100, 110], 0.1, 1.0),
        # at 10 %: 45.45 + 41.32 = 86.78; year 3 pays the missing 13.22 in 0.352 years
        ([-100, 50, 50, 50], 0.1, 2.352),
        # a late outlay counts: it is paid back for good in the fifth year
        ([-100, 120, -60, 30, 30], 0.0, 3 + 10 / 30),
        ([-1, *[0.1] * 10], 0.0, 10.0),
    ],
)
def test_payback(flows, rate, years):
    assert payback_s(flows, rate=rate) / YEAR_S == pytest.approx(years, rel=1e-3, nan_ok=True)


def test_payback_by_sample():
    found = payback_s([[-100.0, 50.0, 50.0], [-100.0, 100.0, 0.0], [-100.0, 1.0, 1.0]], period_s=1.0)
    np.testing.assert_array_equal(found, [2.0, 1.0, np.nan])
    assert payback_s([-100.0, 60.0, 60.0], rate=np.array([0.0, 0.1])).shape == (2,)


@settings(deadline=None)
@given(INFLOW, st.floats(0.0, 0.3))
def test_discounting_only_delays_payback(payment, rate):
    flows = [-3 * payment, *[payment] * 30]
    simple, discounted = payback_s(flows), payback_s(flows, rate=rate)
    assert np.isnan(discounted) or discounted >= simple - 1e-6


def test_project_by_hand():
    flows = project_cash_flows(
        100.0, 50.0, 20.0, 3, period_s=1.0, revenue_growth=-0.1, running_growth=0.05, residual_usd=7.0
    )
    assert flows.tolist() == pytest.approx([-100.0, 30.0, 45.0 - 21.0, 40.5 - 22.05 + 7.0])


def test_tax_is_paid_on_profit_after_losses():
    # year 1: 10 - 20 worn = loss 10, no tax; year 2: 30 - 20 - 10 = 0, no tax; year 3: 60 - 20 = 40, tax 10
    flows = project_cash_flows(
        60.0,
        np.array([10.0]),
        0.0,
        3,
        period_s=1.0,
        revenue_growth=2.0,
        depreciation_usd_per_s=20.0,
        tax_rate=0.25,
    )
    # revenue 10, 30, 90; tax 0, 0, 0.25 (90 - 20)
    assert flows[0].tolist() == pytest.approx([-60.0, 10.0, 30.0, 90.0 - 0.25 * 70.0])


@settings(deadline=None)
@given(INFLOW, INFLOW, st.floats(0.0, 0.5), st.integers(1, 15))
def test_money_is_conserved_without_tax_and_tax_only_takes(revenue, cost, tax, periods):
    free = project_cash_flows(1e6, revenue, cost, periods, period_s=1.0)
    assert np.sum(free) == pytest.approx(-1e6 + periods * (revenue - cost), rel=1e-12, abs=1e-6)
    taxed = project_cash_flows(1e6, revenue, cost, periods, period_s=1.0, tax_rate=tax)
    assert np.all(taxed <= free + 1e-9)


def test_project_broadcasts_and_refuses():
    flows = project_cash_flows(np.array([1.0, 2.0]), np.array([[1.0], [2.0], [3.0]]), 0.5, 4)
    assert flows.shape == (3, 2, 5)
    with pytest.raises(InputError):
        project_cash_flows(1.0, 1.0, 1.0, 0)


@settings(deadline=None)
@given(INFLOW, INFLOW, st.floats(0.0, 0.5), st.integers(1, 20))
def test_levelised_cost_makes_the_project_worth_nothing(outlay, running, rate, periods):
    costs = [outlay, *[running] * periods]
    tokens = [0.0, *[1e6] * periods]
    price = levelised_cost(rate, costs, tokens)
    flows = np.asarray(tokens) * price - np.asarray(costs)
    assert npv_usd(rate, flows) == pytest.approx(0.0, abs=1e-9 * float(npv_usd(rate, costs)))
    assert np.isnan(levelised_cost(rate, costs, np.zeros(periods + 1)))
