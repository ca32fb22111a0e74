"""Dense GEMM: what is read from the tables and what is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.formats import number_format
from suanli.hardware.gemm import GemmCoefficients, QuantiseCoefficients, gemm_time_s, quantise_time_s
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.fit import Model, Parameter
from suanli.study.calibrate.samples import Samples
from suanli.study.calibrate.tables import combinations, floats, part, read, tables, take

Array = NDArray[np.float64]

# The collector rotates through this many weights, so that small ones stay in a large last-level cache.
WEIGHT_COPIES = 5.0
# The fixed part cannot be told from the memory ramp and the quantise operator's launch; one value for all.
LAUNCH_S = 1e-6
# Launch-bound eager code: 58-270 us whatever the shape.
BROKEN = (("vllm", "0.24.0", "fp8_block"),)
FORMATS = ("bf16", "fp8", "fp8_block", "nvfp4", "int8", "int4_wo", "int8_wo")
# Only where memory is slow beside the cache (GDDR) does data kept in the cache shorten the time.
_CACHE_FAMILIES = ("ada",)

_GEMM = (
    Parameter("gemm.compute_efficiency", 0.8, 0.15, 1.0),
    Parameter("gemm.memory_efficiency", 0.85, 0.3, 1.0),
    Parameter("gemm.overlap", 1.2, 0.05, 6.0),
    Parameter("gemm.reuse_penalty", 0.05, 0.0, 2.0),
    Parameter("gemm.tile_s", 1.5e-6, 0.0, 10e-6),
    Parameter("gemm.memory_ramp_s", 1.5e-6, 0.0, 10e-6),
    Parameter("gemm.split_s", 3e-6, 0.0, 40e-6),
    Parameter("gemm.k_step_s", 15e-9, 0.0, 80e-9),
    Parameter("gemm.droop", 0.2, 0.0, 0.6),
    Parameter("gemm.l2_share", 1.0, 0.2, 3.0),
    Parameter("gemm.l2_speedup", 2.0, 1.0, 10.0),
    Parameter("quantise.launch_s", 1e-6, 0.0, 15e-6),
    Parameter("quantise.memory_efficiency", 0.5, 0.05, 1.0),
    Parameter("quantise.row_s", 0.5e-9, 0.0, 20e-9),
)
_CACHE = {"gemm.l2_share": 1.0, "gemm.l2_speedup": 1.0}
_NO_QUANTISE = {"quantise.launch_s": 0.0, "quantise.memory_efficiency": 1.0, "quantise.row_s": 0.0}


def predict(samples: Samples, values: Mapping[str, float]) -> Array:
    """Time of GEMM rows as the benchmark loop runs them, quantising included [s]."""
    m, n, k = samples.shape["m"], samples.shape["n"], samples.shape["k"]
    form = number_format(samples.dtype)
    gemm = GemmCoefficients(**part(values, "gemm"))
    time = gemm_time_s(m, n, k, form, samples.machine, gemm, weight_copies=WEIGHT_COPIES)
    if not form.quantised:
        return time
    return time + quantise_time_s(
        m, k, form, samples.machine, QuantiseCoefficients(**part(values, "quantise"))
    )


def rate(samples: Samples) -> Array:
    """Peak of one processor in the rows' format [FLOP/s]."""
    return np.asarray(samples.machine.peak(samples.dtype) / samples.machine.processors)


MODEL = Model("gemm", _GEMM, predict, rate=rate)


def samples(folder: Path) -> Iterator[Samples]:
    """Yield GEMM groups, the latest version of each (chip, framework, format)."""
    latest: dict[tuple[str, str, str], Samples] = {}
    for table in tables(folder, "gemm", "gemm_perf.parquet"):
        columns = read(table.path, ("gemm_dtype", "m", "n", "k", "latency"))
        for (name,), index in combinations(columns, ("gemm_dtype",)):
            dtype = number_format(name).name
            if dtype not in FORMATS or (table.framework, table.version, dtype) in BROKEN:
                continue
            rows = take(columns, index)
            latest[table.chip.id, table.framework, dtype] = Samples(
                operator="gemm",
                chip=table.chip.id,
                family=table.chip.family,
                dtype=dtype,
                framework=table.framework,
                kernel="*",
                shape=floats(rows, ("m", "n", "k")),
                time_s=rows["latency"].astype(float) * 1e-3,
                machine=operator_chip(table.chip.id),
                source=table.source,
                fixed=_given(dtype, table.chip.family),
                weight=float(index.size),
            )
    yield from latest.values()


def _given(dtype: str, family: str) -> dict[str, float]:
    given = {"gemm.launch_s": LAUNCH_S}
    if family not in _CACHE_FAMILIES:
        given |= _CACHE
    if not number_format(dtype).quantised:
        given |= _NO_QUANTISE
    return given
