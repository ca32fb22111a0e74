"""Build the event loop's arrays from a trace and a cluster."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from suanli.demand.traces import Trace
from suanli.errors import InputError
from suanli.memory.tiers import Tier
from suanli.serving.sim import columns as c
from suanli.serving.sim.cluster import POLICIES, ROLES, ROUTERS, Cluster, Replica
from suanli.serving.sim.state import State

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_CLASSES = 64
_LFU_CLASSES = 32
_FAILURES_DRAWN = 512
_WIDEST = 1 << 20


def build(
    trace: Trace,
    cluster: Cluster,
    seed: int,
    kv_bytes_per_token: float,
    window_s: tuple[float, float],
    log: int,
    cached_share: float = 0.0,
) -> tuple[State, Ints]:
    """Return the state before the first event, and the request that stands in each row.

    Args:
        trace: requests.
        cluster: replicas.
        seed: of the router's draws and of failures.
        kv_bytes_per_token: KV of a token, for tiers [byte].
        window_s: start and end of the window whose steps are logged [s].
        log: most steps to log.
        cached_share: share of each prompt that a prefix cache outside the simulation answers [1].

    Raises:
        InputError: what the cluster cannot be.
    """
    waits = np.isnan(trace.arrival_s)
    order = np.concatenate([np.flatnonzero(~waits), np.flatnonzero(waits)])
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    rng = np.random.default_rng(seed)
    kinds = cluster.expanded()
    ri, classes = _request_ints(trace, order, place)
    if not 0.0 <= cached_share < 1.0:
        raise InputError(f"cached_share is a share of prompts, from 0 to below 1; got {cached_share:g}")
    ri[:, c.KNOWN] = np.floor(cached_share * ri[:, c.IN])
    gi, width = _globals_int(trace, cluster, classes, int((~waits).sum()))
    pf, pi = _replicas(cluster, kinds)
    tf, caches, nodes = _tiers(trace, cluster, pf, kv_bytes_per_token, kinds)
    gi[c.CACHES], gi[c.LOG_ROWS] = caches, log
    slots = 1 << max(4, (2 * nodes - 1).bit_length(), (caches * int(gi[c.FREQUENCIES]) - 1).bit_length())
    cn = np.zeros((slots, c.NODE_INTS), dtype=np.int64)
    cn[:, c.N_NEXT] = np.arange(1, slots + 1)
    cn[:, c.L_OLDEST] = cn[:, c.L_NEWEST] = -1
    state = State(
        rf=_request_floats(trace, order, rng),
        ri=ri,
        pf=np.hstack([pf, _failures(cluster, rng, len(kinds))]),
        pi=_with_work(pi, gi, width, cluster),
        gf=_globals_float(trace, cluster, window_s),
        gi=gi,
        tables=_tables(cluster),
        ids=_dense(trace.block_ids) if cluster.prefix_cache else np.zeros(1, dtype=np.int64),
        cn=cn,
        tf=tf,
        rec=np.zeros((max(c.BINS, c.ITL_BINS, log), c.RECORD_FLOATS)),
    )
    _start(state, cluster)
    return state, order


def _with_work(pi: Ints, gi: Ints, width: int, cluster: Cluster) -> Ints:
    """Put the replicas' lists behind their named columns: empty lists are -1, KV phases 0."""
    lists = np.full((pi.shape[0], width - c.FINISHERS), -1, dtype=np.int64)
    phases = gi[c.PHASE_AT] - c.FINISHERS
    lists[:, phases : phases + max(kind.block_tokens for kind in cluster.replicas)] = 0
    return np.hstack([pi, lists])


def _request_floats(trace: Trace, order: Ints, rng: np.random.Generator) -> Array:
    rf = np.full((len(trace), c.REQUEST_FLOATS), -1.0)
    rf[:, c.ARRIVED] = np.nan_to_num(trace.arrival_s[order], nan=-1.0)
    rf[:, c.DELAY] = trace.delay_s[order] if trace.delay_s.size else 0.0
    rf[:, c.DRAW_A : c.DRAW_B + 1] = rng.random((len(trace), 2))
    return rf


