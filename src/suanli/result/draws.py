"""Samples of uncertain inputs, so that one pass of the chain yields nominal values and bands together.

Index 0 of a sample array is the nominal value; the others are a Latin hypercube over the inputs' bands. A quantity's
draws depend on its name and the seed alone: two scenarios that share a fact share its draws, so that the band of
their difference is not widened by chance.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


class Draws:
    """Draw samples of quantities that have a low and a high.

    A stated band is read as: half of the probability lies on each side of the value, uniform out to the ends.
    """

    def __init__(self, count: int = 256, seed: int = 20250228) -> None:
        """Prepare `count` draws (0 turns bands off) with the recorded `seed`."""
        self.count = count
        self.seed = seed

    def of(self, name: str, value: float, low: float, high: float) -> Samples | float:
        """Return the samples of a quantity, shape (1 + count,), or the bare value where it has no band."""
        if self.count == 0 or low == high:
            return value
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        u = (rng.permutation(self.count) + 0.5) / self.count
        below = low + (value - low) * 2.0 * u
        above = value + (high - value) * (2.0 * u - 1.0)
        return np.concatenate(([value], np.where(u < 0.5, below, above)))


def band(samples: Samples | float) -> tuple[float, float, float]:
    """Return nominal, low and high of samples: 5th and 95th percentile of the draws, widened to hold the nominal."""
    array = np.asarray(samples, dtype=float)
    if array.ndim == 0 or array.size == 1:
        value = float(array.reshape(-1)[0])
        return value, value, value
    nominal = float(array[0])
    if np.isnan(array[1:]).all():
        return nominal, nominal, nominal
    low, high = (float(end) for end in np.nanpercentile(array[1:], [5.0, 95.0]))
    return nominal, min(low, nominal), max(high, nominal)
