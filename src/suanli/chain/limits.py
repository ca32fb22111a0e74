"""What makes a deployment impossible, said with the limit that binds and the smallest change that helps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from suanli import units
from suanli.errors import InfeasibleError
from suanli.hardware import Chip
from suanli.llm import Model
from suanli.memory import MemoryFit, memory_fit
from suanli.serving import Decode, Engine, Layout, Work


def need_room(model: Model, chip: Chip, layout: Layout, work: Work, engine: Engine) -> None:
    """Refuse a layout whose chips cannot hold the weights.

    Raises:
        InfeasibleError: the weights do not fit.
    """
    weights = np.asarray(work.dense_weight_bytes) + work.expert_weight_bytes
    fit = memory_fit(chip.memory_bytes, weights, work.kv_bytes_per_sequence, engine.memory_reserve_share)
    _need_room(model, chip, layout, fit)


def need_batch(
    model: Model, chip: Chip, layout: Layout, running: Decode, tpot_s: float | None, batch: float | None
) -> None:
    """Refuse a decode layout that cannot hold one sequence, the batch asked for, or the TPOT objective.

    Raises:
        InfeasibleError: which limit binds.
    """
    _need_room(model, chip, layout, running.fit)
    held, seen = _nominal(running.fit.sequences), _nominal(running.tpot_s)
    if held * layout.chips < 1.0:
        raise InfeasibleError(
            f"The KV cache of one sequence does not fit beside the weights on {layout.chips} x {chip.id}; "
            "use more chips, a narrower llm.kv_dtype or a shorter context"
        )
    if batch is not None and batch > held:
        raise InfeasibleError(
            f"serving.batch_per_chip = {batch:g}, but memory holds {held:.1f} sequences a chip"
        )
    if tpot_s is None:
        return
    if batch is not None and seen > tpot_s:
        raise InfeasibleError(
            f"serving.batch_per_chip = {batch:g} gives a TPOT of {seen * 1e3:.4g} ms, above "
            f"serving.slo.tpot = {tpot_s * 1e3:g} ms; give only one of the two"
        )
    if _nominal(running.batch) * layout.chips < 1.0:
        raise InfeasibleError(
            f"TPOT of {tpot_s * 1e3:g} ms cannot be met even by one sequence a replica; "
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


def _need_room(model: Model, chip: Chip, layout: Layout, fit: MemoryFit) -> None:
    weights, room = _nominal(fit.weights_bytes), _nominal(chip.memory_bytes) - _nominal(fit.reserve_bytes)
    if _nominal(fit.kv_bytes) > 0.0:
        return
    chips = 1 << max(0, (int(np.ceil(layout.chips * weights / room)) - 1).bit_length())
    raise InfeasibleError(
        f"{model.id} does not fit on {layout.chips} x {chip.id}: weights take {units.show(weights, 'byte')} a chip, "
        f"{units.show(room, 'byte')} are free. Smallest change that fits: about {chips} chips with tp or ep to match, "
        "or narrower weights"
    )


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
