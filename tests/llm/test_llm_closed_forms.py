"""FLOPs against closed forms written out here from the papers, not from the package."""

from __future__ import annotations

import numpy as np
import pytest
from llm_shapes import deepseek, llama, shipped

from suanli.errors import InputError
from suanli.llm import decode_flops_per_token, from_config, prefill_flops_per_token, training_flops_per_token


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", ["llama-3.1-8b", "llama-3.1-405b", "qwen2.5-72b"])
def test_dense_training_form(name: str, causal: bool) -> None:
    """F = 3 [L (2h(n_q d + 2 n_kv d) + 2 n_q d h + 6 h f + 4 s n_q d c) + 2 h V] (arXiv 2204.02311 appendix B)."""
    layers, h, n_q, n_kv, d, f, vocab = {
        "llama-3.1-8b": (32, 4096, 32, 8, 128, 14336, 128256),
        "llama-3.1-405b": (126, 16384, 128, 8, 128, 53248, 128256),
        "qwen2.5-72b": (80, 8192, 64, 8, 128, 29568, 152064),
    }[name]
    s, c = 4096, 0.5 if causal else 1.0
    layer = 2 * h * (n_q * d + 2 * n_kv * d) + 2 * n_q * d * h + 6 * h * f + 4 * s * n_q * d * c
    expected = 3 * (layers * layer + 2 * h * vocab)
    assert float(training_flops_per_token(shipped(name), s, causal=causal).total) == pytest.approx(
        expected, rel=1e-12
    )


def test_gpt_training_form() -> None:
    """F = 72 L h^2 (1 + s/6h + V/12hL) without recomputation, full square (arXiv 2104.04473 section 5.1)."""
    layers, h, vocab, s = 96, 12288, 50257, 2048
    expected = 72 * layers * h**2 * (1 + s / (6 * h) + vocab / (12 * h * layers))
    got = training_flops_per_token(shipped("gpt-3-175b"), s, causal=False).total
    assert float(got) == pytest.approx(expected, rel=1e-12)


def test_mla_decode_form() -> None:
    """Absorbed decode of DeepSeek-V3 by hand: scores over rank + rope, values over rank, 128 heads, 61 layers."""
    model, context = shipped("deepseek-v3"), 4989
    absorbed = decode_flops_per_token(model, context)
    naive = decode_flops_per_token(model, context, form="naive")
    assert float(absorbed.attention_core) == 61 * 2 * 128 * (512 + 64 + 512) * context
    assert float(naive.attention_core) == 61 * 2 * 128 * (128 + 64 + 128) * context
    assert float(absorbed.attention_projections) == float(naive.attention_projections)
    h, q, heads = 7168, 1536, 128
    layer = 2 * (h * q + q * heads * 192 + h * (512 + 64) + 512 * heads * 256 + heads * 128 * h)
    assert float(absorbed.attention_projections) == 61 * layer
    assert float(absorbed.experts) == 58 * 8 * 6 * h * 2048
    assert float(absorbed.ffn) == 6 * h * (3 * 18432 + 58 * 2048)
    assert float(absorbed.router) == 58 * 2 * h * 256
    assert float(absorbed.head) == 2 * h * 129280
    assert float(absorbed.mtp) == 0


def test_mtp_adds_a_layer_a_projection_and_a_head() -> None:
    """One MTP module: + one layer + 4 h^2 + 2 h V (forward, per token)."""
    model, h, vocab, context = shipped("deepseek-v3"), 7168, 129280, 1000
    got = float(decode_flops_per_token(model, context, mtp=True).mtp)
    attention = 2 * (h * 1536 + 1536 * 128 * 192 + h * 576 + 512 * 128 * 256 + 128 * 128 * h)
    core = 2 * 128 * (512 + 64 + 512) * context
    moe = 6 * h * 2048 * 9 + 2 * h * 256
    assert got == attention + core + moe + 4 * h**2 + 2 * h * vocab


def test_sparse_attention_caps_the_core_but_not_the_scores() -> None:
    """DeepSeek-V3.2: attention over at most 2,048 positions, index scores over all (64 heads of 128)."""
    model = shipped("deepseek-v3.2")
    short, long = (float(decode_flops_per_token(model, c).attention_core) for c in (2048, 8192))
    assert long - short == 61 * 2 * 64 * 128 * (8192 - 2048)
    assert short == 61 * 2 * 2048 * (128 * (512 + 64 + 512) + 64 * 128)


