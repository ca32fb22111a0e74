"""The parts of a cooling plant: what takes heat off the IT, what rejects it, what lifts it where needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.cooling.air import KELVIN

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Terminal:
    """Fans of air handlers, or pumps of a coolant distribution unit (CDU) or tank.

    Attributes:
        power_w_per_w: power over heat at design flow [W/W].
        curve: c1..c4 of power over design power = c1 + c2 f + c3 f^2 + c4 f^3, f the flow fraction [1].
        flow_min: least flow fraction [1].
    """

    power_w_per_w: Num
    curve: tuple[Num, Num, Num, Num] = (0.0, 0.0, 0.0, 1.0)
    flow_min: Num = 0.3


@dataclass(frozen=True, slots=True)
class Rejection:
    """What gives the heat to the outdoors.

    Attributes:
        sink: "dry-bulb" (dry cooler), "wet-bulb" (cooling tower) or "outdoor-air" (outdoor air led through
            the halls, cooled by wetted pads as far as needed).
        approach_k: leaving fluid above the sink at design [K].
        exchanger_k: further step of a plate exchanger between tower and building loop [K].
        fan_w_per_w: fan power over heat at design air flow [W/W].
        flow_min: least air flow fraction [1].
        evaporation_m3_per_j: water evaporated per heat rejected wet [m3/J].
        cycles: cycles of concentration; blowdown = evaporation / (cycles - 1) [1].
        pad_effectiveness: of wetted pads, towards the wet bulb [1].
        wet_bulb_max_c: above it outdoor air is too humid for the halls and stays out [C].
    """

    sink: Literal["dry-bulb", "wet-bulb", "outdoor-air"]
    approach_k: Num
    exchanger_k: Num = 0.0
    fan_w_per_w: Num = 0.0
    flow_min: Num = 0.2
    evaporation_m3_per_j: Num = 0.0
    cycles: Num = 4.0
    pad_effectiveness: Num = 0.0
    wet_bulb_max_c: Num = np.inf


@dataclass(frozen=True, slots=True)
class Chiller:
    """A bank of equal chillers, staged one after the other.

    Attributes:
        cop_reference: COP at the reference temperatures and full load [1].
        chilled_reference_c: leaving chilled water at the reference [C].
        sink_reference_c: entering condenser water (or ambient air) at the reference [C].
        exchange_k: temperature lift beyond the one between the waters: evaporator, condenser, water range
            [K].
        lift_min_k: least difference between the waters that the compressors work against [K].
        coil_k: chilled water below the air that it must cool, where no loop stands between [K].
        part_load: c1..c3 of power over full-load power = c1 + c2 p + c3 p^2 at part load p of one chiller
            [1].
        part_load_min: below it a chiller cycles on and off [1].
        units: chillers in the bank [1].
    """

    cop_reference: Num
    chilled_reference_c: Num
    sink_reference_c: Num
    exchange_k: Num = 16.0
    lift_min_k: Num = 5.0
    coil_k: Num = 0.0
    part_load: tuple[Num, Num, Num] = (0.0, 1.0, 0.0)
    part_load_min: Num = 0.1
    units: int = 4


def cop(chiller: Chiller, chilled_c: ArrayLike, sink_c: ArrayLike) -> Array:
    """COP at full load: a fixed share of Carnot, set by the reference point.

    COP = g T_chw / (max(t_sink - t_chw, lift_min) + d), with g such that COP = COP_ref at the reference.

    Args:
        chiller: the chiller; d is its `exchange_k`.
        chilled_c: t_chw, leaving chilled water [C].
        sink_c: t_sink, entering condenser water or ambient [C].

    Returns:
        COP [1], not rising with t_sink, not falling with t_chw.
    """
    cold, hot = np.asarray(chilled_c, dtype=float), np.asarray(sink_c, dtype=float)
    cold_reference = np.asarray(chiller.chilled_reference_c, dtype=float)
    lift_reference = np.asarray(chiller.sink_reference_c) - cold_reference + chiller.exchange_k
    share = np.asarray(chiller.cop_reference) * lift_reference / (cold_reference + KELVIN)
    lift = np.maximum(hot - cold, np.asarray(chiller.lift_min_k)) + chiller.exchange_k
    return np.asarray(share * (cold + KELVIN) / lift)


def chiller_power_w(
    chiller: Chiller, heat_w: ArrayLike, capacity_w: ArrayLike, chilled_c: ArrayLike, sink_c: ArrayLike
) -> Array:
    """Power of a bank of chillers.

    Full units run at full load and the last one at part load p; as long as one suffices, p = n Q / Q_cap and
    P = (Q_cap / n) f(p) / COP, below `part_load_min` in proportion to Q. Above that P = Q / COP: the part
    load of one unit of many is left out, which keeps the power from ever falling as heat rises.

    Args:
        chiller: the bank of n units.
        heat_w: Q, heat to lift [W].
        capacity_w: Q_cap, heat that the whole bank lifts [W].
        chilled_c: leaving chilled water [C].
        sink_c: entering condenser water or ambient [C].

    Returns:
        Power [W]; 0 without heat.
    """
    heat, unit = np.asarray(heat_w, dtype=float), np.asarray(capacity_w, dtype=float) / chiller.units
    load = heat / unit
    least = np.asarray(chiller.part_load_min, dtype=float)
    c1, c2, c3 = (np.asarray(c, dtype=float) for c in chiller.part_load)
    p = np.clip(load, least, 1.0)
    share = (c1 + p * (c2 + p * c3)) / (c1 + c2 + c3)
    relative = np.where(load >= 1.0, load, np.where(load < least, share * load / least, share))
    return np.asarray(relative * unit / cop(chiller, chilled_c, sink_c))


def terminal_power_w(terminal: Terminal, heat_w: ArrayLike, design_heat_w: ArrayLike) -> Array:
    """Power of fans or pumps: design power times the cubic of the flow, the flow in proportion to the heat.

    Args:
        terminal: the fans or pumps.
        heat_w: heat that they carry now [W].
        design_heat_w: heat at design flow [W].

    Returns:
        Power [W].
    """
    design = np.asarray(design_heat_w, dtype=float)
    f = np.maximum(np.asarray(heat_w, dtype=float) / design, np.asarray(terminal.flow_min))
    c1, c2, c3, c4 = (np.asarray(c, dtype=float) for c in terminal.curve)
    return np.asarray(design * np.asarray(terminal.power_w_per_w) * (c1 + f * (c2 + f * (c3 + f * c4))))


def sink_c(rejection: Rejection, dry_bulb_c: ArrayLike, wet_bulb_c: ArrayLike) -> Array:
    """Temperature that the rejection works against [C]: dry bulb, wet bulb, or pad outlet t - e (t - t*)."""
    dry, wet = np.asarray(dry_bulb_c, dtype=float), np.asarray(wet_bulb_c, dtype=float)
    if rejection.sink == "dry-bulb":
        return dry
    if rejection.sink == "wet-bulb":
        return wet
    return np.asarray(dry - np.asarray(rejection.pad_effectiveness) * (dry - wet))
