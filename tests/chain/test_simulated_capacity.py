"""The event simulator in the chain: load factors are found, not assumed, and follow the objectives."""

from __future__ import annotations

from typing import Any

import pytest
from chain_cases import DAY, LLAMA, with_changes

from suanli import chain
from suanli.errors import ScenarioError
from suanli.result.run import Result
from suanli.scenario import parse


def run(**changes: Any) -> Result:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    base = {"serving.method": "simulate", "demand.cache_hit_share": 0.0, "serving.slo.ttft": "2 s"}
    kept = {key: value for key, value in (base | named).items() if value is not None}
    return chain.run(parse(with_changes(LLAMA, kept)))


def test_the_load_factor_is_found() -> None:
    found = run()
    load = found["serving.decode_load_factor"]
    assert load.basis == "derived"
    assert load.value is not None and 0.2 < load.value < 1.2
    assert found["serving.ttft"].value is not None and found["serving.ttft"].value < 2.0


def test_tighter_objectives_need_more_nodes() -> None:
    nodes = [run(serving__slo__ttft=ttft)["fleet.nodes"].value for ttft in ("10 s", "1 s", "0.5 s")]
    assert all(n is not None for n in nodes)
    assert nodes[0] <= nodes[1] * 1.03 and nodes[1] <= nodes[2] * 1.03  # the search stops within 2 %
    assert nodes[0] < nodes[2]


def test_an_objective_is_needed() -> None:
    with pytest.raises(ScenarioError, match=r"needs serving\.slo\.ttft"):
        run(serving__slo={"tpot": "40 ms"}, serving__slo__ttft=None)


def test_prompts_found_in_the_cache_save_nodes() -> None:
    nodes = [run(demand__cache_hit_share=share)["fleet.nodes"].value for share in (0.0, 0.3, 0.6)]
    assert all(n is not None for n in nodes)
    assert nodes[0] > nodes[1] > nodes[2]


def test_separate_pools_and_drafts_are_simulated() -> None:
    """One day of the published service with one draft token, sized by its objectives instead of by load factors."""
    changes = {"serving.method": "simulate", "serving.slo.ttft": "5 s", "llm.mtp": True}
    found = chain.run(parse(with_changes(DAY, changes)))
    for phase in ("prefill", "decode"):
        load = found[f"serving.{phase}_load_factor"].value
        assert load is not None and 0.2 < load <= 1.05, phase
    assert (found["serving.ttft"].value or 9.0) < 5.0
