"""Dispatch and combine of mixture-of-experts tokens between ranks: bytes, hops through nodes, time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.network.link import LinkCoefficients

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExchangeVolume:
    """Bytes that one rank sends in one direction of an exchange (dispatch, or combine).

    Attributes:
        network_bytes: over the network between nodes [byte].
        scale_up_bytes: over the links inside a node [byte].
    """

    network_bytes: Array
    scale_up_bytes: Array


def expected_distinct_groups(groups: ArrayLike, experts: ArrayLike, top_k: int) -> Array:
    """Expected number of groups that hold a token's k experts, drawn uniformly without replacement.

    E = N (1 - C(E - E/N, k)/C(E, k)), evaluated as a product so that E/N need not be whole.

    Args:
        groups: N, equal groups of experts (ranks or nodes) [1].
        experts: E, routed experts (with replicas, where there are any) [1].
        top_k: k, experts a token [1].

    Returns:
        Expected distinct groups, between 1 and min(N, k) [1].

    Raises:
        InputError: k is not between 1 and E, or more groups than experts.
    """
    n, total = _array(groups), _array(experts)
    if top_k < 1 or np.any(total < top_k) or np.any(n < 1.0) or np.any(n > total):
        raise InputError("expected_distinct_groups needs 1 <= k <= experts and 1 <= groups <= experts")
    drawn = np.arange(top_k, dtype=float).reshape(top_k, *(1,) * np.broadcast(n, total).ndim)
    miss = np.prod(np.maximum(total - total / n - drawn, 0.0) / (total - drawn), axis=0)
    return np.asarray(n * (1.0 - miss))


def direct_volume(
    tokens: ArrayLike,
    hidden: ArrayLike,
    top_k: ArrayLike,
    bytes_per_element: ArrayLike,
    *,
    ranks: ArrayLike,
    ranks_per_node: ArrayLike,
) -> ExchangeVolume:
    """Bytes where each token goes to each of its k experts on its own (DeepEP's low-latency kernels).

    Out of k copies 1/EP stay on the rank, (g - 1)/EP go to the node's other ranks, the rest over the network.

    Args:
        tokens: T, tokens of one rank [token].
        hidden: h, elements of a token [1].
        top_k: k, copies a token; count a shared expert where it lives on another rank [1].
        bytes_per_element: 1 + 4/128 for FP8 with block scales, 2 for BF16 [byte].
        ranks: EP, ranks that share the experts [1].
        ranks_per_node: g, ranks joined by the scale-up network [1].

    Returns:
        Bytes one rank sends.
    """
    n = _array(ranks)
    inside = np.minimum(_array(ranks_per_node), n)
    sent = message_bytes(tokens, hidden, top_k, bytes_per_element)
    return ExchangeVolume(np.asarray(sent * (n - inside) / n), np.asarray(sent * (inside - 1.0) / n))


def message_bytes(
    tokens: ArrayLike, hidden: ArrayLike, copies: ArrayLike, bytes_per_element: ArrayLike
) -> Array:
    """Payload of an exchange with every copy counted, even those that stay: T h k b.

    Args:
        tokens: T [token].
        hidden: h [1].
        copies: k [1].
        bytes_per_element: b [byte].

    Returns:
        Bytes of one rank, one direction; what DeepEP divides by its latencies [byte].
    """
    return np.asarray(_array(tokens) * _array(hidden) * _array(copies) * _array(bytes_per_element))


def node_limited_volume(
    tokens: ArrayLike,
    hidden: ArrayLike,
    top_k: int,
    bytes_per_element: ArrayLike,
    *,
    experts: ArrayLike,
    ranks: ArrayLike,
    ranks_per_node: ArrayLike,
    node_limit: ArrayLike | None = None,
) -> ExchangeVolume:
    """Bytes where a token crosses the network once a node and is handed on there (DeepEP's normal kernels).

    With G = EP/g nodes, of which routing allows M, a token's k experts lie on D_n = E[distinct nodes] of M
    nodes and D_r = E[distinct ranks] of M g ranks. Network: T h b D_n (1 - 1/G); inside: T h b D_r (1 - 1/g),
    the share that does not arrive on the right rank at once.

    Args:
        tokens: T, tokens of one rank [token].
        hidden: h [1].
        top_k: k [1].
        bytes_per_element: b [byte].
        experts: E, routed experts over all ranks [1].
        ranks: EP [1].
        ranks_per_node: g [1].
        node_limit: M, nodes a token may go to; all where not given [1].

    Returns:
        Bytes one rank sends.

    Reference:
        DeepSeek-V3 technical report, arXiv 2412.19437, section 3.2 (M = 4, one copy a node, NVLink fan-out).
    """
    n, g = _array(ranks), _array(ranks_per_node)
    inside = np.minimum(g, n)
    nodes = np.maximum(n / inside, 1.0)
    allowed = nodes if node_limit is None else np.minimum(nodes, _array(node_limit))
    reachable = _array(experts) * allowed / nodes
    to_nodes = expected_distinct_groups(allowed, reachable, top_k)
    to_ranks = expected_distinct_groups(allowed * inside, reachable, top_k)
    token = _array(tokens) * _array(hidden) * _array(bytes_per_element)
    return ExchangeVolume(
        np.asarray(token * to_nodes * (1.0 - 1.0 / nodes)),
        np.asarray(token * to_ranks * (1.0 - 1.0 / inside)),
    )


def exchange_s(
    volume: ExchangeVolume,
    network: LinkCoefficients,
    scale_up: LinkCoefficients,
    *,
    imbalance: ArrayLike = 1.0,
) -> Array:
    """Time of one direction: the slower of both networks, which work at the same time, for the busiest rank.

    t = max over networks of alpha + c sqrt(V) + imbalance V/B; a network that carries nothing takes no time.

    Args:
        volume: bytes of the mean rank.
        network: one rank's link between nodes.
        scale_up: one rank's link inside the node.
        imbalance: bytes of the busiest rank over the mean, at least 1 [1].

    Returns:
        Time [s].
    """
    times = []
    for sent, link in ((volume.network_bytes, network), (volume.scale_up_bytes, scale_up)):
        busiest = _array(sent) * _array(imbalance)
        times.append(np.where(busiest > 0.0, link.time_s(busiest, busiest), 0.0))
    return np.asarray(np.maximum(times[0], times[1]))


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
