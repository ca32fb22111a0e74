"""Sums of money by part. Parts add up to their total; a year is 365.25 days, as in suanli.units."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

DAY_S = 86400.0
YEAR_S = 365.25 * DAY_S


@dataclass(frozen=True, slots=True)
class Parts:
    """Base of a sum by part; every field of a subclass is a part, all in one unit [USD or USD/s]."""

    def items(self) -> dict[str, Array]:
        """Parts by name, in the order of the class."""
        return {field.name: np.asarray(getattr(self, field.name), dtype=float) for field in fields(self)}

    @property
    def total(self) -> Array:
        """Sum of the parts."""
        return np.asarray(sum(self.items().values(), start=np.zeros(())))

    def times(self, factor: ArrayLike) -> Self:
        """Multiply every part by a factor (a period [s] turns USD/s into USD)."""
        return type(self)(**{name: part * np.asarray(factor) for name, part in self.items().items()})

    def shares(self) -> dict[str, Array]:
        """Share of each part in the total [1]; 0 where the total is 0."""
        safe = np.where(self.total == 0.0, 1.0, self.total)
        return {name: np.asarray(part / safe) for name, part in self.items().items()}


def usd_from_cny(amount_cny: ArrayLike, cny_per_usd: ArrayLike) -> Array:
    """Convert yuan to dollars at a stated rate; there is no rate by default.

    Args:
        amount_cny: amount [CNY].
        cny_per_usd: rate [CNY/USD].

    Returns:
        Amount [USD].

    Raises:
        InputError: a rate that is not positive.
    """
    rate = np.asarray(cny_per_usd, dtype=float)
    if np.any(rate <= 0.0):
        raise InputError(f"the exchange rate, CNY for one USD, must be positive, not {float(np.min(rate)):g}")
    return np.asarray(np.asarray(amount_cny, dtype=float) / rate)
