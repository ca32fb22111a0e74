"""Time of attention with grouped queries (MHA, GQA, MQA): decode against a KV cache, and causal prefill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.formats import number_format
from suanli.hardware.laws import cold_share, cut_down_efficiency, drooped, half_wave, p_norm

Array = NDArray[np.float64]

BLOCK = 128
# A matrix unit computes at least this many query rows at once, however few there are.
MIN_ROWS = 16
_REFERENCE_HEAD = 128.0
_L2_STEEPNESS = 6.0


@dataclass(frozen=True, slots=True)
class AttentionDecodeCoefficients:
    """How a decode attention kernel uses a chip.

    Attributes:
        launch_s: fixed time, second reduction kernel included [s].
        depth_s: time per doubling of the context, for reducing the pieces it is cut into [s].
        memory_efficiency: reachable share of the memory bandwidth [1].
        compute_efficiency: reachable share of the BF16 peak [1].
        overlap: q - 1 of the norm that joins memory, compute and pieces [1].
        piece_s: fixed time of one (request, KV head) piece on one processor [s].
        group_exponent: growth of that time with the query heads per KV head [1].
        stream_share: rate of one processor over its even share of the bandwidth; above 1, fewer fill the memory [1].
        chunk_tokens: tokens that one processor takes at least when a context is cut [token].
        l2_share: share of the last-level cache that keeps KV between repetitions [1].
        l2_gain: bandwidth of that cache over memory's, less one [1].
    """

    launch_s: float = 9e-6
    depth_s: float = 0.5e-6
    memory_efficiency: float = 0.9
    compute_efficiency: float = 0.3
    overlap: float = 1.5
    piece_s: float = 1.5e-6
    group_exponent: float = 0.1
    stream_share: float = 1.2
    chunk_tokens: float = 256.0
    l2_share: float = 0.7
    l2_gain: float = 2.0


@dataclass(frozen=True, slots=True)
class AttentionPrefillCoefficients:
    """How a prefill attention kernel uses a chip.

    Attributes:
        launch_s: fixed time [s].
        memory_efficiency: reachable share of the memory bandwidth [1].
        compute_efficiency: reachable share of the peak at head dimension 128 and boost clock [1].
        overlap: q - 1 of the p-norm that joins compute and memory [1].
        tile_s: prologue and epilogue of a tile of 128 query rows [s].
        piece_s: fixed time of one (request, KV head) [s].
        head_exponent: growth of efficiency with head dimension / 128 [1].
        block_s: latency of one block of 128 keys along the longest tile [s].
        packed: 1 where the query heads of a KV head share a tile, 0 where each has its own [1].
        droop: rise of compute time when the kernel is long enough for the power limit to act [1].
        l2_share: share of the last-level cache that keeps operands between repetitions [1].
        l2_speedup: bandwidth of that cache over memory's [1].
        reference_flop_per_s: peak of one processor where the efficiency was fitted; 0 leaves it as it is [FLOP/s].
    """

    launch_s: float = 10e-6
    memory_efficiency: float = 0.5
    compute_efficiency: float = 0.65
    overlap: float = 0.1
    tile_s: float = 1e-6
    piece_s: float = 0.5e-6
    head_exponent: float = 0.3
    block_s: float = 0.9e-6
    packed: float = 1.0
    droop: float = 0.1
    l2_share: float = 1.0
    l2_speedup: float = 1.0
    reference_flop_per_s: float = 0.0


def attention_decode_time_s(
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike,
    kv_dtype: str,
    chip: OperatorChip,
    coefficients: AttentionDecodeCoefficients,
    window_tokens: ArrayLike = 0,
    query_tokens: ArrayLike = 1,
    warm: bool = False,
) -> Array:
    """Time of one decode step's attention over the KV cache of a layer.

    With u = batch x kv_heads pieces of s = min(context, window_tokens) tokens and r query rows each::

        M = (KV/min(x n/SM, 1) + rest)/(W e_m),  n = clip(u s/chunk, u, SM) processors streaming, x the stream share
        C = 4 u max(r, 16) s d/(P e_c);   U = u/SM piece max(d/128, 1) r^g
        t = launch + depth log2(1 + s/128) + (C^q + M^q + U^q)^(1/q)

    Args:
        batch: requests [1].
        context: tokens in the cache per request [token].
        heads: query heads on this chip [1].
        kv_heads: KV heads on this chip [1].
        head_dim: d, dimension of a head [1].
        kv_dtype: number format of the cache.
        chip: peaks, bandwidth and processors.
        coefficients: of the kernel.
        window_tokens: sliding window; 0 for none [token].
        query_tokens: tokens of a request that attend in one step (1; more with speculative decoding) [token].
        warm: as a benchmark that repeats one layer, where KV may stay in the last-level cache. Serving is cold.

    Returns:
        Time [s], broadcast over the arguments.
    """
    c = coefficients
    batch, heads, kv_heads, head_dim = (
        np.asarray(v, dtype=float) for v in (batch, heads, kv_heads, head_dim)
    )
    span = _span(context, window_tokens)
    pieces, rows = batch * kv_heads, heads / kv_heads * np.asarray(query_tokens, dtype=float)
    kv = 2.0 * pieces * span * head_dim * number_format(kv_dtype).weight_bytes
    other = 4.0 * pieces * rows * head_dim
    kept = np.asarray(1.0)
    if warm:
        cold = cold_share(kv + other, chip.l2_bytes, c.l2_share, _L2_STEEPNESS)
        kept = cold + (1.0 - cold) / (1.0 + c.l2_gain)
    processors = chip.processors
    streams = np.minimum(processors, np.maximum(pieces * span / c.chunk_tokens, pieces))
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s) * c.memory_efficiency
    memory = kept * (kv / np.minimum(streams / processors * c.stream_share, 1.0) + other) / bandwidth
    flops = 4.0 * pieces * np.maximum(rows, MIN_ROWS) * span * head_dim
    compute = flops / (chip.peak("bf16") * c.compute_efficiency)
    piece = (
        pieces / processors * c.piece_s * np.maximum(head_dim / _REFERENCE_HEAD, 1.0) * rows**c.group_exponent
    )
    q = 1.0 + c.overlap
    work = p_norm(p_norm(compute, memory, q), piece, q)
    return np.asarray(c.launch_s + c.depth_s * np.log2(1.0 + span / BLOCK) + work)


def attention_prefill_time_s(
    batch: ArrayLike,
    tokens: ArrayLike,
    heads: ArrayLike,
    kv_heads: ArrayLike,
    head_dim: ArrayLike,
    dtype: str,
    chip: OperatorChip,
    coefficients: AttentionPrefillCoefficients,
    prefix_tokens: ArrayLike = 0,
    window_tokens: ArrayLike = 0,
    warm: bool = False,
    phase_s: ArrayLike = 0.0,
) -> Array:
    """Time of causal attention of `tokens` new tokens per request behind `prefix_tokens` cached ones.

    Query rows are cut into tiles of 128 (T of them), keys into blocks of 128; a tile meets b blocks on average and
    B at most (causal, window-limited)::

        C = w(T/SM) (4 x 128 x 128 d b/(P/SM e_c (d/128)^g) + tile),  C <- C (1 + droop C/(C + 0.5 ms))
        M = bytes/(W e_m) + u/SM piece;   t = launch + B block + (C^q + M^q)^(1/q)

    Args:
        batch: requests [1].
        tokens: new tokens per request [token].
        heads: query heads on this chip [1].
        kv_heads: KV heads on this chip [1].
        head_dim: d, dimension of a head [1].
        dtype: number format of the product ("bf16" or "fp8").
        chip: peaks, bandwidth and processors.
        coefficients: of the kernel.
        prefix_tokens: tokens already in the cache [token].
        window_tokens: sliding window; 0 for none [token].
        warm: as a benchmark that repeats one layer (see `attention_decode_time_s`).
        phase_s: duration of the compute-bound phase around it, for the droop; its own if longer [s].

    Returns:
        Time [s], broadcast over the arguments.
    """
    c = coefficients
    batch, tokens, heads = (np.asarray(v, dtype=float) for v in (batch, tokens, heads))
    kv_heads, head_dim = np.asarray(kv_heads, dtype=float), np.asarray(head_dim, dtype=float)
    group = heads / kv_heads
    packed = np.ceil(group * tokens / BLOCK)
    tiles = batch * kv_heads * np.where(np.asarray(c.packed) > 0.5, packed, group * np.ceil(tokens / BLOCK))
    mean, most = causal_blocks(tokens, prefix_tokens, window_tokens)
    gain = (head_dim / _REFERENCE_HEAD) ** c.head_exponent
    processors = chip.processors
    peak = chip.peak(dtype)
    efficiency = np.minimum(c.compute_efficiency * gain, 1.0)
    efficiency = cut_down_efficiency(efficiency, peak / processors, c.reference_flop_per_s)
    one = 4.0 * BLOCK * BLOCK * head_dim * mean * processors / (peak * efficiency) + c.tile_s
    compute = half_wave(tiles, processors) * one
    compute = drooped(compute, c.droop, peak / processors, c.reference_flop_per_s, phase_s)
    cached = _span(prefix_tokens, window_tokens)
    moved = 4.0 * batch * head_dim * (tokens * (heads + kv_heads) + cached * kv_heads)
    if warm:
        cold = cold_share(moved, chip.l2_bytes, c.l2_share)
        moved = moved * (cold + (1.0 - cold) / c.l2_speedup)
    memory = moved / (np.asarray(chip.memory_bandwidth_bytes_per_s) * c.memory_efficiency)
    memory = memory + batch * kv_heads / processors * c.piece_s
    serial = c.block_s * most * head_dim / _REFERENCE_HEAD / gain
    return np.asarray(c.launch_s + serial + p_norm(compute, memory, 1.0 + c.overlap))


def causal_blocks(
    tokens: ArrayLike, prefix_tokens: ArrayLike = 0, window_tokens: ArrayLike = 0
) -> tuple[Array, Array]:
    """Blocks of 128 keys that a tile of query rows meets: on average over the tiles, and at most.

    Args:
        tokens: new tokens [token].
        prefix_tokens: tokens before them [token].
        window_tokens: sliding window; 0 for none [token].

    Returns:
        Mean and largest number of blocks, at least one [1].
    """
    own = np.maximum(np.ceil(np.asarray(tokens, dtype=float) / BLOCK), 1.0)
    before = np.ceil(np.asarray(prefix_tokens, dtype=float) / BLOCK)
    window_tokens = np.asarray(window_tokens, dtype=float)
    limit = np.where(window_tokens > 0.0, np.ceil(np.maximum(window_tokens, 1.0) / BLOCK) + 1.0, np.inf)
    most = np.minimum(limit, own + before)
    # Tile i of `own` meets min(before + i, limit) blocks: a ramp of `rising` tiles, then a plateau.
    rising = np.clip(most - before, 0.0, own)
    ramp = rising * (np.minimum(before, most) + 0.5 * (rising + 1.0))
    return np.asarray((ramp + (own - rising) * most) / own), np.asarray(most)


def _span(context: ArrayLike, window_tokens: ArrayLike) -> Array:
    context, window_tokens = np.asarray(context, dtype=float), np.asarray(window_tokens, dtype=float)
    return np.where(window_tokens > 0.0, np.minimum(context, window_tokens), context)
