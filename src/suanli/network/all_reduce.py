"""All-reduce by algorithm: ring, double tree, one-shot, in the switch, over nodes; alpha is of one hop."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.network.collectives import all_gather_s, rank_count, reduce_scatter_s
from suanli.network.link import LinkCoefficients

Array = NDArray[np.float64]


def all_reduce_ring_s(ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """Ring all-reduce: 2(n - 1) hops, 2(n - 1)/n S bytes a rank.

    Args:
        ranks: n [1].
        size_bytes: S, the buffer of one rank [byte].
        link: alpha of one hop.

    Returns:
        Time [s]; 0 for one rank.

    Reference:
        P. Patarasuk, X. Yuan, J. Parallel Distrib. Comput. 69(2), 2009.
    """
    n, size = rank_count(ranks), np.asarray(size_bytes, dtype=float)
    return np.where(n > 1.0, link.time_s(size, 2.0 * (n - 1.0) / n * size, 2.0 * (n - 1.0)), 0.0)


def all_reduce_tree_s(ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """Pipelined double binary tree all-reduce: 2 ceil(log2 n) hops, 2 S bytes a rank.

    Args:
        ranks: n [1].
        size_bytes: S [byte].
        link: alpha of one hop.

    Returns:
        Time [s]; 0 for one rank.

    Reference:
        P. Sanders, J. Speck, J. L. Traff, "Two-tree algorithms", Parallel Computing 35(12), 2009.
    """
    n, size = rank_count(ranks), np.asarray(size_bytes, dtype=float)
    return np.where(n > 1.0, link.time_s(size, 2.0 * size, 2.0 * np.ceil(np.log2(n))), 0.0)


def all_reduce_one_shot_s(ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """One-shot all-reduce: every rank sends its buffer to all others at once; 1 hop, (n - 1) S bytes a rank.

    Args:
        ranks: n [1].
        size_bytes: S [byte].
        link: alpha of one hop.

    Returns:
        Time [s]; 0 for one rank.
    """
    n, size = rank_count(ranks), np.asarray(size_bytes, dtype=float)
    return np.where(n > 1.0, link.time_s(size, (n - 1.0) * size), 0.0)


def all_reduce_in_network_s(ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients) -> Array:
    """All-reduce in the switch (NVLink SHARP): 2 hops, (n + 1)/n S bytes a rank.

    The switch adds up; a rank sends its buffer once and its reduced n-th part once more.

    Args:
        ranks: n [1].
        size_bytes: S [byte].
        link: alpha of one hop.

    Returns:
        Time [s]; 0 for one rank.

    Reference:
        NVIDIA/nccl-tests issues 212 and 238 (NCCL maintainer): algbw = busbw n/(n + 1).
    """
    n, size = rank_count(ranks), np.asarray(size_bytes, dtype=float)
    return np.where(n > 1.0, link.time_s(size, (n + 1.0) / n * size, 2.0), 0.0)


def all_reduce_s(
    ranks: ArrayLike, size_bytes: ArrayLike, link: LinkCoefficients, *, in_network: bool = False
) -> Array:
    """All-reduce by the fastest algorithm at this size: ring, tree, one-shot, or in the switch where it can.

    Args:
        ranks: n [1].
        size_bytes: S [byte].
        link: alpha of one hop.
        in_network: whether the switches reduce.

    Returns:
        Time [s].
    """
    times = [all_reduce_ring_s(ranks, size_bytes, link), all_reduce_tree_s(ranks, size_bytes, link)]
    times.append(all_reduce_one_shot_s(ranks, size_bytes, link))
    if in_network:
        times.append(all_reduce_in_network_s(ranks, size_bytes, link))
    return np.asarray(np.min(np.stack(np.broadcast_arrays(*times)), axis=0))


def all_reduce_hierarchical_s(
    ranks_per_node: ArrayLike,
    nodes: ArrayLike,
    size_bytes: ArrayLike,
    inside: LinkCoefficients,
    between: LinkCoefficients,
) -> Array:
    """All-reduce over nodes: reduce-scatter inside, all-reduce of S/g between nodes, all-gather inside.

    Every rank's NIC carries 2 (k - 1)/k S/g bytes.

    Args:
        ranks_per_node: g [1].
        nodes: k [1].
        size_bytes: S [byte].
        inside: link between the ranks of a node.
        between: one rank's link to other nodes.

    Returns:
        Time [s].

    Reference:
        stas00/ml-engineering, network/README.md (bytes per NIC).
    """
    g, size = rank_count(ranks_per_node), np.asarray(size_bytes, dtype=float)
    across = np.minimum(
        all_reduce_ring_s(nodes, size / g, between), all_reduce_tree_s(nodes, size / g, between)
    )
    return np.asarray(reduce_scatter_s(g, size, inside) + across + all_gather_s(g, size, inside))
