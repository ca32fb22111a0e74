"""What makes a deployment impossible, said with the limit that binds and the smallest change that helps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suanli import units
from suanli.errors import InfeasibleError
from suanli.hardware import Chip
from suanli.llm import Model
from suanli.serving import Layout
from suanli.serving.deployment import MemoryParts


def need_room(model: Model, chip: Chip, layout: Layout, memory: MemoryParts) -> None:
    """Refuse a layout whose chips cannot hold the weights, or not one sequence beside them.

    Raises:
        InfeasibleError: what does not fit.
    """
    if memory.kv_bytes <= 0.0:
        room = memory.capacity_bytes - memory.activation_bytes - memory.reserve_bytes
        need = layout.chips * memory.weights_bytes / max(room, 1.0)
        chips = 1 << max(0, (int(np.ceil(need)) - 1).bit_length())
        raise InfeasibleError(
            f"{model.id} does not fit on {layout.chips} x {chip.id}: weights take "
            f"{units.show(memory.weights_bytes, 'byte')} a rank, {units.show(max(room, 0.0), 'byte')} are free. "
            f"Smallest change that fits: about {max(chips, 2 * layout.chips)} chips with tp or ep to match, "
            "or narrower weights"
        )
    if memory.sequences < 1.0:
        raise InfeasibleError(
            f"The KV cache of one sequence does not fit beside the weights on {layout.chips} x {chip.id}; "
            "use more chips, a narrower llm.kv_dtype or a shorter context"
        )


def need_batch(
    chip: Chip,
    layout: Layout,
    held: ArrayLike,
    found: ArrayLike,
    seen_s: ArrayLike,
    tpot_s: float | None,
    batch: float | None,
) -> None:
    """Refuse a decode layout that cannot hold the batch asked for, or cannot meet the TPOT objective.

    Args:
        chip: the chip.
        layout: the decode layout.
        held: sequences that a chip holds [1].
        found: sequences of a chip at the objective [1].
        seen_s: TPOT at that batch [s].
        tpot_s: the objective [s].
        batch: the batch asked for [1].

    Raises:
        InfeasibleError: which limit binds.
    """
    room, seen = _nominal(held), _nominal(seen_s)
    if batch is not None and batch > room:
        raise InfeasibleError(
            f"serving.batch_per_chip = {batch:g}, but memory holds {room:.1f} sequences a chip"
        )
    if tpot_s is None:
        return
    if batch is not None and seen > tpot_s:
        raise InfeasibleError(
            f"serving.batch_per_chip = {batch:g} gives a TPOT of {seen * 1e3:.4g} ms, above "
            f"serving.slo.tpot = {tpot_s * 1e3:g} ms; give only one of the two"
        )
    if _nominal(found) * layout.chips < 1.0:
        raise InfeasibleError(
            f"TPOT of {tpot_s * 1e3:g} ms cannot be met even by one sequence on {layout.chips} x {chip.id}; "
            f"relax serving.slo.tpot or use more chips with a larger tp"
        )


def need_ttft(objective_s: float | None, ttft_s: ArrayLike) -> None:
    """Refuse a fleet whose mean time to first token is above the objective.

    Raises:
        InfeasibleError: says by how much.
    """
    found = _nominal(ttft_s)
    if objective_s is not None and found > objective_s:
        raise InfeasibleError(
            f"TTFT of {objective_s * 1e3:g} ms cannot be met: its mean is {found * 1e3:.4g} ms; "
            "relax serving.slo.ttft, lower serving.prefill_load_factor or use a larger tp for prefill"
        )


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
