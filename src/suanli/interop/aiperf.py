"""Results of NVIDIA AIPerf (`profile_export_aiperf.json`) and of GenAI-Perf (`profile_export_genai_perf.json`).

Each metric is an object with its unit and statistics; AIPerf's inter-token latency is (latency - TTFT)/(output - 1),
which is TPOT here. The configuration that the run was started with is in `input_config`, whose form changes between
versions: concurrency and rate are looked for wherever they stand in it.

Reference: ai-dynamo/aiperf, "Working with profile export files".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.interop.measurements import Benchmark, Lengths, documents, low_share, optional

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}


def read_aiperf(path: Path) -> list[Benchmark]:
    """Read a result file.

    Args:
        path: `profile_export_aiperf.json`.

    Raises:
        InputError: not such a file; names the metric that is missing.
    """
    return [_benchmark(place, fields) for place, fields in documents(path)]


def _benchmark(place: str, fields: Mapping[str, Any]) -> Benchmark:
    nested = fields.get("records")
    metrics = nested if isinstance(nested, Mapping) else fields
    config = fields.get("input_config")
    told = config if isinstance(config, Mapping) else {}
    prompt, output = (_lengths(place, metrics, f"{name}_sequence_length") for name in ("input", "output"))
    completed = int(_optional(place, metrics, "request_count", "avg") or 0) or _count(place, told)
    return Benchmark(
        place=place,
        tool="genai-perf" if "genai" in place else "aiperf",
        date=_date(fields),
        model=_model(told),
        framework="",
        layout={},
        prompt=prompt,
        output=output,
        concurrency=_setting(place, told, "concurrency"),
        rate=_setting(place, told, "request_rate") or math.inf,
        asked=completed + _failed(place, fields, metrics),
        completed=completed,
        values=_values(place, metrics, completed),
    )


def _metric(place: str, metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = metrics.get(name)
    if not isinstance(found, Mapping):
        raise InputError(f"{place}: no {name}; is this profile_export_aiperf.json of a streaming run?")
    return found


def _optional(place: str, metrics: Mapping[str, Any], name: str, statistic: str) -> float | None:
    found = metrics.get(name)
    value = optional(f"{place} {name}", found, statistic) if isinstance(found, Mapping) else None
    return value


def _lengths(place: str, metrics: Mapping[str, Any], name: str) -> Lengths:
    found = _metric(place, metrics, name)
    mean, spread = optional(f"{place} {name}", found, "avg"), found.get("std")
    if mean is None:
        raise InputError(f"{place}: {name} has no avg")
    return Lengths(mean, low_share(mean, spread) if isinstance(spread, int | float) and spread > 0 else 1.0)


def _values(place: str, metrics: Mapping[str, Any], completed: int) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, ours in (("time_to_first_token", "ttft"), ("inter_token_latency", "tpot")):
        found = _metric(place, metrics, name)
        unit = str(found.get("unit", "ms")).lower()
        if unit not in _SECONDS:
            raise InputError(f'{place}: {name} is in "{unit}", not a time')
        mean, spread = optional(f"{place} {name}", found, "avg"), found.get("std")
        if mean is None:
            raise InputError(f"{place}: {name} has no avg")
        values[f"{ours}_s"] = mean * _SECONDS[unit]
        if isinstance(spread, int | float) and spread > 0.0:
            values[f"{ours}_error_s"] = spread * _SECONDS[unit] / math.sqrt(completed)
    rate = _optional(place, metrics, "output_token_throughput", "avg")
    return values | ({} if rate is None else {"output_tokens_per_s": rate})


def _failed(place: str, fields: Mapping[str, Any], metrics: Mapping[str, Any]) -> int:
    counted = _optional(place, metrics, "error_request_count", "avg")
    if counted is not None:
        return int(counted)
    summary = fields.get("error_summary")
    entries = summary if isinstance(summary, list) else []
    return sum(int(entry.get("count", 0)) for entry in entries if isinstance(entry, Mapping))


def _count(place: str, config: Mapping[str, Any]) -> int:
    count = _setting(place, config, "request_count")
    if count is None:
        raise InputError(f"{place}: no request_count")
    return int(count)


def _date(fields: Mapping[str, Any]) -> str:
    found = re.match(r"\d{4}-\d{2}-\d{2}", str(fields.get("start_time", "")))
    return found[0] if found else ""


def _model(config: Mapping[str, Any]) -> str:
    for name in ("model_names", "model", "formatted_model_name", "models"):
        for value in _settings(config, name):
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, str) and first:
                return first
    return ""


def _setting(place: str, config: Mapping[str, Any], name: str) -> float | None:
    for value in _settings(config, name):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return optional(place, {name: value}, name)
    return None


def _settings(config: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Every value of a name in a configuration, the outer ones first."""
    if config.get(name) is not None:
        yield config[name]
    for value in config.values():
        if isinstance(value, Mapping):
            yield from _settings(value, name)
