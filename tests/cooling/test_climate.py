"""Representative hours: means kept, and how far 288 hours are from a full typical year."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from suanli.cooling import DESIGNS, Hours, air, facility_year, plant_from_facts, representative_hours
from suanli.errors import InputError
from suanli.power import CHAINS

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SUANLI_DATA") or ROOT.parent / "shared" / "data") / "weather"
FILES = {
    "shanghai": "Shanghai-Hongqiao_1956_2023_TMYx.epw",
    "phoenix": "USA_AZ_Phoenix-Sky.Harbor.epw",
    "chicago": "USA_IL_Chicago.OHare.epw",
    "seattle": "USA_WA_Seattle-Tacoma.epw",
}
MONTHS = [-12.0, -8.0, -1.0, 7.0, 13.5, 18.0, 20.5, 18.5, 13.0, 5.5, -3.5, -10.0]


def test_means_range_and_year_are_kept() -> None:
    hours = representative_hours(MONTHS, 12.0, relative_humidity_mean=np.full(12, 0.5), altitude_m=1400.0)
    assert hours.dry_bulb_c.shape == hours.wet_bulb_c.shape == hours.duration_s.shape == (288,)
    assert hours.duration_s.sum() == pytest.approx(365.25 * 86400)
    days = hours.dry_bulb_c.reshape(12, 24)
    assert days.mean(axis=1) == pytest.approx(MONTHS)
    assert np.ptp(days, axis=1) == pytest.approx(12.0)
    assert np.all(np.argmax(days, axis=1) == 15)
    assert np.all(hours.wet_bulb_c <= hours.dry_bulb_c + 1e-9)


def test_both_ways_to_give_moisture_agree() -> None:
    p = air.pressure_pa(1400.0)
    humidity = np.linspace(0.4, 0.7, 12)
    wet = air.wet_bulb_c(np.array(MONTHS), air.humidity_ratio_at(MONTHS, humidity, p), p)
    by_humidity = representative_hours(MONTHS, 12.0, relative_humidity_mean=humidity, altitude_m=1400.0)
    by_wet_bulb = representative_hours(MONTHS, 12.0, wet_bulb_mean_c=wet, altitude_m=1400.0)
    assert by_wet_bulb.wet_bulb_c == pytest.approx(by_humidity.wet_bulb_c, abs=1e-5)


def test_days_differ_when_asked() -> None:
    hours = representative_hours(MONTHS, 12.0, relative_humidity_mean=np.full(12, 0.5), day_to_day_k=4.0)
    assert hours.dry_bulb_c.shape == (864,)
    weights = hours.duration_s / hours.duration_s.sum()
    plain = representative_hours(MONTHS, 12.0, relative_humidity_mean=np.full(12, 0.5))
    assert weights @ hours.dry_bulb_c == pytest.approx(np.average(plain.dry_bulb_c, weights=plain.duration_s))
    january = slice(0, 72)
    share = hours.duration_s[january] / hours.duration_s[january].sum()
    spread = share @ (hours.dry_bulb_c[january] + 12.0) ** 2
    assert spread == pytest.approx(4.0**2 + 6.0**2 / 2.0)


def test_samples_of_the_normals() -> None:
    shifted = np.array(MONTHS) + np.array([[0.0], [1.0], [2.0]])
    hours = representative_hours(
        shifted, np.array([10.0, 11.0, 12.0]), relative_humidity_mean=np.full(12, 0.5)
    )
    assert hours.dry_bulb_c.shape == hours.wet_bulb_c.shape == (3, 288)
    assert np.ptp(hours.dry_bulb_c[1, :24]) == pytest.approx(11.0)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="12 monthly means"):
        representative_hours(MONTHS[:11], 12.0, relative_humidity_mean=0.5)
    with pytest.raises(InputError, match="relative_humidity_mean or wet_bulb_mean_c"):
        representative_hours(MONTHS, 12.0)


def full_year(path: Path) -> Hours:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[8:]
    dry, humidity, pressure = np.array([[float(line.split(",")[i]) for i in (6, 8, 9)] for line in lines]).T
    ratio = air.humidity_ratio_at(dry, np.minimum(humidity / 100.0, 1.0), pressure)
    hour = 365.25 * 86400.0 / dry.size
    return Hours(dry, air.wet_bulb_c(dry, ratio, pressure), np.full(dry.size, hour))


@pytest.mark.parametrize("site", FILES)
def test_pue_of_288_hours_against_8760(site, climate, converters, facts) -> None:
    path = DATA / FILES[site]
    if not path.is_file():
        pytest.skip(f"{FILES[site]} not there: set SUANLI_DATA to the folder that holds weather/*.epw")
    for name in ("air", "cold-plate", "immersion-single-phase"):
        plant = plant_from_facts(DESIGNS[name], facts(DESIGNS[name]))
        both = [
            facility_year(
                8e6,
                10e6,
                chain=CHAINS["ups-double-conversion"],
                converters=converters,
                plant=plant,
                hours=hours,
            ).pue
            for hours in (climate(site), full_year(path))
        ]
        # 288 hours average heat waves away: a little below the full year, never by more than 0.01.
        assert -0.01 < both[0] - both[1] < 0.003
