"""The time of one message on one link, and the coefficients that describe the link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinkCoefficients:
    """Coefficients of t = alpha + c sqrt(S) + V/B. They may be samples.

    Attributes:
        alpha_s: fixed time: of one hop, or of a whole operation where calibrated [s].
        sqrt_s_per_sqrt_byte: c, ramp between latency- and bandwidth-bound sizes [s/byte^0.5].
        bandwidth_bytes_per_s: B, bandwidth of one rank in one direction [byte/s].
    """

    alpha_s: ArrayLike
    sqrt_s_per_sqrt_byte: ArrayLike
    bandwidth_bytes_per_s: ArrayLike

    def time_s(self, size_bytes: ArrayLike, wire_bytes: ArrayLike, steps: ArrayLike = 1.0) -> Array:
        """Evaluate t = steps alpha + c sqrt(S) + V/B.

        Args:
            size_bytes: S, the message [byte].
            wire_bytes: V, bytes that one rank sends [byte].
            steps: hops that follow each other [1].

        Returns:
            Time [s].
        """
        start = _array(steps) * _array(self.alpha_s)
        ramp = _array(self.sqrt_s_per_sqrt_byte) * np.sqrt(_array(size_bytes))
        return np.asarray(start + ramp + _array(wire_bytes) / _array(self.bandwidth_bytes_per_s))


def datasheet_coefficients(
    bandwidth_bytes_per_s: ArrayLike, efficiency: ArrayLike, alpha_s: ArrayLike
) -> LinkCoefficients:
    """Coefficients where nothing is calibrated: B = efficiency x datasheet bandwidth, c = 0 (grade D).

    Args:
        bandwidth_bytes_per_s: datasheet bandwidth of one rank, one direction [byte/s].
        efficiency: reachable share of it [1].
        alpha_s: one hop [s].

    Returns:
        The coefficients.
    """
    return LinkCoefficients(alpha_s, 0.0, _array(bandwidth_bytes_per_s) * _array(efficiency))


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
