"""The operators of one step on one chip: shapes after sharding, with their FLOPs, weights and traffic.

A step is a list of segments, each some sequences with some new tokens after some cached ones, so that
prefill, decode,
chunked prefill beside decode and verification of draft tokens are one form. Sizes of segments may be arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.llm.dtypes import WeightDtypes
from suanli.llm.parts import Form

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Segment:
    """Sequences of one kind in a step of the replica.

    Attributes:
        sequences: sequences [1].
        new_tokens: tokens of each that this step computes [1].
        cached_tokens: tokens of each whose cache exists [1].
        logits: tokens of each that go through the head [1].
        form: how latent attention runs.
    """

    sequences: Array
    new_tokens: Array
    cached_tokens: Array
    logits: Array
    form: Form

    @property
    def tokens(self) -> Array:
        """New tokens of all its sequences [1]."""
        return np.asarray(self.sequences * self.new_tokens)


def prefill_segment(
    sequences: ArrayLike,
    new_tokens: ArrayLike,
    cached_tokens: ArrayLike = 0.0,
    *,
    logits: ArrayLike = 1.0,
    form: Form = "naive",
) -> Segment:
    """Prompts, or chunks of prompts, with a prefix that is cached already.

    Args:
        sequences: prompts [1].
        new_tokens: tokens to compute in each, at least 1 [1].
        cached_tokens: tokens of each prefix that are cached [1].
        logits: rows of logits each [1]; 0 for a chunk that does not end its prompt.
        form: how latent attention runs; naive expands the latents of prefix and new tokens.

    Returns:
        The segment.

    Raises:
        InputError: a negative number, or no new token.
    """
    return _segment(sequences, new_tokens, cached_tokens, logits, form)


def decode_segment(
    sequences: ArrayLike, context_tokens: ArrayLike, *, query_tokens: ArrayLike = 1.0, form: Form = "absorbed"
) -> Segment:
    """Running sequences that get one token each, or verify drafts.

    Args:
        sequences: sequences [1].
        context_tokens: positions of each, the new ones included [1].
        query_tokens: new positions each: 1, or 1 + drafts to verify [1].
        form: how latent attention runs.

    Returns:
        The segment; every new position goes through the head.

    Raises:
        InputError: a negative number, or a context shorter than the new positions.
    """
    query = np.asarray(query_tokens, dtype=float)
    return _segment(sequences, query, np.asarray(context_tokens, dtype=float) - query, query, form)


def _segment(
    sequences: ArrayLike, new_tokens: ArrayLike, cached_tokens: ArrayLike, logits: ArrayLike, form: Form
) -> Segment:
    count, new, cached, rows = (
        np.asarray(x, dtype=float) for x in (sequences, new_tokens, cached_tokens, logits)
    )
    if not np.all(new >= 1.0):
        raise InputError("a segment needs at least 1 new token")
    if not (np.all(cached >= 0.0) and np.all(count >= 0.0) and np.all(rows >= 0.0)):
        raise InputError("sequences, cached tokens and logits of a segment must not be negative")
    return Segment(count, new, cached, rows, form)


@dataclass(frozen=True, slots=True)
class Gemm:
    """Dense product y (m x n) = x (m x k) W, `copies` times with weights of their own (batched).

    Attributes:
        name: what it makes.
        m: rows [1].
        n: output width [1].
        k: input width [1].
        copies: products [1].
        bias: biases [1].
        part: which format its weights are in: "attention", "ffn", "embedding" (the head) or "other" (kept
            wide).
    """

    name: str
    m: Array
    n: int
    k: int
    copies: int = 1
    bias: int = 0
    part: Literal["attention", "ffn", "embedding", "other"] = "ffn"

    @property
    def flops(self) -> Array:
        """2 m n k copies [FLOP]."""
        return np.asarray(2.0 * self.m * self.n * self.k * self.copies)

    def weight_bytes(self, dtypes: WeightDtypes) -> Array:
        """Weights and biases, read once [byte]."""
        size = getattr(dtypes, self.part).size_bytes
        return np.asarray(self.n * self.k * self.copies * size + self.bias * dtypes.other.size_bytes)


@dataclass(frozen=True, slots=True)
class GroupedGemm:
    """Products of routed rows with the weights of their experts.

    Attributes:
        name: what it makes.
        rows: routed rows on this chip, over all its experts [1].
        experts: experts this chip holds [1].
        experts_hit: how many of them are expected to get a row [1].
        n: output width [1].
        k: input width [1].
        bias: biases of one expert [1].
    """

    name: str
    rows: Array
    experts: int
    experts_hit: Array
    n: int
    k: int
    bias: int = 0

    @property
    def flops(self) -> Array:
        """2 rows n k [FLOP]."""
        return np.asarray(2.0 * self.rows * self.n * self.k)

    def weight_bytes(self, dtypes: WeightDtypes) -> Array:
        """Weights and biases of the experts that get a row [byte]."""
        each = self.n * self.k * dtypes.experts.size_bytes + self.bias * dtypes.other.size_bytes
        return np.asarray(self.experts_hit * each)


@dataclass(frozen=True, slots=True)
class AttentionCore:
    """Scores and values of one segment over the cache.

    Attributes:
        name: "attention" or "index".
        form: "naive" reads keys and values of `kv_heads`; "absorbed" reads latents that all heads share.
        heads: query heads on this chip [1].
        kv_heads: key-value heads on this chip [1].
        qk_dim: width of the score product [1].
        v_dim: width of the value product, 0 for index scores [1].
        sequences: sequences on this chip [1].
        new_tokens: queries of each [1].
        cached_tokens: positions of each before them [1].
        pairs: query-key pairs of one sequence and head [1].
        read_values: cache values one sequence reads, each distinct entry once [1].
        written_values: cache values one sequence adds [1].
    """

    name: str
    form: Form
    heads: int
    kv_heads: int
    qk_dim: int
    v_dim: int
    sequences: Array
    new_tokens: Array
    cached_tokens: Array
    pairs: Array
    read_values: Array
    written_values: Array

    @property
    def flops(self) -> Array:
        """2 heads (d_qk + d_v) pairs sequences [FLOP]."""
        return np.asarray(2.0 * self.heads * (self.qk_dim + self.v_dim) * self.pairs * self.sequences)

    def weight_bytes(self, dtypes: WeightDtypes) -> Array:
        """No weights [byte]."""
        return np.zeros(())


@dataclass(frozen=True, slots=True)
class StateScan:
    """Convolution and recurrence of a state layer.

    Attributes:
        name: kind of the mixer.
        tokens: new tokens on this chip [1].
        sequences: sequences on this chip, whose states are read and written once [1].
        token_flops: FLOPs of one token in the recurrent form [FLOP].
        state_values: recurrent values of one sequence on this chip [1].
        conv_values: convolution values of one sequence on this chip [1].
        weights: convolution, decay and norm parameters [1].
    """

    name: str
    tokens: Array
    sequences: Array
    token_flops: float
    state_values: float
    conv_values: float
    weights: float

    @property
    def flops(self) -> Array:
        """Tokens x FLOPs of the recurrent form [FLOP]."""
        return np.asarray(self.tokens * self.token_flops)

    def weight_bytes(self, dtypes: WeightDtypes) -> Array:
        """Convolution, decay and norm parameters [byte]."""
        return np.asarray(self.weights * dtypes.other.size_bytes)


@dataclass(frozen=True, slots=True)
class Elementwise:
    """An operator that moves data and does no product: norm, rotary positions, activation, routing, lookup.

    Attributes:
        name: what it does.
        rows: rows [1].
        read_values: values read for a row, weights aside [1].
        written_values: values written for a row [1].
        weights: parameters read once [1].
        embedding_rows: rows of an embedding table read for a row [1], each `written_values` wide.
    """

    name: str
    rows: Array
    read_values: float
    written_values: float
    weights: float = 0.0
    embedding_rows: float = 0.0

    @property
    def flops(self) -> Array:
        """None by the convention of model FLOPs [FLOP]."""
        return np.zeros(())

    def weight_bytes(self, dtypes: WeightDtypes) -> Array:
        """Parameters, and the rows of a table that are looked up [byte]."""
        looked_up = self.rows * self.embedding_rows * self.written_values * dtypes.embedding.size_bytes
        return np.asarray(looked_up + self.weights * dtypes.other.size_bytes)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A collective that a layer needs; the network prices it.

    Attributes:
        name: "all_reduce", "all_gather", "reduce_scatter", "dispatch" or "combine".
        ranks: chips that take part [1].
        rows: rows of this chip: those it reduces, gives away, or gets back in the end [1].
        width: values of a row [1].
        copies: experts each row goes to, 1 outside dispatch and combine [1].
    """

    name: str
    ranks: int
    rows: Array
    width: int
    copies: int = 1

    @property
    def flops(self) -> Array:
        """None counted [FLOP]."""
        return np.zeros(())

    def weight_bytes(self, dtypes: WeightDtypes) -> Array:
        """No weights [byte]."""
        return np.zeros(())


Operator: TypeAlias = Gemm | GroupedGemm | AttentionCore | StateScan | Elementwise | Exchange


@dataclass(frozen=True, slots=True)
class Placed:
    """An operator and how often the step runs it.

    Attributes:
        count: times, as many as there are such layers [1].
        operator: the operator.
    """

    count: int
    operator: Operator


def operator_flops(operators: tuple[Placed, ...]) -> Array:
    """Sum of FLOPs over the operators of a step on one chip [FLOP]."""
    total = np.zeros(())
    for placed in operators:
        total = total + placed.count * placed.operator.flops
    return np.asarray(total)


def operator_weight_bytes(operators: tuple[Placed, ...], dtypes: WeightDtypes) -> Array:
    """Sum of weight bytes that the operators of a step read on one chip [byte]."""
    total = np.zeros(())
    for placed in operators:
        total = total + placed.count * placed.operator.weight_bytes(dtypes)
    return np.asarray(total)
