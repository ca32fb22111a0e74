"""Heads for a number of ranks that does not divide them: queries padded with zeros, keys and values repeated."""

from __future__ import annotations

from dataclasses import replace

from suanli.llm.model import LayerGroup, Model
from suanli.llm.parts import Attention, Linear


def padded_counts(heads: int, kv_heads: int, ranks: int) -> tuple[int, int]:
    """Heads that all ranks hold together, where engines pad instead of refusing.

    Query heads are rounded up to whole ones a rank: ranks x ceil(heads/ranks). Key-value heads of multi-head attention
    go with them. Fewer grouped ones than ranks are repeated to one a rank where their number divides the ranks, else
    to one for every query head.

    Args:
        heads: query heads [1].
        kv_heads: key-value heads [1].
        ranks: ranks that the heads are cut over [1].

    Returns:
        Query heads and key-value heads, copies and zeros included [1].

    Reference: AWS NxD Inference, neuronx_distributed_inference/modules/attention/gqa.py: REPLICATE_TO_TP_DEGREE, and
    CONVERT_TO_MHA where the degree is no multiple of the key-value heads.
    """
    queries = -(-heads // ranks) * ranks
    if kv_heads == heads:
        return queries, queries
    if kv_heads % ranks == 0:
        return queries, kv_heads
    return queries, ranks if ranks % kv_heads == 0 else queries


def padded_heads(model: Model, ranks: int) -> Model:
    """Return the model as an engine holds it that pads heads to whole ones a rank, with their weights, cache and work.

    Args:
        model: the model.
        ranks: ranks of one tensor-parallel group [1].

    Returns:
        The model itself where nothing has to be padded. State layers stay as they are.
    """
    groups = tuple(_group(group, ranks) for group in model.layers)
    return model if groups == model.layers else replace(model, layers=groups)


def _group(group: LayerGroup, ranks: int) -> LayerGroup:
    mixer = group.mixer
    if not isinstance(mixer, Attention):
        return group
    counts = {mixer.heads: mixer.heads, mixer.kv_heads: mixer.kv_heads}
    heads, kv_heads = padded_counts(mixer.heads, mixer.kv_heads, ranks)
    whole = mixer.latent is None and mixer.cache_width == mixer.kv_heads * (mixer.qk_dim + mixer.v_dim)
    if mixer.latent is None and not whole:
        kv_heads = mixer.kv_heads
    counts = {mixer.kv_heads: kv_heads, mixer.heads: heads}
    if counts == {mixer.kv_heads: mixer.kv_heads, mixer.heads: mixer.heads}:
        return group
    latent = mixer.latent
    grown = replace(
        mixer,
        heads=heads,
        kv_heads=kv_heads,
        inputs=tuple(_grown(one, counts) for one in mixer.inputs),
        outputs=tuple(_grown(one, counts) for one in mixer.outputs),
        cache_width=kv_heads * (mixer.qk_dim + mixer.v_dim) if whole else mixer.cache_width,
        latent=None if latent is None else replace(latent, up=_grown(latent.up, counts)),
    )
    return replace(group, mixer=grown)


def _grown(linear: Linear, counts: dict[int, int]) -> Linear:
    """A product whose pieces, cut by heads, are as many as there are now."""
    if linear.cut not in ("n", "k") or not all(units in counts for units, _ in linear.pieces):
        return linear
    pieces = tuple((counts[units], each) for units, each in linear.pieces)
    width = sum(units * each for units, each in pieces)
    if linear.cut == "k":
        return replace(linear, k=width, pieces=pieces)
    return replace(linear, n=width, bias=width if linear.bias else 0, pieces=pieces)
