"""Speed of one deployment: TTFT, TPOT, throughput, memory and where the time goes; with bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError, InputError, SuanliError
from suanli.serving.bands import step_band, ttft_band
from suanli.serving.closed_loop import Latency, Load, closed_loop, decode_step_s, open_loop
from suanli.serving.deployment import MemoryParts
from suanli.serving.engine import MTP_ACCEPTANCE, Engine, check, check_memory, engine, tokens_per_step
from suanli.serving.kernels import Coefficients
from suanli.serving.point import Band, Estimate, Point, Utilisation, banded
from suanli.serving.pools import PoolStep, decode_pool, prefill_pool
from suanli.serving.stepoperators import WIDE_RANKS
from suanli.serving.work_shares import bottleneck, decode_parts, shares

Array = NDArray[np.float64]


def estimate(point: Point, tables: Coefficients) -> Estimate:
    """Estimate one deployment.

    Args:
        point: the question.
        tables: calibration rows; keep the step tables that are built from them, so pass the same object again.

    Returns:
        The estimate; a question that has no answer gets a status and a reason instead of numbers.
    """
    try:
        check(point)
        ready = engine(point, tables)
        if point.phase == "prefill":
            return _prefill(point, ready)
        if point.phase == "decode":
            return _decode(point, ready)
        return _mixed(point, ready)
    except InfeasibleError as error:
        status = "unsupported" if "cannot compute" in str(error) else "infeasible"
        return Estimate(status, _line(error))
    except InputError as error:
        status = "infeasible" if _is_layout(str(error)) else "unsupported"
        return Estimate(status, _line(error))
    except SuanliError as error:
        return Estimate("unsupported", _line(error))


def estimates(points: Sequence[Point], tables: Coefficients) -> list[Estimate]:
    """Estimate many deployments; points of one layout share its step table.

    Args:
        points: the questions.
        tables: calibration rows.

    Returns:
        One estimate a point, in their order.
    """
    return [estimate(point, tables) for point in points]


def _line(error: Exception) -> str:
    return "; ".join(str(error).splitlines())


def _is_layout(text: str) -> bool:
    return (
        text.startswith(("tp ", "pp ", "dp ", "ep ")) or "does not divide" in text or "do not divide" in text
    )


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


def _mixed(point: Point, ready: Engine) -> Estimate:
    load = load_of(point, ready)
    mean = float(np.asarray(load.input_tokens)) / point.isl
    memory = ready.memory(point.isl * mean, point.osl * mean, float(np.asarray(load.clients)))
    check_memory(memory, ready)
    load = replace(load, capacity=memory.sequences * ready.placement.dp)
    constants = ready.serving.values
    rate = point.options.get("arrival_rate_per_s")
    if rate is not None:
        found, load = open_loop(ready.table, constants, load, rate / ready.placement.replicas)
    else:
        found = closed_loop(ready.table, constants, load)
    return _answer(point, ready, load, found, memory)


def _answer(point: Point, ready: Engine, load: Load, found: Latency, memory: MemoryParts) -> Estimate:
    serving, table, replicas = ready.serving, ready.table, ready.placement.replicas
    clients = float(np.asarray(load.clients))
    largest = min(memory.sequences * ready.placement.dp, serving.values.max_sequences * ready.placement.dp)
    factor = step_band(serving.values.tpot_band, table.basis, serving.framework != "*")
    wide = ttft_band(serving.values.ttft_band, factor, float(found.prefill_share), clients / largest)
    ttft, tpot = banded(float(found.ttft_s), wide), banded(float(found.tpot_s), factor)
    # Fewer requests than replicas leave some of them idle.
    per_replica = min(point.concurrency / replicas, 1.0) if "arrival_rate_per_s" not in point.options else 1.0
    requests = float(found.requests_per_s) * replicas * per_replica
    outputs = banded(requests * float(np.asarray(load.output_tokens)), factor)
    batch = float(found.batch)
    parts = decode_parts(ready, batch, load)
    return Estimate(
        status="ok",
        ttft_s=ttft,
        tpot_s=tpot,
        itl_s=banded(float(found.itl_s) / float(load.tokens_per_step), factor),
        output_tokens_per_s=outputs,
        input_tokens_per_s=banded(requests * float(np.asarray(load.input_tokens)), factor),
        unloaded_ttft_s=banded(
            float(found.unloaded_ttft_s), ttft_band(serving.values.ttft_band, factor, 0.0, 0.0)
        ),
        basis=table.basis,
        placement=ready.placement,
        batch=batch * replicas,
        largest_batch=largest * replicas,
        memory=memory,
        parts=parts,
        bottleneck=bottleneck(ready, parts, batch, float(found.prefill_share)),
        utilisation=shares(ready, load, found),
        prefill_share=float(found.prefill_share),
        notes=_notes(ready, float(found.waiting)),
    )


def _notes(ready: Engine, waiting: float) -> tuple[str, ...]:
    notes = list(ready.notes)
    if waiting > 0.5:
        notes.append(
            f"{waiting * ready.placement.replicas:.0f} requests wait for KV memory or a place in the batch."
        )
    return tuple(notes)


def _prefill(point: Point, ready: Engine) -> Estimate:
    prompts = max(point.concurrency / ready.placement.replicas, 1.0)
    memory = ready.memory(point.isl, 1.0, prompts)
    check_memory(memory, ready)
    found = prefill_pool(ready, prompts, point.isl, point.options)
    rate = min(point.concurrency, prompts * ready.placement.replicas) * point.isl / found.interval_s
    factor = step_band(ready.serving.values.tpot_band, ready.table.basis, ready.serving.framework != "*")
    return _pool_answer(point, ready, found, memory, factor, ttft=found.time_s, input_rate=rate)


def _decode(point: Point, ready: Engine) -> Estimate:
    load = load_of(point, ready)
    sequences = point.concurrency / ready.placement.replicas
    memory = ready.memory(point.isl, point.osl, sequences, prompts=False)
    check_memory(memory, ready)
    largest = memory.sequences * ready.placement.dp
    if sequences > largest:
        return Estimate(
            "infeasible",
            f"KV memory holds {largest * ready.placement.replicas:.0f} sequences of {point.isl:g} to "
            f"{point.isl + point.osl:g} tokens, not {point.concurrency:g}",
        )
    found = decode_pool(ready, max(sequences, 1.0), point.isl + 0.5 * (point.osl - 1.0), load)
    factor = step_band(ready.serving.values.tpot_band, ready.table.basis, ready.serving.framework != "*")
    tpot = found.time_s / float(load.tokens_per_step)
    return _pool_answer(
        point, ready, found, memory, factor, tpot=tpot, output_rate=point.concurrency / tpot / 1.0
    )


def _pool_answer(
    point: Point,
    ready: Engine,
    found: PoolStep,
    memory: MemoryParts,
    factor: float,
    ttft: float | None = None,
    tpot: float | None = None,
    input_rate: float | None = None,
    output_rate: float | None = None,
) -> Estimate:
    def band(value: float | None) -> Band | None:
        return None if value is None else banded(value, factor)

    return Estimate(
        status="ok",
        ttft_s=band(ttft),
        tpot_s=band(tpot),
        itl_s=band(found.time_s) if tpot is not None else None,
        output_tokens_per_s=band(output_rate),
        input_tokens_per_s=band(input_rate),
        unloaded_ttft_s=None,
        basis=ready.table.basis,
        placement=ready.placement,
        batch=point.concurrency,
        largest_batch=memory.sequences * ready.placement.dp * ready.placement.replicas,
        memory=memory,
        parts=found.parts,
        bottleneck=found.bottleneck,
        utilisation=Utilisation(*found.shares),
        prefill_share=1.0 if point.phase == "prefill" else 0.0,
        notes=ready.notes,
    )


__all__ = ["decode_step_s", "estimate", "estimates", "load_of"]
