"""Prefill and decode pools that balance each other within a number of chips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """Replicas of both pools; arrays over the decode candidates. No replicas where the chips do not suffice.

    Attributes:
        prefill: replicas of the prefill pool [1].
        decode: replicas of the decode pool [1].
        requests_per_s: requests that pass through both [1/s].
    """

    prefill: Counts
    decode: Counts
    requests_per_s: Array


def match_pools(
    prefill_per_s: float, prefill_chips: int, decode_per_s: ArrayLike, decode_chips: ArrayLike, n_chips: int
) -> Match:
    """Divide chips between one prefill replica's kind and many decode candidates: max of min(x a, y b), x c + y d <= N.

    Where the larger replicas' number is fixed, the smaller fill the rest. The optimum lies within one of the real
    solution x = N b/(b c + a d), so three numbers are tried. Replicas that carry nothing are taken away again.

    Args:
        prefill_per_s: a, prompts that one prefill replica computes [1/s].
        prefill_chips: c, its chips [1].
        decode_per_s: b, requests that one decode replica finishes [1/s].
        decode_chips: d, its chips [1].
        n_chips: N [1].

    Returns:
        The best division for each decode candidate.
    """
    b, d = np.broadcast_arrays(np.asarray(decode_per_s, dtype=float), np.asarray(decode_chips, dtype=float))
    a, c, n = prefill_per_s, float(prefill_chips), float(n_chips)
    large = c >= d
    step, rest = np.where(large, c, d), np.where(large, d, c)
    ideal = np.floor(n * np.where(large, b, a) / (b * c + a * d))
    tried = ideal + np.array([-1.0, 0.0, 1.0]).reshape(-1, *[1] * b.ndim)
    most = np.floor((n - rest) / step)
    outer = np.clip(tried, 1.0, np.maximum(most, 1.0))
    inner = np.floor((n - outer * step) / rest)
    x, y = np.where(large, outer, inner), np.where(large, inner, outer)
    possible = (x >= 1.0) & (y >= 1.0)
    rate = np.where(possible, np.minimum(x * a, y * b), 0.0)
    best = np.argmax(rate, axis=0)[None]
    x, y, rate = (np.take_along_axis(np.broadcast_to(v, tried.shape), best, axis=0)[0] for v in (x, y, rate))
    works = rate > 0.0
    needed = rate * (1.0 - 1e-9)
    return Match(
        prefill=np.where(works, np.minimum(np.ceil(needed / a), x), 0.0).astype(np.int64),
        decode=np.where(works, np.minimum(np.ceil(needed / np.maximum(b, 1e-300)), y), 0.0).astype(np.int64),
        requests_per_s=rate,
    )
