"""Heads padded to ranks: the counts of AWS NxD Inference, and what they cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_shapes import shipped

from suanli.errors import InputError
from suanli.llm import Attention, Sharding, check_sharding, kv_bytes_per_token, parameters, weight_bytes
from suanli.llm.padding import padded_counts, padded_heads


# Comments and rules of neuronx_distributed_inference/modules/attention/gqa.py: 56 heads with 8 KV heads on 32 ranks
# become 64 and 32; multi-head attention pads both; a degree that is no multiple of the KV heads converts to MHA.
@pytest.mark.parametrize(
    ("heads", "kv_heads", "ranks", "padded"),
    [
        (56, 8, 32, (64, 32)),
        (64, 8, 24, (72, 24)),
        (40, 40, 32, (64, 64)),
        (32, 8, 8, (32, 8)),
        (32, 8, 12, (36, 36)),
        (32, 8, 1, (32, 8)),
    ],
)
def test_counts_are_those_of_the_engine(
    heads: int, kv_heads: int, ranks: int, padded: tuple[int, int]
) -> None:
    assert padded_counts(heads, kv_heads, ranks) == padded


@given(st.sampled_from([(32, 8), (40, 40), (64, 8), (71, 1), (48, 4)]), st.integers(1, 64))
@settings(deadline=None)
def test_every_rank_holds_as_many_whole_heads(shape: tuple[int, int], ranks: int) -> None:
    heads, kv_heads = padded_counts(*shape, ranks)
    assert heads % ranks == 0 and kv_heads % ranks == 0
    assert shape[0] <= heads < shape[0] + ranks
    assert kv_heads >= shape[1]


def test_padding_costs_weights_cache_and_nothing_else() -> None:
    """Llama-2-13B on 32 ranks: 40 heads become 64, so attention weights and cache grow by 64/40."""
    plain = shipped("llama-2-13b")
    padded = padded_heads(plain, 32)
    assert kv_bytes_per_token(padded) == pytest.approx(1.6 * kv_bytes_per_token(plain))
    held, before = weight_bytes(padded), weight_bytes(plain)
    assert held.attention == pytest.approx(1.6 * before.attention)
    assert (held.ffn, held.embedding, held.other) == (before.ffn, before.embedding, before.other)
    assert parameters(padded).total > parameters(plain).total


def test_repeated_kv_heads_are_held_by_every_rank() -> None:
    """Llama-3-70B on 24 ranks: 64 query heads become 72, 8 KV heads are held three times."""
    padded = padded_heads(shipped("llama-3-70b"), 24)
    mixers = [group.mixer for group in padded.layers]
    assert all(isinstance(one, Attention) and (one.heads, one.kv_heads) == (72, 24) for one in mixers)
    check_sharding(padded, Sharding(24))
    with pytest.raises(InputError, match="does not divide"):
        check_sharding(shipped("llama-3-70b"), Sharding(24))


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "deepseek-v3", "falcon-7b", "gemma-3-27b", "qwen3-next-80b-a3b"]
)
def test_a_model_whose_heads_fit_stays_as_it_is(name: str) -> None:
    model = shipped(name)
    assert padded_heads(model, 1) is model
