"""The event loop against the slow, obvious simulator of `slow.py`, on random workloads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slow import Replica as SlowReplica
from slow import Request, Simulation
from slow import Tier as SlowTier

from suanli.demand.traces import Trace
from suanli.memory.tiers import Tier
from suanli.serving.sim import STATUS_NAMES, Cluster, Outcome, Replica, StepModel, simulate

RELATIVE = 1e-9
KV_BYTES = 1000.0
CASES = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def model(rng: np.random.Generator) -> StepModel:
    tokens = np.array([0.0, 1.0, 8.0, 64.0, 512.0])
    step_s = np.cumsum(rng.uniform(0.001, 0.02, tokens.size))
    batch = np.array([0.0, 1.0, 4.0, 32.0])
    read_s = rng.uniform(0.0, 3e-5, batch.size)
    launch_s = rng.uniform(-1e-3, 1e-3, batch.size)
    plain = rng.random() < 0.5
    return StepModel(
        *(tokens, step_s, batch, read_s, launch_s),
        pair_s=float(rng.uniform(0.0, 1e-6)),
        prompt_step_s=0.0 if plain else float(rng.uniform(0.0, 5e-3)),
        groups=1 if plain else int(rng.integers(1, 5)),
        own_s=None if rng.random() < 0.5 else step_s * rng.uniform(0.1, 0.9),
        late_steps=0.0 if plain else float(rng.uniform(0.0, 6.0)),
    )


def random_trace(
    rng: np.random.Generator, n: int, rate: float, *, blocks: int, sessions: bool, priorities: int
) -> Trace:
    arrivals = np.cumsum(rng.exponential(1.0 / rate, n))
    if rng.random() < 0.3:
        arrivals[: n // 2] = 0.0
    inputs = rng.integers(1, 200, n)
    outputs = rng.integers(1, 40, n)
    fields: dict = {}
    if sessions:
        follows, last = np.full(n, -1), -1
        for i in range(1, n):
            if rng.random() < 0.5 and last >= 0:
                follows[i] = last
                arrivals[i] = math.nan
            last = i if rng.random() < 0.7 and i not in follows else -1
        fields = {"follows": follows, "delay_s": rng.exponential(0.1, n)}
    if priorities > 1:
        fields["priority"] = rng.integers(0, priorities, n)
    if blocks:
        rows, fresh = [], 1000
        for i in range(n):
            need = -(-int(inputs[i]) // blocks)
            family = int(rng.integers(0, 4))
            shared = int(rng.integers(0, need + 1))
            row = [family * 100 + k for k in range(shared)]
            # The last block may be part of one: then it cannot be the same as a whole one.
            if shared == need and inputs[i] % blocks:
                row = row[:-1]
            row += list(range(fresh, fresh + need - len(row)))
            fresh += need
            rows.append(row)
        fields["block_start"] = np.cumsum([0, *map(len, rows)])
        fields["block_ids"] = np.array([b for row in rows for b in row])
        fields["block_tokens"] = blocks
    return Trace(arrivals, inputs, outputs, **fields)


def slow_requests(trace: Trace) -> list[Request]:
    made = []
    for i in range(len(trace)):
        row = ()
        if trace.block_start.size:
            row = tuple(trace.block_ids[trace.block_start[i] : trace.block_start[i + 1]].tolist())
        made.append(
            Request(
                i,
                float(trace.arrival_s[i]),
                int(trace.input_tokens[i]),
                int(trace.output_tokens[i]),
                priority=int(trace.priority[i]) if trace.priority.size else 0,
                blocks=row,
                delay=float(trace.delay_s[i]) if trace.delay_s.size else 0.0,
            )
        )
    if trace.follows.size:
        for i, before in enumerate(trace.follows):
            if before >= 0:
                made[before].follower = made[i]
    # Rows of the loop: known arrivals first; ties between entries go by row.
    order = [r for r in made if not math.isnan(r.arrived)] + [r for r in made if math.isnan(r.arrived)]
    for place, r in enumerate(order):
        r.index = place
    return made


def slow_kinds(cluster: Cluster) -> list[dict]:
    return [
        {
            "model": kind.model,
            "kv": kind.kv_tokens,
            "policy": kind.policy,
            "budget": kind.max_batched_tokens,
            "seats": kind.max_num_seqs,
            "block": kind.block_tokens,
            "swap": kind.preemption == "swap",
            "swap_block_s": kind.swap_token_s * kind.block_tokens,
            "reserve": kind.reserve_share,
            "answer_share": kind.answer_share,
            "role": kind.role,
            "move_s": kind.transfer_token_s,
            "queue_limit": math.inf if kind.queue_limit is None else kind.queue_limit,
            "advance": kind.model.advance,
            "drafts": kind.model.drafts,
        }
        for _, kind in cluster.expanded()
    ]


def slow_run(
    trace: Trace, cluster: Cluster, seed: int, cached_share: float = 0.0
) -> tuple[list[Request], Simulation]:
    requests = slow_requests(trace)
    block = cluster.replicas[0].block_tokens
    tiers = tuple(
        SlowTier(
            math.floor(tier.capacity_bytes / (block * KV_BYTES)),
            block * KV_BYTES / tier.bandwidth_bytes_per_s,
            tier.latency_s,
            tier.shared,
        )
        for tier in cluster.tiers
    )
    draws = np.random.default_rng(seed).random((len(trace), 2))
    simulation = Simulation(
        requests,
        slow_kinds(cluster),
        router=cluster.router,
        draws=[tuple(row) for row in draws],
        timeout=math.inf if cluster.timeout_s is None else cluster.timeout_s,
        prefix_cache=cluster.prefix_cache and trace.block_start.size > 0,
        tiers=tiers,
        block_tokens=trace.block_tokens,
        link_latency=cluster.link_latency_s,
        cached_share=cached_share,
    )
    return requests, simulation.run()


STATUS = {
    "completed": "completed",
    "timed out": "timed out",
    "refused": "refused: queue full",
    "too long": "too long for the KV cache",
}


def worst_difference(fast: Outcome, slow: list[Request], simulation: Simulation) -> float:
    """Largest relative difference of any time; every status, count and place must be equal."""
    worst = 0.0
    for i, r in enumerate(slow):
        assert STATUS_NAMES[fast.status[i]] == STATUS[r.status], (i, r)
        assert fast.preemptions[i] == r.preempted, (i, r)
        if r.replica is not None:
            assert fast.replica[i] == r.replica.index, (i, r)
        assert fast.cached_tokens[i] == (r.cached or 0), (i, r)
        for ours, theirs in (
            (fast.arrived_s[i], r.arrived),
            (fast.scheduled_s[i], r.scheduled),
            (fast.first_token_s[i], r.first),
            (fast.finished_s[i], r.finished),
        ):
            if theirs is None:
                assert math.isnan(ours), (i, r)
            else:
                worst = max(worst, abs(ours - theirs) / max(abs(theirs), 1e-9))
    for p, replica in enumerate(simulation.replicas):
        assert fast.peak_kv_share[p] <= 1.0
        assert fast.peak_kv_share[p] == pytest.approx(replica.peak / replica.capacity(), rel=1e-12), p
    return worst


def compare(
    trace: Trace, cluster: Cluster, seed: int, *, compiled: bool = True, cached_share: float = 0.0
) -> float:
    more = {"kv_bytes_per_token": KV_BYTES, "compiled": compiled, "cached_share": cached_share}
    fast = simulate(trace, cluster, seed=seed, **more)
    slow, simulation = slow_run(trace, cluster, seed, cached_share)
    worst = worst_difference(fast, slow, simulation)
    assert worst < RELATIVE
    assert fast.itl[1].sum() == pytest.approx(
        sum(r.answer - 1 for r in slow if r.status == "completed")
    ) or any(k.model.advance != 1.0 for k in cluster.replicas)
    return worst


seeds = st.integers(0, 2**32 - 1)


@st.composite
def replicas(draw: st.DrawFn, rng: np.random.Generator, *, longest: int, **fixed: object) -> Replica:
    drafts = draw(st.sampled_from([0, 0, 0, 1, 3]))
    made = model(rng)
    if drafts:
        made = made.speculative(1.0 + float(rng.uniform(0.0, drafts)), drafts)
    seats = draw(st.sampled_from([1, 2, 5, 16]))
    block = fixed.pop("block_tokens", None) or draw(st.sampled_from([1, 4, 16]))
    size = longest * draw(st.sampled_from([1, 2, 20]))
    return Replica(
        model=made,
        kv_tokens=-(-size // block) * block,
        policy=draw(st.sampled_from(["continuous", "continuous", "prefill-first", "static"])),
        max_batched_tokens=max(draw(st.sampled_from([16, 64, 512])), seats * (1 + drafts)),
        max_num_seqs=seats,
        block_tokens=block,
        preemption=draw(st.sampled_from(["recompute", "swap"])),
        swap_token_s=draw(st.sampled_from([0.0, 1e-5])),
        reserve_share=draw(st.sampled_from([0.0, 0.1])),
        answer_share=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
        queue_limit=draw(st.sampled_from([None, None, 3])),
        **fixed,
    )


@given(data=st.data(), seed=seeds)
@CASES
def test_one_replica(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace = random_trace(
        rng,
        data.draw(st.integers(1, 40)),
        data.draw(st.sampled_from([1.0, 5.0, 30.0])),
        blocks=0,
        sessions=data.draw(st.booleans()),
        priorities=data.draw(st.sampled_from([1, 1, 3])),
    )
    kind = data.draw(replicas(rng, longest=data.draw(st.sampled_from([100, 250]))))
    cluster = Cluster((kind,), timeout_s=data.draw(st.sampled_from([None, 0.5])))
    compare(trace, cluster, seed, cached_share=data.draw(st.sampled_from([0.0, 0.0, 0.3, 0.95])))


@given(data=st.data(), seed=seeds)
@CASES
def test_prefix_cache_and_tiers(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace = random_trace(
        rng,
        data.draw(st.integers(1, 40)),
        data.draw(st.sampled_from([1.0, 5.0, 30.0])),
        blocks=32,
        sessions=data.draw(st.booleans()),
        priorities=data.draw(st.sampled_from([1, 2])),
    )
    kind = data.draw(replicas(rng, longest=260, block_tokens=data.draw(st.sampled_from([4, 16])), count=2))
    names = data.draw(st.lists(st.sampled_from(["host", "cxl", "flash"]), max_size=3))
    tiers = tuple(
        Tier(
            name,
            capacity_bytes=KV_BYTES * data.draw(st.sampled_from([100, 400, 5000])),
            bandwidth_bytes_per_s=data.draw(st.sampled_from([1e6, 1e8, math.inf])),
            latency_s=data.draw(st.sampled_from([0.0, 1e-3])),
            shared=name != "host",
        )
        for name in names
    )
    router = data.draw(st.sampled_from(["round-robin", "least-outstanding", "power-of-two", "prefix-aware"]))
    compare(trace, Cluster((kind,), router=router, prefix_cache=True, tiers=tiers), seed, cached_share=0.2)


@given(data=st.data(), seed=seeds)
@CASES
def test_mixed_cluster(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace = random_trace(
        rng, data.draw(st.integers(1, 60)), 30.0, blocks=0, sessions=data.draw(st.booleans()), priorities=2
    )
    kinds = tuple(
        data.draw(
            replicas(rng, longest=data.draw(st.sampled_from([120, 300])), count=data.draw(st.integers(1, 3)))
        )
        for _ in range(data.draw(st.integers(1, 2)))
    )
    router = data.draw(st.sampled_from(["round-robin", "least-outstanding", "power-of-two"]))
    compare(trace, Cluster(kinds, router=router), seed)


@given(data=st.data(), seed=seeds)
@CASES
def test_separate_pools(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace = random_trace(
        rng, data.draw(st.integers(1, 40)), 20.0, blocks=0, sessions=data.draw(st.booleans()), priorities=1
    )
    prompts = data.draw(
        replicas(
            rng,
            longest=250,
            role="prefill",
            transfer_token_s=data.draw(st.sampled_from([0.0, 1e-4])),
            count=2,
        )
    )
    answers = data.draw(replicas(rng, longest=250, role="decode", count=data.draw(st.integers(1, 2))))
    router = data.draw(st.sampled_from(["round-robin", "least-outstanding"]))
    compare(trace, Cluster((prompts, answers), router=router, link_latency_s=1e-3), seed)


@given(data=st.data(), seed=seeds)
@settings(deadline=None, max_examples=20)
def test_uncompiled_is_the_same(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace = random_trace(rng, 30, 10.0, blocks=32, sessions=False, priorities=1)
    kind = data.draw(replicas(rng, longest=260, block_tokens=16))
    compare(trace, Cluster((kind,), prefix_cache=True), seed, compiled=False)


def test_the_comparison_bites() -> None:
    rng = np.random.default_rng(5)
    trace = random_trace(rng, 20, 10.0, blocks=0, sessions=False, priorities=1)
    cluster = Cluster((Replica(model(rng), 1000, max_num_seqs=8, max_batched_tokens=64),))
    fast = simulate(trace, cluster)
    slow, simulation = slow_run(trace, cluster, 0)
    slow[3].finished *= 1.0 + 1e-6
    assert worst_difference(fast, slow, simulation) > 1e-7
    assert isinstance(simulation.replicas[0], SlowReplica)
