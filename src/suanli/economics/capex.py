"""Capital cost by part, its depreciation and its annuity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.economics.money import YEAR_S, Parts
from suanli.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Capex(Parts):
    """Capital cost by asset class [USD], or its cost per second of use [USD/s].

    Attributes:
        systems: accelerators with their hosts, racks and scale-up network.
        network: scale-out fabric.
        spares: spare systems and network parts.
        electrical: from the grid connection to the rack.
        mechanical: cooling plant.
        building: shell, fit-out and, where prices do not split them off, soft costs.
        land: land, which does not wear out.
    """

    systems: ArrayLike
    network: ArrayLike
    spares: ArrayLike
    electrical: ArrayLike
    mechanical: ArrayLike
    building: ArrayLike
    land: ArrayLike


@dataclass(frozen=True, slots=True)
class FacilityPrices:
    """What a watt of IT capacity costs to house [USD/W].

    Attributes:
        electrical: electrical plant.
        mechanical: cooling plant.
        building: shell and fit-out.
        land: land (and soft costs, where a source prints both as one).
    """

    electrical: ArrayLike
    mechanical: ArrayLike
    building: ArrayLike
    land: ArrayLike = 0.0


@dataclass(frozen=True, slots=True)
class AssetLives:
    """Useful lives by asset class [s]; infinite for what does not wear out."""

    systems: ArrayLike
    network: ArrayLike
    electrical: ArrayLike
    mechanical: ArrayLike
    building: ArrayLike
    land: ArrayLike = np.inf

    def of(self, part: str) -> Array:
        """Return the life of a capex part [s]; spares live as long as systems."""
        return _array(getattr(self, "systems" if part == "spares" else part))


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)


def split_facility_price(
    total_usd_per_w: ArrayLike,
    *,
    electrical: ArrayLike,
    mechanical: ArrayLike,
    building: ArrayLike,
    land: ArrayLike = 0.0,
) -> FacilityPrices:
    """Split a price per watt by weights: part = total x weight / sum of weights, so that nothing is lost.

    Args:
        total_usd_per_w: all of the facility [USD/W].
        electrical: weight of the electrical plant [1].
        mechanical: weight of the cooling plant [1].
        building: weight of shell and fit-out [1].
        land: weight of land and soft costs [1].

    Returns:
        Prices that sum to the total [USD/W].

    Raises:
        InputError: a negative weight, or weights that are all 0.
    """
    weights = [_array(weight) for weight in (electrical, mechanical, building, land)]
    if any(np.any(weight < 0.0) for weight in weights):
        raise InputError("the shares of a facility price must not be negative")
    whole = np.asarray(weights[0] + weights[1] + weights[2] + weights[3])
    if np.any(whole <= 0.0):
        raise InputError("the shares of a facility price sum to 0")
    return FacilityPrices(*(_array(total_usd_per_w) * weight / whole for weight in weights))


def capital_cost(
    *,
    systems: ArrayLike,
    system_price_usd: ArrayLike,
    network_usd: ArrayLike,
    it_power_w: ArrayLike,
    facility: FacilityPrices,
    spare_share: ArrayLike = 0.0,
    design_margin: ArrayLike = 1.0,
) -> Capex:
    """Capital cost of a fleet and its facility.

    systems n p; spares s (n p + network); electrical, mechanical, building, land: price x IT power x margin.

    Args:
        systems: n, systems bought [1].
        system_price_usd: p, one system with its hosts and scale-up network [USD].
        network_usd: scale-out fabric [USD].
        it_power_w: largest IT load, systems and network [W].
        facility: price of housing a watt of IT capacity.
        spare_share: s, spares over what is in use [1].
        design_margin: built capacity over the largest IT load, at least 1 [1].

    Returns:
        Cost by part [USD].

    Raises:
        InputError: a negative quantity, or a margin below 1.
    """
    bought, power = _array(systems) * _array(system_price_usd), _array(it_power_w) * _array(design_margin)
    if any(np.any(_array(value) < 0.0) for value in (bought, network_usd, power, spare_share)):
        raise InputError("capital cost: systems, prices, power and spares must not be negative")
    if np.any(_array(design_margin) < 1.0):
        raise InputError("capital cost: the design margin must be at least 1")
    return Capex(
        systems=bought,
        network=_array(network_usd),
        spares=_array(spare_share) * (bought + _array(network_usd)),
        electrical=power * _array(facility.electrical),
        mechanical=power * _array(facility.mechanical),
        building=power * _array(facility.building),
        land=power * _array(facility.land),
    )


def straight_line(capex: Capex, lives: AssetLives) -> Capex:
    """Depreciation by asset class: cost / life; land's is 0.

    Args:
        capex: cost by part [USD].
        lives: by asset class [s].

    Returns:
        Depreciation by part [USD/s].
    """
    return Capex(**{part: np.asarray(cost / lives.of(part)) for part, cost in capex.items().items()})


def capital_recovery_factor(rate_per_year: ArrayLike, life_s: ArrayLike) -> Array:
    """Level yearly payment on one unit of capital: r/(1 - (1 + r)^-n) for n years; 1/n at r = 0, r for ever.

    Args:
        rate_per_year: r, cost of capital, above -1 [1/year].
        life_s: n, life [s].

    Returns:
        Payment per unit of capital [1/year].

    Reference:
        J. Drury, "Management and Cost Accounting", equivalent annual cost; numpy-financial pmt.
    """
    rate, years = _array(rate_per_year), _array(life_s) / YEAR_S
    growth = np.log1p(rate)
    flat = np.abs(growth) < 1e-12
    safe = np.where(flat, 1.0, growth)
    with np.errstate(over="ignore"):
        payment = np.expm1(safe) / -np.expm1(-years * safe)
    return np.where(flat, 1.0 / years, payment)


def annuity(capex: Capex, lives: AssetLives, rate_per_year: ArrayLike) -> Capex:
    """Cost of capital and wear by asset class: capital recovery factor x cost.

    Args:
        capex: cost by part [USD].
        lives: by asset class [s].
        rate_per_year: cost of capital [1/year].

    Returns:
        Level cost by part [USD/s]; at a rate of 0 the straight-line depreciation.
    """
    return Capex(
        **{
            part: np.asarray(cost * capital_recovery_factor(rate_per_year, lives.of(part)) / YEAR_S)
            for part, cost in capex.items().items()
        }
    )


def book_value(capex: Capex, lives: AssetLives, age_s: ArrayLike) -> Capex:
    """Undepreciated value by asset class at an age: cost x max(0, 1 - age/life).

    Args:
        capex: cost by part [USD].
        lives: by asset class [s].
        age_s: age of all assets [s].

    Returns:
        Book value by part [USD].
    """
    age = _array(age_s)
    return Capex(
        **{
            part: np.asarray(cost * np.maximum(0.0, 1.0 - age / lives.of(part)))
            for part, cost in capex.items().items()
        }
    )
