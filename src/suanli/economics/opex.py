"""Running cost by part, as a rate [USD/s]: multiply by a day or a year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.economics.money import Parts
from suanli.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Opex(Parts):
    """Running cost by part [USD/s].

    Attributes:
        energy: electricity.
        rent: rented accelerators.
        colocation: rented space and power capacity.
        staff: people on site.
        maintenance: repair and contracts.
        insurance: insurance and property tax.
        water: make-up water.
    """

    energy: ArrayLike
    rent: ArrayLike
    colocation: ArrayLike
    staff: ArrayLike
    maintenance: ArrayLike
    insurance: ArrayLike
    water: ArrayLike


def operating_cost(
    *,
    facility_power_w: ArrayLike = 0.0,
    electricity_usd_per_j: ArrayLike = 0.0,
    rented_chips: ArrayLike = 0.0,
    rent_usd_per_chip_s: ArrayLike = 0.0,
    colocated_power_w: ArrayLike = 0.0,
    colocation_usd_per_w_s: ArrayLike = 0.0,
    staff_count: ArrayLike = 0.0,
    wage_usd_per_person_s: ArrayLike = 0.0,
    asset_usd: ArrayLike = 0.0,
    maintenance_per_s: ArrayLike = 0.0,
    insurance_per_s: ArrayLike = 0.0,
    water_m3_per_s: ArrayLike = 0.0,
    water_usd_per_m3: ArrayLike = 0.0,
) -> Opex:
    """Running cost of a fleet: each part is a quantity times its price.

    A rented chip-hour includes power, cooling and building, and a colocation price includes the building:
    give either the rent or the parts that it covers, not both.

    Args:
        facility_power_w: mean power at the meter [W].
        electricity_usd_per_j: electricity price [USD/J].
        rented_chips: mean number of rented chips [1].
        rent_usd_per_chip_s: rent of one chip [USD/s].
        colocated_power_w: IT capacity rented [W].
        colocation_usd_per_w_s: colocation rent [USD/W/s].
        staff_count: people [1].
        wage_usd_per_person_s: cost of one person [USD/s].
        asset_usd: value of assets that are maintained and insured [USD].
        maintenance_per_s: maintenance over asset value [1/s].
        insurance_per_s: insurance and property tax over asset value [1/s].
        water_m3_per_s: make-up water [m3/s].
        water_usd_per_m3: water price [USD/m3].

    Returns:
        Cost by part [USD/s].

    Raises:
        InputError: a negative quantity (prices may be negative, as power prices sometimes are).
    """
    quantities = {
        "facility power": facility_power_w,
        "rented chips": rented_chips,
        "colocated power": colocated_power_w,
        "staff": staff_count,
        "asset value": asset_usd,
        "water": water_m3_per_s,
    }
    for name, quantity in quantities.items():
        if np.any(_array(quantity) < 0.0):
            raise InputError(f"operating cost: {name} must not be negative")
    return Opex(
        energy=_array(facility_power_w) * _array(electricity_usd_per_j),
        rent=_array(rented_chips) * _array(rent_usd_per_chip_s),
        colocation=_array(colocated_power_w) * _array(colocation_usd_per_w_s),
        staff=_array(staff_count) * _array(wage_usd_per_person_s),
        maintenance=_array(asset_usd) * _array(maintenance_per_s),
        insurance=_array(asset_usd) * _array(insurance_per_s),
        water=_array(water_m3_per_s) * _array(water_usd_per_m3),
    )


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
