"""Simulate a scenario: its deployment as replicas, a trace as requests, metrics, the largest rate within objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.catalog import Catalog
from suanli.demand.traces import Trace
from suanli.errors import InfeasibleError, InputError, NoDataError
from suanli.memory.tiers import Tier, TierUse, run_cost_usd
from suanli.serving.sim import Cluster, Outcome, simulate
from suanli.serving.sim.goodput import Goodput, find_goodput
from suanli.serving.sim.handling import delivered, handled
from suanli.serving.sim.simulate import Progress
from suanli.study.replicas import Deployment, deployment
from suanli.units import to_si

Array = NDArray[np.float64]

# Where a tier's facts are: (latency of, bandwidth of, price of); host memory is behind the host link.
_TIERS = {
    "host": ("memory-ddr5-rdimm-64gb", None, ("memory-ddr5-rdimm-64gb", "price_contract_per_gb"), False),
    "cxl": ("memory-cxl-pool", "memory-cxl-pool", ("memory-cxl-pool", "price_per_gb"), True),
    "flash": ("memory-icms-flash-pool", "memory-nvme-gen5", ("memory-nvme-gen5", "price_per_gb"), True),
}


def tiers_of(texts: str, catalog: Catalog, host_bytes_per_s: float) -> tuple[Tier, ...]:
    """Read "host=512 GB, cxl=4 TB, flash=100 TB" and take bandwidth, latency and price from the catalogue.

    Args:
        texts: names and capacities, nearest first; the host's is of one replica, the others are shared.
        catalog: the catalogue.
        host_bytes_per_s: link of one replica to its host [byte/s].

    Raises:
        InputError: an unknown tier or a capacity that cannot be read.
        NoDataError: a fact that is missing.
    """
    from suanli import units

    found = []
    for part in filter(None, (piece.strip() for piece in texts.split(","))):
        name, _, size = (piece.strip() for piece in part.partition("="))
        if name not in _TIERS or not size:
            raise InputError(f'--tiers "{part}": give NAME=CAPACITY with NAME one of {", ".join(_TIERS)}')
        latency_of, bandwidth_of, (price_of, price), shared = _TIERS[name]
        bandwidth = host_bytes_per_s if bandwidth_of is None else _si(catalog, bandwidth_of, "bandwidth")
        fact = catalog.latest("memory", price_of, price)
        found.append(
            Tier(
                name,
                units.parse(size, "GB"),
                bandwidth,
                _si(catalog, latency_of, "latency"),
                None if fact is None else to_si(float(fact.value), fact.unit),
                shared,
            )
        )
    return tuple(found)


def _si(catalog: Catalog, key: str, parameter: str) -> float:
    fact = catalog.get("memory", key, parameter)
    if fact is None:
        raise NoDataError(f"The catalogue has no {parameter} for {key}")
    return to_si(float(fact.value), fact.unit)


def cluster_of(
    made: Deployment, counts: dict[str, int], options: dict[str, Any], common: dict[str, Any]
) -> tuple[Cluster, float]:
    """Join replicas into a cluster.

    Args:
        made: the scenario's deployment.
        counts: replicas of each pool.
        options: fields of `Replica` that all share.
        common: fields of `Cluster`.

    Returns:
        The cluster and the KV bytes of a token.
    """
    roles = {"replica": "both", "prefill": "prefill", "decode": "decode"}
    size = next(iter(made.pools.values())).kv_bytes_per_token
    links = max(counts.get("decode", 1), 1)
    kinds = []
    for name, physics in made.pools.items():
        kinds.append(
            physics.replica(
                count=counts.get(name, 1),
                role=roles[name],
                swap_token_s=physics.kv_bytes_per_token / made.host_bytes_per_s,
                transfer_token_s=size / (made.link_bytes_per_s * links),
                **options,
            )
        )
    return Cluster(tuple(kinds), **common), size


def within_band(cluster: Cluster, made: Deployment, slow: bool) -> Cluster:
    """Return the cluster at one end of the 90 % band of its step times: each replica's times by its own factor.

    Args:
        cluster: the cluster.
        made: its deployment.
        slow: whether steps take as long as they may, else as short.
    """
    factors = [one.step_band if slow else 1.0 / one.step_band for one in made.pools.values()]
    kinds = [
        replace(kind, model=kind.model.scaled(factor))
        for kind, factor in zip(cluster.replicas, factors, strict=True)
    ]
    return replace(cluster, replicas=tuple(kinds))


# -- metrics -------------------------------------------------------------------------------------------------------
def metrics(outcome: Outcome, ttft_s: float | None, tpot_s: float | None) -> dict[str, dict[str, Any]]:
    """Return the sim.* metrics: {name: {value, unit, low, high, basis}}; null with a reason where there is none.

    Args:
        outcome: the simulation.
        ttft_s: objective for TTFT, or None [s].
        tpot_s: objective for TPOT, or None [s].
    """
    done = int(outcome.completed.sum())
    tokens = float(outcome.output_tokens[outcome.completed].sum())
    span = outcome.duration_s
    found: dict[str, dict[str, Any]] = {}

    def put(name: str, value: float | None, unit: str, reason: str = "no request was completed") -> None:
        known = value is not None and np.isfinite(value)
        entry: dict[str, Any] = {"value": float(value) if known and value is not None else None, "unit": unit}
        entry |= {"low": None, "high": None, "basis": "derived" if known else "unavailable"}
        found[f"sim.{name}"] = entry if known else entry | {"reason": reason}

    put("requests", outcome.status.size, "1")
    put("completed", done, "1")
    put("duration", span, "s")
    for name, values in (
        ("ttft", outcome.ttft_s),
        ("tpot", outcome.tpot_s),
        ("e2e", outcome.e2e_s),
        ("queue", outcome.queue_s),
    ):
        put(f"{name}_mean", float(values.mean()) if values.size else None, "s")
        for rank in (50, 90, 95, 99):
            put(f"{name}_p{rank}", float(np.percentile(values, rank)) if values.size else None, "s")
    edges, counts, mean, largest = outcome.itl
    put("itl_mean", mean, "s", "no request had a second token")
    for rank in (50, 90, 95, 99):
        at = int(np.searchsorted(np.cumsum(counts), rank / 100.0 * counts.sum())) if counts.sum() else -1
        put(f"itl_p{rank}", float(edges[at]) if at >= 0 else None, "s", "no request had a second token")
    put("itl_max", largest if counts.sum() else None, "s", "no request had a second token")
    put("output_tokens_per_s", tokens / span if span > 0.0 else None, "tok/s")
    given = ttft_s is not None or tpot_s is not None
    put("goodput", outcome.goodput_per_s(ttft_s, tpot_s) if given else None, "1/s", "no objective was given")
    put("kv_hit_share", float(outcome.cached_tokens.sum() / outcome.input_tokens.sum()), "1")
    put("preemptions", outcome.preempted, "1")
    put("failures", outcome.failures, "1")
    put("utilisation", outcome.busy_s / outcome.on_s if outcome.on_s > 0.0 else None, "1")
    put("kv_peak_share", float(outcome.peak_kv_share.max()), "1")
    drawn = outcome.energy_j if outcome.energy_j > 0.0 else None
    unknown = "no TDP on record" if done else "no request was completed"
    put("power_mean", drawn / span if drawn and span > 0.0 else None, "W", unknown)
    put("energy_per_output_token", drawn / tokens if drawn and tokens > 0.0 else None, "J", unknown)
    return found


def banded(
    found: dict[str, dict[str, Any]],
    ends: Sequence[dict[str, dict[str, Any]]],
    ttft_factor: float,
    power_error: float = 0.0,
    top_w: float = math.inf,
) -> dict[str, dict[str, Any]]:
    """Return metrics with bands: from the runs at both ends of the step times, TTFT at least by its own factor.

    Power and energy are as uncertain as the power model besides, which has nothing to do with step times: the
    logarithms of both half-widths add in quadrature.

    Args:
        found: metrics at nominal times.
        ends: metrics at both ends of the band.
        ttft_factor: 90 % band of a lone request's TTFT as a factor [1].
        power_error: 90 % band of the power of chips as a relative error [1].
        top_w: TDP of all chips, above which their mean power cannot lie [W].
    """
    wide = {}
    for name, entry in found.items():
        values = [entry["value"], *(one[name]["value"] for one in ends)]
        if name in _EXACT or any(value is None for value in values):
            wide[name] = entry
            continue
        low, high = min(values), max(values)
        if name.startswith("sim.ttft"):
            low, high = min(low, values[0] / ttft_factor), max(high, values[0] * ttft_factor)
        if name in _POWER:
            low, high = _with_error(values[0], low, high, power_error)
        if name == "sim.power_mean":
            high = max(min(high, top_w), values[0])
        wide[name] = entry | ({"low": low, "high": high} if low < high else {})
    return wide


_EXACT = ("sim.requests",)
_POWER = ("sim.power_mean", "sim.energy_per_output_token")


def _with_error(value: float, low: float, high: float, error: float) -> tuple[float, float]:
    down, up = (math.hypot(math.log(ratio), math.log1p(error)) for ratio in (value / low, high / value))
    return value * math.exp(-down), value * math.exp(up)


def rate_at_end(at_rate: Callable[[float], Trace], run: Callable[[Trace], Outcome], **search: Any) -> float:
    """Return the largest rate within the objectives at one end of the step times [1/s].

    It is 0 where not even requests on their own meet them, infinity where the trace is too short to miss them.

    Args:
        at_rate: makes the trace of a rate.
        run: simulates it at that end.
        search: further arguments of `find_goodput`.
    """
    try:
        return find_goodput(at_rate, run, **search).rate_per_s
    except InfeasibleError:
        return 0.0
    except InputError:
        return math.inf


def tier_uses(outcome: Outcome, cluster: Cluster, kv_bytes_per_token: float, life_s: float) -> list[TierUse]:
    """Return what each tier of the prefix cache did, device memory first.

    Args:
        outcome: the simulation.
        cluster: its cluster.
        kv_bytes_per_token: KV of a token [byte].
        life_s: depreciation life of a tier [s].
    """
    kind = cluster.replicas[0]
    block_bytes = kind.block_tokens * kv_bytes_per_token
    full = kind.max_batched_tokens
    token_s = float(kind.model.step_time_s(full, pairs=0.5 * full * full, prompts=1)) / full
    replicas = sum(one.count for one in cluster.replicas)
    total = float(outcome.input_tokens.sum())
    uses = []
    for k, (hits, read, written, _) in enumerate(outcome.tiers.tolist()):
        tier = cluster.tiers[k - 1] if k else None
        saved = hits * token_s
        cost = None
        if tier is not None:
            saved -= read * block_bytes / tier.bandwidth_bytes_per_s
            caches = 1 if tier.shared else replicas
            if tier.price_usd_per_byte is not None and np.isfinite(tier.capacity_bytes):
                capacity = tier.capacity_bytes * caches
                cost = float(run_cost_usd(tier.price_usd_per_byte, capacity, outcome.duration_s, life_s))
        uses.append(
            TierUse(
                tier.name if tier is not None else "device",
                hits,
                hits / total,
                read * block_bytes,
                written * block_bytes,
                saved,
                cost,
                None if cost is None or saved <= 0.0 else cost / saved,
            )
        )
    return uses


def run_on(
    cluster: Cluster,
    seed: int,
    kv_bytes_per_token: float,
    progress: Progress | None = None,
    *,
    host_s: float = 0.0,
    **options: Any,
) -> Callable[[Trace], Outcome]:
    """Return a function that simulates a trace on a cluster.

    Args:
        cluster: the cluster.
        seed: of its draws.
        kv_bytes_per_token: KV of a token [byte].
        progress: called now and then.
        host_s: request handling before and after the steps [s].
        options: further arguments of `serving.sim.simulate`.
    """
    fixed = {"seed": seed, "kv_bytes_per_token": kv_bytes_per_token, "progress": progress, **options}
    return lambda trace: delivered(simulate(handled(trace, host_s), cluster, **fixed), host_s)


def with_prefixes(cluster: Cluster, trace: Trace) -> Cluster:
    """Return the cluster without a prefix cache where the trace has no prefix blocks."""
    return cluster if trace.block_start.size else replace(cluster, prefix_cache=False, tiers=())


__all__ = [
    "Deployment",
    "Goodput",
    "banded",
    "cluster_of",
    "delivered",
    "deployment",
    "find_goodput",
    "handled",
    "metrics",
    "rate_at_end",
    "run_on",
    "tier_uses",
    "tiers_of",
    "with_prefixes",
    "within_band",
]
