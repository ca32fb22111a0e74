"""Laws that hold for every shape: sharing, windows, routing, linearity, monotony."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_shapes import WHOLE, deepseek, llama, shipped

from suanli.llm import (
    Span,
    WeightDtypes,
    decode_flops_per_token,
    expected_distinct_experts,
    from_config,
    kv_bytes,
    kv_bytes_per_token,
    parameters,
    prefill_flops_per_token,
    training_flops_per_token,
    weight_bytes,
    weight_bytes_read,
)

LAW = settings(deadline=None, max_examples=60)
CONTEXT = st.integers(1, 200_000)


@st.composite
def dense_configs(draw: st.DrawFn) -> dict[str, Any]:
    heads = draw(st.sampled_from([2, 4, 8, 16]))
    return llama(
        hidden_size=heads * draw(st.sampled_from([32, 64, 128])),
        num_hidden_layers=draw(st.integers(1, 12)),
        num_attention_heads=heads,
        num_key_value_heads=draw(st.sampled_from([k for k in (1, 2, 4, 8, 16) if heads % k == 0])),
        intermediate_size=draw(st.integers(64, 4096)),
        vocab_size=draw(st.integers(100, 5000)),
        tie_word_embeddings=draw(st.booleans()),
        attention_bias=draw(st.booleans()),
    )


@st.composite
def mixture_configs(draw: st.DrawFn) -> dict[str, Any]:
    experts = draw(st.integers(1, 64))
    layers = draw(st.integers(1, 8))
    return deepseek(
        n_routed_experts=experts,
        num_experts_per_tok=draw(st.integers(1, experts)),
        n_shared_experts=draw(st.integers(0, 3)),
        num_hidden_layers=layers,
        first_k_dense_replace=draw(st.integers(0, layers)),
        q_lora_rank=draw(st.sampled_from([None, 32, 96])),
    )


@LAW
@given(dense_configs(), CONTEXT)
def test_gqa_with_as_many_kv_heads_is_mha(config: dict[str, Any], context: int) -> None:
    grouped = from_config({**config, "num_key_value_heads": config["num_attention_heads"]})
    plain = from_config({k: v for k, v in config.items() if k != "num_key_value_heads"})
    assert plain.attention_kinds == ("mha",)
    assert parameters(grouped) == parameters(plain)
    assert decode_flops_per_token(grouped, context) == decode_flops_per_token(plain, context)
    assert kv_bytes_per_token(grouped) == kv_bytes_per_token(plain)


@LAW
@given(dense_configs())
def test_sharing_kv_heads_only_shrinks(config: dict[str, Any]) -> None:
    shared = from_config({**config, "num_key_value_heads": 1})
    given_ = from_config(config)
    assert parameters(shared).total <= parameters(given_).total
    assert kv_bytes_per_token(given_) == config["num_key_value_heads"] * kv_bytes_per_token(shared)


@LAW
@given(st.sampled_from(WHOLE), CONTEXT, CONTEXT)
def test_cache_is_monotone_in_context(name: str, a: int, b: int) -> None:
    small, large = (float(kv_bytes(shipped(name), c).total) for c in sorted((a, b)))
    assert small <= large


@LAW
@given(dense_configs(), st.integers(1, 5000), CONTEXT)
def test_a_window_caps_the_cache_and_the_core(config: dict[str, Any], window: int, context: int) -> None:
    full = from_config(config)
    windowed = from_config({**config, "model_type": "mistral", "sliding_window": window})
    at_window = kv_bytes(full, window).total
    assert kv_bytes(windowed, context).total == min(at_window, kv_bytes(full, context).total)
    core = decode_flops_per_token(windowed, context).attention_core
    assert core == decode_flops_per_token(full, min(window, context)).attention_core
    assert parameters(windowed) == parameters(full)


@LAW
@given(st.integers(1, 512), st.data(), st.floats(1, 1e6))
def test_distinct_experts_lie_between_k_and_all(experts: int, data: st.DataObject, tokens: float) -> None:
    top_k = data.draw(st.integers(1, experts))
    hit = float(expected_distinct_experts(experts, top_k, tokens))
    assert top_k * (1 - 1e-9) <= hit <= min(experts, top_k * tokens) * (1 + 1e-9)
    assert float(expected_distinct_experts(experts, top_k, tokens * 2)) >= hit * (1 - 1e-12)
    assert float(expected_distinct_experts(experts, top_k, 1)) == pytest.approx(top_k)
    assert float(expected_distinct_experts(experts, top_k, 0)) == 0
    assert float(expected_distinct_experts(experts, top_k, 1e9)) == pytest.approx(experts)


def test_distinct_experts_agree_with_drawing() -> None:
    """Against a draw of 4,000 steps of 24 tokens over 32 experts, top 4."""
    rng = np.random.default_rng(1)
    hits = [
        len({e for _ in range(24) for e in rng.choice(32, 4, replace=False).tolist()}) for _ in range(4000)
    ]
    assert float(expected_distinct_experts(32, 4, 24)) == pytest.approx(np.mean(hits), rel=2e-3)


@LAW
@given(st.sampled_from(WHOLE))
def test_active_is_at_most_total(name: str) -> None:
    count = parameters(shipped(name))
    assert (
        count.active_without_embeddings <= count.active_without_input_embedding <= count.active <= count.total
    )
    assert sum(row.count * row.total for row in count.layers) <= count.total
    assert (count.active == count.total) == (count.experts_total == 0)


@LAW
@given(mixture_configs())
def test_all_experts_active_means_all_active(config: dict[str, Any]) -> None:
    count = parameters(from_config({**config, "num_experts_per_tok": config["n_routed_experts"]}))
    assert count.active == count.total


@LAW
@given(dense_configs(), CONTEXT)
def test_flops_are_linear_in_layers(config: dict[str, Any], context: int) -> None:
    def body(layers: int) -> float:
        flops = decode_flops_per_token(from_config({**config, "num_hidden_layers": layers}), context)
        return float(flops.total - flops.head)

    assert body(6) == pytest.approx(6 * body(1), rel=1e-12)


@LAW
@given(mixture_configs(), CONTEXT)
def test_absorbed_and_naive_are_one_model(config: dict[str, Any], context: int) -> None:
    """The two forms are the same weights and the same projections; only core and cache differ."""
    model = from_config(config)
    absorbed = decode_flops_per_token(model, context, form="absorbed")
    naive = decode_flops_per_token(model, context, form="naive")
    assert absorbed.attention_projections == naive.attention_projections
    assert absorbed.experts == naive.experts
    heads, qk, v, rank, rope = 8, 48, 32, 64, 16
    assert absorbed.attention_core / naive.attention_core == pytest.approx((2 * rank + rope) / (qk + v))
    ratio = kv_bytes_per_token(model, form="naive") / kv_bytes_per_token(model)
    assert ratio == heads * (qk + v) / (rank + rope)


@LAW
@given(mixture_configs(), st.floats(1, 1e5))
def test_bytes_read_lie_between_active_and_all(config: dict[str, Any], tokens: float) -> None:
    model = from_config(config)
    count = parameters(model)
    read = float(weight_bytes_read(model, tokens, "bf16")) - 2 * 256 * tokens  # rows of the embedding
    assert 2 * count.active_without_input_embedding * (1 - 1e-9) <= read
    assert read <= 2 * (count.total - count.embedding) * (1 + 1e-9)


@LAW
@given(st.sampled_from(WHOLE), st.sampled_from(["fp8", "int8", "nvfp4", "mxfp4", "int4"]))
def test_narrower_formats_are_smaller(name: str, form: str) -> None:
    model = shipped(name)
    narrow, wide = weight_bytes(model, form).total, weight_bytes(model, "bf16").total
    uniform = weight_bytes(model, WeightDtypes.uniform(form)).total
    assert uniform <= narrow < wide
    assert uniform == pytest.approx(parameters(model).total * WeightDtypes.uniform(form).ffn.size_bytes)


@LAW
@given(st.sampled_from(WHOLE), st.integers(1, 20_000))
def test_prefill_costs_less_than_its_last_token(name: str, tokens: int) -> None:
    """A causal prompt's mean token attends at most what its last one does, chunked layers aside."""
    if any(span.kind == "chunk" for g in shipped(name).layers for span in getattr(g.mixer, "attends", ())):
        return
    mean = prefill_flops_per_token(shipped(name), tokens, head="all").attention_core
    last = decode_flops_per_token(shipped(name), tokens, form="naive").attention_core
    assert float(mean) <= float(last) * (1 + 1e-12)


