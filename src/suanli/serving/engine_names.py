"""Names of serving engines as people write them, resolved to those of the framework table."""

from __future__ import annotations

import re
from difflib import get_close_matches

from suanli.errors import UnknownIdError
from suanli.llm.dtypes import stated

# Engines by the words that name them; the first that stands in a label is meant.
_ENGINES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (
            r"transformers[ _-]*neuronx|(optimum|vllm)[ _-]*neuronx?|neuronx?[ _-]*distributed([ _-]*inference)?|"
            r"nxd[ _-]?(inference|i)?\b|\btnx\b|neuronx|neuron( sdk)?",
            "neuronx",
        ),
        (
            r"llama[ ._-]*cpp(-server)?|llama-?bench|llama-server|ollama|lm ?studio|koboldcpp|llamafile",
            "llama.cpp",
        ),
        (r"text[ _-]*generation[ _-]*inference|\btgi\b", "tgi"),
        (r"deepspeed([ _-]*(mii|fastgen))?", "deepspeed"),
        (r"lmdeploy|turbomind", "lmdeploy"),
        (r"deepseek in-house|deepseek profile-data", "deepseek"),
        (r"cloudmatrix-infer", "cloudmatrix"),
        (r"sglang|\bsgl\b", "sglang"),
        (r"(vllm/)?vllm([- ](openai|ascend|rocm|gaudi|fork|tpu|hpu|v[01](?![\w.])))*", "vllm"),
        (r"tensorrt[ _-]*llm|trt[ _-]*llm|\bdynamo[ _-]*trt\b|\btrt\b|(nvidia )?\bnim\b", "trtllm"),
    )
)
# Engines without constants of their own: they take those of an engine that nothing is known of.
_OTHER_ENGINES = re.compile(
    r"mlc-llm|mlc|"
    r"exllama|exllamav2|exllamav3|mindie|jetstream|maxtext|optimum-habana|optimum-intel|optimum|transformers|"
    r"huggingface|hf|lightllm|mlx|mlx-lm|ktransformers|aphrodite|max|fastertransformer|tensorrt|rtp-llm|xllm|"
    r"atom|dynamo|distserve|orca|sarathi|sarathi-serve|nanoflow|hexgen|splitwise|pytorch|gpt-fast|jax|openvino|"
    r"onnxruntime|ipex|ipex-llm|fastllm|powerinfer|deepseek|cloudmatrix|megatron|flexflow|dejavu|s-lora|triton|"
    r"litellm|xft|paddle|fastdeploy|chitu"
)


def framework_named(label: str) -> str:
    """Return "name version" of a label: "TensorRT-LLM v0.6.1" -> "trtllm 0.6.1"; "*" where it is not stated.

    Raises:
        UnknownIdError: a slip of the pen: close to the name of an engine, and no other engine that is known.
    """
    text = re.sub(r"\s*\((?!.*(?:llm|sglang)).*\)$", "", label.strip().lower())
    if text in ("*", "any") or not stated(text):
        return "*"
    name, rest = _engine(text)
    version = re.search(r"^v?~?(\d[\w.]*)|(nightly[\w.-]*)|^(b\d+)", rest)
    return f"{name} {next(filter(None, version.groups()))}" if version else name


def _engine(text: str) -> tuple[str, str]:
    """The engine that a label names, and what follows it."""
    for pattern, name in _ENGINES:
        found = pattern.search(text)
        if found:
            return name, text[found.end() :].strip(" :=@_-()")
    name, _, rest = text.partition(" ")
    known = [*dict.fromkeys(short for _, short in _ENGINES), "tensorrt-llm", "trt-llm"]
    word = re.sub(r"[=@:_-]*v?\d.*$", "", name)
    if not _OTHER_ENGINES.fullmatch(word) and get_close_matches(word, known, n=1, cutoff=0.8):
        raise UnknownIdError("framework", name, known)
    return name, rest
