"""A year at a site: energy, carbon, water and what the utilities charge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SECONDS_PER_YEAR = 365.25 * 86400.0


@dataclass(frozen=True, slots=True)
class SiteYear:
    """What a site draws, emits and pays in a year.

    Attributes:
        energy_j: energy at the grid connection [J].
        carbon_kg: location-based emissions of that energy [kg].
        water_m3: make-up water on site [m3].
        energy_cost_usd: energy charge [USD].
        demand_cost_usd: charge on the highest power [USD].
        water_cost_usd: water charge [USD].
    """

    energy_j: Array
    carbon_kg: Array
    water_m3: Array
    energy_cost_usd: Array
    demand_cost_usd: Array
    water_cost_usd: Array

    @property
    def cost_usd(self) -> Array:
        """All utility charges of the year [USD]."""
        return np.asarray(self.energy_cost_usd + self.demand_cost_usd + self.water_cost_usd)


def site_year(
    energy_j: ArrayLike,
    *,
    electricity_price_usd_per_j: ArrayLike,
    grid_carbon_kg_per_j: ArrayLike,
    peak_w: ArrayLike = 0.0,
    demand_charge_usd_per_w_s: ArrayLike = 0.0,
    water_m3: ArrayLike = 0.0,
    water_price_usd_per_m3: ArrayLike = 0.0,
) -> SiteYear:
    """Carbon and utility bill of a year's energy, peak and water.

    carbon = E c; bill = E p_E + P_peak p_P year + V p_V. Carbon is location based: the mean intensity of
    the grid the site hangs on, whatever certificates were bought. Energy counts once, at the grid
    connection, losses and cooling included; multiplying it by PUE again would count them twice.

    Args:
        energy_j: E, energy at the grid connection in a year [J].
        electricity_price_usd_per_j: p_E [USD/J].
        grid_carbon_kg_per_j: c, carbon dioxide equivalent per energy [kg/J].
        peak_w: P_peak, highest power at the grid connection, as billed in every month [W].
        demand_charge_usd_per_w_s: p_P, demand charge per power and time [USD/W/s]; 1 USD/kW/month is
            3.8e-10.
        water_m3: V, make-up water in a year [m3].
        water_price_usd_per_m3: p_V [USD/m3].

    Returns:
        Quantities and charges, broadcast over the arguments.

    Reference: GHG Protocol Scope 2 Guidance (2015), location-based method.
    """
    energy, water = np.asarray(energy_j, dtype=float), np.asarray(water_m3, dtype=float)
    demand = np.asarray(peak_w, dtype=float) * np.asarray(demand_charge_usd_per_w_s) * SECONDS_PER_YEAR
    return SiteYear(
        energy_j=energy,
        carbon_kg=np.asarray(energy * np.asarray(grid_carbon_kg_per_j)),
        water_m3=water,
        energy_cost_usd=np.asarray(energy * np.asarray(electricity_price_usd_per_j)),
        demand_cost_usd=np.asarray(demand),
        water_cost_usd=np.asarray(water * np.asarray(water_price_usd_per_m3)),
    )
