"""Time of a dense matrix product on a tiled processor, and of quantising its input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.formats import NumberFormat, number_format
from suanli.hardware.laws import cold_share, cut_down_efficiency, drooped, half_wave, p_norm

Array = NDArray[np.float64]

TILES = ((128, 256), (128, 128), (128, 64), (64, 64))
SPLITS = (1, 2, 4, 8, 16)
K_STEP = 64
# Bytes a 128 x 128 tile reads per multiply, relative to a square tile of that size: the reference of the reuse term.
_REUSE_REFERENCE = 128.0 * 256.0 / (128.0 + 256.0)


@dataclass(frozen=True, slots=True)
class GemmCoefficients:
    """How a GEMM kernel family uses a chip.

    Attributes:
        launch_s: fixed time of a kernel inside a graph [s].
        compute_efficiency: reachable share of the peak at boost clock [1].
        memory_efficiency: reachable share of the memory bandwidth [1].
        overlap: q - 1 of the p-norm that joins compute and memory; 0 is serial [1].
        reuse_penalty: loss of small tiles, that read more shared memory per multiply [1].
        tile_s: prologue and epilogue of a tile [s].
        memory_ramp_s: latency before memory streams at full rate [s].
        split_s: cost of a split-K reduction beside its traffic [s].
        k_step_s: latency of one 64-wide step along k that cannot be hidden [s].
        droop: rise of compute time when the kernel is long enough for the power limit to act [1].
        l2_share: share of the last-level cache that keeps operands between repetitions [1].
        l2_speedup: bandwidth of that cache over memory's [1].
        reference_flop_per_s: peak of one processor where the efficiency was fitted; 0 leaves it as it is [FLOP/s].
    """

    launch_s: float = 1.5e-6
    compute_efficiency: float = 0.75
    memory_efficiency: float = 0.83
    overlap: float = 1.3
    reuse_penalty: float = 0.0
    tile_s: float = 1.5e-6
    memory_ramp_s: float = 1.5e-6
    split_s: float = 3e-6
    k_step_s: float = 20e-9
    droop: float = 0.2
    l2_share: float = 1.0
    l2_speedup: float = 1.0
    reference_flop_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class QuantiseCoefficients:
    """How the operator that quantises activations uses a chip.

    Attributes:
        launch_s: fixed time [s].
        memory_efficiency: reachable share of the memory bandwidth [1].
        row_s: time of one row (token) that is not hidden, over all processors [s].
    """

    launch_s: float = 0.5e-6
    memory_efficiency: float = 0.8
    row_s: float = 0.5e-9


def gemm_bytes(m: ArrayLike, n: ArrayLike, k: ArrayLike, dtype: str | NumberFormat) -> Array:
    """Bytes that y = x W touches once: n k weights, m k activations, m n outputs.

    Args:
        m: rows (tokens) [1].
        n: output features [1].
        k: input features [1].
        dtype: number format.

    Returns:
        Bytes [byte].
    """
    form = number_format(dtype) if isinstance(dtype, str) else dtype
    m, n, k = (np.asarray(side, dtype=float) for side in (m, n, k))
    return np.asarray(n * k * form.weight_bytes + m * k * form.activation_bytes + m * n * form.output_bytes)


def gemm_time_s(
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    dtype: str | NumberFormat,
    chip: OperatorChip,
    coefficients: GemmCoefficients,
    weight_copies: float | None = None,
    phase_s: ArrayLike = 0.0,
) -> Array:
    """Time of a dense product of an m x k activation with a k x n weight, quantising of the input not included.

    For each split s of k, with tiles a x b, T = ceil(m/a) ceil(n/b) and w half-waves of T s tiles on SM processors::

        C = min over tiles of w (2 a b ks/(P/SM e) + tile) + kstep ks/64,  e = e_c/(1 + c1 (85.3 (a+b)/(a b) - 1))
        C <- C (1 + droop C/(C + 0.5 ms))
        M = bytes/(W e_m) + ramp + [s > 1] (split + 2 m n s/(W e_m))
        t = launch + min over s of (C^q + M^q)^(1/q)

    Args:
        m: rows (tokens) [1].
        n: output features [1].
        k: input features [1].
        dtype: number format.
        chip: peaks, bandwidth and processors.
        coefficients: of the kernel family.
        weight_copies: how many weights a benchmark loop rotates through (its data may then stay in the last-level
            cache); None, the default, reads everything from memory as serving does [1].
        phase_s: duration of the compute-bound phase around it, for the droop; its own if longer [s].

    Returns:
        Time [s], broadcast over m, n, k and the chip's samples.

    Raises:
        InfeasibleError: the chip has no peak for the format.
    """
    form = number_format(dtype) if isinstance(dtype, str) else dtype
    m, n, k = (np.asarray(side, dtype=float) for side in (m, n, k))
    c = coefficients
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s) * c.memory_efficiency
    moved = gemm_bytes(m, n, k, form)
    if weight_copies is not None:
        loop = moved + (weight_copies - 1.0) * n * k * form.weight_bytes
        cold = cold_share(loop, chip.l2_bytes, c.l2_share)
        moved = moved * (cold + (1.0 - cold) / c.l2_speedup)
    read = moved / bandwidth + c.memory_ramp_s
    best: Array | None = None
    for split in SPLITS:
        compute = _compute_s(m, n, k, split, chip, chip.peak(form), c, phase_s)
        memory = read if split == 1 else read + c.split_s + 2.0 * split * m * n / bandwidth
        time = p_norm(compute, memory, 1.0 + c.overlap)
        best = time if best is None else np.minimum(best, time)
    return np.asarray(c.launch_s + np.asarray(best))


def _compute_s(
    m: Array,
    n: Array,
    k: Array,
    split: int,
    chip: OperatorChip,
    peak: Array,
    c: GemmCoefficients,
    phase_s: ArrayLike,
) -> Array:
    """Compute time of one split of k, the best tile taken."""
    processors = chip.processors
    rate = peak / processors
    steps = np.ceil(k / (split * K_STEP))
    best: Array | None = None
    for height, width in TILES:
        tiles = np.ceil(m / height) * np.ceil(n / width)
        loss = 1.0 + c.reuse_penalty * (_REUSE_REFERENCE * (height + width) / (height * width) - 1.0)
        efficiency = cut_down_efficiency(c.compute_efficiency / loss, rate, c.reference_flop_per_s)
        one = 2.0 * height * width * K_STEP * steps / (rate * efficiency) + c.tile_s
        time = half_wave(tiles * split, processors) * one
        best = time if best is None else np.minimum(best, time)
    compute = np.asarray(best) + c.k_step_s * steps
    return drooped(compute, c.droop, rate, c.reference_flop_per_s, phase_s)


def quantise_time_s(
    m: ArrayLike,
    k: ArrayLike,
    dtype: str | NumberFormat,
    chip: OperatorChip,
    coefficients: QuantiseCoefficients,
) -> Array:
    """Time to quantise an m x k BF16 activation: t = launch + sqrt((m row)^2 + (m k (2 + a)/(W e))^2).

    Args:
        m: rows (tokens) [1].
        k: features [1].
        dtype: number format of the result; a bytes per element [byte].
        chip: bandwidth W [byte/s].
        coefficients: of the quantising kernel.

    Returns:
        Time [s]; 0 where the format does not quantise activations.
    """
    form = number_format(dtype) if isinstance(dtype, str) else dtype
    m, k = np.asarray(m, dtype=float), np.asarray(k, dtype=float)
    if not form.quantised:
        return np.zeros(np.broadcast_shapes(m.shape, k.shape, np.shape(chip.memory_bandwidth_bytes_per_s)))
    c = coefficients
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s) * c.memory_efficiency
    return np.asarray(c.launch_s + np.hypot(m * c.row_s, m * k * (2.0 + form.activation_bytes) / bandwidth))
