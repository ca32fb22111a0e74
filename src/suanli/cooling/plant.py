"""A cooling plant, hour by hour: power, water and heat to the outdoors for a heat load and the weather.

Heat takes one or more loops from the IT to the outdoors. In each, fans or pumps add their own heat, an
economiser takes what the outdoors can, and a chiller lifts the rest. Shapes: hours on the last axis,
samples before it; any argument may be a scalar. Samples of a parameter that meet hours must have shape
(samples, 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from suanli.cooling.equipment import (
    Array,
    Chiller,
    Num,
    Rejection,
    Terminal,
    chiller_power_w,
    sink_c,
    terminal_power_w,
)

_STATIC_SHARE = 0.3  # of a pump's design head that does not fall with flow


@dataclass(frozen=True, slots=True)
class Loop:
    """One path of heat from the IT to the outdoors.

    Attributes:
        name: what it is, for people.
        share: share of the IT heat that takes it [1].
        terminal: fans or pumps at the IT.
        supply_c: temperature of the air or coolant delivered to the IT [C].
        approach_k: from the facility water to that supply [K].
        rise_k: warming of the facility water (or outdoor air) [K].
        pump_w_per_w: facility water pumps over heat at design [W/W].
        rejection: dry cooler, tower or outdoor air.
        chiller: what lifts the heat that the economiser cannot take.
    """

    name: str
    share: Num
    terminal: Terminal
    supply_c: Num
    approach_k: Num
    rise_k: Num
    pump_w_per_w: Num
    rejection: Rejection
    chiller: Chiller


@dataclass(frozen=True, slots=True)
class Plant:
    """A cooling system. Its last loop also carries the losses of the electrical rooms and the lighting."""

    name: str
    loops: tuple[Loop, ...]


@dataclass(frozen=True, slots=True)
class LoopFlow:
    """What a loop does: powers and heat [W], water [m3/s], share of heat that the economiser takes [1]."""

    name: str
    terminal_w: Array
    pump_w: Array
    rejection_w: Array
    chiller_w: Array
    chiller_heat_w: Array
    heat_rejected_w: Array
    water_m3_per_s: Array
    economiser_share: Array

    @property
    def power_w(self) -> Array:
        """Electricity of the loop [W]."""
        return np.asarray(self.terminal_w + self.pump_w + self.rejection_w + self.chiller_w)


@dataclass(frozen=True, slots=True)
class PlantFlow:
    """What a plant does; sums over its loops."""

    loops: tuple[LoopFlow, ...]

    @property
    def power_w(self) -> Array:
        """Electricity of the plant [W]."""
        return self._sum("power_w")

    @property
    def chiller_w(self) -> Array:
        """Electricity of the chillers [W]."""
        return self._sum("chiller_w")

    @property
    def heat_rejected_w(self) -> Array:
        """Heat from inside given to the outdoors [W]; rejection fans stand outdoors."""
        return self._sum("heat_rejected_w")

    @property
    def water_m3_per_s(self) -> Array:
        """Make-up water [m3/s]."""
        return self._sum("water_m3_per_s")

    def _sum(self, field: str) -> Array:
        return np.asarray(sum((getattr(loop, field) for loop in self.loops), np.zeros(())))


def plant_flow(
    plant: Plant,
    it_heat_w: ArrayLike,
    it_design_w: ArrayLike,
    other_heat_w: ArrayLike,
    other_design_w: ArrayLike,
    *,
    dry_bulb_c: ArrayLike,
    wet_bulb_c: ArrayLike,
) -> PlantFlow:
    """Run a plant at a heat load in given weather.

    Args:
        plant: the cooling system.
        it_heat_w: heat of the IT, its power [W].
        it_design_w: largest such heat [W].
        other_heat_w: heat of electrical rooms and lighting [W].
        other_design_w: largest such heat [W].
        dry_bulb_c: outdoor air [C].
        wet_bulb_c: its wet bulb [C].

    Returns:
        Powers, heat and water of every loop, broadcast over the arguments. Heat rejected is IT heat plus
        other heat plus the power of terminals, pumps and chillers.
    """
    flows = []
    for index, loop in enumerate(plant.loops):
        share, last = np.asarray(loop.share, dtype=float), index == len(plant.loops) - 1
        heat = share * np.asarray(it_heat_w) + (np.asarray(other_heat_w) if last else 0.0)
        design = share * np.asarray(it_design_w) + (np.asarray(other_design_w) if last else 0.0)
        flows.append(loop_flow(loop, heat, design, dry_bulb_c=dry_bulb_c, wet_bulb_c=wet_bulb_c))
    return PlantFlow(tuple(flows))


def loop_flow(
    loop: Loop, heat_w: ArrayLike, design_heat_w: ArrayLike, *, dry_bulb_c: ArrayLike, wet_bulb_c: ArrayLike
) -> LoopFlow:
    """Run one loop.

    The rejection alone cools the water to t_out = sink + approach + exchanger. The economiser takes the share
    e = (t_return - t_out) / rise of the heat, between 0 and 1: all of it, and no chiller, where t_out is at
    or below the water that the loop needs. The chiller lifts the rest, from t_water against sink + approach.
    With outdoor air there is no economiser above `wet_bulb_max_c`, and the condensers see the dry bulb.
    Rejection fans run at the air flow that the heat and the temperature span to the sink ask for, power ~
    flow^3.

    Args:
        loop: the loop.
        heat_w: heat that enters it [W].
        design_heat_w: largest such heat [W].
        dry_bulb_c: outdoor air [C].
        wet_bulb_c: its wet bulb [C].

    Returns:
        Powers, heat and water, broadcast over the arguments.
    """
    heat, design = np.asarray(heat_w, dtype=float), np.asarray(design_heat_w, dtype=float)
    terminal = terminal_power_w(loop.terminal, heat, design)
    moved = heat + terminal
    moved_design = design + terminal_power_w(loop.terminal, design, design)
    flow = moved / moved_design
    pump_design = moved_design * np.asarray(loop.pump_w_per_w)
    pump = pump_design * flow * (_STATIC_SHARE + (1.0 - _STATIC_SHARE) * flow**2)
    inside, inside_design = moved + pump, moved_design + pump_design

    water_c = np.asarray(loop.supply_c, dtype=float) - loop.approach_k
    return_c = water_c + loop.rise_k
    sink = sink_c(loop.rejection, dry_bulb_c, wet_bulb_c)
    cooled_c = sink + loop.rejection.approach_k
    share = np.clip((return_c - cooled_c - loop.rejection.exchanger_k) / loop.rise_k, 0.0, 1.0)
    share = np.where(np.asarray(wet_bulb_c) > loop.rejection.wet_bulb_max_c, 0.0, share)
    lifted = (1.0 - share) * inside
    condenser_c = np.asarray(dry_bulb_c) if loop.rejection.sink == "outdoor-air" else cooled_c
    chiller = chiller_power_w(loop.chiller, lifted, inside_design, water_c - loop.chiller.coil_k, condenser_c)
    rejected = inside + chiller
    rejected_design = inside_design * (1.0 + 1.0 / np.asarray(loop.chiller.cop_reference))
    return LoopFlow(
        name=loop.name,
        terminal_w=terminal,
        pump_w=np.asarray(pump),
        rejection_w=_rejection_fans_w(loop, rejected, rejected_design, return_c - sink),
        chiller_w=chiller,
        chiller_heat_w=np.asarray(lifted),
        heat_rejected_w=np.asarray(rejected),
        water_m3_per_s=_water_m3_per_s(
            loop, rejected, inside, dry_bulb_c=dry_bulb_c, wanted_c=water_c, sink=sink
        ),
        economiser_share=np.asarray(share),
    )


def _rejection_fans_w(loop: Loop, rejected: Array, rejected_design: Array, span_k: Array) -> Array:
    rejection = loop.rejection
    design_span = np.asarray(loop.rise_k) + rejection.approach_k + rejection.exchanger_k
    eased = np.where(span_k > design_span, design_span / np.maximum(span_k, 1e-9), 1.0)
    flow = np.maximum(rejected / rejected_design * eased, np.asarray(rejection.flow_min))
    return np.asarray(np.asarray(rejection.fan_w_per_w) * rejected_design * flow**3)


def _water_m3_per_s(
    loop: Loop, rejected: Array, inside: Array, *, dry_bulb_c: ArrayLike, wanted_c: Array, sink: Array
) -> Array:
    rejection = loop.rejection
    if rejection.sink == "dry-bulb":
        return np.zeros_like(rejected)
    wet_heat = rejected
    if rejection.sink == "outdoor-air":
        dry = np.asarray(dry_bulb_c, dtype=float)
        wet_heat = inside / loop.rise_k * np.clip(dry - np.maximum(sink, wanted_c), 0.0, None)
    make_up = np.asarray(rejection.cycles) / (np.asarray(rejection.cycles) - 1.0)
    return np.asarray(wet_heat * np.asarray(rejection.evaporation_m3_per_j) * make_up)
