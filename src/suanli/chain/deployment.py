"""The deployment of a scenario: model, chip, formats and layouts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suanli.chain.facts import Facts
from suanli.errors import ScenarioError
from suanli.hardware import Chip
from suanli.llm import Model, from_config
from suanli.serving import Formats, Layout, formats_for, layout_problems

if TYPE_CHECKING:
    from suanli.scenario import Scenario
    from suanli.scenario.schema import Pool


@dataclass(frozen=True, slots=True)
class Deployment:
    """Model on chips: formats and the two layouts (the same one where phases share chips)."""

    model: Model
    chip: Chip
    formats: Formats
    prefill: Layout
    decode: Layout
    shared: bool


def deployment_of(scenario: Scenario, facts: Facts) -> Deployment:
    """Read model and chip, choose formats and check the layouts.

    Raises:
        ScenarioError: a layout that cannot be.
    """
    serving = scenario.serving
    config = facts.catalog.model(scenario.llm.id)
    model = from_config(config)
    about = config.get("_suanli", {})
    # The digest stands for the shape: a model file that was changed makes another run.
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    origin = " | ".join((f"models/{model.id}", f"config {digest}", *about.get("sources", ())))
    facts.ledger.label("llm.id", model.id, origin, grade="B" if about.get("verified") else "C")
    chip = facts.chip(serving.chip)
    pools = (
        {"replica": serving.replica}
        if serving.replica
        else {"prefill": serving.prefill, "decode": serving.decode}
    )
    layouts = {name: _layout(pool) for name, pool in pools.items() if pool is not None}
    problems = [
        f"serving.{name}: {line}"
        for name, layout in layouts.items()
        for line in layout_problems(model, layout)
    ]
    if problems:
        raise ScenarioError(problems)
    formats = formats_for(model, chip, scenario.llm.weights_dtype)
    first, last = next(iter(layouts.values())), list(layouts.values())[-1]
    return Deployment(model, chip, formats, first, last, shared=serving.mode == "aggregated")


def _layout(pool: Pool) -> Layout:
    return Layout(pool.chips, pool.tp, pool.ep)
