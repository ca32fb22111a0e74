"""Where a step's time goes, what bounds it, and how busy the chip is; for arrays of loads on one engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.serving.closed_loop import SEQUENCES_TIMED, Latency, Load
from suanli.serving.engine import Engine

Array = NDArray[np.float64]

_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "dispatch", "combine", "pipeline")


def decode_parts(ready: Engine, batch: ArrayLike, load: Load, step_s: ArrayLike) -> dict[str, Array]:
    """Seconds of each operator in one decode step; they add up to the step.

    Args:
        ready: the engine.
        batch: sequences of the replica that decode [1].
        load: lengths and speculation.
        step_s: length of the whole step [s].

    Returns:
        {operator: time [s]}, kernels times the framework's factor; "host" is the rest of the step: what the host adds,
        less what overlapping half batches saves.
    """
    table, constants = ready.table, ready.serving.values
    sequences = np.maximum(np.asarray(batch, dtype=float), 1e-6)
    context = np.asarray(load.input_tokens, dtype=float) + 0.5 * np.asarray(load.output_tokens, dtype=float)
    each = np.maximum(sequences / ready.placement.pp, np.minimum(sequences, 1.0))
    query = np.asarray(load.query_tokens, dtype=float)
    parts = table.parts_s(each * query)
    parts["attention"] = table.decode_attention_s(each, context, query)
    parts["head"] = table.logits_s(each * query)
    if load.drafts:
        parts["drafts"] = load.drafts * table.draft_s(each, context)
    scaled = {name: constants.kernel_factor * time for name, time in parts.items()}
    if ready.placement.pp > 1:
        scaled["pipeline"] = table.hops_s(each * query)
    scaled["host"] = np.asarray(step_s) - np.sum(np.stack(np.broadcast_arrays(*scaled.values())), axis=0)
    return scaled


def bottleneck(ready: Engine, parts: Mapping[str, float], batch: float, prefill_share: float) -> str:
    """Name the largest part of the work and what bounds it.

    Args:
        ready: the engine.
        parts: seconds of a decode step by operator.
        batch: sequences that decode [1].
        prefill_share: share of time that prompts take [1].
    """
    if prefill_share > 0.5:
        return "prefill: compute"
    groups = {"weights": 0.0, "attention": 0.0, "experts": 0.0, "links": 0.0, "host": 0.0}
    for name, time in parts.items():
        if name in ("attention", "experts", "host"):
            groups[name] += time
        elif name in _COLLECTIVES:
            groups["links"] += time
        else:
            groups["weights"] += time
    largest = max(groups, key=lambda name: groups[name])
    if largest in ("weights", "experts"):
        compute, memory, _ = step_work(ready, batch)
        return f"{largest}: {'compute' if float(compute) > float(memory) else 'memory bandwidth'}"
    names = {"attention": "attention: KV reads", "links": "collectives: links", "host": "host: step overhead"}
    return names[largest]


def step_work(
    ready: Engine, tokens: ArrayLike, sequences: ArrayLike = 0.0, context: ArrayLike = 0.0
) -> tuple[Array, Array, Array]:
    """Time that a step's work would take at the peaks: operations, memory bytes, link bytes [s].

    Args:
        ready: the engine.
        tokens: tokens of the step over all attention groups [token].
        sequences: of them sequences that decode against a cache [1].
        context: tokens of each [token].
    """
    table, chip = ready.table, ready.chip.operators
    rows = np.asarray(tokens, dtype=float)
    flops, cache = table.attention.decode_work(np.asarray(sequences) / ready.placement.dp, context)
    compute = np.interp(rows, table.grid, table.peak_s) + flops / chip.peak("bf16")
    moved = np.interp(rows, table.grid, table.bytes) + cache
    wire = np.interp(rows, table.grid, table.wire_bytes)
    bandwidth = np.asarray(chip.memory_bandwidth_bytes_per_s, dtype=float)
    link = np.asarray(chip.link_bytes_per_s, dtype=float)
    return np.asarray(compute), np.asarray(moved / bandwidth), np.asarray(wire / link)


def prompt_work(
    ready: Engine, prompts: ArrayLike, new_tokens: ArrayLike, cached_tokens: ArrayLike
) -> tuple[Array, Array, Array]:
    """The same of prompts [s]: weights are read for decodes anyway, so memory counts what a prompt adds.

    Args:
        ready: the engine.
        prompts: prompts of the replica [1].
        new_tokens: tokens of each to compute [token].
        cached_tokens: tokens of each found in the cache [token].
    """
    table, chip = ready.table, ready.chip.operators
    count, new = np.asarray(prompts, dtype=float), np.asarray(new_tokens, dtype=float)
    compute, memory, link = step_work(ready, count * new)
    floor = table.bytes[1] / np.asarray(chip.memory_bandwidth_bytes_per_s, dtype=float)
    flops = table.attention.prefill_flops(count / ready.placement.dp, new, cached_tokens)
    peak = chip.peak(table.attention.prefill_form)
    return np.asarray(compute + flops / peak), np.maximum(memory - floor, 0.0), link


@dataclass(frozen=True, slots=True)
class Use:
    """What a replica's chips do in the steady state, and what they could do at best.

    Attributes:
        compute: mean share of the peaks of the formats in use [1].
        memory: mean share of the memory bandwidth [1].
        link: mean share of the scale-up bandwidth [1].
        busy: share of the time in which kernels run [1].
        step_floor_s: time of a decode step at the peaks [s].
        prompt_floor_s: time of a prompt at the peaks [s].
    """

    compute: Array
    memory: Array
    link: Array
    busy: Array
    step_floor_s: Array
    prompt_floor_s: Array


def shares(ready: Engine, load: Load, found: Latency) -> Use:
    """Mean shares of the chip's peaks in the steady state, and the least times at these peaks.

    Args:
        ready: the engine.
        load: lengths and speculation.
        found: latencies and rates of the replica.
    """
    prompt, output = np.asarray(load.input_tokens, dtype=float), np.asarray(load.output_tokens, dtype=float)
    batch, emitted = np.maximum(found.batch, 1e-9), load.tokens_per_step
    per_step = found.tpot_s * emitted
    steps = np.minimum(found.requests_per_s * output / emitted / batch, 1.0 / per_step)
    decode = step_work(ready, batch * load.query_tokens, batch, prompt + 0.5 * output)
    cached = prompt * load.cached_share
    prompts = prompt_work(ready, 1.0, np.maximum(prompt - cached, 1.0), cached)
    pp, constants = ready.placement.pp, ready.serving.values
    compute, memory, link = (
        np.minimum((steps * one + found.requests_per_s * two) / pp, 1.0)
        for one, two in zip(decode, prompts, strict=True)
    )
    host = constants.step_s + constants.sequence_s * np.minimum(batch / ready.placement.dp, SEQUENCES_TIMED)
    return Use(
        compute,
        memory,
        link,
        busy=1.0 - np.clip(steps * host, 0.0, 0.9),
        # Stages of a pipeline work on parts of the batch at a time; a step that decodes has a whole sequence.
        step_floor_s=np.maximum(decode[0], decode[1]) / np.minimum(batch, 1.0) / pp,
        prompt_floor_s=np.asarray(prompts[0] / pp),
    )
