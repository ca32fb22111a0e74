"""Time of the parts of a step that depend on context: attention, latent projections, indexers, state scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware.attention import (
    AttentionDecodeCoefficients,
    AttentionPrefillCoefficients,
    attention_decode_time_s,
    attention_prefill_time_s,
)
from suanli.hardware.formats import number_format
from suanli.hardware.gemm import GemmCoefficients, gemm_time_s
from suanli.hardware.mla import (
    LatentShape,
    MlaDecodeCoefficients,
    MlaPrefillCoefficients,
    mla_decode_time_s,
    mla_prefill_time_s,
)
from suanli.llm import Attention, Model, Sharding, Span, StateMixer
from suanli.serving.kernels import Kernels
from suanli.serving.precision import Precision

Array = NDArray[np.float64]

# Rows at which the products of latent attention are timed.
ROWS = np.array(
    [0, 1, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 16384, 131072, 2.0**24]
)
# Framework whose prefill kernel for latent attention expands keys and values, and a prompt to compare kernels by.
_EXPANDING = "trtllm"
_PROMPT = 4096.0
_STATE_LAUNCH_S = 8e-6
_STATE_EFFICIENCY = 0.6
_SCAN_COMPUTE_EFFICIENCY = 0.25
# Chunked scans do about this much more arithmetic than the recurrent form (arXiv 2405.21060, section 6).
_CHUNKED_GAIN = 4.0
_INDEX_LAUNCH_S = 15e-6
# H800, DeepSeek's index scores: 0.54 to 0.59 of the FP8 peak in prefill (InferSim bench_data/dsa).
_INDEX_EFFICIENCY = 0.55


@dataclass(frozen=True, slots=True)
class Grouped:
    """GQA layers of one shape on one chip.

    Attributes:
        count: layers [1].
        heads: query heads [1].
        kv_heads: KV heads [1].
        dim: head dimension [1].
        spans: what a token attends to.
    """

    count: int
    heads: int
    kv_heads: int
    dim: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class LatentLayers:
    """MLA layers of one shape on one chip.

    Attributes:
        count: layers [1].
        heads: query heads [1].
        shape: dimensions of the latent attention.
        spans: what a token attends to.
        index_heads: heads of the indexer that each scores positions with; 0 for none [1].
        index_dim: width of an index key [1].
        sparse: whether attention reads a selection.
    """

    count: int
    heads: int
    shape: LatentShape
    spans: tuple[Span, ...]
    index_heads: int = 0
    index_dim: int = 0
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class States:
    """Layers with a constant state.

    Attributes:
        count: layers [1].
        state_bytes: state of one sequence on this chip [byte].
        token_flops: FLOPs of a token in the recurrent form [FLOP].
    """

    count: int
    state_bytes: float
    token_flops: float


Layers = TypeVar("Layers", Grouped, LatentLayers, States)


class AttentionTime:
    """Attention of one chip of a layout as functions of arrays; sequences are those of the chip's attention group."""

    def __init__(self, model: Model, sharding: Sharding, precision: Precision, kernels: Kernels) -> None:
        """Collect the layers of each kind and the coefficients of their kernels."""
        self.chip = kernels.chip.operators
        self.kv = precision.kv
        self.form = precision.attention
        self.grouped: list[Grouped] = []
        self.latent: list[LatentLayers] = []
        self.states: list[States] = []
        self.absorb: list[Array] = []
        self.expand: list[Array] = []
        for group in model.layers:
            if isinstance(group.mixer, Attention):
                self._attention(group.count, group.mixer, sharding.tp)
            elif isinstance(group.mixer, StateMixer):
                mixer = group.mixer
                size = (mixer.state_values * 4.0 + mixer.conv_values * 2.0) / sharding.tp
                _collect(self.states, States(group.count, size, mixer.scan_flops / sharding.tp))
        kv = "fp8" if number_format(precision.kv).weight_bytes < 1.5 else "bf16"
        prefill = "fp8" if kv == "fp8" and "fp8" in self.chip.peak_flop_per_s else "bf16"
        self.prefill_form = prefill
        if self.grouped:
            self.decode_set = kernels.get("attention_decode", AttentionDecodeCoefficients, kv)
            self.prefill_set = kernels.get("attention_prefill", AttentionPrefillCoefficients, prefill)
        if self.latent:
            self.mla_decode_set = kernels.get("mla_decode", MlaDecodeCoefficients, kv)
            self.mla_prefill_set = self._fastest_prefill(kernels, kv)
            gemm = kernels.get("gemm", GemmCoefficients, self.form)
            self.absorb = [self._products(one, gemm, absorbed=True) for one in self.latent]
            self.expand = [self._products(one, gemm, absorbed=False) for one in self.latent]

    def _attention(self, count: int, mixer: Attention, tp: int) -> None:
        heads = -(-mixer.heads // tp)
        if mixer.latent is None:
            dim = round((mixer.qk_dim + mixer.v_dim) / 2)
            _collect(self.grouped, Grouped(count, heads, -(-mixer.kv_heads // tp), dim, mixer.attends))
            return
        shape = LatentShape(mixer.latent.rank, mixer.latent.rope_dim, mixer.latent.nope_dim, mixer.v_dim)
        indexer = mixer.indexer
        _collect(
            self.latent,
            LatentLayers(
                count=count,
                heads=heads,
                shape=shape,
                spans=mixer.attends,
                index_heads=indexer.heads if indexer else 0,
                index_dim=indexer.dim if indexer else 0,
                sparse=mixer.sparse,
            ),
        )

    def _fastest_prefill(self, kernels: Kernels, kv: str) -> MlaPrefillCoefficients:
        """The faster of the framework's own prefill kernel and one that expands keys and values, which all have."""
        sets = [
            kernels.get("mla_prefill", MlaPrefillCoefficients, kv, framework=name)
            for name in (None, _EXPANDING)
        ]
        layer = self.latent[0]
        times = [
            float(mla_prefill_time_s(1.0, _PROMPT, layer.heads, self.chip, one, layer.shape)) for one in sets
        ]
        return sets[times.index(min(times))]

    def _products(self, layer: LatentLayers, gemm: GemmCoefficients, absorbed: bool) -> Array:
        """Time of one layer's products that absorb or expand the latent, on a grid of rows [s]."""
        shape = layer.shape
        sizes: tuple[tuple[int, int], ...] = ((shape.latent, shape.nope), (shape.value, shape.latent))
        if not absorbed:
            sizes = ((shape.nope + shape.value, shape.latent),)
        total = np.zeros(ROWS.size)
        for n, k in sizes:
            total = total + gemm_time_s(ROWS, n * layer.heads, k, self.form, self.chip, gemm)
        return total

    def decode_s(self, sequences: ArrayLike, context: ArrayLike, query_tokens: ArrayLike = 1.0) -> Array:
        """Time of decode attention of all layers.

        Args:
            sequences: sequences on the chip [1].
            context: tokens of each, the new ones included [token].
            query_tokens: new tokens of each [token].

        Returns:
            Time [s]; 0 for no sequences.
        """
        batch, context, query = (np.asarray(v, dtype=float) for v in (sequences, context, query_tokens))
        busy = np.maximum(batch, 1e-9)
        total = np.zeros(np.broadcast_shapes(batch.shape, context.shape, query.shape))
        for layer in self.grouped:
            time = attention_decode_time_s(
                np.maximum(busy, 1.0),
                _entries(layer.spans, context),
                layer.heads,
                layer.kv_heads,
                layer.dim,
                self.kv,
                self.chip,
                self.decode_set,
                query_tokens=query,
            )
            total = total + layer.count * time
        for one, absorb in zip(self.latent, self.absorb, strict=True):
            total = total + self._latent_decode(one, absorb, np.maximum(busy, 1.0), context, query)
        for state in self.states:
            total = total + state.count * self._state_s(state, busy, busy * query)
        return np.where(batch > 0.0, total, 0.0)

    def _latent_decode(
        self, layer: LatentLayers, absorb: Array, batch: Array, context: Array, query: Array
    ) -> Array:
        entries = _entries(layer.spans, context)
        core = mla_decode_time_s(
            batch, entries, layer.heads, self.kv, self.chip, self.mla_decode_set, layer.shape, query
        )
        rows = batch * query
        time = layer.count * (core + np.interp(rows, ROWS, absorb))
        return time + layer.count * self._index_s(layer, rows, rows * context, batch * context)

    def prefill_s(self, sequences: ArrayLike, new: ArrayLike, cached: ArrayLike = 0.0) -> Array:
        """Time of prefill attention of all layers.

        Args:
            sequences: prompts, or chunks of prompts, on the chip [1].
            new: tokens of each to compute [token].
            cached: tokens of each that are cached [token].

        Returns:
            Time [s]; 0 for no prompts.
        """
        batch, new, cached = (np.asarray(v, dtype=float) for v in (sequences, new, cached))
        busy = np.maximum(batch, 1e-9)
        total = np.zeros(np.broadcast_shapes(batch.shape, new.shape, cached.shape))
        for layer in self.grouped:
            window = max((span.cap for span in layer.spans if span.kind != "full"), default=0)
            time = attention_prefill_time_s(
                busy,
                new,
                layer.heads,
                layer.kv_heads,
                layer.dim,
                self.prefill_form,
                self.chip,
                self.prefill_set,
                prefix_tokens=cached,
                window_tokens=window,
            )
            total = total + layer.count * time
        for index, one in enumerate(self.latent):
            total = total + self._latent_prefill(one, index, busy, new, cached)
        for state in self.states:
            total = total + state.count * self._state_s(state, busy, busy * new, _CHUNKED_GAIN)
        return np.where((batch > 0.0) & (new > 0.0), total, 0.0)

    def _latent_prefill(
        self, layer: LatentLayers, index: int, batch: Array, new: Array, cached: Array
    ) -> Array:
        tokens, shape = batch * new, layer.shape
        pairs = tokens * (cached + 0.5 * (new + 1.0))
        scores = layer.count * self._index_s(layer, tokens, pairs, batch * (new + cached))
        if layer.sparse:
            # Sparse kernels read latents for every query, as decode does.
            entries = _entries(layer.spans, cached + 0.5 * (new + 1.0))
            core = mla_decode_time_s(
                tokens, entries, layer.heads, self.kv, self.chip, self.mla_decode_set, shape
            )
            return np.asarray(layer.count * core + scores)
        core = mla_prefill_time_s(
            batch, new, layer.heads, self.chip, self.mla_prefill_set, shape, prefix_tokens=cached
        )
        absorbed = self.mla_prefill_set.absorbed > 0.5
        rows = tokens if absorbed else batch * (new + cached)
        core = core + np.interp(rows, ROWS, (self.absorb if absorbed else self.expand)[index])
        return np.asarray(layer.count * core + scores)

    def _index_s(self, layer: LatentLayers, rows: Array, pairs: Array, keys: Array) -> Array:
        """Scores of one indexer layer, which every chip computes whole, and the choice of the best."""
        if not layer.index_heads:
            return np.zeros(())
        flops = 2.0 * layer.index_heads * layer.index_dim * pairs
        peak = self.chip.peak("fp8" if "fp8" in self.chip.peak_flop_per_s else "bf16")
        moved = keys * layer.index_dim + 8.0 * pairs
        bandwidth = np.asarray(self.chip.memory_bandwidth_bytes_per_s) * _STATE_EFFICIENCY
        return np.asarray(_INDEX_LAUNCH_S + flops / (peak * _INDEX_EFFICIENCY) + moved / bandwidth)

    def _state_s(self, state: States, sequences: Array, tokens: Array, gain: float = 1.0) -> Array:
        bandwidth = np.asarray(self.chip.memory_bandwidth_bytes_per_s) * _STATE_EFFICIENCY
        memory = 2.0 * sequences * state.state_bytes / bandwidth
        flops = gain * tokens * state.token_flops
        compute = flops / (self.chip.peak("bf16") * _SCAN_COMPUTE_EFFICIENCY)
        return np.asarray(_STATE_LAUNCH_S + np.maximum(memory, compute))

    def decode_work(self, sequences: ArrayLike, context: ArrayLike) -> tuple[Array, Array]:
        """FLOPs [FLOP] and bytes [byte] of decode attention, for utilisation."""
        batch, context = np.asarray(sequences, dtype=float), np.asarray(context, dtype=float)
        flops, moved = np.zeros(()), np.zeros(())
        size = number_format(self.kv).weight_bytes
        for layer in self.grouped:
            entries = batch * _entries(layer.spans, context)
            flops = flops + layer.count * 4.0 * layer.heads * layer.dim * entries
            moved = moved + layer.count * 2.0 * layer.kv_heads * layer.dim * size * entries
        for one in self.latent:
            entries = batch * _entries(one.spans, context)
            width = one.shape.latent + one.shape.rope
            flops = flops + one.count * 2.0 * one.heads * (width + one.shape.latent) * entries
            moved = moved + one.count * width * size * entries
        for state in self.states:
            flops = flops + state.count * state.token_flops * batch
            moved = moved + state.count * 2.0 * state.state_bytes * batch
        return np.asarray(flops), np.asarray(moved)

    def prefill_flops(self, sequences: ArrayLike, new: ArrayLike, cached: ArrayLike = 0.0) -> Array:
        """FLOPs of prefill attention [FLOP]."""
        batch, new, cached = (np.asarray(v, dtype=float) for v in (sequences, new, cached))
        total = np.zeros(())
        for layer in self.grouped:
            pairs = batch * _pairs(layer.spans, new, cached)
            total = total + layer.count * 4.0 * layer.heads * layer.dim * pairs
        for one in self.latent:
            pairs = batch * _pairs(one.spans, new, cached)
            width = one.shape.nope + one.shape.rope + one.shape.value
            total = total + one.count * 2.0 * one.heads * width * pairs
        for state in self.states:
            total = total + state.count * state.token_flops * batch * new
        return np.asarray(total)


def _collect(found: list[Layers], new: Layers) -> None:
    """Add layers to those of their shape: their time is then computed once for all."""
    for index, one in enumerate(found):
        if replace(one, count=new.count) == new:
            found[index] = replace(one, count=one.count + new.count)
            return
    found.append(new)


def _entries(spans: Sequence[Span], context: Array) -> Array:
    total = np.zeros(())
    for span in spans:
        total = total + span.entries(context)
    return np.maximum(total, 1.0)


def _pairs(spans: Sequence[Span], new: Array, cached: Array) -> Array:
    total = np.zeros(())
    for span in spans:
        total = total + span.cumulative(cached + new) - span.cumulative(cached)
    return total
