"""Operators against published kernel measurements, a few rows retyped each with its source.

Rows of aiconfigurator are from the half of shapes that judges (never fitted); InferSim's chips H20 and H800 were not
in the fit at all, so they show what the family prior is worth.
"""

from __future__ import annotations

import numpy as np
import pytest

from suanli.catalog import Catalog
from suanli.catalog.calibration import calibration_records
from suanli.hardware.attention import (
    AttentionDecodeCoefficients,
    AttentionPrefillCoefficients,
    attention_decode_time_s,
    attention_prefill_time_s,
)
from suanli.hardware.coefficients import CoefficientTable, OperatorChip
from suanli.hardware.gemm import GemmCoefficients, QuantiseCoefficients, gemm_time_s, quantise_time_s
from suanli.hardware.mla import (
    MlaDecodeCoefficients,
    MlaPrefillCoefficients,
    mla_decode_time_s,
    mla_prefill_time_s,
)
from suanli.hardware.moe import MoeCoefficients, balanced_load, moe_time_s
from suanli.network.calibrated import ExchangeCoefficients, calibrated_s
from suanli.network.collectives import bus_factor

TABLE = CoefficientTable(calibration_records())


def chip(name: str) -> OperatorChip:
    """A chip by its adopted catalogue values."""
    catalog = Catalog()
    found = {key: catalog.get("chips", name, f"peak_{key}") for key in ("bf16", "fp8", "fp4", "int8")}
    link = catalog.get("chips", name, "scale_up_bandwidth_per_direction")
    cache = catalog.get("chips", name, "l2_cache")
    return OperatorChip(
        {key: fact.si for key, fact in found.items() if fact},
        catalog.fact("chips", name, "memory_bandwidth").si,
        catalog.fact("chips", name, "sm_count").si,
        cache.si if cache else 0.0,
        link.si if link else None,
    )


def worst_and_median(pairs):
    errors = np.abs([predicted / (measured * 1e-6) - 1.0 for predicted, measured in pairs])
    return float(errors.max()), float(np.median(errors))


# aiconfigurator h100_sxm/gemm/vllm/0.24.0 (BF16) and b200_sxm/gemm/sglang/0.5.14 (FP8 block): m, n, k, us
GEMM = [
    ("nvidia-h100-sxm", "hopper", "vllm", "bf16", 1, 8192, 8192, 51.64),
    ("nvidia-h100-sxm", "hopper", "vllm", "bf16", 16, 8192, 8192, 46.44),
    ("nvidia-h100-sxm", "hopper", "vllm", "bf16", 2048, 8192, 8192, 366.26),
    ("nvidia-b200-sxm", "blackwell", "sglang", "fp8_block", 1, 4096, 8192, 14.75),
    ("nvidia-b200-sxm", "blackwell", "sglang", "fp8_block", 128, 10240, 4096, 16.37),
    ("nvidia-b200-sxm", "blackwell", "sglang", "fp8_block", 2048, 8192, 8192, 101.27),
]


def test_gemm():
    pairs = []
    for name, family, framework, dtype, m, n, k, measured in GEMM:
        machine = chip(name)
        found = TABLE.coefficients("gemm", name, family, dtype, framework)
        assert found.basis == "calibrated"
        time = gemm_time_s(m, n, k, dtype, machine, found.into(GemmCoefficients), weight_copies=5)
        if dtype != "bf16":
            quantise = TABLE.coefficients("quantise", name, family, dtype, framework).into(
                QuantiseCoefficients
            )
            time = time + quantise_time_s(m, k, dtype, machine, quantise)
        pairs.append((time, measured))
    worst, median = worst_and_median(pairs)
    assert worst < 0.20
    assert median < 0.08


# aiconfigurator h200_sxm/attention/vllm/0.24.0 (fa3, BF16 KV), b200_sxm/attention/trtllm/1.3.0rc20 (FP8 KV), head
# dimension 128: batch, context, heads, KV heads, us
DECODE = [
    ("nvidia-h200-sxm", "hopper", "vllm", "bf16", 1, 8192, 64, 8, 18.52),
    ("nvidia-h200-sxm", "hopper", "vllm", "bf16", 16, 1024, 64, 8, 31.01),
    ("nvidia-h200-sxm", "hopper", "vllm", "bf16", 16, 8192, 64, 8, 150.79),
    ("nvidia-h200-sxm", "hopper", "vllm", "bf16", 16, 8192, 8, 1, 30.33),
    ("nvidia-h200-sxm", "hopper", "vllm", "bf16", 64, 8192, 32, 8, 490.76),
    ("nvidia-b200-sxm", "blackwell", "trtllm", "fp8", 1, 8192, 64, 8, 15.29),
    ("nvidia-b200-sxm", "blackwell", "trtllm", "fp8", 16, 1024, 64, 8, 13.07),
    ("nvidia-b200-sxm", "blackwell", "trtllm", "fp8", 16, 8192, 64, 8, 49.90),
    ("nvidia-b200-sxm", "blackwell", "trtllm", "fp8", 64, 8192, 32, 8, 161.68),
]


