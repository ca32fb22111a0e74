"""What a chip does in each phase, recorded: memory, rates, batch, step and shares of its peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.catalog.calibration import read_tables
from suanli.chain.deployment import Deployment
from suanli.chain.engines import Engines, drift, engines_of, nominal, time_error
from suanli.chain.facts import Facts
from suanli.chain.limits import need_batch, need_room
from suanli.errors import ScenarioError
from suanli.hardware.power import Activity
from suanli.result.metrics import metrics
from suanli.serving import Accelerator, Coefficients, Utilisation
from suanli.serving.aggregated import load_of
from suanli.serving.deployment import MemoryParts
from suanli.serving.engine import Engine
from suanli.serving.sizing import (
    PARTS,
    DecodeCurve,
    PromptRate,
    decode_curve,
    decode_use,
    largest_batch,
    prompt_rate,
)

if TYPE_CHECKING:
    from suanli.demand import TokenDemand
    from suanli.scenario import Scenario
    from suanli.serving.closed_loop import Load

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]

_PASSES = (
    3  # of prompts and decodes that share steps; the second moves the batch by per cents, the third by less
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Both phases as fleet, power and latency need them; nominal values and draws.

    Attributes:
        prefill_tokens_per_s: prompt tokens that a chip computes [token/s].
        prompt_s: time of a lone prompt [s].
        first_s: what follows until the first token arrives: the step that emits it, and request handling [s].
        decode_tokens_per_s: output of a chip [token/s].
        batch: sequences of a chip [1].
        step_s: decode step [s].
        prefill_activity: shares of a chip's peaks while it computes prompts.
        decode_activity: the same in a decode step.
        tokens_per_step: tokens that a sequence gets in a decode step [token].
        accelerator: the chip at its nominal values.
        engines: what was timed.
    """

    prefill_tokens_per_s: Array
    prompt_s: Array
    first_s: Array
    decode_tokens_per_s: Array
    batch: Array
    step_s: Array
    prefill_activity: Activity
    decode_activity: Activity
    tokens_per_step: Num
    accelerator: Accelerator
    engines: Engines


@dataclass(frozen=True, slots=True)
class _Room:
    """Sequences that a chip holds; weights and what they leave, per chip."""

    sequences: Num
    weights_bytes: float
    kv_bytes: Num


@dataclass(frozen=True, slots=True)
class _Setting:
    """What every step below looks at."""

    scenario: Scenario
    facts: Facts
    deployment: Deployment
    demand: TokenDemand
    chip: Accelerator
    ready: Engines
    load: Load

    @property
    def packages(self) -> float:
        """Chips of a decode replica [1]."""
        return self.ready.packages(self.ready.decode)


def capacity(scenario: Scenario, facts: Facts, deployment: Deployment, demand: TokenDemand) -> Capacity:
    """Record what the replicas do, and return it.

    Raises:
        ScenarioError: draft tokens of a model that has no layer for them.
        InfeasibleError: weights, one sequence or the objective do not fit.
    """
    if scenario.llm.mtp and deployment.model.mtp is None:
        raise ScenarioError(
            [f"llm.mtp: {deployment.model.id} has no multi-token prediction layer; remove llm.mtp"]
        )
    chip = facts.accelerator(deployment.chip)
    tables = read_tables(Coefficients, facts.catalog.overlays)
    ready = engines_of(scenario, deployment, chip, demand, tables)
    load = load_of(ready.questions[1], ready.decode)
    at = _Setting(scenario, facts, deployment, demand, chip, ready, load)
    _labels(at)
    room = _room(at)
    errors = {
        phase: time_error(facts, f"serving.{phase}_time_error", made)
        for phase, made in (("prefill", ready.prefill), ("decode", ready.decode))
    }
    return _sized(at, room, errors["prefill"], errors["decode"])


def _labels(at: _Setting) -> None:
    book, made = at.facts.ledger, at.ready.decode
    framework, basis = at.scenario.serving.framework, made.table.basis
    book.label(
        "serving.framework", framework, f"frameworks/{framework}/constants | calibration-data", grade="C"
    )
    grade = "A" if basis == "calibrated" else "C"
    book.label("serving.kernels", basis, f"calibration/{basis}/kernels | calibration-data", grade=grade)
    for note in dict.fromkeys((*at.ready.prefill.notes, *made.notes)):
        book.warn(note)


