"""Parts of a layer: matrix products, token mixers, feed-forward parts.

A matrix product is a `Linear`, so that parameters, FLOPs, bytes and operators all count from the same list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from suanli.llm.spans import Span

Form = Literal["naive", "absorbed"]


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix product y = x W (+ b), `copies` times with weights of their own (per head or group).

    Attributes:
        name: what it makes ("qkv", "o", "gate_up").
        k: input width [1].
        n: output width [1].
        bias: biases [1].
        cut: the side that tensor parallelism divides: "n" (column parallel), "k" (row parallel), "copies" or
            "none".
        pieces: (units, width) pairs that add up to the cut side; units (heads, columns) go to ranks whole,
            and fewer
            units than ranks are repeated.
        copies: products of this shape [1].
        kept_wide: quantised checkpoints leave it in 16 bits (routers, MTP projection, index weights).
    """

    name: str
    k: int
    n: int
    bias: int = 0
    cut: Literal["none", "n", "k", "copies"] = "none"
    pieces: tuple[tuple[int, int], ...] = ()
    copies: int = 1
    kept_wide: bool = False

    @property
    def parameters(self) -> int:
        """Weights and biases [1]."""
        return self.copies * self.k * self.n + self.bias

    @property
    def flops(self) -> int:
        """FLOPs for one token: 2 k n copies [FLOP]."""
        return 2 * self.copies * self.k * self.n


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention: what the cache holds and how keys and values grow out of it (arXiv
    2405.04434).

    Attributes:
        rank: width of the compressed key-value vector [1].
        nope_dim: key width per head that comes from the latent [1].
        rope_dim: rotary key width, shared by the heads [1].
        up: the product rank -> heads (nope_dim + v_dim); absorbed decode splits it over queries and outputs.
    """

    rank: int
    nope_dim: int
    rope_dim: int
    up: Linear


@dataclass(frozen=True, slots=True)
class Indexer:
    """Scores earlier positions cheaply, so that attention reads only the best of them (DeepSeek sparse
    attention).

    Attributes:
        heads: index heads [1].
        dim: width of an index vector [1].
        span: positions it scores and whose keys it keeps.
        inputs: its products.
        other_parameters: norms and position tables [1].
    """

    heads: int
    dim: int
    span: Span
    inputs: tuple[Linear, ...]
    other_parameters: int


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention over a cache.

    Attributes:
        kind: "mha", "gqa", "mqa" or "mla".
        heads: query heads [1].
        kv_heads: key-value heads [1].
        qk_dim: width of a query or key head in the score product [1].
        v_dim: width of a value head [1].
        inputs: products before the core (QKV and what leads to it).
        outputs: products after it.
        other_parameters: norms, sinks, position tables of compressors [1].
        attends: positions a token looks at.
        keeps: positions whose cache this layer holds; empty where it uses the cache of the layer before.
        cache_width: values the cache holds per entry [1].
        latent: set for "mla".
        indexer: set where this layer scores positions itself.
        sparse: attends a selection that an indexer of this or an earlier layer made.
    """

    kind: Literal["mha", "gqa", "mqa", "mla"]
    heads: int
    kv_heads: int
    qk_dim: int
    v_dim: int
    inputs: tuple[Linear, ...]
    outputs: tuple[Linear, ...]
    other_parameters: int
    attends: tuple[Span, ...]
    keeps: tuple[Span, ...]
    cache_width: int
    latent: Latent | None = None
    indexer: Indexer | None = None
    sparse: bool = False

    @property
    def linears(self) -> tuple[Linear, ...]:
        """All products, those of latent and indexer included."""
        inner = (self.latent.up,) if self.latent else ()
        index = self.indexer.inputs if self.indexer else ()
        return (*self.inputs, *inner, *index, *self.outputs)

    @property
    def parameters(self) -> int:
        """Weights, biases and the rest [1]."""
        index = self.indexer.other_parameters if self.indexer else 0
        return sum(linear.parameters for linear in self.linears) + self.other_parameters + index

    def form(self, wanted: Form) -> Form:
        """The form the core runs in: sparse latent kernels read latents, so they are always absorbed."""
        return "absorbed" if self.sparse else wanted

    def core_widths(self, form: Form) -> tuple[int, int]:
        """Width of score and value products per query head: (d_qk, d_v), or absorbed (rank + rope, rank)
        [1]."""
        if self.latent is None or self.form(form) == "naive":
            return self.qk_dim, self.v_dim
        return self.latent.rank + self.latent.rope_dim, self.latent.rank

    def entry_width(self, form: Form) -> int:
        """Values one cache entry holds: `cache_width`, or with expanded latents heads (d_qk + d_v) [1]."""
        if self.latent is None or self.form(form) == "absorbed":
            return self.cache_width
        return self.heads * (self.qk_dim + self.v_dim)


