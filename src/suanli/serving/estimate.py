"""Speed of deployments: TTFT, TPOT, throughput, memory and where the time goes; with bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from suanli.errors import InfeasibleError, InputError, ShortOfMemoryError, SuanliError
from suanli.serving.aggregated import answered, answered_at_rate, grouped, load_of
from suanli.serving.bands import prompt_band, step_band
from suanli.serving.deployment import MemoryParts
from suanli.serving.engine import Engine, check, engine, memory_problem
from suanli.serving.kernels import Coefficients
from suanli.serving.point import Band, Estimate, Point, Utilisation, banded, rated
from suanli.serving.pools import PoolStep, decode_pool, prefill_pool

# Share of the memory that published recipes let an engine take where a model hardly fits (InferenceX, vLLM on B200:
# 0.95 and 0.97).
FULLEST_SHARE = 0.97

__all__ = ["estimate", "estimates", "load_of"]


def estimate(point: Point, tables: Coefficients) -> Estimate:
    """Estimate one deployment.

    Args:
        point: the question.
        tables: calibration rows; keep the step tables that are built from them, so pass the same object again.

    Returns:
        The estimate; a question that has no answer gets a status and a reason instead of numbers.
    """
    return estimates((point,), tables)[0]


def estimates(points: Sequence[Point], tables: Coefficients) -> list[Estimate]:
    """Estimate many deployments; questions that share a layout are answered together.

    Args:
        points: the questions.
        tables: calibration rows.

    Returns:
        One estimate a point, in their order.
    """
    found: dict[int, Estimate] = {}
    shared: dict[int, tuple[Engine, list[int]]] = {}
    for at, point in enumerate(points):
        try:
            check(point)
            ready = engine(point, tables)
            if point.phase == "mixed" and "arrival_rate_per_s" not in point.options:
                shared.setdefault(id(ready), (ready, []))[1].append(at)
            else:
                found[at] = _single(point, ready)
        except SuanliError as error:
            found[at] = _refused(error)
    for ready, places in shared.values():
        by_point = {id(points[at]): at for at in places}
        for group in grouped([points[at] for at in by_point.values()], ready):
            for point, answer in zip(group.points, answered(group), strict=True):
                found[by_point[id(point)]] = answer
        for at in places:
            found.setdefault(at, found[by_point[id(points[at])]])
    _fill_memory(points, found, tables)
    return [found[at] for at in range(len(points))]


def _fill_memory(points: Sequence[Point], found: dict[int, Estimate], tables: Coefficients) -> None:
    """Ask again where memory is short, with as much of it as people let an engine take."""
    short = {
        at: replace(points[at], options={**points[at].options, "memory_share": FULLEST_SHARE})
        for at, answer in found.items()
        if answer.short_of_memory and "memory_share" not in points[at].options
    }
    if not short:
        return
    note = f"Fits only where the engine may take {FULLEST_SHARE:.0%} of the memory, more than its default."
    for at, answer in zip(short, estimates(list(short.values()), tables), strict=True):
        if answer.status == "ok":
            found[at] = replace(answer, notes=(*answer.notes, note))


def _single(point: Point, ready: Engine) -> Estimate:
    if point.phase == "prefill":
        return _prefill(point, ready)
    if point.phase == "decode":
        return _decode(point, ready)
    return answered_at_rate(point, ready, point.options["arrival_rate_per_s"])


def _refused(error: SuanliError) -> Estimate:
    """A chip that cannot compute in the format is not supported; a layout that cannot be is infeasible."""
    text = "; ".join(str(error).splitlines())
    infeasible = isinstance(error, InfeasibleError) and "cannot compute" not in text
    layout = isinstance(error, InputError) and (
        text.startswith(("tp ", "pp ", "dp ", "ep ")) or "does not divide" in text or "do not divide" in text
    )
    short = isinstance(error, ShortOfMemoryError)
    return Estimate("infeasible" if infeasible or layout else "unsupported", text, short_of_memory=short)


def _prefill(point: Point, ready: Engine) -> Estimate:
    replicas = ready.placement.replicas
    prompts = max(point.concurrency / replicas, 1.0)
    memory = ready.memory(point.isl, 1.0, prompts)
    problem = memory_problem(memory, ready)
    if problem is not None:
        raise ShortOfMemoryError(problem)
    found = prefill_pool(ready, prompts, point.isl, point.options)
    rate = min(point.concurrency, prompts * replicas) * point.isl / found.interval_s
    return _pool_answer(point, ready, found, memory, ttft=found.time_s, input_rate=rate)


def _decode(point: Point, ready: Engine) -> Estimate:
    load, replicas = load_of(point, ready), ready.placement.replicas
    sequences = point.concurrency / replicas
    memory = ready.memory(point.isl, point.osl, sequences, prompts=False)
    problem = memory_problem(memory, ready)
    if problem is not None:
        raise ShortOfMemoryError(problem)
    largest = memory.sequences * ready.placement.dp
    if sequences > largest:
        raise InfeasibleError(
            f"KV memory holds {largest * replicas:.0f} sequences of {point.isl:g} to "
            f"{point.isl + point.osl:g} tokens, not {point.concurrency:g}"
        )
    found = decode_pool(ready, max(sequences, 1.0), point.isl + 0.5 * (point.osl - 1.0), load)
    tpot = found.time_s / load.tokens_per_step
    return _pool_answer(point, ready, found, memory, tpot=tpot, output_rate=point.concurrency / tpot)


def _pool_answer(
    point: Point,
    ready: Engine,
    found: PoolStep,
    memory: MemoryParts,
    ttft: float | None = None,
    tpot: float | None = None,
    input_rate: float | None = None,
    output_rate: float | None = None,
) -> Estimate:
    serving = ready.serving
    known, values = serving.framework != "*", serving.values
    factor = step_band(values.tpot_band, ready.table.basis, known)
    if point.phase == "prefill":
        fitted = max(values.tpot_band, values.prompt_band_fitted)
        factor = prompt_band(fitted if known else values.prompt_band, ready.table.basis)
    if serving.refinement is not None:
        factor = serving.refinement.pool_width(factor, prefill=point.phase == "prefill")

    # How many distinct experts a batch reads is an expectation, not a bound.
    used = 0.0 if ready.model.experts_per_layer else min(max(found.shares[0], found.shares[1]), 1.0)

    def band(value: float | None) -> Band | None:
        return None if value is None else banded(float(value), factor, float(value) * used)

    def rate(value: float | None) -> Band | None:
        return None if value is None else rated(value, value / factor, value * factor, used)

    return Estimate(
        status="ok",
        ttft_s=band(ttft),
        tpot_s=band(tpot),
        itl_s=band(found.time_s) if tpot is not None else None,
        output_tokens_per_s=rate(output_rate),
        input_tokens_per_s=rate(input_rate),
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
