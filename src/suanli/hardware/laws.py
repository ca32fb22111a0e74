"""Laws that operators share: how two limits combine, how work fills whole waves of processors, what a cache keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Rate of one processor where a chip's count is not known: the step of wave quantisation is then one such processor.
FLOP_PER_S_PER_PROCESSOR = 7.5e12
# Kernels longer than this run at the clock that the power limit allows, not at the boost clock.
SUSTAINED_S = 5e-4


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


def cold_share(
    set_bytes: ArrayLike, cache_bytes: ArrayLike, kept_share: ArrayLike, steepness: float = 4.0
) -> Array:
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


def cut_down_efficiency(
    efficiency: ArrayLike, rate_flop_per_s: ArrayLike, reference_flop_per_s: ArrayLike
) -> Array:
    """Efficiency on a chip of the same design with another rate per processor: e' = 1/(1 + (1/e - 1) r/r0).

    What keeps a kernel below the peak (feeding operands, issuing, synchronising) takes time per operation that does
    not change when a vendor cuts the matrix rate down (H20 beside H100) or raises it: its share shrinks or grows.

    Args:
        efficiency: e, at the reference rate, at most 1 [1].
        rate_flop_per_s: r, peak of one processor [FLOP/s].
        reference_flop_per_s: r0, peak of one processor where e was fitted; 0 where it should not be scaled [FLOP/s].

    Returns:
        Efficiency, at most 1 [1].
    """
    ratio = rate_ratio(rate_flop_per_s, reference_flop_per_s)
    return np.asarray(1.0 / (1.0 + (1.0 / np.asarray(efficiency, dtype=float) - 1.0) * ratio))


def rate_ratio(rate_flop_per_s: ArrayLike, reference_flop_per_s: ArrayLike) -> Array:
    """Rate of a processor over the rate where coefficients were fitted; 1 where the reference is not given (0).

    Args:
        rate_flop_per_s: peak of one processor [FLOP/s].
        reference_flop_per_s: peak of one processor where the coefficients were fitted; 0 for none [FLOP/s].

    Returns:
        Ratio [1].
    """
    reference = np.asarray(reference_flop_per_s, dtype=float)
    known = reference > 0.0
    return np.where(known, np.asarray(rate_flop_per_s, dtype=float) / np.where(known, reference, 1.0), 1.0)


def drooped(
    compute_s: ArrayLike,
    droop: ArrayLike,
    rate_flop_per_s: ArrayLike = 1.0,
    reference_flop_per_s: ArrayLike = 0.0,
    phase_s: ArrayLike = 0.0,
) -> Array:
    """Compute time under the power limit: C (1 + d T/(T + 0.5 ms)), T the longer of C and the phase around it.

    A chip whose matrix rate was cut down draws less and droops less: d falls with r/r0 below 1.

    Args:
        compute_s: C, compute time at boost clock [s].
        droop: d, relative rise in a long phase [1].
        rate_flop_per_s: r, peak of one processor [FLOP/s].
        reference_flop_per_s: r0, peak of one processor where d was fitted; 0 for no scaling [FLOP/s].
        phase_s: duration of the compute-bound phase that the kernel is part of [s].

    Returns:
        Compute time [s].
    """
    compute_s = np.asarray(compute_s, dtype=float)
    busy = np.maximum(compute_s, phase_s)
    share = np.minimum(rate_ratio(rate_flop_per_s, reference_flop_per_s), 1.0)
    return np.asarray(
        compute_s * (1.0 + np.asarray(droop, dtype=float) * share * busy / (busy + SUSTAINED_S))
    )


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
