"""Monotone cubic interpolation through a handful of points, with samples at every point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def monotone(x: ArrayLike, xs: Sequence[float], ys: Sequence[ArrayLike]) -> Array:
    """Interpolate through every point; between two points the curve never leaves their span.

    Cubic Hermite pieces with the weighted harmonic mean of the neighbouring secants as slopes (0 at a turn)
    and the end secants at the ends; beyond the last point the last secant is carried on, before the first
    the value stays.

    Args:
        x: where to interpolate, such as a load fraction [1].
        xs: two or more ascending places [1].
        ys: the value at each place [1]; each may be an array of samples that broadcasts with x.

    Returns:
        Values at x [1].

    Reference: F. N. Fritsch, J. Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300.
    """
    at = np.asarray(x, dtype=float)
    values = [np.asarray(y, dtype=float) for y in ys]
    steps = np.diff(np.asarray(xs, dtype=float))
    secants = [(values[i + 1] - values[i]) / step for i, step in enumerate(steps)]
    inner = [_slope(secants[i], secants[i + 1], steps[i], steps[i + 1]) for i in range(len(steps) - 1)]
    slopes = [secants[0], *inner, secants[-1]]
    result = values[0] + np.zeros_like(at)
    for i, step in enumerate(steps):
        t = np.clip((at - xs[i]) / step, 0.0, 1.0)
        piece = values[i] + step * t * (
            slopes[i]
            + t * (3.0 * secants[i] - 2.0 * slopes[i] - slopes[i + 1])
            + t * t * (slopes[i] + slopes[i + 1] - 2.0 * secants[i])
        )
        result = np.where(at >= xs[i], piece, result)
        result = np.where(at == xs[i + 1], values[i + 1], result)
    return np.asarray(np.where(at > xs[-1], values[-1] + secants[-1] * (at - xs[-1]), result))


def _slope(before: Array, after: Array, step_before: float, step_after: float) -> Array:
    same_sign = before * after > 0.0
    left, right = np.where(same_sign, before, 1.0), np.where(same_sign, after, 1.0)
    weight_left, weight_right = step_before + 2.0 * step_after, 2.0 * step_before + step_after
    mean = (weight_left + weight_right) / (weight_left / left + weight_right / right)
    return np.asarray(np.where(same_sign, mean, 0.0))
