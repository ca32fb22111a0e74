"""The event simulator in the chain: load factors are found, not assumed, and follow the objectives."""

from __future__ import annotations

from typing import Any

import pytest
from chain_cases import LLAMA, with_changes

from suanli import chain
from suanli.errors import ScenarioError
from suanli.result.run import Result
from suanli.scenario import parse


def run(**changes: Any) -> Result:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    base = {"serving.method": "simulate", "demand.cache_hit_share": 0.0, "serving.slo.ttft": "2 s"}
    return chain.run(parse(with_changes(LLAMA, base | named)))


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"serving__slo": {"tpot": "40 ms"}}, "needs serving.slo.ttft"),
        ({"demand__cache_hit_share": 0.3}, "cache_hit_share"),
    ],
)
def test_what_it_cannot_do_is_refused(change: dict[str, Any], words: str) -> None:
    base: dict[str, Any] = {"serving.method": "simulate", "demand.cache_hit_share": 0.0}
    if "serving__slo" not in change:
        base["serving.slo.ttft"] = "2 s"
    with pytest.raises(ScenarioError, match=words):
        chain.run(parse(with_changes(LLAMA, base | {k.replace("__", "."): v for k, v in change.items()})))
