"""Engines that pad heads to their cores answer where the others refuse; layers that stages share unevenly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suanli.catalog import Catalog
from suanli.catalog.calibration import read_tables
from suanli.llm import WeightDtypes, from_config
from suanli.serving import Coefficients, Point, accelerator, estimate
from suanli.serving.deployment import stage_weight_bytes
from suanli.serving.layout import Placement
from suanli.serving.padding import core_ranks

TABLES = read_tables(Coefficients)
CATALOG = Catalog()
MODELS = {
    name: from_config(CATALOG.model(name), name)
    for name in ("llama-2-13b", "llama-3-70b", "llama-3-8b", "qwen3-30b-a3b")
}
# AWS Neuron documentation, inferentia2.rst and inf2-arch.rst.
NEURON = {
    "peak_bf16": 190e12,
    "memory_capacity": 32e9,
    "memory_bandwidth": 820e9,
    "scale_up_bandwidth_per_direction": 96e9,
    "scale_up_domain": 12.0,
}
INF2 = accelerator("aws-inferentia2", NEURON)
POINT = Point(MODELS["llama-2-13b"], INF2, 12, 12, framework="neuronx", isl=2048, osl=128, concurrency=4)


def test_cores_of_neuron_chips() -> None:
    assert core_ranks("aws-inferentia2") == 2
    assert core_ranks("aws-trainium2") == 4
    assert core_ranks("nvidia-h100-sxm") == 0


@pytest.mark.parametrize("name", MODELS)
def test_twelve_chips_of_24_cores_serve_every_model(name: str) -> None:
    found = estimate(replace(POINT, model=MODELS[name]), TABLES)
    assert found.status == "ok", found.reason
    assert found.placement is not None and (found.placement.tp, found.placement.replicas) == (12, 1)


def test_a_degree_in_cores_is_the_same_deployment() -> None:
    chips, cores = estimate(POINT, TABLES), estimate(replace(POINT, tp=24), TABLES)
    assert cores.status == "ok" and cores.tpot_s == chips.tpot_s and cores.ttft_s == chips.ttft_s


def test_other_chips_refuse_the_same_layout() -> None:
    found = estimate(replace(POINT, chip=replace(INF2, id="nvidia-l4")), TABLES)
    assert found.status == "infeasible" and "does not divide the 40 heads" in found.reason


def test_padded_heads_cost_time_and_memory() -> None:
    """Llama-2-13B on 24 ranks holds 48 heads, 20 % more than on 20 ranks, where its 40 heads fit."""
    padded, plain = estimate(POINT, TABLES), estimate(replace(POINT, n_chips=10, tp=10), TABLES)
    assert padded.memory is not None and plain.memory is not None
    assert 12 * padded.memory.sequence_bytes == pytest.approx(1.2 * 10 * plain.memory.sequence_bytes)
    assert 12 * padded.memory.weights_bytes > 1.04 * 10 * plain.memory.weights_bytes


def test_layers_left_over_go_to_stages_without_embedding_or_head() -> None:
    """80 layers on 6 stages: 13 or 14 each; the fullest holds 14 layers, or 13 and half of the two tables."""
    model = MODELS["llama-3-70b"]
    whole = stage_weight_bytes(model, WeightDtypes.uniform("bf16"), Placement())
    six = stage_weight_bytes(model, WeightDtypes.uniform("bf16"), Placement(pp=6))
    table = 2.0 * 128256 * 8192
    layer = (whole - 2.0 * table) / 80.0
    assert six == pytest.approx(max(14 * layer, 13 * layer + table), rel=1e-3)
