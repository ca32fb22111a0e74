"""List the operators of a step: layer by layer, head, MTP modules; for one chip of a sharded replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from suanli.llm.bytes import expected_distinct_experts
from suanli.llm.model import LayerGroup, Model
from suanli.llm.operators import (
    AttentionCore,
    Elementwise,
    Exchange,
    Gemm,
    GroupedGemm,
    Operator,
    Placed,
    Segment,
    StateScan,
)
from suanli.llm.parts import Attention, FeedForward, Linear, Mlp, StateMixer
from suanli.llm.sharding import SINGLE, Sharding, check_sharding, shard
from suanli.llm.spans import Span, attended_pairs

Array = NDArray[np.float64]
Part: TypeAlias = Literal["attention", "ffn", "embedding", "other"]


@dataclass(frozen=True, slots=True)
class _Context:
    """What every operator of a step needs: segments, layout, and the rows of this chip."""

    segments: tuple[Segment, ...]
    sharding: Sharding
    hidden: int

    @property
    def rows(self) -> Array:
        """New tokens this chip's attention group computes [1]."""
        total = np.zeros(())
        for segment in self.segments:
            total = total + segment.tokens
        return np.asarray(total / self.sharding.dp_attention)

    @property
    def logits(self) -> Array:
        """Rows this chip's attention group puts through the head [1]."""
        total = np.zeros(())
        for segment in self.segments:
            total = total + segment.sequences * segment.logits
        return np.asarray(total / self.sharding.dp_attention)


def step_operators(
    model: Model, segments: tuple[Segment, ...], sharding: Sharding = SINGLE, *, mtp: bool = False
) -> tuple[Placed, ...]:
    """List the operators of one step of the whole model on one chip.

    With tp = ep = dp_attention = 1 their FLOPs are those of `decode_flops_per_token` and
    `prefill_flops_per_token` times
    tokens, and their weight bytes those of `weight_bytes_read`.

    Args:
        model: the model.
        segments: what the replica's step computes.
        sharding: parallel layout of the replica.
        mtp: whether the MTP modules run too, each on all new tokens.

    Returns:
        Operators, each with the number of times it runs.

    Raises:
        InputError: a layout that cannot be.
    """
    check_sharding(model, sharding)
    context = _Context(segments, sharding, model.hidden)
    placed = [Placed(1, _lookup(model, context.rows))]
    placed += _groups(model.layers, context)
    placed += [Placed(1, operator) for operator in _head(model, context, model.final_parameters)]
    if mtp and model.mtp is not None:
        placed += _mtp(model, context)
    return tuple(placed)


def layer_operators(
    model: Model, group: LayerGroup, segments: tuple[Segment, ...], sharding: Sharding = SINGLE
) -> tuple[Operator, ...]:
    """List the operators of one layer of a group on one chip, in the order they run.

    Args:
        model: the model.
        group: one of its groups.
        segments: what the replica's step computes.
        sharding: parallel layout of the replica.

    Returns:
        Operators of one layer.

    Raises:
        InputError: a layout that cannot be.
    """
    check_sharding(model, sharding)
    return tuple(_layer(group, _Context(segments, sharding, model.hidden)))


def _groups(groups: tuple[LayerGroup, ...], context: _Context) -> list[Placed]:
    return [Placed(group.count, operator) for group in groups for operator in _layer(group, context)]


def _layer(group: LayerGroup, context: _Context) -> list[Operator]:
    operators: list[Operator] = []
    parts = (group.mixer is not None) + (group.ffn is not None)
    norms = group.norm_parameters / max(parts, 1)
    if group.mixer is not None:
        operators.append(_norm("input_norm", context, norms))
        if isinstance(group.mixer, Attention):
            operators += _attention(group.mixer, context)
        else:
            operators += _state(group.mixer, context)
        operators += _all_reduce(context)
    if group.ffn is not None:
        operators.append(_norm("ffn_norm", context, norms))
        operators += _feed_forward(group.ffn, context)
    return operators


def _norm(name: str, context: _Context, weights: float) -> Elementwise:
    # Fused with the residual addition: reads the layer's output and the residual, writes residual and normed
    # row.
    return Elementwise(name, context.rows, 2.0 * context.hidden, 2.0 * context.hidden, weights)


def _gemm(linear: Linear, rows: Array, ranks: int, part: Part) -> Gemm:
    local = shard(linear, ranks)
    chosen: Part = "other" if linear.kept_wide else part
    return Gemm(local.name, rows, local.n, local.k, local.copies, local.bias, chosen)


def _all_reduce(context: _Context) -> list[Operator]:
    if context.sharding.tp == 1:
        return []
    return [Exchange("all_reduce", context.sharding.tp, context.rows, context.hidden)]


