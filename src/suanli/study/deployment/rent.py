"""What an accelerator costs by the hour: the market's rent, else the annuity of its price."""

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
# An own estimate (grade D) of what a price row and an annuity leave open: discounts, site, network, use.
_OWNED_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class HourlyCost:
    """Cost of one accelerator in use.

    Attributes:
        usd_per_s: value with its band [USD/s].
        basis: where it comes from, in words.
    """

    usd_per_s: Interval
    basis: str


def hourly_cost(catalog: Catalog, chip: str) -> HourlyCost | None:
    """Return what a chip costs in use, or None where neither a rent nor a price is on record.

    The rent is the median of the open-market rows of the last year on record, its band the 5th to 95th percentile and
    at least a fifth either way. Without a rent: price x (1 + host share) x annuity at the discount rate over the life
    of a server, as in the catalogue's assumptions, with a factor of two either way.

    Args:
        catalog: prices and chips.
        chip: catalogue id.
    """
    return _rented(catalog, chip) or _owned(catalog, chip)


def _rented(catalog: Catalog, chip: str) -> HourlyCost | None:
    rows = [fact for fact in catalog.table("prices").get(chip, []) if _is_open_rent(fact)]
    if not rows:
        return None
    last = max(_period(fact) for fact in rows)
    recent = [fact for fact in rows if _period(fact) > last - 1.0]
    values = np.array([fact.si for fact in recent])
    value = float(np.median(values))
    low, high = (float(v) for v in np.percentile(values, (5.0, 95.0)))
    found = Interval(value, min(low, value / 1.2), max(high, value * 1.2))
    dates = sorted(fact.parameter.partition(":")[2] for fact in recent)
    return HourlyCost(found, f"rent, median of {len(recent)} open-market rows, {dates[0]} to {dates[-1]}")


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
    if chip not in catalog.table("chips"):
        return None
    price = catalog.get("chips", chip, "price")
    if price is None or price.unit != "USD":
        return None
    rate = catalog.fact("assumptions", "economics", "discount_rate").si
    life = catalog.fact("assumptions", "economics", "server_life").si / YEAR_S
    host = catalog.fact("assumptions", "hardware", "server_price_per_chip_share").si
    annuity = rate / (1.0 - (1.0 + rate) ** -life)
    value = price.si * (1.0 + host) * annuity / YEAR_S
    return HourlyCost(
        Interval(value, value / _OWNED_FACTOR, value * _OWNED_FACTOR),
        f"owned: price of {price.as_of}, host share {host:.0%}, {rate:.0%} over {life:.0f} years; no rent on record",
    )
