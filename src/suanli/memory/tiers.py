"""Tiers for KV: device memory, host memory, CXL pool, flash pool, or computing it again; capacity, time and price."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tier:
    """A place for KV blocks below device memory.

    Attributes:
        name: "host", "cxl", "flash" ...
        capacity_bytes: of one cache: a replica's own, or all of a shared one [byte].
        bandwidth_bytes_per_s: of its channel, for reads [byte/s].
        latency_s: time to the first byte [s].
        price_usd_per_byte: purchase price [USD/byte]; None where unknown.
        shared: one cache for all replicas instead of one each.
    """

    name: str
    capacity_bytes: float
    bandwidth_bytes_per_s: float
    latency_s: float = 0.0
    price_usd_per_byte: float | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class TierUse:
    """What a tier did in a run.

    Attributes:
        name: of the tier; "device" is device memory.
        hit_tokens: prompt tokens that it answered [token].
        hit_share: over all prompt tokens [1].
        read_bytes: read from it [byte].
        written_bytes: written into it [byte].
        saved_s: prefill time saved, net of reading [s].
        cost_usd: what the tier costs over the run [USD]; None where its price is unknown.
        cost_usd_per_saved_s: cost over saved accelerator time [USD/s]; None where nothing was saved.
    """

    name: str
    hit_tokens: float
    hit_share: float
    read_bytes: float
    written_bytes: float
    saved_s: float
    cost_usd: float | None
    cost_usd_per_saved_s: float | None


def load_s(moved_bytes: ArrayLike, bandwidth_bytes_per_s: ArrayLike, latency_s: ArrayLike = 0.0) -> Array:
    """Time to read KV from a tier: t = l + B/W.

    Args:
        moved_bytes: B, KV to read [byte].
        bandwidth_bytes_per_s: W, bandwidth of the channel; inf reads in no time [byte/s].
        latency_s: l, time to the first byte [s].

    Returns:
        Time [s], broadcast over the arguments.
    """
    return np.asarray(
        np.asarray(latency_s, dtype=float) + np.asarray(moved_bytes, dtype=float) / bandwidth_bytes_per_s
    )


def break_even_tokens(
    recompute_token_s: ArrayLike,
    kv_bytes_per_token: ArrayLike,
    bandwidth_bytes_per_s: ArrayLike,
    latency_s: ArrayLike,
) -> Array:
    """Prefix length from which reading KV beats computing it again: n = l / (t - k/W); inf where it never does.

    Args:
        recompute_token_s: t, prefill time of a token [s].
        kv_bytes_per_token: k, KV of a token [byte].
        bandwidth_bytes_per_s: W, of the tier's channel [byte/s].
        latency_s: l, of the tier [s].

    Returns:
        Tokens, broadcast over the arguments.
    """
    gain = np.asarray(recompute_token_s, dtype=float) - np.asarray(kv_bytes_per_token, dtype=float) / (
        np.asarray(bandwidth_bytes_per_s, dtype=float)
    )
    latency = np.asarray(latency_s, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(gain > 0.0, latency / np.where(gain > 0.0, gain, 1.0), np.inf))


def run_cost_usd(
    price_usd_per_byte: ArrayLike, capacity_bytes: ArrayLike, time_s: ArrayLike, life_s: ArrayLike
) -> Array:
    """Straight-line cost of a tier over a run: price x capacity x time / life.

    Args:
        price_usd_per_byte: purchase price [USD/byte].
        capacity_bytes: of all its caches [byte].
        time_s: length of the run [s].
        life_s: depreciation life [s].

    Returns:
        Cost [USD], broadcast over the arguments.
    """
    return np.asarray(
        np.asarray(price_usd_per_byte, dtype=float)
        * capacity_bytes
        * np.asarray(time_s, dtype=float)
        / np.asarray(life_s, dtype=float)
    )
