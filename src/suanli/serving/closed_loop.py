"""Latency of N clients that each send the next request when the last has ended, and of an open arrival rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InfeasibleError, InputError
from suanli.hardware.laws import p_norm
from suanli.serving.framework import Serving
from suanli.serving.steptime import StepTable

Array = NDArray[np.float64]

# Passes of the fixed point of batch and time per token; the error after four is below 0.1 %.
_PASSES = 4
_BISECTIONS = 40
# Share of the ideal gain of running two half batches that decode keeps: their kernels compete for memory and
# processors.
OVERLAP_GAIN = 0.4
SEQUENCES_TIMED = 512.0
_HOST_EXPONENT = 4.0
# Requests come apart when their ends spread over this many times less than a group's prefill.
_LOOSE = 2.0


@dataclass(frozen=True, slots=True)
class Load:
    """What clients ask of one replica. Arrays broadcast.

    Attributes:
        clients: N, requests in flight, those in the queue included [1].
        input_tokens: mean prompt [token].
        output_tokens: mean output [token].
        cached_share: share of the prompt found in the prefix cache [1].
        capacity: sequences that the replica can run at a time (memory, framework limit) [1].
        length_spread: width of the distribution of lengths over the mean, 0 where all requests are alike [1].
        rounds: prompts that each client sends, all clients starting at once; 0 for the steady state alone [1].
        tokens_per_step: tokens a sequence gets in a step, above 1 with speculative decoding [token].
        query_tokens: tokens that a step computes per sequence, drafts included [token].
        drafts: draft tokens of a step, each a pass through one MTP layer and the head [token].
        overlap: share of steps in which exchange runs beside the other half of the batch [1].
    """

    clients: ArrayLike
    input_tokens: ArrayLike
    output_tokens: ArrayLike
    cached_share: ArrayLike = 0.0
    capacity: ArrayLike = np.inf
    length_spread: ArrayLike = 0.0
    rounds: ArrayLike = 10.0
    tokens_per_step: float = 1.0
    query_tokens: float = 1.0
    drafts: float = 0.0
    overlap: float = 0.0


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
        wait_s: mean time that a prompt waits for the prompts before it [s].
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
    wait_s: Array


def decode_step_s(
    table: StepTable, serving: Serving, sequences: ArrayLike, context: ArrayLike, load: Load
) -> Array:
    """Time of a decode step in the engine: kernel factor x kernels + host time [s].

    Args:
        table: step times.
        serving: constants of the framework.
        sequences: sequences that decode [1].
        context: tokens of each [token].
        load: speculation and overlap.
    """
    pp = table.placement.pp
    batch = np.maximum(np.asarray(sequences, dtype=float), 1e-6)
    # A pipeline works on pp batches at a time; a token passes through all stages of its own.
    each = np.maximum(batch / pp, np.minimum(batch, 1.0))
    if load.overlap:
        kernels, halves = table.halved_decode_s(each, context, load.query_tokens)
        kernels = kernels + load.overlap * OVERLAP_GAIN * (np.minimum(halves, kernels) - kernels)
    else:
        kernels = table.decode_step_s(each, context, load.query_tokens)
    if load.drafts:
        kernels = kernels + load.drafts * table.draft_s(each, context)
    kernels = serving.kernel_factor * kernels + table.hops_s(each * load.query_tokens)
    host = serving.host_layer_s * table.chip.host_slowness * table.model.layer_count
    kernels = beside_host(kernels, host)
    # Every attention group has a scheduler of its own; beyond some sequences its work hides behind the kernels.
    timed = np.minimum(batch / table.placement.dp, SEQUENCES_TIMED)
    return np.asarray(kernels + serving.step_s + serving.sequence_s * timed)


def beside_host(kernels_s: ArrayLike, host_s: float) -> Array:
    """Time of kernels that the host launches one by one ahead of the chip: (k^4 + h^4)^(1/4), nearly the longer one.

    Args:
        kernels_s: k, time of the kernels [s].
        host_s: h, time to launch them; 0 with graphs [s].
    """
    return p_norm(np.asarray(kernels_s, dtype=float), host_s, _HOST_EXPONENT)


def spread_over_groups(prompts: ArrayLike, groups: int) -> Array:
    """How evenly the prompts of a step spread over attention groups: 0 where one has all, 1 where all have as many.

    The fullest of g groups has about m = sqrt((1 - e^-p)^2 + (p/g)^2) of p prompts that are dealt out evenly, and a
    prompt costs m/p of what it costs its group.

    Args:
        prompts: p, mean number of prompts that start in a step [1].
        groups: g, attention groups, at least 2 [1].
    """
    count = np.maximum(np.asarray(prompts, dtype=float), 1e-6)
    most = np.hypot(-np.expm1(-count), count / groups)
    return np.asarray(np.clip((1.0 - most / count) / (1.0 - 1.0 / groups), 0.0, 1.0))


def delivery_steps(serving: Serving) -> float:
    """Decode steps that a first token waits beside computing: s + (R - 1)/2 + h (S - 1).

    Args:
        serving: s `ttft_steps`, R `recv_interval`, h `held_share`, S `stream_interval`.
    """
    polls = 0.5 * (serving.recv_interval - 1.0)
    return serving.ttft_steps + polls + serving.held_share * (serving.stream_interval - 1.0)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Cost of a prompt.

    Attributes:
        alone_s: time it adds where it meets no other prompt [s].
        packed_s: time it adds where prompts fill the steps they share [s].
        steps: steps it takes alone [1].
        group: prompts that a full step takes [1].
    """

    alone_s: Array
    packed_s: Array
    steps: Array
    group: Array

    def unstacked(self) -> tuple[Prompt, Prompt]:
        """Split costs that were computed for two stacked conditions."""
        parts = (self.alone_s, self.packed_s, self.steps, self.group)
        first, second = (Prompt(*(part[i] for part in parts)) for i in (0, 1))
        return first, second


