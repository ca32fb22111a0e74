"""Steady state of a replica: prefill and decode rates per chip from a roofline with one efficiency per phase.

Decode runs in steps: every step reads the weights once and the KV of every running sequence, and emits one token for
each (more with speculative decoding). The batch is the largest that meets the TPOT objective and fits in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.hardware import Chip
from suanli.llm import expected_distinct_experts
from suanli.memory import MemoryFit, memory_fit

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]

_BISECTIONS = 48  # halves an interval of any sensible width down to double precision


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica spreads a model: `chips` in all, attention in groups of `tp`, experts over `ep`."""

    chips: int
    tp: int = 1
    ep: int = 1


@dataclass(frozen=True, slots=True)
class Engine:
    """What a serving framework reaches of the hardware.

    Attributes:
        prefill_compute_efficiency: share of the peak in prefill [1].
        decode_compute_efficiency: share of the peak in decode [1].
        memory_efficiency: share of the memory bandwidth in decode [1].
        link_efficiency: share of the link bandwidth in exchanges [1].
        prefill_overlap: share of exchange time hidden behind compute in prefill [1].
        decode_overlap: the same in decode [1].
        step_overhead_s: scheduling and launch time of one decode step [s].
        memory_reserve_share: share of memory kept for activations and the framework [1].
        expert_imbalance: load of the busiest expert rank over the mean [1].
    """

    prefill_compute_efficiency: Num
    decode_compute_efficiency: Num
    memory_efficiency: Num
    link_efficiency: Num
    prefill_overlap: Num
    decode_overlap: Num
    step_overhead_s: Num
    memory_reserve_share: Num
    expert_imbalance: Num


@dataclass(frozen=True, slots=True)
class Work:
    """What the model asks of the chips for this workload; one layout's shares already taken.

    Attributes:
        peak_s: compute time of a token on one chip at the peaks of its number formats [s].
        exchange_s: time a chip's links need for a token's exchange at full bandwidth [s].
        dense_weight_bytes: weights per chip that every step reads [byte].
        expert_weight_bytes: routed experts per chip [byte].
        experts: routed experts of a layer; 0 for a dense model [1].
        top_k: experts a token visits [1].
        kv_bytes_per_sequence: KV and state per sequence, as each chip of its group holds it [byte].
    """

    peak_s: Num
    exchange_s: Num
    dense_weight_bytes: Num
    expert_weight_bytes: Num
    experts: int
    top_k: int
    kv_bytes_per_sequence: Num


