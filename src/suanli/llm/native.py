"""The formats a checkpoint is stored in, from `quantization_config`, our own block or `torch_dtype`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from suanli.errors import UnknownIdError
from suanli.llm.dtypes import WeightDtypes, dtype
from suanli.llm.fields import Fields

_METHODS = "awq, bitsandbytes, compressed-tensors, fbgemm_fp8, fp8, gptq, modelopt, mxfp4"
# ModelOpt and compressed-tensors names of algorithms.
_ALGORITHMS = {"FP8": "fp8", "NVFP4": "nvfp4", "NVFP4_AWQ": "nvfp4", "W4A16_AWQ": "int4", "W4A8_AWQ": "int4"}


def native_dtypes(outer: Fields, inner: Fields) -> WeightDtypes:
    """Formats of the checkpoint: quantisation of the config first, then our block, then the 16-bit dtype."""
    wide = _wide(outer, inner)
    base = WeightDtypes.uniform(wide)
    quantised = inner.raw("quantization_config") or outer.raw("quantization_config", "compression_config")
    if isinstance(quantised, Mapping):
        base = _quantised(outer, quantised, base)
    else:
        base = _own(outer, base)
    expert = inner.raw("expert_dtype")
    if expert is not None:
        base = replace(base, experts=_named(outer, "expert_dtype", "mxfp4" if expert == "fp4" else str(expert), base))
    return base


def _wide(outer: Fields, inner: Fields) -> str:
    name = inner.raw("torch_dtype", "dtype") or outer.raw("torch_dtype", "dtype") or "bf16"
    try:
        found = dtype(str(name)).name
    except UnknownIdError as error:
        outer.problem("torch_dtype", str(error))
        return "bf16"
    return found if found in ("bf16", "fp16", "fp32") else "bf16"


def _named(outer: Fields, field: str, name: str, base: WeightDtypes) -> Any:
    try:
        return dtype(name)
    except UnknownIdError as error:
        outer.problem(field, str(error))
        return base.experts


def _own(outer: Fields, base: WeightDtypes) -> WeightDtypes:
    """Our block: one name for the whole checkpoint, or {"experts": ..., "linear": ..., "rest": ...}."""
    native = (outer.config.get("_suanli") or {}).get("weights_dtype_native")
    if native is None:
        return base
    place = "_suanli.weights_dtype_native"
    if isinstance(native, Mapping):
        rest = _named(outer, place, str(native.get("rest", "bf16")), base)
        linear = _named(outer, place, str(native.get("linear", rest.name)), base)
        experts = _named(outer, place, str(native.get("experts", linear.name)), base)
        return WeightDtypes(experts, linear, rest, rest)
    found = _named(outer, place, str(native), base)
    return WeightDtypes.checkpoint(found.name)


def _quantised(outer: Fields, config: Mapping[str, Any], base: WeightDtypes) -> WeightDtypes:
    method = str(config.get("quant_method", "")).lower()
    skipped = " ".join(
        str(name)
        for key in ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers")
        for name in config.get(key) or ()
    )
    name = _weight_format(method, config)
    if name is None:
        given = f'"{method}"' if method else "missing"
        outer.problem("quantization_config.quant_method", f"{given} is not understood; known: {_METHODS}")
        return base
    form = dtype(name)
    linear = base.linear if "self_attn" in skipped and ("mlp" not in skipped or method == "mxfp4") else form
    if "shared_experts" in skipped and "self_attn" in skipped:
        linear = base.linear
    return replace(base, experts=form, linear=linear)


def _weight_format(method: str, config: Mapping[str, Any]) -> str | None:
    bits = config.get("bits") or config.get("w_bit") or (4 if config.get("load_in_4bit") else None)
    if method in ("fp8", "fbgemm_fp8"):
        return "fp8_block" if config.get("weight_block_size") else "fp8"
    if method in ("mxfp4", "mxfp8"):
        return method
    if method in ("awq", "gptq", "bitsandbytes"):
        return _integer(bits or 8, config.get("group_size") or config.get("q_group_size"))
    if method == "compressed-tensors":
        return _compressed(config)
    if method == "modelopt":
        return _ALGORITHMS.get(str(config.get("quant_algo", "")).upper())
    return None


def _integer(bits: int, group: Any) -> str | None:
    if bits == 8:
        return "int8"
    return {32: "int4_g32", 64: "int4_g64"}.get(group, "int4") if bits == 4 else None


def _compressed(config: Mapping[str, Any]) -> str | None:
    groups = config.get("config_groups") or {}
    first = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    weights = first.get("weights") or {}
    bits, kind, group = weights.get("num_bits"), weights.get("type"), weights.get("group_size")
    if kind == "float" and bits == 8:
        return "fp8_block" if weights.get("strategy") == "block" else "fp8"
    if kind == "float" and bits == 4:
        return "nvfp4" if group == 16 else "mxfp4"
    return _integer(bits, group) if kind == "int" else None
