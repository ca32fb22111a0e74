"""What a recommended deployment needs to start: sizes, formats and memory, read from the search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from suanli.errors import InputError
from suanli.interop.launch_flags import Launch, Server
from suanli.serving.engine import Engine
from suanli.study.recommend.layouts import HOST_CHIPS, copies
from suanli.study.recommend.rows import Pool, Row
from suanli.study.recommend.search import Search
from suanli.units import digits

# Compute trays of these rack-scale systems hold four accelerators (NVIDIA GB200 NVL72: 18 trays of 4).
_TRAYS = ("nvidia-gb200", "nvidia-gb300")
_TRAY_CHIPS = 4
# Hosts of these hold four packages (HPE Cray EX235a of Frontier and LUMI).
_HALF_HOSTS = ("amd-mi250",)
# How a process is told its devices, by the start of the catalogue id (CUDA, ROCm and CANN runtimes).
_VISIBLE = {
    "nvidia-": "CUDA_VISIBLE_DEVICES",
    "amd-mi": "HIP_VISIBLE_DEVICES",
    "huawei-ascend-": "ASCEND_RT_VISIBLE_DEVICES",
}
# Tokens of a prefill step, as the estimate of a prefill pool takes them.
_PREFILL_TOKENS = 16384
_QUANTISED_AT_LOAD = ("fp8",)


def launch_plan(searched: Search, row: Row, config: Mapping[str, Any]) -> Launch:
    """Return the deployment of a row as something that can be started.

    Args:
        searched: the search that found it.
        row: the deployment.
        config: the model's config, with its names.

    Raises:
        InputError: a chip that neither engine is known to run on.
    """
    question = searched.question
    visible = next((name for start, name in _VISIBLE.items() if row.chip.startswith(start)), None)
    if visible is None:
        raise InputError(
            f"--export: how an engine is started on {row.chip} is not known, only on NVIDIA, AMD Instinct and "
            "Ascend; leave out --export and write the front instead: -o front.csv"
        )
    evaluator = next(f.evaluator for f in searched.fields if f.evaluator.point.chip.id == row.chip)
    ready = evaluator.single
    asked = evaluator.point.weights_dtype
    narrower = asked != "native" and ready.precision.weights != ready.model.dtypes
    at_load = narrower and asked in _QUANTISED_AT_LOAD
    return Launch(
        model=model_name(question.model, config),
        chip=row.chip,
        chips_per_node=_host_chips(row.chip) * evaluator.whole.ranks,
        memory_bytes=evaluator.point.chip.memory_bytes,
        experts=evaluator.point.model.experts_per_layer,
        weights=asked if at_load else "",
        checkpoint=f"a checkpoint with weights in {asked}" if narrower and not at_load else "",
        kv=ready.precision.kv,
        context_tokens=math.ceil(question.isl + question.osl),
        prefix_share=question.prefix_share,
        expected=_expected(searched, row, _drafts(ready, row)),
        servers=tuple(
            _server(evaluator.memory(p.placement, p.role, p.requests), ready, p, question.isl)
            for p in row.pools
        ),
        ranks=evaluator.whole.ranks,
        visible=visible,
        drafts=_drafts(ready, row),
    )


def _drafts(ready: Engine, row: Row) -> int:
    """Drafts a step by the model's own layers; 0 without such, or with stages, in which SGLang does not draft."""
    # sgl-project/sglang pull request 31139: speculative decoding with pipeline stages is being written.
    staged = any(pool.placement.pp > 1 for pool in row.pools)
    drafts = math.floor(ready.serving.values.draft_tokens)
    return 0 if staged or ready.model.mtp is None else drafts


def _host_chips(chip: str) -> int:
    return _TRAY_CHIPS if chip.startswith((*_TRAYS, *_HALF_HOSTS)) else HOST_CHIPS


def model_name(asked: str, config: Mapping[str, Any]) -> str:
    """Return the name that an engine finds a model by: as asked where that is one, else its first Hugging Face name."""
    if "/" in asked:
        return asked
    known = [name for name in config.get("_suanli", {}).get("aliases", ()) if "/" in name]
    return str(known[0]) if known else asked


def _server(memory: Any, ready: Engine, pool: Pool, isl: float) -> Server:
    place, constants = pool.placement, ready.serving.values
    prompts = pool.role == "prefill"
    chunk = min(_PREFILL_TOKENS, pool.requests / place.dp * isl) if prompts else constants.chunk_tokens or isl
    return Server(
        role="" if pool.role == "mixed" else "prefill" if prompts else "decode",
        count=place.replicas,
        tp=place.tp,
        pp=place.pp,
        dp=place.dp,
        ep=place.ep,
        # Every stage of a prefill pipeline works on prompts of its own.
        sequences=max(math.ceil(pool.requests * (place.pp if prompts else 1)), 1),
        chunk_tokens=max(math.ceil(chunk), 1),
        memory_share=constants.memory_share,
        weights_bytes=memory.weights_bytes,
        kv_bytes=memory.kv_bytes,
        copies=copies(ready.model, place.ep),
    )


def _expected(searched: Search, row: Row, started: int) -> tuple[str, ...]:
    """Lines on what to expect; `started` are the drafts that flags of the script switch on."""
    question, wanted = searched.question, searched.objectives
    goals = [
        f"{name} {digits(seen * 1e3, 3)} ms"
        + ("" if slo is None else f" (objective {digits(slo * 1e3, 3)} ms)")
        for name, seen, slo in (("TTFT", row.ttft_s, wanted.ttft_s), ("TPOT", row.tpot_s, wanted.tpot_s))
    ]
    lengths = f"{question.isl:,.0f} tokens in and {question.osl:,.0f} out"
    lines = [
        f"Expected with {row.requests:,.0f} requests in flight, {lengths}:",
        f"  {', '.join(goals)}, {digits(row.output_tokens_per_s)} output tokens/s.",
        f"  Basis: {row.basis or 'not answered'}; calibrate with measurements of your own before you rely on it.",
    ]
    if row.chip.startswith("huawei-ascend-"):
        lines.append(
            "  Flags are those of the CUDA builds: vllm-ascend and SGLang for Ascend name KV and expert"
        )
        lines.append("  exchange of their own, and quantised checkpoints are made with their tools.")
    drafts = question.options.get("mtp_draft", 0.0)
    if drafts and not started:
        lines.append(
            f"  Drafts: {drafts:g} a step are expected, for which this script has no flags: the model has no MTP layer,"
        )
        lines.append(
            "  or its layers are in stages. Switch speculative decoding on with your engine's flags."
        )
    return tuple(lines)
