"""Time to first token under load, from queueing theory (the event simulator will give its percentiles)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ttft_s(
    prompt_tokens: ArrayLike, tokens_per_s: ArrayLike, load: ArrayLike, first_step_s: ArrayLike
) -> Array:
    """Mean time to first token: TTFT = S + rho S / (2 (1 - rho)) + d, an M/D/1 queue in front of one prefill rank.

    Args:
        prompt_tokens: prompt tokens that must be computed, cached ones left out [token].
        tokens_per_s: prefill rate of one rank (its tensor-parallel group) [token/s]; S = prompt / rate.
        load: rho, use of the rank, below 1 [1].
        first_step_s: d, the step that emits the first token [s].

    Returns:
        TTFT [s]; infinite where the load is 1 or more.

    Reference:
        Pollaczek-Khinchine formula for deterministic service: L. Kleinrock, "Queueing Systems" I, 1975, section 5.6.
    """
    service = np.asarray(prompt_tokens, dtype=float) / tokens_per_s
    rho = np.asarray(load, dtype=float)
    with np.errstate(divide="ignore"):
        wait = np.where(rho < 1.0, rho * service / (2.0 * np.maximum(1.0 - rho, 0.0)), np.inf)
    return np.asarray(service + wait + np.asarray(first_step_s, dtype=float))
