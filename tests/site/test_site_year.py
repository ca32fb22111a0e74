"""A year at a site: bills and carbon by hand, and linearity."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.site import SECONDS_PER_YEAR, site_year
from suanli.units import to_si


def test_bill_by_hand() -> None:
    # 1 MW all year: 8,766 MWh at 0.10 USD/kWh and 0.5 kg/kWh; 5 USD/kW/month on 1 MW; 1,000 m3 at 2 USD.
    year = site_year(
        1e6 * SECONDS_PER_YEAR,
        electricity_price_usd_per_j=to_si(0.10, "USD/kWh"),
        grid_carbon_kg_per_j=to_si(0.5, "kg/kWh"),
        peak_w=1e6,
        demand_charge_usd_per_w_s=to_si(5.0, "USD/kW/month"),
        water_m3=1000.0,
        water_price_usd_per_m3=2.0,
    )
    assert year.energy_j / 3.6e9 == pytest.approx(8766.0)
    assert year.energy_cost_usd == pytest.approx(876_600.0)
    assert year.carbon_kg == pytest.approx(4_383_000.0)
    assert year.demand_cost_usd == pytest.approx(60_000.0)
    assert year.water_cost_usd == pytest.approx(2000.0)
    assert year.cost_usd == pytest.approx(938_600.0)


@settings(deadline=None)
@given(
    energy=st.floats(0.0, 1e18),
    price=st.floats(0.0, 1e-6),
    carbon=st.floats(0.0, 1e-6),
    k=st.floats(0.0, 10.0),
)
def test_charges_scale_with_energy(energy, price, carbon, k) -> None:
    one = site_year(energy, electricity_price_usd_per_j=price, grid_carbon_kg_per_j=carbon)
    more = site_year(k * energy, electricity_price_usd_per_j=price, grid_carbon_kg_per_j=carbon)
    assert more.cost_usd == pytest.approx(k * one.cost_usd, rel=1e-9)
    assert more.carbon_kg == pytest.approx(k * one.carbon_kg, rel=1e-9)
    assert one.demand_cost_usd == 0.0