def _attention(mixer: Attention, context: _Context) -> list[Operator]:
    tp = context.sharding.tp
    operators: list[Operator] = [_gemm(linear, context.rows, tp, "attention") for linear in mixer.inputs]
    heads = -(-mixer.heads // tp)
    operators.append(_rotary(mixer, context, heads))
    if mixer.indexer is not None:
        operators += [_gemm(linear, context.rows, 1, "attention") for linear in mixer.indexer.inputs]
        for segment in context.segments:
            operators += _index(mixer, segment, context)
    if mixer.latent is not None:
        operators += _latent_up(mixer, context, heads)
    operators += [_core(mixer, segment, context, heads) for segment in context.segments]
    return operators + [_gemm(linear, context.rows, tp, "attention") for linear in mixer.outputs]


def _rotary(mixer: Attention, context: _Context, heads: int) -> Elementwise:
    """Norm and rotation of queries and keys, and the write into the cache."""
    width = heads * mixer.qk_dim + mixer.cache_width * (1.0 if mixer.kind == "mla" else heads / mixer.heads)
    index = mixer.indexer.other_parameters if mixer.indexer else 0
    return Elementwise("qk_norm_rotary", context.rows, width, width, mixer.other_parameters + index)


def _latent_up(mixer: Attention, context: _Context, heads: int) -> list[Operator]:
    """Keys and values out of latents: expanded for new and cached tokens, or absorbed into queries and
    outputs."""
    latent = mixer.latent
    if latent is None:
        return []
    expanded, absorbed = np.zeros(()), np.zeros(())
    naive = False
    for segment in context.segments:
        if mixer.form(segment.form) == "naive":
            naive = True
            expanded = expanded + segment.sequences * (segment.new_tokens + segment.cached_tokens)
        else:
            absorbed = absorbed + segment.tokens
    share = context.sharding.dp_attention
    operators: list[Operator] = []
    if naive:
        operators.append(_gemm(latent.up, np.asarray(expanded / share), context.sharding.tp, "attention"))
    if any(mixer.form(segment.form) == "absorbed" for segment in context.segments):
        rows = np.asarray(absorbed / share)
        # Where both forms run, the weights were counted above; a second read is the price of mixing them.
        operators.append(Gemm("absorb_q", rows, latent.rank, latent.nope_dim, heads, part="attention"))
        operators.append(Gemm("absorb_v", rows, mixer.v_dim, latent.rank, heads, part="attention"))
    return operators


def _core(mixer: Attention, segment: Segment, context: _Context, heads: int) -> AttentionCore:
    form = mixer.form(segment.form)
    qk_dim, v_dim = mixer.core_widths(form)
    shared = mixer.latent is not None and form == "absorbed"
    kv_heads = 1 if shared else -(-mixer.kv_heads // context.sharding.tp)
    width = mixer.entry_width(form) * (1.0 if shared else kv_heads / mixer.kv_heads)
    written = sum((span.growth() for span in mixer.keeps), start=np.zeros(()))
    return AttentionCore(
        name="attention",
        form=form,
        heads=heads,
        kv_heads=kv_heads,
        qk_dim=qk_dim,
        v_dim=v_dim,
        sequences=np.asarray(segment.sequences / context.sharding.dp_attention),
        new_tokens=segment.new_tokens,
        cached_tokens=segment.cached_tokens,
        pairs=attended_pairs(mixer.attends, segment.new_tokens, segment.cached_tokens),
        read_values=np.asarray(width * _read(mixer.attends, segment)),
        written_values=np.asarray(width * written * segment.new_tokens),
    )


def _read(spans: tuple[Span, ...], segment: Segment) -> Array:
    total = np.zeros(())
    for span in spans:
        total = total + span.read(segment.new_tokens, segment.cached_tokens)
    return np.asarray(total)


def _index(mixer: Attention, segment: Segment, context: _Context) -> list[Operator]:
    """Scores of the indexer, which every chip of a group computes whole, and the choice of the best."""
    indexer = mixer.indexer
    if indexer is None:
        return []
    spans = (indexer.span,)
    sequences = np.asarray(segment.sequences / context.sharding.dp_attention)
    pairs = attended_pairs(spans, segment.new_tokens, segment.cached_tokens)
    core = AttentionCore(
        name="index",
        form="absorbed",
        heads=indexer.heads,
        kv_heads=1,
        qk_dim=indexer.dim,
        v_dim=0,
        sequences=sequences,
        new_tokens=segment.new_tokens,
        cached_tokens=segment.cached_tokens,
        pairs=pairs,
        read_values=np.asarray(indexer.dim * _read(spans, segment)),
        written_values=np.asarray(indexer.dim * indexer.span.growth() * segment.new_tokens),
    )
    return [core, Elementwise("index_select", np.asarray(sequences * pairs), 1.0, 0.0)]


def _state(mixer: StateMixer, context: _Context) -> list[Operator]:
    tp = context.sharding.tp
    sequences = np.zeros(())
    for segment in context.segments:
        sequences = sequences + segment.sequences
    scan = StateScan(
        name=mixer.kind,
        tokens=context.rows,
        sequences=np.asarray(sequences / context.sharding.dp_attention),
        token_flops=mixer.scan_flops / tp,
        state_values=mixer.state_values / tp,
        conv_values=mixer.conv_values / tp,
        weights=mixer.other_parameters / tp,
    )
    inputs: list[Operator] = [_gemm(linear, context.rows, tp, "attention") for linear in mixer.inputs]
    return [*inputs, scan, *(_gemm(linear, context.rows, tp, "attention") for linear in mixer.outputs)]


def _feed_forward(ffn: FeedForward, context: _Context) -> list[Operator]:
    operators: list[Operator] = []
    if ffn.mlp is not None:
        operators += _mlp(ffn.mlp, context.rows, context.sharding.tp)
    operators += [_gemm(linear, context.rows, 1, "ffn") for linear in ffn.extra]
    if ffn.router is not None and ffn.experts is not None:
        operators.append(_gemm(ffn.router, context.rows, 1, "ffn"))
        operators.append(
            Elementwise(
                "route", context.rows, ffn.experts.count, 2.0 * ffn.experts.top_k, ffn.other_parameters
            )
        )
        operators += _experts(ffn, context)
    if ffn.mlp is not None or context.sharding.ep == 1:
        operators += _all_reduce(context)
    return operators


def _mlp(mlp: Mlp, rows: Array, ranks: int) -> list[Operator]:
    width = -(-mlp.width // ranks)
    activation = Elementwise("activation", rows, (2.0 if mlp.gated else 1.0) * width, width)
    return [_gemm(mlp.up, rows, ranks, "ffn"), activation, _gemm(mlp.down, rows, ranks, "ffn")]


def _experts(ffn: FeedForward, context: _Context) -> list[Operator]:
    """Dispatch, the experts of this chip, combine. Rows are the mean over chips; imbalance is the caller's
    factor."""
    experts, sharding = ffn.experts, context.sharding
    if experts is None:
        return []
    tokens = context.rows * sharding.dp_attention
    rows = np.asarray(tokens * experts.top_k / sharding.ep)
    held = -(-experts.count // sharding.ep)
    hit = np.asarray(expected_distinct_experts(experts.count, experts.top_k, tokens) / sharding.ep)
    up, down = (shard(linear, sharding.expert_tp) for linear in (experts.mlp.up, experts.mlp.down))
    width = -(-experts.mlp.width // sharding.expert_tp)
    copies, row = experts.top_k, experts.mlp.up.k
    own = np.asarray(context.rows / sharding.tp)
    operators: list[Operator] = []
    if sharding.ep > 1:
        operators.append(Exchange("dispatch", sharding.ep, own, row, copies))
    elif sharding.dp_attention > 1:
        operators.append(Exchange("all_gather", sharding.dp_attention, context.rows, row))
    operators += [
        Elementwise("permute", rows, row, row),
        GroupedGemm(up.name, rows, held, hit, up.n, up.k, up.bias),
        Elementwise("expert_activation", rows, (2.0 if experts.mlp.gated else 1.0) * width, width),
        GroupedGemm(down.name, rows, held, hit, down.n, down.k, down.bias),
        Elementwise("unpermute", rows, row, row / copies),
    ]
    if sharding.ep > 1 and sharding.expert_tp > 1:
        operators.append(Exchange("all_reduce", sharding.expert_tp, rows, row))
    if sharding.ep > 1:
        operators.append(Exchange("combine", sharding.ep, own, row, copies))
    elif sharding.dp_attention > 1:
        operators.append(Exchange("reduce_scatter", sharding.chips, context.rows, row))
    return operators


def _lookup(model: Model, rows: Array) -> Elementwise:
    tables = 2.0 if model.position_parameters else 1.0
    return Elementwise("embedding", rows, 0.0, model.hidden, 0.0, tables)


def _head(model: Model, context: _Context, norm_parameters: int) -> list[Operator]:
    """Final norm, head, and the pass over logits that sampling makes."""
    ranks = context.sharding.tp
    local = shard(model.head, ranks)
    logits = context.logits
    return [
        _norm("final_norm", context, norm_parameters),
        Gemm("head", logits, local.n, local.k, bias=local.bias, part="embedding"),
        Elementwise("sample", logits, local.n, 1.0),
    ]


def _mtp(model: Model, context: _Context) -> list[Placed]:
    mtp = model.mtp
    if mtp is None:
        return []
    placed = _groups(mtp.layers, context)
    placed += [
        Placed(1, Elementwise("mtp_embedding", context.rows, 0.0, model.hidden, 0.0, 1.0)),
        Placed(1, _gemm(mtp.projection, context.rows, 1, "other")),
    ]
    placed += [Placed(1, operator) for operator in _head(model, context, mtp.other_parameters)]
    return [Placed(mtp.depth * each.count, each.operator) for each in placed]
