"""How many chips a limit allows: of money to buy or rent with, or of power."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from suanli.catalog import Catalog
from suanli.errors import InfeasibleError, NoDataError
from suanli.serving.accelerator import Accelerator
from suanli.study.deployment.rent import HOUR_S, HourlyCost
from suanli.study.recommend.question import Limit


@dataclass(frozen=True, slots=True)
class Supply:
    """Chips of one kind that the limit allows.

    Attributes:
        chips: how many [1].
        unit: chips that are bought or fed together [1].
        reason: how the number came about, in words.
    """

    chips: int
    unit: int
    reason: str


def supply(limit: Limit, catalog: Catalog, chip: Accelerator, cost: HourlyCost | None) -> Supply:
    """Return how many chips of a kind a limit allows.

    Chips are rented one by one. They are bought, and fed with power, in whole systems: the smallest system of the
    catalogue that is built on the chip, at its price and its largest power at the AC input. Without such a system a
    chip counts with its own price or TDP and the usual share of a host on top.

    Args:
        limit: what is limited.
        catalog: systems, prices and assumptions.
        chip: the accelerator.
        cost: its cost by the hour.

    Returns:
        The supply.

    Raises:
        NoDataError: the price, rent or power of the chip is not on record.
        InfeasibleError: the limit does not pay for one chip or system.
    """
    if limit.kind == "chips":
        return Supply(int(limit.value), 1, f"{int(limit.value)} chips")
    if limit.kind == "rent":
        if cost is None:
            raise NoDataError(
                f"{chip.id}: neither a rent nor a price on record; give --chips, or --catalog DIR with prices.csv"
            )
        each = cost.usd_per_s.value
        reason = f"{each * HOUR_S:.2f} USD/h a chip ({cost.basis})"
        return _whole(limit, chip, each, 1, reason)
    if limit.kind == "price":
        return _whole(limit, chip, *_price(catalog, chip))
    return _whole(limit, chip, *_power(catalog, chip))


def _whole(limit: Limit, chip: Accelerator, each: float, size: int, reason: str) -> Supply:
    # A limit of exactly n systems must not become n - 1 through the last digit of a float.
    count = int(limit.value / each * (1.0 + 1e-12))
    if count < 1:
        flag, needed = ("--power", _at_least(each, "W")) if limit.kind == "power" else ("--budget", "")
        if limit.kind == "rent":
            needed = _at_least(each * HOUR_S, "USD/h")
        elif limit.kind == "price":
            needed = _at_least(each, "USD")
        raise InfeasibleError(
            f"{limit.text} is less than one system of {chip.id}: {reason}. "
            f'Smallest change that fits: {flag} "{needed}" (now {limit.text}).'
        )
    return Supply(count * size, size, reason)


def _at_least(amount: float, unit: str) -> str:
    """Print an amount, rounded up to what four digits can say."""
    step = 10.0 ** (math.floor(math.log10(amount)) - 3)
    rounded = math.ceil(amount / step - 1e-9) * step
    return f"{rounded:.15g} {unit}"


def _systems(catalog: Catalog, chip: str, parameter: str) -> Iterator[tuple[int, str, float]]:
    """Chips, id and a value of every system that is built on a chip and has that value."""
    for key in catalog.ids("systems"):
        built, chips = catalog.get("systems", key, "accelerator"), catalog.get("systems", key, "chips")
        value = catalog.get("systems", key, parameter)
        if built is not None and built.value == chip and chips is not None and value is not None:
            yield int(chips.si), key, value.si


def _price(catalog: Catalog, chip: Accelerator) -> tuple[float, int, str]:
    found = min(_systems(catalog, chip.id, "price"), default=None, key=lambda one: (one[0], one[2]))
    if found is not None:
        size, key, price = found
        return price, size, f"{key} of {size} chips costs {price:,.0f} USD"
    fact = catalog.get("chips", chip.id, "price") if chip.id in catalog.table("chips") else None
    if fact is None or fact.unit != "USD":
        raise NoDataError(
            f"{chip.id}: no price in USD on record; give a rent (--budget in USD/h), --chips, or --catalog DIR"
        )
    host = catalog.fact("assumptions", "hardware", "server_price_per_chip_share").si
    each = fact.si * (1.0 + host)
    return each, 1, f"{fact.si:,.0f} USD a chip of {fact.as_of} and {host:.0%} for its host"


def _power(catalog: Catalog, chip: Accelerator) -> tuple[float, int, str]:
    found = min(_systems(catalog, chip.id, "power_max"), default=None, key=lambda one: (one[0], one[2]))
    if found is not None:
        size, key, power = found
        return power, size, f"{key} of {size} chips draws at most {power / 1e3:,.1f} kW"
    if chip.tdp_w is None:
        raise NoDataError(f"{chip.id}: no TDP on record; give --chips, or --catalog DIR with chips.csv")
    if chip.id in catalog.table("devices"):
        return chip.tdp_w, 1, f"TDP {chip.tdp_w:,.0f} W of a device, without a server around it"
    overhead = catalog.fact("assumptions", "hardware", "system_overhead_per_chip").si
    return chip.tdp_w + overhead, 1, f"TDP {chip.tdp_w:,.0f} W and {overhead:,.0f} W a chip for the server"
