"""Disaggregated serving: a pool that computes prompts, a pool that decodes, and the cache that moves between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from suanli.errors import InputError, SuanliError
from suanli.serving.bands import step_band, ttft_band
from suanli.serving.deployment import sequence_bytes
from suanli.serving.engine import Engine, engine
from suanli.serving.estimate import estimate
from suanli.serving.kernels import Coefficients
from suanli.serving.point import Band, Estimate, Point, banded, rated

# Share of the smaller pool's capacity at which a service is run where no rate is given.
USUAL_LOAD = 0.85
# Share of a port's bandwidth that moving KV reaches.
_TRANSFER_EFFICIENCY = 0.8
_TRANSFER_LATENCY_S = 1e-3


@dataclass(frozen=True, slots=True)
class Disaggregated:
    """Two pools that serve one stream of requests.

    Attributes:
        status: "ok", "infeasible" or "unsupported".
        reason: why not ok.
        prefill: the prefill pool as it answers its own question.
        decode: the decode pool as it answers its own question.
        ttft_s: mean time to the first token: wait for a prefill replica, prompt, transfer, first step [s].
        tpot_s: time per output token [s].
        requests_per_s: rate served [1/s].
        output_tokens_per_s: of both pools together [token/s].
        output_tokens_per_s_per_chip: over the chips of both pools [token/s].
        transfer_s: time that moving the cache adds to a request [s].
        prefill_capacity_per_s: requests that the prefill pool can take [1/s].
        decode_capacity_per_s: requests that the decode pool can take at its batch [1/s].
        balance: prefill chips over decode chips at which both pools are used up together [1].
        limit: the pool that limits.
    """

    status: str
    reason: str = ""
    prefill: Estimate | None = None
    decode: Estimate | None = None
    ttft_s: Band | None = None
    tpot_s: Band | None = None
    requests_per_s: Band | None = None
    output_tokens_per_s: Band | None = None
    output_tokens_per_s_per_chip: float | None = None
    transfer_s: float | None = None
    prefill_capacity_per_s: float | None = None
    decode_capacity_per_s: float | None = None
    balance: float | None = None
    limit: str = ""


def disaggregated(
    prefill: Point,
    decode: Point,
    tables: Coefficients,
    *,
    requests_per_s: float | None = None,
    transfer_bytes_per_s: float | None = None,
) -> Disaggregated:
    """Serve requests by two pools.

    With P the interval between prompts of the prefill pool's c replicas and r the rate: u = r/capacity, and prompts
    wait W = (P/2) u^(sqrt(2 (c + 1)) - 1)/(c (1 - u)) (M/D/c, Sakasegawa 1977). The cache of a prompt moves layer by
    layer while the next layers are computed, so that only what is slower than the prompt, and the last layer, shows::

        transfer = latency + max(S/B - P_own, 0) + S/(L B)       TTFT = W + P_own + transfer + d/2 + d + base

    Args:
        prefill: the prefill pool: phase "prefill"; `concurrency` prompts are computed together.
        decode: the decode pool: phase "decode"; `concurrency` sequences run at most. Its isl and osl are the lengths.
        tables: calibration rows.
        requests_per_s: rate to serve; where None, 85 % of what the smaller pool can take [1/s].
        transfer_bytes_per_s: bandwidth of one prefill replica to the decode pool; its chips' ports where None [byte/s].

    Returns:
        Latency, rate and balance of the pools.
    """
    first = replace(prefill, phase="prefill", isl=decode.isl, osl=1.0)
    second = replace(decode, phase="decode")
    for point in (first, second):
        found = estimate(point, tables)
        if found.status != "ok":
            return Disaggregated(found.status, f"{point.phase} pool: {found.reason}")
    try:
        return _served(first, second, tables, requests_per_s, transfer_bytes_per_s)
    except SuanliError as error:
        return Disaggregated("infeasible", "; ".join(str(error).splitlines()))


def _served(
    first: Point,
    second: Point,
    tables: Coefficients,
    rate: float | None,
    bandwidth: float | None,
) -> Disaggregated:
    prompts, tokens = estimate(first, tables), estimate(second, tables)
    one, two = engine(first, tables), engine(second, tables)
    input_rate, output_rate = _value(prompts.input_tokens_per_s), _value(tokens.output_tokens_per_s)
    capacity, drain = input_rate / first.isl, output_rate / second.osl
    most = min(capacity, drain)
    served = USUAL_LOAD * most if rate is None else rate
    if not 0.0 < served < most:
        raise InputError(
            f"requests_per_s must be above 0 and below what the pools take, {most:.4g}; got {served:g}"
        )
    busy, replicas = served / capacity, one.placement.replicas
    own, step = _value(prompts.ttft_s), _value(tokens.itl_s)
    interval = replicas / capacity
    wait = 0.5 * interval * busy ** (math.sqrt(2.0 * (replicas + 1.0)) - 1.0) / (replicas * (1.0 - busy))
    moved = transfer_s(one, second, own, bandwidth)
    host = one.serving.values.ttft_base_s
    factor = _factor(one, two)
    ttft = wait + own + moved + 1.5 * step + host
    wide = ttft_band(max(one.serving.values.ttft_band, two.serving.values.ttft_band), factor, busy, busy)
    chips = first.n_chips + second.n_chips
    tpot = tokens.tpot_s
    return Disaggregated(
        status="ok",
        prefill=prompts,
        decode=tokens,
        ttft_s=banded(ttft, wide),
        tpot_s=tpot,
        requests_per_s=rated(served, served / factor, served * factor),
        output_tokens_per_s=rated(served, served / factor, served * factor).scaled(second.osl),
        output_tokens_per_s_per_chip=served * second.osl / chips,
        transfer_s=moved,
        prefill_capacity_per_s=capacity,
        decode_capacity_per_s=drain,
        balance=(drain / second.n_chips) / (capacity / first.n_chips),
        limit="prefill" if capacity < drain else "decode",
    )


def transfer_s(ready: Engine, point: Point, prompt_s: float, bandwidth_bytes_per_s: float | None) -> float:
    """Time that moving a prompt's cache adds.

    Args:
        ready: engine of the prefill pool.
        point: the decode pool's question, for length and format.
        prompt_s: time that the prompt takes to compute [s].
        bandwidth_bytes_per_s: of one prefill replica; its chips' ports where None [byte/s].

    Returns:
        Time [s]; 0 over an infinite link.
    """
    if bandwidth_bytes_per_s is not None and not bandwidth_bytes_per_s > 0.0:
        raise InputError(f"transfer_bytes_per_s must be above 0, got {bandwidth_bytes_per_s:g}")
    if bandwidth_bytes_per_s is not None and math.isinf(bandwidth_bytes_per_s):
        return 0.0
    layout = ready.placement
    cached = point.isl * (1.0 - point.options.get("prefix_hit_share", 0.0))
    each = float(sequence_bytes(ready.model, layout, ready.precision.kv, cached))
    # A latent cache is the same on every rank of an attention group and is sent once.
    senders = 1 if "mla" in ready.model.attention_kinds else layout.tp
    port = float(np.asarray(ready.chip.operators.network_bytes_per_s))
    link = port * senders * _TRANSFER_EFFICIENCY if bandwidth_bytes_per_s is None else bandwidth_bytes_per_s
    size = each * senders * layout.pp
    whole = size / link
    return _TRANSFER_LATENCY_S + max(whole - prompt_s, 0.0) + whole / ready.model.layer_count


def _factor(one: Engine, two: Engine) -> float:
    factors = []
    for ready, prefill in ((one, True), (two, False)):
        printed = step_band(ready.serving.values.tpot_band, ready.table.basis, ready.serving.framework != "*")
        own = ready.serving.refinement
        factors.append(printed if own is None else own.pool_width(printed, prefill=prefill))
    return max(factors)


def _value(band: Band | None) -> float:
    if band is None:
        raise InputError("the pool has no answer to its question")
    return band.value


__all__ = ["Disaggregated", "disaggregated", "transfer_s"]
