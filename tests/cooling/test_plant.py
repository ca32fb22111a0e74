"""Plants: energy balance, free cooling, and nothing that gets cheaper in a heat wave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.cooling import DESIGNS, facts_needed, find_design, loop_flow, plant_flow, plant_from_facts
from suanli.errors import InputError, NoDataError, UnknownIdError

names = st.sampled_from(sorted(DESIGNS))
loads = st.floats(0.05, 1.0)
ambients = st.floats(-35.0, 48.0)
depressions = st.floats(0.0, 20.0)


def run(facts, name, load, dry, wet, sink="dry"):
    design = replace(DESIGNS[name], liquid_sink=sink)
    plant = plant_from_facts(design, facts(design))
    return plant_flow(plant, load * 1e6, 1e6, 4e4, 6e4, dry_bulb_c=dry, wet_bulb_c=wet)


@settings(deadline=None)
@given(name=names, load=loads, dry=ambients, depression=depressions, sink=st.sampled_from(["dry", "tower"]))
def test_heat_is_neither_made_nor_lost(facts, name, load, dry, depression, sink) -> None:
    flow = run(facts, name, load, dry, dry - depression, sink)
    inside = sum(loop.terminal_w + loop.pump_w + loop.chiller_w for loop in flow.loops)
    assert flow.heat_rejected_w == pytest.approx(load * 1e6 + 4e4 + inside, rel=1e-9)
    assert all(np.all(loop.water_m3_per_s >= 0.0) for loop in flow.loops)


@settings(deadline=None)
@given(
    name=names,
    load=loads,
    dry=ambients,
    depression=depressions,
    hotter=st.floats(0.0, 15.0),
    wetter=st.floats(0.0, 15.0),
    sink=st.sampled_from(["dry", "tower"]),
)
def test_power_never_falls_as_it_gets_hotter_or_wetter(
    facts, name, load, dry, depression, hotter, wetter, sink
) -> None:
    wet = dry - depression
    hot = dry + hotter
    here = run(facts, name, load, dry, wet, sink).power_w
    there = run(facts, name, load, hot, min(wet + wetter, hot), sink).power_w
    assert there >= here * (1.0 - 1e-12)


@settings(deadline=None)
@given(name=names, load=loads, more=st.floats(0.0, 0.5), dry=ambients, depression=depressions)
def test_power_never_falls_as_load_rises(facts, name, load, more, dry, depression) -> None:
    here = run(facts, name, load, dry, dry - depression).power_w
    assert run(facts, name, load + more, dry, dry - depression).power_w >= here * (1.0 - 1e-12)


@settings(deadline=None)
@given(name=names, load=loads, dry=ambients, depression=depressions)
def test_chillers_run_only_when_the_outdoors_is_too_warm(facts, name, load, dry, depression) -> None:
    wet = dry - depression
    plant = plant_from_facts(DESIGNS[name], facts(DESIGNS[name]))
    for loop in plant.loops:
        flow = loop_flow(loop, load * 1e6, 1e6, dry_bulb_c=dry, wet_bulb_c=wet)
        rejection = loop.rejection
        sink = {"dry-bulb": dry, "wet-bulb": wet}.get(
            rejection.sink, dry - rejection.pad_effectiveness * depression
        )
        reached = sink + rejection.approach_k + rejection.exchanger_k
        needed = loop.supply_c - loop.approach_k
        if wet > rejection.wet_bulb_max_c or reached > needed + 1e-9:
            assert flow.chiller_w > 0.0
        elif reached < needed - 1e-9:
            assert flow.chiller_w == 0.0
            assert flow.economiser_share == 1.0


def test_cold_plate_by_hand(facts) -> None:
    # 1 MW at design into the 40 C liquid loop, dry cooler 8 K above 20 C air: no chiller. CDU pumps 12 W/kW.
    design = DESIGNS["cold-plate"]
    loop = plant_from_facts(design, facts(design)).loops[0]
    flow = loop_flow(loop, 1e6, 1e6, dry_bulb_c=20.0, wet_bulb_c=12.0)
    assert flow.terminal_w == pytest.approx(12e3)
    # Facility pumps: 160 kPa over 0.87 x 0.75, 10 K of water of 4.153 MJ/m3/K.
    assert flow.pump_w == pytest.approx(1.012e6 * 160e3 / (0.87 * 0.75) / (994 * 4178 * 10.0))
    inside = 1.012e6 + flow.pump_w
    # Fans: sized for the heat with chiller at COP 5.5; span 47 - 20 K against 18 K at design.
    rated = inside * (1.0 + 1.0 / 5.5)
    flow_share = 1.0 / (1.0 + 1.0 / 5.5) * 18.0 / 27.0
    assert flow.rejection_w == pytest.approx(0.018 * rated * flow_share**3)
    assert flow.chiller_w == 0.0
    assert flow.water_m3_per_s == 0.0


def test_tower_water_by_hand(facts) -> None:
    # 1.5 L/kWh evaporated and four cycles: 2 L of make-up per kWh rejected.
    flow = run(facts, "air", 1.0, 15.0, 5.0)
    litres_per_kwh = float(flow.water_m3_per_s / flow.heat_rejected_w) * 3.6e9
    assert litres_per_kwh == pytest.approx(2.0, rel=1e-6)


def test_humid_air_stays_outside(facts) -> None:
    dry_summer = run(facts, "fresh-air", 1.0, 33.0, 19.0)
    humid_summer = run(facts, "fresh-air", 1.0, 33.0, 26.0)
    assert dry_summer.chiller_w == 0.0
    assert humid_summer.chiller_w > 0.0


def test_samples_and_hours_broadcast(facts) -> None:
    design = DESIGNS["cold-plate"]
    values = facts(design)
    values["dry-cooler/approach_design"] = np.array([[6.0], [8.0], [12.0]])
    dry = np.linspace(0.0, 40.0, 24)
    flow = plant_flow(
        plant_from_facts(design, values), 1e6, 1e6, 0.0, 0.0, dry_bulb_c=dry, wet_bulb_c=dry - 5.0
    )
    assert flow.power_w.shape == (3, 24)
    one = {**values, "dry-cooler/approach_design": 12.0}
    alone = plant_flow(
        plant_from_facts(design, one), 1e6, 1e6, 0.0, 0.0, dry_bulb_c=dry, wet_bulb_c=dry - 5.0
    )
    assert flow.power_w[2] == pytest.approx(alone.power_w)


def test_bad_input_is_named(facts) -> None:
    with pytest.raises(UnknownIdError, match="cold-plate"):
        find_design("coldplate")
    design = DESIGNS["cold-plate"]
    with pytest.raises(NoDataError, match="cdu-class/approach_design"):
        plant_from_facts(
            design, {key: 1.0 for key in facts_needed(design) if key != "cdu-class/approach_design"}
        )
    with pytest.raises(InputError, match="between 0 and 1"):
        plant_from_facts(replace(design, liquid_share=1.2), facts(design))
