"""Bytes of weights and of the cache: stored, and read in a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.llm.dtypes import Dtype, WeightDtypes, dtype, resolve
from suanli.llm.model import LayerGroup, Model
from suanli.llm.parts import Attention, Form, Linear, StateMixer

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WeightBytes:
    """Bytes of a checkpoint by part.

    Attributes:
        experts: routed experts of the main model [byte].
        attention: products of attention and state layers [byte].
        ffn: dense FFNs, shared experts, routers [byte].
        embedding: token embedding, positions and head [byte].
        other: norms, biases, convolutions [byte].
        mtp: MTP modules, where asked for [byte].
        vision: vision tower, where asked for [byte].
    """

    experts: float
    attention: float
    ffn: float
    embedding: float
    other: float
    mtp: float
    vision: float

    @property
    def total(self) -> float:
        """All parts together [byte]."""
        return self.experts + self.rest

    @property
    def rest(self) -> float:
        """All but the routed experts [byte]."""
        return self.attention + self.ffn + self.embedding + self.other + self.mtp + self.vision


@dataclass(frozen=True, slots=True)
class LayerBytes:
    """Weight bytes of one layer: routed experts, attention, other FFN products, the rest [byte]."""

    experts: float
    attention: float
    ffn: float
    other: float

    @property
    def total(self) -> float:
        """All parts together [byte]."""
        return self.experts + self.attention + self.ffn + self.other


def layer_bytes(group: LayerGroup, dtypes: WeightDtypes) -> LayerBytes:
    """Weight bytes of one layer of a group: weights of products in their format, biases and the rest in
    `other`.

    Args:
        group: the group.
        dtypes: formats.

    Returns:
        Bytes by part [byte].
    """
    experts = 0.0
    mixing = group.mixer.linears if group.mixer is not None else ()
    feeding = group.ffn.linears if group.ffn is not None else ()
    counted = sum(one.parameters for one in (*mixing, *feeding))
    if group.ffn is not None and group.ffn.experts is not None:
        routed = group.ffn.experts
        each = sum(matrix_bytes(one, dtypes, dtypes.experts) for one in (routed.mlp.up, routed.mlp.down))
        experts = routed.count * each
        counted += routed.parameters
    return LayerBytes(
        experts=experts,
        attention=sum(matrix_bytes(one, dtypes, dtypes.attention) for one in mixing),
        ffn=sum(matrix_bytes(one, dtypes, dtypes.ffn) for one in feeding),
        other=(group.parameters - counted) * dtypes.other.size_bytes,
    )


def matrix_bytes(linear: Linear, dtypes: WeightDtypes, form: Dtype) -> float:
    """Bytes of a product: weights in `form`, or wide where `kept_wide` says so; biases always wide [byte]."""
    weights = linear.parameters - linear.bias
    chosen = dtypes.other if linear.kept_wide else form
    return weights * chosen.size_bytes + linear.bias * dtypes.other.size_bytes


def weight_bytes(
    model: Model, dtypes: WeightDtypes | str | None = None, *, mtp: bool = False, vision: bool = False
) -> WeightBytes:
    """Bytes of a model's weights: every parameter times the size of its format, block scales included.

    Args:
        model: the model.
        dtypes: formats; a name means a checkpoint quantised to it, with embedding, head, norms and routers
            left in 16 bits;
            None means the checkpoint's own. `WeightDtypes.uniform` puts every parameter in one format.
        mtp: whether MTP modules are held too; they share embedding and head.
        vision: whether the vision tower is held too.

    Returns:
        Bytes by part [byte].

    Raises:
        UnknownIdError: no such format.
    """
    forms = model.dtypes if dtypes is None else resolve(dtypes)
    rows = [(group.count, layer_bytes(group, forms)) for group in model.layers]
    tables = model.embedding_parameters + model.position_parameters
    if not model.tied_embeddings:
        tables += model.head.parameters - model.head.bias
    modules = 0.0
    if mtp and model.mtp is not None:
        modules = model.mtp.depth * mtp_module_bytes(model, forms)
    return WeightBytes(
        experts=sum(count * row.experts for count, row in rows),
        attention=sum(count * row.attention for count, row in rows),
        ffn=sum(count * row.ffn for count, row in rows),
        embedding=tables * forms.embedding.size_bytes,
        other=sum(count * row.other for count, row in rows)
        + (model.final_parameters + model.head.bias) * forms.other.size_bytes,
        mtp=modules,
        vision=model.vision_parameters * forms.other.size_bytes if vision else 0.0,
    )


def mtp_module_bytes(model: Model, dtypes: WeightDtypes) -> float:
    """Weight bytes of one MTP module without embedding and head; 0 where the model has none [byte]."""
    if model.mtp is None:
        return 0.0
    layers = sum(group.count * layer_bytes(group, dtypes).total for group in model.mtp.layers)
    own = (
        matrix_bytes(model.mtp.projection, dtypes, dtypes.other)
        + model.mtp.other_parameters * dtypes.other.size_bytes
    )
    return layers + own


def expected_distinct_experts(experts: int, top_k: int, tokens: ArrayLike) -> Array:
    """Expected number of different experts that T tokens visit: E (1 - (1 - k/E)^T), with uniform routing.

    Exact for tokens that choose independently and k different experts each. Skewed routing visits fewer.

    Args:
        experts: E, experts of a layer [1].
        top_k: k, experts a token visits [1].
        tokens: T, tokens of the step [1].

    Returns:
        Experts [1], between k (one token) and min(E, k T).

    Reference: occupancy problem; Feller, An Introduction to Probability Theory, volume 1.
    """
    count = np.asarray(tokens, dtype=float)
    if top_k >= experts:
        return np.where(count > 0, float(experts), 0.0)
    return np.asarray(-experts * np.expm1(count * np.log1p(-top_k / experts)))


def weight_bytes_read(
    model: Model,
    tokens: ArrayLike,
    dtypes: WeightDtypes | str | None = None,
    *,
    mtp: bool = False,
) -> Array:
    """Weight bytes one step of T tokens reads: all but the routed experts, and of those the expected distinct
    ones.

    Of the embedding table T rows are read; the head is read whole.

    Args:
        model: the model.
        tokens: tokens of the step [1].
        dtypes: formats, as in `weight_bytes`.
        mtp: whether MTP modules run too, each over all tokens and with a pass through the head.

    Returns:
        Bytes [byte], broadcast over `tokens`.

    Raises:
        UnknownIdError: no such format.
    """
    forms = model.dtypes if dtypes is None else resolve(dtypes)
    count = np.asarray(tokens, dtype=float)
    row = model.hidden * forms.embedding.size_bytes
    head = model.hidden * model.vocab * forms.embedding.size_bytes + model.head.bias * forms.other.size_bytes
    learned = model.hidden * forms.embedding.size_bytes if model.position_parameters else 0.0
    total = _layers_read(model.layers, count, forms) + count * (row + learned) + head
    total = total + model.final_parameters * forms.other.size_bytes
    if mtp and model.mtp is not None:
        layers = _layers_read(model.mtp.layers, count, forms)
        whole = sum(group.count * layer_bytes(group, forms).total for group in model.mtp.layers)
        own = mtp_module_bytes(model, forms) - whole
        total = total + model.mtp.depth * (layers + own + head + count * row)
    return np.asarray(total)


def _layers_read(groups: tuple[LayerGroup, ...], tokens: Array, dtypes: WeightDtypes) -> Array:
    total = np.zeros(())
    for group in groups:
        row = layer_bytes(group, dtypes)
        share: ArrayLike = 1.0
        if group.ffn is not None and group.ffn.experts is not None:
            experts = group.ffn.experts
            share = expected_distinct_experts(experts.count, experts.top_k, tokens) / experts.count
        total = total + group.count * (row.total - row.experts * (1.0 - np.asarray(share)))
    return np.asarray(total)


@dataclass(frozen=True, slots=True)
class KvBytes:
    """Bytes one sequence holds, by part; each broadcasts over the context.

    Attributes:
        attention: keys and values, or latents [byte].
        indexer: index keys of sparse attention [byte].
        state: recurrent and convolution states, constant [byte].
    """

    attention: Array
    indexer: Array
    state: Array

    @property
    def total(self) -> Array:
        """All parts together [byte]."""
        return np.asarray(self.attention + self.indexer + self.state)


def kv_bytes(
    model: Model,
    context_tokens: ArrayLike,
    kv_dtype: str = "bf16",
    *,
    indexer_dtype: str | None = None,
    state_dtype: str = "fp32",
    form: Form = "absorbed",
) -> KvBytes:
    """Bytes that one sequence of the main model holds at a context length.

    Sum over layers of entries kept x values per entry x size: 2 n_kv d for grouped attention, rank + rope for
    latent
    attention; windows and chunks cap the entries, compression divides them; states do not grow.

    Args:
        model: the model.
        context_tokens: tokens held [1].
        kv_dtype: format of keys and values.
        indexer_dtype: format of index keys; as `kv_dtype` where None.
        state_dtype: format of recurrent states; their convolution part is 16 bit.
        form: "naive" holds latent attention's keys and values expanded, heads (d_qk + d_v).

    Returns:
        Bytes by part [byte], broadcast over `context_tokens`.

    Raises:
        UnknownIdError: no such format.

    Reference: arXiv 2305.13245 (GQA), arXiv 2405.04434 (MLA).
    """
    context = np.asarray(context_tokens, dtype=float)
    size = dtype(kv_dtype).size_bytes
    index_size = dtype(indexer_dtype or kv_dtype).size_bytes
    attention, indexer = np.zeros(context.shape), np.zeros(context.shape)
    state = 0.0
    for group in model.layers:
        mixer = group.mixer
        if isinstance(mixer, StateMixer):
            state += group.count * state_bytes_of(mixer, state_dtype)
        elif isinstance(mixer, Attention):
            width = group.count * mixer.entry_width(form) * size
            attention = attention + width * sum(
                (span.kept(context) for span in mixer.keeps), start=np.zeros(())
            )
            if mixer.indexer is not None:
                keys = mixer.indexer.span.kept(context)
                indexer = indexer + group.count * mixer.indexer.dim * index_size * keys
    return KvBytes(np.asarray(attention), np.asarray(indexer), np.asarray(state))


def state_bytes_of(mixer: StateMixer, state_dtype: str = "fp32") -> float:
    """Bytes of one sequence's state in one layer: recurrent values in `state_dtype`, convolution in 16 bits
    [byte]."""
    return mixer.state_values * dtype(state_dtype).size_bytes + mixer.conv_values * 2.0


def kv_bytes_per_token(
    model: Model,
    kv_dtype: str = "bf16",
    *,
    context_tokens: ArrayLike = 0.0,
    indexer_dtype: str | None = None,
    form: Form = "absorbed",
) -> Array:
    """Bytes the cache of one sequence grows by with the next token, index keys included.

    Args:
        model: the model.
        kv_dtype: format of keys and values.
        context_tokens: tokens held already; at 0 no window is full, so every layer grows [1].
        indexer_dtype: format of index keys; as `kv_dtype` where None.
        form: as in `kv_bytes`.

    Returns:
        Bytes per token [byte], broadcast over `context_tokens`; constant states do not count.

    Raises:
        UnknownIdError: no such format.
    """
    size = dtype(kv_dtype).size_bytes
    index_size = dtype(indexer_dtype or kv_dtype).size_bytes
    total = np.zeros(np.shape(context_tokens))
    for group in model.layers:
        if isinstance(group.mixer, Attention):
            mixer = group.mixer
            grown = sum((span.growth(context_tokens) for span in mixer.keeps), start=np.zeros(()))
            total = total + group.count * mixer.entry_width(form) * size * grown
            if mixer.indexer is not None:
                keys = mixer.indexer.span.growth(context_tokens)
                total = total + group.count * mixer.indexer.dim * index_size * keys
    return np.asarray(total)
