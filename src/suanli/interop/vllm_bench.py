"""Results of `vllm bench serve --save-result` and of SGLang's `bench_serving`, which share most of their fields.

Means are over requests, in ms; TPOT is (latency - TTFT)/(output - 1). Lengths of single requests are there with
`--save-detailed` (vLLM) or `--output-details` (SGLang).

Reference: vllm/benchmarks/serve.py and python/sglang/bench_serving.py, as of 2026.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.interop.measurements import Benchmark, Lengths, documents, lengths_of, number, optional

# Names under which layouts travel: `--metadata tensor_parallel_size=4`, or SGLang's server_info.
_LAYOUT = {
    "tp": ("tensor_parallel_size", "tp_size", "tp"),
    "pp": ("pipeline_parallel_size", "pp_size", "pp"),
    "dp": ("data_parallel_size", "dp_size", "dp"),
    "ep": ("expert_parallel_size", "ep_size", "ep"),
}
_BACKENDS = ("vllm", "sglang", "lmdeploy", "tgi", "trtllm")


def read_vllm_bench(path: Path) -> list[Benchmark]:
    """Read a result file: one JSON object, or one a line.

    Args:
        path: the file.

    Raises:
        InputError: not such a file; names the field that is missing.
    """
    return [_benchmark(place, fields) for place, fields in documents(path)]


def _benchmark(place: str, fields: Mapping[str, Any]) -> Benchmark:
    completed = int(number(place, fields, "completed"))
    asked = max(int(optional(place, fields, "num_prompts") or completed + _failed(fields)), completed)
    prompt, output = _lengths(place, fields, completed)
    server = fields.get("server_info")
    info = server if isinstance(server, Mapping) else {}
    sglang = (
        "total_output_tokens_retokenized" in fields
        or "total_input_tokens_retokenized" in fields
        or bool(info)
    )
    return Benchmark(
        place=place,
        tool="sglang-bench" if sglang else "vllm-bench",
        date=_date(fields),
        model=str(fields.get("model_id") or fields.get("model") or info.get("model_path") or ""),
        framework=_framework(fields, info, sglang),
        layout=_layout(fields, info),
        prompt=prompt,
        output=output,
        concurrency=optional(place, fields, "max_concurrency"),
        rate=_rate(place, fields),
        asked=asked,
        completed=completed,
        values=_values(place, fields, completed, output.mean),
        options=_drafts(fields),
    )


def _failed(fields: Mapping[str, Any]) -> int:
    failed = fields.get("failed")
    return int(failed) if isinstance(failed, int | float) else 0


def _lengths(place: str, fields: Mapping[str, Any], completed: int) -> tuple[Lengths, Lengths]:
    found = []
    ratio = fields.get("random_range_ratio")
    known = isinstance(ratio, int | float) and str(fields.get("dataset_name")) == "random"
    low = max(float(ratio), 0.01) if known else 1.0  # type: ignore[arg-type]
    for single, total in (("input_lens", "total_input_tokens"), ("output_lens", "total_output_tokens")):
        each = fields.get(single)
        listed = lengths_of(each) if isinstance(each, list) else None
        found.append(listed or Lengths(number(place, fields, total) / completed, low))
    return found[0], found[1]


def _rate(place: str, fields: Mapping[str, Any]) -> float:
    rate = fields.get("request_rate", "inf")
    if rate is None or str(rate).lower() in ("inf", "infinity"):
        return math.inf
    if str(rate).lower() == "trace":
        raise InputError(
            f"{place}: request_rate is a trace; only a constant rate or a number of clients can be used"
        )
    found = optional(place, {"request_rate": float(rate) if _is_number(rate) else rate}, "request_rate")
    return math.inf if found is None else found


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _values(place: str, fields: Mapping[str, Any], completed: int, outputs: float) -> dict[str, float]:
    values = {"ttft_s": number(place, fields, "mean_ttft_ms") / 1e3}
    if outputs > 1.0:
        tpot = optional(place, fields, "mean_tpot_ms")
        if tpot is None:
            whole = number(place, fields, "mean_tpot_ms", "mean_e2el_ms", "mean_e2e_latency_ms")
            tpot = max(whole - 1e3 * values["ttft_s"], 0.0) / (outputs - 1.0)
        values["tpot_s"] = tpot / 1e3
    for name in ("ttft", "tpot"):
        spread = fields.get(f"std_{name}_ms")
        if isinstance(spread, int | float) and spread > 0.0 and f"{name}_s" in values:
            values[f"{name}_error_s"] = spread / 1e3 / math.sqrt(completed)
    itl, rate = optional(place, fields, "mean_itl_ms"), optional(place, fields, "output_throughput")
    values |= {} if itl is None else {"itl_s": itl / 1e3}
    return values | ({} if rate is None else {"output_tokens_per_s": rate})


def _date(fields: Mapping[str, Any]) -> str:
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})", str(fields.get("date", "")))
    return "-".join(found.groups()) if found else ""


def _framework(fields: Mapping[str, Any], info: Mapping[str, Any], sglang: bool) -> str:
    told = str(fields.get("framework") or fields.get("backend") or fields.get("endpoint_type") or "").lower()
    name = next((known for known in _BACKENDS if told.startswith(known)), "sglang" if sglang else "")
    version = str(fields.get(f"{name}_version") or fields.get("version") or info.get("version") or "")
    return f"{name} {version}".strip() if name else ""


def _layout(fields: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    for name, spellings in _LAYOUT.items():
        told = next((value for key in spellings for value in (fields.get(key), info.get(key)) if value), None)
        if told is not None and str(told).isdigit():
            found[name] = int(told)
    return found


def _drafts(fields: Mapping[str, Any]) -> dict[str, float]:
    """Speculative decoding, where the server told of it."""
    drafts, tokens = fields.get("spec_decode_num_drafts"), fields.get("spec_decode_draft_tokens")
    share = fields.get("spec_decode_acceptance_rate")
    if not drafts or not tokens or share is None:
        return {}
    rate = float(share) / (100.0 if float(share) > 1.0 else 1.0)
    return {"mtp_draft": float(round(tokens / drafts)), "mtp_acceptance": rate}
