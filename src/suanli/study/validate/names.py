"""Names as measurements spell them: models, hardware, number formats and frameworks, resolved to ours."""

from __future__ import annotations

import re
from dataclasses import dataclass

from suanli.catalog import Catalog
from suanli.errors import UnknownIdError

# What a checkpoint's name says about its weights, tried in this order on the end of the name.
_SUFFIXES: tuple[tuple[str, str | None], ...] = (
    (r"-fp8-dynamic$", "fp8"),
    (r"-fp8-kv$", "fp8"),
    (r"-nvfp4(-v\d+)?$", "nvfp4"),
    (r"-fp4$", "nvfp4"),
    (r"-mxfp4$", "mxfp4"),
    (r"-(gptq-)?int8$", "int8"),
    (r"-(gptq|awq|int4|gptq-int4|w4a16)$", "int4"),
    (r"-w8a8$", "int8"),
    (r"-bf16$", "bf16"),
    (r"-fp8$", "fp8"),
    (r"-(instruct|chat|base|it|hf|thinking)$", None),
    (r"-(instruct-)?(v0\.\d|\d{4})$", None),
    (r"-\d+e(-instruct)?$", None),
    (r"-17b$", None),
    (r"-(99|99\.9)$", None),
)
# Publishers whose "-FP8" checkpoints scale per tensor or channel; everyone else's are in blocks.
_PER_TENSOR = ("nvidia", "neuralmagic", "redhatai", "amd")
# Spellings of the measured tables that no rule covers. Same shape where the exact model is not on record.
_SPELLINGS = {
    "llama-70b": "llama-2-70b",
    "llama-7b": "llama-2-7b",
    "llama2-70b": "llama-2-70b",
    "llama2-7b": "llama-2-7b",
    "llama2-13b": "llama-2-13b",
    "llama-3.3-70b": "llama-3.1-70b",
    "codellama-13b": "llama-2-13b",
    "deepseek-v3/r1": "deepseek-v3",
    "deepseek-family": "deepseek-r1",
    "gptj": "gpt-j-6b",
    "gpt-j": "gpt-j-6b",
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
    label = re.sub(r"\s*\(.*\)$", "", name.strip())
    organisation = label.partition("/")[0].lower() if "/" in label else ""
    implied = _implied(label, organisation)
    for candidate in _candidates(label):
        try:
            return Named(str(catalog.model(candidate)["_suanli"]["id"]), implied)
        except (UnknownIdError, KeyError):
            continue
    raise UnknownIdError("model", name, catalog.ids("models"), see="suanli catalog models")


def _implied(label: str, organisation: str) -> str | None:
    lowered = label.lower().replace("_", "-")
    for pattern, form in _SUFFIXES:
        if form and re.search(pattern, lowered):
            return (
                "fp8_block"
                if form == "fp8" and pattern == r"-fp8$" and organisation not in _PER_TENSOR
                else form
            )
    return None


def _candidates(label: str) -> list[str]:
    found = [label]
    bare = label if label.lower().endswith("/r1") else label.rpartition("/")[2]
    text = bare.lower().replace("_", "-").replace(" ", "-").removeprefix("meta-")
    while True:
        found += [text, *([_SPELLINGS[text]] if text in _SPELLINGS else [])]
        shorter = next((re.sub(p, "", text) for p, _ in _SUFFIXES if re.search(p, text)), text)
        if shorter == text:
            return list(dict.fromkeys(found))
        text = shorter


def chip_named(catalog: Catalog, name: str) -> str:
    """Return the catalogue id of an accelerator or device: id, alias, or a label with counts and brackets around it.

    Raises:
        UnknownIdError: nothing of that name.
    """
    label = name.strip().replace("\u2011", "-").replace("\u00a0", " ")
    bare = re.sub(r"\s*\(.*\)$", "", re.sub(r"^\d+\s*x\s+", "", label)).removesuffix("-pcap")
    without_memory = re.sub(r"\s+\d+ ?gb$", "", bare, flags=re.I)
    without_cores = re.sub(r"\s+\d+-core gpu.*$", "", bare, flags=re.I)
    for table in ("chips", "devices"):
        for candidate in (name.strip(), label, bare, without_memory, without_cores):
            try:
                return catalog.resolve(table, candidate)
            except UnknownIdError:
                continue
    raise UnknownIdError("chip", name, catalog.ids("chips"), see="suanli catalog chips")


def weights_named(label: str, model: str, implied: str | None, native: str) -> str:
    """Return our weight format for a label of the measured tables.

    Args:
        label: "fp8/moe fp8_block", "bf16", "not stated" ...
        model: catalogue id.
        implied: what the checkpoint's name says.
        native: the format the model is published in.

    Returns:
        A format of `suanli.llm.DTYPES`, or "native" for the checkpoint as published. FP8 of a model that is published
        in FP8 blocks is that checkpoint, however the label spells it.
    """
    text = label.lower().partition("/")[0].strip()
    if model.startswith("gpt-oss"):
        return "native"
    if text.startswith("not stated") or not text:
        return implied or "native"
    if "fp8_block" in label.lower() or (
        text.startswith("fp8") and (native == "fp8_block" or implied == "fp8_block")
    ):
        return "fp8_block"
    words = {"fp4": "nvfp4", "f16": "fp16", "q4_k_m": "int4_g32", "int4": "int4"}
    first = re.split(r"[ (]", text)[0]
    return words.get(first, first)


_FRAMEWORKS = {
    "tensorrt-llm": "trtllm",
    "trt-llm": "trtllm",
    "transformers neuronx": "neuronx",
    "deepseek in-house": "deepseek",
    "deepseek profile-data": "deepseek",
    "cloudmatrix-infer": "cloudmatrix",
}


def framework_named(label: str) -> str:
    """Return "name version" of a label: "TensorRT-LLM v0.6.1" -> "trtllm 0.6.1"; "*" where it is not stated."""
    text = label.strip().lower()
    if not text or text.startswith("not stated"):
        return "*"
    for known, short in _FRAMEWORKS.items():
        text = text.replace(known, short)
    text = re.sub(r"\s*\(.*\)$", "", text)
    name, _, rest = text.partition(" ")
    version = re.search(r"^v?~?(\d[\w.]*)|(nightly[\w.-]*)|^(b\d+)", rest)
    return f"{name} {next(filter(None, version.groups()))}" if version else name
