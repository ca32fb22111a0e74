"""What a checkpoint's name says: the base model's possible names and the number format of its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

from suanli.llm.dtypes import DTYPES, dtype

# Ends of a folded name ("-" between words) that state a format, with the format; longer ones come first.
_FORMATS: tuple[tuple[str, str], ...] = (
    (r"(ud-)?(i?q\d-(?:k-(?:xl|[sml])|k|\d|xxs|xs|nl|[sm]))(-\d-\d)?", "gguf"),
    (r"w-mxfp4-a-\w+", "mxfp4"),
    (r"(w4a\d+-)?mxfp4(-(preview|moe|mlperf|weights))?", "mxfp4"),
    (r"mxfp8", "mxfp8"),
    (r"(w4a4-)?nvfp4a?\d*(-(v\d+|awq|kv|mlperf|mixed))*", "nvfp4"),
    (r"fp4(-(v\d+|dense))?", "nvfp4"),
    (r"w4a8-awq|w4afp8|w4a8(-fp8)?", "w4afp8"),
    (r"(fp8-)?(fp8-)?block(wise)?(-fp8)?", "fp8_block"),
    (
        r"w8a16(-fp8|-g\d+)?|fp8-w8a16|(gptq|bnb|mlx|awq)-?(int)?8-?(bits?)?|8-?bits?(-(mlx|gptq|bnb|\d+g))*",
        "int8_wo",
    ),
    (
        r"(w8a8-|ptpc-|modelopt-)?(fp8|f8|float8)(-(dynamic|static|kv|e4m3|ptpc|torchao|tensor\w*|per-(tensor|channel)|"
        r"channel\w*|w8a8|dense|attn|mlperf|v\d+))*",
        "fp8",
    ),
    (r"(quantized\.)?w8a8(-(int8|dynamic\w*|static\w*))*|(w8a8-)?int8(-w8a8)?|smoothquant|sq", "int8"),
    (r"(quantized\.)?w4a16(-(asym|sym|g\d+|awq|gptq))*", "int4"),
    (r"(auto-?round|autoawq|gptqmodel|awq|gptq|hqq|bnb|mlx|marlin|int4|4-?bits?|nf4|dwq|g\d+|\d+g)+", "int4"),
    (r"\d(\.\d+)?bpw", "bits"),
    (r"bf16|bfloat16", "bf16"),
    (r"(fp|f|float)16", "fp16"),
    (r"(fp|f|float)32", "fp32"),
)
# Words that may end or begin a name and do not change the shape.
_PLAIN = (
    r"instruct|chat|base|it|hf|pt|sft|dpo|rl|rm|thinking|reasoning|nothink(ing)?|preview|latest|original|text|fast|turbo",
    r"gguf|ggml|mlx|exl[23]|onnx|tensorrt|trt(llm)?|safetensors|unsloth|neuron|quark|quantized|quant|model|modelopt",
    r"qat|per-(token|channel|tensor)|dynamic|static|calibrated|abliterated|uncensored|alpha|beta|rc\d*|mtp|eagle|dense|edge|datacenter|interactive|server|offline|99(\.9)?",
    r"v?\d\.\d|v\d|\d{4}|\d{6}|\d{8}|\d{4}-\d\d(-\d\d)?|\d+k|1m|\d+e|17b(-\d+e)?|671b|hb?|tp\d+",
)
_END = re.compile(rf"-({'|'.join(_PLAIN)})$")
_FRONT = re.compile(r"^(meta|nvidia|nv|amd|unsloth|hf|mlx|neuralmagic|redhat|mistralai|google|microsoft)-")
_FORMAT_ENDS = tuple((re.compile(rf"(?:-|^)({pattern})$"), form) for pattern, form in _FORMATS)
# Publishers whose "-FP8" checkpoints scale per tensor or channel; everyone else's are in blocks.
_PER_TENSOR = (
    "nvidia",
    "nv",
    "neuralmagic",
    "redhatai",
    "redhat",
    "amd",
    "meta-llama",
    "unsloth",
    "mlperf",
    "modelopt",
)
# A model beside another one in the name is a helper of it: its shape is not that of the model it names.
HELPERS = re.compile(
    r"eagle|specul|draft|medusa|dflash|reward|embed|rerank|lora|guard|hydra|tokenizer|mtp-head"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A name taken apart.

    Attributes:
        bases: names that the catalogue may know the model by, longest first.
        weights_dtype: format that the name states, None where it states none.
    """

    bases: tuple[str, ...]
    weights_dtype: str | None = None


def checkpoint(name: str) -> Checkpoint:
    """Take a checkpoint's name apart: words off its end, as long as they state a format or do not change the shape.

    Args:
        name: "nvidia/DeepSeek-R1-0528-NVFP4-v2", "unsloth/Qwen3-32B-GGUF:Q4_K_M", "Llama 3.1 8B (FP8)" ...

    Returns:
        Possible base names and the narrowest format stated. A plain "-FP8" is in blocks but for publishers that
        scale by tensor or channel.
    """
    label, _, inside = name.strip().partition("(")
    organisation = label.partition("/")[0].strip().lower() if "/" in label else ""
    text = _folded(label.rpartition("/")[2]).removesuffix(".gguf")
    bases, found = [], [form for word in re.split(r"[,;)/]", inside) if (form := _stated(_folded(word)))]
    while True:
        bases.append(text)
        shorter, form = _shorter(text)
        if form:
            found.append(_in_blocks(form, text, organisation))
        if not shorter or shorter == text:
            break
        text = shorter
    bases += [bare for base in bases if (bare := _FRONT.sub("", base)) != base]
    whole = [_folded(label)] if organisation else []
    narrow = min(found, key=lambda form: dtype(form).size_bytes, default=None)
    return Checkpoint(tuple(dict.fromkeys([*whole, *bases])), narrow)


def _folded(text: str) -> str:
    words = re.sub(r"[\s_:@+]+", "-", text.strip().lower())
    # "llama-v3p1", "qwen2p5" and "llama31": decimal points of version numbers in names of files and endpoints.
    words = re.sub(r"(?<=\d)p(?=\d)", ".", words)
    words = re.sub(r"^((?:meta-)?llama-?)v(?=[23])", r"\1", words)
    words = re.sub(r"^((?:meta-)?llama-?3)([123])(?=-)", r"\1.\2", words)
    words = re.sub(r"^(qwen-?2)5(?=-)", r"\1.5", words)
    return re.sub(r"-{2,}", "-", words).strip("-.")


def _shorter(text: str) -> tuple[str, str | None]:
    """The name without its last word or words, and the format that they stated."""
    for pattern, form in _FORMAT_ENDS:
        end = pattern.search(text)
        if end:
            return text[: end.start()], _format(form, end.group(1))
    return _END.sub("", text).strip("-."), None


def _stated(text: str) -> str | None:
    for pattern, form in _FORMAT_ENDS:
        end = pattern.search(text)
        if end:
            return _format(form, end.group(1))
    return None


def _format(form: str, text: str) -> str:
    if form == "bits":
        return {2: "q2_k", 3: "q3_k_m", 5: "q5_k_m", 6: "q6_k", 8: "int8_wo"}.get(
            round(float(text[:-3])), "int4"
        )
    if form != "gguf":
        return form
    name = re.sub(r"-\d-\d$", "", text.removeprefix("ud-")).replace("-", "_")
    return name if name in DTYPES else dtype(name).name


def _in_blocks(form: str, text: str, organisation: str) -> str:
    plain = form == "fp8" and re.search(r"(?:-|^)fp8$", text)
    return "fp8_block" if plain and organisation not in _PER_TENSOR else form