def prompt_cost(
    table: StepTable, serving: Serving, sequences: ArrayLike, new_tokens: ArrayLike, cached_tokens: ArrayLike
) -> Prompt:
    """Time that a prompt adds to the steps it shares with decodes.

    Args:
        table: step times.
        serving: constants of the framework.
        sequences: sequences that decode in the same steps [1].
        new_tokens: tokens to compute [token].
        cached_tokens: tokens found in the cache [token].

    Returns:
        The cost, alone and packed with others.
    """
    new, cached, beside = (np.asarray(v, dtype=float) for v in (new_tokens, cached_tokens, sequences))
    # Without a fixed chunk a step takes the prompt at hand and what room the decodes leave (TRT-LLM's benchmarks).
    chunk = np.where(serving.chunk_tokens > 0.0, serving.chunk_tokens, new + beside + 128.0)
    room = np.maximum(chunk - beside, 0.25 * chunk)
    steps = np.ceil(new / room)
    size = new / steps
    base = table.rest_s(beside)
    # Chunks attend to what came before: one in the middle stands for the mean.
    before = cached + 0.5 * (steps - 1.0) * size
    # A prompt is the work of one attention group; the others wait for it where they share experts.
    groups = np.array([1.0, table.placement.dp]).reshape(2, *(1,) * size.ndim)
    core, single = table.prefill_attention_s(groups, size, before)
    head = table.logits_s(beside + 1.0) - np.where(beside > 0.0, table.logits_s(beside), 0.0)
    alone = steps * (np.maximum(table.prompt_rest_s(beside, size), 0.0) + single) + head
    full = np.maximum(table.rest_s(beside + room) - base, 0.0) * new / room + steps * core
    factor, stages = serving.prefill_factor, table.placement.pp
    return Prompt(
        alone_s=np.asarray((factor * alone + steps * serving.prefill_step_s) / stages),
        packed_s=np.asarray((factor * full + serving.prefill_step_s * new / room) / stages),
        steps=steps,
        group=np.maximum(room / new, 1.0),
    )


