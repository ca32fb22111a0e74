"""FLOPs per token: prefill, decode, training, by part. A multiply-add is two FLOPs; only products count.

Norms, softmax, rotary positions and activations are left out, as in all published model FLOPs; they are
operators of
memory, not of arithmetic (`suanli.llm.operators` lists them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.llm.model import LayerGroup, Model
from suanli.llm.parts import Attention, FeedForward, Form, StateMixer
from suanli.llm.spans import Span, attended, attended_pairs

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flops:
    """FLOPs by part; each part broadcasts over the arguments it depends on.

    Attributes:
        attention_projections: products around the attention cores and state scans [FLOP].
        attention_core: scores and values, index scores, state scans [FLOP].
        ffn: dense FFNs, shared experts, projections into a narrower expert space [FLOP].
        experts: routed experts [FLOP].
        router: expert scores and shared-expert gates [FLOP].
        head: output head [FLOP].
        mtp: multi-token prediction modules with their pass through the head [FLOP].
    """

    attention_projections: Array
    attention_core: Array
    ffn: Array
    experts: Array
    router: Array
    head: Array
    mtp: Array

    @property
    def total(self) -> Array:
        """All parts together [FLOP]."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return np.asarray(sum(parts[1:], start=parts[0]))

    def scaled(self, factor: ArrayLike) -> Flops:
        """Every part times a factor, as for forward and backward passes [FLOP]."""
        return Flops(*(np.asarray(getattr(self, field.name) * np.asarray(factor)) for field in fields(self)))


def decode_flops_per_token(
    model: Model, context_tokens: ArrayLike, *, form: Form = "absorbed", mtp: bool = False
) -> Flops:
    """FLOPs of one token generated at a context length.

    Projections 2 k n each; core 2 H (d_qk + d_v) c with c the positions attended; experts k of E; head 2 h V.
    Absorbed latent attention reads latents, d_qk = rank + rope and d_v = rank; naive keeps expanded keys and
    values.

    Args:
        model: the model.
        context_tokens: positions so far, the token's own included [1].
        form: how latent attention runs.
        mtp: whether MTP modules run too.

    Returns:
        FLOPs by part [FLOP], broadcast over `context_tokens`.

    Raises:
        InputError: a context below one token.

    Reference: arXiv 2204.02311 appendix B; arXiv 2405.04434 section 2.1 and appendix C (absorption).
    """
    context = _at_least_one(context_tokens, "context_tokens")
    run = _Pass(lambda spans: attended(spans, context), form, np.zeros(()))
    return _forward(model, run, 1.0, mtp)


def prefill_flops_per_token(
    model: Model,
    context_tokens: ArrayLike,
    *,
    causal: bool = True,
    cached_tokens: ArrayLike = 0.0,
    form: Form = "naive",
    head: Literal["last", "all"] = "last",
    mtp: bool = False,
) -> Flops:
    """FLOPs of one prompt token: the mean over the new tokens of a prompt.

    A causal token at position i attends what its layer's span gives; the mean over positions is exact, (s +
    1)/2 for a
    whole prompt in a full layer. Naive latent attention expands the latents of cached tokens again, which is
    included.

    Args:
        model: the model.
        context_tokens: prompt length, cached tokens included [1].
        causal: False lets every token attend the whole prompt, as kernels without causal skipping and some
            published
            counts do.
        cached_tokens: tokens of the prompt whose cache exists already [1].
        form: how latent attention runs.
        head: "last": one row of logits a prompt, as serving does; "all": one a token, as training does.
        mtp: whether MTP modules run too.

    Returns:
        FLOPs by part [FLOP], broadcast over the lengths.

    Raises:
        InputError: less than one new token.

    Reference: arXiv 2204.02311 appendix B; arXiv 2001.08361.
    """
    context = _at_least_one(context_tokens, "context_tokens")
    cached = np.asarray(cached_tokens, dtype=float)
    new = _at_least_one(context - cached, "context_tokens - cached_tokens")

    def mean(spans: tuple[Span, ...]) -> Array:
        if causal:
            return np.asarray(attended_pairs(spans, new, cached) / new)
        return attended(tuple(_whole(span) for span in spans), context)

    return _forward(model, _Pass(mean, form, cached / new), 1.0 if head == "all" else 1.0 / new, mtp)


