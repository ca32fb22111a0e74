"""Internal rate of return of many cash flows at once, with the number of rates that solve each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]
Counts = NDArray[np.intp]

# Rates are searched between -(1 - 1e-13) and 1e9 a period, on a grid of d = ln(1 + r) that is fine around
# r = 0 and holds no round rate, so that no root of tidy cash flows falls on a grid point.
_LOWEST, _HIGHEST, _GRID = np.log(1e-13), np.log1p(1e9), 401


@dataclass(frozen=True, slots=True)
class Irr:
    """Internal rates of return.

    Attributes:
        rate: rate a period, shape (...) [1]; NaN where there is none. Of several, the smallest that
            is not negative, else the negative one closest to 0 (the choice of numpy-financial).
        roots: rates found that make the net present value 0 [1]; do not trust `rate` alone above 1.
        sign_changes: changes of sign along the cash flow [1]; one: there is one rate; none: there is none.
    """

    rate: Array
    roots: Counts
    sign_changes: Counts


def irr(cash_flows: ArrayLike) -> Irr:
    """Internal rate of return: the rates r at which sum CF_t/(1 + r)^t = 0.

    All samples are bracketed on one grid of ln(1 + r) and bisected together down to the last bit. With one
    change of sign the root is unique (Descartes); with more, two roots closer than the grid are missed.

    Args:
        cash_flows: CF, shape (..., periods + 1) [USD].

    Returns:
        Rate, number of roots found and sign changes.

    Raises:
        InputError: cash flows that are not finite, or have no period after the first.

    Reference:
        R. Brealey, S. Myers, F. Allen, "Principles of Corporate Finance", ch. 5 (none, one or several rates).
    """
    flows = np.asarray(cash_flows, dtype=float)
    if flows.ndim < 1 or flows.shape[-1] < 2 or not np.all(np.isfinite(flows)):
        raise InputError("an internal rate of return needs finite cash flows over at least two dates")
    rows = flows.reshape(-1, flows.shape[-1])
    largest = np.max(np.abs(rows), axis=1, keepdims=True)
    rows = rows / np.where(largest > 0.0, largest, 1.0)
    grid = _grid()
    crossing = np.diff(_positive(rows[:, np.newaxis, :], grid), axis=1)
    rank = np.where(grid[1:] > 0.0, grid[1:], _HIGHEST - grid[1:])
    nearest = np.argmin(np.where(crossing, rank, np.inf), axis=1)
    roots = np.count_nonzero(crossing, axis=1)
    log_rate = _bisect(rows, grid[nearest], grid[nearest + 1])
    shape = flows.shape[:-1]
    rate = np.where(roots > 0, np.expm1(log_rate), np.nan)
    return Irr(rate.reshape(shape), roots.reshape(shape), _sign_changes(rows).reshape(shape))


def _grid() -> Array:
    spread = np.linspace(-1.0, 1.0, _GRID + 1) + 1e-4
    up = _HIGHEST * np.maximum(spread, 0.0) ** 2
    down = _LOWEST * np.minimum(spread, 0.0) ** 2
    return np.asarray(up + down)


def _bisect(rows: Array, low: Array, high: Array) -> Array:
    start = _positive(rows, low)
    for _ in range(70):
        middle = 0.5 * (low + high)
        left = _positive(rows, middle) == start
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return np.asarray(0.5 * (low + high))


def _positive(rows: Array, log_rate: Array) -> NDArray[np.bool_]:
    """Tell where the NPV at d = ln(1 + r) is not negative; Horner from the end that cannot overflow."""
    shrink = np.exp(-np.abs(log_rate))
    forward = np.zeros(np.broadcast_shapes(rows.shape[:-1], log_rate.shape))
    backward = forward
    for step in range(rows.shape[-1]):
        backward = backward * shrink + rows[..., step]
        forward = forward * shrink + rows[..., -1 - step]
    return np.asarray(np.where(log_rate >= 0.0, forward, backward) >= 0.0)


def _sign_changes(rows: Array) -> Counts:
    signs = np.sign(rows)
    changes = np.zeros(len(rows), dtype=np.intp)
    last = np.zeros(len(rows))
    for step in range(rows.shape[-1]):
        sign = signs[:, step]
        changes += (sign != 0.0) & (last != 0.0) & (sign != last)
        last = np.where(sign != 0.0, sign, last)
    return changes
