"""Time of operators that only move data: norms, rotary positions, activation, residual, embedding, sampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware.coefficients import OperatorChip

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ElementwiseCoefficients:
    """How an elementwise kernel uses a chip.

    Attributes:
        launch_s: fixed time of a kernel inside a graph [s].
        memory_efficiency: reachable share of the memory bandwidth [1].
    """

    launch_s: float = 1.8e-6
    memory_efficiency: float = 0.7


def elementwise_time_s(
    moved_bytes: ArrayLike,
    chip: OperatorChip,
    coefficients: ElementwiseCoefficients,
    kernels: ArrayLike = 1,
) -> Array:
    """Time to move bytes once: t = kernels x launch + bytes/(W e).

    Args:
        moved_bytes: bytes read and written [byte].
        chip: bandwidth W.
        coefficients: of the kernel.
        kernels: kernels that the bytes are spread over [1].

    Returns:
        Time [s].
    """
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s) * coefficients.memory_efficiency
    start = np.asarray(kernels, dtype=float) * coefficients.launch_s
    return np.asarray(start + np.asarray(moved_bytes, dtype=float) / bandwidth)


def eager_floor_s(kernel_s: ArrayLike, kernels: ArrayLike, host_launch_s: ArrayLike) -> Array:
    """Time of kernels that the host launches one by one, without a graph: t = max(kernel time, kernels x host).

    Args:
        kernel_s: sum of the kernels' times on the chip [s].
        kernels: how many they are [1].
        host_launch_s: time that the host needs for one launch, framework included [s].

    Returns:
        Time [s].
    """
    host_s = np.asarray(kernels, dtype=float) * np.asarray(host_launch_s, dtype=float)
    return np.asarray(np.maximum(np.asarray(kernel_s, dtype=float), host_s))