def training_flops_per_token(
    model: Model, sequence_tokens: ArrayLike, *, causal: bool = True, mtp: bool = False
) -> Flops:
    """Model FLOPs of one training token: forward and backward, three times the forward pass, no
    recomputation.

    By convention a causal token attends half the sequence, s/2; windows cap it.

    Args:
        model: the model.
        sequence_tokens: sequence length s [1].
        causal: False counts the full square, as some published figures do.
        mtp: whether MTP modules train too: each one layer, its 2h -> h projection and a pass through the
            head.

    Returns:
        FLOPs by part [FLOP].

    Raises:
        InputError: a sequence below one token.

    Reference: arXiv 2204.02311 appendix B; arXiv 2104.04473 section 5.1.
    """
    sequence = _at_least_one(sequence_tokens, "sequence_tokens")

    def mean(spans: tuple[Span, ...]) -> Array:
        if not causal:
            return attended(tuple(_whole(span) for span in spans), sequence)
        return np.asarray(sum((span.area(sequence) for span in spans), start=np.zeros(())) / sequence)

    return _forward(model, _Pass(mean, "naive", np.zeros(())), 1.0, mtp).scaled(3.0)


def _whole(span: Span) -> Span:
    """The span of a token at the end of the sequence; a chunk counts as its full width."""
    return Span("window", span.cap, span.ratio) if span.kind == "chunk" else span


def _at_least_one(tokens: ArrayLike, name: str) -> Array:
    found = np.asarray(tokens, dtype=float)
    if not np.all(found >= 1.0):
        raise InputError(f"{name} must be at least 1")
    return found


@dataclass(frozen=True, slots=True)
class _Pass:
    """One forward pass: how many positions a span means, the form of latents, cached tokens expanded per new
    one."""

    positions: Callable[[tuple[Span, ...]], Array]
    form: Form
    expanded: Array


def _forward(model: Model, run: _Pass, logits: ArrayLike, mtp: bool) -> Flops:
    main = _layers(model.layers, run)
    head = np.asarray(model.head.flops * np.asarray(logits))
    ahead = np.zeros(())
    if mtp and model.mtp is not None:
        module = _layers(model.mtp.layers, run).total + model.mtp.projection.flops + head
        ahead = np.asarray(model.mtp.depth * module)
    return replace(main, head=head, mtp=ahead)


def _layers(groups: tuple[LayerGroup, ...], run: _Pass) -> Flops:
    projections, ffn, experts, router = np.zeros(()), 0, 0, 0
    core = np.zeros(())
    for group in groups:
        if group.mixer is not None:
            projections = projections + group.count * _projections(group.mixer, run)
            core = core + group.count * _core(group.mixer, run)
        if group.ffn is not None:
            routed = _router(group.ffn)
            router += group.count * routed
            ffn += group.count * (sum(linear.flops for linear in group.ffn.linears) - routed)
            if group.ffn.experts is not None:
                experts += group.count * group.ffn.experts.top_k * group.ffn.experts.mlp.flops
    none = np.zeros(())
    return Flops(
        projections,
        core,
        np.asarray(float(ffn)),
        np.asarray(float(experts)),
        np.asarray(float(router)),
        none,
        none,
    )


def _router(ffn: FeedForward) -> int:
    router = ffn.router.flops if ffn.router else 0
    return router + sum(linear.flops for linear in ffn.extra if linear.kept_wide)


def _projections(mixer: Attention | StateMixer, run: _Pass) -> Array:
    total = np.asarray(float(sum(linear.flops for linear in mixer.linears)))
    if isinstance(mixer, Attention) and mixer.latent is not None and mixer.form(run.form) == "naive":
        return total + mixer.latent.up.flops * run.expanded
    return total


def _core(mixer: Attention | StateMixer, run: _Pass) -> Array:
    if isinstance(mixer, StateMixer):
        return np.asarray(float(mixer.scan_flops))
    qk_dim, v_dim = mixer.core_widths(run.form)
    total = 2.0 * mixer.heads * (qk_dim + v_dim) * run.positions(mixer.attends)
    if mixer.indexer is not None:
        total = total + 2.0 * mixer.indexer.heads * mixer.indexer.dim * run.positions((mixer.indexer.span,))
    return np.asarray(total)
