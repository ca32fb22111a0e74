"""Formats and layout of a scenario's replica, and the bytes that a token's exchange sends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.hardware import Chip
from suanli.llm import (
    Attention,
    Dtype,
    Model,
    WeightDtypes,
    dtype,
)
from suanli.llm.dtypes import resolve
from suanli.network import direct_volume, node_limited_volume

Array = NDArray[np.float64]

_DISPATCH_BYTES = 1.0 + 4.0 / 128.0  # FP8 with block scales
_COMBINE_BYTES = 2.0  # BF16


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica spreads a model: `chips` in all, attention in groups of `tp`, experts over `ep`."""

    chips: int
    tp: int = 1
    ep: int = 1


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
