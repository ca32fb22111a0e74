"""Pareto filter of two quantities that should both be large."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(first: ArrayLike, second: ArrayLike) -> NDArray[np.intp]:
    """Return the points that no other point beats in one quantity without losing in the other.

    A point is dominated where another is at least as large in both and larger in one; of equal points the first is
    kept. Sorted by the first quantity, a point stays where the second exceeds all before it: O(n log n).

    Args:
        first: first quantity, larger is better.
        second: second quantity, larger is better; the same number of points.

    Returns:
        Indices of the front, by falling first quantity; points with a NaN are never on it.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    known = np.flatnonzero(~(np.isnan(x) | np.isnan(y)))
    if not known.size:
        return known
    order = known[np.lexsort((known, -y[known], -x[known]))]
    best_before = np.maximum.accumulate(np.concatenate(([-np.inf], y[order][:-1])))
    return np.asarray(order[y[order] > best_before])
