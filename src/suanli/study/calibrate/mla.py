"""Multi-head latent attention: what is read from the tables and what is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.formats import number_format
from suanli.hardware.mla import (
    MlaDecodeCoefficients,
    MlaPrefillCoefficients,
    mla_decode_time_s,
    mla_prefill_time_s,
)
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.fit import Model, Parameter
from suanli.study.calibrate.samples import Samples
from suanli.study.calibrate.tables import combinations, part, read, tables, take

Array = NDArray[np.float64]

_DECODE = (
    Parameter("mla_decode.launch_s", 8e-6, 1e-6, 40e-6),
    Parameter("mla_decode.depth_s", 0.5e-6, 0.0, 5e-6),
    Parameter("mla_decode.memory_efficiency", 0.8, 0.1, 1.0),
    Parameter("mla_decode.compute_efficiency", 0.5, 0.02, 0.8),
    Parameter("mla_decode.overlap", 1.5, 0.05, 6.0),
    Parameter("mla_decode.piece_s", 2e-6, 0.0, 60e-6),
    Parameter("mla_decode.chunk_tokens", 128.0, 8.0, 4096.0),
    Parameter("mla_decode.l2_share", 0.7, 0.1, 2.0),
    Parameter("mla_decode.l2_gain", 2.0, 0.0, 15.0),
)
_PREFILL = (
    Parameter("mla_prefill.launch_s", 8e-6, 1e-6, 60e-6),
    Parameter("mla_prefill.memory_efficiency", 0.8, 0.1, 1.0),
    Parameter("mla_prefill.compute_efficiency", 0.6, 0.05, 1.0),
    Parameter("mla_prefill.overlap", 0.5, 0.0, 6.0),
    Parameter("mla_prefill.tile_s", 1e-6, 0.0, 20e-6),
    Parameter("mla_prefill.block_s", 0.1e-6, 0.0, 5e-6),
    Parameter("mla_prefill.droop", 0.1, 0.0, 0.6),
    Parameter("mla_prefill.l2_share", 1.0, 0.3, 2.0),
    Parameter("mla_prefill.l2_speedup", 2.0, 1.0, 15.0),
)


def predict_decode(samples: Samples, values: Mapping[str, float]) -> Array:
    """Time of MLA decode rows as the benchmark loop runs them [s]."""
    s = samples.shape
    found = MlaDecodeCoefficients(**part(values, "mla_decode"))
    return mla_decode_time_s(
        s["batch"], s["context"], s["heads"], samples.dtype, samples.machine, found, warm=True
    )


def predict_prefill(samples: Samples, values: Mapping[str, float]) -> Array:
    """Time of MLA prefill rows as the benchmark loop runs them [s]."""
    s = samples.shape
    found = MlaPrefillCoefficients(**part(values, "mla_prefill"))
    return mla_prefill_time_s(s["batch"], s["context"], s["heads"], samples.machine, found, warm=True)


def bf16_rate(samples: Samples) -> Array:
    """BF16 peak of one processor, at which prefill computes whatever the cache holds [FLOP/s]."""
    return np.asarray(samples.machine.peak("bf16") / samples.machine.processors)


DECODE = Model(
    "mla_decode",
    _DECODE,
    predict_decode,
    tuple({"mla_decode.head_block": size} for size in (16.0, 64.0, 128.0)),
)
PREFILL = Model(
    "mla_prefill",
    _PREFILL,
    predict_prefill,
    tuple({"mla_prefill.absorbed": choice} for choice in (0.0, 1.0)),
    rate=bf16_rate,
)


def decode_samples(folder: Path) -> Iterator[Samples]:
    """Yield MLA decode groups; the number format is the latent cache's."""
    yield from _groups(folder, "mla_decode", "generation_mla_perf.parquet")


def prefill_samples(folder: Path) -> Iterator[Samples]:
    """Yield MLA prefill groups; the number format is the latent cache's (the product is BF16)."""
    yield from _groups(folder, "mla_prefill", "context_mla_perf.parquet")


def _groups(folder: Path, operator: str, file: str) -> Iterator[Samples]:
    names = ("kv_cache_dtype", "batch_size", "isl", "step", "num_heads", "latency")
    for table in tables(folder, "mla", file):
        columns = read(table.path, names)
        for (dtype,), index in combinations(columns, ("kv_cache_dtype",)):
            rows = take(columns, index)
            shape = {
                "batch": rows["batch_size"],
                "context": rows["isl"] + rows["step"],
                "heads": rows["num_heads"],
            }
            yield Samples(
                operator=operator,
                chip=table.chip.id,
                family=table.chip.family,
                dtype=number_format(dtype).name,
                framework=table.framework,
                kernel="*",
                shape={key: values.astype(float) for key, values in shape.items()},
                time_s=rows["latency"].astype(float) * 1e-3,
                machine=operator_chip(table.chip.id),
                source=table.source,
                fixed={},
                weight=float(index.size),
            )
