"""Whole requests on one kind of replica: a group of questions that share an engine, answered together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import ShortOfMemoryError
from suanli.serving.bands import LARGE, rate_band, step_band, ttft_band, widened
from suanli.serving.closed_loop import Latency, Load, closed_loop, open_loop
from suanli.serving.deployment import MemoryParts
from suanli.serving.engine import MTP_ACCEPTANCE, Engine, memory_problem, tokens_per_step
from suanli.serving.point import Estimate, Point, Utilisation, banded, rated
from suanli.serving.stepoperators import WIDE_RANKS
from suanli.serving.work_shares import Use, bottleneck, decode_parts, shares

Array = NDArray[np.float64]
_COLUMNS = ("clients", "input_tokens", "output_tokens", "cached_share", "length_spread", "rounds")


@dataclass(frozen=True, slots=True)
class Group:
    """Questions on one engine that differ in lengths and load only.

    Attributes:
        ready: the engine.
        points: the questions.
        load: their load, one value a question.
    """

    ready: Engine
    points: tuple[Point, ...]
    load: Load


def load_of(point: Point, ready: Engine) -> Load:
    """What one replica is asked: clients, lengths, speculation, overlap.

    Args:
        point: the question.
        ready: its engine.
    """
    options, constants = point.options, ready.serving.values
    low = options.get("length_low_share", 1.0)
    mean = 0.5 * (1.0 + low)
    draft = constants.draft_tokens
    return Load(
        clients=max(point.concurrency / ready.placement.replicas, 1.0),
        input_tokens=max(mean * point.isl, 1.0),
        output_tokens=max(mean * point.osl, 1.0),
        cached_share=options.get("prefix_hit_share", 0.0),
        length_spread=(1.0 - low) / mean,
        rounds=options.get("burst_prompts_per_client", 10.0),
        tokens_per_step=tokens_per_step(draft, options.get("mtp_acceptance", MTP_ACCEPTANCE)),
        query_tokens=1.0 + draft,
        drafts=draft,
        overlap=options.get("overlap", constants.decode_overlap if ready.placement.ep > WIDE_RANKS else 0.0),
    )


def joined(loads: Sequence[Load]) -> Load:
    """Stack loads that differ in numbers of clients and lengths only."""
    columns = {name: np.array([getattr(load, name) for load in loads], dtype=float) for name in _COLUMNS}
    return replace(loads[0], **columns)  # type: ignore[arg-type]


def grouped(points: Sequence[Point], ready: Engine) -> list[Group]:
    """Put questions of one engine into groups that one call can answer."""
    found: dict[tuple[float, float], list[tuple[Point, Load]]] = {}
    for point in points:
        load = load_of(point, ready)
        found.setdefault((load.tokens_per_step, load.overlap), []).append((point, load))
    return [
        Group(ready, tuple(point for point, _ in members), joined([load for _, load in members]))
        for members in found.values()
    ]


def answered(group: Group) -> list[Estimate]:
    """Answer a group of closed-loop questions.

    Args:
        group: the questions.

    Returns:
        One estimate a question; those that do not fit say so.
    """
    ready = group.ready
    memory = [
        ready.memory(float(isl), float(osl), float(clients))
        for isl, osl, clients in zip(
            np.asarray(group.load.input_tokens),
            np.asarray(group.load.output_tokens),
            np.asarray(group.load.clients),
            strict=True,
        )
    ]
    problems = [memory_problem(one, ready) for one in memory]
    capacity = np.array([max(one.sequences, 1e-3) for one in memory]) * ready.placement.dp
    load = replace(group.load, capacity=capacity)
    found = closed_loop(ready.table, ready.serving.values, load)
    answers = assembled(group.points, ready, load, found, memory)
    return [
        answer if problem is None else Estimate("infeasible", problem, short_of_memory=True)
        for answer, problem in zip(answers, problems, strict=True)
    ]


def answered_at_rate(point: Point, ready: Engine, rate: float) -> Estimate:
    """Answer a question with open arrivals.

    Args:
        point: the question.
        ready: its engine.
        rate: arrivals at the whole deployment [1/s].

    Returns:
        The estimate.

    Raises:
        ShortOfMemoryError: it does not fit.
        InfeasibleError: it cannot serve that rate.
    """
    load = joined([load_of(point, ready)])
    prompt, output = (float(np.asarray(v)[0]) for v in (load.input_tokens, load.output_tokens))
    memory = ready.memory(prompt, output, 256.0)
    problem = memory_problem(memory, ready)
    if problem is not None:
        raise ShortOfMemoryError(problem)
    load = replace(load, capacity=np.array([memory.sequences * ready.placement.dp]))
    found, load = open_loop(ready.table, ready.serving.values, load, rate / ready.placement.replicas)
    return assembled((point,), ready, load, found, [memory])[0]


def assembled(
    points: Sequence[Point], ready: Engine, load: Load, found: Latency, memory: Sequence[MemoryParts]
) -> list[Estimate]:
    """Put numbers, bands, parts and utilisation of a group together."""
    serving, replicas = ready.serving, ready.placement.replicas
    parts = decode_parts(ready, found.batch, load, found.decode_step_s)
    used, count = shares(ready, load, found), len(points)
    widths = _widths(ready, load, found, parts["host"], count)
    limit = serving.values.max_sequences * ready.placement.dp
    columns = {name: _column(getattr(found, name), count) for name in _LATENCIES}
    in_use = [_column(one, count) for one in (used.compute, used.memory, used.link, used.busy)]
    step_floors, prompt_floors, busiest = _limits(ready, used, count)
    prompts, outputs = _column(load.input_tokens, count), _column(load.output_tokens, count)
    clients = _column(load.clients, count)
    emitted = load.tokens_per_step
    answers = []
    for i, point in enumerate(points):
        row = {name: column[i] for name, column in columns.items()}
        largest = min(memory[i].sequences * ready.placement.dp, limit)
        factor, base, firsts = widths[i]
        wide = ttft_band(base, firsts, row["prefill_share"], clients[i] / max(largest, 1e-9))
        calm = ttft_band(base, firsts, 0.0, 0.0)
        requests = row["requests_per_s"] * replicas
        # Fewer requests than replicas, or than one client sends, leave time idle.
        asked = point.options.get("arrival_rate_per_s", requests * point.concurrency / replicas)
        active = min(asked / requests, 1.0)
        requests *= active
        steps = min(outputs[i] * row["tpot_s"] * row["requests_per_s"] / max(row["batch"], 1e-9), 1.0)
        ends = rate_band(requests, steps, factor, wide, row["waiting"] > 0.5)
        answered_per_s = rated(requests, *ends, busiest[i] * active)
        own = {name: float(column[i]) for name, column in parts.items()}
        answers.append(
            Estimate(
                status="ok",
                ttft_s=banded(row["ttft_s"], wide, prompt_floors[i]),
                tpot_s=banded(row["tpot_s"], factor, step_floors[i] / emitted),
                itl_s=banded(row["itl_s"] / emitted, factor, step_floors[i] / emitted),
                output_tokens_per_s=answered_per_s.scaled(outputs[i]),
                input_tokens_per_s=answered_per_s.scaled(prompts[i]),
                unloaded_ttft_s=banded(row["unloaded_ttft_s"], calm, prompt_floors[i]),
                basis=ready.table.basis,
                placement=ready.placement,
                batch=row["batch"] * replicas * active,
                largest_batch=largest * replicas,
                memory=memory[i],
                parts=own,
                bottleneck=bottleneck(ready, own, row["batch"], row["prefill_share"]),
                utilisation=Utilisation(*(column[i] * active for column in in_use)),
                prefill_share=row["prefill_share"] * active,
                notes=_notes(ready, row["waiting"] * replicas),
            )
        )
    return answers


def _widths(
    ready: Engine, load: Load, found: Latency, host_s: Array, count: int
) -> list[tuple[float, float, float]]:
    """Factors of the bands of TPOT, of TTFT away from saturation, and of the steps in it, one triple a question."""
    serving, basis = ready.serving, ready.table.basis
    values, known = serving.values, serving.framework != "*"
    factor = step_band(values.tpot_band, basis, known)
    if serving.refinement is not None:
        return serving.refinement.widths((factor, values.ttft_band), values, load, found, host_s)
    large = step_band(widened(values.tpot_band, values.tpot_band_large), basis, known)
    full = np.broadcast_to(found.batch, (count,)) >= LARGE * ready.placement.dp
    return [(large if one else factor, values.ttft_band, factor) for one in full]


def _limits(ready: Engine, used: Use, count: int) -> tuple[list[float], list[float], list[float]]:
    """Least time of a decode step and of a prompt, and the share of the busiest peak, one a question."""
    if ready.model.experts_per_layer:
        # How many distinct experts a batch reads is an expectation, not a bound.
        none = [0.0] * count
        return none, none, none
    busiest = np.maximum(used.compute, used.memory)
    return _column(used.step_floor_s, count), _column(used.prompt_floor_s, count), _column(busiest, count)


def _column(values: ArrayLike, count: int) -> list[float]:
    return np.broadcast_to(np.asarray(values, dtype=float), (count,)).tolist()  # type: ignore[no-any-return]


_LATENCIES = (
    "ttft_s",
    "unloaded_ttft_s",
    "tpot_s",
    "itl_s",
    "batch",
    "prefill_share",
    "requests_per_s",
    "waiting",
)


def _notes(ready: Engine, waiting: float) -> tuple[str, ...]:
    if waiting <= 0.5:
        return ready.notes
    return (*ready.notes, f"{waiting:.0f} requests wait for KV memory or a place in the batch.")
