"""Serving estimates: reading tables, building a layout's step table, one question, and a large batch of questions."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.spec import Spec, function_cpu_s

if TYPE_CHECKING:
    from suanli.serving import Coefficients, Point

BATCH = 5000


@cache
def _ready(model: str, chip: str, n_chips: int, framework: str) -> tuple[Point, Coefficients]:
    from suanli.serving import Point
    from suanli.study.deployment.solve import Deployments

    deployments = Deployments()
    point = Point(
        deployments.model(model)[0],
        deployments.chip(chip),
        n_chips=n_chips,
        framework=framework,
        concurrency=32.0,
    )
    return point, deployments.tables


def _tables() -> float:
    from suanli.catalog.calibration import calibration_records, framework_records, read_tables
    from suanli.serving import Coefficients

    def read() -> Coefficients:
        calibration_records.cache_clear()
        framework_records.cache_clear()
        return read_tables(Coefficients)

    return function_cpu_s(read, 5)


def _cold(model: str, chip: str, n_chips: int, framework: str) -> float:
    """CPU seconds of a layout's first question: its tables are thrown away before every one."""
    from suanli.serving import estimate

    point, tables = _ready(model, chip, n_chips, framework)

    def first() -> object:
        tables.tables.clear()
        return estimate(point, tables)

    return function_cpu_s(first, 20)


def _warm(model: str, chip: str, n_chips: int, framework: str) -> float:
    """CPU seconds of one more question on a layout, lengths and load unlike those before."""
    from suanli.serving import estimate

    point, tables = _ready(model, chip, n_chips, framework)
    asked = iter(replace(point, isl=1000.0 + k, concurrency=1.0 + k) for k in range(1000))
    return function_cpu_s(lambda: estimate(next(asked), tables), 200)


def _batch() -> float:
    """CPU seconds of 5,000 questions on 40 layouts, tables of layouts included."""
    from suanli.serving import estimates
    from suanli.study.deployment.solve import Deployments

    deployments = Deployments()
    chips = ("h100_sxm", "h200_sxm", "b200_sxm", "a100_sxm", "l40s")
    models = ("llama-3.1-8b", "qwen3-32b", "qwen3-30b-a3b", "gpt-oss-120b")
    base = [
        _ready(model, chip, 8, framework)[0]
        for model in models
        for chip in chips
        for framework in ("vllm", "*")
    ]
    asked = [
        replace(point, isl=256.0 * (1 + k % 16), osl=512.0, concurrency=float(1 + k))
        for point in base
        for k in range(BATCH // len(base))
    ]
    tables = deployments.tables
    start = time.process_time()
    estimates(asked, tables)
    return time.process_time() - start


DENSE = ("qwen3-32b", "h200_sxm", 8, "vllm")
SPARSE = ("deepseek-v3", "h200_sxm", 32, "sglang")

SPECS = [
    Spec("estimate-tables", 0.15, "read calibration.csv and frameworks.csv", _tables),
    Spec(
        "estimate-cold-dense", 0.02, "first question of a layout, Qwen3-32B on 8 H200", lambda: _cold(*DENSE)
    ),
    Spec("estimate-cold-sparse", 0.02, "the same, DeepSeek-V3 on 32 H200", lambda: _cold(*SPARSE)),
    Spec("estimate-warm-dense", 0.001, "next question of a layout, Qwen3-32B", lambda: _warm(*DENSE)),
    Spec(
        "estimate-warm-sparse", 0.001, "the same, DeepSeek-V3 with overlapped halves", lambda: _warm(*SPARSE)
    ),
    Spec("estimate-batch", 5.0, "5,000 questions on 40 layouts", _batch),
]
