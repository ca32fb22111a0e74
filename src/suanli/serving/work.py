"""What a model asks of the chips of a replica: compute, weights, KV and exchanges per token, for one layout."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InfeasibleError
from suanli.hardware import Chip
from suanli.llm import (
    Attention,
    Dtype,
    Flops,
    Model,
    WeightDtypes,
    decode_flops_per_token,
    dtype,
    kv_bytes,
    prefill_flops_per_token,
    weight_bytes,
)
from suanli.llm.dtypes import resolve
from suanli.network import direct_volume, node_limited_volume
from suanli.serving.steady import Layout, Work

Array = NDArray[np.float64]

_DISPATCH_BYTES = 1.0 + 4.0 / 128.0  # FP8 with block scales
_COMBINE_BYTES = 2.0  # BF16


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats a chip runs a model in: what is stored, which peaks the products take, and what had to change."""

    weights: WeightDtypes
    attention: str
    ffn: str
    experts: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """Exchange of one token on one chip: bytes sent [byte] and time at full bandwidth of the links [s]."""

    sent_bytes: Array
    time_s: Array


def formats_for(model: Model, chip: Chip, asked: str = "native") -> Formats:
    """Choose formats: those asked for, else the checkpoint's own, widened where the chip cannot compute in them.

    FP8 becomes INT8 where the chip has that, else BF16; FP4 stays in memory and is widened to 16 bits in the product.

    Args:
        model: the model.
        chip: the accelerator.
        asked: a format, or "native".

    Returns:
        The formats, with a line for each change.

    Raises:
        InfeasibleError: the chip cannot compute in the format that was asked for.
    """
    wanted = model.dtypes if asked == "native" else resolve(asked)
    if asked != "native":
        chip.peak(_compute_name(wanted.ffn))
    run = {part: _runnable(getattr(wanted, part), chip) for part in ("attention", "ffn", "experts")}
    moved: dict[tuple[str, str, str], list[str]] = {}
    for part, (form, name) in run.items():
        old = getattr(wanted, part)
        if name != _compute_name(old) and (part != "experts" or model.experts_per_layer):
            moved.setdefault((old.name, form.name, name), []).append(part)
    changes = [
        f"{chip.id} cannot compute in {old}: weights of {', '.join(parts)} are held as {form} and computed in {name}."
        for (old, form, name), parts in moved.items()
    ]
    weights = replace(wanted, **{part: form for part, (form, _) in run.items()})
    return Formats(weights, run["attention"][1], run["ffn"][1], run["experts"][1], tuple(changes))


def _compute_name(form: Dtype) -> str:
    return {"mxfp8": "fp8", "int4_g64": "int4_wo", "int4_g32": "int4_wo", "int4": "int4_wo"}.get(
        form.name, form.name
    )


def _runnable(form: Dtype, chip: Chip) -> tuple[Dtype, str]:
    name = _compute_name(form)
    if chip.compute_dtype(name):
        return form, name
    if name.startswith("fp8"):
        other = "int8" if chip.compute_dtype("int8") else "bf16"
        return dtype(other), other
    if name in ("mxfp4", "nvfp4"):
        return form, "mxfp4_wo"
    raise InfeasibleError(f"{chip.id} cannot compute in {form.name}; give llm.weights_dtype")


def layout_problems(model: Model, layout: Layout) -> list[str]:
    """Return what makes a layout impossible for a model, one line each; empty where it can be.

    Args:
        model: the model.
        layout: the replica's layout.
    """
    problems = []
    for mixer in {group.mixer for group in model.layers if isinstance(group.mixer, Attention)}:
        if mixer.heads % layout.tp:
            near = [n for n in (1, 2, 4, 8, 16, 32, 64) if mixer.heads % n == 0]
            problems.append(
                f"tp = {layout.tp} does not divide {mixer.heads} attention heads; possible: {near}"
            )
    experts = model.experts_per_layer
    if layout.ep > 1 and not experts:
        problems.append(f"ep = {layout.ep}, but {model.id} has no experts; use ep = 1")
    elif layout.ep > max(experts, 1):
        problems.append(f"ep = {layout.ep} is more than the {experts} experts of a layer")
    return list(dict.fromkeys(problems))


def prefill_work(
    model: Model, chip: Chip, layout: Layout, formats: Formats, prompt_tokens: ArrayLike, hit_share: ArrayLike
) -> Work:
    """Work of one prompt token that is not in the cache, mean over the computed part of a prompt.

    Args:
        model: the model.
        chip: the accelerator.
        layout: the replica's layout.
        formats: number formats.
        prompt_tokens: prompt length, cached part included [token].
        hit_share: share of the prompt found in the cache [1].

    Returns:
        The work of one token on one chip.
    """
    prompt = np.asarray(prompt_tokens, dtype=float)
    flops = prefill_flops_per_token(model, prompt, cached_tokens=prompt * hit_share)
    moved = exchange(model, chip, layout, direct=False)
    return _work(model, chip, layout, formats, flops, moved, np.ones_like(prompt))


