"""Capital and running cost: parts sum, money is conserved, laws of depreciation and annuities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.economics.capex import (
    AssetLives,
    FacilityPrices,
    annuity,
    book_value,
    capital_cost,
    capital_recovery_factor,
    split_facility_price,
    straight_line,
)
from suanli.economics.money import DAY_S, YEAR_S, usd_from_cny
from suanli.economics.opex import operating_cost
from suanli.errors import InputError
from suanli.units import to_si

MONEY = st.floats(0.0, 1e9)
SHARE = st.floats(0.0, 0.5)
LIVES = AssetLives(
    systems=5 * YEAR_S,
    network=5 * YEAR_S,
    electrical=15 * YEAR_S,
    mechanical=15 * YEAR_S,
    building=30 * YEAR_S,
)


def fleet(n=100.0, price=3.4e6, network=2e7, power=1.5e7, spares=0.03, margin=1.1):
    return capital_cost(
        systems=n,
        system_price_usd=price,
        network_usd=network,
        it_power_w=power,
        facility=FacilityPrices(5.0, 2.4, 3.5, 1.3),
        spare_share=spares,
        design_margin=margin,
    )


def test_capital_cost_by_hand():
    capex = fleet()
    assert capex.systems == 3.4e8
    assert capex.spares == pytest.approx(0.03 * 3.6e8)
    assert capex.electrical == pytest.approx(1.5e7 * 1.1 * 5.0)
    assert capex.total == pytest.approx(3.4e8 + 2e7 + 0.03 * 3.6e8 + 1.65e7 * 12.2)


@settings(deadline=None)
@given(MONEY, MONEY, MONEY, MONEY, SHARE)
def test_parts_sum_to_the_total(n, price, network, power, spares):
    capex = fleet(n, price, network, power, spares)
    assert float(capex.total) == pytest.approx(sum(float(part) for part in capex.items().values()), rel=1e-12)
    shares = sum(float(share) for share in capex.shares().values())
    assert shares == pytest.approx(1.0 if capex.total > 0 else 0.0, rel=1e-12)


@settings(deadline=None)
@given(st.floats(0.0, 1e4), st.floats(0.1, 100.0))
def test_scaling_a_fleet_scales_its_capex(n, factor):
    once = fleet(n, 3e5, 1e3 * n, 1e4 * n)
    scaled = fleet(n * factor, 3e5, 1e3 * n * factor, 1e4 * n * factor)
    for name, part in once.times(factor).items().items():
        assert scaled.items()[name] == pytest.approx(float(part), rel=1e-12)


@settings(deadline=None)
@given(st.floats(0.1, 100.0), *(st.floats(0.0, 1.0) for _ in range(3)), st.floats(0.01, 1.0))
def test_splitting_a_facility_price_loses_nothing(total, electrical, mechanical, land, building):
    prices = split_facility_price(
        total, electrical=electrical, mechanical=mechanical, building=building, land=land
    )
    whole = prices.electrical + prices.mechanical + prices.building + prices.land
    assert whole == pytest.approx(total, rel=1e-12)


@settings(deadline=None)
@given(st.floats(1.0, 1e8), st.floats(1.0, 1e8))
def test_depreciation_over_the_life_is_the_price(price, power):
    capex = fleet(10.0, price, price, power)
    worn = straight_line(capex, LIVES)
    assert worn.systems * 5 * YEAR_S == pytest.approx(float(capex.systems), rel=1e-12)
    assert worn.spares * 5 * YEAR_S == pytest.approx(float(capex.spares), rel=1e-12)
    assert worn.building * 30 * YEAR_S == pytest.approx(float(capex.building), rel=1e-12)
    assert worn.land == 0
    for years in (0.0, 3.0, 5.0, 40.0):
        value = book_value(capex, LIVES, years * YEAR_S)
        spent = worn.electrical * min(years, 15.0) * YEAR_S
        assert float(value.electrical) + float(spent) == pytest.approx(float(capex.electrical), rel=1e-9)
        assert value.land == capex.land


@pytest.mark.parametrize(
    ("rate", "years", "factor"),
    [
        # numpy-financial test_financial.py: pmt(0.08/12, 60, 15000) = -304.145914; pmt(0, 60, 15000) = -250
        (0.08 / 12, 60, 304.145914 / 15_000),
        (0.0, 60, 250 / 15_000),
        # pmt(0.8, 3, 20000) = -19311.258, pmt(0.3, 12, 2000) = -626.90814 (ibid.)
        (0.8, 3, 19_311.258 / 20_000),
        (0.3, 12, 626.90814 / 2_000),
    ],
)
def test_capital_recovery_factor(rate, years, factor):
    assert capital_recovery_factor(rate, years * YEAR_S) == pytest.approx(factor, rel=1e-7)


def test_capital_recovery_limits():
    assert capital_recovery_factor(0.07, np.inf) == pytest.approx(0.07)
    assert capital_recovery_factor(1e-9, 10 * YEAR_S) == pytest.approx(0.1, rel=1e-7)
    assert capital_recovery_factor(0.0, np.inf) == 0
    np.testing.assert_allclose(
        capital_recovery_factor(np.array([0.0, 0.1]), np.array([10.0, 10.0]) * YEAR_S), [0.1, 0.16274539]
    )


@settings(deadline=None)
@given(st.floats(0.0, 0.5), st.floats(0.0, 0.5))
def test_annuity_grows_with_the_rate_and_starts_at_straight_line(one, two):
    capex = fleet()
    low, high = sorted((one, two))
    assert annuity(capex, LIVES, high).total >= annuity(capex, LIVES, low).total * (1 - 1e-12)
    assert annuity(capex, LIVES, 0.0).total == pytest.approx(
        float(straight_line(capex, LIVES).total), rel=1e-12
    )


def test_running_cost_by_hand():
    cost = operating_cost(
        facility_power_w=1e6,
        electricity_usd_per_j=to_si(0.07, "USD/kWh"),
        staff_count=10,
        wage_usd_per_person_s=to_si(100_000, "USD/year"),
        asset_usd=1e8,
        maintenance_per_s=to_si(1.8, "%/year"),
        insurance_per_s=to_si(1.0, "%/year"),
        water_m3_per_s=0.001,
        water_usd_per_m3=2.0,
        colocated_power_w=1e6,
        colocation_usd_per_w_s=to_si(125, "USD/kW/month"),
    )
    year = cost.times(YEAR_S)
    assert year.energy == pytest.approx(1_000 * 8_766 * 0.07)
    assert year.staff == pytest.approx(1e6)
    assert year.maintenance == pytest.approx(1.8e6)
    assert year.insurance == pytest.approx(1e6)
    assert year.water == pytest.approx(0.002 * YEAR_S)
    assert year.colocation == pytest.approx(1_000 * 12 * 125)
    assert year.rent == 0


@settings(deadline=None)
@given(
    st.floats(0.0, 1e9), st.floats(0.0, 1e-6), st.floats(0.0, 1e6), st.floats(0.0, 1.0), st.floats(1.0, 10.0)
)
def test_running_cost_sums_and_grows(power, price, chips, rent, factor):
    def cost(p, c):
        return operating_cost(
            facility_power_w=p, electricity_usd_per_j=price, rented_chips=c, rent_usd_per_chip_s=rent
        )

    once = cost(power, chips)
    assert float(once.total) == pytest.approx(sum(float(x) for x in once.items().values()), rel=1e-12)
    assert cost(power * factor, chips * factor).total >= once.total
    assert once.times(YEAR_S).total == pytest.approx(float(once.times(DAY_S).total) * 365.25, rel=1e-12)


def test_samples_broadcast():
    capex = fleet(n=np.array([100.0, 110.0]), price=np.array([3.4e6, 3.0e6]))
    assert capex.total.shape == (2,)
    assert straight_line(capex, LIVES).total.shape == (2,)
    rate = np.array([[0.05], [0.10], [0.15]])
    assert annuity(capex, LIVES, rate).total.shape == (3, 2)


def test_currency_needs_a_rate():
    assert usd_from_cny(7.2e6, 7.2) == 1e6
    with pytest.raises(InputError):
        usd_from_cny(1.0, 0.0)


def test_refusals():
    with pytest.raises(InputError):
        fleet(n=-1.0)
    with pytest.raises(InputError):
        fleet(margin=0.9)
    with pytest.raises(InputError):
        split_facility_price(10.0, electrical=0.0, mechanical=0.0, building=0.0)
    with pytest.raises(InputError):
        split_facility_price(10.0, electrical=-1.0, mechanical=2.0, building=0.0)
    with pytest.raises(InputError, match="facility power"):
        operating_cost(facility_power_w=-1.0)
