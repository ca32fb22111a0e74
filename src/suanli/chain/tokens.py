"""From tokens a day to systems: demand, model, chips, serving capacity, fleet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.chain.deployment import Deployment, deployment_of, engine_of
from suanli.chain.facts import Facts
from suanli.chain.limits import need_batch, need_room
from suanli.chain.load import load_of
from suanli.demand import TokenDemand, token_demand
from suanli.errors import ScenarioError
from suanli.hardware import Chip, System
from suanli.llm import (
    decode_flops_per_token,
    kv_bytes_per_token,
    parameters,
    prefill_flops_per_token,
    weight_bytes,
)
from suanli.serving import (
    Decode,
    Engine,
    Prefill,
    decode,
    decode_work,
    exchange,
    fleet_size,
    prefill,
    prefill_work,
)

if TYPE_CHECKING:
    from suanli.scenario import Scenario

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Service:
    """The service as facility and money see it. Node and chip counts are means over the day unless said otherwise."""

    chip: Chip
    system: System
    nodes: Array
    chips: Array
    prefill_chips: Array
    decode_chips: Array
    installed_systems: Array
    prefill_load: Num
    decode_load: Num
    input_tokens_per_s: Num
    output_tokens_per_s: Num


def service(scenario: Scenario, facts: Facts) -> Service:
    """Record demand, model, serving and fleet, and return the fleet.

    Raises:
        ScenarioError: a layout that cannot be.
        InfeasibleError: weights or the objective do not fit.
    """
    demand = _demand(scenario, facts)
    deployment = deployment_of(scenario, facts)
    system = facts.system(facts.system_id(deployment.chip.id, scenario.serving.system), deployment.chip)
    engine = engine_of(scenario, facts)
    _model_metrics(scenario, facts, deployment)
    filled, running = _capacity(scenario, facts, deployment, engine, demand)
    return _fleet(scenario, facts, deployment, system, demand, filled, running)


def _demand(scenario: Scenario, facts: Facts) -> TokenDemand:
    given, book = scenario.demand, facts.ledger
    for name in (
        "input_tokens_per_day",
        "output_tokens_per_day",
        "mean_context_tokens",
        "mean_input_tokens",
        "mean_output_tokens",
    ):
        if (value := getattr(given, name)) is not None:
            book.given(f"demand.{name}", value, "tok")
    book.given("demand.cache_hit_share", given.cache_hit_share)
    found = token_demand(
        given.input_tokens_per_day,
        given.output_tokens_per_day,
        given.cache_hit_share,
        mean_context_tokens=given.mean_context_tokens,
        mean_input_tokens=given.mean_input_tokens,
        mean_output_tokens=given.mean_output_tokens,
    )
    for name in (
        "input_tokens",
        "output_tokens",
        "context_tokens",
        "requests_per_day",
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
    ):
        source = f"demand.mean_{name}"
        if name in ("input_tokens", "output_tokens", "context_tokens") and source in book:
            book.derive(f"demand.{name}", getattr(found, name), formula=f"= {source}", inputs=(source,))
        else:
            book.derive(f"demand.{name}", getattr(found, name))
    return found


def _model_metrics(scenario: Scenario, facts: Facts, deployment: Deployment) -> None:
    book, model = facts.ledger, deployment.model
    count = parameters(model)
    book.derive("llm.parameters_total", float(count.total))
    book.derive("llm.parameters_active", float(count.active_without_input_embedding))
    book.derive("llm.weight_bytes", weight_bytes(model, deployment.formats.weights).total)
    book.label("llm.kv_dtype", scenario.llm.kv_dtype, "scenario")
    book.derive("llm.kv_bytes_per_token", kv_bytes_per_token(model, scenario.llm.kv_dtype))


def _capacity(
    scenario: Scenario, facts: Facts, deployment: Deployment, engine: Engine, demand: TokenDemand
) -> tuple[Prefill, Decode]:
    book, model, chip, formats = facts.ledger, deployment.model, deployment.chip, deployment.formats
    book.given("serving.prefill_chips", deployment.prefill.chips)
    book.given("serving.decode_chips", deployment.decode.chips)
    hit = scenario.demand.cache_hit_share
    before = prefill_work(model, chip, deployment.prefill, formats, demand.input_tokens, hit)
    filled = prefill(before, engine)
    tokens_a_step, drafted = 1.0, 0.0
    if scenario.llm.mtp:
        if model.mtp is None:
            raise ScenarioError([f"llm.mtp: {model.id} has no multi-token prediction layer; remove llm.mtp"])
        drafted = 1.0
        tokens_a_step = 1.0 + facts.assume("serving", "mtp_acceptance", scenario.llm.mtp_acceptance)  # type: ignore[assignment]
    work = decode_work(
        model,
        chip,
        deployment.decode,
        formats,
        demand.context_tokens,
        scenario.llm.kv_dtype,
        mtp=scenario.llm.mtp,
    )
    tpot = scenario.serving.slo.tpot
    batch = scenario.serving.batch_per_chip
    if tpot is not None:
        book.given("serving.slo_tpot", tpot, "s")
    stolen = (
        demand.input_tokens * (1.0 - hit) / filled.tokens_per_s / demand.output_tokens
        if deployment.shared
        else 0.0
    )
    running = decode(
        work,
        engine,
        chip,
        deployment.decode,
        tpot_s=tpot,
        batch=batch,
        tokens_per_step=tokens_a_step,
        drafted_per_step=drafted,
        prefill_s_per_output_token=stolen,
    )
    need_room(model, chip, deployment.prefill, before, engine)
    need_batch(model, chip, deployment.decode, running, tpot, batch)
    running = _feasible(facts, deployment, running)
    flops = (
        prefill_flops_per_token(model, demand.input_tokens, cached_tokens=demand.input_tokens * hit).total,
        decode_flops_per_token(model, demand.context_tokens, mtp=scenario.llm.mtp).total,
    )
    _serving_metrics(facts, deployment, flops, before.peak_s, work.peak_s, filled, running, tokens_a_step)
    book.derive(
        "serving.kv_bytes_per_sequence", np.asarray(work.kv_bytes_per_sequence) * deployment.decode.tp
    )
    return filled, running


def _feasible(facts: Facts, deployment: Deployment, running: Decode) -> Decode:
    """Leave out the draws in which no batch can be: their bands would be those of an infinite fleet."""
    impossible = np.asarray(running.batch * deployment.decode.chips < 1.0)
    if not impossible.any():
        return running
    share = float(impossible.mean())
    facts.ledger.warn(
        f"In {share:.0%} of the draws no batch fits or meets the objective; bands are those of the other draws."
    )
    missing = np.where(impossible, np.nan, 1.0)
    return replace(running, batch=running.batch * missing, tokens_per_s=running.tokens_per_s * missing)


def _serving_metrics(
    facts: Facts,
    deployment: Deployment,
    flops: tuple[Array, Array],
    before_s: Num,
    step_s: Num,
    filled: Prefill,
    running: Decode,
    tokens: float,
) -> None:
    book, chip, model = facts.ledger, deployment.chip, deployment.model
    book.derive("llm.prefill_flops_per_token", flops[0])
    book.derive("llm.decode_flops_per_token", flops[1])
    forms = deployment.formats
    peaks = dict.fromkeys(
        f"chip.peak_{chip.compute_dtype(form)}"
        for form in (forms.attention, forms.ffn, forms.experts, "bf16")
    )
    book.derive(
        "serving.prefill_peak_time_per_token", before_s, inputs=("llm.prefill_flops_per_token", *peaks)
    )
    book.derive("serving.decode_peak_time_per_token", step_s, inputs=("llm.decode_flops_per_token", *peaks))
    for phase, layout, direct in (
        ("prefill", deployment.prefill, False),
        ("decode", deployment.decode, True),
    ):
        sent = exchange(model, chip, layout, direct=direct).sent_bytes
        book.derive(f"serving.{phase}_exchange_bytes_per_token", sent)
    book.derive("serving.prefill_tokens_per_s_per_chip", filled.tokens_per_s)
    book.derive("serving.weights_bytes_per_chip", running.fit.weights_bytes)
    book.derive("serving.kv_space_per_chip", running.fit.kv_bytes)
    book.derive("serving.sequences_in_memory", running.fit.sequences)
    book.derive("serving.tokens_per_step", tokens)
    book.derive("serving.decode_step_memory", running.memory_s)
    book.derive("serving.decode_step_compute", running.compute_s)
    book.derive("serving.decode_step_exchange", running.exchange_s)
    book.derive("serving.batch_per_chip", running.batch)
    book.derive("serving.decode_step", running.step_s)
    book.derive("serving.decode_tokens_per_s_per_chip", running.tokens_per_s)
    book.derive("serving.tpot", running.tpot_s)


def _fleet(
    scenario: Scenario,
    facts: Facts,
    deployment: Deployment,
    system: System,
    demand: TokenDemand,
    filled: Prefill,
    running: Decode,
) -> Service:
    book = facts.ledger
    prefill_load, decode_load = load_of(scenario, facts, deployment, demand, filled, running)
    peak = facts.assume("demand", "peak_to_mean", scenario.demand.peak_to_mean)
    fixed = scenario.fleet.nodes
    size = fleet_size(
        demand.prefill_tokens_per_s,
        demand.decode_tokens_per_s,
        filled.tokens_per_s,
        running.tokens_per_s,
        system.chips,
        prefill_load,
        decode_load,
        peak,
        nodes=fixed,
    )
    split = "" if fixed is None else "the fixed fleet, split between the phases as the derived one"
    book.derive("fleet.prefill_nodes", size.prefill_nodes, formula=split)
    book.derive("fleet.decode_nodes", size.decode_nodes, formula=split)
    if fixed is not None:
        book.given("fleet.nodes", fixed)
    else:
        book.derive("fleet.nodes", size.nodes)
    book.derive("fleet.chips", size.nodes * system.chips)
    book.derive("fleet.nodes_installed", size.installed_nodes)
    book.derive("fleet.chips_installed", size.installed_nodes * system.chips)
    book.derive("fleet.racks", np.ceil(size.installed_nodes * system.racks - 1e-9))
    return Service(
        chip=deployment.chip,
        system=system,
        nodes=size.nodes,
        chips=size.nodes * system.chips,
        prefill_chips=size.prefill_nodes * system.chips,
        decode_chips=size.decode_nodes * system.chips,
        installed_systems=size.installed_nodes,
        prefill_load=prefill_load,
        decode_load=decode_load,
        input_tokens_per_s=scenario.demand.input_tokens_per_day / 86400.0,
        output_tokens_per_s=demand.decode_tokens_per_s,
    )


def _nominal(samples: ArrayLike) -> float:
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