def decode_work(
    model: Model,
    chip: Chip,
    layout: Layout,
    formats: Formats,
    context_tokens: ArrayLike,
    kv_dtype: str,
    *,
    mtp: bool = False,
) -> Work:
    """Work of one token of a decode step at a context.

    Args:
        model: the model.
        chip: the accelerator.
        layout: the replica's layout.
        formats: number formats.
        context_tokens: mean KV length [token].
        kv_dtype: format of the KV cache.
        mtp: whether draft layers run too.

    Returns:
        The work of one token on one chip.
    """
    flops = decode_flops_per_token(model, context_tokens, mtp=mtp)
    held = kv_bytes(model, context_tokens, kv_dtype).total / _kv_shards(model, layout)
    return _work(
        model, chip, layout, formats, flops, exchange(model, chip, layout, direct=True), held, mtp=mtp
    )


def exchange(model: Model, chip: Chip, layout: Layout, *, direct: bool) -> Exchange:
    """Exchange of one token on one chip: tensor-parallel all-reduces and expert dispatch and combine.

    Two ring all-reduces a layer move 2 x 2 (tp - 1) h BF16 values a token of the chip's share. Experts: one copy a
    node over the network and then inside (prefill), or one copy an expert (`direct`, decode).

    Args:
        model: the model.
        chip: its links; the slower of network and scale-up link counts, they work at the same time.
        layout: the replica's layout.
        direct: whether each copy travels on its own.

    Returns:
        Bytes and time.
    """
    zero = np.zeros(())
    up = zero if chip.scale_up_bytes_per_s is None else np.asarray(chip.scale_up_bytes_per_s, dtype=float)
    out = zero if chip.scale_out_bytes_per_s is None else np.asarray(chip.scale_out_bytes_per_s, dtype=float)
    reduced = 2.0 * model.layer_count * 2.0 * (layout.tp - 1) * model.hidden * _COMBINE_BYTES
    sent = np.asarray(reduced)
    time = reduced / (up if layout.tp <= chip.scale_up_domain else out) if layout.tp > 1 else zero
    if layout.ep > 1 and model.experts_per_layer:
        layers = sum(group.count for group in model.layers if group.ffn and group.ffn.experts)
        per_element = _DISPATCH_BYTES + _COMBINE_BYTES
        size = {"ranks": layout.ep, "ranks_per_node": chip.scale_up_domain}
        if direct:
            volume = direct_volume(1.0, model.hidden, model.top_k, per_element, **size)
        else:
            volume = node_limited_volume(
                1.0, model.hidden, model.top_k, per_element, experts=model.experts_per_layer, **size
            )
        network, inside = layers * volume.network_bytes, layers * volume.scale_up_bytes
        over = network / out if float(np.max(network)) > 0.0 else zero
        time = time + np.maximum(over, inside / up if float(np.max(inside)) > 0.0 else zero)
        sent = sent + network + inside
    return Exchange(np.asarray(sent), np.asarray(time))


def _work(
    model: Model,
    chip: Chip,
    layout: Layout,
    formats: Formats,
    flops: Flops,
    moved: Exchange,
    kv: ArrayLike,
    *,
    mtp: bool = False,
) -> Work:
    wide = chip.peak("bf16")
    peak_s = (
        flops.attention_projections / chip.peak(formats.attention)
        + (flops.ffn + flops.mtp) / chip.peak(formats.ffn)
        + flops.experts / chip.peak(formats.experts)
        + (flops.attention_core + flops.router + flops.head) / wide
    )
    held = weight_bytes(model, formats.weights, mtp=mtp)
    return Work(
        peak_s=peak_s,
        exchange_s=moved.time_s,
        dense_weight_bytes=held.rest / layout.tp,
        expert_weight_bytes=held.experts / layout.chips,
        experts=model.experts_per_layer,
        top_k=model.top_k,
        kv_bytes_per_sequence=np.asarray(kv, dtype=float),
    )


def _kv_shards(model: Model, layout: Layout) -> int:
    """Ranks of a tensor-parallel group that split a sequence's KV; latents and single KV heads are repeated."""
    heads = [
        1 if group.mixer.kind == "mla" else group.mixer.kv_heads
        for group in model.layers
        if isinstance(group.mixer, Attention)
    ]
    return min([layout.tp, *heads])