def _request_ints(trace: Trace, order: Ints, place: Ints) -> tuple[Ints, int]:
    ri = np.zeros((len(trace), c.REQUEST_INTS), dtype=np.int64)
    ri[:, c.IN] = trace.input_tokens[order]
    ri[:, c.OUT] = trace.output_tokens[order]
    for column in (c.PREV, c.NEXT, c.REPLICA, c.TICKET, c.FOLLOW):
        ri[:, column] = -1
    classes = 1
    if trace.priority.size:
        values, found = np.unique(trace.priority, return_inverse=True)
        classes = values.size
        if classes > _MOST_CLASSES:
            raise InputError(
                f"{trace.name}: {classes} different priorities; at most {_MOST_CLASSES} are told apart"
            )
        ri[:, c.CLASS] = found[order]
    if trace.follows.size:
        after = np.flatnonzero(trace.follows >= 0)
        if np.unique(trace.follows[after]).size != after.size:
            raise InputError(f"{trace.name}: two requests follow the same one; give each its own predecessor")
        ri[place[trace.follows[after]], c.FOLLOW] = place[after]
    if trace.block_start.size:
        ri[:, c.HASH] = trace.block_start[:-1][order]
        most = -(-trace.input_tokens // trace.block_tokens)
        ri[:, c.HASHES] = np.minimum(np.diff(trace.block_start), most)[order]
    return ri, classes


def _globals_int(trace: Trace, cluster: Cluster, classes: int, static: int) -> tuple[Ints, int]:
    seats = max(kind.max_num_seqs for kind in cluster.replicas)
    size = max(kind.block_tokens for kind in cluster.replicas)
    gi = np.zeros(c.GLOBAL_INTS, dtype=np.int64)
    gi[c.STATIC_ARRIVALS] = static
    gi[c.OPEN] = len(trace)
    gi[c.PHASE_AT] = c.FINISHERS + seats
    gi[c.QUEUE_AT] = gi[c.PHASE_AT] + size
    gi[c.CHUNK_AT] = gi[c.QUEUE_AT] + 2 * classes
    gi[c.JOIN_AT] = gi[c.CHUNK_AT] + seats
    gi[c.CLASSES] = classes
    gi[c.ROUTER] = ROUTERS.index(cluster.router)
    cached = cluster.prefix_cache and trace.block_start.size > 0
    gi[c.TIERS] = 1 + len(cluster.tiers) if cached else 0
    gi[c.BLOCK_TOKENS] = trace.block_tokens
    gi[c.FREQUENCIES] = _LFU_CLASSES if cluster.eviction == "lfu" else 1
    gi[c.RETRY_LIMIT] = cluster.failures.retries if cluster.failures else 0
    gi[c.SPLIT] = int(cluster.split)
    if cluster.autoscaling:
        gi[c.MIN_UP], gi[c.MAX_UP] = cluster.autoscaling.least, cluster.autoscaling.most
    # A request leaves and joins at most once a step, so seats bound the chunks; joiners may pile up over stalls.
    return gi, int(gi[c.JOIN_AT]) + 2 * seats + 1


def _globals_float(trace: Trace, cluster: Cluster, window_s: tuple[float, float]) -> Array:
    gf = np.zeros(c.GLOBAL_FLOATS)
    gf[c.CONTROL] = gf[c.TICK] = math.inf
    gf[c.BIN_S] = max(trace.duration_s, 1e-3) / c.BINS
    gf[c.LOG_FROM], gf[c.LOG_TO] = window_s
    gf[c.TIMEOUT] = math.inf if cluster.timeout_s is None else cluster.timeout_s
    gf[c.LINK_LATENCY] = cluster.link_latency_s
    if cluster.autoscaling:
        gf[c.TICK] = gf[c.TICK_S] = cluster.autoscaling.period_s
        gf[c.START_S], gf[c.TARGET] = cluster.autoscaling.start_s, cluster.autoscaling.target
    return gf


def _replicas(cluster: Cluster, kinds: list[tuple[int, Replica]]) -> tuple[Array, Ints]:
    pf = np.zeros((len(kinds), c.REPLICA_FLOATS))
    pi = np.zeros((len(kinds), c.REPLICA_INTS), dtype=np.int64)
    for p, (deployment, kind) in enumerate(kinds):
        blocks = kind.kv_tokens // kind.block_tokens
        pf[p, c.EVENT] = pf[p, c.CONTROL_AT] = math.inf
        pf[p, c.CAPACITY] = blocks
        pf[p, c.RESERVE] = kind.reserve_share * blocks
        pf[p, c.ADVANCE], pf[p, c.PAIR_S] = kind.model.advance, kind.model.pair_s
        pf[p, c.SWAP_S] = kind.swap_token_s * kind.block_tokens
        pf[p, c.MOVE_S], pf[p, c.IDLE_W] = kind.transfer_token_s, kind.model.idle_w
        pf[p, c.PROMPT_S], pf[p, c.LATE] = kind.model.prompt_step_s, kind.model.late_steps
        pi[p, c.GROUPS], pf[p, c.ANSWER] = kind.model.groups, kind.answer_share
        pi[p, c.OWN] = int(kind.model.own_s is not None and kind.model.groups > 1)
        pi[p, c.DEPLOYMENT], pi[p, c.PLACE], pi[p, c.HEAPED] = deployment, p, p
        pi[p, c.PARTIAL] = pi[p, c.RUN_HEAD] = pi[p, c.RUN_TAIL] = -1
        pi[p, c.BUDGET], pi[p, c.SEATS] = kind.max_batched_tokens, kind.max_num_seqs
        pi[p, c.POLICY], pi[p, c.ROLE] = POLICIES.index(kind.policy), ROLES.index(kind.role)
        pi[p, c.DRAFTS], pi[p, c.BLOCK] = kind.model.drafts, kind.block_tokens
        pi[p, c.SWAPS] = int(kind.preemption == "swap")
        pi[p, c.QUEUE_LIMIT] = np.iinfo(np.int64).max if kind.queue_limit is None else kind.queue_limit
        pi[p, c.UP] = c.ON
    return pf, pi


def _tables(cluster: Cluster) -> Array:
    batch = max(kind.max_num_seqs for kind in cluster.replicas)
    # The fullest of the groups may have as many tokens as if all groups together had this many.
    tokens = max(
        max(kind.max_batched_tokens, min(kind.max_batched_tokens * kind.model.groups, _WIDEST))
        if kind.model.own_s is not None
        else kind.max_batched_tokens
        for kind in cluster.replicas
    )
    tables = np.zeros((c.ROWS * len(cluster.replicas), max(tokens, batch) + 1))
    for k, kind in enumerate(cluster.replicas):
        step_s, read_s, power_w, launch_s, own_s = kind.model.dense(tokens, batch)
        tables[c.ROWS * k, : tokens + 1] = step_s
        tables[c.ROWS * k + 1, : batch + 1] = read_s
        tables[c.ROWS * k + 2, : tokens + 1] = power_w
        tables[c.ROWS * k + 3, : batch + 1] = launch_s
        tables[c.ROWS * k + 4, : tokens + 1] = own_s
    return tables


def _tiers(
    trace: Trace, cluster: Cluster, pf: Array, kv_bytes_per_token: float, kinds: list[tuple[int, Replica]]
) -> tuple[Array, int, int]:
    if not cluster.prefix_cache:
        return np.zeros((1, c.TIER_FLOATS)), 0, 0
    sizes = {kind.block_tokens for kind in cluster.replicas}
    if len(sizes) > 1 or trace.block_tokens % next(iter(sizes)):
        raise InputError(
            f"prefix cache: block_tokens must be one divisor of the trace's {trace.block_tokens} on all replicas, "
            f"not {sorted(sizes)}"
        )
    block_bytes = next(iter(sizes)) * kv_bytes_per_token
    tf = np.zeros((1 + len(cluster.tiers), c.TIER_FLOATS))
    caches = len(kinds)
    for k, tier in enumerate(cluster.tiers, start=1):
        tf[k, c.T_CAPACITY] = _blocks(tier, block_bytes)
        tf[k, c.T_READ_S] = block_bytes / tier.bandwidth_bytes_per_s
        tf[k, c.T_LATENCY] = tier.latency_s
        tf[k, c.T_SHARED], tf[k, c.T_FIRST] = float(tier.shared), caches
        caches += 1 if tier.shared else len(kinds)
    held = 2.0 * pf[:, c.CAPACITY].sum() + sum(
        tf[k, c.T_CAPACITY] * (1 if tier.shared else len(kinds))
        for k, tier in enumerate(cluster.tiers, start=1)
    )
    most = trace.block_ids.size * (1 + len(cluster.tiers)) + caches
    return np.vstack([tf, np.zeros((caches, c.TIER_FLOATS))]), caches, int(min(held + caches, most))


def _blocks(tier: Tier, block_bytes: float) -> float:
    if block_bytes <= 0.0:
        raise InputError(f"tier {tier.name}: needs kv_bytes_per_token to know how many blocks it holds")
    return math.floor(tier.capacity_bytes / block_bytes) if math.isfinite(tier.capacity_bytes) else 1e15


def _failures(cluster: Cluster, rng: np.random.Generator, replicas: int) -> Array:
    if cluster.failures is None:
        return np.zeros((replicas, 0))
    drawn = np.empty((replicas, 2 * _FAILURES_DRAWN))
    drawn[:, 0::2] = rng.exponential(cluster.failures.mtbf_s, (replicas, _FAILURES_DRAWN))
    drawn[:, 1::2] = cluster.failures.repair_s
    return drawn


def _dense(ids: Ints) -> Ints:
    if ids.size == 0:
        return np.zeros(1, dtype=np.int64)
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)


def _start(state: State, cluster: Cluster) -> None:
    """Switch off what autoscaling does not need yet, and draw the first failures."""
    if cluster.autoscaling:
        seen = dict.fromkeys(range(len(ROLES)), 0)
        for p in range(state.pi.shape[0]):
            role = int(state.pi[p, c.ROLE])
            seen[role] += 1
            if seen[role] > cluster.autoscaling.least:
                state.pi[p, c.UP] = c.OFF
    if cluster.failures:
        on = state.pi[:, c.UP] == c.ON
        state.pf[on, c.CONTROL_AT] = state.pf[on, c.REPLICA_FLOATS]
        state.pi[on, c.SLOT] = 1
    state.gf[c.CONTROL] = min(float(state.pf[:, c.CONTROL_AT].min()), float(state.gf[c.TICK]))
