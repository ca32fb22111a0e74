"""The formats a checkpoint is stored in, from `quantization_config`, our own block or `torch_dtype`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from suanli.errors import UnknownIdError
from suanli.llm.dtypes import Dtype, WeightDtypes, dtype
from suanli.llm.fields import Fields

_METHODS = "awq, bitsandbytes, compressed-tensors, fbgemm_fp8, fp8, gptq, modelopt, mxfp4"
_SKIP_KEYS = ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers")
_FFN_NAMES = ("shared_expert", "mlp.(gate", "mlp\\.(gate", "gate_proj", "up_proj", "mlp*", "mlp.*")
# ModelOpt and compressed-tensors names of algorithms.
_ALGORITHMS = {"FP8": "fp8", "NVFP4": "nvfp4", "NVFP4_AWQ": "nvfp4", "W4A16_AWQ": "int4", "W4A8_AWQ": "int4"}


def native_dtypes(outer: Fields, inner: Fields) -> WeightDtypes:
    """Formats of the checkpoint: quantisation of the config first, then our block, then the 16-bit dtype."""
    wide = _wide(outer, inner)
    base = WeightDtypes.uniform(wide)
    quantised = inner.raw("quantization_config") or outer.raw("quantization_config", "compression_config")
    base = _quantised(outer, inner, quantised, base) if isinstance(quantised, Mapping) else _own(outer, base)
    expert = inner.raw("expert_dtype")
    if expert is not None:
        base = replace(
            base, experts=_named(outer, "expert_dtype", "mxfp4" if expert == "fp4" else str(expert), base)
        )
    return base


def _wide(outer: Fields, inner: Fields) -> str:
    name = inner.raw("torch_dtype", "dtype") or outer.raw("torch_dtype", "dtype") or "bf16"
    try:
        found = dtype(str(name)).name
    except UnknownIdError as error:
        outer.problem("torch_dtype", str(error))
        return "bf16"
    return found if found in ("bf16", "fp16", "fp32") else "bf16"


def _named(outer: Fields, field: str, name: str, base: WeightDtypes) -> Dtype:
    try:
        return dtype(name)
    except UnknownIdError as error:
        outer.problem(field, str(error))
        return base.experts


def _own(outer: Fields, base: WeightDtypes) -> WeightDtypes:
    """Our block: one name for the whole checkpoint, or {"experts": ..., "attention": ..., "ffn": ..., "rest":
    ...}."""
    native = outer.own.get("weights_dtype_native")
    if native is None:
        return base
    place = "_suanli.weights_dtype_native"
    if not isinstance(native, Mapping):
        return WeightDtypes.checkpoint(_named(outer, place, str(native), base).name)
    rest = _named(outer, place, str(native.get("rest", "bf16")), base)
    experts, attention, ffn = (
        _named(outer, place, str(native.get(part, rest.name)), base)
        for part in ("experts", "attention", "ffn")
    )
    return WeightDtypes(experts, attention, ffn, rest, rest)


def _quantised(outer: Fields, inner: Fields, config: Mapping[str, Any], base: WeightDtypes) -> WeightDtypes:
    method = str(config.get("quant_method", "")).lower()
    name = _weight_format(method, config)
    if name is None:
        given = f'"{method}"' if method else "missing"
        outer.problem("quantization_config.quant_method", f"{given} is not understood; known: {_METHODS}")
        return base
    form = dtype(name)
    lists = (config.get(key) or () for key in _SKIP_KEYS)
    skipped = [str(name) for names in lists for name in names]
    layers = inner.config.get("num_hidden_layers") or 1
    attention = base.attention if _skips(skipped, ("self_attn", "attention"), layers) else form
    ffn = base.ffn if _skips(skipped, _FFN_NAMES, layers) else form
    return replace(base, experts=form, attention=attention, ffn=ffn)


def _skips(skipped: list[str], words: tuple[str, ...], layers: int) -> bool:
    """Whether a list of modules left wide covers those modules: by a pattern, or layer by layer in half the
    layers."""
    hits = [name for name in skipped if any(word in name for word in words)]
    numbered = [re.search(r"layers\.(\d+)\.", name) for name in hits]
    if any(match is None for match in numbered):
        return True
    return len({match[1] for match in numbered if match}) * 2 >= layers


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


def _integer(bits: object, group: object) -> str | None:
    if bits == 8:
        return "int8"
    if bits != 4:
        return None
    return {32: "int4_g32", 64: "int4_g64"}.get(group, "int4") if isinstance(group, int) else "int4"


def _compressed(config: Mapping[str, Any]) -> str | None:
    groups = config.get("config_groups") or {}
    first: Mapping[str, Any] = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    weights = first.get("weights") or {}
    bits, kind, group = weights.get("num_bits"), weights.get("type"), weights.get("group_size")
    if kind == "float" and bits == 8:
        return "fp8_block" if weights.get("strategy") == "block" else "fp8"
    if kind == "float" and bits == 4:
        return "nvfp4" if group == 16 else "mxfp4"
    return _integer(bits, group) if kind == "int" else None
