"""The facility's year: energy balance, laws of PUE, published PUE from declared inputs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.cooling import DESIGNS, Hours, facility_year, plant_from_facts
from suanli.power import CHAINS, Stage

TABLE = Path(__file__).parent.parent / "validation" / "cooling_pue.csv"
designs = st.sampled_from(sorted(DESIGNS))
chains = st.sampled_from(sorted(CHAINS))


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cases():
    for row in rows():
        miss = (
            pytest.mark.xfail(strict=True, reason=f"misses by {row['known_miss']}")
            if row["known_miss"]
            else ()
        )
        yield pytest.param(row, id=row["case"], marks=miss)


def legacy_plant(facts):
    design = replace(DESIGNS["air"], air_supply_c=18.0, air_approach_k=11.0, air_rise_k=5.5)
    plant = plant_from_facts(design, {**facts(design), "fan-ec-plug-crah/fan_power": 0.070})
    loop = plant.loops[0]
    constant = replace(loop.terminal, flow_min=1.0)
    no_economiser = replace(loop.rejection, wet_bulb_max_c=-np.inf)
    return replace(plant, loops=(replace(loop, terminal=constant, rejection=no_economiser),))


def legacy_chain():
    chain = CHAINS["ups-double-conversion"]
    return replace(chain, facility=(*chain.facility, Stage("PDU", "pdu-transformer-isolation", "2N")))


@pytest.mark.parametrize("row", list(cases()))
def test_published_pue(row, facts, converters, climate) -> None:
    legacy = row["design"] == "legacy"
    if legacy:
        plant = legacy_plant(facts)
    else:
        design = DESIGNS[row["design"]]
        design = replace(design, liquid_sink=row["liquid_sink"]) if row["liquid_sink"] else design
        plant = plant_from_facts(design, facts(design))
    year = facility_year(
        10e6 * float(row["it_share"]),
        10e6,
        chain=legacy_chain() if legacy else CHAINS[row["chain"]],
        converters=converters,
        plant=plant,
        hours=climate(row["site"]),
        other_share=0.02 if legacy else 0.01,
    )
    tolerance = float(row["tolerance"])
    assert float(row["low"]) - tolerance <= year.pue <= float(row["high"]) + tolerance


def run(facts, converters, hours, name, chain, it=8e6, design=10e6, **options):
    plant = plant_from_facts(DESIGNS[name], facts(DESIGNS[name]))
    return facility_year(
        it, design, chain=CHAINS[chain], converters=converters, plant=plant, hours=hours, **options
    )


@settings(deadline=None, max_examples=30)
@given(name=designs, chain=chains, share=st.floats(0.1, 1.0))
def test_all_electricity_ends_as_heat(facts, converters, climate, name, chain, share) -> None:
    year = run(facts, converters, climate("shanghai"), name, chain, 10e6 * share)
    outdoors = year.rejection_j + year.mechanical_loss_j
    seconds = 365.25 * 86400
    indoor_electric = (
        year.heat_rejected_j - year.it_j - year.terminal_j - year.pump_j - year.chiller_j - year.other_j
    )
    outdoor_electric = year.chain_loss_j - indoor_electric
    assert outdoor_electric >= -1e-9 * year.facility_j
    assert year.heat_rejected_j + outdoors + outdoor_electric == pytest.approx(year.facility_j, rel=1e-9)
    assert year.it_j == pytest.approx(10e6 * share * seconds, rel=1e-12)
    assert year.facility_j <= year.peak_w * seconds * (1 + 1e-12)


@settings(deadline=None, max_examples=30)
@given(name=designs, chain=chains, share=st.floats(0.1, 0.5), factor=st.floats(1.05, 2.0))
def test_fixed_overhead_makes_pue_fall_with_load_at_low_load(
    facts, converters, climate, name, chain, share, factor
) -> None:
    hours = climate("ulanqab")
    low = run(facts, converters, hours, name, chain, 10e6 * share).pue
    high = run(facts, converters, hours, name, chain, 10e6 * min(share * factor, 0.5)).pue
    assert high <= low + 1e-9


@settings(deadline=None, max_examples=30)
@given(name=designs, warmer=st.floats(0.0, 10.0))
def test_a_warmer_climate_is_never_cheaper(facts, converters, climate, name, warmer) -> None:
    hours = climate("shanghai")
    hot = Hours(hours.dry_bulb_c + warmer, hours.wet_bulb_c + warmer, hours.duration_s)
    here = run(facts, converters, hours, name, "ups-double-conversion").pue
    assert run(facts, converters, hot, name, "ups-double-conversion").pue >= here - 1e-12


def test_sites_rank_by_climate(facts, converters, climate) -> None:
    # The order that SustainDC inverts at part load: cool sites must not rank behind hot ones.
    for share in (0.3, 0.6, 0.9):
        pue = [
            run(facts, converters, climate(site), "cold-plate", "hvdc-240v", 10e6 * share).pue
            for site in ("seattle", "ashburn", "phoenix")
        ]
        assert pue[0] < pue[1] < pue[2]


def test_pue_is_a_ratio_of_sums_not_a_mean_of_ratios(facts, converters) -> None:
    # Two hours, one with a tenth of the load: the ratio of energies weighs them by energy.
    hours = Hours(np.array([5.0, 30.0]), np.array([3.0, 24.0]), np.array([3600.0, 3600.0]))
    plant = plant_from_facts(DESIGNS["air"], facts(DESIGNS["air"]))
    arguments = {"chain": CHAINS["hvdc-240v"], "converters": converters, "plant": plant}
    profile = np.array([0.2, 1.8])
    both = facility_year(1e6, 2e6, hours=hours, it_profile=profile, **arguments)
    assert both.it_j == pytest.approx(1e6 * 7200.0)
    one = [
        facility_year(
            1e6 * profile[i],
            2e6,
            hours=Hours(*(np.array([x[i]]) for x in (hours.dry_bulb_c, hours.wet_bulb_c, hours.duration_s))),
            **arguments,
        )
        for i in range(2)
    ]
    energies = sum(year.it_j + year.chain_loss_j + year.cooling_j + year.other_j for year in one)
    assert both.facility_j - both.mechanical_loss_j == pytest.approx(energies, rel=1e-9)
    assert abs(np.mean([year.pue for year in one]) - both.pue) > 0.04


def test_samples_give_one_pue_each(facts, converters, climate) -> None:
    design = DESIGNS["cold-plate"]
    values = {**facts(design), "cdu-class/pump_power_specific": np.array([0.012, 0.006, 0.020])}
    hours = climate("shanghai")
    arguments = {"chain": CHAINS["ups-double-conversion"], "converters": converters, "hours": hours}
    load = np.array([8e6, 8e6, 9e6])
    year = facility_year(load, 10e6, plant=plant_from_facts(design, values), **arguments)
    assert year.pue.shape == year.water_m3.shape == year.peak_w.shape == (3,)
    alone = {**values, "cdu-class/pump_power_specific": 0.020}
    last = facility_year(9e6, 10e6, plant=plant_from_facts(design, alone), **arguments)
    assert year.pue[2] == pytest.approx(float(last.pue), rel=1e-12)
    assert year.pue[1] < year.pue[0]
