"""What a recommended deployment needs to start: sizes, formats and memory, read from the search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from suanli.interop.launch_flags import Launch, Server
from suanli.serving.engine import Engine
from suanli.study.recommend.layouts import HOST_CHIPS
from suanli.study.recommend.rows import Pool, Row
from suanli.study.recommend.search import Search
from suanli.units import digits

# Compute trays of these rack-scale systems hold four accelerators (NVIDIA GB200 NVL72: 18 trays of 4).
_TRAYS = ("nvidia-gb200", "nvidia-gb300")
_TRAY_CHIPS = 4
# Tokens of a prefill step, as the estimate of a prefill pool takes them.
_PREFILL_TOKENS = 16384
_QUANTISED_AT_LOAD = ("fp8",)


def launch_plan(searched: Search, row: Row, config: Mapping[str, Any]) -> Launch:
    """Return the deployment of a row as something that can be started.

    Args:
        searched: the search that found it.
        row: the deployment.
        config: the model's config, with its names.
    """
    question = searched.question
    evaluator = next(f.evaluator for f in searched.fields if f.evaluator.point.chip.id == row.chip)
    ready = evaluator.single
    asked = evaluator.point.weights_dtype
    narrower = asked != "native" and ready.precision.weights != ready.model.dtypes
    at_load = narrower and asked in _QUANTISED_AT_LOAD
    return Launch(
        model=model_name(question.model, config),
        chip=row.chip,
        chips_per_node=_TRAY_CHIPS if row.chip.startswith(_TRAYS) else HOST_CHIPS,
        memory_bytes=evaluator.point.chip.memory_bytes,
        experts=evaluator.point.model.experts_per_layer,
        weights=asked if at_load else "",
        checkpoint=f"a checkpoint with weights in {asked}" if narrower and not at_load else "",
        kv=ready.precision.kv,
        context_tokens=math.ceil(question.isl + question.osl),
        prefix_share=question.prefix_share,
        expected=_expected(searched, row),
        servers=tuple(
            _server(evaluator.memory(p.placement, p.role, p.requests), ready, p, question.isl)
            for p in row.pools
        ),
    )


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
    )


def _expected(searched: Search, row: Row) -> tuple[str, ...]:
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
    return tuple(lines)
