"""What fits on one chip of a replica: weights, KV cache, working space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """Memory of one chip.

    Attributes:
        weights_bytes: weights held by the chip [byte].
        reserve_bytes: framework, activations and fragmentation [byte].
        kv_bytes: what is left for KV; negative where the weights do not fit [byte].
        sequences: sequences per chip that this holds at the given KV size, not below 0 [1].
    """

    weights_bytes: Array
    reserve_bytes: Array
    kv_bytes: Array
    sequences: Array


def memory_fit(
    memory_bytes: ArrayLike,
    weights_bytes: ArrayLike,
    kv_bytes_per_sequence: ArrayLike,
    reserve_share: ArrayLike,
) -> MemoryFit:
    """Share one chip's memory: KV = M (1 - r) - W; sequences = KV / KV per sequence.

    Args:
        memory_bytes: M, device memory [byte].
        weights_bytes: W, weights held by this chip: by TOTAL parameters, mixture of experts included [byte].
        kv_bytes_per_sequence: KV and state of one sequence held by this chip [byte].
        reserve_share: r, share of memory kept for activations, graphs and fragmentation [1].

    Returns:
        The parts, broadcast over the arguments.
    """
    memory = np.asarray(memory_bytes, dtype=float)
    weights = np.asarray(weights_bytes, dtype=float)
    reserve = memory * reserve_share
    left = memory - reserve - weights
    sequences = np.maximum(left, 0.0) / np.asarray(kv_bytes_per_sequence, dtype=float)
    return MemoryFit(weights, np.asarray(reserve), np.asarray(left), sequences)
