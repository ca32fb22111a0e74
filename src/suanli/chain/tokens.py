"""From tokens a day to systems: demand, model, chips, serving capacity, fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.chain.capacity import Capacity, capacity
from suanli.chain.deployment import Deployment, deployment_of
from suanli.chain.facts import Facts
from suanli.chain.load import load_of
from suanli.demand import TokenDemand, token_demand
from suanli.hardware import Chip, System
from suanli.hardware.power import Activity
from suanli.llm import (
    decode_flops_per_token,
    kv_bytes_per_token,
    parameters,
    prefill_flops_per_token,
    weight_bytes,
)
from suanli.serving import Accelerator, exchange, fleet_size

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
    prefill_activity: Activity
    decode_activity: Activity
    accelerator: Accelerator
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
    _model_metrics(scenario, facts, deployment, demand)
    found = capacity(scenario, facts, deployment, demand)
    return _fleet(scenario, facts, deployment, system, demand, found)


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


def _model_metrics(scenario: Scenario, facts: Facts, deployment: Deployment, demand: TokenDemand) -> None:
    book, model = facts.ledger, deployment.model
    count = parameters(model)
    book.derive("llm.parameters_total", float(count.total))
    book.derive("llm.parameters_active", float(count.active_without_input_embedding))
    book.derive("llm.weight_bytes", weight_bytes(model, deployment.formats.weights).total)
    book.label("llm.kv_dtype", scenario.llm.kv_dtype, "scenario")
    book.derive("llm.kv_bytes_per_token", kv_bytes_per_token(model, scenario.llm.kv_dtype))
    cached = demand.input_tokens * scenario.demand.cache_hit_share
    prompt = prefill_flops_per_token(model, demand.input_tokens, cached_tokens=cached)
    book.derive("llm.prefill_flops_per_token", prompt.total)
    step = decode_flops_per_token(model, demand.context_tokens, mtp=scenario.llm.mtp)
    book.derive("llm.decode_flops_per_token", step.total)
    book.given("serving.prefill_chips", deployment.prefill.chips)
    book.given("serving.decode_chips", deployment.decode.chips)
    for phase, layout, direct in (
        ("prefill", deployment.prefill, False),
        ("decode", deployment.decode, True),
    ):
        sent = exchange(model, deployment.chip, layout, direct=direct).sent_bytes
        book.derive(f"serving.{phase}_exchange_bytes_per_token", sent)


def _fleet(
    scenario: Scenario,
    facts: Facts,
    deployment: Deployment,
    system: System,
    demand: TokenDemand,
    found: Capacity,
) -> Service:
    book = facts.ledger
    prefill_load, decode_load = load_of(scenario, facts, deployment, demand, found)
    peak = facts.assume("demand", "peak_to_mean", scenario.demand.peak_to_mean)
    fixed = scenario.fleet.nodes
    size = fleet_size(
        demand.prefill_tokens_per_s,
        demand.decode_tokens_per_s,
        found.prefill_tokens_per_s,
        found.decode_tokens_per_s,
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
        prefill_activity=found.prefill_activity,
        decode_activity=found.decode_activity,
        accelerator=found.accelerator,
        input_tokens_per_s=scenario.demand.input_tokens_per_day / 86400.0,
        output_tokens_per_s=demand.decode_tokens_per_s,
    )
