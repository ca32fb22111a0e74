"""Latency of N clients that each send the next request when the last has ended, and of an open arrival rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.serving.framework import Serving
from suanli.serving.steptime import StepTable

Array = NDArray[np.float64]

# Passes of the fixed point of batch and time per token; the error after four is below 0.1 %.
_PASSES = 4


@dataclass(frozen=True, slots=True)
class Load:
    """What clients ask of one replica. Arrays broadcast.

    Attributes:
        clients: N, requests in flight, those in the queue included [1].
        input_tokens: mean prompt [token].
        output_tokens: mean output [token].
        cached_share: share of the prompt found in the prefix cache [1].
        capacity: sequences that the replica can run at a time (memory, framework limit) [1].
        rounds: prompts that each client sends, all clients starting at once; 0 for the steady state alone [1].
        tokens_per_step: tokens a sequence gets in a step, above 1 with speculative decoding [token].
        query_tokens: tokens that a step computes per sequence, drafts included [token].
        draft_s: time of the draft layers of a step [s].
    """

    clients: ArrayLike
    input_tokens: ArrayLike
    output_tokens: ArrayLike
    cached_share: ArrayLike = 0.0
    capacity: ArrayLike = np.inf
    rounds: ArrayLike = 10.0
    tokens_per_step: ArrayLike = 1.0
    query_tokens: ArrayLike = 1.0
    draft_s: ArrayLike = 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """What the clients see.

    Attributes:
        ttft_s: mean time to the first token, queueing and the first burst included [s].
        unloaded_ttft_s: with one client [s].
        tpot_s: (end to end - TTFT)/(tokens - 1) [s].
        itl_s: length of a step without prompt tokens: the usual gap between tokens [s].
        batch: sequences that decode on average [1].
        prefill_s: time that one prompt adds to the replica's work [s].
        decode_step_s: time of a decode step at that batch [s].
        prefill_share: share of time that prompts take [1].
        requests_per_s: rate of finished requests [1/s].
        waiting: requests that wait for room on average [1].
    """

    ttft_s: Array
    unloaded_ttft_s: Array
    tpot_s: Array
    itl_s: Array
    batch: Array
    prefill_s: Array
    decode_step_s: Array
    prefill_share: Array
    requests_per_s: Array
    waiting: Array


def decode_step_s(table: StepTable, serving: Serving, sequences: ArrayLike, context: ArrayLike, load: Load) -> Array:
    """Time of a decode step in the engine: kernel factor x kernels + host time [s]."""
    pp = table.placement.pp
    batch = np.maximum(np.asarray(sequences, dtype=float), 1e-6)
    # A pipeline works on pp batches at a time; a token passes through all stages of its own.
    kernels = table.decode_step_s(np.maximum(batch / pp, np.minimum(batch, 1.0)), context, load.query_tokens)
    kernels = serving.kernel_factor * (kernels + load.draft_s)
    kernels = np.maximum(kernels, serving.host_layer_s * table.model.layer_count)
    return np.asarray(kernels + serving.step_s + serving.sequence_s * batch)


def prompt_s(
    table: StepTable, serving: Serving, decoding: ArrayLike, new: ArrayLike, cached: ArrayLike, chunk: ArrayLike
) -> tuple[Array, Array]:
    """Time that a prompt adds to the steps it shares with decodes, and the number of those steps.

    Args:
        table: step times.
        serving: constants of the framework.
        decoding: sequences that decode meanwhile [1].
        new: tokens to compute [token].
        cached: tokens found in the cache [token].
        chunk: tokens a step takes [token].

    Returns:
        Time [s] and steps [1].
    """
    new, cached, chunk = (np.asarray(v, dtype=float) for v in (new, cached, chunk))
    beside = np.asarray(decoding, dtype=float)
    steps = np.maximum(np.ceil(new / chunk), 1.0)
    size = new / steps
    with_prompt = table.rest_s(beside + size) + table.logits_s(beside + 1.0)
    without = np.where(beside > 0.0, table.rest_s(beside) + table.logits_s(beside), 0.0)
    # Chunks attend to what came before: a chunk in the middle stands for the mean.
    core = table.prefill_attention_s(1.0, size, cached + 0.5 * (steps - 1.0) * size)
    kernels = serving.prefill_factor * np.maximum(with_prompt - without + core, 0.0)
    return np.asarray(steps * (kernels + serving.prefill_step_s) / table.placement.pp), steps


def closed_loop(table: StepTable, serving: Serving, load: Load) -> Latency:
    """Steady state of N clients on one replica, and the burst they start with.

    With d the decode step, P the time that a prompt adds, O outputs, n steps a prompt, m rounds::

        TPOT = d + (N - 1) P/O          C = O TPOT + P + d          u = (N - 1) P/C
        W = min(P/2 u/(1 - u), (N - 1) P/2)
        steady = d/2 + n d + P + W      burst = P (N + 1)/2
        TTFT = (burst + (m - 1) steady)/m + base

    d is taken at the batch that decodes on average. Requests beyond the capacity wait for a running one to end.

    Args:
        table: step times of the layout.
        serving: constants of the framework.
        load: what clients ask.

    Returns:
        Latencies and rates, broadcast over the load's arrays.
    """
    clients = np.asarray(load.clients, dtype=float)
    prompt, output = np.asarray(load.input_tokens, dtype=float), np.asarray(load.output_tokens, dtype=float)
    capacity = np.minimum(np.asarray(load.capacity, dtype=float), serving.max_sequences * table.placement.dp)
    running = np.minimum(clients, capacity)
    cached = prompt * load.cached_share
    new = np.maximum(prompt - cached, 1.0)
    context = prompt + 0.5 * output
    steps_of_output = np.maximum(output / load.tokens_per_step, 1.0)
    chunk = np.where(serving.chunk_tokens > 0.0, serving.chunk_tokens, new)
    batch = running
    for _ in range(_PASSES):
        step = decode_step_s(table, serving, batch, context, load)
        added, chunks = prompt_s(table, serving, batch * serving.mixed, new, cached, chunk)
        others = np.maximum(running - 1.0, 0.0)
        per_step = step + others * added / steps_of_output
        cycle = steps_of_output * per_step + added + step
        busy = np.minimum(others * added / cycle, 0.999)
        batch = np.maximum(running * steps_of_output * per_step / (cycle + 0.5 * added * busy / (1.0 - busy)), 1e-6)
    wait = np.minimum(0.5 * added * busy / (1.0 - busy), 0.5 * others * added)
    own = added + step * (0.5 + serving.mixed * chunks * (others > 0.0))
    queued = np.maximum(clients - capacity, 0.0)
    admission = queued * cycle / np.maximum(running, 1e-9)
    steady = own + wait + admission
    burst = 0.5 * added * (running + 1.0) + _burst_admission(clients, running, cycle)
    rounds = np.asarray(load.rounds, dtype=float)
    weight = np.where(rounds > 0.0, 1.0 / np.maximum(rounds, 1.0), 0.0)
    host = serving.ttft_base_s + serving.prompt_s * prompt
    alone, _ = prompt_s(table, serving, 0.0, new, cached, chunk)
    return Latency(
        ttft_s=weight * burst + (1.0 - weight) * steady + host,
        unloaded_ttft_s=np.asarray(alone + serving.step_s + host),
        tpot_s=np.asarray(per_step * steps_of_output / output),
        itl_s=step,
        batch=np.minimum(batch, running),
        prefill_s=added,
        decode_step_s=step,
        prefill_share=np.minimum(running * added / cycle, 1.0),
        requests_per_s=np.asarray(running / (cycle + wait)),
        waiting=queued,
    )


def _burst_admission(clients: Array, running: Array, cycle: Array) -> Array:
    """Mean wait of a client's first request for room: the r-th wave of a full house waits r cycles [s]."""
    waves = clients / np.maximum(running, 1e-9)
    return np.asarray(0.5 * np.maximum(waves - 1.0, 0.0) * cycle)
