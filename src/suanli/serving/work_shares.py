"""Where a step's time goes, what bounds it, and how busy the chip is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suanli.hardware.formats import number_format
from suanli.serving.closed_loop import Latency, Load, decode_step_s
from suanli.serving.engine import Engine
from suanli.serving.point import Utilisation

_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "dispatch", "combine", "pipeline")


def decode_parts(ready: Engine, batch: float, load: Load) -> dict[str, float]:
    """Seconds of each operator in one decode step; they add up to the step.

    Args:
        ready: the engine.
        batch: sequences of the replica that decode [1].
        load: lengths and speculation.

    Returns:
        {operator: time [s]}, kernels times the framework's factor, "host" for the rest of the step.
    """
    table, constants = ready.table, ready.serving.values
    context = float(np.asarray(load.input_tokens) + 0.5 * np.asarray(load.output_tokens))
    each = max(batch / ready.placement.pp, min(batch, 1.0))
    query = float(np.asarray(load.query_tokens))
    tokens = each * query
    parts = table.parts_s(tokens)
    parts["attention"] = float(table.decode_attention_s(each, context, query))
    parts["head"] = float(table.logits_s(tokens))
    if load.drafts:
        parts["drafts"] = load.drafts * float(table.draft_s(each, context))
    scaled = {name: constants.kernel_factor * time for name, time in parts.items() if time > 0.0}
    if ready.placement.pp > 1:
        scaled["pipeline"] = float(table.hops_s(tokens))
    step = float(decode_step_s(table, constants, batch, context, load))
    scaled["host"] = step - sum(scaled.values())
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
        return f"{largest}: {_bound(ready, batch)}"
    return {"attention": "attention: KV reads", "links": "collectives: links", "host": "host: step overhead"}[
        largest
    ]


def _bound(ready: Engine, tokens: float) -> str:
    table = ready.table
    bandwidth = float(np.asarray(ready.chip.operators.memory_bandwidth_bytes_per_s))
    compute = float(np.interp(tokens, table.grid, table.peak_s))
    memory = float(np.interp(tokens, table.grid, table.bytes)) / bandwidth
    return "compute" if compute > memory else "memory bandwidth"


def step_work(
    ready: Engine, tokens: float, sequences: float = 0.0, context: float = 0.0
) -> tuple[float, float, float]:
    """Time a step's work would take at the peaks: operations, memory bytes, link bytes [s].

    Args:
        ready: the engine.
        tokens: tokens of the step over all attention groups [token].
        sequences: of them sequences that decode against a cache [1].
        context: tokens of each [token].
    """
    table, chip = ready.table, ready.chip.operators
    compute = float(np.interp(tokens, table.grid, table.peak_s))
    moved = float(np.interp(tokens, table.grid, table.bytes))
    wire = float(np.interp(tokens, table.grid, table.wire_bytes))
    if sequences > 0.0:
        flops, cache = table.attention.decode_work(sequences / ready.placement.dp, context)
        compute += float(flops) / float(chip.peak("bf16"))
        moved += float(cache)
    bandwidth = float(np.asarray(chip.memory_bandwidth_bytes_per_s))
    return compute, moved / bandwidth, wire / float(np.asarray(chip.link_bytes_per_s))


def prompt_work(ready: Engine, new: float, cached: float) -> tuple[float, float, float]:
    """The same of one prompt [s]: weights are read for decodes anyway, so only what a prompt adds."""
    table, chip = ready.table, ready.chip.operators
    compute, memory, link = step_work(ready, new)
    floor = float(table.bytes[1]) / float(np.asarray(chip.memory_bandwidth_bytes_per_s))
    groups = ready.placement.dp
    flops = float(table.attention.prefill_flops(1.0 / groups, new, cached))
    compute += flops / float(chip.peak(_attention_form(ready)))
    return compute, max(memory - floor, 0.0), link


def _attention_form(ready: Engine) -> str:
    narrow = (
        number_format(ready.precision.kv).weight_bytes < 1.5 and "fp8" in ready.chip.operators.peak_flop_per_s
    )
    return "fp8" if narrow else "bf16"


def shares(ready: Engine, load: Load, found: Latency) -> Utilisation:
    """Mean shares of the chip's peaks in the steady state.

    Args:
        ready: the engine.
        load: lengths and speculation.
        found: latencies and rates of the replica.
    """
    prompt, output = float(np.asarray(load.input_tokens)), float(np.asarray(load.output_tokens))
    batch = float(found.batch)
    emitted = float(load.tokens_per_step)
    per_step = float(found.tpot_s) * emitted
    steps = min(float(found.requests_per_s) * output / emitted / max(batch, 1e-9), 1.0 / per_step)
    query = float(np.asarray(load.query_tokens))
    decode = step_work(ready, batch * query, batch, prompt + 0.5 * output)
    cached = prompt * float(np.asarray(load.cached_share))
    prompts = prompt_work(ready, max(prompt - cached, 1.0), cached)
    rate = float(found.requests_per_s)
    pp = ready.placement.pp
    values = [min((steps * one + rate * two) / pp, 1.0) for one, two in zip(decode, prompts, strict=True)]
    constants = ready.serving.values
    host = constants.step_s + constants.sequence_s * min(batch / ready.placement.dp, 512.0)
    idle = min(max(steps * host, 0.0), 0.9)
    return Utilisation(*values, busy=1.0 - idle)
