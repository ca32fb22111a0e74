"""Laws that every operator must obey, whatever its coefficients: bounds, monotone in work, faster on faster chips."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InfeasibleError, UnknownIdError
from suanli.hardware.attention import (
    AttentionDecodeCoefficients,
    AttentionPrefillCoefficients,
    attention_decode_time_s,
    attention_prefill_time_s,
    causal_blocks,
)
from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.elementwise import ElementwiseCoefficients, eager_floor_s, elementwise_time_s
from suanli.hardware.formats import FORMATS, number_format
from suanli.hardware.gemm import (
    GemmCoefficients,
    QuantiseCoefficients,
    gemm_bytes,
    gemm_time_s,
    quantise_time_s,
)
from suanli.hardware.laws import cut_down_efficiency, half_wave, p_norm, processor_count
from suanli.hardware.mla import (
    MlaDecodeCoefficients,
    MlaPrefillCoefficients,
    mla_decode_time_s,
    mla_prefill_time_s,
)
from suanli.hardware.moe import (
    TILE_ROWS,
    MoeCoefficients,
    balanced_load,
    expected_load,
    expert_bytes,
    hottest_rank,
    moe_time_s,
)
from suanli.network.calibrated import ExchangeCoefficients, calibrated_s

CHIP = OperatorChip({"bf16": 989e12, "fp8": 1979e12}, 3.35e12, 132, 50e6, 450e9)
COMMON = settings(deadline=None, max_examples=60)
size = st.integers(1, 20000)
share = st.floats(0.05, 1.0)
overhead = st.floats(0.0, 2e-5)


@st.composite
def gemm_coefficients(draw: st.DrawFn) -> GemmCoefficients:
    return GemmCoefficients(
        launch_s=draw(overhead),
        compute_efficiency=draw(share),
        memory_efficiency=draw(share),
        overlap=draw(st.floats(0.05, 6.0)),
        reuse_penalty=draw(st.floats(0.0, 2.0)),
        tile_s=draw(overhead),
        memory_ramp_s=draw(overhead),
        split_s=draw(overhead),
        k_step_s=draw(st.floats(0.0, 8e-8)),
        droop=draw(st.floats(0.0, 0.6)),
    )


# -- GEMM -------------------------------------------------------------------------------------------------------------
@COMMON
@given(size, size, size, gemm_coefficients(), st.sampled_from(["bf16", "fp8", "fp8_block", "int4_wo"]))
def test_gemm_is_never_faster_than_the_roofline(m, n, k, c, dtype):
    time = gemm_time_s(m, n, k, dtype, CHIP, c)
    compute = 2.0 * m * n * k / CHIP.peak(dtype)
    memory = gemm_bytes(m, n, k, dtype) / CHIP.memory_bandwidth_bytes_per_s
    assert time >= max(compute, memory) * (1.0 - 1e-9)


@COMMON
@given(size, size, size, gemm_coefficients(), st.integers(0, 2), st.integers(1, 5000))
def test_gemm_time_never_falls_with_a_larger_side(m, n, k, c, side, more):
    sides = [m, n, k]
    before = gemm_time_s(*sides, "bf16", CHIP, c)
    sides[side] += more
    assert gemm_time_s(*sides, "bf16", CHIP, c) >= before * (1.0 - 1e-9)


@COMMON
@given(size, size, size, gemm_coefficients(), st.floats(1.0, 10.0))
def test_gemm_is_never_slower_on_a_faster_chip(m, n, k, c, factor):
    base = gemm_time_s(m, n, k, "bf16", CHIP, c)
    wide = replace(CHIP, memory_bandwidth_bytes_per_s=3.35e12 * factor)
    strong = replace(CHIP, peak_flop_per_s={"bf16": 989e12 * factor})
    assert gemm_time_s(m, n, k, "bf16", wide, c) <= base * (1.0 + 1e-9)
    assert gemm_time_s(m, n, k, "bf16", strong, c) <= base * (1.0 + 1e-9)


def test_gemm_limits():
    """A huge product runs at e_c of the peak, a skinny one at e_m of the bandwidth, a tiny one at the overheads."""
    c = GemmCoefficients(1e-6, 0.8, 0.9, 4.0, 0.0, 0.0, 1e-6, 0.0, 0.0, 0.0)
    n = 132 * 256
    assert gemm_time_s(16384, n, 16384, "bf16", CHIP, c) == pytest.approx(
        2.0 * 16384 * n * 16384 / (0.8 * 989e12), rel=0.03
    )
    assert gemm_time_s(1, 65536, 65536, "bf16", CHIP, c) == pytest.approx(
        65536**2 * 2.0 / (0.9 * 3.35e12), rel=0.02
    )
    assert gemm_time_s(1, 32, 32, "bf16", CHIP, c) == pytest.approx(2e-6, rel=0.05)


def test_gemm_shows_the_wave_step():
    """One tile beyond a full wave of 132 costs half a wave more."""
    c = GemmCoefficients(0.0, 1.0, 1.0, 6.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    fast = replace(CHIP, memory_bandwidth_bytes_per_s=1e18)
    full = gemm_time_s(128, 256 * 132, 4096, "bf16", fast, c)
    over = gemm_time_s(128, 256 * 132 + 256, 4096, "bf16", fast, c)
    assert 1.0 < over / full <= 1.5


def test_split_k_helps_a_deep_skinny_product():
    with_split = GemmCoefficients(split_s=1e-6)
    without = replace(with_split, split_s=1.0)
    assert gemm_time_s(64, 256, 65536, "bf16", CHIP, with_split) < 0.5 * gemm_time_s(
        64, 256, 65536, "bf16", CHIP, without
    )


def test_gemm_broadcasts_over_shapes_and_samples():
    samples = replace(CHIP, memory_bandwidth_bytes_per_s=np.array([2e12, 3e12, 4e12]))
    time = gemm_time_s(np.array([[1], [4096]]), 4096, 4096, "bf16", samples, GemmCoefficients())
    assert time.shape == (2, 3)
    assert time[0, 0] > time[0, 2]
    assert time[1, 2] == pytest.approx(
        gemm_time_s(
            4096, 4096, 4096, "bf16", replace(CHIP, memory_bandwidth_bytes_per_s=4e12), GemmCoefficients()
        )
    )


def test_warm_loop_is_not_slower_and_cold_is_the_default():
    gddr = OperatorChip({"bf16": 362e12}, 864e9, 142, 96e6)
    c = GemmCoefficients(l2_share=1.0, l2_speedup=3.0)
    cold = gemm_time_s(1, 4096, 1024, "bf16", gddr, c)
    assert gemm_time_s(1, 4096, 1024, "bf16", gddr, c, weight_copies=5) < 0.65 * cold
    assert gemm_time_s(1, 65536, 8192, "bf16", gddr, c, weight_copies=5) == pytest.approx(
        gemm_time_s(1, 65536, 8192, "bf16", gddr, c), rel=1e-3
    )


def test_a_chip_without_the_format_is_refused():
    with pytest.raises(InfeasibleError, match="cannot compute in nvfp4"):
        gemm_time_s(1, 64, 64, "nvfp4", CHIP, GemmCoefficients())
    with pytest.raises(UnknownIdError):
        number_format("fp7")


def test_formats_move_what_their_blocks_say():
    assert number_format("int4") is FORMATS["int4_wo"]
    assert FORMATS["nvfp4"].weight_bytes == 0.5625  # E2M1 and one E4M3 scale per 16
    assert FORMATS["mxfp4"].weight_bytes == 0.53125  # one E8M0 scale per 32
    assert all(form.weight_bytes <= 4.0 and form.peaks for form in FORMATS.values())


@COMMON
@given(size, size, share, st.floats(0.0, 1e-8))
def test_quantise_moves_its_bytes(m, k, efficiency, row_s):
    c = QuantiseCoefficients(1e-6, efficiency, row_s)
    assert quantise_time_s(m, k, "fp8", CHIP, c) >= 3.0 * m * k / CHIP.memory_bandwidth_bytes_per_s
    assert quantise_time_s(m, k, "bf16", CHIP, c) == 0.0


# -- attention --------------------------------------------------------------------------------------------------------
heads = st.sampled_from([(1, 1), (8, 1), (32, 8), (64, 8), (128, 8), (40, 40)])


@COMMON
@given(
    st.integers(1, 512), st.integers(1, 130000), heads, st.sampled_from([64, 128, 256]), st.integers(1, 5000)
)
def test_decode_reads_its_cache_and_grows_with_context(batch, context, shape, dim, more):
    c = AttentionDecodeCoefficients()
    time = attention_decode_time_s(batch, context, *shape, dim, "bf16", CHIP, c)
    cache = 4.0 * batch * shape[1] * context * dim
    assert time >= cache / CHIP.memory_bandwidth_bytes_per_s
    assert attention_decode_time_s(batch, context + more, *shape, dim, "bf16", CHIP, c) >= time
    assert attention_decode_time_s(batch, context, *shape, dim, "fp8", CHIP, c) <= time
    assert attention_decode_time_s(batch, context, *shape, dim, "bf16", CHIP, c, window_tokens=128) <= time
    assert attention_decode_time_s(batch, context, *shape, dim, "bf16", CHIP, c, warm=True) <= time * (
        1 + 1e-9
    )
    assert attention_decode_time_s(batch, context, *shape, dim, "bf16", CHIP, c, query_tokens=4) >= time


@COMMON
@given(st.integers(1, 64), st.integers(1, 20000), heads, st.integers(0, 20000), st.integers(1, 2000))
def test_prefill_covers_the_causal_products(batch, tokens, shape, prefix, more):
    c = AttentionPrefillCoefficients(compute_efficiency=1.0, head_exponent=0.0)
    time = attention_prefill_time_s(batch, tokens, *shape, 128, "bf16", CHIP, c, prefix_tokens=prefix)
    pairs = tokens * prefix + tokens * (tokens + 1) / 2
    assert time >= 4.0 * batch * shape[0] * 128 * pairs / CHIP.peak("bf16")
    longer = attention_prefill_time_s(
        batch, tokens + more, *shape, 128, "bf16", CHIP, c, prefix_tokens=prefix
    )
    assert longer >= time * (1 - 1e-9)
    deeper = attention_prefill_time_s(
        batch, tokens, *shape, 128, "bf16", CHIP, c, prefix_tokens=prefix + more
    )
    assert deeper >= time * (1 - 1e-9)


@COMMON
@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(0, 3000))
def test_causal_blocks_count_every_tile(tokens, prefix, window):
    """The closed form equals the sum over tiles."""
    own, before = -(-tokens // 128), -(-prefix // 128)
    limit = -(-window // 128) + 1 if window else 10**9
    met = [min(before + i, limit) for i in range(1, own + 1)]
    mean, most = causal_blocks(tokens, prefix, window)
    assert most == max(met)
    assert mean == pytest.approx(sum(met) / own)


def test_chunked_prefill_costs_at_least_one_piece():
    c = AttentionPrefillCoefficients()
    whole = attention_prefill_time_s(1, 8192, 32, 8, 128, "bf16", CHIP, c)
    chunks = sum(
        float(attention_prefill_time_s(1, 2048, 32, 8, 128, "bf16", CHIP, c, prefix_tokens=2048 * i))
        for i in range(4)
    )
    assert whole < chunks < 2.0 * whole


@COMMON
@given(st.integers(1, 512), st.integers(1, 130000), st.sampled_from([1, 16, 128]), st.integers(1, 5000))
def test_mla_decode_bounds(batch, context, local_heads, more):
    c = MlaDecodeCoefficients()
    time = mla_decode_time_s(batch, context, local_heads, "bf16", CHIP, c)
    flops = 2.0 * batch * context * local_heads * (576 + 512)
    assert time >= max(batch * context * 1152 / 3.35e12, flops / CHIP.peak("bf16"))
    assert mla_decode_time_s(batch, context + more, local_heads, "bf16", CHIP, c) >= time
    assert mla_decode_time_s(batch, context, local_heads, "fp8", CHIP, c) <= time


@COMMON
@given(st.integers(1, 32), st.integers(1, 20000), st.sampled_from([1, 16, 128]), st.sampled_from([0.0, 1.0]))
def test_mla_prefill_bounds(batch, tokens, local_heads, absorbed):
    c = MlaPrefillCoefficients(absorbed=absorbed)
    time = mla_prefill_time_s(batch, tokens, local_heads, CHIP, c)
    width = 1088 if absorbed else 320
    assert time >= 2.0 * batch * local_heads * width * tokens * (tokens + 1) / 2 / CHIP.peak("bf16")
    assert mla_prefill_time_s(batch, tokens + 100, local_heads, CHIP, c) >= time


# -- experts ----------------------------------------------------------------------------------------------------------
@COMMON
@given(st.integers(1, 5000), st.sampled_from([1, 4, 8]), st.sampled_from([(64, 8), (256, 1), (256, 32)]))
def test_loads_conserve_assignments(tokens, topk, layout):
    experts, ranks = layout
    for load in (balanced_load(tokens, topk, experts, ranks), expected_load(tokens, topk, experts, ranks)):
        assert load.experts <= min(load.assignments + 1.0, experts / ranks) + 1e-9
        for height, tiles in zip(TILE_ROWS, load.tiles, strict=True):
            assert tiles * height >= load.assignments * (1 - 0.02)
            assert tiles >= load.experts * (1 - 1e-6)
    assert expected_load(tokens, topk, experts, ranks).assignments == pytest.approx(tokens * topk / ranks)


def test_expected_load_matches_drawing_tokens():
    """Against 400 draws of 64 tokens that pick 8 of 256 experts."""
    rng = np.random.default_rng(1)
    seen, tiles = [], []
    for _ in range(400):
        picks = np.argsort(rng.random((64, 256)), axis=1)[:, :8]
        counts = np.bincount(picks.ravel(), minlength=256)
        seen.append(np.count_nonzero(counts))
        tiles.append(np.ceil(counts / 8).sum())
    load = expected_load(64, 8, 256)
    assert load.experts == pytest.approx(np.mean(seen), rel=0.01)
    assert load.tiles[0] == pytest.approx(np.mean(tiles), rel=0.01)


def test_hottest_rank_matches_drawing_tokens():
    rng = np.random.default_rng(2)
    draws = [np.bincount(rng.integers(0, 32, 1024), minlength=32).max() for _ in range(400)]
    assert hottest_rank(128, 8, 256, 32) == pytest.approx(np.mean(draws) / 32.0, rel=0.05)
    assert hottest_rank(128, 8, 256, 1) == 1.0
    assert hottest_rank(128, 8, 256, 32, skew=0.7) > hottest_rank(128, 8, 256, 32)


@COMMON
@given(st.integers(1, 20000), st.floats(0.0, 1.0))
def test_experts_read_their_weights_and_do_their_work(tokens, skew):
    c = MoeCoefficients()
    load = expected_load(tokens, 8, 256, 8, skew=skew)
    time = moe_time_s(load, tokens, 7168, 2048, "fp8", CHIP, c)
    weights = load.experts * expert_bytes(7168, 2048, "fp8")
    flops = load.assignments * 6.0 * 7168 * 2048
    assert time >= max(weights / 3.35e12, flops / CHIP.peak("fp8")) * (1 - 0.02)
    assert (
        moe_time_s(
            expected_load(tokens + 200, 8, 256, 8, skew=skew), tokens + 200, 7168, 2048, "fp8", CHIP, c
        )
        >= time
    )


def test_imbalance_slows_the_layer():
    c = MoeCoefficients()
    times = [
        moe_time_s(expected_load(4096, 8, 256, 32, imbalance=hot), 4096, 7168, 2048, "fp8", CHIP, c)
        for hot in (1.0, 1.3, 2.0)
    ]
    assert times[0] < times[1] < times[2]


# -- the rest ---------------------------------------------------------------------------------------------------------
@COMMON
@given(st.floats(0.0, 1e-3), st.floats(0.0, 1e-3), st.floats(1.0, 8.0))
def test_p_norm_lies_between_maximum_and_sum(a, b, q):
    value = p_norm(a, b, q)
    assert max(a, b) * (1 - 1e-12) <= value <= (a + b) * (1 + 1e-12)


@COMMON
@given(st.integers(1, 100000), st.integers(1, 500))
def test_half_wave_lies_between_even_and_full_waves(work, processors):
    even = max(work / processors, 1.0)
    assert even <= half_wave(work, processors) <= max(np.ceil(work / processors), 1.0)


def test_cut_down_chips_lose_less():
    assert cut_down_efficiency(0.7, 1e12, 0.0) == pytest.approx(0.7)
    assert cut_down_efficiency(0.7, 2e12, 2e12) == pytest.approx(0.7)
    assert 0.7 < cut_down_efficiency(0.7, 1e12, 4e12) < 1.0
    assert cut_down_efficiency(0.7, 8e12, 4e12) < 0.7


def test_processor_equivalent():
    assert processor_count(108, 1e15) == 108
    assert processor_count(None, 989e12) == pytest.approx(131.9, abs=0.1)
    assert processor_count(None, 1e12) == 1.0


@COMMON
@given(st.floats(1.0, 1e10), st.floats(1.0, 1e10))
def test_elementwise_and_exchange_grow_with_bytes(first, second):
    low, high = sorted((first, second))
    e = ElementwiseCoefficients()
    assert elementwise_time_s(low, CHIP, e) <= elementwise_time_s(high, CHIP, e)
    x = ExchangeCoefficients()
    assert calibrated_s(low, low, 450e9, x) <= calibrated_s(high, high, 450e9, x)
    assert calibrated_s(high, high, 900e9, x) <= calibrated_s(high, high, 450e9, x)


def test_exchange_takes_the_faster_regime_and_obeys_its_processors():
    x = ExchangeCoefficients(5e-6, 0.0, 0.1, 50e-6, 0.0, 0.9)
    assert calibrated_s(0.0, 0.0, 450e9, x) == pytest.approx(5e-6)
    assert calibrated_s(1e9, 1e9, 450e9, x) == pytest.approx(50e-6 + 1e9 / 405e9)
    limited = replace(x, processor_bytes_per_s=10e9)
    assert calibrated_s(1e9, 1e9, 450e9, limited, processors=4) > 1e9 / 40e9
    assert calibrated_s(1e9, 1e9, 450e9, limited, processors=0) == pytest.approx(50e-6 + 1e9 / 405e9)


def test_eager_floor():
    assert eager_floor_s(1e-3, 100, 5e-6) == 1e-3
    assert eager_floor_s(1e-4, 100, 5e-6) == pytest.approx(5e-4)


def test_defaults_are_physical():
    for kind in (GemmCoefficients, AttentionDecodeCoefficients, AttentionPrefillCoefficients, MlaDecodeCoefficients,
                 MlaPrefillCoefficients, MoeCoefficients, ElementwiseCoefficients, QuantiseCoefficients):  # fmt: skip
        values = kind()
        for entry in fields(kind):
            value = getattr(values, entry.name)
            assert value >= 0.0
            if entry.name.endswith("_efficiency"):
                assert value <= 1.0
