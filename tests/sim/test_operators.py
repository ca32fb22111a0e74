"""Step models of operator times: the simulator in steady state against the closed form of `serving.estimate`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.demand import arrivals
from suanli.demand.traces import Trace
from suanli.errors import InfeasibleError, InputError
from suanli.serving import Estimate, Point, estimate
from suanli.serving.aggregated import load_of
from suanli.serving.closed_loop import decode_step_s, delivery_steps, prompt_cost
from suanli.serving.disaggregated import disaggregated
from suanli.serving.engine import Engine, engine
from suanli.serving.pools import prefill_pool
from suanli.serving.sim import Cluster, Outcome, StepModel, simulate
from suanli.serving.sim.handling import delivered, handled
from suanli.serving.sim.operators import operator_physics, prompt_steps, step_activity
from suanli.serving.sim.physics import Physics
from suanli.study.deployment.request import Request
from suanli.study.deployment.solve import Deployments

KNOWN = Deployments()
DATA = Path(__file__).parents[3] / "shared" / "data"
SPREAD = {"length_low_share": 0.5, "burst_prompts_per_client": 0.0}


@dataclass(frozen=True)
class Case:
    """One replica: its question, engine and physics."""

    point: Point
    ready: Engine
    physics: Physics

    def trace(self, count: int, seed: int = 0) -> Trace:
        """Lengths as the question has them: uniform from the low share to the nominal one."""
        low, rng = self.point.options.get("length_low_share", 1.0), np.random.default_rng(seed)
        drawn = (rng.uniform(low * n, n, count).round() for n in (self.point.isl, self.point.osl))
        inputs, outputs = (np.maximum(one, 1).astype(np.int64) for one in drawn)
        return Trace(np.zeros(count), inputs, outputs)


def case(model: str, chip: str, framework: str, clients: int, **fields: object) -> Case:
    options = {**SPREAD, **fields.pop("options", {})}  # type: ignore[dict-item]
    request = Request(model, chip, framework=framework, concurrency=float(clients), options=options, **fields)  # type: ignore[arg-type]
    point = KNOWN.point(request)
    ready = engine(point, KNOWN.tables)
    return Case(point, ready, operator_physics(ready, point, longest_tokens=point.isl))


def closed(one: Case, clients: int, rounds: int = 12) -> tuple[Outcome, float, float, float]:
    """Clients in a closed loop; TPOT, TTFT and tokens a second of the middle of the run."""
    work = arrivals.closed_loop(one.trace(clients * rounds), clients, 0.0)
    host = one.physics.host_s
    seen = delivered(simulate(handled(work, host), Cluster((one.physics.replica(),))), host)
    order = np.argsort(seen.finished_s)
    middle = order[len(order) // 4 : len(order) * 17 // 20]
    tpot = ((seen.finished_s - seen.first_token_s)[middle] / (seen.output_tokens[middle] - 1)).mean()
    span = seen.finished_s[middle[-1]] - seen.finished_s[middle[0]]
    rate = seen.output_tokens[middle[1:]].sum() / span
    return seen, float(tpot), float((seen.first_token_s - seen.arrived_s)[middle].mean()), float(rate)


def answer(one: Case) -> Estimate:
    found = estimate(one.point, KNOWN.tables)
    assert found.status == "ok", found.reason
    return found


# -- the parts ----------------------------------------
CASES = {
    "dense": ("qwen3-32b", "h100", "vllm", {"tp": 2, "isl": 1000, "osl": 500}),
    "dense, prefill steps alone": ("qwen3-32b", "h100", "sglang", {"tp": 2, "isl": 1000, "osl": 500}),
    "dense, prompts whole": ("qwen3-32b", "h200", "trtllm", {"tp": 4, "isl": 3000, "osl": 200}),
    "experts": ("qwen3-30b-a3b", "h100", "vllm", {"tp": 1, "isl": 2000, "osl": 300}),
    "experts, groups": (
        "deepseek-v3",
        "h200",
        "sglang",
        {"n_chips": 8, "dp": 8, "ep": 8, "isl": 2000, "osl": 500},
    ),
    "experts, drafts": (
        *("deepseek-v3", "h200", "sglang"),
        {"n_chips": 8, "tp": 8, "ep": 8, "isl": 2000, "osl": 500, "options": {"mtp_draft": 1.0}},
    ),
    "datasheet": ("llama-3.1-70b", "amd-mi300x", "*", {"tp": 2, "isl": 1500, "osl": 300}),
}


def of(name: str, clients: int) -> Case:
    model, chip, framework, fields = CASES[name]
    return case(model, chip, framework, clients, **fields)


@pytest.mark.parametrize("name", CASES)
def test_a_decode_step_is_that_of_the_closed_loop(name: str) -> None:
    """t(q b, b, b c) = D(b, c), exactly at the contexts of the line and closely between and beyond them."""
    one = of(name, 64)
    load, model = load_of(one.point, one.ready), one.physics.model
    mean = float(np.asarray(load.input_tokens)) + 0.5 * float(np.asarray(load.output_tokens))
    batch = np.array([1.0, 2.0, 7.0, 32.0, min(200.0, one.physics.max_num_seqs)])
    for share, error in ((0.5, 1e-6), (1.5, 1e-6), (1.0, 0.02), (0.7, 0.03), (2.0, 0.05)):
        theirs = decode_step_s(one.ready.table, one.ready.serving.values, batch, share * mean, load)
        ours = model.step_time_s(batch * (1 + model.drafts), batch, batch * share * mean)
        np.testing.assert_allclose(ours, theirs, rtol=error)


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_adds_what_the_closed_loop_says(name: str) -> None:
    one = of(name, 64)
    load, model, table = load_of(one.point, one.ready), one.physics.model, one.ready.table
    new = float(np.asarray(load.input_tokens))
    for beside in (0.0, 32.0):
        tokens = beside * (1 + model.drafts)
        cost = prompt_cost(table, one.ready.serving.values, tokens, new, 0.0)
        assert float(cost.steps) == 1.0
        alone = model.step_time_s(tokens + new, beside, 0.0, new * (new + 1) / 2, 1)
        none = model.step_time_s(tokens, beside, 0.0) if beside else float(model.launch_s[0])  # type: ignore[index]
        head = one.ready.serving.values.prefill_factor * float(
            table.logits_s(tokens + 1.0) - (table.logits_s(tokens) if beside else 0.0)
        )
        # The head of a prompt beside decodes is a row more of theirs, which the model leaves out.
        assert float(alone - none) == pytest.approx(
            float(cost.alone_s) - head / one.ready.placement.pp, rel=0.03
        )


def test_prompts_of_several_groups_run_side_by_side() -> None:
    """Eight prompts on eight groups take what one does, but for the experts, which all groups share."""
    model = of("experts, groups", 64).physics.model
    assert model.groups == 8 and model.own_s is not None
    pairs = 2000.0 * 2001.0 / 2.0
    shared = np.interp([2000.0, 16000.0], model.tokens, model.step_s - model.own_s)
    one, eight = (float(model.step_time_s(2000 * n, 0, 0.0, n * pairs, n)) for n in (1, 8))
    assert eight - one == pytest.approx(shared[1] - shared[0], rel=1e-6)
    assert float(model.step_time_s(18000, 0, 0.0, 9 * pairs, 9)) > 1.2 * eight


@pytest.mark.parametrize("tokens", [10_000, 40_000])
def test_the_fullest_group_counts_beyond_the_table(tokens: int) -> None:
    """One prompt on 64 groups is as long as 64 of them, also where that is more tokens than are tabulated."""
    grid = np.array([0.0, 100.0, 1e7])
    model = StepModel(grid, 2e-6 * grid, np.array([0.0]), np.zeros(1), groups=64, own_s=1.5e-6 * grid)
    kind = Physics(model, 10**6, 1.0, max_batched_tokens=50_000).replica()
    seen = simulate(Trace(np.zeros(1), np.array([tokens]), np.array([1])), Cluster((kind,)))
    assert seen.ttft_s[0] == pytest.approx(0.5e-6 * tokens + 1.5e-6 * 64 * tokens)
    assert seen.ttft_s[0] == pytest.approx(float(model.step_time_s(tokens, 0, 0.0, 0.0, 1)))


@pytest.mark.parametrize("prompts", [1.0, 4.0])
def test_a_prefill_pool_keeps_its_time(prompts: float) -> None:
    request = Request(
        "deepseek-v3", "h200", 32, dp=32, ep=32, framework="sglang", phase="prefill", isl=4000.0
    )
    point = KNOWN.point(request)
    ready = engine(point, KNOWN.tables)
    model = prompt_steps(ready, load_of(point, ready), point)
    theirs = prefill_pool(ready, 32.0 * prompts, 4000.0, {}).interval_s
    ours = float(model.step_time_s(32 * prompts * 4000, 0, 0.0, 32 * prompts * 4000 * 4001 / 2, 32 * prompts))
    assert ours == pytest.approx(theirs, rel=0.03)


def test_first_tokens_are_late_by_whole_decode_steps() -> None:
    one = of("dense", 1)
    alone = replace(one.physics.model, late_steps=0.0)
    work = Trace(np.zeros(1), np.array([1000]), np.array([100]))
    seen = [
        simulate(work, Cluster((one.physics.replica(model=model),))) for model in (one.physics.model, alone)
    ]
    step = float(one.physics.model.step_time_s(1, 1, 1100.0))
    late = delivery_steps(one.ready.serving.values)
    assert one.physics.model.late_steps == late > 1.0
    assert seen[0].ttft_s[0] - seen[1].ttft_s[0] == pytest.approx(late * step)
    assert seen[0].tpot_s[0] == pytest.approx(seen[1].tpot_s[0])


# -- steady state ----------------------------------------
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("clients", [1, 8, 48])
def test_the_steady_state_is_that_of_estimate(name: str, clients: int) -> None:
    one = of(name, clients)
    _, tpot, ttft, rate = closed(one, clients, 40 if clients == 1 else 14)
    found = answer(one)
    assert found.tpot_s is not None and found.output_tokens_per_s is not None and found.ttft_s is not None
    # The closed form shares out time smoothly and lets a lone client run less than one sequence on average; the
    # simulator packs prompts into whole steps, which shows where they fill most of the time.
    share = found.prefill_share or 0.0
    error = 0.05 if clients > 1 and share < 0.4 else 0.10
    assert tpot == pytest.approx(found.tpot_s.value, rel=error)
    assert rate == pytest.approx(found.output_tokens_per_s.value, rel=error + 0.01)
    assert ttft == pytest.approx(found.ttft_s.value, rel=0.25)


@pytest.mark.parametrize("name", ["dense", "dense, prefill steps alone", "experts"])
def test_a_full_cache_holds_as_many_as_the_closed_form_says(name: str) -> None:
    """More clients than fit: admission counts the share of the outputs that the framework keeps room for."""
    one = of(name, 8)
    largest = answer(one).largest_batch
    assert largest is not None
    clients = int(1.3 * largest)
    crowded = of(name, clients)
    seen, tpot, _, rate = closed(crowded, clients, 6)
    found = answer(crowded)
    assert found.tpot_s is not None and found.output_tokens_per_s is not None
    assert tpot == pytest.approx(found.tpot_s.value, rel=0.05)
    assert rate == pytest.approx(found.output_tokens_per_s.value, rel=0.06)
    assert seen.preempted < 0.15 * seen.status.size


def test_disaggregated_pools_are_those_of_the_closed_form() -> None:
    """Random arrivals at two thirds of what the pools take: TTFT without decode steps, TPOT at the batch that runs."""
    base = Request("qwen3-32b", "h200", framework="vllm", isl=3000.0, osl=300.0, options={"mtp_draft": 0.0})
    first = KNOWN.point(replace(base, n_chips=2, tp=1, phase="prefill", concurrency=2.0))
    second = KNOWN.point(replace(base, n_chips=2, tp=2, phase="decode", concurrency=40.0))
    found = disaggregated(first, second, KNOWN.tables, transfer_bytes_per_s=math.inf)
    assert found.status == "ok" and found.prefill_capacity_per_s is not None
    rate = 0.66 * found.prefill_capacity_per_s
    pools = [
        operator_physics(engine(point, KNOWN.tables), replace(point, osl=300.0), role)
        for point, role in ((first, "prefill"), (second, "decode"))
    ]
    kinds = (pools[0].replica(role="prefill", count=2), pools[1].replica(role="decode"))
    count = 4000
    work = arrivals.poisson(Trace(np.zeros(count), np.full(count, 3000), np.full(count, 300)), rate, 3)
    seen = simulate(work, Cluster(kinds))
    assert seen.completed.all()
    load = load_of(second, engine(second, KNOWN.tables))
    batch = rate * float(seen.e2e_s.mean() - seen.ttft_s.mean())
    ready = engine(second, KNOWN.tables)
    step = decode_step_s(ready.table, ready.serving.values, batch, 3150.0, load)
    assert float(seen.tpot_s.mean()) == pytest.approx(float(step), rel=0.06)
    again = disaggregated(
        first, second, KNOWN.tables, transfer_bytes_per_s=math.inf, requests_per_s=min(rate, 0.99 * rate)
    )
    assert again.ttft_s is not None and again.tpot_s is not None
    host = pools[0].host_s + 1.5 * again.tpot_s.value
    assert float(seen.ttft_s.mean()) == pytest.approx(again.ttft_s.value - host, rel=0.25)


# -- limits, power, refusals ----------------------------------------
@given(
    name=st.sampled_from(sorted(CASES)),
    batch=st.integers(1, 200),
    context=st.floats(10.0, 20000.0),
    tokens=st.integers(0, 4000),
)
@settings(deadline=None, max_examples=60)
def test_more_work_never_takes_less_time(name: str, batch: int, context: float, tokens: int) -> None:
    model = of(name, 64).physics.model
    drafts = 1 + model.drafts

    def step(b: int, c: float, m: int) -> float:
        return float(model.step_time_s(m + b * drafts, b, b * c, m * (m + 1) / 2, min(m, 1)))

    base = step(batch, context, tokens)
    assert base > 0.0
    assert step(batch, context * 1.5, tokens) >= base * (1.0 - 1e-9)
    assert step(batch, context, tokens + 200) >= base * (1.0 - 1e-9)
    # Sequences take the experts that prompts would else be charged for, at the factor of decodes.
    assert step(batch + 8, context, tokens) >= base * 0.93


def test_scaled_times_scale_the_run() -> None:
    one = of("experts", 16)
    work = arrivals.closed_loop(one.trace(64), 16, 0.0)
    plain, slow = (
        simulate(work, Cluster((one.physics.replica(model=one.physics.model.scaled(factor)),)))
        for factor in (1.0, 2.0)
    )
    np.testing.assert_allclose(slow.finished_s, 2.0 * plain.finished_s, rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_limits_are_the_frameworks_own(name: str) -> None:
    one = of(name, 8)
    values, groups = one.ready.serving.values, one.ready.placement.dp
    assert one.physics.max_num_seqs <= values.max_sequences * groups
    assert one.physics.policy == ("continuous" if values.mixed > 0.5 else "prefill-first")
    assert one.physics.answer_share == values.kv_reserve
    if values.chunk_tokens > 0.0:
        assert one.physics.max_batched_tokens == int(values.chunk_tokens * groups)
    else:
        assert one.physics.max_batched_tokens >= one.point.isl
    memory = answer(one).memory
    assert memory is not None
    held = one.physics.kv_tokens * one.physics.kv_bytes_per_token
    chips = one.ready.placement.chips
    # The cache of all chips, of which latent attention repeats each token on the chips of a group.
    assert held <= memory.kv_bytes * chips * 1.001
    few = case(
        *CASES["dense"][:3], 8, **CASES["dense"][3], options={"max_sequences": 3.0, "chunk_tokens": 700.0}
    )  # type: ignore[arg-type]
    assert (few.physics.max_num_seqs, few.physics.max_batched_tokens) == (3, 700)


@pytest.mark.parametrize("name", CASES)
def test_activity_is_a_share_and_prompts_compute_most(name: str) -> None:
    one = of(name, 8)
    found = step_activity(one.ready, one.point, one.physics.model)
    for shares in (found.compute, found.memory, found.link):
        assert np.all((shares >= 0.0) & (shares <= 1.0))
    assert found.compute[-5:].mean() > 2.0 * found.compute[:3].mean()
    assert found.memory[:3].mean() > found.memory[-3:].mean()


def test_what_does_not_fit_is_refused() -> None:
    point = KNOWN.point(Request("llama-3.1-70b", "h100", 1, tp=1))
    with pytest.raises(InfeasibleError, match="does not fit"):
        operator_physics(engine(point, KNOWN.tables), point)


def test_a_step_takes_some_time() -> None:
    ramp = np.array([0.0, 100.0])
    with pytest.raises(InputError, match="less than no time"):
        StepModel(ramp, ramp * 1e-4, np.array([0.0, 1.0]), np.zeros(2), launch_s=np.array([0.0, -1.0]))
    with pytest.raises(InputError, match="groups is at least 1"):
        StepModel(ramp, ramp * 1e-4, np.array([0.0]), np.zeros(1), groups=0)
    with pytest.raises(InputError, match="answer_share is a share"):
        of("dense", 1).physics.replica(answer_share=1.5)


def test_a_cached_share_takes_room_but_no_time() -> None:
    one = of("dense", 1)
    work = arrivals.poisson(one.trace(400), 1.0, 1)
    plain, cached = (
        simulate(work, Cluster((one.physics.replica(),)), cached_share=share) for share in (0.0, 0.6)
    )
    np.testing.assert_array_equal(cached.cached_tokens, np.floor(0.6 * work.input_tokens))
    assert cached.ttft_s.mean() < plain.ttft_s.mean()
    assert cached.series.prompt_tokens_per_s.sum() * cached.series.width_s == pytest.approx(
        (work.input_tokens - cached.cached_tokens).sum()
    )
    lone = Trace(np.zeros(1), np.array([3000]), np.array([10]))
    peaks = [
        simulate(lone, Cluster((one.physics.replica(),)), cached_share=share).peak_kv_share[0]
        for share in (0.0, 0.6)
    ]
    assert peaks[0] == peaks[1]
    with pytest.raises(InputError, match="cached_share is a share"):
        simulate(lone, Cluster((one.physics.replica(),)), cached_share=1.0)


# -- measured ----------------------------------------
@pytest.mark.skipif(not (DATA / "measured").is_dir(), reason="no measurements beside the repository")
def test_measured_closed_loops() -> None:
    """InferenceX, judged half, lengths drawn from [0.8, 1] x nominal: medians over 60 rows, none of them fitted on."""
    from suanli.study.validate.predict import request_of
    from suanli.study.validate.reader import read

    rows, _ = read(DATA, KNOWN.catalog, ("INFX",))
    both = {"ttft_s", "tpot_s"}
    judged = [
        one
        for one in rows
        if one.half == "judge" and one.phase == "mixed" and not one.flags and both <= set(one.values)
    ]
    chosen = [judged[at] for at in np.random.default_rng(1).choice(len(judged), 60, replace=False)]
    errors: dict[str, list[float]] = {"ttft_s": [], "tpot_s": []}
    for row in chosen:
        point = KNOWN.point(request_of(row))
        ready = engine(point, KNOWN.tables)
        one = Case(point, ready, operator_physics(ready, point, longest_tokens=point.isl))
        clients, host = int(point.concurrency), one.physics.host_s
        work = handled(arrivals.closed_loop(one.trace(10 * clients), clients, 0.0), host)
        kind = one.physics.replica(count=ready.placement.replicas)
        seen = delivered(simulate(work, Cluster((kind,))), host)
        errors["ttft_s"].append(abs(float(seen.ttft_s.mean()) / row.values["ttft_s"] - 1.0))
        errors["tpot_s"].append(abs(float(seen.tpot_s.mean()) / row.values["tpot_s"] - 1.0))
    assert np.median(errors["tpot_s"]) < 0.10
    assert np.percentile(errors["tpot_s"], 90) < 0.28
    assert np.median(errors["ttft_s"]) < 0.35
