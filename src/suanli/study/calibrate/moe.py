"""Experts of a mixture of experts: the collector's routing, what is read from the tables, and what is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.errors import UnknownIdError
from suanli.hardware.formats import number_format
from suanli.hardware.moe import TILE_ROWS, ExpertLoad, MoeCoefficients, balanced_load, moe_time_s
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.fit import Model, Parameter
from suanli.study.calibrate.gemm import rate
from suanli.study.calibrate.samples import Samples
from suanli.study.calibrate.tables import Columns, Table, combinations, part, read, tables, take

Array = NDArray[np.float64]

# Rows kept of a group: routing has to be reproduced for each, and 300,000 would be no better.
ROWS_KEPT = 12000
# A table that is not describable: eager code of an early version.
BROKEN = (("vllm", "0.19.0", "mxfp4_wo"),)
_SEEDS = 4
_COLUMNS = (
    "kernel_source",
    "moe_dtype",
    "num_tokens",
    "hidden_size",
    "inter_size",
    "topk",
    "num_experts",
    "moe_tp_size",
    "moe_ep_size",
    "distribution",
    "latency",
)
# Parts of the collector's kernel names, in the order of the test, and the kernel family they stand for.
_KERNELS = (
    ("nongated", "cutlass_nongated"),
    ("marlin", "marlin"),
    ("min_latency", "min_latency"),
    ("triton", "triton"),
    ("cutlass", "cutlass"),
    ("trtllm", "trtllm"),
    ("deepgemm", "deepgemm"),
    ("vllm_fused_moe", "triton"),
)

_PARAMETERS = (
    Parameter("moe.launch_s", 30e-6, 1e-6, 120e-6),
    Parameter("moe.memory_efficiency", 0.85, 0.1, 1.0),
    Parameter("moe.compute_efficiency", 0.5, 0.03, 1.0),
    Parameter("moe.overlap", 1.0, 0.05, 6.0),
    Parameter("moe.tile_overhead_rows", 16.0, 0.0, 128.0),
    Parameter("moe.activation_efficiency", 0.5, 0.03, 1.0),
    Parameter("moe.token_s", 1e-9, 0.0, 200e-9),
    Parameter("moe.expert_s", 0.02e-6, 0.0, 2e-6),
)


def predict(samples: Samples, values: Mapping[str, float]) -> Array:
    """Time of the experts on the rank that the collector times [s]."""
    s = samples.shape
    load = ExpertLoad(s["assignments"], s["experts_hit"], tuple(s[f"tiles_{rows}"] for rows in TILE_ROWS))
    coefficients = MoeCoefficients(**part(values, "moe"))
    gated = not samples.kernel.endswith("nongated")
    return moe_time_s(
        load, s["tokens"], s["hidden"], s["inter"], samples.dtype, samples.machine, coefficients, gated=gated
    )


# Over kernels of several designs the fixed cost of a tile trades against the efficiencies and runs to its bound, which
# a chip of another rate pays many times over: one MMA tile of 16 rows at most.
_POOLED = tuple(
    one._replace(high=16.0) if one.name == "moe.tile_overhead_rows" else one for one in _PARAMETERS
)
MODEL = Model("moe", _PARAMETERS, predict, rate=rate, pooled=_POOLED)


def kernel_family(name: str, dtype: str) -> str:
    """Return the kernel family that a collector's kernel name stands for."""
    for piece, family in _KERNELS:
        if piece in name:
            return family
    return "trtllm" if dtype == "w4a8_mxfp4" else "cutlass"


def samples(folder: Path) -> Iterator[Samples]:
    """Yield expert groups, the latest version of each (chip, framework, format, kernel)."""
    latest: dict[tuple[str, str, str, str], tuple[Table, Columns, int]] = {}
    newest: dict[tuple[str, str], str] = {}
    for table in tables(folder, "moe", "moe_perf.parquet"):
        newest[table.chip.id, table.framework] = table.version
        for (dtype, kernel), (rows, count) in _groups(table, read(table.path, _COLUMNS)).items():
            latest[table.chip.id, table.framework, dtype, kernel] = (table, rows, count)
    for (chip, framework, dtype, kernel), (table, rows, count) in latest.items():
        yield Samples(
            operator="moe",
            chip=chip,
            family=table.chip.family,
            dtype=dtype,
            framework=framework,
            kernel=kernel,
            shape=_shape(rows),
            time_s=rows["latency"].astype(float) * 1e-3,
            machine=operator_chip(chip),
            source=table.source,
            fixed={},
            weight=count * (1.0 if newest[chip, framework] == table.version else 0.5),
        )


