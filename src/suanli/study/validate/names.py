"""Names as measurements spell them: models, hardware, number formats and frameworks, resolved to ours."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from suanli.catalog import Catalog
from suanli.errors import UnknownIdError
from suanli.llm.dtypes import dtype, stated
from suanli.study.validate.checkpoints import HELPERS, checkpoint

# Spellings of the measured tables that no rule covers. Same shape where the exact model is not on record.
_SPELLINGS = {
    "llama-70b": "llama-2-70b",
    "deepseek-v3/r1": "deepseek-v3",
    "deepseek-family": "deepseek-r1",
}


@dataclass(frozen=True, slots=True)
class Named:
    """A model as a name calls it: its catalogue id and the weight format that the name implies, if any."""

    id: str
    weights_dtype: str | None = None


def model_named(catalog: Catalog, name: str) -> Named:
    """Return the catalogue model that a name stands for: an id, an alias, or the name of a quantised or tuned copy.

    Args:
        catalog: where ids and aliases are on record.
        name: "nvidia/DeepSeek-R1-NVFP4", "llama2-70b-99", "Qwen/Qwen3-235B-A22B-FP8" ...

    Raises:
        UnknownIdError: nothing of that name.
    """
    read = checkpoint(name)
    for candidate in (name.strip(), *read.bases):
        found = catalog.find("models", _SPELLINGS.get(candidate.lower(), candidate))
        if found is not None:
            return Named(found, read.weights_dtype)
    tuned = _tuned(catalog, read.bases[-1])
    if tuned is not None:
        return Named(tuned, read.weights_dtype)
    raise UnknownIdError(
        "model",
        name,
        catalog.ids("models"),
        see="suanli catalog models",
        aliases=catalog.aliases("models"),
        like=read.bases[-1],
    )


def _tuned(catalog: Catalog, name: str) -> str | None:
    """The model whose whole name stands in the name of a copy tuned from it: "hermes-3-llama-3.1-8b"."""
    if HELPERS.search(name):
        return None
    aliases = catalog.aliases("models")
    inside = [
        known
        for known in aliases
        if known in name and _SIZED.search(known) and re.search(rf"(^|[-./]){re.escape(known)}($|-)", name)
    ]
    return aliases[max(inside, key=len)] if inside else None


_SIZED = re.compile(r"\d[bm]\b")
# What stands around the name of an accelerator and does not tell it from another: counts, vendors, packaging.
_AROUND = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"^\d+\s*[x×*]\s*(?=\D)",
        r"(?<![a-z])\s*[x×*]\s*\d{1,3}$",
        r"-pcap$",
        r"\s+\d+-core gpu.*$",
        r"[-_ ](nv|nvd|nb|cw|trt|amd|dgxc|slurm|docker|cluster|node|server|instance)$",
        r"[-_ ]?(hbm\d?\w?|gddr\d\w?|lpddr\d\w?|oam|sxm\d?|ubb)$",
        r"[-_ ]+\d+ ?g(i?b)?$",
        r"\b(tensor core|tensor-core|gpus?|accelerators?|graphics card|chips?|npus?)\b",
        r"^(nvidia|amd|intel|google|cloud|aws|amazon|huawei|apple|microsoft|meta|qualcomm|cambricon|hygon|dcu|metax|"
        r"moore threads|mthreads|iluvatar|kunlunxin|baidu|enflame|biren)[-_ ]+",
        r"^(tesla|geforce|instinct|radeon|quadro|habana|hgx|dgx|sxm)[-_ ]+",
        r"(?<=v\d[ep])-\d+$",
        r"\s*[(\[].*$",
    )
)


def chip_named(catalog: Catalog, name: str) -> str:
    """Return the catalogue id of an accelerator or device: id, alias, or a label with counts and brackets around it.

    Raises:
        UnknownIdError: nothing of that name.
    """
    label = name.strip().replace("\u2011", "-").replace("\u00a0", " ")
    labels = _unwrapped(label)
    for table in ("chips", "devices"):
        for candidate in labels:
            found = catalog.find(table, candidate)
            if found is not None:
                return found
    raise UnknownIdError(
        "chip",
        name,
        [*catalog.ids("chips"), *catalog.ids("devices")],
        see="suanli catalog chips",
        aliases={**catalog.aliases("devices"), **catalog.aliases("chips")},
        like=labels[-1],
    )


def _unwrapped(label: str) -> list[str]:
    """The label, then with less and less around it."""
    found, text = [label], label
    while True:
        shorter = text
        for pattern in _AROUND:
            shorter = pattern.sub("", shorter).strip(" -_,")
            if shorter and shorter != text:
                found.append(shorter)
        if not shorter or shorter == text:
            return list(dict.fromkeys(found))
        text = shorter


def weights_named(label: str, model: str, implied: str | None, native: str) -> str:
    """Return our weight format for a label of the measured tables.

    Args:
        label: "fp8/moe fp8_block", "bf16", "not stated", "W4A16 (AWQ)" ...
        model: catalogue id.
        implied: what the checkpoint's name says.
        native: the format the model is published in.

    Returns:
        A format of `suanli.llm.DTYPES`, or "native" for the checkpoint as published. FP8 of a model that is published
        in FP8 blocks is that checkpoint, however the label spells it. A label that is none of ours comes back as it is.
    """
    text = label.lower().partition("/")[0].strip()
    if model.startswith("gpt-oss"):
        return _gpt_oss(label, text, implied)
    if not stated(text):
        return implied or "native"
    if "fp8_block" in label.lower() or (
        text.startswith("fp8") and (native == "fp8_block" or implied == "fp8_block")
    ):
        return "fp8_block"
    if "mxfp4" in text:
        return "mxfp4"
    return _format(text)


def _gpt_oss(label: str, text: str, implied: str | None) -> str:
    """Format of a model that ships in MXFP4: that checkpoint for any four-bit float, and for labels of two parts
    ("fp8/moe fp8"), with which tables name the format of the products, not of these weights."""
    found = "native" if "/" in label else _format(text) if stated(text) else implied or "native"
    return "native" if found in ("mxfp4", "nvfp4") or "mxfp4" in text else found


def _format(text: str) -> str:
    """Our name for a format that stands somewhere in a text; a word of the text where there is none."""
    words = [text, *(word for word in re.split(r"[\s(),;+]+", text) if word)]
    for word in words:
        try:
            return dtype(word).name
        except UnknownIdError:
            continue
    return words[min(1, len(words) - 1)]


def widened(weights: str, peaks: Collection[str]) -> str:
    """Return the format that engines run a checkpoint in on a chip without its number format: the same bytes, weights
    alone narrow (Marlin kernels of vLLM and SGLang); the format itself where the chip has it.

    Args:
        weights: format of a checkpoint, of `suanli.llm.DTYPES`, or "native".
        peaks: formats that the chip has a peak for: "bf16", "fp8", "int8", "fp4" ...
    """
    if weights in ("fp8", "fp8_block", "mxfp8", "w4afp8") and "fp8" not in peaks:
        return "int4" if weights == "w4afp8" else "int8_wo"
    if weights == "int8" and "int8" not in peaks:
        return "int8_wo"
    return "mxfp4" if weights == "nvfp4" and "fp4" not in peaks else weights
