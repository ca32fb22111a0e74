"""Two pools: an infinite link adds nothing, rates are kept, the balance balances, the transfer counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.llm import from_config
from suanli.serving import Coefficients, Disaggregated, Point, accelerator, disaggregated, estimate
from suanli.serving.disaggregated import transfer_s
from suanli.serving.engine import engine
from suanli.serving.point import Band

laws = settings(deadline=None, max_examples=30)
TABLES = read_tables(Coefficients)
CATALOG = Catalog()
# NVIDIA H100 SXM datasheet.
CHIP = accelerator(
    "nvidia-h100-sxm",
    {
        "peak_bf16": 989e12,
        "peak_fp8": 1979e12,
        "memory_capacity": 80e9,
        "memory_bandwidth": 3.35e12,
        "sm_count": 132.0,
        "l2_cache": 50e6,
        "scale_up_bandwidth_per_direction": 450e9,
        "scale_up_domain": 8.0,
        "scale_out_bandwidth": 50e9,
    },
)
DENSE = Point(from_config(CATALOG.model("llama-3.1-8b"), "llama-3.1-8b"), CHIP, framework="vllm")
SPARSE = replace(
    DENSE,
    model=from_config(CATALOG.model("deepseek-v3"), "deepseek-v3"),
    n_chips=32,
    tp=1,
    dp=32,
    ep=32,
    framework="sglang",
)


def pools(prefill_chips: int = 2, decode_chips: int = 2, **options: float) -> Disaggregated:
    first = replace(DENSE, n_chips=prefill_chips, tp=1, concurrency=float(prefill_chips))
    second = replace(
        DENSE, n_chips=decode_chips, tp=1, concurrency=32.0 * decode_chips, isl=2048.0, osl=256.0
    )
    found = disaggregated(first, second, TABLES, **options)
    assert found.status == "ok", found.reason
    return found


def of(band: Band | None) -> float:
    assert band is not None
    return band.value


def test_an_infinite_link_leaves_the_pools_alone() -> None:
    """At a vanishing rate TTFT is prompt + half a step's wait + first step + request handling, nothing else."""
    found = pools(transfer_bytes_per_s=math.inf, requests_per_s=1e-6)
    assert found.prefill is not None
    assert found.decode is not None
    host = engine(replace(DENSE, phase="prefill", tp=1), TABLES).serving.values.ttft_base_s
    alone = of(found.prefill.ttft_s) + 1.5 * of(found.decode.itl_s) + host
    assert found.transfer_s == 0.0
    assert of(found.ttft_s) == pytest.approx(alone, rel=1e-6)
    assert of(found.tpot_s) == of(found.decode.tpot_s)


def test_pools_answer_as_they_do_alone() -> None:
    found = pools()
    decode = replace(DENSE, phase="decode", n_chips=2, tp=1, concurrency=64.0, isl=2048.0, osl=256.0)
    prefill = replace(DENSE, phase="prefill", n_chips=2, tp=1, concurrency=2.0, isl=2048.0)
    tokens, prompts = estimate(decode, TABLES), estimate(prefill, TABLES)
    assert found.decode_capacity_per_s == pytest.approx(of(tokens.output_tokens_per_s) / 256.0)
    assert found.prefill_capacity_per_s == pytest.approx(of(prompts.input_tokens_per_s) / 2048.0)


def test_the_smaller_pool_limits() -> None:
    found = pools()
    assert found.prefill_capacity_per_s is not None
    assert found.decode_capacity_per_s is not None
    least = min(found.prefill_capacity_per_s, found.decode_capacity_per_s)
    assert of(found.requests_per_s) == pytest.approx(0.85 * least)
    assert of(found.output_tokens_per_s) == pytest.approx(256.0 * of(found.requests_per_s))
    assert found.output_tokens_per_s_per_chip == pytest.approx(of(found.output_tokens_per_s) / 4)
    assert found.limit == (
        "prefill" if found.prefill_capacity_per_s < found.decode_capacity_per_s else "decode"
    )