@LAW
@given(st.sampled_from(WHOLE), st.integers(1, 50_000))
def test_training_is_three_forwards_less_half_a_position(name: str, tokens: int) -> None:
    trained = training_flops_per_token(shipped(name), tokens)
    forward = prefill_flops_per_token(shipped(name), tokens, head="all")
    assert float(trained.ffn) == 3 * float(forward.ffn)
    assert float(trained.head) == 3 * float(forward.head)
    assert float(trained.attention_core) <= 3 * float(forward.attention_core)


SPANS = st.one_of(
    st.builds(Span, st.just("full"), st.just(0), st.integers(1, 8)),
    st.builds(Span, st.sampled_from(["window", "select"]), st.integers(1, 300), st.sampled_from([1, 4])),
    st.builds(Span, st.just("chunk"), st.integers(1, 300)),
)


@LAW
@given(SPANS, st.integers(1, 600))
def test_span_sums_are_sums(span: Span, tokens: int) -> None:
    each = span.entries(np.arange(1, tokens + 1))
    assert float(span.cumulative(tokens)) == pytest.approx(each.sum(), rel=1e-9)
    assert float(span.area(tokens)) <= float(span.cumulative(tokens)) * (1 + 1e-12)


@LAW
@given(SPANS, st.integers(1, 500), st.integers(0, 500))
def test_a_block_reads_no_more_than_its_pairs(span: Span, new: int, cached: int) -> None:
    pairs = float(span.cumulative(cached + new) - span.cumulative(cached))
    read = float(span.read(new, cached))
    assert read <= (new + cached) / span.ratio * (1 + 1e-12)
    assert read <= pairs * (1 + 1e-9) + new


@LAW
@given(st.sampled_from(["full", "window"]), st.integers(1, 60), st.integers(1, 80), st.integers(0, 80))
def test_a_block_reads_the_union_of_what_its_tokens_see(kind: Any, cap: int, new: int, cached: int) -> None:
    span = Span(kind, cap if kind == "window" else 0)
    seen: set[int] = set()
    for position in range(cached + 1, cached + new + 1):
        first = max(1, position - cap + 1) if kind == "window" else 1
        seen |= set(range(first, position + 1))
    assert float(span.read(new, cached)) == len(seen)


def test_a_selection_reads_at_most_its_picks() -> None:
    span = Span("select", 2048)
    assert float(span.read(1, 9999)) == 2048
    assert float(span.read(3, 9999)) == 3 * 2048
    assert float(span.read(100, 9900)) == 10_000
    assert float(span.kept(10_000)) == 10_000
