"""Capacity from the event simulator instead of the steady state: the largest rate that meets the objectives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.chain.capacity import Capacity
from suanli.chain.facts import Facts
from suanli.demand import TokenDemand
from suanli.demand.arrivals import poisson
from suanli.demand.traces import Trace
from suanli.errors import ScenarioError
from suanli.hardware import Chip
from suanli.llm import Model
from suanli.serving import Engine, Formats, Layout
from suanli.serving.sim import Cluster, Replica, simulate
from suanli.serving.sim.goodput import find_goodput
from suanli.serving.sim.physics import Activity, Physics, from_roofline

if TYPE_CHECKING:
    from suanli.scenario import Scenario

Array = NDArray[np.float64]

_REQUESTS, _TURNS = 1500, 6.0  # at least so many, and so many for each sequence that runs at a time
_ATTAINMENT = 0.9
_TOKENS_A_STEP, _SEQUENCES = 8192, 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """A deployment at nominal values of all facts."""

    model: Model
    chip: Chip
    formats: Formats
    prefill: Layout
    decode: Layout
    shared: bool
    engine: Engine


@dataclass(frozen=True, slots=True)
class Unit:
    """What the simulator found for one unit: a replica, or a decode replica with the prefill replicas that feed it.

    Attributes:
        rate_per_s: largest request rate at which nine of ten requests meet the objectives [1/s].
        prefill_replicas: prefill replicas of the unit; 0 where phases share chips [1].
        ttft_s: mean TTFT at that rate [s].
        tpot_s: mean TPOT at that rate [s].
    """

    rate_per_s: float
    prefill_replicas: int
    ttft_s: float
    tpot_s: float


def simulated_capacity(
    scenario: Scenario, facts: Facts, setting: Setting, demand: TokenDemand, steady: Capacity
) -> Unit:
    """Search the largest rate of one unit under Poisson arrivals and lengths with a coefficient of variation of 1.

    Raises:
        ScenarioError: no objective, prefix hits or draft tokens, which this way of sizing does not know yet.
        InfeasibleError: not even a lone request meets the objectives.
    """
    serving = scenario.serving
    wrong = []
    if serving.slo.ttft is None:
        wrong.append(
            'serving.method: "simulate" needs serving.slo.ttft; without it any queue is short enough'
        )
    if scenario.demand.cache_hit_share > 0.0:
        wrong.append(
            'serving.method: "simulate" takes no demand.cache_hit_share; replay a trace: suanli simulate'
        )
    if scenario.llm.mtp:
        wrong.append('serving.method: "simulate" takes no llm.mtp yet; use "steady"')
    if wrong:
        raise ScenarioError(wrong)
    prompt, answer = _nominal(demand.input_tokens), _nominal(demand.output_tokens)
    running_at_once = _nominal(steady.batch) * setting.decode.chips
    lengths = _lengths(
        prompt, answer, max(_REQUESTS, round(_TURNS * running_at_once)), scenario.uncertainty.seed
    )
    per_decode = _nominal(steady.decode_tokens_per_s) * setting.decode.chips / answer
    per_prefill = _nominal(steady.prefill_tokens_per_s) * setting.prefill.chips / prompt
    count = 0 if setting.shared else max(1, round(per_decode / per_prefill))
    cluster, size = _unit(scenario, facts, setting, count)
    seed = scenario.uncertainty.seed

    def at_rate(rate: float) -> Trace:
        return poisson(lengths, rate, seed)

    slo = serving.slo
    found = find_goodput(
        at_rate,
        lambda trace: simulate(trace, cluster, seed=seed, kv_bytes_per_token=size),
        ttft_s=slo.ttft,
        tpot_s=slo.tpot,
        attainment=_ATTAINMENT,
        first_per_s=per_decode / 2.0,
    )
    outcome = simulate(at_rate(found.rate_per_s), cluster, seed=seed, kv_bytes_per_token=size)
    return Unit(found.rate_per_s, count, float(outcome.ttft_s.mean()), float(outcome.tpot_s.mean()))


def _lengths(prompt: float, answer: float, count: int, seed: int) -> Trace:
    rng = np.random.default_rng([seed, 1])
    inputs = np.maximum(rng.exponential(prompt, count), 1.0)
    outputs = np.maximum(rng.exponential(answer, count), 1.0)
    # The draws' means are brought to the day's, so that tokens are conserved.
    return Trace(
        arrival_s=np.zeros(count),
        input_tokens=np.maximum(np.rint(inputs * prompt / inputs.mean()), 1).astype(np.int64),
        output_tokens=np.maximum(np.rint(outputs * answer / outputs.mean()), 1).astype(np.int64),
        name="exponential lengths",
    )


def _unit(scenario: Scenario, facts: Facts, setting: Setting, prefill_replicas: int) -> tuple[Cluster, float]:
    shares = (
        _nominal(facts.assume("hardware", f"chip_{name}"))
        for name in ("idle_share", "activity_prefill", "activity_decode")
    )
    activity = Activity(*shares)

    def physics(layout: Layout) -> Physics:
        return from_roofline(
            setting.model,
            setting.chip,
            layout,
            setting.formats,
            setting.engine,
            activity,
            scenario.llm.kv_dtype,
        )

    last = physics(setting.decode)
    if setting.shared:
        return Cluster(
            (Replica(last.model, last.kv_tokens, max_num_seqs=_SEQUENCES, max_batched_tokens=_TOKENS_A_STEP),)
        ), last.kv_bytes_per_token
    first = physics(setting.prefill)
    link = _nominal(setting.chip.scale_out_bytes_per_s or 0.0) * setting.decode.chips
    transfer = last.kv_bytes_per_token / link if link > 0.0 else 0.0
    kinds = (
        Replica(
            first.model,
            first.kv_tokens,
            count=prefill_replicas,
            role="prefill",
            transfer_token_s=transfer,
            max_num_seqs=_SEQUENCES,
            max_batched_tokens=max(
                _TOKENS_A_STEP, _TOKENS_A_STEP * setting.prefill.chips // setting.prefill.tp
            ),
        ),
        Replica(
            last.model,
            last.kv_tokens,
            role="decode",
            max_num_seqs=_SEQUENCES * 64,
            max_batched_tokens=_SEQUENCES * 64,
        ),
    )
    return Cluster(kinds), last.kv_bytes_per_token


def _nominal(samples: object) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
