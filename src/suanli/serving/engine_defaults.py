"""Defaults of engines that depend on the chip they run on."""

from __future__ import annotations

from dataclasses import replace

from suanli.serving.accelerator import Accelerator
from suanli.serving.framework import Serving

# vLLM 0.8 to 0.19 (engine/arg_utils.py, defaults by usage and device memory): `vllm serve` takes 8192 tokens a step and
# 1024 sequences from 70 GiB on, 2048 and 256 below and on A100.
_VLLM_LARGE_BYTES = 70.0 * 2**30
_VLLM_SMALL = ("nvidia-a100", "nvidia-a800")
# SGLang 0.5 (server_args.py): chunked_prefill_size by memory of the GPU.
_SGLANG_CHUNKS = ((35e9, 2048.0), (60e9, 4096.0), (160e9, 8192.0))
_SGLANG_LARGEST = 16384.0
_USUAL_CHUNK, _VLLM_SEQUENCES = 8192.0, 1024.0


def by_chip(values: Serving, framework: str, chip: Accelerator) -> Serving:
    """Return the constants with the defaults that the engine takes on this chip; what a version sets is kept.

    Args:
        values: constants of the engine, as on a chip of 80 to 160 GB.
        framework: "vllm", "sglang" or another.
        chip: the chip, or one rank of it.
    """
    if values.chunk_tokens != _USUAL_CHUNK:
        return values
    if framework == "vllm" and (chip.memory_bytes < _VLLM_LARGE_BYTES or chip.id.startswith(_VLLM_SMALL)):
        limit = 256.0 if values.max_sequences == _VLLM_SEQUENCES else values.max_sequences
        return replace(values, chunk_tokens=2048.0, max_sequences=limit)
    if framework == "sglang":
        fits = (tokens for largest, tokens in _SGLANG_CHUNKS if chip.memory_bytes <= largest)
        return replace(values, chunk_tokens=next(fits, _SGLANG_LARGEST))
    return values
