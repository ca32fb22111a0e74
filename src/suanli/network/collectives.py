"""Time of collectives: t = steps alpha + c sqrt(S) + V/B, with the bytes V that an algorithm sends per rank.

Two ways to use it. Calibrated: `collective_s` with coefficients fitted to measurements of one operation on
one chip and group size, alpha standing for the whole operation and B for the bus bandwidth of nccl-tests.
Uncalibrated: the algorithm functions here and in `all_reduce`, alpha standing for one hop and B for the
link's bandwidth times an efficiency.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.network.link import LinkCoefficients

Array = NDArray[np.float64]

Operation = Literal[
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "reduce", "send_recv"
]


def bus_factor(operation: Operation, ranks: ArrayLike) -> Array:
    """Bytes that a rank must send per byte of the buffer: busbw / algbw of nccl-tests.

    2(n - 1)/n for all-reduce; (n - 1)/n for all-gather, reduce-scatter, all-to-all; 1 for the others.

    Args:
        operation: which collective.
        ranks: n [1].

    Returns:
        The factor [1]; 0 for one rank.

    Raises:
        InputError: an unknown operation, or fewer than one rank.

    Reference:
        NVIDIA/nccl-tests, doc/PERFORMANCE.md.
    """
    n = rank_count(ranks)
    share = (n - 1.0) / n
    if operation == "all_reduce":
        return 2.0 * share
    if operation in ("all_gather", "reduce_scatter", "all_to_all"):
        return share
    if operation in ("broadcast", "reduce", "send_recv"):
        return np.where(n > 1.0, 1.0, 0.0)
    raise InputError(f'no collective "{operation}"')


def bus_bandwidth_bytes_per_s(
    operation: Operation, ranks: ArrayLike, size_bytes: ArrayLike, time_s: ArrayLike
) -> Array:
    """Bus bandwidth of a measured or predicted time: factor x S/t, comparable to the link's bandwidth.

    Args:
        operation: which collective.
        ranks: n [1].
        size_bytes: S, the whole buffer, over all ranks for all-gather and reduce-scatter [byte].
        time_s: t [s].

    Returns:
        Bus bandwidth [byte/s].

    Reference:
        NVIDIA/nccl-tests, doc/PERFORMANCE.md.
    """
    return np.asarray(bus_factor(operation, ranks) * _array(size_bytes) / _array(time_s))


def collective_s(
    operation: Operation, ranks: ArrayLike, size_bytes: ArrayLike, coefficients: LinkCoefficients
) -> Array:
    """Time of a collective from coefficients fitted to it: alpha + c sqrt(S) + factor S/B; 0 for one rank.

    Args:
        operation: which collective.
        ranks: n [1].
        size_bytes: S, the whole buffer [byte].
        coefficients: of this operation and group size; B is the bus bandwidth.

    Returns:
        Time [s].
    """
    n = rank_count(ranks)
    wire = bus_factor(operation, n) * _array(size_bytes)
    return np.where(n > 1.0, coefficients.time_s(size_bytes, wire), 0.0)


def all_gather_s(ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """Ring all-gather: n - 1 hops, (n - 1)/n S bytes a rank, S the whole gathered buffer.

    Args:
        ranks: n [1].
        size_bytes: S, gathered buffer [byte].
        link: alpha of one hop.

    Returns:
        Time [s]; 0 for one rank.
    """
    n, size = rank_count(ranks), _array(size_bytes)
    return np.where(n > 1.0, link.time_s(size, (n - 1.0) / n * size, n - 1.0), 0.0)


def reduce_scatter_s(ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """Ring reduce-scatter: n - 1 hops, (n - 1)/n S bytes a rank, S the buffer before scattering.

    Args:
        ranks: n [1].
        size_bytes: S [byte].
        link: alpha of one hop.

    Returns:
        Time [s]; 0 for one rank.
    """
    return all_gather_s(ranks, size_bytes, link)


def all_to_all_s(
    ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients, *, imbalance: ArrayLike = 1.0
) -> Array:
    """Pairwise all-to-all through a switch: n - 1 messages one after another, (n - 1)/n S bytes a rank.

    Args:
        ranks: n [1].
        size_bytes: S, what one rank holds for all ranks, itself included [byte].
        link: alpha of one message.
        imbalance: bytes of the busiest rank over the mean, at least 1 [1].

    Returns:
        Time [s]; 0 for one rank.
    """
    n, size = rank_count(ranks), _array(size_bytes)
    wire = (n - 1.0) / n * size * _array(imbalance)
    return np.where(n > 1.0, link.time_s(size, wire, n - 1.0), 0.0)


def send_recv_s(size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """One message from one rank to another: alpha + c sqrt(S) + S/B.

    Args:
        size_bytes: S [byte].
        link: alpha of one hop.

    Returns:
        Time [s].
    """
    return link.time_s(size_bytes, size_bytes)


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)


def rank_count(ranks: ArrayLike) -> Array:
    """Return the number of ranks as an array [1]; raises InputError where it is below 1."""
    n = _array(ranks)
    if np.any(n < 1.0):
        raise InputError("a collective has at least one rank")
    return n
