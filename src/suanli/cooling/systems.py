"""The named cooling systems, as data. To add one, add an entry to DESIGNS.

What a maker or a standard states comes from the catalogue's table `coolers`; the temperatures and shares
that a designer chooses are the fields of `Design`, declared here with their usual values (grade D) and free
to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from suanli.cooling.equipment import Chiller, Num, Rejection, Terminal
from suanli.cooling.plant import Loop, Plant
from suanli.errors import InputError, NoDataError, UnknownIdError

_WATER_J_PER_M3K = 994.0 * 4178.0  # density times specific heat at 35 C
_PUMP_HYDRAULIC = 0.75  # efficiency of the impeller, beside that of the motor

_FAN = "fan-ec-plug-crah"
_CHILLER = "chiller-doe2-centrifugal"
_COMMON = (
    *(f"{_FAN}/{parameter}" for parameter in ("fan_power", *(f"fan_power_c{i}" for i in range(1, 5)))),
    *(f"pump-eplus-chilled/{parameter}" for parameter in ("head", "efficiency_motor")),
    *(
        f"{_CHILLER}/{p}"
        for p in ("cop_reference", "t_chilled_reference", "t_condenser_reference", "plr_min")
    ),
    *(f"{_CHILLER}/eirfplr_c{i}" for i in range(1, 4)),
)
_TOWER = (
    "tower-open/approach_design",
    "tower-open/fan_power",
    "tower-open/evaporation",
    "tower-variable-speed-eplus/cycles_of_concentration",
    "tower-variable-speed-eplus/air_flow_min_ratio",
)
_DRY = ("dry-cooler/approach_design", "dry-cooler/fan_power", "tower-variable-speed-eplus/air_flow_min_ratio")
_OUTDOOR = (
    "adiabatic-cooler/pad_effectiveness",
    "evaporative-indirect/t_wetbulb_max",
    "chiller-air-cooled/cop_reference",
    "tower-open/evaporation",
    _TOWER[3],
)
_LIQUID = ("cdu-class/approach_design", "cdu-class/pump_power_specific")

Sink = Literal["dry", "tower", "outdoor-air"]
_FACTS: dict[Sink, tuple[str, ...]] = {"dry": _DRY, "tower": _TOWER, "outdoor-air": _OUTDOOR}


@dataclass(frozen=True, slots=True)
class Design:
    """What the designer of a cooling system chooses.

    Attributes:
        name: its name in scenarios.
        description: what it is, in one line.
        liquid_share: share of the IT heat that goes into liquid [1]; or the catalogue key that states it.
        liquid_supply_c: coolant delivered to the IT [C].
        liquid_rise_k: warming of the facility water behind the CDU [K].
        liquid_sink: "dry" or "tower".
        air_supply_c: air delivered to the IT [C].
        air_approach_k: that air above the chilled water [K].
        air_rise_k: warming of the chilled water, or of the air where outdoor air is used [K].
        air_sink: "tower", "dry" or "outdoor-air".
        tower_exchanger_k: plate exchanger between tower and building loop [K].
        chiller_units: chillers in each bank [1].
    """

    name: str
    description: str
    liquid_share: Num | str = 0.0
    liquid_supply_c: Num = 40.0
    liquid_rise_k: Num = 10.0
    liquid_sink: Sink = "dry"
    air_supply_c: Num = 24.0
    air_approach_k: Num = 6.0
    air_rise_k: Num = 8.0
    air_sink: Sink = "tower"
    tower_exchanger_k: Num = 1.5
    chiller_units: int = 4


DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (
        Design("air", "contained aisles, chilled water, water-side economiser, cooling tower"),
        Design(
            "fresh-air",
            "outdoor air through the halls, wetted pads, trim cooling",
            air_supply_c=27.0,
            air_approach_k=0.0,
            air_rise_k=12.0,
            air_sink="outdoor-air",
        ),
        Design(
            "cold-plate", "cold plates on the chips, air for the rest", "liquid-direct-to-chip/heat_to_liquid"
        ),
        Design("immersion-single-phase", "boards in a tank of dielectric liquid", 0.97),
        Design("spray", "dielectric liquid sprayed onto the boards", 0.93),
    )
}


def find_design(name: str) -> Design:
    """Return the design of that name.

    Raises:
        UnknownIdError: no such cooling system; names the close ones.
    """
    if name not in DESIGNS:
        raise UnknownIdError("cooling system", name, DESIGNS)
    return DESIGNS[name]


def facts_needed(design: Design) -> tuple[str, ...]:
    """Return the keys "id/parameter" (table `coolers`) that `plant_from_facts` reads for a design."""
    liquid: tuple[str, ...] = ()
    if _has_liquid(design):
        share = (design.liquid_share,) if isinstance(design.liquid_share, str) else ()
        liquid = (*_LIQUID, *_FACTS[design.liquid_sink], *share)
    return tuple(dict.fromkeys((*_COMMON, *_FACTS[design.air_sink], *liquid)))


def plant_from_facts(design: Design, facts: Mapping[str, Num]) -> Plant:
    """Build the plant of a design.

    Args:
        design: what the designer chose.
        facts: "id/parameter" -> value in coherent units (fractions, W/W, m3/J; Celsius stays), as `Fact.si`
            gives it; arrays are samples, of shape (samples, 1) where they will meet hours.

    Returns:
        The plant: a liquid loop where the design has one, and an air loop.

    Raises:
        NoDataError: a fact is missing.
        InputError: the liquid share is outside 0 to 1.
    """
    missing = [key for key in facts_needed(design) if key not in facts]
    if missing:
        raise NoDataError(
            f"cooling system {design.name}: the catalogue lacks {', '.join(missing)} in coolers"
        )
    if not _has_liquid(design):
        return Plant(design.name, (_air_loop(design, facts, 1.0),))
    stated = design.liquid_share
    share = facts[stated] if isinstance(stated, str) else stated
    if not np.all((np.asarray(share) >= 0.0) & (np.asarray(share) <= 1.0)):
        raise InputError(
            f"cooling system {design.name}: the share of heat to liquid must lie between 0 and 1"
        )
    return Plant(design.name, (_liquid_loop(design, facts, share), _air_loop(design, facts, 1.0 - share)))


def _has_liquid(design: Design) -> bool:
    return isinstance(design.liquid_share, str) or bool(np.any(np.asarray(design.liquid_share) > 0.0))


def _liquid_loop(design: Design, facts: Mapping[str, Num], share: Num) -> Loop:
    return Loop(
        name="liquid",
        share=share,
        terminal=Terminal(facts["cdu-class/pump_power_specific"]),
        supply_c=design.liquid_supply_c,
        approach_k=facts["cdu-class/approach_design"],
        rise_k=design.liquid_rise_k,
        pump_w_per_w=_pump_w_per_w(facts, design.liquid_rise_k, 2 if design.liquid_sink == "tower" else 1),
        rejection=_rejection(design, facts, design.liquid_sink),
        chiller=_chiller(design, facts),
    )


def _air_loop(design: Design, facts: Mapping[str, Num], share: Num) -> Loop:
    outdoor = design.air_sink == "outdoor-air"
    c1, c2, c3, c4 = (facts[f"{_FAN}/fan_power_c{i}"] for i in range(1, 5))
    return Loop(
        name="air",
        share=share,
        terminal=Terminal(facts[f"{_FAN}/fan_power"], (c1, c2, c3, c4)),
        supply_c=design.air_supply_c,
        approach_k=design.air_approach_k,
        rise_k=design.air_rise_k,
        pump_w_per_w=0.0 if outdoor else _pump_w_per_w(facts, design.air_rise_k, 2),
        rejection=_rejection(design, facts, design.air_sink),
        chiller=_packaged_chiller(design, facts) if outdoor else _chiller(design, facts),
    )


def _pump_w_per_w(facts: Mapping[str, Num], rise_k: Num, loops: int) -> Num:
    lifted = facts["pump-eplus-chilled/head"] / (
        facts["pump-eplus-chilled/efficiency_motor"] * _PUMP_HYDRAULIC
    )
    return loops * lifted / (_WATER_J_PER_M3K * rise_k)


def _rejection(design: Design, facts: Mapping[str, Num], sink: Sink) -> Rejection:
    if sink == "dry":
        return Rejection(
            "dry-bulb",
            approach_k=facts["dry-cooler/approach_design"],
            fan_w_per_w=facts["dry-cooler/fan_power"],
            flow_min=facts["tower-variable-speed-eplus/air_flow_min_ratio"],
        )
    wet = {"evaporation_m3_per_j": facts["tower-open/evaporation"], "cycles": facts[_TOWER[3]]}
    if sink == "outdoor-air":
        return Rejection(
            "outdoor-air",
            approach_k=0.0,
            pad_effectiveness=facts["adiabatic-cooler/pad_effectiveness"],
            wet_bulb_max_c=facts["evaporative-indirect/t_wetbulb_max"],
            **wet,
        )
    return Rejection(
        "wet-bulb",
        approach_k=facts["tower-open/approach_design"],
        exchanger_k=design.tower_exchanger_k,
        fan_w_per_w=facts["tower-open/fan_power"],
        flow_min=facts["tower-variable-speed-eplus/air_flow_min_ratio"],
        **wet,
    )


def _chiller(design: Design, facts: Mapping[str, Num]) -> Chiller:
    c1, c2, c3 = (facts[f"{_CHILLER}/eirfplr_c{i}"] for i in range(1, 4))
    return Chiller(
        cop_reference=facts[f"{_CHILLER}/cop_reference"],
        chilled_reference_c=facts[f"{_CHILLER}/t_chilled_reference"],
        sink_reference_c=facts[f"{_CHILLER}/t_condenser_reference"],
        part_load=(c1, c2, c3),
        part_load_min=facts[f"{_CHILLER}/plr_min"],
        units=design.chiller_units,
    )


def _packaged_chiller(design: Design, facts: Mapping[str, Num]) -> Chiller:
    # Rating points of AHRI 550/590: 6.67 C leaving water, 35 C ambient; the COP holds the condenser fans.
    bank = replace(_chiller(design, facts), chilled_reference_c=6.67, sink_reference_c=35.0)
    return replace(bank, cop_reference=facts["chiller-air-cooled/cop_reference"], coil_k=8.0)