def closed_loop(table: StepTable, serving: Serving, load: Load) -> Latency:
    """Steady state of N clients on one replica, and the burst they start with.

    With d the decode step, P the time that a prompt adds, O outputs, n steps a prompt, g prompts a step, m rounds::

        TPOT = d + (N - 1) P/O (1 - TTFT/C)      C = O TPOT + TTFT
        u = (N - 1) P/C      W = min(P/2 u/(1 - u), (N - 1) P/2)
        apart = d/2 + n d + P + W      together = g P + d      burst = P (N + g)/2
        TTFT = (burst + (m - 1) steady)/m + base,  steady between `apart` and `together`

    A scheduler that looks for new requests every R steps lets them wait R/2 steps and then computes those that have
    come since together; a stream that sends every S tokens delays the share h of first tokens whose text it holds.

    Requests of one length that start together end together: prompts then keep meeting in groups of g, and where
    prefill steps stand alone all N of them meet again and again, half of whose prefill nobody sees in TPOT. Lengths
    that spread over more than such a group's prefill take them apart. Requests beyond the capacity wait for a running
    one to end.

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
    others = np.maximum(running - 1.0, 0.0)
    cached = prompt * load.cached_share
    new = np.maximum(prompt - cached, 1.0)
    context = prompt + 0.5 * output
    emitted = np.maximum(output / load.tokens_per_step, 1.0)
    mixed = serving.mixed
    groups = table.placement.dp
    started = others * serving.recv_interval / emitted
    evenly = spread_over_groups(started, groups) if groups > 1 else None
    # The step is nearly linear in the batch, so its ends are timed once and the passes below interpolate; below one
    # sequence there is no step.
    fewest = np.maximum(0.5 * running, np.minimum(running, 1.0))
    half, whole = decode_step_s(table, serving, np.stack([fewest, running]), context, load)
    besides = np.stack([running * mixed, np.zeros_like(running)])
    cost, lone = prompt_cost(table, serving, besides, new, cached).unstacked()
    batch, waited = running, np.zeros(())
    group = np.minimum(cost.group, running) if mixed > 0.5 else running
    met_s, slope = group * cost.packed_s, (whole - half) * running / np.maximum(running - fewest, 1e-9)
    for _ in range(_PASSES):
        step = whole + slope * (np.maximum(_live_share(batch / running, running), 0.25) - 1.0)
        # The busier prefill is, the more prompts share a step.
        met = others * cost.alone_s / (emitted * step + others * cost.alone_s + cost.alone_s)
        met = met if evenly is None else evenly
        added = cost.alone_s + (cost.packed_s - cost.alone_s) * met
        spread = load.length_spread * emitted * step
        alike = 1.0 / (1.0 + (_LOOSE * spread / met_s) ** 2)
        tied = alike * serving.lockstep
        share = emitted * step / (emitted * step + waited)
        seen = tied * (1.0 - 0.5 * (1.0 - mixed)) + (1.0 - tied) * share
        per_step = step + others * added / emitted * seen
        cycle = emitted * per_step + waited + step
        wait, waited, burst = _first_tokens(serving, cost, running, met_s, step, added, cycle, alike)
        # One replica computes all prompts: what of them no TPOT shows, somebody waits for.
        waited = np.maximum(waited, running * added - emitted * per_step)
        batch = np.maximum(running * emitted * per_step / (emitted * per_step + waited), 1e-6)
    queued = np.maximum(clients - capacity, 0.0)
    cycle = emitted * per_step + waited
    admission = queued * cycle / np.maximum(running, 1e-9)
    waves = np.maximum(clients / np.maximum(running, 1e-9) - 1.0, 0.0)
    rounds = np.asarray(load.rounds, dtype=float)
    weight = np.where(rounds > 0.0, 1.0 / np.maximum(rounds, 1.0), 0.0)
    host = serving.ttft_base_s + serving.prompt_s * prompt
    first = burst + 0.5 * waves * cycle
    return Latency(
        ttft_s=np.asarray(weight * first + (1.0 - weight) * (waited + admission) + host),
        unloaded_ttft_s=np.asarray(lone.alone_s + serving.step_s + host),
        tpot_s=np.asarray(per_step * emitted / output),
        itl_s=step,
        batch=np.minimum(batch, running),
        prefill_s=added,
        decode_step_s=step,
        prefill_share=np.minimum(running * added / cycle, 1.0),
        requests_per_s=np.asarray(running / (cycle + host * running / clients)),
        waiting=queued,
        wait_s=wait,
    )


def _live_share(share: Array, running: Array) -> Array:
    """Mean batch of the steps that decode, over those running: p/(1 - (1 - p)^N); a step decodes one at least [1].

    Args:
        share: p, mean over time of the sequences that decode, over N [1].
        running: N, sequences admitted [1].
    """
    p = np.clip(share, 1e-6, 1.0 - 1e-9)
    return np.asarray(p / -np.expm1(running * np.log1p(-p)))


def _first_tokens(
    serving: Serving,
    cost: Prompt,
    running: Array,
    met_s: Array,
    step: Array,
    added: Array,
    cycle: Array,
    alike: Array,
) -> tuple[Array, Array, Array]:
    """Wait of a prompt for those before it, time to its first token in the steady state, and in the burst [s]."""
    others, mixed, late = np.maximum(running - 1.0, 0.0), serving.mixed, delivery_steps(serving)
    work = others * added
    busy = np.minimum(work / cycle, 0.999)
    # Requests of one length come back one by one, as regularly as they were served: nothing queues.
    wait = np.minimum(0.5 * added * busy / (1.0 - busy), 0.5 * work) * (1.0 - alike)
    apart = step * (0.5 + late + mixed * cost.steps) + added + wait
    if serving.recv_interval > 1.0:
        # Those that came since the scheduler last looked are computed together.
        come = np.minimum(others * (serving.recv_interval - 1.0) * step / cycle, others)
        apart = apart + np.maximum(come * cost.packed_s - wait, 0.0)
    burst = 0.5 * cost.packed_s * (running + np.minimum(cost.group, running)) + step * (mixed + late)
    if not serving.lockstep:
        return wait, apart, burst
    together = met_s + step * (cost.steps + late) if mixed > 0.5 else burst
    return wait, apart + alike * serving.lockstep * (np.maximum(together, apart) - apart), burst


def open_loop(
    table: StepTable, serving: Serving, load: Load, requests_per_s: ArrayLike
) -> tuple[Latency, Load]:
    """Steady state of random arrivals at a rate: as many requests in flight as serve that rate, prompts queue as M/D/1.

    W = P/2 u/(1 - u) with u = rate x P; the number in flight follows from Little's law.

    Args:
        table: step times of the layout.
        serving: constants of the framework.
        load: what requests ask; its clients are replaced.
        requests_per_s: arrivals at the replica, broadcast with the load [1/s].

    Returns:
        Latencies, and the load with the requests in flight; at least one, whose rate is then above the one asked for,
        because a request that finds the replica idle runs as one client's does.

    Raises:
        InputError: a rate that is not above 0.
        InfeasibleError: the replica cannot serve that rate.
    """
    rate = np.asarray(requests_per_s, dtype=float)
    if not np.all(rate > 0.0):
        raise InputError(f"arrival_rate_per_s must be above 0, got {np.min(rate):g}")
    steady = replace(load, rounds=0.0, length_spread=1.0)
    most = np.minimum(np.asarray(load.capacity, dtype=float), serving.max_sequences * table.placement.dp)
    low, high = np.ones_like(rate + most), np.maximum(rate * 0.0 + most, 1.0)

    def at(clients: Array) -> Latency:
        return closed_loop(table, serving, replace(steady, clients=clients))

    best = at(high).requests_per_s
    if np.any(best < rate):
        over = np.unravel_index(np.argmin(best - rate), np.shape(best))
        raise InfeasibleError(
            f"a replica serves {best[over]:.3g} requests/s at most, "
            f"{np.broadcast_to(rate, np.shape(best))[over]:.3g} arrive"
        )
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low * high)
        short = at(middle).requests_per_s < rate
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    clients = np.where(at(low).requests_per_s < rate, high, 1.0)
    found = at(clients)
    busy = np.minimum(rate * found.prefill_s, 0.999)
    wait = 0.5 * found.prefill_s * busy / (1.0 - busy)
    return replace(found, ttft_s=found.ttft_s - found.wait_s + wait), replace(steady, clients=clients)
