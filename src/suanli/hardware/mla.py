"""Time of multi-head latent attention (MLA): absorbed decode against the latent cache, and prefill.

DeepSeek-V2/V3 keep one latent of 512 values and one rotary key of 64 per token, shared by all heads. Decode absorbs the
up-projections into query and output, so that every head attends to the same 576 values; prefill expands keys (192) and
values (128) per head, or absorbs as well, depending on the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware.attention import BLOCK, causal_blocks
from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.formats import number_format
from suanli.hardware.laws import cold_share, cut_down_efficiency, drooped, half_wave, p_norm

Array = NDArray[np.float64]
_L2_STEEPNESS = 6.0


@dataclass(frozen=True, slots=True)
class LatentShape:
    """Dimensions of MLA (DeepSeek-V3 unless given): latent rank, rotary part, and key and value part of a head."""

    latent: int = 512
    rope: int = 64
    nope: int = 128
    value: int = 128


DEEPSEEK = LatentShape()


@dataclass(frozen=True, slots=True)
class MlaDecodeCoefficients:
    """How an MLA decode kernel uses a chip.

    Attributes:
        launch_s: fixed time [s].
        depth_s: time per doubling of the context [s].
        memory_efficiency: reachable share of the memory bandwidth [1].
        compute_efficiency: reachable share of the peak [1].
        overlap: q - 1 of the norm that joins memory, compute and pieces [1].
        piece_s: fixed time of one (request, block of heads) piece on one processor [s].
        head_block: heads that a tile holds; fewer are padded [1].
        chunk_tokens: tokens that one processor takes at least when a context is cut [token].
        l2_share: share of the last-level cache that keeps the latent cache between repetitions [1].
        l2_gain: bandwidth of that cache over memory's, less one [1].
    """

    launch_s: float = 11e-6
    depth_s: float = 1e-6
    memory_efficiency: float = 0.9
    compute_efficiency: float = 0.8
    overlap: float = 0.7
    piece_s: float = 6e-6
    head_block: float = 64.0
    chunk_tokens: float = 64.0
    l2_share: float = 0.6
    l2_gain: float = 1.5


@dataclass(frozen=True, slots=True)
class MlaPrefillCoefficients:
    """How an MLA prefill kernel uses a chip.

    Attributes:
        launch_s: fixed time [s].
        memory_efficiency: reachable share of the memory bandwidth [1].
        compute_efficiency: reachable share of the BF16 peak at boost clock [1].
        overlap: q - 1 of the p-norm that joins compute and memory [1].
        tile_s: prologue and epilogue of a tile of 128 query rows [s].
        block_s: latency of one block of 128 keys along the longest tile [s].
        absorbed: 1 where the kernel attends to the latent, 0 where keys and values are expanded per head [1].
        droop: rise of compute time when the kernel is long enough for the power limit to act [1].
        l2_share: share of the last-level cache that keeps operands between repetitions [1].
        l2_speedup: bandwidth of that cache over memory's [1].
        reference_flop_per_s: peak of one processor where the efficiency was fitted; 0 leaves it as it is [FLOP/s].
    """

    launch_s: float = 12e-6
    memory_efficiency: float = 0.6
    compute_efficiency: float = 0.6
    overlap: float = 0.2
    tile_s: float = 1.5e-6
    block_s: float = 1e-6
    absorbed: float = 0.0
    droop: float = 0.1
    l2_share: float = 1.0
    l2_speedup: float = 1.0
    reference_flop_per_s: float = 0.0


def mla_decode_time_s(
    batch: ArrayLike,
    context: ArrayLike,
    heads: ArrayLike,
    kv_dtype: str,
    chip: OperatorChip,
    coefficients: MlaDecodeCoefficients,
    shape: LatentShape = DEEPSEEK,
    query_tokens: ArrayLike = 1,
    warm: bool = False,
) -> Array:
    """Time of one decode step's absorbed MLA over the latent cache of a layer.

    With H = heads padded to the kernel's block and p = min(1, pieces/SM) the share of processors at work::

        M = (cache/p + rest)/(W e_m);   C = 2 b H s (latent + rope + latent)/(P e_c p);   U = b H/block/SM piece
        t = launch + depth log2(1 + s/128) + (C^q + M^q + U^q)^(1/q)

    Args:
        batch: requests [1].
        context: s, tokens in the cache per request [token].
        heads: query heads on this chip [1].
        kv_dtype: number format of the latent cache.
        chip: peaks, bandwidth and processors.
        coefficients: of the kernel.
        shape: dimensions of the latent attention.
        query_tokens: tokens of a request that attend in one step [token].
        warm: as a benchmark that repeats one layer, where the cache may stay in the last-level cache.

    Returns:
        Time [s], broadcast over the arguments.

    Reference:
        DeepSeek-AI, "DeepSeek-V2", arXiv:2405.04434, section 2.1.
    """
    c = coefficients
    batch, context = np.asarray(batch, dtype=float), np.asarray(context, dtype=float)
    rows = np.asarray(heads, dtype=float) * np.asarray(query_tokens, dtype=float)
    key, out = shape.latent + shape.rope, shape.latent
    blocks = np.ceil(rows / c.head_block)
    cache = batch * context * key * number_format(kv_dtype).weight_bytes
    other = 2.0 * batch * rows * (key + out)
    kept = np.asarray(1.0)
    if warm:
        cold = cold_share(cache + other, chip.l2_bytes, c.l2_share, _L2_STEEPNESS)
        kept = cold + (1.0 - cold) / (1.0 + c.l2_gain)
    processors = chip.processors
    pieces = np.maximum(batch * context / c.chunk_tokens, batch) * blocks
    busy = np.minimum(pieces / processors, 1.0)
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s) * c.memory_efficiency
    memory = kept * (cache / busy + other) / bandwidth
    flops = 2.0 * batch * blocks * c.head_block * context * (key + out)
    compute = flops / (_peak(chip, kv_dtype) * c.compute_efficiency * busy)
    piece = batch * blocks / processors * c.piece_s
    q = 1.0 + c.overlap
    work = p_norm(p_norm(compute, memory, q), piece, q)
    return np.asarray(c.launch_s + c.depth_s * np.log2(1.0 + context / BLOCK) + work)


def mla_prefill_time_s(
    batch: ArrayLike,
    tokens: ArrayLike,
    heads: ArrayLike,
    chip: OperatorChip,
    coefficients: MlaPrefillCoefficients,
    shape: LatentShape = DEEPSEEK,
    prefix_tokens: ArrayLike = 0,
    warm: bool = False,
    phase_s: ArrayLike = 0.0,
) -> Array:
    """Time of causal MLA of `tokens` new tokens per request behind `prefix_tokens` cached ones, BF16.

    As `attention.attention_prefill_time_s` with keys of 192 and values of 128 per head, or, where the kernel absorbs,
    keys of 576 and values of 512 that all heads share (tiles then hold rows of several heads).

    Args:
        batch: requests [1].
        tokens: new tokens per request [token].
        heads: query heads on this chip [1].
        chip: peaks, bandwidth and processors.
        coefficients: of the kernel.
        shape: dimensions of the latent attention.
        prefix_tokens: tokens already in the cache [token].
        warm: as a benchmark that repeats one layer.
        phase_s: duration of the compute-bound phase around it, for the droop; its own if longer [s].

    Returns:
        Time [s], broadcast over the arguments.
    """
    c = coefficients
    batch, tokens, heads = (np.asarray(v, dtype=float) for v in (batch, tokens, heads))
    absorbed = np.asarray(c.absorbed) > 0.5
    wide = 2.0 * shape.latent + shape.rope
    narrow = float(shape.nope + shape.rope + shape.value)
    tiles = batch * np.where(absorbed, np.ceil(heads * tokens / BLOCK), heads * np.ceil(tokens / BLOCK))
    mean, most = causal_blocks(tokens, prefix_tokens)
    processors = chip.processors
    flops = 2.0 * BLOCK * BLOCK * np.where(absorbed, wide, narrow) * mean
    rate = chip.peak("bf16") / processors
    efficiency = cut_down_efficiency(c.compute_efficiency, rate, c.reference_flop_per_s)
    one = flops / (rate * efficiency) + c.tile_s
    compute = drooped(half_wave(tiles, processors) * one, c.droop, rate, c.reference_flop_per_s, phase_s)
    keys = tokens + np.asarray(prefix_tokens, dtype=float)
    shared = tokens * heads * wide + keys * (shape.latent + shape.rope)
    expanded = (tokens + keys) * heads * narrow
    moved = 2.0 * batch * np.where(absorbed, shared, expanded)
    if warm:
        cold = cold_share(moved, chip.l2_bytes, c.l2_share)
        moved = moved * (cold + (1.0 - cold) / c.l2_speedup)
    memory = moved / (np.asarray(chip.memory_bandwidth_bytes_per_s) * c.memory_efficiency)
    return np.asarray(c.launch_s + c.block_s * most + p_norm(compute, memory, 1.0 + c.overlap))


def _peak(chip: OperatorChip, kv_dtype: str) -> Array:
    has_fp8 = "fp8" in chip.peak_flop_per_s
    return chip.peak("fp8" if has_fp8 and number_format(kv_dtype).weight_bytes < 1.5 else "bf16")