def test_attention_decode():
    pairs = []
    for name, family, framework, dtype, batch, context, heads, kv_heads, measured in DECODE:
        found = TABLE.coefficients("attention_decode", name, family, dtype, framework)
        c = found.into(AttentionDecodeCoefficients)
        time = attention_decode_time_s(batch, context, heads, kv_heads, 128, dtype, chip(name), c, warm=True)
        pairs.append((time, measured))
    worst, median = worst_and_median(pairs)
    assert worst < 0.25
    assert median < 0.12


# aiconfigurator h100_sxm/attention/sglang/0.5.14 (fa3, BF16), head dimension 128: batch, tokens, heads, KV heads, us
PREFILL = [
    (1, 1024, 8, 1, 24.05),
    (1, 4096, 32, 8, 253.37),
    (1, 8192, 64, 8, 1770.06),
    (4, 1024, 64, 8, 200.33),
    (4, 4096, 32, 8, 1090.37),
    (4, 8192, 8, 1, 940.73),
]


def test_attention_prefill():
    found = TABLE.coefficients("attention_prefill", "nvidia-h100-sxm", "hopper", "bf16", "sglang")
    c, machine = found.into(AttentionPrefillCoefficients), chip("nvidia-h100-sxm")
    pairs = [
        (attention_prefill_time_s(batch, tokens, heads, kv, 128, "bf16", machine, c, warm=True), measured)
        for batch, tokens, heads, kv, measured in PREFILL
    ]
    worst, median = worst_and_median(pairs)
    assert worst < 0.20
    assert median < 0.12


# aiconfigurator h100_sxm/mla/sglang/0.5.14 (BF16 cache): batch, context, heads, us
MLA = [
    (1, 1024, 16, 16.75),
    (1, 4096, 16, 19.05),
    (32, 4096, 16, 70.40),
    (32, 4096, 128, 92.65),
    (128, 1024, 16, 68.33),
    (128, 4096, 16, 216.49),
]


def test_mla_decode():
    c = TABLE.coefficients("mla_decode", "nvidia-h100-sxm", "hopper", "bf16", "sglang").into(
        MlaDecodeCoefficients
    )
    machine = chip("nvidia-h100-sxm")
    pairs = [
        (mla_decode_time_s(batch, context, heads, "bf16", machine, c, warm=True), measured)
        for batch, context, heads, measured in MLA
    ]
    worst, median = worst_and_median(pairs)
    assert worst < 0.20
    assert median < 0.08


# aiconfigurator h200_sxm/moe/sglang/0.5.14: Triton, FP8 block, balanced, hidden 4096, experts 128 x 1536 on 4 ranks,
# 8 a token: tokens, us
MOE = [(1, 44.4), (16, 182.0), (128, 193.6), (1024, 277.8), (4096, 750.7), (16384, 2632.3)]


def test_moe_experts():
    found = TABLE.coefficients("moe", "nvidia-h200-sxm", "hopper", "fp8_block", "sglang", "triton")
    c, machine = found.into(MoeCoefficients), chip("nvidia-h200-sxm")
    pairs = [
        (moe_time_s(balanced_load(tokens, 8, 128, 4), tokens, 4096, 1536, "fp8_block", machine, c), measured)
        for tokens, measured in MOE
    ]
    worst, median = worst_and_median(pairs)
    assert worst < 0.35
    assert median < 0.15


# aiconfigurator h100_sxm/comm/nccl/2.27.3, FP16: operation, ranks, elements, us
NCCL = [
    ("all_reduce", 8, 8192, 16.58),
    ("all_reduce", 8, 1048576, 38.55),
    ("all_reduce", 8, 33554432, 321.86),
    ("all_gather", 4, 32768, 9.29),
    ("all_gather", 4, 8388608, 65.29),
    ("all_to_all", 8, 33554432, 217.19),
]


