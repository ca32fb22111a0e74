"""Time of a collective or expert exchange from calibrated coefficients: the faster of two protocol regimes.

Libraries switch protocol with message size (low latency for small, bandwidth for large). Each regime is
alpha + c sqrt(S) + V/(share x link); the library is assumed to choose the faster one. Bandwidths are shares of
the link's datasheet bandwidth, so that coefficients carry over to chips of a family with narrower links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.network.link import LinkCoefficients

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExchangeCoefficients:
    """Two regimes of one operation at one group size.

    Attributes:
        alpha_s: fixed time of the small-message regime [s].
        sqrt_s_per_sqrt_byte: its ramp [s/byte^0.5].
        bandwidth_share: its bandwidth over the link's [1].
        large_alpha_s: fixed time of the large-message regime [s].
        large_sqrt_s_per_sqrt_byte: its ramp [s/byte^0.5].
        large_bandwidth_share: its bandwidth over the link's [1].
        processor_bytes_per_s: rate of one processor that copies; 0 where the number of them is not a choice [byte/s].
    """

    alpha_s: float = 10e-6
    sqrt_s_per_sqrt_byte: float = 5e-9
    bandwidth_share: float = 0.3
    large_alpha_s: float = 20e-6
    large_sqrt_s_per_sqrt_byte: float = 5e-9
    large_bandwidth_share: float = 0.8
    processor_bytes_per_s: float = 0.0


def calibrated_s(
    size_bytes: ArrayLike,
    wire_bytes: ArrayLike,
    link_bytes_per_s: ArrayLike,
    coefficients: ExchangeCoefficients,
    processors: ArrayLike = 0,
) -> Array:
    """Evaluate the faster regime: t = min over both of alpha + c sqrt(S) + V sqrt((1/(share B))^2 + (1/(n p))^2).

    Args:
        size_bytes: S, the message [byte].
        wire_bytes: V, bytes that a rank sends: `bus_factor` x S for collectives, S for expert exchange [byte].
        link_bytes_per_s: B, datasheet bandwidth of a rank's link, one direction [byte/s].
        coefficients: of the operation.
        processors: n, processors given to the exchange (DeepEP's normal kernels: 20 to 24); 0 for no limit [1].

    Returns:
        Time [s].
    """
    c = coefficients
    link = np.asarray(link_bytes_per_s, dtype=float)
    copying = np.asarray(processors, dtype=float) * c.processor_bytes_per_s
    slow = np.divide(1.0, copying, out=np.zeros_like(copying), where=copying > 0.0)
    times = []
    for alpha, ramp, share in (
        (c.alpha_s, c.sqrt_s_per_sqrt_byte, c.bandwidth_share),
        (c.large_alpha_s, c.large_sqrt_s_per_sqrt_byte, c.large_bandwidth_share),
    ):
        rate = 1.0 / np.hypot(1.0 / (share * link), slow)
        times.append(LinkCoefficients(alpha, ramp, rate).time_s(size_bytes, wire_bytes))
    return np.asarray(np.minimum(times[0], times[1]))
