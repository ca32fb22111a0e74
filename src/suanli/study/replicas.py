"""The replicas of a scenario as the simulator needs them, from operator times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.chain.deployment import Deployment as Layouts
from suanli.chain.deployment import deployment_of
from suanli.chain.engines import engines_of
from suanli.chain.facts import Facts
from suanli.demand import token_demand
from suanli.errors import InfeasibleError, NoDataError
from suanli.hardware.power import Activity as Shares
from suanli.hardware.power import accelerator_power_w
from suanli.result.draws import Draws
from suanli.result.ledger import Ledger
from suanli.scenario import Scenario
from suanli.serving import Coefficients, Point
from suanli.serving.engine import Engine
from suanli.serving.sim.operators import Role, operator_physics, step_activity
from suanli.serving.sim.physics import Physics
from suanli.study.deployment.power import PowerModel

if TYPE_CHECKING:
    from suanli.demand import TokenDemand
    from suanli.demand.traces import Trace

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a scenario's serving section becomes: one kind of replica, or one for each pool.

    Attributes:
        pools: {"replica"} or {"prefill", "decode"}: physics of one replica.
        link_bytes_per_s: network bandwidth of one decode replica, for KV between pools [byte/s].
        host_bytes_per_s: link to host memory of one replica, for swapping and the host tier [byte/s].
        notes: what the user should know.
        framework: whose constants count.
        power_error: 90 % band of the power of chips as a relative error; 0 where power is unavailable [1].
        tdp_w: {pool: TDP of all chips of a replica}, of those whose power is known [W].
    """

    pools: dict[str, Physics]
    link_bytes_per_s: float
    host_bytes_per_s: float
    notes: tuple[str, ...]
    framework: str
    power_error: float = 0.0
    tdp_w: Mapping[str, float] = field(default_factory=dict)

    @property
    def main(self) -> Physics:
        """The pool that emits most tokens."""
        return list(self.pools.values())[-1]

    @property
    def host_s(self) -> float:
        """Request handling before and after the steps [s]."""
        return self.main.host_s


def deployment(scenario: Scenario, catalog: Catalog, trace: Trace | None = None) -> Deployment:
    """Build the replicas' physics from a scenario, with nominal values of all facts.

    Args:
        scenario: the scenario.
        catalog: the catalogue.
        trace: requests, whose mean lengths place the lines of attention; the scenario's mean request where None.

    Raises:
        ScenarioError: a layout that cannot be.
        InfeasibleError: weights that leave no room for KV.
        NoDataError: the calibration lacks an operator.
    """
    facts = Facts(catalog, Ledger(Draws(0, 0)))
    made = deployment_of(scenario, facts)
    return _operators(scenario, facts, made, _demand(scenario, trace), trace)


def _demand(scenario: Scenario, trace: Trace | None) -> TokenDemand:
    asked = scenario.demand
    found = token_demand(
        asked.input_tokens_per_day,
        asked.output_tokens_per_day,
        asked.cache_hit_share,
        mean_context_tokens=asked.mean_context_tokens,
        mean_input_tokens=asked.mean_input_tokens,
        mean_output_tokens=asked.mean_output_tokens,
    )
    if trace is None or not len(trace):
        return found
    means = (np.asarray(float(one.mean())) for one in (trace.input_tokens, trace.output_tokens))
    return replace(found, **dict(zip(("input_tokens", "output_tokens"), means, strict=True)))


def _operators(
    scenario: Scenario, facts: Facts, made: Layouts, demand: TokenDemand, trace: Trace | None
) -> Deployment:
    chip = facts.accelerator(made.chip)
    tables = read_tables(Coefficients, facts.catalog.overlays)
    ready = engines_of(scenario, made, chip, demand, tables)
    longest = float(trace.input_tokens.max()) if trace is not None and len(trace) else 0.0
    roles: tuple[tuple[str, Role, Engine, Point], ...] = (
        (("replica", "both", ready.decode, ready.questions[1]),)
        if made.shared
        else (
            ("prefill", "prefill", ready.prefill, ready.questions[0]),
            ("decode", "decode", ready.decode, ready.questions[1]),
        )
    )
    accepted = {}
    if scenario.llm.mtp:
        rate = _nominal(facts.assume("serving", "mtp_acceptance", scenario.llm.mtp_acceptance))
        accepted = {"mtp_acceptance": rate}
    pools, notes, tdp_w = {}, [*made.formats.changes], {}
    power, error_of_power = PowerModel(facts.catalog), 0.0
    for name, role, engine, asked in roles:
        question = replace(asked, options={**asked.options, **accepted})
        try:
            found = operator_physics(engine, question, role, longest)
        except InfeasibleError as error:
            raise InfeasibleError(f"serving.{name}: {error}; use more chips or narrower weights") from None
        try:
            found = _powered(found, engine, question, role, power)
            law = power.chip(question.chip)
            error_of_power = max(error_of_power, law.error)
            tdp_w[name] = law.tdp_w * engine.placement.chips / question.chip.ranks
        except NoDataError as error:
            notes.append(f"Power is unavailable: {error}")
        pools[name] = found
        notes += engine.notes
    used = ready.decode.serving
    name = "any framework" if used.framework == "*" else used.framework
    version = "" if used.version == "*" else f" {used.version}"
    joined = _joined(facts, made, pools, tuple(dict.fromkeys(notes)), f"{name}{version}")
    return replace(joined, power_error=error_of_power, tdp_w=tdp_w)


def _powered(found: Physics, engine: Engine, question: Point, role: Role, power: PowerModel) -> Physics:
    """Add the power of all accelerators of a replica at each number of tokens of a step."""
    known = power.chip(question.chip)
    shares = step_activity(engine, question, found.model, role)
    watts = accelerator_power_w(Shares(shares.compute, shares.memory, shares.link), known.law)
    chips = engine.placement.chips / question.chip.ranks
    drawn = np.interp(found.model.tokens, shares.tokens, np.asarray(watts, dtype=float)) * chips
    return replace(found, model=replace(found.model, power_w=drawn, idle_w=known.idle_w * chips))


def _joined(
    facts: Facts, made: Layouts, pools: dict[str, Physics], notes: tuple[str, ...], framework: str
) -> Deployment:
    out, chips = made.chip.scale_out_bytes_per_s, made.decode.chips
    return Deployment(
        pools,
        link_bytes_per_s=_nominal(out) * chips if out is not None else float("inf"),
        host_bytes_per_s=_nominal(facts.assume("hardware", "host_link_bandwidth")) * chips,
        notes=notes,
        framework=framework,
    )


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])


__all__ = ["Deployment", "deployment"]
