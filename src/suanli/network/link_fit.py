"""Coefficients of a link from measured times of a collective."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from suanli.errors import InputError
from suanli.network.collectives import Operation, bus_factor
from suanli.network.link import LinkCoefficients


def fit_link(operation: Operation, ranks: int, size_bytes: ArrayLike, time_s: ArrayLike) -> LinkCoefficients:
    """Fit alpha, c >= 0 and B of `collective_s` to measured times by least squares of the relative error.

    Args:
        operation: which collective was measured.
        ranks: n, at least 2 [1].
        size_bytes: S, shape (points,) [byte].
        time_s: t, shape (points,) [s].

    Returns:
        Coefficients of the whole operation; B is the bus bandwidth.

    Raises:
        InputError: fewer than three points, a time that is not positive, or times that do not grow with size.
    """
    size, time = np.asarray(size_bytes, dtype=float), np.asarray(time_s, dtype=float)
    if size.ndim != 1 or size.shape != time.shape or size.size < 3 or np.any(time <= 0.0) or ranks < 2:
        raise InputError(
            "fitting a link needs at least three sizes with positive times and at least two ranks"
        )
    wire = bus_factor(operation, ranks) * size
    columns = np.stack([np.ones_like(size), np.sqrt(size), wire], axis=1) / time[:, np.newaxis]
    best, least = np.zeros(3), np.inf
    # non-negative least squares by trying every set of active terms: there are only seven
    for active in (list(terms) for count in (1, 2, 3) for terms in combinations(range(3), count)):
        solution = np.zeros(3)
        solution[active] = np.linalg.lstsq(columns[:, active], np.ones_like(time), rcond=None)[0]
        loss = float(np.sum((columns @ solution - 1.0) ** 2))
        if np.all(solution >= 0.0) and loss < least:
            best, least = solution, loss
    if best[2] <= 0.0:
        raise InputError("fitting a link: the times do not grow with size, so there is no bandwidth to find")
    return LinkCoefficients(float(best[0]), float(best[1]), float(1.0 / best[2]))
