"""Which formats a model runs in on a chip: what is stored, which peak each product takes, what had to change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from suanli.errors import InfeasibleError
from suanli.hardware.formats import number_format
from suanli.llm import Dtype, Model, WeightDtypes, dtype
from suanli.llm.dtypes import resolve
from suanli.serving.accelerator import Accelerator

NATIVE = "native"
_FOUR_BIT_FLOAT = ("nvfp4", "mxfp4")


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats of a deployment.

    Attributes:
        weights: what is stored in memory.
        attention: number format of the products of attention and state layers.
        ffn: of dense feed-forward parts and shared experts.
        experts: of routed experts.
        head: of the output head.
        kv: format of the cache.
        changes: a line for each format that the chip made us change.
    """

    weights: WeightDtypes
    attention: str
    ffn: str
    experts: str
    head: str
    kv: str
    changes: tuple[str, ...] = ()


def choose_precision(
    model: Model, chip: Accelerator, asked: str = NATIVE, kv: str | None = None, kv_default: str = "bf16"
) -> Precision:
    """Choose formats: those asked for, else the checkpoint's own, widened where the chip cannot compute in them.

    A name stands for the checkpoint that is published under it: "fp8" for a model whose own FP8 has block scales is
    that checkpoint, four-bit floats for a model that ships in MXFP4 likewise, and NVFP4 checkpoints of models with
    latent attention keep the attention products in 16 bits. Formats that were not asked for are widened: FP8 is
    read as 8-bit weights with 16-bit products, FP4 as 4-bit weights with 16-bit products.

    Args:
        model: the model.
        chip: the accelerator.
        asked: weight format or "native".
        kv: format of the cache; None for `kv_default`.
        kv_default: the framework's choice on this chip.

    Returns:
        The formats.

    Raises:
        InfeasibleError: the chip cannot compute in the format that was asked for.
        UnknownIdError: no such format.
    """
    wanted = _stored(model, asked)
    changes: list[str] = []
    explicit = asked != NATIVE and not (wanted is model.dtypes and dtype(asked).name in _FOUR_BIT_FLOAT)
    forms = {}
    for part in ("attention", "ffn", "experts", "embedding"):
        if part == "experts" and not model.experts_per_layer:
            forms[part] = "bf16"
            continue
        name, note = _product(getattr(wanted, part), chip, explicit)
        forms[part] = name
        if note:
            changes.append(f"{chip.id} {note}: {part} weights.")
    return Precision(
        weights=wanted,
        attention=forms["attention"],
        ffn=forms["ffn"],
        experts=forms["experts"],
        head=forms["embedding"],
        kv=_cache(kv or kv_default, chip, kv is not None),
        changes=tuple(dict.fromkeys(changes)),
    )


def _stored(model: Model, asked: str) -> WeightDtypes:
    if asked == NATIVE:
        return model.dtypes
    form, native = dtype(asked), model.dtypes.experts if model.experts_per_layer else model.dtypes.ffn
    if form.name == "fp8" and native.name == "fp8_block":
        return model.dtypes
    if form.name in _FOUR_BIT_FLOAT and native.name in _FOUR_BIT_FLOAT:
        return model.dtypes
    found = resolve(asked)
    if form.name in _FOUR_BIT_FLOAT and "mla" in model.attention_kinds:
        found = replace(found, attention=dtype("bf16"))
    return found


def _product(form: Dtype, chip: Accelerator, explicit: bool) -> tuple[str, str]:
    """Number format of a product with weights in a storage format, and what had to change."""
    peaks = chip.operators.peak_flop_per_s
    name = form.name
    if name.startswith("int4"):
        return "int4_wo", ""
    if name in ("bf16", "fp16", "fp32"):
        return ("bf16" if "bf16" in peaks else "fp16"), ""
    if name == "mxfp8":
        name = "fp8"
    if name in _FOUR_BIT_FLOAT:
        if "fp4" in peaks:
            return ("nvfp4" if name == "nvfp4" else "w4a8_mxfp4"), ""
        if explicit and name == "nvfp4":
            raise InfeasibleError(
                f"{chip.id} cannot compute in {name}: it has no FP4 peak ({_known(chip)}). "
                'Use "mxfp4", which keeps 4-bit weights and computes in 16 bits there, or "bf16"'
            )
        return "mxfp4_wo", "has no FP4 peak, 4-bit weights are widened to 16 bits in the product"
    if any(peak in peaks for peak in number_format(name).peaks):
        return name, ""
    if explicit:
        narrow = ("int4", 4) if form.name.startswith("w4") else ("int8_wo", 8)
        raise InfeasibleError(
            f"{chip.id} cannot compute in {name}: its peaks are {_known(chip)}. "
            f'Use "{narrow[0]}", which keeps {narrow[1]}-bit weights and computes in 16 bits, or "bf16"'
        )
    return (
        "int8_wo",
        f"has no {name.partition('_')[0].upper()} peak, 8-bit weights are widened to 16 bits in the product",
    )


def _cache(name: str, chip: Accelerator, explicit: bool) -> str:
    form = dtype(name).name
    if form in ("fp8", "fp8_block", "int8", "mxfp8"):
        if explicit or {"fp8", "int8"} & set(chip.operators.peak_flop_per_s):
            return "fp8" if form != "int8" else "int8"
        return "bf16"
    return "bf16" if form in ("bf16", "fp16", "fp32") else form


def _known(chip: Accelerator) -> str:
    return ", ".join(sorted(chip.operators.peak_flop_per_s))
