"""How full occupied nodes are, and TTFT at that load: assumed, or found by the event simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.chain.capacity import Capacity
from suanli.chain.deployment import Deployment
from suanli.chain.facts import Facts
from suanli.chain.limits import need_ttft
from suanli.demand import TokenDemand
from suanli.serving import ttft_s

if TYPE_CHECKING:
    from suanli.scenario import Scenario

Num = float | NDArray[np.float64]

_FOUND = "found by the event simulator at the largest rate within the objectives"


def load_of(
    scenario: Scenario,
    facts: Facts,
    deployment: Deployment,
    demand: TokenDemand,
    found: Capacity,
) -> tuple[Num, Num]:
    """Record TTFT; return the mean use of occupied nodes in both phases, assumed or found by the simulator."""
    book, serving = facts.ledger, scenario.serving
    if serving.method == "simulate":
        return _simulated_load(scenario, facts, deployment, demand, found)
    prefill_load = facts.assume("serving", "prefill_load_factor", serving.prefill_load_factor)
    decode_load = facts.assume("serving", "decode_load_factor", serving.decode_load_factor)
    ttft = ttft_s(found.prompt_s, prefill_load, found.first_s)
    book.derive("serving.ttft", ttft)
    need_ttft(serving.slo.ttft, ttft)
    return prefill_load, decode_load


def _simulated_load(
    scenario: Scenario,
    facts: Facts,
    deployment: Deployment,
    demand: TokenDemand,
    found: Capacity,
) -> tuple[Num, Num]:
    from suanli.chain.simulated import simulated_capacity

    unit = simulated_capacity(scenario, demand, found, deployment.shared)
    book, rate = facts.ledger, unit.rate_per_s
    computed = _nominal(demand.input_tokens) * (1.0 - scenario.demand.cache_hit_share)
    fill_s = computed / _nominal(found.prefill_tokens_per_s)
    run_s = _nominal(demand.output_tokens) / _nominal(found.decode_tokens_per_s)
    if deployment.shared:
        prefill_load = decode_load = rate * (fill_s + run_s) / unit.decode_chips
    else:
        prefill_load = rate * fill_s / (unit.prefill_replicas * unit.prefill_chips)
        decode_load = rate * run_s / unit.decode_chips
    book.derive("serving.simulated_rate", rate)
    for phase, load in (("prefill", prefill_load), ("decode", decode_load)):
        inputs = (
            "serving.simulated_rate",
            f"serving.{phase}_tokens_per_s_per_chip",
            f"serving.{phase}_chips",
        )
        book.derive(f"serving.{phase}_load_factor", load, formula=_FOUND, inputs=inputs)
    book.derive("serving.ttft", unit.ttft_s, formula=_FOUND, inputs=("serving.simulated_rate",))
    return prefill_load, decode_load


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
