"""Predict what was measured: the question that each measurement answers, put to the model under test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from suanli.study.deployment.request import Answer, Interval, Request
from suanli.study.validate.measured import Measurement
from suanli.study.validate.score import Pair

Answers = Callable[[Sequence[Request]], Sequence[Answer]]
Wall = Callable[[Request, Answer], Interval | None]
# Clients of an "as many as fit" run: far beyond what any deployment holds, so that memory decides the batch.
SATURATION = 1e5
# Passes that find the batch at which a deployment runs at a given speed; each halves the span of its logarithm.
_BISECTIONS = 24
_NOT_PREDICTED = ("power_tdp_share", "energy_j_per_token", "requests_per_s")
# Measurements asked at once.
_CHUNK = 200


def pairs(
    measurements: Sequence[Measurement],
    answers: Answers,
    tick: Callable[[int], None] | None = None,
    wall: Wall | None = None,
) -> list[Pair]:
    """Predict every metric of every measurement.

    Args:
        measurements: what was measured.
        answers: the model under test: one answer a request, in order; never raises.
        tick: called with the number of measurements done.
        wall: power of an answer at the AC input, which is what power was measured at.
    """
    found: list[Pair] = []
    for start in range(0, len(measurements), _CHUNK):
        part = measurements[start : start + _CHUNK]
        plans = [_questions(one) for one in part]
        solved = iter(answers([request for plan in plans for request in plan]))
        for one, plan in zip(part, plans, strict=True):
            found += _pairs(one, [next(solved) for _ in plan], answers, wall)
        if tick is not None:
            tick(start + len(part))
    return found


def _questions(one: Measurement) -> list[Request]:
    """What to ask for a measurement: one request, or prompt and decode of a static batch; none without lengths."""
    if one.isl is None or (one.osl is None and one.phase == "mixed"):
        return []
    if one.protocol == "static" and one.phase == "mixed":
        return [request_of(one, phase="prefill", osl=1.0), request_of(one, phase="decode")]
    return [request_of(one)]


def _pairs(one: Measurement, solved: Sequence[Answer], answers: Answers, wall: Wall | None) -> Iterable[Pair]:
    predicted, found = _predict(one, solved, answers)
    if "power_w" in one.values and found.status == "ok":
        at_wall = wall(request_of(one), found) if wall is not None else None
        predicted = {} if at_wall is None else {"power_w": at_wall}
    for metric, measured in one.values.items():
        if metric in _NOT_PREDICTED or (one.protocol == "production" and metric == "tpot_s"):
            continue
        band = predicted.get(metric)
        if band is None:
            reason = found.reason or found.unknown.get(metric, "not predicted")
            yield Pair(one, metric, measured, None, reason=reason)
        else:
            yield Pair(one, metric, measured, band.value, band.low, band.high, found.basis)


def _predict(
    one: Measurement, solved: Sequence[Answer], answers: Answers
) -> tuple[Mapping[str, Interval], Answer]:
    """Return {metric: prediction} and the answer behind it."""
    if not solved:
        return {}, Answer("unsupported", "lengths are not stated")
    refused = next((answer for answer in solved if answer.status != "ok"), None)
    if one.protocol == "production":
        return _at_speed(one, answers)
    if refused is not None:
        return {}, refused
    if len(solved) == 2:
        return _static(one, *solved)
    return solved[0].quantities, solved[0]


def request_of(one: Measurement, **changes: object) -> Request:
    """Return the measurement's configuration as a request.

    Args:
        one: the measurement.
        changes: fields of the request that differ.
    """
    concurrency = one.concurrency
    if concurrency is None:
        concurrency = SATURATION if one.protocol == "offline" else 1.0
    fields: dict[str, object] = {
        "model": one.model,
        "chip": one.chip,
        "n_chips": one.n_chips,
        "tp": one.tp,
        "pp": one.pp,
        "dp": one.dp,
        "ep": one.ep,
        "weights_dtype": one.weights_dtype,
        "kv_dtype": one.kv_dtype,
        "framework": one.framework,
        "phase": one.phase,
        "isl": one.isl,
        "osl": one.osl or 1.0,
        "concurrency": concurrency,
        "options": one.options,
        "power_limit_w": one.power_limit_w,
    }
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def _static(one: Measurement, prompt: Answer, decode: Answer) -> tuple[Mapping[str, Interval], Answer]:
    """A batch that starts and ends together: all prompts at once, then osl - 1 steps.

    e2e = TTFT + (osl - 1) TPOT, output rate = batch osl/e2e.
    """
    steps, batch, outputs = (one.osl or 1.0) - 1.0, one.concurrency or 1.0, one.osl or 1.0
    ttft, tpot = prompt.quantities["ttft_s"], decode.quantities["tpot_s"]
    whole = Interval(*(getattr(ttft, end) + steps * getattr(tpot, end) for end in ("value", "low", "high")))
    rate = Interval(*(batch * outputs / getattr(whole, end) for end in ("value", "high", "low")))
    return {"ttft_s": ttft, "tpot_s": tpot, "e2e_s": whole, "output_tokens_per_s": rate}, decode


def _at_speed(one: Measurement, answers: Answers) -> tuple[Mapping[str, Interval], Answer]:
    """Throughput of a service whose speed per user is published: at the batch that runs at that speed.

    The speed is an input here and not judged.
    """
    wanted = one.values["tpot_s"]
    low, high = float(one.n_chips), 4096.0 * one.n_chips
    found = answers([request_of(one, concurrency=low)])[0]
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        trial = answers([request_of(one, concurrency=middle)])[0]
        if trial.status == "ok" and trial.quantities["tpot_s"].value <= wanted:
            low, found = middle, trial
        else:
            high = middle
    return (found.quantities if found.status == "ok" else {}), found
