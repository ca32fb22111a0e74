"""Count parameters: total, active per token, and by part."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.llm.model import LayerGroup, Model


@dataclass(frozen=True, slots=True)
class GroupParameters:
    """Parameters of one layer of a group, and how many such layers there are.

    Attributes:
        count: layers of the group [1].
        mixer: attention or state mixer of one layer [1].
        dense: dense FFN, shared experts, router of one layer [1].
        experts: routed experts of one layer [1].
        norms: norms and residual mixing of one layer [1].
        total: all of one layer [1].
        active: what one token goes through in one layer [1].
    """

    count: int
    mixer: int
    dense: int
    experts: int
    norms: int
    total: int
    active: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a model. `total` is the main model: without MTP modules and vision tower.

    Attributes:
        total: all parameters of the main model [1].
        active: those one token goes through, input embedding and head included [1].
        active_without_input_embedding: `active` without the input embedding, which is looked up, not
            multiplied; a
            tied table stays, because the head multiplies it [1].
        active_without_embeddings: `active` without input embedding and head [1].
        embedding: token embedding [1].
        head: output head of its own, 0 where tied [1].
        positions: learned positions [1].
        layers: one row a group.
        experts_total: routed experts of the main model [1].
        mtp: all MTP modules [1].
        vision: vision tower and projector, where the config describes them [1].
    """

    total: int
    active: int
    active_without_input_embedding: int
    active_without_embeddings: int
    embedding: int
    head: int
    positions: int
    layers: tuple[GroupParameters, ...]
    experts_total: int
    mtp: int
    vision: int


def parameters(model: Model) -> Parameters:
    """Count the parameters of a model, exactly for the shape its config describes.

    total = embedding + head + positions + final norm + sum over layers; active replaces the E routed experts
    of a layer
    by the k that a token visits.

    Args:
        model: the model.

    Returns:
        The counts [1].

    Reference: the shapes themselves; conventions of published counts are kept with each model of the
        catalogue.
    """
    rows = tuple(_group(group) for group in model.layers)
    embedding = model.embedding_parameters
    head = model.head.bias if model.tied_embeddings else model.head.parameters
    outside = embedding + head + model.position_parameters + model.final_parameters
    active = outside + sum(row.count * row.active for row in rows)
    tables = embedding + (0 if model.tied_embeddings else head)
    return Parameters(
        total=outside + sum(row.count * row.total for row in rows),
        active=active,
        active_without_input_embedding=active - (0 if model.tied_embeddings else embedding),
        active_without_embeddings=active - tables,
        embedding=embedding,
        head=head,
        positions=model.position_parameters,
        layers=rows,
        experts_total=sum(row.count * row.experts for row in rows),
        mtp=model.mtp.depth * model.mtp.module_parameters if model.mtp else 0,
        vision=model.vision_parameters,
    )


def _group(group: LayerGroup) -> GroupParameters:
    experts = group.ffn.experts.parameters if group.ffn and group.ffn.experts else 0
    return GroupParameters(
        count=group.count,
        mixer=group.mixer.parameters if group.mixer else 0,
        dense=(group.ffn.parameters if group.ffn else 0) - experts,
        experts=experts,
        norms=group.norm_parameters,
        total=group.parameters,
        active=group.active_parameters,
    )
