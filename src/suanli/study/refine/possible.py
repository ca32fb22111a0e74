"""Timings that no chip can reach: less time than the arithmetic takes at the peak, or the operands at the bandwidth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.formats import NumberFormat, number_format
from suanli.hardware.gemm import gemm_bytes
from suanli.study.refine.kernelrows import SHAPES, KernelRow
from suanli.units import digits

# Clocks above the datasheet's and timers that are a little off are no reason to refuse a row.
_MARGIN = 1.25
# Operands that may stay in a cache between two launches are read at the cache's speed, this much above memory's.
_CACHE_BYTES = 512e6
_CACHE_SPEED = 8.0
# Latent attention keeps 576 elements a token and multiplies 576 for scores, 512 for values; prompts 192 and 128.
_LATENT, _LATENT_PRODUCTS, _LATENT_PROMPT = 576.0, 576.0 + 512.0, 192.0 + 128.0


def impossible(row: KernelRow, chip: OperatorChip) -> str:
    """Say why a timing cannot be; "" where it can, or where a limit of the chip is not known.

    t >= FLOP / peak and t >= bytes / bandwidth, each with a margin: what a kernel does at the very least is counted
    (a causal prompt half its square, experts their two smaller products, operands once).

    Args:
        row: a timed kernel, whose shape is whole.
        chip: peaks and bandwidth of the chip.

    Reference: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
    """
    form = number_format(row.dtype)
    flops, moved = _least(row.operator, {**SHAPES[row.operator][1], **row.shape}, form)
    peaks = chip.peak_flop_per_s
    known = [float(np.max(peaks[name])) for name in {*form.peaks, "bf16", "fp16"} if name in peaks]
    peak = max(known, default=0.0)
    if peak and flops > _MARGIN * peak * row.time_s:
        return _words(row, flops, "TFLOP/s", peak, f"its peak in {row.dtype}")
    bandwidth = float(np.max(chip.memory_bandwidth_bytes_per_s))
    reach = bandwidth * (_MARGIN if moved > _CACHE_BYTES else _CACHE_SPEED)
    if moved > reach * row.time_s:
        return _words(row, moved, "TB/s", bandwidth, "its memory bandwidth")
    return ""


def _words(row: KernelRow, amount: float, unit: str, limit: float, name: str) -> str:
    shape = ", ".join(f"{key} {value:g}" for key, value in row.shape.items())
    rate = amount / row.time_s
    return (
        f"{row.operator} of {shape} in {digits(row.time_s * 1e6)} us would be {digits(rate / 1e12)} {unit}, "
        f"{row.chip} reaches {digits(limit / 1e12)} ({name}); are the unit of the time and the number format right?"
    )


def _least(operator: str, shape: Mapping[str, float], form: NumberFormat) -> tuple[float, float]:
    """FLOP and bytes that an operator cannot do without."""
    if operator == "gemm":
        m, n, k = (shape[name] for name in ("m", "n", "k"))
        return 2.0 * m * n * k, float(gemm_bytes(m, n, k, form))
    if operator == "moe":
        each = 2.0 * shape["hidden"] * shape["inter"]
        computed = 2.0 * each * shape["tokens"] * shape["topk"] / shape["ranks"]
        # How many experts are hit is not known: at the least one.
        return computed, each * form.weight_bytes
    batch, context = shape["batch"], shape["context"]
    if operator.startswith("mla"):
        heads = shape["heads"]
        if operator == "mla_decode":
            cache = batch * context * _LATENT * form.weight_bytes
            return 2.0 * batch * context * heads * _LATENT_PRODUCTS, cache
        return batch * context**2 * heads * _LATENT_PROMPT, 0.0
    span = min(context, shape["window"]) if shape["window"] else context
    pairs = batch * (span if operator == "attention_decode" else context * span / 2.0)
    cache = 2.0 * batch * span * shape["kv_heads"] * shape["head_dim"] * form.weight_bytes
    return 4.0 * pairs * shape["heads"] * shape["head_dim"], cache
