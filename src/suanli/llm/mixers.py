"""Build the softmax attention of a layer from config fields: MHA, GQA, MQA, MLA, MFA, sparse and
compressed."""

from __future__ import annotations

from typing import Literal

from suanli.llm.architectures import ALWAYS, Traits
from suanli.llm.fields import Fields
from suanli.llm.parts import Attention, Indexer, Latent, Linear
from suanli.llm.spans import FULL, Span


def biased(fields: Fields, trait: str) -> bool:
    """Whether a bias is there: always, never or as the named field says."""
    return trait == ALWAYS or (bool(trait) and fields.flag(trait))


def heads_of(fields: Fields) -> tuple[int, int, int]:
    """Query heads, key-value heads and head width [1]."""
    heads = fields.number("num_attention_heads", "n_head")
    kv_heads = fields.number(
        "num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv", default=heads
    )
    hidden = fields.number("hidden_size", "n_embd", "d_model")
    width = fields.optional("head_dim", "attention_head_dim", "kv_channels")
    if width is None:
        if hidden % heads:
            fields.problem(
                "num_attention_heads", f"{heads} does not divide hidden_size {hidden}; give head_dim"
            )
        width = max(hidden // heads, 1)
    if heads % kv_heads:
        fields.problem("num_key_value_heads", f"{kv_heads} does not divide num_attention_heads {heads}")
    return heads, kv_heads, width


def kind_of(heads: int, kv_heads: int) -> Literal["mha", "gqa", "mqa"]:
    """Name the sharing of key-value heads."""
    if heads == kv_heads:
        return "mha"
    return "mqa" if kv_heads == 1 else "gqa"


def grouped_attention(
    fields: Fields,
    traits: Traits,
    hidden: int,
    shape: tuple[int, int, int, int],
    span: Span,
    *,
    gate: bool = False,
    reuse: bool = False,
    sinks: bool = False,
    indexer: Indexer | None = None,
) -> Attention:
    """Attention whose queries share key-value heads.

    Args:
        fields: the config.
        traits: the architecture's habits.
        hidden: width of the residual stream [1].
        shape: query heads, key-value heads, query/key width, value width [1].
        span: positions a token looks at.
        gate: whether queries come with an output gate of their width.
        reuse: whether keys and values are those of the layer before.
        sinks: whether each head has a learned sink.
        indexer: scores positions for a "select" span.
    """
    heads, kv_heads, qk_dim, v_dim = shape
    pieces: tuple[tuple[int, int], ...] = ((heads, qk_dim * (2 if gate else 1)),)
    if not reuse:
        pieces = (*pieces, (kv_heads, qk_dim + v_dim))
    width = sum(units * each for units, each in pieces)
    qkv = Linear("qkv", hidden, width, width if biased(fields, traits.qkv_bias) else 0, "n", pieces)
    o_bias = hidden if biased(fields, traits.o_bias) else 0
    out = Linear("o", heads * v_dim, hidden, o_bias, "k", ((heads, v_dim),))
    normed = traits.qk_norm if not traits.qk_norm_field or fields.flag(traits.qk_norm_field) else ""
    norms = {"": 0, "head": 2 * qk_dim, "full": (heads + kv_heads) * qk_dim}[normed]
    return Attention(
        kind=kind_of(heads, kv_heads),
        heads=heads,
        kv_heads=kv_heads,
        qk_dim=qk_dim,
        v_dim=v_dim,
        inputs=(qkv,),
        outputs=(out,),
        other_parameters=norms + (heads if sinks else 0),
        attends=(span,),
        keeps=() if reuse else (span,),
        cache_width=kv_heads * (qk_dim + v_dim),
        indexer=indexer,
        sparse=span.kind == "select",
    )


def latent_attention(
    fields: Fields, hidden: int, *, indexed: bool = False, selects: bool = False
) -> Attention:
    """Multi-head latent attention, with or without sparse selection.

    Args:
        fields: the config.
        hidden: width of the residual stream [1].
        indexed: whether this layer has an indexer.
        selects: whether it attends a selection, its own or that of an earlier layer.
    """
    heads = fields.number("num_attention_heads")
    rank, rope = fields.number("kv_lora_rank"), fields.number("qk_rope_head_dim")
    nope, v_dim = fields.number("qk_nope_head_dim"), fields.number("v_head_dim")
    q_rank = fields.optional("q_lora_rank")
    bias = fields.flag("attention_bias")
    qk_dim = nope + rope
    inputs: tuple[Linear, ...]
    if q_rank:
        down_width = q_rank + rank + rope
        down = Linear("qkv_a", hidden, down_width, down_width if bias else 0)
        inputs = (down, Linear("q_b", q_rank, heads * qk_dim, 0, "n", ((heads, qk_dim),)))
    else:
        down = Linear("kv_a", hidden, rank + rope, (rank + rope) if bias else 0)
        inputs = (Linear("q", hidden, heads * qk_dim, 0, "n", ((heads, qk_dim),)), down)
    if fields.flag("mla_use_output_gate"):
        inputs = (*inputs, Linear("gate", hidden, heads * v_dim, 0, "n", ((heads, v_dim),)))
    up = Linear("kv_b", rank, heads * (nope + v_dim), 0, "n", ((heads, nope + v_dim),))
    span = Span("select", fields.number("index_topk")) if selects else FULL
    return Attention(
        kind="mla",
        heads=heads,
        kv_heads=heads,
        qk_dim=qk_dim,
        v_dim=v_dim,
        inputs=inputs,
        outputs=(Linear("o", heads * v_dim, hidden, hidden if bias else 0, "k", ((heads, v_dim),)),),
        other_parameters=(q_rank or 0) + rank,
        attends=(span,),
        keeps=(FULL,),
        cache_width=rank + rope,
        latent=Latent(rank, nope, rope, up),
        indexer=_lightning_indexer(fields, hidden, q_rank or hidden) if indexed else None,
        sparse=selects,
    )


def _lightning_indexer(fields: Fields, hidden: int, query_width: int) -> Indexer:
    heads, dim = fields.number("index_n_heads"), fields.number("index_head_dim")
    inputs = (
        Linear("index_q", query_width, heads * dim),
        Linear("index_k", hidden, dim),
        Linear("index_weights", hidden, heads, kept_wide=True),
    )
    return Indexer(heads, dim, FULL, inputs, 2 * dim)


def factorised_attention(fields: Fields, hidden: int) -> Attention:
    """Multi-matrix factorised attention of Step-3: queries grow out of one shared vector (arXiv
    2507.19427)."""
    heads, width = fields.number("num_attention_heads"), fields.number("head_dim")
    kv_heads = fields.number("num_attention_groups", default=1)
    shared = fields.number("share_q_dim")
    return Attention(
        kind=kind_of(heads, kv_heads),
        heads=heads,
        kv_heads=kv_heads,
        qk_dim=width,
        v_dim=width,
        inputs=(
            Linear("qkv_a", hidden, shared + 2 * kv_heads * width),
            Linear("q_b", shared, heads * width, 0, "n", ((heads, width),)),
        ),
        outputs=(Linear("o", heads * width, hidden, 0, "k", ((heads, width),)),),
        other_parameters=shared,
        attends=(FULL,),
        keeps=(FULL,),
        cache_width=2 * kv_heads * width,
    )


def compressed_attention(fields: Fields, hidden: int, ratio: int) -> Attention:
    """Attention of DeepSeek-V4: one shared vector per entry, a window, and entries compressed `ratio` to one.

    Ratio 0 is the window alone; ratio 4 compresses with overlap and selects by an indexer; larger ratios look
    at all.
    """
    heads, width = fields.number("num_attention_heads"), fields.number("head_dim")
    q_rank, groups, o_rank = (
        fields.number("q_lora_rank"),
        fields.number("o_groups"),
        fields.number("o_lora_rank"),
    )
    window = Span("window", fields.number("sliding_window"))
    inputs = [
        Linear("qkv_a", hidden, q_rank + width),
        Linear("q_b", q_rank, heads * width, 0, "n", ((heads, width),)),
    ]
    other = q_rank + width + heads  # norms of query and key-value vectors, attention sinks
    spans: tuple[Span, ...] = (window,)
    indexer = None
    if ratio:
        inputs.append(_compressor("compress", hidden, width, ratio))
        other += _compressor_other(width, ratio)
        spans = (window, Span("full", 0, ratio))
    if ratio == 4:
        spans = (window, Span("select", fields.number("index_topk"), ratio))
        indexer = _compressed_indexer(fields, hidden, q_rank, ratio)
    return Attention(
        kind="mqa",
        heads=heads,
        kv_heads=1,
        qk_dim=width,
        v_dim=width,
        inputs=tuple(inputs),
        outputs=(
            Linear("o_a", heads * width // groups, o_rank, 0, "copies", ((groups, 1),), copies=groups),
            Linear("o_b", groups * o_rank, hidden, 0, "k", ((groups, o_rank),)),
        ),
        other_parameters=other,
        attends=spans,
        keeps=spans,
        cache_width=width,
        indexer=indexer,
        sparse=indexer is not None,
    )


def _compressor(name: str, hidden: int, width: int, ratio: int) -> Linear:
    overlap = 2 if ratio == 4 else 1
    return Linear(name, hidden, 2 * overlap * width)  # entry and its gate


def _compressor_other(width: int, ratio: int) -> int:
    overlap = 2 if ratio == 4 else 1
    return ratio * overlap * width + width  # positions within a block, norm


def _compressed_indexer(fields: Fields, hidden: int, q_rank: int, ratio: int) -> Indexer:
    heads, dim = fields.number("index_n_heads"), fields.number("index_head_dim")
    inputs = (
        Linear("index_q", q_rank, heads * dim),
        Linear("index_weights", hidden, heads, kept_wide=True),
        _compressor("index_compress", hidden, dim, ratio),
    )
    return Indexer(heads, dim, Span("full", 0, ratio), inputs, _compressor_other(dim, ratio))
