"""Time to first token under load, from queueing theory (the event simulator will give its percentiles)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ttft_s(prompt_s: ArrayLike, load: ArrayLike, first_s: ArrayLike) -> Array:
    """Mean time to first token: TTFT = S + rho S / (2 (1 - rho)) + d, an M/D/1 queue in front of one prefill rank.

    Args:
        prompt_s: S, time to compute a prompt, cached tokens left out [s].
        load: rho, use of what computes it, below 1 [1].
        first_s: d, what follows: the step that emits the first token, request handling [s].

    Returns:
        TTFT [s]; infinite where the load is 1 or more.

    Reference:
        Pollaczek-Khinchine formula for deterministic service: L. Kleinrock, "Queueing Systems" I, 1975, section 5.6.
    """
    service = np.asarray(prompt_s, dtype=float)
    rho = np.asarray(load, dtype=float)
    with np.errstate(divide="ignore"):
        wait = np.where(rho < 1.0, rho * service / (2.0 * np.maximum(1.0 - rho, 0.0)), np.inf)
    return np.asarray(service + wait + np.asarray(first_s, dtype=float))