def _groups(table: Table, columns: Columns) -> dict[tuple[str, str], tuple[Columns, int]]:
    members: dict[tuple[str, str], list[NDArray[np.intp]]] = {}
    for (source, form), index in combinations(columns, ("kernel_source", "moe_dtype")):
        try:
            dtype = number_format(form).name
        except UnknownIdError:
            continue
        if (table.framework, table.version, dtype) not in BROKEN:
            members.setdefault((dtype, kernel_family(source, dtype)), []).append(index)
    found = {}
    for names, parts in members.items():
        index = np.concatenate(parts)
        count = index.size
        if index.size > ROWS_KEPT:
            index = np.random.default_rng(3).permutation(index)[:ROWS_KEPT]
        found[names] = (take(columns, np.sort(index)), count)
    return found


def _shape(rows: Columns) -> dict[str, Array]:
    tokens, topk, experts, ranks = (
        rows[name].astype(float) for name in ("num_tokens", "topk", "num_experts", "moe_ep_size")
    )
    even = balanced_load(tokens, topk, experts, ranks)
    stats = np.stack([even.assignments, even.experts, *even.tiles], axis=1)
    keys = np.stack([tokens, topk, experts, ranks], axis=1).astype(int)
    for (name,), here in combinations(rows, ("distribution",)):
        if name.startswith("power_law_"):
            alpha = float(name.removeprefix("power_law_"))
            stats[here] = [_power_law_load(*key, alpha) for key in keys[here].tolist()]
    shape = {
        "tokens": tokens,
        "hidden": rows["hidden_size"].astype(float),
        "inter": rows["inter_size"].astype(float) / rows["moe_tp_size"],
        "assignments": stats[:, 0],
        "experts_hit": stats[:, 1],
    }
    return shape | {f"tiles_{height}": stats[:, 2 + column] for column, height in enumerate(TILE_ROWS)}


@lru_cache(maxsize=100_000)
def _power_law_load(tokens: int, topk: int, experts: int, ranks: int, alpha: float) -> Array:
    return power_law_load(tokens, topk, experts, ranks, alpha)


def power_law_load(tokens: int, topk: int, experts: int, ranks: int, alpha: float) -> Array:
    """Load of the hottest rank under the collector's power law, averaged over a few draws.

    Each expert's share follows a density x^-alpha on [1, 0.8 T] ([0.01, 2] where there are fewer assignments than
    experts); shares are scaled to T k assignments, rounded, and the rank with most assignments is timed.

    Args:
        tokens: T, tokens that enter routing [token].
        topk: k, experts per token [1].
        experts: experts in the layer [1].
        ranks: ranks that the experts are spread over [1].
        alpha: exponent of the density [1].

    Returns:
        Assignments, distinct experts, and row tiles per height of TILE_ROWS [1].

    Reference:
        aiconfigurator, collector of MoE kernels (power-law router logits), Apache-2.0.
    """
    rng = np.random.default_rng([tokens, topk, experts, ranks, round(alpha * 100)])
    total = tokens * topk
    low, high = (1.0, max(0.8 * tokens, 1.0 + 1e-9)) if total > experts else (0.01, 2.0)
    u = rng.random((_SEEDS, experts))
    power = 1.0 - alpha
    share = ((high**power - low**power) * u + low**power) ** (1.0 / power)
    counts = np.rint(share / share.sum(axis=1, keepdims=True) * total)
    counts = np.minimum(counts, tokens)
    _settle(counts, total)
    by_rank = counts.reshape(_SEEDS, ranks, experts // ranks)
    hottest = by_rank[np.arange(_SEEDS), by_rank.sum(axis=2).argmax(axis=1)]
    tiles = [np.ceil(hottest / height).sum(axis=1) for height in TILE_ROWS]
    columns = [hottest.sum(axis=1), (hottest > 0).sum(axis=1), *tiles]
    return np.asarray(np.mean(np.stack(columns, axis=1), axis=0))


def _settle(counts: Array, total: int) -> None:
    """Give or take single assignments, the most loaded experts first, until each draw adds up to the total."""
    order = np.argsort(-counts, axis=1)
    for draw, rank in zip(counts, order, strict=True):
        missing = int(total - draw.sum())
        step = 1 if missing > 0 else -1
        while missing:
            chosen = rank[draw[rank] > 0][: abs(missing)] if step < 0 else rank[: abs(missing)]
            draw[chosen] += step
            missing -= step * chosen.size
