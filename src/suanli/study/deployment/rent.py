"""What an accelerator costs by the hour: the market's rent, else what it costs to own, run and house."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suanli.catalog import Catalog, Fact
from suanli.study.deployment.request import Interval

HOUR_S = 3600.0
YEAR_S = 365.0 * 24.0 * HOUR_S
# Rows that an ordinary customer can rent at; spot, reserved, assumed and whole-rack prices are other goods.
_OPEN_MARKET = ("on_demand", "all_providers_median", "market_fixing", "index_us", "class_neocloud")
_OTHER_GOODS = ("4gpu", "range", "rack", "change", "breakeven", "assumed")
# List prices that few pay: they count where there is nothing else.
_LIST_PRICE = "hyperscaler"
# Rows that make a market, and how far a rent may be off either way with as many and with fewer (own estimates).
_MARKET, _SPREAD, _SPREAD_OF_FEW = 3, 1.2, 1.5
# An own estimate (grade D) of what prices of hardware, power and space leave open: discounts, place, network, use.
_OWNED_FACTOR = 2.0
# Where an owned machine is thought to stand: the largest market of data centres, with power and space on record.
_SITE = "ashburn"
# An own estimate (grade D) for rented halls with air-cooled servers: new ones reach 1.2, older ones 1.5.
_PUE = 1.3


@dataclass(frozen=True, slots=True)
class HourlyCost:
    """Cost of one accelerator in use.

    Attributes:
        usd_per_s: value with its band [USD/s].
        basis: where it comes from, in words; begins with "rent" or "owned".
    """

    usd_per_s: Interval
    basis: str

    @property
    def kind(self) -> str:
        """Word for the basis: "rent" has a provider's margin and idle time in it, "owned" has not."""
        return "rent" if self.basis.startswith("rent") else "owned"


def hourly_cost(catalog: Catalog, chip: str) -> HourlyCost | None:
    """Return what a chip costs in use, or None where neither a rent nor a price is on record.

    The rent is the median of the open-market rows of the last year on record, list prices of hyperscalers left out
    where there are others; its band is the 5th to 95th percentile and at least a fifth either way, a half with one row
    or two. Without a rent: price x (annuity + maintenance + insurance) + power x (PUE x tariff + space), with price and
    largest power of a server by chip, all of the catalogue, and a factor of two either way.

    Args:
        catalog: prices, chips, systems and assumptions.
        chip: catalogue id.
    """
    return _rented(catalog, chip) or _owned(catalog, chip)


def _rented(catalog: Catalog, chip: str) -> HourlyCost | None:
    rows = [fact for fact in catalog.table("prices").get(chip, []) if _is_open_rent(fact)]
    if not rows:
        return None
    last = max(_period(fact) for fact in rows)
    recent = [fact for fact in rows if _period(fact) > last - 1.0]
    paid = [fact for fact in recent if _LIST_PRICE not in fact.parameter]
    used, word = (paid, "open-market") if paid else (recent, "hyperscaler list")
    values = np.array([fact.si for fact in used])
    value, spread = float(np.median(values)), _SPREAD if len(used) >= _MARKET else _SPREAD_OF_FEW
    low, high = (float(v) for v in np.percentile(values, (5.0, 95.0)))
    found = Interval(value, min(low, value / spread), max(high, value * spread))
    dates = sorted({fact.parameter.partition(":")[2] for fact in used})
    when = f"of {dates[0]}" if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    if len(used) == 1:
        return HourlyCost(found, f"rent, the one {word} row on record, {when}")
    return HourlyCost(found, f"rent, median of {len(used)} {word} rows, {when}")


def _is_open_rent(fact: Fact) -> bool:
    name = fact.parameter
    return (
        name.startswith("rent_")
        and fact.status == "adopted"
        and fact.unit == "USD/h"
        and any(word in name for word in _OPEN_MARKET)
        and not any(word in name for word in _OTHER_GOODS)
    )


def _period(fact: Fact) -> float:
    """Year and month of a dated row, as years; a row dated by year alone stands at its middle."""
    year, _, rest = fact.parameter.partition(":")[2].partition("-")
    month = rest[:2]
    return float(year or 0) + (float(month) - 0.5 if month.isdigit() else 6.0) / 12.0


def _owned(catalog: Catalog, chip: str) -> HourlyCost | None:
    bought = _price(catalog, chip)
    if bought is None:
        return None
    price, of_what = bought
    rate = catalog.fact("assumptions", "economics", "discount_rate").si
    life = catalog.fact("assumptions", "economics", "server_life").si / YEAR_S
    annuity = rate / (1.0 - (1.0 + rate) ** -life) / YEAR_S
    upkeep = sum(
        catalog.fact("construction", "generic", name).si
        for name in ("maintenance_share_it", "insurance_and_tax_share")
    )
    value, parts = price * (annuity + upkeep), "hardware and upkeep alone"
    power_w = _power_w(catalog, chip)
    if power_w is not None:
        tariff = catalog.fact("sites", _SITE, "electricity_price").si
        space = catalog.fact("construction", _SITE, "colocation_rent").si
        value += power_w * (_PUE * tariff + space)
        parts = f"hardware, power, hosting ({power_w / 1e3:.2f} kW a chip)"
    return HourlyCost(
        Interval(value, value / _OWNED_FACTOR, value * _OWNED_FACTOR),
        f"owned: {parts}; {of_what}, {rate:.0%} over {life:.0f} years; no rent on record",
    )


def _price(catalog: Catalog, chip: str) -> tuple[float, str] | None:
    """Price of a chip with its share of a server [USD], and what it is the price of."""
    if chip not in catalog.table("chips"):
        return None
    system = system_share(catalog, chip, "price")
    if system is not None:
        return system[1], f"{system[0].id} at {system[1]:,.0f} USD a chip"
    price = catalog.get("chips", chip, "price")
    if price is None or price.unit != "USD":
        return None
    host = catalog.fact("assumptions", "hardware", "server_price_per_chip_share").si
    return price.si * (1.0 + host), f"price of {price.as_of} and {host:.0%} for its host"


def _power_w(catalog: Catalog, chip: str) -> float | None:
    """Largest power of a server by chip, None where not even the chip's TDP is on record [W]."""
    system = system_share(catalog, chip, "power_max")
    if system is not None:
        return system[1]
    tdp = catalog.get("chips", chip, "tdp")
    if tdp is None:
        return None
    return tdp.si * (1.0 + catalog.fact("systems", "generic-8gpu-server", "power_overhead_share").si)


def system_share(
    catalog: Catalog, chip: str, parameter: str, *, largest: bool = False
) -> tuple[Fact, float, int] | None:
    """Return a value of the smallest system that is built on a chip, by chip.

    Args:
        catalog: systems.
        chip: catalogue id.
        parameter: "price", "power_max" ...
        largest: whether the largest system is meant instead.

    Returns:
        The fact, its value over the system's chips [SI unit of the parameter] and those chips [1]; None where no such
        system has the value.
    """
    found = []
    for key in catalog.ids("systems"):
        built = catalog.get("systems", key, "accelerator")
        if built is None or built.value != chip:
            continue
        chips, value = catalog.get("systems", key, "chips"), catalog.get("systems", key, parameter)
        if chips is not None and value is not None:
            found.append((int(chips.si), value.si / chips.si, key, value))
    if not found:
        return None
    size, share, _, fact = (max if largest else min)(found, key=lambda one: one[:3])
    return fact, share, size