def _room(at: _Setting) -> _Room:
    """Record how a decode chip's memory is shared out; the prefill pool must hold the weights, too."""
    book, deployment, ranks = at.facts.ledger, at.deployment, at.ready.ranks
    question = at.ready.questions[1]
    if not deployment.shared:
        first = at.ready.prefill.memory(question.isl, 1.0, 1.0)
        need_room(deployment.model, deployment.chip, deployment.prefill, first)
    memory = _memory(at.ready.decode, question.isl, question.osl, deployment.shared)
    # Draws of the capacity carry through; what the engine keeps for itself is its share of the nominal one.
    shown = np.asarray(deployment.chip.memory_bytes) * (
        at.chip.memory_bytes / nominal(deployment.chip.memory_bytes)
    )
    kv = shown - ranks * (memory.weights_bytes + memory.activation_bytes + memory.reserve_bytes)
    each = memory.sequence_bytes * at.ready.decode.placement.tp
    held = np.maximum(kv, 0.0) / each
    book.derive("serving.memory_per_chip", shown)
    book.derive("serving.weights_bytes_per_chip", ranks * memory.weights_bytes)
    book.derive("serving.activation_bytes_per_chip", ranks * memory.activation_bytes)
    book.derive("serving.reserve_bytes_per_chip", ranks * memory.reserve_bytes)
    book.derive("serving.kv_space_per_chip", kv)
    book.derive("serving.kv_bytes_per_sequence", each)
    book.derive("serving.sequences_in_memory", held)
    need_room(deployment.model, deployment.chip, deployment.decode, memory)
    most = at.ready.decode.serving.values.max_sequences * ranks / at.ready.decode.placement.tp
    return _Room(np.minimum(held, most), ranks * memory.weights_bytes, kv)


def _memory(ready: Engine, isl: float, osl: float, prompts: bool) -> MemoryParts:
    groups = ready.placement.dp
    first = ready.memory(isl, osl, groups, prompts=prompts)
    clients = min(first.sequences, ready.serving.values.max_sequences) * groups
    return ready.memory(isl, osl, max(clients, 1.0), prompts=prompts)


def _sized(at: _Setting, room: _Room, prefill_error: Num, decode_error: Num) -> Capacity:
    scenario, demand, shared = at.scenario, at.demand, at.deployment.shared
    book, objective, given = at.facts.ledger, scenario.serving.slo.tpot, scenario.serving.batch_per_chip
    if objective is not None:
        book.given("serving.slo_tpot", objective, "s")
    context = nominal(demand.context_tokens)
    tokens: Num = 1.0
    if scenario.llm.mtp:
        tokens = 1.0 + at.facts.assume("serving", "mtp_acceptance", scenario.llm.mtp_acceptance)
    most = np.asarray(room.sequences if given is None else given, dtype=float)
    curve = decode_curve(at.ready.decode, context, at.load, float(np.max(most)) * at.packages)
    beside = float(most.reshape(-1)[0]) * at.packages
    error = decode_error * _decode_drift(at, context, beside, curve)
    computed = demand.input_tokens * (1.0 - scenario.demand.cache_hit_share)
    for _ in range(_PASSES if shared else 1):
        prompts = prompt_rate(
            at.ready.prefill,
            nominal(demand.input_tokens),
            scenario.demand.cache_hit_share,
            beside=beside if shared else None,
        )
        slow = prefill_error * _prompt_drift(at, prompts, beside if shared else None)
        rate = prompts.tokens / (prompts.step_s * slow * at.ready.packages(at.ready.prefill))
        stolen = computed / rate / demand.output_tokens if shared else 0.0

        def seen(batch: Array, stolen: Num = stolen) -> Array:
            return np.asarray(curve.at(batch * at.packages) * error / tokens + batch * stolen)

        batch = most if objective is None or given is not None else largest_batch(seen, most, objective)
        beside = max(nominal(batch), 1.0 / at.packages) * at.packages
    need_batch(at.deployment.chip, at.deployment.decode, room.sequences, batch, seen(batch), objective, given)
    batch = _feasible(at, batch)
    _prefill_metrics(at, prompts, slow, rate)
    step = _decode_metrics(at, curve, batch, error, tokens, seen(batch))
    base = at.ready.decode.serving.values.ttft_base_s
    use = decode_use(at.ready.decode, max(nominal(batch) * at.packages, 1.0), context, at.load, nominal(step))
    return Capacity(
        prefill_tokens_per_s=np.asarray(rate),
        prompt_s=np.asarray(prompts.own_s * slow),
        first_s=np.asarray(step + base),
        decode_tokens_per_s=np.asarray(batch * tokens / step),
        batch=np.asarray(batch),
        step_s=step,
        prefill_activity=_activity(at, "prefill", prompts.use, slow),
        decode_activity=_activity(at, "decode", use, step / nominal(step)),
        tokens_per_step=tokens,
        accelerator=at.chip,
        engines=at.ready,
    )