@dataclass(frozen=True, slots=True)
class StateMixer:
    """A layer with a constant state instead of a cache: Mamba-2, Gated DeltaNet, Kimi Delta Attention.

    Attributes:
        kind: which of them.
        heads: heads, the units tensor parallelism divides [1].
        inputs: products before the scan.
        outputs: products after it.
        other_parameters: convolution, decay, norms [1].
        state_values: values of the recurrent state of one sequence [1].
        conv_values: values of its convolution state [1].
        scan_flops: FLOPs of scan and convolution for one token in the recurrent form; chunked kernels do more
            arithmetic for the same result, so this is a lower bound [FLOP].
    """

    kind: Literal["mamba2", "gated_deltanet", "kda"]
    heads: int
    inputs: tuple[Linear, ...]
    outputs: tuple[Linear, ...]
    other_parameters: int
    state_values: int
    conv_values: int
    scan_flops: int

    @property
    def linears(self) -> tuple[Linear, ...]:
        """All products."""
        return (*self.inputs, *self.outputs)

    @property
    def parameters(self) -> int:
        """Weights, biases and the rest [1]."""
        return sum(linear.parameters for linear in self.linears) + self.other_parameters


@dataclass(frozen=True, slots=True)
class Mlp:
    """Two products with an activation between: gated (gate and up fused) or plain.

    Attributes:
        up: hidden -> width, or 2 width where gated.
        down: width -> hidden.
        width: activations of one token [1].
        gated: whether a gate multiplies the up half.
    """

    up: Linear
    down: Linear
    width: int
    gated: bool

    @property
    def parameters(self) -> int:
        """Weights and biases [1]."""
        return self.up.parameters + self.down.parameters

    @property
    def flops(self) -> int:
        """FLOPs for one token [FLOP]."""
        return self.up.flops + self.down.flops


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of one layer.

    Attributes:
        count: experts [1].
        top_k: experts a token visits [1].
        mlp: one expert.
    """

    count: int
    top_k: int
    mlp: Mlp

    @property
    def parameters(self) -> int:
        """Weights and biases of all of them [1]."""
        return self.count * self.mlp.parameters


@dataclass(frozen=True, slots=True)
class FeedForward:
    """Feed-forward part of a layer: dense, or routed experts with or without shared ones.

    Attributes:
        mlp: the dense FFN, or the shared experts as one; None where there is neither.
        experts: the routed experts; None for a dense layer.
        router: scores of the experts.
        extra: shared-expert gate, projections into and out of a narrower expert space.
        other_parameters: routing biases and norms [1].
    """

    mlp: Mlp | None
    experts: Experts | None = None
    router: Linear | None = None
    extra: tuple[Linear, ...] = ()
    other_parameters: int = 0

    @property
    def linears(self) -> tuple[Linear, ...]:
        """All products that every token goes through, the router included."""
        router = (self.router,) if self.router else ()
        mlp = (self.mlp.up, self.mlp.down) if self.mlp else ()
        return (*router, *self.extra, *mlp)

    @property
    def parameters(self) -> int:
        """Weights and biases, all experts included [1]."""
        routed = self.experts.parameters if self.experts else 0
        return sum(linear.parameters for linear in self.linears) + self.other_parameters + routed

    @property
    def active_parameters(self) -> int:
        """Parameters that one token goes through [1]."""
        if self.experts is None:
            return self.parameters
        return self.parameters - (self.experts.count - self.experts.top_k) * self.experts.mlp.parameters
