"""Capacity from the event simulator instead of the steady state: the largest rate that meets the objectives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.chain.capacity import Capacity
from suanli.chain.engines import Engines, nominal
from suanli.demand import TokenDemand
from suanli.demand.arrivals import poisson
from suanli.demand.traces import Trace
from suanli.errors import ScenarioError
from suanli.serving.sim import Cluster, Replica, simulate
from suanli.serving.sim.goodput import find_goodput
from suanli.serving.sim.handling import delivered
from suanli.serving.sim.operators import operator_physics
from suanli.serving.sim.outcome import Outcome

if TYPE_CHECKING:
    from suanli.scenario import Scenario

Array = NDArray[np.float64]

_REQUESTS, _TURNS = 1500, 6.0  # at least so many, and so many for each sequence that runs at a time
_ATTAINMENT = 0.9


@dataclass(frozen=True, slots=True)
class Unit:
    """What the simulator found for one unit: a replica, or a decode replica with the prefill replicas that feed it.

    Attributes:
        rate_per_s: largest request rate at which nine of ten requests meet the objectives [1/s].
        prefill_replicas: prefill replicas of the unit; 0 where phases share chips [1].
        prefill_chips: chips of one of them [1].
        decode_chips: chips of its decode replica [1].
        ttft_s: mean TTFT at that rate [s].
        tpot_s: mean TPOT at that rate [s].
    """

    rate_per_s: float
    prefill_replicas: int
    prefill_chips: float
    decode_chips: float
    ttft_s: float
    tpot_s: float


def simulated_capacity(scenario: Scenario, demand: TokenDemand, steady: Capacity, shared: bool) -> Unit:
    """Search the largest rate of one unit under Poisson arrivals and lengths with a coefficient of variation of 1.

    Args:
        scenario: objectives, prefix hits and the seed.
        demand: mean lengths.
        steady: what the steady state gives, with the engines.
        shared: whether phases share chips.

    Returns:
        The unit.

    Raises:
        ScenarioError: no objective for the first token.
        InfeasibleError: not even a lone request meets the objectives.
    """
    slo, hits, seed = scenario.serving.slo, scenario.demand.cache_hit_share, scenario.uncertainty.seed
    if slo.ttft is None:
        wrong = 'serving.method: "simulate" needs serving.slo.ttft; without it any queue is short enough'
        raise ScenarioError([wrong])
    engines = steady.engines
    first, last = (engines.packages(ready) for ready in (engines.prefill, engines.decode))
    prompt, answer = nominal(demand.input_tokens), nominal(demand.output_tokens)
    running = nominal(steady.batch) * last
    lengths = _lengths(prompt, answer, max(_REQUESTS, round(_TURNS * running)), seed)
    per_decode = nominal(steady.decode_tokens_per_s) * last / answer
    per_prefill = nominal(steady.prefill_tokens_per_s) * first / (prompt * (1.0 - hits))
    count = 0 if shared else max(1, round(per_decode / per_prefill))
    accepted = nominal(steady.tokens_per_step) - 1.0
    run = _runner(engines, accepted, count, float(lengths.input_tokens.max()), hits, seed)

    def at_rate(rate: float) -> Trace:
        return poisson(lengths, rate, seed)

    found = find_goodput(
        at_rate, run, ttft_s=slo.ttft, tpot_s=slo.tpot, attainment=_ATTAINMENT, first_per_s=per_decode / 2.0
    )
    outcome = run(at_rate(found.rate_per_s))
    means = float(outcome.ttft_s.mean()), float(outcome.tpot_s.mean())
    return Unit(found.rate_per_s, count, first, last, *means)


def _runner(
    engines: Engines, accepted: float, prefill_replicas: int, longest: float, hits: float, seed: int
) -> Callable[[Trace], Outcome]:
    """Return what simulates a trace on one unit of these engines."""
    asked = engines.questions[1]
    asked = replace(asked, options={**asked.options, "mtp_acceptance": accepted})
    last = operator_physics(engines.decode, asked, "both" if not prefill_replicas else "decode", longest)
    kinds: tuple[Replica, ...] = (last.replica(role="decode" if prefill_replicas else None),)
    if prefill_replicas:
        port = engines.decode.chip.operators.network_bytes_per_s
        link = nominal(port if port is not None else 0.0) * engines.decode.placement.chips
        transfer = last.kv_bytes_per_token / link if link > 0.0 else 0.0
        filled = operator_physics(engines.prefill, engines.questions[0], "prefill", longest)
        kinds = (filled.replica(role="prefill", count=prefill_replicas, transfer_token_s=transfer), *kinds)
    cluster, size = Cluster(kinds), last.kv_bytes_per_token

    def run(trace: Trace) -> Outcome:
        done = simulate(trace, cluster, seed=seed, kv_bytes_per_token=size, cached_share=hits)
        return delivered(done, last.host_s)

    return run


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
