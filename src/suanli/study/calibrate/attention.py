"""Attention with grouped queries: what is read from the tables and what is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.attention import (
    AttentionDecodeCoefficients,
    AttentionPrefillCoefficients,
    attention_decode_time_s,
    attention_prefill_time_s,
)
from suanli.hardware.formats import number_format
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.fit import Model, Parameter
from suanli.study.calibrate.gemm import rate
from suanli.study.calibrate.samples import Samples
from suanli.study.calibrate.tables import Columns, Table, combinations, part, read, tables, take

Array = NDArray[np.float64]

# The collector's kernel names, and the kernel family they stand for.
KERNELS = {
    "flash_attention": "fa2",
    "vllm_flash_attn": "fa2",
    "vllm_flash_attn_fa2": "fa2",
    "fa3": "fa3",
    "vllm_flash_attn_fa3": "fa3",
    "vllm_flash_attn_fa4": "fa4",
    "torch_flow": "trtllm",
    "trtllm_mha": "trtllm",
    "vllm_flashinfer_trtllmdecode": "trtllm",
    "vllm_flashinfer_trtllmprefill": "trtllm",
    "flashinfer": "flashinfer",
    "torch_flow_flashinfer": "flashinfer",
    "vllm_flashinfer": "flashinfer",
    "vllm_flashinfer_fidecode": "flashinfer",
    "vllm_flashinfer_fiprefill": "flashinfer",
    "triton": "triton",
    "vllm_triton_attn": "triton",
}
# An older table whose kernel differs from every other row of that name.
BROKEN = (("vllm", "0.22.0"),)
_CACHE_FAMILIES = ("ada",)
_COLUMNS = (
    "kernel_source",
    "attn_dtype",
    "kv_cache_dtype",
    "batch_size",
    "isl",
    "step",
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "window_size",
    "latency",
)

_DECODE = (
    Parameter("attention_decode.launch_s", 8e-6, 1e-6, 30e-6),
    Parameter("attention_decode.depth_s", 0.5e-6, 0.0, 3e-6),
    Parameter("attention_decode.memory_efficiency", 0.9, 0.3, 1.0),
    Parameter("attention_decode.compute_efficiency", 0.4, 0.02, 1.0),
    Parameter("attention_decode.overlap", 1.5, 0.1, 6.0),
    Parameter("attention_decode.piece_s", 2e-6, 0.0, 15e-6),
    Parameter("attention_decode.group_exponent", 0.1, 0.0, 1.0),
    Parameter("attention_decode.stream_share", 1.2, 0.5, 4.0),
    Parameter("attention_decode.chunk_tokens", 256.0, 32.0, 2048.0),
    Parameter("attention_decode.l2_share", 0.7, 0.1, 2.0),
    Parameter("attention_decode.l2_gain", 2.0, 0.0, 15.0),
)
_PREFILL = (
    Parameter("attention_prefill.launch_s", 8e-6, 1e-6, 60e-6),
    Parameter("attention_prefill.memory_efficiency", 0.8, 0.2, 1.0),
    Parameter("attention_prefill.compute_efficiency", 0.6, 0.05, 1.0),
    Parameter("attention_prefill.overlap", 0.5, 0.0, 6.0),
    Parameter("attention_prefill.tile_s", 1e-6, 0.0, 20e-6),
    Parameter("attention_prefill.piece_s", 0.1e-6, 0.0, 10e-6),
    Parameter("attention_prefill.head_exponent", 0.3, -1.0, 2.0),
    Parameter("attention_prefill.block_s", 0.3e-6, 0.0, 5e-6),
    Parameter("attention_prefill.droop", 0.1, 0.0, 0.6),
    Parameter("attention_prefill.l2_share", 1.0, 0.3, 2.0),
    Parameter("attention_prefill.l2_speedup", 2.0, 1.0, 15.0),
)


def predict_decode(samples: Samples, values: Mapping[str, float]) -> Array:
    """Time of decode attention rows as the benchmark loop runs them [s]."""
    s = samples.shape
    return attention_decode_time_s(
        s["batch"],
        s["context"],
        s["heads"],
        s["kv_heads"],
        s["head_dim"],
        samples.dtype,
        samples.machine,
        AttentionDecodeCoefficients(**part(values, "attention_decode")),
        window_tokens=s["window"],
        warm=True,
    )


def predict_prefill(samples: Samples, values: Mapping[str, float]) -> Array:
    """Time of prefill attention rows as the benchmark loop runs them [s]."""
    s = samples.shape
    return attention_prefill_time_s(
        s["batch"],
        s["context"],
        s["heads"],
        s["kv_heads"],
        s["head_dim"],
        samples.dtype,
        samples.machine,
        AttentionPrefillCoefficients(**part(values, "attention_prefill")),
        window_tokens=s["window"],
        warm=True,
    )


DECODE = Model("attention_decode", _DECODE, predict_decode)
PREFILL = Model(
    "attention_prefill",
    _PREFILL,
    predict_prefill,
    ({"attention_prefill.packed": 0.0}, {"attention_prefill.packed": 1.0}),
    rate=rate,
)


def decode_samples(folder: Path) -> Iterator[Samples]:
    """Yield decode groups; the number format is the KV cache's."""
    for table in tables(folder, "attention", "generation_attention_perf.parquet"):
        columns = read(table.path, _COLUMNS)
        yield from _groups("attention_decode", table, columns, "kv_cache_dtype", {})


def prefill_samples(folder: Path) -> Iterator[Samples]:
    """Yield prefill groups; the number format is the product's (KV bytes hardly matter here)."""
    for table in tables(folder, "attention", "context_attention_perf.parquet"):
        columns = read(table.path, _COLUMNS)
        given = {}
        if table.chip.family not in _CACHE_FAMILIES:
            given = {"attention_prefill.l2_share": 1.0, "attention_prefill.l2_speedup": 1.0}
        if np.unique(columns["head_dim"]).size == 1:
            given["attention_prefill.head_exponent"] = 0.3
        yield from _groups("attention_prefill", table, columns, "attn_dtype", given)


def _groups(
    operator: str, table: Table, columns: Columns, form: str, given: Mapping[str, float]
) -> Iterator[Samples]:
    if (table.framework, table.version) in BROKEN:
        return
    columns = {"window_size": np.zeros(columns["latency"].size)} | columns
    kernels = [KERNELS.get(str(name), str(name)) for name in columns["kernel_source"].tolist()]
    columns["kernel_source"] = np.array(kernels, dtype=object)
    for (kernel, dtype), index in combinations(columns, ("kernel_source", form)):
        rows = take(columns, index)
        shape = {
            "batch": rows["batch_size"],
            "context": rows["isl"] + rows["step"],
            "heads": rows["num_heads"],
            "kv_heads": rows["num_key_value_heads"],
            "head_dim": rows["head_dim"],
            "window": rows["window_size"],
        }
        yield Samples(
            operator=operator,
            chip=table.chip.id,
            family=table.chip.family,
            dtype=number_format(dtype).name,
            framework=table.framework,
            kernel=kernel,
            shape={key: values.astype(float) for key, values in shape.items()},
            time_s=rows["latency"].astype(float) * 1e-3,
            machine=operator_chip(table.chip.id),
            source=table.source,
            fixed=given,
            weight=float(index.size),
        )
