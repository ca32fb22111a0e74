"""Chips of two ranks: a package described as one chip or as two is the same machine; money and power by package."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suanli.errors import InputError
from suanli.interop.launch import launch_script
from suanli.interop.launch_plan import launch_plan
from suanli.serving.accelerator import Accelerator, rank_of
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend import Question, read_limit, recommend
from suanli.study.recommend.rows import requests_of

KNOWN = Deployments()
# A package of two H100-like ranks; both descriptions are timed by the kernels of their family.
RANK = replace(KNOWN.chip("nvidia-h100-sxm"), id="rank", domain=64)
DOUBLED = replace(
    RANK.operators,
    peak_flop_per_s={name: 2.0 * peak for name, peak in RANK.operators.peak_flop_per_s.items()},
    memory_bandwidth_bytes_per_s=2.0 * RANK.operators.memory_bandwidth_bytes_per_s,
    sm_count=2.0 * RANK.operators.sm_count,
    l2_bytes=2.0 * RANK.operators.l2_bytes,
    link_bytes_per_s=2.0 * RANK.operators.link_bytes_per_s,
    network_bytes_per_s=2.0 * RANK.operators.network_bytes_per_s,
)
PACKAGE = replace(
    RANK,
    id="package",
    operators=DOUBLED,
    memory_bytes=2.0 * RANK.memory_bytes,
    domain=32,
    tdp_w=2.0 * RANK.tdp_w,
    ranks=2,
)


class Fictitious(Deployments):
    """The catalogue, and the same machine in both descriptions."""

    def chip(self, name: str) -> Accelerator:
        return {"package": PACKAGE, "rank": RANK}.get(name) or super().chip(name)


def asked(model: str, chip: str, chips: int, **change: object) -> Question:
    question = Question(model, (chip,), 3000, 400, read_limit(chips, None, None), 3.0, 0.05)
    return replace(question, **change)  # type: ignore[arg-type]


def test_a_rank_is_its_share_of_the_package() -> None:
    one = rank_of(PACKAGE)
    assert (one.memory_bytes, one.domain, one.tdp_w, one.ranks) == (RANK.memory_bytes, 64, RANK.tdp_w, 1)
    assert one.operators.peak_flop_per_s == RANK.operators.peak_flop_per_s


@pytest.mark.parametrize("model", ["qwen3-8b", "qwen3-32b", "qwen3-30b-a3b", "deepseek-v3"])
@pytest.mark.parametrize("packages", [1, 3, 8, 16])
def test_both_descriptions_serve_the_same(model: str, packages: int) -> None:
    if model == "deepseek-v3" and packages < 8:
        pytest.skip("does not fit")
    whole = recommend(asked(model, "package", packages, modes=("aggregated",)), Fictitious())
    parts = recommend(asked(model, "rank", 2 * packages, modes=("aggregated",)), Fictitious())
    assert whole.best.output_tokens_per_s == pytest.approx(parts.best.output_tokens_per_s, rel=1e-9)
    assert whole.best.shape == parts.best.shape
    assert (whole.best.chips, parts.best.chips) == (packages, 2 * packages)
    assert whole.met == parts.met
    for one, two in zip(whole.front, parts.front, strict=True):
        assert (one.shape, one.requests) == (two.shape, two.requests)
        assert one.tokens_per_s_per_chip == pytest.approx(2.0 * two.tokens_per_s_per_chip, rel=1e-9)


@pytest.mark.parametrize("model", ["qwen3-8b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("packages", [2, 5, 12])
def test_pools_of_whole_packages_lose_little_against_pools_of_ranks(model: str, packages: int) -> None:
    whole = recommend(asked(model, "package", packages, modes=("disaggregated",)), Fictitious()).best
    parts = recommend(asked(model, "rank", 2 * packages, modes=("disaggregated",)), Fictitious()).best
    assert whole.output_tokens_per_s <= parts.output_tokens_per_s * (1.0 + 1e-9)
    # At most one rank of each pool is forced onto the other side of the divide.
    assert whole.output_tokens_per_s >= parts.output_tokens_per_s * (1.0 - 1.0 / packages)
    assert all(pool.placement.chips * pool.placement.replicas == 2 * pool.chips for pool in whole.pools)


def test_chips_money_and_power_are_those_of_packages() -> None:
    known = Deployments()
    found = recommend(asked("llama-3.1-70b", "amd-mi250x", 8, tpot_slo_s=0.2, ttft_slo_s=None), known)
    cost = known.cost("amd-mi250x")
    chip = known.chip("amd-mi250x")
    assert cost is not None and chip.tdp_w is not None
    for row in found.front:
        ranks = sum(pool.placement.chips * pool.placement.replicas for pool in row.pools)
        assert ranks == 2 * row.chips <= 16
        assert sum(request.n_chips or 0 for request in requests_of(found.search, row)) == row.chips
        assert row.usd_per_mtok is not None and row.power_w is not None
        each = cost.usd_per_s.value * row.chips / row.output_tokens_per_s
        assert row.usd_per_mtok.value == pytest.approx(1e6 * each)
        idle = known.power.chip(chip).idle_w * row.chips
        assert idle <= row.power_w.value <= chip.tdp_w * row.chips
    assert "Each amd-mi250x runs as 2 ranks; the layout counts ranks." in found.notes()


def test_cloudmatrix_decodes_as_published() -> None:
    """Serving LLMs on CloudMatrix384, arXiv 2506.12708, table 5: DeepSeek-R1 in INT8 with one draft token, TPOT below
    50 ms with 4K of context, 1,943 tokens/s a 910C in decode (batch 96 a chip); prefill 6,688 tokens/s a 910C."""
    question = Question(
        *("deepseek-r1", ("huawei-ascend-910c",), 4096, 1000, read_limit(384, None, None), None, 0.05),
        weights_dtype="int8",
        options={"mtp_draft": 1.0},
    )
    best = recommend(question, KNOWN).best
    assert best.mode == "disaggregated"
    prefill, decode = best.pools
    band = best.answers[-1].quantities["output_tokens_per_s"]
    assert band.low / decode.chips < 1943 < band.high / decode.chips
    assert 32 <= decode.placement.ep <= 320
    prompts = best.answers[0].quantities["input_tokens_per_s"]
    assert prompts.low / prefill.chips < 6688 < prompts.high / prefill.chips


@pytest.mark.parametrize(
    ("chip", "model", "devices", "variable"),
    [
        ("huawei-ascend-910c", "qwen3-32b", 16, "ASCEND_RT_VISIBLE_DEVICES"),
        ("amd-mi250x", "qwen3-32b", 8, "HIP_VISIBLE_DEVICES"),
        ("amd-mi300x", "qwen3-32b", 8, "HIP_VISIBLE_DEVICES"),
    ],
)
def test_a_launch_counts_devices(chip: str, model: str, devices: int, variable: str) -> None:
    found = recommend(asked(model, chip, 4, tpot_slo_s=0.2, ttft_slo_s=None, framework="sglang"), KNOWN)
    plan = launch_plan(found.search, found.best, KNOWN.catalog.model(model))
    assert plan.chips_per_node == devices
    total = sum(server.count * server.chips for server in plan.servers)
    assert total == found.best.chips * plan.ranks
    script = launch_script(plan, "sglang")
    assert f"CHIPS={devices}  #" in script and f"on {found.best.chips} x {chip}:" in script
    assert ("CUDA_VISIBLE_DEVICES" not in script) and (variable in script or "--nnodes" in script)
    assert ('"chip" below means one of them' in script) == (plan.ranks > 1)


def test_a_chip_without_a_known_engine_is_not_launched() -> None:
    found = recommend(asked("qwen3-8b", "google-tpu-v6e", 4, tpot_slo_s=None), KNOWN)
    with pytest.raises(InputError, match="how an engine is started on google-tpu-v6e is not known"):
        launch_plan(found.search, found.best, {})
