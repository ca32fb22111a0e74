"""The facility over a year: energy of every part, PUE and WUE.

PUE is the year's facility energy over the year's IT energy (ISO/IEC 30134-2), never a mean of hourly
ratios. IT energy is measured at the server's power input (category 3): power supplies and fans inside the
server are IT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.cooling.climate import Hours
from suanli.cooling.plant import Plant, PlantFlow, plant_flow
from suanli.power.chain import size_stages, walk
from suanli.power.converter import Converter
from suanli.power.topologies import MECHANICAL_FEED, Chain

Array = NDArray[np.float64]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FacilityYear:
    """Energies of a year [J], their boundary the grid connection; scalars or one value a sample.

    Attributes:
        it_j: IT, at the server's power input.
        chain_loss_j: loss of the chain between grid and servers.
        terminal_j: fans and pumps at the IT.
        pump_j: facility water pumps.
        rejection_j: fans of dry coolers and towers.
        chiller_j: chillers.
        mechanical_loss_j: loss of the feed of the cooling plant.
        other_j: lighting, controls, offices.
        heat_rejected_j: heat given to the outdoors.
        water_m3: make-up water [m3].
        peak_w: highest power at the grid connection [W].
        chiller_capacity_w: highest heat that the chillers lift, at the load given [W].
        chiller_free_share: share of the year without any chiller [1].
    """

    it_j: Array
    chain_loss_j: Array
    terminal_j: Array
    pump_j: Array
    rejection_j: Array
    chiller_j: Array
    mechanical_loss_j: Array
    other_j: Array
    heat_rejected_j: Array
    water_m3: Array
    peak_w: Array
    chiller_capacity_w: Array
    chiller_free_share: Array

    @property
    def cooling_j(self) -> Array:
        """Electricity of the cooling plant [J]."""
        return np.asarray(self.terminal_j + self.pump_j + self.rejection_j + self.chiller_j)

    @property
    def facility_j(self) -> Array:
        """Energy at the grid connection [J]."""
        support = self.chain_loss_j + self.cooling_j + self.mechanical_loss_j + self.other_j
        return np.asarray(self.it_j + support)

    @property
    def chain_efficiency(self) -> Array:
        """IT energy over the energy that its electrical chain takes from the grid [1]."""
        return np.asarray(self.it_j / (self.it_j + self.chain_loss_j))

    @property
    def pue(self) -> Array:
        """Power usage effectiveness: facility energy over IT energy [1]."""
        return np.asarray(self.facility_j / self.it_j)

    @property
    def wue_m3_per_j(self) -> Array:
        """Water usage effectiveness: make-up water over IT energy [m3/J]; 1 L/kWh is 2.78e-10 m3/J."""
        return np.asarray(self.water_m3 / self.it_j)


def facility_year(
    it_w: ArrayLike,
    it_design_w: ArrayLike,
    *,
    chain: Chain,
    converters: Mapping[str, Converter],
    plant: Plant,
    hours: Hours,
    other_share: ArrayLike = 0.01,
    headroom: ArrayLike = 1.0,
    it_profile: ArrayLike = 1.0,
) -> FacilityYear:
    """Run the electrical chain and the cooling plant through a year.

    Servers draw P_IT(h); their chain loses what it loses at that load; losses indoors, lighting and P_IT
    are the heat of the plant; the plant hangs on its own transformer. Both feeds are sized for their
    highest load.

    Args:
        it_w: mean IT power at the server's power input, above 0; scalar or (samples,) [W].
        it_design_w: IT power that chain and plant are built for, scalar or (samples,) [W].
        chain: electrical chain.
        converters: catalogue id -> converter, those of the chain and of MECHANICAL_FEED; samples as
            (samples,).
        plant: cooling plant; samples as (samples,).
        hours: weather, (hours,) or (samples, hours).
        other_share: lighting and the like over IT design power, all the year [1].
        headroom: installed electrical capacity over needed, beyond redundancy [1].
        it_profile: IT power over its mean, scalar or (hours,) [1].

    Returns:
        Energies of the year, scalars or (samples,).

    Raises:
        InputError: a converter is missing.
    """
    mean_w, design_w, other, spare = (
        over_hours(np.asarray(x, dtype=float)) for x in (it_w, it_design_w, other_share, headroom)
    )
    units = {name: over_hours(converter) for name, converter in converters.items()}
    it = mean_w * np.asarray(it_profile, dtype=float)
    servers = size_stages(chain.facility, units, design_w, spare)
    feed, feed_design = walk(servers, it), walk(servers, design_w)
    lighting = other * design_w
    flow = plant_flow(
        over_hours(plant),
        it,
        design_w,
        feed.indoor_loss_w + lighting,
        feed_design.indoor_loss_w + lighting,
        dry_bulb_c=hours.dry_bulb_c,
        wet_bulb_c=hours.wet_bulb_c,
    )
    support = flow.power_w + lighting
    largest = np.max(support, axis=-1, keepdims=True) * np.maximum(design_w / mean_w, 1.0)
    mechanical = walk(size_stages(MECHANICAL_FEED, units, largest, spare), support)
    return _sums(
        it,
        flow,
        chain_loss=feed.loss_w,
        mechanical_loss=mechanical.loss_w,
        lighting=lighting,
        duration_s=hours.duration_s,
    )


def over_hours(value: _T) -> _T:
    """Return a scalar or dataclass with a trailing axis of length 1 on every array, so that it meets hours.

    Args:
        value: a number, an array of samples (samples,), or a dataclass (nested, with tuples) of such.

    Returns:
        The same with arrays of shape (samples, 1); scalars stay.
    """
    result: object = value
    if isinstance(value, np.ndarray):
        result = value[..., None] if value.ndim else value
    elif isinstance(value, tuple):
        result = tuple(over_hours(item) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        result = replace(
            value, **{field.name: over_hours(getattr(value, field.name)) for field in fields(value)}
        )
    return cast(_T, result)


def _sums(
    it: Array,
    flow: PlantFlow,
    *,
    chain_loss: Array,
    mechanical_loss: Array,
    lighting: Array,
    duration_s: Array,
) -> FacilityYear:
    def total(power: ArrayLike) -> Array:
        return np.asarray(np.sum(np.asarray(power) * duration_s, axis=-1))

    def part(field: str) -> Array:
        return total(sum(getattr(loop, field) for loop in flow.loops))

    lifted = sum((loop.chiller_heat_w for loop in flow.loops), np.zeros_like(duration_s))
    grid = it + chain_loss + flow.power_w + mechanical_loss + lighting
    return FacilityYear(
        it_j=total(it),
        chain_loss_j=total(chain_loss),
        terminal_j=part("terminal_w"),
        pump_j=part("pump_w"),
        rejection_j=part("rejection_w"),
        chiller_j=part("chiller_w"),
        mechanical_loss_j=total(mechanical_loss),
        other_j=total(lighting),
        heat_rejected_j=total(flow.heat_rejected_w),
        water_m3=total(flow.water_m3_per_s),
        peak_w=np.asarray(np.max(grid, axis=-1)),
        chiller_capacity_w=np.asarray(np.max(lifted, axis=-1)),
        chiller_free_share=np.asarray(total(lifted <= 0.0) / np.sum(duration_s)),
    )