def test_windows_cap_decode() -> None:
    """gpt-oss-120b: 18 layers with a window of 128, 18 full ones, 64 heads of 64."""
    got = float(decode_flops_per_token(shipped("gpt-oss-120b"), 1000).attention_core)
    assert got == 2 * 64 * 128 * 18 * (128 + 1000)


def test_compressed_attention_by_hand() -> None:
    """DeepSeek-V4-Flash at 100,000 tokens: window 128; 21 layers select 512 of c/4, 20 read c/128, 64 heads of 512."""
    c, width = 100_000, 2 * 64 * 1024
    attention = width * (43 * 128 + 21 * 512 + 20 * c / 128)
    index = 21 * 2 * 64 * 128 * c / 4
    got = float(decode_flops_per_token(shipped("deepseek-v4-flash"), c).attention_core)
    assert got == pytest.approx(attention + index, rel=1e-12)


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "mistral-7b", "deepseek-v3", "gemma-3-27b", "qwen3-next-80b-a3b"]
)
def test_prefill_is_the_sum_of_its_positions(name: str) -> None:
    """A prompt of s tokens costs what its tokens cost one by one, each at its own position."""
    model, s = shipped(name), 6000
    one_by_one = decode_flops_per_token(model, np.arange(1, s + 1), form="naive").total.sum()
    whole = s * float(prefill_flops_per_token(model, s, head="all").total)
    assert whole == pytest.approx(one_by_one, rel=1e-10)


def test_chunked_attention_is_exact_over_whole_chunks() -> None:
    """Llama 4: a prompt of whole chunks attends 8192 x 8193 / 2 pairs a chunk in its chunked layers."""
    s, chunk = 4 * 8192, 8192
    core = float(prefill_flops_per_token(shipped("llama-4-scout"), s).attention_core) * s
    pairs = 36 * 4 * chunk * (chunk + 1) / 2 + 12 * s * (s + 1) / 2
    assert core == pytest.approx(2 * 40 * 256 * pairs, rel=1e-12)


def test_a_cached_prefix_costs_only_what_is_left() -> None:
    """Prefill after a cached prefix attends to it; naive latent attention also expands its latents again."""
    dense = from_config(llama())
    whole = 1000 * float(prefill_flops_per_token(dense, 1000, head="all").total)
    first = 600 * float(prefill_flops_per_token(dense, 600, head="all").total)
    rest = 400 * float(prefill_flops_per_token(dense, 1000, cached_tokens=600, head="all").total)
    assert first + rest == pytest.approx(whole, rel=1e-12)
    latent = from_config(deepseek())
    hot = prefill_flops_per_token(latent, 1000, cached_tokens=600).attention_projections
    cold = prefill_flops_per_token(latent, 400).attention_projections
    assert float(hot - cold) * 400 == pytest.approx(4 * 2 * 64 * 8 * (32 + 32) * 600, rel=1e-12)


def test_only_the_last_row_goes_through_the_head() -> None:
    model = from_config(llama())
    last = prefill_flops_per_token(model, 500)
    every = prefill_flops_per_token(model, 500, head="all")
    assert float(every.head) == pytest.approx(500 * float(last.head), rel=1e-12)
    assert float(every.head) == 2 * 512 * 1000


def test_non_causal_counts_the_square() -> None:
    model = from_config(llama())
    got = float(prefill_flops_per_token(model, 300, causal=False).attention_core)
    assert got == 4 * 2 * 8 * 128 * 300


def test_zero_lengths_are_refused() -> None:
    model = from_config(llama())
    with pytest.raises(InputError, match="context_tokens must be at least 1"):
        decode_flops_per_token(model, 0)
    with pytest.raises(InputError, match="sequence_tokens"):
        training_flops_per_token(model, -5)
    with pytest.raises(InputError, match="cached_tokens"):
        prefill_flops_per_token(model, 100, cached_tokens=100)
    with pytest.raises(InputError):
        decode_flops_per_token(model, float("nan"))


def test_everything_broadcasts() -> None:
    model, context = shipped("deepseek-v3.2"), np.array([[100.0], [5000.0]])
    cached = np.array([0.0, 50.0, 90.0])
    assert prefill_flops_per_token(model, context, cached_tokens=cached).total.shape == (2, 3)
    assert decode_flops_per_token(model, context).total.shape == (2, 1)
