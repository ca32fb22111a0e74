"""Chips whose engines pad heads to their cores instead of refusing a layout."""

from __future__ import annotations

from dataclasses import replace

from suanli.llm import Model
from suanli.llm.padding import padded_heads
from suanli.serving.point import Point

# Cores of a chip that software sees as ranks, each with whole heads of its own. Trainium2 and later join two physical
# cores to one logical core by default (AWS Neuron documentation: logical NeuronCore configuration, LNC=2).
_CORES = {"aws-inferentia": 2, "aws-trainium1": 2, "aws-trainium2": 4, "aws-trainium3": 4}


def core_ranks(chip: str) -> int:
    """Ranks that the software of a chip makes of one chip and pads heads to; 0 where engines do not pad [1].

    Args:
        chip: catalogue id.
    """
    return next((cores for start, cores in _CORES.items() if chip.startswith(start)), 0)


def padded(point: Point, model: Model) -> tuple[Point, Model]:
    """Return a question in chips and the model with the heads that its engine holds.

    Neuron's engines count cores in a degree of tensor parallelism: one that fills all cores of the chips is read so.
    Their heads are padded and repeated to whole ones a core (see `suanli.llm.padding`), which costs weights, cache and
    time. Other engines refuse a degree that does not divide the heads.

    Args:
        point: the question.
        model: its model.

    Returns:
        The question with tensor parallelism in chips, and the padded model.
    """
    cores = core_ranks(point.chip.id)
    if not cores or point.tp is None or point.tp < 1:
        return point, model
    tp, others = point.tp, (point.pp or 1) * (point.dp or 1)
    if tp * others == point.n_chips * cores and tp % cores == 0:
        tp //= cores
    return replace(point, tp=tp), padded_heads(model, tp * cores)
