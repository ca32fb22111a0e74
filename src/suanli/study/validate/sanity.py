"""Checks that flag a measurement which cannot be what its label says. Nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from suanli.catalog import Catalog
from suanli.errors import SuanliError
from suanli.llm import (
    Model,
    decode_flops_per_token,
    from_config,
    kv_bytes,
    prefill_flops_per_token,
    weight_bytes,
    weight_bytes_read,
)
from suanli.study.validate.measured import Flag, Measurement

# Shares of the datasheet that no deployment has shown; a measurement beyond them has another label than its own.
FLOP_SHARE_MAX = 0.60
MEMORY_SHARE_MAX = 0.98
# A plain roofline at these efficiencies is within a factor of 3 of nearly all rows; SLOW_RATIO beyond it is an outlier.
ROOFLINE_COMPUTE, ROOFLINE_MEMORY = 0.5, 0.7
SLOW_RATIO = 5.0
_PEAK_OF = {"fp8": "fp8", "fp8_block": "fp8", "nvfp4": "fp4", "mxfp4": "fp4", "int8": "int8"}


@dataclass(frozen=True, slots=True)
class _Limits:
    """A chip's peak for a weight format [FLOP/s], bandwidth [byte/s] and memory [byte]."""

    peak_flop_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float


def checked(measurements: Iterable[Measurement], catalog: Catalog) -> list[Measurement]:
    """Return the measurements with what the checks found added to their flags.

    Closed-loop rows are checked for weights that do not fit, a step faster than reading its weights, more than 60 %
    of peak FLOP/s end to end, a step five times slower than a plain roofline, and a TTFT that shows a batch limit.
    """
    return [replace(one, flags=one.flags + tuple(_found(one, catalog))) for one in measurements]


def _found(one: Measurement, catalog: Catalog) -> list[Flag]:
    if one.protocol != "closed_loop" or one.isl is None or one.osl is None or one.concurrency is None:
        return []
    flags = _batch_limit(one)
    try:
        limits = _limits(one.chip, one.weights_dtype, catalog)
        model = _model(one.model, catalog)
        flags += _memory(one, model, limits) + _pace(one, model, limits)
    except SuanliError as error:
        flags.append(Flag("", "unchecked", str(error).splitlines()[0]))
    return flags


def _batch_limit(one: Measurement) -> list[Flag]:
    ttft, tpot = one.values.get("ttft_s"), one.values.get("tpot_s")
    if ttft and tpot and one.osl and ttft > 0.5 * one.osl * tpot and ttft > 20.0:
        return [
            Flag("", "batch-limit", "TTFT above 20 s and half the decode time: the server limits its batch")
        ]
    return []


def _memory(one: Measurement, model: Model, limits: _Limits) -> list[Flag]:
    need = weight_bytes(model, _format(one)).total / one.n_chips
    if need > MEMORY_SHARE_MAX * limits.memory_bytes:
        return [
            Flag(
                "",
                "memory",
                f"weights need {need / 1e9:.0f} GB a chip, {limits.memory_bytes / 1e9:.0f} GB present",
            )
        ]
    return []


def _pace(one: Measurement, model: Model, limits: _Limits) -> list[Flag]:
    isl, osl, batch = one.isl or 0.0, one.osl or 0.0, one.concurrency or 0.0
    tpot, ttft = one.values.get("tpot_s"), one.values.get("ttft_s", 0.0)
    if tpot is None:
        return []
    peak, bandwidth = limits.peak_flop_per_s * one.n_chips, limits.bandwidth_bytes_per_s * one.n_chips
    tokens = batch if batch > 1 else 1.0
    read = float(weight_bytes_read(model, tokens, _format(one)))
    cache = batch * float(kv_bytes(model, isl + osl / 2, one.kv_dtype or "bf16").total)
    prompt = float(prefill_flops_per_token(model, isl).total) * isl
    decode = float(decode_flops_per_token(model, isl + osl / 2).total)
    flags = []
    if not one.mtp and tpot < read / bandwidth:
        flags.append(Flag("", "below-floor", "faster than reading the weights of a step"))
    rate = batch / (ttft + (osl - 1) * tpot)
    share = rate * (prompt + osl * decode) / peak
    if share > FLOP_SHARE_MAX:
        flags.append(
            Flag("", "flops", f"{share:.0%} of peak FLOP/s end to end: prefix cache or wrong client count")
        )
    step = max((read + cache) / (bandwidth * ROOFLINE_MEMORY), batch * decode / (peak * ROOFLINE_COMPUTE))
    expected = step + batch / osl * prompt / (peak * ROOFLINE_COMPUTE)
    if tpot > SLOW_RATIO * expected and tpot > 0.02:
        flags.append(
            Flag("", "slow", f"{tpot / expected:.1f} times a plain roofline: not this layout's steady state")
        )
    return flags


def _format(one: Measurement) -> str | None:
    return None if one.weights_dtype == "native" else one.weights_dtype


@lru_cache(maxsize=256)
def _model(model: str, catalog: Catalog) -> Model:
    return from_config(catalog.model(model))


@lru_cache(maxsize=512)
def _limits(chip: str, weights: str, catalog: Catalog) -> _Limits:
    table = "chips" if chip in catalog.table("chips") else "devices"
    wanted = [_PEAK_OF.get(weights, "bf16"), "fp8", "bf16", "fp16"]
    peak = next(fact for name in wanted if (fact := catalog.get(table, chip, f"peak_{name}")))
    return _Limits(
        peak.si,
        catalog.fact(table, chip, "memory_bandwidth").si,
        catalog.fact(table, chip, "memory_capacity").si,
    )
