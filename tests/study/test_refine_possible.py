"""Timings that a chip cannot reach are told from those that it can."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.study.deployment.solve import Deployments
from suanli.study.refine.kernelrows import KernelRow
from suanli.study.refine.possible import impossible

CHIP = Deployments().chip("nvidia-h200-sxm").operators
# NVIDIA H200 datasheet: 989 TFLOP/s in BF16 without sparsity, 4.8 TB/s.
PEAK, BANDWIDTH = 989e12, 4.8e12


def row(operator: str, time_s: float, dtype: str = "bf16", **shape: float) -> KernelRow:
    return KernelRow(operator, "nvidia-h200-sxm", dtype, "vllm", "*", shape, time_s)


@pytest.mark.parametrize(
    ("operator", "shape", "least_s"),
    [
        ("gemm", {"m": 4096, "n": 4096, "k": 4096}, 2 * 4096**3 / PEAK),
        (
            "attention_prefill",
            {"batch": 1, "context": 32768, "heads": 32, "kv_heads": 8, "head_dim": 128},
            4 * 32768**2 / 2 * 32 * 128 / PEAK,
        ),
        (
            "moe",
            {"tokens": 8192, "hidden": 7168, "inter": 2048, "topk": 8, "experts": 256},
            4 * 8192 * 8 * 7168 * 2048 / PEAK,
        ),
        # 64 requests of 8192 tokens with 8 KV heads: 2 x 2 bytes x 128 each.
        (
            "attention_decode",
            {"batch": 64, "context": 8192, "heads": 64, "kv_heads": 8, "head_dim": 128},
            64 * 8192 * 8 * 128 * 4 / BANDWIDTH,
        ),
        ("mla_decode", {"batch": 256, "context": 8192, "heads": 16}, 256 * 8192 * 576 * 2 / BANDWIDTH),
    ],
)
def test_less_than_the_roofline_is_refused(operator: str, shape: dict[str, float], least_s: float) -> None:
    assert impossible(row(operator, least_s * 1.01, **shape), CHIP) == ""
    told = impossible(row(operator, least_s / 1.6, **shape), CHIP)
    assert operator in told and "nvidia-h200-sxm reaches" in told and "\n" not in told


def test_operands_in_a_cache_may_be_faster_than_memory() -> None:
    small = {"m": 1, "n": 4096, "k": 4096}
    moved = 2 * 4096**2
    assert impossible(row("gemm", moved / BANDWIDTH / 3.0, **small), CHIP) == ""
    assert "TB/s" in impossible(row("gemm", moved / BANDWIDTH / 20.0, **small), CHIP)


def test_a_format_is_judged_by_its_own_peak() -> None:
    shape = {"m": 8192, "n": 8192, "k": 8192}
    time_s = 2 * 8192**3 / (1.5 * PEAK)
    assert "TFLOP/s" in impossible(row("gemm", time_s, **shape), CHIP)
    assert impossible(row("gemm", time_s, "fp8", **shape), CHIP) == ""


@given(st.integers(1, 8192), st.integers(64, 16384), st.integers(64, 16384), st.floats(1e-9, 1.0))
@settings(deadline=None)
def test_more_time_never_makes_a_timing_impossible(m: int, n: int, k: int, time_s: float) -> None:
    shape = {"m": float(m), "n": float(n), "k": float(k)}
    if not impossible(row("gemm", time_s, **shape), CHIP):
        assert not impossible(row("gemm", 2.0 * time_s, **shape), CHIP)
