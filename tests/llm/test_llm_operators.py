"""Operators of a step: sums equal the closed forms on one chip, and sharding loses nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_shapes import WHOLE, deepseek, llama, shipped

from suanli.errors import InputError
from suanli.llm import (
    AttentionCore,
    Elementwise,
    Exchange,
    Gemm,
    GroupedGemm,
    Model,
    Operator,
    Sharding,
    check_sharding,
    decode_flops_per_token,
    decode_segment,
    from_config,
    kv_bytes_per_token,
    layer_operators,
    operator_flops,
    operator_weight_bytes,
    prefill_flops_per_token,
    prefill_segment,
    step_operators,
    weight_bytes_read,
)

LAW = settings(deadline=None, max_examples=40)


def _named(operators: tuple[Operator, ...], name: str) -> Operator:
    return next(one for one in operators if getattr(one, "name", None) == name)


@pytest.mark.parametrize("mtp", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_decode_sums_are_the_closed_forms(name: str, mtp: bool) -> None:
    model, batch, context = shipped(name), 48.0, 3000.0
    step = step_operators(model, (decode_segment(batch, context),), mtp=mtp)
    flops = batch * float(decode_flops_per_token(model, context, mtp=mtp).total)
    assert float(operator_flops(step)) == pytest.approx(flops, rel=1e-9)
    read = float(weight_bytes_read(model, batch, mtp=mtp))
    assert float(operator_weight_bytes(step, model.dtypes)) == pytest.approx(read, rel=1e-9)


@pytest.mark.parametrize("name", WHOLE)
def test_prefill_sums_are_the_closed_forms(name: str) -> None:
    model, prompts, new, cached = shipped(name), 3.0, 1500.0, 700.0
    step = step_operators(model, (prefill_segment(prompts, new, cached),))
    per_token = prefill_flops_per_token(model, new + cached, cached_tokens=cached).total
    assert float(operator_flops(step)) == pytest.approx(prompts * new * float(per_token), rel=1e-9)
    read = float(weight_bytes_read(model, prompts * new))
    assert float(operator_weight_bytes(step, model.dtypes)) == pytest.approx(read, rel=1e-9)


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "deepseek-v3", "gemma-3-27b", "nemotron-3-nano-30b-a3b", "gpt-oss-20b"]
)
def test_the_cache_written_is_the_growth_of_the_cache(name: str) -> None:
    model = shipped(name)
    step = step_operators(model, (decode_segment(10.0, 5.0),))
    written = sum(
        placed.count * placed.operator.written_values * placed.operator.sequences
        for placed in step
        if isinstance(placed.operator, AttentionCore)
    )
    assert float(written) * 2 == pytest.approx(10 * float(kv_bytes_per_token(model)), rel=1e-12)


def test_a_verification_step_is_its_positions_together() -> None:
    """1 + 3 draft tokens at context 500: the FLOPs of decoding at 497, 498, 499 and 500."""
    model = shipped("deepseek-v3")
    step = step_operators(model, (decode_segment(16.0, 500.0, query_tokens=4.0),))
    each = decode_flops_per_token(model, np.array([497.0, 498.0, 499.0, 500.0])).total.sum()
    assert float(operator_flops(step)) == pytest.approx(16 * each, rel=1e-12)


def test_a_mixed_step_shares_its_products() -> None:
    model = from_config(llama())
    mixed = step_operators(model, (prefill_segment(1, 500, logits=0), decode_segment(20, 300)))
    gemms = [p.operator for p in mixed if isinstance(p.operator, Gemm) and p.operator.name == "qkv"]
    assert [float(gemm.m) for gemm in gemms] == [520]
    head = next(p.operator for p in mixed if isinstance(p.operator, Gemm) and p.operator.name == "head")
    assert float(head.m) == 20
    assert sum(isinstance(p.operator, AttentionCore) for p in mixed) == 2


@LAW
@given(
    st.sampled_from(
        ["llama-3.1-8b", "llama-3.1-405b", "qwen3-32b", "gpt-oss-120b", "mixtral-8x22b", "gemma-3-27b"]
    ),
    st.sampled_from([1, 2, 4, 8]),
    st.floats(1, 500),
    st.integers(1, 20_000),
)
def test_tensor_parallelism_conserves_flops(name: str, tp: int, batch: float, context: int) -> None:
    """Where tp divides heads, KV heads and widths, tp chips together do what one would, the router aside."""
    model = shipped(name)
    segments = (decode_segment(batch, context),)
    alone = float(operator_flops(step_operators(model, segments)))
    shared = float(operator_flops(step_operators(model, segments, Sharding(tp=tp))))
    router = batch * float(decode_flops_per_token(model, context).router)
    kv = 4 if name == "gemma-3-27b" else 0
    if model.vocab % tp == 0 and kv == 0:
        assert tp * shared == pytest.approx(alone + (tp - 1) * router, rel=1e-9)
    assert tp * shared >= alone * (1 - 1e-12)


@LAW
@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]), st.data(), st.floats(16, 4096))
def test_expert_parallelism_conserves_expert_flops(
    tp: int, dp: int, data: st.DataObject, batch: float
) -> None:
    model = shipped("qwen3-235b-a22b") if tp <= 4 else shipped("deepseek-v3")
    ep = data.draw(st.sampled_from([e for e in (1, 2, 4, 8, 16, 32) if (tp * dp) % e == 0]))
    layout = Sharding(tp=tp, dp_attention=dp, ep=ep)
    segments = (decode_segment(batch, 1000),)

    def experts(sharding: Sharding) -> tuple[float, float]:
        step = step_operators(model, segments, sharding)
        groups = [(p.count, p.operator) for p in step if isinstance(p.operator, GroupedGemm)]
        flops = sum(count * float(one.flops) for count, one in groups)
        return flops, sum(count * float(one.weight_bytes(model.dtypes)) for count, one in groups)

    alone, shared = experts(Sharding()), experts(layout)
    assert layout.chips * shared[0] == pytest.approx(alone[0], rel=1e-9)
    assert layout.chips * shared[1] == pytest.approx(alone[1], rel=1e-9)


@LAW
@given(st.sampled_from([1, 2, 4, 8, 16]))
def test_attention_data_parallelism_splits_sequences(dp: int) -> None:
    """With attention data-parallel every chip keeps whole heads and 1/dp of the sequences."""
    model = shipped("deepseek-v3")
    group = max(model.layers, key=lambda g: g.count)
    segments = (decode_segment(640.0, 2000.0),)
    alone = layer_operators(model, group, segments)
    shared = layer_operators(model, group, segments, Sharding(dp_attention=dp, ep=dp))
    one, part = _named(alone, "attention"), _named(shared, "attention")
    assert isinstance(one, AttentionCore)
    assert isinstance(part, AttentionCore)
    assert part.heads == one.heads == 128
    assert float(part.sequences) == 640 / dp
    assert dp * float(part.flops) == pytest.approx(float(one.flops), rel=1e-12)


def test_few_kv_heads_are_repeated() -> None:
    """8 KV heads over 16 chips: every chip holds one, so keys and values are held twice."""
    model = shipped("llama-3.1-405b")
    layer = layer_operators(model, model.layers[0], (decode_segment(1, 100),), Sharding(tp=16))
    qkv, core = _named(layer, "qkv"), _named(layer, "attention")
    assert isinstance(qkv, Gemm)
    assert isinstance(core, AttentionCore)
    assert qkv.n == (8 + 2) * 128
    assert (core.heads, core.kv_heads) == (8, 1)
    assert float(core.read_values) == 2 * 128 * 100


def test_latents_are_not_divided() -> None:
    model = shipped("deepseek-v3")
    layer = layer_operators(model, model.layers[0], (decode_segment(1, 100),), Sharding(tp=8))
    core = _named(layer, "attention")
    assert isinstance(core, AttentionCore)
    assert (core.form, core.heads, core.kv_heads, core.qk_dim, core.v_dim) == ("absorbed", 16, 1, 576, 512)
    assert float(core.read_values) == 576 * 100
    down, absorb = _named(layer, "qkv_a"), _named(layer, "absorb_q")
    assert isinstance(down, Gemm)
    assert isinstance(absorb, Gemm)
    assert (down.n, down.k) == (1536 + 576, 7168)
    assert (absorb.copies, absorb.k, absorb.n) == (16, 128, 512)


def test_shapes_of_a_wide_expert_layout() -> None:
    """DeepSeek-V3 decode on 144 chips, attention data-parallel, experts over 128 of... here 16 by 16: by hand."""
    model = shipped("deepseek-v3")
    group = max(model.layers, key=lambda g: g.count)
    layer = layer_operators(model, group, (decode_segment(16 * 64, 4096),), Sharding(dp_attention=16, ep=16))
    up = _named(layer, "expert_gate_up")
    dispatch = _named(layer, "dispatch")
    assert isinstance(up, GroupedGemm)
    assert isinstance(dispatch, Exchange)
    assert (up.experts, up.n, up.k) == (16, 4096, 7168)
    assert float(up.rows) == 1024 * 8 / 16
    assert (dispatch.ranks, dispatch.width, dispatch.copies) == (16, 7168, 8)
    assert float(dispatch.rows) == 64
    assert not any(isinstance(one, Exchange) and one.name == "all_reduce" for one in layer)


def test_tensor_parallel_layers_reduce_twice() -> None:
    model = from_config(llama())
    layer = layer_operators(model, model.layers[0], (prefill_segment(1, 100),), Sharding(tp=2))
    reduces = [one for one in layer if isinstance(one, Exchange)]
    assert [(one.name, one.ranks, float(one.rows), one.width) for one in reduces] == [
        ("all_reduce", 2, 100, 512)
    ] * 2
    alone = layer_operators(model, model.layers[0], (prefill_segment(1, 100),))
    assert not any(isinstance(one, Exchange) for one in alone)


def test_norms_and_activations_are_listed() -> None:
    model = from_config(llama())
    names = [one.name for one in layer_operators(model, model.layers[0], (decode_segment(4, 10),))]
    assert names == [
        "input_norm",
        "qkv",
        "qk_norm_rotary",
        "attention",
        "o",
        "ffn_norm",
        "gate_up",
        "activation",
        "down",
    ]
    activation = _named(layer_operators(model, model.layers[0], (decode_segment(4, 10),)), "activation")
    assert isinstance(activation, Elementwise)
    assert (float(activation.rows), activation.read_values, activation.written_values) == (4, 2048, 1024)


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("llama-3.1-8b", Sharding(tp=3), "tp 3 does not divide the 32 heads"),
        ("llama-3.1-8b", Sharding(tp=0), "tp must be a whole number"),
        ("llama-3.1-8b", Sharding(dp_attention=2, ep=2), "ep 2 is above the 0 experts"),
        ("mixtral-8x7b", Sharding(tp=16, ep=16), "ep 16 is above the 8 experts"),
        ("deepseek-v3", Sharding(tp=8, ep=3), "ep 3 does not divide the 256 experts"),
        ("deepseek-v3", Sharding(tp=8, ep=16), "ep 16 does not divide tp x dp_attention = 8"),
    ],
)
def test_impossible_layouts(name: str, layout: Sharding, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_sharding(shipped(name), layout)


def test_impossible_segments() -> None:
    for bad in (
        lambda: prefill_segment(1, 0),
        lambda: prefill_segment(-1, 5),
        lambda: decode_segment(4, 0.5),
    ):
        with pytest.raises(InputError):
            bad()


def test_sizes_broadcast() -> None:
    model = shipped("deepseek-v3")
    batch, context = np.array([1.0, 8.0, 64.0]), np.array([[128.0], [4096.0]])
    step = step_operators(model, (decode_segment(batch, context),), Sharding(tp=8, ep=8))
    assert operator_flops(step).shape == (2, 3)
    single = step_operators(model, (decode_segment(64.0, 4096.0),), Sharding(tp=8, ep=8))
    assert operator_flops(step)[1, 2] == pytest.approx(float(operator_flops(single)), rel=1e-12)
    assert operator_weight_bytes(step, model.dtypes).shape == (3,)


def _small(config: dict[str, Any]) -> Model:
    return from_config(config)


@LAW
@given(st.integers(1, 16), st.floats(1, 1e4), st.sampled_from(["bf16", "fp8", "int4"]))
def test_weights_read_per_chip_fall_with_ep(top_k: int, tokens: float, form: str) -> None:
    from suanli.llm.dtypes import WeightDtypes

    model = _small(deepseek(num_experts_per_tok=top_k))
    dtypes = WeightDtypes.checkpoint(form)
    sizes = [
        float(
            operator_weight_bytes(
                step_operators(model, (decode_segment(tokens, 10),), Sharding(1, e, e)), dtypes
            )
        )
        for e in (1, 2, 4, 8)
    ]
    assert sizes == sorted(sizes, reverse=True)
