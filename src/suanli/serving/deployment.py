"""Memory of a deployment: what weights, activations and the framework take, and how many sequences the rest holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.llm import Attention, Model, WeightDtypes, kv_bytes, weight_bytes
from suanli.llm.dtypes import dtype
from suanli.serving.accelerator import Accelerator
from suanli.serving.layout import Placement

Array = NDArray[np.float64]

# Context, communication buffers, graphs: what an engine holds beside weights, KV and activations; small devices run
# small engines.
CONTEXT_BYTES = 2.5e9
_CONTEXT_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """Memory of the fullest chip.

    Attributes:
        capacity_bytes: what the chip has [byte].
        weights_bytes: weights, by total parameters [byte].
        activation_bytes: largest step's activations and logits [byte].
        reserve_bytes: context, communication buffers, graphs, the share the framework leaves free [byte].
        kv_bytes: what is left for KV, below 0 where the weights do not fit [byte].
        sequence_bytes: KV and state of one sequence on this chip [byte].
    """

    capacity_bytes: float
    weights_bytes: float
    activation_bytes: float
    reserve_bytes: float
    kv_bytes: float
    sequence_bytes: float

    @property
    def sequences(self) -> float:
        """Sequences of one attention group that fit, 0 where not even the weights do [1]."""
        return max(self.kv_bytes, 0.0) / max(self.sequence_bytes, 1.0)


def stage_weight_bytes(model: Model, dtypes: WeightDtypes, placement: Placement, mtp: bool = False) -> float:
    """Weights on one chip: experts over all chips of the stage, the rest over its attention group.

    Args:
        model: the model.
        dtypes: stored formats.
        placement: the layout.
        mtp: whether MTP modules are held.

    Returns:
        Bytes [byte]; of the largest stage.
    """
    held = weight_bytes(model, dtypes, mtp=mtp)
    stages, count = placement.pp, model.layer_count
    layers = (held.attention + held.ffn + held.other + held.mtp) / placement.tp
    layers += held.experts / (placement.tp * placement.dp)
    # First and last stage hold embedding or head; with one stage both. Layers left over go to stages between them.
    ends = (held.embedding if stages == 1 else 0.5 * held.embedding) / placement.tp
    deepest, shallow = -(-count // stages), count // stages
    if deepest > shallow and count % stages <= stages - 2:
        return max(layers * deepest / count, layers * shallow / count + ends)
    return layers * deepest / count + ends


def sequence_bytes(model: Model, placement: Placement, kv: str, tokens: ArrayLike) -> Array:
    """KV and state of one sequence on one chip: whole heads are divided over tp, latents repeated [byte].

    Args:
        model: the model.
        placement: the layout.
        kv: format of the cache.
        tokens: tokens held [token].
    """
    held = kv_bytes(model, tokens, kv)
    shards = [
        1 if group.mixer.kind == "mla" else min(group.mixer.kv_heads, placement.tp)
        for group in model.layers
        if isinstance(group.mixer, Attention)
    ]
    divided = held.attention / min(shards, default=1) + held.indexer + held.state / placement.tp
    return np.asarray(divided * (-(-model.layer_count // placement.pp) / model.layer_count))


def memory_parts(
    model: Model,
    chip: Accelerator,
    placement: Placement,
    kv: str,
    weights_bytes: float,
    tokens: float,
    step_tokens: float = 8192.0,
    memory_share: float = 0.9,
    of_free: bool = False,
) -> MemoryParts:
    """Share out the memory of a chip.

    Engines keep a share of the whole memory for everything (vLLM's gpu_memory_utilization, SGLang's
    mem_fraction_static), or a share of what weights, activations and context leave free for KV (TensorRT-LLM's
    free_gpu_memory_fraction).

    Args:
        model: the model.
        chip: the accelerator.
        placement: the layout.
        kv: format of the cache.
        weights_bytes: weights of this chip, see `stage_weight_bytes` [byte].
        tokens: tokens that a sequence holds when it is admitted and counted [token].
        step_tokens: most tokens of a step on a chip, for activations [token].
        memory_share: share of the memory that the framework uses [1].
        of_free: whether that is a share of what is left for KV.

    Returns:
        The parts; they add up to the capacity.
    """
    activations = activation_bytes(model, placement, step_tokens)
    context = min(CONTEXT_BYTES, _CONTEXT_SHARE * chip.memory_bytes)
    free = chip.memory_bytes - weights_bytes - activations - context
    reserve = context + (1.0 - memory_share) * (max(free, 0.0) if of_free else chip.memory_bytes)
    return MemoryParts(
        capacity_bytes=chip.memory_bytes,
        weights_bytes=weights_bytes,
        activation_bytes=activations,
        reserve_bytes=reserve,
        kv_bytes=chip.memory_bytes - weights_bytes - activations - reserve,
        sequence_bytes=float(sequence_bytes(model, placement, kv, tokens)),
    )


def activation_bytes(model: Model, placement: Placement, step_tokens: float) -> float:
    """Activations of the largest step on a chip: residual, norm output and the widest products in 16 bits [byte].

    Args:
        model: the model.
        placement: the layout.
        step_tokens: tokens of the step on this chip [token].
    """
    widest = 0.0
    for group in model.layers:
        inner = 0.0
        if group.ffn is not None and group.ffn.mlp is not None:
            inner += 3.0 * group.ffn.mlp.width / placement.tp
        if group.ffn is not None and group.ffn.experts is not None:
            experts = group.ffn.experts
            inner += experts.top_k * (model.hidden + 3.0 * experts.mlp.width / placement.tp) / placement.ep
        widest = max(widest, inner)
    return step_tokens * dtype("bf16").size_bytes * (4.0 * model.hidden + widest)
