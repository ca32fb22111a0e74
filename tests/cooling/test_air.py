"""Moist air against the tables of the ASHRAE handbook, and its laws."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.cooling import air

TABLE = Path(__file__).parent.parent / "validation" / "cooling_psychrometrics.csv"


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def computed(row: dict[str, str]) -> float:
    t = float(row["temperature_c"])
    other = float(row["other"] or "nan")
    p = float(row["pressure_pa"] or "nan")
    return float(
        {
            "saturation_pressure": lambda: air.saturation_pressure_pa(t),
            "saturation_humidity": lambda: air.humidity_ratio_at(t, 1.0, p),
            "humidity_from_wet_bulb": lambda: air.humidity_ratio_from_wet_bulb(t, other, p),
            "enthalpy": lambda: air.enthalpy_j_per_kg(t, other),
            "volume": lambda: air.volume_m3_per_kg(t, other, p),
            "pressure": lambda: air.pressure_pa(t),
        }[row["quantity"]]()
    )


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['quantity']}@{row['temperature_c']}")
def test_published_tables(row) -> None:
    assert computed(row) == pytest.approx(float(row["value"]), rel=float(row["tolerance"]))


def test_handbook_example_in_reverse() -> None:
    # ASHRAE Fundamentals 2017, chapter 1, example 1: 40 C dry and 20 C wet bulb at sea level.
    w = air.humidity_ratio_from_wet_bulb(40.0, 20.0, 101325.0)
    assert air.wet_bulb_c(40.0, w, 101325.0) == pytest.approx(20.0, abs=1e-6)
    assert air.enthalpy_j_per_kg(40.0, w) == pytest.approx(56700.0, abs=150.0)
    assert air.volume_m3_per_kg(40.0, w, 101325.0) == pytest.approx(0.896, abs=0.001)
    vapour = air.vapour_pressure_pa(w, 101325.0)
    assert vapour / air.saturation_pressure_pa(40.0) == pytest.approx(0.14, abs=0.005)
    assert air.dew_point_c(vapour) == pytest.approx(7.0, abs=0.5)


dry_bulbs = st.floats(-40.0, 50.0)
humidities = st.floats(0.02, 1.0)
pressures = st.floats(60e3, 105e3)


@settings(deadline=None)
@given(t=dry_bulbs, rh=humidities, p=pressures)
def test_wet_bulb_solves_its_equation_between_dew_point_and_dry_bulb(t, rh, p) -> None:
    w = air.humidity_ratio_at(t, rh, p)
    wet = float(air.wet_bulb_c(t, w, p))
    assert wet <= t + 1e-9
    assert air.humidity_ratio_from_wet_bulb(t, wet, p) == pytest.approx(float(w), abs=1e-9)
    assert wet >= air.dew_point_c(air.saturation_pressure_pa(t) * rh) - 0.01


@settings(deadline=None)
@given(t=dry_bulbs, rh=humidities, p=pressures, step=st.floats(0.01, 10.0), wetter=st.floats(0.0, 0.5))
def test_wet_bulb_rises_with_heat_and_moisture(t, rh, p, step, wetter) -> None:
    w = air.humidity_ratio_at(t, rh, p)
    here = air.wet_bulb_c(t, w, p)
    assert air.wet_bulb_c(t + step, w, p) >= here
    assert air.wet_bulb_c(t, w * (1.0 + wetter), p) >= here - 1e-7


@settings(deadline=None)
@given(t=dry_bulbs, p=pressures)
def test_saturated_air_has_one_temperature(t, p) -> None:
    assert air.wet_bulb_c(t, air.humidity_ratio_at(t, 1.0, p), p) == pytest.approx(t, abs=1e-5)


@settings(deadline=None)
@given(t=st.floats(-60.0, 90.0))
def test_dew_point_undoes_saturation(t) -> None:
    assert air.dew_point_c(air.saturation_pressure_pa(t)) == pytest.approx(t, abs=1e-3)


def test_one_call_for_a_table_of_samples_and_hours() -> None:
    t = np.linspace(-20.0, 40.0, 24) + np.linspace(-2.0, 2.0, 5)[:, None]
    w = air.humidity_ratio_at(t, 0.5, 90e3)
    table = air.wet_bulb_c(t, w, 90e3)
    assert table.shape == (5, 24)
    assert table[3, 7] == pytest.approx(float(air.wet_bulb_c(t[3, 7], w[3, 7], 90e3)), abs=1e-6)
