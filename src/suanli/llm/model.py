"""A decoder LLM as numbers: groups of identical layers, embeddings, head, multi-token prediction."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.llm.dtypes import WeightDtypes
from suanli.llm.parts import Attention, FeedForward, Linear, StateMixer


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers of one shape. Order within the model is not kept.

    Attributes:
        count: layers of this shape [1].
        mixer: token mixer; None where a layer has only a feed-forward part.
        ffn: feed-forward part; None where a layer has only a mixer.
        norm_parameters: layer norms and residual mixing [1].
    """

    count: int
    mixer: Attention | StateMixer | None
    ffn: FeedForward | None
    norm_parameters: int

    @property
    def parameters(self) -> int:
        """Parameters of one layer [1]."""
        mixer = self.mixer.parameters if self.mixer else 0
        return mixer + (self.ffn.parameters if self.ffn else 0) + self.norm_parameters

    @property
    def active_parameters(self) -> int:
        """Parameters of one layer that one token goes through [1]."""
        mixer = self.mixer.parameters if self.mixer else 0
        return mixer + (self.ffn.active_parameters if self.ffn else 0) + self.norm_parameters


@dataclass(frozen=True, slots=True)
class Mtp:
    """Multi-token prediction modules (arXiv 2412.19437 section 2.2); embedding and head are the main model's.

    Attributes:
        depth: tokens predicted ahead, one module each [1].
        layers: layers of one module.
        projection: joins hidden state and next embedding, 2 hidden -> hidden.
        other_parameters: norms [1].
    """

    depth: int
    layers: tuple[LayerGroup, ...]
    projection: Linear
    other_parameters: int

    @property
    def module_parameters(self) -> int:
        """Parameters of one module [1]."""
        layers = sum(group.count * group.parameters for group in self.layers)
        return layers + self.projection.parameters + self.other_parameters


@dataclass(frozen=True, slots=True)
class Model:
    """A decoder LLM.

    Attributes:
        id: catalogue id or name.
        architecture: Hugging Face `model_type`.
        hidden: width of the residual stream [1].
        vocab: rows of the token embedding [1].
        tied_embeddings: whether the head is the token embedding.
        layers: groups of identical layers.
        embedding_parameters: token embedding [1].
        position_parameters: learned positions [1].
        final_parameters: norms and mixing outside the layers [1].
        head: the output head; its weights count only where it is not tied.
        mtp: multi-token prediction, where the config has it.
        vision_parameters: vision tower and projector, where the config describes them [1].
        dtypes: formats of the checkpoint.
        context_length: longest context in tokens; None where the config has none.
        unknown_fields: config fields that we do not understand.
        approximate: what is counted approximately, in words.
    """

    id: str
    architecture: str
    hidden: int
    vocab: int
    tied_embeddings: bool
    layers: tuple[LayerGroup, ...]
    embedding_parameters: int
    position_parameters: int
    final_parameters: int
    head: Linear
    mtp: Mtp | None
    vision_parameters: int
    dtypes: WeightDtypes
    context_length: int | None
    unknown_fields: tuple[str, ...]
    approximate: tuple[str, ...]

    @property
    def layer_count(self) -> int:
        """Layers of the main model [1]."""
        return sum(group.count for group in self.layers)

    @property
    def experts_per_layer(self) -> int:
        """Routed experts of a mixture-of-experts layer, 0 for a dense model [1]."""
        return max((g.ffn.experts.count for g in self.layers if g.ffn and g.ffn.experts), default=0)

    @property
    def top_k(self) -> int:
        """Experts a token visits in such a layer, 0 for a dense model [1]."""
        return max((g.ffn.experts.top_k for g in self.layers if g.ffn and g.ffn.experts), default=0)

    @property
    def attention_kinds(self) -> tuple[str, ...]:
        """Kinds of token mixers, most layers first: ("gated_deltanet", "gqa")."""
        counts: dict[str, int] = {}
        for group in self.layers:
            if group.mixer:
                counts[group.mixer.kind] = counts.get(group.mixer.kind, 0) + group.count
        return tuple(sorted(counts, key=lambda kind: -counts[kind]))