@dataclass(frozen=True, slots=True)
class Prefill:
    """Prefill of one chip: rate [token/s], compute and exposed exchange time per token [s]."""

    tokens_per_s: Array
    compute_s: Array
    exchange_s: Array


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode of one chip at the chosen batch.

    Attributes:
        batch: sequences per chip [1].
        step_s: length of a step [s].
        tpot_s: time per output token that a user sees, prefill of others included where they share chips [s].
        tokens_per_s: output rate while decoding [token/s].
        memory_s: part of the step that memory reads take [s].
        compute_s: part that compute takes [s].
        exchange_s: part of exchanges that is not hidden [s].
        fit: memory of a chip.
    """

    batch: Array
    step_s: Array
    tpot_s: Array
    tokens_per_s: Array
    memory_s: Array
    compute_s: Array
    exchange_s: Array
    fit: MemoryFit


def prefill(work: Work, engine: Engine) -> Prefill:
    """Rate at which one chip computes prompts: 1/t with t = c i/e_c + (1 - o) x/e_l.

    Args:
        work: the model's work per prompt token; c its compute time at the peak, x its exchange time.
        engine: efficiencies e_c and e_l, expert imbalance i, hidden share o of the exchange.

    Returns:
        Rate and time parts per token, broadcast over samples.
    """
    compute = np.asarray(work.peak_s) / engine.prefill_compute_efficiency * engine.expert_imbalance
    exposed = (
        np.asarray(work.exchange_s) / engine.link_efficiency * (1.0 - np.asarray(engine.prefill_overlap))
    )
    return Prefill(np.asarray(1.0 / (compute + exposed)), np.asarray(compute), np.asarray(exposed))


def decode(
    work: Work,
    engine: Engine,
    chip: Chip,
    layout: Layout,
    *,
    tpot_s: ArrayLike | None = None,
    batch: ArrayLike | None = None,
    tokens_per_step: float = 1.0,
    drafted_per_step: float = 0.0,
    prefill_s_per_output_token: ArrayLike = 0.0,
) -> Decode:
    """Decode rate of one chip at the largest batch that meets the objective and fits.

    A step of b sequences per chip takes max(memory, compute) + exposed exchange + overhead; a user sees
    TPOT = (step + b p)/tokens per step, where p is the prefill time that shares the chip, per output token.

    Args:
        work: the model's work per token at the mean context.
        engine: efficiencies.
        chip: the accelerator.
        layout: the replica's layout.
        tpot_s: objective for TPOT [s]; without it the batch is bound by memory.
        batch: a fixed batch per chip instead [1].
        tokens_per_step: tokens that a sequence emits in a step, above 1 with speculative decoding [1].
        drafted_per_step: draft tokens verified beside the regular one [1].
        prefill_s_per_output_token: prefill time that the same chip spends per output token [s].

    Returns:
        The decode state, broadcast over samples. A batch below one sequence per replica means that the objective
        cannot be met; the caller decides (`batch * layout.chips < 1`).

    Reference:
        R. Pope et al., "Efficiently Scaling Transformer Inference", MLSys 2023, section 3 (weights and KV traffic).
    """
    weights = np.asarray(work.dense_weight_bytes) + work.expert_weight_bytes
    fit = memory_fit(
        chip.memory_bytes,
        weights,
        np.asarray(work.kv_bytes_per_sequence) * layout.tp,
        engine.memory_reserve_share,
    )

    def parts(b: Array) -> tuple[Array, Array, Array]:
        return _step_parts(work, engine, chip, layout, b, b * (1.0 + drafted_per_step))

    def seen(b: Array) -> Array:
        memory, compute, exchange = parts(b)
        step = np.maximum(memory, compute) + exchange + engine.step_overhead_s
        return np.asarray(
            (step + b * np.asarray(prefill_s_per_output_token) * tokens_per_step) / tokens_per_step
        )

    largest = fit.sequences if batch is None else np.asarray(batch, dtype=float)
    chosen = largest if tpot_s is None or batch is not None else _largest_batch(seen, largest, tpot_s)
    memory, compute, exchange = parts(chosen)
    step = np.maximum(memory, compute) + exchange + engine.step_overhead_s
    return Decode(
        np.asarray(chosen),
        np.asarray(step),
        seen(chosen),
        np.asarray(chosen * tokens_per_step / step),
        memory,
        compute,
        exchange,
        fit,
    )


def _step_parts(
    work: Work, engine: Engine, chip: Chip, layout: Layout, batch: Array, tokens: Array
) -> tuple[Array, Array, Array]:
    read = np.asarray(work.dense_weight_bytes, dtype=float)
    if work.experts:
        touched = expected_distinct_experts(work.experts, work.top_k, np.maximum(tokens * layout.chips, 1e-9))
        read = read + work.expert_weight_bytes * touched / work.experts
    kv = batch * layout.tp * np.asarray(work.kv_bytes_per_sequence)
    memory = (read + kv) / (np.asarray(chip.bandwidth_bytes_per_s) * engine.memory_efficiency)
    compute = tokens * np.asarray(work.peak_s) / engine.decode_compute_efficiency * engine.expert_imbalance
    exchange = tokens * np.asarray(work.exchange_s) / engine.link_efficiency
    return (
        np.asarray(memory),
        np.asarray(compute),
        np.asarray(exchange * (1.0 - np.asarray(engine.decode_overlap))),
    )


def _largest_batch(seen: Callable[[Array], Array], largest: Array, objective_s: ArrayLike) -> Array:
    tpot_s = np.asarray(objective_s, dtype=float)
    high = np.broadcast_to(largest, np.shape(seen(largest))).astype(float)
    fits, low = seen(high) <= tpot_s, np.zeros_like(high)
    whole = high
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        meets = seen(middle) <= tpot_s
        low, high = np.where(meets, middle, low), np.where(meets, high, middle)
    return np.asarray(np.where(fits, whole, low))
