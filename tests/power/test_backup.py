"""Ride-through: the worked checks of the formulas, and the laws of a store."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.power import capacitance_f, capacitor_energy_j, hold_up_s, ride_through, voltage_floor_v


def test_rack_capacitor_by_hand() -> None:
    # 65 J for each of 72 GPUs = 4,680 J; 54 V to 40 V: 2 x 4680 / (2916 - 1600) = 7.11 F; 35 ms at 132 kW.
    farad = capacitance_f(65.0 * 72, 54.0, 40.0)
    assert farad == pytest.approx(7.11, abs=0.005)
    assert hold_up_s(132e3, farad, 54.0, 40.0) == pytest.approx(0.0355, abs=1e-4)


def test_cell_energies_of_datasheets() -> None:
    # Maxwell BCAP3000 P270: 3.04 Wh; BMOD0165 P048: 53 Wh (datasheets, to no charge).
    assert capacitor_energy_j(3000.0, 2.7, 0.0) / 3600 == pytest.approx(3.04, abs=0.01)
    assert capacitor_energy_j(165.0, 48.0, 0.0) / 3600 == pytest.approx(53.0, abs=0.5)


def test_resistance_sets_a_floor() -> None:
    assert voltage_floor_v(20e3, 6.3e-3) == pytest.approx(22.45, abs=0.01)
    easy = hold_up_s(20e3, 165.0, 48.0, 10.0)
    hard = hold_up_s(20e3, 165.0, 48.0, 10.0, resistance_ohm=6.3e-3)
    assert hard < easy
    assert hold_up_s(1e6, 165.0, 48.0, 10.0, resistance_ohm=6.3e-3) == 0.0


def test_ride_through_by_hand() -> None:
    # 1 MW, 10 s start + 5 s transfer + 15 s margin, battery answers after 4 ms, 95 %, 80 % depth, 6C.
    plan = ride_through(
        1e6,
        generator_start_s=10.0,
        transfer_s=5.0,
        margin_s=15.0,
        battery_response_s=0.004,
        battery_efficiency=0.95,
        depth_of_discharge=0.8,
        discharge_rate_per_s=6.0 / 3600.0,
        generator_margin=0.225,
    )
    assert plan.duration_s == 30.0
    assert plan.capacitor_j == pytest.approx(4000.0)
    # The rate limit binds: 1 MW / 0.95 at 6C asks for 632 MJ, the energy alone for 39 MJ.
    assert plan.battery_j == pytest.approx(1e6 / 0.95 * 600.0)
    assert plan.generator_w == pytest.approx(1.225e6)


@settings(deadline=None)
@given(
    load=st.floats(1.0, 1e9),
    start=st.floats(0.0, 600.0),
    answer=st.floats(0.0, 60.0),
    eta=st.floats(0.5, 1.0),
)
def test_tiers_cover_the_gap(load, start, answer, eta) -> None:
    plan = ride_through(load, generator_start_s=start, battery_response_s=answer, battery_efficiency=eta)
    assert plan.capacitor_j + plan.battery_j * eta == pytest.approx(load * start, rel=1e-9)
