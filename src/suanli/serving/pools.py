"""Pools that compute prompts alone, or decode alone: static batches and the halves of disaggregated serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from suanli.hardware.formats import number_format
from suanli.hardware.laws import p_norm
from suanli.llm import weight_bytes
from suanli.serving.closed_loop import SEQUENCES_TIMED, Load, beside_host, decode_step_s
from suanli.serving.engine import Engine
from suanli.serving.stepexchange import BYTES, EXCHANGE_PROCESSORS
from suanli.serving.work_shares import bottleneck, decode_parts, prompt_work, step_work

# Tokens that a chip of a prefill pool takes in one step at most; longer batches run in several.
STEP_TOKENS = 16384.0
# How nearly the longer of computing and exchange decides where two half batches alternate (own estimate, as for the
# host beside the chip).
_HALVES_EXPONENT = 4.0
# Share of the memory bandwidth that a kernel reaches which only moves data (the elementwise fits find 0.7 to 0.85).
_WIDENING_EFFICIENCY = 0.8


@dataclass(frozen=True, slots=True)
class PoolStep:
    """One batch of a pool.

    Attributes:
        time_s: from start to end of the batch, or of one decode step [s].
        interval_s: time between two batches; shorter than `time_s` where pipeline stages overlap [s].
        parts: {operator: time [s]}; they add up to `time_s`.
        bottleneck: the largest part and what bounds it.
        shares: compute, memory, link and busy shares [1].
    """

    time_s: float
    interval_s: float
    parts: Mapping[str, float]
    bottleneck: str
    shares: tuple[float, float, float, float]


def prefill_pool(ready: Engine, prompts: float, isl: float, options: Mapping[str, float]) -> PoolStep:
    """Compute a batch of prompts together.

    With C computing and X exchange between experts of a step, o the share of steps that overlap two half batches and
    s = SM/(SM - n) the slowdown by the n processors that move data::

        t = (1 - o) (C + X) + o ((s C)^4 + X^4)^(1/4)

    Each half's exchange waits for its own computing, so that the shorter of the two does not vanish altogether.

    Args:
        ready: the engine.
        prompts: prompts of the replica [1].
        isl: tokens of each [token].
        options: of the point: prefix_hit_share, overlap, exchange_processors.

    Returns:
        The batch.
    """
    table, constants, placement = ready.table, ready.serving.values, ready.placement
    cached = isl * options.get("prefix_hit_share", 0.0)
    new = max(isl - cached, 1.0)
    # Attention groups work on whole prompts; fewer prompts than groups leave some idle.
    busiest = max(np.ceil(prompts / placement.dp), 1.0) * placement.dp
    room = min(STEP_TOKENS, constants.ubatch_tokens or STEP_TOKENS)
    steps = max(np.ceil(busiest * new / (room * placement.dp)), 1.0)
    each = busiest / steps
    tokens = each * new
    # Prompts longer than a step run in pieces; one in the middle stands for the mean.
    pieces = max(np.ceil(new / room), 1.0)
    before = cached + 0.5 * (1.0 - 1.0 / pieces) * new
    exchange = float(table.exchange_s(tokens))
    core = float(table.prefill_attention_s(each * pieces, new / pieces, before))
    head = float(table.logits_s(each))
    compute = float(table.rest_s(tokens)) - exchange + core + head
    share = options.get("overlap", constants.prefill_overlap if exchange > 0.0 else 0.0)
    spent = options.get("exchange_processors", float(EXCHANGE_PROCESSORS))
    slow = _slowdown(ready, spent)
    half = float(p_norm(slow * compute, 2.0 * float(table.exchange_s(0.5 * tokens)), _HALVES_EXPONENT))
    serial = compute + exchange
    widening = _widening_s(ready)
    kernels = constants.prefill_factor * (serial + share * (min(half, serial) - serial)) + widening
    host = constants.step_s + constants.prefill_step_s
    hops = float(table.hops_s(tokens))
    one = (
        float(
            beside_host(kernels, constants.host_layer_s * ready.chip.host_slowness * ready.model.layer_count)
        )
        + host
        + hops
    )
    # Stages of a pipeline work on one step's tokens each; the last is done stages - 1 turns after it could be.
    turns = (steps + placement.pp - 1.0) / placement.pp
    factor = constants.prefill_factor * turns
    parts = {name: float(time) * factor for name, time in table.parts_s(tokens).items()}
    parts["attention"], parts["head"] = factor * core, factor * head
    if widening:
        parts["widening"] = turns * widening
    parts["host"] = turns * (one - kernels)
    parts["overlap"] = turns * one - sum(parts.values())
    if abs(parts["overlap"]) < 1e-12:
        del parts["overlap"]
    work = prompt_work(ready, each, new, cached)
    compute_share, memory_share, link_share = (min(float(value) / one, 1.0) for value in work)
    busy = (compute_share, memory_share, link_share, kernels / one)
    largest = max((name for name in parts if name != "overlap"), key=lambda name: parts[name])
    return PoolStep(
        time_s=turns * one,
        interval_s=steps * one / placement.pp,
        parts=parts,
        bottleneck=f"{largest}: "
        + ("links" if largest in ("dispatch", "combine", "all_reduce") else "compute"),
        shares=busy,
    )


def _widening_s(ready: Engine) -> float:
    """Time to widen quantised weights to 16 bits in memory and read them again, all stages [s]."""
    form = number_format(ready.precision.ffn)
    cuda = ready.chip.id.startswith("nvidia-")
    if not (cuda and ready.serving.values.widens) or form.weight_bytes > 1.5 or form.activation_bytes < 1.5:
        return 0.0
    held = weight_bytes(ready.model, ready.precision.weights)
    layers = held.attention + held.ffn + held.experts
    values = layers / ready.precision.weights.ffn.size_bytes / (ready.placement.tp * ready.placement.dp)
    bandwidth = float(np.asarray(ready.chip.operators.memory_bandwidth_bytes_per_s))
    return 2.0 * BYTES * values / (_WIDENING_EFFICIENCY * bandwidth)


def _slowdown(ready: Engine, processors: float) -> float:
    total = float(ready.chip.operators.processors)
    return total / max(total - processors, 0.25 * total)


def decode_pool(ready: Engine, sequences: float, context: float, load: Load) -> PoolStep:
    """One decode step of a batch.

    Args:
        ready: the engine.
        sequences: of the replica [1].
        context: tokens of each [token].
        load: speculation and overlap.

    Returns:
        The step.
    """
    constants = ready.serving.values
    time = float(decode_step_s(ready.table, constants, sequences, context, load))
    at_context = replace(load, input_tokens=context, output_tokens=0.0)
    parts = {name: float(part) for name, part in decode_parts(ready, sequences, at_context, time).items()}
    tokens = sequences * load.query_tokens
    work = step_work(ready, tokens, sequences, context)
    host = constants.step_s + constants.sequence_s * min(sequences / ready.placement.dp, SEQUENCES_TIMED)
    compute, memory, link = (min(float(value) / time, 1.0) for value in work)
    busy = (compute, memory, link, min(max(1.0 - host / time, 0.1), 1.0))
    return PoolStep(time, time / ready.placement.pp, parts, bottleneck(ready, parts, sequences, 0.0), busy)