def test_nccl():
    pairs = []
    for operation, ranks, elements, measured in NCCL:
        found = TABLE.coefficients(operation, "nvidia-h100-sxm", "hopper", "*", "nccl", f"n{ranks}")
        size = 2.0 * elements
        wire = size * bus_factor(operation, ranks)
        pairs.append((calibrated_s(size, wire, 450e9, found.into(ExchangeCoefficients)), measured))
    worst, median = worst_and_median(pairs)
    assert worst < 0.25
    assert median < 0.08


# alibaba InferSim bench_data/gemm (DeepGEMM FP8 block, H20 and H800): m, n, k, us
INFERSIM_GEMM = {
    "nvidia-h20-96gb": [
        (256, 6656, 2560, 37.359),
        (512, 6656, 5120, 133.567),
        (1024, 9216, 4096, 286.046),
        (8192, 6144, 4096, 1490.0),
        (16384, 10240, 5120, 6143.0),
        (32768, 576, 7168, 1103.0),
    ],
    "nvidia-h800-sxm": [
        (128, 1536, 7168, 11.714),
        (1024, 24576, 1536, 64.069),
        (16384, 576, 7168, 114.532),
        (256, 7168, 16384, 59.319),
        (4096, 4096, 7168, 169.08),
        (64, 7168, 18432, 55.896),
    ],
}


@pytest.mark.parametrize("name", INFERSIM_GEMM)
def test_gemm_on_chips_that_were_not_fitted(name):
    found = TABLE.coefficients("gemm", name, "hopper", "fp8_block", "sglang")
    assert found.basis == "family"
    c, machine = found.into(GemmCoefficients), chip(name)
    pairs = [
        (gemm_time_s(m, n, k, "fp8_block", machine, c), measured) for m, n, k, measured in INFERSIM_GEMM[name]
    ]
    worst, median = worst_and_median(pairs)
    assert worst < 0.35
    assert median < 0.16


# alibaba InferSim bench_data/mla/decode/*/128-512-64.csv, BF16, 128 heads: batch, context, us
INFERSIM_MLA = {
    "nvidia-h800-sxm": [(32, 1024, 39.138), (32, 4096, 85.584), (32, 16384, 270.547), (128, 1024, 96.252)],
    "nvidia-h20-96gb": [(32, 1024, 94.874), (32, 4096, 413.85), (32, 16384, 1712.173)],
}


@pytest.mark.parametrize("name", INFERSIM_MLA)
def test_mla_decode_on_chips_that_were_not_fitted(name):
    c = TABLE.coefficients("mla_decode", name, "hopper", "bf16", "sglang").into(MlaDecodeCoefficients)
    pairs = [
        (mla_decode_time_s(batch, context, 128, "bf16", chip(name), c, warm=True), measured)
        for batch, context, measured in INFERSIM_MLA[name]
    ]
    worst, median = worst_and_median(pairs)
    assert worst < 0.35
    assert median < 0.25


def test_prefill_on_chips_that_were_not_fitted():
    """alibaba InferSim bench_data: mha/prefill/h20/32-8-128.csv and mla/prefill/h800/128-128-64.csv, BF16."""
    gqa = TABLE.coefficients("attention_prefill", "nvidia-h20-96gb", "hopper", "bf16", "sglang", "fa3")
    c, machine = gqa.into(AttentionPrefillCoefficients), chip("nvidia-h20-96gb")
    pairs = [
        (attention_prefill_time_s(1, tokens, 32, 8, 128, "bf16", machine, c, warm=True), measured)
        for tokens, measured in ((1024, 111.51), (4096, 1125.999), (8192, 4155.551), (32768, 63013.976))
    ]
    worst, _ = worst_and_median(pairs)
    assert worst < 0.20
    mla = TABLE.coefficients("mla_prefill", "nvidia-h800-sxm", "hopper", "bf16", "trtllm").into(
        MlaPrefillCoefficients
    )
    pairs = [
        (mla_prefill_time_s(1, tokens, 128, chip("nvidia-h800-sxm"), mla, warm=True), measured)
        for tokens, measured in ((4096, 1104.692), (8192, 4538.828), (16384, 17774.458))
    ]
    worst, median = worst_and_median(pairs)
    assert worst < 0.30
    assert median < 0.15
