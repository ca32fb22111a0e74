"""Laws that operators share: how two limits combine, how work fills whole waves of processors, what a cache keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Rate of one processor where a chip's count is not known: the step of wave quantisation is then one such processor.
FLOP_PER_S_PER_PROCESSOR = 7.5e12


def p_norm(first_s: ArrayLike, second_s: ArrayLike, exponent: ArrayLike) -> Array:
    """Combine two limits that overlap in part: t = (a^q + b^q)^(1/q); q = 1 is no overlap, large q is the maximum.

    Args:
        first_s: a, time of one limit, at least 0 [s].
        second_s: b, time of the other, at least 0 [s].
        exponent: q, at least 1 [1].

    Returns:
        Time [s]; between max(a, b) and a + b.
    """
    high = np.maximum(first_s, second_s)
    low = np.minimum(first_s, second_s)
    ratio = np.divide(low, high, out=np.zeros_like(high), where=high > 0.0)
    return np.asarray(high * (1.0 + ratio**exponent) ** (1.0 / np.asarray(exponent)))


def half_wave(work: ArrayLike, processors: ArrayLike) -> Array:
    """Waves that `work` equal pieces need on `processors`: w = (x + ceil x)/2 with x = max(work/processors, 1).

    Half of the last wave's idle share is lost; the other half is regained by uneven pieces and overlap with the next.

    Args:
        work: number of equal pieces [1].
        processors: pieces that run at the same time [1].

    Returns:
        Waves, at least one [1].
    """
    x = np.maximum(np.asarray(work, dtype=float) / processors, 1.0)
    return np.asarray(0.5 * (x + np.ceil(x)))


def cold_share(set_bytes: ArrayLike, cache_bytes: ArrayLike, kept_share: ArrayLike, steepness: float = 4.0) -> Array:
    """Share of a repeatedly read set that comes from memory, not from the cache: f = 1/(1 + (l C/S)^p).

    Args:
        set_bytes: S, bytes that a loop touches before it returns to the first [byte].
        cache_bytes: C, size of the last-level cache [byte].
        kept_share: l, share of the cache that keeps such data [1].
        steepness: p, how sudden the change is [1].

    Returns:
        Share read from memory, 0 to 1 [1].
    """
    ratio = np.asarray(kept_share) * cache_bytes / np.maximum(np.asarray(set_bytes, dtype=float), 1.0)
    return np.asarray(1.0 / (1.0 + ratio**steepness))


def processor_count(sm_count: ArrayLike | None, peak_bf16_flop_per_s: ArrayLike) -> Array:
    """Processors for wave quantisation: the chip's SM count, or an equivalent where it is unknown or has no meaning.

    Formula: max(P_bf16/7.5e12, 1): as many as Hopper's SMs (989 TFLOP/s over 132) would be needed for that peak.

    Args:
        sm_count: streaming multiprocessors (or cores that take a tile each); None where unknown [1].
        peak_bf16_flop_per_s: dense BF16 peak [FLOP/s].
    """
    if sm_count is not None:
        return np.asarray(sm_count, dtype=float)
    return np.maximum(np.asarray(peak_bf16_flop_per_s, dtype=float) / FLOP_PER_S_PER_PROCESSOR, 1.0)