def _prompt_drift(at: _Setting, prompts: PromptRate, beside: float | None) -> Num:
    def time_s(chip: Accelerator) -> float:
        other = engines_of(at.scenario, at.deployment, chip, at.demand, at.ready.tables)
        found = prompt_rate(
            other.prefill, nominal(at.demand.input_tokens), at.scenario.demand.cache_hit_share, beside=beside
        )
        return float(found.step_s / found.tokens)

    return drift(at.deployment.chip, at.chip, time_s, float(prompts.step_s / prompts.tokens))


def _decode_drift(at: _Setting, context: float, sequences: float, curve: DecodeCurve) -> Num:
    def time_s(chip: Accelerator) -> float:
        other = engines_of(at.scenario, at.deployment, chip, at.demand, at.ready.tables).decode
        return float(decode_curve(other, context, at.load, float(curve.sequences[-1])).at(sequences))

    return drift(at.deployment.chip, at.chip, time_s, float(curve.at(sequences)))


def _prefill_metrics(at: _Setting, prompts: PromptRate, slow: Num, rate: Num) -> None:
    book = at.facts.ledger
    book.derive("serving.prefill_step_tokens", prompts.tokens)
    _derive(at, "serving.prefill_step", prompts.step_s * np.asarray(slow))
    book.derive("serving.prefill_replica_chips", at.ready.packages(at.ready.prefill))
    book.derive("serving.prefill_tokens_per_s_per_chip", rate)
    book.derive("serving.prompt_time", prompts.own_s * np.asarray(slow))


def _decode_metrics(
    at: _Setting, curve: DecodeCurve, batch: Array, error: Num, tokens: Num, tpot_s: Array
) -> Array:
    book, sequences = at.facts.ledger, np.asarray(batch) * at.packages
    book.derive("serving.tokens_per_step", tokens)
    book.derive("serving.batch_per_chip", batch)
    for name in PARTS:
        _derive(at, f"serving.decode_step_{name}", curve.part(name, sequences) * error)
    step = np.asarray(curve.at(sequences) * error)
    book.derive("serving.decode_step", step)
    book.derive("serving.decode_tokens_per_s_per_chip", batch * tokens / step)
    book.derive("serving.tpot", tpot_s)
    return step


def _derive(at: _Setting, name: str, samples: Array) -> None:
    """Record a metric with the peaks of the number formats in use only."""
    chip, forms = at.deployment.chip, at.ready.decode.precision
    used = {
        chip.compute_dtype(form) for form in (forms.attention, forms.ffn, forms.experts, forms.head, "bf16")
    }
    inputs = [
        entry
        for entry in metrics()[name].inputs
        if not entry.startswith("chip.peak_") or entry.removeprefix("chip.peak_").rstrip("?") in used
    ]
    at.facts.ledger.derive(name, samples, inputs=tuple(inputs))


def _activity(at: _Setting, phase: str, use: Utilisation, slow: Num) -> Activity:
    """Record the shares of the peaks; what takes longer uses less of them."""
    found = {
        name: np.minimum(getattr(use, name) / np.asarray(slow), 1.0) for name in ("compute", "memory", "link")
    }
    for name, share in found.items():
        _derive(at, f"serving.{phase}_{name}_share", share)
    return Activity(**found, busy=np.maximum.reduce(np.broadcast_arrays(use.busy, *found.values())))


def _feasible(at: _Setting, batch: Array) -> Array:
    """Leave out the draws in which no batch can be: their bands would be those of an infinite fleet."""
    impossible = np.asarray(batch * at.packages < 1.0)
    if not impossible.any():
        return batch
    share = float(impossible.mean())
    at.facts.ledger.warn(
        f"In {share:.0%} of the draws no batch fits or meets the objective; bands are those of the other draws."
    )
    return batch * np.where(impossible, np.nan, 1.0)