@laws
@given(st.integers(1, 8), st.integers(1, 8))
def test_balance_is_where_both_pools_are_used_up(prefill_chips: int, decode_chips: int) -> None:
    found = pools(prefill_chips, decode_chips)
    assert found.balance is not None
    assert found.prefill_capacity_per_s is not None
    assert found.decode_capacity_per_s is not None
    # With balance x decode chips in the prefill pool its capacity is that of the decode pool.
    scaled = found.prefill_capacity_per_s * found.balance * decode_chips / prefill_chips
    assert scaled == pytest.approx(found.decode_capacity_per_s)
    assert (found.limit == "prefill") == (prefill_chips / decode_chips < found.balance)


@laws
@given(st.floats(0.02, 0.95), st.floats(1.01, 1.04))
def test_load_raises_waiting(share: float, factor: float) -> None:
    most = of(pools().requests_per_s) / 0.85
    less = pools(requests_per_s=share * most)
    more = pools(requests_per_s=factor * share * most)
    assert of(more.ttft_s) >= of(less.ttft_s)
    assert of(more.tpot_s) == of(less.tpot_s)


def test_one_server_waits_as_in_an_m_d_1_queue() -> None:
    """With one prefill replica the wait is P/2 u/(1 - u) (Pollaczek-Khinchine for constant service)."""
    idle, busy = pools(1, 4, requests_per_s=1e-9), None
    assert idle.prefill_capacity_per_s is not None
    interval = 1.0 / idle.prefill_capacity_per_s
    busy = pools(1, 4, requests_per_s=0.6 * idle.prefill_capacity_per_s)
    assert of(busy.ttft_s) - of(idle.ttft_s) == pytest.approx(0.5 * interval * 0.6 / 0.4, rel=1e-6)


def test_cache_moves_by_hand() -> None:
    """2048 tokens of Llama-3.1-8B: 2048 x 32 layers x 2 x 8 x 128 x 2 bytes = 268 MB."""
    ready = engine(replace(DENSE, phase="prefill", tp=1), TABLES)
    point = replace(DENSE, phase="decode", isl=2048.0)
    size = 2048 * 32 * 2 * 8 * 128 * 2
    # Slower than the prompt: what is left after it, and the last of 32 layers.
    slow = transfer_s(ready, point, 0.1, 1e9)
    assert slow == pytest.approx(1e-3 + (size / 1e9 - 0.1) + size / 1e9 / 32)
    # The port's 50 GB/s at 80 % hide behind a prompt of 0.1 s but for the last layer.
    assert transfer_s(ready, point, 0.1, None) == pytest.approx(1e-3 + size / 40e9 / 32)


def test_a_latent_cache_is_small() -> None:
    """DeepSeek-V3 keeps 61 x 576 x 2 = 70 kB a token, Llama-3.1-8B 131 kB."""
    ready = engine(replace(SPARSE, phase="prefill"), TABLES)
    point = replace(SPARSE, phase="decode", isl=4096.0)
    size = 4096 * 61 * 576 * 2
    assert transfer_s(ready, point, 0.0, 1e9) == pytest.approx(1e-3 + size / 1e9 * (1 + 1 / 61))


@laws
@given(st.floats(8.0, 11.5), st.floats(1.1, 10.0))
def test_a_faster_link_is_never_slower(power: float, factor: float) -> None:
    slow = pools(transfer_bytes_per_s=10.0**power)
    fast = pools(transfer_bytes_per_s=factor * 10.0**power)
    assert of(fast.ttft_s) <= of(slow.ttft_s)


def test_large_expert_parallelism_serves() -> None:
    first = replace(SPARSE, concurrency=128.0)
    second = replace(SPARSE, n_chips=64, dp=64, ep=64, concurrency=64.0 * 96, isl=4096.0, osl=1024.0)
    found = disaggregated(first, second, TABLES)
    assert found.status == "ok", found.reason
    assert of(found.output_tokens_per_s) > 0.0
    assert found.decode is not None
    assert found.decode.placement is not None
    assert found.decode.placement.ep == 64
