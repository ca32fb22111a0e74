"""The fleet that a day of traffic needs: systems on average, at the peak, and as installed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FleetSize:
    """Systems ("nodes": servers, racks or supernodes) of the fleet.

    Attributes:
        prefill_nodes: busy with prefill, mean over the day [1].
        decode_nodes: busy with decode, mean over the day [1].
        nodes: their sum: what an elastic fleet occupies on average [1].
        installed_nodes: what must be installed for the peak, in whole systems [1].
    """

    prefill_nodes: Array
    decode_nodes: Array
    nodes: Array
    installed_nodes: Array


def fleet_size(
    prefill_tokens_per_s: ArrayLike,
    decode_tokens_per_s: ArrayLike,
    prefill_tokens_per_s_per_chip: ArrayLike,
    decode_tokens_per_s_per_chip: ArrayLike,
    chips_per_node: int,
    prefill_load_factor: ArrayLike,
    decode_load_factor: ArrayLike,
    peak_to_mean: ArrayLike,
    *,
    nodes: ArrayLike | None = None,
) -> FleetSize:
    """Divide traffic by capacity: nodes = demand / (rate per chip x chips x load factor), for each phase.

    The load factor is the mean use of the nodes that are occupied: queues need slack to meet TTFT, and whole replicas
    are switched. With `nodes` fixed, the split between phases follows the derived one.

    Args:
        prefill_tokens_per_s: uncached input, mean [token/s].
        decode_tokens_per_s: output, mean [token/s].
        prefill_tokens_per_s_per_chip: capacity of a chip in prefill [token/s].
        decode_tokens_per_s_per_chip: capacity of a chip in decode [token/s].
        chips_per_node: chips of one system [1].
        prefill_load_factor: mean use of occupied prefill nodes [1].
        decode_load_factor: mean use of occupied decode nodes [1].
        peak_to_mean: peak of the day over its mean [1].
        nodes: a fixed mean number of occupied nodes instead of the derived one [1].

    Returns:
        The fleet, broadcast over samples.
    """
    prefill = np.asarray(prefill_tokens_per_s, dtype=float) / (
        np.asarray(prefill_tokens_per_s_per_chip) * chips_per_node * prefill_load_factor
    )
    decode = np.asarray(decode_tokens_per_s, dtype=float) / (
        np.asarray(decode_tokens_per_s_per_chip) * chips_per_node * decode_load_factor
    )
    if nodes is not None:
        scale = np.asarray(nodes, dtype=float) / (prefill + decode)
        prefill, decode = prefill * scale, decode * scale
    total = prefill + decode if nodes is None else np.asarray(nodes, dtype=float)
    # A fleet of exactly n nodes must not become n + 1 through the last digit of a float.
    installed = np.ceil(np.round(total * peak_to_mean, 9))
    return FleetSize(np.asarray(prefill), np.asarray(decode), np.asarray(total), np.maximum(installed, 1.0))
