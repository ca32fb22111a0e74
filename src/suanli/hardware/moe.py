"""Time of the experts of a mixture-of-experts layer: routing statistics and the grouped GEMM over them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.formats import NumberFormat, number_format
from suanli.hardware.laws import cut_down_efficiency, p_norm

Array = NDArray[np.float64]

TILE_ROWS = (8, 16, 32, 64, 128)
# Quantile classes by which the popularity of experts is integrated.
_CLASSES = 16
# Beyond this many tiles per expert the rounding up is its mean, half a tile.
_TILES_COUNTED = 6


@dataclass(frozen=True, slots=True)
class ExpertLoad:
    """What one rank's experts get in one layer.

    Attributes:
        assignments: (token, expert) pairs that the rank computes [1].
        experts: distinct experts hit, whose weights are read [1].
        tiles: row tiles over all experts, one array per tile height of TILE_ROWS [1].
    """

    assignments: Array
    experts: Array
    tiles: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class MoeCoefficients:
    """How a grouped GEMM with its permutation and activation uses a chip.

    Attributes:
        launch_s: fixed time of all its kernels [s].
        memory_efficiency: reachable share of the memory bandwidth for weights [1].
        compute_efficiency: reachable share of the peak [1].
        overlap: q - 1 of the p-norm that joins compute and weights [1].
        tile_overhead_rows: fixed cost of a tile, as rows [1].
        activation_efficiency: reachable share of the memory bandwidth for activations [1].
        token_s: time per token that enters routing [s].
        expert_s: time per distinct expert [s].
        reference_flop_per_s: peak of one processor where the efficiency was fitted; 0 leaves it as it is [FLOP/s].
    """

    launch_s: float = 30e-6
    memory_efficiency: float = 0.85
    compute_efficiency: float = 0.5
    overlap: float = 1.0
    tile_overhead_rows: float = 16.0
    activation_efficiency: float = 0.5
    token_s: float = 1e-9
    expert_s: float = 0.0
    reference_flop_per_s: float = 0.0


def balanced_load(tokens: ArrayLike, topk: ArrayLike, experts: ArrayLike, ranks: ArrayLike = 1) -> ExpertLoad:
    """Load of a rank when assignments go round all experts in turn: the best case.

    Args:
        tokens: tokens that enter routing, over all ranks that share the experts [token].
        topk: experts per token [1].
        experts: experts in the layer [1].
        ranks: ranks that the experts are spread over [1].

    Returns:
        The load of one rank.
    """
    local = _array(experts) / _array(ranks)
    pairs = np.ceil(_array(tokens) * _array(topk) / _array(ranks))
    whole = np.floor(pairs / local)
    more = pairs - whole * local
    tiles = tuple(
        np.asarray((local - more) * np.ceil(whole / rows) + more * np.ceil((whole + 1.0) / rows))
        for rows in TILE_ROWS
    )
    return ExpertLoad(np.asarray(pairs), np.asarray(np.minimum(pairs, local)), tiles)


def expected_load(
    tokens: ArrayLike,
    topk: ArrayLike,
    experts: ArrayLike,
    ranks: ArrayLike = 1,
    skew: float = 0.0,
    imbalance: ArrayLike = 1.0,
) -> ExpertLoad:
    """Expected load of a rank when each token draws its experts at random.

    An expert of popularity p gets a binomial number n of T tokens: it is hit with probability 1 - (1 - p)^T and needs
    E[ceil(n/rows)] = sum over j of P(n > j rows) tiles, with P from a logistic approximation of the normal law. The
    popularities are k/E times a lognormal variable of mean 1.

    Args:
        tokens: T, tokens that enter routing, over all ranks that share the experts [token].
        topk: k, experts per token [1].
        experts: E, experts in the layer [1].
        ranks: ranks that the experts are spread over [1].
        skew: sigma of the lognormal popularity; 0 is uniform [1].
        imbalance: load of this rank over the mean, e.g. from `hottest_rank` [1].

    Returns:
        The load of one rank.
    """
    tokens = _array(tokens)[..., None]
    local = np.asarray(_array(experts) / _array(ranks))
    base = np.asarray(_array(topk) / _array(experts) * _array(imbalance))[..., None]
    chance = np.minimum(base * _popularity(skew), 1.0)
    missed = (1.0 - chance) ** tokens
    hit = 1.0 - missed
    mean = np.divide(tokens * chance, hit, out=np.ones_like(hit), where=hit > 0.0)
    spread = np.sqrt(np.maximum(tokens * chance * (1.0 - chance), 1e-12))
    tiles = tuple(
        np.asarray(local * np.mean(hit * _tiles(mean, spread, rows), axis=-1)) for rows in TILE_ROWS
    )
    return ExpertLoad(
        assignments=np.asarray(local * np.mean(tokens * chance, axis=-1)),
        experts=np.asarray(local * np.mean(hit, axis=-1)),
        tiles=tiles,
    )


def hottest_rank(
    tokens: ArrayLike, topk: ArrayLike, experts: ArrayLike, ranks: int, skew: float = 0.0
) -> Array:
    """Expected load of the hottest of `ranks` ranks over the mean, for experts placed at random.

    Formula: 1 + z sqrt(1/m + (e^{s^2} - 1) R/E), with m = T k/R assignments per rank and z the expected largest of R
    standard normal variables (Blom's score).

    Args:
        tokens: T, tokens that enter routing, over all ranks [token].
        topk: k, experts per token [1].
        experts: E, experts in the layer [1].
        ranks: R [1].
        skew: s, sigma of the lognormal popularity of experts [1].

    Returns:
        Imbalance, at least 1 and at most R [1].

    Reference:
        G. Blom, Statistical Estimates and Transformed Beta-Variables, 1958 (scores of order statistics).
    """
    if ranks <= 1:
        return np.ones(np.broadcast_shapes(np.shape(tokens), np.shape(topk), np.shape(experts)))
    score = NormalDist().inv_cdf((ranks - 0.375) / (ranks + 0.25))
    mean = _array(tokens) * _array(topk) / ranks
    relative = 1.0 / mean + np.expm1(skew**2) * ranks / _array(experts)
    return np.asarray(np.clip(1.0 + score * np.sqrt(relative), 1.0, ranks))


def expert_bytes(hidden: ArrayLike, inter: ArrayLike, dtype: str | NumberFormat, gated: bool = True) -> Array:
    """Bytes of one expert's weights: 3 (gate, up, down) or 2 matrices of hidden x inter.

    Args:
        hidden: model width [1].
        inter: width of the expert on this rank [1].
        dtype: number format of the weights.
        gated: whether the expert has a gate.

    Returns:
        Bytes [byte].
    """
    form = number_format(dtype) if isinstance(dtype, str) else dtype
    return np.asarray((3.0 if gated else 2.0) * _array(hidden) * _array(inter) * form.weight_bytes)


def moe_time_s(
    load: ExpertLoad,
    tokens: ArrayLike,
    hidden: ArrayLike,
    inter: ArrayLike,
    dtype: str | NumberFormat,
    chip: OperatorChip,
    coefficients: MoeCoefficients,
    gated: bool = True,
) -> Array:
    """Time of a rank's experts: permutation, grouped GEMMs, activation, un-permutation.

    With f = 2 x (3 or 2) x hidden x inter flops per assignment::

        C = min over tile heights h of tiles(h) (h + h0) f/(P e_c);   M = experts x weight bytes/(W e_m)
        t = launch + (C^q + M^q)^(1/q) + activation bytes/(W e_a) + tokens x token + experts x expert

    Args:
        load: what the rank's experts get (the hottest rank decides the layer).
        tokens: tokens that enter routing on this rank [token].
        hidden: model width [1].
        inter: width of an expert on this rank (after tensor parallelism) [1].
        dtype: number format.
        chip: peaks and bandwidth.
        coefficients: of the kernel.
        gated: whether experts have a gate (SwiGLU) or not.

    Returns:
        Time [s], broadcast over the arguments.

    Raises:
        InfeasibleError: the chip has no peak for the format.
    """
    c = coefficients
    form = number_format(dtype) if isinstance(dtype, str) else dtype
    hidden, inter = _array(hidden), _array(inter)
    matrices = 3.0 if gated else 2.0
    peak = chip.peak(form)
    rate = peak * cut_down_efficiency(c.compute_efficiency, peak / chip.processors, c.reference_flop_per_s)
    flops = 2.0 * matrices * hidden * inter
    rows: Array | None = None
    for height, tiles in zip(TILE_ROWS, load.tiles, strict=True):
        padded = tiles * (height + np.asarray(c.tile_overhead_rows))
        rows = padded if rows is None else np.minimum(rows, padded)
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s)
    weights = load.experts * expert_bytes(hidden, inter, form, gated) / (bandwidth * c.memory_efficiency)
    grouped = p_norm(np.asarray(rows) * flops / rate, weights, 1.0 + c.overlap)
    moved = 2.0 * load.assignments * (2.0 * hidden + matrices * inter) + 4.0 * _array(tokens) * hidden
    rest = moved / (bandwidth * c.activation_efficiency)
    return np.asarray(c.launch_s + grouped + rest + _array(tokens) * c.token_s + load.experts * c.expert_s)


def _popularity(skew: float) -> Array:
    """Mean-one lognormal popularity at the middle of equal classes; one class where there is no skew."""
    if skew == 0.0:
        return np.ones(1)
    normal = NormalDist()
    scores = np.array([normal.inv_cdf((i + 0.5) / _CLASSES) for i in range(_CLASSES)])
    weights = np.exp(skew * scores)
    return np.asarray(weights / weights.mean())


def _tiles(mean: Array, spread: Array, rows: int) -> Array:
    """Expected tiles of an expert that is hit: 1 + sum of P(n > j rows), or mean/rows + (1 - 1/rows)/2 far out."""
    counted = np.ones(np.broadcast_shapes(mean.shape, spread.shape))
    for j in range(1, _TILES_COUNTED + 1):
        reach = (j * rows + 0.5 - mean) * 1.702 / spread
        counted = counted + 1.0 / (1.0 + np.exp(np.clip(reach, -40.0, 40.0)))
    far = mean / rows + 0.5 * (1.0 - 1.0 / rows)
    return np.where(mean > (_TILES_COUNTED - 1) * rows, np.maximum(far, 1.0), counted)


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
