"""Serving constants: names and versions as people write them, how rows overlay, and a fit that finds them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import Catalog
from suanli.catalog.calibration import framework_records, read_tables
from suanli.errors import InputError, NoDataError
from suanli.llm import from_config
from suanli.serving import Coefficients, Point, accelerator
from suanli.serving.aggregated import joined, load_of
from suanli.serving.closed_loop import Load, beside_host, closed_loop
from suanli.serving.engine import engine
from suanli.serving.framework import KINDS, FrameworkRow, FrameworkTable, Serving, model_kind, split_framework
from suanli.study.calibrate.serving import CONSTANTS, fit_constants
from suanli.study.calibrate.serving_rows import Rows

TABLES = read_tables(Coefficients)
CATALOG = Catalog()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vllm 0.19.0", ("vllm", "0.19.0")),
        ("vLLM==0.11.2", ("vllm", "0.11.2")),
        ("vllm v0.10", ("vllm", "0.10")),
        ("TRT-LLM 1.2.0rc6", ("trtllm", "1.2.0rc6")),
        ("TensorRT-LLM 0.6.1", ("trtllm", "0.6.1")),
        ("sglang", ("sglang", "")),
        ("SGLang 0.5.1.post1", ("sglang", "0.5.1.post1")),
        ("*", ("*", "")),
        ("", ("*", "")),
        ("MindIE 2.0", ("mindie", "2.0")),
    ],
)
def test_names_of_frameworks(text: str, found: tuple[str, str]) -> None:
    assert split_framework(text) == found


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_names_some_framework(text: str) -> None:
    name, _ = split_framework(text)
    assert name == name.lower()


def test_kinds_of_models() -> None:
    kinds = {
        name: model_kind(from_config(CATALOG.model(name), name))
        for name in ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3")
    }
    assert kinds == {"llama-3.1-8b": "dense", "qwen3-30b-a3b": "moe", "deepseek-v3": "mla"}


ROWS = [
    FrameworkRow("*", "*", "*", "kernel_factor", 0.9),
    FrameworkRow("*", "*", "*", "step_s", 1e-3),
    FrameworkRow("*", "*", "moe", "step_s", 2e-3),
    FrameworkRow("vllm", "*", "*", "chunk_tokens", 2048.0),
    FrameworkRow("vllm", "*", "dense", "kernel_factor", 0.8, median_error=0.05, p90_error=0.2),
    FrameworkRow("vllm", "0.10", "dense", "kernel_factor_drift", 1.1),
    FrameworkRow("vllm", "0.10", "dense", "chunk_tokens", 512.0),
]


def test_what_is_known_overlays_what_is_not() -> None:
    table = FrameworkTable(ROWS)
    unknown, own = table.serving("*", "*", "dense"), table.serving("vllm", "*", "dense")
    assert (unknown.values.kernel_factor, unknown.values.step_s, unknown.framework) == (0.9, 1e-3, "*")
    assert table.serving("*", "*", "moe").values.step_s == 2e-3
    assert (own.values.kernel_factor, own.values.chunk_tokens, own.framework) == (0.8, 2048.0, "vllm")
    assert own.errors == {"tpot": (0.05, 0.2)}
    # A version's drift multiplies, its other rows replace; a version without rows is the framework.
    dated = table.serving("vllm", "0.10", "dense")
    assert dated.values.kernel_factor == pytest.approx(0.88)
    assert (dated.values.chunk_tokens, dated.version) == (512.0, "0.10")
    assert table.serving("vllm", "9.9", "dense").values == own.values
    # A framework without rows has the constants of none.
    assert table.serving("mindie", "2.0", "dense").values == unknown.values
    # Rows of a framework that no kind of which was fitted do not make it known.
    assert table.serving("vllm", "*", "moe").framework == "*"


def test_a_table_without_defaults_says_so() -> None:
    with pytest.raises(NoDataError, match="no defaults"):
        FrameworkTable(ROWS[3:]).serving("vllm", "*", "dense")


@pytest.mark.parametrize("row", [("vllm",), ("vllm", "*", "dense", "step_s", "fast", *[""] * 7)])
def test_rows_that_cannot_be_read(row: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="framework row vllm"):
        FrameworkTable([row])


def test_every_row_of_the_catalogue_is_used() -> None:
    known = {entry.name for entry in fields(Serving)} | {"kernel_factor_drift"}
    table = FrameworkTable(framework_records())
    for row in framework_records():
        assert row[3] in known, row
        assert row[2] in (*KINDS, "*"), row
        assert row[-1], row
        if row[2] != "*" and row[1] == "*":
            found = table.serving(row[0], "*", row[2]).values
            assert getattr(found, row[3]) == float(row[4])


def test_bands_are_as_narrow_as_the_fits_allow() -> None:
    table = FrameworkTable(framework_records())
    for framework in ("vllm", "sglang", "trtllm"):
        for kind, widest in (("dense", 1.25), ("moe", 1.45), ("mla", 1.45)):
            assert 1.02 < table.serving(framework, "*", kind).values.tpot_band <= widest


def test_launches_hide_behind_kernels() -> None:
    assert float(beside_host(2e-3, 0.0)) == pytest.approx(2e-3)
    assert float(beside_host(1e-3, 1e-3)) == pytest.approx(2**0.25 * 1e-3)
    assert float(beside_host(1e-3, 10e-3)) == pytest.approx(10e-3, rel=1e-4)


# -- fit --------------------------------------------------------------------------------------------------------------

# NVIDIA H200 SXM datasheet.
H200 = accelerator(
    "nvidia-h200-sxm",
    {
        "peak_bf16": 989e12,
        "peak_fp8": 1979e12,
        "memory_capacity": 141e9,
        "memory_bandwidth": 4.8e12,
        "sm_count": 132.0,
        "l2_cache": 50e6,
        "scale_up_bandwidth_per_direction": 450e9,
        "scale_up_domain": 8.0,
    },
)


def invented(constants: dict[str, float], noise: float, tp: int, model: str) -> Rows:
    """Rows "measured" on an engine with known constants."""
    point = Point(
        from_config(CATALOG.model(model), model), H200, n_chips=tp, tp=tp, framework="vllm", isl=1024.0
    )
    ready = engine(point, TABLES)
    asked = [
        replace(point, isl=isl, osl=osl, concurrency=load)
        for isl, osl in (
            (1024.0, 1024.0),
            (8192.0, 1024.0),
            (1024.0, 8192.0),
            (512.0, 128.0),
            (128.0, 32.0),
        )
        for load in (1.0, 4.0, 16.0, 64.0, 128.0)
    ]
    load: Load = joined([load_of(one, ready) for one in asked])
    found = closed_loop(ready.table, replace(ready.serving.values, **constants), load)
    spread = np.exp(noise * np.random.default_rng(7).standard_normal((2, len(asked))))
    return Rows(ready, load, found.tpot_s * spread[0], found.ttft_s * spread[1], ())


@pytest.mark.parametrize(
    "truth",
    [
        {"kernel_factor": 0.85, "prefill_factor": 1.2, "step_s": 2e-3},
        {"kernel_factor": 1.15, "sequence_s": 3e-5, "ttft_base_s": 0.08, "ttft_steps": 3.0},
    ],
)
def test_the_fit_finds_the_constants_that_made_the_rows(truth: dict[str, float]) -> None:
    groups = [
        invented(truth, noise, tp, model)
        for noise, tp, model in ((0.01, 1, "llama-3.1-8b"), (0.01, 4, "llama-3.1-8b"), (0.01, 4, "qwen3-32b"))
    ]
    start = groups[0].ready.serving.values
    found, errors = fit_constants(groups, lambda group: group.ready.serving.values, start, pull=0.01)
    scale = {one.name: one.scale for one in CONSTANTS}
    for name, value in found.items():
        assert value == pytest.approx(truth.get(name, getattr(start, name)), abs=0.15 * scale[name]), name
    assert all(error is None or error >= 0.0 for error in errors.values())
    # The default pull keeps constants that few rows say little about near those of unknown frameworks.
    pulled, _ = fit_constants(groups, lambda group: group.ready.serving.values, start)
    for name, value in truth.items():
        low, high = sorted((getattr(start, name), value))
        assert low - 0.1 * scale[name] <= pulled[name] <= high + 0.1 * scale[name]


def test_rows_of_older_versions_hold_below_their_limit() -> None:
    old = [
        FrameworkRow("vllm", "<0.8", "*", "mixed", 0.0),
        FrameworkRow("vllm", "<0.6", "*", "max_sequences", 128.0),
        FrameworkRow("vllm", "<0.8", "*", "max_sequences", 256.0),
    ]
    table = FrameworkTable([*ROWS, *old])

    def known(version: str) -> tuple[float, float]:
        values = table.serving("vllm", version, "dense").values
        return values.mixed, values.max_sequences

    assert known("0.8.0") == known("0.19.0") == known("nightly") == known("*") == (1.0, 1024.0)
    assert known("0.7.3") == known("0.6.6.post1") == (0.0, 256.0)
    assert known("0.5.4") == (0.0, 128.0)
    assert table.serving("vllm", "0.5.4", "dense").version == "*"
    assert table.serving("sglang", "0.5.4", "dense").values.mixed == 1.0
